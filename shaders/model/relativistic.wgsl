// Lines and convolutions of thin discs around rotating holes; see components/relativistic/line.rs, and layout.rs for the table.
// Room: by piece of the line 60 densities, then the photons between these points, not those below them: a bin may be faint beside what lies below it.

const RELATIVISTIC_RADII = 68u;
const RELATIVISTIC_ANGLES = 33u;
const RELATIVISTIC_RINGS = 72u;
const RELATIVISTIC_HEADER = 24u;
// Rings between which a disc's light goes, and their pairs.
const RELATIVISTIC_LIGHT = 50u;
const RELATIVISTIC_PAIRS = 2500u;

struct Relativistic {
    // y = g - 1 of the five corners.
    corner: array<f32, 5>,
    // Their g, of a line times its energy, in two parts: where they are in bins. The numbers above are 1e-7 from it.
    exact: array<vec2<f32>, 5>,
    // Where the shares of a piece's points stand.
    shares: u32,
    energy: f32,
    norm: f32,
}

// kind: 0 a broken power law (index, beyond, break), 1 a lamp (height, velocity, index).
struct RelativisticDisc { spin: f32, tilt: f32, inner: f32, outer: f32, stable: bool, limb: f32, kind: u32, light: vec3<f32>, returning: bool }

// What is the same for all rings.
struct RelativisticView {
    t: u32,
    spin: f32,
    sine: f32,
    inside: f32,
    grid_first: f32,
    grid_step: f32,
    row: u32,
    tilts: u32,
    law: u32,
    kind: u32,
    light: vec3<f32>,
    largest: f32,
    images: u32,
    lamps: u32,
    spins: Cubic,
    inclinations: Cubic,
    lamp_spins: Cubic,
    heights: Cubic,
    height_count: u32,
    // Where room_scratch from 350 has what returns over what the lamp sends; `linear`: all light over that of the lamp, with straight lines between.
    returning: bool,
    linear: bool,
    // Radii of the edges beyond 1, and roots of the radii in two parts.
    inner: f32,
    outer: f32,
    inner_root: vec2<f32>,
    outer_root: vec2<f32>,
    allowed: bool,
    photons: f32,
}

fn relativistic_axis(t: u32, k: u32, coordinate: f32) -> Cubic {
    return cubic_around((coordinate - table(t + k + 1u)) * table(t + k + 2u), u32(table(t + k)));
}

// Between four nodes of the radial grid; `step`: numbers from one to the next.
fn relativistic_radial(radius: Cubic, at: u32, step: u32) -> f32 {
    let n = at + radius.first * step;
    return dot(radius.weights, vec4<f32>(table(n), table(n + step), table(n + 2u * step), table(n + 3u * step)));
}

// Between the nodes of a second axis and those of the radial grid; `size`: numbers of a node.
fn relativistic_second(axis: Cubic, radius: Cubic, at: u32, size: u32, step: u32) -> f32 {
    var sum = axis.weights.x * relativistic_radial(radius, at, step);
    if axis.count > 1u {
        sum += axis.weights.y * relativistic_radial(radius, at + size, step)
            + axis.weights.z * relativistic_radial(radius, at + 2u * size, step)
            + axis.weights.w * relativistic_radial(radius, at + 3u * size, step);
    }
    return sum;
}

// A number of the images at a radius. There is no loop here: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all, and
// a stage may hold several of these components.
fn relativistic_image(v: RelativisticView, radius: Cubic, number: u32) -> f32 {
    let size = RELATIVISTIC_RADII * v.row;
    let at = v.images + (v.spins.first * v.tilts + v.inclinations.first) * size + number;
    let row = v.tilts * size;
    var sum = v.spins.weights.x * relativistic_second(v.inclinations, radius, at, size, v.row);
    if v.spins.count > 1u {
        sum += v.spins.weights.y * relativistic_second(v.inclinations, radius, at + row, size, v.row)
            + v.spins.weights.z * relativistic_second(v.inclinations, radius, at + 2u * row, size, v.row)
            + v.spins.weights.w * relativistic_second(v.inclinations, radius, at + 3u * row, size, v.row);
    }
    return sum;
}

