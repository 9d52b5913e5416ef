//! Posteriors of many spectra from one pair of networks: draws of the flow, and where these are not good enough, of what is learnt from
//! them.
//!
//! A flow that was trained on the whole prior is far wider than the posterior of a bright spectrum. Its weighted draws, tempered until
//! enough of them count, say where to look more closely: a mixture is fitted to them and drawn from, and all draws of all proposals
//! of this spectrum are weighed together (population Monte Carlo, Cappe et al. 2004; with the weights of [`Pool`], Cornuet et al. 2012).
//! Once these weights are to be trusted, new draws from what was learnt decide: draws that the proposals were fitted to, and that
//! were stopped when they looked best, make too little of what they have not seen. What the new draws refuse goes on learning
//! from them, until the likelihoods are spent. Where that fails, nested sampling finds what a mixture is fitted to, and its evidence is
//! checked against that of the weights.
//!
//! Whatever is random for a spectrum is keyed by its counts and exposure, not by its place among others: in any list, it
//! gets the same posterior to the bit.

use super::interrupt;
use super::mocks::{Analysis, Target};
use super::refinement::{Flow, agreement, mixture_names, weights_told};
use crate::Result;
use crate::infer::Posterior;
use crate::reference::{Likelihood, NestedSettings, nested};
use crate::refine::{Importance, Pool, Proposal, StudentMixture, Uniform};
use crate::report::Verdict;
use crate::report::summary::{ProposalSummary, RefineSummary, VerdictStatus};
use rayon::prelude::*;

/// Streams of the spectra's draws: those of the mocks, which no other command of this run uses at the same time. One of 2^28.
const STREAM: u32 = (1 << 29) + (1 << 28);
/// Effective draws that a mixture is fitted to, per parameter and as a share of all draws: weights are tempered until there are so many.
const TEMPERED: f64 = 40.0;
const PART: f64 = 1.0 / 16.0;
/// Fits follow each other where the effective draws have become so many times more, or fewer: there was something that the last fit
/// did not know of.
const WORTH_A_FIT: f64 = 2.0;
const WORSE: f64 = 0.7;
/// Components of a mixture, at most, while weights are tempered and then. With 16 the fits took most of the time.
const COMPONENTS: [usize; 2] = [4, 8];
/// Shares of the draws that flow and prior go on getting: they reach what the mixtures have not seen. With 0.08 and 0.02 a tenth more
/// likelihoods were needed.
const FLOW_SHARE: f64 = 0.2;
const PRIOR_SHARE: f64 = 0.1;
/// Mixtures that are to get a smaller share of the draws that decide than this are dropped.
const WORTH_KEEPING: f64 = 0.03;
/// Draws that decide, over those of a batch that teaches.
const DECIDING: usize = 3;
/// Live points of the fall-back.
const LIVE: usize = 400;
/// The evidence of the weights is to be within so many errors of the nested one.
const AGREEMENT: f64 = 4.0;

/// Proposals of a spectrum that needs no mixture: flow and prior.
pub(super) const FIRST: usize = 2;

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Draws of the flow, and of each proposal that follows.
    pub draws: usize,
    /// Likelihoods of a spectrum, at most; the fall-back has as many again after its own.
    pub most: usize,
    pub polish: bool,
    /// Nested sampling where the weights are refused after all.
    pub nested: bool,
    pub seed: u64,
}

/// What became of a spectrum.
pub(super) struct Weighed {
    pub cube: Vec<f32>,
    pub log_l: Vec<f64>,
    /// `None` when no draw has any weight.
    pub told: Option<(Importance, RefineSummary)>,
    /// Likelihoods, those of nested sampling apart.
    pub likelihoods: usize,
    pub nested: Option<u64>,
    /// Why the verdict is not to be better than 'with care', beyond the weights.
    pub doubt: Option<String>,
    pub seed: u64,
}

/// A spectrum on its way.
struct Spectrum<'a> {
    target: &'a Target,
    pool: Pool<'a>,
    shares: Vec<f64>,
    /// Rows of the next batch; 0: finished.
    rows: usize,
    most: usize,
    /// Likelihoods so far.
    spent: usize,
    /// Whether the present draws are all later than the last fit.
    deciding: bool,
    told: Option<(Importance, RefineSummary)>,
    /// Effective draws at the last fit; 0: it was tempered.
    fitted: f64,
    fits: u64,
    nested: Option<Rescue>,
    /// Which proposals are as dense as their draws are frequent; empty before that is known.
    right: Vec<bool>,
    seed: u64,
}

