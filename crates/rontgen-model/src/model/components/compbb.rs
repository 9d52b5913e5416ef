//! compbb: a black body below a slab of thermal electrons that scatter its photons (Nishimura, Mitsuda & Itoh 1986, PASJ 38, 819).
//!
//! The sum over numbers of scatterings of the probability to leave after so many (`escape.rs`), times the black body folded with the
//! distribution of ln E after so many; the first scattering is one forward. XSPEC takes 128 steps of equal ln E over the whole
//! energy range, folds over a circle of 512 of them, interpolates linearly between steps, and has no photons above the last step. Its
//! steps show (where they are coarse for cool electrons the number of photons is not conserved), so the same are taken here.
//!
//! For the f32 forms the table holds the folded distributions at nodes of the electrons' temperature: ln of each at 255 shifts, for 1
//! to 49 scatterings; and of the sum over all further ones, whose probabilities fall by a constant ratio. A spectrum mixes them
//! into one distribution, and folds once.

use super::{
    Component,
    escape::{self, DEEP_DEPTHS, Depths, Escape, LARGEST_DEPTH, MOST_SCATTERINGS, ROW, THIN_DEPTHS, counted},
    thermal::MASS,
};
use crate::model::{
    Settings,
    grid::Bin,
    real::{Real, Single},
    special::{erf, erfc},
};
use rayon::prelude::*;
use std::f64::consts::PI;

/// XSPEC's steps of ln E, and those of the circle.
const STEPS: usize = 128;
const CIRCLE: usize = 512;
/// Shifts from -127 to 127 steps, and one that fills up.
const SHIFTS: usize = 2 * STEPS;
const MIDDLE_SHIFT: usize = STEPS - 1;
/// Photons of a black body per E^2/(e^(E/kT) - 1): a sphere of 1 km at 10 kpc, with XSPEC's digits.
const SPHERE: f64 = 1.04e-3;
/// Width of the distribution after the first, forward scattering, as a factor of the temperature.
const FORWARD_WIDTH: f64 = 7.0 / 16.0;
/// Where coarse steps make more photons than there are, the number of all scatterings would have no limit: their ratio is kept
/// below this.
const LARGEST_RATIO: f64 = 0.995;

/// Nodes at equal steps of a power of the electrons' temperature, on which the logarithms are nearly linear.
const COOLEST_KT: f64 = 1.0;
const HOTTEST_KT: f64 = 200.0;
const POWER: f64 = -0.15;
const NODES: usize = 64;
/// Nodes in ln(1 - ratio) of the sums over all further scatterings.
const RATIOS: usize = 16;
const LOWEST_RATIO: f64 = 0.4;
/// Distributions of a node.
const ROWS: usize = MOST_SCATTERINGS - 1 + RATIOS;
/// Where the parts of the table start: after ln of the lowest energy and the step, the escape probabilities, ln of the nodes'
/// gains, and the nodes' distributions.
const HEADER: usize = 2;
const GAINS: usize = HEADER + (THIN_DEPTHS.rows + DEEP_DEPTHS.rows) * ROW;
const DISTRIBUTIONS: usize = GAINS + NODES;
/// Scatterings that do not matter: their probability over that of one.
const RARE_PROBABILITY: f64 = 1e-10;
/// E/kT beyond which the f32 forms have no seeds.
const DARK_ENERGY: f64 = 80.0;
/// Below this share of its largest a distribution is the noise of the transforms.
const NOISE_SHARE: f64 = 1e-15;

type Complex = (f64, f64);
type Circle = [Complex; CIRCLE];

fn product(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// Discrete Fourier transform over the circle (radix 2, decimation in time).
fn transform(values: &mut Circle) {
    let bits = CIRCLE.trailing_zeros();
    for k in 0..CIRCLE {
        let other = k.reverse_bits() >> (usize::BITS - bits);
        if other > k {
            values.swap(k, other);
        }
    }
    let mut half = 1;
    while half < CIRCLE {
        let turns: Vec<Complex> = (0..half)
            .map(|k| {
                let (sin, cos) = (-PI * k as f64 / half as f64).sin_cos();
                (cos, sin)
            })
            .collect();
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for ((a, b), turn) in low.iter_mut().zip(high).zip(&turns) {
                let turned = product(*b, *turn);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
            }
        }
        half *= 2;
    }
}

