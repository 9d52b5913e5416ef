// C = epilogue(op(A) op(B)). TILES: 64 x 64 of C per workgroup, 8 x 8 per thread, 16 of K at a time in workgroup memory.
// DIRECT: 4 x 4 of C per thread and no barrier, for adapters that run on a CPU. SPLIT: each layer of the grid sums one range of K
// into a partial result; FINISH adds the partial results in order.
// VEC4 reads need every offset, stride and contiguous extent to be a multiple of 4.
//!include nonlinear
//!include index
struct Parameters {
    m: u32, n: u32, k: u32, k_chunk: u32,
    a_offset: u32, a_stride: u32, b_offset: u32, b_stride: u32,
    c_offset: u32, c_stride: u32, saved_offset: u32, saved_stride: u32,
    bias_offset: u32, accumulate: u32, activation: u32, splits: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
//!if VEC4
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
//!end
//!if SCALAR
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
//!end
//!if FINISH
@group(0) @binding(1) var<storage, read> parts: array<f32>;
//!end
@group(0) @binding({{C}}) var<storage, read_write> c: array<f32>;
//!if BIAS
@group(0) @binding({{BIAS}}) var<storage, read> bias: array<f32>;
//!end
//!if SAVE
@group(0) @binding({{SAVE}}) var<storage, read_write> saved: array<f32>;
//!end
//!if DERIVATIVE
@group(0) @binding({{DERIVATIVE}}) var<storage, read> saved: array<f32>;
//!end

fn put(sum: f32, row: u32, column: u32, split: u32) {
    if row >= parameters.m || column >= parameters.n { return; }
//!if SPLIT
    c[(split * parameters.m + row) * parameters.n + column] = sum;
//!end
//!if WHOLE
    let at = parameters.c_offset + row * parameters.c_stride + column;
    var x = sum;
    if parameters.accumulate != 0u { x += c[at]; }
//!if BIAS
    x += bias[parameters.bias_offset + column];
//!end
//!if SAVE
    saved[parameters.saved_offset + row * parameters.saved_stride + column] = x;
//!end
//!if DERIVATIVE
    x *= activation_derivative(parameters.activation, saved[parameters.saved_offset + row * parameters.saved_stride + column]);
//!end
//!if FORWARD
    x = activate(parameters.activation, x);
//!end
    c[at] = x;
//!end
}

fn put4(sum: vec4<f32>, row: u32, column: u32, split: u32) {
    put(sum.x, row, column, split);
    put(sum.y, row, column + 1u, split);
    put(sum.z, row, column + 2u, split);
    put(sum.w, row, column + 3u, split);
}

// Four neighbours in memory of a stored matrix of `rows x cols`, zero outside.
//!if VEC4
fn fetch_a(row: u32, col: u32, rows: u32, cols: u32) -> vec4<f32> {
//!if TILES
    if row >= rows || col >= cols { return vec4<f32>(); }
//!end
//!if DIRECT
//!if A_T
    // K may be overrun here, and only here: a zero in A is enough.
    if row >= rows { return vec4<f32>(); }
//!end
//!end
    // What lies beyond M or N is not stored: any address inside will do.
    return a[(parameters.a_offset + min(row, rows - 1u) * parameters.a_stride + col) >> 2u];
}
fn fetch_b(row: u32, col: u32, rows: u32, cols: u32) -> vec4<f32> {
//!if TILES
    if row >= rows || col >= cols { return vec4<f32>(); }
//!end
    return b[(parameters.b_offset + min(row, rows - 1u) * parameters.b_stride + col) >> 2u];
}
//!end
//!if SCALAR
fn fetch_a(row: u32, col: u32, rows: u32, cols: u32) -> vec4<f32> {
    var x = vec4<f32>();
    if row >= rows || col >= cols { return x; }
    let at = parameters.a_offset + row * parameters.a_stride + col;
    x.x = a[at];
    if col + 1u < cols { x.y = a[at + 1u]; }
    if col + 2u < cols { x.z = a[at + 2u]; }
    if col + 3u < cols { x.w = a[at + 3u]; }
    return x;
}
fn fetch_b(row: u32, col: u32, rows: u32, cols: u32) -> vec4<f32> {
    var x = vec4<f32>();
    if row >= rows || col >= cols { return x; }
    let at = parameters.b_offset + row * parameters.b_stride + col;
    x.x = b[at];
    if col + 1u < cols { x.y = b[at + 1u]; }
    if col + 2u < cols { x.z = b[at + 2u]; }
    if col + 3u < cols { x.w = b[at + 3u]; }
    return x;
}
//!end

// Four by four from four reads along the other direction.
fn transpose4(x0: vec4<f32>, x1: vec4<f32>, x2: vec4<f32>, x3: vec4<f32>) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(x0, x1, x2, x3));
}

