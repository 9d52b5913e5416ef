// reflect: the reflection of a spectrum by a cold slab, as pexrav has it for a power law. Room: 64 values of the reflection.

fn reflect_setup(p: u32, t: u32, slot: u32, room: ptr<private, Room>) -> Slab {
    var slab = slab_new(par(p), par(p + 1u), par(p + 2u), par(p + 3u), par(p + 4u), t);
    let highest = (mid_hi(energies() - 1u) + mid_lo(energies() - 1u)) * slab.stretch / 511.0;
    let shortest = max(0.03333, 1.0 / highest);
    let least = 1.0 - sqrt(1.0 - (slab.cosine - 0.05) * (slab.cosine - 0.05));
    slab.end = min(1.0 / (shortest + least), 4.0);
    if slab.amount > 0.0 && edge_hi(energies() - 1u) * slab.stretch > 9.9 {
        green_from_slot = true;
        green_shortest = shortest;
        green_slot = slot;
        green_stretched = slab.stretch;
        green_setup(slab.cosine, slab_asymptotic(slab));
        green_nodes(slab.end, true, room);
    }
    return slab;
}

fn reflect_value(c: Slab, room: ptr<private, Room>, slot: u32, i: u32) -> f32 {
    let photons = source(slot, i);
    var sum = photons * c.direct;
    let middle = mid_hi(i) + mid_lo(i);
    let x = middle * c.stretch / 511.0;
    if c.amount > 0.0 && x >= 2e-4 {
        let late = slab_share(x);
        if late < 1.0 {
            sum += photons * slab_albedo(c, log(middle / 0.55) + log(c.stretch)) * c.amount * (1.0 - late);
        }
        if late > 0.0 {
            sum += green_at(room, x, c.end, true) * c.amount * late * width(i) / (middle * middle);
        }
    }
    return sum;
}
