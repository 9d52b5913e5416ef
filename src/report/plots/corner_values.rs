//! The curves and outlines of the corner plot as it draws them, to draw them elsewhere.

use super::corner::{MASSES, Parameter, Set};
use crate::result::{Samples, Summary};

/// What a panel on the diagonal shows.
#[derive(Debug, Clone)]
pub struct Marginal {
    /// `powerlaw norm`.
    pub name: String,
    /// Its unit, with superscripts; empty for none.
    pub unit: String,
    /// Median with its errors, or a limit, as the table has it.
    pub value: String,
    /// Ends of its axis.
    pub range: (f64, f64),
    /// Whether the axis is logarithmic.
    pub log: bool,
    /// The posterior's density at places of the axis, per unit of the axis' fraction.
    pub density: Vec<(f64, f64)>,
    /// That of the prior; empty where it is not known.
    pub prior: Vec<(f64, f64)>,
    /// The value that a mock was made with.
    pub truth: Option<f64>,
}

/// What the panel of two parameters shows.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The parameter along the horizontal axis.
    pub x: usize,
    /// The parameter along the vertical axis.
    pub y: usize,
    /// Shares of all samples, each with the closed outlines that enclose them, in the units of the parameters; holes run the other way round.
    pub outlines: Vec<(f64, Vec<Outline>)>,
}

/// A closed line.
pub type Outline = Vec<(f64, f64)>;

/// The panels on the diagonal, and those of the pairs below it; `None` without samples.
pub fn panels(posterior: &Samples, summary: &Summary) -> Option<(Vec<Marginal>, Vec<Pair>)> {
    let set = Set::of(posterior, posterior, summary.refine.ess);
    if set.is_empty() {
        return None;
    }
    let parameters = set.parameters(posterior, summary);
    let marginal = |(j, p): (usize, &Parameter)| Marginal {
        name: p.name(),
        unit: p.unit.clone(),
        value: p.estimate.pretty(),
        range: (p.axis.lo, p.axis.hi),
        log: p.axis.log,
        density: set.density(p, j),
        prior: p.prior.clone(),
        truth: p.truth,
    };
    let pair = |x: usize, y: usize| {
        let (px, py) = (&parameters[x], &parameters[y]);
        let surface = set.surface((px, py), (x, y));
        let outlines = surface.into_iter().flat_map(|surface| {
            let of = |(mass, _): (f64, f64)| {
                let outlines = surface.outlines(surface.level(mass)?).into_iter();
                let place = |(a, b): (f64, f64)| (px.axis.at(a), py.axis.at(b));
                Some((mass, outlines.map(|outline| outline.into_iter().map(place).collect()).collect()))
            };
            MASSES.into_iter().filter_map(of).collect::<Vec<_>>()
        });
        Pair { x, y, outlines: outlines.collect() }
    };
    let pairs = (0..parameters.len()).flat_map(|y| (0..y).map(move |x| (x, y))).map(|(x, y)| pair(x, y)).collect();
    Some((parameters.iter().enumerate().map(marginal).collect(), pairs))
}
