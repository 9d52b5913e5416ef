// The built-in tanh loses relative accuracy near 0 and may overflow far out; mirrors kernels::maths::tanh.
fn tanh_accurate(x: f32) -> f32 {
    let s = x * x;
    var series = 0.0035921197;
    series = series * s - 0.008863236;
    series = series * s + 0.021869488;
    series = series * s - 0.053968254;
    series = series * s + 0.13333334;
    series = series * s - 0.33333334;
    let near = x + x * s * series;
    let far = sign(x) * (1.0 - 2.0 / (exp(2.0 * min(abs(x), 20.0)) + 1.0));
    return select(far, near, abs(x) < 0.4);
}