//!if PRODUCT
// Columns of the result: K; components: four rows of op(A) from `row`.
fn block_a(row: u32, k: u32) -> mat4x4<f32> {
    let p = parameters;
//!if A_N
    return transpose4(fetch_a(row, k, p.m, p.k), fetch_a(row + 1u, k, p.m, p.k), fetch_a(row + 2u, k, p.m, p.k), fetch_a(row + 3u, k, p.m, p.k));
//!end
//!if A_T
    return mat4x4<f32>(fetch_a(k, row, p.k, p.m), fetch_a(k + 1u, row, p.k, p.m), fetch_a(k + 2u, row, p.k, p.m), fetch_a(k + 3u, row, p.k, p.m));
//!end
}
// Columns of the result: K; components: four columns of op(B) from `column`.
fn block_b(k: u32, column: u32) -> mat4x4<f32> {
    let p = parameters;
//!if B_N
    return mat4x4<f32>(fetch_b(k, column, p.k, p.n), fetch_b(k + 1u, column, p.k, p.n), fetch_b(k + 2u, column, p.k, p.n), fetch_b(k + 3u, column, p.k, p.n));
//!end
//!if B_T
    return transpose4(fetch_b(column, k, p.n, p.k), fetch_b(column + 1u, k, p.n, p.k), fetch_b(column + 2u, k, p.n, p.k), fetch_b(column + 3u, k, p.n, p.k));
//!end
}
//!end

//!if TILES
// [16 of K][64 rows or columns / 4]
var<workgroup> tile_a: array<vec4<f32>, 256>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row0 = group.y * 64u;
    let column0 = group.x * 64u;
    let tx = lane % 8u;
    let ty = lane / 8u;
    let begin = group.z * parameters.k_chunk;
    let end = min(parameters.k, begin + parameters.k_chunk);
    var acc: array<vec4<f32>, 16>;
    for (var k0 = begin; k0 < end; k0 += 16u) {
        // Each thread brings one 4 x 4 block of A and one of B; neighbours in a wave read neighbours in memory.
//!if A_N
        let ak = (lane % 4u) * 4u;
        let ar = lane / 4u;
//!end
//!if A_T
        let ak = (lane / 16u) * 4u;
        let ar = lane % 16u;
//!end
//!if B_N
        let bk = (lane / 16u) * 4u;
        let br = lane % 16u;
//!end
//!if B_T
        let bk = (lane % 4u) * 4u;
        let br = lane / 4u;
//!end
        let from_a = block_a(row0 + ar * 4u, k0 + ak);
        let from_b = block_b(k0 + bk, column0 + br * 4u);
        tile_a[ak * 16u + ar] = from_a[0];
        tile_a[ak * 16u + 16u + ar] = from_a[1];
        tile_a[ak * 16u + 32u + ar] = from_a[2];
        tile_a[ak * 16u + 48u + ar] = from_a[3];
        tile_b[bk * 16u + br] = from_b[0];
        tile_b[bk * 16u + 16u + br] = from_b[1];
        tile_b[bk * 16u + 32u + br] = from_b[2];
        tile_b[bk * 16u + 48u + br] = from_b[3];
        workgroupBarrier();
        for (var k = 0u; k < 256u; k += 16u) {
            let a0 = tile_a[k + ty];
            let a1 = tile_a[k + 8u + ty];
            let b0 = tile_b[k + tx];
            let b1 = tile_b[k + 8u + tx];
            acc[0] += a0.x * b0;
            acc[1] += a0.x * b1;
            acc[2] += a0.y * b0;
            acc[3] += a0.y * b1;
            acc[4] += a0.z * b0;
            acc[5] += a0.z * b1;
            acc[6] += a0.w * b0;
            acc[7] += a0.w * b1;
            acc[8] += a1.x * b0;
            acc[9] += a1.x * b1;
            acc[10] += a1.y * b0;
            acc[11] += a1.y * b1;
            acc[12] += a1.z * b0;
            acc[13] += a1.z * b1;
            acc[14] += a1.w * b0;
            acc[15] += a1.w * b1;
        }
        workgroupBarrier();
    }
    for (var i = 0u; i < 8u; i += 1u) {
        let row = row0 + ty * 4u + i + select(0u, 28u, i >= 4u);
        put4(acc[2u * i], row, column0 + tx * 4u, group.z);
        put4(acc[2u * i + 1u], row, column0 + 32u + tx * 4u, group.z);
    }
}
//!end

//!if DIRECT
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x * 4u;
    let row = id.y * 4u;
    if column >= parameters.n || row >= parameters.m { return; }
    let end = min(parameters.k, (id.z + 1u) * parameters.k_chunk);
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var c3 = vec4<f32>();
    for (var k = id.z * parameters.k_chunk; k < end; k += 4u) {
        let x = block_a(row, k);
        let y = block_b(k, column);
        c0 += x[0].x * y[0] + x[1].x * y[1] + x[2].x * y[2] + x[3].x * y[3];
        c1 += x[0].y * y[0] + x[1].y * y[1] + x[2].y * y[2] + x[3].y * y[3];
        c2 += x[0].z * y[0] + x[1].z * y[1] + x[2].z * y[2] + x[3].z * y[3];
        c3 += x[0].w * y[0] + x[1].w * y[1] + x[2].w * y[2] + x[3].w * y[3];
    }
    put4(c0, row, column, id.z);
    put4(c1, row + 1u, column, id.z);
    put4(c2, row + 2u, column, id.z);
    put4(c3, row + 3u, column, id.z);
}
//!end

//!if FINISH
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 64u);
    let size = parameters.m * parameters.n;
    if i >= size { return; }
    var sum = 0.0;
    for (var split = 0u; split < parameters.splits; split += 1u) { sum += parts[split * size + i]; }
    put(sum, i / parameters.n, i % parameters.n, 0u);
}
//!end
