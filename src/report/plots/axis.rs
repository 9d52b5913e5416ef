//! Axes, ticks that do not collide, and a framed panel that maps data to pixels and cuts lines at its edges.

use super::canvas::{Align, Canvas, FRAME, GRID, Ink, Lettering, MUTED, TEXT, text_width};

/// A linear or logarithmic axis from `lo` to `hi`.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Value at the lower end.
    pub lo: f64,
    /// Value at the upper end.
    pub hi: f64,
    /// Whether it is logarithmic.
    pub log: bool,
    /// Title.
    pub label: String,
    /// Tick labels keep to the axis' length: panels stand side by side and their labels must not meet.
    pub tight: bool,
}

/// A tick is a value of an axis with what stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Value of the tick.
    pub value: f64,
    /// Empty for a minor tick.
    pub label: String,
}

/// The ticks of an axis. A label is (value - `offset`) / 10^`exponent`; the axis' title tells both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ticks {
    /// Ticks, ascending.
    pub ticks: Vec<Tick>,
    /// Power of ten that labels are divided by.
    pub exponent: i32,
    /// Number that labels are less.
    pub offset: f64,
}

/// Digits that a tick label may have; what needs more is told from an offset that the title names.
const MOST_DIGITS: i32 = 5;
/// How far a label of a tight axis may stick out [pixels].
const SLACK: f64 = 2.0;

impl Axis {
    /// An axis that can always be drawn: ends that are equal, reversed or not finite are moved; a logarithm needs positive ends.
    pub fn new(lo: f64, hi: f64, log: bool, label: &str) -> Axis {
        let (mut lo, mut hi) = if lo.is_finite() && hi.is_finite() { (lo.min(hi), lo.max(hi)) } else { (0.0, 1.0) };
        if log && hi <= 0.0 {
            (lo, hi) = (0.1, 1.0);
        } else if log && lo <= 0.0 {
            lo = hi * 1e-6;
        }
        let largest = hi.abs().max(lo.abs());
        // Numbers so small that their steps would be none count as zero.
        if largest < 1e-304 && !log {
            (lo, hi) = (-0.5, 0.5);
        } else if hi - lo <= 1e-12 * largest {
            let pad = if hi == 0.0 { 0.5 } else { 0.05 * hi.abs() };
            (lo, hi) = (lo - pad, hi + pad);
        }
        Axis { lo, hi, log, label: label.to_string(), tight: false }
    }

    /// The same with labels that keep to its length.
    pub fn tight(self) -> Axis {
        Axis { tight: true, ..self }
    }

    /// 0 at `lo`, 1 at `hi`; values that a logarithmic axis cannot show lie far below it.
    pub fn fraction(&self, v: f64) -> f64 {
        if self.log {
            if v <= 0.0 { -1e3 } else { (v / self.lo).ln() / (self.hi / self.lo).ln() }
        } else {
            (v - self.lo) / (self.hi - self.lo)
        }
    }

    /// The value at `t` between 0 and 1.
    pub fn at(&self, t: f64) -> f64 {
        if self.log { self.lo * (self.hi / self.lo).powf(t) } else { self.lo + t * (self.hi - self.lo) }
    }

    /// Ticks for an axis `length` pixels long with labels of `size` pixels, as many as fit without touching. `vertical` axes only need
    /// room for a line of text per label.
    pub fn ticks(&self, length: f64, size: f64, vertical: bool) -> Ticks {
        let extent = |t: &Tick| {
            let half = 0.5 * if vertical { size } else { text_width(&t.label, size) };
            let middle = self.fraction(t.value) * length;
            (middle - half, middle + half)
        };
        // Labels that stick out of a tight axis become minor ticks; then the others must be apart.
        let trimmed = |mut set: Ticks| -> Option<(usize, Ticks)> {
            for tick in set.ticks.iter_mut().filter(|_| self.tight) {
                let (a, b) = extent(tick);
                if a < -SLACK || b > length + SLACK {
                    tick.label.clear();
                }
            }
            let mut labelled: Vec<(f64, f64)> = set.ticks.iter().filter(|t| !t.label.is_empty()).map(extent).collect();
            labelled.sort_by(|a, b| a.0.total_cmp(&b.0));
            let apart = labelled.windows(2).all(|pair| pair[1].0 - pair[0].1 > 0.55 * size);
            apart.then_some((labelled.len(), set))
        };
        let mut single = None;
        for candidate in self.candidates(length, size, vertical) {
            match trimmed(candidate) {
                Some((0, set)) if single.is_none() => single = Some(set),
                Some((1, set)) => {
                    let better = single.as_ref().is_none_or(|s: &Ticks| s.ticks.iter().all(|t| t.label.is_empty()));
                    single = if better { Some(set) } else { single };
                }
                Some((2.., set)) => return set,
                _ => {}
            }
        }
        single.unwrap_or_default()
    }

