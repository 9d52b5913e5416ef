//! Whether posteriors are calibrated: ranks and coverage of mocks, and predictive checks of the observed spectrum.

use super::mocks::{self, Analysis, Mock, Plan};
use super::observer::Quiet;
use super::rounds::Rounds;
use super::settings::RefineMethod;
use super::streams::REPLICATED_STREAM;
use super::{Context, Problem};
use crate::device::RowBlocks;
use crate::diagnose::predictive::Predicting;
use crate::result::Predictive;
use crate::result::{Calibrated, MockWeights, QuickCalibration};
use crate::result::{Sbc, Tarp};
use crate::simulate::{Coordinates, Outputs, Source, no_tick};
use crate::{Error, Result};
use std::time::Instant;

/// Equal-weight draws that a truth is ranked among in the quick calibration.
const QUICK_RANKED: usize = 63;
/// Replicated spectra that are in memory at a time.
const REPLICATED_ROWS: usize = 512;
/// Draws per mock of the quick calibration, its replicated spectra, and the p-value below which ranks or coverage are worth a word: few
/// enough draws that it costs a few per cent of a run, and so small a p-value that hardly any good run is blamed.
pub(crate) const QUICK_DRAWS: usize = 512;
const QUICK_REPLICATED: usize = 2000;
const QUICK_P: f64 = 1e-3;

/// The quick calibration of a run that is about to finish, with as many mocks as the run file says; `posterior` as for [`predict`].
/// `None` where none is asked for, or where the run has no folder with networks.
///
/// # Errors
/// Device failures and interruptions; an inference that cannot even make mocks is a finding, not an error.
pub(crate) fn quick(rounds: &Rounds<'_>, posterior: &[f64]) -> Result<Option<QuickCalibration>> {
    let (problem, settings) = (rounds.problem, rounds.settings);
    let (asked, last) = (settings.output.calibration, rounds.summaries().len());
    if asked == 0 || last == 0 || !rounds.keeps_networks() {
        return Ok(None);
    }
    let start = Instant::now();
    let mut quick = QuickCalibration::default();
    let seed = rounds.seed();
    let plan = Plan { mocks: asked, draws: QUICK_DRAWS, most: QUICK_DRAWS, ranked: QUICK_RANKED, seed };
    let mocks = Analysis::of_round(rounds.context(), last, &mut |round| rounds.networks(round))
        .and_then(|analysis| mocks::run(&analysis, rounds.simulator(), plan, &mut |_| {}));
    match mocks {
        Ok(mocks) => {
            let refined = settings.refine.method != RefineMethod::None;
            let numbers = |mock: &Mock| if refined { mock.refined.clone() } else { mock.unrefined.clone() };
            let Calibrated { sbc, tarp } = calibrated(&quantities(problem), &mocks, [asked, asked], seed, numbers);
            (quick.mocks, quick.draws) = (asked, QUICK_DRAWS);
            quick.coverage_error = (0.25 / asked as f64).sqrt();
            quick.ranks_p = sbc.as_ref().map(|sbc| sbc.p);
            quick.coverage_p = tarp.as_ref().map(|tarp| tarp.p);
            quick.coverage_50 = tarp.as_ref().and_then(|tarp| tarp.coverage.get(tarp.coverage.len() / 2).copied());
            let low = |p: Option<f64>| p.filter(|p| *p < QUICK_P);
            if let Some(p) = low(quick.ranks_p).or(low(quick.coverage_p)) {
                quick.failures.push(format!(
                    "posteriors of {asked} mock spectra are not calibrated (p = {p:.1e}): rontgen diagnose examines it with more of them"
                ));
            }
        }
        Err(Error::Inference(text)) => quick.failures.push(format!("no mock spectra for a calibration: {text}")),
        Err(error) => return Err(error),
    }
    replicate(&rounds.context(), posterior, &mut quick)?;
    quick.seconds = start.elapsed().as_secs_f64();
    Ok(Some(quick))
}

/// What can be told of a posterior that no networks gave: whether the observed spectrum is like those that the fitted model makes. `None`
/// where no calibration is asked for.
pub(crate) fn quick_without_networks(context: &Context<'_>, posterior: &[f64]) -> Result<Option<QuickCalibration>> {
    if context.settings.output.calibration == 0 {
        return Ok(None);
    }
    let start = Instant::now();
    let mut quick = QuickCalibration::default();
    replicate(context, posterior, &mut quick)?;
    quick.seconds = start.elapsed().as_secs_f64();
    Ok(Some(quick))
}

