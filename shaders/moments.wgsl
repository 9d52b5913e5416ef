// MEASURE: mean and standard deviation of every column (one workgroup each), in two passes; a constant column gets 1.
// APPLY: out = (x - mean) / sd.
//!include index
struct Parameters { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
//!if MEASURE
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>; // means, then standard deviations

var<workgroup> sums: array<f32, 64>;

fn total(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    sums[lane] = value;
    for (var width = 32u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    workgroupBarrier();
    return sums[0];
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let col = group.x;
    var sum = 0.0;
    for (var row = lane; row < parameters.rows; row += 64u) { sum += x[row * parameters.cols + col]; }
    let mean = total(lane, sum) / f32(parameters.rows);
    var square = 0.0;
    for (var row = lane; row < parameters.rows; row += 64u) {
        let d = x[row * parameters.cols + col] - mean;
        square += d * d;
    }
    let sd = sqrt(total(lane, square) / f32(parameters.rows));
    if lane == 0u {
        moments[col] = mean;
        moments[parameters.cols + col] = select(sd, 1.0, sd < 1e-6 * (1.0 + abs(mean)));
    }
}
//!end
//!if APPLY
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let col = i % parameters.cols;
    out[i] = (x[i] - moments[col]) / moments[parameters.cols + col];
}
//!end
