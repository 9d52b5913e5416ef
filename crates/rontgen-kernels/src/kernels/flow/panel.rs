//! Products on panels: [`PANEL`] samples side by side, feature after feature, so that weights are read in place, one at a time,
//! and every sample has its lane.
//!
//! A panel of `F` features is `F x PANEL` numbers; panels of one array lie `stride` numbers apart. Everything here takes raw
//! pointers, since the loops are too short for checks: [`super::tile`] sizes the arrays.

use super::lanes::{Lanes, WIDTH, for_lanes, tanh};

/// Samples of a panel: two registers.
pub(super) const PANEL: usize = 16;
const HALVES: usize = PANEL / WIDTH;

/// Sums under way: `M` features of a panel.
pub(super) type Sums<V, const M: usize> = [[V; HALVES]; M];

/// Rows of results that fill the registers.
pub(super) const BLOCK: usize = 6;

/// Calls `$run` with the constant `$m` = `$count` (1 to 6).
macro_rules! with_count {
    ($count:expr, $m:ident => $run:expr) => {
        match $count {
            6 => {
                const $m: usize = 6;
                $run
            }
            5 => {
                const $m: usize = 5;
                $run
            }
            4 => {
                const $m: usize = 4;
                $run
            }
            3 => {
                const $m: usize = 3;
                $run
            }
            2 => {
                const $m: usize = 2;
                $run
            }
            _ => {
                const $m: usize = 1;
                $run
            }
        }
    };
}
pub(super) use with_count;

#[inline(always)]
pub(super) fn zeros<V: Lanes, const M: usize>() -> Sums<V, M> {
    [[V::splat(0.0); HALVES]; M]
}

/// The same start for all samples.
///
/// # Safety
/// `M` numbers can be read from `bias`.
#[inline(always)]
pub(super) unsafe fn biases<V: Lanes, const M: usize>(bias: *const f32) -> Sums<V, M> {
    let mut sums = zeros::<V, M>();
    for (r, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *sum = [V::splat(unsafe { *bias.add(r) }); HALVES];
    }
    sums
}

/// `sums[r] += sum over c < n of a[r * rows + c * cols] * panel[c]`.
///
/// # Safety
/// All these elements of `a` and `n` features of the panel can be read.
#[inline(always)]
pub(super) unsafe fn accumulate<V: Lanes, const M: usize>(
    sums: &mut Sums<V, M>,
    (mut a, rows, cols): (*const f32, usize, usize),
    mut panel: *const f32,
    n: usize,
) {
    let mut now = *sums;
    for _ in 0..n {
        // SAFETY: the caller's promise; the pointers end at most one step beyond what they may read, unread.
        unsafe {
            let values = [V::load(panel), V::load(panel.add(WIDTH))];
            for (r, sum) in now.iter_mut().enumerate() {
                let weight = V::splat(*a.add(r * rows));
                for (sum, value) in sum.iter_mut().zip(values) {
                    *sum = weight.fma(value, *sum);
                }
            }
            a = a.wrapping_add(cols);
            panel = panel.wrapping_add(PANEL);
        }
    }
    *sums = now;
}

/// As [`accumulate`], the rows of `a` being wherever `rows` says.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn accumulate_rows<V: Lanes, const M: usize>(
    sums: &mut Sums<V, M>,
    (a, rows, cols): (*const f32, &[usize], usize),
    mut panel: *const f32,
    n: usize,
) {
    let mut now = *sums;
    let mut from = [a; M];
    for (from, row) in from.iter_mut().zip(rows) {
        *from = from.wrapping_add(*row);
    }
    for _ in 0..n {
        // SAFETY: as above.
        unsafe {
            let values = [V::load(panel), V::load(panel.add(WIDTH))];
            for (from, sum) in from.iter_mut().zip(&mut now) {
                let weight = V::splat(**from);
                for (sum, value) in sum.iter_mut().zip(values) {
                    *sum = weight.fma(value, *sum);
                }
                *from = from.wrapping_add(cols);
            }
            panel = panel.wrapping_add(PANEL);
        }
    }
    *sums = now;
}

/// Writes `M` features.
///
/// # Safety
/// They can be written.
#[inline(always)]
pub(super) unsafe fn put<V: Lanes, const M: usize>(sums: Sums<V, M>, panel: *mut f32) {
    for (r, sum) in sums.into_iter().enumerate() {
        for (half, value) in sum.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { value.store(panel.add(r * PANEL + half * WIDTH)) };
        }
    }
}

/// Writes tanh of `M` features.
///
/// # Safety
/// They can be written.
#[inline(always)]
pub(super) unsafe fn put_tanh<V: Lanes, const M: usize>(sums: Sums<V, M>, panel: *mut f32) {
    for (r, sum) in sums.into_iter().enumerate() {
        for (half, value) in sum.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { tanh(value).store(panel.add(r * PANEL + half * WIDTH)) };
        }
    }
}

/// Writes `M` features multiplied by the slope of tanh, `1 - active^2`.
///
/// # Safety
/// They can be read from `active` and written.
#[inline(always)]
pub(super) unsafe fn put_sloped<V: Lanes, const M: usize>(sums: Sums<V, M>, active: *const f32, panel: *mut f32) {
    for (r, sum) in sums.into_iter().enumerate() {
        for (half, value) in sum.into_iter().enumerate() {
            let at = r * PANEL + half * WIDTH;
            // SAFETY: the caller's promise.
            unsafe {
                let active = V::load(active.add(at));
                V::splat(1.0).sub(active.mul(active)).mul(value).store(panel.add(at));
            }
        }
    }
}

