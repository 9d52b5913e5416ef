//! Products of small matrices on one thread, for CPU twins that carry a tile of rows through several layers while it stays in cache.
//!
//! The weights are packed once per step ([`Panels`]) and shared by all tiles; the rows are read where they lie. A general product
//! packs both factors at every call, which at a width of 60 costs as much as the arithmetic. The inner loop holds 6 x 16
//! sums in registers and is written for AVX2 and FMA; elsewhere the crate `gemm` does the same work on the same layout. Every
//! sum runs over its terms in order, whatever the number of rows, so that a row's result does not depend on its neighbours.

use super::product::{Parallelism, multiply};
use std::ops::{Deref, DerefMut};

/// Numbers of one vector register of the inner loop.
const LANES: usize = 8;
/// Columns of a panel.
const PANEL: usize = 16;
/// Rows of one block of sums.
#[cfg(target_arch = "x86_64")]
const ROWS: usize = 6;

/// A cache line.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([f32; 16]);

/// These are numbers, zero at first, that begin on a cache line: vectors then never straddle two.
#[derive(Debug, Clone, Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Makes room for `len` numbers, rounded up to whole cache lines.
    pub fn new(len: usize) -> Self {
        Self(vec![Line([0.0; 16]); len.div_ceil(16)])
    }
}

impl Deref for Lines {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// Returns the numbers from row to row of a tile: whole vectors, an odd number of them, so that the rows of a column do not share a few
/// sets of the cache.
pub fn stride(width: usize) -> usize {
    (width.div_ceil(LANES) | 1) * LANES
}

/// This is the right factor of a product, `depth x width`, in panels of 16 columns (the last may have 8), rows of a panel contiguous.
#[derive(Debug, Clone)]
pub struct Panels {
    depth: usize,
    width: usize,
    values: Lines,
}

impl Panels {
    /// Makes room for a factor of `depth x width`, all zero.
    pub fn new(depth: usize, width: usize) -> Self {
        Self { depth, width, values: Lines::new(depth * width.next_multiple_of(LANES)) }
    }

    /// Packs a matrix of `depth x width` in row-major order.
    pub fn pack(&mut self, matrix: &[f32]) {
        let (depth, width) = (self.depth, self.width);
        let each = self.values[..depth * width.next_multiple_of(LANES)].chunks_mut(depth * PANEL);
        for (p, panel) in each.enumerate() {
            let lanes = panel.len() / depth;
            let used = lanes.min(width - p * PANEL);
            for (k, out) in panel.chunks_exact_mut(lanes).enumerate() {
                out[..used].copy_from_slice(&matrix[k * width + p * PANEL..][..used]);
            }
        }
    }

    /// Packs the transposed of a matrix of `width x depth` in row-major order.
    pub fn pack_transposed(&mut self, matrix: &[f32]) {
        let (depth, width) = (self.depth, self.width);
        let each = self.values[..depth * width.next_multiple_of(LANES)].chunks_mut(depth * PANEL);
        for (p, panel) in each.enumerate() {
            let lanes = panel.len() / depth;
            let used = lanes.min(width - p * PANEL);
            for lane in 0..used {
                let row = &matrix[(p * PANEL + lane) * depth..][..depth];
                panel.iter_mut().skip(lane).step_by(lanes).zip(row).for_each(|(out, &x)| *out = x);
            }
        }
    }
}

/// Computes `C = A B` for `rows` rows: row `r` of A lies at `a[r a_stride ..]`, of C at `c[r c_stride ..]`; C is written up to the next
/// multiple of 8 columns (zeros beyond B).
///
/// # Panics
/// When a slice is too short.
pub fn product(rows: usize, a: &[f32], a_stride: usize, b: &Panels, c: &mut [f32], c_stride: usize) {
    let (depth, width) = (b.depth, b.width.next_multiple_of(LANES));
    if rows == 0 || width == 0 {
        return;
    }
    assert!(a.len() >= (rows - 1) * a_stride + depth && c.len() >= (rows - 1) * c_stride + width, "tile: lengths");
    let from = Strided { start: a.as_ptr(), row: a_stride, step: 1 };
    let mut done = 0;
    while done < width {
        let lanes = PANEL.min(width - done);
        let panel = Strided { start: b.values[done * depth..].as_ptr(), row: 0, step: lanes };
        let to = Target { start: c[done..].as_mut_ptr(), row: c_stride, add: false };
        // SAFETY: the lengths were checked above; the panel holds `depth` rows of `lanes` numbers.
        unsafe { strip(rows, depth, lanes, from, panel, to) };
        done += lanes;
    }
}

/// This is a matrix on a slice.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Numbers; row `r` begins at `r stride`.
    pub values: &'a [f32],
    /// Numbers from row to row.
    pub stride: usize,
    /// Columns that are used.
    pub cols: usize,
}

