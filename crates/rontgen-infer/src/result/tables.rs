//! What the tables of an analysis hold: weighted samples, training losses, folded and unfolded spectra with their bands.

use super::{ReportError, Samples};

/// This holds the samples of the refinement with everything that their weights came from. The weights sum to 1 or are unnormalised; they are never
/// negative.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedSamples {
    /// Samples in physical units, N x P.
    pub samples: Samples,
    /// ln of the prior density, per unit of the parameters, of each sample (N).
    pub log_prior: Vec<f64>,
    /// -C-STAT/2 of each sample (N).
    pub log_likelihood: Vec<f64>,
    /// ln of the density that the samples were drawn from, per unit of the parameters (N).
    pub log_q: Vec<f64>,
    /// Importance weights (N).
    pub weight: Vec<f64>,
}

/// One epoch of one network's training is a row of `losses.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct LossRow {
    /// "autoencoder" or "flow".
    pub network: String,
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean loss over the training rows.
    pub train: f64,
    /// Mean loss over the validation rows.
    pub validation: f64,
}

/// One kept bin: its energies, observed counts, and quantiles of the EXPECTED counts over the posterior.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SpectrumRow {
    /// Lower edge \[keV\].
    pub e_min: f64,
    /// Upper edge \[keV\].
    pub e_max: f64,
    /// Observed counts; where they have an error numbers with a Gaussian one, in counts, less their background, which may be negative.
    pub counts: f64,
    /// Standard deviation of the observed numbers; `None`: Poisson counts.
    pub error: Option<f64>,
    /// Quantile 0.025.
    pub q025: f64,
    /// Quantile 0.16.
    pub q16: f64,
    /// Median.
    pub median: f64,
    /// Quantile 0.84.
    pub q84: f64,
    /// Quantile 0.975.
    pub q975: f64,
}

/// The table `spectrum.csv` holds the observation beside the model's posterior.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpectrumTable {
    /// Exposure time \[s\], the same in all rows.
    pub exposure: f64,
    /// Kept bins, ascending in channel.
    pub rows: Vec<SpectrumRow>,
    /// Expected counts per row from each additive component alone, with all that multiplies it in the expression, at the best sample
    /// of the posterior; then what named models add, and the background that the statistic expects. Empty where a model has but one and nothing
    /// else adds to the counts, or where the components do not add up to the model.
    pub components: Vec<(String, Vec<f64>)>,
    /// Expected counts per row at the best sample, of all that adds to them: the sum of the components. Empty where it is not known.
    pub best: Vec<f64>,
    /// Posterior median per row of the counts that the source's model alone makes expect. Empty where nothing else adds to them.
    pub source: Vec<f64>,
    /// The background spectrum, a row each. Empty where there is none.
    pub background: Vec<BackgroundRow>,
}

/// The background spectrum in one kept bin of its data set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BackgroundRow {
    /// Observed counts B, in the background's own region and exposure; rate times exposure of a background with Gaussian errors.
    pub counts: f64,
    /// Standard deviation of B where it is Gaussian; `None`: Poisson counts.
    pub error: Option<f64>,
    /// Background counts in the source's bin for one in the background's: (EXPOSURE BACKSCAL AREASCAL) of the source over that of the background.
    pub scale: f64,
    /// Counts that the statistic expects of the background in the source's bin, which are part of the expected counts; 0 where it knows nothing of the background.
    pub expected: f64,
}

/// What the pictures of one data set are drawn from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SetPictures {
    /// The data set's name.
    pub name: String,
    /// The observed spectrum with the band of the expected counts, those of the background among them.
    pub spectrum: SpectrumTable,
    /// The model before the instrument with its band; `None` where no draw gives a finite one.
    pub unfolded: Option<UnfoldedTable>,
}

/// coverage.csv, one stage of it: quantiles of SIMULATED counts (with Poisson noise) from the prior or a round's proposal, beside
/// the observed counts. The rows are at most [`COVERAGE_BINS`] groups of neighbouring bins; the counts of a group are added before
/// the quantiles are taken, since quantiles of noisy counts do not add up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// "prior", "round 2", ..., "posterior".
    pub stage: String,
    /// Groups of bins, at most [`COVERAGE_BINS`].
    pub rows: Vec<SpectrumRow>,
}

/// Groups of bins in a [`Coverage`], at most: as many points as a plot can show.
pub const COVERAGE_BINS: usize = 260;

