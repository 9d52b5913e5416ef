//! Whether to believe a result: what its diagnostics say, with reasons in words.

use super::summary::{CstatSummary, LatentSummary, RefineSummary, RoundSummary};
use VerdictStatus::{NotTrusted, WithCare};
use serde::{Deserialize, Deserializer, Serialize};

/// Whether to believe the result: one light for the draws and one for the model, each with its reasons.
///
/// The two are apart because they are mended apart: a sampling that is not to be trusted wants more draws, a model that does not describe
/// the data wants another model, and a perfect sampling of a wrong model is still the posterior of a wrong model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Both in one word, the worse of the two: "refused" goes with exit status 4.
    pub status: VerdictStatus,
    /// Whether the draws are those of the posterior.
    pub sampling: Sampling,
    /// Whether the model can have made the data.
    pub model: ModelLight,
    /// What gave the draws, where it was not the refinement as the run file has it: a step of the fall-back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// This light answers: are these draws of the posterior?
pub type Sampling = Light<VerdictStatus>;

/// This light answers: can this model have made the data?
pub type ModelLight = Light<ModelStatus>;

/// A light is a status with the reasons why it is not better.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Light<S> {
    /// Status, the worst of all reasons.
    pub status: S,
    /// Reasons, one sentence each; empty where nothing is to be said.
    #[serde(default = "Vec::new")]
    pub reasons: Vec<String>,
}

/// A result can be believed to one of three degrees, from good to bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VerdictStatus {
    /// Nothing speaks against it.
    #[serde(rename = "trusted")]
    Trusted,
    /// Something is to be known before it is used.
    #[default]
    #[serde(rename = "with care")]
    WithCare,
    /// It is not to be used ("refused"; earlier versions wrote "not trusted").
    #[serde(rename = "refused", alias = "not trusted")]
    NotTrusted,
}

impl VerdictStatus {
    /// Returns the status as `summary.json` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            VerdictStatus::Trusted => "trusted",
            VerdictStatus::WithCare => "with care",
            VerdictStatus::NotTrusted => "refused",
        }
    }
}

/// A model describes the data to one of three degrees, from good to bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ModelStatus {
    /// C-STAT is what the model predicts.
    #[serde(rename = "fits")]
    Fits,
    /// Something in the data is unlike what the model makes.
    #[default]
    #[serde(rename = "poor")]
    Poor,
    /// The data cannot come from the model.
    #[serde(rename = "does not describe")]
    DoesNotDescribe,
}

impl ModelStatus {
    /// Returns the status as `summary.json` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ModelStatus::Fits => "fits",
            ModelStatus::Poor => "poor",
            ModelStatus::DoesNotDescribe => "does not describe",
        }
    }
}

impl<S: Copy + Ord> Light<S> {
    /// Adds a reason; the status only ever gets worse.
    pub fn add(&mut self, status: S, reason: String) {
        self.status = self.status.max(status);
        self.reasons.push(reason);
    }
}

impl<'de> Deserialize<'de> for Verdict {
    /// Reads `{status, sampling, model}`, and `{status, reasons}` of earlier versions, which knew one light: it becomes that of the draws.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
        #[derive(Deserialize)]
        struct Stored {
            status: VerdictStatus,
            #[serde(default)]
            reasons: Vec<String>,
            sampling: Option<Sampling>,
            #[serde(default)]
            model: ModelLight,
            #[serde(default)]
            answer: Option<String>,
        }
        let Stored { status, reasons, sampling, model, answer } = Stored::deserialize(deserializer)?;
        Ok(Verdict { status, sampling: sampling.unwrap_or(Light { status, reasons }), model, answer })
    }
}

impl Verdict {
    /// Judges a posterior by the limits of [`limits`]: the tail of the importance weights (k-hat), the lower bound of the effective
    /// sample size, the largest weight and the emulator's error say whether to trust the draws; the distance of C-STAT from what the best
    /// model predicts says what the model is worth. From `misfit` standard deviations on it does not describe the data, and the verdict is
    /// "refused"; `None`: never refused for that.
    pub fn judge(cstat: &CstatSummary, refine: &RefineSummary, misfit: Option<f64>) -> Verdict {
        let model = ModelLight::of_fit(cstat, misfit);
        let sampling = Verdict::of_weights(refine);
        let mut verdict = Verdict { status: VerdictStatus::Trusted, sampling, model, answer: None };
        verdict.status = verdict.sampling.status.max(verdict.model.weighs(misfit));
        verdict
    }

