//! XSPEC's own values at a few points (tests/data/xspec_points.json), from its routines: parameters, edges (keV) and what each bin holds,
//! photons of an additive component, the factor of a multiplicative one, or what a convolution makes of powerlaw with PhoIndex 1.7.

use super::xspec::{Values, evaluate, ratio};
use rontgen::model::{Kind, Settings, catalogue};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub struct Point {
    pub component: String,
    abund: String,
    xsect: String,
    parameters: BTreeMap<String, f64>,
    pub edges: Vec<f64>,
    pub values: Vec<f64>,
    /// Bound on the relative difference of the f64 form, and its reason.
    pub within: f64,
    why: String,
}

pub fn read() -> Vec<Point> {
    serde_json::from_str(include_str!("../data/xspec_points.json")).unwrap()
}

impl Point {
    pub fn label(&self) -> String {
        format!("{} {} {} ({})", self.component, self.abund, self.xsect, self.why)
    }

    /// What single precision may add: the place of a narrow line, or a steep absorption.
    pub fn single(&self) -> f64 {
        match self.component.as_str() {
            "voigt" | "zvoigt" => 2e-4,
            _ => 2e-5,
        }
    }

    fn kind(&self) -> Kind {
        catalogue::components().iter().find(|c| c.name.eq_ignore_ascii_case(&self.component)).unwrap().kind
    }

    /// Expression with the component, parameters, and the expression it is divided by.
    pub fn expression(&self) -> (String, Vec<(String, f64)>, Option<&'static str>) {
        let mut set: Vec<(String, f64)> =
            self.parameters.iter().map(|(n, v)| (format!("{}.{n}", self.component), *v)).collect();
        let expression = match self.kind() {
            Kind::Additive => return (self.component.clone(), set, None),
            _ => format!("{}*powerlaw", self.component),
        };
        set.push(("powerlaw.PhoIndex".into(), 1.7));
        (expression, set, (self.kind() == Kind::Multiplicative).then_some("powerlaw"))
    }

    pub fn settings(&self) -> Settings {
        Settings::new(&self.abund, &self.xsect).unwrap()
    }

    pub fn evaluate(&self) -> Values {
        let (expression, set, without) = self.expression();
        let with = evaluate(&expression, &self.settings(), &self.edges, &set);
        let Some(without) = without else { return with };
        let without = evaluate(without, &self.settings(), &self.edges, &[("powerlaw.PhoIndex".into(), 1.7)]);
        Values {
            oracle: ratio(&with.oracle, &without.oracle),
            oracle_rounded: ratio(&with.oracle_rounded, &without.oracle_rounded),
            fast: ratio(&with.fast, &without.fast),
        }
    }
}
