//! Special functions, small dense algebra, and statistics of samples.

pub mod matrix;
pub mod special;
pub mod statistics;
