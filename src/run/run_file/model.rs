//! `[model]`: the model and what it is computed with.

use super::{
    external,
    key::{Field, Grammar, Key, Unsaid, field, own, string, truth},
    section::one_of,
};
use crate::atomic::abundance_tables;

/// `[model]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelChoice {
    /// Expression in XSPEC's language.
    pub expression: String,
    /// Name of the table of abundances.
    pub abundances: String,
    /// Name of the photoelectric cross sections.
    pub cross_sections: String,
    /// Folder with AtomDB's tables; looked for like a data file. `None`: `--data`, then what the environment names.
    pub atomdb: Option<String>,
    /// Folder with xillver's tables, or one of them; looked for like a data file. `None`: `--data`, then what the environment names.
    pub xillver: Option<String>,
    /// Scale reflection by those tables so that its norm is the flux at 3 keV.
    pub renormalize: bool,
    /// Evaluate the model at every energy of the response, instead of those that the folded spectrum notices.
    pub exact_grid: bool,
    /// `[model.external.NAME]`: components computed by a command.
    pub external: Vec<crate::model::external::ExternalSpec>,
}

/// A text that there always is.
macro_rules! written {
    ($at:ident) => {
        Field { get: |run| Some(run.model.$at.clone()), set: |run, text| run.model.$at = text.unwrap_or_default() }
    };
}

pub(super) const KEYS: &[Key] = &[
    string(
        "expression",
        written!(expression),
        Unsaid::Required("a model in XSPEC's notation, for example \"tbabs*(bbodyrad+powerlaw)\""),
        "The model: XSPEC's names without regard to case; repeated components get _2, _3.",
    ),
    string("abundances", written!(abundances), Unsaid::Text("wilm"), "The table of abundances.")
        .allows(|| one_of(&abundance_tables())),
    string("cross_sections", written!(cross_sections), Unsaid::Text("vern"), "The photo-electric cross-sections.")
        .allows(|| one_of(&["vern", "bcmc", "obcm"])),
    truth(
        "exact_grid",
        field!(model.exact_grid),
        false,
        "Whether the model is evaluated at every energy of the response, instead of those that the folded spectrum notices.",
    ),
    own(
        "external",
        Grammar {
            default: || "none".into(),
            allowed: || "tables [model.external.NAME]".into(),
            read: |section, run| {
                run.model.external = external::read(section)?;
                Ok(())
            },
            write: |run| (!run.model.external.is_empty()).then(|| external::toml(&run.model.external)),
        },
        "Components that commands compute.",
    ),
    string(
        "atomdb",
        Field { get: |run| run.model.atomdb.clone(), set: |run, text| run.model.atomdb = text },
        Unsaid::Nothing("--data, then what the environment names"),
        "The folder with AtomDB's tables, looked for like a data file.",
    ),
    string(
        "xillver",
        Field { get: |run| run.model.xillver.clone(), set: |run, text| run.model.xillver = text },
        Unsaid::Nothing("--data, then what the environment names"),
        "The folder with xillver's tables (or one of them), looked for like a data file; for xillver, relxill and their like.",
    ),
    truth(
        "renormalize",
        field!(model.renormalize),
        false,
        "Whether xillver, relxill and their like are scaled to norm photons/keV/cm2/s at 3 keV, primary and reflection together.",
    ),
];
