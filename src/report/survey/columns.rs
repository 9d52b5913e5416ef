//! The columns of a survey's table, the same for CSV and FITS.

use super::super::tables::safe_field;
use crate::result::{Limit, Side, SurveyResult, SurveyRow};

/// What a column holds, a value per row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Words.
    Text(Vec<String>),
    /// Numbers; NaN where there is none.
    Number(Vec<f64>),
    /// Whole numbers.
    Whole(Vec<u64>),
}

impl Values {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Values::Text(values) => values.len(),
            Values::Number(values) => values.len(),
            Values::Whole(values) => values.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A value as CSV has it.
    pub(super) fn text(&self, row: usize) -> String {
        match self {
            Values::Text(values) => values.get(row).map_or(String::new(), |text| safe_field(text)),
            Values::Number(values) => values.get(row).map_or(String::new(), |x| format!("{x:?}")),
            Values::Whole(values) => values.get(row).map_or(String::new(), u64::to_string),
        }
    }
}

/// A column of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Unit; empty for none.
    pub unit: String,
    /// A value per row.
    pub values: Values,
}

/// A limit in one number: a lower one is marked by its column.
fn limit(limit: Option<Limit>, side: Side) -> f64 {
    limit.filter(|limit| limit.side == side).map_or(f64::NAN, |limit| limit.value)
}

/// Something that every row may have under a name of its own: where it first stands gives its place and its unit.
fn names<'a>(rows: &'a [SurveyRow], of: impl Fn(&'a SurveyResult) -> Vec<(&'a str, &'a str)>) -> Vec<(String, String)> {
    let mut seen = std::collections::HashSet::new();
    let mut found: Vec<(String, String)> = Vec::new();
    for result in rows.iter().filter_map(|row| row.result.as_ref()) {
        for (name, unit) in of(result) {
            if seen.insert(name) {
                found.push((name.into(), unit.into()));
            }
        }
    }
    found
}

/// A number of a posterior: median, mean, deviation, quantiles, limits at 90 %.
type Numbers = [f64; 9];
const NUMBERS: [&str; 9] = ["median", "mean", "std", "q05", "q16", "q84", "q95", "upper", "lower"];

/// The table's columns. Parameters and derived quantities that a row lacks are NaN there; columns of limits are there where any row has one.
pub fn columns(rows: &[SurveyRow]) -> Vec<Column> {
    let mut all: Vec<Column> = Vec::new();
    let mut put = |name: &str, unit: &str, values: Values| {
        all.push(Column { name: name.into(), unit: unit.into(), values });
    };
    let text = |of: &dyn Fn(&SurveyRow) -> String| Values::Text(rows.iter().map(of).collect());
    let whole = |of: &dyn Fn(&SurveyRow) -> u64| Values::Whole(rows.iter().map(of).collect());
    let number = |of: &dyn Fn(&SurveyResult) -> f64| {
        Values::Number(rows.iter().map(|row| row.result.as_ref().map_or(f64::NAN, of)).collect())
    };
    put("name", "", text(&|row| row.name.clone()));
    put("row", "", whole(&|row| row.row as u64));
    put("spectrum", "", text(&|row| row.spectrum.clone()));
    put("way", "", text(&|row| row.way.clone()));
    put("verdict", "", text(&|row| row.verdict().as_str().into()));
    let light = |of: &'static dyn Fn(&SurveyResult) -> &'static str| {
        text(&move |row: &SurveyRow| row.result.as_ref().map_or("none", of).into())
    };
    put("sampling", "", light(&|result| result.verdict.sampling.status.as_str()));
    put("model", "", light(&|result| result.verdict.model.status.as_str()));
    put("exposure", "s", Values::Number(rows.iter().map(|row| row.exposure).collect()));
    put("counts", "", whole(&|row| row.counts));
    put("bins", "", whole(&|row| row.bins as u64));
    let mut given: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.fixed) {
        if !given.contains(&name.as_str()) {
            given.push(name);
        }
    }
    for name in given {
        let value =
            |row: &SurveyRow| row.fixed.iter().find(|(own, _)| own == name).map_or(f64::NAN, |(_, value)| *value);
        put(name, "", Values::Number(rows.iter().map(value).collect()));
    }
    let parameters = names(rows, |r| r.parameters.iter().map(|(name, p)| (name.as_str(), p.unit.as_str())).collect());
    let derived = names(rows, |r| r.derived.iter().map(|(name, q)| (name.as_str(), q.unit.as_str())).collect());
    let of_parameter = |result: &SurveyResult, name: &str| -> Option<Numbers> {
        let (_, p) = result.parameters.iter().find(|(own, _)| own == name)?;
        let limits = [limit(p.limit, Side::Upper), limit(p.limit, Side::Lower)];
        Some([p.median, p.mean, p.std, p.q05, p.q16, p.q84, p.q95, limits[0], limits[1]])
    };
    let of_derived = |result: &SurveyResult, name: &str| -> Option<Numbers> {
        let (_, q) = result.derived.iter().find(|(own, _)| own == name)?;
        let limits = [limit(q.limit, Side::Upper), limit(q.limit, Side::Lower)];
        Some([q.median, q.mean, q.std, q.q05, q.q16, q.q84, q.q95, limits[0], limits[1]])
    };
    let mut quantity = |(name, unit): &(String, String), of: &dyn Fn(&SurveyResult, &str) -> Option<Numbers>| {
        let numbers: Vec<Numbers> = rows
            .iter()
            .map(|row| row.result.as_ref().and_then(|result| of(result, name)).unwrap_or([f64::NAN; 9]))
            .collect();
        for (k, word) in NUMBERS.iter().enumerate() {
            let values: Vec<f64> = numbers.iter().map(|row| row[k]).collect();
            if k < 7 || values.iter().any(|x| !x.is_nan()) {
                put(&format!("{name} {word}"), unit, Values::Number(values));
            }
        }
    };
    parameters.iter().for_each(|one| quantity(one, &of_parameter));
    derived.iter().for_each(|one| quantity(one, &of_derived));
    put("cstat", "", number(&|r| r.cstat.best));
    put("cstat_expected", "", number(&|r| r.cstat.expected));
    put("cstat_std", "", number(&|r| r.cstat.expected_std));
    put("log_z", "", number(&|r| r.log_z));
    put("log_z_err", "", number(&|r| r.log_z_err));
    put("log_z_poisson", "", number(&|r| r.log_z_poisson));
    put("ess", "", number(&|r| r.ess));
    put("pareto_k", "", number(&|r| r.pareto_k));
    put("likelihoods", "", whole(&|row| row.result.as_ref().map_or(0, |result| result.likelihoods)));
    put("remarks", "", text(&|row| row.remarks().join("; ")));
    all
}
