//! What the pictures show and where: labels that keep apart, one definition of the residual, marks of what lies beyond a panel, legends
//! beside the data, kernels as wide as the effective sample asks for.

use rontgen::report::plots::axis::Axis;
use rontgen::report::plots::canvas::text_width;
use rontgen::report::plots::density::curve;
use rontgen::report::plots::{Plots, binning, spectrum};
use rontgen::report::tables::*;
use rontgen::report::{ReportData, numbers};
use rontgen::result::ParameterSummary;
use rontgen::result::Residuals;

use super::{example, normals, unfolded};

/// One text of an SVG with its box: left, top, right, bottom [pixels].
#[derive(Debug, Clone)]
struct Text {
    words: String,
    extent: [f64; 4],
}

fn attribute(tag: &str, name: &str) -> String {
    let at = tag.find(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name} in {tag}"));
    tag[at + name.len() + 2..].split('"').next().unwrap().to_string()
}

/// Every text, with the extent that its size and alignment give it.
fn texts(svg: &str) -> Vec<Text> {
    let mut found = Vec::new();
    for part in svg.split("<text ").skip(1) {
        let (tag, rest) = part.split_once('>').unwrap();
        let words = rest.split("</text>").next().unwrap().trim().to_string();
        let number = |name: &str| attribute(tag, name).parse::<f64>().unwrap_or_else(|_| panic!("{name} in {tag}"));
        // Ten units of the view box are a pixel.
        let (x, y, size) = (number("x") / 10.0, number("y") / 10.0, number("font-size") / 10.0);
        assert!(size > 3.0 && size < 40.0, "{tag}");
        let width = text_width(&words, size);
        let (before, after) = match attribute(tag, "text-anchor").as_str() {
            "start" => (0.0, width),
            "end" => (width, 0.0),
            _ => (0.5 * width, 0.5 * width),
        };
        // Digits and small letters fill about seven tenths of the size.
        let half = 0.35 * size;
        let extent = match tag.contains("rotate(") {
            true => [x - half, y - after, x + half, y + before],
            false => [x - before, y - half, x + after, y + half],
        };
        found.push(Text { words, extent });
    }
    found
}

fn assert_apart(svg: &str, which: &str) {
    let all = texts(svg);
    for (i, a) in all.iter().enumerate() {
        for b in all.iter().skip(i + 1) {
            let apart = |lo: usize, hi: usize| a.extent[hi] <= b.extent[lo] || b.extent[hi] <= a.extent[lo];
            assert!(apart(0, 2) || apart(1, 3), "{which}: {a:?} and {b:?} lie on each other");
        }
    }
}

/// A run of `n` parameters of several kinds: wide log-uniform norms, a redshift that is known to 2e-5, angles of hundreds.
fn many(n: usize) -> ReportData {
    let kinds: [(&str, f64, f64, &str, &str); 6] = [
        ("tbabs.nH", 0.2, 0.01, "uniform(0, 0.5)", "1e22 cm-2"),
        ("bvapec.Redshift", 0.01727, 2e-5, "uniform(0.017, 0.018)", ""),
        ("powerlaw.norm", 2.94e-4, 2.9e-5, "log_uniform(1e-5, 0.01)", "photons/keV/cm2/s"),
        ("powerlaw.PhoIndex", 2.104, 0.09, "uniform(0, 5)", ""),
        ("bvapec.Velocity", 168.0, 6.0, "uniform(0, 500)", "km/s"),
        ("gaussian.LineE", 6.400_012_3, 4e-7, "uniform(6.3, 6.5)", "keV"),
    ];
    let mut data = example();
    let draws = 4000;
    let mut columns = Vec::new();
    data.summary.parameters.clear();
    data.posterior.names.clear();
    for i in 0..n {
        let (name, mean, sd, prior, unit) = kinds[i % kinds.len()];
        let name = if i < kinds.len() { name.to_string() } else { name.replacen('.', "_2.", 1) };
        let column: Vec<f64> = match i {
            // A wide one: three decades around the middle of the log-uniform prior.
            8 => normals(draws, -8.0, 1.0, 60).iter().map(|x| x.exp()).collect(),
            _ => normals(draws, mean, sd, 40 + i as u64),
        };
        let summary = ParameterSummary::of(&column, unit, prior.parse().unwrap(), i as u32 + 1);
        data.summary.parameters.push((name.clone(), summary));
        data.posterior.names.push(name);
        columns.push(column);
    }
    data.posterior.values = (0..draws).flat_map(|k| columns.iter().map(move |c| c[k])).collect();
    for round in &mut data.rounds {
        round.posterior = Some(data.posterior.clone());
    }
    data
}

