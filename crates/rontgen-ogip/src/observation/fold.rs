//! Grouping, redistribution, area and exposure multiplied once into one sparse matrix.
//!
//! The product is built in f64 and rounded once to f32. Columns are trimmed only at both ends, so that the energy grid stays contiguous
//! and a model can be evaluated on its edges.

use super::response::Response;

/// `G R A T` as a compressed sparse row matrix: rows = bins, columns = model energy bins, value = counts per (photon/cm2/s).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoldedResponse {
    /// Energy edges \[keV\], E + 1, ascending.
    pub edges: Vec<f64>,
    /// D + 1 offsets into `column` and `value`.
    pub row_start: Vec<u32>,
    /// Energy index of each element, ascending within a row, without duplicates.
    pub column: Vec<u32>,
    /// Counts per (photon/cm2/s) of each element.
    pub value: Vec<f32>,
}

impl FoldedResponse {
    /// Number of bins (rows), D.
    pub fn bins(&self) -> usize {
        self.row_start.len().saturating_sub(1)
    }

    /// Number of model energy bins (columns), E.
    pub fn energies(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// Number of stored elements; none is zero.
    pub fn nnz(&self) -> usize {
        self.value.len()
    }

    /// Expected counts per bin for `flux` [photons/cm2/s per energy bin, E values], summed in f64.
    pub fn fold(&self, flux: &[f64]) -> Vec<f64> {
        self.row_start
            .windows(2)
            .map(|w| {
                let range = w[0] as usize..w[1] as usize;
                self.column[range.clone()]
                    .iter()
                    .zip(&self.value[range])
                    .map(|(&c, &v)| f64::from(v) * flux.get(c as usize).copied().unwrap_or(0.0))
                    .sum()
            })
            .collect()
    }

    /// Multiplies the response matrix out. `bin_of[c]` is the bin of response channel c (`u32::MAX`: in none), `scale[c]` a factor for
    /// that channel (AREASCAL). `None` where no bin receives anything.
    ///
    /// # Errors
    /// The text of a matrix with more elements than 32-bit offsets reach.
    pub fn build(
        response: &Response,
        bin_of: &[u32],
        scale: &[f64],
        bins: usize,
        exposure: f64,
    ) -> Result<Option<Self>, String> {
        Self::multiply_out(response, bin_of, scale, bins, &|energy| response.area[energy] * exposure, false)
    }

    /// Multiplies the matrix out as [`FoldedResponse::build`] does, with a factor of the caller's for each energy; `whole`: on every energy of the
    /// response, also at its ends where no bin receives anything.
    pub(super) fn multiply_out(
        response: &Response,
        bin_of: &[u32],
        scale: &[f64],
        bins: usize,
        factor: &dyn Fn(usize) -> f64,
        whole: bool,
    ) -> Result<Option<Self>, String> {
        let mut triples: Vec<(u32, u32, f32)> = Vec::new();
        let mut count = vec![0u32; bins + 1];
        let mut sums = vec![0.0f64; bins];
        let mut touched: Vec<u32> = Vec::new();
        let (mut first, mut last) = (usize::MAX, 0);
        let mut k = 0;
        while k < response.runs.len() {
            let energy = response.runs[k].energy as usize;
            while let Some(run) = response.runs.get(k).filter(|r| r.energy as usize == energy) {
                let channels = run.channel as usize..run.channel as usize + run.len as usize;
                let (mut open, mut sum) = (u32::MAX, 0.0);
                let mut close = |bin: u32, sum: f64| {
                    if bin != u32::MAX && sum != 0.0 {
                        let slot = &mut sums[bin as usize];
                        if *slot == 0.0 {
                            touched.push(bin);
                        }
                        *slot += sum;
                    }
                };
                for (c, v) in channels.zip(response.run_values(run)) {
                    if bin_of[c] != open {
                        close(open, sum);
                        (open, sum) = (bin_of[c], 0.0);
                    }
                    sum += v * scale[c];
                }
                close(open, sum);
                k += 1;
            }
            let factor = factor(energy);
            for bin in touched.drain(..) {
                let value = (std::mem::take(&mut sums[bin as usize]) * factor) as f32;
                if value > 0.0 {
                    count[bin as usize + 1] += 1;
                    triples.push((bin, energy as u32, value));
                    first = first.min(energy);
                    last = energy;
                }
            }
        }
        if triples.is_empty() {
            return Ok(None);
        }
        if whole {
            (first, last) = (0, response.energies() - 1);
        }
        if triples.len() >= u32::MAX as usize {
            return Err(format!("the folded response has {} elements, more than 2^32", triples.len()));
        }
        for i in 0..bins {
            count[i + 1] += count[i];
        }
        let mut next = count.clone();
        let mut column = vec![0u32; triples.len()];
        let mut value = vec![0f32; triples.len()];
        for (bin, energy, v) in triples {
            let at = next[bin as usize] as usize;
            next[bin as usize] += 1;
            column[at] = energy - first as u32;
            value[at] = v;
        }
        Ok(Some(FoldedResponse { edges: response.edges[first..=last + 1].to_vec(), row_start: count, column, value }))
    }
}
