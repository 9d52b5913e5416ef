//! Whether to believe a result: what its diagnostics say, with reasons in words.

use super::summary::{CstatSummary, LatentSummary, RefineSummary, RoundSummary, Verdict, VerdictStatus};
use VerdictStatus::{NotTrusted, WithCare};

impl Verdict {
    /// Judges a posterior by the limits of [`limits`]: the tail of the importance weights (k-hat), the lower bound of the effective
    /// sample size, the largest weight, the emulator's error, and the distance of C-STAT from what the best model predicts. Exit
    /// status 4 belongs to `NotTrusted`.
    pub fn judge(cstat: &CstatSummary, refine: &RefineSummary) -> Verdict {
        let mut verdict = Verdict::of_weights(refine);
        verdict.judge_fit(cstat);
        verdict
    }

    /// The part of the verdict that more or other draws can mend.
    pub fn of_weights(refine: &RefineSummary) -> Verdict {
        let mut verdict = Verdict { status: VerdictStatus::Trusted, reasons: Vec::new() };
        if refine.method == "none" {
            verdict.add(
                WithCare,
                "the posterior is the network's alone: it was not corrected with the exact likelihood".into(),
            );
        } else if refine.max_weight_share.is_finite() {
            verdict.judge_weights(refine);
        } else if refine.ess < limits::ESS {
            // A chain has no weights.
            verdict.add(WithCare, format!("the effective sample size is {:.0}, below {:.0}", refine.ess, limits::ESS));
        }
        verdict.judge_emulator(refine);
        verdict
    }

    fn judge_fit(&mut self, cstat: &CstatSummary) {
        let pull = (cstat.best - cstat.expected) / cstat.expected_std;
        if !pull.is_finite() {
            self.add(WithCare, "the quality of the fit is unknown: the expected C-STAT is missing".into());
        } else if pull > limits::CSTAT_PULL {
            self.add(
                WithCare,
                format!(
                    "the model does not describe the data: C-STAT is {:.1}, {pull:.1} standard deviations above the {:.1} \
                     expected; the posterior is right only for a model that is wrong",
                    cstat.best, cstat.expected
                ),
            );
        } else if pull < -limits::CSTAT_PULL {
            self.add(
                WithCare,
                format!(
                    "C-STAT is {:.1}, {:.1} standard deviations below the {:.1} expected: the counts scatter less than Poisson \
                     counts do",
                    cstat.best, -pull, cstat.expected
                ),
            );
        }
    }

    fn judge_weights(&mut self, refine: &RefineSummary) {
        let k = refine.pareto_k;
        let mut tail = |status, limit: f64| {
            self.add(status, format!("the importance weights have a heavy tail: Pareto k is {k:.2}, above {limit}"));
        };
        if k.is_nan() || k > limits::PARETO_K_BAD {
            tail(NotTrusted, limits::PARETO_K_BAD);
        } else if k > limits::PARETO_K {
            tail(WithCare, limits::PARETO_K);
        }
        // Nested samples that were weighed again have no bootstrap of their own.
        let (ess, which) = match refine.ess_lower.is_nan() {
            true => (refine.ess, "the effective sample size is"),
            false => (refine.ess_lower.min(refine.ess), "the lower bound of the effective sample size is"),
        };
        if ess.is_nan() || refine.ess.is_nan() || ess < limits::ESS_BAD {
            self.add(NotTrusted, format!("{which} {ess:.0}, below {:.0}", limits::ESS_BAD));
        } else if ess < limits::ESS {
            self.add(WithCare, format!("{which} {ess:.0}, below {:.0}", limits::ESS));
        }
        // From k = 1/2 weights have no variance (Vehtari et al. 2024), and an effective size of many poor draws promises too much: the
        // part of the posterior that the proposal hardly reaches may be short.
        if k > limits::NO_VARIANCE && refine.efficiency < limits::EFFICIENCY {
            self.add(
                WithCare,
                format!(
                    "only {:.1} % of the draws are effective, and their weights have no variance (Pareto k {k:.2}): more simulations, or \
                     refine.polish, would tell whether a tail is missed",
                    100.0 * refine.efficiency
                ),
            );
        }
        let share = refine.max_weight_share;
        if share > limits::SHARE_BAD {
            self.add(NotTrusted, format!("one sample carries {:.0} % of all weight", 100.0 * share));
        } else if share > limits::SHARE {
            self.add(WithCare, format!("one sample carries {:.1} % of all weight", 100.0 * share));
        }
    }

