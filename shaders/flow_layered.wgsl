// What the layer-by-layer flow needs between its dense products, one invocation per row (MASK: per weight).
//  AFFINE: y = (x - shift) exp(-s), log_det -= s, with s the bounded log-scale; `out` holds [shift, raw log-scale].
//  BASE:   loss = -log q per row (times its flow's share in an ensemble) from the base-space point and log_det, and its gradient (of the MEAN over rows) there.
//  BACK:   gradients of shift and raw log-scale, and of x directly, from the gradient of y.
//  MASK:   gradient += mask * fresh.
//!include index
//!if BASE
//!include status
//!end
struct Parameters { rows: u32, p: u32, share: f32, add: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

const LOG_SCALE_LIMIT = 7.0;
const HALF_LN_TWO_PI = 0.9189385332046727;

//!if AFFINE
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_det: array<f32>;
//!end
//!if BASE
@group(0) @binding(1) var<storage, read> base: array<f32>;
@group(0) @binding(2) var<storage, read> log_det: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_y: array<f32>;
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;
//!end
//!if BACK
@group(0) @binding(1) var<storage, read> out: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> d: array<f32>; // gradient of y, becomes that of x (direct part)
@group(0) @binding(4) var<storage, read_write> d_out: array<f32>;
//!end
//!if MASK
@group(0) @binding(1) var<storage, read> mask: array<f32>;
@group(0) @binding(2) var<storage, read> fresh: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;
//!end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    let p = parameters.p;
//!if AFFINE
    var sum = log_det[row];
    for (var i = 0u; i < p; i++) {
        let raw = out[row * 2u * p + p + i];
        let s = raw / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
        y[row * p + i] = (x[row * p + i] - out[row * 2u * p + i]) * exp(-s);
        sum -= s;
    }
    log_det[row] = sum;
//!end
//!if BASE
    var sum = f32(p) * HALF_LN_TWO_PI - log_det[row];
    for (var i = 0u; i < p; i++) {
        let b = base[row * p + i];
        sum += 0.5 * b * b;
        d_y[row * p + i] = b / f32(parameters.rows);
    }
    if !is_finite(sum) { raise(FAULT_FLOW, row); }
    var before = 0.0;
    if parameters.add != 0u { before = loss[row]; }
    loss[row] = before + parameters.share * sum;
//!end
//!if BACK
    for (var i = 0u; i < p; i++) {
        let raw = out[row * 2u * p + p + i];
        let shrink = 1.0 / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
        let d_y = d[row * p + i];
        let direct = d_y * exp(-raw * shrink);
        d_out[row * 2u * p + i] = -direct;
        d_out[row * 2u * p + p + i] = (1.0 / f32(parameters.rows) - d_y * y[row * p + i]) * shrink * shrink;
        d[row * p + i] = direct;
    }
//!end
//!if MASK
    gradient[row] += mask[row] * fresh[row];
//!end
}
