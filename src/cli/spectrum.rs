//! `rontgen spectrum`: a model's photons per energy bin, without any instrument.

use crate::{
    Error, Result,
    model::{Model, ModelError, Program, Settings},
};
use std::{io::Write, path::PathBuf};

/// Write the unfolded model (photons/cm2/s per energy bin) as CSV.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// XSPEC expression, for example "tbabs*(bbodyrad+powerlaw)".
    pub expression: String,
    /// A parameter's value; the others keep XSPEC's defaults.
    #[arg(long = "set", value_name = "COMPONENT.PARAMETER=VALUE")]
    pub set: Vec<String>,
    /// Energy range in keV and number of logarithmic bins.
    #[arg(long, num_args = 3, value_names = ["LO", "HI", "N"], required = true)]
    pub energies: Vec<String>,
    /// CSV file to write: e_lo, e_hi (keV), photons.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Abundance table.
    #[arg(long, default_value = "wilm")]
    pub abund: String,
    /// Photoelectric cross sections of the phabs family.
    #[arg(long, default_value = "vern")]
    pub xsect: String,
}

/// Most bins that are written.
const MOST_BINS: usize = 10_000_000;

/// Evaluates in f64 and writes the file; exit status 0.
pub fn run(args: Args) -> Result<u8> {
    let edges = edges(&args.energies)?;
    let model = Model::parse(&args.expression, &Settings::new(&args.abund, &args.xsect)?)?;
    let full = values(&model, &args.set)?;
    let program = Program::new(&model, &edges)?;
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(&full, &mut flux);
    let mut text = String::from("e_lo,e_hi,photons\n");
    for (edge, photons) in edges.windows(2).zip(&flux) {
        text.push_str(&format!("{},{},{photons:e}\n", edge[0], edge[1]));
    }
    write_whole(&args.out, text.as_bytes())?;
    Ok(0)
}

fn edges(words: &[String]) -> Result<Vec<f64>> {
    let [lo, hi, n] = words else {
        return Err(Error::Input(format!("--energies: expected LO HI N, found {} values", words.len())));
    };
    let number = |word: &str| {
        word.parse::<f64>()
            .ok()
            .filter(|x| x.is_finite() && *x > 0.0)
            .ok_or_else(|| Error::Input(format!("--energies: expected an energy above 0 keV, found '{word}'")))
    };
    let (lo, hi) = (number(lo)?, number(hi)?);
    let bins: usize = n.parse().ok().filter(|n| (1..=MOST_BINS).contains(n)).ok_or_else(|| {
        Error::Input(format!("--energies: expected a number of bins in 1 .. {MOST_BINS}, found '{n}'"))
    })?;
    if lo >= hi {
        return Err(Error::Input(format!("--energies: LO {lo} is not below HI {hi}")));
    }
    let edge = |k: usize| match k {
        0 => lo,
        _ if k == bins => hi,
        _ => lo * (hi / lo).powf(k as f64 / bins as f64),
    };
    Ok((0..=bins).map(edge).collect())
}

/// All parameters: XSPEC's defaults, then the settings; each must lie inside the hard limits.
fn values(model: &Model, set: &[String]) -> Result<Vec<f64>> {
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    for word in set {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Error::Input(format!("--set: expected COMPONENT.PARAMETER=VALUE, found '{word}'")));
        };
        let k = model.find(name)?;
        let value: f64 = value
            .trim()
            .parse()
            .map_err(|_| Error::Input(format!("--set {}: expected a number, found '{value}'", name.trim())))?;
        let (Some(info), Some(place)) = (model.parameters().get(k), full.get_mut(k)) else { continue };
        if !info.allows(value) {
            return Err(Error::Model(ModelError::Parameter(format!(
                "--set {}: the value {value} lies outside XSPEC's hard limits {} .. {}",
                info.name, info.hard_min, info.hard_max
            ))));
        }
        *place = value;
    }
    Ok(full)
}

/// Writes under a temporary name beside the file and renames, so that no half-written file stays under the final name.
fn write_whole(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = std::fs::File::create(&part)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&part, path));
    written.map_err(|source| {
        // Best effort: the error that matters is the one above.
        let _ = std::fs::remove_file(&part);
        Error::Io { path: path.to_path_buf(), source }
    })
}
