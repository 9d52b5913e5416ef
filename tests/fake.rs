//! `rontgen fake`: mocks with backgrounds and of several data sets, and what reading them back gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::{
    fits::{Data, file, table},
    runs::{rontgen_in, stderr, ten_channels},
    table::power_law,
};
use rontgen::observation::{Background, Dataset, Grouping, ObservationSpec, load, read_spectrum};
use rontgen::run::{run_file::RunFile, setup::Case};

/// Exposure \[s\], BACKSCAL and AREASCAL of the observed spectrum and of its background: a background count stands for 0.15 in the source.
const SOURCE: (&str, &str, &str) = ("1000.0", "0.5", "0.9");
const BACKGROUND: (&str, &str, &str) = ("2000.0", "2.0", "0.75");
const SCALE: f64 = 1000.0 / 2000.0 * (0.5 / 2.0) * (0.9 / 0.75);
const NORM: f64 = 0.02;
const INDEX: f64 = 1.5;

/// Ten channels of 1 keV from 1 keV on with an area of 100 cm2 and a response of ones, spectrum and background, and a folder for them.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        ten_channels(folder.path());
        let out = Folder(folder);
        out.spectrum("s.pha", &[60; 10], SOURCE, &[]);
        // The fifth channel is empty by chance that the others do not share.
        out.spectrum("b.pha", &[400, 380, 410, 395, 0, 402, 390, 405, 398, 420], BACKGROUND, &[]);
        out
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("data").join(name)
    }

    fn cards<'a>((exposure, backscal, areascal): (&'a str, &'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
        vec![
            ("HDUCLASS", "'OGIP'"),
            ("HDUCLAS1", "'SPECTRUM'"),
            ("EXPOSURE", exposure),
            ("BACKSCAL", backscal),
            ("AREASCAL", areascal),
            ("DETCHANS", "10"),
            ("RESPFILE", "'r.rmf'"),
            ("ANCRFILE", "'a.arf'"),
        ]
    }

    fn spectrum(&self, name: &str, counts: &[i32], scaling: (&str, &str, &str), more: &[(&str, &str)]) {
        let cards = [&Self::cards(scaling)[..], &[("POISSERR", "T")], more].concat();
        let channel = Data::I((1..=10).collect());
        let columns = [("CHANNEL", channel), ("COUNTS", Data::J(counts.to_vec()))];
        fs::write(self.path(name), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    }

    fn run_file(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn fake(&self, arguments: &[&str]) -> Output {
        rontgen_in(&self.0.path().join("data"), &[&["fake"], arguments].concat()).output().unwrap()
    }

    fn faked(&self, arguments: &[&str]) -> String {
        let output = self.fake(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    }

    fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let output = self.fake(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}\nexpected {parts:?}");
        let left = fs::read_dir(self.path(""))
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("never"));
        assert_eq!(left.count(), 0, "a refused mock leaves nothing");
    }

    fn load(&self, name: &str) -> Dataset {
        let spec =
            ObservationSpec { spectrum: self.path(name), grouping: Grouping::None, ..ObservationSpec::default() };
        load(&spec).unwrap()
    }

    /// The run with the names of other spectra in place of the observed ones.
    fn open(&self, text: &str, names: &[(&str, &str)]) -> Case {
        let text = names
            .iter()
            .fold(text.to_string(), |text, (from, to)| text.replace(&format!("\"{from}\""), &format!("\"{to}\"")));
        let run = RunFile::parse(&text, &self.path("again.toml").display().to_string(), &[]).unwrap();
        Case::open(run, None).unwrap()
    }
}

/// Counts of the source alone in 1 ks, channel by channel.
fn source(exposure: f64, area: f64) -> Vec<f64> {
    (1..=10).map(|e| NORM * power_law(INDEX, e as f64, e as f64 + 1.0) * 100.0 * area * exposure).collect()
}

