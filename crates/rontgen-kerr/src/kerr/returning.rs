//! Returning radiation: light of a disc that gravity bends back onto it (Cunningham 1976, ApJ 208, 534; Dauser et al. 2022, MNRAS 514, 3965).
//!
//! Matter of the disc emits with the same intensity in all directions upwards. Rays leave each ring in equal shares of its photons, a grid of squared
//! cosines of the emission angle and of azimuths, and end on the disc, in the hole (or inside of the innermost stable orbit), or at infinity.

use super::{
    metric,
    radii::{RADII, Radii},
    ray::Ray,
};
use rayon::prelude::*;
use std::f64::consts::PI;

/// Rings of a table.
pub const RINGS: usize = 50;
/// Cells of the shift between a pair of rings.
pub const SHIFTS: usize = 20;
/// Pairs of rings.
pub const PAIRS: usize = RINGS * RINGS;
/// Numbers of a table ([`Returning::numbers`]).
pub const RETURNING: usize = PAIRS * (3 + SHIFTS);
/// Rays of a ring: so many squared cosines times so many azimuths.
const SLOPES: usize = 80;
const TURNS: usize = 100;

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
    let a2 = spin * spin;
    let d = metric::delta(spin, r);
    let frame = (r * r + a2) * (r * r + a2) - a2 * d;
    let root = r.sqrt();
    // Against the observer without angular momentum: the orbit's velocity, then light's energy and angular momentum.
    let velocity = (r * r - 2.0 * spin * root + a2) / (d.sqrt() * (r * root + spin));
    let lorentz = 1.0 / (1.0 - velocity * velocity).sqrt();
    let slant = (1.0 - cosine * cosine).max(0.0).sqrt();
    let (out, along) = (slant * azimuth.cos(), slant * azimuth.sin());
    let momentum = frame.sqrt() / r * lorentz * (along + velocity);
    let energy = r * (d / frame).sqrt() * lorentz * (1.0 + velocity * along) + 2.0 * spin * r / frame * momentum;
    if energy <= 0.0 {
        return End::Hole;
    }
    let (l, q) = (momentum / energy, (r * cosine / energy).powi(2));
    let u = 1.0 / r;
    let away = spin - l;
    let potential = 1.0 + (a2 - l * l - q) * u * u + 2.0 * (away * away + q) * u.powi(3) - a2 * q * u.powi(4);
    let speed = -potential.max(0.0).sqrt().copysign(out);
    let ray = Ray { spin, momentum: l, carter: q, state: [u, speed, 0.0, q.sqrt()] };
    let met = ray.to_plane_outside(1.0 / metric::horizon(spin));
    if met == 0.0 {
        return End::Infinity;
    }
    let radius = 1.0 / met;
    if radius < metric::isco(spin) {
        return End::Hole;
    }
    End::Disc { radius, shift: energy / metric::disc_shift(spin, radius, l) }
}

