//! A drawing surface in CSS pixels on top of the SVG back-end, and the colours that all plots share.
//!
//! The back-end only knows whole pixels. Everything is drawn ten times too large inside a view box that is ten times too large,
//! so that curves stay smooth.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::prelude::{IntoFont, RGBAColor, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, TextStyle};

/// Sub-pixels per pixel.
const FINE: f64 = 10.0;
/// The back-end divides font sizes by this number.
const FONT_FACTOR: f64 = 1.24;
const FONT: &str = "Helvetica Neue, Helvetica, Arial, sans-serif";

/// Colour with opacity 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink(pub u8, pub u8, pub u8, pub f64);

impl Ink {
    /// Returns the colour with another opacity, 0 to 1.
    pub fn opacity(self, a: f64) -> Ink {
        Ink(self.0, self.1, self.2, a)
    }

    /// Between two colours: `t` = 0 is `self`, 1 is `other`.
    pub fn mix(self, other: Ink, t: f64) -> Ink {
        let m = |a: u8, b: u8| (f64::from(a) + t * (f64::from(b) - f64::from(a))).round() as u8;
        Ink(m(self.0, other.0), m(self.1, other.1), m(self.2, other.2), self.3 + t * (other.3 - self.3))
    }

    fn style(self, width: f64, filled: bool) -> ShapeStyle {
        let color = RGBAColor(self.0, self.1, self.2, self.3);
        ShapeStyle { color, filled, stroke_width: (width * FINE).round().max(1.0) as u32 }
    }
}

/// Text and frames.
pub const TEXT: Ink = Ink(31, 41, 55, 1.0);
/// Secondary text.
pub const MUTED: Ink = Ink(107, 118, 132, 1.0);
/// Grid lines.
pub const GRID: Ink = Ink(232, 235, 239, 1.0);
/// Frames of panels.
pub const FRAME: Ink = Ink(150, 160, 171, 1.0);
/// The posterior and the model.
pub const POSTERIOR: Ink = Ink(29, 91, 143, 1.0);
/// The first round; later rounds move from here to `ROUND_LAST`.
pub const ROUND_FIRST: Ink = Ink(240, 190, 120, 1.0);
/// The last round.
pub const ROUND_LAST: Ink = Ink(190, 96, 48, 1.0);
/// Observed data.
pub const DATA: Ink = Ink(24, 28, 34, 1.0);
/// True values of a mock observation.
pub const TRUTH: Ink = Ink(196, 40, 60, 1.0);
/// Priors.
pub const PRIOR: Ink = Ink(139, 148, 158, 1.0);

/// The colour of round `k` (from 0) of `n`.
pub fn round_ink(k: usize, n: usize) -> Ink {
    let t = if n > 1 { k as f64 / (n - 1) as f64 } else { 1.0 };
    ROUND_FIRST.mix(ROUND_LAST, t)
}

/// A line of text stands so to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// The text begins at the point.
    Start,
    /// The text has its middle at the point.
    Middle,
    /// The text ends at the point.
    End,
}

/// How a line of text is set. `rotated`: reading upwards.
#[derive(Debug, Clone, Copy)]
pub struct Lettering {
    /// Size of the letters.
    pub size: f64,
    /// Colour.
    pub ink: Ink,
    /// Where the text stands to its point.
    pub align: Align,
    /// Whether the letters are bold.
    pub bold: bool,
    /// Whether the text reads upwards.
    pub rotated: bool,
}

impl Lettering {
    /// Makes plain lettering that reads from left to right.
    pub fn new(size: f64, ink: Ink, align: Align) -> Lettering {
        Lettering { size, ink, align, bold: false, rotated: false }
    }

    /// Returns the lettering in bold.
    pub fn bold(self) -> Lettering {
        Lettering { bold: true, ..self }
    }

    /// Returns the lettering reading upwards.
    pub fn rotated(self) -> Lettering {
        Lettering { rotated: true, ..self }
    }
}

/// The colours of additive components, in turn.
pub const PARTS: [Ink; 6] = [
    Ink(196, 88, 40, 1.0),
    Ink(52, 128, 78, 1.0),
    Ink(122, 96, 168, 1.0),
    Ink(176, 132, 24, 1.0),
    Ink(168, 60, 96, 1.0),
    Ink(60, 132, 150, 1.0),
];

