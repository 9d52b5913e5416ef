//! The corner plot: marginals of every parameter and of every pair, with the prior; and, for the diagnostics, the posteriors that each
//! round's network had before refinement.
//!
//! The panels frame the refined posterior. What lies outside (the prior, the first rounds) is cut off, not squeezed in.

use super::axis::{Axis, Labels, Panel, Ticks, superscript};
use super::canvas::{
    Align, Canvas, Lettering, MUTED, POSTERIOR, PRIOR, Picture, TEXT, TRUTH, draw, fitting, round_ink, text_width,
};
use super::density::{Surface, curve};
use crate::numerics::statistics::quantiles;
use crate::report::ReportData;
use crate::report::numbers::Estimate;
use crate::result::{Samples, Summary};

/// At most so many parameters are drawn, the first ones: more panels could not be read.
pub const MOST_PARAMETERS: usize = 12;
/// So many samples of a set are enough for a smooth picture.
const DRAWN: usize = 20_000;
/// Distance between panels, and from line to line of a label [pixels].
const GAP: f64 = 7.0;
const LINE: f64 = 12.5;

pub(super) struct Parameter {
    /// `powerlaw`, and `norm`.
    component: String,
    own: String,
    pub(super) unit: String,
    pub(super) axis: Axis,
    edges: Option<(f64, f64)>,
    pub(super) truth: Option<f64>,
    pub(super) prior: Vec<(f64, f64)>,
    pub(super) estimate: Estimate,
}

/// The shares of all samples that the outlines of a pair enclose, with how opaque each is.
pub(super) const MASSES: [(f64, f64); 2] = [(0.95, 0.20), (0.68, 0.38)];

/// Samples by columns, and how many independent ones they are worth.
pub(super) struct Set {
    columns: Vec<Vec<f64>>,
    effective: f64,
}

/// The refined posterior; `None` without samples.
pub fn corner(data: &ReportData) -> Option<Picture> {
    picture(data, &[], "Corner plot of the posterior")
}

/// The same with the posterior of every round before refinement; `None` without rounds.
pub fn rounds(data: &ReportData) -> Option<Picture> {
    let rounds: Vec<Set> = data
        .rounds
        .iter()
        .filter_map(|r| r.posterior.as_ref())
        .map(|samples| Set::of(samples, &data.posterior, f64::INFINITY))
        .collect();
    if rounds.is_empty() { None } else { picture(data, &rounds, "Posteriors of the rounds around the refined one") }
}

fn picture(data: &ReportData, rounds: &[Set], alternative: &str) -> Option<Picture> {
    let posterior = Set::of(&data.posterior, &data.posterior, data.summary.refine.ess);
    if posterior.is_empty() {
        return None;
    }
    let parameters = posterior.parameters(&data.posterior, &data.summary);
    let n = parameters.len();
    if n == 0 {
        return None;
    }
    let cell = (820.0 / n as f64).clamp(94.0, 200.0);
    let small = if cell < 110.0 { 8.5 } else { 10.0 };
    let side = cell - GAP;
    // Ticks of the two directions need not leave out the same power of ten.
    let words = |vertical: bool| parameters.iter().map(|p| p.label(side, small, vertical)).collect::<Vec<_>>();
    let (below, beside) = (words(false), words(true));
    let lines = below.iter().chain(&beside).map(Vec::len).max().unwrap_or(0) as f64;
    let scales = parameters.iter().skip(1).flat_map(|p| p.axis.ticks(side, small, true).ticks);
    let widest = scales.map(|t| text_width(&t.label, small)).fold(8.0, f64::max);
    let left = 12.0 + lines * LINE + widest + 10.0;
    let (top, bottom) = (48.0, 2.4 * small + lines * LINE);
    let legend = if n < 3 { 196.0 } else { 28.0 };
    let truth = parameters.iter().any(|p| p.truth.is_some());
    let key_height = 40.0 + 18.0 * 5.0;
    let (width, height) = (left + n as f64 * cell + legend, (top + n as f64 * cell + bottom).max(key_height));
    Some(draw(width, height, alternative, |canvas| {
        for (row, py) in parameters.iter().enumerate() {
            for (column, px) in parameters.iter().enumerate().take(row + 1) {
                let (x0, y0) = (left + column as f64 * cell, top + row as f64 * cell);
                let shown =
                    Labels { bottom: row + 1 == n, left: column == 0 && row > 0, size: small, scale: row != column };
                let mut panel = Panel { x0, y0, x1: x0 + side, y1: y0 + side, x: px.axis.clone(), y: py.axis.clone() };
                if row == column {
                    panel.y = marginal(canvas, &mut panel, px, &posterior, rounds, column);
                    // No ticks of density: its height means nothing.
                    panel.axes(canvas, Labels { left: false, ..shown }, 0.0);
                    let room = if column + 1 == n { side + legend - 6.0 } else { 2.0 * cell - GAP };
                    heading(canvas, &panel, px, room);
                } else {
                    pair(canvas, &panel, (px, py), &posterior, rounds, (column, row));
                    panel.axes(canvas, shown, 0.0);
                }
                if let Some(words) = below.get(column).filter(|_| shown.bottom) {
                    let at = (0.5 * (panel.x0 + panel.x1), panel.y1 + 2.4 * small);
                    outer(canvas, words, at, side + 4.0, small, false);
                }
                if let Some(words) = beside.get(row).filter(|_| shown.left) {
                    let x = panel.x0 - 10.0 - widest - LINE * (words.len() as f64 - 0.5);
                    outer(canvas, words, (x, 0.5 * (panel.y0 + panel.y1)), side + 4.0, small, true);
                }
            }
        }
        let place = if n < 3 { (left + n as f64 * cell + 4.0, top + 12.0) } else { (width - 200.0, top + 6.0) };
        key(canvas, place, n, rounds.len(), truth);
    }))
}

