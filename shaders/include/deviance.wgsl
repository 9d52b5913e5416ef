// d ln(d/m) - (d - m) for d, m > 0, given the difference d - m as exactly as it is known. Half of a bin's C-STAT.
// Near d = m the terms cancel: there the series in v = (d - m)/(d + m) (Loader 2000, "Fast and accurate computation of binomial
// probabilities") is used; the logarithm only where |v| > 1/4. Mirrors kernels::vector::half_deviance.
fn half_deviance(d: f32, m: f32, difference: f32) -> f32 {
    let v = difference / (d + m);
    let w = v * v;
    let series = w * (0.33333334 + w * (0.2 + w * (0.14285715 + w * (0.11111111 + w * (0.09090909 + w * 0.07692308)))));
    if abs(v) < 0.25 { return difference * v + 2.0 * d * v * series; }
    // The quotient of a count and a floored mean overflows: there by 2^64 less.
    let floored = m < 1e-20;
    let scaled = m * select(1.0, 18446744073709551616.0, floored);
    let logarithm = log(d / scaled) + select(0.0, 44.36142, floored);
    return d * logarithm - difference;
}
