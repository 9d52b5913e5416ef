// C = epilogue(op(A) op(B)). TILES: ROWS x COLS of C per workgroup, DEPTH of K at a time in workgroup memory; the loops over what
// one invocation holds are unrolled by kernels::gemm::tile, so that it stays in registers. DIRECT: 4 x 4 of C per invocation and no
// barrier, for adapters that run on a CPU. SPLIT: each layer of the grid sums one range of K into a partial result; FINISH adds
// the partial results in order.
// Vector reads of A (A_4) or B (B_4) need every offset, stride and contiguous extent to be a multiple of 4.
// STANDARDISE: A holds counts, and the product takes (log(1 + x) - mean) / sd of them. MOMENTS: partial means and squared deviations of
// the result's columns. BACK: the result becomes the gradient before a batch-normalised activation, with partial sums of its columns.
// SUMS: the sums of B's columns.
//!include nonlinear
//!include index
struct Parameters {
    m: u32, n: u32, k: u32, k_chunk: u32,
    a_offset: u32, a_stride: u32, b_offset: u32, b_stride: u32,
    c_offset: u32, c_stride: u32, saved_offset: u32, saved_stride: u32,
    bias_offset: u32, accumulate: u32, activation: u32, splits: u32,
    part_rows: u32, sums_offset: u32, gamma: u32, beta: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
//!if A_4
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
//!end
//!if A_1
@group(0) @binding(1) var<storage, read> a: array<f32>;
//!end
//!if B_4
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
//!end
//!if B_1
@group(0) @binding(2) var<storage, read> b: array<f32>;
//!end
//!if FINISH
@group(0) @binding(1) var<storage, read> parts: array<f32>;
//!end
//!if STANDARDISE
// Means, then standard deviations, of the columns of the stored matrix.
@group(0) @binding({{STANDARDISE}}) var<storage, read> scale: array<f32>;
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
//!if BACK
@group(0) @binding({{BACK}}) var<storage, read> h: array<f32>;
@group(0) @binding({{STATISTICS}}) var<storage, read> statistics: array<f32>;
@group(0) @binding({{VALUE}}) var<storage, read> value: array<f32>;
// (h - mean) / standard deviation of what was stored last.
var<private> normal: vec4<f32>;
//!end
//!if COLUMNS
@group(0) @binding({{COLUMNS}}) var<storage, read_write> columns: array<f32>;
//!end

// Stores one number of C, and says which.
fn put(sum: f32, row: u32, column: u32, split: u32) -> f32 {
//!if SPLIT
    c[(split * parameters.part_rows + row) * parameters.n + column] = sum;
    return sum;
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
//!if BACK
    let normalised = (h[row * parameters.n + column] - statistics[column]) * statistics[parameters.n + column];
    var before = value[parameters.gamma + column] * normalised + value[parameters.beta + column];
    if parameters.activation == TANH { before = tanh_accurate(before); }
    x *= activation_derivative(parameters.activation, before);
    normal.x = normalised;
//!end
//!if FORWARD
    x = activate(parameters.activation, x);
//!end
    c[at] = x;
    return x;
//!end
}

// Four neighbours in a row; 0 stands for those that lie outside.
fn put4(sum: vec4<f32>, row: u32, column: u32, split: u32) -> vec4<f32> {
    var stored = vec4<f32>();
//!if BACK
    var normals = vec4<f32>();
//!end
    if row < parameters.m {
        for (var j = 0u; j < 4u; j += 1u) {
            if column + j < parameters.n {
                stored[j] = put(sum[j], row, column + j, split);
//!if BACK
                normals[j] = normal.x;
//!end
            }
        }
    }
//!if BACK
    normal = normals;
//!end
    return stored;
}

//!if COLUMNS
// Two numbers for a column of C from the rows of one chunk.
fn put_column(chunk: u32, column: u32, first: f32, second: f32) {
    if column >= parameters.n { return; }
    columns[2u * chunk * parameters.n + column] = first;
    columns[(2u * chunk + 1u) * parameters.n + column] = second;
}
//!end
//!if SUMS
fn put_sum(sum: f32, column: u32, split: u32) {
    if column >= parameters.n { return; }
//!if SPLIT
    c[(split * parameters.part_rows + parameters.m) * parameters.n + column] = sum;
//!end
//!if WHOLE
    c[parameters.sums_offset + column] = sum;
//!end
}
//!end

//!if STANDARDISE
fn standardised(x: vec4<f32>, column: u32, columns_of_a: u32) -> vec4<f32> {
    let last = columns_of_a - 1u;
    let at = min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(last));
    let mean = vec4(scale[at.x], scale[at.y], scale[at.z], scale[at.w]);
    let up = at + columns_of_a;
    let sd = vec4(scale[up.x], scale[up.y], scale[up.z], scale[up.w]);
    // log(1 + x) as log1p_accurate has it.
    let u = 1.0 + x;
    let s = x / (2.0 + x);
    let q = s * s;
    let series = 2.0 * s * (1.0 + q * (0.33333333 + q * (0.2 + q * 0.14285714)));
    return (select(log(u) + (x - (u - 1.0)) / u, series, abs(x) < vec4(0.1)) - mean) / sd;
}
//!end

