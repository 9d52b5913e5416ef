//! The documents of a picture and the numbers beside it: PDF that every reader opens, tables that are what is drawn, several data sets told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use rontgen::report::ReportData;
use rontgen::report::plots::{Plots, canvas, spectrum, together, unfolded, unfolding};
use rontgen::report::tables::*;
use rontgen::result::{ObservationSummary, Residuals, SetPictures};

use super::{example, unfolded as model_of};
use crate::common::runs;

/// The objects of a PDF document by their numbers, after its header, table of objects and trailer have been found to say where these are.
fn objects(pdf: &[u8]) -> BTreeMap<usize, Vec<u8>> {
    assert!(pdf.starts_with(b"%PDF-1.") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
    let find = |from: usize, what: &[u8]| pdf[from..].windows(what.len()).position(|w| w == what).map(|at| from + at);
    let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&pdf[range]).into_owned();
    let start = pdf.windows(9).rposition(|w| w == b"startxref").expect("startxref");
    let table: usize = text(start + 9..pdf.len()).split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(&pdf[table..table + 4], b"xref");
    let trailer = find(table, b"trailer").expect("trailer");
    let mut lines = text(table + 4..trailer).lines().map(|l| l.trim().to_string()).collect::<Vec<_>>().into_iter();
    let head = lines.find(|line| !line.is_empty()).unwrap();
    let (first, count) = head.split_once(' ').unwrap();
    let (first, count): (usize, usize) = (first.parse().unwrap(), count.parse().unwrap());
    assert!(first == 0 && text(trailer..start).contains(&format!("/Size {count}")));
    let mut found = BTreeMap::new();
    for (number, line) in lines.filter(|line| !line.is_empty()).enumerate() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields[2] == "f" {
            continue;
        }
        let at: usize = fields[0].parse().unwrap();
        let opening = format!("{number} 0 obj");
        assert_eq!(text(at..at + opening.len()), opening, "where the table says that it is");
        let end = find(at, b"endobj").expect("endobj");
        found.insert(number, pdf[at + opening.len()..end].to_vec());
    }
    assert_eq!(found.len(), count - 1);
    found
}

/// The drawing operators of a document's only page.
fn content(pdf: &[u8]) -> String {
    let objects = objects(pdf);
    let of_type = |kind: &str| -> Vec<String> {
        let texts = objects.values().map(|o| String::from_utf8_lossy(o).into_owned());
        texts.filter(|o| o.contains(&format!("/Type /{kind}\n")) || o.contains(&format!("/Type /{kind}>"))).collect()
    };
    assert_eq!((of_type("Catalog").len(), of_type("Pages").len(), of_type("Page").len()), (1, 1, 1));
    assert!(of_type("Pages")[0].contains("/Count 1"));
    let streams: Vec<Vec<u8>> = objects
        .values()
        .filter_map(|o| {
            let at = o.windows(7).position(|w| w == b"stream\n")?;
            let dictionary = String::from_utf8_lossy(&o[..at]).into_owned();
            let length = dictionary.split("/Length ").nth(1).unwrap();
            let length: usize = length.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            assert!(dictionary.contains("/FlateDecode") && o[at + 7 + length..].starts_with(b"\nendstream"));
            Some(o[at + 7..at + 7 + length].to_vec())
        })
        .collect();
    assert_eq!(streams.len(), 1);
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(streams[0].as_slice()).read_to_end(&mut text).unwrap();
    text.iter().map(|&byte| char::from(byte)).collect()
}

/// A run of three data sets, the first two with background and components; the last one's bins are many.
fn joint() -> ReportData {
    let mut data = example();
    let mut own = data.spectrum.take().unwrap();
    let n = own.rows.len();
    own.background = (0..n).map(|i| background(3.0 + (i % 5) as f64, 0.25)).collect();
    own.source = own.rows.iter().zip(&own.background).map(|(r, b)| r.median - b.expected).collect();
    let part = |share: f64| own.source.iter().map(|s| share * s).collect::<Vec<f64>>();
    let expected = own.background.iter().map(|b| b.expected).collect();
    own.components =
        vec![("bbodyrad".into(), part(0.4)), ("powerlaw".into(), part(0.6)), ("background".into(), expected)];
    own.best = own.rows.iter().map(|r| r.median).collect();
    let mut model = model_of(&own.rows);
    let share = |share: f64| model.rows.iter().map(|r| share * r.median).collect::<Vec<f64>>();
    model.components = vec![("bbodyrad".into(), share(0.4)), ("powerlaw".into(), share(0.6))];
    let many: Vec<SpectrumRow> = (0..3000).map(|i| narrow(0.5 + 0.002 * f64::from(i))).collect();
    let fine = SpectrumTable { exposure: 500.0, rows: many.clone(), ..Default::default() };
    let names = ["pn", "mos, one", "rgs"];
    data.summary.observations =
        names.map(|name| ObservationSummary { name: name.into(), ..Default::default() }).to_vec();
    data.further = vec![
        SetPictures { name: names[1].into(), spectrum: own.clone(), unfolded: Some(model.clone()) },
        SetPictures { name: names[2].into(), spectrum: fine, unfolded: Some(model_of(&many)) },
    ];
    (data.spectrum, data.unfolded) = (Some(own), Some(model));
    data
}

