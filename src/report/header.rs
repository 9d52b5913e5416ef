//! The top of the report: what was observed, with what, and what was fitted to it.

use super::html::escape;
use super::numbers::{short, thousands};
use crate::result::{ObservationSummary, Summary};
use std::fmt::Write;

/// Heading of the report.
pub(super) fn title(s: &Summary) -> &str {
    match (s.title.as_str(), s.observation.name.as_str()) {
        ("", "") => "Posterior",
        ("", name) => name,
        (title, _) => title,
    }
}

/// Title, model and the facts of the observation.
pub(super) fn section(out: &mut String, s: &Summary) {
    let _ = write!(
        out,
        "<h1>{}</h1>\n<p class=\"lead\"><code>{}</code></p>\n",
        escape(title(s)),
        escape(&s.model.expression),
    );
    let facts: Vec<(&str, String)> = facts(&s.observation).into_iter().filter(|(_, text)| !text.is_empty()).collect();
    if facts.is_empty() {
        return;
    }
    out.push_str("<dl class=\"facts\">\n");
    for (name, text) in facts {
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&text));
    }
    out.push_str("</dl>\n");
}

fn facts(o: &ObservationSummary) -> Vec<(&'static str, String)> {
    let said = |text: &str| {
        let text = text.trim();
        let nothing = ["", "none", "unknown", "unk", "n/a"].contains(&text.to_lowercase().as_str());
        if nothing { String::new() } else { text.to_string() }
    };
    let joined = |words: [&str; 2], between: &str| {
        words.into_iter().map(said).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(between)
    };
    let exposure = match o.exposure {
        t if t <= 0.0 || t.is_nan() => String::new(),
        t if t < 1000.0 => format!("{} s", short(t)),
        t => format!("{} s", thousands(t)),
    };
    let energies = match o.energies {
        [lo, hi] if hi > lo => format!(", {} to {} keV", energy(lo), energy(hi)),
        _ => String::new(),
    };
    let counts = match o.bins {
        0 => String::new(),
        bins => format!("{} in {} bins{energies}", thousands(o.counts as f64), thousands(bins as f64)),
    };
    vec![
        ("Object", said(&o.object)),
        ("Instrument", joined([&o.telescope, &o.instrument], " ")),
        ("Observed", said(&o.date)),
        ("Exposure", exposure),
        ("Counts", counts),
        ("Background", o.background.trim().to_string()),
        ("Spectrum", said(&o.spectrum)),
        ("Response", joined([&o.response, &o.arf], ", ")),
        ("Grouping", said(o.grouping.trim_matches('"'))),
    ]
}

/// Four digits are enough for the ends of a spectrum.
fn energy(kev: f64) -> String {
    if kev <= 0.0 || !kev.is_finite() {
        return short(kev);
    }
    let decimals = (3 - kev.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{kev:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}
