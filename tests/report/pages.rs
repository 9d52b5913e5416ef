//! Plots, the HTML page and the commands: complete, well-formed, self-contained, and never a panic on odd data.

use std::path::Path;

use rontgen::cli::{compare, report};
use rontgen::report::plots::axis::{Axis, superscript};
use rontgen::report::plots::corner::{pretty_unit, with_errors};
use rontgen::report::plots::density::{Surface, curve};
use rontgen::report::plots::{Plots, canvas};
use rontgen::report::tables::*;
use rontgen::report::{ReportData, RoundData, html};
use rontgen::result::Contact;
use rontgen::result::*;

use super::{example, normals};

/// Checks nesting of tags and quoting of attributes; returns the number of tags opened. Void HTML elements need no end.
fn well_formed(text: &str) -> usize {
    let void = ["meta", "!DOCTYPE"];
    let (mut open, mut count, mut rest) = (Vec::new(), 0, text);
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "stray > in {:?}", &rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closing tag");
        } else {
            count += 1;
            let name = tag.split([' ', '/']).next().unwrap();
            if !tag.ends_with('/') && !void.contains(&name) {
                open.push(name);
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "left open: {open:?}");
    count
}

/// All coordinates of an SVG lie in its view box, give or take a line's width.
fn inside_its_box(svg: &str) {
    let view = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split('"').next().unwrap();
    let size: Vec<f64> = view.split(' ').map(|v| v.parse().unwrap()).collect();
    for points in svg.split("points=\"").skip(1).map(|p| p.split('"').next().unwrap()) {
        for pair in points.split_whitespace() {
            let (x, y) = pair.split_once(',').unwrap();
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(x >= 0.0 && x <= size[0] && y >= 0.0 && y <= size[1], "{x},{y} is outside {size:?}");
        }
    }
}

fn all(plots: &Plots) -> Vec<&canvas::Picture> {
    let Plots { corner, rounds, spectrum, unfolded, coverage, losses, efficiency, .. } = plots;
    [corner, rounds, spectrum, unfolded, coverage, losses, efficiency].into_iter().flatten().collect()
}

#[test]
fn the_report_is_complete_well_formed_and_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    example().write_folder(folder.path()).unwrap();
    let code = report::run(report::Args { dir: folder.path().to_path_buf(), band: None, residuals: None }).unwrap();
    assert_eq!(code, 0);
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let style = page.find("</style>").unwrap();
    assert!(well_formed(&page[style + "</style>".len()..].replace("</head>", "").replace("</html>", "")) > 200);
    for needle in [
        "This posterior can be trusted.",
        "Example &lt;source&gt; &amp; more",
        "<code>tbabs.nH</code>",
        "10²² cm⁻²",
        "uniform, 0 to 5",
        "degrees of freedom",
        "What no parameter can change",
        "1.000 to 1.250",
        "Pareto k",
        "18446744073709551615",
        "a warning",
        "How to cite",
        "Kaastra",
    ] {
        assert!(page.contains(needle), "{needle}");
    }
    assert_eq!(page.matches("<svg ").count(), 7);
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="), "self-contained");
    assert!(!page.contains("NaN") && !page.contains(">inf") && !page.contains(" inf "), "no broken number is printed");
    for name in ["corner", "rounds", "spectrum", "unfolded", "coverage", "losses", "efficiency"] {
        let svg = std::fs::read_to_string(folder.path().join(format!("plots/{name}.svg"))).unwrap();
        assert!(well_formed(&svg) > 20, "{name}");
        inside_its_box(&svg);
    }
}

#[test]
fn a_band_of_the_fit_is_drawn_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = example();
    data.write_folder(folder.path()).unwrap();
    let args =
        |band: [f64; 2]| report::Args { dir: folder.path().to_path_buf(), band: Some(band.to_vec()), residuals: None };
    let rows = &data.spectrum.as_ref().unwrap().rows;
    let (lo, hi) = (rows[2].e_min, rows[9].e_max);
    report::run(args([lo, hi])).unwrap();
    let svg = std::fs::read_to_string(folder.path().join(format!("plots/spectrum_{lo}_{hi}.svg"))).unwrap();
    assert!(well_formed(&svg) > 20 && svg.contains("observed (8 bins)"), "{svg}");
    inside_its_box(&svg);
    let empty = report::run(args([1e4, 2e4])).unwrap_err().to_string();
    assert!(empty.contains("no bin of the spectrum lies in it"), "{empty}");
}

