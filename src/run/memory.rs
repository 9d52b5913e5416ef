//! What a run takes of memory, item by item, and whether the machine has it.
//!
//! A computer that is asked for more than it has ends the program without a word, perhaps after hours. So every size that a user can choose
//! is counted before anything starts, in numbers that cannot overflow, and a run that does not fit is an error that names the keys to change.
//! The count is of the arrays that grow with those keys; programs, libraries and files read are a few hundred MiB beside them.

use super::run_file::{Fallback, Method, Proposals, RunFile, Sampler};
use super::setup::Case;
use crate::analysis::Problem;
use crate::device::Device;
use crate::summarize::{Signal, SummaryKind};
use crate::{Error, Result};

/// One array or group of arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is, for people.
    pub what: &'static str,
    /// Bytes in all.
    pub bytes: u128,
    /// The largest of them that a kernel sees as one.
    pub largest: u128,
    /// Keys of the run file, or options, that decide it.
    pub keys: &'static str,
}

/// What is in memory at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Arrays and groups of arrays.
    pub items: Vec<Item>,
}

/// Values, gradient, two moments and three snapshots on the device; values, and three of those in a checkpoint, on the host.
const COPIES: u128 = 7 + 4;
/// Live points' worth of dead points that nested sampling keeps: ln(1/0.01) and an information of 50 nat.
const DEAD: u128 = 55;
/// Mixtures that a refinement fits on the way, at most.
const MIXTURES: u128 = 4;
/// Spectra that mocks fold at a time.
const MOCK_ROWS: u128 = 32_768;

fn wide(n: usize) -> u128 {
    n as u128
}

impl Plan {
    fn add(&mut self, what: &'static str, bytes: u128, largest: u128, keys: &'static str) {
        self.items.push(Item { what, bytes, largest, keys });
    }

    /// Adds what the simulator has on the device.
    pub fn simulator(&mut self, bytes: u64) {
        self.add("response, tables, one tile of spectra", u128::from(bytes), 0, "observation.energies");
    }

    /// Returns the bytes of all items.
    pub fn bytes(&self) -> u128 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// The items and their sum, a line each.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for item in self.items.iter().filter(|item| item.bytes > 0) {
            text += &format!("  {}  {}\n", mib(item.bytes), item.what);
        }
        text + &format!("  {}  sum\n", mib(self.bytes()))
    }

    /// Checks that the machine has as much, and that the device takes arrays so large.
    ///
    /// # Errors
    /// [`Error::Input`] with the numbers and the keys to change.
    pub fn check(&self, device: &Device) -> Result<()> {
        let limit = u128::from(device.binding_limit());
        if let Some(item) = self.items.iter().find(|item| item.largest > limit) {
            return Err(Error::Input(format!(
                "{} take {} in one array, and {} takes at most {} (max_storage_buffer_binding_size); {}",
                item.what,
                shown(item.largest),
                device.name(),
                shown(limit),
                advice(item.keys)
            )));
        }
        // A GPU does not say how much memory it has; what it is asked for beyond that it refuses by itself.
        let own = device.is_gpu() && device.kind() != "software" && device.kind() != "integrated";
        match available() {
            Some(free) if !own && self.bytes() > u128::from(free) => Err(self.too_much(u128::from(free))),
            _ => Ok(()),
        }
    }

    fn too_much(&self, free: u128) -> Error {
        let mut largest: Vec<&Item> = self.items.iter().collect();
        largest.sort_by_key(|item| std::cmp::Reverse(item.bytes));
        let list: Vec<String> = largest
            .iter()
            .take(3)
            .filter(|item| 20 * item.bytes > self.bytes())
            .map(|item| format!("{} for {} ({})", shown(item.bytes), item.what, advice(item.keys)))
            .collect();
        Error::Input(format!(
            "this takes {} of memory, and {} are available: {}",
            shown(self.bytes()),
            shown(free),
            list.join("; ")
        ))
    }
}

fn advice(keys: &str) -> String {
    format!("choose less in {keys}")
}

fn mib(bytes: u128) -> String {
    format!("{:10.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn shown(bytes: u128) -> String {
    match bytes as f64 {
        b if b < 1e9 => format!("{:.1} MiB", b / f64::from(1 << 20)),
        b => format!("{:.1} GiB", b / f64::from(1 << 30)),
    }
}

/// Bytes that this process may still take: of the machine, of its control group, of its address space. `None` where the system does not
/// tell.
pub fn available() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let machine = Some(system.available_memory()).filter(|bytes| *bytes > 0);
    let group = system.cgroup_limits().map(|limits| limits.free_memory);
    [machine, group, address_space()].into_iter().flatten().min()
}

/// What `ulimit -v` leaves, on Linux.
fn address_space() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max address space"))?;
    let limit: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(4096 * pages))
}

