//! Whether data sets that are analysed together agree: the posterior of each alone beside that of all.
//!
//! Each data set alone is sampled by nested sampling, with the priors of all. What agreement is judged by does not depend on those priors (Handley &
//! Lemos 2019, Physical Review D 100, 043504): the suspiciousness `ln S = <ln L>_joint - sum over data sets of <ln L>_alone`, means over each
//! posterior, and the number of parameters that the data sets constrain more than once, `d = sum of d_alone - d_joint` with `d = 2 var(ln L)` (Handley
//! & Lemos 2019, 100, 023512). Where the data sets agree and posteriors are normal, `d - 2 ln S` is a chi-square with d degrees of freedom.

use super::problem::{Problem, background_name};
use super::reference::nested::{Keeping, own_seed, sample};
use super::refined::{Refined, parameters};
use super::store::InMemory;
use super::{Context, Settings};
use crate::numerics::special::chi_square_above;
use crate::result::{SetAlone, Tension, WeightedSamples};
use crate::{Error, Result};

/// Live points of each data set's nested sampling, and its equal-weight draws.
const LIVE: usize = 400;
const DRAWS: usize = 4000;

/// Mean of ln L over a weighted posterior, and twice its variance.
fn moments(samples: &WeightedSamples) -> (f64, f64) {
    let total: f64 = samples.weight.iter().sum();
    let pairs = || samples.weight.iter().zip(&samples.log_likelihood).filter(|(weight, _)| **weight > 0.0);
    let mean = pairs().map(|(weight, l)| weight * l).sum::<f64>() / total;
    let variance = pairs().map(|(weight, l)| weight * (l - mean).powi(2)).sum::<f64>() / total;
    (mean, 2.0 * variance)
}

/// What the data sets say alone; `None` for one data set, where it is not asked for, or where one of them cannot be sampled.
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn of(context: &Context<'_>, joint: &Refined) -> Result<Option<Tension>> {
    let Context { problem, device, observer, settings, .. } = *context;
    let sources: Vec<usize> = (0..problem.sets().len()).filter(|&k| problem.sets()[k].named.is_none()).collect();
    if sources.len() < 2 || !settings.output.tension {
        return Ok(None);
    }
    let mut own = Settings { ..settings.clone() };
    own.reference.live = LIVE;
    own.reference.polish = false;
    own.output.posterior_samples = DRAWS;
    let (joint_mean, joint_dimension) = moments(&joint.weighted);
    let mut tension = Tension { suspiciousness: joint_mean, dimension: -joint_dimension, ..Tension::default() };
    for (at, &k) in sources.iter().enumerate() {
        let alone = problem.alone(k)?;
        observer.stage(&format!("{} alone", alone.observations.sets()[0].name), 0);
        let simulator = alone.simulator(device)?;
        let context = Context { problem: &alone, settings: &own, simulator: &simulator, device, observer };
        let mut store = InMemory::default();
        let kept = Keeping { store: &mut store, resumes: false };
        let seed = own_seed(settings.inference.seed.wrapping_add(1 + at as u64));
        let refined = match sample(&context, kept, seed, None, &mut Vec::new()) {
            Ok((refined, _)) => refined,
            // What one data set alone cannot be sampled from is no fault of the joint posterior.
            Err(Error::Inference(_)) => return Ok(None),
            Err(other) => return Err(other),
        };
        let (mean, dimension) = moments(&refined.weighted);
        tension.suspiciousness -= mean;
        tension.dimension += dimension;
        let posterior = refined.posterior();
        let best = refined.row(refined.best).to_vec();
        let told = parameters(&alone, &posterior, &best, refined.refine.ess);
        let told = told.into_iter().map(|(name, p)| (name, [p.median, p.q16, p.q84])).collect();
        tension.sets.push(SetAlone {
            name: alone.observations.sets()[0].name.clone(),
            log_z: refined.refine.log_z,
            dimension,
            parameters: told,
        });
    }
    if tension.dimension > 0.0 {
        tension.p = chi_square_above(tension.dimension - 2.0 * tension.suspiciousness, tension.dimension);
    }
    Ok(Some(tension))
}

impl Problem {
    /// The problem of data set `k` alone, with its background spectrum where that has a model; the free parameters stay those of all.
    ///
    /// # Errors
    /// Those of [`Problem::joint`].
    pub(crate) fn alone(&self, k: usize) -> Result<Problem> {
        let sets = self.observations.sets();
        let name = background_name(&sets[k].name);
        let members: Vec<usize> =
            (0..sets.len()).filter(|&j| j == k || (self.sets()[j].named.is_some() && sets[j].name == name)).collect();
        self.part(&members)
    }
}
