//! One list of free parameters for several models and for the instruments that they are seen with.
//!
//! Each model keeps a map of its own from that list to its parameters: [`JointParameters::of`] gives it as [`Parameters`] whose free ones
//! are the whole list, so that whatever takes the parameters of one model takes those of each.

use super::{FreeParameter, MapEntry, ModelError, Parameters, Prior};

/// The free parameters of several models and instruments.
#[derive(Debug, Clone, Default)]
pub struct JointParameters {
    free: Vec<FreeParameter>,
    maps: Vec<Vec<MapEntry>>,
    warnings: Vec<String>,
}

impl JointParameters {
    /// Starts an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a model's parameters and returns its number. `rename` gives each of its free parameters the name it has on the list
    /// (`constant.factor` to `constant.factor@mos1` for a data set's own, all of `nxb` to `nxb:powerlaw.norm`): free parameters of one
    /// name are one parameter.
    ///
    /// # Errors
    /// A name that is on the list already with another prior or unit, or that two of this model's parameters would have.
    pub fn add_model(&mut self, parameters: &Parameters, rename: &dyn Fn(&str) -> String) -> Result<usize, ModelError> {
        let renamed: Vec<FreeParameter> =
            parameters.free().iter().map(|own| FreeParameter { name: rename(&own.name), ..own.clone() }).collect();
        let twice = |(k, own): (usize, &FreeParameter)| renamed[..k].iter().any(|other| other.name == own.name);
        if let Some(k) = renamed.iter().enumerate().position(twice) {
            let text = format!("two free parameters of one model are called {}", renamed[k].name);
            return Err(ModelError::Parameter(text));
        }
        let before = self.free.len();
        let places = renamed.iter().map(|own| self.place(own)).collect::<Result<Vec<usize>, ModelError>>();
        let places = places.inspect_err(|_| self.free.truncate(before))?;
        let placed = |entry: &MapEntry| match usize::try_from(entry.free).ok().and_then(|k| places.get(k)) {
            Some(&place) => MapEntry { free: place as i32, ..*entry },
            None => *entry,
        };
        self.maps.push(parameters.map().iter().map(placed).collect());
        for warning in parameters.warnings() {
            // Models that share parameters share what there is to say of them.
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
        Ok(self.maps.len() - 1)
    }

    /// Adds a parameter of an instrument (a cross-calibration factor, a nuisance of a response), which belongs to no model, and returns
    /// where its value comes from. `unit` may be empty.
    ///
    /// # Errors
    /// A prior that makes no sense, or a name that is on the list already with another prior or unit.
    pub fn add_instrument(&mut self, name: &str, unit: &str, prior: Prior) -> Result<MapEntry, ModelError> {
        if let Some(problem) = prior.problem() {
            return Err(ModelError::Parameter(format!("{name}: {problem}")));
        }
        let own = FreeParameter {
            name: name.into(),
            unit: unit.into(),
            prior,
            is_norm: false,
            model_index: FreeParameter::OF_NO_MODEL,
        };
        let free = self.place(&own)? as i32;
        Ok(MapEntry { free, scale: 1.0, offset: 0.0 })
    }

    /// Where a parameter stands on the list, to which it is added if it is new.
    fn place(&mut self, own: &FreeParameter) -> Result<usize, ModelError> {
        match self.free.iter().position(|known| known.name == own.name) {
            None => {
                self.free.push(own.clone());
                Ok(self.free.len() - 1)
            }
            Some(place) => {
                let known = &self.free[place];
                if known.prior == own.prior && known.unit == own.unit {
                    Ok(place)
                } else {
                    Err(ModelError::Parameter(format!(
                        "{} is free twice, with the priors {:?} and {:?}: expected one prior and unit, or two names",
                        own.name, known.prior, own.prior
                    )))
                }
            }
        }
    }

    /// Where parameter `parameter` of a model comes from.
    pub fn entry(&self, model: usize, parameter: usize) -> Option<MapEntry> {
        self.maps.get(model)?.get(parameter).copied()
    }

    /// Lets parameter `parameter` of a model come from elsewhere, which the caller keeps within its limits.
    pub fn set_entry(&mut self, model: usize, parameter: usize, entry: MapEntry) {
        if let Some(place) = self.maps.get_mut(model).and_then(|map| map.get_mut(parameter)) {
            *place = entry;
        }
    }

    /// The P free parameters, in the order they were added.
    pub fn free(&self) -> &[FreeParameter] {
        &self.free
    }

    /// The parameters of a model: all P free ones, and the map from these to its own. `None` for a number that no model has.
    pub fn of(&self, model: usize) -> Option<Parameters> {
        let map = self.maps.get(model)?.clone();
        Some(Parameters::joined(self.free.clone(), map, self.warnings.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, Setting, Settings};
    use std::collections::BTreeMap;

    fn parameters(expression: &str, settings: &[(&str, Setting)]) -> Parameters {
        let model = Model::parse(expression, &Settings::default()).unwrap();
        let settings: BTreeMap<_, _> = settings.iter().map(|(name, s)| (name.to_string(), s.clone())).collect();
        Parameters::resolve(&model, &settings).unwrap()
    }

    fn uniform(lo: f64, hi: f64) -> Setting {
        Setting::Free(Prior::Uniform { lo, hi })
    }

    #[test]
    fn models_share_what_has_one_name() {
        let source = parameters(
            "tbabs*powerlaw",
            &[
                ("tbabs.nH", uniform(0.0, 1.0)),
                ("powerlaw.PhoIndex", uniform(1.0, 3.0)),
                ("powerlaw.norm", uniform(0.0, 1.0)),
            ],
        );
        let background = parameters(
            "powerlaw",
            &[("powerlaw.PhoIndex", Setting::Frozen(0.5)), ("powerlaw.norm", uniform(0.0, 2.0))],
        );
        let mut joint = JointParameters::new();
        let first = joint.add_model(&source, &str::to_owned).unwrap();
        let own = |name: &str| if name == "powerlaw.norm" { format!("{name}@b") } else { name.to_owned() };
        let second = joint.add_model(&source, &own).unwrap();
        let factor = joint.add_instrument("factor@b", "", Prior::LogNormal { mean_ln: 0.0, sd_ln: 0.1 }).unwrap();
        let third = joint.add_model(&background, &|name| format!("nxb:{name}")).unwrap();
        let names: Vec<&str> = joint.free().iter().map(|free| free.name.as_str()).collect();
        let wanted =
            ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "powerlaw.norm@b", "factor@b", "nxb:powerlaw.norm"];
        assert_eq!(names, wanted);
        let theta = [0.3, 1.7, 0.1, 0.2, 1.1, 0.9];
        let full = |model| joint.of(model).unwrap().full(&theta);
        assert_eq!(full(first), [0.3, 1.7, 0.1]);
        assert_eq!(full(second), [0.3, 1.7, 0.2]);
        assert_eq!(full(third), [0.5, 0.9]);
        assert_eq!((factor.free, factor.scale, factor.offset), (4, 1.0, 0.0));
        assert!(joint.of(3).is_none());
        // The prior is that of the whole list, for each of them.
        let cube = [0.5, 0.25, 0.5, 0.125, 0.5, 0.5];
        assert_eq!(joint.of(third).unwrap().from_cube(&cube), [0.5, 1.5, 0.5, 0.125, 1.0, 1.0]);
    }

    #[test]
    fn one_name_has_one_prior() {
        let source =
            parameters("powerlaw", &[("powerlaw.PhoIndex", uniform(1.0, 3.0)), ("powerlaw.norm", uniform(0.0, 1.0))]);
        let other =
            parameters("powerlaw", &[("powerlaw.PhoIndex", uniform(1.0, 3.0)), ("powerlaw.norm", uniform(0.0, 2.0))]);
        let mut joint = JointParameters::new();
        joint.add_model(&source, &str::to_owned).unwrap();
        let error = joint.add_model(&other, &str::to_owned).unwrap_err().to_string();
        assert!(error.contains("powerlaw.norm is free twice"), "{error}");
        let error = joint.add_model(&source, &|_| "x".into()).unwrap_err().to_string();
        assert!(error.contains("called x"), "{error}");
        assert_eq!((joint.free().len(), joint.maps.len()), (2, 1), "nothing of what was refused stays");
        assert!(joint.add_instrument("factor", "", Prior::Uniform { lo: 2.0, hi: 1.0 }).is_err());
    }
}
