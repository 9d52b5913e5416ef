//! From the run file to the problem it states: data set, model, parameters. The only place that turns what the user
//! wrote into the types of `observation` and `model`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::backgrounds;
use super::checkpoint::Owner;
use super::permission::Commands;
use super::run_file::{FileChoice, ParameterEntry, RunFile};
use crate::report::folder;
use crate::{
    Error, Result,
    analysis::{
        Context, Observer, Problem, Settings, StatisticSettings, amortised,
        problem::{self, Description, SetSpec, background_name},
        response::Shifted,
    },
    model::{
        self, Extensions, Model, ModelError, ModelGroup, Parameters, ResponseMap, Setting, UserComponent, digest_of,
        external::External, instrument,
    },
    observation::{self, Dataset, Observations},
    simulate::Simulator,
};

/// A run file with everything it names read and checked; nothing is computed yet.
#[derive(Debug)]
pub struct Case {
    /// The run file.
    pub run: RunFile,
    /// What is to be analysed.
    pub problem: Problem,
    /// How it is to be analysed.
    pub settings: Settings,
}

impl Case {
    /// Reads the observation and the model. `data` is `--data` or `RONTGEN_DATA`. The built-in spectrum has no counts
    /// yet: [`Self::with_counts`] gives it some.
    ///
    /// # Errors
    /// Files that are not found or cannot be used, and mistakes in the model or its parameters.
    pub fn open(run: RunFile, data: Option<&Path>) -> Result<Case> {
        Self::open_with(run, data, &[])
    }

    /// Opens a run file with components of the caller's own, which the expression may name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(mut run: RunFile, data: Option<&Path>, own: &[Arc<dyn UserComponent>]) -> Result<Case> {
        run.name_rows(data)?;
        // The model first: its mistakes are found in no time, while a response may take seconds to read.
        let models = models(&run, data, own)?;
        if let Some((_, parameters)) = models.sets.first() {
            problem::something_is_free(&run.path, parameters)?;
        }
        if run.is_built_in() && !run.further.is_empty() {
            return Err(Error::Input(format!("{}: the built-in instrument is a data set by itself", run.path)));
        }
        let mut datasets = match run.is_built_in() {
            true => vec![observation::demo_instrument()],
            false => {
                let specs = run.observation_specs(data)?;
                specs.iter().map(observation::load).collect::<Result<Vec<Dataset>, _>>()?
            }
        };
        // The mock of a demonstration lies beside the run.toml, and nowhere else.
        let mock = Path::new(&run.path).with_file_name(folder::SPECTRUM);
        if run.is_built_in() && run.written_by.is_some() && mock.is_file() {
            let table = crate::report::tables::read_spectrum(&mock)?;
            let counts: Vec<u32> = table.rows.iter().map(|row| row.counts as u32).collect();
            datasets = datasets.into_iter().map(|set| set.with_counts(counts.clone())).collect::<Result<_, _>>()?;
        }
        let mut problem = state(&run, data, models, datasets)?;
        backgrounds::cover(&run, &problem)?;
        let said = std::iter::once(&mut run.observation).chain(&mut run.further);
        for (dataset, observation) in problem.observations.sets().iter().zip(said) {
            if !dataset.mismatched {
                // Nothing had to be overlooked: run.toml does not ask for it either.
                observation.mismatch = observation::Mismatch::Error;
            }
        }
        problem.exact_grid = run.model.exact_grid;
        problem.idle = run.commands == Commands::Never && !run.model.external.is_empty();
        problem.description = Description {
            expression: run.model.expression.clone(),
            abundances: run.model.abundances.clone(),
            cross_sections: run.model.cross_sections.clone(),
            grouping: grouping_words(&run),
        };
        let settings = run.settings();
        if settings.inference.amortised.is_some() {
            amortised::plain(&problem)?;
        }
        // A spectrum without counts (the built-in one, before its mock is made) gives nothing to extend to.
        if settings.inference.prior_extension > 1.0 && problem.observations.total() > 0 && !problem.idle {
            problem.extend_priors(settings.inference.prior_extension, settings.inference.seed)?;
        }
        Ok(Case { run, problem, settings })
    }

    /// The same case for other counts (a mock).
    ///
    /// # Errors
    /// Another number of counts than there are bins.
    pub fn with_counts(self, counts: Vec<u32>) -> Result<Case> {
        Ok(Case { problem: self.problem.with_counts(counts)?, ..self })
    }

    /// Whose checkpoints are this run's.
    pub fn owner(&self) -> Owner {
        Owner {
            run: self.run.identity(),
            data_sha256: self.problem.data_sha256(),
            tables_sha256: self.problem.tables_sha256().unwrap_or_default(),
        }
    }

    /// What the steps of the analysis need, on a device.
    pub fn context<'a>(&'a self, simulator: &'a Simulator, observer: &'a dyn Observer) -> Context<'a> {
        Context { problem: &self.problem, settings: &self.settings, simulator, device: simulator.device(), observer }
    }
}

