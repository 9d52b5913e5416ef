//! `[model]`, `[models.NAME]` and `[parameters]` of a save file.

use super::{
    blocks::Blocks,
    gain, named,
    write::{Said, commented, quoted},
    xcm::{Parameter, Save},
};
use crate::{
    atomic,
    model::{Extensions, Model, ModelError, ParameterInfo, Settings},
};
use std::path::{Path, PathBuf};

/// `[model]` with the tables of named models, and `[parameters]`.
pub(super) fn text(
    save: &Save,
    found: &dyn Fn(&str) -> Option<PathBuf>,
    target: Option<&Path>,
    said: &mut Said,
) -> (String, String) {
    let mut out = String::from("[model]\n");
    let main = &save.models[0];
    let expression = main.expression.clone().unwrap_or_default();
    // XSPEC's defaults where the file says nothing.
    let (mut abund, mut xsect) = ("angr".to_string(), "vern".to_string());
    if let Some(name) = save.abund.as_ref().map(|a| a.split_whitespace().next().unwrap_or("").to_string()) {
        if atomic::abundance_tables().contains(&name.as_str()) {
            abund = name;
        } else {
            said.remark(format!("abund {name}: no such table here; {abund} stands in"));
        }
    }
    if let Some(name) = &save.xsect {
        match name.as_str() {
            "vern" | "bcmc" | "obcm" => xsect.clone_from(name),
            other => said.remark(format!("xsect {other}: no such table here; {xsect} stands in")),
        }
    }
    out.push_str(&format!("expression     = {}\n", quoted(&expression)));
    out.push_str(&format!("abundances     = {}\ncross_sections = {}\n", quoted(&abund), quoted(&xsect)));
    let mut list = String::from("[parameters]\n");
    if expression.is_empty() {
        let further = save.models.iter().any(|model| model.expression.is_some());
        said.lose(if further { "the first source has no model" } else { "there is no model command" }.into());
        return (out, list);
    }
    let find_file = |name: &str| found(name).ok_or_else(|| "no such file beside the save file".to_string());
    let extensions = Extensions { find_file: Some(&find_file), ..Extensions::default() };
    let settings = Settings::new(&abund, &xsect);
    let parse = |text: &str| settings.clone().and_then(|settings| Model::parse_with(text, &settings, &extensions));
    let mut models: Vec<(usize, Vec<ParameterInfo>)> = Vec::new();
    for (place, own) in save.models.iter().enumerate() {
        if place > 0 {
            let Some(table) = named::table(save, own, found, target, said) else { continue };
            out.push_str(&table);
        }
        match parse(own.expression.as_deref().unwrap_or_default()) {
            Ok(model) => models.push((place, model.parameters().to_vec())),
            Err(error) => {
                let which =
                    if place == 0 { "the model".into() } else { format!("the model {}", named::name(save, own)) };
                let error = with_definitions(save, &error);
                let text = format!("{which} is not understood here, so its parameters are only listed: {error}");
                match place {
                    0 => said.lose(text),
                    // The expression itself is what the run file stumbles over.
                    _ => said.lose_unmarked(text),
                }
                let prefix = if place == 0 { String::new() } else { format!("{}:", named::name(save, own)) };
                for (k, parameter) in own.parameters.iter().enumerate() {
                    list.push_str(&format!("# {prefix}p{}: {}\n", k + 1, commented(&as_written(parameter))));
                }
                if place == 0 {
                    return (out, list);
                }
            }
        }
    }
    named::without_model(save, said);
    let blocks = Blocks::new(save, &models, said);
    let settings = blocks.settings(save, said);
    let of_responses = gain::entries(save, said);
    let unseen = named::unseen(save, models.first().map_or(&[], |(_, infos)| infos));
    for (name, entry, comment) in blocks.entries(&settings).into_iter().chain(unseen).chain(of_responses) {
        let comment = if comment.is_empty() { String::new() } else { format!("   # {}", commented(&comment)) };
        list.push_str(&format!("{} = {entry}{comment}\n", quoted(&name)));
    }
    (out, list)
}

/// The model's mistake, with what `mdefine` has to do with it.
fn with_definitions(save: &Save, error: &ModelError) -> String {
    let text = error.to_string();
    match save.defined.iter().find(|name| !name.is_empty() && text.to_lowercase().contains(&format!("'{name}'"))) {
        Some(name) => format!("{text}\n('{name}' is defined by mdefine, which is not carried over)"),
        None => text,
    }
}

/// A parameter as a save file has it.
fn as_written(parameter: &Parameter) -> String {
    let list = |numbers: &[f64]| {
        let one = |x: &f64| if x.is_finite() { format!("{x}") } else { "(default)".into() };
        numbers.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    match parameter {
        Parameter::Numbers(numbers) => list(numbers),
        Parameter::Tied(tie) => format!("= {tie}"),
        Parameter::Untied { tie, numbers } => format!("{} (once = {tie})", list(numbers)),
        Parameter::Default => "(default)".into(),
    }
}
