//! What the parameters cannot describe: the part of an observed spectrum outside of the signal, tested band by band.
//!
//! Where the model is right, a spectrum's root is white noise about what is expected, z = (2 sqrt(x + 3/8) - E) / sigma with E and sigma
//! exact for a Poisson number of the posterior's mean expected counts. Parameters move what is expected along a few directions V, those in which
//! E of the posterior's draws varies, and whatever lies along them is fitted. What is left, r = (1 - V V^T) z, no fit has touched: to first
//! order it is uncorrelated with every estimate of the parameters from the same counts (V is made of the derivatives of E, which are
//! the covariances of the root with the score), so spectra drawn at the posterior's draws have residuals of the very same law, and the
//! share of them that is as odd is a p-value. (Posterior predictive checks compare with draws that were fitted to the observation, which makes
//! their p-values conservative.)
//!
//! Two statistics per band: chi-square of r, for whatever is spread out, and the largest sum of r over any window of adjacent bins, in standard
//! deviations, for lines and edges. Bins are first taken together until [`LEAST_GROUP_COUNTS`] counts are expected, so that no single count in a bin
//! that expects none is all that a statistic sees.

use crate::Result;
use crate::kernels::stabilize::Form;
use crate::result::{Band, Residual, Window};
use crate::summarize::{FEW_COUNTS, kept, moments_of_few};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use std::ops::Range;

/// Expected counts that adjacent bins are taken together for.
pub const LEAST_GROUP_COUNTS: f64 = 2.0;
/// Draws of the posterior, at most.
pub const DRAWS: usize = 512;
/// Mock spectra of each draw: with [`DRAWS`] of them a global p-value is 1/2049 at least.
pub const MOCKS_PER_DRAW: usize = 4;
/// Bands of equal expected counts, at most, and groups of bins in each, at least.
const MOST_BANDS: usize = 8;
const LEAST_BAND_GROUPS: usize = 5;
/// Directions that are looked for.
const MOST_DIRECTIONS: usize = 48;
/// A window of which less is left outside of the signal says nothing.
const LEAST_WINDOW_SHARE: f64 = 0.1;

/// Draws counts of groups of bins (n x groups) for the expected ones of as many, other ones for every number; the last argument holds the first bins of
/// the groups, and the number of bins.
pub type Counts<'a> = dyn FnMut(usize, &[f32], &[usize]) -> Result<Vec<f32>> + 'a;

/// Tests the residual of `counts` in bins of the limits `edges` \[keV\] against the expected counts of draws of the posterior (row-major, n x
/// bins). No group, band or window crosses from one data set (name and columns) to the next. `None` for fewer than 20 draws, or where fewer
/// groups are left than the directions and one band take.
///
/// # Errors
/// Whatever `draw` returns.
pub fn examine(
    counts: &[u32],
    edges: &[(f64, f64)],
    sets: &[(String, Range<usize>)],
    expected: &[f32],
    draw: &mut Counts<'_>,
) -> Result<Option<Residual>> {
    let bins = counts.len().max(1);
    let n = expected.len() / bins;
    if n < 20 || expected.iter().any(|mu| !mu.is_finite()) {
        return Ok(None);
    }
    let mut mean = vec![0.0; bins];
    for mu in expected.chunks_exact(bins) {
        mean.iter_mut().zip(mu).for_each(|(sum, mu)| *sum += f64::from(*mu) / n as f64);
    }
    let starts = groups(&mean, sets);
    // Data sets in groups.
    let place = |bin: usize| starts.partition_point(|start| *start < bin);
    let sides: Vec<Range<usize>> = sets.iter().map(|(_, columns)| place(columns.start)..place(columns.end)).collect();
    let grouped: Vec<f32> = expected
        .par_chunks_exact(bins)
        .flat_map_iter(|mu| together(&starts, mu.iter().map(|&mu| f64::from(mu))).into_iter().map(|mu| mu as f32))
        .collect();
    let Some(frame) = Frame::new(&together(&starts, mean.iter().copied()), &grouped, &sides) else { return Ok(None) };
    let groups = frame.expected.len();
    let observed = frame.statistics(&together(&starts, counts.iter().map(|&k| f64::from(k))));
    let mut mocks = Vec::new();
    for k in 0..MOCKS_PER_DRAW {
        let drawn = draw(k, &grouped, &starts)?;
        mocks.par_extend(drawn.par_chunks_exact(groups).map(|x| {
            let x: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            frame.statistics(&x)
        }));
    }
    let limits = |from: usize, to: usize| (edges[starts[from]].0, edges[starts[to] - 1].1);
    let name = |from: usize, to: usize| match sets {
        [_] => String::new(),
        sets => {
            let own = sides.iter().position(|side| side.start <= from && to <= side.end);
            own.map_or_else(String::new, |k| sets[k].0.clone())
        }
    };
    Ok(Some(frame.judge(&observed, &mocks, &limits, &name)))
}