#[test]
fn the_report_is_the_same_when_made_again() {
    let folder = tempfile::tempdir().unwrap();
    example().write_folder(folder.path()).unwrap();
    let data = ReportData::from_folder(folder.path()).unwrap();
    let first = std::fs::read(data.write_report(folder.path()).unwrap()).unwrap();
    let again = ReportData::from_folder(folder.path()).unwrap().write_report(folder.path()).unwrap();
    assert_eq!(first, std::fs::read(again).unwrap());
}

#[test]
fn a_folder_with_the_two_needed_files_makes_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = example();
    data.rounds.clear();
    data.spectrum = None;
    data.coverage.clear();
    data.write_folder(folder.path()).unwrap();
    let back = ReportData::from_folder(folder.path()).unwrap();
    let plots = Plots::draw(&back);
    assert!(plots.corner.is_some() && plots.spectrum.is_none() && plots.coverage.is_none() && plots.losses.is_none());
    let page = html::html(&back, &plots);
    assert!(page.contains("Quality of the fit") && page.contains("CPU, native, software, llvmpipe 25.0"));
}

#[test]
fn a_result_not_to_be_trusted_says_so_on_top() {
    let mut data = example();
    data.summary.refine.pareto_k = 1.4;
    data.summary.verdict = Verdict::judge(&data.summary.cstat, &data.summary.refine, Some(10.0));
    let page = html::html(&data, &Plots::draw(&data));
    let words = page.find("Do not trust this posterior.").expect("the verdict");
    assert!(words < page.find("<h2>").unwrap() && page.contains("Pareto k is 1.40"));
    // A model that cannot have made the data comes before whatever the draws are like.
    data.summary.cstat.best = 1e7;
    data.summary.verdict = Verdict::judge(&data.summary.cstat, &data.summary.refine, Some(10.0));
    let page = html::html(&data, &Plots::draw(&data));
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(at("The model does not describe the data.") < at("Model: does not describe"));
    assert!(at("Model: does not describe") < at("Sampling: refused"));
}

#[test]
fn limits_are_printed_as_limits_and_remarked_on() {
    let mut data = example();
    let p = &mut data.summary.parameters[0].1;
    p.best = 0.0123;
    p.limit = Some(Limit { side: Side::Upper, level: 0.9, value: 0.0457 });
    p.edges = vec![Edge { side: Side::Lower, value: 0.0, contact: Contact::Limit, physical: true }];
    let p = &mut data.summary.parameters[1].1;
    p.unit = "photons/keV/cm2/s".into();
    p.edges = vec![Edge { side: Side::Upper, value: 1.75, contact: Contact::Rises, physical: false }];
    let text = serde_json::to_value(&data.summary).unwrap();
    let nh = &text["parameters"]["tbabs.nH"];
    assert_eq!(nh["limit"], serde_json::json!({"side": "upper", "level": 0.9, "value": 0.0457}));
    assert_eq!(nh["edges"][0]["contact"], "limit");
    assert_eq!((&nh["constrained"], &nh["best"]), (&serde_json::json!(true), &serde_json::json!(0.0123)));
    let page = html::html(&data, &Plots::draw(&data));
    assert!(page.contains("<td class=\"e\">&lt; 0.046 (90 %)</td>"), "the limit");
    assert!(page.contains("<td>0.012</td>"), "the best fit with the same digits");
    assert!(page.contains("photons keV⁻¹ cm⁻² s⁻¹") && page.contains("piles up at the upper edge of its prior (1.75)"));
}

