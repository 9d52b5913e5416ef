//! A finished run for ArviZ: netCDF-4 with a group for each of ArviZ's kinds of data, the content of the Python package's `to_arviz()`.
//!
//! | group | dimensions | holds |
//! |---|---|---|
//! | `posterior` | chain, draw | a variable for each parameter: equal-weight draws in its unit |
//! | `sample_stats` | chain, draw | `log_likelihood`, `log_prior` and their sum `lp` |
//! | `log_likelihood` | chain, draw, `bin SET` | a variable for each data set: -1/2 of the statistic of each bin |
//! | `prior` | chain, draw | draws from the prior |
//! | `observed_data` | `bin SET` | the data of each data set |
//! | `constant_data` | `bin SET` | energies, exposure and background of each data set |
//!
//! A data set that is called like a dimension (`chain`, `draw`, `bin SET`) has a line behind the name of its variables (`chain_`).
//!
//! There is one chain: the draws are independent.

use crate::analysis::{Likelihood, Problem};
use crate::device::Device;
use crate::observation::Bin;
use crate::result::{Samples, Summary};
use crate::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use netcdf_writer::{DimensionId, NcAttrValue, NcFileBuilder, NcWriteFormat, NcWriteOptions};
use std::collections::HashSet;

/// Log-likelihoods that a file holds where nobody says how many draws: 200 MB.
const MOST: usize = 25_000_000;
/// Draws from the prior.
const PRIOR_DRAWS: usize = 2000;

/// A file in memory.
pub struct File {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What there is to say of it.
    pub warnings: Vec<String>,
}

/// Makes the file of a run: the first `draws` of its equal-weight draws, which are as good as any; all by default, but no more than 25 million
/// log-likelihoods hold.
///
/// # Errors
/// Draws of other parameters than the problem's, or fewer of them than asked for; device failures.
pub fn file(
    problem: &Problem,
    summary: &Summary,
    posterior: &Samples,
    draws: Option<usize>,
    device: &Device,
) -> Result<File> {
    let names = problem.names();
    if posterior.names != names {
        let found = posterior.names.join(", ");
        return Err(Error::Input(format!("posterior.csv holds {found}; expected {}", names.join(", "))));
    }
    let (there, mut warnings) = (posterior.len(), Vec::new());
    let n = match draws {
        Some(n) if !(1..=there).contains(&n) => {
            let text = format!("draws is {n}; expected a whole number from 1 to {there}, the draws that there are");
            return Err(Error::Input(text));
        }
        Some(n) => n,
        None if there * problem.observations.bins() > MOST => {
            let n = (MOST / problem.observations.bins()).max(1);
            let text =
                format!("the log-likelihoods of all {there} draws are too many: the file has those of the first {n}");
            warnings.push(format!("{text}; --draws N takes as many as you say"));
            n
        }
        None => there,
    };
    let theta = ArrayView2::from_shape((there, names.len()), &posterior.values).map_err(|_| {
        Error::Input(format!("posterior.csv: {} numbers are no rows of {}", posterior.values.len(), names.len()))
    })?;
    let theta = theta.slice(s![..n, ..]);
    let likelihood = Likelihood::new(problem, device)?;
    let numbers = Numbers {
        problem,
        summary,
        theta,
        ln_likelihood: likelihood.ln_likelihood_of_bins(theta)?,
        ln_prior: likelihood.ln_prior(theta)?,
        prior: likelihood.prior(PRIOR_DRAWS, summary.seed, 0)?,
    };
    let unwritable = |error: netcdf_writer::Error| Error::Input(format!("netCDF cannot hold this run: {error}"));
    Ok(File { bytes: numbers.packed().map_err(unwritable)?, warnings })
}

/// What a file holds.
struct Numbers<'a> {
    problem: &'a Problem,
    summary: &'a Summary,
    theta: ArrayView2<'a, f64>,
    ln_likelihood: Array2<f64>,
    ln_prior: Array1<f64>,
    prior: Array2<f64>,
}

