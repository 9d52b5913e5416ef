//! `[verdict]`: what the result is judged by.

use super::{
    RunFileError,
    section::Section,
    tree::{Item, Node},
};
use crate::result::limits;

/// What a run is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judging {
    /// Standard deviations of C-STAT above its expectation from which the model does not describe the data (exit status 4); `None`: a
    /// misfit is told, but never refused.
    pub misfit: Option<f64>,
}

impl Judging {
    /// As it stands in a run file.
    pub(super) fn toml(self) -> String {
        self.misfit.map_or_else(|| format!("{IGNORE:?}"), |misfit| format!("{misfit:?}"))
    }
}

const IGNORE: &str = "ignore";

pub(super) fn read(section: &Section<'_>) -> Result<Judging, RunFileError> {
    let misfit = match section.get("misfit") {
        None => Some(limits::MISFIT),
        Some(Node { item: Item::Text(text), .. }) if text == IGNORE => None,
        Some(node) => match node.number() {
            Some(misfit) if (limits::CSTAT_PULL..=1e9).contains(&misfit) => Some(misfit),
            _ => {
                let expected = format!(
                    "a number of standard deviations from {:?} (beyond which a fit is poor) to 1e9, or {IGNORE:?}",
                    limits::CSTAT_PULL
                );
                return Err(section.wrong("misfit", node, &expected));
            }
        },
    };
    Ok(Judging { misfit })
}
