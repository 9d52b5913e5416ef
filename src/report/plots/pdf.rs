//! Pictures as PDF documents, for papers: vector graphics and text on one page as large as the picture.

use super::canvas::{Align, Drawing, Ink, Lettering, Shape};
use super::lettering::{Face, runs};
use flate2::{Compression, write::ZlibEncoder};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use std::collections::BTreeMap;
use std::io::Write;

/// Points of a CSS pixel.
const POINTS: f32 = 0.75;
/// The middle of a line of text lies this share of its size above the line that the letters stand on.
const MIDDLE: f64 = 0.33;
/// Handles of a Bézier curve that is a quarter of a circle.
const QUARTER: f64 = 0.552_284_75;
/// The fonts by their names in the page's resources.
const FONTS: [(Face, &str, &str); 3] =
    [(Face::Helvetica, "F1", "Helvetica"), (Face::Bold, "F2", "Helvetica-Bold"), (Face::Symbol, "F3", "Symbol")];

/// The PDF document of a drawing.
pub(super) fn document(drawing: &Drawing) -> Vec<u8> {
    let mut page = Page { content: Content::new(), inks: BTreeMap::new(), state: State::default() };
    let (width, height) = (drawing.size.0 as f32 * POINTS, drawing.size.1 as f32 * POINTS);
    // Pixels from the upper left corner.
    page.content.transform([POINTS, 0.0, 0.0, -POINTS, 0.0, height]);
    page.content.set_miter_limit(4.0);
    for shape in &drawing.shapes {
        page.put(shape);
    }
    let Page { content, inks, .. } = page;

    let mut next = 0;
    let mut id = || {
        next += 1;
        Ref::new(next)
    };
    let (catalog, pages, only, stream, info) = (id(), id(), id(), id(), id());
    let fonts = FONTS.map(|(_, name, base)| (id(), name, base));
    let opacities: Vec<(Ref, u16)> = inks.into_keys().map(|permille| (id(), permille)).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([only]).count(1);
    let mut page = pdf.page(only);
    page.parent(pages).media_box(Rect::new(0.0, 0.0, width, height)).contents(stream);
    let mut resources = page.resources();
    let mut dictionary = resources.fonts();
    for (font, name, _) in &fonts {
        dictionary.pair(Name(name.as_bytes()), *font);
    }
    dictionary.finish();
    let mut dictionary = resources.ext_g_states();
    for (state, permille) in &opacities {
        dictionary.pair(Name(opacity_name(*permille).as_bytes()), *state);
    }
    dictionary.finish();
    resources.finish();
    page.finish();
    for (font, _, base) in fonts {
        let mut dictionary = pdf.type1_font(font);
        dictionary.base_font(Name(base.as_bytes()));
        if base != "Symbol" {
            dictionary.encoding_predefined(Name(b"WinAnsiEncoding"));
        }
    }
    for (state, permille) in opacities {
        let share = f32::from(permille) / 1000.0;
        pdf.ext_graphics(state).stroking_alpha(share).non_stroking_alpha(share);
    }
    // No date: the same picture has the same bytes.
    pdf.document_info(info).title(TextStr(&drawing.label)).producer(TextStr("rontgen"));
    let packed = packed(&content.finish());
    pdf.stream(stream, &packed).filter(Filter::FlateDecode);
    pdf.finish()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Into memory, nothing can fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn opacity_name(permille: u16) -> String {
    format!("A{permille}")
}

/// What holds for the next shape.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    stroke: Option<(u8, u8, u8)>,
    fill: Option<(u8, u8, u8)>,
    permille: Option<u16>,
    width: Option<f32>,
    dashes: Option<Option<(f32, f32)>>,
}

struct Page {
    content: Content,
    /// The opacities that occur, in thousandths.
    inks: BTreeMap<u16, ()>,
    state: State,
}

/// A hundredth of a pixel is all that can be seen, and shorter to write.
fn short(x: f64) -> f32 {
    ((x * 100.0).round() / 100.0) as f32
}

impl Page {
    fn put(&mut self, shape: &Shape) {
        match shape {
            Shape::Line { points, ink, width, dashes } => {
                self.stroke(*ink, *width, *dashes);
                if self.path(points) {
                    self.content.stroke();
                }
            }
            Shape::Polygon { points, ink } => {
                self.fill(*ink);
                if self.path(points) {
                    self.content.close_path().fill_nonzero();
                }
            }
            Shape::Rectangle { a, b, ink } => {
                self.fill(*ink);
                if [a.0, a.1, b.0, b.1].iter().all(|x| x.is_finite()) {
                    self.content.rect(short(a.0), short(a.1), short(b.0 - a.0), short(b.1 - a.1)).fill_nonzero();
                }
            }
            Shape::Dot { at, radius, ink } => {
                self.fill(*ink);
                self.circle(*at, *radius);
            }
            Shape::Text { at, words, how } => self.text(*at, words, *how),
        }
    }

