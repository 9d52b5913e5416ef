//! Responses and spectra with slips of their writers: what changes nothing is told, what would change something is refused.

use super::cases::{Folder, plain, refused, right};
use super::common::fits::{Data, file, table};
use super::common::toy::{
    self, CHANNELS, ENERGIES, Rmf, all_but, area, arf, arf_with, counts, cstat, cstat_of, ebounds, expected, grid, pha,
    spectrum_hdu,
};
use rontgen::observation::{FileChoice, ObservationSpec, load};

#[test]
fn odd_channel_energies_are_told() {
    let folder = Folder::new();
    let with = |bounds: Vec<u8>| folder.with(&file(&[Rmf::default().table(), bounds]), Some(&arf()));
    let shifted = |upper: f64| {
        let limits = grid(CHANNELS);
        table(
            "EBOUNDS",
            &[],
            &[
                ("CHANNEL", Data::J((1..=CHANNELS as i32).collect())),
                ("E_MIN", Data::D(limits[..CHANNELS].to_vec())),
                ("E_MAX", Data::D(limits[1..].iter().map(|e| e + upper).collect())),
            ],
        )
    };
    right(with(shifted(-0.05)), plain(), "channels leave gaps in 39 places");
    right(with(shifted(0.05)), plain(), "channels overlap in 39 places");
    let doubled: Vec<f64> = grid(CHANNELS).iter().map(|e| 2.5 * e).collect();
    right(with(ebounds(&[], &doubled, 1.0, 1)), plain(), "EBOUNDS and MATRIX disagree");
    right(with(ebounds(&[("DETCHANS", "99")], &grid(CHANNELS), 1.0, 1)), plain(), "DETCHANS is 99, but EBOUNDS has 40");
    let both = file(&[Rmf::default().table(), ebounds(&[], &grid(CHANNELS), 1.0, 1), ebounds(&[], &doubled, 1.0, 1)]);
    right(folder.with(&both, Some(&arf())), plain(), "2 EBOUNDS extensions, and HDU 3 (EBOUNDS) has other energies");
    // Highest energy first, in the matrix as well.
    let rows: Vec<Vec<f64>> = toy::matrix().into_iter().map(|r| r.into_iter().rev().collect()).collect();
    let mut falling = grid(CHANNELS);
    falling.reverse();
    let bytes = file(&[Rmf { rows, ..Rmf::default() }.table(), {
        let (lo, hi) = (falling[1..].to_vec(), falling[..CHANNELS].to_vec());
        let columns =
            [("CHANNEL", Data::J((1..=CHANNELS as i32).collect())), ("E_MIN", Data::D(lo)), ("E_MAX", Data::D(hi))];
        table("EBOUNDS", &[], &columns)
    }]);
    folder.put("toy.rmf", &bytes);
    let reversed: Vec<i32> = counts().into_iter().rev().collect();
    let d = folder.spectrum(&file(&[spectrum_hdu(Data::J(reversed), &[], vec![])]));
    right(d, plain(), "channel energies descend");
    // A channel without width is no bin.
    let mut flat = grid(CHANNELS);
    flat[0] = flat[1];
    let d = with(ebounds(&[], &flat, 1.0, 1));
    right(d, cstat_of(&all_but(&[0])), "1 channels have no width");
}

