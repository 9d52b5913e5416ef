//! Typed reading of one section: each getter checks the type and the range and names line, key, what was found and
//! what was expected.

use std::ops::RangeInclusive;

use super::{
    RunFileError,
    tree::{Item, Node, Place, Table, quoted},
};

/// Every section and its keys; a key that is not here is refused, so a new key starts here.
pub(super) const SECTIONS: &[(&str, &[&str])] = &[
    (
        "",
        &["observation", "model", "parameters", "inference", "refine", "reference", "verdict", "output", "written_by"],
    ),
    ("observation", &["name", "spectrum", "response", "arf", "background", "energies", "grouping", "mismatch"]),
    ("model", &["expression", "abundances", "cross_sections", "atomdb", "exact_grid", "external"]),
    (
        "inference",
        &[
            "method",
            "rounds",
            "max_rounds",
            "stop",
            "simulations",
            "first_round_factor",
            "prior_extension",
            "truncation",
            "seed",
            "summary",
            "signal",
            "pca_variance",
            "density",
            "autoencoder",
            "flow",
            "amortised",
        ],
    ),
    ("inference.amortised", &["enabled", "exposure"]),
    (
        "inference.autoencoder",
        &[
            "hidden",
            "latent",
            "target",
            "batch",
            "epochs",
            "patience",
            "start",
            "anneal",
            "early_anneal",
            "early_patience",
            "learning_rate",
            "validation",
            "clip_norm",
            "min_improvement",
            "reduce_factor",
            "reduce_patience",
        ],
    ),
    (
        "inference.flow",
        &[
            "transforms",
            "hidden",
            "layers",
            "batch",
            "epochs",
            "patience",
            "anneal",
            "early_anneal",
            "early_patience",
            "learning_rate",
            "validation",
            "clip_norm",
            "min_improvement",
            "reduce_patience",
            "realisations",
            "ensemble",
            "bins",
            "components",
        ],
    ),
    (
        "refine",
        &[
            "method",
            "samples",
            "likelihood",
            "emulator_samples",
            "ess",
            "polish",
            "proposals",
            "smooth",
            "oversampling",
            "fallback",
        ],
    ),
    (
        "reference",
        &["sampler", "live", "steps", "remain", "walkers", "ensembles", "burn_in", "length", "polish", "start", "from"],
    ),
    ("verdict", &["misfit"]),
    ("output", &["posterior_samples", "calibration", "residuals"]),
    (
        "written_by",
        &[
            "version",
            "device",
            "run_file",
            "run_file_from_here",
            "data",
            "data_from_here",
            "atomdb",
            "data_sha256",
            "expected",
        ],
    ),
];

