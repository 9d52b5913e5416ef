//! report.html: one file that can be mailed, put on a web page or printed. No script, no network, plots inside.
//!
//! Every text that comes from files (names, units, warnings) is escaped here and nowhere else: build with [`escape`].

use std::fmt::Write;

use super::numbers::{Estimate, fixed, percent, seconds, short, signed, thousands};
use super::plots::Plots;
use super::plots::corner::pretty_unit;
use super::{ReportData, figures, header};
use crate::model::prior::Written;
use crate::result::StatedPrior;
use crate::result::{ModelStatus, ParameterSummary, Summary, VerdictStatus, limits};

const STYLE: &str = include_str!("style.css");

/// The report as one HTML document.
pub fn html(data: &ReportData, plots: &Plots) -> String {
    let s = &data.summary;
    let mut body = String::new();
    header::section(&mut body, s);
    verdict(&mut body, s);
    parameters(&mut body, s);
    if let Some(derived) = &data.derived {
        super::derived::section(&mut body, derived);
    }
    figures::posterior(&mut body, s, plots);
    figures::fit(&mut body, data, plots);
    match &s.reference {
        Some(reference) => sampler(&mut body, reference),
        None => refinement(&mut body, s),
    }
    residual(&mut body, s);
    tension(&mut body, s);
    figures::rounds(&mut body, s, plots);
    if let Some(diagnosis) = &data.diagnosis {
        super::calibration::section(&mut body, diagnosis, plots);
    }
    run(&mut body, s);
    citation(&mut body, s);
    let title = escape(header::title(s));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title} – rontgen</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Text made safe for HTML, inside and outside of attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn verdict(out: &mut String, s: &Summary) {
    let v = &s.verdict;
    let (class, words) = match (v.status, v.model.status) {
        (_, ModelStatus::DoesNotDescribe) => ("not", "The model does not describe the data."),
        (VerdictStatus::Trusted, _) => ("trusted", "This posterior can be trusted."),
        (VerdictStatus::WithCare, _) => ("care", "Use this posterior with care."),
        (VerdictStatus::NotTrusted, _) => ("not", "Do not trust this posterior."),
    };
    let sampling = light(
        "Sampling",
        v.sampling.status.as_str(),
        &v.sampling.reasons,
        "The importance weights behave, and the effective sample is large.",
        v.sampling.status == VerdictStatus::Trusted,
    );
    let model = light(
        "Model",
        v.model.status.as_str(),
        &v.model.reasons,
        &format!("{} is what the model predicts.", s.statistic_words()),
        v.model.status == ModelStatus::Fits,
    );
    // What cannot have made the data is said first.
    let reasons = if v.model_is_hopeless() { model + &sampling } else { sampling + &model };
    let path = s.fallback.as_ref().map_or(String::new(), |fallback| {
        let steps: Vec<String> =
            fallback.steps.iter().map(|step| format!("{} ({})", step.step, step.status.as_str())).collect();
        format!(
            "<p>The posterior comes from the fall-back: {}. Tried: {}.</p>",
            escape(&fallback.answer),
            escape(&steps.join(", "))
        )
    });
    let way = s.method.as_ref().map_or(String::new(), |method| format!("<p>{}</p>", escape(&method.sentences())));
    let _ = writeln!(
        out,
        "<div class=\"verdict {class}\"><strong>{words}</strong><div class=\"lights\">{reasons}</div>{path}{way}</div>"
    );
    let r = &s.refine;
    let mut figures = Vec::new();
    if r.method != "none" {
        figures.push((thousands(r.ess), "effective samples".to_string()));
        figures.push((percent(r.efficiency), "sampling efficiency".to_string()));
        figures
            .push((signed(r.log_z, r.log_z_err).replace('-', "−"), format!("ln evidence ({})", s.statistic_words())));
    }
    figures.push((
        format!("{} / {}", fixed(s.cstat.best, 1), fixed(s.cstat.expected, 1)),
        format!("{}, best / expected", s.statistic_words()),
    ));
    figures.push((seconds(s.seconds.total), "total time".to_string()));
    out.push_str("<div class=\"figures\">");
    for (value, label) in figures {
        let _ = write!(out, "<div><b>{}</b><span>{}</span></div>", escape(&value), escape(&label));
    }
    out.push_str("</div>\n");
}

