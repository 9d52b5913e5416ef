//! Products of small matrices on slices, for CPU twins that carry a tile per thread through a whole network.

use gemm::Parallelism;

/// Row-major matrix products on slices, single-threaded (a tile is one thread's work): `out = a b (+ out)`.
/// `a` is `m x k`, `b` `k x n`; [`plain`] and [`transposed`] make them.
pub(super) struct Product<'a> {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// Values, stride from row to row, stride from column to column.
    pub(super) a: (&'a [f32], isize, isize),
    pub(super) b: (&'a [f32], isize, isize),
}

impl Product<'_> {
    pub(super) fn into(self, out: &mut [f32], ldc: usize, accumulate: bool) {
        let Product { m, n, k, a, b } = self;
        if m == 0 || n == 0 {
            return;
        }
        let reach = |rows: usize, cols: usize, (rs, cs): (isize, isize)| {
            (rows.max(1) - 1) * rs as usize + (cols.max(1) - 1) * cs as usize
        };
        assert!(k == 0 || reach(m, k, (a.1, a.2)) < a.0.len(), "product: left operand");
        assert!(k == 0 || reach(k, n, (b.1, b.2)) < b.0.len(), "product: right operand");
        assert!((m - 1) * ldc + n <= out.len(), "product: result");
        // SAFETY: the three assertions above keep every element that gemm touches inside its slice; the slices cannot overlap
        // because `out` is borrowed mutably.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.as_mut_ptr(),
                1,
                ldc as isize,
                accumulate,
                a.0.as_ptr(),
                a.2,
                a.1,
                b.0.as_ptr(),
                b.2,
                b.1,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// Row-major operand with a leading dimension.
pub(super) fn plain(values: &[f32], ld: usize) -> (&[f32], isize, isize) {
    (values, ld as isize, 1)
}

/// The same, transposed.
pub(super) fn transposed(values: &[f32], ld: usize) -> (&[f32], isize, isize) {
    (values, 1, ld as isize)
}
