//! Optical depth per nH of the interstellar medium: the TBabs recipe (gas, molecular hydrogen, dust) and its relatives.
//!
//! The fact one would get wrong: XSPEC takes each species' cross section at the two edges of a bin and averages, and only
//! then forms the dust term, which is not linear in the cross section. Averaging the total would differ near edges.

use super::tables::{CrossSections, abundances, cross_sections};
use crate::numerics::special::erf;
use std::f64::consts::PI;

/// Fraction of hydrogen nuclei in molecules.
const H2_FRACTION: f64 = 0.2;
/// Grain density (g/cm3), smallest and largest radius (cm); the size distribution is a^-3.5.
const DUST_DENSITY: f64 = 1.0;
const A_MIN: f64 = 0.025e-4;
const A_MAX: f64 = 0.25e-4;
const AMU: f64 = 1.660_565_5e-24;

/// Element, fraction in the gas phase, atomic weight (Wilms, Allen & McCray 2000, ApJ 542, 914).
const ELEMENTS: [(&str, f64, f64); 18] = [
    ("H", 1.0, 1.0),
    ("He", 1.0, 4.0),
    ("C", 0.5, 12.0),
    ("N", 1.0, 14.0),
    ("O", 0.6, 16.0),
    ("Ne", 1.0, 20.0),
    ("Na", 0.25, 23.0),
    ("Mg", 0.2, 24.0),
    ("Al", 0.02, 27.0),
    ("Si", 0.1, 28.0),
    ("S", 0.6, 32.0),
    ("Cl", 0.5, 35.0),
    ("Ar", 1.0, 40.0),
    ("Ca", 0.003, 40.0),
    ("Cr", 0.03, 52.0),
    ("Fe", 0.3, 56.0),
    ("Co", 0.05, 59.0),
    ("Ni", 0.04, 59.0),
];

/// Element, fraction in the gas phase, atomic weight, in the order of the tables (H2 comes last there).
pub(crate) fn elements() -> &'static [(&'static str, f64, f64)] {
    &ELEMENTS
}

/// x = GRAIN rho a / m turns a cross section (1e-22 cm2) into the optical depth of a grain: a in micron, m the dust mass per H
/// in atomic mass units.
const GRAIN: f64 = 4.0 / 3.0 * 1e-4 * 1e-22 / AMU;
/// Radii at which the size distribution is evaluated: exact to 1e-8 for a factor of ten between the extremes, to 1e-5 for a
/// factor of 1000.
pub(crate) const RADII: usize = 8;
const NODES: [(f64, f64); RADII / 2] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// The dust term of a grain-size distribution a^-index between two radii (micron), as pairs (x m, w):
/// sigma_dust = sum w (1 - e^(-S x))/x, S the cross section of all atoms in dust per H, m their mass per H (atomic mass units).
///
/// It is the closed form of Wilms, Allen & McCray by Gauss-Legendre quadrature over ln a, normalised to the dust's mass: so it
/// has none of the closed form's exceptions (index 1, 3 or 4, equal radii).
pub(crate) fn grains(density: f64, smallest: f64, largest: f64, index: f64) -> [(f64, f64); RADII] {
    let (smallest, largest) = (smallest.max(1e-4), largest.max(1e-4));
    let (middle, half) = (0.5 * (smallest * largest).ln(), 0.5 * (largest / smallest).ln());
    let mut out = [(0.0, 0.0); RADII];
    let nodes = NODES.iter().flat_map(|(n, w)| [(*n, *w), (-*n, *w)]);
    for (out, (node, weight)) in out.iter_mut().zip(nodes) {
        let a = (middle + half * node).exp();
        // Mass in a grain a^3, number a^-index, d ln a.
        *out = (GRAIN * density * a, weight * (a / largest).powf(4.0 - index));
    }
    let total: f64 = out.iter().map(|(_, w)| w).sum();
    out.map(|(x, w)| (x, w / total))
}

