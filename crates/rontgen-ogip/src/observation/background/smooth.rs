//! What a bin's neighbours say of its background.
//!
//! Neighbours are added until they hold enough counts, and a sum that ends where enough is reached is too large for its width: by 1/20 where bins are
//! nearly empty and 20 counts are asked for. What is wanted is the density from a fixed width, such as the nearest neighbours', and the mean of that
//! over all ways in which the counts found could lie in the bins that they were found in has the same expectation and far less noise (Rao and
//! Blackwell): given N counts in width W, of which the bins before the last step have width V, those hold a binomial number with probability V/W,
//! known to be too few. So the estimate is `E[Binomial(N, V/W) | fewer than asked for] / V`.

use super::Background;

/// Fewer counts than this make no mean.
const FEWEST: f64 = 2.0;

impl Background {
    /// Gives the expected background counts of each of the D bins as its neighbours have them, in the background's own region and exposure:
    /// the mean of the Gamma prior of the marginal statistic. Always positive, and without bias where the counts per channel are constant.
    ///
    /// Neighbours are taken from both sides in order of their distance, the bin itself left out, until they hold `least` counts (2 at
    /// least); counts per channel of those, times the bin's own number of channels. Where all other bins hold fewer, all of them; where they
    /// hold none, half a count in all channels, so that the prior is proper.
    pub fn smoothed(&self, least: f64) -> Vec<f64> {
        let least = least.max(FEWEST);
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
            let before = channels;
            let sides = [bin.checked_sub(distance), Some(bin + distance).filter(|&i| i < bins)];
            for side in sides.into_iter().flatten() {
                counts += self.counts[side];
                channels += f64::from(self.channels[side]);
            }
            if counts >= least {
                // Numbers with errors of their own are no draws of Poisson's.
                return match self.errors {
                    None if distance > 1 => below(counts, before / channels, least) / before,
                    _ => counts / channels,
                };
            }
        }
        counts / channels
    }
}

/// Mean of a binomial number out of `n` with probability `p`, given that it is below `limit <= n`.
fn below(n: f64, p: f64, limit: f64) -> f64 {
    let odds = p / (1.0 - p);
    // From the largest number down, each term from the one before; rescaled before it overflows.
    let mut k = limit.ceil() - 1.0;
    let (mut term, mut sum, mut moment) = (1.0f64, 0.0f64, 0.0f64);
    loop {
        sum += term;
        moment += term * k;
        if k < 0.5 {
            return moment / sum;
        }
        term *= k / ((n - k + 1.0) * odds);
        k -= 1.0;
        if term > 1e200 {
            (term, sum, moment) = (1.0, sum / term, moment / term);
        }
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
            scale: vec![1.0; counts.len()],
            channels: channels.to_vec(),
            exposure: 1.0,
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

    /// Half of the 4 counts in the two nearest, the rest one further: of 0 to 2 in the former (3 would have been enough) with weights 1, 4 and 6.
    #[test]
    fn a_sum_that_ended_because_it_was_enough_is_not_taken_as_it_is() {
        let smooth = background(&[1.0, 1.0, 50.0, 1.0, 1.0], &[1; 5]).smoothed(3.0);
        let mean = (4.0 + 2.0 * 6.0) / (1.0 + 4.0 + 6.0);
        assert!((smooth[2] - mean / 2.0).abs() < 1e-12, "{smooth:?}");
        // Neither many counts nor a wide bin overflow it.
        for (n, p, limit) in [(1e9, 1e-9, 1e4), (1e4, 1e-12, 1e4), (1e9, 1.0 - 1e-12, 20.0), (20.0, 0.5, 20.0)] {
            let mean = below(n, p, limit);
            assert!(mean > 0.0 && mean < limit, "{n} {p} {limit}: {mean}");
        }
        assert!((below(1e9, 1e-9, 1e4) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_background_is_found_without_bias() {
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
            // Three standard errors, of 0.4 %; a sum that ends where it is enough is 5 % too large.
            assert!((mean - 1.0).abs() < 3.5 * error && error < 0.01, "{density}: {mean} +- {error}");
        }
    }
}
