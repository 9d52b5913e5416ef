// The zones' spectra spread by their lines and added up; see spread.rs.

fn reflection_product(zone: u32, cell: i32, k: i32) -> f32 {
    let from_cell = cell - k;
    if from_cell < 0 || from_cell >= i32(REFLECTION_CELLS) {
        return 0.0;
    }
    return reflection_zone_number(zone, REFLECTION_HEAD + u32(k)) * source(REFLECTION_CELLS_SLOT, zone * REFLECTION_CELLS + u32(from_cell));
}

fn reflection_sum_setup() {
}

// Photons in cell i of those that come out. Eight a turn: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
fn reflection_sum(i: u32) -> f32 {
    if i >= REFLECTION_OUT {
        return 0.0;
    }
    var sum = 0.0;
    for (var zone = 0u; zone < REFLECTION_ZONES; zone++) {
        let count = i32(reflection_zone_number(zone, REFLECTION_COUNT));
        // The cell that the first one of the line comes from.
        let cell = i32(i) + REFLECTION_FROM - i32(reflection_zone_number(zone, REFLECTION_FIRST));
        let begin = max(cell - i32(REFLECTION_CELLS) + 1, 0);
        let end = min(cell + 1, count);
        var own = 0.0;
        for (var k = begin; k < end; k += 8) {
            if k + 8 <= end {
                own += ((reflection_product(zone, cell, k) + reflection_product(zone, cell, k + 1))
                    + (reflection_product(zone, cell, k + 2) + reflection_product(zone, cell, k + 3)))
                    + ((reflection_product(zone, cell, k + 4) + reflection_product(zone, cell, k + 5))
                    + (reflection_product(zone, cell, k + 6) + reflection_product(zone, cell, k + 7)));
            } else {
                for (var rest = k; rest < end; rest++) {
                    own += reflection_product(zone, cell, rest);
                }
            }
        }
        sum += own;
    }
    return sum;
}
