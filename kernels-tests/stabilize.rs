use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::stabilize::{self, Form};

/// Empty, faint and bright bins, from rows in the middle, against f64. The root of x is good to 2 units of its last place, and the
/// difference from a centre near it keeps that as an absolute error.
#[test]
fn counts_become_numbers_of_unit_noise() {
    for device in devices() {
        for (rows, cols, first) in [(1, 1, 0), (7, 3, 2), (300, 130, 11)] {
            let values: Vec<f32> = noise((rows + first) * cols, 5)
                .iter()
                .enumerate()
                .map(|(i, x)| match i % 3 {
                    0 => 0.0,
                    1 => (4.0 + 4.0 * x).round(),
                    _ => (1e6 + 3e3 * x).round(),
                })
                .collect();
            let counts = Tensor::from_slice(&device, rows + first, cols, &values);
            for form in [Form::Root, Form::Linear, Form::Log] {
                let of = |x: f64| match form {
                    Form::Root => 2.0 * (x + 0.375).sqrt(),
                    Form::Linear => x,
                    Form::Log => x.ln_1p(),
                };
                let centre = |c: usize| of(f64::from(values[c])) as f32;
                let weight = |c: usize| 0.25 + (c % 5) as f32;
                let scale: Vec<f32> = (0..cols).map(centre).chain((0..cols).map(weight)).collect();
                let scale = Tensor::from_slice(&device, 1, 2 * cols, &scale);
                let mut out = Tensor::from_slice(&device, rows, cols, &vec![9.0f32; rows * cols]);
                stabilize::apply(&device, form, &counts, first, &scale, &mut out);
                for (i, got) in out.download().unwrap().iter().enumerate() {
                    let (x, c) = (f64::from(values[first * cols + i]), i % cols);
                    let want = (of(x) - f64::from(centre(c))) * f64::from(weight(c));
                    let allowed = 3e-7 * of(x).max(1.0) * f64::from(weight(c)) + 1e-6 * want.abs();
                    let what = format!("{form:?}, {rows} x {cols}, number {i}, on {}", device.name());
                    assert!((f64::from(*got) - want).abs() <= allowed, "{what}: {got} for {want}");
                }
            }
        }
    }
}
