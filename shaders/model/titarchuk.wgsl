// compTT: see titarchuk.rs. Room: ln of the scattered part at 200 values of ln E.

struct Titarchuk { amplitude: f32, seed: f32, plasma: f32, share: f32, ln_first: f32, inverse: f32 }

// 1 + (e^-tau - 1) / tau.
fn titarchuk_escape(tau: f32) -> f32 {
    return select(1.0 + exp_m1(-tau) / tau, tau * (0.5 - tau * (1.0 / 6.0 - tau / 24.0)), tau < 0.1);
}

fn titarchuk_betas(tau: f32, sphere: bool) -> f32 {
    var taus = array<f32, 14>(0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0);
    var betas = array<f32, 14>(1.23, 0.84, 0.655, 0.45, 0.335, 0.234, 0.147, 0.101, 0.0735, 0.0559, 0.0355, 0.0245,
        0.013393, 0.00706);
    if sphere {
        betas = array<f32, 14>(2.97, 1.97, 1.60, 1.18, 0.925, 0.688, 0.462, 0.334, 0.252, 0.197, 0.130, 0.092, 0.0522, 0.0278);
    }
    var above = 1u;
    while above < 13u && taus[above] <= tau {
        above++;
    }
    let along = (tau - taus[above - 1u]) / (taus[above] - taus[above - 1u]);
    return betas[above - 1u] * safe_exp(along * log(betas[above] / betas[above - 1u]));
}

fn titarchuk_beta(tau: f32, geometry: f32) -> f32 {
    let sphere = abs(geometry) > 1.0;
    if tau < 0.1 {
        return select(log(1.0 / tau / log(1.53 / tau)), log(1.3333333 / tau), sphere);
    }
    if geometry < 0.0 && tau < 10.0 {
        return titarchuk_betas(tau, sphere);
    }
    let thick = 3.1415927 / (tau + 0.66666667);
    if sphere {
        return thick * thick / 3.0 * -exp_m1(-0.7 * tau) + safe_exp(-1.4 * tau) * log(4.0 / (3.0 * tau));
    }
    return thick * thick / 12.0 * -exp_m1(-1.35 * tau) + 0.45 * safe_exp(-3.7 * tau) * log(10.0 / (3.0 * tau));
}

fn titarchuk_left(a: f32, theta: f32) -> f32 {
    let d = log(3.0 * ((a + 3.0) * a + 4.0) / ((a + 3.0) * (a + 2.0) * (a + 2.0))) + ln_gamma(2.0 * a + 2.0);
    return a * log_1p((a + 3.0) * theta / (1.0 + theta) + 4.0 * safe_exp(d / a) * theta * theta);
}

fn titarchuk_term(t: f32, w: f32, x: f32, a: f32, fixed: f32) -> f32 {
    return w * safe_exp(fixed + a * log(t) + (a + 2.0) * log(x + t)) * (x + t - a - 3.0);
}

fn titarchuk_node(node: f32, weight: f32, half: f32, n: f32, b: f32) -> f32 {
    let s = half * (1.0 + node);
    return weight * safe_exp(-n * s - b * safe_exp(-s));
}

