// Numbers as sums of two: one of twelve bits, so that products of two of them are exact, and the rest. About 35 bits in all. Bits are masked away, as
// compilers may take (a + b) - a for b, and Mesa's do.

fn pair_high(a: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
}

// Of a number and a smaller one.
fn pair_of(a: f32, b: f32) -> vec2<f32> {
    let high = pair_high(a + b);
    return vec2<f32>(high, (a - high) + b);
}

fn pair(a: f32) -> vec2<f32> {
    let high = pair_high(a);
    return vec2<f32>(high, a - high);
}

fn pair_value(x: vec2<f32>) -> f32 {
    return x.x + x.y;
}

fn pair_sum(a: f32, b: f32) -> vec2<f32> {
    let first = abs(a) >= abs(b);
    return pair_of(select(b, a, first), select(a, b, first));
}

fn pair_add(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    let sum = pair_sum(x.x, y.x);
    return pair_of(sum.x, sum.y + (x.y + y.y));
}

fn pair_times(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    return pair_of(x.x * y.x, (x.x * y.y + x.y * y.x) + x.y * y.y);
}

fn pair_over(x: vec2<f32>, y: vec2<f32>) -> vec2<f32> {
    let share = pair(pair_value(x) / pair_value(y));
    let rest = pair_value(pair_add(x, -pair_times(share, y)));
    return pair_of(share.x, share.y + rest / pair_value(y));
}

fn pair_root(x: vec2<f32>) -> vec2<f32> {
    let root = pair(sqrt(max(pair_value(x), 1e-30)));
    let rest = pair_value(pair_add(x, -pair_times(root, root)));
    return pair_of(root.x, root.y + 0.5 * rest / pair_value(root));
}

// e^x for |x| < 8.
fn pair_exp(x: vec2<f32>) -> vec2<f32> {
    let y = x / 64.0;
    let small = pair_value(y);
    // From x^3/6 on f32 holds enough.
    let tail = small * small * small / 6.0 * (1.0 + small * 0.25 * (1.0 + small * 0.2 * (1.0 + small / 6.0)));
    var e = pair_add(pair_add(y, 0.5 * pair_times(y, y)), pair(tail));
    // e^(2x) - 1 = (e^x - 1) (e^x - 1 + 2).
    for (var k = 0; k < 6; k++) {
        e = pair_times(e, pair_add(e, vec2<f32>(2.0, 0.0)));
    }
    return pair_add(e, vec2<f32>(1.0, 0.0));
}

// ln x for x between 1e-3 and 3e3.
fn pair_log(x: vec2<f32>) -> vec2<f32> {
    let near = log(pair_value(x));
    let rest = pair_value(pair_add(pair_times(x, pair_exp(pair(-near))), vec2<f32>(-1.0, 0.0)));
    return pair_add(pair(near), pair(rest - 0.5 * rest * rest));
}
