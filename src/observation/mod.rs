//! OGIP files: spectrum, response, area, grouping; a data set is counts plus one folded response.

/// A file that cannot be read or used; names file, HDU, column or keyword, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    #[error("{0}")]
    Placeholder(String),
}
