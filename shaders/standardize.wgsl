// x -> (log(1 + x) - mean) / sd per column, and the statistics for it. `scale` = [means, standard deviations].
//!include index
//!include nonlinear
struct Parameters { rows: u32, cols: u32, out_cols: u32, chunk: u32, before: f32, total: f32, first: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

//!if MERGE
// Adds a block's chunks to `scale` = [means, sums of squared deviations] of the rows before it.
//!include moments
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x;
    let cols = parameters.cols;
    if column >= cols { return; }
    let start = Moments(parameters.before, scale[column], scale[cols + column]);
    let sum = merge_moments(start, parameters.rows, cols, parameters.chunk, column);
    scale[column] = sum.mean;
    scale[cols + column] = sum.squares;
}
//!end

//!if CLOSE
// Sums of squared deviations become standard deviations; a constant column gets 1.
@group(0) @binding(1) var<storage, read_write> scale: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x;
    let cols = parameters.cols;
    if column >= cols { return; }
    let mean = scale[column];
    let variance = scale[cols + column] / parameters.total;
    scale[cols + column] = select(1.0, sqrt(variance), variance > 1e-10 * mean * mean + 1e-20);
}
//!end

//!if APPLY
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.out_cols { return; }
    let row = i / parameters.out_cols;
    let column = i % parameters.out_cols;
    var x = 0.0;
    if column < parameters.cols {
        x = (log1p_accurate(source[(parameters.first + row) * parameters.cols + column]) - scale[column]) / scale[parameters.cols + column];
    }
    result[i] = x;
}
//!end
