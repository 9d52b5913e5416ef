//! The model before the instrument: E^2 F(E) with its band and its components, and the data taken back with it.

use super::axis::{Axis, Labels, Panel};
use super::binning::{centre, energy_axis, points, poisson_error};
use super::canvas::{DATA, POSTERIOR, Picture, draw};
use super::legend::{Legend, Sample};
use super::spectrum::{LEFT, RIGHT, WIDTH, part_ink, step_line, trace};
use crate::report::tables::{SpectrumRow, SpectrumTable, UnfoldedRow, UnfoldedTable};

/// More bins than can be told apart are added up.
const MOST_BINS: usize = 1600;
/// The picture shows at most this many decades below the maximum of the model.
const DECADES: f64 = 4.0;
const TALL: f64 = 330.0;

/// The picture over the energies of the folded spectrum. `None` without energies or where the model is nowhere positive.
pub fn unfolded(table: &UnfoldedTable, spectrum: &SpectrumTable) -> Option<Picture> {
    let x = energy_axis(&spectrum.rows);
    let inside = |r: &UnfoldedRow| r.e_max > x.lo && r.e_min < x.hi;
    let kept: Vec<usize> = table.rows.iter().enumerate().filter(|(_, r)| inside(r)).map(|(i, _)| i).collect();
    let rows: Vec<UnfoldedRow> = kept.iter().filter_map(|&i| table.rows.get(i).copied()).collect();
    if spectrum.rows.is_empty() || !rows.iter().any(|r| r.median > 0.0) {
        return None;
    }
    let bins = |value: &dyn Fn(usize, &UnfoldedRow) -> f64| means(&rows, value);
    let median = bins(&|_, r| r.median);
    let parts: Vec<_> = table
        .components
        .iter()
        .map(|(name, values)| {
            let value = |i: usize, _: &UnfoldedRow| kept.get(i).and_then(|&k| values.get(k)).copied().unwrap_or(0.0);
            (name, bins(&value))
        })
        .collect();
    let data = taken_back(&points(spectrum).rows, &rows);
    let top = median.iter().map(|b| b.2).chain(data.iter().map(|d| d.1)).fold(0.0, f64::max);
    let positive = |v: &f64| *v > 0.0;
    let least = median.iter().map(|b| b.2).filter(positive).fold(top, f64::min);
    let seen = data.iter().map(|d| d.1).filter(positive).fold(least, f64::min);
    let floor = top * 10f64.powf(-DECADES);
    let y = Axis::new((0.4 * least.min(seen)).max(floor), 2.5 * top, true, "E² F(E)  [keV² photons cm⁻² s⁻¹ keV⁻¹]");
    let panel = |y0: f64| Panel { x0: LEFT, y0, x1: RIGHT, y1: y0 + TALL, x: x.clone(), y: y.clone() };

    let mut legend = Legend::default();
    legend.add(Sample::Point(DATA.opacity(0.45)), "data × model / folded model");
    legend.add(Sample::Line(POSTERIOR, 1.5), "model, posterior median");
    legend.add(Sample::Bands, "its 68 % and 95 % intervals");
    for (k, (name, _)) in parts.iter().enumerate() {
        legend.add(Sample::Line(part_ink(k), 1.3), format!("{name}, at the best fit"));
    }
    let at = panel(16.0);
    let mut obstacles = trace(&step_line(&at, &median));
    for (_, bins) in &parts {
        let shown: Vec<(f64, f64, f64)> = bins.iter().filter(|b| b.2 >= at.y.lo).copied().collect();
        obstacles.extend(trace(&step_line(&at, &shown)));
    }
    for (e, value, low, high) in &data {
        let place = |v: f64| (at.px_inside(*e), at.py_inside(v));
        obstacles.extend(trace(&[place(*low), place(*value), place(*high)]));
    }
    let place = legend.place(&at, &obstacles);
    let above = if place.is_none() { legend.flow_height(RIGHT - LEFT) + 8.0 } else { 0.0 };
    let panel = panel(16.0 + above);
    let words = "Unfolded spectrum of the model with its components";
    Some(draw(WIDTH, panel.y1 + 52.0, words, |canvas| {
        panel.grid(canvas, 11.0);
        match place {
            Some(at) => legend.draw(canvas, at),
            None => legend.draw_flow(canvas, (LEFT, 10.0), RIGHT - LEFT),
        }
        for (low, high, opacity) in
            [(bins(&|_, r| r.q025), bins(&|_, r| r.q975), 0.22), (bins(&|_, r| r.q16), bins(&|_, r| r.q84), 0.40)]
        {
            let band: Vec<_> = low.iter().zip(&high).map(|(a, b)| (a.0, a.1, a.2, b.2)).collect();
            panel.step_band(canvas, &band, POSTERIOR.opacity(opacity));
        }
        for (e, value, low, high) in &data {
            let ink = DATA.opacity(0.35);
            panel.curve(canvas, &[(*e, low.max(panel.y.lo * 0.1)), (*e, *high)], ink, 0.9);
            if *value >= panel.y.lo {
                canvas.dot(panel.place(*e, *value), 1.4, DATA.opacity(0.45));
            }
        }
        for (k, (_, bins)) in parts.iter().enumerate() {
            panel.steps(canvas, bins, part_ink(k), 1.3);
        }
        panel.steps(canvas, &median, POSTERIOR, 1.5);
        panel.axes(canvas, Labels { bottom: true, left: true, size: 11.0, scale: true }, 58.0);
    }))
}

/// Means over neighbours where there are too many bins: (keV, keV, value), weighted by the width in energy.
fn means(rows: &[UnfoldedRow], value: &dyn Fn(usize, &UnfoldedRow) -> f64) -> Vec<(f64, f64, f64)> {
    let every = rows.len().div_ceil(MOST_BINS).max(1);
    rows.chunks(every)
        .enumerate()
        .filter_map(|(k, chunk)| {
            let (first, last) = (chunk.first()?, chunk.last()?);
            let sum: f64 = chunk.iter().enumerate().map(|(i, r)| value(k * every + i, r) * (r.e_max - r.e_min)).sum();
            let width: f64 = chunk.iter().map(|r| r.e_max - r.e_min).sum();
            Some((first.e_min, last.e_max, sum / width))
        })
        .collect()
}

/// Observed counts over expected ones, times the model's mean over the bin: (keV, value, lower and upper end of the error). These
/// points depend on the model, as those of XSPEC's `eeufspec` do.
fn taken_back(points: &[SpectrumRow], rows: &[UnfoldedRow]) -> Vec<(f64, f64, f64, f64)> {
    points
        .iter()
        .filter(|r| r.median > 0.0)
        .filter_map(|r| {
            let overlap = |row: &UnfoldedRow| (row.e_max.min(r.e_max) - row.e_min.max(r.e_min)).max(0.0);
            let first = rows.partition_point(|row| row.e_max <= r.e_min);
            let touched = rows.iter().skip(first).take_while(|row| row.e_min < r.e_max);
            let (sum, width) =
                touched.fold((0.0, 0.0), |(s, w), row| (s + overlap(row) * row.median, w + overlap(row)));
            if width <= 0.0 {
                return None;
            }
            let model = sum / width / r.median;
            let (down, up) = poisson_error(r.counts);
            Some((centre(r), r.counts * model, (r.counts - down) * model, (r.counts + up) * model))
        })
        .collect()
}