// Of the lamps; offset 0: cosines, 1: illumination.
fn relativistic_lamp(v: RelativisticView, radius: Cubic, offset: u32) -> f32 {
    let size = 2u * RELATIVISTIC_RADII;
    let at = v.lamps + (v.lamp_spins.first * v.height_count + v.heights.first) * size + offset * RELATIVISTIC_RADII;
    let row = v.height_count * size;
    var sum = v.lamp_spins.weights.x * relativistic_second(v.heights, radius, at, size, 1u);
    if v.lamp_spins.count > 1u {
        sum += v.lamp_spins.weights.y * relativistic_second(v.heights, radius, at + row, size, 1u)
            + v.lamp_spins.weights.z * relativistic_second(v.heights, radius, at + 2u * row, size, 1u)
            + v.lamp_spins.weights.w * relativistic_second(v.heights, radius, at + 3u * row, size, 1u);
    }
    return sum;
}

fn relativistic_cube_root(x: f32) -> f32 {
    if x <= 0.0 {
        return 0.0;
    }
    // A step of Newton's method: a device's power is 1e-6 off.
    let y = pow(x, 0.33333333);
    return y - (y * y * y - x) / (3.0 * y * y);
}

// Radii are kept as what they are beyond 1 (GM/c2), too: near a fast hole the numbers of an orbit are small differences.

// The radius of the innermost stable orbit beyond 1.
fn relativistic_isco(a: f32) -> f32 {
    let z1 = 1.0 + relativistic_cube_root((1.0 - a) * (1.0 + a)) * (relativistic_cube_root(1.0 + a) + relativistic_cube_root(1.0 - a));
    let z2 = sqrt(3.0 * a * a + z1 * z1);
    let root = sqrt(max((3.0 - z1) * (3.0 + z1 + 2.0 * z2), 0.0));
    // Newton's method for r^2 - 6 r + 8 a r^1/2 - 3 a^2 = 0, written for r^1/2 beyond 1.
    var d = sqrt(3.0 + z2 - select(root, -root, a < 0.0)) - 1.0;
    let e = 1.0 - a;
    for (var k = 0; k < 3; k++) {
        let square = d * d;
        d -= (square * d * (d + 4.0) - e * (2.0 + 8.0 * d + 3.0 * e)) / max(4.0 * square * (d + 3.0) - 8.0 * e, 1e-6);
    }
    return d * (2.0 + d);
}

// The root of its radius in two parts: a step of Newton's method for x^4 - 6 x^2 + 8 a x - 3 a^2 = 0.
fn relativistic_isco_root(a: f32, beyond: f32) -> vec2<f32> {
    let x = pair_root(pair_sum(1.0, beyond));
    let square = pair_times(x, x);
    let spin = pair(a);
    let short = pair_add(pair_times(square, pair_add(square, vec2<f32>(-6.0, 0.0))),
        pair_times(pair_add(8.0 * x, -pair_times(vec2<f32>(3.0, 0.0), spin)), spin));
    let slope = 4.0 * (pair_value(x) * (pair_value(square) - 3.0) + 2.0 * a);
    return pair_add(x, pair(-pair_value(short) / max(slope, 1e-3)));
}

// r^1/2 beyond 1.
fn relativistic_root(beyond: f32) -> f32 {
    return beyond / (1.0 + sqrt(1.0 + beyond));
}

// r^3/2 (1 - 3/r + 2 a r^-3/2), the square of an orbit's u^t below its line.
fn relativistic_orbit(a: f32, beyond: f32) -> f32 {
    let d = relativistic_root(beyond);
    return d * d * (d + 3.0) - 2.0 * (1.0 - a);
}

fn relativistic_horizon(a: f32) -> f32 {
    return 1.0 + sqrt(max((1.0 - a) * (1.0 + a), 0.0));
}

fn relativistic_height(spin: f32, height: f32) -> f32 {
    let horizon = relativistic_horizon(spin);
    return max(select(height, -height * horizon, height < 0.0), 1.1 * horizon);
}

// y of the red (0) or the blue (1) end of a ring.
fn relativistic_end(v: RelativisticView, beyond: f32, radius: Cubic, side: u32) -> f32 {
    let r = 1.0 + beyond;
    let cube = r * sqrt(r);
    let drag = v.spin / cube;
    var still = 2.0 * drag - 3.0 / r;
    still = select(0.5 * log_1p(still), 0.5 * log(relativistic_orbit(v.spin, beyond) / cube), still < -0.3) - log_1p(drag);
    let reach = v.sine / (sqrt(r) * (1.0 + drag));
    return exp_m1(still - log_1p(-reach * relativistic_image(v, radius, side)));
}

