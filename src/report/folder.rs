//! Names of the files in an output folder: each stands here and nowhere else.

use std::path::{Path, PathBuf};

/// The run as resolved, with every default.
pub const RUN_FILE: &str = "run.toml";
/// A folder with this file is that of a finished run: it is written last.
pub const SUMMARY: &str = "summary.json";
/// Equal-weight samples of the posterior.
pub const POSTERIOR: &str = "posterior.csv";
/// Equal-weight samples as a chain of XSPEC's.
pub const CHAIN: &str = "posterior.fits";
/// XSPEC's commands that load data and model of the chain.
pub const COMMANDS: &str = "model.xcm";
/// All draws of the refinement with their weights.
pub const WEIGHTED: &str = "weighted.csv";
/// The folded spectrum with the band of its expected counts.
pub const SPECTRUM: &str = "spectrum.csv";
/// The model before the instrument, with its band.
pub const UNFOLDED: &str = "unfolded.csv";
/// Quantiles of the spectra that each round simulated.
pub const COVERAGE: &str = "coverage.csv";
/// The report for people.
pub const REPORT: &str = "report.html";
/// What `rontgen diagnose` found.
pub const DIAGNOSIS: &str = "diagnose.json";
/// The mocks of a diagnosis.
pub const MOCKS: &str = "calibration.csv";
/// Of `rontgen derive`: a row per draw of the posterior, and what there is to say of them.
pub const DERIVED_TABLE: &str = "derived.csv";
/// What `rontgen derive` says of them.
pub const DERIVED: &str = "derived.json";
/// The folder of the pictures.
pub const PLOTS: &str = "plots";
/// In the folder of the pictures: all data sets together, the names without extension.
pub const SPECTRA: &str = "spectra";
/// The same before the instrument.
pub const UNFOLDED_SPECTRA: &str = "unfolded_spectra";
/// The folder of the states that a run goes on from.
pub const CHECKPOINTS: &str = "checkpoints";
/// The folder of the rounds.
pub const ROUNDS: &str = "rounds";
/// In the folder of a round, which also has a [`POSTERIOR`].
pub const LOSSES: &str = "losses.csv";
/// Parameters that a round simulated its spectra at; in the folder of the round.
pub const PROPOSAL: &str = "proposal.csv";
/// Networks of a round; in its folder.
pub const NETWORKS: &str = "network.checkpoint";
/// Of `rontgen apply`, with the samples of each spectrum in a folder.
pub const APPLIED: &str = "apply.json";
/// The table of `rontgen apply`, one line per spectrum.
pub const APPLIED_TABLE: &str = "apply.csv";
/// What is done of an `apply` that has not ended.
pub const APPLIED_SO_FAR: &str = "apply.part";
/// The folder of the samples of `rontgen apply`.
pub const SAMPLES: &str = "samples";
/// Of `rontgen survey`: the growing table, a JSON line per row.
pub const SURVEY_TABLE: &str = "survey.jsonl";
/// Which rows share a network.
pub const SURVEY_PLAN: &str = "plan.json";
/// The folder of the networks that rows share, each a run of its own.
pub const NETWORKS_OF_A_SURVEY: &str = "networks";
/// When rows began and ended, and who computed them.
pub const SURVEY_TIMES: &str = "times.csv";
/// The merged table.
pub const SURVEY_CSV: &str = "survey.csv";
/// The merged table.
pub const SURVEY_FITS: &str = "survey.fits";
/// The page of the table.
pub const SURVEY_PAGE: &str = "survey.html";
/// What all rows say together.
pub const SURVEY_SUMMARY: &str = "survey.json";

/// Everything that a run writes at the top of its folder; `--force` removes these and nothing else.
pub const OF_A_RUN: &[&str] = &[
    RUN_FILE,
    POSTERIOR,
    CHAIN,
    COMMANDS,
    WEIGHTED,
    SPECTRUM,
    COVERAGE,
    UNFOLDED,
    SUMMARY,
    REPORT,
    DIAGNOSIS,
    MOCKS,
    DERIVED_TABLE,
    DERIVED,
];
/// The folders that a run makes in its own.
pub const FOLDERS_OF_A_RUN: &[&str] = &[ROUNDS, PLOTS, CHECKPOINTS];

/// A file's name without its extension: a picture is called as the table that it shows.
pub fn stem(file: &str) -> &str {
    file.split_once('.').map_or(file, |(stem, _)| stem)
}

/// The file of data set `set` (not the first) that goes with `file`: `spectrum-mos1.csv`.
pub fn of_set(file: &str, set: &str) -> String {
    let (stem, extension) = file.split_once('.').unwrap_or((file, ""));
    format!("{stem}-{}.{extension}", set_word(set))
}

/// The file that goes with `file` of a part: `survey.3-of-8.jsonl`.
pub fn of_part(file: &str, part: &str) -> String {
    let (stem, extension) = file.split_once('.').unwrap_or((file, ""));
    format!("{stem}.{part}.{extension}")
}

/// A data set's name as part of a file's name: what is no letter or digit of any script, dot or line becomes a line.
pub fn set_word(set: &str) -> String {
    set.chars().map(|c| if c.is_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect()
}

/// Bytes of a [`set_word`], at most: file systems take 255 for the whole name.
pub const LONGEST_WORD: usize = 160;

/// Whether two names make the same file, also where capital and small letters are alike.
pub fn same_file(a: &str, b: &str) -> bool {
    set_word(a).to_lowercase() == set_word(b).to_lowercase()
}

/// `rounds/NN` of round `round`, counted from 1.
pub fn round_folder(folder: &Path, round: usize) -> PathBuf {
    folder.join(ROUNDS).join(format!("{round:02}"))
}
