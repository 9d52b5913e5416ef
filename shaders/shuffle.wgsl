// A pseudo-random order of `rows` numbers: a Feistel network permutes 0 .. 4^half, and what falls outside walks on until it is inside.
//!include index
struct Parameters { keys: array<vec4<u32>, 2>, rows: u32, half: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> result: array<u32>;

// Finaliser with good avalanche (Wellons' lowbias32).
fn mix(word: u32) -> u32 {
    var x = word;
    x = (x ^ (x >> 16u)) * 0x7feb352du;
    x = (x ^ (x >> 15u)) * 0x846ca68bu;
    return x ^ (x >> 16u);
}

fn permute(index: u32) -> u32 {
    let mask = (1u << parameters.half) - 1u;
    var left = index >> parameters.half;
    var right = index & mask;
    for (var round = 0u; round < 8u; round++) {
        let next = left ^ (mix(right ^ parameters.keys[round / 4u][round % 4u]) & mask);
        left = right;
        right = next;
    }
    return (left << parameters.half) | right;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 64u);
    if i >= parameters.rows { return; }
    var at = permute(i);
    while at >= parameters.rows { at = permute(at); }
    result[i] = source[at];
}