// arccos to 2e-8 (Abramowitz & Stegun 4.4.46).
fn relativistic_arccos(x: f32) -> f32 {
    let a = abs(x);
    let p = 1.5707963050 + a * (-0.2145988016 + a * (0.0889789874 + a * (-0.0501743046 + a * (0.0308918810
        + a * (-0.0170881256 + a * (0.0066700901 - a * 0.0012624911))))));
    let angle = p * sqrt(max(1.0 - a, 0.0));
    return select(angle, 3.1415927 - angle, x < 0.0);
}

// Photons per y of an annulus over its weight, at g = 1 + y; `red`, `blue`: how far y is from the red and the blue ends of its inner and its outer ring, in
// halves of the rings' lengths, so that 1 - cos theta and 1 + cos theta keep their digits. Its areas: room_scratch from 300.
fn relativistic_annulus(y: f32, red: vec2<f32>, blue: vec2<f32>) -> f32 {
    // Cosines, and what they are within a ring.
    let cosines = select(1.0 - red, blue - 1.0, blue < red);
    let c0 = cosines.x;
    let c1 = cosines.y;
    let h0 = clamp(c0, -1.0, 1.0);
    let h1 = clamp(c1, -1.0, 1.0);
    let squares = clamp(red, vec2<f32>(0.0), vec2<f32>(2.0)) * clamp(blue, vec2<f32>(0.0), vec2<f32>(2.0));
    let sines = sqrt(squares.x) + sqrt(squares.y);
    let reached = abs(h1 - h0);
    let whole = abs(c1 - c0);
    if sines <= 0.0 && reached <= 0.0 {
        return 0.0;
    }
    var mean = 0.0;
    if reached < 0.3 * sines {
        let z = (reached / sines) * (reached / sines);
        let series = 1.0 - z * (1.0 / 3.0 - z * (1.0 / 5.0 - z * (1.0 / 7.0 - z * (1.0 / 9.0 - z * (1.0 / 11.0 - z / 13.0)))));
        // Rings that hardly differ there are one.
        mean = 2.0 * series / sines * select(1.0, reached / max(whole, 1e-30), whole > 1e-6 || reached < 0.5 * whole);
    } else {
        mean = 2.0 * arctan_positive(reached / max(sines, 1e-12)) / max(whole, 1e-30);
    }
    let tangent = min(reached / max(sines, 1e-12), 1e6);
    let cosine = clamp(0.5 * (h0 + h1) * sqrt(1.0 + tangent * tangent), -1.0, 1.0);
    let place = relativistic_arccos(cosine) * (f32(RELATIVISTIC_ANGLES - 1u) / 3.1415927);
    let k = min(u32(place), RELATIVISTIC_ANGLES - 2u);
    let n = 300u + k;
    let area = four_point(room_scratch[n], room_scratch[n + 1u], room_scratch[n + 2u], room_scratch[n + 3u], place - f32(k)).x;
    return mean * max(area, 0.0) * (1.0 + y) * (1.0 + y) * (1.0 + y);
}

// First point of a piece that lies so far behind its start, or one before; 60 where there is none.
fn relativistic_first(c: Relativistic, length: f32, distance: f32) -> u32 {
    if distance <= 0.0 {
        return 0u;
    }
    if distance >= length {
        return 60u;
    }
    let k = u32(arctan_positive(sqrt(distance / max(length - distance, 1e-30))) * (59.0 / 1.5707963));
    return max(k, 1u) - 1u;
}

// An annulus among a piece: distances of the piece's ends from its rings' ends, and what they are divided by.
struct RelativisticAnnulus { weight: f32, red: vec2<f32>, blue: vec2<f32>, halves: vec2<f32> }

