//! Bias and coverage of four ways with a background at low counts: `RONTGEN_DATA=DIR cargo bench --bench low_counts`.
//!
//! Mocks of four Chandra exposures (background/obs1 to obs4, 444 bins each between 0.5 and 7 keV, some 45 counts and as many in the background's region) with one
//! power law and a background that is constant in each. The posterior of slope and norm is computed on a grid that holds it, so that nothing but
//! the statistic is judged. MOCKS=N: another number of mocks than 200; LONGER=F: exposures F times as long.

use rontgen::device::Device;
use rontgen::kernels::background_stat::{BackgroundBin, BackgroundData, BackgroundStatistic};
use rontgen::model::{Model, Parameters, Prior, Program, Setting, Settings};
use rontgen::observation::{Background, Dataset, FileChoice, Grouping, ObservationSpec, load};
use std::collections::BTreeMap;
use std::path::PathBuf;

const SLOPE: f64 = 2.0;
const NORM: f64 = 1.05e-6;
/// Points of the grid in slope and in ln norm.
const GRID: [usize; 2] = [80, 96];
/// Points of the integral over a modelled background.
const LEVELS: usize = 25;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A Poisson number of a small mean.
    fn poisson(&mut self, mean: f64) -> f64 {
        let (mut count, mut product, limit) = (0.0, self.uniform(), (-mean).exp());
        while product > limit {
            count += 1.0;
            product *= self.uniform();
        }
        count
    }
}

/// One data set's counts in a mock.
struct Mock {
    source: Vec<f64>,
    background: Background,
}

fn at(k: usize, n: usize, [lo, hi]: [f64; 2]) -> f64 {
    lo + (hi - lo) * (k as f64 + 0.5) / n as f64
}

/// Where the grid lies: slopes, and logarithms of norms.
#[derive(Clone, Copy)]
struct Ranges {
    slopes: [f64; 2],
    norms: [f64; 2],
}

impl Ranges {
    /// That of exposures `longer` than those of the data: narrower, as the posteriors are.
    fn of(longer: f64) -> Ranges {
        if longer <= 1.0 {
            return Ranges { slopes: [0.0, 6.0], norms: [1e-8f64.ln(), 6e-6f64.ln()] };
        }
        let width = 1.0 / longer.sqrt();
        Ranges {
            slopes: [SLOPE - 2.0 * width, SLOPE + 2.0 * width],
            norms: [NORM.ln() - 1.6 * width, NORM.ln() + 1.6 * width],
        }
    }

    fn point(&self, i: usize) -> [f64; 2] {
        let (slope, norm) = (i / GRID[1], i % GRID[1]);
        [at(slope, GRID[0], self.slopes), at(norm, GRID[1], self.norms).exp()]
    }
}

fn ln_poisson(count: f64, mean: f64) -> f64 {
    // Without the factorial: it is the same for all parameters.
    if count > 0.0 { count * mean.ln() - mean } else { -mean }
}

/// ln L on the grid by a statistic with a background. `prior`: shape and mean of the marginal's prior, bin by bin.
fn with_statistic(
    kind: BackgroundStatistic,
    mocks: &[Mock],
    means: &[Vec<Vec<f32>>],
    prior: &dyn Fn(&Background) -> Vec<(f64, f64)>,
) -> Vec<f64> {
    let device = Device::cpu();
    let data: Vec<BackgroundData> = mocks
        .iter()
        .map(|mock| {
            let prior = prior(&mock.background);
            let bin = |i: usize| BackgroundBin {
                source: mock.source[i],
                background: mock.background.counts[i],
                scale: mock.background.scale[i],
                error: 0.0,
                shape: prior[i].0,
                prior_mean: prior[i].1,
            };
            let bins: Vec<BackgroundBin> = (0..mock.source.len()).map(bin).collect();
            BackgroundData::new(&device, kind, &bins).expect("usable bins")
        })
        .collect();
    (0..GRID[0] * GRID[1])
        .map(|i| -data.iter().zip(means).map(|(data, means)| data.half(&means[i])).sum::<f64>())
        .collect()
}

