//! Background spectra of real observations, against what XSPEC, Sherpa and numpy make of the same files.
//!
//! Statistics are compared in double precision: photons are folded here with the response as read, since that of a data set is rounded to single
//! precision (which moves W by some 1e-7 of it; the last of the tests says by how much).

use std::path::{Path, PathBuf};

use crate::common::{
    data,
    fits::{Data, file, table},
    runs::{rontgen, stderr},
};
use rontgen::kernels::background_stat::{BackgroundBin, BackgroundStatistic};
use rontgen::model::{Model, Program, Settings};
use rontgen::observation::{
    Dataset, FileChoice, Grouping, Mismatch, ObservationSpec, Response, Spectrum, inspect, load, load_response_with,
    read_spectrum,
};

/// A data set with its response and spectrum in double precision.
struct Case {
    set: Dataset,
    response: Response,
    spectrum: Spectrum,
}

impl Case {
    fn new(spec: &ObservationSpec) -> Self {
        let set = load(spec).unwrap();
        let arf = set.files.get(2).map_or(FileChoice::None, |path| FileChoice::File(path.clone()));
        let response = load_response_with(&set.files[1], &arf, Mismatch::Error).unwrap();
        Case { set, response, spectrum: read_spectrum(&spec.spectrum).unwrap() }
    }

    /// Expected counts in the bins for photons/cm2/s between two energies.
    fn means(&self, flux: &dyn Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        let photons = flux(&self.response.edges);
        let mut channels = vec![0.0; self.response.channels()];
        for run in &self.response.runs {
            let energy = run.energy as usize;
            let factor = photons[energy] * self.response.area[energy] * self.set.exposure;
            for (k, v) in self.response.values[run.start..run.start + run.len as usize].iter().enumerate() {
                channels[run.channel as usize + k] += v * factor;
            }
        }
        let first = self.response.channel[0];
        let scale = |channel: i64| {
            let row = self.spectrum.channel.iter().position(|&c| c == channel).unwrap();
            self.spectrum.areascal[row]
        };
        let bin = |bin: &rontgen::observation::Bin| {
            (bin.first_channel..=bin.last_channel)
                .filter(|channel| !self.set.left_out.contains(channel))
                .map(|channel| channels[(channel - first) as usize] * scale(channel))
                .sum()
        };
        self.set.bins.iter().map(bin).collect()
    }

    fn w_of(&self, means: &[f64]) -> f64 {
        let background = self.set.background.as_ref().unwrap();
        (0..means.len())
            .map(|d| {
                let bin = BackgroundBin {
                    source: f64::from(self.set.counts[d]),
                    background: background.counts[d],
                    scale: background.scale[d],
                    ..BackgroundBin::default()
                };
                BackgroundStatistic::W.of_bin(means[d], &bin)
            })
            .sum()
    }

    fn w(&self, flux: &dyn Fn(&[f64]) -> Vec<f64>) -> f64 {
        self.w_of(&self.means(flux))
    }
}

/// Photons of a power law in every energy bin.
fn powerlaw(index: f64, norm: f64) -> impl Fn(&[f64]) -> Vec<f64> {
    let integral = move |lo: f64, hi: f64| match 1.0 - index {
        0.0 => (hi / lo).ln(),
        p => (hi.powf(p) - lo.powf(p)) / p,
    };
    move |edges: &[f64]| edges.windows(2).map(|w| norm * integral(w[0], w[1])).collect()
}

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-10, "{found} for {expected}");
}

fn spec(spectrum: PathBuf, grouping: Grouping, energies: &[[f64; 2]]) -> ObservationSpec {
    ObservationSpec { spectrum, grouping, energies: energies.to_vec(), ..ObservationSpec::default() }
}

/// 0.5 to 3 and 4 to 7 keV.
const FILTER: [[f64; 2]; 2] = [[0.5, 3.0], [4.0, 7.0]];