// Adds what an annulus sends to a point of a piece; nothing where there is no such point, or where it does not reach it.
fn relativistic_point(c: Relativistic, a: ptr<private, Room>, piece: u32, n: u32, own: RelativisticAnnulus) {
    if n < 60u {
        let length = c.corner[piece + 1u] - c.corner[piece];
        // From the nearer end; shares from both ends are the same.
        let above = length * table(c.shares + n);
        let below = length * table(c.shares + 59u - n);
        let y = c.corner[piece] + above;
        (*a)[piece * 120u + n] += own.weight * relativistic_annulus(y, (own.red + above) * own.halves, (own.blue + below) * own.halves);
    }
}

fn relativistic_beyond(a: f32, b: f32, c: f32) -> f32 {
    return max(3.0 * (a - b) + c, 0.0);
}

// Photons per step of a piece, odd around both ends.
fn relativistic_rate(a: ptr<private, Room>, piece: u32, k: i32, extent: f32) -> f32 {
    let at = u32(abs(k));
    return extent * cos_sin(3.1415927 * f32(k) / 59.0).y * (*a)[piece * 120u + select(at, 118u - at, at > 59u)];
}

fn relativistic_radius(v: RelativisticView, first: f32, step: f32, place: f32) -> Cubic {
    return cubic_around((first + step * place - v.grid_first) / v.grid_step, RELATIVISTIC_RADII);
}

fn relativistic_within(value: f32, t: u32) -> bool {
    return value >= table(t) && value <= table(t + 1u);
}

// A radius beyond 1, in units of one that is so much beyond 1.
fn relativistic_edge(radius: f32, beyond: f32) -> f32 {
    return (radius - 1.0) + radius * beyond;
}

// The root of a radius, in units of an orbit whose root is known or not.
fn relativistic_edge_root(radius: f32, units: bool, orbit: vec2<f32>) -> vec2<f32> {
    let root = pair_root(pair(abs(radius)));
    if units {
        return pair_times(root, orbit);
    }
    return root;
}

// What is the same for all rings of a disc.
fn relativistic_view(d: RelativisticDisc, t: u32) -> RelativisticView {
    var v: RelativisticView;
    v.t = t;
    v.spin = d.spin;
    let laws = u32(table(t + 6u));
    let law = clamp(round(d.limb), 0.0, 2.0) - table(t + 7u);
    var allowed = law >= 0.0 && law < f32(laws) && relativistic_within(d.spin, t + 16u) && relativistic_within(d.tilt, t + 18u);
    v.law = u32(max(law, 0.0));
    let tilt = clamp(d.tilt, 1.0, 89.0);
    v.sine = diskline_sine(tilt);
    v.inside = 0.9 * sqrt(max(1.0 - d.spin, 0.0)) - 0.1;
    let isco = relativistic_isco(d.spin);
    v.grid_first = log(isco - v.inside);
    v.grid_step = (log(2499.0 - v.inside) - v.grid_first) / f32(RELATIVISTIC_RADII - 1u);
    v.row = 2u + laws * RELATIVISTIC_ANGLES + u32(table(t + 23u));
    v.tilts = u32(table(t + 3u));
    v.kind = d.kind;
    v.light = d.light;
    v.images = t + u32(table(t + 8u));
    v.lamps = t + u32(table(t + 9u));
    let spin = clamp(d.spin, -0.998, 0.998);
    v.spins = relativistic_axis(t, 0u, relativistic_cube_root(1.0 - spin));
    v.inclinations = relativistic_axis(t, 3u, tilt);
    if d.kind == 1u {
        v.light.x = relativistic_height(d.spin, d.light.x);
        let horizon = relativistic_horizon(d.spin);
        let least = 0.1 * horizon;
        let share = min(log(max(v.light.x - horizon, least) / least) / log((1000.0 - horizon) / least), 1.0);
        allowed = allowed && relativistic_within(share, t + 20u);
        let p = relativistic_cube_root(0.5 * (1.0 - spin));
        v.lamp_spins = relativistic_axis(t, 10u, arctan_positive(p / sqrt((1.0 - p) * (1.0 + p))));
        v.heights = relativistic_axis(t, 13u, share);
        v.height_count = u32(table(t + 13u));
    }
    // Edges never lie inside of the innermost stable orbit.
    let unit = select(0.0, isco, d.stable);
    let asked = relativistic_edge(select(d.inner, -d.inner, d.inner < 0.0), select(unit, isco, d.inner < 0.0));
    let end = relativistic_edge(d.outer, unit);
    let inner = clamp(asked, isco, 2500.0 / 1.01 - 1.0);
    let outer = clamp(end, inner * 1.001 + 0.001, 2499.0);
    // Whether a radius is in units of the orbit, and not moved.
    let orbit = relativistic_isco_root(d.spin, isco);
    v.inner_root = orbit;
    if asked > isco {
        v.inner_root = relativistic_edge_root(d.inner, d.stable || d.inner < 0.0, orbit);
    }
    if inner != asked && asked > isco {
        v.inner_root = pair_root(pair_sum(1.0, inner));
    }
    v.outer_root = relativistic_edge_root(d.outer, d.stable, orbit);
    if outer != end {
        v.outer_root = pair_root(pair_sum(1.0, outer));
    }
    // A disc that ends before it begins sends nothing.
    v.photons = select(1.0, 0.0, end <= max(asked, isco));
    if d.kind == 0u {
        v.largest = max(relativistic_ln_emissivity(v, 1.0 + inner), relativistic_ln_emissivity(v, 1.0 + outer));
        if v.light.z > 1.0 + inner && v.light.z < 1.0 + outer {
            v.largest = max(v.largest, 0.0);
        }
    }
    if d.returning {
        allowed = relativistic_returning(v, inner, outer) && allowed;
        v.returning = true;
    }
    v.inner = inner;
    v.outer = outer;
    v.allowed = allowed;
    return v;
}

