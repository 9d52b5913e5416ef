//! Background spectra as principal components: `pca{FILE}`, the user's file in the form that BXA's background fitting reads (JSON; Simmonds et
//! al. 2018, Astronomy & Astrophysics 618, A66).
//!
//! In channel i (from 0, in the order of the spectrum's table) `(10^(mean_i + sum_k PC_k component_ki) - 1) 10^lognorm` counts are expected, and
//! at least 1e-8 of 10^lognorm. There are no energies and no response in this: the "energies" of such a table are 1 + i.

use super::{Kind, TableModel};
use crate::model::{
    ModelError,
    catalogue::{Component, Kind as ComponentKind, ParameterInfo},
};
use rontgen_ogip::bounded;
use serde::Deserialize;
use std::path::Path;

/// The largest file that is read: BXA's largest has 40 MB.
const MOST_BYTES: u64 = 1 << 28;
/// The most components and channels that are taken.
const MOST_COMPONENTS: usize = 64;
const MOST_CHANNELS: usize = 1 << 20;

/// A number, or a list of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Whole {
    One(f64),
    List(Vec<f64>),
}

#[derive(Deserialize)]
struct Stored {
    mean: Vec<f64>,
    components: Vec<Vec<f64>>,
    values: Vec<f64>,
    ilo: Whole,
    ihi: Whole,
    #[serde(rename = "U", default)]
    scores: Vec<Vec<f64>>,
    #[serde(alias = "TELESCOP", default)]
    #[serde(rename = "TELESCOPE")]
    telescope: Option<String>,
    #[serde(alias = "INSTRUME", default)]
    #[serde(rename = "INSTRUMENT")]
    instrument: Option<String>,
}

/// What a file of components says besides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Training {
    /// Mean and standard deviation of each component's factor over the spectra that the components were made from; empty where the file does not
    /// have them.
    pub factors: Vec<(f64, f64)>,
    /// Telescope; empty where the file does not say.
    pub telescope: String,
    /// Instrument; empty where the file does not say.
    pub instrument: String,
}

/// Reads the components of `path`.
///
/// # Errors
/// A file that cannot be read, is no JSON of this form, or whose lists do not belong together; what was found and expected.
pub fn read(path: &Path) -> Result<TableModel, ModelError> {
    let refuse = |message: String| ModelError::Table { path: path.to_path_buf(), message };
    let bytes = bounded::read(path, MOST_BYTES).map_err(|error| refuse(error.to_string()))?;
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| {
        refuse(format!(
            "{error}; expected the JSON of a background's principal components: mean, components, values, ilo, ihi, U"
        ))
    })?;
    let whole = |name: &str, value: &Whole| {
        let number = match value {
            Whole::One(number) => Some(*number),
            Whole::List(list) => list.first().copied().filter(|_| list.len() == 1),
        };
        let number = number.filter(|x| x.fract() == 0.0 && (0.0..=MOST_CHANNELS as f64).contains(x));
        number
            .map(|x| x as usize)
            .ok_or_else(|| refuse(format!("{name} is not a number of channels from 0 to {MOST_CHANNELS}")))
    };
    let (first, last) = (whole("ilo", &stored.ilo)?, whole("ihi", &stored.ihi)?);
    let (n, m) = (stored.mean.len(), stored.values.len());
    if n == 0 || last <= first || last - first != n {
        return Err(refuse(format!("mean has {n} numbers for channels {first} to {last}; expected ihi - ilo")));
    }
    if m == 0 || m > MOST_COMPONENTS {
        return Err(refuse(format!(
            "values has {m} numbers, expected one for each of 1 to {MOST_COMPONENTS} components"
        )));
    }
    // Channels by components, or the other way round.
    let by_channel = stored.components.len() == n && stored.components.iter().all(|row| row.len() == m);
    let by_component = stored.components.len() == m && stored.components.iter().all(|row| row.len() == n);
    if !by_channel && !by_component {
        return Err(refuse(format!(
            "components is a list of {} lists (the first of {}); expected {n} of {m}, or {m} of {n}",
            stored.components.len(),
            stored.components.first().map_or(0, Vec::len)
        )));
    }
    if let Some((k, row)) = stored.scores.iter().enumerate().find(|(_, row)| row.len() != m) {
        return Err(refuse(format!("U: list {} (from 0) has {} numbers, expected {m}", k, row.len())));
    }
    let mut spectra: Vec<f64> = stored.mean.clone();
    for k in 0..m {
        spectra.extend((0..n).map(|i| if by_channel { stored.components[i][k] } else { stored.components[k][i] }));
    }
    let numbers = spectra.iter().chain(&stored.values).chain(stored.scores.iter().flatten());
    // 10^x of sums of such numbers stays within f32.
    if let Some(bad) = numbers.into_iter().find(|x| x.is_nan() || x.abs() > 1e6) {
        return Err(refuse(format!("a number is {bad}, expected one within 1e6 of 0")));
    }
    let factors: Vec<(f64, f64)> = match stored.scores.len() {
        0 | 1 => Vec::new(),
        spectra => (0..m)
            .map(|k| {
                let all = || stored.scores.iter().map(|row| row[k] * stored.values[k]);
                let mean = all().sum::<f64>() / spectra as f64;
                (mean, (all().map(|x| (x - mean).powi(2)).sum::<f64>() / (spectra - 1) as f64).sqrt())
            })
            .collect(),
    };
    let info = |name: String, default: f64, least: f64, most: f64| ParameterInfo {
        name,
        unit: String::new(),
        default,
        hard_min: least,
        soft_min: least,
        soft_max: most,
        hard_max: most,
        frozen_by_default: false,
        is_norm: false,
        never_free: false,
    };
    let mut parameters: Vec<ParameterInfo> =
        (0..m).map(|k| info(format!("PC{}", k + 1), factors.get(k).map_or(0.0, |f| f.0), -1e3, 1e3)).collect();
    parameters.push(info("lognorm".into(), 3.0, -10.0, 12.0));
    let word = |text: Option<String>| text.unwrap_or_default().trim().to_string();
    let training = Training { factors, telescope: word(stored.telescope), instrument: word(stored.instrument) };
    let component = Component {
        name: Kind::Channels.name().into(),
        kind: ComponentKind::Additive,
        parameters,
        formula: format!(
            "Background in channels {first} to {} by {m} principal components ({}): counts (10^(mean + sum PC component) - 1) 10^lognorm.{}",
            last - 1,
            path.display(),
            said(&training)
        ),
        reference: "Simmonds et al. 2018, A&A 618, A66".into(),
        note: String::new(),
    };
    Ok(TableModel {
        path: path.to_path_buf(),
        kind: Kind::Channels,
        component: component.into(),
        axes: Vec::new(),
        added: m,
        rescaled: false,
        redshifted: false,
        edges: (first..=last).map(|i| 1.0 + i as f64).collect(),
        in_place: Some(1.0),
        low: 0.0,
        high: 0.0,
        spectra: spectra.iter().map(|&x| x as f32).collect(),
        training: Some(training.into()),
        sha256: String::new(),
    })
}

/// The laws of the factors over the training spectra, as priors are written.
fn said(training: &Training) -> String {
    let all: Vec<String> = training
        .factors
        .iter()
        .enumerate()
        .map(|(k, (mean, deviation))| format!("PC{} = {{ normal = [{mean:.4e}, {deviation:.4e}] }}", k + 1))
        .collect();
    if all.is_empty() { String::new() } else { format!(" Over its spectra: {}", all.join(", ")) }
}
