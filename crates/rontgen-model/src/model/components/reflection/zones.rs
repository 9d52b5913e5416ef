//! A disc in zones of radius: of each the line, its photons, the directions in which light leaves, and the shift of energies from the lamp.

use super::scene::{View, photons};
use crate::model::components::relativistic::{
    layout::POINTS,
    line::{ALL, Cubic, Line, PIECES, annulus},
};
use rontgen_kerr::kerr::{FINENESS, LARGEST_RADIUS, LEAST_HEIGHT, lamp, metric, radii::RADII, returning::RINGS};
use std::f64::consts::PI;

/// Zones of a disc, and annuli of a zone.
pub(super) const ZONES: usize = 20 * FINENESS;
const ANNULI: usize = 7 * FINENESS;

/// Rings of returning radiation per node of the radial grid.
const PER_NODE: f64 = RINGS as f64 / (RADII - 1) as f64;

/// What lights a disc up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Light {
    /// r^-index inside of a radius, r^-beyond outside.
    Broken { index: f64, beyond: f64, radius: f64 },
    /// A lamp at rest at a height (GM/c2), and its photon index.
    Lamp { height: f64, index: f64 },
}

/// A disc from a component's parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disc {
    pub spin: f64,
    pub inner: f64,
    pub outer: f64,
    pub light: Light,
}

impl Disc {
    /// Whether the outer edge is not outside of the inner one: there is no disc, and no light of it.
    pub fn is_empty(&self) -> bool {
        let isco = metric::isco(self.spin);
        let [inner, outer] = [self.inner, self.outer].map(|r| if r < 0.0 { -r * isco } else { r });
        outer <= inner.max(isco)
    }

    /// Radii (GM/c2) of the edges: never inside the innermost stable orbit, which negative ones are in units of.
    pub fn edges(&self) -> (f64, f64) {
        let isco = metric::isco(self.spin);
        let inner = if self.inner < 0.0 { -self.inner * isco } else { self.inner };
        let outer = if self.outer < 0.0 { -self.outer * isco } else { self.outer };
        let inner = inner.clamp(isco, LARGEST_RADIUS / 1.01);
        (inner, outer.clamp(inner * 1.001, LARGEST_RADIUS))
    }
}

/// The least height of a lamp (GM/c2).
pub(super) fn least_height(spin: f64) -> f64 {
    LEAST_HEIGHT * metric::horizon(spin)
}

/// A part of the disc.
pub(super) struct Zone {
    /// One photon in y = g - 1.
    pub line: Line,
    /// Photons: the integral of g^3 times the illumination over the image (of broken power laws up to a factor).
    pub photons: f64,
    /// Shares of the table's directions.
    pub directions: Vec<f64>,
    /// Energy there over that of the lamp; 1 without one.
    pub shift: f64,
}

/// The illumination at a radius; `largest`: logarithm of what is divided out of broken power laws.
fn illumination(view: &View, disc: &Disc, r: f64, cubic: &Cubic, largest: f64) -> f64 {
    match disc.light {
        Light::Broken { .. } => (ln_broken(disc, r) - largest).exp(),
        Light::Lamp { height, index } => {
            let Some(lamp) = view.lamp.as_deref() else { return f64::NAN };
            let by_radius = cubic.of(&lamp[RADII..]).exp() * lamp::flat(height, r);
            lamp::emissivity(disc.spin, height, r, by_radius, index)
        }
    }
}

fn ln_broken(disc: &Disc, r: f64) -> f64 {
    match disc.light {
        Light::Broken { index, beyond, radius } => {
            let ln = (r / radius).ln();
            -ln * if ln < 0.0 { index } else { beyond }
        }
        Light::Lamp { .. } => 0.0,
    }
}

/// A ring of [`rontgen_kerr::kerr::returning`]: the radius of its middle, the lamp's illumination there, whether there is a disc or not, and the part of it that is
/// disc.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring {
    pub radius: f64,
    pub lit: f64,
    pub covered: f64,
}

/// The rings of returning radiation.
pub(super) fn rings(view: &View, disc: &Disc) -> Vec<Ring> {
    let (inner, outer) = disc.edges();
    let [from, to] = [inner, outer].map(|r| view.grid.place(r) * PER_NODE);
    (0..RINGS)
        .map(|k| {
            let radius = view.grid.radius((k as f64 + 0.5) / PER_NODE);
            let lit = illumination(view, disc, radius, &view.place(radius), 0.0);
            Ring { radius, lit, covered: (to.min(k as f64 + 1.0) - from.max(k as f64)).clamp(0.0, 1.0) }
        })
        .collect()
}

