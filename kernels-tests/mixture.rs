use crate::{devices, noise};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::mixture::{self, Densities, Draws, MixtureShape};
use rontgen::kernels::spline::Level;

const LIMIT: f64 = 7.0;

/// One mixture over all parameters, one each, a single component, several in two dimensions.
fn shapes() -> [MixtureShape; 5] {
    [(1, 5, 8), (4, 1, 6), (1, 1, 1), (3, 2, 3), (1, 7, 2)].map(|(sites, dims, components)| MixtureShape {
        sites,
        dims,
        components,
    })
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// The numbers of component `k`: mean, and the dense matrix that makes standard normal numbers of what is off the mean.
fn component(shape: MixtureShape, of: &[f64], k: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let d = shape.dims;
    let each = 2 * d + d * (d - 1) / 2;
    let of = &of[shape.components + k * each..][..each];
    let mut lower = of[2 * d..].iter();
    let matrix = (0..d)
        .map(|i| {
            let raw = of[d + i];
            let scale = (raw / (1.0 + raw.abs() / LIMIT)).exp();
            let mut row: Vec<f64> = (0..i).map(|_| scale * lower.next().unwrap()).collect();
            row.push(scale);
            row.resize(d, 0.0);
            row
        })
        .collect();
    (of[..d].to_vec(), matrix)
}

/// ln weight, ln |matrix| and squared distance of every component at a point.
fn terms(shape: MixtureShape, of: &[f64], x: &[f64]) -> Vec<[f64; 3]> {
    let norm = of[..shape.components].iter().map(|l| l.exp()).sum::<f64>().ln();
    (0..shape.components)
        .map(|k| {
            let (mean, matrix) = component(shape, of, k);
            let square: f64 = matrix
                .iter()
                .map(|row| row.iter().zip(x.iter().zip(&mean)).map(|(a, (x, m))| a * (x - m)).sum::<f64>().powi(2))
                .sum();
            let log_volume = (0..shape.dims).map(|i| matrix[i][i].ln()).sum();
            [of[k] - norm, log_volume, square]
        })
        .collect()
}

fn oracle(shape: MixtureShape, of: &[f64], x: &[f64]) -> f64 {
    let half = 0.5 * shape.dims as f64 * (2.0 * std::f64::consts::PI).ln();
    terms(shape, of, x).iter().map(|[w, v, s]| (w + v - 0.5 * s - half).exp()).sum::<f64>().ln()
}

/// Over all sites of a row.
fn oracle_row(shape: MixtureShape, out: &[f64], x: &[f64]) -> f64 {
    out.chunks(shape.per()).zip(x.chunks(shape.dims)).map(|(of, x)| oracle(shape, of, x)).sum()
}

fn tensor(device: &Device, rows: usize, values: &[f32]) -> Tensor<f32> {
    Tensor::from_slice(device, rows, values.len() / rows, values)
}

fn case(shape: MixtureShape, rows: usize) -> (Vec<f32>, Vec<f32>) {
    let out = noise(rows * shape.sites * shape.per(), 3).iter().map(|n| 1.2 * n).collect();
    (out, noise(rows * shape.sites * shape.dims, 5).iter().map(|n| 1.5 * n).collect())
}

#[test]
fn densities_agree_with_f64() {
    for device in devices() {
        for shape in shapes() {
            let rows = 131;
            let (out, x) = case(shape, rows);
            let width = shape.sites * shape.per();
            let x_d = tensor(&device, rows, &x);
            let mut log_q = Tensor::zeros(&device, rows, 1);
            for shared in [false, true] {
                let used = if shared { &out[..width] } else { &out[..] };
                let out_d = tensor(&device, if shared { 1 } else { rows }, used);
                mixture::log_density(&device, shape, &out_d, &x_d, &mut log_q);
                for (row, (got, x)) in log_q.download().unwrap().iter().zip(x.chunks(x.len() / rows)).enumerate() {
                    let of = if shared { &out[..width] } else { &out[row * width..][..width] };
                    let want = oracle_row(shape, &wide(of), &wide(x));
                    let close = (f64::from(*got) - want).abs() < 1e-5 * (1.0 + want.abs());
                    assert!(close, "{} {shape:?} {row}: {got} {want}", device.name());
                }
            }
            device.check().unwrap();
        }
    }
}

#[test]
fn loss_and_gradients_agree_with_f64() {
    for device in devices() {
        for shape in shapes() {
            let rows = 67;
            let (out, x) = case(shape, rows);
            let width = shape.sites * shape.per();
            let mut out_d = tensor(&device, rows, &out);
            let mut loss = Tensor::zeros(&device, rows, 1);
            mixture::loss(&device, shape, &mut out_d, &tensor(&device, rows, &x), &mut loss, 0.3);
            let (gradient, loss) = (out_d.download().unwrap(), loss.download().unwrap());
            for (row, x) in x.chunks(x.len() / rows).enumerate() {
                let (mut of, x) = (wide(&out[row * width..][..width]), wide(x));
                let want = -oracle_row(shape, &of, &x);
                assert!((f64::from(loss[row]) - want).abs() < 1e-5 * (1.0 + want.abs()), "{shape:?} {row}");
                for i in 0..width {
                    let (kept, h) = (of[i], 1e-5);
                    of[i] = kept + h;
                    let up = oracle_row(shape, &of, &x);
                    of[i] = kept - h;
                    let down = oracle_row(shape, &of, &x);
                    of[i] = kept;
                    let (got, want) = (f64::from(gradient[row * width + i]), -0.3 * (up - down) / (2.0 * h));
                    let close = (got - want).abs() < 2e-5 * (1.0 + want.abs());
                    assert!(close, "{} {shape:?} row {row} number {i}: {got} {want}", device.name());
                }
            }
            device.check().unwrap();
        }
    }
}

/// Draws solve for the point whose standard normal numbers are given, by the component that the choice picks; densities are those of f64.
#[test]
fn draws_agree_with_f64() {
    for device in devices() {
        for shape in shapes() {
            let (rows, d) = (97, shape.dims);
            let (out, _) = case(shape, rows);
            let (width, p) = (shape.sites * shape.per(), shape.sites * shape.dims);
            let base = noise(rows * p, 9);
            let choice: Vec<f32> = noise(rows * shape.sites, 10).iter().map(|n| 0.5 + 0.49 * n).collect();
            let out_d = tensor(&device, rows, &out);
            // The odd sites first.
            let order: Vec<u32> = (0..shape.sites as u32).map(|site| (site + 1) % 2).collect();
            let order = Tensor::from_slice(&device, 1, shape.sites, &order);
            let (choice_d, base_d) = (tensor(&device, rows, &choice), tensor(&device, rows, &base));
            let draws = Draws { choice: &choice_d, base: &base_d };
            let radius = 2.5f32;
            for with_ball in [false, true] {
                let mut x = Tensor::zeros(&device, rows, p);
                let (mut log_q, mut log_ball) = (Tensor::zeros(&device, rows, 1), Tensor::zeros(&device, rows, 1));
                for level in 0..2 {
                    let ball = with_ball.then_some((radius, &mut log_ball));
                    let densities = Densities { log_q: &mut log_q, ball };
                    mixture::draw(&device, shape, &out_d, Level { order: &order, level }, draws, &mut x, densities);
                }
                let (x, log_q) = (wide(&x.download().unwrap()), log_q.download().unwrap());
                let log_ball = log_ball.download().unwrap();
                for row in 0..rows {
                    let of = wide(&out[row * width..][..width]);
                    let mut sum_ball = 0.0;
                    for site in 0..shape.sites {
                        let of = &of[site * shape.per()..][..shape.per()];
                        let x = &x[row * p + site * d..][..d];
                        let found = terms(shape, of, x);
                        let mut reached = 0.0;
                        let u = f64::from(choice[row * shape.sites + site]);
                        let passed = found.iter().take_while(|[w, ..]| {
                            reached += w.exp();
                            reached <= u
                        });
                        let chosen = passed.count().min(shape.components - 1);
                        let (mean, matrix) = component(shape, of, chosen);
                        for i in 0..d {
                            let z: f64 = (0..d).map(|j| matrix[i][j] * (x[j] - mean[j])).sum();
                            let want = f64::from(base[row * p + site * d + i]);
                            assert!((z - want).abs() < 2e-5 * (1.0 + want.abs()) * 4.0, "{shape:?} {row}: {z} {want}");
                        }
                        let inside = found.iter().filter(|[.., square]| square.sqrt() < f64::from(radius));
                        sum_ball += inside.map(|[w, v, _]| (w + v).exp()).sum::<f64>().ln();
                    }
                    let want = oracle_row(shape, &of, &x[row * p..][..p]);
                    let got = f64::from(log_q[row]);
                    assert!((got - want).abs() < 2e-5 * (1.0 + want.abs()), "{shape:?} {row}: {got} {want}");
                    if with_ball {
                        let got = f64::from(log_ball[row]);
                        assert!(
                            (got - sum_ball).abs() < 2e-5 * (1.0 + sum_ball.abs()),
                            "{shape:?} {row}: {got} {sum_ball}"
                        );
                    }
                }
                device.check().unwrap();
            }
        }
    }
}
