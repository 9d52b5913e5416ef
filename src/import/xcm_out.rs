//! The way back: XSPEC's commands for a problem (`model.xcm`), so that `@model.xcm` loads what was analysed.
//!
//! Each data set is a data group of its own, so that XSPEC numbers the parameters as the chain's columns do
//! ([`Problem::number`]): parameter i of data group g is i + (g - 1) n.

use super::{xcm_data, xcm_model, xcm_named::Named};
use crate::{
    analysis::{Problem, problem::SetModel},
    observation::{Dataset, split_text},
};
use std::path::{Component, Path, PathBuf};

/// What a problem no longer knows of the run file that stated it.
pub struct Origin<'a> {
    /// Asked energies of each data set \[keV\]; empty: all of them.
    pub energies: Vec<Vec<[f64; 2]>>,
    /// How the channels of each data set were joined; `None`: as the file says, which is all that XSPEC knows.
    pub grouping: Vec<Option<String>>,
    /// Where a table model's file was found.
    pub find_file: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Names and expressions of the named models, in the run file's order, which is that of XSPEC's further sources.
    pub named: Vec<(String, String)>,
    /// Components that XSPEC does not have.
    pub unknown: Vec<String>,
}

/// A path as it may stand in any folder. One that goes up again is made plain: what the run file and `run.toml` name is the same file.
pub(super) fn absolute(path: &Path) -> String {
    let text = path.to_string_lossy();
    // A file may be called as if it had a selector.
    let (file, selector) = if path.exists() { (text.as_ref(), "") } else { split_text(&text, |_| false) };
    let file = Path::new(file);
    let goes_up = file.components().any(|part| part == Component::ParentDir);
    let plain = Some(file).filter(|_| goes_up).and_then(|file| std::fs::canonicalize(file).ok());
    let plain = plain.or_else(|| std::path::absolute(file).ok()).unwrap_or_else(|| file.to_path_buf());
    format!("{}{selector}", plain.display())
}

/// The data sets of the source's model; background spectra that named models are fitted to follow them.
pub(super) fn sources(problem: &Problem) -> impl Iterator<Item = (&Dataset, &SetModel)> {
    problem.observations.sets().iter().zip(problem.sets()).filter(|(_, set)| set.named.is_none())
}

/// XSPEC's commands: data, responses, areas, backgrounds, ignored energies, statistic, tables, and the model with ties at the free parameters
/// `theta`. What XSPEC cannot be told stands in comments, at the top. `notes` are added there.
pub fn write(problem: &Problem, origin: &Origin<'_>, theta: &[f64], notes: &[String]) -> String {
    let mut remarks: Vec<String> = notes.to_vec();
    let named = Named::new(problem, origin, &mut remarks);
    let data = xcm_data::text(problem, origin, &named, &mut remarks) + &xcm_data::gains(problem, theta, &mut remarks);
    let model = xcm_model::text(problem, origin, &named, theta, &mut remarks);
    let mut out = format!(
        "# XSPEC's commands for a run of rontgen {}: data, model, and the values of the draw with the largest likelihood.\n\
         # After @model.xcm, chain load posterior.fits takes the posterior, and flux, lumin and eqwidth with err their errors from it.\n",
        env!("CARGO_PKG_VERSION")
    );
    for remark in &remarks {
        let clean: String = remark.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        out.push_str(&format!("# {clean}\n"));
    }
    out + &data + &model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain_and_keep_their_selectors() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("out")).unwrap();
        std::fs::write(real.join("a.pha"), "").unwrap();
        let wanted = real.join("a.pha").display().to_string();
        assert_eq!(absolute(&real.join("out/../a.pha")), wanted);
        assert_eq!(absolute(&real.join("out/../a.pha{3}")), format!("{wanted}{{3}}"));
        assert_eq!(absolute(&real.join("a.pha[SPECTRUM]")), format!("{wanted}[SPECTRUM]"));
        assert!(Path::new(&absolute(Path::new("none.pha{3}"))).is_absolute());
    }
}
