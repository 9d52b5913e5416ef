//! Absorption by a mixture that parameters change: tbgrain, tbpcf, tbfeo, tbvarabs, tbrel, vphabs, zvphabs, varabs, zvarabs.
//!
//! Each species (or fixed sum of species) has a column of cross sections, weighted per spectrum into what is in the gas and what
//! is in grains. The dust term is a sum over eight grain radii; see [`crate::atomic::absorption::grains`]. Without a free
//! redshift the columns are per energy bin; with one they are rows of ln sigma over ln E, interpolated at both edges of a bin
//! and averaged, as XSPEC does, before the dust term, which is not linear in the cross section.

use super::{
    Component,
    absorption::{LARGEST_EXPONENT, ORIGIN_ENERGY, PER_END, Rows, ends, in_parts, ln_stretch},
    steps::{PER_BIN, PER_EDGE, Steps, bins_table, edges_table},
};
use crate::atomic::{
    absorption::{Mixture, RADII, elements, grains},
    abundances, cross_sections,
};
use crate::model::{
    Settings,
    grid::{Bin, TILE, Tile},
    real::Real,
};

/// Most columns: the 18 elements and molecular hydrogen.
const MOST_COLUMNS: usize = 19;
/// Weights are held inside this, so that f32 holds their sums; abundances 1e6 times the Sun's are beyond any use.
const HEAVIEST_WEIGHT: f64 = 1e6;
/// ln of a cross section that is zero.
const NOTHING_LN: f64 = -200.0;
/// The constants of TBabs: fraction of H in H2; density, smallest and largest radius, index.
const MOLECULES: f64 = 0.2;
const STANDARD_DUST: [f64; 4] = [1.0, 0.025, 0.25, 3.5];

/// 1 - cover + cover exp(-nH (gas + dust)), perhaps at a redshift.
#[derive(Debug, Clone, Copy)]
pub struct Species<R> {
    gas: [R; MOST_COLUMNS],
    dust: [R; MOST_COLUMNS],
    /// (x m, w) of each radius.
    grains: Option<[(R, R); RADII]>,
    minus: R,
    cover: R,
    /// ln(1 + z) in two parts.
    ln_stretch: R,
    ln_stretch_low: R,
}

struct Mix {
    nh: f64,
    gas: [f64; MOST_COLUMNS],
    dust: [f64; MOST_COLUMNS],
    /// Density, smallest and largest radius (micron), index.
    grains: Option<[f64; 4]>,
    cover: f64,
    redshift: f64,
}

impl Mix {
    fn new(nh: f64, redshift: f64) -> Self {
        Self { nh, gas: [0.0; MOST_COLUMNS], dust: [0.0; MOST_COLUMNS], grains: None, cover: 1.0, redshift }
    }

    fn prepare<R: Real>(&self) -> Species<R> {
        let weights = |w: &[f64; MOST_COLUMNS]| w.map(|w| R::of(w.clamp(-HEAVIEST_WEIGHT, HEAVIEST_WEIGHT)));
        let (ln_stretch, ln_stretch_low) = ln_stretch::<R>(self.redshift);
        Species {
            gas: weights(&self.gas),
            dust: weights(&self.dust),
            grains: self.grains.map(|[density, smallest, largest, index]| {
                grains(density, smallest, largest, index).map(|(x, w)| (R::of(x), R::of(w)))
            }),
            minus: R::of(-self.nh),
            cover: R::of(self.cover),
            ln_stretch,
            ln_stretch_low,
        }
    }
}

/// nH, h2, rho, amin, amax, PL. Columns: gas but hydrogen, H, H2, atoms in dust.
pub(crate) fn tbgrain<R: Real>(par: &[f64]) -> Species<R> {
    let &[nh, h2, rho, amin, amax, index] = par else { return Mix::new(0.0, 0.0).prepare() };
    let mut mix = Mix::new(nh, 0.0);
    mix.gas[..3].copy_from_slice(&[1.0, 1.0 - h2, 0.5 * h2]);
    if rho > 0.0 {
        mix.dust[3] = 1.0;
        mix.grains = Some([rho, amin, amax, index]);
    } else {
        mix.gas[3] = 1.0; // without grains every atom is in the gas
    }
    mix.prepare()
}

