// Uniform points of a ball from standard normal rows and one uniform number each: direction times radius * u^(1/P).
//!include index
struct Parameters { rows: u32, cols: u32, radius: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> uniform_draw: array<f32>;
@group(0) @binding(2) var<storage, read_write> points: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 256u);
    if row >= parameters.rows { return; }
    let at = row * parameters.cols;
    var square = 1e-30;
    for (var i = 0u; i < parameters.cols; i++) { square += points[at + i] * points[at + i]; }
    let scale = parameters.radius * exp(log(uniform_draw[row]) / f32(parameters.cols)) / sqrt(square);
    for (var i = 0u; i < parameters.cols; i++) { points[at + i] *= scale; }
}
