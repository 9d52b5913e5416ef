//! Whether two responses, or two areas, are the same but for rounding, whatever their files are called.

use super::area::{Area, same_edge};
use super::response::Response;

/// A relative difference of areas, or of elements to the largest of their row, that is rounding.
const ROUNDING: f64 = 1e-5;

impl Response {
    /// How a redistribution differs from another; `None` where it does not. An area that was multiplied in is left out of account.
    pub fn difference(&self, other: &Response) -> Option<String> {
        if self.channels() != other.channels() || self.energies() != other.energies() {
            return Some(format!(
                "{} energies and {} channels against {} and {}",
                self.energies(),
                self.channels(),
                other.energies(),
                other.channels()
            ));
        }
        if self.channel != other.channel {
            return Some("other channel numbers".into());
        }
        let grid = |a: &[f64], b: &[f64], w: &dyn Fn(usize) -> f64| {
            a.iter().zip(b).enumerate().all(|(i, (a, b))| same_edge(*a, *b, w(i)))
        };
        let width = |i: usize| {
            let i = i.min(self.energies() - 1);
            self.edges[i + 1] - self.edges[i]
        };
        if !grid(&self.edges, &other.edges, &width) {
            return Some("other photon energies".into());
        }
        let channel = |i: usize| self.e_max[i] - self.e_min[i];
        if !(grid(&self.e_min, &other.e_min, &channel) && grid(&self.e_max, &other.e_max, &channel)) {
            return Some("other channel energies (EBOUNDS)".into());
        }
        let (mut a, mut b) = (vec![0.0; self.channels()], vec![0.0; self.channels()]);
        let (mut i, mut j) = (0, 0);
        let mut worst = (0.0f64, 0usize);
        for energy in 0..self.energies() {
            self.add_row(energy, &mut i, &mut a);
            other.add_row(energy, &mut j, &mut b);
            let largest = a.iter().chain(&b).copied().fold(0.0, f64::max);
            let difference = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
            if largest > 0.0 && difference / largest > worst.0 {
                worst = (difference / largest, energy);
            }
            a.fill(0.0);
            b.fill(0.0);
        }
        (worst.0 > ROUNDING).then(|| {
            format!(
                "elements differ by up to {:.2e} of their row's largest, at {:.4} keV",
                worst.0, self.edges[worst.1]
            )
        })
    }

    /// Adds the elements of an energy to `row`, from run `at` on, which is moved behind them.
    fn add_row(&self, energy: usize, at: &mut usize, row: &mut [f64]) {
        while let Some(run) = self.runs.get(*at).filter(|r| r.energy as usize == energy) {
            for (slot, v) in row[run.channel as usize..].iter_mut().zip(self.run_values(run)) {
                *slot += v;
            }
            *at += 1;
        }
    }
}

impl Area {
    /// How an area differs from another; `None` where it does not.
    pub fn difference(&self, other: &Area) -> Option<String> {
        if self.area.len() != other.area.len() {
            return Some(format!("{} energies against {}", self.area.len(), other.area.len()));
        }
        let width = |i: usize| self.e_hi[i] - self.e_lo[i];
        let same = |i: usize| {
            same_edge(self.e_lo[i], other.e_lo[i], width(i)) && same_edge(self.e_hi[i], other.e_hi[i], width(i))
        };
        if let Some(i) = (0..self.area.len()).find(|&i| !same(i)) {
            return Some(format!("other energies from {} keV on", self.e_lo[i]));
        }
        let relative = |i: usize| {
            let largest = self.area[i].max(other.area[i]);
            if largest > 0.0 { (self.area[i] - other.area[i]).abs() / largest } else { 0.0 }
        };
        let worst = (0..self.area.len()).max_by(|&a, &b| relative(a).total_cmp(&relative(b)))?;
        (relative(worst) > ROUNDING).then(|| {
            format!(
                "areas differ by up to {:.3} %, at {:.4} keV ({:.6} against {:.6} cm2)",
                100.0 * relative(worst),
                self.e_lo[worst],
                self.area[worst],
                other.area[worst]
            )
        })
    }
}
