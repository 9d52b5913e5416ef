// diskbb: norm/361 Tin^3 x^(1/3) I(x) per ln E, x = E/Tin; ln I + x in cubic pieces over ln x from the table.

struct Disk { amplitude: f32, inverse: f32, ln_inverse: f32, first: u32 }

fn diskbb_setup(p: u32, t: u32) -> Disk {
    let tin = max(par(p), 1e-5);
    let amplitude = par(p + 1u) / 361.0 * tin * tin * tin;
    return Disk(select(amplitude, 0.0, par(p) < 1e-5), 1.0 / tin, -log(tin), t);
}

fn disk_value(c: Disk, i: u32) -> f32 {
    let x = centre(i) * c.inverse;
    let y = ln_mid(i) + c.ln_inverse;
    // 512 pieces from ln 1e-6 to ln 200.
    let step = 0.037331695;
    let place = clamp((y + 13.81551056) / step, 0.0, 511.999);
    let k = u32(place);
    let t = place - f32(k);
    let at = c.first + 4u * k;
    let c1 = table(at + 1u);
    let c2 = table(at + 2u);
    let c3 = table(at + 3u);
    let value = table(at) + t * (c1 + t * (c2 + t * c3));
    let slope = (c1 + t * (2.0 * c2 + 3.0 * c3 * t)) / step;
    let curvature = (2.0 * c2 + 6.0 * c3 * t) / (step * step);
    let peak = c.amplitude * safe_exp(y * (1.0 / 3.0) + value - x);
    return log_integral(peak, slope + 1.0 / 3.0 - x, curvature - x, i);
}
