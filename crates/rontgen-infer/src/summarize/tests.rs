use super::*;
use crate::kernels::stabilize::Form;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Spectra of two free directions (brightness and slope) on 30 bins, bright enough that their noise is small.
fn expected(device: &Device, rows: usize) -> RowBlocks<f32> {
    let mut rng = Pcg64::seed_from_u64(3);
    let mut blocks = RowBlocks::empty(device, rows, 30, 250);
    for block in &mut blocks.blocks {
        let mut mu = Vec::new();
        for _ in 0..block.rows() {
            let (bright, slope) = (rng.random_range(9.0..11.0f32), rng.random_range(-1.0..1.0f32));
            mu.extend((0..30).map(|i| (bright + slope * (i as f32 / 30.0 - 0.5)).exp()));
        }
        block.upload(&mu);
    }
    blocks
}

fn all(device: &Device, rows: usize) -> Tensor<u32> {
    Tensor::from_slice(device, rows, 1, &(0..rows as u32).collect::<Vec<_>>())
}

fn trained(summary: &mut dyn Summary, device: &Device, spectra: Spectra<'_>, rows: Option<&Tensor<u32>>) {
    let data = TrainingData { spectra, rows };
    summary.train(device, &data, &FitSettings::default(), &mut |_| Ok(())).unwrap();
}

fn covariance(values: &[f32], cols: usize, a: usize, b: usize) -> f64 {
    let rows = values.len() / cols;
    let of = |c: usize| values.chunks(cols).map(move |row| f64::from(row[c]));
    let (mean_a, mean_b) = (of(a).sum::<f64>() / rows as f64, of(b).sum::<f64>() / rows as f64);
    of(a).zip(of(b)).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum::<f64>() / rows as f64
}

/// Two directions are found where there are two; the components are uncorrelated, hold the share of the variance asked for, and
/// one fewer would not.
#[test]
fn principal_components_hold_the_variance_asked_for() {
    let device = Device::cpu();
    let mu = expected(&device, 1000);
    let spectra = Spectra::Drawn { expected: &mu, source: Source { seed: 1, stream: 7 } };
    let rows = all(&device, 1000);
    let mut two = Pca::new(&device, 30, 0.98);
    trained(&mut two, &device, spectra, None);
    assert_eq!(two.size(), 2, "brightness and slope");

    let mut many = Pca::new(&device, 30, 0.9999);
    trained(&mut many, &device, spectra, None);
    let components = many.size();
    let encoded = many.encode(&device, spectra, &rows).unwrap().download().unwrap();
    let variances: Vec<f64> = (0..components).map(|k| covariance(&encoded, components, k, k)).collect();
    let share = variances.iter().sum::<f64>() / 30.0;
    let last = variances[components - 1] / 30.0;
    // Standardised: each of the 30 bins has variance 1.
    assert!(
        share > 0.9998 && share - last < 0.9999 && share < 1.0001,
        "{share}, of which {last} in the last of {components}"
    );
    assert!(variances.windows(2).all(|pair| pair[0] >= pair[1] * 0.999), "{variances:?} fall");
    for a in 0..components {
        for b in 0..a {
            let correlated = covariance(&encoded, components, a, b).abs();
            assert!(correlated < 1e-4, "components {a} and {b}: {correlated}");
        }
    }
}

/// One spectrum is encoded as it is among others, a subset of rows as all of them, and a restored summary as the one it was saved
/// from.
#[test]
fn rows_are_encoded_alone_as_among_others() {
    let device = Device::cpu();
    let mu = expected(&device, 600);
    let mut counts = RowBlocks::empty(&device, 600, 30, 250);
    for (counts, mu) in counts.blocks.iter_mut().zip(&mu.blocks) {
        counts.upload(&mu.cpu().iter().map(|mu| mu.round()).collect::<Vec<_>>());
    }
    let spectra = Spectra::counts(&counts);
    let limits: Vec<(f64, f64)> = (0..30).map(|i| (0.5 + 0.1 * f64::from(i), 0.6 + 0.1 * f64::from(i))).collect();
    let third = Tensor::from_slice(&device, 1, 30, &counts.blocks[1].cpu()[3 * 30..4 * 30]);
    let new = || -> Vec<Encoder> {
        vec![
            Encoder::Pca(Pca::new(&device, 30, 0.9999)),
            Encoder::Signal(Signal::new(&device, 30, Default::default())),
            Encoder::Spectral(Spectral::new(&device, &limits, &third).unwrap()),
            Encoder::Raw(Raw::new(&device, 30)),
        ]
    };
    for (mut encoder, mut copy) in new().into_iter().zip(new()) {
        let rows = all(&device, 600);
        assert!(encoder.encode(&device, spectra, &rows).is_err(), "before any training");
        let selection = Tensor::from_slice(&device, 500, 1, &(100..600).collect::<Vec<u32>>());
        trained(&mut *encoder, &device, spectra, Some(&selection));
        let size = encoder.size();
        let together = encoder.encode(&device, spectra, &rows).unwrap().download().unwrap();
        assert!(together.iter().all(|x| x.is_finite()));
        let alone = encoder.encode_one(&device, &third).unwrap().download().unwrap();
        let few = Tensor::from_slice(&device, 2, 1, &[599u32, 253]);
        let picked = encoder.encode(&device, spectra, &few).unwrap().download().unwrap();
        match (&encoder, &mut copy) {
            (Encoder::Pca(from), Encoder::Pca(to)) => to.restore(&from.state().unwrap().unwrap()).unwrap(),
            (Encoder::Signal(from), Encoder::Signal(to)) => {
                let (state, turned) = from.state().unwrap().unwrap();
                to.restore(&state, turned).unwrap();
            }
            (Encoder::Spectral(from), Encoder::Spectral(to)) => to.restore(&from.state()).unwrap(),
            (Encoder::Raw(from), Encoder::Raw(to)) => to.restore(&from.state().unwrap().unwrap()).unwrap(),
            _ => unreachable!(),
        }
        let restored = copy.encode(&device, spectra, &rows).unwrap().download().unwrap();
        assert_eq!(together, restored, "{encoder:?}");
        for (row, other) in [(253, &alone[..]), (599, &picked[..size]), (253, &picked[size..])] {
            for (a, b) in together[row * size..][..size].iter().zip(other) {
                // Products of other shapes add in another order.
                assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "row {row}: {a} and {b}");
            }
        }
    }
}