/// What the file as a whole and its posterior say of themselves.
fn attributes(summary: &Summary) -> Vec<(&'static str, NcAttrValue)> {
    let text = |value: &str| NcAttrValue::Chars(value.into());
    let number = |value: f64| NcAttrValue::Doubles(vec![value]);
    let mut all = vec![
        ("inference_library", text("rontgen")),
        ("inference_library_version", text(env!("CARGO_PKG_VERSION"))),
        ("verdict", text(summary.verdict.status.as_str())),
        ("log_evidence", number(summary.refine.log_z)),
        ("log_evidence_error", number(summary.refine.log_z_err)),
        ("effective_sample_size", number(summary.refine.ess)),
        ("method", text(&summary.refine.method)),
        ("seed", NcAttrValue::UInt64s(vec![summary.seed])),
    ];
    let reasons = summary.verdict.all_reasons();
    all.extend((!reasons.is_empty()).then(|| ("verdict_reasons", text(&reasons))));
    all
}

type Written<T = ()> = netcdf_writer::Result<T>;

impl Numbers<'_> {
    fn packed(&self) -> Written<Vec<u8>> {
        let mut builder = NcFileBuilder::new();
        for (name, value) in attributes(self.summary) {
            builder.add_attribute(name, value.clone())?;
            builder.add_group_attribute("posterior", name, value)?;
        }
        self.draws(&mut builder, "posterior", self.theta)?;
        self.of_draws(&mut builder)?;
        self.of_bins(&mut builder)?;
        self.draws(&mut builder, "prior", self.prior.view())?;
        self.observed(&mut builder)?;
        Ok(builder.to_vec(NcWriteOptions { format: NcWriteFormat::Nc4 })?.1)
    }

    /// A group of draws with a variable for each parameter.
    fn draws(&self, builder: &mut NcFileBuilder, name: &'static str, theta: ArrayView2<'_, f64>) -> Written {
        let mut group = Group { builder, name };
        let sampled = group.sampled(theta.nrows())?;
        for ((name, own), column) in self.summary.parameters.iter().zip(theta.columns()) {
            group.variable(name, &sampled, &column.to_vec(), &own.unit)?;
        }
        Ok(())
    }

    fn of_draws(&self, builder: &mut NcFileBuilder) -> Written {
        let (ln_likelihood, ln_prior) = (&self.ln_likelihood.sum_axis(Axis(1)), &self.ln_prior);
        let mut group = Group { builder, name: "sample_stats" };
        let sampled = group.sampled(self.theta.nrows())?;
        group.variable("log_likelihood", &sampled, &ln_likelihood.to_vec(), "")?;
        group.variable("log_prior", &sampled, &ln_prior.to_vec(), "")?;
        group.variable("lp", &sampled, &(ln_likelihood + ln_prior).to_vec(), "")
    }

    fn of_bins(&self, builder: &mut NcFileBuilder) -> Written {
        let mut group = Group { builder, name: "log_likelihood" };
        let convention = "-1/2 of the fit statistic of each bin (-C-STAT/2 for Poisson counts)";
        group.attribute("convention", NcAttrValue::Chars(convention.into()))?;
        group.attribute("log_saturated", NcAttrValue::Doubles(vec![self.problem.ln_saturated()]))?;
        let [chain, draw] = group.sampled(self.theta.nrows())?;
        for ((data, columns), name) in self.problem.observations.iter().zip(self.variables()) {
            let bins = group.dimension(&bin_of(&data.name), columns.len())?;
            let own: Vec<f64> = self.ln_likelihood.slice(s![.., columns]).iter().copied().collect();
            group.variable(&name, &[chain, draw, bins], &own, "")?;
        }
        Ok(())
    }

    /// What the variables of the data sets are called.
    fn variables(&self) -> Vec<String> {
        let names: Vec<&str> = self.problem.observations.iter().map(|(data, _)| data.name.as_str()).collect();
        variables(&names)
    }

    fn observed(&self, builder: &mut NcFileBuilder) -> Written {
        let observed = self.problem.observed_data();
        let mut group = Group { builder, name: "observed_data" };
        for ((data, columns), name) in self.problem.observations.iter().zip(self.variables()) {
            let bins = group.dimension(&bin_of(&data.name), columns.len())?;
            group.variable(&name, &[bins], &observed[columns], "")?;
        }
        group.name = "constant_data";
        for ((data, columns), name) in self.problem.observations.iter().zip(self.variables()) {
            let bins = group.dimension(&bin_of(&data.name), columns.len())?;
            let edges = |of: fn(&Bin) -> f64| data.bins.iter().map(of).collect::<Vec<f64>>();
            group.variable(&format!("{name} e_min"), &[bins], &edges(|bin| bin.e_min), "keV")?;
            group.variable(&format!("{name} e_max"), &[bins], &edges(|bin| bin.e_max), "keV")?;
            group.variable(&format!("{name} exposure"), &[], &[data.exposure], "s")?;
            if let Some(background) = &data.background {
                group.variable(&format!("{name} background"), &[bins], &background.counts, "")?;
            }
        }
        Ok(())
    }
}

