//! What a bin's neighbours say of its background.

use super::Background;

impl Background {
    /// Gives the expected background counts of each of the D bins as its neighbours have them, in the background's own region and exposure:
    /// the mean of the Gamma prior of the marginal statistic. Always positive.
    ///
    /// Neighbours are taken from both sides in order of their distance, the bin itself left out, until they hold at least `least` counts; counts
    /// per channel of those, times the bin's own number of channels. Where all other bins hold fewer, all of them; where they hold none, half
    /// a count in all channels, so that the prior is proper.
    pub fn smoothed(&self, least: f64) -> Vec<f64> {
        let bins = self.counts.len();
        let all: f64 = self.channels.iter().map(|&n| f64::from(n)).sum();
        (0..bins)
            .map(|bin| {
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
                let density = if counts > 0.0 { counts / channels } else { 0.5 / all };
                density * f64::from(self.channels[bin])
            })
            .collect()
    }
}
