// zashift, vashift: the source's photons between the stretched edges, times `photons`; zmshift: the mean of its factors.

struct Shift { factor: f32, photons: f32 }

fn zashift_setup(p: u32, t: u32, slot: u32) -> Shift {
    let z = stretch(par(p));
    return Shift(z, 1.0 / z);
}

fn vashift_setup(p: u32, t: u32, slot: u32) -> Shift {
    return Shift(1.0 / max(1.0 - par(p) / 299792.458, 1e-3), 1.0);
}

fn zmshift_setup(p: u32, t: u32, slot: u32) -> Shift {
    return Shift(stretch(par(p)), 1.0);
}

fn shift_value(c: Shift, slot: u32, i: u32) -> f32 {
    let lo = edge_lo(i) * c.factor;
    let hi = edge_hi(i) * c.factor;
    var sum = 0.0;
    for (var k = first_above(lo); k < energies(); k++) {
        let from_edge = edge_lo(k);
        if from_edge >= hi {
            break;
        }
        let overlap = min(hi, edge_hi(k)) - max(lo, from_edge);
        sum += source(slot, k) * max(overlap, 0.0) / width(k);
    }
    // The ratio of the exact to the computed width takes out the rounding of the shifted edges.
    return sum * (c.photons * c.factor) * width(i) / (hi - lo);
}

fn shift_factor(c: Shift, slot: u32, i: u32) -> f32 {
    let lo = edge_lo(i) * c.factor;
    let hi = edge_hi(i) * c.factor;
    let last = energies() - 1u;
    var sum = source(slot, 0u) * max(min(hi, edge_lo(0u)) - lo, 0.0)
        + source(slot, last) * max(hi - max(lo, edge_hi(last)), 0.0);
    for (var k = first_above(lo); k < energies(); k++) {
        let from_edge = edge_lo(k);
        if from_edge >= hi {
            break;
        }
        sum += source(slot, k) * max(min(hi, edge_hi(k)) - max(lo, from_edge), 0.0);
    }
    return sum / (hi - lo);
}
