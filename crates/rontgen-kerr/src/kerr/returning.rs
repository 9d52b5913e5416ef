//! Returning radiation: light of a disc that gravity bends back onto it (Cunningham 1976, ApJ 208, 534; Dauser et al. 2022, MNRAS 514, 3965).
//!
//! Matter of the disc emits with the same intensity in all directions upwards. Its light ends on the disc, in the hole (or inside of the innermost
//! stable orbit), or at infinity; which part of a ring's does so where is found from rays in a grid of directions ([`emitted`]).

mod emitted;

use super::{
    FINENESS, metric,
    radii::{RADII, Radii},
    ray,
};
use emitted::{Emitted, Emitter};
use rayon::prelude::*;

/// Rings of a table.
pub const RINGS: usize = 50 * FINENESS;
/// Cells of the shift between a pair of rings.
pub const SHIFTS: usize = 20 * FINENESS;
/// Pairs of rings.
pub const PAIRS: usize = RINGS * RINGS;
/// The share of a ring, about its middle, that is looked at for what it receives: what the middle does.
const CAUGHT: f64 = 0.25;
/// Numbers of a table ([`Returning::numbers`]).
pub const RETURNING: usize = PAIRS * (3 + SHIFTS);

/// Where light of a ring ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// On the disc: radius, and energy there over energy at emission, both in the frame of the disc's matter.
    Disc {
        /// Radius.
        radius: f64,
        /// Energy over that at emission.
        shift: f64,
    },
    /// In the hole or in the gap between it and the disc.
    Hole,
    /// Far away.
    Infinity,
}

/// Traces light from a ring of the disc; the direction in the frame of its matter: cosine to the normal, and azimuth from the way outwards
/// towards that of the motion.
pub fn end(spin: f64, r: f64, cosine: f64, azimuth: f64) -> End {
    let slant = (1.0 - cosine * cosine).max(0.0).sqrt();
    let (out, along) = (slant * azimuth.cos(), slant * azimuth.sin());
    let emitter = Emitter::new(spin, r);
    let u = emitter.ray(cosine, out, along).map_or(ray::DEEPEST, |ray| ray.to_plane());
    let edge = metric::isco(spin);
    if u <= 0.0 {
        End::Infinity
    } else if u * edge > 1.0 {
        End::Hole
    } else {
        End::Disc { radius: 1.0 / u, shift: emitter.shift(1.0 / u, along) }
    }
}

/// Returning radiation between the rings of a disc.
#[derive(Debug, Clone, PartialEq)]
pub struct Returning {
    /// Radii that bound the rings, [`RINGS`] + 1, ascending.
    pub edges: Vec<f64>,
    /// By ring that receives, then ring that emits: photons received per area and time over photons emitted per area and time, both in
    /// the frames of the disc's matter.
    pub transfer: Vec<f64>,
    /// For each of these pairs the range of shifts (energy received over emitted) that the cells below divide.
    pub range: Vec<[f64; 2]>,
    /// And the shares of its photons in [`SHIFTS`] equal cells; at the cells' middles they have the photons' mean shift and its variance.
    pub shifts: Vec<f64>,
    /// For each ring that emits: shares of its photons that return, fall into the hole, and leave.
    pub fates: Vec<[f64; 3]>,
}

