// C-STAT of reconstructed spectra, and its gradient. z = y sd + mean is log(1 + m) as the network gives it; m(z) is smooth, positive
// and finite for every z: see kernels::loss.
//!include nonlinear
//!include index
const SOFTNESS = {{SOFTNESS}};
const FLOOR = {{FLOOR}};
const CEILING = {{CEILING}};
const ROOM = {{ROOM}};
struct Parameters { rows: u32, cols: u32, stride: u32, gradient: u32, scale: f32, slot: u32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;

// m and dm/dz
fn counts(raw: f32) -> vec2<f32> {
    var z = raw;
    var slope = 1.0;
    if z > CEILING {
        let u = 1.0 + (z - CEILING) / ROOM;
        z = CEILING + ROOM - ROOM / u;
        slope = 1.0 / (u * u);
    }
    let q = z / SOFTNESS;
    let e = exp(-min(abs(q), 80.0));
    let positive = SOFTNESS * (max(q, 0.0) + log1p_accurate(e));
    let sigmoid = select(e, 1.0, q > 0.0) / (1.0 + e);
    let grown = expm1_accurate(positive);
    return vec2(grown + FLOOR, (grown + 1.0) * sigmoid * slope);
}

//!if LOSS
//!include status
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;
var<workgroup> sums: array<f32, 64>;

// 2 (m - t + t log(t/m)) by Loader's series where t is near m, so that nothing cancels.
fn deviance(t: f32, m: f32) -> f32 {
    let s = (t - m) / (t + m);
    if abs(s) < 0.2 {
        let q = s * s;
        return 2.0 * ((t - m) * s + 2.0 * t * s * q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * 0.11111111))));
    }
    if t <= 0.0 { return 2.0 * m; }
    return 2.0 * (m - t + t * log(t / m));
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = group.x + group.y * groups.x;
    var sum = 0.0;
    if row < parameters.rows {
        for (var column = lane; column < parameters.stride; column += 64u) {
            let at = row * parameters.stride + column;
            var gradient = 0.0;
            if column < parameters.cols {
                let t = targets[row * parameters.cols + column];
                let sd = scale[parameters.cols + column];
                // Clamping would hide a NaN or an infinity.
                if !is_finite(y[at]) { sum += y[at]; }
                let m = counts(y[at] * sd + scale[column]);
                sum += deviance(t, m.x);
                gradient = parameters.scale * 2.0 * ((m.x - t) / m.x) * m.y * sd;
            }
            if parameters.gradient != 0u { y[at] = gradient; }
        }
    }
    sums[lane] = sum;
    for (var width = 32u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if lane < width { sums[lane] += sums[lane + width]; }
    }
    if lane == 0u && row < parameters.rows {
        if !is_finite(sums[0]) { raise(FAULT_LOSS, row); }
        losses[parameters.slot + row] = sums[0];
    }
}
//!end

//!if RECONSTRUCT
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = linear_index(id, groups, 256u);
    if i >= parameters.rows * parameters.cols { return; }
    let column = i % parameters.cols;
    let z = y[i / parameters.cols * parameters.stride + column] * scale[parameters.cols + column] + scale[column];
    result[i] = counts(z).x;
}
//!end
