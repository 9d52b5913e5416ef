//! Numbers as people write them, for the report and the terminal. What is not finite is "unknown".
//!
//! How many digits a parameter has is decided here and nowhere else ([`Estimate`]), so that table, corner plot and terminal agree to the
//! last digit.

use super::plots::axis::superscript;
use crate::result::{ParameterSummary, Side};

pub use crate::result::numbers::{short, signed};

/// A parameter as it is printed: median and errors, or a one-sided limit, with two significant digits of the smaller error.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    what: What,
    digits: Digits,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Value {
        median: f64,
        up: f64,
        down: f64,
    },
    Limit {
        side: Side,
        value: f64,
        level: f64,
    },
    /// The posterior is the prior: median and errors would be those of the prior.
    Nothing,
}

/// Decimals after division by 10^exponent; negative ones round to tens, hundreds and so on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Digits {
    exponent: i32,
    decimals: i32,
}

impl Digits {
    /// Those that show two significant digits of `error`, for numbers up to `largest`.
    fn of(largest: f64, error: f64) -> Digits {
        if !(error > 0.0 && error.is_finite() && largest.is_finite()) {
            return Digits { exponent: 0, decimals: 4 };
        }
        // 0.0996 has two digits as 0.10.
        let order = error.log10().floor();
        let order = if (error / 10f64.powf(order - 1.0)).round() >= 100.0 { order + 1.0 } else { order };
        let decimals = 1 - order as i32;
        let largest = largest.max(error);
        match (1e-2..1e5).contains(&largest) {
            true => Digits { exponent: 0, decimals: decimals.min(8) },
            false => {
                let exponent = largest.log10().floor() as i32;
                Digits { exponent, decimals: (decimals + exponent).clamp(0, 8) }
            }
        }
    }

    /// The number without its power of ten, with a minus sign of ASCII.
    fn number(self, x: f64) -> String {
        if !x.is_finite() {
            return "unknown".into();
        }
        let (x, step) = (x / 10f64.powi(self.exponent), 10f64.powi(-self.decimals.min(0)));
        let x = if self.decimals < 0 { (x / step).round() * step } else { x };
        let text = format!("{x:.*}", self.decimals.max(0) as usize);
        // -0.00 is zero.
        match text.strip_prefix('-') {
            Some(digits) if digits.chars().all(|c| matches!(c, '0' | '.')) => digits.to_string(),
            _ => text,
        }
    }
}

/// How numbers are set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// ASCII alone, for terminals: `(1.230 +0.040 -0.050)e-6`.
    Plain,
    /// `(1.230 +0.040 −0.050)×10⁻⁶`.
    Pretty,
    /// `(1.230^{+0.040}_{-0.050})\times 10^{-6}`, for LaTeX's mathematics.
    Latex,
}

impl Style {
    fn minus(self) -> &'static str {
        if self == Style::Pretty { "−" } else { "-" }
    }

    fn signs(self, text: &str) -> String {
        text.replace('-', self.minus())
    }

    fn power(self, exponent: i32) -> String {
        match (exponent, self) {
            (0, _) => String::new(),
            (e, Style::Plain) => format!("e{e}"),
            (e, Style::Pretty) => format!("×10{}", superscript(e)),
            (e, Style::Latex) => format!("\\times 10^{{{e}}}"),
        }
    }
}

impl Estimate {
    /// The limit where the parameter has one, "not constrained" where the data do not constrain it, else median and 68 % errors.
    pub fn of(p: &ParameterSummary) -> Estimate {
        let Some(limit) = p.limit else {
            let estimate = Estimate::with_errors(p.median, p.q84 - p.median, p.median - p.q16);
            return match p.constrained {
                true => estimate,
                false => Estimate { what: What::Nothing, ..estimate },
            };
        };
        // Two digits of what the limit leaves: a lower limit of 1.723 below an edge at 1.75 is not 1.7.
        let left = p.edges.first().map_or(limit.value.abs(), |edge| (limit.value - edge.value).abs());
        Estimate {
            what: What::Limit { side: limit.side, value: limit.value, level: limit.level },
            digits: Digits::of(limit.value.abs(), left),
        }
    }

    /// A median and the distances to the quantiles above and below it.
    pub fn with_errors(median: f64, up: f64, down: f64) -> Estimate {
        let (up, down) = (up.abs(), down.abs());
        Estimate { what: What::Value { median, up, down }, digits: Digits::of(median.abs(), up.min(down)) }
    }