    /// Sets of ticks, the one with most labels first.
    fn candidates(&self, length: f64, size: f64, vertical: bool) -> Vec<Ticks> {
        let decades = (self.hi / self.lo).log10();
        let most = (length / (if vertical { 2.2 } else { 3.0 } * size)).clamp(2.0, 8.0) as usize;
        // Labels that must keep inside need finer steps, of which not all can be labelled.
        let counts = if self.tight { most + 4 } else { most };
        let linear = (1..=counts).rev().map(|count| self.linear_ticks(count));
        let thinned = [2, 3].into_iter().flat_map(|every| (0..every).map(move |first| (every, first)));
        let thinned = thinned.flat_map(|(every, first)| {
            (1..=counts).rev().map(move |count| {
                let mut set = self.linear_ticks(count);
                set.ticks.iter_mut().enumerate().filter(|(i, _)| i % every != first).for_each(|(_, t)| t.label.clear());
                set
            })
        });
        let linear = linear.chain(thinned.filter(|_| self.tight));
        if !(self.log && decades > 0.7) {
            return linear.collect();
        }
        let minor =
            if decades < 8.0 { self.mantissas(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 0) } else { Vec::new() };
        let with_minor = |major: Vec<Tick>| {
            let others = minor.iter().filter(|m| !major.iter().any(|t| close(t.value, m.value)));
            let others: Vec<Tick> = others.cloned().collect();
            Ticks { ticks: major.into_iter().chain(others).collect(), ..Ticks::default() }
        };
        let fine: &[&[f64]] = if decades <= 3.2 { &[&[1.0, 2.0, 5.0], &[1.0, 3.0]] } else { &[] };
        let fine = fine.iter().map(|factors| with_minor(self.mantissas(factors, 1)));
        let whole = (1..=64).map(|every| with_minor(self.mantissas(&[1.0], every)));
        // Less than two whole decades may hold one power of ten: then round numbers in between are labelled.
        fine.chain(whole).chain(linear.filter(|_| decades < 2.2)).collect()
    }

    /// Multiples of powers of ten inside the axis; those of every `every`-th power are labelled (0: none).
    fn mantissas(&self, factors: &[f64], every: i32) -> Vec<Tick> {
        let (first, last) = (self.lo.log10().floor() as i32, self.hi.log10().ceil() as i32);
        let plain = first >= -3 && last <= 4;
        let mut ticks = Vec::new();
        for e in first..=last {
            for &f in factors {
                let value = f * 10f64.powi(e);
                if value >= self.lo * (1.0 - 1e-9) && value <= self.hi * (1.0 + 1e-9) {
                    let labelled = every > 0 && e % every == 0;
                    let label = match (labelled, plain) {
                        (false, _) => String::new(),
                        (true, true) => format!("{value:.*}", (-e).max(0) as usize),
                        (true, false) if f == 1.0 => format!("10{}", superscript(e)),
                        (true, false) => format!("{f}×10{}", superscript(e)),
                    };
                    ticks.push(Tick { value, label });
                }
            }
        }
        ticks
    }