/// What the simulations do not reach is not looked at; an observation beyond all of them is an error.
#[test]
fn statistics_that_do_not_cover_the_observation_are_dropped() {
    let device = Device::cpu();
    let mu = expected(&device, 500);
    let spectra = Spectra::Drawn { expected: &mu, source: Source { seed: 1, stream: 7 } };
    let limits: Vec<(f64, f64)> = (0..30).map(|i| (0.5 + 0.1 * f64::from(i), 0.6 + 0.1 * f64::from(i))).collect();
    let of = |scale: f32, line: f32| {
        let mut values: Vec<f32> = mu.blocks[0].cpu()[..30].iter().map(|mu| (mu * scale).round()).collect();
        values[29] += line;
        let observed = Tensor::from_slice(&device, 1, 30, &values);
        let mut summary = Spectral::new(&device, &limits, &observed).unwrap();
        trained(&mut summary, &device, spectra, None);
        summary.size()
    };
    let typical = of(1.0, 0.0);
    assert!(typical > 40, "{typical} statistics of a spectrum like the simulated ones");
    let with_line = of(1.0, 1e6);
    assert!(
        with_line < typical && with_line > 20,
        "{with_line}: those of the bright bin's band and of the whole are gone"
    );
}

/// Directions of the signal tell brightness and slope as well as all bins do: the Cramer-Rao bounds from the projections are those
/// from the spectrum to 1 %, bright or faint, in either form.
#[test]
fn directions_of_the_signal_keep_the_information() {
    let device = Device::cpu();
    let bright = expected(&device, 1000);
    for dim in [1.0f32, 1e-4] {
        let mut mu = RowBlocks::empty(&device, 1000, 30, 250);
        for (mu, bright) in mu.blocks.iter_mut().zip(&bright.blocks) {
            mu.upload(&bright.cpu().iter().map(|mu| mu * dim).collect::<Vec<_>>());
        }
        let spectra = Spectra::Drawn { expected: &mu, source: Source { seed: 1, stream: 7 } };
        for form in [Form::Root, Form::Linear, Form::Log] {
            let mut signal = Signal::new(&device, 30, form);
            trained(&mut signal, &device, spectra, None);
            let (ProjectionState { scale, basis }, turned) = signal.state().unwrap().unwrap();
            let k = signal.size();
            assert!((2..=16).contains(&k) && !turned, "{form:?}, {dim}: {k} directions");
            // lambda = dim exp(10 + b + s x_i): the projections' response to (b, s) and their covariance, from the Poisson law.
            let x = |i: usize| i as f64 / 30.0 - 0.5;
            let lambda = f64::from(dim) * 10f64.exp();
            let (slope, noise) = match form {
                Form::Linear => (1.0, lambda.sqrt()),
                Form::Root | Form::Log => {
                    let of = |lambda: f64| mean_and_noise(form, lambda);
                    ((of(lambda * 1.001).0 - of(lambda * 0.999).0) / (0.002 * lambda), of(lambda).1)
                }
            };
            let weight = |i: usize| f64::from(scale[30 + i]);
            let v = |i: usize, j: usize| f64::from(basis[i * k + j]);
            let sum = |f: &dyn Fn(usize) -> f64| (0..30).map(f).sum::<f64>();
            let response = nalgebra::DMatrix::from_fn(k, 2, |j, p| {
                sum(&|i| v(i, j) * weight(i) * slope * lambda * if p == 0 { 1.0 } else { x(i) })
            });
            let covariance =
                nalgebra::DMatrix::from_fn(k, k, |a, b| sum(&|i| v(i, a) * v(i, b) * (weight(i) * noise).powi(2)));
            let kept = response.transpose() * covariance.try_inverse().unwrap() * &response;
            let all = nalgebra::DMatrix::from_fn(2, 2, |a, b| sum(&|i| lambda * [1.0, x(i)][a] * [1.0, x(i)][b]));
            let bound =
                |information: nalgebra::DMatrix<f64>, p: usize| information.try_inverse().unwrap()[(p, p)].sqrt();
            for p in 0..2 {
                let ratio = bound(kept.clone(), p) / bound(all.clone(), p);
                // At 2 counts per bin the root itself loses 2 % and the logarithm 7 %, whatever the directions.
                let most = match form {
                    Form::Root if dim < 1.0 => 1.03,
                    Form::Log if dim < 1.0 => 1.1,
                    _ => 1.01,
                };
                assert!((0.999..most).contains(&ratio), "{form:?}, dimmed by {dim}, parameter {p}: {ratio} with {k}");
            }
        }
    }
}

