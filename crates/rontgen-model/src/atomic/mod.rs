//! Atomic data: photoelectric cross sections per element, abundance tables, and the absorption recipes built on them; the plasma
//! emission of AtomDB, which the user's own files hold.
//!
//! Cross sections are in 1e-22 cm2 per atom, so that nH in 1e22 cm-2 times abundance times cross section is an optical
//! depth without further factors.

pub mod absorption;
pub mod atomdb;
mod bytes;
mod tables;

pub use tables::{CrossSections, abundance_tables, abundances, cross_sections};
