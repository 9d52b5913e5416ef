//! The posterior from simulations: a normalising flow conditioned on the summaries, its training, and truncated proposals.

pub mod density;
mod estimator;
mod layers;
mod posterior;
mod proposal;

pub use density::CHOICE_STREAM;
pub use density::{DensityKind, DensitySettings};
pub use estimator::{Estimator, EstimatorState, FlowSettings};
pub use layers::Layers;
pub use posterior::{Posterior, Samples, TAILS};
pub use proposal::{Origin, Proposed, Region, propose, select_inside};
