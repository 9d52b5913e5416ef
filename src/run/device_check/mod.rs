//! Whether an adapter computes what it should: every kernel on it against its CPU twin, on random shapes, and a stretch of the demo.
//!
//! The twins are held to f64 oracles by the kernels' tests, on every machine that runs these; what differs between machines is the
//! adapter, its driver, and how it compiles the shaders. The tolerance of each check is that of the kernel's test, on both sides.

mod arrays;
mod counts;
mod models;
mod networks;
pub mod record;

use std::cmp::Ordering;
use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::analysis::Observer;
use crate::device::{Device, Tensor};
use crate::{Error, Result};

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every kernel, every tile of products, every component.
    Full,
    /// What the first run on an adapter waits for: every family once.
    Quick,
}

/// How two lists of numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tolerance {
    /// Bit by bit.
    Bits,
    /// The largest |a - b| / (|b| + floor).
    Relative { most: f64, floor: f64 },
    /// The share of numbers that differ by more than `beyond` of themselves: draws that rounding decides.
    Share { most: f64, beyond: f64 },
}

/// The outcome of one check.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Check {
    /// Family of kernels.
    pub family: &'static str,
    /// What was computed, with its shape.
    pub what: String,
    /// How far device and CPU are apart; NaN where the device gave no numbers.
    #[serde(serialize_with = "finite")]
    pub error: f64,
    /// What is allowed.
    pub tolerance: f64,
    /// Time on the device, compilation included [s].
    pub seconds: f64,
    /// What the device said instead of numbers.
    pub problem: Option<String>,
}

fn finite<S: serde::Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if x.is_finite() { serializer.serialize_some(x) } else { serializer.serialize_none() }
}

impl Check {
    /// Whether the device may be trusted with it.
    pub fn passed(&self) -> bool {
        self.problem.is_none() && self.error <= self.tolerance
    }
}

type Job = Box<dyn Fn(&Device) -> Result<Vec<f32>>>;

/// Something that is computed on both devices.
struct Case {
    family: &'static str,
    what: String,
    tolerance: Tolerance,
    job: Job,
}

/// The cases, with the numbers that they are made of.
struct Cases {
    rng: Pcg64,
    extent: Extent,
    list: Vec<Case>,
}

impl Cases {
    fn add(
        &mut self,
        family: &'static str,
        what: impl Into<String>,
        tolerance: Tolerance,
        job: impl Fn(&Device) -> Result<Vec<f32>> + 'static,
    ) {
        self.list.push(Case { family, what: what.into(), tolerance, job: Box::new(job) });
    }

    /// A size from `low` to `high`, odd or even as it comes.
    fn size(&mut self, low: usize, high: usize) -> usize {
        self.rng.random_range(low..=high)
    }

    /// Numbers in [-1, 1).
    fn noise(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.rng.random_range(-1.0..1.0f32)).collect()
    }

    /// Numbers in (0, 1).
    fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.rng.random_range(1e-6..1.0 - 1e-6f32)).collect()
    }

    /// Whole numbers as counts have them, some empty.
    fn counts(&mut self, n: usize, bright: f32) -> Vec<f32> {
        (0..n).map(|_| (bright * self.rng.random_range(0.0..1.0f32).powi(3)).round()).collect()
    }
}

/// A tensor of `rows` rows.
fn matrix(device: &Device, rows: usize, values: &[f32]) -> Tensor<f32> {
    Tensor::from_slice(device, rows, values.len().checked_div(rows).unwrap_or(0), values)
}

fn list(extent: Extent, seed: u64) -> Result<Vec<Case>> {
    let mut cases = Cases { rng: Pcg64::seed_from_u64(seed), extent, list: Vec::new() };
    arrays::add(&mut cases);
    counts::add(&mut cases);
    networks::add(&mut cases);
    models::add(&mut cases)?;
    Ok(cases.list)
}

