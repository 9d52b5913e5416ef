//! The way back: XSPEC's commands for a problem (`model.xcm`), so that `@model.xcm` loads what was analysed.
//!
//! Each data set is a data group of its own, so that XSPEC numbers the parameters as the chain's columns do
//! ([`Problem::number`]): parameter i of data group g is i + (g - 1) n.

use crate::{
    analysis::{Problem, problem::SetModel},
    kernels::background_stat::BackgroundStatistic,
    model::{FreeParameter, MapEntry, ParameterInfo, Prior, instrument},
    observation::{Dataset, split_text},
    simulate::Statistic,
};
use std::path::{Component, Path, PathBuf};

/// What a problem no longer knows of the run file that stated it.
pub struct Origin<'a> {
    /// Asked energies of each data set \[keV\]; empty: all of them.
    pub energies: Vec<Vec<[f64; 2]>>,
    /// How the channels of each data set were joined; `None`: as the file says, which is all that XSPEC knows.
    pub grouping: Vec<Option<String>>,
    /// Where a table model's file was found.
    pub find_file: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Named models.
    pub named: Vec<String>,
    /// Components that XSPEC does not have.
    pub unknown: Vec<String>,
}

/// XSPEC's largest limit, where there is none.
const FAR: f64 = 1e24;
/// A step of a fit relative to its parameter, as XSPEC's defaults mostly are.
const STEP: f64 = 0.01;

fn number(x: f64) -> String {
    format!("{:?}", x.clamp(-FAR, FAR))
}

/// A path as it may stand in any folder. One that goes up again is made plain: what the run file and `run.toml` name is the same file.
fn absolute(path: &Path) -> String {
    let text = path.to_string_lossy();
    // A file may be called as if it had a selector.
    let (file, selector) = if path.exists() { (text.as_ref(), "") } else { split_text(&text, |_| false) };
    let file = Path::new(file);
    let goes_up = file.components().any(|part| part == Component::ParentDir);
    let plain = Some(file).filter(|_| goes_up).and_then(|file| std::fs::canonicalize(file).ok());
    let plain = plain.or_else(|| std::path::absolute(file).ok()).unwrap_or_else(|| file.to_path_buf());
    format!("{}{selector}", plain.display())
}

/// The data sets of the source's model; background spectra that named models are fitted to follow them.
fn sources(problem: &Problem) -> impl Iterator<Item = (&Dataset, &SetModel)> {
    problem.observations.sets().iter().zip(problem.sets()).filter(|(_, set)| set.named.is_none())
}

/// XSPEC's name of the statistic.
fn statistic(statistic: &Statistic) -> &'static str {
    match statistic {
        Statistic::Poisson => "cstat",
        Statistic::Background(BackgroundStatistic::Pgstat, _) => "pgstat",
        Statistic::Background(BackgroundStatistic::Gaussian, _) => "chi",
        Statistic::Background(..) => "cstat",
    }
}

/// XSPEC's commands: data, responses, areas, backgrounds, ignored energies, statistic, tables, and the model with ties at the free parameters
/// `theta`. What XSPEC cannot be told stands in comments, at the top. `notes` are added there.
pub fn write(problem: &Problem, origin: &Origin<'_>, theta: &[f64], notes: &[String]) -> String {
    let mut remarks: Vec<String> = notes.to_vec();
    let data = data(problem, origin, &mut remarks) + &gains(problem, theta, &mut remarks);
    let model = model(problem, origin, theta, &mut remarks);
    let mut out = format!(
        "# XSPEC's commands for a run of rontgen {}: data, model, and the values of the draw with the largest likelihood.\n\
         # After @model.xcm, chain load posterior.fits takes the posterior, and flux, lumin and eqwidth with err their errors from it.\n",
        env!("CARGO_PKG_VERSION")
    );
    for remark in &remarks {
        let clean: String = remark.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        out.push_str(&format!("# {clean}\n"));
    }
    out + &data + &model
}