impl Set {
    /// The columns of `samples` in the order of `like`, thinned evenly; a missing one is empty. `effective` is what the refinement
    /// says; samples that are repeated tell nothing new.
    pub(super) fn of(samples: &Samples, like: &Samples, effective: f64) -> Set {
        let every = samples.len().div_ceil(DRAWN).max(1);
        let columns: Vec<Vec<f64>> = like
            .names
            .iter()
            .take(MOST_PARAMETERS)
            .map(|name| match samples.position(name) {
                Some(j) => samples.column(j).into_iter().step_by(every).collect(),
                None => Vec::new(),
            })
            .collect();
        let distinct = columns.iter().map(|column| {
            let mut sorted = column.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted.dedup();
            sorted.len()
        });
        let distinct = distinct.max().unwrap_or(0) as f64;
        let effective = if effective > 0.0 { effective.min(distinct) } else { distinct };
        Set { columns, effective }
    }

    /// The density of parameter `j` along its axis.
    pub(super) fn density(&self, p: &Parameter, j: usize) -> Vec<(f64, f64)> {
        match self.columns.get(j) {
            Some(samples) if samples.len() > 1 => curve(samples, &p.axis, p.edges, 160, self.effective),
            _ => Vec::new(),
        }
    }

    /// The density of two parameters together; `None` without samples.
    pub(super) fn surface(&self, (px, py): (&Parameter, &Parameter), (i, j): (usize, usize)) -> Option<Surface> {
        let (x, y) = (self.columns.get(i)?, self.columns.get(j)?);
        (x.len() > 1 && x.len() == y.len()).then(|| Surface::of(x, y, &px.axis, &py.axis, self.effective))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty() || self.columns.iter().any(|column| column.len() < 2)
    }

    /// What the panels show of each parameter.
    pub(super) fn parameters(&self, posterior: &Samples, summary: &Summary) -> Vec<Parameter> {
        let named = posterior.names.iter().zip(&summary.parameters);
        let columns = self.columns.iter().zip(named);
        columns.map(|(samples, (name, (_, p)))| Parameter::of(name, samples, p)).collect()
    }
}

