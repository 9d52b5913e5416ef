//! `gain` and the commands of response parameters, both ways.
//!
//! XSPEC writes `gain fit SOURCE:SPECTRUM` with a line each for slope and offset, or `gain SOURCE:SPECTRUM slope offset` where they are fixed. Response
//! parameters have numbers of their own: slope and offset of each spectrum whose gain is fitted, one spectrum after the other.

use super::{
    commands::{Mode, Says, number, parameter},
    lines::words,
    priors::{self, Entry},
    tie::{self, Link, Tie},
    write::{Said, quoted},
    xcm::{Parameter, Save},
};
use crate::model::{ParameterInfo, instrument};

/// The gain of one spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Gain {
    /// Whether `gain fit` made its numbers parameters.
    pub fitted: bool,
    /// Slope and offset.
    pub numbers: [Parameter; 2],
    /// The line of its command.
    pub line: usize,
}

/// Least and largest value that a prior is given where the file has no limits: slope, offset \[keV\].
const SOFT: [(f64, f64); 2] = [(0.9, 1.1), (-0.1, 0.1)];

/// Slope and offset as an import takes them: free where nothing else is said.
fn infos() -> [ParameterInfo; 2] {
    let model = instrument::model();
    std::array::from_fn(|k| ParameterInfo {
        frozen_by_default: false,
        soft_min: SOFT[k].0,
        soft_max: SOFT[k].1,
        ..model.parameters()[k].clone()
    })
}

/// `2` or `1:2`: the spectrum; the error says what is wrong.
fn spectrum(word: &str) -> Result<usize, String> {
    let (source, set) = word.split_once(':').unwrap_or(("1", word));
    match (source.trim().parse::<usize>(), set.trim().parse::<usize>()) {
        (Ok(1), Ok(set)) if set > 0 => Ok(set),
        (Ok(_), Ok(set)) if set > 0 => Err("the gain of a named model's own response cannot be carried over".into()),
        _ => Err(format!("{word:?} is no source and spectrum; expected numbers from 1")),
    }
}

/// `gain`; gives what the lines below it belong to.
pub(super) fn gain(save: &mut Save, rest: &str, line: usize, at: Says<'_>) -> Mode {
    let mut parts = rest.split('&');
    let head = words(parts.next().unwrap_or(""));
    let first = head.first().map(|word| word.to_lowercase()).unwrap_or_default();
    match first.as_str() {
        "" => {}
        "off" => {
            save.gains.clear();
        }
        "nofit" => {
            let all = head.get(1).is_none_or(|word| word.eq_ignore_ascii_case("all"));
            let chosen = if all { Ok(0) } else { spectrum(&head[1]) };
            match chosen {
                Ok(set) => {
                    let own = save.gains.iter_mut().filter(|(own, _)| all || **own == set);
                    own.for_each(|(_, gain)| gain.fitted = false);
                }
                Err(why) => save.lose(at(&why)),
            }
        }
        "fit" => {
            if let Some(word) = head.get(2) {
                save.lose(at(&format!(
                    "{word:?} behind the spectrum; slope and offset stand behind & or in lines of their own"
                )));
                return Mode::Passing;
            }
            let set = head.get(1).map_or(Ok(1), |word| spectrum(word));
            let set = set.map_err(|why| save.lose(at(&why))).ok();
            let Some(set) = set.filter(|set| known(save, *set, at)) else { return Mode::Passing };
            save.gains.insert(set, Gain { fitted: true, numbers: [Parameter::Default, Parameter::Default], line });
            if !rest.contains('&') {
                // The lines below say what they are.
                return Mode::Gain(set, 0);
            }
            for (place, part) in parts.take(2).enumerate() {
                line_of(save, set, place, part, at);
            }
        }
        _ => {
            let mut rest = head.as_slice();
            while let [set, slope, offset, more @ ..] = rest {
                rest = more;
                match (spectrum(set), number(slope), number(offset)) {
                    (Ok(set), Some(slope), Some(offset)) if known(save, set, at) => {
                        let numbers = [slope, offset].map(|x| Parameter::Numbers(vec![x]));
                        save.gains.insert(set, Gain { fitted: false, numbers, line });
                    }
                    (Ok(_), Some(_), Some(_)) => {}
                    (Err(why), ..) => save.lose(at(&why)),
                    _ => save.lose(at("expected a spectrum, a slope and an offset")),
                }
            }
            if !rest.is_empty() {
                save.lose(at("expected a spectrum, a slope and an offset"));
            }
        }
    }
    Mode::Commands
}