/// All channels and filtered ones, in the groups of the file and without.
fn four(spectrum: &Path, change: &dyn Fn(&mut ObservationSpec)) -> [Case; 4] {
    let case = |grouping, energies: &[[f64; 2]]| {
        let mut spec = spec(spectrum.to_path_buf(), grouping, energies);
        change(&mut spec);
        Case::new(&spec)
    };
    [case(Grouping::File, &[]), case(Grouping::File, &FILTER), case(Grouping::None, &[]), case(Grouping::None, &FILTER)]
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn w_of_3c273_is_sherpas() {
    // The file says POISSERR = F and carries Gehrels' errors; its counts are counts.
    let cases = four(&data("chandra_3c273/3c273.pi"), &|_| {});
    assert_eq!(cases.each_ref().map(|case| case.set.bins.len()), [46, 35, 1024, 375]);
    let background = cases[0].set.background.as_ref().unwrap();
    assert_eq!((background.total(), background.errors.as_ref()), (216.0, None));
    assert_eq!(background.file, data("chandra_3c273/3c273_bg.pi"));
    for (index, norm, expected) in [
        (1.782, 1.622e-4, [62.12275005769554, 39.84715083397662, 652.9968167212116, 416.0601496345599]),
        (1.7, 1.6e-4, [66.20114213871206, 45.93447168433694, 657.2275371837611, 420.50951039235736]),
    ] {
        for (case, expected) in cases.iter().zip(expected) {
            close(case.w(&powerlaw(index, norm)), expected);
        }
    }
    // BACKSCAL as a column, 0.9 of what it was.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.pi");
    let source = &cases[0].spectrum;
    let columns = vec![("BACKSCAL", Data::D(source.backscal.iter().map(|b| 0.9 * b).collect()))];
    std::fs::write(&path, rewritten(source, columns)).unwrap();
    let cases = four(&path, &|spec| {
        spec.response = Some(data("chandra_3c273/3c273.rmf"));
        spec.arf = FileChoice::File(data("chandra_3c273/3c273.arf"));
        spec.background = FileChoice::File(data("chandra_3c273/3c273_bg.pi"));
    });
    let expected = [71.21845954979574, 45.6311990089982, 663.0160968458746, 420.8390856766203];
    for (case, expected) in cases.iter().zip(expected) {
        close(case.w(&powerlaw(1.7, 1.7e-4)), expected);
    }
}

/// A spectrum as a file with other columns and keywords.
fn rewritten(source: &Spectrum, columns: Vec<(&str, Data)>) -> Vec<u8> {
    let exposure = format!("{:?}", source.exposure);
    let scale = format!("{:?}", source.backscal[0]);
    let (telescope, instrument) = (format!("'{}'", source.telescope), format!("'{}'", source.instrument));
    let mut all =
        vec![("EXPOSURE", exposure.as_str()), ("POISSERR", "T"), ("TELESCOP", &telescope), ("INSTRUME", &instrument)];
    if !columns.iter().any(|(name, _)| *name == "BACKSCAL") {
        all.push(("BACKSCAL", &scale));
    }
    let mut list = vec![
        ("CHANNEL", Data::J(source.channel.iter().map(|&c| c as i32).collect())),
        ("COUNTS", Data::J(source.counts.iter().map(|&c| c as i32).collect())),
        ("GROUPING", Data::I(source.grouping.iter().map(|&g| g as i16).collect())),
    ];
    list.extend(columns);
    file(&[table("SPECTRUM", &all, &list)])
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn w_of_9774_is_sherpas() {
    // 45 photons/keV more than a power law has, over the width of each energy bin.
    let flux = |edges: &[f64]| {
        let widths = edges.windows(2).map(|w| 45.0 * (w[1] - w[0]));
        powerlaw(1.7, 1.6e-4)(edges).into_iter().zip(widths).map(|(photons, w)| photons * w).collect()
    };
    let path = data("background/9774.pi");
    let change = |spec: &mut ObservationSpec| {
        spec.response = Some(data("background/9774.rmf"));
        spec.arf = FileChoice::File(data("background/9774.arf"));
    };
    let [all, filtered, ..] = four(&path, &change);
    let background = all.set.background.as_ref().unwrap();
    assert_eq!((all.set.total(), background.total(), all.set.bins.len()), (4424, 1105.0, 1024));
    close(all.w(&flux), 880.8442022201893);
    close(filtered.w(&flux), 397.4089421041855);
    // Groups of 20 counts, the 15 that are left over as a group of their own.
    let folder = tempfile::tempdir().unwrap();
    let grouped = folder.path().join("s.pi");
    let mut source = all.spectrum.clone();
    source.grouping = twenties(&source.counts);
    std::fs::write(&grouped, rewritten(&source, vec![])).unwrap();
    let grouped = four(&grouped, &|spec| {
        change(spec);
        spec.background = FileChoice::File(data("background/9774_bg.pi"));
    });
    assert_eq!((grouped[0].set.bins.len(), grouped[1].set.bins.len()), (148, 120));
    close(grouped[0].w(&flux), 401.75572944361613);
    close(grouped[1].w(&flux), 127.35556915677182);
}

/// GROUPING flags of groups that end with the channel in which they hold 20 counts.
fn twenties(counts: &[u32]) -> Vec<i32> {
    let mut sum = 20;
    let flag = |&count: &u32| {
        let starts = sum >= 20;
        sum = if starts { count } else { sum + count };
        if starts { 1 } else { -1 }
    };
    counts.iter().map(flag).collect()
}

/// Two data sets of different observations in one run: W is the sum of both, as far as the rounded responses allow.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn w_of_two_observations_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let run = "[[observation]]\nname = \"3c273\"\nspectrum = \"DATA/chandra_3c273/3c273.pi\"\nstatistic = \"wstat\"\n\
               [[observation]]\nname = \"9774\"\nspectrum = \"DATA/background/9774.pi\"\nresponse = \"DATA/background/9774.rmf\"\narf = \"DATA/background/9774.arf\"\nstatistic = \"wstat\"\n\
               energies = [[0.5, 3.0], [4.0, 7.0]]\n[model]\nexpression = \"powerlaw\"\n[parameters]\n\
               \"powerlaw.PhoIndex\" = { uniform = [0.0, 4.0] }\n\"powerlaw.norm\" = { log_uniform = [1e-6, 1.0] }\n";
    let run = run.replace("DATA", &data("background").parent().unwrap().display().to_string());
    std::fs::write(folder.path().join("r.toml"), run).unwrap();
    std::fs::write(folder.path().join("at.csv"), "powerlaw.PhoIndex,powerlaw.norm\n1.7,1.6e-4\n").unwrap();
    let alone = [
        Case::new(&spec(data("chandra_3c273/3c273.pi"), Grouping::File, &[])),
        Case::new(&ObservationSpec {
            response: Some(data("background/9774.rmf")),
            arf: FileChoice::File(data("background/9774.arf")),
            ..spec(data("background/9774.pi"), Grouping::File, &FILTER)
        }),
    ];
    let expected: f64 = alone.iter().map(|case| case.w(&powerlaw(1.7, 1.6e-4))).sum();
    for (device, tolerance) in [("f64", 1e-6), ("cpu", 1e-5)] {
        let output = rontgen()
            .current_dir(folder.path())
            .args(["likelihood", "r.toml", "--at", "at.csv", "--out", "l.csv", "--exact-grid", "--device", device])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let text = std::fs::read_to_string(folder.path().join("l.csv")).unwrap();
        let (header, row) = text.trim_end().split_once('\n').unwrap();
        let at = header.split(',').position(|name| name == "statistic").unwrap();
        let found: f64 = row.split(',').nth(at).unwrap().parse().unwrap();
        assert!((found / expected - 1.0).abs() < tolerance, "{device}: {found} for {expected}");
        std::fs::remove_file(folder.path().join("l.csv")).unwrap();
    }
}

/// AREASCAL of both files as columns, and channels without area that are bad: XSPEC 12.9's digits.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn areascal_columns_are_xspecs() {
    let folder = tempfile::tempdir().unwrap();
    let (path, beside) = (folder.path().join("s.pi"), folder.path().join("b.pi"));
    let mut source = read_spectrum(&data("chandra_3c273/3c273.pi")).unwrap();
    let mut back = read_spectrum(&data("chandra_3c273/3c273_bg.pi")).unwrap();
    (source.grouping, back.grouping) = (vec![1; 1024], vec![1; 1024]);
    let column = |of: &dyn Fn(i64) -> f64| Data::D((1..=1024).map(of).collect());
    let dead = |c: i64| matches!(c, 150 | 151 | 250..=252);
    let ours = column(&|c| match c {
        c if dead(c) => 0.0,
        201..=299 => 0.1,
        _ => 1.0,
    });
    let quality = Data::I((1..=1024).map(|c| i16::from(dead(c))).collect());
    std::fs::write(&path, rewritten(&source, vec![("AREASCAL", ours), ("QUALITY", quality)])).unwrap();
    let theirs = column(&|c| if (151..=249).contains(&c) { 1.4 } else { 1.2 });
    std::fs::write(&beside, rewritten(&back, vec![("AREASCAL", theirs)])).unwrap();
    let all = Case::new(&ObservationSpec {
        response: Some(data("chandra_3c273/3c273.rmf")),
        arf: FileChoice::File(data("chandra_3c273/3c273.arf")),
        background: FileChoice::File(beside),
        ..spec(path, Grouping::None, &[])
    });
    let means = all.means(&powerlaw(1.0, 1e-4));
    for (channels, bins, c, w) in
        [(100..=152, 51, 62.31, 61.82), (212..=295, 81, 244.80, 242.89), (8..=772, 760, 1063.09, 1043.85)]
    {
        let inside: Vec<usize> =
            (0..means.len()).filter(|&d| channels.contains(&all.set.bins[d].first_channel)).collect();
        assert_eq!(inside.len(), bins);
        let background = all.set.background.as_ref().unwrap();
        let (mut found_c, mut found_w) = (0.0, 0.0);
        for d in inside {
            let (k, mean) = (f64::from(all.set.counts[d]), means[d]);
            found_c += 2.0 * (mean - k + if k > 0.0 { k * (k / mean).ln() } else { 0.0 });
            let bin = BackgroundBin {
                source: k,
                background: background.counts[d],
                scale: background.scale[d],
                ..BackgroundBin::default()
            };
            found_w += BackgroundStatistic::W.of_bin(mean, &bin);
        }
        assert!((found_c - c).abs() < 0.005, "{channels:?}: C {found_c} for {c}");
        assert!((found_w - w).abs() < 0.005, "{channels:?}: W {found_w} for {w}");
    }
}