#[test]
fn odd_data_are_drawn_without_a_panic() {
    let names = |n: usize| -> Vec<String> { (0..n).map(|i| format!("component.parameter{i}")).collect() };
    let cases: &[fn(&mut ReportData)] = &[
        |d| d.posterior.values.truncate(2),
        |d| d.posterior.values.clear(),
        |d| d.posterior.values.iter_mut().for_each(|v| *v = 3.0),
        |d| d.posterior.values.iter_mut().for_each(|v| *v *= 1e300),
        |d| d.posterior.values.iter_mut().for_each(|v| *v = -*v * 1e-300),
        |d| d.posterior.values.iter_mut().step_by(7).for_each(|v| *v = f64::NAN),
        |d| d.summary.parameters.clear(),
        |d| d.rounds[0].posterior = Some(Samples { names: vec!["other".into()], values: vec![1.0] }),
        |d| d.rounds[1].losses.iter_mut().for_each(|l| l.validation = f64::INFINITY),
        |d| d.rounds[1] = RoundData::default(),
        |d| d.summary.rounds.iter_mut().for_each(|r| r.efficiency = f64::NAN),
        |d| d.summary.rounds.iter_mut().for_each(|r| (r.efficiency, r.acceptance) = (0.0, 1e-9)),
        |d| d.summary.cstat.expected_std = 0.0,
        |d| d.summary.seconds.total = f64::NAN,
        |d| d.summary.parameters.iter_mut().for_each(|p| p.1.truth = Some(1e9)),
        |d| d.spectrum = Some(SpectrumTable { rows: vec![SpectrumRow::default()], ..SpectrumTable::default() }),
        |d| d.spectrum.as_mut().unwrap().components = vec![("short".into(), vec![1.0])],
        |d| d.unfolded.as_mut().unwrap().rows.iter_mut().for_each(|r| r.median = 0.0),
        |d| d.unfolded.as_mut().unwrap().components = vec![("short".into(), vec![1.0]), ("none".into(), vec![])],
        |d| d.unfolded.as_mut().unwrap().rows.truncate(1),
        |d| d.spectrum.as_mut().unwrap().rows.iter_mut().for_each(|r| r.counts = 0.0),
        |d| d.spectrum.as_mut().unwrap().rows.iter_mut().for_each(|r| r.median = 0.0),
        |d| d.spectrum.as_mut().unwrap().rows[0].e_min = 0.0,
        |d| d.spectrum.as_mut().unwrap().rows.truncate(1),
        |d| d.coverage[0].rows.truncate(1),
        |d| d.coverage.iter_mut().for_each(|c| c.rows.clear()),
        |d| d.coverage[0].rows.iter_mut().for_each(|r| r.q975 = f64::NAN),
    ];
    for (i, change) in cases.iter().enumerate() {
        let mut data = example();
        change(&mut data);
        let plots = Plots::draw(&data);
        for svg in all(&plots) {
            well_formed(svg);
            inside_its_box(svg);
            for broken in ["inf", "NaN"] {
                assert!(!svg.contains(broken), "case {i}: {broken}");
            }
        }
        assert!(html::html(&data, &plots).contains("</html>"), "case {i}");
    }
    // Fifteen parameters: the first twelve are drawn and the report says so.
    let mut data = example();
    let one = data.summary.parameters[0].1.clone();
    data.summary.parameters = names(15).into_iter().map(|n| (n, one.clone())).collect();
    data.posterior = Samples { names: names(15), values: normals(15 * 200, 0.2, 0.01, 4) };
    let plots = Plots::draw(&data);
    inside_its_box(plots.corner.as_ref().unwrap());
    assert!(html::html(&data, &plots).contains("last 3 parameters are not drawn"));
}

