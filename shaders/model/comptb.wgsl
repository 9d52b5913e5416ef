// comptb: the diffusion of photons in energy on 4000 steps, solved by the invocation for its spectrum; see comptb.rs. Room: ln of
// the Comptonised photons at every ninth step.

struct Bulk { seeds: f32, gamma: f32, inverse: f32, ln_inverse: f32, ln_first: f32 }

// One step of the elimination: drop and above after step n; top: ln x about the seeds' maximum, which is divided out.
fn comptb_step(n: u32, state: vec2<f32>, ratio: f32, fall: f32, gamma: f32, delta: f32, top: f32) -> vec2<f32> {
    let t = f32(n) * 0.005 - 10.0;
    let x = safe_exp(t);
    let drift = 1.0 + (x - 3.0 - delta) * 0.005;
    let decay = (x - fall) * 2.5e-5;
    if n == 0u {
        return vec2((1.0 - decay) / (drift + 1.0 - decay), 0.0);
    }
    let pivot = max(drift + state.x - decay, 1e-2);
    let emitted = safe_exp(gamma * (t - top) - ratio * (x - safe_exp(top))) / -exp_m1(-ratio * x);
    return vec2((state.x - decay) / pivot, (emitted * 2.5e-5 + state.y) / pivot);
}

// Ten terms, as in XSPEC.
fn comptb_zeta(s: f32) -> f32 {
    var sum = 0.0;
    for (var k = 1u; k <= 10u; k++) {
        sum += safe_exp(-s * log(f32(k)));
    }
    return sum;
}

fn comptb_setup(p: u32, t: u32, room: ptr<private, Room>) -> Bulk {
    let seeds = max(par(p), 1e-2);
    let gamma = max(par(p + 1u), 1.0);
    let alpha = par(p + 2u);
    let delta = par(p + 3u);
    let electrons = max(par(p + 4u), 0.2);
    let ratio = electrons / seeds;
    let fall = alpha * (alpha + delta + 3.0);
    let top = clamp(log(gamma / ratio), -10.0, 10.0);
    // The state before every ninth step; the way back works the steps between out again.
    var state = vec2(0.0, 0.0);
    for (var k = 0u; k < 445u; k++) {
        room_scratch[k] = state.x;
        (*room)[k] = state.y;
        for (var n = 9u * k; n < min(9u * k + 9u, 4000u); n++) {
            state = comptb_step(n, state, ratio, fall, gamma, delta, top);
        }
    }
    var u = 0.0;
    var sum = 0.0;
    var block: array<vec2<f32>, 9>;
    for (var b = 445u; b > 0u; b--) {
        let k = b - 1u;
        let last = min(9u * k + 9u, 4000u);
        state = vec2(room_scratch[k], (*room)[k]);
        for (var n = 9u * k; n < last; n++) {
            state = comptb_step(n, state, ratio, fall, gamma, delta, top);
            block[n - 9u * k] = state;
        }
        var part = 0.0;
        for (var n = last; n > 9u * k; n--) {
            let step = block[n - 1u - 9u * k];
            u = max(u - step.x * u + step.y, 0.0);
            part += u;
        }
        sum += part * 0.005;
        (*room)[k] = u;
    }
    let weight = safe_exp(2.3025851 * clamp(par(p + 5u), -30.0, 30.0));
    let amplitude = 8.0525 * safe_exp((gamma - 4.0) * log(seeds)) * par(p + 6u);
    let conserved = ln_gamma(gamma) + log(comptb_zeta(gamma)) - log(max(sum, 1e-37));
    let share = 1.0 / (1.0 + safe_exp(-2.3025851 * clamp(par(p + 5u), -30.0, 30.0)));
    let scale = conserved + log(max(amplitude * share, 1e-37));
    for (var k = 0u; k < 445u; k++) {
        (*room)[k] = log(max((*room)[k], 1e-37)) + scale;
    }
    return Bulk(amplitude / (1.0 + weight), gamma, 1.0 / seeds, -log(seeds), log(electrons) - 10.0);
}

fn comptb_value(c: Bulk, room: ptr<private, Room>, i: u32) -> f32 {
    let place = (ln_mid(i) - c.ln_first) / 0.045;
    let held = clamp(place, 1.001, 442.999);
    let k = u32(held);
    let t = held - f32(k);
    let cubic = four_point((*room)[k - 1u], (*room)[k], (*room)[k + 1u], (*room)[k + 2u], t);
    let slope = cubic.y;
    let value = cubic.x + slope * (place - held);
    let bend = cubic.z / (0.045 * 0.045);
    let x = centre(i) * c.inverse;
    let occupation = safe_exp(-x) / -exp_m1(-x);
    let total = occupation + 1.0;
    let peak = c.seeds * safe_exp(c.gamma * (ln_mid(i) + c.ln_inverse)) * occupation;
    return log_integral(safe_exp(value), slope / 0.045, bend, i)
        + log_integral(peak, c.gamma - x * total, x * total * (x * occupation - 1.0), i);
}
