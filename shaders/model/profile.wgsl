// lorentz, zlorentz: the area in a bin is one arc tangent of a ratio.

struct Lorentz { norm: f32, photons: f32, energy: f32, energy_low: f32, inverse: f32, is_delta: bool }

fn lorentz_line(energy: f32, energy_low: f32, fwhm: f32, photons: f32) -> Lorentz {
    let w = max(max(fwhm, 4e-7 * energy), 1e-9);
    let above_zero = 0.5 + arctan_positive(2.0 * energy / w) * 0.31830989;
    return Lorentz(photons / above_zero * 0.31830989, photons, energy, energy_low, 2.0 / w, fwhm <= 4e-7 * energy);
}

fn lorentz_setup(p: u32, t: u32) -> Lorentz {
    return lorentz_line(par(p), 0.0, par(p + 1u), par(p + 2u));
}

fn zlorentz_setup(p: u32, t: u32) -> Lorentz {
    let z = stretch(par(p + 2u));
    let energy = par(p) / z;
    let rest = quotient_rest(par(p), z, par(p + 2u) - (z - 1.0), energy);
    return lorentz_line(energy, rest, par(p + 1u) / z, par(p + 3u) / z);
}

fn lorentz_value(c: Lorentz, i: u32) -> f32 {
    if c.is_delta {
        return select(0.0, c.photons, edge_lo(i) <= c.energy && c.energy < edge_hi(i));
    }
    let middle = clamp(((mid_hi(i) - c.energy) + (mid_lo(i) - c.energy_low)) * c.inverse, -1e15, 1e15);
    return c.norm * arctan_span(middle, min(0.5 * width(i) * c.inverse, 1e15));
}

// step: norm/2 erfc((E - energy)/(sqrt 2 sigma)).

struct Step { norm: f32, energy: f32, inverse: f32 }

fn step_setup(p: u32, t: u32) -> Step {
    let sigma = max(max(par(p + 1u), 2e-7 * par(p)), 1e-9);
    return Step(par(p + 2u), par(p), 0.70710678 / sigma);
}

fn step_complement(u: f32) -> f32 {
    let tail = 0.5 * erfc_positive(abs(u));
    return select(tail, 1.0 - tail, u < 0.0);
}

fn step_primitive(u: f32) -> f32 {
    return u * step_complement(u) - 0.28209479 * safe_exp(-u * u);
}

fn step_value(c: Step, i: u32) -> f32 {
    let middle = ((mid_hi(i) - c.energy) + mid_lo(i)) * c.inverse;
    let half = 0.5 * width(i) * c.inverse;
    if half < 0.25 {
        let a = 0.90617985 * half;
        let b = 0.53846931 * half;
        let mean = 0.11846344 * (step_complement(middle - a) + step_complement(middle + a))
            + 0.23931434 * (step_complement(middle - b) + step_complement(middle + b))
            + 0.28444444 * step_complement(middle);
        return c.norm * width(i) * mean;
    }
    let low = clamp(middle - half, -5.2, 5.2);
    let high = clamp(middle + half, -5.2, 5.2);
    let full = max(min(-5.2, middle + half) - (middle - half), 0.0);
    return c.norm * width(i) * (full + max(step_primitive(high) - step_primitive(low), 0.0)) / (2.0 * half);
}
