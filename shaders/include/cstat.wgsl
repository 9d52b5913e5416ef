// What the kernels of C-STAT share: a bin's half, and the sum of 64 lanes in a fixed order.
const CEILING: f32 = 1e30;
var<workgroup> partial: array<f32, 64>;

fn term(d: f32, expected: f32) -> f32 {
    // Sums over bins stay finite, where the likelihood is nil anyway.
    let mean = min(expected, CEILING);
    // A mean of zero under a count: XSPEC's floor.
    let m = max(mean, 1e-32);
    if d > 0.0 { return half_deviance(d, m, d - m); }
    return mean;
}

fn sum_of_lanes() -> f32 {
    var total = 0.0;
    for (var i = 0u; i < 64u; i += 8u) {
        total += ((partial[i] + partial[i + 1u]) + (partial[i + 2u] + partial[i + 3u]))
            + ((partial[i + 4u] + partial[i + 5u]) + (partial[i + 6u] + partial[i + 7u]));
    }
    return total;
}
