// flow_carry for adapters that run on a CPU, where barriers are dear: four samples per invocation through all transforms of one flow and
// back. Activations are in `kept` (feature-major, four rows at a time: see flow_fused), eight hidden units are computed together.
// VALUE: the loss alone.
//!include status
//!include nonlinear
//!include flow_fused
struct Parameters { rows: u32, start: u32, tiles: u32, scale: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> points: array<f32>;
@group(0) @binding(3) var<storage, read> contexts: array<f32>;
@group(0) @binding(4) var<storage, read> index: array<u32>;
@group(0) @binding(5) var<storage, read_write> losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> kept: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> status: array<atomic<u32>>;

struct Eight { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32> }

// Where this invocation's part of feature 0 of its flow lies, and how far apart features are.
var<private> origin: u32;
var<private> quads: u32;

fn at(feature: u32) -> u32 {
    return origin + feature * quads;
}

// Adds x times eight weights, `step` apart; those from `limit` on are not there (their sums are not used).
fn add_eight(sums: ptr<function, Eight>, x: vec4<f32>, w: u32, step: u32) {
    (*sums).a += x * weights[w];
    (*sums).b += x * weights[w + step];
    (*sums).c += x * weights[w + 2u * step];
    (*sums).d += x * weights[w + 3u * step];
    (*sums).e += x * weights[w + 4u * step];
    (*sums).f += x * weights[w + 5u * step];
    (*sums).g += x * weights[w + 6u * step];
    (*sums).h += x * weights[w + 7u * step];
}

// Biases of eight units.
fn start_eight(w: u32) -> Eight {
    var sums = Eight();
    add_eight(&sums, vec4(1.0), w, 1u);
    return sums;
}

fn tanh4(x: vec4<f32>) -> vec4<f32> {
    return vec4(tanh_accurate(x.x), tanh_accurate(x.y), tanh_accurate(x.z), tanh_accurate(x.w));
}

// tanh of up to eight sums into the features from `feature`.
fn put_tanh(sums: Eight, feature: u32, n: u32) {
    kept[at(feature)] = tanh4(sums.a);
    if n > 1u { kept[at(feature + 1u)] = tanh4(sums.b); }
    if n > 2u { kept[at(feature + 2u)] = tanh4(sums.c); }
    if n > 3u { kept[at(feature + 3u)] = tanh4(sums.d); }
    if n > 4u { kept[at(feature + 4u)] = tanh4(sums.e); }
    if n > 5u { kept[at(feature + 5u)] = tanh4(sums.f); }
    if n > 6u { kept[at(feature + 6u)] = tanh4(sums.g); }
    if n > 7u { kept[at(feature + 7u)] = tanh4(sums.h); }
}

fn sloped(sum: vec4<f32>, feature: u32, value: u32) {
    let x = kept[at(value)];
    kept[at(feature)] = sum * (1.0 - x * x);
}

// Up to eight sums times the slope of tanh at the features from `value`, into the features from `feature`.
fn put_sloped(sums: Eight, feature: u32, value: u32, n: u32) {
    sloped(sums.a, feature, value);
    if n > 1u { sloped(sums.b, feature + 1u, value + 1u); }
    if n > 2u { sloped(sums.c, feature + 2u, value + 2u); }
    if n > 3u { sloped(sums.d, feature + 3u, value + 3u); }
    if n > 4u { sloped(sums.e, feature + 4u, value + 4u); }
    if n > 5u { sloped(sums.f, feature + 5u, value + 5u); }
    if n > 6u { sloped(sums.g, feature + 6u, value + 6u); }
    if n > 7u { sloped(sums.h, feature + 7u, value + 7u); }
}

// The flow is that of the workgroup, so that an adapter can see that all its invocations read the same weights.
@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) workgroup: vec3<u32>) {
    quads = (parameters.rows + 3u) / 4u;
    let number = workgroup.x * 8u + lane;
    if number >= quads { return; }
    let flow = workgroup.y;
    let row = 4u * number;
    origin = flow * FEATURES * quads + number;
    let last = parameters.rows - 1u;
    let rows = min(vec4(row, row + 1u, row + 2u, row + 3u), vec4(last)) + parameters.start;
    let source = vec4(index[rows.x], index[rows.y], index[rows.z], index[rows.w]);
    let counts = select(vec4(0.0), vec4(1.0), vec4(row, row + 1u, row + 2u, row + 3u) <= vec4(last));
    for (var i = 0u; i < P; i++) {
        let s = source * P + i;
        kept[at(POINTS + i)] = vec4(points[s.x], points[s.y], points[s.z], points[s.w]);
    }
    for (var i = 0u; i < C; i++) {
        let s = source * C + i;
        kept[at(CONTEXT + i)] = vec4(contexts[s.x], contexts[s.y], contexts[s.z], contexts[s.w]);
    }
    kept[at(ONES)] = vec4(1.0);
    var log_q = vec4(-f32(P) * HALF_LN_TWO_PI);
    for (var k = 0u; k < TRANSFORMS; k++) {
        let base = (flow * TRANSFORMS + k) * STRIDE;
        let x = POINTS + k * P;
        for (var j = 0u; j < H; j += 8u) {
            // The last block reads on into what follows these weights; such sums are dropped.
            var sums = start_eight(base + IN * H + j);
            for (var i = 0u; i < P; i++) { add_eight(&sums, kept[at(x + i)], base + i * H + j, 1u); }
            for (var i = 0u; i < C; i++) { add_eight(&sums, kept[at(CONTEXT + i)], base + (P + i) * H + j, 1u); }
            put_tanh(sums, HIDDEN + k * LAYERS * H + j, H - j);
        }
        for (var layer = 1u; layer < LAYERS; layer++) {
            let w = base + dense(layer);
            let below = HIDDEN + (k * LAYERS + layer - 1u) * H;
            for (var j = 0u; j < H; j += 8u) {
                let end = seen(j + 7u);
                var sums = start_eight(w + H * H + j);
                for (var i = 0u; i < end; i++) { add_eight(&sums, kept[at(below + i)], w + i * H + j, 1u); }
                put_tanh(sums, below + H + j, H - j);
            }
        }
        let w = base + dense(LAYERS);
        let top = HIDDEN + (k * LAYERS + LAYERS - 1u) * H;
        for (var i = 0u; i < P; i++) {
            var shift = vec4(weights[w + H * 2u * P + i]);
            var raw = vec4(weights[w + H * 2u * P + P + i]);
            for (var j = 0u; j < H; j++) {
                let value = kept[at(top + j)];
                shift += value * weights[w + j * 2u * P + i];
                raw += value * weights[w + j * 2u * P + P + i];
            }
            let scale = raw / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
            let inverse = exp(-scale);
            kept[at(x + P + i)] = (kept[at(x + i)] - shift) * inverse;
            kept[at(OUT + k * 2u * P + i)] = inverse;
            kept[at(OUT + k * 2u * P + P + i)] = raw;
            log_q -= scale;
        }
    }
    for (var i = 0u; i < P; i++) {
        let b = kept[at(POINTS + TRANSFORMS * P + i)];
        log_q -= 0.5 * b * b;
    }
    for (var s = 0u; s < 4u && row + s < parameters.rows; s++) {
        if !is_finite(log_q[s]) { raise(FAULT_FLOW, row + s); }
        losses[flow * parameters.rows + row + s] = -log_q[s];
    }
//!if TRAIN
    // Back: the gradient of the mean loss with respect to the point at hand.
    var d: array<vec4<f32>, P>;
    for (var i = 0u; i < P; i++) { d[i] = kept[at(POINTS + TRANSFORMS * P + i)] * counts * parameters.scale; }
    for (var step = 0u; step < TRANSFORMS; step++) {
        let k = TRANSFORMS - 1u - step;
        let base = (flow * TRANSFORMS + k) * STRIDE;
        let out = D_OUT + k * 2u * P;
        for (var i = 0u; i < P; i++) {
            let raw = kept[at(OUT + k * 2u * P + P + i)];
            let shrink = 1.0 / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
            let direct = d[i] * kept[at(OUT + k * 2u * P + i)];
            kept[at(out + i)] = -direct;
            kept[at(out + P + i)] = (counts * parameters.scale - d[i] * kept[at(POINTS + (k + 1u) * P + i)]) * shrink * shrink;
            d[i] = direct;
        }
        let w = base + dense(LAYERS);
        for (var j = 0u; j < H; j += 8u) {
            var sums = Eight();
            for (var column = 0u; column < 2u * P; column++) { add_eight(&sums, kept[at(out + column)], w + j * 2u * P + column, 2u * P); }
            let top = (k * LAYERS + LAYERS - 1u) * H + j;
            put_sloped(sums, D_HIDDEN + top, HIDDEN + top, H - j);
        }
        for (var layer = LAYERS - 1u; layer > 0u; layer--) {
            let w = base + dense(layer);
            let above = D_HIDDEN + (k * LAYERS + layer) * H;
            for (var i = 0u; i < H; i += 8u) {
                var sums = Eight();
                for (var j = reaches(i); j < H; j++) { add_eight(&sums, kept[at(above + j)], w + i * H + j, H); }
                let below = (k * LAYERS + layer - 1u) * H + i;
                put_sloped(sums, D_HIDDEN + below, HIDDEN + below, H - i);
            }
        }
        let above = D_HIDDEN + k * LAYERS * H;
        for (var i = 0u; i < P; i++) {
            var sum = d[i];
            for (var j = 0u; j < H; j++) { sum += kept[at(above + j)] * weights[base + i * H + j]; }
            d[i] = sum;
        }
    }
//!end
}
