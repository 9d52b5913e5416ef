//! Mock observations for a survey: spectra of mixed exposures, fluxes and backgrounds, their list, and the truths that they were drawn with.
//!
//! cargo run --release --example survey_mocks -- RUN.toml OUT PREFIX N SHORTEST LONGEST SEED
//!
//! RUN.toml describes one observed spectrum (grouping = "none"): its response, area, background and priors are those of the mocks. Parameters come from the
//! priors, exposures (SHORTEST to LONGEST, in seconds) evenly in the logarithm. Three mocks of five have a background: that of RUN.toml, smoothed, 0.4 to 2.5
//! times as bright, in a region that is up to a quarter larger or smaller. Every other mock has none. Files are called OUT/PREFIX-0001.pha and so on;
//! OUT/list.csv and OUT/truth.csv grow, so that several instruments can follow each other.

use std::{
    error::Error,
    fs::{OpenOptions, create_dir_all},
    io::Write,
    path::Path,
};

use rand::{Rng, SeedableRng};
use rontgen::{
    device::{Device, Tensor},
    kernels::poisson::{Source, poisson},
    observation::{Dataset, PhaFile, write_pha},
    run::{run_file::RunFile, setup::Case},
};

/// QUALITY of channels that the observed spectrum does not use.
const BAD: i32 = 5;

/// What is to be made.
pub struct Wanted<'a> {
    /// The run file.
    pub run: &'a Path,
    /// Folder of the mocks.
    pub out: &'a Path,
    /// What their names begin with.
    pub prefix: &'a str,
    /// How many.
    pub n: usize,
    /// Exposures, shortest and longest [s].
    pub exposures: [f64; 2],
    /// Seed of all random numbers.
    pub seed: u64,
}

/// Counts of all channels of the response around these means of the data set's channels.
fn counts(set: &Dataset, channels: (i64, usize), mean: &[f64], source: Source) -> Result<Vec<u32>, Box<dyn Error>> {
    let device = Device::cpu();
    let means: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
    let mean = Tensor::from_slice(&device, 1, means.len(), &means);
    let mut drawn = Tensor::empty(&device, 1, means.len());
    poisson(&device, source, 0, &mean, 0, &mut drawn, 0, 1);
    let mut all = vec![0; channels.1];
    for (bin, count) in set.bins.iter().zip(drawn.download()?) {
        all[(bin.first_channel - channels.0) as usize] = count as u32;
    }
    Ok(all)
}

/// Makes the mocks; `data`: where the files of the run are looked for.
pub fn mocks(wanted: &Wanted<'_>, data: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let run =
        RunFile::read(wanted.run, &["observation.grouping=\"none\"".into(), "observation.statistic=\"cstat\"".into()])?;
    let case = Case::open(run, data)?;
    let problem = &case.problem;
    let [set] = problem.observations.sets() else { return Err("expected one data set".into()) };
    let (Some(background), [_, response, area @ ..]) = (&set.background, set.files.as_slice()) else {
        return Err("expected a spectrum with a response and a background".into());
    };
    let shape = background.smoothed(20.0);
    let last = set.bins.last().map_or(0, |bin| bin.last_channel);
    let file = rontgen::observation::load_response(response, &rontgen::observation::FileChoice::None)?;
    let channels = (file.channel.first().copied().unwrap_or(0).min(last), file.channel.len());
    let mut quality = vec![BAD; channels.1];
    set.bins.iter().for_each(|bin| quality[(bin.first_channel - channels.0) as usize] = 0);
    create_dir_all(wanted.out)?;
    let append = |name: &str, header: String| -> Result<std::fs::File, Box<dyn Error>> {
        let path = wanted.out.join(name);
        let new = !path.exists();
        let mut table = OpenOptions::new().create(true).append(true).open(path)?;
        if new {
            writeln!(table, "{header}")?;
        }
        Ok(table)
    };
    let mut list = append("list.csv", "name,spectrum,background,response,area".into())?;
    let mut truths = append("truth.csv", format!("name,{}", problem.names().join(",")))?;
    let absolute = |path: &Path| std::path::absolute(path).map(|path| path.display().to_string());
    let area = area.first().map_or(Ok("none".to_string()), |path| absolute(path))?;
    let response = absolute(response)?;
    let free = problem.parameters.free();
    let mut generator = rand_pcg::Pcg64::seed_from_u64(wanted.seed);
    for k in 0..wanted.n {
        let theta: Vec<f64> = free.iter().map(|one| one.prior.quantile(generator.random::<f64>())).collect();
        let [shortest, longest] = wanted.exposures;
        let exposure = shortest * (longest / shortest).powf(generator.random::<f64>());
        let (level, size) =
            (0.4 * 6.25f64.powf(generator.random::<f64>()), 0.8 * 1.5625f64.powf(generator.random::<f64>()));
        let longer = exposure / set.exposure;
        let mut mean: Vec<f64> = problem
            .expected_exactly(std::slice::from_ref(&theta))
            .swap_remove(0)
            .iter()
            .map(|mu| mu * longer)
            .collect();
        let name = format!("{}-{:04}", wanted.prefix, k + 1);
        let stream = 2 * k as u32;
        let mut pha = PhaFile {
            first_channel: channels.0,
            exposure,
            quality: Some(&quality),
            telescope: &set.telescope,
            instrument: &set.instrument,
            object: "mock",
            ..PhaFile::default()
        };
        let with_background = k % 5 < 3;
        let beside = format!("{name}_bkg.pha");
        if with_background {
            // Counts of its own region and exposure; a larger region has more, and its scale is smaller.
            let own: Vec<f64> = shape.iter().map(|b| b * level * longer * size).collect();
            mean.iter_mut().zip(own.iter().zip(&background.scale)).for_each(|(m, (b, scale))| *m += b * scale / size);
            let scale = background.scale.first().copied().unwrap_or(1.0);
            let drawn = counts(set, channels, &own, Source { seed: wanted.seed, stream: stream + 1 })?;
            let region = [size / scale];
            write_pha(
                &wanted.out.join(&beside),
                &PhaFile { counts: &drawn, backscal: &region, is_background: true, ..pha.clone() },
            )?;
        }
        let drawn = counts(set, channels, &mean, Source { seed: wanted.seed, stream })?;
        pha.counts = &drawn;
        write_pha(&wanted.out.join(format!("{name}.pha")), &pha)?;
        let beside = if with_background { &beside } else { "none" };
        writeln!(list, "{name},{name}.pha,{beside},{response},{area}")?;
        writeln!(truths, "{name},{}", theta.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

pub fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [run, out, prefix, n, shortest, longest, seed] = words.as_slice() else {
        println!("usage: survey_mocks RUN.toml OUT PREFIX N SHORTEST LONGEST SEED");
        return Ok(());
    };
    let wanted = Wanted {
        run: Path::new(run),
        out: Path::new(out),
        prefix,
        n: n.parse()?,
        exposures: [shortest.parse()?, longest.parse()?],
        seed: seed.parse()?,
    };
    let data = std::env::var_os("RONTGEN_DATA").map(std::path::PathBuf::from);
    mocks(&wanted, data.as_deref())
}
