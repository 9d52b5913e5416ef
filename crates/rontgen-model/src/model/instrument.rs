//! The parameters of a data set's response: gain of its energy scale, tilt of its area.

use super::catalogue::{Component, ParameterInfo};
use super::parameters::{MapEntry, Parameters};
use super::{ComponentInstance, Expr, Kind, Model, Origin, Settings};
use std::sync::Arc;

/// Components that responses have, each with its parameters: name, unit, value where nothing is said, least and largest value.
#[allow(clippy::type_complexity)]
const COMPONENTS: [(&str, &[(&str, &str, f64, f64, f64)]); 2] = [
    ("gain", &[("slope", "", 1.0, 0.5, 2.0), ("offset", "keV", 0.0, -100.0, 100.0)]),
    ("area", &[("tilt", "", 0.0, -5.0, 5.0)]),
];

/// Whether a parameter is one of a response: `gain.offset`, whatever comes behind the dot.
pub fn names(parameter: &str) -> bool {
    let component = parameter.split_once('.').map_or("", |(component, _)| component.trim());
    COMPONENTS.iter().any(|(name, _)| component.eq_ignore_ascii_case(name))
}

/// The parameters of a response as those of a model, which cannot be evaluated: `gain.slope`, `gain.offset` \[keV\], `area.tilt`. All are frozen
/// where nothing is said of them.
pub fn model() -> Model {
    let (mut components, mut parameters) = (Vec::new(), Vec::new());
    for (name, own) in COMPONENTS {
        let info = |&(parameter, unit, default, least, largest): &(&str, &str, f64, f64, f64)| ParameterInfo {
            frozen_by_default: true,
            ..ParameterInfo::new(parameter, unit, default, least, largest)
        };
        let component = Component::new(name, Kind::Multiplicative, own.iter().map(info).collect());
        let first_parameter = parameters.len();
        parameters.extend(component.parameters.iter().map(|info| info.named(name)));
        components.push(ComponentInstance {
            name: name.into(),
            component: Arc::new(component),
            origin: Origin::Catalogue,
            first_parameter,
            written: name.into(),
            frozen: None,
            sight: None,
            asked: None,
        });
    }
    let expression = Expr::Product(Box::new(Expr::Component(0)), Box::new(Expr::Component(1)));
    Model { expression, components, settings: Settings::default(), parameters }
}

/// Where gain and tilt of one response come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResponseMap {
    /// Slope of the gain.
    pub slope: MapEntry,
    /// Offset of the gain \[keV\].
    pub offset: MapEntry,
    /// Power of E/E0 that multiplies the area.
    pub tilt: MapEntry,
}

impl ResponseMap {
    /// The map that [`super::resolve_models`] gives for [`model`]; `None` where the response stays as it is.
    pub fn of(parameters: &Parameters) -> Option<Self> {
        let [slope, offset, tilt] = *parameters.map() else { return None };
        let still = |entry: MapEntry, value: f64| entry.free < 0 && entry.offset == value;
        let nominal = still(slope, 1.0) && still(offset, 0.0) && still(tilt, 0.0);
        (!nominal).then_some(Self { slope, offset, tilt })
    }

    /// Slope, offset and tilt.
    pub fn entries(&self) -> [MapEntry; 3] {
        [self.slope, self.offset, self.tilt]
    }
}
