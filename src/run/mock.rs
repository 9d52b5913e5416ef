//! Mock spectra of a run's data sets, with their backgrounds: what `rontgen fake` writes.
//!
//! A Poisson background is drawn from the smoothed observed one (or from the named models that describe it), and the same expectation, scaled,
//! is part of what the source's counts are drawn from. Never from the observed background counts: their noise would be in every mock, twice over.

use std::path::{Path, PathBuf};

use rand::SeedableRng;

use super::run_file::{FileChoice, NamedModel, Part, RunFile};
use super::setup::{self, Models};
use crate::analysis::problem::background_name;
use crate::analysis::{Problem, StatisticChoice};
use crate::device::Device;
use crate::kernels::poisson;
use crate::numerics::matrix;
use crate::observation::{self, Background, Dataset, Grouping, ObservationSpec, Response, Spectrum, grouping};
use crate::{Error, Result};

/// Stream of random numbers that no stage of a run uses; the spectra of a run take it and those after it.
const STREAM: u32 = 0x6661_6b65;
/// QUALITY of channels that the observed spectrum does not use.
const BAD: i32 = 5;

/// A mock spectrum.
#[derive(Debug, Clone)]
pub struct Mock {
    /// Name of the data set, where the run has several or says it.
    pub name: Option<String>,
    /// Number of the first channel.
    pub first_channel: i64,
    /// Counts of every channel.
    pub counts: Vec<u32>,
    /// OGIP flags.
    pub grouping: Option<Vec<i32>>,
    /// OGIP flags; `None`: every channel is good.
    pub quality: Option<Vec<i32>>,
    /// Exposure \[s\].
    pub exposure: f64,
    /// BACKSCAL: of every channel, or one for all.
    pub backscal: Vec<f64>,
    /// AREASCAL, likewise.
    pub areascal: Vec<f64>,
    /// File of the response.
    pub response: PathBuf,
    /// File of the area, where one is named.
    pub area: Option<PathBuf>,
    /// Its background spectrum.
    pub background: Option<MockBackground>,
}

/// The background spectrum of a mock; its channels are the mock's.
#[derive(Debug, Clone)]
pub struct MockBackground {
    /// Counts of every channel, whole numbers unless there are errors.
    pub counts: Vec<f64>,
    /// Their standard deviations, where they are Gaussian.
    pub errors: Option<Vec<f64>>,
    /// Exposure \[s\].
    pub exposure: f64,
    /// BACKSCAL: of every channel, or one for all.
    pub backscal: Vec<f64>,
    /// AREASCAL, likewise: the observed background's.
    pub areascal: Vec<f64>,
    /// Background counts expected in the source's spectrum.
    pub scaled: f64,
}

/// A run whose mocks can be drawn.
pub struct Mocks {
    run: RunFile,
    data: Option<PathBuf>,
    models: Models,
}

/// A data set without counts.
struct Template {
    /// Exposure that is asked for \[s\].
    exposure: f64,
    response: Response,
    area: Option<PathBuf>,
    /// What was observed, where there is a background.
    observed: Option<Spectrum>,
}

impl Mocks {
    /// Reads the models of a run; its spectra need not exist.
    ///
    /// # Errors
    /// Mistakes in the models or their parameters; the built-in instrument, which has no response file.
    pub fn open(run: &RunFile, data: Option<&Path>) -> Result<Mocks> {
        let mut run = run.clone();
        run.name_rows(data)?;
        let models = setup::models(&run, data, &[])?;
        Ok(Mocks { run, data: data.map(Path::to_path_buf), models })
    }

    /// Names of the free parameters.
    pub fn names(&self) -> Vec<String> {
        let first = self.models.sets.first();
        first.map(|(_, parameters)| parameters.free().iter().map(|p| p.name.clone()).collect()).unwrap_or_default()
    }

    /// Names of the data sets; `None` for the one that says none.
    pub fn sets(&self) -> Vec<Option<String>> {
        self.run.set_names()
    }

