// All M parameters of a model from the P free ones: prior quantile of the cube coordinate, then scale and offset.
// Result M x stride, spectra along the columns, so that neighbouring invocations of the model read neighbouring words.
//!include index
struct Parameters { rows: u32, first_row: u32, free: u32, count: u32, stride: u32, physical: u32 }
// kind 0 uniform, 1 log-uniform (a, b: lower bound and range, of ln x for 1), 2 normal, 3 log-normal (a, b: mean and standard
// deviation), the last two between the quantiles below .. below + mass; always clamped to lo .. hi.
struct Prior { kind: f32, a: f32, b: f32, below: f32, mass: f32, above: f32, lo: f32, hi: f32 }
struct Entry { free: i32, scale: f32, offset: f32, spare: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> theta: array<f32>;
@group(0) @binding(2) var<storage, read> priors: array<Prior>;
@group(0) @binding(3) var<storage, read> entries: array<Entry>;
@group(0) @binding(4) var<storage, read_write> full: array<f32>;

// Quantile of the standard normal for p <= 1/2, Wichura's algorithm AS 241 (PPND7), relative error 1e-7.
fn lower_quantile(p: f32) -> f32 {
    let q = p - 0.5;
    if q > -0.425 {
        let r = 0.180625 - q * q;
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
            / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
    }
    var r = sqrt(-log(max(p, 1e-37)));
    if r <= 5.0 {
        r -= 1.6;
        return -(((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777)
            / ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    }
    r -= 5.0;
    return -(((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150)
        / ((0.012258202635 * r + 0.24197894225) * r + 1.0);
}

fn quantile(prior: Prior, u: f32) -> f32 {
    var x = 0.0;
    if prior.kind < 1.5 {
        x = prior.a + u * prior.b;
    } else {
        let p = prior.below + u * prior.mass;
        if p <= 0.5 { x = prior.a + prior.b * lower_quantile(p); }
        else { x = prior.a - prior.b * lower_quantile(prior.above + (1.0 - u) * prior.mass); }
    }
    if prior.kind == 1.0 || prior.kind == 3.0 { x = exp(x); }
    // Written so that NaN stays NaN, for the model to report.
    if x < prior.lo { x = prior.lo; }
    if x > prior.hi { x = prior.hi; }
    return x;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    let start = (parameters.first_row + row) * parameters.free;
    for (var m = 0u; m < parameters.count; m++) {
        let entry = entries[m];
        var value = entry.offset;
        if entry.free >= 0 {
            let k = u32(entry.free);
            var x = theta[start + k];
            if parameters.physical == 0u { x = quantile(priors[k], x); }
            value = entry.scale * x + entry.offset;
        }
        full[m * parameters.stride + row] = value;
    }
}
