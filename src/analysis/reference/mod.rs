//! Nested sampling and ensembles of walkers on a problem's posterior.
//!
//! | file | what |
//! |---|---|
//! | `nested` | nested sampling on the prior or within a round's region, and the mixture fitted to its samples |
//! | `ensemble` | ensembles of walkers |
//! | `saved` | the state of nested sampling as a record |

pub(crate) mod ensemble;
pub(crate) mod nested;
mod saved;

pub(crate) use nested::{likelihoods_of_rescue, rescue, settings as nested_settings};

use super::context::{BATCH, Context};
use crate::device::Tensor;
use crate::infer::Posterior;
use crate::reference::Likelihood;
use crate::result::{ReferenceSummary, Verdict, VerdictStatus};
use crate::{InferError, Result};

/// Rank scores beyond this are no chance.
const RANK_SCORE: f64 = 4.5;
/// Share of draws with a hopeless likelihood that counts: a tenth of what the comparison of posteriors sees.
const CAUGHT: f64 = 1e-3;
/// R-hat above which ensembles disagree a little, and plainly.
const R_HAT: [f64; 2] = [1.05, 1.2];

/// The run's likelihood on a device.
struct OnDevice<'a> {
    context: Context<'a>,
    /// A part of the prior outside of which there is no likelihood: the flow's log-density has to be above the threshold.
    within: Option<(&'a Posterior<'a>, f32)>,
}

impl Likelihood for OnDevice<'_> {
    fn parameters(&self) -> usize {
        self.context.simulator.names().len()
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>, InferError> {
        let p = self.parameters();
        let cube: Vec<f32> = cube.iter().map(|&u| u as f32).collect();
        let mut log_l = self.context.log_likelihood(&cube)?;
        if let Some((posterior, threshold)) = self.within {
            for (rows, log_l) in cube.chunks(BATCH * p).zip(log_l.chunks_mut(BATCH)) {
                let rows = Tensor::from_slice(self.context.device, rows.len() / p, p, rows);
                let log_q = posterior.log_density(&rows).download()?;
                log_l.iter_mut().zip(log_q).filter(|(_, q)| *q <= threshold).for_each(|(l, _)| *l = f64::NEG_INFINITY);
            }
        }
        Ok(log_l)
    }
}

/// What the samplers' own diagnostics add to the verdict.
pub(crate) fn judge(verdict: &mut Verdict, reference: &ReferenceSummary) {
    use VerdictStatus::{NotTrusted, WithCare};
    match reference {
        ReferenceSummary::Nested(nested) if nested.rank_score.abs() > RANK_SCORE => verdict.add(
            WithCare,
            format!(
                "new live points were not uniform above their bounds (rank score {:.1}): take more live points or steps",
                nested.rank_score
            ),
        ),
        ReferenceSummary::Ensemble(ensemble) => {
            if ensemble.caught > CAUGHT {
                verdict.add(
                    NotTrusted,
                    format!(
                        "{:.1} % of the walkers' draws have a likelihood that no draw of the posterior has: walkers are caught far from the peak",
                        100.0 * ensemble.caught
                    ),
                );
            }
            let r_hat = ensemble.r_hat.iter().copied().fold(1.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
            if r_hat.is_nan() || r_hat > R_HAT[0] {
                let status = if r_hat < R_HAT[1] { WithCare } else { NotTrusted };
                verdict.add(status, format!("the ensembles disagree: R-hat is {r_hat:.3}, above {}", R_HAT[0]));
            }
        }
        ReferenceSummary::Nested(_) => {}
    }
}
