//! What happens to parameters after the model command: `newpar`, `freeze`, `thaw`, `untie`, `bayes`.

use super::{
    commands::{Says, number, parameter},
    lines::words,
    xcm::{BayesPrior, Parameter, Save},
};

/// More parameters than this are no model's.
const MOST_PARAMETERS: usize = 10_000;

/// Numbers of parameters: `3`, `2-4`, `src:1`; `None` where they are another model's or not understood.
fn places(save: &Save, word: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let own = match word.rsplit_once(':') {
        Some((name, own)) if save.model_name.as_deref() == Some(name) => own,
        Some(_) => return None,
        None => word,
    };
    let (from, to) = own.split_once('-').unwrap_or((own, own));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (1 <= from && from <= to && to <= MOST_PARAMETERS).then_some(from..=to)
}

/// The parameter, with defaults up to it where the model command left them out.
fn slot(save: &mut Save, place: usize) -> Option<&mut Parameter> {
    while save.parameters.len() < place.min(MOST_PARAMETERS) {
        save.parameters.push(Parameter::Default);
    }
    save.parameters.get_mut(place.checked_sub(1)?)
}

/// What it is when it is free of its link.
fn own_numbers(save: &Save, place: usize) -> Vec<f64> {
    match place.checked_sub(1).and_then(|k| save.parameters.get(k)) {
        Some(Parameter::Numbers(numbers)) => numbers.clone(),
        Some(Parameter::Untied { numbers, .. }) => numbers.clone(),
        Some(Parameter::Tied(_)) => save.beneath.get(&place).cloned().unwrap_or_default(),
        Some(Parameter::Default) | None => Vec::new(),
    }
}

/// `newpar`.
pub(super) fn newpar(save: &mut Save, rest: &str, line: usize, at: Says<'_>) {
    let end = rest.find([' ', '\t', '=', ',']).unwrap_or(rest.len());
    let (place, value) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if place == "0" || value.trim().is_empty() {
        return;
    }
    let Some(places) = places(save, place) else {
        save.lose(at("it names no parameter of this model"));
        return;
    };
    let values: Vec<&str> = value.split('&').collect();
    for (k, place) in places.enumerate() {
        let text = values.get(k).or(values.last()).map_or("", |v| v.trim());
        // The comma behind the number is no empty place.
        let text = text.strip_prefix(',').unwrap_or(text);
        let old = own_numbers(save, place);
        save.lines.parameters.insert(place, line);
        match parameter(text) {
            Some(Parameter::Numbers(new)) => {
                let mut numbers = old;
                for (j, x) in new.into_iter().enumerate() {
                    if j >= numbers.len() {
                        numbers.push(f64::NAN);
                    }
                    if x.is_finite() {
                        numbers[j] = x;
                    }
                }
                if let Some(slot) = slot(save, place) {
                    *slot = Parameter::Numbers(numbers);
                }
            }
            Some(Parameter::Tied(tie)) => {
                if let Some(slot) = slot(save, place) {
                    *slot = Parameter::Tied(tie);
                }
                save.beneath.insert(place, old);
            }
            Some(_) => {}
            None => save.lose(at("not understood")),
        }
    }
}

/// `freeze`, `thaw` and `untie`.
pub(super) fn change(save: &mut Save, kind: &str, rest: &str, at: Says<'_>) {
    for word in words(rest) {
        let Some(places) = places(save, &word) else {
            save.lose(at(&format!("{word:?} names no parameter of this model")));
            continue;
        };
        for place in places {
            let mut numbers = own_numbers(save, place);
            let Some(slot) = slot(save, place) else { continue };
            if kind == "untie" {
                if let Parameter::Tied(tie) = slot {
                    *slot = Parameter::Untied { tie: std::mem::take(tie), numbers };
                }
                continue;
            }
            numbers.resize(numbers.len().max(2), f64::NAN);
            // A step that the file does not give: its sign alone matters here.
            let step = Some(numbers[1].abs()).filter(|step| *step > 0.0).unwrap_or(0.01);
            numbers[1] = if kind == "freeze" { -step } else { step };
            match slot {
                // XSPEC leaves a link as it is.
                Parameter::Tied(_) => {}
                Parameter::Untied { numbers: own, .. } => *own = numbers,
                slot => *slot = Parameter::Numbers(numbers),
            }
        }
    }
}

/// `bayes`.
pub(super) fn bayes(save: &mut Save, rest: &str, at: Says<'_>) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words.as_slice() {
        ["off" | "on" | "cons"] | [] => {}
        [place, kind, numbers @ ..] if place.parse::<usize>().is_ok() => {
            let parameter = place.parse().unwrap_or(0);
            save.priors.retain(|prior| prior.parameter != parameter);
            save.priors.push(BayesPrior {
                parameter,
                kind: kind.to_lowercase(),
                numbers: numbers.iter().filter_map(|w| number(w)).collect(),
            });
        }
        _ => save.remark(at("not understood")),
    }
}
