// zashift, vashift: the source's photons between the stretched edges, times `photons`; zmshift: the mean of its factors.
// Edges and the factor have two parts: rounded, a moved edge is a thousandth of a bin of 0.2 eV off.

struct Shift { factor: f32, factor_low: f32, photons: f32 }

// For a factor of 1 + d.
fn shift_new(d: f32, photons: f32) -> Shift {
    let factor = max(1.0 + d, 1e-3);
    return Shift(factor, select(d - (factor - 1.0), 0.0, d < -0.999), photons);
}

fn zashift_setup(p: u32, t: u32, slot: u32) -> Shift {
    return shift_new(par(p), 1.0 / stretch(par(p)));
}

fn vashift_setup(p: u32, t: u32, slot: u32) -> Shift {
    let beta = par(p) / 299792.458;
    return shift_new(beta / max(1.0 - beta, 1e-3), 1.0);
}

fn zmshift_setup(p: u32, t: u32, slot: u32) -> Shift {
    return shift_new(par(p), 1.0);
}

// What edge_lo and edge_hi are short of the edges.
fn shift_lower_low(i: u32) -> f32 {
    return (mid_hi(i) - edge_lo(i)) + (mid_lo(i) - 0.5 * width(i));
}

fn shift_upper_low(i: u32) -> f32 {
    return (mid_hi(i) - edge_hi(i)) + (mid_lo(i) + 0.5 * width(i));
}

fn shift_moved(c: Shift, edge: f32, low: f32) -> vec2<f32> {
    let moved = product_parts(edge, c.factor);
    return vec2(moved.x, moved.y + (edge * c.factor_low + low * c.factor));
}

// How much of bin k lies between two moved edges; negative where nothing does.
fn shift_overlap(k: u32, lo: vec2<f32>, hi: vec2<f32>) -> f32 {
    let below = (lo.x - edge_lo(k)) + (lo.y - shift_lower_low(k));
    let above = (edge_hi(k) - hi.x) + (shift_upper_low(k) - hi.y);
    return width(k) - max(below, 0.0) - max(above, 0.0);
}

// The first bin that may reach above an edge: this comparison is rounded.
fn shift_first(lo: vec2<f32>) -> u32 {
    return max(first_above(lo.x), 1u) - 1u;
}

fn shift_value(c: Shift, slot: u32, i: u32) -> f32 {
    let lo = shift_moved(c, edge_lo(i), shift_lower_low(i));
    let hi = shift_moved(c, edge_hi(i), shift_upper_low(i));
    var sum = 0.0;
    for (var k = shift_first(lo); k < energies(); k++) {
        if (edge_lo(k) - hi.x) + (shift_lower_low(k) - hi.y) >= 0.0 {
            break;
        }
        sum += source(slot, k) * max(shift_overlap(k, lo, hi), 0.0) / width(k);
    }
    return sum * c.photons;
}

fn shift_factor(c: Shift, slot: u32, i: u32) -> f32 {
    let lo = shift_moved(c, edge_lo(i), shift_lower_low(i));
    let hi = shift_moved(c, edge_hi(i), shift_upper_low(i));
    let last = energies() - 1u;
    let whole = width(i) * c.factor;
    let below = clamp((edge_lo(0u) - lo.x) + (shift_lower_low(0u) - lo.y), 0.0, whole);
    let above = clamp((hi.x - edge_hi(last)) + (hi.y - shift_upper_low(last)), 0.0, whole);
    var sum = source(slot, 0u) * below + source(slot, last) * above;
    for (var k = shift_first(lo); k < energies(); k++) {
        if (edge_lo(k) - hi.x) + (shift_lower_low(k) - hi.y) >= 0.0 {
            break;
        }
        sum += source(slot, k) * max(shift_overlap(k, lo, hi), 0.0);
    }
    return sum / whole;
}
