//! The corners of the OGIP formats, in files put together here.

use std::path::{Path, PathBuf};

use super::common::fits::{Data, arf, ebounds, energies, file, pha, table};
use rontgen::observation::{
    Dataset, FileChoice, Grouping, ObservationSpec, PhaFile, Response, inspect, load, load_response, regroup,
    write_grouped_copy, write_pha,
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn load(&self, pha: &[u8], rmf: &[u8], area: &[u8]) -> Result<Dataset, String> {
        let spec = ObservationSpec {
            spectrum: self.put("s.pha", pha),
            response: Some(self.put("r.rmf", rmf)),
            arf: FileChoice::File(self.put("a.arf", area)),
            background: FileChoice::None,
            energies: Vec::new(),
            grouping: Grouping::File,
            ..ObservationSpec::default()
        };
        load(&spec).map_err(|e| e.to_string())
    }

    fn response(&self, bytes: &[u8]) -> Result<Response, String> {
        Response::read(&self.put("r.rmf", bytes)).map_err(|e| e.to_string())
    }
}

/// Three energies, three channels; energy 0 reaches channel 0 and 2 (two groups), energy 1 nothing (N_GRP = 0), energy 2 channels 1 and 2.
fn matrix(name: &str, cards: &[(&str, &str)], first: i16, heap: bool) -> Vec<u8> {
    let (lo, hi) = energies(1.0, 3);
    let (f_chan, n_chan, values) = if heap {
        (
            Data::HeapI(vec![vec![first, first + 2], vec![], vec![first + 1]]),
            Data::HeapI(vec![vec![1, 1], vec![], vec![2]]),
            Data::HeapE(vec![vec![0.5, 0.25], vec![], vec![0.125, 0.75]]),
        )
    } else {
        // Only N_GRP entries of a fixed vector are valid: the rest is rubbish on purpose.
        (
            Data::VectorI(2, vec![first, first + 2, 99, -7, first + 1, 55]),
            Data::VectorI(2, vec![1, 1, 3, 9, 2, 77]),
            Data::VectorE(3, vec![0.5, 0.25, 9.0, 8.0, 8.0, 8.0, 0.125, 0.75, 4.0]),
        )
    };
    table(
        name,
        cards,
        &[
            ("ENERG_LO", lo),
            ("ENERG_HI", hi),
            ("N_GRP", Data::I(vec![2, 0, 1])),
            ("F_CHAN", f_chan),
            ("N_CHAN", n_chan),
            ("MATRIX", values),
        ],
    )
}

fn rmf(first: i16, cards: &[(&str, &str)]) -> Vec<u8> {
    file(&[matrix("MATRIX", cards, first, false), ebounds(i32::from(first), 3)])
}

/// What a unit flux in each energy bin in turn gives: the dense matrix, bins by energies.
fn dense(d: &Dataset) -> Vec<Vec<f64>> {
    let n = d.folded.energies();
    let unit = |j: usize| (0..n).map(|k| f64::from(k == j)).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..n).map(|j| d.folded.fold(&unit(j))).collect();
    (0..d.bins.len()).map(|i| columns.iter().map(|c| c[i]).collect()).collect()
}

#[test]
fn layouts_of_the_matrix_are_one() {
    let folder = Folder::new();
    let area = arf(1.0, &[2.0, 3.0, 4.0]);
    // 100 s times area times matrix.
    let expected = vec![vec![100.0, 0.0, 0.0], vec![0.0, 0.0, 50.0], vec![50.0, 0.0, 300.0]];
    for first in [0i16, 1] {
        let tlmin = first.to_string();
        for heap in [false, true] {
            for name in ["MATRIX", "SPECRESP MATRIX", "ODD NAME"] {
                let cards = [
                    ("TLMIN4", tlmin.as_str()),
                    ("HDUCLAS1", "'RESPONSE'"),
                    ("HDUCLAS2", "'RSP_MATRIX'"),
                    ("HDUCLAS3", "'REDIST'"),
                ];
                let tables = [matrix(name, &cards, first, heap), ebounds(i32::from(first), 3)];
                for order in [[0, 1], [1, 0]] {
                    let bytes = file(&[tables[order[0]].clone(), tables[order[1]].clone()]);
                    let d = folder.load(&pha(i32::from(first), &[5, 6, 7], &[]), &bytes, &area).unwrap();
                    assert_eq!(dense(&d), expected, "first {first}, heap {heap}, {name}, order {order:?}");
                    assert_eq!(d.counts, [5, 6, 7]);
                }
            }
        }
    }
}

