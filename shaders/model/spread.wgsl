// Convolutions with a disc's line on nodes at equal steps of ln E, in stages; see relativistic/device.rs, which puts in front SPREAD_STEPS, the number of
// steps, SPREAD_REACH, how many to the red, SPREAD_FIRST, ln E of the first node, and SPREAD_STEP.

// The middle of a bin's ln E, in steps from the first node.
fn spread_middle(i: u32) -> f32 {
    return (ln_mid(i) - SPREAD_FIRST) / SPREAD_STEP;
}

// Photons of the source between node n and the next, and their first moment about the middle in steps; a bin's photons are spread evenly over its ln E.
fn spread_moments(slot: u32, n: i32) -> vec2<f32> {
    if n < 0 || n >= i32(SPREAD_STEPS) {
        return vec2<f32>(0.0);
    }
    let lower = f32(n);
    let first = first_above(safe_exp(SPREAD_FIRST + SPREAD_STEP * lower));
    let highest = safe_exp(SPREAD_FIRST + SPREAD_STEP * (lower + 1.0)) * (1.0 + 1e-6);
    var sum = vec2<f32>(0.0);
    // One before, for roundings.
    for (var k = max(first, 1u) - 1u; k < energies() && edge_lo(min(k, energies() - 1u)) < highest; k++) {
        let extent = log_width(k) / SPREAD_STEP;
        let middle = spread_middle(k) - lower;
        var begin = clamp(middle - 0.5 * extent, 0.0, 1.0);
        var end = clamp(middle + 0.5 * extent, 0.0, 1.0);
        // Nothing lies beyond the first and the last node.
        if n == 0 && k == 0u { begin = 0.0; }
        if u32(n) + 1u == SPREAD_STEPS && k + 1u == energies() { end = 1.0; }
        let own = source(slot, k) * (end - begin) / extent;
        sum += own * vec2<f32>(1.0, 0.5 * (begin + end) - 0.5);
    }
    return sum;
}

// Photons between node n and the next as the sums take them, evenly spread there: neighbours make up for the moments.
fn spread_cell(slot: u32, n: u32) -> f32 {
    if n >= SPREAD_STEPS {
        return 0.0;
    }
    let i = i32(n);
    return spread_moments(slot, i).x + 0.5 * (spread_moments(slot, i - 1).y - spread_moments(slot, i + 1).y);
}

fn spread_product(cells: u32, hats: u32, lowest: i32, n: i32, k: i32) -> f32 {
    let cell = n - lowest - k;
    if cell < 0 || cell >= i32(SPREAD_STEPS) {
        return 0.0;
    }
    return source(hats, u32(k) + 2u) * source(cells, u32(cell));
}

// Photons of what comes out between node n and the next. Eight hats a turn: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
fn spread_sum(cells: u32, hats: u32, n: u32) -> f32 {
    if n >= SPREAD_STEPS {
        return 0.0;
    }
    let lowest = i32(source(hats, 0u));
    let count = i32(source(hats, 1u));
    let begin = max(i32(n) - lowest - (i32(SPREAD_STEPS) - 1), 0);
    let last = min(i32(n) - lowest, count - 1);
    var sum = 0.0;
    for (var k = begin; k <= last; k += 8) {
        let i = i32(n);
        var part = 0.0;
        // Beyond the last hat are numbers of no meaning.
        if k + 7 <= last {
            part = ((spread_product(cells, hats, lowest, i, k) + spread_product(cells, hats, lowest, i, k + 1))
                + (spread_product(cells, hats, lowest, i, k + 2) + spread_product(cells, hats, lowest, i, k + 3)))
                + ((spread_product(cells, hats, lowest, i, k + 4) + spread_product(cells, hats, lowest, i, k + 5))
                + (spread_product(cells, hats, lowest, i, k + 6) + spread_product(cells, hats, lowest, i, k + 7)));
        } else {
            for (var rest = k; rest <= last; rest++) {
                part += spread_product(cells, hats, lowest, i, rest);
            }
        }
        sum += part;
    }
    return sum;
}

// Photons between two places, by a parabola through three cells.
fn spread_piece(sums: u32, middle: f32, length: f32) -> f32 {
    let n = clamp(u32(max(middle, 0.0)), 1u, SPREAD_STEPS - 2u);
    let before = source(sums, n - 1u);
    let here = source(sums, n);
    let behind = source(sums, n + 1u);
    let bend = before - 2.0 * here + behind;
    let t = middle - f32(n) - 0.5;
    return length * (here - bend / 24.0 + t * 0.5 * (behind - before) + 0.5 * bend * (t * t + length * length / 12.0));
}

// Photons of what comes out in a bin.
fn relativistic_blur(sums: u32, i: u32) -> f32 {
    let extent = log_width(i) / SPREAD_STEP;
    let pieces = ceil(extent);
    let length = extent / pieces;
    let start = spread_middle(i) - 0.5 * extent;
    var sum = 0.0;
    for (var k = 0.0; k < pieces; k += 1.0) {
        sum += spread_piece(sums, start + (k + 0.5) * length, length);
    }
    // Written so that NaN stays.
    return select(sum, 0.0, sum < 0.0);
}
