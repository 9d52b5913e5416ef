// The zones of relxill's discs: of each the shares of the table's directions, its place among the cut-offs, and its line in cells; see zones.rs.
// In room_scratch beside what the line has there: directions from 400.

const REFLECTION_ANNULI = 7u;

var<private> reflection_room: Room;
var<private> reflection_line: Relativistic;
var<private> reflection_built: u32;
var<private> reflection_head: array<f32, 8>;

fn reflection_zones_setup() {
    reflection_built = 0xffffffffu;
}

// Photons of a ring over area times weight: g^3 of the areas in room_scratch from 300.
fn reflection_ring(red: f32, blue: f32) -> f32 {
    var sum = 0.0;
    for (var n = 0u; n < RELATIVISTIC_ANGLES; n++) {
        let last = n == 0u || n + 1u == RELATIVISTIC_ANGLES;
        // (1 - cos theta)/2.
        let half = 0.5 * cos_sin(3.1415927 * f32(n) / f32(RELATIVISTIC_ANGLES - 1u)).x;
        let g = 1.0 + red + (blue - red) * (0.5 - half);
        sum += select(1.0, 0.5, last) * g * g * g * room_scratch[301u + n];
    }
    return sum * 3.1415927 / f32(RELATIVISTIC_ANGLES - 1u);
}

// The cosine, from the way down, of the lamp's light that ends at a radius (beyond 1).
fn reflection_lamp_cosine(v: RelativisticView, beyond: f32) -> f32 {
    return relativistic_lamp(v, cubic_around((log(beyond - v.inside) - v.grid_first) / v.grid_step, RELATIVISTIC_RADII), 0u);
}

// The share of the lamp's light that ends on the disc. Of a narrow one the cosines at its edges are the same but for their last digits: cell by cell of the
// radial grid, what the cubics' weights change by.
fn reflection_reached(v: RelativisticView) -> f32 {
    let extent = log_1p((v.outer - v.inner) / (v.inner - v.inside)) / v.grid_step;
    if extent > 4.0 {
        return 0.5 * (reflection_lamp_cosine(v, v.inner) - reflection_lamp_cosine(v, v.outer));
    }
    let start = max((log(v.inner - v.inside) - v.grid_first) / v.grid_step, 0.0);
    let last = RELATIVISTIC_RADII - 3u;
    var k = clamp(u32(start), 1u, last);
    var passed = 0.0;
    var sum = 0.0;
    for (var turn = 0; turn < 6; turn++) {
        let t = start + passed - f32(k);
        var step = extent - passed;
        if k < last {
            step = min(step, max(1.0 - t, 0.0));
        }
        // The first three derivatives of the weights in cubic_around.
        let first = vec4<f32>((6.0 * t - 3.0 * t * t - 2.0) / 6.0, 0.5 * (3.0 * t * t - 4.0 * t - 1.0), 0.5 * (2.0 + 2.0 * t - 3.0 * t * t), (3.0 * t * t - 1.0) / 6.0);
        let second = vec4<f32>(1.0 - t, 3.0 * t - 2.0, 1.0 - 3.0 * t, t);
        let third = vec4<f32>(-1.0, 3.0, -3.0, 1.0);
        sum -= relativistic_lamp(v, Cubic(k - 1u, 4u, step * (first + step * (0.5 * second + step / 6.0 * third))), 0u);
        passed += step;
        k = min(k + 1u, last);
    }
    return 0.5 * sum;
}

