// A tile of a batch through all transforms of one flow, and its gradient back: GROUPS times SAMPLES samples per workgroup, 32
// invocations for each group of samples, the activations in workgroup memory. What the weights' gradients need goes to `kept`
// (row-major: see flow_fused). `packed` holds the weights of every layer transposed, so that neighbours read neighbours both ways.
// Blocks of 32 hidden units leave out what the masks forbid all of them. VALUE: the loss alone.
//!include status
//!include nonlinear
//!include flow_fused
alias V = vec{{SAMPLES}}<f32>;
const SAMPLES = {{SAMPLES}}u;
const GROUPS = {{GROUPS}}u;
const LANES = 32u;
// Invocations that share one sum where there are fewer sums than invocations.
const OUT_PARTS = max(1u, LANES / (2u * P));
const BACK_PARTS = max(1u, LANES / P);

struct Parameters { rows: u32, start: u32, tiles: u32, scale: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> points: array<f32>;
@group(0) @binding(3) var<storage, read> contexts: array<f32>;
@group(0) @binding(4) var<storage, read> index: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
//!if VALUE
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;
//!end
//!if TRAIN
@group(0) @binding(6) var<storage, read_write> kept: array<f32>;
@group(0) @binding(7) var<storage, read> packed: array<f32>;
@group(0) @binding(8) var<storage, read_write> status: array<atomic<u32>>;
//!end

var<workgroup> input: array<V, GROUPS * IN>;
var<workgroup> units: array<V, 2u * GROUPS * H>;
var<workgroup> d_out: array<V, GROUPS * 2u * P>;
var<workgroup> sums: array<V, GROUPS * max(LANES, 2u * P)>;

fn bounded(raw: V) -> V {
    return raw / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
}

fn tanh_of(x: V) -> V {
    var y: V;
    for (var s = 0u; s < SAMPLES; s++) { y[s] = tanh_accurate(x[s]); }
    return y;
}

//!if TRAIN
// A feature of the samples of one group: `feature` of `width` in the region that starts at `region`.
fn keep(flow: u32, region: u32, width: u32, feature: u32, row: u32, value: V) {
    let at = (flow * FEATURES + region) * parameters.rows;
    for (var s = 0u; s < SAMPLES && row + s < parameters.rows; s++) { kept[at + (row + s) * width + feature] = value[s]; }
}
fn recall(flow: u32, region: u32, width: u32, feature: u32, row: u32) -> V {
    let at = (flow * FEATURES + region) * parameters.rows;
    var value: V;
    for (var s = 0u; s < SAMPLES && row + s < parameters.rows; s++) { value[s] = kept[at + (row + s) * width + feature]; }
    return value;
}
//!end

@compute @workgroup_size({{INVOCATIONS}})
fn main(@builtin(local_invocation_index) local: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
    let lane = local % LANES;
    let group = local / LANES;
    let flow = workgroup.x / parameters.tiles;
    let row = ((workgroup.x % parameters.tiles) * GROUPS + group) * SAMPLES;
    let at_in = group * IN;
    let at_out = group * 2u * P;
    let at_sums = group * max(LANES, 2u * P);
    // Where the layer at hand lies in `units`, and where the other.
    var here = group * H;
    var there = (GROUPS + group) * H;
    var counts: V;
    for (var s = 0u; s < SAMPLES; s++) { counts[s] = select(0.0, 1.0, row + s < parameters.rows); }

    for (var i = lane; i < IN; i += LANES) {
        var value: V;
        for (var s = 0u; s < SAMPLES; s++) {
            let source = index[parameters.start + min(row + s, parameters.rows - 1u)];
            if i < P { value[s] = points[source * P + i]; } else { value[s] = contexts[source * C + i - P]; }
        }
        input[at_in + i] = value;
//!if TRAIN
        if i >= P { keep(flow, CONTEXT, C, i - P, row, value); }
//!end
    }
    var log_q = V(0.0);
    workgroupBarrier();
    for (var k = 0u; k < TRANSFORMS; k++) {
        let base = (flow * TRANSFORMS + k) * STRIDE;
//!if TRAIN
        for (var i = lane; i < P; i += LANES) { keep(flow, POINTS + k * P, P, i, row, input[at_in + i]); }
//!end
        for (var j = lane; j < H; j += LANES) {
            var sum = V(weights[base + IN * H + j]);
            for (var i = 0u; i < IN; i++) { sum += input[at_in + i] * weights[base + i * H + j]; }
            let value = tanh_of(sum);
            units[here + j] = value;
//!if TRAIN
            keep(flow, HIDDEN + k * LAYERS * H, H, j, row, value);
//!end
        }
        workgroupBarrier();
        for (var layer = 1u; layer < LAYERS; layer++) {
            let w = base + dense(layer);
            for (var j = lane; j < H; j += LANES) {
                let end = seen(j - lane + LANES - 1u);
                var sum = V(weights[w + H * H + j]);
                for (var i = 0u; i < end; i++) { sum += units[here + i] * weights[w + i * H + j]; }
                let value = tanh_of(sum);
                units[there + j] = value;
//!if TRAIN
                keep(flow, HIDDEN + (k * LAYERS + layer) * H, H, j, row, value);
//!end
            }
            workgroupBarrier();
            let swap = here;
            here = there;
            there = swap;
        }
        let w = base + dense(LAYERS);
        for (var first = 0u; first < 2u * P; first += LANES) {
            let column = first + lane % (2u * P);
            let part = lane / (2u * P);
            if column < 2u * P && part < OUT_PARTS {
                var sum = V(0.0);
                for (var j = part; j < H; j += OUT_PARTS) { sum += units[here + j] * weights[w + j * 2u * P + column]; }
                sums[at_sums + part * 2u * P + column] = sum;
            }
        }
        workgroupBarrier();
        for (var i = lane; i < P; i += LANES) {
            var shift = V(weights[w + H * 2u * P + i]);
            var raw = V(weights[w + H * 2u * P + P + i]);
            for (var part = 0u; part < OUT_PARTS; part++) {
                shift += sums[at_sums + part * 2u * P + i];
                raw += sums[at_sums + part * 2u * P + P + i];
            }
            let scale = bounded(raw);
            let inverse = exp(-scale);
            input[at_in + i] = (input[at_in + i] - shift) * inverse;
            log_q -= scale;
//!if TRAIN
            keep(flow, OUT + k * 2u * P, 2u * P, i, row, inverse);
            keep(flow, OUT + k * 2u * P, 2u * P, P + i, row, raw);
//!end
        }
        workgroupBarrier();
    }
    for (var i = lane; i < P; i += LANES) {
        let b = input[at_in + i];
        log_q -= HALF_LN_TWO_PI + 0.5 * b * b;
//!if TRAIN
        keep(flow, POINTS + TRANSFORMS * P, P, i, row, b);
//!end
    }
    sums[at_sums + lane] = log_q;
    workgroupBarrier();
    if lane == 0u {
        var total = V(0.0);
        for (var other = 0u; other < min(P, LANES); other++) { total += sums[at_sums + other]; }
        for (var s = 0u; s < SAMPLES && row + s < parameters.rows; s++) {
            if !is_finite(total[s]) { raise(FAULT_FLOW, row + s); }
            losses[flow * parameters.rows + row + s] = -total[s];
        }
    }
//!if TRAIN
    // Back. `input` now holds the gradient of the mean loss with respect to the point.
    workgroupBarrier();
    for (var i = lane; i < P; i += LANES) { input[at_in + i] *= counts * parameters.scale; }
    for (var step = 0u; step < TRANSFORMS; step++) {
        let k = TRANSFORMS - 1u - step;
        let base = (flow * TRANSFORMS + k) * STRIDE;
        for (var i = lane; i < P; i += LANES) {
            let inverse = recall(flow, OUT + k * 2u * P, 2u * P, i, row);
            let raw = recall(flow, OUT + k * 2u * P, 2u * P, P + i, row);
            let y = recall(flow, POINTS + (k + 1u) * P, P, i, row);
            let shrink = 1.0 / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
            let d_y = input[at_in + i];
            let direct = d_y * inverse;
            let d_raw = (counts * parameters.scale - d_y * y) * shrink * shrink;
            input[at_in + i] = direct;
            d_out[at_out + i] = -direct;
            d_out[at_out + P + i] = d_raw;
            keep(flow, D_OUT + k * 2u * P, 2u * P, i, row, -direct);
            keep(flow, D_OUT + k * 2u * P, 2u * P, P + i, row, d_raw);
        }
        workgroupBarrier();
        for (var j = lane; j < H; j += LANES) {
            let w = base + dense(LAYERS) + j;
            var sum = V(0.0);
            for (var column = 0u; column < 2u * P; column++) { sum += d_out[at_out + column] * packed[w + column * H]; }
            let value = recall(flow, HIDDEN + (k * LAYERS + LAYERS - 1u) * H, H, j, row);
            sum *= 1.0 - value * value;
            units[here + j] = sum;
            keep(flow, D_HIDDEN + (k * LAYERS + LAYERS - 1u) * H, H, j, row, sum);
        }
        workgroupBarrier();
        for (var layer = LAYERS - 1u; layer > 0u; layer--) {
            for (var i = lane; i < H; i += LANES) {
                let w = base + dense(layer) + i;
                var sum = V(0.0);
                for (var j = reaches(i - lane); j < H; j++) { sum += units[here + j] * packed[w + j * H]; }
                let value = recall(flow, HIDDEN + (k * LAYERS + layer - 1u) * H, H, i, row);
                sum *= 1.0 - value * value;
                units[there + i] = sum;
                keep(flow, D_HIDDEN + (k * LAYERS + layer - 1u) * H, H, i, row, sum);
            }
            workgroupBarrier();
            let swap = here;
            here = there;
            there = swap;
        }
        for (var first = 0u; first < P; first += LANES) {
            let i = first + lane % P;
            let part = lane / P;
            if i < P && part < BACK_PARTS {
                var sum = V(0.0);
                for (var j = part; j < H; j += BACK_PARTS) { sum += units[here + j] * packed[base + j * IN + i]; }
                sums[at_sums + part * P + i] = sum;
            }
        }
        workgroupBarrier();
        for (var i = lane; i < P; i += LANES) {
            for (var part = 0u; part < BACK_PARTS; part++) { input[at_in + i] += sums[at_sums + part * P + i]; }
        }
        workgroupBarrier();
    }
//!end
}
