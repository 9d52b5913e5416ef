//! Pictures as SVG documents.
//!
//! The back-end only knows whole pixels. Everything is drawn ten times too large inside a view box that is ten times too large,
//! so that curves stay smooth.

use super::canvas::{Align, Drawing, Ink, Lettering, Shape};
use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::prelude::{IntoFont, RGBAColor, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, TextStyle};

/// Sub-pixels per pixel.
const FINE: f64 = 10.0;
/// The back-end divides font sizes by this number.
const FONT_FACTOR: f64 = 1.24;
const FONT: &str = "Helvetica Neue, Helvetica, Arial, sans-serif";

/// The SVG document of a drawing.
pub(super) fn document(drawing: &Drawing) -> String {
    let mut text = String::new();
    let (width, height) = drawing.size;
    let size = ((width * FINE) as u32, (height * FINE) as u32);
    let mut backend = SVGBackend::with_string(&mut text, size);
    for shape in &drawing.shapes {
        put(&mut backend, shape);
    }
    // Into a string, nothing can fail.
    let _ = backend.present();
    drop(backend);
    let old = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
    let label: String = drawing.label.chars().filter(|c| !"<>&\"".contains(*c)).collect();
    // Dark text needs a light page, wherever the picture is shown.
    let new = format!(
        "<svg role=\"img\" aria-label=\"{label}\" style=\"background:#fff\" width=\"{width:.0}\" height=\"{height:.0}\""
    );
    text.replacen(&old, &new, 1)
}

fn fine(p: (f64, f64)) -> (i32, i32) {
    ((p.0 * FINE).round() as i32, (p.1 * FINE).round() as i32)
}

fn style(ink: Ink, width: f64, filled: bool) -> ShapeStyle {
    let color = RGBAColor(ink.0, ink.1, ink.2, ink.3);
    ShapeStyle { color, filled, stroke_width: (width * FINE).round().max(1.0) as u32 }
}

fn put(backend: &mut SVGBackend<'_>, shape: &Shape) {
    let drawn = match shape {
        Shape::Line { points, ink, width, dashes } => {
            let pieces = dashes.map_or_else(|| vec![points.clone()], |dashes| dashed(points, dashes));
            let style = style(*ink, *width, false);
            pieces.into_iter().try_for_each(|piece| backend.draw_path(piece.into_iter().map(fine), &style))
        }
        Shape::Polygon { points, ink } => {
            backend.fill_polygon(points.iter().map(|&p| fine(p)), &style(*ink, 0.0, true))
        }
        Shape::Rectangle { a, b, ink } => backend.draw_rect(fine(*a), fine(*b), &style(*ink, 0.0, true), true),
        Shape::Dot { at, radius, ink } => {
            backend.draw_circle(fine(*at), (radius * FINE) as u32, &style(*ink, 0.0, true), true)
        }
        Shape::Text { at, words, how } => {
            write(backend, *at, words, *how);
            Ok(())
        }
    };
    // Into a string, nothing can fail.
    let _ = drawn;
}

/// The dashes of a line as lines: the back-end has none of its own.
fn dashed(points: &[(f64, f64)], (on, off): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut phase = 0.0;
    let mut all: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut dash: Vec<(f64, f64)> = Vec::new();
    for (&a, &b) in points.iter().zip(points.iter().skip(1)) {
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        let at = |s: f64| (a.0 + (b.0 - a.0) * s / length, a.1 + (b.1 - a.1) * s / length);
        let mut s = 0.0;
        while s < length {
            let drawing = phase < on;
            let step = (if drawing { on - phase } else { on + off - phase }).min(length - s).max(1e-6);
            if drawing {
                if dash.is_empty() {
                    dash.push(at(s));
                }
                dash.push(at(s + step));
            }
            s += step;
            phase += step;
            if phase >= on && !dash.is_empty() {
                all.push(std::mem::take(&mut dash));
            }
            if phase >= on + off - 1e-9 {
                phase = 0.0;
            }
        }
    }
    all.push(dash);
    all.retain(|dash| dash.len() > 1);
    all
}

fn write(backend: &mut SVGBackend<'_>, at: (f64, f64), words: &str, how: Lettering) {
    let horizontal = match how.align {
        Align::Start => HPos::Left,
        Align::Middle => HPos::Center,
        Align::End => HPos::Right,
    };
    let mut font = (FONT, how.size * FINE * FONT_FACTOR).into_font();
    if how.bold {
        font = font.style(plotters::style::FontStyle::Bold);
    }
    if how.rotated {
        font = font.transform(FontTransform::Rotate270);
    }
    let color = RGBAColor(how.ink.0, how.ink.1, how.ink.2, how.ink.3);
    let style = TextStyle::from(font).color(&color).pos(Pos::new(horizontal, VPos::Center));
    let _ = backend.draw_text(words, &style, fine(at));
}
