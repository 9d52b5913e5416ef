// bremss, zbremss: (g1 + 4 0.085 g2) e^(-E/kT) / (E sqrt(kT)). Gaunt factors: Born times polynomials in u = E/kT, or a table
// in the logarithms when the gas is cold for the charge. table: 3 powers x 7 gammas x 6 intervals, then 12 u x 7 gammas.

// column: lower gamma of the pair; fraction: place between the pair; mode: 0 Born alone, 1 polynomials, 2 cold.
struct Charge { mode: u32, column: u32, fraction: f32 }
struct Bremss { amplitude: f32, inverse: f32, ln_inverse: f32, first: u32, hydrogen: Charge, helium: Charge }

fn bremss_charge(kt: f32, z2: f32) -> Charge {
    let gamma = z2 * 13.58 / kt;
    if gamma > 100.0 {
        let place = 2.0 * 0.43429448 * log(gamma * 1e-3) + 2.0;
        let j = min(u32(max(place, 0.0)), 5u);
        return Charge(2u, j, place - f32(j));
    }
    if gamma < 1.0 {
        return Charge(0u, 0u, 0.0);
    }
    if gamma <= 1.7783 {
        return Charge(1u, 0u, (gamma - 1.0) / 0.7783);
    }
    if gamma <= 3.0 {
        return Charge(1u, 1u, (gamma - 1.7783) / 1.2217);
    }
    if gamma <= 5.6234 {
        return Charge(1u, 2u, (gamma - 3.0) / 2.6234);
    }
    if gamma <= 10.0 {
        return Charge(1u, 3u, (gamma - 5.6234) / 4.3766);
    }
    if gamma <= 30.0 {
        return Charge(1u, 4u, (gamma - 10.0) / 20.0);
    }
    return Charge(1u, 5u, (gamma - 30.0) / 70.0);
}

fn bremss_constants(kt: f32, norm: f32, z: f32, t: u32) -> Bremss {
    let k = max(kt, 1e-4);
    let amplitude = select(norm / sqrt(k) / z, 0.0, kt < 1e-4);
    return Bremss(amplitude, z / k, log(z / k), t, bremss_charge(k, 1.0), bremss_charge(k, 4.0));
}

fn bremss_setup(p: u32, t: u32) -> Bremss {
    return bremss_constants(par(p), par(p + 1u), 1.0, t);
}

fn zbremss_setup(p: u32, t: u32) -> Bremss {
    return bremss_constants(par(p), par(p + 2u), stretch(par(p + 1u)), t);
}

// 0.5513 e^(u/2) K0(u/2).
fn bremss_born(u: f32, ln_u: f32) -> f32 {
    let half = 0.5 * u;
    if half <= 2.0 {
        let t = half / 3.75;
        let s = t * t;
        let i0 = 1.0 + s * (3.5156229 + s * (3.0899424 + s * (1.2067492 + s * (0.2659732 + s * (0.0360768 + s * 0.0045813)))));
        let q = 0.25 * half * half;
        let series = -0.57721566 + q * (0.42278420 + q * (0.23069756 + q * (0.03488590 + q * (0.00262698
            + q * (0.00010750 + q * 0.0000074)))));
        return 0.5513 * safe_exp(half) * (series - (ln_u - 1.38629436) * i0);
    }
    let v = 2.0 / half;
    let far = 1.25331414 + v * (-0.07832358 + v * (0.02189568 + v * (-0.01062446 + v * (0.00587872
        + v * (-0.00251540 + v * 0.00053208)))));
    return 0.5513 * far / sqrt(half);
}

// Upper ends of the first five intervals of u.
fn bremss_end(n: u32) -> f32 {
    switch n {
        case 0u: { return 0.03; }
        case 1u: { return 0.3; }
        case 2u: { return 1.0; }
        case 3u: { return 5.0; }
        default: { return 15.0; }
    }
}

// Value and derivative by ln v.
fn bremss_polynomial(c: Charge, first: u32, n: u32, v: f32) -> vec2<f32> {
    let at = first + 6u * c.column + n;
    let a0 = mix(table(at), table(at + 6u), c.fraction);
    let a1 = mix(table(at + 42u), table(at + 48u), c.fraction);
    let a2 = mix(table(at + 84u), table(at + 90u), c.fraction);
    return vec2<f32>(a0 + v * (a1 + v * a2), v * (a1 + 2.0 * v * a2));
}

// The factor and its derivative by ln u at u, the middle of a bin of width `extent`; one that holds the end of an interval has the shares of
// both sides. Born's slope is good to a few hundredths where it matters.
fn bremss_gaunt(c: Charge, first: u32, u: f32, extent: f32, ln_u: f32, born: f32) -> vec2<f32> {
    let of_born = -0.5 * u / (u + 0.4);
    if c.mode == 0u {
        return vec2<f32>(born, born * of_born);
    }
    if c.mode == 2u {
        let place = 0.86858896 * ln_u + 8.0;
        let k = u32(clamp(place, 0.0, 10.0));
        let at = first + 126u + 7u * k + c.column;
        let low = mix(table(at), table(at + 1u), c.fraction);
        let high = mix(table(at + 7u), table(at + 8u), c.fraction);
        return vec2<f32>(low + (high - low) * (place - f32(k)), 0.86858896 * (high - low));
    }
    let lower = u - 0.5 * extent;
    let v = max(u, 0.003);
    var n = 0u;
    while n < 5u && bremss_end(n) <= lower {
        n++;
    }
    var value = bremss_polynomial(c, first, n, v);
    while n < 5u && bremss_end(n) < lower + extent {
        let above = clamp((u - bremss_end(n)) / extent + 0.5, 0.0, 1.0);
        n++;
        value = mix(value, bremss_polynomial(c, first, n, v), above);
    }
    return vec2<f32>(value.x, value.y + value.x * of_born) * born;
}

fn bremss_value(c: Bremss, i: u32) -> f32 {
    let x = centre(i) * c.inverse;
    let u = min(x, 50.0);
    let extent = width(i) * c.inverse;
    let ln_u = min(ln_mid(i) + c.ln_inverse, 3.912023);
    let born = bremss_born(u, ln_u);
    let gaunt = bremss_gaunt(c.hydrogen, c.first, u, extent, ln_u, born)
        + 0.34 * bremss_gaunt(c.helium, c.first, u, extent, ln_u, born);
    return log_integral(c.amplitude * gaunt.x * safe_exp(-x), gaunt.y / gaunt.x - x, -x, i);
}
