//! The numbers that XSPEC gives parameters: model after model, data group after data group, each data set a group of its own.

use std::path::PathBuf;

use super::problem::background_name;
use super::{Problem, problem::Addition};
use crate::model::{FreeParameter, MapEntry, Model, Parameters};

/// A named model in one data set, which is a block of parameters of XSPEC's model of that source.
#[derive(Debug, Clone, Copy)]
pub struct NamedBlock<'a> {
    /// The data set, from 0; sources first, then the background spectra that named models describe.
    pub set: usize,
    /// All free parameters, and the map from them to those of the model.
    pub parameters: &'a Parameters,
    /// The files of the response and of the area.
    pub files: &'a (PathBuf, Option<PathBuf>),
    /// Where it is the model of a background, in the counts of the source: the block of the background spectrum itself, among those of the model.
    pub scaled: Option<usize>,
}

/// Whether parameter `index` of a model is free parameter `free` itself.
pub(super) fn leads(parameters: &Parameters, index: usize, free: usize) -> bool {
    let own = |entry: &MapEntry| entry.free == free as i32 && (entry.scale, entry.offset) == (1.0, 0.0);
    parameters.map().get(index).is_some_and(own)
}

impl Problem {
    /// A named model, and its blocks in the order of the data sets; `None` where there is no such model.
    pub fn named_model(&self, name: &str) -> Option<(&Model, Vec<NamedBlock<'_>>)> {
        let additions = || self.added().iter().map(|added| &added.spec).filter(|spec| spec.name == name);
        let model = &additions().next()?.model;
        let mut blocks: Vec<NamedBlock<'_>> = additions()
            .map(|spec| NamedBlock { set: spec.set, parameters: &spec.parameters, files: &spec.files, scaled: None })
            .collect();
        // The first model of a background spectrum is that data set's own, not one that adds to it.
        let described = |spec: &Addition| {
            let background = background_name(&self.observations.sets()[spec.set].name);
            (0..self.sets().len())
                .find(|&at| self.sets()[at].named.is_some() && self.observations.sets()[at].name == background)
        };
        for spec in additions().filter(|spec| spec.background && self.sets()[spec.set].named.is_none()) {
            if let Some(set) = described(spec).filter(|&set| self.sets()[set].named.as_deref() == Some(name)) {
                let parameters = &self.sets()[set].parameters;
                blocks.push(NamedBlock { set, parameters, files: &spec.files, scaled: None });
            }
        }
        blocks.sort_by_key(|block| block.set);
        for spec in additions().filter(|spec| spec.background && self.sets()[spec.set].named.is_none()) {
            let own = described(spec).and_then(|set| blocks.iter().position(|block| block.set == set));
            if let Some(block) = blocks.iter_mut().find(|block| block.set == spec.set) {
                block.scaled = own;
            }
        }
        Some((model, blocks))
    }

    /// The number that XSPEC gives a free parameter: parameters of the model one after another, data group after data group. Those of named models
    /// count by themselves, and so do those of responses, slope and offset of each spectrum whose gain is fitted; a tilt, which XSPEC does not have, has the
    /// number of its data set.
    pub fn number(&self, free: usize) -> u32 {
        let own = &self.parameters.free()[free];
        let index = own.model_index;
        if index == FreeParameter::OF_NO_MODEL {
            return self.number_of_response(free);
        }
        if let Some((name, _)) = own.name.split_once(':') {
            let Some((model, blocks)) = self.named_model(name) else { return 0 };
            // XSPEC's norm of a background in the source's counts is that of the background spectrum times the ratio of areas.
            let own = |block: &NamedBlock<'_>| block.scaled.is_none() && leads(block.parameters, index, free);
            let block = blocks.iter().position(own);
            return block.map_or(0, |block| (block * model.parameters().len() + index + 1) as u32);
        }
        let sources = self.sets().iter().filter(|set| set.named.is_none());
        let group = sources.map(|set| &set.parameters).position(|parameters| leads(parameters, index, free));
        group.map_or(0, |group| (group * self.model.parameters().len() + index + 1) as u32)
    }

    fn number_of_response(&self, free: usize) -> u32 {
        let sources = self.sets().iter().filter(|set| set.named.is_none());
        let mut fitted = 0;
        for (at, set) in sources.enumerate() {
            let Some(map) = set.shifted.as_ref().map(|shifted| shifted.map) else { continue };
            let leads = |entry: MapEntry| entry.free == free as i32 && (entry.scale, entry.offset) == (1.0, 0.0);
            for (place, entry) in [map.slope, map.offset].into_iter().enumerate() {
                if leads(entry) {
                    return 2 * fitted + place as u32 + 1;
                }
            }
            if leads(map.tilt) {
                return at as u32 + 1;
            }
            fitted += u32::from(map.slope.free >= 0 || map.offset.free >= 0);
        }
        0
    }
}
