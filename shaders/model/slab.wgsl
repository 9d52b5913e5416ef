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

fn green_at(room: ptr<private, Room>, x: f32, end: f32) -> f32 {
    if x >= end || end <= 0.0195 {
        return 0.0;
    }
    let place = 63.0 * clamp(log(x / 0.0195) / log(end / 0.0195), 0.0, 1.0);
    let k = clamp(u32(place), 1u, 61u);
    let t = place - f32(k);
    let f0 = (*room)[k - 1u];
    let f1 = (*room)[k];
    let f2 = (*room)[k + 1u];
    let f3 = (*room)[k + 2u];
    let cubic = four_point(f0, f1, f2, f3, t).x;
    return safe_exp(clamp(cubic, min(min(f0, f1), min(f2, f3)), max(max(f0, f1), max(f2, f3))));
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
    let cosine = cos(clamp(par(p + 6u), 0.0, 90.0) * 0.017453293);
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

fn slab_value(c: Reflected, room: ptr<private, Room>, i: u32) -> f32 {
    let at = centre(i) * c.inverse;
    let source = log_integral(c.norm, c.slope - at, -at, i) * safe_exp(c.slope * ln_mid(i) - at);
    var sum = source * c.slab.direct;
    let middle = mid_hi(i) + mid_lo(i);
    let x = middle * c.slab.stretch / 511.0;
    if c.slab.amount > 0.0 && x >= 2e-4 {
        let late = slab_share(x);
        if late < 1.0 {
            sum += source * slab_albedo(c.slab, log(middle / 0.55) + log(c.slab.stretch)) * c.slab.amount * (1.0 - late);
        }
        if late > 0.0 {
            sum += green_at(room, x, c.slab.end) * c.factor * late * width(i) / (middle * middle);
        }
    }
    if c.flux > 0.0 {
        sum += c.flux * (slab_line(c, i, 6.4, 0.005) + 0.11333333 * slab_line(c, i, 7.05, 0.005)
            + 0.05 * slab_line(c, i, 7.47, 0.005) + c.shoulder * slab_line(c, i, 6.315, 0.035));
    }
    return sum;
}
