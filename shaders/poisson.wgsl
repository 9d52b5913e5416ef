// Poisson counts from means, one invocation each. Below 10: inversion, whose uppermost 2^-12 is redrawn with 32 more bits and a
// survival function summed from the tail, so that tails far below the spacing of f32 are right. Above: transformed rejection
// with squeeze (PTRS, Hormann 1993, Insurance: Mathematics and Economics 12, 39), in offsets from floor(mean).
//!include index
//!include status
//!include random
//!include deviance
struct Parameters {
    seed_low: u32, seed_high: u32, stream: u32, first_row: u32,
    rows: u32, cols: u32, mean_row: u32, out_row: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> counts: array<f32>;
@group(0) @binding(3) var<storage, read_write> status: array<atomic<u32>>;

const LARGEST = 16777216.0;

// exp for [-10, 0], the same polynomial as the CPU twin.
fn small_exp(x: f32) -> f32 {
    let k = floor(x * 1.44269504 + 0.5);
    let r = (x - k * 0.693359375) + k * 2.12194440e-4;
    let p = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r
        + 1.6666665459e-1) * r + 5.0000001201e-1;
    return (p * r * r + r + 1.0) * bitcast<f32>(u32(i32(k) + 127) << 23u);
}

// The smallest k whose survival P(X > k) is below v.
fn tail(mu: f32, v: f32) -> f32 {
    var p = small_exp(-mu);
    for (var k = 0.0; k < 128.0; k += 1.0) {
        if k > 0.0 { p *= mu / k; }
        if k + 1.0 > mu {
            var term = 1.0;
            var sum = 1.0;
            for (var j = 2.0; j < 96.0 && term > 1e-8 * sum; j += 1.0) {
                term *= mu / (k + j);
                sum += term;
            }
            if p * (mu / (k + 1.0)) * sum < v { return k; }
        }
    }
    return 128.0;
}

fn inversion(mu: f32, words: vec2<u32>) -> f32 {
    if words.x >= 0xfff00000u { return tail(mu, (f32(words.y) + 0.5) * 5.684341886080802e-14); }
    let u = unit(words.x);
    var p = small_exp(-mu);
    var sum = p;
    var k = 0.0;
    for (var n = 1.0; n < 100.0 && u > sum; n += 1.0) {
        p *= mu * (1.0 / n);
        sum += p;
        k = n;
    }
    return k;
}

fn ln_probability(k: f32, mu: f32, difference: f32) -> f32 {
    if k < 0.5 { return -mu; }
    let i = 1.0 / k;
    let w = i * i;
    let stirling = i * (0.083333336 - w * (0.0027777778 - w * (0.0007936508 - w * 0.0005952381)));
    return -0.5 * log(6.2831855 * k) - half_deviance(k, mu, difference) - stirling;
}

fn rejection(mu: f32, words: vec2<u32>, seed: vec2<u32>, row: u32, col: u32) -> f32 {
    let base = floor(mu);
    let fraction = mu - base;
    let b = 0.931 + 2.53 * sqrt(mu);
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let v_r = 0.9277 - 3.6224 / (b - 2.0);
    var block = vec4<u32>(words, words);
    for (var trial = 0u; trial < 256u; trial++) {
        if trial > 0u {
            if (trial & 1u) == 0u { block = block.zwxy; }
            else { block = random_block(seed, parameters.stream, row, col, (trial + 1u) >> 1u); }
        }
        // Distance to the nearer end with all its bits; the top bit is the side.
        let us = (f32(block.x & 0x7fffffffu) + 0.5) * 2.3283064365386963e-10;
        let side = select(1.0, -1.0, (block.x >> 31u) == 1u);
        let v = unit(block.y);
        let offset = floor((2.0 * a / us + b) * (side * (0.5 - us)) + (fraction + 0.43));
        let k = base + offset;
        if us >= 0.07 && v <= v_r { return k; }
        if k < 0.0 || (us < 0.013 && v > us) { continue; }
        if log(v * inverse_alpha / (a / (us * us) + b)) <= ln_probability(k, mu, offset - fraction) { return k; }
    }
    return base;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let local = i / parameters.cols;
    let col = i % parameters.cols;
    let row = parameters.first_row + local;
    let mu = mean[i + parameters.mean_row * parameters.cols];
    var k = 0.0;
    if !is_finite(mu) || mu < 0.0 || mu > LARGEST {
        raise(FAULT_POISSON, row);
    } else if mu > 0.0 {
        let seed = vec2<u32>(parameters.seed_low, parameters.seed_high);
        // Columns 16 apart share a block of words (the CPU draws 16 at once): the first takes two, the second the others.
        let block = random_block(seed, parameters.stream, row, (col & 0xffffffe0u) / 2u + (col & 15u), 0u);
        let words = select(block.xy, block.zw, (col & 16u) == 16u);
        if mu < 10.0 { k = inversion(mu, words); } else { k = rejection(mu, words, seed, row, col); }
    }
    counts[i + parameters.out_row * parameters.cols] = min(k, LARGEST);
}
