//! No file makes the program panic: every file of the collection, and damaged copies of them.

use crate::common;

use std::path::{Path, PathBuf};

use common::data;
use rontgen::fits::FitsFile;
use rontgen::model::{Model, Settings};
use rontgen::observation::{Area, FileChoice, Grouping, ObservationSpec, Response, inspect, load};

fn files_below(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files_below(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// Uses a file in every role it could be given, and checks that it is analysed or refused with a message that names it.
fn use_everywhere(path: &Path) -> usize {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut refusals = 0;
    let mut told = |what: &str, error: Option<String>| {
        if let Some(error) = error {
            refusals += 1;
            assert!(error.contains(&name) && error.len() > name.len() + 10, "{what} {name}: '{error}' says too little");
        }
    };
    let report = inspect(path);
    told("inspect", report.error);
    told("response", Response::read(path).err().map(|e| e.to_string()));
    told("area", Area::read(path).err().map(|e| e.to_string()));
    let spec = |response: &Path, arf: FileChoice| ObservationSpec {
        spectrum: path.to_path_buf(),
        response: Some(response.to_path_buf()),
        arf,
        background: FileChoice::None,
        energies: vec![[0.5, 8.0]],
        grouping: Grouping::File,
        ..ObservationSpec::default()
    };
    let as_table = format!("atable{{{}}}", path.display());
    told("table", Model::parse(&as_table, &Settings::default()).err().map(|e| e.to_string()));
    told("load", load(&spec(path, FileChoice::Keyword)).err().map(|e| e.to_string()));
    told("load", load(&spec(path, FileChoice::File(path.to_path_buf()))).err().map(|e| e.to_string()));
    refusals
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn every_file_is_described_or_refused() {
    let mut files = Vec::new();
    files_below(data("README.md").parent().unwrap(), &mut files);
    let mut counts = std::collections::BTreeMap::new();
    for path in &files {
        // The plasma tables hold a hundred HDUs each; one look is enough for them.
        let large = path.to_string_lossy().contains("apec_v3");
        if large {
            let report = inspect(path);
            assert_eq!((report.kind, report.error), ("OTHER", None));
            *counts.entry("OTHER").or_insert(0) += 1;
            continue;
        }
        use_everywhere(path);
        let report = inspect(path);
        *counts.entry(if report.error.is_some() { "refused" } else { report.kind }).or_insert(0) += 1;
    }
    println!("{counts:?}");
    for (kind, number) in [("PHA", 30), ("PHA2", 7), ("RMF", 18), ("RSP", 3), ("ARF", 24), ("TABLE", 10), ("OTHER", 5)]
    {
        assert_eq!(counts.get(kind), Some(&number), "{kind}: {counts:?}");
    }
    let refused = |p: &&PathBuf| inspect(p).error.is_some();
    for path in files.iter().filter(|p| !p.to_string_lossy().contains("apec_v3")).filter(refused) {
        let extension = path.file_name().unwrap().to_string_lossy().trim_end_matches(".gz").to_string();
        let text = [".csv", ".json", ".md", ".dat"].iter().any(|e| extension.ends_with(e));
        assert!(text, "{} is refused: {:?}", path.display(), inspect(path).error);
    }
}

fn next(state: &mut u64) -> usize {
    // splitmix64: the damage must be the same on every machine.
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as usize
}

const SMALL: [&str; 7] = [
    "chandra_3c273/3c273.pi",
    "chandra_3c273/3c273.rmf",
    "chandra_3c273/3c273.arf",
    "nicer_4u1820/b_008_0.25s_raw_opt.pha",
    "chandra_hetg_3c120/3c120_meg_1.pha.gz",
    "table_models/xspec-tablemodel-RCS.mod",
    "table_models/xspec_table_models/smod000.tmod",
];

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn truncated_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in SMALL {
        let source = data(name);
        let bytes = std::fs::read(&source).unwrap();
        let target = folder.path().join(source.file_name().unwrap());
        let mut cuts: Vec<usize> = (0..40).map(|k| bytes.len() * k / 40).collect();
        cuts.extend([1, 2, 79, 80, 81, 2879, 2880, 2881, 5760, bytes.len() - 1]);
        for cut in cuts {
            std::fs::write(&target, &bytes[..cut.min(bytes.len())]).unwrap();
            use_everywhere(&target);
            // Nothing that lost a whole block of data may pass as whole.
            if cut + 2880 < bytes.len() && cut > 2880 {
                let report = inspect(&target);
                assert!(
                    report.error.is_some()
                        || report.kind == "OTHER"
                        || report.hdus.len() < FitsFile::open(&source).unwrap().hdus().len(),
                    "{name} cut at {cut} passes"
                );
            }
        }
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn damaged_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 7;
    let (mut passed, mut refused) = (0, 0);
    for name in SMALL {
        let source = data(name);
        let whole = FitsFile::open(&source).map(|_| std::fs::read(&source).unwrap()).unwrap();
        let target = folder.path().join(source.file_name().unwrap());
        for round in 0..120 {
            let mut bytes = whole.clone();
            // Half of the damage goes into the first headers, where it does most harm.
            let reach = if round % 2 == 0 { bytes.len().min(12_000) } else { bytes.len() };
            for _ in 0..1 + round % 6 {
                let at = next(&mut state) % reach;
                bytes[at] = match next(&mut state) % 3 {
                    0 => next(&mut state) as u8,
                    1 => b'0' + (next(&mut state) % 10) as u8,
                    _ => bytes[at] ^ (1 << (next(&mut state) % 8)),
                };
            }
            std::fs::write(&target, &bytes).unwrap();
            if use_everywhere(&target) >= 5 { refused += 1 } else { passed += 1 }
        }
    }
    println!("{passed} still usable in some role, {refused} refused in all");
}

#[test]
fn what_is_no_fits_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut gz = vec![0x1f, 0x8b, 8, 0];
    gz.extend((0..5000u32).map(|i| ((i * 7919) >> 3) as u8));
    let mut absurd = Vec::new();
    for card in [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        "NAXIS1  =  9223372036854775807",
        "NAXIS2  =  9223372036854775807",
        "END",
    ] {
        absurd.extend(format!("{card:<80}").into_bytes());
    }
    absurd.resize(2880, b' ');
    let mut endless = b"SIMPLE  =                    T".to_vec();
    endless.resize(2880 * 3, b' ');
    for (name, bytes) in [
        ("empty.pha", Vec::new()),
        ("text.pha", b"SIMPLE, but no FITS file\n".repeat(500)),
        ("page.rmf", b"<html>404</html>".to_vec()),
        ("noise.pha.gz", gz),
        ("absurd.pha", absurd),
        ("endless.pha", endless),
        ("zeros.pha", vec![0; 28800]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert!(use_everywhere(&path) >= 5, "{name}");
    }
    let missing = folder.path().join("missing.pha");
    assert!(inspect(&missing).error.unwrap().contains("no such file"));
    assert!(inspect(folder.path()).error.is_some());
}
