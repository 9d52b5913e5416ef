// tbgrain, tbpcf, tbfeo, tbvarabs, tbrel, vphabs, zvphabs, varabs, zvarabs: columns of cross sections weighted into gas and
// dust; 1 - cover + cover exp(-nH (gas + sum over grain radii)).
// table: rows (0: columns per bin), columns, edges (steps.wgsl), dust mass of each column; then the columns per bin, padded to 128, or
// ln E of the rows in two parts, ln sigma of the rows by column, the edges, ln of the lower and of the upper ends of the bins, both in two
// parts, and what the edges need of the bins.

struct Species {
    gas: array<f32, 19>,
    dust: array<f32, 19>,
    scaled: array<f32, 8>,
    share: array<f32, 8>,
    has_grains: bool,
    minus: f32,
    cover: f32,
    ln_stretch: f32,
    rows: u32,
    columns: u32,
    edges: u32,
    masses: u32,
}

fn species_new(nh: f32, redshift: f32, t: u32) -> Species {
    var c: Species;
    c.minus = -nh;
    c.cover = 1.0;
    c.ln_stretch = log_1p(max(redshift, -0.999));
    c.rows = u32(table(t));
    c.columns = u32(table(t + 1u));
    c.edges = u32(table(t + 2u));
    c.masses = t + 3u;
    return c;
}

// Gauss-Legendre nodes over ln a; x is without the dust's mass until species_ready.
fn species_grains(c: ptr<function, Species>, density: f32, smallest_radius: f32, largest_radius: f32, index: f32) {
    let low = log(max(smallest_radius, 1e-4));
    let high = log(max(largest_radius, 1e-4));
    var total = 0.0;
    for (var k = 0u; k < 8u; k++) {
        var node = 0.0;
        var weight = 0.0;
        switch k / 2u {
            case 0u: { node = 0.18343464; weight = 0.36268378; }
            case 1u: { node = 0.52553241; weight = 0.31370665; }
            case 2u: { node = 0.79666648; weight = 0.22238103; }
            default: { node = 0.96028986; weight = 0.10122854; }
        }
        if k % 2u == 1u {
            node = -node;
        }
        let y = 0.5 * (low + high) + 0.5 * (high - low) * node;
        // 4/3 1e-4 1e-22 / 1.6605655e-24.
        (*c).scaled[k] = 8.0293938e-3 * density * safe_exp(y);
        (*c).share[k] = weight * safe_exp((4.0 - index) * (y - high));
        total += (*c).share[k];
    }
    for (var k = 0u; k < 8u; k++) {
        (*c).share[k] /= total;
    }
    (*c).has_grains = true;
}

// Holds the weights in range and divides by the dust's mass.
fn species_ready(c: ptr<function, Species>) {
    var mass = 0.0;
    for (var k = 0u; k < (*c).columns; k++) {
        (*c).gas[k] = clamp((*c).gas[k], -1e6, 1e6);
        (*c).dust[k] = clamp((*c).dust[k], -1e6, 1e6);
        mass += table((*c).masses + k) * (*c).dust[k];
    }
    (*c).has_grains = (*c).has_grains && mass > 1e-9;
    if (*c).has_grains {
        for (var k = 0u; k < 8u; k++) {
            (*c).scaled[k] /= mass;
            (*c).share[k] /= (*c).scaled[k];
        }
    }
}

fn tbgrain_setup(p: u32, t: u32) -> Species {
    var c = species_new(par(p), 0.0, t);
    let h2 = par(p + 1u);
    c.gas[0] = 1.0;
    c.gas[1] = 1.0 - h2;
    c.gas[2] = 0.5 * h2;
    if par(p + 2u) > 0.0 {
        c.dust[3] = 1.0;
        species_grains(&c, par(p + 2u), par(p + 3u), par(p + 4u), par(p + 5u));
    } else {
        c.gas[3] = 1.0;
    }
    species_ready(&c);
    return c;
}

fn tbpcf_setup(p: u32, t: u32) -> Species {
    var c = species_new(par(p), par(p + 2u), t);
    c.gas[0] = 1.0;
    c.dust[1] = 1.0;
    c.cover = par(p + 1u);
    species_grains(&c, 1.0, 0.025, 0.25, 3.5);
    species_ready(&c);
    return c;
}

fn tbfeo_setup(p: u32, t: u32) -> Species {
    var c = species_new(par(p), par(p + 3u), t);
    c.gas[0] = 1.0;
    c.gas[2] = par(p + 1u);
    c.gas[4] = par(p + 2u);
    c.dust[1] = 1.0;
    c.dust[3] = par(p + 1u);
    c.dust[5] = par(p + 2u);
    species_grains(&c, 1.0, 0.025, 0.25, 3.5);
    species_ready(&c);
    return c;
}

