// Squared error of a row, as often as it counts, and its gradient in place of the network's output.
//!include index
//!include status
struct Parameters { rows: u32, cols: u32, scale: f32, weighted: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> wanted: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    var sum = 0.0;
    var count = 1.0;
    if parameters.weighted != 0u { count = counts[row]; }
    for (var c = 0u; c < parameters.cols; c++) {
        let i = row * parameters.cols + c;
        let difference = result[i] - wanted[i];
        sum += difference * difference;
        result[i] = parameters.scale * count * difference;
    }
    sum *= count;
    losses[row] = sum;
    if !is_finite(sum) { raise(FAULT_LOSS, row); }
}
