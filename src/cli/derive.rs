//! `rontgen derive DIR`: fluxes, luminosities and equivalent widths of every draw of a finished run's posterior.

use std::path::PathBuf;

use super::common::{DataArgs, DeviceArgs, ExternalArgs, print_json, warn};
use super::progress::{COLUMNS, Mode, Progress, wrap};
use crate::analysis::derive::{Band, Integral, Request};
use crate::device::Device;
use crate::model::Cosmology;
use crate::report::folder;
use crate::report::numbers::Estimate;
use crate::result::{Derived, VerdictStatus};
use crate::run::{derive::Opened, permission::Commands};
use crate::{Error, Result};

/// Fluxes, luminosities and equivalent widths of every draw of a finished run's posterior
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes into DIR: derived.csv (a row per row of posterior.csv), derived.json (medians, 68 % and 90 % intervals, upper \
    limits at 90 % where draws pile up at zero) and the report. Bands are integrated on energies of their own, not on the response's; models \
    with convolutions also see the response's range, as in the fit. Exit status 4 where the run refused its draws."
)]
pub struct Args {
    /// Output folder of a finished run of infer or reference
    pub(super) dir: PathBuf,
    #[command(flatten)]
    pub(super) quantities: Quantities,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    pub(super) external: ExternalArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Print derived.json on standard output instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// No progress display and no table
    #[arg(long)]
    pub(super) quiet: bool,
}

/// What is derived of draws.
#[derive(Debug, clap::Args)]
pub(super) struct Quantities {
    /// Energy flux between two energies [keV], erg/cm2/s; may be repeated
    #[arg(long, num_args = 2, value_names = ["LO", "HI"], allow_negative_numbers = true, action = clap::ArgAction::Append)]
    pub(super) flux: Vec<f64>,
    /// Photon flux between two energies [keV], photons/cm2/s; may be repeated
    #[arg(long, num_args = 2, value_names = ["LO", "HI"], allow_negative_numbers = true, action = clap::ArgAction::Append)]
    pub(super) photons: Vec<f64>,
    /// Luminosity between two energies of the source's frame [keV], erg/s, as XSPEC's lumin; may be repeated
    #[arg(long, num_args = 2, value_names = ["LO", "HI"], allow_negative_numbers = true, action = clap::ArgAction::Append)]
    pub(super) luminosity: Vec<f64>,
    /// Every band also without this multiplicative component, which is taken as 1; may be repeated (then also without all of them)
    #[arg(long, value_name = "COMPONENT")]
    pub(super) unabsorbed: Vec<String>,
    /// Equivalent width of this additive component [keV] as XSPEC's eqwidth: its photons over the mean of the rest of the model from
    /// 0.95 to 1.05 times the energy of its peak; may be repeated
    #[arg(long, value_name = "COMPONENT")]
    pub(super) eqw: Vec<String>,
    /// Every band also for each additive component alone, with all that multiplies it
    #[arg(long)]
    pub(super) by_component: bool,
    /// Redshift of the source, for luminosities [default: the model's]
    #[arg(long, value_name = "Z", allow_negative_numbers = true)]
    pub(super) redshift: Option<f64>,
    /// H0 [km/s/Mpc], q0 and Lambda0 as XSPEC's cosmo: flat, and q0 is ignored, unless Lambda0 is 0 [default: 70 0 0.73]
    #[arg(long, num_args = 3, value_names = ["H0", "Q0", "L0"], allow_negative_numbers = true)]
    pub(super) cosmo: Option<Vec<f64>>,
}

impl Quantities {
    /// What is asked for in words, by which two requests are told apart.
    pub(super) fn words(&self) -> String {
        let Quantities { flux, photons, luminosity, unabsorbed, eqw, by_component, redshift, cosmo } = self;
        let numbers = [("flux", flux), ("photons", photons), ("luminosity", luminosity)];
        let mut all: Vec<String> = numbers
            .iter()
            .flat_map(|(name, ends)| ends.chunks_exact(2).map(move |ends| format!("--{name} {} {}", ends[0], ends[1])))
            .collect();
        all.extend(unabsorbed.iter().map(|name| format!("--unabsorbed {name}")));
        all.extend(eqw.iter().map(|name| format!("--eqw {name}")));
        all.extend(by_component.then(|| "--by-component".into()));
        all.extend(redshift.map(|z| format!("--redshift {z}")));
        all.extend(cosmo.as_ref().map(|numbers| format!("--cosmo {numbers:?}")));
        if all.is_empty() { "none".into() } else { all.join(" ") }
    }

