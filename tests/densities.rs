//! Every density estimator on the same conditional density, through the interface that a run uses.

use rontgen::device::{Device, Tensor};
use rontgen::infer::{DensityKind, DensitySettings, Estimator};
use rontgen::nn::{FitSettings, Plateau};

/// Parameters and summaries of the known density.
const P: usize = 2;
const C: usize = 3;
const ROWS: usize = 8000;

fn settings(kind: DensityKind) -> DensitySettings {
    DensitySettings { kind, transforms: 4, hidden: 32, layers: 2, bins: 8, components: 8 }
}

fn fit(epochs: usize) -> FitSettings {
    FitSettings {
        batch: 200,
        max_epochs: epochs,
        patience: 12,
        validation_fraction: 0.1,
        learning_rate: 3e-3,
        plateau: Some(Plateau { patience: 4, ..Plateau::default() }),
        seed: 3,
        ..FitSettings::default()
    }
}

/// A generator of uniform numbers with a period long enough.
struct Numbers(u64);

impl Numbers {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut z = self.0;
        z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        ((z ^ (z >> 33)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}

/// The truth in logits t: the first is normal about a bent function of the summaries with a width of its own, the second normal
/// about a parabola of the first: a banana, whose place and width the summaries tell. The third summary is noise.
fn moments(s: &[f64]) -> (f64, f64) {
    (0.8 * s[0] + 0.3 * (2.0 * s[1]).sin(), 0.5 * (0.4 * s[0]).exp())
}

fn bend(t: f64, s: &[f64]) -> f64 {
    0.5 * t * t - 0.5 * s[1]
}

const SECOND: f64 = 0.35;

fn truth(t: &[f64], s: &[f64]) -> f64 {
    let normal = |x: f64, mean: f64, sd: f64| -0.5 * ((x - mean) / sd).powi(2) - sd.ln() - 0.918_938_533_204_672_8;
    let (mean, sd) = moments(s);
    normal(t[0], mean, sd) + normal(t[1], bend(t[0], s), SECOND)
}

/// Pairs: cube (`n x P`), summaries (`n x C`), log-density of each in the cube.
fn pairs(n: usize, seed: u64) -> (Vec<f32>, Vec<f32>, Vec<f64>) {
    let mut numbers = Numbers(seed);
    let (mut cube, mut summaries, mut log_p) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let s: Vec<f64> = (0..C).map(|_| numbers.normal()).collect();
        let (mean, sd) = moments(&s);
        let first = mean + sd * numbers.normal();
        let t = [first, bend(first, &s) + SECOND * numbers.normal()];
        let u = t.map(|t| 1.0 / (1.0 + (-t).exp()));
        log_p.push(truth(&t, &s) - u.iter().map(|u| (u * (1.0 - u)).ln()).sum::<f64>());
        cube.extend(u.map(|u| u as f32));
        summaries.extend(s.iter().map(|&s| s as f32));
    }
    (cube, summaries, log_p)
}

fn tensor(device: &Device, rows: usize, values: &[f32]) -> Tensor<f32> {
    Tensor::from_slice(device, rows, values.len() / rows, values)
}

fn trained(device: &Device, kind: DensityKind, epochs: usize) -> Estimator {
    let mut estimator = Estimator::of(device, P, C, &settings(kind), 1).unwrap();
    let (cube, summaries, _) = pairs(ROWS, 1);
    let summaries = vec![tensor(device, ROWS, &summaries)];
    let history = estimator.train(&tensor(device, ROWS, &cube), summaries, &fit(epochs), &mut |_| Ok(())).unwrap();
    assert!(!history.valid.is_empty());
    estimator
}

/// Points of a grid in logits as cube coordinates, with the area of each in the cube.
fn grid() -> (Vec<f32>, Vec<f64>) {
    let n = 300;
    let axis = |k: usize| -6.0 + 14.0 * (k as f64 + 0.5) / n as f64;
    let (mut cube, mut area) = (Vec::new(), Vec::new());
    for i in 0..n {
        for j in 0..n {
            let u = [axis(i), axis(j)].map(|t| 1.0 / (1.0 + (-t).exp()));
            area.push(u.iter().map(|u| u * (1.0 - u) * 14.0 / n as f64).product());
            cube.extend(u.map(|u| u as f32));
        }
    }
    (cube, area)
}

/// The truth is learnt, log-probabilities integrate to one, draws follow them, and a checkpoint brings everything back.
#[test]
fn every_density_learns_a_known_one() {
    let device = Device::cpu();
    let (grid_cube, area) = grid();
    let grid_points = tensor(&device, area.len(), &grid_cube);
    for kind in DensityKind::ALL {
        let mut estimator = trained(&device, kind, 120);

        // Mean log-density gap over 200 unseen contexts: the Kullback-Leibler divergence, 0 for the truth. A few thousand weights fitted
        // to 7200 pairs of two numbers cost some hundredths of a nat (an untrained density is off by more than 1); that of
        // the truth itself scatters by 1 / sqrt(200 x 30).
        let (contexts, per) = (200, 30);
        let mut numbers = Numbers(99);
        let (mut gap, mut untrained_gap) = (0.0, 0.0);
        let untrained = Estimator::of(&device, P, C, &settings(kind), 1).unwrap();
        for _ in 0..contexts {
            let s: Vec<f64> = (0..C).map(|_| numbers.normal()).collect();
            let (mean, sd) = moments(&s);
            let (mut cube, mut log_p) = (Vec::new(), Vec::new());
            for _ in 0..per {
                let first = mean + sd * numbers.normal();
                let t = [first, bend(first, &s) + SECOND * numbers.normal()];
                let u = t.map(|t| 1.0 / (1.0 + (-t).exp()));
                log_p.push(truth(&t, &s) - u.iter().map(|u| (u * (1.0 - u)).ln()).sum::<f64>());
                cube.extend(u.map(|u| u as f32));
            }
            let summary = tensor(&device, 1, &s.iter().map(|&s| s as f32).collect::<Vec<_>>());
            let cube = tensor(&device, per, &cube);
            for (estimator, gap) in [(&estimator, &mut gap), (&untrained, &mut untrained_gap)] {
                let log_q = estimator.at(&summary).log_density(&cube).download().unwrap();
                let total: f64 = log_p.iter().zip(&log_q).map(|(p, q)| p - f64::from(*q)).sum();
                *gap += total / (contexts * per) as f64;
            }
        }
        println!("{}: gap {gap:.4} (untrained {untrained_gap:.3})", kind.name());
        assert!(gap > -0.04 && gap < 0.12 && untrained_gap > 0.5, "{}: gap {gap}, {untrained_gap}", kind.name());

        let summary = tensor(&device, 1, &[0.4, -0.7, 0.2]);
        let (mass, mean, spread) = {
            let log_q = estimator.at(&summary).log_density(&grid_points).download().unwrap();
            let weights: Vec<f64> = log_q.iter().zip(&area).map(|(q, area)| f64::from(*q).exp() * area).collect();
            let mass: f64 = weights.iter().sum();
            let over = |power: i32, mean: [f64; 2]| {
                [0, 1].map(|i| {
                    let terms = weights.iter().zip(grid_cube.chunks(P));
                    terms.map(|(w, u)| w * (f64::from(u[i]) - mean[i]).powi(power)).sum::<f64>() / mass
                })
            };
            let mean = over(1, [0.0; 2]);
            (mass, mean, over(2, mean))
        };
        println!("{}: mass {mass:.5}", kind.name());
        assert!((mass - 1.0).abs() < 3e-3, "{}: integrates to {mass}", kind.name());

        // 40 000 draws: 5 errors of a mean are 0.025 of the spread, of the variance of such a distribution 0.05 of it.
        let n = 40_000;
        let draws = estimator.at(&summary).sample(7, 2, 0, n);
        let (cube, log_q) = (draws.cube.download().unwrap(), draws.log_q.download().unwrap());
        for i in 0..P {
            let column = || cube.iter().skip(i).step_by(P).map(|&u| f64::from(u));
            let got = column().sum::<f64>() / n as f64;
            let variance = column().map(|u| (u - got).powi(2)).sum::<f64>() / n as f64;
            assert!((got - mean[i]).abs() < 0.025 * spread[i].sqrt(), "{}: mean {got} {}", kind.name(), mean[i]);
            assert!((variance / spread[i] - 1.0).abs() < 0.05, "{}: variance {variance} {}", kind.name(), spread[i]);
        }
        // The inverse of forward is the identity to f32: a draw's density is that of where it landed.
        let found = estimator.at(&summary).log_density(&draws.cube).download().unwrap();
        let mut off: Vec<f32> = log_q.iter().zip(&found).map(|(a, b)| (a - b).abs()).collect();
        off.sort_by(f32::total_cmp);
        // The cube's edges round logits: beyond |t| = 7 by 1e-4, times the slope of a narrow density.
        assert!(off[n / 2] < 1e-4 && off[n * 999 / 1000] < 5e-3, "{}: {} {}", kind.name(), off[n / 2], off[n - 1]);
        let again = estimator.at(&summary).sample(7, 2, 0, n).cube.download().unwrap();
        assert_eq!(cube, again, "{}: same seed, same bits", kind.name());

        // A checkpoint goes on bit for bit.
        let state = estimator.state().unwrap();
        let mut restored = Estimator::of(&device, P, C, &settings(kind), 1).unwrap();
        restored.restore(&state).unwrap();
        assert_eq!(restored.at(&summary).log_density(&draws.cube).download().unwrap(), found, "{}", kind.name());
        let (more, summaries, _) = pairs(1000, 5);
        for estimator in [&mut estimator, &mut restored] {
            let summaries = vec![tensor(&device, 1000, &summaries)];
            estimator.train(&tensor(&device, 1000, &more), summaries, &fit(2), &mut |_| Ok(())).unwrap();
        }
        assert_eq!(estimator.state().unwrap(), restored.state().unwrap(), "{}", kind.name());
        for other in DensityKind::ALL.into_iter().filter(|&other| other != kind) {
            let mut other = Estimator::of(&device, P, C, &settings(other), 1).unwrap();
            // Two parameters have as many orders as halves.
            assert!(other.restore(&state).is_err() || other.len() == estimator.len(), "another density's weights");
        }
        device.check().unwrap();
    }
}

/// The same weights give the same densities and draws on software Vulkan, and a training goes the same way.
#[test]
fn devices_agree() {
    let cpu = Device::cpu();
    let Ok(gpu) = Device::open("software") else {
        assert!(std::env::var("RONTGEN_REQUIRE_GPU").is_err(), "no software adapter");
        return;
    };
    for kind in DensityKind::ALL {
        let state = trained(&cpu, kind, 3).state().unwrap();
        let summary = [0.4f32, -0.7, 0.2];
        let (cube, summaries, _) = pairs(1500, 8);
        let mut results = Vec::new();
        for device in [&cpu, &gpu] {
            let mut estimator = Estimator::of(device, P, C, &settings(kind), 1).unwrap();
            estimator.restore(&state).unwrap();
            let summary = tensor(device, 1, &summary);
            let log_q = estimator.at(&summary).log_density(&tensor(device, 1500, &cube)).download().unwrap();
            let drawn = estimator.at(&summary).sample(3, 1, 0, 1500).cube.download().unwrap();
            let data = vec![tensor(device, 1500, &summaries)];
            let history = estimator.train(&tensor(device, 1500, &cube), data, &fit(3), &mut |_| Ok(())).unwrap();
            device.check().unwrap();
            results.push((log_q, drawn, history.valid));
        }
        let [(q, drawn, loss), (q_gpu, drawn_gpu, loss_gpu)] = &results[..] else { unreachable!() };
        let name = kind.name();
        for (a, b) in q.iter().zip(q_gpu) {
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{name}: log q {a} and {b}");
        }
        // A number that chooses a component may fall on the other side of an edge that is rounded differently: one draw of many.
        let off = drawn.iter().zip(drawn_gpu).filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
        assert!(off <= 4, "{name}: {off} of {} coordinates differ", drawn.len());
        for (a, b) in loss.iter().zip(loss_gpu) {
            assert!((a - b).abs() < 2e-3 * (1.0 + a.abs()), "{name}: losses {a} and {b}");
        }
    }
}

/// An embedding learns what a known posterior allows: 20 bins of expected counts 100 u with a flat prior of u. The posterior of u is close to a
/// normal of variance u / 2000, whose mean log-density is -ln(2 pi e u / 2000) / 2 at its own draws: 2.88 over the prior. That of a density which
/// knows nothing is 0; a tenth of the posterior's width in bias or in width costs less than 0.01.
#[test]
fn an_embedding_learns_what_the_spectra_tell() {
    use rontgen::device::RowBlocks;
    use rontgen::kernels::poisson::Source;
    use rontgen::summarize::{AutoEncoder, AutoEncoderSettings, Spectra, Summary, TrainingData};
    let (rows, bins, unseen) = (12_000usize, 20usize, 500usize);
    // The statistics of a batch of n rows are off by 1/sqrt(n) of a standard deviation from step to step, and the posterior is 2 to 4 % of the
    // prior wide: batches are large.
    let settings_of = |epochs| FitSettings { batch: 600, ..fit(epochs) };
    let gpu = Device::open("software").ok();
    for (device, kind, epochs) in [
        (Some(Device::cpu()), DensityKind::Maf, 100),
        (Some(Device::cpu()), DensityKind::Mdn, 100),
        (gpu, DensityKind::Maf, 2),
    ] {
        let Some(device) = device else { continue };
        let mut numbers = Numbers(4);
        let u: Vec<f32> = (0..rows + unseen).map(|_| numbers.uniform() as f32).collect();
        let expected = |u: &[f32]| {
            let mut blocks = RowBlocks::empty(&device, u.len(), bins, u.len());
            blocks.blocks[0].upload(&u.iter().flat_map(|u| vec![100.0 * u; bins]).collect::<Vec<f32>>());
            blocks
        };
        let shape = AutoEncoderSettings { hidden: vec![16], latent: 6, ..Default::default() };
        let mut encoder = AutoEncoder::embedding(&device, bins, &shape).unwrap();
        assert_eq!(encoder.size(), 8);
        let settings = DensitySettings { kind, transforms: 2, hidden: 24, layers: 2, bins: 8, components: 4 };
        let mut estimator = Estimator::joint(&device, 1, encoder.size(), &settings, 1);
        let source = Source { seed: 1, stream: 5 };
        let training = expected(&u[..rows]);
        let data = TrainingData { spectra: Spectra::Drawn { expected: &training, source }, rows: None };
        let cube = tensor(&device, rows, &u[..rows]);
        let history =
            estimator.train_jointly(&cube, &mut encoder, &data, &settings_of(epochs), &mut |_| Ok(())).unwrap();
        device.check().unwrap();
        assert!(history.valid.len() <= epochs && history.best().is_finite());

        let means = expected(&u[rows..]);
        let source = Source { seed: 1, stream: 77 };
        let index: Vec<u32> = (0..unseen as u32).collect();
        let index = Tensor::from_slice(&device, unseen, 1, &index);
        let encoded = encoder.encode(&device, Spectra::Drawn { expected: &means, source }, &index).unwrap();
        let encoded = encoded.download().unwrap();
        let mean = |estimator: &Estimator| {
            let total: f64 = (0..unseen)
                .map(|k| {
                    let summary = tensor(&device, 1, &encoded[8 * k..8 * k + 8]);
                    let at = tensor(&device, 1, &u[rows + k..rows + k + 1]);
                    f64::from(estimator.at(&summary).log_density(&at).download().unwrap()[0])
                })
                .sum();
            total / unseen as f64
        };
        let got = mean(&estimator);
        println!("{} on {}: {got:.3}", kind.name(), device.name());
        let least = if device.is_gpu() { 0.5 } else { 2.88 - 0.2 };
        assert!(got > least && got < 2.88 + 0.2, "{} on {}: {got}", kind.name(), device.name());

        // Both halves come back.
        let again = AutoEncoder::from_state(&device, &encoder.state().unwrap()).unwrap();
        let spectra = Spectra::Drawn { expected: &means, source };
        assert_eq!(again.encode(&device, spectra, &index).unwrap().download().unwrap(), encoded);
        assert!(again.alone() && again.state().unwrap() == encoder.state().unwrap());
        let mut restored = Estimator::joint(&device, 1, encoder.size(), &settings, 1);
        restored.restore(&estimator.state().unwrap()).unwrap();
        assert_eq!(mean(&restored), got);
    }
}