/// What nested sampling said.
struct Rescue {
    evaluations: u64,
    log_z: f64,
    log_z_err: f64,
}

fn normalise(shares: &mut [f64]) {
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
}

/// A number for a spectrum: FNV-1a of its counts and exposure.
fn digest(counts: &[u32], exposure: f32) -> u64 {
    let words = counts.iter().copied().chain([exposure.to_bits()]);
    words
        .flat_map(u32::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Draws for each target until its weights are to be trusted; `counts`: those of each target.
///
/// # Errors
/// Device failures and interruptions.
pub(super) fn weigh(
    analysis: &Analysis<'_>,
    targets: &mut [Target],
    counts: &[&[u32]],
    effort: Effort,
) -> Result<Vec<Weighed>> {
    let p = analysis.rounds.simulator().names().len();
    let seeds: Vec<u64> = targets
        .iter_mut()
        .zip(counts)
        .map(|(target, counts)| {
            let digest = digest(counts, target.exposure);
            target.stream = STREAM + (digest >> 36) as u32;
            effort.seed.wrapping_add(digest)
        })
        .collect();
    let mut all: Vec<Spectrum<'_>> =
        targets.iter().zip(seeds).map(|(target, seed)| Spectrum::new(analysis, target, p, effort, seed)).collect();
    run(analysis, &mut all, effort)?;
    if effort.nested {
        for spectrum in all.iter_mut().filter(|spectrum| spectrum.refused()) {
            rescue(analysis, spectrum, effort)?;
        }
        run(analysis, &mut all, effort)?;
    }
    Ok(all.into_iter().map(Spectrum::weighed).collect())
}

/// Batches of all spectra that are not finished, their likelihoods together.
fn run(analysis: &Analysis<'_>, all: &mut [Spectrum<'_>], effort: Effort) -> Result<()> {
    loop {
        let mut active: Vec<&mut Spectrum<'_>> = all.iter_mut().filter(|spectrum| spectrum.rows > 0).collect();
        if active.is_empty() {
            return Ok(());
        }
        let (mut cube, mut proposed) = (Vec::new(), Vec::with_capacity(active.len()));
        for spectrum in &mut active {
            let batch = spectrum.pool.propose(&spectrum.shares, spectrum.rows)?;
            cube.extend_from_slice(&batch.cube);
            proposed.push(batch);
        }
        let targets: Vec<&Target> = active.iter().map(|spectrum| spectrum.target).collect();
        let each: Vec<usize> = active.iter().map(|spectrum| spectrum.rows).collect();
        let log_l = likelihoods(analysis, &cube, &each, &targets)?;
        let mut rest = log_l.as_slice();
        for (spectrum, batch) in active.iter_mut().zip(proposed) {
            let (now, later) = rest.split_at(spectrum.rows);
            rest = later;
            spectrum.pool.take(batch, now.to_vec())?;
        }
        active.par_iter_mut().for_each(|spectrum| spectrum.advance(effort));
        for spectrum in active.into_iter().filter(|spectrum| spectrum.rows == 0) {
            spectrum.check(analysis)?;
        }
    }
}

/// Exact ln L, minus infinity where the networks do not hold.
fn likelihoods(analysis: &Analysis<'_>, cube: &[f32], each: &[usize], targets: &[&Target]) -> Result<Vec<f64>> {
    let (mut log_l, _) = analysis.likelihoods(cube, each, targets)?;
    let inside = analysis.inside(cube)?;
    log_l.iter_mut().zip(inside).filter(|(_, inside)| !inside).for_each(|(l, _)| *l = f64::NEG_INFINITY);
    Ok(log_l)
}

impl<'a> Spectrum<'a> {
    fn new(analysis: &'a Analysis<'_>, target: &'a Target, p: usize, effort: Effort, seed: u64) -> Self {
        let posterior: Posterior<'a> = analysis.networks.at(&target.summary);
        // The flow's draws are keyed by the run's seed and the spectrum's stream.
        let mut proposals: Vec<Box<dyn Proposal + 'a>> =
            vec![Box::new(Flow::new(posterior, effort.seed, target.stream))];
        let mut shares = vec![1.0];
        if effort.polish {
            proposals.push(Box::new(Uniform { p, seed }));
            shares = vec![1.0 - PRIOR_SHARE, PRIOR_SHARE];
        }
        Self {
            target,
            pool: Pool::new(p, proposals),
            shares,
            rows: effort.draws.min(effort.most),
            most: effort.most,
            spent: 0,
            deciding: false,
            told: None,
            fitted: 0.0,
            fits: 0,
            nested: None,
            right: Vec::new(),
            seed,
        }
    }

    fn names(&self) -> Vec<String> {
        let mixtures = mixture_names(&self.pool);
        let others = self.pool.drawn().len() - mixtures.len();
        ["flow".to_string(), "prior".into()].into_iter().take(others).chain(mixtures).collect()
    }

    /// Compares the densities of a finished spectrum's proposals with their draws: where one is wrong, the weights are refused.
    fn check(&mut self, analysis: &Analysis<'_>) -> Result<()> {
        let names = self.names();
        let Some((_, told)) = &mut self.told else { return Ok(()) };
        (told.agreement, self.right) = agreement(analysis.rounds.problem, &mut self.pool, &names)?;
        Ok(())
    }

    /// Judges the draws and says what comes next.
    fn advance(&mut self, effort: Effort) {
        self.spent += self.rows;
        let importance = Importance::new(&self.pool.log_weights());
        self.told = importance.map(|importance| {
            let told = weights_told(&importance, self.seed);
            (importance, told)
        });
        let left = self.most.saturating_sub(self.spent);
        let trusted = self.status() == VerdictStatus::Trusted;
        if left == 0 || (trusted && self.decides()) {
            self.rows = 0;
        } else if !effort.polish {
            // Four times as many, and again.
            self.rows = left.min(3 * self.pool.len());
        } else if trusted {
            self.learn();
            let kept: Vec<bool> =
                self.shares.iter().enumerate().map(|(j, share)| j < FIRST || *share > WORTH_KEEPING).collect();
            self.pool.forget_draws(&kept);
            let mut kept = kept.iter();
            self.shares.retain(|_| *kept.next().unwrap_or(&true));
            normalise(&mut self.shares);
            self.deciding = true;
            self.rows = left.min(DECIDING * effort.draws);
        } else {
            self.learn();
            self.deciding = false;
            self.rows = left.min(effort.draws);
        }
    }

    /// Whether the present draws have taught no proposal that they are weighed with.
    fn decides(&self) -> bool {
        self.deciding || self.pool.mixtures.is_empty()
    }

    /// Fits a mixture where that is worth its time, and shares out the draws to come.
    fn learn(&mut self) {
        let Some(ess) = self.told.as_ref().map(|(importance, _)| importance.ess) else { return };
        let enough = (TEMPERED * self.pool.parameters() as f64).max(PART * self.pool.len() as f64);
        let tempered = ess < enough;
        let changed = ess < WORSE * self.fitted || ess > WORTH_A_FIT * self.fitted;
        if self.status() == VerdictStatus::Trusted || tempered || changed {
            self.fits += 1;
            let components = COMPONENTS[usize::from(!tempered)];
            if self.pool.fit_tempered(enough, components, self.seed.wrapping_add(self.fits)).is_some() {
                self.fitted = if tempered { 0.0 } else { ess };
            }
        }
        self.shares = if tempered { self.newest_first() } else { self.pool.best_shares() };
        for (share, least) in self.shares.iter_mut().zip([FLOW_SHARE, PRIOR_SHARE]) {
            *share = share.max(least);
        }
        normalise(&mut self.shares);
    }

    /// Shares of the draws that are to find out where the posterior is: the newest mixture has all that flow and prior leave.
    fn newest_first(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.pool.drawn().len()];
        if let Some(newest) = shares.last_mut() {
            *newest = 1.0 - FLOW_SHARE - PRIOR_SHARE;
        }
        (shares[0], shares[1]) = (shares[0] + FLOW_SHARE, shares[1] + PRIOR_SHARE);
        shares
    }

    fn status(&self) -> VerdictStatus {
        self.told.as_ref().map_or(VerdictStatus::NotTrusted, |(_, told)| Verdict::of_weights(told).status)
    }

    fn refused(&self) -> bool {
        self.status() == VerdictStatus::NotTrusted
    }

    fn weighed(self) -> Weighed {
        let taught = (!self.decides() && self.status() == VerdictStatus::Trusted)
            .then(|| "the proposals were fitted to the very draws that they are to weigh: no likelihoods were left for others".into());
        let apart = self.nested.as_ref().zip(self.told.as_ref()).and_then(|(nested, (_, told))| {
            let apart = (told.log_z - nested.log_z).abs() / nested.log_z_err.hypot(told.log_z_err);
            (apart.is_nan() || apart > AGREEMENT).then(|| {
                format!(
                    "the evidence of the weights, {:.2}, is {apart:.1} errors from that of nested sampling, {:.2}",
                    told.log_z, nested.log_z
                )
            })
        });
        let drawn = self.names().into_iter().zip(self.pool.drawn());
        let proposals: Vec<ProposalSummary> = drawn.map(|(name, &draws)| ProposalSummary { name, draws }).collect();
        Weighed {
            told: self.told.map(|(importance, told)| (importance, RefineSummary { proposals, ..told })),
            likelihoods: self.spent,
            nested: self.nested.map(|nested| nested.evaluations),
            doubt: apart.or(taught),
            seed: self.seed,
            cube: self.pool.cube,
            log_l: self.pool.log_l,
        }
    }
}

