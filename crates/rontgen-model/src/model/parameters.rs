//! Which parameters of a model are free, frozen or tied, and the map from the free ones to all of them.
//!
//! A parameter that is free by XSPEC's default must be given a setting: silently freezing a norm at 1 would give a
//! posterior of the wrong problem.

use super::{Model, ModelError, ParameterInfo, Prior};
use std::collections::BTreeMap;

/// The user asked for this of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// Free, with this prior.
    Free(Prior),
    /// Frozen at this value.
    Frozen(f64),
    /// Tied to another parameter: `scale * other + offset`.
    Tied {
        /// Name of the other parameter.
        to: String,
        /// Factor on the other parameter.
        scale: f64,
        /// Number that is added.
        offset: f64,
    },
}

/// This is one free parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct FreeParameter {
    /// Name, as in `tbabs.nH`.
    pub name: String,
    /// Unit as XSPEC writes it; empty for none.
    pub unit: String,
    /// Prior.
    pub prior: Prior,
    /// Whether it is a component's norm.
    pub is_norm: bool,
    /// Position among the parameters of its model, or [`FreeParameter::OF_NO_MODEL`].
    pub model_index: usize,
}

impl FreeParameter {
    /// Position of a parameter that is an instrument's.
    pub const OF_NO_MODEL: usize = usize::MAX;
}

/// This is one row of the table that a device uses to build all parameters from the free ones: `value = scale * theta[free] + offset`, or
/// `offset` alone where `free` is negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapEntry {
    /// Number of the free parameter; negative for none.
    pub free: i32,
    /// Factor on the free parameter.
    pub scale: f64,
    /// Number that is added.
    pub offset: f64,
}

impl MapEntry {
    /// Computes the value for free parameters `theta`.
    pub fn value(&self, theta: &[f64]) -> f64 {
        match usize::try_from(self.free).ok().and_then(|k| theta.get(k)) {
            Some(x) => self.scale * x + self.offset,
            None => self.offset,
        }
    }
}

/// These are the resolved parameters of a model: P free ones and the map to all M.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    free: Vec<FreeParameter>,
    map: Vec<MapEntry>,
    warnings: Vec<String>,
}

fn error(text: String) -> ModelError {
    ModelError::Parameter(text)
}

impl Parameters {
    /// Applies the settings (keys: parameter names, any case) to a model.
    ///
    /// Errors: unknown or doubled names, a free-by-default parameter without a setting, priors or values outside XSPEC's
    /// hard limits, priors that make no sense, ties to unknown parameters, in a circle, or leaving the hard limits.
    pub fn resolve(model: &Model, settings: &BTreeMap<String, Setting>) -> Result<Self, ModelError> {
        let infos = model.parameters();
        let mut chosen: Vec<Option<(&str, &Setting)>> = vec![None; infos.len()];
        for (key, setting) in settings {
            let k = model.find(key)?;
            let place = chosen.get_mut(k).ok_or_else(|| error(format!("no parameter '{key}'")))?;
            if let Some((other, _)) = place {
                return Err(error(format!("'{other}' and '{key}' are the same parameter")));
            }
            *place = Some((key, setting));
        }
        let missing: Vec<&str> = infos
            .iter()
            .zip(&chosen)
            .filter(|(info, c)| c.is_none() && !info.frozen_by_default)
            .map(|(info, _)| info.name.as_str())
            .collect();
        if !missing.is_empty() {
            let hints: Vec<String> = model.training_priors(&missing);
            let hint = if hints.is_empty() {
                String::new()
            } else {
                format!("; the file's spectra have {}", hints.join(", "))
            };
            return Err(error(format!(
                "no prior or value for {}; each needs one (or freeze it: \"{}\" = {}){hint}",
                missing.join(", "),
                missing[0],
                infos.iter().find(|i| i.name == missing[0]).map_or(1.0, |i| i.default)
            )));
        }
        let mut out = Self { free: Vec::new(), map: Vec::new(), warnings: Vec::new() };
        let mut ties: Vec<Option<(usize, f64, f64)>> = vec![None; infos.len()];
        for (k, (info, choice)) in infos.iter().zip(&chosen).enumerate() {
            let entry = match choice {
                None => MapEntry { free: -1, scale: 0.0, offset: info.default },
                Some((_, Setting::Frozen(value))) => {
                    check_value(info, *value)?;
                    MapEntry { free: -1, scale: 0.0, offset: *value }
                }
                Some((_, Setting::Free(prior))) => {
                    let prior = out.check_prior(info, *prior)?;
                    let free = i32::try_from(out.free.len()).unwrap_or(i32::MAX);
                    out.free.push(FreeParameter {
                        name: info.name.clone(),
                        unit: info.unit.clone(),
                        prior,
                        is_norm: info.is_norm,
                        model_index: k,
                    });
                    MapEntry { free, scale: 1.0, offset: 0.0 }
                }
                Some((key, Setting::Tied { to, scale, offset })) => {
                    if !(scale.is_finite() && offset.is_finite()) {
                        return Err(error(format!("{key}: scale {scale} and offset {offset} must be finite")));
                    }
                    let target = model.find(to).map_err(|e| error(format!("{key} is tied to '{to}': {e}")))?;
                    if let Some(tie) = ties.get_mut(k) {
                        *tie = Some((target, *scale, *offset));
                    }
                    MapEntry { free: -1, scale: 0.0, offset: 0.0 }
                }
            };
            out.map.push(entry);
        }
        out.follow_ties(infos, &ties)?;
        Ok(out)
    }

    /// A list of free parameters that several models share, and the map of one of them.
    pub(super) fn joined(free: Vec<FreeParameter>, map: Vec<MapEntry>, warnings: Vec<String>) -> Self {
        Self { free, map, warnings }
    }

