// apec, vapec, vvapec, bapec, bvapec, bvvapec: linear in kT between two nodes; smooth part on knots in ln E, lines as exact
// Gaussian integrals over the lines in reach of the bin, and triangles of the pseudo-continuum among them.
// table: see crates/rontgen-model/src/model/components/plasma/layout.rs.

struct Plasma {
    weight: array<f32, 30>,
    element_weight: array<f32, 30>,
    // sigma / E by element for the node below, then for the one above.
    spread: array<f32, 60>,
    node: u32,
    share_below: f32,
    share_above: f32,
    broad: bool,
    // 1 + z in two parts, and its logarithm.
    stretch: f32,
    stretch_low: f32,
    ln_stretch: f32,
    nodes: u32,
    groups: u32,
    knots: u32,
    lines: u32,
    first: u32,
    smooth_part: u32,
    line_part: u32,
}

fn plasma_new(p: u32, t: u32, abundances: u32, broad: bool) -> Plasma {
    var c: Plasma;
    c.nodes = u32(table(t));
    c.groups = u32(table(t + 1u));
    c.knots = u32(table(t + 2u));
    c.lines = u32(table(t + 11u));
    c.first = t;
    c.smooth_part = t + 16u + 2u * c.nodes + 1u + 60u;
    c.line_part = c.smooth_part + c.nodes * c.groups * c.knots;
    c.broad = broad;
    // Without a parameter of its own, the first group is at 1.
    for (var k = 0u; k < 30u; k++) {
        c.weight[k] = 1.0;
    }
    let skipped = select(1u, 0u, abundances == 30u);
    for (var k = 0u; k < abundances; k++) {
        c.weight[skipped + k] = par(p + 1u + k);
    }
    let redshift = par(p + abundances + 1u);
    c.stretch = stretch(redshift);
    c.stretch_low = select(redshift - (c.stretch - 1.0), 0.0, redshift < -0.999);
    c.ln_stretch = log_1p(max(redshift, -0.999));
    var beta = 0.0;
    var norm = par(p + abundances + 2u);
    if broad {
        beta = par(p + abundances + 2u) / 299792.458;
        norm = par(p + abundances + 3u);
    }
    let kt = par(p);
    var below = 0u;
    while below + 2u < c.nodes && table(t + 17u + below) <= kt {
        below++;
    }
    let kt_below = table(t + 16u + below);
    let kt_above = table(t + 17u + below);
    let above = clamp((kt - kt_below) / (kt_above - kt_below), 0.0, 1.0);
    c.node = below;
    c.share_below = norm / c.stretch * (1.0 - above);
    c.share_above = norm / c.stretch * above;
    let elements = t + 16u + 2u * c.nodes + 1u;
    for (var k = 0u; k < 30u; k++) {
        c.element_weight[k] = c.weight[u32(table(elements + k))];
        let inverse_mass = table(elements + 30u + k);
        c.spread[k] = sqrt(kt_below * inverse_mass + beta * beta);
        c.spread[30u + k] = sqrt(kt_above * inverse_mass + beta * beta);
    }
    return c;
}

fn apec_setup(p: u32, t: u32) -> Plasma { return plasma_new(p, t, 1u, false); }
fn vapec_setup(p: u32, t: u32) -> Plasma { return plasma_new(p, t, 13u, false); }
fn vvapec_setup(p: u32, t: u32) -> Plasma { return plasma_new(p, t, 30u, false); }
fn bapec_setup(p: u32, t: u32) -> Plasma { return plasma_new(p, t, 1u, true); }
fn bvapec_setup(p: u32, t: u32) -> Plasma { return plasma_new(p, t, 13u, true); }
fn bvvapec_setup(p: u32, t: u32) -> Plasma { return plasma_new(p, t, 30u, true); }

// Position of ln E in units of knots.
fn plasma_place(t: u32, x: f32) -> f32 {
    let a = table(t + 3u);
    let b = table(t + 5u);
    let d = table(t + 7u);
    let e = table(t + 9u);
    return (clamp(x, a, b) - a) * table(t + 4u) + (clamp(x, b, d) - b) * table(t + 6u)
        + (clamp(x, d, e) - d) * table(t + 8u);
}

fn plasma_density(weight: ptr<function, array<f32, 30>>, c: Plasma, place: f32) -> f32 {
    let knot = min(u32(place), c.knots - 2u);
    let t = place - f32(knot);
    var below = 0.0;
    var above = 0.0;
    for (var k = 0u; k < c.groups; k++) {
        let at = c.smooth_part + (c.node * c.groups + k) * c.knots + knot;
        let next = at + c.groups * c.knots;
        let w = (*weight)[k];
        below += w * (table(at) + t * (table(at + 1u) - table(at)));
        above += w * (table(next) + t * (table(next + 1u) - table(next)));
    }
    return c.share_below * below + c.share_above * above;
}

