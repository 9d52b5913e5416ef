//! What rays tell of the discs that a run's priors allow: images with the angles at which light leaves, lamps, returning radiation.

use super::{excerpt::Excerpt, returning::Moments};
use crate::model::{
    components::relativistic::{
        layout::{self, HEADER, POINTS},
        line::Cubic,
    },
    relativity,
};
use rontgen_kerr::kerr::{
    INCLINATIONS,
    image::{ANGLES, RING, Ring},
    lamp::LAMP,
    metric,
    radii::{RADII, Radii},
    table::{Bounds, Nodes, height_share, lamp_coordinate, spin_coordinate},
};
use std::{f64::consts::PI, sync::Arc};

/// Rounding that the bounds of a scene allow for.
const SLACK: f64 = 1e-5;

/// Rays of a box, and what is made of them for a table's angles.
#[derive(Debug)]
pub(super) struct Scene {
    bounds: Bounds,
    nodes: Nodes,
    /// Numbers of a radius: L/(r sin i) of the reddest and bluest light, the image's area over r at each angle theta, and for each of the table's
    /// directions the share of the ring's photons.
    row: usize,
    pub(super) images: Vec<f64>,
    pub(super) lamps: Arc<Vec<f64>>,
    pub returning: Option<Moments>,
}

/// A disc's image between the nodes of the box, by radius.
pub(super) struct View {
    pub spin: f64,
    pub sine: f64,
    pub cosine: f64,
    pub grid: Radii,
    rings: Vec<f64>,
    row: usize,
    /// Cosines, then logarithms of the illumination, of a lamp.
    pub lamp: Option<Vec<f64>>,
    /// Nodes of the spins with their weights.
    pub spins: Vec<(usize, f64)>,
}

/// y = g - 1 of a ring's red and blue end from L/(r sin i).
fn ends(spin: f64, sine: f64, r: f64, shares: [f64; 2]) -> [f64; 2] {
    let drag = spin / (r * r.sqrt());
    let still = 0.5 * (2.0 * drag - 3.0 / r).ln_1p() - drag.ln_1p();
    // Omega r sin i.
    let reach = sine / (r.sqrt() * (1.0 + drag));
    shares.map(|share| (still - (-reach * share).ln_1p()).exp_m1())
}

/// Parts of 0 .. pi that the angles theta stand for.
fn width(angle: usize) -> f64 {
    PI / (ANGLES - 1) as f64 * if angle == 0 || angle + 1 == ANGLES { 0.5 } else { 1.0 }
}

/// Photons of a ring over area times weight: g^3 of the areas, theta by theta.
pub(super) fn photons(ends: &[f64; 2], angle: usize) -> f64 {
    let cosine = (PI * angle as f64 / (ANGLES - 1) as f64).cos();
    let g = 1.0 + ends[0] + (ends[1] - ends[0]) * 0.5 * (1.0 - cosine);
    width(angle) * g * g * g
}

impl Scene {
    /// Traces the rays, or finds them in memory or in the cache. `returning`: photon indices, where returning radiation is asked for.
    pub fn new(bounds: &Bounds, excerpt: &Excerpt, returning: Option<(f64, f64)>) -> Self {
        let rays = relativity::rays(bounds, returning.is_some());
        let (nodes, directions) = (rays.nodes, excerpt.cosines.len());
        let row = 2 + ANGLES + directions;
        let mut images = Vec::with_capacity(rays.images.len() / RING * row);
        for (number, ring) in rays.images.chunks_exact(RING).map(Ring).enumerate() {
            let (image, radius) = (number / RADII, number % RADII);
            let tilts = nodes.inclination.count;
            let spin = super::returning::spin_at(&nodes.spin, image / tilts);
            let sine = nodes.inclination.node(image % tilts).to_radians().sin();
            let ends = ends(spin, sine, Radii::new(spin).radius(radius as f64), ring.ends());
            images.extend(ring.ends());
            images.extend((0..ANGLES).map(|n| ring.area(n, 0) + ring.area(n, 1)));
            let mut shares = vec![0.0; directions];
            for angle in 0..ANGLES {
                for branch in 0..2 {
                    let light = ring.area(angle, branch) * photons(&ends, angle);
                    spread(&excerpt.cosines, ring.cosine(angle, branch), light, &mut shares);
                }
            }
            let all: f64 = shares.iter().sum();
            images.extend(shares.iter().map(|x| x / all.max(1e-300)));
        }
        let returning = returning.map(|indices| Moments::new(&rays.returning, indices));
        Self { bounds: *bounds, nodes, row, images, lamps: rays.lamps, returning }
    }

    /// What stands before images and lamps in a table like that of lines ([`super::super::relativistic::layout`]), for its shader.
    pub fn header(&self) -> Vec<f64> {
        let directions = self.row - 2 - ANGLES;
        let images = HEADER + POINTS;
        let places = [1, 0, images, images + self.images.len()].map(|x| x as f64);
        layout::header(&self.nodes, &self.bounds, places, directions)
    }