/// Puts the models of a run to its data sets.
pub(super) fn state(
    run: &RunFile,
    data: Option<&Path>,
    Models { model, sets, named, responses }: Models,
    mut datasets: Vec<Dataset>,
) -> Result<Problem> {
    for (dataset, name) in datasets.iter_mut().zip(run.set_names()) {
        if let Some(name) = name {
            dataset.name = name;
        }
    }
    let statistics: Vec<StatisticSettings> = run.observations().map(|one| one.statistic).collect();
    let mut specs: Vec<SetSpec> = Vec::with_capacity(sets.len());
    for (k, ((model, parameters), statistic)) in sets.into_iter().zip(statistics).enumerate() {
        let response = responses.get(k).cloned();
        let asked = match (run.is_built_in(), datasets[k].noticed()) {
            (true, (lo, hi)) => vec![[lo, hi]],
            _ => run.observations().nth(k).map(|one| one.energies.clone()).unwrap_or_default(),
        };
        let shifted = shifted(&run.path, response.as_ref(), &datasets[k], &asked)?;
        specs.push(SetSpec { model, parameters, statistic, named: None, response, shifted });
    }
    let additions = backgrounds::add(run, data, named, &mut datasets, &mut specs)?;
    let observations = Observations::new(datasets).map_err(|e| Error::Input(format!("{}: {e}", run.path)))?;
    Problem::joint(&run.path, observations, model, specs, additions)
}

/// The response of a data set in its parts, where its parameters move it; `asked`: its energies \[keV\].
fn shifted(run: &str, response: Option<&Parameters>, data: &Dataset, asked: &[[f64; 2]]) -> Result<Option<Shifted>> {
    let Some((parameters, map)) = response.and_then(|own| Some((own, ResponseMap::of(own)?))) else { return Ok(None) };
    let refuse = |text: String| Error::Input(format!("{run}, [parameters]: {text}"));
    let whole = data.redistribution.as_ref();
    let whole = whole.ok_or_else(|| refuse(format!("'{}' has no response to move", data.name)))?;
    Ok(Some(Shifted::new(parameters, map, whole, asked, &data.name).map_err(|error| refuse(error.to_string()))?))
}

/// The settings of a run file that says nothing of them.
impl Default for Settings {
    fn default() -> Settings {
        const LEAST: &str = "[observation]\nspectrum = \"none\"\n[model]\nexpression = \"powerlaw\"\n[parameters]\n";
        match RunFile::parse(LEAST, "defaults", &[]) {
            Ok(run) => run.settings(),
            Err(error) => unreachable!("the least run file is right: {error}"),
        }
    }
}

impl RunFile {
    /// What decides the analysis, in its own terms.
    pub fn settings(&self) -> Settings {
        Settings {
            inference: self.inference.clone(),
            refine: self.refine.clone(),
            reference: self.reference.clone(),
            verdict: self.verdict,
            output: self.output.clone(),
        }
    }
}

/// Characters of a data set's name, at most: it becomes part of files' names.
const LONGEST_NAME: usize = 64;

/// How channels were joined, of several data sets in each.
fn grouping_words(run: &RunFile) -> String {
    let mut all: Vec<String> = run.observations().map(|one| one.grouping_words()).collect();
    all.dedup();
    all.join(", ")
}

/// The model of a run file and its parameters, of several data sets those of the first. Files of table models are looked for as those of the
/// observation; `own`: components beside those that the run file defines.
pub fn model(run: &RunFile, data: Option<&Path>, own: &[Arc<dyn UserComponent>]) -> Result<(Model, Parameters)> {
    let mut sets = models(run, data, own)?.sets;
    Ok(sets.drain(..).next().unwrap_or_else(|| unreachable!("there is a data set")))
}

/// The models of a run file with their parameters.
pub(super) struct Models {
    pub model: Model,
    /// For each data set the model with what its parameters fix of the tables.
    pub sets: Vec<(Model, Parameters)>,
    /// For each named model its data sets (from 0), with the same.
    pub named: Vec<Vec<(usize, Model, Parameters)>>,
    /// For each data set the parameters of its response ([`instrument::model`]); empty where nothing is said of them.
    pub responses: Vec<Parameters>,
}

impl Models {
    /// Digest of what their tables hold.
    pub fn tables_sha256(&self) -> Option<String> {
        let named = self.named.iter().flatten().map(|(_, model, _)| model);
        digest_of([&self.model].into_iter().chain(named))
    }
}