#[test]
fn tlmin_is_taken_as_one_where_absent() {
    let folder = Folder::new();
    let absent = folder.response(&rmf(1, &[])).unwrap();
    assert_eq!(absent.runs[0].channel, 0);
    assert!(absent.warnings.iter().any(|w| w.contains("no TLMIN")), "{:?}", absent.warnings);
    // A group that begins at channel 0 shows that 1 cannot be meant.
    let zero = folder.response(&rmf(0, &[])).unwrap();
    assert_eq!(zero.runs.iter().map(|r| r.channel).collect::<Vec<_>>(), [0, 2, 1]);
    // Quoted numbers occur in real files.
    assert_eq!(folder.response(&rmf(0, &[("TLMIN4", "'0'")])).unwrap().runs[0].channel, 0);
    // TLMIN 1 while EBOUNDS begins at 0: TLMIN counts.
    let bytes = file(&[matrix("MATRIX", &[("TLMIN4", "1")], 1, true), ebounds(0, 3)]);
    let odd = folder.response(&bytes).unwrap();
    assert!(
        odd.runs[0].channel == 0 && odd.warnings.iter().any(|w| w.contains("EBOUNDS from 0")),
        "{:?}",
        odd.warnings
    );
    // Channels outside EBOUNDS.
    let error = folder.response(&rmf(1, &[("TLMIN4", "2")])).unwrap_err();
    assert!(error.contains("row 1, group 1") && error.contains("r.rmf"), "{error}");
}

#[test]
fn several_matrices_are_added() {
    let folder = Folder::new();
    let one = matrix("MATRIX", &[("TLMIN4", "1")], 1, true);
    let bytes = file(&[one.clone(), ebounds(1, 3), one]);
    let d = folder.load(&pha(1, &[1, 1, 1], &[]), &bytes, &arf(1.0, &[2.0, 3.0, 4.0])).unwrap();
    assert_eq!(dense(&d), [[200.0, 0.0, 0.0], [0.0, 0.0, 100.0], [100.0, 0.0, 600.0]]);
    assert!(d.warnings.iter().any(|w| w.contains("2 MATRIX")));
}

#[test]
fn a_response_with_area_needs_no_arf() {
    let folder = Folder::new();
    let full = file(&[matrix("SPECRESP MATRIX", &[("TLMIN4", "1"), ("HDUCLAS3", "'FULL'")], 1, false), ebounds(1, 3)]);
    let rsp = folder.put("full.rsp", &full);
    assert_eq!(inspect(&rsp).kind, "RSP");
    assert!(load_response(&rsp, &FileChoice::Keyword).unwrap().includes_area);
    let bare = folder.put("bare.rmf", &rmf(1, &[("TLMIN4", "1")]));
    assert_eq!(inspect(&bare).kind, "RMF");
    let error = load_response(&bare, &FileChoice::Keyword).unwrap_err().to_string();
    assert!(error.contains("no effective area") && error.contains("arf = \"none\""), "{error}");
    assert!(load_response(&bare, &FileChoice::None).unwrap().warnings.iter().any(|w| w.contains("1 cm2")));
}

#[test]
fn grids_of_area_and_matrix_must_agree() {
    let folder = Folder::new();
    let (spectrum, matrix) = (pha(1, &[1, 1, 1], &[]), rmf(1, &[("TLMIN4", "1")]));
    for (area, part) in [
        (arf(1.0, &[1.0, 1.0]), "2 energies"),
        (arf(1.2, &[1.0, 1.0, 1.0]), "row 1"),
        (arf(1.0, &[1.0, -1.0, 1.0]), "SPECRESP is -1 in row 2"),
        (arf(1.0, &[1.0, f32::NAN, 1.0]), "SPECRESP is NaN in row 2"),
        (arf(1.0, &[0.0; 3]), "zero everywhere"),
    ] {
        let error = folder.load(&spectrum, &matrix, &area).unwrap_err();
        assert!(error.contains(part) && error.contains("a.arf"), "{error}");
    }
    // Half a percent of a bin is rounding, not another grid.
    assert!(folder.load(&spectrum, &matrix, &arf(1.005, &[1.0; 3])).is_ok());
}

