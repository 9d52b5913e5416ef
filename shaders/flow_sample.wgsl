// Carries base-space samples to the flow's input space at one shared context, with log q there. One sweep per transform: hidden
// units are computed degree by degree as parameters become known. Of an ensemble, the flows take the rows in turn; log q is each one's own.
//!include index
//!include status
//!include nonlinear
//!include flow
//!include tails
struct Parameters { rows: u32, first: u32, near: f32, far: f32, power: f32, reach: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> biases: array<f32>;
@group(0) @binding(3) var<storage, read> orders: array<u32>;
@group(0) @binding(4) var<storage, read> base: array<f32>;
@group(0) @binding(5) var<storage, read_write> points: array<f32>;
@group(0) @binding(6) var<storage, read_write> log_q: array<f32>;
@group(0) @binding(7) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    // Flow by flow, so that neighbours read the same weights: row r belongs to flow (first + r) mod FLOWS.
    let index = linear_index(id, groups, 64u);
    let share = (parameters.rows + FLOWS - 1u) / FLOWS;
    let flow = index / share;
    let row = (index % share) * FLOWS + (flow + FLOWS - parameters.first) % FLOWS;
    if flow >= FLOWS || row >= parameters.rows { return; }
    var half_square = 0.0;
    for (var i = 0u; i < P; i++) {
        x[i] = base[row * P + i];
        half_square += 0.5 * x[i] * x[i];
    }
    var sum = in_tails(half_square, parameters.near, parameters.far, parameters.power, parameters.reach) - f32(P) * HALF_LN_TWO_PI - half_square;
    for (var step = 0u; step < TRANSFORMS; step++) {
        let k = flow * TRANSFORMS + TRANSFORMS - 1u - step;
        for (var degree = 0u; degree < P; degree++) {
            // Parameters of this order or above still hold base values; hidden_group reads lower orders only.
            hidden_group(k, degree);
            for (var i = 0u; i < P; i++) {
                if orders[k * P + i] == degree {
                    let s = shift_and_scale(k, i, degree);
                    x[i] = x[i] * exp(s.y) + s.x;
                    sum -= s.y;
                }
            }
        }
    }
    if !is_finite(sum) { raise(FAULT_FLOW, row); }
    for (var i = 0u; i < P; i++) { points[row * P + i] = x[i]; }
    log_q[row] = sum;
}
