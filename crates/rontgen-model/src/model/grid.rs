//! The energy grid as tiles of [`TILE`] bins, with the per-bin numbers that every component needs worked out in f64.
//!
//! The fact one would get wrong: in f32 the edges of a 0.4 eV bin at 10 keV are only good to 0.1 % of the bin. Hence the
//! width, the logarithmic width and the middle (in two parts) are stored on their own; nobody subtracts edges.

use super::{ModelError, real::Real};

/// Bins per tile: enough to amortise the dispatch over components, few enough to stay in the first-level cache.
pub const TILE: usize = 128;
/// Tiles with a bin of larger ln(hi/lo) use the closed forms for wide bins.
const WIDE_BIN: f64 = 0.1;

/// This is one bin as a component sees it. Energies are in keV.
#[derive(Debug, Clone, Copy)]
pub struct Bin<R> {
    /// Lower edge.
    pub lo: R,
    /// Upper edge.
    pub hi: R,
    /// Width.
    pub width: R,
    /// High part of the arithmetic middle, which is mid_hi + mid_lo.
    pub mid_hi: R,
    /// Low part of the arithmetic middle.
    pub mid_lo: R,
    /// Geometric middle sqrt(lo hi).
    pub centre: R,
    /// ln of the geometric middle.
    pub ln_centre: R,
    /// Logarithmic width, ln(hi/lo).
    pub log_width: R,
}

/// This holds up to [`TILE`] consecutive bins; the places beyond `len` are padding with plausible energies. Energies are in keV.
#[derive(Debug, Clone)]
pub struct Tile<S> {
    /// Number of the first bin.
    pub start: usize,
    /// Bins that are real.
    pub len: usize,
    /// Whether a bin is so wide that the closed forms for wide bins are used.
    pub wide: bool,
    /// Lowest edge.
    pub e_min: f64,
    /// Highest edge.
    pub e_max: f64,
    /// Width of the widest bin.
    pub broadest: f64,
    /// Largest ln(hi/lo).
    pub broadest_log: f64,
    /// Lower edges.
    pub lo: [S; TILE],
    /// Upper edges.
    pub hi: [S; TILE],
    /// Widths.
    pub width: [S; TILE],
    /// High parts of the arithmetic middles.
    pub mid_hi: [S; TILE],
    /// Low parts of the arithmetic middles.
    pub mid_lo: [S; TILE],
    /// Geometric middles.
    pub centre: [S; TILE],
    /// ln of the geometric middles.
    pub ln_centre: [S; TILE],
    /// Logarithmic widths, ln(hi/lo).
    pub log_width: [S; TILE],
}

/// Per-bin numbers in f64.
struct Numbers {
    width: f64,
    mid: f64,
    centre: f64,
    ln_centre: f64,
    log_width: f64,
}

fn numbers(lo: f64, hi: f64) -> Numbers {
    Numbers {
        width: hi - lo,
        mid: 0.5 * (lo + hi),
        centre: (lo * hi).sqrt(),
        ln_centre: 0.5 * (lo.ln() + hi.ln()),
        log_width: ((hi - lo) / lo).ln_1p(),
    }
}

/// Middle split into what the storage type holds and the rest.
fn split<R: Real>(mid: f64) -> (f64, f64) {
    if R::REFINE { (mid, 0.0) } else { (f64::from(mid as f32), mid - f64::from(mid as f32)) }
}

impl<S: Copy + Default> Tile<S> {
    /// A tile from (lo, hi) pairs, at most [`TILE`] of them.
    pub(crate) fn build<R: Real<Store = S>>(start: usize, bins: &[(f64, f64)]) -> Self {
        let zero = [S::default(); TILE];
        let last = bins.last().copied().unwrap_or((1.0, 1.01));
        let mut tile = Self {
            start,
            len: bins.len().min(TILE),
            wide: false,
            e_min: bins.first().map_or(last.0, |b| b.0),
            e_max: last.1,
            broadest: 0.0,
            broadest_log: 0.0,
            lo: zero,
            hi: zero,
            width: zero,
            mid_hi: zero,
            mid_lo: zero,
            centre: zero,
            ln_centre: zero,
            log_width: zero,
        };
        let store = |x: f64| R::of(x).store();
        for j in 0..TILE {
            let (lo, hi) = bins.get(j).copied().unwrap_or(last);
            let n = numbers(lo, hi);
            let (mid_hi, mid_lo) = split::<R>(n.mid);
            tile.wide |= n.log_width > WIDE_BIN;
            tile.broadest = tile.broadest.max(n.width);
            tile.broadest_log = tile.broadest_log.max(n.log_width);
            tile.lo[j] = store(lo);
            tile.hi[j] = store(hi);
            tile.width[j] = store(n.width);
            tile.mid_hi[j] = store(mid_hi);
            tile.mid_lo[j] = store(mid_lo);
            tile.centre[j] = store(n.centre);
            tile.ln_centre[j] = store(n.ln_centre);
            tile.log_width[j] = store(n.log_width);
        }
        tile
    }

