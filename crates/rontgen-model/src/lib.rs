//! XSPEC model expressions, parameters, priors, components and the tables they read. Knows no device: it hands out WGSL as text.

#![warn(missing_docs)]

pub mod atomic;
pub mod model;

use rontgen_numerics::numerics;
use rontgen_ogip::fits;
use rontgen_ogip::observation;
use rontgen_ogip::replacement;
