//! `survey.fits`: the table as one binary table.

use super::super::ReportError;
use super::super::atomic::write_atomically;
use super::super::cards::{BLOCK, Header, primary};
use super::columns::{Column, Values};
use std::path::Path;

/// Columns that a FITS table has at most.
const MOST_COLUMNS: usize = 999;
/// Characters of a text in the table, at most.
const LONGEST_TEXT: usize = 400;

/// Texts in FITS are ASCII: other letters come as \u{e9}, so that names that differ do so here.
fn ascii(text: &str) -> Vec<u8> {
    let word =
        |c: char| if c.is_ascii() && !c.is_ascii_control() { c.to_string() } else { c.escape_unicode().to_string() };
    text.chars().map(word).collect::<String>().into_bytes().into_iter().take(LONGEST_TEXT).collect()
}

/// Letters, digits and lines: what every program takes for a column's name.
fn label(name: &str, taken: &[String]) -> String {
    let mut word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(56).collect();
    while word.contains("__") {
        word = word.replace("__", "_");
    }
    let word = word.trim_matches('_').to_string();
    let same = |other: &String| other.eq_ignore_ascii_case(&word);
    if !taken.iter().any(same) {
        return word;
    }
    let numbered = (2..).map(|n| format!("{word}_{n}"));
    numbered.into_iter().find(|word| !taken.iter().any(|other| other.eq_ignore_ascii_case(word))).unwrap_or(word)
}

/// Writes the table SURVEY; the comment of each TTYPE is the column's name in the CSV file.
///
/// # Errors
/// [`ReportError::File`] for more than 999 columns, [`ReportError::Io`].
pub fn write_fits(path: &Path, columns: &[Column]) -> Result<(), ReportError> {
    if columns.len() > MOST_COLUMNS {
        let message = format!("{} columns; a FITS table has at most {MOST_COLUMNS}", columns.len());
        return Err(ReportError::file(path, message));
    }
    let rows = columns.first().map_or(0, |column| column.values.len());
    let width = |column: &Column| match &column.values {
        Values::Text(values) => values.iter().map(|text| ascii(text).len()).max().unwrap_or(0).max(1),
        Values::Number(_) | Values::Whole(_) => 8,
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let mut table = Header::default();
    table.text("XTENSION", "BINTABLE", "binary table extension");
    table.integer("BITPIX", 8, "8-bit bytes");
    table.integer("NAXIS", 2, "2-dimensional table");
    table.integer("NAXIS1", widths.iter().sum(), "width of a row in bytes");
    table.integer("NAXIS2", rows, "number of rows");
    table.integer("PCOUNT", 0, "no heap");
    table.integer("GCOUNT", 1, "one data group");
    table.integer("TFIELDS", columns.len(), "number of columns");
    let mut taken: Vec<String> = Vec::new();
    for (i, (column, width)) in columns.iter().zip(&widths).enumerate() {
        let name = label(&column.name, &taken);
        table.text(&format!("TTYPE{}", i + 1), &name, &column.name);
        taken.push(name);
        let form = match &column.values {
            Values::Text(_) => format!("{width}A"),
            Values::Number(_) => "D".into(),
            Values::Whole(_) => "K".into(),
        };
        table.text(&format!("TFORM{}", i + 1), &form, "");
        if !column.unit.is_empty() {
            table.text(&format!("TUNIT{}", i + 1), &column.unit, "");
        }
    }
    table.text("EXTNAME", "SURVEY", "a row per observation");
    table.text("CREATOR", concat!("rontgen ", env!("CARGO_PKG_VERSION")), "");
    write_atomically(path, |w| {
        primary().write(w)?;
        table.write(w)?;
        let mut written = 0;
        for row in 0..rows {
            for (column, width) in columns.iter().zip(&widths) {
                match &column.values {
                    Values::Text(values) => {
                        let mut bytes = ascii(&values[row]);
                        bytes.resize(*width, b' ');
                        w.write_all(&bytes)?;
                    }
                    Values::Number(values) => w.write_all(&values[row].to_be_bytes())?,
                    Values::Whole(values) => w.write_all(&values[row].to_be_bytes())?,
                }
                written += width;
            }
        }
        let used = written % BLOCK;
        if used > 0 { w.write_all(&vec![0; BLOCK - used]) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fits::FitsFile;

    #[test]
    fn the_table_reads_back() {
        let column = |name: &str, values: Values| Column { name: name.into(), unit: String::new(), values };
        let columns = [
            column("name", Values::Text(vec!["a".into(), "Größe, zwei".into()])),
            column("tbabs.nH median", Values::Number(vec![0.1 + 0.2, f64::NAN])),
            column("tbabs nH.median", Values::Number(vec![1e300, -1.5])),
            column("counts", Values::Whole(vec![7, 1 << 40])),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run (2)").join("survey.fits");
        write_fits(&path, &columns).unwrap();
        let file = FitsFile::open(&path).unwrap();
        let hdu = &file.hdus()[1];
        assert_eq!(file.texts(hdu, "name").unwrap(), ["a", r"Gr\u{f6}\u{df}e, zwei"]);
        let values = file.scalars(hdu, "tbabs_nH_median").unwrap();
        assert!(values[0] == 0.1 + 0.2 && values[1].is_nan());
        assert_eq!(file.scalars(hdu, "tbabs_nH_median_2").unwrap(), [1e300, -1.5]);
        assert_eq!(file.scalars(hdu, "counts").unwrap(), [7.0, (1u64 << 40) as f64]);
        assert_eq!(std::fs::metadata(&path).unwrap().len() % BLOCK as u64, 0);
        let many: Vec<Column> = (0..1000).map(|i| column(&i.to_string(), Values::Whole(vec![1]))).collect();
        assert!(write_fits(&path, &many).unwrap_err().to_string().contains("999"));
    }
}
