//! The folded spectrum: counts with the model's posterior and its components, and residuals.

use super::axis::{Axis, Labels, Panel};
use super::binning::{centre, combine, energy_axis, points, poisson_error};
use super::canvas::{DATA, Ink, PARTS, POSTERIOR, Picture, TRUTH, draw};
use super::legend::{Legend, POINT, Sample};
use crate::report::tables::{SpectrumRow, SpectrumTable};
use crate::result::Residuals;

/// Widths that the folded and the unfolded plot share, so that their energies lie below each other.
pub const WIDTH: f64 = 820.0;
/// Left edge of the panels.
pub const LEFT: f64 = 84.0;
/// Right edge of the panels.
pub const RIGHT: f64 = WIDTH - 18.0;
const TALL: f64 = 360.0;

/// [`spectrum`] of the bins within `lo..hi` keV alone, with a linear scale of counts: lines and their wings. `None` without bins.
pub fn band(table: &SpectrumTable, lo: f64, hi: f64, residuals: Residuals) -> Option<Picture> {
    let inside = |row: &SpectrumRow| row.e_min >= lo && row.e_max <= hi;
    let kept: Vec<usize> = table.rows.iter().enumerate().filter(|(_, row)| inside(row)).map(|(i, _)| i).collect();
    let of = |values: &[f64]| kept.iter().map(|&i| values.get(i).copied().unwrap_or(0.0)).collect::<Vec<f64>>();
    let table = SpectrumTable {
        exposure: table.exposure,
        rows: kept.iter().filter_map(|&i| table.rows.get(i).copied()).collect(),
        components: table.components.iter().map(|(name, values)| (name.clone(), of(values))).collect(),
    };
    drawn(&table, residuals, false)
}

/// Counts per s and keV with the model's posterior, and residuals. `None` without bins.
pub fn spectrum(table: &SpectrumTable, residuals: Residuals) -> Option<Picture> {
    drawn(table, residuals, true)
}

/// Points every few pixels along a line given in pixels: what a legend must not cover.
pub fn trace(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut all = Vec::new();
    for (a, b) in line.iter().zip(line.iter().skip(1)) {
        let steps = ((b.0 - a.0).hypot(b.1 - a.1) / 4.0).ceil().clamp(1.0, 500.0);
        all.extend((0..=steps as usize).map(|k| {
            let t = k as f64 / steps;
            (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1))
        }));
    }
    all
}

/// A step function over bins as a line in pixels, kept inside the panel.
pub fn step_line(panel: &Panel, bins: &[(f64, f64, f64)]) -> Vec<(f64, f64)> {
    let place = |x: f64, y: f64| (panel.px_inside(x), panel.py_inside(y));
    bins.iter().flat_map(|b| [place(b.0, b.2), place(b.1, b.2)]).collect()
}

