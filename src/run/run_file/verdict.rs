//! `[verdict]`: what the result is judged by.

use super::{
    RunFile, RunFileError,
    key::{Grammar, Key, own},
    section::Section,
    tree::{Item, Node},
};
use crate::result::limits;

const IGNORE: &str = "ignore";

pub(super) const KEYS: &[Key] = &[own(
    "misfit",
    Grammar {
        default: || format!("{:?}", limits::MISFIT),
        allowed: expected,
        read: read_misfit,
        write: |run| Some(run.verdict.misfit.map_or_else(|| format!("{IGNORE:?}"), |misfit| format!("{misfit:?}"))),
    },
    "Standard deviations of C-STAT above its expectation from which the model does not describe the data (exit status 4).",
)
.remark("standard deviations of C-STAT, or \"ignore\"")];

fn expected() -> String {
    format!(
        "a number of standard deviations from {:?} (beyond which a fit is poor) to 1e9, or {IGNORE:?}",
        limits::CSTAT_PULL
    )
}

fn read_misfit(section: &Section<'_>, run: &mut RunFile) -> Result<(), RunFileError> {
    run.verdict.misfit = match section.get("misfit") {
        None => Some(limits::MISFIT),
        Some(Node { item: Item::Text(text), .. }) if text == IGNORE => None,
        Some(node) => match node.number() {
            Some(misfit) if (limits::CSTAT_PULL..=1e9).contains(&misfit) => Some(misfit),
            _ => return Err(section.wrong("misfit", node, &expected())),
        },
    };
    Ok(())
}