/// ln L on the grid with a constant background as a parameter of each data set, integrated out with a flat prior of its logarithm.
fn modelled(mocks: &[Mock], means: &[Vec<Vec<f32>>]) -> Vec<f64> {
    let mut all = vec![0.0; GRID[0] * GRID[1]];
    for (mock, means) in mocks.iter().zip(means) {
        let n = mock.source.len() as f64;
        let total = mock.background.total().max(1.0);
        let level = |k: usize| ((total / n).ln() + (k as f64 / (LEVELS - 1) as f64 - 0.5) * 10.0 / total.sqrt()).exp();
        let levels: Vec<f64> = (0..LEVELS).map(level).collect();
        for (sum, means) in all.iter_mut().zip(means) {
            let logs = levels.iter().map(|&b| {
                let bins = mock.source.iter().zip(means).zip(&mock.background.scale);
                let source: f64 = bins.map(|((s, m), a)| ln_poisson(*s, f64::from(*m) + a * b)).sum();
                source + mock.background.total() * b.ln() - n * b
            });
            let logs: Vec<f64> = logs.collect();
            let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            *sum += top + logs.iter().map(|l| (l - top).exp()).sum::<f64>().ln();
        }
    }
    all
}

/// Median of each parameter on the grid, and the posterior's probability below the truth.
fn told(log_l: &[f64], ranges: Ranges) -> [(f64, f64); 2] {
    let top = log_l.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_l.iter().map(|l| (l - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    let one = |cells: usize, of: &dyn Fn(usize) -> usize, range: [f64; 2], truth: f64| {
        let mut share = vec![0.0; cells];
        weights.iter().enumerate().for_each(|(i, w)| share[of(i)] += w / total);
        let below = |x: f64| {
            let place = (x - range[0]) / (range[1] - range[0]) * cells as f64;
            let whole = (place.max(0.0) as usize).min(cells - 1);
            share[..whole].iter().sum::<f64>() + share[whole] * (place - whole as f64).clamp(0.0, 1.0)
        };
        let (mut lo, mut hi) = (range[0], range[1]);
        for _ in 0..60 {
            let middle = 0.5 * (lo + hi);
            if below(middle) < 0.5 { lo = middle } else { hi = middle }
        }
        (lo, below(truth))
    };
    let slope = one(GRID[0], &|i| i / GRID[1], ranges.slopes, SLOPE);
    let norm = one(GRID[1], &|i| i % GRID[1], ranges.norms, NORM.ln());
    [slope, (norm.0.exp(), norm.1)]
}

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let Some(folder) = std::env::var_os("RONTGEN_DATA").map(PathBuf::from) else {
        println!("low_counts: RONTGEN_DATA is not set");
        return;
    };
    let number = std::env::var("MOCKS").ok().and_then(|n| n.parse().ok()).unwrap_or(200usize);
    let longer = std::env::var("LONGER").ok().and_then(|n| n.parse().ok()).unwrap_or(1.0f64);
    let ranges = Ranges::of(longer);
    let sets: Vec<Dataset> = (1..=4)
        .map(|k| {
            let file = |end: &str| folder.join(format!("background/obs{k}{end}"));
            let spec = ObservationSpec {
                spectrum: file(".pi"),
                response: Some(file(".rmf")),
                arf: FileChoice::File(file(".arf")),
                energies: vec![[0.5, 7.0]],
                grouping: Grouping::None,
                ..ObservationSpec::default()
            };
            load(&spec).expect("the spectra of background/")
        })
        .collect();
    let model = Model::parse("powerlaw", &Settings::default()).expect("a power law");
    let free = |lo, hi| Setting::Free(Prior::Uniform { lo, hi });
    let settings: BTreeMap<String, Setting> =
        [("powerlaw.PhoIndex".into(), free(0.0, 6.0)), ("powerlaw.norm".into(), free(0.0, 1.0))].into();
    let parameters = Parameters::resolve(&model, &settings).expect("two parameters");
    let means: Vec<Vec<Vec<f32>>> = sets
        .iter()
        .map(|set| {
            let program = Program::new(&model, &set.folded.edges).expect("energies");
            let fold = |theta: [f64; 2]| {
                let mut flux = vec![0.0; program.energies()];
                program.evaluate(&parameters.full(&theta), &mut flux);
                set.folded.fold(&flux).into_iter().map(|mean| longer * mean).collect::<Vec<f64>>()
            };
            let grid = (0..GRID[0] * GRID[1]).map(|i| fold(ranges.point(i)));
            let mut all: Vec<Vec<f32>> = grid.map(|m| m.into_iter().map(|m| m as f32).collect()).collect();
            all.push(fold([SLOPE, NORM]).into_iter().map(|m| m as f32).collect());
            all
        })
        .collect();
    let smoothed = |background: &Background| background.smoothed(20.0).into_iter().map(|mean| (10.0, mean)).collect();
    let jeffreys = |background: &Background| vec![(0.5, 1e9); background.counts.len()];
    let names = ["marginal (smoothed prior, k = 10)", "W", "marginal, Jeffreys bin by bin", "modelled (constant)"];
    let mut found: Vec<Vec<[(f64, f64); 2]>> = vec![Vec::new(); names.len()];
    for number in 0..number {
        let mut random = Random(1000 + number as u64);
        let mocks: Vec<Mock> = sets
            .iter()
            .zip(&means)
            .map(|(set, means)| {
                let observed = set.background.as_ref().expect("a background");
                let level = longer * observed.total() / set.bins.len() as f64;
                let counts = (0..set.bins.len()).map(|_| random.poisson(level)).collect();
                let truth = &means[GRID[0] * GRID[1]];
                let expected = truth.iter().zip(&observed.scale).map(|(m, a)| f64::from(*m) + a * level);
                let source = expected.map(|mean| random.poisson(mean)).collect();
                Mock { source, background: Background { counts, ..observed.clone() } }
            })
            .collect();
        let all = [
            with_statistic(BackgroundStatistic::Marginal, &mocks, &means, &smoothed),
            with_statistic(BackgroundStatistic::W, &mocks, &means, &|b| vec![(1.0, 1.0); b.counts.len()]),
            with_statistic(BackgroundStatistic::Marginal, &mocks, &means, &jeffreys),
            modelled(&mocks, &means),
        ];
        found.iter_mut().zip(&all).for_each(|(found, log_l)| found.push(told(log_l, ranges)));
    }
    println!(
        "{number} mocks, slope {SLOPE}, norm {NORM:e}; medians over the mocks with their standard deviation; coverage of central intervals"
    );
    println!("| way | slope (sd) | norm over truth | 68 % slope, norm | 90 % slope, norm |\n|---|---|---|---|---|");
    for (name, found) in names.iter().zip(&found) {
        let n = found.len() as f64;
        let moments = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / n;
            (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
        };
        let slope = moments(found.iter().map(|f| f[0].0).collect());
        let norm = moments(found.iter().map(|f| f[1].0 / NORM).collect());
        let covered = |which: usize, level: f64| {
            found.iter().filter(|f| (f[which].1 - 0.5).abs() < 0.5 * level).count() as f64 / n
        };
        println!(
            "| {name} | {:.3} ± {:.3} ({:.2}) | {:.3} ± {:.3} | {:.2}, {:.2} | {:.2}, {:.2} |",
            slope.0,
            slope.1 / n.sqrt(),
            slope.1,
            norm.0,
            norm.1 / n.sqrt(),
            covered(0, 0.68),
            covered(1, 0.68),
            covered(0, 0.9),
            covered(1, 0.9)
        );
    }
}