/// A spectrum's likelihood.
struct At<'a> {
    analysis: &'a Analysis<'a>,
    target: &'a Target,
    p: usize,
}

impl Likelihood for At<'_> {
    fn parameters(&self) -> usize {
        self.p
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>> {
        let cube: Vec<f32> = cube.iter().map(|&u| u as f32).collect();
        likelihoods(self.analysis, &cube, &[cube.len() / self.p], &[self.target])
    }
}

/// Nested sampling on the whole prior, and a mixture fitted to its samples as one more proposal.
fn rescue(analysis: &Analysis<'_>, spectrum: &mut Spectrum<'_>, effort: Effort) -> Result<()> {
    let p = spectrum.pool.parameters();
    let settings = NestedSettings { live: LIVE, seed: spectrum.seed, ..NestedSettings::default() };
    let mut likelihood = At { analysis, target: spectrum.target, p };
    let result = match nested::sample(&mut likelihood, &settings, None, &mut |_| interrupt::check()) {
        Ok(result) => result,
        // A spectrum that no point of the prior can have made.
        Err(crate::Error::Inference(_)) => return Ok(()),
        Err(other) => return Err(other),
    };
    let evidence = &result.evidence;
    spectrum.nested =
        Some(Rescue { evaluations: result.evaluations, log_z: evidence.log_z, log_z_err: evidence.log_z_err });
    if let Some(mixture) = StudentMixture::fit(&result.points.cube, &evidence.weights, p, spectrum.seed) {
        spectrum.fits += 1;
        // Mixtures whose draws are not as their densities say go, with their draws.
        let right: Vec<bool> = spectrum.right.iter().enumerate().map(|(j, right)| j < FIRST || *right).collect();
        if right.contains(&false) {
            spectrum.pool.drop_proposals(&right);
        }
        spectrum.pool.add_mixture(mixture, spectrum.seed.wrapping_add(spectrum.fits));
        spectrum.shares = spectrum.newest_first();
        spectrum.deciding = false;
        spectrum.most = spectrum.spent + effort.most;
        spectrum.rows = effort.draws.min(effort.most);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectra_have_numbers_of_their_own() {
        let all = [digest(&[1, 2], 1.0), digest(&[2, 1], 1.0), digest(&[1, 2], 2.0), digest(&[], 1.0)];
        let streams: std::collections::HashSet<u64> = all.iter().map(|d| d >> 36).collect();
        assert_eq!(streams.len(), all.len(), "{all:?}");
        assert!(STREAM.checked_add((u64::MAX >> 36) as u32).is_some_and(|last| last < 1 << 30));
    }
}