/// Mean and standard deviation of 2 sqrt(X + 3/8) of X ~ Poisson(mean): sums below a mean of [`FEW_COUNTS`], above it the series in the moments of
/// X (to 3e-5).
fn root_moments(mean: f64) -> (f64, f64) {
    if mean < FEW_COUNTS {
        return moments_of_few(Form::Root, mean);
    }
    let (m, mu) = (mean + 0.375, mean);
    let moments = [
        -mu / 8.0,
        mu / 16.0,
        -5.0 * (mu + 3.0 * mu * mu) / 128.0,
        7.0 * (mu + 10.0 * mu * mu) / 256.0,
        -21.0 * (mu + 25.0 * mu * mu + 15.0 * mu.powi(3)) / 1024.0,
    ];
    let sum: f64 = moments.iter().zip(2..).map(|(moment, power)| moment / m.powi(power)).sum();
    (2.0 * m.sqrt() * (1.0 + sum), (1.0 + 1.0 / (16.0 * mu * mu)).sqrt())
}

/// First bins of groups that expect [`LEAST_GROUP_COUNTS`] counts each, and the number of bins; what is left at the end joins the last.
fn groups(mean: &[f64], sets: &[(String, Range<usize>)]) -> Vec<usize> {
    let of_set = |(_, columns): &(String, Range<usize>)| {
        let mut own = groups_of_one(&mean[columns.clone()]);
        own.pop();
        own.into_iter().map(|start| columns.start + start).collect::<Vec<_>>()
    };
    let mut starts: Vec<usize> = sets.iter().flat_map(of_set).collect();
    starts.push(mean.len());
    starts
}

fn groups_of_one(mean: &[f64]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut sum = 0.0;
    for (i, mu) in mean.iter().enumerate() {
        sum += mu;
        if sum >= LEAST_GROUP_COUNTS {
            starts.push(i + 1);
            sum = 0.0;
        }
    }
    if starts.len() > 1 {
        starts.pop();
    }
    starts.push(mean.len());
    starts
}

fn together(starts: &[usize], values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values = values;
    starts.windows(2).map(|w| values.by_ref().take(w[1] - w[0]).sum()).collect()
}

/// Orthonormal directions in which the columns of `z` scatter, but for those that tell next to nothing (a randomised range finder as that of
/// [`crate::summarize::Signal`], on the host).
fn directions(z: &DMatrix<f64>) -> DMatrix<f64> {
    let (groups, n) = z.shape();
    let l = MOST_DIRECTIONS.min(groups).min(n);
    let mut random = Pcg64::seed_from_u64(groups as u64);
    let mut basis = DMatrix::from_fn(groups, l, |_, _| random.random_range(-1.0..1.0));
    for _ in 0..3 {
        basis = z * z.tr_mul(&basis.qr().q());
    }
    let q = basis.qr().q();
    let y = z.tr_mul(&q);
    let eigen = SymmetricEigen::new(y.tr_mul(&y) / n as f64);
    let mut order: Vec<usize> = (0..l).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let scatter: Vec<f64> = order.iter().map(|&j| eigen.eigenvalues[j].max(0.0).sqrt()).collect();
    let k = kept(&scatter);
    q * DMatrix::from_fn(l, k, |i, j| eigen.eigenvectors[(i, order[j])])
}

/// What every spectrum is measured with.
struct Frame {
    /// Expected counts, and mean and standard deviation of the root, of the groups.
    expected: Vec<f64>,
    moments: Vec<(f64, f64)>,
    v: DMatrix<f64>,
    /// First group and the one after the last; the whole range is the first band.
    bands: Vec<(usize, usize)>,
    /// The same of the windows, with the band that the middle is in (not the whole), and the standard deviation of the sum.
    windows: Vec<(usize, usize, usize, f64)>,
}

/// Of one spectrum and band: chi-square, the sum, and the window of the largest sum with that sum in standard deviations.
#[derive(Clone, Copy)]
struct Statistics {
    chi_square: f64,
    sum: f64,
    window: (usize, f64),
}

