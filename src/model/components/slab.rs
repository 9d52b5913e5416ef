//! pexrav, pexmon: a power law with an exponential cutoff and its reflection by a cold slab (Magdziarz & Zdziarski 1995, MNRAS
//! 273, 837); with the lines of iron and nickel (George & Fabian 1991, MNRAS 249, 352; Nandra et al. 2007, MNRAS 382, 194).
//!
//! Below 10 keV photons keep their energy when reflected: a factor per bin, taken at its middle as XSPEC does. Above 12 keV the
//! reflection is an integral of a Green's function (`green.rs`) over the incident spectrum, smooth in energy, and tabulated once
//! per spectrum; XSPEC integrates it adaptively for every bin, to 1 %. Between the two the one passes into the other.

use super::{
    Component,
    absorption::ORIGIN,
    green::{Green, Integral, MASS},
    line::{Gauss, gaussian},
    power::{Cutoff, cutoffpl},
    stretch,
};
use crate::{
    atomic::{abundances, cross_sections},
    model::{
        Settings,
        grid::{Bin, TILE, Tile},
        real::Real,
    },
};
use std::cell::OnceCell;

/// Thomson cross sections in 1e-22 cm2, inverted, and electrons per hydrogen atom.
const THOMSON: f64 = 150.3;
const ELECTRONS: f64 = 1.21;
/// Transition from one form to the other, E/511 keV.
pub(super) const FROM: f64 = 0.01957;
pub(super) const TO: f64 = 0.02348;
/// Nothing is reflected below, E/511 keV.
const LOWEST: f64 = 2e-4;
/// Where the opacity that the Green's function is given is taken, E/511 keV.
const AT: f64 = 0.01947;

/// Number of rows, ln E of the rows, ln of the cross section per H of the elements heavier than helium without iron, and of iron
/// (1e-22 cm2): hydrogen and helium are taken to be ionised.
pub(crate) fn table(_bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    let name = if settings.cross_sections == "vern" { "vern" } else { "bcmc" };
    let (Some(sections), Some(abundances)) = (cross_sections(name), abundances(&settings.abundances)) else {
        return Vec::new();
    };
    let rows = sections.energies.len();
    let (mut metals, mut iron) = (vec![0.0; rows], vec![0.0; rows]);
    for species in sections.species() {
        let element = species.split('_').next().unwrap_or(species);
        let Some(column) = sections.column(species).filter(|_| !["H", "He", "H2"].contains(&element)) else { continue };
        let abundance = abundances.get(element).copied().unwrap_or(0.0);
        let sum = if element == "Fe" { &mut iron } else { &mut metals };
        for (sum, sigma) in sum.iter_mut().zip(column) {
            *sum += abundance * f64::from(*sigma);
        }
    }
    let logarithms = |values: Vec<f64>| values.into_iter().map(|s: f64| s.max(1e-30).ln());
    let energies = sections.energies.iter().map(|e| (e / ORIGIN).ln());
    [rows as f64].into_iter().chain(energies).chain(logarithms(metals)).chain(logarithms(iron)).collect()
}

/// The slab as one spectrum's parameters have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slab {
    /// Cosine of the inclination, abundances of metals and iron.
    pub cosine: f64,
    metals: f64,
    iron: f64,
    pub stretch: f64,
    /// Reflected photons per those of an isotropic source above the slab.
    pub amount: f64,
    pub shows_source: bool,
}

/// Where a walk up the table stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row(usize);

impl Slab {
    pub fn new(amount: f64, redshift: f64, metals: f64, iron: f64, cosine: f64) -> Self {
        Self {
            cosine: cosine.clamp(0.05, 0.95),
            metals: metals.max(0.0),
            iron: iron.max(0.0),
            stretch: stretch(redshift),
            amount: amount.abs(),
            shows_source: amount >= 0.0,
        }
    }