/// Reads the models of a run file.
pub(super) fn models(run: &RunFile, data: Option<&Path>, own: &[Arc<dyn UserComponent>]) -> Result<Models> {
    let settings = model::Settings::new(&run.model.abundances, &run.model.cross_sections)?;
    // AtomDB's tables are looked for only where they are needed: the search reads folders.
    let settings = settings.with_atomdb(if run.needs_atomdb() { run.atomdb_folder(data) } else { None });
    let xillver = if run.needs_xillver() { run.xillver_folder(data) } else { None };
    let settings = settings.with_xillver(xillver, run.model.renormalize);
    let find = |name: &str| {
        run.find_named(&format!("{name:?} of model.expression"), name, data).map_err(|error| error.to_string())
    };
    let mut components = own.to_vec();
    super::permission::check(run)?;
    for external in &run.model.external {
        let external = match run.commands {
            Commands::Never => External::idle(external.clone(), &run.folder()),
            _ => External::new(external.clone(), &run.folder()),
        };
        external.start().map_err(|error| Error::Input(format!("{}, [model.external]: {error}", run.path)))?;
        components.push(Arc::new(external));
    }
    let extensions = Extensions { find_file: Some(&find), components };
    let model = Model::parse_with(&run.model.expression, &settings, &extensions)?;
    if !model.in_channels().is_empty() {
        return Err(Error::Input(format!(
            "{}: pca{{FILE}} describes the counts of a background channel by channel: it belongs into a named model ([models.NAME])",
            run.path
        )));
    }
    let names = run.set_names().into_iter().map(|name| name.unwrap_or_else(|| "1".into())).collect::<Vec<_>>();
    let several = names.len() > 1 || !run.models.is_empty();
    for (k, name) in names.iter().enumerate() {
        // Names become parts of files' names, those of background spectra too.
        let of = |name: &str| [name.to_string(), background_name(name)];
        let clash =
            |other: &&String| of(name).iter().any(|own| of(other).iter().any(|other| folder::same_file(own, other)));
        if let Some(other) = names[..k].iter().find(clash) {
            return Err(Error::Input(format!(
                "{}: data sets are called {other:?} and {name:?}, which would share a file (of background spectra, too: NAME background); expected names \
                 that differ in letters and digits, capital and small ones alike",
                run.path
            )));
        }
        let long = name.chars().count() > LONGEST_NAME || folder::set_word(name).len() > folder::LONGEST_WORD;
        if several && (name.contains(['@', ':']) || name.contains(char::is_control) || long) {
            return Err(Error::Input(format!(
                "{}: a data set is called {name:?}; expected names of at most {LONGEST_NAME} characters and {} bytes, without @ or :",
                run.path,
                folder::LONGEST_WORD
            )));
        }
    }
    let mut others = Vec::with_capacity(run.models.len());
    for (k, named) in run.models.iter().enumerate() {
        let refuse = |text: String| Error::Input(format!("{}, [models.{}]: {text}", run.path, named.name));
        if run.models[..k].iter().any(|other| other.name.eq_ignore_ascii_case(&named.name)) {
            return Err(refuse("there are two of this name (capital and small letters do not matter)".into()));
        }
        let parsed = Model::parse_with(&named.expression, &settings, &extensions).map_err(|e| refuse(e.to_string()))?;
        if !parsed.in_channels().is_empty() {
            if !parsed.is_in_channels() {
                return Err(refuse(
                    "pca{FILE} gives counts of channels, to which nothing that is in energies can be added or multiplied; take a named model of its own for that"
                        .into(),
                ));
            }
            if !named.response.is_empty() || named.arf.iter().any(Option::is_some) {
                return Err(refuse(
                    "pca{FILE} gives counts of channels, without response and arf; leave them out".into(),
                ));
            }
        }
        let place = |wanted: &String| {
            names.iter().position(|name| name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
                refuse(format!("no data set is called '{wanted}'; expected one of {}", names.join(", ")))
            })
        };
        let mut members: Vec<usize> = match named.data.is_empty() {
            true => (0..names.len()).collect(),
            false => named.data.iter().map(place).collect::<Result<_>>()?,
        };
        if let Some((key, count)) = named.miscounted(members.len()) {
            return Err(refuse(format!(
                "{key} names {count} files; expected one for all, or one for each of the {} data sets",
                members.len()
            )));
        }
        members.sort_unstable();
        members.dedup();
        others.push((parsed, members));
    }
    let mut groups = vec![ModelGroup { name: "", model: &model, sets: (0..names.len()).collect() }];
    groups.extend(run.models.iter().zip(&others).map(|(named, (parsed, members))| ModelGroup {
        name: &named.name,
        model: parsed,
        sets: members.clone(),
    }));
    let instrument = instrument::model();
    if run.moves_responses() {
        if let Some(odd) = model.parameters().iter().find(|info| instrument::names(&info.name)) {
            return Err(Error::Input(format!(
                "{}, [parameters]: {} is a parameter of the model's component, and that of a response; give the component another name",
                run.path, odd.name
            )));
        }
        let sets = (0..names.len()).collect();
        groups.push(ModelGroup { name: ModelGroup::RESPONSES, model: &instrument, sets });
    }
    let resolved = model::resolve_models(&groups, &names, &parameter_settings(run)).map_err(|error| match error {
        ModelError::Parameter(text) => ModelError::Parameter(format!("{}, [parameters]: {text}", run.path)),
        other => other,
    })?;
    let fixed = |model: &Model, parameters: &Parameters| -> Result<Model> {
        model.check(parameters).map_err(|error| Error::Input(format!("{}, [parameters]: {error}", run.path)))?;
        let mut own = model.clone();
        own.fix_tables(parameters);
        Ok(own)
    };
    let mut resolved = resolved.into_iter();
    let responses = if run.moves_responses() { resolved.next_back().unwrap_or_default() } else { Vec::new() };
    let sets = resolved.next().unwrap_or_default();
    let sets = sets.into_iter().map(|parameters| Ok((fixed(&model, &parameters)?, parameters)));
    let sets = sets.collect::<Result<Vec<_>>>()?;
    let named = others
        .iter()
        .zip(resolved)
        .map(|((parsed, members), all)| {
            let one = |(&set, parameters): (&usize, Parameters)| Ok((set, fixed(parsed, &parameters)?, parameters));
            members.iter().zip(all).map(one).collect::<Result<Vec<_>>>()
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Models { model, sets, named, responses })
}

