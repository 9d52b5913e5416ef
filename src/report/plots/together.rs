//! The folded spectra of all data sets in one picture, each in a colour and with a mark of its own.

use super::axis::{Labels, Panel};
use super::binning::{centre, data_error, energy_axis, points_of};
use super::canvas::{Ink, Mark, Picture, draw, set_style};
use super::legend::{Legend, Sample};
use super::residuals::{self, Shown};
use super::spectrum::{LEFT, RIGHT, WIDTH, rate, rate_axis, step_line, trace};
use crate::report::tables::{SpectrumRow, SpectrumTable};
use crate::result::Residuals;

const TALL: f64 = 360.0;

struct Set {
    name: String,
    bins: usize,
    points: SpectrumTable,
    median: Vec<(f64, f64, f64)>,
    band: Vec<(f64, f64, f64, f64)>,
    ink: Ink,
    mark: Mark,
}

impl Set {
    /// The bins of the model are those of the points: in a plot of several sets there is no room for more.
    fn of(k: usize, (name, table): (&str, &SpectrumTable), sets: usize) -> Set {
        let points = points_of(table, sets);
        let own = |value: fn(&SpectrumRow) -> f64| points.rows.iter().map(move |r| (r.e_min, r.e_max, value(r), r));
        let median = own(|r| r.median).map(|(a, b, value, r)| (a, b, rate(&points, value, r))).collect();
        let band = points.rows.iter().map(|r| (r.e_min, r.e_max, rate(&points, r.q025, r), rate(&points, r.q975, r)));
        let band = band.collect();
        let (ink, mark) = set_style(k);
        Set { name: name.to_string(), bins: table.rows.len(), median, band, points, ink, mark }
    }

    /// Counts per s and keV of a bin with the ends of the error.
    fn point(&self, r: &SpectrumRow) -> [f64; 3] {
        let (down, up) = data_error(r);
        [r.counts, r.counts - down, r.counts + up].map(|counts| rate(&self.points, counts, r))
    }
}

/// Counts per s and keV of the data sets (name, table) with the posterior of what each model expects, and their residuals. `None` for fewer than
/// two with bins.
pub fn together(sets: &[(&str, &SpectrumTable)], which: Residuals) -> Option<Picture> {
    let kept = sets.iter().enumerate().filter(|(_, (_, table))| !table.rows.is_empty() && table.exposure > 0.0);
    let all: Vec<Set> = kept.map(|(k, set)| Set::of(k, *set, sets.len())).collect();
    if all.len() < 2 {
        return None;
    }
    let rows: Vec<SpectrumRow> = sets.iter().flat_map(|(_, table)| table.rows.iter().copied()).collect();
    let data: Vec<f64> = all.iter().flat_map(|set| set.points.rows.iter().map(|r| set.point(r)[0])).collect();
    let model: Vec<f64> = all.iter().flat_map(|set| set.median.iter().map(|b| b.2)).collect();
    let y = rate_axis(&data, &model, &[], true)?;
    let panel = |y0: f64| Panel { x0: LEFT, y0, x1: RIGHT, y1: y0 + TALL, x: energy_axis(&rows), y: y.clone() };
    let shown: Vec<Shown<'_>> = all
        .iter()
        .map(|set| Shown { rows: &set.points.rows, ink: set.ink, mark: set.mark, dot: 1.7, bar: 0.8 })
        .collect();
    let upper = panel(16.0);
    let mut legend = Legend::default();
    for set in &all {
        let (drawn, bins) = (set.points.rows.len(), set.bins);
        let rest = if drawn < bins { format!(" ({bins} bins, drawn as {drawn})") } else { format!(" ({bins} bins)") };
        legend.add(Sample::Mark(set.ink, set.mark), format!("{}{rest}", set.name));
    }
    residuals::tell_beyond(&mut legend, &residuals::panels(&upper, which, &shown), &shown);
    let mut obstacles = Vec::new();
    for set in &all {
        obstacles.extend(trace(&step_line(&upper, &set.median)));
        for r in &set.points.rows {
            let [value, low, high] = set.point(r);
            let place = |v: f64| (upper.px_inside(centre(r)), upper.py_inside(v));
            obstacles.extend(trace(&[place(low), place(value), place(high)]));
        }
    }
    let place = legend.place(&upper, &obstacles);
    let above = if place.is_none() { legend.flow_height(RIGHT - LEFT) + 8.0 } else { 0.0 };
    let upper = panel(16.0 + above);
    let height = upper.y1 + residuals::HEIGHT + 52.0;
    Some(draw(WIDTH, height, "Folded spectra of all data sets with their models and residuals", |canvas| {
        upper.grid(canvas, 11.0);
        match place {
            Some(at) => legend.draw(canvas, at),
            None => legend.draw_flow(canvas, (LEFT, 10.0), RIGHT - LEFT),
        }
        for set in &all {
            upper.step_band(canvas, &set.band, set.ink.opacity(0.25));
        }
        for set in &all {
            let bars = set.ink.opacity(0.75);
            for r in &set.points.rows {
                let [value, low, high] = set.point(r);
                upper.curve(canvas, &[(r.e_min, value), (r.e_max, value)], bars, 0.8);
                upper.curve(canvas, &[(centre(r), low.max(upper.y.lo * 0.1)), (centre(r), high)], bars, 0.8);
                if r.counts > 0.0 && value >= upper.y.lo {
                    canvas.mark(upper.place(centre(r), value), 2.0, set.mark, set.ink);
                }
            }
        }
        for set in &all {
            upper.steps(canvas, &set.median, set.ink, 1.2);
        }
        upper.axes(canvas, Labels { bottom: false, left: true, size: 11.0, scale: true }, 58.0);
        for (k, (which, lower)) in residuals::panels(&upper, which, &shown).iter().enumerate() {
            residuals::draw(canvas, lower, *which, &shown, k == 1);
        }
    }))
}
