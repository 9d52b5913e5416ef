//! Returning radiation: what a disc's reflected light adds to its illumination (Dauser et al. 2022, MNRAS 514, 3965), as moments of the shift between
//! pairs of rings, which do not depend on a spectrum's parameters.
//!
//! A ring's light comes back to others with shifts g; a power law of photon index G arrives g^(G - 1) as bright. Reflected light is no power law:
//! the factor c(g) corrects for that. It is 1 at g = 1 and what the reflected spectrum has at g = 1.5; a straight line for g > 1, below a
//! parabola through 0 where the line would rise above 1. So c is a polynomial of g on either side of 1, and moments of g^(G - 1), g^G and g^(G + 1)
//! hold all that a spectrum needs.

use super::zones::Ring;
use rontgen_kerr::kerr::{
    FINENESS,
    returning::{PAIRS, RETURNING, RINGS, SHIFTS},
    table::Axis,
};

/// Moments of a pair: below 1 of g^p, g^(p + 1), g^(p + 2), beyond of g^p, g^(p + 1); p = G - 1.
const MOMENTS: usize = 5;
/// Step of p.
const STEP: f64 = 0.2 / FINENESS as f64;

/// The moments at nodes of spin and p.
#[derive(Debug)]
pub(super) struct Moments {
    spins: usize,
    pub(super) first: f64,
    pub(super) powers: usize,
    pub(super) numbers: Vec<f64>,
}

/// Spins at the nodes of images.
pub(super) fn spin_at(axis: &Axis, node: usize) -> f64 {
    1.0 - axis.node(node).powi(3)
}

impl Moments {
    /// For photon indices of a run, from what was traced at the spins of images ([`RETURNING`] numbers each).
    pub fn new(traced: &[f64], indices: (f64, f64)) -> Self {
        let (lo, hi) = (indices.0 - 1.0, indices.1 - 1.0);
        let powers = if lo == hi { 1 } else { (((hi - lo) / STEP).ceil() as usize + 3).max(4) };
        let first = if powers == 1 { lo } else { lo - STEP };
        let spins = traced.len() / RETURNING;
        let mut numbers = Vec::with_capacity(spins * powers * PAIRS * MOMENTS);
        for node in traced.chunks_exact(RETURNING) {
            let (transfers, rest) = node.split_at(PAIRS);
            let (ranges, shifts) = rest.split_at(2 * PAIRS);
            for power in 0..powers {
                let p = first + STEP * power as f64;
                let pairs = transfers.iter().zip(ranges.chunks_exact(2)).zip(shifts.chunks_exact(SHIFTS));
                for ((transfer, range), shares) in pairs {
                    let mut own = [0.0; MOMENTS];
                    for (k, share) in shares.iter().enumerate() {
                        let g = range[0] + (range[1] - range[0]) * (k as f64 + 0.5) / SHIFTS as f64;
                        let bright = transfer * share * g.powf(p);
                        if g < 1.0 {
                            own[0] += bright;
                            own[1] += bright * g;
                            own[2] += bright * g * g;
                        } else {
                            own[3] += bright;
                            own[4] += bright * g;
                        }
                    }
                    numbers.extend(own);
                }
            }
        }
        Self { spins, first, powers, numbers }
    }

