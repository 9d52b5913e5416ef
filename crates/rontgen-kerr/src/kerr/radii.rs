//! The radial grid that images and lamps share: equal steps in the logarithm of the distance from a radius inside it, from the
//! innermost stable orbit to [`super::LARGEST_RADIUS`]. A node's number means the same share of that way for every spin, so that what
//! stands at the nodes changes smoothly with the spin.

use super::{LARGEST_RADIUS, metric};

/// Nodes.
pub const RADII: usize = 67 * super::FINENESS + 1;
/// Nodes beyond each end, for derivatives.
pub(super) const BEYOND: usize = 2;

/// Computes a radius inside the innermost stable orbit, from which distances count. It is smooth where the horizon's radius is not, at a = -1.
pub fn inside(spin: f64) -> f64 {
    0.9 * (1.0 + (1.0 - spin).max(0.0).sqrt())
}

/// The grid of one spin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Radii {
    /// Radius from which distances count.
    pub inside: f64,
    /// ln of the first node's distance.
    pub first: f64,
    /// Step in the logarithm.
    pub step: f64,
}

impl Radii {
    /// Makes the grid of a spin.
    pub fn new(spin: f64) -> Self {
        let inside = inside(spin);
        let first = (metric::isco(spin) - inside).ln();
        let last = (LARGEST_RADIUS - inside).ln();
        Self { inside, first, step: (last - first) / (RADII - 1) as f64 }
    }

    /// Computes the radius at a place in units of nodes.
    pub fn radius(&self, place: f64) -> f64 {
        self.inside + (self.first + self.step * place).exp()
    }

    /// Computes the place of a radius.
    pub fn place(&self, radius: f64) -> f64 {
        ((radius - self.inside).max(1e-9).ln() - self.first) / self.step
    }

    /// Computes dr per node at a radius.
    pub fn per_node(&self, radius: f64) -> f64 {
        (radius - self.inside) * self.step
    }
}

/// The derivative by steps at the middle of five values at equal steps; its error is a thirtieth of the fifth derivative.
pub(super) fn slope(before: &[f64; 2], after: &[f64; 2]) -> f64 {
    (before[0] - 8.0 * before[1] + 8.0 * after[0] - after[1]) / 12.0
}