    /// Draws a mock of every data set for the free parameters `theta` and exposures \[s\], one for each. With what is odd about the files.
    ///
    /// # Errors
    /// Responses and backgrounds that are not found or cannot be used, a background where nothing was observed, and expected counts that
    /// cannot be drawn from.
    pub fn draw(self, theta: &[f64], exposures: &[f64]) -> Result<(Vec<Mock>, Vec<String>)> {
        let Mocks { mut run, data, models } = self;
        let data = data.as_deref();
        let asked = run.clone();
        let (mut templates, mut datasets) = (Vec::new(), Vec::new());
        let mut warnings: Vec<String> = Vec::new();
        for (k, &exposure) in exposures.iter().enumerate() {
            let own = asked.of_set(k);
            let name = asked.set_names()[k].clone();
            let (response, area) = setup::response(&own, data)?;
            counted(&own, data)?;
            let spec = observed_with_background(&own, data, modelled(&asked, name.as_deref()))?;
            let (dataset, observed) = match spec {
                None => (response.unobserved(exposure)?, None),
                Some(spec) => (observation::load(&spec)?, Some(observation::read_spectrum(&spec.spectrum)?)),
            };
            let told = if observed.is_some() { &dataset.warnings } else { &response.warnings };
            let of_set = |text: &String| name.as_ref().map_or(text.clone(), |name| format!("{name}: {text}"));
            warnings.extend(told.iter().map(of_set));
            templates.push(Template { exposure, response, area, observed });
            datasets.push(dataset);
        }
        // Nothing is compared: counts are drawn, whatever the statistic.
        for one in std::iter::once(&mut run.observation).chain(&mut run.further) {
            one.statistic.choice = StatisticChoice::Cstat;
            one.statistic.systematic = 0.0;
        }
        let problem = setup::state(&run, data, models, datasets)?;
        for added in problem.added().iter().filter(|added| !added.spec.model.in_channels().is_empty()) {
            let (set, exposure) = (&problem.observations.sets()[added.spec.set], exposures.get(added.spec.set));
            if let Some(&exposure) = exposure.filter(|asked| (*asked / set.exposure - 1.0).abs() > 1e-3) {
                return Err(Error::Input(format!(
                    "{}, [models.{}]: pca{{FILE}} gives the counts of the observed background, for {} s of '{}'; expected this exposure for its mock, found {exposure} s",
                    run.path, added.spec.name, set.exposure, set.name
                )));
            }
        }
        let expected = problem.expected_exactly(std::slice::from_ref(&theta.to_vec()));
        let expected = expected.into_iter().next().unwrap_or_default();
        let names = asked.set_names();
        let mocks = templates.iter().enumerate().map(|(k, template)| {
            template.draw(k, names[k].clone(), &asked.of_set(k), &problem, &expected).map_err(|error| {
                match (&names[k], error) {
                    (Some(name), Error::Input(text)) => Error::Input(format!("data set '{name}': {text}")),
                    (_, error) => error,
                }
            })
        });
        Ok((mocks.collect::<Result<_>>()?, warnings))
    }
}

/// Refuses to draw counts where the observed numbers are none.
fn counted(run: &RunFile, data: Option<&Path>) -> Result<()> {
    let Ok(path) = run.find_file("spectrum", &run.observation.spectrum, data) else { return Ok(()) };
    match observation::read_spectrum(&path) {
        Ok(spectrum) if !spectrum.is_poisson() => Err(Error::Input(format!(
            "{}: its numbers are no counts but have Gaussian errors (chi2); mocks are drawn as counts: name a spectrum of counts, or one that is \
             not there yet (rontgen simulate draws such data)",
            path.display()
        ))),
        // One that cannot be read is no reason: a mock takes its place.
        _ => Ok(()),
    }
}

/// The named model that describes the background spectrum of a data set.
fn modelled<'r>(run: &'r RunFile, set: Option<&str>) -> Option<&'r NamedModel> {
    let name = set.unwrap_or("1");
    let holds = |one: &&NamedModel| one.data.is_empty() || one.data.iter().any(|own| own.eq_ignore_ascii_case(name));
    run.models.iter().filter(|one| one.part == Part::Background).find(holds)
}

/// What was observed, in single channels, where a background belongs to it; `None` where there is none.
fn observed_with_background(
    run: &RunFile,
    data: Option<&Path>,
    model: Option<&NamedModel>,
) -> Result<Option<ObservationSpec>> {
    let o = &run.observation;
    let statistic = o.statistic.choice;
    let wanted = match (&o.background, model, statistic) {
        (FileChoice::None, ..) => return Ok(None),
        (FileChoice::File(name), ..) => Some(format!("background = {:?}", name.display().to_string())),
        (_, Some(model), _) => Some(format!("[models.{}]", model.name)),
        (.., StatisticChoice::Marginal | StatisticChoice::Wstat | StatisticChoice::Pgstat) => {
            Some(format!("statistic = {:?}", statistic.word()))
        }
        _ => None,
    };
    let spectrum = match (run.find_file("spectrum", &o.spectrum, data), wanted) {
        (Ok(path), _) => path,
        (Err(_), None) => return Ok(None),
        (Err(_), Some(wanted)) => {
            return Err(Error::Input(format!(
                "{}: {wanted} asks for a background, but the spectrum {:?}, whose BACKSCAL and exposure scale it, is not found: a mock background \
                 is made from an observed one; name spectrum and background that are there, or do without (background = \"none\")",
                run.path, o.spectrum
            )));
        }
    };
    if o.background == FileChoice::Keyword {
        let found = observation::read_spectrum(&spectrum)?;
        if found.backfile.is_none() && !found.has_background {
            return Ok(None);
        }
    }
    let spec = run.observation_spec(data)?;
    Ok(Some(ObservationSpec { energies: Vec::new(), grouping: Grouping::None, min_background: 0, ..spec }))
}