    /// Judges the draws as far as their weights tell: what more or other draws can mend.
    pub fn of_weights(refine: &RefineSummary) -> Sampling {
        let mut light = Sampling { status: VerdictStatus::Trusted, reasons: Vec::new() };
        if refine.method == "none" {
            light.add(
                WithCare,
                "the posterior is the network's alone: it was not corrected with the exact likelihood".into(),
            );
        } else if refine.max_weight_share.is_finite() {
            light.judge_weights(refine);
        } else if refine.ess < limits::ESS {
            // A chain has no weights.
            light.add(WithCare, format!("the effective sample size is {:.0}, below {:.0}", refine.ess, limits::ESS));
        }
        light.judge_evidence(refine);
        light.judge_emulator(refine);
        for disagreement in refine.agreement.iter().filter(|agreement| !agreement.holds()) {
            light.add(NotTrusted, disagreement.reason());
        }
        light
    }

    /// Adds a doubt about the draws; the status only ever gets worse.
    pub fn add(&mut self, status: VerdictStatus, reason: String) {
        self.status = self.status.max(status);
        self.sampling.add(status, reason);
    }

    /// Adds a doubt about the model that is no matter of C-STAT alone.
    pub fn doubt_model(&mut self, reason: String) {
        self.status = self.status.max(WithCare);
        self.model.add(ModelStatus::Poor, reason);
    }

    /// Returns true when the result is written but its diagnostics say not to use it (exit status 4).
    pub fn refused(&self) -> bool {
        self.status == NotTrusted
    }

    /// Calls the statistic of the fit by its name for people; until then it is C-STAT.
    pub fn call_statistic(&mut self, words: &str) {
        self.model.reasons.iter_mut().for_each(|reason| *reason = reason.replace("C-STAT", words));
    }

    /// Returns the reasons of both lights in one text, those of the draws first.
    pub fn all_reasons(&self) -> String {
        let all = self.sampling.reasons.iter().chain(&self.model.reasons);
        all.map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// Returns true when the model lies beyond the limit of misfit: then that is what to say first.
    pub fn model_is_hopeless(&self) -> bool {
        self.model.status == ModelStatus::DoesNotDescribe
    }

    /// Returns true when the draws are no posterior: then no chain is written, which other programs would take as it is.
    pub fn withholds_chain(&self) -> bool {
        self.sampling.status == NotTrusted
    }
}

impl ModelLight {
    /// The light of the model: fits within [`limits::CSTAT_PULL`] standard deviations of the expected C-STAT, does not describe the data
    /// beyond `misfit` (where that is switched off, beyond [`limits::MISFIT`]) or where it expects no counts at all in bins that have some,
    /// and is poor between. A scatter that is too small for Poisson counts is a doubt as well: of the data.
    fn of_fit(cstat: &CstatSummary, misfit: Option<f64>) -> ModelLight {
        let mut light = ModelLight { status: ModelStatus::Fits, reasons: Vec::new() };
        let CstatSummary { best, expected, expected_std, .. } = *cstat;
        let excess = best - expected;
        let pull = excess / expected_std;
        let status = match pull > misfit.unwrap_or(limits::MISFIT) {
            true => ModelStatus::DoesNotDescribe,
            false => ModelStatus::Poor,
        };
        if best == f64::INFINITY || (excess > 0.0 && expected_std == 0.0) {
            light.add(
                ModelStatus::DoesNotDescribe,
                "the model does not describe the data: it expects no counts where there are some".into(),
            );
        } else if pull > limits::CSTAT_PULL {
            let what = match status {
                ModelStatus::DoesNotDescribe => "the model does not describe the data",
                _ => "the model describes the data poorly",
            };
            light.add(
                status,
                format!(
                    "{what}: C-STAT is {best:.1}, {pull:.1} standard deviations above the {expected:.1} expected; the posterior is right \
                     only for a model that is wrong",
                ),
            );
        } else if pull < -limits::CSTAT_PULL {
            light.add(
                ModelStatus::Poor,
                format!(
                    "C-STAT is {best:.1}, {:.1} standard deviations below the {expected:.1} expected: the counts scatter less than Poisson \
                     counts do",
                    -pull
                ),
            );
        } else if !(pull.is_finite() || excess <= 0.0 && expected_std == 0.0) {
            light.add(ModelStatus::Poor, "the quality of the fit is unknown: the expected C-STAT is missing".into());
        }
        light
    }

