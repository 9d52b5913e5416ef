// powerlaw, zpowerlw: norm E^-G around the geometric middle of the bin.

struct Power { norm: f32, slope: f32 }

fn powerlaw_setup(p: u32, t: u32) -> Power {
    return Power(par(p + 1u), 1.0 - par(p));
}

fn zpowerlw_setup(p: u32, t: u32) -> Power {
    let index = par(p);
    return Power(par(p + 2u) * safe_exp(-index * log(stretch(par(p + 1u)))), 1.0 - index);
}

// The energy flux between eMin and eMax (1e-12 erg/cm2/s), or the flux density where they are equal (micro-Jansky).
fn pegpwrlw_setup(p: u32, t: u32) -> Power {
    let index = par(p);
    let low = clamp(min(par(p + 1u), par(p + 2u)), 1e-3, 1e6);
    let high = clamp(max(par(p + 1u), par(p + 2u)), 1e-3, 1e6);
    if low == high {
        return Power(par(p + 3u) * 1.5091902e-3 * safe_exp((index - 1.0) * log(low)), 1.0 - index);
    }
    let slope = 2.0 - index;
    let ratio = log(high / low);
    let flux = safe_exp(slope * 0.5 * (log(low) + log(high))) * ratio * sinhc(0.5 * slope * ratio);
    return Power(par(p + 3u) * 6.2415091e-4 / flux, 1.0 - index);
}

fn power_exponent(c: Power, i: u32) -> f32 { return c.slope * ln_mid(i); }

fn power_scale(c: Power, i: u32) -> f32 {
    let l = log_width(i);
    return c.norm * l * sinhc(0.5 * c.slope * l);
}

fn power_value(c: Power, i: u32) -> f32 {
    return power_scale(c, i) * safe_exp(power_exponent(c, i));
}

// cutoffpl, zcutoffpl: norm E^-G e^(-E/cutoff).

struct Cutoff { norm: f32, slope: f32, inverse: f32 }

fn cutoffpl_setup(p: u32, t: u32) -> Cutoff {
    return Cutoff(par(p + 2u), 1.0 - par(p), 1.0 / max(par(p + 1u), 1e-6));
}

fn zcutoffpl_setup(p: u32, t: u32) -> Cutoff {
    let z = stretch(par(p + 2u));
    let norm = par(p + 3u) * safe_exp(-par(p) * log(z));
    return Cutoff(norm, 1.0 - par(p), 1.0 / max(par(p + 1u) / z, 1e-6));
}

fn cutoff_exponent(c: Cutoff, i: u32) -> f32 { return c.slope * ln_mid(i) - centre(i) * c.inverse; }

fn cutoff_scale(c: Cutoff, i: u32) -> f32 {
    let x = centre(i) * c.inverse;
    return log_integral(c.norm, c.slope - x, -x, i);
}

fn cutoff_value(c: Cutoff, i: u32) -> f32 {
    return cutoff_scale(c, i) * safe_exp(cutoff_exponent(c, i));
}

// bknpower: the parts of the bin below and above the break, each around its own middle.

struct Broken { norm: f32, norm_above: f32, slope: f32, slope_above: f32, ln_break: f32 }

fn bknpower_setup(p: u32, t: u32) -> Broken {
    let ln_break = log(max(par(p + 1u), 1e-3));
    let above = par(p + 3u) * safe_exp((par(p + 2u) - par(p)) * ln_break);
    return Broken(par(p + 3u), above, 1.0 - par(p), 1.0 - par(p + 2u), ln_break);
}

fn zbknpower_setup(p: u32, t: u32) -> Broken {
    let ln_z = log(stretch(par(p + 3u)));
    let ln_break = max(log(max(par(p + 1u), 1e-30)) - ln_z, -6.9077553);
    let norm = par(p + 4u) * safe_exp(-par(p) * ln_z);
    let above = norm * safe_exp((par(p + 2u) - par(p)) * ln_break);
    return Broken(norm, above, 1.0 - par(p), 1.0 - par(p + 2u), ln_break);
}

fn broken_part(norm: f32, slope: f32, extent: f32, middle: f32) -> f32 {
    return norm * safe_exp(slope * middle) * extent * sinhc(0.5 * slope * extent);
}

fn broken_value(c: Broken, i: u32) -> f32 {
    let l = log_width(i);
    let y = ln_mid(i);
    let below = clamp(c.ln_break - y + 0.5 * l, 0.0, l);
    let above = l - below;
    return broken_part(c.norm, c.slope, below, y - 0.5 * above)
        + broken_part(c.norm_above, c.slope_above, above, y + 0.5 * below);
}

// bkn2pow: three parts.

struct TwiceBroken { norm: f32, norm1: f32, norm2: f32, slope: f32, slope1: f32, slope2: f32, ln_break1: f32, ln_break2: f32 }

fn bkn2pow_setup(p: u32, t: u32) -> TwiceBroken {
    let first = log(max(par(p + 1u), 1e-3));
    let second = max(log(max(par(p + 3u), 1e-3)), first);
    let norm = par(p + 5u);
    let norm1 = norm * safe_exp((par(p + 2u) - par(p)) * first);
    let norm2 = norm * safe_exp((par(p + 2u) - par(p)) * first + (par(p + 4u) - par(p + 2u)) * second);
    return TwiceBroken(norm, min(norm1, 1e30), min(norm2, 1e30), 1.0 - par(p), 1.0 - par(p + 2u), 1.0 - par(p + 4u), first,
        second);
}

fn twicebroken_value(c: TwiceBroken, i: u32) -> f32 {
    let l = log_width(i);
    let low = ln_mid(i) - 0.5 * l;
    let a = clamp(c.ln_break1 - low, 0.0, l);
    let b = clamp(c.ln_break2 - low, 0.0, l);
    return broken_part(c.norm, c.slope, a, low + 0.5 * a) + broken_part(c.norm1, c.slope1, b - a, low + 0.5 * (a + b))
        + broken_part(c.norm2, c.slope2, l - b, low + 0.5 * (b + l));
}

// logpar: norm (E/pivot)^(-alpha - beta log10(E/pivot)).

struct LogParabola { norm: f32, slope: f32, bend: f32, ln_pivot: f32 }

fn logpar_setup(p: u32, t: u32) -> LogParabola {
    let pivot = max(abs(par(p + 2u)), 1e-6);
    return LogParabola(par(p + 3u) * pivot, 1.0 - par(p), -par(p + 1u) * 0.43429448, log(pivot));
}

fn zlogpar_setup(p: u32, t: u32) -> LogParabola {
    let pivot = max(abs(par(p + 2u) / stretch(par(p + 3u))), 1e-6);
    return LogParabola(par(p + 4u) * pivot, 1.0 - par(p), -par(p + 1u) * 0.43429448, log(pivot));
}

fn logparabola_value(c: LogParabola, i: u32) -> f32 {
    let y = ln_mid(i) - c.ln_pivot;
    return log_integral(c.norm * safe_exp(y * (c.slope + c.bend * y)), c.slope + 2.0 * c.bend * y, 2.0 * c.bend, i);
}

// expdec: norm e^(-factor E).

struct Decay { norm: f32, rate: f32 }

fn expdec_setup(p: u32, t: u32) -> Decay {
    return Decay(par(p + 1u), par(p));
}

fn decay_value(c: Decay, i: u32) -> f32 {
    return c.norm * safe_exp(-c.rate * (mid_hi(i) + mid_lo(i))) * width(i) * sinhc(0.5 * c.rate * width(i));
}
