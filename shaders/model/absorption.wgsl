// tbabs, phabs: exp(-nH sigma), sigma per bin from the table; pcfabs: 1 - cover + cover times that.

struct PerBin { minus: f32, first: u32 }

fn tbabs_setup(p: u32, t: u32) -> PerBin {
    return PerBin(-par(p), t);
}

fn phabs_setup(p: u32, t: u32) -> PerBin {
    return PerBin(-par(p), t);
}

fn perbin_scale(c: PerBin, i: u32) -> f32 { return 1.0; }
fn perbin_exponent(c: PerBin, i: u32) -> f32 { return c.minus * table(c.first + i); }

fn perbin_value(c: PerBin, i: u32) -> f32 {
    return safe_exp(perbin_exponent(c, i));
}

struct PartlyPerBin { absorber: PerBin, cover: f32 }

fn pcfabs_setup(p: u32, t: u32) -> PartlyPerBin {
    return PartlyPerBin(PerBin(-par(p), t), par(p + 1u));
}

fn partly_perbin_value(c: PartlyPerBin, i: u32) -> f32 {
    return (1.0 - c.cover) + c.cover * perbin_value(c.absorber, i);
}

// ztbabs, tbgas, zphabs; zpcfabs: the same with sigma(E (1+z)). table: number of rows, of edges (steps.wgsl) and of elements that have
// them; ln E of the rows in two parts, ln sigma of the rows, of all elements and of each of those; the edges; ln of the lower and of the
// upper ends of the bins, both in two parts, and what the edges need of the bins.

struct Shifted { minus: f32, ln_stretch: f32, first: u32, rows: u32, ends: u32, steps: Steps }

fn shifted_column(nh: f32, redshift: f32, t: u32) -> Shifted {
    let rows = u32(table(t));
    let edges = u32(table(t + 1u));
    let first = t + 3u;
    let places = first + rows * (3u + u32(table(t + 2u)));
    let ends = places + 3u * edges;
    let ln_stretch = log_1p(max(redshift, -0.999));
    let steps = Steps(places, edges, ends + 4u * energies(), first, rows, ln_stretch);
    return Shifted(-nh, ln_stretch, first, rows, ends, steps);
}

fn ztbabs_setup(p: u32, t: u32) -> Shifted {
    return shifted_column(par(p), par(p + 1u), t);
}

fn tbgas_setup(p: u32, t: u32) -> Shifted {
    return shifted_column(par(p), par(p + 1u), t);
}

fn zphabs_setup(p: u32, t: u32) -> Shifted {
    return shifted_column(par(p), par(p + 1u), t);
}

fn shifted_sigma(c: Shifted, end: u32) -> f32 {
    let at = rows_place(c.first, c.rows, end, c.ln_stretch);
    if at.row >= c.rows {
        return 0.0;
    }
    let s0 = table(c.first + 2u * c.rows + at.row);
    return safe_exp(s0 + at.place * (table(c.first + 2u * c.rows + at.row + 1u) - s0));
}

fn shifted_scale(c: Shifted, i: u32) -> f32 { return 1.0; }

fn shifted_exponent(c: Shifted, i: u32) -> f32 {
    let below = shifted_sigma(c, c.ends + i);
    let above = shifted_sigma(c, c.ends + energies() + i);
    var sigma = 0.5 * (below + above);
    if c.steps.count > 0u {
        let first = steps_first(c.steps, i);
        for (var k = first; k < c.steps.count; k++) {
            let place = steps_place(c.steps, k, i);
            if place >= table(c.steps.bins + 2u * energies() + i) {
                break;
            }
            let column = steps_column(c.steps, k);
            if place > 0.0 && !steps_seen(c.steps, first, k, column, i) {
                let own = c.first + c.rows * (3u + column);
                sigma += steps_change(c.steps, k, own, i, table(c.ends + i) + c.ln_stretch);
            }
        }
    }
    return c.minus * sigma;
}

fn shifted_value(c: Shifted, i: u32) -> f32 {
    return safe_exp(shifted_exponent(c, i));
}

struct PartlyShifted { absorber: Shifted, cover: f32 }

fn zpcfabs_setup(p: u32, t: u32) -> PartlyShifted {
    return PartlyShifted(shifted_column(par(p), par(p + 2u), t), par(p + 1u));
}

fn partly_shifted_value(c: PartlyShifted, i: u32) -> f32 {
    return (1.0 - c.cover) + c.cover * shifted_value(c.absorber, i);
}