/// The real values of a transform at shifts -127 to 127.
fn shifts(spectrum: &Circle) -> [f64; SHIFTS] {
    // Real values: that of the conjugate is the inverse transform.
    let mut values = spectrum.map(|(re, im)| (re / CIRCLE as f64, -im / CIRCLE as f64));
    transform(&mut values);
    let at = |k: usize| values[(CIRCLE + k - MIDDLE_SHIFT) % CIRCLE].0.max(0.0);
    std::array::from_fn(|k| if k < SHIFTS - 1 { at(k) } else { 0.0 })
}

/// Transform of the distribution of ln E after one scattering by electrons of `theta` times 511 keV, averaged over all
/// directions; per step, on steps of ln E.
fn scattering(theta: f64, step: f64) -> Circle {
    let width = (2.0 * theta).sqrt();
    let fastest = (-1.0 / (2.0 * theta)).exp();
    // Speeds of a Maxwellian up to that of light.
    let norm = erf(1.0 / width) - 2.0 * fastest / (width * PI.sqrt());
    let mut values = [(0.0, 0.0); CIRCLE];
    for k in 0..=CIRCLE / 2 {
        let x = step * k as f64;
        // The least speed that makes this shift, also in units of the thermal one.
        let least = (0.5 * x).tanh();
        let z = least / width;
        let slow = ((-z * z).exp() * (1.0 - 2.0 * theta) - (least - 2.0 * theta) * fastest) / PI.sqrt();
        let fast = z * (erfc(z) - erfc(1.0 / width)) * (1.0 - theta);
        let even = ((slow - fast) / norm / width).max(0.0) * step;
        // (e^x + 1)/2, up and down.
        if k < CIRCLE / 2 {
            values[k].0 = 0.5 * (x.exp() + 1.0) * even;
        }
        if k > 0 {
            values[CIRCLE - k].0 = 0.5 * ((-x).exp() + 1.0) * even;
        }
    }
    transform(&mut values);
    values
}

/// The transforms for the first and for a later scattering, and the latter's gain: the largest factor by which it multiplies.
struct Scattering {
    first: Circle,
    later: Circle,
    gain: f64,
}

impl Scattering {
    fn new(electrons: f64, step: f64) -> Self {
        let theta = electrons / MASS;
        let later = scattering(theta, step);
        // All values are positive: the largest is that of no frequency.
        Self { first: scattering(theta * FORWARD_WIDTH, step), gain: later[0].0, later }
    }

    /// Multiplied by 1 / (1 - ratio later).
    fn summed(&self, from: &Circle, ratio: f64) -> Circle {
        std::array::from_fn(|k| {
            let below = (1.0 - ratio * self.later[k].0, -ratio * self.later[k].1);
            let square = below.0 * below.0 + below.1 * below.1;
            product(from[k], (below.0 / square, -below.1 / square))
        })
    }

    fn again(&self, from: &mut Circle) {
        for (value, factor) in from.iter_mut().zip(&self.later) {
            *value = product(*value, *factor);
        }
    }
}

/// All that the f32 forms read.
pub(crate) fn table(bins: &[(f64, f64)], _settings: &Settings) -> Vec<f64> {
    let (Some(lowest), Some(highest)) = (bins.first(), bins.last()) else { return Vec::new() };
    let (ln_first, step) = (lowest.0.ln(), (highest.1 / lowest.0).ln() / STEPS as f64);
    let nodes: Vec<(f64, Vec<f64>)> = (0..NODES)
        .into_par_iter()
        .map(|node| {
            let power = HOTTEST_KT.powf(POWER) + node_step() * node as f64;
            let electrons = power.powf(1.0 / POWER);
            let scattering = Scattering::new(electrons, step);
            let mut rows = Vec::with_capacity(ROWS * SHIFTS);
            let mut add = |spectrum: &Circle| {
                let values = shifts(spectrum);
                let least = values.iter().fold(0.0f64, |m, v| m.max(*v)).max(1e-30) * NOISE_SHARE;
                rows.extend(values.iter().map(|v| v.max(least).ln()));
            };
            add(&scattering.first);
            let mut power = scattering.later;
            for _ in 2..MOST_SCATTERINGS {
                scattering.again(&mut power);
                add(&power);
            }
            scattering.again(&mut power);
            for k in 0..RATIOS {
                let ratio = 1.0 - (1.0 - LOWEST_RATIO) * (ratio_step() * k as f64).exp();
                add(&scattering.summed(&power, ratio / scattering.gain));
            }
            (scattering.gain.ln(), rows)
        })
        .collect();
    let mut table = vec![ln_first, step];
    table.extend(escape::rows());
    table.extend(nodes.iter().map(|node| node.0));
    table.extend(nodes.iter().flat_map(|node| &node.1));
    table
}

