//! A response whose energy scale and area are parameters: area and matrix apart, and what gain and tilt do between them.
//!
//! XSPEC's `gain` moves the energies of a response to E' = E/slope - offset, and its area curve against them, so that the area stays that of a
//! photon's true energy (XSPEC manual, `gain`). Seen from the photon: one of energy E is redistributed as the response says of slope (E + offset). So
//! photons times area are moved between the energies of the response, and its matrix, each row of which adds up to one, is what it was. That is exact
//! for any slope and offset, and the model is evaluated on one grid.
//!
//! Inside of an energy bin photons lie as the derivative of a cubic through the cumulative photons at the four nearest edges says: number and mean energy
//! are kept and a line is not broadened, which photons laid out evenly over their bins would be.

use super::{Bin, FoldedResponse, Response};

/// What is done to a response: the gain of its energy scale, and the tilt of its area.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResponseShift {
    /// XSPEC's slope of the gain; nominally 1.
    pub slope: f64,
    /// XSPEC's offset of the gain \[keV\]; nominally 0. Positive: lines are seen at higher energies.
    pub offset: f64,
    /// Power of E/E0 that multiplies the area; nominally 0.
    pub tilt: f64,
}

impl Default for ResponseShift {
    fn default() -> Self {
        Self { slope: 1.0, offset: 0.0, tilt: 0.0 }
    }
}

/// The least and largest slope and offset that a response has to be prepared for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShiftRange {
    /// Least and largest slope, above 0.
    pub slope: (f64, f64),
    /// Least and largest offset \[keV\].
    pub offset: (f64, f64),
}

impl ShiftRange {
    /// The true energies \[keV\] that photons seen between two energies may have.
    pub fn sources(&self, seen: (f64, f64)) -> (f64, f64) {
        let of = |energy: f64| {
            let ends = [self.slope.0, self.slope.1].map(|slope| energy / slope);
            (ends[0].min(ends[1]) - self.offset.1, ends[0].max(ends[1]) - self.offset.0)
        };
        (of(seen.0).0, of(seen.1).1)
    }
}

/// A response taken apart: counts = `matrix` times what [`Redistribution::moved`] makes of photons.
#[derive(Debug, Clone, PartialEq)]
pub struct Redistribution {
    /// Area of each energy, with the efficiency that the row of the matrix adds up to \[cm2\].
    pub area: Vec<f64>,
    /// The energy E0 \[keV\] at which a tilt changes nothing: the geometric mean of the least and largest energy of the bins.
    pub pivot: f64,
    /// Grouping, redistribution with rows that add up to one, exposure: counts per photon/cm2/s times area. Its energies may have no element.
    pub matrix: FoldedResponse,
}

impl Redistribution {
    /// Takes a response apart in the bins of a spectrum, on all its energies; see [`FoldedResponse::build`]. `None` where no bin receives anything.
    ///
    /// # Errors
    /// The text of an element that is no number, or of a matrix with more elements than 32-bit offsets reach.
    pub(super) fn build(
        response: &Response,
        bin_of: &[u32],
        scale: &[f64],
        bins: &[Bin],
        exposure: f64,
    ) -> Result<Option<Self>, String> {
        if let Some(bad) = response.undefined.iter().find(|u| bin_of[u.channel as usize] != u32::MAX) {
            return Err(format!("row {}: MATRIX holds {}, expected numbers from 0 up", bad.row, bad.value));
        }
        let sums = response.row_sums();
        let factor = |energy: usize| if sums[energy] > 0.0 { exposure / sums[energy] } else { 0.0 };
        let matrix = FoldedResponse::multiply_out(response, bin_of, scale, bins.len(), &factor, true)?;
        let area = response.area.iter().zip(&sums).map(|(area, sum)| area * sum).collect();
        // Channels may begin at 0 keV; photons do not.
        let lowest = response.edges[0].max(f64::MIN_POSITIVE);
        let lo = bins.iter().map(|bin| bin.e_min.max(lowest)).fold(f64::INFINITY, f64::min);
        let hi = bins.iter().map(|bin| bin.e_max.max(lowest)).fold(lowest, f64::max);
        Ok(matrix.map(|matrix| Self { area, pivot: (lo.ln() * 0.5 + hi.ln() * 0.5).exp(), matrix }))
    }

