//! Images and lamps at the nodes of a box of spins, inclinations and heights, between which cubics go.
//!
//! Nodes lie at equal steps of a coordinate in which what they hold is smooth: (1 - a)^1/3 for the spins of images, arcsin ((1 - a)/2)^1/3 for those of
//! lamps, whose horizon it makes smooth at a = -1, too, degrees for inclinations, and for heights the logarithm of the distance from the horizon, from [`super::LEAST_HEIGHT`] to [`super::LARGEST_HEIGHT`]. They are the same
//! nodes for every box; a box takes those it lies between, and one more on either side. Where a value is fixed there is one node, at that value.

use super::{
    FINENESS, INCLINATIONS, LARGEST_HEIGHT, LARGEST_SPIN, LEAST_HEIGHT,
    image::{self, IMAGE},
    lamp::{self, LAMP},
    metric,
    returning::Returning,
};
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Nodes of the whole range of spins, of inclinations, of heights.
const SPINS: usize = 36 * FINENESS + 1;
const LAMP_SPINS: usize = 40 * FINENESS + 1;
const TILTS: usize = 30 * FINENESS + 1;
const HEIGHTS: usize = 48 * FINENESS + 1;
/// Nodes of a cubic.
const CUBIC: usize = 4;

/// What is asked of a table: least and largest spin, inclination (degrees) and, with a lamp, height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Spins.
    pub spin: (f64, f64),
    /// Inclinations (degrees).
    pub inclination: (f64, f64),
    /// Heights above the hole as shares ([`height_share`]).
    pub height: Option<(f64, f64)>,
}

impl Bounds {
    /// Returns everything there is; `lamp`: heights too.
    pub fn all(lamp: bool) -> Self {
        Self { spin: (-LARGEST_SPIN, LARGEST_SPIN), inclination: INCLINATIONS, height: lamp.then_some((0.0, 1.0)) }
    }
}

/// Equal steps of a coordinate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// Coordinate of the first node.
    pub first: f64,
    /// Step; 0 where there is one node.
    pub step: f64,
    /// Nodes.
    pub count: usize,
}

impl Axis {
    /// The nodes of `all` (ends and number of the whole range) that an interval needs.
    fn new(all: (f64, f64), count: usize, from: f64, to: f64) -> Self {
        let step = (all.1 - all.0) / (count - 1) as f64;
        if from == to {
            return Self { first: from.clamp(all.0, all.1), step: 0.0, count: 1 };
        }
        let place = |x: f64| ((x - all.0) / step).clamp(0.0, (count - 1) as f64);
        // A value on a node does not need the one behind the next.
        let first = ((place(from) + 1e-6).floor() as usize).saturating_sub(1).min(count - CUBIC);
        let last = ((place(to) - 1e-6).ceil() as usize + 1).min(count - 1).max(first + CUBIC - 1);
        Self { first: all.0 + step * first as f64, step, count: last - first + 1 }
    }

    /// Returns a node's coordinate.
    pub fn node(&self, k: usize) -> f64 {
        self.first + self.step * k as f64
    }

    /// Returns the place of a coordinate in units of nodes; always 0 where there is one node.
    pub fn place(&self, x: f64) -> f64 {
        if self.count > 1 { ((x - self.first) / self.step).clamp(0.0, (self.count - 1) as f64) } else { 0.0 }
    }
}

/// Returns the coordinate of a spin: (1 - a)^1/3, which falls with it.
pub fn spin_coordinate(spin: f64) -> f64 {
    (1.0 - spin.clamp(-LARGEST_SPIN, LARGEST_SPIN)).cbrt()
}

/// Returns the coordinate of a lamp's spin: arcsin ((1 - a)/2)^1/3, which falls with it.
pub fn lamp_coordinate(spin: f64) -> f64 {
    (0.5 * (1.0 - spin.clamp(-LARGEST_SPIN, LARGEST_SPIN))).cbrt().asin()
}

/// Returns the place of a height between [`LEAST_HEIGHT`] horizons (0) and [`LARGEST_HEIGHT`] (1), by the logarithm of the distance from
/// the horizon.
pub fn height_share(spin: f64, height: f64) -> f64 {
    let horizon = metric::horizon(spin);
    let least = (LEAST_HEIGHT - 1.0) * horizon;
    let share = ((height - horizon).max(least) / least).ln() / ((LARGEST_HEIGHT - horizon) / least).ln();
    share.min(1.0)
}

