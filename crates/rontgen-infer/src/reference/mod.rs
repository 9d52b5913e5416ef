//! Reference samplers on the batched exact likelihood: what a posterior by simulation-based inference is compared with.
//!
//! Both propose on the host in f64, in the unit cube of the prior, and evaluate hundreds to thousands of points at once.
//!
//! | file | what |
//! |---|---|
//! | [`nested`] | nested sampling: live points, batch removal, when to stop |
//! | [`region`] | candidates from a region around the live points (friends' balls and bounding ellipsoids) |
//! | [`mod@slice`] | the fall-back where regions are hopeless: many slice-sampling walkers in lockstep |
//! | [`evidence`] | volumes, evidence with its error, posterior weights |
//! | [`ensemble`] | affine-invariant ensembles of walkers (Goodman & Weare 2010), R-hat and autocorrelation |

pub mod ensemble;
pub mod evidence;
pub mod nested;
pub mod region;
pub mod slice;

pub use ensemble::{Ensemble, EnsembleSettings};
pub use evidence::Evidence;
pub use nested::{Nested, NestedSettings, NestedState};

use crate::Result;
use crate::device::Tensor;
use crate::simulate::{Simulator, no_tick};
use rand::SeedableRng;
use rand_pcg::Pcg64;

/// A likelihood that is evaluated for many points at once.
pub trait Likelihood {
    /// Number of parameters, P.
    fn parameters(&self) -> usize;

    /// `ln L` at the rows of `cube` (N x P, unit cube of the prior); negative infinity where there is none.
    ///
    /// # Errors
    /// A device that failed, an interruption.
    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>>;
}

/// A plain function as a likelihood: P, and `ln L` at one point of the unit cube.
pub struct Function<F>(pub usize, pub F);

impl<F: Fn(&[f64]) -> f64> Likelihood for Function<F> {
    fn parameters(&self) -> usize {
        self.0
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>> {
        Ok(cube.chunks_exact(self.0).map(&self.1).collect())
    }
}

/// -C-STAT/2 of a simulator's observed counts: the likelihood relative to that of the counts themselves as expected ones.
impl Likelihood for &Simulator {
    fn parameters(&self) -> usize {
        self.names().len()
    }

    fn evaluate(&mut self, cube: &[f64]) -> Result<Vec<f64>> {
        let p = self.names().len();
        let rows: Vec<f32> = cube.iter().map(|&u| u as f32).collect();
        let rows = Tensor::from_slice(self.device(), rows.len() / p.max(1), p, &rows);
        Ok(self.log_likelihood(&rows, &mut no_tick)?.download()?.into_iter().map(f64::from).collect())
    }
}

/// The generator of one piece of work: the same whatever was drawn before, so that a resumed run goes on as an uninterrupted one.
fn generator(seed: u64, iteration: u64, piece: u64) -> Pcg64 {
    let mut mixed = seed ^ 0x6e65_7374_6564;
    for part in [iteration, piece] {
        // SplitMix64's finaliser.
        mixed = mixed.wrapping_add(part.wrapping_mul(0xbf58_476d_1ce4_e5b9)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
    }
    Pcg64::seed_from_u64(mixed)
}

/// A coordinate as a device will see it: in f32, inside the cube. Points are kept as they were evaluated.
fn rounded(u: f64) -> f64 {
    f64::from(u as f32).clamp(0.0, 1.0)
}
