//! How the run went: losses over the epochs of all rounds, and the sampling efficiency per round.

use super::axis::{Axis, Labels, Panel};
use super::canvas::{Align, Canvas, FRAME, GRID, Ink, Lettering, MUTED, POSTERIOR, Picture, TEXT, draw};
use crate::report::ReportData;

const TRAIN: Ink = Ink(165, 180, 196, 1.0);

/// A network's losses over all rounds: (epoch counted through, train, validation), and the epochs at which rounds begin.
struct Curve {
    title: &'static str,
    unit: &'static str,
    train: Vec<(f64, f64)>,
    validation: Vec<(f64, f64)>,
    starts: Vec<f64>,
}

/// Training and validation loss of the auto-encoder and the flow. `None` when nothing was trained.
pub fn losses(data: &ReportData) -> Option<Picture> {
    let networks = [("autoencoder", "Auto-encoder", "Mean C-STAT"), ("flow", "Flow", "−⟨ln q⟩")];
    let curves: Vec<Curve> = networks
        .into_iter()
        .map(|(name, title, unit)| {
            let mut curve = Curve { title, unit, train: vec![], validation: vec![], starts: vec![] };
            let mut epoch = 0.0;
            for round in &data.rounds {
                curve.starts.push(epoch + 0.5);
                for row in round.losses.iter().filter(|r| r.network == name) {
                    epoch += 1.0;
                    curve.train.push((epoch, row.train));
                    curve.validation.push((epoch, row.validation));
                }
            }
            curve
        })
        .filter(|c| !c.train.is_empty())
        .collect();
    if curves.is_empty() {
        return None;
    }
    let (width, height) = (820.0, 300.0);
    let cell = (width - 8.0) / curves.len() as f64;
    Some(draw(width, height, "Training and validation losses over the epochs of all rounds", |canvas| {
        for (i, curve) in curves.iter().enumerate() {
            let x0 = i as f64 * cell + 70.0;
            let panel = Panel {
                x0,
                y0: 34.0,
                x1: (i + 1) as f64 * cell - 8.0,
                y1: height - 48.0,
                x: Axis::new(0.5, curve.train.len() as f64 + 0.5, false, "Epoch"),
                y: loss_axis(curve),
            };
            panel.grid(canvas, 10.0);
            for (k, &start) in curve.starts.iter().enumerate() {
                if k > 0 {
                    panel.dashed_curve(canvas, &[(start, panel.y.lo), (start, panel.y.hi)], FRAME, 0.9);
                }
                let next = curve.starts.get(k + 1).copied().unwrap_or(panel.x.hi);
                if panel.px(next) - panel.px(start) > 16.0 {
                    let at = (0.5 * (panel.px(start) + panel.px(next)), panel.y0 + 10.0);
                    canvas.text(at, &(k + 1).to_string(), Lettering::new(10.0, MUTED, Align::Middle));
                }
            }
            panel.curve(canvas, &curve.train, TRAIN, 1.6);
            panel.curve(canvas, &curve.validation, POSTERIOR, 1.6);
            panel.axes(canvas, Labels { bottom: true, left: true, size: 10.0, scale: true }, 50.0);
            canvas.text((x0, 18.0), curve.title, Lettering::new(12.0, TEXT, Align::Start).bold());
            legend(canvas, panel.x1, 18.0);
        }
    }))
}

fn legend(canvas: &mut Canvas, right: f64, y: f64) {
    for (x, ink, words) in [(right - 148.0, TRAIN, "training"), (right - 72.0, POSTERIOR, "validation")] {
        canvas.line(&[(x, y), (x + 16.0, y)], ink, 2.0);
        canvas.text((x + 21.0, y), words, Lettering::new(10.5, MUTED, Align::Start));
    }
}

/// The first epochs of a training are far off and would flatten the rest: the axis ends where all but the worst 4 % fit.
fn loss_axis(curve: &Curve) -> Axis {
    let mut values: Vec<f64> =
        curve.train.iter().chain(&curve.validation).map(|p| p.1).filter(|v| v.is_finite()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let lo = values.first().copied().unwrap_or(0.0);
    let hi = crate::numerics::statistics::quantile_of_sorted(&values, 0.96);
    if lo > 0.0 && hi / lo > 20.0 {
        return Axis::new(lo * 0.8, values.last().copied().unwrap_or(hi) * 1.3, true, curve.unit);
    }
    let pad = 0.08 * (hi - lo);
    Axis::new(lo - pad, hi + 2.5 * pad, false, curve.unit)
}

/// Sampling efficiency of each round's posterior against the exact likelihood, and of the refinement; acceptance of the prior in
/// the truncated proposal. `None` without rounds.
pub fn efficiency(data: &ReportData) -> Option<Picture> {
    let rounds = &data.summary.rounds;
    if rounds.is_empty() {
        return None;
    }
    let points = |f: fn(&crate::result::RoundSummary) -> f64| -> Vec<(f64, f64)> {
        rounds.iter().enumerate().map(|(i, r)| (i as f64 + 1.0, 100.0 * f(r))).filter(|p| p.1.is_finite()).collect()
    };
    let (efficiency, acceptance) = (points(|r| r.efficiency), points(|r| r.acceptance));
    let (width, height) = (520.0, 300.0);
    let least = efficiency.iter().chain(&acceptance).map(|p| p.1).filter(|v| *v > 0.0).fold(100.0, f64::min);
    let log = least < 3.0;
    let panel = Panel {
        x0: 62.0,
        y0: 34.0,
        x1: width - 14.0,
        y1: height - 48.0,
        x: Axis::new(0.5, rounds.len() as f64 + 0.5, false, "Round"),
        y: if log { Axis::new((least * 0.5).max(1e-6), 160.0, true, "%") } else { Axis::new(0.0, 105.0, false, "%") },
    };
    Some(draw(width, height, "Sampling efficiency and acceptance per round", |canvas| {
        for tick in panel.y.ticks(panel.y1 - panel.y0, 10.0, true).ticks.iter().filter(|t| !t.label.is_empty()) {
            canvas.line(&[(panel.x0, panel.py(tick.value)), (panel.x1, panel.py(tick.value))], GRID, 0.8);
        }
        let refined = 100.0 * data.summary.refine.efficiency;
        if refined.is_finite() {
            panel.dashed_curve(canvas, &[(0.5, refined), (panel.x.hi, refined)], POSTERIOR, 1.2);
        }
        for (series, ink) in [(&acceptance, super::canvas::PRIOR), (&efficiency, POSTERIOR)] {
            panel.curve(canvas, series, ink, 1.6);
            for &(x, y) in series.iter().filter(|p| p.1 >= panel.y.lo) {
                canvas.dot(panel.place(x, y), 3.4, ink);
            }
        }
        panel.axes(canvas, Labels { bottom: true, left: true, size: 10.0, scale: true }, 42.0);
        let mut x = panel.x0;
        for (ink, words, dashed) in [
            (POSTERIOR, "sampling efficiency", false),
            (POSTERIOR, "after refinement", true),
            (super::canvas::PRIOR, "acceptance of proposal", false),
        ] {
            let line = [(x, 18.0), (x + 18.0, 18.0)];
            if dashed {
                canvas.dashes(&line, ink, 1.2, 4.0, 3.0)
            } else {
                canvas.line(&line, ink, 1.8)
            }
            canvas.text((x + 23.0, 18.0), words, Lettering::new(10.5, MUTED, Align::Start));
            x += 40.0 + super::canvas::text_width(words, 10.5);
        }
    }))
}
