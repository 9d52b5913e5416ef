//! Files as other observatories write them, on an instrument with known right answers: units, selectors, other instruments, bad channels, slips
//! of the writer that change nothing.

use std::path::PathBuf;

use super::common::fits::{Data, file, table};
use super::common::toy::{
    self, CHANNELS, ENERGIES, Rmf, all_but, area, arf, arf_with, counts, cstat, cstat_of, ebounds, expected, grid, pha,
    spectrum_hdu,
};
use rontgen::observation::{
    Dataset, FileChoice, Grouping, Mismatch, ObservationSpec, inspect, load, regroup, write_grouped_copy,
};

pub struct Folder(pub tempfile::TempDir);

impl Folder {
    /// A folder with the toy's response and area.
    pub fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.put("toy.rmf", &Rmf::default().file());
        folder.put("toy.arf", &arf());
        folder
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn spec(&self, spectrum: &str) -> ObservationSpec {
        ObservationSpec {
            spectrum: self.0.path().join(spectrum),
            background: FileChoice::None,
            grouping: Grouping::File,
            ..ObservationSpec::default()
        }
    }

    pub fn load(&self, spectrum: &str) -> Result<Dataset, String> {
        load(&self.spec(spectrum)).map_err(|e| e.to_string())
    }

    /// The toy's spectrum with these responses.
    pub fn with(&self, rmf: &[u8], arf: Option<&[u8]>) -> Result<Dataset, String> {
        self.put("s.pha", &pha(&[], vec![]));
        let rmf = self.put("other.rmf", rmf);
        let arf = match arf {
            Some(bytes) => FileChoice::File(self.put("other.arf", bytes)),
            None => FileChoice::Keyword,
        };
        let spec = ObservationSpec { response: Some(rmf), arf, ..self.spec("s.pha") };
        load(&spec).map_err(|e| e.to_string())
    }

    pub fn spectrum(&self, bytes: &[u8]) -> Result<Dataset, String> {
        self.put("s.pha", bytes);
        self.load("s.pha")
    }
}

/// C-STAT of the power law that the toy's counts were made from.
fn found(d: &Dataset) -> f64 {
    let mu = d.folded.fold(&toy::flux(&d.folded.edges));
    cstat(&d.counts.iter().map(|&k| f64::from(k)).collect::<Vec<_>>(), &mu)
}

/// The value that the files give is the right one: folding is in single precision, sums of 4000 counts.
#[track_caller]
pub fn right(d: Result<Dataset, String>, value: f64, warning: &str) {
    let d = d.unwrap_or_else(|e| panic!("refused: {e}"));
    assert!(
        (found(&d) - value).abs() < 1e-3 + 1e-5 * value,
        "C-STAT {} instead of {value}: {:?}",
        found(&d),
        d.warnings
    );
    assert!(warning.is_empty() || d.warnings.iter().any(|w| w.contains(warning)), "no '{warning}' in {:?}", d.warnings);
}

#[track_caller]
pub fn refused(d: Result<Dataset, String>, part: &str) {
    let error = d.err().unwrap_or_else(|| panic!("not refused; expected '{part}'"));
    assert!(error.contains(part), "'{part}' is not in: {error}");
}

pub fn plain() -> f64 {
    cstat_of(&all_but(&[]))
}

#[test]
fn the_plain_case_is_right() {
    let folder = Folder::new();
    let d = folder.spectrum(&pha(&[], vec![])).unwrap();
    assert_eq!(d.bins.len(), CHANNELS);
    assert!(d.warnings.is_empty(), "{:?}", d.warnings);
    right(Ok(d), plain(), "");
}

