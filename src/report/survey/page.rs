//! Pages of a survey: a row per observation with its verdict, its numbers and a small picture; filters by verdict that need no script.

use super::super::folder;
use super::super::html::{self, escape};
use super::super::numbers::{fixed, percent, signed, thousands};
use super::super::plots::corner::pretty_unit;
use crate::result::{RowVerdict, Sketch, SurveyRow, SurveySummary};
use std::fmt::Write;

/// Rows of a page, at most: what browsers still scroll without effort.
pub const ROWS_OF_A_PAGE: usize = 2500;

const STYLE: &str = include_str!("../style.css");
const OWN_STYLE: &str = include_str!("survey.css");

/// Size of a picture.
const WIDTH: f64 = 190.0;
const HEIGHT: f64 = 56.0;
/// Decades of a picture's vertical axis, at most.
const DECADES: f64 = 4.0;

/// Pages that a table takes.
pub fn pages(rows: &[SurveyRow]) -> usize {
    rows.len().div_ceil(ROWS_OF_A_PAGE).max(1)
}

/// File of a page (from 1): `survey.html`, `survey-2.html`.
pub fn file_of_page(number: usize) -> String {
    match number {
        0 | 1 => folder::SURVEY_PAGE.into(),
        number => folder::of_set(folder::SURVEY_PAGE, &number.to_string()),
    }
}

fn class(verdict: RowVerdict) -> &'static str {
    match verdict {
        RowVerdict::Trusted => "v1",
        RowVerdict::WithCare => "v2",
        RowVerdict::Refused => "v3",
        RowVerdict::Failed => "v4",
    }
}

/// Names in the order in which rows have them.
fn names(rows: &[SurveyRow], of: impl Fn(&SurveyRow) -> Vec<(String, String)>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, unit) in rows.iter().flat_map(of) {
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, unit));
        }
    }
    all
}

/// Page `number` (from 1) as one HTML document: no script, no network, pictures inside.
pub fn page(rows: &[SurveyRow], summary: &SurveySummary, number: usize) -> String {
    let mut body = String::new();
    let _ = write!(
        body,
        "<h1>Survey</h1>\n<p class=\"lead\"><code>{}</code></p>\n<p>{} with {}: {} of {} rows done, {} of them through networks that they share. \
         The whole table: <a href=\"{}\">CSV</a>, <a href=\"{}\">FITS</a>.</p>\n",
        escape(&summary.model),
        escape(&summary.list),
        escape(&summary.run),
        thousands(summary.done as f64),
        thousands(summary.rows as f64),
        thousands(summary.by_networks as f64),
        folder::SURVEY_CSV,
        folder::SURVEY_FITS,
    );
    let first = (number.max(1) - 1) * ROWS_OF_A_PAGE;
    let shown = rows.get(first..rows.len().min(first + ROWS_OF_A_PAGE)).unwrap_or_default();
    turn(&mut body, pages(rows), number);
    filters(&mut body, shown, summary);
    table(&mut body, rows, shown);
    turn(&mut body, pages(rows), number);
    let device = if summary.device.is_empty() { String::new() } else { format!(", {}", summary.device) };
    let _ = writeln!(body, "<footer>rontgen {}{}</footer>", escape(&summary.version), escape(&device));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{} – rontgen survey</title>\n<style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&summary.list)
    )
}

/// Links to the other pages.
fn turn(out: &mut String, pages: usize, number: usize) {
    if pages < 2 {
        return;
    }
    let link = |k: usize| match k == number {
        true => format!("<b>{k}</b>"),
        false => format!("<a href=\"{}\">{k}</a>", file_of_page(k)),
    };
    let links: Vec<String> = (1..=pages).map(link).collect();
    let _ = writeln!(out, "<p class=\"pages\">Pages of {ROWS_OF_A_PAGE} rows: {}</p>", links.join(" "));
}

/// Buttons that show rows of one verdict alone, with how many there are on this page and, where these differ, in all.
fn filters(out: &mut String, shown: &[SurveyRow], summary: &SurveySummary) {
    let all = [summary.trusted, summary.with_care, summary.refused, summary.failed];
    let button = |id: &str, word: &str, here: usize, all: usize, checked: bool| {
        let of = if here == all { String::new() } else { format!(" of {}", thousands(all as f64)) };
        let checked = if checked { " checked" } else { "" };
        format!(
            "<input type=\"radio\" name=\"show\" id=\"{id}\"{checked}><label for=\"{id}\"><b>{}{of}</b> {word}</label>\n",
            thousands(here as f64)
        )
    };
    out.push_str(&button("all", "shown", shown.len(), summary.done, true));
    for (verdict, all) in RowVerdict::ALL.into_iter().zip(all) {
        let here = shown.iter().filter(|row| row.verdict() == verdict).count();
        let share = percent(all as f64 / summary.done.max(1) as f64);
        out.push_str(&button(
            &format!("f-{}", class(verdict)),
            &format!("{} ({share})", verdict.as_str()),
            here,
            all,
            false,
        ));
    }
}

