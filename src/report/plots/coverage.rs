//! What the simulations cover: simulated spectra of the prior and of each round's proposal around the observed one. Simulated counts
//! are added up before their quantiles are taken.

use super::axis::{Axis, Labels, Panel};
use super::binning::energy_axis;
use super::canvas::{Align, DATA, Ink, Lettering, MUTED, Picture, TEXT, draw};
use crate::report::tables::{Coverage, SpectrumRow, SpectrumTable};

/// One small panel per stage: where the simulated spectra of the prior and of each round's proposal lie around the observed one.
/// At most six stages are drawn: the first, the last, and those evenly between.
pub fn coverage(table: &SpectrumTable, stages: &[Coverage]) -> Option<Picture> {
    let stages: Vec<&Coverage> = stages.iter().filter(|s| !s.rows.is_empty()).collect();
    let chosen: Vec<&Coverage> = match stages.len() {
        n if n <= 6 => stages,
        n => (0..6).filter_map(|i| stages.get(i * (n - 1) / 5).copied()).collect(),
    };
    if chosen.is_empty() || table.exposure <= 0.0 {
        return None;
    }
    let observed = &chosen.first()?.rows;
    let rate = |counts: f64, r: &SpectrumRow| counts / (table.exposure * (r.e_max - r.e_min));
    let (lo, hi) = observed
        .iter()
        .map(|r| rate(r.counts, r))
        .filter(|v| *v > 0.0)
        .fold((f64::INFINITY, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
    let top = chosen.iter().flat_map(|s| &s.rows).map(|r| rate(r.q975, r)).fold(hi, f64::max).min(300.0 * hi);
    let y = Axis::new((lo * 0.3).max(hi * 1e-5), top * 1.8, true, "Counts s⁻¹ keV⁻¹");
    let x = energy_axis(observed);
    let across = chosen.len().min(3);
    let down = chosen.len().div_ceil(across);
    let cell = (if across == 1 { 520.0 } else { 760.0 / across as f64 }, if across == 3 { 230.0 } else { 290.0 });
    let (left, top_margin) = (76.0, 54.0);
    let (width, height) = (left + cell.0 * across as f64 + 12.0, top_margin + cell.1 * down as f64 + 16.0);
    let ink = Ink(122, 96, 168, 1.0);
    Some(draw(width, height, "Simulated spectra of each round around the observed one", |canvas| {
        for (i, stage) in chosen.iter().enumerate() {
            let rows = &stage.rows;
            let (column, row) = (i % across, i / across);
            let (x0, y0) = (left + column as f64 * cell.0, top_margin + row as f64 * cell.1);
            let panel = Panel { x0, y0, x1: x0 + cell.0 - 20.0, y1: y0 + cell.1 - 28.0, x: x.clone(), y: y.clone() };
            panel.grid(canvas, 10.0);
            let band = |f: fn(&SpectrumRow) -> (f64, f64)| -> Vec<(f64, f64, f64, f64)> {
                rows.iter().map(|r| (r.e_min, r.e_max, rate(f(r).0, r), rate(f(r).1, r))).collect()
            };
            panel.step_band(canvas, &band(|r| (r.q025, r.q975)), ink.opacity(0.16));
            panel.step_band(canvas, &band(|r| (r.q16, r.q84)), ink.opacity(0.26));
            let median: Vec<(f64, f64, f64)> = rows.iter().map(|r| (r.e_min, r.e_max, rate(r.median, r))).collect();
            panel.steps(canvas, &median, ink, 1.2);
            let data: Vec<(f64, f64, f64)> = rows.iter().map(|r| (r.e_min, r.e_max, rate(r.counts, r))).collect();
            panel.steps(canvas, &data, DATA, 1.2);
            let labels = Labels { bottom: i + across >= chosen.len(), left: column == 0, size: 10.0, scale: true };
            panel.axes(canvas, labels, 52.0);
            canvas.text((x0 + 2.0, y0 - 9.0), &stage.stage, Lettering::new(11.5, TEXT, Align::Start).bold());
        }
        let (mut x, y) = (left, 16.0);
        canvas.line(&[(x, y), (x + 22.0, y)], DATA, 1.4);
        canvas.text((x + 27.0, y), "observed", Lettering::new(10.5, MUTED, Align::Start));
        x += 95.0;
        canvas.rectangle((x, y - 5.0), (x + 22.0, y + 5.0), ink.opacity(0.2));
        canvas.rectangle((x, y - 2.5), (x + 22.0, y + 2.5), ink.opacity(0.26));
        canvas.line(&[(x, y), (x + 22.0, y)], ink, 1.2);
        canvas.text(
            (x + 27.0, y),
            "simulated: median, 68 % and 95 % of the spectra",
            Lettering::new(10.5, MUTED, Align::Start),
        );
    }))
}
