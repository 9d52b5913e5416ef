// diskline: 999 rings, each solved for the angles that fall into a bin.

struct DiskLine {
    energy: f32,
    power: f32,
    square: f32,
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

fn diskline_cube(r: f32, sine: f32, u: f32) -> f32 {
    let g = 1.0 / (1.0 + sine * u / sqrt(r - 2.0 + 2.0 * sine * sine * (1.0 - u * u)));
    return g * g * g;
}

fn diskline_setup(p: u32, t: u32) -> DiskLine {
    return diskline_new(max(par(p), 1e-3), p + 1u, par(p + 5u));
}

// Emissivity, radii and inclination are the four parameters from p.
fn diskline_new(energy: f32, p: u32, photons: f32) -> DiskLine {
    let inner = max(par(p + 1u), 6.0);
    let outer = max(par(p + 2u), inner * 1.001);
    let sine = clamp(sin(par(p + 3u) * 0.017453293), 1e-3, 1.0);
    let fastest = sine / sqrt(inner - 2.0);
    var c = DiskLine(energy, par(p), sine * sine, log(inner), log(outer / inner), 0.0, 1.0,
        energy * sqrt(1.0 - 3.0 / inner) / (1.0 + fastest), energy / (1.0 - fastest));
    c.ln_reference = select(log(inner), log(outer), c.power + 2.0 > 0.0);
    var total = 0.0;
    for (var k = 0u; k < 128u; k++) {
        let ln_r = c.ln_inner + c.ln_range * (f32(k) + 0.5) / 128.0;
        let r = safe_exp(ln_r);
        // Sines of pi/2 times the Gauss-Legendre nodes.
        let sum = 0.36268378 * (diskline_cube(r, sine, 0.28416792) + diskline_cube(r, sine, -0.28416792))
            + 0.31370665 * (diskline_cube(r, sine, 0.73488994) + diskline_cube(r, sine, -0.73488994))
            + 0.22238103 * (diskline_cube(r, sine, 0.94942538) + diskline_cube(r, sine, -0.94942538))
            + 0.10122854 * (diskline_cube(r, sine, 0.99805521) + diskline_cube(r, sine, -0.99805521));
        let slow = 1.0 - 3.0 / r;
        total += sum * slow * sqrt(slow) * diskline_emissivity(c, ln_r);
    }
    c.norm = photons / max(total * 1.5707963 / 128.0, 1e-30) / 999.0;
    return c;
}

fn diskline_angle(c: DiskLine, over: f32, slow: f32, spread: f32, root: f32) -> f32 {
    let y = over * slow - 1.0;
    let rest = c.square + y * y * (2.0 * c.square - spread);
    let size = arctan_positive(abs(y) * root / sqrt(max(rest, 1e-24)));
    return select(size, -size, y < 0.0);
}

fn diskline_ring(c: DiskLine, k: u32, above: f32, below: f32) -> f32 {
    // The mean of two radii in geometric progression.
    let half = c.ln_range / 1998.0;
    let ln_r = c.ln_inner + half * (2.0 * f32(k) + 1.0) + 0.5 * half * half;
    let r = safe_exp(ln_r);
    let slow = sqrt(1.0 - 3.0 / r);
    let spread = r - 2.0 + 2.0 * c.square;
    let root = sqrt(spread);
    let angles = diskline_angle(c, above, slow, spread, root) - diskline_angle(c, below, slow, spread, root);
    return angles * diskline_emissivity(c, ln_r);
}

fn diskline_three(c: DiskLine, k: u32, above: f32, below: f32) -> f32 {
    return diskline_ring(c, k, above, below) + diskline_ring(c, k + 1u, above, below) + diskline_ring(c, k + 2u, above, below);
}

// Photons around an energy, in a bin of half its logarithmic width.
fn diskline_photons(c: DiskLine, e: f32, half: f32) -> f32 {
    let over = c.energy / e;
    let above = over + over * exp_m1(half);
    let below = over + over * exp_m1(-half);
    var sum = 0.0;
    // Nine at a time: Mesa's software rasteriser ends an invocation's loops after 65535 turns in all.
    for (var k = 0u; k < 999u; k += 9u) {
        sum += diskline_three(c, k, above, below) + diskline_three(c, k + 3u, above, below)
            + diskline_three(c, k + 6u, above, below);
    }
    let g = e / c.energy;
    return max(c.norm * sum * g * g * g, 0.0);
}

fn diskline_value(c: DiskLine, i: u32) -> f32 {
    if edge_lo(i) > c.highest || edge_hi(i) < c.lowest {
        return 0.0;
    }
    return diskline_photons(c, centre(i), 0.5 * log_width(i));
}