/// An edge of one species, where the rule of bcmc and obcm divides a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jump {
    /// keV.
    pub energy: f64,
    /// Its number among the species of the table.
    pub species: usize,
}

/// How a mixture of species becomes one cross section per hydrogen atom.
#[derive(Debug, Clone)]
pub struct Mixture {
    sections: &'static CrossSections,
    /// The bcmc rule: the value at the bin's middle instead of the mean of the edges'.
    middle: bool,
    /// Per species of the table: weight in the gas.
    gas: Vec<f64>,
    /// Per species: number in dust per H, and that times atomic weight summed.
    dust: Vec<f64>,
    dust_mass: f64,
}

impl Mixture {
    /// TBabs: gas, molecules and grains. `None` for an unknown abundance table.
    pub fn tbabs(table: &str) -> Option<Self> {
        Self::new("tbabs", "", table, true, H2_FRACTION)
    }

    /// zTBabs: gas and molecules; every atom in the gas.
    pub fn ztbabs(table: &str) -> Option<Self> {
        Self::new("tbabs", "", table, false, H2_FRACTION)
    }

    /// TBgas: the atoms of the TBabs table, neither molecules nor grains.
    pub fn tbgas(table: &str) -> Option<Self> {
        Self::new("tbabs", "", table, false, 0.0)
    }

    /// phabs: atoms only. `xsect`: vern (Verner et al. 1996), bcmc (Balucinska-Church & McCammon 1992 with the helium of Yan
    /// et al. 1998) or obcm (the same with their own helium).
    pub fn phabs(table: &str, xsect: &str) -> Option<Self> {
        match xsect {
            "vern" => Self::new("vern", "", table, false, 0.0),
            "bcmc" => Self::new("bcmc", "He_obcm", table, false, 0.0),
            "obcm" => Self::new("bcmc", "He", table, false, 0.0),
            _ => None,
        }
    }

    /// Whether cross sections are taken at the bins' middles (bcmc, obcm) instead of averaged over the edges.
    pub fn takes_middle(&self) -> bool {
        self.middle
    }

    /// The edges that divide bins, ascending: with bcmc and obcm those of all species in use but helium, else none.
    pub fn jumps(&self) -> Vec<Jump> {
        if !self.middle {
            return Vec::new();
        }
        let mut jumps = self.sections.jumps();
        jumps.retain(|jump| self.gas.get(jump.species).is_some_and(|weight| *weight > 0.0));
        jumps
    }

    /// Cross section per H (1e-22 cm2) of one species, by its number in the table, on the table's own rows.
    pub fn species_rows(&self, species: usize) -> Vec<f64> {
        let weight = self.gas.get(species).copied().unwrap_or(0.0);
        let column = self.sections.species().nth(species).and_then(|name| self.sections.column(name));
        column.unwrap_or(&[]).iter().map(|sigma| weight * f64::from(*sigma)).collect()
    }

    fn new(sections: &str, without: &str, table: &str, dust: bool, h2: f64) -> Option<Self> {
        let middle = sections == "bcmc";
        let sections = cross_sections(sections)?;
        let abundances = abundances(table)?;
        let mut out = Self { sections, middle, gas: Vec::new(), dust: Vec::new(), dust_mass: 0.0 };
        for species in sections.species() {
            if species == without {
                out.gas.push(0.0);
                out.dust.push(0.0);
                continue;
            }
            let species = species.split('_').next().unwrap_or(species);
            if species == "H2" {
                out.gas.push(0.5 * h2);
                out.dust.push(0.0);
                continue;
            }
            let abundance = abundances.get(species).copied().unwrap_or(0.0);
            let element = ELEMENTS.iter().find(|(name, ..)| *name == species);
            let (fraction, weight) = element.map_or((1.0, 0.0), |(_, f, w)| (if dust { *f } else { 1.0 }, *w));
            let molecules = if species == "H" { 1.0 - h2 } else { 1.0 };
            out.gas.push(abundance * fraction * molecules);
            out.dust.push(abundance * (1.0 - fraction));
            out.dust_mass += AMU * abundance * (1.0 - fraction) * weight;
        }
        Some(out)
    }