#[test]
fn units_of_areas_are_read() {
    let folder = Folder::new();
    let rmf = Rmf::default().file();
    let scaled = |factor: f64| area().iter().map(|a| a * factor).collect::<Vec<f64>>();
    for (unit, factor, told) in [
        ("'cm**2'", 1.0, ""),
        ("'cm2'", 1.0, ""),
        ("'CM^2'", 1.0, ""),
        ("'m2'", 1e-4, "multiplied by 10000 to cm2"),
        ("'m**2'", 1e-4, "SPECRESP is in 'm**2'"),
        ("'mm2'", 1e2, "multiplied by 0.01"),
    ] {
        let area = arf_with(&[("TUNIT3", unit)], &grid(ENERGIES), &scaled(factor), 1.0);
        right(folder.with(&rmf, Some(&area)), plain(), told);
        assert_eq!(
            inspect(&folder.0.path().join("other.arf")).warnings.iter().any(|w| w.contains("to cm2")),
            factor != 1.0
        );
    }
    for unit in ["'keV'", "'barn'", "'cm**3'"] {
        let area = arf_with(&[("TUNIT3", unit)], &grid(ENERGIES), &area(), 1.0);
        refused(folder.with(&rmf, Some(&area)), &format!("the unit of column SPECRESP is {unit}"));
    }
    // A response with the area in it.
    let rsp = Rmf { name: "SPECRESP MATRIX", ..Rmf::default() };
    let in_m2 = rsp.clone().with("TUNIT6", "'m**2'").with_area(1e-4).file();
    folder.put("none.pha", &pha(&[("ANCRFILE", "'none'"), ("RESPFILE", "'m2.rsp'")], vec![]));
    folder.put("m2.rsp", &in_m2);
    right(folder.load("none.pha"), plain(), "MATRIX is in 'm**2'");
}

#[test]
fn units_of_energies_are_read() {
    let folder = Folder::new();
    let in_ev = |unit: &'static str| {
        let rmf = Rmf { scale: 1e3, ..Rmf::default() }.with("TUNIT1", unit).with("TUNIT2", unit);
        let limits = ebounds(&[("TUNIT2", unit), ("TUNIT3", unit)], &grid(CHANNELS), 1e3, 1);
        let area = arf_with(&[("TUNIT1", unit), ("TUNIT2", unit)], &grid(ENERGIES), &area(), 1e3);
        (file(&[rmf.table(), limits]), area)
    };
    let (rmf, area) = in_ev("'eV'");
    right(folder.with(&rmf, Some(&area)), plain(), "E_MIN is in 'eV': multiplied by 0.001 to keV");
    let (rmf, area) = in_ev("'Angstrom'");
    refused(folder.with(&rmf, Some(&area)), "'Angstrom' is a wavelength");
    let (rmf, area) = in_ev("'furlong'");
    refused(folder.with(&rmf, Some(&area)), "'furlong', expected an energy");
    // Channels in eV that say keV: nothing of the asked energies is there, and without any asked it is told.
    let lie = Rmf { scale: 1e3, ..Rmf::default() }.with("TUNIT1", "'eV'").with("TUNIT2", "'eV'");
    let bytes = file(&[lie.table(), ebounds(&[], &grid(CHANNELS), 1e3, 1)]);
    let d = folder.with(&bytes, Some(&arf())).unwrap();
    for part in ["EBOUNDS and MATRIX disagree: photons are sent to channels of 99", "has no unit and reaches 6500"] {
        assert!(d.warnings.iter().any(|w| w.contains(part)), "{part}: {:?}", d.warnings);
    }
}

#[test]
fn rates_are_counts_only_within_rounding() {
    let folder = Folder::new();
    let rate = |factor: f64, unit: &'static str| {
        let rates = counts().iter().map(|&k| f64::from(k) * factor).collect();
        let bytes = spectrum_hdu(Data::D(rates), &[("TUNIT2", unit)], vec![]);
        // The column is called RATE instead.
        let at = bytes.windows(8).position(|w| w == b"'COUNTS ").unwrap();
        let mut bytes = bytes;
        bytes[at..at + 8].copy_from_slice(b"'RATE   ");
        file(&[bytes])
    };
    right(folder.spectrum(&rate(1e-3, "'count/s'")), plain(), "RATE spectrum");
    right(folder.spectrum(&rate(1.0, "'count/ks'")), plain(), "RATE is in 'count/ks'");
    refused(folder.spectrum(&rate(1e-3, "'count/s/keV'")), "the unit of column RATE is 'count/s/keV'");
    // Rates of 4e-4 in 1 s are no counts of 0.
    refused(folder.spectrum(&rate(1e-9, "'count/s'")), "not a whole number");
}

