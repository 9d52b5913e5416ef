// Cubics between nodes at equal steps.

// Four nodes around a place, or the only one.
struct Cubic { first: u32, count: u32, weights: vec4<f32> }

fn cubic_around(place: f32, nodes: u32) -> Cubic {
    if nodes < 4u {
        return Cubic(0u, 1u, vec4<f32>(1.0, 0.0, 0.0, 0.0));
    }
    let inside = clamp(place, 0.0, f32(nodes - 1u));
    let k = clamp(u32(inside), 1u, nodes - 3u);
    let t = inside - f32(k);
    let a = t + 1.0;
    let b = t - 1.0;
    let c = t - 2.0;
    return Cubic(k - 1u, 4u, vec4<f32>(-t * b * c / 6.0, 0.5 * a * b * c, -0.5 * a * t * c, a * t * b / 6.0));
}
