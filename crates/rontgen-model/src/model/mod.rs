//! Spectral models: XSPEC expressions, parameters and priors, the catalogue of components, and their evaluation.
//!
//! The path through the folder is the path of a model: [`expression`] (text to tree), [`catalogue`] (names and limits),
//! [`parameters`] and [`prior`] (what is free), [`program`] (the tree laid out on an energy grid, evaluated in f64,
//! vectorised f32, or handed out as WGSL).
//!
//! Every additive component returns photons/cm2/s INTEGRATED over each bin, not a density.

pub mod catalogue;
pub mod components;
pub mod cosmology;
mod digest;
pub mod elsewhere;
mod excerpt;
pub mod expression;
pub mod extension;
pub mod external;
pub mod grid;
pub mod instrument;
mod joint;
mod norms;
pub mod parameters;
mod parts;
mod plan;
pub mod prior;
pub mod program;
pub mod real;
pub mod reflection;
pub mod relativity;
mod sets;
pub mod table;
mod wgsl;

pub(crate) use crate::numerics::special;
pub use catalogue::{Kind, ParameterInfo};
pub use cosmology::Cosmology;
pub use digest::digest_of;
pub use excerpt::Tabulated;
pub use expression::Expr;
pub use extension::{Extensions, UserComponent};
pub use instrument::ResponseMap;
pub use joint::JointParameters;
pub use parameters::{FreeParameter, MapEntry, Parameters, Setting};
pub use parts::additive_parts;
pub use prior::Prior;
pub use program::{Program, Scratch};
pub use sets::{ModelGroup, resolve_models, resolve_sets};
pub use wgsl::Stage;

use crate::atomic;
use components::{plasma::Frozen, reflection::Asked, relativistic::Sight};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// erg per keV.
pub const ERG_PER_KEV: f64 = 1.602_176_634e-9;

/// A model expression, parameter or prior that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// The expression cannot be read; the text shows it with a caret under the place.
    #[error("model expression: {message}\n  {text}\n  {marker}")]
    Expression {
        /// What is wrong.
        message: String,
        /// The expression.
        text: String,
        /// Spaces and carets that mark the place below `text`.
        marker: String,
    },
    /// A parameter is unknown, unset, given twice or given a value it cannot have. The text names it.
    #[error("{0}")]
    Parameter(String),
    /// A setting (abundance or cross-section table) is unknown.
    #[error("{0}")]
    Settings(String),
    /// The file of a table model cannot be found, read or used. The text names HDU, keyword or row.
    #[error("{}: {message}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The energy grid cannot carry a model.
    #[error("energy grid: {0}")]
    Grid(String),
    /// The tables of plasma emission cannot be had.
    #[error(transparent)]
    Atomic(#[from] atomic::atomdb::AtomDbError),
}

/// XSPEC keeps these tables as global settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Abundance table (`abund`): angr, aspl, feld, aneb, grsa, wilm, lodd, lpgp, lpgs.
    pub abundances: String,
    /// Photoelectric cross sections (`xsect`) of the phabs family: vern, bcmc or obcm. The TBabs family has its own.
    pub cross_sections: String,
    /// Folder with AtomDB's tables of plasma emission. `None`: where the program looks by itself, see [`atomic::atomdb::look_in`].
    pub atomdb: Option<PathBuf>,
    /// Folder with xillver's tables, or one of them. `None`: where the program looks by itself, see [`reflection::look_in`].
    pub xillver: Option<PathBuf>,
    /// Whether reflection by such a table is scaled so that its norm is the photons/keV/cm2/s at 3 keV.
    pub renormalize: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            abundances: "wilm".into(),
            cross_sections: "vern".into(),
            atomdb: None,
            xillver: None,
            renormalize: false,
        }
    }
}

impl Settings {
    /// Checks both names (case-insensitive); the error lists what exists.
    pub fn new(abundances: &str, cross_sections: &str) -> Result<Self, ModelError> {
        let settings = Self {
            abundances: abundances.trim().to_lowercase(),
            cross_sections: cross_sections.trim().to_lowercase(),
            ..Self::default()
        };
        settings.validate()?;
        Ok(settings)
    }