/// The size at which `text` is at most `room` pixels wide: `size` or less.
pub fn fitting(text: &str, size: f64, room: f64) -> f64 {
    let width = text_width(text, size);
    if width > 0.0 && room > 0.0 { size * (room / width).min(1.0) } else { size }
}

/// Width of a text in pixels, roughly: there are no font metrics without a font.
pub fn text_width(text: &str, size: f64) -> f64 {
    let unit = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ' ' | '\'' | '|' | '(' | ')' | 'I' | 't' | 'f' => 0.3,
        'm' | 'w' | 'M' | 'W' => 0.85,
        '⁰'..='⁹' | '⁻' | '¹' | '²' | '³' => 0.36,
        c if c.is_ascii_uppercase() => 0.68,
        _ => 0.56,
    };
    size * text.chars().map(unit).sum::<f64>()
}

/// A drawing surface takes CSS pixels and makes an SVG document; [`draw`] opens one.
pub struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Draws a picture of `width` x `height` pixels and returns the SVG document. `label` is its text alternative.
pub fn draw(width: f64, height: f64, label: &str, paint: impl FnOnce(&mut Canvas)) -> String {
    let mut text = String::new();
    let size = ((width * FINE) as u32, (height * FINE) as u32);
    let mut canvas = Canvas { backend: SVGBackend::with_string(&mut text, size) };
    paint(&mut canvas);
    // Into a string, nothing can fail.
    let _ = canvas.backend.present();
    drop(canvas);
    let old = format!("<svg width=\"{}\" height=\"{}\"", size.0, size.1);
    let label: String = label.chars().filter(|c| !"<>&\"".contains(*c)).collect();
    // Dark text needs a light page, wherever the picture is shown.
    let new = format!(
        "<svg role=\"img\" aria-label=\"{label}\" style=\"background:#fff\" width=\"{width:.0}\" height=\"{height:.0}\""
    );
    text.replacen(&old, &new, 1)
}

fn fine(p: (f64, f64)) -> (i32, i32) {
    ((p.0 * FINE).round() as i32, (p.1 * FINE).round() as i32)
}

impl Canvas<'_> {
    /// Draws a line through points.
    pub fn line(&mut self, points: &[(f64, f64)], ink: Ink, width: f64) {
        if points.len() > 1 {
            let _ = self.backend.draw_path(points.iter().map(|&p| fine(p)), &ink.style(width, false));
        }
    }

    /// A line of dashes `on` pixels long with gaps of `off`.
    pub fn dashes(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, on: f64, off: f64) {
        let mut phase = 0.0;
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
                    self.line(&std::mem::take(&mut dash), ink, width);
                }
                if phase >= on + off - 1e-9 {
                    phase = 0.0;
                }
            }
        }
        self.line(&dash, ink, width);
    }

    /// Fills a polygon.
    pub fn polygon(&mut self, points: &[(f64, f64)], ink: Ink) {
        if points.len() > 2 {
            let _ = self.backend.fill_polygon(points.iter().map(|&p| fine(p)), &ink.style(0.0, true));
        }
    }

    /// Fills a rectangle between two corners.
    pub fn rectangle(&mut self, a: (f64, f64), b: (f64, f64), ink: Ink) {
        let _ = self.backend.draw_rect(
            fine((a.0.min(b.0), a.1.min(b.1))),
            fine((a.0.max(b.0), a.1.max(b.1))),
            &ink.style(0.0, true),
            true,
        );
    }

    /// Fills a circle; nothing where the point is not finite.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink) {
        if !(at.0.is_finite() && at.1.is_finite()) {
            return;
        }
        let _ = self.backend.draw_circle(fine(at), (radius * FINE) as u32, &ink.style(0.0, true), true);
    }

    /// A filled triangle with its tip at `at`, pointing up or down: a value that lies beyond the edge of its panel.
    pub fn pointer(&mut self, at: (f64, f64), up: bool, ink: Ink) {
        let base = at.1 + if up { 7.0 } else { -7.0 };
        self.polygon(&[at, (at.0 - 4.0, base), (at.0 + 4.0, base), at], ink);
    }

    /// Text whose middle line passes through `at`. What has no letters or no size is not written.
    pub fn text(&mut self, at: (f64, f64), text: &str, how: Lettering) {
        if text.trim().is_empty() || !(how.size.is_finite() && how.size > 0.0 && at.0.is_finite() && at.1.is_finite()) {
            return;
        }
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
        let _ = self.backend.draw_text(text, &style, fine(at));
    }
}
