//! Response compression: the model is evaluated at a few of its energy bins only, where the folded spectrum does not notice.
//!
//! Between the kept bins the photon density, divided by that of the prior's middle, is interpolated by polynomials through six of
//! them (Lagrange). That is linear in the kept bins' photons, so it is multiplied into the response once: the compressed response
//! has fewer columns and rows no longer than before, and nothing is interpolated at run time. (Kaastra & Bleeker 2016, A&A 587,
//! A151, section 3, and XSPEC's first-order folding keep the photons of a merged bin and their mean energy instead; products
//! of absorption and continuum then lose accuracy as the square of the bin's width, here as its sixth power.)
//!
//! How well it works is measured, not assumed. For a spectrum d drawn from expected counts m, replacing them by m + e changes
//! C-STAT by `sum(e^2/m) + 2 sum(e (1 - d/m))` to second order: with `q = sum(e^2/m)`, a shift of q and a noise of standard deviation
//! `2 sqrt(q)`. What is bounded is [`change`]` = q + 6 sqrt(q)`, three standard deviations, for spectra with the observed
//! number of counts and shapes from all over the prior. The bins are chosen with one set of draws from the prior and judged
//! with another; where the bound does not hold, the exact grid stays.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::device::Device;
use crate::kernels::fold::{self, CPU_SPECTRA, Csr, FoldPlan, cpu_stride, fold_tile};
use crate::kernels::random;
use crate::model::{Parameters, Program, Scratch};
use crate::observation::FoldedResponse;

/// The largest change of C-STAT at the observed number of counts that a compression may cause.
pub const MOST_CHANGE: f64 = 0.01;

/// Kept bins that an interpolation reads.
const STENCIL_POINTS: usize = 6;
/// Bins between two kept ones before any is divided.
const WIDEST_INTERVAL: usize = 256;
/// Draws from the prior that choose the bins, and others that judge the choice.
const CHOOSING_DRAWS: usize = 256;
const JUDGING_DRAWS: usize = 512;
/// What the choosing draws aim at, in units of the bound: unseen draws are somewhat worse than the worst seen.
const AIMED_SHARE: f64 = 0.5;
/// Attempts, each with the draws that refuted the one before and half its aim.
const MOST_ATTEMPTS: usize = 3;
/// Squared errors this much smaller than they may be are worth a second, coarser choice.
const SPARE_ERROR_FACTOR: f64 = 4.0;
/// Kept bins as a fraction of all, above which compression is not worth having.
const MOST_KEPT_SHARE: f64 = 0.75;
/// Counts in a bin below which changes count as if it had these: there the change is 2 e, not e^2/m.
const FEWEST_COUNTS: f32 = 1e-6;
/// Random numbers of the draws; no stage of a run has them.
const SEED: u64 = 0x636f_6d70_7265_7373;

/// Returns the bound on the change of C-STAT for `q = sum(e^2/m)`: the shift and three standard deviations of the noise.
pub fn change(q: f64) -> f64 {
    q + 6.0 * q.sqrt()
}

/// The `q` whose [`change`] is given.
fn squared_error(change: f64) -> f64 {
    ((9.0 + change).sqrt() - 3.0).powi(2)
}

/// Returns the bound for each of `arms` compressions that are used together, so that they change C-STAT by less than `bound` all together:
/// their q add up (arms on the same columns: by the Cauchy-Schwarz inequality, to no more than that).
pub fn share(bound: f64, arms: usize) -> f64 {
    change(squared_error(bound) / arms.max(1) as f64)
}

/// A compression kept so much, and costs so much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Model energies of the exact grid.
    pub energies: usize,
    /// Model energies that were kept.
    pub kept: usize,
    /// Draws from the prior that judged it.
    pub draws: usize,
    /// The largest [`change`] among them.
    pub largest_change: f64,
}

/// This is a model on its kept bins with the response that belongs to them.
#[derive(Debug, Clone)]
pub struct Compression {
    /// Model on the kept bins.
    pub program: Program,
    row_start: Vec<u32>,
    column: Vec<u32>,
    value: Vec<f32>,
    /// What was kept, and what that costs.
    pub report: Report,
}

