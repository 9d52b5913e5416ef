//! Spectra per second of one core: the model alone, neither parameters nor folding, in the native form of the CPU.
//!
//! Time is that which the thread spent on a core, so that a loaded machine shows the same (on Linux; elsewhere the clock's). With
//! `RONTGEN_DATA` the grids are those of the responses there (`PN.rmf`, 0.3 to 12 keV, and
//! `athena_xifu_rmf_v20160401.rmf`, 0.2 to 12 keV), else made-up ones of as many energies; the plasma models need AtomDB's tables
//! there. A command in `RONTGEN_BENCH_BESIDE` runs before and after every round, to compare with another program in the same minutes.

#[path = "../tests/common/fits.rs"]
mod fits;
#[path = "../tests/common/table.rs"]
mod table;
#[path = "../tests/common/xillver.rs"]
mod xillver;

use rontgen::model::{Model, ParameterInfo, Parameters, Prior, Program, Scratch, Setting, Settings};
use rontgen::observation::Response;
use std::{path::Path, time::Instant};

/// Different spectra of a measurement, how long they are repeated (s), and rounds over all cases.
const SPECTRA: usize = 400;
const LEAST: f64 = 0.7;
const ROUNDS: usize = 3;

/// Seconds that this thread has spent on a core, or that have passed since `start`.
fn seconds(start: Instant) -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = spent.as_deref().and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.map_or_else(|| start.elapsed().as_secs_f64(), |ns| 1e-9 * ns)
}

/// Edges of a response's energies inside a band, or as many equal steps.
fn grid(file: &str, (low, high): (f64, f64), steps: u32) -> Vec<f64> {
    let folder = std::env::var("RONTGEN_DATA").ok();
    let response = folder.and_then(|folder| {
        let folder = Path::new(&folder);
        let places = ["", "xmm_pn_ngc7793_ulx4", "xifu"].map(|place| folder.join(place).join(file));
        places.iter().find_map(|path| Response::read(path).ok())
    });
    match response {
        Some(response) => response.edges.iter().copied().filter(|e| *e >= low && *e <= high).collect(),
        None => (0..=steps).map(|k| low + (high - low) * f64::from(k) / f64::from(steps)).collect(),
    }
}

/// What is free, and the rest as in the measured cases.
fn setting(info: &ParameterInfo) -> Setting {
    let free = |lo, hi| Setting::Free(Prior::Uniform { lo, hi });
    let own = info.name.rsplit_once('.').map_or("", |(_, own)| own);
    match (info.name.as_str(), own) {
        ("zgauss.LineE", _) => Setting::Frozen(2.0),
        ("zgauss.Redshift", _) => free(0.1, 0.5),
        ("bbodyrad.kT", _) => free(0.5, 1.0),
        (_, "kT") => free(0.5, 5.0),
        (_, "Redshift") => free(0.05, 0.2),
        (_, "Velocity") => Setting::Frozen(100.0),
        ("pexmon.PhoIndex", _) => free(1.1, 2.5),
        (_, "PhoIndex") => free(1.0, 3.0),
        (_, "Sigma") => free(0.005, 0.015),
        (_, "Sig_6keV") => free(0.005, 0.5),
        (_, "Index") => free(-1.0, 1.0),
        (_, "Incl") => free(20.0, 60.0),
        (_, "a") => free(0.0, 0.9),
        (_, "h") => free(3.0, 20.0),
        (_, "gamma") => free(1.5, 3.0),
        (_, "logxi") => free(1.0, 4.0),
        (_, "Afe") => free(0.9, 2.0),
        (_, "nH") => free(0.01, 0.3),
        (_, "norm") => free(0.1, 1.0),
        _ => Setting::Frozen(info.default),
    }
}

