//! `rontgen spectrum`: a model's photons per energy bin, without any instrument, as a table or a picture.

use crate::{
    Error, Result,
    model::{Model, ModelError, Program, Settings, additive_parts},
    report::plots,
};
use std::{io::Write, path::PathBuf};

/// Write the unfolded model (photons/cm2/s per energy bin) as CSV, or draw it.
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
    #[arg(long, value_name = "FILE", required_unless_present = "plot")]
    pub out: Option<PathBuf>,
    /// Picture (SVG) to write: the model with its additive components.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Abundance table.
    #[arg(long, default_value = "wilm")]
    pub abund: String,
    /// Photoelectric cross sections of the phabs family.
    #[arg(long, default_value = "vern")]
    pub xsect: String,
    /// Folder with AtomDB's apec_v*_line.fits and apec_v*_coco.fits; also ATOMDB, RONTGEN_DATA
    #[arg(long, value_name = "DIR")]
    pub atomdb: Option<PathBuf>,
}

/// Most bins that are written.
const MOST_BINS: usize = 10_000_000;

/// Evaluates in f64 and writes the file; exit status 0.
pub fn run(args: Args) -> Result<u8> {
    let edges = edges(&args.energies)?;
    let settings = Settings::new(&args.abund, &args.xsect)?.with_atomdb(args.atomdb);
    let model = Model::parse(&args.expression, &settings)?;
    let full = values(&model, &args.set)?;
    let program = Program::new(&model, &edges)?;
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(&full, &mut flux);
    if let Some(out) = &args.out {
        let mut text = String::from("e_lo,e_hi,photons\n");
        for (edge, photons) in edges.windows(2).zip(&flux) {
            text.push_str(&format!("{},{},{photons:e}\n", edge[0], edge[1]));
        }
        write_whole(out, text.as_bytes())?;
    }
    if let Some(plot) = &args.plot {
        let parts = additive_parts(&model, &program, &full).unwrap_or_else(|| {
            eprintln!(
                "warning: a component normalises the photons of what it acts on (as cflux does), so these do not add up to the \
                 model: only the whole is drawn"
            );
            Vec::new()
        });
        let svg = plots::model::model(&model.canonical(), &edges, &flux, &parts);
        write_whole(plot, svg.as_bytes())?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn args(out: PathBuf, set: &[&str], energies: [&str; 3]) -> Args {
        Args {
            expression: "tbabs*powerlaw".into(),
            set: set.iter().map(|s| s.to_string()).collect(),
            energies: energies.map(str::to_string).to_vec(),
            out: Some(out),
            plot: None,
            abund: "wilm".into(),
            xsect: "vern".into(),
            atomdb: None,
        }
    }

    #[test]
    fn writes_one_row_per_bin_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model.csv");
        let set = ["tbabs.nh=0", "powerlaw.PhoIndex = 2", "powerlaw.norm=3"];
        assert_eq!(run(args(out.clone(), &set, ["1", "10", "4"])).unwrap(), 0);
        let text = std::fs::read_to_string(&out).unwrap();
        let rows: Vec<Vec<f64>> =
            text.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
        assert_eq!(text.lines().next(), Some("e_lo,e_hi,photons"));
        assert_eq!((rows.len(), rows[0][0], rows[3][1]), (4, 1.0, 10.0));
        let sum: f64 = rows.iter().map(|r| r[2]).sum();
        assert!((sum - 3.0 * 0.9).abs() < 1e-12, "{sum}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_picture_shows_every_component() {
        let folder = tempfile::tempdir().unwrap();
        let plot = folder.path().join("model.svg");
        let drawn = |expression: &str, set: &[&str]| {
            let mut args = args(folder.path().join("model.csv"), set, ["0.3", "10", "300"]);
            (args.expression, args.out, args.plot) = (expression.into(), None, Some(plot.clone()));
            assert_eq!(run(args).unwrap(), 0);
            std::fs::read_to_string(&plot).unwrap()
        };
        let svg = drawn("tbabs*(powerlaw+bbodyrad+gaussian)", &["tbabs.nH=0.2", "bbodyrad.norm=50"]);
        for name in ["whole model", "powerlaw", "bbodyrad", "gaussian", "tbabs*(powerlaw+bbodyrad+gaussian)"] {
            assert!(svg.contains(name), "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!drawn("powerlaw", &[]).contains(">powerlaw+"));
    }

    #[test]
    fn refusals_name_the_option() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model.csv");
        let cases: [(&[&str], [&str; 3], &str); 8] = [
            (&["tbabs.nH"], ["1", "10", "4"], "--set"),
            (&["tbabs.nH=x"], ["1", "10", "4"], "tbabs.nH"),
            (&["tbabs.nH=-1"], ["1", "10", "4"], "hard limits"),
            (&["tbabs.nX=1"], ["1", "10", "4"], "did you mean 'tbabs.nH'"),
            (&[], ["0", "10", "4"], "--energies"),
            (&[], ["10", "1", "4"], "not below"),
            (&[], ["1", "10", "0"], "number of bins"),
            (&[], ["1", "10", "1e3"], "number of bins"),
        ];
        for (set, energies, says) in cases {
            let error = run(args(out.clone(), set, energies)).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit_status(), 2);
        }
        let missing = folder.path().join("no/such/folder/model.csv");
        assert!(matches!(run(args(missing, &[], ["1", "10", "4"])), Err(Error::Io { .. })));
        assert!(!out.exists());
    }
}