/// Memory of the rounds, the refinement and what is written after them.
///
/// # Errors
/// [`Error::Input`] for more spectra than rows can be numbered.
pub fn of_run(case: &Case) -> Result<Plan> {
    let (run, problem) = (&case.run, &case.problem);
    // Networks may see as many counts of a background.
    let (bins, p) = (wide(case.settings.columns(problem)), wide(problem.parameters.free().len()));
    let inference = &run.inference;
    let rounds = match run.refine.fallback {
        Fallback::None => inference.rounds,
        _ => inference.max_rounds.max(inference.rounds),
    };
    let total: u128 = (0..rounds).map(|k| wide(inference.simulations_of_round(k))).sum();
    if total > u128::from(u32::MAX) {
        return Err(Error::Input(format!(
            "{}: {total} spectra in {rounds} rounds; expected at most {} (inference.simulations, inference.rounds, inference.max_rounds)",
            run.path,
            u32::MAX
        )));
    }
    let mut plan = Plan::default();
    let simulations = "inference.simulations, inference.rounds, inference.max_rounds";
    plan.add("expected counts of all rounds (those of the fall-back too)", 4 * total * bins, 0, simulations);
    plan.add("parameters of all rounds", 4 * total * (2 * p + 2), 0, simulations);
    let summaries = encoder(&mut plan, run, bins, total);
    let realisations = if inference.summary == SummaryKind::Embedding { 1 } else { wide(inference.flow.realisations) };
    // As they come and standardised.
    plan.add(
        "training set of the flow: summaries of every realisation",
        2 * 4 * total * realisations * summaries,
        4 * total * summaries,
        "inference.flow.realisations, inference.simulations, inference.autoencoder.latent",
    );
    flow(&mut plan, run, p, summaries);
    // The fall-back weighs the flows of all rounds, and may draw more.
    let goes_on = run.refine.fallback != Fallback::None;
    let flows = if goes_on || run.refine.proposals == Proposals::All { wide(rounds) } else { 1 };
    let draws = wide(run.refine.samples) * if goes_on { wide(crate::analysis::refine::MOST) } else { 1 };
    let draw = 4 * p + 8 * p + 8 * (flows + MIXTURES) + 8 * 8;
    plan.add("draws of the refinement", draws * draw, 0, "refine.samples");
    outputs(&mut plan, run, p);
    let mocks = wide(run.output.calibration);
    let folded = if mocks > 0 { MOCK_ROWS.min(mocks * 512) } else { 0 };
    plan.add("mocks of the calibration", 4 * mocks * bins * 3 + 4 * folded * (bins + 2 * p), 0, "output.calibration");
    Ok(plan)
}

fn outputs(plan: &mut Plan, run: &RunFile, p: u128) {
    let samples = wide(run.output.posterior_samples);
    plan.add("samples of the posterior", 3 * 8 * samples * p, 0, "output.posterior_samples");
}

/// Adds the search for the directions of the signal.
fn directions(plan: &mut Plan, bins: u128, total: u128) {
    let rows = wide(Signal::ROWS).min(total);
    let bytes = 4 * bins * (2 * rows + 8 * 48);
    plan.add("directions of the signal and their batches", bytes, 4 * bins, "observation.grouping");
}

/// Adds the networks of the summaries and returns how many summaries a spectrum has, at most.
fn encoder(plan: &mut Plan, run: &RunFile, bins: u128, total: u128) -> u128 {
    let settings = &run.inference.autoencoder;
    let embedding = run.inference.summary == SummaryKind::Embedding;
    match run.inference.summary {
        SummaryKind::Pca => {
            plan.add(
                "covariance of the spectra and its eigenvectors",
                8 * 4 * bins * bins,
                4 * bins * bins,
                "observation.grouping",
            );
            bins
        }
        SummaryKind::Signal => {
            directions(plan, bins, total);
            wide(Signal::MOST).min(bins)
        }
        SummaryKind::Spectral | SummaryKind::None => bins,
        SummaryKind::AutoEncoder | SummaryKind::Embedding => {
            if settings.from_signal && !embedding {
                directions(plan, bins, total);
            }
            let mut layers = vec![bins];
            layers.extend(settings.hidden.widths(bins as usize).into_iter().map(wide));
            layers.push(wide(settings.latent));
            let sides = if embedding { 1 } else { 2 };
            let weights = sides * layers.windows(2).map(|pair| padded(pair[0]) * padded(pair[1])).sum::<u128>();
            let keys = "inference.autoencoder.hidden, inference.autoencoder.latent";
            plan.add("auto-encoder: weights, gradient, moments, snapshots", 4 * COPIES * weights, 4 * weights, keys);
            let batch = wide(settings.batch).min(total);
            let widest = layers.iter().copied().max().unwrap_or(1);
            let units = 4 * batch * (sides * layers.iter().sum::<u128>() + bins);
            plan.add(
                "auto-encoder: one batch",
                4 * units,
                4 * batch * widest,
                "inference.autoencoder.batch, inference.autoencoder.hidden",
            );
            wide(settings.latent)
        }
    }
}

