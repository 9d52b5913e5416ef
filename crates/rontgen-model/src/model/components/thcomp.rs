//! thcomp: any spectrum Comptonised by thermal electrons in a sphere with seeds distributed like a sine (Zdziarski et al. 2020, MNRAS
//! 492, 5234): the Kompaneets equation with temperature and escape corrected so that Monte Carlo spectra are met.
//!
//! The equation is solved on steps of equal ln E over the grid, which should reach from well below the seeds to well above the
//! electrons' temperature: photons are conserved inside the grid, as in XSPEC. Those not scattered stay in their bins.

use super::{
    ROOM, stretch,
    thermal::{MASS, fitted, klein_nishina, solve},
};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};

pub(crate) struct Comptonised<R> {
    photons: Vec<R>,
}

/// Temperature and escape as the electrons' temperature (over 511 keV) corrects them.
struct Corrected {
    theta: f64,
    thin: f64,
    thick: f64,
}

impl Corrected {
    fn new(theta: f64) -> Self {
        Self {
            theta: theta * (1.0 + theta + 3.0 * theta * theta),
            thin: 1.2 / (1.0 + theta + 5.0 * theta * theta),
            thick: 0.25 / (1.0 + theta + 3.0 * theta * theta),
        }
    }

    /// Optical depth for a photon index, or minus a negative one.
    fn depth(&self, index: f64) -> f64 {
        if index <= 0.0 {
            return (-index).clamp(1e-3, 100.0);
        }
        // thick theta tau^2 + thin theta tau = 1/((index + 1/2)^2 - 9/4)
        let index = index.max(1.001);
        let (a, b) = (self.thick * self.theta, self.thin * self.theta);
        let c = 1.0 / ((index - 1.0) * (index + 2.0));
        2.0 * c / (b + (b * b + 4.0 * a * c).sqrt())
    }

    /// Probability to escape per Thomson time.
    fn escape(&self, tau: f64, x: f64) -> f64 {
        let share = (1.0 - (x - 0.1) / 1.9).clamp(0.0, 1.0);
        1.0 / (tau * (self.thin + tau * klein_nishina(x) * self.thick * share))
    }
}

/// Share of the photons that leave without scattering: the geometric mean for a uniform and for a central source.
fn unscattered(tau: f64) -> f64 {
    let uniform = if tau < 0.02 {
        1.0 - 0.75 * tau + 0.4 * tau * tau
    } else {
        (2.0 * tau * tau - 1.0 + (-2.0 * tau).exp() * (2.0 * tau + 1.0)) * 3.0 / (8.0 * tau.powi(3))
    };
    (uniform * (-tau).exp()).sqrt()
}

impl<R: Real> Comptonised<R> {
    /// Gamma_tau (negative: optical depth), kT_e, cov_frac, z.
    pub fn new(par: &[f64], grid: &Grid<R::Store>, source: &[R::Store]) -> Self {
        let at = |k: usize, default: f64| par.get(k).copied().unwrap_or(default);
        let (electrons, cover, z) = (at(1, 50.0).max(0.5) / MASS, at(2, 1.0), stretch(at(3, 0.0)));
        let corrected = Corrected::new(electrons);
        let tau = corrected.depth(at(0, 1.7));
        let edge = |k: usize| grid.edges.get(k).map_or(1.0, |e| R::load(*e).to_f64());
        let count = source.len();
        let (lowest, highest) = (edge(0), edge(count));
        let step = (highest / lowest).ln() / (ROOM - 1) as f64;
        let node = |k: f64| lowest * (step * k).exp();
        let widths = || grid.widths.iter().map(|w| R::load(*w).to_f64());
        let photons = || source.iter().map(|s| R::load(*s).to_f64());
        let density: Vec<f64> = photons().zip(widths()).map(|(s, w)| s / w).collect();
        // Mean density around every node, so that a line between them is not missed.
        let mut seeds = vec![0.0; ROOM];
        let mut bin = 0;
        for (k, seeds) in seeds.iter_mut().enumerate() {
            let (from, to) = (node(k as f64 - 0.5).max(lowest), node(k as f64 + 0.5).min(highest));
            while bin + 1 < count && edge(bin + 1) <= from {
                bin += 1;
            }
            let mut sum = 0.0;
            for (k, density) in density.iter().enumerate().skip(bin).take_while(|(k, _)| edge(*k) < to) {
                sum += density * (edge(k + 1).min(to) - edge(k).max(from)).max(0.0);
            }
            *seeds = sum / (to - from);
        }
        let x = |k: usize| node(k as f64) / MASS;
        let escape: Vec<f64> = (0..ROOM).map(|k| corrected.escape(tau, x(k))).collect();
        let mut solution: Vec<f64> = seeds.iter().enumerate().map(|(k, s)| s / (x(k) * x(k))).collect();
        solve(1.0, corrected.theta, step, x(0), &escape, &mut solution, fitted);
        // E F_E at the nodes.
        let fluxes: Vec<f64> =
            (0..ROOM).map(|k| solution[k] * escape[k] * x(k).powi(2) * node(k as f64).powi(2)).collect();
        let direct = unscattered(tau);
        let made: Vec<f64> = (0..count)
            .map(|i| {
                let middle = 0.5 * (edge(i) + edge(i + 1));
                let rest = middle * z;
                let place = ((rest / lowest).ln() / step).clamp(0.0, (ROOM - 2) as f64);
                let k = place as usize;
                let along = ((place - k as f64) * step).exp_m1() / step.exp_m1();
                let flux = if rest < highest { fluxes[k] + along * (fluxes[k + 1] - fluxes[k]) } else { 0.0 };
                // The bin that was redshifted to here.
                let from = grid.edges.partition_point(|e| R::load(*e).to_f64() <= rest).saturating_sub(1);
                let kept = density.get(from).copied().unwrap_or(0.0) * direct * z * z;
                flux / (middle * middle) + kept
            })
            .zip(widths())
            .map(|(density, width)| density * width)
            .collect();
        let (before, after) = (photons().sum::<f64>(), made.iter().sum::<f64>());
        let scale = if after > 0.0 { cover * before / after } else { 0.0 };
        let photons = photons().zip(&made).map(|(s, m)| R::of(s * (1.0 - cover) + m * scale)).collect();
        Self { photons }
    }

    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        for (out, photons) in out.iter_mut().zip(self.photons.get(tile.start..).unwrap_or(&[])) {
            *out = photons.store();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_gives_its_index() {
        for (index, theta) in [(1.7, 0.1), (2.5, 0.01), (1.3, 0.2)] {
            let corrected = Corrected::new(theta);
            let tau = corrected.depth(index);
            let slope = (2.25 + 1.0 / (corrected.theta * tau * (corrected.thin + tau * corrected.thick))).sqrt() - 0.5;
            assert!((slope / index - 1.0).abs() < 1e-12, "{index} {slope}");
        }
        assert!((unscattered(0.019_999) - unscattered(0.020_001)).abs() < 1e-5);
    }
}
