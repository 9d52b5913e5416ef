//! A finished run for other programs.

pub mod arviz;
pub mod networks;

use super::setup::Case;
use crate::import::{Origin, write_commands};
use crate::observation::Grouping;
use crate::report::numbers::Estimate;
use crate::result::{StatedPrior, Summary, WeightedSamples};
use crate::{Error, Result};
use std::fmt::Write;
use std::path::Path;

/// What there is to say of what a refused run exports.
pub fn refusal(summary: &Summary) -> Option<String> {
    let verdict = &summary.verdict;
    let what = match (verdict.withholds_chain(), verdict.refused()) {
        (true, _) => "THE POSTERIOR OF THIS RUN IS REFUSED: its draws are not to be used",
        (false, true) => "THIS RUN IS REFUSED: its results are not to be used",
        (false, false) => return None,
    };
    Some(format!("{what} ({})", verdict.all_reasons()))
}

/// XSPEC's commands for the run: its data and model at the draw with the largest likelihood, the median where no likelihoods are known.
///
/// # Errors
/// Parameters of the summary that are not the case's.
pub fn commands(case: &Case, data: Option<&Path>, summary: &Summary) -> Result<String> {
    let Case { run, problem, .. } = case;
    let mut notes = Vec::new();
    let theta = problem.names().into_iter().map(|name| {
        let found = summary.parameters.iter().find(|(own, _)| *own == name);
        let (_, own) = found.ok_or_else(|| Error::Input(format!("{}: summary.json lacks {name}", run.path)))?;
        Ok(if own.best.is_finite() { own.best } else { own.median })
    });
    let theta: Vec<f64> = theta.collect::<Result<_>>()?;
    let statistic = summary.statistic.as_ref();
    let (name, best) = statistic.map_or(("cstat", summary.cstat.best), |own| (own.name.as_str(), own.best));
    if best.is_finite() {
        notes.push(format!("The run's statistic there is {best:.4} ({name})."));
    }
    notes.extend(refusal(summary));
    let find = |name: &str| run.find_named(&format!("{name:?} of model.expression"), name, data).ok();
    let joined = |grouping: &Grouping| (*grouping != Grouping::File).then(|| grouping.to_string());
    let origin = Origin {
        energies: run.observations().map(|one| one.energies.clone()).collect(),
        grouping: run.observations().map(|one| joined(&one.grouping)).collect(),
        find_file: &find,
        named: run.models.iter().map(|named| (named.name.clone(), named.expression.clone())).collect(),
        unknown: run.model.external.iter().map(|external| external.name.clone()).collect(),
    };
    Ok(write_commands(problem, &origin, &theta, &notes))
}

/// What GetDist reads.
#[derive(Debug)]
pub struct Getdist {
    /// ROOT.txt: weight, -ln L and the parameters of each draw.
    pub txt: String,
    /// ROOT.paramnames: name and label of each parameter.
    pub paramnames: String,
    /// ROOT.ranges: name, lowest and highest value of each parameter; N where there is none.
    pub ranges: String,
}

/// A run's weighted draws for GetDist; those without weight are left out.
///
/// # Errors
/// Draws of other parameters than the summary's.
pub fn getdist(summary: &Summary, draws: &WeightedSamples) -> Result<Getdist> {
    let names: Vec<&str> = summary.parameters.iter().map(|(name, _)| name.as_str()).collect();
    if draws.samples.names != names {
        let found = draws.samples.names.join(", ");
        return Err(Error::Input(format!("weighted.csv holds {found}; expected {}", names.join(", "))));
    }
    let mut out = Getdist { txt: String::new(), paramnames: String::new(), ranges: String::new() };
    let rows = draws.samples.values.chunks_exact(names.len().max(1));
    for ((row, weight), likelihood) in rows.zip(&draws.weight).zip(&draws.log_likelihood) {
        if *weight > 0.0 && likelihood.is_finite() {
            let _ = write!(out.txt, "{weight:e} {:e}", -likelihood);
            for x in row {
                let _ = write!(out.txt, " {x:e}");
            }
            out.txt.push('\n');
        }
    }
    for (name, own) in &summary.parameters {
        // GetDist ends a name at the first blank; none has one.
        let _ = writeln!(out.paramnames, "{name}\t{}", label(name));
        let end = |x: f64| if x.is_finite() { format!("{x:e}") } else { "N".into() };
        let (lo, hi) = match &own.prior {
            StatedPrior::Known(prior) => prior.support(),
            StatedPrior::Text(_) => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let _ = writeln!(out.ranges, "{name} {} {}", end(lo), end(hi));
    }
    Ok(out)
}

/// A name for LaTeX, upright, in mathematics.
fn label(name: &str) -> String {
    format!("\\mathrm{{{}}}", name.replace('_', "\\_"))
}

/// The parameters as a LaTeX table: medians with their distances to the 16 and 84 % quantiles, or one-sided limits.
pub fn latex(summary: &Summary) -> String {
    let mut out = refusal(summary).map_or(String::new(), |text| format!("% {}\n", text.replace('\n', " ")));
    out.push_str(
        "% Medians with 16 and 84 per cent quantiles; limits where the posterior gives no more. \\text needs amsmath.\n\\begin{tabular}{lll}\n\\hline\n\
         Parameter & Value & Unit \\\\\n\\hline\n",
    );
    for (name, own) in &summary.parameters {
        let value = Estimate::of(own).latex();
        let _ = writeln!(out, "{} & ${value}$ & {} \\\\", escaped(name), escaped(&own.unit));
    }
    out.push_str("\\hline\n\\end{tabular}\n");
    out
}

/// Text in which nothing is a command of LaTeX.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '_' | '%' | '&' | '#' | '$' | '{' | '}' => out.extend(['\\', c]),
            '^' => out.push_str("\\^{}"),
            '~' => out.push_str("\\~{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_a_command() {
        assert_eq!(escaped("gaussian_2.norm@a%b"), "gaussian\\_2.norm@a\\%b");
        assert_eq!(escaped("10^22 cm\\"), "10\\^{}22 cm\\textbackslash{}");
        assert_eq!(label("powerlaw_2.norm"), "\\mathrm{powerlaw\\_2.norm}");
    }
}