    /// At most about `count` round values inside the axis.
    fn linear_ticks(&self, count: usize) -> Ticks {
        let range = self.hi - self.lo;
        let raw = range / count as f64;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= raw * 0.999).unwrap_or(10.0 * power);
        let first = (self.lo / step).ceil() as i64;
        let last = (self.hi / step).floor() as i64;
        let order = |x: f64| if x > 0.0 { (x.log10() + 1e-9).floor() as i32 } else { 0 };
        // 0.01727 ± 0.0000002: the labels tell what is left of a round number below the axis.
        let digits = order(self.lo.abs().max(self.hi.abs())) - order(step) + 1;
        let round = 10f64.powi((range.log10() - 1e-9).ceil() as i32);
        let offset = if digits > MOST_DIGITS { (self.lo / round).floor() * round } else { 0.0 };
        let largest = (self.lo - offset).abs().max((self.hi - offset).abs());
        let decimals = |exponent: i32| (exponent as f64 - step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
        let many = largest < 1.0 && decimals(0) >= MOST_DIGITS as usize;
        let exponent = if !(1e-2..1e5).contains(&largest) || many { order(largest) } else { 0 };
        let decimals = decimals(exponent);
        let ticks = (first..=last.min(first.saturating_add(50))).map(|i| {
            let value = i as f64 * step;
            let text = format!("{:.*}", decimals, (value - offset) / 10f64.powi(exponent));
            let text = if text.trim_matches(['-', '0', '.']).is_empty() { text.replace('-', "") } else { text };
            Tick { value, label: text.replace('-', "−") }
        });
        let inside = |t: &Tick| (-1e-9..=1.0 + 1e-9).contains(&self.fraction(t.value));
        Ticks { ticks: ticks.filter(inside).collect(), exponent, offset }
    }

    /// The label with what the tick labels leave out: `Time − 0.25 [10⁻³]`.
    pub fn title(&self, ticks: &Ticks) -> String {
        let unit = if ticks.exponent == 0 { String::new() } else { format!(" [10{}]", superscript(ticks.exponent)) };
        format!("{}{}{unit}", self.label, ticks.minus_offset())
    }
}

impl Ticks {
    /// What has been taken off the labels, to be written behind a name: ` − 0.017`; empty for nothing.
    pub fn minus_offset(&self) -> String {
        if self.offset == 0.0 {
            return String::new();
        }
        // The shortest text that reads back to nearly the same: the offset is a round number.
        let size = self.offset.abs();
        let decimals =
            (0..17).find(|&d| (format!("{size:.d$}").parse::<f64>().unwrap_or(0.0) / size - 1.0).abs() < 1e-13);
        let text = match decimals {
            Some(d) if (1e-6..1e7).contains(&size) => format!("{size:.d$}"),
            _ => {
                let exponent = size.log10().floor() as i32;
                let mantissa = format!("{:.9}", size / 10f64.powi(exponent));
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                format!("{mantissa}×10{}", superscript(exponent))
            }
        };
        format!(" {} {text}", if self.offset > 0.0 { "−" } else { "+" })
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

/// -3 as ⁻³.
pub fn superscript(n: i32) -> String {
    n.to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            d => char::from_u32(0x2070 + d.to_digit(10).unwrap_or(0)).unwrap_or(d),
        })
        .collect()
}

/// A panel: pixels from (x0, y0), its upper left corner, to (x1, y1).
pub struct Panel {
    /// Left edge.
    pub x0: f64,
    /// Upper edge.
    pub y0: f64,
    /// Right edge.
    pub x1: f64,
    /// Lower edge.
    pub y1: f64,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
}

/// Which labels a panel carries.
#[derive(Debug, Clone, Copy)]
pub struct Labels {
    /// Whether the horizontal axis has labels.
    pub bottom: bool,
    /// Whether the vertical axis has labels.
    pub left: bool,
    /// Size of the letters.
    pub size: f64,
    /// Whether the vertical axis has ticks at all.
    pub scale: bool,
}

