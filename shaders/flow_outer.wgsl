// Gradients of all weights of all flows from what flow_carry kept: out[i][j] = mask * sum over rows of x[i] d[j], with a one in place of
// x for the biases; and sums of their squares, part by part. A workgroup takes a block of 32 x 32 from a list that leaves out blocks
// which the mask forbids as a whole; TILES: 4 x 4 of it per invocation, 16 rows at a time in workgroup memory. DIRECT: the same blocks without barriers,
// for adapters that run on a CPU; `kept` is feature-major there, four rows at a time.
//!include flow_fused
//!include index
struct Parameters { rows: u32, blocks: u32 }
struct Block { transform: u32, layer: u32, i: u32, j: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
//!if TILES
@group(0) @binding(1) var<storage, read> kept: array<f32>;
//!end
//!if DIRECT
@group(0) @binding(1) var<storage, read> kept: array<vec4<f32>>;
//!end
@group(0) @binding(2) var<storage, read> blocks: array<Block>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(5) var<storage, read_write> squares: array<f32>;

// Writes four columns of row `i` and returns the sum of their squares.
fn put(flow: u32, block: Block, i: u32, j: u32, values: vec4<f32>) -> f32 {
    let cols = dense_cols(block.layer);
    var sum = 0.0;
    if i > dense_rows(block.layer) { return sum; }
    let at = (flow * TRANSFORMS + block.transform) * STRIDE + dense(block.layer) + i * cols;
    for (var c = 0u; c < 4u && j + c < cols; c++) {
        let value = mask[at + j + c] * values[c];
        gradient[at + j + c] = value;
        sum += value * value;
    }
    return sum;
}

//!if TILES
const ROWS = 16u;
var<workgroup> x_tile: array<f32, ROWS * 32u>;
var<workgroup> d_tile: array<f32, ROWS * 32u>;
var<workgroup> sums: array<f32, 64>;

fn x_at(start: u32, block: Block, i: u32, row: u32) -> f32 {
    if i == dense_rows(block.layer) { return 1.0; }
    if i > dense_rows(block.layer) { return 0.0; }
    if block.layer > 0u {
        let region = HIDDEN + (block.transform * LAYERS + block.layer - 1u) * H;
        return kept[start + region * parameters.rows + row * H + i];
    }
    if i < P { return kept[start + (POINTS + block.transform * P) * parameters.rows + row * P + i]; }
    return kept[start + CONTEXT * parameters.rows + row * C + i - P];
}

fn d_at(start: u32, block: Block, j: u32, row: u32) -> f32 {
    if j >= dense_cols(block.layer) { return 0.0; }
    if block.layer == LAYERS { return kept[start + (D_OUT + block.transform * 2u * P) * parameters.rows + row * 2u * P + j]; }
    let region = D_HIDDEN + (block.transform * LAYERS + block.layer) * H;
    return kept[start + region * parameters.rows + row * H + j];
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
    let flow = workgroup.x / parameters.blocks;
    let block = blocks[workgroup.x % parameters.blocks];
    let start = flow * FEATURES * parameters.rows;
    let ty = lane / 8u;
    let tx = lane % 8u;
    var acc: array<vec4<f32>, 4>;
    for (var first = 0u; first < parameters.rows; first += ROWS) {
        for (var at = lane; at < ROWS * 32u; at += 64u) {
            let row = first + at / 32u;
            var x = 0.0;
            var d = 0.0;
            if row < parameters.rows {
                x = x_at(start, block, block.i + at % 32u, row);
                d = d_at(start, block, block.j + at % 32u, row);
            }
            x_tile[at] = x;
            d_tile[at] = d;
        }
        workgroupBarrier();
        for (var r = 0u; r < ROWS * 32u; r += 32u) {
            let x = vec4(x_tile[r + 4u * ty], x_tile[r + 4u * ty + 1u], x_tile[r + 4u * ty + 2u], x_tile[r + 4u * ty + 3u]);
            let d = vec4(d_tile[r + 4u * tx], d_tile[r + 4u * tx + 1u], d_tile[r + 4u * tx + 2u], d_tile[r + 4u * tx + 3u]);
            acc[0] += x.x * d;
            acc[1] += x.y * d;
            acc[2] += x.z * d;
            acc[3] += x.w * d;
        }
        workgroupBarrier();
    }
    var sum = 0.0;
    for (var r = 0u; r < 4u; r++) { sum += put(flow, block, block.i + 4u * ty + r, block.j + 4u * tx, acc[r]); }
    sums[lane] = sum;
    for (var width = 32u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane == 0u { squares[workgroup.x] = sums[0]; }
}
//!end

//!if DIRECT
fn x_feature(block: Block, i: u32) -> u32 {
    if i >= dense_rows(block.layer) { return ONES; }
    if block.layer > 0u { return HIDDEN + (block.transform * LAYERS + block.layer - 1u) * H + i; }
    return select(CONTEXT + i - P, POINTS + block.transform * P + i, i < P);
}

fn d_feature(block: Block, column: u32) -> u32 {
    let j = min(column, dense_cols(block.layer) - 1u);
    if block.layer == LAYERS { return D_OUT + block.transform * 2u * P + j; }
    return D_HIDDEN + (block.transform * LAYERS + block.layer) * H + j;
}

fn four(d0: vec4<f32>, d1: vec4<f32>, d2: vec4<f32>, d3: vec4<f32>, x: vec4<f32>) -> vec4<f32> {
    return vec4(dot(d0, x), dot(d1, x), dot(d2, x), dot(d3, x));
}

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = linear_index(id, groups, 8u);
    if index >= FLOWS * parameters.blocks * 64u { return; }
    let flow = index / (parameters.blocks * 64u);
    let block = blocks[(index / 64u) % parameters.blocks];
    let i = block.i + 4u * ((index / 8u) % 8u);
    let j = block.j + 4u * (index % 8u);
    var sum = 0.0;
    if i <= dense_rows(block.layer) && j < dense_cols(block.layer) {
        let quads = (parameters.rows + 3u) / 4u;
        let start = flow * FEATURES;
        let x = (vec4(x_feature(block, i), x_feature(block, i + 1u), x_feature(block, i + 2u), x_feature(block, i + 3u)) + start) * quads;
        let d = (vec4(d_feature(block, j), d_feature(block, j + 1u), d_feature(block, j + 2u), d_feature(block, j + 3u)) + start) * quads;
        var acc0 = vec4<f32>();
        var acc1 = vec4<f32>();
        var acc2 = vec4<f32>();
        var acc3 = vec4<f32>();
        for (var q = 0u; q < quads; q++) {
            let d0 = kept[d.x + q];
            let d1 = kept[d.y + q];
            let d2 = kept[d.z + q];
            let d3 = kept[d.w + q];
            acc0 += four(d0, d1, d2, d3, kept[x.x + q]);
            acc1 += four(d0, d1, d2, d3, kept[x.y + q]);
            acc2 += four(d0, d1, d2, d3, kept[x.z + q]);
            acc3 += four(d0, d1, d2, d3, kept[x.w + q]);
        }
        sum = put(flow, block, i, j, acc0) + put(flow, block, i + 1u, j, acc1)
            + put(flow, block, i + 2u, j, acc2) + put(flow, block, i + 3u, j, acc3);
    }
    squares[index] = sum;
}
//!end
