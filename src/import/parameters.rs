//! `[model]` and `[parameters]` of a save file: a block of parameters for each data group.

use super::{
    gain,
    priors::{self, Entry, Setting},
    tie,
    write::{Said, commented, quoted},
    xcm::{Parameter, Save},
};
use crate::{
    atomic,
    model::{Extensions, Model, ModelError, ParameterInfo, Settings},
};
use std::path::PathBuf;

/// `[model]` and `[parameters]`.
pub(super) fn text(save: &Save, found: &dyn Fn(&str) -> Option<PathBuf>, said: &mut Said) -> (String, String) {
    let mut out = String::from("[model]\n");
    let expression = save.expression.clone().unwrap_or_default();
    // XSPEC's defaults where the file says nothing.
    let (mut abund, mut xsect) = ("angr".to_string(), "vern".to_string());
    if let Some(name) = save.abund.as_ref().map(|a| a.split_whitespace().next().unwrap_or("").to_string()) {
        if atomic::abundance_tables().contains(&name.as_str()) {
            abund = name;
        } else {
            said.remark(format!("abund {name}: no such table here; {abund} stands in"));
        }
    }
    if let Some(name) = &save.xsect {
        match name.as_str() {
            "vern" | "bcmc" | "obcm" => xsect.clone_from(name),
            other => said.remark(format!("xsect {other}: no such table here; {xsect} stands in")),
        }
    }
    out.push_str(&format!("expression     = {}\n", quoted(&expression)));
    out.push_str(&format!("abundances     = {}\ncross_sections = {}\n", quoted(&abund), quoted(&xsect)));
    let mut list = String::from("[parameters]\n");
    if expression.is_empty() {
        said.lose("there is no model command".into());
        return (out, list);
    }
    let find_file = |name: &str| found(name).ok_or_else(|| "no such file beside the save file".to_string());
    let extensions = Extensions { find_file: Some(&find_file), ..Extensions::default() };
    let parsed = Settings::new(&abund, &xsect).and_then(|s| Model::parse_with(&expression, &s, &extensions));
    let model = match parsed {
        Ok(model) => model,
        Err(error) => {
            said.lose(format!(
                "the model is not understood here, so its parameters are only listed: {}",
                with_definitions(save, &error)
            ));
            for (k, parameter) in save.parameters.iter().enumerate() {
                list.push_str(&format!("# p{}: {}\n", k + 1, commented(&as_written(parameter))));
            }
            return (out, list);
        }
    };
    let blocks = Blocks::new(save, model.parameters(), said);
    let settings = blocks.settings(save, said);
    let of_responses = gain::entries(save, said);
    for (name, entry, comment) in blocks.entries(&settings).into_iter().chain(of_responses) {
        let comment = if comment.is_empty() { String::new() } else { format!("   # {}", commented(&comment)) };
        list.push_str(&format!("{} = {entry}{comment}\n", quoted(&name)));
    }
    (out, list)
}

/// The model's mistake, with what `mdefine` has to do with it.
fn with_definitions(save: &Save, error: &ModelError) -> String {
    let text = error.to_string();
    match save.defined.iter().find(|name| !name.is_empty() && text.to_lowercase().contains(&format!("'{name}'"))) {
        Some(name) => format!("{text}\n('{name}' is defined by mdefine, which is not carried over)"),
        None => text,
    }
}