impl Frame {
    fn new(expected: &[f64], draws: &[f32], sides: &[Range<usize>]) -> Option<Frame> {
        let groups = expected.len();
        if groups < LEAST_BAND_GROUPS {
            return None;
        }
        let moments: Vec<(f64, f64)> = expected.iter().map(|&mu| root_moments(mu)).collect();
        let z: Vec<f64> = draws
            .par_chunks_exact(groups)
            .flat_map_iter(|mu| {
                mu.iter().zip(&moments).map(|(&mu, (mean, sd))| (root_moments(f64::from(mu)).0 - mean) / sd)
            })
            .collect();
        let v = directions(&DMatrix::from_vec(groups, z.len() / groups, z));
        if groups < v.ncols() + LEAST_BAND_GROUPS {
            return None;
        }
        let mut frame = Frame {
            bands: bands_of_sets(expected, sides),
            expected: expected.to_vec(),
            moments,
            v,
            windows: Vec::new(),
        };
        frame.windows = frame.windows(sides);
        Some(frame)
    }

    /// Standard deviation of the sum of the residual over groups, and the share of its variance that is outside of the signal.
    fn sum_sd(&self, from: usize, to: usize) -> (f64, f64) {
        let n = (to - from) as f64;
        let inside: f64 = self.v.column_iter().map(|v| v.rows(from, to - from).sum().powi(2)).sum();
        ((n - inside).max(0.0).sqrt(), 1.0 - inside / n)
    }

    /// Widths 1, 2, 3, 4, 6, 8, 12 ... up to a quarter of all groups, a quarter of the width apart.
    fn windows(&self, sides: &[Range<usize>]) -> Vec<(usize, usize, usize, f64)> {
        let groups = self.expected.len();
        let widths = (0..).flat_map(|k| [1usize << k, 3 << k]);
        let mut widths: Vec<usize> =
            widths.take_while(|&w| w <= 3 * groups).filter(|&w| w <= (groups / 4).max(1)).collect();
        widths.sort_unstable();
        let band_of = |middle: usize| match self.bands.len() {
            1 => 0,
            _ => 1 + self.bands[1..].iter().position(|b| middle < b.1).unwrap_or(self.bands.len() - 2),
        };
        let mut windows = Vec::new();
        for width in widths {
            for from in (0..=groups - width).step_by((width / 4).max(1)) {
                let (sd, left) = self.sum_sd(from, from + width);
                let whole = sides.iter().any(|side| side.start <= from && from + width <= side.end);
                if left >= LEAST_WINDOW_SHARE && whole {
                    windows.push((from, from + width, band_of(from + width / 2), sd));
                }
            }
        }
        windows
    }

    /// Those of all bands for counts of the groups.
    fn statistics(&self, counts: &[f64]) -> Vec<Statistics> {
        let mut r: Vec<f64> =
            counts.iter().zip(&self.moments).map(|(x, (mean, sd))| (2.0 * (x + 0.375).sqrt() - mean) / sd).collect();
        for v in self.v.column_iter() {
            let along: f64 = v.iter().zip(&r).map(|(v, r)| v * r).sum();
            r.iter_mut().zip(v.iter()).for_each(|(r, v)| *r -= along * v);
        }
        let mut sums = vec![0.0; r.len() + 1];
        (0..r.len()).for_each(|i| sums[i + 1] = sums[i] + r[i]);
        let band = |&(from, to): &(usize, usize)| Statistics {
            chi_square: r[from..to].iter().map(|r| r * r).sum(),
            sum: sums[to] - sums[from],
            window: (0, 0.0),
        };
        let mut all: Vec<Statistics> = self.bands.iter().map(band).collect();
        for (at, &(from, to, band, sd)) in self.windows.iter().enumerate() {
            let excess = (sums[to] - sums[from]) / sd;
            for band in [0, band] {
                if excess.abs() > all[band].window.1.abs() {
                    all[band].window = (at, excess);
                }
            }
        }
        all
    }

