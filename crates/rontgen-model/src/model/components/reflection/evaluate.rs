//! A component's spectrum for one set of parameters.
//!
//! Parameters decide what of the table is spread by which zone's line, and the primary spectrum; both are put together on the table's own logarithmic
//! cells ([`super::spread`]) and integrated over the bins ([`super::density`]).

use super::{
    Asked, Kind,
    density::Density,
    excerpt::{Excerpt, SHIFT},
    file::Table,
    primary::{Continuum, ENERGY, Primary},
    scene::{Scene, View},
    spread::Source,
    zones::{Disc, Light, Zone, least_height, rings, zones},
};
use crate::model::{
    ModelError,
    components::{
        relativistic::{Sight, sight_height},
        stretch,
    },
    grid::{Bin, Grid, TILE},
};
use rontgen_kerr::kerr::{INFINITY, metric, table::Bounds};

/// Least and largest energy at infinity over that of the disc: what lies beyond is nothing.
pub(super) const SHIFTS: (f64, f64) = (0.03, 1.7);
/// Energy (keV) at which renormalised spectra are 1 photon/keV/cm2/s.
pub(super) const RENORMALISED: f64 = 3.0;
/// Largest redshift where a run says nothing of it.
const MOST_REDSHIFT: f64 = 10.0;
/// Spins and radii at which the shift of the cut-off is looked at.
const SAMPLES: usize = 17;

/// A component with its part of the table and its rays.
#[derive(Debug)]
pub(crate) struct Evaluator {
    pub(super) kind: Kind,
    pub(super) excerpt: Excerpt,
    pub(super) scene: Option<Scene>,
    pub(super) primary: Primary,
    pub(super) renormalise: bool,
    pub(super) redshifts: (f64, f64),
    /// The component's, with its norm.
    pub(super) parameters: usize,
}

/// A component's parameters.
struct Values {
    /// Photon index, iron, logxi, logN.
    point: [f64; 4],
    cut: f64,
    incl: f64,
    redshift: f64,
    fraction: f64,
    norm: f64,
    disc: Option<Disc>,
    returning: bool,
    boost: bool,
}

fn values(kind: Kind, par: &[f64]) -> Values {
    let places = kind.places();
    let at = |k: usize| par.get(k).copied().unwrap_or(0.0);
    let role = |k: usize, missing: f64| places.roles[k].map_or(missing, at);
    let disc = places.disc.map(|[spin, inner, outer]| {
        let light = match (places.lamp, places.broken) {
            (Some([height, _]), _) => {
                let height = sight_height(at(spin), at(height)).max(least_height(at(spin)));
                Light::Lamp { height, index: role(0, 2.0) }
            }
            (_, Some([index, beyond, radius])) => {
                Light::Broken { index: at(index), beyond: at(beyond), radius: at(radius).max(1e-3) }
            }
            _ => Light::Broken { index: 3.0, beyond: 3.0, radius: 15.0 },
        };
        Disc { spin: at(spin), inner: at(inner), outer: at(outer), light }
    });
    Values {
        point: [role(0, 2.0), role(1, 1.0), role(2, 0.0), role(3, super::excerpt::DENSITY)],
        cut: role(4, 300.0).max(1.0),
        incl: role(5, 30.0),
        redshift: stretch(at(places.redshift)),
        fraction: at(places.fraction),
        norm: par.last().copied().unwrap_or(0.0),
        disc,
        returning: places.switches.is_some_and(|[returning, _]| at(returning) > 0.5),
        boost: places.switches.is_some_and(|[_, boost]| at(boost) > 0.5),
    }
}

/// The range of a parameter, or the ends of an axis.
fn range(asked: &Asked, place: Option<usize>, ends: (f64, f64)) -> (f64, f64) {
    let (lo, hi) = place.and_then(|k| asked.range(k)).unwrap_or(ends);
    (lo.clamp(ends.0, ends.1), hi.clamp(ends.0, ends.1))
}

/// Least and largest cut-off over that which is a lamp post's parameter: as the disc sees it, and at the lamp.
struct Shifts {
    disc: (f64, f64),
    lamp: (f64, f64),
}