#[test]
fn counts_one_rounding_off_are_counts() {
    let folder = Folder::new();
    let with = |data: Data| folder.spectrum(&file(&[spectrum_hdu(data, &[], vec![])]));
    let near = counts().iter().map(|&k| k as f32 * 1.000_000_1).collect();
    right(with(Data::E(near)), plain(), "one rounding off");
    let near = counts().iter().map(|&k| f64::from(k) * (1.0 + 1e-15)).collect();
    right(with(Data::D(near)), plain(), "one rounding off");
    let half = counts().iter().map(|&k| f64::from(k) + 1e-4).collect();
    refused(with(Data::D(half)), "not a whole number");
    let unit = |unit| folder.spectrum(&pha(&[("TUNIT2", unit)], vec![]));
    right(unit("'counts'"), plain(), "");
    right(unit("'tally'"), plain(), "'tally', which is not known");
    refused(unit("'count/s'"), "column COUNTS is in 'count/s'");
}

#[test]
fn the_total_spectrum_is_taken() {
    let folder = Folder::new();
    let of = |class: &'static str, factor: i32| {
        let counts = counts().iter().map(|k| k * factor).collect();
        spectrum_hdu(Data::J(counts), &[("HDUCLAS2", class)], vec![])
    };
    right(
        folder.spectrum(&file(&[of("'NET'", 3), of("'TOTAL'", 1), of("'BKG'", 2)])),
        plain(),
        "HDU 2 (SPECTRUM) is used",
    );
    right(folder.spectrum(&file(&[of("'BKG'", 3), of("", 1)])), plain(), "2 SPECTRUM extensions");
    right(folder.spectrum(&file(&[of("'NET'", 1)])), plain(), "HDUCLAS2 = NET");
    right(folder.spectrum(&file(&[of("'BKG'", 1)])), plain(), "HDUCLAS2 = BKG");
    // Another one by its number.
    folder.put("two.pha", &file(&[of("'TOTAL'", 1), of("'TOTAL'", 2)]));
    let doubled: Vec<f64> = counts().iter().map(|&k| 2.0 * f64::from(k)).collect();
    let twice = cstat(&doubled, &expected(&toy::matrix(), &area()));
    for name in ["two.pha[2]", "two.pha+2"] {
        right(folder.load(name), twice, "");
    }
    refused(folder.load("two.pha[0]"), "[0] chooses HDU 0, which holds no spectrum");
    refused(folder.load("two.pha[7]"), "there is no HDU [7]");
    refused(folder.load("two.pha{1}"), "single spectrum");
}

#[test]
fn selectors_choose_responses() {
    let folder = Folder::new();
    let matrix = |k: usize| {
        let version = ["'1'", "'2'", "'3'"][k - 1];
        Rmf { name: "SPECRESP MATRIX", ..Rmf::default() }.with("EXTVER", version).with_area(k as f64).table()
    };
    let limits = || ebounds(&[], &grid(CHANNELS), 1.0, 1);
    folder.put("three.rsp2", &file(&[limits(), matrix(1), matrix(2), matrix(3)]));
    folder.put("each.rsp2", &file(&[limits(), matrix(1), limits(), matrix(2), limits(), matrix(3)]));
    let n: Vec<f64> = counts().iter().map(|&k| f64::from(k)).collect();
    let times = |f: f64| cstat(&n, &expected(&toy::matrix(), &area().iter().map(|a| a * f).collect::<Vec<_>>()));
    for (name, arf, value) in [
        ("three.rsp2{2}", "'none'", times(2.0)),
        ("each.rsp2{3}", "'none'", times(3.0)),
        ("three.rsp2[SPECRESP MATRIX,2]", "'none'", times(2.0)),
        ("three.rsp2[2]", "'none'", times(1.0)),
        ("three.rsp2", "'none'", times(6.0)),
        ("toy.rmf[MATRIX]", "'toy.arf[SPECRESP]'", plain()),
        ("toy.rmf[1]", "'toy.arf+1'", plain()),
        ("toy.rmf+1", "'toy.arf{1}'", plain()),
    ] {
        // A keyword's value has 68 characters, these cards 20: so the run file names the response.
        folder.put("s.pha", &pha(&[("ANCRFILE", "'none'")], vec![]));
        let arf = arf.trim_matches('\'');
        let spec = ObservationSpec {
            response: Some(folder.0.path().join(name)),
            arf: if arf == "none" { FileChoice::Keyword } else { FileChoice::File(folder.0.path().join(arf)) },
            ..folder.spec("s.pha")
        };
        right(load(&spec).map_err(|e| e.to_string()), value, "");
    }
    folder.put("s.pha", &pha(&[("RESPFILE", "'toy.rmf[MATRIX]'")], vec![]));
    right(folder.load("s.pha"), plain(), "");
    folder.put("s.pha", &pha(&[("RESPFILE", "'toy.rmf[EBOUNDS]'")], vec![]));
    refused(folder.load("s.pha"), "holds no matrix");
    folder.put("s.pha", &pha(&[("RESPFILE", "'toy.rmf{2}'")], vec![]));
    refused(folder.load("s.pha"), "response {2} was asked for");
    // The name of a packed file that has been unpacked.
    folder.put("s.pha", &pha(&[("RESPFILE", "'toy.rmf.gz'")], vec![]));
    right(folder.load("s.pha"), plain(), "found unpacked as");
}

