//! `[parameters]`: what the user says of each model parameter, before the model is known.

use crate::model::Prior;
use crate::model::prior::{KINDS, PriorKind, Written};

use super::{
    RunFileError,
    key::{Key, part},
    section::{Section, refuse_unknown},
    tree::{Item, Node},
};

/// One entry of `[parameters]`; its name is `COMPONENT.PARAMETER` as XSPEC spells it.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterEntry {
    /// Frozen at this value.
    Frozen(f64),
    /// As it is written, without limits.
    Free(Prior),
    /// `scale` times the parameter `to`, plus `offset`.
    Tied {
        /// Name of the other parameter.
        to: String,
        /// Factor on the other parameter.
        scale: f64,
        /// Number that is added.
        offset: f64,
    },
}

const VALUE: Key =
    part("value", "the model's", "a finite number", "Frozen at this value; a number alone says the same.");
/// A value, every kind of prior, a tie and its numbers.
const COUNT: usize = KINDS.len() + 4;

const fn keys() -> [Key; COUNT] {
    let mut all = [VALUE; COUNT];
    let mut k = 0;
    while k < KINDS.len() {
        all[k + 1] = part(KINDS[k].name, "none", KINDS[k].numbers, KINDS[k].help);
        k += 1;
    }
    all[k + 1] = part("tie", "none", "the name of a parameter in quotes", "Tied to another parameter.");
    all[k + 2] = part("scale", "1.0", "a finite number", "Factor of a tie.");
    all[k + 3] = part("offset", "0.0", "a finite number", "Added to a tie after its factor.");
    all
}

pub(super) const KEYS: &[Key] = &keys();

/// What an entry may be.
fn expected() -> String {
    let prior = |kind: &PriorKind| {
        let numbers = kind.numbers.split(" with").next().unwrap_or_default().trim_end_matches(',');
        format!("{{ {} = {numbers} }}, ", kind.name)
    };
    let priors: String = KINDS.iter().map(prior).collect();
    format!("a number (frozen), {priors}or {{ tie = \"component.parameter\" }}")
}

/// Reads the section. An unquoted `tbabs.nH = 0.2`, which TOML nests, is understood as the quoted form.
pub(super) fn read(section: &Section<'_>) -> Result<Vec<(String, ParameterEntry)>, RunFileError> {
    let mut entries: Vec<(String, ParameterEntry)> = Vec::new();
    let mut add = |name: String, node: &Node| -> Result<(), RunFileError> {
        if entries.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            return Err(RunFileError::Syntax {
                place: node.place.clone(),
                message: format!("parameters.{name:?} is given twice (capital and small letters do not matter)"),
            });
        }
        let entry = read_entry(section, &format!("{name:?}"), node)?;
        entries.push((name, entry));
        Ok(())
    };
    for (name, place, node) in section.entries() {
        match &node.item {
            Item::Table(inner)
                if !name.contains('.') && !inner.iter().any(|(key, ..)| KEYS.iter().any(|known| known.name == key)) =>
            {
                for (parameter, _, node) in inner {
                    add(format!("{name}.{parameter}"), node)?;
                }
            }
            _ if !name.contains('.') => {
                return Err(RunFileError::Syntax {
                    place: place.clone(),
                    message: format!(
                        "the parameter {name:?} has no component; expected COMPONENT.PARAMETER, for example \"tbabs.nH\""
                    ),
                });
            }
            _ => add(name.clone(), node)?,
        }
    }
    Ok(entries)
}

fn read_entry(section: &Section<'_>, name: &str, node: &Node) -> Result<ParameterEntry, RunFileError> {
    if let Some(value) = node.number() {
        return match value.is_finite() {
            true => Ok(ParameterEntry::Frozen(value)),
            false => Err(section.wrong(name, node, "a finite number")),
        };
    }
    let Item::Table(table) = &node.item else { return Err(section.wrong(name, node, &expected())) };
    refuse_unknown(table, KEYS, &format!("parameters.{name}"))?;
    let kinds: Vec<&str> =
        std::iter::once("value").chain(KINDS.iter().map(|kind| kind.name)).chain(std::iter::once("tie")).collect();
    let mut given = table.iter().filter(|(key, ..)| kinds.contains(&key.as_str()));
    let (Some((kind, _, value)), None) = (given.next(), given.next()) else {
        return Err(section.wrong(name, node, &format!("exactly one of {}", super::tree::quoted(&kinds))));
    };
    let key = format!("{name}.{kind}");
    if kind != "tie"
        && let Some((extra, _, node)) = table.iter().find(|(key, ..)| key == "scale" || key == "offset")
    {
        return Err(section.wrong(&format!("{name}.{extra}"), node, "nothing here: it goes with tie only"));
    }
    let pair = || -> Option<(f64, f64)> {
        let Item::Array(list) = &value.item else { return None };
        match list.as_slice() {
            [a, b] => Some((a.number()?, b.number()?)).filter(|(a, b)| a.is_finite() && b.is_finite()),
            _ => None,
        }
    };
    if let Some(known) = KINDS.iter().find(|known| known.name == kind) {
        let prior = pair().map(|(a, b)| (known.of)(a, b)).filter(|prior| prior.problem().is_none());
        return prior.map(ParameterEntry::Free).ok_or_else(|| section.wrong(&key, value, known.numbers));
    }
    match kind.as_str() {
        "value" => match value.number() {
            Some(value) if value.is_finite() => Ok(ParameterEntry::Frozen(value)),
            _ => Err(section.wrong(&key, value, "a finite number")),
        },
        _ => {
            let Item::Text(to) = &value.item else {
                return Err(section.wrong(&key, value, "the name of a parameter in quotes"));
            };
            let number = |key: &str, default: f64| match table.iter().find(|(name, ..)| name == key) {
                None => Ok(default),
                Some((.., node)) => match node.number() {
                    Some(x) if x.is_finite() => Ok(x),
                    _ => Err(section.wrong(&format!("{name}.{key}"), node, "a finite number")),
                },
            };
            Ok(ParameterEntry::Tied { to: to.clone(), scale: number("scale", 1.0)?, offset: number("offset", 0.0)? })
        }
    }
}

impl ParameterEntry {
    /// As the run file writes it.
    pub(super) fn toml(&self) -> String {
        match self {
            ParameterEntry::Frozen(value) => format!("{value:?}"),
            ParameterEntry::Free(prior) => {
                let Written { kind, numbers: (a, b), .. } = prior.written();
                format!("{{ {} = [{a:?}, {b:?}] }}", kind.name)
            }
            ParameterEntry::Tied { to, scale, offset } => {
                format!("{{ tie = {}, scale = {scale:?}, offset = {offset:?} }}", super::resolved::text(to))
            }
        }
    }
}
