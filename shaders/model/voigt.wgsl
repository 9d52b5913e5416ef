// voigt, zvoigt: int L(t) G(bin - t) dt with t = (Gamma/2) sinh s, by the trapezoidal rule in s.

// mode: 0 both, 1 Gaussian alone, 2 Lorentzian alone, 3 a line without width.
struct Voigt { norm: f32, photons: f32, energy: f32, energy_low: f32, sigma: f32, half_gamma: f32, mode: u32 }

fn voigt_density(u: f32) -> f32 {
    return 0.39894228 * safe_exp(-0.5 * u * u);
}

fn voigt_above(t: f32) -> f32 {
    let angle = arctan_positive(abs(t)) * 0.31830989;
    return select(0.5 + angle, 0.5 - angle, t < 0.0);
}

// Fraction of the profile above E = 0: the Lorentzian's share above zero around energy + sigma u, averaged over the normal
// variable u; where that share rises within reach and faster than the density, u is stretched around the rise by a sinh.
fn voigt_share(energy: f32, sigma: f32, gamma: f32) -> f32 {
    let rise = -min(energy / sigma, 1e15);
    let ratio = clamp(0.5 * gamma / sigma, 1e-7, 1e15);
    var sum = 0.0;
    if ratio >= 0.5 || rise < -8.5 {
        for (var k = -85.0; k <= 85.0; k += 1.0) {
            sum += voigt_density(0.1 * k) * voigt_above((0.1 * k - rise) / ratio);
        }
        return 0.1 * sum;
    }
    let from_s = voigt_asinh((-8.5 - rise) / ratio);
    let to_s = voigt_asinh((8.5 - rise) / ratio);
    let steps = ceil((to_s - from_s) / 0.05);
    let step = (to_s - from_s) / steps;
    for (var k = 0.0; k <= steps; k += 1.0) {
        let e = exp(from_s + step * k);
        let inverse = 1.0 / e;
        let t = 0.5 * (e - inverse);
        sum += voigt_density(rise + ratio * t) * voigt_above(t) * ratio * 0.5 * (e + inverse);
    }
    return sum * step;
}

fn voigt_line(energy: f32, energy_low: f32, sigma: f32, gamma: f32, photons: f32) -> Voigt {
    var mode = 0u;
    let share = voigt_share(energy, max(sigma, 1e-9), max(gamma, 1e-9));
    var norm = photons / share;
    if gamma <= 1e-4 * sigma || gamma <= 4e-7 * energy {
        mode = select(1u, 3u, sigma <= 2e-7 * energy);
    } else {
        mode = select(0u, 2u, sigma <= 1e-4 * gamma || sigma <= 2e-7 * energy);
        norm *= 0.31830989;
    }
    return Voigt(norm, photons, energy, energy_low, max(sigma, 1e-9), 0.5 * max(gamma, 1e-9), mode);
}

fn voigt_setup(p: u32, t: u32) -> Voigt {
    return voigt_line(par(p), 0.0, par(p + 1u), par(p + 2u), par(p + 3u));
}

fn zvoigt_setup(p: u32, t: u32) -> Voigt {
    let z = stretch(par(p + 3u));
    let energy = par(p) / z;
    let rest = quotient_rest(par(p), z, par(p + 3u) - (z - 1.0), energy);
    return voigt_line(energy, rest, par(p + 1u) / z, par(p + 2u) / z, par(p + 4u) / z);
}

fn voigt_asinh(x: f32) -> f32 {
    let a = abs(x);
    let value = log_1p(a + a * a / (1.0 + sqrt(1.0 + a * a)));
    return select(value, -value, x < 0.0);
}

fn voigt_value(c: Voigt, i: u32) -> f32 {
    let middle = (mid_hi(i) - c.energy) + (mid_lo(i) - c.energy_low);
    let half = 0.5 * width(i) / c.sigma;
    if c.mode == 3u {
        return select(0.0, c.photons, edge_lo(i) <= c.energy && c.energy < edge_hi(i));
    }
    if c.mode == 1u {
        let u = abs(middle) / c.sigma;
        if u - half > 7.0 {
            return 0.0;
        }
        return c.norm * normal_area(u, half);
    }
    if c.mode == 2u {
        let m = clamp(middle / c.half_gamma, -1e15, 1e15);
        let h = min(0.5 * width(i) / c.half_gamma, 1e15);
        return c.norm * arctan_span(m, h);
    }
    if abs(middle) - 0.5 * width(i) > 300.0 * c.sigma {
        // The Lorentzian hardly bends over the Gaussian.
        let m = clamp(middle / c.half_gamma, -1e15, 1e15);
        let bend = c.sigma / middle;
        let g = c.half_gamma / middle;
        let area = arctan_span(m, min(0.5 * width(i) / c.half_gamma, 1e15));
        return c.norm * area * (1.0 + bend * bend * (3.0 - g * g) / ((1.0 + g * g) * (1.0 + g * g)));
    }
    let reach = 0.5 * width(i) + 7.5 * c.sigma;
    let from_s = voigt_asinh((middle - reach) / c.half_gamma);
    let to_s = voigt_asinh((middle + reach) / c.half_gamma);
    // Fine enough for s and for the Gaussian's edges, which are sigma/t wide in s.
    let finest = max(10.0, (abs(middle) + reach) / (0.8 * c.sigma));
    let steps = ceil(clamp((to_s - from_s) * finest, 24.0, 800.0));
    let step = (to_s - from_s) / steps;
    let ratio = 0.5 * c.half_gamma / c.sigma;
    let place = middle / c.sigma;
    var sum = 0.0;
    for (var k = 0.0; k < steps; k += 1.0) {
        let e = exp(from_s + step * (k + 0.5));
        let inverse = 1.0 / e;
        sum += normal_area(abs(place - ratio * (e - inverse)), half) * 2.0 / (e + inverse);
    }
    return c.norm * sum * step;
}