// Annuli of a disc: `count` from number `start` on, of `whole`; ln of the distance of the first ring of the disc, and its step.
struct RelativisticAnnuli { start: u32, count: u32, whole: u32, first: f32, step: f32 }

fn relativistic_annuli(v: RelativisticView, start: u32, count: u32, whole: u32) -> RelativisticAnnuli {
    // Of a narrow disc both logarithms are the same but for their last digits.
    let extent = log_1p((v.outer - v.inner) / (v.inner - v.inside));
    return RelativisticAnnuli(start, count, whole, log(v.inner - v.inside), extent / f32(whole));
}

// Fills room_scratch with rings (red ends from 0, blue ends from 100) and with weights of the annuli (from 200); the line has its corners, and no photons.
fn relativistic_rings(v: RelativisticView, n: RelativisticAnnuli, a: ptr<private, Room>) -> Relativistic {
    var c: Relativistic;
    c.shares = v.t + RELATIVISTIC_HEADER;
    c.energy = 1.0;
    c.norm = 1.0;
    var bluest = -1.0;
    var reddest = 1e9;
    var emitted = 0.0;
    for (var k = 0u; k <= n.count; k++) {
        let ring = n.start + k;
        var beyond = v.inside + safe_exp(n.first + n.step * f32(ring));
        if ring == 0u {
            beyond = v.inner;
        }
        if ring == n.whole {
            beyond = v.outer;
        }
        let radius = relativistic_radius(v, n.first, n.step, f32(ring));
        room_scratch[k] = relativistic_end(v, beyond, radius, 0u);
        room_scratch[100u + k] = relativistic_end(v, beyond, radius, 1u);
        reddest = min(reddest, room_scratch[k]);
        bluest = max(bluest, room_scratch[100u + k]);
        let end = relativistic_emission(v, beyond, radius);
        if k > 0u {
            let place = f32(ring) - 0.5;
            let between = v.inside + safe_exp(n.first + n.step * place);
            let middle = relativistic_emission(v, between, relativistic_radius(v, n.first, n.step, place));
            room_scratch[199u + k] = n.step / 6.0 * (emitted + 4.0 * middle + end);
        }
        emitted = end;
    }
    let last = n.count;
    c.corner = array<f32, 5>(reddest, max(room_scratch[0], room_scratch[last]), min(room_scratch[100], room_scratch[100u + last]),
        max(room_scratch[100], room_scratch[100u + last]), bluest);
    for (var k = 1u; k < 5u; k++) {
        for (var n = k; n > 0u && c.corner[n] < c.corner[n - 1u]; n--) {
            let other = c.corner[n];
            c.corner[n] = c.corner[n - 1u];
            c.corner[n - 1u] = other;
        }
    }
    for (var k = 0u; k < 480u; k += 8u) {
        (*a)[k] = 0.0; (*a)[k + 1u] = 0.0; (*a)[k + 2u] = 0.0; (*a)[k + 3u] = 0.0;
        (*a)[k + 4u] = 0.0; (*a)[k + 5u] = 0.0; (*a)[k + 6u] = 0.0; (*a)[k + 7u] = 0.0;
    }
    return c;
}

