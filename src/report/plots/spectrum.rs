//! Pictures of spectra: the folded fit with residuals, and what the simulations cover.
//!
//! A spectrum of thousands of channels is drawn with neighbouring bins added up ([`combine`]); quantiles of EXPECTED counts are
//! added too, which is exact where the bins rise and fall together (they nearly do: their spread is that of the parameters) and
//! too wide otherwise. Simulated counts are added before their quantiles are taken. Numbers elsewhere in the report always come from the bins as analysed.

use super::axis::{Axis, Labels, Panel};
use super::canvas::{Align, Canvas, DATA, Ink, Lettering, MUTED, POSTERIOR, TEXT, draw};
use crate::report::tables::{COVERAGE_BINS, Coverage, SpectrumRow, SpectrumTable};

/// About as many points as can be told apart.
const MOST_POINTS: usize = COVERAGE_BINS;

/// Adds up neighbours until a bin has at least `least` counts and no more than [`MOST_POINTS`] bins are left. Bins never reach
/// across ignored channels.
fn combine(rows: &[SpectrumRow], least: f64) -> Vec<SpectrumRow> {
    let every = rows.len().div_ceil(MOST_POINTS).max(1);
    let mut out: Vec<(SpectrumRow, usize)> = Vec::new();
    for row in rows {
        if let Some((last, count)) = out.last_mut()
            && (*count < every || last.counts < least)
            && (row.e_min - last.e_max).abs() <= 1e-6 * row.e_min
        {
            last.e_max = row.e_max;
            last.counts += row.counts;
            last.q025 += row.q025;
            last.q16 += row.q16;
            last.median += row.median;
            last.q84 += row.q84;
            last.q975 += row.q975;
            *count += 1;
        } else {
            out.push((*row, 1));
        }
    }
    out.into_iter().map(|(row, _)| row).collect()
}

/// Energy axis over the kept bins [keV]; logarithmic where it spans more than a factor of three.
fn energy_axis(rows: &[SpectrumRow]) -> Axis {
    let lo = rows.iter().map(|r| r.e_min).fold(f64::INFINITY, f64::min);
    let hi = rows.iter().map(|r| r.e_max).fold(0.0, f64::max);
    let log = lo > 0.0 && hi / lo > 3.0;
    if log { Axis::new(lo * 0.97, hi * 1.03, true, "Energy [keV]") } else { Axis::new(lo, hi, false, "Energy [keV]") }
}

/// The two-sided 1-sigma error of Poisson counts (Gehrels 1986, eqs. 7 and 11 to first order).
fn poisson_error(counts: f64) -> (f64, f64) {
    let up = 1.0 + (counts + 0.75).sqrt();
    (
        if counts > 0.0 {
            counts - counts * (1.0 - 1.0 / (9.0 * counts) - 1.0 / (3.0 * counts.sqrt())).powi(3)
        } else {
            0.0
        },
        up,
    )
}

/// [`spectrum`] of the bins within `lo..hi` keV alone, with a linear scale of counts: lines and their wings. `None` without bins.
pub fn band(table: &SpectrumTable, [lo, hi]: [f64; 2]) -> Option<String> {
    let rows = table.rows.iter().filter(|row| row.e_min >= lo && row.e_max <= hi).copied().collect();
    drawn(&SpectrumTable { exposure: table.exposure, rows }, false)
}

/// Counts per s and keV with the model's posterior, and residuals in standard deviations of the model. `None` without bins.
pub fn spectrum(table: &SpectrumTable) -> Option<String> {
    drawn(table, true)
}

