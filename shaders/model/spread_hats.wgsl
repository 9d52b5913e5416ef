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
    let middle = SPREAD_STEP * f32(lowest + i32(n) - 2);
    var nodes = array<f32, 4>(0.18343464, 0.52553241, 0.79666648, 0.96028986);
    var weights = array<f32, 4>(0.18134189, 0.15685332, 0.11119052, 0.05061427);
    var sum = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let away = 0.5 * SPREAD_STEP * nodes[k];
        sum += weights[k] * (spread_step(c, a, middle - away) + spread_step(c, a, middle + away));
    }
    return c.norm * sum;
}

// The share of the line in a step around a ln g.
fn spread_step(c: Relativistic, a: ptr<private, Room>, ln_g: f32) -> f32 {
    let square = SPREAD_STEP * SPREAD_STEP;
    let y = exp_m1(ln_g);
    // Middle and half of the two ends' g.
    return relativistic_share(c, a, y + (1.0 + y) * square / 8.0, (1.0 + y) * 0.5 * SPREAD_STEP * (1.0 + square / 24.0));
}
