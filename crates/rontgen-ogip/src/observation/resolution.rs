//! The energy resolution of a response, channel by channel.

use super::response::Response;

impl Response {
    /// Full width at half maximum of the redistribution \[keV\] at each channel: of the row whose energy is nearest to the channel's centre,
    /// around its highest element, with linear interpolation of the half-maximum crossings. Never below the channel's width; channels
    /// whose row is empty take the nearest one that is not.
    pub fn fwhm(&self) -> Vec<f64> {
        let n = self.channels();
        let mut first = vec![usize::MAX; self.energies() + 1];
        for (k, run) in self.runs.iter().enumerate().rev() {
            first[run.energy as usize] = k;
        }
        let centre: Vec<f64> = self.edges.windows(2).map(|w| 0.5 * (w[0] + w[1])).collect();
        let mut cache: Vec<Option<Option<f64>>> = vec![None; centre.len()];
        let mut row = vec![0.0; n];
        let mut out = vec![f64::NAN; n];
        for (i, slot) in out.iter_mut().enumerate() {
            let e = 0.5 * (self.e_min[i] + self.e_max[i]);
            let above = centre.partition_point(|&c| c < e);
            let j = match (above.checked_sub(1), centre.get(above)) {
                (Some(b), Some(&up)) if e - centre[b] <= up - e => b,
                (Some(b), None) => b,
                _ => above,
            };
            let Some(known) = cache.get_mut(j) else { continue };
            let width = *known.get_or_insert_with(|| self.row_fwhm(j, first[j], &mut row));
            if let Some(w) = width {
                *slot = w.max((self.e_max[i] - self.e_min[i]).abs()).max(f64::MIN_POSITIVE);
            }
        }
        let known: Vec<usize> = (0..n).filter(|&i| out[i].is_finite()).collect();
        for i in 0..n {
            if !out[i].is_finite() {
                let at = known.partition_point(|&k| k < i);
                let near = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|k| known.get(k));
                let nearest = near.min_by_key(|&&k| k.abs_diff(i));
                let channel = (self.e_max[i] - self.e_min[i]).abs();
                out[i] = nearest.map_or(channel, |&k| out[k].max(channel));
            }
        }
        out
    }

    fn row_fwhm(&self, energy: usize, first: usize, row: &mut [f64]) -> Option<f64> {
        let mut span: Option<(usize, usize)> = None;
        for run in self.runs.get(first..)?.iter().take_while(|r| r.energy as usize == energy) {
            let c = run.channel as usize;
            for (slot, v) in row[c..].iter_mut().zip(self.run_values(run)) {
                *slot += v;
            }
            let end = c + run.len as usize;
            span = Some(span.map_or((c, end), |(a, b)| (a.min(c), b.max(end))));
        }
        let (a, b) = span?;
        // A channel without width has no density.
        let density = |i: usize| match self.e_max[i] - self.e_min[i] {
            0.0 => 0.0,
            width => row[i] / width.abs(),
        };
        let (peak, top) = (a..b).map(|i| (i, density(i))).max_by(|x, y| x.1.total_cmp(&y.1))?;
        let mid = |i: usize| 0.5 * (self.e_min[i] + self.e_max[i]);
        let half = 0.5 * top;
        // Distance from the peak to the half-maximum on one side, in keV.
        let side = |step: isize| {
            let mut i = peak;
            loop {
                let Some(next) = i.checked_add_signed(step).filter(|&k| k >= a && k < b) else {
                    return 0.5 * (self.e_max[i] - self.e_min[i]).abs() + (mid(i) - mid(peak)).abs();
                };
                if density(next) < half {
                    let (d0, d1) = (density(i), density(next));
                    let f = (d0 - half) / (d0 - d1);
                    return (mid(i) + f * (mid(next) - mid(i)) - mid(peak)).abs();
                }
                i = next;
            }
        };
        let width = (top > 0.0).then(|| side(-1) + side(1));
        row[a..b].fill(0.0);
        width
    }
}
