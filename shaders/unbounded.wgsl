// Between the unit cube and the flow's input space: x = (logit(u) - mean) / sd per parameter.
// MODE_X:  cube -> x.   MODE_CUBE: x -> cube.   Both add ln |dx/du| to `log_q` when it comes in as a density of x (ADD_JACOBIAN).
//!include index
struct Parameters { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> moments: array<f32>; // means, then standard deviations
@group(0) @binding(2) var<storage, read> source: array<f32>;
//!if WRITE
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
//!end
//!if JACOBIAN
@group(0) @binding({{JACOBIAN}}) var<storage, read_write> log_q: array<f32>;
//!end

const LOWEST = 1.1920929e-7;
const HIGHEST = 0.99999994;

fn softplus(t: f32) -> f32 {
    let e = exp(-abs(t));
    // ln(1 + e) by its series where 1 + e would round e away.
    let tail = select(log(1.0 + e), e - 0.5 * e * e, e < 1e-3);
    return max(t, 0.0) + tail;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    let p = parameters.cols;
    var jacobian = 0.0;
    for (var i = 0u; i < p; i++) {
        let at = row * p + i;
        let mean = moments[i];
        let sd = moments[p + i];
//!if FROM_CUBE
        let u = clamp(source[at], LOWEST, HIGHEST);
        let t = log(u) - log(1.0 - u);
        result[at] = (t - mean) / sd;
//!end
//!if FROM_X
        let t = mean + sd * source[at];
//!end
//!if TO_CUBE
        result[at] = clamp(1.0 / (1.0 + exp(-t)), LOWEST, HIGHEST);
//!end
        jacobian += softplus(t) + softplus(-t) - log(sd);
    }
//!if JACOBIAN
    log_q[row] += jacobian;
//!end
}
