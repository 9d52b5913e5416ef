//! What is told of a file's errors holds for some statistics alone, and a file is read before anybody has chosen one.

/// Of systematic errors of counts.
pub(super) const ONLY_CHI_SQUARE: &str =
    "SYS_ERR (fractional systematic errors): statistics of counts have none; statistic = \"chi2\" adds them";

/// Of errors beside counts.
pub(super) const ERRORS_OF_COUNTS: &str = "POISSERR = F: statistics of counts take the counts to be Poisson and need no errors; statistic = \"chi2\" takes \
     those of STAT_ERR";

/// Of systematic errors in the table of a grating's spectrum with its backgrounds.
pub(super) const NONE_OF_THE_SIDES: &str =
    "SYS_ERR is of COUNTS: statistic = \"chi2\" adds none to the counts of BACKGROUND_UP and BACKGROUND_DOWN";

/// Returns whether a remark on a file concerns an analysis: by chi-square, or by a statistic of counts.
pub fn concerns(remark: &str, chi_square: bool) -> bool {
    let others: &[&str] = if chi_square { &[ONLY_CHI_SQUARE, ERRORS_OF_COUNTS] } else { &[NONE_OF_THE_SIDES] };
    !others.iter().any(|other| remark.contains(other))
}
