// pexrav, pexmon: a power law with an exponential cutoff and its reflection; see slab.rs. Room: 64 values of the reflection.

struct Reflected {
    slab: Slab,
    norm: f32,
    slope: f32,
    inverse: f32,
    factor: f32,
    flux: f32,
    shoulder: f32,
}

// ln of the reflected E F_E at 64 equal steps of ln x from 0.0195 to an end.
fn green_nodes(end: f32, room: ptr<private, Room>) {
    let span = log(end / 0.0195);
    for (var k = 0u; k < 64u; k++) {
        let along = f32(k) / 63.0;
        (*room)[k] = log(max(green_reflected(1.0 / (0.0195 * safe_exp(span * along))), 1e-30));
    }
}

// The reflected E F_E, and its logarithmic slope and curvature.
fn green_at(room: ptr<private, Room>, x: f32, end: f32) -> vec3<f32> {
    if x >= end || end <= 0.0195 {
        return vec3(0.0, 0.0, 0.0);
    }
    let steps = 63.0 / log(end / 0.0195);
    let place = clamp(log(x / 0.0195) * steps, 0.0, 63.0);
    let k = clamp(u32(place), 1u, 61u);
    let t = place - f32(k);
    let f0 = (*room)[k - 1u];
    let f1 = (*room)[k];
    let f2 = (*room)[k + 1u];
    let f3 = (*room)[k + 2u];
    let cubic = four_point(f0, f1, f2, f3, t);
    let held = clamp(cubic.x, min(min(f0, f1), min(f2, f3)), max(max(f0, f1), max(f2, f3)));
    // Where the reflection ends within a step the logarithm falls without measure.
    let inside = held == cubic.x;
    return vec3(safe_exp(held), select(0.0, cubic.y * steps, inside), select(0.0, cubic.z * steps * steps, inside));
}

fn slab_photons(e: f32) -> f32 {
    return safe_exp(-green_index * log(e) - e * green_inverse);
}

fn pexrav_setup(p: u32, t: u32, room: ptr<private, Room>) -> Reflected {
    return slab_setup(p, slab_new(par(p + 2u), par(p + 3u), par(p + 4u), par(p + 5u), par(p + 6u), t), room);
}

fn slab_setup(p: u32, slab: Slab, room: ptr<private, Room>) -> Reflected {
    let index = par(p);
    let z = slab.stretch;
    green_index = index;
    green_inverse = select(0.0, 1.0 / par(p + 1u), par(p + 1u) > 0.0);
    let at_one = (slab_photons(max(z - 0.01, 1e-3)) + 4.0 * slab_photons(z) + slab_photons(z + 0.01)) / 6.0;
    let scale = select(0.0, min(par(p + 7u) / max(at_one, 1e-37), 1e30), at_one > 0.0);
    var c: Reflected;
    c.slab = slab;
    c.norm = scale * safe_exp(-index * log(z));
    c.slope = 1.0 - index;
    c.inverse = green_inverse * z;
    c.factor = scale / (z * z) * slab.amount;
    c.flux = 0.0;
    // Energies above 10 keV need the Green's function.
    if slab.amount > 0.0 && edge_hi(energies() - 1u) * z > 9.9 {
        green_setup(slab.cosine, slab_asymptotic(slab));
        green_nodes(slab.end, room);
    }
    return c;
}

fn pexmon_setup(p: u32, t: u32, room: ptr<private, Room>) -> Reflected {
    let cosine = cos_sin(clamp(par(p + 6u), 0.0, 90.0) * 0.017453293).x;
    var c = slab_setup(p, slab_new(par(p + 2u), par(p + 3u), par(p + 4u), par(p + 5u), cosine, t), room);
    let index = par(p);
    var of_index = 9.66 * safe_exp(-2.8 * log(max(index, 1.0))) - 0.56;
    if index <= 1.1 {
        of_index = 6.83;
    } else if index >= 2.5 {
        of_index = 0.182;
    }
    let of_angle = cosine * (2.210 + cosine * (-1.749 + cosine * 0.541));
    let log_iron = log(clamp(par(p + 5u), 1e-7, 100.0)) * 0.43429448;
    let of_iron = select(safe_exp(2.3025851 * log_iron * (0.641 - 0.172 * log_iron)), 0.0, par(p + 5u) < 1e-7);
    c.shoulder = 0.1 + 0.1 * cosine;
    c.flux = 4.75e-3 * of_index * of_angle * of_iron * abs(par(p + 2u)) * par(p + 7u);
    return c;
}