    fn judge(
        &self,
        observed: &[Statistics],
        mocks: &[Vec<Statistics>],
        limits: &dyn Fn(usize, usize) -> (f64, f64),
        name: &dyn Fn(usize, usize) -> String,
    ) -> Residual {
        let m = mocks.len() as f64;
        let share = |as_odd: &dyn Fn(&[Statistics]) -> bool| {
            (1.0 + mocks.iter().filter(|mock| as_odd(mock)).count() as f64) / (m + 1.0)
        };
        // Oddness is -ln of a smooth p-value, so that bands can be compared beyond the last mock; its own scale does not matter.
        let mut oddness = vec![f64::NEG_INFINITY; mocks.len()];
        let (mut most, mut oddest, mut by_window) = (f64::NEG_INFINITY, 0, false);
        // The whole range comes last: where a band says as much, it is that which is named.
        for at in (0..self.bands.len()).rev() {
            let cube_root = |s: &[Statistics]| s[at].chi_square.cbrt();
            let square = |s: &[Statistics]| 0.5 * s[at].window.1 * s[at].window.1;
            let of_square = Scale::of(mocks.iter().map(|mock| cube_root(mock)));
            let of_window = Scale::of(mocks.iter().map(|mock| square(mock)));
            let odd = |s: &[Statistics]| [of_square.normal(cube_root(s)), of_window.gumbel(square(s))];
            for (oddness, mock) in oddness.iter_mut().zip(mocks) {
                *oddness = odd(mock).into_iter().fold(*oddness, f64::max);
            }
            for (value, window) in odd(observed).into_iter().zip([false, true]) {
                if value > most {
                    (most, oddest, by_window) = (value, at, window);
                }
            }
        }
        let p = (1.0 + oddness.iter().filter(|o| **o >= most).count() as f64) / (m + 1.0);
        let band = |(at, &(from, to)): (usize, &(usize, usize))| {
            let Statistics { chi_square, sum, window: (window, excess) } = observed[at];
            let (e_min, e_max) = limits(from, to);
            let (first, last) = self.windows.get(window).map_or((from, to), |w| (w.0, w.1));
            let (low, high) = limits(first, last);
            Band {
                set: name(from, to),
                e_min,
                e_max,
                groups: to - from,
                chi_square,
                expected: mocks.iter().map(|mock| mock[at].chi_square).sum::<f64>() / m,
                p: share(&|mock| mock[at].chi_square >= chi_square),
                excess: match self.sum_sd(from, to) {
                    (sd, left) if left > 1e-6 => sum / sd,
                    _ => 0.0,
                },
                window: Window {
                    set: name(first, last),
                    e_min: low,
                    e_max: high,
                    excess,
                    p: share(&|mock| mock[at].window.1.abs() >= excess.abs()),
                },
            }
        };
        Residual {
            p,
            mocks: mocks.len(),
            groups: self.expected.len(),
            directions: self.v.ncols(),
            bands: self.bands.iter().enumerate().map(band).collect(),
            oddest,
            by_window,
        }
    }
}

/// The whole range, then the bands of every data set.
fn bands_of_sets(expected: &[f64], sides: &[Range<usize>]) -> Vec<(usize, usize)> {
    if let [_] = sides {
        return bands(expected);
    }
    let mut all = vec![(0, expected.len())];
    for side in sides.iter().filter(|side| !side.is_empty()) {
        let own = bands(&expected[side.clone()]);
        let parts = if own.len() > 1 { &own[1..] } else { &own[..] };
        all.extend(parts.iter().map(|(from, to)| (side.start + from, side.start + to)));
    }
    all
}

/// The whole range, then bands of about equal expected counts where there is room for more than one.
fn bands(expected: &[f64]) -> Vec<(usize, usize)> {
    let groups = expected.len();
    let wanted = (groups / LEAST_BAND_GROUPS).min(MOST_BANDS);
    let mut bands = vec![(0, groups)];
    if wanted < 2 {
        return bands;
    }
    let total: f64 = expected.iter().sum();
    let (mut from, mut sum) = (0, 0.0);
    for (i, mu) in expected.iter().enumerate() {
        sum += mu;
        let done = bands.len();
        let room = groups - (i + 1) >= LEAST_BAND_GROUPS * (wanted - done);
        let forced = groups - (i + 1) == LEAST_BAND_GROUPS * (wanted - done);
        let full = sum * wanted as f64 >= total * done as f64 && i + 1 - from >= LEAST_BAND_GROUPS;
        if done < wanted && room && (full || forced) {
            bands.push((from, i + 1));
            from = i + 1;
        }
    }
    bands.push((from, groups));
    bands
}

/// Mean and standard deviation of a statistic over mock spectra.
struct Scale {
    mean: f64,
    sd: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let n = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / n;
        let sd = (values.map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        Scale { mean, sd: sd.max(1e-12) }
    }

    /// -ln of the upper tail of a normal of this scale, to 1 % (the cube root of a chi-square is one: Wilson & Hilferty 1931; the tail is
    /// Abramowitz & Stegun 7.1.13).
    fn normal(&self, x: f64) -> f64 {
        use std::f64::consts::PI;
        let z = (x - self.mean) / self.sd;
        let upper = |z: f64| 0.5 * z * z + (0.5 * (2.0 * PI).sqrt() * (z + (z * z + 8.0 / PI).sqrt())).ln();
        if z >= 0.0 { upper(z) } else { -(-(-upper(-z)).exp()).ln_1p() }
    }

    /// -ln of the upper tail of a Gumbel distribution of this scale: half the square of the largest of many normals is nearly one.
    fn gumbel(&self, x: f64) -> f64 {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let width = self.sd * 6f64.sqrt() / std::f64::consts::PI;
        let t = (x - self.mean) / width + EULER;
        if t > 20.0 { t } else { -(-(-(-t).exp()).exp_m1()).ln() }
    }
}

#[cfg(test)]
mod tests;