/// ArviZ goes by one variable for each data set; names of dimensions are the file's.
fn bin_of(set: &str) -> String {
    format!("bin {set}")
}

/// What a data set has in the group of constants, after its name.
const CONSTANTS: [&str; 4] = [" e_min", " e_max", " exposure", " background"];

/// Names of the data sets' variables: their own, with lines behind those that are a dimension's here or another variable's.
fn variables(sets: &[&str]) -> Vec<String> {
    let path = |name: &str| name.replace('/', "_");
    let mut taken: HashSet<String> = sets.iter().map(|set| path(&bin_of(set))).collect();
    taken.extend(["chain", "draw"].map(String::from));
    let mut all = Vec::with_capacity(sets.len());
    for set in sets {
        let mut name = path(set);
        let of = |name: &str| [""].iter().chain(&CONSTANTS).map(|end| format!("{name}{end}")).collect::<Vec<_>>();
        while of(&name).iter().any(|one| taken.contains(one)) {
            name.push('_');
        }
        taken.extend(of(&name));
        all.push(name);
    }
    all
}

struct Group<'a> {
    builder: &'a mut NcFileBuilder,
    name: &'static str,
}

impl Group<'_> {
    /// A name in this group. NetCDF keeps the slash for groups.
    fn path(&self, name: &str) -> String {
        format!("{}/{}", self.name, name.replace('/', "_"))
    }

    fn attribute(&mut self, name: &str, value: NcAttrValue) -> Written {
        self.builder.add_group_attribute(self.name, name, value)
    }

    /// A dimension with its coordinate, which counts from 0.
    fn dimension(&mut self, name: &str, size: usize) -> Written<DimensionId> {
        let dimension = self.builder.add_dimension_path(self.path(name), size as u64)?;
        let variable = self.builder.add_variable_path::<i64>(self.path(name), &[dimension])?;
        self.builder.write_variable(variable, &(0..size as i64).collect::<Vec<_>>())?;
        Ok(dimension)
    }

    fn sampled(&mut self, draws: usize) -> Written<[DimensionId; 2]> {
        Ok([self.dimension("chain", 1)?, self.dimension("draw", draws)?])
    }

    fn variable(&mut self, name: &str, over: &[DimensionId], values: &[f64], unit: &str) -> Written {
        let variable = self.builder.add_variable_path::<f64>(self.path(name), over)?;
        if !unit.is_empty() {
            self.builder.add_variable_attribute(variable, "units", NcAttrValue::Chars(unit.into()))?;
        }
        self.builder.write_variable(variable, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_called_like_no_dimension() {
        assert_eq!(variables(&["pn", "mos 1"]), ["pn", "mos 1"]);
        assert_eq!(variables(&["chain", "chain_", "draw"]), ["chain_", "chain__", "draw_"]);
        assert_eq!(variables(&["a", "bin a", "a e_min", "bin a e_min"]), ["a", "bin a_", "a e_min_", "bin a e_min_"]);
        assert_eq!(variables(&["a/b"]), ["a_b"]);
    }
}