    /// Opacity over Thomson's per electron at ascending E/ORIGIN keV in the slab's frame.
    #[inline(always)]
    fn opacity<R: Real>(&self, table: &[R::Store], row: &mut Row, ln_e: R) -> R {
        let count = table.first().map_or(0, |n| R::load(*n).to_f64() as usize);
        let Some(energies) = table.get(1..=count).filter(|_| count >= 2) else { return R::of(f64::NAN) };
        let above = |k: usize| energies.get(k).is_none_or(|e| ln_e.lt(R::load(*e)));
        if row.0 == 0 {
            row.0 = energies.partition_point(|e| !ln_e.lt(R::load(*e)));
        }
        while !above(row.0) {
            row.0 += 1;
        }
        let k = row.0.clamp(1, count - 1) - 1;
        let at = |column: usize, k: usize| table.get(1 + column * count + k).map_or(R::of(f64::NAN), |s| R::load(*s));
        let along = (ln_e - at(0, k)) / (at(0, k + 1) - at(0, k)).max(R::of(1e-12));
        let sigma = |column: usize| (at(column, k + 1) - at(column, k)).fma(along, at(column, k)).exp();
        let sum = sigma(1) * R::of(self.metals) + sigma(2) * R::of(self.iron);
        // Something is left to absorb: the factor below has a limit at 0, where its form has none.
        (sum * R::of(THOMSON / ELECTRONS)).max(R::of(1e-5))
    }

    /// What the Green's function is given of the opacity.
    pub fn asymptotic<R: Real>(&self, table: &[R::Store]) -> f64 {
        let mut row = Row::default();
        self.opacity::<R>(table, &mut row, R::of((AT * MASS / ORIGIN).ln())).to_f64() * AT.powi(3)
    }

    /// Reflected over incident photons at an energy below 12 keV; Basko's approximation of the H function (1978, ApJ 223, 268).
    #[inline(always)]
    pub fn albedo<R: Real>(&self, table: &[R::Store], row: &mut Row, ln_e: R) -> R {
        let (one, mu) = (R::of(1.0), self.cosine);
        let log = (1.0 + 1.0 / mu).ln();
        let square = mu * mu;
        let once = 0.375 * ((3.0 - 2.0 * square + 3.0 * square * square) * log + (3.0 * square - 1.0) * (0.5 - mu));
        let opacity = self.opacity::<R>(table, row, ln_e);
        let scattered = one / (one + opacity);
        let absorbed = (opacity * scattered).sqrt();
        let depth = absorbed * R::of(3f64.sqrt());
        let more = ((one / absorbed - one) * (one - (one + depth).ln() / depth) + one) * R::of(1.0 + mu * 3f64.sqrt())
            / (depth * R::of(mu) + one);
        scattered * R::of(0.5 * mu) * ((more - one) * R::of(log) + R::of(once))
    }
}

/// Share of the Green's function in what is reflected at x = E/511 keV, from ln x.
#[inline(always)]
pub(super) fn share(ln_x: f64) -> f64 {
    let along = ((ln_x - FROM.ln()) / (TO / FROM).ln()).clamp(0.0, 1.0);
    0.5 * (1.0 - (std::f64::consts::PI * along).cos())
}

pub struct Reflected<R: Real> {
    slab: Slab,
    source: Cutoff<R>,
    /// Photon index, 1/cutoff in the source's frame (1/keV), and the factor from E F_E there to photons/keV/cm2/s here.
    index: f64,
    inverse: f64,
    factor: f64,
    lines: Vec<Gauss<R>>,
    integral: OnceCell<Integral>,
}

/// PhoIndex, foldE (0: no cutoff), rel_refl (negative: reflection alone), Redshift, abund, Fe_abund, cosIncl, norm (photons/keV/cm2/s
/// of the power law at 1 keV in the observer's frame).
pub(crate) fn pexrav<R: Real>(par: &[f64]) -> Reflected<R> {
    let &[index, cutoff, amount, redshift, metals, iron, cosine, norm] = par else {
        return pexrav(&[2.0, 100.0, 0.0, 0.0, 1.0, 1.0, 0.45, 0.0]);
    };
    let slab = Slab::new(amount, redshift, metals, iron, cosine);
    let z = slab.stretch;
    let inverse = if cutoff > 0.0 { 1.0 / cutoff } else { 0.0 };
    let photons = |e: f64| e.powf(-index) * (-e * inverse).exp();
    // XSPEC's flux at 1 keV is the mean over 0.02 keV around it.
    let at_one = (photons((z - 0.01).max(1e-3)) + 4.0 * photons(z) + photons(z + 0.01)) / 6.0;
    let scale = if at_one > 0.0 { (norm / at_one).min(1e30) } else { 0.0 };
    let shown = if slab.shows_source || slab.amount > 0.0 { scale * z.powf(-index) } else { 0.0 };
    Reflected {
        slab,
        source: cutoffpl(&[index, if inverse > 0.0 { cutoff / z } else { 1e12 }, shown]),
        index,
        inverse,
        factor: scale / (z * z) * slab.amount,
        lines: Vec::new(),
        integral: OnceCell::new(),
    }
}

