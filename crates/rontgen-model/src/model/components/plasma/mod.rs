//! Collisional plasma emission from AtomDB: apec, vapec, vvapec and, with broadened lines, bapec, bvapec, bvvapec.
//!
//! A spectrum is the linear interpolation in kT between the spectra of two nodes of the tables; thermal broadening is that of the
//! NODE's temperature, as in XSPEC, not of the temperature asked for. A node's spectrum has two parts ([`table`]): a smooth one,
//! on a grid in ln E on which a redshift is a shift, and the lines, each an exact Gaussian integral over the bins in reach. So
//! temperature, redshift, velocity and abundances may all be free. The oracle ([`reference`]) has no grid and leaves out no line.

mod cells;
mod frozen;
mod layout;
mod ragged;
mod reference;
mod single;
mod table;

pub(crate) use cells::{Cells, cells};
pub(crate) use frozen::{Frozen, Tables};
pub(crate) use table::{apec_table, bapec_table, bvapec_table, bvvapec_table, vapec_table, vvapec_table};

use super::{Component, stretch};
use crate::atomic::atomdb::{self, ELEMENTS, WEIGHTS};
use crate::model::{
    ModelError, Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};
use layout::View;

/// u c2 in keV, by XSPEC's value, and c in km/s.
pub(super) const ATOMIC_MASS: f64 = 931_494.0;
const LIGHT: f64 = 299_792.458;
/// Lines end at the latest here, in sigma: 4e-8 of one lies outside.
pub(super) const REACH: f64 = 5.5;

/// Whether a component (lower-case name) is of this family.
pub(crate) fn is_plasma(name: &str) -> bool {
    name.ends_with("apec")
}

/// Makes sure that the tables can be had, so that nothing that follows has to fail.
pub(crate) fn check(settings: &Settings) -> Result<(), ModelError> {
    atomdb::open(settings.atomdb.as_deref()).map(|_| ()).map_err(ModelError::Atomic)
}

/// Least and highest energy (keV) at which the tables have photons; `None` where there are none.
pub(crate) fn energies(settings: &Settings) -> Option<(f64, f64)> {
    let db = atomdb::open(settings.atomdb.as_deref()).ok()?;
    Some((atomdb::LOWEST_ENERGY, table::end(&db)))
}

/// Which abundances are parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// One for the metals; hydrogen, helium and the trace elements are fixed.
    Metals,
    /// He and the twelve common metals each; hydrogen and the trace elements are fixed.
    Common,
    /// Every element.
    All,
}

/// Z of the elements that XSPEC scales by one abundance or one by one (vapec has helium, too).
const METALS: [usize; 12] = [6, 7, 8, 10, 12, 13, 14, 16, 18, 20, 26, 28];

impl Family {
    /// Sums of elements with one abundance.
    pub fn groups(self) -> usize {
        match self {
            Family::Metals => 2,
            Family::Common => 14,
            Family::All => ELEMENTS,
        }
    }

    /// Abundances among the parameters.
    pub fn parameters(self) -> usize {
        match self {
            Family::Metals => 1,
            Family::Common => 13,
            Family::All => ELEMENTS,
        }
    }

    /// The parameter (kT is 0) with the abundance of a group; `None` for those that have none.
    pub fn parameter(self, group: usize) -> Option<usize> {
        match self {
            Family::All => Some(group + 1),
            _ => (group > 0).then_some(group),
        }
    }

    /// The abundance in parameter `parameter`, from those by group; 1 for 0.
    pub fn abundance(self, abundance: &[f64; ELEMENTS], parameter: usize) -> f64 {
        let group = if self == Family::All { parameter.wrapping_sub(1) } else { parameter };
        if parameter == 0 { 1.0 } else { abundance.get(group).copied().unwrap_or(1.0) }
    }

    /// The group of the element Z = `index` + 1.
    pub fn group(self, index: usize) -> usize {
        let metal = METALS.iter().position(|z| *z == index + 1);
        match self {
            Family::Metals => usize::from(metal.is_some()),
            Family::Common if index == 1 => 1,
            Family::Common => metal.map_or(0, |k| k + 2),
            Family::All => index,
        }
    }
}

