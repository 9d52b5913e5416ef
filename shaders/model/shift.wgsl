// zashift: the source's photons in lo (1+z) .. hi (1+z), divided by 1+z.

struct Shift { factor: f32 }

fn zashift_setup(p: u32, t: u32) -> Shift {
    return Shift(stretch(par(p)));
}

fn shift_value(c: Shift, slot: u32, i: u32) -> f32 {
    let lo = edge_lo(i) * c.factor;
    let hi = edge_hi(i) * c.factor;
    let count = energies();
    // First source bin whose upper edge lies above lo.
    var low = 0u;
    var high = count;
    while low < high {
        let middle = (low + high) / 2u;
        if edge_hi(middle) <= lo {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    var sum = 0.0;
    for (var k = low; k < count; k++) {
        let from_edge = edge_lo(k);
        if from_edge >= hi {
            break;
        }
        let overlap = min(hi, edge_hi(k)) - max(lo, from_edge);
        sum += source(slot, k) * max(overlap, 0.0) / width(k);
    }
    // The ratio of the exact to the computed width takes out the rounding of the shifted edges.
    return sum * width(i) / (hi - lo);
}
