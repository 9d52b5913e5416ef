//! Returning radiation: what a disc receives of its own light adds to what the lamp sends (Dauser et al. 2022, MNRAS 514, 3965, equation 8, with light that is sent out again
//! whole, as a power law): by ring the emissivity is multiplied by 1 and what returns.

use super::{
    layout::MOST_INDICES,
    line::{Cubic, Image, Reader},
};
use crate::model::real::Real;
use rontgen_kerr::kerr::{
    radii::RADII,
    returning::{PAIRS, RINGS},
};

/// Rings per node of the radial grid.
const FINENESS: f64 = RINGS as f64 / (RADII - 1) as f64;

impl<R: Real> Reader<'_, R> {
    /// For each ring that receives and each that emits the photons received over those emitted, between the nodes of spin and photon index; `None`
    /// outside of what the table was made for.
    #[inline(always)]
    pub fn boosts(&self, spin: &Cubic, index: f64) -> Option<Vec<f64>> {
        let start = self.head[22] as usize;
        if start == 0 {
            return None;
        }
        let count = (R::load(*self.numbers(start, 1)?.first()?).to_f64() as usize).clamp(1, MOST_INDICES);
        let head = self.numbers(start, 3 + count)?;
        let at = |k: usize| head.get(k).map_or(0.0, |x| R::load(*x).to_f64());
        if index < at(1) || index > at(2) {
            return None;
        }
        let mut out = vec![0.0; PAIRS];
        for (p, of_spin) in spin.weights.iter().enumerate().take(spin.count) {
            for k in 0..count {
                let others = (0..count).filter(|other| *other != k);
                let of_index: f64 = others.map(|other| (index - at(3 + other)) / (at(3 + k) - at(3 + other))).product();
                let place = start + 3 + count + ((spin.first + p) * count + k) * PAIRS;
                let weight = of_spin * of_index;
                for (out, x) in out.iter_mut().zip(self.numbers(place, PAIRS)?) {
                    *out += weight * R::load(*x).to_f64();
                }
            }
        }
        Some(out)
    }
}

impl Image<'_> {
    /// What returns to each ring over what the lamp sends there, of a disc between two radii.
    #[inline(always)]
    pub fn returning(&self, boosts: &[f64], inner: f64, outer: f64) -> [f64; RINGS] {
        let ends = [inner, outer].map(|r| self.grid.place(r) * FINENESS);
        let own: [f64; RINGS] = std::array::from_fn(|k| {
            let place = (k as f64 + 0.5) / FINENESS;
            let r = self.grid.radius(place);
            self.emission(r, &Cubic::new(place, RADII), 0.0) / (r * (r - self.grid.inside))
        });
        // Of a ring with an edge of the disc in it there is a part.
        let sent: [f64; RINGS] = std::array::from_fn(|k| {
            let k_place = k as f64;
            own[k] * (ends[1].min(k_place + 1.0) - ends[0].max(k_place)).clamp(0.0, 1.0)
        });
        std::array::from_fn(|k| {
            let received = boosts.get(k * RINGS..).unwrap_or(&[]).iter().zip(&sent);
            received.map(|(boost, sent)| boost * sent).sum::<f64>() / own[k].max(1e-300)
        })
    }

    /// What returns to a radius over what the lamp sends there.
    #[inline(always)]
    pub fn back_at(&self, r: f64) -> f64 {
        let cubic = Cubic::new(self.grid.place(r) * FINENESS - 0.5, RINGS);
        // Written so that NaN stays.
        let back = cubic.of(&self.back);
        if back < 0.0 { 0.0 } else { back }
    }
}
