//! The report's section on what `rontgen diagnose` found.

use super::figures::figure;
use super::html::escape;
use super::plots::Plots;
use crate::result::{Calibrated, Diagnosis};
use std::fmt::Write;

/// Appends the section.
pub(super) fn section(out: &mut String, d: &Diagnosis, plots: &Plots) {
    out.push_str("<h2>Calibration</h2>\n");
    let words = match (d.passed, d.weights.is_some(), d.predictive.is_some()) {
        (false, _, _) => "Not everything is as it should be.",
        (true, true, true) => "Posteriors are calibrated, and the model makes spectra like the observed one.",
        (true, true, false) => "Posteriors are calibrated.",
        (true, false, true) => "The model makes spectra like the observed one.",
        (true, false, false) => "Nothing was checked.",
    };
    let _ = writeln!(out, "<p><strong>{words}</strong></p>");
    if !d.failures.is_empty() {
        let lines: Vec<String> = d.failures.iter().map(|f| format!("<li>{}</li>", escape(f))).collect();
        let _ = writeln!(out, "<ul>{}</ul>", lines.concat());
    }
    if let Some(w) = &d.weights {
        let _ = writeln!(
            out,
            "<p>{} mock spectra with parameters from {} ({:.2e} of the prior), each analysed as the observed one: efficiency {:.2} and \
             {:.0} effective draws in the median, {:.0} % with sound weights.{}</p>",
            w.mocks,
            escape(&d.prior),
            d.prior_share,
            w.efficiency,
            w.ess,
            100.0 * w.sound,
            match d.mocks_with.is_empty() {
                true => String::new(),
                false => format!(" The mocks were made with {}.", escape(&d.mocks_with.join(", "))),
            }
        );
    }
    if d.weights.is_some() || d.predictive.is_some() {
        table(out, d);
    }
    if let Some(svg) = &plots.ranks {
        let caption = "Ranks of the true values among posterior draws (Talts et al. 2018): flat when calibrated, hollow for too wide, \
                       bowl-shaped for too narrow posteriors, sloping for shifted ones.";
        figure(out, svg, caption);
    }
    if let Some(svg) = &plots.calibration {
        let caption = "Expected coverage of all parameters together, with random reference points (Lemos et al. 2023).";
        figure(out, svg, caption);
    }
    let Some(retriever) = &d.retriever else { return };
    if let Some(svg) = &plots.retriever {
        let caption = format!(
            "What a small network guesses from the summaries of {} spectra it has not seen, drawn from {}. A flat cloud at the prior's \
             mean: the data do not constrain that parameter. Above: the share of the prior's variance that the guesses explain.",
            retriever.tested,
            if retriever.round == 1 {
                "the whole prior".to_string()
            } else {
                format!("the prior of round {}", retriever.round)
            },
        );
        out.push_str("<h2>Which parameters the data constrain</h2>\n");
        figure(out, svg, &caption);
    }
}

/// Every check with its p-value.
fn table(out: &mut String, d: &Diagnosis) {
    out.push_str("<div class=\"wide\"><table>\n<tr><th>Check</th><th class=\"n\">p</th><th></th></tr>\n");
    let mut row = |name: &str, p: f64, passed: bool| {
        let word = if passed { "passed" } else { "failed" };
        let _ = writeln!(out, "<tr><td>{}</td><td class=\"n\">{p:.3}</td><td>{word}</td></tr>", escape(name));
    };
    for (stage, Calibrated { sbc, tarp }) in [("refined", &d.refined), ("flow alone", &d.unrefined)] {
        if let Some(sbc) = sbc {
            row(&format!("Ranks of true values, {stage}"), sbc.p, sbc.passed);
        }
        if let Some(tarp) = tarp {
            row(&format!("Expected coverage, {stage}"), tarp.p, tarp.passed);
        }
    }
    for check in d.predictive.iter().flat_map(|predictive| &predictive.checks) {
        row(&format!("Predictive: {}", check.name), check.p, !check.failed);
    }
    out.push_str(
        "</table></div>\n<p class=\"muted\">p of ranks and coverage: probability that a calibrated analysis does worse in any of the \
         tests of that line. Predictive p-values are those of single checks; one fails below 1 % divided by their number.</p>\n",
    );
}