fn reflection_build(zone: u32) {
    reflection_built = zone;
    var v = relativistic_view(reflection_disc(), REFLECTION_TABLE);
    if REFLECTION_RETURNING && reflection_switch() {
        v.returning = true;
        v.linear = true;
        for (var k = 0u; k < RELATIVISTIC_LIGHT; k++) {
            room_scratch[350u + k] = source(REFLECTION_RETURNING_SLOT, k);
        }
    }
    let rings = relativistic_annuli(v, zone * REFLECTION_ANNULI, REFLECTION_ANNULI, REFLECTION_ZONES * REFLECTION_ANNULI);
    var c = relativistic_rings(v, rings, &reflection_room);
    var most = 1e-37;
    for (var k = 0u; k < REFLECTION_ANNULI; k++) {
        most = max(most, room_scratch[200u + k]);
    }
    for (var n = 0u; n < REFLECTION_DIRECTIONS; n++) {
        room_scratch[400u + n] = 0.0;
    }
    let risen = select(1.0, relativistic_risen(v.spin, v.light.x), v.kind == 1u);
    var light = 0.0;
    var shifted = 0.0;
    for (var k = 0u; k < REFLECTION_ANNULI; k++) {
        let place = f32(rings.start + k) + 0.5;
        let radius = relativistic_radius(v, rings.first, rings.step, place);
        relativistic_areas(v, radius);
        relativistic_add(c, &reflection_room, k, most);
        let beyond = v.inside + safe_exp(rings.first + rings.step * place);
        let own = room_scratch[200u + k] * reflection_ring(relativistic_end(v, beyond, radius, 0u), relativistic_end(v, beyond, radius, 1u));
        for (var n = 0u; n < REFLECTION_DIRECTIONS; n++) {
            // Cubics may fall below 0 where no light leaves.
            room_scratch[400u + n] += own * max(relativistic_image(v, radius, 2u + RELATIVISTIC_ANGLES + n), 0.0);
        }
        light += own;
        if v.kind == 1u {
            shifted += own * log(relativistic_shift(v.spin, beyond, v.light.x));
        }
    }
    // As many as the line holds: the sum over rings above is another quadrature, 1e-4 from it.
    let sent = most * relativistic_finish(c, &reflection_room);
    reflection_line = c;
    var all = 0.0;
    for (var n = 0u; n < REFLECTION_DIRECTIONS; n++) {
        all += room_scratch[400u + n];
    }
    // Of the source, in its own frame.
    let index = reflection_index();
    let source_cut = reflection_cut() * select(risen, 1.0, REFLECTION_COMPTONISED);
    let cut = source_cut * safe_exp(shifted / max(light, 1e-37));
    var photons = sent;
    let size = abs(reflection_fraction());
    var factor = 0.5 * reflection_sine_cosine(clamp(reflection_tilt(), 1.0, 89.0)).y * size;
    var continuum = 1.0;
    if v.kind == 1u {
        // The table's incident light is normalised at the disc's cut-off, the lamp's at its own.
        photons *= safe_exp(reflection_ln_energy(index, cut) - reflection_ln_energy(index, source_cut));
        let infinity = 0.5 * (1.0 + min(reflection_lamp_cosine(v, 999.0), 0.0));
        factor = 0.5 * size * select(infinity / reflection_reached(v), 1.0, reflection_boost());
        continuum = 2.0 * infinity * safe_exp(-index * log(risen));
    }
    for (var n = 0u; n < REFLECTION_DIRECTIONS; n++) {
        room_scratch[400u + n] *= photons / max(all, 1e-37);
    }
    let place = reflection_place(4u, cut);
    let held = v.allowed && reflection_corners();
    let red = log(clamp(1.0 + c.corner[0], REFLECTION_REDDEST, REFLECTION_BLUEST)) / REFLECTION_STEP;
    let blue = log(clamp(1.0 + c.corner[4], REFLECTION_REDDEST, REFLECTION_BLUEST)) / REFLECTION_STEP;
    let first = floor(red + 0.5);
    reflection_head = array<f32, 8>(f32(place.low), place.share, first, floor(blue + 0.5) - first + 1.0, sent,
        select(reflection_nan(v.law), v.photons * factor, held), v.photons * continuum, risen);
}

// Numbers of the zones, one zone behind the other.
fn reflection_zones(i: u32) -> f32 {
    let zone = i / REFLECTION_ZONE_SIZE;
    if zone >= REFLECTION_ZONES {
        return 0.0;
    }
    if zone != reflection_built {
        reflection_build(zone);
    }
    let n = i % REFLECTION_ZONE_SIZE;
    if n < REFLECTION_DIRECTIONS {
        return room_scratch[400u + n];
    }
    let number = n - REFLECTION_DIRECTIONS;
    if number < REFLECTION_HEAD {
        return reflection_head[number];
    }
    let cell = number - REFLECTION_HEAD;
    if f32(cell) >= reflection_head[3] {
        return 0.0;
    }
    // The share of the line in a cell of ln g.
    let ln_g = REFLECTION_STEP * (reflection_head[2] + f32(cell));
    let square = 0.25 * REFLECTION_STEP * REFLECTION_STEP;
    let y = exp_m1(ln_g);
    let even = 0.5 * square * (1.0 + square / 12.0);
    let odd = 0.5 * REFLECTION_STEP * (1.0 + square / 6.0);
    let middle = y + (1.0 + y) * even;
    var beyond: array<f32, 5>;
    for (var k = 0u; k < 5u; k++) {
        beyond[k] = middle - reflection_line.corner[k];
    }
    return relativistic_share(reflection_line, &reflection_room, beyond, (1.0 + y) * odd);
}
