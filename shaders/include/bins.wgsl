// Numbers of an energy bin that follow from the accessors, and the integral in ln E that the continua share.

// Half the width over the middle: (hi - lo) / (hi + lo).
fn half_ratio(i: u32) -> f32 {
    return 0.5 * width(i) / mid_hi(i);
}

// ln(hi / lo) = 2 atanh(half_ratio).
fn log_width(i: u32) -> f32 {
    return log_extent(half_ratio(i));
}

// The same from half the width over the middle.
fn log_extent(r: f32) -> f32 {
    if r > 0.1 {
        return log((1.0 + r) / (1.0 - r));
    }
    let z = r * r;
    return 2.0 * r * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z / 7.0)));
}

// sqrt(lo hi).
fn centre(i: u32) -> f32 {
    let r = half_ratio(i);
    return mid_hi(i) * sqrt(1.0 - r * r);
}

// Integral over bin i of a density with E f(E) = peak at the geometric middle, logarithmic slope a, curvature b there.
fn log_integral(peak: f32, a: f32, b: f32, i: u32) -> f32 {
    return log_integral_over(peak, a, b, log_width(i));
}

// The same over a stretch of ln E.
fn log_integral_over(peak: f32, a: f32, b: f32, l: f32) -> f32 {
    let q = 0.5 * a * l;
    let correction = b * l * l * (1.0 / 24.0) * (1.0 + 0.3 * q * q);
    return peak * l * max(sinhc(q) + correction, 0.0);
}

// 1 + z, kept positive.
fn stretch(redshift: f32) -> f32 {
    return max(1.0 + redshift, 1e-3);
}

// First bin whose upper edge lies above an energy; `energies()` where there is none.
fn first_above(energy: f32) -> u32 {
    var low = 0u;
    var high = energies();
    while low < high {
        let middle = (low + high) / 2u;
        if edge_hi(middle) <= energy {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// The share of bin i above an energy, which is given in two parts.
fn share_above(i: u32, energy: f32, energy_low: f32) -> f32 {
    return clamp((0.5 * width(i) + ((mid_hi(i) - energy) + (mid_lo(i) - energy_low))) / width(i), 0.0, 1.0);
}