impl Compression {
    /// Chooses bins for `program` and `folded` (which share their energies) so that the change of C-STAT stays below `bound`
    /// for spectra of `counts` counts anywhere in the prior. Deterministic.
    ///
    /// # Errors
    /// The text says why the exact grid has to stay.
    pub fn find(
        program: &Program,
        parameters: &Parameters,
        folded: &FoldedResponse,
        counts: u64,
        bound: f64,
    ) -> Result<Self, String> {
        if program.energies() != folded.energies() {
            return Err("the model's energies are not the response's".into());
        }
        if program.thinned(&[0]).is_none() {
            return Err("the model has a convolution or code of the user's own, which takes every energy".into());
        }
        let counts = counts.max(1) as f64;
        let mut draws = Draws::new(program, folded, counts);
        draws.extend(program, parameters, (0..CHOOSING_DRAWS).collect());
        if draws.scale.len() < CHOOSING_DRAWS / 2 {
            return Err("most draws from the prior have no counts".into());
        }
        let reference = draws.reference(program, parameters);
        let mut grid = Grid::new(program.energies());
        let mut worst = f64::INFINITY;
        for attempt in 0..MOST_ATTEMPTS {
            let aim = squared_error(bound * AIMED_SHARE * 0.5f64.powi(attempt as i32));
            grid.refine(&draws, &reference, aim);
            if grid.kept.len() as f64 > MOST_KEPT_SHARE * program.energies() as f64 {
                break;
            }
            let Some(mut compression) = grid.compression(program, folded, &reference) else { break };
            let first = CHOOSING_DRAWS + attempt * JUDGING_DRAWS;
            let changes = compression.judge(program, parameters, folded, counts, first);
            worst = largest(&changes);
            if worst < bound {
                compression.report.largest_change = worst;
                // A response much wider than its energies averages errors that the aim counts one by one.
                let room = squared_error(bound * AIMED_SHARE) / squared_error(worst).max(f64::MIN_POSITIVE);
                if room < SPARE_ERROR_FACTOR {
                    return Ok(compression);
                }
                let mut coarser = Grid::new(program.energies());
                coarser.refine(&draws, &reference, aim * room);
                if let Some(mut other) = coarser.compression(program, folded, &reference) {
                    other.report.largest_change = largest(&other.judge(program, parameters, folded, counts, first));
                    if other.report.largest_change < bound && other.report.kept < compression.report.kept {
                        compression = other;
                    }
                }
                return Ok(compression);
            }
            let failed =
                (first..).zip(&changes).filter(|(_, change)| **change >= bound).map(|(draw, _)| draw).collect();
            draws.extend(program, parameters, failed);
            grid.known.clear();
        }
        Err(if worst.is_finite() {
            format!("C-STAT would change by up to {worst:.3} (bound {bound})")
        } else {
            "the model needs most of its energies".into()
        })
    }

    /// Computes expected counts per bin in f64, as [`super::oracle::expected_counts`] does on the exact grid. `points`: n x P.
    pub fn expected_counts(&self, parameters: &Parameters, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let bins = self.row_start.windows(2);
        let fold = |flux: &[f64], w: &[u32]| -> f64 {
            let range = w[0] as usize..w[1] as usize;
            self.column[range.clone()]
                .iter()
                .zip(&self.value[range])
                .map(|(&c, &v)| f64::from(v) * flux[c as usize])
                .sum()
        };
        let one = |theta: &Vec<f64>| {
            let mut flux = vec![0.0; self.program.energies()];
            self.program.evaluate(&parameters.full(theta), &mut flux);
            bins.clone().map(|w| fold(&flux, w)).collect()
        };
        points.par_iter().map(one).collect()
    }