    /// Returns the settings with the folder of AtomDB's tables.
    pub fn with_atomdb(self, folder: Option<PathBuf>) -> Self {
        Self { atomdb: folder, ..self }
    }

    /// Returns the settings with the folder of xillver's tables (or one of them), and whether the norm of reflection by them is the flux at 3 keV.
    pub fn with_xillver(self, folder: Option<PathBuf>, renormalize: bool) -> Self {
        Self { xillver: folder, renormalize, ..self }
    }

    fn validate(&self) -> Result<(), ModelError> {
        let known = atomic::abundance_tables();
        if !known.contains(&self.abundances.as_str()) {
            let meant = elsewhere::abundances(&self.abundances);
            let meant = meant.or_else(|| catalogue::nearest(&self.abundances, known.iter().copied()));
            let hint = meant.map_or(String::new(), |name| format!(" (did you mean '{name}'?)"));
            return Err(ModelError::Settings(format!(
                "abundances: no table '{}'{hint}; there are {}",
                self.abundances,
                known.join(", ")
            )));
        }
        match self.cross_sections.as_str() {
            "vern" | "bcmc" | "obcm" => Ok(()),
            other => {
                Err(ModelError::Settings(format!("cross_sections: no table '{other}'; there are vern, bcmc, obcm")))
            }
        }
    }
}

/// A component of an expression comes from one of these.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The catalogue of XSPEC's components.
    Catalogue,
    /// The file of a table model.
    Table(Arc<table::TableModel>),
    /// Code of the user's own.
    User(Arc<dyn UserComponent>),
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Origin::Catalogue, Origin::Catalogue) => true,
            (Origin::Table(a), Origin::Table(b)) => Arc::ptr_eq(a, b) || a == b,
            (Origin::User(a), Origin::User(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// This is one component of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ComponentInstance {
    /// Name that its parameters' names begin with: `powerlaw`, then `powerlaw_2`, ...
    pub name: String,
    /// The component's entry in the catalogue, or what its file or code says.
    pub component: Arc<catalogue::Component>,
    /// Where it comes from.
    pub origin: Origin,
    /// Position of its first parameter among the model's.
    pub first_parameter: usize,
    /// As it was written in the expression (abbreviations stay).
    pub written: String,
    /// What a run leaves fixed of a plasma; see [`Model::fix_tables`].
    pub(crate) frozen: Option<Arc<Frozen>>,
    /// The rays that a relativistic component needs for a run's parameters; `None`: for any.
    pub(crate) sight: Option<Arc<Sight>>,
    /// What a run's parameters ask of a table of reflection; `None`: everything.
    pub(crate) asked: Option<Arc<Asked>>,
}

impl ComponentInstance {
    /// What it asks of a table of reflection, if it needs one, where its k-th parameter lies in `range(k)`.
    pub(crate) fn asks(&self, range: impl Fn(usize) -> Option<(f64, f64)>) -> Option<Asked> {
        match self.origin {
            Origin::Catalogue => Asked::of(&self.component.name.to_lowercase(), self.component.parameters.len(), range),
            _ => None,
        }
    }
}

/// Points that are told of one by one.
const MOST_REMARKS: usize = 5;

/// This is a parsed and type-checked model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Tree of the expression.
    pub expression: Expr,
    /// Components in the order of the expression.
    pub components: Vec<ComponentInstance>,
    /// Abundances, cross sections and tables.
    pub settings: Settings,
    parameters: Vec<ParameterInfo>,
}

impl Model {
    /// Parses an XSPEC expression. The whole must be additive: something that emits photons.
    ///
    /// Files of table models are looked for as they are written.
    pub fn parse(text: &str, settings: &Settings) -> Result<Self, ModelError> {
        Self::parse_with(text, settings, &Extensions::default())
    }