// Fills room_scratch from 300 with the areas of a ring.
fn relativistic_areas(v: RelativisticView, radius: Cubic) {
    for (var n = 0u; n < RELATIVISTIC_ANGLES; n += 3u) {
        let number = 2u + v.law * RELATIVISTIC_ANGLES + n;
        room_scratch[301u + n] = relativistic_image(v, radius, number);
        room_scratch[302u + n] = relativistic_image(v, radius, number + 1u);
        room_scratch[303u + n] = relativistic_image(v, radius, number + 2u);
    }
    // One beyond both ends, where the function is even.
    room_scratch[300] = room_scratch[302];
    room_scratch[301u + RELATIVISTIC_ANGLES] = room_scratch[299u + RELATIVISTIC_ANGLES];
}

// Adds the k-th annulus, whose areas are in room_scratch.
fn relativistic_add(c: Relativistic, a: ptr<private, Room>, k: u32, most: f32) {
    let red = vec2<f32>(room_scratch[k], room_scratch[k + 1u]);
    let blue = vec2<f32>(room_scratch[100u + k], room_scratch[101u + k]);
    let extent = max(blue - red, vec2<f32>(1e-12));
    let weight = room_scratch[200u + k] / most * 4.0 / max(extent.x + extent.y, 1e-12);
    let low = min(red.x, red.y);
    let high = max(blue.x, blue.y);
    for (var piece = 0u; piece < 4u; piece++) {
        let from_y = c.corner[piece];
        let to_y = c.corner[piece + 1u];
        let length = to_y - from_y;
        if to_y < low || from_y > high || length < 1e-6 {
            continue;
        }
        let own = RelativisticAnnulus(weight, from_y - red, blue - to_y, 2.0 / extent);
        // Points between the ends of the annulus.
        let begin = relativistic_first(c, length, low - from_y);
        let behind = min(relativistic_first(c, length, high - from_y) + 3u, 60u);
        for (var n = begin; n < behind; n++) {
            relativistic_point(c, a, piece, n, own);
        }
    }
}

// Integrates the line from its densities, and makes it one photon; returns the photons that there were.
fn relativistic_finish(c: Relativistic, a: ptr<private, Room>) -> f32 {
    var total = 0.0;
    for (var piece = 0u; piece < 4u; piece++) {
        let extent = c.corner[piece + 1u] - c.corner[piece];
        let at = piece * 120u;
        (*a)[at] = relativistic_beyond((*a)[at + 1u], (*a)[at + 2u], (*a)[at + 3u]);
        (*a)[at + 59u] = relativistic_beyond((*a)[at + 58u], (*a)[at + 57u], (*a)[at + 56u]);
        for (var k = 0; k < 59; k++) {
            let inner_rate = 13.0 * (relativistic_rate(a, piece, k, extent) + relativistic_rate(a, piece, k + 1, extent))
                - relativistic_rate(a, piece, k - 1, extent) - relativistic_rate(a, piece, k + 2, extent);
            let between = max(inner_rate, 0.0) * (1.5707963 / 59.0 / 24.0);
            (*a)[at + 60u + u32(k)] = between;
            total += between;
        }
    }
    let inverse = 1.0 / max(total, 1e-37);
    for (var k = 0u; k < 480u; k += 4u) {
        (*a)[k] *= inverse;
        (*a)[k + 1u] *= inverse;
        (*a)[k + 2u] *= inverse;
        (*a)[k + 3u] *= inverse;
    }
    return total;
}

