// Log-density of the equal mixture of flows from [log q, half the squared distance in base space] of every flow and row; and that of the
// samples which have uniform points of a ball in base space, where `half_square` (of its radius) is not negative.
//!include index
//!include tails
struct Parameters { rows: u32, flows: u32, half_square: f32, near: f32, far: f32, power: f32, reach: f32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> parts: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> log_q: array<f32>;
@group(0) @binding(3) var<storage, read_write> log_ball: array<f32>;

const NOWHERE = -1e30;

fn in_ball(part: vec2<f32>) -> f32 {
    return select(NOWHERE, part.x + part.y, part.y <= parameters.half_square);
}

fn whole(part: vec2<f32>) -> f32 {
    return part.x + in_tails(part.y, parameters.near, parameters.far, parameters.power, parameters.reach);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = linear_index(id, groups, 64u);
    if row >= parameters.rows { return; }
    var largest = vec2(whole(parts[row]), in_ball(parts[row]));
    for (var k = 1u; k < parameters.flows; k++) {
        let part = parts[k * parameters.rows + row];
        largest = max(largest, vec2(whole(part), in_ball(part)));
    }
    var sum = vec2<f32>();
    for (var k = 0u; k < parameters.flows; k++) {
        let part = parts[k * parameters.rows + row];
        sum += exp(max(vec2(whole(part), in_ball(part)) - largest, vec2(-80.0)));
    }
    let mean = largest + log(sum / f32(parameters.flows));
    log_q[row] = mean.x;
    if parameters.half_square >= 0.0 { log_ball[row] = mean.y; }
}
