//! The parameters of one model in several data sets: shared, a data set's own (`NAME@SET`), or tied across data sets.

use super::{JointParameters, MapEntry, Model, ModelError, Parameters, Setting, instrument};
use std::collections::BTreeMap;

fn error(text: String) -> ModelError {
    ModelError::Parameter(text)
}

/// A model and the data sets that it stands in.
#[derive(Debug, Clone)]
pub struct ModelGroup<'a> {
    /// Its name, before its parameters' names and a colon; empty for the model of the source.
    pub name: &'a str,
    /// The model.
    pub model: &'a Model,
    /// Its data sets, ascending.
    pub sets: Vec<usize>,
}

impl ModelGroup<'_> {
    /// The name of the group of [`instrument::model`], the parameters of the data sets' responses: no named model has it, and it stands before no
    /// parameter.
    pub const RESPONSES: &'static str = "@response";

    /// Whether parameters are called as they are, without the name of the group.
    fn plain(&self) -> bool {
        self.name.is_empty() || self.name == Self::RESPONSES
    }

    /// A parameter's name on the list of all.
    fn called(&self, parameter: &str) -> String {
        if self.plain() { parameter.to_owned() } else { format!("{}:{parameter}", self.name) }
    }
}

/// One setting of one data set, or of all.
struct Said<'a> {
    /// As it was written.
    key: &'a str,
    group: usize,
    parameter: usize,
    /// `None`: every data set that has none of its own.
    set: Option<usize>,
    setting: &'a Setting,
}

/// A tie where there are several models or data sets; it may lead from one to another.
struct Across {
    owner: usize,
    parameter: usize,
    to: (usize, usize),
    scale: f64,
    offset: f64,
}

/// `MODEL:NAME@SET` in its parts.
struct Name<'a> {
    model: Option<&'a str>,
    parameter: &'a str,
    set: Option<&'a str>,
}

fn split(name: &str) -> Name<'_> {
    let (front, set) = match name.split_once('@') {
        Some((front, set)) => (front, Some(set.trim())),
        None => (name, None),
    };
    match front.split_once(':') {
        Some((model, parameter)) => Name { model: Some(model.trim()), parameter: parameter.trim(), set },
        None => Name { model: None, parameter: front.trim(), set },
    }
}

/// Resolves the parameters of `model` for each of the data sets: [`resolve_models`] with one model.
///
/// # Errors
/// Those of [`resolve_models`].
pub fn resolve_sets(
    model: &Model,
    sets: &[String],
    settings: &[(String, Setting)],
) -> Result<Vec<Parameters>, ModelError> {
    let group = ModelGroup { name: "", model, sets: (0..sets.len()).collect() };
    Ok(resolve_models(&[group], sets, settings)?.remove(0))
}

