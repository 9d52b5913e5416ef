//! The parameters of one model in several data sets: shared, a data set's own (`NAME@SET`), or tied across data sets.

use super::{JointParameters, MapEntry, Model, ModelError, Parameters, Setting};
use std::collections::BTreeMap;

fn error(text: String) -> ModelError {
    ModelError::Parameter(text)
}

/// One setting of one data set, or of all.
struct Said<'a> {
    /// As it was written.
    key: &'a str,
    parameter: usize,
    /// `None`: every data set that has none of its own.
    set: Option<usize>,
    setting: &'a Setting,
}

/// A tie where there are several data sets; it may lead from one to another.
struct Across {
    set: usize,
    parameter: usize,
    to: (usize, usize),
    scale: f64,
    offset: f64,
}

/// Splits `NAME@SET`.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((parameter, set)) => (parameter.trim(), Some(set.trim())),
        None => (name, None),
    }
}

/// Resolves the parameters of `model` for each of the data sets: all share one list of free parameters, and have maps of their own.
///
/// `settings` are (name, setting); `NAME@SET` stands beside `NAME` and is that data set's alone. A tie names a parameter of the same data set, or
/// `NAME@SET`; a data set's own parameter that is tied to its own name follows the one that the other data sets share. Names are compared
/// without regard to case. Free parameters of a data set's own are called `NAME@SET`.
///
/// # Errors
/// Those of [`Parameters::resolve`], unknown data sets, settings that no data set uses, ties across data sets in a circle or beyond hard limits.
pub fn resolve_sets(
    model: &Model,
    sets: &[String],
    settings: &[(String, Setting)],
) -> Result<Vec<Parameters>, ModelError> {
    let place = |name: &str, key: &str| {
        sets.iter().position(|set| set.eq_ignore_ascii_case(name)).ok_or_else(|| {
            error(format!("'{key}': no data set is called '{name}'; expected one of {}", sets.join(", ")))
        })
    };
    let mut said: Vec<Said<'_>> = Vec::with_capacity(settings.len());
    for (key, setting) in settings {
        let (name, set) = split(key);
        let parameter = model.find(name)?;
        let set = set.map(|set| place(set, key)).transpose()?;
        if let Some(other) = said.iter().find(|other| (other.parameter, other.set) == (parameter, set)) {
            return Err(error(format!("'{}' and '{key}' are the same parameter", other.key)));
        }
        said.push(Said { key, parameter, set, setting });
    }
    for one in said.iter().filter(|one| one.set.is_none()) {
        let own = |set: usize| said.iter().any(|other| (other.parameter, other.set) == (one.parameter, Some(set)));
        if (0..sets.len()).all(own) {
            return Err(error(format!(
                "'{}' is said for no data set: each has a setting of its own ({}@{}, ...)",
                one.key, one.key, sets[0]
            )));
        }
    }
    let infos = model.parameters();
    let mut joint = JointParameters::new();
    let mut across: Vec<Across> = Vec::new();
    for (set, name) in sets.iter().enumerate() {
        let mut own: BTreeMap<String, Setting> = BTreeMap::new();
        let mut free_here: Vec<&str> = Vec::new();
        let here = |parameter: usize| {
            let mine = said.iter().find(|one| (one.parameter, one.set) == (parameter, Some(set)));
            mine.or_else(|| said.iter().find(|one| one.parameter == parameter && one.set.is_none()))
        };
        for (parameter, info) in infos.iter().enumerate() {
            let Some(one) = here(parameter) else { continue };
            let mut setting = one.setting.clone();
            if one.set.is_some() {
                free_here.push(&info.name);
            }
            if let Setting::Tied { to, scale, offset } = one.setting {
                let (target, other) = split(to);
                let target = model.find(target).map_err(|e| error(format!("{} is tied to '{to}': {e}", one.key)))?;
                let other = match other {
                    Some(other) => Some(place(other, to)?),
                    // Its own name: the parameter that the others share.
                    None if target == parameter && one.set.is_some() => {
                        let own = |k: usize| said.iter().any(|s| (s.parameter, s.set) == (parameter, Some(k)));
                        let shared = (0..sets.len()).find(|&k| !own(k));
                        Some(shared.ok_or_else(|| {
                            error(format!("{} is tied to '{to}', which every data set has one of its own of", one.key))
                        })?)
                    }
                    None => None,
                };
                if sets.len() > 1 {
                    if !(scale.is_finite() && offset.is_finite()) {
                        return Err(error(format!("{}: scale {scale} and offset {offset} must be finite", one.key)));
                    }
                    // Followed when all maps are known: what it leads to may itself follow another data set.
                    across.push(Across {
                        set,
                        parameter,
                        to: (other.unwrap_or(set), target),
                        scale: *scale,
                        offset: *offset,
                    });
                    setting = Setting::Frozen(info.default);
                } else {
                    setting = Setting::Tied { to: infos[target].name.clone(), scale: *scale, offset: *offset };
                }
            }
            own.insert(info.name.clone(), setting);
        }
        let parameters = Parameters::resolve(model, &own).map_err(|e| match sets.len() {
            1 => e,
            _ => error(format!("data set '{name}': {e}")),
        })?;
        let rename = |free: &str| match free_here.contains(&free) {
            true => format!("{free}@{name}"),
            false => free.to_owned(),
        };
        joint.add_model(&parameters, &rename)?;
    }
    follow(model, sets, &mut joint, across)?;
    Ok((0..sets.len()).filter_map(|set| joint.of(set)).collect())
}

