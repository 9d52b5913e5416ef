// diskpbb, ezdiskbb, bmc: cubic pieces of a logarithm over ln x, x = E/temperature, at Chebyshev nodes of a second parameter.
// table: per node 512 pieces of 4 coefficients, from x = 1e-6 to 1e6.

struct Surface {
    amplitude: f32,
    power: f32,
    decay: f32,
    inverse: f32,
    ln_inverse: f32,
    seed: f32,
    first: u32,
    nodes: u32,
    weights: array<f32, 13>,
}

fn surface_new(kt: f32, amplitude: f32, power: f32, decay: f32, t: u32) -> Surface {
    var c: Surface;
    let temperature = max(kt, 1e-5);
    c.amplitude = select(amplitude, 0.0, kt < 1e-5);
    c.power = power;
    c.decay = decay;
    c.inverse = 1.0 / temperature;
    c.ln_inverse = -log(temperature);
    c.first = t;
    c.nodes = 1u;
    c.weights[0] = 1.0;
    return c;
}

fn surface_node(n: u32, count: u32, low: f32, high: f32) -> f32 {
    return 0.5 * (low + high) - 0.5 * (high - low) * cos_sin(3.1415927 * (f32(n) + 0.5) / f32(count)).x;
}

// Lagrange's weights.
fn surface_weights(c: ptr<function, Surface>, value: f32, count: u32, low: f32, high: f32) {
    let at = clamp(value, low, high);
    (*c).nodes = count;
    for (var n = 0u; n < count; n++) {
        let own = surface_node(n, count, low, high);
        var weight = 1.0;
        for (var m = 0u; m < count; m++) {
            if m != n {
                let other = surface_node(m, count, low, high);
                weight *= (at - other) / (own - other);
            }
        }
        (*c).weights[n] = weight;
    }
}

fn diskpbb_setup(p: u32, t: u32) -> Surface {
    let tin = max(par(p), 1e-5);
    let index = clamp(par(p + 1u), 0.5, 1.0);
    let amplitude = 2.085e-3 / index * par(p + 2u) * tin * tin * tin;
    var c = surface_new(par(p), amplitude, 3.0 - 2.0 / index, 1.0, t);
    surface_weights(&c, 2.0 / index - 1.0, 9u, 1.0, 3.0);
    return c;
}

fn ezdiskbb_setup(p: u32, t: u32) -> Surface {
    let t_max = max(par(p), 1e-5);
    return surface_new(par(p), 2.0688e-3 * par(p + 1u) * t_max * t_max * t_max, 3.0, 1.0, t);
}

fn bmc_setup(p: u32, t: u32) -> Surface {
    let kt = max(par(p), 1e-5);
    let alpha = clamp(par(p + 1u), 0.01, 6.0);
    // Shares of the scattered and of the seed photons, each from its own side so that neither cancels.
    let log_a = clamp(par(p + 2u), -30.0, 30.0);
    let scattered = 1.0 / (1.0 + safe_exp(-2.3025851 * log_a));
    let seed = 1.0 / (1.0 + safe_exp(2.3025851 * log_a));
    let green = alpha * (alpha + 3.0) / (2.0 * alpha + 3.0);
    var c = surface_new(par(p), 8.0525 * par(p + 3u) / kt * scattered * green, 0.0, 0.0, t);
    c.seed = select(8.0525 * par(p + 3u) / kt * seed, 0.0, par(p) < 1e-5);
    surface_weights(&c, alpha, 13u, 0.01, 6.0);
    return c;
}

fn surface_value(c: Surface, i: u32) -> f32 {
    // A copy that can be indexed.
    var weights = c.weights;
    let x = centre(i) * c.inverse;
    let y = ln_mid(i) + c.ln_inverse;
    let step = 0.053966838;
    let place = clamp((y + 13.81551056) / step, 0.0, 511.999);
    let k = u32(place);
    let t = place - f32(k);
    var c0 = 0.0;
    var c1 = 0.0;
    var c2 = 0.0;
    var c3 = 0.0;
    for (var n = 0u; n < c.nodes; n++) {
        let at = c.first + 4u * (512u * n + k);
        let weight = weights[n];
        c0 += weight * table(at);
        c1 += weight * table(at + 1u);
        c2 += weight * table(at + 2u);
        c3 += weight * table(at + 3u);
    }
    let value = c0 + t * (c1 + t * (c2 + t * c3));
    let slope = (c1 + t * (2.0 * c2 + 3.0 * c3 * t)) / step;
    let curvature = (2.0 * c2 + 6.0 * c3 * t) / (step * step);
    let fall = c.decay * x;
    let peak = c.amplitude * safe_exp(c.power * y + value - fall);
    var photons = log_integral(peak, slope + c.power - fall, curvature - fall, i);
    if c.seed > 0.0 && x < 87.0 {
        let occupation = 1.0 / exp_m1(x);
        let g = occupation + 1.0;
        let body = c.seed * x * x * x * occupation;
        photons += log_integral(body, 3.0 - x * g, x * g * (x * occupation - 1.0), i);
    }
    return photons;
}