fn tbvarabs_setup(p: u32, t: u32) -> Species {
    var c = species_new(par(p), par(p + 41u), t);
    let density = par(p + 19u);
    for (var k = 0u; k < 18u; k++) {
        var abundance = 1.0;
        if k > 0u {
            abundance = par(p + k);
        }
        var fraction = par(p + 23u + k);
        if density <= 0.0 {
            fraction = 1.0;
        }
        c.gas[k] = abundance * fraction;
        c.dust[k] = abundance * (1.0 - fraction);
    }
    c.gas[18] = 0.5 * par(p + 18u) * c.gas[0];
    c.gas[0] *= 1.0 - par(p + 18u);
    species_grains(&c, density, par(p + 20u), par(p + 21u), par(p + 22u));
    species_ready(&c);
    return c;
}

fn tbrel_setup(p: u32, t: u32) -> Species {
    return tbvarabs_setup(p, t);
}

fn vphabs_elements(p: u32, redshift: f32, t: u32) -> Species {
    var c = species_new(par(p), redshift, t);
    c.gas[0] = 1.0;
    for (var k = 1u; k < 18u; k++) {
        c.gas[k] = par(p + k);
    }
    species_ready(&c);
    return c;
}

fn vphabs_setup(p: u32, t: u32) -> Species {
    return vphabs_elements(p, 0.0, t);
}

fn zvphabs_setup(p: u32, t: u32) -> Species {
    return vphabs_elements(p, par(p + 18u), t);
}

fn varabs_elements(p: u32, redshift: f32, t: u32) -> Species {
    var c = species_new(1.0, redshift, t);
    for (var k = 0u; k < 18u; k++) {
        c.gas[k] = par(p + k);
    }
    species_ready(&c);
    return c;
}

fn varabs_setup(p: u32, t: u32) -> Species {
    return varabs_elements(p, 0.0, t);
}

fn zvarabs_setup(p: u32, t: u32) -> Species {
    return varabs_elements(p, par(p + 18u), t);
}

fn species_at(first: u32, rows: u32, at: RowsPlace) -> f32 {
    if at.row >= rows {
        return 0.0;
    }
    let s0 = table(first + at.row);
    return safe_exp(s0 + at.place * (table(first + at.row + 1u) - s0));
}

fn species_value(c: Species, i: u32) -> f32 {
    var gas = 0.0;
    var dust = 0.0;
    let body = c.masses + c.columns;
    // A copy that can be indexed.
    var weights = c;
    if c.rows == 0u {
        let padded = (energies() + 127u) / 128u * 128u;
        for (var k = 0u; k < c.columns; k++) {
            let sigma = table(body + k * padded + i);
            gas += weights.gas[k] * sigma;
            dust += weights.dust[k] * sigma;
        }
    } else {
        let edges = body + c.rows * (c.columns + 2u);
        let ends = edges + 3u * c.edges;
        let below = rows_place(body, c.rows, ends + i, c.ln_stretch);
        let above = rows_place(body, c.rows, ends + energies() + i, c.ln_stretch);
        for (var k = 0u; k < c.columns; k++) {
            let first = body + c.rows * (k + 2u);
            let sigma = 0.5 * (species_at(first, c.rows, below) + species_at(first, c.rows, above));
            gas += weights.gas[k] * sigma;
            dust += weights.dust[k] * sigma;
        }
        if c.edges > 0u {
            let steps = Steps(edges, c.edges, ends + 4u * energies(), body, c.rows, c.ln_stretch);
            let first_step = steps_first(steps, i);
            for (var k = first_step; k < c.edges; k++) {
                let place = steps_place(steps, k, i);
                if place >= table(steps.bins + 2u * energies() + i) {
                    break;
                }
                let column = steps_column(steps, k);
                if place > 0.0 && !steps_seen(steps, first_step, k, column, i) {
                    let own = body + c.rows * (column + 2u);
                    gas += weights.gas[column] * steps_change(steps, k, own, i, table(ends + i) + c.ln_stretch);
                }
            }
        }
    }
    if c.has_grains {
        for (var k = 0u; k < 8u; k++) {
            gas -= weights.share[k] * exp_m1(min(-dust * weights.scaled[k], 60.0));
        }
    }
    return (1.0 - c.cover) + c.cover * safe_exp(min(c.minus * gas, 60.0));
}
