//! Posteriors of many spectra from one pair of networks: draws of the flow, and where these are not good enough, of what is learnt from
//! them.
//!
//! A flow that was trained on the whole prior is far wider than the posterior of a bright spectrum. Its weighted draws, tempered until
//! enough of them count, say where to look more closely: a mixture is fitted to them and drawn from, and all draws of all proposals
//! of this spectrum are weighed together (population Monte Carlo, Cappe et al. 2004; with the weights of [`Pool`], Cornuet et al. 2012).
//! Once enough of them are effective, new draws from what was learnt decide: draws that the proposals were fitted to, and that
//! were stopped when they looked best, make too little of what they have not seen. A first lot of the new draws tells how many it takes; what
//! they refuse goes on learning from them, until the likelihoods are spent. Where that fails, nested sampling finds what a mixture is fitted
//! to, whose draws decide, and its evidence is checked against that of the weights.
//!
//! Spectra of a group go side by side: the likelihoods of all their draws, and of the live points of all that need nested sampling, are
//! evaluated together; proposals, fits and weights of different spectra share the threads.
//!
//! Whatever is random for a spectrum is keyed by its counts and exposure, not by its place among others: in any list, it
//! gets the same posterior to the bit.

use super::mocks::{Analysis, Target};
use super::refine::{Flow, agreement, mixture_names, weights_told};
use super::streams::{POLISH_BITS, POLISH_STREAM};
use crate::infer::Posterior;
use crate::reference::{Likelihood, Nested, NestedSettings, nested};
use crate::refine::{Importance, Pool, Proposal, Proposed, StudentMixture, Uniform};
use crate::result::Verdict;
use crate::result::limits;
use crate::result::{ProposalSummary, RefineSummary, VerdictStatus};
use crate::{Error, InferError, Result};
use rayon::prelude::*;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Effective draws that a mixture is fitted to, per parameter and as a share of all draws: weights are tempered until there are so many.
const TEMPERED: f64 = 40.0;
const PART: f64 = 1.0 / 16.0;
/// Effective draws per parameter from which on a mixture that was fitted to them may decide.
const READY: f64 = 100.0;
/// Components of a mixture, at most, while weights are tempered and then. More than eight take time and are not better.
const COMPONENTS: [usize; 2] = [4, 8];
/// Shares of the draws that flow and prior go on getting: they reach what the mixtures have not seen. With twice as much a tenth more
/// likelihoods were needed, and no more spectra were trusted.
const FLOW_SHARE: f64 = 0.1;
const PRIOR_SHARE: f64 = 0.05;
/// Draws, and steps, behind the shares of the others.
const SHARING: usize = 2048;
const SHARING_STEPS: usize = 30;
/// Mixtures that are to get a smaller share of the draws that decide than this are dropped.
const WORTH_KEEPING: f64 = 0.03;
/// Draws that decide at first, over those of the flow. Where they are too few, they tell how many it takes: MARGIN times so many are drawn
/// from the same proposals, at least LEAST more, unless the draws are less efficient than WORTH_MORE or would be more than MOST. With
/// fewer at first, evidence was missed: looks at few draws stop when these look best.
const PROBE: usize = 2;
const MARGIN: f64 = 1.1;
const WORTH_MORE: f64 = 0.12;
const LEAST: usize = 256;
const MOST: usize = 12_288;
/// Live points of the fall-back.
const LIVE: usize = 400;
/// The evidence of the weights is to be within so many errors of the nested one.
const AGREEMENT: f64 = 4.0;

/// Proposals of a spectrum that needs no mixture: flow and prior.
pub(crate) const FIRST: usize = 2;

