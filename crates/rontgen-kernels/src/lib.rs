//! One file per kernel family: the typed launch and its CPU twin.

#![warn(missing_docs)]

pub mod kernels;

use rontgen_device::device;
use rontgen_numerics::numerics;
