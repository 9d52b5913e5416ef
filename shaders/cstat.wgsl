// C-STAT per spectrum: 2 sum(m - d + d ln(d/m)), one workgroup per row, each lane the bins lane, lane + 64, ...
// Order of the sum is fixed: eight bins, then the lane, then the 64 lanes, so that no partial sum is long.
//!include status
//!include deviance
//!include cstat
// Columns `column .. column + cols` of rows of `stride` numbers.
struct Parameters { rows: u32, cols: u32, mean_row: u32, observed_row: u32, observed_step: u32, out_row: u32, first_row: u32, factor: f32, stride: u32, column: u32, accumulate: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> observed: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x + group.y * groups.x;
    var sum = 0.0;
    var bad = false;
    if row < parameters.rows {
        let mean_start = (parameters.mean_row + row) * parameters.stride + parameters.column;
        let observed_start = (parameters.observed_row + row * parameters.observed_step) * parameters.stride + parameters.column;
        for (var outer = lane; outer < parameters.cols; outer += 512u) {
            var inner = 0.0;
            for (var bin = outer; bin < min(outer + 512u, parameters.cols); bin += 64u) {
                let m = mean[mean_start + bin];
                bad = bad || !is_finite(m) || m < 0.0;
                inner += term(observed[observed_start + bin], m);
            }
            sum += inner;
        }
    }
    if bad { raise(FAULT_CSTAT, parameters.first_row + row); }
    partial[lane] = sum;
    workgroupBarrier();
    if lane == 0u && row < parameters.rows {
        var value = parameters.factor * sum_of_lanes();
        if parameters.accumulate != 0u { value += out[parameters.out_row + row]; }
        out[parameters.out_row + row] = value;
    }
}
