//! `[parameters]`: what the user says of each model parameter, before the model is known.

use super::{
    RunFileError,
    key::{Key, part},
    section::{Section, refuse_unknown},
    tree::{Item, Node},
};

/// One entry of `[parameters]`; its name is `COMPONENT.PARAMETER` as XSPEC spells it.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterEntry {
    Frozen(f64),
    Uniform {
        lo: f64,
        hi: f64,
    },
    /// Uniform in the logarithm; `lo` > 0.
    LogUniform {
        lo: f64,
        hi: f64,
    },
    Normal {
        mean: f64,
        sd: f64,
    },
    /// `mean` and `sd` are those of the natural logarithm of the parameter.
    LogNormal {
        mean: f64,
        sd: f64,
    },
    /// `scale` times the parameter `to`, plus `offset`.
    Tied {
        to: String,
        scale: f64,
        offset: f64,
    },
}

const KINDS: &[&str] = &["value", "uniform", "log_uniform", "normal", "log_normal", "tie"];

pub(super) const KEYS: &[Key] = &[
    part("value", "the model's", "a finite number", "Frozen at this value; a number alone says the same."),
    part("uniform", "none", "[lo, hi] with lo < hi", "Free, with a uniform prior."),
    part("log_uniform", "none", "[lo, hi] with 0 < lo < hi", "Free, with a prior uniform in the logarithm."),
    part("normal", "none", "[mean, sd] with sd > 0", "Free, with a normal prior."),
    part("log_normal", "none", "[mean, sd] with sd > 0", "Free, with a normal prior of the natural logarithm."),
    part("tie", "none", "the name of a parameter in quotes", "Tied to another parameter."),
    part("scale", "1.0", "a finite number", "Factor of a tie."),
    part("offset", "0.0", "a finite number", "Added to a tie after its factor."),
];

const EXPECTED: &str = "a number (frozen), { uniform = [lo, hi] }, { log_uniform = [lo, hi] }, { normal = [mean, sd] }, \
     { log_normal = [mean, sd] of the logarithm }, or { tie = \"component.parameter\" }";

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
    let Item::Table(table) = &node.item else { return Err(section.wrong(name, node, EXPECTED)) };
    refuse_unknown(table, KEYS, &format!("parameters.{name}"))?;
    let mut kinds = table.iter().filter(|(key, ..)| KINDS.contains(&key.as_str()));
    let (Some((kind, _, value)), None) = (kinds.next(), kinds.next()) else {
        return Err(section.wrong(name, node, &format!("exactly one of {}", super::tree::quoted(KINDS))));
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
    let bounds = || pair().filter(|(lo, hi)| lo < hi);
    let spread = || pair().filter(|(_, sd)| *sd > 0.0);
    match kind.as_str() {
        "value" => match value.number() {
            Some(value) if value.is_finite() => Ok(ParameterEntry::Frozen(value)),
            _ => Err(section.wrong(&key, value, "a finite number")),
        },
        "uniform" => match bounds() {
            Some((lo, hi)) => Ok(ParameterEntry::Uniform { lo, hi }),
            None => Err(section.wrong(&key, value, "[lo, hi] with lo < hi")),
        },
        "log_uniform" => match bounds().filter(|(lo, _)| *lo > 0.0) {
            Some((lo, hi)) => Ok(ParameterEntry::LogUniform { lo, hi }),
            None => Err(section.wrong(&key, value, "[lo, hi] with 0 < lo < hi")),
        },
        "normal" => match spread() {
            Some((mean, sd)) => Ok(ParameterEntry::Normal { mean, sd }),
            None => Err(section.wrong(&key, value, "[mean, sd] with sd > 0")),
        },
        "log_normal" => match spread() {
            Some((mean, sd)) => Ok(ParameterEntry::LogNormal { mean, sd }),
            None => Err(section.wrong(&key, value, "[mean, sd] of the natural logarithm, with sd > 0")),
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
            ParameterEntry::Uniform { lo, hi } => format!("{{ uniform = [{lo:?}, {hi:?}] }}"),
            ParameterEntry::LogUniform { lo, hi } => format!("{{ log_uniform = [{lo:?}, {hi:?}] }}"),
            ParameterEntry::Normal { mean, sd } => format!("{{ normal = [{mean:?}, {sd:?}] }}"),
            ParameterEntry::LogNormal { mean, sd } => format!("{{ log_normal = [{mean:?}, {sd:?}] }}"),
            ParameterEntry::Tied { to, scale, offset } => {
                format!("{{ tie = {}, scale = {scale:?}, offset = {offset:?} }}", super::resolved::text(to))
            }
        }
    }
}