/// Whether the spectrum was loaded, or none at all.
fn known(save: &mut Save, set: usize, at: Says<'_>) -> bool {
    let known = save.data.contains_key(&set) || (save.data.is_empty() && set == 1);
    if !known {
        save.lose(at(&format!("there is no spectrum {set}")));
    }
    known
}

/// A line below `gain fit`: slope (place 0) or offset (1).
pub(super) fn line_of(save: &mut Save, set: usize, place: usize, text: &str, at: Says<'_>) {
    let read = parameter(text);
    if read.is_none() {
        save.lose(at("not understood as a parameter of a response"));
    }
    if let Some(gain) = save.gains.get_mut(&set) {
        gain.numbers[place] = read.unwrap_or(Parameter::Default);
    }
}

/// The spectrum and place of response parameter `index` (from 1).
fn place(save: &Save, index: usize) -> Option<(usize, usize)> {
    let at = index.checked_sub(1)?;
    let set = save.gains.iter().filter(|(_, gain)| gain.fitted).map(|(set, _)| *set).nth(at / 2)?;
    Some((set, at % 2))
}

/// `rnewpar`, `rfreeze`, `rthaw`, `runtie`.
pub(super) fn change(save: &mut Save, kind: &str, rest: &str, at: Says<'_>) {
    let end = rest.find([' ', '\t', '=', ',']).unwrap_or(rest.len());
    let (word, value) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let own = word.strip_prefix("1:").unwrap_or(word);
    let (from, to) = own.split_once('-').unwrap_or((own, own));
    let range = from.trim().parse::<usize>().ok().zip(to.trim().parse::<usize>().ok());
    let Some((from, to)) = range.filter(|(from, to)| from <= to && place(save, *to).is_some()) else {
        save.lose(at("it names no parameter of a response"));
        return;
    };
    for index in from..=to {
        let Some((set, place)) = place(save, index) else { continue };
        let Some(slot) = save.gains.get_mut(&set).map(|gain| &mut gain.numbers[place]) else { continue };
        let mut numbers = match &*slot {
            Parameter::Numbers(numbers) => numbers.clone(),
            _ => Vec::new(),
        };
        match kind {
            "rnewpar" => {
                let text = value.trim();
                match parameter(text.strip_prefix(',').unwrap_or(text)) {
                    Some(Parameter::Numbers(new)) => {
                        numbers.resize(numbers.len().max(new.len()), f64::NAN);
                        new.iter().enumerate().filter(|(_, x)| x.is_finite()).for_each(|(k, x)| numbers[k] = *x);
                        *slot = Parameter::Numbers(numbers);
                    }
                    Some(Parameter::Tied(tie)) => *slot = Parameter::Tied(tie),
                    Some(_) => {}
                    None => save.lose(at("not understood")),
                }
            }
            "runtie" => {
                if matches!(slot, Parameter::Tied(_)) {
                    save.lose(at("the value that the link had is not carried over; give it with rnewpar"));
                }
            }
            // `rfreeze`, `rthaw`: a link stays as it is.
            _ if matches!(slot, Parameter::Tied(_)) => {}
            _ => {
                numbers.resize(numbers.len().max(2), f64::NAN);
                let step = Some(numbers[1].abs()).filter(|step| *step > 0.0).unwrap_or(0.01);
                numbers[1] = if kind == "rfreeze" { -step } else { step };
                *slot = Parameter::Numbers(numbers);
            }
        }
    }
}

/// The name of slope or offset of a spectrum: without that of the data set where there is one only.
fn name(save: &Save, set: usize, info: &ParameterInfo) -> String {
    if save.data.len() > 1 { format!("{}@{set}", info.name) } else { info.name.clone() }
}

