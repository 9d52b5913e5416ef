// One stage of a spectral model on a tile of spectra: the wrapper around the text that the model generates (see model::Stage).
// Lanes run along the spectra, each invocation over a run of energies, so that what depends on the spectrum only is computed
// once; the flux is written energy-major.
//!include status
struct Launch { stride: u32, rows: u32, energies: u32, run: u32, slot: u32, first_row: u32, numbers: u32 }
@group(0) @binding(0) var<uniform> launch: Launch;
@group(0) @binding(1) var<storage, read> parameter_values: array<f32>;
@group(0) @binding(2) var<storage, read> bin_values: array<f32>;
@group(0) @binding(3) var<storage, read> table_values: array<f32>;
@group(0) @binding(4) var<storage, read_write> flux_values: array<f32>;
//!if SLOTS
@group(0) @binding(5) var<storage, read_write> slot_values: array<f32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;
//!end
//!if PLAIN
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;
//!end

//!include model
//!if SLOTS
fn source(slot: u32, i: u32) -> f32 {
    return slot_values[(slot * launch.energies + i) * launch.stride + current_spectrum];
}
//!end
//!if PLAIN
fn source(slot: u32, i: u32) -> f32 { return 0.0; }
//!end

{{STAGE}}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= launch.rows { return; }
    current_spectrum = id.x;
    stage_setup();
    let first = id.y * launch.run;
    let last = min(first + launch.run, launch.numbers);
    var bad = false;
    for (var i = first; i < last; i++) {
        let value = stage_bin(i);
//!if LAST
        bad = bad || !is_finite(value) || value < 0.0;
        flux_values[i * launch.stride + id.x] = value;
//!end
//!if EARLIER
        slot_values[(launch.slot * launch.energies + i) * launch.stride + id.x] = value;
//!end
    }
    if bad { raise(FAULT_MODEL, launch.first_row + id.x); }
}
