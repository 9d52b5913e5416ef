// log q of every row of `points` at one shared context (folded into `biases`), in the flow's input space.
//!include index
//!include status
//!include nonlinear
//!include flow
struct Parameters { rows: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> biases: array<f32>;
@group(0) @binding(3) var<storage, read> orders: array<u32>;
@group(0) @binding(4) var<storage, read> points: array<f32>;
@group(0) @binding(5) var<storage, read_write> log_q: array<f32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    for (var i = 0u; i < P; i++) { x[i] = points[row * P + i]; }
    var log_det = 0.0;
    for (var k = 0u; k < TRANSFORMS; k++) {
        var y: array<f32, P>;
        for (var degree = 0u; degree < P; degree++) {
            hidden_group(k, degree);
        }
        for (var i = 0u; i < P; i++) {
            let s = shift_and_scale(k, i, orders[k * P + i]);
            y[i] = (x[i] - s.x) * exp(-s.y);
            log_det -= s.y;
        }
        x = y;
    }
    var sum = log_det - f32(P) * HALF_LN_TWO_PI;
    for (var i = 0u; i < P; i++) { sum -= 0.5 * x[i] * x[i]; }
    if !is_finite(sum) { raise(FAULT_FLOW, row); }
    log_q[row] = sum;
}