/// Mean and standard deviation of a form of X ~ Poisson, summed in logarithms.
fn mean_and_noise(form: Form, mean: f64) -> (f64, f64) {
    let (mut log_p, mut first, mut second) = (-mean, 0.0, 0.0);
    for x in 0..(mean + 20.0 * mean.sqrt() + 60.0) as u64 {
        let z = match form {
            Form::Root => 2.0 * (x as f64 + 0.375).sqrt(),
            Form::Log => (x as f64).ln_1p(),
            Form::Linear => x as f64,
        };
        first += log_p.exp() * z;
        second += log_p.exp() * z * z;
        log_p += mean.ln() - ((x + 1) as f64).ln();
    }
    (first, (second - first * first).sqrt())
}

/// A second training on spectra near each other needs fewer directions, keeps as many numbers that mean nearly what they meant, and
/// their space is that of the fewer.
#[test]
fn directions_are_turned_onto_those_before() {
    let device = Device::cpu();
    let mut mu = expected(&device, 1000);
    // Some 660 counts per bin: what is curved about the near ones drowns in their noise.
    for block in &mut mu.blocks {
        block.upload(&block.cpu().iter().map(|mu| mu * 3e-2).collect::<Vec<_>>());
    }
    let spectra = Spectra::Drawn { expected: &mu, source: Source { seed: 1, stream: 7 } };
    let near: Vec<u32> = (0..1000u32)
        .filter(|&row| {
            let block = mu.blocks[row as usize / 250].cpu();
            let spectrum = &block[row as usize % 250 * 30..][..30];
            (spectrum[15].ln() - 10.0 - 3e-2f32.ln()).abs() < 0.2 && (spectrum[29] / spectrum[0]).ln().abs() < 0.2
        })
        .collect();
    assert!(near.len() > 20, "{} spectra near the middle", near.len());
    let rows = Tensor::from_slice(&device, near.len(), 1, &near);
    let mut signal = Signal::new(&device, 30, Form::Root);
    trained(&mut signal, &device, spectra, None);
    let (first, wide) = (signal.state().unwrap().unwrap(), signal.size());
    assert!(!signal.lasting());
    trained(&mut signal, &device, spectra, Some(&rows));
    let second = signal.state().unwrap().unwrap();
    assert!(signal.lasting() && second.1 && signal.size() == wide);
    let mut fresh = Signal::new(&device, 30, Form::Root);
    trained(&mut fresh, &device, spectra, Some(&rows));
    let (alone, narrow) = (fresh.state().unwrap().unwrap(), fresh.size());
    assert!(narrow < wide, "{narrow} of {wide}");
    let matrix = |(state, _): &(ProjectionState, bool), k: usize| {
        nalgebra::DMatrix::from_row_slice(30, k, &state.basis).cast::<f64>()
    };
    let (first, second, alone) = (matrix(&first, wide), matrix(&second, wide), matrix(&alone, narrow));
    let beyond = &second - &alone * (alone.transpose() * &second);
    assert!(beyond.norm() < 1e-4, "{} beyond the directions of the signal", beyond.norm());
    // Of all ways to turn them, the nearest: nearer than the directions as they come.
    let plain = nalgebra::DMatrix::from_fn(30, wide, |i, j| if j < narrow { alone[(i, j)] } else { 0.0 });
    assert!((&second - &first).norm() <= (&plain - &first).norm() + 1e-6);
    let turns = &second * second.transpose() - &alone * alone.transpose();
    assert!(turns.norm() < 1e-4, "{} lost", turns.norm());
}

/// The noise of every form is that of the Poisson law at any brightness.
#[test]
fn noise_of_the_forms() {
    for form in [Form::Root, Form::Linear, Form::Log] {
        for mean in [1e-6, 1e-3, 0.3, 2.0, 29.9, 30.1, 1e3] {
            let (_, want) = mean_and_noise(form, mean);
            let got = signal::noise(form, mean);
            // From a mean of 30 on the logarithm has its first term alone.
            assert!((got / want - 1.0).abs() < 3e-2, "{form:?}, {mean}: {got} for {want}");
        }
    }
    assert!(
        (signal::noise(Form::Root, 1e-6) / 1e-3 - 1.12).abs() < 0.01,
        "one count in a million: 2 sqrt(11/8) - 2 sqrt(3/8)"
    );
}
