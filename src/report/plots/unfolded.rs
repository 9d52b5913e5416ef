//! The model before the instrument: E^2 F(E) with its band and its components, and the data taken back with it. Of one data set, or of all
//! together.

use super::axis::{Axis, Labels, Panel};
use super::binning::{energy_axis, significant};
use super::canvas::{DATA, Ink, MUTED, Mark, POSTERIOR, Picture, draw, part_style, set_style};
use super::legend::{Legend, Sample};
use super::spectrum::{LEFT, RIGHT, WIDTH, step_line, trace};
use super::unfolding::{ERG, Point, is_net, taken_back};
use crate::report::tables::{SpectrumRow, SpectrumTable, UnfoldedRow, UnfoldedTable};

/// More bins than can be told apart are added up.
const MOST_BINS: usize = 1600;
/// The picture shows at most this many decades below its upper end.
const DECADES: f64 = 4.0;
/// Data are followed up to so many times the largest of the model: where hardly a photon is detected, the error of a bin is many times that.
const ABOVE: f64 = 10.0;
const TALL: f64 = 330.0;
/// Room for the second axis [pixels].
const SECOND: f64 = 50.0;
const UNIT: &str = "E² F(E)  [keV² photons cm⁻² s⁻¹ keV⁻¹]";

/// A data set in the picture.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its folded spectrum.
    pub spectrum: &'a SpectrumTable,
    /// Its model before the instrument.
    pub unfolded: &'a UnfoldedTable,
}

/// Bins as they are drawn: lower edge, upper edge \[keV\], value.
type Bins = Vec<(f64, f64, f64)>;

/// What is drawn of a data set.
struct Drawn {
    median: Bins,
    bands: [(Bins, Bins); 2],
    parts: Vec<(String, Bins)>,
    data: Vec<Point>,
}

impl Drawn {
    /// `None` where the model is nowhere positive within the axis.
    fn of(table: &UnfoldedTable, spectrum: &SpectrumTable, x: &Axis, sets: usize) -> Option<Drawn> {
        let inside = |r: &UnfoldedRow| r.e_max > x.lo && r.e_min < x.hi;
        let kept: Vec<usize> = table.rows.iter().enumerate().filter(|(_, r)| inside(r)).map(|(i, _)| i).collect();
        let rows: Vec<UnfoldedRow> = kept.iter().filter_map(|&i| table.rows.get(i).copied()).collect();
        if spectrum.rows.is_empty() || !rows.iter().any(|r| r.median > 0.0) {
            return None;
        }
        let most = (MOST_BINS / sets).max(200);
        let bins = |value: &dyn Fn(usize, &UnfoldedRow) -> f64| means(&rows, most, value);
        let parts = table.components.iter().map(|(name, values)| {
            let value = |i: usize, _: &UnfoldedRow| kept.get(i).and_then(|&k| values.get(k)).copied().unwrap_or(0.0);
            (name.clone(), bins(&value))
        });
        Some(Drawn {
            median: bins(&|_, r| r.median),
            bands: [(bins(&|_, r| r.q025), bins(&|_, r| r.q975)), (bins(&|_, r| r.q16), bins(&|_, r| r.q84))],
            parts: parts.collect(),
            data: taken_back(&significant(spectrum, sets), &rows),
        })
    }

    fn band(&self, k: usize) -> Vec<(f64, f64, f64, f64)> {
        let Some((low, high)) = self.bands.get(k) else { return Vec::new() };
        low.iter().zip(high).map(|(a, b)| (a.0, a.1, a.2, b.2)).collect()
    }
}

/// How a data set is drawn.
struct Style {
    data: Ink,
    mark: Mark,
    model: Ink,
}

/// The picture over the energies of the folded spectrum. `None` without energies or where the model is nowhere positive.
pub fn unfolded(table: &UnfoldedTable, spectrum: &SpectrumTable) -> Option<Picture> {
    let x = energy_axis(&spectrum.rows);
    let drawn = Drawn::of(table, spectrum, &x, 1)?;
    let mut legend = Legend::default();
    legend.add(Sample::Point(DATA.opacity(0.45)), data_words(is_net(spectrum), spectrum.rows.len(), drawn.data.len()));
    legend.add(Sample::Line(POSTERIOR, 1.5), "model, posterior median");
    legend.add(Sample::Bands, "its 68 % and 95 % intervals");
    for (k, (name, _)) in drawn.parts.iter().enumerate() {
        let (ink, dashes) = part_style(k);
        legend.add(Sample::Pattern(ink, 1.3, dashes), format!("{name}, at the best fit"));
    }
    let style = Style { data: DATA.opacity(0.45), mark: Mark::Circle, model: POSTERIOR };
    picture(&[(drawn, style)], x, &legend, "Unfolded spectrum of the model with its components")
}