    pub(super) fn request(&self) -> Result<Request> {
        let all = [
            (Integral::Flux, &self.flux),
            (Integral::Photons, &self.photons),
            (Integral::Luminosity, &self.luminosity),
        ];
        let bands = all.into_iter().flat_map(|(integral, ends)| {
            ends.chunks_exact(2).map(move |ends| Band { integral, lo: ends[0], hi: ends[1] })
        });
        let cosmology = match self.cosmo.as_deref() {
            Some(&[h0, q0, lambda0]) => {
                Cosmology::new(h0, q0, lambda0).map_err(|error| Error::Input(format!("--cosmo: {error}")))?
            }
            _ => Cosmology::default(),
        };
        if self.luminosity.is_empty() && (self.redshift.is_some() || self.cosmo.is_some()) {
            let option = if self.redshift.is_some() { "--redshift" } else { "--cosmo" };
            return Err(Error::Input(format!("{option} is for --luminosity, which is not asked for")));
        }
        Ok(Request {
            bands: bands.collect(),
            unabsorbed: self.unabsorbed.clone(),
            equivalent_widths: self.eqw.clone(),
            by_component: self.by_component,
            redshift: self.redshift,
            cosmology,
        })
    }
}

pub fn run(args: Args) -> Result<u8> {
    let request = args.quantities.request()?;
    let data = args.data.folder()?;
    let opened = Opened::open(&args.dir, data.as_deref(), args.external.commands(Commands::Known), &request)?;
    let device = Device::open(&args.device.device)?;
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let derived = opened.derive(&request, &device, &progress)?;
    if !args.quiet {
        warn(&derived.warnings);
    }
    if args.json {
        print_json(folder::DERIVED, &derived)?;
    } else if !args.quiet {
        say_as_is!("{}", text(&derived));
    }
    Ok(if opened.refused() { 4 } else { 0 })
}

/// A table for people, at most 80 columns wide where names and numbers allow it.
fn text(derived: &Derived) -> String {
    let mut text = String::new();
    if derived.sampling == VerdictStatus::NotTrusted {
        text += "THE RUN REFUSED THESE DRAWS: do not use what follows from them\n\n";
    }
    let rows: Vec<[String; 4]> = derived
        .quantities
        .iter()
        .map(|(name, quantity)| {
            let interval =
                Estimate::with_errors(quantity.median, quantity.q95 - quantity.median, quantity.median - quantity.q05);
            let interval = match quantity.limit {
                Some(_) => String::new(),
                None => format!("{} to {}", interval.plain_value(quantity.q05), interval.plain_value(quantity.q95)),
            };
            [name.clone(), Estimate::of(&quantity.as_parameter()).plain(), interval, quantity.unit.clone()]
        })
        .collect();
    let head = ["quantity", "median and 68 %", "90 %", "unit"].map(String::from);
    let width = |i: usize| rows.iter().chain([&head]).map(|row| row[i].chars().count()).max().unwrap_or(0);
    let [names, estimates, intervals] = [width(0), width(1), width(2)];
    // Names that leave no room for numbers stand above them.
    let narrow = names + estimates + intervals + 20 > COLUMNS && names > 24;
    for [name, estimate, interval, unit] in [&head].into_iter().chain(&rows) {
        let start = if narrow { format!("{name}\n  ") } else { format!("{name:<names$}  ") };
        text += format!("{start}{estimate:<estimates$}  {interval:<intervals$}  {unit}").trim_end();
        text.push('\n');
    }
    if let Some(distance) = &derived.distance {
        let [least, most] = distance.redshift;
        let range = if least == most { format!("{least}") } else { format!("{least} to {most}") };
        let from = distance.parameter.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        let line = format!(
            "redshift {range}{from}, H0 {} km/s/Mpc, q0 {}, Lambda0 {}",
            distance.h0, distance.q0, distance.lambda0
        );
        text += &wrap(&line, 0, 2);
    }
    text
}
