//! The parameters of every model and data group, and what each becomes in a run file.

use super::{
    named,
    priors::{self, Entry, Setting},
    tie::{self, Id, Link},
    write::{Said, quoted},
    xcm::{Parameter, Save, SourceModel},
};
use crate::model::ParameterInfo;

/// The parameters of one model: a block for each data group that it is seen in.
struct Block {
    /// Place of the model in the save file.
    model: usize,
    /// Number of its first parameter among those of all models, from 0.
    at: usize,
    /// Parameters of one data group.
    n: usize,
    /// The data sets of each group.
    sets: Vec<Vec<usize>>,
    /// Whether every data set sees the model.
    everywhere: bool,
}

/// The parameters of all models and data groups, one block after the other.
pub(super) struct Blocks {
    blocks: Vec<Block>,
    /// Of all blocks; those of data groups behind the first are called NAME@SET after the first data set of their group.
    infos: Vec<ParameterInfo>,
}

impl Blocks {
    /// `models`: places in the save file, and the parameters of one data group.
    pub fn new(save: &Save, models: &[(usize, Vec<ParameterInfo>)], said: &mut Said) -> Blocks {
        let mut out = Blocks { blocks: Vec::new(), infos: Vec::new() };
        for (place, own) in models {
            let model = &save.models[*place];
            let mut sets: Vec<Vec<usize>> = save.groups_of(model.source).into_iter().map(|(_, sets)| sets).collect();
            if sets.is_empty() {
                sets.push(Vec::new());
            }
            let prefix = if *place == 0 { String::new() } else { format!("{}:", named::name(save, model)) };
            let at = out.infos.len();
            for (group, of) in sets.iter().enumerate() {
                let suffix = match of.first() {
                    Some(set) if group > 0 => format!("@{set}"),
                    _ => String::new(),
                };
                let named = |info: &ParameterInfo| format!("{prefix}{}{suffix}", info.name);
                out.infos.extend(own.iter().map(|info| ParameterInfo { name: named(info), ..info.clone() }));
            }
            let everywhere = sets.iter().map(Vec::len).sum::<usize>() == save.data.len();
            let block = Block { model: *place, at, n: own.len(), sets, everywhere };
            block.complete(save, said);
            out.blocks.push(block);
        }
        out
    }

    /// The block of parameter `k`.
    fn of(&self, k: usize) -> &Block {
        let behind = self.blocks.partition_point(|block| block.at <= k);
        &self.blocks[behind.saturating_sub(1)]
    }

    /// The parameter of the first data group that stands at the same place of its block.
    fn first(&self, k: usize) -> usize {
        let block = self.of(k);
        block.at + (k - block.at).checked_rem(block.n).unwrap_or(0)
    }

    /// The data group of a parameter among those of its block, from 0.
    fn group(&self, k: usize) -> usize {
        let block = self.of(k);
        (k - block.at).checked_div(block.n).unwrap_or(0)
    }

