//! comptb: a black body and its Comptonisation by thermal electrons, and by their bulk motion through a term of first order
//! (Farinelli et al. 2008, ApJ 680, 602; Titarchuk, Mastichiadis & Kylafis 1997, ApJ 487, 834).
//!
//! u'' + (e^t - 3 - delta) u' + (e^t - alpha (alpha + delta + 3)) u = -s over t = ln(E/kTe), s = x^gamma/(e^(x kTe/kTs) - 1). XSPEC
//! solves it with 4000 steps from -10 to 10 and one-sided differences, which are off by up to a percent: the steps are taken here
//! as well, and every ninth value is kept. Not its cut of seeds below 1e-15, which removes most of them where x^gamma is small all over
//! (kTe far above kTs, large gamma), and leaves a step in the spectrum where the Green's function is narrow (alpha above some 50).

use super::{Component, four_point, log_integral};
use crate::model::{grid::Bin, real::Real, special::ln_gamma};

const STEPS: usize = 4000;
const LOWEST_LOG: f64 = -10.0;
const STEP: f64 = 20.0 / STEPS as f64;
/// One value in so many is kept.
const KEPT_EVERY: usize = 9;

/// Riemann's zeta function as XSPEC has it: ten terms (0.4 % short at 3, and finite at 1).
fn zeta(s: f64) -> f64 {
    (1..=10).map(|k| f64::from(k).powf(-s)).sum()
}

pub struct Bulk<R> {
    /// The seeds: norm (E/kTs)^gamma/(e^(E/kTs) - 1)/E photons/keV/cm2/s.
    seeds: R,
    gamma: R,
    inverse: R,
    ln_inverse: R,
    /// ln E of the first value (keV).
    ln_first: R,
    /// ln of E times the density of the Comptonised photons.
    values: Vec<R>,
}

/// kTs, gamma, alpha, delta, kTe, log_A, norm.
pub(crate) fn comptb<R: Real>(par: &[f64]) -> Bulk<R> {
    let &[seeds, gamma, alpha, delta, electrons, log_a, norm] = par else {
        return comptb(&[1.0, 3.0, 2.0, 20.0, 5.0, 0.0, 0.0]);
    };
    let (seeds, electrons, gamma) = (seeds.max(1e-2), electrons.max(0.2), gamma.max(1.0));
    let ratio = electrons / seeds;
    let fall = alpha * (alpha + delta + 3.0);
    let (mut steps, mut ends) = (Vec::with_capacity(STEPS), Vec::with_capacity(STEPS));
    let (mut drop, mut above) = (0.0, 0.0);
    // The seeds over about their maximum, whose size cancels: in f32 they would underflow.
    let top = (gamma / ratio).ln().clamp(LOWEST_LOG, -LOWEST_LOG);
    let ln_top = gamma * top - ratio * top.exp();
    for n in 0..STEPS {
        let t = LOWEST_LOG + STEP * n as f64;
        let x = t.exp();
        // u_n = (1 - drop) u_(n+1) + above: the elimination in a form that keeps the digits of a small difference.
        let drift = 1.0 + (x - 3.0 - delta) * STEP;
        let decay = (x - fall) * STEP * STEP;
        let pivot = if n == 0 { drift + 1.0 - decay } else { (drift + drop - decay).max(1e-2) };
        let source = (gamma * t - ratio * x - ln_top).exp() / -(-ratio * x).exp_m1();
        let source = if n > 0 { source * STEP * STEP } else { 0.0 };
        drop = if n == 0 { (1.0 - decay) / pivot } else { (drop - decay) / pivot };
        above = (source + above) / pivot;
        steps.push(drop);
        ends.push(above);
    }
    let (mut u, mut sum) = (0.0, 0.0);
    let mut values = vec![0.0; STEPS.div_ceil(KEPT_EVERY)];
    for (n, (drop, above)) in steps.iter().zip(&ends).enumerate().rev() {
        u = (u - drop * u + above).max(0.0);
        sum += u * STEP;
        if n % KEPT_EVERY == 0 {
            values[n / KEPT_EVERY] = u;
        }
    }
    // As many photons as there were seeds, by XSPEC's count of them.
    let conserved = ln_gamma(gamma).exp() * zeta(gamma) / sum.max(1e-300);
    let weight = 10f64.powf(log_a.clamp(-30.0, 30.0));
    let amplitude = 8.0525 * seeds.powf(gamma - 4.0) * norm;
    let scattered = amplitude * weight / (1.0 + weight) * conserved;
    Bulk {
        seeds: R::of(amplitude / (1.0 + weight)),
        gamma: R::of(gamma),
        inverse: R::of(1.0 / seeds),
        ln_inverse: R::of(-seeds.ln()),
        ln_first: R::of(LOWEST_LOG + electrons.ln()),
        values: values.iter().map(|u| R::of((u * scattered).max(1e-300).ln())).collect(),
    }
}

impl<R: Real> Component<R> for Bulk<R> {
    const ROOM: bool = true;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let step = STEP * KEPT_EVERY as f64;
        let place = (bin.ln_centre - self.ln_first) * R::of(1.0 / step);
        // Clear of whole numbers, where the floor may be one low.
        let held = place.max(R::of(1.001)).min(R::of(self.values.len() as f64 - 2.001));
        let (floor, k) = held.floor();
        let Some(four) = self.values.get(k.max(1) - 1..).and_then(|v| v.first_chunk::<4>()) else {
            return R::of(f64::NAN);
        };
        let [value, slope, bend] = four_point(*four, held - floor);
        let value = value + slope * (place - held);
        let bend = bend * R::of(1.0 / (step * step));
        let scattered = log_integral::<R, WIDE>(value.exp(), slope * R::of(1.0 / step), bend, bin.log_width);
        let x = bin.centre * self.inverse;
        let one = R::of(1.0);
        let occupation = one / x.exp_m1();
        let total = occupation + one;
        let peak = self.seeds * (self.gamma * (bin.ln_centre + self.ln_inverse)).exp() * occupation;
        let own =
            log_integral::<R, WIDE>(peak, self.gamma - x * total, x * total * (x * occupation - one), bin.log_width);
        scattered + own
    }
}