fn main() {
    let pn = grid("PN.rmf", (0.3, 12.0), 2291);
    let fine: Vec<f64> = (0..=4850).map(|k| 0.3 + 0.002 * f64::from(k)).collect();
    let xifu = grid("athena_xifu_rmf_v20160401.rmf", (0.2, 12.0), 29_500);
    // As of NuSTAR.
    let hard: Vec<f64> = (0..=1900).map(|k| 3.0 + 0.04 * f64::from(k)).collect();
    // Expression, grid, and whether a run has made tables of what it fixes.
    let cases = [
        ("tbabs*(bbodyrad+powerlaw)", &pn, true),
        ("tbabs*(powerlaw+zgauss)", &xifu, true),
        ("bvapec", &xifu, true),
        ("tbabs*(bvapec+bvapec)", &xifu, true),
        ("bvapec", &xifu, false),
        ("tbabs*(bvapec+bvapec)", &xifu, false),
        ("tbabs*bapec", &xifu, false),
        ("tbabs*apec", &xifu, false),
        ("gsmooth*(powerlaw+gaussian)", &fine, false),
        ("lsmooth*(powerlaw+gaussian)", &fine, false),
        ("rdblur*(powerlaw+gaussian)", &fine, false),
        ("diskline", &fine, false),
        ("relline_lp", &xifu, true),
        ("relline", &xifu, true),
        ("relconv_lp*(powerlaw+gaussian)", &hard, true),
        ("relconv_lp*(powerlaw+gaussian)", &xifu, true),
        ("relconv_lp*pexmon", &hard, true),
        ("relconv_lp*pexmon", &xifu, true),
        ("pexmon", &hard, true),
        ("pexmon", &xifu, true),
        ("relxill", &xifu, true),
        ("relxilllp", &xifu, true),
        ("relxilllp", &hard, true),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    xillver::write(folder.path(), false, 1.0).expect("a table");
    // As the program looks for them.
    let atomdb = ["ATOMDB", "RONTGEN_DATA"].into_iter().find_map(std::env::var_os).map(std::path::PathBuf::from);
    let settings = Settings::new("angr", "vern").expect("settings").with_atomdb(atomdb);
    let settings = settings.with_xillver(Some(folder.path().into()), false);
    let programs = cases.map(|(expression, edges, fixed)| {
        let mut model = Model::parse(expression, &settings).expect("a model");
        let map = model.parameters().iter().map(|info| (info.name.clone(), setting(info))).collect();
        let parameters = Parameters::resolve(&model, &map).expect("parameters");
        if fixed {
            model.fix_tables(&parameters);
        }
        let start = Instant::now();
        let program = Program::new(&model, edges);
        let program = program.map_err(|error| println!("{expression}: left out, {error}")).ok();
        (program, parameters, start.elapsed().as_secs_f64())
    });
    let start = Instant::now();
    for round in 0..=ROUNDS {
        if let Ok(command) = std::env::var("RONTGEN_BENCH_BESIDE") {
            println!("$ {command}");
            let status = std::process::Command::new("sh").args(["-c", &command]).status();
            println!("{}", status.map_or_else(|error| error.to_string(), |status| status.to_string()));
        }
        if round == ROUNDS {
            break;
        }
        for ((expression, edges, fixed), (program, parameters, made)) in cases.iter().zip(&programs) {
            let Some(program) = program else { continue };
            let mut state = 1u64;
            let mut uniform = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            };
            let spectra: Vec<Vec<f32>> = (0..SPECTRA)
                .map(|_| {
                    let cube: Vec<f64> = parameters.free().iter().map(|_| uniform()).collect();
                    let full = parameters.full(&parameters.from_cube(&cube));
                    full.iter().map(|x| *x as f32).collect()
                })
                .collect();
            let (mut flux, mut scratch) = (vec![0.0f32; program.energies()], Scratch::default());
            program.evaluate_f32(&spectra[0], &mut flux, &mut scratch);
            let (clock, before) = (Instant::now(), seconds(start));
            let mut count = 0;
            // The system counts a thread's time in steps of some milliseconds.
            while count < SPECTRA / 20 || seconds(start) - before < LEAST {
                for full in spectra.iter().cycle().skip(count % SPECTRA).take(SPECTRA / 20) {
                    program.evaluate_f32(full, &mut flux, &mut scratch);
                }
                count += SPECTRA / 20;
            }
            let (spent, passed) = (seconds(start) - before, clock.elapsed().as_secs_f64());
            println!(
                "{expression:28} {:6} energies, {:15} {:8.0} spectra/s of a core's time ({:.0} by the clock); {:.1} MiB of tables in {made:.2} s",
                edges.len() - 1,
                if *fixed { "fixed tabulated" } else { "all free" },
                count as f64 / spent,
                count as f64 / passed,
                program.tables().len() as f64 / 262_144.0
            );
        }
    }
}