fn data(problem: &Problem, origin: &Origin<'_>, remarks: &mut Vec<String>) -> String {
    let sets: Vec<&Dataset> = sources(problem).map(|(set, _)| set).collect();
    if sets.iter().any(|set| set.files.is_empty()) {
        remarks.push("The built-in instrument has no files: load data of your own before the model.".into());
        return "statistic cstat\n".into();
    }
    let names: Vec<&str> = sources(problem).map(|(_, set)| statistic(&set.statistic)).collect();
    let mut out = String::new();
    match names.split_first() {
        Some((first, rest)) if rest.iter().all(|name| name == first) => out.push_str(&format!("statistic {first}\n")),
        // Those of single spectra are said once they are there.
        _ => {}
    }
    let systematic: Vec<f64> = sources(problem).map(|(_, set)| set.asked.systematic).collect();
    if let Some(&part) = systematic.iter().find(|part| **part > 0.0) {
        out.push_str(&format!("systematic {part:?}\n"));
        remarks.push("The run's systematic error is a fraction of the data, XSPEC's one of the model.".into());
        if systematic.iter().any(|other| *other != part) {
            remarks.push("XSPEC has one systematic error for all spectra; the run's differ.".into());
        }
    }
    let mut list = String::from("data");
    for (k, set) in sets.iter().enumerate() {
        list.push_str(&format!(" {0}:{0} {1}", k + 1, set.files.first().map_or(String::new(), |file| absolute(file))));
    }
    out.push_str(&list);
    out.push('\n');
    for (k, (set, model)) in sources(problem).enumerate() {
        files(&mut out, k + 1, set, &model.statistic, remarks);
        if let Some(grouping) = origin.grouping.get(k).cloned().flatten() {
            remarks.push(format!(
                "Spectrum {}: its channels were joined by grouping = {grouping}, XSPEC joins those that the file joins: write a file with \
                 rontgen group where the statistic must be the same.",
                k + 1
            ));
        }
    }
    for (k, ranges) in origin.energies.iter().enumerate().take(sets.len()) {
        if let Some(ignored) = ignored(ranges) {
            out.push_str(&format!("ignore {}:{ignored}\n", k + 1));
        }
    }
    out.push_str("ignore bad\n");
    if names.iter().any(|name| Some(name) != names.first()) {
        for (k, name) in names.iter().enumerate() {
            out.push_str(&format!("statistic {name} {}\n", k + 1));
        }
    }
    out
}

/// Gains of the responses: `gain` where they are fixed, `gain fit` where not.
fn gains(problem: &Problem, theta: &[f64], remarks: &mut Vec<String>) -> String {
    let (mut out, mut later) = (String::new(), String::new());
    let (infos, free) = (instrument::model(), problem.parameters.free());
    let mut fitted = 0;
    for (k, (_, set)) in sources(problem).enumerate() {
        let Some(map) = set.shifted.as_ref().map(|shifted| shifted.map) else { continue };
        let k = k + 1;
        let tilt = map.tilt.value(theta);
        if map.tilt.free >= 0 || tilt != 0.0 {
            remarks.push(format!(
                "Spectrum {k}: its area was multiplied by (E/E0)^area.tilt, here with area.tilt = {tilt:?}, which XSPEC does not know; the chain \
                 has a column for it."
            ));
        }
        if map.slope.free < 0 && map.offset.free < 0 {
            let (slope, offset) = (map.slope.offset, map.offset.offset);
            if (slope, offset) != (1.0, 0.0) {
                out.push_str(&format!("gain 1:{k} {slope:?} {offset:?}\n"));
            }
            continue;
        }
        out.push_str(&format!("gain fit 1:{k}\n"));
        for (place, (entry, info)) in [map.slope, map.offset].iter().zip(infos.parameters()).enumerate() {
            let number = 2 * fitted + place + 1;
            let own = usize::try_from(entry.free).ok().and_then(|at| Some((at, free.get(at)?)));
            let leader = own.map_or(0, |(at, _)| problem.number(at) as usize);
            let value = entry.value(theta);
            match own {
                Some((_, own)) if own.model_index != FreeParameter::OF_NO_MODEL || own.name.starts_with("area") => {
                    remarks.push(format!(
                        "{} of spectrum {k} is tied to {}: its value stands for it.",
                        info.name, own.name
                    ));
                    out.push_str(&line(info, value, None));
                }
                Some((_, own)) if leader == number => {
                    if !matches!(own.prior, Prior::Uniform { .. }) {
                        let written = own.prior.written();
                        remarks.push(format!(
                            "{}: its prior is {} = [{:?}, {:?}]; XSPEC's bayes knows none of response parameters.",
                            own.name, written.kind.name, written.numbers.0, written.numbers.1
                        ));
                    }
                    out.push_str(&line(info, value, Some(&own.prior)));
                }
                Some(_) if leader > 0 => {
                    out.push_str(&line(info, value, Some(&Prior::Uniform { lo: info.soft_min, hi: info.soft_max })));
                    later.push_str(&format!("rnewpar 1:{number} {}\n", link(entry, leader)));
                }
                _ => out.push_str(&line(info, value, None)),
            }
        }
        fitted += 1;
    }
    out + &later
}