impl Template {
    /// Draws the spectrum of data set `k`, and its background.
    fn draw(&self, k: usize, name: Option<String>, run: &RunFile, problem: &Problem, expected: &[f64]) -> Result<Mock> {
        let (set, columns) = (&problem.observations.sets()[k], problem.observations.columns()[k].clone());
        let n = self.response.channels();
        let rows = self.rows(set)?;
        let factor = self.exposure / set.exposure;
        let spread = |values: &mut dyn Iterator<Item = f64>| {
            let mut all = vec![0.0; n];
            rows.iter().zip(values).for_each(|(&row, value)| all[row] = value);
            all
        };
        let seed = run.inference.seed;
        let stream = STREAM.wrapping_add(2 * k as u32);
        let mut means: Vec<f64> = expected[columns].to_vec();
        let mut background = None;
        if let Some(observed) = &set.background {
            // The background spectrum that named models describe is a data set of its own; what they add to the source's counts is in `means`.
            let own = (0..problem.sets().len()).find(|&at| {
                problem.sets()[at].named.is_some() && problem.observations.sets()[at].name == background_name(&set.name)
            });
            let level = match own {
                Some(at) => expected[problem.observations.columns()[at].clone()].to_vec(),
                None => {
                    let level = level(observed, run.observation.statistic.smooth);
                    for ((mean, level), scale) in means.iter_mut().zip(&level).zip(&observed.scale) {
                        *mean += level.max(0.0) * scale;
                    }
                    level
                }
            };
            let scaled = level.iter().zip(&observed.scale).map(|(b, scale)| b.max(0.0) * scale).sum::<f64>() * factor;
            let level: Vec<f64> = level.iter().map(|b| b * factor).collect();
            let (counts, errors) = match &observed.errors {
                Some(errors) => {
                    let errors: Vec<f64> = errors.iter().map(|error| error * factor).collect();
                    let mut noise = vec![0.0; errors.len()];
                    let stream = u64::from(stream.wrapping_add(1));
                    matrix::normals(&mut rand_pcg::Pcg64::seed_from_u64(seed ^ (stream << 32)), &mut noise);
                    let drawn = level.iter().zip(&errors).zip(&noise).map(|((b, error), z)| b + error * z).collect();
                    (drawn, Some(errors))
                }
                None => {
                    let drawn = draw(&spread(&mut level.iter().copied()), seed, stream.wrapping_add(1))?;
                    (rows.iter().map(|&row| f64::from(drawn[row])).collect::<Vec<f64>>(), None)
                }
            };
            background = Some((counts, errors, observed, scaled));
        }
        let counts = draw(&spread(&mut means.iter().map(|mean| mean * factor)), seed, stream)?;
        let quality = self.quality(&rows);
        let beside: Option<Vec<f64>> = background.as_ref().map(|(counts, ..)| spread(&mut counts.iter().copied()));
        let flags = match (&run.observation.grouping, &self.observed) {
            (Grouping::File, Some(observed)) if observed.has_grouping => {
                Some(self.flags(|at| observed.grouping[at], 1))
            }
            (Grouping::File | Grouping::None, _) => None,
            (wanted, _) => {
                let least = f64::from(run.observation.min_background);
                let demand = beside.as_deref().filter(|_| least > 0.0).map(|beside| (beside, least));
                let good = vec![0; n];
                let quality = quality.as_deref().unwrap_or(&good);
                Some(grouping::flags(&self.response.group_channels_with(wanted, &counts, quality, demand)?, n))
            }
        };
        let scaling = |values: fn(&Spectrum) -> &Vec<f64>| match &self.observed {
            Some(observed) => self.flags(|at| values(observed)[at], 1.0),
            None => vec![1.0; n],
        };
        let (backscal, areascal) = (scaling(|s| &s.backscal), scaling(|s| &s.areascal));
        let background = background.map(|(_, errors, observed, scaled)| {
            let exposure = self.exposure * observed.exposure / set.exposure;
            // AREASCAL is the observed background's, which a model of it is multiplied by: what is left of the scale is BACKSCAL's.
            let (mut own, mut areas) = (backscal.clone(), areascal.clone());
            for ((&row, scale), area) in rows.iter().zip(&observed.scale).zip(&observed.areascal) {
                areas[row] = *area;
                own[row] = backscal[row] * areascal[row] / area * self.exposure / exposure / scale;
            }
            MockBackground {
                counts: beside.unwrap_or_default(),
                errors: errors.map(|errors| spread(&mut errors.into_iter())),
                exposure,
                backscal: one_if_equal(own),
                areascal: one_if_equal(areas),
                scaled,
            }
        });
        Ok(Mock {
            name,
            first_channel: self.response.channel.first().copied().unwrap_or(0),
            counts,
            grouping: flags,
            quality,
            exposure: self.exposure,
            backscal: one_if_equal(backscal),
            areascal: one_if_equal(areascal),
            response: self.response.path.clone(),
            area: self.area.clone(),
            background,
        })
    }

