// Batch normalisation and the activation behind it: a = activation(gamma (h - mean) / sqrt(variance + epsilon) + beta).
// `statistics` = [means, 1 / standard deviations] of the batch, `running` = [means, variances]; the gradient passes through the
// batch's statistics.
//!include index
//!include nonlinear
struct Parameters {
    rows: u32, cols: u32, gamma: u32, beta: u32,
    activation: u32, running: u32, momentum: f32, epsilon: f32, unbiased: f32, chunk: u32,
}
@group(0) @binding(0) var<uniform> parameters: Parameters;

//!if STATISTICS
// A workgroup has 16 columns, its lanes one row in 16 each; lanes are merged as chunks are (Chan, Golub & LeVeque 1983). Two
// passes over a lane's rows: one pass with h^2 would cancel.
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;
var<workgroup> counts: array<f32, 256>;
var<workgroup> means: array<f32, 256>;
var<workgroup> squares: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x * 16u + lane % 16u;
    let cols = parameters.cols;
    var count = 0.0;
    var mean = 0.0;
    var deviations = 0.0;
    if column < cols {
        for (var row = lane / 16u; row < parameters.rows; row += 16u) {
            mean += h[row * cols + column];
            count += 1.0;
        }
        mean /= max(count, 1.0);
        for (var row = lane / 16u; row < parameters.rows; row += 16u) {
            let d = h[row * cols + column] - mean;
            deviations += d * d;
        }
    }
    counts[lane] = count;
    means[lane] = mean;
    squares[lane] = deviations;
    for (var width = 128u; width >= 16u; width >>= 1u) {
        workgroupBarrier();
        if lane < width {
            let n = counts[lane + width];
            let total = counts[lane] + n;
            // Rows may be fewer than lanes.
            let share = n / max(total, 1.0);
            let d = means[lane + width] - means[lane];
            means[lane] += d * share;
            squares[lane] += squares[lane + width] + d * d * (counts[lane] * share);
            counts[lane] = total;
        }
    }
    if lane >= 16u || column >= cols { return; }
    let variance = squares[lane] / f32(parameters.rows);
    statistics[column] = means[lane];
    statistics[cols + column] = 1.0 / sqrt(variance + parameters.epsilon);
    let keep = 1.0 - parameters.momentum;
    running[column] = keep * running[column] + parameters.momentum * means[lane];
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
// d = gradient at the output becomes that before the activation; parts = sums of d and of d * x, which are the gradients of beta
// and gamma. Columns and rows of a workgroup as above.
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> value: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;
@group(0) @binding(5) var<storage, read_write> parts: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
var<workgroup> sums: array<f32, 256>;
var<workgroup> products: array<f32, 256>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x * 16u + lane % 16u;
    let cols = parameters.cols;
    var sum = 0.0;
    var product = 0.0;
    if column < cols {
        let mean = statistics[column];
        let inverse = statistics[cols + column];
        let gamma = value[parameters.gamma + column];
        let beta = value[parameters.beta + column];
        for (var row = lane / 16u; row < parameters.rows; row += 16u) {
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
    }
    sums[lane] = sum;
    products[lane] = product;
    for (var width = 128u; width >= 16u; width >>= 1u) {
        workgroupBarrier();
        if lane < width {
            sums[lane] += sums[lane + width];
            products[lane] += products[lane + width];
        }
    }
    if lane >= 16u || column >= cols { return; }
    parts[column] = sums[lane];
    parts[cols + column] = products[lane];
    gradient[parameters.beta + column] = sums[lane];
    gradient[parameters.gamma + column] = products[lane];
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

// The partial sums that a product left behind (gemm.wgsl), added up by every workgroup for its own 64 columns, and what follows
// from them for its 64 rows. The first row of workgroups keeps the sums.
//!if FROM_MOMENTS
//!include moments
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> statistics: array<f32>;
@group(0) @binding(4) var<storage, read_write> running: array<f32>;
@group(0) @binding(5) var<storage, read> value: array<f32>;
@group(0) @binding(6) var<storage, read_write> result: array<f32>;
var<workgroup> means: array<f32, 64>;
var<workgroup> inverses: array<f32, 64>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x * 64u + lane % 64u;
    let cols = parameters.cols;
    if lane < 64u && column < cols {
        let all = merge_moments(Moments(0.0, 0.0, 0.0), parameters.rows, cols, parameters.chunk, column);
        let variance = all.squares / f32(parameters.rows);
        means[lane] = all.mean;
        inverses[lane] = 1.0 / sqrt(variance + parameters.epsilon);
        if group.y == 0u {
            statistics[column] = all.mean;
            statistics[cols + column] = inverses[lane];
            let keep = 1.0 - parameters.momentum;
            running[column] = keep * running[column] + parameters.momentum * all.mean;
            running[cols + column] = keep * running[cols + column] + parameters.momentum * variance * parameters.unbiased;
        }
    }
    workgroupBarrier();
    if column >= cols { return; }
    let gamma = value[parameters.gamma + column];
    let beta = value[parameters.beta + column];
    let last = min(group.y * 64u + 64u, parameters.rows);
    for (var row = group.y * 64u + lane / 64u; row < last; row += 4u) {
        let x = (h[row * cols + column] - means[lane % 64u]) * inverses[lane % 64u];
        result[row * cols + column] = activate(parameters.activation, gamma * x + beta);
    }
}
//!end

//!if FROM_PRODUCTS
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> value: array<f32>;
@group(0) @binding(4) var<storage, read> parts: array<f32>;
@group(0) @binding(5) var<storage, read_write> d: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
var<workgroup> sums: array<f32, 64>;
var<workgroup> products: array<f32, 64>;
@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>) {
    let column = group.x * 64u + lane % 64u;
    let cols = parameters.cols;
    if lane < 64u && column < cols {
        var sum = 0.0;
        var product = 0.0;
        for (var first = 0u; first < parameters.rows; first += parameters.chunk) {
            let at = 2u * (first / parameters.chunk) * cols + column;
            sum += parts[at];
            product += parts[at + cols];
        }
        sums[lane] = sum;
        products[lane] = product;
        if group.y == 0u {
            gradient[parameters.beta + column] = sum;
            gradient[parameters.gamma + column] = product;
        }
    }
    workgroupBarrier();
    if column >= cols { return; }
    let mean = statistics[column];
    let inverse = statistics[cols + column];
    let slope = value[parameters.gamma + column] * inverse;
    let n = f32(parameters.rows);
    let share = sums[lane % 64u] / n;
    let along = products[lane % 64u] / n;
    let last = min(group.y * 64u + 64u, parameters.rows);
    for (var row = group.y * 64u + lane / 64u; row < last; row += 4u) {
        let i = row * cols + column;
        d[i] = slope * (d[i] - share - (h[i] - mean) * inverse * along);
    }
}
//!end