// The mean over a stretch that is no longer than the distance of two knots, around ln E: at its middle, or those of its parts on both
// sides of a knot.
fn plasma_mean(weight: ptr<function, array<f32, 30>>, c: Plasma, x: f32, extent: f32) -> f32 {
    let place = plasma_place(c.first, x);
    let knot = round(place);
    let first = table(c.first + 14u);
    let last = table(c.first + 15u);
    let length = extent * table(c.first + select(4u, 10u, place > first && place < last));
    let beyond = 0.5 * length - abs(place - knot);
    // Where the segments meet, distances differ, and there are no kinks.
    if beyond <= 0.0 || knot == first || knot == last {
        return plasma_density(weight, c, place);
    }
    let outward = select(-0.5, 0.5, place < knot);
    let share = beyond / length;
    return share * plasma_density(weight, c, knot + outward * beyond)
        + (1.0 - share) * plasma_density(weight, c, knot - outward * (length - beyond));
}

fn plasma_smooth(c: Plasma, i: u32) -> f32 {
    var weight = c.weight;
    // The tables end, and the knots a little later.
    let lower = ln_mid(i) + c.ln_stretch - 0.5 * log_width(i);
    let extent = clamp(table(c.first + 13u) - lower, 0.0, log_width(i));
    let parts = max(ceil(extent * table(c.first + 10u)), 1.0);
    let part = extent / parts;
    let start = lower + 0.5 * part;
    var sum = 0.0;
    for (var k = 0.0; k < parts; k += 1.0) {
        sum += plasma_mean(&weight, c, start + k * part, part);
    }
    return sum * part;
}

// The first of the lines low .. high with an energy of at least e.
fn plasma_search(column: u32, from_line: u32, to_line: u32, e: f32) -> u32 {
    var low = from_line;
    var high = to_line;
    while low < high {
        let middle = (low + high) / 2u;
        if table(column + middle) < e {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// sigma / E of the lightest element with lines from an energy on: those of a hydrogen-like ion end at 13.6 eV Z^2.
fn plasma_broadest(spread: ptr<function, array<f32, 60>>, side: u32, e: f32) -> f32 {
    let lightest = u32(ceil(sqrt(max(e / 0.0138, 1.0)))) - 1u;
    return (*spread)[side * 30u + min(lightest, 29u)];
}

// The part between from_place and to_place of a triangle that rises over a to its peak at 0 and falls over b.
fn plasma_triangle(from_place: f32, to_place: f32, a: f32, b: f32) -> f32 {
    let l0 = clamp(from_place, -a, 0.0);
    let l1 = clamp(to_place, -a, 0.0);
    let r0 = clamp(from_place, 0.0, b);
    let r1 = clamp(to_place, 0.0, b);
    return 2.0 / (a + b) * ((l1 - l0) * (0.5 * (l0 + l1) + a) / a + (r1 - r0) * (b - 0.5 * (r0 + r1)) / b);
}

fn plasma_lines(c: Plasma, i: u32, side: u32, middle: vec2<f32>, extent: f32) -> f32 {
    var spread = c.spread;
    var weight = c.element_weight;
    let starts = c.first + 16u + c.nodes + c.node + side;
    let from_line = u32(table(starts));
    let to_line = u32(table(starts + 1u));
    let half = 0.5 * extent;
    // What the sides of triangles and the reach of lines ask for; a little more for f32's rounding.
    let longest = table(c.first + 12u) + 1e-6;
    var lowest = (middle.x - half - 0.00215) / (1.0 + longest);
    var highest = (middle.x + half + 0.00215) / (1.0 - longest);
    if c.broad {
        let broadest = 5.5 * plasma_broadest(&spread, side, 0.8 * (middle.x - half));
        lowest = min(lowest, (middle.x - half) / (1.0 + broadest));
        highest = max(highest, (middle.x + half) / max(1.0 - broadest, 0.1));
    }
    var sum = 0.0;
    for (var l = plasma_search(c.line_part, from_line, to_line, lowest); l < to_line; l++) {
        let at = c.line_part + l;
        let energy = table(at);
        if energy > highest {
            break;
        }
        let kind = u32(table(at + 4u * c.lines));
        let element = min(kind % 32u, 29u);
        let photons = table(at + 2u * c.lines) * weight[element];
        if kind >= 32u {
            let place = (middle.x - energy) + middle.y;
            sum += photons
                * plasma_triangle(place - half, place + half, table(at + 3u * c.lines), table(at + c.lines));
            continue;
        }
        let distance = (middle.x - energy) + (middle.y - table(at + c.lines));
        if c.broad {
            let sigma = spread[side * 30u + element] * energy;
            if abs(distance) - half < table(at + 3u * c.lines) * sigma {
                sum += photons * normal_area(abs(distance) / sigma, half / sigma);
            }
        } else if distance <= half && -distance < half {
            sum += photons;
        }
    }
    return sum;
}

fn plasma_value(c: Plasma, i: u32) -> f32 {
    // The bin's middle where the plasma is, in two parts.
    let middle = product_parts(mid_hi(i), c.stretch);
    let rest = middle.y + (mid_hi(i) * c.stretch_low + mid_lo(i) * c.stretch);
    let extent = width(i) * c.stretch;
    var sum = plasma_smooth(c, i);
    if c.share_below > 0.0 {
        sum += c.share_below * plasma_lines(c, i, 0u, vec2<f32>(middle.x, rest), extent);
    }
    if c.share_above > 0.0 {
        sum += c.share_above * plasma_lines(c, i, 1u, vec2<f32>(middle.x, rest), extent);
    }
    // Triangles below a kink are negative; where a bin has next to nothing, rounding may leave less than that.
    return select(sum, 0.0, sum < 0.0);
}
