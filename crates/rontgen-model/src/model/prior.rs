//! Prior distributions of single parameters: quantile, cumulative distribution, log density.
//!
//! A normal or log-normal prior of a parameter with hard limits is truncated to them and renormalised (the `Truncated`
//! variants), so that the unit cube always maps into the allowed range.

use super::special::{normal_cdf, normal_quantile};

/// A kind of prior is a name and two numbers, as run files, summaries and pages write it. Whatever has to list the kinds goes by [`KINDS`].
#[derive(Debug)]
pub struct PriorKind {
    /// Name in run files and summaries.
    pub name: &'static str,
    /// Which two numbers it has, for people.
    pub numbers: &'static str,
    /// What it is, in one sentence.
    pub help: &'static str,
    /// Whether the numbers are a middle and a spread; else they are the ends.
    pub spread: bool,
    /// Whether it is flat, or a bell, in ln x.
    pub log: bool,
    /// Function that makes the prior of two numbers, without limits; [`Prior::problem`] says whether they make sense.
    pub of: fn(f64, f64) -> Prior,
}

/// All kinds, in the order of documentation.
pub const KINDS: [PriorKind; 4] = [UNIFORM, LOG_UNIFORM, NORMAL, LOG_NORMAL];

const UNIFORM: PriorKind = PriorKind {
    name: "uniform",
    numbers: "[lo, hi] with lo < hi",
    help: "Free, with a uniform prior.",
    spread: false,
    log: false,
    of: |lo, hi| Prior::Uniform { lo, hi },
};
const LOG_UNIFORM: PriorKind = PriorKind {
    name: "log_uniform",
    numbers: "[lo, hi] with 0 < lo < hi",
    help: "Free, with a prior uniform in the logarithm.",
    spread: false,
    log: true,
    of: |lo, hi| Prior::LogUniform { lo, hi },
};
const NORMAL: PriorKind = PriorKind {
    name: "normal",
    numbers: "[mean, sd] with sd > 0",
    help: "Free, with a normal prior.",
    spread: true,
    log: false,
    of: |mean, sd| Prior::Normal { mean, sd },
};
const LOG_NORMAL: PriorKind = PriorKind {
    name: "log_normal",
    numbers: "[mean, sd] of the natural logarithm, with sd > 0",
    help: "Free, with a normal prior of the natural logarithm.",
    spread: true,
    log: true,
    of: |mean_ln, sd_ln| Prior::LogNormal { mean_ln, sd_ln },
};

/// This is a prior taken apart as its writing has it.
#[derive(Debug)]
pub struct Written {
    /// Kind.
    pub kind: &'static PriorKind,
    /// Two numbers of the kind.
    pub numbers: (f64, f64),
    /// Limits that it is truncated to.
    pub within: Option<(f64, f64)>,
}

/// This is a proper one-dimensional prior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prior {
    /// Uniform in x.
    Uniform {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// Uniform in ln x.
    LogUniform {
        /// Lower end, above 0.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        sd: f64,
    },
    /// ln x is normal with this mean and standard deviation.
    LogNormal {
        /// Mean of ln x.
        mean_ln: f64,
        /// Standard deviation of ln x.
        sd_ln: f64,
    },
    /// Normal between two limits, renormalised.
    TruncatedNormal {
        /// Mean of the untruncated normal.
        mean: f64,
        /// Standard deviation of the untruncated normal.
        sd: f64,
        /// Lower limit.
        lo: f64,
        /// Upper limit.
        hi: f64,
    },
    /// Log-normal between two limits, renormalised.
    TruncatedLogNormal {
        /// Mean of ln x, untruncated.
        mean_ln: f64,
        /// Standard deviation of ln x, untruncated.
        sd_ln: f64,
        /// Lower limit.
        lo: f64,
        /// Upper limit.
        hi: f64,
    },
}