/// Photons of an expression at given values, in double precision.
fn model(expression: &str, values: &[f64]) -> impl Fn(&[f64]) -> Vec<f64> {
    let model = Model::parse(expression, &Settings::new("wilm", "vern").unwrap()).unwrap();
    let values = values.to_vec();
    move |edges: &[f64]| {
        let program = Program::new(&model, edges).unwrap();
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(&values, &mut flux);
        flux
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn w_of_ngc7793_is_xspecs() {
    let folder = data("xmm_pn_ngc7793_ulx4");
    let case = |name: &str, spectrum: PathBuf| {
        Case::new(&ObservationSpec {
            response: Some(folder.join(format!("{name}.rmf"))),
            arf: FileChoice::File(folder.join(format!("{name}.arf"))),
            background: FileChoice::File(folder.join(format!("{name}background_spectrum.fits"))),
            ..spec(spectrum, Grouping::File, &[[0.5, 10.0]])
        })
    };
    let pn = case("PN", folder.join("PN_spectrum_grp20.fits"));
    let mos = case("MOS1", folder.join("MOS1_spectrum_grp.fits"));
    // The reference took two bad channels below 10 keV, of one count and none, for groups.
    let scratch = tempfile::tempdir().unwrap();
    let all = scratch.path().join("all.pha");
    std::fs::write(&all, rewritten(&mos.spectrum, vec![])).unwrap();
    let all = case("MOS1", all);
    for (case, bins, counts, beside, times, empty) in [
        (&pn, 104, 10131, 855.0, 3.415850, 1),
        (&mos, 100, 5851, 425.0, 2.224852, 5),
        (&all, 102, 5852, 425.0, 2.224852, 7),
    ] {
        let background = case.set.background.as_ref().unwrap();
        assert_eq!((case.set.bins.len(), case.set.total(), background.total()), (bins, counts, beside));
        assert_eq!(background.counts.iter().filter(|&&b| b == 0.0).count(), empty);
        assert!(background.scale.iter().all(|a| (a * times - 1.0).abs() < 2e-7), "{:?}", background.scale[0]);
        assert!((background.scaled_total() * times / beside - 1.0).abs() < 2e-7);
        let channels: u32 = background.channels.iter().sum();
        let width: i64 = case.set.bins.iter().map(|bin| bin.last_channel - bin.first_channel + 1).sum();
        assert_eq!(i64::from(channels), width - case.set.left_out.len() as i64);
    }
    let text = "tbabs*(bbodyrad+powerlaw)";
    let w = pn.w(&model(text, &[0.15258, 0.78806, 0.18543, 2.36499, 2.91181e-4]));
    assert!((w - 114.916).abs() < 0.002, "{w}");
    let joint = [0.14811, 0.79301, 0.17782, 2.30242, 2.88007e-4];
    let w = pn.w(&model(text, &joint)) + all.w(&model(&format!("constant*{text}"), &[&[1.04734], &joint[..]].concat()));
    assert!((w - 235.218).abs() < 0.002, "{w}");
    // What single precision of the folded response makes of it.
    let flux = model(text, &[0.15258, 0.78806, 0.18543, 2.36499, 2.91181e-4]);
    let single = pn.w_of(&pn.set.folded.fold(&flux(&pn.set.folded.edges)));
    assert!((single / pn.w(&flux) - 1.0).abs() < 1e-6, "{single}");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn gbm_backgrounds_are_rates_with_errors() {
    let folder = data("gbm_grb090217");
    let name = |detector: &str, rest: &str| folder.join(format!("bn090217206_{detector}_{rest}"));
    let spec = |detector: &str, beside: &str| ObservationSpec {
        response: Some(name(detector, "weightedrsp.rsp")),
        background: FileChoice::File(name(beside, "bkgspectra.bak{1}")),
        ..spec(name(detector, "srcspectra.pha{1}"), Grouping::None, &[])
    };
    for (detector, exposure, rate, error) in [
        ("n6", 19.912715615, 0.49333278, 0.15545932),
        ("n9", 19.905771425999998, 1.49845497, 0.14463186),
        ("b1", 19.893596812, 29.21117944, 0.56415788),
    ] {
        let set = load(&spec(detector, detector)).unwrap();
        assert_eq!((set.bins.len(), set.bins[0].first_channel), (128, 1), "{detector}");
        let background = set.background.unwrap();
        assert_eq!(background.exposure, 20.0);
        assert!((background.counts[0] / (20.0 * rate) - 1.0).abs() < 1e-7, "{detector}: {background:?}");
        let errors = background.errors.unwrap();
        let expected = 20.0 * f64::hypot(error, 0.03 * rate);
        assert!((errors[0] / expected - 1.0).abs() < 1e-7, "{detector}: {} for {expected}", errors[0]);
        assert!(background.scale.iter().all(|a| (a * 20.0 / exposure - 1.0).abs() < 1e-12));
        // The background counts its channels from 0.
        assert!(set.warnings.iter().any(|text| text.contains("channels 0 to 127")), "{:?}", set.warnings);
    }
    // Another detector's, and the place where it once was.
    let error = load(&spec("n6", "n9")).unwrap_err().to_string();
    assert!(error.contains("DETNAM is 'NAI_06'") && error.contains("--force"), "{error}");
    let named = ObservationSpec { background: FileChoice::Keyword, ..spec("n6", "n6") };
    let error = load(&named).unwrap_err().to_string();
    assert!(error.contains("BACKFILE names") && error.contains("background = \"none\""), "{error}");
    let report = inspect(&name("n6", "bkgspectra.bak{1}"));
    assert_eq!((report.error, report.background.unwrap().errors), (None, "Gaussian"));
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn gratings_have_their_backgrounds_beside_them() {
    let folder = data("chandra_hetg_3c120");
    let spec = |row: usize| ObservationSpec {
        response: Some(folder.join("aciss_meg1_cy22.grmf")),
        arf: FileChoice::File(folder.join("3c120_meg_1.arf")),
        mismatch: Mismatch::Warn,
        ..spec(folder.join(format!("3c120_pha2.gz{{{row}}}")), Grouping::None, &[])
    };
    for (row, counts, beside) in [(9, 30750, 826.0 + 712.0), (10, 33930, 969.0 + 652.0)] {
        let set = load(&spec(row)).unwrap();
        let background = set.background.as_ref().unwrap();
        assert_eq!((set.bins.len(), set.total(), background.total()), (8192, counts, beside));
        assert!(background.scale.iter().all(|a| (a * 2.0 * 4.0188284 - 1.0).abs() < 1e-12));
        assert_eq!((background.file.as_path(), background.exposure), (Path::new(""), set.exposure));
    }
    let alone = load(&ObservationSpec { background: FileChoice::None, ..spec(10) }).unwrap();
    assert!(alone.background.is_none() && alone.backfile.is_none());
    // Groups that hold background counts.
    let grouped = load(&ObservationSpec { grouping: Grouping::MinCounts(20), min_background: 5, ..spec(10) }).unwrap();
    let background = grouped.background.unwrap();
    assert!(background.counts.iter().all(|&b| b >= 5.0) && grouped.counts.iter().all(|&c| c >= 20));
    assert!(background.total() > 1600.0 && background.counts.len() > 100);
    let report = inspect(&folder.join("3c120_pha2.gz{10}"));
    let facts = report.background.unwrap();
    assert_eq!((facts.origin, facts.errors, facts.counts), ("columns", "Poisson", 1621.0));
}

/// Few counts: what the four exposures hold between 0.5 and 7 keV, and what the neighbours of their bins say of the background.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn few_counts_are_smoothed() {
    for (k, counts, beside, smooth) in
        [(1, 49, 32.0, 45.865238), (2, 29, 27.0, 36.689604), (3, 61, 61.0, 72.356219), (4, 38, 46.0, 60.309889)]
    {
        let name = |end: &str| data(&format!("background/obs{k}.{end}"));
        let set = load(&ObservationSpec {
            response: Some(name("rmf")),
            arf: FileChoice::File(name("arf")),
            ..spec(name("pi"), Grouping::None, &[[0.5, 7.0]])
        });
        let set = set.unwrap();
        let background = set.background.as_ref().unwrap();
        assert_eq!((set.bins.len(), set.total(), background.total()), (444, counts, beside));
        assert!(background.scale.iter().all(|a| (a - 0.5).abs() < 1e-6));
        let found: f64 = background.smoothed(20.0).iter().sum();
        // The same in numpy, bin by bin.
        assert!((found - smooth).abs() < 1e-4, "observation {k}: {found} for {smooth}");
    }
}
