use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::parameters::{Coordinates, Entry, ParameterPlan, Shape, parameters};

fn shapes() -> Vec<Shape> {
    let whole = (f64::NEG_INFINITY, f64::INFINITY);
    vec![
        Shape::Uniform { lo: -2.0, hi: 5.0 },
        Shape::LogUniform { lo: 1e-5, hi: 1e-2 },
        Shape::Normal { log: false, mean: 3.0, sd: 0.5, below: 0.0, mass: 1.0, lo: whole.0, hi: whole.1 },
        Shape::Normal { log: true, mean: -4.0, sd: 1.5, below: 0.0, mass: 1.0, lo: 0.0, hi: whole.1 },
        // Cut to mean + (1 .. 3) sd: cumulative probabilities 0.841344746 and 0.998650102.
        Shape::Normal { log: false, mean: 0.0, sd: 2.0, below: 0.841_344_746, mass: 0.157_305_356, lo: 2.0, hi: 6.0 },
    ]
}

fn entries() -> Vec<Entry> {
    let free = |k, scale, offset| Entry { free: Some(k), scale, offset };
    vec![
        free(1, 1.0, 0.0),
        Entry { free: None, scale: 0.0, offset: 7.25 },
        free(0, 1.0, 0.0),
        free(3, 1.0, 0.0),
        free(2, 2.0, -1.0),
        free(4, 1.0, 0.0),
        free(2, 1.0, 0.0),
    ]
}

/// Cumulative normal distribution by its series (Marsaglia 2004), good to 1e-15 within the central 7 sigma.
fn cdf(x: f64) -> f64 {
    let (mut sum, mut term) = (x, x);
    for i in 1..200 {
        term *= x * x / f64::from(2 * i + 1);
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The quantile by bisection of the cumulative distribution: slow, and nobody else's formula.
fn exact(shape: Shape, u: f64) -> f64 {
    match shape {
        Shape::Uniform { lo, hi } => lo + u * (hi - lo),
        Shape::LogUniform { lo, hi } => lo * (hi / lo).powf(u),
        Shape::Normal { log, mean, sd, below, mass, lo, hi } => {
            let target = below + u * mass;
            let (mut a, mut b) = (-7.5, 7.5);
            for _ in 0..80 {
                let middle = 0.5 * (a + b);
                if cdf(middle) < target { a = middle } else { b = middle }
            }
            let x = mean + sd * 0.5 * (a + b);
            (if log { x.exp() } else { x }).clamp(lo, hi)
        }
    }
}

/// Every shape against bisection, ties, frozen values, a first row, both kinds of coordinates.
#[test]
fn quantiles_and_ties() {
    let (rows, first, used) = (301, 40, 250);
    let cube: Vec<f32> = noise(rows * 5, 8).iter().map(|x| (0.5 + 0.499_999 * x).clamp(1e-6, 1.0 - 1e-6)).collect();
    for device in devices() {
        let plan = ParameterPlan::new(&device, shapes(), entries());
        let theta = Tensor::from_slice(&device, rows, 5, &cube);
        for coordinates in [Coordinates::Cube, Coordinates::Physical] {
            let mut full = plan.room(&device, used);
            parameters(&device, &plan, coordinates, &theta, first, used, &mut full);
            let found = full.download().unwrap();
            for r in 0..used {
                for (m, entry) in entries().iter().enumerate() {
                    let value = match entry.free {
                        None => entry.offset,
                        Some(k) => {
                            let u = f64::from(cube[(first + r) * 5 + k]);
                            let x = if coordinates == Coordinates::Cube { exact(shapes()[k], u) } else { u };
                            entry.scale * x + entry.offset
                        }
                    };
                    let place = if device.is_gpu() { m * full.cols() + r } else { r * 7 + m };
                    let error = (f64::from(found[place]) - value).abs();
                    // Near u = 1 the spacing of u itself moves a log-normal's upper tail by 1e-5.
                    assert!(
                        error < 1e-5 * value.abs() + 2e-6,
                        "{m} of row {r}: {} for {value} on {}",
                        found[place],
                        device.name()
                    );
                }
            }
        }
    }
}

/// Ends of the cube stay inside the bounds and finite.
#[test]
fn ends_stay_inside() {
    for device in devices() {
        let plan = ParameterPlan::new(&device, shapes(), entries());
        for u in [0.0f32, 1e-30, 1.0 - 6e-8, 1.0] {
            let theta = Tensor::from_slice(&device, 1, 5, &[u; 5]);
            let mut full = plan.room(&device, 1);
            parameters(&device, &plan, Coordinates::Cube, &theta, 0, 1, &mut full);
            let found = full.download().unwrap();
            let at = |m: usize| if device.is_gpu() { found[m * full.cols()] } else { found[m] };
            assert!((1e-5..=1e-2).contains(&at(0)) && (-2.0..=5.0).contains(&at(2)) && (2.0..=6.0).contains(&at(5)));
            assert!((0..7).all(|m| at(m).is_finite()), "u = {u} on {}", device.name());
        }
    }
}