    /// Lays a path through the points that are finite; `false` where fewer than two are.
    fn path(&mut self, points: &[(f64, f64)]) -> bool {
        let mut finite = points.iter().filter(|p| p.0.is_finite() && p.1.is_finite()).peekable();
        let Some(first) = finite.next() else { return false };
        if finite.peek().is_none() {
            return false;
        }
        self.content.move_to(short(first.0), short(first.1));
        for p in finite {
            self.content.line_to(short(p.0), short(p.1));
        }
        true
    }

    fn circle(&mut self, at: (f64, f64), r: f64) {
        let h = r * QUARTER;
        let point = |dx: f64, dy: f64| (short(at.0 + dx), short(at.1 + dy));
        let (x, y) = point(r, 0.0);
        self.content.move_to(x, y);
        for [a, b, c] in [
            [(r, h), (h, r), (0.0, r)],
            [(-h, r), (-r, h), (-r, 0.0)],
            [(-r, -h), (-h, -r), (0.0, -r)],
            [(h, -r), (r, -h), (r, 0.0)],
        ] {
            let [a, b, c] = [a, b, c].map(|(dx, dy)| point(dx, dy));
            self.content.cubic_to(a.0, a.1, b.0, b.1, c.0, c.1);
        }
        self.content.close_path().fill_nonzero();
    }

    fn text(&mut self, at: (f64, f64), words: &str, how: Lettering) {
        let runs = runs(words, how.bold);
        let width: f64 = runs.iter().map(|run| run.width).sum::<f64>() * how.size;
        let before = match how.align {
            Align::Start => 0.0,
            Align::Middle => 0.5 * width,
            Align::End => width,
        };
        // Directions of the line and of what is above it, on a page whose y goes down.
        let (along, up) = if how.rotated { ((0.0, -1.0), (-1.0, 0.0)) } else { ((1.0, 0.0), (0.0, -1.0)) };
        let place = |along_by: f64, up_by: f64| {
            (at.0 + along.0 * along_by + up.0 * up_by, at.1 + along.1 * along_by + up.1 * up_by)
        };
        self.fill(how.ink);
        self.content.begin_text();
        let (x, y) = place(-before, -MIDDLE * how.size);
        self.content.set_text_matrix([along.0 as f32, along.1 as f32, up.0 as f32, up.1 as f32, short(x), short(y)]);
        for run in runs {
            let font = FONTS.iter().find(|(face, ..)| *face == run.face).map_or("F1", |(_, name, _)| name);
            self.content.set_font(Name(font.as_bytes()), short(run.scale * how.size));
            self.content.set_rise(short(run.rise * how.size));
            self.content.show(Str(&run.codes));
        }
        self.content.end_text();
    }

    fn stroke(&mut self, ink: Ink, width: f64, dashes: Option<(f64, f64)>) {
        self.opacity(ink);
        let (color, width) = ((ink.0, ink.1, ink.2), short(width));
        if self.state.stroke.replace(color) != Some(color) {
            let [r, g, b] = rgb(ink);
            self.content.set_stroke_rgb(r, g, b);
        }
        if self.state.width.replace(width) != Some(width) {
            self.content.set_line_width(width);
        }
        let dashes = dashes.map(|(on, off)| (short(on), short(off)));
        if self.state.dashes.replace(dashes) != Some(dashes) {
            let pattern: Vec<f32> = dashes.iter().flat_map(|(on, off)| [*on, *off]).collect();
            self.content.set_dash_pattern(pattern, 0.0);
        }
    }

    fn fill(&mut self, ink: Ink) {
        self.opacity(ink);
        let color = (ink.0, ink.1, ink.2);
        if self.state.fill.replace(color) != Some(color) {
            let [r, g, b] = rgb(ink);
            self.content.set_fill_rgb(r, g, b);
        }
    }

    fn opacity(&mut self, ink: Ink) {
        let permille = (ink.3.clamp(0.0, 1.0) * 1000.0).round() as u16;
        self.inks.insert(permille, ());
        if self.state.permille.replace(permille) != Some(permille) {
            self.content.set_parameters(Name(opacity_name(permille).as_bytes()));
        }
    }
}

fn rgb(ink: Ink) -> [f32; 3] {
    [ink.0, ink.1, ink.2].map(|part| (f32::from(part) / 255.0 * 1000.0).round() / 1000.0)
}
