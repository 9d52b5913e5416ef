//! How far the source of each draw is, for luminosities.

use super::{Integral, Request, range_of};
use crate::model::cosmology::LOG_SPHERE;
use crate::model::{ComponentInstance, Cosmology, Model};
use crate::result::Distance;
use crate::{Error, Result};

/// The redshift of every draw.
pub(super) struct Distances {
    parameter: Option<String>,
    redshift: Vec<f64>,
    /// Least and largest.
    pub range: [f64; 2],
    cosmology: Cosmology,
}

impl Distances {
    /// `None` where no luminosity is asked for.
    pub fn find(model: &Model, full: &[Vec<f64>], request: &Request) -> Result<Option<Self>> {
        if !request.bands.iter().any(|band| band.integral == Integral::Luminosity) {
            return Ok(None);
        }
        if let Some(z) = request.redshift {
            if !(z > 0.0 && z <= 100.0) {
                return Err(Error::Input(format!("--redshift {z}: expected a number above 0 and up to 100")));
            }
            return Ok(Some(Self {
                parameter: None,
                redshift: vec![z; full.len()],
                range: [z, z],
                cosmology: request.cosmology,
            }));
        }
        let named = |k: &usize| {
            let name = model.parameters()[*k].name.rsplit('.').next().unwrap_or_default().to_lowercase();
            let held = |c: &ComponentInstance| c.first_parameter..c.first_parameter + c.component.parameters.len();
            let of = model.components.iter().position(|c| held(c).contains(k));
            (name == "redshift" || name == "z") && of.is_some_and(|of| model.expression.holds(of))
        };
        let all: Vec<usize> = (0..model.parameters().len()).filter(named).collect();
        // A redshift that is 0 for every draw is one that nobody set (in zashift*apec, that of apec).
        let set: Vec<usize> = all.iter().copied().filter(|&k| full.iter().any(|row| row[k] != 0.0)).collect();
        let name = |k: usize| model.parameters()[k].name.clone();
        let Some(&first) = set.first() else {
            let why = match all.first() {
                None => "the model has no redshift".into(),
                Some(&k) => format!("{} is 0", name(k)),
            };
            return Err(Error::Input(format!(
                "--luminosity needs the source's redshift, and {why}: give --redshift Z"
            )));
        };
        if let Some(&other) = set.iter().find(|&&k| full.iter().any(|row| (row[k] - row[first]).abs() > 1e-9)) {
            return Err(Error::Input(format!(
                "--luminosity needs the source's redshift, and {} and {} differ: give --redshift Z",
                name(first),
                name(other)
            )));
        }
        let redshift: Vec<f64> = full.iter().map(|row| row[first]).collect();
        let range = range_of(redshift.iter().copied());
        if range[0] <= 0.0 {
            return Err(Error::Input(format!(
                "--luminosity needs a redshift above 0, and {} is {} for a draw of the posterior: give --redshift Z",
                name(first),
                range[0]
            )));
        }
        Ok(Some(Self { parameter: Some(name(first)), redshift, range, cosmology: request.cosmology }))
    }

    pub fn told(self) -> Distance {
        let Cosmology { h0, q0, lambda0 } = self.cosmology;
        Distance { parameter: self.parameter, redshift: self.range, h0, q0, lambda0 }
    }

    /// Redshift of a draw.
    pub fn redshift(&self, draw: usize) -> f64 {
        self.redshift[draw]
    }

    /// erg/s of a flux (erg/cm2/s) of a draw.
    pub fn luminosity(&self, flux: f64, draw: usize) -> f64 {
        let distance = self.cosmology.luminosity_distance(self.redshift[draw]);
        flux * distance * distance * 10f64.powf(LOG_SPHERE)
    }
}
