// redden: Cardelli, Clayton & Mathis 1989, R_V = 3.1; mean of the edges' values with the weights E^2, 1 beyond 11 per micron (hc as XSPEC
// has it here, and its exponent).

struct Milky { minus: f32 }

fn redden_setup(p: u32, t: u32) -> Milky {
    return Milky(-0.9166341 * par(p));
}

fn milky_curve(x: f32) -> f32 {
    if x < 1.1 {
        return (3.1 * 0.574 - 0.527) * safe_exp(1.61 * log(x));
    }
    if x < 3.3 {
        let y = x - 1.82;
        let a = 1.0 + y * (0.17699 + y * (-0.50447 + y * (-0.02427 + y * (0.72085 + y * (0.01979 + y * (-0.7753 + y * 0.32999))))));
        let b = y * (1.41338 + y * (2.28305 + y * (1.07233 + y * (-5.38434 + y * (-0.62251 + y * (5.3026 - y * 2.09002))))));
        return 3.1 * a + b;
    }
    if x < 8.0 {
        let far = max(x - 5.9, 0.0);
        let a = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) * (x - 4.67) + 0.341) - far * far * (0.04473 + 0.009779 * far);
        let b = -3.09 + 1.825 * x + 1.206 / ((x - 4.62) * (x - 4.62) + 0.263) + far * far * (0.213 + 0.1207 * far);
        return 3.1 * a + b;
    }
    let v = x - 8.0;
    let a = -1.073 + v * (-0.628 + v * (0.137 - 0.07 * v));
    let b = 13.67 + v * (4.257 + v * (-0.42 + 0.374 * v));
    return 3.1 * a + b;
}

fn milky_at(c: Milky, e: f32) -> f32 {
    let x = e * 806.69226;
    if x >= 11.0 {
        return 1.0;
    }
    return safe_exp(c.minus * milky_curve(x));
}

fn milky_value(c: Milky, i: u32) -> f32 {
    let ratio = edge_lo(i) / edge_hi(i);
    let low = ratio * ratio;
    return (low * milky_at(c, edge_lo(i)) + milky_at(c, edge_hi(i))) / (1.0 + low);
}

// uvred: Seaton 1979, 2.7 to 10 per micron; the value at the middle.

struct Seaton { minus: f32 }

fn uvred_setup(p: u32, t: u32) -> Seaton {
    return Seaton(-0.921034037 * par(p));
}

fn seaton_value(c: Seaton, i: u32) -> f32 {
    // hc as XSPEC has it here.
    let x = (mid_hi(i) + mid_lo(i)) * 806.54658;
    if x < 2.7 || x > 10.0 {
        return 1.0;
    }
    var curve = 16.17 + x * (-3.2 + 0.2975 * x);
    let bump = 1.01 / ((x - 4.6) * (x - 4.6) + 0.28);
    if x < 3.65 {
        curve = 1.56 + 1.048 * x + bump;
    } else if x < 7.14 {
        curve = 2.29 + 0.848 * x + bump;
    }
    return safe_exp(c.minus * curve);
}

// zdust: Pei 1992; means as in redden, 1 beyond 12.5 per micron in the source's frame.

struct Pei { minus: f32, stretch: f32, galaxy: u32 }

fn zdust_setup(p: u32, t: u32) -> Pei {
    return Pei(-0.9166341 * par(p + 1u) * (1.0 + par(p + 2u)), stretch(par(p + 3u)), u32(clamp(par(p), 1.0, 3.0)) - 1u);
}

fn pei_term(ln: f32, strength: f32, wavelength: f32, constant: f32, exponent: f32) -> f32 {
    let p = max(safe_exp((ln - log(wavelength)) * exponent), 1e-30);
    return strength / (p + 1.0 / p + constant);
}

fn pei_at(c: Pei, e: f32) -> f32 {
    if e * c.stretch >= 0.01549537625 {
        return 1.0;
    }
    let ln = log(1.2396301e-3 / (e * c.stretch));
    var curve = 0.0;
    if c.galaxy == 0u {
        curve = pei_term(ln, 165.0, 0.047, 90.0, 2.0) + pei_term(ln, 14.0, 0.08, 4.0, 6.5)
            + pei_term(ln, 0.045, 0.22, -1.95, 2.0) + pei_term(ln, 0.002, 9.7, -1.95, 2.0)
            + pei_term(ln, 0.002, 18.0, -1.8, 2.0) + pei_term(ln, 0.012, 25.0, 0.0, 2.0);
    } else if c.galaxy == 1u {
        curve = pei_term(ln, 175.0, 0.046, 90.0, 2.0) + pei_term(ln, 19.0, 0.08, 5.5, 4.5)
            + pei_term(ln, 0.023, 0.22, -1.95, 2.0) + pei_term(ln, 0.005, 9.7, -1.95, 2.0)
            + pei_term(ln, 0.006, 18.0, -1.8, 2.0) + pei_term(ln, 0.02, 25.0, 0.0, 2.0);
    } else {
        curve = pei_term(ln, 185.0, 0.042, 90.0, 2.0) + pei_term(ln, 27.0, 0.08, 5.5, 4.0)
            + pei_term(ln, 0.005, 0.22, -1.95, 2.0) + pei_term(ln, 0.01, 9.7, -1.95, 2.0)
            + pei_term(ln, 0.012, 18.0, -1.8, 2.0) + pei_term(ln, 0.03, 25.0, 0.0, 2.0);
    }
    return safe_exp(c.minus * curve);
}

fn pei_value(c: Pei, i: u32) -> f32 {
    let ratio = edge_lo(i) / edge_hi(i);
    let low = ratio * ratio;
    return (low * pei_at(c, edge_lo(i)) + pei_at(c, edge_hi(i))) / (1.0 + low);
}
