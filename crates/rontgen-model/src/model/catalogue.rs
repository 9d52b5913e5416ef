//! The catalogue of XSPEC's components: names, kinds, parameters, units, defaults and limits.
//!
//! It knows more components than can be evaluated: those without an implementation are recognised so that the error
//! can say so. What is implemented is [`super::components::implemented`].

use super::{components, elsewhere, norms};
use serde::Deserialize;
use std::sync::LazyLock;

/// A component does one of these things to a spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// Emits photons.
    #[serde(rename = "add")]
    Additive,
    /// Multiplies photons by a factor per energy bin.
    #[serde(rename = "mul")]
    Multiplicative,
    /// Moves photons between energy bins.
    #[serde(rename = "con")]
    Convolution,
}

impl Kind {
    /// Returns the word used in messages.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Additive => "additive",
            Kind::Multiplicative => "multiplicative",
            Kind::Convolution => "convolution",
        }
    }
}

/// This describes one parameter of a component or, named in full, of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterInfo {
    /// Name: `PhoIndex` in the catalogue, `powerlaw.PhoIndex` in a model.
    pub name: String,
    /// Unit as XSPEC writes it; empty for none.
    pub unit: String,
    /// Value by default.
    pub default: f64,
    /// Least value that is possible (XSPEC's hard limit).
    pub hard_min: f64,
    /// Least value that XSPEC's fits go to by default.
    pub soft_min: f64,
    /// Largest value that XSPEC's fits go to by default.
    pub soft_max: f64,
    /// Largest value that is possible (XSPEC's hard limit).
    pub hard_max: f64,
    /// Whether XSPEC freezes it by default.
    pub frozen_by_default: bool,
    /// Whether it is a component's norm.
    pub is_norm: bool,
    /// Whether it is a switch or a scale that a fit never varies.
    pub never_free: bool,
}

impl ParameterInfo {
    /// Returns whether a value lies inside the hard limits. Where the lower limit only keeps XSPEC away from an undefined value at 0
    /// (temperatures, cutoffs), 0 is allowed: components have a finite limit there.
    pub fn allows(&self, value: f64) -> bool {
        (value >= self.hard_min || (value == 0.0 && self.zero_is_fine())) && value <= self.hard_max
    }

    pub(crate) fn zero_is_fine(&self) -> bool {
        self.hard_min > 0.0 && self.hard_min <= 0.01
    }

    pub(crate) fn named(&self, component: &str) -> Self {
        Self { name: format!("{component}.{}", self.name), ..self.clone() }
    }
}

/// This describes one component of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Name in XSPEC's spelling; compare without case.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Parameters in XSPEC's order; the norm of an additive component is the last one.
    pub parameters: Vec<ParameterInfo>,
    /// Formula, or what it does in words.
    pub formula: String,
    /// Publication, or a dash.
    pub reference: String,
    /// Remark; empty for none.
    pub note: String,
}

impl Component {
    /// Returns whether this version can evaluate it.
    pub fn available(&self) -> bool {
        components::implemented(&self.name.to_lowercase())
    }
}

/// Components whose physics is a table of numbers that cannot be had: component, what it needs.
const TABLES: [(&str, &str); 6] = [
    ("kerrbb", "the transfer functions of Li et al. (XSPEC's kbb.dat)"),
    ("pexriv", "the ion cross sections of Done et al. (XSPEC's iond_mm.dat)"),
    ("ireflect", "the ion cross sections of Done et al. (XSPEC's iond_mm.dat)"),
    ("absori", "the ion cross sections of Done et al. (XSPEC's iond_mm.dat)"),
    ("zxipcf", "the XSTAR grid of Reeves et al. (zxipcf.mod)"),
    ("heilin", "the line list of neutral helium in XSPEC's code"),
];

impl Component {
    /// Returns why this version cannot evaluate the component; `None` if it can.
    pub fn missing(&self) -> Option<String> {
        if self.available() {
            return None;
        }
        if let Some(kind) = super::table::Kind::of(&self.name) {
            return Some(format!("needs a file: {}{{FILE}}", kind.name()));
        }
        let needs = TABLES.iter().find(|(name, _)| self.name.eq_ignore_ascii_case(name));
        Some(needs.map_or("not available yet".into(), |(_, what)| {
            format!("not available: it needs {what}, which cannot be distributed with this program")
        }))
    }
}

#[derive(Deserialize)]
struct RawParameter {
    name: String,
    unit: String,
    default: f64,
    hard_min: Option<f64>,
    soft_min: Option<f64>,
    soft_max: Option<f64>,
    hard_max: Option<f64>,
    frozen: bool,
    #[serde(default)]
    role: Option<String>,
}

#[derive(Deserialize)]
struct RawComponent {
    name: String,
    kind: Kind,
    params: Vec<RawParameter>,
    formula: String,
    #[serde(default)]
    reference: String,
    #[serde(default)]
    note: String,
}

