// Which spectra cannot be drawn: 1 for a row with an expected count that is not finite, negative, or above the limit, else 0.
// One workgroup per row, each lane the bins lane, lane + 64, ...
struct Parameters { rows: u32, cols: u32, out_row: u32, limit: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> beyond: array<u32>;

var<workgroup> found: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x + group.y * groups.x;
    // Memory of workgroups is not cleared for us.
    if lane == 0u { atomicStore(&found, 0u); }
    workgroupBarrier();
    var bad = false;
    if row < parameters.rows {
        for (var bin = lane; bin < parameters.cols; bin += 64u) {
            let m = mean[row * parameters.cols + bin];
            bad = bad || (bitcast<u32>(m) & 0x7f800000u) == 0x7f800000u || m < 0.0 || m > parameters.limit;
        }
    }
    if bad { atomicOr(&found, 1u); }
    workgroupBarrier();
    if lane == 0u && row < parameters.rows { beyond[parameters.out_row + row] = atomicLoad(&found); }
}
