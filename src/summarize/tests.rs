use super::*;
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
            (Encoder::Signal(from), Encoder::Signal(to)) => to.restore(&from.state().unwrap().unwrap()).unwrap(),
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
