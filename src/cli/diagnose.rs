//! `rontgen diagnose DIR`: is a finished run calibrated, and can its model have made the data?

use std::path::PathBuf;

use super::common::{DataArgs, DeviceArgs, ExternalArgs, open_finished, print_json};
use super::progress::{Mode, Progress};
use crate::{
    Error, Result,
    report::Document,
    result::{Calibrated, Diagnosis, Summary, Verdict, VerdictStatus},
    run::{
        diagnose::{self, DIAGNOSIS, Settings},
        memory,
        output::FINISHED,
    },
};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Truths are drawn from the prior that the last round was trained on, spectra simulated from them, and posteriors \
    computed as for the observation: the flow, refined with the exact likelihood of each. Written into DIR: diagnose.json, \
    calibration.csv, plots/, report.html. Exit status 4 when a check fails, or when the run itself was refused."
)]
pub struct Args {
    /// Output folder of a finished run of infer
    pub(super) dir: PathBuf,
    /// Mocks for simulation-based calibration: at least 20, or 0 for none
    #[arg(long, value_name = "N", default_value_t = Settings::default().sbc)]
    pub(super) sbc: usize,
    /// Mocks for the expected coverage (TARP): at least 20, or 0 for none
    #[arg(long, value_name = "N", default_value_t = Settings::default().tarp)]
    pub(super) tarp: usize,
    /// Replicated spectra for the posterior predictive checks, or 0 for none
    #[arg(long, value_name = "N", default_value_t = Settings::default().ppc)]
    pub(super) ppc: usize,
    /// Draws of the flow per mock, each with its likelihood (up to 16 times as many where the weights are poor)
    #[arg(long, value_name = "N", default_value_t = Settings::default().draws)]
    pub(super) draws: usize,
    /// Also train a parameter retriever on the summaries of a round (1: over the whole prior): which parameters do the data constrain?
    #[arg(long, value_name = "ROUND", num_args = 0..=1, default_missing_value = "1")]
    pub(super) retriever: Option<usize>,
    /// Make the mocks with a key of the run file changed, e.g. observation.arf=OTHER.arf: what would the analysis make of such data?
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) mocks_with: Vec<String>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    pub(super) external: ExternalArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Print diagnose.json on standard output instead of a summary
    #[arg(long)]
    pub(super) json: bool,
    /// No progress display and no summary
    #[arg(long)]
    pub(super) quiet: bool,
}

pub fn run(args: Args) -> Result<u8> {
    for (option, n) in [("--sbc", args.sbc), ("--tarp", args.tarp)] {
        if (1..20).contains(&n) || n > 1_000_000 {
            return Err(Error::Input(format!("{option} {n}: expected 0, or 20 to 1000000")));
        }
    }
    if args.ppc > 100_000_000 || !(256..=10_000_000).contains(&args.draws) {
        return Err(Error::Input("expected --ppc up to 100000000 and --draws from 256 to 10000000".into()));
    }
    let (finished, data, device) = open_finished(&args.dir, &args.data, &args.external, &args.device)?;
    let settings = Settings {
        sbc: args.sbc,
        tarp: args.tarp,
        ppc: args.ppc,
        draws: args.draws,
        retriever: args.retriever,
        mocks_with: args.mocks_with,
    };
    let verdict = Summary::read(&args.dir.join(FINISHED))?.verdict;
    memory::of_targets(
        &finished.case.problem,
        settings.sbc.max(settings.tarp),
        (diagnose::AT_ONCE / settings.draws).max(1),
        diagnose::MOST * settings.draws,
        "--draws, --sbc, --tarp",
    )
    .check(&device)?;
    super::interrupt::install()?;
    let progress = Progress::new(Mode::detect(args.quiet));
    let diagnosis = diagnose::run(&finished, &device, data.as_deref(), &settings, &progress)?;
    if args.json {
        print_json(DIAGNOSIS, &diagnosis)?;
    } else if !args.quiet {
        say_as_is!("{}{}", of_the_run(&verdict), text(&diagnosis));
    }
    Ok(if diagnosis.passed && !verdict.refused() { 0 } else { 4 })
}

/// What the run itself said, where that was no praise.
fn of_the_run(verdict: &Verdict) -> String {
    match verdict.status {
        VerdictStatus::Trusted => String::new(),
        _ => {
            format!("the run: model {}, sampling {}\n", verdict.model.status.as_str(), verdict.sampling.status.as_str())
        }
    }
}

/// A few lines for people.
fn text(d: &Diagnosis) -> String {
    let mut out = String::new();
    let word = |passed: bool| if passed { "passed" } else { "FAILED" };
    if let Some(w) = &d.weights {
        out += &format!(
            "{} mocks from {} ({:.2e} of the prior): efficiency {:.2}, {:.0} effective draws (median), {:.0} % with sound weights\n",
            w.mocks,
            d.prior,
            d.prior_share,
            w.efficiency,
            w.ess,
            100.0 * w.sound
        );
    }
    for (name, Calibrated { sbc, tarp }) in [("refined", &d.refined), ("flow alone", &d.unrefined)] {
        if let Some(sbc) = sbc {
            out += &format!("ranks, {name}: {} (p = {:.3})\n", word(sbc.passed), sbc.p);
        }
        if let Some(tarp) = tarp {
            out += &format!("expected coverage, {name}: {} (p = {:.3})\n", word(tarp.passed), tarp.p);
        }
    }
    if let Some(predictive) = &d.predictive {
        out += &format!("predictive checks: {} (p = {:.3})\n", word(predictive.passed), predictive.p);
    }
    if let Some(retriever) = &d.retriever {
        let list: Vec<String> =
            retriever.parameters.iter().map(|p| format!("{} {:.0} %", p.name, 100.0 * p.explained.max(0.0))).collect();
        out += &format!("variance explained from summaries of round {}: {}\n", retriever.round, list.join(", "));
    }
    for failure in &d.failures {
        out += &format!("  {failure}\n");
    }
    out += &format!("{} in {:.1} s\n", if d.passed { "calibrated" } else { "NOT as it should be" }, d.seconds.total);
    out
}