/// Widths of weights are rounded up.
fn padded(n: u128) -> u128 {
    n.next_multiple_of(16)
}

fn flow(plan: &mut Plan, run: &RunFile, p: u128, summaries: u128) {
    let flow = &run.inference.flow;
    let (hidden, layers) = (wide(flow.hidden), wide(flow.layers));
    let density = run.inference.density;
    let outputs = match (density.has_splines(), density.is_mixture()) {
        (true, _) => p * (3 * wide(flow.bins) + 1),
        (_, true) => wide(flow.components) * (1 + p + p * (p + 1) / 2),
        _ => 2 * p,
    };
    let one = padded(p + summaries) * padded(hidden)
        + (layers - 1) * padded(hidden) * padded(hidden)
        + padded(hidden) * padded(outputs);
    let networks = if density.is_mixture() { 1 } else { wide(flow.transforms) };
    let weights = networks * wide(flow.ensemble) * one;
    let keys = "inference.flow.hidden, inference.flow.layers, inference.flow.transforms, inference.flow.ensemble";
    plan.add("flow: weights, gradient, moments, snapshots", 4 * COPIES * weights, 4 * weights, keys);
    let units = networks * wide(flow.ensemble) * (layers * hidden + 2 * p + outputs);
    plan.add("flow: one batch", 4 * 3 * wide(flow.batch) * units, 0, "inference.flow.batch, inference.flow.hidden");
}

/// Memory of the way that `infer` takes; where it is still to be chosen, of both.
///
/// # Errors
/// As [`of_run`].
pub fn of_inference(case: &Case) -> Result<Plan> {
    match case.run.inference.method {
        Method::Npe => of_run(case),
        Method::Nested => Ok(of_reference(case)),
        Method::Auto => {
            let mut plan = of_run(case)?;
            plan.items.extend(of_reference(case).items);
            Ok(plan)
        }
    }
}

/// Memory of a reference sampler.
pub fn of_reference(case: &Case) -> Plan {
    let run = &case.run;
    let p = wide(case.problem.parameters.free().len());
    let r = &run.reference;
    let mut plan = Plan::default();
    match r.sampler {
        Some(Sampler::Ensemble) => {
            let draws = wide(r.ensembles) * wide(r.length);
            plan.add("draws of the ensembles", draws * (2 * 8 * p + 8), 0, "reference.length, reference.ensembles");
            let walkers = wide(r.ensembles) * wide(r.walkers);
            plan.add("walkers", walkers * (3 * 8 * p + 16), 0, "reference.walkers, reference.ensembles");
        }
        _ => {
            // Dead points, and as many samples in physical units.
            let point = 2 * (8 * p + 8) + 5 * 8;
            plan.add("live and dead points", wide(r.live) * DEAD * point, 0, "reference.live");
            if r.polish {
                let draws = 4 * wide(run.output.posterior_samples);
                plan.add("draws of the polish", draws * (12 * p + 8 * 8), 0, "output.posterior_samples");
            }
        }
    }
    outputs(&mut plan, run, p);
    plan
}

/// Memory of `targets` spectra that are weighed at once with up to `most` draws each, of `spectra` that are kept.
pub fn of_targets(problem: &Problem, spectra: usize, targets: usize, most: usize, keys: &'static str) -> Plan {
    let (bins, p) = (wide(problem.observations.bins()), wide(problem.parameters.free().len()));
    let mut plan = Plan::default();
    let draws = wide(targets) * wide(most);
    // Twice while more are appended.
    plan.add("draws of the spectra in hand", 2 * draws * (4 * p + 4 * 8 + 1), 0, keys);
    plan.add("spectra", wide(spectra) * (3 * 4 * bins + 8 * (4 * p + 16)), 0, keys);
    plan.add("expected counts of the draws in hand", 4 * MOCK_ROWS.min(draws) * bins, 0, keys);
    plan
}

/// Memory of likelihoods and folded spectra at `points` parameters.
pub fn of_points(problem: &Problem, points: usize) -> Plan {
    let (bins, p) = (wide(problem.observations.bins()), wide(problem.parameters.free().len()));
    let mut plan = Plan::default();
    plan.add("expected counts at the points", wide(points) * (8 * (bins + p) + 24), 0, "the table of points");
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_its_numbers_and_keys() {
        let mut plan = Plan::default();
        plan.add("expected counts", 4 * 100_000_000_000 * 1_000_000, 0, "inference.simulations");
        plan.add("flow", 1 << 20, 0, "inference.flow.hidden");
        let text = plan.check(&Device::cpu()).unwrap_err().to_string();
        assert!(text.contains("inference.simulations") && text.contains("GiB are available"), "{text}");
        assert!(!text.contains("inference.flow.hidden"), "small items are not to blame: {text}");
        assert!(Plan::default().check(&Device::cpu()).is_ok());
        assert!(plan.text().contains("sum"));
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
    }
}
