// cflux, cpflux, clumin: the source to a given flux; partcov: 1 - f + f times the source.

struct Scale { factor: f32 }

// Photons/cm2/s (mode 0) or keV/cm2/s (mode 1) between two energies; bins partly inside count by the share of their width.
fn scale_band(slot: u32, low: f32, high: f32, mode: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < energies(); k++) {
        let lo = edge_lo(k);
        let hi = edge_hi(k);
        var inside = 1.0;
        if low > lo || hi > high {
            inside = clamp((min(hi, high) - max(lo, low)) / width(k), 0.0, 1.0);
        }
        sum += source(slot, k) * inside * select(1.0, mid_hi(k), mode == 1u);
    }
    return sum;
}

// To a flux whose logarithm is wanted: 1e36 times the source at most, and below 1e-37 nothing.
fn scale_to(ln_wanted: f32, flux: f32) -> Scale {
    let ln_factor = ln_wanted - log(max(flux, 1e-37));
    if flux > 0.0 && ln_factor > -85.19565 {
        return Scale(safe_exp(min(ln_factor, 82.893063)));
    }
    return Scale(0.0);
}

fn cflux_setup(p: u32, t: u32, slot: u32) -> Scale {
    return scale_to(2.3025851 * (par(p + 2u) + 8.7952896), scale_band(slot, par(p), par(p + 1u), 1u));
}

fn cpflux_setup(p: u32, t: u32, slot: u32) -> Scale {
    if par(p + 2u) <= 0.0 {
        return Scale(0.0);
    }
    return scale_to(log(par(p + 2u)), scale_band(slot, par(p), par(p + 1u), 0u));
}

fn scale_distance_part(half: f32, node: f32, weight: f32) -> f32 {
    let a = safe_exp(half * (1.0 + node));
    let b = safe_exp(half * (1.0 - node));
    return weight * (a / sqrt(0.27 * a * a * a + 0.73) + b / sqrt(0.27 * b * b * b + 0.73));
}

fn clumin_setup(p: u32, t: u32, slot: u32) -> Scale {
    let z = max(stretch(par(p + 2u)), 1.0);
    let half = 0.5 * log_1p(max(par(p + 2u), 0.0));
    let sum = scale_distance_part(half, 0.18343464, 0.36268378) + scale_distance_part(half, 0.52553241, 0.31370665)
        + scale_distance_part(half, 0.79666648, 0.22238103) + scale_distance_part(half, 0.96028986, 0.10122854);
    let distance = 4.2827494 * z * half * sum;
    let flux = scale_band(slot, par(p) / stretch(par(p + 2u)), par(p + 1u) / stretch(par(p + 2u)), 1u);
    return scale_to(2.3025851 * ((par(p + 3u) - 56.0779094) + 8.7952896), flux * distance * distance);
}

fn scale_value(c: Scale, slot: u32, i: u32) -> f32 {
    return c.factor * source(slot, i);
}

fn partcov_setup(p: u32, t: u32, slot: u32) -> Scale {
    return Scale(par(p));
}

fn partcov_value(c: Scale, slot: u32, i: u32) -> f32 {
    return (1.0 - c.factor) + c.factor * source(slot, i);
}
