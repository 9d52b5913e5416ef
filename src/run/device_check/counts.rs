//! Kernels on spectra: draws, statistics, and what networks see of them.

use super::{Cases, Tolerance, matrix};
use crate::device::{RowBlocks, Tensor};
use crate::kernels::background_draw::{BackgroundTable, ColumnBackground, background_draw};
use crate::kernels::background_stat::{BackgroundBin, BackgroundData, BackgroundStatistic, Place, background_stat};
use crate::kernels::cstat::{self, Form, Rows};
use crate::kernels::cstat_each::{Observed, cstat_each};
use crate::kernels::fold::{Csr, FluxTile, FoldPlan, Weights, Window, fold};
use crate::kernels::gain::{GainPlan, gain};
use crate::kernels::poisson::{Source, poisson};
use crate::kernels::range::range;
use crate::kernels::spectral::{Bands, STATISTICS, spectral};
use crate::kernels::{loss, stabilize, standardize};

pub(super) fn add(cases: &mut Cases) {
    draws(cases);
    statistics(cases);
    folding(cases);
    what_networks_see(cases);
}

/// Expected counts from 1e-3 to 1e5.
fn means(cases: &mut Cases, n: usize) -> Vec<f32> {
    cases.units(n).iter().map(|u| 10f32.powf(-3.0 + 8.0 * u)).collect()
}

fn draws(cases: &mut Cases) {
    let (n, cols, seed) = (cases.size(100, 600), cases.size(30, 300), cases.size(1, 1 << 30) as u64);
    let mean = means(cases, n * cols);
    let source = Source { seed, stream: 9 };
    // Counts that rounding decides: a few per million.
    cases.add("poisson", format!("{n} x {cols} draws"), Tolerance::Share { most: 1e-4, beyond: 0.0 }, {
        let mean = mean.clone();
        move |device| {
            let mut counts = Tensor::zeros(device, n, cols);
            poisson(device, source, 3, &matrix(device, n, &mean), 0, &mut counts, 0, n);
            Ok(counts.download()?)
        }
    });
    let columns: Vec<ColumnBackground> = (0..cols)
        .map(|c| match c % 4 {
            0 => ColumnBackground::Nothing,
            1 => ColumnBackground::Gamma { shape: 0.2 + c as f64, factor: 0.1 },
            2 => ColumnBackground::Normal { mean: c as f64, deviation: 2.0 },
            _ => ColumnBackground::Rescaled { factor: 3.5, offset: c as f64 },
        })
        .collect();
    cases.add(
        "background_draw",
        format!("{n} x {cols}"),
        Tolerance::Share { most: 2e-3, beyond: 2e-4 },
        move |device| {
            let table = BackgroundTable::new(device, &columns);
            let mut mean = matrix(device, n, &vec![1.0; n * cols]);
            background_draw(device, &table, source, 100, &mut mean, 0, n);
            Ok(mean.download()?)
        },
    );
    cases.add("range", format!("{n} x {cols}"), Tolerance::Bits, move |device| {
        let mut beyond = Tensor::zeros(device, n, 1);
        range(device, &matrix(device, n, &mean), 3e4, &mut beyond, 0);
        Ok(beyond.download()?.into_iter().map(|x| x as f32).collect())
    });
}

