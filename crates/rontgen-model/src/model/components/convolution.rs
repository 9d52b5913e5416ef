//! The convolutions: what each does with a whole spectrum. Moving photons: `shift.rs`; spreading them: `smooth.rs`, `scatter.rs`; here the
//! scalings (cflux, cpflux, clumin) and partcov.
//!
//! XSPEC's convolutions act on the bins of the grid they are given: photons outside it are unknown to them.

use super::{Shader, TableFn, blur, no_table, reflect, relativistic, scatter, shift, slab, smooth, stretch, thcomp};
use crate::model::{
    ERG_PER_KEV,
    cosmology::{Cosmology, LOG_SPHERE},
    grid::{Grid, TILE, Tile},
    real::Real,
};

/// A convolution this version can evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convolution {
    Zashift,
    Vashift,
    Zmshift,
    Partcov,
    Cflux,
    Cpflux,
    Clumin,
    Gsmooth,
    Lsmooth,
    Simpl,
    Rdblur,
    Reflect,
    Thcomp,
    Kdblur,
    Kdblur2,
    Kerrconv,
    Relconv,
    RelconvLp,
}

const ALL: [(Convolution, &str); 18] = [
    (Convolution::Zashift, "zashift"),
    (Convolution::Vashift, "vashift"),
    (Convolution::Zmshift, "zmshift"),
    (Convolution::Partcov, "partcov"),
    (Convolution::Cflux, "cflux"),
    (Convolution::Cpflux, "cpflux"),
    (Convolution::Clumin, "clumin"),
    (Convolution::Gsmooth, "gsmooth"),
    (Convolution::Lsmooth, "lsmooth"),
    (Convolution::Simpl, "simpl"),
    (Convolution::Rdblur, "rdblur"),
    (Convolution::Reflect, "reflect"),
    (Convolution::Thcomp, "thcomp"),
    (Convolution::Kdblur, "kdblur"),
    (Convolution::Kdblur2, "kdblur2"),
    (Convolution::Kerrconv, "kerrconv"),
    (Convolution::Relconv, "relconv"),
    (Convolution::RelconvLp, "relconv_lp"),
];

const SHIFT: (&str, &str) = ("shift", include_str!("../../../../../shaders/model/shift.wgsl"));
const SCALE: (&str, &str) = ("scale", include_str!("../../../../../shaders/model/scale.wgsl"));
const SMOOTH: (&str, &str) = ("smooth", include_str!("../../../../../shaders/model/smooth.wgsl"));
const BLUR: (&str, &str) = ("blur", include_str!("../../../../../shaders/model/blur.wgsl"));
const REFLECT: (&str, &str) = ("reflect", include_str!("../../../../../shaders/model/reflect.wgsl"));
const THCOMP: (&str, &str) = ("thcomp", include_str!("../../../../../shaders/model/thcomp.wgsl"));
const SCATTER: (&str, &str) = ("scatter", include_str!("../../../../../shaders/model/scatter.wgsl"));

impl Convolution {
    /// By XSPEC's name in lower case.
    pub fn of(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, n)| *n == name).map(|(c, _)| *c)
    }

    pub fn name(self) -> &'static str {
        ALL.iter().find(|(c, _)| *c == self).map_or("", |(_, n)| n)
    }

    /// Whether it acts on a factor instead of on photons.
    pub fn acts_on_factors(self) -> bool {
        matches!(self, Self::Zmshift | Self::Partcov)
    }

    /// Whether it gives the photons that it acts on a flux that is its parameter, whatever they are.
    pub fn normalises(self) -> bool {
        matches!(self, Self::Cflux | Self::Cpflux | Self::Clumin)
    }

    /// Its file defines `struct STRUCT`, `NAME_setup(p, t, slot) -> STRUCT` and `VALUE(c, slot, i) -> f32`; with a room
    /// `NAME_setup(p, t, slot, a)` and `VALUE(c, a, slot, i)`. Those of discs around rotating holes have stages of their own (`relativistic/device.rs`).
    pub fn shader(self) -> Shader {
        let ((file, source), structure, value) = match self {
            Self::Zashift | Self::Vashift => (SHIFT, "Shift", "shift_value"),
            Self::Zmshift => (SHIFT, "Shift", "shift_factor"),
            Self::Partcov => (SCALE, "Scale", "partcov_value"),
            Self::Cflux | Self::Cpflux | Self::Clumin => (SCALE, "Scale", "scale_value"),
            Self::Gsmooth => (SMOOTH, "Smooth", "gsmooth_value"),
            Self::Lsmooth => (SMOOTH, "Smooth", "lsmooth_value"),
            Self::Simpl => (SCATTER, "Scatter", "scatter_value"),
            Self::Rdblur => (BLUR, "Blur", "blur_value"),
            Self::Reflect => (REFLECT, "Reflecting", "reflect_value"),
            Self::Thcomp => (THCOMP, "Comptonised", "thcomp_value"),
            Self::Kdblur | Self::Kdblur2 | Self::Kerrconv | Self::Relconv | Self::RelconvLp => {
                (super::RELATIVISTIC, "Relativistic", "relativistic_blur")
            }
        };
        let room = matches!(self, Self::Rdblur | Self::Thcomp);
        Shader { file, source, structure, value, room, needs: super::needs(file) }
    }

    /// Whether its line is that of a disc around a rotating hole.
    pub fn is_relativistic(self) -> bool {
        matches!(self, Self::Kdblur | Self::Kdblur2 | Self::Kerrconv | Self::Relconv | Self::RelconvLp)
    }

    /// What it needs of the atomic data.
    pub fn table(self) -> TableFn {
        if self == Self::Reflect { slab::table } else { no_table }
    }

    /// What one spectrum needs before its tiles are filled. `source`: the photons or factors of all bins of the grid; `table`:
    /// what the table function made.
    #[inline(always)]
    pub fn prepare<R: Real>(
        self,
        par: &[f64],
        grid: &Grid<R::Store>,
        source: &[R::Store],
        table: &[R::Store],
    ) -> Prepared<R> {
        let at = |k: usize| par.get(k).copied().unwrap_or(0.0);
        match self {
            Self::Zashift => Prepared::Shift(shift::zashift(par)),
            Self::Vashift => Prepared::Shift(shift::vashift(par)),
            Self::Zmshift => Prepared::ShiftFactor(shift::zmshift(par)),
            Self::Partcov => Prepared::Linear { offset: R::of(1.0 - at(0)), factor: R::of(at(0)) },
            Self::Cflux => {
                let flux = ERG_PER_KEV * band::<R>(grid, source, at(0), at(1), true);
                Prepared::scale(at(2) * std::f64::consts::LN_10, flux)
            }
            Self::Cpflux => Prepared::scale(at(2).max(0.0).ln(), band::<R>(grid, source, at(0), at(1), false)),
            Self::Clumin => {
                let z = stretch(at(2));
                let flux = ERG_PER_KEV * band::<R>(grid, source, at(0) / z, at(1) / z, true);
                let sphere = Cosmology::default().luminosity_distance(at(2)).powi(2);
                Prepared::scale((at(3) - LOG_SPHERE) * std::f64::consts::LN_10, flux * sphere)
            }
            Self::Gsmooth => Prepared::Smooth(smooth::Smooth::new(par, false, grid, source)),
            Self::Lsmooth => Prepared::Smooth(smooth::Smooth::new(par, true, grid, source)),
            Self::Simpl => Prepared::Scatter(scatter::Scatter::new(par, grid, source)),
            Self::Rdblur => Prepared::Blur(blur::Blur::new(par, grid, source)),
            Self::Thcomp => Prepared::Thcomp(thcomp::Comptonised::new(par, grid, source)),
            Self::Reflect => Prepared::Reflect(reflect::Reflect::new(par, grid, source, table)),
            Self::Kdblur | Self::Kdblur2 | Self::Kerrconv | Self::Relconv | Self::RelconvLp => {
                let blur = relativistic::blur::RelativisticBlur::new(self.name(), par, grid, source, table);
                Prepared::Relativistic(blur)
            }
        }
    }
}

