//! The posterior from simulations: a normalising flow conditioned on the summaries, its training, and truncated proposals.

mod estimator;
mod proposal;
mod retriever;

pub use estimator::{Estimator, EstimatorState, FlowSettings, Posterior, Samples};
pub use proposal::{Origin, Proposed, Region, propose, select_inside};
pub use retriever::{Retrieved, RetrieverSettings, retrieve};