fn relativistic_new(d: RelativisticDisc, t: u32, a: ptr<private, Room>) -> Relativistic {
    let v = relativistic_view(d, t);
    let rings = relativistic_annuli(v, 0u, RELATIVISTIC_RINGS, RELATIVISTIC_RINGS);
    var c = relativistic_rings(v, rings, a);
    c.exact = relativistic_corners(v, clamp(d.tilt, 1.0, 89.0), c);
    // Weights have a common scale, so that sums stay in range.
    var most = 1e-37;
    for (var k = 0u; k < RELATIVISTIC_RINGS; k += 4u) {
        most = max(most, max(max(room_scratch[200u + k], room_scratch[201u + k]), max(room_scratch[202u + k], room_scratch[203u + k])));
    }
    for (var k = 0u; k < RELATIVISTIC_RINGS; k++) {
        relativistic_areas(v, relativistic_radius(v, rings.first, rings.step, f32(k) + 0.5));
        relativistic_add(c, a, k, most);
    }
    _ = relativistic_finish(c, a);
    // NaN outside of what the table was made for.
    c.norm = select(bitcast<f32>(0x7fc00000u + v.law), v.photons, v.allowed);
    return c;
}

// A line at an energy, redshifted.
fn relativistic_line(d: RelativisticDisc, t: u32, a: ptr<private, Room>, energy: f32, redshift: f32, norm: f32) -> Relativistic {
    var c = relativistic_new(d, t, a);
    let z = stretch(redshift);
    let at_rest = max(energy, 1e-3);
    c.energy = at_rest / z;
    let own = pair_of(c.energy, quotient_rest(at_rest, z, redshift - (z - 1.0), c.energy));
    for (var k = 0u; k < 5u; k++) {
        c.exact[k] = pair_times(own, c.exact[k]);
    }
    c.norm *= norm;
    return c;
}

// laor, laor2, kdblur, kdblur2: index, radii and inclination are the four parameters from p; `two`: break and index beyond follow.
fn relativistic_laor(p: u32, two: bool) -> RelativisticDisc {
    var light = vec3<f32>(par(p), par(p), 10.0);
    if two {
        light = vec3<f32>(par(p), par(p + 5u), par(p + 4u));
    }
    return RelativisticDisc(0.998, par(p + 3u), par(p + 1u), par(p + 2u), false, 1.0, 0u, light, false);
}

// relline, relconv, kerrdisk, kerrconv: indices, break, spin, inclination and radii are the seven parameters from p.
fn relativistic_broken(p: u32, stable: bool, limb: f32) -> RelativisticDisc {
    return RelativisticDisc(par(p + 3u), par(p + 4u), par(p + 5u), par(p + 6u), stable, limb, 0u, vec3<f32>(par(p), par(p + 1u), par(p + 2u)), false);
}

fn laor_setup(p: u32, t: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_line(relativistic_laor(p + 1u, false), t, a, par(p), 0.0, par(p + 5u));
}

fn laor2_setup(p: u32, t: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_line(relativistic_laor(p + 1u, true), t, a, par(p), 0.0, par(p + 7u));
}

fn relline_setup(p: u32, t: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_line(relativistic_broken(p + 1u, false, par(p + 9u)), t, a, par(p), par(p + 8u), par(p + 10u));
}

fn kerrdisk_setup(p: u32, t: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_line(relativistic_broken(p + 1u, true, 1.0), t, a, par(p), par(p + 8u), par(p + 9u));
}

fn relline_lp_setup(p: u32, t: u32, a: ptr<private, Room>) -> Relativistic {
    let d = RelativisticDisc(par(p + 2u), par(p + 3u), par(p + 4u), par(p + 5u), false, par(p + 7u), 1u,
        vec3<f32>(par(p + 1u), 0.0, par(p + 8u)), par(p + 9u) > 0.5);
    return relativistic_line(d, t, a, par(p), par(p + 6u), par(p + 10u));
}

fn kdblur_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_new(relativistic_laor(p, false), t, a);
}

fn kdblur2_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_new(relativistic_laor(p, true), t, a);
}

fn relconv_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_new(relativistic_broken(p, false, par(p + 7u)), t, a);
}

fn kerrconv_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Relativistic {
    return relativistic_new(relativistic_broken(p, true, 1.0), t, a);
}

fn relconv_lp_setup(p: u32, t: u32, slot: u32, a: ptr<private, Room>) -> Relativistic {
    let d = RelativisticDisc(par(p + 2u), par(p + 3u), par(p + 4u), par(p + 5u), false, par(p + 6u), 1u,
        vec3<f32>(par(p), par(p + 1u), par(p + 7u)), par(p + 8u) > 0.5);
    return relativistic_new(d, t, a);
}

