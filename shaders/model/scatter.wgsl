// simpl: a fraction of the photons scattered into a power law above (and below) their energy.

struct Scatter { fraction: f32, up: f32, down: f32, slope: f32, down_slope: f32, ln_reference: f32 }

fn simpl_setup(p: u32, t: u32, slot: u32) -> Scatter {
    let gamma = max(par(p), 1.000001);
    var up = 1.0;
    var down = 0.0;
    if par(p + 2u) <= 0.0 {
        up = (gamma + 2.0) / (1.0 + 2.0 * gamma);
        down = (gamma - 1.0) / (1.0 + 2.0 * gamma);
    }
    let ln_reference = 0.5 * (log(edge_lo(0u)) + log(edge_hi(energies() - 1u)));
    return Scatter(par(p + 1u), up, down, 1.0 - gamma, 2.0 + gamma, ln_reference);
}

// ln of the middle of a bin over the reference.
fn scatter_place(c: Scatter, k: u32) -> f32 {
    let h = half_ratio(k);
    return ln_mid(k) - c.ln_reference - 0.5 * log_1p(-h * h);
}

fn scatter_part(slope: f32, y: f32, i: u32) -> f32 {
    let l = log_width(i);
    return safe_exp(slope * y) * l * sinhc(0.5 * slope * l);
}

fn scatter_value(c: Scatter, slot: u32, i: u32) -> f32 {
    var below = 0.0;
    for (var k = 0u; k < i; k++) {
        below += source(slot, k) * safe_exp(-c.slope * scatter_place(c, k));
    }
    var above = 0.0;
    if c.down > 0.0 {
        for (var k = i + 1u; k < energies(); k++) {
            above += source(slot, k) * safe_exp(-c.down_slope * scatter_place(c, k));
        }
    }
    let h = half_ratio(i);
    let half = 0.5 * log_width(i);
    let bend = 0.5 * log_1p(-h * h);
    let stays = -c.up * exp_m1(c.slope * (half + bend)) - c.down * exp_m1(c.down_slope * (bend - half));
    let y = ln_mid(i) - c.ln_reference;
    let moved = c.up * -c.slope * below * scatter_part(c.slope, y, i)
        + c.down * c.down_slope * above * scatter_part(c.down_slope, y, i);
    return source(slot, i) * (1.0 - c.fraction + c.fraction * stays) + c.fraction * moved;
}
