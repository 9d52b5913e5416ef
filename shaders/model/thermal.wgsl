// nthComp: the Kompaneets equation on steps of 0.02 dex, solved by the invocation for its spectrum. Room: E F_E at the steps.

struct Thermal { ln_first: f32, low: f32, last: f32 }

// Klein-Nishina cross section over Thomson's: its expansion below 0.05; below 511 keV the integral of the differential cross
// section over the angle, for the closed form cancels there.
fn thermal_mu(x: f32, mu: f32, weight: f32) -> f32 {
    let p = 1.0 / (1.0 + x * (1.0 - mu));
    return weight * p * p * (p + 1.0 / p + mu * mu - 1.0);
}

fn thermal_cross_section(x: f32) -> f32 {
    if x <= 0.05 {
        return 1.0 - 2.0 * x + 5.2 * x * x;
    }
    if x < 1.0 {
        return 0.375 * (thermal_mu(x, 0.18343464, 0.36268378) + thermal_mu(x, -0.18343464, 0.36268378)
            + thermal_mu(x, 0.52553241, 0.31370665) + thermal_mu(x, -0.52553241, 0.31370665)
            + thermal_mu(x, 0.79666648, 0.22238103) + thermal_mu(x, -0.79666648, 0.22238103)
            + thermal_mu(x, 0.96028986, 0.10122854) + thermal_mu(x, -0.96028986, 0.10122854));
    }
    let twice = 1.0 + 2.0 * x;
    let ln = log(twice);
    let first = (1.0 + x) / (x * x * x) * (2.0 * x * (1.0 + x) / twice - ln);
    return 0.75 * (first + 0.5 * ln / x - (1.0 + 3.0 * x) / (twice * twice));
}

const THERMAL_STEP = 0.046051702;

// Energy of a step over the seed temperature.
fn thermal_seed(k: f32) -> f32 {
    return safe_exp(THERMAL_STEP * k - 9.2103404);
}

fn thermal_disc_integrand(k: f32) -> f32 {
    let u = thermal_seed(k);
    return safe_exp(2.6666667 * (THERMAL_STEP * k - 9.2103404)) / exp_m1(min(u, 80.0));
}

fn thermal_half_step(k: f32) -> f32 {
    return THERMAL_STEP / 12.0
        * (thermal_disc_integrand(k) + 4.0 * thermal_disc_integrand(k + 0.25) + thermal_disc_integrand(k + 0.5));
}

// Probability to escape per Thomson time times tau. Diffusion in space gives way to large losses of energy per scattering
// between two steps.
fn thermal_escape(x: f32, step: u32, tau: f32, slow: u32, fast: u32, x_slow: f32, x_fast: f32) -> f32 {
    var share = 0.0;
    if step < slow || (step <= fast && fast <= slow) {
        share = 1.0;
    } else if step <= fast {
        share = 1.0 - (x - x_slow) / (x_fast - x_slow);
    }
    return 1.0 / (1.0 + tau * thermal_cross_section(x) / 3.0 * share);
}

fn nthcomp_setup(p: u32, t: u32, a: ptr<private, Room>) -> Thermal {
    return thermal_new(par(p), par(p + 1u), par(p + 2u), par(p + 3u) >= 0.5, stretch(par(p + 4u)), par(p + 5u), a);
}

