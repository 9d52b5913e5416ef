//! The components: one file per family, each in ONE generic form over [`Real`], with its WGSL in `shaders/model/`.
//!
//! To add a component: its type and set-up function in a family's file, its WGSL beside, and one line in the registry below.
//! Parameters arrive in XSPEC's order; a norm is the last one. Every component must give finite numbers for any finite
//! parameters, the hard limits and 0 included.

mod absorption;
mod blur;
mod body;
mod bremss;
mod compbb;
mod comptb;
pub(crate) mod convolution;
mod disk;
mod diskline;
mod escape;
mod extinction;
mod factor;
mod feature;
mod green;
mod incident;
mod line;
pub(crate) mod plasma;
mod power;
mod profile;
mod reflect;
mod scatter;
mod shift;
mod simple;
mod slab;
mod smooth;
mod species;
mod steps;
mod surface;
mod tabulated;
mod thcomp;
mod thermal;
mod titarchuk;
mod voigt;
mod wisconsin;

use super::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
    table,
};

/// A component with its constants for one spectrum worked out.
pub(crate) trait Component<R: Real>: Sized {
    /// It is a scale times an exponential, so that [`Component::fuse`] saves one. Its shader then defines, beside `X_value(c, i)`,
    /// `X_scale(c, i)` and `X_exponent(c, i)`.
    const FUSES: bool = false;
    /// It is zero on most of the band.
    const SPARSE: bool = false;
    /// Its shader tabulates something for each spectrum: setup and value take a room, [`ROOM`] numbers.
    const ROOM: bool = false;
    /// The oracle integrates it over parts of a bin; not where XSPEC's numbers are those at a bin's middle.
    const REFINES: bool = true;
    /// Its table serves the f32 forms only; the oracle goes by [`Component::exact`].
    const SINGLE_TABLE: bool = false;
    /// So many numbers at the start of such a table go to the oracle too.
    const HEADER: usize = 0;

    /// Works out what the table decides for one spectrum; called once, before any tile.
    #[inline(always)]
    fn ready(&mut self, _table: &[R::Store]) {}

    /// The oracle's own way to the photons of a tile's bins, without a table. `false`: there is none.
    fn exact(&self, _tile: &Tile<R::Store>, _settings: &Settings, _out: &mut [R::Store; TILE]) -> bool {
        false
    }

    /// Photons/cm2/s in the bin (additive) or the factor (multiplicative). `WIDE`: bins may be wider than 10 %.
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R;

    /// All bins of a tile; `table` is what the component's table function made.
    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        if tile.wide {
            for (j, out) in out.iter_mut().enumerate() {
                *out = self.value::<true>(&tile.bin(j)).store();
            }
        } else {
            for (j, out) in out.iter_mut().enumerate() {
                *out = self.value::<false>(&tile.bin(j)).store();
            }
        }
    }

    /// Adds the exponents of a tile's bins to `exponents` and multiplies `scales` by the rest. Called where [`Component::FUSES`].
    #[inline(always)]
    fn fuse(
        &self,
        tile: &Tile<R::Store>,
        table: &[R::Store],
        _exponents: &mut [R::Store; TILE],
        scales: &mut [R::Store; TILE],
    ) {
        let mut value = [R::Store::default(); TILE];
        self.fill(tile, table, &mut value);
        for (scale, value) in scales.iter_mut().zip(&value) {
            *scale = (R::load(*scale) * R::load(*value)).store();
        }
    }
}

/// Adds `exponent(j)` and multiplies by `scale(j)` in bin j of a tile.
macro_rules! fuse_bins {
    ($tile:expr, $exponents:expr, $scales:expr, $bin:ident => $exponent:expr, $scale:expr) => {
        for (j, (exponent, scale)) in $exponents.iter_mut().zip($scales.iter_mut()).enumerate() {
            let $bin = $tile.bin::<R>(j);
            *exponent = (R::load(*exponent) + $exponent).store();
            *scale = (R::load(*scale) * $scale).store();
        }
    };
}
use fuse_bins;

/// Makes a component's table from the energy bins (keV, ascending; they need not touch) and the settings.
pub(crate) type TableFn = fn(&[(f64, f64)], &Settings) -> Vec<f64>;

fn no_table(_bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    Vec::new()
}