    fn judge_emulator(&mut self, refine: &RefineSummary) {
        let Some(emulator) = refine.emulator.as_ref().filter(|emulator| emulator.used) else { return };
        let error = emulator.error.max(emulator.error_worst);
        if error.is_nan() || error > limits::EMULATOR_ERROR_BAD {
            self.add(
                NotTrusted,
                format!(
                    "the emulated likelihoods are off by {error:.3} in ln L (standard deviation), above {}",
                    limits::EMULATOR_ERROR_BAD
                ),
            );
        } else if error > limits::EMULATOR_ERROR {
            self.add(
                WithCare,
                format!(
                    "the emulated likelihoods are off by {error:.3} in ln L (standard deviation), above {}",
                    limits::EMULATOR_ERROR
                ),
            );
        }
    }

    /// Adds what the rounds say: whether the last proposal was found by its candidates, and whether the observed spectrum lies among
    /// those that it simulated. The exact weights mend neither: where no simulation is like the observation, the network was asked
    /// about data that it had never seen.
    pub fn judge_rounds(&mut self, rounds: &[RoundSummary], latent: Option<&LatentSummary>) {
        if let Some(last) = rounds.last()
            && last.acceptance < limits::ACCEPTANCE
        {
            self.add(
                WithCare,
                format!(
                    "of the candidates for the last round's proposal {:.1e} were accepted, fewer than {:.0e}: the region may not have been \
                     filled evenly",
                    last.acceptance,
                    limits::ACCEPTANCE
                ),
            );
        }
        if let Some(latent) = latent
            && (latent.share_beyond.is_nan() || latent.share_beyond < limits::SHARE_BEYOND)
        {
            self.add(
                WithCare,
                format!(
                    "the observed spectrum is unlike the simulated ones: its summaries lie {:.1} standard deviations from their middle, \
                     farther than all but {:.2} % of {} simulated spectra (median {:.1})",
                    latent.distance,
                    100.0 * latent.share_beyond,
                    latent.spectra,
                    latent.median
                ),
            );
        }
    }

    /// Adds a reason; the status only ever gets worse.
    pub fn add(&mut self, status: VerdictStatus, reason: String) {
        self.status = self.status.max(status);
        self.reasons.push(reason);
    }
}

/// The limits that [`Verdict::judge`] applies.
pub mod limits {
    /// Vehtari et al. 2024: importance-sampling estimates are reliable below 0.7, and have no finite mean from 1.
    pub const PARETO_K: f64 = 0.7;
    pub const PARETO_K_BAD: f64 = 1.0;
    pub const NO_VARIANCE: f64 = 0.5;
    /// Where the weights have no variance: EPIC-pn with few simulations was off by 7e-3 nat at an efficiency of 0.03, by at most 1.6e-3
    /// from 0.08 on.
    pub const EFFICIENCY: f64 = 0.05;
    /// Below 1000 effective samples the 5 % and 95 % quantiles wander by more than a twentieth of their standard deviation or so.
    pub const ESS: f64 = 1000.0;
    pub const ESS_BAD: f64 = 100.0;
    pub const SHARE: f64 = 0.02;
    pub const SHARE_BAD: f64 = 0.2;
    /// Distance of C-STAT from its expectation, in standard deviations.
    pub const CSTAT_PULL: f64 = 4.0;
    /// Error of an emulated ln L, as a standard deviation s over the posterior: the density is wrong by s, and the Jensen-Shannon
    /// divergence from the right one about s^2/8. At 0.1 that is 1.3e-3 nat, below the 2e-3 that make two posteriors the same.
    pub const EMULATOR_ERROR: f64 = 0.1;
    pub const EMULATOR_ERROR_BAD: f64 = 0.5;
    /// Share of the candidates that a truncated proposal accepts.
    pub const ACCEPTANCE: f64 = 1e-3;
    /// Share of simulated spectra that lie farther out than the observed one: one right run in a thousand is called odd.
    pub const SHARE_BEYOND: f64 = 1e-3;
}