    /// `None` outside of what the rays were traced for. `height`: of the lamp, outside of the horizon.
    pub fn view(&self, spin: f64, tilt: f64, height: Option<f64>) -> Option<View> {
        let inside = |value: f64, (lo, hi): (f64, f64)| {
            value >= lo - SLACK * lo.abs().max(1.0) && value <= hi + SLACK * hi.abs().max(1.0)
        };
        if !(inside(spin, self.bounds.spin) && inside(tilt, self.bounds.inclination)) {
            return None;
        }
        let tilt = tilt.clamp(INCLINATIONS.0, INCLINATIONS.1);
        let spins = Cubic::new(self.nodes.spin.place(spin_coordinate(spin)), self.nodes.spin.count);
        let tilts = Cubic::new(self.nodes.inclination.place(tilt), self.nodes.inclination.count);
        let size = RADII * self.row;
        let rings = blend(&self.images, (&spins, &tilts), self.nodes.inclination.count, size)?;
        let lamp = match (height, self.nodes.lamp) {
            (None, _) => None,
            (Some(_), None) => return None,
            (Some(height), Some([lamp_spins, heights])) => {
                let share = height_share(spin, height);
                if !inside(share, self.bounds.height?) {
                    return None;
                }
                let a = Cubic::new(lamp_spins.place(lamp_coordinate(spin)), lamp_spins.count);
                let h = Cubic::new(heights.place(share), heights.count);
                Some(blend(&self.lamps, (&a, &h), heights.count, LAMP)?)
            }
        };
        let (sine, cosine) = tilt.to_radians().sin_cos();
        let spins = (0..spins.count).map(|k| (spins.first + k, spins.weights[k])).collect();
        Some(View { spin, sine, cosine, grid: Radii::new(spin), rings, row: self.row, lamp, spins })
    }
}

/// Adds `light` to the directions on both sides of a cosine, the nearer one more.
fn spread(cosines: &[f64], cosine: f64, light: f64, shares: &mut [f64]) {
    // Angles ascend, cosines fall.
    let above = cosines.partition_point(|x| *x > cosine);
    let Some(below) = above.checked_sub(1) else {
        shares[0] += light;
        return;
    };
    if above == cosines.len() {
        shares[below] += light;
        return;
    }
    let share = (cosines[below] - cosine) / (cosines[below] - cosines[above]);
    shares[below] += light * (1.0 - share);
    shares[above] += light * share;
}

/// Adds up blocks of the nodes around two places.
fn blend(numbers: &[f64], (outer, inner): (&Cubic, &Cubic), inner_nodes: usize, size: usize) -> Option<Vec<f64>> {
    let mut out = vec![0.0; size];
    for (p, wp) in outer.weights.iter().enumerate().take(outer.count) {
        for (q, wq) in inner.weights.iter().enumerate().take(inner.count) {
            let node = (outer.first + p) * inner_nodes + inner.first + q;
            let (own, weight) = (numbers.get(node * size..(node + 1) * size)?, wp * wq);
            out.iter_mut().zip(own).for_each(|(out, x)| *out += weight * x);
        }
    }
    Some(out)
}

impl View {
    /// Nodes of the radial grid around a radius.
    pub fn place(&self, r: f64) -> Cubic {
        Cubic::new(self.grid.place(r), RADII)
    }

    /// A number of the rings between the nodes of the radial grid.
    fn number(&self, cubic: &Cubic, k: usize) -> f64 {
        (0..cubic.count).map(|n| cubic.weights[n] * self.rings[(cubic.first + n) * self.row + k]).sum()
    }

    /// y of the red and the blue end of a ring.
    pub fn ends(&self, r: f64, cubic: &Cubic) -> [f64; 2] {
        ends(self.spin, self.sine, r, [self.number(cubic, 0), self.number(cubic, 1)])
    }

    /// The image's area over r at each theta, with one value beyond both ends, where it is even.
    pub fn areas(&self, cubic: &Cubic) -> [f64; ANGLES + 2] {
        let mut areas = [0.0; ANGLES + 2];
        for n in 0..cubic.count {
            let from = (cubic.first + n) * self.row + 2;
            let own = self.rings[from..].iter().take(ANGLES);
            areas[1..=ANGLES].iter_mut().zip(own).for_each(|(out, x)| *out += cubic.weights[n] * x);
        }
        areas[0] = areas[2];
        areas[ANGLES + 1] = areas[ANGLES - 1];
        areas
    }

    /// Adds `light` to the directions of the table by a ring's shares.
    pub fn directions(&self, cubic: &Cubic, light: f64, out: &mut [f64]) {
        for (k, out) in out.iter_mut().enumerate() {
            // Cubics may fall below 0 where no light leaves.
            *out += light * self.number(cubic, 2 + ANGLES + k).max(0.0);
        }
    }

    /// Cosine, from the way down, of the lamp's light that ends at a radius.
    pub fn lamp_cosine(&self, r: f64) -> f64 {
        let cubic = self.place(r);
        self.lamp.as_deref().map_or(f64::NAN, |lamp| cubic.of(&lamp[..RADII]))
    }

    /// dt/dtau of the disc's matter over that of a lamp: energies there over energies of the lamp.
    pub fn shift(&self, r: f64, height: f64) -> f64 {
        metric::orbit_time(self.spin, r) / metric::axis_time(self.spin, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_share_light_by_their_cosines() {
        let cosines = [0.95, 0.5, 0.05];
        let mut shares = [0.0; 3];
        spread(&cosines, 0.41, 2.0, &mut shares);
        assert!((shares[1] - 1.6).abs() < 1e-12 && (shares[2] - 0.4).abs() < 1e-12, "{shares:?}");
        spread(&cosines, 0.99, 1.0, &mut shares);
        spread(&cosines, 0.01, 1.0, &mut shares);
        assert!((shares[0] - 1.0).abs() < 1e-12 && (shares[2] - 1.4).abs() < 1e-12, "{shares:?}");
    }
}
