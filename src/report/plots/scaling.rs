//! Cost against size: one small panel per swept quantity, measured points and the fitted line.

use super::axis::{Axis, Labels, Panel};
use super::canvas::{Align, DATA, Lettering, MUTED, POSTERIOR, Picture, TEXT, draw};

/// One panel: points (size, seconds) and `seconds = fixed + slope size`.
#[derive(Debug, Clone)]
pub struct ScalingPanel {
    /// Title.
    pub title: String,
    /// Name of the swept quantity.
    pub variable: String,
    /// What a unit of cost is.
    pub unit: String,
    /// Sizes, each with its seconds.
    pub points: Vec<(f64, f64)>,
    /// Seconds of the line at size 0.
    pub fixed: f64,
    /// Seconds of the line per size.
    pub slope: f64,
}

const COLUMNS: usize = 4;

/// All panels as one SVG, on logarithmic axes. `None` without panels.
pub fn scaling(panels: &[ScalingPanel]) -> Option<Picture> {
    if panels.is_empty() {
        return None;
    }
    let (cell, tall) = (270.0, 230.0);
    let rows = panels.len().div_ceil(COLUMNS);
    let width = cell * panels.len().min(COLUMNS) as f64;
    Some(draw(width, tall * rows as f64, "Cost against size, measured and fitted", |canvas| {
        for (k, panel) in panels.iter().enumerate() {
            let (left, top) = ((k % COLUMNS) as f64 * cell, (k / COLUMNS) as f64 * tall);
            let range = |pick: fn(&(f64, f64)) -> f64| {
                let values = panel.points.iter().map(pick);
                (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max))
            };
            let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
            let area = Panel {
                x0: left + 66.0,
                y0: top + 30.0,
                x1: left + cell - 12.0,
                y1: top + tall - 46.0,
                x: Axis::new(x0 / 1.3, x1 * 1.3, true, &panel.variable),
                y: Axis::new(y0 / 1.6, y1 * 1.6, true, &format!("s per {}", panel.unit)),
            };
            area.grid(canvas, 9.0);
            let line: Vec<(f64, f64)> = (0..=40)
                .map(|i| x0 * (x1 / x0).powf(f64::from(i) / 40.0))
                .map(|x| (x, panel.fixed + panel.slope * x))
                .filter(|p| p.1 > area.y.lo)
                .collect();
            area.curve(canvas, &line, POSTERIOR, 1.4);
            for &(x, y) in &panel.points {
                canvas.dot(area.place(x, y), 3.2, DATA);
            }
            area.axes(canvas, Labels { bottom: true, left: true, size: 9.0, scale: true }, 46.0);
            canvas.text((area.x0, top + 16.0), &panel.title, Lettering::new(11.0, TEXT, Align::Start).bold());
        }
        let at = (width - 12.0, tall * rows as f64 - 6.0);
        canvas.text(at, "line: fixed + slope × size", Lettering::new(9.0, MUTED, Align::End));
    }))
}