// Four neighbours in memory of a stored matrix of `rows x cols`, zero outside.
//!if A_4
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
    let x = a[(parameters.a_offset + min(row, rows - 1u) * parameters.a_stride + col) >> 2u];
//!if RAW
    return x;
//!end
//!if STANDARDISE
    return standardised(x, col, cols);
//!end
}
//!end
//!if B_4
fn fetch_b(row: u32, col: u32, rows: u32, cols: u32) -> vec4<f32> {
//!if TILES
    if row >= rows || col >= cols { return vec4<f32>(); }
//!end
    return b[(parameters.b_offset + min(row, rows - 1u) * parameters.b_stride + col) >> 2u];
}
//!end
//!if A_1
fn fetch_a(row: u32, col: u32, rows: u32, cols: u32) -> vec4<f32> {
    var x = vec4<f32>();
    if row >= rows || col >= cols { return x; }
    let at = parameters.a_offset + row * parameters.a_stride + col;
    x.x = a[at];
    if col + 1u < cols { x.y = a[at + 1u]; }
    if col + 2u < cols { x.z = a[at + 2u]; }
    if col + 3u < cols { x.w = a[at + 3u]; }
//!if STANDARDISE
    // Zero outside, whatever the mean.
    x = select(vec4<f32>(), standardised(x, col, cols), vec4(col, col + 1u, col + 2u, col + 3u) < vec4(cols));
//!end
    return x;
}
//!end
//!if B_1
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
const ROWS = {{ROWS}};
const COLS = {{COLS}};
const DEPTH = {{DEPTH}};
// Invocations along columns and rows.
const TX = {{TX}};
const TY = {{TY}};
// [buffer][DEPTH of K][rows or columns / 4]
var<workgroup> tile_a: array<vec4<f32>, {{A_QUADS}}>;
var<workgroup> tile_b: array<vec4<f32>, {{B_QUADS}}>;

