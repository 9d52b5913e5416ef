//! How residuals are drawn: their error bars, and an axis that shows nearly all of them.

use super::axis::{Axis, Labels, Panel};
use super::binning::{centre, data_error};
use super::canvas::{Canvas, DATA, Ink, Mark, POSTERIOR, TRUTH};
use super::legend::{Legend, Sample};
use crate::result::{Residuals, SpectrumRow};

/// Height of a panel of residuals, and its distance from what is above it [pixels].
const TALL: f64 = 126.0;
const GAP: f64 = 12.0;

/// The residuals of one data set, and how they are drawn.
pub struct Shown<'a> {
    /// The bins as drawn.
    pub rows: &'a [SpectrumRow],
    /// Colour of the points.
    pub ink: Ink,
    /// Their mark.
    pub mark: Mark,
    /// Its size [pixels].
    pub dot: f64,
    /// Width of the error bars [pixels].
    pub bar: f64,
}

/// Two panels below `above`: the residuals that were asked for, then the others.
pub fn panels(above: &Panel, first: Residuals, sets: &[Shown<'_>]) -> [(Residuals, Panel); 2] {
    let rows: Vec<SpectrumRow> = sets.iter().flat_map(|set| set.rows.iter().copied()).collect();
    let second = match first {
        Residuals::Delta => Residuals::Ratio,
        Residuals::Ratio => Residuals::Delta,
    };
    let mut y0 = above.y1 + GAP;
    [first, second].map(|which| {
        let panel = Panel { x0: above.x0, y0, x1: above.x1, y1: y0 + TALL, x: above.x.clone(), y: axis(which, &rows) };
        y0 = panel.y1 + GAP;
        (which, panel)
    })
}

/// How far the panels reach below the one above them [pixels].
pub const HEIGHT: f64 = 2.0 * (TALL + GAP);

/// Says in the legend how many residuals lie beyond their panel, if any do.
pub fn tell_beyond(legend: &mut Legend, panels: &[(Residuals, Panel)], sets: &[Shown<'_>]) {
    let count: usize = panels
        .iter()
        .map(|(which, panel)| {
            let values = sets.iter().flat_map(|set| set.rows).filter_map(|r| of(*which, r));
            values.filter(|v| *v < panel.y.lo || *v > panel.y.hi).count()
        })
        .sum();
    if count > 0 {
        let plural = if count > 1 { "s" } else { "" };
        legend.add(Sample::Pointer(TRUTH), format!("{count} residual{plural} beyond the panel"));
    }
}

/// Draws a panel of residuals; `bottom`: it is the lowest, and carries the labels of the energies.
pub fn draw(canvas: &mut Canvas, panel: &Panel, which: Residuals, sets: &[Shown<'_>], bottom: bool) {
    if which == Residuals::Delta {
        canvas.rectangle((panel.x0, panel.py(1.0)), (panel.x1, panel.py(-1.0)), POSTERIOR.opacity(0.10));
    }
    panel.grid(canvas, 11.0);
    let level = panel.py(which.level());
    canvas.line(&[(panel.x0, level), (panel.x1, level)], POSTERIOR, 1.2);
    for set in sets {
        for r in set.rows {
            let (Some(value), Some((from, to))) = (of(which, r), bar(which, r)) else { continue };
            let at = centre(r);
            if value > panel.y.hi || value < panel.y.lo {
                let up = value > panel.y.hi;
                let ink = if set.ink == DATA { TRUTH } else { set.ink };
                canvas.pointer((panel.px(at), if up { panel.y0 + 1.5 } else { panel.y1 - 1.5 }), up, ink);
                continue;
            }
            panel.curve(canvas, &[(at, from), (at, to)], set.ink.opacity(0.45), set.bar);
            canvas.mark(panel.place(at, value), set.dot, set.mark, set.ink);
        }
    }
    panel.axes(canvas, Labels { bottom, left: true, size: 11.0, scale: true }, 58.0);
}

/// The residual of a bin: what differs from the model over the error of data that have one, else as [`Residuals::of`] has it.
pub fn of(residuals: Residuals, row: &SpectrumRow) -> Option<f64> {
    match (residuals, row.error) {
        (Residuals::Delta, Some(error)) => (error > 0.0).then(|| (row.counts - row.median) / error),
        _ => residuals.of(row.counts, row.median),
    }
}

/// What a residual is, in words.
pub fn formula(residuals: Residuals, rows: &[SpectrumRow]) -> &'static str {
    let with_errors = rows.iter().any(|row| row.error.is_some());
    let all = rows.iter().all(|row| row.error.is_some());
    match residuals {
        Residuals::Delta if with_errors && all => "(data − model) / error",
        Residuals::Delta if with_errors => "(data − model) / spread",
        _ => residuals.formula(),
    }
}

/// Ends of the error bar around the residual of a bin.
pub fn bar(residuals: Residuals, row: &SpectrumRow) -> Option<(f64, f64)> {
    let at = of(residuals, row)?;
    match residuals {
        Residuals::Delta => Some((at - 1.0, at + 1.0)),
        Residuals::Ratio => {
            let (down, up) = data_error(row);
            Some((at - down / row.median, at + up / row.median))
        }
    }
}

/// An axis that shows nearly all residuals of `rows` (up to twice what nine of ten keep within); single ones far outside do not squeeze the others together.
pub fn axis(residuals: Residuals, rows: &[SpectrumRow]) -> Axis {
    let level = residuals.level();
    let mut off: Vec<f64> =
        rows.iter().filter_map(|r| of(residuals, r)).map(|v| (v - level).abs()).filter(|v| v.is_finite()).collect();
    off.sort_unstable_by(f64::total_cmp);
    let largest = off.last().copied().unwrap_or(0.0);
    let most = off.get(off.len() * 9 / 10).copied().unwrap_or(largest);
    let (least, plenty): (f64, f64) = match residuals {
        Residuals::Delta => (3.2, 6.0),
        Residuals::Ratio => (0.12, 0.5),
    };
    let reach = 1.12 * largest.min(plenty.max(2.0 * most)).max(least);
    let bottom = if residuals == Residuals::Ratio { (level - reach).max(0.0) } else { level - reach };
    Axis::new(bottom, level + reach, false, formula(residuals, rows))
}

/// The bin with the largest residual of a spectrum, and that residual.
pub fn largest(residuals: Residuals, rows: &[SpectrumRow]) -> Option<(SpectrumRow, f64)> {
    let all = rows.iter().filter_map(|r| Some((*r, of(residuals, r)?)));
    all.max_by(|a, b| (a.1 - residuals.level()).abs().total_cmp(&(b.1 - residuals.level()).abs()))
}
