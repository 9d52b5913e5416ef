//! Spectra, responses and their product against the facts of the data collection and independent software.

mod cases;
use crate::common;
mod formats;
mod grouping;
mod slips;

use std::path::Path;

use common::data;
use rontgen::fits::FitsFile;
use rontgen::observation::{
    FileChoice, Grouping, ObservationSpec, Response, demo_instrument, inspect, load, load_response,
};

fn spec(folder: &Path, files: [&str; 3], energies: [f64; 2]) -> ObservationSpec {
    ObservationSpec {
        spectrum: folder.join(files[0]),
        response: Some(folder.join(files[1])),
        arf: FileChoice::File(folder.join(files[2])),
        background: FileChoice::None,
        energies: vec![energies],
        grouping: Grouping::File,
        ..ObservationSpec::default()
    }
}

const PN: [&str; 3] = ["PN_spectrum_grp20.fits", "PN.rmf", "PN.arf"];

fn pn() -> ObservationSpec {
    spec(&data("xmm_pn_ngc7793_ulx4"), PN, [0.5, 10.0])
}

fn column(table: &[csv::StringRecord], header: &csv::StringRecord, name: &str) -> Vec<f64> {
    let at = header.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name}"));
    table.iter().map(|r| r[at].parse().unwrap_or(f64::NAN)).collect()
}

fn read_csv(path: &Path) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    (header, reader.records().map(Result::unwrap).collect())
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn pn_has_104_bins_and_10131_counts() {
    let spec = pn();
    let d = load(&spec).unwrap();
    assert_eq!((d.bins.len(), d.total()), (104, 10131));
    assert!((d.exposure - 20265.98058616).abs() < 1e-6);
    assert!((d.bins[0].e_min - 0.521548).abs() < 1e-6 && (d.bins[103].e_max - 9.145).abs() < 1e-3);
    let (header, rows) = read_csv(&data("reference/ngc7793_pn_folded_xspec.csv"));
    let [lo, hi, counts] = ["e_min", "e_max", "counts"].map(|n| column(&rows, &header, n));
    assert_eq!(rows.len(), d.bins.len());
    for (i, bin) in d.bins.iter().enumerate() {
        assert!((bin.e_min - lo[i]).abs() < 1e-6 && (bin.e_max - hi[i]).abs() < 1e-6, "bin {i}: {bin:?}");
        assert_eq!(f64::from(d.counts[i]), counts[i], "bin {i}");
    }
    // The whole spectrum has 114 good groups.
    let all = load(&ObservationSpec { energies: Vec::new(), ..spec.clone() }).unwrap();
    assert_eq!((all.bins.len(), all.total()), (114, 11526));
}

