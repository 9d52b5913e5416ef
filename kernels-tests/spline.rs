use crate::{devices, noise};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::spline::{self, BOUND, Level, LogDet, SplineShape};

const LIMIT: f64 = 7.0;
const FLOOR: f64 = 1e-3;

/// Affine alone, two bins (one inner knot), the usual number, and many.
fn shapes() -> [SplineShape; 4] {
    [(3, 0), (1, 2), (5, 8), (2, 32)].map(|(parameters, bins)| SplineShape { parameters, bins })
}

/// Knots (positions below and above, slopes) of an independent f64 spline.
fn knots(raw: &[f64], bins: usize) -> Vec<[f64; 3]> {
    let bound = f64::from(BOUND);
    let lengths = |raw: &[f64]| {
        let sum: f64 = raw.iter().map(|r| r.exp()).sum();
        raw.iter().map(|r| 2.0 * bound * (FLOOR + (1.0 - FLOOR * bins as f64) * r.exp() / sum)).collect::<Vec<f64>>()
    };
    let (w, h) = (lengths(&raw[..bins]), lengths(&raw[bins..2 * bins]));
    // A slope of raw 0 is 1.
    let offset = ((1.0 - FLOOR).exp() - 1.0).ln();
    (0..=bins)
        .map(|k| {
            let slope = match k {
                0 => 1.0,
                k if k == bins => 1.0,
                _ => FLOOR + (1.0 + (raw[2 * bins + k - 1] + offset).exp()).ln(),
            };
            [-bound + w[..k].iter().sum::<f64>(), -bound + h[..k].iter().sum::<f64>(), slope]
        })
        .collect()
}

