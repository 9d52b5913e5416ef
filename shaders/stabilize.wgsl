// Counts to numbers whose noise is 1: (2 sqrt(x + 3/8) - centre) * weight per column, or with x or ln(1 + x) in place of
// the root. `scale` = [centres, weights].
//!include index
struct Parameters { rows: u32, cols: u32, first: u32, pad: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    let cols = parameters.cols;
    if i >= parameters.rows * cols { return; }
    let column = i % cols;
    let x = source[parameters.first * cols + i];
//!if ROOT
    let z = 2.0 * sqrt(x + 0.375);
//!end
//!if LINEAR
    let z = x;
//!end
//!if LOG
    let z = log(1.0 + x);
//!end
    result[i] = (z - scale[column]) * scale[cols + column];
}
