//! Densities for the corner plot: smooth curves in one dimension, contours of enclosed mass in two.
//!
//! The widths of the kernels follow the EFFECTIVE number of samples: an equal-weight posterior of 50 000 draws that repeats a few
//! hundred weighted ones is smoothed as a few hundred.
//!
//! Contour levels are shares of ALL samples, also of those outside the panel: a contour that would have to leave the panel's mass
//! behind does not exist, instead of being drawn too small.

use super::axis::Axis;

/// Grid cells per side in two dimensions.
const GRID: usize = 56;

/// Density of `samples` along `axis` (per unit of the axis' fraction), at `points` equidistant places from end to end. Gaussian
/// kernel with Silverman's width for `effective` independent samples. Mass is reflected where the prior ends (`lo`, `hi`, physical units), so that a posterior
/// cut off by its prior is drawn cut off.
pub fn curve(
    samples: &[f64],
    axis: &Axis,
    edges: Option<(f64, f64)>,
    points: usize,
    effective: f64,
) -> Vec<(f64, f64)> {
    let t: Vec<f64> = samples.iter().map(|&x| axis.fraction(x)).filter(|t| t.is_finite()).collect();
    let spread = width(&t);
    let bandwidth = (0.9 * spread * at_least_two(effective).powf(-0.2)).max(0.5 / points as f64);
    let fine = 4 * points;
    let (low, high) = (-0.5, 1.5);
    let mut histogram = vec![0.0f64; 2 * fine];
    let mut deposit = |t: f64| {
        let bin = ((t - low) / (high - low) * histogram.len() as f64).floor();
        if bin >= 0.0
            && let Some(h) = histogram.get_mut(bin as usize)
        {
            *h += 1.0;
        }
    };
    let ends: Vec<f64> = edges
        .map_or(Vec::new(), |(lo, hi)| [lo, hi].iter().map(|&e| axis.fraction(e)).filter(|e| e.abs() < 5.0).collect());
    for &x in &t {
        deposit(x);
        for &e in &ends {
            if (x - e).abs() < 6.0 * bandwidth {
                deposit(2.0 * e - x);
            }
        }
    }
    let step = (high - low) / histogram.len() as f64;
    let reach = (4.0 * bandwidth / step).ceil() as i64;
    (0..=points)
        .map(|i| {
            let at = i as f64 / points as f64;
            let value = axis.at(at);
            if edges.is_some_and(|(lo, hi)| value < lo - 1e-9 * lo.abs() || value > hi + 1e-9 * hi.abs()) {
                return (value, 0.0);
            }
            let centre = ((at - low) / step) as i64;
            let sum: f64 = (centre - reach..=centre + reach)
                .filter_map(|j| Some((j, *histogram.get(usize::try_from(j).ok()?)?)))
                .map(|(j, h)| {
                    let z = (low + (j as f64 + 0.5) * step - at) / bandwidth;
                    h * (-0.5 * z * z).exp()
                })
                .sum();
            (value, sum / (t.len().max(1) as f64 * bandwidth * std::f64::consts::TAU.sqrt()))
        })
        .collect()
}

/// A number of samples that a width can be made of.
fn at_least_two(effective: f64) -> f64 {
    if effective.is_finite() { effective.max(2.0) } else { 2.0 }
}

/// Correlation of two columns; 0 where one of them does not vary.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let pairs: Vec<(f64, f64)> =
        x.iter().zip(y).map(|(a, b)| (*a, *b)).filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
    let n = pairs.len().max(1) as f64;
    let (mx, my) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
        xy += (a - mx) * (b - my);
    }
    let r = xy / (xx * yy).sqrt();
    if r.is_finite() { r.clamp(-1.0, 1.0) } else { 0.0 }
}

/// Robust standard deviation: the smaller of the usual one and a scaled inter-quartile range.
fn width(t: &[f64]) -> f64 {
    let d = crate::numerics::statistics::Description::of(t);
    let quartiles = crate::numerics::statistics::quantiles(t, &[0.25, 0.75]);
    let iqr = match quartiles.as_slice() {
        &[a, b] => (b - a) / 1.349,
        _ => f64::NAN,
    };
    let s = if iqr > 0.0 { d.std.min(iqr) } else { d.std };
    if s.is_finite() { s } else { 0.0 }
}

/// A smoothed two-dimensional histogram over two axes, cells of equal size in the axes' fractions.
pub struct Surface {
    cells: Vec<f64>,
    /// Share of all samples inside the panel.
    inside: f64,
}

impl Surface {
    /// `effective`: the number of independent samples that `x` and `y` are worth.
    pub fn of(x: &[f64], y: &[f64], x_axis: &Axis, y_axis: &Axis, effective: f64) -> Surface {
        let tx: Vec<f64> = x.iter().map(|&v| x_axis.fraction(v)).collect();
        let ty: Vec<f64> = y.iter().map(|&v| y_axis.fraction(v)).collect();
        let mut cells = vec![0.0; GRID * GRID];
        let mut count = 0usize;
        for (&a, &b) in tx.iter().zip(&ty) {
            let (i, j) = ((a * GRID as f64).floor(), (b * GRID as f64).floor());
            let n = GRID as f64;
            if i >= 0.0 && j >= 0.0 && i < n && j < n {
                if let Some(c) = cells.get_mut(j as usize * GRID + i as usize) {
                    *c += 1.0;
                }
                count += 1;
            }
        }
        let total = x.len().min(y.len()).max(1) as f64;
        // The best width of a product kernel for a normal density with correlation r (Scott 1992, section 6.3): a narrow diagonal
        // ridge needs a narrow kernel. A little wider than that: these lines are to be looked at.
        let r2 = correlation(&tx, &ty).powi(2).min(0.9999);
        let narrow = (1.0 - r2).powf(5.0 / 12.0) * (1.0 + 0.5 * r2).powf(-1.0 / 6.0);
        let scale = 1.4 * narrow * at_least_two(effective).powf(-1.0 / 6.0) * GRID as f64;
        let sigma = |t: &[f64]| (scale * width(t)).clamp(0.6, 8.0);
        smooth(&mut cells, sigma(&tx), sigma(&ty));
        Surface { cells, inside: count as f64 / total }
    }

