//! `rontgen fake`: a mock observation at given parameters.

use std::path::{Path, PathBuf};

use super::common::{FORCED, RunArgs, assignment, seed_parser, values_in_order, warn};
use crate::{
    Error, Result,
    device::Device,
    kernels::poisson,
    model::Program,
    observation::{Grouping, PhaFile, grouping, write_pha},
    run::setup,
    simulate::oracle,
};

#[derive(Debug, clap::Args)]
#[command(override_usage = "rontgen fake RUN.toml --at PAR=VALUE... --exposure S --out FILE [OPTIONS]")]
pub struct Args {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Value of every free parameter, e.g. --at powerlaw.PhoIndex=1.8 powerlaw.norm=0.3
    #[arg(long, value_name = "PAR=VALUE", num_args = 1.., required = true, value_parser = assignment)]
    pub(super) at: Vec<(String, f64)>,
    /// Exposure in seconds
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub(super) exposure: f64,
    /// Spectrum to write (PHA)
    #[arg(long, value_name = "SPECTRUM.pha")]
    pub(super) out: PathBuf,
    /// Seed of the Poisson draws (the same as --set inference.seed=N)
    #[arg(long, value_name = "N", value_parser = seed_parser(), allow_negative_numbers = true)]
    pub(super) seed: Option<u64>,
    /// Replace the file if it exists; use an area of another instrument than the response's all the same, with a warning
    #[arg(long)]
    pub(super) force: bool,
}

/// Stream of random numbers that no stage of a run uses.
const STREAM: u32 = 0x6661_6b65;

pub fn run(mut args: Args) -> Result<u8> {
    if !(args.exposure.is_finite() && args.exposure > 0.0) {
        return Err(Error::Input(format!("--exposure {}: expected seconds, more than 0", args.exposure)));
    }
    if args.out.exists() && !args.force {
        return Err(Error::Input(format!("{}: exists already; --force replaces it", args.out.display())));
    }
    args.run.sets.extend(args.force.then(|| FORCED.into()));
    let run = args.run.read(args.seed)?;
    let data = args.run.data.folder()?;
    let (model, parameters) = setup::model(&run, data.as_deref(), &[])?;
    let names: Vec<String> = parameters.free().iter().map(|p| p.name.clone()).collect();
    let theta = values_in_order(&names, &args.at, "--at")?;

    let (response, area) = setup::response(&run, data.as_deref())?;
    warn(&response.warnings);
    let folded = response.folded_channels(args.exposure)?;
    let program = Program::new(&model, &folded.edges)?;
    let expected = oracle::expected_counts(&program, &parameters, &folded, std::slice::from_ref(&theta));
    let expected = expected.into_iter().next().unwrap_or_default();
    let counts = draw(&expected, run.inference.seed)?;

    let flags = match &run.observation.grouping {
        Grouping::File | Grouping::None => None,
        wanted => Some(grouping::flags(&response.group_channels(wanted, &counts)?, counts.len())),
    };
    let at: Vec<_> = names.iter().zip(&theta).map(|(name, value)| format!("{name}={value}")).collect();
    write_pha(
        &args.out,
        &PhaFile {
            first_channel: response.channel.first().copied().unwrap_or(0),
            counts: &counts,
            exposure: args.exposure,
            respfile: &file_name(&response.path),
            ancrfile: &area.as_deref().map(file_name).unwrap_or_default(),
            grouping: flags.as_deref(),
            telescope: "",
            instrument: "",
            object: "mock",
            history: vec![
                format!("simulated by rontgen {}, seed {}", env!("CARGO_PKG_VERSION"), run.inference.seed),
                format!("{} ({})", run.model.expression, run.model.abundances),
                at.join(" "),
            ],
        },
    )?;
    let total: u64 = counts.iter().map(|&c| u64::from(c)).sum();
    eprintln!("{}: {total} counts in {} channels", args.out.display(), counts.len());
    Ok(0)
}

/// Poisson counts, with the same generator as a run's simulations.
fn draw(expected: &[f64], seed: u64) -> Result<Vec<u32>> {
    if let Some(channel) =
        expected.iter().position(|m| !(m.is_finite() && (0.0..=f64::from(poisson::LARGEST)).contains(m)))
    {
        return Err(Error::Input(format!(
            "channel number {channel} (from 0): {} expected counts; the model at these parameters cannot be drawn from",
            expected[channel]
        )));
    }
    let means: Vec<f32> = expected.iter().map(|&m| m as f32).collect();
    let mut counts = vec![0f32; means.len()];
    let device = Device::cpu();
    if let Device::Cpu(cpu) = &device {
        poisson::twin(cpu, poisson::Source { seed, stream: STREAM }, 0, means.len(), &means, &mut counts);
    }
    device.check()?;
    // The counts are whole numbers below 2^25 held in f32.
    Ok(counts.iter().map(|&c| c as u32).collect())
}

/// The name a header can hold: no folder, and no `.gz`, which every reader tries by itself.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(".gz").unwrap_or(&name).to_string()
}
