//! The model commands: parameters of each data group, links, priors.

use super::{
    xcm_named::{self, Named},
    xcm_out::{Origin, absolute, sources},
};
use crate::{
    analysis::Problem,
    model::{FreeParameter, MapEntry, ParameterInfo, Prior},
};

/// XSPEC's largest limit, where there is none.
const FAR: f64 = 1e24;
/// A step of a fit relative to its parameter, as XSPEC's defaults mostly are.
const STEP: f64 = 0.01;

fn number(x: f64) -> String {
    format!("{:?}", x.clamp(-FAR, FAR))
}

/// The expression with the files of tables where they were found.
pub(super) fn expression(text: &str, origin: &Origin<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        let file = (origin.find_file)(name).map_or(name.to_string(), |path| absolute(&path));
        out.push_str(&format!("{before}{{{file}}}"));
        rest = after;
    }
    out + rest
}

/// Abundances, cross sections, and every model with its parameters.
pub(super) fn text(
    problem: &Problem,
    origin: &Origin<'_>,
    named: &Named<'_>,
    theta: &[f64],
    remarks: &mut Vec<String>,
) -> String {
    let about = &problem.description;
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
    let mut out = format!("abund {}\nxsect {}\ncosmo 70 0 0.73\n", about.abundances, about.cross_sections);
    let mut commands =
        Commands { problem, named, theta, remarks, text: String::new(), later: String::new(), priors: String::new() };
    commands.text.push_str(&format!("model  {}\n", expression(&about.expression, origin)));
    let blocks: Vec<Block<'_>> =
        sources(problem).map(|(_, set)| Block { map: set.parameters.map(), scaled: None }).collect();
    commands.model("", problem.model.parameters(), &blocks);
    for one in named.models() {
        commands.text.push_str(&one.command(origin));
        let blocks: Vec<Block<'_>> =
            one.blocks.iter().map(|block| Block { map: block.parameters.map(), scaled: one.ratio(block) }).collect();
        commands.model(&format!("{}:", xcm_named::plain(one.name)), one.model.parameters(), &blocks);
    }
    out.push_str(&commands.text);
    out + &commands.later + &commands.priors + "bayes off\n"
}

/// The parameters of a model in one data group.
struct Block<'a> {
    map: &'a [MapEntry],
    /// Where it is the model of a background spectrum in the source's: the block of that spectrum, and the ratio of the norms.
    scaled: Option<(usize, f64)>,
}

/// What is written of the models.
struct Commands<'a> {
    problem: &'a Problem,
    named: &'a Named<'a>,
    theta: &'a [f64],
    remarks: &'a mut Vec<String>,
    text: String,
    /// Links to parameters that were not there yet.
    later: String,
    priors: String,
}