impl Panel {
    /// Pixels of a point.
    pub fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.px(x), self.py(y))
    }

    /// Returns the horizontal pixel of a value.
    pub fn px(&self, x: f64) -> f64 {
        self.x0 + self.x.fraction(x) * (self.x1 - self.x0)
    }

    /// Returns the vertical pixel of a value.
    pub fn py(&self, y: f64) -> f64 {
        self.y1 - self.y.fraction(y) * (self.y1 - self.y0)
    }

    /// The same, moved to the nearest edge when outside.
    pub fn py_inside(&self, y: f64) -> f64 {
        self.py(y).clamp(self.y0, self.y1)
    }

    /// Returns the horizontal pixel of a value, moved to the nearest edge when outside.
    pub fn px_inside(&self, x: f64) -> f64 {
        self.px(x).clamp(self.x0, self.x1)
    }

    /// Grid lines, to be drawn first.
    pub fn grid(&self, canvas: &mut Canvas, size: f64) {
        for tick in self.x.ticks(self.x1 - self.x0, size, false).ticks.iter().filter(|t| !t.label.is_empty()) {
            let x = self.px(tick.value);
            canvas.line(&[(x, self.y0), (x, self.y1)], GRID, 0.8);
        }
        for tick in self.y.ticks(self.y1 - self.y0, size, true).ticks.iter().filter(|t| !t.label.is_empty()) {
            let y = self.py(tick.value);
            canvas.line(&[(self.x0, y), (self.x1, y)], GRID, 0.8);
        }
    }

    /// Frame, ticks, tick labels and titles, to be drawn last. `gap` is the distance of the left title from the frame.
    pub fn axes(&self, canvas: &mut Canvas, labels: Labels, gap: f64) {
        let size = labels.size;
        let (left, right, top, bottom) = (self.x0, self.x1, self.y0, self.y1);
        canvas.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], FRAME, 1.0);
        let set = self.x.ticks(right - left, size, false);
        for tick in &set.ticks {
            let (x, long) = (self.px(tick.value), if tick.label.is_empty() { 2.5 } else { 4.5 });
            canvas.line(&[(x, bottom), (x, bottom - long)], FRAME, 1.0);
            if labels.bottom {
                canvas.text((x, bottom + 0.95 * size), &tick.label, Lettering::new(size, MUTED, Align::Middle));
            }
        }
        if labels.bottom && !self.x.label.is_empty() {
            let at = (0.5 * (left + right), bottom + 2.4 * size);
            canvas.text(at, &self.x.title(&set), Lettering::new(size + 1.0, TEXT, Align::Middle));
        }
        let mut set = self.y.ticks(bottom - top, size, true);
        set.ticks.retain(|_| labels.scale);
        for tick in &set.ticks {
            let (y, long) = (self.py(tick.value), if tick.label.is_empty() { 2.5 } else { 4.5 });
            canvas.line(&[(left, y), (left + long, y)], FRAME, 1.0);
            if labels.left {
                canvas.text((left - 5.0, y), &tick.label, Lettering::new(size, MUTED, Align::End));
            }
        }
        if labels.left && !self.y.label.is_empty() {
            let at = (left - gap, 0.5 * (top + bottom));
            canvas.text(at, &self.y.title(&set), Lettering::new(size + 1.0, TEXT, Align::Middle).rotated());
        }
    }

    /// A second vertical axis at the right edge, over the same length: ticks, their labels, and a title `gap` pixels from the frame.
    pub fn right_axis(&self, canvas: &mut Canvas, axis: &Axis, size: f64, gap: f64) {
        let (right, top, bottom) = (self.x1, self.y0, self.y1);
        let set = axis.ticks(bottom - top, size, true);
        for tick in &set.ticks {
            let y = bottom - axis.fraction(tick.value) * (bottom - top);
            let long = if tick.label.is_empty() { 2.5 } else { 4.5 };
            canvas.line(&[(right, y), (right - long, y)], FRAME, 1.0);
            canvas.text((right + 5.0, y), &tick.label, Lettering::new(size, MUTED, Align::Start));
        }
        let at = (right + gap, 0.5 * (top + bottom));
        canvas.text(at, &axis.title(&set), Lettering::new(size + 1.0, TEXT, Align::Middle).rotated());
    }

    /// A line through data points, cut at the frame; points that are not finite interrupt it.
    pub fn curve(&self, canvas: &mut Canvas, points: &[(f64, f64)], ink: Ink, width: f64) {
        for piece in self.cut(points) {
            canvas.line(&piece, ink, width);
        }
    }

    /// Draws a dashed line through data points, cut at the frame; points that are not finite interrupt it.
    pub fn dashed_curve(&self, canvas: &mut Canvas, points: &[(f64, f64)], ink: Ink, width: f64) {
        for piece in self.cut(points) {
            canvas.dashes(&piece, ink, width, 4.0, 3.0);
        }
    }

    /// The pieces of a line inside the frame, in pixels (Liang-Barsky, segment by segment).
    fn cut(&self, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        let mut current: Vec<(f64, f64)> = Vec::new();
        for (&a, &b) in points.iter().zip(points.iter().skip(1)) {
            let (a, b) = (self.place(a.0, a.1), self.place(b.0, b.1));
            match self.inside(a, b) {
                Some((p, q)) => {
                    if current.last() != Some(&p) {
                        pieces.push(std::mem::take(&mut current));
                        current.push(p);
                    }
                    current.push(q);
                }
                None => pieces.push(std::mem::take(&mut current)),
            }
        }
        pieces.push(current);
        pieces.retain(|p| p.len() > 1);
        pieces
    }

    fn inside(&self, a: (f64, f64), b: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        if !(dx.is_finite() && dy.is_finite()) {
            return None;
        }
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        for (p, q) in [(-dx, a.0 - self.x0), (dx, self.x1 - a.0), (-dy, a.1 - self.y0), (dy, self.y1 - a.1)] {
            if p == 0.0 {
                if q < 0.0 {
                    return None;
                }
            } else if p < 0.0 {
                enter = enter.max(q / p);
            } else {
                leave = leave.min(q / p);
            }
        }
        let at = |t: f64| {
            if t <= 0.0 {
                a
            } else if t >= 1.0 {
                b
            } else {
                (a.0 + t * dx, a.1 + t * dy)
            }
        };
        (enter <= leave).then(|| (at(enter), at(leave)))
    }

    /// The area between two step functions over bins (e_min, e_max, lower, upper).
    pub fn step_band(&self, canvas: &mut Canvas, bins: &[(f64, f64, f64, f64)], ink: Ink) {
        for run in contiguous(bins, |b| (b.0, b.1)) {
            let mut outline = Vec::with_capacity(4 * run.len());
            for b in run {
                let y = self.py_inside(b.3);
                outline.push((self.px_inside(b.0), y));
                outline.push((self.px_inside(b.1), y));
            }
            for b in run.iter().rev() {
                let y = self.py_inside(b.2);
                outline.push((self.px_inside(b.1), y));
                outline.push((self.px_inside(b.0), y));
            }
            canvas.polygon(&outline, ink);
        }
    }

    /// A dashed step function over bins (e_min, e_max, value); `dashes` are the lengths of dashes and gaps.
    pub fn dashed_steps(
        &self,
        canvas: &mut Canvas,
        bins: &[(f64, f64, f64)],
        ink: Ink,
        width: f64,
        dashes: (f64, f64),
    ) {
        for run in contiguous(bins, |b| (b.0, b.1)) {
            let points: Vec<(f64, f64)> = run.iter().flat_map(|b| [(b.0, b.2), (b.1, b.2)]).collect();
            for piece in self.cut(&points) {
                canvas.dashes(&piece, ink, width, dashes.0, dashes.1);
            }
        }
    }

    /// A step function over bins (e_min, e_max, value).
    pub fn steps(&self, canvas: &mut Canvas, bins: &[(f64, f64, f64)], ink: Ink, width: f64) {
        for run in contiguous(bins, |b| (b.0, b.1)) {
            let points: Vec<(f64, f64)> = run.iter().flat_map(|b| [(b.0, b.2), (b.1, b.2)]).collect();
            self.curve(canvas, &points, ink, width);
        }
    }
}

/// Splits bins where one does not begin at the end of the one before (ignored channels).
fn contiguous<T>(bins: &[T], edges: impl Fn(&T) -> (f64, f64)) -> Vec<&[T]> {
    bins.chunk_by(|a, b| {
        let (end, begin) = (edges(a).1, edges(b).0);
        (begin - end).abs() <= 1e-6 * end.abs().max(1e-9)
    })
    .collect()
}