// `z`: 1 + redshift.
fn thermal_new(index: f32, electrons: f32, seed_energy: f32, disc: bool, z: f32, norm: f32, a: ptr<private, Room>) -> Thermal {
    let gamma = max(index, 1.001);
    let theta = max(electrons, 1.0) / 511.0;
    let seeds = max(seed_energy, 1e-3);
    // Energies below are in units of 511 keV; log10 of the lowest one.
    let lowest = log(seeds / 511.0) * 0.43429448 - 4.0;
    // (gamma + 1/2)^2 - 9/4 without its cancellation.
    let depth = 3.0 / (theta * (gamma - 1.0) * (gamma + 2.0));
    let tau = depth / (sqrt(2.25 + depth) + 1.5);
    let last = min(u32(max((log(40.0 * theta) * 0.43429448 - lowest) * 50.0 + 1.0, 1.0)), 899u);
    let first = max(last, 480u) - 480u;
    let count = last - first;
    let slow = min(u32((-1.0 - lowest) * 50.0 + 1.0), last - 1u);
    let fast = min(u32(-lowest * 50.0 + 1.0), last);
    let ln_lowest = lowest * 2.3025851;
    let x_slow = safe_exp(ln_lowest + THERMAL_STEP * f32(slow - 1u));
    let x_fast = safe_exp(ln_lowest + THERMAL_STEP * f32(fast - 1u));

    // Seed photons per energy over x^2.
    if disc {
        var integral = 0.0;
        for (var m = 283u; m > first; m--) {
            let k = m - 1u;
            let at = f32(k);
            let middle = integral + thermal_half_step(at);
            if k < last {
                (*a)[k - first] = middle * safe_exp((THERMAL_STEP * at - 9.2103404) * -2.6666667);
            }
            integral = middle + thermal_half_step(at - 0.5);
        }
        for (var k = max(283u, first); k < last; k++) {
            (*a)[k - first] = 0.0;
        }
    } else {
        for (var k = first; k < last; k++) {
            (*a)[k - first] = select(0.0, 1.0 / exp_m1(min(thermal_seed(f32(k)), 80.0)), k < 284u);
        }
    }

    // Elimination; see thermal.rs.
    let strength = tau / THERMAL_STEP * 1.0715193;
    let fall = 0.87096359;
    var down = 0.0;
    var up = 0.0;
    var rest = 0.0;
    var before = 0.0;
    var pivot = 1.0;
    for (var k = 0u; k + 1u < count; k++) {
        let j = first + k;
        let x = safe_exp(ln_lowest + THERMAL_STEP * f32(j));
        let between = x * 1.0232930;
        let diffusion = strength / (1.0 + 4.6 * between + 1.1 * between * between);
        let escape = thermal_escape(x, j + 1u, tau, slow, fast, x_slow, x_fast);
        rest = escape + fall * down * rest / pivot;
        let flow = fall * up * before;
        down = diffusion * (theta / THERMAL_STEP + 0.5 * between);
        up = diffusion * max(theta / THERMAL_STEP - 0.5 * between, 0.0);
        pivot = rest + up;
        before = ((*a)[k] + flow) / pivot;
        (*a)[k] = before;
        room_scratch[k] = down / pivot;
    }
    (*a)[count - 1u] = 0.0;
    var above = 0.0;
    for (var k = count - 1u; k > 0u; k--) {
        above = (*a)[k - 1u] + room_scratch[k - 1u] * above;
        let j = first + k - 1u;
        let x = safe_exp(ln_lowest + THERMAL_STEP * f32(j));
        let escape = thermal_escape(x, j + 1u, tau, slow, fast, x_slow, x_fast);
        let seed = thermal_seed(f32(j));
        // x^2 u x^2: the occupation number falls as the powers rise.
        (*a)[k - 1u] = (seed * seed) * above * (seed * seed) * escape;
    }

    // E F_E is norm at 1 keV in the observer's frame.
    let ln_first = ln_lowest + THERMAL_STEP * f32(first);
    let place = clamp((log(z) - 6.2363696 - ln_first) / THERMAL_STEP, 0.0, f32(count - 2u));
    let k = u32(place);
    let along = exp_m1((place - f32(k)) * THERMAL_STEP) / 0.047128548;
    let at_one = (*a)[k] + along * ((*a)[k + 1u] - (*a)[k]);
    let factor = select(0.0, norm / max(at_one, 1e-37), at_one > 0.0);
    for (var n = 0u; n < count; n++) {
        (*a)[n] = min((*a)[n] * factor, 1e36);
    }
    return Thermal(ln_first + 6.2363696 - log(z), select(3.0, 1.3333333, disc), f32(count - 1u));
}

// Photons around a place among the steps, k steps from the first.
fn thermal_part(c: Thermal, a: ptr<private, Room>, k: u32, place: f32, width: f32) -> f32 {
    let low = (*a)[k];
    let rise = (*a)[k + 1u] - low;
    let along = exp_m1(clamp(place - f32(k), 0.0, 1.0) * THERMAL_STEP) / 0.047128548;
    let value = low + rise * along;
    var slope = rise * (along + 21.218562) / max(value, 1e-36);
    var bend = slope * (1.0 - slope);
    var lower = 1.0;
    if place < 0.0 {
        slope = c.low;
        bend = 0.0;
        lower = safe_exp(c.low * THERMAL_STEP * place);
    }
    // log_integral over part of a bin.
    let q = 0.5 * (slope - 1.0) * width;
    let correction = bend * width * width * (1.0 / 24.0) * (1.0 + 0.3 * q * q);
    let energy = safe_exp(place * THERMAL_STEP + c.ln_first);
    return value * lower / energy * width * max(sinhc(q) + correction, 0.0);
}

fn thermal_value(c: Thermal, a: ptr<private, Room>, i: u32) -> f32 {
    return thermal_photons(c, a, ln_mid(i), log_width(i));
}

// Photons around a ln E.
fn thermal_photons(c: Thermal, a: ptr<private, Room>, ln_middle: f32, whole: f32) -> f32 {
    let place = (ln_middle - c.ln_first) / THERMAL_STEP;
    let half = 0.5 * whole / THERMAL_STEP;
    let start = place - half;
    let end = place + half;
    let low = u32(clamp(start, 0.0, c.last - 1e-3));
    let high = u32(clamp(end, 0.0, c.last - 1e-3));
    // E F_E has a kink at every step: the bin's parts between them.
    if low == high {
        return thermal_part(c, a, low, place, whole);
    }
    var sum = 0.0;
    var begin = start;
    for (var k = low; k <= high; k++) {
        let stop = select(f32(k + 1u), end, k == high);
        sum += thermal_part(c, a, k, 0.5 * (begin + stop), whole * (stop - begin) / (end - start));
        begin = stop;
    }
    return sum;
}
