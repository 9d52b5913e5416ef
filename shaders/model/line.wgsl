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

fn gauss_value(c: Gauss, i: u32) -> f32 {
    if c.is_delta {
        return select(0.0, c.norm, edge_lo(i) <= c.energy && c.energy < edge_hi(i));
    }
    let u = abs((mid_hi(i) - c.energy) + (mid_lo(i) - c.energy_low)) * c.inverse;
    let half = 0.5 * width(i) * c.inverse;
    if u - half > 7.0 {
        return 0.0;
    }
    return c.norm * normal_area(u, half);
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
    if u - half > 7.0 {
        return 0.0;
    }
    return c.norm * normal_area(u, half);
}