impl Shifts {
    /// Over the spins, heights and radii that are asked for; `None` without a lamp.
    fn new(asked: &Asked, bounds: &Bounds) -> Option<Self> {
        let places = asked.kind.places();
        let ([height, _], [_, inner, outer]) = (places.lamp?, places.disc?);
        let (low, high) = asked.range(height).unwrap_or((-1.1, 500.0));
        let inner = asked.range(inner).unwrap_or((-1.0, 1000.0));
        let outer = asked.range(outer).unwrap_or((1.0, 1000.0));
        let mut out = Self { disc: (f64::INFINITY, 0.0), lamp: (f64::INFINITY, 0.0) };
        let widen = |(least, most): (f64, f64), x: f64| (least.min(x), most.max(x));
        let share = |k: usize| k as f64 / (SAMPLES - 1) as f64;
        for spin in (0..SAMPLES).map(|k| bounds.spin.0 + (bounds.spin.1 - bounds.spin.0) * share(k)) {
            // A range with both signs holds the least height.
            let lowest = if low < 0.0 && high > 0.0 { 0.0 } else { low };
            for height in [low, high, lowest] {
                let height = sight_height(spin, height).max(least_height(spin));
                let risen = metric::axis_time(spin, height);
                // Of a power law the cut-off is the observer's, of electrons their own temperature.
                let own = if asked.kind.comptonised() { 1.0 } else { risen };
                out.lamp = widen(out.lamp, own);
                for (inner, outer) in [(inner.0, outer.1), (inner.1, outer.0)] {
                    let light = Light::Lamp { height, index: 2.0 };
                    let (inner, outer) = Disc { spin, inner, outer, light }.edges();
                    for r in (0..SAMPLES).map(|n| inner * (outer / inner).powf(share(n))) {
                        out.disc = widen(out.disc, metric::orbit_time(spin, r) / risen * own);
                    }
                }
            }
        }
        Some(out)
    }
}

impl Evaluator {
    /// `band`: energies (keV) of the bins. Errors name the file.
    pub(super) fn new(table: &Table, asked: &Asked, renormalise: bool, band: (f64, f64)) -> Result<Self, ModelError> {
        let kind = asked.kind;
        let places = kind.places();
        let ends = |role: usize| {
            let axis = table.roles[role].and_then(|at| table.outline.axes.get(at));
            axis.map_or((0.0, 0.0), |axis| (axis.nodes[0], axis.nodes[axis.nodes.len() - 1]))
        };
        let mut ranges: [Option<(f64, f64)>; 6] =
            std::array::from_fn(|role| places.roles[role].and_then(|k| asked.range(k)));
        let bounds = Sight::of(kind.name(), |k| asked.range(k)).map(|sight| sight.bounds);
        let mut cuts = range(asked, places.roles[4], ends(4));
        if let Some(shifts) = bounds.as_ref().and_then(|bounds| Shifts::new(asked, bounds)) {
            // The table is looked up where the disc's cut-offs are, primary spectra are normalised in the lamp's frame, too.
            let ((lo, hi), (first, last)) = (cuts, ends(4));
            let (least, most) = shifts.disc;
            ranges[4] = Some(((lo * least * 0.98).clamp(first, last), (hi * most * 1.02).clamp(first, last)));
            cuts = (lo * least.min(shifts.lamp.0), hi * most.max(shifts.lamp.1));
        }
        let redshifts = asked.range(places.redshift).unwrap_or((0.0, MOST_REDSHIFT));
        let moved = if bounds.is_some() { SHIFTS } else { (1.0, 1.0) };
        let lowest = band.0.min(RENORMALISED) * stretch(redshifts.0) / moved.1;
        let highest = band.1.max(RENORMALISED) * stretch(redshifts.1) / moved.0;
        let excerpt = Excerpt::read(table, &ranges, (lowest, highest))?;
        let indices = range(asked, places.roles[0], ends(0));
        let returning = places.switches.is_some_and(|[k, _]| asked.range(k).is_none_or(|(_, hi)| hi > 0.5));
        let scene = bounds.map(|bounds| Scene::new(&bounds, &excerpt, returning.then_some(indices)));
        let primary = Primary::new(kind.comptonised(), indices, cuts);
        let parameters = asked.ranges.len();
        Ok(Self { kind, excerpt, scene, primary, renormalise, redshifts, parameters })
    }

