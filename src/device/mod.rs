//! The GPU or the CPU that everything runs on.

#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("{0}")]
    Placeholder(String),
}
