// thcomp: the Kompaneets equation on 480 steps over the grid, solved by the invocation for its spectrum; see thcomp.rs. Room: E F_E
// of the scattered photons.

struct Comptonised { cover: f32, scale: f32, direct: f32, stretch: f32, ln_lowest: f32, step: f32 }

fn thcomp_density(slot: u32, k: u32) -> f32 {
    return source(slot, k) / width(k);
}

// The last bin holds what lies above the grid.
fn thcomp_bin(energy: f32) -> u32 {
    return min(first_above(energy), energies() - 1u);
}

fn thcomp_escape(x: f32, tau: f32, thin: f32, thick: f32) -> f32 {
    let share = clamp(1.0 - (x - 0.1) / 1.9, 0.0, 1.0);
    return 1.0 / (tau * (thin + tau * thermal_cross_section(x) * thick * share));
}

// Scattered and kept photons of a bin.
fn thcomp_photons(c: Comptonised, a: ptr<private, Room>, slot: u32, i: u32) -> f32 {
    let middle = mid_hi(i) + mid_lo(i);
    let rest = middle * c.stretch;
    let place = clamp((log(rest) - c.ln_lowest) / c.step, 0.0, 478.0);
    let k = u32(place);
    let along = exp_m1((place - f32(k)) * c.step) / exp_m1(c.step);
    let inside = rest < edge_hi(energies() - 1u);
    let flux = select(0.0, (*a)[k] + along * ((*a)[k + 1u] - (*a)[k]), inside);
    // The bin that was redshifted to here.
    var origin = i;
    if c.stretch != 1.0 {
        origin = thcomp_bin(rest);
    }
    let kept = thcomp_density(slot, origin) * c.direct * c.stretch * c.stretch;
    return (flux / (middle * middle) + kept) * width(i);
}

fn thcomp_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Comptonised {
    let electrons = max(par(p + 1u), 0.5) / 511.0;
    let theta = electrons * (1.0 + electrons * (1.0 + 3.0 * electrons));
    let thin = 1.2 / (1.0 + electrons * (1.0 + 5.0 * electrons));
    let thick = 0.25 / (1.0 + electrons * (1.0 + 3.0 * electrons));
    var tau = clamp(-par(p), 1e-3, 100.0);
    if par(p) > 0.0 {
        let index = max(par(p), 1.001);
        let b = thin * theta;
        let c = 1.0 / ((index - 1.0) * (index + 2.0));
        tau = 2.0 * c / (b + sqrt(b * b + 4.0 * thick * theta * c));
    }
    var uniform_source = 1.0 - tau * (0.75 - 0.4 * tau * (1.0 - 0.41666667 * tau));
    if tau > 0.1 {
        uniform_source = (2.0 * tau * tau - 1.0 + safe_exp(-2.0 * tau) * (2.0 * tau + 1.0)) * 0.375 / (tau * tau * tau);
    }
    var out: Comptonised;
    out.cover = par(p + 2u);
    out.direct = sqrt(uniform_source * safe_exp(-tau));
    out.stretch = stretch(par(p + 3u));
    let top = energies() - 1u;
    out.ln_lowest = log(edge_lo(0u));
    out.step = (log(edge_hi(top)) - out.ln_lowest) / 479.0;
    let step = out.step;

    // Mean photons per energy around every step.
    var bin = 0u;
    for (var k = 0u; k < 480u; k++) {
        let begin = max(safe_exp(out.ln_lowest + step * (f32(k) - 0.5)), edge_lo(0u));
        let end = min(safe_exp(out.ln_lowest + step * (f32(k) + 0.5)), edge_hi(top));
        var sum = 0.0;
        loop {
            let inside = min(edge_hi(bin), end) - max(edge_lo(bin), begin);
            sum += thcomp_density(slot, bin) * max(inside, 0.0);
            if edge_hi(bin) >= end || bin >= top {
                break;
            }
            bin++;
        }
        (*a)[k] = sum / (end - begin);
    }

    // Elimination; see thermal.rs.
    let half = safe_exp(0.5 * step);
    let strength = half * half * half / step;
    let fall = safe_exp(-3.0 * step);
    var down = 0.0;
    var up = 0.0;
    var rest = 0.0;
    var before = 0.0;
    var pivot = 1.0;
    for (var k = 0u; k < 479u; k++) {
        let x = safe_exp(out.ln_lowest + step * f32(k)) / 511.0;
        let between = x * half;
        let diffusion = strength / (1.0 + 4.6 * between + 1.1 * between * between);
        rest = thcomp_escape(x, tau, thin, thick) + fall * down * rest / pivot;
        let flow = fall * up * before;
        // Fitted to the exponential.
        let rising = between / exp_m1(min(step * between / theta, 80.0));
        down = diffusion * (rising + between);
        up = diffusion * rising;
        pivot = rest + up;
        // Energies in units of the lowest: the occupation number would leave the range of f32.
        let seed = safe_exp(-2.0 * step * f32(k));
        before = ((*a)[k] * seed + flow) / pivot;
        (*a)[k] = before;
        room_scratch[k] = down / pivot;
    }
    (*a)[479] = 0.0;
    var above = 0.0;
    for (var k = 479u; k > 0u; k--) {
        above = (*a)[k - 1u] + room_scratch[k - 1u] * above;
        let ln = step * f32(k - 1u);
        let x = safe_exp(out.ln_lowest + ln) / 511.0;
        let e = safe_exp(out.ln_lowest + ln);
        (*a)[k - 1u] = above * safe_exp(2.0 * ln) * e * e * thcomp_escape(x, tau, thin, thick);
    }

    var photons = 0.0;
    var made = 0.0;
    for (var i = 0u; i <= top; i++) {
        photons += source(slot, i);
        made += thcomp_photons(out, a, slot, i);
    }
    out.scale = select(0.0, out.cover * photons / max(made, 1e-37), made > 0.0);
    return out;
}

fn thcomp_value(c: Comptonised, a: ptr<private, Room>, slot: u32, i: u32) -> f32 {
    return source(slot, i) * (1.0 - c.cover) + thcomp_photons(c, a, slot, i) * c.scale;
}
