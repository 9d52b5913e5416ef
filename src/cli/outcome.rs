//! What a finished run prints: parameters, quality of the fit, evidence, the two lights and where the rest is. At most 80 columns.

use std::path::Path;

use crate::cli::progress::{COLUMNS, wrap};
use crate::report::folder;
use crate::report::numbers::{Estimate, signed};
use crate::result::Summary;
use crate::result::{CstatSummary, ParameterSummary, RefineSummary, Verdict};

/// Names longer than this get a line of their own.
const LONGEST_NAME: usize = 26;
/// Width of the words before what they name, below the table.
const LABEL: usize = 10;

/// The whole, ending in a line break. `out`: the run's folder.
pub(super) fn text(out: &Path, s: &Summary) -> String {
    let mut text = String::new();
    // A model that cannot have made the data makes everything below idle: it is said first.
    if s.verdict.model_is_hopeless() {
        text += "THE MODEL DOES NOT DESCRIBE THE DATA\n";
        text += &reasons(&s.verdict.model.reasons, 2);
        text.push('\n');
    }
    text += &result_of(
        &s.parameters,
        short(&s.statistic_words()),
        &s.cstat,
        &s.refine,
        &s.verdict,
        s.verdict.model_is_hopeless(),
    );
    if let Some(tension) = &s.tension {
        text += &line("data sets", &tension.text());
    }
    if let Some(residual) = &s.residual {
        text += &line("residual", &residual.text());
    }
    if let Some(answer) = &s.verdict.answer {
        text += &line("from", &format!("the fall-back: {answer}"));
    }
    if let Some(method) = &s.method {
        text += &method.choice().map_or(String::new(), |choice| line("from", &choice));
        text += &method.other.as_ref().map_or(String::new(), |other| line("or by", &other.text()));
    }
    text + &line("report", &out.join(folder::REPORT).display().to_string())
}

/// Parameters, the statistic by its name (`called`), evidence and the two lights.
pub(super) fn result(
    list: &[(String, ParameterSummary)],
    called: &str,
    c: &CstatSummary,
    r: &RefineSummary,
    v: &Verdict,
) -> String {
    result_of(list, short(called), c, r, v, false)
}

fn result_of(
    list: &[(String, ParameterSummary)],
    called: &str,
    c: &CstatSummary,
    r: &RefineSummary,
    v: &Verdict,
    told: bool,
) -> String {
    let mut text = parameters(list);
    text.push('\n');
    text += &line(called, &cstat(c, list.len()));
    if r.log_z.is_finite() {
        text += &line("ln Z", &signed(r.log_z, r.log_z_err));
    }
    text + &lights(v, told)
}

/// The name of a statistic where it fits the column.
fn short(words: &str) -> &str {
    if words.len() > 9 { "statistic" } else { words }
}

/// The table of parameters, then what is to be known of some of them.
fn parameters(list: &[(String, ParameterSummary)]) -> String {
    let rows: Vec<[String; 4]> = list
        .iter()
        .map(|(name, p)| {
            let estimate = Estimate::of(p);
            let best = if p.best.is_finite() { estimate.plain_value(p.best) } else { String::new() };
            [name.clone(), estimate.plain(), best, p.unit.clone()]
        })
        .collect();
    let head = ["parameter", "median and 68 %", "best fit", "unit"];
    let width = |i: usize| {
        let longest = rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        longest.max(head[i].len())
    };
    let widths = [width(0).min(LONGEST_NAME), width(1), width(2)];
    let mut text = String::new();
    for row in std::iter::once(head.map(String::from)).chain(rows) {
        let [name, estimate, best, unit] = &row;
        let mut start = format!("{name:<w$}", w = widths[0]);
        if name.chars().count() > widths[0] {
            text += &format!("{name}\n");
            start = " ".repeat(widths[0]);
        }
        let numbers = format!("{start}  {estimate:<w$}  {best:<v$}", w = widths[1], v = widths[2]);
        let whole = format!("{numbers}  {unit}");
        // A unit that does not fit any more stands below.
        match whole.chars().count() > COLUMNS {
            true => text += &format!("{}\n{}{unit}\n", numbers.trim_end(), " ".repeat(widths[0] + 2)),
            false => text += &format!("{}\n", whole.trim_end()),
        }
    }
    for (name, p) in list {
        if let Some(remark) = p.remark() {
            text += &wrap(&format!("{name} {remark}"), 2, 4);
        }
    }
    text
}

/// `41.0, expected 39.0 ± 8.5 for 40 bins`; degrees of freedom are bins less `free` parameters.
fn cstat(c: &CstatSummary, free: usize) -> String {
    let mut text = format!("{:.1}", c.best);
    if c.expected.is_finite() {
        text += &format!(", expected {:.1} ± {:.1}", c.expected, c.expected_std);
    }
    text + &format!(" for {} bins", c.dof + free as i64)
}

/// Sampling and model, each with its reasons; those of the model unless they have been `told`.
fn lights(v: &Verdict, told: bool) -> String {
    let mut text = line("sampling", v.sampling.status.as_str());
    text += &reasons(&v.sampling.reasons, LABEL);
    text += &line("model", v.model.status.as_str());
    if !told {
        text += &reasons(&v.model.reasons, LABEL);
    }
    text
}

fn reasons(list: &[String], indent: usize) -> String {
    list.iter().map(|reason| wrap(&format!("- {reason}"), indent, indent + 2)).collect()
}

fn line(label: &str, value: &str) -> String {
    let text = wrap(value, LABEL, LABEL);
    format!("{label:<LABEL$}{}", text.get(LABEL..).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Prior;

    fn parameter(samples: &[f64], unit: &str) -> ParameterSummary {
        ParameterSummary::of(samples, unit, Prior::Uniform { lo: 0.0, hi: 1e3 }.into(), 1)
    }

    #[test]
    fn the_table_fits_eighty_columns_whatever_the_names() {
        let samples: Vec<f64> = (0..1000).map(|i| 1e-6 * (1.0 + f64::from(i) * 1e-4)).collect();
        let mut small = parameter(&samples, "photons/keV/cm2/s");
        small.best = 1.04e-6;
        let wide: Vec<f64> = (0..1000).map(|i| 100.0 + f64::from(i)).collect();
        let list = vec![
            ("tbabs.nH".to_string(), parameter(&wide, "1e22 cm-2")),
            ("constant_12.factor@epic_mos1_long".to_string(), small.clone()),
            ("a_user_component.with_a_parameter_name_that_never_ends_at_all".to_string(), small),
        ];
        let text = parameters(&list);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert_eq!(text.matches("photons/keV/cm2/s").count(), 2, "{text}");
        assert!(text.contains("(1.050 +0.034 -0.034)e-6  1.040e-6"), "{text}");
        let names = list.iter().all(|(name, _)| text.contains(name.as_str()));
        assert!(names && text.starts_with("parameter"), "{text}");
    }

    #[test]
    fn reasons_are_wrapped_below_their_light() {
        let mut verdict = Verdict::default();
        verdict.add(crate::result::VerdictStatus::NotTrusted, "a reason of many words ".repeat(12));
        let text = lights(&verdict, false);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.starts_with("sampling  refused\n          - a reason"), "{text}");
    }
}
