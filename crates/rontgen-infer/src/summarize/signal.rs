//! The directions in which the *expected* counts vary, measured against their Poisson noise: what a linear summary can hold of the
//! parameters is in them, and they are found without any training.
//!
//! z = (2 sqrt(x + 3/8) - centre) / sigma, with sigma the Poisson noise of the root at the mean expected counts (1 for bright bins),
//! makes noise white. The principal directions of the z of noise-free spectra come from a randomised range finder (Halko, Martinsson &
//! Tropp 2011): a few products on the device, orthogonalised on the host in f64 between them, so that directions a ten thousandth as
//! strong as the first keep their digits in f32. A direction in which expected spectra scatter by s noise standard deviations tells
//! 1/2 ln(1 + s^2) nat at most; as many are kept as leave only [`SPARE_INFORMATION`] nat behind. Principal components of *noisy* spectra
//! ([`super::Pca`]) spend most of theirs on noise.

use super::projection::{Projection, ProjectionState};
use super::rows::chosen;
use super::{Spectra, Summary, TrainingData};
use crate::device::{Device, Tensor};
use crate::kernels::gather;
use crate::kernels::gemm::{Epilogue, Matrix, MatrixMut, gemm};
use crate::kernels::stabilize::{self, Form};
use crate::nn::{Epoch, FitSettings, History};
use crate::{InferError, Result};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Directions that are looked for, of which the last few only help the others.
const TRIED_DIRECTIONS: usize = 48;
/// Products with Z^T Z, the first two of which are the range finder's power iterations.
const ITERATIONS: usize = 3;
/// What all directions left out may tell together \[nat\].
const SPARE_INFORMATION: f64 = 0.02;

/// A projection onto the directions of the signal.
#[derive(Debug)]
pub struct Signal {
    device: Device,
    bins: usize,
    form: Form,
    /// Centres and weights; orthonormal directions by falling scatter, or as many as before, turned onto those.
    fitted: Option<Projection>,
    /// Whether they carry on the meaning of those of the training before.
    turned: bool,
}

/// The standard deviation of a form of X ~ Poisson(mean); above a mean of 30 to 3 %, from where on the root's is 1 and ln(1 + X)'s
/// sqrt(mean) / (1 + mean).
pub(super) fn noise(form: Form, mean: f64) -> f64 {
    match form {
        Form::Linear => mean.sqrt(),
        Form::Root if mean >= FEW_COUNTS => 1.0,
        Form::Log if mean >= FEW_COUNTS => mean.sqrt() / (1.0 + mean),
        Form::Root | Form::Log => moments_of_few(form, mean).1,
    }
}

/// Below this mean, [`moments_of_few`] are exact.
pub(crate) const FEW_COUNTS: f64 = 30.0;

/// Mean and standard deviation of a form of X ~ Poisson(mean), for means below [`FEW_COUNTS`].
pub(crate) fn moments_of_few(form: Form, mean: f64) -> (f64, f64) {
    let of: fn(f64) -> f64 = match form {
        Form::Linear => |x| x,
        Form::Root => |x| 2.0 * (x + 0.375).sqrt(),
        Form::Log => f64::ln_1p,
    };
    let mut probability = (-mean).exp();
    let (mut first, mut second) = (0.0, 0.0);
    // Below e-20 from here on.
    for x in 0..120 {
        let z = of(f64::from(x));
        first += probability * z;
        second += probability * z * z;
        probability *= mean / f64::from(x + 1);
    }
    (first, (second - first * first).max(0.0).sqrt())
}

impl Signal {
    /// Spectra whose directions are found: the newest, which lie closest around the observation.
    pub const ROWS: usize = 4096;
    /// Most directions that are kept.
    pub const MOST: usize = 40;

    /// The signal of spectra of `bins` bins.
    pub fn new(device: &Device, bins: usize, form: Form) -> Self {
        Self { device: device.clone(), bins, form, fitted: None, turned: false }
    }

    /// Downloads what a checkpoint needs, if it has been fitted; the second is whether the directions were turned onto those before.
    pub fn state(&self) -> Result<Option<(ProjectionState, bool)>> {
        let state = |fitted: &Projection| Ok((fitted.state()?, self.turned));
        self.fitted.as_ref().map(state).transpose()
    }

    /// Brings a checkpoint's state back; `turned` is as [`Signal::state`] gives it.
    ///
    /// # Errors
    /// [`InferError::Unfit`] when it belongs to spectra of other bins.
    pub fn restore(&mut self, state: &ProjectionState, turned: bool) -> Result<()> {
        self.fitted = Some(Projection::restored(&self.device, "signal directions", self.bins, state)?);
        self.turned = turned;
        Ok(())
    }

    fn fitted(&self) -> Result<&Projection> {
        self.fitted.as_ref().ok_or_else(|| InferError::Unfit("signal directions: encoding before any training".into()))
    }