/// Counts lie within five standard deviations of what is expected of them, one by one and all together.
fn as_expected(counts: &[f64], expected: &[f64]) {
    let all: f64 = expected.iter().sum();
    assert!((counts.iter().sum::<f64>() - all).abs() < 5.0 * all.sqrt(), "{counts:?}\n{expected:?}");
    for (n, mean) in counts.iter().zip(expected) {
        assert!((n - mean).abs() < 5.0 * mean.sqrt(), "{counts:?}\n{expected:?}");
    }
}

const MODEL: &str = "[model]\nexpression = \"powerlaw\"\n[parameters]\n\"powerlaw.PhoIndex\" = { uniform = [0.0, 4.0] }\n\"powerlaw.norm\" = { log_uniform = [1e-4, 1.0] }\n";
const AT: [&str; 3] = ["--at", "powerlaw.PhoIndex=1.5", "powerlaw.norm=0.02"];

fn real(counts: &[u32]) -> Vec<f64> {
    counts.iter().map(|&n| f64::from(n)).collect()
}

fn background(set: &Dataset) -> &Background {
    set.background.as_ref().unwrap()
}

#[test]
fn a_mock_has_a_background_of_the_same_scale() {
    let folder = Folder::new();
    let text = format!(
        "[observation]\nspectrum = \"s.pha\"\nbackground = \"b.pha\"\ngrouping = {{ min_counts = 25, min_background = 3000 }}\n{MODEL}"
    );
    folder.run_file("run.toml", &text);
    let told = folder.faked(&[&["run.toml", "--exposure", "5000", "--out", "mock.pha"][..], &AT].concat());
    assert!(told.contains("mock_bkg.pha") && told.contains("expected in the source's spectrum"), "{told}");
    assert!(!told.contains("not beside it"), "{told}");
    // Away from its response, a mock cannot be read by what its header names.
    let told = folder.faked(&[&["run.toml", "--exposure", "5000", "--out", "../away.pha"][..], &AT].concat());
    assert!(told.contains("r.rmf and a.arf, which is not beside it"), "{told}");

    let set = folder.load("mock.pha");
    let beside = background(&set);
    assert_eq!((set.exposure, beside.exposure), (5000.0, 10_000.0));
    assert!(beside.scale.iter().all(|scale| (scale / SCALE - 1.0).abs() < 1e-12), "{:?}", beside.scale);
    let (mine, theirs) =
        (read_spectrum(&folder.path("mock.pha")).unwrap(), read_spectrum(&folder.path("mock_bkg.pha")).unwrap());
    assert_eq!((mine.backscal[0], mine.areascal[0]), (0.5, 0.9), "the spectrum's own");
    assert!((theirs.backscal[0] * theirs.areascal[0] - 2.0 * 0.75).abs() < 1e-12);

    // All together as many as were observed, five times as long; no channel shares the noise of its own.
    let observed: f64 = [400, 380, 410, 395, 0, 402, 390, 405, 398, 420].iter().map(|&n| f64::from(n)).sum();
    let total = beside.total();
    assert!((total - 5.0 * observed).abs() < 5.0 * (5.0 * observed).sqrt(), "{total}");
    assert!(beside.counts[4] > 1000.0, "{:?}", beside.counts);
    // The source has the same background in it, and the area's scaling.
    let expected: Vec<f64> = source(5000.0, 0.9).iter().map(|s| s + SCALE * total / 10.0).collect();
    let sum: f64 = expected.iter().sum();
    assert!((set.total() as f64 - sum).abs() < 5.0 * sum.sqrt(), "{} {sum}", set.total());

    // Groups as the run file asks for them, which XSPEC will read.
    let grouped = load(&ObservationSpec { spectrum: folder.path("mock.pha"), ..ObservationSpec::default() }).unwrap();
    assert!(grouped.bins.len() < 6 && background(&grouped).counts[0] >= 3000.0, "{:?}", background(&grouped).counts);
    // The run file reads the pair.
    let case = folder.open(&text, &[("s.pha", "mock.pha"), ("b.pha", "mock_bkg.pha")]);
    assert_eq!(case.problem.observations.sets()[0].background.as_ref().unwrap().total(), total);

    // The same seed gives the same files, another one others.
    let again = |seed: &str, out: &str| {
        folder.faked(&[&["run.toml", "--exposure", "5000", "--seed", seed, "--out", out][..], &AT].concat());
        background(&folder.load(out)).counts.clone()
    };
    assert_eq!(again("3", "one.pha"), again("3", "two.pha"));
    assert_ne!(again("3", "three.pha"), again("4", "four.pha"));
    folder
        .refused(&[&["run.toml", "--exposure", "5000", "--out", "one.pha"][..], &AT].concat(), &["one.pha", "exists"]);
    fs::remove_file(folder.path("one.pha")).unwrap();
    let arguments = [&["run.toml", "--exposure", "5000", "--out", "one.pha"][..], &AT].concat();
    folder.refused(&arguments, &["one_bkg.pha", "exists", "--force"]);
    assert!(!folder.path("one.pha").exists());
}