/// How far apart two lists are, and what is allowed.
fn compare(found: &[f32], wanted: &[f32], tolerance: Tolerance) -> (f64, f64) {
    let most = match tolerance {
        Tolerance::Bits => 0.0,
        Tolerance::Relative { most, .. } | Tolerance::Share { most, .. } => most,
    };
    if found.len() != wanted.len() {
        return (f64::INFINITY, most);
    }
    let pairs = found.iter().zip(wanted).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    // What is not finite on both sides alike is no difference.
    let pairs = pairs.map(|(a, b)| if a == b || a.is_nan() && b.is_nan() { (0.0, 0.0) } else { (a, b) });
    let error = match tolerance {
        Tolerance::Bits => found.iter().zip(wanted).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as f64,
        Tolerance::Relative { floor, .. } => {
            let errors = pairs.map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() / (b.abs() + floor) });
            errors.fold(0.0, |most: f64, x| if x.is_nan() { f64::INFINITY } else { most.max(x) })
        }
        Tolerance::Share { beyond, .. } => {
            let apart = pairs
                .filter(|(a, b)| (a - b).abs().partial_cmp(&(beyond * b.abs())).is_none_or(Ordering::is_gt))
                .count();
            // Those that are the same were made 0, which is within.
            apart as f64 / found.len().max(1) as f64
        }
    };
    (error, most)
}

/// Checks a device against the CPU, `only` these families where any is named; `on_check` sees every outcome as it comes.
///
/// # Errors
/// An interruption. What the device does wrong is an outcome.
pub fn run(
    device: &Device,
    extent: Extent,
    only: &[&str],
    seed: u64,
    observer: &dyn Observer,
    on_check: &mut dyn FnMut(&Check),
) -> Result<Vec<Check>> {
    let mut cases = list(extent, seed)?;
    cases.retain(|case| only.is_empty() || only.contains(&case.family));
    let cpu = Device::cpu();
    observer.stage("device check", cases.len() as u64);
    let mut checks = Vec::with_capacity(cases.len());
    for case in cases {
        if observer.interrupted() {
            return Err(Error::Interrupted);
        }
        // What the CPU cannot compute either (a convolution whose defaults leave no photons) says nothing of an adapter.
        let Ok(wanted) = (case.job)(&cpu) else { continue };
        let start = Instant::now();
        let found = (case.job)(device);
        // A fault that the device kept for later is this case's.
        let found = device.check().map_err(Error::from).and(found);
        let seconds = start.elapsed().as_secs_f64();
        let (error, tolerance) = compare(found.as_deref().unwrap_or(&[]), &wanted, case.tolerance);
        let problem = found.err().map(|error| error.to_string());
        let error = if problem.is_some() { f64::NAN } else { error };
        let check = Check { family: case.family, what: case.what, error, tolerance, seconds, problem };
        on_check(&check);
        checks.push(check);
        observer.advance(1);
    }
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every component that needs nothing beside the program can be stated.
    #[test]
    fn all_cases_can_be_made() {
        let all = list(Extent::Full, 1).unwrap();
        let models = all.iter().filter(|case| case.family == "model").count();
        assert!(models > 60 && all.len() > models + 40, "{models} of {}", all.len());
    }

    #[test]
    fn what_is_apart_is_seen() {
        let relative = Tolerance::Relative { most: 1e-5, floor: 1.0 };
        assert_eq!(compare(&[1.0, 2.0], &[1.0, 2.0], relative).0, 0.0);
        assert!((compare(&[1.0, 2.3], &[1.0, 2.0], relative).0 - 0.1).abs() < 1e-6);
        assert_eq!(compare(&[f32::NAN], &[1.0], relative).0, f64::INFINITY);
        assert_eq!(compare(&[f32::NAN, f32::INFINITY], &[f32::NAN, f32::INFINITY], relative).0, 0.0);
        assert_eq!(compare(&[1.0], &[1.0, 2.0], relative).0, f64::INFINITY);
        let bare = Tolerance::Relative { most: 1e-5, floor: 0.0 };
        assert_eq!((compare(&[0.0, 1.0], &[0.0, 1.0], bare).0, compare(&[1e-9], &[0.0], bare).0), (0.0, f64::INFINITY));
        assert_eq!(compare(&[0.0, 1.0], &[-0.0, 1.0], Tolerance::Bits).0, 1.0);
        let share = Tolerance::Share { most: 0.1, beyond: 0.0 };
        assert_eq!(compare(&[1.0, 2.0, 3.0, f32::NAN], &[1.0, 2.0, 4.0, 4.0], share).0, 0.5);
    }
}