    /// The model of a parameter, and its number there, from 1.
    fn model<'a>(&self, save: &'a Save, k: usize) -> (&'a SourceModel, usize) {
        let block = self.of(k);
        (&save.models[block.model], k - block.at + 1)
    }

    /// What each parameter becomes.
    pub fn settings(&self, save: &Save, said: &mut Said) -> Vec<Setting> {
        let values = self.values(save);
        let mut settings: Vec<Setting> = Vec::with_capacity(self.infos.len());
        let mut remarks = Vec::new();
        for (k, info) in self.infos.iter().enumerate() {
            let (model, number) = self.model(save, k);
            let prior = model.priors.iter().find(|p| p.parameter == number);
            settings.push(match self.given(save, k) {
                Given::First => Setting::new(Entry::Tied(self.first(k), 1.0, 0.0), String::new()),
                Given::Own(Parameter::Tied(text)) => match self.tied(save, k, text, &mut remarks) {
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
                let (model, number) = self.model(save, k);
                let line = model.lines.get(&number).map_or(String::new(), |line| format!("line {line}: "));
                said.lose(format!("{line}{}: {why}", info.name));
            }
        }
        settings
    }

    /// What the file says of parameter `k` (from 0).
    fn given<'a>(&self, save: &'a Save, k: usize) -> Given<'a> {
        let (model, number) = self.model(save, k);
        let own = model.parameters.get(number - 1).unwrap_or(&Parameter::Default);
        let later = self.first(k) != k;
        match own {
            Parameter::Default if later => Given::First,
            // `freeze` and `thaw` leave a link as it is.
            Parameter::Numbers(numbers) if later && numbers.first().is_none_or(|x| !x.is_finite()) => Given::First,
            own => Given::Own(own),
        }
    }

    /// The block of the model that a link names.
    fn named(&self, save: &Save, id: &Id) -> Result<&Block, String> {
        let place = save.model_called(id.model.as_deref());
        let block = place.and_then(|place| self.blocks.iter().find(|block| block.model == place));
        block.ok_or_else(|| format!("there is no model called {:?}", id.model.as_deref().unwrap_or_default()))
    }

    /// The parameter that a link names.
    fn place(&self, save: &Save, id: &Id) -> Result<usize, String> {
        let block = self.named(save, id)?;
        let count = block.n * block.sets.len();
        let to = id.number.checked_sub(1).filter(|to| *to < count).map(|to| block.at + to);
        to.ok_or_else(|| match block.sets.len() {
            1 => format!("there is no {id} among the {} of this model", block.n),
            groups => format!("there is no {id} among the {count} of this model and its {groups} data groups"),
        })
    }

    /// The parameter that another one follows, wherever it stands in the file.
    fn leader(&self, save: &Save, k: usize) -> Option<usize> {
        match self.given(save, k) {
            Given::First => Some(self.first(k)),
            Given::Own(Parameter::Tied(text)) => match tie::read(text) {
                Ok(Link::Tie(link)) => self.place(save, &link.parameter).ok(),
                _ => None,
            },
            Given::Own(_) => None,
        }
    }

    /// The circle of links that leads from a parameter back to it, in words.
    fn circle(&self, save: &Save, k: usize) -> Option<String> {
        let (mut names, mut at) = (vec![self.infos[k].name.as_str()], k);
        for _ in 0..self.infos.len() {
            at = self.leader(save, at)?;
            names.push(&self.infos[at].name);
            if at == k {
                return Some(names.join(" = "));
            }
        }
        // It leads into a circle that it is no part of.
        None
    }

    /// A link as what a run file can say, or why it cannot.
    fn tied(&self, save: &Save, k: usize, text: &str, remarks: &mut Vec<String>) -> Result<Entry, String> {
        let link = match tie::read(text)? {
            Link::Constant(value) => return priors::constant(&self.infos[k], value).map(Entry::Frozen),
            Link::Tie(link) => link,
        };
        let id = &link.parameter;
        let (block, to) = (self.named(save, id)?, self.place(save, id)?);
        if to == k {
            return Err("it names itself".into());
        }
        if let Some(circle) = self.circle(save, k) {
            return Err(format!(
                "the links make a circle, in which no parameter has a value: {circle}; give one of them a value"
            ));
        }
        // A link of newpar was made when all parameters were there.
        let (own, number) = self.model(save, k);
        let later = match block.model == self.of(k).model {
            true => to > k,
            false => save.models[block.model].line > own.line,
        };
        if later && !own.beneath.contains_key(&number) {
            return Err(format!("{id} comes later in the file, where XSPEC has no such parameter yet"));
        }
        // Without a name it is of the model that has none; where all have one, of the first source's.
        if id.model.is_none() && own.source > 1 && save.models[0].name.is_some() {
            let (name, first) = (&self.infos[k].name, save.models[0].name.as_deref().unwrap_or_default());
            remarks.push(format!("{name}: '= {text}' is taken for {first}:{id}"));
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
            let of = |k: usize| before.get(k).copied().filter(|x| x.is_finite());
            let by_id = |id: &Id| {
                let block = self.named(save, id).ok()?;
                let number = id.number.checked_sub(1).filter(|number| *number < block.n * block.sets.len())?;
                of(block.at + number)
            };
            for k in (0..count).filter(|&k| before[k].is_nan()) {
                let value = match self.given(save, k) {
                    Given::First => of(self.first(k)),
                    Given::Own(Parameter::Tied(text) | Parameter::Untied { tie: text, .. }) => tie::value(text, &by_id),
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
    pub fn entries(&self, settings: &[Setting]) -> Vec<(String, String, String)> {
        let mut out = Vec::new();
        for (k, (info, setting)) in self.infos.iter().zip(settings).enumerate() {
            let (group, name) = (self.group(k), &self.infos[self.first(k)].name);
            if group == 0 {
                out.push((info.name.clone(), self.entry(&setting.entry, k), setting.comment.clone()));
                continue;
            }
            if self.is_shared(settings, k, 0) {
                continue;
            }
            for (place, set) in self.of(k).sets[group].iter().enumerate() {
                let own = match (&setting.entry, place) {
                    (Entry::Uniform(..) | Entry::LogUniform(..) | Entry::Normal(..), 1..) => {
                        format!("{{ tie = {} }}", quoted(&info.name))
                    }
                    (entry, _) => self.entry(entry, k),
                };
                let comment = if place == 0 { setting.comment.clone() } else { String::new() };
                out.push((format!("{name}@{set}"), own, comment));
            }
        }
        out
    }

    /// Whether a data group's parameter is what the entry of the first data group makes of it: the same one, or a tie to the same of its own.
    fn is_shared(&self, settings: &[Setting], k: usize, depth: usize) -> bool {
        let (first, block, group) = (self.first(k), self.of(k), self.group(k));
        let Some(base) = settings.get(first) else { return false };
        let Some(Setting { entry: Entry::Tied(to, scale, offset), .. }) = settings.get(k) else { return false };
        let same = (*scale, *offset) == (1.0, 0.0) && *to == first;
        match base.entry {
            // A tie inside of a data set follows what that data set has.
            Entry::Tied(leader, s, o) if leader >= block.at && leader < block.at + block.n => {
                let own = group * block.n + leader;
                let alike = *to == own && (s, o) == (*scale, *offset);
                alike || (same && depth <= block.n && self.is_shared(settings, own, depth + 1))
            }
            Entry::Tied(leader, s, o) => same || (*to == leader && (s, o) == (*scale, *offset)),
            _ => same,
        }
    }

    /// An entry's text where it stands for parameter `k`.
    fn entry(&self, entry: &Entry, k: usize) -> String {
        match entry {
            Entry::Frozen(value) => format!("{value:?}"),
            Entry::Uniform(lo, hi) => format!("{{ uniform = [{lo:?}, {hi:?}] }}"),
            Entry::LogUniform(lo, hi) => format!("{{ log_uniform = [{lo:?}, {hi:?}] }}"),
            Entry::Normal(mean, sd) => format!("{{ normal = [{mean:?}, {sd:?}] }}"),
            Entry::Tied(to, scale, offset) => {
                let (block, of, plain) = (self.of(*to), self.group(*to), &self.infos[self.first(*to)].name);
                // Without a data set's name it is what each data set has: the same in the same data group, or where there is one only that holds all.
                let here = match block.model == self.of(k).model {
                    true => of == self.group(k),
                    false => block.sets.len() == 1 && block.everywhere,
                };
                let name = match block.sets.get(of).and_then(|sets| sets.first()) {
                    Some(set) if !here => format!("{plain}@{set}"),
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

impl Block {
    /// Whether the file gives the parameters of every data group, and none beside them.
    fn complete(&self, save: &Save, said: &mut Said) {
        let model = &save.models[self.model];
        let (n, line) = (self.n, model.line);
        let of = if self.model == 0 { String::new() } else { format!(" of {}", named::name(save, model)) };
        let groups = model.groups_of_model.min(self.sets.len());
        if n > 0 && groups > 1 && !model.rest_default && model.read_with_model < n * groups {
            let (group, given) = (model.read_with_model / n + 1, model.read_with_model % n);
            said.lose_unmarked(format!(
                "line {line}: the model command gives {given} of the {n} parameters{of} of data group {group}; expected a line for each (= pN, or \
                 numbers), or /* where all that follow are those of data group 1"
            ));
        }
        let count = n * self.sets.len();
        let more = model.parameters.get(count..).unwrap_or(&[]);
        if let Some(at) = more.iter().position(|parameter| *parameter != Parameter::Default) {
            let line = model.lines.get(&(count + at + 1)).copied().unwrap_or(line);
            let groups = self.sets.len();
            let groups = if groups == 1 { "1 data group".into() } else { format!("{groups} data groups") };
            said.lose_unmarked(format!(
                "line {line}: {} parameters{of} for a model of {n} and {groups}: those beyond {count} belong to nothing",
                model.parameters.len(),
            ));
        }
    }
}

/// What a save file says of a parameter.
enum Given<'a> {
    Own(&'a Parameter),
    /// Nothing, in a data group behind the first: it is that of the first.
    First,
}
