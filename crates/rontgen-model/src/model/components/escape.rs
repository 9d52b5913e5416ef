//! Photons that enter a slab of scatterers from below, isotropically, and leave it at the top after n scatterings: their
//! probabilities, as compbb has them (Nishimura, Mitsuda & Itoh 1986, PASJ 38, 819).
//!
//! XSPEC integrates with exponential integrals that are off by up to 1.6 % and jump at 0.3, so that each probability jumps, by
//! some 1e-4, at many hundred optical depths. It is these that are followed here; with exact integrals a spectrum would be off
//! by up to 4e-3. Rows of them at narrow steps of the optical depth serve the f32 forms: one row takes as long as many spectra.

use rayon::prelude::*;
use std::sync::LazyLock;

/// Most scatterings that are counted one by one.
pub(super) const MOST_SCATTERINGS: usize = 50;
/// Depths at which the scattered photons' source is known are a twentieth of the slab apart.
const LAYERS: usize = 20;
/// Where XSPEC's exponential integral changes its form.
const SPLIT_DEPTH: f64 = 0.3;
/// Largest optical depth (XSPEC's limit).
pub(super) const LARGEST_DEPTH: f64 = 10.0;

/// Gauss-Legendre nodes and weights on -1..1, ten points (Abramowitz & Stegun table 25.4).
const NODES: [(f64, f64); 5] = [
    (0.148_874_338_981_631, 0.295_524_224_714_753),
    (0.433_395_394_129_247, 0.269_266_719_309_996),
    (0.679_409_568_299_024, 0.219_086_362_515_982),
    (0.865_063_366_688_985, 0.149_451_349_150_581),
    (0.973_906_528_517_172, 0.066_671_344_308_688),
];
const PARTS: usize = 10;

/// Points and weights of an integral from 0 to `to`: Gauss-Legendre in ten equal parts.
fn points(to: f64) -> impl Iterator<Item = (f64, f64)> {
    let half = 0.5 * to / PARTS as f64;
    (0..PARTS).flat_map(move |part| {
        let middle = half * (2 * part + 1) as f64;
        NODES.iter().flat_map(move |(x, w)| [(middle - half * x, half * w), (middle + half * x, half * w)])
    })
}

/// The exponential integral E1 by XSPEC's trapezoids: ten in the logarithm below 0.3, above it twenty of growing width.
fn e1(x: f64) -> f64 {
    if x >= 100.0 {
        return 0.0;
    }
    if x < SPLIT_DEPTH {
        // Arguments grow by e from one to the next.
        let (mut sum, mut s) = (0.5 * (-x).exp(), x);
        for k in 1..=10 {
            s *= std::f64::consts::E;
            sum += if k < 10 { 1.0 } else { 0.5 } * (-s).exp();
        }
        return sum;
    }
    let (mut sum, mut s, mut before, mut width) = (0.0, 1.0, (-x).exp(), 0.07);
    for _ in 0..20 {
        s += width;
        let here = (-s * x).exp() / s;
        sum += 0.5 * width * (before + here);
        (before, width) = (here, width * 1.2);
    }
    sum
}

fn e2(x: f64) -> f64 {
    (-x).exp() - x * e1(x)
}

/// Scatterings that XSPEC counts one by one; a constant ratio stands for the others.
pub(super) fn counted(tau: f64) -> usize {
    let count = match tau {
        t if t <= 1.0 => 9.3 * t.powf(0.499),
        t if t <= 3.0 => 9.3 * t.powf(0.855),
        t => 7.586 * t.powf(1.041),
    };
    (count as usize).clamp(2, MOST_SCATTERINGS)
}

#[derive(Debug, Clone)]
pub(super) struct Escape {
    /// Probability to pass without scattering.
    pub direct: f64,
    /// Probability to leave after 1, 2, .. scatterings.
    pub after: Vec<f64>,
    /// Of the probabilities of n + 1 and n scatterings, n large.
    pub ratio: f64,
}

type Layers = [f64; LAYERS + 1];

/// Adds to the two layers around a place (in layers), as linear interpolation between them will take it.
fn spread(layers: &mut Layers, place: f64, amount: f64) {
    let k = (place.max(0.0) as usize).min(LAYERS - 1);
    let along = place - k as f64;
    layers[k] += amount * (1.0 - along);
    layers[k + 1] += amount * along;
}

