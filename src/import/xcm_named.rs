//! Named models as XSPEC has them: further sources of the spectra, each with a response of its own.
//!
//! A model that describes a background spectrum (`part = "background"`) makes that spectrum a data group of its own, which the first source is not seen in; in the
//! source's spectrum its norms are those of the background's times the ratio of BACKSCAL, by links.

use super::xcm_out::{Origin, absolute, sources};
use crate::{
    analysis::{Problem, numbers::NamedBlock, problem::background_name},
    model::Model,
    observation::Dataset,
};

/// How far the scale of a background may vary between bins and still be one number.
const ONE_NUMBER: f64 = 1e-9;

/// A named model as a further source.
pub(super) struct NamedModel<'a> {
    pub name: &'a str,
    /// The expression of the run file.
    expression: &'a str,
    /// Number of the source, from 2.
    source: usize,
    pub model: &'a Model,
    pub blocks: Vec<NamedBlock<'a>>,
    /// Data set -> XSPEC's norms in the source's spectrum over those in the background's.
    ratios: Vec<(usize, f64)>,
}

/// The named models that can be written.
pub(super) struct Named<'a> {
    problem: &'a Problem,
    models: Vec<NamedModel<'a>>,
}

/// A name as XSPEC may have it.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

impl<'a> Named<'a> {
    /// What cannot be written of them is told, and then none is.
    pub fn new(problem: &'a Problem, origin: &'a Origin<'_>, remarks: &mut Vec<String>) -> Named<'a> {
        let mut models = Vec::new();
        let mut whys = Vec::new();
        for (k, (name, expression)) in origin.named.iter().enumerate() {
            let Some((model, blocks)) = problem.named_model(name) else { continue };
            let source = k + 2;
            let ratios = match ratios(problem, model, &blocks) {
                Ok(ratios) => ratios,
                Err(why) => {
                    whys.push(format!("{name}: {why}"));
                    continue;
                }
            };
            models.push(NamedModel { name, expression, source, model, blocks, ratios });
        }
        if !whys.is_empty() {
            models.clear();
            remarks.push(format!(
                "The named models of the run file are not written ({}): set them up (response 2:N, arf 2:N, model 2:NAME) before the chain is loaded, \
                 and a background spectrum that they were fitted to as a spectrum of its own.",
                whys.join("; ")
            ));
        }
        Named { problem, models }
    }

    pub fn models(&self) -> &[NamedModel<'a>] {
        &self.models
    }

    /// Whether that model is written.
    pub fn has(&self, name: &str) -> bool {
        self.models.iter().any(|one| one.name == name)
    }

    /// Whether the model that a link leads to (`nxb:p3`, `p3`) is written before the one whose links have `prefix`.
    pub fn is_before(&self, leader: &str, prefix: &str) -> bool {
        let source = |name: &str| self.models.iter().find(|one| plain(one.name) == name).map_or(1, |one| one.source);
        source(leader.split_once(':').map_or("", |(name, _)| name)) < source(prefix.trim_end_matches(':'))
    }

    /// Background spectra that become spectra of their own, with their numbers.
    pub fn spectra(&self) -> impl Iterator<Item = (usize, &'a Dataset)> {
        let written = !self.models.is_empty();
        let all = self.problem.observations.sets().iter().zip(self.problem.sets()).enumerate();
        all.filter(move |(_, (_, set))| written && set.named.is_some()).map(|(at, (data, _))| (at + 1, data))
    }

    /// Their numbers, and the data set that each is the background of, from 0.
    pub fn of_sources(&self) -> impl Iterator<Item = (usize, usize)> {
        let sources: Vec<String> = sources(self.problem).map(|(set, _)| background_name(&set.name)).collect();
        self.spectra()
            .filter_map(move |(number, data)| Some((number, sources.iter().position(|name| *name == data.name)?)))
    }

    /// Responses and areas of the further sources; background spectra have no other.
    pub fn files(&self, remarks: &mut Vec<String>) -> String {
        let mut out = String::new();
        for (number, data) in self.spectra() {
            out.push_str(&format!("response 1:{number} none\nbackgrnd {number} none\n"));
            if data.bins.iter().any(|bin| bin.first_channel != bin.last_channel) {
                remarks.push(format!(
                    "Spectrum {number} is a background's, whose channels the run joined as those of its source; XSPEC joins those that the file joins: \
                     where the statistic must be the same, group it alike."
                ));
            }
        }
        for one in &self.models {
            for block in &one.blocks {
                let (response, area) = block.files;
                let at = format!("{}:{}", one.source, block.set + 1);
                let area = area.as_ref().map_or("none".into(), |path| absolute(path));
                out.push_str(&format!("response {at} {}\narf {at} {area}\n", absolute(response)));
            }
        }
        out
    }
}

impl NamedModel<'_> {
    /// The block of the background spectrum, and the ratio of norms, where a block is that of the source's counts.
    pub fn ratio(&self, block: &NamedBlock<'_>) -> Option<(usize, f64)> {
        let own = block.scaled?;
        let ratio = self.ratios.iter().find(|(set, _)| *set == block.set).map_or(1.0, |(_, ratio)| *ratio);
        Some((own, ratio))
    }

    /// The model command.
    pub fn command(&self, origin: &Origin<'_>) -> String {
        let expression = super::xcm_model::expression(self.expression, origin);
        format!("model  {}:{} {expression}\n", self.source, plain(self.name))
    }
}

/// The ratio of XSPEC's norms for each data set whose background a model describes, or why it cannot be written.
fn ratios(problem: &Problem, model: &Model, blocks: &[NamedBlock<'_>]) -> Result<Vec<(usize, f64)>, String> {
    if model.is_in_channels() {
        return Err("counts of channels, which XSPEC has no model of".into());
    }
    let mut out = Vec::new();
    for block in blocks {
        let data = &problem.observations.sets()[block.set];
        if problem.sets()[block.set].shifted.is_some() && data.files.get(1) == Some(&block.files.0) {
            return Err(format!(
                "its response is that of '{}', whose gain XSPEC moves for the first source alone",
                data.name
            ));
        }
        if block.scaled.is_none() {
            continue;
        }
        let Some(background) = &data.background else { continue };
        if background.file.as_os_str().is_empty() {
            return Err(format!("the background of '{}' stands in the spectrum's own file", data.name));
        }
        // Counts of the source are exposure, AREASCAL and norm times the folded model; so are those of the background.
        let ratio = |bin: usize| {
            background.scale[bin] * background.exposure * background.areascal[bin]
                / (data.exposure * data.areascal[bin])
        };
        let all: Vec<f64> = (0..data.bins.len()).map(ratio).collect();
        let first = all.first().copied().unwrap_or(1.0);
        if all.iter().any(|ratio| (ratio / first - 1.0).abs() > ONE_NUMBER) {
            return Err(format!("the scale of the background of '{}' differs between channels", data.name));
        }
        // What rounding left of a round number.
        let round = (first * 1e9).round() / 1e9;
        out.push((block.set, if (round / first - 1.0).abs() < 1e-12 { round } else { first }));
    }
    Ok(out)
}