    /// Parses as [`Model::parse`], with components of the user's own and another place for files.
    pub fn parse_with(text: &str, settings: &Settings, extensions: &Extensions<'_>) -> Result<Self, ModelError> {
        settings.validate()?;
        extensions.check()?;
        let (expression, written) = expression::parse(text, extensions)?;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut components = Vec::with_capacity(written.len());
        let mut parameters = Vec::new();
        for expression::Written { component, origin, text: written } in written {
            let base = component.name.to_lowercase();
            let count = seen.entry(base.clone()).or_insert(0);
            *count += 1;
            let name = if *count == 1 { base } else { format!("{base}_{count}") };
            let first_parameter = parameters.len();
            parameters.extend(component.parameters.iter().map(|p| p.named(&name)));
            components.push(ComponentInstance {
                name,
                component,
                origin,
                first_parameter,
                written,
                frozen: None,
                sight: None,
                asked: None,
            });
        }
        Ok(Self { expression, components, settings: settings.clone(), parameters })
    }

    /// Returns all M parameters in XSPEC's order: by component as written, each component's own order inside.
    pub fn parameters(&self) -> &[ParameterInfo] {
        &self.parameters
    }

    /// Returns the tables of its components.
    pub fn tables(&self) -> impl Iterator<Item = &table::TableModel> {
        self.components.iter().filter_map(|component| match &component.origin {
            Origin::Table(table) => Some(table.as_ref()),
            _ => None,
        })
    }

    /// Returns the tables of its components that are in channels (`pca{FILE}`), not in energies.
    pub fn in_channels(&self) -> Vec<&table::TableModel> {
        self.tables().filter(|table| table.kind == table::Kind::Channels).collect()
    }

    /// Returns whether nothing in it needs energies: components in channels, and constants.
    pub fn is_in_channels(&self) -> bool {
        let channels = self.in_channels().len();
        let constants = self.components.iter().filter(|c| c.component.name.eq_ignore_ascii_case("constant")).count();
        channels > 0 && channels + constants == self.components.len()
    }

    /// Priors of these parameters, as a run file writes them, by the spectra that a file of principal components was made from.
    fn training_priors(&self, names: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        for component in &self.components {
            let Origin::Table(table) = &component.origin else { continue };
            for (k, (mean, deviation)) in table.training.iter().flat_map(|t| t.factors.iter()).enumerate() {
                let name = self.parameters.get(component.first_parameter + k).map_or("", |info| info.name.as_str());
                if names.contains(&name) {
                    told.push(format!("\"{name}\" = {{ normal = [{mean:.4e}, {deviation:.4e}] }}"));
                }
            }
        }
        told
    }

    /// Returns what is to be said of the files of its table models.
    pub fn remarks(&self) -> Vec<String> {
        let tables = self.components.iter().filter(|c| matches!(c.origin, Origin::Table(_)));
        let noted = tables.filter(|c| !c.component.note.is_empty());
        noted.map(|c| format!("{}: {}", c.written, c.component.note)).collect()
    }

    /// Returns the expression in canonical spelling; parsing it again gives the same tree.
    pub fn canonical(&self) -> String {
        let name = |c: &ComponentInstance| match c.origin {
            // The name of a file keeps its case.
            Origin::Table(_) => c.written.clone(),
            _ => c.component.name.to_lowercase(),
        };
        self.expression.print(&self.components.iter().map(name).collect::<Vec<_>>())
    }

    /// Returns the model for any values of its free parameters, also outside of the priors that [`Model::fix_tables`] was given.
    pub fn beyond_priors(&self) -> Self {
        let mut model = self.clone();
        for instance in &mut model.components {
            (instance.frozen, instance.sight, instance.asked) = (None, None, None);
        }
        model
    }

