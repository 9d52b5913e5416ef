// Cosine and sine of an angle, to the rounding of f32 as far as its quarter turns can be counted (Cephes' reduction and polynomials, S. Moshier).
// WGSL's own need not be closer than 4.9e-4, and SwiftShader's are 1.9e-4 off.
fn cos_sin(x: f32) -> vec2<f32> {
    let quarters = round(x * 0.63661977);
    let r = ((x - quarters * 1.5703125) - quarters * 4.8375130e-4) - quarters * 7.5497899e-8;
    let s = r * r;
    let sine = r + r * s * (-0.16666655 + s * (8.3321609e-3 - s * 1.9515296e-4));
    let cosine = 1.0 - 0.5 * s + s * s * (4.1666646e-2 + s * (-1.3887316e-3 + s * 2.4433157e-5));
    let turned = i32(quarters) & 3;
    let first = select(vec2<f32>(cosine, sine), vec2<f32>(-sine, cosine), (turned & 1) == 1);
    return select(first, -first, (turned & 2) == 2);
}
