//! From rates to seconds: how many likelihoods, iterations and epochs a way needs.
//!
//! Rates are measured; what is written down here are counts. Those of nested sampling follow from the information, but for the shape of the
//! posterior; those of training (epochs, spectra within a region) are what the examples needed. `docs/choosing.md` has both beside what was
//! measured.

use super::rates::{Likelihoods, Sampler, Training};
use crate::analysis::calibration::QUICK_DRAWS;
use crate::analysis::context::{BATCH, Context};
use crate::analysis::settings::{Method, RefineMethod};
use crate::reference::NestedSettings;
use crate::result::{Estimate, WeightedSamples};
use crate::summarize::{Signal, SummaryKind};

/// Likelihoods of a real posterior per likelihood of one that is a ball: 1.0 to 4 in the examples.
const SHAPE: f64 = 1.5;
/// Draws of a mixture per sample wanted, the fits that they take, and what judging all of them after every batch costs, in units of drawing
/// them and judging them once.
const POLISH_DRAWS: f64 = 1.33;
const POLISH_FITS: f64 = 3.0;
const POLISH_JUDGED: f64 = 2.0;
/// Epochs of the density in the first round, those between and the last one, with early stopping as it is by default.
const EPOCHS: [f64; 3] = [90.0, 35.0, 80.0];
/// The same of the auto-encoder.
const AUTOENCODER_EPOCHS: [f64; 3] = [60.0, 20.0, 60.0];
/// Spectra of earlier rounds that lie within the region of a later one, per round in between and spectrum of that round.
const KEPT: f64 = 0.4;
/// Draws of the density per spectrum of a round that is proposed, its region and the files of the round included.
const PROPOSED: f64 = 6.0;
/// Densities and likelihoods of the refinement per draw that it is granted: flows of further rounds and mixtures, now and then.
const REFINED: f64 = 1.3;

/// The information \[nat\] of a weighted posterior: the mean of ln L less the evidence. `None` where there is no evidence.
pub(crate) fn information(weighted: &WeightedSamples, log_z: f64) -> Option<f64> {
    let sum: f64 = weighted.weight.iter().sum();
    let terms = weighted.weight.iter().zip(&weighted.log_likelihood).filter(|(w, _)| **w > 0.0);
    let mean = terms.map(|(w, l)| w * l).sum::<f64>() / sum;
    Some(mean - log_z).filter(|information| information.is_finite()).map(|information| information.max(0.0))
}

/// Iterations of nested sampling. The points that are left hold the share `remain` of the evidence Z when ln X = ln(remain Z / L_max); for
/// a normal posterior ln(L_max / Z) is H + P/2, and every iteration takes ln(1 - batch) off ln X.
fn iterations(information: f64, p: usize, settings: &NestedSettings) -> f64 {
    let depth = information + 0.5 * p as f64 - settings.remain.ln();
    depth / -(1.0 - settings.batch).ln()
}

/// What nested sampling takes until there are as many independent samples as the run file wants.
pub(crate) fn nested(
    context: &Context<'_>,
    likelihoods: &Likelihoods,
    sampler: &Sampler,
    information: f64,
) -> Estimate {
    let run = context.settings;
    let settings = NestedSettings { remain: run.reference.remain, ..NestedSettings::default() };
    let iterations = iterations(information, context.problem.parameters.free().len(), &settings);
    let walked = iterations * sampler.likelihoods * SHAPE;
    tracing::info!(
        information,
        iterations,
        walked,
        ?sampler,
        likelihoods.fixed,
        likelihoods.per_row,
        "nested sampling"
    );
    let mut seconds = iterations * sampler.seconds;
    seconds += likelihoods.seconds(iterations * sampler.batches * SHAPE.sqrt(), walked);
    let mut all = walked;
    if run.reference.polish {
        let draws = (POLISH_DRAWS * run.output.posterior_samples as f64).max(BATCH as f64);
        seconds += likelihoods.seconds(draws / BATCH as f64, draws);
        seconds += POLISH_FITS * sampler.fit + POLISH_JUDGED * draws * sampler.draw;
        all += draws;
    }
    Estimate {
        method: Method::Nested.name().into(),
        seconds,
        likelihoods: all,
        seconds_per_likelihood: likelihoods.per_row,
        information: Some(information),
        ..Estimate::default()
    }
}

/// What the rounds, the refinement and the quick calibration take.
pub(crate) fn training(context: &Context<'_>, likelihoods: &Likelihoods, rates: &Training) -> Estimate {
    let run = context.settings;
    let inference = &run.inference;
    // Where the learning rate is annealed, the run file says how many epochs there are.
    let epochs = |usual: [f64; 3], round: usize, most: usize, annealed: [Option<usize>; 2]| {
        let last = round + 1 == inference.rounds;
        if let Some(epochs) = annealed[usize::from(last)] {
            return epochs as f64;
        }
        let usual = match round {
            // A single round has to be good over the whole prior.
            0 if inference.rounds == 1 => usual[0] + usual[2],
            0 => usual[0],
            _ if round + 1 < inference.rounds => usual[1],
            _ => usual[2],
        };
        usual.min(most as f64)
    };
    let trains = inference.summary == SummaryKind::AutoEncoder;
    // Directions of the signal are found on so many spectra, however many there are.
    let looked_at = if inference.summary == SummaryKind::Signal { Signal::ROWS as f64 } else { f64::INFINITY };
    let realisations =
        if inference.summary == SummaryKind::Embedding { 0.0 } else { inference.flow.realisations as f64 };
    let (mut seconds, mut simulated, mut shown) = (0.0, 0.0, 0.0);
    for round in 0..inference.rounds {
        let n = inference.simulations_of_round(round) as f64;
        let rows = n * (1.0 + KEPT * round as f64);
        simulated += n;
        let a = &inference.autoencoder;
        let encoder = match trains {
            true => epochs(AUTOENCODER_EPOCHS, round, a.epochs, [a.early_anneal, a.anneal]),
            false => 1.0,
        };
        seconds += rates.summarize_fixed
            + rates.summarize * rows.min(looked_at) * encoder
            + rates.encode * rows * realisations;
        let f = &inference.flow;
        shown += rows * epochs(EPOCHS, round, f.epochs, [f.early_anneal, f.anneal]);
        seconds += if round > 0 { PROPOSED * n * rates.draw } else { 0.0 };
    }
    seconds += shown * rates.shown;
    tracing::info!(shown, simulated, ?rates, "training");
    let mut weighed = inference.rounds as f64 * 1024.0;
    if run.refine.method != RefineMethod::None {
        weighed += REFINED * run.refine.samples as f64;
        weighed += (run.output.calibration * QUICK_DRAWS) as f64;
    }
    let all = simulated + weighed;
    seconds += likelihoods.seconds(all / BATCH as f64, all) + weighed * rates.draw;
    Estimate {
        method: Method::Npe.name().into(),
        seconds,
        likelihoods: all,
        seconds_per_likelihood: likelihoods.per_row,
        information: None,
        shown: Some(shown),
        seconds_per_shown: Some(rates.shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as `rontgen reference` took: 106 on the EPIC-pn example (information 16.5, five parameters), 163 on Perseus (27.0, ten).
    #[test]
    fn iterations_follow_from_the_information() {
        let settings = NestedSettings::default();
        for (information, p, taken) in [(16.5, 5, 106.0), (27.0, 10, 163.0), (8.2, 3, 64.0), (18.6, 3, 112.0)] {
            let expected = iterations(information, p, &settings);
            assert!((expected / taken - 1.0).abs() < 0.03, "{expected} and {taken}");
        }
    }
}
