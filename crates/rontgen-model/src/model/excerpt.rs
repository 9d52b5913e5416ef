//! Parts of a model: some of its additive components alone, or some of its factors taken as 1. The list of parameters stays that of the
//! whole, so that the same parameter vectors serve whole and parts.

use super::components::{convolution::Convolution, plasma};
use super::{Expr, Kind, Model, ModelError, Origin, catalogue, table};

/// An additive component that has photons only at the energies (keV) from `least` to `most`, because nobody tabulated them elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tabulated {
    /// Its position.
    pub component: usize,
    /// Least energy \[keV\] with photons.
    pub least: f64,
    /// Largest energy \[keV\] with photons.
    pub most: f64,
    /// Whether its emission is taken to end there, as that of AtomDB's plasmas in XSPEC.
    pub ends: bool,
}

/// What is left of a part of an expression.
enum Left {
    /// No photons: every additive component in it was taken out.
    Dark,
    /// A factor of 1.
    One,
    Rest(Expr),
}

impl Expr {
    /// Whether component `k` is part of the expression.
    pub fn holds(&self, k: usize) -> bool {
        match self {
            Expr::Component(own) => *own == k,
            Expr::Convolve(own, inner) => *own == k || inner.holds(k),
            Expr::Sum(a, b) | Expr::Product(a, b) => a.holds(k) || b.holds(k),
        }
    }

    /// Whether a convolution is part of the expression.
    pub fn convolves(&self) -> bool {
        match self {
            Expr::Component(_) => false,
            Expr::Convolve(..) => true,
            Expr::Sum(a, b) | Expr::Product(a, b) => a.convolves() || b.convolves(),
        }
    }
}

impl Model {
    /// Position of a component by its name in parameter names (`powerlaw_2`) or as the expression spells it, whatever the case.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] with the nearest name.
    pub fn component(&self, name: &str) -> Result<usize, ModelError> {
        let wanted = name.trim().to_lowercase();
        let named = self.components.iter().position(|c| c.name == wanted);
        let written = || self.components.iter().position(|c| c.written.to_lowercase() == wanted);
        named.or_else(written).ok_or_else(|| {
            let all = || self.components.iter().map(|c| c.name.as_str());
            let hint = match catalogue::nearest(&wanted, all()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("it has {}", all().collect::<Vec<_>>().join(", ")),
            };
            ModelError::Parameter(format!("no component '{}' in {}; {hint}", name.trim(), self.canonical()))
        })
    }

    /// Positions of the components of a kind that the expression holds, in its order.
    pub fn of_kind(&self, kind: Kind) -> Vec<usize> {
        let fits = |k: &usize| self.components[*k].component.kind == kind && self.expression.holds(*k);
        (0..self.components.len()).filter(fits).collect()
    }

    /// The model without the components `out` (positions): additive ones emit nothing, multiplicative ones are 1. `None` where no additive
    /// component is left.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] where a component such as cflux gives what it acts on a flux of its own, whatever that is: what is left of
    /// it would have the flux of the whole.
    pub fn without(&self, out: &[usize]) -> Result<Option<Model>, ModelError> {
        Ok(match self.reduce(&self.expression, out)? {
            Left::Rest(expression) => Some(Model { expression, ..self.clone() }),
            Left::Dark | Left::One => None,
        })
    }