/// Bad channels stay bad, columns of BACKSCAL stay columns, and groups of the file stay.
#[test]
fn a_mock_keeps_what_the_observed_spectrum_says_of_its_channels() {
    let folder = Folder::new();
    let backscal: Vec<f32> = (0..10).map(|i| if i < 4 { 0.5 } else { 0.25 }).collect();
    let columns = [
        ("CHANNEL", Data::I((1..=10).collect())),
        ("COUNTS", Data::J(vec![60; 10])),
        ("QUALITY", Data::I(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1])),
        ("GROUPING", Data::I(vec![1, -1, 1, -1, 1, -1, 1, -1, 1, 1])),
        ("BACKSCAL", Data::E(backscal)),
    ];
    let cards = [
        ("HDUCLAS1", "'SPECTRUM'"),
        ("EXPOSURE", "1000.0"),
        ("RESPFILE", "'r.rmf'"),
        ("ANCRFILE", "'a.arf'"),
        ("BACKFILE", "'b.pha'"),
    ];
    fs::write(folder.path("s.pha"), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    folder.run_file("run.toml", &format!("[observation]\nspectrum = \"s.pha\"\n{MODEL}"));
    folder.faked(&[&["run.toml", "--exposure", "1000", "--out", "mock.pha"][..], &AT].concat());
    let spec = |name: &str| ObservationSpec { spectrum: folder.path(name), ..ObservationSpec::default() };
    let (observed, mock) = (load(&spec("s.pha")).unwrap(), load(&spec("mock.pha")).unwrap());
    assert_eq!(mock.bins, observed.bins);
    assert_eq!(mock.bins.len(), 5);
    for (a, b) in background(&mock).scale.iter().zip(&background(&observed).scale) {
        assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}");
    }
}