/// How a component looks in WGSL: a file that defines `struct STRUCT`, `NAME_setup(p, t) -> STRUCT` (p: first parameter,
/// t: first table entry) and `VALUE(c, i) -> f32`.
pub(crate) struct Shader {
    pub file: &'static str,
    pub source: &'static str,
    pub structure: &'static str,
    pub value: &'static str,
    /// Whether it has a room; then `NAME_setup(p, t, a)` and `VALUE(c, a, i)` with `a: ptr<private, Room>`.
    pub room: bool,
    /// Files whose functions it calls.
    pub needs: &'static [(&'static str, &'static str)],
}

/// Numbers in the room of a shader (`Room` in room.wgsl).
pub(crate) const ROOM: usize = 480;
/// Rooms that fit into the private memory of an invocation (8 KiB in WebGPU) beside what their shaders share.
pub(crate) const MOST_ROOMS: usize = 3;

macro_rules! registry {
    ($($variant:ident $name:literal: $type:ty = $setup:path, $table:path, $shader:path, $structure:literal, $value:literal;)*) => {
        /// An implemented additive or multiplicative component.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($variant),* }

        /// A component with its constants, ready to fill tiles.
        // There is one per component and spectrum, on the stack: a box would be an allocation for each.
        #[allow(clippy::large_enum_variant)]
        pub(crate) enum Prepared<R: Real> { $($variant($type)),* }

        impl Code {
            /// By XSPEC's name in lower case.
            pub fn of(name: &str) -> Option<Self> {
                match name { $($name => Some(Code::$variant),)* _ => None }
            }
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),* }
            }
            pub fn table(self) -> TableFn {
                match self { $(Code::$variant => $table),* }
            }
            pub fn shader(self) -> Shader {
                match self { $(Code::$variant => {
                    type R = f64;
                    let (file, source) = $shader;
                    let room = <$type as Component<R>>::ROOM;
                    Shader { file, source, structure: $structure, value: $value, room, needs: needs(file) }
                }),* }
            }
            /// Whether it is a scale times an exponential.
            pub fn fuses(self) -> bool {
                type R = f64;
                match self { $(Code::$variant => <$type as Component<R>>::FUSES),* }
            }
            /// Whether the oracle integrates it over parts of a bin.
            pub fn refines(self) -> bool {
                type R = f64;
                match self { $(Code::$variant => <$type as Component<R>>::REFINES),* }
            }
            /// Whether only the f32 forms have its table. It then depends on the band and the width of the bins, not on which
            /// of them are there.
            pub fn single_table(self) -> bool {
                type R = f64;
                match self { $(Code::$variant => <$type as Component<R>>::SINGLE_TABLE),* }
            }
            /// Numbers at the start of such a table that the oracle has too.
            pub fn header(self) -> usize {
                type R = f64;
                match self { $(Code::$variant => <$type as Component<R>>::HEADER),* }
            }
            /// Whether it is zero on most of the band.
            pub fn sparse(self) -> bool {
                type R = f64;
                match self { $(Code::$variant => <$type as Component<R>>::SPARSE),* }
            }
            #[inline(always)]
            pub fn prepare<R: Real>(self, par: &[f64]) -> Prepared<R> {
                match self { $(Code::$variant => Prepared::$variant($setup(par))),* }
            }
        }

        impl<R: Real> Prepared<R> {
            #[inline(always)]
            pub fn ready(&mut self, table: &[R::Store]) {
                match self { $(Prepared::$variant(c) => Component::<R>::ready(c, table)),* }
            }
            pub fn exact(&self, tile: &Tile<R::Store>, settings: &Settings, out: &mut [R::Store; TILE]) -> bool {
                match self { $(Prepared::$variant(c) => Component::<R>::exact(c, tile, settings, out)),* }
            }
            #[inline(always)]
            pub fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
                match self { $(Prepared::$variant(c) => Component::<R>::fill(c, tile, table, out)),* }
            }
            #[inline(always)]
            pub fn fuse(
                &self,
                tile: &Tile<R::Store>,
                table: &[R::Store],
                exponents: &mut [R::Store; TILE],
                scales: &mut [R::Store; TILE],
            ) {
                match self { $(Prepared::$variant(c) => Component::<R>::fuse(c, tile, table, exponents, scales)),* }
            }
        }
    };
}