    /// Photons/cm2/s in the bins of a grid; NaN outside of what table and rays are for. `exact`: in f64, else in f32 where it is many numbers.
    pub fn photons(&self, par: &[f64], grid: &Grid<f64>, exact: bool, out: &mut [f64]) {
        let values = values(self.kind, par);
        let Some((sources, primary)) = self.sources(&values) else {
            out.fill(f64::NAN);
            return;
        };
        if values.disc.is_some_and(|disc| disc.is_empty()) {
            out.fill(0.0);
            return;
        }
        let z = values.redshift;
        let (Some(lowest), Some(highest)) = (grid.exact.first(), grid.exact.last()) else { return };
        let place = |e: f64| ((e * z).ln() - self.excerpt.first) / self.excerpt.step;
        let (mut from, mut to) = (place(*lowest), place(*highest));
        if self.renormalise {
            (from, to) = (from.min(place(RENORMALISED)), to.max(place(RENORMALISED)));
        }
        // With the neighbours that parabolas need.
        let (from, to) = (from.floor() as isize - 3, to.ceil() as isize + 3);
        let count = (to - from) as usize;
        let Some(mut cells) = self.excerpt.spread(&values.point, &sources, from, count, exact) else {
            out.fill(f64::NAN);
            return;
        };
        let (first, step) = (self.excerpt.first + self.excerpt.step * from as f64, self.excerpt.step);
        // A primary spectrum is smooth: parabolas hold it, too.
        let mut smooth = vec![0.0; if primary.is_some() { count } else { 0 }];
        if let Some(primary) = &primary {
            primary.cells(first - z.ln(), step, &mut smooth);
        }
        let spread = self.scene.is_some();
        if spread {
            cells.iter_mut().zip(&smooth).for_each(|(sum, x)| *sum += x);
            smooth.clear();
        }
        let cells = Density::new(first, step, &cells, spread);
        let smooth = (!smooth.is_empty()).then(|| Density::new(first, step, &smooth, true));
        let photons =
            |bin: &Bin<f64>| cells.photons(bin, z.ln()) + smooth.as_ref().map_or(0.0, |own| own.photons(bin, z.ln()));
        let mut norm = values.norm;
        if self.renormalise {
            let ends = [-1e-3, 1e-3].map(|share| RENORMALISED * (1.0 + share));
            norm *= (ends[1] - ends[0]) / photons(&bin(ends[0], ends[1])).max(1e-300);
        }
        for tile in &grid.tiles {
            let Some(out) = out.get_mut(tile.start..tile.start + tile.len) else { continue };
            for (j, out) in out.iter_mut().enumerate().take(TILE) {
                *out = norm * photons(&tile.bin::<f64>(j));
            }
        }
    }