#[test]
fn slips_that_change_nothing_are_told() {
    let folder = Folder::new();
    // CHANNEL of EBOUNDS is junk.
    let limits = grid(CHANNELS);
    let junk = |cards: &[(&str, &str)]| {
        let columns = [
            ("CHANNEL", Data::I((0..CHANNELS).map(|i| if i % 7 == 3 { -32768 } else { 0 }).collect())),
            ("E_MIN", Data::D(limits[..CHANNELS].to_vec())),
            ("E_MAX", Data::D(limits[1..].to_vec())),
        ];
        table("EBOUNDS", cards, &columns)
    };
    for bounds in [junk(&[]), junk(&[("TLMIN1", "1")])] {
        let bytes = file(&[Rmf::default().table(), bounds]);
        right(folder.with(&bytes, Some(&arf())), plain(), "its 40 rows are taken in order, from channel 1 on");
    }
    let unknown = file(&[Rmf::default().without("TLMIN4").table(), junk(&[])]);
    refused(folder.with(&unknown, Some(&arf())), "the first channel is unknown");

    // An energy row without width, in the matrix and in the area.
    let (mut edges, mut rows, mut wide) = (grid(ENERGIES), toy::matrix(), area());
    edges.insert(0, edges[0]);
    rows.insert(0, vec![0.25; CHANNELS]);
    wide.insert(0, 77.0);
    let flat = Rmf { edges: edges.clone(), rows, ..Rmf::default() }.file();
    right(folder.with(&flat, Some(&arf_with(&[], &edges, &wide, 1.0))), plain(), "1 energy rows have no width");
    right(folder.with(&flat, Some(&arf())), plain(), "");

    // Elements below zero within rounding; NaN where no asked channel sees it.
    let spoilt = |energy: usize, channel: usize, value: f64| {
        let mut rows = toy::matrix();
        rows[energy][channel] = value;
        folder.put("toy.rmf", &Rmf { rows, ..Rmf::default() }.file());
    };
    spoilt(30, 2, -1e-5);
    right(folder.spectrum(&pha(&[], vec![])), plain(), "1 elements are negative within rounding");
    for value in [f64::NAN, -0.5] {
        spoilt(0, 0, value);
        folder.put("s.pha", &pha(&[], vec![]));
        let spec = ObservationSpec { energies: vec![[3.05, 6.5]], ..folder.spec("s.pha") };
        let bins: Vec<Vec<usize>> = (17..CHANNELS).map(|i| vec![i]).collect();
        right(load(&spec).map_err(|e| e.to_string()), cstat_of(&bins), "1 elements are undefined or negative");
        refused(folder.load("s.pha"), "row 1: MATRIX holds");
    }
    // The area is zero there: nothing can come of it.
    let mut dark = area();
    dark[0] = 0.0;
    folder.put("toy.arf", &arf_with(&[], &grid(ENERGIES), &dark, 1.0));
    let n: Vec<f64> = counts().iter().map(|&k| f64::from(k)).collect();
    right(folder.load("s.pha"), cstat(&n, &expected(&toy::matrix(), &dark)), "elements are undefined");

    // One channel too many in a row.
    let folder = Folder::new();
    let mut rows = toy::matrix();
    rows[59].push(0.01);
    right(
        folder.with(&Rmf { rows, ..Rmf::default() }.file(), Some(&arf())),
        plain(),
        "1 rows are one channel too long",
    );
    // ... which is not the same as a numbering that is off by one.
    let lies = file(&[Rmf { first: 1, ..Rmf::default() }.with("TLMIN4", "0").table(), ebounds(&[], &limits, 1.0, 1)]);
    refused(folder.with(&lies, Some(&arf())), "lie outside the 40 channels from 0 on");
    // No TLMIN: EBOUNDS says where channels begin, although the first one is never used.
    let mut rows = toy::matrix();
    rows.iter_mut().for_each(|r| r[0] = 0.0);
    let unused = Rmf { rows, first: 0, ..Rmf::default() }.without("TLMIN4");
    folder.put("toy.rmf", &unused.file());
    let zero = |n: &[i32]| {
        let columns = vec![("CHANNEL", Data::J((0..CHANNELS as i32).collect())), ("COUNTS", Data::J(n.to_vec()))];
        let cards = [("EXPOSURE", "1000.0"), ("POISSERR", "T"), ("RESPFILE", "'toy.rmf'"), ("ANCRFILE", "'toy.arf'")];
        file(&[table("SPECTRUM", &cards, &columns)])
    };
    folder.put("s.pha", &zero(&counts()));
    let spec = ObservationSpec { energies: vec![[0.65, 6.5]], ..folder.spec("s.pha") };
    right(load(&spec).map_err(|e| e.to_string()), cstat_of(&all_but(&[0])), "the first channel is taken as 0");
}