    fn reduce(&self, expression: &Expr, out: &[usize]) -> Result<Left, ModelError> {
        let one = |left: Left| match left {
            Left::Rest(rest) => Some(Box::new(rest)),
            Left::Dark | Left::One => None,
        };
        Ok(match expression {
            Expr::Component(k) if !out.contains(k) => Left::Rest(expression.clone()),
            Expr::Component(k) => match self.components[*k].component.kind {
                Kind::Additive => Left::Dark,
                Kind::Multiplicative | Kind::Convolution => Left::One,
            },
            Expr::Sum(a, b) => match (self.reduce(a, out)?, self.reduce(b, out)?) {
                (Left::Rest(a), Left::Rest(b)) => Left::Rest(Expr::Sum(Box::new(a), Box::new(b))),
                (rest @ Left::Rest(_), _) | (_, rest) => rest,
            },
            Expr::Product(a, b) => match (self.reduce(a, out)?, self.reduce(b, out)?) {
                (Left::Dark, _) | (_, Left::Dark) => Left::Dark,
                (a, b) => match (one(a), one(b)) {
                    (Some(a), Some(b)) => Left::Rest(Expr::Product(a, b)),
                    (Some(rest), None) | (None, Some(rest)) => Left::Rest(*rest),
                    (None, None) => Left::One,
                },
            },
            Expr::Convolve(k, inner) => match self.reduce(inner, out)? {
                Left::Rest(rest) if rest == **inner => Left::Rest(expression.clone()),
                Left::Rest(rest) => {
                    let instance = &self.components[*k];
                    if Convolution::of(&instance.component.name.to_lowercase()).is_some_and(Convolution::normalises) {
                        let name = |k: &usize| self.components[*k].name.as_str();
                        let gone: Vec<&str> = out.iter().filter(|k| inner.holds(**k)).map(name).collect();
                        return Err(ModelError::Parameter(format!(
                            "{} gives what it acts on the flux that is its parameter, and would give the rest the same without {}; \
                             expected nothing to be taken out of what {} acts on",
                            instance.name,
                            gone.join(" and "),
                            instance.name
                        )));
                    }
                    Left::Rest(Expr::Convolve(*k, Box::new(rest)))
                }
                // A factor that is 1 is so partly, and at any redshift.
                nothing => nothing,
            },
        })
    }

    /// The product of the multiplicative components that act on photons where these are seen, which no convolution does; a program of it
    /// gives the factor in each bin. `None` where there is none.
    pub fn factors(&self) -> Option<Model> {
        fn collect(expression: &Expr, model: &Model, out: &mut Vec<usize>) {
            match expression {
                Expr::Component(k) if model.components[*k].component.kind == Kind::Multiplicative => out.push(*k),
                Expr::Component(_) | Expr::Convolve(..) => {}
                Expr::Sum(a, b) | Expr::Product(a, b) => {
                    collect(a, model, out);
                    collect(b, model, out);
                }
            }
        }
        let mut all = Vec::new();
        collect(&self.expression, self, &mut all);
        let product = |a: Expr, b: Expr| Expr::Product(Box::new(a), Box::new(b));
        let expression = all.into_iter().map(Expr::Component).reduce(product)?;
        Some(Model { expression, ..self.clone() })
    }