/// How far to go.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Draws of the flow, and half as many of each proposal that follows.
    pub draws: usize,
    /// Likelihoods of a spectrum, at most; the fall-back has as many again after its own.
    pub most: usize,
    /// Whether to fit mixtures to the weighted draws and draw from them, too.
    pub polish: bool,
    /// Nested sampling where the weights are refused after all.
    pub nested: bool,
    /// Seed of all random numbers, with the spectrum's own digest.
    pub seed: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { draws: 2048, most: 65_536, polish: true, nested: true, seed: 0 }
    }
}

/// What became of a spectrum.
pub(crate) struct Weighed {
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
    fits: u64,
    nested: Option<Rescue>,
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
pub(crate) fn digest(counts: &[u32], exposure: f32) -> u64 {
    let words = counts.iter().copied().chain([exposure.to_bits()]);
    words
        .flat_map(u32::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Draws for each target until its weights are to be trusted; `counts`: those of each target.
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn weigh(
    analysis: &Analysis<'_>,
    targets: &mut [Target],
    counts: &[&[u32]],
    effort: Effort,
) -> Result<Vec<Weighed>> {
    let p = analysis.context.simulator.names().len();
    let seeds: Vec<u64> = targets
        .iter_mut()
        .zip(counts)
        .map(|(target, counts)| {
            let digest = digest(counts, target.exposure);
            target.stream = POLISH_STREAM + (digest >> (64 - POLISH_BITS)) as u32;
            effort.seed.wrapping_add(digest)
        })
        .collect();
    let mut all: Vec<Spectrum<'_>> =
        targets.iter().zip(seeds).map(|(target, seed)| Spectrum::new(analysis, target, p, effort, seed)).collect();
    run(analysis, &mut all, effort)?;
    if effort.nested {
        let refused: Vec<&mut Spectrum<'_>> = all.iter_mut().filter(|spectrum| spectrum.refused()).collect();
        rescue(analysis, refused, effort)?;
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
        let proposed: Vec<Proposed> = active
            .par_iter_mut()
            .map(|spectrum| spectrum.pool.propose(&spectrum.shares, spectrum.rows))
            .collect::<Result<_, InferError>>()?;
        let cube: Vec<f32> = proposed.iter().flat_map(|batch| batch.cube.iter().copied()).collect();
        let targets: Vec<&Target> = active.iter().map(|spectrum| spectrum.target).collect();
        let each: Vec<usize> = active.iter().map(|spectrum| spectrum.rows).collect();
        let log_l = likelihoods(analysis, &cube, &each, &targets)?;
        let mut rest = log_l.as_slice();
        let own: Vec<&[f64]> = each
            .iter()
            .map(|rows| {
                let (now, later) = rest.split_at(*rows);
                rest = later;
                now
            })
            .collect();
        active.par_iter_mut().zip(proposed).zip(own).try_for_each(|((spectrum, batch), log_l)| {
            spectrum.pool.take(batch, log_l.to_vec())?;
            spectrum.advance(effort);
            if spectrum.rows == 0 { spectrum.check(analysis) } else { Ok(()) }
        })?;
    }
}

/// Exact ln L, minus infinity where the networks do not hold.
fn likelihoods(analysis: &Analysis<'_>, cube: &[f32], each: &[usize], targets: &[&Target]) -> Result<Vec<f64>> {
    let mut log_l = analysis.log_likelihoods(cube, each, targets)?;
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
            fits: 0,
            nested: None,
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
        (told.agreement, _) = agreement(&analysis.context, &mut self.pool, &names)?;
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
        } else if let Some(more) = self.worth_more() {
            self.rows = left.min(more);
        } else {
            let ready = self.learn();
            if ready {
                let kept: Vec<bool> =
                    self.shares.iter().enumerate().map(|(j, share)| j < FIRST || *share > WORTH_KEEPING).collect();
                self.pool.forget_draws(&kept);
                let mut kept = kept.iter();
                self.shares.retain(|_| *kept.next().unwrap_or(&true));
                normalise(&mut self.shares);
            }
            self.deciding = ready;
            self.rows = left.min((if ready { PROBE * effort.draws } else { effort.draws / 2 }).max(1));
        }
    }

    /// Draws from the same proposals that are to make the present ones enough, where their weights are sound but too few.
    fn worth_more(&self) -> Option<usize> {
        let (importance, told) = self.told.as_ref()?;
        let low = told.ess_lower.min(importance.ess);
        let n = self.pool.len() as f64;
        let efficiency = low / n;
        if !self.decides() || importance.pareto_k > limits::PARETO_K || efficiency < WORTH_MORE {
            return None;
        }
        let more = (MARGIN * limits::ESS / efficiency - n).max(LEAST as f64).ceil() as usize;
        (self.pool.len() + more <= MOST).then(|| more.next_multiple_of(64))
    }

    /// Whether the present draws have taught no proposal that they are weighed with.
    fn decides(&self) -> bool {
        self.deciding || self.pool.mixtures.is_empty()
    }

    /// Fits a mixture, and shares out the draws to come; whether these may decide.
    fn learn(&mut self) -> bool {
        let Some(ess) = self.told.as_ref().map(|(importance, _)| importance.ess) else { return false };
        let p = self.pool.parameters() as f64;
        let enough = (TEMPERED * p).max(PART * self.pool.len() as f64);
        let tempered = ess < enough;
        let components = COMPONENTS[usize::from(!tempered)];
        self.fits += 1;
        let fitted = self.pool.fit_tempered(enough, components, self.seed.wrapping_add(self.fits)).is_some();
        self.shares = if tempered { self.newest_first() } else { self.pool.best_shares_of(SHARING, SHARING_STEPS) };
        for (share, least) in self.shares.iter_mut().zip([FLOW_SHARE, PRIOR_SHARE]) {
            *share = share.max(least);
        }
        normalise(&mut self.shares);
        fitted && ess >= READY * p
    }

    /// Shares of the draws that are to find out where the posterior is: the newest mixture has all that flow and prior leave.
    fn newest_first(&self) -> Vec<f64> {
        if self.pool.mixtures.is_empty() {
            return vec![1.0 - PRIOR_SHARE, PRIOR_SHARE];
        }
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

    /// Goes on after nested sampling, with a mixture fitted to its samples, whose draws decide.
    fn resume(&mut self, result: &Nested, effort: Effort) {
        let evidence = &result.evidence;
        self.nested =
            Some(Rescue { evaluations: result.evaluations, log_z: evidence.log_z, log_z_err: evidence.log_z_err });
        let p = self.pool.parameters();
        let Some(mixture) = StudentMixture::fit(&result.points.cube, &evidence.weights, p, self.seed) else { return };
        self.fits += 1;
        self.pool.add_mixture(mixture, self.seed.wrapping_add(self.fits));
        // What has failed goes: its densities may even be wrong.
        let last = self.pool.drawn().len() - 1;
        let kept: Vec<bool> = (0..=last).map(|j| j < FIRST.min(last) || j == last).collect();
        self.pool.forget_draws(&kept);
        self.shares = self.newest_first();
        self.deciding = true;
        self.most = self.spent + effort.most;
        self.rows = effort.draws.min(effort.most);
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

/// What a sampler in a thread of its own tells.
enum Told {
    /// Rows of a cube whose likelihoods it waits for.
    Wants(Vec<f32>),
    Has(Result<Nested>),
}

/// The likelihood of one of several samplers.
struct Asked<'a> {
    p: usize,
    place: usize,
    questions: &'a Sender<(usize, Told)>,
    answers: Receiver<Vec<f64>>,
}

impl Likelihood for Asked<'_> {
    fn parameters(&self) -> usize {
        self.p
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>, InferError> {
        let cube = cube.iter().map(|&u| u as f32).collect();
        // A side that is gone has failed, and says why to whoever waits for it.
        self.questions.send((self.place, Told::Wants(cube))).map_err(|_| InferError::Interrupted)?;
        self.answers.recv().map_err(|_| InferError::Interrupted)
    }
}

/// Nested sampling of several spectra side by side: each goes its own way in a thread of its own, and what all of them ask for next is
/// evaluated together.
fn sample_together(analysis: &Analysis<'_>, spectra: &[(&Target, u64)], p: usize) -> Result<Vec<Result<Nested>>> {
    let (questions, inbox) = channel();
    std::thread::scope(|scope| {
        let mut answers: Vec<Option<Sender<Vec<f64>>>> = Vec::new();
        for (place, &(_, seed)) in spectra.iter().enumerate() {
            let (sender, receiver) = channel();
            answers.push(Some(sender));
            let questions = questions.clone();
            scope.spawn(move || {
                let settings = NestedSettings { live: LIVE, seed, ..NestedSettings::default() };
                let mut likelihood = Asked { p, place, questions: &questions, answers: receiver };
                let result =
                    nested::sample(&mut likelihood, &settings, None, &mut |_| analysis.context.observer.check());
                let _ = questions.send((place, Told::Has(result.map_err(Error::from))));
            });
        }
        drop(questions);
        let mut results: Vec<Option<Result<Nested>>> = spectra.iter().map(|_| None).collect();
        loop {
            // All that are at work ask or end before any of them goes on: batches do not depend on who is quicker.
            let mut wanted: Vec<(usize, Vec<f32>)> = Vec::new();
            let mut busy = answers.iter().flatten().count();
            while busy > 0 {
                let Ok((place, told)) = inbox.recv() else { break };
                busy -= 1;
                match told {
                    Told::Wants(cube) => wanted.push((place, cube)),
                    Told::Has(result) => {
                        results[place] = Some(result);
                        answers[place] = None;
                    }
                }
            }
            if wanted.is_empty() {
                break;
            }
            wanted.sort_by_key(|(place, _)| *place);
            let cube: Vec<f32> = wanted.iter().flat_map(|(_, cube)| cube.iter().copied()).collect();
            let each: Vec<usize> = wanted.iter().map(|(_, cube)| cube.len() / p).collect();
            let targets: Vec<&Target> = wanted.iter().map(|(place, _)| spectra[*place].0).collect();
            let log_l = likelihoods(analysis, &cube, &each, &targets)?;
            let mut rest = log_l.as_slice();
            for ((place, _), rows) in wanted.iter().zip(each) {
                let (now, later) = rest.split_at(rows);
                rest = later;
                if let Some(answer) = &answers[*place] {
                    let _ = answer.send(now.to_vec());
                }
            }
        }
        Ok(results.into_iter().map(|result| result.unwrap_or(Err(Error::Interrupted))).collect())
    })
}

/// Nested sampling on the whole prior, and a mixture fitted to its samples as one more proposal.
fn rescue(analysis: &Analysis<'_>, spectra: Vec<&mut Spectrum<'_>>, effort: Effort) -> Result<()> {
    let Some(p) = spectra.first().map(|spectrum| spectrum.pool.parameters()) else { return Ok(()) };
    let work: Vec<(&Target, u64)> = spectra.iter().map(|spectrum| (spectrum.target, spectrum.seed)).collect();
    let results = sample_together(analysis, &work, p)?;
    for (spectrum, result) in spectra.into_iter().zip(results) {
        match result {
            Ok(result) => spectrum.resume(&result, effort),
            // A spectrum that no point of the prior can have made.
            Err(Error::Inference(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectra_have_numbers_of_their_own() {
        let all = [digest(&[1, 2], 1.0), digest(&[2, 1], 1.0), digest(&[1, 2], 2.0), digest(&[], 1.0)];
        let streams: std::collections::HashSet<u64> = all.iter().map(|d| d >> (64 - POLISH_BITS)).collect();
        assert_eq!(streams.len(), all.len(), "{all:?}");
    }
}