    /// The row of the response for each bin, which is one channel.
    fn rows(&self, set: &Dataset) -> Result<Vec<usize>> {
        let first = self.response.channel.first().copied().unwrap_or(0);
        let row = |bin: &observation::Bin| {
            let row = usize::try_from(bin.first_channel - first).ok().filter(|&row| row < self.response.channels());
            row.ok_or_else(|| {
                Error::Input(format!("channel {} is not in {}", bin.first_channel, self.response.path.display()))
            })
        };
        set.bins.iter().map(row).collect()
    }

    /// What the observed spectrum says of each channel of the response, `otherwise` where it has none.
    fn flags<T: Copy>(&self, value: impl Fn(usize) -> T, otherwise: T) -> Vec<T> {
        let Some(observed) = &self.observed else { return vec![otherwise; self.response.channels()] };
        // Channels without numbers are the response's, in their order.
        let first = self.response.channel.first().copied().unwrap_or(0);
        let start = if observed.numbered { observed.channel.first().copied().unwrap_or(first) } else { first };
        let mut all = vec![otherwise; self.response.channels()];
        for (at, &channel) in observed.channel.iter().enumerate() {
            let channel = if observed.numbered { channel } else { start + at as i64 };
            if let Some(slot) = usize::try_from(channel - first).ok().and_then(|row| all.get_mut(row)) {
                *slot = value(at);
            }
        }
        all
    }

    /// QUALITY: bad are the channels that the data set does not use.
    fn quality(&self, rows: &[usize]) -> Option<Vec<i32>> {
        let observed = self.observed.as_ref()?;
        let mut all = self.flags(|at| observed.quality[at], BAD);
        let mut used = vec![false; all.len()];
        rows.iter().for_each(|&row| used[row] = true);
        for (flag, used) in all.iter_mut().zip(used) {
            if !used && *flag == 0 {
                *flag = BAD;
            }
        }
        all.iter().any(|&flag| flag != 0).then_some(all)
    }
}

/// What the background's counts are expected to be: of Poisson counts the smoothed ones, all together as many as were observed; a Gaussian
/// background is an estimate already.
fn level(background: &Background, smooth: f64) -> Vec<f64> {
    if background.errors.is_some() {
        return background.counts.clone();
    }
    let mut level = background.smoothed(smooth);
    let (all, smoothed) = (background.total(), level.iter().sum::<f64>());
    if all > 0.0 && smoothed > 0.0 {
        level.iter_mut().for_each(|b| *b *= all / smoothed);
    }
    level
}

/// One value for all channels, where they agree to the digits that a keyword holds.
fn one_if_equal(values: Vec<f64>) -> Vec<f64> {
    let Some(&first) = values.first() else { return values };
    let equal = values.iter().all(|value| (value - first).abs() <= 1e-13 * first.abs());
    if equal { vec![first] } else { values }
}

/// Poisson counts, with the same generator as a run's simulations.
fn draw(expected: &[f64], seed: u64, stream: u32) -> Result<Vec<u32>> {
    if let Some(channel) =
        expected.iter().position(|m| !(m.is_finite() && (0.0..=f64::from(poisson::LARGEST)).contains(m)))
    {
        return Err(Error::Input(format!(
            "channel number {channel} (from 0): {} expected counts; the model at these parameters cannot be drawn from",
            expected[channel]
        )));
    }
    let means: Vec<f32> = expected.iter().map(|&m| m as f32).collect();
    let mut counts = vec![0f32; means.len()];
    let device = Device::cpu();
    if let Device::Cpu(cpu) = &device {
        poisson::twin(cpu, poisson::Source { seed, stream }, 0, means.len(), &means, &mut counts);
    }
    device.check()?;
    // The counts are whole numbers below 2^25 held in f32.
    Ok(counts.iter().map(|&c| c as u32).collect())
}
