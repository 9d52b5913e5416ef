// xillver: the numbers of a slab seen at one angle, as a zone; see reflection.wgsl.

fn reflection_slab_setup() {
}

fn reflection_slab(i: u32) -> f32 {
    let cosine = reflection_sine_cosine(reflection_tilt()).y;
    let place = reflection_place(5u, reflection_tilt());
    if i < REFLECTION_DIRECTIONS {
        let share = select(0.0, 1.0 - place.share, i == place.low) + select(0.0, place.share, i == place.low + 1u);
        return 0.5 * cosine * abs(reflection_fraction()) * share;
    }
    let number = i - REFLECTION_DIRECTIONS;
    let cut = reflection_place(4u, reflection_cut());
    if number == REFLECTION_CUT_LOW { return f32(cut.low); }
    if number == REFLECTION_CUT_SHARE { return cut.share; }
    if number == REFLECTION_FACTOR {
        let held = reflection_corners() && reflection_holds(4u, reflection_cut());
        return select(reflection_nan(cut.low), 1.0, held);
    }
    if number == REFLECTION_PHOTONS || number == REFLECTION_CONTINUUM || number == REFLECTION_RISEN { return 1.0; }
    return 0.0;
}
