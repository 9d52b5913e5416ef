//! The one table of keys: what a run file may say, section after section, in the order of `run.toml`.
//!
//! Each section's keys stand in a file of its own (`inference.rs` and so on) as one list of [`Key`], which fill the settings of the
//! analysis. The check of unknown keys, reading, `run.toml`, what differs between two runs, `rontgen infer --keys` and `docs/keys.md`
//! are loops over them. A new key is its entry and its field; one that decides a run says its default as
//! [`Identity::Unless`](super::key::Identity), so that folders of earlier versions can be gone on with.

use super::{
    Provenance, RunFile, RunFileError, autoencoder, external, flow, inference,
    key::{Draft, Key},
    model, models, observation, output, parameters, provenance, reference, refine, rows,
    section::Section,
    tree::Table,
    verdict,
};

/// The section whose keys are the model's parameters.
pub(super) const PARAMETERS: &str = "parameters";
/// The section of a data set, and the one in it.
pub(super) const OBSERVATION: &str = "observation";
pub(super) const BACKGROUND_PRIOR: &str = "observation.background_prior";
/// The section that says where a run came from.
pub(super) const WRITTEN_BY: &str = "written_by";

/// The keys of a section.
pub(super) struct SectionKeys {
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    pub keys: &'static [Key],
    pub form: Form,
    /// Stands behind the section's name in `run.toml`.
    pub remark: &'static str,
}

/// How a section is read and written.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// By the table; `run.toml` always has it.
    Always,
    /// By the table; `run.toml` has it where it has entries.
    IfAny,
    /// By a reader of its own, because its tables have names of the user's choice: listed for people, and for who checks names.
    Free,
}

const fn section(name: &'static str, help: &'static str, keys: &'static [Key]) -> SectionKeys {
    SectionKeys { name, help, keys, form: Form::Always, remark: "" }
}

/// Every section, in the order of `run.toml`.
pub(super) const TABLE: &[SectionKeys] = &[
    section(
        OBSERVATION,
        "Which files, which energies, and how channels are joined; [[observation]] is one of several data sets.",
        observation::KEYS,
    ),
    SectionKeys {
        form: Form::IfAny,
        ..section(
            BACKGROUND_PRIOR,
            "What the statistic \"marginal\" knows of the background before its counts.",
            observation::BACKGROUND_PRIOR_KEYS,
        )
    },
    section("model", "The model and what it is computed with.", model::KEYS),
    SectionKeys {
        form: Form::Free,
        ..section(
            "model.external.NAME",
            "A component NAME of the expression that a command computes (docs/external-models.md).",
            external::KEYS,
        )
    },
    SectionKeys {
        form: Form::Free,
        ..section(
            "model.external.NAME.parameters.PARAMETER",
            "A parameter of that component; an additive one has a norm besides.",
            external::PARAMETER_KEYS,
        )
    },
    SectionKeys {
        form: Form::Free,
        ..section(
            "models.NAME",
            "A named model NAME with a response of its own that adds to the counts: a background, say.",
            models::KEYS,
        )
    },
    SectionKeys {
        form: Form::Free,
        ..section(
            PARAMETERS,
            "What is said of each parameter: \"COMPONENT.PARAMETER\" = a number (frozen), or a table with one of these keys. Those of responses are gain.slope, gain.offset [keV] and area.tilt (docs/response.md).",
            parameters::KEYS,
        )
    },
    section("inference", "The way to the posterior: rounds of simulations, summaries and densities.", inference::KEYS),
    section("inference.autoencoder", "The networks of summary = \"autoencoder\" and \"embedding\".", autoencoder::KEYS),
    section("inference.flow", "The density of parameters given summaries, and its training.", flow::KEYS),
    section("refine", "From the rounds' posterior to the exact one.", refine::KEYS),
    section("verdict", "What the result is judged by.", verdict::KEYS),
    section("output", "What is written beside the posterior.", output::KEYS),
    SectionKeys {
        form: Form::IfAny,
        ..section(
            "inference.amortised",
            "Networks for any spectrum of this response and model (rontgen apply).",
            inference::AMORTISED_KEYS,
        )
    },
    SectionKeys {
        form: Form::IfAny,
        ..section(
            "reference",
            "Nested sampling (inference.method = \"nested\", or rontgen reference) and ensembles of walkers.",
            reference::KEYS,
        )
    },
    SectionKeys {
        remark: "says where the run came from; decides nothing",
        ..section(
            WRITTEN_BY,
            "Where a run.toml came from; rontgen writes it, and it decides nothing.",
            provenance::KEYS,
        )
    },
];