#[test]
fn a_zero_first_edge_is_moved() {
    let folder = Folder::new();
    let (lo, hi) = energies(0.0, 2);
    let columns = [
        ("ENERG_LO", lo),
        ("ENERG_HI", hi),
        ("N_GRP", Data::I(vec![1, 1])),
        ("F_CHAN", Data::I(vec![1, 1])),
        ("N_CHAN", Data::I(vec![3, 3])),
        ("MATRIX", Data::VectorE(3, vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.1])),
    ];
    let bytes = file(&[table("MATRIX", &[("TLMIN4", "1")], &columns), ebounds(1, 3)]);
    let d = folder.load(&pha(1, &[1, 2, 3], &[]), &bytes, &arf(0.0, &[1.0, 1.0])).unwrap();
    assert_eq!(d.folded.edges, [0.01, 1.0, 2.0]);
    assert!(d.warnings.iter().any(|w| w.contains("0 keV")));
}

#[test]
fn matrices_that_cannot_be_are_refused() {
    let folder = Folder::new();
    let build = |groups: Vec<i16>, f_chan: i16, n_chan: i16, value: f32| {
        let (lo, hi) = energies(1.0, 1);
        let columns = [
            ("ENERG_LO", lo),
            ("ENERG_HI", hi),
            ("N_GRP", Data::I(groups)),
            ("F_CHAN", Data::I(vec![f_chan])),
            ("N_CHAN", Data::I(vec![n_chan])),
            ("MATRIX", Data::VectorE(2, vec![value, 0.5])),
        ];
        file(&[table("MATRIX", &[("TLMIN4", "1")], &columns), ebounds(1, 3)])
    };
    assert!(folder.response(&build(vec![1], 1, 2, 0.5)).is_ok());
    for (bytes, part) in [
        (build(vec![2], 1, 2, 0.5), "N_GRP is 2"),
        (build(vec![-1], 1, 2, 0.5), "N_GRP is -1"),
        (build(vec![1], 1, 3, 0.5), "MATRIX holds 2"),
        (build(vec![1], 3, 2, 0.5), "outside the 3 channels"),
        (build(vec![1], 0, 2, 0.5), "outside the 3 channels"),
        (build(vec![1], 1, -2, 0.5), "N_CHAN = -2"),
        (file(&[matrix("MATRIX", &[], 1, true)]), "no EBOUNDS"),
        (file(&[ebounds(1, 3)]), "no MATRIX"),
    ] {
        let error = folder.response(&bytes).unwrap_err();
        assert!(error.contains(part) && error.contains("r.rmf"), "{part}: {error}");
    }
    // What is no number is refused where it matters: here in the first channel.
    for (value, part) in [(f32::NAN, "MATRIX holds NaN"), (-0.5, "MATRIX holds -0.5")] {
        let bytes = build(vec![1], 1, 2, value);
        assert!(folder.response(&bytes).unwrap().warnings.iter().any(|w| w.contains("undefined or negative")));
        let error = folder.load(&pha(1, &[1, 1, 1], &[]), &bytes, &arf(1.0, &[1.0])).unwrap_err();
        assert!(error.contains(part) && error.contains("r.rmf"), "{part}: {error}");
    }
}

fn spectrum_with(name: &str, data: Data, cards: &[(&str, &str)], more: Vec<(&str, Data)>) -> Vec<u8> {
    let mut columns = vec![("CHANNEL", Data::I(vec![1, 2, 3])), (name, data)];
    columns.extend(more);
    let mut all = vec![("EXPOSURE", "100.0")];
    all.extend_from_slice(cards);
    file(&[table("SPECTRUM", &all, &columns)])
}

fn try_spectrum(bytes: &[u8]) -> Result<Dataset, String> {
    Folder::new().load(bytes, &rmf(1, &[("TLMIN4", "1")]), &arf(1.0, &[2.0, 3.0, 4.0]))
}