fn node_step() -> f64 {
    (COOLEST_KT.powf(POWER) - HOTTEST_KT.powf(POWER)) / (NODES - 1) as f64
}

/// Negative: ln(1 - ratio) falls.
fn ratio_step() -> f64 {
    ((1.0 - LARGEST_RATIO) / (1.0 - LOWEST_RATIO)).ln() / (RATIOS - 1) as f64
}

/// The cubic through four of `count` values around a place among them: the first one's number, and their shares.
fn cubic(place: f64, count: usize) -> (usize, [f64; 4]) {
    let k = (place.max(1.0) as usize).min(count - 3);
    let t = place - k as f64;
    let (before, after, last) = (t + 1.0, t - 1.0, t - 2.0);
    let shares =
        [-t * after * last / 6.0, 0.5 * before * after * last, -0.5 * before * t * last, before * t * after / 6.0];
    (k - 1, shares)
}

/// kT, kTe, tau and norm, and what they make of 128 steps.
#[derive(Debug, Clone)]
pub struct Scattered<R> {
    seeds: f64,
    electrons: f64,
    tau: f64,
    amplitude: f64,
    /// ln E of the first step and 1/step.
    ln_first: R,
    inverse: R,
    /// Photons/keV/cm2/s.
    densities: Vec<R>,
}

/// kT, kTe, tau, norm ((R_km/D10)^2).
pub(crate) fn compbb<R: Real>(par: &[f64]) -> Scattered<R> {
    let &[seeds, electrons, tau, norm] = par else { return compbb(&[1.0, 50.0, 0.1, 0.0]) };
    Scattered {
        seeds: seeds.max(1e-5),
        electrons: electrons.clamp(COOLEST_KT, HOTTEST_KT),
        tau: tau.clamp(0.0, LARGEST_DEPTH),
        amplitude: SPHERE * norm,
        ln_first: R::of(0.0),
        inverse: R::of(1.0),
        densities: Vec::new(),
    }
}

impl<R: Real> Scattered<R> {
    fn seed(&self, ln_e: f64) -> f64 {
        let e = ln_e.exp();
        let x = e / self.seeds;
        self.amplitude * e * e * (-x).exp() / -(-x).exp_m1()
    }

    /// As XSPEC does it.
    fn exactly(&self, ln_first: f64, step: f64) -> Vec<f64> {
        let seeds: Vec<f64> = (0..STEPS).map(|k| self.seed(ln_first + step * k as f64)).collect();
        if self.tau <= 0.0 {
            return seeds;
        }
        let escape = Escape::new(self.tau, counted(self.tau));
        let scattering = Scattering::new(self.electrons, step);
        let mut sum = scattering.first.map(|(re, im)| (escape.after[0] * re, escape.after[0] * im));
        let mut power = scattering.later;
        for (n, probability) in escape.after.iter().enumerate().skip(1) {
            scattering.again(&mut power);
            let last = n + 1 == escape.after.len();
            let ratio = if last { escape.ratio.min(LARGEST_RATIO / scattering.gain) } else { 0.0 };
            for (sum, term) in sum.iter_mut().zip(scattering.summed(&power, ratio)) {
                *sum = (sum.0 + probability * term.0, sum.1 + probability * term.1);
            }
        }
        let distribution = shifts(&sum);
        (0..STEPS)
            .map(|to| {
                let arrived = seeds.iter().zip(distribution[..=MIDDLE_SHIFT + to].iter().rev());
                escape.direct * seeds[to] + arrived.map(|(seed, part)| seed * part).sum::<f64>()
            })
            .collect()
    }

