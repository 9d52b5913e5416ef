//! The CPU's fold: sixteen spectra in the lanes of two vectors, four rows of the response at a time.
//!
//! The flux of a tile is turned energy-major first and the expected counts back at the end: both are cheap against what they
//! save, as neither rows of a few elements nor long ones then need sums across lanes.

use super::{CPU_ROWS, CPU_SPECTRA, FoldPlan, PlanForm, Segment};

/// This is the working memory of [`fold_tile`]; each thread has one.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Energies x [`CPU_SPECTRA`].
    flux: Vec<f32>,
    /// Bins (whole strips) x [`CPU_SPECTRA`].
    means: Vec<f32>,
    /// [`CPU_SPECTRA`] x bins, of what is added to the output.
    rows: Vec<f32>,
}

/// The counts of a tile go here in rows of `cols` numbers; see [`super::Window`].
#[derive(Debug, Clone, Copy)]
pub struct TileWindow<'a> {
    /// Numbers of a row of the output.
    pub cols: usize,
    /// First number of a row that is written.
    pub column: usize,
    /// Numbers that multiply the rows, one per spectrum of the tile; `None`: one.
    pub weights: Option<&'a [f32]>,
    /// Whether the counts are added to what is there, instead of replacing it.
    pub accumulate: bool,
}

type Lanes = [f32; CPU_SPECTRA];
/// Columns that are summed on their own before they are added to the rest: rounding then grows with the root of 32, not with that
/// of a thousand columns, and stays below what a million counts notice.
const PART_COLUMNS: usize = 32;
/// Side of the squares that are transposed in registers.
const SQUARE_SIDE: usize = 8;

/// Folds up to [`CPU_SPECTRA`] spectra on one thread: `flux` holds that many rows of `stride` (see [`super::cpu_stride`])
/// numbers, `out` as many rows of D as are wanted.
///
/// # Panics
/// On a plan made for a GPU.
pub fn fold_tile(plan: &FoldPlan, flux: &[f32], stride: usize, out: &mut [f32], scratch: &mut Scratch) {
    let window = TileWindow { cols: plan.bins, column: 0, weights: None, accumulate: false };
    fold_tile_into(plan, flux, stride, out, window, scratch);
}

/// Folds as [`fold_tile`] into a window of `out`, which holds as many rows of `window.cols` numbers as are wanted.
///
/// # Panics
/// On a plan made for a GPU; when the window is wider than the rows.
pub fn fold_tile_into(
    plan: &FoldPlan,
    flux: &[f32],
    stride: usize,
    out: &mut [f32],
    window: TileWindow<'_>,
    scratch: &mut Scratch,
) {
    assert!(window.column + plan.bins <= window.cols, "fold: columns");
    let PlanForm::Cpu(strips) = &plan.form else { panic!("fold: the plan was made for another device") };
    let wide = wide();
    let energies = plan.energies.next_multiple_of(SQUARE_SIDE);
    scratch.flux.resize(energies * CPU_SPECTRA, 0.0);
    scratch.means.resize(plan.bins.next_multiple_of(CPU_ROWS) * CPU_SPECTRA, 0.0);
    transpose(wide, &flux[..CPU_SPECTRA * stride], stride, energies, &mut scratch.flux, CPU_SPECTRA);
    let (columns, _) = scratch.flux.as_chunks::<CPU_SPECTRA>();
    let (rows, _) = scratch.means.as_chunks_mut::<CPU_SPECTRA>();
    let (rows, _) = rows.as_chunks_mut::<CPU_ROWS>();
    for (range, rows) in strips.start.windows(2).zip(rows) {
        let mut sums = [[0f32; CPU_SPECTRA]; CPU_ROWS];
        for &Segment { column, columns: n, offset } in &strips.segments[range[0] as usize..range[1] as usize] {
            let (values, _) = strips.values[offset as usize..][..n as usize * CPU_ROWS].as_chunks::<CPU_ROWS>();
            let flux = &columns[column as usize..][..n as usize];
            for (values, flux) in values.chunks(PART_COLUMNS).zip(flux.chunks(PART_COLUMNS)) {
                accumulate(wide, values, flux, &mut sums);
            }
        }
        for (row, sums) in rows.iter_mut().zip(&sums) {
            for l in 0..CPU_SPECTRA {
                row[l] = if sums[l] < plan.least { plan.least } else { sums[l] };
            }
        }
    }
    let wanted = out.len().checked_div(window.cols).unwrap_or(0).min(CPU_SPECTRA);
    if wanted == 0 || plan.bins == 0 {
        return;
    }
    let means = &mut scratch.means[..plan.bins * CPU_SPECTRA];
    if let Some(weights) = window.weights {
        let mut lanes = [0f32; CPU_SPECTRA];
        lanes.iter_mut().zip(weights).for_each(|(lane, weight)| *lane = *weight);
        for row in means.as_chunks_mut::<CPU_SPECTRA>().0 {
            row.iter_mut().zip(&lanes).for_each(|(mean, weight)| *mean *= weight);
        }
    }
    if window.accumulate {
        scratch.rows.resize(CPU_SPECTRA * plan.bins, 0.0);
        transpose(wide, means, CPU_SPECTRA, wanted, &mut scratch.rows, plan.bins);
        for (out, row) in out.chunks_mut(window.cols).zip(scratch.rows.chunks(plan.bins)) {
            out[window.column..].iter_mut().zip(row).for_each(|(out, mean)| *out += mean);
        }
    } else {
        transpose(wide, means, CPU_SPECTRA, wanted, &mut out[window.column..], window.cols);
    }
}

