// gaussian, zgauss: exact bin integrals; a series for bins narrow against the line, erfc on its outer side otherwise.

// The energy in two parts: the distance of a bin from a narrow line needs more digits than one f32 has.
struct Gauss { norm: f32, energy: f32, energy_low: f32, inverse: f32, is_delta: bool }

fn gauss_line(energy: f32, energy_low: f32, sigma: f32, norm: f32) -> Gauss {
    let s = max(max(sigma, 2e-7 * energy), 1e-9);
    let above_zero = 1.0 - 0.5 * erfc_positive(energy / s * 0.70710678);
    return Gauss(norm / above_zero, energy, energy_low, 1.0 / s, sigma <= 2e-7 * energy);
}

fn gaussian_setup(p: u32, t: u32) -> Gauss {
    return gauss_line(par(p), 0.0, par(p + 1u), par(p + 2u));
}

fn zgauss_setup(p: u32, t: u32) -> Gauss {
    let z = stretch(par(p + 2u));
    let energy = par(p) / z;
    let rest = quotient_rest(par(p), z, par(p + 2u) - (z - 1.0), energy);
    return gauss_line(energy, rest, par(p + 1u) / z, par(p + 3u) / z);
}

// Area over u - half .. u + half, half small.
fn gauss_narrow(u: f32, half: f32) -> f32 {
    let q2 = u * half * u * half;
    let h2 = half * half;
    let second = 1.0 / 3.0 + q2 * (0.1 + q2 * (1.0 / 168.0 + q2 / 6480.0));
    let fourth = 0.2 + q2 * (1.0 / 14.0 + q2 / 216.0);
    let mean = sinhc(u * half) - 0.5 * h2 * second + 0.125 * h2 * h2 * fourth;
    return safe_exp(-0.5 * u * u) * 0.79788456 * half * mean;
}

fn gauss_value(c: Gauss, i: u32) -> f32 {
    if c.is_delta {
        return select(0.0, c.norm, edge_lo(i) <= c.energy && c.energy < edge_hi(i));
    }
    let u = abs((mid_hi(i) - c.energy) + (mid_lo(i) - c.energy_low)) * c.inverse;
    let half = 0.5 * width(i) * c.inverse;
    let near = u - half;
    if near > 7.0 {
        return 0.0;
    }
    if half < 0.15 {
        return c.norm * gauss_narrow(u, half);
    }
    let a = 0.5 * erfc_positive(abs(near) * 0.70710678);
    let b = 0.5 * erfc_positive((u + half) * 0.70710678);
    return c.norm * select(a - b, 1.0 - a - b, near < 0.0);
}

// agauss, zagauss: Gaussian in wavelength; distances are taken in energy.

struct Wavelength { norm: f32, energy: f32, energy_low: f32, ratio: f32, scale: f32, is_delta: bool }

fn wavelength_line(line: f32, spread: f32, photons: f32, energy_low: f32) -> Wavelength {
    let s = max(spread, 2e-7 * line);
    let above_zero = 1.0 - 0.5 * erfc_positive(line / s * 0.70710678);
    return Wavelength(photons / above_zero, 12.39841984 / line, energy_low, line / s, 6.19920992 / s, spread <= 2e-7 * line);
}

// hc = 12.39841984332 as two f32.
fn wavelength_rest(line: f32) -> f32 {
    return quotient_rest(12.39841938, line, 0.0, 12.39841938 / line);
}

fn agauss_setup(p: u32, t: u32) -> Wavelength {
    let line = max(par(p), 1e-6);
    return wavelength_line(line, par(p + 1u), par(p + 2u), wavelength_rest(line));
}

fn zagauss_setup(p: u32, t: u32) -> Wavelength {
    let z = stretch(par(p + 2u));
    let line = max(par(p) * z, 1e-6);
    return wavelength_line(line, par(p + 1u) * z, par(p + 3u) / z, 0.0);
}

fn wavelength_value(c: Wavelength, i: u32) -> f32 {
    if c.is_delta {
        return select(0.0, c.norm, edge_lo(i) <= c.energy && c.energy < edge_hi(i));
    }
    let lo = edge_lo(i);
    let hi = edge_hi(i);
    let distance = (mid_hi(i) - c.energy) + (mid_lo(i) - c.energy_low);
    let u = abs(c.ratio * (0.25 * width(i) * width(i) - distance * (mid_hi(i) + mid_lo(i))) / (lo * hi));
    let half = c.scale * width(i) / (lo * hi);
    let near = u - half;
    if near > 7.0 {
        return 0.0;
    }
    if half < 0.15 {
        return c.norm * gauss_narrow(u, half);
    }
    let a = 0.5 * erfc_positive(abs(near) * 0.70710678);
    let b = 0.5 * erfc_positive((u + half) * 0.70710678);
    return c.norm * select(a - b, 1.0 - a - b, near < 0.0);
}
