// Returning radiation of relxill's lamp posts: for each ring its illumination over that by the lamp alone; see reflection/returning.rs. The lamp's light on
// the rings stands in room_scratch from 400, and that on the part of them that is disc from 350.

var<private> reflection_view: RelativisticView;
var<private> reflection_ready: bool;
var<private> reflection_power: Cubic;

fn reflection_returning_setup() {
    reflection_ready = false;
}

fn reflection_prepare() {
    reflection_ready = true;
    var v = relativistic_view(reflection_disc(), REFLECTION_TABLE);
    let from_place = (log(v.inner - v.inside) - v.grid_first) / v.grid_step * RELATIVISTIC_FINENESS;
    let to_place = (log(v.outer - v.inside) - v.grid_first) / v.grid_step * RELATIVISTIC_FINENESS;
    for (var k = 0u; k < RELATIVISTIC_LIGHT; k++) {
        let place = (f32(k) + 0.5) / RELATIVISTIC_FINENESS;
        let beyond = v.inside + safe_exp(v.grid_first + v.grid_step * place);
        let covered = clamp(min(to_place, f32(k + 1u)) - max(from_place, f32(k)), 0.0, 1.0);
        let light = relativistic_emission(v, beyond, cubic_around(place, RELATIVISTIC_RADII)) / ((1.0 + beyond) * (beyond - v.inside));
        room_scratch[350u + k] = covered * light;
        room_scratch[400u + k] = light;
    }
    reflection_power = cubic_around((reflection_index() - 1.0 - REFLECTION_FIRST_POWER) / 0.2, REFLECTION_POWERS);
    reflection_corners();
    reflection_view = v;
}

// Energy that a slab sends back (0), and the same of its spectrum shifted (1), at a node of the cut-offs.
fn reflection_sent(cut: u32, which: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < 16u; k++) {
        let weight = reflection_weight[k];
        if weight != 0.0 {
            sum += weight * table(REFLECTION_ENERGIES + (reflection_corner[k] * REFLECTION_CUTS + cut) * 2u + which);
        }
    }
    return sum;
}

fn reflection_sent_at(place: ReflectionPlace, which: u32) -> f32 {
    let below = reflection_sent(place.low, which);
    if place.share > 0.0 {
        return below + place.share * (reflection_sent(place.low + 1u, which) - below);
    }
    return below;
}

fn reflection_returning(receiver: u32) -> f32 {
    if receiver >= RELATIVISTIC_LIGHT || !reflection_switch() {
        return 1.0;
    }
    if !reflection_ready {
        reflection_prepare();
    }
    let bright = room_scratch[400u + receiver];
    if bright <= 0.0 {
        return 1.0;
    }
    let place = (f32(receiver) + 0.5) / RELATIVISTIC_FINENESS;
    let beyond = reflection_view.inside + safe_exp(reflection_view.grid_first + reflection_view.grid_step * place);
    let h = reflection_view.light.x;
    let risen = relativistic_risen(reflection_view.spin, h);
    let source_cut = reflection_cut() * select(risen, 1.0, REFLECTION_COMPTONISED);
    let cut = reflection_place(4u, source_cut * relativistic_shift(reflection_view.spin, beyond, h));
    let sent = reflection_sent_at(cut, 0u);
    let corrected = reflection_sent_at(cut, 1u) / max(sent, 1e-37) * safe_exp((1.0 - reflection_index()) * 0.40546511);
    // c(g) = below.x + below.y g + below.z g^2 for g < 1, line.x + line.y g beyond.
    let rise = 2.0 * (corrected - 1.0);
    let line = vec2<f32>(1.0 - rise, rise);
    let bend = max((corrected - 1.5) / 0.75, -1.0);
    let below = select(vec3<f32>(line, 0.0), vec3<f32>(0.0, 1.0 - bend, bend), rise < 0.0);
    var back = 0.0;
    for (var k = 0u; k < reflection_view.spins.count; k++) {
        for (var n = 0u; n < reflection_power.count; n++) {
            let weight = reflection_view.spins.weights[k] * reflection_power.weights[n];
            let row = (reflection_view.spins.first + k) * REFLECTION_POWERS + reflection_power.first + n;
            let first = REFLECTION_MOMENTS + (row * RELATIVISTIC_PAIRS + receiver * RELATIVISTIC_LIGHT) * 5u;
            var sum = 0.0;
            for (var emitter = 0u; emitter < RELATIVISTIC_LIGHT; emitter++) {
                let at = first + 5u * emitter;
                sum += room_scratch[350u + emitter]
                    * (dot(below, vec3<f32>(table(at), table(at + 1u), table(at + 2u))) + dot(line, vec2<f32>(table(at + 3u), table(at + 4u))));
            }
            back += weight * sum;
        }
    }
    return 1.0 + max(sent / REFLECTION_ENERGY * back / bright, 0.0);
}
