//! `[inference]`: the way to the posterior, and `[inference.amortised]`.

use super::{
    RunFile, RunFileError,
    key::{
        Draft, Grammar, Identity, Key,
        Preset::{Fixed, Follows},
        field, number, own, size, whole, word, words,
    },
    section::Section,
};
use crate::analysis::settings::{Amortised, Method, Stop};
use crate::infer::DensityKind;
use crate::kernels::stabilize::Form as SignalForm;
use crate::summarize::SummaryKind;

/// Rounds that the fall-back may add where the run file does not say how many.
const EXTRA_ROUNDS: u64 = 3;
/// Most rounds of a run.
const MOST_ROUNDS: u64 = 100;

// Networks for any spectrum see the whole prior once.
fn is_amortised(draft: &Draft<'_>) -> bool {
    draft.run.inference.amortised.is_some()
}

pub(super) const KEYS: &[Key] = &[
    word(
        "method",
        words!(inference.method, Method::ALL, Method::name),
        Fixed("npe"),
        "Training of networks with importance weights, nested sampling, or the quicker of them (docs/choosing.md).",
    )
    .rule(|draft| {
        let idle = is_amortised(draft) && draft.run.inference.method != Method::Npe;
        idle.then(|| {
            "\"npe\" together with inference.amortised (--amortised): its networks serve other spectra, and have to be trained"
                .into()
        })
    })
    .identity(Identity::Unless("\"npe\"")),
    whole(
        "rounds",
        size!(inference.rounds),
        Follows(|draft| if is_amortised(draft) { 1 } else { 5 }, "5; 1 in an amortised run"),
        1..=MOST_ROUNDS,
        "Rounds of simulations and training; each draws from what the one before has left of the prior.",
    )
    .rule(|draft| {
        let many = is_amortised(draft) && draft.run.inference.rounds > 1;
        many.then(|| "1: amortised networks are trained on the whole prior, in one round".into())
    }),
    whole(
        "max_rounds",
        size!(inference.max_rounds),
        Follows(|draft| (rounds(draft) + EXTRA_ROUNDS).min(MOST_ROUNDS), "rounds + 3"),
        1..=MOST_ROUNDS,
        "Rounds up to which the run goes on by itself while its weights are refused.",
    )
    .least(Follows(rounds, "rounds")),
    word(
        "stop",
        words!(inference.stop, Stop::ALL, Stop::name),
        Fixed("rounds"),
        "When the rounds end: after all of them, or one round after the efficiency has stopped to improve.",
    ),
    whole(
        "simulations",
        size!(inference.simulations),
        Follows(|draft| if is_amortised(draft) { 50_000 } else { 5000 }, "5000; 50000 in an amortised run"),
        64..=100_000_000,
        "Simulated spectra of each round after the first.",
    )
    .remark("per round after the first"),
    number(
        "first_round_factor",
        field!(inference.first_round_factor),
        Follows(|draft| if is_amortised(draft) { 1.0 } else { 2.0 }, "2.0; 1.0 in an amortised run"),
        1.0..=100.0,
        "The first round simulates so many times as many spectra.",
    ),
    number(
        "prior_extension",
        field!(inference.prior_extension),
        Fixed(0.0),
        0.0..=1e6,
        "Factor, at least 1.05, by which bounds of norms are moved apart until the observed counts are the median of the prior's; 0: not at all.",
    )
    .rule(|draft| {
        let factor = draft.run.inference.prior_extension;
        (factor > 0.0 && factor < 1.05).then(|| "0 (off) or a factor of at least 1.05".into())
    }),
    number(
        "truncation",
        field!(inference.truncation),
        Fixed(1e-3),
        0.0..=0.5,
        "Share of a round's posterior, in its tails, that the next round does not draw from.",
    ),
    whole(
        "seed",
        field!(inference.seed),
        Fixed(1),
        // TOML's integers are signed.
        0..=i64::MAX as u64,
        "Seed of all random numbers (--seed).",
    ),
    word(
        "summary",
        words!(inference.summary, SummaryKind::ALL, SummaryKind::name),
        Fixed("signal"),
        "What the networks see of a spectrum: directions in which expected counts vary, an auto-encoder's output, and others.",
    )
    .rule(|draft| {
        let exposed = draft.run.inference.amortised.as_ref().is_some_and(|amortised| amortised.exposure.is_some());
        let refused = exposed && draft.run.inference.summary == SummaryKind::Embedding;
        refused.then(|| "another summary: an embedding does not take exposures that vary".into())
    }),
    word(
        "signal",
        words!(inference.signal, [SignalForm::Root, SignalForm::Linear], SignalForm::name),
        Fixed("root"),
        "What summary = \"signal\" makes of counts: their square root, of variance 1, or the counts as they are.",
    ),
    number(
        "pca_variance",
        field!(inference.pca_variance),
        Fixed(0.995),
        1e-6..=1.0,
        "Share of the variance that the components of summary = \"pca\" are to hold.",
    ),
    word(
        "density",
        words!(inference.density, DensityKind::ALL, DensityKind::name),
        Fixed("maf"),
        "The density estimator: masked autoregressive flow, spline flows, or mixtures.",
    ),
];

