// gsmooth, lsmooth: every source bin counts as a line at its middle; width(E) = Sig_6keV (E/6)^Index.

struct Smooth { at_six: f32, index: f32 }

fn gsmooth_setup(p: u32, t: u32, slot: u32) -> Smooth {
    return Smooth(par(p), par(p + 1u));
}

fn lsmooth_setup(p: u32, t: u32, slot: u32) -> Smooth {
    return Smooth(par(p), par(p + 1u));
}

fn smooth_width(c: Smooth, energy: f32) -> f32 {
    return max(c.at_six * safe_exp(c.index * log(energy / 6.0)), 1e-6 * energy);
}

fn smooth_distance(i: u32, k: u32) -> f32 {
    return (mid_hi(i) - mid_hi(k)) + (mid_lo(i) - mid_lo(k));
}

// What source bin k sends into bin i. Loops take four at a time: Mesa's software rasteriser ends an invocation's loops after
// 65535 turns in all, and an invocation has a run of bins.
fn gsmooth_from(c: Smooth, slot: u32, i: u32, k: u32) -> f32 {
    if k >= energies() {
        return 0.0;
    }
    let sigma = smooth_width(c, mid_hi(k));
    let u = abs(smooth_distance(i, k)) / sigma;
    let half = 0.5 * width(i) / sigma;
    if u - half > 6.0 {
        return 0.0;
    }
    let above_zero = 1.0 - 0.5 * erfc_positive(mid_hi(k) / sigma * 0.70710678);
    return source(slot, k) * normal_area(u, half) / above_zero;
}

fn gsmooth_value(c: Smooth, slot: u32, i: u32) -> f32 {
    // The width is monotonic: no source beyond six times its largest value reaches this bin.
    let reach = 6.0 * max(smooth_width(c, mid_hi(0u)), smooth_width(c, mid_hi(energies() - 1u)));
    let lowest = edge_lo(i) - reach;
    let highest = edge_hi(i) + reach;
    let first = first_above(lowest);
    var sum = 0.0;
    for (var k = first; k < energies() && edge_lo(min(k, energies() - 1u)) < highest; k += 4u) {
        sum += (gsmooth_from(c, slot, i, k) + gsmooth_from(c, slot, i, k + 1u))
            + (gsmooth_from(c, slot, i, k + 2u) + gsmooth_from(c, slot, i, k + 3u));
    }
    return sum;
}

fn lsmooth_from(c: Smooth, slot: u32, i: u32, k: u32) -> f32 {
    if k >= energies() {
        return 0.0;
    }
    let inverse = 2.0 / smooth_width(c, mid_hi(k));
    let span = arctan_span(smooth_distance(i, k) * inverse, 0.5 * width(i) * inverse);
    return source(slot, k) * span / (1.5707963 + arctan_positive(mid_hi(k) * inverse));
}

fn lsmooth_value(c: Smooth, slot: u32, i: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < energies(); k += 4u) {
        sum += (lsmooth_from(c, slot, i, k) + lsmooth_from(c, slot, i, k + 1u))
            + (lsmooth_from(c, slot, i, k + 2u) + lsmooth_from(c, slot, i, k + 3u));
    }
    return sum;
}
