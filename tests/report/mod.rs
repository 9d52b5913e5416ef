//! The output folder and what is made of it: `files` (what is written reads back, what is broken is refused), `judging`
//! (statistics, divergence, expected C-STAT), `documents` (PDF and numbers of the pictures), `pages` (HTML, the two commands), `pictures` (what the plots show, and where).

mod comparing;
mod documents;
mod files;
mod judging;
mod pages;
mod pictures;

use std::path::Path;

use rontgen::report::tables::*;
use rontgen::report::{ReportData, RoundData};
use rontgen::result::*;
use rontgen::result::{Band, Residual, Window};

/// A small complete run, deterministic: two parameters, two rounds, 40 bins.
fn example() -> ReportData {
    let names = vec!["tbabs.nH".to_string(), "powerlaw.PhoIndex".to_string()];
    let draw = |n: usize, spread: f64, seed: u64| {
        let (a, b) = (normals(n, 0.0, spread, seed), normals(n, 0.0, spread, seed + 100));
        let values = a.iter().zip(&b).flat_map(|(a, b)| [0.2 + 0.01 * a, 1.8 + 0.05 * (0.8 * a + 0.6 * b)]).collect();
        Samples { names: names.clone(), values }
    };
    let posterior = draw(3000, 1.0, 1);
    let parameters = ["uniform(0, 0.5)", "uniform(0, 5)"].iter().enumerate().map(|(j, prior)| {
        let unit = if j == 0 { "1e22 cm-2" } else { "" };
        let summary = ParameterSummary::of(&posterior.column(j), unit, prior.parse().unwrap(), j as u32 + 1);
        (names[j].clone(), summary)
    });
    let parameters = parameters.collect();
    let cstat = CstatSummary { best: 41.0, at_median: 41.5, dof: 38, expected: 39.0, expected_std: 8.5 };
    let refine = RefineSummary {
        samples: 200_000,
        ess: 1.5e5,
        efficiency: 0.75,
        pareto_k: 0.1,
        log_z: -30.0,
        log_z_err: 0.002,
        log_z_poisson: -160.0,
        method: "weighted".into(),
        likelihood: "exact".into(),
        max_weight_share: 1e-4,
        ess_lower: 1.49e5,
        log_z_err_bootstrap: 0.0021,
        searched: false,
        emulator: None,
        proposals: Vec::new(),
        agreement: Vec::new(),
    };
    let losses = |n: usize| {
        let rows = (1..=n).flat_map(|epoch| {
            let x = 100.0 / epoch as f64;
            [("autoencoder", 40.0 + x), ("flow", x / 50.0 - 2.0)].map(|(network, train)| LossRow {
                network: network.into(),
                epoch,
                train,
                validation: 1.02 * train,
            })
        });
        rows.collect()
    };
    let rows: Vec<SpectrumRow> = (0..40)
        .map(|i| {
            let e_min = 0.5 + 0.2 * i as f64;
            let mu = 200.0 * e_min.powf(-1.8);
            SpectrumRow {
                error: None,
                e_min,
                e_max: e_min + 0.2,
                counts: mu.round(),
                q025: 0.9 * mu,
                q16: 0.95 * mu,
                median: mu,
                q84: 1.05 * mu,
                q975: 1.1 * mu,
            }
        })
        .collect();
    let coverage = ["prior", "round 2"]
        .iter()
        .map(|s| Coverage {
            stage: s.to_string(),
            rows: rows.iter().map(|r| SpectrumRow { q025: 0.1 * r.median, q975: 8.0 * r.median, ..*r }).collect(),
        })
        .collect();
    let round = |simulations, efficiency| RoundSummary {
        simulations,
        epochs_autoencoder: 30,
        epochs_flow: 30,
        validation_loss: -1.9,
        efficiency,
        efficiency_lower: 0.8 * efficiency,
        acceptance: 0.4,
        next_is_last: false,
        beyond_range: 0,
        beyond_range_text: String::new(),
        seconds: RoundSeconds::default(),
    };
    ReportData {
        summary: Summary {
            title: "Example <source> & more".into(),
            parameters,
            verdict: Verdict::judge(&cstat, &refine, Some(10.0)),
            cstat,
            refine,
            rounds: vec![round(10_000, 0.1), round(5_000, 0.7)],
            device: DeviceSummary {
                name: "CPU".into(),
                backend: "native".into(),
                kind: "software".into(),
                driver: "llvmpipe 25.0".into(),
            },
            seconds: Seconds { total: 12.0, ..Default::default() },
            transfers: Transfers::default(),
            observations: Vec::new(),
            statistic: None,
            observation: ObservationSummary {
                name: "mock".into(),
                exposure: 1000.0,
                bins: 40,
                counts: 4000,
                energies: [0.5, 8.5],
                ..Default::default()
            },
            model: ModelSummary { expression: "tbabs*powerlaw".into(), ..Default::default() },
            method: None,
            reference: None,
            fallback: None,
            latent: None,
            residual: Some(residual(0.41)),
            tension: None,
            calibration: None,
            residuals: Default::default(),
            warnings: vec!["a warning".into()],
            seed: u64::MAX,
            version: "0.1.0".into(),
        },
        rounds: vec![
            RoundData { posterior: Some(draw(1000, 3.0, 2)), losses: losses(30) },
            RoundData { posterior: Some(draw(1000, 1.3, 3)), losses: losses(25) },
        ],
        posterior,
        unfolded: Some(unfolded(&rows)),
        further: Vec::new(),
        spectrum: Some(SpectrumTable { exposure: 1000.0, rows, ..Default::default() }),
        coverage,
        derived: None,
        diagnosis: None,
    }
}