fn background(counts: f64, scale: f64) -> BackgroundRow {
    BackgroundRow { counts, error: None, scale, expected: 1.0 }
}

fn narrow(e_min: f64) -> SpectrumRow {
    let counts = (20.0 + 10.0 * (40.0 * e_min).sin()).round();
    SpectrumRow {
        e_min,
        e_max: e_min + 0.002,
        counts,
        error: None,
        q025: 18.0,
        q16: 19.0,
        median: 20.0,
        q84: 21.0,
        q975: 22.0,
    }
}

/// A table of `plots/`: its columns by name, of the rows of one data set where it has several.
fn columns(path: &Path, set: Option<&str>) -> BTreeMap<String, Vec<f64>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    assert_eq!(header.iter().collect::<BTreeSet<_>>().len(), header.len(), "names of their own: {header:?}");
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for record in reader.records().map(Result::unwrap) {
        if set.is_some_and(|set| &record[0] != set) {
            continue;
        }
        for (name, value) in header.iter().zip(&record).skip(usize::from(set.is_some())).filter(|(_, v)| !v.is_empty())
        {
            all.entry(name.clone()).or_default().push(value.parse().unwrap());
        }
    }
    all
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1e-12)
}

#[test]
fn every_plot_is_a_pdf_of_one_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = joint();
    data.write_folder(folder.path()).unwrap();
    data.write_report(folder.path()).unwrap();
    let plots = folder.path().join("plots");
    let mut names: Vec<String> = std::fs::read_dir(&plots)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".svg").map(str::to_string))
        .collect();
    names.sort();
    let expected = ["corner", "coverage", "efficiency", "losses", "rounds", "spectra", "spectrum", "spectrum-mos__one"];
    let rest = ["spectrum-rgs", "unfolded", "unfolded-mos__one", "unfolded-rgs", "unfolded_spectra"];
    assert_eq!(names, [&expected[..], &rest[..]].concat());
    for name in &names {
        let pdf = std::fs::read(plots.join(format!("{name}.pdf"))).unwrap();
        let drawn = content(&pdf);
        assert!(drawn.contains(" re\n") || drawn.contains(" l\n"), "{name}");
        assert!(drawn.contains("Tj") && !drawn.contains("inf") && !drawn.contains("NaN"), "{name}");
    }
}

#[test]
fn the_pdf_is_the_picture_of_the_svg() {
    let picture = canvas::draw(200.0, 100.0, "A < label", |c| {
        let ink = canvas::POSTERIOR;
        c.line(&[(10.0, 20.0), (190.0, 20.0)], ink, 1.5);
        c.dashes(&[(10.0, 30.0), (190.0, 30.0)], ink.opacity(0.5), 1.0, 7.0, 3.0);
        c.polygon(&[(10.0, 90.0), (50.0, 90.0), (30.0, 60.0)], ink);
        c.line(&[(f64::NAN, 1.0), (2.0, 2.0)], ink, 1.0);
        let how = canvas::Lettering::new(10.0, canvas::TEXT, canvas::Align::Middle);
        c.text((100.0, 50.0), "cm⁻² (σ)", how);
    });
    let pdf = picture.pdf();
    assert_eq!(pdf, picture.clone().pdf(), "the same bytes");
    let whole: String = pdf.iter().map(|&byte| char::from(byte)).collect();
    // A pixel is 0.75 points; nothing says when it was made.
    assert!(whole.contains("/MediaBox [0 0 150 75]") && whole.contains("/BaseFont /Symbol"), "{whole}");
    assert!(whole.contains("A < label") && !whole.contains("Date"));
    let drawn = content(&pdf);
    for operators in
        ["0.75 0 0 -0.75 0 75 cm", "10 20 m\n190 20 l\nS", "[7 3] 0 d", "/A500 gs", "10 90 m\n50 90 l\n30 60 l\nh\nf"]
    {
        assert!(drawn.contains(operators), "{operators} in {drawn}");
    }
    // Letters in Helvetica, the minus and the sigma in Symbol, the exponent above the line.
    for operators in ["/F1 10 Tf", "(cm) Tj", "/F3 6.8 Tf\n3.6 Ts\n(-) Tj", "(2) Tj", "/F3 10 Tf\n0 Ts\n(s) Tj"] {
        assert!(drawn.contains(operators), "{operators} in {drawn}");
    }
    // (2 x 0.556 + 2 x 0.333 + 0.278 + 0.603 + 0.68 (0.549 + 0.556) - 0.056 for c) of ten pixels, half of it left of the middle.
    let width = 10.0 * (0.5 + 0.833 + 0.68 * (0.549 + 0.556) + 0.278 + 0.333 + 0.603 + 0.333);
    let start: f64 = drawn.split(" Tm").next().unwrap().split_whitespace().rev().nth(1).unwrap().parse().unwrap();
    assert!((start - (100.0 - 0.5 * width)).abs() < 0.01, "{start}");
}

