//! pexrav, pexmon: a power law with an exponential cutoff and its reflection by a cold slab (Magdziarz & Zdziarski 1995, MNRAS
//! 273, 837); with the lines of iron and nickel (George & Fabian 1991, MNRAS 249, 352; Nandra et al. 2007, MNRAS 382, 194).
//!
//! Below 10 keV photons keep their energy when reflected: a factor, which XSPEC takes at a bin's middle. Here it is taken at the mean
//! ln E of the bin's photons, in each of the parts into which edges of the cross sections and wide bins are divided. Above 12 keV the
//! reflection is an integral of a Green's function (`green.rs`) over the incident spectrum, smooth in energy, and tabulated once
//! per spectrum; XSPEC integrates it adaptively for every bin, to 1 %, over what its grid has of the incident spectrum, linear
//! between the middles of bins. Between the two the one passes into the other.

use super::{
    Component,
    absorption::ORIGIN_ENERGY,
    green::{Green, Integral, MASS},
    line::{Gauss, gaussian},
    log_integral,
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
pub(super) const TRANSITION_FROM: f64 = 0.01957;
pub(super) const TRANSITION_TO: f64 = 0.02348;
/// Nothing is reflected below, E/511 keV.
const LOWEST_ENERGY: f64 = 2e-4;
/// Longest part of a bin that is taken whole, in ln E, below the transition and from there on: the reflected spectrum may rise as E^40.
const LONGEST_PART: f64 = 0.02;
const LONGEST_LATE: f64 = 0.005;
/// Rows closer than this, relative, are the two sides of an edge where the opacity changes by more than [`OPACITY_STEP`]: half of a step that
/// is left out is the error of a bin around it.
const NEAR_ROWS: f64 = 3e-7;
const OPACITY_STEP: f64 = 1e-5;
/// Where the opacity that the Green's function is given is taken, E/511 keV.
const OPACITY_ENERGY: f64 = 0.01947;

/// Number of rows and of edges, ln E of the rows, ln of the cross section per H of the elements heavier than helium without iron, and
/// of iron (1e-22 cm2): hydrogen and helium are taken to be ionised; then the edges' energies (keV) in two
/// parts, and the last row below and the first above each.
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
    let jumps = |column: &[f64], k: usize| (column[k + 1] / column[k].max(1e-30) - 1.0).abs() > OPACITY_STEP;
    let e = &sections.energies;
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for k in 0..rows.saturating_sub(1) {
        if e[k + 1] < e[k] * (1.0 + NEAR_ROWS) && (jumps(&metals, k) || jumps(&iron, k)) {
            match edges.last_mut() {
                Some(last) if last.1 == k => last.1 = k + 1,
                _ => edges.push((k, k + 1)),
            }
        }
    }
    let mut edges: Vec<(f64, usize, usize)> =
        edges.into_iter().map(|(below, above)| (e[above], below, above)).collect();
    // Where reflection begins is an edge as well; the rows on both sides hold across it.
    let begins = LOWEST_ENERGY * MASS;
    let row = e.partition_point(|e| *e <= begins).clamp(1, rows.max(2) - 1);
    edges.insert(edges.partition_point(|edge| edge.0 < begins), (begins, row, row - 1));
    let high = |edge: &(f64, usize, usize)| f64::from(edge.0 as f32);
    let mut table = vec![rows as f64, edges.len() as f64];
    table.extend(e.iter().map(|e| (e / ORIGIN_ENERGY).ln()));
    for column in [metals, iron] {
        table.extend(column.into_iter().map(|s| s.max(1e-30).ln()));
    }
    table.extend(edges.iter().map(high));
    table.extend(edges.iter().map(|edge| edge.0 - high(edge)));
    table.extend(edges.iter().map(|edge| edge.1 as f64));
    table.extend(edges.iter().map(|edge| edge.2 as f64));
    table
}

/// The edges of the cross sections between bins that ascend in energy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edges {
    stretch: f64,
    /// The first edge above the lower end of the last bin asked for, and its energy as observed (keV).
    next: usize,
    at: f64,
    /// The first and last row of the table between the edge before and that one.
    rows: (usize, usize),
}

/// A part of a bin without an edge: its ends from the bin's middle (keV), and the first and last row of the table that hold there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub from: f64,
    pub to: f64,
    rows: (usize, usize),
}

