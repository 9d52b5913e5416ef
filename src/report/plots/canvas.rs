//! A drawing surface in CSS pixels, and the colours that all plots share. What is drawn is kept as a list of shapes, which [`svg`](super::svg)
//! and [`pdf`](super::pdf) write each in its own way: one picture, two documents.

use super::{pdf, svg};
use std::ops::Deref;

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
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// The marks of data sets: with their colours they tell apart as many as the product of both numbers, and in grey the first six.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A circle.
    Circle,
    /// A square.
    Square,
    /// A triangle on its base.
    Up,
    /// A square on its corner.
    Diamond,
    /// A triangle on its tip.
    Down,
    /// An upright cross.
    Cross,
}

const MARKS: [Mark; 6] = [Mark::Circle, Mark::Square, Mark::Up, Mark::Diamond, Mark::Down, Mark::Cross];

/// The colours of data sets: those of Okabe & Ito (2008) that show on white, which also people who do not see all colours tell apart.
const SETS: [Ink; 7] = [
    Ink(0, 0, 0, 1.0),
    Ink(213, 94, 0, 1.0),
    Ink(0, 114, 178, 1.0),
    Ink(0, 158, 115, 1.0),
    Ink(204, 121, 167, 1.0),
    Ink(230, 159, 0, 1.0),
    Ink(86, 180, 233, 1.0),
];

/// Colour and mark of data set `k`, from 0: no two of the first 42 share both.
pub fn set_style(k: usize) -> (Ink, Mark) {
    let mark = MARKS.get(k % MARKS.len()).copied().unwrap_or(Mark::Circle);
    (SETS.get(k % SETS.len()).copied().unwrap_or(DATA), mark)
}

/// Lengths of the dashes and gaps of additive components, in turn: in grey they are told apart by these.
const PATTERNS: [(f64, f64); 4] = [(7.0, 3.0), (2.2, 2.2), (12.0, 3.0), (4.0, 4.0)];

/// Colour, dashes and gaps of additive component `k`, from 0.
pub fn part_style(k: usize) -> (Ink, (f64, f64)) {
    let ink = PARTS.get(k % PARTS.len()).copied().unwrap_or(DATA);
    (ink, PATTERNS.get(k % PATTERNS.len()).copied().unwrap_or((4.0, 3.0)))
}

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

/// What a picture is made of, in CSS pixels from its upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// A line through points, and the lengths of its dashes and of the gaps between them.
    Line { points: Vec<(f64, f64)>, ink: Ink, width: f64, dashes: Option<(f64, f64)> },
    /// A filled polygon.
    Polygon { points: Vec<(f64, f64)>, ink: Ink },
    /// A filled rectangle between its upper left and its lower right corner.
    Rectangle { a: (f64, f64), b: (f64, f64), ink: Ink },
    /// A filled circle.
    Dot { at: (f64, f64), radius: f64, ink: Ink },
    /// A line of text whose middle line passes through a point.
    Text { at: (f64, f64), words: String, how: Lettering },
}

/// A picture's shapes in the order in which they cover each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawing {
    /// Size [pixels].
    pub(super) size: (f64, f64),
    /// Text alternative.
    pub(super) label: String,
    pub(super) shapes: Vec<Shape>,
}

/// A finished picture. It reads as the text of its SVG document.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    svg: String,
    drawing: Drawing,
}

impl Picture {
    /// The SVG document: needs no font, script or network.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The PDF document: one page of the picture's size (a pixel is 0.75 points) with text that can be searched, in Helvetica and Symbol, which
    /// every reader has. The same picture gives the same bytes.
    pub fn pdf(&self) -> Vec<u8> {
        pdf::document(&self.drawing)
    }
}

impl Deref for Picture {
    type Target = str;

    fn deref(&self) -> &str {
        &self.svg
    }
}

/// A drawing surface takes CSS pixels and keeps shapes; [`draw`] opens one.
pub struct Canvas {
    shapes: Vec<Shape>,
}

/// Draws a picture of `width` x `height` pixels. `label` is its text alternative.
pub fn draw(width: f64, height: f64, label: &str, paint: impl FnOnce(&mut Canvas)) -> Picture {
    let mut canvas = Canvas { shapes: Vec::new() };
    paint(&mut canvas);
    let drawing = Drawing { size: (width, height), label: label.to_string(), shapes: canvas.shapes };
    Picture { svg: svg::document(&drawing), drawing }
}

impl Canvas {
    /// Draws a line through points.
    pub fn line(&mut self, points: &[(f64, f64)], ink: Ink, width: f64) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points: points.to_vec(), ink, width, dashes: None });
        }
    }

    /// A line of dashes `on` pixels long with gaps of `off`.
    pub fn dashes(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, on: f64, off: f64) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line { points: points.to_vec(), ink, width, dashes: Some((on, off)) });
        }
    }

    /// Fills a polygon.
    pub fn polygon(&mut self, points: &[(f64, f64)], ink: Ink) {
        if points.len() > 2 {
            self.shapes.push(Shape::Polygon { points: points.to_vec(), ink });
        }
    }

    /// Fills a rectangle between two corners.
    pub fn rectangle(&mut self, a: (f64, f64), b: (f64, f64), ink: Ink) {
        let (a, b) = ((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)));
        self.shapes.push(Shape::Rectangle { a, b, ink });
    }

    /// Fills a circle; nothing where the point is not finite.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, ink: Ink) {
        if at.0.is_finite() && at.1.is_finite() {
            self.shapes.push(Shape::Dot { at, radius, ink });
        }
    }

    /// A mark of a data set at a point, about `radius` pixels around it; nothing where the point is not finite.
    pub fn mark(&mut self, at: (f64, f64), radius: f64, mark: Mark, ink: Ink) {
        if !(at.0.is_finite() && at.1.is_finite()) {
            return;
        }
        let around = |corners: &[(f64, f64)]| -> Vec<(f64, f64)> {
            corners.iter().map(|(x, y)| (at.0 + radius * x, at.1 + radius * y)).collect()
        };
        // Of about the same area.
        let corners: &[(f64, f64)] = match mark {
            Mark::Circle => return self.dot(at, radius, ink),
            Mark::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9), (-0.9, -0.9)],
            Mark::Up => &[(0.0, -1.4), (1.25, 0.8), (-1.25, 0.8)],
            Mark::Diamond => &[(0.0, -1.35), (1.2, 0.0), (0.0, 1.35), (-1.2, 0.0), (0.0, -1.35)],
            Mark::Down => &[(0.0, 1.4), (1.25, -0.8), (-1.25, -0.8)],
            Mark::Cross => &[
                (-1.4, -0.4),
                (-0.4, -0.4),
                (-0.4, -1.4),
                (0.4, -1.4),
                (0.4, -0.4),
                (1.4, -0.4),
                (1.4, 0.4),
                (0.4, 0.4),
                (0.4, 1.4),
                (-0.4, 1.4),
                (-0.4, 0.4),
                (-1.4, 0.4),
            ],
        };
        self.polygon(&around(corners), ink);
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
        self.shapes.push(Shape::Text { at, words: text.to_string(), how });
    }
}