/// A parameter as a save file has it.
fn as_written(parameter: &Parameter) -> String {
    let list = |numbers: &[f64]| {
        let one = |x: &f64| if x.is_finite() { format!("{x}") } else { "(default)".into() };
        numbers.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    match parameter {
        Parameter::Numbers(numbers) => list(numbers),
        Parameter::Tied(tie) => format!("= {tie}"),
        Parameter::Untied { tie, numbers } => format!("{} (once = {tie})", list(numbers)),
        Parameter::Default => "(default)".into(),
    }
}

/// The parameters of all data groups, one block after the other.
struct Blocks {
    /// Parameters of one block.
    n: usize,
    /// Of all blocks; those of data groups behind the first are called NAME@SET after the first data set of their group.
    infos: Vec<ParameterInfo>,
    /// The data sets of each group.
    sets: Vec<Vec<usize>>,
}

impl Blocks {
    fn new(save: &Save, own: &[ParameterInfo], said: &mut Said) -> Blocks {
        let n = own.len();
        let mut sets: Vec<Vec<usize>> = Vec::new();
        for group in 1..=save.group_count() {
            let of: Vec<usize> = save.groups.iter().filter(|(_, own)| **own == group).map(|(set, _)| *set).collect();
            if of.is_empty() {
                // No data at all, or a gap, which has been said.
                break;
            }
            sets.push(of);
        }
        if sets.is_empty() {
            sets.push(Vec::new());
        }
        let mut infos = own.to_vec();
        for of in sets.iter().skip(1) {
            let set = of.first().copied().unwrap_or(1);
            infos.extend(own.iter().map(|info| ParameterInfo { name: format!("{}@{set}", info.name), ..info.clone() }));
        }
        let blocks = Blocks { n, infos, sets };
        blocks.complete(save, said);
        blocks
    }

    /// Whether the file gives the parameters of every data group, and none beside them.
    fn complete(&self, save: &Save, said: &mut Said) {
        let (n, line) = (self.n, save.lines.model);
        let groups = save.groups_of_model.min(self.sets.len());
        if n > 0 && groups > 1 && !save.rest_default && save.read_with_model < n * groups {
            let (group, given) = (save.read_with_model / n + 1, save.read_with_model % n);
            said.lose_unmarked(format!(
                "line {line}: the model command gives {given} of the {n} parameters of data group {group}; expected a line for each (= pN, or \
                 numbers), or /* where all that follow are those of data group 1"
            ));
        }
        let more = save.parameters.get(self.infos.len()..).unwrap_or(&[]);
        if let Some(at) = more.iter().position(|parameter| *parameter != Parameter::Default) {
            let line = save.lines.parameters.get(&(self.infos.len() + at + 1)).copied().unwrap_or(line);
            let groups = self.sets.len();
            let of = if groups == 1 { "1 data group".into() } else { format!("{groups} data groups") };
            said.lose_unmarked(format!(
                "line {line}: {} parameters for a model of {n} and {of}: those beyond {} belong to nothing",
                save.parameters.len(),
                self.infos.len()
            ));
        }
    }

    /// The parameter of data group 1 that stands at the same place of its block.
    fn first(&self, k: usize) -> usize {
        k.checked_rem(self.n).unwrap_or(0)
    }

    /// What each parameter becomes.
    fn settings(&self, save: &Save, said: &mut Said) -> Vec<Setting> {
        let values = self.values(save);
        let mut settings: Vec<Setting> = Vec::with_capacity(self.infos.len());
        let mut remarks = Vec::new();
        for (k, info) in self.infos.iter().enumerate() {
            let prior = save.priors.iter().find(|p| p.parameter == k + 1);
            settings.push(match self.given(save, k) {
                Given::First => Setting::new(Entry::Tied(self.first(k), 1.0, 0.0), String::new()),
                Given::Own(Parameter::Tied(text)) => match self.tied(save, k, text) {
                    Ok(entry) => Setting::new(entry, format!("= {text}")),
                    Err(why) => Setting::new(Entry::Refused(format!("XSPEC has '= {text}': {why}")), String::new()),
                },
                Given::Own(Parameter::Untied { numbers, .. }) => {
                    let mut numbers = numbers.clone();
                    numbers.resize(numbers.len().max(1), f64::NAN);
                    numbers[0] = values.get(k).copied().unwrap_or(f64::NAN);
                    priors::setting(info, &numbers, prior, &mut remarks)
                }
                Given::Own(Parameter::Numbers(numbers)) => priors::setting(info, numbers, prior, &mut remarks),
                Given::Own(Parameter::Default) => priors::setting(info, &[], prior, &mut remarks),
            });
        }
        remarks.into_iter().for_each(|remark| said.remark(remark));
        priors::follow_ties(&self.infos, &mut settings, &values);
        for (k, (info, setting)) in self.infos.iter().zip(&settings).enumerate() {
            if let Entry::Refused(why) = &setting.entry {
                let line = save.lines.parameters.get(&(k + 1)).map_or(String::new(), |line| format!("line {line}: "));
                said.lose(format!("{line}{}: {why}", info.name));
            }
        }
        settings
    }

    /// What the file says of parameter `k` (from 0).
    fn given<'a>(&self, save: &'a Save, k: usize) -> Given<'a> {
        let own = save.parameters.get(k).unwrap_or(&Parameter::Default);
        match own {
            Parameter::Default if k >= self.n => Given::First,
            // `freeze` and `thaw` leave a link as it is.
            Parameter::Numbers(numbers) if k >= self.n && numbers.first().is_none_or(|x| !x.is_finite()) => {
                Given::First
            }
            own => Given::Own(own),
        }
    }

    /// A link as what a run file can say, or why it cannot.
    fn tied(&self, save: &Save, k: usize, text: &str) -> Result<Entry, String> {
        let link = tie::read(&own_names(save, text))?;
        let parameter = link.parameter;
        if parameter == k + 1 {
            return Err("it names itself".into());
        }
        let to = parameter.checked_sub(1).filter(|to| *to < self.infos.len());
        let to = to.ok_or_else(|| match self.sets.len() {
            1 => format!("there is no p{parameter} among the {} of this model", self.n),
            groups => format!(
                "there is no p{parameter} among the {} of this model and its {groups} data groups",
                self.infos.len()
            ),
        })?;
        // A link of newpar was made when all parameters were there.
        if to > k && !save.beneath.contains_key(&(k + 1)) {
            return Err(format!("p{parameter} comes later in the file, where XSPEC has no such parameter yet"));
        }
        Ok(Entry::Tied(to, link.scale, link.offset))
    }

    /// The values of the file, links followed; NaN where there is none.
    fn values(&self, save: &Save) -> Vec<f64> {
        let count = self.infos.len();
        let mut values: Vec<f64> = (0..count)
            .map(|k| match (self.given(save, k), &self.infos[k]) {
                (Given::Own(Parameter::Numbers(numbers)), info) => priors::value(info, numbers),
                (Given::Own(Parameter::Default), info) => info.default,
                _ => f64::NAN,
            })
            .collect();
        // Links of links: each pass settles at least one more.
        for _ in 0..count {
            let before = values.clone();
            let of = |n: usize| before.get(n.checked_sub(1)?).copied().filter(|x| x.is_finite());
            for k in (0..count).filter(|&k| before[k].is_nan()) {
                let value = match self.given(save, k) {
                    Given::First => of(self.first(k) + 1),
                    Given::Own(Parameter::Tied(text) | Parameter::Untied { tie: text, .. }) => {
                        tie::value(&own_names(save, text), &of)
                    }
                    Given::Own(_) => None,
                };
                if let Some(x) = value {
                    values[k] = x;
                }
            }
            if values.iter().zip(&before).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())) {
                break;
            }
        }
        values
    }

    /// Name, value and comment of every entry of `[parameters]`: the first data group's without a data set's name, which all share; of the others
    /// what they have of their own.
    fn entries(&self, settings: &[Setting]) -> Vec<(String, String, String)> {
        let mut out = Vec::new();
        for (k, (info, setting)) in self.infos.iter().zip(settings).enumerate() {
            let (group, name) = (k.checked_div(self.n).unwrap_or(0), &self.infos[self.first(k)].name);
            if group == 0 {
                out.push((info.name.clone(), self.entry(&setting.entry, 0), setting.comment.clone()));
                continue;
            }
            if self.is_shared(settings, k, 0) {
                continue;
            }
            for (place, set) in self.sets[group].iter().enumerate() {
                let own = match (&setting.entry, place) {
                    (Entry::Uniform(..) | Entry::LogUniform(..) | Entry::Normal(..), 1..) => {
                        format!("{{ tie = {} }}", quoted(&info.name))
                    }
                    (entry, _) => self.entry(entry, group),
                };
                let comment = if place == 0 { setting.comment.clone() } else { String::new() };
                out.push((format!("{name}@{set}"), own, comment));
            }
        }
        out
    }

    /// Whether a data group's parameter is what the entry of data group 1 makes of it: the same one, or a tie to the same of its own.
    fn is_shared(&self, settings: &[Setting], k: usize, depth: usize) -> bool {
        let (first, group) = (self.first(k), k / self.n.max(1));
        let Some(base) = settings.get(first) else { return false };
        let Some(Setting { entry: Entry::Tied(to, scale, offset), .. }) = settings.get(k) else { return false };
        let same = (*scale, *offset) == (1.0, 0.0) && *to == first;
        match base.entry {
            // A tie inside of a data set follows what that data set has.
            Entry::Tied(leader, s, o) if leader < self.n => {
                let alike = *to == group * self.n + leader && (s, o) == (*scale, *offset);
                alike || (same && depth <= self.n && self.is_shared(settings, group * self.n + leader, depth + 1))
            }
            Entry::Tied(leader, s, o) => same || (*to == leader && (s, o) == (*scale, *offset)),
            _ => same,
        }
    }

    /// An entry's text where it stands for a data set of `group` (from 0).
    fn entry(&self, entry: &Entry, group: usize) -> String {
        match entry {
            Entry::Frozen(value) => format!("{value:?}"),
            Entry::Uniform(lo, hi) => format!("{{ uniform = [{lo:?}, {hi:?}] }}"),
            Entry::LogUniform(lo, hi) => format!("{{ log_uniform = [{lo:?}, {hi:?}] }}"),
            Entry::Normal(mean, sd) => format!("{{ normal = [{mean:?}, {sd:?}] }}"),
            Entry::Tied(to, scale, offset) => {
                let (of, plain) = (to.checked_div(self.n).unwrap_or(0), &self.infos[self.first(*to)].name);
                let name = match self.sets.get(of).and_then(|sets| sets.first()) {
                    Some(set) if of != group => format!("{plain}@{set}"),
                    _ => plain.clone(),
                };
                match (*scale == 1.0, *offset == 0.0) {
                    (true, true) => format!("{{ tie = {} }}", quoted(&name)),
                    _ => format!("{{ tie = {}, scale = {scale:?}, offset = {offset:?} }}", quoted(&name)),
                }
            }
            Entry::Refused(why) => quoted(&format!("SET THIS: {why}")),
        }
    }
}

/// What a save file says of a parameter.
enum Given<'a> {
    Own(&'a Parameter),
    /// Nothing, in a data group behind the first: it is that of data group 1.
    First,
}

/// A link without this model's own name before its parameters (`src:p2`).
fn own_names(save: &Save, text: &str) -> String {
    match &save.model_name {
        Some(name) => text.replace(&format!("{name}:"), ""),
        None => text.to_string(),
    }
}
