// Element-wise activation and its backward pass. `kind` as in include/nonlinear.
//!include nonlinear
//!include index
struct Parameters { n: u32, kind: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.n { return; }
//!if FORWARD
    result[i] = activate(parameters.kind, source[i]);
//!end
//!if BACKWARD
    result[i] *= activation_derivative(parameters.kind, source[i]);
//!end
}
