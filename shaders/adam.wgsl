// Adam with global-norm clipping in two launches: partial sums of squares; and the update, for which every workgroup adds the
// partial sums up by itself.
// The order of every sum is fixed by the launch, so the same gradient gives the same bits.
//!include index
struct Parameters { n: u32, step: u32, clip: f32, rate: f32, beta1: f32, beta2: f32, epsilon: f32, second_scale: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

//!if FILL
// gradient = 0
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i < parameters.n { gradient[i] = 0.0; }
}
//!end

//!if PARTIAL
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
var<workgroup> sums: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    var sum = 0.0;
    for (var i = group.x * 256u + lane; i < parameters.n; i += {{GROUPS}}u * 256u) {
        let g = gradient[i];
        sum += g * g;
    }
    sums[lane] = sum;
    for (var width = 128u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane == 0u { parts[group.x] = sums[0]; }
}
//!end

//!if UPDATE
//!include status
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
// [norm, factor (negative: update skipped), faults so far]; written by the first workgroup, read by none
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> value: array<f32>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
@group(0) @binding(6) var<storage, read_write> second: array<f32>;
@group(0) @binding(7) var<storage, read_write> status: array<atomic<u32>>;
var<workgroup> sums: array<f32, {{GROUPS}}>;
@compute @workgroup_size({{GROUPS}})
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    sums[lane] = parts[lane];
    for (var width = {{GROUPS}}u / 2u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    workgroupBarrier();
    let norm = sqrt(sums[0]);
    let sound = is_finite(sums[0]);
    var factor = select(-1.0, 1.0, sound);
    if sound && parameters.clip > 0.0 && norm > parameters.clip { factor = parameters.clip / norm; }
    if group.x == 0u && group.y == 0u && lane == 0u {
        state[0] = norm;
        state[1] = factor;
        if !sound {
            state[2] += 1.0;
            raise(FAULT_GRADIENT, parameters.step);
        }
    }
    if !sound { return; }
    let start = (group.x + group.y * groups.x) * {{GROUPS}}u * {{EACH}}u + lane;
    for (var k = 0u; k < {{EACH}}u; k += 1u) {
        let i = start + k * {{GROUPS}}u;
        if i >= parameters.n { return; }
        let g = gradient[i] * factor;
        let m = parameters.beta1 * first[i] + (1.0 - parameters.beta1) * g;
        let v = parameters.beta2 * second[i] + (1.0 - parameters.beta2) * g * g;
        first[i] = m;
        second[i] = v;
        value[i] -= parameters.rate * m / (sqrt(v) * parameters.second_scale + parameters.epsilon);
    }
}
//!end
