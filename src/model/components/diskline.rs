//! diskline: a line from a disc around a hole that does not rotate.
//!
//! A ring of radius r sends 1/g = (1 - 3/r)^-1/2 (1 + s sin(phi) / sqrt(r - 2 (1 - s^2 cos^2 phi))), s the sine of the
//! inclination: Fabian et al. 1989 with the bending term that XSPEC 12.15 evidently has (2, not 1, under the root). It can be
//! solved for phi, so a ring's photons in a bin, g^3 d phi, need no integral over the angle (g is that of the bin's
//! middle); rings remain. Their blue and red ends show as a ripple of about 1 % in bins of a few eV; so that it is that of XSPEC,
//! the rings are XSPEC's: 999, at the mean of two radii in geometric progression.

use super::{Component, profile::arctan};
use crate::model::{
    grid::{Bin, TILE, Tile},
    real::Real,
};

const RINGS: usize = 999;
/// Rings and angles (Gauss-Legendre nodes) for the total.
const COARSE: usize = 128;
const NODES: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// sqrt(1 - 3/r), A = r - 2 + 2 s^2, sqrt A, and the ring's share of the photons.
struct Ring<R> {
    slow: R,
    spread: R,
    root: R,
    weight: R,
}

pub struct DiskLine<R> {
    /// 1/LineE, s^2.
    inverse: R,
    square: R,
    rings: Vec<Ring<R>>,
    /// Energies with photons lie between these, keV.
    pub(super) lowest: f64,
    pub(super) highest: f64,
    energy: R,
}

/// Emissivity r^power times r^2 (for rings in ln r), relative to its largest value.
fn emissivity(power: f64, radius: f64, from: f64, to: f64) -> f64 {
    if power >= 10.0 {
        return (1.0 - (6.0 / radius).sqrt()).max(0.0) * from / radius;
    }
    let index = power + 2.0;
    (index * (radius / if index > 0.0 { to } else { from }).ln()).exp()
}

/// LineE, Betor10, Rin_M, Rout_M, Incl (degrees), norm (photons in the line).
pub(crate) fn diskline<R: Real>(par: &[f64]) -> DiskLine<R> {
    let &[energy, power, inner, outer, inclination, norm] = par else {
        return diskline(&[6.7, -2.0, 10.0, 1000.0, 30.0, 0.0]);
    };
    let energy = energy.max(1e-3);
    let from = inner.max(6.0);
    let to = outer.max(from * 1.001);
    // Seen exactly from above the line would be a delta function of every ring.
    let sine = inclination.to_radians().sin().clamp(1e-3, 1.0);
    let square = sine * sine;
    let decades = (to / from).ln();
    let radius = |k: usize, count: usize| from * (decades * (k as f64 + 0.5) / count as f64).exp();
    let mut total = 0.0;
    for k in 0..COARSE {
        let r = radius(k, COARSE);
        let angles = NODES.iter().flat_map(|(n, w)| [(*n, *w), (-*n, *w)]);
        let sum: f64 = angles
            .map(|(n, w)| {
                let u = (std::f64::consts::FRAC_PI_2 * n).sin();
                let root = (r - 2.0 + 2.0 * square * (1.0 - u * u)).sqrt();
                w * ((1.0 - 3.0 / r).sqrt() / (1.0 + sine * u / root)).powi(3)
            })
            .sum();
        total += sum * std::f64::consts::FRAC_PI_2 * emissivity(power, r, from, to) / COARSE as f64;
    }
    let progression = decades / RINGS as f64;
    let rings = (0..RINGS)
        .map(|k| {
            let r = from * (progression * k as f64).exp() * 0.5 * (1.0 + progression.exp());
            let spread = r - 2.0 + 2.0 * square;
            Ring {
                slow: R::of((1.0 - 3.0 / r).sqrt()),
                spread: R::of(spread),
                root: R::of(spread.sqrt()),
                weight: R::of(norm * emissivity(power, r, from, to) / (total.max(1e-300) * RINGS as f64)),
            }
        })
        .collect();
    let fastest = sine / (from - 2.0).sqrt();
    DiskLine {
        inverse: R::of(1.0 / energy),
        square: R::of(square),
        rings,
        lowest: energy * (1.0 - 3.0 / from).sqrt() / (1.0 + fastest),
        highest: energy / (1.0 - fastest),
        energy: R::of(energy),
    }
}

impl<R: Real> Component<R> for DiskLine<R> {
    #[inline(always)]
    fn value<const WIDE: bool>(&self, bin: &Bin<R>) -> R {
        let (zero, half) = (R::of(0.0), bin.log_width * R::of(0.5));
        let over = self.energy / bin.centre;
        // What the two edges add to E/e, without the edges' rounding.
        let (more, less) = (over * half.exp_m1(), over * (-half).exp_m1());
        let mut sum = zero;
        for ring in &self.rings {
            let angle = |x: R, ring: &Ring<R>| {
                let y = x * ring.slow - R::of(1.0);
                let rest = (y * y).fma(self.square + self.square - ring.spread, self.square);
                let along = rest.max(R::of(1e-24)).sqrt();
                let size = arctan(y.abs() * ring.root / along);
                R::pick(y.lt(zero), -size, size)
            };
            sum = (angle(over + more, ring) - angle(over + less, ring)).fma(ring.weight, sum);
        }
        let g = bin.centre * self.inverse;
        (sum * g * g * g).max(zero)
    }

    #[inline(always)]
    fn fill(&self, tile: &Tile<R::Store>, _table: &[R::Store], out: &mut [R::Store; TILE]) {
        *out = [R::of(0.0).store(); TILE];
        if tile.e_min > self.highest || tile.e_max < self.lowest {
            return;
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.value::<true>(&tile.bin(j)).store();
        }
    }
}