impl Escape {
    /// Up to `count` scatterings.
    pub fn new(tau: f64, count: usize) -> Self {
        if tau <= 0.0 {
            return Self { direct: 1.0, after: vec![0.0; count], ratio: 0.0 };
        }
        let step = tau / LAYERS as f64;
        // What a source sends over a distance, per layer of the slab on that side.
        let rays: Vec<Vec<(f64, f64)>> = (0..=LAYERS)
            .map(|layers| points(step * layers as f64).map(|(q, w)| (q, 0.5 * w * e1(q))).collect())
            .collect();
        let mut passed = [Layers::default(); LAYERS + 1];
        // Sources of photons scattered twice: those scattered once have E2/2.
        let mut source = Layers::default();
        for (layer, (passed, source)) in passed.iter_mut().zip(&mut source).enumerate() {
            let depth = step * layer as f64;
            let below = rays[layer].iter().map(|(q, strength)| (depth - q, strength));
            let above = rays[LAYERS - layer].iter().map(|(q, strength)| (depth + q, strength));
            for (from, strength) in below.chain(above) {
                *source += 0.5 * e2(from) * strength;
                spread(passed, from / step, *strength);
            }
        }
        let (mut leaving, mut once) = (Layers::default(), 0.0);
        for (q, w) in points(tau) {
            let out = w * e2(q);
            once += out * e2(tau - q);
            spread(&mut leaving, (tau - q) / step, 2.0 * out);
        }
        let sum = |a: &Layers, b: &Layers| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut after = vec![once];
        while after.len() < count {
            after.push(sum(&leaving, &source));
            source = std::array::from_fn(|layer| sum(&passed[layer], &source));
        }
        let lost = 0.5 * (-(-tau).exp_m1() / tau + e2(tau));
        Self {
            direct: (-tau).exp() - tau * e2(tau),
            after,
            // The fit of XSPEC.
            ratio: (1.0 + tau.powf(0.6524) * (-4.071_163_6 - 0.089_848_064 * tau).exp()) * (1.0 - lost),
        }
    }
}

/// Equal steps of the logarithm of the optical depth.
pub(super) struct Depths {
    pub from: f64,
    to: f64,
    pub rows: usize,
}

impl Depths {
    pub fn step(&self) -> f64 {
        (self.to / self.from).ln() / (self.rows - 1) as f64
    }
}

/// Below and above the jump of XSPEC's exponential integral.
pub(super) const THIN_DEPTHS: Depths = Depths { from: 1e-5, to: SPLIT_DEPTH * (1.0 - 1e-12), rows: 173 };
pub(super) const DEEP_DEPTHS: Depths = Depths { from: SPLIT_DEPTH, to: LARGEST_DEPTH, rows: 703 };
/// A row: ln of (1 - direct)/tau, of the probabilities, and of the ratio.
pub(super) const ROW: usize = MOST_SCATTERINGS + 2;

/// The rows of THIN_DEPTHS, then those of DEEP_DEPTHS.
pub(super) fn rows() -> &'static [f64] {
    static ROWS: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let depths = [THIN_DEPTHS, DEEP_DEPTHS].into_iter().flat_map(|depths| {
            let step = depths.step();
            (0..depths.rows).map(move |k| (depths.from * (step * k as f64).exp()).min(depths.to))
        });
        let depths: Vec<f64> = depths.collect();
        let row = |tau: &f64| {
            let escape = Escape::new(*tau, MOST_SCATTERINGS);
            let first = (1.0 - escape.direct) / tau;
            [first].into_iter().chain(escape.after).chain([escape.ratio]).map(|x| x.max(1e-300).ln()).collect()
        };
        let rows: Vec<Vec<f64>> = depths.par_iter().map(row).collect();
        rows.concat()
    });
    &ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz & Stegun table 5.1.
    #[test]
    fn the_integrals_are_as_rough_as_they_should_be() {
        for (x, exact) in [(0.05, 2.467_898), (0.2, 1.222_651), (0.5, 0.559_774), (1.0, 0.219_384), (2.0, 0.048_901)] {
            assert!((e1(x) / exact - 1.0).abs() < 2e-2, "{x}: {}", e1(x));
        }
        let length: f64 = points(3.0).map(|(_, w)| w).sum();
        assert!((length - 3.0).abs() < 1e-13);
        assert!((points(2.0).map(|(x, w)| w * (-x).exp()).sum::<f64>() + (-2f64).exp_m1()).abs() < 1e-13);
    }

    #[test]
    fn photons_leave_at_most_once() {
        for tau in [1e-4, 0.05, 0.29, 0.31, 1.0, 3.0, 10.0] {
            let escape = Escape::new(tau, MOST_SCATTERINGS);
            let last = escape.after[MOST_SCATTERINGS - 1];
            let rest = last * escape.ratio / (1.0 - escape.ratio);
            let top = escape.direct + escape.after.iter().sum::<f64>() + rest;
            // A conservative slab lets less than all pass; a thin one nearly all. Half of those scattered go back.
            assert!(top < 1.0 && escape.after.iter().all(|p| *p > 0.0), "{tau}: {top}");
            if tau < 0.1 {
                assert!((1.0 - top) < tau && (1.0 - top) > 0.8 * 0.5 * (1.0 - escape.direct), "{tau}: {top}");
            }
            // The fitted ratio is that of many scatterings; in a slab so thin that none happen twice it was not fitted.
            let found = last / escape.after[MOST_SCATTERINGS - 2];
            if tau > 0.01 {
                assert!((found / escape.ratio - 1.0).abs() < 0.02, "{tau}: {found} {}", escape.ratio);
            }
        }
        let none = Escape::new(0.0, 3);
        assert_eq!((none.direct, none.after.iter().sum::<f64>()), (1.0, 0.0));
    }
}