/// Value and log-derivative of the whole step.
fn oracle(of: &[f64], bins: usize, x: f64) -> (f64, f64) {
    let s = of[1] / (1.0 + of[1].abs() / LIMIT);
    let v = (x - of[0]) * (-s).exp();
    if bins == 0 || v.abs() >= f64::from(BOUND) {
        return (v, -s);
    }
    let knots = knots(&of[2..], bins);
    let k = (0..bins).rfind(|&k| v >= knots[k][0]).unwrap_or(0);
    let ([x0, y0, d0], [x1, y1, d1]) = (knots[k], knots[k + 1]);
    let (slope, t) = ((y1 - y0) / (x1 - x0), (v - x0) / (x1 - x0));
    // Gregory & Delbourgo (1982), equations of Durkan et al. (2019), section 3.
    let below = slope + (d1 + d0 - 2.0 * slope) * t * (1.0 - t);
    let value = y0 + (y1 - y0) * (slope * t * t + d0 * t * (1.0 - t)) / below;
    let top = slope * slope * (d1 * t * t + 2.0 * slope * t * (1.0 - t) + d0 * (1.0 - t) * (1.0 - t));
    (value, (top / (below * below)).ln() - s)
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

struct Case {
    rows: usize,
    out: Vec<f32>,
    x: Vec<f32>,
}

/// Numbers that bend the splines, and points within, beyond and near their ends.
fn case(shape: SplineShape) -> Case {
    let (rows, p, per) = (203, shape.parameters, shape.per());
    let scale = |k: usize| if k < 2 { 0.5 } else { 1.5 };
    let out = noise(rows * p * per, 3).iter().enumerate().map(|(i, n)| scale(i % per) * n).collect();
    Case { rows, out, x: noise(rows * p, 5).iter().map(|n| 6.5 * n).collect() }
}

fn tensor(device: &Device, rows: usize, values: &[f32]) -> Tensor<f32> {
    Tensor::from_slice(device, rows, values.len() / rows, values)
}

#[test]
fn values_and_slopes_agree_with_f64() {
    for device in devices() {
        for shape in shapes() {
            let (p, per) = (shape.parameters, shape.per());
            let Case { rows, out, x } = case(shape);
            let (out_d, x_d) = (tensor(&device, rows, &out), tensor(&device, rows, &x));
            let mut y = Tensor::zeros(&device, rows, p);
            let mut log_det = tensor(&device, rows, &vec![2.0; rows]);
            spline::forward(&device, shape, &out_d, &x_d, &mut y, LogDet { sum: &mut log_det, add: true });
            let (y, added) = (y.download().unwrap(), log_det.download().unwrap());
            let mut again = Tensor::zeros(&device, rows, p);
            spline::forward(&device, shape, &out_d, &x_d, &mut again, LogDet { sum: &mut log_det, add: false });
            let written = log_det.download().unwrap();
            let (out, x) = (wide(&out), wide(&x));
            for row in 0..rows {
                let mut sum = 0.0;
                for i in 0..p {
                    let at = row * p + i;
                    let (value, slope) = oracle(&out[at * per..][..per], shape.bins, x[at]);
                    sum += slope;
                    // Edges are sums of up to 32 lengths in f32, and what they are wrong by is multiplied by the slope.
                    let allowed = 4e-6 * (2.0 + value.abs()) * (1.0 + slope.exp());
                    let got = f64::from(y[at]);
                    assert!((got - value).abs() < allowed, "{} {shape:?} {at}: {got} {value}", device.name());
                }
                // An edge's rounding is a share of a bin's length, which goes as one over their number.
                let allowed = 1e-5 * (1 + shape.bins) as f64 * p as f64;
                assert!((f64::from(written[row]) - sum).abs() < allowed, "{shape:?} row {row}: {} {sum}", written[row]);
                assert!((added[row] - written[row] - 2.0).abs() < 1e-5, "added to what was there");
            }
            device.check().unwrap();
        }
    }
}

/// All orders in turn: the inverse of forward is the identity, and tells the forward map's log-determinant.
#[test]
fn inverse_of_forward_is_the_identity() {
    for device in devices() {
        for shape in shapes() {
            let (p, per) = (shape.parameters, shape.per());
            let Case { rows, out, x } = case(shape);
            let (out_d, x_d) = (tensor(&device, rows, &out), tensor(&device, rows, &x));
            let (mut y, mut log_det) = (Tensor::zeros(&device, rows, p), Tensor::zeros(&device, rows, 1));
            spline::forward(&device, shape, &out_d, &x_d, &mut y, LogDet { sum: &mut log_det, add: false });
            let order: Vec<u32> = (0..p as u32).map(|i| (i + 1) % 2).collect();
            let order = Tensor::from_slice(&device, 1, p, &order);
            let (mut back, mut log_back) = (Tensor::zeros(&device, rows, p), Tensor::zeros(&device, rows, 1));
            for level in 0..2 {
                let log_back = LogDet { sum: &mut log_back, add: level > 0 };
                spline::inverse(&device, shape, &out_d, Level { order: &order, level }, &y, &mut back, log_back);
            }
            let out = wide(&out);
            for (at, (got, want)) in back.download().unwrap().iter().zip(&x).enumerate() {
                // Where the map is flat, rounding of its value is a larger step of its argument.
                let (value, slope) = oracle(&out[at * per..][..per], shape.bins, f64::from(*want));
                let allowed = 5e-6 * (2.0 + value.abs()) * (1.0 + (-slope).exp()) + 2e-6 * f64::from(want.abs());
                let what = format!("{} {shape:?} {at}: {got} {want}", device.name());
                assert!((f64::from(*got) - f64::from(*want)).abs() < allowed, "{what}, allowed {allowed}");
            }
            let all = log_back.download().unwrap();
            for (got, want) in all.iter().zip(log_det.download().unwrap()) {
                // A slope near a knot changes by its second derivative times what the argument is off.
                assert!((got - want).abs() < 2e-3 * (1.0 + want.abs()), "{shape:?}: {got} {want}");
            }
            device.check().unwrap();
        }
    }
}

/// Gradients of a sum of values with arbitrary weights less the log-determinants, as they arrive in the middle of a graph.
#[test]
fn gradients_agree_with_differences() {
    for device in devices() {
        for shape in shapes() {
            let (p, per) = (shape.parameters, shape.per());
            let Case { rows, out, x } = case(shape);
            let (scale, g) = (0.7f32, noise(rows * p, 8));
            let mut out_d = tensor(&device, rows, &out);
            let mut d = tensor(&device, rows, &g);
            spline::backward(&device, shape, &mut out_d, &tensor(&device, rows, &x), &mut d, scale);
            let (d_out, d_x) = (out_d.download().unwrap(), d.download().unwrap());
            let (out, x) = (wide(&out), wide(&x));
            let h = 1e-5;
            for at in 0..rows * p {
                let loss = |of: &[f64], x: f64| {
                    let (value, slope) = oracle(of, shape.bins, x);
                    f64::from(g[at]) * value - f64::from(scale) * slope
                };
                let of = &out[at * per..][..per];
                let differ = |k: Option<usize>| {
                    let moved = |step: f64| match k {
                        Some(k) => {
                            let mut of = of.to_vec();
                            of[k] += step;
                            loss(&of, x[at])
                        }
                        None => loss(of, x[at] + step),
                    };
                    (moved(h) - moved(-h)) / (2.0 * h)
                };
                let check = |got: f32, k: Option<usize>, what: &str| {
                    let want = differ(k);
                    // At a knot the second derivative jumps: a difference across it is neither side's.
                    let smooth =
                        (want - 0.5 * (differ_at(&loss, of, x[at], k, 3e-6))).abs() < 1e-3 * (1.0 + want.abs());
                    let close = (f64::from(got) - want).abs() < 2e-3 * (1.0 + want.abs());
                    assert!(close || !smooth, "{} {shape:?} {at} {what}: {got} {want}", device.name());
                };
                check(d_x[at], None, "x");
                (0..per).for_each(|k| check(d_out[at * per + k], Some(k), &format!("number {k}")));
            }
            device.check().unwrap();
        }
    }
}

/// Twice the central difference with another step.
fn differ_at(loss: &dyn Fn(&[f64], f64) -> f64, of: &[f64], x: f64, k: Option<usize>, h: f64) -> f64 {
    let moved = |step: f64| {
        let mut of = of.to_vec();
        if let Some(k) = k {
            of[k] += step;
        }
        loss(&of, if k.is_none() { x + step } else { x })
    };
    (moved(h) - moved(-h)) / h
}

/// The identity where all numbers are zero.
#[test]
fn a_spline_of_zeros_is_the_identity() {
    for device in devices() {
        let shape = SplineShape { parameters: 1, bins: 8 };
        let x: Vec<f32> = (-60..=60).map(|i| i as f32 * 0.1).collect();
        let out = Tensor::zeros(&device, x.len(), shape.per());
        let (mut y, mut log_det) = (Tensor::zeros(&device, x.len(), 1), Tensor::zeros(&device, x.len(), 1));
        let points = tensor(&device, x.len(), &x);
        spline::forward(&device, shape, &out, &points, &mut y, LogDet { sum: &mut log_det, add: false });
        assert!(y.download().unwrap().iter().zip(&x).all(|(y, x)| (y - x).abs() < 3e-6));
        assert!(log_det.download().unwrap().iter().all(|l| l.abs() < 3e-6));
    }
}

#[test]
fn base_density_and_mask() {
    for device in devices() {
        let (rows, p) = (77, 3);
        let (z, log_det) = (noise(rows * p, 1), noise(rows, 2));
        let (z_d, log_det_d) = (tensor(&device, rows, &z), tensor(&device, rows, &log_det));
        let mut loss = Tensor::zeros(&device, rows, 1);
        let mut log_q = Tensor::zeros(&device, rows, 1);
        let mut d = Tensor::zeros(&device, rows, p);
        spline::base(&device, &z_d, &log_det_d, &mut loss, &mut d, 0.25);
        spline::log_density(&device, &z_d, &log_det_d, &mut log_q);
        let (loss, log_q, d) = (loss.download().unwrap(), log_q.download().unwrap(), d.download().unwrap());
        for row in 0..rows {
            let square: f64 = z[row * p..][..p].iter().map(|&z| f64::from(z).powi(2)).sum();
            let want = 1.5 * (2.0 * std::f64::consts::PI).ln() + 0.5 * square - f64::from(log_det[row]);
            assert!((f64::from(loss[row]) - want).abs() < 2e-6 * (1.0 + want.abs()), "{} {want}", loss[row]);
            assert!((loss[row] + log_q[row]).abs() < 2e-6);
        }
        assert!(d.iter().zip(&z).all(|(d, z)| (d - 0.25 * z).abs() < 1e-7));
        let ones: Vec<f32> = (0..100).map(|i| (i % 3 > 0) as u8 as f32).collect();
        let mut gradient = tensor(&device, 1, &noise(100, 4));
        spline::mask(&device, &tensor(&device, 1, &ones), &mut gradient);
        let want: Vec<f32> = noise(100, 4).iter().zip(&ones).map(|(n, one)| n * one).collect();
        assert_eq!(gradient.download().unwrap(), want);
        device.check().unwrap();
    }
}