/// The disc in zones. `ratios`: illumination of each ring over that by the lamp alone; empty: 1.
pub(super) fn zones(view: &View, disc: &Disc, directions: usize, ratios: &[f64]) -> Vec<Zone> {
    let (inner, outer) = disc.edges();
    let inside = view.grid.inside;
    let (first, last) = ((inner - inside).ln(), (outer - inside).ln());
    let step = (last - first) / (ZONES * ANNULI) as f64;
    let at = |place: f64| {
        let r = if place == 0.0 { inner } else { inside + (first + step * place).exp() };
        (r, Cubic::new((first + step * place - view.grid.first) / view.grid.step, RADII))
    };
    let mut largest = ln_broken(disc, inner).max(ln_broken(disc, outer));
    if let Light::Broken { radius, .. } = disc.light
        && radius > inner
        && radius < outer
    {
        largest = largest.max(0.0);
    }
    // Times r (r - inside): r of the image's area, and dr by the grid's logarithm.
    let emission = |place: f64| {
        let (r, cubic) = at(place);
        let lit = illumination(view, disc, r, &cubic, largest) * r * (r - inside);
        let ring = (view.grid.place(r) * PER_NODE - 0.5).clamp(0.0, (RINGS - 1) as f64);
        let k = (ring as usize).min(RINGS - 2);
        match (ratios.get(k), ratios.get(k + 1)) {
            (Some(a), Some(b)) => lit * (a + (b - a) * (ring - k as f64)),
            _ => lit,
        }
    };
    let shares: [f64; POINTS] = std::array::from_fn(|k| (0.5 * PI * k as f64 / (POINTS - 1) as f64).sin().powi(2));
    let mut emitted = emission(0.0);
    (0..ZONES)
        .map(|zone| {
            let start = zone * ANNULI;
            let ends: Vec<[f64; 2]> = (0..=ANNULI)
                .map(|k| {
                    let (r, cubic) = at((start + k) as f64);
                    view.ends(r, &cubic)
                })
                .collect();
            let bluest = ends.iter().fold(f64::NEG_INFINITY, |most, ends| most.max(ends[1]));
            let reddest = ends.iter().fold(f64::INFINITY, |least, ends| least.min(ends[0]));
            let (a, b) = (ends[0], ends[ANNULI]);
            let mut corners = [reddest, a[0].max(b[0]), a[1].min(b[1]), a[1].max(b[1]), bluest];
            corners.sort_by(f64::total_cmp);
            let mut line = Line { y: [0.0; ALL], density: [0.0; ALL], before: [0.0; ALL], cubics: [[0.0; 5]; ALL] };
            for (piece, y) in line.y.chunks_exact_mut(POINTS).enumerate().take(PIECES) {
                let (from, to) = (corners[piece], corners[piece + 1]);
                y.iter_mut().zip(shares).for_each(|(y, share)| *y = from + (to - from) * share);
            }
            let mut sent = vec![0.0; directions];
            let (mut light, mut shifted) = (0.0, 0.0);
            for k in 0..ANNULI {
                let place = (start + k) as f64;
                let (r, cubic) = at(place + 0.5);
                let end = emission(place + 1.0);
                let weight = step / 6.0 * (emitted + 4.0 * emission(place + 0.5) + end);
                emitted = end;
                let areas = view.areas(&cubic);
                annulus(&line.y, &mut line.density, &ends[k], &ends[k + 1], weight, &areas);
                let middle = view.ends(r, &cubic);
                let own: f64 = areas[1..areas.len() - 1].iter().enumerate().map(|(n, x)| x * photons(&middle, n)).sum();
                view.directions(&cubic, weight * own, &mut sent);
                if let Light::Lamp { height, .. } = disc.light {
                    shifted += weight * own * view.shift(r, height).ln();
                }
                light += weight * own;
            }
            let photons = line.finish(&corners);
            let all: f64 = sent.iter().sum();
            sent.iter_mut().for_each(|x| *x /= all.max(1e-300));
            Zone { line, photons, directions: sent, shift: (shifted / light.max(1e-300)).exp() }
        })
        .collect()
}
