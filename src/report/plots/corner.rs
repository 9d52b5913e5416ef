//! The corner plot: marginals of every parameter and of every pair; prior, the rounds' posteriors and the refined one.
//!
//! The panels frame the refined posterior. What lies outside (the prior, the first rounds) is cut off, not squeezed in.

use super::axis::{Axis, Labels, Panel, superscript};
use super::canvas::{Align, Canvas, Lettering, MUTED, POSTERIOR, PRIOR, TEXT, TRUTH, draw, round_ink, text_width};
use super::density::{Surface, curve};
use crate::diagnose::statistics::quantiles;
use crate::report::{ReportData, Samples};

/// At most so many parameters are drawn, the first ones: more panels could not be read.
pub const MOST_PARAMETERS: usize = 12;
/// So many samples of a set are enough for a smooth picture.
const DRAWN: usize = 20_000;

struct Parameter {
    name: String,
    unit: String,
    axis: Axis,
    edges: Option<(f64, f64)>,
    truth: Option<f64>,
    prior: Vec<(f64, f64)>,
    title: String,
}

/// The whole picture; `None` without samples.
pub fn corner(data: &ReportData) -> Option<String> {
    let posterior = columns(&data.posterior, &data.posterior);
    if posterior.iter().any(|c| c.len() < 2) || posterior.is_empty() {
        return None;
    }
    let rounds: Vec<Vec<Vec<f64>>> =
        data.rounds.iter().filter_map(|r| r.posterior.as_ref()).map(|s| columns(s, &data.posterior)).collect();
    let parameters: Vec<Parameter> = posterior
        .iter()
        .zip(&data.posterior.names)
        .zip(&data.summary.parameters)
        .map(|((samples, name), (_, p))| Parameter::of(name, samples, p))
        .collect();
    let n = parameters.len();
    if n == 0 {
        return None;
    }
    let cell = (820.0 / n as f64).clamp(94.0, 200.0);
    let gap = 7.0;
    let (left, top, bottom) = (78.0, 48.0, 56.0);
    let legend = if n < 3 { 190.0 } else { 24.0 };
    let key_height = 40.0 + 18.0 * (rounds.len() + 4) as f64;
    let (width, height) = (left + n as f64 * cell + legend, (top + n as f64 * cell + bottom).max(key_height));
    let small = if cell < 110.0 { 8.5 } else { 10.0 };
    Some(draw(width, height, "Corner plot of the posterior", |canvas| {
        for (row, py) in parameters.iter().enumerate() {
            for (column, px) in parameters.iter().enumerate().take(row + 1) {
                let (x0, y0) = (left + column as f64 * cell, top + row as f64 * cell);
                let labels =
                    Labels { bottom: row + 1 == n, left: column == 0 && row > 0, size: small, scale: row != column };
                let mut panel =
                    Panel { x0, y0, x1: x0 + cell - gap, y1: y0 + cell - gap, x: px.axis.clone(), y: py.axis.clone() };
                if row == column {
                    let y_axis = marginal(canvas, &mut panel, px, &posterior, &rounds, column);
                    panel.y = y_axis;
                    frame_marginal(canvas, &panel, px, labels);
                } else {
                    pair(canvas, &panel, (px, py), &posterior, &rounds, (column, row));
                    panel.axes(canvas, labels, 0.0);
                }
                titles(canvas, &panel, (px, py), labels);
            }
        }
        let place = if n < 3 { (left + n as f64 * cell + 4.0, top + 12.0) } else { (width - 200.0, top + 6.0) };
        key(canvas, place, n, rounds.len(), parameters.iter().any(|p| p.truth.is_some()));
    }))
}

/// The columns of `samples` in the order of `like`, thinned evenly; a missing one is empty.
fn columns(samples: &Samples, like: &Samples) -> Vec<Vec<f64>> {
    let every = samples.len().div_ceil(DRAWN).max(1);
    like.names
        .iter()
        .take(MOST_PARAMETERS)
        .map(|name| match samples.position(name) {
            Some(j) => samples.column(j).into_iter().step_by(every).collect(),
            None => Vec::new(),
        })
        .collect()
}

