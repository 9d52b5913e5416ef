// Which candidates lie in the truncation region {log_q > threshold}, and with which importance.
// A candidate carried from base space b has weight (prior / candidate density) w = N(b) / q in the unit cube: LIMIT asks whether
// ln w exceeds `limit` (where there are no columns, `base` is the candidates' log-density instead), THIN keeps it with probability w / exp(limit).
//!include index
struct Parameters { rows: u32, cols: u32, threshold: f32, limit: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> log_q: array<f32>;
@group(0) @binding(2) var<storage, read_write> keep: array<u32>;
//!if BASE
@group(0) @binding(3) var<storage, read> base: array<f32>;
//!end
//!if THIN
@group(0) @binding(4) var<storage, read> uniform_draw: array<f32>;
//!end

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 256u);
    if row >= parameters.rows { return; }
    var kept = log_q[row] > parameters.threshold;
//!if BASE
    var log_weight = -log_q[row];
    if parameters.cols == 0u { log_weight = -base[row]; }
    for (var i = 0u; i < parameters.cols; i++) {
        let b = base[row * parameters.cols + i];
        log_weight -= 0.5 * b * b;
    }
//!if THIN
    kept = kept && log(uniform_draw[row]) < log_weight - parameters.limit;
//!end
//!if LIMIT
    kept = kept && log_weight > parameters.limit;
//!end
//!end
    keep[row] = select(0u, 1u, kept);
}
