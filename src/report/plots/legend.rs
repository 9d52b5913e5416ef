//! The key of a plot, put where it hides nothing.

use super::axis::Panel;
use super::canvas::{Align, Canvas, DATA, Ink, Lettering, Mark, POSTERIOR, TEXT, text_width};

/// What stands beside the words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// A data point with its errors.
    Point(Ink),
    /// A line of this width.
    Line(Ink, f64),
    /// A dashed line of this width.
    Dashes(Ink, f64),
    /// A line of this width whose dashes and gaps have these lengths.
    Pattern(Ink, f64, (f64, f64)),
    /// A data point of one of several data sets, with its errors.
    Mark(Ink, Mark),
    /// A point of a background spectrum: errors alone.
    Bars(Ink),
    /// The 68 % and 95 % bands of the posterior.
    Bands,
    /// The mark of a value beyond the panel.
    Pointer(Ink),
}

/// A legend tells what is what in a panel.
#[derive(Debug, Clone, Default)]
pub struct Legend {
    entries: Vec<(Sample, String)>,
}

const SIZE: f64 = 11.0;
const ROW: f64 = 18.0;
/// Room of a sample and the gap to its words.
const WORDS: f64 = 34.0;
/// Distance of the legend from the panel's frame, and of data from the legend.
const INSET: f64 = 12.0;
const MARGIN: f64 = 6.0;

impl Legend {
    /// Adds an entry.
    pub fn add(&mut self, sample: Sample, words: impl Into<String>) {
        self.entries.push((sample, words.into()));
    }

    /// Width and height of one entry below the other [pixels].
    pub fn extent(&self) -> (f64, f64) {
        let widest = self.entries.iter().map(|(_, words)| text_width(words, SIZE)).fold(0.0, f64::max);
        (WORDS + widest, ROW * self.entries.len() as f64)
    }

    /// The upper left corner inside `panel` at which the legend covers none of `obstacles` (pixels): in a corner if one is free, else
    /// along the sides. `None`: there is no such place.
    pub fn place(&self, panel: &Panel, obstacles: &[(f64, f64)]) -> Option<(f64, f64)> {
        let (width, height) = self.extent();
        let free = (panel.x1 - panel.x0 - 2.0 * INSET - width, panel.y1 - panel.y0 - 2.0 * INSET - height);
        if free.0 < 0.0 || free.1 < 0.0 {
            return None;
        }
        const STEPS: usize = 8;
        let mut places: Vec<(usize, (f64, f64))> = Vec::new();
        for row in 0..=STEPS {
            for column in 0..=STEPS {
                let from_edge = |k: usize| k.min(STEPS - k);
                let at = |k: usize, free: f64| free * k as f64 / STEPS as f64;
                let place = (panel.x0 + INSET + at(column, free.0), panel.y0 + INSET + at(row, free.1));
                places.push((from_edge(row) + from_edge(column), place));
            }
        }
        // The nearer to a corner the better; the sort keeps top before bottom and left before right among equals.
        places.sort_by_key(|(distance, _)| *distance);
        let covers = |(x, y): (f64, f64), p: &(f64, f64)| {
            p.0 > x - MARGIN && p.0 < x + width + MARGIN && p.1 > y - MARGIN && p.1 < y + height + MARGIN
        };
        places.into_iter().map(|(_, at)| at).find(|&at| !obstacles.iter().any(|p| covers(at, p)))
    }

    /// One entry below the other from the upper left corner `at`.
    pub fn draw(&self, canvas: &mut Canvas, at: (f64, f64)) {
        let (width, height) = self.extent();
        // Grid lines end here.
        canvas.rectangle((at.0 - 4.0, at.1 - 2.0), (at.0 + width + 2.0, at.1 + height + 2.0), Ink(255, 255, 255, 0.85));
        for (k, (sample, words)) in self.entries.iter().enumerate() {
            entry(canvas, (at.0, at.1 + ROW * (k as f64 + 0.5)), *sample, words);
        }
    }

    /// Rows of entries `width` pixels wide at most, as (entry, x, row).
    fn flow(&self, width: f64) -> Vec<(usize, f64, usize)> {
        let (mut x, mut row, mut places) = (0.0, 0, Vec::new());
        for (k, (_, words)) in self.entries.iter().enumerate() {
            let own = WORDS + text_width(words, SIZE) + 22.0;
            if x > 0.0 && x + own > width {
                (x, row) = (0.0, row + 1);
            }
            places.push((k, x, row));
            x += own;
        }
        places
    }

    /// Height of the legend when its entries stand side by side in `width` pixels.
    pub fn flow_height(&self, width: f64) -> f64 {
        ROW * self.flow(width).last().map_or(0.0, |last| last.2 as f64 + 1.0)
    }

    /// Entries side by side from the upper left corner `at`, outside of the panel.
    pub fn draw_flow(&self, canvas: &mut Canvas, at: (f64, f64), width: f64) {
        for (k, x, row) in self.flow(width) {
            if let Some((sample, words)) = self.entries.get(k) {
                entry(canvas, (at.0 + x, at.1 + ROW * (row as f64 + 0.5)), *sample, words);
            }
        }
    }
}

fn entry(canvas: &mut Canvas, (x, y): (f64, f64), sample: Sample, words: &str) {
    let line = [(x, y), (x + 26.0, y)];
    match sample {
        Sample::Point(ink) => {
            canvas.line(&[(x + 4.0, y), (x + 22.0, y)], ink.opacity(0.75 * ink.3), 1.1);
            canvas.line(&[(x + 13.0, y - 7.0), (x + 13.0, y + 7.0)], ink.opacity(0.75 * ink.3), 1.1);
            canvas.dot((x + 13.0, y), 2.0, ink);
        }
        Sample::Pattern(ink, width, (on, off)) => canvas.dashes(&line, ink, width, on, off),
        Sample::Mark(ink, mark) => {
            canvas.line(&line, ink, 1.4);
            canvas.line(&[(x + 13.0, y - 7.0), (x + 13.0, y + 7.0)], ink.opacity(0.75 * ink.3), 1.1);
            canvas.mark((x + 13.0, y), 2.6, mark, ink);
        }
        Sample::Bars(ink) => {
            canvas.line(&[(x + 6.0, y), (x + 20.0, y)], ink, 1.0);
            canvas.line(&[(x + 13.0, y - 6.0), (x + 13.0, y + 6.0)], ink, 1.0);
        }
        Sample::Line(ink, width) => canvas.line(&line, ink, width),
        Sample::Dashes(ink, width) => canvas.dashes(&line, ink, width, 4.0, 3.0),
        Sample::Bands => {
            canvas.rectangle((x, y - 6.0), (x + 26.0, y + 6.0), POSTERIOR.opacity(0.22));
            canvas.rectangle((x, y - 3.0), (x + 26.0, y + 3.0), POSTERIOR.opacity(0.40));
        }
        Sample::Pointer(ink) => canvas.pointer((x + 13.0, y - 4.0), true, ink),
    }
    canvas.text((x + WORDS, y), words, Lettering::new(SIZE, TEXT, Align::Start));
}

/// The data point of most plots.
pub const POINT: Sample = Sample::Point(DATA);
