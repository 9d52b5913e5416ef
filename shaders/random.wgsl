// Fills rows with uniform or normal numbers; one invocation writes the four numbers of one Philox block.
//!include index
//!include random
//!include angle
struct Parameters { seed_low: u32, seed_high: u32, stream: u32, first_row: u32, rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

fn values(words: vec4<u32>) -> vec4<f32> {
    let u = vec4<f32>(unit(words.x), unit(words.y), unit(words.z), unit(words.w));
//!if NORMAL
    // Box-Muller, two pairs.
    let radius = sqrt(-2.0 * log(u.xz));
    let angle = 6.2831855 * u.yw;
    return vec4<f32>(radius.x * cos_sin(angle.x), radius.y * cos_sin(angle.y));
//!end
//!if UNIFORM
    return u;
//!end
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    let quads = (parameters.cols + 3u) / 4u;
    if i >= parameters.rows * quads { return; }
    let row = i / quads;
    let quad = i % quads;
    let seed = vec2<u32>(parameters.seed_low, parameters.seed_high);
    let value = values(random_block(seed, parameters.stream, parameters.first_row + row, quad, {{DRAW}}));
    let start = row * parameters.cols + quad * 4u;
    let left = parameters.cols - quad * 4u;
    out[start] = value.x;
    if left > 1u { out[start + 1u] = value.y; }
    if left > 2u { out[start + 2u] = value.z; }
    if left > 3u { out[start + 3u] = value.w; }
}
