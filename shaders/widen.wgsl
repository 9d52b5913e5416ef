// Turns a share of standard normal rows into ones of Student's distribution with 4 degrees of freedom, given three uniform numbers each.
//!include index
struct Parameters { rows: u32, cols: u32, share: f32, scale: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> uniform_draw: array<f32>;
@group(0) @binding(2) var<storage, read_write> points: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 256u);
    if row >= parameters.rows || uniform_draw[3u * row] >= parameters.share { return; }
    let chi_square = max(-0.5 * log(uniform_draw[3u * row + 1u] * uniform_draw[3u * row + 2u]), 1e-6);
    let spread = parameters.scale / sqrt(chi_square);
    let at = row * parameters.cols;
    for (var i = 0u; i < parameters.cols; i++) { points[at + i] *= spread; }
}
