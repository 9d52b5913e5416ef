//! The report's figures with their captions: posterior, fit, and the rounds' diagnostics.

use super::ReportData;
use super::html::escape;
use super::numbers::{fixed, percent, seconds, thousands};
use super::plots::corner::MOST_PARAMETERS;
use super::plots::{Plots, binning, unfolding};
use super::tables::SpectrumTable;
use crate::result::Residuals;
use crate::result::Summary;
use std::fmt::Write;

/// A figure that may be scrolled sideways where the page is too narrow to read it.
pub(super) fn figure(out: &mut String, svg: &str, caption: &str) {
    let _ = writeln!(
        out,
        "<figure><div class=\"picture\">{svg}</div><figcaption>{}</figcaption></figure>",
        escape(caption)
    );
}

/// The corner plot.
pub(super) fn posterior(out: &mut String, s: &Summary, plots: &Plots) {
    let Some(svg) = &plots.corner else { return };
    let more = s.parameters.len().saturating_sub(MOST_PARAMETERS);
    let rest = match more {
        0 => String::new(),
        1 => " The last parameter is not drawn.".into(),
        _ => format!(" The last {more} parameters are not drawn."),
    };
    let caption = format!(
        "Marginal posteriors of every parameter and every pair. Above each column: median and 68 % interval, as in the table. \
         Dashed: the prior. The axes frame the posterior.{rest}"
    );
    out.push_str("<h2>Posterior</h2>\n");
    figure(out, svg, &caption);
}

/// The statistic against its expectation, the folded spectra with residuals, and the model before the instrument.
pub(super) fn fit(out: &mut String, data: &ReportData, plots: &Plots) {
    let (s, spectrum) = (&data.summary, data.spectrum.as_ref());
    let called = s.statistic_words();
    let plain = called == "C-STAT";
    let c = &s.cstat;
    out.push_str("<h2>Quality of the fit</h2>\n");
    let pull = (c.best - c.expected) / c.expected_std;
    let words = if !pull.is_finite() {
        format!("The expected value of {called} is not known.")
    } else {
        let side = if pull >= 0.0 { "above" } else { "below" };
        format!(
            "The best sample has {called} {} for {} degrees of freedom; the model at the posterior median has {}. If the model is \
             right, {called} is expected to be {} ± {}{}: the fit lies {} standard deviations {side}.",
            fixed(c.best, 1),
            c.dof,
            fixed(c.at_median, 1),
            fixed(c.expected, 1),
            fixed(c.expected_std, 1),
            if plain { " (Kaastra 2017)" } else { "" },
            fixed(pull.abs(), 1),
        )
    };
    let _ = writeln!(out, "<p>{}</p>", escape(&words));
    sets(out, s);
    together(out, plots);
    let first = s.observations.first().filter(|_| s.observations.len() > 1).map(|set| set.name.as_str());
    if let Some(name) = first {
        let _ = writeln!(out, "<h3>{}</h3>", escape(name));
    }
    if let (Some(svg), Some(table)) = (&plots.spectrum, spectrum) {
        figure(out, svg, &folded_caption(table, s.residuals));
    }
    if let Some(svg) = &plots.unfolded {
        let parts = match spectrum {
            Some(table) if !table.components.is_empty() => {
                ", with its additive components, each with all that multiplies it"
            }
            _ => "",
        };
        let net = match spectrum.is_some_and(unfolding::is_net) {
            true => ", less those of the background,",
            false => "",
        };
        let caption = format!(
            "The model before the instrument, E² F(E), over the posterior{parts}. The points are the observed counts{net} times the ratio \
             of the model to the folded model (as XSPEC's eeufspec), of neighbouring bins together until the model makes expect {} times \
             the noise: they depend on the model and are no measurement of the source's \
             spectrum by themselves. keV² photons cm⁻² s⁻¹ keV⁻¹ is keV cm⁻² s⁻¹; on the right the same in erg.",
            binning::SIGNIFICANT,
        );
        figure(out, svg, &caption);
    }
    for ((name, folded, before), set) in plots.further.iter().zip(&data.further) {
        let _ = writeln!(out, "<h3>{}</h3>", escape(name));
        if let Some(svg) = folded {
            figure(out, svg, &folded_caption(&set.spectrum, s.residuals));
        }
        if let Some(svg) = before {
            figure(out, svg, "The model before the instrument, E² F(E), as above.");
        }
    }
}

/// The data sets in one picture each, folded and unfolded.
fn together(out: &mut String, plots: &Plots) {
    if let Some(svg) = &plots.spectra {
        figure(
            out,
            svg,
            "All data sets, each with its own colour and mark: observed counts, and the median and 95 % band of those that the model              expects. Where the key says so, neighbouring bins are added up to be seen; plots/spectra.csv has the numbers as drawn.",
        );
    }
    if let Some(svg) = &plots.unfolded_spectra {
        figure(
            out,
            svg,
            "The model of each data set before the instrument, E² F(E), with the data taken back with it as below, each data set in its own              colour and mark; plots/unfolded_spectra.csv has the numbers as drawn.",
        );
    }
}

