// The table's spectra at a spectrum's values, weighted by a zone's directions and cut-off; see spread.rs.

var<private> reflection_held: bool;
var<private> reflection_of: u32;
var<private> reflection_shares: array<f32, REFLECTION_DIRECTIONS>;
var<private> reflection_sides: vec2<f32>;
var<private> reflection_low: u32;

fn reflection_cells_setup() {
    reflection_held = reflection_corners();
    reflection_of = 0xffffffffu;
}

// Photons of a zone in a cell: the zones one behind the other.
fn reflection_cells(i: u32) -> f32 {
    let zone = i / REFLECTION_CELLS;
    if zone >= REFLECTION_ZONES || !reflection_held {
        return 0.0;
    }
    if zone != reflection_of {
        reflection_of = zone;
        for (var n = 0u; n < REFLECTION_DIRECTIONS; n++) {
            reflection_shares[n] = source(REFLECTION_ZONES_SLOT, zone * REFLECTION_ZONE_SIZE + n);
        }
        reflection_low = u32(reflection_zone_number(zone, REFLECTION_CUT_LOW));
        let share = reflection_zone_number(zone, REFLECTION_CUT_SHARE);
        reflection_sides = vec2<f32>(1.0 - share, share);
    }
    let cell = i % REFLECTION_CELLS;
    var sum = 0.0;
    for (var k = 0u; k < 32u; k++) {
        let side = k & 1u;
        let weight = reflection_weight[k >> 1u] * reflection_sides[side];
        if weight == 0.0 {
            continue;
        }
        let row = (reflection_corner[k >> 1u] * REFLECTION_CUTS + reflection_low + side) * REFLECTION_DIRECTIONS;
        let at = REFLECTION_SPECTRA + row * REFLECTION_CELLS + cell;
        var own = 0.0;
        for (var n = 0u; n < REFLECTION_DIRECTIONS; n++) {
            let part = reflection_shares[n];
            if part != 0.0 {
                own += part * table(at + n * REFLECTION_CELLS);
            }
        }
        sum += weight * own;
    }
    return sum;
}
