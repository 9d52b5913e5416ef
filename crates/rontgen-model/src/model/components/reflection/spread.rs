//! The table's spectra interpolated, weighted by the directions of each zone, and spread by its line: a direct sum over the cells that reach the band.

use super::excerpt::Excerpt;
use crate::model::real::{Real, Single};

/// Cells that are worked on together.
const TOGETHER: usize = 64;

/// A spectrum of the table that a zone's line spreads: shares of directions times (reflection) factor, at a place among the cut-offs.
pub(super) struct Source {
    pub weights: Vec<f64>,
    pub cut: (usize, f64),
    /// First cell of the kernel (from ln g = 0) and photons in its cells; empty: not spread.
    pub first: isize,
    pub kernel: Vec<f64>,
}

impl Excerpt {
    /// Photons in `count` cells from number `from` on (from the excerpt's first). `None` where cells are asked for that were not kept.
    pub fn spread(
        &self,
        point: &[f64; 4],
        sources: &[Source],
        from: isize,
        count: usize,
        exact: bool,
    ) -> Option<Vec<f64>> {
        if exact {
            return self.spread_in::<f64>(point, sources, from, count);
        }
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: both instruction sets were just found on this machine.
            return unsafe { self.spread_avx2(point, sources, from, count) };
        }
        self.spread_in::<Single<false>>(point, sources, from, count)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn spread_avx2(&self, point: &[f64; 4], sources: &[Source], from: isize, count: usize) -> Option<Vec<f64>> {
        self.spread_in::<Single<true>>(point, sources, from, count)
    }

    #[inline(always)]
    fn spread_in<R: Real>(&self, point: &[f64; 4], sources: &[Source], from: isize, count: usize) -> Option<Vec<f64>> {
        let zero = R::of(0.0).store();
        // Cells of the table that reach these.
        let (mut lowest, mut highest) = (from, from + count as isize);
        for source in sources.iter().filter(|source| !source.kernel.is_empty()) {
            lowest = lowest.min(from - source.first - source.kernel.len() as isize + 1);
            highest = highest.max(from + count as isize - source.first);
        }
        let [below, beyond] = self.more;
        if (below && lowest < 0) || (beyond && highest > self.cells as isize) {
            return None;
        }
        let length = (highest - lowest) as usize;
        let (cuts, directions) = (self.axes[4].nodes.len(), self.cosines.len());
        let first_cut = sources.iter().map(|s| s.cut.0).min().unwrap_or(0);
        let last_cut = sources.iter().map(|s| s.cut.0 + usize::from(s.cut.1 > 0.0)).max().unwrap_or(0).min(cuts - 1);
        // By cut-off and direction, the table's spectra at the point.
        let corners = self.corners(point);
        let used: Vec<bool> = (0..directions).map(|n| sources.iter().any(|s| s.weights[n] != 0.0)).collect();
        let mut blended = vec![zero; (last_cut - first_cut + 1) * directions * length];
        let kept = lowest.max(0)..highest.min(self.cells as isize);
        if kept.is_empty() {
            return Some(vec![0.0; count]);
        }
        let (skip, inside) = ((kept.start - lowest) as usize, (kept.end - kept.start) as usize);
        for (row, out) in blended.chunks_exact_mut(length).enumerate() {
            let (cut, direction) = (first_cut + row / directions, row % directions);
            if !used[direction] {
                continue;
            }
            let out = &mut out[skip..skip + inside];
            for (at, weight) in &corners {
                let start = ((at * cuts + cut) * directions + direction) * self.cells + kept.start as usize;
                let Some(spectrum) = self.spectra.get(start..start + inside) else { continue };
                let weight = R::of(*weight);
                for (out, x) in out.iter_mut().zip(spectrum) {
                    *out = weight.fma(R::of(f64::from(*x)), R::load(*out)).store();
                }
            }
        }
        let mut total = vec![zero; count.next_multiple_of(TOGETHER)];
        let mut spectrum = vec![zero; length + TOGETHER];
        for source in sources {
            spectrum.fill(zero);
            for (cut, share) in [(source.cut.0, 1.0 - source.cut.1), (source.cut.0 + 1, source.cut.1)] {
                if share == 0.0 {
                    continue;
                }
                for (direction, weight) in source.weights.iter().enumerate().filter(|(_, w)| **w != 0.0) {
                    let start = ((cut - first_cut) * directions + direction) * length;
                    let (weight, own) = (R::of(weight * share), &blended[start..start + length]);
                    for (out, x) in spectrum.iter_mut().zip(own) {
                        *out = weight.fma(R::load(*x), R::load(*out)).store();
                    }
                }
            }
            if source.kernel.is_empty() {
                let own = &spectrum[(from - lowest) as usize..];
                for (out, x) in total.iter_mut().zip(own).take(count) {
                    *out = (R::load(*out) + R::load(*x)).store();
                }
                continue;
            }
            let kernel: Vec<R> = source.kernel.iter().map(|x| R::of(*x)).collect();
            for (block, out) in total.chunks_exact_mut(TOGETHER).enumerate() {
                let mut sums = [R::of(0.0); TOGETHER];
                // The cell that the first one of the block comes from through the first cell of the kernel.
                let origin = (from - lowest - source.first) as usize + block * TOGETHER;
                for (k, share) in kernel.iter().enumerate() {
                    let Some(own) = origin.checked_sub(k).and_then(|at| spectrum.get(at..)?.first_chunk::<TOGETHER>())
                    else {
                        continue;
                    };
                    for (sum, x) in sums.iter_mut().zip(own) {
                        *sum = share.fma(R::load(*x), *sum);
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = (R::load(*out) + sum).store();
                }
            }
        }
        Some(total.iter().take(count).map(|x| R::load(*x).to_f64()).collect())
    }
}
