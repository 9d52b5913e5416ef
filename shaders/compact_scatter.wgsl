// Copies every kept row to its rank, as long as it fits.
//!include index
struct Parameters { rows: u32, cols: u32, capacity: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> rank: array<u32>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let target_row = rank[i / parameters.cols];
    if target_row >= parameters.capacity { return; }
    out[target_row * parameters.cols + i % parameters.cols] = source[i];
}
