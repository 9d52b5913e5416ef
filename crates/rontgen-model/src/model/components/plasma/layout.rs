//! How a plasma's table lies in the flat table of a program, for both the CPU and the shader.
//!
//! ```text
//! 0                nodes N, groups G, knots K, then for three segments of the knots: ln E of the first, knots per ln E, number
//!                  of the first; ln E of the end; parts per ln E; lines in all L; and what SHORT_SIDE
//!                  leaves of the longest side of a triangle, over its energy; ln E where the tables end; numbers of the
//!                  second segment's first knot and of its last
//! HEADER           kT of the nodes (keV), N
//!                  number of each node's first line, N + 1
//!                  group of each element, 30
//!                  1 / (atomic weight u c2) of each element (1/keV), 30
//!                  smooth part at norm 1: node by node, group by group, K photons/cm2/s per ln E
//!                  lines of all nodes, L each: energy (keV, high part), energy (low part), photons/cm2/s at norm 1, reach (sigma),
//!                  element (Z - 1); and among them triangles of the pseudo-continuum: energy of the peak, right side (keV),
//!                  photons/cm2/s, left side (keV), TRIANGLE + Z - 1
//! ```

use crate::atomic::atomdb::ELEMENTS;

pub(super) const HEADER: usize = 16;
/// Added to the element of what is no line but a triangle.
pub(super) const TRIANGLE: usize = 32;

/// Sides of triangles of up to this (keV; the shader has it, too) are usual.
pub(super) const SHORT_SIDE: f64 = 2.15e-3;

/// Energy (keV), photons at norm 1, reach (sigma) or left side (keV), element or TRIANGLE + element, 0 or right side (keV).
pub(super) type Line = [f64; 5];

/// Knots in ln E: three segments of equal steps, the middle one fine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Knots {
    /// ln E where each segment begins and where the last ends.
    pub at: [f64; 4],
    /// Knots per ln E of each segment.
    pub density: [f64; 3],
    /// Number of the first knot of each segment.
    pub first: [f64; 3],
}

impl Knots {
    /// Position in units of knots; constant outside.
    pub fn place(&self, x: f64) -> f64 {
        let part = |k: usize| (x.clamp(self.at[k], self.at[k + 1]) - self.at[k]) * self.density[k];
        part(0) + part(1) + part(2)
    }

    pub fn count(&self) -> usize {
        self.place(self.at[3]).round() as usize + 1
    }

    /// ln E of a knot.
    pub fn x(&self, knot: usize) -> f64 {
        let knot = knot as f64;
        let segment = (1..3).rev().find(|k| knot >= self.first[*k]).unwrap_or(0);
        self.at[segment] + (knot - self.first[segment]) / self.density[segment]
    }
}

/// What is written behind the header.
pub(super) struct Content {
    pub knots: Knots,
    pub parts_per_ln: f64,
    pub kt: Vec<f64>,
    pub starts: Vec<usize>,
    pub groups: [usize; ELEMENTS],
    pub inverse_mass: [f64; ELEMENTS],
    /// N x G x K.
    pub smooth: Vec<Vec<f64>>,
    pub lines: Vec<Line>,
    pub group_count: usize,
    /// ln E where the tables end.
    pub ends: f64,
}

impl Content {
    pub fn flat(&self) -> Vec<f64> {
        let k = &self.knots;
        let mut out = vec![self.kt.len() as f64, self.group_count as f64, k.count() as f64];
        out.extend([k.at[0], k.density[0], k.at[1], k.density[1], k.at[2], k.density[2], k.at[3]]);
        out.extend([self.parts_per_ln, self.lines.len() as f64]);
        let triangles = self.lines.iter().filter(|l| l[3] >= TRIANGLE as f64);
        out.push(triangles.map(|l| (l[2].max(l[4]) - SHORT_SIDE) / l[0]).fold(0.0, f64::max) * 1.001);
        out.push(self.ends);
        out.extend([k.first[1], k.first[2]]);
        out.resize(HEADER, 0.0);
        out.extend(&self.kt);
        out.extend(self.starts.iter().map(|s| *s as f64));
        out.extend(self.groups.iter().map(|g| *g as f64));
        out.extend(self.inverse_mass);
        self.smooth.iter().for_each(|row| out.extend(row));
        let high = |e: f64| f64::from(e as f32);
        out.extend(self.lines.iter().map(|l| high(l[0])));
        // The points of the pseudo-continuum are f32 numbers: nothing is left of them.
        out.extend(self.lines.iter().map(|l| if l[3] < TRIANGLE as f64 { l[0] - high(l[0]) } else { l[4] }));
        out.extend((1..4).flat_map(|k| self.lines.iter().map(move |l| l[k])));
        out
    }
}