fn table(out: &mut String, rows: &[SurveyRow], shown: &[SurveyRow]) {
    let unit = |name: &str, unit: &str| (name.to_string(), unit.to_string());
    let given = names(rows, |row| row.fixed.iter().map(|(name, _)| unit(name, "")).collect());
    let parameters = names(rows, |row| {
        row.result.iter().flat_map(|r| r.parameters.iter().map(|(name, p)| unit(name, &p.unit))).collect()
    });
    let derived = names(rows, |row| {
        row.result.iter().flat_map(|r| r.derived.iter().map(|(name, q)| unit(name, &q.unit))).collect()
    });
    out.push_str("<div class=\"wide\"><table>\n<thead><tr><th>Name</th><th>Verdict</th><th>Spectrum and best model</th><th class=\"n\">Counts</th>");
    for (name, unit) in given.iter().chain(&parameters).chain(&derived) {
        let unit = pretty_unit(unit);
        let unit = if unit.is_empty() { String::new() } else { format!("<br>{}", escape(&unit)) };
        let _ = write!(out, "<th><code>{}</code>{unit}</th>", escape(name));
    }
    out.push_str("<th>Statistic / expected</th><th>ln Z</th><th>Remarks</th></tr></thead>\n<tbody>\n");
    for row in shown {
        let verdict = row.verdict();
        let _ = write!(
            out,
            "<tr class=\"{}\"><td>{}</td><td>{}<br><span class=\"muted\">{}</span></td><td>{}</td><td class=\"n\">{}</td>",
            class(verdict),
            escape(&row.name),
            verdict.as_str(),
            escape(&row.way),
            row.result.as_ref().and_then(|result| result.sketch.as_ref()).map_or(String::new(), picture),
            thousands(row.counts as f64),
        );
        for (name, _) in &given {
            let value = row.fixed.iter().find(|(own, _)| own == name).map_or(String::new(), |(_, x)| format!("{x}"));
            let _ = write!(out, "<td>{}</td>", escape(&value));
        }
        let result = row.result.as_ref();
        for (name, _) in &parameters {
            let own = result.and_then(|r| r.parameters.iter().find(|(own, _)| own == name));
            let _ = write!(out, "<td class=\"e\">{}</td>", own.map_or(String::new(), |(_, p)| html::estimate(p)));
        }
        for (name, _) in &derived {
            let own = result.and_then(|r| r.derived.iter().find(|(own, _)| own == name));
            let text = own.map_or(String::new(), |(_, q)| html::estimate(&q.as_parameter()));
            let _ = write!(out, "<td class=\"e\">{text}</td>");
        }
        let (fit, evidence) = result.map_or((String::new(), String::new()), |r| {
            let fit = format!("{} / {}", fixed(r.cstat.best, 1), fixed(r.cstat.expected, 1));
            (fit, signed(r.log_z, r.log_z_err).replace('-', "−"))
        });
        let _ = writeln!(
            out,
            "<td class=\"e\">{fit}</td><td class=\"e\">{evidence}</td><td class=\"r\">{}</td></tr>",
            escape(&row.remarks().join("; "))
        );
    }
    out.push_str("</tbody></table></div>\n");
}

/// Counts per keV with their square roots, and the model, both on logarithmic axes.
fn picture(sketch: &Sketch) -> String {
    let widths = || sketch.bins.iter().map(|[lo, hi]| (hi - lo).max(f64::MIN_POSITIVE));
    let density =
        |values: &[f64]| values.iter().zip(widths()).map(|(value, width)| value / width).collect::<Vec<f64>>();
    let (data, model) = (density(&sketch.counts), density(&sketch.model));
    let highest = data.iter().chain(&model).copied().filter(|x| x.is_finite()).fold(0.0, f64::max);
    let lowest = data.iter().chain(&model).copied().filter(|x| x.is_finite() && *x > 0.0).fold(f64::INFINITY, f64::min);
    let least = sketch.bins.iter().map(|bin| bin[0]).filter(|e| *e > 0.0).fold(f64::INFINITY, f64::min);
    let most = sketch.bins.iter().map(|bin| bin[1]).fold(0.0, f64::max);
    if !(highest > 0.0 && least < most && lowest.is_finite()) {
        return String::new();
    }
    let (top, bottom) = (2.0 * highest, (0.5 * lowest).max(highest / 10f64.powf(DECADES)));
    let x = |e: f64| ((e.max(least) / least).ln() / (most / least).ln() * WIDTH).round();
    let y = |v: f64| ((top / v.max(bottom)).ln() / (top / bottom).ln() * HEIGHT).round();
    let (mut points, mut steps) = (String::new(), String::new());
    for (((bin, &count), &own), (&mean, width)) in
        sketch.bins.iter().zip(&sketch.counts).zip(&data).zip(model.iter().zip(widths()))
    {
        let (a, b) = (x(bin[0]), x(bin[1]));
        if own > 0.0 {
            let error = count.max(1.0).sqrt() / width;
            let _ =
                write!(points, "M{a} {}H{b}M{} {}V{}", y(own), (0.5 * (a + b)).round(), y(own - error), y(own + error));
        }
        if mean > 0.0 {
            let _ = write!(steps, "{}{a} {}H{b}", if steps.is_empty() { 'M' } else { 'L' }, y(mean));
        }
    }
    format!(
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\"><path class=\"d\" d=\"{points}\"/><path class=\"m\" d=\"{steps}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_stays_in_its_frame() {
        let sketch = Sketch {
            bins: vec![[0.0, 0.3], [0.3, 1.0], [1.0, 2.0], [2.0, 9.0]],
            counts: vec![0.0, 100_000.0, 1.0, 0.0],
            model: vec![0.01, 90_000.0, f64::NAN, 0.0],
        };
        let text = picture(&sketch);
        let numbers: Vec<f64> = text
            .split("d=\"")
            .skip(1)
            .flat_map(|rest| {
                rest.split('"').next().unwrap().split(|c: char| !(c.is_ascii_digit() || c == '-' || c == '.'))
            })
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().unwrap())
            .collect();
        assert!(numbers.len() > 10, "{text}");
        assert!(numbers.iter().all(|x| (0.0..=WIDTH).contains(x)), "{text}");
        assert_eq!(picture(&Sketch::default()), "");
    }
}
