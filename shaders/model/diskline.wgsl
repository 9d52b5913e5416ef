// diskline: 999 rings, each solved for the angles that fall into a bin; see diskline.rs.

struct DiskLine {
    energy: f32,
    power: f32,
    sine: f32,
    square: f32,
    inner: f32,
    outer: f32,
    ln_inner: f32,
    ln_range: f32,
    ln_reference: f32,
    norm: f32,
    lowest: f32,
    highest: f32,
}

// Emissivity times r^2, relative to its largest value.
fn diskline_emissivity(c: DiskLine, ln_r: f32) -> f32 {
    if c.power >= 10.0 {
        return max(1.0 - sqrt(6.0 * safe_exp(-ln_r)), 0.0) * safe_exp(c.ln_inner - ln_r);
    }
    return safe_exp((c.power + 2.0) * (ln_r - c.ln_reference));
}

// The sine of an inclination (degrees): that of a device may be 5e-7 off, which moves the line's horns by a hundredth of a bin of 0.5 eV.
fn diskline_sine(degrees: f32) -> f32 {
    let a = clamp(degrees, 0.0, 90.0) * 0.017453293;
    let s = a * a;
    return a * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0 * (1.0 - s / 156.0))))));
}

// Emissivity, radii and inclination are the four parameters from p.
fn diskline_new(energy: f32, p: u32) -> DiskLine {
    let inner = max(par(p + 1u), 6.0);
    let outer = max(par(p + 2u), inner * 1.001);
    let sine = clamp(diskline_sine(par(p + 3u)), 1e-3, 1.0);
    let fastest = sine / sqrt(inner - 2.0);
    var c = DiskLine(energy, par(p), sine, sine * sine, inner, outer, log(inner), log(outer / inner), 0.0, 0.0,
        energy * sqrt(1.0 - 3.0 / inner) / (1.0 + fastest), energy / (1.0 - fastest));
    c.ln_reference = select(c.ln_inner, log(outer), c.power + 2.0 > 0.0);
    return c;
}

// The mean of two radii in geometric progression.
fn diskline_ln_r(c: DiskLine, k: u32) -> f32 {
    let half = c.ln_range / 1998.0;
    return c.ln_inner + half * (2.0 * f32(k) + 1.0) + 0.5 * half * half;
}

fn diskline_cubes(r: f32, c: DiskLine, u: f32) -> f32 {
    let x = c.sine * u / sqrt(r - 2.0 + 2.0 * c.square * (1.0 - u * u));
    let a = 1.0 / (1.0 + x);
    let b = 1.0 / (1.0 - x);
    return a * a * a + b * b * b;
}

// All photons of a ring.
fn diskline_whole(c: DiskLine, k: u32) -> f32 {
    let ln_r = diskline_ln_r(c, k);
    let r = safe_exp(ln_r);
    // Sines of pi/2 times the Gauss-Legendre nodes.
    let sum = 0.36268378 * diskline_cubes(r, c, 0.28416792) + 0.31370665 * diskline_cubes(r, c, 0.73488994)
        + 0.22238103 * diskline_cubes(r, c, 0.94942538) + 0.10122854 * diskline_cubes(r, c, 0.99805521);
    let slow = 1.0 - 3.0 / r;
    return sum * slow * sqrt(slow) * diskline_emissivity(c, ln_r);
}

fn diskline_setup(p: u32, t: u32) -> DiskLine {
    var c = diskline_new(max(par(p), 1e-3), p + 1u);
    var total = 0.0;
    for (var k = 0u; k < 999u; k += 9u) {
        total += (diskline_whole(c, k) + diskline_whole(c, k + 1u) + diskline_whole(c, k + 2u))
            + (diskline_whole(c, k + 3u) + diskline_whole(c, k + 4u) + diskline_whole(c, k + 5u))
            + (diskline_whole(c, k + 6u) + diskline_whole(c, k + 7u) + diskline_whole(c, k + 8u));
    }
    c.norm = par(p + 5u) / max(total * 1.5707963, 1e-30);
    return c;
}