/// A PHA-II table of three rows: the toy's counts in each.
fn rows(columns: Vec<(&'static str, Data)>, cards: &[(&str, &str)]) -> Vec<u8> {
    let all = [counts(), counts(), counts()].concat();
    let numbers: Vec<i32> = (0..3).flat_map(|_| 1..=CHANNELS as i32).collect();
    let mut list = vec![
        ("SPEC_NUM", Data::I(vec![1, 2, 3])),
        ("CHANNEL", Data::VectorJ(CHANNELS, numbers)),
        ("COUNTS", Data::VectorJ(CHANNELS, all)),
    ];
    list.extend(columns);
    let mut keys = vec![("EXPOSURE", "1000.0"), ("POISSERR", "T"), ("TELESCOP", "'TOY'"), ("INSTRUME", "'TOY'")];
    keys.extend_from_slice(cards);
    file(&[table("SPECTRUM", &keys, &list)])
}

fn names(of: [&str; 3]) -> Data {
    Data::Text(16, of.iter().map(|n| n.to_string()).collect())
}

#[test]
fn a_row_names_its_own_files() {
    let folder = Folder::new();
    let half: Vec<f64> = area().iter().map(|a| 0.5 * a).collect();
    folder.put("half.arf", &arf_with(&[], &grid(ENERGIES), &half, 1.0));
    let n: Vec<f64> = counts().iter().map(|&k| f64::from(k)).collect();
    let halved = cstat(&n, &expected(&toy::matrix(), &half));
    let own = || vec![("RESPFILE", names(["toy.rmf"; 3])), ("ANCRFILE", names(["toy.arf", "half.arf", ""]))];
    folder.put("t.pha", &rows(own(), &[("ANCRFILE", "'toy.arf'")]));
    right(folder.load("t.pha{1}"), plain(), "");
    right(folder.load("t.pha{2}"), halved, "");
    // A blank one leaves it to the keyword.
    right(folder.load("t.pha{3}"), plain(), "");
    let report = inspect(&folder.0.path().join("t.pha{2}"));
    assert_eq!((report.ancrfile.as_deref(), report.error), (Some("half.arf"), None));
    // "none" in a column is an answer.
    let none = vec![("RESPFILE", names(["NONE"; 3])), ("ANCRFILE", names(["NONE"; 3]))];
    folder.put("t.pha", &rows(none, &[("RESPFILE", "'toy.rmf'")]));
    refused(folder.load("t.pha{1}"), "RESPFILE is blank");
    // A background in a column counts as one in a keyword.
    let mut columns = own();
    columns.push(("BACKFILE", names(["b.pha{1}", "b.pha{2}", "b.pha{3}"])));
    folder.put("t.pha", &rows(columns, &[]));
    let spec = ObservationSpec { background: FileChoice::Keyword, ..folder.spec("t.pha{2}") };
    let error = load(&spec).unwrap_err().to_string();
    assert!(error.contains("b.pha{2}") && error.contains("background = \"none\""), "{error}");
    // Exposures and errors of the rows.
    let mut columns = own();
    columns.push(("EXPOSURE", Data::D(vec![1.0, 1.0, 1.0])));
    columns.push(("POISSERR", Data::L(vec![true, false, true])));
    folder.put("t.pha", &rows(columns, &[("TUNIT6", "'ks'")]));
    right(folder.load("t.pha{1}"), plain(), "EXPOSURE is in 'ks'");
    right(folder.load("t.pha{2}"), halved, "POISSERR = F");
}

#[test]
fn a_response_of_another_instrument_is_no_response() {
    let folder = Folder::new();
    let spectrum = |cards: &[(&str, &str)]| folder.put("s.pha", &pha(cards, vec![]));
    let try_with = |mismatch| load(&ObservationSpec { mismatch, ..folder.spec("s.pha") }).map_err(|e| e.to_string());
    for (cards, part) in [
        (vec![("TELESCOP", "'OTHER'")], "TELESCOP is 'OTHER' in the spectrum and 'TOY' in the response"),
        (vec![("INSTRUME", "'CAM2'")], "INSTRUME is 'CAM2' in the spectrum"),
    ] {
        spectrum(&cards);
        let error = try_with(Mismatch::Error).unwrap_err();
        assert!(error.contains(part) && error.contains("--force") && error.contains("toy.rmf"), "{error}");
        let d = try_with(Mismatch::Warn).unwrap();
        assert!(d.mismatched);
        right(Ok(d), plain(), part);
        // Inspect says the same of the spectrum.
        let told = inspect(&folder.0.path().join("s.pha")).warnings;
        assert!(told.iter().any(|w| w.contains(&part[..20])), "{told:?}");
    }
    // What says nothing agrees with everything.
    for cards in [vec![("TELESCOP", ""), ("INSTRUME", "")], vec![("TELESCOP", "'none'"), ("INSTRUME", "'UNKNOWN'")]] {
        spectrum(&cards);
        let d = try_with(Mismatch::Error).unwrap();
        assert!(!d.mismatched);
        right(Ok(d), plain(), "");
    }
    // The number of channels.
    let few = || {
        let n: Vec<i32> = counts()[..30].to_vec();
        vec![("CHANNEL", Data::J((1..=30).collect())), ("COUNTS", Data::J(n))]
    };
    let cards = |detchans| {
        [
            ("EXPOSURE", "1000.0"),
            ("POISSERR", "T"),
            ("DETCHANS", detchans),
            ("RESPFILE", "'toy.rmf'"),
            ("ANCRFILE", "'toy.arf'"),
        ]
    };
    folder.put("s.pha", &file(&[table("SPECTRUM", &cards("30"), &few())]));
    refused(folder.load("s.pha"), "30 channels (DETCHANS 30), the response 40");
    folder.put("s.pha", &file(&[table("SPECTRUM", &cards("40"), &few())]));
    let bins: Vec<Vec<usize>> = (0..30).map(|i| vec![i]).collect();
    right(folder.load("s.pha"), cstat_of(&bins), "DETCHANS is 40");
}

#[test]
fn grating_and_order_are_those_of_the_row() {
    let folder = Folder::new();
    let columns = || vec![("TG_M", Data::I(vec![-1, 1, 1])), ("TG_PART", Data::I(vec![2, 2, 1]))];
    let keys = [("RESPFILE", "'g.rmf'"), ("ANCRFILE", "'g.arf'")];
    folder.put("t.pha", &rows(columns(), &keys));
    folder.put("g.rmf", &Rmf::default().with("TG_M", "1").with("TG_PART", "2").file());
    folder.put("g.arf", &arf_with(&[("TG_M", "1"), ("TG_PART", "2")], &grid(ENERGIES), &area(), 1.0));
    right(folder.load("t.pha{2}"), plain(), "");
    refused(folder.load("t.pha{1}"), "the order is -1 in the spectrum and +1 in the response");
    refused(folder.load("t.pha{3}"), "the grating arm is HEG in the spectrum and MEG in the response");
    // Files that are each other's opposites.
    folder.put("g.arf", &arf_with(&[("TG_M", "-1"), ("TG_PART", "2")], &grid(ENERGIES), &area(), 1.0));
    refused(folder.load("t.pha{2}"), "the order is +1 in the response and -1 in the ARF");
}

#[test]
fn a_redistribution_needs_an_area_whatever_it_is_called() {
    let folder = Folder::new();
    let named = |name| Rmf { name, ..Rmf::default() };
    folder.put("s.pha", &pha(&[("RESPFILE", "'o.rmf'"), ("ANCRFILE", "'none'")], vec![]));
    for name in ["MATRIX", "SPECRESP MATRIX"] {
        folder.put("o.rmf", &named(name).file());
        refused(folder.load("s.pha"), "holds no effective area");
    }
    // With an ARF it is used as what it is; with the area inside it needs none.
    right(folder.with(&named("SPECRESP MATRIX").file(), Some(&arf())), plain(), "taken as a redistribution");
    for name in ["SPECRESP MATRIX", "SPECTRESP MATRIX"] {
        folder.put("o.rmf", &named(name).with_area(1.0).file());
        right(folder.load("s.pha"), plain(), "");
    }
    // An area below 1 cm2 in a file that says what it is.
    folder.put("o.rmf", &named("SPECRESP MATRIX").with("HDUCLAS3", "'FULL'").file());
    assert!(folder.load("s.pha").is_ok());
}

#[test]
fn a_bad_channel_costs_its_channel() {
    let folder = Folder::new();
    let flagged = |quality: Vec<i16>, flags: Vec<i16>| {
        folder.spectrum(&pha(&[], vec![("GROUPING", Data::I(flags)), ("QUALITY", Data::I(quality))]))
    };
    // Groups of four.
    let fours = || (0..CHANNELS).map(|i| if i % 4 == 0 { 1 } else { -1 }).collect::<Vec<i16>>();
    let bad = |list: &[(usize, i16)]| {
        let mut q = vec![0i16; CHANNELS];
        list.iter().for_each(|&(i, flag)| q[i] = flag);
        q
    };
    let groups = |left_out: &[usize]| {
        let mut out: Vec<Vec<usize>> = (0..CHANNELS / 4).map(|g| (4 * g..4 * g + 4).collect()).collect();
        out.iter_mut().for_each(|g: &mut Vec<usize>| g.retain(|i| !left_out.contains(i)));
        out.retain(|g| !g.is_empty());
        out
    };
    for (list, left_out) in [
        (vec![(5, 1)], vec![5]),
        (vec![(5, 5)], vec![5]),
        (vec![(4, 1), (7, 5)], vec![4, 7]),
        (vec![(8, 1), (9, 1), (10, 1), (11, 1)], vec![8, 9, 10, 11]),
    ] {
        let gone: i32 = left_out.iter().map(|&i| counts()[i]).sum();
        let told = format!("{} bad channels (QUALITY", left_out.len());
        let d = flagged(bad(&list), fours()).unwrap();
        assert!(d.warnings.iter().any(|w| w.contains(&format!("with {gone} counts"))), "{:?}", d.warnings);
        assert_eq!(d.bins.len(), groups(&left_out).len());
        right(Ok(d), cstat_of(&groups(&left_out)), &told);
    }
    // QUALITY 2 ends the group: what follows is one of its own.
    let mut split = groups(&[5]);
    split[1] = vec![4];
    split.insert(2, vec![6, 7]);
    right(flagged(bad(&[(5, 2)]), fours()), cstat_of(&split), "QUALITY 2");
    // A bin tells its good limits.
    let d = flagged(bad(&[(4, 1), (6, 1)]), fours()).unwrap();
    assert_eq!((d.bins[1].first_channel, d.bins[1].last_channel, d.left_out.as_slice()), (6, 8, [7].as_slice()));
    // Groups across the limit of the asked energies: their good channels are counted.
    folder.put("s.pha", &pha(&[], vec![("GROUPING", Data::I(fours()))]));
    let spec = ObservationSpec { energies: vec![[0.8, 6.5]], ..folder.spec("s.pha") };
    let d = load(&spec).unwrap();
    assert_eq!(d.bins.len(), 9);
    let gone = counts()[2] + counts()[3];
    let told = format!("2 good channels with {gone} counts");
    assert!(d.warnings.iter().any(|w| w.contains(&told)), "{:?}", d.warnings);
}

#[test]
fn limits_are_compared_in_single_precision() {
    let folder = Folder::new();
    // Channels of 0.15 keV whose limits are stored as f32.
    let single = |e: &[f64]| Data::E(e.iter().map(|&e| e as f32).collect());
    let limits = grid(CHANNELS);
    let bounds = table(
        "EBOUNDS",
        &[],
        &[
            ("CHANNEL", Data::J((1..=CHANNELS as i32).collect())),
            ("E_MIN", single(&limits[..CHANNELS])),
            ("E_MAX", single(&limits[1..])),
        ],
    );
    folder.put("toy.rmf", &file(&[Rmf::default().table(), bounds]));
    folder.put("s.pha", &pha(&[], vec![]));
    for i in 0..CHANNELS {
        // As one writes them: 0.65, 0.8, ...
        let written = |x: f64| (x * 100.0).round() / 100.0;
        let spec =
            ObservationSpec { energies: vec![[written(limits[i]), written(limits[i + 1])]], ..folder.spec("s.pha") };
        let d = load(&spec).unwrap_or_else(|e| panic!("{i}: {e}"));
        assert_eq!((d.bins.len(), d.bins[0].first_channel), (1, i as i64 + 1));
    }
}

#[test]
fn channels_without_numbers_are_those_of_the_response() {
    let folder = Folder::new();
    folder.put("toy.rmf", &Rmf { first: 0, ..Rmf::default() }.with("TLMIN4", "0").file());
    let cards = [("EXPOSURE", "1000.0"), ("POISSERR", "T"), ("RESPFILE", "'toy.rmf'"), ("ANCRFILE", "'toy.arf'")];
    let d = folder.spectrum(&file(&[table("SPECTRUM", &cards, &[("COUNTS", Data::J(counts()))])])).unwrap();
    assert_eq!((d.bins[0].first_channel, d.bins[39].last_channel), (0, 39));
    right(Ok(d), plain(), "taken as those of the response, 0 to 39");
}

#[test]
fn the_exposure_may_stand_in_the_primary_header() {
    let folder = Folder::new();
    let hdu = spectrum_hdu(Data::J(counts()), &[("EXPOSURE", "")], vec![]);
    let bytes = super::common::fits::file_with(&[("EXPOSURE", "1000.0")], std::slice::from_ref(&hdu));
    right(folder.spectrum(&bytes), plain(), "taken from the primary HDU");
    refused(folder.spectrum(&file(&[hdu])), "EXPOSURE is missing");
}

#[test]
fn grouping_columns_replace_the_keywords() {
    let folder = Folder::new();
    let source = folder.put("s.pha", &pha(&[("GROUPING", "0"), ("QUALITY", "0")], vec![]));
    let target = folder.0.path().join("g.pha");
    let new = regroup(&source, None, &Grouping::MinCounts(300), &[]).unwrap();
    write_grouped_copy(&source, &target, &new.grouping, &new.quality).unwrap();
    let text = String::from_utf8_lossy(&std::fs::read(&target).unwrap()).into_owned();
    assert!(!text.contains("GROUPING=") && !text.contains("QUALITY ="), "a keyword is left");
    let d = folder.load("g.pha").unwrap();
    assert_eq!((d.bins.len(), d.total()), (new.groups, new.counts));
}

#[test]
fn what_never_ends_is_cut() {
    use std::io::Write;
    let folder = Folder::new();
    let packed = |bytes: &[u8], zeros: usize| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        let block = vec![0u8; 1 << 20];
        (0..zeros).for_each(|_| packer.write_all(&block).unwrap());
        packer.finish().unwrap()
    };
    // Not a FITS file: refused after a block, not after half a GiB.
    let start = std::time::Instant::now();
    let bomb = folder.put("bomb.pha.gz", &packed(b"nothing of the kind", 512));
    assert!(inspect(&bomb).error.unwrap().contains("not a FITS file"));
    // A FITS file with as much behind it: what the headers ask for is read.
    let whole = folder.put("tail.pha.gz", &packed(&pha(&[], vec![]), 512));
    assert_eq!(inspect(&whole).error, None);
    // A header that asks for more than is read of any file.
    let text = String::from_utf8_lossy(&pha(&[], vec![])).into_owned();
    let large = text.replace(&format!("NAXIS2  = {:>20}", 40), &format!("NAXIS2  = {:>20}", "9000000000"));
    let large = folder.put("large.pha", large.as_bytes());
    assert!(inspect(&large).error.unwrap().contains("at most 4 GiB"));
    if cfg!(unix) {
        let error = inspect(std::path::Path::new("/dev/zero")).error.unwrap();
        assert!(error.contains("not a FITS file"), "{error}");
    }
    // Packing takes the time; reading 4 GiB of zeros would take far longer.
    assert!(start.elapsed().as_secs() < 100);
}