    /// Probabilities after 1, 2, .. scatterings with at least [`RARE_PROBABILITY`] of the first, at most 50; the last also stands for all further
    /// ones where there are 50 of them. The ratio of those, and the direct probability.
    fn probabilities(&self, table: &[f32], gain: f64) -> Option<(Vec<f32>, f64, f64)> {
        let held = self.tau.max(THIN_DEPTHS.from);
        let (depths, start): (Depths, usize) = if held < DEEP_DEPTHS.from {
            (THIN_DEPTHS, HEADER)
        } else {
            (DEEP_DEPTHS, HEADER + THIN_DEPTHS.rows * ROW)
        };
        let (row, shares) = cubic((held / depths.from).ln() / depths.step(), depths.rows);
        let rows = table.get(start + row * ROW..start + (row + 4) * ROW)?;
        let at = |k: usize| (0..4).map(|j| shares[j] * f64::from(rows[j * ROW + k])).sum::<f64>().exp();
        let ratio = at(MOST_SCATTERINGS + 1).min(LARGEST_RATIO / gain);
        // Thinner slabs scatter in proportion.
        let scale = self.tau / held;
        let mut after: Vec<f32> = Vec::with_capacity(MOST_SCATTERINGS);
        let counted = counted(self.tau);
        let mut probability = 0.0;
        for n in 1..=MOST_SCATTERINGS {
            probability = if n <= counted { scale * at(n) } else { probability * ratio };
            if n > 1 && probability < RARE_PROBABILITY * f64::from(after[0]) {
                break;
            }
            after.push(probability as f32);
        }
        Some((after, ratio, 1.0 - self.tau * at(0)))
    }
}

/// Sum of `share` times each row.
#[inline(always)]
fn mix<const FUSED: bool>(rows: &[(f32, &[f32; SHIFTS])], out: &mut [f32; SHIFTS]) {
    *out = [0.0; SHIFTS];
    for (share, row) in rows {
        for k in 0..SHIFTS {
            out[k] = Single::<FUSED>(row[k]).fma(Single(*share), Single(out[k])).0;
        }
    }
}

/// Adds `amount` e^logarithm.
#[inline(always)]
fn add_exp<const FUSED: bool>(amount: f32, logarithms: &[f32; SHIFTS], sum: &mut [f32; SHIFTS]) {
    for k in 0..SHIFTS {
        sum[k] = Single::<FUSED>(logarithms[k]).exp().fma(Single(amount), Single(sum[k])).0;
    }
}