impl Prior {
    /// Returns what is wrong with the numbers themselves, if anything.
    pub fn problem(&self) -> Option<String> {
        match *self {
            Prior::Uniform { lo, hi } | Prior::LogUniform { lo, hi } if !(lo.is_finite() && hi.is_finite()) => {
                Some(format!("its bounds {lo} and {hi} are not both finite"))
            }
            Prior::Uniform { lo, hi } | Prior::LogUniform { lo, hi } if lo >= hi => {
                Some(format!("its lower bound {lo} is not below its upper bound {hi}"))
            }
            Prior::LogUniform { lo, .. } if lo <= 0.0 => {
                Some(format!("a log-uniform prior needs a lower bound above 0, found {lo}"))
            }
            Prior::Normal { mean, sd } | Prior::TruncatedNormal { mean, sd, .. }
                if !(mean.is_finite() && sd.is_finite() && sd > 0.0) =>
            {
                Some(format!("a normal prior needs a finite mean and a standard deviation above 0, found {mean}, {sd}"))
            }
            Prior::LogNormal { mean_ln, sd_ln } | Prior::TruncatedLogNormal { mean_ln, sd_ln, .. }
                if !(mean_ln.is_finite() && sd_ln.is_finite() && sd_ln > 0.0) =>
            {
                Some(format!(
                    "a log-normal prior needs a finite mean and a standard deviation above 0 of ln x, found {mean_ln}, \
                     {sd_ln}"
                ))
            }
            Prior::TruncatedNormal { lo, hi, .. } | Prior::TruncatedLogNormal { lo, hi, .. } => {
                let (below, mass) = self.truncation();
                (mass < 1e-6 || below.is_nan())
                    .then(|| format!("almost none of it lies inside the parameter's limits {lo} and {hi}"))
            }
            _ => None,
        }
    }

    /// Returns the prior cut to lo..hi where it reaches further; box priors are returned as they are.
    pub fn truncated(self, lo: f64, hi: f64) -> Self {
        match self {
            Prior::Normal { mean, sd } if lo.is_finite() || hi.is_finite() => {
                Prior::TruncatedNormal { mean, sd, lo, hi }
            }
            Prior::LogNormal { mean_ln, sd_ln } if lo > 0.0 || hi.is_finite() => {
                Prior::TruncatedLogNormal { mean_ln, sd_ln, lo: lo.max(0.0), hi }
            }
            other => other,
        }
    }

    /// Returns the smallest and largest value with non-zero density (infinite where there is none).
    pub fn support(&self) -> (f64, f64) {
        match *self {
            Prior::Uniform { lo, hi }
            | Prior::LogUniform { lo, hi }
            | Prior::TruncatedNormal { lo, hi, .. }
            | Prior::TruncatedLogNormal { lo, hi, .. } => (lo, hi),
            Prior::Normal { .. } => (f64::NEG_INFINITY, f64::INFINITY),
            Prior::LogNormal { .. } => (0.0, f64::INFINITY),
        }
    }

    /// (probability below the support, probability inside it) of the untruncated normal.
    fn truncation(&self) -> (f64, f64) {
        let span = |a: f64, b: f64| {
            // Above the mean the upper tails are subtracted: 1 - cdf would have lost its digits.
            let mass = if a > 0.0 { normal_cdf(-a) - normal_cdf(-b) } else { normal_cdf(b) - normal_cdf(a) };
            (normal_cdf(a), mass)
        };
        match *self {
            Prior::TruncatedNormal { mean, sd, lo, hi } => span((lo - mean) / sd, (hi - mean) / sd),
            Prior::TruncatedLogNormal { mean_ln, sd_ln, lo, hi } => {
                span((lo.ln() - mean_ln) / sd_ln, (hi.ln() - mean_ln) / sd_ln)
            }
            _ => (0.0, 1.0),
        }
    }

    /// Computes the value below which a fraction u (clamped to 0..1) of the prior lies. Always finite.
    pub fn quantile(&self, u: f64) -> f64 {
        let u = u.clamp(0.0, 1.0);
        let (lo, hi) = self.support();
        match *self {
            Prior::Uniform { lo, hi } => (lo + u * (hi - lo)).clamp(lo, hi),
            Prior::LogUniform { lo, hi } => {
                let (a, b) = (lo.ln(), hi.ln());
                (a + u * (b - a)).exp().clamp(lo, hi)
            }
            Prior::Normal { mean, sd } => mean + sd * normal_quantile(u),
            Prior::LogNormal { mean_ln, sd_ln } => {
                (mean_ln + sd_ln * normal_quantile(u)).exp().clamp(f64::MIN_POSITIVE, f64::MAX)
            }
            Prior::TruncatedNormal { mean, sd, .. } => (mean + sd * self.inside(u)).clamp(lo, hi),
            Prior::TruncatedLogNormal { mean_ln, sd_ln, .. } => {
                (mean_ln + sd_ln * self.inside(u)).exp().clamp(lo.max(f64::MIN_POSITIVE), hi.min(f64::MAX))
            }
        }
    }

