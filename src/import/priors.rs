//! From XSPEC's value, step and limits to a prior, or to a value that stays.

use super::xcm::BayesPrior;
use crate::model::ParameterInfo;

/// How far a prior reaches where XSPEC's limits are only there to keep the fit from running away.
const WIDE: f64 = 100.0;
/// Factor around a norm's value.
const NORM: f64 = 1000.0;

/// What a parameter becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Frozen(f64),
    Uniform(f64, f64),
    LogUniform(f64, f64),
    Normal(f64, f64),
    /// Position of the other parameter, scale, offset.
    Tied(usize, f64, f64),
    /// Nothing that can be run; the text says what XSPEC has.
    Refused(String),
}

/// A setting with what stands behind it in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub entry: Entry,
    pub comment: String,
}

impl Setting {
    pub fn new(entry: Entry, comment: String) -> Setting {
        Setting { entry, comment }
    }
}

/// Two significant digits: a limit that was made up should not look measured.
pub(super) fn round(x: f64) -> f64 {
    format!("{x:.1e}").parse().unwrap_or(x)
}

/// The value of a link that no parameter changes.
///
/// # Errors
/// In words, one outside of the limits.
pub(super) fn constant(info: &ParameterInfo, value: f64) -> Result<f64, String> {
    let limits =
        || format!("{value:?} is outside the limits {:?} .. {:?} that it has here", info.hard_min, info.hard_max);
    // No -0.0 in a run file.
    if info.allows(value) { Ok(value + 0.0) } else { Err(limits()) }
}

/// The value of a parameter that is not tied.
pub(super) fn value(info: &ParameterInfo, numbers: &[f64]) -> f64 {
    numbers.first().copied().filter(|x| x.is_finite()).unwrap_or(info.default)
}

/// Setting of one parameter that is not tied. The remark says what it does not carry.
pub(super) fn setting(
    info: &ParameterInfo,
    numbers: &[f64],
    prior: Option<&BayesPrior>,
    remarks: &mut Vec<String>,
) -> Setting {
    let value = value(info, numbers);
    let given = |k: usize| numbers.get(k).copied().filter(|x| x.is_finite());
    let frozen = given(1).map_or(info.frozen_by_default, |step| step <= 0.0) || info.never_free;
    if !info.allows(value) {
        let limits = format!("the limits {:?} .. {:?} that it has here", info.hard_min, info.hard_max);
        let entry = Entry::Refused(format!("XSPEC has {value:?}, outside {limits}"));
        return Setting::new(entry, String::new());
    }
    if frozen {
        return Setting::new(Entry::Frozen(value), String::new());
    }
    let limit = |k: usize, default: f64| given(k).unwrap_or(default);
    let inside = |x: f64| x.clamp(info.hard_min, info.hard_max);
    let (hard_min, soft_min) = (limit(2, info.hard_min), limit(3, info.soft_min));
    let (soft_max, hard_max) = (limit(4, info.soft_max), limit(5, info.hard_max));
    let says = format!("XSPEC: {value:?}, {soft_min:?} .. {soft_max:?}");
    let holds = |lo: f64, hi: f64| lo <= value && value <= hi;
    if let Some(prior) = prior {
        match (prior.kind.as_str(), prior.numbers.as_slice()) {
            ("gauss", [mean, sd, ..]) if *sd > 0.0 => {
                return Setting::new(Entry::Normal(*mean, *sd), format!("bayes; {says}"));
            }
            ("jeffreys", _) if soft_min > 0.0 && soft_max < 1e20 && holds(soft_min, soft_max) => {
                let entry = Entry::LogUniform(inside(soft_min), inside(soft_max));
                return Setting::new(entry, format!("bayes; {says}"));
            }
            ("cons", _) => {}
            (kind, _) => remarks.push(format!("{}: the prior 'bayes {kind}' has no counterpart", info.name)),
        }
    }
    // A value beyond the soft limits is allowed up to the hard ones, and the prior holds it.
    let (least, most) =
        (if value < soft_min { hard_min } else { soft_min }, if value > soft_max { hard_max } else { soft_max });
    let (least, most) = (inside(least).min(value), inside(most).max(value));
    let widened = if value < soft_min || value > soft_max { "; WIDENED to hold XSPEC's value" } else { "" };
    let confirm = format!("CONFIRM; {says}{widened}");
    if info.is_norm && (value > 0.0 || (value == 0.0 && least >= 0.0)) {
        if value == 0.0 {
            remarks.push(format!("{}: XSPEC's value 0 is outside the log-uniform prior written for it", info.name));
        }
        let middle = if value > 0.0 { value } else { 1e-3 };
        let (lo, hi) = (round(middle / NORM).max(least), round(middle * NORM).min(most));
        if lo > 0.0 && hi > lo && (value == 0.0 || holds(lo, hi)) {
            return Setting::new(Entry::LogUniform(lo, hi), confirm);
        }
    }
    let (mut lo, mut hi) = (least, most);
    let scale = value.abs().max(1e-6);
    // A column density up to 1e5 (1e22 cm-2) is a limit, not an expectation.
    if value != 0.0 && hi > WIDE * scale {
        hi = hi.min(round(10.0 * scale));
    }
    if value != 0.0 && lo < -WIDE * scale {
        lo = lo.max(-round(10.0 * scale));
    }
    if !(lo.is_finite() && hi.is_finite() && lo < hi) {
        remarks.push(format!("{}: XSPEC's limits {soft_min} .. {soft_max} make no prior; it is frozen", info.name));
        return Setting::new(Entry::Frozen(value), confirm);
    }
    Setting::new(Entry::Uniform(lo, hi), confirm)
}

