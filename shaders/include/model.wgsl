// What the text of a model's stage reads: a spectrum's parameters and the energy bins. Needs `launch` and the three arrays.
var<private> current_spectrum: u32;

fn par(k: u32) -> f32 { return parameter_values[k * launch.stride + current_spectrum]; }
fn edge_lo(i: u32) -> f32 { return bin_values[i * {{COLUMNS}}]; }
fn width(i: u32) -> f32 { return bin_values[i * {{COLUMNS}} + 1u]; }
fn mid_hi(i: u32) -> f32 { return bin_values[i * {{COLUMNS}} + 2u]; }
fn mid_lo(i: u32) -> f32 { return bin_values[i * {{COLUMNS}} + 3u]; }
fn ln_mid(i: u32) -> f32 { return bin_values[i * {{COLUMNS}} + 4u]; }
fn edge_hi(i: u32) -> f32 { return bin_values[i * {{COLUMNS}} + 7u]; }
fn table(k: u32) -> f32 { return table_values[k]; }
fn energies() -> u32 { return launch.energies; }
