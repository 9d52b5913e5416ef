//! Mean and variance of C-STAT when the model is true (Kaastra 2017, A&A 605, A51).
//!
//! C-STAT has no universal goodness-of-fit table: a bin that expects few counts contributes less than 1 on average, or more, so
//! "C-STAT / dof = 1" means nothing for sparse spectra. Kaastra fits polynomials; here the defining sums are done exactly up to
//! 1000 expected counts, and the series of the Poisson deviance in 1/mu beyond (derived from the central moments):
//! E = 1 + 1/(6 mu) + 1/(6 mu^2), Var = 2 + 2/(3 mu) + 4/(3 mu^2).

/// Above this mean the series is used; its first neglected terms are of order 1e-9 there.
const SERIES_FROM: f64 = 1000.0;

/// Mean and variance of one bin's 2 [mu - k + k ln(k/mu)] for k ~ Poisson(mu). (0, 0) for mu = 0; NaN for mu < 0 or NaN.
pub fn of_bin(mu: f64) -> (f64, f64) {
    if mu < 0.0 || !mu.is_finite() {
        return (f64::NAN, f64::NAN);
    }
    if mu == 0.0 {
        return (0.0, 0.0);
    }
    if mu > SERIES_FROM {
        return (1.0 + (1.0 + 1.0 / mu) / (6.0 * mu), 2.0 + (2.0 + 4.0 / mu) / (3.0 * mu));
    }
    let (mut mean, mut square) = (0.0, 0.0);
    let mut add = |k: f64, p: f64| {
        let c = deviance(k, mu);
        mean += p * c;
        square += p * c * c;
    };
    // Outward from the mode, by the recurrence of the probabilities: no factorial, and no underflow of exp(-mu) alone.
    let mode = mu.floor();
    let p_mode = (mode * mu.ln() - mu - ln_factorial(mode)).exp();
    let mut p = p_mode;
    let mut k = mode;
    while p > 1e-18 * p_mode || k < mode + 20.0 {
        add(k, p);
        k += 1.0;
        p *= mu / k;
    }
    let (mut p, mut k) = (p_mode, mode);
    while k >= 1.0 {
        p *= k / mu;
        k -= 1.0;
        if p <= 1e-18 * p_mode {
            break;
        }
        add(k, p);
    }
    (mean, square - mean * mean)
}

/// Mean and standard deviation of the total C-STAT of a spectrum with expected counts `mu`, for the model that is true.
/// Fitting P free parameters lowers the mean by about P.
pub fn of_spectrum(mu: &[f64]) -> (f64, f64) {
    let (mean, variance) = mu.iter().map(|&m| of_bin(m)).fold((0.0, 0.0), |s, b| (s.0 + b.0, s.1 + b.1));
    (mean, variance.sqrt())
}

fn deviance(k: f64, mu: f64) -> f64 {
    if k == 0.0 { 2.0 * mu } else { 2.0 * (mu - k + k * (k / mu).ln()) }
}

fn ln_factorial(n: f64) -> f64 {
    (2..=n as u64).map(|i| (i as f64).ln()).sum()
}
