//! What an analysis gives, in memory: samples and weights, the summary of a run with its verdict, and the tables behind the pictures. Types that
//! can be written and read (serde), and what they say in words; no file is touched here.

mod agreement;
mod checks;
mod derived;
mod diagnosis;
mod edge;
mod error;
pub mod json;
mod method;
pub mod numbers;
mod posterior;
mod prior;
mod reference;
mod residuals;
mod summary;
mod survey;
mod tables;
mod together;
mod verdict;

pub use agreement::AgreementSummary;
pub use checks::{Band, Check, Predictive, Quantity, Residual, Sbc, Tarp, Uniformity, Window};
pub use derived::{Derived, DerivedQuantity, Distance};
pub use diagnosis::{
    Calibrated, Diagnosis, DiagnosisSeconds, MockWeights, QuickCalibration, RetrievedParameter, RetrieverSummary,
};
pub use edge::{Bounds, Contact, Edge, Limit, Side};
pub use error::ReportError;
pub use method::{Estimate, ExpectedSeconds, MethodSummary, about};
pub use posterior::Posterior;
pub use prior::StatedPrior;
pub use reference::{EnsembleSummary, NestedSummary, PolishSummary, ReferenceSummary};
pub use residuals::Residuals;
pub use summary::{
    CstatSummary, DeviceSummary, EmulatorSummary, FallbackStep, FallbackSummary, GridSummary, LatentSummary,
    ModelSummary, ObservationSummary, ParameterSummary, ProposalSummary, RefineSummary, RoundSeconds, RoundSummary,
    Seconds, Summary, Transfers,
};
pub use survey::{RowVerdict, Sketch, SurveyResult, SurveyRow, SurveySummary};
pub use tables::{
    BackgroundRow, COVERAGE_BINS, Coverage, LossRow, Quantiles, SetPictures, SpectrumRow, SpectrumTable, UnfoldedRow,
    UnfoldedTable, WeightedSamples,
};
pub use together::{SetAlone, StatisticSummary, Tension, statistic_words};
pub use verdict::{Light, ModelLight, ModelStatus, Sampling, Verdict, VerdictStatus, limits};

/// Equal-weight samples are stored row by row in physical units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    /// Names of the P parameters, the columns.
    pub names: Vec<String>,
    /// Row-major values, N x P.
    pub values: Vec<f64>,
}

impl Samples {
    /// Returns the number of samples, N.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.names.len()).unwrap_or(0)
    }

    /// Returns whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the position of a parameter, whatever its letters' case.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n.eq_ignore_ascii_case(name))
    }

    /// Returns all samples, one row each and one column per name.
    pub fn array(&self) -> ndarray::ArrayView2<'_, f64> {
        let (n, p) = (self.len(), self.names.len());
        match ndarray::ArrayView2::from_shape((n, p), &self.values[..n * p]) {
            Ok(view) => view,
            Err(error) => unreachable!("as many values as rows x columns: {error}"),
        }
    }

    /// Returns all samples of column `j`; empty when there is no such column.
    pub fn column(&self, j: usize) -> Vec<f64> {
        match self.names.len() {
            p if j < p => self.values.iter().skip(j).step_by(p).copied().collect(),
            _ => Vec::new(),
        }
    }
}
