// Functions that WGSL lacks or leaves inaccurate. Nothing here relies on a fused multiply-add, an infinity or a
// denormal; the coefficients are those of crates/rontgen-model/src/model/real.rs.

// e^x, 0 where it would underflow and finite where it would overflow.
fn safe_exp(x: f32) -> f32 {
    return select(exp(clamp(x, -87.0, 88.0)), 0.0, x < -87.0);
}

// scale e^x; the scale is kept finite, for the exponential may be zero.
fn scaled_exp(scale: f32, x: f32) -> f32 {
    return select(scale, 1e37, scale > 1e37) * safe_exp(x);
}

// e^x - 1 without cancellation near 0.
fn exp_m1(x: f32) -> f32 {
    let c = clamp(x, -87.0, 88.0);
    let n = round(c * 1.442695041);
    let r = (c - n * 0.693359375) + n * 2.12194440e-4;
    var p = r * (1.0 / 5040.0) + (1.0 / 720.0);
    p = p * r + (1.0 / 120.0);
    p = p * r + (1.0 / 24.0);
    p = p * r + (1.0 / 6.0);
    p = p * r + 0.5;
    p = p * r * r + r;
    let scale = bitcast<f32>((i32(n) + 127) << 23u);
    return scale * p + (scale - 1.0);
}

// ln(1 + x) for x > -1.
fn log_1p(x: f32) -> f32 {
    if abs(x) > 0.3 {
        return log(1.0 + x);
    }
    // 2 atanh(x / (2 + x))
    let s = x / (2.0 + x);
    let z = s * s;
    return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0)))));
}

// erfc(x) for x >= 0, relatively accurate until it underflows.
fn erfc_positive(x: f32) -> f32 {
    let c = min(x, 10.0);
    let s = ((c - 3.0) / (c + 3.0) + 0.23076923) * 1.3;
    var p = -2.01848792e-5;
    p = p * s - 1.49747921e-5;
    p = p * s + 3.66442803e-4;
    p = p * s - 3.54382804e-4;
    p = p * s - 5.03947396e-3;
    p = p * s + 2.76078889e-2;
    p = p * s - 7.62344821e-2;
    p = p * s + 1.28418357e-1;
    p = p * s - 1.09384309e-1;
    p = p * s - 6.6176466e-2;
    p = p * s + 1.27979243;
    return safe_exp(-c * c) * p / (1.0 + 2.0 * c);
}

// sinh(q)/q.
fn sinhc(q: f32) -> f32 {
    let a = abs(q);
    if a > 2.0 {
        return safe_exp(a) * (1.0 - safe_exp(-2.0 * a)) / (2.0 * a);
    }
    let s = q * q;
    return 1.0 + s / 6.0 * (1.0 + s / 20.0 * (1.0 + s / 42.0 * (1.0 + s / 72.0 * (1.0 + s / 110.0 * (1.0 + s / 156.0)))));
}

// What q = a / b (rounded) is short of the quotient of a and b + b_low. Products are made exact by halving the
// mantissas with a bit mask, which no compiler can optimise away.
fn quotient_rest(a: f32, b: f32, b_low: f32, q: f32) -> f32 {
    let b_high = bitcast<f32>(bitcast<u32>(b) & 0xfffff000u);
    let b_rest = b - b_high;
    let q_high = bitcast<f32>(bitcast<u32>(q) & 0xfffff000u);
    let q_rest = q - q_high;
    let rest = ((a - q_high * b_high) - q_high * b_rest) - q_rest * b_high;
    return (rest - q_rest * b_rest - q * b_low) / b;
}

// a b as a rounded product and what it is short of the exact one; as in quotient_rest.
fn product_parts(a: f32, b: f32) -> vec2<f32> {
    let a_high = bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
    let a_rest = a - a_high;
    let b_high = bitcast<f32>(bitcast<u32>(b) & 0xfffff000u);
    let b_rest = b - b_high;
    let product = a * b;
    let rest = (((a_high * b_high - product) + a_high * b_rest) + a_rest * b_high) + a_rest * b_rest;
    return vec2<f32>(product, rest);
}

// The cubic through four values at equal steps, `t` steps past the second: value, first and second derivative by steps.
fn four_point(f0: f32, f1: f32, f2: f32, f3: f32, t: f32) -> vec3<f32> {
    let c1 = f2 - 0.5 * f1 - f0 / 3.0 - f3 / 6.0;
    let c2 = 0.5 * (f0 + f2) - f1;
    let c3 = (f3 - f0) / 6.0 + 0.5 * (f1 - f2);
    return vec3<f32>(f1 + t * (c1 + t * (c2 + c3 * t)), c1 + t * (2.0 * c2 + 3.0 * c3 * t), 2.0 * c2 + 6.0 * c3 * t);
}

// arctan(x) for x >= 0, to 2e-8 (Abramowitz & Stegun 4.4.49).
fn arctan_positive(x: f32) -> f32 {
    let t = select(x, 1.0 / max(x, 1.0), x > 1.0);
    let s = t * t;
    let p = ((((((0.0028662257 * s - 0.0161657367) * s + 0.0429096138) * s - 0.0752896400) * s + 0.1065626393) * s
        - 0.1420889944) * s + 0.1999355085) * s - 0.3333314528;
    let angle = t + t * s * p;
    return select(angle, 1.5707963 - angle, x > 1.0);
}

// arctan(middle + half) - arctan(middle - half), without their cancellation.
fn arctan_span(middle: f32, half: f32) -> f32 {
    let along = 1.0 + (middle + half) * (middle - half);
    let angle = arctan_positive(2.0 * half / max(abs(along), 1e-30));
    return select(angle, 3.1415927 - angle, along < 0.0);
}

// Area of the normal distribution over u - half .. u + half, u >= 0: a series for narrow bins, else a difference of tails.
fn normal_area(u: f32, half: f32) -> f32 {
    if half < 0.15 {
        let q2 = u * half * u * half;
        let h2 = half * half;
        let second = 1.0 / 3.0 + q2 * (0.1 + q2 * (1.0 / 168.0 + q2 / 6480.0));
        let fourth = 0.2 + q2 * (1.0 / 14.0 + q2 / 216.0);
        let mean = sinhc(u * half) - 0.5 * h2 * second + 0.125 * h2 * h2 * fourth;
        return safe_exp(-0.5 * u * u) * 0.79788456 * half * mean;
    }
    let a = 0.5 * erfc_positive(abs(u - half) * 0.70710678);
    let b = 0.5 * erfc_positive((u + half) * 0.70710678);
    return select(a - b, 1.0 - a - b, u < half);
}

// ln Gamma(x), x > 0: Stirling's series beyond 8, carried there by the recurrence.
fn ln_gamma(x: f32) -> f32 {
    var z = x;
    var product = 1.0;
    for (var k = 0u; k < 8u && z < 8.0; k++) {
        product *= z;
        z += 1.0;
    }
    let s = 1.0 / (z * z);
    return (z - 0.5) * log(z) - z + 0.91893853 + (1.0 / 12.0 - s * (1.0 / 360.0 - s / 1260.0)) / z - log(product);
}
