// Philox4x32-10 (Salmon et al. 2011, SC'11): a random block is a pure function of its key and counter, so that a number
// depends on (seed, stream, row, column, draw) only, never on batch or grid. Mirrors kernels::random.
const DRAW_UNIFORM = 0x40000000u;
const DRAW_NORMAL = 0x80000000u;

// High word of a 32 x 32 bit product; WGSL has none.
fn high_product(a: u32, b: u32) -> u32 {
    let a_lo = a & 0xffffu;
    let a_hi = a >> 16u;
    let b_lo = b & 0xffffu;
    let b_hi = b >> 16u;
    let middle = a_hi * b_lo + ((a_lo * b_lo) >> 16u);
    let other = a_lo * b_hi + (middle & 0xffffu);
    return a_hi * b_hi + (middle >> 16u) + (other >> 16u);
}

fn philox(counter: vec4<u32>, seed: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var key = seed;
    for (var round = 0u; round < 10u; round++) {
        let first = high_product(0xD2511F53u, c.x);
        let second = high_product(0xCD9E8D57u, c.z);
        c = vec4<u32>(second ^ c.y ^ key.x, 0xCD9E8D57u * c.z, first ^ c.w ^ key.y, 0xD2511F53u * c.x);
        key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

fn random_block(seed: vec2<u32>, stream: u32, row: u32, column: u32, draw: u32) -> vec4<u32> {
    return philox(vec4<u32>(column, row, draw, stream), seed);
}

// Open interval (0, 1); the spacing shrinks towards 0 (32 bits), is 2^-24 at 1. Each step is exact but the sum.
fn unit(word: u32) -> f32 {
    let u = f32(word >> 8u) * 5.9604644775390625e-8 + (f32(word & 0xffu) + 0.5) * 2.3283064365386963e-10;
    return min(u, 0.999999940395355224609375);
}