    /// For each ring its illumination over that by the lamp alone. `spin`: nodes and weights; `rings`: with their illumination by the lamp, of a
    /// power law of this photon index; `answer`: of each ring the share of the energy that it sends back, and the correction at [`super::excerpt::SHIFT`].
    pub fn ratios(&self, spin: &[(usize, f64)], index: f64, rings: &[Ring], answer: &[[f64; 2]]) -> Vec<f64> {
        let size = PAIRS * MOMENTS;
        let mut moments = vec![0.0; size];
        let power = cubic((index - 1.0 - self.first) / STEP, self.powers);
        for (node, weight) in spin.iter().filter(|(node, _)| *node < self.spins) {
            for (at, more) in &power {
                let from = (node * self.powers + at) * size;
                let weight = weight * more;
                let numbers = self.numbers.get(from..from + size).unwrap_or(&[]);
                moments.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += weight * x);
            }
        }
        (0..RINGS)
            .map(|receiver| {
                let Some(bright) = rings.get(receiver).map(|ring| ring.lit).filter(|x| *x > 0.0) else { return 1.0 };
                let [share, corrected] = answer.get(receiver).copied().unwrap_or([0.0, 1.0]);
                let [below, beyond] = correction(corrected);
                let mut back = 0.0;
                for (emitter, ring) in rings.iter().enumerate().filter(|(_, ring)| ring.covered > 0.0) {
                    let m = &moments[(receiver * RINGS + emitter) * MOMENTS..][..MOMENTS];
                    let reached =
                        below[0] * m[0] + below[1] * m[1] + below[2] * m[2] + beyond[0] * m[3] + beyond[1] * m[4];
                    back += ring.lit * ring.covered * reached;
                }
                // Cubics between spins may fall below 0 where hardly anything returns. Written so that NaN stays.
                let more = share * back / bright;
                1.0 + if more < 0.0 { 0.0 } else { more }
            })
            .collect()
    }
}

/// Nodes around a place with their weights.
fn cubic(place: f64, nodes: usize) -> Vec<(usize, f64)> {
    let cubic = super::super::relativistic::line::Cubic::new(place, nodes);
    (0..cubic.count).map(|k| (cubic.first + k, cubic.weights[k])).collect()
}

/// c(g) as coefficients of 1, g and g^2 for g < 1, and of 1 and g beyond, from its value at 1.5.
fn correction(at: f64) -> [[f64; 3]; 2] {
    let rise = 2.0 * (at - 1.0);
    let line = [1.0 - rise, rise, 0.0];
    let below = match rise < 0.0 {
        // Through 0, 1 and the value at 1.5, and never above 1.
        true => {
            let bend = ((at - 1.5) / 0.75).max(-1.0);
            [0.0, 1.0 - bend, bend]
        }
        false => line,
    };
    [below, line]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rontgen_kerr::kerr::returning::Returning;

    #[test]
    fn the_correction_meets_its_points() {
        for at in [0.6, 0.8, 0.97, 1.0, 1.2] {
            let [below, beyond] = correction(at);
            let value = |c: &[f64; 3], g: f64| c[0] + g * (c[1] + g * c[2]);
            assert!((value(&below, 1.0) - 1.0).abs() < 1e-12 && (value(&beyond, 1.0) - 1.0).abs() < 1e-12);
            assert!((value(&beyond, 1.5) - at).abs() < 1e-12, "{at}");
            assert!((0..=100).all(|k| value(&below, f64::from(k) / 100.0) <= 1.0 + 1e-12), "{at}");
            assert!(at >= 1.0 || value(&below, 0.0) == 0.0);
        }
    }

    /// Without corrections the moments give what the table of rays itself gives.
    #[test]
    fn moments_hold_what_rays_return() {
        let table = Returning::new(0.9);
        let moments = Moments::new(&table.numbers(), (1.5, 3.0));
        let own: Vec<f64> = (0..RINGS).map(|k| 0.5f64.powf(k as f64 / 4.0)).collect();
        for index in [1.5, 2.13, 3.0] {
            let want = table.add(&own, index);
            let rings: Vec<Ring> = own.iter().map(|lit| Ring { radius: 10.0, lit: *lit, covered: 1.0 }).collect();
            let found = moments.ratios(&[(0, 1.0)], index, &rings, &[[1.0, 1.0]; RINGS]);
            for ((found, want), own) in found.iter().zip(&want).zip(&own) {
                // At 1.5 the correction is 1; so it is everywhere.
                assert!((found / (want / own) - 1.0).abs() < 2e-3, "{index}: {found} for {}", want / own);
            }
        }
    }
}