    pub(super) fn csr(&self) -> Csr<'_> {
        Csr { columns: self.program.energies(), row_start: &self.row_start, column: &self.column, value: &self.value }
    }

    /// [`change`] for each of [`JUDGING_DRAWS`] draws from `first` on, with the arithmetic of the devices.
    fn judge(
        &self,
        program: &Program,
        parameters: &Parameters,
        folded: &FoldedResponse,
        counts: f64,
        first: usize,
    ) -> Vec<f64> {
        let cpu = Device::cpu();
        let exact = FoldPlan::new(&cpu, csr(folded));
        let compressed = FoldPlan::new(&cpu, self.csr());
        let bins = folded.bins();
        let group = CPU_SPECTRA;
        let judged = (0..JUDGING_DRAWS / group).into_par_iter().flat_map_iter(|g| {
            let means = |program: &Program, plan: &FoldPlan| {
                let stride = cpu_stride(program.energies());
                let mut flux = vec![0f32; group * stride];
                let mut scratch = Scratch::default();
                for (s, flux) in flux.chunks_mut(stride).enumerate() {
                    let full = point(parameters, first + g * group + s);
                    program.evaluate_f32(&full, &mut flux[..program.energies()], &mut scratch);
                }
                let mut out = vec![0f32; group * bins];
                fold_tile(plan, &flux, stride, &mut out, &mut fold::Scratch::default());
                out
            };
            let (exact, compressed) = (means(program, &exact), means(&self.program, &compressed));
            let pairs = exact.chunks(bins).zip(compressed.chunks(bins));
            pairs.map(|(m, c)| judged_change(m, c, counts)).collect::<Vec<_>>()
        });
        judged.collect()
    }
}

fn largest(changes: &[f64]) -> f64 {
    changes.iter().copied().fold(0.0, f64::max)
}

/// [`change`] of one spectrum scaled to `counts`; 0 where the exact one cannot be scaled.
fn judged_change(exact: &[f32], compressed: &[f32], counts: f64) -> f64 {
    let total: f64 = exact.iter().map(|&m| f64::from(m)).sum();
    let scale = counts / total;
    if !scale.is_finite() {
        return 0.0;
    }
    let term = |(&m, &c): (&f32, &f32)| {
        let (m, c) = (scale * f64::from(m), scale * f64::from(c));
        (c - m) * (c - m) / (m + f64::from(FEWEST_COUNTS))
    };
    let change = change(exact.iter().zip(compressed).map(term).sum());
    // Means that are not numbers where the exact ones are: the worst that can be.
    if change.is_nan() { f64::INFINITY } else { change }
}

fn csr(folded: &FoldedResponse) -> Csr<'_> {
    Csr { columns: folded.energies(), row_start: &folded.row_start, column: &folded.column, value: &folded.value }
}

/// All model parameters of draw number `draw` from the prior.
fn point(parameters: &Parameters, draw: usize) -> Vec<f32> {
    let coordinate = |k: usize| {
        let words = random::block(random::key(SEED), 0, draw as u32, k as u32, 0);
        f64::from(random::unit(words[0]))
    };
    let cube: Vec<f64> = (0..parameters.free().len()).map(coordinate).collect();
    full(parameters, &cube)
}

fn full(parameters: &Parameters, cube: &[f64]) -> Vec<f32> {
    parameters.full(&parameters.from_cube(cube)).iter().map(|&x| x as f32).collect()
}

/// Photons of many draws from the prior, energy-major, with what turns them into counts.
struct Draws {
    counts: f64,
    /// Edges of the energy bins, keV.
    bins: Vec<(f64, f64)>,
    /// Energy by energy, one number per draw.
    flux: Vec<Vec<f32>>,
    /// Counts per photon of each energy, all bins together.
    area: Vec<f32>,
    /// Per draw: observed over expected number of counts.
    scale: Vec<f32>,
}

impl Draws {
    fn new(program: &Program, folded: &FoldedResponse, counts: f64) -> Self {
        let mut area = vec![0f64; program.energies()];
        for (&column, &value) in folded.column.iter().zip(&folded.value) {
            area[column as usize] += f64::from(value);
        }
        Self {
            counts,
            bins: program.bins().to_vec(),
            flux: vec![Vec::new(); program.energies()],
            area: area.into_iter().map(|a| a as f32).collect(),
            scale: Vec::new(),
        }
    }

    /// Adds those of the draws `numbers` that have counts.
    fn extend(&mut self, program: &Program, parameters: &Parameters, numbers: Vec<usize>) {
        let evaluate = |draw: usize| {
            let mut flux = vec![0f32; program.energies()];
            program.evaluate_f32(&point(parameters, draw), &mut flux, &mut Scratch::default());
            let total: f64 = flux.iter().zip(&self.area).map(|(&f, &a)| f64::from(f) * f64::from(a)).sum();
            let scale = (self.counts / total) as f32;
            (scale.is_normal() && flux.iter().all(|f| f.is_finite())).then_some((scale, flux))
        };
        let drawn: Vec<(f32, Vec<f32>)> = numbers.into_par_iter().filter_map(evaluate).collect();
        self.scale.extend(drawn.iter().map(|(scale, _)| scale));
        self.flux.par_iter_mut().enumerate().for_each(|(j, row)| row.extend(drawn.iter().map(|(_, flux)| flux[j])));
    }

