//! The built-in instrument of the demonstration: a CCD-like camera given by formulas, so that nothing needs to be downloaded.

use std::path::PathBuf;

use super::response::{Response, Run};
use super::spectrum::Spectrum;
use super::{Dataset, FoldedResponse, Grouping, Identity, ObservationSpec, assemble, grouping};

/// Exposure of the built-in observation [s]: an absorbed power law with norm 1e-3 gives 5000 to 10 000 counts.
const EXPOSURE: f64 = 8_000.0;
/// Channel width \[keV\].
const CHANNEL: f64 = 0.01;
const CHANNELS: usize = 1100;

/// Full width at half maximum of a silicon detector [keV]: read-out noise of 5 electrons and Fano noise (F = 0.115, 3.65 eV a pair).
fn fwhm(e: f64) -> f64 {
    2.355 * 3.65e-3 * (25.0 + 0.115 * e / 3.65e-3).sqrt()
}

/// Mirror, filter and detector together [cm2]: peaks near 1.5 keV, cut by a filter below 0.4 and by the mirror above 7 keV.
fn area(e: f64) -> f64 {
    700.0 * (-(0.42 / e).powf(2.5)).exp() / (1.0 + (e / 6.8).powi(4))
}

/// Normal distribution function, Abramowitz & Stegun 7.1.26 (absolute error below 1.5e-7).
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let poly =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let upper = 0.5 * poly * (-z * z).exp();
    if x < 0.0 { upper } else { 1.0 - upper }
}

fn response() -> Response {
    // Photon energies finer than the resolution everywhere: 0.2 to 11 keV in steps of a sixth of the FWHM.
    let mut edges = vec![0.2];
    let mut e: f64 = 0.2;
    while e < 11.0 {
        e += fwhm(e) / 6.0;
        edges.push(e);
    }
    let mut runs = Vec::new();
    let mut values = Vec::new();
    for (j, w) in edges.windows(2).enumerate() {
        let centre = 0.5 * (w[0] + w[1]);
        let sigma = fwhm(centre) / 2.355;
        let first = ((centre - 5.0 * sigma) / CHANNEL).max(0.0) as usize;
        let last = (((centre + 5.0 * sigma) / CHANNEL) as usize + 1).min(CHANNELS);
        if first >= last {
            continue;
        }
        runs.push(Run { energy: j as u32, channel: first as u32, start: values.len(), len: (last - first) as u32 });
        let cdf = |i: usize| normal_cdf((i as f64 * CHANNEL - centre) / sigma);
        values.extend((first..last).map(|i| (cdf(i + 1) - cdf(i)).max(0.0)));
    }
    Response {
        path: PathBuf::from("built-in instrument"),
        area: edges.windows(2).map(|w| area(0.5 * (w[0] + w[1]))).collect(),
        edges,
        runs,
        values,
        channel: (0..CHANNELS as i64).collect(),
        e_min: (0..CHANNELS).map(|i| i as f64 * CHANNEL).collect(),
        e_max: (0..CHANNELS).map(|i| (i + 1) as f64 * CHANNEL).collect(),
        includes_area: true,
        ..Response::default()
    }
}

/// The built-in instrument with an exposure of 8 ks and 0.3-10 keV in about 130 bins of 0.7 FWHM. All counts are zero: a mock fills
/// them with [`Dataset::with_counts`].
pub fn demo_instrument() -> Dataset {
    let response = response();
    let mut groups = Vec::new();
    let mut start = 0;
    while start < CHANNELS {
        let width = 0.7 * fwhm((start as f64 + 0.5) * CHANNEL);
        let end = (start + (width / CHANNEL).round().max(1.0) as usize).min(CHANNELS);
        groups.push(start..end);
        start = end;
    }
    let spectrum = Spectrum {
        path: PathBuf::from("built-in spectrum"),
        channel: response.channel.clone(),
        numbered: true,
        counts: vec![0; CHANNELS],
        gaussian: None,
        grouping: grouping::flags(&groups, CHANNELS),
        quality: vec![0; CHANNELS],
        has_grouping: true,
        exposure: EXPOSURE,
        backscal: vec![1.0; CHANNELS],
        has_backscal: false,
        areascal: vec![1.0; CHANNELS],
        unit: "COUNTS",
        detchans: None,
        identity: Identity::default(),
        respfile: None,
        ancrfile: None,
        backfile: None,
        net: false,
        has_background: false,
        hdu: 0,
        telescope: "rontgen".into(),
        instrument: "demo".into(),
        object: "mock".into(),
        date: String::new(),
        warnings: Vec::new(),
    };
    let spec = ObservationSpec {
        spectrum: PathBuf::from("demo"),
        energies: vec![[0.3, 10.0]],
        grouping: Grouping::File,
        redistribution: true,
        ..ObservationSpec::default()
    };
    // The instrument is a constant, so this cannot fail; a test holds it to that. The fallback keeps the function free of panics.
    let mut dataset = assemble(&spec, &spectrum, &response, None).unwrap_or_else(|_| Dataset {
        name: "demo".into(),
        bins: Vec::new(),
        counts: Vec::new(),
        gaussian: None,
        exposure: EXPOSURE,
        areascal: Vec::new(),
        folded: FoldedResponse::default(),
        warnings: Vec::new(),
        files: Vec::new(),
        left_out: Vec::new(),
        mismatched: false,
        identity: Identity::default(),
        telescope: String::new(),
        instrument: String::new(),
        object: String::new(),
        date: String::new(),
        backfile: None,
        background: None,
        redistribution: None,
    });
    // Groups that straddle 0.3 or 10 keV go by construction.
    dataset.warnings.clear();
    dataset
}
