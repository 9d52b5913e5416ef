//! A problem that several of Python's objects share.

use crate::written::Written;
use rontgen::analysis::Problem;
use rontgen::model::UserComponent;
use rontgen::run::setup;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// What several objects share of a problem.
pub struct Shared {
    /// The run file with everything that it names.
    pub case: setup::Case,
    /// Where data are looked for.
    pub data: Option<PathBuf>,
    /// Components that Python functions compute.
    pub components: Vec<Arc<Written>>,
    /// The parameters of a mock.
    pub truth: Option<Vec<f64>>,
}

/// A problem that is shared.
#[derive(Clone)]
pub struct Held(pub Arc<Shared>);

impl Deref for Held {
    type Target = Problem;

    fn deref(&self) -> &Problem {
        &self.0.case.problem
    }
}

/// Components in the terms of the model.
pub fn user(components: &[Arc<Written>]) -> Vec<Arc<dyn UserComponent>> {
    components.iter().map(|component| component.clone() as Arc<dyn UserComponent>).collect()
}
