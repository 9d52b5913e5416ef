// log q of every row of `points` at one shared context (folded into `biases`), in the flow's input space. SEVERAL flows: [log q, half the
// squared distance in base space] of every flow, one after the other.
//!include index
//!include status
//!include nonlinear
//!include flow
//!include tails
struct Parameters { rows: u32, near: f32, far: f32, power: f32, reach: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> biases: array<f32>;
@group(0) @binding(3) var<storage, read> orders: array<u32>;
@group(0) @binding(4) var<storage, read> points: array<f32>;
//!if ONE
@group(0) @binding(5) var<storage, read_write> log_q: array<f32>;
//!end
//!if SEVERAL
@group(0) @binding(5) var<storage, read_write> log_q: array<vec2<f32>>;
//!end
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = linear_index(id, groups, 64u);
    if index >= FLOWS * parameters.rows { return; }
    let row = index % parameters.rows;
    let first = (index / parameters.rows) * TRANSFORMS;
    for (var i = 0u; i < P; i++) { x[i] = points[row * P + i]; }
    var log_det = 0.0;
    for (var k = 0u; k < TRANSFORMS; k++) {
        var y: array<f32, P>;
        for (var degree = 0u; degree < P; degree++) {
            hidden_group(first + k, degree);
        }
        for (var i = 0u; i < P; i++) {
            let s = shift_and_scale(first + k, i, orders[(first + k) * P + i]);
            y[i] = (x[i] - s.x) * exp(-s.y);
            log_det -= s.y;
        }
        x = y;
    }
    var half_square = 0.0;
    for (var i = 0u; i < P; i++) { half_square += 0.5 * x[i] * x[i]; }
    let sum = log_det - f32(P) * HALF_LN_TWO_PI - half_square;
    if !is_finite(sum) { raise(FAULT_FLOW, row); }
//!if ONE
    log_q[index] = sum + in_tails(half_square, parameters.near, parameters.far, parameters.power, parameters.reach);
//!end
//!if SEVERAL
    log_q[index] = vec2(sum, half_square);
//!end
}
