//! Throughput of the stages on one device: how `rontgen bench` gets its numbers. No data files are needed.
//!
//! The case "CCD" is the built-in instrument (EPIC-pn-like: about 130 bins, 5 parameters), "X-IFU" a made-up calorimeter of 2800
//! bins and 30 000 energies with a narrow response. What one would get wrong: operations count only what the result needs (no padding,
//! no weights that a mask forbids), so that the share of the peak is honest; and every repetition ends with the device idle.

mod baseline;
mod kernels;
pub mod scaling;
mod stages;

pub use baseline::{Baseline, Comparison};

use std::time::{Duration, Instant};

use crate::analysis::{Observer, Problem};
use crate::device::{Device, Tensor};
use crate::kernels::activation::{self, Activation};
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::random;
use crate::{Error, Result};

/// What can be asked for.
pub const STAGES: [&str; 7] = ["kernels", "simulate", "likelihood", "summarize", "infer", "sample", "emulate"];

/// Repetitions after the first (which compiles and allocates) go on until this much time is spent.
const BUDGET: Duration = Duration::from_millis(600);
const MOST_REPETITIONS: usize = 50;

/// One kernel's part in a repetition.
#[derive(Debug, Clone, serde::Serialize)]
pub struct KernelShare {
    /// Name of the kernel.
    pub kernel: String,
    /// Launches of it.
    pub launches: f64,
    /// Device time [s]: by timestamps on a GPU.
    pub seconds: f64,
}

/// One measurement.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Row {
    /// Stage of the program.
    pub stage: &'static str,
    /// Instrument that the sizes are those of.
    pub case: &'static str,
    /// What was done.
    pub what: &'static str,
    /// What [`Row::per_second`] counts.
    pub unit: &'static str,
    /// Units per second.
    pub per_second: f64,
    /// Median time of a repetition [s].
    pub seconds: f64,
    /// Time of the fastest repetition [s].
    pub fastest_seconds: f64,
    /// Repetitions that were timed.
    pub repetitions: usize,
    /// Launches of kernels per step: a batch of training, else a repetition.
    pub launches_per_step: f64,
    /// Floating-point operations that the result needs [1e9/s], where that means something.
    pub gflops: Option<f64>,
    /// Bytes that must move [1e9/s], where that is what limits.
    pub gbytes: Option<f64>,
    /// Of the measured peak of products or of copies, whichever applies.
    pub share_of_peak: Option<f64>,
    /// Time of a repetition by the device's own clock [s], its launches added up: what is left of [`Row::seconds`] is the host's.
    pub device_seconds: Option<f64>,
    /// Most bytes that tensors held at one time.
    pub held_bytes: u64,
    /// The kernels of a repetition, dearest first.
    pub kernels: Vec<KernelShare>,
}

/// The device's own limits, measured: of the fastest repetition, since other programs can only make it slower.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Peaks {
    /// Large square product, f32 [GFLOP/s].
    pub gflops: f64,
    /// Copy of an array beyond the caches, read and written bytes [GB/s].
    pub gbytes: f64,
}

/// Everything measured on one device.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// Name of the device.
    pub device: String,
    /// Interface to it.
    pub backend: String,
    /// Kind of device.
    pub kind: String,
    /// Rates that the device reaches at best.
    pub peaks: Peaks,
    /// Measurements.
    pub rows: Vec<Row>,
}

/// What a repetition amounts to.
#[derive(Debug, Clone, Copy)]
struct Work {
    units: f64,
    steps: f64,
    flop: Option<f64>,
    bytes: Option<f64>,
}

impl Work {
    fn units(units: usize) -> Self {
        Work { units: units as f64, steps: 1.0, flop: None, bytes: None }
    }

    fn flop(self, flop: f64) -> Self {
        Work { flop: Some(flop), ..self }
    }
}

/// A device with its peaks and the rows so far.
struct Bench<'a> {
    device: Device,
    observer: &'a dyn Observer,
    /// In place of the built-in cases.
    problem: Option<&'a Problem>,
    peaks: Peaks,
    rows: Vec<Row>,
    on_row: &'a mut dyn FnMut(&Row),
}

/// How large the work of a repetition may be: numbers are rates, so that devices may differ in it.
fn scaled(device: &Device, software: usize, cpu: usize, gpu: usize) -> usize {
    match device.kind() {
        "software" => software,
        "cpu" => cpu,
        _ => gpu,
    }
}