impl Parameter {
    fn of(name: &str, samples: &[f64], p: &crate::result::ParameterSummary) -> Parameter {
        let q = quantiles(samples, &[0.001, 0.999]);
        let get = |i: usize| q.get(i).copied().unwrap_or(f64::NAN);
        let (mut lo, mut hi) = (get(0), get(1));
        // A logarithmic axis only where it makes a difference.
        let log = p.prior.logarithmic() && lo > 0.0 && hi / lo > 4.0;
        if log {
            let pad = (hi / lo).powf(0.3);
            (lo, hi) = (lo / pad, hi * pad);
        } else {
            let pad = 0.3 * (hi - lo);
            (lo, hi) = (lo - pad, hi + pad);
        }
        let edges = p.prior.edges();
        if let Some((a, b)) = edges {
            (lo, hi) = (lo.max(a), hi.min(b));
        }
        if let Some(t) = p.truth {
            (lo, hi) = (lo.min(t), hi.max(t));
        }
        let axis = Axis::new(lo, hi, log, "").tight();
        // The prior in the axis' own measure, so that a log-uniform prior is flat on a logarithmic axis.
        let prior = (0..=120)
            .filter_map(|i| {
                let x = axis.at(f64::from(i) / 120.0);
                let stretch = if axis.log { x * (axis.hi / axis.lo).ln() } else { axis.hi - axis.lo };
                Some((x, p.prior.density(x)? * stretch))
            })
            .collect();
        // From the summary, as in the table: these samples are thinned.
        let (component, own) = name.rsplit_once('.').unwrap_or(("", name));
        Parameter {
            component: component.to_string(),
            own: own.to_string(),
            unit: pretty_unit(&p.unit),
            axis,
            edges,
            truth: p.truth,
            prior,
            estimate: Estimate::of(p),
        }
    }

    /// `powerlaw norm`.
    pub(super) fn name(&self) -> String {
        [self.component.as_str(), self.own.as_str()].join(" ").trim().to_string()
    }

    /// Lines of an outer label: component and parameter, in one line where `room` allows, then what the ticks leave out, and the unit.
    fn label(&self, room: f64, size: f64, vertical: bool) -> Vec<String> {
        let ticks: Ticks = self.axis.ticks(room, size, vertical);
        let own = format!("{}{}", self.own, ticks.minus_offset());
        let whole = [self.component.as_str(), own.as_str()].join(" ").trim().to_string();
        let mut lines = match text_width(&whole, size + 1.0) <= room + 4.0 || self.component.is_empty() {
            true => vec![whole],
            false => vec![self.component.clone(), own],
        };
        let factor = if ticks.exponent == 0 { String::new() } else { format!("10{}", superscript(ticks.exponent)) };
        let unit = [factor, self.unit.clone()].join(" ");
        if !unit.trim().is_empty() {
            lines.push(format!("[{}]", unit.trim()));
        }
        lines
    }
}

/// Lines of a label around `at`, the middle of the first: downwards, or for the vertical axis to the right.
fn outer(canvas: &mut Canvas, words: &[String], at: (f64, f64), room: f64, size: f64, rotated: bool) {
    for (k, line) in words.iter().enumerate() {
        let ink = if line.starts_with('[') { MUTED } else { TEXT };
        let how = Lettering::new(fitting(line, size + 1.0, room), ink, Align::Middle);
        let step = LINE * k as f64;
        match rotated {
            true => canvas.text((at.0 + step, at.1), line, how.rotated()),
            false => canvas.text((at.0, at.1 + step), line, how),
        }
    }
}

/// Name and value above a diagonal panel, centred where they fit; longer ones begin at its left edge and have `room`.
fn heading(canvas: &mut Canvas, panel: &Panel, p: &Parameter, room: f64) {
    let side = panel.x1 - panel.x0;
    let start = |width: f64| if width <= side + 4.0 { panel.x0 + 0.5 * (side - width) } else { panel.x0 };
    let name = p.name();
    let size = fitting(&name, 11.0, room);
    // Bold letters are wider.
    let at = (start(1.06 * text_width(&name, size)), panel.y0 - 23.0);
    canvas.text(at, &name, Lettering::new(size, TEXT, Align::Start).bold());
    value(canvas, &p.estimate, panel.y0 - 9.0, start, room);
}

