//! What a bin's neighbours say of its background.

use super::Background;

impl Background {
    /// Gives the expected background counts of each of the D bins as its neighbours have them, in the background's own region and exposure:
    /// the mean of the Gamma prior of the marginal statistic. Always positive. A sum that ends where it is
    /// enough is some 5 % too large for its width where bins are nearly empty (docs/rejected.md has what takes that away, and why it stays).
    ///
    /// Neighbours are taken from both sides in order of their distance, the bin itself left out, until they hold `least` counts;
    /// counts per channel of those, times the bin's own number of channels. Where all other bins hold fewer, all of them; where they
    /// hold none, half a count in all channels, so that the prior is proper.
    pub fn smoothed(&self, least: f64) -> Vec<f64> {
        let all: f64 = self.channels.iter().map(|&n| f64::from(n)).sum();
        let floor = 0.5 / all;
        (0..self.counts.len())
            .map(|bin| {
                let density = self.density(bin, least);
                let density = if density.is_finite() && density > 0.0 { density } else { floor };
                density * f64::from(self.channels[bin])
            })
            .collect()
    }

    /// Counts per channel around a bin.
    fn density(&self, bin: usize, least: f64) -> f64 {
        let bins = self.counts.len();
        let (mut counts, mut channels) = (0.0, 0.0);
        for distance in 1..bins {
            let sides = [bin.checked_sub(distance), Some(bin + distance).filter(|&i| i < bins)];
            for side in sides.into_iter().flatten() {
                counts += self.counts[side];
                channels += f64::from(self.channels[side]);
            }
            if counts >= least && counts > 0.0 {
                break;
            }
        }
        counts / channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn background(counts: &[f64], channels: &[u32]) -> Background {
        Background {
            file: PathBuf::new(),
            counts: counts.to_vec(),
            errors: None,
            systematic: None,
            scale: vec![1.0; counts.len()],
            channels: channels.to_vec(),
            exposure: 1.0,
            areascal: vec![1.0; counts.len()],
        }
    }

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * b.abs())
    }

    #[test]
    fn neighbours_give_the_mean_of_a_bin() {
        // Enough in the nearest neighbours: their counts per channel, times the bin's channels; the bin itself does not count.
        let smooth = background(&[9.0, 1000.0, 12.0, 1000.0, 30.0], &[3, 5, 1, 4, 2]).smoothed(20.0);
        assert!(close(&smooth[1..4], &[5.0 * 21.0 / 4.0, 2000.0 / 9.0, 4.0 * 42.0 / 3.0]), "{smooth:?}");
        // One side alone at the ends.
        assert!(close(&[smooth[0], smooth[4]], &[3.0 * 1000.0 / 5.0, 2.0 * 1000.0 / 4.0]), "{smooth:?}");
        // All others, where they hold too little.
        assert!(close(&background(&[1.0, 2.0, 3.0], &[1, 1, 2]).smoothed(20.0), &[5.0 / 3.0, 4.0 / 3.0, 3.0]));
        // None at all: half a count in all channels.
        assert!(close(&background(&[0.0, 7.0, 0.0], &[1, 2, 5]).smoothed(20.0)[1..2], &[2.0 * 0.5 / 8.0]));
        assert!(close(&background(&[0.0; 3], &[1, 2, 5]).smoothed(20.0), &[0.5 / 8.0, 0.125, 2.5 / 8.0]));
        assert!(close(&background(&[7.0], &[4]).smoothed(20.0), &[0.5]));
        assert!(background(&[], &[]).smoothed(20.0).is_empty());
        // With errors, also below zero.
        let gaussian = Background { errors: Some(vec![1.0; 4]), ..background(&[-3.5, 1.0, 2.5, 30.5], &[1; 4]) };
        assert!(close(&gaussian.smoothed(20.0), &[34.0 / 3.0, 29.5 / 3.0, 31.5 / 2.0, 0.125]));
    }

    #[test]
    fn a_constant_background_is_found_to_some_per_cent() {
        let mut state = 1u64;
        let mut uniform = || {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut poisson = |mean: f64| {
            let (mut count, mut product, limit) = (0.0, uniform(), (-mean).exp());
            while product > limit {
                count += 1.0;
                product *= uniform();
            }
            count
        };
        for density in [0.02, 0.1, 1.0, 4.0, 10.0] {
            let channels: Vec<u32> = (0..400).map(|i| 1 + i % 3).collect();
            let (mut sum, mut square, mut n) = (0.0, 0.0, 0.0);
            for _ in 0..3000 {
                let counts: Vec<f64> = channels.iter().map(|&c| poisson(density * f64::from(c))).collect();
                // One bin of each spectrum, so that the draws are independent.
                let ratio = background(&counts, &channels).smoothed(20.0)[101] / (density * f64::from(channels[101]));
                (sum, square, n) = (sum + ratio, square + ratio * ratio, n + 1.0);
            }
            let mean = sum / n;
            let error = ((square / n - mean * mean) / n).sqrt();
            // A sum that ends where it is enough is up to a count in twenty too large, and not at all where the nearest neighbours are enough.
            let most = if density < 10.0 { 0.06 } else { 0.0 };
            assert!(
                mean > 1.0 - 3.5 * error && mean < 1.0 + most + 3.5 * error && error < 0.01,
                "{density}: {mean} +- {error}"
            );
        }
    }
}
