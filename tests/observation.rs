//! Spectra, responses and their product against the facts of the data collection and independent software.

mod common;

use std::path::{Path, PathBuf};

use common::data;
use rontgen::observation::{
    Area, Dataset, FileChoice, Grouping, ObservationSpec, PhaFile, Response, demo_instrument, inspect, load,
    load_response, write_grouped_copy, write_pha,
};

fn pn(folder: &Path, grouping: Grouping, energies: Vec<[f64; 2]>) -> ObservationSpec {
    ObservationSpec {
        spectrum: folder.join("PN_spectrum_grp20.fits"),
        response: Some(folder.join("PN.rmf")),
        arf: FileChoice::File(folder.join("PN.arf")),
        background: FileChoice::None,
        energies,
        grouping,
    }
}

#[test]
fn pn_has_104_bins_and_10131_counts() {
    let Some(folder) = data("xmm_pn_ngc7793_ulx4") else { return };
    let d = load(&pn(&folder, Grouping::File, vec![[0.5, 10.0]])).unwrap();
    assert_eq!((d.bins.len(), d.total()), (104, 10131));
    assert!((d.exposure - 20265.98058616).abs() < 1e-6);
    assert!((d.bins[0].e_min - 0.521548).abs() < 1e-6, "{}", d.bins[0].e_min);
    assert!((d.bins[103].e_max - 9.145).abs() < 1e-3, "{}", d.bins[103].e_max);
    println!("{} energies, nnz {}, warnings {:#?}", d.folded.energies(), d.folded.nnz(), d.warnings);
}
