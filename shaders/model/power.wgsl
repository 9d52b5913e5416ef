// powerlaw, zpowerlw: norm E^-G around the geometric middle of the bin.

struct Power { norm: f32, slope: f32 }

fn powerlaw_setup(p: u32, t: u32) -> Power {
    return Power(par(p + 1u), 1.0 - par(p));
}

fn zpowerlw_setup(p: u32, t: u32) -> Power {
    let index = par(p);
    return Power(par(p + 2u) * safe_exp(-index * log(stretch(par(p + 1u)))), 1.0 - index);
}

fn power_value(c: Power, i: u32) -> f32 {
    let l = log_width(i);
    return c.norm * safe_exp(c.slope * ln_mid(i)) * l * sinhc(0.5 * c.slope * l);
}