/// Response, area and background of one spectrum.
fn files(out: &mut String, number: usize, set: &Dataset, statistic: &Statistic, remarks: &mut Vec<String>) {
    let area = set.files.get(2).map_or("none".into(), |file| absolute(file));
    if let Some(response) = set.files.get(1) {
        out.push_str(&format!("response 1:{number} {}\narf 1:{number} {area}\n", absolute(response)));
    }
    let background = match (statistic, &set.background) {
        (Statistic::Poisson, _) | (_, None) => "none".into(),
        (_, Some(background)) if background.file.as_os_str().is_empty() => {
            remarks.push(format!(
                "Spectrum {number}: its background was BACKGROUND_UP and BACKGROUND_DOWN of its own table; write it as a file for XSPEC."
            ));
            "none".into()
        }
        (_, Some(background)) => absolute(&background.file),
    };
    out.push_str(&format!("backgrnd {number} {background}\n"));
    if let Statistic::Background(BackgroundStatistic::Marginal, _) = statistic {
        remarks.push(format!(
            "Spectrum {number}: the run integrated the background out (statistic = \"marginal\"), which XSPEC does not know; cstat, which is W \
             beside a background, stands for it, and differs where counts are few."
        ));
    }
    if let (Statistic::Background(BackgroundStatistic::Gaussian, _), None) = (statistic, &set.gaussian) {
        remarks.push(format!(
            "Spectrum {number}: chi-square with the roots of counts as errors, XSPEC's weight standard."
        ));
    }
    let blanks = set.files.iter().any(|file| absolute(file).contains(char::is_whitespace));
    if blanks || background.contains(char::is_whitespace) {
        remarks.push(format!("Spectrum {number}: a path has a blank in it, which XSPEC does not read; move the file."));
    }
}

/// What `ignore` says where `ranges` are kept \[keV\].
fn ignored(ranges: &[[f64; 2]]) -> Option<String> {
    let (first, last) = (ranges.first()?, ranges.last()?);
    let mut parts = Vec::new();
    if first[0] > 0.0 {
        parts.push(format!("**-{:?}", first[0]));
    }
    for pair in ranges.windows(2) {
        // Between ranges that touch there is nothing to ignore.
        if pair[1][0] > pair[0][1] {
            parts.push(format!("{:?}-{:?}", pair[0][1], pair[1][0]));
        }
    }
    parts.push(format!("{:?}-**", last[1]));
    Some(parts.join(","))
}

/// The expression with the files of tables where they were found.
fn expression(text: &str, origin: &Origin<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        let file = (origin.find_file)(name).map_or(name.to_string(), |path| absolute(&path));
        out.push_str(&format!("{before}{{{file}}}"));
        rest = after;
    }
    out + rest
}

fn model(problem: &Problem, origin: &Origin<'_>, theta: &[f64], remarks: &mut Vec<String>) -> String {
    let about = &problem.description;
    for name in &origin.named {
        remarks.push(format!(
            "The named model {name} of the run file, with its response, is not written: set it up (response 2:N, arf 2:N, model 2:{name}) before \
             the chain is loaded, and a background spectrum that it was fitted to as a spectrum of its own."
        ));
    }
    for name in &origin.unknown {
        remarks.push(format!("{name} is computed by a command of the run file; XSPEC has no such component."));
    }
    let foreign = problem.model.components.iter().filter(|c| c.component.note.starts_with("of the relxill package"));
    for component in foreign {
        remarks.push(format!(
            "{} is of the relxill package: lmod relxill FOLDER comes before this file; the run has no returning radiation (switch_returnrad 0).",
            component.name
        ));
    }
    let mut out = format!(
        "abund {}\nxsect {}\ncosmo 70 0 0.73\nmodel  {}\n",
        about.abundances,
        about.cross_sections,
        expression(&about.expression, origin)
    );
    let infos = problem.model.parameters();
    let m = infos.len();
    let first: Option<&[MapEntry]> = sources(problem).next().map(|(_, set)| set.parameters.map());
    let (mut later, mut priors) = (String::new(), String::new());
    for (group, (_, set)) in sources(problem).enumerate() {
        for (k, (info, entry)) in infos.iter().zip(set.parameters.map()).enumerate() {
            let place = group * m + k + 1;
            if group > 0 && first.and_then(|map| map.get(k)) == Some(entry) {
                out.push_str(&format!("= p{}\n", k + 1));
                continue;
            }
            let value = entry.value(theta);
            let free = usize::try_from(entry.free).ok();
            let leader = free.map_or(0, |free| problem.number(free) as usize);
            match free.and_then(|free| problem.parameters.free().get(free)) {
                Some(own) if own.name.contains(':') || own.model_index == FreeParameter::OF_NO_MODEL => {
                    remarks.push(format!(
                        "{} is tied to {}, which is not written: its value stands for it.",
                        info.name, own.name
                    ));
                    out.push_str(&line(info, value, None));
                }
                Some(own) if leader == place => {
                    if matches!(own.prior, Prior::LogNormal { .. } | Prior::TruncatedLogNormal { .. }) {
                        let written = own.prior.written();
                        remarks.push(format!(
                            "{}: its prior is {} = [{:?}, {:?}], which XSPEC's bayes does not know; without it a uniform one stands.",
                            own.name, written.kind.name, written.numbers.0, written.numbers.1
                        ));
                    }
                    out.push_str(&line(info, value, Some(&own.prior)));
                    priors.push_str(&bayes(place, &own.prior));
                }
                Some(_) if leader > 0 => {
                    let link = link(entry, leader);
                    if leader < place {
                        out.push_str(&format!("{link}\n"));
                    } else {
                        // XSPEC reads links to parameters that are there already.
                        out.push_str(&line(info, value, None));
                        later.push_str(&format!("newpar {place} {link}\n"));
                    }
                }
                _ => out.push_str(&line(info, value, None)),
            }
        }
    }
    out + &later + &priors + "bayes off\n"
}