const POWER: (&str, &str) = ("power", include_str!("../../../../../shaders/model/power.wgsl"));
const BODY: (&str, &str) = ("body", include_str!("../../../../../shaders/model/body.wgsl"));
const BREMSS: (&str, &str) = ("bremss", include_str!("../../../../../shaders/model/bremss.wgsl"));
const DISK: (&str, &str) = ("disk", include_str!("../../../../../shaders/model/disk.wgsl"));
const LINE: (&str, &str) = ("line", include_str!("../../../../../shaders/model/line.wgsl"));
const ABSORPTION: (&str, &str) = ("absorption", include_str!("../../../../../shaders/model/absorption.wgsl"));
const SPECIES: (&str, &str) = ("species", include_str!("../../../../../shaders/model/species.wgsl"));
const STEPS: (&str, &str) = ("steps", include_str!("../../../../../shaders/model/steps.wgsl"));
const WISCONSIN: (&str, &str) = ("wisconsin", include_str!("../../../../../shaders/model/wisconsin.wgsl"));
const SIMPLE: (&str, &str) = ("simple", include_str!("../../../../../shaders/model/simple.wgsl"));
const FEATURE: (&str, &str) = ("feature", include_str!("../../../../../shaders/model/feature.wgsl"));
const PROFILE: (&str, &str) = ("profile", include_str!("../../../../../shaders/model/profile.wgsl"));
const SURFACE: (&str, &str) = ("surface", include_str!("../../../../../shaders/model/surface.wgsl"));
const VOIGT: (&str, &str) = ("voigt", include_str!("../../../../../shaders/model/voigt.wgsl"));
const EXTINCTION: (&str, &str) = ("extinction", include_str!("../../../../../shaders/model/extinction.wgsl"));
const DISKLINE: (&str, &str) = ("diskline", include_str!("../../../../../shaders/model/diskline.wgsl"));
const COMPBB: (&str, &str) = ("compbb", include_str!("../../../../../shaders/model/compbb.wgsl"));
const COMPTB: (&str, &str) = ("comptb", include_str!("../../../../../shaders/model/comptb.wgsl"));
const GREEN: (&str, &str) = ("green", include_str!("../../../../../shaders/model/green.wgsl"));
const SLAB: (&str, &str) = ("slab", include_str!("../../../../../shaders/model/slab.wgsl"));
const THERMAL: (&str, &str) = ("thermal", include_str!("../../../../../shaders/model/thermal.wgsl"));
const TITARCHUK: (&str, &str) = ("titarchuk", include_str!("../../../../../shaders/model/titarchuk.wgsl"));
const TABLE: (&str, &str) = ("table", include_str!("../../../../../shaders/model/table.wgsl"));
const PLASMA: (&str, &str) = ("plasma", include_str!("../../../../../shaders/model/plasma.wgsl"));
const PLASMA_CELLS: (&str, &str) = ("plasma_cells", include_str!("../../../../../shaders/model/plasma_cells.wgsl"));
const FACTOR: (&str, &str) = ("factor", include_str!("../../../../../shaders/model/factor.wgsl"));

