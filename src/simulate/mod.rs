//! (see the crate's map)

pub mod oracle;