    /// Checks that photons seen from `noticed.0` to `noticed.1` keV come from energies that the response knows.
    ///
    /// # Errors
    /// The text of a range that brings them from beyond, or from so far that the bins have little to do with the energies they are called by.
    pub fn check(&self, range: &ShiftRange, noticed: (f64, f64)) -> Result<(), String> {
        let edges = &self.matrix.edges;
        let (start, end) = (edges[0], edges[edges.len() - 1]);
        let (lo, hi) = range.sources(noticed);
        let far = (lo - noticed.0).abs().max((hi - noticed.1).abs()) > 0.5 * (noticed.1 - noticed.0);
        if far || (noticed.0 >= start && lo < start) || (noticed.1 <= end && hi > end) {
            return Err(format!(
                "counts at {:.4} to {:.4} keV would come from photons of {lo:.4} to {hi:.4} keV; expected photons within the energies of the response, \
                 {start:.4} to {end:.4} keV, and a move by less than half of the analysed range",
                noticed.0, noticed.1
            ));
        }
        Ok(())
    }

    /// The part of it that photons seen in its bins can come from.
    pub fn within(&self, range: &ShiftRange) -> Self {
        let edges = &self.matrix.edges;
        let (first, last) =
            self.matrix.column.iter().fold((usize::MAX, 0), |(first, last), &column| {
                (first.min(column as usize), last.max(column as usize))
            });
        let (lo, hi) = range.sources((edges[first], edges[last + 1]));
        // A cubic reads a bin on either side.
        let cell =
            |energy: f64| edges.partition_point(|edge| *edge <= energy).saturating_sub(1).min(self.area.len() - 1);
        let first = cell(lo).saturating_sub(2).min(first);
        let last = (cell(hi) + 2).max(last).min(self.area.len() - 1);
        Self {
            area: self.area[first..=last].to_vec(),
            pivot: self.pivot,
            matrix: FoldedResponse {
                edges: edges[first..=last + 1].to_vec(),
                row_start: self.matrix.row_start.clone(),
                column: self.matrix.column.iter().map(|column| column - first as u32).collect(),
                value: self.matrix.value.clone(),
            },
        }
    }

    /// The same with a tilt that changes nothing at another energy \[keV\].
    pub fn with_pivot(self, pivot: f64) -> Self {
        Self { pivot, ..self }
    }

    /// Energies of the model, keV: one more than there are bins of energy.
    pub fn edges(&self) -> &[f64] {
        &self.matrix.edges
    }

    /// Logarithm of E/E0 at the geometric middle of each energy bin, by which the tilt multiplies.
    pub fn log_ratios(&self) -> Vec<f64> {
        self.edges().windows(2).map(|e| 0.5 * (e[0].ln() + e[1].ln()) - self.pivot.ln()).collect()
    }

    /// What `matrix` takes, in f64: photons/cm2/s times area, where the shifted response sees them. Some numbers may be a little below 0 beside
    /// a line, until the matrix has smeared them out.
    pub fn moved(&self, flux: &[f64], shift: ResponseShift) -> Vec<f64> {
        let edges = self.edges();
        let ratios = self.log_ratios();
        let seen: Vec<f64> =
            flux.iter().zip(&self.area).zip(&ratios).map(|((f, a), l)| f * a * (shift.tilt * l).exp()).collect();
        let mut sum = vec![0.0; edges.len()];
        for (j, seen) in seen.iter().enumerate() {
            sum[j + 1] = sum[j] + seen;
        }
        let last = edges.len() - 1;
        let below = |energy: f64| -> f64 {
            if energy <= edges[0] {
                return 0.0;
            }
            if energy >= edges[last] {
                return sum[last];
            }
            let j = edges.partition_point(|edge| *edge <= energy) - 1;
            // Beyond the ends nothing is known: photons lie evenly in the first and last bin.
            let nodes = if j == 0 || j + 2 > last { j..j + 2 } else { j - 1..j + 3 };
            let term = |k: usize| -> f64 {
                let factors = nodes.clone().filter(|&n| n != k);
                sum[k] * factors.map(|n| (energy - edges[n]) / (edges[k] - edges[n])).product::<f64>()
            };
            nodes.clone().map(term).sum()
        };
        let places = edges.iter().map(|edge| edge / shift.slope - shift.offset);
        let cumulative: Vec<f64> = places.map(below).collect();
        cumulative.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Expected counts per bin in f64.
    pub fn fold(&self, flux: &[f64], shift: ResponseShift) -> Vec<f64> {
        self.matrix.fold(&self.moved(flux, shift))
    }
}

#[cfg(test)]
mod tests {
    use super::super::demo_instrument;
    use super::*;