/// Computes `C = A^T B`, or with `add` `C += A^T B`, over `rows` rows of A (`m` columns) and B (`n` columns); C is `m x n`, its rows
/// `c_stride` apart. B is read and C written up to the next multiple of 8 columns.
///
/// # Panics
/// When a slice is too short.
pub fn outer(rows: usize, a: Rows<'_>, b: Rows<'_>, c: &mut [f32], c_stride: usize, add: bool) {
    let Rows { values: a, stride: a_stride, cols: m } = a;
    let Rows { values: b, stride: b_stride, cols: n } = b;
    let width = n.next_multiple_of(LANES);
    if m == 0 || n == 0 || rows == 0 {
        return;
    }
    assert!(a.len() >= (rows - 1) * a_stride + m && b.len() >= (rows - 1) * b_stride + width, "tile: lengths");
    assert!(c.len() >= (m - 1) * c_stride + width, "tile: lengths");
    let from = Strided { start: a.as_ptr(), row: 1, step: a_stride };
    let mut done = 0;
    while done < width {
        let lanes = PANEL.min(width - done);
        let panel = Strided { start: b[done..].as_ptr(), row: 0, step: b_stride };
        let to = Target { start: c[done..].as_mut_ptr(), row: c_stride, add };
        // SAFETY: the lengths were checked above.
        unsafe { strip(m, rows, lanes, from, panel, to) };
        done += lanes;
    }
}

/// A factor: `row` numbers from row to row of the result, `step` from term to term of the sum.
#[derive(Clone, Copy)]
struct Strided {
    start: *const f32,
    row: usize,
    step: usize,
}

#[derive(Clone, Copy)]
struct Target {
    start: *mut f32,
    row: usize,
    add: bool,
}

/// All rows of one panel of 16 or 8 columns.
///
/// # Safety
/// A must be readable for `rows x terms`, B for `terms` rows of `lanes`, C writable for `rows` rows of `lanes`.
unsafe fn strip(rows: usize, terms: usize, lanes: usize, a: Strided, b: Strided, c: Target) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the features were found on this machine; the rest is the caller's promise.
        return unsafe { x86::strip(rows, terms, lanes, a, b, c) };
    }
    // SAFETY: the caller's promise.
    unsafe { portable(rows, terms, lanes, a, b, c) }
}

