//! Backgrounds in small files: what is taken from where, what is refused, and what the sums in bins are.

use std::path::{Path, PathBuf};

use crate::fits::write::FitsWriter;
use crate::observation::{Dataset, FileChoice, Grouping, Mismatch, ObservationSpec, concerns, inspect, load};

/// A keyword's value.
#[derive(Clone)]
enum Key {
    Text(&'static str),
    Real(f64),
    Integer(i64),
    Logical(bool),
    /// Not written.
    Absent,
}
use Key::{Absent, Integer, Logical, Real, Text};

/// A table of a spectrum that is written with a few keywords or columns changed.
#[derive(Clone)]
struct Table {
    keys: Vec<(&'static str, Key)>,
    columns: Vec<(&'static str, &'static str, Vec<f64>)>,
    rows: usize,
}

impl Table {
    fn with(mut self, key: &'static str, value: Key) -> Self {
        self.keys.retain(|(name, _)| *name != key);
        self.keys.push((key, value));
        self
    }

    fn column(mut self, name: &'static str, form: &'static str, values: &[f64]) -> Self {
        self.columns.retain(|(column, ..)| *column != name);
        self.columns.push((name, form, values.to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.columns.retain(|(column, ..)| *column != name);
        self
    }

    fn write(&self, path: &Path) {
        let mut out = FitsWriter::create(path).unwrap();
        self.append(&mut out, "SPECTRUM");
        out.finish().unwrap();
    }

    fn append(&self, out: &mut FitsWriter, extension: &str) {
        let columns: Vec<_> = self.columns.iter().map(|(name, form, _)| (*name, *form, "")).collect();
        out.table(extension, &columns, self.rows).unwrap();
        for (key, value) in &self.keys {
            match value {
                Text(text) => out.text(key, text, "").unwrap(),
                Real(value) => out.real(key, *value, "").unwrap(),
                Integer(value) => out.integer(key, *value, "").unwrap(),
                Logical(value) => out.logical(key, *value, "").unwrap(),
                Absent => {}
            }
        }
        for (i, (.., values)) in self.columns.iter().enumerate() {
            out.real_column(i + 1, values).unwrap();
        }
    }
}

const SOURCE: [f64; 6] = [5.0, 0.0, 3.0, 2.0, 4.0, 1.0];
const BESIDE: [f64; 6] = [2.0, 1.0, 0.0, 4.0, 3.0, 6.0];

/// Channels 1 to 6 with these counts.
fn spectrum(counts: &[f64], exposure: f64, backscal: f64) -> Table {
    let n = counts.len();
    Table { keys: Vec::new(), columns: Vec::new(), rows: n }
        .with("EXPOSURE", Real(exposure))
        .with("BACKSCAL", Real(backscal))
        .with("POISSERR", Logical(true))
        .with("TELESCOP", Text("TOY"))
        .with("INSTRUME", Text("CAMERA"))
        .column("CHANNEL", "J", &(1..=n as i64).map(|c| c as f64).collect::<Vec<_>>())
        .column("COUNTS", "D", counts)
}

fn source() -> Table {
    spectrum(&SOURCE, 100.0, 1.0).with("BACKFILE", Text("b.pha"))
}

/// Twice the exposure and four times the region: its counts are times 1/8 in the source.
fn beside() -> Table {
    spectrum(&BESIDE, 200.0, 4.0)
}

/// The same as rates with errors.
fn gaussian() -> Table {
    let rates: Vec<f64> = [2.5, 1.25, 0.5, 4.0, 3.0, 6.0].map(|c: f64| c / 200.0).to_vec();
    let errors: Vec<f64> = [0.3, 0.4, 0.1, 0.2, 1.2, 0.5].map(|c: f64| c / 200.0).to_vec();
    beside()
        .without("COUNTS")
        .column("RATE", "D", &rates)
        .column("STAT_ERR", "D", &errors)
        .with("POISSERR", Logical(false))
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with a response: channel c takes all photons of 1 keV above c keV.
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        let numbers = |from: i64| (from..from + 6).map(|c| c as f64).collect::<Vec<_>>();
        let matrix = Table { keys: Vec::new(), columns: Vec::new(), rows: 6 }
            .column("ENERG_LO", "D", &numbers(1))
            .column("ENERG_HI", "D", &numbers(2))
            .column("N_GRP", "I", &[1.0; 6])
            .column("F_CHAN", "I", &numbers(1))
            .column("N_CHAN", "I", &[1.0; 6])
            .column("MATRIX", "D", &[1.0; 6])
            .with("TLMIN4", Integer(1))
            .with("HDUCLAS1", Text("RESPONSE"))
            .with("HDUCLAS2", Text("RSP_MATRIX"));
        let ebounds = Table { keys: Vec::new(), columns: Vec::new(), rows: 6 }
            .column("CHANNEL", "I", &numbers(1))
            .column("E_MIN", "D", &numbers(1))
            .column("E_MAX", "D", &numbers(2));
        let mut out = FitsWriter::create(&folder.path("toy.rmf")).unwrap();
        matrix.append(&mut out, "MATRIX");
        ebounds.append(&mut out, "EBOUNDS");
        out.finish().unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn spec(&self) -> ObservationSpec {
        ObservationSpec {
            spectrum: self.path("s.pha"),
            response: Some(self.path("toy.rmf")),
            arf: FileChoice::None,
            ..ObservationSpec::default()
        }
    }

    fn load_with(
        &self,
        source: &Table,
        beside: &Table,
        change: impl Fn(&mut ObservationSpec),
    ) -> Result<Dataset, String> {
        source.write(&self.path("s.pha"));
        beside.write(&self.path("b.pha"));
        let mut spec = self.spec();
        change(&mut spec);
        load(&spec).map_err(|e| e.to_string())
    }

    fn load(&self, source: &Table, beside: &Table) -> Result<Dataset, String> {
        self.load_with(source, beside, |_| {})
    }
}

fn warned(dataset: &Dataset, part: &str) -> bool {
    dataset.warnings.iter().any(|text| text.contains(part))
}

#[test]
fn the_file_of_the_keyword_is_read_in_the_groups_of_the_spectrum() {
    let folder = Folder::new();
    // Its own grouping says nothing, that of the spectrum everything.
    let flags = [1.0, -1.0, -1.0, 1.0, -1.0, 1.0];
    let grouped = source().column("GROUPING", "I", &flags).column("QUALITY", "I", &[0.0, 5.0, 0.0, 0.0, 0.0, 0.0]);
    let set = folder.load(&grouped, &beside().column("GROUPING", "I", &[1.0; 6])).unwrap();
    assert_eq!(set.counts, [8, 6, 1]);
    let background = set.background.clone().unwrap();
    // Channel 2 is bad in the spectrum.
    assert_eq!((background.counts.as_slice(), background.channels.as_slice()), (&[2.0, 7.0, 6.0][..], &[2, 2, 1][..]));
    assert_eq!((background.scale.as_slice(), background.errors.as_ref()), (&[0.125; 3][..], None));
    assert_eq!((background.exposure, background.total(), background.scaled_total()), (200.0, 15.0, 15.0 / 8.0));
    assert_eq!((background.file, set.backfile.as_deref()), (folder.path("b.pha"), Some("b.pha")));
    assert_eq!(set.files.len(), 2);
    let mock = folder.load(&grouped, &beside()).unwrap().with_counts(vec![1, 2, 3]).unwrap();
    assert_eq!(mock.background.unwrap().counts, [2.0, 7.0, 6.0]);
    // It may be left out, and another named.
    let without = folder.load_with(&grouped, &beside(), |spec| spec.background = FileChoice::None).unwrap();
    assert!(without.background.is_none() && without.backfile.as_deref() == Some("b.pha"));
    spectrum(&[1.0; 6], 50.0, 1.0).write(&folder.path("c.pha"));
    let other = |spec: &mut ObservationSpec| spec.background = FileChoice::File(folder.path("c.pha"));
    let other = folder.load_with(&grouped, &beside(), other).unwrap().background.unwrap();
    assert_eq!((other.counts, other.scale, other.file), (vec![2.0, 2.0, 1.0], vec![2.0; 3], folder.path("c.pha")));
    // None is named.
    let alone = folder.load(&source().with("BACKFILE", Text("none")), &beside()).unwrap();
    assert!(alone.background.is_none() && alone.backfile.is_none());
    let report = inspect(&folder.path("s.pha"));
    assert!(report.background.is_none() && report.error.is_none());
    source().write(&folder.path("s.pha"));
    let facts = inspect(&folder.path("s.pha")).background.unwrap();
    assert_eq!(
        (facts.origin, facts.errors, facts.counts, facts.scale),
        ("BACKFILE", "Poisson", 16.0, Some([0.125; 2]))
    );
}

#[test]
fn what_cannot_be_a_background_is_refused_by_file_and_keyword() {
    let folder = Folder::new();
    let none: [&str; 1] = ["background = \"none\""];
    for (source, beside, parts) in [
        (source().with("BACKFILE", Text("gone.pha")), beside(), &["s.pha", "BACKFILE names 'gone.pha'", none[0]][..]),
        (source().with("BACKFILE", Text("s.pha")), beside(), &["s.pha", "own background", none[0]]),
        (source(), beside().with("EXPOSURE", Absent), &["b.pha", "SPECTRUM", "EXPOSURE is missing"]),
        (source(), beside().with("EXPOSURE", Real(0.0)), &["b.pha", "SPECTRUM", "EXPOSURE is 0"]),
        (source(), beside().with("BACKSCAL", Absent), &["b.pha", "SPECTRUM", "BACKSCAL"]),
        (source(), beside().with("BACKSCAL", Real(0.0)), &["b.pha", "SPECTRUM", "BACKSCAL is 0"]),
        (source(), beside().with("BACKSCAL", Real(-1.0)), &["b.pha", "BACKSCAL is -1"]),
        (source(), beside().with("AREASCAL", Real(0.0)), &["b.pha", "AREASCAL is 0"]),
        (
            source(),
            beside().column("AREASCAL", "D", &[1.0, 1.0, -2.0, 1.0, 1.0, 1.0]),
            &["b.pha", "AREASCAL is -2 in row 3"],
        ),
        (source().with("BACKSCAL", Absent), beside(), &["s.pha", "BACKSCAL", none[0]]),
        (source().with("BACKSCAL", Real(0.0)), beside(), &["s.pha", "BACKSCAL is 0", "channel 1"]),
        (source(), beside().with("INSTRUME", Text("OTHER")), &["b.pha", "INSTRUME", "--force"]),
        (
            source().with("DETCHANS", Integer(6)),
            beside().with("DETCHANS", Integer(12)),
            &["b.pha", "DETCHANS is 12", "s.pha"],
        ),
        (
            source(),
            beside().column("CHANNEL", "J", &[3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            &["b.pha", "channels 3 to 8", "s.pha", "channel 1 is missing"],
        ),
        (
            source(),
            beside().column("COUNTS", "D", &[2.0, -1.0, 0.0, 4.0, 3.0, 6.0]),
            &["b.pha", "COUNTS is -1 in row 2", "STAT_ERR"],
        ),
        (
            source(),
            beside().column("COUNTS", "D", &[2.0, 1.5, 0.0, 4.0, 3.0, 6.0]),
            &["b.pha", "COUNTS is 1.5 in row 2", "POISSERR = F"],
        ),
        (source(), gaussian().with("EXPOSURE", Absent), &["b.pha", "EXPOSURE is missing"]),
        (source(), gaussian().without("STAT_ERR"), &["b.pha", "STAT_ERR"]),
        (source(), gaussian().with("POISSERR", Logical(true)), &["b.pha", "RATE * EXPOSURE is 2.5", "POISSERR = F"]),
        (
            source(),
            gaussian().column("STAT_ERR", "D", &[0.1, 0.1, -0.1, 0.1, 0.1, 0.1]),
            &["b.pha", "STAT_ERR is -0.1 in row 3"],
        ),
        (
            source(),
            gaussian().column("STAT_ERR", "D", &[0.1, 0.1, 0.0, 0.1, 0.1, 0.1]),
            &["b.pha", "channels 3 to 3", "STAT_ERR"],
        ),
        (source(), gaussian().column("RATE", "D", &[0.1, f64::NAN, 0.0, 0.1, 0.1, 0.1]), &["b.pha", "row 2"]),
    ] {
        let error = folder.load(&source, &beside).map(|set| set.background).unwrap_err();
        assert!(parts.iter().all(|part| error.contains(part)), "{parts:?}: {error}");
        // Leaving it out is a way out of all of them.
        let without = folder.load_with(&source, &beside, |spec| spec.background = FileChoice::None);
        assert!(without.is_ok(), "{parts:?}: {without:?}");
    }
    let other = beside().with("INSTRUME", Text("OTHER"));
    let forced = folder.load_with(&source(), &other, |spec| spec.mismatch = Mismatch::Warn).unwrap();
    assert!(forced.mismatched && warned(&forced, "INSTRUME is 'CAMERA'") && forced.background.is_some());
}

#[test]
fn a_background_with_errors_keeps_them() {
    let folder = Folder::new();
    let grouped = source().column("GROUPING", "I", &[1.0, 1.0, 1.0, 1.0, -1.0, 1.0]);
    let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
    let set = folder.load(&grouped, &gaussian()).unwrap();
    let background = set.background.unwrap();
    assert!(close(&background.counts, &[2.5, 1.25, 0.5, 7.0, 6.0]), "{background:?}");
    let errors = background.errors.unwrap();
    assert!(close(&errors, &[0.3, 0.4, 0.1, (0.2f64 * 0.2 + 1.2 * 1.2).sqrt(), 0.5]), "{errors:?}");
    assert!(close(&background.scale, &[0.125; 5]));
    // Fractional systematic errors add to them.
    let set = folder.load(&grouped, &gaussian().with("SYS_ERR", Real(0.1))).unwrap();
    let errors = set.background.as_ref().unwrap().errors.clone().unwrap();
    let both = |c: f64, e: f64| (e * e + 0.01 * c * c).sqrt();
    assert!(close(
        &errors,
        &[both(2.5, 0.3), both(1.25, 0.4), both(0.5, 0.1), both(4.0, 0.2).hypot(both(3.0, 1.2)), both(6.0, 0.5)]
    ));
    assert!(warned(&set, "SYS_ERR is added"));
    // Counts with errors of their own, some below 0.
    let counts = beside().column("COUNTS", "D", &[2.5, -1.0, 0.0, 4.0, 3.0, 6.0]).column("STAT_ERR", "D", &[1.0; 6]);
    let set = folder.load(&source(), &counts.clone().with("POISSERR", Logical(false))).unwrap();
    assert!(warned(&set, "negative in 1 channels"));
    assert_eq!(set.background.unwrap().counts, [2.5, -1.0, 0.0, 4.0, 3.0, 6.0]);
    let set = folder.load(&source(), &counts.with("POISSERR", Absent)).unwrap();
    assert!(warned(&set, "no POISSERR") && set.background.unwrap().errors.is_some());
    let facts = inspect(&folder.path("s.pha")).background.unwrap();
    assert_eq!(facts.errors, "Gaussian");
    // As a file of its own it is told as what it is.
    let report = inspect(&folder.path("b.pha"));
    // It could be analysed by chi-square, or be the background of another spectrum.
    assert!(report.error.is_none() && report.errors == Some("Gaussian"));
}

#[test]
fn counts_with_the_errors_of_counts_are_poisson() {
    let folder = Folder::new();
    let gehrels = BESIDE.map(|c| 1.0 + (c + 0.75f64).sqrt());
    let root = BESIDE.map(f64::sqrt);
    for errors in [gehrels, root, [0.0; 6]] {
        let file = beside().column("STAT_ERR", "D", &errors).with("POISSERR", Logical(false));
        let background = folder.load(&source(), &file).unwrap().background.unwrap();
        assert_eq!((background.counts.as_slice(), background.errors), (&BESIDE[..], None), "{errors:?}");
    }
    let file = beside().with("POISSERR", Logical(false));
    assert!(folder.load(&source(), &file).unwrap().background.unwrap().errors.is_none());
    // Errors that are none of a count's are meant.
    let file = beside().column("STAT_ERR", "D", &[0.5; 6]).with("POISSERR", Logical(false));
    assert_eq!(folder.load(&source(), &file).unwrap().background.unwrap().errors, Some(vec![0.5; 6]));
    // Rates that are whole numbers of counts.
    let rates = BESIDE.map(|c| c / 200.0);
    let file = beside().without("COUNTS").column("RATE", "D", &rates);
    let background = folder.load(&source(), &file).unwrap().background.unwrap();
    assert_eq!((background.counts.as_slice(), background.errors), (&BESIDE[..], None));
}

#[test]
fn scales_of_channels_are_weighted_by_counts() {
    let folder = Folder::new();
    let grouped = source().column("GROUPING", "I", &[1.0, -1.0, -1.0, 1.0, -1.0, 1.0]);
    let scaled = beside().column("BACKSCAL", "D", &[4.0, 2.0, 1.0, 4.0, 4.02, 8.0]).column(
        "AREASCAL",
        "D",
        &[1.0, 1.0, 1.0, 1.0, 1.0, 0.5],
    );
    let set = folder.load(&grouped.clone().with("AREASCAL", Real(0.5)), &scaled).unwrap();
    let background = set.background.as_ref().unwrap();
    // Two counts at 1/16, one at 1/8, none at 1/4.
    let expected = [(2.0 / 16.0 + 1.0 / 8.0) / 3.0, (4.0 / 16.0 + 3.0 / 16.08) / 7.0, 1.0 / 16.0];
    assert!(background.scale.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{background:?}");
    assert!((background.scaled_total() - (3.0 * expected[0] + 7.0 * expected[1] + 6.0 * expected[2])).abs() < 1e-14);
    // Half a per cent is not told, a factor of four is.
    assert!(warned(&set, "channels of 1 bins") && warned(&set, "1.0000 to 4.0000 keV"), "{:?}", set.warnings);
    let empty = scaled.column("COUNTS", "D", &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let scale = folder.load(&grouped, &empty).unwrap().background.unwrap().scale[0];
    assert!((scale - (0.125 + 0.25 + 0.5) / 3.0).abs() < 1e-15);
}

#[test]
fn channels_that_are_bad_in_the_background_go_from_both() {
    let folder = Folder::new();
    let grouped = source().column("GROUPING", "I", &[1.0, -1.0, -1.0, 1.0, -1.0, 1.0]);
    let bad = beside().column("QUALITY", "I", &[0.0, 0.0, 1.0, 0.0, 0.0, 2.0]).column(
        "COUNTS",
        "D",
        &[2.0, 1.0, -9.0, 4.0, 3.0, 6.0],
    );
    let set = folder.load(&grouped, &bad).unwrap();
    let background = set.background.as_ref().unwrap();
    assert_eq!((set.counts.as_slice(), background.counts.as_slice()), (&[5, 6][..], &[3.0, 7.0][..]));
    assert_eq!(background.channels, [2, 2]);
    assert!(warned(&set, "2 channels (first: 3) are bad (QUALITY) in the background alone"), "{:?}", set.warnings);
    assert!(warned(&set, "with the 4 counts"));
}

#[test]
fn channels_go_by_their_numbers() {
    let folder = Folder::new();
    // All of the detector, from 0 on.
    let zero = beside().column("CHANNEL", "J", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let set = folder.load(&source().with("DETCHANS", Integer(6)), &zero).unwrap();
    assert_eq!(set.background.as_ref().unwrap().counts, BESIDE);
    assert!(warned(&set, "channels 0 to 5, those of the spectrum are 1 to 6"));
    // More channels than the spectrum.
    let more = Table { rows: 7, ..beside() }.column("CHANNEL", "J", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).column(
        "COUNTS",
        "D",
        &[9.0, 2.0, 1.0, 0.0, 4.0, 3.0, 6.0],
    );
    assert_eq!(folder.load(&source(), &more).unwrap().background.unwrap().counts, BESIDE);
    // Without numbers, in order.
    assert_eq!(folder.load(&source(), &beside().without("CHANNEL")).unwrap().background.unwrap().counts, BESIDE);
    // A part of a detector of 12 is no whole one.
    let part = zero.with("DETCHANS", Integer(12));
    let error = folder.load(&source().with("DETCHANS", Integer(12)), &part).unwrap_err();
    assert!(error.contains("channel 6 is missing"), "{error}");
}

#[test]
fn both_sides_of_a_grating_spectrum_add_up() {
    let folder = Folder::new();
    let sides = source()
        .with("BACKFILE", Text("none"))
        .column("BACKGROUND_UP", "I", &BESIDE)
        .column("BACKGROUND_DOWN", "I", &[1.0; 6])
        .with("BACKSCUP", Real(3.0))
        .with("BACKSCDN", Real(5.0));
    let sides_and = |fractions: &[f64]| sides.clone().column("SYS_ERR", "D", fractions);
    let set = folder.load(&sides, &beside()).unwrap();
    let background = set.background.unwrap();
    assert_eq!((background.counts, background.scale), (BESIDE.map(|c| c + 1.0).to_vec(), vec![0.125; 6]));
    assert_eq!((background.file, background.exposure), (PathBuf::new(), 100.0));
    assert_eq!(inspect(&folder.path("s.pha")).background.unwrap().origin, "columns");
    // A file that is named goes before them; and they may be left out.
    let named = folder.load(&sides.clone().with("BACKFILE", Text("b.pha")), &beside()).unwrap().background.unwrap();
    assert_eq!((named.file, named.counts), (folder.path("b.pha"), BESIDE.to_vec()));
    assert!(
        folder.load_with(&sides, &beside(), |spec| spec.background = FileChoice::None).unwrap().background.is_none()
    );
    // One side alone is told, a side without its size refused.
    let set = folder.load(&sides.clone().without("BACKGROUND_UP"), &beside()).unwrap();
    assert!(warned(&set, "BACKGROUND_DOWN alone") && set.background.unwrap().scale == [0.2; 6]);
    let error = folder.load(&sides.clone().with("BACKSCDN", Absent), &beside()).unwrap_err();
    assert!(error.contains("BACKGROUND_DOWN") && error.contains("BACKSCDN") && error.contains("\"none\""), "{error}");
    let error = folder.load(&sides.clone().with("BACKSCUP", Real(0.0)), &beside()).unwrap_err();
    assert!(error.contains("BACKSCUP is 0"), "{error}");
    // Systematic errors of the table are those of the spectrum.
    assert!(!warned(&folder.load(&sides_and(&[0.0; 6]), &beside()).unwrap(), "SYS_ERR"));
    let set = folder.load(&sides_and(&[0.1; 6]), &beside()).unwrap();
    assert!(set.background.as_ref().unwrap().systematic.is_none() && set.gaussian.is_some());
    assert!(warned(&set, "SYS_ERR is of COUNTS") && warned(&set, "statistics of counts have none"));
    let left = |chi_square: bool| set.warnings.iter().filter(|remark| concerns(remark, chi_square)).count();
    assert_eq!((left(true), left(false)), (set.warnings.len() - 1, set.warnings.len() - 1), "{:?}", set.warnings);
    let set = folder.load(&sides_and(&[-0.1; 6]), &beside()).unwrap();
    assert!(
        set.gaussian.is_none() && warned(&set, "SYS_ERR is -0.1 in row 1, expected 0 or more: the errors of the file")
    );
    assert!(!warned(&set, "adds them"), "{:?}", set.warnings);
    // Rows of a table, with sizes of their own.
    let numbers: Vec<f64> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].repeat(2);
    let rows = Table { rows: 2, ..source() }
        .with("BACKFILE", Text("none"))
        .with("HDUCLAS4", Text("TYPE:II"))
        .column("CHANNEL", "6I", &numbers)
        .column("COUNTS", "6I", &SOURCE.repeat(2))
        .column("BACKGROUND_UP", "6I", &[[1.0; 6], [2.0; 6]].concat())
        .column("BACKGROUND_DOWN", "6I", &[[3.0; 6], [4.0; 6]].concat())
        .column("BACKSCUP", "D", &[1.0, 2.0])
        .column("BACKSCDN", "D", &[3.0, 6.0]);
    let second = |spec: &mut ObservationSpec| spec.spectrum = folder.path("s.pha{2}");
    let background = folder.load_with(&rows, &beside(), second).unwrap().background.unwrap();
    assert_eq!((background.counts, background.scale), (vec![6.0; 6], vec![0.125; 6]));
}

#[test]
fn groups_wait_for_background_counts() {
    let folder = Folder::new();
    let demand = |counts, least| {
        let set = folder.load_with(&source(), &beside(), |spec| {
            (spec.grouping, spec.min_background) = (Grouping::MinCounts(counts), least);
        });
        set.map(|set| (set.counts.clone(), set.background.unwrap().counts))
    };
    assert_eq!(demand(5, 0).unwrap(), (vec![5, 5, 5], vec![2.0, 5.0, 9.0]));
    assert_eq!(demand(5, 3).unwrap(), (vec![5, 5, 5], vec![3.0, 4.0, 9.0]));
    assert_eq!(demand(1, 7).unwrap(), (vec![10, 5], vec![7.0, 9.0]));
    // Background counts alone make groups as well.
    assert_eq!(demand(0, 4).unwrap(), (vec![10, 5], vec![7.0, 9.0]));
    assert!(demand(0, 0).unwrap_err().contains("min_counts is 0"));
    let error = folder.load_with(&source(), &beside(), |spec| spec.min_background = 3).unwrap_err();
    assert!(error.contains("min_background is 3") && error.contains("min_counts"), "{error}");
    let without = |spec: &mut ObservationSpec| {
        (spec.grouping, spec.min_background, spec.background) = (Grouping::MinCounts(1), 3, FileChoice::None);
    };
    let error = folder.load_with(&source(), &beside(), without).unwrap_err();
    assert!(error.contains("min_background is 3") && error.contains("no background"), "{error}");
}
