// Mixtures of Gaussians, one per site; a site is one parameter (SITES = P, DIMS = 1) or all of them (SITES = 1, DIMS = P).
// `out` holds per site COMPONENTS logits, then per component DIMS means, DIMS raw log-scales a and the strictly lower triangle N
// (row by row) of a unit matrix: z = exp(a) (1 + N) (x - mean) is standard normal. One invocation per row.
//  DENSITY: log q per row. A single row of `out` serves all rows where `shared_row` is not 0.
//  LOSS:    -log q per row, and its gradient (times `scale`) in place of `out`.
//  DRAW:    x of the site of order `level` from a uniform number per site and points `base` that are standard normal, with log q; or
//           uniform in a ball of radius `radius` (BALL), with the log-density of such draws beside it.
//!include index
//!if LOSS
//!include status
//!end
struct Parameters { rows: u32, shared_row: u32, level: u32, add: u32, scale: f32, radius: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

const SITES = {{SITES}}u;
const DIMS = {{DIMS}}u;
const COMPONENTS = {{COMPONENTS}}u;
const EACH = 2u * DIMS + DIMS * (DIMS - 1u) / 2u;
const PER = COMPONENTS * (1u + EACH);
const LOG_SCALE_LIMIT = 7.0;
const HALF_LN_TWO_PI = 0.9189385332046727;

//!if DENSITY
@group(0) @binding(1) var<storage, read> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> log_q: array<f32>;
//!end
//!if LOSS
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;
//!end
//!if DRAW
@group(0) @binding(1) var<storage, read> out: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> choice: array<f32>;
@group(0) @binding(4) var<storage, read> base: array<f32>;
@group(0) @binding(5) var<storage, read_write> x: array<f32>;
@group(0) @binding(6) var<storage, read_write> log_q: array<f32>;
//!end
//!if BALL
@group(0) @binding(7) var<storage, read_write> log_ball: array<f32>;
//!end

var<private> log_weight: array<f32, COMPONENTS>;
var<private> away: array<f32, DIMS>; // x - mean
var<private> z: array<f32, DIMS>;
var<private> steep: array<f32, DIMS>; // exp(a)
var<private> log_volume: f32; // sum of a

fn shrink(raw: f32) -> f32 {
    return 1.0 / (1.0 + abs(raw) / LOG_SCALE_LIMIT);
}

fn component(at: u32, k: u32) -> u32 {
    return at + COMPONENTS + k * EACH;
}

// Of the numbers of a component: steep and log_volume.
fn read_scales(cp: u32) {
    log_volume = 0.0;
    for (var i = 0u; i < DIMS; i++) {
        let raw = out[cp + DIMS + i];
        let a = raw * shrink(raw);
        steep[i] = exp(a);
        log_volume += a;
    }
}

// away, z and the rest for the point that `x` has from `first` on; returns |z|^2.
fn standardise(cp: u32, first: u32) -> f32 {
    read_scales(cp);
    var square = 0.0;
    for (var i = 0u; i < DIMS; i++) {
        away[i] = x[first + i] - out[cp + i];
        var t = away[i];
        for (var j = 0u; j < i; j++) { t += out[cp + 2u * DIMS + i * (i - 1u) / 2u + j] * away[j]; }
        z[i] = steep[i] * t;
        square += z[i] * z[i];
    }
    return square;
}

// Normalised logits into log_weight.
fn weigh(at: u32) {
    var top = out[at];
    for (var k = 1u; k < COMPONENTS; k++) { top = max(top, out[at + k]); }
    var sum = 0.0;
    for (var k = 0u; k < COMPONENTS; k++) { sum += exp(out[at + k] - top); }
    let norm = top + log(sum);
    for (var k = 0u; k < COMPONENTS; k++) { log_weight[k] = out[at + k] - norm; }
}

// Log of the sum of what log_weight holds.
fn log_sum() -> f32 {
    var top = log_weight[0];
    for (var k = 1u; k < COMPONENTS; k++) { top = max(top, log_weight[k]); }
    var sum = 0.0;
    for (var k = 0u; k < COMPONENTS; k++) { sum += exp(log_weight[k] - top); }
    return top + log(sum);
}

// Log-density of a site; log_weight then holds every component's share of it.
fn density(at: u32, first: u32) -> f32 {
    weigh(at);
    for (var k = 0u; k < COMPONENTS; k++) {
        let square = standardise(component(at, k), first);
        log_weight[k] += log_volume - 0.5 * square - f32(DIMS) * HALF_LN_TWO_PI;
    }
    return log_sum();
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    let out_row = select(row, 0u, parameters.shared_row != 0u);
//!if DENSITY
    var sum = 0.0;
    for (var site = 0u; site < SITES; site++) {
        sum += density((out_row * SITES + site) * PER, (row * SITES + site) * DIMS);
    }
    log_q[row] = sum;
//!end
//!if LOSS
    var sum = 0.0;
    for (var site = 0u; site < SITES; site++) {
        let at = (out_row * SITES + site) * PER;
        let first = (row * SITES + site) * DIMS;
        let log_p = density(at, first);
        sum -= log_p;
        for (var k = 0u; k < COMPONENTS; k++) {
            let cp = component(at, k);
            _ = standardise(cp, first);
            let pull = parameters.scale * exp(log_weight[k] - log_p);
            for (var j = 0u; j < DIMS; j++) {
                var g = z[j] * steep[j];
                for (var i = j + 1u; i < DIMS; i++) {
                    g += z[i] * steep[i] * out[cp + 2u * DIMS + i * (i - 1u) / 2u + j];
                }
                out[cp + j] = -pull * g;
            }
            for (var i = 0u; i < DIMS; i++) {
                let bound = shrink(out[cp + DIMS + i]);
                out[cp + DIMS + i] = -pull * (1.0 - z[i] * z[i]) * bound * bound;
                for (var j = 0u; j < i; j++) {
                    out[cp + 2u * DIMS + i * (i - 1u) / 2u + j] = pull * z[i] * steep[i] * away[j];
                }
            }
            log_weight[k] = pull;
        }
        // Logits last: what they weigh was needed until now.
        var top = out[at];
        for (var k = 1u; k < COMPONENTS; k++) { top = max(top, out[at + k]); }
        var total = 0.0;
        for (var k = 0u; k < COMPONENTS; k++) { total += exp(out[at + k] - top); }
        for (var k = 0u; k < COMPONENTS; k++) {
            out[at + k] = parameters.scale * exp(out[at + k] - top) / total - log_weight[k];
        }
    }
    if !is_finite(sum) { raise(FAULT_FLOW, row); }
    loss[row] = sum;
//!end
//!if DRAW
    var sum = 0.0;
    if parameters.add != 0u { sum = log_q[row]; }
//!if BALL
    var sum_ball = 0.0;
    if parameters.add != 0u { sum_ball = log_ball[row]; }
//!end
    for (var site = 0u; site < SITES; site++) {
        if order[site] != parameters.level { continue; }
        let at = (out_row * SITES + site) * PER;
        let first = (row * SITES + site) * DIMS;
        weigh(at);
        let u = choice[row * SITES + site];
        var chosen = 0u;
        var reached = 0.0;
        for (var k = 0u; k + 1u < COMPONENTS; k++) {
            reached += exp(log_weight[k]);
            if u >= reached { chosen = k + 1u; }
        }
        let cp = component(at, chosen);
        read_scales(cp);
        for (var i = 0u; i < DIMS; i++) {
            var t = base[first + i] / steep[i];
            for (var j = 0u; j < i; j++) { t -= out[cp + 2u * DIMS + i * (i - 1u) / 2u + j] * away[j]; }
            away[i] = t;
            x[first + i] = out[cp + i] + t;
        }
        sum += density(at, first);
//!if BALL
        weigh(at);
        for (var k = 0u; k < COMPONENTS; k++) {
            let square = standardise(component(at, k), first);
            let inside = k == chosen || square < parameters.radius * parameters.radius;
            log_weight[k] = select(-1e30, log_weight[k] + log_volume, inside);
        }
        sum_ball += log_sum();
//!end
    }
    log_q[row] = sum;
//!if BALL
    log_ball[row] = sum_ball;
//!end
//!end
}