impl Coverage {
    /// Makes the table from the kept bins' edges \[keV\], observed counts, and counts simulated at this stage (row-major, spectra x bins). Data that
    /// are no counts come as they are.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] when the lengths do not belong together.
    pub fn from_simulations(
        stage: &str,
        edges: &[(f64, f64)],
        counts: &[f64],
        simulated: &[f64],
    ) -> Result<Coverage, ReportError> {
        let bins = edges.len();
        if bins == 0 || counts.len() != bins || simulated.is_empty() || !simulated.len().is_multiple_of(bins) {
            return Err(ReportError::Invalid(format!(
                "coverage of {stage}: {bins} bins, {} counts and {} simulated counts do not belong together",
                counts.len(),
                simulated.len()
            )));
        }
        let every = bins.div_ceil(COVERAGE_BINS);
        // Bins end where channels are ignored: no group reaches across.
        let mut groups: Vec<(f64, f64, usize)> = Vec::new();
        for &(e_min, e_max) in edges {
            match groups.last_mut() {
                Some(g) if g.2 < every && (e_min - g.1).abs() <= 1e-6 * e_min => *g = (g.0, e_max, g.2 + 1),
                _ => groups.push((e_min, e_max, 1)),
            }
        }
        let add = |spectrum: &[f64]| -> Vec<f32> {
            let mut rest = spectrum.iter();
            groups.iter().map(|g| rest.by_ref().take(g.2).sum::<f64>() as f32).collect()
        };
        let matrix: Vec<f32> = simulated.chunks_exact(bins).flat_map(add).collect();
        let quantiles = Quantiles::of_columns(&matrix, groups.len());
        let rows = groups.iter().zip(add(counts)).zip(quantiles).map(|((g, counts), q)| SpectrumRow {
            e_min: g.0,
            e_max: g.1,
            counts: f64::from(counts),
            error: None,
            q025: q.q025,
            q16: q.q16,
            median: q.median,
            q84: q.q84,
            q975: q.q975,
        });
        Ok(Coverage { stage: stage.to_string(), rows: rows.collect() })
    }
}

/// These five quantiles describe a distribution by its median and bands of 68 % and 95 %.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quantiles {
    /// Quantile 0.025.
    pub q025: f64,
    /// Quantile 0.16.
    pub q16: f64,
    /// Median.
    pub median: f64,
    /// Quantile 0.84.
    pub q84: f64,
    /// Quantile 0.975.
    pub q975: f64,
}

impl Quantiles {
    /// Computes the quantiles of every column of a row-major matrix with `columns` columns (spectra as rows). Incomplete last rows are
    /// ignored.
    pub fn of_columns(matrix: &[f32], columns: usize) -> Vec<Quantiles> {
        use rayon::prelude::*;
        (0..columns)
            .into_par_iter()
            .map(|j| {
                let column: Vec<f64> =
                    matrix.chunks_exact(columns).filter_map(|row| row.get(j)).map(|&x| f64::from(x)).collect();
                match crate::numerics::statistics::quantiles(&column, &[0.025, 0.16, 0.5, 0.84, 0.975]).as_slice() {
                    &[q025, q16, median, q84, q975] => Quantiles { q025, q16, median, q84, q975 },
                    _ => Quantiles::default(),
                }
            })
            .collect()
    }
}

impl SpectrumTable {
    /// Makes the table from the kept bins' edges \[keV\], observed counts, exposure \[s\] and expected counts of posterior samples (row-major,
    /// samples x bins).
    ///
    /// # Errors
    /// [`ReportError::Invalid`] when the lengths do not belong together.
    pub fn from_expected(
        edges: &[(f64, f64)],
        counts: &[f64],
        exposure: f64,
        expected: &[f32],
    ) -> Result<SpectrumTable, ReportError> {
        let bins = edges.len();
        if bins == 0 || counts.len() != bins || !expected.len().is_multiple_of(bins) {
            return Err(ReportError::Invalid(format!(
                "spectrum: {bins} bins, {} counts and {} expected counts do not belong together",
                counts.len(),
                expected.len()
            )));
        }
        let quantiles = Quantiles::of_columns(expected, bins);
        let rows = edges.iter().zip(counts).zip(quantiles).map(|((&(e_min, e_max), &counts), q)| SpectrumRow {
            e_min,
            e_max,
            counts,
            error: None,
            q025: q.q025,
            q16: q.q16,
            median: q.median,
            q84: q.q84,
            q975: q.q975,
        });
        Ok(SpectrumTable { exposure, rows: rows.collect(), ..SpectrumTable::default() })
    }
}

/// One energy bin of the response \[keV\] with quantiles over the posterior of E^2 F(E) = E x E F(E), in keV^2 photons/cm2/s/keV (XSPEC's
/// `eemodel`; the same as keV/cm2/s per unit of ln E). F is the mean over the bin, E its geometric middle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UnfoldedRow {
    /// Lower edge \[keV\].
    pub e_min: f64,
    /// Upper edge \[keV\].
    pub e_max: f64,
    /// Quantile 0.025.
    pub q025: f64,
    /// Quantile 0.16.
    pub q16: f64,
    /// Median.
    pub median: f64,
    /// Quantile 0.84.
    pub q84: f64,
    /// Quantile 0.975.
    pub q975: f64,
}

/// The table `unfolded.csv` holds the model before the instrument, with its band over the posterior.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UnfoldedTable {
    /// Energy bins, ascending.
    pub rows: Vec<UnfoldedRow>,
    /// Each additive component alone at the best sample of the posterior, one number per row in the unit of the rows; empty where
    /// [`SpectrumTable::components`] is.
    pub components: Vec<(String, Vec<f64>)>,
}

impl UnfoldedRow {
    /// Returns the factor from photons/cm2/s in a bin with these edges \[keV\] to E^2 F(E).
    pub fn factor(e_min: f64, e_max: f64) -> f64 {
        let middle = if e_min > 0.0 { e_min * e_max } else { 0.25 * (e_min + e_max).powi(2) };
        middle / (e_max - e_min)
    }
}