    /// The energies of the components that are tables. `range` gives the least and the largest value that a parameter of the model has,
    /// by its position.
    pub fn tabulated(&self, range: &dyn Fn(usize) -> (f64, f64)) -> Vec<Tabulated> {
        let held = self.components.iter().enumerate().filter(|(k, _)| self.expression.holds(*k));
        held.filter_map(|(component, instance)| {
            let (edges, ends, mut next, rescaled, redshifted) = match &instance.origin {
                Origin::Table(table) if table.kind == table::Kind::Additive => {
                    let moves = table.in_place.is_none();
                    let next = instance.first_parameter + table.axes.len() + table.added;
                    let edges = (*table.edges.first()?, *table.edges.last()?);
                    (edges, false, next, moves && table.rescaled, moves && table.redshifted)
                }
                Origin::Catalogue if plasma::is_plasma(&instance.component.name.to_lowercase()) => {
                    let of = instance.component.parameters.iter().position(|p| p.name == "Redshift")?;
                    (plasma::energies(&self.settings)?, true, instance.first_parameter + of, false, true)
                }
                _ => return None,
            };
            let (mut least, mut most) = edges;
            if rescaled {
                let (smallest, largest) = range(next);
                (least, most) = (least * largest, most * smallest);
                next += 1;
            }
            if redshifted {
                let (nearest, farthest) = range(next);
                (least, most) = (least / (1.0 + nearest), most / (1.0 + farthest));
            }
            Some(Tabulated { component, least, most, ends })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Program, Settings};
    use super::*;

    fn model(text: &str) -> Model {
        Model::parse(text, &Settings::default()).unwrap()
    }

    fn without(text: &str, out: &[&str]) -> String {
        let model = model(text);
        let out: Vec<usize> = out.iter().map(|name| model.component(name).unwrap()).collect();
        model.without(&out).unwrap().map_or("nothing".into(), |model| model.canonical())
    }

    #[test]
    fn factors_become_one_and_emitters_dark() {
        for (text, out, left) in [
            ("tbabs*(powerlaw+bbody)", &["tbabs"][..], "powerlaw+bbody"),
            ("tbabs*ztbabs*powerlaw", &["ztbabs"], "tbabs*powerlaw"),
            ("tbabs*ztbabs*powerlaw", &["tbabs", "ztbabs"], "powerlaw"),
            ("tbabs*(powerlaw+edge*bbody)", &["powerlaw"], "tbabs*edge*bbody"),
            ("tbabs*(powerlaw+edge*bbody)", &["bbody"], "tbabs*powerlaw"),
            ("tbabs*zashift(powerlaw+bbody)", &["bbody"], "tbabs*zashift(powerlaw)"),
            ("(partcov*phabs)*powerlaw", &["phabs"], "powerlaw"),
            ("(partcov*(phabs*edge))*powerlaw", &["edge"], "partcov(phabs)*powerlaw"),
            ("powerlaw+powerlaw", &["powerlaw"], "powerlaw"),
            ("tbabs*powerlaw+cflux(bbody)", &["bbody"], "tbabs*powerlaw"),
            ("cflux(tbabs*powerlaw)", &["powerlaw"], "nothing"),
            ("tbabs*cflux*powerlaw", &["tbabs"], "cflux(powerlaw)"),
        ] {
            assert_eq!(without(text, out), left, "{text} without {out:?}");
        }
    }

    #[test]
    fn what_normalises_keeps_what_it_acts_on() {
        for (text, out) in [("cflux(tbabs*powerlaw)", "tbabs"), ("tbabs*clumin(powerlaw+bbody)", "bbody")] {
            let model = model(text);
            let error = model.without(&[model.component(out).unwrap()]).unwrap_err().to_string();
            assert!(error.contains(out) && error.contains("flux"), "{error}");
        }
    }

    #[test]
    fn an_excerpt_takes_the_parameters_of_the_whole() {
        let whole = model("tbabs*(powerlaw+apec+bbody)");
        let part = whole.without(&[whole.component("apec").unwrap(), whole.component("bbody").unwrap()]).unwrap();
        let edges: Vec<f64> = (0..=200).map(|k| 0.3 * 1.02f64.powi(k)).collect();
        let full: Vec<f64> = whole.parameters().iter().map(|p| p.default).collect();
        // Without tables for apec, which the part does not need, there is a program.
        let evaluate = |model: &Model, full: &[f64]| {
            let program = Program::new(model, &edges).unwrap();
            let mut flux = vec![0.0; 200];
            program.evaluate(full, &mut flux);
            flux
        };
        let alone = model("tbabs*powerlaw");
        let own: Vec<f64> = alone.parameters().iter().map(|p| p.default).collect();
        assert_eq!(evaluate(&part.unwrap(), &full), evaluate(&alone, &own));
    }

    #[test]
    fn factors_are_those_outside_of_convolutions() {
        let factors = |text: &str| model(text).factors().map(|factors| factors.canonical());
        assert_eq!(factors("tbabs*(powerlaw+edge*bbody)").as_deref(), Some("tbabs*edge"));
        assert_eq!(factors("tbabs*zashift(phabs*powerlaw)").as_deref(), Some("tbabs"));
        assert_eq!(factors("powerlaw+bbody"), None);
        let factors = model("tbabs*constant*powerlaw").factors().unwrap();
        let program = Program::new(&factors, &[1.0, 1.1, 1.2]).unwrap();
        let mut out = [0.0; 2];
        program.evaluate(&[0.0, 3.0, 1.0, 1.0], &mut out);
        assert_eq!(out, [3.0; 2]);
    }

    #[test]
    fn components_are_found_by_either_name() {
        let model = model("TBabs*(power+powerlaw)");
        assert_eq!(["tbabs", "powerlaw", "power", "PowerLaw_2"].map(|n| model.component(n).unwrap()), [0, 1, 1, 2]);
        let error = model.component("powrlaw").unwrap_err().to_string();
        assert!(error.contains("'powrlaw'") && error.contains("did you mean 'powerlaw'"), "{error}");
        assert!(model.component("gaussian").unwrap_err().to_string().contains("it has tbabs, powerlaw, powerlaw_2"));
        assert_eq!((model.of_kind(Kind::Additive), model.of_kind(Kind::Multiplicative)), (vec![1, 2], vec![0]));
    }
}