/// The lines of one node.
pub(super) struct LineView<'a> {
    pub energy: &'a [f32],
    pub energy_low: &'a [f32],
    pub photons: &'a [f32],
    pub reach: &'a [f32],
    pub element: &'a [f32],
}

/// A table as the CPU reads it.
pub(super) struct View<'a> {
    table: &'a [f32],
    nodes: usize,
    groups: usize,
    pub knots: usize,
    lines: usize,
    at: [f32; 4],
    density: [f32; 3],
    pub parts_per_ln: f64,
    /// The longest side of a triangle less SHORT_SIDE, over its energy.
    pub longest: f64,
    /// ln E where the tables end: the knots reach a little further.
    pub ends: f64,
    /// First and last knot of the fine segment, and knots per ln E outside of it.
    pub fine: (f32, f32),
    pub coarse: f32,
}

impl<'a> View<'a> {
    pub fn new(table: &'a [f32]) -> Option<Self> {
        let head = table.first_chunk::<HEADER>()?;
        let view = Self {
            table,
            nodes: head[0] as usize,
            groups: head[1] as usize,
            knots: head[2] as usize,
            lines: head[11] as usize,
            at: [head[3], head[5], head[7], head[9]],
            density: [head[4], head[6], head[8]],
            parts_per_ln: f64::from(head[10]),
            longest: f64::from(head[12]),
            ends: f64::from(head[13]),
            fine: (head[14], head[15]),
            coarse: head[4],
        };
        (view.nodes >= 2 && view.start_of_lines() + 5 * view.lines <= table.len()).then_some(view)
    }

    fn start_of_smooth(&self) -> usize {
        HEADER + 2 * self.nodes + 1 + 2 * ELEMENTS
    }

    fn start_of_lines(&self) -> usize {
        self.start_of_smooth() + self.nodes * self.groups * self.knots
    }

    fn number(&self, k: usize) -> f64 {
        self.table.get(k).map_or(0.0, |x| f64::from(*x))
    }

    pub fn kt(&self, node: usize) -> f64 {
        self.number(HEADER + node)
    }

    /// The node at or below a temperature, and the share of the one above.
    pub fn bracket(&self, kt: f64) -> (usize, f64) {
        let mut below = 0;
        while below + 2 < self.nodes && self.kt(below + 1) <= kt {
            below += 1;
        }
        let (a, b) = (self.kt(below), self.kt(below + 1));
        (below, ((kt - a) / (b - a)).clamp(0.0, 1.0))
    }

    pub fn smooth(&self, node: usize, group: usize) -> &'a [f32] {
        let start = self.start_of_smooth() + (node * self.groups + group) * self.knots;
        self.table.get(start..start + self.knots).unwrap_or(&[])
    }

    pub fn lines(&self, node: usize) -> LineView<'a> {
        let start = |k: usize| self.number(HEADER + self.nodes + k) as usize;
        let (from, to) = (start(node), start(node + 1));
        let column = |k: usize| {
            let first = self.start_of_lines() + k * self.lines;
            self.table.get(first + from..first + to).unwrap_or(&[])
        };
        LineView { energy: column(0), energy_low: column(1), photons: column(2), reach: column(3), element: column(4) }
    }

    /// Position of ln E in units of knots.
    #[inline(always)]
    pub fn place(&self, x: f32) -> f32 {
        let part = |k: usize| (x.max(self.at[k]).min(self.at[k + 1]) - self.at[k]) * self.density[k];
        part(0) + part(1) + part(2)
    }
}
