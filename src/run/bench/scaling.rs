//! How cost grows: one quantity at a time is swept, a straight line and a power law are fitted to the times.
//!
//! What one would get wrong: a power law over a sweep whose first points are all overhead has a small exponent that says nothing about
//! the large end. So the line `seconds = fixed + slope x` is fitted to relative errors, and it is the slope that is extrapolated.

use super::stages::{SOURCE, calorimeter, cases};
use super::{Work, scaled, time};
use crate::Result;
use crate::analysis::Observer;
use crate::device::{Device, RowBlocks, Tensor};
use crate::infer::{Estimator, FlowSettings};
use crate::kernels::random;
use crate::model::{Model, Parameters, Prior, Program, Setting, Settings};
use crate::nn::FitSettings;
use crate::nn::training::Split;
use crate::simulate::{Simulator, no_tick};
use crate::summarize::{AutoEncoder, AutoEncoderSettings, Spectra, Summary, TrainingData};
use std::collections::BTreeMap;

/// One swept quantity.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Sweep {
    /// Stage of the program.
    pub stage: &'static str,
    /// What is varied.
    pub variable: String,
    /// What a unit of cost is: a spectrum, a training row.
    pub unit: &'static str,
    /// What stays as it is.
    pub fixed: String,
    /// Measurements, ascending in size.
    pub points: Vec<Point>,
    /// Line and power law through them.
    pub fit: Fit,
}

/// One size was timed.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Point {
    /// Size.
    pub x: f64,
    /// Of one unit; of the whole call where the number of spectra itself is swept.
    pub seconds: f64,
    /// Most bytes that tensors held.
    pub held_bytes: u64,
}

/// `seconds = fixed + slope x`, and `seconds ~ x^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Fit {
    /// Seconds at size 0.
    pub fixed: f64,
    /// Seconds per size.
    pub slope: f64,
    /// Exponent of the power law.
    pub exponent: f64,
    /// Largest relative distance of a point from the line.
    pub worst: f64,
}

/// Everything of one device.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Scaling {
    /// Name of the device.
    pub device: String,
    /// Kind of device.
    pub kind: String,
    /// One sweep per quantity.
    pub sweeps: Vec<Sweep>,
    /// What very many simulations take.
    pub plans: Vec<Plan>,
}

/// What a very large number of simulations takes, by the slope of the sweep over the number of spectra.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Plan {
    /// Instrument that the sizes are those of.
    pub case: &'static str,
    /// Number of simulations.
    pub simulations: f64,
    /// Seconds that they take.
    pub seconds: f64,
    /// Expected counts of all of them, if they were kept [bytes].
    pub stored_bytes: f64,
    /// What the simulator itself holds besides, whatever the number [bytes].
    pub working_bytes: f64,
}

/// Simulations of the plan.
pub const MANY: f64 = 1e9;

impl Fit {
    /// Least squares of relative errors for the line, of logarithms for the exponent.
    fn new(points: &[Point]) -> Self {
        // Weighted normal equations with w = 1 / seconds^2.
        let mut sums = [0.0f64; 5];
        for Point { x, seconds, .. } in points {
            let w = 1.0 / (seconds * seconds);
            for (sum, term) in sums.iter_mut().zip([w, w * x, w * x * x, w * seconds, w * x * seconds]) {
                *sum += term;
            }
        }
        let [s, sx, sxx, sy, sxy] = sums;
        let slope = (s * sxy - sx * sy) / (s * sxx - sx * sx);
        let fixed = (sy - slope * sx) / s;
        let n = points.len() as f64;
        let logs: Vec<(f64, f64)> = points.iter().map(|p| (p.x.ln(), p.seconds.ln())).collect();
        let (mx, my) = (logs.iter().map(|l| l.0).sum::<f64>() / n, logs.iter().map(|l| l.1).sum::<f64>() / n);
        let exponent = logs.iter().map(|l| (l.0 - mx) * (l.1 - my)).sum::<f64>()
            / logs.iter().map(|l| (l.0 - mx).powi(2)).sum::<f64>();
        let off = |p: &Point| ((fixed + slope * p.x) / p.seconds - 1.0).abs();
        Fit { fixed, slope, exponent, worst: points.iter().map(off).fold(0.0, f64::max) }
    }
}

