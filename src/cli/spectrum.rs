//! `rontgen spectrum`: a model's photons per energy bin, without any instrument, as a table or a picture.

use super::common::read_points;
use crate::{
    Error, Result,
    analysis::evaluate::ORACLE,
    device::Device,
    model::{Extensions, Model, ModelError, ParameterInfo, Program, Settings, additive_parts},
    report::{plots, write_atomically},
    simulate::spectra,
};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Write the unfolded model (photons/cm2/s per energy bin) as CSV, or draw it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// XSPEC expression, for example "tbabs*(bbodyrad+powerlaw)".
    pub expression: String,
    /// A parameter's value; the others keep XSPEC's defaults.
    #[arg(long = "set", value_name = "COMPONENT.PARAMETER=VALUE")]
    pub set: Vec<String>,
    /// Energy range in keV and number of bins, equal in ln E.
    #[arg(long, num_args = 3, value_names = ["LO", "HI", "N"], default_values = ["0.1", "20", "1000"])]
    pub energies: Vec<String>,
    /// Bins of --energies equal in keV.
    #[arg(long)]
    pub linear: bool,
    /// File of the bins' edges instead: one energy in keV a line, ascending (# begins a comment line), or a table as --out writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["energies", "linear"])]
    pub edges: Option<PathBuf>,
    /// CSV file to write: e_lo, e_hi (keV), photons.
    #[arg(long, value_name = "FILE", required_unless_present = "plot")]
    pub out: Option<PathBuf>,
    /// Table of parameters: a header of names, one point per line; then one column photons_1, photons_2, ... for each
    #[arg(long, value_name = "THETA.csv", conflicts_with = "plot")]
    pub at: Option<PathBuf>,
    /// What computes --out: f64 (double precision, slow), or in single precision cpu, gpu or part of an adapter's name
    #[arg(long, value_name = "f64|cpu|gpu|NAME", default_value = ORACLE)]
    pub device: String,
    /// Picture to write (PDF where its name ends in .pdf, else SVG): the model with its additive components.
    #[arg(long, value_name = "FILE.svg|pdf")]
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
    /// Folder with xillver's tables, or one of them; also XILLVER, RELXILL_TABLE_PATH, RONTGEN_DATA
    #[arg(long, value_name = "DIR")]
    pub xillver: Option<PathBuf>,
    /// Scale xillver, relxill and their like to norm photons/keV/cm2/s at 3 keV
    #[arg(long)]
    pub renormalize: bool,
}

/// The highest edge of a file, keV.
const HIGHEST: f64 = 1e6;
/// Most bins that are written.
const MOST_BINS: usize = 10_000_000;

