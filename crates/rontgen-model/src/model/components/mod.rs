//! The components: one file per family, each in ONE generic form over [`Real`], with its WGSL in `shaders/model/`.
//!
//! To add a component: its type and set-up function in a family's file, its WGSL beside, and one line in the registry below
//! (two, if no other component has the type).
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
pub(crate) mod reflection;
pub(crate) mod relativistic;
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
    (
        { $($variant:ident $name:literal: $form:ident = $setup:path, $table:path, $shader:path, $value:literal;)* }
        { $($kind:ident: $type:ty;)* }
    ) => {
        /// An implemented additive or multiplicative component.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($variant),* }

        /// The types behind the components. Several share one, whose loops are compiled once for each number type.
        #[derive(Clone, Copy)]
        enum Form { $($kind),* }

        /// A component with its constants, ready to fill tiles.
        // There is one per component and spectrum, on the stack: a box would be an allocation for each.
        #[allow(clippy::large_enum_variant)]
        pub(crate) enum Prepared<R: Real> { $($kind($type)),* }

        impl Form {
            fn name(self) -> &'static str {
                match self { $(Form::$kind => stringify!($kind)),* }
            }
            fn room(self) -> bool {
                type R = f64;
                match self { $(Form::$kind => <$type as Component<R>>::ROOM),* }
            }
            fn fuses(self) -> bool {
                type R = f64;
                match self { $(Form::$kind => <$type as Component<R>>::FUSES),* }
            }
            fn refines(self) -> bool {
                type R = f64;
                match self { $(Form::$kind => <$type as Component<R>>::REFINES),* }
            }
            fn single_table(self) -> bool {
                type R = f64;
                match self { $(Form::$kind => <$type as Component<R>>::SINGLE_TABLE),* }
            }
            fn header(self) -> usize {
                type R = f64;
                match self { $(Form::$kind => <$type as Component<R>>::HEADER),* }
            }
            fn sparse(self) -> bool {
                type R = f64;
                match self { $(Form::$kind => <$type as Component<R>>::SPARSE),* }
            }
        }

        impl Code {
            /// By XSPEC's name in lower case.
            pub fn of(name: &str) -> Option<Self> {
                match name { $($name => Some(Code::$variant),)* _ => None }
            }
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),* }
            }
            fn form(self) -> Form {
                match self { $(Code::$variant => Form::$form),* }
            }
            pub fn table(self) -> TableFn {
                match self { $(Code::$variant => $table),* }
            }
            pub fn shader(self) -> Shader {
                let ((file, source), value) = match self { $(Code::$variant => ($shader, $value)),* };
                let form = self.form();
                Shader { file, source, structure: form.name(), value, room: form.room(), needs: needs(file) }
            }
            /// Whether it is a scale times an exponential.
            pub fn fuses(self) -> bool {
                self.form().fuses()
            }
            /// Whether the oracle integrates it over parts of a bin.
            pub fn refines(self) -> bool {
                self.form().refines()
            }
            /// Whether only the f32 forms have its table. It then depends on the band and the width of the bins, not on which
            /// of them are there.
            pub fn single_table(self) -> bool {
                self.form().single_table()
            }
            /// Numbers at the start of such a table that the oracle has too.
            pub fn header(self) -> usize {
                self.form().header()
            }
            /// Whether it is zero on most of the band.
            pub fn sparse(self) -> bool {
                self.form().sparse()
            }
            #[inline(always)]
            pub fn prepare<R: Real>(self, par: &[f64]) -> Prepared<R> {
                match self { $(Code::$variant => Prepared::$form($setup(par))),* }
            }
        }

        impl<R: Real> Prepared<R> {
            #[inline(always)]
            pub fn ready(&mut self, table: &[R::Store]) {
                match self { $(Prepared::$kind(c) => Component::<R>::ready(c, table)),* }
            }
            pub fn exact(&self, tile: &Tile<R::Store>, settings: &Settings, out: &mut [R::Store; TILE]) -> bool {
                match self { $(Prepared::$kind(c) => Component::<R>::exact(c, tile, settings, out)),* }
            }
            #[inline(always)]
            pub fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
                match self { $(Prepared::$kind(c) => Component::<R>::fill(c, tile, table, out)),* }
            }
            /// Where [`Code::fuses`]; the others' arms would only be compiled.
            #[inline(always)]
            pub fn fuse(
                &self,
                tile: &Tile<R::Store>,
                table: &[R::Store],
                exponents: &mut [R::Store; TILE],
                scales: &mut [R::Store; TILE],
            ) {
                match self {
                    $(Prepared::$kind(c) => {
                        if <$type as Component<R>>::FUSES {
                            Component::<R>::fuse(c, tile, table, exponents, scales);
                        } else {
                            unreachable!("{} in a product of exponentials", stringify!($kind));
                        }
                    })*
                }
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
const PAIR: (&str, &str) = ("pair", include_str!("../../../../../shaders/model/pair.wgsl"));
const RELATIVISTIC_LIGHT: (&str, &str) =
    ("relativistic_light", include_str!("../../../../../shaders/model/relativistic_light.wgsl"));
const RELATIVISTIC_PLACES: (&str, &str) =
    ("relativistic_places", include_str!("../../../../../shaders/model/relativistic_places.wgsl"));
const RELATIVISTIC: (&str, &str) = ("relativistic", include_str!("../../../../../shaders/model/relativistic.wgsl"));
const CUBIC: (&str, &str) = ("cubic", include_str!("../../../../../shaders/model/cubic.wgsl"));
const FACTOR: (&str, &str) = ("factor", include_str!("../../../../../shaders/model/factor.wgsl"));

registry! {
    // Variant, XSPEC's name in lower case: form (and its WGSL structure) = set-up, table, shader, value in WGSL.
    {
        Powerlaw "powerlaw": Power = power::powerlaw, no_table, POWER, "power_value";
        Zpowerlw "zpowerlw": Power = power::zpowerlw, no_table, POWER, "power_value";
        Cutoffpl "cutoffpl": Cutoff = power::cutoffpl, no_table, POWER, "cutoff_value";
        Zcutoffpl "zcutoffpl": Cutoff = power::zcutoffpl, no_table, POWER, "cutoff_value";
        Bknpower "bknpower": Broken = power::bknpower, no_table, POWER, "broken_value";
        Logpar "logpar": LogParabola = power::logpar, no_table, POWER, "logparabola_value";
        Expdec "expdec": Decay = power::expdec, no_table, POWER, "decay_value";
        Bbody "bbody": Body = body::bbody, no_table, BODY, "body_value";
        Bbodyrad "bbodyrad": Body = body::bbodyrad, no_table, BODY, "body_value";
        Zbbody "zbbody": Body = body::zbbody, no_table, BODY, "body_value";
        Diskbb "diskbb": Disk = disk::diskbb, disk::table, DISK, "disk_value";
        Bremss "bremss": Bremss = bremss::bremss, bremss::table, BREMSS, "bremss_value";
        Zbremss "zbremss": Bremss = bremss::zbremss, bremss::table, BREMSS, "bremss_value";
        Gaussian "gaussian": Gauss = line::gaussian, no_table, LINE, "gauss_value";
        Zgauss "zgauss": Gauss = line::zgauss, no_table, LINE, "gauss_value";
        Tbabs "tbabs": PerBin = absorption::column, absorption::tbabs_table, ABSORPTION, "perbin_value";
        Phabs "phabs": PerBin = absorption::column, absorption::phabs_table, ABSORPTION, "perbin_value";
        Ztbabs "ztbabs": Shifted = absorption::shifted_column, absorption::ztbabs_table, ABSORPTION, "shifted_value";
        Tbgas "tbgas": Shifted = absorption::shifted_column, absorption::tbgas_table, ABSORPTION, "shifted_value";
        Zphabs "zphabs": Shifted = absorption::shifted_column, absorption::zphabs_table, ABSORPTION, "shifted_value";
        Pcfabs "pcfabs": PartlyPerBin = absorption::covered, absorption::phabs_table, ABSORPTION, "partly_perbin_value";
        Zpcfabs "zpcfabs": PartlyShifted = absorption::shifted_covered, absorption::zphabs_table, ABSORPTION, "partly_shifted_value";
        Wabs "wabs": Wisconsin = wisconsin::wabs, wisconsin::table, WISCONSIN, "wisconsin_value";
        Zwabs "zwabs": Wisconsin = wisconsin::zwabs, wisconsin::table, WISCONSIN, "wisconsin_value";
        Tbgrain "tbgrain": Species = species::tbgrain, species::tbgrain_table, SPECIES, "species_value";
        Tbpcf "tbpcf": Species = species::tbpcf, species::tbpcf_table, SPECIES, "species_value";
        Tbfeo "tbfeo": Species = species::tbfeo, species::tbfeo_table, SPECIES, "species_value";
        Tbvarabs "tbvarabs": Species = species::tbvarabs, species::tbvarabs_table, SPECIES, "species_value";
        Tbrel "tbrel": Species = species::tbvarabs, species::tbvarabs_table, SPECIES, "species_value";
        Vphabs "vphabs": Species = species::vphabs, species::vphabs_table, SPECIES, "species_value";
        Zvphabs "zvphabs": Species = species::zvphabs, species::zvphabs_table, SPECIES, "species_value";
        Varabs "varabs": Species = species::varabs, species::vphabs_table, SPECIES, "species_value";
        Zvarabs "zvarabs": Species = species::zvarabs, species::zvphabs_table, SPECIES, "species_value";
        Constant "constant": Constant = factor::constant, no_table, FACTOR, "constant_value";
        Edge "edge": Edge = factor::edge, no_table, FACTOR, "edge_value";
        Zedge "zedge": Edge = factor::zedge, no_table, FACTOR, "edge_value";
        Highecut "highecut": HighCut = factor::highecut, no_table, FACTOR, "highcut_value";
        Zhighect "zhighect": HighCut = factor::zhighect, no_table, FACTOR, "highcut_value";
        Pegpwrlw "pegpwrlw": Power = power::pegpwrlw, no_table, POWER, "power_value";
        Zbknpower "zbknpower": Broken = power::zbknpower, no_table, POWER, "broken_value";
        Bkn2pow "bkn2pow": TwiceBroken = power::bkn2pow, no_table, POWER, "twicebroken_value";
        Zlogpar "zlogpar": LogParabola = power::zlogpar, no_table, POWER, "logparabola_value";
        Expabs "expabs": PowerCut = simple::expabs, no_table, SIMPLE, "powercut_value";
        Spexpcut "spexpcut": PowerCut = simple::spexpcut, no_table, SIMPLE, "powercut_value";
        Plabs "plabs": PowerFactor = simple::plabs, no_table, SIMPLE, "powerfactor_value";
        Expfac "expfac": Modification = simple::expfac, no_table, SIMPLE, "modification_value";
        Cabs "cabs": Scattering = simple::cabs, no_table, SIMPLE, "scattering_value";
        Dust "dust": Halo = simple::dust, no_table, SIMPLE, "halo_value";
        Smedge "smedge": Smeared = feature::smedge, no_table, FEATURE, "smeared_value";
        Cyclabs "cyclabs": Cyclotron = feature::cyclabs, no_table, FEATURE, "cyclotron_value";
        Gabs "gabs": Notch = feature::gabs, no_table, FEATURE, "notch_value";
        Agauss "agauss": Wavelength = line::agauss, no_table, LINE, "wavelength_value";
        Zagauss "zagauss": Wavelength = line::zagauss, no_table, LINE, "wavelength_value";
        Lorentz "lorentz": Lorentz = profile::lorentz, no_table, PROFILE, "lorentz_value";
        Zlorentz "zlorentz": Lorentz = profile::zlorentz, no_table, PROFILE, "lorentz_value";
        Diskpbb "diskpbb": Surface = surface::diskpbb, surface::diskpbb_table, SURFACE, "surface_value";
        Ezdiskbb "ezdiskbb": Surface = surface::ezdiskbb, surface::ezdiskbb_table, SURFACE, "surface_value";
        Bmc "bmc": Surface = surface::bmc, surface::bmc_table, SURFACE, "surface_value";
        Voigt "voigt": Voigt = voigt::voigt, no_table, VOIGT, "voigt_value";
        Zvoigt "zvoigt": Voigt = voigt::zvoigt, no_table, VOIGT, "voigt_value";
        Redden "redden": Milky = extinction::redden, no_table, EXTINCTION, "milky_value";
        Uvred "uvred": Seaton = extinction::uvred, no_table, EXTINCTION, "seaton_value";
        Zdust "zdust": Pei = extinction::zdust, no_table, EXTINCTION, "pei_value";
        Diskline "diskline": DiskLine = diskline::diskline, no_table, DISKLINE, "diskline_value";
        NthComp "nthcomp": Thermal = thermal::nthcomp, no_table, THERMAL, "thermal_value";
        CompTT "comptt": Titarchuk = titarchuk::comptt, no_table, TITARCHUK, "titarchuk_value";
        CompTB "comptb": Bulk = comptb::comptb, no_table, COMPTB, "comptb_value";
        CompBB "compbb": Scattered = compbb::compbb, compbb::table, COMPBB, "compbb_value";
        Pexrav "pexrav": Reflected = slab::pexrav, slab::table, SLAB, "slab_value";
        Pexmon "pexmon": Reflected = slab::pexmon, slab::table, SLAB, "slab_value";
        Laor "laor": Relativistic = relativistic::laor, relativistic::no_bins, RELATIVISTIC, "relativistic_value";
        Laor2 "laor2": Relativistic = relativistic::laor2, relativistic::no_bins, RELATIVISTIC, "relativistic_value";
        Relline "relline": Relativistic = relativistic::relline, relativistic::no_bins, RELATIVISTIC, "relativistic_value";
        RellineLp "relline_lp": Relativistic = relativistic::relline_lp, relativistic::no_bins, RELATIVISTIC, "relativistic_value";
        Kerrdisk "kerrdisk": Relativistic = relativistic::kerrdisk, relativistic::no_bins, RELATIVISTIC, "relativistic_value";
        SssIce "sss_ice": Ice = simple::sss_ice, no_table, SIMPLE, "ice_value";
        Apec "apec": Plasma = plasma::apec, plasma::apec_table, PLASMA, "plasma_value";
        Vapec "vapec": Plasma = plasma::vapec, plasma::vapec_table, PLASMA, "plasma_value";
        Vvapec "vvapec": Plasma = plasma::vvapec, plasma::vvapec_table, PLASMA, "plasma_value";
        Bapec "bapec": Plasma = plasma::bapec, plasma::bapec_table, PLASMA, "plasma_value";
        Bvapec "bvapec": Plasma = plasma::bvapec, plasma::bvapec_table, PLASMA, "plasma_value";
        Bvvapec "bvvapec": Plasma = plasma::bvvapec, plasma::bvvapec_table, PLASMA, "plasma_value";
        PlasmaCells "plasma_cells": Cells = plasma::cells, no_table, PLASMA_CELLS, "cells_value";
        Step "step": Step = profile::step, no_table, PROFILE, "step_value";
        Atable "atable": Tabulated = tabulated::tabulated, no_table, TABLE, "tabulated_value";
        Mtable "mtable": Tabulated = tabulated::tabulated, no_table, TABLE, "tabulated_value";
        Etable "etable": Tabulated = tabulated::tabulated, no_table, TABLE, "tabulated_value";
        Pca "pca": Tabulated = tabulated::tabulated, no_table, TABLE, "tabulated_value";
    }
    // Form: its type.
    {
        Power: power::Power<R>;
        Cutoff: power::Cutoff<R>;
        Broken: power::Broken<R>;
        LogParabola: power::LogParabola<R>;
        Decay: power::Decay<R>;
        Body: body::Body<R>;
        Disk: disk::Disk<R>;
        Bremss: bremss::Bremss<R>;
        Gauss: line::Gauss<R>;
        PerBin: absorption::PerBin<R>;
        Shifted: absorption::Shifted<R>;
        PartlyPerBin: absorption::Partly<absorption::PerBin<R>, R>;
        PartlyShifted: absorption::Partly<absorption::Shifted<R>, R>;
        Wisconsin: wisconsin::Wisconsin<R>;
        Species: species::Species<R>;
        Constant: factor::Constant<R>;
        Edge: factor::Edge<R>;
        HighCut: factor::HighCut<R>;
        TwiceBroken: power::TwiceBroken<R>;
        PowerCut: simple::PowerCut<R>;
        PowerFactor: simple::PowerFactor<R>;
        Modification: simple::Modification<R>;
        Scattering: simple::Scattering<R>;
        Halo: simple::Halo<R>;
        Smeared: feature::Smeared<R>;
        Cyclotron: feature::Cyclotron<R>;
        Notch: feature::Notch<R>;
        Wavelength: line::Wavelength<R>;
        Lorentz: profile::Lorentz<R>;
        Surface: surface::Surface<R>;
        Voigt: voigt::Voigt<R>;
        Milky: extinction::Milky<R>;
        Seaton: extinction::Seaton<R>;
        Pei: extinction::Pei<R>;
        DiskLine: diskline::DiskLine<R>;
        Thermal: thermal::Thermal<R>;
        Titarchuk: titarchuk::Titarchuk<R>;
        Bulk: comptb::Bulk<R>;
        Scattered: compbb::Scattered<R>;
        Reflected: slab::Reflected<R>;
        Relativistic: relativistic::Relativistic<R>;
        Ice: simple::Ice<R>;
        Plasma: plasma::Plasma;
        Cells: plasma::Cells;
        Step: profile::Step<R>;
        Tabulated: tabulated::Tabulated<R>;
    }
}

/// Files whose functions a file of shaders calls.
fn needs(file: &str) -> &'static [(&'static str, &'static str)] {
    match file {
        "slab" | "reflect" => &[GREEN],
        "absorption" | "species" => &[STEPS],
        "blur" => &[DISKLINE],
        "relativistic" => &[DISKLINE, CUBIC, PAIR, RELATIVISTIC_LIGHT, RELATIVISTIC_PLACES],
        "thcomp" => &[THERMAL],
        _ => &[],
    }
}

/// Whether this version can evaluate the component (lower-case name). Convolutions live outside the registry: they read
/// another spectrum instead of filling tiles on their own. The table models are nothing without a file.
pub fn implemented(name: &str) -> bool {
    let built_in =
        Code::of(name).is_some() || convolution::Convolution::of(name).is_some() || reflection::needs_table(name);
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
