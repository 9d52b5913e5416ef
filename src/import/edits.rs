//! What happens to parameters after the model command: `newpar`, `freeze`, `thaw`, `untie`, `bayes`.

use super::{
    commands::{Says, number, parameter},
    lines::words,
    xcm::{BayesPrior, Parameter, Save, SourceModel},
};

/// More parameters than this are no model's.
const MOST_PARAMETERS: usize = 10_000;

/// The place of a model and numbers of its parameters: `3`, `2-4`, `nxb:1`; `None` where there is no such model or they are not understood.
fn places(save: &Save, word: &str) -> Option<(usize, std::ops::RangeInclusive<usize>)> {
    let (name, own) = word.rsplit_once(':').map_or((None, word), |(name, own)| (Some(name), own));
    // `:3` is of the model without a name.
    let model = save.model_called(name.filter(|name| !name.is_empty()))?;
    let (from, to) = own.split_once('-').unwrap_or((own, own));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (1 <= from && from <= to && to <= MOST_PARAMETERS).then_some((model, from..=to))
}

/// The parameter, with defaults up to it where the model command left them out.
fn slot(model: &mut SourceModel, place: usize) -> Option<&mut Parameter> {
    while model.parameters.len() < place.min(MOST_PARAMETERS) {
        model.parameters.push(Parameter::Default);
    }
    model.parameters.get_mut(place.checked_sub(1)?)
}

/// What it is when it is free of its link.
fn own_numbers(model: &SourceModel, place: usize) -> Vec<f64> {
    match place.checked_sub(1).and_then(|k| model.parameters.get(k)) {
        Some(Parameter::Numbers(numbers)) => numbers.clone(),
        Some(Parameter::Untied { numbers, .. }) => numbers.clone(),
        Some(Parameter::Tied(_)) => model.beneath.get(&place).cloned().unwrap_or_default(),
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
    let Some((at_model, places)) = places(save, place) else {
        save.lose(at("it names no parameter of a model"));
        return;
    };
    let values: Vec<&str> = value.split('&').collect();
    for (k, place) in places.enumerate() {
        let text = values.get(k).or(values.last()).map_or("", |v| v.trim());
        // The comma behind the number is no empty place.
        let text = text.strip_prefix(',').unwrap_or(text);
        let model = &mut save.models[at_model];
        let old = own_numbers(model, place);
        model.lines.insert(place, line);
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
                if let Some(slot) = slot(model, place) {
                    *slot = Parameter::Numbers(numbers);
                }
            }
            Some(Parameter::Tied(tie)) => {
                if let Some(slot) = slot(model, place) {
                    *slot = Parameter::Tied(tie);
                }
                model.beneath.insert(place, old);
            }
            Some(_) => {}
            None => save.lose(at("not understood")),
        }
    }
}

/// `freeze`, `thaw` and `untie`.
pub(super) fn change(save: &mut Save, kind: &str, rest: &str, at: Says<'_>) {
    for word in words(rest) {
        let Some((at_model, places)) = places(save, &word) else {
            save.lose(at(&format!("{word:?} names no parameter of a model")));
            continue;
        };
        let model = &mut save.models[at_model];
        for place in places {
            let mut numbers = own_numbers(model, place);
            let Some(slot) = slot(model, place) else { continue };
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
        [place, kind, numbers @ ..] if places(save, place).is_some_and(|(_, own)| own.start() == own.end()) => {
            let Some((at_model, own)) = places(save, place) else { return };
            let (parameter, priors) = (*own.start(), &mut save.models[at_model].priors);
            priors.retain(|prior| prior.parameter != parameter);
            priors.push(BayesPrior {
                parameter,
                kind: kind.to_lowercase(),
                numbers: numbers.iter().filter_map(|w| number(w)).collect(),
            });
        }
        _ => save.remark(at("not understood")),
    }
}
