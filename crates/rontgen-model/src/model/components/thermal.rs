//! nthComp: soft photons Comptonised by thermal electrons in a sphere, by solving the Kompaneets equation once per spectrum
//! (Lightman & Zdziarski 1987, ApJ 319, 643; Zdziarski, Johnson & Magdziarz 1996, MNRAS 283, 193; Zycki, Done & Smith 1999,
//! MNRAS 309, 561). The same solver serves `thcomp.rs`.
//!
//! XSPEC solves it on steps of 0.02 dex that start at a ten-thousandth of the seed temperature, and interpolates E F_E linearly
//! between them. Steps of 5 % are coarse enough to show (1e-3 in a cut-off), so the same steps are taken here.

use super::{Component, ROOM, log_integral, stretch};
use crate::model::{grid::Bin, real::Real};

/// 0.02 dex in ln E.
const STEP: f64 = 0.02 * std::f64::consts::LN_10;
/// Lowest energy of the steps over the seed temperature. No photons flow through this end: a disc, whose spectrum is soft, shows it a
/// decade above.
const LOWEST_ENERGY: f64 = 1e-4;
/// XSPEC's largest number of steps.
const MOST_STEPS: usize = 899;
/// Steps that hold seed photons: to 46 times their temperature.
const SEEDS: usize = 284;
/// Electron rest energy as XSPEC rounds it here, keV.
pub(super) const MASS: f64 = 511.0;

/// Klein-Nishina cross section over Thomson's at x = E/511 keV; its expansion below 0.05, as XSPEC has it.
pub(super) fn klein_nishina(x: f64) -> f64 {
    if x <= 0.05 {
        return 1.0 - 2.0 * x + 5.2 * x * x;
    }
    let twice = 1.0 + 2.0 * x;
    let ln = twice.ln();
    let first = (1.0 + x) / (x * x * x) * (2.0 * x * (1.0 + x) / twice - ln);
    0.75 * (first + 0.5 * ln / x - (1.0 + 3.0 * x) / (twice * twice))
}

/// Flows down and up between two steps around energy x, per diffusion and occupation number: central differences, as XSPEC takes
/// them. Off by half and more where a step times x nears 2 theta, far in the cut-off.
fn differences(x: f64, theta: f64, step: f64) -> (f64, f64) {
    (theta / step + 0.5 * x, (theta / step - 0.5 * x).max(0.0))
}

/// The same, fitted to the exponential (Scharfetter & Gummel 1969; Chang & Cooper 1970, J. Comp. Phys. 6, 1): a Wien spectrum,
/// exp(-x/theta), has no flow on steps of any width, so that a cut-off is good on steps that XSPEC's differences would not bear.
pub(super) fn fitted(x: f64, theta: f64, step: f64) -> (f64, f64) {
    let up = x / (step * x / theta).exp_m1();
    (up + x, up)
}

/// Solves the stationary Kompaneets equation with escape on energies x_j = first e^(step j) (units of 511 keV).
///
/// `photons`: photons produced per x and Thomson time over x^2, replaced by the occupation number, which is 0 in the last one.
/// `escape`: probability to escape per Thomson time, times `tau`. No photons flow through the ends. `flows`: see [`differences`].
///
/// The matrix is tridiagonal; the elimination carries the sum of each column's remaining elements instead of the pivot, so
/// that nothing is subtracted (an f32 solution keeps six digits over thirty decades).
pub(super) fn solve(
    tau: f64,
    theta: f64,
    step: f64,
    first: f64,
    escape: &[f64],
    photons: &mut [f64],
    flows: fn(f64, f64, f64) -> (f64, f64),
) {
    let half = (0.5 * step).exp();
    let (strength, fall) = (tau / step * half.powi(3), (-3.0 * step).exp());
    let count = photons.len().saturating_sub(1);
    let mut ratios = Vec::with_capacity(count);
    // Flows between this energy and the one before: down into that one, up from it; both over its x^3.
    let (mut down, mut up, mut rest, mut before, mut pivot) = (0.0, 0.0, 0.0, 0.0, 1.0);
    for (j, (photons, escape)) in photons.iter_mut().zip(escape).enumerate().take(count) {
        let between = first * (step * j as f64).exp() * half;
        let diffusion = strength / (1.0 + 4.6 * between + 1.1 * between * between);
        rest = escape + fall * down * rest / pivot;
        let flow = fall * up * before;
        let (falling, rising) = flows(between, theta, step);
        (down, up) = (diffusion * falling, diffusion * rising);
        pivot = rest + up;
        before = (*photons + flow) / pivot;
        *photons = before;
        ratios.push(down / pivot);
    }
    let mut above = 0.0;
    for (photons, ratio) in photons.iter_mut().take(count).zip(&ratios).rev() {
        above = *photons + ratio * above;
        *photons = above;
    }
    if let Some(last) = photons.last_mut() {
        *last = 0.0;
    }
}

