// compbb: a black body below a slab of thermal electrons; see compbb.rs. Room: photons/keV/cm2/s at 128 steps of ln E.
// table: ln of the lowest energy, the step, 173 + 703 rows of 52 of escape probabilities, ln of 64 gains, and for each of 64
// temperatures of the electrons 65 distributions over 256 shifts.

struct Scattered { ln_first: f32, step: f32 }

// The cubic through four of `count` values around a place: the first one's number, and their shares.
fn compbb_first(place: f32, count: u32) -> u32 {
    return min(u32(max(place, 1.0)), count - 3u) - 1u;
}

fn compbb_shares(place: f32, first: u32) -> vec4<f32> {
    let t = place - f32(first + 1u);
    let a = t + 1.0;
    let b = t - 1.0;
    let c = t - 2.0;
    return vec4(-t * b * c / 6.0, 0.5 * a * b * c, -0.5 * a * t * c, a * t * b / 6.0);
}

// Four values of the table, `stride` apart, mixed.
fn compbb_mixed(at: u32, stride: u32, shares: vec4<f32>) -> f32 {
    return shares.x * table(at) + shares.y * table(at + stride) + shares.z * table(at + 2u * stride)
        + shares.w * table(at + 3u * stride);
}

// Scatterings counted one by one.
fn compbb_counted(tau: f32) -> u32 {
    let ln_tau = log(tau);
    var count = 7.586 * safe_exp(1.041 * ln_tau);
    if tau <= 1.0 {
        count = 9.3 * safe_exp(0.499 * ln_tau);
    } else if tau <= 3.0 {
        count = 9.3 * safe_exp(0.855 * ln_tau);
    }
    return clamp(u32(count), 2u, 50u);
}

// The distribution after all scatterings, in room_scratch; returns the probability of none.
fn compbb_distribution(electrons: f32, tau: f32, t: u32) -> f32 {
    for (var k = 0u; k < 256u; k++) {
        room_scratch[k] = 0.0;
    }
    if tau <= 0.0 {
        return 1.0;
    }
    let power = (safe_exp(-0.15 * log(electrons)) - 0.45169523) / 0.0087032504;
    let node = compbb_first(power, 64u);
    let shares = compbb_shares(power, node);
    let gain = exp(compbb_mixed(t + 45554u + node, 1u, shares));
    let held = max(tau, 1e-5);
    var depth = (log(held) + 11.512925) / 0.059935771;
    var row = compbb_first(depth, 173u);
    var parts = compbb_shares(depth, row);
    if held >= 0.3 {
        depth = (log(held) + 1.2039728) / 0.0049950967;
        row = compbb_first(depth, 703u);
        parts = compbb_shares(depth, row);
        row += 173u;
    }
    row = t + 2u + 52u * row;
    let ratio = min(exp(compbb_mixed(row + 51u, 52u, parts)), 0.995 / gain);
    let counted = compbb_counted(tau);
    let start = t + 45618u + 16640u * node;
    var first = 0.0;
    var probability = 0.0;
    for (var n = 1u; n <= 50u; n++) {
        if n <= counted {
            probability = tau / held * safe_exp(compbb_mixed(row + n, 52u, parts));
        } else {
            probability *= ratio;
        }
        if n == 1u {
            first = probability;
        }
        if probability < 1e-10 * first {
            break;
        }
        if n < 50u {
            let at = start + 256u * (n - 1u);
            for (var k = 0u; k < 256u; k += 4u) {
                room_scratch[k] += probability * safe_exp(compbb_mixed(at + k, 16640u, shares));
                room_scratch[k + 1u] += probability * safe_exp(compbb_mixed(at + k + 1u, 16640u, shares));
                room_scratch[k + 2u] += probability * safe_exp(compbb_mixed(at + k + 2u, 16640u, shares));
                room_scratch[k + 3u] += probability * safe_exp(compbb_mixed(at + k + 3u, 16640u, shares));
            }
            continue;
        }
        // All further ones.
        let place = max(log((1.0 - ratio * gain) / 0.6) / -0.31916612, 0.0);
        let further = compbb_first(place, 16u);
        let among = compbb_shares(place, further);
        let at = start + 256u * (49u + further);
        for (var k = 0u; k < 256u; k++) {
            let logarithm = among.x * compbb_mixed(at + k, 16640u, shares)
                + among.y * compbb_mixed(at + k + 256u, 16640u, shares)
                + among.z * compbb_mixed(at + k + 512u, 16640u, shares)
                + among.w * compbb_mixed(at + k + 768u, 16640u, shares);
            room_scratch[k] += probability * safe_exp(logarithm);
        }
    }
    return 1.0 - tau * exp(compbb_mixed(row, 52u, parts));
}

fn compbb_setup(p: u32, t: u32, room: ptr<private, Room>) -> Scattered {
    let seeds = max(par(p), 1e-5);
    let amplitude = 1.04e-3 * par(p + 3u);
    let direct = compbb_distribution(clamp(par(p + 1u), 1.0, 200.0), clamp(par(p + 2u), 0.0, 10.0), t);
    let c = Scattered(table(t), table(t + 1u));
    for (var k = 0u; k < 128u; k++) {
        (*room)[k] = 0.0;
    }
    for (var n = 0u; n < 128u; n++) {
        let e = safe_exp(c.ln_first + c.step * f32(n));
        let x = e / seeds;
        if x > 80.0 {
            break;
        }
        let seed = amplitude * e * e * safe_exp(-x) / -exp_m1(-x);
        (*room)[n] += direct * seed;
        let first = 127u - n;
        for (var k = 0u; k < 128u; k += 4u) {
            (*room)[k] += seed * room_scratch[first + k];
            (*room)[k + 1u] += seed * room_scratch[first + k + 1u];
            (*room)[k + 2u] += seed * room_scratch[first + k + 2u];
            (*room)[k + 3u] += seed * room_scratch[first + k + 3u];
        }
    }
    return c;
}

// Between two steps; nothing above the last.
fn compbb_density(room: ptr<private, Room>, place: f32) -> f32 {
    if place >= 127.0 {
        return 0.0;
    }
    let held = max(place, 0.0);
    let k = min(u32(held), 126u);
    return (*room)[k] + (held - f32(k)) * ((*room)[k + 1u] - (*room)[k]);
}

// The trapezoid, as in XSPEC.
fn compbb_value(c: Scattered, room: ptr<private, Room>, i: u32) -> f32 {
    let place = (ln_mid(i) - c.ln_first) / c.step;
    let half = 0.5 * log_width(i) / c.step;
    return 0.5 * width(i) * (compbb_density(room, place - half) + compbb_density(room, place + half));
}