fn parameters(out: &mut String, s: &Summary) {
    let truth = s.parameters.iter().any(|(_, p)| p.truth.is_some());
    out.push_str("<h2>Parameters</h2>\n<div class=\"wide\"><table>\n<tr><th>Parameter</th><th>Median and 68 %</th><th>90 % interval</th><th>Best fit</th><th>Unit</th><th>Prior</th>");
    if truth {
        out.push_str("<th>True value</th>");
    }
    out.push_str("</tr>\n");
    for (name, p) in &s.parameters {
        let _ = write!(
            out,
            "<tr><td><code>{}</code></td><td class=\"e\">{}{}</td><td class=\"e\">{}</td><td>{}</td><td>{}</td><td>{}</td>",
            escape(name),
            estimate(p),
            if p.remark().is_some() { "<sup>*</sup>" } else { "" },
            interval(p),
            escape(&if p.best.is_finite() { Estimate::of(p).pretty_value(p.best) } else { String::new() }),
            escape(&pretty_unit(&p.unit)),
            escape(&prior(&p.prior)),
        );
        if truth {
            let text = p.truth.map_or(String::new(), |t| {
                let sigma = 0.5 * (p.q84 - p.q16);
                // Adding 0 turns -0.0 into 0.0.
                let off = ((p.median - t) / sigma * 10.0).round() / 10.0 + 0.0;
                let off = if off.is_finite() { format!(" ({off:+.1} σ)") } else { String::new() };
                format!("{}{off}", short(t))
            });
            let _ = write!(out, "<td>{}</td>", escape(&text.replace('-', "−")));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    let remarks: Vec<String> = s
        .parameters
        .iter()
        .filter_map(|(name, p)| Some(format!("<li><code>{}</code> {}</li>", escape(name), escape(&p.remark()?))))
        .collect();
    if !remarks.is_empty() {
        let _ = writeln!(out, "<p class=\"muted\"><sup>*</sup> Limits and edges:</p>\n<ul>{}</ul>", remarks.concat());
    }
    if !s.model.fixed.is_empty() {
        let fixed: Vec<String> =
            s.model.fixed.iter().map(|(n, v)| format!("<code>{}</code> = {}", escape(n), escape(v))).collect();
        let _ = writeln!(out, "<p class=\"muted\">Not free: {}.</p>", fixed.join(", "));
    }
}

/// Median with its 68 % errors set above each other, or in one when they agree in the digits shown; or a limit.
pub(super) fn estimate(p: &ParameterSummary) -> String {
    let estimate = Estimate::of(p);
    let Some([value, up, down, power]) = estimate.parts() else { return escape(&estimate.pretty()) };
    let text = match up == down {
        true => format!("{value} ± {up}"),
        false => format!("{value}<span class=\"pm\"><span>+{up}</span><span>−{down}</span></span>"),
    };
    if power.is_empty() { text } else { format!("({text}){power}") }
}

/// One light with its reasons, or with what it says when there are none.
fn light(name: &str, status: &str, reasons: &[String], good: &str, is_good: bool) -> String {
    let text = match (reasons.is_empty(), is_good) {
        (false, _) => list(reasons),
        (true, true) => format!("<p>{good}</p>"),
        (true, false) => "<p>No reason was recorded.</p>".to_string(),
    };
    format!("<div class=\"light\"><p><b>{name}: {}</b></p>{text}</div>", escape(status))
}

pub(super) fn interval(p: &ParameterSummary) -> String {
    // Decades apart, each end has two digits of its own.
    if p.prior.logarithmic() && p.q05 > 0.0 && p.q95 > 30.0 * p.q05 && p.q95.is_finite() {
        let two = |x: f64| Estimate::with_errors(x, x, x).pretty_value(x);
        return format!("{} to {}", two(p.q05), two(p.q95));
    }
    let width = p.q95 - p.q05;
    if !(width > 0.0 && width.is_finite()) {
        return format!("{} to {}", short(p.q05), short(p.q95));
    }
    let largest = p.q95.abs().max(p.q05.abs());
    let exponent = if (1e-2..1e5).contains(&largest) { 0 } else { largest.log10().floor() as i32 };
    let factor = 10f64.powi(exponent);
    // Two digits of an error of a third of the interval, as in the column before.
    let decimals = (1 - (0.3 * width / factor).log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{:.decimals$} to {:.decimals$}", p.q05 / factor, p.q95 / factor).replace('-', "−");
    if exponent == 0 { text } else { format!("({text})×10{}", super::plots::axis::superscript(exponent)) }
}

fn prior(p: &StatedPrior) -> String {
    let known = match p {
        StatedPrior::Known(known) => known,
        StatedPrior::Text(text) => return text.clone(),
    };
    let Written { kind, numbers: (a, b), within } = known.written();
    let name = kind.name.replace('_', "-");
    let of = if kind.log { "ln x = " } else { "" };
    let text = match kind.spread {
        true => format!("{name}, {of}{} ± {}", short(a), short(b)),
        false => format!("{name}, {} to {}", short(a), short(b)),
    };
    match within.map(|(lo, hi)| (lo, hi, lo.is_finite(), hi.is_finite())) {
        None => text,
        Some((lo, hi, true, true)) => format!("{text}, within {} to {}", short(lo), short(hi)),
        Some((lo, _, true, false)) => format!("{text}, above {}", short(lo)),
        Some((_, hi, false, _)) => format!("{text}, below {}", short(hi)),
    }
}

fn sampler(out: &mut String, reference: &crate::result::ReferenceSummary) {
    out.push_str("<h2>Sampler</h2>\n<div class=\"wide\"><table>\n");
    for (name, value, meaning) in reference.rows() {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\"><b>{}</b></td><td class=\"muted\">{}</td></tr>",
            escape(name),
            escape(&value),
            escape(meaning)
        );
    }
    out.push_str("</table></div>\n");
}

/// Energies, after the name of the data set where there is one.
fn range(set: &str, low: f64, high: f64) -> String {
    let name = if set.is_empty() { String::new() } else { format!("{} ", escape(set)) };
    format!("{name}{low:.3} to {high:.3}")
}

fn refinement(out: &mut String, s: &Summary) {
    let r = &s.refine;
    out.push_str("<h2>Refinement with the exact likelihood</h2>\n");
    if r.method == "none" {
        out.push_str("<p>Not done: the samples are the network's, uncorrected.</p>\n");
        return;
    }
    let evidence_label = format!("ln Z (−{}/2)", s.statistic_words());
    let mut rows = vec![
        (
            "Samples weighted",
            thousands(r.samples as f64),
            "draws of the network and of mixtures fitted to its weighted draws, each weighted by prior × likelihood / density",
        ),
        ("Effective sample size", thousands(r.ess), "as many independent draws of the posterior are they worth"),
        ("Its lower bound", thousands(r.ess_lower), "5 % quantile over bootstraps of the draws"),
        ("Sampling efficiency", percent(r.efficiency), "the same as a share; 100 % if the network had been exact"),
        (
            "Pareto k",
            fixed(r.pareto_k, 2),
            "tail of the weights; below 0.7 the result is reliable (Vehtari et al. 2024)",
        ),
        ("Largest weight", percent(r.max_weight_share), "share of the heaviest sample"),
        (
            evidence_label.as_str(),
            signed(r.log_z, r.log_z_err).replace('-', "−"),
            "evidence, in the convention of XSPEC and BXA",
        ),
        (
            "ln Z (Poisson)",
            fixed(r.log_z_poisson, 3),
            "the same with the constants of the normalised Poisson probability",
        ),
    ];
    if let Some(worst) = r.agreement.iter().max_by(|a, b| a.score.total_cmp(&b.score)) {
        rows.push((
            "Density against draws",
            fixed(worst.score, 2),
            "above 1 the draws of a proposal are not as frequent as its density says, and its weights are wrong",
        ));
    }
    if let Some(e) = r.emulator.as_ref().filter(|e| e.trained_on > 0) {
        rows.push((
            "Emulator's error",
            fixed(e.error, 4),
            "standard deviation in ln L over the posterior, on unseen draws",
        ));
        rows.push(("... at the largest weights", fixed(e.error_worst, 4), "checked against exact likelihoods"));
        rows.push(("Emulated likelihoods", thousands(e.emulated as f64), "the others are exact"));
    }
    if let Some(latent) = &s.latent {
        rows.push((
            "Observed among simulated",
            percent(latent.share_beyond),
            "share of the last round's simulated spectra whose summaries lie farther from the middle than the observed ones",
        ));
    }
    out.push_str("<div class=\"wide\"><table>\n");
    for (name, value, meaning) in rows {
        let _ = writeln!(
            out,
            "<tr><td>{name}</td><td class=\"n\"><b>{}</b></td><td class=\"muted\">{meaning}</td></tr>",
            escape(&value)
        );
    }
    let _ = writeln!(
        out,
        "</table></div>\n<p class=\"muted\">Method: {}; likelihood: {}. Limits: Pareto k {} (care) and {} (no trust), effective \
         sample {} and {}, largest weight {} and {}, {} {} standard deviations from its expectation; its upper limit of misfit stands in <code>run.toml</code>.</p>",
        escape(&r.method),
        escape(&r.likelihood),
        limits::PARETO_K,
        limits::PARETO_K_BAD,
        limits::ESS,
        limits::ESS_BAD,
        percent(limits::SHARE),
        percent(limits::SHARE_BAD),
        escape(&s.statistic_words()),
        limits::CSTAT_PULL,
    );
    if let Some(e) = r.emulator.as_ref().filter(|e| !e.reason.is_empty()) {
        let _ =
            writeln!(out, "<p class=\"muted\">The emulator of the likelihood was not used: {}.</p>", escape(&e.reason));
    }
}

/// What no parameter can change, band by band.
/// What each of several data sets says alone.
fn tension(out: &mut String, s: &Summary) {
    let Some(tension) = &s.tension else { return };
    let head: String =
        tension.sets.iter().map(|set| format!("<th class=\"n\">{} alone</th>", escape(&set.name))).collect();
    let _ = write!(
        out,
        "<h2>The data sets alone</h2>\n<p>Do the data sets agree? {} (Handley &amp; Lemos 2019: what is left of the evidence for one set of \
         parameters once the priors are taken out; negative ln S speaks against it).</p>\n<div class=\"wide\"><table>\n<tr><th>Parameter</th>\
         <th class=\"n\">together</th>{head}</tr>\n",
        escape(&tension.text())
    );
    let range = |median: f64, low: f64, high: f64| {
        let word = |x: f64| match x.abs() {
            a if a == 0.0 || (1e-3..1e5).contains(&a) => {
                fixed(x, (2.0 - a.max(1e-3).log10().floor()).clamp(0.0, 6.0) as usize)
            }
            _ => format!("{x:.2e}"),
        };
        format!("{} <small>+{} −{}</small>", word(median), word(high - median), word(median - low))
    };
    for (i, (name, p)) in s.parameters.iter().enumerate() {
        let alone = tension.sets.iter().map(|set| {
            let cell =
                set.parameters.get(i).map_or_else(String::new, |(_, [median, low, high])| range(*median, *low, *high));
            format!("<td class=\"n\">{cell}</td>")
        });
        let alone: String = alone.collect();
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td>{alone}</tr>",
            escape(name),
            range(p.median, p.q16, p.q84)
        );
    }
    out.push_str("</table></div>\n");
}

fn residual(out: &mut String, s: &Summary) {
    let Some(residual) = &s.residual else { return };
    let probability = |p: f64| if p < 0.01 { format!("{p:.1e}") } else { format!("{p:.2}") };
    let _ = writeln!(
        out,
        "<h2>What no parameter can change</h2>\n<p>Outside of the {} directions in which the parameters move {} groups of bins, a \
         spectrum of a right model is noise. p = <b>{}</b> over all bands, from {} mock spectra.</p>\n<div class=\"wide\"><table>\n\
         <tr><th>keV</th><th>Groups</th><th>χ²</th><th>Expected</th><th>p</th><th>Excess, σ</th><th>Largest window, keV</th>\
         <th>σ</th><th>p</th></tr>",
        residual.directions,
        residual.groups,
        probability(residual.p),
        residual.mocks
    );
    for band in &residual.bands {
        let window = &band.window;
        let cells = [
            range(&band.set, band.e_min, band.e_max),
            band.groups.to_string(),
            fixed(band.chi_square, 1),
            fixed(band.expected, 1),
            probability(band.p),
            format!("{:+.1}", band.excess).replace('-', "−"),
            range(&window.set, window.e_min, window.e_max),
            format!("{:+.1}", window.excess).replace('-', "−"),
            probability(window.p),
        ];
        let cells: String = cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    let _ = writeln!(
        out,
        "</table></div>\n<p class=\"muted\">Single p-values are those of one band and one statistic; the model is doubted when the p-value over \
         all of them is below {:e}. Excess: more counts than expected are positive.</p>",
        crate::result::limits::RESIDUAL_P
    );
}

fn run(out: &mut String, s: &Summary) {
    let (d, t) = (&s.device, &s.seconds);
    let mebibytes = |b: u64| format!("{:.1} MiB", b as f64 / 1048576.0);
    let how = [
        ("Version", format!("rontgen {}", s.version)),
        (
            "Device",
            [d.name.as_str(), d.backend.as_str(), d.kind.as_str(), d.driver.as_str()]
                .iter()
                .filter(|w| !w.is_empty())
                .copied()
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("Seed", s.seed.to_string()),
        ("To the device", mebibytes(s.transfers.to_device_bytes)),
        (
            "From the device",
            format!(
                "{} ({} of it for checkpoints)",
                mebibytes(s.transfers.to_host_bytes),
                mebibytes(s.transfers.checkpoint_to_host_bytes)
            ),
        ),
        ("Abundances, cross sections", [s.model.abundances.as_str(), s.model.cross_sections.as_str()].join(", ")),
    ];
    let times = [
        ("Simulate", t.simulate),
        ("Summarize", t.summarize),
        ("Infer", t.infer),
        ("Proposal", t.proposal),
        ("Refine", t.refine),
        ("Report", t.report),
        ("Total", t.total),
    ];
    out.push_str("<h2>How it was run</h2>\n<div class=\"two\"><table>\n");
    for (name, value) in how.iter().filter(|(_, v)| !v.trim_matches([',', ' ']).is_empty()) {
        let _ = writeln!(out, "<tr><td class=\"muted\">{name}</td><td>{}</td></tr>", escape(value));
    }
    out.push_str("</table><table>\n");
    for (name, value) in times {
        let share = if t.total > 0.0 { percent(value / t.total) } else { String::new() };
        let _ = writeln!(
            out,
            "<tr><td class=\"muted\">{name}</td><td class=\"n\">{}</td><td class=\"n muted\">{share}</td></tr>",
            seconds(value)
        );
    }
    out.push_str("</table></div>\n");
    out.push_str(
        "<p>The run as resolved, with every default written out, is in <code>run.toml</code>; the same file and seed give the same \
         run. Samples: <code>posterior.csv</code>, and, unless the posterior is refused, <code>posterior.fits</code> for XSPEC's <code>chain load</code>, behind <code>model.xcm</code>; \
         <code>weighted.csv</code> has likelihoods and weights; <code>summary.json</code> all numbers of this page.</p>\n",
    );
    if !s.warnings.is_empty() {
        let _ = writeln!(out, "<h2>Warnings</h2>\n{}", list(&s.warnings));
    }
}

fn citation(out: &mut String, s: &Summary) {
    let _ = write!(
        out,
        "<h2>How to cite</h2>\n<p>Name the program and its version (rontgen {}) and the works that it rests on:</p>\n<ul>\n\
         <li>the method, simulation-based inference of X-ray spectra: Barret &amp; Dupourqué (2024), Dupourqué &amp; Barret (2025) and \
         their paper on auto-encoders and importance sampling (the SIXSA package)</li>\n\
         <li>masked autoregressive flow: Papamakarios et al. (2017); truncated proposals: Deistler et al. (2022)</li>\n\
         <li>C-STAT: Cash (1979), and its expectation: Kaastra (2017); Pareto k: Vehtari et al. (2024)</li>\n\
         <li>the spectral models, abundances and cross sections named above, after XSPEC (Arnaud 1996)</li>\n</ul>\n\
         <footer>Made by rontgen {} from the files of this folder; <code>rontgen report</code> makes it again.</footer>\n",
        escape(&s.version),
        escape(&s.version),
    );
}

fn list(items: &[String]) -> String {
    let lines: Vec<String> = items.iter().map(|i| format!("<li>{}</li>", escape(i))).collect();
    format!("<ul>{}</ul>", lines.concat())
}
