//! Likelihoods and simulations at given parameters, outside a run: on a device, or in f64 as the oracle does.

use super::{Observer, Problem, range};
use crate::{
    Error, Result,
    device::{Device, RowBlocks, Tensor},
    kernels::{poisson, random},
    simulate::{Coordinates, Outputs, Simulator, Source, no_tick},
};

/// The device name that stands for plain f64 on the CPU.
pub const ORACLE: &str = "f64";

/// Rows that are held in memory at once; part of what decides the random numbers of [`Evaluator::draw`].
pub const BATCH: usize = 4096;

/// Streams of random numbers that no stage of a run uses: the prior's, and from `COUNTS_STREAM` on one per batch.
const PRIOR_STREAM: u32 = 0x7369_6d75;
const COUNTS_STREAM: u32 = 0x4000_0000;

/// Where to compute.
pub struct Evaluator<'a> {
    problem: &'a Problem,
    seed: u64,
    observer: &'a dyn Observer,
    device: Device,
    /// `None`: the oracle.
    simulator: Option<Simulator>,
}

/// At n points: -1/2 of the statistic, and the expected source counts of the D bins.
pub struct Likelihoods {
    /// -C-STAT/2 at each point, n.
    pub log_likelihood: Vec<f64>,
    /// Expected counts at each point, n x D.
    pub expected: Vec<Vec<f64>>,
}

/// Simulated spectra, flat and row-major: n x P, n x D, n x D.
pub struct Batch {
    /// Draws from the prior that were left out, because they expect more counts in a bin than can be drawn.
    pub beyond: usize,
    /// Parameters, n x P, physical.
    pub theta: Vec<f64>,
    /// Expected counts, n x D.
    pub expected: Vec<f64>,
    /// Poisson counts, n x D.
    pub counts: Vec<u32>,
}

