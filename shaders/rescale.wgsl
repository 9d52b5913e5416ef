// The weights of a layer that reads (by_row) or writes standardised numbers, with Adam's moments of them, for new statistics: the
// same function of ln(1 + x), and moments of gradients with respect to the new weights. A scale is [means, standard deviations].
//!include index
struct Parameters { offset: u32, rows: u32, cols: u32, stride: u32, by_row: u32, bias: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> before: array<f32>;
@group(0) @binding(2) var<storage, read> after: array<f32>;
@group(0) @binding(3) var<storage, read_write> value: array<f32>;
@group(0) @binding(4) var<storage, read_write> first: array<f32>;
@group(0) @binding(5) var<storage, read_write> second: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let row = i / parameters.cols;
    let column = i % parameters.cols;
    let at = parameters.offset + row * parameters.stride + column;
    var factor = 1.0;
    var shift = 0.0;
    if parameters.by_row != 0u {
        factor = after[parameters.rows + row] / before[parameters.rows + row];
    } else {
        let sd = after[parameters.cols + column];
        factor = before[parameters.cols + column] / sd;
        if parameters.bias != 0u { shift = (before[column] - after[column]) / sd; }
    }
    value[at] = value[at] * factor + shift;
    first[at] = first[at] / factor;
    second[at] = second[at] / (factor * factor);
}