#[test]
fn a_corner_plot_is_contours_and_not_draws() {
    let plots = Plots::draw(&example());
    let of = |data: &ReportData| Plots::draw(data).corner.unwrap().pdf().len();
    let mut many = example();
    many.posterior.values = many.posterior.values.repeat(20);
    assert!(plots.corner.as_ref().unwrap().pdf().len() < 30_000);
    assert!(of(&many) < 2 * of(&example()));
}

#[test]
fn the_table_of_a_folded_plot_is_what_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let data = joint();
    data.write_report(folder.path()).unwrap();
    let table = data.spectrum.as_ref().unwrap();
    let plotted = columns(&folder.path().join("plots/spectrum.csv"), None);
    let of = |name: &str| &plotted[name];
    let unit = "[counts/s/keV]";
    for (i, r) in table.rows.iter().enumerate() {
        let per = 1.0 / (table.exposure * (r.e_max - r.e_min));
        let (rate, model) = (of(&format!("rate {unit}"))[i], of(&format!("model_median {unit}"))[i]);
        assert!(near(rate, r.counts * per) && near(model, r.median * per), "bin {i}");
        assert!(near(of("ratio")[i], rate / model) && near(of("ratio")[i], r.counts / r.median));
        assert!(near(of("delta [sigma]")[i], (r.counts - r.median) / r.median.sqrt()));
        let b = table.background[i];
        assert!(near(of(&format!("background {unit}"))[i], b.counts * b.scale * per), "B x scale");
        let parts = ["bbodyrad", "powerlaw", "background"].map(|name| of(&format!("component_{name} {unit}"))[i]);
        assert!(near(parts.iter().sum(), model), "components make up the model");
    }
    // Thousands of bins are drawn as fewer, and that is said; nothing is lost in between.
    let fine = columns(&folder.path().join("plots/spectrum-rgs.csv"), None);
    let counts: f64 = data.further[1].spectrum.rows.iter().map(|r| r.counts).sum();
    assert!(fine["counts"].len() < 270 && near(fine["counts"].iter().sum(), counts));
    assert!(Plots::draw(&data).further[1].1.as_ref().unwrap().contains("(3000 bins, drawn as"));
    assert!(!fine.contains_key(&format!("background {unit}")), "there is none");
    // All together: the same numbers for the sets that need no fewer bins.
    let all = columns(&folder.path().join("plots/spectra.csv"), Some("mos, one"));
    let one = columns(&folder.path().join("plots/spectrum-mos__one.csv"), None);
    assert_eq!(all, one);
}

#[test]
fn bins_of_a_background_are_added_with_their_scales() {
    let mut table = joint().further[1].spectrum.clone();
    table.background = (0..3000).map(|i| background(f64::from(i % 4), 0.1 + 1e-4 * f64::from(i))).collect();
    table.source = table.rows.iter().map(|r| r.median - 1.0).collect();
    let drawn = rontgen::report::plots::binning::points(&table);
    let scaled = |rows: &[BackgroundRow]| rows.iter().map(|b| b.counts * b.scale).sum::<f64>();
    assert!(drawn.rows.len() < 270 && drawn.background.len() == drawn.rows.len());
    assert!(near(scaled(&drawn.background), scaled(&table.background)));
    assert!(near(drawn.background.iter().map(|b| b.expected).sum(), 3000.0));
    assert!(near(drawn.source.iter().sum(), table.source.iter().sum()));
    // Gaussian errors add in quadrature.
    table.background.iter_mut().for_each(|b| b.error = Some(2.0));
    let drawn = rontgen::report::plots::binning::points(&table);
    let variance = |rows: &[BackgroundRow]| rows.iter().map(|b| (b.scale * b.error.unwrap()).powi(2)).sum::<f64>();
    assert!(near(variance(&drawn.background), variance(&table.background)));
}

