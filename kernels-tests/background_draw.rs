use crate::devices;
use rontgen::device::{Device, Tensor};
use rontgen::kernels::background_draw::{BackgroundTable, ColumnBackground, HIGHEST, background_draw};
use rontgen::kernels::poisson::Source;

fn draws(device: &Device, column: ColumnBackground, rows: usize, stream: u32) -> Vec<f64> {
    let cols = 50;
    let table = BackgroundTable::new(device, &vec![column; cols]);
    let mut mean = Tensor::zeros(device, rows / cols, cols);
    background_draw(device, &table, Source { seed: 7, stream }, 0, &mut mean, 0, rows / cols);
    mean.download().unwrap().into_iter().map(f64::from).collect()
}

/// Mean, variance and third moment about the mean of a Gamma law, 5 sigma each with the sample's own spread: a false alarm once in some 1e5 seeds.
#[test]
fn gamma_numbers_have_their_moments() {
    let n = 400_000;
    for device in devices() {
        for (i, (shape, factor)) in
            [(0.3, 2.0), (0.999, 1.0), (1.0, 0.5), (3.5, 1.0), (10.0, 0.1), (40.0, 3.0), (1e4, 0.3)]
                .into_iter()
                .enumerate()
        {
            let values = draws(&device, ColumnBackground::Gamma { shape, factor }, n, i as u32);
            let mean = shape * factor;
            let moments = [
                (1, mean, shape * factor * factor),
                (2, shape * factor * factor, 0.0),
                (3, 2.0 * shape * factor.powi(3), 0.0),
            ];
            for (power, want, variance) in moments {
                let terms: Vec<f64> = match power {
                    1 => values.clone(),
                    power => values.iter().map(|x| (x - mean).powi(power)).collect(),
                };
                let found = terms.iter().sum::<f64>() / n as f64;
                let spread = match variance {
                    0.0 => terms.iter().map(|t| (t - found).powi(2)).sum::<f64>() / n as f64,
                    known => known,
                };
                let error = (spread / n as f64).sqrt();
                // f32 holds sums of squares about a large mean to its rounding.
                assert!(
                    (found - want).abs() < 5.0 * error + 1e-6 * mean.powi(power),
                    "shape {shape}, moment {power}: {found}, want {want} +- {error} on {}",
                    device.name()
                );
            }
            assert!(values.iter().all(|x| *x >= 0.0 && x.is_finite()));
        }
    }
}

/// Below its quartiles lie a quarter, half and three quarters: shapes whose distribution functions have a closed form.
#[test]
fn gamma_numbers_have_their_quantiles() {
    let n = 400_000;
    for device in devices() {
        // Exponential, and Erlang of shape 2: 1 - (1 + x) e^-x.
        for (shape, cdf) in
            [(1.0, (|x: f64| 1.0 - (-x).exp()) as fn(f64) -> f64), (2.0, |x| 1.0 - (1.0 + x) * (-x).exp())]
        {
            let values = draws(&device, ColumnBackground::Gamma { shape, factor: 1.0 }, n, 99);
            for x in [0.01, 0.1, 0.5, 1.0, 2.0, 5.0] {
                let share = values.iter().filter(|v| **v < x).count() as f64 / n as f64;
                let want = cdf(x);
                let error = (want * (1.0 - want) / n as f64).sqrt();
                assert!((share - want).abs() < 5.0 * error, "shape {shape} below {x}: {share}, want {want}");
            }
        }
    }
}

#[test]
fn normal_numbers_are_held_at_zero_and_nothing_stays_nothing() {
    for device in devices() {
        let values = draws(&device, ColumnBackground::Normal { mean: 30.0, deviation: 4.0 }, 100_000, 1);
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|x| (x - 30.0).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 30.0).abs() < 5.0 * 4.0 / 1e5f64.sqrt(), "{mean}");
        assert!((variance - 16.0).abs() < 5.0 * 16.0 * (2.0 / 1e5f64).sqrt(), "{variance}");
        let low = draws(&device, ColumnBackground::Normal { mean: -1.0, deviation: 1.0 }, 100_000, 2);
        let zero = low.iter().filter(|x| **x == 0.0).count() as f64 / 1e5;
        assert!((zero - 0.841_345).abs() < 5.0 * (0.841f64 * 0.159 / 1e5).sqrt(), "{zero}");
        assert!(draws(&device, ColumnBackground::Nothing, 1000, 3).iter().all(|x| *x == 0.0));
        assert!(
            draws(&device, ColumnBackground::Normal { mean: 2.5, deviation: 0.0 }, 1000, 3).iter().all(|x| *x == 2.5)
        );
    }
}

/// Numbers belong to rows, not to launches; what was there stays below them; GPU and CPU agree but for the rare trial that rounding decides.
#[test]
fn draws_belong_to_rows_and_devices_agree() {
    let columns: Vec<ColumnBackground> = (0..33)
        .map(|c| match c % 4 {
            0 => ColumnBackground::Nothing,
            3 => ColumnBackground::Rescaled { factor: 3.5, offset: f64::from(c) },
            1 => ColumnBackground::Gamma { shape: 0.2 + f64::from(c), factor: 0.1 },
            _ => ColumnBackground::Normal { mean: f64::from(c), deviation: 2.0 },
        })
        .collect();
    let source = Source { seed: 5, stream: 9 };
    let mut reference: Option<Vec<f32>> = None;
    for device in devices() {
        let table = BackgroundTable::new(&device, &columns);
        let mut whole = Tensor::from_slice(&device, 20, 33, &[1f32; 660]);
        background_draw(&device, &table, source, 100, &mut whole, 0, 20);
        let mut parts = Tensor::from_slice(&device, 20, 33, &[1f32; 660]);
        background_draw(&device, &table, source, 100, &mut parts, 0, 7);
        background_draw(&device, &table, source, 107, &mut parts, 7, 13);
        let whole = whole.download().unwrap();
        assert_eq!(whole, parts.download().unwrap());
        let others = reference.get_or_insert_with(|| whole.clone());
        let pairs = whole.iter().zip(&*others).enumerate();
        let apart: Vec<_> = pairs.filter(|(_, (a, b))| (*a - *b).abs() > 1e-4 * b.abs()).collect();
        assert!(apart.len() <= 1, "{} of 660 differ on {}: {apart:?}", apart.len(), device.name());
    }
}

/// Data in units of their own: the line through offset and factor, where it can be drawn from.
#[test]
fn rescaled_columns_follow_their_line_up_to_what_can_be_drawn() {
    for device in devices() {
        let column = ColumnBackground::Rescaled { factor: 40.0, offset: 250.0 };
        let table = BackgroundTable::new(&device, &[column, ColumnBackground::Nothing]);
        let rows = [[0f32, 5.0], [1.25, 5.0], [1e-3, 5.0], [1e9, 5.0]];
        let mut mean = Tensor::from_slice(&device, 4, 2, rows.as_flattened());
        background_draw(&device, &table, Source { seed: 1, stream: 1 }, 0, &mut mean, 0, 4);
        let found = mean.download().unwrap();
        for (row, found) in rows.iter().zip(found.chunks(2)) {
            // One rounding of f32 more or less where a device fuses the product and the sum.
            let want = (40.0 * row[0] + 250.0).min(HIGHEST);
            assert!((found[0] - want).abs() <= 1e-6 * want && found[1] == 5.0, "{found:?}, want {want}");
            assert!((column.seen(row[0]) - want).abs() <= 1e-6 * want);
        }
    }
}
