// What Student's share of the base space changes of a log-density there, by half the squared distance: `near` and `far` are the logarithms
// of the normal part's share and of Student's (4 degrees of freedom), with normalisations; Student's has
// power * ln(1 + h reach) in place of h.
fn in_tails(half_square: f32, near: f32, far: f32, power: f32, reach: f32) -> f32 {
    if far < -1e29 { return 0.0; }
    let student = far + half_square - power * log(1.0 + reach * half_square);
    let top = max(near, student);
    return top + log(exp(max(near - top, -80.0)) + exp(max(student - top, -80.0)));
}