// g^-1 sqrt(1 - 3/r) at the sine of an angle.
fn diskline_over(c: DiskLine, spread: f32, u: f32) -> f32 {
    let part = c.sine * u;
    return 1.0 + part / sqrt(spread - 2.0 * part * part);
}

// Sine, cosine and angle at a y.
fn diskline_ray(c: DiskLine, spread: f32, root: f32, y: f32) -> vec3<f32> {
    let y2 = y * y;
    let rest = c.square + y2 * (2.0 * c.square - spread);
    if rest <= 0.0 {
        return vec3<f32>(sign(y), 0.0, sign(y) * 1.5707963);
    }
    let along = sqrt(rest);
    let whole = c.sine * sqrt(1.0 + 2.0 * y2);
    let u = min(abs(y) * root / whole, 1.0);
    let angle = arctan_positive(abs(y) * root / max(along, 1e-18));
    return vec3<f32>(select(u, -u, y < 0.0), along / whole, select(angle, -angle, y < 0.0));
}

fn diskline_cube(over: f32) -> f32 {
    return 1.0 / (over * over * over);
}

// What a ring sends between two energies, given (LineE - E)/E at both: Simpson's rule in the angle.
fn diskline_ring(c: DiskLine, k: u32, at_lower: f32, at_upper: f32) -> f32 {
    let ln_r = diskline_ln_r(c, k);
    let r = safe_exp(ln_r);
    let slow = sqrt(1.0 - 3.0 / r);
    let lost = 3.0 / r / (1.0 + slow);
    let top = at_lower - lost * (1.0 + at_lower);
    let bottom = at_upper - lost * (1.0 + at_upper);
    let most = 1.00001 * c.sine / sqrt(r - 2.0);
    if bottom > most || top < -most {
        return 0.0;
    }
    if bottom < -most && top > most {
        return diskline_whole(c, k) * 1.5707963;
    }
    let spread = r - 2.0 + 2.0 * c.square;
    let root = sqrt(spread);
    let a = diskline_ray(c, spread, root, bottom);
    let b = diskline_ray(c, spread, root, top);
    let cosine = sqrt(max(0.5 * (1.0 + a.y * b.y + a.x * b.x), 1e-12));
    let middle = clamp(0.5 * (a.x + b.x) / cosine, -1.0, 1.0);
    let sum = diskline_cube(diskline_over(c, spread, a.x)) + diskline_cube(diskline_over(c, spread, b.x))
        + 4.0 * diskline_cube(diskline_over(c, spread, middle));
    return diskline_emissivity(c, ln_r) * slow * slow * slow * max(b.z - a.z, 0.0) * sum / 6.0;
}

fn diskline_three(c: DiskLine, k: u32, at_lower: f32, at_upper: f32) -> f32 {
    return diskline_ring(c, k, at_lower, at_upper) + diskline_ring(c, k + 1u, at_lower, at_upper)
        + diskline_ring(c, k + 2u, at_lower, at_upper);
}

fn diskline_value(c: DiskLine, i: u32) -> f32 {
    if edge_lo(i) > c.highest || edge_hi(i) < c.lowest {
        return 0.0;
    }
    let distance = (c.energy - mid_hi(i)) - mid_lo(i);
    // Parts of a bin of at most 2 %; no more than eight, for the same reason as below.
    let parts = clamp(ceil(width(i) / max(edge_lo(i), 1e-30) * 50.0), 1.0, 8.0);
    var sum = 0.0;
    for (var part = 0.0; part < parts; part += 1.0) {
        let start = width(i) * (part / parts - 0.5);
        let end = width(i) * ((part + 1.0) / parts - 0.5);
        let at_lower = (distance - start) / (mid_hi(i) + (mid_lo(i) + start));
        let at_upper = (distance - end) / (mid_hi(i) + (mid_lo(i) + end));
        // Nine at a time: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
        for (var k = 0u; k < 999u; k += 9u) {
            sum += diskline_three(c, k, at_lower, at_upper) + diskline_three(c, k + 3u, at_lower, at_upper)
                + diskline_three(c, k + 6u, at_lower, at_upper);
        }
    }
    return max(c.norm * sum, 0.0);
}