fn statistics(cases: &mut Cases) {
    let (n, cols) = (cases.size(40, 300), cases.size(30, 400));
    let observed = cases.counts(cols, 60.0);
    let mean: Vec<f32> = cases.units(n * cols).iter().map(|u| 0.05 + 40.0 * u).collect();
    // Sums of a few thousand half deviances, in blocks.
    let close = Tolerance::Relative { most: 1e-5, floor: cols as f64 };
    cases.add("cstat", format!("{n} x {cols}"), close, {
        let (mean, observed) = (mean.clone(), observed.clone());
        move |device| {
            let (mean, observed) = (matrix(device, n, &mean), matrix(device, 1, &observed));
            let mut out = Vec::new();
            for form in [Form::Cstat, Form::LogLikelihood] {
                let mut sums = Tensor::zeros(device, n, 1);
                cstat::cstat(device, form, &mean, &observed, &mut sums, Rows { rows: n, ..Rows::default() });
                out.extend(sums.download()?);
            }
            Ok(out)
        }
    });
    let spectra = 5;
    let counts = cases.counts(spectra * cols, 50.0);
    let exposures: Vec<f32> = cases.units(spectra).iter().map(|u| 0.5 + u).collect();
    let own: Vec<u32> = (0..n as u32).map(|r| r % spectra as u32).collect();
    cases.add("cstat_each", format!("{n} x {cols} of {spectra} spectra"), close, {
        let mean = mean.clone();
        move |device| {
            let mut out = Tensor::zeros(device, n, 1);
            let observed = Observed {
                counts: &matrix(device, spectra, &counts),
                exposures: &matrix(device, spectra, &exposures),
                spectrum: &Tensor::from_slice(device, n, 1, &own),
            };
            cstat_each(device, &matrix(device, n, &mean), observed, &mut out, 0);
            Ok(out.download()?)
        }
    });
    let background = cases.counts(cols, 30.0);
    let bins: Vec<BackgroundBin> = (0..cols)
        .map(|d| BackgroundBin {
            source: f64::from(observed[d]),
            background: f64::from(background[d]),
            scale: 0.3,
            error: 1.0 + f64::from(observed[d]).sqrt(),
            shape: 10.0,
            prior_mean: 2.0 + f64::from(d as u32 % 7),
        })
        .collect();
    for statistic in [
        BackgroundStatistic::W,
        BackgroundStatistic::Marginal,
        BackgroundStatistic::Pgstat,
        BackgroundStatistic::Gaussian,
    ] {
        let (mean, bins) = (mean.clone(), bins.clone());
        cases.add("background_stat", format!("{statistic:?}, {n} x {cols}"), close, move |device| {
            let data = BackgroundData::new(device, statistic, &bins)
                .unwrap_or_else(|error| unreachable!("every number of these bins is above 0: {error:?}"));
            let mut out = Tensor::zeros(device, n, 1);
            background_stat(device, &data, &matrix(device, n, &mean), &mut out, Place { rows: n, ..Place::default() });
            Ok(out.download()?)
        });
    }
}

fn folding(cases: &mut Cases) {
    let (bins, energies, n) = (cases.size(20, 150), cases.size(200, 900), cases.size(20, 150));
    // A band, as responses are.
    let (mut row_start, mut column) = (vec![0u32], Vec::new());
    for row in 0..bins {
        let middle = row * energies / bins;
        column.extend((middle.saturating_sub(25)..(middle + 25).min(energies)).map(|c| c as u32));
        row_start.push(column.len() as u32);
    }
    let value = cases.units(column.len());
    let flux = cases.units(n * energies);
    let numbers = cases.units(n);
    cases.add("fold", format!("{n} spectra, {bins} x {energies}"), Tolerance::Relative { most: 6e-6, floor: 0.0 }, {
        move |device| {
            let csr = Csr { columns: energies, row_start: &row_start, column: &column, value: &value };
            let plan = FoldPlan::new(device, csr);
            let tile = FluxTile::from_rows(device, n, energies, &flux);
            let numbers = matrix(device, n, &numbers);
            let mut out = Tensor::zeros(device, n, bins);
            fold(device, &plan, &tile, n, &mut out, Window::default());
            let weights = Some(Weights { numbers: &numbers, first: 0 });
            fold(device, &plan, &tile, n, &mut out, Window { weights, accumulate: true, ..Window::default() });
            Ok(out.download()?)
        }
    });
    let mut edges = vec![0.3];
    for x in cases.noise(energies) {
        edges.push(edges[edges.len() - 1] + 0.01 * (1.0 + 0.4 * f64::from(x)));
    }
    let area: Vec<f64> = edges.windows(2).map(|e| 500.0 / e[0]).collect();
    let ratios: Vec<f64> = edges.windows(2).map(|e| (0.25 * (e[0] + e[1])).ln()).collect();
    let shifts: Vec<f32> = (0..n)
        .flat_map(|_| {
            let x = cases.noise(3);
            [1.0 + 0.01 * x[0], 0.03 * x[1], 0.3 * x[2]]
        })
        .collect();
    // Places between the edges are known to a few 1e-5 of a bin.
    cases.add(
        "gain",
        format!("{n} spectra, {energies} energies"),
        Tolerance::Relative { most: 2e-4, floor: 1e-3 },
        move |device| {
            let plan = GainPlan::new(device, &edges, &area, &ratios);
            let rows: Vec<f32> = (0..n)
                .flat_map(|s| edges.windows(2).map(move |e| ((e[1] - e[0]) * e[0].powf(-1.0 - 0.01 * s as f64)) as f32))
                .collect();
            let flux = FluxTile::from_rows(device, n, energies, &rows);
            let mut out = FluxTile::zeros(device, n, energies);
            let full = if device.is_gpu() {
                let stride = n.next_multiple_of(4);
                let mut all = vec![1f32; 3 * stride];
                (0..n).for_each(|s| (0..3).for_each(|m| all[m * stride + s] = shifts[3 * s + m]));
                Tensor::from_slice(device, 3, stride, &all)
            } else {
                matrix(device, n, &shifts)
            };
            gain(device, &plan, &full, 0, &flux, n, &mut out);
            // Photons that came from beyond either end are differences.
            let inside = out.download()?;
            Ok(inside.chunks(energies).flat_map(|row| row[8..energies - 8].to_vec()).collect())
        },
    );
}