/// `= 2.0*p3 + 1.0`
fn link(entry: &MapEntry, leader: usize) -> String {
    let scaled = if entry.scale == 1.0 { format!("p{leader}") } else { format!("{:?}*p{leader}", entry.scale) };
    match entry.offset {
        0.0 => format!("= {scaled}"),
        offset if offset < 0.0 => format!("= {scaled} - {:?}", -offset),
        offset => format!("= {scaled} + {offset:?}"),
    }
}

/// Value, step, hard minimum, soft minimum, soft maximum, hard maximum. The soft limits are the prior's ends, the hard ones the component's; a
/// negative step freezes.
fn line(info: &ParameterInfo, value: f64, prior: Option<&Prior>) -> String {
    let (lo, hi) = prior.map_or((f64::NEG_INFINITY, f64::INFINITY), Prior::support);
    let soft = |end: f64, default: f64| if end.is_finite() { end } else { default };
    // A value at a hard limit by way of rounding stays inside.
    let (hard_min, hard_max) = (info.hard_min.min(value), info.hard_max.max(value));
    let soft_min = soft(lo, info.soft_min).clamp(hard_min, hard_max).min(value);
    let soft_max = soft(hi, info.soft_max).clamp(hard_min, hard_max).max(value);
    let step = if value == 0.0 { STEP } else { STEP * value.abs() };
    let step = if prior.is_some() { step } else { -step };
    format!(
        "  {:?} {step:.1e} {} {} {} {}\n",
        value,
        number(hard_min),
        number(soft_min),
        number(soft_max),
        number(hard_max)
    )
}

/// The prior as XSPEC's `bayes` has it; a uniform one is its default, and a log-normal one it does not know.
fn bayes(place: usize, prior: &Prior) -> String {
    match *prior {
        Prior::LogUniform { .. } => format!("bayes {place} jeffreys\n"),
        Prior::Normal { mean, sd } | Prior::TruncatedNormal { mean, sd, .. } => {
            format!("bayes {place} gauss {mean:?} {sd:?}\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain_and_keep_their_selectors() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir(real.join("out")).unwrap();
        std::fs::write(real.join("a.pha"), "").unwrap();
        let wanted = real.join("a.pha").display().to_string();
        assert_eq!(absolute(&real.join("out/../a.pha")), wanted);
        assert_eq!(absolute(&real.join("out/../a.pha{3}")), format!("{wanted}{{3}}"));
        assert_eq!(absolute(&real.join("a.pha[SPECTRUM]")), format!("{wanted}[SPECTRUM]"));
        assert!(Path::new(&absolute(Path::new("none.pha{3}"))).is_absolute());
    }

    #[test]
    fn what_is_between_ranges_is_ignored() {
        assert_eq!(ignored(&[]), None);
        assert_eq!(ignored(&[[0.0, 2.0]]).as_deref(), Some("2.0-**"));
        assert_eq!(ignored(&[[0.5, 2.0], [2.0, 3.0], [4.0, 1e4]]).as_deref(), Some("**-0.5,3.0-4.0,10000.0-**"));
    }

    #[test]
    fn links_are_written_without_two_signs() {
        let entry = |scale: f64, offset: f64| MapEntry { free: 0, scale, offset };
        assert_eq!(link(&entry(1.0, 0.0), 4), "= p4");
        assert_eq!(link(&entry(-0.5, -2.0), 4), "= -0.5*p4 - 2.0");
        assert_eq!(link(&entry(1.0, 0.25), 4), "= p4 + 0.25");
    }
}