#[test]
fn rates_are_counts_or_are_refused() {
    let rate = |values: [f32; 3], cards: &[(&str, &str)], more| {
        try_spectrum(&spectrum_with("RATE", Data::E(values.to_vec()), cards, more))
    };
    let d = rate([0.03, 0.0, 1.27], &[("POISSERR", "T")], vec![]).unwrap();
    assert_eq!(d.counts, [3, 0, 127]);
    let errors = |v: [f32; 3]| vec![("STAT_ERR", Data::E(v.to_vec()))];
    let root = |c: f32| c.sqrt() / 100.0;
    let f = [("POISSERR", "F")];
    assert_eq!(rate([0.03, 0.0, 1.27], &f, errors([root(3.0), 0.0, root(127.0)])).unwrap().counts, [3, 0, 127]);
    for (result, part) in [
        (rate([0.03, 0.0, 1.274], &[], vec![]), "not a whole number"),
        (rate([0.03, -0.01, 1.27], &[], vec![]), "negative"),
        (rate([0.03, f32::NAN, 1.27], &[], vec![]), "RATE * EXPOSURE"),
        (rate([0.03, 0.0, 1.27], &f, vec![]), "no STAT_ERR"),
        (rate([0.03, 0.0, 1.274], &[("POISSERR", "T")], errors([0.001, 0.001, 0.001])), "not a whole number"),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(part) && error.contains("s.pha"), "{part}: {error}");
    }
}

/// Rates with errors of their own are data for chi-square; whole counts stay counts, and keep the errors that the file gives them.
#[test]
fn numbers_with_errors_are_gaussian() {
    let with = |column, values: [f32; 3], cards: &[(&str, &str)], error: [f32; 3], more: Option<f32>| {
        let mut columns = vec![("STAT_ERR", Data::E(error.to_vec()))];
        columns.extend(more.map(|s| ("SYS_ERR", Data::E(vec![s; 3]))));
        try_spectrum(&spectrum_with(column, Data::E(values.to_vec()), cards, columns))
    };
    let f = [("POISSERR", "F")];
    let close = |found: &[f64], want: [f64; 3]| {
        assert!(found.iter().zip(want).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs()), "{found:?}, want {want:?}");
    };
    let d = with("RATE", [0.031, -0.01, 1.274], &f, [0.01, 0.02, 0.03], None).unwrap();
    let net = d.gaussian.as_ref().unwrap();
    close(&net.values, [3.1, -1.0, 127.4]);
    close(&net.errors, [1.0, 2.0, 3.0]);
    assert!(!net.poisson && !d.is_poisson() && d.counts == [0, 0, 0]);
    // Whole, but with errors that no counts have.
    let d = with("RATE", [0.03, 0.01, 1.27], &f, [0.001, 0.001, 0.001], None).unwrap();
    assert!(!d.is_poisson());
    let d = with("COUNTS", [3.5, -1.0, 127.0], &f, [1.0, 2.0, 3.0], Some(0.1)).unwrap();
    close(&d.gaussian.as_ref().unwrap().errors, [1.0f64.hypot(0.35), 2.0f64.hypot(0.1), 3.0f64.hypot(12.7)]);
    let d = with("COUNTS", [3.0, 1.0, 127.0], &f, [4.0, 5.0, 6.0], None).unwrap();
    let stated = d.gaussian.as_ref().unwrap();
    assert!(stated.poisson && d.is_poisson() && d.counts == [3, 1, 127]);
    close(&stated.errors, [4.0, 5.0, 6.0]);
    assert!(with("COUNTS", [3.0, 1.0, 4.0], &f, [1.73205, 1.0, 2.0], None).unwrap().gaussian.is_none());
    for (result, part) in [
        (with("RATE", [0.031, 0.01, 1.274], &f, [0.01, 0.0, 0.03], None), "the error is 0 in channels"),
        (with("RATE", [0.031, 0.01, 1.274], &f, [0.01, -0.25, 0.03], None), "STAT_ERR is -0.25 in row 2"),
        (with("RATE", [0.031, f32::NAN, 1.274], &f, [0.01, 0.02, 0.03], None), "undefined (NULL or NaN) in row 2"),
        (
            with("COUNTS", [3.5, 1.0, 127.0], &[("POISSERR", "T")], [1.0, 2.0, 3.0], None),
            "a column STAT_ERR and POISSERR = F",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(part) && error.contains("s.pha"), "{part}: {error}");
    }
}

