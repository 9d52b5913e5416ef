//! Whole-program tests, one binary: a module per area, linked once. `cargo test --release --test tests AREA::` runs one area.
//!
//! Where the reference data are missing (`common::data`), the tests that need them are ignored; with CI=true they run, and fail.

mod common;
mod golden;

mod amortised_backgrounds;
mod background_files;
mod bench;
mod channel_models;
mod chi_square;
mod command_line;
mod components;
mod components_wgsl;
mod compression;
mod computing_commands;
mod densities;
mod derive;
mod determinism;
mod device_check;
mod diagnose_command;
mod every_file;
mod examples;
mod expressions;
mod external;
mod fake;
mod fallback;
mod fine_bins;
mod fuzz;
mod gain;
mod house;
mod import;
mod infer;
mod joint;
mod method;
mod observation;
mod observations;
mod plasma;
mod reference;
mod reference_command;
mod refinement_command;
mod reflection;
mod reflection_device;
mod relativity;
mod report;
mod resume;
mod rows;
mod run_file;
mod run_folder;
mod save_files;
mod simulate;
mod study_command;
mod survey;
mod table_models;
