// Reflection by xillver's tables in stages: what all of them share. reflection/device.rs puts constants in front (REFLECTION_...: where numbers begin
// in the table, how many there are, steps) and functions that give parameters (reflection_index and so on).

// keV/cm2/s of a primary spectrum of norm 1; see primary.rs.
const REFLECTION_ENERGY = 496.6834;

// Nodes of an axis around a value, as the lower one and the share of the upper one.
struct ReflectionPlace { low: u32, share: f32 }

// An axis (0: photon index, 1: iron, 2: ionisation, 3: density, 4: cut-off, 5: angle): 5 numbers of it stand at REFLECTION_AXES: nodes, where they begin,
// whether logarithms count, least and largest value.
fn reflection_place(axis: u32, value: f32) -> ReflectionPlace {
    let at = REFLECTION_AXES + 5u * axis;
    let count = u32(table(at));
    let first = REFLECTION_AXES + u32(table(at + 1u));
    var low = 0u;
    while low + 1u < count && table(first + low + 1u) <= value {
        low++;
    }
    if low + 1u >= count {
        return ReflectionPlace(count - 1u, 0.0);
    }
    let a = table(first + low);
    let b = table(first + low + 1u);
    if table(at + 2u) > 0.5 && a > 0.0 {
        return ReflectionPlace(low, clamp(reflection_ln_ratio(value, a) / reflection_ln_ratio(b, a), 0.0, 1.0));
    }
    return ReflectionPlace(low, clamp((value - a) / (b - a), 0.0, 1.0));
}

// ln(x / a), by its distance from 0 where they are alike.
fn reflection_ln_ratio(x: f32, a: f32) -> f32 {
    return log_1p(max((x - a) / a, -0.999999));
}

// Whether an axis was kept for a value.
fn reflection_holds(axis: u32, value: f32) -> bool {
    let at = REFLECTION_AXES + 5u * axis;
    return value >= table(at + 3u) && value <= table(at + 4u);
}

// Of photon index, iron, ionisation and density.
fn reflection_value(role: u32) -> f32 {
    if role == 0u { return reflection_index(); }
    if role == 1u { return reflection_iron(); }
    if role == 2u { return reflection_ionisation(); }
    return reflection_density();
}

// The nodes of the first four axes around the spectrum's values, and their weights; see corners in excerpt.rs.
var<private> reflection_corner: array<u32, 16>;
var<private> reflection_weight: array<f32, 16>;

// Fills them; returns whether the table holds the values.
fn reflection_corners() -> bool {
    for (var k = 0u; k < 16u; k++) {
        reflection_corner[k] = 0u;
        reflection_weight[k] = 1.0;
    }
    var held = true;
    for (var role = 0u; role < 4u; role++) {
        let at = REFLECTION_AXES + 5u * role;
        let count = u32(table(at));
        let first = REFLECTION_AXES + u32(table(at + 1u));
        let value = reflection_value(role);
        held = held && reflection_holds(role, value);
        let place = reflection_place(role, value);
        let inside = clamp(value, table(first), table(first + count - 1u));
        for (var k = 0u; k < 16u; k++) {
            let upper = (k >> role) & 1u;
            let node = min(place.low + upper, count - 1u);
            var weight = select(1.0 - place.share, place.share, upper == 1u);
            if role >= 2u {
                weight *= safe_exp(2.3025851 * (table(first + node) - inside));
            }
            reflection_corner[k] = reflection_corner[k] * count + node;
            reflection_weight[k] *= weight;
        }
    }
    return held;
}

// ln of a primary spectrum's energy between its nodes of photon index and ln cut-off; see ln_energy in primary.rs.
fn reflection_ln_energy(index: f32, cut: f32) -> f32 {
    let at = REFLECTION_PRIMARY;
    var a = cubic_around((index - table(at)) / REFLECTION_INDEX_STEP, u32(table(at + 1u)));
    let columns = u32(table(at + 3u));
    let b = cubic_around((log(max(cut, 1.0)) - table(at + 2u)) / REFLECTION_CUT_STEP, columns);
    var sum = 0.0;
    for (var k = 0u; k < a.count; k++) {
        let row = at + 4u + (a.first + k) * columns + b.first;
        var own = table(row);
        if b.count > 1u {
            own = dot(b.weights, vec4<f32>(own, table(row + 1u), table(row + 2u), table(row + 3u)));
        }
        sum += a.weights[k] * own;
    }
    return sum;
}

// Numbers of a zone, one behind the other (a slab is one zone): shares of REFLECTION_DIRECTIONS directions, then these, then the line in cells.
const REFLECTION_CUT_LOW = 0u;
const REFLECTION_CUT_SHARE = 1u;
const REFLECTION_FIRST = 2u;
const REFLECTION_COUNT = 3u;
const REFLECTION_PHOTONS = 4u;
const REFLECTION_FACTOR = 5u;
const REFLECTION_CONTINUUM = 6u;
const REFLECTION_RISEN = 7u;
const REFLECTION_HEAD = 8u;

fn reflection_zone_number(zone: u32, number: u32) -> f32 {
    return source(REFLECTION_ZONES_SLOT, zone * REFLECTION_ZONE_SIZE + REFLECTION_DIRECTIONS + number);
}

// A number that is none.
fn reflection_nan(zero: u32) -> f32 {
    return bitcast<f32>(0x7fc00000u + zero);
}

// Sine and cosine of 0 to 90 degrees, by series: those of a device may be 5e-7 off.
fn reflection_sine_cosine(degrees: f32) -> vec2<f32> {
    let near = degrees <= 45.0;
    let a = clamp(select(90.0 - degrees, degrees, near), 0.0, 45.0) * 0.017453293;
    let s = a * a;
    let sine = a * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0))));
    let cosine = 1.0 - s / 2.0 * (1.0 - s / 12.0 * (1.0 - s / 30.0 * (1.0 - s / 56.0 * (1.0 - s / 90.0))));
    return select(vec2<f32>(cosine, sine), vec2<f32>(sine, cosine), near);
}
