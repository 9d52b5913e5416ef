// -1/2 of a fit statistic of spectra with a background: one workgroup per row, each lane the bins lane, lane + 64, ..., sums in the order of cstat.
// `data` holds constants by bins in rows of `stride`, and MARGINAL's coefficients after them; mirrors kernels::background_stat.
//!include status
//!include deviance
//!include cstat
struct Parameters {
    rows: u32, cols: u32, mean_cols: u32, mean_row: u32, mean_col: u32, out_row: u32, first_row: u32, stride: u32,
    terms: u32, add: u32, constant: f32, padding: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> data: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;

fn constant(row: u32, bin: u32) -> f32 {
    return data[row * parameters.stride + bin];
}

//!if PROFILE
// Rows: 0 S, 1 K, 2 p (S + K), 3 p K, 4 rate over scale.
// Deviances of source and background counts at the best background, and the background's share of what is expected.
fn profile(m: f32, bin: u32) -> vec2<f32> {
    let s = constant(0u, bin);
    let k = constant(1u, bin);
    let all = constant(2u, bin);
    // In units that keep every square within f32.
    let unit = max(max(m, all), 1e-30);
    let inverse = 1.0 / unit;
    let v = m * inverse;
    let a = all * inverse - v;
    let cross = 2.0 * (constant(3u, bin) * inverse) * v;
    let d = sqrt(a * a + 2.0 * cross);
    var x = 0.5 * (a + d);
    if a < 0.0 { x = cross / (d - a); }
    let scaled = unit * x;
    let expected = constant(4u, bin) * scaled;
    let total = max(m + scaled, 1e-32);
    return vec2(counts_deviance(s, total, (s - m) - scaled) + counts_deviance(k, expected, k - expected), scaled / total);
}

fn counts_deviance(d: f32, m: f32, difference: f32) -> f32 {
    if d > 0.0 { return half_deviance(d, max(m, 1e-32), difference); }
    return m;
}
//!end

//!if W
fn half_statistic(m: f32, bin: u32) -> f32 {
    return profile(m, bin).x;
}
//!end

//!if MARGINAL
// Rows: 5 S/K, 6 its root, 7 the stretch of the polynomial's variable, 8 the coefficients.
fn half_statistic(m: f32, bin: u32) -> f32 {
    let best = profile(m, bin);
    let laplace = best.x + 0.5 * log(1.0 + constant(5u, bin) * best.y * best.y);
    let terms = parameters.terms;
    if terms == 0u { return laplace; }
    let w = best.y * constant(6u, bin);
    let node = w / (4.0 + w) * constant(7u, bin) - 1.0;
    // Clenshaw's recurrence.
    var next = 0.0;
    var after = 0.0;
    for (var k = terms - 1u; k > 0u; k--) {
        let now = constant(8u + k, bin) + (2.0 * node * next - after);
        after = next;
        next = now;
    }
    return laplace - (constant(8u, bin) + (node * next - after));
}
//!end

//!if PGSTAT
// Rows: 0 S, 1 a B, 2 V = (a error)^2, 3 a B - V, 4 sqrt(V S), 5 a B - V/2, 6 sqrt(V).
fn half_statistic(m: f32, bin: u32) -> f32 {
    let s = constant(0u, bin);
    if s <= 0.0 { return m + constant(5u, bin); }
    let variance = constant(2u, bin);
    let root = constant(4u, bin);
    let g = m + constant(3u, bin);
    let unit = max(max(abs(g), root), 1e-30);
    let a = g / unit;
    let r = root / unit;
    let d = sqrt(a * a + 4.0 * r * r);
    var x = 0.5 * (a + d);
    if a < 0.0 { x = 2.0 * r * r / (d - a); }
    var total = max(unit * x, 1e-32);
    var difference = s - total;
    if 256.0 * variance >= total {
        // The background's residual, stationary together with the source's deviance.
        let residual = m + constant(1u, bin) - total;
        return half_deviance(s, total, difference) + 0.5 * residual * (residual / max(variance, 1e-30));
    }
    // Beside a small variance the total's rounding would count by itself: it is what m and a B leave to add, of which its rounding is small.
    let added = variance * (difference / max(total, 1e-20));
    total = max(m + constant(1u, bin) + added, 1e-32);
    difference = (s - m) - constant(1u, bin) - added;
    let pull = constant(6u, bin) * (difference / max(total, 1e-20));
    return half_deviance(s, total, difference) + 0.5 * pull * pull;
}
//!end

//!if GAUSSIAN
// Rows: 0 datum, 1 what it was rounded by, 2 1/error.
fn half_statistic(m: f32, bin: u32) -> f32 {
    let deviation = ((constant(0u, bin) - m) + constant(1u, bin)) * constant(2u, bin);
    let held = clamp(deviation, -1e15, 1e15);
    return 0.5 * held * held;
}
//!end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x + group.y * groups.x;
    var sum = 0.0;
    var bad = false;
    if row < parameters.rows {
        let start = (parameters.mean_row + row) * parameters.mean_cols + parameters.mean_col;
        for (var outer = lane; outer < parameters.cols; outer += 512u) {
            var inner = 0.0;
            for (var bin = outer; bin < min(outer + 512u, parameters.cols); bin += 64u) {
                let m = mean[start + bin];
                bad = bad || !is_finite(m) || m < 0.0;
                inner += half_statistic(min(m, CEILING), bin);
            }
            sum += inner;
        }
    }
    if bad { raise(FAULT_CSTAT, parameters.first_row + row); }
    partial[lane] = sum;
    workgroupBarrier();
    if lane == 0u && row < parameters.rows {
        let at = parameters.out_row + row;
        let half = sum_of_lanes() + parameters.constant;
        out[at] = select(0.0, out[at], parameters.add != 0u) - half;
    }
}
