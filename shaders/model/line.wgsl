// gaussian, zgauss: exact bin integrals; a series for bins narrow against the line, erfc on its outer side otherwise.

struct Gauss { norm: f32, energy: f32, inverse: f32, is_delta: bool }

fn gauss_line(energy: f32, sigma: f32, norm: f32) -> Gauss {
    let s = max(max(sigma, 2e-7 * energy), 1e-9);
    let above_zero = 1.0 - 0.5 * erfc_positive(energy / s * 0.70710678);
    return Gauss(norm / above_zero, energy, 1.0 / s, sigma <= 2e-7 * energy);
}

fn gaussian_setup(p: u32, t: u32) -> Gauss {
    return gauss_line(par(p), par(p + 1u), par(p + 2u));
}

fn zgauss_setup(p: u32, t: u32) -> Gauss {
    let z = stretch(par(p + 2u));
    return gauss_line(par(p) / z, par(p + 1u) / z, par(p + 3u) / z);
}

fn gauss_value(c: Gauss, i: u32) -> f32 {
    if c.is_delta {
        return select(0.0, c.norm, edge_lo(i) <= c.energy && c.energy < edge_hi(i));
    }
    let u = abs((mid_hi(i) - c.energy) + mid_lo(i)) * c.inverse;
    let half = 0.5 * width(i) * c.inverse;
    let near = u - half;
    if near > 7.0 {
        return 0.0;
    }
    if half < 0.15 {
        let q2 = u * half * u * half;
        let h2 = half * half;
        let second = 1.0 / 3.0 + q2 * (0.1 + q2 * (1.0 / 168.0 + q2 / 6480.0));
        let fourth = 0.2 + q2 * (1.0 / 14.0 + q2 / 216.0);
        let mean = sinhc(u * half) - 0.5 * h2 * second + 0.125 * h2 * h2 * fourth;
        return c.norm * safe_exp(-0.5 * u * u) * 0.39894228 * c.inverse * width(i) * mean;
    }
    let a = 0.5 * erfc_positive(abs(near) * 0.70710678);
    let b = 0.5 * erfc_positive((u + half) * 0.70710678);
    return c.norm * select(a - b, 1.0 - a - b, near < 0.0);
}