/// Narrows the priors of parameters that others are tied to, so that these stay within their limits, as XSPEC's fit keeps them.
/// A tie whose value leaves the limits already in the file is refused.
pub(super) fn follow_ties(infos: &[ParameterInfo], settings: &mut [Setting], values: &[f64]) {
    for k in 0..infos.len() {
        let (mut at, mut scale, mut offset, mut steps) = (k, 1.0, 0.0, 0);
        while let Some(Entry::Tied(to, s, o)) = settings.get(at).map(|s| s.entry.clone()) {
            offset += scale * o;
            scale *= s;
            at = to;
            steps += 1;
            if steps > infos.len() {
                break;
            }
        }
        let Some(info) = infos.get(k) else { continue };
        if at == k && steps == 0 {
            continue;
        }
        // A circle that only `newpar` can make, and what leads into it: the links of the circle itself were refused by name.
        if steps > infos.len() {
            continue;
        }
        // One that follows what was refused has no value, and what is to be set is told there.
        let Some(value) = values.get(at).map(|x| scale * x + offset).filter(|value| value.is_finite()) else {
            continue;
        };
        if !info.allows(value) {
            if let Some(own) = settings.get_mut(k) {
                let limits = format!("the limits {:?} .. {:?} that it has here", info.hard_min, info.hard_max);
                own.entry = Entry::Refused(format!("XSPEC's tie gives {value:?}, outside {limits}"));
            }
            continue;
        }
        // The same parameter of another data group cannot drive it out of limits that are its own.
        let same_limits = |root: &ParameterInfo| (root.hard_min, root.hard_max) == (info.hard_min, info.hard_max);
        if (scale, offset) == (1.0, 0.0) && infos.get(at).is_some_and(same_limits) {
            continue;
        }
        // The root's values at which the tied parameter is at its limits.
        let ends = [(info.hard_min - offset) / scale, (info.hard_max - offset) / scale];
        let (least, most) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        let Some(setting) = settings.get_mut(at) else { continue };
        if let Entry::Uniform(lo, hi) | Entry::LogUniform(lo, hi) = &mut setting.entry
            && scale != 0.0
        {
            // Rounding must not put the tied parameter beyond its limit.
            let margin = 1e-9 * (least.abs().min(most.abs()) + offset.abs() / scale.abs());
            let (new_lo, new_hi) = (lo.max(least + margin), hi.min(most - margin));
            if (new_lo > *lo || new_hi < *hi) && new_lo < new_hi {
                (*lo, *hi) = (new_lo.max(*lo), new_hi.min(*hi));
                let note = format!("; narrowed for {}", info.name);
                if !setting.comment.contains(&note) {
                    setting.comment.push_str(&note);
                }
            }
        }
    }
}