impl Edges {
    /// For a spectrum redshifted by `stretch`.
    pub fn new<R: Real>(table: &[R::Store], stretch: f64) -> Self {
        let mut edges = Self { stretch, next: 0, at: 0.0, rows: (0, 0) };
        edges.stand::<R>(table, 0);
        edges
    }

    /// Takes edge `next` for the next one.
    fn stand<R: Real>(&mut self, table: &[R::Store], next: usize) {
        let number = |k: usize| table.get(k).map_or(0, |n| R::load(*n).to_f64() as usize);
        let at = |k: usize| table.get(k).map_or(f64::INFINITY, |x| R::load(*x).to_f64());
        let (rows, count) = (number(0), number(1));
        let first = 2 + 3 * rows;
        let inside = next < count;
        self.next = next;
        self.at = if inside { (at(first + next) + at(first + count + next)) / self.stretch } else { f64::INFINITY };
        let lowest = if next > 0 { number(first + 3 * count + next.min(count) - 1) } else { 0 };
        let highest = if inside { number(first + 2 * count + next) } else { rows.saturating_sub(1) };
        self.rows = (lowest, highest);
    }

    /// Calls `each` for the parts of a bin around `middle` (keV); mostly the whole.
    #[inline(always)]
    pub fn parts<R: Real>(&mut self, table: &[R::Store], middle: f64, width: f64, mut each: impl FnMut(Part)) {
        let half = 0.5 * width;
        while self.at - middle <= -half {
            self.stand::<R>(table, self.next + 1);
        }
        let mut from = -half;
        loop {
            let to = (self.at - middle).min(half);
            each(Part { from, to, rows: self.rows });
            if to >= half {
                return;
            }
            from = to;
            self.stand::<R>(table, self.next + 1);
        }
    }
}

impl Part {
    /// The part of a bin, or of one divided further in `of` parts the `k`-th.
    fn bin<R: Real>(&self, middle: f64, k: usize, of: usize) -> Bin<R> {
        let at = |k: usize| self.from + (self.to - self.from) * (k as f64 / of as f64);
        let (from, to) = (at(k), at(k + 1));
        let (lo, hi) = (middle + from, middle + to);
        let centre = (lo * hi).sqrt();
        Bin {
            lo: R::of(lo),
            hi: R::of(hi),
            width: R::of(to - from),
            mid_hi: R::of(0.5 * (lo + hi)),
            mid_lo: R::of(0.0),
            centre: R::of(centre),
            ln_centre: R::of(centre.ln()),
            log_width: R::of(((to - from) / lo).ln_1p()),
        }
    }
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

    /// Opacity over Thomson's per electron at ascending E/ORIGIN_ENERGY keV in the slab's frame, from the rows `rows` alone: an energy next
    /// to an edge may be rounded across it.
    #[inline(always)]
    fn opacity<R: Real>(&self, table: &[R::Store], row: &mut Row, ln_e: R, rows: (usize, usize)) -> R {
        let count = table.first().map_or(0, |n| R::load(*n).to_f64() as usize);
        let Some(energies) = table.get(2..2 + count).filter(|_| count >= 2) else { return R::of(f64::NAN) };
        let above = |k: usize| energies.get(k).is_none_or(|e| ln_e.lt(R::load(*e)));
        if row.0 == 0 {
            row.0 = energies.partition_point(|e| !ln_e.lt(R::load(*e)));
        }
        while !above(row.0) {
            row.0 += 1;
        }
        let held = row.0.max(rows.0 + 1).min(rows.1);
        let k = held.clamp(1, count - 1) - 1;
        let at = |column: usize, k: usize| table.get(2 + column * count + k).map_or(R::of(f64::NAN), |s| R::load(*s));
        let along = (ln_e - at(0, k)) / (at(0, k + 1) - at(0, k)).max(R::of(1e-12));
        let sigma = |column: usize| (at(column, k + 1) - at(column, k)).fma(along, at(column, k)).exp();
        let sum = sigma(1) * R::of(self.metals) + sigma(2) * R::of(self.iron);
        // Something is left to absorb: the factor below has a limit at 0, where its form has none.
        (sum * R::of(THOMSON / ELECTRONS)).max(R::of(1e-5))
    }