    #[inline(always)]
    pub(crate) fn bin<R: Real<Store = S>>(&self, j: usize) -> Bin<R> {
        Bin {
            lo: R::load(self.lo[j]),
            hi: R::load(self.hi[j]),
            width: R::load(self.width[j]),
            mid_hi: R::load(self.mid_hi[j]),
            mid_lo: R::load(self.mid_lo[j]),
            centre: R::load(self.centre[j]),
            ln_centre: R::load(self.ln_centre[j]),
            log_width: R::load(self.log_width[j]),
        }
    }
}

/// This is a whole energy grid of E bins in one number type.
#[derive(Debug, Clone)]
pub struct Grid<S> {
    /// Edges \[keV\], E + 1 where the bins touch.
    pub edges: Vec<S>,
    /// Edges unrounded, for what moves them against each other \[keV\].
    pub exact: Vec<f64>,
    /// Logarithms of the exact edges (keV).
    pub ln_edges: Vec<f64>,
    /// Widths \[keV\], E.
    pub widths: Vec<S>,
    /// Bins, tile by tile.
    pub tiles: Vec<Tile<S>>,
}

impl<S: Copy + Default> Grid<S> {
    /// From ascending bins; `edges` is what convolutions read, whose bins touch.
    pub(crate) fn new<R: Real<Store = S>>(bins: &[(f64, f64)]) -> Self {
        let tiles = bins.chunks(TILE).enumerate().map(|(t, chunk)| Tile::build::<R>(t * TILE, chunk)).collect();
        let widths = bins.iter().map(|(lo, hi)| R::of(hi - lo).store()).collect();
        let exact: Vec<f64> = bins.first().map(|b| b.0).into_iter().chain(bins.iter().map(|b| b.1)).collect();
        let ln_edges = exact.iter().map(|e| e.ln()).collect();
        Self { edges: exact.iter().map(|e| R::of(*e).store()).collect(), exact, ln_edges, widths, tiles }
    }
}

/// Checks E+1 ascending, finite, non-negative edges (keV). A first edge of 0, where models diverge, becomes a thousandth
/// of the second: such bins carry no response.
pub(crate) fn check_edges(edges: &[f64]) -> Result<Vec<f64>, ModelError> {
    if edges.len() < 2 {
        return Err(ModelError::Grid(format!("needs at least two edges, found {}", edges.len())));
    }
    if let Some(i) = edges.iter().position(|e| !e.is_finite() || *e < 0.0 || *e > 1e6) {
        return Err(ModelError::Grid(format!("edge {i} is {} keV; expected a number in 0 .. 1e6", edges[i])));
    }
    if let Some(i) = edges.windows(2).position(|w| w[1] <= w[0]) {
        return Err(ModelError::Grid(format!(
            "edges must ascend, but edge {} is {} keV after {} keV",
            i + 1,
            edges[i + 1],
            edges[i]
        )));
    }
    let mut checked = edges.to_vec();
    checked[0] = checked[0].max(1e-3 * checked[1]);
    Ok(checked)
}

/// Numbers per bin that are handed to a device; [`super::Program::bin_table`] says which.
pub const BIN_ROW: usize = 8;

/// [lower edge, width, middle (high part), middle (low part), ln of the geometric middle, ln(hi/lo), geometric middle,
/// upper edge]; energies in keV.
pub(crate) fn bin_row(lo: f64, hi: f64) -> [f32; BIN_ROW] {
    let n = numbers(lo, hi);
    let mid_hi = n.mid as f32;
    [
        lo as f32,
        n.width as f32,
        mid_hi,
        (n.mid - f64::from(mid_hi)) as f32,
        n.ln_centre as f32,
        n.log_width as f32,
        n.centre as f32,
        hi as f32,
    ]
}