    fn at(&self, i: i64, j: i64) -> f64 {
        let inside = |k: i64| (0..GRID as i64).contains(&k);
        if inside(i) && inside(j) {
            self.cells.get(j as usize * GRID + i as usize).copied().unwrap_or(0.0)
        } else {
            0.0
        }
    }

    /// The density level whose region holds `mass` of all samples; `None` when the panel does not hold that much.
    pub fn level(&self, mass: f64) -> Option<f64> {
        let total: f64 = self.cells.iter().sum();
        if self.inside < mass || total <= 0.0 {
            return None;
        }
        let mut sorted = self.cells.clone();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let mut sum = 0.0;
        sorted.into_iter().find(|c| {
            sum += c;
            sum >= mass / self.inside * total
        })
    }

    /// Closed outlines of the region above `level`, in fractions of the panel; holes run the other way round. Beyond the panel
    /// the density counts as zero, so that every outline closes.
    pub fn outlines(&self, level: f64) -> Vec<Vec<(f64, f64)>> {
        use std::collections::HashMap;
        // Marching squares over cell centres. Every edge of the dual grid that the outline crosses has a key; each square links
        // the edge where the outline enters to the one where it leaves, high ground on the left.
        type Edge = (i64, i64, bool);
        let mut next: HashMap<Edge, Edge> = HashMap::new();
        for j in -1..GRID as i64 {
            for i in -1..GRID as i64 {
                let corner = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
                let high = corner.map(|(a, b)| self.at(a, b) > level);
                // Sides in turn: bottom, right, top, left.
                let side: [Edge; 4] = [(i, j, true), (i + 1, j, false), (i, j + 1, true), (i, j, false)];
                for k in 0..4 {
                    // Going round the square, the outline leaves through a side that goes from high to low ...
                    if high[k] && !high[(k + 1) % 4] {
                        // ... and came in through the side before the run of high corners that ends here.
                        let mut back = k;
                        while high[(back + 3) % 4] && back != (k + 1) % 4 {
                            back = (back + 3) % 4;
                        }
                        next.insert(side[k], side[(back + 3) % 4]);
                    }
                }
            }
        }
        let mut outlines = Vec::new();
        while let Some(&start) = next.keys().min() {
            let mut outline = Vec::new();
            let mut edge = start;
            while let Some(target) = next.remove(&edge) {
                outline.push(self.crossing(edge, level));
                edge = target;
            }
            if outline.len() > 2 {
                outlines.push(outline);
            }
        }
        outlines
    }

    /// Where the outline crosses the edge from (i, j) to its right (`horizontal`) or upper neighbour.
    fn crossing(&self, (i, j, horizontal): (i64, i64, bool), level: f64) -> (f64, f64) {
        let (di, dj) = if horizontal { (1, 0) } else { (0, 1) };
        let (a, b) = (self.at(i, j), self.at(i + di, j + dj));
        let t = if a == b { 0.5 } else { ((level - a) / (b - a)).clamp(0.0, 1.0) };
        let place = |k: i64, d: i64| ((k as f64 + 0.5 + t * d as f64) / GRID as f64).clamp(0.0, 1.0);
        (place(i, di), place(j, dj))
    }
}

/// Gaussian smoothing, one direction after the other; the kernel is cut at the border and renormalised there.
fn smooth(cells: &mut [f64], sigma_x: f64, sigma_y: f64) {
    let pass = |line: &[f64], sigma: f64| -> Vec<f64> {
        let reach = (3.5 * sigma).ceil() as i64;
        let n = line.len() as i64;
        let kernel = |d: i64| (-0.5 * (d as f64 / sigma).powi(2)).exp();
        let mut out = vec![0.0; line.len()];
        // Each cell hands out all of its mass: the sum stays.
        for (i, &mass) in line.iter().enumerate().filter(|(_, m)| **m > 0.0) {
            let range = (i as i64 - reach).max(0)..=(i as i64 + reach).min(n - 1);
            let norm: f64 = range.clone().map(|k| kernel(k - i as i64)).sum();
            for k in range {
                if let Some(o) = out.get_mut(k as usize) {
                    *o += mass * kernel(k - i as i64) / norm;
                }
            }
        }
        out
    };
    for row in cells.chunks_exact_mut(GRID) {
        let smoothed = pass(row, sigma_x);
        row.copy_from_slice(&smoothed);
    }
    for i in 0..GRID {
        let column: Vec<f64> = cells.iter().skip(i).step_by(GRID).copied().collect();
        for (cell, value) in cells.iter_mut().skip(i).step_by(GRID).zip(pass(&column, sigma_y)) {
            *cell = value;
        }
    }
}
