// Batch normalisation and the activation behind it: a = activation(gamma (h - mean) / sqrt(variance + epsilon) + beta).
// `statistics` = [means, 1 / standard deviations] of the batch, `running` = [means, variances]; the gradient passes through the
// batch's statistics.
//!include index
//!include nonlinear
struct Parameters {
    rows: u32, cols: u32, chunk: u32, gamma: u32,
    beta: u32, activation: u32, running: u32, momentum: f32,
    epsilon: f32, unbiased: f32, chunks: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;

//!if STATISTICS
//!include moments
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x;
    let cols = parameters.cols;
    if column >= cols { return; }
    let moments = merge_moments(Moments(0.0, 0.0, 0.0), parameters.rows, cols, parameters.chunk, column);
    let variance = moments.squares / f32(parameters.rows);
    statistics[column] = moments.mean;
    statistics[cols + column] = 1.0 / sqrt(variance + parameters.epsilon);
    let keep = 1.0 - parameters.momentum;
    running[column] = keep * running[column] + parameters.momentum * moments.mean;
    running[cols + column] = keep * running[cols + column] + parameters.momentum * variance * parameters.unbiased;
}
//!end

//!if FORWARD
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> value: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let column = i % parameters.cols;
    var inverse = statistics[parameters.cols + column];
    if parameters.running != 0u { inverse = 1.0 / sqrt(inverse + parameters.epsilon); }
    let x = (h[i] - statistics[column]) * inverse;
    result[i] = activate(parameters.activation, value[parameters.gamma + column] * x + value[parameters.beta + column]);
}
//!end

//!if BACKWARD
// d = gradient at the output becomes that before the activation; parts[chunk] = sums of d and of d * x
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> value: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x;
    let cols = parameters.cols;
    if column >= cols { return; }
    let mean = statistics[column];
    let inverse = statistics[cols + column];
    let gamma = value[parameters.gamma + column];
    let beta = value[parameters.beta + column];
    let first = id.y * parameters.chunk;
    let last = min(first + parameters.chunk, parameters.rows);
    var sum = 0.0;
    var product = 0.0;
    for (var row = first; row < last; row += 1u) {
        let i = row * cols + column;
        let x = (h[i] - mean) * inverse;
        let z = gamma * x + beta;
        var saved = z;
        if parameters.activation == TANH { saved = tanh_accurate(z); }
        let g = d[i] * activation_derivative(parameters.activation, saved);
        d[i] = g;
        sum += g;
        product += g * x;
    }
    parts[2u * id.y * cols + column] = sum;
    parts[(2u * id.y + 1u) * cols + column] = product;
}
//!end

//!if SUMS
// The first chunk becomes the sum of all; the parameters' gradients are those sums.
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let column = id.x;
    let cols = parameters.cols;
    if column >= cols { return; }
    var sum = 0.0;
    var product = 0.0;
    for (var chunk = 0u; chunk < parameters.chunks; chunk += 1u) {
        sum += parts[2u * chunk * cols + column];
        product += parts[(2u * chunk + 1u) * cols + column];
    }
    parts[column] = sum;
    parts[cols + column] = product;
    gradient[parameters.beta + column] += sum;
    gradient[parameters.gamma + column] += product;
}
//!end

//!if APPLY
// d becomes the gradient at the input.
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> value: array<f32>;
@group(0) @binding(4) var<storage, read> parts: array<f32>;
@group(0) @binding(5) var<storage, read_write> d: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    let cols = parameters.cols;
    if i >= parameters.rows * cols { return; }
    let column = i % cols;
    let inverse = statistics[cols + column];
    let x = (h[i] - statistics[column]) * inverse;
    let n = f32(parameters.rows);
    d[i] = value[parameters.gamma + column] * inverse * (d[i] - parts[column] / n - x * (parts[cols + column] / n));
}
//!end
