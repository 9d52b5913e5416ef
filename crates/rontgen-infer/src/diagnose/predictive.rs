//! Posterior predictive checks: does the observed spectrum look like spectra that the fitted model makes?
//!
//! For draws theta of the posterior and one replicated spectrum each, a discrepancy T(x, theta) of the observed and of the replicated
//! counts is compared; p is the share of draws for which the replicated one is at least as large (Gelman, Meng & Stern 1996). The posterior was
//! fitted to the same data, which makes these p-values conservative: they gather around 1/2, and a small one means more than it says.

use super::calibration::LEVEL;
use crate::result::{Check, Predictive};
use rayon::prelude::*;
use std::ops::Range;

/// Bands of adjacent bins with about the same number of observed counts, at most.
const BANDS: usize = 10;

/// The statistic of numbers with Gaussian errors.
pub const CHI_SQUARE: &str = "chi2";

/// A data set of the checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Range<usize>,
    /// What its deviance is called: "C-STAT", or [`CHI_SQUARE`] of numbers with Gaussian errors, which stand as counts in units in which their
    /// spread is their error.
    pub statistic: &'static str,
}

/// Signed root of what a bin with `k` counts adds to C-STAT where `m` are expected: nearly normal at few counts too, unlike (k - m) / sqrt(m).
fn root_of_deviance(k: f64, m: f64) -> f64 {
    let deviance = 2.0 * (m - k + if k > 0.0 { k * (k / m).ln() } else { 0.0 });
    deviance.max(0.0).sqrt().copysign(k - m)
}

/// Where spectra are compared: bands, first bins of the data sets after the first, and for each bin whether its counts stand for a number with a Gaussian
/// error.
struct Layout {
    bands: Vec<(usize, usize)>,
    starts: Vec<usize>,
    gaussian: Vec<bool>,
}

/// Discrepancies of one spectrum from one expectation: its statistic, the largest root of that in a bin, neighbour correlation, then the statistic of
/// the bands. `drawn`: whether the counts are drawn from the expectation.
///
/// Bins at `starts` have no neighbour before them. The error of a number with a Gaussian error is the root of the counts that stand for it, whatever the
/// model; that of one that is drawn is the root of what is expected, and both come in units of their own error, as chi-square has them.
fn discrepancies(counts: &[f32], mu: &[f32], drawn: bool, layout: &Layout) -> Vec<f64> {
    let Layout { bands, starts, gaussian } = layout;
    let (mut total, mut largest, mut neighbours, mut before) = (0.0, 0.0f64, 0.0, 0.0);
    let mut by_band = vec![0.0; bands.len()];
    let mut band = 0;
    for (i, (&k, &m)) in counts.iter().zip(mu).enumerate() {
        let (k, m) = (f64::from(k), f64::from(m).max(1e-30));
        let root = match gaussian.get(i) {
            Some(true) => (k - m) / if drawn { m } else { k.max(1.0) }.sqrt(),
            _ => root_of_deviance(k, m),
        };
        let deviance = root * root;
        if starts.contains(&i) {
            before = 0.0;
        }
        total += deviance;
        largest = largest.max(root.abs());
        neighbours += root * before;
        before = root;
        if bands.get(band).is_some_and(|b| i > b.1) {
            band += 1;
        }
        if let Some(sum) = by_band.get_mut(band) {
            *sum += deviance;
        }
    }
    [vec![total, largest, neighbours], by_band].concat()
}

/// Splits bins into bands of about equally many counts.
fn bands(counts: &[u32], most: usize) -> Vec<(usize, usize)> {
    let total: u64 = counts.iter().map(|&k| u64::from(k)).sum();
    let wanted = most.min(counts.len()).max(1) as u64;
    let (mut bands, mut start, mut sum) = (Vec::new(), 0, 0u64);
    for (i, &k) in counts.iter().enumerate() {
        sum += u64::from(k);
        let last = i + 1 == counts.len();
        if last || (sum * wanted >= total * (bands.len() as u64 + 1) && total > 0) {
            bands.push((start, i));
            start = i + 1;
        }
    }
    bands
}

/// Gathers comparisons draw by draw, so that replicated spectra need not all be in memory.
pub struct Predicting {
    counts: Vec<f32>,
    layout: Layout,
    edges: Vec<(f64, f64)>,
    sets: Vec<Checked>,
    /// Per check: sums of the observed and replicated values; draws with a larger, and with an equal replicated one.
    sums: Vec<(f64, f64)>,
    larger: Vec<(usize, usize)>,
    draws: usize,
}

