//! Tensors and launches, on a GPU or on the CPU. Knows no kernel by name.

#![warn(missing_docs)]

pub mod device;
