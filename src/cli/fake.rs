//! `rontgen fake`: mock observations at given parameters.

use std::path::{Path, PathBuf};

use super::common::{FORCED, RunArgs, assignment, seed_parser, values_in_order, warn};
use crate::{
    Error, Result,
    observation::{PhaFile, write_pha},
    run::mock::{Mock, Mocks},
};

#[derive(Debug, clap::Args)]
#[command(override_usage = "rontgen fake RUN.toml --at PAR=VALUE... --exposure S --out FILE [OPTIONS]")]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Value of every free parameter, e.g. --at powerlaw.PhoIndex=1.8 powerlaw.norm=0.3
    #[arg(long, value_name = "PAR=VALUE", num_args = 1.., required = true, value_parser = assignment)]
    pub(super) at: Vec<(String, f64)>,
    /// Exposure in seconds; of several data sets one for all, or NAME=S for each. A background's keeps its ratio to it
    #[arg(long, value_name = "S|NAME=S", required = true, value_parser = exposure, allow_negative_numbers = true)]
    pub(super) exposure: Vec<(Option<String>, f64)>,
    /// Spectrum to write (PHA); its background becomes FILE_bkg, of several data sets there is a FILE-NAME each
    #[arg(long, value_name = "SPECTRUM.pha")]
    pub(super) out: PathBuf,
    /// Seed of the Poisson draws (the same as --set inference.seed=N)
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Replace files if they exist; use an area of another instrument than the response's all the same, with a warning
    #[arg(long)]
    pub(super) force: bool,
}

/// Reads `S` or `NAME=S`.
fn exposure(text: &str) -> Result<(Option<String>, f64), String> {
    let (name, seconds) = match text.rsplit_once('=') {
        Some((name, seconds)) => (Some(name.trim().to_string()), seconds),
        None => (None, text),
    };
    match seconds.trim().parse::<f64>() {
        _ if name.as_deref() == Some("") => Err("the name before = is empty".into()),
        Ok(number) if number.is_finite() && number > 0.0 => Ok((name, number)),
        _ => Err(format!("{:?}: expected seconds, more than 0", seconds.trim())),
    }
}

/// The exposure of each data set.
fn exposures(sets: &[Option<String>], given: &[(Option<String>, f64)]) -> Result<Vec<f64>> {
    let called = |set: &Option<String>| set.clone().unwrap_or_else(|| "1".into());
    let all = || sets.iter().map(called).collect::<Vec<_>>().join(", ");
    for (i, (name, _)) in given.iter().enumerate() {
        let same = |other: &Option<String>| match (name, other) {
            (Some(name), Some(other)) => name.eq_ignore_ascii_case(other),
            (name, other) => name == other,
        };
        if given[..i].iter().any(|(other, _)| same(other)) {
            return Err(Error::Input(format!("--exposure {}: given twice", name.as_deref().unwrap_or(""))));
        }
        if let Some(name) = name
            && !sets.iter().any(|set| called(set).eq_ignore_ascii_case(name))
        {
            return Err(Error::Input(format!("--exposure {name}: no data set is called that; there are {}", all())));
        }
    }
    let find = |set: &Option<String>| {
        let set = called(set);
        let own = given.iter().find(|(name, _)| name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&set)));
        let found = own.or_else(|| given.iter().find(|(name, _)| name.is_none()));
        found.map(|(_, seconds)| *seconds).ok_or_else(|| {
            Error::Input(format!("--exposure: {set} is missing; a number without a name is for every data set"))
        })
    };
    sets.iter().map(find).collect()
}

/// `mock.pha` with something between its stem and its ending.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(ending) => format!("{stem}{suffix}.{}", ending.to_string_lossy()),
        None => format!("{stem}{suffix}"),
    };
    path.with_file_name(name)
}

/// The file of each data set; a name may hold what a file's name may not.
fn files(out: &Path, sets: &[Option<String>]) -> Result<Vec<PathBuf>> {
    if let [_] = sets {
        return Ok(vec![out.to_path_buf()]);
    }
    let plain = |c: char| if c.is_alphanumeric() || "+-._".contains(c) { c } else { '_' };
    let file = |set: &Option<String>| {
        let name: String = set.as_deref().unwrap_or("").chars().map(plain).collect();
        with_suffix(out, &format!("-{name}"))
    };
    let files: Vec<PathBuf> = sets.iter().map(file).collect();
    match (0..files.len()).find(|&k| files[..k].contains(&files[k])) {
        Some(k) => Err(Error::Input(format!(
            "--out: two data sets would be written to {}; give them other names",
            files[k].display()
        ))),
        None => Ok(files),
    }
}

