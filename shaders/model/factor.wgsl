// constant; edge, zedge (mean over the bin, split at the threshold); highecut, zhighect (mean of the edges' values).

struct Constant { factor: f32 }

fn constant_setup(p: u32, t: u32) -> Constant {
    return Constant(par(p));
}

fn constant_value(c: Constant, i: u32) -> f32 {
    return c.factor;
}

fn constant_scale(c: Constant, i: u32) -> f32 { return c.factor; }
fn constant_exponent(c: Constant, i: u32) -> f32 { return 0.0; }

struct Edge { threshold: f32, threshold_low: f32, minus_tau: f32 }

fn edge_setup(p: u32, t: u32) -> Edge {
    return Edge(par(p), 0.0, -par(p + 1u));
}

fn zedge_setup(p: u32, t: u32) -> Edge {
    let z = par(p + 2u);
    let s = stretch(z);
    let threshold = par(p) / s;
    return Edge(threshold, quotient_rest(par(p), s, select(z - (s - 1.0), 0.0, z < -0.999), threshold), -par(p + 1u));
}

fn edge_at(c: Edge, e: f32) -> f32 {
    let r = c.threshold / max(e, c.threshold);
    return safe_exp(c.minus_tau * r * r * r);
}

fn edge_value(c: Edge, i: u32) -> f32 {
    let lo = edge_lo(i);
    let hi = edge_hi(i);
    let from_energy = clamp(c.threshold, lo, hi);
    let above = share_above(i, c.threshold, c.threshold_low);
    return above * 0.5 * (edge_at(c, from_energy) + edge_at(c, hi)) + (1.0 - above);
}

struct HighCut { cutoff: f32, minus_inverse: f32, least: f32 }

fn highcut_constants(cutoff: f32, fold: f32, z: f32) -> HighCut {
    return HighCut(cutoff / z, -z / max(fold, 1e-6), 1e-3 / z);
}

fn highecut_setup(p: u32, t: u32) -> HighCut {
    return highcut_constants(par(p), par(p + 1u), 1.0);
}

fn zhighect_setup(p: u32, t: u32) -> HighCut {
    return highcut_constants(par(p), par(p + 1u), stretch(par(p + 2u)));
}

fn highcut_at(c: HighCut, e: f32) -> f32 {
    return safe_exp(max(e - c.cutoff, c.least) * c.minus_inverse);
}

fn highcut_value(c: HighCut, i: u32) -> f32 {
    return 0.5 * (highcut_at(c, edge_lo(i)) + highcut_at(c, edge_hi(i)));
}
