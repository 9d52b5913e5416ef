// expabs, spexpcut: exp(-(E/Ecut)^alpha), mean of the edges' values.

struct PowerCut { ln_cut: f32, alpha: f32 }

fn powercut_new(cut: f32, alpha: f32) -> PowerCut {
    return PowerCut(log(max(cut, 1e-30)), alpha);
}

fn expabs_setup(p: u32, t: u32) -> PowerCut {
    return powercut_new(par(p), -1.0);
}

fn spexpcut_setup(p: u32, t: u32) -> PowerCut {
    return powercut_new(par(p), par(p + 1u));
}

fn powercut_at(c: PowerCut, ln_e: f32) -> f32 {
    return safe_exp(-safe_exp(c.alpha * (ln_e - c.ln_cut)));
}

fn powercut_value(c: PowerCut, i: u32) -> f32 {
    let half = 0.5 * log_width(i);
    return 0.5 * (powercut_at(c, ln_mid(i) - half) + powercut_at(c, ln_mid(i) + half));
}

// plabs: coef E^-index, mean over the bin.

struct PowerFactor { coefficient: f32, slope: f32 }

fn plabs_setup(p: u32, t: u32) -> PowerFactor {
    return PowerFactor(par(p + 1u), 1.0 - par(p));
}

fn powerfactor_value(c: PowerFactor, i: u32) -> f32 {
    let l = log_width(i);
    return c.coefficient * safe_exp(c.slope * ln_mid(i)) * l * sinhc(0.5 * c.slope * l) / width(i);
}

// expfac: 1 + amplitude e^(-factor E) above the start, mean over the bin.

struct Modification { amplitude: f32, rate: f32, start: f32 }

fn expfac_setup(p: u32, t: u32) -> Modification {
    return Modification(par(p), par(p + 1u), par(p + 2u));
}

fn modification_value(c: Modification, i: u32) -> f32 {
    let lo = edge_lo(i);
    let hi = edge_hi(i);
    let from_energy = clamp(c.start, lo, hi);
    let part = select(width(i), hi - from_energy, lo < from_energy);
    let mean = safe_exp(-c.rate * (hi - 0.5 * part)) * sinhc(0.5 * c.rate * part);
    return 1.0 + c.amplitude * mean * part / width(i);
}

// cabs: exp(-1.21 nH sigma_KN); below 511 keV the integral over the angle, where the closed form cancels.

struct Scattering { minus: f32 }

fn cabs_setup(p: u32, t: u32) -> Scattering {
    return Scattering(-par(p) * 0.0080465);
}

fn scattering_pair(x: f32, mu: f32, weight: f32) -> f32 {
    let p = 1.0 / (1.0 + x * (1.0 - mu));
    let q = 1.0 / (1.0 + x * (1.0 + mu));
    let rest = mu * mu - 1.0;
    return weight * (p * p * (p + 1.0 / p + rest) + q * q * (q + 1.0 / q + rest));
}

fn scattering_value(c: Scattering, i: u32) -> f32 {
    let x = (mid_hi(i) + mid_lo(i)) * 0.0019569512;
    var ratio = 0.0;
    if x < 1.0 {
        ratio = 0.375 * (scattering_pair(x, 0.18343464, 0.36268378) + scattering_pair(x, 0.52553241, 0.31370665)
            + scattering_pair(x, 0.79666648, 0.22238103) + scattering_pair(x, 0.96028986, 0.10122854));
    } else {
        let twice = 1.0 + 2.0 * x;
        let ln = log(twice);
        ratio = 0.75 * ((1.0 + x) / (x * x * x) * (2.0 * x * (1.0 + x) / twice - ln) + ln / (2.0 * x)
            - (1.0 + 3.0 * x) / (twice * twice));
    }
    return safe_exp(c.minus * ratio);
}

// dust: 1 - f/E^2 (1 - min(1, (E/h)^2)) as (1 + q) (E - r) (E + r)/E^2 below h; r in two parts.

struct Halo { size: f32, scale: f32, root: f32, root_low: f32 }

fn dust_setup(p: u32, t: u32) -> Halo {
    let f = max(par(p), 0.0);
    let h = max(par(p + 1u), 1e-6);
    let q = f / h / h;
    let root = sqrt(f / (1.0 + q));
    // f - (1 + q) r^2, exact but for the rounding of its terms.
    let square = product_parts(root, root);
    let rest = ((f - square.x) - q * square.x) - square.y;
    return Halo(h, 1.0 + q, root, rest / max(2.0 * (1.0 + q) * root, 1e-30));
}

fn halo_value(c: Halo, i: u32) -> f32 {
    let e = mid_hi(i) + mid_lo(i);
    let difference = (mid_hi(i) - c.root) + (mid_lo(i) - c.root_low);
    return select(1.0, c.scale * (difference / e) * ((e + c.root) / e), e < c.size);
}

// SSS_ice: clumps of thick and of thin ice.

struct Ice { clumps: f32, thick: f32, thin: f32 }

fn sss_ice_setup(p: u32, t: u32) -> Ice {
    let thick = (1.165 + 1.944 * par(p)) * 1e-4;
    return Ice(par(p), thick, thick / 26.68);
}

fn ice_value(c: Ice, i: u32) -> f32 {
    let e = mid_hi(i) + mid_lo(i);
    let sigma = select(213.0, 4860.0, e > 0.5317) * safe_exp(-2.84 * log(e));
    return safe_exp(c.clumps * (exp_m1(-sigma * c.thick) + 3.02 * exp_m1(-sigma * c.thin)));
}