// Block of 4 x 4 of an operand's tile; neighbours in a wave read neighbours in memory.
fn place_a(block: u32) -> vec2<u32> {
//!if A_N
    return vec2(block / (DEPTH / 4u), block % (DEPTH / 4u));
//!end
//!if A_T
    return vec2(block % (ROWS / 4u), block / (ROWS / 4u));
//!end
}
fn place_b(block: u32) -> vec2<u32> {
//!if B_N
    return vec2(block % (COLS / 4u), block / (COLS / 4u));
//!end
//!if B_T
    return vec2(block / (DEPTH / 4u), block % (DEPTH / 4u));
//!end
}
fn fetch_block_a(block: u32, row0: u32, k0: u32) -> mat4x4<f32> {
    let place = 4u * place_a(block);
    return block_a(row0 + place.x, k0 + place.y);
}
fn fetch_block_b(block: u32, column0: u32, k0: u32) -> mat4x4<f32> {
    let place = 4u * place_b(block);
    return block_b(k0 + place.y, column0 + place.x);
}
fn keep_a(block: u32, side: u32, x: mat4x4<f32>) {
    let place = place_a(block);
    let at = (side * DEPTH + 4u * place.y) * (ROWS / 4u) + place.x;
    tile_a[at] = x[0];
    tile_a[at + ROWS / 4u] = x[1];
    tile_a[at + 2u * (ROWS / 4u)] = x[2];
    tile_a[at + 3u * (ROWS / 4u)] = x[3];
}
fn keep_b(block: u32, side: u32, x: mat4x4<f32>) {
    let place = place_b(block);
    let at = (side * DEPTH + 4u * place.y) * (COLS / 4u) + place.x;
    tile_b[at] = x[0];
    tile_b[at + COLS / 4u] = x[1];
    tile_b[at + 2u * (COLS / 4u)] = x[2];
    tile_b[at + 3u * (COLS / 4u)] = x[3];
}

@compute @workgroup_size({{LANES}})
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let row0 = group.y * ROWS;
    let column0 = group.x * COLS;
    let tx = lane % TX;
    let ty = lane / TX;
    let begin = group.z * parameters.k_chunk;
    let end = min(parameters.k, begin + parameters.k_chunk);
{{ACCUMULATORS}}
//!if SUMS
    var sum_of_b = vec4<f32>();
//!end
{{REGISTERS}}
//!if DOUBLE
    var side = 0u;
    var next = begin;
    if begin < end {
{{FETCH}}
{{KEEP}}
    }
    workgroupBarrier();
//!end
    for (var k0 = begin; k0 < end; k0 += DEPTH) {
//!if SINGLE
        let side = 0u;
        let next = k0;
{{FETCH}}
{{KEEP}}
        workgroupBarrier();
//!end
//!if DOUBLE
        // On their way while the products are formed.
        next = k0 + DEPTH;
        if next < end {
{{FETCH}}
        }
//!end
        var at_a = side * DEPTH * (ROWS / 4u) + ty;
        var at_b = side * DEPTH * (COLS / 4u) + tx;
        for (var k = 0u; k < DEPTH; k += 1u) {
{{MULTIPLY}}
            at_a += ROWS / 4u;
            at_b += COLS / 4u;
        }
//!if SUMS
        if group.y == 0u && lane < COLS / 4u {
            for (var k = 0u; k < DEPTH; k += 1u) { sum_of_b += tile_b[(side * DEPTH + k) * (COLS / 4u) + lane]; }
        }
//!end
//!if DOUBLE
        side = 1u - side;
        if next < end {
{{KEEP}}
        }
//!end
        workgroupBarrier();
    }
    let first_row = row0 + ty * 4u;
    let first_column = column0 + tx * 4u;
    // A loop, so that the epilogue is compiled once and not for each number held.
    var held = array<vec4<f32>, {{HELD}}>({{SUMS_HELD}});
//!if PRODUCTS
    var normals: array<vec4<f32>, {{HELD}}>;
//!end
    for (var i = 0u; i < {{HELD}}u; i += 1u) {
        let r = i / {{ACROSS}};
        held[i] = put4(held[i], first_row + r / 4u * 4u * TY + r % 4u, first_column + i % {{ACROSS}} * 4u * TX, group.z);
//!if PRODUCTS
        normals[i] = normal;
//!end
    }
//!if SUMS
    if group.y == 0u && lane < COLS / 4u {
        for (var j = 0u; j < 4u; j += 1u) { put_sum(sum_of_b[j], column0 + lane * 4u + j, group.z); }
    }