    /// What the Green's function is given of the opacity.
    pub fn asymptotic<R: Real>(&self, table: &[R::Store]) -> f64 {
        let mut row = Row::default();
        self.opacity::<R>(table, &mut row, R::of((OPACITY_ENERGY * MASS / ORIGIN_ENERGY).ln()), (0, usize::MAX))
            .to_f64()
            * OPACITY_ENERGY.powi(3)
    }

    /// Reflected over incident photons at an energy below 12 keV; Basko's approximation of the H function (1978, ApJ 223, 268).
    #[inline(always)]
    pub fn albedo<R: Real>(&self, table: &[R::Store], row: &mut Row, ln_e: R, part: &Part) -> R {
        let (one, mu) = (R::of(1.0), self.cosine);
        let log = (1.0 + 1.0 / mu).ln();
        let square = mu * mu;
        let once = 0.375 * ((3.0 - 2.0 * square + 3.0 * square * square) * log + (3.0 * square - 1.0) * (0.5 - mu));
        let opacity = self.opacity::<R>(table, row, ln_e, part.rows);
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
    let along = ((ln_x - TRANSITION_FROM.ln()) / (TRANSITION_TO / TRANSITION_FROM).ln()).clamp(0.0, 1.0);
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

impl<R: Real> Reflected<R> {
    /// Photons of a bin, or a part of one, that is narrow and holds no edge; `source`: those of the power law.
    #[inline(always)]
    fn reflected(&self, table: &[R::Store], row: &mut Row, bin: &Bin<R>, part: &Part, source: R) -> R {
        let (amount, z) = (self.slab.amount, self.slab.stretch);
        let mut sum = if self.slab.shows_source { source } else { R::of(0.0) };
        let x = bin.centre.to_f64() * z / MASS;
        if x < LOWEST_ENERGY {
            return sum;
        }
        // A density that goes as E^(s-1) has its photons' mean ln E so many times s above the middle.
        let twelfth = bin.log_width * bin.log_width * R::of(1.0 / 12.0);
        let mean = self.source.slope(bin) * twelfth;
        let above = 0.99 * TRANSITION_FROM < x;
        let ln_x = if above { x.ln() } else { 0.0 };
        let late = if above { share(ln_x + mean.to_f64()) } else { 0.0 };
        if late < 1.0 {
            let ln_e = bin.ln_centre + mean + R::of((z / ORIGIN_ENERGY).ln());
            let albedo = self.slab.albedo::<R>(table, row, ln_e, part);
            sum = (source * albedo).fma(R::of(amount * (1.0 - late)), sum);
        }
        if above && share(ln_x + bin.log_width.to_f64()) > 0.0 {
            let [value, slope, bend] = self.integral(table).at(x);
            let late = share(ln_x + (slope - 1.0) * twelfth.to_f64());
            let peak = R::of(value * self.factor * late) / bin.centre;
            sum = sum + log_integral::<R, true>(peak, R::of(slope - 1.0), R::of(bend), bin.log_width);
        }
        sum
    }
}

impl<R: Real> Component<R> for Reflected<R> {
    const ROOM: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` has the table
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
        self.source.fill(tile, &[], out);
        let (amount, z) = (self.slab.amount, self.slab.stretch);
        let direct = R::of(if self.slab.shows_source { 1.0 } else { 0.0 });
        let (mut row, mut edges) = (Row::default(), Edges::new::<R>(table, z));
        for (j, out) in out.iter_mut().enumerate() {
            let bin = tile.bin::<R>(j);
            let source = R::load(*out);
            let middle = bin.mid_hi.to_f64() + bin.mid_lo.to_f64();
            if amount == 0.0 {
                *out = (source * direct).store();
                continue;
            }
            let width = bin.width.to_f64();
            let longest = if (middle + 0.5 * width) * z / MASS > TRANSITION_FROM { LONGEST_LATE } else { LONGEST_PART };
            let wide = (width / middle / longest).ceil().max(1.0);
            let mut sum = R::of(0.0);
            edges.parts::<R>(table, middle, width, |part| {
                if wide <= 1.0 && part.to - part.from >= width {
                    sum = self.reflected(table, &mut row, &bin, &part, source);
                    return;
                }
                let parts = ((part.to - part.from) / width * wide).ceil().max(1.0) as usize;
                for k in 0..parts {
                    let piece = part.bin::<R>(middle, k, parts);
                    let source = self.source.value::<true>(&piece);
                    sum = sum + self.reflected(table, &mut row, &piece, &part, source);
                }
            });
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
