enable f16;
enable wgpu_cooperative_matrix;
// C = op(A) op(B) with the operands rounded to f16 and sums in f32, on cooperative matrices of 16 x 16 x 16. 64 x 64 of C per workgroup of
// four subgroups, 32 of K at a time. An operand is multiplied by a power of 2 as it is read, so that small gradients are not lost,
// and kept within the range of f16; the sums are divided by both. The subgroup of an invocation is taken from its index, without
// subgroup operations: a driver is known to fail on modules with both.
struct Parameters {
    m: u32, n: u32, k: u32,
    a_offset: u32, a_stride: u32, b_offset: u32, b_stride: u32, c_offset: u32, c_stride: u32,
    a_scale: f32, b_scale: f32, unscale: f32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

const LANES = 128u;
// Rows in memory are eight numbers longer than they need be: neighbouring rows then lie in other banks.
const A_ROW = 40u;
const B_ROW = 72u;
var<workgroup> tile_a: array<f16, 2560>;
var<workgroup> tile_b: array<f16, 2304>;
// 16 x 16 of C for each subgroup.
var<workgroup> stage: array<f32, 1024>;

fn small(x: f32) -> f16 {
    return f16(clamp(x, -65504.0, 65504.0));
}

fn element_a(row: u32, k: u32) -> f16 {
    if row >= parameters.m || k >= parameters.k { return 0.0h; }
//!if A_N
    return small(parameters.a_scale * a[parameters.a_offset + row * parameters.a_stride + k]);
//!end
//!if A_T
    return small(parameters.a_scale * a[parameters.a_offset + k * parameters.a_stride + row]);
//!end
}

fn element_b(k: u32, column: u32) -> f16 {
    if k >= parameters.k || column >= parameters.n { return 0.0h; }
//!if B_N
    return small(parameters.b_scale * b[parameters.b_offset + k * parameters.b_stride + column]);
//!end
//!if B_T
    return small(parameters.b_scale * b[parameters.b_offset + column * parameters.b_stride + k]);
//!end
}

fn put(lane: u32, row0: u32, column0: u32) {
    let wave = lane / 32u;
    for (var i = lane % 32u; i < 256u; i += 32u) {
        let row = row0 + i / 16u;
        let column = column0 + i % 16u;
        if row < parameters.m && column < parameters.n {
            c[parameters.c_offset + row * parameters.c_stride + column] = parameters.unscale * stage[wave * 256u + i];
        }
    }
}

@compute @workgroup_size(128)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let wave = lane / 32u;
    let row0 = group.y * 64u;
    let column0 = group.x * 64u;
    // 32 x 32 of C for each subgroup.
    let of_row = wave / 2u * 32u;
    let of_column = wave % 2u * 32u;
    var c00 = coop_mat16x16<f32, C>();
    var c01 = coop_mat16x16<f32, C>();
    var c10 = coop_mat16x16<f32, C>();
    var c11 = coop_mat16x16<f32, C>();
    for (var k0 = 0u; k0 < parameters.k; k0 += 32u) {
        for (var i = lane; i < 2048u; i += LANES) {
//!if A_N
            tile_a[i / 32u * A_ROW + i % 32u] = element_a(row0 + i / 32u, k0 + i % 32u);
//!end
//!if A_T
            tile_a[i % 64u * A_ROW + i / 64u] = element_a(row0 + i % 64u, k0 + i / 64u);
//!end
//!if B_N
            tile_b[i / 64u * B_ROW + i % 64u] = element_b(k0 + i / 64u, column0 + i % 64u);
//!end
//!if B_T
            tile_b[i % 32u * B_ROW + i / 32u] = element_b(k0 + i % 32u, column0 + i / 32u);
//!end
        }
        workgroupBarrier();
        for (var k = 0u; k < 32u; k += 16u) {
            let a0 = coopLoadT<coop_mat16x16<f16, A>>(&tile_a[of_row * A_ROW + k], A_ROW);
            let a1 = coopLoadT<coop_mat16x16<f16, A>>(&tile_a[(of_row + 16u) * A_ROW + k], A_ROW);
            let b0 = coopLoadT<coop_mat16x16<f16, B>>(&tile_b[k * B_ROW + of_column], B_ROW);
            let b1 = coopLoadT<coop_mat16x16<f16, B>>(&tile_b[k * B_ROW + of_column + 16u], B_ROW);
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
        }
        workgroupBarrier();
    }
    coopStoreT(c00, &stage[wave * 256u], 16u);
    workgroupBarrier();
    put(lane, row0 + of_row, column0 + of_column);
    workgroupBarrier();
    coopStoreT(c01, &stage[wave * 256u], 16u);
    workgroupBarrier();
    put(lane, row0 + of_row, column0 + of_column + 16u);
    workgroupBarrier();
    coopStoreT(c10, &stage[wave * 256u], 16u);
    workgroupBarrier();
    put(lane, row0 + of_row + 16u, column0 + of_column);
    workgroupBarrier();
    coopStoreT(c11, &stage[wave * 256u], 16u);
    workgroupBarrier();
    put(lane, row0 + of_row + 16u, column0 + of_column + 16u);
}