/// `[parameters]` in the model's terms.
fn parameter_settings(run: &RunFile) -> Vec<(String, Setting)> {
    let setting = |entry: &ParameterEntry| match entry {
        ParameterEntry::Frozen(value) => Setting::Frozen(*value),
        ParameterEntry::Free(prior) => Setting::Free(*prior),
        ParameterEntry::Tied { to, scale, offset } => Setting::Tied { to: to.clone(), scale: *scale, offset: *offset },
    };
    run.parameters.iter().map(|(name, entry)| (name.clone(), setting(entry))).collect()
}

/// The response of a run file without its spectrum, which need not exist: for making mock observations.
///
/// A response that the run file leaves to the spectrum's RESPFILE (ANCRFILE) is taken from there. The path is the ARF's.
pub fn response(run: &RunFile, data: Option<&Path>) -> Result<(observation::Response, Option<PathBuf>)> {
    let o = &run.observation;
    let spectrum = || -> Result<observation::Spectrum> {
        let path = run.find_file("spectrum", &o.spectrum, data).map_err(|_| {
            Error::Input(format!(
                "{}: observation.response (and arf) must be named here, because the spectrum {:?} that could name them \
                 is not found",
                run.path, o.spectrum
            ))
        })?;
        Ok(observation::read_spectrum(&path)?)
    };
    let named = |key: &str, name: Option<String>, spectrum: &observation::Spectrum| -> Result<Option<PathBuf>> {
        let Some(name) = name else { return Ok(None) };
        let beside = spectrum.path.with_file_name(&name);
        if observation::FileName::of(&beside).exists() {
            Ok(Some(beside))
        } else {
            Ok(Some(run.find_file(key, &name, data)?))
        }
    };
    let rmf = match &o.response {
        FileChoice::File(name) => run.find_file("response", &name.to_string_lossy(), data)?,
        _ => {
            let spectrum = spectrum()?;
            named("response", spectrum.respfile.clone(), &spectrum)?.ok_or_else(|| {
                Error::Input(format!("{}: no RESPFILE; name the response in the run file", spectrum.path.display()))
            })?
        }
    };
    let arf = match &o.arf {
        FileChoice::File(name) => FileChoice::File(run.find_file("arf", &name.to_string_lossy(), data)?),
        FileChoice::None => FileChoice::None,
        // An RSP needs no ARF and no spectrum to name one.
        FileChoice::Keyword => match spectrum() {
            Ok(spectrum) => match named("arf", spectrum.ancrfile.clone(), &spectrum)? {
                Some(path) => FileChoice::File(path),
                None => FileChoice::Keyword,
            },
            Err(_) => FileChoice::Keyword,
        },
    };
    let response = observation::load_response_with(&rmf, &arf, o.mismatch)?;
    let area = match arf {
        FileChoice::File(path) => Some(path),
        _ => None,
    };
    Ok((response, area))
}