registry! {
    Powerlaw "powerlaw": power::Power<R> = power::powerlaw, no_table, POWER, "Power", "power_value";
    Zpowerlw "zpowerlw": power::Power<R> = power::zpowerlw, no_table, POWER, "Power", "power_value";
    Cutoffpl "cutoffpl": power::Cutoff<R> = power::cutoffpl, no_table, POWER, "Cutoff", "cutoff_value";
    Zcutoffpl "zcutoffpl": power::Cutoff<R> = power::zcutoffpl, no_table, POWER, "Cutoff", "cutoff_value";
    Bknpower "bknpower": power::Broken<R> = power::bknpower, no_table, POWER, "Broken", "broken_value";
    Logpar "logpar": power::LogParabola<R> = power::logpar, no_table, POWER, "LogParabola", "logparabola_value";
    Expdec "expdec": power::Decay<R> = power::expdec, no_table, POWER, "Decay", "decay_value";
    Bbody "bbody": body::Body<R> = body::bbody, no_table, BODY, "Body", "body_value";
    Bbodyrad "bbodyrad": body::Body<R> = body::bbodyrad, no_table, BODY, "Body", "body_value";
    Zbbody "zbbody": body::Body<R> = body::zbbody, no_table, BODY, "Body", "body_value";
    Diskbb "diskbb": disk::Disk<R> = disk::diskbb, disk::table, DISK, "Disk", "disk_value";
    Bremss "bremss": bremss::Bremss<R> = bremss::bremss, bremss::table, BREMSS, "Bremss", "bremss_value";
    Zbremss "zbremss": bremss::Bremss<R> = bremss::zbremss, bremss::table, BREMSS, "Bremss", "bremss_value";
    Gaussian "gaussian": line::Gauss<R> = line::gaussian, no_table, LINE, "Gauss", "gauss_value";
    Zgauss "zgauss": line::Gauss<R> = line::zgauss, no_table, LINE, "Gauss", "gauss_value";
    Tbabs "tbabs": absorption::PerBin<R> = absorption::column, absorption::tbabs_table, ABSORPTION, "PerBin", "perbin_value";
    Phabs "phabs": absorption::PerBin<R> = absorption::column, absorption::phabs_table, ABSORPTION, "PerBin", "perbin_value";
    Ztbabs "ztbabs": absorption::Shifted<R> = absorption::shifted_column, absorption::ztbabs_table, ABSORPTION, "Shifted", "shifted_value";
    Tbgas "tbgas": absorption::Shifted<R> = absorption::shifted_column, absorption::tbgas_table, ABSORPTION, "Shifted", "shifted_value";
    Zphabs "zphabs": absorption::Shifted<R> = absorption::shifted_column, absorption::zphabs_table, ABSORPTION, "Shifted", "shifted_value";
    Pcfabs "pcfabs": absorption::Partly<absorption::PerBin<R>, R> = absorption::covered, absorption::phabs_table, ABSORPTION, "PartlyPerBin", "partly_perbin_value";
    Zpcfabs "zpcfabs": absorption::Partly<absorption::Shifted<R>, R> = absorption::shifted_covered, absorption::zphabs_table, ABSORPTION, "PartlyShifted", "partly_shifted_value";
    Wabs "wabs": wisconsin::Wisconsin<R> = wisconsin::wabs, wisconsin::table, WISCONSIN, "Wisconsin", "wisconsin_value";
    Zwabs "zwabs": wisconsin::Wisconsin<R> = wisconsin::zwabs, wisconsin::table, WISCONSIN, "Wisconsin", "wisconsin_value";
    Tbgrain "tbgrain": species::Species<R> = species::tbgrain, species::tbgrain_table, SPECIES, "Species", "species_value";
    Tbpcf "tbpcf": species::Species<R> = species::tbpcf, species::tbpcf_table, SPECIES, "Species", "species_value";
    Tbfeo "tbfeo": species::Species<R> = species::tbfeo, species::tbfeo_table, SPECIES, "Species", "species_value";
    Tbvarabs "tbvarabs": species::Species<R> = species::tbvarabs, species::tbvarabs_table, SPECIES, "Species", "species_value";
    Tbrel "tbrel": species::Species<R> = species::tbvarabs, species::tbvarabs_table, SPECIES, "Species", "species_value";
    Vphabs "vphabs": species::Species<R> = species::vphabs, species::vphabs_table, SPECIES, "Species", "species_value";
    Zvphabs "zvphabs": species::Species<R> = species::zvphabs, species::zvphabs_table, SPECIES, "Species", "species_value";
    Varabs "varabs": species::Species<R> = species::varabs, species::vphabs_table, SPECIES, "Species", "species_value";
    Zvarabs "zvarabs": species::Species<R> = species::zvarabs, species::zvphabs_table, SPECIES, "Species", "species_value";
    Constant "constant": factor::Constant<R> = factor::constant, no_table, FACTOR, "Constant", "constant_value";
    Edge "edge": factor::Edge<R> = factor::edge, no_table, FACTOR, "Edge", "edge_value";
    Zedge "zedge": factor::Edge<R> = factor::zedge, no_table, FACTOR, "Edge", "edge_value";
    Highecut "highecut": factor::HighCut<R> = factor::highecut, no_table, FACTOR, "HighCut", "highcut_value";
    Zhighect "zhighect": factor::HighCut<R> = factor::zhighect, no_table, FACTOR, "HighCut", "highcut_value";
    Pegpwrlw "pegpwrlw": power::Power<R> = power::pegpwrlw, no_table, POWER, "Power", "power_value";
    Zbknpower "zbknpower": power::Broken<R> = power::zbknpower, no_table, POWER, "Broken", "broken_value";
    Bkn2pow "bkn2pow": power::TwiceBroken<R> = power::bkn2pow, no_table, POWER, "TwiceBroken", "twicebroken_value";
    Zlogpar "zlogpar": power::LogParabola<R> = power::zlogpar, no_table, POWER, "LogParabola", "logparabola_value";
    Expabs "expabs": simple::PowerCut<R> = simple::expabs, no_table, SIMPLE, "PowerCut", "powercut_value";
    Spexpcut "spexpcut": simple::PowerCut<R> = simple::spexpcut, no_table, SIMPLE, "PowerCut", "powercut_value";
    Plabs "plabs": simple::PowerFactor<R> = simple::plabs, no_table, SIMPLE, "PowerFactor", "powerfactor_value";
    Expfac "expfac": simple::Modification<R> = simple::expfac, no_table, SIMPLE, "Modification", "modification_value";
    Cabs "cabs": simple::Scattering<R> = simple::cabs, no_table, SIMPLE, "Scattering", "scattering_value";
    Dust "dust": simple::Halo<R> = simple::dust, no_table, SIMPLE, "Halo", "halo_value";
    Smedge "smedge": feature::Smeared<R> = feature::smedge, no_table, FEATURE, "Smeared", "smeared_value";
    Cyclabs "cyclabs": feature::Cyclotron<R> = feature::cyclabs, no_table, FEATURE, "Cyclotron", "cyclotron_value";
    Gabs "gabs": feature::Notch<R> = feature::gabs, no_table, FEATURE, "Notch", "notch_value";
    Agauss "agauss": line::Wavelength<R> = line::agauss, no_table, LINE, "Wavelength", "wavelength_value";
    Zagauss "zagauss": line::Wavelength<R> = line::zagauss, no_table, LINE, "Wavelength", "wavelength_value";
    Lorentz "lorentz": profile::Lorentz<R> = profile::lorentz, no_table, PROFILE, "Lorentz", "lorentz_value";
    Zlorentz "zlorentz": profile::Lorentz<R> = profile::zlorentz, no_table, PROFILE, "Lorentz", "lorentz_value";
    Diskpbb "diskpbb": surface::Surface<R> = surface::diskpbb, surface::diskpbb_table, SURFACE, "Surface", "surface_value";
    Ezdiskbb "ezdiskbb": surface::Surface<R> = surface::ezdiskbb, surface::ezdiskbb_table, SURFACE, "Surface", "surface_value";
    Bmc "bmc": surface::Surface<R> = surface::bmc, surface::bmc_table, SURFACE, "Surface", "surface_value";
    Voigt "voigt": voigt::Voigt<R> = voigt::voigt, no_table, VOIGT, "Voigt", "voigt_value";
    Zvoigt "zvoigt": voigt::Voigt<R> = voigt::zvoigt, no_table, VOIGT, "Voigt", "voigt_value";
    Redden "redden": extinction::Milky<R> = extinction::redden, no_table, EXTINCTION, "Milky", "milky_value";
    Uvred "uvred": extinction::Seaton<R> = extinction::uvred, no_table, EXTINCTION, "Seaton", "seaton_value";
    Zdust "zdust": extinction::Pei<R> = extinction::zdust, no_table, EXTINCTION, "Pei", "pei_value";
    Diskline "diskline": diskline::DiskLine<R> = diskline::diskline, no_table, DISKLINE, "DiskLine", "diskline_value";
    NthComp "nthcomp": thermal::Thermal<R> = thermal::nthcomp, no_table, THERMAL, "Thermal", "thermal_value";
    CompTT "comptt": titarchuk::Titarchuk<R> = titarchuk::comptt, no_table, TITARCHUK, "Titarchuk", "titarchuk_value";
    CompTB "comptb": comptb::Bulk<R> = comptb::comptb, no_table, COMPTB, "Bulk", "comptb_value";
    CompBB "compbb": compbb::Scattered<R> = compbb::compbb, compbb::table, COMPBB, "Scattered", "compbb_value";
    Pexrav "pexrav": slab::Reflected<R> = slab::pexrav, slab::table, SLAB, "Reflected", "slab_value";
    Pexmon "pexmon": slab::Reflected<R> = slab::pexmon, slab::table, SLAB, "Reflected", "slab_value";
    SssIce "sss_ice": simple::Ice<R> = simple::sss_ice, no_table, SIMPLE, "Ice", "ice_value";
    Apec "apec": plasma::Plasma = plasma::apec, plasma::apec_table, PLASMA, "Plasma", "plasma_value";
    Vapec "vapec": plasma::Plasma = plasma::vapec, plasma::vapec_table, PLASMA, "Plasma", "plasma_value";
    Vvapec "vvapec": plasma::Plasma = plasma::vvapec, plasma::vvapec_table, PLASMA, "Plasma", "plasma_value";
    Bapec "bapec": plasma::Plasma = plasma::bapec, plasma::bapec_table, PLASMA, "Plasma", "plasma_value";
    Bvapec "bvapec": plasma::Plasma = plasma::bvapec, plasma::bvapec_table, PLASMA, "Plasma", "plasma_value";
    Bvvapec "bvvapec": plasma::Plasma = plasma::bvvapec, plasma::bvvapec_table, PLASMA, "Plasma", "plasma_value";
    PlasmaCells "plasma_cells": plasma::Cells = plasma::cells, no_table, PLASMA_CELLS, "Cells", "cells_value";
    Step "step": profile::Step<R> = profile::step, no_table, PROFILE, "Step", "step_value";
    Atable "atable": tabulated::Tabulated<R> = tabulated::tabulated, no_table, TABLE, "Tabulated", "tabulated_value";
    Mtable "mtable": tabulated::Tabulated<R> = tabulated::tabulated, no_table, TABLE, "Tabulated", "tabulated_value";
    Etable "etable": tabulated::Tabulated<R> = tabulated::tabulated, no_table, TABLE, "Tabulated", "tabulated_value";
}