/// Entries of `[parameters]`: name, value, comment.
pub(super) fn entries(save: &Save, said: &mut Said) -> Vec<(String, String, String)> {
    let (mut out, mut remarks, infos) = (Vec::new(), Vec::new(), infos());
    for (&set, gain) in &save.gains {
        for (k, (info, own)) in infos.iter().zip(&gain.numbers).enumerate() {
            let fixed = ParameterInfo { frozen_by_default: !gain.fitted, ..info.clone() };
            let setting = match own {
                Parameter::Tied(text) => Err(text),
                Parameter::Numbers(numbers) if !gain.fitted => {
                    Ok(priors::setting(&fixed, numbers.get(..1).unwrap_or(&[]), None, &mut remarks))
                }
                Parameter::Numbers(numbers) => Ok(priors::setting(&fixed, numbers, None, &mut remarks)),
                _ => Ok(priors::setting(&fixed, &[], None, &mut remarks)),
            };
            let name = name(save, set, &infos[k]);
            let (entry, comment) = match setting {
                Ok(setting) => {
                    let text = match setting.entry {
                        Entry::Uniform(lo, hi) => format!("{{ uniform = [{lo:?}, {hi:?}] }}"),
                        Entry::Frozen(value) => format!("{value:?}"),
                        Entry::Refused(why) => {
                            said.lose(format!("line {}: {name}: {why}", gain.line));
                            quoted("SET THIS")
                        }
                        other => unreachable!("no such prior of a gain: {other:?}"),
                    };
                    (text, setting.comment)
                }
                Err(text) => match tied(save, (set, k), text) {
                    Ok(entry) => (entry, format!("= {text}")),
                    Err(why) => {
                        said.lose(format!("line {}: {name}: XSPEC has '= {text}': {why}", gain.line));
                        (quoted("SET THIS"), String::new())
                    }
                },
            };
            out.push((name, entry, comment));
        }
    }
    remarks.into_iter().for_each(|remark| said.remark(remark));
    out
}

/// What a link says. `1:` is the source there, no model's name.
fn link(text: &str) -> Result<Link, String> {
    tie::read(text.trim().strip_prefix("1:").unwrap_or(text.trim()))
}

/// The response parameter that a link leads to.
fn target(save: &Save, link: &Tie) -> Option<(usize, usize)> {
    Some(&link.parameter).filter(|id| id.model.is_none()).and_then(|id| place(save, id.number))
}

/// The circle of links that leads from a parameter back to it, in words.
fn circle(save: &Save, own: (usize, usize)) -> Option<String> {
    let called = |(set, k): (usize, usize)| Some(name(save, set, infos().get(k)?));
    let (mut names, mut at) = (vec![called(own)?], own);
    for _ in 0..2 * save.gains.len() {
        let Parameter::Tied(text) = save.gains.get(&at.0)?.numbers.get(at.1)? else { return None };
        let Ok(Link::Tie(link)) = link(text) else { return None };
        at = target(save, &link)?;
        names.push(called(at)?);
        if at == own {
            return Some(names.join(" = "));
        }
    }
    // It leads into a circle that it is no part of.
    None
}

/// A link to another response parameter.
fn tied(save: &Save, own: (usize, usize), text: &str) -> Result<String, String> {
    let link = match link(text)? {
        Link::Constant(value) => return priors::constant(&infos()[own.1], value).map(|value| format!("{value:?}")),
        Link::Tie(link) => link,
    };
    let to = target(save, &link).ok_or_else(|| format!("there is no response parameter {}", link.parameter))?;
    if to == own {
        return Err("it names itself".into());
    }
    if let Some(circle) = circle(save, own) {
        return Err(format!(
            "the links make a circle, in which no parameter has a value: {circle}; give one of them a value"
        ));
    }
    let name = quoted(&name(save, to.0, &infos()[to.1]));
    Ok(match (link.scale, link.offset) {
        (1.0, 0.0) => format!("{{ tie = {name} }}"),
        (scale, offset) => format!("{{ tie = {name}, scale = {scale:?}, offset = {offset:?} }}"),
    })
}