impl Commands<'_> {
    /// A free parameter as a link names it; `None` for one that is not written.
    fn reference(&self, free: usize) -> Option<String> {
        let own = self.problem.parameters.free().get(free)?;
        let number = Some(self.problem.number(free)).filter(|number| *number > 0)?;
        if own.model_index == FreeParameter::OF_NO_MODEL {
            return None;
        }
        match own.name.split_once(':') {
            None => Some(format!("p{number}")),
            Some((name, _)) => self.named.has(name).then(|| format!("{}:p{number}", xcm_named::plain(name))),
        }
    }

    /// The parameters of all data groups of a model, whose links have `prefix` before their numbers.
    fn model(&mut self, prefix: &str, infos: &[ParameterInfo], blocks: &[Block<'_>]) {
        let m = infos.len();
        let first = blocks.iter().position(|block| block.scaled.is_none());
        for (group, block) in blocks.iter().enumerate() {
            for (k, (info, entry)) in infos.iter().zip(block.map).enumerate() {
                let place = group * m + k + 1;
                let value = entry.value(self.theta);
                if let Some((own, ratio)) = block.scaled {
                    let ratio = if info.is_norm { ratio } else { 1.0 };
                    let leader = format!("{prefix}p{}", own * m + k + 1);
                    let link = link(&MapEntry { free: 0, scale: ratio, offset: 0.0 }, &leader);
                    self.text.push_str(&line(info, ratio * value, None));
                    self.later.push_str(&format!("newpar {prefix}{place} {link}\n"));
                    continue;
                }
                let same = first.filter(|first| *first < group && blocks[*first].map.get(k) == Some(entry));
                if let Some(first) = same {
                    self.text.push_str(&format!("= {prefix}p{}\n", first * m + k + 1));
                    continue;
                }
                self.entry(prefix, place, info, entry, value);
            }
        }
    }

    /// One parameter with a line of its own.
    fn entry(&mut self, prefix: &str, place: usize, info: &ParameterInfo, entry: &MapEntry, value: f64) {
        let free = usize::try_from(entry.free).ok();
        let Some((free, own)) = free.and_then(|free| Some((free, self.problem.parameters.free().get(free)?))) else {
            self.text.push_str(&line(info, value, None));
            return;
        };
        match self.reference(free) {
            None => {
                self.remarks.push(format!(
                    "{}{} is tied to {}, which is not written: its value stands for it.",
                    prefix, info.name, own.name
                ));
                self.text.push_str(&line(info, value, None));
            }
            Some(leader) if leader == format!("{prefix}p{place}") => {
                if matches!(own.prior, Prior::LogNormal { .. } | Prior::TruncatedLogNormal { .. }) {
                    let written = own.prior.written();
                    self.remarks.push(format!(
                        "{}: its prior is {} = [{:?}, {:?}], which XSPEC's bayes does not know; without it a uniform one stands.",
                        own.name, written.kind.name, written.numbers.0, written.numbers.1
                    ));
                }
                self.text.push_str(&line(info, value, Some(&own.prior)));
                self.priors.push_str(&bayes(&format!("{prefix}{place}"), &own.prior));
            }
            Some(leader) => {
                let link = link(entry, &leader);
                // XSPEC reads links to parameters that are there already.
                let number = |text: &str| text.rsplit_once('p').and_then(|(_, n)| n.parse::<usize>().ok());
                let before = leader.strip_prefix(prefix).filter(|own| own.starts_with('p'));
                let earlier = match before {
                    Some(own) => number(own).is_some_and(|n| n < place),
                    None => self.named.is_before(&leader, prefix),
                };
                if earlier {
                    self.text.push_str(&format!("{link}\n"));
                } else {
                    self.text.push_str(&line(info, value, None));
                    self.later.push_str(&format!("newpar {prefix}{place} {link}\n"));
                }
            }
        }
    }
}

/// `= 2.0*p3 + 1.0`
pub(super) fn link(entry: &MapEntry, leader: &str) -> String {
    let scaled = if entry.scale == 1.0 { leader.to_string() } else { format!("{:?}*{leader}", entry.scale) };
    match entry.offset {
        0.0 => format!("= {scaled}"),
        offset if offset < 0.0 => format!("= {scaled} - {:?}", -offset),
        offset => format!("= {scaled} + {offset:?}"),
    }
}

/// Value, step, hard minimum, soft minimum, soft maximum, hard maximum. The soft limits are the prior's ends, the hard ones the component's; a
/// negative step freezes.
pub(super) fn line(info: &ParameterInfo, value: f64, prior: Option<&Prior>) -> String {
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
fn bayes(place: &str, prior: &Prior) -> String {
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
    fn links_are_written_without_two_signs() {
        let entry = |scale: f64, offset: f64| MapEntry { free: 0, scale, offset };
        assert_eq!(link(&entry(1.0, 0.0), "p4"), "= p4");
        assert_eq!(link(&entry(-0.5, -2.0), "p4"), "= -0.5*p4 - 2.0");
        assert_eq!(link(&entry(1.0, 0.25), "nxb:p4"), "= nxb:p4 + 0.25");
    }
}