    fn sigma(&self, species: &[f64]) -> f64 {
        let weigh = |weights: &[f64]| weights.iter().zip(species).map(|(w, s)| w * s).sum::<f64>();
        weigh(&self.gas) + self.dust_sigma(weigh(&self.dust))
    }

    /// Dust term from the mean number-weighted cross section sum(A b sigma), both in 1e-22 cm2 per H.
    fn dust_sigma(&self, sum: f64) -> f64 {
        if self.dust_mass <= 0.0 || sum <= 0.0 {
            return 0.0;
        }
        // With p = 3.5: (1-p) = -2.5, (4-p) = 1/2, and the lower incomplete gamma g(1/2, x) = sqrt(pi) erf(sqrt x).
        let size = -2.5 / (A_MAX.powf(-2.5) - A_MIN.powf(-2.5));
        let grains = self.dust_mass / (DUST_DENSITY * 4.0 / 3.0 * PI * size) * 0.5 / (A_MAX.sqrt() - A_MIN.sqrt());
        // Optical depth of a grain = q a; mass and number cancel to sum / dust_mass.
        let q = 4.0 / 3.0 * DUST_DENSITY * sum * 1e-22 / self.dust_mass;
        let absorbed = |a: f64| -(-q * a).exp_m1() / a.sqrt();
        let gamma = |a: f64| PI.sqrt() * erf((q * a).sqrt());
        let integral = (absorbed(A_MIN) - absorbed(A_MAX) + q.sqrt() * (gamma(A_MAX) - gamma(A_MIN))) / 0.5;
        grains * PI * size * integral * 1e22
    }

    /// Cross section per H (1e-22 cm2) of each bin: per species the mean of the two edges' values.
    ///
    /// `bins`: lower and upper edges in keV; what two bins share is looked up once.
    /// bcmc and obcm: the value at the middle; see [`CrossSections::over`].
    pub fn bins(&self, bins: &[(f64, f64)]) -> Vec<f64> {
        self.species_bins(bins).into_iter().map(|species| self.sigma(&species)).collect()
    }

    /// Per bin the cross section of every species of the table (1e-22 cm2 per atom), not weighted by abundance.
    pub fn species_bins(&self, bins: &[(f64, f64)]) -> Vec<Vec<f64>> {
        if self.middle {
            return bins.iter().map(|&(lo, hi)| self.sections.over(lo, hi)).collect();
        }
        let (mut low, mut high) = (Vec::new(), Vec::new());
        let mut out = Vec::with_capacity(bins.len());
        let mut before = f64::NAN;
        for &(lo, hi) in bins {
            if lo == before {
                std::mem::swap(&mut low, &mut high);
            } else {
                self.sections.at(lo, &mut low);
            }
            self.sections.at(hi, &mut high);
            before = hi;
            out.push(low.iter().zip(&high).map(|(a, b)| 0.5 * (a + b)).collect());
        }
        out
    }

    /// Total cross section per H on the table's own rows: (keV, 1e-22 cm2). For mixtures without dust it may be
    /// interpolated log-log, because the total is then linear in the species.
    pub fn rows(&self) -> Vec<(f64, f64)> {
        let columns: Vec<&[f32]> = self.sections.species().filter_map(|s| self.sections.column(s)).collect();
        let mut species = Vec::with_capacity(columns.len());
        self.sections
            .energies
            .iter()
            .enumerate()
            .map(|(i, e)| {
                species.clear();
                species.extend(columns.iter().map(|c| c.get(i).map_or(0.0, |s| f64::from(*s))));
                (*e, self.sigma(&species))
            })
            .collect()
    }
}