/// A residual whose oddest place is a window of the second band.
fn residual(p: f64) -> Residual {
    let band = |e_min: f64, e_max: f64, excess: f64| Band {
        set: String::new(),
        e_min,
        e_max,
        groups: 20,
        chi_square: 21.3,
        expected: 19.1,
        p: 0.37,
        excess: -0.4,
        window: Window { set: String::new(), e_min: e_min + 0.5, e_max: e_min + 0.75, excess, p: 0.002 },
    };
    let bands = vec![band(0.5, 8.5, 2.0), band(0.5, 2.0, 5.5), band(2.0, 8.5, 1.0)];
    Residual { p, mocks: 2048, groups: 40, directions: 2, bands, oddest: 1, by_window: true }
}

/// A power law on the energies of the bins.
fn unfolded(rows: &[SpectrumRow]) -> UnfoldedTable {
    let row = |r: &SpectrumRow| {
        let median = 1e-3 * r.e_min.powf(0.2);
        let (q025, q16, q84, q975) = (0.9 * median, 0.95 * median, 1.05 * median, 1.1 * median);
        UnfoldedRow { e_min: r.e_min, e_max: r.e_max, q025, q16, median, q84, q975 }
    };
    UnfoldedTable { rows: rows.iter().map(row).collect(), components: Vec::new() }
}

fn normals(n: usize, mean: f64, sd: f64, seed: u64) -> Vec<f64> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    (0..n)
        .map(|_| {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            mean + sd * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        })
        .collect()
}

fn message<T: std::fmt::Debug>(result: Result<T, rontgen::result::ReportError>) -> String {
    result.expect_err("must be refused").to_string()
}

/// Writes `text` to a file and asserts that `read` refuses it with all of `parts` in the message.
fn refused<T: std::fmt::Debug>(
    read: impl Fn(&Path) -> Result<T, rontgen::result::ReportError>,
    text: &str,
    parts: &[&str],
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).unwrap();
    let said = message(read(&path));
    for part in parts.iter().chain(&["table.csv"]) {
        assert!(said.contains(part), "{part:?} is not in {said:?} for {text:?}");
    }
}
