//! `rontgen spectrum --plot`: an unfolded model with its additive components.

use super::axis::{Axis, Labels, Panel};
use super::canvas::{Align, Ink, Lettering, Picture, TEXT, draw, fitting, part_style};
use super::legend::{Legend, Sample};
use super::spectrum::{RIGHT, WIDTH, step_line, trace};

/// More bins than can be told apart are added up.
const MOST_BINS: usize = 1600;
/// The picture shows at most this many decades below the maximum of the whole model.
const DECADES: f64 = 5.0;
const LEFT: f64 = 88.0;
const WHOLE: Ink = Ink(31, 41, 55, 1.0);

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
pub fn model(title: &str, edges: &[f64], whole: &[f64], components: &[(String, Vec<f64>)]) -> Picture {
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
    let parts = if parts.len() > 1 { parts } else { Vec::new() };
    let panel = |y0: f64| Panel { x0: LEFT, y0, x1: RIGHT, y1: y0 + 386.0, x: x.clone(), y: y.clone() };
    let mut legend = Legend::default();
    legend.add(Sample::Line(WHOLE, 1.6), "whole model");
    for (k, (name, _)) in parts.iter().enumerate() {
        let (ink, dashes) = part_style(k);
        legend.add(Sample::Pattern(ink, 1.3, dashes), name.as_str());
    }
    let at = panel(34.0);
    let lines = parts.iter().map(|(_, bins)| bins).chain([&total]);
    let obstacles: Vec<(f64, f64)> = lines
        .flat_map(|bins| {
            let shown: Vec<_> = bins.iter().filter(|b| b.2 >= at.y.lo).copied().collect();
            trace(&step_line(&at, &shown))
        })
        .collect();
    let place = legend.place(&at, &obstacles);
    let above = if place.is_none() { legend.flow_height(RIGHT - LEFT) + 4.0 } else { 0.0 };
    let panel = panel(34.0 + above);
    draw(WIDTH, panel.y1 + 54.0, &format!("Spectrum of the model {title}"), |canvas| {
        // A long expression is set smaller, so that it stays on the picture.
        let size = fitting(title, 13.0, WIDTH - 100.0).max(7.0);
        canvas.text((LEFT, 16.0), title, Lettering::new(size, TEXT, Align::Start).bold());
        panel.grid(canvas, 11.0);
        match place {
            Some(at) => legend.draw(canvas, at),
            None => legend.draw_flow(canvas, (LEFT, 28.0), RIGHT - LEFT),
        }
        for (k, (_, bins)) in parts.iter().enumerate() {
            let (ink, dashes) = part_style(k);
            panel.dashed_steps(canvas, bins, ink, 1.3, dashes);
        }
        panel.steps(canvas, &total, WHOLE, 1.6);
        panel.axes(canvas, Labels { bottom: true, left: true, size: 11.0, scale: true }, 62.0);
    })
}
