// bbody, bbodyrad, zbbody: amplitude E^2 / (e^(E/kT) - 1).

struct Body { amplitude: f32, inverse: f32 }

fn body(amplitude: f32, kt: f32) -> Body {
    return Body(select(amplitude, 0.0, kt < 1e-5), 1.0 / max(kt, 1e-5));
}

fn bbody_setup(p: u32, t: u32) -> Body {
    let kt = max(par(p), 1e-5);
    let square = kt * kt;
    return body(8.0525 * par(p + 1u) / square / square, par(p));
}

fn bbodyrad_setup(p: u32, t: u32) -> Body {
    return body(1.0344e-3 * par(p + 1u), par(p));
}

fn zbbody_setup(p: u32, t: u32) -> Body {
    let kt = max(par(p), 1e-5);
    let square = kt * kt;
    let z = stretch(par(p + 1u));
    return body(8.0525 * par(p + 2u) * z * z / square / square, par(p) / z);
}

fn body_value(c: Body, i: u32) -> f32 {
    let e = centre(i);
    let x = e * c.inverse;
    var occupation = 0.0;
    if x < 87.0 {
        occupation = 1.0 / exp_m1(x);
    }
    let g = occupation + 1.0;
    return log_integral(c.amplitude * e * e * e * occupation, 3.0 - x * g, x * g * (x * occupation - 1.0), i);
}