impl Returning {
    /// Traces the light of all rings of a disc from the innermost stable orbit outwards; the same numbers for any number of threads.
    pub fn new(spin: f64) -> Self {
        let grid = Radii::new(spin);
        let edges: Vec<f64> = (0..=RINGS).map(|k| grid.radius((RADII - 1) as f64 * k as f64 / RINGS as f64)).collect();
        let middle = |k: usize| grid.radius((RADII - 1) as f64 * (k as f64 + 0.5) / RINGS as f64);
        // Photons per coordinate time are those per proper time over dt/dtau.
        let size = |k: usize, width: f64| {
            let r = middle(k);
            metric::ring_area(spin, r) * width / metric::orbit_time(spin, r)
        };
        // What rings send is summed by their middles: the derivative there by the ring's number.
        let emits = |k: usize| size(k, grid.per_node(middle(k)) * (RADII - 1) as f64 / RINGS as f64);
        let place = |x: f64| grid.radius((RADII - 1) as f64 * x / RINGS as f64);
        let rings: Vec<[f64; 2]> =
            (0..RINGS).map(|k| [-0.5, 0.5].map(|side| place(k as f64 + 0.5 + side * CAUGHT))).collect();
        let emitters: Vec<Emitted> =
            (0..RINGS).into_par_iter().map(|ring| Emitted::new(spin, &rings, middle(ring))).collect();
        let mut out = Self {
            transfer: Vec::with_capacity(PAIRS),
            range: Vec::with_capacity(PAIRS),
            shifts: Vec::with_capacity(PAIRS * SHIFTS),
            fates: emitters.iter().map(|emitted| emitted.fates).collect(),
            edges: edges.clone(),
        };
        for (receiver, [inner, outer]) in rings.iter().enumerate() {
            for (emitter, emitted) in emitters.iter().enumerate() {
                let cells = &emitted.caught[receiver];
                let share: f64 = cells.iter().sum();
                out.transfer.push(share * emits(emitter) / size(receiver, outer - inner));
                out.range.push(emitted.ranges[receiver]);
                out.shifts.extend(cells.iter().map(|x| if share > 0.0 { x / share } else { 0.0 }));
            }
        }
        out
    }

    /// Returns all that [`boosts`] needs in one piece, [`RETURNING`] numbers: transfers, ranges, shifts.
    pub fn numbers(&self) -> Vec<f64> {
        let ranges = self.range.iter().flatten();
        self.transfer.iter().chain(ranges).chain(&self.shifts).copied().collect()
    }

    /// Computes the emissivity of each ring with what it receives of the others' light, which it sends out again whole: `emissivity` of
    /// each ring by its lamp, `index` of the photons' power law. One return; equation 8 of Dauser et al. 2022 without the corrections for the
    /// reflected spectrum's shape.
    pub fn add(&self, emissivity: &[f64], index: f64) -> Vec<f64> {
        (0..RINGS)
            .map(|receiver| {
                let back: f64 = emissivity
                    .iter()
                    .enumerate()
                    .take(RINGS)
                    .map(|(emitter, own)| {
                        let pair = receiver * RINGS + emitter;
                        let [least, most] = self.range[pair];
                        let boost: f64 = self.shifts[pair * SHIFTS..(pair + 1) * SHIFTS]
                            .iter()
                            .enumerate()
                            .map(|(k, share)| {
                                let shift = least + (most - least) * (k as f64 + 0.5) / SHIFTS as f64;
                                share * shift.powf(index - 1.0)
                            })
                            .sum();
                        self.transfer[pair] * own * boost
                    })
                    .sum();
                emissivity.get(receiver).copied().unwrap_or(0.0) + back
            })
            .collect()
    }
}

/// Computes for each of the [`PAIRS`] of rings, by receiver and then emitter, the photons of one energy that are received per area and time over those
/// emitted, if they are a power law of photon index `index`; `numbers`: of [`Returning::numbers`].
pub fn boosts(numbers: &[f64], index: f64) -> Vec<f64> {
    let (transfers, rest) = numbers.split_at(PAIRS.min(numbers.len()));
    let (ranges, shifts) = rest.split_at((2 * PAIRS).min(rest.len()));
    let pairs = transfers.iter().zip(ranges.chunks_exact(2)).zip(shifts.chunks_exact(SHIFTS));
    pairs
        .map(|((transfer, range), shares)| {
            if *transfer == 0.0 {
                return 0.0;
            }
            let shift = |k: usize| range[0] + (range[1] - range[0]) * (k as f64 + 0.5) / SHIFTS as f64;
            transfer * shares.iter().enumerate().map(|(k, share)| share * shift(k).powf(index - 1.0)).sum::<f64>()
        })
        .collect()
}

#[cfg(test)]
mod tests;