fn drawn(table: &SpectrumTable, residuals: Residuals, logarithmic: bool) -> Option<Picture> {
    let exposure = table.exposure;
    if table.rows.is_empty() || exposure <= 0.0 {
        return None;
    }
    let (points, model) = (points(table), combine(table, 0.0));
    let rate = |counts: f64, r: &SpectrumRow| counts / (exposure * (r.e_max - r.e_min));
    let positive = |v: f64| v > 0.0 && v.is_finite();
    let data = || points.rows.iter().map(|r| rate(r.counts, r)).filter(|v| positive(*v));
    let least = data().fold(f64::INFINITY, f64::min);
    let expected = model.rows.iter().map(|r| rate(r.median, r)).filter(|v| positive(*v));
    // A model that falls far below all data is followed for a decade.
    let shown: Vec<f64> = data().chain(expected.filter(|v| !least.is_finite() || *v > 0.1 * least)).collect();
    let (lo, hi) = shown.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &v| (a.min(v), b.max(v)));
    let (bottom, top) = if logarithmic { ((0.5 * lo).max(1e-6 * hi), 2.2 * hi) } else { (0.0, 1.12 * hi) };
    let panel = |y0: f64| Panel {
        x0: LEFT,
        y0,
        x1: RIGHT,
        y1: y0 + TALL,
        x: energy_axis(&table.rows),
        y: Axis::new(bottom, top, logarithmic, "Counts s⁻¹ keV⁻¹"),
    };
    let steps = |values: &dyn Fn(usize, &SpectrumRow) -> f64| -> Vec<(f64, f64, f64)> {
        model.rows.iter().enumerate().map(|(i, r)| (r.e_min, r.e_max, rate(values(i, r), r))).collect()
    };
    let median = steps(&|_, r| r.median);
    let parts: Vec<Part> = model
        .components
        .iter()
        .map(|(name, values)| (name.clone(), steps(&|i, _| values.get(i).copied().unwrap_or(0.0))))
        .collect();
    let axis = super::residuals::axis(residuals, &points.rows);
    let beyond = points.rows.iter().filter_map(|r| residuals.of(r.counts, r.median));
    let beyond = beyond.filter(|v| *v < axis.lo || *v > axis.hi).count();

    let legend = legend(&points, table, beyond);
    let upper = panel(16.0);
    let place = legend.place(&upper, &obstacles(&upper, &points, &rate, &median, &parts));
    // Where everything is full of data the legend stands above the panel.
    let above = if place.is_none() { legend.flow_height(RIGHT - LEFT) + 8.0 } else { 0.0 };
    let upper = panel(16.0 + above);
    let lower = Panel { x0: LEFT, y0: upper.y1 + 12.0, x1: RIGHT, y1: upper.y1 + 142.0, x: upper.x.clone(), y: axis };
    Some(draw(WIDTH, lower.y1 + 52.0, "Folded spectrum with the posterior of the model and residuals", |canvas| {
        upper.grid(canvas, 11.0);
        if let Some(at) = place {
            legend.draw(canvas, at);
        }
        let band = |f: fn(&SpectrumRow) -> (f64, f64)| -> Vec<(f64, f64, f64, f64)> {
            model.rows.iter().map(|r| (r.e_min, r.e_max, rate(f(r).0, r), rate(f(r).1, r))).collect()
        };
        upper.step_band(canvas, &band(|r| (r.q025, r.q975)), POSTERIOR.opacity(0.22));
        upper.step_band(canvas, &band(|r| (r.q16, r.q84)), POSTERIOR.opacity(0.40));
        for (k, (_, bins)) in parts.iter().enumerate() {
            upper.steps(canvas, bins, part_ink(k), 1.2);
        }
        let light = points.rows.len() > 120;
        let (bar, dot) = if light { (0.8, 1.1) } else { (1.1, 2.0) };
        for r in &points.rows {
            let (down, up) = poisson_error(r.counts);
            let at = centre(r);
            let ends = [(at, rate(r.counts - down, r).max(upper.y.lo * 0.1)), (at, rate(r.counts + up, r))];
            upper.curve(canvas, &[(r.e_min, rate(r.counts, r)), (r.e_max, rate(r.counts, r))], DATA.opacity(0.75), bar);
            upper.curve(canvas, &ends, DATA.opacity(0.75), bar);
            if r.counts > 0.0 && rate(r.counts, r) >= upper.y.lo {
                canvas.dot(upper.place(at, rate(r.counts, r)), dot, DATA);
            }
        }
        upper.steps(canvas, &median, POSTERIOR, 1.5);
        upper.axes(canvas, Labels { bottom: false, left: true, size: 11.0, scale: true }, 58.0);

        if residuals == Residuals::Delta {
            canvas.rectangle((LEFT, lower.py(1.0)), (RIGHT, lower.py(-1.0)), POSTERIOR.opacity(0.10));
        }
        lower.grid(canvas, 11.0);
        let level = lower.py(residuals.level());
        canvas.line(&[(LEFT, level), (RIGHT, level)], POSTERIOR, 1.2);
        for r in &points.rows {
            let (Some(value), Some((from, to))) =
                (residuals.of(r.counts, r.median), super::residuals::bar(residuals, r))
            else {
                continue;
            };
            let at = centre(r);
            if value > lower.y.hi || value < lower.y.lo {
                let up = value > lower.y.hi;
                canvas.pointer((lower.px(at), if up { lower.y0 + 1.5 } else { lower.y1 - 1.5 }), up, TRUTH);
                continue;
            }
            lower.curve(canvas, &[(at, from), (at, to)], DATA.opacity(0.45), bar);
            canvas.dot(lower.place(at, value), dot, DATA);
        }
        lower.axes(canvas, Labels { bottom: true, left: true, size: 11.0, scale: true }, 58.0);
        if place.is_none() {
            legend.draw_flow(canvas, (LEFT, 10.0), RIGHT - LEFT);
        }
    }))
}

/// The colour of additive component `k`.
pub fn part_ink(k: usize) -> Ink {
    PARTS.get(k % PARTS.len()).copied().unwrap_or(DATA)
}

fn legend(points: &SpectrumTable, table: &SpectrumTable, beyond: usize) -> Legend {
    let (drawn, bins) = (points.rows.len(), table.rows.len());
    let mut legend = Legend::default();
    let observed = if drawn < bins {
        format!("observed ({bins} bins, drawn as {drawn})")
    } else {
        format!("observed ({bins} bins)")
    };
    legend.add(POINT, observed);
    legend.add(Sample::Line(POSTERIOR, 1.5), "expected counts, posterior median");
    legend.add(Sample::Bands, "their 68 % and 95 % intervals");
    for (k, (name, _)) in table.components.iter().enumerate() {
        legend.add(Sample::Line(part_ink(k), 1.2), format!("{name}, at the best fit"));
    }
    if beyond > 0 {
        legend.add(
            Sample::Pointer(TRUTH),
            format!("{beyond} residual{} beyond the panel", if beyond > 1 { "s" } else { "" }),
        );
    }
    legend
}

/// A component's name, and its bins: lower edge, upper edge [keV], value.
type Part = (String, Vec<(f64, f64, f64)>);

/// What is drawn in the upper panel, as pixels.
fn obstacles(
    panel: &Panel,
    points: &SpectrumTable,
    rate: &dyn Fn(f64, &SpectrumRow) -> f64,
    median: &[(f64, f64, f64)],
    parts: &[Part],
) -> Vec<(f64, f64)> {
    let mut all = trace(&step_line(panel, median));
    for (_, bins) in parts {
        // Where a component lies below the panel nothing is drawn.
        let inside: Vec<(f64, f64, f64)> = bins.iter().filter(|b| b.2 >= panel.y.lo).copied().collect();
        all.extend(trace(&step_line(panel, &inside)));
    }
    for r in &points.rows {
        let (down, up) = poisson_error(r.counts);
        let place = |x: f64, counts: f64| (panel.px_inside(x), panel.py_inside(rate(counts, r)));
        all.extend(trace(&[place(centre(r), r.counts - down), place(centre(r), r.counts + up)]));
        if r.counts > 0.0 {
            all.extend(trace(&[place(r.e_min, r.counts), place(r.e_max, r.counts)]));
        }
        all.extend(trace(&[place(r.e_min, r.q025), place(r.e_min, r.q975)]));
    }
    all
}
