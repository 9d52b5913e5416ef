// What falls on a disc around a rotating hole: a law, a lamp's light, and what comes back of it; see relativistic.wgsl.

fn relativistic_ln_emissivity(v: RelativisticView, r: f32) -> f32 {
    let ln = log(r / v.light.z);
    return -ln * select(v.light.y, v.light.x, ln < 0.0);
}

// dt/dtau of an observer at rest on the axis.
fn relativistic_risen(a: f32, h: f32) -> f32 {
    return sqrt((h * h + a * a) / ((h - 1.0) * (h - 1.0) - (1.0 - a) * (1.0 + a)));
}

// dt/dtau of the disc's matter over that of a lamp.
fn relativistic_shift(a: f32, beyond: f32, h: f32) -> f32 {
    let root = sqrt(1.0 + beyond);
    return (root * root * root + a) / (root * sqrt(root * relativistic_orbit(a, beyond))) / relativistic_risen(a, h);
}

// Emissivity times r^2 (1 - inside/r).
fn relativistic_emission(v: RelativisticView, beyond: f32, radius: Cubic) -> f32 {
    let r = 1.0 + beyond;
    let radial = r * (beyond - v.inside);
    if v.kind == 0u {
        return safe_exp(relativistic_ln_emissivity(v, r) - v.largest) * radial;
    }
    let h = v.light.x;
    let a = v.spin;
    // h r / (r^2 + h^2)^1.5, relative to h so that no power overflows.
    let x = r / h;
    let flat = x / (h * (1.0 + x * x) * sqrt(1.0 + x * x));
    let by_radius = safe_exp(relativistic_lamp(v, radius, 1u)) * flat;
    let root = sqrt(r);
    let d = beyond * beyond - (1.0 - a) * (1.0 + a);
    let rho = r * r + a * a;
    let velocity = (r * r - 2.0 * a * root + a * a) / (sqrt(d) * (r * root + a));
    let area = 6.2831853 * rho * sqrt((1.0 - a * a * d / rho / rho) / d / ((1.0 - velocity) * (1.0 + velocity)));
    var emissivity = by_radius / area * safe_exp(v.light.z * log(relativistic_shift(a, beyond, h)));
    if v.light.y > 0.0 {
        let doppler = sqrt((1.0 - v.light.y) * (1.0 + v.light.y)) / (1.0 + v.light.y * relativistic_lamp(v, radius, 0u));
        emissivity *= safe_exp((2.0 + v.light.z) * log(doppler));
    }
    if v.returning {
        let place = (log(beyond - v.inside) - v.grid_first) / v.grid_step * RELATIVISTIC_FINENESS - 0.5;
        if v.linear {
            let ring = clamp(place, 0.0, f32(RELATIVISTIC_LIGHT - 1u));
            let k = min(u32(ring), RELATIVISTIC_LIGHT - 2u);
            let low = room_scratch[350u + k];
            return emissivity * radial * (low + (room_scratch[351u + k] - low) * (ring - f32(k)));
        }
        let back = cubic_around(place, RELATIVISTIC_LIGHT);
        let n = 350u + back.first;
        let share = dot(back.weights, vec4<f32>(room_scratch[n], room_scratch[n + 1u], room_scratch[n + 2u], room_scratch[n + 3u]));
        emissivity *= 1.0 + max(share, 0.0);
    }
    return emissivity * radial;
}

// Rings of light per node of the radial grid.
const RELATIVISTIC_FINENESS = 50.0 / 67.0;

// Photons that a pair of rings exchanges, between the nodes of one photon index.
fn relativistic_pair(v: RelativisticView, at: u32, row: u32) -> f32 {
    var sum = v.spins.weights.x * table(at);
    if v.spins.count > 1u {
        sum += v.spins.weights.y * table(at + row) + v.spins.weights.z * table(at + 2u * row) + v.spins.weights.w * table(at + 3u * row);
    }
    return sum;
}

// Fills room_scratch from 350 with what returns to each ring over what the lamp sends there; returns whether the table has it. See returning.rs.
fn relativistic_returning(v: RelativisticView, inner: f32, outer: f32) -> bool {
    let start = u32(table(v.t + 22u));
    if start == 0u {
        return false;
    }
    let at = v.t + start;
    let index = v.light.z;
    let count = u32(table(at));
    // Weights of the photon indices: room_scratch from 460.
    for (var k = 0u; k < count; k++) {
        var weight = 1.0;
        for (var other = 0u; other < count; other++) {
            if other != k {
                weight *= (index - table(at + 3u + other)) / (table(at + 3u + k) - table(at + 3u + other));
            }
        }
        room_scratch[460u + k] = weight;
    }
    let from_place = (log(inner - v.inside) - v.grid_first) / v.grid_step * RELATIVISTIC_FINENESS;
    let to_place = (log(outer - v.inside) - v.grid_first) / v.grid_step * RELATIVISTIC_FINENESS;
    // What the lamp sends to each ring: from 400.
    for (var k = 0u; k < RELATIVISTIC_LIGHT; k++) {
        let place = (f32(k) + 0.5) / RELATIVISTIC_FINENESS;
        let beyond = v.inside + safe_exp(v.grid_first + v.grid_step * place);
        room_scratch[400u + k] =
            relativistic_emission(v, beyond, cubic_around(place, RELATIVISTIC_RADII)) / ((1.0 + beyond) * (beyond - v.inside));
        room_scratch[350u + k] = 0.0;
    }
    let row = count * RELATIVISTIC_PAIRS;
    for (var k = 0u; k < count; k++) {
        let weight = room_scratch[460u + k];
        let first = at + 3u + count + (v.spins.first * count + k) * RELATIVISTIC_PAIRS;
        for (var receiver = 0u; receiver < RELATIVISTIC_LIGHT; receiver++) {
            let pairs = first + receiver * RELATIVISTIC_LIGHT;
            var sum = 0.0;
            for (var n = 0u; n < RELATIVISTIC_LIGHT; n += 5u) {
                sum += relativistic_sent(v, n, from_place, to_place) * relativistic_pair(v, pairs + n, row)
                    + relativistic_sent(v, n + 1u, from_place, to_place) * relativistic_pair(v, pairs + n + 1u, row)
                    + relativistic_sent(v, n + 2u, from_place, to_place) * relativistic_pair(v, pairs + n + 2u, row)
                    + relativistic_sent(v, n + 3u, from_place, to_place) * relativistic_pair(v, pairs + n + 3u, row)
                    + relativistic_sent(v, n + 4u, from_place, to_place) * relativistic_pair(v, pairs + n + 4u, row);
            }
            room_scratch[350u + receiver] += weight * sum;
        }
    }
    for (var k = 0u; k < RELATIVISTIC_LIGHT; k++) {
        room_scratch[350u + k] /= max(room_scratch[400u + k], 1e-37);
    }
    return index >= table(at + 1u) && index <= table(at + 2u);
}

// Of a ring with an edge of the disc in it there is a part.
fn relativistic_sent(v: RelativisticView, k: u32, from_place: f32, to_place: f32) -> f32 {
    return room_scratch[400u + k] * clamp(min(to_place, f32(k + 1u)) - max(from_place, f32(k)), 0.0, 1.0);
}