/// Resolves the parameters of models in data sets: all share one list of free parameters, and have maps of their own, one for each model and
/// data set of it.
///
/// `settings` are (name, setting), with `MODEL:NAME` for named models; `NAME@SET` stands beside `NAME` and is that data set's alone. A tie names
/// a parameter as settings do, of the same data set unless `@SET` says another; a data set's own parameter that is tied to its own
/// name follows the one that the other data sets share. Names are compared without regard to case. Free parameters are called as their settings are.
///
/// # Errors
/// Those of [`Parameters::resolve`], unknown models and data sets, settings that no data set uses, ties in a circle or beyond hard limits.
pub fn resolve_models(
    groups: &[ModelGroup<'_>],
    sets: &[String],
    settings: &[(String, Setting)],
) -> Result<Vec<Vec<Parameters>>, ModelError> {
    let place = |name: &str, key: &str| {
        sets.iter().position(|set| set.eq_ignore_ascii_case(name)).ok_or_else(|| {
            error(format!("'{key}': no data set is called '{name}'; expected one of {}", sets.join(", ")))
        })
    };
    let group_of = |name: Option<&str>, parameter: &str, key: &str| {
        let own =
            if name.is_none() && instrument::names(parameter) { ModelGroup::RESPONSES } else { name.unwrap_or("") };
        let found = groups.iter().position(|group| group.name.eq_ignore_ascii_case(own));
        // A tie may lead to a parameter of a response that nothing is said of.
        if found.is_none() && own == ModelGroup::RESPONSES {
            return Err(error(format!("'{key}': nothing is said of {parameter}")));
        }
        found.ok_or_else(|| {
            let named = groups.iter().filter(|group| !group.plain());
            let known: Vec<&str> = named.map(|group| group.name).collect();
            let known =
                if known.is_empty() { "there is none".to_owned() } else { format!("there is {}", known.join(", ")) };
            error(format!("'{key}': no named model is called '{}'; {known}", name.unwrap_or("")))
        })
    };
    let mut said: Vec<Said<'_>> = Vec::with_capacity(settings.len());
    for (key, setting) in settings {
        let name = split(key);
        let group = group_of(name.model, name.parameter, key)?;
        let parameter = groups[group].model.find(name.parameter)?;
        let set = name.set.map(|set| place(set, key)).transpose()?;
        if let Some(set) = set.filter(|set| !groups[group].sets.contains(set)) {
            return Err(error(format!("'{key}': the model '{}' is none of '{}'", groups[group].name, sets[set])));
        }
        if let Some(other) =
            said.iter().find(|other| (other.group, other.parameter, other.set) == (group, parameter, set))
        {
            return Err(error(format!("'{}' and '{key}' are the same parameter", other.key)));
        }
        said.push(Said { key, group, parameter, set, setting });
    }
    let own = |group: usize, parameter: usize, set: usize| {
        said.iter().find(|one| (one.group, one.parameter, one.set) == (group, parameter, Some(set)))
    };
    for one in said.iter().filter(|one| one.set.is_none()) {
        let members = &groups[one.group].sets;
        if members.iter().all(|&set| own(one.group, one.parameter, set).is_some()) {
            let first = members.first().map_or("", |&set| sets[set].as_str());
            return Err(error(format!(
                "'{}' is said for no data set: each has a setting of its own ({}@{first}, ...)",
                one.key, one.key
            )));
        }
    }
    // Every model in every data set of it, in the order of the list.
    let owners: Vec<(usize, usize)> =
        groups.iter().enumerate().flat_map(|(g, group)| group.sets.iter().map(move |&set| (g, set))).collect();
    let owner_of = |group: usize, set: usize| owners.iter().position(|owner| *owner == (group, set));
    let mut joint = JointParameters::new();
    let mut across: Vec<Across> = Vec::new();
    for (owner, &(g, set)) in owners.iter().enumerate() {
        let (group, infos) = (&groups[g], groups[g].model.parameters());
        let mut here: BTreeMap<String, Setting> = BTreeMap::new();
        let mut of_its_own: Vec<&str> = Vec::new();
        for (parameter, info) in infos.iter().enumerate() {
            let shared = || said.iter().find(|one| (one.group, one.parameter, one.set) == (g, parameter, None));
            let Some(one) = own(g, parameter, set).or_else(shared) else { continue };
            let mut setting = one.setting.clone();
            if one.set.is_some() {
                of_its_own.push(&info.name);
            }
            if let Setting::Tied { to, scale, offset } = one.setting {
                let name = split(to);
                let target_group = group_of(name.model, name.parameter, to)?;
                let target = groups[target_group].model.find(name.parameter);
                let target = target.map_err(|e| error(format!("{} is tied to '{to}': {e}", one.key)))?;
                let target_set = match name.set {
                    Some(other) => place(other, to)?,
                    // Its own name: the parameter that the others share.
                    None if (target_group, target) == (g, parameter) && one.set.is_some() => {
                        let shared = group.sets.iter().find(|&&k| own(g, parameter, k).is_none());
                        *shared.ok_or_else(|| {
                            error(format!("{} is tied to '{to}', which every data set has one of its own of", one.key))
                        })?
                    }
                    None => set,
                };
                let Some(target_owner) = owner_of(target_group, target_set) else {
                    return Err(error(format!(
                        "{} is tied to '{to}', whose model is none of '{}'",
                        one.key, sets[target_set]
                    )));
                };
                if owners.len() > 1 {
                    if !(scale.is_finite() && offset.is_finite()) {
                        return Err(error(format!("{}: scale {scale} and offset {offset} must be finite", one.key)));
                    }
                    // Followed when all maps are known: what it leads to may itself follow another one.
                    let to = (target_owner, target);
                    across.push(Across { owner, parameter, to, scale: *scale, offset: *offset });
                    setting = Setting::Frozen(info.default);
                } else {
                    setting = Setting::Tied { to: infos[target].name.clone(), scale: *scale, offset: *offset };
                }
            }
            here.insert(info.name.clone(), setting);
        }
        let parameters = Parameters::resolve(group.model, &here).map_err(|e| match (owners.len(), group.name) {
            (1, _) => e,
            (_, "" | ModelGroup::RESPONSES) => error(format!("data set '{}': {e}", sets[set])),
            (_, name) => {
                // Advice names parameters as the list does.
                let mut text = e.to_string();
                for info in infos {
                    text = text.replace(&format!("\"{}\"", info.name), &format!("\"{}\"", group.called(&info.name)));
                }
                error(format!("model '{name}' of data set '{}': {text}", sets[set]))
            }
        })?;
        let parameters = match group.name {
            ModelGroup::RESPONSES => parameters.of_no_model(),
            _ => parameters,
        };
        let rename = |free: &str| match of_its_own.contains(&free) {
            true => format!("{}@{}", group.called(free), sets[set]),
            false => group.called(free),
        };
        joint.add_model(&parameters, &rename)?;
    }
    follow(groups, sets, &owners, &mut joint, across)?;
    let mut all = (0..owners.len()).filter_map(|owner| joint.of(owner));
    Ok(groups.iter().map(|group| all.by_ref().take(group.sets.len()).collect()).collect())
}

/// Puts what ties lead to into the maps: first those that lead to no other tie.
fn follow(
    groups: &[ModelGroup<'_>],
    sets: &[String],
    owners: &[(usize, usize)],
    joint: &mut JointParameters,
    mut waiting: Vec<Across>,
) -> Result<(), ModelError> {
    let info = |tie: &Across| &groups[owners[tie.owner].0].model.parameters()[tie.parameter];
    let called = |tie: &Across| {
        let (group, set) = owners[tie.owner];
        format!("{}@{}", groups[group].called(&info(tie).name), sets[set])
    };
    while !waiting.is_empty() {
        let open: Vec<(usize, usize)> = waiting.iter().map(|tie| (tie.owner, tie.parameter)).collect();
        let (ready, rest): (Vec<Across>, Vec<Across>) = waiting.into_iter().partition(|tie| !open.contains(&tie.to));
        if ready.is_empty() {
            let names: Vec<String> = rest.iter().map(called).collect();
            return Err(error(format!("these parameters are tied in a circle: {}", names.join(" -> "))));
        }
        for tie in ready {
            let (name, info) = (called(&tie), info(&tie));
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
            joint.set_entry(tie.owner, tie.parameter, entry);
        }
        waiting = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FreeParameter, Prior, Settings};

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
    fn named_models_have_their_own() {
        let (source, background) = (model(), Model::parse("powerlaw+gaussian", &Settings::default()).unwrap());
        let sets = ["pn".to_owned(), "mos1".to_owned()];
        let groups = [
            ModelGroup { name: "", model: &source, sets: vec![0, 1] },
            ModelGroup { name: "nxb", model: &background, sets: vec![1] },
        ];
        let mut settings = base();
        settings.extend(
            [
                ("nxb:powerlaw.PhoIndex", tied("powerlaw.PhoIndex", 0.5)),
                ("NXB:powerlaw.norm", free(0.0, 5.0)),
                ("nxb:gaussian.LineE", Setting::Frozen(1.5)),
                ("nxb:gaussian.Sigma", Setting::Frozen(0.1)),
                ("nxb:gaussian.norm@mos1", free(0.0, 2.0)),
                ("powerlaw.norm@mos1", tied("nxb:powerlaw.norm", 2.0)),
            ]
            .map(|(name, setting)| (name.to_owned(), setting)),
        );
        let all = resolve_models(&groups, &sets, &settings).unwrap();
        assert_eq!((all[0].len(), all[1].len()), (2, 1));
        let wanted = ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "nxb:powerlaw.norm", "nxb:gaussian.norm@mos1"];
        assert_eq!(names(&all[1][0]), wanted);
        let theta = [0.3, 1.8, 0.1, 0.4, 0.7];
        assert_eq!(all[0][0].full(&theta), [1.0, 0.3, 1.8, 0.1]);
        assert_eq!(all[0][1].full(&theta), [1.0, 0.3, 1.8, 0.8]);
        assert_eq!(all[1][0].full(&theta), [0.9, 0.4, 1.5, 0.1, 0.7]);
        let wrong = |name: &str| {
            let mut settings = settings.clone();
            settings.push((name.to_owned(), Setting::Frozen(1.0)));
            resolve_models(&groups, &sets, &settings).unwrap_err().to_string()
        };
        assert!(wrong("sky:powerlaw.norm").contains("no named model is called 'sky'; there is nxb"));
        assert!(wrong("nxb:powerlaw.norm@pn").contains("none of 'pn'"));
    }

    #[test]
    fn responses_have_parameters_of_their_own() {
        let (source, responses) = (model(), instrument::model());
        let sets = ["pn".to_owned(), "mos1".to_owned(), "mos2".to_owned()];
        let groups = [
            ModelGroup { name: "", model: &source, sets: vec![0, 1, 2] },
            ModelGroup { name: ModelGroup::RESPONSES, model: &responses, sets: vec![0, 1, 2] },
        ];
        let normal = |sd| Setting::Free(Prior::Normal { mean: 0.0, sd });
        let resolved = |more: &[(&str, Setting)]| {
            let mut settings = base();
            settings.extend(more.iter().map(|(name, setting)| (name.to_string(), setting.clone())));
            resolve_models(&groups, &sets, &settings)
        };
        let all = resolved(&[
            ("Gain.Offset@MOS1", normal(0.005)),
            ("gain.offset@mos2", tied("gain.offset@mos1", -1.0)),
            ("area.tilt", normal(0.02)),
            ("gain.slope@pn", Setting::Frozen(1.01)),
        ])
        .unwrap();
        let wanted = ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "area.tilt", "gain.offset@mos1"];
        assert_eq!(names(&all[0][2]), wanted);
        let offset = &all[0][0].free()[4];
        assert_eq!(
            (offset.unit.as_str(), offset.is_norm, offset.model_index),
            ("keV", false, FreeParameter::OF_NO_MODEL)
        );
        let shifts: Vec<Vec<f64>> = all[1].iter().map(|one| one.full(&[0.3, 1.7, 0.1, 0.02, 0.004])).collect();
        assert_eq!(shifts, [[1.01, 0.0, 0.02], [1.0, 0.004, 0.02], [1.0, -0.004, 0.02]]);
        let wrong = |name: &str, setting: Setting| resolved(&[(name, setting)]).unwrap_err().to_string();
        assert!(wrong("gain.offset@mos3", normal(0.1)).contains("no data set is called 'mos3'"));
        assert!(wrong("gain.curvature", normal(0.1)).contains("no parameter 'gain.curvature'"));
        assert!(wrong("gain.slope", Setting::Frozen(0.0)).contains("hard limits"));
        assert!(wrong("gain.slope@mos1", free(-1.0, 1.0)).contains("hard limits"));
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
