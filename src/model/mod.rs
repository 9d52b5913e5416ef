//! XSPEC expressions, parameters, priors and the catalogue of components.

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{0}")]
    Placeholder(String),
}
