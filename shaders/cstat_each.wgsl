// ln L = -C-STAT/2 of rows of expected counts, each against its own one of several observed spectra: sum(m - d + d ln(d/m)) with the
// means scaled by the exposure of that spectrum. One workgroup per row, sums in the order of cstat.
//!include status
//!include deviance
//!include cstat
struct Parameters { rows: u32, cols: u32, first_row: u32, padding: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<f32>;
@group(0) @binding(3) var<storage, read> exposures: array<f32>;
@group(0) @binding(4) var<storage, read> spectrum: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x + group.y * groups.x;
    var sum = 0.0;
    var bad = false;
    if row < parameters.rows {
        let own = spectrum[row];
        let exposure = exposures[own];
        let mean_start = row * parameters.cols;
        let counts_start = own * parameters.cols;
        for (var outer = lane; outer < parameters.cols; outer += 512u) {
            var inner = 0.0;
            for (var bin = outer; bin < min(outer + 512u, parameters.cols); bin += 64u) {
                let m = mean[mean_start + bin];
                bad = bad || !is_finite(m) || m < 0.0;
                inner += term(counts[counts_start + bin], exposure * min(m, CEILING));
            }
            sum += inner;
        }
    }
    if bad { raise(FAULT_CSTAT, parameters.first_row + row); }
    partial[lane] = sum;
    workgroupBarrier();
    if lane == 0u && row < parameters.rows {
        out[row] = -sum_of_lanes();
    }
}
