// Photons times area, where a response with another gain sees them: out[i][s] = C(E_(i+1)/slope - offset) - C(E_i/slope - offset), C the
// photons of spectrum s below an energy times their area (E/E0)^tilt, a cubic through four edges. Energy-major, spectra along the columns.
// One invocation: one spectrum x a run of energies. Places are kept relative to the edge below, as f32 holds no absolute ones finely enough.
struct Parameters { stride: u32, rows: u32, energies: u32, run: u32, first: u32 }
// lo, width: of the bin [keV]; log_ratio: ln(E/E0) at its middle; inverse: 1/width; pair: 1/(width + next); triple: 1/(before + width + next).
struct Cell { lo: f32, width: f32, area: f32, log_ratio: f32, inverse: f32, pair: f32, triple: f32, spare: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> flux: array<f32>;
@group(0) @binding(2) var<storage, read> full: array<f32>;
@group(0) @binding(3) var<storage, read> cells: array<Cell>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

fn seen(bin: u32, spectrum: u32, tilt: f32) -> f32 {
    if bin >= parameters.energies { return 0.0; }
    return flux[bin * parameters.stride + spectrum] * cells[bin].area * exp(tilt * cells[bin].log_ratio);
}

// Photons of bin j below `place` from its lower edge; `near`: those of the bins j - 1, j, j + 1.
fn below(j: u32, place: f32, near: vec3<f32>) -> f32 {
    let cell = cells[j];
    var r = place;
    // Written so that NaN stays NaN.
    if r < 0.0 { r = 0.0; }
    if r > cell.width { r = cell.width; }
    let density = near.y * cell.inverse;
    var sum = density * r;
    if j > 0u && j + 1u < parameters.energies {
        let before = cells[j - 1u];
        let left = (density - near.x * before.inverse) * before.pair;
        let right = (near.z * cells[j + 1u].inverse - density) * cell.pair;
        sum += r * (r - cell.width) * (left + (r + before.width) * (right - left) * cell.triple);
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let spectrum = id.x;
    let start = id.y * parameters.run;
    if spectrum >= parameters.rows || start >= parameters.energies { return; }
    let place = parameters.first + spectrum;
    let slope = full[place];
    let offset = full[place + parameters.stride];
    let tilt = full[place + 2u * parameters.stride];
    let step = 1.0 / slope;
    // Where the lower edge of the run lies: r above the lower edge of bin j.
    var j = start;
    var r = cells[start].lo * ((1.0 - slope) / slope) - offset;
    while r < 0.0 && j > 0u {
        j -= 1u;
        r += cells[j].width;
    }
    while r >= cells[j].width && j + 1u < parameters.energies {
        r -= cells[j].width;
        j += 1u;
    }
    // Of bin 0 the one before wraps around to a number beyond the last.
    var near = vec3<f32>(seen(j - 1u, spectrum, tilt), seen(j, spectrum, tilt), seen(j + 1u, spectrum, tilt));
    var lower = below(j, r, near);
    for (var i = start; i < min(start + parameters.run, parameters.energies); i++) {
        r += cells[i].width * step;
        var whole = 0.0;
        while r >= cells[j].width && j + 1u < parameters.energies {
            whole += near.y;
            r -= cells[j].width;
            j += 1u;
            near = vec3<f32>(near.y, near.z, seen(j + 1u, spectrum, tilt));
        }
        let upper = below(j, r, near);
        out[i * parameters.stride + spectrum] = whole + (upper - lower);
        lower = upper;
    }
}
