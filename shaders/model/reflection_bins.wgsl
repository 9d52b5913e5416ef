// Cells integrated over the energy bins, and the primary spectrum; see density.rs and primary.rs. The text in front defines reflection_continuum_setup and
// reflection_continuum: the primary spectrum in a bin of ln E.

// keV/cm2/s of a primary spectrum of norm 1; see primary.rs.
const REFLECTION_ENERGY = 496.6834;

struct Reflection { factor: f32, norm: f32, whole: i32, rest: f32 }

var<private> reflection: Reflection;

// ln of a primary spectrum's energy between its nodes of photon index and ln cut-off; see ln_energy in primary.rs.
fn reflection_ln_energy(index: f32, cut: f32) -> f32 {
    let at = REFLECTION_PRIMARY;
    var a = cubic_around((index - table(at)) / REFLECTION_INDEX_STEP, u32(table(at + 1u)));
    let columns = u32(table(at + 3u));
    let b = cubic_around((log(max(cut, 1.0)) - table(at + 2u)) / REFLECTION_CUT_STEP, columns);
    var sum = 0.0;
    for (var k = 0u; k < a.count; k++) {
        let row = at + 4u + (a.first + k) * columns + b.first;
        var own = table(row);
        if b.count > 1u {
            own = dot(b.weights, vec4<f32>(own, table(row + 1u), table(row + 2u), table(row + 3u)));
        }
        sum += a.weights[k] * own;
    }
    return sum;
}

fn reflection_cell(n: i32) -> f32 {
    if n < 0 || n >= i32(REFLECTION_CELLS) {
        // Cells that were not kept are asked for.
        return select(0.0, reflection_nan(u32(n < 0)), select(REFLECTION_BEYOND, REFLECTION_BELOW, n < 0));
    }
    return source(REFLECTION_CELLS_SLOT, u32(n));
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
        sum += reflection_cell(cell + i32(n)) * length;
        left -= max(length, 1e-30);
        begin = 0.0;
        n += 1.0;
    }
    return sum;
}

fn reflection_bins_setup() {
    let redshift = max(reflection_redshift(), -0.999);
    let moved = log_1p(redshift) / REFLECTION_STEP;
    let whole = floor(moved);
    reflection = Reflection(reflection_number(REFLECTION_FACTOR), reflection_norm(), i32(whole), moved - whole);
    let amplitude = REFLECTION_ENERGY * safe_exp(-reflection_ln_energy(reflection_index(), reflection_cut()));
    reflection_continuum_setup(select(0.0, amplitude, reflection_fraction() >= 0.0), 1.0 + redshift);
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

fn reflection_bin(i: u32) -> f32 {
    let at = REFLECTION_BINS + 2u * i;
    return reflection.norm * reflection_all(i32(table(at)), table(at + 1u), ln_mid(i), centre(i), log_width(i));
}
