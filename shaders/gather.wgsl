// Copies chosen rows of one block of a tall array: out[r] = block[index[r] - first] where that row lies in the block.
// Rows that lie in other blocks are left alone, so one launch per block fills the whole of `out`.
//!include index
struct Parameters { first: u32, block_rows: u32, cols: u32, out_rows: u32, index_start: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> block: array<u32>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.out_rows * parameters.cols { return; }
    let row = i / parameters.cols;
    // Wraps to a huge number for rows before the block, which the comparison then refuses.
    let local = index[parameters.index_start + row] - parameters.first;
    if local >= parameters.block_rows { return; }
    out[i] = block[local * parameters.cols + i % parameters.cols];
}