    /// Photons at the middle of the prior: what densities are divided by before they are interpolated. Bin widths where that
    /// vanishes somewhere.
    fn reference(&self, program: &Program, parameters: &Parameters) -> Vec<f64> {
        let mut flux = vec![0f32; program.energies()];
        let middle = full(parameters, &vec![0.5; parameters.free().len()]);
        program.evaluate_f32(&middle, &mut flux, &mut Scratch::default());
        if flux.iter().all(|f| f.is_normal() && *f > 0.0) {
            return flux.into_iter().map(f64::from).collect();
        }
        program.bins().iter().map(|(lo, hi)| hi - lo).collect()
    }
}

/// One fine bin's photons as a sum over kept bins: where they start in the list of kept bins, and the weights.
struct Stencil {
    first: usize,
    weights: [f64; STENCIL_POINTS],
}

/// The kept bins, first and last included.
struct Grid {
    kept: Vec<u32>,
    /// Per interval (its first bin and the kept bins it reads): the squared error of each draw.
    known: HashMap<(u32, [u32; STENCIL_POINTS]), Vec<f32>>,
}

impl Grid {
    fn new(energies: usize) -> Self {
        let last = energies as u32 - 1;
        let mut kept: Vec<u32> = (0..last).step_by(WIDEST_INTERVAL).collect();
        kept.push(last);
        Self { kept, known: HashMap::new() }
    }

    /// The first of the kept bins that interval `a` (from kept bin a to a + 1) reads, and how many.
    fn reads(&self, a: usize) -> (usize, usize) {
        let points = STENCIL_POINTS.min(self.kept.len());
        ((a + 1).saturating_sub(STENCIL_POINTS / 2).min(self.kept.len() - points), points)
    }

    fn key(&self, a: usize) -> (u32, [u32; STENCIL_POINTS]) {
        let (first, points) = self.reads(a);
        let mut read = [u32::MAX; STENCIL_POINTS];
        read[..points].copy_from_slice(&self.kept[first..first + points]);
        (self.kept[a], read)
    }

    /// Weights of bin `j` inside interval `a`.
    fn stencil(&self, a: usize, j: usize, reference: &[f64], bins: &[(f64, f64)]) -> Stencil {
        let (first, points) = self.reads(a);
        let middle = |j: usize| 0.5 * (bins[j].0 + bins[j].1);
        let at: [usize; STENCIL_POINTS] =
            std::array::from_fn(|p| self.kept[(first + p).min(self.kept.len() - 1)] as usize);
        let mut weights = [0.0; STENCIL_POINTS];
        for (p, weight) in weights.iter_mut().enumerate().take(points) {
            *weight = reference[j] / reference[at[p]];
            for q in (0..points).filter(|&q| q != p) {
                *weight *= (middle(j) - middle(at[q])) / (middle(at[p]) - middle(at[q]));
            }
        }
        Stencil { first, weights }
    }

    /// Divides intervals until the squared errors of every draw, summed over all of them, are below `aim`, or nothing is left to
    /// divide. By the Cauchy-Schwarz inequality the sum over fine bins bounds that over the bins of the spectrum.
    fn refine(&mut self, draws: &Draws, reference: &[f64], aim: f64) {
        let bins = draws.bins.as_slice();
        loop {
            let missing: Vec<usize> =
                (0..self.kept.len() - 1).filter(|&a| !self.known.contains_key(&self.key(a))).collect();
            let found: Vec<_> =
                missing.into_par_iter().map(|a| (self.key(a), self.errors(a, draws, reference, bins))).collect();
            self.known.extend(found);
            let mut totals = vec![0f64; draws.scale.len()];
            let mut largest = Vec::with_capacity(self.kept.len());
            for a in 0..self.kept.len() - 1 {
                let errors = &self.known[&self.key(a)];
                totals.iter_mut().zip(errors).for_each(|(total, &e)| *total += f64::from(e));
                largest.push(errors.iter().copied().fold(0f32, f32::max));
            }
            if totals.iter().all(|&total| total <= aim) {
                return;
            }
            let open = self.kept.windows(2).filter(|w| w[1] - w[0] > 1).count();
            let threshold = (aim / open.max(1) as f64) as f32;
            let too_large = |a: usize| largest[a] > threshold;
            let split: Vec<u32> = (0..largest.len())
                .filter(|&a| self.kept[a + 1] - self.kept[a] > 1 && too_large(a))
                .map(|a| self.kept[a].midpoint(self.kept[a + 1]))
                .collect();
            if split.is_empty() {
                return;
            }
            self.kept.extend(split);
            self.kept.sort_unstable();
            self.grade();
        }
    }

