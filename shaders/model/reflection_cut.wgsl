// A primary spectrum that is a power law with an exponential cut-off; see primary.rs.

var<private> reflection_primary: Cutoff;

// `amplitude`: photons/keV/cm2/s at 1 keV without redshift and cut-off.
fn reflection_continuum_setup(amplitude: f32, risen: f32, z: f32) {
    let slope = 1.0 - reflection_index();
    reflection_primary = Cutoff(amplitude * safe_exp(slope * log(z)), slope, z / reflection_cut());
}

// Photons in a bin; wide ones in parts.
fn reflection_continuum(ln_middle: f32, middle: f32, extent: f32) -> f32 {
    let c = reflection_primary;
    if c.norm == 0.0 {
        return 0.0;
    }
    let parts = ceil(extent / 0.02);
    let part = extent / parts;
    var sum = 0.0;
    for (var k = 0.0; k < parts; k += 1.0) {
        let away = (k + 0.5 - 0.5 * parts) * part;
        let x = middle * safe_exp(away) * c.inverse;
        sum += log_integral_over(c.norm, c.slope - x, -x, part) * safe_exp(c.slope * (ln_middle + away) - x);
    }
    return sum;
}