/// A row for each of several data sets: what was observed, and its own share of the statistic.
fn sets(out: &mut String, s: &Summary) {
    let Some(statistic) = s.statistic.as_ref().filter(|statistic| !statistic.sets.is_empty()) else { return };
    out.push_str(
        "<div class=\"wide\"><table>\n<tr><th>Data set</th><th class=\"n\">Bins</th><th class=\"n\">Counts</th><th>Background</th>\
         <th>Statistic</th><th class=\"n\">Best</th><th class=\"n\">Expected</th></tr>\n",
    );
    for (set, (name, own)) in s.observations.iter().zip(&statistic.sets) {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{} ± {}</td></tr>",
            escape(name),
            set.bins,
            thousands(set.counts as f64),
            escape(&set.background),
            escape(&own.words()),
            fixed(own.best, 1),
            fixed(own.expected, 1),
            fixed(own.expected_std, 1),
        );
    }
    out.push_str("</table></div>\n");
}

fn folded_caption(table: &SpectrumTable, residuals: Residuals) -> String {
    let parts =
        if table.components.is_empty() { "" } else { ", with the additive components of the best sample (dashed)" };
    let background = match table.background.is_empty() {
        true => "",
        false => " Grey: the background spectrum, scaled to the source's region and exposure.",
    };
    let with_errors = |residuals: Residuals| match residuals {
        Residuals::Delta => "with errors of one",
        Residuals::Ratio if table.rows.iter().any(|row| row.error.is_some()) => "with the errors of the data",
        Residuals::Ratio => "with the errors of the counts (Gehrels 1986)",
    };
    let formula = |residuals| super::plots::residuals::formula(residuals, &table.rows);
    let other = if residuals == Residuals::Delta { Residuals::Ratio } else { Residuals::Delta };
    let mut words = format!(
        "The observed counts and those that the model expects, over the posterior{parts}.{background} Below: residuals, {}, where the \
         model is the posterior median of the expected counts, {}; and {}, {}.",
        formula(residuals),
        with_errors(residuals),
        formula(other),
        with_errors(other),
    );
    let drawn = binning::points(table);
    if let Some((bin, value)) =
        super::plots::residuals::largest(residuals, &drawn.rows).filter(|(_, value)| value.is_finite())
    {
        let _ = write!(
            words,
            " The farthest from the model of the {} bins drawn has {} ({} to {} keV).",
            drawn.rows.len(),
            fixed(value, 2),
            fixed(bin.e_min, 3),
            fixed(bin.e_max, 3),
        );
    }
    words
}

/// The rounds in numbers, and how they came to the posterior.
pub(super) fn rounds(out: &mut String, s: &Summary, plots: &Plots) {
    if s.rounds.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Rounds</h2>\n<div class=\"wide\"><table>\n<tr><th>Round</th><th class=\"n\">Simulations</th><th class=\"n\">Epochs, \
         auto-encoder</th><th class=\"n\">Epochs, flow</th><th class=\"n\">Validation loss</th><th class=\"n\">Efficiency</th>\
         <th class=\"n\">of many draws, at least</th><th class=\"n\">Acceptance</th><th class=\"n\">Time</th></tr>\n",
    );
    for (i, r) in s.rounds.iter().enumerate() {
        let time = r.seconds.simulate + r.seconds.summarize + r.seconds.infer + r.seconds.proposal;
        let cells = [
            thousands(r.simulations as f64),
            r.epochs_autoencoder.to_string(),
            r.epochs_flow.to_string(),
            fixed(r.validation_loss, 3),
            percent(r.efficiency),
            percent(r.efficiency_lower),
            percent(r.acceptance),
            seconds(time),
        ];
        let _ = write!(out, "<tr><td>{}</td>", i + 1);
        for cell in cells {
            let _ = write!(out, "<td class=\"n\">{}</td>", escape(&cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    let captioned = [
        (
            &plots.efficiency,
            "Efficiency: how well each round's network already matches the exact posterior. Acceptance: share of prior draws that \
             fall into the round's proposal.",
        ),
        (
            &plots.losses,
            "Losses over the epochs of all rounds (numbers above). Validation far above training would be over-fitting.",
        ),
        (
            &plots.rounds,
            "Orange: the network's posterior of each round, before the exact likelihood corrected it, around the refined one.",
        ),
        (
            &plots.coverage,
            "What the simulations cover: simulated spectra of the prior and of each round's proposal. The observed spectrum has to \
             lie among them: outside, the network was asked about data that it never saw.",
        ),
    ];
    for (svg, caption) in captioned {
        if let Some(svg) = svg {
            figure(out, svg, caption);
        }
    }
}
