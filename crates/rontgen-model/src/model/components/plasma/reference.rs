//! The oracle: a plasma's photons straight from AtomDB's tables, in f64, every line and every point of the continua.

use super::{Plasma, table::abundance_ratios, widths};
use crate::atomic::atomdb::{AtomDb, Curve, Node};
use crate::model::{Settings, special::erfc};

/// Lines end here, in sigma: 1e-18 of one lies outside.
const REACH: f64 = 9.0;
/// photons cm3/s to photons/cm2/s at norm 1.
pub(super) const NORM: f64 = 1e14;

/// Photons/cm2/s in bins (keV, ascending; they need not touch). `None`: an unknown abundance table.
pub(super) fn photons(plasma: &Plasma, db: &AtomDb, settings: &Settings, bins: &[(f64, f64)]) -> Option<Vec<f64>> {
    let ratios = abundance_ratios(settings)?;
    let weights: Vec<f64> =
        ratios.iter().enumerate().map(|(e, ratio)| ratio * plasma.abundance[plasma.family.group(e)]).collect();
    let moved: Vec<(f64, f64)> = bins.iter().map(|(lo, hi)| (lo * plasma.stretch, hi * plasma.stretch)).collect();
    let (below, above) = db.bracket(plasma.kt);
    let scale = NORM * plasma.norm / plasma.stretch;
    let mut out = vec![0.0; bins.len()];
    for (node, share) in [(below, 1.0 - above), (below + 1, above)] {
        let Some(node) = db.nodes.get(node).filter(|_| share > 0.0) else { continue };
        let curves = weights.iter().zip(&node.continuum).chain(weights.iter().zip(&node.pseudo));
        for (weight, curve) in curves {
            add_curve(curve, weight * scale * share, &moved, &mut out);
        }
        add_lines(plasma, node, &weights, scale * share, &moved, &mut out);
    }
    Some(out)
}

/// Integral of a piecewise linear curve over ascending bins.
fn add_curve(curve: &Curve, factor: f64, bins: &[(f64, f64)], out: &mut [f64]) {
    let (x, y) = (&curve.energy, &curve.density);
    if x.len() < 2 || factor == 0.0 {
        return;
    }
    let mut piece = 0;
    for (&(lo, hi), out) in bins.iter().zip(out) {
        if piece == 0 {
            piece = x.partition_point(|x| f64::from(*x) <= lo).saturating_sub(1);
        }
        while piece + 2 < x.len() && f64::from(x[piece + 1]) <= lo {
            piece += 1;
        }
        let mut k = piece;
        while k + 1 < x.len() && f64::from(x[k]) < hi {
            let (x0, x1, y0, y1) = (f64::from(x[k]), f64::from(x[k + 1]), f64::from(y[k]), f64::from(y[k + 1]));
            let (a, b) = (lo.max(x0), hi.min(x1));
            if b > a {
                let middle = (0.5 * (a + b) - x0) / (x1 - x0);
                *out += factor * (b - a) * (y0 + (y1 - y0) * middle);
            }
            k += 1;
        }
    }
}

fn add_lines(plasma: &Plasma, node: &Node, weights: &[f64], factor: f64, bins: &[(f64, f64)], out: &mut [f64]) {
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return };
    let lines = &node.lines;
    let widths = widths(node.kt, plasma.beta);
    let broadest = REACH * widths.iter().copied().fold(0.0, f64::max);
    let from = lines.energy.partition_point(|e| *e < first.0 / (1.0 + broadest));
    let to = lines.energy.partition_point(|e| *e <= last.1 / (1.0 - broadest).max(0.05));
    for l in from..to {
        let (energy, element) = (lines.energy[l], usize::from(lines.element[l]));
        let photons = f64::from(lines.emissivity[l]) * factor * weights.get(element).copied().unwrap_or(0.0);
        if photons == 0.0 {
            continue;
        }
        if !plasma.broad {
            let bin = bins.partition_point(|b| b.1 <= energy);
            if let Some((_, out)) = bins.get(bin).zip(out.get_mut(bin)).filter(|(b, _)| b.0 <= energy) {
                *out += photons;
            }
            continue;
        }
        let sigma = energy * widths[element];
        let (lo, hi) = (energy - REACH * sigma, energy + REACH * sigma);
        let first = bins.partition_point(|b| b.1 <= lo);
        for (bin, out) in bins.iter().zip(out.iter_mut()).skip(first).take_while(|(b, _)| b.0 < hi) {
            let (a, b) = ((bin.0 - energy) / sigma, (bin.1 - energy) / sigma);
            *out += photons * area(a, b);
        }
    }
}

/// Area of the normal distribution between a < b, by the tails on the outer side.
fn area(a: f64, b: f64) -> f64 {
    let tail = |x: f64| 0.5 * erfc(x.abs() * std::f64::consts::FRAC_1_SQRT_2);
    if a < 0.0 && b >= 0.0 { 1.0 - tail(a) - tail(b) } else { (tail(a) - tail(b)).abs() }
}