impl Predicting {
    /// `counts` of the D bins and their limits \[keV\], in data sets.
    pub fn new(counts: &[u32], edges: &[(f64, f64)], sets: &[Checked]) -> Self {
        let of_set = |Checked { columns, .. }: &Checked| {
            let own = bands(&counts[columns.clone()], BANDS.div_ceil(sets.len()));
            own.into_iter().map(|(from, to)| (columns.start + from, columns.start + to)).collect::<Vec<_>>()
        };
        let bands: Vec<(usize, usize)> = sets.iter().flat_map(of_set).collect();
        let checks = 3 + bands.len();
        Self {
            counts: counts.iter().map(|&k| k as f32).collect(),
            layout: Layout {
                bands,
                starts: sets.iter().skip(1).map(|set| set.columns.start).collect(),
                gaussian: sets
                    .iter()
                    .flat_map(|set| set.columns.clone().map(|_| set.statistic == CHI_SQUARE))
                    .collect(),
            },
            edges: edges.to_vec(),
            sets: sets.to_vec(),
            sums: vec![(0.0, 0.0); checks],
            larger: vec![(0, 0); checks],
            draws: 0,
        }
    }

    /// Takes expected and replicated counts of some draws, n x D each.
    pub fn add(&mut self, expected: &[f32], replicated: &[f32]) {
        let d = self.counts.len();
        let (counts, layout) = (&self.counts, &self.layout);
        let pairs: Vec<(Vec<f64>, Vec<f64>)> = expected
            .par_chunks_exact(d)
            .zip(replicated.par_chunks_exact(d))
            .map(|(mu, drawn)| (discrepancies(counts, mu, false, layout), discrepancies(drawn, mu, true, layout)))
            .collect();
        for (observed, drawn) in pairs {
            self.draws += 1;
            for (i, (o, r)) in observed.iter().zip(&drawn).enumerate() {
                self.sums[i] = (self.sums[i].0 + o, self.sums[i].1 + r);
                self.larger[i].0 += usize::from(r > o);
                self.larger[i].1 += usize::from(r == o);
            }
        }
    }

