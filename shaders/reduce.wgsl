// Sums in an order that the launch fixes: the same numbers give the same bits every time.
// A source is a matrix of `rows x cols` that starts at `offset` with `stride` numbers from row to row.
//!include index
//!include nonlinear
struct Parameters { offset: u32, rows: u32, cols: u32, stride: u32, out: u32, scale: f32, accumulate: u32, chunk: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

//!if TOTAL
// out[parameters.out] = scale * sum of the `cols` numbers from `offset` (one row)
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
var<workgroup> sums: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < parameters.cols; i += 256u) { sum += source[parameters.offset + i]; }
    sums[lane] = sum;
    for (var width = 128u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane == 0u {
        let before = select(0.0, result[parameters.out], parameters.accumulate != 0u);
        result[parameters.out] = before + parameters.scale * sums[0];
    }
}
//!end

//!if COUNT
// out[parameters.out] = how many of the `cols` numbers from `offset` are not zero
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<u32>;
var<workgroup> sums: array<u32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0u;
    for (var i = lane; i < parameters.cols; i += 256u) { sum += select(0u, 1u, source[parameters.offset + i] != 0u); }
    sums[lane] = sum;
    for (var width = 128u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane == 0u { result[parameters.out] = sums[0]; }
}
//!end

//!if ROWS
// out[parameters.out + row] = scale * sum of a row; one workgroup of 64 per row
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
var<workgroup> sums: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = group.x + group.y * groups.x;
    var sum = 0.0;
    if row < parameters.rows {
        let start = parameters.offset + row * parameters.stride;
        for (var i = lane; i < parameters.cols; i += 64u) { sum += source[start + i]; }
    }
    sums[lane] = sum;
    for (var width = 32u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane == 0u && row < parameters.rows {
        let at = parameters.out + row;
        let before = select(0.0, result[at], parameters.accumulate != 0u);
        result[at] = before + parameters.scale * sums[0];
    }
}
//!end

//!if COLUMNS
// out[column] = scale * sum of a column: a workgroup has 16 columns, its lanes one row in 16 each
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
var<workgroup> sums: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x * 16u + lane % 16u;
    var sum = 0.0;
    if column < parameters.cols {
        for (var row = lane / 16u; row < parameters.rows; row += 16u) {
            sum += source[parameters.offset + row * parameters.stride + column];
        }
    }
    sums[lane] = sum;
    for (var width = 128u; width >= 16u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane < 16u && column < parameters.cols {
        let at = parameters.out + column;
        let before = select(0.0, result[at], parameters.accumulate != 0u);
        result[at] = before + parameters.scale * sums[lane];
    }
}
//!end

//!if MOMENTS
// result[chunk] = [means, sums of squared deviations] of `chunk` rows of every column, of log(1 + x) where `accumulate` is set.
// Two passes over the chunk: one pass with x^2 would cancel.
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;
fn value(row: u32, column: u32) -> f32 {
    let x = source[parameters.offset + row * parameters.stride + column];
    if parameters.accumulate != 0u { return log1p_accurate(x); }
    return x;
}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x;
    if column >= parameters.cols { return; }
    let first = id.y * parameters.chunk;
    let last = min(first + parameters.chunk, parameters.rows);
    var sum = 0.0;
    for (var row = first; row < last; row += 1u) { sum += value(row, column); }
    let mean = sum / f32(last - first);
    var squares = 0.0;
    for (var row = first; row < last; row += 1u) {
        let d = value(row, column) - mean;
        squares += d * d;
    }
    result[2u * id.y * parameters.cols + column] = mean;
    result[(2u * id.y + 1u) * parameters.cols + column] = squares;
}
//!end