#[test]
fn data_are_taken_back_without_the_background() {
    let data = joint();
    let (table, model) = (data.spectrum.as_ref().unwrap(), data.unfolded.as_ref().unwrap());
    let points = unfolding::taken_back(table, &model.rows);
    assert_eq!(points.len(), table.rows.len());
    for (p, ((r, m), b)) in points.iter().zip(table.rows.iter().zip(&model.rows).zip(&table.background)) {
        let net = r.counts - b.scale * b.counts;
        // XSPEC's eeufspec: data x unfolded model / folded model.
        assert!(near(p.value, net * m.median / (r.median - b.expected)) && near(p.net, net));
        assert!(p.low < p.value && p.value < p.high);
    }
    // A statistic that does not know of the background leaves it in the data; what a named model adds is taken off in any case.
    let mut other = table.clone();
    other.background.iter_mut().for_each(|b| b.expected = 0.0);
    other.source = table.rows.iter().map(|r| 0.8 * r.median).collect();
    for (p, (r, m)) in unfolding::taken_back(&other, &model.rows).iter().zip(table.rows.iter().zip(&model.rows)) {
        assert!(near(p.net, r.counts - 0.2 * r.median) && near(p.value, p.net * m.median / (0.8 * r.median)));
    }
    let folder = tempfile::tempdir().unwrap();
    data.write_report(folder.path()).unwrap();
    let plotted = columns(&folder.path().join("plots/unfolded.csv"), None);
    let unit = "[keV2 photons/cm2/s/keV]";
    let points = unfolding::taken_back(&rontgen::report::plots::binning::significant(table, 1), &model.rows);
    assert!(points.len() > 20 && points.len() == plotted["net [counts]"].len());
    for (i, p) in points.iter().enumerate() {
        let of = |name: &str| plotted[&format!("{name} {unit}")][i];
        assert!(near(of("eedata"), p.value) && near(of("eemodel_median"), p.model));
        assert!(near(
            of("eedata") / of("eemodel_median"),
            plotted["net [counts]"][i] / plotted["folded_model [counts]"][i]
        ));
        assert!(near(of("component_bbodyrad") + of("component_powerlaw"), of("eemodel_median")));
        // keV in erg.
        assert!((plotted["eedata [erg/cm2/s]"][i] / of("eedata") / 1.602_176_634e-9 - 1.0).abs() < 1e-12);
    }
}

#[test]
fn unfolded_points_are_expected_to_stand_out_of_the_noise() {
    let mut table = joint().spectrum.unwrap();
    // Faint above 4.5 keV: one count of the source among nine of the background, whatever was observed there.
    for (i, r) in table.rows.iter_mut().enumerate().skip(20) {
        (r.median, r.counts) = (10.0, f64::from(5 + (i as u32 * 7) % 11));
    }
    table.background.iter_mut().skip(20).for_each(|b| (b.expected, b.counts, b.scale) = (9.0, 36.0, 0.25));
    table.source = table.rows.iter().zip(&table.background).map(|(r, b)| r.median - b.expected).collect();
    let drawn = rontgen::report::plots::binning::significant(&table, 1);
    // 40 bins: at most four are added up.
    let wide: Vec<f64> = drawn.rows.iter().skip(20).map(|r| r.e_max - r.e_min).collect();
    assert_eq!((drawn.rows.len(), wide.len()), (25, 5));
    assert!(drawn.rows.iter().take(20).zip(&table.rows).all(|(drawn, own)| drawn == own));
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    assert!(near(sum(&drawn.source), sum(&table.source)));
    // The same bins for other observed counts: what fluctuates upwards is not cut out.
    table.rows.iter_mut().skip(20).for_each(|r| r.counts = 10.0);
    let other = rontgen::report::plots::binning::significant(&table, 1);
    assert!(other.rows.iter().zip(&drawn.rows).all(|(a, b)| (a.e_min, a.e_max) == (b.e_min, b.e_max)));
}