/// Returns the height at a share.
pub fn share_height(spin: f64, share: f64) -> f64 {
    let horizon = metric::horizon(spin);
    let least = (LEAST_HEIGHT - 1.0) * horizon;
    horizon + least * ((LARGEST_HEIGHT - horizon) / least).powf(share)
}

/// The nodes of a box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nodes {
    /// Nodes in the coordinate of spins, [`spin_coordinate`]: the largest spin first.
    pub spin: Axis,
    /// Nodes in inclination (degrees).
    pub inclination: Axis,
    /// Nodes of lamps in the coordinate of their spins, [`lamp_coordinate`], and in the share of heights.
    pub lamp: Option<[Axis; 2]>,
}

impl Nodes {
    /// Returns the nodes that a box needs.
    pub fn new(bounds: &Bounds) -> Self {
        let tilt = |x: f64| x.clamp(INCLINATIONS.0, INCLINATIONS.1);
        let spins = |coordinate: fn(f64) -> f64, count: usize| {
            let all = (coordinate(LARGEST_SPIN), coordinate(-LARGEST_SPIN));
            Axis::new(all, count, coordinate(bounds.spin.1), coordinate(bounds.spin.0))
        };
        let spin = spins(spin_coordinate, SPINS);
        let inclination = Axis::new(INCLINATIONS, TILTS, tilt(bounds.inclination.0), tilt(bounds.inclination.1));
        let lamp = bounds
            .height
            .map(|(from, to)| [spins(lamp_coordinate, LAMP_SPINS), Axis::new((0.0, 1.0), HEIGHTS, from, to)]);
        Self { spin, inclination, lamp }
    }

    /// Returns the numbers in images and lamps that a box of these nodes holds.
    pub fn sizes(&self) -> (usize, usize) {
        let lamps = self.lamp.map_or(0, |[spin, height]| spin.count * height.count);
        (self.spin.count * self.inclination.count * IMAGE, lamps * LAMP)
    }

    /// Traces the images, on all threads: by spin, then inclination, [`IMAGE`] numbers. `progress` hears how many of how many are done.
    /// The numbers are the same for any number of threads.
    pub fn images(&self, progress: &(dyn Fn(usize, usize) + Sync)) -> Vec<f64> {
        let tilts = self.inclination.count;
        let total = self.spin.count * tilts;
        let done = AtomicUsize::new(0);
        let images: Vec<Vec<f64>> = (0..total)
            .into_par_iter()
            .map(|k| {
                let image = image::image(1.0 - self.spin.node(k / tilts).powi(3), self.inclination.node(k % tilts));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                image
            })
            .collect();
        images.concat()
    }

    /// Traces the lamps, as [`Nodes::images`]: by spin, then height, [`LAMP`] numbers. Each is a hundredth of an image's work.
    pub fn lamps(&self) -> Vec<f64> {
        let Some([spins, heights]) = self.lamp else { return Vec::new() };
        let lamps: Vec<Vec<f64>> = (0..spins.count * heights.count)
            .into_par_iter()
            .map(|k| {
                let spin = 1.0 - 2.0 * spins.node(k / heights.count).sin().powi(3);
                lamp::lamp(spin, share_height(spin, heights.node(k % heights.count)))
            })
            .collect();
        lamps.concat()
    }
}