/// Evaluates and writes the files; exit status 0.
pub fn run(args: Args) -> Result<u8> {
    let edges = match &args.edges {
        Some(file) => edges_of_file(file)?,
        None => edges(&args.energies, args.linear)?,
    };
    let settings = Settings::new(&args.abund, &args.xsect)?.with_atomdb(args.atomdb);
    let settings = settings.with_xillver(args.xillver, args.renormalize);
    let extensions = Extensions { find_file: Some(&super::environment::find_table), ..Extensions::default() };
    let model = Model::parse_with(&args.expression, &settings, &extensions)?;
    if !model.in_channels().is_empty() {
        return Err(Error::Input("pca{FILE} gives counts of channels, not photons of energies".into()));
    }
    model.remarks().iter().for_each(|remark| tell!("warning: {remark}"));
    let full = values(&model, &args.set)?;
    let points = match &args.at {
        Some(file) => points(file, &model, &full)?,
        None => vec![full.clone()],
    };
    let mut model = model;
    let all: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
    let file = args.at.as_ref().map_or(String::new(), |file| format!("{}, ", file.display()));
    let remarks = model.look_from(&all).map_err(|error| match error {
        ModelError::Parameter(text) => ModelError::Parameter(format!("{file}{text}")),
        other => other,
    })?;
    remarks.iter().for_each(|remark| tell!("warning: {file}{remark}"));
    let band = (edges.first().copied().unwrap_or(1.0), edges.last().copied().unwrap_or(1.0));
    model.narrow_tables(band)?.iter().for_each(|remark| tell!("warning: {remark}"));
    let program = Program::new(&model, &edges)?;
    if let Some(out) = &args.out {
        let spectra = match args.device.as_str() {
            ORACLE => spectra::oracle(&program, &points),
            name => spectra::on_device(&Device::open(name)?, &program, &points)?,
        };
        let mut text = String::from("e_lo,e_hi");
        match &args.at {
            Some(_) => (1..=spectra.len()).for_each(|k| text.push_str(&format!(",photons_{k}"))),
            None => text.push_str(",photons"),
        }
        for (bin, edge) in edges.windows(2).enumerate() {
            text.push_str(&format!("\n{},{}", edge[0], edge[1]));
            for photons in spectra.iter().filter_map(|spectrum| spectrum.get(bin)) {
                text.push_str(&format!(",{photons:e}"));
            }
        }
        text.push('\n');
        write_atomically(out, |w| w.write_all(text.as_bytes()))?;
    }
    if let Some(plot) = &args.plot {
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(&full, &mut flux);
        let parts = additive_parts(&model, &program, &full).unwrap_or_else(|| {
            tell!(
                "warning: a component normalises the photons of what it acts on (as cflux does), so these do not add up to the \
                 model: only the whole is drawn"
            );
            Vec::new()
        });
        let picture = plots::model::model(&model.canonical(), &edges, &flux, &parts);
        let document = match plot.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pdf")) {
            true => picture.pdf(),
            false => picture.svg().as_bytes().to_vec(),
        };
        write_atomically(plot, |w| w.write_all(&document))?;
    }
    Ok(0)
}

/// The edges that a text file lists: one energy in keV a line, or the table of bins that this command writes.
fn edges_of_file(path: &Path) -> Result<Vec<f64>> {
    let name = path.display();
    let wrong = |line: usize, what: String| Error::Input(format!("--edges {name}, line {line}: {what}"));
    // A line of the table takes less.
    let most = 96 * MOST_BINS as u64;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
    if bytes.len() as u64 > most {
        return Err(Error::Input(format!("--edges {name}: longer than the {most} bytes that {MOST_BINS} bins take")));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::Input(format!("--edges {name}: expected text, found bytes that are no UTF-8")))?;
    let mut edges: Vec<f64> = Vec::new();
    let mut table = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if edges.is_empty() && !table && line.starts_with("e_lo,e_hi") {
            table = true;
            continue;
        }
        let energy = |word: &str| {
            let found = word.trim().parse::<f64>().ok().filter(|x| x.is_finite() && (0.0..=HIGHEST).contains(x));
            let shown: String = word.chars().take(40).collect();
            let expected = format!("expected one energy in keV, 0 to {HIGHEST}, found '{shown}'");
            found.ok_or_else(|| wrong(number, expected))
        };
        let edge = if table {
            let mut words = line.split(',');
            let (lo, hi) = (energy(words.next().unwrap_or(""))?, energy(words.next().unwrap_or(""))?);
            match edges.last() {
                None => edges.push(lo),
                Some(last) if *last == lo => {}
                Some(last) => return Err(wrong(number, format!("bins must touch, but {lo} keV follows {last} keV"))),
            }
            hi
        } else {
            energy(line)?
        };
        if let Some(last) = edges.last().filter(|last| **last >= edge) {
            return Err(wrong(number, format!("edges must ascend, but {edge} keV comes after {last} keV")));
        }
        edges.push(edge);
    }
    match edges.len() {
        n @ (0 | 1) => Err(Error::Input(format!("--edges {name}: expected at least two edges, one a line, found {n}"))),
        n if n - 1 > MOST_BINS => {
            Err(Error::Input(format!("--edges {name}: expected at most {MOST_BINS} bins, found {}", n - 1)))
        }
        _ => Ok(edges),
    }
}

