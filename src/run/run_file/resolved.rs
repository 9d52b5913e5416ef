//! `run.toml`: the run with every default written out, and the comparison of two runs.
//!
//! `[written_by]` tells where a run came from and never decides what it computes: [`RunFile::identity`] leaves it out,
//! so the same run resumed from another folder or under another name is still the same run.

use super::{
    Provenance, RunFile,
    key::Identity,
    keys::{self, BACKGROUND_PRIOR, Form, OBSERVATION, PARAMETERS, SectionKeys, WRITTEN_BY},
    models,
};

/// A TOML basic string.
pub(super) fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl RunFile {
    /// The text of `run.toml`. Read again, it gives this run.
    pub fn resolved_toml(&self, provenance: &Provenance) -> String {
        let run = RunFile { written_by: Some(provenance.clone()), ..self.clone() };
        let remark = |text: &str| if text.is_empty() { String::new() } else { format!("   # {text}") };
        let mut out = String::from("# A run of rontgen as it was resolved: every default is written out.\n");
        let mut put = |run: &RunFile, section: &SectionKeys, head: String, before: &str| {
            out.push_str(before);
            let entries = run.entries(section);
            if section.form == Form::IfAny && entries.is_empty() {
                return;
            }
            out.push_str(&format!("\n{head}{}\n", remark(section.remark)));
            for (key, value, words) in entries {
                out.push_str(&format!("{key} = {value}{}\n", remark(words)));
            }
            for key in section.keys.iter().filter(|key| !key.absent.is_empty() && key.toml(run).is_none()) {
                out.push_str(&format!("# {}: {}\n", key.name, key.absent));
            }
        };
        let of_a_set = |section: &&SectionKeys| section.name == OBSERVATION || section.name == BACKGROUND_PRIOR;
        let several = !run.further.is_empty();
        for k in (0..=run.further.len()).filter(|_| several) {
            let own = run.of_set(k);
            for section in keys::read_sections().filter(of_a_set) {
                let list = section.name == OBSERVATION;
                put(
                    &own,
                    section,
                    if list { format!("[[{}]]", section.name) } else { format!("[{}]", section.name) },
                    "",
                );
            }
        }
        let mut models = String::new();
        for model in &run.models {
            models.push_str(&format!("\n[models.{}]\n", text(&model.name)));
            for (key, value) in models::entries(model) {
                models.push_str(&format!("{key} = {value}\n"));
            }
        }
        for section in keys::read_sections().filter(|section| !(several && of_a_set(section))) {
            let head = format!("[{}]", section.name);
            // Named models stand between the source's and the parameters of both.
            let before = if section.name == PARAMETERS { std::mem::take(&mut models) } else { String::new() };
            put(&run, section, head, &before);
        }
        out
    }

    /// What decides the result, as `(section.key, value)` in a fixed order. Parameter names are in small letters.
    pub fn identity(&self) -> Vec<(String, String)> {
        let mut identity = self.identity_of_one();
        for k in 1..=self.further.len() {
            let own = self.of_set(k).identity_of_one();
            let own = own.into_iter().filter_map(|(key, value)| {
                let rest = key.strip_prefix(OBSERVATION)?;
                Some((format!("{OBSERVATION}[{}]{rest}", k + 1), value))
            });
            identity.extend(own);
        }
        for model in &self.models {
            let entries = models::entries(model).into_iter();
            identity.extend(entries.map(|(key, value)| (format!("models.{}.{key}", model.name.to_lowercase()), value)));
        }
        identity
    }

    /// The same with the first data set alone.
    fn identity_of_one(&self) -> Vec<(String, String)> {
        let mut identity = Vec::new();
        for section in keys::read_sections().filter(|section| section.name != WRITTEN_BY) {
            let mut entries = self.entries(section);
            if section.name == PARAMETERS {
                for entry in &mut entries {
                    entry.0 = entry.0.to_lowercase();
                }
                entries.sort();
            }
            entries.retain(|(name, value, _)| {
                let key = section.keys.iter().find(|key| key.name == name);
                key.is_none_or(|key| match key.identity {
                    Identity::Always => true,
                    Identity::Never => false,
                    Identity::Unless(before) => value != before,
                })
            });
            identity.extend(entries.into_iter().map(|(key, value, _)| (format!("{}.{key}", section.name), value)));
        }
        identity
    }

    /// The keys in which two runs differ, with both values; empty for the same run.
    pub fn differences(&self, other: &RunFile) -> Vec<(String, Option<String>, Option<String>)> {
        let (ours, theirs) = (self.identity(), other.identity());
        let find = |list: &[(String, String)], name: &str| {
            let found = list.iter().find(|entry| entry.0 == name).map(|entry| entry.1.clone());
            found.or_else(|| unless(name).map(str::to_string))
        };
        let mut names: Vec<&String> = ours.iter().map(|e| &e.0).collect();
        names.extend(theirs.iter().map(|e| &e.0).filter(|name| ours.iter().all(|e| e.0 != **name)));
        names
            .into_iter()
            .map(|name| (name.clone(), find(&ours, name), find(&theirs, name)))
            .filter(|(_, a, b)| a != b)
            .collect()
    }

    /// A section as `(key, value, remark)`.
    fn entries(&self, section: &SectionKeys) -> Vec<(String, String, &'static str)> {
        if section.name == PARAMETERS {
            return self.parameters.iter().map(|(name, entry)| (text(name), entry.toml(), "")).collect();
        }
        let written = section.keys.iter().filter_map(|key| Some((key.name.into(), key.toml(self)?, key.remark)));
        written.collect()
    }
}

/// The value that a key has in runs that do not say it, because it is no part of what they are.
fn unless(name: &str) -> Option<&'static str> {
    let (section, key) = name.rsplit_once('.')?;
    // A key of a data set after the first: observation[2].statistic.
    let plain = section
        .find('[')
        .zip(section.find(']'))
        .map(|(from, to)| format!("{}{}", &section[..from], &section[to + 1..]));
    let section = plain.as_deref().unwrap_or(section);
    let mut keys = keys::read_sections().filter(|one| one.name == section).flat_map(|one| one.keys);
    match keys.find(|one| one.name == key)?.identity {
        Identity::Unless(before) => Some(before),
        _ => None,
    }
}