    /// Interpolates the model's tables once and for all where `parameters` fixes a parameter of theirs: they become as many times
    /// smaller. And broadened plasmas whose velocity is fixed become tables, which are many times faster; rays near rotating holes are traced
    /// for the spins, inclinations and heights of the priors only. From then on the f32 forms (with rays also the f64 form) may be evaluated
    /// for these fixed values only, and inside of the priors.
    pub fn fix_tables(&mut self, parameters: &Parameters) {
        for instance in &mut self.components {
            instance.frozen = match &instance.origin {
                Origin::Catalogue => {
                    Frozen::of(&instance.component.name.to_lowercase(), parameters, instance.first_parameter)
                }
                _ => None,
            }
            .map(Arc::new);
            instance.sight = match &instance.origin {
                Origin::Catalogue => Sight::of(&instance.component.name.to_lowercase(), |k| {
                    parameters.range(instance.first_parameter + k)
                }),
                _ => None,
            }
            .map(Arc::new);
            instance.asked = instance.asks(|k| parameters.range(instance.first_parameter + k)).map(Arc::new);
            let Origin::Table(table) = &instance.origin else { continue };
            let own = instance.first_parameter..instance.first_parameter + instance.component.parameters.len();
            let map = parameters.map().get(own).unwrap_or(&[]);
            let fixed: Vec<Option<f64>> = map.iter().map(|entry| (entry.free < 0).then_some(entry.offset)).collect();
            if fixed.iter().any(Option::is_some) {
                instance.origin = Origin::Table(Arc::new(table.fixed(&fixed)));
            }
        }
    }

    /// Traces rays near rotating holes only for what lies between these points (each all M parameters) when a program is made. From then on the model
    /// may be evaluated there only. Returns a remark for each point, up to a few, at which a disc or a lamp is not where its parameters say.
    ///
    /// # Errors
    /// As [`Model::check`]; switches that are neither 0 nor 1, by the number of the point.
    pub fn look_from(&mut self, points: &[&[f64]]) -> Result<Vec<String>, ModelError> {
        let mut remarks = Vec::new();
        for instance in self.components.iter_mut().filter(|instance| matches!(instance.origin, Origin::Catalogue)) {
            let first = instance.first_parameter;
            let parameter = |k: usize| self.parameters.get(first + k).map_or("", |p| p.name.as_str());
            let told = |point: Option<usize>, k: usize, text: &str| match point {
                Some(n) if points.len() > 1 => format!("point {}, {}: {text}", n + 1, parameter(k)),
                _ => format!("{}: {text}", parameter(k)),
            };
            let refuse =
                |point: Option<usize>, (k, text): (usize, String)| Err(ModelError::Parameter(told(point, k, &text)));
            let at = |point: &[f64], k: usize| point.get(first + k).map(|x| (*x, *x));
            let range = |k: usize| {
                let values = points.iter().filter_map(|point| at(point, k));
                values.reduce(|range, (x, _)| (range.0.min(x), range.1.max(x)))
            };
            let name = instance.component.name.to_lowercase();
            let mut wrong = Vec::new();
            for (n, point) in points.iter().enumerate() {
                if let Some(switch) = Sight::between_switches(&name, |k| at(point, k)) {
                    return refuse(Some(n), switch);
                }
                wrong.extend(Sight::problem(&name, |k| at(point, k)).map(|found| (n, found)));
            }
            let all = wrong.len();
            if all == points.len()
                && let Some((n, found)) = wrong.first()
            {
                return refuse(Some(*n), found.clone());
            }
            for (n, (k, text)) in wrong.into_iter().take(MOST_REMARKS) {
                remarks.push(format!("{}; here {}", told(Some(n), k, &text), Sight::instead(&name, k)));
            }
            if all > MOST_REMARKS {
                remarks.push(format!("{}: {} more points like these", instance.written, all - MOST_REMARKS));
            }
            instance.sight = Sight::of(&name, range).map(Arc::new);
            instance.asked = instance.asks(range).map(Arc::new);
            // What all points together ask for may be no fault of any.
            if let Some(asked) = &instance.asked
                && asked.problem(&self.settings)?.is_some()
            {
                for (n, point) in points.iter().enumerate() {
                    let own = instance.asks(|k| at(point, k));
                    if let Some(found) = own.map(|own| own.problem(&self.settings)).transpose()?.flatten() {
                        return refuse(Some(n), found);
                    }
                }
            }
        }
        Ok(remarks)
    }