/// nH, pcf, redshift. Columns: gas, atoms in dust.
pub(crate) fn tbpcf<R: Real>(par: &[f64]) -> Species<R> {
    let &[nh, cover, redshift] = par else { return Mix::new(0.0, 0.0).prepare() };
    let mut mix = Mix::new(nh, redshift);
    (mix.gas[0], mix.dust[1], mix.grains, mix.cover) = (1.0, 1.0, Some(STANDARD_DUST), cover);
    mix.prepare()
}

/// nH, O, Fe, redshift. Columns: gas and dust but O and Fe, O in gas, O in dust, Fe in gas, Fe in dust.
pub(crate) fn tbfeo<R: Real>(par: &[f64]) -> Species<R> {
    let &[nh, oxygen, iron, redshift] = par else { return Mix::new(0.0, 0.0).prepare() };
    let mut mix = Mix::new(nh, redshift);
    (mix.gas[0], mix.gas[2], mix.gas[4]) = (1.0, oxygen, iron);
    (mix.dust[1], mix.dust[3], mix.dust[5]) = (1.0, oxygen, iron);
    mix.grains = Some(STANDARD_DUST);
    mix.prepare()
}

/// nH, 17 abundances, H2, rho, amin, amax, PL, 18 fractions in the gas, redshift. Columns: the elements, H2.
pub(crate) fn tbvarabs<R: Real>(par: &[f64]) -> Species<R> {
    let &[nh, ref heavier @ .., redshift] = par else { return Mix::new(0.0, 0.0).prepare() };
    let mut mix = Mix::new(nh, redshift);
    let (Some(elements), Some(&[h2, rho, amin, amax, index]), Some(in_gas)) =
        (heavier.get(..17), heavier.get(17..22), heavier.get(22..40))
    else {
        return mix.prepare();
    };
    for (k, fraction) in in_gas.iter().enumerate() {
        let abundance = if k == 0 { 1.0 } else { elements[k - 1] };
        let fraction = if rho > 0.0 { *fraction } else { 1.0 };
        mix.gas[k] = abundance * fraction;
        mix.dust[k] = abundance * (1.0 - fraction);
    }
    mix.gas[18] = 0.5 * h2 * mix.gas[0];
    mix.gas[0] *= 1.0 - h2;
    mix.grains = Some([rho, amin, amax, index]);
    mix.prepare()
}

/// nH, 17 abundances. Columns: the elements.
pub(crate) fn vphabs<R: Real>(par: &[f64]) -> Species<R> {
    let mut all = [0.0; 19];
    all.iter_mut().zip(par).for_each(|(a, p)| *a = *p);
    zvphabs(&all)
}

/// nH, 17 abundances, redshift.
pub(crate) fn zvphabs<R: Real>(par: &[f64]) -> Species<R> {
    let &[nh, ref heavier @ .., redshift] = par else { return Mix::new(0.0, 0.0).prepare() };
    let mut mix = Mix::new(nh, redshift);
    mix.gas[0] = 1.0;
    mix.gas.iter_mut().skip(1).zip(heavier).for_each(|(g, a)| *g = *a);
    mix.prepare()
}

/// 18 columns in units of the element's in 1e22 H/cm2.
pub(crate) fn varabs<R: Real>(par: &[f64]) -> Species<R> {
    let mut all = [0.0; 19];
    all.iter_mut().zip(par).for_each(|(a, p)| *a = *p);
    zvarabs(&all)
}

/// 18 columns, redshift.
pub(crate) fn zvarabs<R: Real>(par: &[f64]) -> Species<R> {
    let &[ref columns @ .., redshift] = par else { return Mix::new(0.0, 0.0).prepare() };
    let mut mix = Mix::new(1.0, redshift);
    mix.gas.iter_mut().zip(columns).for_each(|(g, c)| *g = *c);
    mix.prepare()
}

/// A column: its weight of every species of the cross-section table, and its dust mass per H (atomic mass units).
struct Column {
    weights: Vec<f64>,
    mass: f64,
}

/// Cross sections of a family with the abundances put in.
struct Family {
    mixture: Mixture,
    sections: &'static crate::atomic::CrossSections,
    names: Vec<String>,
    abundance: Vec<f64>,
}