#[test]
fn several_data_sets_have_colours_and_marks_of_their_own() {
    let data = joint();
    let plots = Plots::draw(&data);
    for picture in [plots.spectra.as_ref().unwrap(), plots.unfolded_spectra.as_ref().unwrap()] {
        for (k, name) in ["pn", "mos, one", "rgs"].iter().enumerate() {
            let ink = canvas::set_style(k).0;
            let colour = format!("#{:02X}{:02X}{:02X}", ink.0, ink.1, ink.2);
            assert!(picture.contains(&colour) && picture.contains(*name), "{name} in {colour}");
        }
    }
    let styles: Vec<_> = (0..42).map(canvas::set_style).collect();
    for (k, style) in styles.iter().enumerate() {
        assert!(!styles[..k].contains(style), "{k} is drawn as an earlier one");
    }
    // In grey the first six have marks of their own.
    assert!((0..6).all(|k| (0..k).all(|j| styles[j].1 != styles[k].1)));
    // One data set needs no picture of all.
    let one = Plots::draw(&example());
    assert!(one.spectra.is_none() && one.unfolded_spectra.is_none());
    assert!(together::together(&[], Residuals::Delta).is_none() && unfolded::together(&[]).is_none());
    // A background spectrum that is a data set has another model: it is no part of the unfolded ones.
    let mut modelled = joint();
    modelled.summary.observations[2].name = "pn background".into();
    modelled.further[1].name = "pn background".into();
    let plots = Plots::draw(&modelled);
    assert!(plots.spectra.unwrap().contains("pn background"));
    assert!(!plots.unfolded_spectra.unwrap().contains("pn background"));
}

#[test]
fn components_are_dashed_and_the_background_is_shown() {
    let data = joint();
    let table = data.spectrum.as_ref().unwrap();
    let picture = spectrum::spectrum(table, Residuals::Delta).unwrap();
    for words in ["bbodyrad, at the best fit", "background, as expected", "observed background, scaled", "data / model"]
    {
        assert!(picture.contains(words), "{words}");
    }
    let drawn = content(&picture.pdf());
    let patterns = [0, 1, 2].map(|k| canvas::part_style(k).1);
    for (on, off) in patterns {
        assert!(drawn.contains(&format!("[{on} {off}] 0 d")), "{on} {off}");
    }
    let page = rontgen::report::html::html(&data, &Plots::draw(&data));
    assert!(page.contains("Grey: the background spectrum, scaled") && page.contains("less those of the background"));
}

#[test]
fn a_report_made_again_has_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = joint();
    data.write_folder(folder.path()).unwrap();
    let files = |folder: &Path| -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(folder.join("plots")).unwrap().map(Result::unwrap);
        entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
    };
    data.write_report(folder.path()).unwrap();
    let first = files(folder.path());
    // From the files alone: what is needed of the data is in them.
    let back = ReportData::from_folder(folder.path()).unwrap();
    assert_eq!((&back.spectrum, &back.further), (&data.spectrum, &data.further));
    back.write_report(folder.path()).unwrap();
    let again = files(folder.path());
    let differing: Vec<&String> = first.keys().filter(|name| again.get(*name) != first.get(*name)).collect();
    assert!(differing.is_empty() && first.len() == again.len(), "{differing:?}");
}

/// `rontgen infer` of an example with small settings; the exit status says what is thought of so short a run.
fn run_example(example: &str, data: &str, out: &Path) {
    let mut command = runs::rontgen();
    command.arg("infer").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example));
    command.arg("--data").arg(crate::common::data(data)).args(["--device", "cpu", "--out"]).arg(out);
    let output = command.args(runs::small(&["output.tension=false"])).output().unwrap();
    assert!([Some(0), Some(4)].contains(&output.status.code()), "{}", runs::stderr(&output));
}

