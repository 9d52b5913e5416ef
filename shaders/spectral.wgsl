// Summary statistics of count spectra, one workgroup per spectrum; what they are and in which order: `crates/rontgen-kernels/src/kernels/spectral.rs`.
//!include index
struct Parameters { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> counts: array<f32>;
@group(0) @binding(2) var<storage, read> energies: array<f32>;
// First bin of each band, and the end of the last.
@group(0) @binding(3) var<storage, read> edges: array<u32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;

const LANES: u32 = 256u;
const BANDS: u32 = {{BANDS}}u;
var<workgroup> lanes: array<vec4<f32>, LANES>;
var<workgroup> band_sums: array<f32, BANDS>;

fn total(lane: u32, value: vec4<f32>) -> vec4<f32> {
    lanes[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half { lanes[lane] += lanes[lane + half]; }
        workgroupBarrier();
    }
    let sum = lanes[0];
    workgroupBarrier();
    return sum;
}

fn signed_log(x: f32) -> f32 { return sign(x) * log(1.0 + abs(x)); }

// The value of rank `rank` (from 0) of the spectrum's bins: numbers that are not negative are ordered as their bits are.
fn ranked(lane: u32, start: u32, rank: f32) -> f32 {
    var low = 0u;
    var high = 0x7f7fffffu;
    for (var turn = 0u; turn < 31u; turn++) {
        let middle = low + (high - low) / 2u;
        let bound = bitcast<f32>(middle);
        var below = 0.0;
        for (var i = lane; i < parameters.cols; i += LANES) {
            if counts[start + i] <= bound { below += 1.0; }
        }
        if total(lane, vec4(below, 0.0, 0.0, 0.0)).x > rank { high = middle; } else { low = min(middle + 1u, high); }
    }
    return bitcast<f32>(high);
}

fn percentile(lane: u32, start: u32, share: f32) -> f32 {
    let place = share * f32(parameters.cols - 1u);
    let rank = floor(place);
    let lower = ranked(lane, start, rank);
    let upper = ranked(lane, start, min(rank + 1.0, f32(parameters.cols - 1u)));
    return mix(lower, upper, place - rank);
}

fn ratio(above: f32, below: f32) -> f32 { return (above + 0.5) / (below + 0.5); }

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = group.x + group.y * groups.x;
    // The same for a whole workgroup.
    if row >= parameters.rows { return; }
    let cols = parameters.cols;
    let start = row * cols;
    let out = row * {{STATISTICS}}u;
    var sums = vec4(0.0);
    for (var i = lane; i < cols; i += LANES) {
        let x = counts[start + i];
        sums += vec4(x, select(0.0, x * log(x), x > 0.0), 0.0, 0.0);
    }
    sums = total(lane, sums);
    let whole = sums.x;
    let mean = whole / f32(cols);
    var central = vec4(0.0);
    for (var i = lane; i < cols; i += LANES) {
        let d = counts[start + i] - mean;
        central += vec4(d * d, d * d * d, 0.0, 0.0);
    }
    central = total(lane, central) / f32(cols);
    let sd = sqrt(central.x);
    let p25 = percentile(lane, start, 0.25);
    let p75 = percentile(lane, start, 0.75);
    let p90 = percentile(lane, start, 0.90);
    let p95 = percentile(lane, start, 0.95);
    if lane == 0u {
        result[out] = signed_log(mean);
        result[out + 1u] = signed_log(sd);
        result[out + 2u] = signed_log(whole);
        result[out + 3u] = signed_log(select(0.0, central.y / (sd * sd * sd), sd > 0.0));
        result[out + 4u] = signed_log(select(0.0, log(whole) - sums.y / whole, whole > 0.0));
        result[out + 5u] = signed_log(p90);
        result[out + 6u] = signed_log(p95);
        result[out + 7u] = signed_log(p75 - p25);
    }
    for (var band = 0u; band < BANDS; band++) {
        let low = edges[band];
        let high = edges[band + 1u];
        var s = vec4(0.0);
        for (var i = low + lane; i < high; i += LANES) {
            let x = counts[start + i];
            s += vec4(x, energies[i] * x, energies[i], 0.0);
        }
        s = total(lane, s);
        let level = s.x / max(f32(high - low), 1.0);
        var excess = 0.0;
        for (var i = low + lane; i < high; i += LANES) { excess += max(counts[start + i] - level, 0.0); }
        excess = total(lane, vec4(excess, 0.0, 0.0, 0.0)).x;
        if lane == 0u {
            band_sums[band] = s.x;
            let at = out + 8u + band;
            result[at] = signed_log(s.x);
            result[at + BANDS] = signed_log(excess);
            result[at + 2u * BANDS] = signed_log(select(0.0, s.y / s.z, s.z > 0.0));
            let middle = s.z / max(f32(high - low), 1.0);
            result[at + 3u * BANDS] = signed_log(select(middle, s.y / s.x, s.x > 0.0));
        }
    }
    workgroupBarrier();
    if lane < BANDS - 1u {
        let here = band_sums[lane];
        let next = band_sums[lane + 1u];
        result[out + 8u + 4u * BANDS + lane] = signed_log(ratio(next, here));
        if lane > 0u {
            var step = here - band_sums[lane - 1u];
            if step == 0.0 { step = 0.5; }
            result[out + 8u + 5u * BANDS - 1u + lane - 1u] = signed_log((next - here) / step);
        }
    }
}
