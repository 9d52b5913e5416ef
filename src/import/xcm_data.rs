//! The commands that load spectra, with what belongs to them.

use super::{
    xcm_model::{line, link},
    xcm_named::Named,
    xcm_out::{Origin, absolute, sources},
};
use crate::{
    analysis::Problem,
    kernels::background_stat::BackgroundStatistic,
    model::{FreeParameter, Prior, instrument},
    observation::Dataset,
    simulate::Statistic,
};

/// XSPEC's name of the statistic.
fn statistic(statistic: &Statistic) -> &'static str {
    match statistic {
        Statistic::Poisson => "cstat",
        Statistic::Background(BackgroundStatistic::Pgstat, _) => "pgstat",
        Statistic::Background(BackgroundStatistic::Gaussian, _) => "chi",
        Statistic::Background(..) => "cstat",
    }
}

/// Spectra with their files, ranges and statistics.
pub(super) fn text(problem: &Problem, origin: &Origin<'_>, named: &Named<'_>, remarks: &mut Vec<String>) -> String {
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
    for (number, set) in named.spectra() {
        list.push_str(&format!(
            " {number}:{number} {}",
            set.files.first().map_or(String::new(), |file| absolute(file))
        ));
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
    out.push_str(&named.files(remarks));
    let of_source = |k: usize| origin.energies.get(k).map_or(&[][..], Vec::as_slice);
    let all = (0..sets.len()).map(|k| (k + 1, k)).chain(named.of_sources());
    for (number, source) in all {
        if let Some(ignored) = ignored(of_source(source)) {
            out.push_str(&format!("ignore {number}:{ignored}\n"));
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
pub(super) fn gains(problem: &Problem, theta: &[f64], remarks: &mut Vec<String>) -> String {
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
                    later.push_str(&format!("rnewpar 1:{number} {}\n", link(entry, &format!("p{leader}"))));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_ranges_is_ignored() {
        assert_eq!(ignored(&[]), None);
        assert_eq!(ignored(&[[0.0, 2.0]]).as_deref(), Some("2.0-**"));
        assert_eq!(ignored(&[[0.5, 2.0], [2.0, 3.0], [4.0, 1e4]]).as_deref(), Some("**-0.5,3.0-4.0,10000.0-**"));
    }
}
