//! Gain and tilt against the f64 form of the response.

use crate::{devices, noise};
use rontgen::device::{Device, Tensor};
use rontgen::kernels::fold::FluxTile;
use rontgen::kernels::gain::{GainPlan, gain};
use rontgen::observation::{FoldedResponse, Redistribution, ResponseShift};

/// Energy bins of irregular widths, with an edge in the area.
fn response(energies: usize) -> Redistribution {
    let mut edges = vec![0.3];
    for x in noise(energies, 7) {
        edges.push(edges[edges.len() - 1] + 0.005 * (1.0 + 0.4 * f64::from(x)));
    }
    let area = edges.windows(2).map(|e| if e[0] < 1.84 { 500.0 / e[0] } else { 700.0 }).collect();
    Redistribution { area, pivot: 2.0, matrix: FoldedResponse { edges, ..FoldedResponse::default() } }
}

/// Spectra of a steep continuum with a line of a single bin.
fn spectra(n: usize, response: &Redistribution) -> Vec<f32> {
    let edges = response.edges();
    let one = |s: usize| {
        let line = edges.partition_point(|edge| *edge < 1.0 + 0.1 * s as f64);
        (0..edges.len() - 1).map(move |j| {
            let smooth = (edges[j + 1] - edges[j]) * edges[j].powf(-1.0 - 0.2 * s as f64);
            (if j == line { smooth + 0.05 } else { smooth }) as f32
        })
    };
    (0..n).flat_map(one).collect()
}

#[test]
fn photons_move_as_in_f64() {
    // Nominal, small, whole bins, many bins, a stretch, so far that photons leave at either end.
    let shifts = [
        (1.0, 0.0, 0.0),
        (1.0, 0.0007, 0.1),
        (1.0, -0.0031, 0.0),
        (1.003, 0.0, -0.5),
        (0.98, 0.02, 0.0),
        (1.0, 0.12, 0.0),
        (1.02, -0.2, 0.3),
        (1.0, 0.4, 0.0),
    ];
    for device in devices() {
        for energies in [1, 2, 63, 64, 65, 700] {
            let response = response(energies);
            let plan = GainPlan::new(&device, response.edges(), &response.area, &response.log_ratios());
            let (n, before) = (shifts.len(), 2);
            let rows = spectra(n, &response);
            let flux = FluxTile::from_rows(&device, n, energies, &rows);
            let mut out = FluxTile::zeros(&device, n, energies);
            let full = parameters(&device, &shifts, before);
            gain(&device, &plan, &full, before, &flux, n, &mut out);
            let got = out.download().unwrap();
            for (s, &(slope, offset, tilt)) in shifts.iter().enumerate() {
                // As the device has them.
                let [slope, offset, tilt] = [slope, offset, tilt].map(|x: f64| f64::from(x as f32));
                let own: Vec<f64> = rows[s * energies..][..energies].iter().map(|&x| f64::from(x)).collect();
                let wanted = response.moved(&own, ResponseShift { slope, offset, tilt });
                let got: Vec<f64> = got[s * energies..][..energies].iter().map(|&x| f64::from(x)).collect();
                let largest = wanted.iter().copied().fold(0.0, f64::max);
                let (mut sum, mut lost) = (0.0, 0.0);
                for (i, (a, b)) in got.iter().zip(&wanted).enumerate() {
                    // A place is known to some 1e-7 keV, a few 1e-5 of a bin, and f32 rounds by 6e-8; beside the line photons cancel.
                    let near =
                        wanted[i.saturating_sub(3)..(i + 4).min(energies)].iter().map(|x| x.abs()).fold(0.0, f64::max);
                    assert!(
                        (a - b).abs() <= 1e-4 * near + 1e-9 * largest,
                        "{energies} energies, spectrum {s}, energy {i} on {}: {a}, {b}",
                        device.name()
                    );
                    sum += a;
                    lost += b;
                }
                // No photon is lost between energies, whatever places are known to.
                assert!(
                    (sum - lost).abs() <= 1e-5 * lost.abs().max(largest),
                    "{energies} {s} on {}: {sum} {lost}",
                    device.name()
                );
            }
        }
    }
}

/// Slope, offset and tilt of spectra behind `before` other parameters, as the devices lay them out.
fn parameters(device: &Device, shifts: &[(f64, f64, f64)], before: usize) -> Tensor<f32> {
    let count = before + 3;
    let row = |&(slope, offset, tilt): &(f64, f64, f64)| {
        let mut all = vec![f32::NAN; before];
        all.extend([slope, offset, tilt].map(|x| x as f32));
        all
    };
    let rows: Vec<Vec<f32>> = shifts.iter().map(row).collect();
    if !device.is_gpu() {
        return Tensor::from_slice(device, shifts.len(), count, &rows.concat());
    }
    let stride = shifts.len().next_multiple_of(4);
    let mut all = vec![1f32; count * stride];
    for (s, row) in rows.iter().enumerate() {
        row.iter().enumerate().for_each(|(m, value)| all[m * stride + s] = *value);
    }
    Tensor::from_slice(device, count, stride, &all)
}
