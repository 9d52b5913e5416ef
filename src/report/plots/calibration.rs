//! Calibration: histograms of ranks, one panel per quantity, expected coverage against credibility; and what a parameter retriever
//! guesses against the truth.

use super::axis::{Axis, Labels, Panel};
use super::canvas::{Align, GRID, Ink, Lettering, MUTED, POSTERIOR, Picture, ROUND_LAST, TEXT, TRUTH, draw};
use crate::result::Diagnosis;
use crate::result::Summary;

const COLUMNS: usize = 4;
const FILL: Ink = Ink(29, 91, 143, 0.25);
const BAND: Ink = Ink(139, 148, 158, 0.22);

/// Ranks of the truth among draws of the refined posterior (filled) and of the flow alone (line), with the band that holds 99 % of calibrated
/// bins. `None` without ranks.
pub fn ranks(diagnosis: &Diagnosis) -> Option<Picture> {
    let sbc = diagnosis.refined.sbc.as_ref().or(diagnosis.unrefined.sbc.as_ref())?;
    let plain = diagnosis.unrefined.sbc.as_ref();
    let (cell, tall) = (205.0, 170.0);
    let rows = sbc.quantities.len().div_ceil(COLUMNS);
    let height = tall * rows as f64 + 20.0;
    Some(draw(cell * COLUMNS as f64, height, "Ranks of true values among posterior draws", |canvas| {
        for (k, quantity) in sbc.quantities.iter().enumerate() {
            let (left, top) = ((k % COLUMNS) as f64 * cell, (k / COLUMNS) as f64 * tall);
            let histogram = &quantity.uniformity.histogram;
            let other = plain.and_then(|p| p.quantities.get(k)).map(|q| &q.uniformity.histogram);
            let tallest = histogram.iter().chain(other.into_iter().flatten()).copied().max().unwrap_or(1);
            let area = Panel {
                x0: left + 34.0,
                y0: top + 26.0,
                x1: left + cell - 10.0,
                y1: top + tall - 26.0,
                x: Axis::new(0.0, 1.0, false, ""),
                y: Axis::new(0.0, 1.1 * (tallest.max(sbc.band.1)) as f64, false, ""),
            };
            let steps = |counts: &[usize]| -> Vec<(f64, f64, f64)> {
                let width = 1.0 / counts.len() as f64;
                counts.iter().enumerate().map(|(i, &c)| (i as f64 * width, (i + 1) as f64 * width, c as f64)).collect()
            };
            let (low, high) = (sbc.band.0 as f64, sbc.band.1 as f64);
            canvas.rectangle(area.place(0.0, low), area.place(1.0, high), BAND);
            let filled: Vec<_> = steps(histogram).into_iter().map(|(a, b, c)| (a, b, 0.0, c)).collect();
            area.step_band(canvas, &filled, FILL);
            if let Some(other) = other {
                area.steps(canvas, &steps(other), ROUND_LAST, 1.2);
            }
            area.axes(canvas, Labels { bottom: true, left: true, size: 9.0, scale: true }, 30.0);
            let ink = if quantity.failed { TRUTH } else { TEXT };
            let at = (area.x0, top + 13.0);
            canvas.text(at, &quantity.name, Lettering::new(10.0, ink, Align::Start).bold());
            let p = format!("p {:.2}", quantity.uniformity.least_p());
            canvas.text((area.x1, top + 13.0), &p, Lettering::new(9.0, MUTED, Align::End));
        }
        let words = "filled: refined; line: the flow alone; grey: 99 % of calibrated bins";
        canvas.text((cell * COLUMNS as f64 - 10.0, height - 8.0), words, Lettering::new(9.0, MUTED, Align::End));
    }))
}

