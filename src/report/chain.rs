//! `posterior.fits`: the posterior as a chain file that XSPEC's `chain load` reads.
//!
//! XSPEC finds its parameters in the columns' NAMES: `PhoIndex__4` is the fourth parameter of the loaded model, counted over all
//! its parameters, frozen ones included. The last column, FIT_STATISTIC, is the statistic that XSPEC minimises: C-STAT itself,
//! not the log-likelihood. The binary table is called CHAIN, all columns are doubles; TEMPR001 (temperature 1) from row STROW001
//! (the first) on. No CHAINTYP or NWALKERS: the draws are independent and have no walkers, and XSPEC reads chains without them
//! (BXA's chain files have the same keywords). `chain load posterior.fits` needs the same model loaded first, with the same free
//! parameters; `chain burn` and `chain rand` are of no use here, since every row is an independent draw of equal weight.
//!
//! Several data sets are as many data groups: parameter i of data group g has the number i + (g - 1) n, as in `model.xcm` beside the
//! chain, which loads what the chain goes with.
//!
//! Behind CHAIN stands the table NEST with the weighted draws that the chain's rows were chosen from: the same columns for parameters,
//! WEIGHT and LOG_LIKELIHOOD. How XSPEC 13 itself lays out what it calls so is not published; programs go by the columns' names.
//!
//! The file is regular, so it is written here card by card rather than through cfitsio, whose file names have a syntax
//! of their own in which a folder called `run (2)` is not a name.

use std::io::Write;
use std::path::Path;

use super::ReportError;
use super::atomic::write_atomically;
use super::cards::{BLOCK, Header, primary};
use crate::model::instrument;
use crate::result::WeightedSamples;

/// A column of the chain: the full name of the parameter (`tbabs.nH`) and its number in XSPEC's list, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainColumn {
    /// Full name of the parameter.
    pub name: String,
    /// Number of the parameter in XSPEC's list, from 1.
    pub number: u32,
    /// Unit; empty for none.
    pub unit: String,
}

impl ChainColumn {
    /// `nH__1`: the parameter's own name, two underscores, its number; of a named model `norm__nxb__3`, and of the gain of a response `offset__1r__2`,
    /// as XSPEC's own chains have them (source 1, response parameter 2).
    pub fn label(&self) -> String {
        let own = own_name(&self.name).unwrap_or(&self.name);
        let own: String =
            own.chars().map(|c| if c.is_ascii_graphic() && c != '\'' { c } else { '_' }).take(50).collect();
        match self.model() {
            "" => format!("{own}__{}", self.number),
            model => format!("{own}__{model}__{}", self.number),
        }
    }

    /// The named model that the parameter belongs to, which numbers its own; XSPEC's word for the response of source 1, or the area; empty for the
    /// model of the source.
    fn model(&self) -> &str {
        if instrument::names(&self.name) {
            return if self.name.to_lowercase().starts_with("gain") { "1r" } else { "area" };
        }
        self.name.split_once(':').map_or("", |(model, _)| model)
    }
}

/// A parameter's name without its component and its data set: `norm` of `powerlaw.norm@mos1`.
pub(super) fn own_name(name: &str) -> Option<&str> {
    Some(name.split('@').next()?.rsplit_once('.')?.1)
}

/// Writes the chain: `values` is row-major (samples x columns), `cstat` one value per sample.
///
/// # Errors
/// [`ReportError::File`] when lengths do not belong together, a number is 0 or twice there, or there are more than 998 columns;
/// [`ReportError::Io`].
pub fn write_chain(path: &Path, columns: &[ChainColumn], values: &[f64], cstat: &[f64]) -> Result<(), ReportError> {
    write_chain_and_draws(path, columns, values, cstat, None)
}