/// Photons of a disc black body per energy over x^2 at the steps `from..to`, x in units of the temperature at the inner
/// edge.
fn disc(from: usize, to: usize) -> Vec<f64> {
    let at = |k: f64| LOWEST_ENERGY * (STEP * k).exp();
    let f = |u: f64| u.powf(8.0 / 3.0) / u.exp_m1();
    // Integral of u^(5/3)/(e^u - 1) over half a step, in ln u.
    let half_step = |k: f64| STEP / 12.0 * (f(at(k)) + 4.0 * f(at(k + 0.25)) + f(at(k + 0.5)));
    let mut integral = 0.0;
    let mut out = vec![0.0; to.saturating_sub(from)];
    for k in (from..SEEDS - 1).rev() {
        let middle = integral + half_step(k as f64);
        if let Some(out) = out.get_mut(k - from) {
            *out = at(k as f64).powf(-8.0 / 3.0) * middle;
        }
        integral = middle + half_step(k as f64 - 0.5);
    }
    out
}

/// E F_E at equal steps of ln E.
#[derive(Debug, Clone)]
pub struct Thermal<R> {
    norm: R,
    /// ln of the first energy in the observer's frame (keV).
    ln_first: R,
    /// Logarithmic slope below it.
    low: R,
    values: Vec<R>,
}

/// Gamma, kT_e, kT_bb, inp_type (0: black body, 1: disc), Redshift, norm (photons/keV/cm2/s at 1 keV in the observer's frame).
pub(crate) fn nthcomp<R: Real>(par: &[f64]) -> Thermal<R> {
    let &[gamma, electrons, seeds, kind, redshift, norm] = par else {
        return nthcomp(&[1.7, 100.0, 0.1, 0.0, 0.0, 0.0]);
    };
    let (gamma, theta, seeds) = (gamma.max(1.001), electrons.max(1.0) / MASS, seeds.max(1e-3));
    let z = stretch(redshift);
    let lowest = LOWEST_ENERGY * seeds / MASS;
    let tau = (2.25 + 3.0 / (theta * ((gamma + 0.5).powi(2) - 2.25))).sqrt() - 1.5;
    // Steps counted from 1, as the rule for the ends of the relativistic range needs it.
    let step_of = |x: f64| ((x / lowest).log10() / 0.02 + 1.0).max(1.0) as usize;
    let last = step_of(40.0 * theta).min(MOST_STEPS);
    let first = last.saturating_sub(ROOM);
    let at = |j: usize| lowest * (STEP * j as f64).exp();
    let (slow, fast) = (step_of(0.1).min(last - 1), step_of(1.0).min(last));
    let (x_slow, x_fast) = (at(slow - 1), at(fast - 1));
    let escape: Vec<f64> = (first..last)
        .map(|j| {
            let x = at(j);
            // Diffusion in space gives way to large losses of energy per scattering.
            let share = match j + 1 {
                k if k < slow => 1.0,
                k if k <= fast && fast > slow => 1.0 - (x - x_slow) / (x_fast - x_slow),
                k if k <= fast => 1.0,
                _ => 0.0,
            };
            1.0 / (1.0 + tau * klein_nishina(x) / 3.0 * share)
        })
        .collect();
    let disc_seeds = kind >= 0.5;
    let mut values = if disc_seeds {
        disc(first, last)
    } else {
        (first..last).map(|j| if j < SEEDS { 1.0 / (at(j) / lowest * LOWEST_ENERGY).exp_m1() } else { 0.0 }).collect()
    };
    solve(tau, theta, STEP, at(first), &escape, &mut values, differences);
    for (j, (value, escape)) in (first..last).zip(values.iter_mut().zip(&escape)) {
        let x = at(j) / lowest * LOWEST_ENERGY;
        *value *= x.powi(4) * escape;
    }
    let mut out = Thermal {
        norm: R::of(1.0),
        ln_first: R::of((at(first) * MASS / z).ln()),
        low: R::of(if disc_seeds { 4.0 / 3.0 } else { 3.0 }),
        values: Vec::new(),
    };
    // E F_E at 1 keV.
    let place = ((z / MASS / at(first)).ln() / STEP).clamp(0.0, (values.len() - 2) as f64);
    let k = place as usize;
    let along = ((place - k as f64) * STEP).exp_m1() / STEP.exp_m1();
    let at_one = values[k] + along * (values[k + 1] - values[k]);
    let factor = if at_one > 0.0 { norm / at_one } else { 0.0 };
    // Applied here: f32 holds neither the values nor the factor where the photons are few at 1 keV.
    out.values = values.iter().map(|v| R::of((v * factor).min(1e36))).collect();
    out
}

impl Thermal<f64> {
    /// Divides the energies by a stretch, and multiplies E F_E.
    pub(super) fn observe(&mut self, stretch: f64, factor: f64) {
        self.ln_first -= stretch.ln();
        self.norm *= factor;
    }