    /// For a terminal, in ASCII: `1.827 +0.034 -0.028`, `< 1.2e-5 (90 %)`.
    pub fn plain(&self) -> String {
        self.text(Style::Plain)
    }

    /// For plots and pages: `1.827 +0.034 −0.028`, `< 1.2×10⁻⁵ (90 %)`.
    pub fn pretty(&self) -> String {
        self.text(Style::Pretty)
    }

    /// For LaTeX's mathematics: `1.827^{+0.034}_{-0.028}`, `< 1.2\times 10^{-5}\ (90\,\%)`.
    pub fn latex(&self) -> String {
        self.text(Style::Latex)
    }

    /// Another value of the same parameter (the best fit) with the same digits, in ASCII.
    pub fn plain_value(&self, x: f64) -> String {
        self.value(x, Style::Plain)
    }

    /// The same for plots and pages.
    pub fn pretty_value(&self, x: f64) -> String {
        self.value(x, Style::Pretty)
    }

    /// Median, upper and lower error and the power of ten behind them, as [`Estimate::pretty`] has them; `None` for a limit, and where
    /// there are no errors.
    pub fn parts(&self) -> Option<[String; 4]> {
        let What::Value { median, up, down } = self.what else { return None };
        let number = |x: f64| Style::Pretty.signs(&self.digits.number(x));
        (up.min(down) > 0.0)
            .then(|| [number(median), number(up), number(down), Style::Pretty.power(self.digits.exponent)])
    }

    fn value(&self, x: f64, style: Style) -> String {
        // A best fit far below a limit keeps two digits of its own.
        let digits = match self.what {
            What::Limit { .. } if x.abs() < 10f64.powi(self.digits.exponent - self.digits.decimals) => {
                Digits::of(x.abs(), x.abs())
            }
            _ => self.digits,
        };
        format!("{}{}", style.signs(&digits.number(x)), style.power(digits.exponent))
    }

    fn text(&self, style: Style) -> String {
        let power = style.power(self.digits.exponent);
        let number = |x: f64| style.signs(&self.digits.number(x));
        let words = |text: &str| match style {
            Style::Latex => format!("\\text{{{text}}}"),
            _ => text.into(),
        };
        match self.what {
            What::Nothing => words("not constrained"),
            What::Limit { side, value, level } => {
                let sign = if side == Side::Upper { '<' } else { '>' };
                if style == Style::Latex {
                    return format!("{sign} {}{power}\\ ({:.0}\\,\\%)", number(value), 100.0 * level);
                }
                format!("{sign} {}{power} ({:.0} %)", number(value), 100.0 * level)
            }
            What::Value { median, .. } if !median.is_finite() => words("unknown"),
            // Samples that are all the same have no errors.
            What::Value { median, up, down } if up.min(down).is_nan() || up.min(down) <= 0.0 => number(median),
            What::Value { median, up, down } => {
                let text = match style {
                    Style::Latex => format!("{}^{{+{}}}_{{-{}}}", number(median), number(up), number(down)),
                    _ => format!("{} +{} {}{}", number(median), number(up), style.minus(), number(down)),
                };
                if power.is_empty() { text } else { format!("({text}){power}") }
            }
        }
    }
}

pub(super) fn fixed(v: f64, decimals: usize) -> String {
    if v.is_finite() { format!("{v:.decimals$}").replace('-', "−") } else { "unknown".into() }
}

/// With `digits` significant digits.
pub(super) fn significant(v: f64, digits: i32) -> String {
    if !(v.is_finite() && v > 0.0) {
        return "unknown".into();
    }
    let decimals = (digits - 1 - v.log10().floor() as i32).clamp(0, 12) as usize;
    format!("{v:.decimals$}")
}

pub(super) fn percent(share: f64) -> String {
    let p = 100.0 * share;
    match p {
        p if !p.is_finite() => "unknown".into(),
        p if p >= 10.0 || p == 0.0 => format!("{p:.0} %"),
        p if p >= 1.0 => format!("{p:.1} %"),
        p => format!("{} %", significant(p, 2)),
    }
}

/// 1234567 as 1 234 567, with thin spaces.
pub(super) fn thousands(v: f64) -> String {
    if !v.is_finite() {
        return "unknown".into();
    }
    let digits = format!("{:.0}", v.abs());
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push('\u{202f}');
        }
        text.push(c);
    }
    if v < 0.0 { format!("−{text}") } else { text }
}

pub(super) fn seconds(s: f64) -> String {
    match s {
        s if !s.is_finite() => "unknown".into(),
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:02.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}