fn comptt_setup(p: u32, t: u32, room: ptr<private, Room>) -> Titarchuk {
    let z = stretch(par(p));
    let seed = max(par(p + 1u), 1e-3);
    let electrons = max(par(p + 2u), 2.0);
    let tau = max(par(p + 3u), 0.01);
    let geometry = par(p + 4u);
    let theta = electrons / 511.0;
    let beta = titarchuk_beta(tau, geometry);
    var low = 1e-3;
    var high = 10.0;
    for (var k = 0u; k < 26u; k++) {
        let middle = 0.5 * (low + high);
        if titarchuk_left(middle, theta) < beta {
            low = middle;
        } else {
            high = middle;
        }
    }
    let a = 0.5 * (low + high);
    let n = a + 3.0;
    let depth = tau / (1.0 + safe_exp(0.86 * log(electrons / 39.2)));
    var shift = depth * 0.5;
    if depth >= 0.01 {
        shift = titarchuk_escape(depth);
        if abs(geometry) > 1.0 {
            // The closed form cancels at small depths.
            if depth < 1.0 {
                shift = depth * (0.25 - depth * (1.0 / 20.0 - depth * (1.0 / 120.0 - depth * (1.0 / 840.0 - depth * (1.0 / 6720.0
                    - depth / 60480.0)))));
            } else {
                shift = 1.0 - 3.0 / depth * (1.0 - 2.0 / depth - 2.0 / (depth * depth) * exp_m1(-depth));
            }
        }
    }
    let ratio = seed / electrons * safe_exp(log(shift) / n);
    let step = log(max(40.0 * electrons / seed, 1.0) * 1000.0) / 197.0;
    let half = 0.5 * step;
    let fixed = log((2.0 * a + 3.0) / a) - ln_gamma(2.0 * a + 4.0);
    let ln_first = -6.9077553 - step;
    let first = safe_exp(ln_first);
    // Its logarithm: the smallest are far below what f32 holds.
    var ln_g = log(1.0 / n - first / (n + 1.0) + 0.5 * first * first / (n + 2.0));
    for (var k = 0u; k < 200u; k++) {
        let b = safe_exp(ln_first + step * f32(k));
        if k > 0u {
            let added = titarchuk_node(0.33998104, 0.65214515, half, n, b) + titarchuk_node(-0.33998104, 0.65214515, half, n, b)
                + titarchuk_node(0.86113631, 0.34785485, half, n, b) + titarchuk_node(-0.86113631, 0.34785485, half, n, b);
            ln_g -= n * step;
            if added > 0.0 {
                ln_g += log_1p(half * added * safe_exp(-ln_g));
            }
        }
        let x = b * ratio;
        let sum = titarchuk_term(0.13779347, 0.30844112, x, a, fixed) + titarchuk_term(0.72945455, 0.40111993, x, a, fixed)
            + titarchuk_term(1.8083429, 0.21806829, x, a, fixed) + titarchuk_term(3.4014337, 0.062087456, x, a, fixed)
            + titarchuk_term(5.5524961, 0.009501517, x, a, fixed) + titarchuk_term(8.3301527, 7.5300839e-4, x, a, fixed)
            + titarchuk_term(11.843786, 2.8259233e-5, x, a, fixed) + titarchuk_term(16.279258, 4.249314e-7, x, a, fixed)
            + titarchuk_term(21.996586, 1.8395648e-9, x, a, fixed) + titarchuk_term(29.920697, 9.9118272e-13, x, a, fixed);
        (*room)[k] = log(max(sum, 1e-37)) + ln_g;
    }
    let amplitude = 0.5 * a * n / (2.0 * a + 3.0) * electrons / seed;
    return Titarchuk(par(p + 5u) * amplitude, z / seed, z / electrons, 1.0 / n, ln_first + log(seed) - log(z), 1.0 / step);
}

fn titarchuk_value(c: Titarchuk, room: ptr<private, Room>, i: u32) -> f32 {
    let place = (ln_mid(i) - c.ln_first) * c.inverse;
    let held = clamp(place, 1.001, 197.999);
    let k = u32(held);
    let t = held - f32(k);
    let cubic = four_point((*room)[k - 1u], (*room)[k], (*room)[k + 1u], (*room)[k + 2u], t);
    let slope = cubic.y;
    let value = cubic.x + slope * (place - held);
    let bend = cubic.z * c.inverse * c.inverse;
    let e = centre(i);
    let b = e * c.seed;
    let x = e * c.plasma;
    let peak = c.amplitude * e * b * b;
    return log_integral(peak * c.share * safe_exp(-b), 3.0 - b, -b, i)
        + log_integral(peak * safe_exp(value - x), slope * c.inverse + 3.0 - x, bend - x, i);
}
