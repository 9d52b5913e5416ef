//! A small table in the form of xillver's, made of analytic pieces, for tests and for `examples/xillver_table.rs`.
//!
//! Grid: photon index 3 x iron 2 x log xi 4 x cut-off 3 x inclination 10, 600 logarithmic bins from 0.07 to 1000 keV. A spectrum is a Compton hump
//! (pexrav's reflection at that angle), thermal bremsstrahlung of kT = 0.1 (xi/1000)^0.5 keV, and lines at 0.65, 1.0 and 6.4 to 6.97 keV that grow
//! wider with xi; all scaled so that a share of the incident energy that grows with xi goes upwards, times xi.

#![allow(dead_code)]

use super::table;
use rontgen::model::{Model, Program, Settings};
use std::path::{Path, PathBuf};

pub const INDICES: [f32; 3] = [1.4, 2.2, 3.0];
pub const IRON: [f32; 2] = [0.5, 3.0];
pub const IONISATION: [f32; 4] = [0.0, 1.5, 3.0, 4.5];
pub const CUT_OFFS: [f32; 3] = [50.0, 300.0, 1000.0];
pub const TEMPERATURES: [f32; 3] = [20.0, 60.0, 200.0];
/// Bins of the energies.
pub const BINS: usize = 600;
/// keV/cm2/s of the incident spectrum between 0.1 and 1000 keV.
pub const INCIDENT: f64 = 1e15 / (4.0 * std::f64::consts::PI) / (1e20 * 1.602177e-9);

/// Share of the incident energy that is reflected.
pub fn albedo(log_xi: f64) -> f64 {
    0.3 + 0.12 * log_xi
}

/// Cosines of the inclinations.
pub fn cosines() -> [f64; 10] {
    std::array::from_fn(|k| 0.95 - 0.1 * k as f64)
}

pub fn edges() -> Vec<f64> {
    (0..=BINS).map(|k| 0.07 * (1000.0f64 / 0.07).powf(k as f64 / BINS as f64)).collect()
}

/// Photons per bin at all inclinations (rows), for one cut-off.
fn spectra(hump: &Program, edges: &[f64], [index, iron, log_xi, cut]: [f64; 4]) -> Vec<Vec<f64>> {
    let middles: Vec<f64> = edges.windows(2).map(|e| (e[0] * e[1]).sqrt()).collect();
    let widths: Vec<f64> = edges.windows(2).map(|e| e[1] - e[0]).collect();
    let energy = |photons: &[f64]| -> f64 {
        // Of a bin that reaches below 0.1 keV its share in ln E.
        let inside = |e: &[f64]| (e[1] / e[0].max(0.1)).ln().max(0.0) / (e[1] / e[0]).ln();
        edges.windows(2).zip(&middles).zip(photons).map(|((ends, e), x)| inside(ends) * e * x).sum()
    };
    let kt = 0.1 * 10f64.powf(0.5 * (log_xi - 3.0));
    let soft: Vec<f64> = middles.iter().zip(&widths).map(|(e, w)| w / e * (-e / kt).exp()).collect();
    let line = |centre: f64| -> Vec<f64> {
        let sigma = centre * (0.004 + 0.004 * log_xi);
        middles.iter().zip(&widths).map(|(e, w)| w * (-0.5 * ((e - centre) / sigma).powi(2)).exp()).collect()
    };
    let iron_line = 6.4 + 0.57 * (log_xi / 4.5);
    // Shares of the energy beside the hump's 1.
    let parts =
        [(soft, 0.1 + 0.1 * log_xi), (line(0.65), 0.03), (line(1.0), 0.01), (line(iron_line), 0.05 * iron.sqrt())];
    let rows: Vec<Vec<f64>> = cosines()
        .iter()
        .map(|cosine| {
            let mut photons = vec![0.0; middles.len()];
            // PhoIndex, foldE, rel_refl, Redshift, abund, Fe_abund, cosIncl, norm.
            hump.evaluate(&[index, cut, -1.0, 0.0, 1.0, iron, *cosine, 1.0], &mut photons);
            // Intensities: the model's spectrum is that of a slab's face.
            let unit = 1.0 / energy(&photons).max(1e-300);
            let mut photons: Vec<f64> = photons.iter().map(|x| (x * unit).max(0.0)).collect();
            for (part, share) in &parts {
                let scale = share * (0.7 + 0.6 * cosine) / energy(part).max(1e-300);
                photons.iter_mut().zip(part).for_each(|(sum, x)| *sum += scale * x);
            }
            photons
        })
        .collect();
    let upwards: f64 = rows.iter().zip(cosines()).map(|(row, cosine)| 0.5 * cosine * 0.1 * energy(row)).sum();
    let scale = albedo(log_xi) * INCIDENT / upwards * 10f64.powf(log_xi);
    rows.into_iter().map(|row| row.into_iter().map(|x| x * scale).collect()).collect()
}

/// Writes `xillver-test.fits`, or `xillverCp-test.fits` of Comptonised primaries, into a folder; `scale` multiplies all photons.
pub fn write(folder: &Path, comptonised: bool, scale: f64) -> std::io::Result<PathBuf> {
    let edges = edges();
    let model = Model::parse("pexrav", &Settings::default()).map_err(std::io::Error::other)?;
    let hump = Program::new(&model, &edges).map_err(std::io::Error::other)?;
    let (name, cuts) = if comptonised { ("kTe", TEMPERATURES) } else { ("Ecut", CUT_OFFS) };
    let mut made: Vec<([f32; 4], Vec<Vec<f64>>)> = Vec::new();
    for index in INDICES {
        for iron in IRON {
            for log_xi in IONISATION {
                for cut in cuts {
                    // An exponential at three times the temperature stands for electrons.
                    let fold = f64::from(cut) * if comptonised { 3.0 } else { 1.0 };
                    let point = [f64::from(index), f64::from(iron), f64::from(log_xi), fold];
                    made.push(([index, iron, log_xi, cut], spectra(&hump, &edges, point)));
                }
            }
        }
    }
    let angles: Vec<f32> = cosines().iter().map(|c| c.acos().to_degrees() as f32).collect();
    let axes = vec![
        table::Axis("gamma", 0, INDICES.to_vec()),
        table::Axis("A_Fe", 0, IRON.to_vec()),
        table::Axis("logXi", 0, IONISATION.to_vec()),
        table::Axis(name, 0, cuts.to_vec()),
        table::Axis("Incl", 0, angles.clone()),
    ];
    let single: Vec<f32> = edges.iter().map(|e| *e as f32).collect();
    let file = table::Model::new(true, axes, vec![], single, |point, _| {
        let found = made.iter().find(|(own, _)| own[..] == point[..4]).map(|(_, rows)| rows);
        let row = angles.iter().position(|angle| *angle == point[4]);
        let photons = found.zip(row).and_then(|(rows, row)| rows.get(row));
        photons.map_or(Vec::new(), |photons| photons.iter().map(|x| (scale * x) as f32).collect())
    });
    let path = folder.join(if comptonised { "xillverCp-test.fits" } else { "xillver-test.fits" });
    std::fs::create_dir_all(folder)?;
    std::fs::write(&path, file.bytes())?;
    Ok(path)
}
