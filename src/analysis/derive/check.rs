//! What cannot be derived from any draw.

use super::distance::Distances;
use super::{Band, Integral, Request, range_of};
use crate::model::{Model, Tabulated};
use crate::result::numbers::short;
use crate::{Error, Result};

/// Highest energy that a model may be asked for, keV.
const HIGHEST: f64 = 1e6;

/// Refuses requests that make no sense whatever the model.
pub(super) fn request(request: &Request) -> Result<()> {
    if request.bands.is_empty() && request.equivalent_widths.is_empty() {
        let text = "nothing to derive; expected --flux, --photons or --luminosity with two energies, or --eqw with a component";
        return Err(Error::Input(text.into()));
    }
    for (option, given) in [("--unabsorbed", !request.unabsorbed.is_empty()), ("--by-component", request.by_component)]
    {
        if given && request.bands.is_empty() {
            let text = format!("{option} needs a band: --flux, --photons or --luminosity with two energies");
            return Err(Error::Input(text));
        }
    }
    for &Band { integral, lo, hi } in &request.bands {
        let refuse = |text: String| Err(Error::Input(format!("{} {lo} {hi}: {text}", integral.option())));
        if !(lo.is_finite() && hi.is_finite()) || lo <= 0.0 || hi > HIGHEST {
            return refuse(format!("expected energies above 0 and up to {HIGHEST:e} keV"));
        }
        if lo >= hi {
            return refuse("the band is empty; expected the lower energy first".into());
        }
    }
    Ok(())
}

/// Refuses bands beyond the energies of a table model, which has no photons there; and says where plasmas have none.
pub(super) fn tables(
    model: &Model,
    full: &[Vec<f64>],
    request: &Request,
    distance: Option<&Distances>,
) -> Result<Vec<String>> {
    let ends = |k: usize| range_of(full.iter().map(|row| row[k]));
    let mut warnings = Vec::new();
    for Tabulated { component, least, most, ends } in model.tabulated(&|k| ends(k).into()) {
        let name = &model.components[component].name;
        for &Band { integral, lo, hi } in &request.bands {
            let (seen_lo, seen_hi) = match (integral, distance) {
                (Integral::Luminosity, Some(d)) => (lo / (1.0 + d.range[1]), hi / (1.0 + d.range[0])),
                _ => (lo, hi),
            };
            if seen_lo >= least * (1.0 - 1e-6) && seen_hi <= most * (1.0 + 1e-6) {
                continue;
            }
            let text = format!(
                "{} {lo} {hi}: {name} is tabulated from {} to {} keV only",
                integral.option(),
                short(least),
                short(most)
            );
            match ends {
                true => warnings.push(format!("{text}, and has no photons beyond, as in XSPEC")),
                false => return Err(Error::Input(format!("{text} ({})", model.components[component].written))),
            }
        }
    }
    Ok(warnings)
}
