//! `rontgen spectrum --plot`: an unfolded model with its additive components.

use super::axis::{Axis, Labels, Panel};
use super::canvas::{Align, Ink, Lettering, TEXT, draw, text_width};

/// More bins than can be told apart are added up.
const MOST_BINS: usize = 1600;
/// The picture shows at most this many decades below the maximum of the whole model.
const DECADES: f64 = 5.0;
/// The whole model, and its components in turn.
const WHOLE: Ink = Ink(31, 41, 55, 1.0);
const INKS: [Ink; 6] = [
    Ink(29, 91, 143, 1.0),
    Ink(196, 88, 40, 1.0),
    Ink(52, 128, 78, 1.0),
    Ink(122, 96, 168, 1.0),
    Ink(176, 132, 24, 1.0),
    Ink(168, 60, 96, 1.0),
];

/// Bins (keV, keV, photons/cm2/s/keV) from photons per bin, neighbours added up where there are too many.
fn density(edges: &[f64], photons: &[f64]) -> Vec<(f64, f64, f64)> {
    let every = photons.len().div_ceil(MOST_BINS).max(1);
    let sums = photons.chunks(every).map(|chunk| chunk.iter().sum::<f64>());
    let ends = |k: usize| edges.get(k).copied().unwrap_or(f64::NAN);
    sums.enumerate()
        .map(|(k, sum)| {
            let (lo, hi) = (ends(k * every), ends(((k + 1) * every).min(photons.len())));
            (lo, hi, sum / (hi - lo))
        })
        .collect()
}

/// Photons/cm2/s/keV of a model and of its components (name, photons per bin) over E + 1 edges (keV).
pub fn model(title: &str, edges: &[f64], whole: &[f64], components: &[(String, Vec<f64>)]) -> String {
    let total = density(edges, whole);
    let parts: Vec<_> = components.iter().map(|(name, photons)| (name, density(edges, photons))).collect();
    let positive = |bins: &[(f64, f64, f64)]| -> Vec<f64> {
        bins.iter().map(|b| b.2).filter(|v| v.is_finite() && *v > 0.0).collect()
    };
    let shown: Vec<f64> = positive(&total);
    let top = shown.iter().fold(0.0f64, |m, v| m.max(*v));
    let least = shown.iter().fold(top, |m, v| m.min(*v));
    let y = Axis::new((0.5 * least).max(top * 10f64.powf(-DECADES)), 2.0 * top, true, "Photons cm⁻² s⁻¹ keV⁻¹");
    let (lo, hi) = (edges.first().copied().unwrap_or(1.0), edges.last().copied().unwrap_or(2.0));
    let x = Axis::new(lo, hi, lo > 0.0 && hi / lo > 3.0, "Energy [keV]");
    let rows = if parts.len() > 1 { parts.len() + 1 } else { 1 };
    let (width, height) = (820.0, 470.0 + 18.0 * rows as f64);
    let panel = Panel { x0: 88.0, y0: 34.0, x1: width - 18.0, y1: 420.0, x, y };
    draw(width, height, &format!("Spectrum of the model {title}"), |canvas| {
        // A long expression is set smaller, so that it stays on the picture.
        let size = (13.0 * (width - 40.0) / text_width(title, 13.0)).clamp(7.0, 13.0);
        canvas.text((88.0, 16.0), title, Lettering::new(size, TEXT, Align::Start).bold());
        panel.grid(canvas, 11.0);
        if parts.len() > 1 {
            for (k, (_, bins)) in parts.iter().enumerate() {
                panel.steps(canvas, bins, INKS[k % INKS.len()], 1.2);
            }
        }
        panel.steps(canvas, &total, WHOLE, 1.6);
        panel.axes(canvas, Labels { bottom: true, left: true, size: 11.0, scale: true }, 62.0);
        let mut row = 0.0;
        let mut entry = |name: &str, ink: Ink, thick: f64| {
            let at = (panel.x0 + 4.0, panel.y1 + 52.0 + 18.0 * row);
            canvas.line(&[at, (at.0 + 26.0, at.1)], ink, thick);
            canvas.text((at.0 + 34.0, at.1), name, Lettering::new(11.0, TEXT, Align::Start));
            row += 1.0;
        };
        entry("whole model", WHOLE, 1.6);
        if parts.len() > 1 {
            for (k, (name, _)) in parts.iter().enumerate() {
                entry(name, INKS[k % INKS.len()], 1.2);
            }
        }
    })
}