pub fn run(mut args: Args) -> Result<u8> {
    args.run.sets.extend(args.force.then(|| FORCED.into()));
    let run = args.run.read(args.seed)?;
    let data = args.run.data.folder()?;
    let mocks = Mocks::open(&run, data.as_deref())?;
    let sets = mocks.sets();
    let files = files(&args.out, &sets)?;
    let free = |path: &Path| match path.exists() && !args.force {
        true => Err(Error::Input(format!("{}: exists already; --force replaces it", path.display()))),
        false => Ok(()),
    };
    files.iter().try_for_each(|file| free(file))?;
    let exposures = exposures(&sets, &args.exposure)?;
    let names = mocks.names();
    let theta = values_in_order(&names, &args.at, "--at")?;
    let (mocks, warnings) = mocks.draw(&theta, &exposures)?;
    warn(&warnings);
    let backgrounds: Vec<PathBuf> = files.iter().map(|file| with_suffix(file, "_bkg")).collect();
    for (mock, background) in mocks.iter().zip(&backgrounds) {
        if mock.background.is_some() {
            free(background)?;
        }
    }
    let at: Vec<_> = names.iter().zip(&theta).map(|(name, value)| format!("{name}={value}")).collect();
    let history = vec![
        format!("simulated by rontgen {}, seed {}", env!("CARGO_PKG_VERSION"), run.inference.seed),
        format!("{} ({})", run.model.expression, run.model.abundances),
        at.join(" "),
    ];
    for ((mock, file), background) in mocks.iter().zip(&files).zip(&backgrounds) {
        write(mock, file, background, &history)?;
    }
    Ok(0)
}

/// Writes a mock: its background first, so that a spectrum never names a file that is not there.
fn write(mock: &Mock, file: &Path, beside: &Path, history: &[String]) -> Result<()> {
    let mut pha = PhaFile {
        first_channel: mock.first_channel,
        exposure: mock.exposure,
        areascal: &mock.areascal,
        object: "mock",
        history: history.to_vec(),
        ..PhaFile::default()
    };
    let backfile = file_name(beside);
    if let Some(background) = &mock.background {
        // Whole numbers below 2^25, unless there are errors.
        let counts: Vec<u32> = background.counts.iter().map(|&count| count as u32).collect();
        let errors = background.errors.as_deref();
        let own = PhaFile {
            counts: &counts,
            gaussian_counts: errors.map_or(&[], |_| &background.counts),
            errors,
            exposure: background.exposure,
            backscal: &background.backscal,
            areascal: &background.areascal,
            quality: mock.quality.as_deref(),
            is_background: true,
            ..pha.clone()
        };
        write_pha(beside, &own)?;
        let total: f64 = background.counts.iter().sum();
        tell!(
            "{}: {total:.0} background counts in {} channels; {:.1} are expected in the source's spectrum",
            beside.display(),
            background.counts.len(),
            background.scaled
        );
        pha.backfile = &backfile;
    }
    let (response, area) = (file_name(&mock.response), mock.area.as_deref().map(file_name).unwrap_or_default());
    pha = PhaFile {
        counts: &mock.counts,
        respfile: &response,
        ancrfile: &area,
        backscal: &mock.backscal,
        grouping: mock.grouping.as_deref(),
        quality: mock.quality.as_deref(),
        ..pha
    };
    write_pha(file, &pha)?;
    let total: u64 = mock.counts.iter().map(|&c| u64::from(c)).sum();
    tell!("{}: {total} counts in {} channels", file.display(), mock.counts.len());
    let beside = |named: &Path| crate::fits::existing(&file.with_file_name(file_name(named))).is_some();
    let apart = std::iter::once(&mock.response).chain(&mock.area).filter(|named| !beside(named));
    let apart: Vec<String> = apart.map(|named| file_name(named)).collect();
    if !apart.is_empty() {
        tell!(
            "{}: its header names {}, which is not beside it: say where (response = ..., arf = ...) in the run file that reads it",
            file.display(),
            apart.join(" and ")
        );
    }
    Ok(())
}

/// The name a header can hold: no folder, and no `.gz`, which every reader tries by itself.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".gz").unwrap_or(&name).to_string()
}
