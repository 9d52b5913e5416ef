// The amounts of reflection and of the primary spectrum; see evaluate.rs. The text in front defines reflection_continuum_setup and reflection_continuum:
// the primary spectrum in a bin of ln E.

// Sets the primary spectrum up; returns what the zones' spectra are multiplied by.
fn reflection_source_setup() -> f32 {
    var factor = reflection_zone_number(0u, REFLECTION_FACTOR);
    if REFLECTION_BROKEN {
        var all = 0.0;
        for (var zone = 0u; zone < REFLECTION_ZONES; zone++) {
            all += reflection_zone_number(zone, REFLECTION_PHOTONS);
        }
        factor /= max(all, 1e-37);
    }
    let risen = reflection_zone_number(0u, REFLECTION_RISEN);
    // Of the source, in its own frame.
    let cut = reflection_cut() * select(risen, 1.0, REFLECTION_COMPTONISED);
    let energy = reflection_ln_energy(reflection_index(), cut);
    let amplitude = reflection_zone_number(0u, REFLECTION_CONTINUUM) * REFLECTION_ENERGY * safe_exp(-energy);
    reflection_continuum_setup(select(0.0, amplitude, reflection_fraction() >= 0.0), risen, 1.0 + max(reflection_redshift(), -0.999));
    return factor;
}