    /// Energy between two energies, keV/cm2/s.
    pub(super) fn energy(&self, from: f64, to: f64) -> f64 {
        let edge = |k: usize| (self.ln_first + STEP * k as f64).exp();
        let steps = self.values.windows(2).enumerate().map(|(k, ends)| {
            let (a, b) = (edge(k), edge(k + 1));
            let (lo, hi) = (a.max(from), b.min(to));
            // E F_E is linear in E between the steps.
            let slope = (ends[1] - ends[0]) / (b - a);
            if hi > lo { (ends[0] - slope * a) * (hi / lo).ln() + slope * (hi - lo) } else { 0.0 }
        });
        self.norm * steps.sum::<f64>()
    }
}

impl<R: Real> Component<R> for Thermal<R> {
    const ROOM: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let (zero, one) = (R::of(0.0), R::of(1.0));
        let last = R::of((self.values.len() - 1) as f64 - 1e-3);
        let place = (bin.ln_centre - self.ln_first) * R::of(1.0 / STEP);
        let half = bin.log_width * R::of(0.5 / STEP);
        let (start, end) = (place - half, place + half);
        let (low, high) = (start.max(zero).min(last).floor(), end.max(zero).min(last).floor());
        // E F_E has a kink at every step: the bin's parts between them, each around its own middle.
        let (mut sum, mut from, mut step) = (zero, start, low.0);
        for k in low.1..=high.1 {
            let to = if k == high.1 { end } else { step + one };
            // The parts' sum is the bin: f32 has few digits of a narrow bin's ends.
            let width = bin.log_width * (to - from) / (end - start);
            let middle = if low.1 == high.1 { place } else { (from + to) * R::of(0.5) };
            sum = sum + self.part::<WIDE>(k, middle, step, width);
            (from, step) = (to, step + one);
        }
        sum * self.norm
    }
}

impl<R: Real> Thermal<R> {
    /// Photons around a place among the steps, `k` steps (as a number: `step`) from the first.
    #[inline(always)]
    fn part<const WIDE: bool>(&self, k: usize, place: R, step: R, log_width: R) -> R {
        let (zero, one) = (R::of(0.0), R::of(1.0));
        let (Some(a), Some(b)) = (self.values.get(k), self.values.get(k + 1)) else { return zero };
        // Linear in E between the steps.
        let inverse = 1.0 / STEP.exp_m1();
        let along = ((place - step).max(zero).min(one) * R::of(STEP)).exp_m1() * R::of(inverse);
        let value = (*b - *a).fma(along, *a);
        let slope = (*b - *a) * (along + R::of(inverse)) / value.max(R::of(1e-36));
        let under = place.lt(zero);
        let slope = R::pick(under, self.low, slope);
        let bend = R::pick(under, zero, slope * (one - slope));
        let lower = R::pick(under, (self.low * R::of(STEP) * place).exp(), one);
        let energy = (place * R::of(STEP) + self.ln_first).exp();
        log_integral::<R, WIDE>(value * lower / energy, slope - one, bend, log_width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is produced is what escapes.
    #[test]
    fn the_solution_conserves_photons() {
        for (tau, theta) in [(0.5, 0.2), (4.0, 0.01), (20.0, 0.005)] {
            let first = 1e-6;
            let count = ((40.0 * theta / first).ln() / STEP) as usize;
            let x = |j: usize| first * (STEP * j as f64).exp();
            let escape: Vec<f64> = (0..count).map(|j| 1.0 / (1.0 + tau * klein_nishina(x(j)) / 3.0)).collect();
            // A black body of 1e-4.
            let source: Vec<f64> = (0..count).map(|j| 1.0 / (x(j) / 1e-4).exp_m1()).collect();
            let mut solution = source.clone();
            solve(tau, theta, STEP, first, &escape, &mut solution, differences);
            let made: f64 = (0..count - 1).map(|j| source[j] * x(j).powi(3)).sum();
            let escaped: f64 = (0..count - 1).map(|j| solution[j] * escape[j] * x(j).powi(3)).sum();
            // The last energy is an open end, where nothing arrives.
            assert!((escaped / made - 1.0).abs() < 1e-9, "tau {tau}: {escaped} of {made}");
            assert!(solution.iter().all(|u| *u >= 0.0 && u.is_finite()));
        }
    }

    #[test]
    fn the_cross_section_has_its_limits() {
        assert!((klein_nishina(1e-6) - 1.0).abs() < 1e-5);
        // The expansion and the closed form meet to the third order.
        assert!((klein_nishina(0.05) - klein_nishina(0.050_000_1)).abs() < 2e-3);
        // sigma/sigma_T at 511 keV, Rybicki & Lightman eq. 7.5.
        assert!((klein_nishina(1.0) - 0.430_9).abs() < 1e-3);
    }
}