/// Writes the chain, and beside it the weighted draws that it was chosen from: table NEST with the columns of the parameters, then WEIGHT (they add up
/// to one) and LOG_LIKELIHOOD (-S/2). Draws without weight are left out.
///
/// # Errors
/// As [`write_chain`], and draws whose lengths do not belong together.
pub fn write_chain_and_draws(
    path: &Path,
    columns: &[ChainColumn],
    values: &[f64],
    cstat: &[f64],
    draws: Option<&WeightedSamples>,
) -> Result<(), ReportError> {
    let p = columns.len();
    if p == 0 || p > 998 || values.len() != p * cstat.len() {
        let message =
            format!("{p} columns, {} values and {} statistics do not make a chain", values.len(), cstat.len());
        return Err(ReportError::file(path, message));
    }
    for (i, column) in columns.iter().enumerate() {
        if column.number == 0
            || columns.iter().take(i).any(|c| (c.model(), c.number) == (column.model(), column.number))
        {
            let message =
                format!("parameter {} has number {}; expected XSPEC's, from 1, each once", column.name, column.number);
            return Err(ReportError::file(path, message));
        }
    }
    let draws = draws.map(|draws| Draws::new(path, p, draws)).transpose()?;
    let mut table = table_header(columns, &[("FIT_STATISTIC", "the statistic, -2 ln L")], cstat.len());
    table.text("EXTNAME", "CHAIN", "chain of an XSPEC model");
    table.text("HDUCLASS", "OGIP", "");
    table.text("HDUCLAS1", "CHAIN", "");
    table.real("TEMPR001", 1.0, "temperature");
    table.integer("STROW001", 1, "first row of that temperature");
    table.text("CREATOR", concat!("rontgen ", env!("CARGO_PKG_VERSION")), "");

    write_atomically(path, |w| {
        primary().write(w)?;
        table.write(w)?;
        let rows = values.chunks_exact(p).zip(cstat);
        write_rows(w, rows.map(|(row, statistic)| row.iter().copied().chain([*statistic])))?;
        let Some(draws) = draws else { return Ok(()) };
        let own = [("WEIGHT", "they add up to one"), ("LOG_LIKELIHOOD", "-S/2 of the statistic S")];
        let mut table = table_header(columns, &own, draws.rows.len());
        table.text("EXTNAME", "NEST", "weighted draws behind CHAIN");
        table.text("CREATOR", concat!("rontgen ", env!("CARGO_PKG_VERSION")), "");
        table.write(w)?;
        let of = draws.of;
        let rows = draws.rows.iter().filter_map(|&row| {
            let theta = of.samples.values.get(row * p..(row + 1) * p)?;
            let own = [of.weight.get(row)? / draws.total, *of.log_likelihood.get(row)?];
            Some(theta.iter().copied().chain(own))
        });
        write_rows(w, rows)
    })
}

/// The draws that have a weight.
struct Draws<'a> {
    of: &'a WeightedSamples,
    rows: Vec<usize>,
    /// Sum of the weights.
    total: f64,
}

impl<'a> Draws<'a> {
    fn new(path: &Path, p: usize, of: &'a WeightedSamples) -> Result<Self, ReportError> {
        let n = of.weight.len();
        if of.samples.values.len() != n * p || of.log_likelihood.len() != n {
            let (values, likelihoods) = (of.samples.values.len(), of.log_likelihood.len());
            let message = format!("{n} weights, {values} values and {likelihoods} likelihoods of {p} parameters");
            return Err(ReportError::file(path, message));
        }
        let counts = |row: &usize| of.weight[*row] > 0.0 && of.log_likelihood[*row].is_finite();
        let rows: Vec<usize> = (0..n).filter(counts).collect();
        let total = rows.iter().map(|&row| of.weight[row]).sum();
        Ok(Draws { of, rows, total })
    }
}

/// The header of a table of doubles: the parameters, then `more` (name, comment).
fn table_header(columns: &[ChainColumn], more: &[(&str, &str)], rows: usize) -> Header {
    let p = columns.len();
    let mut table = Header::default();
    table.text("XTENSION", "BINTABLE", "binary table extension");
    table.integer("BITPIX", 8, "8-bit bytes");
    table.integer("NAXIS", 2, "2-dimensional table");
    table.integer("NAXIS1", 8 * (p + more.len()), "width of a row in bytes");
    table.integer("NAXIS2", rows, "number of rows");
    table.integer("PCOUNT", 0, "no heap");
    table.integer("GCOUNT", 1, "one data group");
    table.integer("TFIELDS", p + more.len(), "number of columns");
    for (i, column) in columns.iter().enumerate() {
        table.text(&format!("TTYPE{}", i + 1), &column.label(), &column.name);
        table.text(&format!("TFORM{}", i + 1), "D", "");
        if !column.unit.is_empty() {
            table.text(&format!("TUNIT{}", i + 1), &column.unit, "");
        }
    }
    for (i, (name, comment)) in more.iter().enumerate() {
        table.text(&format!("TTYPE{}", p + i + 1), name, comment);
        table.text(&format!("TFORM{}", p + i + 1), "D", "");
    }
    table
}

/// Writes rows of doubles, filled up to a block.
fn write_rows<R: Iterator<Item = f64>>(w: &mut dyn Write, rows: impl Iterator<Item = R>) -> std::io::Result<()> {
    let mut written = 0;
    for row in rows {
        for value in row {
            w.write_all(&value.to_be_bytes())?;
            written += 8;
        }
    }
    let used = written % BLOCK;
    if used > 0 { w.write_all(&vec![0; BLOCK - used]) } else { Ok(()) }
}