/// Returning radiation between the rings of a disc.
#[derive(Debug, Clone, PartialEq)]
pub struct Returning {
    /// Radii that bound the rings, [`RINGS`] + 1, ascending.
    pub edges: Vec<f64>,
    /// By ring that receives, then ring that emits: photons received per area and time over photons emitted per area and time, both in
    /// the frames of the disc's matter.
    pub transfer: Vec<f64>,
    /// For each of these pairs the least and the largest shift (energy received over emitted).
    pub range: Vec<[f64; 2]>,
    /// And the shares of its photons in [`SHIFTS`] equal cells between these.
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
        let size = |k: usize| {
            let r = middle(k);
            metric::ring_area(spin, r) * (edges[k + 1] - edges[k]) / metric::orbit_time(spin, r)
        };
        let emitters: Vec<(Vec<Vec<f64>>, [f64; 3])> = (0..RINGS)
            .into_par_iter()
            .map(|emitter| {
                let mut caught = vec![Vec::new(); RINGS];
                let mut fates = [0.0; 3];
                for n in 0..SLOPES * TURNS {
                    let (slope, turn) = (n / TURNS, n % TURNS);
                    let cosine = ((slope as f64 + 0.5) / SLOPES as f64).sqrt();
                    // Azimuths of neighbouring cones are staggered.
                    let azimuth = 2.0 * PI * (turn as f64 + 0.25 + 0.5 * (slope % 2) as f64) / TURNS as f64;
                    // Emitters stand at all radii of the ring in turn.
                    let within = ((n as f64 + 0.5) * 0.618_033_988_749_894_9).fract();
                    let r = edges[emitter] + (edges[emitter + 1] - edges[emitter]) * within;
                    match end(spin, r, cosine, azimuth) {
                        End::Disc { radius, shift } => {
                            fates[0] += 1.0;
                            if let Some(ring) = edges.partition_point(|e| *e <= radius).checked_sub(1)
                                && ring < RINGS
                            {
                                caught[ring].push(shift);
                            }
                        }
                        End::Hole => fates[1] += 1.0,
                        End::Infinity => fates[2] += 1.0,
                    }
                }
                (caught, fates.map(|x| x / (SLOPES * TURNS) as f64))
            })
            .collect();
        let mut out = Self {
            transfer: Vec::with_capacity(RINGS * RINGS),
            range: Vec::with_capacity(RINGS * RINGS),
            shifts: Vec::with_capacity(RINGS * RINGS * SHIFTS),
            fates: emitters.iter().map(|(_, fates)| *fates).collect(),
            edges: edges.clone(),
        };
        for receiver in 0..RINGS {
            for (emitter, (caught, _)) in emitters.iter().enumerate() {
                let shifts = &caught[receiver];
                let share = shifts.len() as f64 / (SLOPES * TURNS) as f64;
                out.transfer.push(share * size(emitter) / size(receiver));
                let least = shifts.iter().fold(f64::INFINITY, |m, x| m.min(*x));
                let most = shifts.iter().fold(0.0f64, |m, x| m.max(*x));
                out.range.push(if shifts.is_empty() { [1.0, 1.0] } else { [least, most] });
                let mut cells = [0.0; SHIFTS];
                for shift in shifts {
                    let place = (shift - least) / (most - least).max(1e-12) * SHIFTS as f64;
                    cells[(place as usize).min(SHIFTS - 1)] += 1.0 / shifts.len() as f64;
                }
                out.shifts.extend(cells);
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
mod tests {
    use super::*;
    use crate::kerr::lamp;

    /// Light goes the same way backwards: (area over dt/dtau) times the share of photons from one ring to another is that of the way back, each
    /// photon with its shift to the third power (Liouville's theorem; time and azimuth reversed).
    #[test]
    fn light_goes_both_ways() {
        let spin = 0.998;
        let rings = [(1.5, 2.7), (4.0, 9.0)];
        let size = |r: f64| metric::ring_area(spin, r) / metric::orbit_time(spin, r);
        let light = |from: (f64, f64), to: (f64, f64), power: i32| {
            let (slopes, turns) = (600, 700);
            let mut sum = 0.0;
            for n in 0..slopes * turns {
                let cosine = ((f64::from(n / turns) + 0.5) / f64::from(slopes)).sqrt();
                let azimuth = 2.0 * PI * (f64::from(n % turns) + 0.5) / f64::from(turns);
                let within = ((f64::from(n) + 0.5) * 0.618_033_988_749_894_9).fract();
                let r = from.0 + (from.1 - from.0) * within;
                if let End::Disc { radius, shift } = end(spin, r, cosine, azimuth)
                    && radius >= to.0
                    && radius < to.1
                {
                    sum += size(r) * shift.powi(power);
                }
            }
            sum * (from.1 - from.0) / f64::from(slopes * turns)
        };
        let there = light(rings[0], rings[1], 0);
        let back = light(rings[1], rings[0], -3);
        println!("{there} {back}");
        assert!((there / back - 1.0).abs() < 0.01, "{there} {back}");
    }

    #[test]
    fn inner_rings_see_one_another() {
        let table = Returning::new(0.998);
        for fates in &table.fates {
            assert!((fates.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        println!("{:?}", table.fates.iter().step_by(5).collect::<Vec<_>>());
        // Most of the innermost ring's light returns or falls in; of the outermost nearly nothing.
        assert!(table.fates[0][2] < 0.3 && table.fates[0][0] > 0.3, "{:?}", table.fates[0]);
        assert!(table.fates[RINGS - 1][2] > 0.97, "{:?}", table.fates[RINGS - 1]);
        for pair in table.shifts.chunks_exact(SHIFTS) {
            let sum: f64 = pair.iter().sum();
            assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-9);
        }
        // Slowly rotating holes return little.
        let slow = Returning::new(0.0);
        assert!(slow.fates[0][0] < 0.1, "{:?}", slow.fates[0]);
        // What a lamp at h = 6 puts on the disc, and with what returns.
        let (spin, height) = (0.998, 6.0);
        let (grid, lamp) = (Radii::new(spin), lamp::lamp(spin, height));
        let own: Vec<f64> = table
            .edges
            .windows(2)
            .map(|ends| {
                let r = 0.5 * (ends[0] + ends[1]);
                let place = grid.place(r);
                let (k, t) = ((place as usize).min(RADII - 2), place.fract());
                let ln = lamp[RADII + k] * (1.0 - t) + lamp[RADII + k + 1] * t;
                lamp::emissivity(spin, height, r, ln.exp() * lamp::flat(height, r), 2.0)
            })
            .collect();
        let all = table.add(&own, 2.0);
        let boosts = boosts(&table.numbers(), 2.0);
        for (receiver, all) in all.iter().enumerate() {
            let back: f64 = boosts[receiver * RINGS..][..RINGS].iter().zip(&own).map(|(boost, own)| boost * own).sum();
            assert!(((own[receiver] + back) / all - 1.0).abs() < 1e-12);
        }
        let ratio: Vec<f64> = all.iter().zip(&own).map(|(a, b)| a / b).collect();
        println!("{:?}", ratio.iter().step_by(4).collect::<Vec<_>>());
        // Energy is not made: what returns, as received, is less than was emitted.
        assert!(ratio.iter().all(|x| *x >= 1.0 && *x < 3.0), "{ratio:?}");
    }

    #[test]
    fn threads_change_nothing() {
        let trace = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let nodes = crate::kerr::table::Nodes::new(&crate::kerr::table::Bounds {
                    spin: (0.5, 0.5),
                    inclination: (30.0, 31.0),
                    height: Some((0.3, 0.3)),
                });
                (nodes.images(&|_, _| {}), nodes.lamps())
            })
        };
        assert_eq!(trace(1), trace(3));
    }
}
