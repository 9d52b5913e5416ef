// Expected counts of models of one stage, without a flux in memory: out[s][d] = sum over e of R[d][e] X[e](parameters of s).
// A workgroup has 16 spectra and a block of 512 bins. It evaluates up to 64 energies that the block sees at a time, keeps them in
// workgroup memory and folds them; an invocation sums four strips of eight bins of one spectrum, chunk by chunk.
//!include status
// The result is a window of a wider matrix, times a weight per row where there are weights, added to what is there where asked for.
struct Launch {
    stride: u32, rows: u32, energies: u32, bins: u32, out_row: u32, first_row: u32, least: f32,
    out_cols: u32, column: u32, first_weight: u32, weighted: u32, accumulate: u32, first_chunk: u32,
}
@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> parameter_values: array<f32>;
@group(0) @binding(2) var<storage, read> bin_values: array<f32>;
@group(0) @binding(3) var<storage, read> table_values: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
// The first chunk of every block and the end, alone in a vec4; from `first_chunk` on, of every chunk: (first energy, energies), then for
// every strip (first of them, how many, place of the values). One table, as an adapter has eight bindings.
@group(0) @binding(5) var<storage, read> pieces: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read_write> status: array<atomic<u32>>;
//!include model
fn source(slot: u32, i: u32) -> f32 { return 0.0; }

{{STAGE}}

var<workgroup> flux: array<f32, 1024>;

struct Eight { low: vec4<f32>, high: vec4<f32> }

// What a chunk adds to the bins of a strip.
fn piece_sum(piece: vec4<u32>, spectrum: u32) -> Eight {
    var sum = Eight(vec4<f32>(), vec4<f32>());
    var at = piece.z;
    for (var i = piece.x; i < piece.x + piece.y; i += 1u) {
        let x = flux[i * 16u + spectrum];
        sum.low += values[at] * x;
        sum.high += values[at + 1u] * x;
        at += 2u;
    }
    return sum;
}

fn put(spectrum: u32, bin: u32, four: vec4<f32>, weight: f32) {
    for (var j = 0u; j < 4u; j += 1u) {
        if bin + j < launch.bins {
            let value = four[j];
            let at = (launch.out_row + spectrum) * launch.out_cols + launch.column + bin + j;
            var counts = select(value, launch.least, value < launch.least) * weight;
            if launch.accumulate != 0u { counts += out[at]; }
            if !is_finite(value) || !is_finite(counts) { raise(FAULT_FOLD, launch.first_row + spectrum); }
            out[at] = counts;
        }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let local = lane % 16u;
    let strip = lane / 16u;
    let spectrum = group.x * 16u + local;
    // Those beyond the last one repeat it, and store nothing.
    current_spectrum = min(spectrum, launch.rows - 1u);
    stage_setup();
    var a0 = Eight(vec4<f32>(), vec4<f32>());
    var a1 = a0;
    var a2 = a0;
    var a3 = a0;
    var bad = false;
    let last = pieces[group.y + 1u].x;
    for (var chunk = pieces[group.y].x; chunk < last; chunk += 1u) {
        let head = pieces[launch.first_chunk + chunk * 65u];
        for (var i = strip; i < head.y; i += 16u) {
            let value = stage_bin(head.x + i);
            bad = bad || !is_finite(value) || value < 0.0;
            flux[i * 16u + local] = value;
        }
        workgroupBarrier();
        let first_piece = launch.first_chunk + chunk * 65u + 1u + strip;
        let p0 = piece_sum(pieces[first_piece], local);
        let p1 = piece_sum(pieces[first_piece + 16u], local);
        let p2 = piece_sum(pieces[first_piece + 32u], local);
        let p3 = piece_sum(pieces[first_piece + 48u], local);
        a0.low += p0.low;
        a0.high += p0.high;
        a1.low += p1.low;
        a1.high += p1.high;
        a2.low += p2.low;
        a2.high += p2.high;
        a3.low += p3.low;
        a3.high += p3.high;
        workgroupBarrier();
    }
    if spectrum >= launch.rows { return; }
    if bad { raise(FAULT_MODEL, launch.first_row + spectrum); }
    var weight = 1.0;
    if launch.weighted != 0u { weight = weights[launch.first_weight + spectrum]; }
    let bin = group.y * 512u + strip * 8u;
    put(spectrum, bin, a0.low, weight);
    put(spectrum, bin + 4u, a0.high, weight);
    put(spectrum, bin + 128u, a1.low, weight);
    put(spectrum, bin + 132u, a1.high, weight);
    put(spectrum, bin + 256u, a2.low, weight);
    put(spectrum, bin + 260u, a2.high, weight);
    put(spectrum, bin + 384u, a3.low, weight);
    put(spectrum, bin + 388u, a3.high, weight);
}