    /// What of the table is spread by what, and the primary spectrum. `None` outside of what table and rays are for.
    fn sources(&self, values: &Values) -> Option<(Vec<Source>, Option<Continuum>)> {
        if (0..4).any(|role| !self.excerpt.holds(role, values.point[role])) {
            return None;
        }
        let index = values.point[0];
        let reflection = values.fraction.abs();
        let with_primary = values.fraction >= 0.0;
        let continuum = |factor: f64, risen: f64| {
            let cut = if self.kind.comptonised() { values.cut } else { values.cut * risen };
            let amplitude = factor * ENERGY / self.primary.ln_energy(index, cut).exp();
            with_primary.then(|| Continuum::new(self.kind, index, cut, values.redshift, risen, amplitude))
        };
        let (Some(scene), Some(disc)) = (&self.scene, &values.disc) else {
            let cosine = values.incl.to_radians().cos();
            let (low, share) = self.excerpt.bracket(5, values.incl);
            let mut weights = vec![0.0; self.excerpt.cosines.len()];
            weights[low] += 0.5 * cosine * reflection * (1.0 - share);
            if share > 0.0 {
                weights[low + 1] += 0.5 * cosine * reflection * share;
            }
            if !self.excerpt.holds(4, values.cut) {
                return None;
            }
            let cut = self.excerpt.bracket(4, values.cut);
            return Some((vec![Source { weights, cut, first: 0, kernel: Vec::new() }], continuum(1.0, 1.0)));
        };
        let height = match disc.light {
            Light::Lamp { height, .. } => Some(height),
            Light::Broken { .. } => None,
        };
        let view = scene.view(disc.spin, values.incl, height)?;
        let directions = self.excerpt.cosines.len();
        let risen = height.map_or(1.0, |height| metric::axis_time(disc.spin, height));
        // Of the source: in its own frame.
        let source = if self.kind.comptonised() { values.cut } else { values.cut * risen };
        let ratios = match (&scene.returning, values.returning, height) {
            (Some(_), true, Some(height)) => self.returned(scene, &view, disc, values, source, height),
            _ => Vec::new(),
        };
        let zones = zones(&view, disc, directions, &ratios);
        let (factor, primary) = match height {
            Some(_) => {
                let (inner, outer) = disc.edges();
                let [inner, outer, far] = [inner, outer, INFINITY].map(|r| view.lamp_cosine(r));
                let (on_disc, infinity) = (0.5 * (inner - outer), 0.5 * (1.0 + far.min(0.0)));
                let scale = if values.boost { reflection } else { reflection * infinity / on_disc };
                (0.5 * scale, continuum(2.0 * infinity * risen.powf(-index), risen))
            }
            None => {
                let all: f64 = zones.iter().map(|zone| zone.photons).sum();
                (0.5 * view.cosine * reflection / all.max(1e-300), continuum(1.0, 1.0))
            }
        };
        let ln_source = self.primary.ln_energy(index, source);
        let sources = zones
            .iter()
            .map(|zone| {
                let cut = source * zone.shift;
                // The table's incident light is normalised at the disc's cut-off, the lamp's at its own.
                let change =
                    if height.is_some() { (self.primary.ln_energy(index, cut) - ln_source).exp() } else { 1.0 };
                let factor = factor * zone.photons * change;
                let (first, kernel) = self.kernel(zone);
                Source {
                    weights: zone.directions.iter().map(|share| share * factor).collect(),
                    cut: self.excerpt.bracket(4, cut),
                    first,
                    kernel,
                }
            })
            .collect();
        Some((sources, primary))
    }

    /// Illumination of the rings of returning radiation over that by the lamp alone.
    fn returned(&self, scene: &Scene, view: &View, disc: &Disc, values: &Values, source: f64, height: f64) -> Vec<f64> {
        let Some(returning) = &scene.returning else { return Vec::new() };
        let rings = rings(view, disc);
        let energies = self.excerpt.energies_at(&self.excerpt.corners(&values.point));
        let index = values.point[0];
        let answer: Vec<[f64; 2]> = rings
            .iter()
            .map(|ring| {
                let (low, share) = self.excerpt.bracket(4, source * view.shift(ring.radius, height));
                let at = |k: usize, which: usize| energies.get(k).map_or(0.0, |own| own[which]);
                let [sent, shifted] = [0, 1].map(|which| {
                    let below = at(low, which);
                    if share > 0.0 { below + share * (at(low + 1, which) - below) } else { below }
                });
                [sent / ENERGY, shifted / sent.max(1e-300) / SHIFT.powf(index - 1.0)]
            })
            .collect();
        returning.ratios(&view.spins, index, &rings, &answer)
    }

    /// A zone's line in cells of the table's width: the first one's number from ln g = 0, and photons in each.
    fn kernel(&self, zone: &Zone) -> (isize, Vec<f64>) {
        let step = self.excerpt.step;
        let [red, blue] = zone.line.ends().map(|y| (1.0 + y).clamp(SHIFTS.0, SHIFTS.1).ln() / step);
        let (first, last) = ((red + 0.5).floor() as isize, (blue + 0.5).floor() as isize);
        let mut place = 0;
        let mut below = zone.line.below((step * (first as f64 - 0.5)).exp() - 1.0, &mut place);
        let ratio = step.exp();
        let mut edge = (step * (first as f64 + 0.5)).exp();
        let kernel = (first..=last)
            .map(|_| {
                let above = zone.line.below(edge - 1.0, &mut place).min(1.0);
                edge *= ratio;
                let inside = (above - below).max(0.0);
                below = above;
                inside
            })
            .collect();
        (first, kernel)
    }
}

/// A bin with its numbers.
fn bin(lo: f64, hi: f64) -> Bin<f64> {
    crate::model::grid::Tile::build::<f64>(0, &[(lo, hi)]).bin::<f64>(0)
}