/// Sets a median with its errors above each other, as the table does; a limit as it is.
fn value(canvas: &mut Canvas, estimate: &Estimate, y: f64, start: impl Fn(f64) -> f64, room: f64) {
    let Some([median, up, down, power]) = estimate.parts() else {
        let text = estimate.pretty();
        let size = fitting(&text, 10.0, room);
        return canvas.text((start(text_width(&text, size)), y), &text, Lettering::new(size, MUTED, Align::Start));
    };
    let (up, down) = (format!("+{up}"), format!("−{down}"));
    let (before, after) = if power.is_empty() { ("", String::new()) } else { ("(", format!("){power}")) };
    let (large, little) = (10.0, 7.5);
    let median = format!("{before}{median}");
    let errors = text_width(&up, little).max(text_width(&down, little));
    let mut x = start(text_width(&median, large) + 3.0 + errors + text_width(&after, large));
    canvas.text((x, y), &median, Lettering::new(large, MUTED, Align::Start));
    x += text_width(&median, large) + 2.0;
    canvas.text((x, y - 4.2), &up, Lettering::new(little, MUTED, Align::Start));
    canvas.text((x, y + 4.2), &down, Lettering::new(little, MUTED, Align::Start));
    canvas.text((x + errors + 1.0, y), &after, Lettering::new(large, MUTED, Align::Start));
}

/// `1e22 cm-2` as `10²² cm⁻²`, `photons/cm2/s` as `photons cm⁻² s⁻¹`; what is in brackets stays as it is: `(km/10kpc)2` as `(km/10kpc)²`.
pub fn pretty_unit(unit: &str) -> String {
    let mut depth = 0;
    // What stands inside of brackets is no place to part words.
    let mut inside = |c: char| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        depth != 0
    };
    let marked: String = unit
        .chars()
        .map(|c| match (inside(c), c) {
            (true, '/') => DIVIDED,
            (true, c) if c.is_whitespace() => SPACED,
            _ => c,
        })
        .collect();
    pretty_words(&marked).replace(DIVIDED, "/").replace(SPACED, " ")
}

/// Signs of private use, for a stroke and a blank that part no words.
const DIVIDED: char = '\u{e000}';
const SPACED: char = '\u{e001}';

