// gsmooth, lsmooth: every source bin counts as a line at its middle; width(E) = Sig_6keV (E/6)^Index.

struct Smooth { at_six: f32, index: f32 }

fn gsmooth_setup(p: u32, t: u32, slot: u32) -> Smooth {
    return Smooth(par(p), par(p + 1u));
}

fn lsmooth_setup(p: u32, t: u32, slot: u32) -> Smooth {
    return Smooth(par(p), par(p + 1u));
}

fn smooth_width(c: Smooth, energy: f32) -> f32 {
    return max(c.at_six * safe_exp(c.index * log(energy / 6.0)), 1e-6 * energy);
}

fn smooth_distance(i: u32, k: u32) -> f32 {
    return (mid_hi(i) - mid_hi(k)) + (mid_lo(i) - mid_lo(k));
}

fn gsmooth_value(c: Smooth, slot: u32, i: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < energies(); k++) {
        let sigma = smooth_width(c, mid_hi(k));
        let u = abs(smooth_distance(i, k)) / sigma;
        let half = 0.5 * width(i) / sigma;
        let near = u - half;
        if near > 6.0 {
            continue;
        }
        var area = 0.0;
        if half < 0.15 {
            let q2 = u * half * u * half;
            let h2 = half * half;
            let second = 1.0 / 3.0 + q2 * (0.1 + q2 * (1.0 / 168.0 + q2 / 6480.0));
            let fourth = 0.2 + q2 * (1.0 / 14.0 + q2 / 216.0);
            let mean = sinhc(u * half) - 0.5 * h2 * second + 0.125 * h2 * h2 * fourth;
            area = safe_exp(-0.5 * u * u) * 0.79788456 * half * mean;
        } else {
            let a = 0.5 * erfc_positive(abs(near) * 0.70710678);
            let b = 0.5 * erfc_positive((u + half) * 0.70710678);
            area = select(a - b, 1.0 - a - b, near < 0.0);
        }
        let above_zero = 1.0 - 0.5 * erfc_positive(mid_hi(k) / sigma * 0.70710678);
        sum += source(slot, k) * area / above_zero;
    }
    return sum;
}

// Abramowitz & Stegun 4.4.49.
fn smooth_arctan(x: f32) -> f32 {
    let t = select(x, 1.0 / max(x, 1.0), x > 1.0);
    let s = t * t;
    let p = ((((((0.0028662257 * s - 0.0161657367) * s + 0.0429096138) * s - 0.0752896400) * s + 0.1065626393) * s
        - 0.1420889944) * s + 0.1999355085) * s - 0.3333314528;
    let angle = t + t * s * p;
    return select(angle, 1.5707963 - angle, x > 1.0);
}

fn lsmooth_value(c: Smooth, slot: u32, i: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < energies(); k++) {
        let inverse = 2.0 / smooth_width(c, mid_hi(k));
        let middle = smooth_distance(i, k) * inverse;
        let half = 0.5 * width(i) * inverse;
        let along = 1.0 + (middle + half) * (middle - half);
        let angle = smooth_arctan(2.0 * half / max(abs(along), 1e-30));
        let span = select(angle, 3.1415927 - angle, along < 0.0);
        sum += source(slot, k) * span / (1.5707963 + smooth_arctan(mid_hi(k) * inverse));
    }
    return sum;
}