/// Files whose functions a file of shaders calls.
fn needs(file: &str) -> &'static [(&'static str, &'static str)] {
    match file {
        "slab" | "reflect" => &[GREEN],
        "absorption" | "species" => &[STEPS],
        "blur" => &[DISKLINE],
        "thcomp" => &[THERMAL],
        _ => &[],
    }
}

/// Whether this version can evaluate the component (lower-case name). Convolutions live outside the registry: they read
/// another spectrum instead of filling tiles on their own. The table models are nothing without a file.
pub fn implemented(name: &str) -> bool {
    let built_in = Code::of(name).is_some() || convolution::Convolution::of(name).is_some();
    built_in && table::Kind::of(name).is_none()
}

/// The cubic through four values at equal steps, `t` steps past the second: its value and first two derivatives by steps.
#[inline(always)]
pub(crate) fn four_point<R: Real>([f0, f1, f2, f3]: [R; 4], t: R) -> [R; 3] {
    let c1 = f2 - f1 * R::of(0.5) - f0 * R::of(1.0 / 3.0) - f3 * R::of(1.0 / 6.0);
    let c2 = (f0 + f2) * R::of(0.5) - f1;
    let c3 = (f3 - f0) * R::of(1.0 / 6.0) + (f1 - f2) * R::of(0.5);
    let value = c3.fma(t, c2).fma(t, c1).fma(t, f1);
    [value, (c3 * R::of(3.0) * t + c2 + c2).fma(t, c1), c3 * R::of(6.0) * t + c2 + c2]
}

/// Integral over a bin of a density whose E f(E) is `peak` at the geometric middle and has logarithmic slope `a` and
/// curvature `b` in ln E there.
///
/// In y = ln E the integrand is peak e^(a s + b s^2/2), s in +-log_width/2: exact for a power law (b = 0), otherwise
/// wrong by about (x log_width)^4/500 relative where the density falls as e^-x.
#[inline(always)]
pub(crate) fn log_integral<R: Real, const WIDE: bool>(peak: R, a: R, b: R, log_width: R) -> R {
    let q = a * log_width * R::of(0.5);
    let curvature = b * log_width * log_width * R::of(1.0 / 24.0);
    let correction = curvature * (q * q).fma(R::of(0.3), R::of(1.0));
    peak * log_width * (q.sinhc::<WIDE>() + correction).max(R::of(0.0))
}

/// 1 + z, kept positive.
pub(crate) fn stretch(redshift: f64) -> f64 {
    (1.0 + redshift).max(1e-3)
}
