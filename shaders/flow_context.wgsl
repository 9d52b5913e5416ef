// First-layer biases with ONE context folded in, for densities and samples at the observation: out[k][j] = b[k][j] + sum_c s[c] W[k][P + c][j].
struct Parameters { p: u32, c: u32, h: u32, transforms: u32, stride: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> context: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= parameters.transforms * parameters.h { return; }
    let j = id.x % parameters.h;
    let base = (id.x / parameters.h) * parameters.stride;
    var sum = weights[base + (parameters.p + parameters.c) * parameters.h + j];
    for (var c = 0u; c < parameters.c; c++) {
        sum += context[c] * weights[base + (parameters.p + c) * parameters.h + j];
    }
    out[id.x] = sum;
}
