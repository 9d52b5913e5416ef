// An autoregressive step per parameter: affine, y = (x - shift) exp(-s), then (SPLINE) a monotonic rational-quadratic spline on
// [-BOUND, BOUND] with linear tails (Durkan et al. 2019, arXiv:1906.04032). One invocation per row.
// `out` holds per parameter [shift, raw log-scale, BINS widths, BINS heights, BINS - 1 slopes at the inner knots].
//  FORWARD: y and log_det of all parameters.
//  INVERSE: x from y for the parameters of one order.
//  BACK:    gradients of `out` (in its place) and of x directly (in place of that of y); that of log_det is a constant.
//  BASE:    -log q per row from the base-space point, and its gradient (of the MEAN over rows) there.
//  DENSITY: log q per row alone.
//  MASK:    gradient *= mask, one invocation per weight.
//!include index
//!if BASE
//!include status
//!end
struct Parameters { rows: u32, p: u32, level: u32, add: u32, scale: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

const LOG_SCALE_LIMIT = 7.0;
const HALF_LN_TWO_PI = 0.9189385332046727;

//!if FORWARD
@group(0) @binding(1) var<storage, read> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_det: array<f32>;
//!end
//!if INVERSE
@group(0) @binding(1) var<storage, read> out: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> log_det: array<f32>;
//!end
//!if BACK
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> d: array<f32>;
//!end
//!if BASE
@group(0) @binding(1) var<storage, read> base: array<f32>;
@group(0) @binding(2) var<storage, read> log_det: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;
//!end
//!if DENSITY
@group(0) @binding(1) var<storage, read> base: array<f32>;
@group(0) @binding(2) var<storage, read> log_det: array<f32>;
@group(0) @binding(3) var<storage, read_write> log_q: array<f32>;
//!end
//!if MASK
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
//!end

//!if STEP
const PER = {{PER}}u;

fn shrink(raw: f32) -> f32 {
    return 1.0 / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
}
//!end

//!if SPLINE
const BINS = {{BINS}}u;
const BOUND = {{BOUND}};
const FLOOR = 1e-3; // least share of a bin, and least slope
// softplus(SLOPE_OFFSET) = 1 - FLOOR: the spline of zeros is the identity.
const SLOPE_OFFSET = 0.5397424;

// Shares of the bins: softmax, above FLOOR.
fn shares(at: u32) -> array<f32, BINS> {
    var e: array<f32, BINS>;
    var top = out[at];
    for (var k = 1u; k < BINS; k++) { top = max(top, out[at + k]); }
    var sum = 0.0;
    for (var k = 0u; k < BINS; k++) {
        e[k] = exp(out[at + k] - top);
        sum += e[k];
    }
    for (var k = 0u; k < BINS; k++) { e[k] = e[k] / sum; }
    return e;
}

fn length_of(share: f32) -> f32 {
    return 2.0 * BOUND * (FLOOR + (1.0 - FLOOR * f32(BINS)) * share);
}

// The bin of a value, and its left edge.
struct Place { bin: u32, left: f32 }
fn place(share: ptr<function, array<f32, BINS>>, value: f32) -> Place {
    var found = Place(0u, -BOUND);
    var edge = -BOUND;
    for (var k = 0u; k + 1u < BINS; k++) {
        edge += length_of((*share)[k]);
        if value >= edge { found = Place(k + 1u, edge); }
    }
    return found;
}

// Left edge of a bin.
fn edge_of(share: ptr<function, array<f32, BINS>>, bin: u32) -> f32 {
    var edge = -BOUND;
    for (var k = 0u; k < bin; k++) { edge += length_of((*share)[k]); }
    return edge;
}

fn slope(at: u32, knot: u32) -> f32 {
    if knot == 0u || knot == BINS { return 1.0; }
    let t = out[at + knot - 1u] + SLOPE_OFFSET;
    return FLOOR + max(t, 0.0) + log(1.0 + exp(-abs(t)));
}

fn slope_derivative(at: u32, knot: u32) -> f32 {
    let t = out[at + knot - 1u] + SLOPE_OFFSET;
    let e = exp(-abs(t));
    return select(e, 1.0, t > 0.0) / (1.0 + e);
}
//!end

//!if DOWN
// What the affine part gives goes through the spline: value, log-derivative.
fn spline(at: u32, v: f32) -> vec2<f32> {
//!if SPLINE
    if !(abs(v) < BOUND) { return vec2<f32>(v, 0.0); }
    var widths = shares(at + 2u);
    var heights = shares(at + 2u + BINS);
    let found = place(&widths, v);
    let w = length_of(widths[found.bin]);
    let h = length_of(heights[found.bin]);
    let bottom = edge_of(&heights, found.bin);
    let d0 = slope(at + 2u + 2u * BINS, found.bin);
    let d1 = slope(at + 2u + 2u * BINS, found.bin + 1u);
    let s = h / w;
    let xi = clamp((v - found.left) / w, 0.0, 1.0);
    let t = xi * (1.0 - xi);
    let lower = s + (d0 + d1 - 2.0 * s) * t;
    let upper = s * xi * xi + d0 * t;
    let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
    return vec2<f32>(bottom + h * upper / lower, 2.0 * log(s / lower) + log(m));
//!end
//!if AFFINE
    return vec2<f32>(v, 0.0);
//!end
}
//!end

//!if UP
// The inverse: value, and the log-derivative of the forward map there.
fn spline_inverse(at: u32, z: f32) -> vec2<f32> {
//!if SPLINE
    if !(abs(z) < BOUND) { return vec2<f32>(z, 0.0); }
    var widths = shares(at + 2u);
    var heights = shares(at + 2u + BINS);
    let found = place(&heights, z);
    let w = length_of(widths[found.bin]);
    let h = length_of(heights[found.bin]);
    let left = edge_of(&widths, found.bin);
    let d0 = slope(at + 2u + 2u * BINS, found.bin);
    let d1 = slope(at + 2u + 2u * BINS, found.bin + 1u);
    let s = h / w;
    let rise = clamp((z - found.left) / h, 0.0, 1.0);
    let bend = d0 + d1 - 2.0 * s;
    let a = s - d0 + rise * bend;
    let b = d0 - rise * bend;
    let c = -s * rise;
    let xi = clamp(-2.0 * c / (b + sqrt(max(b * b - 4.0 * a * c, 0.0))), 0.0, 1.0);
    let t = xi * (1.0 - xi);
    let lower = s + bend * t;
    let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
    return vec2<f32>(left + w * xi, 2.0 * log(s / lower) + log(m));
//!end
//!if AFFINE
    return vec2<f32>(z, 0.0);
//!end
}
//!end

//!if BACK
// Replaces the numbers of a spline by their gradients; returns that of its input. `g` is that of its value, `gl` of its log-derivative.
fn spline_back(at: u32, v: f32, g: f32, gl: f32) -> f32 {
//!if SPLINE
    if !(abs(v) < BOUND) {
        for (var k = 0u; k < 3u * BINS - 1u; k++) { out[at + 2u + k] = 0.0; }
        return g;
    }
    var widths = shares(at + 2u);
    var heights = shares(at + 2u + BINS);
    let slopes = at + 2u + 2u * BINS;
    let found = place(&widths, v);
    let bin = found.bin;
    let w = length_of(widths[bin]);
    let h = length_of(heights[bin]);
    let d0 = slope(slopes, bin);
    let d1 = slope(slopes, bin + 1u);
    let s = h / w;
    let xi = clamp((v - found.left) / w, 0.0, 1.0);
    let t = xi * (1.0 - xi);
    let bend = d0 + d1 - 2.0 * s;
    let lower = s + bend * t;
    let upper = s * xi * xi + d0 * t;
    let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
    let g_upper = g * h / lower;
    let g_lower = -g_upper * upper / lower - 2.0 * gl / lower;
    let g_m = gl / m;
    let g_t = 2.0 * s * g_m + bend * g_lower + d0 * g_upper;
    let g_xi = g_m * 2.0 * (d1 * xi - d0 * (1.0 - xi)) + g_upper * 2.0 * s * xi + g_t * (1.0 - 2.0 * xi);
    let g_s = 2.0 * gl / s + g_m * 2.0 * t + g_lower * (1.0 - 2.0 * t) + g_upper * xi * xi;
    let g_d0 = g_m * (1.0 - xi) * (1.0 - xi) + (g_lower + g_upper) * t;
    let g_d1 = g_m * xi * xi + g_lower * t;
    let g_h = g * upper / lower + g_s / w;
    let g_w = -(g_s * s + g_xi * xi) / w;
    let g_left = -g_xi / w;
    for (var knot = 1u; knot < BINS; knot++) {
        var value = 0.0;
        if knot == bin { value = g_d0 * slope_derivative(slopes, knot); }
        if knot == bin + 1u { value = g_d1 * slope_derivative(slopes, knot); }
        out[slopes + knot - 1u] = value;
    }
    // Edges are sums of the lengths before them.
    let scale = 2.0 * BOUND * (1.0 - FLOOR * f32(BINS));
    var mean_w = widths[bin] * g_w;
    var mean_h = heights[bin] * g_h;
    for (var k = 0u; k < bin; k++) {
        mean_w += widths[k] * g_left;
        mean_h += heights[k] * g;
    }
    for (var k = 0u; k < BINS; k++) {
        var of_w = 0.0;
        var of_h = 0.0;
        if k < bin { of_w = g_left; of_h = g; }
        if k == bin { of_w = g_w; of_h = g_h; }
        out[at + 2u + k] = scale * widths[k] * (of_w - mean_w);
        out[at + 2u + BINS + k] = scale * heights[k] * (of_h - mean_h);
    }
    return g_xi / w;
//!end
//!if AFFINE
    return g;
//!end
}
//!end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    let p = parameters.p;
//!if FORWARD
    var sum = 0.0;
    if parameters.add != 0u { sum = log_det[row]; }
    for (var i = 0u; i < p; i++) {
        let at = (row * p + i) * PER;
        let s = out[at + 1u] * shrink(out[at + 1u]);
        let result = spline(at, (x[row * p + i] - out[at]) * exp(-s));
        y[row * p + i] = result.x;
        sum += result.y - s;
    }
    log_det[row] = sum;
//!end
//!if INVERSE
    var sum = 0.0;
    if parameters.add != 0u { sum = log_det[row]; }
    for (var i = 0u; i < p; i++) {
        if order[i] != parameters.level { continue; }
        let at = (row * p + i) * PER;
        let s = out[at + 1u] * shrink(out[at + 1u]);
        let result = spline_inverse(at, y[row * p + i]);
        x[row * p + i] = out[at] + result.x * exp(s);
        sum += result.y - s;
    }
    log_det[row] = sum;
//!end
//!if BACK
    for (var i = 0u; i < p; i++) {
        let at = (row * p + i) * PER;
        let bound = shrink(out[at + 1u]);
        let narrow = exp(-out[at + 1u] * bound);
        let v = (x[row * p + i] - out[at]) * narrow;
        let g = spline_back(at, v, d[row * p + i], -parameters.scale);
        out[at] = -g * narrow;
        out[at + 1u] = (parameters.scale - g * v) * bound * bound;
        d[row * p + i] = g * narrow;
    }
//!end
//!if BASE
    var sum = f32(p) * HALF_LN_TWO_PI - log_det[row];
    for (var i = 0u; i < p; i++) {
        let b = base[row * p + i];
        sum += 0.5 * b * b;
        d[row * p + i] = b * parameters.scale;
    }
    if !is_finite(sum) { raise(FAULT_FLOW, row); }
    loss[row] = sum;
//!end
//!if DENSITY
    var sum = log_det[row] - f32(p) * HALF_LN_TWO_PI;
    for (var i = 0u; i < p; i++) {
        let b = base[row * p + i];
        sum -= 0.5 * b * b;
    }
    log_q[row] = sum;
//!end
//!if MASK
    gradient[row] *= mask[row];
//!end
}
