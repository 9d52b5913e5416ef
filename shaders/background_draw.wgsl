// Adds a draw of the background to expected counts, one invocation each: a Gamma number by Marsaglia & Tsang's rejection (2000, ACM TOMS 26, 363) or
// a normal one, none below zero. Columns of other data go over to units of their own. Mirrors kernels::background_draw.
//!include index
//!include random
//!include angle
struct Parameters {
    seed_low: u32, seed_high: u32, stream: u32, first_row: u32,
    rows: u32, cols: u32, mean_row: u32, padding: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;
// Rows of columns: shape of the Gamma number (0: none), its factor, mean and deviation of the normal one, factor of the source's mean (0: 1).
@group(0) @binding(1) var<storage, read> data: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;

// Apart from the draws of poisson, which start at 0, and of random's fills.
const FIRST_DRAW = 0x20000000u;
const TRIALS = 32u;
const HIGHEST = 8388608.0;

fn normal(words: vec2<u32>) -> f32 {
    return sqrt(-2.0 * log(unit(words.x))) * cos_sin(6.2831855 * unit(words.y)).x;
}

fn gamma(shape: f32, seed: vec2<u32>, row: u32, col: u32) -> f32 {
    // Shapes below 1: a number of shape + 1 times a power of a uniform one.
    let raised = select(shape, shape + 1.0, shape < 1.0);
    let d = raised - 0.33333334;
    let c = 0.33333334 / sqrt(d);
    var value = d;
    var power = 1.0;
    for (var trial = 0u; trial < TRIALS; trial++) {
        let block = random_block(seed, parameters.stream, row, col, FIRST_DRAW + trial);
        if trial == 0u && shape < 1.0 { power = exp(log(unit(block.w)) / shape); }
        let z = normal(block.xy);
        let t = 1.0 + c * z;
        if t <= 0.0 { continue; }
        let v = t * t * t;
        value = d * v;
        if log(unit(block.z)) < 0.5 * z * z + d - d * v + 3.0 * d * log(t) { break; }
    }
    return value * power;
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let local = i / parameters.cols;
    let col = i % parameters.cols;
    let row = parameters.first_row + local;
    let seed = vec2<u32>(parameters.seed_low, parameters.seed_high);
    let at = i + parameters.mean_row * parameters.cols;
    let gain = data[4u * parameters.cols + col];
    if gain > 0.0 {
        mean[at] = min(mean[at] * gain + data[2u * parameters.cols + col], HIGHEST);
        return;
    }
    let shape = data[col];
    let deviation = data[3u * parameters.cols + col];
    var added = 0.0;
    if shape > 0.0 { added = data[parameters.cols + col] * gamma(shape, seed, row, col); }
    else if deviation > 0.0 {
        let block = random_block(seed, parameters.stream, row, col, FIRST_DRAW);
        added = max(data[2u * parameters.cols + col] + deviation * normal(block.xy), 0.0);
    } else { added = max(data[2u * parameters.cols + col], 0.0); }
    mean[at] += added;
}