#[test]
fn counts_that_cannot_be_poisson_are_refused() {
    let counts = |data| try_spectrum(&spectrum_with("COUNTS", data, &[], vec![]));
    assert_eq!(counts(Data::E(vec![1.0, 2.0, 3.0])).unwrap().counts, [1, 2, 3]);
    for (data, part) in [
        (Data::E(vec![1.0, 2.5, 3.0]), "COUNTS is 2.5 in row 2"),
        (Data::J(vec![1, -2, 3]), "background-subtracted"),
        (Data::D(vec![1.0, 1e12, 3.0]), "at most"),
        (Data::D(vec![1.0, f64::NAN, 3.0]), "NaN"),
        (Data::Text(4, vec!["a".into(), "b".into(), "c".into()]), "expected numbers"),
    ] {
        let error = counts(data).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
    let plain = |cards: &[(&str, &str)]| try_spectrum(&spectrum_with("COUNTS", Data::I(vec![1, 2, 3]), cards, vec![]));
    for (cards, part) in [
        ([("EXPOSURE", "0.0")], "EXPOSURE is 0"),
        ([("EXPOSURE", "'long'")], "EXPOSURE is 'long'"),
        ([("AREASCAL", "0.0")], "AREASCAL is 0"),
        ([("QUALITY", "1")], "no group of good channels"),
    ] {
        let bytes = spectrum_with("COUNTS", Data::I(vec![1, 2, 3]), &[], vec![]);
        let error = if cards[0].0 == "EXPOSURE" {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let old = format!("{:<8}= {:>20}", "EXPOSURE", "100.0");
            try_spectrum(text.replace(&old, &format!("{:<8}= {:>20}", "EXPOSURE", cards[0].1)).as_bytes()).unwrap_err()
        } else {
            plain(&cards).unwrap_err()
        };
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn areascal_scales_expected_counts() {
    let plain = dense(&try_spectrum(&spectrum_with("COUNTS", Data::I(vec![1, 2, 3]), &[], vec![])).unwrap());
    let keyword = spectrum_with("COUNTS", Data::I(vec![1, 2, 3]), &[("AREASCAL", "0.5")], vec![]);
    let column =
        spectrum_with("COUNTS", Data::I(vec![1, 2, 3]), &[], vec![("AREASCAL", Data::E(vec![0.5, 0.25, 2.0]))]);
    for (bytes, scale) in [(keyword, [0.5, 0.5, 0.5]), (column, [0.5, 0.25, 2.0])] {
        let scaled = dense(&try_spectrum(&bytes).unwrap());
        for ((row, reference), s) in scaled.iter().zip(&plain).zip(scale) {
            assert_eq!(*row, reference.iter().map(|v| v * s).collect::<Vec<f64>>());
        }
    }
}

#[test]
fn grouping_and_quality_of_the_file_are_obeyed() {
    let flags = |g: [i16; 3], q: [i16; 3]| {
        let more = vec![("GROUPING", Data::I(g.to_vec())), ("QUALITY", Data::I(q.to_vec()))];
        try_spectrum(&spectrum_with("COUNTS", Data::I(vec![1, 2, 4]), &[], more))
    };
    assert_eq!(flags([1, -1, 1], [0, 0, 0]).unwrap().counts, [3, 4]);
    assert_eq!(flags([1, -1, -1], [0, 0, 0]).unwrap().counts, [7]);
    assert_eq!(flags([0, 0, 0], [0, 5, 0]).unwrap().counts, [1, 4]);
    // A bad member costs itself; QUALITY 2 ends the group.
    assert_eq!(flags([1, -1, -1], [0, 1, 0]).unwrap().counts, [5]);
    assert_eq!(flags([1, -1, -1], [0, 2, 0]).unwrap().counts, [1, 4]);
    let orphan = flags([-1, -1, 1], [0, 0, 0]).unwrap();
    assert!(orphan.counts == [3, 4] && orphan.warnings.iter().any(|w| w.contains("begins with -1")));
    assert!(flags([1, 7, 1], [0, 0, 0]).unwrap_err().contains("GROUPING is 7 in row 2"));
    let d = flags([1, -1, 1], [0, 0, 0]).unwrap();
    assert_eq!(dense(&d), [[100.0, 0.0, 50.0], [50.0, 0.0, 300.0]]);
    assert_eq!((d.bins[0].first_channel, d.bins[0].last_channel, d.bins[0].e_max), (1, 2, 3.0));
}

#[test]
fn type_two_needs_a_row() {
    let folder = Folder::new();
    let columns = [
        ("SPEC_NUM", Data::I(vec![1, 2])),
        ("CHANNEL", Data::VectorI(3, vec![1, 2, 3, 1, 2, 3])),
        ("COUNTS", Data::VectorI(3, vec![1, 2, 3, 4, 5, 6])),
    ];
    let path = folder.put("two.pha", &file(&[table("SPECTRUM", &[("EXPOSURE", "100.0")], &columns)]));
    let report = inspect(&path);
    assert_eq!((report.kind, report.spectra, report.counts, report.error), ("PHA2", Some(2), Some(21), None));
    let row = inspect(&folder.0.path().join("two.pha{2}"));
    assert_eq!((row.kind, row.counts, row.error), ("PHA", Some(15), None));
    let spec = |name: &str| ObservationSpec {
        spectrum: folder.0.path().join(name),
        response: Some(folder.put("r.rmf", &rmf(1, &[("TLMIN4", "1")]))),
        arf: FileChoice::None,
        ..ObservationSpec::default()
    };
    assert_eq!(load(&spec("two.pha{2}")).unwrap().counts, [4, 5, 6]);
    for (name, part) in [("two.pha", "{1}"), ("two.pha{0}", "rows 1 to 2"), ("two.pha{3}", "rows 1 to 2")] {
        let error = load(&spec(name)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn companions_are_found_beside_the_spectrum() {
    let folder = Folder::new();
    folder.put("r.rmf", &rmf(1, &[("TLMIN4", "1")]));
    folder.put("a.arf", &arf(1.0, &[1.0, 1.0, 1.0]));
    let with = |cards: &[(&str, &str)]| {
        let spectrum = folder.put("s.pha", &pha(1, &[1, 2, 3], cards));
        load(&ObservationSpec { spectrum, ..ObservationSpec::default() }).map_err(|e| e.to_string())
    };
    let both = [("RESPFILE", "'r.rmf'"), ("ANCRFILE", "'a.arf'")];
    assert_eq!(with(&both).unwrap().files.len(), 3);
    for (cards, part) in [
        (vec![("ANCRFILE", "'a.arf'")], "RESPFILE is blank"),
        (vec![("RESPFILE", "'gone.rmf'"), both[1]], "RESPFILE names 'gone.rmf'"),
        (vec![both[0], ("ANCRFILE", "'gone.arf'")], "ANCRFILE names 'gone.arf'"),
        (vec![both[0], ("ANCRFILE", "'none'")], "no effective area"),
        (vec![both[0], both[1], ("BACKFILE", "'gone.pha'")], "background = \"none\""),
        (vec![both[0], both[1], ("BACKFILE", "'s.pha'")], "background = \"none\""),
    ] {
        let error = with(&cards).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(with(&[both[0], both[1], ("BACKFILE", "' '")]).is_ok());
    assert!(with(&[both[0], both[1], ("BACKFILE", "'NONE'")]).is_ok());
    // Packed companions under their unpacked name.
    std::fs::remove_file(folder.0.path().join("r.rmf")).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, &rmf(1, &[("TLMIN4", "1")])).unwrap();
    folder.put("r.rmf.gz", &packer.finish().unwrap());
    assert!(with(&both).is_ok());
}

#[test]
fn channels_must_be_those_of_the_response() {
    let error = try_spectrum(&pha(0, &[1, 2, 3], &[])).unwrap_err();
    assert!(error.contains("channels 0 to 2") && error.contains("channels 1 to 3"), "{error}");
    // A spectrum of some of the channels is fine.
    assert_eq!(try_spectrum(&pha(2, &[1, 2], &[])).unwrap().bins[0].first_channel, 2);
}

#[test]
fn a_written_spectrum_is_read_back() {
    let folder = Folder::new();
    let path = folder.0.path().join("mock.pha");
    let counts = [4, 0, 9];
    let flags = [1, -1, 1];
    let mock = PhaFile {
        first_channel: 1,
        counts: &counts,
        exposure: 1234.5678901234,
        respfile: "r.rmf",
        grouping: Some(&flags),
        telescope: "Röntgen",
        history: vec!["made by a test".into(), "x".repeat(200)],
        ..PhaFile::default()
    };
    folder.put("r.rmf", &rmf(1, &[("TLMIN4", "1")]));
    write_pha(&path, &mock).unwrap();
    let report = inspect(&path);
    assert_eq!((report.kind, report.counts, report.groups, report.first_channel), ("PHA", Some(13), Some(2), Some(1)));
    let spec = ObservationSpec { spectrum: path.clone(), arf: FileChoice::None, ..ObservationSpec::default() };
    let d = load(&spec).unwrap();
    assert_eq!((d.counts.as_slice(), d.exposure), ([4, 9].as_slice(), 1234.5678901234));
    // Nothing but the target is left, and a failed write leaves nothing.
    write_pha(&path, &PhaFile { counts: &[7, 7, 7], grouping: None, ..mock.clone() }).unwrap();
    assert_eq!(load(&spec).unwrap().counts, [7, 7, 7]);
    assert!(write_pha(&path, &PhaFile { exposure: f64::NAN, ..mock.clone() }).is_err());
    assert!(write_pha(Path::new("/nonexistent/folder/x.pha"), &mock).is_err());
    let left: Vec<_> = std::fs::read_dir(folder.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_regrouped_copy_keeps_the_rest() {
    let source = super::data("xmm_pn_ngc7793_ulx4/PN_spectrum_grp20.fits");
    let folder = Folder::new();
    let target = folder.0.path().join("new.pha");
    let rmf = source.with_file_name("PN.rmf");
    let new = regroup(&source, Some(&rmf), &Grouping::MinCounts(50), &[[0.5, 10.0]]).unwrap();
    write_grouped_copy(&source, &target, &new.grouping, &new.quality).unwrap();
    let (before, after) = (inspect(&source), inspect(&target));
    assert_eq!((before.hdus, before.counts, before.exposure), (after.hdus, after.counts, after.exposure));
    let spec = ObservationSpec {
        spectrum: target,
        response: Some(rmf),
        arf: FileChoice::File(source.with_file_name("PN.arf")),
        background: FileChoice::None,
        energies: vec![[0.5, 10.0]],
        grouping: Grouping::File,
        ..ObservationSpec::default()
    };
    let d = load(&spec).unwrap();
    assert_eq!((d.bins.len(), d.total()), (new.groups, new.counts));
    assert!(d.counts.iter().all(|&c| c >= 50) && d.bins.len() > 50, "{}", d.bins.len());
    let direct = load(&ObservationSpec { spectrum: source, grouping: Grouping::MinCounts(50), ..spec }).unwrap();
    assert_eq!((direct.bins, direct.counts), (d.bins, d.counts));
}

#[test]
fn a_regrouped_copy_gets_the_columns_that_it_lacks() {
    let folder = Folder::new();
    let bare = folder.put("bare.pha", &pha(1, &[3, 3, 3, 3, 3], &[]));
    let grouped = folder.0.path().join("grouped.pha");
    let new = regroup(&bare, None, &Grouping::MinCounts(6), &[]).unwrap();
    assert_eq!(
        (new.grouping.as_slice(), new.quality.as_slice()),
        ([1, -1, 1, -1, 1].as_slice(), [0, 0, 0, 0, 2].as_slice())
    );
    write_grouped_copy(&bare, &grouped, &new.grouping, &new.quality).unwrap();
    let report = inspect(&grouped);
    assert_eq!((report.groups, report.bad_channels), (Some(3), Some(1)));
}