fn rounds(draft: &Draft<'_>) -> u64 {
    draft.run.inference.rounds as u64
}

pub(super) const AMORTISED_KEYS: &[Key] = &[
    own(
        "enabled",
        Grammar {
            default: || "true where the section is there".into(),
            allowed: || "true or false".into(),
            read: |section, run| {
                // A section that is there is meant, unless it says otherwise.
                let enabled = section.truth("enabled")?.unwrap_or(section.there);
                run.inference.amortised = enabled.then(Amortised::default);
                Ok(())
            },
            write: |run| run.inference.amortised.is_some().then(|| "true".into()),
        },
        "Whether the networks are trained on the whole prior, in one round (--amortised).",
    ),
    own(
        "exposure",
        Grammar {
            default: || "that of the observed spectrum".into(),
            allowed: || EXPOSURE.into(),
            read: read_exposure,
            write: |run| {
                let [lo, hi] = run.inference.amortised.as_ref()?.exposure?;
                Some(format!("[{lo:?}, {hi:?}]"))
            },
        },
        "Range of exposures that the networks serve, drawn uniformly in the logarithm [s].",
    ),
    own(
        "background",
        Grammar {
            default: || "[0.3, 3.0]".into(),
            allowed: || FACTORS.into(),
            read: |section, run| {
                if let (Some(amortised), Some(range)) =
                    (&mut run.inference.amortised, section.pair("background", FACTORS, factors)?)
                {
                    amortised.background = range;
                }
                Ok(())
            },
            write: |run| {
                let [lo, hi] = run.inference.amortised.as_ref()?.background;
                ([lo, hi] != Amortised::default().background).then(|| format!("[{lo:?}, {hi:?}]"))
            },
        },
        "Levels of the backgrounds that the networks serve, over that of the observed one, drawn uniformly in the logarithm; their shape is the observed one's, smoothed.",
    ),
    own(
        "scale",
        Grammar {
            default: || "[0.8, 1.25]".into(),
            allowed: || FACTORS.into(),
            read: |section, run| {
                if let (Some(amortised), Some(range)) =
                    (&mut run.inference.amortised, section.pair("scale", FACTORS, factors)?)
                {
                    amortised.scale = range;
                }
                Ok(())
            },
            write: |run| {
                let [lo, hi] = run.inference.amortised.as_ref()?.scale;
                ([lo, hi] != Amortised::default().scale).then(|| format!("[{lo:?}, {hi:?}]"))
            },
        },
        "Scales of the backgrounds (BACKSCAL, EXPOSURE, AREASCAL) that the networks serve, over the observed one's, drawn uniformly in the logarithm.",
    ),
];

const FACTORS: &str = "[lowest, highest] with 0 < lowest <= 1 <= highest";

fn factors(lo: f64, hi: f64) -> bool {
    lo > 0.0 && lo <= 1.0 && hi >= 1.0 && lo < hi && hi.is_finite()
}

const EXPOSURE: &str = "[shortest, longest] in s with 0 < shortest < longest";

fn read_exposure(section: &Section<'_>, run: &mut RunFile) -> Result<(), RunFileError> {
    if let Some(amortised) = &mut run.inference.amortised {
        amortised.exposure = section.pair("exposure", EXPOSURE, |lo, hi| lo > 0.0 && lo < hi && hi.is_finite())?;
    }
    Ok(())
}
