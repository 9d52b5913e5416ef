// The end of a training step of all flows.
//  NORM: the norm of every flow's gradient and its clipping factor (negative: skip the update), and the batch's loss: the sum over its
//        rows, the mean over the flows. One workgroup. `state` is that of the whole store: largest norm, smallest factor, faults so far.
//  SUM:  the loss alone.
//  ADAM: the update, flow by flow with its own factor; `packed` gets every layer transposed. PACK: that alone.
//!include index
struct Parameters {
    n: u32, step: u32, clip: f32, rate: f32, beta1: f32, beta2: f32, epsilon: f32, second_scale: f32,
    parts: u32, rows: u32, slot: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;

//!if REDUCE
const FLOWS = {{FLOWS}}u;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> losses: array<f32>;
//!end
//!if NORM
//!include status
@group(0) @binding(3) var<storage, read> squares: array<f32>;
@group(0) @binding(4) var<storage, read_write> factors: array<f32>;
@group(0) @binding(5) var<storage, read_write> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;
//!end

//!if REDUCE
var<workgroup> sums: array<f32, 256>;
fn total(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    sums[lane] = value;
    for (var width = 128u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    return sums[0];
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    var loss = 0.0;
    for (var i = lane; i < FLOWS * parameters.rows; i += 256u) { loss += rows[i]; }
    let all = total(lane, loss);
    if lane == 0u { losses[parameters.slot] = all / f32(FLOWS); }
//!if NORM
    var largest = 0.0;
    var smallest = 1.0;
    for (var flow = 0u; flow < FLOWS; flow++) {
        var part = 0.0;
        for (var i = lane; i < parameters.parts; i += 256u) { part += squares[flow * parameters.parts + i]; }
        let square = total(lane, part);
        if lane == 0u {
            let norm = sqrt(square);
            var factor = 1.0;
            if !is_finite(square) {
                factor = -1.0;
                state[2] += 1.0;
                raise(FAULT_GRADIENT, parameters.step);
            } else if parameters.clip > 0.0 && norm > parameters.clip {
                factor = parameters.clip / norm;
            }
            factors[flow] = factor;
            largest = max(largest, norm);
            smallest = min(smallest, factor);
        }
    }
    if lane == 0u {
        state[0] = largest;
        state[1] = smallest;
    }
//!end
}
//!end

//!if PACKING
//!include flow_fused
@group(0) @binding(1) var<storage, read_write> value: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

// Where a weight lies when every layer is transposed.
fn transposed(index: u32) -> u32 {
    let within = index % STRIDE;
    let start = index - within;
    var layer = 0u;
    if within >= dense(1u) { layer = min((within - dense(1u)) / ((H + 1u) * H) + 1u, LAYERS); }
    let local = within - dense(layer);
    let rows = dense_rows(layer);
    let cols = dense_cols(layer);
    if local >= rows * cols { return index; }
    return start + dense(layer) + (local % cols) * rows + local / cols;
}
//!end
//!if ADAM
@group(0) @binding(3) var<storage, read> gradient: array<f32>;
@group(0) @binding(4) var<storage, read> factors: array<f32>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
@group(0) @binding(6) var<storage, read_write> second: array<f32>;
//!end

//!if PACKING
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 64u);
    if i >= parameters.n { return; }
//!if ADAM
    let factor = factors[i / (TRANSFORMS * STRIDE)];
    if factor < 0.0 { return; }
    let g = gradient[i] * factor;
    let m = parameters.beta1 * first[i] + (1.0 - parameters.beta1) * g;
    let v = parameters.beta2 * second[i] + (1.0 - parameters.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    value[i] -= parameters.rate * m / (sqrt(v) * parameters.second_scale + parameters.epsilon);
//!end
    packed[transposed(i)] = value[i];
}
//!end