/// Energy and standard deviation (keV) and flux over that of Fe Ka: Fe Ka, Fe Kb, Ni Ka.
const LINES: [(f64, f64, f64); 3] = [(6.4, 0.005, 1.0), (7.05, 0.005, 17.0 / 150.0), (7.47, 0.005, 0.05)];
/// The Compton shoulder of Fe Ka.
const SHOULDER: (f64, f64) = (6.315, 0.035);

/// As pexrav, with the inclination in degrees.
pub(crate) fn pexmon<R: Real>(par: &[f64]) -> Reflected<R> {
    let &[index, cutoff, amount, redshift, metals, iron, inclination, norm] = par else { return pexrav(&[]) };
    let cosine = inclination.clamp(0.0, 90.0).to_radians().cos();
    let mut out = pexrav(&[index, cutoff, amount, redshift, metals, iron, cosine, norm]);
    // Equivalent width by Monte Carlo simulations (George & Fabian 1991), as fitted by Nandra et al. 2007.
    let of_index = match index {
        i if i <= 1.1 => 6.83,
        i if i >= 2.5 => 0.182,
        i => 9.66 * i.powf(-2.8) - 0.56,
    };
    let of_angle = cosine * (2.210 + cosine * (-1.749 + cosine * 0.541));
    let of_iron = if iron < 1e-7 {
        0.0
    } else {
        let log = iron.min(100.0).log10();
        10f64.powf(log * (0.641 - 0.172 * log))
    };
    let flux = 4.75e-3 * of_index * of_angle * of_iron * amount.abs() * norm;
    let z = out.slab.stretch;
    let shoulder = (SHOULDER.0, SHOULDER.1, 0.1 + 0.1 * cosine);
    out.lines = LINES.iter().chain([&shoulder]).map(|(e, s, f)| gaussian(&[e / z, s / z, f * flux])).collect();
    out
}

impl<R: Real> Reflected<R> {
    fn integral(&self, table: &[R::Store]) -> &Integral {
        self.integral.get_or_init(|| {
            let green = Green::new(self.slab.cosine, self.slab.asymptotic::<R>(table));
            green.integral(|x| {
                let e = x * MASS;
                e.powf(2.0 - self.index) * (-e * self.inverse).exp()
            })
        })
    }
}

impl<R: Real> Component<R> for Reflected<R> {
    const ROOM: bool = true;
    const REFINES: bool = false;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        self.source.fill(tile, &[], out);
        let direct = R::of(if self.slab.shows_source { 1.0 } else { 0.0 });
        let (amount, z) = (self.slab.amount, self.slab.stretch);
        let mut row = Row::default();
        for (j, out) in out.iter_mut().enumerate() {
            let bin = tile.bin::<R>(j);
            let source = R::load(*out);
            let middle = bin.mid_hi + bin.mid_lo;
            let x = middle.to_f64() * z / MASS;
            if amount == 0.0 || x < LOWEST {
                *out = (source * direct).store();
                continue;
            }
            let mut sum = source * direct;
            let late = share(x.ln());
            if late < 1.0 {
                let ln_e = middle.ln() + R::of((z / ORIGIN).ln());
                let albedo = self.slab.albedo::<R>(table, &mut row, ln_e);
                sum = (source * albedo).fma(R::of(amount * (1.0 - late)), sum);
            }
            if late > 0.0 {
                let photons = self.integral(table).at(x) * self.factor * late;
                sum = R::of(photons).fma(bin.width / (middle * middle), sum);
            }
            *out = sum.store();
        }
        let mut photons = [R::Store::default(); TILE];
        for line in &self.lines {
            line.fill(tile, &[], &mut photons);
            for (out, line) in out.iter_mut().zip(&photons) {
                *out = (R::load(*out) + R::load(*line)).store();
            }
        }
    }
}