/// Puts what ties across data sets lead to into the maps: first those that lead to no other such tie.
fn follow(
    model: &Model,
    sets: &[String],
    joint: &mut JointParameters,
    mut waiting: Vec<Across>,
) -> Result<(), ModelError> {
    let infos = model.parameters();
    while !waiting.is_empty() {
        let open: Vec<(usize, usize)> = waiting.iter().map(|tie| (tie.set, tie.parameter)).collect();
        let (ready, rest): (Vec<Across>, Vec<Across>) = waiting.into_iter().partition(|tie| !open.contains(&tie.to));
        if ready.is_empty() {
            let names: Vec<String> =
                rest.iter().map(|tie| format!("{}@{}", infos[tie.parameter].name, sets[tie.set])).collect();
            return Err(error(format!("these parameters are tied in a circle: {}", names.join(" -> "))));
        }
        for tie in ready {
            let (name, info) = (format!("{}@{}", infos[tie.parameter].name, sets[tie.set]), &infos[tie.parameter]);
            let Some(root) = joint.entry(tie.to.0, tie.to.1) else { continue };
            let entry = MapEntry {
                free: root.free,
                scale: root.scale * tie.scale,
                offset: root.offset * tie.scale + tie.offset,
            };
            let support = usize::try_from(entry.free).ok().and_then(|k| joint.free().get(k)).map(|f| f.prior.support());
            let ends = match support {
                Some((lo, hi)) => [lo, hi].map(|end| entry.scale * end + entry.offset),
                None => [entry.offset; 2],
            };
            if let Some(value) = ends.into_iter().find(|value| value.is_finite() && !info.allows(*value)) {
                return Err(error(format!(
                    "tie of {name}: the value {value} lies outside XSPEC's hard limits {} .. {}",
                    info.hard_min, info.hard_max
                )));
            }
            joint.set_entry(tie.set, tie.parameter, entry);
        }
        waiting = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Prior, Settings};

    fn model() -> Model {
        Model::parse("constant*tbabs*powerlaw", &Settings::default()).unwrap()
    }

    fn free(lo: f64, hi: f64) -> Setting {
        Setting::Free(Prior::Uniform { lo, hi })
    }

    fn tied(to: &str, scale: f64) -> Setting {
        Setting::Tied { to: to.into(), scale, offset: 0.0 }
    }

    fn base() -> Vec<(String, Setting)> {
        [
            ("constant.factor", Setting::Frozen(1.0)),
            ("tbabs.nH", free(0.0, 1.0)),
            ("powerlaw.PhoIndex", free(1.0, 3.0)),
            ("powerlaw.norm", free(0.0, 1.0)),
        ]
        .map(|(name, setting)| (name.to_owned(), setting))
        .into()
    }

    fn with(more: &[(&str, Setting)]) -> Result<Vec<Parameters>, ModelError> {
        let mut all = base();
        all.extend(more.iter().map(|(name, setting)| (name.to_string(), setting.clone())));
        resolve_sets(&model(), &["pn".to_owned(), "mos1".to_owned(), "mos2".to_owned()], &all)
    }

    fn names(parameters: &Parameters) -> Vec<&str> {
        parameters.free().iter().map(|free| free.name.as_str()).collect()
    }

    #[test]
    fn one_data_set_is_as_it_was() {
        let settings: BTreeMap<String, Setting> = base().into_iter().collect();
        let alone = Parameters::resolve(&model(), &settings).unwrap();
        assert_eq!(resolve_sets(&model(), &["1".to_owned()], &base()).unwrap(), [alone]);
    }

    #[test]
    fn data_sets_have_their_own() {
        let sets = with(&[
            ("Constant.Factor@MOS1", free(0.5, 1.5)),
            ("constant.factor@mos2", tied("constant.factor@mos1", 2.0)),
            ("powerlaw.norm@mos2", tied("powerlaw.norm", 0.5)),
        ])
        .unwrap();
        for set in &sets {
            assert_eq!(names(set), ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "constant.factor@mos1"]);
        }
        let theta = [0.3, 1.7, 0.1, 1.1];
        assert_eq!(sets[0].full(&theta), [1.0, 0.3, 1.7, 0.1]);
        assert_eq!(sets[1].full(&theta), [1.1, 0.3, 1.7, 0.1]);
        assert_eq!(sets[2].full(&theta), [2.2, 0.3, 1.7, 0.05]);
    }

    /// A tie inside of a data set follows what another data set gives.
    #[test]
    fn ties_lead_through_data_sets() {
        let sets = with(&[
            ("tbabs.nH@mos1", tied("powerlaw.norm@mos1", 0.25)),
            ("powerlaw.norm@mos1", tied("powerlaw.norm@pn", 2.0)),
        ])
        .unwrap();
        let theta = [0.3, 1.7, 0.1];
        assert_eq!(names(&sets[1]), ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm"]);
        assert_eq!(sets[1].full(&theta), [1.0, 0.05, 1.7, 0.2]);
        assert_eq!(sets[2].full(&theta), [1.0, 0.3, 1.7, 0.1]);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let wrong = |more: &[(&str, Setting)]| with(more).unwrap_err().to_string();
        assert!(wrong(&[("tbabs.nH@mos3", free(0.0, 1.0))]).contains("no data set is called 'mos3'"));
        let every = ["pn", "mos1", "mos2"].map(|set| (format!("tbabs.nH@{set}"), Setting::Frozen(0.1)));
        let every: Vec<(&str, Setting)> = every.iter().map(|(name, s)| (name.as_str(), s.clone())).collect();
        assert!(wrong(&every).contains("each has a setting of its own"));
        let circle = [
            ("powerlaw.norm@mos1", tied("powerlaw.norm@mos2", 1.0)),
            ("powerlaw.norm@mos2", tied("powerlaw.norm@mos1", 1.0)),
        ];
        assert!(wrong(&circle).contains("circle"));
        assert!(wrong(&[("powerlaw.PhoIndex@mos1", tied("powerlaw.PhoIndex", 5.0))]).contains("hard limits"));
        assert!(
            wrong(&[("powerlaw.norm@mos1", free(0.0, 2.0)), ("Powerlaw.norm@MOS1", free(0.0, 1.0))]).contains("same")
        );
        assert!(wrong(&[("powerlaw.norm@mos1", Setting::Free(Prior::Uniform { lo: 2.0, hi: 1.0 }))]).contains("mos1"));
    }
}
