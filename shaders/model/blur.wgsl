// rdblur: every source bin becomes the line of a disc; see blur.rs. Room: by piece of the line 60 densities, then the photons below these points.

struct Blur {
    // x = ln g of the five corners.
    corner: array<f32, 5>,
}

// ln g of the red (-1) or blue (+1) end of the ring of a radius.
fn blur_ring(c: DiskLine, r: f32, side: f32) -> f32 {
    return 0.5 * log_1p(-3.0 / r) - log_1p(-side * c.sine / sqrt(r - 2.0));
}

// The same, of its logarithm.
fn blur_end(c: DiskLine, ln_r: f32, side: f32) -> f32 {
    return blur_ring(c, safe_exp(ln_r), side);
}

// ln r of the ring with the bluest end.
fn blur_bluest(c: DiskLine) -> f32 {
    var lo = c.ln_inner;
    var hi = c.ln_inner + c.ln_range;
    for (var k = 0u; k < 24u; k++) {
        let middle = 0.5 * (lo + hi);
        let r = safe_exp(middle);
        let doppler = 0.5 * c.sine / ((r - 2.0) * sqrt(r - 2.0) * max(1.0 - c.sine / sqrt(r - 2.0), 1e-6));
        if 1.5 / (r * (r - 3.0)) > doppler {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    return 0.5 * (lo + hi);
}

// Where a ring's end passes x: it lies below x up to there (sign 1), or above (sign -1).
fn blur_passes(c: DiskLine, from_ln: f32, to_ln: f32, side: f32, x: f32, direction: f32) -> f32 {
    var lo = from_ln;
    var hi = to_ln;
    for (var k = 0u; k < 24u; k++) {
        let middle = 0.5 * (lo + hi);
        if direction * (blur_end(c, middle, side) - x) < 0.0 {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    return 0.5 * (lo + hi);
}

// What a radius adds to the photons per x; k of 64.
fn blur_radius(c: DiskLine, k: u32, middle: f32, half: f32, over: f32) -> f32 {
    let t = (f32(k) + 0.5) / 64.0;
    let turn = 6.2831853 * t;
    let around = cos_sin(turn);
    let place = cos_sin(3.1415927 * t - 0.5 * around.y);
    let step = half * place.y * (1.0 - around.x);
    let ln_r = middle - half * place.x;
    let r = safe_exp(ln_r);
    let lost = 3.0 / r / (1.0 + sqrt(1.0 - 3.0 / r));
    let y = over - lost * (1.0 + over);
    let spread = r - 2.0 + 2.0 * c.square;
    let rest = max(c.square + y * y * (2.0 * c.square - spread), 1e-7 * c.square);
    return step * diskline_emissivity(c, ln_r) * (1.0 + y) * sqrt(spread / rest) / (1.0 + 2.0 * y * y);
}

fn blur_density(c: DiskLine, x: f32, bluest: f32) -> f32 {
    let first = c.ln_inner;
    let last = c.ln_inner + c.ln_range;
    var lo = first;
    var hi = last;
    if blur_end(c, first, 1.0) < x {
        lo = blur_passes(c, first, bluest, 1.0, x, 1.0);
    }
    if blur_end(c, last, 1.0) < x {
        hi = blur_passes(c, bluest, last, 1.0, x, -1.0);
    }
    if blur_end(c, last, -1.0) > x {
        hi = min(hi, blur_passes(c, first, last, -1.0, x, 1.0));
    }
    let middle = 0.5 * (lo + hi);
    let half = 0.5 * max(hi - lo, 0.0);
    let over = exp_m1(-x);
    var sum = 0.0;
    for (var k = 0u; k < 64u; k += 4u) {
        sum += (blur_radius(c, k, middle, half, over) + blur_radius(c, k + 1u, middle, half, over))
            + (blur_radius(c, k + 2u, middle, half, over) + blur_radius(c, k + 3u, middle, half, over));
    }
    return sum * safe_exp(3.0 * x);
}

fn blur_beyond(a: f32, b: f32, c: f32) -> f32 {
    return max(3.0 * (a - b) + c, 0.0);
}

// Photons per step of a piece, odd around both ends.
fn blur_rate(a: ptr<private, Room>, piece: u32, k: i32, extent: f32) -> f32 {
    let at = u32(abs(k));
    return extent * cos_sin(3.1415927 * f32(k) / 59.0).y * (*a)[piece * 120u + select(at, 118u - at, at > 59u)];
}

fn rdblur_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Blur {
    let c = diskline_new(1.0, p);
    let bluest = blur_bluest(c);
    let first = c.ln_inner;
    let last = c.ln_inner + c.ln_range;
    // Of the radii themselves: the exponential of a logarithm is 1e-6 off.
    var ends = array<f32, 5>(blur_ring(c, c.inner, -1.0), blur_ring(c, c.outer, -1.0), blur_ring(c, c.inner, 1.0),
        blur_ring(c, c.outer, 1.0), blur_end(c, bluest, 1.0));
    for (var k = 1u; k < 5u; k++) {
        for (var n = k; n > 0u && ends[n] < ends[n - 1u]; n--) {
            let other = ends[n];
            ends[n] = ends[n - 1u];
            ends[n - 1u] = other;
        }
    }
    var total = 0.0;
    for (var piece = 0u; piece < 4u; piece++) {
        let extent = ends[piece + 1u] - ends[piece];
        let at = piece * 120u;
        for (var k = 1u; k < 59u; k++) {
            let s = cos_sin(1.5707963 * f32(k) / 59.0).y;
            (*a)[at + k] = 0.0;
            if extent > 1e-6 {
                (*a)[at + k] = blur_density(c, ends[piece] + extent * s * s, bluest);
            }
        }
        (*a)[at] = blur_beyond((*a)[at + 1u], (*a)[at + 2u], (*a)[at + 3u]);
        (*a)[at + 59u] = blur_beyond((*a)[at + 58u], (*a)[at + 57u], (*a)[at + 56u]);
        (*a)[at + 60u] = total;
        for (var k = 0; k < 59; k++) {
            let inner = 13.0 * (blur_rate(a, piece, k, extent) + blur_rate(a, piece, k + 1, extent))
                - blur_rate(a, piece, k - 1, extent) - blur_rate(a, piece, k + 2, extent);
            total += max(inner, 0.0) * (1.5707963 / 59.0 / 24.0);
            (*a)[at + 61u + u32(k)] = total;
        }
    }
    let inverse = 1.0 / max(total, 1e-30);
    for (var k = 0u; k < 480u; k++) {
        (*a)[k] *= inverse;
    }
    return Blur(ends);
}

// Place of an x among the points of a piece, 0 to 59.
fn blur_place(c: Blur, piece: u32, x: f32) -> f32 {
    let below = max(x - c.corner[piece], 0.0);
    let above = max(c.corner[piece + 1u] - x, 0.0);
    return arctan_positive(sqrt(below / max(above, 1e-30))) * (59.0 / 1.5707963);
}

// The cubic through the points around a place; `at`: the first point.
fn blur_cubic(a: ptr<private, Room>, at: u32, place: f32) -> f32 {
    let k = clamp(u32(place), 1u, 57u);
    let n = at + k;
    return four_point((*a)[n - 1u], (*a)[n], (*a)[n + 1u], (*a)[n + 2u], place - f32(k)).x;
}

fn blur_piece(c: Blur, x: f32) -> u32 {
    return u32(x >= c.corner[1]) + u32(x >= c.corner[2]) + u32(x >= c.corner[3]);
}

// Share of the line between two x.
fn blur_share(c: Blur, a: ptr<private, Room>, x: f32, half: f32) -> f32 {
    let low = clamp(x - half, c.corner[0], c.corner[4]);
    let high = clamp(x + half, c.corner[0], c.corner[4]);
    if low >= high {
        return 0.0;
    }
    let first = blur_piece(c, low);
    let second = blur_piece(c, high);
    let from_place = blur_place(c, first, low);
    let to_place = blur_place(c, second, high);
    if first == second && to_place - from_place < 1.0 && x - half >= c.corner[first] && x + half <= c.corner[first + 1u] {
        // The bin's own width times a mean density: differences of what lies below have few digits. Weights: dx/du, by Simpson's rule.
        let middle = 0.5 * (from_place + to_place);
        let wa = cos_sin(from_place * (3.1415927 / 59.0)).y;
        let wb = cos_sin(to_place * (3.1415927 / 59.0)).y;
        let wm = 4.0 * cos_sin(middle * (3.1415927 / 59.0)).y;
        let at = first * 120u;
        let sum = wa * blur_cubic(a, at, from_place) + wb * blur_cubic(a, at, to_place) + wm * blur_cubic(a, at, middle);
        return 2.0 * half * max(sum, 0.0) / max(wa + wb + wm, 1e-30);
    }
    return max(blur_cubic(a, second * 120u + 60u, to_place) - blur_cubic(a, first * 120u + 60u, from_place), 0.0);
}

// ln of a bin's geometric middle over that of another: both logarithms are rounded to 2e-7, the width of a bin of 0.5 eV is 8e-5.
fn blur_ratio(i: u32, k: u32) -> f32 {
    let distance = (mid_hi(i) - mid_hi(k)) + (mid_lo(i) - mid_lo(k));
    let a = half_ratio(i);
    let b = half_ratio(k);
    return log_1p(distance / mid_hi(k)) + 0.5 * log_1p((b - a) * (b + a) / (1.0 - b * b));
}

fn blur_from(c: Blur, a: ptr<private, Room>, slot: u32, i: u32, k: u32) -> f32 {
    if k >= energies() {
        return 0.0;
    }
    return source(slot, k) * blur_share(c, a, blur_ratio(i, k), 0.5 * log_width(i));
}

fn blur_value(c: Blur, a: ptr<private, Room>, slot: u32, i: u32) -> f32 {
    let lowest = edge_lo(i) / safe_exp(c.corner[4]);
    let highest = edge_hi(i) / safe_exp(c.corner[0]);
    let first = first_above(lowest);
    var sum = 0.0;
    for (var k = first; k < energies() && edge_lo(min(k, energies() - 1u)) < highest; k += 4u) {
        sum += (blur_from(c, a, slot, i, k) + blur_from(c, a, slot, i, k + 1u))
            + (blur_from(c, a, slot, i, k + 2u) + blur_from(c, a, slot, i, k + 3u));
    }
    return sum;
}
