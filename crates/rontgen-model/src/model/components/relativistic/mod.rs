//! Lines and convolutions of thin discs around rotating holes: relline, relline_lp, relconv, relconv_lp, laor, laor2, kdblur, kdblur2,
//! kerrdisk, kerrconv.
//!
//! What gravity decides is traced when the model is compiled, for the spins, inclinations and heights that the run's priors allow
//! ([`sight`], [`crate::model::relativity`]), and stands in the component's table ([`layout`]). A spectrum's line is built from that ([`line`]), once
//! for all its bins.

pub(super) mod blur;
pub(crate) mod device;
#[cfg(test)]
mod fineness;
mod integral;
pub(super) mod layout;
pub(super) mod line;
mod returning;
mod sight;

pub(crate) use sight::Sight;
pub(super) use sight::{height_of as sight_height, switch_problem};

use super::{Component, stretch};
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};
use line::{Line, Reader};
use std::marker::PhantomData;

/// What lights the disc up.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Light {
    /// r^-index inside of a radius, r^-beyond outside.
    Broken { index: f64, beyond: f64, radius: f64 },
    /// A lamp on the axis: height (negative: in horizons), its velocity up the axis, its photon index.
    Lamp { height: f64, velocity: f64, index: f64 },
}

/// Radii are given in these units.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    /// GM/c2; the inner one, if it is negative, in innermost stable orbits.
    Gravitational,
    /// Innermost stable orbits.
    Stable,
}

/// A disc and an observer, from a component's parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Disc {
    spin: f64,
    /// Degrees.
    tilt: f64,
    inner: f64,
    outer: f64,
    unit: Unit,
    /// 0 isotropic, 1 Laor, 2 Haardt.
    limb: f64,
    /// What the disc receives of its own light adds to it.
    returning: bool,
    light: Light,
}

/// Spin and limb darkening of Laor's line.
const LAOR_SPIN: f64 = 0.998;
const DARKENED: f64 = 1.0;

impl Disc {
    /// Of a component (lower-case name) with its parameters, a line's energy, redshift and norm among them.
    fn of(name: &str, par: &[f64]) -> Self {
        let at = |k: usize| par.get(k).copied().unwrap_or(0.0);
        let broken = |index: f64, beyond: f64, radius: f64| Light::Broken { index, beyond, radius };
        // A line's energy comes first.
        let line = usize::from(!name.contains("conv") && !name.contains("blur"));
        match name {
            "laor" | "kdblur" | "laor2" | "kdblur2" => {
                let (index, two) = (at(line), name.ends_with('2'));
                let light = if two { broken(index, at(line + 5), at(line + 4)) } else { broken(index, index, 10.0) };
                let [inner, outer, tilt] = [1, 2, 3].map(|k| at(line + k));
                Self {
                    spin: LAOR_SPIN,
                    tilt,
                    inner,
                    outer,
                    unit: Unit::Gravitational,
                    limb: DARKENED,
                    returning: false,
                    light,
                }
            }
            "relline_lp" | "relconv_lp" => {
                // relconv_lp has a velocity after the height, relline_lp a redshift after the radii.
                let velocity = if line == 1 { 0.0 } else { at(1) };
                let [spin, tilt, inner, outer] = [2, 3, 4, 5].map(at);
                let light = Light::Lamp { height: at(line), velocity, index: at(line + 7) };
                let returning = at(line + 8) > 0.5;
                Self { spin, tilt, inner, outer, unit: Unit::Gravitational, limb: at(line + 6), returning, light }
            }
            "relline" | "relconv" => {
                let light = broken(at(line), at(line + 1), at(line + 2));
                let [spin, tilt, inner, outer] = [3, 4, 5, 6].map(|k| at(line + k));
                let limb = at(7 + 2 * line);
                Self { spin, tilt, inner, outer, unit: Unit::Gravitational, limb, returning: false, light }
            }
            _ => {
                let light = broken(at(line), at(line + 1), at(line + 2));
                let [spin, tilt, inner, outer] = [3, 4, 5, 6].map(|k| at(line + k));
                Self { spin, tilt, inner, outer, unit: Unit::Stable, limb: DARKENED, returning: false, light }
            }
        }
    }
}

/// A line: disc, energy at infinity, norm. Its profile comes with the table.
#[derive(Debug, Clone)]
pub struct Relativistic<R> {
    disc: Disc,
    /// keV in the observer's frame.
    energy: f64,
    norm: f64,
    line: Option<Line>,
    number: PhantomData<R>,
}

macro_rules! lines {
    ($($function:ident $name:literal, $redshift:expr;)*) => {
        $(
            #[doc = concat!("The parameters of ", $name, ".")]
            pub(crate) fn $function<R: Real>(par: &[f64]) -> Relativistic<R> {
                let redshift: Option<usize> = $redshift;
                let redshift = redshift.and_then(|k| par.get(k)).copied().unwrap_or(0.0);
                Relativistic {
                    disc: Disc::of($name, par),
                    energy: par.first().copied().unwrap_or(1.0).max(1e-3) / stretch(redshift),
                    norm: par.last().copied().unwrap_or(0.0),
                    line: None,
                    number: PhantomData,
                }
            }
        )*
    };
}
lines! {
    laor "laor", None;
    laor2 "laor2", None;
    relline "relline", Some(8);
    relline_lp "relline_lp", Some(6);
    kerrdisk "kerrdisk", Some(8);
}

/// The table is made from what the run's parameters allow, not from bins: see [`Sight::table`].
pub(crate) fn no_bins(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    Vec::new()
}

impl<R: Real> Component<R> for Relativistic<R> {
    const REFINES: bool = false;
    const ROOM: bool = true;

    fn ready(&mut self, table: &[R::Store]) {
        self.line = Reader::<R>::new(table).and_then(|reader| reader.line(&self.disc));
        if self.disc.is_empty() {
            self.norm = 0.0;
        }
    }

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` knows the line
    }

    /// In double precision for every number type: bins of 0.5 eV are differences of what lies below their edges.
    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        let Some(line) = &self.line else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        *out = [R::of(0.0).store(); TILE];
        let reach = line.ends().map(|y| self.energy * (1.0 + y));
        if tile.e_max < reach[0] || tile.e_min > reach[1] {
            return;
        }
        let inverse = 1.0 / self.energy;
        let (mut place, mut last_edge, mut below) = (0, f64::NAN, 0.0);
        for (j, out) in out.iter_mut().enumerate().take(tile.len) {
            let middle = R::load(tile.mid_hi[j]).to_f64() + R::load(tile.mid_lo[j]).to_f64();
            let half = 0.5 * R::load(tile.width[j]).to_f64();
            // Of bins that touch the lower edge is the last upper one, but for the rounding of the width.
            let touches = (middle - half - last_edge).abs() < 1e-5 * half;
            if !touches {
                below = line.below((middle - half) * inverse - 1.0, &mut place);
            }
            last_edge = middle + half;
            let above = line.below(last_edge * inverse - 1.0, &mut place);
            *out = R::of(self.norm * (above - below).max(0.0)).store();
            below = above;
        }
    }
}