    /// What this light makes of the whole: a poor model is one to take with care.
    fn weighs(&self, misfit: Option<f64>) -> VerdictStatus {
        match self.status {
            ModelStatus::Fits => VerdictStatus::Trusted,
            ModelStatus::DoesNotDescribe if misfit.is_some() => NotTrusted,
            ModelStatus::Poor | ModelStatus::DoesNotDescribe => WithCare,
        }
    }
}

impl Sampling {
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
        // Mixtures that were fitted to a handful of draws may not know of a part of the posterior at all.
        if refine.searched && k > limits::NO_VARIANCE && k <= limits::PARETO_K {
            self.add(
                WithCare,
                format!(
                    "the proposals had to be found from a handful of draws, and their weights have no variance (Pareto k {k:.2}, above {}): a \
                     part of the posterior may be missed",
                    limits::NO_VARIANCE
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

    fn judge_evidence(&mut self, refine: &RefineSummary) {
        // Of weights so large an error goes with so few effective draws; nested samples may be enough, and their evidence is not.
        if refine.log_z_err > limits::LOG_Z_ERR && self.status != NotTrusted {
            self.add(
                WithCare,
                format!(
                    "the error of ln Z is {:.2}, above {}: the evidence tells models apart no better than that; more live points \
                     (reference.live), of which it goes down with the square root, or the samples' own mixture (reference.polish) would",
                    refine.log_z_err,
                    limits::LOG_Z_ERR
                ),
            );
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
}

impl Verdict {
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
}

/// The limits that [`Verdict::judge`] applies.
pub mod limits {
    /// Probability below which data sets that are analysed together disagree.
    pub const TENSION_P: f64 = 1e-3;
    /// The model is doubted below this global p-value: one right model in a thousand.
    pub const RESIDUAL_P: f64 = 1e-3;
    /// Importance-sampling estimates are reliable below this Pareto k-hat (Vehtari et al. 2024).
    pub const PARETO_K: f64 = 0.7;
    /// Importance-sampling estimates have no finite mean from this Pareto k-hat on (Vehtari et al. 2024): refused.
    pub const PARETO_K_BAD: f64 = 1.0;
    /// Importance weights have no finite variance from this Pareto k-hat on.
    pub const NO_VARIANCE: f64 = 0.5;
    /// Efficiency below which weights without a variance are to be taken with care: EPIC-pn with few simulations was off by 7e-3 nat at an
    /// efficiency of 0.03, by at most 1.6e-3 from 0.08 on.
    pub const EFFICIENCY: f64 = 0.05;
    /// Effective sample size below which draws are to be taken with care: the 5 % and 95 % quantiles wander by more than a twentieth of
    /// their standard deviation or so.
    pub const ESS: f64 = 1000.0;
    /// Effective sample size below which draws are refused.
    pub const ESS_BAD: f64 = 100.0;
    /// Error of ln Z above which a result is to be taken with care: twice that of importance weights whose effective sample size is [`ESS_BAD`], a fifth
    /// of a unit. Nested sampling by itself has one of the root of the information over the live points, 0.17 in an ordinary case of 400.
    pub const LOG_Z_ERR: f64 = 0.2;
    /// Share of all weight in one sample above which draws are to be taken with care.
    pub const SHARE: f64 = 0.02;
    /// Share of all weight in one sample above which draws are refused.
    pub const SHARE_BAD: f64 = 0.2;
    /// Distance of C-STAT from its expectation, in standard deviations, beyond which a fit is poor.
    pub const CSTAT_PULL: f64 = 4.0;
    /// Distance of C-STAT from its expectation, in standard deviations, beyond which the model does not describe the data: the default of
    /// `[verdict] misfit`.
    pub const MISFIT: f64 = 10.0;
    /// Error of an emulated ln L above which draws are to be taken with care. As a standard deviation s over the posterior the density is
    /// wrong by s, and the Jensen-Shannon divergence from the right one is about s^2/8: at 0.1 that is 1.3e-3 nat, below the 2e-3 that make
    /// two posteriors the same.
    pub const EMULATOR_ERROR: f64 = 0.1;
    /// Error of an emulated ln L, as a standard deviation, above which draws are refused.
    pub const EMULATOR_ERROR_BAD: f64 = 0.5;
    /// Share of the candidates that a truncated proposal accepts, below which its region may not have been filled evenly.
    pub const ACCEPTANCE: f64 = 1e-3;
    /// Share of simulated spectra that lie farther out than the observed one: one right run in a thousand is called odd.
    pub const SHARE_BEYOND: f64 = 1e-3;
}
