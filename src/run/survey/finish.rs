//! The table of a survey for people and programs: CSV, FITS, pages, and `survey.json` last.

use crate::Result;
use crate::report::{Document, folder, survey, write_atomically};
use crate::result::{SurveyRow, SurveySummary};
use std::path::Path;

/// Writes the merged table; `rows` in the order of the list.
///
/// # Errors
/// Those of the files.
pub(super) fn write(out: &Path, rows: &[SurveyRow], summary: &SurveySummary) -> Result<()> {
    let columns = survey::columns(rows);
    survey::write_csv(&out.join(folder::SURVEY_CSV), &columns)?;
    survey::write_fits(&out.join(folder::SURVEY_FITS), &columns)?;
    for number in 1..=survey::pages(rows) {
        let text = survey::page(rows, summary, number);
        write_atomically(&out.join(survey::file_of_page(number)), |w| w.write_all(text.as_bytes()))?;
    }
    summary.write(&out.join(folder::SURVEY_SUMMARY))?;
    Ok(())
}
