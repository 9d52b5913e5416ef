// tbabs, phabs: exp(-nH sigma), sigma per bin from the table.

struct PerBin { minus: f32, first: u32 }

fn tbabs_setup(p: u32, t: u32) -> PerBin {
    return PerBin(-par(p), t);
}

fn phabs_setup(p: u32, t: u32) -> PerBin {
    return PerBin(-par(p), t);
}

fn perbin_value(c: PerBin, i: u32) -> f32 {
    return safe_exp(c.minus * table(c.first + i));
}
