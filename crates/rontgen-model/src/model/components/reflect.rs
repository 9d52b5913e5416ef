//! reflect: the reflection of any spectrum by a cold slab (Magdziarz & Zdziarski 1995), as `slab.rs` has it for a power law.
//!
//! The incident E F_E is taken linear between the middles of the grid's bins and nothing beyond them, as XSPEC does: photons that
//! the slab sends down from above the grid are missing unless the grid reaches far up.

use super::{
    absorption::ORIGIN_ENERGY,
    green::{Green, MASS},
    incident::Incident,
    slab::{Edges, Row, Slab, TRANSITION_FROM, share},
};
use crate::model::{
    grid::{Grid, TILE, Tile},
    real::Real,
};

pub(crate) struct Reflect<R> {
    photons: Vec<R>,
}

impl<R: Real> Reflect<R> {
    /// rel_refl (negative: reflection alone), Redshift, abund, Fe_abund, cosIncl.
    pub fn new(par: &[f64], grid: &Grid<R::Store>, source: &[R::Store], table: &[R::Store]) -> Self {
        let at = |k: usize, default: f64| par.get(k).copied().unwrap_or(default);
        let slab = Slab::new(at(0, 0.0), at(1, 0.0), at(2, 1.0), at(3, 1.0), at(4, 0.45));
        let bins = || grid.tiles.iter().flat_map(|t| (0..t.len).map(move |j| t.bin::<R>(j))).zip(source);
        // Energy in the slab's frame over 511 keV, E F_E.
        let incident: Vec<(f64, f64)> = bins()
            .map(|(bin, photons)| {
                let middle = bin.mid_hi.to_f64() + bin.mid_lo.to_f64();
                let density = R::load(*photons).to_f64() / bin.width.to_f64();
                (middle * slab.stretch / MASS, density * middle * middle)
            })
            .collect();
        let reaches = slab.amount > 0.0 && incident.last().is_some_and(|(x, _)| *x > TRANSITION_FROM);
        let green = reaches.then(|| Green::new(slab.cosine, slab.asymptotic::<R>(table)));
        let incident = Incident { points: incident };
        let green = green.map(|green| (green.kinks(), green));
        let (mut row, mut edges) = (Row::default(), Edges::new::<R>(table, slab.stretch));
        let photons = bins()
            .zip(&incident.points)
            .map(|((bin, photons), (x, _))| {
                let photons = R::load(*photons);
                let mut sum = if slab.shows_source { photons } else { R::of(0.0) };
                if slab.amount == 0.0 || *x < 2e-4 {
                    return sum;
                }
                let late = share(x.ln());
                let middle = bin.mid_hi + bin.mid_lo;
                if late < 1.0 {
                    // At the bin's middle, as in XSPEC: where in the bin its photons are is not known.
                    let (exact, width) = (bin.mid_hi.to_f64() + bin.mid_lo.to_f64(), bin.width.to_f64());
                    let mut albedo = R::of(0.0);
                    edges.parts::<R>(table, exact, width, |part| {
                        if part.from <= 0.0 && part.to > 0.0 {
                            let ln_e = middle.ln() + R::of((slab.stretch / ORIGIN_ENERGY).ln());
                            albedo = slab.albedo::<R>(table, &mut row, ln_e, &part);
                        }
                    });
                    sum = (photons * albedo).fma(R::of(slab.amount * (1.0 - late)), sum);
                }
                if let Some((kinks, green)) = green.as_ref().filter(|_| late > 0.0) {
                    let density = incident.reflected(green, *kinks, *x) * slab.amount * late;
                    sum = R::of(density).fma(bin.width / (middle * middle), sum);
                }
                sum
            })
            .collect();
        Self { photons }
    }

    #[inline(always)]
    pub fn fill(&self, tile: &Tile<R::Store>, out: &mut [R::Store; TILE]) {
        for (out, photons) in out.iter_mut().zip(self.photons.get(tile.start..).unwrap_or(&[])) {
            *out = photons.store();
        }
    }
}