#[test]
fn the_corner_plot_names_components_and_its_texts_keep_apart() {
    for n in 1..=12 {
        let data = many(n);
        let plots = Plots::draw(&data);
        for svg in [plots.corner.as_ref().unwrap(), plots.rounds.as_ref().unwrap()] {
            assert_apart(svg, &format!("{n} parameters"));
            assert!(!svg.contains("inf") && !svg.contains("NaN"));
        }
        let words: Vec<String> = texts(plots.corner.as_ref().unwrap()).into_iter().map(|t| t.words).collect();
        for (name, p) in &data.summary.parameters {
            let (component, own) = name.split_once('.').unwrap();
            // Above the column in one line, beside the axes in one or two.
            let whole = format!("{component} {own}");
            assert!(words.contains(&whole), "{n}: {whole} in {words:?}");
            assert!(
                words.iter().filter(|w| w.contains(component)).count() >= 2 || n == 1,
                "{n}: {component} in {words:?}"
            );
            // The digits of the table.
            let [median, up, down, power] = numbers::Estimate::of(p).parts().unwrap();
            let median = if power.is_empty() { median } else { format!("({median}") };
            for piece in [median, format!("+{up}"), format!("−{down}")] {
                assert!(words.contains(&piece), "{n}: {piece} of {name} in {words:?}");
            }
        }
    }
}

#[test]
fn rounds_are_drawn_among_the_diagnostics_alone() {
    let data = many(3);
    let plots = Plots::draw(&data);
    let corner = plots.corner.as_ref().unwrap();
    assert!(texts(corner).iter().all(|t| !t.words.contains("round") && t.words != "refined posterior"));
    assert!(plots.rounds.as_ref().unwrap().contains("rounds 1 to 2"));
    let page = rontgen::report::html::html(&data, &plots);
    let place = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what}"));
    assert!(place("<h2>Posterior</h2>") < place("<h2>Rounds</h2>"));
    assert!(place("rounds 1 to 2") > place("<h2>Rounds</h2>"));
    let mut none = data;
    none.rounds.clear();
    assert!(Plots::draw(&none).rounds.is_none());
}

#[test]
fn ticks_of_narrow_axes_can_be_told_apart() {
    let narrow = [
        (0.01722, 0.01732),
        (6.4, 6.4001),
        (6.400_012_1, 6.400_012_5),
        (-3.00001, -3.0),
        (1e5, 1e5 + 1e-4),
        (1e-300, 2e-300),
    ];
    for (lo, hi) in narrow {
        for length in [87.0, 200.0, 700.0] {
            for vertical in [false, true] {
                let axis = Axis::new(lo, hi, false, "z").tight();
                let set = axis.ticks(length, 8.5, vertical);
                let labelled: Vec<_> = set.ticks.iter().filter(|t| !t.label.is_empty()).collect();
                assert!(labelled.len() >= 2, "{lo} {hi} {length}: {set:?}");
                for pair in labelled.windows(2) {
                    assert_ne!(pair[0].label, pair[1].label, "{lo} {hi}: {set:?}");
                }
                for tick in labelled {
                    assert!(tick.label.chars().count() <= 7, "{set:?}");
                    // Label, power of ten and offset give the value back.
                    let number: f64 = tick.label.replace('−', "-").parse().unwrap();
                    let value = number * 10f64.powi(set.exponent) + set.offset;
                    assert!((value - tick.value).abs() <= 1e-3 * (hi - lo), "{tick:?} of {set:?}");
                }
            }
        }
    }
    let set = Axis::new(6.400_012_1, 6.400_012_5, false, "E").ticks(300.0, 10.0, false);
    let title = Axis::new(6.400_012_1, 6.400_012_5, false, "E").title(&set);
    assert!(title.starts_with("E − 6.40001") && title.contains("[10⁻"), "{title}");
}

