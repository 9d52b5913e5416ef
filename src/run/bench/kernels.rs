//! Single kernels in the shapes that runs have.

use super::stages::{SOURCE, cases};
use super::{Bench, Work, product, scaled};
use crate::Result;
use crate::device::{Device, Tensor};
use crate::kernels::activation::Activation;
use crate::kernels::adam::AdamSettings;
use crate::kernels::background_stat::{BackgroundBin, BackgroundData, BackgroundStatistic, Place, background_stat};
use crate::kernels::batchnorm::{self, BatchNorm};
use crate::kernels::cstat::{self, Form, Rows};
use crate::kernels::fold::{self, Csr, FluxTile, FoldPlan, Window};
use crate::kernels::gemm::{Matrix, MatrixMut};
use crate::kernels::{gather, loss, poisson, random, reduce, standardize};
use crate::nn::ParameterStore;

/// Spectra, bins and hidden units of a batch.
struct Batch {
    case: &'static str,
    rows: usize,
    bins: usize,
    hidden: usize,
}

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let device = bench.device.clone();
    let shapes: [(&'static str, [usize; 3]); 2] =
        [("128 x 3000 x 1500", [128, 3000, 1500]), ("256 x 100 x 100", [256, 100, 100])];
    for (case, shape) in shapes {
        let row = product(
            bench.observer,
            &device,
            ["kernels", case, "product", "multiplications"],
            shape,
            Some(bench.peaks),
        )?;
        (bench.on_row)(&row);
        bench.rows.push(row);
    }
    optimiser(bench)?;
    for case in cases() {
        folding(bench, case.names[0], &case.folded)?;
    }
    let rows = scaled(&device, 128, 1024, 16_384);
    for batch in [
        Batch { case: "CCD", rows, bins: 104, hidden: 52 },
        Batch { case: "X-IFU", rows: rows.min(8192), bins: 2800, hidden: 256 },
    ] {
        spectra(bench, &batch)?;
        backgrounds(bench, &batch)?;
        network(bench, &batch)?;
    }
    device.check().map_err(crate::Error::from)
}

/// Work of `n` numbers that moves `bytes` per number.
fn moving(n: usize, bytes: f64) -> Work {
    Work { bytes: Some(bytes * n as f64), ..Work::units(n) }
}

fn optimiser(bench: &mut Bench<'_>) -> Result<()> {
    let n = scaled(&bench.device, 1 << 18, 1 << 22, 1 << 23);
    let mut store = ParameterStore::new(&bench.device, &vec![0.1; n]);
    random::fill_normal(&bench.device, 1, 0, 0, &mut store.gradient);
    let settings = AdamSettings { clip: 1.0, ..AdamSettings::default() };
    // The gradient twice (norm, update); value and two moments read and written.
    bench.measure(["kernels", "network", "adam", "parameters"], moving(n, 32.0), &mut || {
        store.adam_step(&settings);
        Ok(())
    })
}

fn folding(bench: &mut Bench<'_>, case: &'static str, folded: &crate::observation::FoldedResponse) -> Result<()> {
    let device = bench.device.clone();
    let csr =
        Csr { columns: folded.energies(), row_start: &folded.row_start, column: &folded.column, value: &folded.value };
    let plan = FoldPlan::new(&device, csr);
    let n = scaled(&device, 64, 128, 512);
    let mut flux = FluxTile::zeros(&device, n, folded.energies());
    random::fill_uniform(&device, 1, 0, 0, flux.tensor_mut());
    let mut out = Tensor::empty(&device, n, folded.bins());
    let work = Work::units(n).flop(2.0 * folded.nnz() as f64 * n as f64);
    bench.measure(["kernels", case, "fold", "spectra"], work, &mut || {
        fold::fold(&device, &plan, &flux, n, &mut out, Window::default());
        Ok(())
    })
}

/// Expected counts of 1 to 40 per bin.
fn means(device: &Device, rows: usize, bins: usize) -> Tensor<f32> {
    let values: Vec<f32> = (0..rows * bins).map(|i| 1.0 + 39.0 * (i % bins) as f32 / bins as f32).collect();
    Tensor::from_slice(device, rows, bins, &values)
}

/// What is done bin by bin.
fn spectra(bench: &mut Bench<'_>, &Batch { case, rows, bins, .. }: &Batch) -> Result<()> {
    let device = bench.device.clone();
    let n = rows * bins;
    let mean = means(&device, rows, bins);
    let mut counts = Tensor::empty(&device, rows, bins);
    bench.measure(["kernels", case, "poisson", "draws"], moving(n, 8.0), &mut || {
        poisson::poisson(&device, SOURCE, 0, &mean, 0, &mut counts, 0, rows);
        Ok(())
    })?;
    let mut out = Tensor::empty(&device, rows, 1);
    bench.measure(["kernels", case, "cstat", "bins"], moving(n, 8.0), &mut || {
        cstat::cstat(&device, Form::Cstat, &mean, &counts, &mut out, Rows { rows, ..Rows::default() });
        Ok(())
    })?;
    let index: Vec<u32> = (0..rows as u32).rev().collect();
    let index = Tensor::from_slice(&device, 1, rows, &index);
    let mut picked = Tensor::empty(&device, rows, bins);
    bench.measure(["kernels", case, "gather", "numbers"], moving(n, 8.0), &mut || {
        gather::gather_block(&device, &mean, 0, &index, 0, &mut picked);
        Ok(())
    })?;
    let statistics = [vec![2.0; bins], vec![0.7; bins]].concat();
    let scale = Tensor::from_slice(&device, 1, 2 * bins, &statistics);
    let mut input = Tensor::empty(&device, rows, bins.next_multiple_of(4));
    bench.measure(["kernels", case, "standardize", "numbers"], moving(n, 8.0), &mut || {
        standardize::apply(&device, &counts, 0, &scale, &mut input);
        Ok(())
    })?;
    // The gradient of a gradient means nothing, but costs the same.
    let mut losses = Tensor::empty(&device, 1, rows);
    bench.measure(["kernels", case, "loss and gradient", "bins"], moving(n, 12.0), &mut || {
        loss::cstat(&device, &counts, &scale, &mut input, &mut losses, Some(1e-3));
        Ok(())
    })
}

/// The statistics of a spectrum with a background: some 97 counts a bin, and 8 in the background's region of three times the size.
fn backgrounds(bench: &mut Bench<'_>, &Batch { case, rows, bins, .. }: &Batch) -> Result<()> {
    let device = bench.device.clone();
    let values: Vec<f32> = (0..rows * bins).map(|i| 2.0 + 185.0 * (i % bins) as f32 / bins as f32).collect();
    let data: Vec<BackgroundBin> = values[..bins]
        .iter()
        .map(|mean| BackgroundBin {
            source: f64::from(*mean).round() + 2.0,
            background: 8.0,
            scale: 0.3,
            error: 3.0,
            shape: 10.0,
            prior_mean: 8.0,
        })
        .collect();
    let mean = Tensor::from_slice(&device, rows, bins, &values);
    let mut out = Tensor::empty(&device, rows, 1);
    for (what, statistic) in [
        ("W", BackgroundStatistic::W),
        ("marginal", BackgroundStatistic::Marginal),
        ("pgstat", BackgroundStatistic::Pgstat),
        ("chi", BackgroundStatistic::Gaussian),
    ] {
        let data = BackgroundData::new(&device, statistic, &data).expect("counts that every statistic takes");
        bench.measure(["kernels", case, what, "bins"], moving(rows * bins, 4.0), &mut || {
            background_stat(&device, &data, &mean, &mut out, Place { rows, ..Place::default() });
            Ok(())
        })?;
    }
    Ok(())
}

/// What stands between the products of a hidden layer.
fn network(bench: &mut Bench<'_>, &Batch { case, rows, hidden, .. }: &Batch) -> Result<()> {
    let device = bench.device.clone();
    let n = rows * hidden;
    let norm = BatchNorm { cols: hidden, gamma: 0, beta: hidden, activation: Activation::Gelu };
    let value = Tensor::from_slice(&device, 1, 2 * hidden, &[vec![1.0; hidden], vec![0.1; hidden]].concat());
    let mut h = Tensor::empty(&device, rows, hidden);
    random::fill_normal(&device, 1, 0, 0, &mut h);
    let mut parts = Tensor::empty(&device, 1, batchnorm::scratch(rows, hidden));
    let mut statistics = Tensor::zeros(&device, 1, 2 * hidden);
    let mut running = Tensor::zeros(&device, 1, 2 * hidden);
    bench.measure(["kernels", case, "batchnorm sums", "numbers"], moving(n, 4.0), &mut || {
        norm.statistics(&device, &h, 0.1, &mut statistics, &mut running, &mut parts);
        Ok(())
    })?;
    let mut out = Tensor::empty(&device, rows, hidden);
    bench.measure(["kernels", case, "batchnorm, GELU", "numbers"], moving(n, 8.0), &mut || {
        norm.forward(&device, &h, &statistics, false, &value, &mut out);
        Ok(())
    })?;
    let mut gradient = Tensor::zeros(&device, 1, 2 * hidden);
    bench.measure(["kernels", case, "their gradient", "numbers"], moving(n, 20.0), &mut || {
        norm.backward(&device, &h, &statistics, &value, &mut out, &mut gradient, &mut parts);
        Ok(())
    })?;
    let mut sums = Tensor::zeros(&device, 1, hidden);
    bench.measure(["kernels", case, "column sums", "numbers"], moving(n, 4.0), &mut || {
        reduce::columns(&device, Matrix::whole(&h), 1.0, false, &mut MatrixMut::whole(&mut sums), &mut parts);
        Ok(())
    })
}