/// The components of a data set's table are all that is expected of its best sample, and its background is drawn times its scale.
fn adds_up(folder: &Path, set: &str, components: &[&str]) {
    let of_set = |name: &str| if set.is_empty() { format!("{name}.csv") } else { format!("{name}-{set}.csv") };
    let table = columns(&folder.join(of_set("spectrum")), None);
    let found: BTreeSet<&str> = table.keys().filter_map(|name| name.strip_prefix("component_")).collect();
    assert_eq!(found, components.iter().copied().collect(), "{set}");
    for (i, best) in table["expected_best"].iter().enumerate() {
        let sum: f64 = components.iter().map(|name| table[&format!("component_{name}")][i]).sum();
        assert!((sum / best - 1.0).abs() < 1e-5, "{set}, bin {i}: {sum} {best}");
        assert!(table["expected_source"][i] < table["expected_median"][i], "{set}, bin {i}");
    }
    if let Some(counts) = table.get("background_counts") {
        let plotted = columns(&folder.join("plots").join(of_set("spectrum")), None);
        let exposure = table["exposure"][0];
        let (scaled, drawn) = (counts.iter().zip(&table["background_scale"]), &plotted["background [counts/s/keV]"]);
        let scaled: f64 = scaled.map(|(counts, scale)| counts * scale).sum();
        let edges = plotted["e_max [keV]"].iter().zip(&plotted["e_min [keV]"]);
        let drawn: f64 = drawn.iter().zip(edges).map(|(rate, (hi, lo))| rate * exposure * (hi - lo)).sum();
        assert!(scaled > 1.0 && (drawn / scaled - 1.0).abs() < 1e-9, "{set}: {drawn} {scaled}");
    }
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn what_a_run_writes_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("joint");
    run_example("ngc7793-pn-mos.toml", "xmm_pn_ngc7793_ulx4", &out);
    for set in ["", "mos1"] {
        adds_up(&out, set, &["bbodyrad", "powerlaw", "background"]);
    }
    // 250 and 191 counts are expected to be the background's.
    let table = columns(&out.join("spectrum.csv"), None);
    let expected: f64 = table["background_expected"].iter().sum();
    assert!((expected - 250.0).abs() < 10.0, "{expected}");
    // Named models: their background spectrum is in no statistic of the source's, and a data set of its own.
    let out = folder.path().join("modelled");
    run_example("chandra-modelled-background.toml", "background", &out);
    adds_up(&out, "", &["source", "sky", "particles"]);
    let table = columns(&out.join("spectrum.csv"), None);
    assert!(table["background_expected"].iter().all(|expected| *expected == 0.0));
    let plots = out.join("plots");
    assert!(plots.join("spectrum-src_background.pdf").exists() && plots.join("spectra.pdf").exists());
    assert!(!plots.join("unfolded_spectra.pdf").exists(), "the background has another model");
}

#[test]
fn data_with_gaussian_errors_are_drawn_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = example();
    let table = data.spectrum.as_mut().unwrap();
    for (i, r) in table.rows.iter_mut().enumerate() {
        r.error = Some(3.0 + 0.1 * i as f64);
        // Less their background, numbers may be negative.
        r.counts = if i % 9 == 4 { -2.5 } else { r.median + 0.5 };
    }
    let table = table.clone();
    data.write_folder(folder.path()).unwrap();
    let back = ReportData::from_folder(folder.path()).unwrap();
    assert_eq!(back.spectrum.as_ref(), Some(&table));
    back.write_report(folder.path()).unwrap();
    let plotted = columns(&folder.path().join("plots/spectrum.csv"), None);
    for (i, r) in table.rows.iter().enumerate() {
        let (error, per) = (r.error.unwrap(), 1.0 / (table.exposure * (r.e_max - r.e_min)));
        for name in ["rate_error_down [counts/s/keV]", "rate_error_up [counts/s/keV]"] {
            assert!(near(plotted[name][i], error * per), "{name}, bin {i}");
        }
        assert!(near(plotted["delta [sigma]"][i], (r.counts - r.median) / error));
    }
    let picture = Plots::draw(&back).spectrum.unwrap();
    assert!(picture.contains("(data − model) / error") && !picture.contains("NaN") && !picture.contains("inf"));
    // Bins that are added up: in quadrature.
    let wide = SpectrumTable { rows: [&table.rows[..1]; 600].concat(), ..table.clone() };
    let mut at = 1.0;
    let mut rows = wide.rows.clone();
    for r in &mut rows {
        (r.e_min, r.e_max) = (at, at + 0.01);
        at += 0.01;
    }
    let drawn = rontgen::report::plots::binning::points(&SpectrumTable { rows: rows.clone(), ..wide });
    let variance = |rows: &[SpectrumRow]| rows.iter().map(|r| r.error.unwrap().powi(2)).sum::<f64>();
    assert!(drawn.rows.len() < 300 && near(variance(&drawn.rows), variance(&rows)));
    // Counts without errors are not negative.
    let path = folder.path().join("spectrum.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("counts_error", "other")).unwrap();
    let said = super::message(ReportData::from_folder(folder.path()).map(|_| ()));
    assert!(said.contains("-2.5 counts"), "{said}");
}