#[test]
fn kernels_are_as_wide_as_the_effective_sample_asks_for() {
    let axis = Axis::new(-4.0, 4.0, false, "");
    let samples = normals(20_000, 0.0, 1.0, 9);
    let peak = |effective: f64| curve(&samples, &axis, None, 200, effective).iter().map(|p| p.1).fold(0.0, f64::max);
    // A normal density of unit width on eight units, smoothed with h = 0.9 n^(-1/5): 8 / sqrt(2 pi (1 + h^2)).
    for effective in [50.0f64, 1000.0, 20_000.0] {
        let h = 0.9 * effective.powf(-0.2);
        let expected = 8.0 / (std::f64::consts::TAU * (1.0 + h * h)).sqrt();
        assert!((peak(effective) / expected - 1.0).abs() < 0.05, "{effective}: {} {expected}", peak(effective));
    }
    // Fifty distinct draws repeated a thousand times each are fifty, whatever the refinement says: no forest of spikes.
    let mut data = many(1);
    let few = normals(50, 0.2, 0.01, 5);
    data.posterior.values = few.iter().flat_map(|v| std::iter::repeat_n(*v, 1000)).collect();
    data.summary.refine.ess = 5e4;
    let spiky = Plots::draw(&data).corner.unwrap();
    data.summary.refine.ess = 50.0;
    assert_eq!(spiky, Plots::draw(&data).corner.unwrap());
}

#[test]
fn degenerate_samples_draw_without_broken_numbers() {
    let change: [fn(&mut Vec<f64>); 6] = [
        |v| v.iter_mut().for_each(|x| *x = 0.0),
        |v| v.iter_mut().step_by(4).for_each(|x| *x = 7.0),
        |v| v.truncate(8),
        |v| v.truncate(4),
        |v| v.iter_mut().for_each(|x| *x = f64::NAN),
        |v| v.iter_mut().for_each(|x| *x = -1e-320),
    ];
    for (i, change) in change.iter().enumerate() {
        let mut data = many(4);
        change(&mut data.posterior.values);
        for (j, (_, p)) in data.summary.parameters.iter_mut().enumerate() {
            *p = ParameterSummary::of(&data.posterior.column(j), &p.unit, p.prior.clone(), p.number);
        }
        // A single sample has no density.
        let plots = Plots::draw(&data);
        assert_eq!(plots.corner.is_none(), i == 3, "case {i}");
        for svg in [&plots.corner, &plots.rounds].into_iter().flatten() {
            assert!(!svg.contains("inf") && !svg.contains("NaN"), "case {i}");
            assert_apart(svg, &format!("case {i}"));
        }
    }
}

fn row(e_min: f64, width: f64, counts: f64, median: f64) -> SpectrumRow {
    let (q025, q16, q84, q975) = (0.9 * median, 0.95 * median, 1.05 * median, 1.1 * median);
    SpectrumRow { e_min, e_max: e_min + width, counts, error: None, q025, q16, median, q84, q975 }
}

#[test]
fn a_residual_has_one_definition_in_plot_and_text() {
    assert_eq!(Residuals::Delta.of(25.0, 16.0), Some(2.25));
    assert_eq!(Residuals::Ratio.of(24.0, 16.0), Some(1.5));
    assert_eq!(Residuals::Delta.of(3.0, 0.0), Some(f64::INFINITY));
    assert_eq!(Residuals::Delta.of(0.0, 0.0), None);
    assert_eq!(Residuals::Ratio.of(f64::NAN, 1.0), None);
    let mut data = example();
    // One bin of 16 expected and 25 observed counts, the others as expected.
    let rows = &mut data.spectrum.as_mut().unwrap().rows;
    rows[20] = row(rows[20].e_min, rows[20].e_max - rows[20].e_min, 25.0, 16.0);
    for (which, formula, value) in
        [(Residuals::Delta, "(data − model) / √model", "has 2.25"), (Residuals::Ratio, "data / model", "has 1.56")]
    {
        data.summary.residuals = which;
        let plots = Plots::draw(&data);
        let page = rontgen::report::html::html(&data, &plots);
        assert!(plots.spectrum.unwrap().contains(formula), "{formula}");
        let caption = page.split("Below: residuals, ").nth(1).expect("the caption");
        assert!(caption.starts_with(formula) && caption.contains(value), "{caption:.300}");
    }
}