impl Family {
    fn tbabs(settings: &Settings) -> Option<Self> {
        Self::new(Mixture::tbabs(&settings.abundances)?, "tbabs", "", settings)
    }

    fn phabs(settings: &Settings) -> Option<Self> {
        let (table, without) = match settings.cross_sections.as_str() {
            "bcmc" => ("bcmc", "He_obcm"),
            "obcm" => ("bcmc", "He"),
            _ => ("vern", ""),
        };
        Self::new(Mixture::phabs(&settings.abundances, &settings.cross_sections)?, table, without, settings)
    }

    fn new(mixture: Mixture, table: &str, without: &str, settings: &Settings) -> Option<Self> {
        let (sections, abundances) = (cross_sections(table)?, abundances(&settings.abundances)?);
        let names: Vec<String> = sections
            .species()
            .map(|s| if s == without { String::new() } else { s.split('_').next().unwrap_or(s).to_string() })
            .collect();
        let of = |name: &String| abundances.get(if name == "H2" { "H" } else { name }).copied().unwrap_or(0.0);
        let abundance = names.iter().map(of).collect();
        Some(Self { mixture, sections, names, abundance })
    }

    /// A sum over the species; `part` gives the share of each one's atoms.
    fn column(&self, part: impl Fn(&str) -> f64) -> Column {
        let weights: Vec<f64> = self.names.iter().zip(&self.abundance).map(|(n, a)| part(n) * a).collect();
        let heavy = |n: &String| elements().iter().find(|e| e.0 == n).map_or(0.0, |e| e.2);
        let mass = self.names.iter().zip(&weights).map(|(n, w)| w * heavy(n)).sum();
        Column { weights, mass }
    }

    /// One column per element and, where the family has it, H2.
    fn each(&self) -> Vec<Column> {
        let molecules = self.names.iter().any(|n| n == "H2").then_some("H2");
        let names = elements().iter().map(|e| e.0).chain(molecules);
        names.map(|name| self.column(|n| f64::from(u8::from(n == name)))).collect()
    }

    /// 0, number of columns, 0, their masses, then the columns per bin, each padded to whole tiles.
    fn by_bin(&self, bins: &[(f64, f64)], columns: &[Column]) -> Vec<f64> {
        let species = self.mixture.species_bins(bins);
        let mut table = vec![0.0, columns.len() as f64, 0.0];
        table.extend(columns.iter().map(|c| c.mass));
        for column in columns {
            let sum = |s: &Vec<f64>| s.iter().zip(&column.weights).map(|(s, w)| s * w).sum();
            table.extend(super::absorption::padded(species.iter().map(sum).collect()));
        }
        table
    }

    /// Number of rows, of columns and of edges, masses, ln E of the rows in two parts, ln sigma by column, the edges, the bins' ends, and
    /// what the edges need of the bins.
    fn by_row(&self, bins: &[(f64, f64)], columns: &[Column]) -> Vec<f64> {
        let rows = self.sections.energies.len();
        let jumps = self.mixture.jumps();
        let mut table = vec![rows as f64, columns.len() as f64, jumps.len() as f64];
        table.extend(columns.iter().map(|c| c.mass));
        table.extend(in_parts(self.sections.energies.iter().map(|e| (e / ORIGIN_ENERGY).ln())));
        let raw: Vec<&[f32]> = self.sections.species().filter_map(|s| self.sections.column(s)).collect();
        for column in columns {
            table.extend((0..rows).map(|i| {
                let sum: f64 = raw.iter().zip(&column.weights).map(|(r, w)| f64::from(r[i]) * w).sum();
                if sum > 0.0 { sum.ln() } else { NOTHING_LN }
            }));
        }
        // There are edges with the phabs family alone, each of whose elements is a column.
        let own = |species: usize| columns.iter().position(|c| c.weights.get(species).is_some_and(|w| *w > 0.0));
        table.extend(edges_table(&jumps, own));
        table.extend(ends(&self.mixture, bins));
        table.extend(bins_table(bins, jumps.len()));
        table
    }
}

/// Fraction in the gas by TBabs; H2 counts as gas.
fn in_gas(name: &str) -> f64 {
    elements().iter().find(|e| e.0 == name).map_or(1.0, |e| e.1)
}