/// A plasma in the observer's frame.
#[derive(Debug, Clone, Copy)]
pub struct Plasma {
    family: Family,
    broad: bool,
    kt: f64,
    /// Abundance of every group relative to the table.
    abundance: [f64; ELEMENTS],
    stretch: f64,
    /// Velocity over c.
    beta: f64,
    norm: f64,
    /// Set by `ready`, for the node below and the one above: number, share times norm / (1 + z), sigma over energy by element.
    node: [usize; 2],
    share: [f64; 2],
    width: [[f64; ELEMENTS]; 2],
    element_weight: [f64; ELEMENTS],
}

fn plasma(family: Family, broad: bool, par: &[f64]) -> Plasma {
    let free = family.parameters();
    let number = |k: usize| par.get(k).copied().unwrap_or(0.0);
    let mut abundance = [1.0; ELEMENTS];
    let first = usize::from(family != Family::All);
    for k in 0..free {
        abundance[first + k] = number(1 + k);
    }
    let velocity = if broad { number(free + 2) } else { 0.0 };
    Plasma {
        family,
        broad,
        kt: number(0),
        abundance,
        stretch: stretch(number(free + 1)),
        beta: velocity / LIGHT,
        norm: number(free + 2 + usize::from(broad)),
        node: [0; 2],
        share: [0.0; 2],
        width: [[0.0; ELEMENTS]; 2],
        element_weight: std::array::from_fn(|element| abundance[family.group(element)]),
    }
}

/// kT, Abundanc, Redshift, norm.
pub(crate) fn apec(par: &[f64]) -> Plasma {
    plasma(Family::Metals, false, par)
}

/// kT, He, C, N, O, Ne, Mg, Al, Si, S, Ar, Ca, Fe, Ni, Redshift, norm.
pub(crate) fn vapec(par: &[f64]) -> Plasma {
    plasma(Family::Common, false, par)
}

/// kT, H to Zn, Redshift, norm.
pub(crate) fn vvapec(par: &[f64]) -> Plasma {
    plasma(Family::All, false, par)
}

/// kT, Abundanc, Redshift, Velocity, norm.
pub(crate) fn bapec(par: &[f64]) -> Plasma {
    plasma(Family::Metals, true, par)
}

/// kT, He, C, N, O, Ne, Mg, Al, Si, S, Ar, Ca, Fe, Ni, Redshift, Velocity, norm.
pub(crate) fn bvapec(par: &[f64]) -> Plasma {
    plasma(Family::Common, true, par)
}

/// kT, H to Zn, Redshift, Velocity, norm.
pub(crate) fn bvvapec(par: &[f64]) -> Plasma {
    plasma(Family::All, true, par)
}

/// sigma / E of every element's lines in a plasma of `kt` keV that moves with `beta` c.
pub(super) fn widths(kt: f64, beta: f64) -> [f64; ELEMENTS] {
    WEIGHTS.map(|weight| (kt / (weight * ATOMIC_MASS) + beta * beta).sqrt())
}

impl<R: Real> Component<R> for Plasma {
    const SINGLE_TABLE: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    fn ready(&mut self, table: &[R::Store]) {
        let Some(view) = R::singles(table).and_then(View::new) else { return };
        let (below, above) = view.bracket(self.kt);
        self.node = [below, below + 1];
        let scale = self.norm / self.stretch;
        self.share = [scale * (1.0 - above), scale * above];
        self.width = self.node.map(|node| widths(view.kt(node), self.beta));
    }

    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        *out = [R::of(f64::NAN).store(); TILE];
        if let (Some(tile), Some(table), Some(out)) = (R::single_tile(tile), R::singles(table), R::singles_mut(out)) {
            single::fill(self, R::FUSED, tile, table, out);
        }
    }

    fn exact(&self, tile: &Tile<R::Store>, settings: &Settings, out: &mut [R::Store; TILE]) -> bool {
        let bins: Vec<(f64, f64)> =
            (0..tile.len).map(|j| (R::load(tile.lo[j]).to_f64(), R::load(tile.hi[j]).to_f64())).collect();
        let db = atomdb::open(settings.atomdb.as_deref()).ok();
        let photons = db.and_then(|db| reference::photons(self, &db, settings, &bins));
        let photons = photons.unwrap_or_else(|| vec![f64::NAN; tile.len]);
        for (out, photons) in out.iter_mut().zip(photons) {
            *out = R::of(photons).store();
        }
        true
    }
}