    /// Standard normal deviate of the fraction u of a truncated normal.
    fn inside(&self, u: f64) -> f64 {
        let (below, mass) = self.truncation();
        let above = (1.0 - below - mass).max(0.0);
        let p = below + u * mass;
        if p <= 0.5 { normal_quantile(p) } else { -normal_quantile(above + (1.0 - u) * mass) }
    }

    /// Computes the fraction of the prior below x, 0 to 1.
    pub fn cdf(&self, x: f64) -> f64 {
        let (lo, hi) = self.support();
        if x <= lo {
            return 0.0;
        }
        if x >= hi {
            return 1.0;
        }
        match *self {
            Prior::Uniform { lo, hi } => (x - lo) / (hi - lo),
            Prior::LogUniform { lo, hi } => (x / lo).ln() / (hi / lo).ln(),
            Prior::Normal { mean, sd } => normal_cdf((x - mean) / sd),
            Prior::LogNormal { mean_ln, sd_ln } => normal_cdf((x.ln() - mean_ln) / sd_ln),
            Prior::TruncatedNormal { mean, sd, lo, .. } => {
                between((lo - mean) / sd, (x - mean) / sd) / self.truncation().1
            }
            Prior::TruncatedLogNormal { mean_ln, sd_ln, lo, .. } => {
                between((lo.ln() - mean_ln) / sd_ln, (x.ln() - mean_ln) / sd_ln) / self.truncation().1
            }
        }
        .clamp(0.0, 1.0)
    }

    /// Computes the natural log of the normalised density at x; -infinity outside the support, NaN for NaN.
    pub fn ln_pdf(&self, x: f64) -> f64 {
        if x.is_nan() {
            return f64::NAN;
        }
        let (lo, hi) = self.support();
        if x < lo || x > hi {
            return f64::NEG_INFINITY;
        }
        let normal = |z: f64, sd: f64| -0.5 * z * z - (sd * (2.0 * std::f64::consts::PI).sqrt()).ln();
        match *self {
            Prior::Uniform { lo, hi } => -(hi - lo).ln(),
            Prior::LogUniform { lo, hi } => -x.ln() - (hi / lo).ln().ln(),
            Prior::Normal { mean, sd } | Prior::TruncatedNormal { mean, sd, .. } => {
                normal((x - mean) / sd, sd) - self.truncation().1.ln()
            }
            Prior::LogNormal { .. } | Prior::TruncatedLogNormal { .. } if x <= 0.0 => f64::NEG_INFINITY,
            Prior::LogNormal { mean_ln, sd_ln } | Prior::TruncatedLogNormal { mean_ln, sd_ln, .. } => {
                normal((x.ln() - mean_ln) / sd_ln, sd_ln) - x.ln() - self.truncation().1.ln()
            }
        }
    }
}

/// Normal probability between two deviates, from the tail where it is not cancelled.
fn between(a: f64, b: f64) -> f64 {
    if a > 0.0 { normal_cdf(-a) - normal_cdf(-b) } else { normal_cdf(b) - normal_cdf(a) }
}

/// Two numbers between the brackets `open` and `close`, and the text before them.
fn pair(text: &str, open: char, close: char) -> Option<(&str, f64, f64)> {
    let (before, rest) = text.split_once(open)?;
    let (a, b) = rest.trim_end().strip_suffix(close)?.split_once(',')?;
    Some((before.trim(), a.trim().parse().ok()?, b.trim().parse().ok()?))
}

impl Prior {
    /// Takes the prior apart.
    pub fn written(&self) -> Written {
        let (kind, numbers, within) = match *self {
            Prior::Uniform { lo, hi } => (&UNIFORM, (lo, hi), None),
            Prior::LogUniform { lo, hi } => (&LOG_UNIFORM, (lo, hi), None),
            Prior::Normal { mean, sd } => (&NORMAL, (mean, sd), None),
            Prior::LogNormal { mean_ln, sd_ln } => (&LOG_NORMAL, (mean_ln, sd_ln), None),
            Prior::TruncatedNormal { mean, sd, lo, hi } => (&NORMAL, (mean, sd), Some((lo, hi))),
            Prior::TruncatedLogNormal { mean_ln, sd_ln, lo, hi } => (&LOG_NORMAL, (mean_ln, sd_ln), Some((lo, hi))),
        };
        Written { kind, numbers, within }
    }

