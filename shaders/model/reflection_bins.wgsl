// Cells integrated over the energy bins; see density.rs. Of a slab the primary spectrum is added here, that of a disc is in the cells
// (reflection_whole.wgsl). The text in front defines reflection_source_setup, which gives what cells are multiplied by, and reflection_continuum: what is
// beside them in a bin of ln E.

struct Reflection { factor: f32, norm: f32, whole: i32, rest: f32 }

var<private> reflection: Reflection;

fn reflection_cell(n: i32) -> f32 {
    if n < 0 || n >= i32(REFLECTION_OUT) {
        // Cells that were not kept are asked for.
        return select(0.0, reflection_nan(u32(n < 0)), select(REFLECTION_BEYOND, REFLECTION_BELOW, n < 0));
    }
    return source(REFLECTION_OUT_SLOT, u32(n));
}

// Photons of a part of a cell.
fn reflection_part(n: i32, middle: f32, length: f32) -> f32 {
    let all = reflection_cell(n);
    if REFLECTION_FLAT {
        return all * length;
    }
    let before = reflection_cell(n - 1);
    let behind = reflection_cell(n + 1);
    let left = max((7.0 * (before + all) - (reflection_cell(n - 2) + behind)) / 12.0, 0.0);
    let right = max((7.0 * (all + behind) - (before + reflection_cell(n + 2))) / 12.0, 0.0);
    let bend = 6.0 * (all - 0.5 * (left + right));
    let rise = right - left + bend;
    // Drawn in towards the cell's mean until it keeps to the bounds that the cell and the two beside it give.
    let turn = 0.5 * rise / select(bend, 1e-37, bend == 0.0);
    let turned = select(left, left + 0.5 * rise * turn, turn > 0.0 && turn < 1.0);
    let least = 0.5 * min(min(before, behind), all);
    let most = 1.5 * max(max(before, behind), all);
    let lowest = min(min(left, right), turned);
    let highest = max(max(left, right), turned);
    var kept = 1.0;
    if lowest < least { kept = (all - least) / (all - lowest); }
    if highest > most { kept = min(kept, (most - all) / (highest - all)); }
    // What the parabola adds to the mean, over this part.
    let above = (left - all) + rise * middle - bend * (middle * middle + length * length / 12.0);
    return max(length * (all + kept * above), 0.0);
}

// Photons in a bin whose middle is in a cell (a number and a part of one), and that is so many cells wide.
fn reflection_photons(cell: i32, middle: f32, extent: f32) -> f32 {
    let start = middle - 0.5 * extent;
    var n = floor(start);
    var begin = start - n;
    var left = extent;
    var sum = 0.0;
    // One a turn; bins are not wider than the table has cells.
    while left > 0.0 {
        let length = min(left, 1.0 - begin);
        var at = begin + 0.5 * length;
        // f32 has few digits of a narrow bin's ends.
        if length == extent {
            at = middle - n;
        }
        sum += reflection_part(cell + i32(n), at, length);
        left -= max(length, 1e-30);
        begin = 0.0;
        n += 1.0;
    }
    return sum;
}

fn reflection_bins_setup() {
    let moved = log_1p(max(reflection_redshift(), -0.999)) / REFLECTION_STEP;
    let whole = floor(moved);
    reflection = Reflection(reflection_source_setup(), reflection_norm(), i32(whole), moved - whole);
    if REFLECTION_RENORMALISED {
        // 1 photon/keV/cm2/s at 3 keV.
        let all = reflection_all(REFLECTION_AT_WHOLE, REFLECTION_AT_REST, 1.0986118, 2.9999985, 2.0000007e-3);
        reflection.norm *= 0.006 / max(all, 1e-37);
    }
}

// All photons per norm in a bin: its middle as a cell and a part of one without redshift, ln E, E, and extent in ln E.
fn reflection_all(cell: i32, rest: f32, ln_middle: f32, middle: f32, extent: f32) -> f32 {
    let reflected = reflection_photons(cell + reflection.whole, rest + reflection.rest, extent / REFLECTION_STEP);
    return reflection.factor * reflected + reflection_continuum(ln_middle, middle, extent);
}

fn reflection_bins(i: u32) -> f32 {
    let at = REFLECTION_BINS + 2u * i;
    return reflection.norm * reflection_all(i32(table(at)), table(at + 1u), ln_mid(i), centre(i), log_width(i));
}