// A stretch of the line between two points: number of it, where it begins and ends, from the y that is looked at, its length, its first density and its
// last in photons per stretch, photons in it.
struct RelativisticStretch { number: u32, start: f32, end: f32, step: f32, rise: f32, fall: f32, all: f32 }

// Where the n-th point of a piece is, by the nearer end of it: shares from both ends are the same.
fn relativistic_at(c: Relativistic, from_y: f32, to_y: f32, n: u32) -> f32 {
    if n < 30u {
        return from_y + (to_y - from_y) * table(c.shares + n);
    }
    return to_y - (to_y - from_y) * table(c.shares + 59u - n);
}

// The stretch that holds a y between the line's ends, `offset` from that which is looked at; `beyond`: how far that is beyond the corners.
fn relativistic_stretch(c: Relativistic, a: ptr<private, Room>, beyond: array<f32, 5>, offset: f32) -> RelativisticStretch {
    var away = beyond;
    let piece = u32(away[1] + offset >= 0.0) + u32(away[2] + offset >= 0.0) + u32(away[3] + offset >= 0.0);
    let from_y = -away[piece];
    let to_y = -away[piece + 1u];
    let below = max(offset - from_y, 0.0);
    let above = max(to_y - offset, 0.0);
    var k = min(u32(arctan_positive(sqrt(below / max(above, 1e-30))) * (59.0 / 1.5707963)), 58u);
    // Roundings of the angle.
    if k > 0u && offset < relativistic_at(c, from_y, to_y, k) {
        k -= 1u;
    }
    if k < 58u && offset >= relativistic_at(c, from_y, to_y, k + 1u) {
        k += 1u;
    }
    let near = select(59u - k, k + 1u, k < 30u);
    let far = select(58u - k, k, k < 30u);
    let step = max((to_y - from_y) * abs(table(c.shares + near) - table(c.shares + far)), 1e-30);
    let at = piece * 120u + k;
    let all = (*a)[at + 60u];
    // Held so that the cubic never falls.
    return RelativisticStretch(piece * 59u + k, relativistic_at(c, from_y, to_y, k), relativistic_at(c, from_y, to_y, k + 1u), step,
        min((*a)[at] * step, 3.0 * all), min((*a)[at + 1u] * step, 3.0 * all), all);
}

// Photons of a part of a stretch: its middle and length in units of the stretch.
fn relativistic_part(s: RelativisticStretch, middle: f32, length: f32) -> f32 {
    let linear = 2.0 * (3.0 * s.all - 2.0 * s.rise - s.fall);
    let square = 3.0 * (s.rise + s.fall - 2.0 * s.all);
    return max(length * (s.rise + middle * (linear + middle * square) + square * length * length / 12.0), 0.0);
}

// Share of the line within half a width of a y that is so far beyond the corners.
fn relativistic_share(c: Relativistic, a: ptr<private, Room>, beyond: array<f32, 5>, half: f32) -> f32 {
    // From y, so that narrow bins keep their digits.
    let low = max(-half, -beyond[0]);
    let high = min(half, -beyond[4]);
    if low >= high {
        return 0.0;
    }
    let s = relativistic_stretch(c, a, beyond, low);
    let e = relativistic_stretch(c, a, beyond, high);
    if s.number == e.number {
        return relativistic_part(s, (0.5 * (low + high) - s.start) / s.step, (high - low) / s.step);
    }
    let rest = clamp((s.end - low) / s.step, 0.0, 1.0);
    let begun = clamp((high - e.start) / e.step, 0.0, 1.0);
    var between = 0.0;
    for (var n = s.number + 1u; n < e.number; n++) {
        between += (*a)[n / 59u * 120u + 60u + n % 59u];
    }
    return relativistic_part(s, 1.0 - 0.5 * rest, rest) + between + relativistic_part(e, 0.5 * begun, begun);
}

fn relativistic_value(c: Relativistic, a: ptr<private, Room>, i: u32) -> f32 {
    let inverse = 1.0 / c.energy;
    var beyond: array<f32, 5>;
    for (var k = 0u; k < 5u; k++) {
        beyond[k] = ((mid_hi(i) - c.exact[k].x) + (mid_lo(i) - c.exact[k].y)) * inverse;
    }
    return c.norm * relativistic_share(c, a, beyond, 0.5 * width(i) * inverse);
}