static COMPONENTS: LazyLock<Vec<Component>> = LazyLock::new(|| {
    // The text is part of the program; a test reads it, so a failure here cannot reach a user.
    let raw: Vec<RawComponent> =
        serde_json::from_str(include_str!("../../../../data/xspec_models.json")).expect("embedded catalogue");
    raw.into_iter()
        .map(|c| Component {
            name: c.name.clone(),
            kind: c.kind,
            parameters: c
                .params
                .into_iter()
                .map(|p| ParameterInfo {
                    name: p.name,
                    unit: match p.role.as_deref() {
                        Some("norm") if p.unit.trim().is_empty() => norms::unit(&c.name).into(),
                        _ if p.unit == "10^22" => "1e22 cm-2".into(),
                        _ => p.unit,
                    },
                    default: p.default,
                    hard_min: p.hard_min.unwrap_or(f64::NEG_INFINITY),
                    soft_min: p.soft_min.unwrap_or(f64::NEG_INFINITY),
                    soft_max: p.soft_max.unwrap_or(f64::INFINITY),
                    hard_max: p.hard_max.unwrap_or(f64::INFINITY),
                    frozen_by_default: p.frozen,
                    is_norm: p.role.as_deref() == Some("norm"),
                    never_free: p.role.as_deref().is_some_and(|r| r.contains("never fitted")),
                })
                .collect(),
            formula: c.formula,
            reference: c.reference,
            note: c.note,
        })
        .collect()
});

/// Returns all components, in XSPEC's usual order (additive, multiplicative, convolution, tables).
pub fn components() -> &'static [Component] {
    &COMPONENTS
}

/// A name was understood in one of these ways.
pub enum Lookup {
    /// A component.
    Found(&'static Component),
    /// An abbreviation of several components: their names.
    Ambiguous(Vec<&'static str>),
    /// A component of XSPEC that is not here, with the one here that comes nearest in kind; empty: none does.
    Elsewhere(&'static str),
    /// Unknown; the nearest known name, if any is near.
    Unknown(Option<&'static str>),
}

/// Finds a component by name or by an unambiguous abbreviation of at least two letters, ignoring case.
pub fn find(name: &str) -> Lookup {
    let wanted = name.to_lowercase();
    if let Some(component) = components().iter().find(|c| c.name.to_lowercase() == wanted) {
        return Lookup::Found(component);
    }
    // Before abbreviations: `meka` is not `mekal`.
    if let Some(nearest) = elsewhere::xspec(&wanted) {
        return Lookup::Elsewhere(nearest);
    }
    if wanted.len() >= 2 {
        let matches: Vec<_> = components().iter().filter(|c| c.name.to_lowercase().starts_with(&wanted)).collect();
        match matches.as_slice() {
            [] => {}
            // `pl` is no abbreviation of plabs to anybody.
            [one] => match elsewhere::component(&wanted) {
                Some(meant) if !meant.eq_ignore_ascii_case(&one.name) => return Lookup::Unknown(Some(meant)),
                _ => return Lookup::Found(one),
            },
            several => return Lookup::Ambiguous(several.iter().map(|c| c.name.as_str()).collect()),
        }
    }
    let meant = elsewhere::component(&wanted);
    Lookup::Unknown(meant.or_else(|| nearest(&wanted, components().iter().map(|c| c.name.as_str()))))
}

/// The candidate with the smallest edit distance, if it is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    candidates
        .map(|c| (strsim::osa_distance(&name, &c.to_lowercase()), c))
        .min_by_key(|(d, _)| *d)
        .filter(|(d, c)| *d <= 2.max(c.len() / 3))
        .map(|(_, c)| c)
}

/// Returns what to say of a component that only XSPEC has.
pub fn elsewhere_hint(nearest: &str) -> String {
    match nearest {
        "" => "XSPEC has it, but there is none like it here".into(),
        nearest => format!("XSPEC has it, but it is not here; the nearest here is '{nearest}', which is not the same"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_is_complete_and_consistent() {
        assert_eq!(components().len(), 118);
        for c in components() {
            for p in &c.parameters {
                assert!(p.hard_min <= p.soft_min && p.soft_max <= p.hard_max, "{}.{}", c.name, p.name);
                assert!(p.default >= p.hard_min && p.default <= p.hard_max, "{}.{}", c.name, p.name);
            }
            let norms = c.parameters.iter().filter(|p| p.is_norm).count();
            assert!(norms == usize::from(c.kind == Kind::Additive) || c.parameters.is_empty(), "{}", c.name);
        }
    }

    #[test]
    fn names_are_found_by_abbreviation_only_when_unambiguous() {
        assert!(matches!(find("TBABS"), Lookup::Found(c) if c.name == "TBabs"));
        assert!(matches!(find("gauss"), Lookup::Found(c) if c.name == "gaussian"));
        assert!(matches!(find("bb"), Lookup::Ambiguous(names) if names.contains(&"bbodyrad")));
        assert!(matches!(find("powerlwa"), Lookup::Unknown(Some("powerlaw"))));
        assert!(matches!(find("xyzzyplugh"), Lookup::Unknown(None)));
        assert!(matches!(find("VNEI"), Lookup::Elsewhere("vapec")));
        assert!(matches!(find("meka"), Lookup::Elsewhere("apec")));
        assert!(matches!(find("plaw"), Lookup::Unknown(Some("powerlaw"))));
        assert!(matches!(find("pl"), Lookup::Unknown(Some("powerlaw"))));
        assert!(matches!(find("power"), Lookup::Found(c) if c.name == "powerlaw"));
    }
}
