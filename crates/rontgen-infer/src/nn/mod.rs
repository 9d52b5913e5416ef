//! Neural networks on a device: the parameters' store, layers, the training loop.

pub mod named;
pub mod record;
pub mod regression;
pub mod store;
pub mod training;

pub use crate::kernels::adam::AdamSettings;
pub use named::Named;
pub use record::{Array, Record, RecordError};
pub use regression::Regression;
pub use store::{ParameterStore, StoreState};
pub use training::{
    BatchRows, Epoch, EpochLosses, EpochPlan, FitSettings, History, LossSlot, Objective, Plateau, epoch_step_by_step,
    fit,
};