#[test]
fn a_coarser_matrix_is_laid_on_the_finer_grid() {
    let folder = Folder::new();
    let fine = Rmf::default();
    // The second matrix: pairs of energies share a row, and it covers the upper half only.
    let full = toy::matrix();
    let coarse = Rmf {
        edges: (15..=30).map(|k| grid(ENERGIES)[2 * k]).collect(),
        rows: (15..30).map(|k| full[2 * k].iter().map(|v| 0.25 * v).collect()).collect(),
        ..Rmf::default()
    };
    let limits = || ebounds(&[], &grid(CHANNELS), 1.0, 1);
    let mut sum = full.clone();
    for (j, row) in sum.iter_mut().enumerate().skip(30) {
        let k = j / 2 * 2;
        (0..CHANNELS).for_each(|c| row[c] += 0.25 * full[k][c]);
    }
    let n: Vec<f64> = counts().iter().map(|&k| f64::from(k)).collect();
    let value = cstat(&n, &expected(&sum, &area()));
    for tables in [[fine.table(), coarse.table()], [coarse.table(), fine.table()]] {
        let bytes = file(&[tables[0].clone(), tables[1].clone(), limits()]);
        right(folder.with(&bytes, Some(&arf())), value, "the coarser one is laid on the finer grid");
    }
    let mut off = coarse;
    off.edges[3] += 0.04;
    refused(folder.with(&file(&[fine.table(), off.table(), limits()]), Some(&arf())), "neither refines the other");
}

#[test]
fn bad_channels_may_hold_anything() {
    let folder = Folder::new();
    let quality = |i: usize| Data::I((0..CHANNELS).map(|k| i16::from(k == i)).collect());
    let value = cstat_of(&all_but(&[7]));
    for junk in [f64::NAN, -3.0, 2.5, 1e12] {
        let mut n: Vec<f64> = counts().iter().map(|&k| f64::from(k)).collect();
        n[7] = junk;
        let bytes = |bad| file(&[spectrum_hdu(Data::D(n.clone()), &[], vec![("QUALITY", quality(bad))])]);
        right(folder.spectrum(&bytes(7)), value, "in 1 channels that are bad (QUALITY) anyway");
        refused(folder.spectrum(&bytes(8)), "in row 8");
    }
    // NULL of an integer column.
    let mut n = counts();
    n[7] = -999;
    let null = |bad| file(&[spectrum_hdu(Data::J(n.clone()), &[("TNULL2", "-999")], vec![("QUALITY", quality(bad))])]);
    right(folder.spectrum(&null(7)), value, "anyway");
    refused(folder.spectrum(&null(8)), "NULL");
    let scale = |at: usize| Data::E((0..CHANNELS).map(|i| if i == at { 0.0 } else { 1.0 }).collect());
    right(
        folder.spectrum(&pha(&[], vec![("QUALITY", quality(7)), ("AREASCAL", scale(7))])),
        value,
        "AREASCAL is not a positive",
    );
    refused(
        folder.spectrum(&pha(&[], vec![("QUALITY", quality(7)), ("AREASCAL", scale(9))])),
        "AREASCAL is 0 in row 10",
    );
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn junk_in_a_real_response_is_told() {
    let rmf = super::data("background/9774.rmf.gz");
    let spec = ObservationSpec {
        spectrum: rmf.with_file_name("9774.pi"),
        background: FileChoice::None,
        energies: vec![[0.5, 7.0]],
        ..ObservationSpec::default()
    };
    let d = load(&spec).unwrap();
    assert!(d.warnings.iter().any(|w| w.contains("its 1024 rows are taken in order")), "{:?}", d.warnings);
    // The energies are those of the rows: 14.6 eV a channel from 0 on.
    let bin = &d.bins[10];
    assert!((bin.e_min - 0.0146 * (bin.first_channel - 1) as f64).abs() < 1e-5, "{bin:?}");
}