/// The densities from the table.
#[inline(always)]
fn mixed<R: Real, const FUSED: bool>(own: &Scattered<R>, table: &[f32]) -> Option<[f32; STEPS]> {
    let (ln_first, step) = (f64::from(*table.first()?), f64::from(*table.get(1)?));
    let (node, shares) = cubic((own.electrons.powf(POWER) - HOTTEST_KT.powf(POWER)) / node_step(), NODES);
    let gains = table.get(GAINS + node..GAINS + node + 4)?;
    let mut gain = 0.0;
    for (gain_there, share) in gains.iter().zip(shares) {
        gain += share * f64::from(*gain_there);
    }
    let gain = gain.exp();
    let (after, ratio, direct) = own.probabilities(table, gain)?;
    let (rows, _) = table.get(DISTRIBUTIONS + node * ROWS * SHIFTS..)?.as_chunks::<SHIFTS>();
    let mut distribution = [0.0; SHIFTS];
    let mut logarithms = [0.0; SHIFTS];
    if own.tau > 0.0 {
        for (n, probability) in after.iter().enumerate().take(MOST_SCATTERINGS - 1) {
            let mut four = [(0.0, rows.first()?); 4];
            for (k, (four, share)) in four.iter_mut().zip(shares).enumerate() {
                *four = (share as f32, rows.get(k * ROWS + n)?);
            }
            mix::<FUSED>(&four, &mut logarithms);
            add_exp::<FUSED>(*probability, &logarithms, &mut distribution);
        }
        if let Some(last) = after.get(MOST_SCATTERINGS - 1) {
            let place = ((1.0 - ratio * gain) / (1.0 - LOWEST_RATIO)).ln() / ratio_step();
            let (first, ratios) = cubic(place.max(0.0), RATIOS);
            let mut all = [(0.0, rows.first()?); 16];
            for (k, all) in all.iter_mut().enumerate() {
                *all = (
                    (shares[k / 4] * ratios[k % 4]) as f32,
                    rows.get(k / 4 * ROWS + MOST_SCATTERINGS - 1 + first + k % 4)?,
                );
            }
            mix::<FUSED>(&all, &mut logarithms);
            add_exp::<FUSED>(*last, &logarithms, &mut distribution);
        }
    }
    let mut out = [0.0; STEPS];
    for from in 0..STEPS {
        let ln_e = ln_first + step * from as f64;
        if ln_e.exp() > DARK_ENERGY * own.seeds {
            break;
        }
        let seed = own.seed(ln_e);
        out[from] += (direct * seed) as f32;
        let seed = Single::<FUSED>(seed as f32);
        let arrived = distribution.get(MIDDLE_SHIFT - from..MIDDLE_SHIFT - from + STEPS)?;
        for (out, part) in out.iter_mut().zip(arrived) {
            *out = Single::<FUSED>(*part).fma(seed, Single(*out)).0;
        }
    }
    Some(out)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn mixed_avx2<R: Real>(own: &Scattered<R>, table: &[f32]) -> Option<[f32; STEPS]> {
    mixed::<R, true>(own, table)
}

fn fast<R: Real>(own: &Scattered<R>, table: &[f32]) -> Option<[f32; STEPS]> {
    #[cfg(target_arch = "x86_64")]
    if R::FUSED {
        // SAFETY: `Real::FUSED` is true only in code that runs where AVX2 and fused multiply-add were found.
        return unsafe { mixed_avx2(own, table) };
    }
    mixed::<R, false>(own, table)
}

impl<R: Real> Scattered<R> {
    /// Density at a place among the steps.
    #[inline(always)]
    fn density(&self, place: R) -> R {
        let last = STEPS as f64 - 1.0;
        let held = place.max(R::of(0.0)).min(R::of(last - 1e-5));
        let (floor, k) = held.floor();
        let Some([a, b]) = self.densities.get(k..).and_then(|d| d.first_chunk::<2>()) else {
            return R::of(f64::NAN);
        };
        R::pick(place.lt(R::of(last)), (*b - *a).fma(held - floor, *a), R::of(0.0))
    }
}

impl<R: Real> Component<R> for Scattered<R> {
    const ROOM: bool = true;
    const REFINES: bool = false;
    const SINGLE_TABLE: bool = true;
    const HEADER: usize = HEADER;

    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        // The trapezoid, as XSPEC has it.
        let place = (bin.ln_centre - self.ln_first) * self.inverse;
        let half = bin.log_width * self.inverse * R::of(0.5);
        (self.density(place - half) + self.density(place + half)) * bin.width * R::of(0.5)
    }

    fn ready(&mut self, table: &[R::Store]) {
        let &[ln_first, step, ..] = table else { return };
        let (ln_first, step) = (R::load(ln_first).to_f64(), R::load(step).to_f64());
        self.ln_first = R::of(ln_first);
        self.inverse = R::of(1.0 / step);
        self.densities = match R::singles(table) {
            Some(table) => fast(self, table).map_or(Vec::new(), |d| d.iter().map(|d| R::of(f64::from(*d))).collect()),
            None => self.exactly(ln_first, step).into_iter().map(R::of).collect(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two scatterings, summed on the circle.
    #[test]
    fn transforms_fold() {
        let scattering = Scattering::new(20.0, 0.04);
        let once = {
            let mut values = scattering.later.map(|(re, im)| (re / CIRCLE as f64, -im / CIRCLE as f64));
            transform(&mut values);
            values.map(|v| v.0)
        };
        let mut twice = scattering.later;
        scattering.again(&mut twice);
        let twice = shifts(&twice);
        for shift in [-60i32, -5, 0, 1, 33] {
            let at = |k: i32| once[k.rem_euclid(CIRCLE as i32) as usize];
            let want: f64 = (0..CIRCLE as i32).map(|k| at(k) * at(shift - k)).sum();
            let got = twice[(MIDDLE_SHIFT as i32 + shift) as usize];
            assert!((got / want - 1.0).abs() < 1e-11, "{shift}: {got} {want}");
        }
    }

    /// Scatterings neither make nor lose photons where the steps resolve them, and a photon gains 4 theta of its energy.
    #[test]
    fn a_scattering_conserves_photons() {
        let (theta, step) = (10.0 / MASS, 0.01);
        let mut values = scattering(theta, step).map(|(re, im)| (re / CIRCLE as f64, -im / CIRCLE as f64));
        transform(&mut values);
        let (mut photons, mut energy) = (0.0, 0.0);
        for (k, (value, _)) in values.iter().enumerate() {
            let x = step * if k < CIRCLE / 2 { k as f64 } else { k as f64 - CIRCLE as f64 };
            // A density per energy: photons have a factor E.
            photons += value * x.exp();
            energy += value * (2.0 * x).exp();
        }
        println!("photons {photons}, gain in energy over theta {}", (energy / photons - 1.0) / theta);
        assert!((photons - 1.0).abs() < 0.05);
        assert!(((energy / photons - 1.0) / theta - 4.0).abs() < 0.5);
    }
}