const RUN: &str = r#"
[observation]
spectrum = "s.pha"
background = "none"
[model]
expression = "powerlaw"
[parameters]
"powerlaw.PhoIndex" = { uniform = [0.5, 3.0] }
"powerlaw.norm" = { log_uniform = [1e-3, 1.0] }
"#;

/// The program in a folder: exit status, standard output, standard error.
fn program(folder: &Folder, args: &[&str]) -> (Option<i32>, String, String) {
    use super::common::runs::{rontgen, stderr, stdout};
    let output = rontgen().current_dir(folder.0.path()).args(args).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn force_lets_another_instrument_pass() {
    let folder = Folder::new();
    folder.put("run.toml", RUN.as_bytes());
    folder.put("theta.csv", b"powerlaw.PhoIndex,powerlaw.norm\n1.7,0.02\n");
    folder.put("s.pha", &pha(&[("TELESCOP", "'OTHER'")], vec![]));
    let likelihood =
        ["likelihood", "run.toml", "--at", "theta.csv", "--out", "l.csv", "--device", "f64", "--exact-grid"];
    let (status, _, error) = program(&folder, &likelihood);
    assert!(
        status == Some(2) && error.contains("toy.rmf: TELESCOP is 'OTHER'") && error.contains("--force"),
        "{error}"
    );
    for more in [vec!["--force"], vec!["--set", "observation.mismatch=\"warn\""]] {
        let (status, _, error) = program(&folder, &[&likelihood[..], &more[..]].concat());
        assert!(status == Some(0) && error.contains("used all the same"), "{error}");
        let (header, rows) = super::read_csv(&folder.0.path().join("l.csv"));
        let value = super::column(&rows, &header, "cstat")[0];
        assert!((value - plain()).abs() < 1e-3, "{value} against {}", plain());
    }
    // run.toml asks for it only where it had to be asked for.
    let dry = ["infer", "run.toml", "--dry-run", "--device", "cpu", "--force"];
    let (status, text, error) = program(&folder, &dry);
    assert!(status == Some(0) && text.contains("mismatch = \"warn\""), "{error}");
    folder.put("s.pha", &pha(&[], vec![]));
    let (_, text, error) = program(&folder, &dry);
    assert!(text.contains("grouping = \"file\"") && !text.contains("mismatch"), "{text}{error}");
    let (status, _, error) =
        program(&folder, &["infer", "run.toml", "--dry-run", "--set", "observation.mismatch=\"maybe\""]);
    assert!(status == Some(2) && error.contains("mismatch") && error.contains("\"warn\""), "{error}");
}

#[test]
fn a_run_file_that_never_ends_is_refused() {
    if cfg!(unix) {
        let folder = Folder::new();
        for args in [vec!["infer", "/dev/zero"], vec!["import", "/dev/zero"]] {
            let (status, _, error) = program(&folder, &args);
            assert!(status == Some(2) && error.contains("64 MiB"), "{args:?}: {error}");
        }
    }
}