/// The sections that the table itself reads and writes, with the parameters, which have names of their own.
pub(super) fn read_sections() -> impl Iterator<Item = &'static SectionKeys> {
    TABLE.iter().filter(|one| one.form != Form::Free || one.name == PARAMETERS)
}

/// The names of a section's keys alone.
pub(super) fn names(section: &str) -> Vec<&'static str> {
    let keys = TABLE.iter().filter(|one| one.name == section).flat_map(|one| one.keys);
    keys.map(|key| key.name).collect()
}

/// What may stand in a section: its keys, then the sections in it. The top level is "".
pub(super) fn known(section: &str) -> Vec<&'static str> {
    let prefix = if section.is_empty() { String::new() } else { format!("{section}.") };
    let mut inner: Vec<&str> = Vec::new();
    for one in TABLE {
        if let Some(first) = one.name.strip_prefix(&*prefix).and_then(|rest| rest.split('.').next())
            && !inner.contains(&first)
        {
            inner.push(first);
        }
    }
    let mut known = names(section);
    known.retain(|name| !inner.contains(name));
    known.extend(inner);
    known
}

/// Another section than `section` that has this key; the top level is "".
pub(super) fn home(key: &str, section: &str) -> Option<&'static str> {
    let sections = TABLE.iter().filter(|one| one.form != Form::Free).map(|one| one.name);
    std::iter::once("").chain(sections).find(|name| *name != section && known(name).contains(&key))
}

/// Reads a whole document; `name` stands for its path.
pub(super) fn read(tree: &Table, name: &str) -> Result<RunFile, RunFileError> {
    let tree = rows::expand(tree)?;
    let root = Section::root(&tree, name)?;
    let sets = root.sets(OBSERVATION)?;
    let mut run = read_with(&root, sets.first().cloned(), name)?;
    run.models = models::read(&root)?;
    for set in sets.into_iter().skip(1) {
        let other = read_with(&root, Some(set), name)?;
        run.further.push(other.observation);
    }
    Ok(run)
}

/// Reads the document with one of its data sets, where it has a list of them.
fn read_with<'a>(root: &Section<'a>, set: Option<Section<'a>>, name: &str) -> Result<RunFile, RunFileError> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for one in read_sections() {
        let parent = one.name.rsplit_once('.').and_then(|(parent, _)| sections.iter().find(|s| s.name == parent));
        sections.push(match &set {
            Some(set) if one.name == OBSERVATION => set.clone(),
            _ => parent.unwrap_or(root).section(one.name)?,
        });
    }
    let written_by = sections.iter().any(|one| one.name == WRITTEN_BY && one.there).then(Provenance::default);
    let mut draft = Draft { run: RunFile { path: name.to_string(), written_by, ..RunFile::default() }, sections };
    for following in [false, true] {
        for (n, one) in read_sections().enumerate() {
            for key in one.keys.iter().filter(|key| key.follows() == following) {
                key.read(&mut draft, n)?;
            }
        }
    }
    for (n, one) in read_sections().enumerate() {
        one.keys.iter().try_for_each(|key| key.check(&draft, n))?;
        if one.name == PARAMETERS {
            draft.run.parameters = parameters::read(&draft.sections[n])?;
        }
    }
    Ok(draft.run)
}