fn what_networks_see(cases: &mut Cases) {
    let (n, cols) = (cases.size(200, 900), cases.size(8, 200));
    let counts = cases.counts(n * cols, 300.0);
    let block = cases.size(60, n);
    cases.add("standardize", format!("{n} x {cols}"), Tolerance::Relative { most: 2e-5, floor: 1.0 }, {
        let counts = counts.clone();
        move |device| {
            let mut source = RowBlocks::<f32>::empty(device, n, cols, block);
            let rows = source.block_rows();
            for (k, tensor) in source.blocks.iter_mut().enumerate() {
                let start = k * rows * cols;
                tensor.upload(&counts[start..start + tensor.len()]);
            }
            let scale = standardize::statistics(device, &source);
            let mut out = Tensor::zeros(device, source.blocks[0].rows(), cols + 3);
            standardize::apply(device, &source.blocks[0], 0, &scale, &mut out);
            Ok([scale.download()?, out.download()?].concat())
        }
    });
    let scale: Vec<f32> = (0..2 * cols).map(|i| if i < cols { 3.0 } else { 0.25 + (i % 5) as f32 }).collect();
    for form in [stabilize::Form::Root, stabilize::Form::Linear, stabilize::Form::Log] {
        let (counts, scale) = (counts.clone(), scale.clone());
        cases.add(
            "stabilize",
            format!("{form:?}, {n} x {cols}"),
            Tolerance::Relative { most: 5e-6, floor: 4.0 },
            move |device| {
                let mut out = Tensor::zeros(device, n, cols);
                stabilize::apply(device, form, &matrix(device, n, &counts), 0, &matrix(device, 1, &scale), &mut out);
                Ok(out.download()?)
            },
        );
    }
    let limits: Vec<(f64, f64)> = (0..cols)
        .map(|i| {
            let edge = |i: usize| 0.3 * 40f64.powf(i as f64 / cols as f64);
            (edge(i), edge(i + 1))
        })
        .collect();
    cases.add("spectral", format!("{n} x {cols}"), Tolerance::Relative { most: 5e-5, floor: 1.0 }, {
        let counts = counts.clone();
        move |device| {
            let mut out = Tensor::zeros(device, n, STATISTICS);
            spectral(device, &matrix(device, n, &counts), &Bands::new(device, &limits), &mut out);
            Ok(out.download()?)
        }
    });
    let y: Vec<f32> = cases.noise(n * cols).iter().map(|x| 1.5 * x).collect();
    let sds: Vec<f32> = (0..2 * cols).map(|i| if i < cols { 2.0 } else { 0.3 + (i % 4) as f32 * 0.2 }).collect();
    cases.add(
        "loss",
        format!("{n} x {cols}, with gradient"),
        Tolerance::Relative { most: 2e-5, floor: 1.0 },
        move |device| {
            let (targets, scale) = (matrix(device, n, &counts), matrix(device, 1, &sds));
            let mut out = Tensor::zeros(device, n, cols);
            loss::reconstruct(device, &matrix(device, n, &y), &scale, &mut out);
            let (mut y, mut losses) = (matrix(device, n, &y), Tensor::zeros(device, n, 1));
            loss::cstat(device, &targets, &scale, &mut y, &mut losses, Some(0.01));
            Ok([out.download()?, y.download()?, losses.download()?].concat())
        },
    );
}