impl<'a> Evaluator<'a> {
    /// As a run computes: on the energies that [`Problem::simulator`] keeps. `device` is a device's name as [`Device::open`]
    /// takes it, or [`ORACLE`] (every energy).
    pub fn open(problem: &'a Problem, seed: u64, device: &str, observer: &'a dyn Observer) -> Result<Evaluator<'a>> {
        Self::with((problem, seed, observer), device, Problem::simulator)
    }

    /// The same on every energy: for points that need not lie in the prior.
    pub fn exact(problem: &'a Problem, seed: u64, device: &str, observer: &'a dyn Observer) -> Result<Evaluator<'a>> {
        Self::with((problem, seed, observer), device, Problem::simulator_beyond_priors)
    }

    fn with(
        (problem, seed, observer): (&'a Problem, u64, &'a dyn Observer),
        device: &str,
        simulator: impl Fn(&Problem, &Device) -> Result<Simulator>,
    ) -> Result<Evaluator<'a>> {
        if device.eq_ignore_ascii_case(ORACLE) {
            return Ok(Evaluator { problem, seed, observer, device: Device::cpu(), simulator: None });
        }
        let device = Device::open(device)?;
        let simulator = simulator(problem, &device)?;
        Ok(Evaluator { problem, seed, observer, device, simulator: Some(simulator) })
    }

    /// `points`: n x P physical parameters, in the order of [`Problem::names`].
    pub fn at(&self, points: &[Vec<f64>]) -> Result<Likelihoods> {
        let mut result = Likelihoods { log_likelihood: Vec::new(), expected: Vec::new() };
        for points in points.chunks(BATCH) {
            self.observer.check()?;
            match &self.simulator {
                None => {
                    let p = self.problem;
                    let expected = p.expected_exactly(points);
                    result.log_likelihood.extend(expected.iter().map(|mu| p.log_likelihood_of(mu)));
                    result.expected.extend(expected);
                }
                Some(simulator) => {
                    let theta = simulator.physical(points)?;
                    let mut expected = RowBlocks::empty(&self.device, points.len(), simulator.bins(), usize::MAX);
                    let mut log_likelihood = Tensor::empty(&self.device, points.len(), 1);
                    let outputs = Outputs {
                        expected: Some(&mut expected),
                        log_likelihood: Some(&mut log_likelihood),
                        ..Outputs::default()
                    };
                    let source = Source { seed: 0, stream: 0 };
                    simulator.run(Coordinates::Physical, &theta, source, outputs, &mut no_tick)?;
                    result.log_likelihood.extend(log_likelihood.download()?.into_iter().map(f64::from));
                    result.expected.extend(
                        rows_of(&expected)?
                            .chunks(simulator.bins())
                            .map(|mu| mu.iter().map(|&m| f64::from(m)).collect()),
                    );
                }
            }
        }
        Ok(result)
    }

    /// Batch number `batch` of spectra from the prior, from `rows` draws (at most [`BATCH`]). Draws that a run would leave out are left
    /// out here, too: the batch then has fewer spectra.
    pub fn draw(&self, batch: usize, rows: usize) -> Result<Batch> {
        let (p, d) = (self.problem.parameters.free().len(), self.problem.observations.bins());
        let seed = self.seed;
        let mut cube = Tensor::<f32>::zeros(&self.device, rows, p);
        random::fill_uniform(&self.device, seed, PRIOR_STREAM, batch * BATCH, &mut cube);
        let mut units = cube.download()?;
        let limit = f64::from(poisson::LARGEST);
        let fits = |mu: &[f64]| mu.iter().all(|m| (0.0..=limit).contains(m));
        let physical = |units: &[f32]| -> Vec<Vec<f64>> {
            let wide = |u: &[f32]| u.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            units.chunks(p).map(|u| self.problem.parameters.from_cube(&wide(u))).collect()
        };
        let keep = |units: &[f32], bad: &[usize]| -> Vec<f32> {
            let rows = units.chunks(p).enumerate().filter(|(row, _)| bad.binary_search(row).is_err());
            rows.flat_map(|(_, u)| u).copied().collect()
        };
        let source = Source { seed, stream: COUNTS_STREAM + batch as u32 };
        let (expected, counts) = match &self.simulator {
            None => {
                let problem = self.problem;
                if !problem.is_poisson() {
                    return Err(Error::Input("simulations with a background are drawn on a device, not in f64".into()));
                }
                let all = problem.expected_exactly(&physical(&units));
                if let Some(row) = all.iter().position(|mu| mu.iter().any(|m| m.is_nan() || *m < 0.0)) {
                    return Err(Error::Input(format!(
                        "spectrum {row} of the prior has an expected count that is no number"
                    )));
                }
                let bad: Vec<usize> = (0..rows).filter(|&row| !fits(&all[row])).collect();
                units = keep(&units, &bad);
                let expected: Vec<f64> = all.into_iter().filter(|mu| fits(mu)).flatten().collect();
                let means: Vec<f32> = expected.iter().map(|&m| m as f32).collect();
                let mut counts = vec![0f32; means.len()];
                if let Device::Cpu(cpu) = &self.device {
                    poisson::twin(cpu, source, 0, d, &means, &mut counts);
                }
                self.device.check()?;
                (expected, counts)
            }
            Some(simulator) => {
                let bad = range::beyond_of(simulator, poisson::LARGEST, &cube, self.observer)?;
                if !bad.is_empty() {
                    units = keep(&units, &bad);
                    cube = Tensor::from_slice(&self.device, rows - bad.len(), p, &units);
                }
                if cube.rows() == 0 {
                    return Ok(Batch { beyond: rows, theta: Vec::new(), expected: Vec::new(), counts: Vec::new() });
                }
                let mut counts = RowBlocks::empty(&self.device, cube.rows(), d, usize::MAX);
                let mut expected = RowBlocks::empty(&self.device, cube.rows(), d, usize::MAX);
                simulator.simulate(&cube, source, &mut counts, Some(&mut expected), None, &mut no_tick)?;
                (rows_of(&expected)?.into_iter().map(f64::from).collect(), rows_of(&counts)?)
            }
        };
        // The counts are whole numbers held in f32.
        let points = physical(&units);
        Ok(Batch {
            beyond: rows - points.len(),
            theta: points.concat(),
            expected,
            counts: counts.iter().map(|&c| c as u32).collect(),
        })
    }
}

fn rows_of(blocks: &RowBlocks<f32>) -> Result<Vec<f32>> {
    let mut all = Vec::new();
    for block in &blocks.blocks {
        all.extend(block.download()?);
    }
    Ok(all)
}