/// One section of the tree, its keys already checked.
pub(super) struct Section<'a> {
    name: &'static str,
    table: &'a [(String, Place, Node)],
    /// Where the section begins, or the file's first line when it is absent.
    place: Place,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub fn root(table: &'a Table, file: &str) -> Result<Section<'a>, RunFileError> {
        let place = Place::top(file);
        let root = Section { name: "", table, place };
        root.check_keys()?;
        Ok(root)
    }

    /// The section `name` (its full dotted name) inside this one; an absent one is empty.
    pub fn section(&self, name: &'static str) -> Result<Section<'a>, RunFileError> {
        let key = name.rsplit('.').next().unwrap_or(name);
        let section = match self.get(key) {
            None => Section { name, table: &[], place: self.place.clone() },
            Some(Node { item: Item::Table(table), place }) => Section { name, table, place: place.clone() },
            Some(other) => return Err(self.wrong(key, other, &format!("a section [{name}]"))),
        };
        // The parameters' names are the model's business, not a list of this file.
        if name != "parameters" {
            section.check_keys()?;
        }
        Ok(section)
    }

    fn check_keys(&self) -> Result<(), RunFileError> {
        let known = SECTIONS.iter().find(|(name, _)| *name == self.name).map_or(&[][..], |(_, keys)| keys);
        for (key, place, _) in self.table {
            if !known.contains(&key.as_str()) {
                return Err(unknown_key(key, self.name, known, place));
            }
        }
        Ok(())
    }

    pub fn entries(&self) -> &'a [(String, Place, Node)] {
        self.table
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.table.iter().find(|(name, ..)| name == key).map(|(.., node)| node)
    }

    /// `inference.rounds` for messages.
    pub fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_string() } else { format!("{}.{key}", self.name) }
    }

    pub fn wrong(&self, key: &str, found: &Node, expected: &str) -> RunFileError {
        RunFileError::Wrong {
            place: found.place.clone(),
            key: self.key(key),
            found: found.describe(),
            expected: expected.to_string(),
        }
    }

    pub fn missing(&self, key: &str, expected: &str) -> RunFileError {
        RunFileError::Missing { place: self.place.clone(), key: self.key(key), expected: expected.to_string() }
    }

    pub fn text(&self, key: &str) -> Result<Option<String>, RunFileError> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { item: Item::Text(text), .. }) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(node) => Err(self.wrong(key, node, "a text in quotes, not empty")),
        }
    }

    pub fn truth(&self, key: &str, default: bool) -> Result<bool, RunFileError> {
        match self.get(key) {
            None => Ok(default),
            Some(Node { item: Item::Bool(truth), .. }) => Ok(*truth),
            Some(node) => Err(self.wrong(key, node, "true or false")),
        }
    }

    pub fn integer(&self, key: &str, default: u64, range: RangeInclusive<u64>) -> Result<u64, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(default) };
        let expected = || format!("a whole number from {} to {}", range.start(), range.end());
        match node.item {
            Item::Integer(i) => match u64::try_from(i) {
                Ok(i) if range.contains(&i) => Ok(i),
                _ => Err(self.wrong(key, node, &expected())),
            },
            _ => Err(self.wrong(key, node, &expected())),
        }
    }

    pub fn size(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> Result<usize, RunFileError> {
        // usize is at most 64 bits everywhere, so the bounds survive the widening and the value the way back.
        self.integer(key, default as u64, *range.start() as u64..=*range.end() as u64).map(|n| n as usize)
    }

    pub fn number(&self, key: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(default) };
        match node.number() {
            Some(x) if range.contains(&x) => Ok(x),
            _ => Err(self.wrong(key, node, &format!("a number from {:?} to {:?}", range.start(), range.end()))),
        }
    }

    /// One of `available`.
    pub fn choice(&self, key: &str, default: &str, available: &[&str]) -> Result<String, RunFileError> {
        let Some(node) = self.get(key) else { return Ok(default.to_string()) };
        match &node.item {
            Item::Text(text) if available.contains(&text.as_str()) => Ok(text.clone()),
            _ => Err(self.wrong(key, node, &one_of(available))),
        }
    }

    /// One of `all`, by its name.
    pub fn named<T: Copy>(
        &self,
        key: &str,
        default: T,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<T, RunFileError> {
        let names: Vec<&str> = all.iter().copied().map(name).collect();
        let chosen = self.choice(key, name(default), &names)?;
        Ok(all.iter().copied().find(|&one| name(one) == chosen).unwrap_or(default))
    }
}

/// `"a"`, or `one of "a", "b"`.
pub(super) fn one_of(names: &[&str]) -> String {
    if names.len() == 1 { quoted(names) } else { format!("one of {}", quoted(names)) }
}

/// The error for a key nobody knows, with the nearest key of its section, or the section it belongs to.
pub(super) fn unknown_key(key: &str, section: &str, known: &[&str], place: &Place) -> RunFileError {
    let elsewhere = SECTIONS
        .iter()
        .find(|(name, keys)| *name != section && keys.contains(&key))
        .map(|(name, _)| if name.is_empty() { "the top level".to_string() } else { format!("[{name}]") });
    let meant = crate::model::elsewhere::key(key, known).map(|name| (name, 1.0));
    let nearest = meant.or_else(|| nearest(key, known));
    let hint = match (elsewhere, nearest) {
        (Some(home), Some((_, score))) if score < 0.85 => format!("; it belongs to {home}"),
        (_, Some((name, _))) => format!("; the nearest known key is {name:?}"),
        (Some(home), None) => format!("; it belongs to {home}"),
        (None, None) => String::new(),
    };
    let section = if section.is_empty() { "the top level".to_string() } else { format!("[{section}]") };
    RunFileError::UnknownKey { place: place.clone(), key: key.to_string(), section, hint }
}

/// The most similar of `known`, with its similarity from 0 to 1.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<(&'k str, f64)> {
    let key = key.to_lowercase();
    known.iter().map(|&name| (name, strsim::jaro_winkler(&key, name))).max_by(|a, b| a.1.total_cmp(&b.1))
}