// A line at an energy in the slab's frame.
fn slab_line(c: Reflected, i: u32, energy: f32, sigma: f32) -> f32 {
    let z = c.slab.stretch;
    let observed = energy / z;
    let rest = quotient_rest(energy, z, 0.0, observed);
    let u = abs((mid_hi(i) - observed) + (mid_lo(i) - rest)) * z / sigma;
    let half = 0.5 * width(i) * z / sigma;
    if u - half > 7.0 {
        return 0.0;
    }
    return normal_area(u, half);
}

// Photons of bin i, or of a part of it that is narrow and holds no edge: its middle (keV), ln of that, ln(hi/lo), the rows that hold.
fn slab_part(c: Reflected, room: ptr<private, Room>, middle: f32, ln_middle: f32, extent: f32, rows: vec2<u32>) -> f32 {
    let at = middle * c.inverse;
    let slope = c.slope - at;
    let source = log_integral_over(c.norm, slope, -at, extent) * safe_exp(c.slope * ln_middle - at);
    var sum = source * c.slab.direct;
    let x = middle * c.slab.stretch / 511.0;
    if x < 2e-4 {
        return sum;
    }
    // A density that goes as E^(s-1) has its photons' mean ln E so many times s above the middle.
    let twelfth = extent * extent * (1.0 / 12.0);
    let late = slab_share(x * (1.0 + slope * twelfth));
    if late < 1.0 {
        let ln_e = (ln_middle + 0.5978370) + log(c.slab.stretch) + slope * twelfth;
        sum += source * slab_albedo(c.slab, ln_e, rows) * c.slab.amount * (1.0 - late);
    }
    if slab_share(x * (1.0 + extent)) > 0.0 {
        let reflected = green_at(room, x, c.slab.end);
        let share = slab_share(x * (1.0 + (reflected.y - 1.0) * twelfth));
        sum += log_integral_over(reflected.x * c.factor * share / middle, reflected.y - 1.0, reflected.z, extent);
    }
    return sum;
}

fn slab_value(c: Reflected, room: ptr<private, Room>, i: u32) -> f32 {
    let middle = mid_hi(i) + mid_lo(i);
    var sum = 0.0;
    if c.slab.amount > 0.0 {
        let half = 0.5 * width(i);
        let late = (middle + half) * c.slab.stretch / 511.0 > 0.01957;
        let wide = max(ceil(width(i) / middle / select(0.02, 0.005, late)), 1.0);
        var edge = slab_edges_below(c.slab, i);
        var from_place = -half;
        loop {
            var to_place = half;
            if edge < c.slab.edges {
                to_place = min(slab_edge(c.slab, edge, i), half);
            }
            let rows = slab_rows(c.slab, edge);
            if wide <= 1.0 && to_place - from_place >= 2.0 * half {
                sum = slab_part(c, room, centre(i), ln_mid(i), log_width(i), rows);
            } else {
                let parts = max(ceil((to_place - from_place) / width(i) * wide), 1.0);
                let part = (to_place - from_place) / parts;
                for (var k = 0.0; k < parts; k += 1.0) {
                    let place = from_place + (k + 0.5) * part;
                    let own = middle + place;
                    let r = 0.5 * part / own;
                    let geometric = own * sqrt(max(1.0 - r * r, 0.0));
                    sum += slab_part(c, room, geometric, log(geometric), log_extent(r), rows);
                }
            }
            if to_place >= half {
                break;
            }
            from_place = to_place;
            edge++;
        }
    } else {
        let at = centre(i) * c.inverse;
        sum = log_integral(c.norm, c.slope - at, -at, i) * safe_exp(c.slope * ln_mid(i) - at) * c.slab.direct;
    }
    if c.flux > 0.0 {
        sum += c.flux * (slab_line(c, i, 6.4, 0.005) + 0.11333333 * slab_line(c, i, 7.05, 0.005)
            + 0.05 * slab_line(c, i, 7.47, 0.005) + c.shoulder * slab_line(c, i, 6.315, 0.035));
    }
    return sum;
}