    fn demo() -> (Redistribution, FoldedResponse) {
        let set = demo_instrument();
        (set.redistribution.unwrap().as_ref().clone(), set.folded)
    }

    const RANGE: ShiftRange = ShiftRange { slope: (0.98, 1.02), offset: (-0.05, 0.05) };

    #[test]
    fn nominally_it_is_the_response() {
        let (apart, whole) = demo();
        for apart in [apart.within(&RANGE), apart] {
            let flux: Vec<f64> = apart.edges().windows(2).map(|e| (e[1] - e[0]) * e[0].powf(-1.7)).collect();
            let first = apart.edges().iter().position(|edge| *edge == whole.edges[0]).unwrap();
            let nominal = whole.fold(&flux[first..first + whole.energies()]);
            for (a, b) in apart.fold(&flux, ResponseShift::default()).iter().zip(nominal) {
                // Both are rounded to f32 once.
                assert!((a - b).abs() <= 2e-7 * b, "{a} {b}");
            }
        }
    }

    /// Number and mean energy of a line are those of the gain, its width grows with the slope alone.
    #[test]
    fn a_line_is_moved_and_not_broadened() {
        let (apart, _) = demo();
        let middles: Vec<f64> = apart.edges().windows(2).map(|e| 0.5 * (e[0] + e[1])).collect();
        let line: Vec<f64> = middles.iter().map(|e| (-0.5 * ((e - 6.4) / 0.06).powi(2)).exp()).collect();
        let moments = |seen: &[f64]| {
            let sum: f64 = seen.iter().sum();
            let mean = seen.iter().zip(&middles).map(|(n, e)| n * e).sum::<f64>() / sum;
            let variance = seen.iter().zip(&middles).map(|(n, e)| n * (e - mean).powi(2)).sum::<f64>() / sum;
            (sum, mean, variance.sqrt())
        };
        let (sum, mean, width) = moments(&apart.moved(&line, ResponseShift::default()));
        for (slope, offset) in [(1.0, 0.011), (1.0, -0.0037), (1.01, 0.0), (0.993, 0.02)] {
            let (n, e, w) = moments(&apart.moved(&line, ResponseShift { slope, offset, tilt: 0.0 }));
            assert!((n / sum - 1.0).abs() < 1e-9, "{n} {sum}");
            assert!((e - slope * (mean + offset)).abs() < 1e-5, "{slope} {offset}: {e} {mean}");
            assert!((w / (slope * width) - 1.0).abs() < 1e-3, "{slope} {offset}: {w} {width}");
        }
    }

    #[test]
    fn a_tilt_is_a_power_of_the_energy() {
        let (apart, _) = demo();
        assert!((apart.pivot / (0.3f64 * 10.0).sqrt() - 1.0).abs() < 0.02, "{}", apart.pivot);
        let flux = vec![1.0; apart.area.len()];
        let (plain, tilted) = (
            apart.moved(&flux, ResponseShift::default()),
            apart.moved(&flux, ResponseShift { tilt: 0.3, ..Default::default() }),
        );
        for ((a, b), e) in plain.iter().zip(&tilted).zip(apart.edges().windows(2)) {
            let wanted = ((e[0] * e[1]).sqrt() / apart.pivot).powf(0.3);
            assert!((b / a - wanted).abs() < 1e-9 * wanted, "{e:?}: {a} {b}");
        }
    }

    #[test]
    fn what_comes_from_beyond_the_response_is_refused() {
        let (apart, _) = demo();
        let range = |offset| ShiftRange { slope: (1.0, 1.0), offset };
        assert!(apart.check(&range((-0.1, 0.05)), (0.3, 10.0)).is_ok());
        let error = apart.check(&range((-0.1, 0.15)), (0.3, 10.0)).unwrap_err();
        assert!(error.contains("0.1500") && error.contains("0.2000 to 11"), "{error}");
        assert!(apart.check(&range((-2.0, 0.0)), (0.3, 10.0)).is_err());
        assert!(apart.check(&range((-3.0, 0.0)), (0.3, 2.0)).is_err());
    }
}