/// Equal bins in ln E, or in keV.
fn edges(words: &[String], linear: bool) -> Result<Vec<f64>> {
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
        _ if linear => lo + (hi - lo) * (k as f64 / bins as f64),
        _ => lo * (hi / lo).powf(k as f64 / bins as f64),
    };
    let edges: Vec<f64> = (0..=bins).map(edge).collect();
    if edges.windows(2).any(|pair| pair[1] <= pair[0]) {
        return Err(Error::Input(format!("--energies: {bins} bins from {lo} to {hi} keV are too narrow for a double")));
    }
    Ok(edges)
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
        *place = allowed(&format!("--set {}", info.name), info, value)?;
    }
    Ok(full)
}

/// The value, if it lies inside the hard limits; `origin` says where it was found.
fn allowed(origin: &str, info: &ParameterInfo, value: f64) -> Result<f64> {
    if info.allows(value) {
        return Ok(value);
    }
    Err(Error::Model(ModelError::Parameter(format!(
        "{origin}: the value {value} lies outside XSPEC's hard limits {} .. {}",
        info.hard_min, info.hard_max
    ))))
}

/// All parameters of each line of a table; those without a column are as in `full`. Columns without a dot in their names are
/// no parameters and stay unread, so that a `posterior.csv` or `weighted.csv` will do.
fn points(path: &Path, model: &Model, full: &[f64]) -> Result<Vec<Vec<f64>>> {
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_path(path).map_err(
        |error| match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::Io { path: path.to_path_buf(), source },
            other => Error::Input(format!("{shown}: {other:?}")),
        },
    )?;
    let header = reader.headers().map_err(|error| Error::Input(format!("{shown}: {error}")))?.clone();
    let named = header.iter().filter(|column| column.contains('.'));
    for name in named.clone() {
        model.find(name).map_err(|error| Error::Input(format!("{shown}, line 1: {error}")))?;
    }
    let names: Vec<String> = named.map(str::to_string).collect();
    if names.is_empty() {
        return Err(Error::Input(format!("{shown}, line 1: no column is a parameter of the model")));
    }
    let rows = read_points(path, &names)?;
    let fill = |(line, row): (usize, Vec<f64>)| {
        let mut full = full.to_vec();
        for (name, value) in names.iter().zip(row) {
            let k = model.find(name)?;
            if let (Some(info), Some(place)) = (model.parameters().get(k), full.get_mut(k)) {
                *place = allowed(&format!("{shown}, point {}, {}", line + 1, info.name), info, value)?;
            }
        }
        Ok(full)
    };
    rows.into_iter().enumerate().map(fill).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(out: PathBuf, set: &[&str], energies: [&str; 3]) -> Args {
        Args {
            expression: "tbabs*powerlaw".into(),
            set: set.iter().map(|s| s.to_string()).collect(),
            energies: energies.map(str::to_string).to_vec(),
            linear: false,
            edges: None,
            out: Some(out),
            at: None,
            device: ORACLE.into(),
            plot: None,
            abund: "wilm".into(),
            xsect: "vern".into(),
            atomdb: None,
            xillver: None,
            renormalize: false,
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
        let mut pdf = args(folder.path().join("model.csv"), &[], ["0.3", "10", "300"]);
        (pdf.out, pdf.plot) = (None, Some(folder.path().join("model.pdf")));
        assert_eq!(run(pdf).unwrap(), 0);
        assert!(std::fs::read(folder.path().join("model.pdf")).unwrap().starts_with(b"%PDF-"));
        assert!(!drawn("powerlaw", &[]).contains(">powerlaw+"));
    }

    #[test]
    fn linear_bins_and_the_edges_of_a_file_are_those_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (out, file) = (folder.path().join("model.csv"), folder.path().join("edges.txt"));
        let rows = |args: Args| -> Vec<Vec<f64>> {
            assert_eq!(run(args).unwrap(), 0);
            let text = std::fs::read_to_string(&out).unwrap();
            text.lines().skip(1).map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect()
        };
        let mut linear = args(out.clone(), &["tbabs.nH=0", "powerlaw.PhoIndex=0"], ["1", "3", "4"]);
        linear.linear = true;
        let found = rows(linear);
        assert_eq!(found.iter().map(|r| r[0]).collect::<Vec<_>>(), [1.0, 1.5, 2.0, 2.5]);
        assert!(found.iter().all(|r| (r[2] - 0.5).abs() < 1e-12), "{found:?}");

        let of_file = |text: &[u8]| {
            std::fs::write(&file, text).unwrap();
            let mut args = args(out.clone(), &["tbabs.nH=0", "powerlaw.PhoIndex=0"], ["", "", ""]);
            (args.energies, args.edges) = (Vec::new(), Some(file.clone()));
            args
        };
        let found = rows(of_file(b"# keV\n1\n 1.25\r\n\n4e0"));
        let want = [[1.0, 1.25, 0.25], [1.25, 4.0, 2.75]];
        for (found, want) in found.iter().flatten().zip(want.iter().flatten()) {
            assert!((found - want).abs() < 1e-12, "{found} for {want}");
        }
        assert_eq!(found.len(), 2);
        assert_eq!(rows(of_file(&std::fs::read(&out).unwrap())), found);
        std::fs::remove_file(&out).unwrap();
        let cases: [(&[u8], &str); 8] = [
            (b"e_lo,e_hi,photons\n1,2,0\n3,4,0\n", "line 3: bins must touch, but 3 keV follows 2 keV"),
            (b"1\n3\n2\n", "line 3: edges must ascend, but 2 keV comes after 3 keV"),
            (b"1\n1\n", "line 2: edges must ascend"),
            (b"1\n2 3\n", "line 2: expected one energy in keV, 0 to 1000000, found '2 3'"),
            (b"1\nNaN\n", "line 2: expected one energy"),
            (b"-1\n2\n", "line 1: expected one energy"),
            (b"\n1\n", "expected at least two edges, one a line, found 1"),
            (b"1\n\xff\n", "no UTF-8"),
        ];
        for (text, says) in cases {
            let error = run(of_file(text)).unwrap_err();
            assert!(error.to_string().contains(says) && error.to_string().contains("edges.txt"), "{error}");
            assert_eq!(error.exit_status(), 2);
        }
        assert!(!out.exists());
    }

    #[test]
    fn a_table_of_points_gives_a_column_each_in_either_precision() {
        let folder = tempfile::tempdir().unwrap();
        let (out, at) = (folder.path().join("model.csv"), folder.path().join("theta.csv"));
        let run_at = |text: &str, device: &str| {
            std::fs::write(&at, text).unwrap();
            let mut args = args(out.clone(), &["tbabs.nH=0", "powerlaw.PhoIndex=2"], ["1", "10", "4"]);
            (args.at, args.device) = (Some(at.clone()), device.into());
            run(args)
        };
        for (device, good_to) in [(ORACLE, 1e-12), ("cpu", 1e-6)] {
            run_at("weight,powerlaw.norm,powerlaw.phoindex\n1,1,2\n1,3,0\n", device).unwrap();
            let text = std::fs::read_to_string(&out).unwrap();
            assert_eq!(text.lines().next(), Some("e_lo,e_hi,photons_1,photons_2"));
            let sum = |column: usize| -> f64 {
                text.lines().skip(1).map(|l| l.split(',').nth(column).unwrap().parse::<f64>().unwrap()).sum()
            };
            assert!((sum(2) / 0.9 - 1.0).abs() < good_to && (sum(3) / 27.0 - 1.0).abs() < good_to, "{text}");
        }
        for (text, says) in [
            ("weight\n1\n", "no column is a parameter"),
            ("powerlaw.norm,tbabs.nX\n1,1\n", "tbabs.nH"),
            ("powerlaw.norm\n1\n-1\n", "point 2, powerlaw.norm: the value -1 lies outside"),
            ("powerlaw.norm\nx\n", "line 2"),
        ] {
            let error = run_at(text, ORACLE).unwrap_err();
            assert!(error.to_string().contains(says) && error.to_string().contains("theta.csv"), "{error}");
        }
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
        assert!(!out.exists());
        // Folders are made, as for every output; below a file there is none.
        let deep = folder.path().join("no/such/folder/model.csv");
        run(args(deep.clone(), &[], ["1", "10", "4"])).unwrap();
        assert!(deep.exists());
        assert_eq!(run(args(deep.join("model.csv"), &[], ["1", "10", "4"])).unwrap_err().exit_status(), 2);
    }
}