/// Gas of TBabs: hydrogen divided between atoms and molecules.
fn standard_gas(name: &str) -> f64 {
    match name {
        "H" => 1.0 - MOLECULES,
        "H2" => 0.5 * MOLECULES,
        _ => in_gas(name),
    }
}

pub(crate) fn tbgrain_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    let Some(family) = Family::tbabs(settings) else { return Vec::new() };
    let only = |wanted: &'static str| move |n: &str| f64::from(u8::from(n == wanted));
    let columns = [
        family.column(|n| if n.starts_with('H') && n != "He" { 0.0 } else { in_gas(n) }),
        family.column(only("H")),
        family.column(only("H2")),
        family.column(|n| 1.0 - in_gas(n)),
    ];
    family.by_bin(bins, &columns)
}

pub(crate) fn tbpcf_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    let Some(family) = Family::tbabs(settings) else { return Vec::new() };
    family.by_row(bins, &[family.column(standard_gas), family.column(|n| 1.0 - in_gas(n))])
}

pub(crate) fn tbfeo_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    let Some(family) = Family::tbabs(settings) else { return Vec::new() };
    let other = |n: &str| n != "O" && n != "Fe";
    let mut columns = vec![
        family.column(|n| if other(n) { standard_gas(n) } else { 0.0 }),
        family.column(|n| if other(n) { 1.0 - in_gas(n) } else { 0.0 }),
    ];
    for element in ["O", "Fe"] {
        columns.push(family.column(|n| if n == element { in_gas(n) } else { 0.0 }));
        columns.push(family.column(|n| if n == element { 1.0 - in_gas(n) } else { 0.0 }));
    }
    family.by_row(bins, &columns)
}

pub(crate) fn tbvarabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    Family::tbabs(settings).map_or(Vec::new(), |f| f.by_row(bins, &f.each()))
}

pub(crate) fn vphabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    Family::phabs(settings).map_or(Vec::new(), |f| f.by_bin(bins, &f.each()))
}

pub(crate) fn zvphabs_table(bins: &[(f64, f64)], settings: &Settings) -> Vec<f64> {
    Family::phabs(settings).map_or(Vec::new(), |f| f.by_row(bins, &f.each()))
}

/// Row below an energy and the place between it and the next, for every bin of a tile. Above the table nothing absorbs.
struct Places<S> {
    row: [u32; TILE],
    place: [S; TILE],
    inside: [bool; TILE],
}

impl<R: Real> Species<R> {
    #[inline(always)]
    fn places(&self, rows: &Rows<'_, R>, edges: [&[R::Store]; 2]) -> Places<R::Store> {
        let zero = R::of(0.0).store();
        let mut out = Places { row: [0; TILE], place: [zero; TILE], inside: [false; TILE] };
        let mut row = 0;
        // Edges ascend, so the row only moves up along the tile.
        for (j, (high, low)) in edges[0].iter().zip(edges[1]).take(TILE).enumerate() {
            let end = (R::load(*high), R::load(*low));
            if j == 0 {
                row = rows.start(end);
            }
            let Some(place) = rows.place(end, &mut row) else { break };
            out.row[j] = row as u32;
            out.place[j] = place.store();
            out.inside[j] = true;
        }
        out
    }

    /// Adds half a column's cross sections at the places, times the weights, to the sums.
    #[inline(always)]
    fn add(places: &Places<R::Store>, ln_sigma: &[R::Store], (gas, dust): (R, R), sums: &mut [[R::Store; TILE]; 2]) {
        let mut at = [R::of(NOTHING_LN).store(); TILE];
        for (j, at) in at.iter_mut().enumerate() {
            let row = places.row[j] as usize;
            if let (true, Some(&[low, high])) = (places.inside[j], ln_sigma.get(row..row + 2)) {
                let (low, high) = (R::load(low), R::load(high));
                *at = (high - low).fma(R::load(places.place[j]), low).store();
            }
        }
        for (j, at) in at.iter().enumerate() {
            let half = R::load(*at).exp() * R::of(0.5);
            sums[0][j] = half.fma(gas, R::load(sums[0][j])).store();
            sums[1][j] = half.fma(dust, R::load(sums[1][j])).store();
        }
    }