    /// No interval more than twice as long as its neighbours: polynomials through uneven points overshoot.
    fn grade(&mut self) {
        loop {
            let length = |a: usize| self.kept[a + 1] - self.kept[a];
            let last = self.kept.len() - 2;
            let split: Vec<u32> = (0..=last)
                .filter(|&a| {
                    let neighbours = [a.checked_sub(1), (a < last).then_some(a + 1)];
                    neighbours.into_iter().flatten().any(|b| length(a) > 2 * length(b) + 1)
                })
                .map(|a| self.kept[a].midpoint(self.kept[a + 1]))
                .collect();
            if split.is_empty() {
                return;
            }
            self.kept.extend(split);
            self.kept.sort_unstable();
        }
    }

    /// Sum of `e^2/m` over the bins inside interval `a`, per draw.
    fn errors(&self, a: usize, draws: &Draws, reference: &[f64], bins: &[(f64, f64)]) -> Vec<f32> {
        let mut out = vec![0f32; draws.scale.len()];
        let mut sum = vec![0f32; draws.scale.len()];
        for j in self.kept[a] as usize + 1..self.kept[a + 1] as usize {
            let stencil = self.stencil(a, j, reference, bins);
            sum.fill(0.0);
            for (p, &weight) in stencil.weights.iter().enumerate() {
                let Some(&k) = self.kept.get(stencil.first + p) else { continue };
                let weight = weight as f32;
                sum.iter_mut().zip(&draws.flux[k as usize]).for_each(|(sum, flux)| *sum += weight * flux);
            }
            let area = draws.area[j];
            for (((out, sum), flux), scale) in out.iter_mut().zip(&sum).zip(&draws.flux[j]).zip(&draws.scale) {
                let per_photon = area * scale;
                let error = per_photon * (sum - flux);
                *out += error * error / (per_photon * flux + FEWEST_COUNTS);
            }
        }
        out
    }

    /// The program on the kept bins and the response times the interpolation.
    fn compression(&self, program: &Program, folded: &FoldedResponse, reference: &[f64]) -> Option<Compression> {
        let bins = program.bins();
        let mut stencils: Vec<Stencil> = Vec::with_capacity(bins.len());
        for a in 0..self.kept.len() - 1 {
            for j in self.kept[a] as usize..self.kept[a + 1] as usize {
                stencils.push(self.stencil(a, j, reference, bins));
            }
        }
        let last = self.kept.len() - 1;
        stencils.push(self.stencil(last - 1, bins.len() - 1, reference, bins));
        let (mut row_start, mut column, mut value) = (vec![0u32], Vec::new(), Vec::new());
        let mut sums = vec![0f64; self.kept.len()];
        for row in folded.row_start.windows(2) {
            let range = row[0] as usize..row[1] as usize;
            let (mut from, mut to) = (usize::MAX, 0);
            for (&j, &element) in folded.column[range.clone()].iter().zip(&folded.value[range]) {
                let stencil = &stencils[j as usize];
                for (p, weight) in stencil.weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                    let k = stencil.first + p;
                    sums[k] += f64::from(element) * weight;
                    (from, to) = (from.min(k), to.max(k + 1));
                }
            }
            for (k, sum) in sums.iter_mut().enumerate().take(to).skip(from.min(to)) {
                let sum = std::mem::take(sum) as f32;
                if sum != 0.0 {
                    column.push(k as u32);
                    value.push(sum);
                }
            }
            row_start.push(column.len() as u32);
        }
        let report =
            Report { energies: bins.len(), kept: self.kept.len(), draws: JUDGING_DRAWS, largest_change: f64::INFINITY };
        Some(Compression { program: program.thinned(&self.kept)?, row_start, column, value, report })
    }
}