fn replicate(context: &Context<'_>, posterior: &[f64], quick: &mut QuickCalibration) -> Result<()> {
    let quiet = Quiet(context.observer);
    let context = Context { observer: &quiet, ..*context };
    if let Some(predictive) = predict(&context, posterior, QUICK_REPLICATED)? {
        quick.predictive_p = Some(predictive.p);
        let found = predictive.failures();
        quick.unlike = (!found.is_empty()).then(|| {
            format!("the observed spectrum is unlike those that the fitted model makes: {}", found.join("; "))
        });
    }
    Ok(())
}

/// What truths are ranked by: the parameters, and two functions that depend on the data or on all parameters together.
pub(crate) fn quantities(problem: &Problem) -> Vec<String> {
    let mut names = problem.names();
    names.extend(["log-likelihood".into(), "expected counts".into()]);
    names
}

/// Ranks of the first `sbc` mocks and coverage of the first `tarp`, from the numbers of each.
pub(crate) fn calibrated(
    names: &[String],
    mocks: &[Mock],
    [sbc, tarp]: [usize; 2],
    seed: u64,
    numbers: impl Fn(&Mock) -> Vec<f64>,
) -> Calibrated {
    let column = |i: usize, n: usize| mocks.iter().take(n).map(|mock| numbers(mock)[i]).collect::<Vec<f64>>();
    let ranks: Vec<(String, Vec<f64>)> =
        names.iter().enumerate().map(|(i, name)| (name.clone(), column(i, sbc))).collect();
    Calibrated { sbc: Sbc::of(&ranks), tarp: Tarp::of(&column(names.len(), tarp), seed) }
}

pub(crate) fn weights(mocks: &[Mock]) -> MockWeights {
    let n = mocks.len();
    let median = |f: &dyn Fn(&Mock) -> f64| -> f64 {
        let mut values: Vec<f64> = mocks.iter().map(f).collect();
        values.sort_by(f64::total_cmp);
        crate::numerics::statistics::quantile_of_sorted(&values, 0.5)
    };
    MockWeights {
        mocks: n,
        efficiency: median(&|m| m.ess / m.draws as f64),
        ess: median(&|m| m.ess),
        least_ess: mocks.iter().map(|m| m.ess).fold(f64::INFINITY, f64::min),
        sound: mocks.iter().filter(|m| m.sound()).count() as f64 / n as f64,
        outside: mocks.iter().map(|m| m.outside).sum::<f64>() / n as f64,
        likelihoods: mocks.iter().map(|m| m.draws).sum(),
    }
}

/// Predictive checks with `n` replicated spectra, one for each of as many equal-weight draws (`posterior`, row-major, physical).
///
/// # Errors
/// Device failures and interruptions.
pub(crate) fn predict(context: &Context<'_>, posterior: &[f64], n: usize) -> Result<Option<Predictive>> {
    let Context { problem, simulator, device, observer, .. } = *context;
    let p = problem.names().len();
    let mut predicting = Predicting::new(&problem.observations.counts(), &problem.edges(), &problem.checked());
    let rows: Vec<&[f64]> = posterior.chunks_exact(p).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let source = Source { seed: context.seed(), stream: REPLICATED_STREAM };
    for first in (0..n).step_by(REPLICATED_ROWS) {
        observer.check()?;
        let last = n.min(first + REPLICATED_ROWS);
        // Fewer draws than spectra: draws serve several times, with noise of their own.
        let theta: Vec<Vec<f64>> = (first..last).map(|i| rows[i % rows.len()].to_vec()).collect();
        let theta = simulator.physical(&theta)?;
        let blocks = || RowBlocks::empty(device, last - first, simulator.bins(), last - first);
        let (mut counts, mut expected) = (blocks(), blocks());
        let outputs = Outputs { counts: Some(&mut counts), expected: Some(&mut expected), ..Outputs::default() };
        simulator.run_from(first, Coordinates::Physical, &theta, source, outputs, &mut no_tick)?;
        if simulator.has_background() {
            // Both spectra are compared with the mean background: each has one of its own, of the same law.
            simulator.expected(Coordinates::Physical, &theta, &mut expected)?;
        }
        for (mu, drawn) in expected.blocks.iter().zip(&counts.blocks) {
            let mut mu = mu.download()?;
            if simulator.has_background() {
                simulator.seen(&mut mu);
            }
            predicting.add(&mu, &drawn.download()?);
        }
        observer.advance((last - first) as u64);
    }
    Ok(predicting.finish())
}