/// Photons in sub-divided energy bins by Simpson's rule, tbabs from the cross-section table: the recipe of the reference file.
fn reference_flux(edges: &[f64], sigma: &dyn Fn(f64) -> f64, p: [f64; 5]) -> Vec<f64> {
    let density = |e: f64| {
        let black = 1.0344e-3 * p[2] * e * e / (e / p[1]).exp_m1();
        (-p[0] * sigma(e)).exp() * (black + p[4] * e.powf(-p[3]))
    };
    let parts = 20;
    edges
        .windows(2)
        .map(|w| {
            let h = (w[1] - w[0]) / f64::from(2 * parts);
            let at = |k: i32| density(w[0] + f64::from(k) * h);
            let odd: f64 = (0..parts).map(|k| at(2 * k + 1)).sum();
            let even: f64 = (1..parts).map(|k| at(2 * k)).sum();
            h / 3.0 * (at(0) + 4.0 * odd + 2.0 * even + at(2 * parts))
        })
        .collect()
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn pn_folds_as_sherpa_and_numpy_do() {
    let fits = FitsFile::open(&data("absorption/xsect_tbabs_wilm.fits")).unwrap();
    let hdu = fits.hdus().iter().find(|h| h.name == "TBABS").unwrap();
    let energy: Vec<f64> = fits.scalars(hdu, "ENERGY").unwrap();
    let sigma: Vec<f64> = fits.scalars(hdu, "SIGMA").unwrap();
    let cross = |e: f64| {
        let k = energy.partition_point(|&x| x < e).clamp(1, energy.len() - 1);
        let f = (e / energy[k - 1]).ln() / (energy[k] / energy[k - 1]).ln();
        (sigma[k - 1].ln() + f * (sigma[k] / sigma[k - 1]).ln()).exp()
    };
    let d = load(&pn()).unwrap();
    let (header, rows) = read_csv(&data("reference/ngc7793_pn_folded.csv"));
    let rows: Vec<_> = rows.into_iter().filter(|r| &r[5] == "1").collect();
    assert_eq!(rows.len(), 104);
    let json = std::fs::read_to_string(data("reference/ngc7793_pn_cstat.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mut worst: f64 = 0.0;
    for point in 0..5 {
        let facts = &json["points"][point.to_string()];
        let p: Vec<f64> = facts["params"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let mu = d.folded.fold(&reference_flux(&d.folded.edges, &cross, [p[0], p[1], p[2], p[3], p[4]]));
        let numpy = column(&rows, &header, &format!("numpy_p{point}"));
        for (i, (m, n)) in mu.iter().zip(&numpy).enumerate() {
            worst = worst.max((m / n - 1.0).abs());
            assert!((m / n - 1.0).abs() < 2e-5, "point {point}, bin {i}: {m} against {n}");
        }
        let cstat: f64 = mu
            .iter()
            .zip(&d.counts)
            .map(|(m, &k)| {
                let k = f64::from(k);
                2.0 * (m - k + if k > 0.0 { k * (k / m).ln() } else { 0.0 })
            })
            .sum();
        let expected = facts["cstat_fit_range"].as_f64().unwrap();
        assert!((cstat - expected).abs() < 0.02, "point {point}: C-STAT {cstat} against {expected}");
    }
    println!("largest relative difference {worst:.2e}");
}

/// Everything that inventory.csv says of each file.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn inventory_is_reproduced() {
    let (_, rows) = read_csv(&data("inventory.csv"));
    let close = |a: f64, b: f64| (a - b).abs() <= 5e-9 * b.abs();
    assert!(!rows.is_empty());
    for row in &rows {
        let path = data(&row[0]);
        let report = inspect(&path);
        assert_eq!(report.error, None, "{}", &row[0]);
        let number =
            |k: usize| row[k].parse::<f64>().unwrap_or_else(|_| panic!("{}: column {k} is {}", &row[0], &row[k]));
        match &row[1] {
            "ARF" => {
                assert_eq!((report.kind, report.energies), ("ARF", Some(number(2) as usize)), "{}", &row[0]);
                assert!(close(report.sum.unwrap(), number(5)), "{}: {:?}", &row[0], report.sum);
            }
            "RMF/RSP" => {
                let r = Response::read(&path).unwrap();
                let shape = (r.energies(), r.channels(), r.values.len());
                assert_eq!(shape, (number(2) as usize, number(3) as usize, number(4) as usize), "{}", &row[0]);
                let mut checksum = 0.0;
                for run in &r.runs {
                    for (k, v) in r.values[run.start..run.start + run.len as usize].iter().enumerate() {
                        checksum += v * (f64::from(run.energy) + 1.0) * (f64::from(run.channel) + k as f64 + 1.0);
                    }
                }
                assert!(close(r.values.iter().sum(), number(5)), "{}", &row[0]);
                assert!(close(checksum, number(6)), "{}: checksum {checksum} against {}", &row[0], &row[6]);
                assert_eq!((report.kind, report.nnz), ("RMF", Some(r.values.len())));
            }
            "PHA" => {
                assert_eq!(
                    (report.kind, report.channels, report.groups, report.unit, report.counts),
                    ("PHA", Some(number(2) as usize), Some(number(3) as usize), Some("COUNTS"), Some(number(5) as u64)),
                    "{}",
                    &row[0]
                );
                assert!((report.exposure.unwrap() / number(6) - 1.0).abs() < 1e-8, "{}", &row[0]);
                let bad = row[7].split_whitespace().nth(1).unwrap();
                assert_eq!(report.bad_channels.unwrap().to_string(), bad, "{}", &row[0]);
            }
            "PHA2" => {
                assert_eq!(
                    (report.kind, report.spectra, report.channels, report.counts),
                    ("PHA2", Some(12), Some(8192), Some(104658))
                );
            }
            other => panic!("unknown kind {other}"),
        }
    }
}

/// One data set per mission: file names, energies, expected bins and counts (where the description states them).
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn every_mission_loads() {
    type Case = (&'static str, [&'static str; 3], [f64; 2], Option<usize>, Option<u64>);
    const NICER: &str = "nicer_4u1820";
    const NICER_RMF: &str = "nicer-rmf6s-teamonly-array50.rmf";
    let cases: [Case; 10] = [
        ("xmm_pn_ngc7793_ulx4", PN, [0.5, 10.0], Some(104), Some(10131)),
        ("xmm_pn_ngc7793_ulx4", ["MOS1_spectrum_grp.fits", "MOS1.rmf", "MOS1.arf"], [0.5, 10.0], None, None),
        (NICER, ["pre_burst_spectrum_opt.pha", NICER_RMF, "pre_burst_Tint200_raw.arf"], [0.3, 10.0], Some(133), None),
        (NICER, ["b_008_0.25s_raw_opt.pha", NICER_RMF, "b_008_0.25s.arf"], [0.3, 10.0], Some(95), None),
        (
            NICER,
            ["maxij1820_unbinned.pha", NICER_RMF, "nicer-consim135p-teamonly-array50.arf"],
            [0.3, 10.0],
            None,
            None,
        ),
        (
            "hitomi_sxs_perseus",
            [
                "ah100040030sxs_p0px1010_cl2_HP.pi",
                "ah100040030_sxs_cl2_HP_small.rmf",
                "ah100040030sxs_p0px1010_ptsrc.arf",
            ],
            [2.0, 10.0],
            None,
            Some(53809),
        ),
        ("chandra_3c273", ["3c273.pi", "3c273.rmf", "3c273.arf"], [0.3, 7.0], None, None),
        ("swift_xrt", ["target_sr.pha", "swxpc0to12s6_20130101v014.rmf", "target_sr.arf"], [0.3, 10.0], None, None),
        ("nustar_fpma", ["nustar_fpma.pha", "nustar_fpma.rmf", "nustar_fpma.arf"], [3.0, 78.0], None, None),
        (
            "chandra_hetg_3c120",
            ["3c120_pha2.gz{10}", "aciss_meg1_cy22.grmf", "3c120_meg_1.arf"],
            [0.4, 8.0],
            None,
            None,
        ),
    ];
    for (folder, files, energies, bins, counts) in cases {
        let start = std::time::Instant::now();
        let d = load(&spec(&data(folder), files, energies)).unwrap_or_else(|e| panic!("{e}"));
        println!(
            "{}: {:.2?}, {} bins, {} counts, {} energies, nnz {}, {:?}",
            d.name,
            start.elapsed(),
            d.bins.len(),
            d.total(),
            d.folded.energies(),
            d.folded.nnz(),
            d.warnings
        );
        assert_eq!(bins.unwrap_or(d.bins.len()), d.bins.len(), "{}", d.name);
        assert_eq!(counts.unwrap_or(d.total()), d.total(), "{}", d.name);
        assert!(d.total() > 0 && d.bins.windows(2).all(|w| w[0].first_channel < w[1].first_channel));
        // A flat flux of one photon per bin must give finite, positive expectations wherever there are counts.
        let mu = d.folded.fold(&vec![1.0; d.folded.energies()]);
        assert!(mu.iter().zip(&d.counts).all(|(m, &k)| m.is_finite() && (*m > 0.0 || k == 0)), "{}", d.name);
        assert!(d.folded.edges.windows(2).all(|w| w[0] < w[1]));
    }
}

/// The reference's grouping of the X-IFU (4 channels a bin over 1.2-2 keV, 12 elsewhere) and its number of bins.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn xifu_widths_give_2791_bins() {
    let folder = data("xifu");
    let arf = FileChoice::File(folder.join("athena_xifu_1469_onaxis_pitch249um_v20160401.arf"));
    let response = load_response(&folder.join("athena_xifu_rmf_v20160401.rmf"), &arf).unwrap();
    let widths = Grouping::Widths(vec![(0.0, 1.2, 12), (1.2, 2.0, 4), (2.0, 100.0, 12)]);
    let n = response.channels();
    let groups = response.group_channels(&widths, &vec![0; n]).unwrap();
    let inside = groups.iter().filter(|g| response.e_min[g.start] >= 0.2 && response.e_max[g.end - 1] <= 12.0).count();
    println!("{} groups, {inside} inside", groups.len());
    assert_eq!(inside, 2791);
    let folded = response.folded_channels(24.0).unwrap();
    assert_eq!(folded.bins(), n);
    println!("ungrouped nnz {}", folded.nnz());
}

#[test]
fn the_built_in_instrument_is_whole() {
    let d = demo_instrument();
    assert!((100..=150).contains(&d.bins.len()), "{} bins", d.bins.len());
    assert!(d.bins[0].e_min >= 0.3 && d.bins[d.bins.len() - 1].e_max <= 10.0);
    assert!(d.warnings.is_empty() && d.files.is_empty(), "{:?}", d.warnings);
    let flux: Vec<f64> = d
        .folded
        .edges
        .windows(2)
        .map(|w| {
            let e = 0.5 * (w[0] + w[1]);
            1e-3 * e.powf(-1.8) * (-0.1 * 2.0 * e.powf(-2.6)).exp() * (w[1] - w[0])
        })
        .collect();
    let total: f64 = d.folded.fold(&flux).iter().sum();
    println!("{} bins, {} energies, nnz {}, {total:.0} counts", d.bins.len(), d.folded.energies(), d.folded.nnz());
    assert!((5000.0..10_000.0).contains(&total), "{total} counts expected");
    assert!(d.clone().with_counts(vec![1; 3]).is_err());
    let n = d.bins.len();
    assert_eq!(d.with_counts(vec![2; n]).unwrap().total(), 2 * n as u64);
}