impl Nodes {
    /// Traces what discs receive of their own light, on all threads: by spin, [`super::returning::RETURNING`] numbers. Each is twenty images' work.
    pub fn returning(&self) -> Vec<f64> {
        let spins = (0..self.spin.count).map(|k| 1.0 - self.spin.node(k).powi(3));
        spins.flat_map(|spin| Returning::new(spin).numbers()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kerr::image::RING;
    use crate::kerr::radii::RADII;

    /// Weights of the four nodes around a place.
    fn weights(place: f64, count: usize) -> (usize, [f64; 4]) {
        let k = (place as usize).clamp(1, count - 3);
        let t = place - k as f64;
        (
            k - 1,
            [
                -t * (t - 1.0) * (t - 2.0) / 6.0,
                (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
                -(t + 1.0) * t * (t - 2.0) / 2.0,
                (t + 1.0) * t * (t - 1.0) / 6.0,
            ],
        )
    }

    #[test]
    fn what_lies_between_nodes_is_interpolated() {
        let mut worst = 0.0f64;
        for (spin, tilt) in [(0.9975, 30.0), (0.99, 72.0), (0.0, 85.0), (-0.9, 60.0)] {
            let bounds =
                Bounds { spin: (spin, spin + 1e-6), inclination: (tilt, tilt + 1e-6), height: Some((0.33, 0.330001)) };
            let table = Nodes::new(&bounds);
            let (images, lamps) = (table.images(&|_, _| {}), table.lamps());
            let (a, wa) = weights(table.spin.place(spin_coordinate(spin)), table.spin.count);
            let (i, wi) = weights(table.inclination.place(tilt), table.inclination.count);
            let exact = image::image(spin, tilt);
            let scale = tilt.to_radians().cos();
            let (mut ends, mut areas, mut cosines) = (0.0f64, (0.0f64, 0, 0), 0.0f64);
            let mut mean = 0.0;
            for k in 0..RADII {
                for n in 0..RING {
                    let mut found = 0.0;
                    for (p, wa) in wa.iter().enumerate() {
                        for (q, wi) in wi.iter().enumerate() {
                            found +=
                                wa * wi * images[((a + p) * table.inclination.count + i + q) * IMAGE + k * RING + n];
                        }
                    }
                    let off = (found - exact[k * RING + n]).abs();
                    match n {
                        0 | 1 => ends = ends.max(off),
                        _ if n % 2 == 0 => {
                            let size = off / exact[k * RING + n].abs().max(scale);
                            mean += size;
                            if size > areas.0 {
                                areas = (size, k, n)
                            }
                        }
                        _ => cosines = cosines.max(off),
                    }
                }
            }
            mean /= (RADII * RING / 2) as f64;
            println!(
                "{spin} {tilt}: ends {ends:.1e}, areas {:.1e} (ring {}, {}; mean {mean:.1e}), cosines {cosines:.1e}",
                areas.0, areas.1, areas.2
            );
            worst = worst.max(mean);
            let lamp = lamp::lamp(spin, share_height(spin, 0.33));
            let [spins, heights] = table.lamp.unwrap();
            let (a, wa) = weights(spins.place(lamp_coordinate(spin)), spins.count);
            let (h, wh) = weights(heights.place(0.33), heights.count);
            let mut off = 0.0f64;
            for (n, exact) in lamp.iter().enumerate() {
                let mut found = 0.0;
                for (p, wa) in wa.iter().enumerate() {
                    for (q, wh) in wh.iter().enumerate() {
                        found += wa * wh * lamps[((a + p) * heights.count + h + q) * LAMP + n];
                    }
                }
                off = off.max((found - exact).abs());
            }
            println!("   lamp {off:.1e}");
        }
        assert!(worst < 1e-3);
    }

    #[test]
    fn boxes_are_cut() {
        let all = Nodes::new(&Bounds::all(true));
        assert_eq!(
            (all.spin.count, all.inclination.count, all.lamp.unwrap().map(|axis| axis.count)),
            (SPINS, TILTS, [LAMP_SPINS, HEIGHTS])
        );
        let point = Nodes::new(&Bounds { spin: (0.5, 0.5), inclination: (33.0, 33.0), height: None });
        assert_eq!((point.spin.count, point.inclination.count), (1, 1));
        assert!((point.spin.first.powi(3) - 0.5).abs() < 1e-12 && point.inclination.first == 33.0);
        let part = Nodes::new(&Bounds { spin: (0.0, 0.9), inclination: (20.0, 60.0), height: Some((0.2, 0.4)) });
        println!("{part:?}");
        assert!(part.spin.count < SPINS && part.inclination.count < TILTS);
        for (axis, from, to) in [(part.spin, spin_coordinate(0.9), 1.0), (part.inclination, 20.0, 60.0)] {
            // A node more on either side.
            assert!(axis.node(1) <= from && axis.node(axis.count - 2) >= to, "{axis:?}");
        }
        let share = height_share(0.7, 12.0);
        assert!((share_height(0.7, share) - 12.0).abs() < 1e-12);
    }
}