/// An array of panels: where the first begins, and how far apart they are.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub start: *const f32,
    pub stride: usize,
}

impl Panels {
    /// From a feature on.
    pub fn from(self, feature: usize) -> Self {
        Self { start: self.start.wrapping_add(feature * PANEL), ..self }
    }
}

/// `out[i * ld + j]` = (or `+=`) the sum over samples of `x[i] d[j]`, for `I x J` features.
///
/// # Safety
/// These features of `panels` panels can be read, and the elements of `out` written.
#[inline(always)]
unsafe fn outer_block<V: Lanes, const I: usize, const J: usize>(
    (x, d, panels): (Panels, Panels, usize),
    (out, ld): (*mut f32, usize),
    add: bool,
) {
    let mut sums = [[V::splat(0.0); J]; I];
    for panel in 0..panels {
        let (x, d) = (x.start.wrapping_add(panel * x.stride), d.start.wrapping_add(panel * d.stride));
        for half in 0..HALVES {
            let mut xs = [V::splat(0.0); I];
            // SAFETY: the caller's promise.
            unsafe {
                for (i, x_i) in xs.iter_mut().enumerate() {
                    *x_i = V::load(x.add(i * PANEL + half * WIDTH));
                }
                for j in 0..J {
                    let d = V::load(d.add(j * PANEL + half * WIDTH));
                    for (sums, x) in sums.iter_mut().zip(xs) {
                        sums[j] = x.fma(d, sums[j]);
                    }
                }
            }
        }
    }
    for (i, sums) in sums.into_iter().enumerate() {
        let mut four = [V::splat(0.0); 4];
        four[..J].copy_from_slice(&sums);
        if J == 4 {
            // SAFETY: the caller's promise.
            unsafe { V::put_sums(four, out.add(i * ld), add) };
            continue;
        }
        let four = V::sums(four);
        for (j, sum) in four.into_iter().take(J).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let out = out.add(i * ld + j);
                *out = if add { *out + sum } else { sum };
            }
        }
    }
}

/// Rows and columns of [`outer`] that fill the registers.
const OUTER_EXTENT: (usize, usize) = (3, 4);
/// Columns whose panels stay in the nearest cache while all rows pass.
const STRIP: usize = 16;

for_lanes! {
/// As [`outer_block`], for `rows x cols` features; `first[i]` (0 where there is none) is the first column that row `i` reaches, not falling
/// with `i`, and what lies before it may or may not be written.
///
/// # Safety
/// As there.
pub(super) unsafe fn outer<V>(
    xs: (Panels, usize),
    ds: (Panels, usize),
    panels: usize,
    first: &[usize],
    target: (*mut f32, usize),
    add: bool,
) {
    let ((x, rows), (d, cols), (out, ld)) = (xs, ds, target);
    for strip in (0..cols).step_by(STRIP) {
        let end = (strip + STRIP).min(cols);
        for i in (0..rows).step_by(OUTER_EXTENT.0) {
            let from = first.get(i).copied().unwrap_or_default();
            if from >= end {
                break;
            }
            for j in (strip..end).step_by(OUTER_EXTENT.1) {
                if j + OUTER_EXTENT.1 <= from {
                    continue;
                }
                let operands = (x.from(i), d.from(j), panels);
                let target = (out.wrapping_add(i * ld + j), ld);
                // SAFETY: the caller's promise, for a part of the features.
                unsafe {
                    match ((rows - i).min(OUTER_EXTENT.0), (end - j).min(OUTER_EXTENT.1)) {
                        (3, 4) => outer_block::<V, 3, 4>(operands, target, add),
                        (3, 2) => outer_block::<V, 3, 2>(operands, target, add),
                        (2, 4) => outer_block::<V, 2, 4>(operands, target, add),
                        (1, 4) => outer_block::<V, 1, 4>(operands, target, add),
                        (height, width) => {
                            for i in 0..height {
                                for j in 0..width {
                                    let target = (target.0.wrapping_add(i * ld + j), ld);
                                    outer_block::<V, 1, 1>((operands.0.from(i), operands.1.from(j), panels), target, add);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
}

for_lanes! {
/// `out[j]` = (or `+=`) the sum over samples of feature `j`.
///
/// # Safety
/// `cols` features of `panels` panels can be read.
pub(super) unsafe fn feature_sums<V>(d: Panels, panels: usize, out: &mut [f32], add: bool) {
    for (j, out) in out.chunks_mut(4).enumerate() {
        let mut four = [V::splat(0.0); 4];
        for panel in 0..panels {
            let d = d.from(4 * j).start.wrapping_add(panel * d.stride);
            for (i, sum) in four.iter_mut().take(out.len()).enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    *sum = sum.add(V::load(d.add(i * PANEL)).add(V::load(d.add(i * PANEL + WIDTH))));
                }
            }
        }
        for (out, sum) in out.iter_mut().zip(V::sums(four)) {
            *out = if add { *out + sum } else { sum };
        }
    }
}
}
