// rdblur: every source bin becomes the line of a disc; see blur.rs. Room: cumulative photons of the line at 241 ends of cells.

struct Blur { ln_first: f32, step: f32, lowest: f32, highest: f32 }

fn rdblur_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Blur {
    let line = diskline_new(1.0, p, 1.0);
    let first = log(line.lowest);
    let step = (log(line.highest) - first) / 240.0;
    var sum = 0.0;
    (*a)[0] = 0.0;
    for (var k = 0u; k < 240u; k++) {
        sum += diskline_photons(line, safe_exp(first + step * (f32(k) + 0.5)), 0.5 * step);
        (*a)[k + 1u] = sum;
    }
    let inverse = 1.0 / max(sum, 1e-30);
    for (var k = 1u; k <= 240u; k++) {
        (*a)[k] *= inverse;
    }
    return Blur(first, step, line.lowest, line.highest);
}

// Share of a source bin that falls around a place among the cells.
fn blur_share(a: ptr<private, Room>, place: f32, half: f32) -> f32 {
    let low = clamp(place - half, 0.0, 239.9999);
    let high = clamp(place + half, 0.0, 239.9999);
    let k = u32(low);
    let m = u32(high);
    let first = (*a)[k];
    let density = (*a)[k + 1u] - first;
    if k == m {
        // f32 has few digits of a narrow bin's ends.
        let inside = place - half >= 0.0 && place + half <= 239.9999;
        return density * select(high - low, 2.0 * half, inside);
    }
    let last = (*a)[m];
    return (last - first) + ((*a)[m + 1u] - last) * (high - f32(m)) - density * (low - f32(k));
}

fn blur_from(c: Blur, a: ptr<private, Room>, slot: u32, i: u32, k: u32) -> f32 {
    if k >= energies() {
        return 0.0;
    }
    let place = (ln_mid(i) - ln_mid(k) - c.ln_first) / c.step;
    return source(slot, k) * blur_share(a, place, 0.5 * log_width(i) / c.step);
}

fn blur_value(c: Blur, a: ptr<private, Room>, slot: u32, i: u32) -> f32 {
    let lowest = edge_lo(i) / c.highest;
    let highest = edge_hi(i) / c.lowest;
    let first = first_above(lowest);
    var sum = 0.0;
    for (var k = first; k < energies() && edge_lo(min(k, energies() - 1u)) < highest; k += 4u) {
        sum += (blur_from(c, a, slot, i, k) + blur_from(c, a, slot, i, k + 1u))
            + (blur_from(c, a, slot, i, k + 2u) + blur_from(c, a, slot, i, k + 3u));
    }
    return sum;
}
