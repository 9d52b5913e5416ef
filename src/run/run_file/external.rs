//! `[model.external.NAME]`: components that a command of the user's computes.

use super::{
    RunFileError,
    key::{Key, part},
    resolved::text,
    section::{Section, refuse_unknown},
    tree::{Item, Node, Table},
};
use crate::model::{Kind, ParameterInfo, external::ExternalSpec};

pub(super) const KEYS: &[Key] = &[
    part(
        "command",
        "required",
        COMMAND,
        "The command; it is started in the run file's folder and stays for the whole run.",
    ),
    part(
        "kind",
        "\"additive\"",
        "\"additive\" or \"multiplicative\"",
        "What the component is; an additive one has a norm.",
    ),
    part(
        "parameters",
        "none",
        "a table: NAME = { default = 1.0, min = 0.0, max = 10.0 }",
        "Its parameters, in the command's order.",
    ),
    part(
        "workers",
        "as many as there are cores",
        "a whole number from 1 to 4096",
        "Commands that work at the same time.",
    ),
    part("timeout", "60", "a whole number from 1 to 86400", "Seconds that a spectrum may take."),
];

pub(super) const PARAMETER_KEYS: &[Key] = &[
    part(
        "default",
        "required",
        "a finite number from min to max",
        "The value of a parameter that [parameters] does not name.",
    ),
    part("min", "required", "a finite number", "The least value."),
    part("max", "required", "a finite number", "The largest value."),
    part("unit", "none", "a text in quotes", "Its unit, for tables and plots."),
    part("frozen", "false", "true or false", "Whether it is frozen where [parameters] does not name it."),
];

const COMMAND: &str = "a program and its arguments: \"python3 model.py\" or [\"python3\", \"model.py\"]";
/// Seconds that a spectrum may take, by default and at most.
const TIMEOUT: u64 = 60;
const LONGEST: u64 = 86_400;
const MOST_WORKERS: u64 = 4096;

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Node> {
    table.iter().find(|(name, ..)| name == key).map(|(.., node)| node)
}

/// Reads every table below `model.external`.
pub(super) fn read(section: &Section<'_>) -> Result<Vec<ExternalSpec>, RunFileError> {
    let Some(node) = section.get("external") else { return Ok(Vec::new()) };
    let Item::Table(all) = &node.item else {
        return Err(section.wrong("external", node, "tables [model.external.NAME] with command and parameters"));
    };
    all.iter().map(|(name, _, node)| one(section, name, node)).collect()
}

