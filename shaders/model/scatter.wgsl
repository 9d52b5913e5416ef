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
    scatter_next = 0u;
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

// The sums of the bin an invocation did last: the next bin's differ by one term each.
var<private> scatter_next: u32;
var<private> scatter_slot: u32;
var<private> scatter_below: f32;
var<private> scatter_above: f32;

fn scatter_up(c: Scatter, slot: u32, k: u32) -> f32 {
    return source(slot, k) * safe_exp(-c.slope * scatter_place(c, k));
}

fn scatter_down(c: Scatter, slot: u32, k: u32) -> f32 {
    return source(slot, k) * safe_exp(-c.down_slope * scatter_place(c, k));
}

fn scatter_value(c: Scatter, slot: u32, i: u32) -> f32 {
    if i > 0u && scatter_next == i && scatter_slot == slot {
        scatter_below += scatter_up(c, slot, i - 1u);
        scatter_above -= scatter_down(c, slot, i);
    } else {
        scatter_below = 0.0;
        for (var k = 0u; k < i; k++) {
            scatter_below += scatter_up(c, slot, k);
        }
        scatter_above = 0.0;
        if c.down > 0.0 {
            for (var k = energies() - 1u; k > i; k--) {
                scatter_above += scatter_down(c, slot, k);
            }
        }
    }
    scatter_next = i + 1u;
    scatter_slot = slot;
    let below = scatter_below;
    let above = select(0.0, max(scatter_above, 0.0), c.down > 0.0);
    let h = half_ratio(i);
    let half = 0.5 * log_width(i);
    let bend = 0.5 * log_1p(-h * h);
    let stays = -c.up * exp_m1(c.slope * (half + bend)) - c.down * exp_m1(c.down_slope * (bend - half));
    let y = ln_mid(i) - c.ln_reference;
    let moved = c.up * -c.slope * below * scatter_part(c.slope, y, i)
        + c.down * c.down_slope * above * scatter_part(c.down_slope, y, i);
    return source(slot, i) * (1.0 - c.fraction + c.fraction * stays) + c.fraction * moved;
}