    /// The checks. `None` before any draw.
    pub fn finish(self) -> Option<Predictive> {
        if self.draws == 0 {
            return None;
        }
        let n = self.draws as f64;
        let mut words: Vec<&str> = Vec::new();
        for Checked { statistic, .. } in &self.sets {
            if !words.contains(statistic) {
                words.push(statistic);
            }
        }
        let name = |i: usize| match i {
            0 => words.join(" + "),
            1 => format!("largest root of {} of a bin", words.join(" or ")),
            2 => "correlation of neighbouring bins".into(),
            _ => {
                let (first, last) = self.layout.bands[i - 3];
                let edge = |at: usize| self.edges.get(at).copied().unwrap_or((f64::NAN, f64::NAN));
                let own = self.sets.iter().find(|set| set.columns.contains(&first));
                let set = own.filter(|_| self.sets.len() > 1).map_or_else(String::new, |set| format!("{} ", set.name));
                let statistic = own.map_or("C-STAT", |set| set.statistic);
                format!("{statistic}, {set}{:.3}-{:.3} keV", edge(first).0, edge(last).1)
            }
        };
        let tests = self.sums.len() as f64;
        let checks: Vec<Check> = (0..self.sums.len())
            .map(|i| {
                let (larger, equal) = (self.larger[i].0 as f64, self.larger[i].1 as f64);
                // The observation counts as one of the draws: no p-value is zero. Too small a C-STAT is a finding, too.
                let upper = (1.0 + larger + equal) / (n + 1.0);
                let lower = (1.0 + n - larger) / (n + 1.0);
                let p = if i == 0 { (2.0 * upper.min(lower)).min(1.0) } else { upper };
                let (observed, replicated) = (self.sums[i].0 / n, self.sums[i].1 / n);
                Check { name: name(i), observed, replicated, p, failed: p * tests < LEVEL }
            })
            .collect();
        let p = (checks.iter().map(|c| c.p).fold(1.0, f64::min) * tests).min(1.0);
        Some(Predictive {
            draws: self.draws,
            passed: checks.iter().all(|c| !c.failed),
            p,
            checks,
            bands: self.layout.bands,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Device, Tensor};
    use crate::kernels::poisson::{Source, poisson};

    const BINS: usize = 100;

    fn set(name: &str, columns: Range<usize>, statistic: &'static str) -> Checked {
        Checked { name: name.into(), columns, statistic }
    }

    fn one() -> Vec<Checked> {
        vec![set("only", 0..BINS, "C-STAT")]
    }

    /// Bands end where data sets do and are named after them, and the first bin of one is no neighbour of the last of the other.
    #[test]
    fn data_sets_are_told_apart() {
        let edges: Vec<(f64, f64)> = (0..BINS).map(|i| ((i % 50) as f64, (i % 50) as f64 + 1.0)).collect();
        let sets = vec![set("a", 0..50, "C-STAT"), set("b", 50..BINS, "chi2")];
        let counts: Vec<u32> = (0..BINS as u32).map(|i| if i < 50 { 40 } else { 10 }).collect();
        let mut predicting = Predicting::new(&counts, &edges, &sets);
        let expected: Vec<f32> = counts.iter().map(|&k| k as f32).collect::<Vec<_>>().repeat(100);
        predicting.add(&expected, &draw(&expected, 100, 1));
        let found = predicting.finish().unwrap();
        let names: Vec<&str> = found.checks[3..].iter().map(|check| check.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[5]), (10, "C-STAT, a 0.000-10.000 keV", "chi2, b 0.000-10.000 keV"));
        let all: Vec<&str> = found.checks[..2].iter().map(|check| check.name.as_str()).collect();
        assert_eq!(all, ["C-STAT + chi2", "largest root of C-STAT or chi2 of a bin"]);
        assert!(found.bands.iter().all(|(from, to)| (*from < 50) == (*to < 50)), "{:?}", found.bands);
        let jump = |starts: &[usize]| {
            let layout = Layout { bands: vec![(0, 1)], starts: starts.to_vec(), gaussian: vec![false; 2] };
            discrepancies(&[9.0, 9.0], &[4.0, 4.0], false, &layout)[2]
        };
        assert!(jump(&[]) > 1.0 && jump(&[1]) == 0.0);
    }

    /// Numbers with Gaussian errors are compared by chi-square with their own errors: of the observation what the statistic is, of draws from the
    /// model the number of bins on average, however far it lies from the data.
    #[test]
    fn numbers_with_errors_are_compared_by_chi_square() {
        let edges: Vec<(f64, f64)> = (0..BINS).map(|i| (i as f64, i as f64 + 1.0)).collect();
        let counts = [144u32; BINS];
        let mut predicting = Predicting::new(&counts, &edges, &[set("only", 0..BINS, CHI_SQUARE)]);
        // Three standard deviations above each.
        let expected = [180.0f32; BINS].repeat(2000);
        predicting.add(&expected, &draw(&expected, 2000, 1));
        let found = predicting.finish().unwrap();
        let total = &found.checks[0];
        assert!((total.observed / (9.0 * BINS as f64) - 1.0).abs() < 1e-6, "{total:?}");
        // 100 +- 14 of each draw, of 2000 draws.
        assert!((total.replicated - BINS as f64).abs() < 5.0 * 14.2 / 2000f64.sqrt(), "{total:?}");
        assert!((found.checks[1].observed - 3.0).abs() < 1e-6, "{:?}", found.checks[1]);
    }

    fn draw(mu: &[f32], rows: usize, stream: u32) -> Vec<f32> {
        let device = Device::cpu();
        let means = Tensor::from_slice(&device, rows, mu.len() / rows, mu);
        let mut out = Tensor::empty(&device, rows, mu.len() / rows);
        poisson(&device, Source { seed: 3, stream }, 0, &means, 0, &mut out, 0, rows);
        out.download().unwrap()
    }

    /// 100 bins of 40 counts; `shape` multiplies the truth of bin i.
    fn check(shape: impl Fn(usize) -> f32, stream: u32) -> Predictive {
        let model = [40.0f32; BINS];
        let truth: Vec<f32> = (0..BINS).map(|i| 40.0 * shape(i)).collect();
        let counts: Vec<u32> = draw(&truth, 1, stream).iter().map(|&k| k as u32).collect();
        let edges: Vec<(f64, f64)> = (0..BINS).map(|i| (i as f64, i as f64 + 1.0)).collect();
        let mut predicting = Predicting::new(&counts, &edges, &one());
        let expected = model.repeat(4000);
        predicting.add(&expected, &draw(&expected, 4000, 1));
        predicting.finish().unwrap()
    }

    #[test]
    fn the_right_model_passes_and_wrong_ones_are_told_apart() {
        let failed = (0..100).filter(|k| !check(|_| 1.0, 10 + k).passed).count();
        assert!(failed < 6, "{failed} of 100 at a level of 1 %");
        // A line in three bins, +60 % each: its band shows it.
        let line = check(|i| if (50..53).contains(&i) { 1.6 } else { 1.0 }, 5);
        assert!(!line.passed && line.failures().iter().any(|f| f.contains("keV")), "{:?}", line.failures());
        // A slope of +-25 %, one and a half standard deviations of the bins at the ends: neighbours agree.
        let slope = check(|i| 0.75 + 0.5 * i as f32 / BINS as f32, 5);
        let found: Vec<&str> = slope.checks.iter().filter(|c| c.failed).map(|c| c.name.as_str()).collect();
        assert!(found.contains(&"correlation of neighbouring bins"), "{found:?}");
        // One bin at twice its mean.
        let spike = check(|i| if i == 30 { 2.0 } else { 1.0 }, 5);
        assert!(spike.checks[1].failed, "{:?}", spike.checks[1]);
        // Counts that scatter too little: C-STAT is too small.
        let edges = vec![(0.0, 1.0); BINS];
        let mut flat = Predicting::new(&[40; BINS], &edges, &one());
        let expected = [40.0f32; BINS].repeat(4000);
        flat.add(&expected, &draw(&expected, 4000, 1));
        assert!(flat.finish().unwrap().checks[0].failed);
    }

    #[test]
    fn bands_share_the_counts() {
        let list = bands(&[10; 100], BANDS);
        assert_eq!(list.len(), 10);
        assert_eq!((list[0], list[9]), ((0, 9), (90, 99)));
        let heavy = bands(&[1000, 1, 1, 1], BANDS);
        assert_eq!(heavy.iter().map(|b| b.1 + 1 - b.0).sum::<usize>(), 4);
        assert_eq!(bands(&[0; 5], BANDS), [(0, 4)]);
    }
}