#[test]
fn residuals_beyond_the_panel_are_marked() {
    let mut rows: Vec<SpectrumRow> = (0..40).map(|i| row(1.0 + 0.1 * i as f64, 0.1, 100.0, 100.0)).collect();
    let table = |rows: &[SpectrumRow]| SpectrumTable { exposure: 100.0, rows: rows.to_vec(), ..Default::default() };
    // Triangles are the polygons of four points.
    let pointers = |svg: &str| {
        let polygons = svg.split("<polygon").skip(1).map(|p| attribute(p, "points"));
        polygons.filter(|p| p.split_whitespace().count() == 4).collect::<Vec<_>>()
    };
    let inside = spectrum::spectrum(&table(&rows), Residuals::Delta).unwrap();
    assert!(pointers(&inside).is_empty() && !inside.contains("beyond the panel"));
    rows[3].counts = 600.0;
    rows[30].counts = 0.0;
    rows[35] = row(rows[35].e_min, 0.1, 5.0, 0.0);
    for which in [Residuals::Delta, Residuals::Ratio] {
        // Both residuals have a panel, whichever is the first.
        let beyond = |which: Residuals| {
            let axis = rontgen::report::plots::residuals::axis(which, &rows);
            let values = rows.iter().filter_map(move |r| which.of(r.counts, r.median));
            values.filter(|v| *v > axis.hi || *v < axis.lo).count()
        };
        let (count, axis) = (
            beyond(Residuals::Delta) + beyond(Residuals::Ratio),
            rontgen::report::plots::residuals::axis(which, &rows),
        );
        assert!(count >= 2, "{which:?}: {axis:?}");
        let svg = spectrum::spectrum(&table(&rows), which).unwrap();
        // One more stands in the legend.
        assert_eq!(pointers(&svg).len(), count + 1, "{which:?}");
        assert!(svg.contains(&format!("{count} residuals beyond the panel")), "{which:?}");
        assert!(!svg.contains("inf") && !svg.contains("NaN"));
    }
}

/// The legend's box: from the first letter of its first entry to the end of its longest.
fn legend_box(svg: &str, first: &str, last: &str) -> [f64; 4] {
    let all = texts(svg);
    let find = |words: &str| all.iter().position(|t| t.words.starts_with(words)).unwrap_or_else(|| panic!("{words}"));
    let entries = &all[find(first)..=find(last)];
    let edge = |k: usize, f: fn(f64, f64) -> f64| entries.iter().map(|t| t.extent[k]).reduce(f).unwrap();
    [edge(0, f64::min) - 34.0, edge(1, f64::min), edge(2, f64::max), edge(3, f64::max)]
}