fn drawn(table: &SpectrumTable, logarithmic: bool) -> Option<String> {
    let exposure = table.exposure;
    if table.rows.is_empty() || exposure <= 0.0 {
        return None;
    }
    let total: f64 = table.rows.iter().map(|r| r.counts).sum();
    let least = if table.rows.len() > MOST_POINTS && total > 0.0 {
        (total / MOST_POINTS as f64 / 4.0).clamp(5.0, 25.0)
    } else {
        0.0
    };
    let points = combine(&table.rows, least);
    let rate = |counts: f64, r: &SpectrumRow| counts / (exposure * (r.e_max - r.e_min));
    let model = combine(&table.rows, 0.0);
    let shown: Vec<f64> = points
        .iter()
        .flat_map(|r| [rate(r.counts, r), rate(r.median, r)])
        .chain(model.iter().map(|r| rate(r.median, r)))
        .filter(|v| *v > 0.0)
        .collect();
    let (lo, hi) = shown.iter().fold((f64::INFINITY, 0.0f64), |(a, b), &v| (a.min(v), b.max(v)));
    let (bottom, top) = if logarithmic { ((0.5 * lo).max(1e-6 * hi), 2.2 * hi) } else { (0.0, 1.12 * hi) };
    let y = Axis::new(bottom, top, logarithmic, "Counts s⁻¹ keV⁻¹");
    let x = energy_axis(&table.rows);
    let pulls: Vec<(f64, f64)> = points
        .iter()
        .filter(|r| r.median > 0.0)
        .map(|r| ((r.e_min * r.e_max).sqrt().max(r.e_min), (r.counts - r.median) / r.median.sqrt()))
        .collect();
    let most = pulls.iter().map(|p| p.1.abs()).fold(3.2, f64::max).min(12.0) * 1.12;
    let (width, height) = (820.0, 560.0);
    let (left, right) = (78.0, width - 18.0);
    let upper = Panel { x0: left, y0: 16.0, x1: right, y1: 376.0, x, y };
    let lower = Panel {
        x0: left,
        y0: 388.0,
        x1: right,
        y1: 508.0,
        x: upper.x.clone(),
        y: Axis::new(-most, most, false, "Residual [σ]"),
    };
    Some(draw(width, height, "Folded spectrum with the posterior of the model and residuals", |canvas| {
        upper.grid(canvas, 11.0);
        let band = |f: fn(&SpectrumRow) -> (f64, f64)| -> Vec<(f64, f64, f64, f64)> {
            model.iter().map(|r| (r.e_min, r.e_max, rate(f(r).0, r), rate(f(r).1, r))).collect()
        };
        upper.step_band(canvas, &band(|r| (r.q025, r.q975)), POSTERIOR.opacity(0.22));
        upper.step_band(canvas, &band(|r| (r.q16, r.q84)), POSTERIOR.opacity(0.40));
        let median: Vec<(f64, f64, f64)> = model.iter().map(|r| (r.e_min, r.e_max, rate(r.median, r))).collect();
        let light = points.len() > 120;
        let (bar, dot) = if light { (0.8, 1.1) } else { (1.1, 2.0) };
        for r in &points {
            let (down, up) = poisson_error(r.counts);
            let at = x_centre(r);
            let ends = [(at, rate(r.counts - down, r).max(upper.y.lo * 0.1)), (at, rate(r.counts + up, r))];
            upper.curve(canvas, &[(r.e_min, rate(r.counts, r)), (r.e_max, rate(r.counts, r))], DATA.opacity(0.75), bar);
            upper.curve(canvas, &ends, DATA.opacity(0.75), bar);
            if r.counts > 0.0 && rate(r.counts, r) >= upper.y.lo {
                canvas.dot(upper.place(at, rate(r.counts, r)), dot, DATA);
            }
        }
        upper.steps(canvas, &median, POSTERIOR, 1.5);
        upper.axes(canvas, Labels { bottom: false, left: true, size: 11.0, scale: true }, 54.0);

        canvas.rectangle((left, lower.py(1.0)), (right, lower.py(-1.0)), POSTERIOR.opacity(0.10));
        lower.grid(canvas, 11.0);
        canvas.line(&[(left, lower.py(0.0)), (right, lower.py(0.0))], POSTERIOR, 1.2);
        for r in points.iter().filter(|r| r.median > 0.0) {
            let pull = (r.counts - r.median) / r.median.sqrt();
            let at = x_centre(r);
            lower.curve(canvas, &[(at, pull - 1.0), (at, pull + 1.0)], DATA.opacity(0.45), bar);
            if pull.abs() <= most {
                canvas.dot(lower.place(at, pull), dot, DATA);
            }
        }
        lower.axes(canvas, Labels { bottom: true, left: true, size: 11.0, scale: true }, 54.0);
        // Below a spectrum on a logarithmic scale there is room at the lower left; beside lines above a flat continuum, at the top.
        let at = if logarithmic {
            (left + 16.0, upper.y1 - 62.0)
        } else {
            let peak = points.iter().max_by(|a, b| rate(a.counts, a).total_cmp(&rate(b.counts, b)));
            let on_the_left = peak.is_some_and(|r| upper.place(x_centre(r), 0.0).0 > 0.5 * (left + right));
            (if on_the_left { left + 16.0 } else { right - 250.0 }, upper.y0 + 24.0)
        };
        legend(canvas, at, &points, &table.rows);
    }))
}

fn x_centre(r: &SpectrumRow) -> f64 {
    if r.e_min > 0.0 { (r.e_min * r.e_max).sqrt() } else { 0.5 * (r.e_min + r.e_max) }
}

fn legend(canvas: &mut Canvas, (x, y): (f64, f64), points: &[SpectrumRow], rows: &[SpectrumRow]) {
    let how = Lettering::new(11.0, TEXT, Align::Start);
    canvas.line(&[(x + 4.0, y), (x + 22.0, y)], DATA.opacity(0.75), 1.1);
    canvas.line(&[(x + 13.0, y - 7.0), (x + 13.0, y + 7.0)], DATA.opacity(0.75), 1.1);
    canvas.dot((x + 13.0, y), 2.0, DATA);
    let binned = if points.len() < rows.len() {
        format!("observed ({} bins, drawn as {})", rows.len(), points.len())
    } else {
        format!("observed ({} bins)", rows.len())
    };
    canvas.text((x + 34.0, y), &binned, how);
    canvas.line(&[(x, y + 20.0), (x + 26.0, y + 20.0)], POSTERIOR, 1.5);
    canvas.text((x + 34.0, y + 20.0), "expected counts, posterior median", how);
    canvas.rectangle((x, y + 34.0), (x + 26.0, y + 46.0), POSTERIOR.opacity(0.22));
    canvas.rectangle((x, y + 37.0), (x + 26.0, y + 43.0), POSTERIOR.opacity(0.40));
    canvas.text((x + 34.0, y + 40.0), "their 68 % and 95 % intervals", how);
}

/// One small panel per stage: where the simulated spectra of the prior and of each round's proposal lie around the observed one.
/// At most six stages are drawn: the first, the last, and those evenly between.
pub fn coverage(table: &SpectrumTable, stages: &[Coverage]) -> Option<String> {
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
