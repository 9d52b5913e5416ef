//! Expected counts and C-STAT in plain f64: slow, and the judge of every device.

use rayon::prelude::*;

use super::ArmSpec;
use crate::{
    model::{Parameters, Program},
    observation::FoldedResponse,
};

/// Expected counts per bin at each point. `points`: n x P free parameters; the result: n x D.
pub fn expected_counts(
    program: &Program,
    parameters: &Parameters,
    folded: &FoldedResponse,
    points: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    points
        .par_iter()
        .map(|theta| {
            let mut flux = vec![0.0; program.energies()];
            program.evaluate(&parameters.full(theta), &mut flux);
            folded.fold(&flux)
        })
        .collect()
}

/// Expected counts of several arms on one axis of D columns, as [`super::Simulator::joint`] has them. `points`: n x P free parameters; the
/// result: n x D.
///
/// # Panics
/// When an arm's columns are not those of its response, or lie beyond D.
pub fn joint_counts(arms: &[ArmSpec<'_>], columns: usize, points: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let one = |theta: &Vec<f64>| {
        let mut out = vec![0.0; columns];
        for arm in arms {
            let own = arm.expected(theta);
            assert_eq!(own.len(), arm.columns.len(), "oracle: columns of an arm");
            for (out, own) in out[arm.columns.clone()].iter_mut().zip(own) {
                *out = if arm.accumulate { *out + own } else { own };
            }
        }
        out
    };
    points.par_iter().map(one).collect()
}

/// C-STAT of one bin, 2 [m - d + d ln(d/m)]; infinite where counts were observed and none can be expected.
pub fn deviance(observed: u32, expected: f64) -> f64 {
    let (d, m) = (f64::from(observed), expected);
    if d == 0.0 {
        return 2.0 * m;
    }
    if m <= 0.0 {
        return f64::INFINITY;
    }
    // x = m/d - 1: the deviance is 2 d (x - ln(1 + x)), whose terms cancel to x^2/2 near x = 0.
    let x = (m - d) / d;
    if x.abs() < 1e-3 {
        let series = 0.5 - x * (1.0 / 3.0 - x * (0.25 - x * (0.2 - x / 6.0)));
        return 2.0 * d * x * x * series;
    }
    2.0 * d * (x - x.ln_1p())
}

/// C-STAT of a spectrum (Cash 1979 as XSPEC writes it).
pub fn cstat(observed: &[u32], expected: &[f64]) -> f64 {
    observed.iter().zip(expected).map(|(&d, &m)| deviance(d, m)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviance_is_continuous_and_right_at_its_limits() {
        assert_eq!(deviance(0, 3.5), 7.0);
        assert_eq!(deviance(7, 7.0), 0.0);
        assert_eq!(deviance(1, 0.0), f64::INFINITY);
        // 2 [12 - 10 + 10 ln(10/12)]
        assert!((deviance(10, 12.0) - 2.0 * (2.0 + 10.0 * (10f64 / 12.0).ln())).abs() < 1e-13);
        // Both branches at their border, against the leading terms.
        for side in [-1.0, 1.0] {
            let inner = deviance(1_000_000, 1e6 * (1.0 + side * 0.999_999e-3));
            let outer = deviance(1_000_000, 1e6 * (1.0 + side * 1.000_001e-3));
            assert!((outer / inner - 1.0 - 4e-6).abs() < 1e-8, "{inner} {outer}");
        }
    }
}