impl Parameter {
    fn of(name: &str, samples: &[f64], p: &crate::report::summary::ParameterSummary) -> Parameter {
        let q = quantiles(samples, &[0.001, 0.999, 0.16, 0.5, 0.84]);
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
        let edges = match p.prior {
            crate::report::PriorShape::Uniform { lo, hi } | crate::report::PriorShape::LogUniform { lo, hi } => {
                Some((lo, hi))
            }
            _ => None,
        };
        if let Some((a, b)) = edges {
            (lo, hi) = (lo.max(a), hi.min(b));
        }
        if let Some(t) = p.truth {
            (lo, hi) = (lo.min(t), hi.max(t));
        }
        let axis = Axis::new(lo, hi, log, "");
        // The prior in the axis' own measure, so that a log-uniform prior is flat on a logarithmic axis.
        let prior = (0..=120)
            .filter_map(|i| {
                let x = axis.at(f64::from(i) / 120.0);
                let stretch = if axis.log { x * (axis.hi / axis.lo).ln() } else { axis.hi - axis.lo };
                Some((x, p.prior.density(x)? * stretch))
            })
            .collect();
        let title = with_errors(get(3), get(4) - get(3), get(3) - get(2));
        Parameter { name: name.to_string(), unit: pretty_unit(&p.unit), axis, edges, truth: p.truth, prior, title }
    }
}