/// A convolution with its constants for one spectrum worked out.
pub(crate) enum Prepared<R: Real> {
    Shift(shift::Shift),
    ShiftFactor(shift::Shift),
    /// offset + factor times the source.
    Linear {
        offset: R,
        factor: R,
    },
    Smooth(smooth::Smooth<R>),
    Scatter(scatter::Scatter<R>),
    Blur(blur::Blur<R>),
    Reflect(reflect::Reflect<R>),
    Thcomp(thcomp::Comptonised<R>),
    Relativistic(relativistic::blur::RelativisticBlur<R>),
}

impl<R: Real> Prepared<R> {
    /// To a flux whose logarithm is wanted; a source without photons in the band stays dark. The factor is held in the range of
    /// the number type: in f32 1e36, and below 1e-37 nothing.
    fn scale(ln_wanted: f64, flux: f64) -> Self {
        let (least, most) = if R::REFINE { (0.0, 1e300) } else { (1e-37, 1e36) };
        let factor = if flux > 0.0 { (ln_wanted - flux.ln()).exp().min(most) } else { 0.0 };
        let factor = if factor < least { 0.0 } else { factor };
        Self::Linear { offset: R::of(0.0), factor: R::of(factor) }
    }

    #[inline(always)]
    pub fn fill(&self, grid: &Grid<R::Store>, source: &[R::Store], tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        match self {
            Self::Shift(factor) => shift::fill::<R>(*factor, grid, source, tile, out),
            Self::ShiftFactor(factor) => shift::fill_factor::<R>(*factor, grid, source, tile, out),
            Self::Linear { offset, factor } => {
                let from = source.get(tile.start..).unwrap_or(&[]);
                for (out, s) in out.iter_mut().zip(from) {
                    *out = R::load(*s).fma(*factor, *offset).store();
                }
            }
            Self::Smooth(smooth) => smooth.fill(tile, out),
            Self::Scatter(scatter) => scatter.fill(source, tile, out),
            Self::Blur(blur) => blur.fill(tile, out),
            Self::Reflect(reflect) => reflect.fill(tile, out),
            Self::Thcomp(thcomp) => thcomp.fill(tile, out),
            Self::Relativistic(blur) => blur.fill(tile, out),
        }
    }
}

/// Photons/cm2/s between two energies (keV), or keV/cm2/s: each bin's photons times its middle; bins partly inside count by the
/// share of their width.
fn band<R: Real>(grid: &Grid<R::Store>, source: &[R::Store], from: f64, to: f64, energy: bool) -> f64 {
    let mut sum = 0.0;
    for ((pair, width), photons) in grid.edges.windows(2).zip(&grid.widths).zip(source) {
        let (lo, hi) = (R::load(pair[0]).to_f64(), R::load(pair[1]).to_f64());
        let inside = if from <= lo && hi <= to {
            1.0
        } else {
            ((hi.min(to) - lo.max(from)) / R::load(*width).to_f64()).clamp(0.0, 1.0)
        };
        sum += R::load(*photons).to_f64() * inside * if energy { 0.5 * (lo + hi) } else { 1.0 };
    }
    sum
}