    /// The sums of all columns, in the gas and in dust, for the bins of a tile. `None`: the table is not what it should be.
    #[inline(always)]
    fn sums(
        &self,
        tile: &Tile<R::Store>,
        [rows, columns, jumps]: [usize; 3],
        body: &[R::Store],
    ) -> Option<[[R::Store; TILE]; 2]> {
        let mut sums = [[R::of(0.0).store(); TILE]; 2];
        if columns > MOST_COLUMNS {
            return None;
        }
        if rows == 0 {
            let bins = body.len() / columns.max(1);
            for k in 0..columns {
                let column = body.get(k * bins + tile.start..)?.first_chunk::<TILE>()?;
                for (j, sigma) in column.iter().enumerate() {
                    let sigma = R::load(*sigma);
                    sums[0][j] = sigma.fma(self.gas[k], R::load(sums[0][j])).store();
                    sums[1][j] = sigma.fma(self.dust[k], R::load(sums[1][j])).store();
                }
            }
            return Some(sums);
        }
        let (energies, rest) = body.split_at_checked(rows)?;
        let (low, rest) = rest.split_at_checked(rows)?;
        let both = Rows::<R> { high: energies, low, stretch: (self.ln_stretch, self.ln_stretch_low) };
        let (sigmas, rest) = rest.split_at_checked(rows * columns)?;
        let (edges, rest) = rest.split_at_checked(PER_EDGE * jumps)?;
        let bins = rest.len() / if jumps > 0 { PER_END + PER_BIN } else { PER_END };
        let (ends, rest) = rest.split_at_checked(PER_END * bins)?;
        let lower = ends.get(..bins)?;
        for end in 0..2 {
            let part = |k: usize| ends.get(k * bins..(k + 1) * bins)?.get(tile.start..);
            let places = self.places(&both, [part(end)?, part(end + 2)?]);
            for (k, column) in sigmas.chunks_exact(rows).enumerate() {
                Self::add(&places, column, (self.gas[k], self.dust[k]), &mut sums);
            }
        }
        if jumps > 0 {
            let column = |k: usize| sigmas.get(k * rows..(k + 1) * rows).unwrap_or(&[]);
            let (high, low) = (self.ln_stretch, self.ln_stretch_low);
            Steps::<R>::new(edges, rest, energies)?.correct(tile, lower, high, low, column, |j, k, change| {
                let weight = self.gas.get(k).copied().unwrap_or(R::of(0.0));
                sums[0][j] = change.fma(weight, R::load(sums[0][j])).store();
            });
        }
        Some(sums)
    }
}

impl<R: Real> Component<R> for Species<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        let number = |k: usize| table.get(k).map_or(0, |n| R::load(*n).to_f64() as usize);
        let columns = number(1);
        let masses = table.get(3..3 + columns).unwrap_or(&[]);
        let body = table.get(3 + columns..).unwrap_or(&[]);
        let Some(mut sums) = self.sums(tile, [number(0), columns, number(2)], body).filter(|_| columns > 0) else {
            *out = [R::of(f64::NAN).store(); TILE];
            return;
        };
        let [gas, dust] = &mut sums;
        if let Some(grains) = &self.grains {
            let mass = masses.iter().zip(&self.dust).map(|(m, d)| R::load(*m).to_f64() * d.to_f64()).sum::<f64>();
            for (scaled, weight) in grains.iter().filter(|_| mass > 1e-9) {
                let x = *scaled * R::of(1.0 / mass);
                let share = -(*weight / x);
                for (gas, dust) in gas.iter_mut().zip(dust.iter()) {
                    let blocked = (-(R::load(*dust) * x)).min(R::of(LARGEST_EXPONENT)).exp_m1() * share;
                    *gas = (R::load(*gas) + blocked).store();
                }
            }
        }
        let uncovered = R::of(1.0) - self.cover;
        for (out, sum) in out.iter_mut().zip(gas.iter()) {
            let transmission = (self.minus * R::load(*sum)).min(R::of(LARGEST_EXPONENT)).exp();
            *out = transmission.fma(self.cover, uncovered).store();
        }
    }
}