/// What is known of a background with errors is drawn around it; the errors of its rate stay.
#[test]
fn a_background_with_errors_keeps_them() {
    let folder = Folder::new();
    let (rate, error) = (vec![0.2013; 10], vec![0.01; 10]);
    let cards = [&Folder::cards(BACKGROUND)[..], &[("POISSERR", "F")]].concat();
    let channel = Data::I((1..=10).collect());
    let columns = [("CHANNEL", channel), ("RATE", Data::D(rate)), ("STAT_ERR", Data::D(error))];
    fs::write(folder.path("b.pha"), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    folder.run_file("run.toml", &format!("[observation]\nspectrum = \"s.pha\"\nbackground = \"b.pha\"\n{MODEL}"));
    folder.faked(&[&["run.toml", "--exposure", "3000", "--out", "mock.pha"][..], &AT].concat());
    let set = folder.load("mock.pha");
    let beside = background(&set);
    let (expected, sd) = (0.2013 * 6000.0, 0.01 * 6000.0);
    assert_eq!(beside.exposure, 6000.0);
    assert!(beside.errors.as_ref().unwrap().iter().all(|e| (e / sd - 1.0).abs() < 1e-9), "{:?}", beside.errors);
    let chi2: f64 = beside.counts.iter().map(|b| ((b - expected) / sd).powi(2)).sum();
    // Ten degrees of freedom: 0.5 and 38 leave out less than one in 2e4 each.
    assert!((0.5..38.0).contains(&chi2), "{:?}", beside.counts);
    assert!(beside.scale.iter().all(|scale| (scale / SCALE - 1.0).abs() < 1e-12), "{:?}", beside.scale);
    let means: Vec<f64> = source(3000.0, 0.9).iter().map(|s| s + SCALE * expected).collect();
    as_expected(&real(&set.counts), &means);
}

#[test]
fn several_data_sets_have_a_mock_each() {
    let folder = Folder::new();
    let text = "[[observation]]\nname = \"pn\"\nspectrum = \"s.pha\"\nbackground = \"b.pha\"\n\
        [[observation]]\nname = \"mos 1\"\nspectrum = \"absent.pha\"\nresponse = \"r.rmf\"\narf = \"a.arf\"\nbackground = \"none\"\n\
        [model]\nexpression = \"constant*powerlaw\"\n[parameters]\n\"constant.factor\" = 1.0\n\
        \"constant.factor@mos 1\" = { log_normal = [0.0, 0.5] }\n\
        \"powerlaw.PhoIndex\" = { uniform = [0.0, 4.0] }\n\"powerlaw.norm\" = { log_uniform = [1e-4, 1.0] }\n";
    folder.run_file("run.toml", text);
    let at = [&AT[..], &["constant.factor@mos 1=2.0"]].concat();
    let with = |more: &[&'static str], out: &'static str| [&["run.toml", "--out", out][..], more, &at].concat();
    folder.faked(&with(&["--exposure", "PN=2000", "--exposure", "mos 1=1000"], "mock.pha"));
    let (pn, mos) = (folder.load("mock-pn.pha"), folder.load("mock-mos_1.pha"));
    assert_eq!((pn.exposure, background(&pn).exposure, mos.exposure), (2000.0, 4000.0, 1000.0));
    assert!(mos.background.is_none() && !folder.path("mock.pha").exists());
    // The factor is the second's alone.
    let twice: Vec<f64> = source(1000.0, 2.0);
    as_expected(&real(&mos.counts), &twice);
    let sum = source(2000.0, 0.9).iter().sum::<f64>() + SCALE * background(&pn).total();
    assert!((pn.total() as f64 - sum).abs() < 6.0 * sum.sqrt(), "{} {sum}", pn.total());
    let names = [("s.pha", "mock-pn.pha"), ("b.pha", "mock-pn_bkg.pha"), ("absent.pha", "mock-mos_1.pha")];
    assert_eq!(folder.open(text, &names).problem.observations.total(), pn.total() + mos.total());
    // One number is for all, and what has none of its own.
    folder.faked(&with(&["--exposure", "500"], "other.pha"));
    assert_eq!((folder.load("other-pn.pha").exposure, folder.load("other-mos_1.pha").exposure), (500.0, 500.0));
    folder.refused(&with(&["--exposure", "pn=500"], "never.pha"), &["--exposure", "mos 1 is missing"]);
    folder.refused(&with(&["--exposure", "m2=500"], "never.pha"), &["m2", "pn, mos 1"]);
    folder.refused(&with(&["--exposure", "1", "--exposure", "2"], "never.pha"), &["given twice"]);
    folder.refused(&with(&["--exposure", "pn=-1"], "never.pha"), &["--exposure", "more than 0"]);
    folder.refused(
        &[&["run.toml", "--exposure", "1", "--out", "never.pha"][..], &AT].concat(),
        &["constant.factor@mos 1 is missing"],
    );
    folder.refused(&with(&["--exposure", "9"], "mock.pha"), &["mock-pn.pha", "exists"]);
}

/// What a named model says of a background takes the place of the observed counts, in the background and scaled in the source.
#[test]
fn a_modelled_background_is_drawn_from_its_model() {
    let folder = Folder::new();
    let text = format!(
        "[observation]\nname = \"one\"\nspectrum = \"s.pha\"\nbackground = \"b.pha\"\n[models.nxb]\nexpression = \"powerlaw\"\n{MODEL}\
         \"nxb:powerlaw.PhoIndex\" = {{ uniform = [-1.0, 4.0] }}\n\"nxb:powerlaw.norm\" = {{ log_uniform = [1e-4, 10.0] }}\n"
    );
    folder.run_file("run.toml", &text);
    let at = [&AT[..], &["nxb:powerlaw.PhoIndex=0.0", "nxb:powerlaw.norm=0.1"]].concat();
    folder.faked(&[&["run.toml", "--exposure", "4000", "--out", "mock.pha"][..], &at].concat());
    let set = folder.load("mock.pha");
    // A response of ones without an area: 0.1 counts/s in each channel times AREASCAL, in 8 ks.
    as_expected(&background(&set).counts, &[600.0; 10]);
    let means: Vec<f64> = source(4000.0, 0.9).iter().map(|s| s + SCALE * 600.0).collect();
    as_expected(&real(&set.counts), &means);
    let case = folder.open(&text, &[("s.pha", "mock.pha"), ("b.pha", "mock_bkg.pha")]);
    let expected = case.problem.expected_exactly(&[vec![1.5, 0.02, 0.0, 0.1]]);
    let counts = [real(&set.counts), background(&set).counts.clone()].concat();
    as_expected(&counts, &expected[0]);
}

#[test]
fn a_background_needs_something_observed() {
    let folder = Folder::new();
    let set = "[observation]\nspectrum = \"absent.pha\"\nresponse = \"r.rmf\"\narf = \"a.arf\"\n";
    let arguments = [&["run.toml", "--exposure", "1000", "--out", "never.pha"][..], &AT].concat();
    folder.run_file("run.toml", &format!("{set}background = \"b.pha\"\n{MODEL}"));
    folder.refused(&arguments, &["background = \"b.pha\"", "absent.pha", "background = \"none\""]);
    folder.run_file("run.toml", &format!("{set}statistic = \"wstat\"\n{MODEL}"));
    folder.refused(&arguments, &["wstat", "absent.pha", "background = \"none\""]);
    let nxb = "[models.nxb]\nexpression = \"powerlaw\"\n";
    let own = "\"nxb:powerlaw.PhoIndex\" = 0\n\"nxb:powerlaw.norm\" = 0.1\n";
    folder.run_file("run.toml", &format!("{set}{nxb}{MODEL}{own}"));
    folder.refused(&arguments, &["[models.nxb]", "absent.pha"]);
    folder.run_file("run.toml", &format!("{set}background = \"none\"\n{MODEL}"));
    folder.faked(&[&["run.toml", "--exposure", "1000", "--out", "mock.pha"][..], &AT].concat());
    // A model that is the source's alone needs no background.
    folder.run_file("run.toml", &format!("{set}{nxb}part = \"source\"\n{MODEL}{own}"));
    folder.faked(&[&["run.toml", "--exposure", "1000", "--out", "both.pha"][..], &AT].concat());
    let means: Vec<f64> = source(1000.0, 1.0).iter().map(|s| s + 100.0).collect();
    as_expected(&real(&folder.load("both.pha").counts), &means);
}

/// A PHA-II table of HEG -1, HEG +1 and MEG +1, with a response for each.
fn rows(folder: &Folder, name: &str) {
    let columns = [
        ("TG_M", Data::I(vec![-1, 1, 1])),
        ("TG_PART", Data::I(vec![1, 1, 2])),
        ("CHANNEL", Data::VectorI(10, (0..3).flat_map(|_| 1..=10).collect())),
        ("COUNTS", Data::VectorI(10, (0..30).map(|i| 10 + i).collect())),
    ];
    let cards = [("HDUCLAS1", "'SPECTRUM'"), ("HDUCLAS4", "'TYPE:II'"), ("EXPOSURE", "1000.0")];
    fs::write(folder.path(name), file(&[table("SPECTRUM", &cards, &columns)])).unwrap();
    for copy in ["r1.rmf", "r2.rmf"] {
        fs::copy(folder.path("r.rmf"), folder.path(copy)).unwrap();
    }
}

#[test]
fn rows_of_a_table_are_data_sets() {
    let folder = Folder::new();
    rows(&folder, "two.pha");
    let text = format!(
        "[observation]\nspectrum = \"two.pha\"\nrows = [1, 3]\nresponse = [\"r1.rmf\", \"r2.rmf\"]\narf = \"a.arf\"\nbackground = \"none\"\n\
         [model]\nexpression = \"constant*powerlaw\"\n[parameters]\n\"constant.factor\" = 1\n\"constant.factor@MEG+1\" = {{ log_normal = [0.0, 0.1] }}\n{}",
        MODEL.split_once("[parameters]\n").unwrap().1
    );
    let case = folder.open(&text, &[]);
    let sets = case.problem.observations.sets();
    assert_eq!(sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["heg-1", "meg+1"]);
    assert_eq!(sets.iter().map(Dataset::total).collect::<Vec<_>>(), [145, 345]);
    assert!(sets[0].files[1].ends_with("r1.rmf") && sets[1].files[1].ends_with("r2.rmf"), "{:?}", sets[0].files);
    // As resolved: a data set each, under its name.
    let provenance = rontgen::run::run_file::Provenance::new(&case.run, "cpu", None, None);
    let resolved = case.run.resolved_toml(&provenance);
    assert!(resolved.contains("spectrum = \"two.pha{3}\"") && resolved.contains("name = \"meg+1\""), "{resolved}");
    let again = RunFile::parse(&resolved, &folder.path("again.toml").display().to_string(), &[]).unwrap();
    assert!(again.differences(&case.run).is_empty(), "{:?}", again.differences(&case.run));

    let refused = |text: &str| {
        let run =
            RunFile::parse(text, &folder.path("again.toml").display().to_string(), &[]).map_err(|e| e.to_string());
        run.and_then(|run| Case::open(run, None).map(drop).map_err(|e| e.to_string())).unwrap_err()
    };
    for (from, to, parts) in [
        ("[1, 3]", "[1, 4]", &["{4}", "rows 1 to 3", "3 = MEG order +1"][..]),
        ("[1, 3]", "[1, 2, 3]", &["observation.response", "each of 3 rows"]),
        ("[1, 3]", "[1, 1]", &["observation.rows", "each once"]),
        ("[1, 3]", "[]", &["observation.rows"]),
        ("[1, 3]", "[0, 1]", &["observation.rows"]),
        ("[1, 3]", "3", &["observation.rows"]),
        ("two.pha", "two.pha{2}", &["observation.spectrum", "without {ROW}"]),
        ("MEG+1", "heg+1", &["heg-1, meg+1"]),
    ] {
        let error = refused(&text.replace(from, to));
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    // A name of one's own; rows beside another data set.
    let named = text.replace("rows =", "name = \"x\"\nrows =").replace("MEG+1", "x-3");
    let named =
        named.replace("[observation]", "[[observation]]\nspectrum = \"s.pha\"\nbackground = \"none\"\n[[observation]]");
    let case = folder.open(&named, &[]);
    let names: Vec<&str> = case.problem.observations.sets().iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["1", "x-1", "x-3"]);
}

#[test]
fn a_mock_of_rows_is_one_of_each() {
    let folder = Folder::new();
    rows(&folder, "two.pha");
    folder.run_file(
        "run.toml",
        &format!(
            "[observation]\nspectrum = \"two.pha\"\nrows = [1, 2]\nresponse = \"r.rmf\"\narf = \"a.arf\"\n{MODEL}"
        ),
    );
    folder
        .faked(&[&["run.toml", "--exposure", "heg-1=700", "--exposure", "50", "--out", "mock.pha"][..], &AT].concat());
    assert_eq!((folder.load("mock-heg-1.pha").exposure, folder.load("mock-heg+1.pha").exposure), (700.0, 50.0));
    assert!(!Path::new(&folder.path("mock-heg-1_bkg.pha")).exists());
}