#[test]
fn ticks_are_inside_ascending_and_apart() {
    let ends =
        [0.0, 1.0, -1.0, 0.1234, 0.12345, 1e-7, 3e-7, 5.0, 1e6, 1e9, 100.0, 20.0, 6.4012, 6.4051, -3e4, f64::NAN];
    for &lo in &ends {
        for &hi in &ends {
            for log in [false, true] {
                for length in [60.0, 150.0, 700.0] {
                    let axis = Axis::new(lo, hi, log, "");
                    assert!(axis.hi > axis.lo, "{lo} {hi}");
                    let ticks = axis.ticks(length, 10.0, false).ticks;
                    let labelled: Vec<_> = ticks.iter().filter(|t| !t.label.is_empty()).collect();
                    assert!(labelled.len() < 20, "{lo} {hi} {log}: {labelled:?}");
                    for t in &ticks {
                        assert!((-1e-6..=1.000001).contains(&axis.fraction(t.value)), "{t:?} in {axis:?}");
                    }
                    let mut places: Vec<(f64, f64)> = labelled
                        .iter()
                        .map(|t| (axis.fraction(t.value) * length, canvas::text_width(&t.label, 10.0)))
                        .collect();
                    places.sort_by(|a, b| a.0.total_cmp(&b.0));
                    for pair in places.windows(2) {
                        let free = pair[1].0 - 0.5 * pair[1].1 - pair[0].0 - 0.5 * pair[0].1;
                        assert!(free > 0.0, "labels collide in {axis:?} at {length}: {labelled:?}");
                    }
                }
            }
        }
    }
    let set = Axis::new(1.0e-6, 3.0e-6, false, "").ticks(300.0, 10.0, false);
    assert_eq!((set.ticks[0].label.as_str(), set.exponent), ("1.0", -6), "{set:?}");
    assert_eq!(superscript(-120), "⁻¹²⁰");
}

#[test]
fn contours_enclose_the_mass_they_claim() {
    // Two normal coordinates: the region of mass m is a disc of radius sqrt(-2 ln(1 - m)).
    let axis = Axis::new(-4.5, 4.5, false, "");
    let (x, y) = (normals(40_000, 0.0, 1.0, 1), normals(40_000, 0.0, 1.0, 2));
    let surface = Surface::of(&x, &y, &axis, &axis, x.len() as f64);
    for mass in [0.68, 0.95] {
        let outlines = surface.outlines(surface.level(mass).unwrap());
        let area: f64 = outlines
            .iter()
            .map(|o| {
                let shifted = o.iter().cycle().skip(1);
                0.5 * o.iter().zip(shifted).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>() * 81.0
            })
            .sum::<f64>()
            .abs();
        let disc = std::f64::consts::PI * -2.0 * (1.0f64 - mass).ln();
        assert!((area / disc - 1.0).abs() < 0.08, "mass {mass}: area {area} against {disc}");
    }
    // A ring has a hole: an outline that runs the other way.
    let ring: Vec<(f64, f64)> = (0..20_000).map(|i| f64::from(i).sin_cos()).map(|(s, c)| (3.0 * s, 3.0 * c)).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = ring.into_iter().unzip();
    let surface = Surface::of(&x, &y, &axis, &axis, x.len() as f64);
    let areas: Vec<f64> = surface
        .outlines(surface.level(0.9).unwrap())
        .iter()
        .map(|o| o.iter().zip(o.iter().cycle().skip(1)).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum())
        .collect();
    assert!(areas.iter().any(|a| *a > 0.0) && areas.iter().any(|a| *a < 0.0), "{areas:?}");
    // Half of the samples lie outside: there is no 95 % contour to draw.
    let half = Axis::new(0.0, 4.5, false, "");
    assert!(Surface::of(&x, &y, &half, &axis, x.len() as f64).level(0.95).is_none());
}

#[test]
fn curves_are_densities_and_stop_at_the_prior() {
    let axis = Axis::new(0.0, 4.0, false, "");
    let exponential: Vec<f64> = (0..20_000).map(|i| -(1.0 - (f64::from(i) + 0.5) / 2e4).ln()).collect();
    let c = curve(&exponential, &axis, Some((0.0, 100.0)), 200, 2e4);
    // The density per unit of the axis' fraction at 0 is 4, and the mirror keeps it (a plain kernel would give half).
    assert!((c[0].1 / 4.0 - 1.0).abs() < 0.1, "{:?}", c[0]);
    let mass: f64 = c.iter().map(|p| p.1 / 200.0).sum();
    assert!((mass - (1.0 - (-4.0f64).exp())).abs() < 0.02, "{mass}");
}

