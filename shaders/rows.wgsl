// Rows of a matrix: each times a factor of its own, with one more number behind it, or with a row of another matrix added and behind it.
//!include index
struct Parameters { rows: u32, cols: u32, first: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
// One number per row of the whole; the matrix starts at its row `first`.
@group(0) @binding(1) var<storage, read> numbers: array<f32>;

//!if SCALE
@group(0) @binding(2) var<storage, read_write> matrix: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    matrix[i] *= numbers[parameters.first + i / parameters.cols];
}
//!end

//!if APPEND
@group(0) @binding(2) var<storage, read> matrix: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    let wide = parameters.cols + 1u;
    if i >= parameters.rows * wide { return; }
    let row = i / wide;
    let column = i % wide;
    if column == parameters.cols { out[i] = numbers[parameters.first + row]; }
    else { out[i] = matrix[row * parameters.cols + column]; }
}
//!end

//!if BESIDE
@group(0) @binding(2) var<storage, read> matrix: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> second: array<f32>;
@group(0) @binding(5) var<storage, read> factors: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let row = i / parameters.cols;
    let column = i % parameters.cols;
    let first = row * 2u * parameters.cols + column;
    out[first] = matrix[i] + factors[column] * numbers[parameters.first + row] * second[i];
    out[first + parameters.cols] = second[i];
}
//!end
