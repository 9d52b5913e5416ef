//! The folded spectrum of a data set: counts with the model's posterior, its components and the background, and residuals.

use super::axis::{Axis, Labels, Panel};
use super::binning::{background_rate, centre, combine, data_error, energy_axis, points};
use super::canvas::{Canvas, DATA, MUTED, Mark, POSTERIOR, Picture, draw, part_style};
use super::legend::{Legend, POINT, Sample};
use super::residuals::{self, Shown};
use crate::report::tables::{BackgroundRow, SpectrumRow, SpectrumTable};
use crate::result::Residuals;

/// Width of the picture [pixels].
pub const WIDTH: f64 = 820.0;
/// Left edge of the panels, of the folded and of the unfolded plot.
pub const LEFT: f64 = 84.0;
/// Right edge of the panels, of the folded and of the unfolded plot.
pub const RIGHT: f64 = WIDTH - 18.0;
const TALL: f64 = 360.0;
/// Components and backgrounds below the data are followed down to this share of the least of these.
const FOLLOWED: f64 = 0.03;

/// [`spectrum`] of the bins within `lo..hi` keV alone, with a linear scale of counts: lines and their wings. `None` without bins.
pub fn band(table: &SpectrumTable, lo: f64, hi: f64, residuals: Residuals) -> Option<Picture> {
    let inside = |row: &SpectrumRow| row.e_min >= lo && row.e_max <= hi;
    let kept: Vec<usize> = table.rows.iter().enumerate().filter(|(_, row)| inside(row)).map(|(i, _)| i).collect();
    let of = |values: &[f64]| -> Vec<f64> {
        let kept = kept.iter().map(|&i| values.get(i).copied().unwrap_or(0.0));
        if values.is_empty() { Vec::new() } else { kept.collect() }
    };
    let table = SpectrumTable {
        exposure: table.exposure,
        rows: kept.iter().filter_map(|&i| table.rows.get(i).copied()).collect(),
        components: table.components.iter().map(|(name, values)| (name.clone(), of(values))).collect(),
        best: of(&table.best),
        source: of(&table.source),
        background: kept.iter().filter_map(|&i| table.background.get(i).copied()).collect(),
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

/// The scale of counts per s and keV for data and model, and for what lies below them and need not be seen to its end. `None` where nothing is
/// positive.
pub(super) fn rate_axis(data: &[f64], model: &[f64], below: &[f64], logarithmic: bool) -> Option<Axis> {
    let positive =
        |values: &[f64]| -> Vec<f64> { values.iter().copied().filter(|v| *v > 0.0 && v.is_finite()).collect() };
    let data = positive(data);
    let least = data.iter().fold(f64::INFINITY, |a, v| a.min(*v));
    // A model that falls far below all data is followed for a decade.
    let model = positive(model).into_iter().filter(|v| !least.is_finite() || *v > 0.1 * least);
    let shown: Vec<f64> = data.into_iter().chain(model).collect();
    let (lo, hi) = shown.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &v| (a.min(v), b.max(v)));
    let lo = positive(below).into_iter().fold(lo, |a, v| a.min(v)).max(FOLLOWED * lo);
    let (bottom, top) = if logarithmic { ((0.5 * lo).max(1e-6 * hi), 2.2 * hi) } else { (0.0, 1.12 * hi) };
    Some(Axis::new(bottom, top, logarithmic, "Counts s⁻¹ keV⁻¹"))
}

/// Counts per s and keV of a bin.
pub(super) fn rate(table: &SpectrumTable, counts: f64, r: &SpectrumRow) -> f64 {
    counts / (table.exposure * (r.e_max - r.e_min))
}

fn drawn(table: &SpectrumTable, which: Residuals, logarithmic: bool) -> Option<Picture> {
    if table.rows.is_empty() || table.exposure <= 0.0 {
        return None;
    }
    let (points, model) = (points(table), combine(table, 0.0));
    let rate = |counts: f64, r: &SpectrumRow| rate(table, counts, r);
    let steps = |values: &dyn Fn(usize, &SpectrumRow) -> f64| -> Vec<(f64, f64, f64)> {
        model.rows.iter().enumerate().map(|(i, r)| (r.e_min, r.e_max, rate(values(i, r), r))).collect()
    };
    let median = steps(&|_, r| r.median);
    let parts: Vec<Part> = model
        .components
        .iter()
        .map(|(name, values)| (name.clone(), steps(&|i, _| values.get(i).copied().unwrap_or(0.0))))
        .collect();
    let background: Vec<[f64; 3]> = background_rates(&points);
    let values = |bins: &[(f64, f64, f64)]| bins.iter().map(|b| b.2).collect::<Vec<f64>>();
    let data: Vec<f64> = points.rows.iter().map(|r| rate(r.counts, r)).collect();
    let below: Vec<f64> = background.iter().map(|b| b[0]).collect();
    let y = rate_axis(&data, &values(&median), &below, logarithmic)?;
    let panel = |y0: f64| Panel { x0: LEFT, y0, x1: RIGHT, y1: y0 + TALL, x: energy_axis(&table.rows), y: y.clone() };

    let (bar, dot) = if points.rows.len() > 120 { (0.8, 1.1) } else { (1.1, 2.0) };
    let shown = [Shown { rows: &points.rows, ink: DATA, mark: Mark::Circle, dot, bar }];
    let upper = panel(16.0);
    let mut legend = legend(&points, table);
    residuals::tell_beyond(&mut legend, &residuals::panels(&upper, which, &shown), &shown);
    let place = legend.place(&upper, &obstacles(&upper, &points, &rate, &median, &parts, &background));
    // Where everything is full of data the legend stands above the panel.
    let above = if place.is_none() { legend.flow_height(RIGHT - LEFT) + 8.0 } else { 0.0 };
    let upper = panel(16.0 + above);
    let height = upper.y1 + residuals::HEIGHT + 52.0;
    Some(draw(WIDTH, height, "Folded spectrum with the posterior of the model and residuals", |canvas| {
        upper.grid(canvas, 11.0);
        if let Some(at) = place {
            legend.draw(canvas, at);
        }
        let band = |f: fn(&SpectrumRow) -> (f64, f64)| -> Vec<(f64, f64, f64, f64)> {
            model.rows.iter().map(|r| (r.e_min, r.e_max, rate(f(r).0, r), rate(f(r).1, r))).collect()
        };
        upper.step_band(canvas, &band(|r| (r.q025, r.q975)), POSTERIOR.opacity(0.22));
        upper.step_band(canvas, &band(|r| (r.q16, r.q84)), POSTERIOR.opacity(0.40));
        for (r, b) in points.rows.iter().zip(&background).filter(|(_, b)| b[0] > 0.0) {
            cross(canvas, &upper, r, *b);
        }
        for (k, (_, bins)) in parts.iter().enumerate() {
            let (ink, dashes) = part_style(k);
            upper.dashed_steps(canvas, bins, ink, 1.3, dashes);
        }
        for r in &points.rows {
            let (down, up) = data_error(r);
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
        for (k, (which, lower)) in residuals::panels(&upper, which, &shown).iter().enumerate() {
            residuals::draw(canvas, lower, *which, &shown, k == 1);
        }
        if place.is_none() {
            legend.draw_flow(canvas, (LEFT, 10.0), RIGHT - LEFT);
        }
    }))
}

/// The observed background scaled to the source's region and exposure, as a rate with the ends of its error; a row per bin, none without one.
fn background_rates(points: &SpectrumTable) -> Vec<[f64; 3]> {
    let of = |(r, b): (&SpectrumRow, &BackgroundRow)| background_rate(points.exposure, r, b);
    points.rows.iter().zip(&points.background).map(of).collect()
}

fn cross(canvas: &mut Canvas, panel: &Panel, r: &SpectrumRow, [value, low, high]: [f64; 3]) {
    let ink = MUTED.opacity(0.7);
    panel.curve(canvas, &[(r.e_min, value), (r.e_max, value)], ink, 0.9);
    panel.curve(canvas, &[(centre(r), low.max(panel.y.lo * 0.1)), (centre(r), high)], ink, 0.9);
}

/// What a component of the expected counts is called in a legend.
pub(super) fn part_words(table: &SpectrumTable, name: &str, values: &[f64]) -> String {
    let expected = table.background.iter().map(|b| b.expected);
    let of_the_statistic = !table.background.is_empty() && values.iter().copied().eq(expected);
    if of_the_statistic { "background, as expected".into() } else { format!("{name}, at the best fit") }
}

fn legend(points: &SpectrumTable, table: &SpectrumTable) -> Legend {
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
    for (k, (name, values)) in table.components.iter().enumerate() {
        let (ink, dashes) = part_style(k);
        legend.add(Sample::Pattern(ink, 1.3, dashes), part_words(table, name, values));
    }
    if !table.background.is_empty() {
        legend.add(Sample::Bars(MUTED.opacity(0.7)), "observed background, scaled");
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
    background: &[[f64; 3]],
) -> Vec<(f64, f64)> {
    let mut all = trace(&step_line(panel, median));
    for (_, bins) in parts {
        // Where a component lies below the panel nothing is drawn.
        let inside: Vec<(f64, f64, f64)> = bins.iter().filter(|b| b.2 >= panel.y.lo).copied().collect();
        all.extend(trace(&step_line(panel, &inside)));
    }
    for (r, [value, low, high]) in points.rows.iter().zip(background).filter(|(_, b)| b[2] >= panel.y.lo && b[0] > 0.0)
    {
        let place = |v: f64| (panel.px_inside(centre(r)), panel.py_inside(v));
        all.extend(trace(&[place(*low), place(*value), place(*high)]));
    }
    for r in &points.rows {
        let (down, up) = data_error(r);
        let place = |x: f64, counts: f64| (panel.px_inside(x), panel.py_inside(rate(counts, r)));
        all.extend(trace(&[place(centre(r), r.counts - down), place(centre(r), r.counts + up)]));
        if r.counts > 0.0 {
            all.extend(trace(&[place(r.e_min, r.counts), place(r.e_max, r.counts)]));
        }
        all.extend(trace(&[place(r.e_min, r.q025), place(r.e_min, r.q975)]));
    }
    all
}