    /// The same parameters as those of an instrument, which have no place in a model.
    pub(super) fn of_no_model(mut self) -> Self {
        self.free.iter_mut().for_each(|free| free.model_index = FreeParameter::OF_NO_MODEL);
        self
    }

    fn check_prior(&mut self, info: &ParameterInfo, prior: Prior) -> Result<Prior, ModelError> {
        if info.never_free {
            return Err(error(format!("{} is a switch or scale and cannot be free; give it a value", info.name)));
        }
        let prior = prior.truncated(info.hard_min, info.hard_max);
        if let Some(problem) = prior.problem() {
            return Err(error(format!("{}: {problem}", info.name)));
        }
        let (lo, hi) = prior.support();
        if lo == 0.0 && info.zero_is_fine() && hi <= info.hard_max {
            self.warnings.push(format!(
                "{}: the prior starts at 0, below XSPEC's hard limit {}; the model's limit at 0 is used",
                info.name, info.hard_min
            ));
        } else if lo < info.hard_min || hi > info.hard_max {
            return Err(error(format!(
                "{}: the prior's range {lo} .. {hi} leaves XSPEC's hard limits {} .. {}",
                info.name, info.hard_min, info.hard_max
            )));
        }
        Ok(prior)
    }

    fn follow_ties(&mut self, infos: &[ParameterInfo], ties: &[Option<(usize, f64, f64)>]) -> Result<(), ModelError> {
        let mut resolved = self.map.clone();
        for (k, info) in infos.iter().enumerate() {
            let (mut at, mut scale, mut offset) = (k, 1.0, 0.0);
            let mut path = vec![info.name.as_str()];
            while let Some((to, s, o)) = ties.get(at).copied().flatten() {
                // y = scale * x_at + offset and x_at = s * x_to + o.
                offset += scale * o;
                scale *= s;
                at = to;
                path.push(infos.get(to).map_or("?", |i| i.name.as_str()));
                if path.len() > infos.len() + 1 || to == k {
                    return Err(error(format!("these parameters are tied in a circle: {}", path.join(" -> "))));
                }
            }
            if at == k {
                continue;
            }
            let root = self.map.get(at).copied().unwrap_or(MapEntry { free: -1, scale: 0.0, offset: 0.0 });
            let entry = MapEntry { free: root.free, scale: root.scale * scale, offset: root.offset * scale + offset };
            let prior = usize::try_from(root.free).ok().and_then(|f| self.free.get(f)).map(|f| f.prior);
            let ends = prior.map_or((0.0, 0.0), |p| p.support());
            for end in [ends.0, ends.1] {
                if root.free >= 0 && !end.is_finite() {
                    continue;
                }
                let value = if root.free >= 0 { entry.scale * end + entry.offset } else { entry.offset };
                check_value(info, value).map_err(|e| error(format!("tie {}: {e}", path.join(" -> "))))?;
            }
            if let Some(place) = resolved.get_mut(k) {
                *place = entry;
            }
        }
        self.map = resolved;
        Ok(())
    }

    /// Returns the P free parameters, in the model's order.
    pub fn free(&self) -> &[FreeParameter] {
        &self.free
    }

    /// Gives free parameter `free` another prior, which the caller keeps within the parameter's limits.
    pub fn set_prior(&mut self, free: usize, prior: Prior) {
        if let Some(parameter) = self.free.get_mut(free) {
            parameter.prior = prior;
        }
    }

    /// Returns remarks for the user (priors that start at 0 below a hard limit).
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns where the value of each of the M model parameters comes from.
    pub fn map(&self) -> &[MapEntry] {
        &self.map
    }

    /// Returns the least and largest value that a model parameter can have by its prior, or by that of what it is tied to.
    pub fn range(&self, parameter: usize) -> Option<(f64, f64)> {
        let entry = self.map.get(parameter)?;
        let Some(free) = usize::try_from(entry.free).ok().and_then(|k| self.free.get(k)) else {
            return Some((entry.offset, entry.offset));
        };
        let (lo, hi) = free.prior.support();
        let (a, b) = (entry.scale * lo + entry.offset, entry.scale * hi + entry.offset);
        Some((a.min(b), a.max(b)))
    }

    /// Computes all M parameters from the P free ones.
    pub fn full(&self, theta: &[f64]) -> Vec<f64> {
        self.map.iter().map(|entry| entry.value(theta)).collect()
    }

    /// Maps the unit cube to physical values; coordinates are clamped to 0..1.
    pub fn from_cube(&self, u: &[f64]) -> Vec<f64> {
        self.free.iter().zip(u).map(|(p, u)| p.prior.quantile(*u)).collect()
    }

    /// Maps physical values to the unit cube (0 or 1 outside the prior).
    pub fn to_cube(&self, theta: &[f64]) -> Vec<f64> {
        self.free.iter().zip(theta).map(|(p, x)| p.prior.cdf(*x)).collect()
    }

    /// Computes the log density of the joint prior; -infinity outside its support.
    pub fn ln_prior(&self, theta: &[f64]) -> f64 {
        self.free.iter().zip(theta).map(|(p, x)| p.prior.ln_pdf(*x)).sum()
    }
}

fn check_value(info: &ParameterInfo, value: f64) -> Result<(), ModelError> {
    if !value.is_finite() {
        return Err(error(format!("{}: the value {value} is not finite", info.name)));
    }
    if !info.allows(value) {
        return Err(error(format!(
            "{}: the value {value} lies outside XSPEC's hard limits {} .. {}",
            info.name, info.hard_min, info.hard_max
        )));
    }
    Ok(())
}
