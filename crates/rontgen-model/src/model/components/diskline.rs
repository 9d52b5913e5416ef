//! diskline: a line from a disc around a hole that does not rotate.
//!
//! A ring of radius r sends 1/g = (1 - 3/r)^-1/2 (1 + s sin(phi) / sqrt(r - 2 (1 - s^2 cos^2 phi))), s the sine of the
//! inclination: Fabian et al. 1989 with the bending term that XSPEC 12.15 evidently has (2, not 1, under the root). It can be
//! solved for phi, so a ring's photons in a bin are g^3 between two angles; rings remain. Their blue and red ends show as a ripple
//! of about 1 % in bins of a few eV; so that it is that of XSPEC, the rings are XSPEC's: 999, at the mean of two radii in geometric
//! progression. The norm is that of these rings, each integrated over the angle.
//!
//! With y = sqrt(1 - 3/r)/g - 1, sin^2(phi) = y^2 A / (s^2 (1 + 2 y^2)), A = r - 2 + 2 s^2.

use super::{Component, profile::arctan};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
};

const RINGS: usize = 999;
/// Widest part of a bin over its energy for which three angles are enough.
const WIDEST_PART: f64 = 0.02;
const MOST_PARTS: f64 = 256.0;
/// Gauss-Legendre nodes and weights on -1..1, eight points, for the total.
const NODES: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

struct Ring<R> {
    /// 1 - sqrt(1 - 3/r), A, sqrt A, and the ring's share of the photons.
    lost: R,
    spread: R,
    root: R,
    weight: R,
    /// Energies of the ends, keV.
    lowest: f64,
    highest: f64,
}

pub struct DiskLine<R> {
    /// LineE in two parts, s, s^2.
    energy: R,
    energy_low: R,
    sine: R,
    square: R,
    rings: Vec<Ring<R>>,
    /// Energies with photons lie between these, keV.
    lowest: f64,
    highest: f64,
}

/// Emissivity r^power times r^2 (for rings in ln r), relative to its largest value.
pub(super) fn emissivity(power: f64, radius: f64, from: f64, to: f64) -> f64 {
    if power >= 10.0 {
        return (1.0 - (6.0 / radius).sqrt()).max(0.0) * from / radius;
    }
    let index = power + 2.0;
    (index * (radius / if index > 0.0 { to } else { from }).ln()).exp()
}

/// Inner and outer radius and the sine of the inclination from Rin_M, Rout_M, Incl (degrees).
pub(super) fn disc(inner: f64, outer: f64, inclination: f64) -> (f64, f64, f64) {
    let from = inner.max(6.0);
    // Seen exactly from above the line would be a delta function of every ring.
    (from, outer.max(from * 1.001), inclination.to_radians().sin().clamp(1e-3, 1.0))
}

/// LineE, Betor10, Rin_M, Rout_M, Incl (degrees), norm (photons in the line).
pub(crate) fn diskline<R: Real>(par: &[f64]) -> DiskLine<R> {
    let &[energy, power, inner, outer, inclination, norm] = par else {
        return diskline(&[6.7, -2.0, 10.0, 1000.0, 30.0, 0.0]);
    };
    let energy = energy.max(1e-3);
    let (from, to, sine) = disc(inner, outer, inclination);
    let square = sine * sine;
    let progression = (to / from).ln() / RINGS as f64;
    let angles = NODES.map(|(node, weight)| ((std::f64::consts::FRAC_PI_2 * node).sin(), weight));
    let mut total = 0.0;
    let rings: Vec<Ring<f64>> = (0..RINGS)
        .map(|k| {
            let r = from * (progression * k as f64).exp() * 0.5 * (1.0 + progression.exp());
            let slow = (1.0 - 3.0 / r).sqrt();
            let emissivity = emissivity(power, r, from, to);
            // g^3 less that of the middle, at both signs of the angle.
            let sum: f64 = angles
                .iter()
                .map(|(u, weight)| {
                    let x = sine * u / (r - 2.0 + 2.0 * square * (1.0 - u * u)).sqrt();
                    weight * ((1.0 + x).powi(-3) + (1.0 - x).powi(-3))
                })
                .sum();
            total += emissivity * slow.powi(3) * sum * std::f64::consts::FRAC_PI_2;
            let spread = r - 2.0 + 2.0 * square;
            let fastest = sine / (r - 2.0).sqrt();
            Ring {
                lost: 3.0 / r / (1.0 + slow),
                spread,
                root: spread.sqrt(),
                weight: emissivity,
                lowest: energy * slow / (1.0 + fastest),
                highest: energy * slow / (1.0 - fastest),
            }
        })
        .collect();
    let high = if R::REFINE { energy } else { f64::from(energy as f32) };
    let scale = norm / total.max(1e-300);
    DiskLine {
        energy: R::of(high),
        energy_low: R::of(energy - high),
        sine: R::of(sine),
        square: R::of(square),
        lowest: rings.iter().fold(f64::INFINITY, |lowest, ring| lowest.min(ring.lowest)),
        highest: rings.iter().fold(0.0, |highest, ring| highest.max(ring.highest)),
        rings: rings
            .into_iter()
            .map(|ring| Ring {
                lost: R::of(ring.lost),
                spread: R::of(ring.spread),
                root: R::of(ring.root),
                weight: R::of(ring.weight * scale),
                lowest: ring.lowest,
                highest: ring.highest,
            })
            .collect(),
    }
}

