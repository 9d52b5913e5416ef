//! Every kernel family against its CPU twin and an f64 oracle.
