// smedge: exp(-tau (E/edge)^index (1 - e^((edge - E)/width))) above the edge; mean over the bin, split at the edge.

struct Smeared { threshold: f32, minus_tau: f32, index: f32, inverse_width: f32 }

fn smedge_setup(p: u32, t: u32) -> Smeared {
    return Smeared(max(par(p), 1e-6), -par(p + 1u), par(p + 2u), 1.0 / max(par(p + 3u), 1e-6));
}

fn smeared_at(c: Smeared, energy: f32) -> f32 {
    let e = max(energy, c.threshold);
    let onset = -exp_m1((c.threshold - e) * c.inverse_width);
    return safe_exp(c.minus_tau * safe_exp(c.index * log(e / c.threshold)) * onset);
}

fn smeared_value(c: Smeared, i: u32) -> f32 {
    let lo = edge_lo(i);
    let hi = edge_hi(i);
    let from_energy = clamp(c.threshold, lo, hi);
    let above = share_above(i, c.threshold, 0.0);
    return above * 0.5 * (smeared_at(c, from_energy) + smeared_at(c, hi)) + (1.0 - above);
}

// cyclabs: terms at E0 and 2 E0; mean of the edges' values.

struct Cyclotron { energy: f32, depth: f32, square: f32, depth2: f32, square2: f32 }

fn cyclabs_setup(p: u32, t: u32) -> Cyclotron {
    let energy = max(par(p + 1u), 1e-6);
    let width0 = par(p + 2u);
    let width2 = par(p + 4u);
    let ratio = width0 / energy;
    let ratio2 = 0.5 * width2 / energy;
    return Cyclotron(energy, par(p) * ratio * ratio, width0 * width0, par(p + 3u) * ratio2 * ratio2, width2 * width2);
}

fn cyclotron_at(c: Cyclotron, e: f32) -> f32 {
    let a = e - c.energy;
    let b = a - c.energy;
    return safe_exp(-e * e * (c.depth / (a * a + c.square) + c.depth2 / (b * b + c.square2)));
}

fn cyclotron_value(c: Cyclotron, i: u32) -> f32 {
    return 0.5 * (cyclotron_at(c, edge_lo(i)) + cyclotron_at(c, edge_hi(i)));
}

// gabs: mean transmission over the bin, by panels inside +-7 sigma; the deeper the line, the narrower they are.

struct Notch { energy: f32, inverse: f32, minus_depth: f32 }

fn gabs_setup(p: u32, t: u32) -> Notch {
    let sigma = max(max(par(p + 1u), 2e-7 * par(p)), 1e-9);
    let above_zero = 1.0 - 0.5 * erfc_positive(par(p) / sigma * 0.70710678);
    return Notch(par(p), 1.0 / sigma, -par(p + 2u) * 0.39894228 / (sigma * above_zero));
}

fn notch_at(c: Notch, u: f32) -> f32 {
    return safe_exp(c.minus_depth * safe_exp(-0.5 * u * u));
}

fn notch_value(c: Notch, i: u32) -> f32 {
    let middle = ((mid_hi(i) - c.energy) + mid_lo(i)) * c.inverse;
    let half = 0.5 * width(i) * c.inverse;
    // What lies beyond the profile's reach is cut off; a bin all inside keeps its exact width.
    let cut = clamp(-7.0 - (middle - half), 0.0, 2.0 * half);
    let from_place = middle - half + cut;
    let over = clamp(middle + half - 7.0, 0.0, 2.0 * half - cut);
    let span = 2.0 * half - cut - over;
    if span <= 0.0 {
        return 1.0;
    }
    let panels = clamp(ceil(span * (1.0 + min(sqrt(2.0 * log(max(-c.minus_depth, 1.0))), 5.0))), 1.0, 84.0);
    let step = span / panels;
    var sum = 0.0;
    for (var k = 0.0; k < panels; k += 1.0) {
        let centre_place = from_place + (k + 0.5) * step;
        let a = 0.43056816 * step;
        let b = 0.16999052 * step;
        sum += 0.17392742 * (notch_at(c, centre_place - a) + notch_at(c, centre_place + a))
            + 0.32607258 * (notch_at(c, centre_place - b) + notch_at(c, centre_place + b));
    }
    return (sum * step + cut + over) * 0.5 / half;
}