/// A ring's light at an energy: sine and cosine of the angle, the angle, and g^-1 sqrt(1 - 3/r). Energies beyond the ring count as its end.
struct Ray<R> {
    sine: R,
    cosine: R,
    angle: R,
    over: R,
}

impl<R: Real> DiskLine<R> {
    /// `delta`: (LineE - E)/E.
    #[inline(always)]
    fn ray(&self, ring: &Ring<R>, delta: R) -> Ray<R> {
        let (zero, one) = (R::of(0.0), R::of(1.0));
        // Without the rounding of E/LineE.
        let y = delta - ring.lost * (one + delta);
        let size = y.abs();
        let y2 = y * y;
        let rest = y2.fma(self.square + self.square - ring.spread, self.square).max(zero);
        let along = rest.sqrt();
        let whole = self.sine * (y2 + y2 + one).sqrt();
        let outside = !zero.lt(rest);
        let sine = R::pick(outside, one, (size * ring.root / whole).min(one));
        let angle = arctan(size * ring.root / along.max(R::of(1e-18)));
        let angle = R::pick(outside, R::of(std::f64::consts::FRAC_PI_2), angle);
        let negative = y.lt(zero);
        let sine = R::pick(negative, -sine, sine);
        Ray { sine, cosine: along / whole, angle: R::pick(negative, -angle, angle), over: self.over(ring, sine) }
    }

    /// g^-1 sqrt(1 - 3/r) at the sine of an angle.
    #[inline(always)]
    fn over(&self, ring: &Ring<R>, sine: R) -> R {
        let part = self.sine * sine;
        part / (ring.spread - (part + part) * part).sqrt() + R::of(1.0)
    }

    /// A ring's photons between two energies: Simpson's rule in the angle.
    #[inline(always)]
    fn photons(&self, ring: &Ring<R>, lower: R, upper: R) -> R {
        let (half, one) = (R::of(0.5), R::of(1.0));
        // The lower energy is the larger angle.
        let (a, b) = (self.ray(ring, upper), self.ray(ring, lower));
        let turn = a.cosine.fma(b.cosine, a.sine * b.sine);
        let cosine = ((one + turn) * half).max(R::of(1e-12)).sqrt();
        let middle = ((a.sine + b.sine) * half / cosine).max(-one).min(one);
        let cube = |over: R| one / (over * over * over);
        let sum = cube(a.over) + cube(b.over) + cube(self.over(ring, middle)) * R::of(4.0);
        let slow = one - ring.lost;
        ring.weight * slow * slow * slow * (b.angle - a.angle).max(R::of(0.0)) * sum * R::of(1.0 / 6.0)
    }
}

impl<R: Real> Component<R> for DiskLine<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, _bin: &Bin<R>) -> R {
        R::of(f64::NAN) // only `fill` knows which rings reach which bins
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        *out = [R::of(0.0).store(); TILE];
        if tile.e_min > self.highest || tile.e_max < self.lowest {
            return;
        }
        let ratio = tile.broadest_log.exp_m1();
        let parts = (ratio / WIDEST_PART).ceil().clamp(1.0, MOST_PARTS);
        for ring in &self.rings {
            let (lowest, highest) = (R::of(ring.lowest * (1.0 - 1e-6)), R::of(ring.highest * (1.0 + 1e-6)));
            let from = tile.hi[..tile.len].partition_point(|e| R::load(*e).lt(lowest));
            let to = tile.lo[..tile.len].partition_point(|e| R::load(*e).lt(highest)).max(from);
            let (high, low, width) = (&tile.mid_hi[from..to], &tile.mid_lo[from..to], &tile.width[from..to]);
            for part in 0..parts as usize {
                // Ends of the part from the bin's middle, in its widths.
                let start = R::of(part as f64 / parts - 0.5);
                let end = R::of((part + 1) as f64 / parts - 0.5);
                for (((out, high), low), width) in out[from..to].iter_mut().zip(high).zip(low).zip(width) {
                    let (high, low, width) = (R::load(*high), R::load(*low), R::load(*width));
                    let distance = (self.energy - high) + (self.energy_low - low);
                    let delta = |aside: R| (distance - aside) / (high + (low + aside));
                    let photons = self.photons(ring, delta(width * start), delta(width * end));
                    *out = (R::load(*out) + photons).store();
                }
            }
        }
    }
}
