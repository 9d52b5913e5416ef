// Ends of a disc's rings, which are the corners of its line, to more digits than f32 has; see relativistic.wgsl and pair.wgsl.

// The four weights of a cubic in two parts each, `place` steps from the first node of all.
fn relativistic_weights(place: vec2<f32>, cubic: Cubic) -> array<vec2<f32>, 4> {
    if cubic.count < 4u {
        return array<vec2<f32>, 4>(vec2<f32>(1.0, 0.0), vec2<f32>(0.0), vec2<f32>(0.0), vec2<f32>(0.0));
    }
    let t = pair_add(place, vec2<f32>(-f32(cubic.first + 1u), 0.0));
    let a = pair_add(t, vec2<f32>(1.0, 0.0));
    let b = pair_add(t, vec2<f32>(-1.0, 0.0));
    let c = pair_add(t, vec2<f32>(-2.0, 0.0));
    let ab = pair_times(a, b);
    let tc = pair_times(t, c);
    let sixth = pair_of(0.16666667, -4.9670538e-9);
    return array<vec2<f32>, 4>(-pair_times(pair_times(tc, b), sixth), 0.5 * pair_times(ab, c), -0.5 * pair_times(tc, a),
        pair_times(pair_times(ab, t), sixth));
}

// A place along the axis at k of the table, held within it.
fn relativistic_place(v: RelativisticView, k: u32, coordinate: vec2<f32>) -> vec2<f32> {
    let place = pair_times(pair_add(coordinate, pair(-table(v.t + k + 1u))), pair(table(v.t + k + 2u)));
    let last = max(table(v.t + k), 1.0) - 1.0;
    let near = pair_value(place);
    if near < 0.0 || near > last {
        return vec2<f32>(clamp(near, 0.0, last), 0.0);
    }
    return place;
}

// The sine of an inclination in two parts.
fn relativistic_sine(degrees: f32) -> vec2<f32> {
    let near = degrees <= 45.0;
    let radians = pair_times(pair(select(90.0 - degrees, degrees, near)), pair_of(0.017453292, 1.3519960e-10));
    let a = pair_value(radians);
    let s = a * a;
    if near {
        return pair_add(radians, pair(-a * s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0))))));
    }
    let tail = s * s / 24.0 * (1.0 - s / 30.0 * (1.0 - s / 56.0 * (1.0 - s / 90.0 * (1.0 - s / 132.0))));
    return pair_add(vec2<f32>(1.0, 0.0), pair_add(-0.5 * pair_times(radians, radians), pair(tail)));
}

// What places of rings' ends need in two parts: weights of the spins and of the inclinations, the sine of the inclination, the radius from which distances
// count, their ln at the disc's inner edge and over all of it, and the radial grid's ln at its first node and steps per ln.
struct RelativisticExact {
    spins: array<vec2<f32>, 4>,
    tilts: array<vec2<f32>, 4>,
    sine: vec2<f32>,
    inside: vec2<f32>,
    first: vec2<f32>,
    range: vec2<f32>,
    grid: vec2<f32>,
    steps: vec2<f32>,
}

fn relativistic_precise(v: RelativisticView, tilt: f32) -> RelativisticExact {
    let spin = pair_sum(1.0, -clamp(v.spin, -0.998, 0.998));
    let near = pair(relativistic_cube_root(pair_value(spin)));
    let square = pair_times(near, near);
    let short = pair_value(pair_add(spin, -pair_times(square, near)));
    let root = pair_add(near, pair(short / (3.0 * pair_value(square))));
    // 0.9 and 0.1 as f64 has them.
    let inside = pair_times(pair_of(0.9, 2.3841858e-8), pair_add(vec2<f32>(1.0, 0.0), pair_root(pair_sum(1.0, -v.spin))));
    let orbit = relativistic_isco_root(v.spin, relativistic_isco(v.spin));
    let grid = pair_log(pair_add(pair_times(orbit, orbit), -inside));
    let extent = pair_add(pair_log(pair_add(vec2<f32>(2500.0, 0.0), -inside)), -grid);
    let first = pair_log(pair_add(pair_times(v.inner_root, v.inner_root), -inside));
    let last = pair_log(pair_add(pair_times(v.outer_root, v.outer_root), -inside));
    return RelativisticExact(
        relativistic_weights(relativistic_place(v, 0u, root), v.spins),
        relativistic_weights(relativistic_place(v, 3u, pair(tilt)), v.inclinations),
        relativistic_sine(tilt), inside, first, pair_add(last, -first), grid,
        pair_over(vec2<f32>(f32(RELATIVISTIC_RADII - 1u), 0.0), extent));
}

// g of the red (0) or the blue (1) end of a ring in two parts. As relativistic_end, all times powers of the root of the radius.
fn relativistic_exact_end(v: RelativisticView, own: RelativisticExact, ring: u32, side: u32) -> vec2<f32> {
    let ln = pair_add(own.first, pair_over(f32(ring) * own.range, vec2<f32>(f32(RELATIVISTIC_RINGS), 0.0)));
    var root = pair_root(pair_add(own.inside, pair_exp(ln)));
    if ring == 0u { root = v.inner_root; }
    if ring == RELATIVISTIC_RINGS { root = v.outer_root; }
    var place = pair_times(pair_add(ln, -own.grid), own.steps);
    if pair_value(place) < 0.0 { place = vec2<f32>(0.0); }
    let radius = cubic_around(pair_value(place), RELATIVISTIC_RADII);
    var radial = relativistic_weights(place, radius);
    var spins = own.spins;
    var tilts = own.tilts;
    let size = RELATIVISTIC_RADII * v.row;
    var sum = vec2<f32>(0.0);
    for (var p = 0u; p < v.spins.count; p++) {
        for (var q = 0u; q < v.inclinations.count; q++) {
            let at = v.images + ((v.spins.first + p) * v.tilts + v.inclinations.first + q) * size + radius.first * v.row + side;
            var row = vec2<f32>(0.0);
            for (var n = 0u; n < 4u; n++) {
                row = pair_add(row, pair_times(radial[n], pair(table(at + n * v.row))));
            }
            sum = pair_add(sum, pair_times(pair_times(spins[p], tilts[q]), row));
        }
    }
    let square = pair_times(root, root);
    let cube = pair_times(square, root);
    let spin = pair(v.spin);
    let still = pair_add(pair_add(cube, -pair_times(vec2<f32>(3.0, 0.0), root)), 2.0 * spin);
    let reach = pair_times(pair_times(own.sine, sum), square);
    return pair_over(pair_root(pair_times(cube, still)), pair_add(pair_add(cube, spin), -reach));
}

// g of the corners in two parts: each is the end of a ring of those that relativistic_rings left in room_scratch.
fn relativistic_corners(v: RelativisticView, tilt: f32, c: Relativistic) -> array<vec2<f32>, 5> {
    var corner = c.corner;
    var exact: array<vec2<f32>, 5>;
    let own = relativistic_precise(v, tilt);
    for (var k = 0u; k < 5u; k++) {
        var ring = 0u;
        var side = 0u;
        for (var other = 0u; other <= RELATIVISTIC_RINGS; other++) {
            if room_scratch[other] == corner[k] || room_scratch[100u + other] == corner[k] {
                ring = other;
                side = select(1u, 0u, room_scratch[other] == corner[k]);
            }
        }
        exact[k] = relativistic_exact_end(v, own, ring, side);
    }
    return exact;
}