//!end
//!if MOMENTS
    // Means and squared deviations of each invocation's rows, then merged (Chan, Golub & LeVeque 1983).
{{COLUMN_MOMENTS}}
    workgroupBarrier();
    if lane < COLS / 4u {
        var count = 0.0;
        var mean = vec4<f32>();
        var squares = vec4<f32>();
        for (var t = 0u; t < TY; t += 1u) {
            var n = 0;
            for (var quad = row0 + t * 4u; quad < row0 + ROWS; quad += 4u * TY) {
                n += clamp(i32(parameters.m) - i32(quad), 0, 4);
            }
            let total = count + f32(n);
            let share = f32(n) / max(total, 1.0);
            let d = tile_a[t * (COLS / 4u) + lane] - mean;
            mean += d * share;
            squares += tile_b[t * (COLS / 4u) + lane] + d * d * (count * share);
            count = total;
        }
        for (var j = 0u; j < 4u; j += 1u) { put_column(group.y, column0 + lane * 4u + j, mean[j], squares[j]); }
    }
//!end
//!if PRODUCTS
{{COLUMN_PRODUCTS}}
    workgroupBarrier();
    if lane < COLS / 4u {
        var sum = vec4<f32>();
        var product = vec4<f32>();
        for (var t = 0u; t < TY; t += 1u) {
            sum += tile_a[t * (COLS / 4u) + lane];
            product += tile_b[t * (COLS / 4u) + lane];
        }
        for (var j = 0u; j < 4u; j += 1u) { put_column(group.y, column0 + lane * 4u + j, sum[j], product[j]); }
    }
//!end
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
fn sum_of_parts(row: u32, column: u32) -> f32 {
    var sum = 0.0;
    for (var split = 0u; split < parameters.splits; split += 1u) {
        sum += parts[(split * parameters.part_rows + row) * parameters.n + column];
    }
    return sum;
}
//!end
//!if FINISH_PLAIN
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 64u);
    if i >= parameters.part_rows * parameters.n { return; }
    let row = i / parameters.n;
    let column = i % parameters.n;
    let sum = sum_of_parts(row, column);
//!if SUMS
    if row == parameters.m {
        put_sum(sum, column, 0u);
        return;
    }
//!end
    put(sum, row, column, 0u);
}
//!end
//!if FINISH_COLUMNS
// 64 columns of 32 rows: eight rows for each of 256 invocations.
var<workgroup> firsts: array<f32, 256>;
var<workgroup> seconds: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x * 64u + lane % 64u;
    let row0 = group.y * 32u;
    let first_row = row0 + lane / 64u * 8u;
    var first = 0.0;
    var second = 0.0;
    if column < parameters.n {
        let last = min(first_row + 8u, parameters.m);
        var kept: array<f32, 8>;
        for (var row = first_row; row < last; row += 1u) {
            let x = put(sum_of_parts(row, column), row, column, 0u);
            kept[row - first_row] = x;
            first += x;
//!if PRODUCTS
            second += x * normal.x;
//!end
        }
//!if MOMENTS
        first /= f32(max(last, first_row + 1u) - first_row);
        for (var row = first_row; row < last; row += 1u) {
            let d = kept[row - first_row] - first;
            second += d * d;
        }
//!end
    }
    firsts[lane] = first;
    seconds[lane] = second;
    workgroupBarrier();
    if lane < 64u {
//!if MOMENTS
        var count = 0.0;
        first = 0.0;
        second = 0.0;
        for (var t = 0u; t < 4u; t += 1u) {
            let n = f32(clamp(i32(parameters.m) - i32(row0 + t * 8u), 0, 8));
            let total = count + n;
            let share = n / max(total, 1.0);
            let d = firsts[t * 64u + lane] - first;
            first += d * share;
            second += seconds[t * 64u + lane] + d * d * (count * share);
            count = total;
        }
//!end
//!if PRODUCTS
        first = firsts[lane] + firsts[lane + 64u] + firsts[lane + 128u] + firsts[lane + 192u];
        second = seconds[lane] + seconds[lane + 64u] + seconds[lane + 128u] + seconds[lane + 192u];
//!end
        put_column(group.y, column, first, second);
    }
}
//!end