    /// Tells of tables of reflection that do not reach as far as a band of energies (keV).
    ///
    /// # Errors
    /// A table that is there but cannot be read, or is one of another kind.
    pub fn narrow_tables(&self, band: (f64, f64)) -> Result<Vec<String>, ModelError> {
        let asked = self.components.iter().filter_map(|instance| match &instance.asked {
            Some(asked) => Some(asked.as_ref().clone()),
            None => instance.asks(|_| None),
        });
        let narrow = asked.map(|asked| asked.narrow(&self.settings, band)).collect::<Result<Vec<_>, _>>()?;
        Ok(narrow.into_iter().flatten().collect())
    }

    /// Checks what only several parameters together decide: discs that lie inside of the innermost stable orbit for every spin that the parameters
    /// allow, lamps inside of the horizon.
    ///
    /// # Errors
    /// [`ModelError::Parameter`], which names the parameter, what was found and what was expected.
    pub fn check(&self, parameters: &Parameters) -> Result<(), ModelError> {
        for instance in self.components.iter().filter(|instance| matches!(instance.origin, Origin::Catalogue)) {
            let range = |k: usize| parameters.range(instance.first_parameter + k);
            if let Some((k, text)) = Sight::problem(&instance.component.name.to_lowercase(), range) {
                let name = self.parameters.get(instance.first_parameter + k).map_or("", |p| p.name.as_str());
                return Err(ModelError::Parameter(format!("{name}: {text}")));
            }
            if let Some(asked) = instance.asks(range)
                && let Some((k, text)) = asked.problem(&self.settings)?
            {
                let name = self.parameters.get(instance.first_parameter + k).map_or("", |p| p.name.as_str());
                return Err(ModelError::Parameter(format!("{name}: {text}")));
            }
        }
        Ok(())
    }

    /// The parameter that `component.parameter` (in small letters) means with other words for either: `pl.gamma`, `nh`.
    fn meant(&self, wanted: &str) -> Option<&str> {
        let (component, parameter) = wanted.split_once('.').unwrap_or(("", wanted));
        let called = elsewhere::component(component).unwrap_or(component);
        let fits = |c: &&ComponentInstance| {
            component.is_empty() || c.name == component || c.name == called || c.written.to_lowercase() == component
        };
        self.components.iter().filter(fits).find_map(|c| {
            let own: Vec<&str> = c.component.parameters.iter().map(|p| p.name.as_str()).collect();
            let name = elsewhere::parameter(parameter, &own)
                .or_else(|| own.iter().copied().find(|name| name.eq_ignore_ascii_case(parameter)))?;
            let k = c.component.parameters.iter().position(|p| p.name == name)?;
            self.parameters.get(c.first_parameter + k).map(|p| p.name.as_str())
        })
    }

    /// Finds the position of a parameter by name, ignoring case; the component may be spelt as in the expression.
    ///
    /// # Errors
    /// [`ModelError::Parameter`], which names the nearest known parameter.
    pub fn find(&self, name: &str) -> Result<usize, ModelError> {
        let wanted = name.trim().to_lowercase();
        if let Some(k) = self.parameters.iter().position(|p| p.name.to_lowercase() == wanted) {
            return Ok(k);
        }
        if let Some((component, parameter)) = wanted.split_once('.') {
            let instance = self.components.iter().find(|c| c.written.to_lowercase() == component);
            if let Some(instance) = instance {
                let own = &instance.component.parameters;
                if let Some(k) = own.iter().position(|p| p.name.to_lowercase() == parameter) {
                    return Ok(instance.first_parameter + k);
                }
            }
        }
        let nearest = self.meant(&wanted);
        let nearest = nearest.or_else(|| catalogue::nearest(&wanted, self.parameters.iter().map(|p| p.name.as_str())));
        Err(ModelError::Parameter(match nearest {
            Some(near) => format!("no parameter '{}' in {}; did you mean '{near}'?", name.trim(), self.canonical()),
            None => format!(
                "no parameter '{}' in {}; it has {}",
                name.trim(),
                self.canonical(),
                self.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        }))
    }
}