/// Measures all sweeps on a device; `on_sweep` sees each as it comes.
///
/// # Errors
/// Those of the stages.
pub fn run(observer: &dyn Observer, device: &Device, on_sweep: &mut dyn FnMut(&Sweep)) -> Result<Scaling> {
    let mut sweeps = Vec::new();
    let mut plans = Vec::new();
    let mut keep = |sweep: Sweep| {
        on_sweep(&sweep);
        sweeps.push(sweep);
    };
    for case in cases() {
        for (name, simulator) in case.simulators(device)? {
            let [software, cpu, gpu] = case.rows;
            let most = scaled(device, software, cpu, gpu);
            let sizes: Vec<usize> = [16, 8, 4, 2, 1].iter().map(|part| (most / part).max(1)).collect();
            let points = points(&sizes, |n| simulate(observer, device, &simulator, n, false))?;
            let sweep = Sweep {
                stage: "simulate",
                variable: format!("spectra ({name})"),
                unit: "call",
                fixed: format!("{} bins, {} energies", simulator.bins(), simulator.energies()),
                fit: Fit::new(&points),
                points,
            };
            plans.push(Plan {
                case: name,
                simulations: MANY,
                seconds: sweep.fit.fixed.max(0.0) + MANY * sweep.fit.slope,
                stored_bytes: 4.0 * MANY * simulator.bins() as f64,
                working_bytes: simulator.working_bytes(most) as f64,
            });
            keep(sweep);
        }
    }
    let spectra = scaled(device, 16, 256, 4096);
    let instrument = |bins: usize, energies: usize, components: usize| -> Result<Point> {
        let simulator = power_laws(device, bins, energies, components)?;
        simulate(observer, device, &simulator, spectra, true)
    };
    keep(sweep(
        "simulate",
        "bins",
        "spectrum",
        "12 000 energies, one power law".into(),
        &[350, 700, 1400, 2800],
        |bins| instrument(bins, 12_000, 1),
    )?);
    let energies = [3000, 6000, 12_000, 24_000];
    keep(sweep("simulate", "energies", "spectrum", "1000 bins, one power law".into(), &energies, |energies| {
        instrument(1000, energies, 1)
    })?);
    keep(sweep(
        "simulate",
        "parameters",
        "spectrum",
        "1000 bins, 6000 energies, power laws".into(),
        &[2, 4, 8, 16],
        |p| instrument(1000, 6000, p / 2),
    )?);
    let widths = if device.kind() == "software" { vec![32, 64, 128] } else { vec![64, 128, 256, 512, 1024] };
    keep(sweep(
        "summarize",
        "weights",
        "row",
        "64 to 1024 bins (software: 32 to 128), hidden = bins / 2, latent 64".into(),
        &widths,
        |bins| {
            let (point, weights) = autoencoder(observer, device, bins, 64)?;
            Ok(Point { x: weights as f64, ..point })
        },
    )?);
    keep(sweep("summarize", "latent", "row", "128 bins, hidden 64".into(), &[8, 16, 32, 64, 128], |latent| {
        Ok(autoencoder(observer, device, 128, latent)?.0)
    })?);
    let flow = FlowSettings { transforms: 6, hidden: 64, layers: 2 };
    keep(sweep(
        "infer",
        "hidden",
        "pair",
        "5 parameters, 32 summaries, 6 transforms".into(),
        &[16, 32, 64, 128],
        |hidden| train_flow(observer, device, FlowSettings { hidden, ..flow }, 5, 32),
    )?);
    keep(sweep(
        "infer",
        "transforms",
        "pair",
        "5 parameters, 32 summaries, 64 units".into(),
        &[2, 4, 8, 16],
        |transforms| train_flow(observer, device, FlowSettings { transforms, ..flow }, 5, 32),
    )?);
    keep(sweep(
        "infer",
        "summaries",
        "pair",
        "5 parameters, 6 transforms of 64 units".into(),
        &[8, 32, 128, 256],
        |c| train_flow(observer, device, flow, 5, c),
    )?);
    keep(sweep("infer", "parameters", "pair", "32 summaries, 6 transforms of 64 units".into(), &[2, 4, 8, 16], |p| {
        train_flow(observer, device, flow, p, 32)
    })?);
    device.check()?;
    Ok(Scaling { device: device.name(), kind: device.kind().into(), sweeps, plans })
}

fn sweep(
    stage: &'static str,
    variable: &'static str,
    unit: &'static str,
    fixed: String,
    sizes: &[usize],
    at: impl FnMut(usize) -> Result<Point>,
) -> Result<Sweep> {
    let points = points(sizes, at)?;
    Ok(Sweep { stage, variable: variable.into(), unit, fixed, fit: Fit::new(&points), points })
}

/// `at` may put another number than the size into [`Point::x`]: the weights of a network whose widths follow from it.
fn points(sizes: &[usize], mut at: impl FnMut(usize) -> Result<Point>) -> Result<Vec<Point>> {
    sizes
        .iter()
        .map(|&size| at(size).map(|point| if point.x > 0.0 { point } else { Point { x: size as f64, ..point } }))
        .collect()
}

/// Median time of `repetition`, per unit.
fn measure(
    observer: &dyn Observer,
    device: &Device,
    units: usize,
    repetition: &mut dyn FnMut() -> Result<()>,
) -> Result<Point> {
    let row = time(observer, device, ["scaling", "", "", ""], Work::units(units), None, repetition)?;
    Ok(Point { x: 0.0, seconds: 1.0 / row.per_second, held_bytes: row.held_bytes })
}