#[test]
fn numbers_and_units_in_print() {
    assert_eq!(pretty_unit("1e22 cm-2"), "10²² cm⁻²");
    assert_eq!(pretty_unit("photons/keV/cm2/s"), "photons keV⁻¹ cm⁻² s⁻¹");
    assert_eq!(pretty_unit("10^22"), "10²²");
    assert_eq!(pretty_unit("(km/10kpc)2"), "(km/10kpc)²");
    assert_eq!(pretty_unit("1e39 erg/s/(10kpc)2"), "10³⁹ erg s⁻¹ (10kpc)⁻²");
    assert_eq!(pretty_unit("(a b)"), "(a b)");
    assert_eq!(pretty_unit("log(erg/s"), "log(erg/s");
    assert_eq!(pretty_unit(""), "");
    assert_eq!(with_errors(1.8273, 0.0341, 0.028), "1.827 +0.034 −0.028");
    assert_eq!(with_errors(-12.0, 3.1, 2.96), "−12.0 +3.1 −3.0");
    assert_eq!(with_errors(1.23e-6, 4e-8, 5e-8), "(1.230 +0.040 −0.050)×10⁻⁶");
    assert_eq!(with_errors(1.0, 0.0, 0.0), "1.0000");
}

#[test]
fn estimates_have_two_digits_of_their_errors() {
    use rontgen::report::numbers::Estimate;
    let plain = |median: f64, up: f64, down: f64| Estimate::with_errors(median, up, down).plain();
    assert_eq!(plain(1.8273, 0.0341, 0.028), "1.827 +0.034 -0.028");
    assert_eq!(plain(1.23e-6, 4e-8, 5e-8), "(1.230 +0.040 -0.050)e-6");
    assert_eq!(plain(0.5, 0.0996, 0.2), "0.50 +0.10 -0.20", "0.0996 is 0.10");
    assert_eq!(plain(12345.0, 123.0, 456.0), "12350 +120 -460", "no digits that mean nothing");
    assert_eq!(plain(-1e-4, 0.05, 0.05), "0.000 +0.050 -0.050", "no negative zero");
    assert_eq!(plain(f64::NAN, 1.0, 1.0), "unknown");
    assert_eq!(plain(3.5, f64::NAN, 1.0), "3.5 +unknown -1.0", "an error that is not known does not pass for none");
    let estimate = Estimate::with_errors(1.23e-6, 4e-8, 5e-8);
    assert_eq!(
        (estimate.plain_value(1.2349e-6), estimate.pretty_value(1.2349e-6)),
        ("1.235e-6".into(), "1.235×10⁻⁶".into())
    );
    // What the page sets apart is what the corner plot and the terminal print.
    let [median, up, down, power] = estimate.parts().unwrap();
    assert_eq!(format!("({median} +{up} −{down}){power}"), estimate.pretty());
    assert_eq!(estimate.pretty().replace("×10⁻⁶", "e-6").replace('−', "-"), estimate.plain());
}

#[test]
fn comparing_folders_and_files() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    example().write_folder(a.path()).unwrap();
    let other = Samples { names: vec!["POWERLAW.phoindex".into(), "x".into()], values: normals(4000, 1.8, 0.05, 77) };
    let file = b.path().join("other.csv");
    write_samples(&file, &other.names, &other.values).unwrap();
    let compare = |x: &Path, y: &Path| compare::run(compare::Args { sets: vec![x.into(), y.into()], json: false });
    assert_eq!(compare(a.path(), a.path()).unwrap(), 0);
    assert_eq!(compare(a.path(), &file).unwrap(), 0, "names are shared whatever their case");

    std::fs::write(&file, "x,y\n1,2\n").unwrap();
    let said = compare(a.path(), &file).unwrap_err();
    assert!(said.to_string().contains("share no parameter") && said.exit_status() == 2, "{said}");
    std::fs::write(&file, "x,weight\n1,2\n").unwrap();
    assert!(compare(&file, &file).unwrap_err().to_string().contains("equal-weight"));
    assert!(compare(b.path(), &file).unwrap_err().to_string().contains("posterior.csv"));
    let gone = report::run(report::Args { dir: b.path().join("gone"), band: None, residuals: None }).unwrap_err();
    assert!(gone.to_string().contains("no such folder") && gone.exit_status() == 2, "{gone}");
}
