//! Products of small matrices on slices, for CPU twins that carry a tile per thread through a whole network.

pub(super) use gemm_common::Parallelism;

/// Multiplies an `m x k` by a `k x n` matrix of f32: `out = a b (+ out)`. Operands are a start and the strides from row to row and
/// from column to column, not negative; the result has rows `row` apart and its columns side by side. The crates below `gemm`
/// are called without it: its kernels for complex numbers and halves would be compiled and never run.
///
/// # Safety
/// Every element that shapes and strides reach can be read, those of the result written, and the result overlaps no operand.
pub(super) unsafe fn multiply(
    [m, n, k]: [usize; 3],
    a: (*const f32, isize, isize),
    b: (*const f32, isize, isize),
    (out, row, accumulate): (*mut f32, usize, bool),
    parallelism: Parallelism,
) {
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    // The inner loops want columns side by side in memory: out' = b' a'. Where both strides are 1, the plain product is taken.
    let ([m, n], lhs, rhs, [rows, cols]) = match row {
        2.. => ([n, m], (b.0, b.2, b.1), (a.0, a.2, a.1), [1, row as isize]),
        _ => ([m, n], a, b, [row as isize, 1]),
    };
    // SAFETY: the caller's promise.
    unsafe {
        product(
            m,
            n,
            k,
            out,
            cols,
            rows,
            accumulate,
            lhs.0,
            lhs.2,
            lhs.1,
            rhs.0,
            rhs.2,
            rhs.1,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

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
        // SAFETY: the three assertions above keep every element that the product touches inside its slice; the slices cannot overlap
        // because `out` is borrowed mutably.
        unsafe {
            multiply(
                [m, n, k],
                (a.0.as_ptr(), a.1, a.2),
                (b.0.as_ptr(), b.1, b.2),
                (out.as_mut_ptr(), ldc, accumulate),
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
