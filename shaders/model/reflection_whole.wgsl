// A disc's reflection and the primary spectrum in cells: bins are taken of their sum, as the parabolas of narrow lines depend on what is beside them.

var<private> reflection_factor: f32;
var<private> reflection_first: f32;

fn reflection_whole_setup() {
    reflection_factor = reflection_source_setup();
    reflection_first = REFLECTION_LN_FIRST - log_1p(max(reflection_redshift(), -0.999));
}

// Photons per norm in cell i of those that come out.
fn reflection_whole(i: u32) -> f32 {
    if i >= REFLECTION_OUT {
        return 0.0;
    }
    let ln_middle = reflection_first + REFLECTION_STEP * (f32(i) + 0.5);
    return reflection_factor * source(REFLECTION_SUM_SLOT, i) + reflection_continuum(ln_middle, safe_exp(ln_middle), REFLECTION_STEP);
}
