// The line's means over hats around steps of ln g, for spread.wgsl, whose constants stand in front.

// Numbers of the line's means over hats: the steps of the first, how many, then they.
fn spread_hat(c: Relativistic, a: ptr<private, Room>, n: u32) -> f32 {
    let most = i32(SPREAD_STEPS);
    let lowest = clamp(i32(floor(log_1p(c.corner[0]) / SPREAD_STEP)) - 1, -i32(SPREAD_REACH), most);
    let highest = clamp(i32(ceil(log_1p(c.corner[4]) / SPREAD_STEP)) + 1, -most, most);
    let count = highest - lowest + 1;
    if n == 0u {
        return f32(lowest);
    }
    if n == 1u {
        return f32(count);
    }
    if i32(n) - 2 >= count {
        return 0.0;
    }
    // The mean over a step of the shares of steps: eight of Gauss's nodes.
    let node = f32(lowest + i32(n) - 2);
    var nodes = array<f32, 4>(0.18343464, 0.52553241, 0.79666648, 0.96028986);
    var weights = array<f32, 4>(0.18134189, 0.15685332, 0.11119052, 0.05061427);
    var sum = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let away = 0.5 * SPREAD_STEP * nodes[k];
        sum += weights[k] * (spread_step(c, a, node, -away) + spread_step(c, a, node, away));
    }
    return c.norm * sum;
}

// ln g of the corners: whole steps, and the rest.
var<private> spread_corner: array<vec2<f32>, 5>;

fn spread_corners(c: Relativistic) {
    for (var k = 0u; k < 5u; k++) {
        let place = pair_log(c.exact[k]);
        let whole = round(place.x / SPREAD_STEP);
        let steps = product_parts(whole, SPREAD_STEP);
        spread_corner[k] = vec2<f32>(whole, (place.x - steps.x) + (place.y - steps.y));
    }
}

// The share of the line in a step around a ln g: a node's, and from it.
fn spread_step(c: Relativistic, a: ptr<private, Room>, node: f32, away: f32) -> f32 {
    let square = SPREAD_STEP * SPREAD_STEP;
    let g = 1.0 + exp_m1(SPREAD_STEP * node + away);
    // From the corners to the middle of the two ends' g, and half of them.
    var beyond: array<f32, 5>;
    for (var k = 0u; k < 5u; k++) {
        let apart = SPREAD_STEP * (node - spread_corner[k].x) + (away - spread_corner[k].y);
        beyond[k] = pair_value(c.exact[k]) * exp_m1(apart) + g * square / 8.0;
    }
    return relativistic_share(c, a, beyond, g * 0.5 * SPREAD_STEP * (1.0 + square / 24.0));
}
