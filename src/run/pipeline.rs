//! A whole run: open the problem, run the rounds, refine, write the folder.

use super::output::{Existing, FINISHED, OutputFolder, State};
use super::run_file::{Method, Provenance, RunFile};
use super::setup::Case;
use super::store::FolderStore;
use super::{finish, memory, method};
use crate::analysis::Observer;
use crate::analysis::infer::{Given, nested, train};
use crate::analysis::streams::MOCK_STREAM;
use crate::device::{Device, RowBlocks};
use crate::report::Document;
use crate::result::{Summary, Verdict};
use crate::simulate::{Coordinates, Outputs, Source, no_tick};
use crate::{Error, Result};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Where and how to run.
pub struct Execution<'a> {
    /// Output folder.
    pub out: &'a Path,
    /// Device that computes.
    pub device: Device,
    /// Folder of data files: `--data` or `RONTGEN_DATA`.
    pub data: Option<&'a Path>,
    /// What to do with a run that the folder holds already.
    pub existing: Existing,
    /// Who is told of progress, and may stop the work.
    pub observer: &'a dyn Observer,
}

/// The folder of a run that is to be computed, and what there is to say of it.
pub(super) struct Opened {
    pub folder: OutputFolder,
    pub state: State,
    pub remarks: Vec<String>,
}

impl Execution<'_> {
    /// Opens the output folder; where the run in it is finished, there is only its verdict to tell.
    /// `run` is the problem's run file, but for the way that was chosen.
    pub(super) fn open(&self, case: &Case, run: &RunFile) -> Result<ControlFlow<Verdict, Opened>> {
        let problem = &case.problem;
        let provenance = Provenance {
            tables_sha256: problem.tables_sha256(),
            ..Provenance::new(run, &self.device.name(), self.data, Some(problem.data_sha256()))
        };
        let (folder, state, remarks) = OutputFolder::open(self.out, run, &provenance, self.existing)?;
        if state == State::Finished {
            self.observer.message(&format!("{}: this run is finished", self.out.display()));
            return Ok(ControlFlow::Break(Summary::read(&folder.path().join(FINISHED))?.verdict));
        }
        self.observer.message(&format!("energies: {}", case.problem.grid()));
        Ok(ControlFlow::Continue(Opened { folder, state, remarks }))
    }
}

/// Runs a case into its folder and returns the verdict. `truth`: the parameters of a mock, for the plots.
///
/// # Errors
/// Everything that can go wrong; [`Error::Interrupted`] leaves a folder that can be resumed.
pub fn run(case: &Case, execution: &Execution<'_>, truth: Option<&[f64]>) -> Result<Verdict> {
    let started = Instant::now();
    // Before there is a folder.
    memory::of_inference(case)?.check(&execution.device)?;
    let run = method::decide(case, execution)?;
    let Opened { folder, state, remarks } = match execution.open(case, &run)? {
        ControlFlow::Break(verdict) => return Ok(verdict),
        ControlFlow::Continue(opened) => opened,
    };
    let Execution { device, observer, .. } = execution;
    let (problem, settings) = (&case.problem, &case.settings);
    let given = Given { truth, resumes: state == State::Unfinished, warnings: remarks, expected: folder.expected() };
    let store = Box::new(FolderStore::new(&folder)?);
    let verdict = match run.inference.method {
        Method::Nested => {
            let posterior = nested(problem, settings, device, store, *observer, given)?;
            let verdict = finish::write(case, posterior, execution, &folder, started)?;
            folder.checkpoints()?.clear()?;
            verdict
        }
        // A folder whose run.toml says "auto" is none that rontgen wrote.
        Method::Npe | Method::Auto => {
            let trained = train(problem, settings, device, store, *observer, given)?;
            let verdict = finish::write(case, trained.posterior, execution, &folder, started)?;
            trained.rounds.forget_checkpoints()?;
            verdict
        }
    };
    observer.done();
    Ok(verdict)
}

/// Fills a data set without counts (the built-in instrument's) with a mock spectrum at `theta`.
///
/// # Errors
/// Those of the simulator.
pub fn with_mock(case: Case, theta: &[f64], seed: u64) -> Result<Case> {
    let device = Device::cpu();
    let simulator = case.problem.exact_simulator(&device)?;
    let mut counts = RowBlocks::empty(&device, 1, simulator.bins(), 1);
    let outputs = Outputs { counts: Some(&mut counts), ..Outputs::default() };
    let point = simulator.physical(&[theta.to_vec()])?;
    simulator.run(Coordinates::Physical, &point, Source { seed, stream: MOCK_STREAM }, outputs, &mut no_tick)?;
    let drawn = counts.download()?;
    case.with_counts(drawn.into_iter().map(|count| count as u32).collect())
}

/// What a run would do and how much memory it would take, for `--dry-run`.
///
/// # Errors
/// When the plan does not fit the device.
pub fn plan(case: &Case, device: &Device) -> Result<String> {
    let (run, problem) = (&case.run, &case.problem);
    let sets = problem.observations.sets();
    let bins = problem.observations.bins();
    let total: usize = (0..run.inference.rounds).map(|k| run.inference.simulations_of_round(k)).sum();
    let simulator = problem.simulator(device)?;
    let nested = run.reference.sampler.is_none() && run.inference.method == Method::Nested;
    let mut plan = if nested { memory::of_reference(case) } else { memory::of_run(case)? };
    plan.simulator(simulator.working_bytes(run.inference.simulations_of_round(0)));
    let mut text = format!("device      {} ({}, {})\n", device.name(), device.backend(), device.kind());
    for (set, model) in sets.iter().zip(problem.sets()) {
        let (own, energies) = (set.bins.len(), model.program.energies());
        text += &format!("spectrum    {}: {own} bins, {energies} model energies\n", set.name);
    }
    text += &format!("energies    {}\n", problem.grid());
    text += &format!("model       {}, {} free parameters\n", run.model.expression, problem.names().len());
    text += &match nested {
        true => format!("method      nested sampling with {} live points, no networks\n", run.reference.live),
        false => format!(
            "rounds      {}, {total} spectra in all, then {} likelihoods\n",
            run.inference.rounds, run.refine.samples
        ),
    };
    text += "memory\n";
    text += &plan.text();
    if let Device::Gpu(gpu) = device {
        let row = 4 * bins as u64;
        if row > gpu.binding_limit() {
            return Err(Error::Device(crate::device::DeviceError::TooLarge {
                what: "one spectrum".into(),
                requested: row,
                available: gpu.binding_limit(),
                limit: "max_storage_buffer_binding_size",
            }));
        }
    }
    Ok(text)
}
