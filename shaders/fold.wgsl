// Expected counts: out[s][d] = sum over e of R[d][e] X[e][s], X energy-major with four spectra to a vec4.
// One invocation: four spectra x eight neighbouring bins over the union of the columns those bins see (segments), stored
// densely, column by column, eight values each: no column index is read and the values are the same for a whole workgroup.
// The result is a window of a wider matrix, times a weight per row where there are weights, added to what is there where asked for.
//!include status
struct Parameters {
    quads: u32, rows: u32, bins: u32, out_row: u32, first_row: u32, least: f32,
    out_cols: u32, column: u32, first_weight: u32, weighted: u32, accumulate: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> flux: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;
@group(0) @binding(7) var<storage, read> weights: array<f32>;

fn put(spectrum: u32, bin: u32, value: f32, weight: f32) {
    if spectrum >= parameters.rows { return; }
    let at = (parameters.out_row + spectrum) * parameters.out_cols + parameters.column + bin;
    var counts = select(value, parameters.least, value < parameters.least) * weight;
    if parameters.accumulate != 0u { counts += out[at]; }
    if !is_finite(value) || !is_finite(counts) { raise(FAULT_FOLD, parameters.first_row + spectrum); }
    out[at] = counts;
}

fn put4(spectrum: u32, bin: u32, value: vec4<f32>, weight: vec4<f32>) {
    if bin >= parameters.bins { return; }
    put(spectrum, bin, value.x, weight.x);
    put(spectrum + 1u, bin, value.y, weight.y);
    put(spectrum + 2u, bin, value.z, weight.z);
    put(spectrum + 3u, bin, value.w, weight.w);
}

fn weight_of(spectrum: u32) -> f32 {
    return weights[parameters.first_weight + min(spectrum, parameters.rows - 1u)];
}

@compute @workgroup_size({{LANES}})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    // No early return and the block from the workgroup: what all lanes share stays visibly uniform.
    let quad = min(id.x, parameters.quads - 1u);
    var a0 = vec4<f32>();
    var a1 = vec4<f32>();
    var a2 = vec4<f32>();
    var a3 = vec4<f32>();
    var a4 = vec4<f32>();
    var a5 = vec4<f32>();
    var a6 = vec4<f32>();
    var a7 = vec4<f32>();
    let last = blocks[group.y + 1u];
    for (var s = blocks[group.y]; s < last; s++) {
        let segment = segments[s];
        var at = segment.x * parameters.quads + quad;
        var value = segment.z;
        // Sums of 32 terms, then the sum of those: one running sum over a wide response would round at every step.
        for (var n = 0u; n < segment.y; n += 32u) {
            let stop = min(n + 32u, segment.y);
            var p0 = vec4<f32>();
            var p1 = vec4<f32>();
            var p2 = vec4<f32>();
            var p3 = vec4<f32>();
            var p4 = vec4<f32>();
            var p5 = vec4<f32>();
            var p6 = vec4<f32>();
            var p7 = vec4<f32>();
            for (var j = n; j < stop; j++) {
                let x = flux[at];
                let low = values[value];
                let high = values[value + 1u];
                p0 += low.x * x;
                p1 += low.y * x;
                p2 += low.z * x;
                p3 += low.w * x;
                p4 += high.x * x;
                p5 += high.y * x;
                p6 += high.z * x;
                p7 += high.w * x;
                at += parameters.quads;
                value += 2u;
            }
            a0 += p0;
            a1 += p1;
            a2 += p2;
            a3 += p3;
            a4 += p4;
            a5 += p5;
            a6 += p6;
            a7 += p7;
        }
    }
    let spectrum = id.x * 4u;
    let bin = group.y * 8u;
    var weight = vec4<f32>(1.0);
    if parameters.weighted != 0u {
        weight = vec4<f32>(weight_of(spectrum), weight_of(spectrum + 1u), weight_of(spectrum + 2u), weight_of(spectrum + 3u));
    }
    put4(spectrum, bin, a0, weight);
    put4(spectrum, bin + 1u, a1, weight);
    put4(spectrum, bin + 2u, a2, weight);
    put4(spectrum, bin + 3u, a3, weight);
    put4(spectrum, bin + 4u, a4, weight);
    put4(spectrum, bin + 5u, a5, weight);
    put4(spectrum, bin + 6u, a6, weight);
    put4(spectrum, bin + 7u, a7, weight);
}