#[test]
fn the_legend_stands_where_the_data_are_not() {
    type Shape = fn(f64) -> f64;
    let shapes: [(&str, Shape); 5] = [
        ("falling", |x| 4000.0 * (-5.0 * x).exp()),
        ("rising", |x| 20.0 * (5.0 * x).exp()),
        ("hill", |x| 20.0 + 3000.0 * (-0.5 * ((x - 0.5) / 0.1).powi(2)).exp()),
        ("valley", |x| 3000.0 - 2950.0 * (-0.5 * ((x - 0.5) / 0.15).powi(2)).exp()),
        // Nothing is free: the legend goes above the panel.
        ("full", |x| if (x * 60.0) as i64 % 2 == 0 { 20.0 } else { 30_000.0 }),
    ];
    for (shape, f) in shapes {
        let rows: Vec<SpectrumRow> = (0..120)
            .map(|i| {
                let mu = f(f64::from(i) / 120.0).max(1.0);
                row(1.0 + 0.075 * f64::from(i), 0.075, mu.round(), mu)
            })
            .collect();
        let components = vec![("powerlaw".to_string(), rows.iter().map(|r| 0.6 * r.median).collect::<Vec<f64>>())];
        let table =
            SpectrumTable { exposure: 1e3, rows: rows.clone(), components: components.clone(), ..Default::default() };
        let mut drawn = vec![
            ("folded", spectrum::spectrum(&table, Residuals::Delta).unwrap()),
            ("band", spectrum::band(&table, 2.0, 8.0, Residuals::Ratio).unwrap()),
        ];
        let mut model = unfolded(&rows);
        model.components = components;
        drawn.push(("unfolded", rontgen::report::plots::unfolded::unfolded(&model, &table).unwrap()));
        for (which, svg) in drawn {
            let first = if which == "unfolded" { "data" } else { "observed" };
            let [x0, y0, x1, y1] = legend_box(&svg, first, "powerlaw, at the best fit");
            let dots = svg.split("<circle ").skip(1).map(|tag| {
                let number = |name: &str| attribute(tag, name).parse::<f64>().unwrap() / 10.0;
                (number("cx"), number("cy"))
            });
            // The legend's own sample is a point too.
            let inside = dots.filter(|(x, y)| *x > x0 && *x < x1 && *y > y0 && *y < y1).count();
            assert_eq!(inside, 1, "{shape}, {which}: data in {:?}", [x0, y0, x1, y1]);
            assert_apart(&svg, &format!("{shape}, {which}"));
        }
    }
}

#[test]
fn components_are_kept_drawn_and_added_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = example();
    let spectrum = data.spectrum.as_mut().unwrap();
    // More bins than points: components are added up with the counts.
    spectrum.rows = (0..600).map(|i| row(0.5 + 0.01 * f64::from(i), 0.01, 30.0, 30.0)).collect();
    spectrum.components = vec![("powerlaw".into(), vec![20.0; 600]), ("bbodyrad, odd".into(), vec![10.0; 600])];
    let drawn = binning::points(spectrum);
    assert!(drawn.rows.len() < 300);
    for (i, r) in drawn.rows.iter().enumerate() {
        let sum: f64 = drawn.components.iter().map(|(_, values)| values[i]).sum();
        assert!((sum - r.median).abs() < 1e-9);
    }
    data.unfolded = Some(UnfoldedTable {
        components: vec![("powerlaw".into(), vec![6e-4; 600]), ("bbodyrad, odd".into(), vec![4e-4; 600])],
        ..unfolded(&spectrum.rows)
    });
    data.write_folder(folder.path()).unwrap();
    let back = ReportData::from_folder(folder.path()).unwrap();
    assert_eq!((&back.spectrum, &back.unfolded), (&data.spectrum, &data.unfolded));
    let plots = Plots::draw(&back);
    for svg in [plots.spectrum.unwrap(), plots.unfolded.unwrap()] {
        assert!(svg.contains("powerlaw, at the best fit") && svg.contains("bbodyrad, odd, at the best fit"));
    }
    // A folder of an earlier version has neither.
    std::fs::remove_file(folder.path().join("unfolded.csv")).unwrap();
    let old = ReportData::from_folder(folder.path()).unwrap();
    assert!(Plots::draw(&old).unfolded.is_none());
}

#[test]
fn the_header_tells_what_was_observed_and_with_what() {
    let mut data = example();
    let o = &mut data.summary.observation;
    o.object = "NGC <7793>".into();
    (o.telescope, o.instrument, o.date) = ("XMM".into(), "EPN".into(), "2013-11-25T09:01:13".into());
    o.background = "none subtracted".into();
    (o.response, o.arf) = ("PN.rmf".into(), "none".into());
    let page = rontgen::report::html::html(&data, &Plots::draw(&data));
    let head = page.split("<h2>").next().unwrap();
    for fact in [
        "NGC &lt;7793&gt;",
        "XMM EPN",
        "2013-11-25",
        "1\u{202f}000 s",
        "0.5 to 8.5 keV",
        "none subtracted",
        "<dd>PN.rmf</dd>",
    ] {
        assert!(head.contains(fact), "{fact} in {head}");
    }
    // What the file does not say is not there.
    data.summary.observation.object = "UNKNOWN".into();
    assert!(!rontgen::report::html::html(&data, &Plots::draw(&data)).contains("<dt>Object</dt>"));
}