/// Expected coverage against credibility. `None` without it.
pub fn coverage(diagnosis: &Diagnosis) -> Option<Picture> {
    let tarp = diagnosis.refined.tarp.as_ref().or(diagnosis.unrefined.tarp.as_ref())?;
    let (width, height) = (360.0, 330.0);
    Some(draw(width, height, "Expected coverage against credibility", |canvas| {
        let area = Panel {
            x0: 58.0,
            y0: 28.0,
            x1: width - 14.0,
            y1: height - 48.0,
            x: Axis::new(0.0, 1.0, false, "Credibility"),
            y: Axis::new(0.0, 1.0, false, "Expected coverage"),
        };
        area.grid(canvas, 10.0);
        canvas.line(&[area.place(0.0, 0.0), area.place(1.0, 1.0)], GRID, 2.0);
        let of = |t: &crate::result::Tarp, side: f64| -> Vec<(f64, f64)> {
            let points = t.credibility.iter().zip(&t.coverage).zip(&t.error);
            let inner = points.map(|((&x, &y), &e)| (x, (y + side * e).clamp(0.0, 1.0)));
            [(0.0, 0.0)].into_iter().chain(inner).chain([(1.0, 1.0)]).collect()
        };
        // Two standard errors.
        let mut outline: Vec<(f64, f64)> = of(tarp, 2.0);
        outline.extend(of(tarp, -2.0).into_iter().rev());
        let outline: Vec<(f64, f64)> = outline.into_iter().map(|(x, y)| area.place(x, y)).collect();
        canvas.polygon(&outline, FILL);
        if let Some(plain) = diagnosis.unrefined.tarp.as_ref() {
            area.curve(canvas, &of(plain, 0.0), ROUND_LAST, 1.3);
        }
        area.curve(canvas, &of(tarp, 0.0), POSTERIOR, 1.8);
        area.axes(canvas, Labels { bottom: true, left: true, size: 10.0, scale: true }, 40.0);
        let words = format!("{} mocks; band: two bootstrap errors; orange: the flow alone", tarp.mocks);
        canvas.text((area.x0, 14.0), &words, Lettering::new(9.5, MUTED, Align::Start));
    }))
}

/// Guessed against true values, a panel for each parameter. `None` without a retriever.
pub fn retriever(summary: &Summary, diagnosis: &Diagnosis) -> Option<Picture> {
    let retriever = diagnosis.retriever.as_ref().filter(|r| !r.parameters.is_empty())?;
    let (cell, tall) = (215.0, 215.0);
    let columns = retriever.parameters.len().min(COLUMNS);
    let rows = retriever.parameters.len().div_ceil(COLUMNS);
    let (width, height) = (cell * columns as f64, tall * rows as f64);
    Some(draw(width, height, "Parameters guessed from summaries, against the true ones", |canvas| {
        for (k, parameter) in retriever.parameters.iter().enumerate() {
            let (left, top) = ((k % COLUMNS) as f64 * cell, (k / COLUMNS) as f64 * tall);
            let finite = parameter.truth.iter().chain(&parameter.guess).copied().filter(|v| v.is_finite());
            let (lo, hi) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
            let prior = summary.parameter(&parameter.name).map(|p| &p.prior);
            let log = prior.is_some_and(|prior| prior.logarithmic()) && lo > 0.0;
            let axis = |label: &str| Axis::new(lo, hi, log, label);
            let area = Panel {
                x0: left + 52.0,
                y0: top + 26.0,
                x1: left + cell - 10.0,
                y1: top + tall - 38.0,
                x: axis("true"),
                y: axis(if k % COLUMNS == 0 { "guessed" } else { "" }),
            };
            area.grid(canvas, 9.0);
            area.curve(canvas, &[(area.x.lo, area.y.lo), (area.x.hi, area.y.hi)], ROUND_LAST, 1.2);
            for (&x, &y) in parameter.truth.iter().zip(&parameter.guess) {
                canvas.dot((area.px_inside(x), area.py_inside(y)), 1.6, FILL);
            }
            area.axes(canvas, Labels { bottom: true, left: true, size: 8.5, scale: true }, 40.0);
            let at = (area.x0, top + 13.0);
            canvas.text(at, &parameter.name, Lettering::new(10.0, TEXT, Align::Start).bold());
            let share = format!("{:.0} %", 100.0 * parameter.explained.max(0.0));
            canvas.text((area.x1, top + 13.0), &share, Lettering::new(9.0, MUTED, Align::End));
        }
    }))
}