/// `1e22 cm-2` as `10²² cm⁻²`, `photons/cm2/s` as `photons cm⁻² s⁻¹`. Units with brackets stay as they are.
pub fn pretty_unit(unit: &str) -> String {
    if unit.contains(['(', '[']) {
        return unit.to_string();
    }
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

/// Median and errors with two digits of the smaller error: 0.2312 +0.0043 −0.0041.
pub fn with_errors(median: f64, up: f64, down: f64) -> String {
    let scale = up.abs().min(down.abs());
    if !(median.is_finite() && scale > 0.0 && scale.is_finite()) {
        return format!("{median:.4}");
    }
    let decimals = 1 - scale.log10().floor() as i32;
    let largest = median.abs().max(scale);
    if !(1e-2..1e5).contains(&largest) {
        let e = largest.log10().floor() as i32;
        let f = 10f64.powi(e);
        let d = (decimals + e).clamp(0, 8) as usize;
        let power = superscript(e);
        return minus(&format!("({:.d$} +{:.d$} −{:.d$})×10{power}", median / f, up / f, down / f));
    }
    let d = decimals.clamp(0, 8) as usize;
    minus(&format!("{median:.d$} +{up:.d$} −{down:.d$}"))
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

/// Draws the curves of a diagonal panel and returns the axis of density that they need.
fn marginal(
    canvas: &mut Canvas,
    panel: &mut Panel,
    p: &Parameter,
    posterior: &[Vec<f64>],
    rounds: &[Vec<Vec<f64>>],
    j: usize,
) -> Axis {
    let nothing = Vec::new();
    let density = |samples: &[f64]| curve(samples, &p.axis, p.edges, 160);
    let refined = density(posterior.get(j).unwrap_or(&nothing));
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
        if let Some(samples) = round.get(j).filter(|s| s.len() > 1) {
            panel.curve(canvas, &density(samples), round_ink(k, rounds.len()), 1.1);
        }
    }
    panel.curve(canvas, &refined, POSTERIOR, 1.8);
    if let Some(t) = p.truth {
        panel.dashed_curve(canvas, &[(t, 0.0), (t, panel.y.hi)], TRUTH, 1.2);
    }
    panel.y.clone()
}

fn frame_marginal(canvas: &mut Canvas, panel: &Panel, p: &Parameter, labels: Labels) {
    // No ticks of density: its height means nothing.
    panel.axes(canvas, Labels { left: false, ..labels }, 0.0);
    let (middle, room) = (0.5 * (panel.x0 + panel.x1), panel.x1 - panel.x0 + 4.0);
    let fit = |text: &str, size: f64| size * (room / text_width(text, size)).min(1.0);
    let (name, value) = (&p.name, &p.title);
    canvas.text((middle, panel.y0 - 20.0), name, Lettering::new(fit(name, 11.0), TEXT, Align::Middle).bold());
    canvas.text((middle, panel.y0 - 8.0), value, Lettering::new(fit(value, 10.0), MUTED, Align::Middle));
}

/// Names and units along the outer edges, in a size at which they keep to their panel.
fn titles(canvas: &mut Canvas, panel: &Panel, (px, py): (&Parameter, &Parameter), labels: Labels) {
    let (length, height) = (panel.x1 - panel.x0 + 4.0, panel.y1 - panel.y0 + 4.0);
    let fit = |text: &str, room: f64| (labels.size + 1.0) * (room / text_width(text, labels.size + 1.0)).min(1.0);
    let words = |p: &Parameter, exponent: i32| {
        let own = p.name.rsplit('.').next().unwrap_or(&p.name).to_string();
        let factor = if exponent == 0 { String::new() } else { format!("10{}", superscript(exponent)) };
        let unit = [factor, p.unit.clone()].join(" ");
        (own, if unit.trim().is_empty() { String::new() } else { format!("[{}]", unit.trim()) })
    };
    if labels.bottom {
        let (name, unit) = words(px, panel.x.ticks(panel.x1 - panel.x0, labels.size, false).1);
        let middle = 0.5 * (panel.x0 + panel.x1);
        let y = panel.y1 + 2.4 * labels.size;
        canvas.text((middle, y), &name, Lettering::new(fit(&name, length), TEXT, Align::Middle));
        canvas.text((middle, y + 13.0), &unit, Lettering::new(fit(&unit, length), MUTED, Align::Middle));
    }
    if labels.left {
        let (name, unit) = words(py, panel.y.ticks(panel.y1 - panel.y0, labels.size, true).1);
        let (x, middle) = (panel.x0 - 66.0, 0.5 * (panel.y0 + panel.y1));
        canvas.text((x, middle), &name, Lettering::new(fit(&name, height), TEXT, Align::Middle).rotated());
        canvas.text((x + 13.0, middle), &unit, Lettering::new(fit(&unit, height), MUTED, Align::Middle).rotated());
    }
}

fn pair(
    canvas: &mut Canvas,
    panel: &Panel,
    (px, py): (&Parameter, &Parameter),
    posterior: &[Vec<f64>],
    rounds: &[Vec<Vec<f64>>],
    (column, row): (usize, usize),
) {
    let surface = |set: &[Vec<f64>]| -> Option<Surface> {
        let (x, y) = (set.get(column)?, set.get(row)?);
        (x.len() > 1 && x.len() == y.len()).then(|| Surface::of(x, y, &px.axis, &py.axis))
    };
    let place = |(a, b): (f64, f64)| (panel.x0 + a * (panel.x1 - panel.x0), panel.y1 - b * (panel.y1 - panel.y0));
    let Some(refined) = surface(posterior) else { return };
    for (mass, opacity) in [(0.95, 0.20), (0.68, 0.38)] {
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
    text(canvas, y, "refined posterior");
    if parameters > 1 {
        y += 18.0;
        canvas.rectangle((x, y - 5.0), (x + 26.0, y + 5.0), POSTERIOR.opacity(0.20));
        canvas.rectangle((x + 6.0, y - 5.0), (x + 20.0, y + 5.0), POSTERIOR.opacity(0.38));
        text(canvas, y, "its 68 % and 95 % regions");
    }
    for k in 0..rounds {
        y += 18.0;
        canvas.line(&at(y), round_ink(k, rounds), 1.4);
        text(canvas, y, &format!("round {}{}", k + 1, if parameters > 1 { " (95 %)" } else { "" }));
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