/// Does the machine have AVX2 and FMA?
fn wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Adds the sum of the products of some columns.
#[inline(always)]
fn accumulate(wide: bool, values: &[[f32; CPU_ROWS]], flux: &[Lanes], sums: &mut [Lanes; CPU_ROWS]) {
    #[cfg(target_arch = "x86_64")]
    if wide {
        // SAFETY: `wide` says that the machine has both instruction sets.
        return unsafe { accumulate_avx2(values, flux, sums) };
    }
    let _ = wide;
    let mut part = [[0f32; CPU_SPECTRA]; CPU_ROWS];
    for (values, flux) in values.iter().zip(flux) {
        for (part, value) in part.iter_mut().zip(values) {
            for l in 0..CPU_SPECTRA {
                part[l] += value * flux[l];
            }
        }
    }
    for (sums, part) in sums.iter_mut().zip(&part) {
        for l in 0..CPU_SPECTRA {
            sums[l] += part[l];
        }
    }
}

/// The same with its eight sums held in registers, which the compiler does not find by itself.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn accumulate_avx2(values: &[[f32; CPU_ROWS]], flux: &[Lanes], sums: &mut [Lanes; CPU_ROWS]) {
    use std::arch::x86_64::{
        _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    let load = |lanes: &Lanes| {
        // SAFETY: sixteen numbers are there, and any alignment will do.
        unsafe { [_mm256_loadu_ps(lanes.as_ptr()), _mm256_loadu_ps(lanes.as_ptr().add(SQUARE_SIDE))] }
    };
    let mut registers = [[_mm256_setzero_ps(); 2]; CPU_ROWS];
    for (values, flux) in values.iter().zip(flux) {
        let flux = load(flux);
        for (register, value) in registers.iter_mut().zip(values) {
            let value = _mm256_set1_ps(*value);
            register[0] = _mm256_fmadd_ps(value, flux[0], register[0]);
            register[1] = _mm256_fmadd_ps(value, flux[1], register[1]);
        }
    }
    for (lanes, [low, high]) in sums.iter_mut().zip(registers) {
        let before = load(lanes);
        // SAFETY: room for sixteen numbers.
        unsafe {
            _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(before[0], low));
            _mm256_storeu_ps(lanes.as_mut_ptr().add(SQUARE_SIDE), _mm256_add_ps(before[1], high));
        }
    }
}

/// `to[c][r] = from[r][c]` for all rows of `from` (as many as fill it) and its first `columns` columns.
fn transpose(wide: bool, from: &[f32], from_stride: usize, columns: usize, to: &mut [f32], to_stride: usize) {
    let rows = from.len() / from_stride;
    let (whole_rows, whole_columns) = (rows / SQUARE_SIDE * SQUARE_SIDE, columns / SQUARE_SIDE * SQUARE_SIDE);
    for r in (0..whole_rows).step_by(SQUARE_SIDE) {
        for c in (0..whole_columns).step_by(SQUARE_SIDE) {
            let (from, to) = (&from[r * from_stride + c..], &mut to[c * to_stride + r..]);
            #[cfg(target_arch = "x86_64")]
            if wide {
                // SAFETY: `wide` says that the machine has the instruction set.
                unsafe { square_avx2(from, from_stride, to, to_stride) };
                continue;
            }
            let _ = wide;
            for i in 0..SQUARE_SIDE {
                for j in 0..SQUARE_SIDE {
                    to[j * to_stride + i] = from[i * from_stride + j];
                }
            }
        }
    }
    for r in 0..rows {
        let done = if r < whole_rows { whole_columns } else { 0 };
        for c in done..columns {
            to[c * to_stride + r] = from[r * from_stride + c];
        }
    }
}

/// Transposes an 8 x 8 square.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn square_avx2(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    use std::arch::x86_64::{
        __m256, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps,
        _mm256_unpacklo_ps,
    };
    let rows: [__m256; SQUARE_SIDE] = std::array::from_fn(|i| {
        let row = &from[i * from_stride..][..SQUARE_SIDE];
        // SAFETY: eight numbers are there, and any alignment will do.
        unsafe { _mm256_loadu_ps(row.as_ptr()) }
    });
    let pairs: [__m256; SQUARE_SIDE] = std::array::from_fn(|i| {
        let (a, b) = (rows[i / 2 * 2], rows[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
    });
    // Columns 0 and 4, 1 and 5, 2 and 6, 3 and 7 of four rows each.
    let quads: [__m256; SQUARE_SIDE] = std::array::from_fn(|i| {
        let (half, column) = (i / 4 * 4, i % 4);
        let (a, b) = (pairs[half + column / 2], pairs[half + column / 2 + 2]);
        if column % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xee>(a, b) }
    });
    for column in 0..SQUARE_SIDE {
        let (a, b) = (quads[column % 4], quads[column % 4 + 4]);
        let line = if column < 4 { _mm256_permute2f128_ps::<0x20>(a, b) } else { _mm256_permute2f128_ps::<0x31>(a, b) };
        let slot = &mut to[column * to_stride..][..SQUARE_SIDE];
        // SAFETY: room for eight numbers.
        unsafe { _mm256_storeu_ps(slot.as_mut_ptr(), line) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposes_of_any_shape() {
        for (rows, columns) in [(16, 24), (16, 40), (13, 16), (3, 5), (8, 8), (19, 9)] {
            let stride = columns + 3;
            let from: Vec<f32> = (0..rows * stride).map(|i| i as f32).collect();
            for wide in [false, wide()] {
                let mut to = vec![-1f32; columns * (rows + 2)];
                transpose(wide, &from, stride, columns, &mut to, rows + 2);
                for c in 0..columns {
                    for r in 0..rows + 2 {
                        let want = if r < rows { from[r * stride + c] } else { -1.0 };
                        assert_eq!(to[c * (rows + 2) + r], want, "{rows} x {columns}: {r}, {c}");
                    }
                }
            }
        }
    }
}
