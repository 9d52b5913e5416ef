//! Tensors and launches, on a GPU or on the CPU. Knows no kernel by name.

pub mod device;
