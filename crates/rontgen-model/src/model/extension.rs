//! What an expression may name beside the catalogue: files of table models and components of the user's own.
//!
//! A component of the user's own is code that fills a whole spectrum: an external process (see [`crate::model::external`]) or a
//! type of a program that uses this library. It is evaluated on the host and enters a device's model as a stage whose
//! output is uploaded, so it can stand anywhere in an expression: absorbed, added, convolved.

use super::{
    ModelError,
    catalogue::{self, Component, Kind, Lookup},
};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A spectral component of the user's own.
///
/// ```
/// # extern crate rontgen_model as rontgen;
/// use rontgen::model::{Extensions, Kind, Model, Program, Settings, UserComponent, catalogue::{Component, ParameterInfo}};
/// use std::sync::Arc;
///
/// /// Photons with density norm * e^(-E/fold).
/// #[derive(Debug)]
/// struct Decay(Component);
///
/// impl UserComponent for Decay {
///     fn component(&self) -> &Component {
///         &self.0
///     }
///     fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
///         let fold = parameters[0];
///         for (out, (lo, hi)) in out.iter_mut().zip(bins) {
///             *out = fold * ((-lo / fold).exp() - (-hi / fold).exp());
///         }
///         Ok(())
///     }
/// }
///
/// let fold = ParameterInfo::new("fold", "keV", 2.0, 0.1, 100.0);
/// let decay = Decay(Component::new("decay", Kind::Additive, vec![fold]));
/// let extensions = Extensions { components: vec![Arc::new(decay)], ..Extensions::default() };
/// let model = Model::parse_with("tbabs*(powerlaw+decay)", &Settings::default(), &extensions)?;
/// assert_eq!(model.parameters()[3].name, "decay.fold");
/// let program = Program::new(&model, &[1.0, 2.0, 3.0])?;
/// let mut photons = [0.0; 2];
/// program.evaluate(&[0.0, 2.0, 0.0, 2.0, 1.0], &mut photons);
/// assert!((photons[0] - 2.0 * ((-0.5f64).exp() - (-1.0f64).exp())).abs() < 1e-12);
/// # Ok::<(), rontgen::model::ModelError>(())
/// ```
pub trait UserComponent: Debug + Send + Sync {
    /// Name, kind (additive or multiplicative), parameters and limits. The last parameter of an additive component is its norm
    /// ([`Component::new`] adds it).
    fn component(&self) -> &Component;

    /// Photons/cm2/s in each bin for norm 1 (additive), or the factor (multiplicative). `parameters`: the component's own without
    /// the norm; `bins`: lower and upper edges (keV), ascending and touching; `out`: one number per bin.
    ///
    /// Called by many threads at once. The text of an error is shown with the parameters; the spectrum then counts as undefined.
    fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String>;

    /// What tells whether it is the component that it was, where that does not follow from its name and parameters: a digest of the program or the
    /// table that it computes with. A run whose digest has changed is not gone on with.
    fn digest(&self) -> Option<String> {
        None
    }

    /// Whether many spectra at a time cost less than as many one by one: simulations then call [`Self::evaluate_rows`].
    fn in_rows(&self) -> bool {
        false
    }

    /// The same for n spectra: `parameters` is n x P and `out` n x E, both row-major. Called by one thread at a time where
    /// [`Self::in_rows`] holds.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; all n spectra then count as undefined.
    fn evaluate_rows(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        let rows = out.len().checked_div(bins.len()).unwrap_or(0);
        let width = parameters.len().checked_div(rows).unwrap_or(0);
        for (row, out) in out.chunks_exact_mut(bins.len().max(1)).enumerate() {
            self.evaluate(parameters.get(row * width..(row + 1) * width).unwrap_or(&[]), bins, out)?;
        }
        Ok(())
    }
}

/// Finds a file by its name; the error says where it was looked for.
pub type FindFile<'a> = dyn Fn(&str) -> Result<PathBuf, String> + 'a;

/// How an expression's names that are not in the catalogue are understood.
#[derive(Clone, Default)]
pub struct Extensions<'a> {
    /// Finds the file of a table model by its name in the expression. `None`: as it is written.
    pub find_file: Option<&'a FindFile<'a>>,
    /// Components of the user's own; their names must be new.
    pub components: Vec<Arc<dyn UserComponent>>,
}

impl Extensions<'_> {
    pub(crate) fn find(&self, name: &str) -> Result<PathBuf, String> {
        if let Some(find) = self.find_file {
            return find(name);
        }
        crate::fits::existing(Path::new(name)).ok_or_else(|| "no such file".into())
    }

    /// Refuses names that the catalogue has, or that cannot stand in an expression.
    pub(crate) fn check(&self) -> Result<(), ModelError> {
        for (k, user) in self.components.iter().enumerate() {
            let component = user.component();
            let name = component.name.as_str();
            let refuse = |why: &str| Err(ModelError::Parameter(format!("the component '{name}': {why}")));
            let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !letters {
                return refuse("a name is made of letters, digits and '_', and starts with a letter");
            }
            if matches!(catalogue::find(name), Lookup::Found(known) if known.name.eq_ignore_ascii_case(name)) {
                return refuse("XSPEC has a component of this name; choose another one");
            }
            if self.components[..k].iter().any(|other| other.component().name.eq_ignore_ascii_case(name)) {
                return refuse("it is defined twice");
            }
            if component.kind == Kind::Convolution {
                return refuse("it must be additive or multiplicative; convolutions cannot be added");
            }
            let norm = component.parameters.last().is_some_and(|p| p.is_norm);
            if norm != (component.kind == Kind::Additive) {
                return refuse("an additive component's last parameter is its norm, a multiplicative one has none");
            }
            for (k, p) in component.parameters.iter().enumerate() {
                let ordered = p.hard_min <= p.soft_min && p.soft_min <= p.soft_max && p.soft_max <= p.hard_max;
                if !(ordered && p.default >= p.hard_min && p.default <= p.hard_max) {
                    return refuse(&format!("{}: default and limits are not in order", p.name));
                }
                if p.name.is_empty() || p.name.contains(char::is_whitespace) {
                    return refuse(&format!("'{}' is no name of a parameter", p.name));
                }
                if component.parameters[..k].iter().any(|other| other.name.eq_ignore_ascii_case(&p.name)) {
                    return refuse(&format!("it has two parameters {}", p.name));
                }
            }
        }
        Ok(())
    }
}

impl catalogue::ParameterInfo {
    /// A parameter that is free by default, with hard limits only.
    pub fn new(name: &str, unit: &str, default: f64, min: f64, max: f64) -> Self {
        Self {
            name: name.into(),
            unit: unit.into(),
            default,
            hard_min: min,
            soft_min: min,
            soft_max: max,
            hard_max: max,
            frozen_by_default: false,
            is_norm: false,
            never_free: false,
        }
    }
}

impl Component {
    /// A component of the user's own; an additive one gets its norm (0 to 1e24) behind the parameters.
    pub fn new(name: &str, kind: Kind, mut parameters: Vec<catalogue::ParameterInfo>) -> Self {
        if kind == Kind::Additive && !parameters.last().is_some_and(|p| p.is_norm) {
            let norm = catalogue::ParameterInfo::new("norm", "", 1.0, 0.0, 1e24);
            parameters.push(catalogue::ParameterInfo { is_norm: true, ..norm });
        }
        let text = String::new;
        Self { name: name.into(), kind, parameters, formula: text(), reference: text(), note: text() }
    }
}