fn pretty_words(unit: &str) -> String {
    let word = |word: &str, sign: i32| {
        if let Some(power) = word.strip_prefix("1e").or(word.strip_prefix("10^")).and_then(|p| p.parse::<i32>().ok()) {
            return format!("10{}", superscript(sign * power));
        }
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '^');
        match word.get(letters.len()..).unwrap_or("").trim_start_matches('^').parse::<i32>() {
            Ok(power) if !letters.is_empty() => format!("{letters}{}", superscript(sign * power)),
            _ if sign < 0 => format!("{word}{}", superscript(sign)),
            _ => word.to_string(),
        }
    };
    let parts = unit.split('/').enumerate().flat_map(|(i, part)| {
        let words = part.split_whitespace().collect::<Vec<_>>();
        words.into_iter().map(move |w| word(w, if i > 0 { -1 } else { 1 }))
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// A median and the distances to the quantiles above and below it, as [`Estimate`] prints them.
pub fn with_errors(median: f64, up: f64, down: f64) -> String {
    Estimate::with_errors(median, up, down).pretty()
}

/// Draws the curves of a diagonal panel and returns the axis of density that they need.
fn marginal(canvas: &mut Canvas, panel: &mut Panel, p: &Parameter, posterior: &Set, rounds: &[Set], j: usize) -> Axis {
    let refined = posterior.density(p, j);
    let peak = refined.iter().map(|d| d.1).fold(0.0, f64::max);
    panel.y = Axis::new(0.0, 1.18 * peak, false, "");
    let mut area = refined.clone();
    if let (Some(first), Some(last)) = (refined.first(), refined.last()) {
        area.insert(0, (first.0, 0.0));
        area.push((last.0, 0.0));
    }
    let outline: Vec<(f64, f64)> = area.iter().map(|&(x, y)| panel.place(x, y)).collect();
    canvas.polygon(&outline, POSTERIOR.opacity(0.22));
    panel.dashed_curve(canvas, &p.prior, PRIOR, 1.2);
    for (k, round) in rounds.iter().enumerate() {
        panel.curve(canvas, &round.density(p, j), round_ink(k, rounds.len()), 1.1);
    }
    panel.curve(canvas, &refined, POSTERIOR, 1.8);
    if let Some(t) = p.truth {
        panel.dashed_curve(canvas, &[(t, 0.0), (t, panel.y.hi)], TRUTH, 1.2);
    }
    panel.y.clone()
}

fn pair(
    canvas: &mut Canvas,
    panel: &Panel,
    (px, py): (&Parameter, &Parameter),
    posterior: &Set,
    rounds: &[Set],
    (column, row): (usize, usize),
) {
    let surface = |set: &Set| set.surface((px, py), (column, row));
    let place = |(a, b): (f64, f64)| (panel.x0 + a * (panel.x1 - panel.x0), panel.y1 - b * (panel.y1 - panel.y0));
    let Some(refined) = surface(posterior) else { return };
    for (mass, opacity) in MASSES {
        let Some(level) = refined.level(mass) else { continue };
        // All outlines in one polygon, joined by bridges walked both ways: holes, which run backwards, stay empty.
        let mut polygon: Vec<(f64, f64)> = Vec::new();
        for outline in refined.outlines(level) {
            polygon.extend(outline.iter().chain(outline.first()).map(|&p| place(p)));
            polygon.extend(polygon.first().copied());
        }
        canvas.polygon(&polygon, POSTERIOR.opacity(opacity));
    }
    for (k, round) in rounds.iter().enumerate() {
        let Some(surface) = surface(round) else { continue };
        let Some(level) = surface.level(0.95) else { continue };
        for outline in surface.outlines(level) {
            let line: Vec<(f64, f64)> = outline.iter().chain(outline.first()).map(|&p| place(p)).collect();
            canvas.line(&line, round_ink(k, rounds.len()), 0.9);
        }
    }
    for mass in [0.95, 0.68] {
        for outline in refined.level(mass).map(|l| refined.outlines(l)).unwrap_or_default() {
            let line: Vec<(f64, f64)> = outline.iter().chain(outline.first()).map(|&p| place(p)).collect();
            canvas.line(&line, POSTERIOR, 1.2);
        }
    }
    if let Some(t) = px.truth {
        panel.dashed_curve(canvas, &[(t, py.axis.lo), (t, py.axis.hi)], TRUTH.opacity(0.8), 0.9);
    }
    if let Some(t) = py.truth {
        panel.dashed_curve(canvas, &[(px.axis.lo, t), (px.axis.hi, t)], TRUTH.opacity(0.8), 0.9);
    }
    if let (Some(a), Some(b)) = (px.truth, py.truth) {
        canvas.dot(panel.place(a, b), 2.6, TRUTH);
    }
}

fn key(canvas: &mut Canvas, (x, mut y): (f64, f64), parameters: usize, rounds: usize, truth: bool) {
    let text = |canvas: &mut Canvas, y: f64, words: &str| {
        canvas.text((x + 34.0, y), words, Lettering::new(11.0, TEXT, Align::Start));
    };
    let sample = [(x, 0.0), (x + 26.0, 0.0)];
    let at = |y: f64| sample.map(|p| (p.0, y));
    canvas.rectangle((x, y - 5.0), (x + 26.0, y + 5.0), POSTERIOR.opacity(0.22));
    canvas.line(&at(y - 5.0), POSTERIOR, 1.8);
    text(canvas, y, if rounds > 0 { "refined posterior" } else { "posterior" });
    if parameters > 1 {
        y += 18.0;
        canvas.rectangle((x, y - 5.0), (x + 26.0, y + 5.0), POSTERIOR.opacity(0.20));
        canvas.rectangle((x + 6.0, y - 5.0), (x + 20.0, y + 5.0), POSTERIOR.opacity(0.38));
        text(canvas, y, "its 68 % and 95 % regions");
    }
    if rounds > 0 {
        y += 18.0;
        // A short piece in each round's colour.
        let piece = 26.0 / rounds as f64;
        for k in 0..rounds {
            let from = x + k as f64 * piece;
            canvas.line(&[(from, y), (from + piece, y)], round_ink(k, rounds), 2.4);
        }
        let which = if rounds == 1 { "round 1".to_string() } else { format!("rounds 1 to {rounds}") };
        text(canvas, y, &format!("{which}{}", if parameters > 1 { " (95 %)" } else { "" }));
    }
    y += 18.0;
    canvas.dashes(&at(y), PRIOR, 1.2, 4.0, 3.0);
    text(canvas, y, "prior");
    if truth {
        y += 18.0;
        canvas.dashes(&at(y), TRUTH, 1.2, 4.0, 3.0);
        text(canvas, y, "true value");
    }
}