/// The models of all data sets in one picture, each with its data in a colour of its own. `None` for fewer than two.
pub fn together(sets: &[Set<'_>]) -> Option<Picture> {
    let rows: Vec<SpectrumRow> = sets.iter().flat_map(|set| set.spectrum.rows.iter().copied()).collect();
    let x = energy_axis(&rows);
    let mut legend = Legend::default();
    let mut drawn: Vec<(Drawn, Style)> = Vec::new();
    let mut named = "";
    for (k, set) in sets.iter().enumerate() {
        let Some(mut own) = Drawn::of(set.unfolded, set.spectrum, &x, sets.len()) else { continue };
        let (ink, mark) = set_style(k);
        let (bins, drawn_as) = (set.spectrum.rows.len(), own.data.len());
        let rest = if drawn_as < bins { format!(" ({bins} bins, drawn as {drawn_as})") } else { String::new() };
        legend.add(Sample::Mark(ink, mark), format!("{}{rest}", set.name));
        // The components of one are enough: those of the others lie on them, but for what the data sets do not share.
        match drawn.is_empty() {
            true => named = set.name,
            false => own.parts.clear(),
        }
        // One band over the same one would be another colour.
        if drawn.iter().any(|(other, _)| other.median == own.median) {
            own.bands = Default::default();
        }
        drawn.push((own, Style { data: ink.opacity(0.75), mark, model: ink }));
    }
    if let Some((first, _)) = drawn.first() {
        for (k, (name, _)) in first.parts.iter().enumerate() {
            let sample = Sample::Pattern(MUTED, 1.3, part_style(k).1);
            legend.add(sample, format!("{name} of {named}, at the best fit"));
        }
    }
    let words = "Unfolded spectra of all data sets with their models";
    if drawn.len() < 2 { None } else { picture(&drawn, x, &legend, words) }
}

fn data_words(net: bool, bins: usize, drawn: usize) -> String {
    let what = if net { "data − background, × model / folded model" } else { "data × model / folded model" };
    let rest = if drawn < bins { format!(" ({bins} bins, drawn as {drawn})") } else { String::new() };
    format!("{what}{rest}")
}

fn picture(sets: &[(Drawn, Style)], x: Axis, legend: &Legend, words: &str) -> Option<Picture> {
    let models = || sets.iter().flat_map(|(set, _)| &set.median).map(|b| b.2);
    let data = || sets.iter().flat_map(|(set, _)| &set.data);
    let highest = models().fold(0.0, f64::max);
    let top = data().map(|d| d.value).fold(highest, f64::max).min(ABOVE * highest);
    let positive = |v: &f64| *v > 0.0;
    let least = models().filter(positive).fold(top, f64::min);
    // Single bins with next to nothing left of them do not squeeze the others together.
    let seen = data().map(|d| d.value).filter(|v| *v > 0.1 * least).fold(least, f64::min);
    let floor = top * 10f64.powf(-DECADES);
    let y = Axis::new((0.4 * least.min(seen)).max(floor), 2.5 * top, true, UNIT);
    let second = Axis::new(y.lo * ERG, y.hi * ERG, true, "[erg cm⁻² s⁻¹]");
    let panel = |y0: f64| Panel { x0: LEFT, y0, x1: RIGHT, y1: y0 + TALL, x: x.clone(), y: y.clone() };
    let at = panel(16.0);
    let mut obstacles = Vec::new();
    for (set, _) in sets {
        obstacles.extend(trace(&step_line(&at, &set.median)));
        for (_, bins) in &set.parts {
            let shown: Bins = bins.iter().filter(|b| b.2 >= at.y.lo).copied().collect();
            obstacles.extend(trace(&step_line(&at, &shown)));
        }
        for d in set.data.iter().filter(|d| d.high >= at.y.lo) {
            let place = |v: f64| (at.px_inside(d.energy), at.py_inside(v));
            obstacles.extend(trace(&[place(d.low), place(d.value), place(d.high)]));
        }
    }
    let place = legend.place(&at, &obstacles);
    let above = if place.is_none() { legend.flow_height(RIGHT - LEFT) + 8.0 } else { 0.0 };
    let panel = panel(16.0 + above);
    let several = sets.len() > 1;
    Some(draw(WIDTH + SECOND, panel.y1 + 52.0, words, |canvas| {
        panel.grid(canvas, 11.0);
        match place {
            Some(at) => legend.draw(canvas, at),
            None => legend.draw_flow(canvas, (LEFT, 10.0), RIGHT - LEFT),
        }
        for (set, style) in sets {
            for (k, opacity) in [(0, 0.22), (1, 0.40)] {
                panel.step_band(canvas, &set.band(k), style.model.opacity(opacity));
            }
        }
        for (set, style) in sets {
            for d in &set.data {
                let ink = style.data.opacity(0.8 * style.data.3);
                let bar = [(d.energy, d.low.max(panel.y.lo * 0.1)), (d.energy, d.high)];
                panel.curve(canvas, &bar, ink, 0.9);
                if d.value > panel.y.hi {
                    canvas.pointer((panel.px(d.energy), panel.y0 + 1.5), true, ink);
                } else if d.value >= panel.y.lo {
                    panel.curve(canvas, &[(d.e_min, d.value), (d.e_max, d.value)], ink.opacity(0.6 * ink.3), 0.7);
                    let dot = if several { 2.0 } else { 1.4 };
                    canvas.mark(panel.place(d.energy, d.value), dot, style.mark, style.data);
                }
            }
        }
        for (set, style) in sets {
            for (k, (_, bins)) in set.parts.iter().enumerate() {
                let (ink, dashes) = part_style(k);
                panel.dashed_steps(canvas, bins, if several { MUTED } else { ink }, 1.3, dashes);
            }
            panel.steps(canvas, &set.median, style.model, if several { 1.2 } else { 1.5 });
        }
        panel.axes(canvas, Labels { bottom: true, left: true, size: 11.0, scale: true }, 58.0);
        panel.right_axis(canvas, &second, 11.0, 56.0);
    }))
}

/// Means over neighbours where there are more than `most` bins: (keV, keV, value), weighted by the width in energy.
fn means(rows: &[UnfoldedRow], most: usize, value: &dyn Fn(usize, &UnfoldedRow) -> f64) -> Bins {
    let every = rows.len().div_ceil(most).max(1);
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