/// Checks names of stages; none means all.
///
/// # Errors
/// [`Error::Input`] that lists the stages.
pub fn chosen(names: &[String]) -> Result<Vec<&'static str>> {
    if names.is_empty() {
        return Ok(STAGES.to_vec());
    }
    let find = |name: &String| {
        let known = STAGES.iter().find(|stage| stage.eq_ignore_ascii_case(name)).copied();
        known.ok_or_else(|| Error::Input(format!("bench: no stage {name:?}; there are {}", STAGES.join(", "))))
    };
    names.iter().map(find).collect()
}

/// Measures `stages` on a device; `on_row` sees every row as it comes. With a `problem`, simulation and likelihood are those of it.
///
/// # Errors
/// Those of the stages: a device that fails.
pub fn run(
    device: &Device,
    stages: &[&'static str],
    problem: Option<&Problem>,
    observer: &dyn Observer,
    on_row: &mut dyn FnMut(&Row),
) -> Result<Report> {
    let (mut device_rows, peaks) = peaks(observer, device)?;
    let mut bench = Bench { device: device.clone(), observer, problem, peaks, rows: Vec::new(), on_row };
    for &stage in stages {
        match stage {
            "kernels" => {
                for row in device_rows.drain(..) {
                    (bench.on_row)(&row);
                    bench.rows.push(row);
                }
                kernels::run(&mut bench)?;
            }
            "simulate" => stages::simulate(&mut bench)?,
            "likelihood" => stages::likelihood(&mut bench)?,
            "summarize" => stages::summarize(&mut bench)?,
            "infer" => stages::infer(&mut bench)?,
            "sample" => stages::sample(&mut bench)?,
            _ => stages::emulate(&mut bench)?,
        }
    }
    Ok(Report { device: device.name(), backend: device.backend(), kind: device.kind().into(), peaks, rows: bench.rows })
}

impl Bench<'_> {
    /// Times `repetition` and keeps the row. `label`: stage, case, what, unit.
    fn measure(
        &mut self,
        label: [&'static str; 4],
        work: Work,
        repetition: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let row = time(self.observer, &self.device, label, work, Some(self.peaks), repetition)?;
        (self.on_row)(&row);
        self.rows.push(row);
        Ok(())
    }
}

fn launches(device: &Device) -> u64 {
    device.profiler().kernels().values().map(|used| used.launches).sum()
}

/// One repetition with every launch timed by the device. On a GPU without timestamps launches are counted only.
fn by_kernel(device: &Device, once: &mut dyn FnMut() -> Result<f64>) -> Result<(Option<f64>, Vec<KernelShare>)> {
    let gpu = match device {
        Device::Gpu(gpu) => Some(gpu),
        Device::Cpu(_) => None,
    };
    let timed = gpu.is_none_or(|gpu| gpu.time_launches(true));
    let before = device.profiler().kernels();
    let outcome = once();
    if let Some(gpu) = gpu {
        gpu.time_launches(false);
    }
    outcome?;
    let mut kernels: Vec<KernelShare> = device
        .profiler()
        .kernels()
        .into_iter()
        .filter_map(|(kernel, after)| {
            let before = before.get(&kernel).copied().unwrap_or_default();
            let launches = (after.launches - before.launches) as f64;
            let seconds = (after.busy - before.busy).as_secs_f64();
            (launches > 0.0).then_some(KernelShare { kernel, launches, seconds })
        })
        .collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    Ok((timed.then(|| kernels.iter().map(|share| share.seconds).sum()), kernels))
}

fn time(
    observer: &dyn Observer,
    device: &Device,
    [stage, case, what, unit]: [&'static str; 4],
    work: Work,
    peaks: Option<Peaks>,
    repetition: &mut dyn FnMut() -> Result<()>,
) -> Result<Row> {
    let mut once = || -> Result<f64> {
        observer.check()?;
        let start = Instant::now();
        repetition()?;
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64())
    };
    device.profiler().forget_most_held();
    once()?;
    let (begin, before) = (Instant::now(), launches(device));
    let mut times = Vec::new();
    while times.is_empty() || begin.elapsed() < BUDGET && times.len() < MOST_REPETITIONS {
        times.push(once()?);
    }
    let launched = launches(device) - before;
    let held_bytes = device.profiler().most_held_bytes();
    let (device_seconds, kernels) = by_kernel(device, &mut once)?;
    let repetitions = times.len();
    times.sort_by(f64::total_cmp);
    let seconds = times.get(repetitions / 2).copied().unwrap_or(f64::NAN).max(1e-9);
    let fastest_seconds = times.first().copied().unwrap_or(f64::NAN).max(1e-9);
    let gflops = work.flop.map(|flop| flop / seconds * 1e-9);
    let gbytes = work.bytes.map(|bytes| bytes / seconds * 1e-9);
    let share_of_peak = match (peaks, gflops, gbytes) {
        (Some(peaks), Some(gflops), _) => Some(gflops / peaks.gflops),
        (Some(peaks), None, Some(gbytes)) => Some(gbytes / peaks.gbytes),
        _ => None,
    };
    Ok(Row {
        stage,
        case,
        what,
        unit,
        per_second: work.units / seconds,
        seconds,
        fastest_seconds,
        repetitions,
        launches_per_step: launched as f64 / (repetitions as f64 * work.steps),
        gflops,
        gbytes,
        share_of_peak,
        device_seconds,
        held_bytes,
        kernels,
    })
}

/// The copy and the product that give the peaks, as rows of the stage "kernels" too.
fn peaks(observer: &dyn Observer, device: &Device) -> Result<(Vec<Row>, Peaks)> {
    let cols = 1024;
    let n = scaled(device, 1 << 20, 1 << 24, 1 << 24) / cols;
    let mut from = Tensor::empty(device, n, cols);
    random::fill_uniform(device, 1, 0, 0, &mut from);
    let mut to = Tensor::empty(device, n, cols);
    let work = Work { bytes: Some(8.0 * from.len() as f64), ..Work::units(from.len()) };
    let copy = time(observer, device, ["kernels", "peak", "copy", "numbers"], work, None, &mut || {
        activation::forward(device, Activation::Linear, &from, &mut to);
        Ok(())
    })?;
    drop((from, to));
    let n = scaled(device, 128, 1024, 4096);
    let product = product(observer, device, ["kernels", "peak", "product", "multiplications"], [n, n, n], None)?;
    let peak = |row: &Row, rate: Option<f64>| rate.unwrap_or(f64::NAN) * row.seconds / row.fastest_seconds;
    let peaks = Peaks { gflops: peak(&product, product.gflops), gbytes: peak(&copy, copy.gbytes) };
    Ok((vec![copy, product], peaks))
}

/// `m x k` times `k x n`.
fn product(
    observer: &dyn Observer,
    device: &Device,
    label: [&'static str; 4],
    [m, k, n]: [usize; 3],
    peaks: Option<Peaks>,
) -> Result<Row> {
    let mut a = Tensor::empty(device, m, k);
    let mut b = Tensor::empty(device, k, n);
    random::fill_uniform(device, 1, 0, 0, &mut a);
    random::fill_uniform(device, 1, 1, 0, &mut b);
    let mut c = Tensor::empty(device, m, n);
    let work = Work::units(m * k * n).flop(2.0 * (m * k * n) as f64);
    time(observer, device, label, work, peaks, &mut || {
        gemm(device, Matrix::whole(&a), Matrix::whole(&b), &mut MatrixMut::whole(&mut c), Epilogue::default());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_known_by_name() {
        assert_eq!(chosen(&[]).unwrap(), STAGES);
        assert_eq!(chosen(&["Infer".into(), "kernels".into()]).unwrap(), ["infer", "kernels"]);
        let error = chosen(&["flow".into()]).unwrap_err().to_string();
        assert!(error.contains("\"flow\"") && error.contains("summarize"), "{error}");
    }

    /// A repetition that takes a known time is reported with it.
    #[test]
    fn rates_follow_from_the_median() {
        let device = Device::cpu();
        let mut calls = 0;
        let work = Work { steps: 2.0, ..Work::units(50) }.flop(1e6);
        let peaks = Peaks { gflops: 1.0, gbytes: 1.0 };
        let row = time(&(), &device, ["s", "c", "w", "u"], work, Some(peaks), &mut || {
            calls += 1;
            // Two launches per repetition; one odd repetition must not matter.
            for _ in 0..2 {
                if let Device::Cpu(cpu) = &device {
                    cpu.run("nap", || std::thread::sleep(Duration::from_millis(if calls == 3 { 100 } else { 10 })));
                }
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((row.repetitions, row.launches_per_step), (calls - 2, 1.0), "one to warm up, one by kernel");
        let [share] = &row.kernels[..] else { panic!("{:?}", row.kernels) };
        assert!(share.kernel == "nap" && share.launches == 2.0 && row.device_seconds == Some(share.seconds));
        assert!(share.seconds >= 0.020, "{}", share.seconds);
        assert!(row.seconds >= 0.020 && row.seconds < 0.1, "{}", row.seconds);
        assert!(row.fastest_seconds >= 0.020 && row.fastest_seconds <= row.seconds);
        assert!((row.per_second * row.seconds - 50.0).abs() < 1e-6);
        let gflops = row.gflops.unwrap();
        assert!((gflops * row.seconds - 1e-3).abs() < 1e-9 && row.share_of_peak == Some(gflops));
    }
}