    /// The directions of the newest of the spectra, as many as leave [`SPARE_INFORMATION`] nat behind.
    ///
    /// # Errors
    /// [`InferError::Unfit`] for expected counts that are not finite, and device failures.
    pub(super) fn find(&self, device: &Device, data: &TrainingData<'_>) -> Result<Directions> {
        let rows = chosen(device, data);
        let n = rows.len().min(Self::ROWS);
        let newest: Vec<u32> = rows.download()?.split_off(rows.len() - n);
        let rows = Tensor::from_slice(device, n, 1, &newest);
        let scale = self.scale(data.spectra, &rows)?;
        let (directions, mut scatter) = self.directions(data.spectra, &rows, &scale)?;
        let k = kept(&scatter);
        tracing::info!(k, ?scatter, "signal directions");
        scatter.truncate(k);
        let mut directions = directions.columns(0, k).into_owned();
        for mut column in directions.column_iter_mut() {
            // Signs are arbitrary: the largest entry is made positive.
            if column[column.iamax()] < 0.0 {
                column.neg_mut();
            }
        }
        Ok(Directions { scale, directions, scatter })
    }

    /// Calls `each` with the transformed spectra of a batch of `rows`, noise-free where there are expected counts.
    fn each_batch(
        &self,
        spectra: Spectra<'_>,
        rows: &Tensor<u32>,
        scale: &Tensor<f32>,
        each: &mut dyn FnMut(&Tensor<f32>),
    ) {
        let (device, bins) = (&self.device, self.bins);
        let fits = (device.binding_limit() / (4 * bins.max(1) as u64)).max(1) as usize;
        let batch = rows.len().min(fits).min(Self::ROWS);
        let mut buffers: Option<(Tensor<f32>, Tensor<f32>)> = None;
        for first in (0..rows.len()).step_by(batch.max(1)) {
            let n = batch.min(rows.len() - first);
            let (mut counts, mut z) = buffers
                .take()
                .filter(|(counts, _)| counts.rows() == n)
                .unwrap_or_else(|| (Tensor::empty(device, n, bins), Tensor::empty(device, n, bins)));
            gather::gather(device, spectra.blocks(), rows, first, &mut counts);
            stabilize::apply(device, self.form, &counts, 0, scale, &mut z);
            each(&z);
            buffers = Some((counts, z));
        }
    }

    /// Means over `rows` of the transformed spectra.
    fn means(&self, spectra: Spectra<'_>, rows: &Tensor<u32>, scale: &Tensor<f32>) -> Result<Vec<f32>> {
        let device = &self.device;
        let share = 1.0 / rows.len().max(1) as f32;
        let mut sum = Tensor::zeros(device, 1, self.bins);
        self.each_batch(spectra, rows, scale, &mut |z| {
            let shares = Tensor::from_slice(device, 1, z.rows(), &vec![share; z.rows()]);
            add(device, Matrix::whole(&shares), Matrix::whole(z), &mut sum);
        });
        Ok(sum.download()?)
    }

    /// Centres and weights: the mean of what is expected, and one over its Poisson noise.
    fn scale(&self, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        let (device, bins) = (&self.device, self.bins);
        let plain = Tensor::from_slice(device, 1, 2 * bins, &[vec![0.0; bins], vec![1.0; bins]].concat());
        let linear = Signal::new(device, bins, Form::Linear);
        let counts = linear.means(spectra, rows, &plain)?;
        let weight = |mean: &f32| (1.0 / noise(self.form, f64::from(*mean).max(1e-12))) as f32;
        let weights: Vec<f32> = counts.iter().map(weight).collect();
        let centres = self.means(spectra, rows, &plain)?;
        Ok(Tensor::from_slice(device, 1, 2 * bins, &[centres, weights].concat()))
    }

    /// The directions by falling scatter, with that scatter in standard deviations of the noise: (D x l column-major, l).
    fn directions(
        &self,
        spectra: Spectra<'_>,
        rows: &Tensor<u32>,
        scale: &Tensor<f32>,
    ) -> Result<(DMatrix<f64>, Vec<f64>)> {
        let (device, bins) = (&self.device, self.bins);
        let l = TRIED_DIRECTIONS.min(bins).min(rows.len());
        // Any start will do; the same one makes the same directions.
        let mut random = Pcg64::seed_from_u64(bins as u64);
        let mut basis = DMatrix::from_fn(bins, l, |_, _| random.random_range(-1.0..1.0));
        for _ in 0..ITERATIONS {
            let v = upload(device, &basis.qr().q());
            let mut w = Tensor::zeros(device, bins, l);
            self.each_batch(spectra, rows, scale, &mut |z| {
                let mut y = Tensor::empty(device, z.rows(), l);
                gemm(device, Matrix::whole(z), Matrix::whole(&v), &mut MatrixMut::whole(&mut y), Epilogue::default());
                add(device, Matrix::whole(z).t(), Matrix::whole(&y), &mut w);
            });
            let w = w.download()?;
            basis = DMatrix::from_fn(bins, l, |i, j| f64::from(w[i * l + j]));
        }
        let q = basis.qr().q();
        let v = upload(device, &q);
        let mut gram = Tensor::zeros(device, l, l);
        self.each_batch(spectra, rows, scale, &mut |z| {
            let mut y = Tensor::empty(device, z.rows(), l);
            gemm(device, Matrix::whole(z), Matrix::whole(&v), &mut MatrixMut::whole(&mut y), Epilogue::default());
            add(device, Matrix::whole(&y).t(), Matrix::whole(&y), &mut gram);
        });
        let gram = gram.download()?;
        let at = |i: usize, j: usize| f64::from(gram[i * l + j]) / rows.len() as f64;
        let matrix = DMatrix::from_fn(l, l, |i, j| 0.5 * (at(i, j) + at(j, i)));
        if matrix.iter().any(|value| !value.is_finite()) {
            return Err(InferError::Unfit("signal directions: expected counts that are not finite".into()));
        }
        let eigen = SymmetricEigen::new(matrix);
        let mut order: Vec<usize> = (0..l).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let turned = q * DMatrix::from_fn(l, l, |i, j| eigen.eigenvectors[(i, order[j])]);
        let scatter = order.iter().map(|&j| eigen.eigenvalues[j].max(0.0).sqrt()).collect();
        Ok((turned, scatter))
    }
}

