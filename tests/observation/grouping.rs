//! Groupings: what they promise, for any spectrum; and the optimal one against the published formula and a file made by HEASoft.

use proptest::prelude::*;
use rontgen::observation::{
    FileChoice, FoldedResponse, Grouping, ObservationSpec, Response, Run,
    grouping::{Channels, flags, relative_width, runs},
    load,
};

#[test]
fn relative_width_follows_the_published_formula() {
    // Kaastra & Bleeker 2016: 1 below x = 2.119; values of their approximation worked out by hand.
    assert_eq!(relative_width(2.118), 1.0);
    assert_eq!(relative_width(f64::NEG_INFINITY), 1.0);
    for (x, y) in [(3.0, (0.08 + 7.0 / 3.0 + 0.2) / (1.0 + 5.9 / 3.0)), (10.0, 0.798 / 1.59)] {
        assert!((relative_width(x) - y).abs() < 1e-12, "{x}");
    }
    // Continuous to 0.1 % where the branches meet, and falling.
    assert!((relative_width(2.1191) - 1.0).abs() < 2e-3, "{}", relative_width(2.1191));
    assert!((22..300).all(|k| relative_width(f64::from(k + 1) / 10.0) < relative_width(f64::from(k) / 10.0)));
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn optimal_bins_resemble_those_of_heasoft() {
    let folder = super::data("nicer_4u1820");
    let spec = |grouping| ObservationSpec {
        spectrum: folder.join("pre_burst_spectrum_opt.pha"),
        response: Some(folder.join("nicer-rmf6s-teamonly-array50.rmf")),
        arf: FileChoice::File(folder.join("pre_burst_Tint200_raw.arf")),
        background: FileChoice::None,
        energies: vec![[0.3, 10.0]],
        grouping,
        ..ObservationSpec::default()
    };
    // The file was grouped by ftgrouppha with `opt` and its own (other) response, over the whole band.
    let theirs = load(&spec(Grouping::File)).unwrap();
    let ours = load(&spec(Grouping::Optimal)).unwrap();
    println!("{} bins in the file, {} of ours", theirs.bins.len(), ours.bins.len());
    assert!(ours.total() == load(&spec(Grouping::None)).unwrap().total());
    let ratio = ours.bins.len() as f64 / theirs.bins.len() as f64;
    assert!((0.8..1.25).contains(&ratio), "{} against {}", ours.bins.len(), theirs.bins.len());
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn fwhm_of_real_detectors() {
    let cases = [
        // EPIC-pn: read off the rows of the matrix by hand (21 and 40 channels of 5 eV above half maximum); SXS: 5 eV in the
        // mission's papers; X-IFU: 2.5 eV, its requirement.
        ("xmm_pn_ngc7793_ulx4/PN.rmf", 6.397, 0.198, 0.204),
        ("xmm_pn_ngc7793_ulx4/PN.rmf", 1.0, 0.102, 0.108),
        ("hitomi_sxs_perseus/ah100040030_sxs_cl2_HP_small.rmf", 6.4, 0.0045, 0.0055),
        ("xifu/athena_xifu_rmf_v20160401.rmf", 6.0, 0.0022, 0.0029),
    ];
    for (name, e, lo, hi) in cases {
        let r = Response::read(&super::data(name)).unwrap();
        let fwhm = r.fwhm();
        let i = r.e_min.partition_point(|&x| x < e);
        println!("{name}: {:.5} keV at {e}", fwhm[i]);
        assert!((lo..hi).contains(&fwhm[i]), "{name}: {} at {e} keV", fwhm[i]);
        assert!(fwhm.iter().all(|w| w.is_finite() && *w > 0.0));
    }
}

/// A spectrum of unit channels from 0 keV on.
#[derive(Debug, Clone)]
struct Mock {
    counts: Vec<u32>,
    quality: Vec<i32>,
    flags: Vec<i32>,
}

fn mocks() -> impl Strategy<Value = Mock> {
    prop::collection::vec(
        (0u32..30, prop_oneof![18 => Just(0), 1 => Just(1), 1 => Just(2)], prop_oneof![Just(1), Just(-1), Just(0)]),
        1..120,
    )
    .prop_map(|rows| Mock {
        counts: rows.iter().map(|r| r.0).collect(),
        quality: rows.iter().map(|r| r.1).collect(),
        flags: rows.iter().map(|r| r.2).collect(),
    })
}

fn groups_of(mock: &Mock, grouping: &Grouping, ranges: &[[f64; 2]]) -> Vec<std::ops::Range<usize>> {
    let n = mock.counts.len();
    let number: Vec<i64> = (0..n as i64).collect();
    let e_min: Vec<f64> = (0..n).map(|i| i as f64).collect();
    let e_max: Vec<f64> = (0..n).map(|i| i as f64 + 1.0).collect();
    let fwhm: Vec<f64> = (0..n).map(|i| 2.0 + i as f64 / 10.0).collect();
    let channels = Channels {
        number: &number,
        counts: &mock.counts,
        e_min: &e_min,
        e_max: &e_max,
        quality: &mock.quality,
        flags: &mock.flags,
    };
    channels.groups(grouping, ranges, &fwhm)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Groups ascend, do not overlap, hold no bad channel and stay inside one asked range.
    #[test]
    fn groups_are_sound(mock in mocks(), lo in 0.0f64..60.0, width in 0.5f64..80.0, minimum in 1u32..60) {
        let ranges = [[lo, lo + width], [lo + width + 3.0, lo + width + 9.0]];
        let all = [
            Grouping::File,
            Grouping::None,
            Grouping::MinCounts(minimum),
            Grouping::Optimal,
            Grouping::Widths(vec![(5.0, 20.0, 3), (20.0, 70.0, 7)]),
        ];
        for grouping in all {
            let groups = groups_of(&mock, &grouping, &ranges);
            let mut last = 0;
            for g in &groups {
                prop_assert!(g.start >= last && g.end > g.start);
                last = g.end;
                // Bad channels are left out, inside; a group begins and ends with a good one.
                prop_assert!(mock.quality[g.start] == 0 && mock.quality[g.end - 1] == 0);
                if !matches!(grouping, Grouping::File | Grouping::Widths(_)) {
                    prop_assert!(mock.quality[g.clone()].iter().all(|&q| q == 0));
                }
                prop_assert!(!mock.quality[g.clone()].contains(&2));
                prop_assert!(ranges.iter().any(|r| g.start as f64 >= r[0] - 1e-4 && g.end as f64 <= r[1] + 1e-4));
                if let Grouping::MinCounts(_) = grouping {
                    let sum: u32 = mock.counts[g.clone()].iter().sum();
                    prop_assert!(sum >= minimum);
                    // Closed as soon as it could be.
                    prop_assert!(sum - mock.counts[g.end - 1] < minimum);
                }
            }
            // No good channel inside a range is lost where groups are made here and nothing may be left over.
            if matches!(grouping, Grouping::None | Grouping::Optimal) {
                let kept: usize = groups.iter().map(ExactSizeIterator::len).sum();
                let good = (0..mock.counts.len())
                    .filter(|&i| mock.quality[i] == 0)
                    .filter(|&i| ranges.iter().any(|r| i as f64 >= r[0] && i as f64 + 1.0 <= r[1]))
                    .count();
                prop_assert_eq!(kept, good);
            }
        }
    }

    /// Runs cover every channel once, and flags made from runs give the runs back.
    #[test]
    fn flags_and_runs_are_inverse(mock in mocks()) {
        let all = runs(&mock.flags);
        prop_assert_eq!(all.iter().map(ExactSizeIterator::len).sum::<usize>(), mock.flags.len());
        prop_assert_eq!(runs(&flags(&all, mock.flags.len())), all);
    }

    /// However channels are grouped, the expected counts of a group are the sum of its channels'; nothing is lost, nothing counted twice.
    #[test]
    fn folding_conserves_counts(
        rows in prop::collection::vec((0u32..20, 1u32..12, 0.0f64..50.0), 1..30),
        cuts in prop::collection::vec(1usize..6, 1..32),
        flux in prop::collection::vec(0.0f64..3.0, 30),
    ) {
        const CHANNELS: usize = 32;
        let (mut list, mut values) = (Vec::new(), Vec::new());
        for (energy, &(channel, len, area)) in rows.iter().enumerate() {
            // Two overlapping groups in each row: elements must merge.
            for shift in [0u32, 3] {
                let first = channel + shift;
                let len = len.min(CHANNELS as u32 - first);
                list.push(Run { energy: energy as u32, channel: first, start: values.len(), len });
                values.extend((0..len).map(|k| if (k + energy as u32).is_multiple_of(4) { 0.0 } else { f64::from(k + 1) * area / 100.0 }));
            }
        }
        let n = rows.len();
        let response = Response {
            path: "mock".into(),
            edges: (0..=n).map(|j| 1.0 + j as f64).collect(),
            runs: list,
            values,
            channel: (0..CHANNELS as i64).collect(),
            e_min: (0..CHANNELS).map(|i| i as f64).collect(),
            e_max: (0..CHANNELS).map(|i| i as f64 + 1.0).collect(),
            includes_area: true,
            area: rows.iter().map(|r| r.2).collect(),
            ..Response::default()
        };
        let mut bin_of = vec![u32::MAX; CHANNELS];
        let (mut at, mut bins) = (0, 0);
        for cut in &cuts {
            for slot in bin_of.iter_mut().skip(at).take(*cut) {
                *slot = bins;
            }
            (at, bins) = (at + cut, bins + 1);
        }
        let mut expected = vec![0.0f64; bins as usize];
        for run in &response.runs {
            for (k, v) in response.values[run.start..run.start + run.len as usize].iter().enumerate() {
                let bin = bin_of[run.channel as usize + k];
                if bin != u32::MAX {
                    expected[bin as usize] += v * response.area[run.energy as usize] * 7.0 * flux[run.energy as usize];
                }
            }
        }
        match FoldedResponse::build(&response, &bin_of, &[1.0; CHANNELS], bins as usize, 7.0).unwrap() {
            None => prop_assert!(expected.iter().all(|&e| e == 0.0)),
            Some(folded) => {
                prop_assert_eq!(folded.bins(), bins as usize);
                let skip = response.edges.iter().position(|&e| e == folded.edges[0]).unwrap();
                let mu = folded.fold(&flux[skip..skip + folded.energies()]);
                for (m, e) in mu.iter().zip(&expected) {
                    prop_assert!((m - e).abs() <= 1e-6 * e.abs() + 1e-12, "{} against {}", m, e);
                }
                prop_assert!(folded.value.iter().all(|&v| v > 0.0));
                for w in folded.row_start.windows(2) {
                    let row = &folded.column[w[0] as usize..w[1] as usize];
                    prop_assert!(row.windows(2).all(|c| c[0] < c[1]));
                }
                // Trimmed at both ends: the first and the last energy are seen.
                let seen = |j: u32| folded.column.contains(&j);
                prop_assert!(seen(0) && seen(folded.energies() as u32 - 1));
            }
        }
    }
}
