// A masked autoregressive transform for one sample per invocation; mirrors kernels::flow::shape (units sorted by degree).
// P, H, LAYERS and TRANSFORMS are compile-time so that activations can live in private arrays.
const P = {{P}}u;
const H = {{H}}u;
const C = {{C}}u;
const LAYERS = {{LAYERS}}u;
const TRANSFORMS = {{TRANSFORMS}}u;
const FLOWS = {{FLOWS}}u;
const STRIDE = {{STRIDE}}u;
const LOG_SCALE_LIMIT = 7.0;
const HALF_LN_TWO_PI = 0.9189385332046727;

var<private> x: array<f32, P>;
var<private> hidden: array<array<f32, H>, LAYERS>;

fn group_start(degree: u32) -> u32 {
    return (degree * H + P - 1u) / P;
}

fn bounded(raw: f32) -> f32 {
    return raw / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
}

// Offset of the weights of dense layer `layer` (0 .. LAYERS) within a transform.
fn dense(layer: u32) -> u32 {
    if layer == 0u { return 0u; }
    return (P + C + 1u) * H + (layer - 1u) * (H + 1u) * H;
}

// Hidden units of one degree, from the parameters of lower order and from hidden units up to that degree. Four units at a
// time: they share what they read, and Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
fn hidden_group(k: u32, degree: u32) {
    let base = k * STRIDE;
    let start = group_start(degree);
    let end = group_start(degree + 1u);
    for (var j = start; j < end; j += 4u) {
        let columns = min(vec4(j, j + 1u, j + 2u, j + 3u), vec4(H - 1u));
        var sum = vec4(biases[k * H + columns.x], biases[k * H + columns.y], biases[k * H + columns.z], biases[k * H + columns.w]);
        for (var i = 0u; i < P; i++) {
            if orders[k * P + i] < degree { sum += x[i] * weights4(base + i * H, columns); }
        }
        store4(0u, j, end, sum);
    }
    for (var layer = 1u; layer < LAYERS; layer++) {
        let at = base + dense(layer);
        for (var j = start; j < end; j += 4u) {
            let columns = min(vec4(j, j + 1u, j + 2u, j + 3u), vec4(H - 1u));
            var sum = weights4(at + H * H, columns);
            for (var i = 0u; i < end; i++) { sum += hidden[layer - 1u][i] * weights4(at + i * H, columns); }
            store4(layer, j, end, sum);
        }
    }
}

fn weights4(row: u32, columns: vec4<u32>) -> vec4<f32> {
    let at = columns + row;
    return vec4(weights[at.x], weights[at.y], weights[at.z], weights[at.w]);
}

// tanh of up to four sums into the units from `j`, none beyond `end`.
fn store4(layer: u32, j: u32, end: u32, sum: vec4<f32>) {
    for (var lane = 0u; lane < 4u && j + lane < end; lane++) {
        hidden[layer][j + lane] = tanh_accurate(sum[lane]);
    }
}

// Shift and bounded log-scale of parameter `i`, whose order is `degree`.
fn shift_and_scale(k: u32, i: u32, degree: u32) -> vec2<f32> {
    let at = k * STRIDE + dense(LAYERS);
    var shift = weights[at + H * 2u * P + i];
    var raw = weights[at + H * 2u * P + P + i];
    let end = group_start(degree + 1u);
    for (var j = 0u; j < end; j++) {
        shift += hidden[LAYERS - 1u][j] * weights[at + j * 2u * P + i];
        raw += hidden[LAYERS - 1u][j] * weights[at + j * 2u * P + P + i];
    }
    return vec2(shift, bounded(raw));
}