fn one(section: &Section<'_>, name: &str, node: &Node) -> Result<ExternalSpec, RunFileError> {
    let key = |key: &str| format!("external.{name}.{key}");
    let Item::Table(table) = &node.item else {
        return Err(section.wrong(&format!("external.{name}"), node, "a table with command and parameters"));
    };
    refuse_unknown(table, KEYS, &format!("model.external.{name}"))?;
    let whole = |what: &str, default: u64, least: u64, most: u64| match find(table, what) {
        None => Ok(default),
        Some(Node { item: Item::Integer(n), .. }) if (i128::from(least)..=i128::from(most)).contains(n) => {
            Ok(u64::try_from(*n).unwrap_or(default))
        }
        Some(node) => Err(section.wrong(&key(what), node, &format!("a whole number from {least} to {most}"))),
    };
    let command: Option<Vec<String>> = match find(table, "command") {
        None => return Err(section.missing(&key("command"), COMMAND)),
        Some(Node { item: Item::Text(line), .. }) => Some(line.split_whitespace().map(str::to_string).collect()),
        Some(Node { item: Item::Array(words), .. }) => words
            .iter()
            .map(|word| match &word.item {
                Item::Text(word) => Some(word.clone()),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    };
    let command = match (command, find(table, "command")) {
        (Some(words), _) if words.first().is_some_and(|word| !word.is_empty()) => words,
        (_, Some(node)) => return Err(section.wrong(&key("command"), node, COMMAND)),
        (_, None) => return Err(section.missing(&key("command"), COMMAND)),
    };
    let kind = match find(table, "kind").map(|node| (&node.item, node)) {
        None => Kind::Additive,
        Some((Item::Text(text), _)) if text == "additive" => Kind::Additive,
        Some((Item::Text(text), _)) if text == "multiplicative" => Kind::Multiplicative,
        Some((_, node)) => return Err(section.wrong(&key("kind"), node, "\"additive\" or \"multiplicative\"")),
    };
    let parameters = match find(table, "parameters") {
        None => Vec::new(),
        Some(Node { item: Item::Table(list), .. }) => list
            .iter()
            .map(|(parameter, _, node)| {
                one_parameter(section, &key(&format!("parameters.{parameter}")), parameter, node)
            })
            .collect::<Result<_, _>>()?,
        Some(node) => {
            return Err(section.wrong(
                &key("parameters"),
                node,
                "a table: NAME = { default = 1.0, min = 0.0, max = 10.0 }",
            ));
        }
    };
    Ok(ExternalSpec {
        name: name.to_string(),
        command,
        kind,
        parameters,
        workers: usize::try_from(whole("workers", 0, 1, MOST_WORKERS)?).unwrap_or(0),
        timeout: whole("timeout", TIMEOUT, 1, LONGEST)?,
    })
}

fn one_parameter(section: &Section<'_>, key: &str, name: &str, node: &Node) -> Result<ParameterInfo, RunFileError> {
    let Item::Table(table) = &node.item else {
        return Err(section.wrong(key, node, "{ default = 1.0, min = 0.0, max = 10.0 }"));
    };
    refuse_unknown(table, PARAMETER_KEYS, &format!("model.{key}"))?;
    let number = |what: &str| match find(table, what) {
        None => Err(section.wrong(key, node, "default, min and max, all three")),
        Some(node) => match node.number().filter(|x| x.is_finite()) {
            Some(x) => Ok(x),
            None => Err(section.wrong(&format!("{key}.{what}"), node, "a finite number")),
        },
    };
    let (default, min, max) = (number("default")?, number("min")?, number("max")?);
    if !(min <= default && default <= max) {
        return Err(section.wrong(key, node, "min <= default <= max"));
    }
    let unit = match find(table, "unit") {
        None => String::new(),
        Some(Node { item: Item::Text(unit), .. }) => unit.clone(),
        Some(node) => return Err(section.wrong(&format!("{key}.unit"), node, "a text in quotes")),
    };
    let frozen = match find(table, "frozen") {
        None => false,
        Some(Node { item: Item::Bool(frozen), .. }) => *frozen,
        Some(node) => return Err(section.wrong(&format!("{key}.frozen"), node, "true or false")),
    };
    Ok(ParameterInfo { frozen_by_default: frozen, ..ParameterInfo::new(name, &unit, default, min, max) })
}

/// All of them as one inline table.
pub(super) fn toml(all: &[ExternalSpec]) -> String {
    let one = |e: &ExternalSpec| {
        let command: Vec<String> = e.command.iter().map(|word| text(word)).collect();
        let parameter = |p: &ParameterInfo| {
            format!(
                "{} = {{ default = {:?}, min = {:?}, max = {:?}, unit = {}, frozen = {} }}",
                text(&p.name),
                p.default,
                p.hard_min,
                p.hard_max,
                text(&p.unit),
                p.frozen_by_default
            )
        };
        let parameters: Vec<String> = e.parameters.iter().map(parameter).collect();
        let workers = if e.workers == 0 { String::new() } else { format!("workers = {}, ", e.workers) };
        format!(
            "{} = {{ command = [{}], kind = {}, {workers}timeout = {}, parameters = {{ {} }} }}",
            text(&e.name),
            command.join(", "),
            text(e.kind.word()),
            e.timeout,
            parameters.join(", ")
        )
    };
    format!("{{ {} }}", all.iter().map(one).collect::<Vec<_>>().join(", "))
}