/// Poisson spectra from the prior; per spectrum or of the whole call.
fn simulate(observer: &dyn Observer, device: &Device, simulator: &Simulator, n: usize, each: bool) -> Result<Point> {
    let mut cube = Tensor::empty(device, n, simulator.names().len());
    random::fill_uniform(device, 1, 0, 0, &mut cube);
    let mut counts = RowBlocks::empty(device, n, simulator.bins(), usize::MAX);
    measure(observer, device, if each { n } else { 1 }, &mut || {
        Ok(simulator.simulate(&cube, SOURCE, &mut counts, None, None, &mut no_tick)?)
    })
}

/// A sum of power laws on the calorimeter: two free parameters each.
fn power_laws(device: &Device, bins: usize, energies: usize, components: usize) -> Result<Simulator> {
    let model = Model::parse(&vec!["powerlaw"; components.max(1)].join("+"), &Settings::default())?;
    let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
    for k in 1..=components.max(1) {
        let name = if k == 1 { "powerlaw".into() } else { format!("powerlaw_{k}") };
        settings.insert(format!("{name}.PhoIndex"), Setting::Free(Prior::Uniform { lo: 0.5, hi: 3.0 }));
        settings.insert(format!("{name}.norm"), Setting::Free(Prior::LogUniform { lo: 1e-4, hi: 1e-2 }));
    }
    let parameters = Parameters::resolve(&model, &settings)?;
    let folded = calorimeter(bins, energies);
    let program = Program::new(&model, &folded.edges)?;
    Ok(Simulator::new(device, &program, &parameters, &folded, &vec![20; folded.bins()])?)
}

/// One epoch of the auto-encoder on stored counts, per training row.
fn autoencoder(observer: &dyn Observer, device: &Device, bins: usize, latent: usize) -> Result<(Point, usize)> {
    let rows = scaled(device, 512, 10_240, 51_200);
    let mut counts = RowBlocks::<f32>::empty(device, rows, bins, usize::MAX);
    for block in &mut counts.blocks {
        let values: Vec<f32> = (0..block.len()).map(|i| (i * 7919 % 41) as f32).collect();
        block.upload(&values);
    }
    let settings = AutoEncoderSettings { latent, ..AutoEncoderSettings::default() };
    let mut network = AutoEncoder::new(device, bins, &settings)?;
    let fit = FitSettings { max_epochs: 1, ..settings.fit() };
    let data = TrainingData { spectra: Spectra::counts(&counts), rows: None };
    let split = Split::new(rows, fit.batch, fit.validation_fraction)?;
    let weights = network.parameters();
    let point = measure(observer, device, split.train_rows, &mut || {
        Ok(network.train(device, &data, &fit, &mut |_| Ok(())).map(drop)?)
    })?;
    Ok((point, weights))
}

/// One epoch of a flow, per training pair.
fn train_flow(
    observer: &dyn Observer,
    device: &Device,
    settings: FlowSettings,
    parameters: usize,
    summaries: usize,
) -> Result<Point> {
    let rows = scaled(device, 256, 5120, 20_480);
    let mut cube = Tensor::empty(device, rows, parameters);
    random::fill_uniform(device, 1, 0, 0, &mut cube);
    let mut context = Tensor::empty(device, rows, summaries);
    random::fill_normal(device, 1, 1, 0, &mut context);
    let mut flow = Estimator::new(device, parameters, summaries, settings, 1)?;
    let fit = FitSettings { batch: 256, max_epochs: 1, ..FitSettings::default() };
    let split = Split::new(rows, fit.batch, fit.validation_fraction)?;
    measure(observer, device, split.train_rows, &mut || {
        Ok(flow.train(&cube, vec![context.first_rows(rows)], &fit, &mut |_| Ok(())).map(drop)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_whatever_the_overhead() {
        let at = |x: f64, seconds: f64| Point { x, seconds, held_bytes: 0 };
        let line: Vec<Point> = [1.0, 10.0, 100.0, 1000.0].iter().map(|&x| at(x, 0.5 + 2e-3 * x)).collect();
        let fit = Fit::new(&line);
        assert!((fit.fixed - 0.5).abs() < 1e-9 && (fit.slope - 2e-3).abs() < 1e-12 && fit.worst < 1e-9, "{fit:?}");
        assert!(fit.exponent > 0.0 && fit.exponent < 1.0, "{fit:?}");
        let square: Vec<Point> = [1.0, 2.0, 4.0, 8.0].iter().map(|&x| at(x, 3.0 * x * x)).collect();
        let fit = Fit::new(&square);
        assert!((fit.exponent - 2.0).abs() < 1e-12 && fit.worst > 0.1, "a line does not fit a parabola: {fit:?}");
    }
}