    /// Reads what `Display` writes; `None` for anything else, and for numbers that make no density.
    pub fn parse(text: &str) -> Option<Prior> {
        let (shape, within) = match text.split_once(" within ") {
            Some((shape, within)) => (shape, Some(pair(within, '[', ']').filter(|(before, ..)| before.is_empty())?)),
            None => (text, None),
        };
        let (name, a, b) = pair(shape, '(', ')')?;
        let whole = (KINDS.iter().find(|kind| kind.name == name)?.of)(a, b);
        let prior = match within {
            None => whole,
            // Limits must be ones that such a prior keeps as they are.
            Some((_, lo, hi)) => {
                Some(whole.truncated(lo, hi)).filter(|prior| prior.written().within == Some((lo, hi)))?
            }
        };
        prior.problem().is_none().then_some(prior)
    }
}

/// As summaries write it; [`Prior::parse`] reads it back.
impl std::fmt::Display for Prior {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Written { kind, numbers: (a, b), within } = self.written();
        write!(f, "{}({a}, {b})", kind.name)?;
        within.map_or(Ok(()), |(lo, hi)| write!(f, " within [{lo}, {hi}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Prior; 7] = [
        Prior::Uniform { lo: -1.0, hi: 3.0 },
        Prior::LogUniform { lo: 1e-5, hi: 1e2 },
        Prior::Normal { mean: 2.0, sd: 0.5 },
        Prior::LogNormal { mean_ln: -1.0, sd_ln: 0.7 },
        Prior::TruncatedNormal { mean: 0.1, sd: 0.3, lo: 0.0, hi: 10.0 },
        Prior::TruncatedNormal { mean: 0.0, sd: 1.0, lo: 4.0, hi: 9.0 },
        Prior::TruncatedLogNormal { mean_ln: 0.0, sd_ln: 1.0, lo: 0.5, hi: 2.0 },
    ];

    #[test]
    fn quantile_and_cdf_are_inverse_and_the_density_is_their_slope() {
        for prior in ALL {
            assert_eq!(prior.problem(), None, "{prior}");
            for k in 1..200 {
                let u = f64::from(k) / 200.0;
                let x = prior.quantile(u);
                assert!((prior.cdf(x) - u).abs() < 1e-11, "{prior} {u} {x} {}", prior.cdf(x));
                let h = 1e-5;
                let slope = 2.0 * h / (prior.quantile(u + h) - prior.quantile(u - h));
                assert!((prior.ln_pdf(x) - slope.ln()).abs() < 1e-4, "{prior} {u}");
            }
        }
    }

    #[test]
    fn ends_of_the_unit_cube_are_finite_and_inside() {
        for prior in ALL {
            let (lo, hi) = prior.support();
            for u in [0.0, 1e-300, 1e-17, 0.5, 1.0 - 1e-16, 1.0, -0.1, 1.1] {
                let x = prior.quantile(u);
                assert!(x.is_finite() && x >= lo && x <= hi, "{prior} {u} {x}");
            }
            assert_eq!(prior.ln_pdf(lo - 1.0), f64::NEG_INFINITY);
            assert!(prior.ln_pdf(f64::NAN).is_nan());
        }
    }

    #[test]
    fn what_is_written_reads_back_and_every_kind_is_one_of_the_kinds() {
        for prior in ALL {
            assert_eq!(Prior::parse(&prior.to_string()), Some(prior));
        }
        for kind in KINDS {
            assert!(ALL.iter().any(|prior| prior.written().kind.name == kind.name), "{} is not tested", kind.name);
            let Written { kind: own, numbers, within } = (kind.of)(2.0, 3.0).written();
            assert_eq!((own.name, numbers, within), (kind.name, (2.0, 3.0), None));
        }
        for text in
            ["uniform(0, 1) within [0, 1]", "normal(0, -1)", "normal(0, 1) within [0]", "nothing(0, 1)", "normal"]
        {
            assert_eq!(Prior::parse(text), None, "{text}");
        }
    }

    #[test]
    fn senseless_numbers_are_named() {
        let bad = [
            Prior::Uniform { lo: 1.0, hi: 1.0 },
            Prior::Uniform { lo: f64::NAN, hi: 1.0 },
            Prior::LogUniform { lo: 0.0, hi: 1.0 },
            Prior::Normal { mean: 0.0, sd: 0.0 },
            Prior::LogNormal { mean_ln: f64::INFINITY, sd_ln: 1.0 },
            Prior::TruncatedNormal { mean: -50.0, sd: 1.0, lo: 0.0, hi: 1.0 },
        ];
        for prior in bad {
            assert!(prior.problem().is_some(), "{prior}");
        }
    }
}