/// The same through the crate `gemm-f32`, which knows other instruction sets.
///
/// # Safety
/// As [`strip`].
unsafe fn portable(rows: usize, terms: usize, lanes: usize, a: Strided, b: Strided, c: Target) {
    // SAFETY: the caller's promise.
    unsafe {
        multiply(
            [rows, lanes, terms],
            (a.start, a.row as isize, a.step as isize),
            (b.start, b.step as isize, 1),
            (c.start, c.row, c.add),
            Parallelism::None,
        );
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, PANEL, ROWS, Strided, Target};
    use std::arch::x86_64::*;

    /// # Safety
    /// As [`super::strip`], on a machine with AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn strip(rows: usize, terms: usize, lanes: usize, a: Strided, b: Strided, c: Target) {
        let mut row = 0;
        while row < rows {
            let count = ROWS.min(rows - row);
            // SAFETY: rows `row .. row + count` are within what the caller promised.
            unsafe {
                let a = Strided { start: a.start.add(row * a.row), ..a };
                let c = Target { start: c.start.add(row * c.row), ..c };
                match (count, lanes == PANEL) {
                    (6, true) => block::<6, 2>(terms, a, b, c),
                    (5, true) => block::<5, 2>(terms, a, b, c),
                    (4, true) => block::<4, 2>(terms, a, b, c),
                    (3, true) => block::<3, 2>(terms, a, b, c),
                    (2, true) => block::<2, 2>(terms, a, b, c),
                    (_, true) => block::<1, 2>(terms, a, b, c),
                    (6, false) => block::<6, 1>(terms, a, b, c),
                    (5, false) => block::<5, 1>(terms, a, b, c),
                    (4, false) => block::<4, 1>(terms, a, b, c),
                    (3, false) => block::<3, 1>(terms, a, b, c),
                    (2, false) => block::<2, 1>(terms, a, b, c),
                    (_, false) => block::<1, 1>(terms, a, b, c),
                }
            }
            row += count;
        }
    }

    /// M rows of V vectors of C, held in registers over the whole sum.
    ///
    /// # Safety
    /// As [`super::strip`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn block<const M: usize, const V: usize>(terms: usize, a: Strided, b: Strided, c: Target) {
        let mut sums = [[_mm256_setzero_ps(); V]; M];
        // SAFETY: the caller's promise.
        unsafe {
            if c.add {
                for (i, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = _mm256_loadu_ps(c.start.add(i * c.row + v * LANES));
                    }
                }
            }
            let (mut from, mut weights) = (a.start, b.start);
            for _ in 0..terms {
                let mut vectors = [_mm256_setzero_ps(); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = _mm256_loadu_ps(weights.add(v * LANES));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let x = _mm256_broadcast_ss(&*from.add(i * a.row));
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = _mm256_fmadd_ps(x, vector, *sum);
                    }
                }
                from = from.wrapping_add(a.step);
                weights = weights.wrapping_add(b.step);
            }
            for (i, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    _mm256_storeu_ps(c.start.add(i * c.row + v * LANES), *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) as f32 / 8_388_608.0) - 1.0)
            .collect()
    }

    /// Every remainder of rows, columns and depth, against f64 sums; the portable form against the same.
    #[test]
    fn products_agree_with_f64() {
        for (rows, depth, width) in
            [(1, 1, 1), (5, 7, 8), (6, 16, 16), (13, 60, 60), (19, 33, 20), (84, 104, 52), (7, 5, 37)]
        {
            let (a_stride, c_stride) = (stride(depth), stride(width));
            let (a, b) = (numbers(rows * a_stride, 1), numbers(depth * width, 2));
            let mut panels = Panels::new(depth, width);
            let mut c = vec![f32::NAN; rows * c_stride];
            let transposed: Vec<f32> = (0..depth * width).map(|i| b[i % depth * width + i / depth]).collect();
            for which in 0..2 {
                match which {
                    0 => panels.pack(&b),
                    _ => panels.pack_transposed(&transposed),
                }
                product(rows, &a, a_stride, &panels, &mut c, c_stride);
                for i in 0..rows * width {
                    let (r, j) = (i / width, i % width);
                    let exact: f64 =
                        (0..depth).map(|k| f64::from(a[r * a_stride + k]) * f64::from(b[k * width + j])).sum();
                    let error = (f64::from(c[r * c_stride + j]) - exact).abs();
                    // Rounding of a sum of `depth` terms below 1.
                    assert!(error < 6e-8 * (depth as f64).powf(1.5) + 1e-6, "{rows} {depth} {width}: {error}");
                }
            }
            // A^T C: depth x width, from zero and on top.
            c.iter_mut().for_each(|x| *x = if x.is_nan() { 0.0 } else { *x });
            let mut gradient = vec![f32::NAN; depth * c_stride];
            for add in [false, true] {
                let left = Rows { values: &a, stride: a_stride, cols: depth };
                let right = Rows { values: &c, stride: c_stride, cols: width };
                outer(rows, left, right, &mut gradient, c_stride, add);
            }
            for i in 0..depth * width {
                let (k, j) = (i / width, i % width);
                let term = |r: usize| f64::from(a[r * a_stride + k]) * f64::from(c[r * c_stride + j]);
                let exact = 2.0 * (0..rows).map(term).sum::<f64>();
                let size = 2.0 * (0..rows).map(|r| term(r).abs()).sum::<f64>();
                let error = (f64::from(gradient[k * c_stride + j]) - exact).abs();
                assert!(error < 1e-6 * size + 1e-6, "{rows} {depth} {width}: {error} of {size}");
            }
        }
    }

    #[test]
    fn both_forms_give_the_same_product() {
        let (rows, depth, width) = (13, 40, 24);
        let (a, b) = (numbers(rows * depth, 3), numbers(depth * width, 4));
        let mut panels = Panels::new(depth, width);
        panels.pack(&b);
        let (mut c, mut other) = (vec![0.0; rows * width], vec![0.0; rows * width]);
        product(rows, &a, depth, &panels, &mut c, width);
        for (done, lanes) in [(0, 16), (16, 8)] {
            let from = Strided { start: a.as_ptr(), row: depth, step: 1 };
            let panel = Strided { start: panels.values[done * depth..].as_ptr(), row: 0, step: lanes };
            let to = Target { start: other[done..].as_mut_ptr(), row: width, add: false };
            // SAFETY: the matrices have the shapes that are given.
            unsafe { portable(rows, depth, lanes, from, panel, to) };
        }
        for (x, y) in c.iter().zip(&other) {
            assert!((x - y).abs() < 1e-5, "{x} {y}");
        }
    }
}
