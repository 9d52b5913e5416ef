// A Comptonised primary spectrum; see primary.rs.

var<private> reflection_primary: Thermal;
var<private> reflection_primary_room: Room;
var<private> reflection_amount: f32;

// `amplitude`: photons/keV/cm2/s at 1 keV without redshift; `risen`: energies at the source over those far away.
fn reflection_continuum_setup(amplitude: f32, risen: f32, z: f32) {
    reflection_amount = 0.0;
    if amplitude == 0.0 {
        return;
    }
    reflection_primary = thermal_new(reflection_index(), reflection_cut(), REFLECTION_SEEDS, true, 1.0, 1.0, &reflection_primary_room);
    let moved = z * risen;
    reflection_primary.ln_first -= log(moved);
    reflection_amount = amplitude * z * safe_exp(reflection_index() * log(risen)) / (moved * moved);
}

fn reflection_continuum(ln_middle: f32, middle: f32, extent: f32) -> f32 {
    if reflection_amount == 0.0 {
        return 0.0;
    }
    return reflection_amount * thermal_photons(reflection_primary, &reflection_primary_room, ln_middle, extent);
}
