//! Loops over the columns of one row, or of the rows of a tile, between the products of the fused path. Widths are those of the
//! rows in memory, padding included: what happens there is never read.

use crate::kernels::activation::gelu_with_derivative;
use crate::kernels::vector::vectorised;

vectorised! {
    pub(super) fn add_bias(rows: &mut [f32], width: usize, bias: &[f32]) {
        for row in rows.chunks_exact_mut(width) {
            row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
    }
}

vectorised! {
    pub(super) fn add_rows(rows: &[f32], sums: &mut [f32]) {
        for row in rows.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
}

vectorised! {
    /// Means and sums of squared deviations of the columns, in two passes over a tile that is in cache.
    pub(super) fn tile_moments(rows: &[f32], width: usize, mean: &mut [f32], squares: &mut [f32]) {
        mean.fill(0.0);
        squares.fill(0.0);
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
        }
        let scale = width as f32 / rows.len() as f32;
        mean.iter_mut().for_each(|mean| *mean *= scale);
        for row in rows.chunks_exact(width) {
            for ((square, mean), x) in squares.iter_mut().zip(&*mean).zip(row) {
                *square += (x - mean) * (x - mean);
            }
        }
    }
}

vectorised! {
    pub(super) fn merge(mean: &mut [f32], squares: &mut [f32], other: &[f32], other_squares: &[f32], share: f32, cross: f32) {
        let each = mean.iter_mut().zip(squares.iter_mut()).zip(other).zip(other_squares);
        for (((mean, squares), other), other_squares) in each {
            let d = other - *mean;
            *mean += d * share;
            *squares += other_squares + d * d * cross;
        }
    }
}

vectorised! {
    pub(super) fn activate_row(h: &[f32], mean: &[f32], slope: &[f32], beta: &[f32], active: &mut [f32], derivative: &mut [f32]) {
        let columns = mean.iter().zip(slope).zip(beta);
        for (((out, derivative), &h), ((&mean, &slope), &beta)) in
            active.iter_mut().zip(derivative).zip(h).zip(columns)
        {
            (*out, *derivative) = gelu_with_derivative((h - mean) * slope + beta);
        }
    }
}

vectorised! {
    pub(super) fn infer_row(h: &mut [f32], mean: &[f32], slope: &[f32], beta: &[f32]) {
        for (((h, &mean), &slope), &beta) in h.iter_mut().zip(mean).zip(slope).zip(beta) {
            *h = gelu_with_derivative((*h - mean) * slope + beta).0;
        }
    }
}

vectorised! {
    pub(super) fn derive_row(
        d: &[f32],
        derivative: &[f32],
        h: &[f32],
        mean: &[f32],
        inverse: &[f32],
        delta: &mut [f32],
        sums: &mut [f32],
    ) {
        let width = delta.len();
        let (sums, products) = sums.split_at_mut(width);
        let (d, derivative, h) = (&d[..width], &derivative[..width], &h[..width]);
        let (mean, inverse) = (&mean[..width], &inverse[..width]);
        let (sums, products) = (&mut sums[..width], &mut products[..width]);
        for c in 0..width {
            let g = d[c] * derivative[c];
            delta[c] = g;
            sums[c] += g;
            products[c] += g * ((h[c] - mean[c]) * inverse[c]);
        }
    }
}

vectorised! {
    pub(super) fn unnormalise_row(
        delta: &[f32],
        h: &[f32],
        mean: &[f32],
        slope: &[f32],
        shift: &[f32],
        tilt: &[f32],
        out: &mut [f32],
    ) {
        let columns = mean.iter().zip(slope).zip(shift).zip(tilt);
        for (((out, delta), h), (((mean, slope), shift), tilt)) in out.iter_mut().zip(delta).zip(h).zip(columns) {
            *out = slope * (delta - shift - (h - mean) * tilt);
        }
    }
}