/// What [`Signal::find`] finds.
pub(super) struct Directions {
    /// Centres and weights: `1 x 2D`.
    pub scale: Tensor<f32>,
    /// Orthonormal columns by falling scatter, `D x k`.
    pub directions: DMatrix<f64>,
    /// How far noise-free spectra scatter along them, in standard deviations of the noise.
    pub scatter: Vec<f64>,
}

fn add<'a>(
    device: &Device,
    a: impl Into<crate::kernels::matrix::Operand<'a>>,
    b: impl Into<crate::kernels::matrix::Operand<'a>>,
    sum: &mut Tensor<f32>,
) {
    gemm(device, a, b, &mut MatrixMut::whole(sum), Epilogue { accumulate: true, ..Default::default() });
}

fn upload(device: &Device, matrix: &DMatrix<f64>) -> Tensor<f32> {
    let (rows, cols) = matrix.shape();
    let values: Vec<f32> = (0..rows * cols).map(|i| matrix[(i / cols, i % cols)] as f32).collect();
    Tensor::from_slice(device, rows, cols, &values)
}

fn download(tensor: &Tensor<f32>) -> Result<DMatrix<f64>> {
    let (values, cols) = (tensor.download()?, tensor.cols());
    Ok(DMatrix::from_fn(tensor.rows(), cols, |i, j| f64::from(values[i * cols + j])))
}

/// As many vectors as `before` has, in the space of `directions` alone and as near to those of `before` as they can be (orthogonal
/// Procrustes problem, Schoenemann 1966), so that a density that has learnt on those can go on. Where there are fewer directions than
/// before, no noise comes in for those that have lost their signal: what is left of them is a mixture of the others.
fn onto(directions: DMatrix<f64>, before: &DMatrix<f64>) -> DMatrix<f64> {
    let svd = (directions.transpose() * before).svd(true, true);
    match (svd.u, svd.v_t) {
        (Some(u), Some(v_t)) => directions * (u * v_t),
        _ => directions,
    }
}

/// How many directions leave at most [`SPARE_INFORMATION`] nat to those after them.
pub(crate) fn kept(scatter: &[f64]) -> usize {
    let mut spare = 0.0;
    let mut k = scatter.len();
    while k > 1 {
        spare += 0.5 * (scatter[k - 1] * scatter[k - 1]).ln_1p();
        if spare > SPARE_INFORMATION {
            break;
        }
        k -= 1;
    }
    k.min(Signal::MOST)
}

impl Summary for Signal {
    fn size(&self) -> usize {
        self.fitted.as_ref().map_or(Self::MOST.min(self.bins), |fitted| fitted.basis.cols())
    }

    fn lasting(&self) -> bool {
        self.turned
    }

    fn train(
        &mut self,
        device: &Device,
        data: &TrainingData<'_>,
        _fit: &FitSettings,
        _on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
    ) -> Result<History> {
        super::check_bins("signal directions", data.spectra.blocks().cols(), self.bins)?;
        let Directions { scale, mut directions, .. } = self.find(device, data)?;
        let k = directions.ncols();
        self.turned = false;
        if let Some(before) = self.fitted.as_ref().filter(|before| before.basis.cols() >= k) {
            directions = onto(directions, &download(&before.basis)?);
            self.turned = true;
        }
        self.fitted = Some(Projection { scale, basis: upload(device, &directions) });
        Ok(History::default())
    }

    fn encode(&self, device: &Device, spectra: Spectra<'_>, rows: &Tensor<u32>) -> Result<Tensor<f32>> {
        super::check_bins("signal directions", spectra.blocks().cols(), self.bins)?;
        let transform = |counts: &_, scale: &_, z: &mut _| stabilize::apply(device, self.form, counts, 0, scale, z);
        self.fitted()?.encode(device, spectra, rows, &transform)
    }

    fn encode_one(&self, device: &Device, counts: &Tensor<f32>) -> Result<Tensor<f32>> {
        super::check_bins("signal directions", counts.cols(), self.bins)?;
        let transform = |counts: &_, scale: &_, z: &mut _| stabilize::apply(device, self.form, counts, 0, scale, z);
        Ok(self.fitted()?.encode_one(device, counts, &transform))
    }
}
