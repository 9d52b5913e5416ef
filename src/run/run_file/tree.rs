//! A TOML document in which every key and value still knows its line, so that each error can name it.
//!
//! `--set KEY=VALUE` is laid over the same tree before it is read: an override goes through exactly the checks of the
//! file, and its errors name the option instead of a line.

use std::{fmt, ops::Range};

use toml::de::{DeTable, DeValue};

use super::RunFileError;

/// Where a key or value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line (from 1) of the named file, and where in it.
    Line {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The stretch of the line that is meant.
        at: Box<Span>,
    },
    /// A `--set` option, as it was typed.
    Option(String),
}

/// A stretch of a line, with the line's text for a message. Without text nothing is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Text of the line; empty where nothing is shown.
    pub text: String,
    /// Character (from 1) at which it begins, and how many there are.
    pub column: usize,
    /// Characters that are meant.
    pub width: usize,
}

/// Characters of a line that a message shows.
const SHOWN: usize = 100;

impl Span {
    /// The bytes `from..to` of `text`, cut at the end of their line.
    fn of(text: &str, from: usize, to: usize) -> Span {
        let mut from = from.min(text.len());
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        let (before, behind) = text.split_at(from);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = from + behind.find('\n').unwrap_or(behind.len());
        let mut to = to.clamp(from, end);
        while !text.is_char_boundary(to) {
            to -= 1;
        }
        let count = |a: usize, b: usize| text.get(a..b).map_or(0, |part| part.chars().count());
        // Control characters would move the caret.
        let line = text.get(start..end).unwrap_or("").trim_end_matches('\r');
        let line = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Span { text: line, column: 1 + count(start, from), width: count(from, to).max(1) }
    }
}

impl Place {
    /// The beginning of a file, where there is no line to show.
    pub(super) fn top(file: &str) -> Place {
        Place::Line { file: file.to_string(), line: 1, at: Box::default() }
    }

    /// The line with a caret under the place, to stand below a message; empty where there is nothing to show.
    pub(super) fn excerpt(&self) -> String {
        let Place::Line { file, line, at } = self else { return String::new() };
        if at.text.trim().is_empty() {
            return String::new();
        }
        // Of a long line the part around the place.
        let first = at.column.saturating_sub(SHOWN / 2);
        let shown: String = at.text.chars().skip(first).take(SHOWN).collect();
        let width = at.width.min(SHOWN.saturating_sub(at.column - 1 - first)).max(1);
        let (margin, indent) = (line.to_string(), " ".repeat(line.to_string().len()));
        format!(
            "\n {indent}--> {file}:{line}:{}\n {margin} | {}\n {indent} | {}{}",
            at.column,
            shown.trim_end(),
            " ".repeat(at.column - 1 - first),
            "^".repeat(width)
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line { file, line, .. } => write!(f, "{file}, line {line}"),
            Place::Option(text) => write!(f, "--set {text}"),
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub item: Item,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Text(String),
    /// An integer as written; it may be too large for any type that is asked for.
    Integer(i128),
    Float(f64),
    Bool(bool),
    Date(String),
    Array(Vec<Node>),
    Table(Table),
}

/// Entries in the order of the file; the place is that of the key.
pub(super) type Table = Vec<(String, Place, Node)>;

impl Node {
    /// The number in this node, an integer counting as one.
    pub fn number(&self) -> Option<f64> {
        match self.item {
            Item::Integer(i) => Some(i as f64),
            Item::Float(x) => Some(x),
            _ => None,
        }
    }

    /// The numbers in a list of two.
    pub fn pair(&self) -> Option<[f64; 2]> {
        match &self.item {
            Item::Array(items) => match items.as_slice() {
                [a, b] => Some([a.number()?, b.number()?]),
                _ => None,
            },
            _ => None,
        }
    }

    /// What was found, in the words of an error message.
    pub fn describe(&self) -> String {
        match &self.item {
            Item::Text(text) => format!("the text {text:?}"),
            Item::Integer(i) => i.to_string(),
            Item::Float(x) => format!("{x:?}"),
            Item::Bool(b) => b.to_string(),
            Item::Date(text) => format!("the date {text}"),
            Item::Array(list) => match list.len() {
                0 => "an empty list".into(),
                n if list.iter().all(|x| matches!(x.item, Item::Integer(_) | Item::Float(_))) && n <= 4 => {
                    format!("the list [{}]", list.iter().map(Node::describe).collect::<Vec<_>>().join(", "))
                }
                1 => "a list of one element".into(),
                n => format!("a list of {n} elements"),
            },
            Item::Table(table) => {
                format!(
                    "a table with {}",
                    if table.is_empty() { "no keys".into() } else { quoted(table.iter().map(|e| &e.0)) }
                )
            }
        }
    }
}

/// `"a", "b"` for messages.
pub(super) fn quoted<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|n| format!("{:?}", n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Parses `text`; `file` is the name used in messages.
pub(super) fn parse(text: &str, file: &str) -> Result<Table, RunFileError> {
    let line = |span: Range<usize>| Place::Line {
        file: file.to_string(),
        line: 1 + text.as_bytes().iter().take(span.start).filter(|&&b| b == b'\n').count(),
        at: Box::new(Span::of(text, span.start, span.end)),
    };
    match DeTable::parse(text) {
        Ok(table) => Ok(convert_table(table.get_ref(), &line)),
        Err(error) => Err(RunFileError::Syntax {
            place: line(error.span().unwrap_or(0..0)),
            message: error.message().to_string(),
        }),
    }
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| {
            let at = place(key.span());
            // A `[section]` table has no span of its own worth naming: its header's line is the key's.
            let node_at = if matches!(value.get_ref(), DeValue::Table(_)) { at.clone() } else { place(value.span()) };
            (key.get_ref().to_string(), at, convert(value.get_ref(), node_at, place))
        })
        .collect()
}

fn convert(value: &DeValue<'_>, at: Place, place: &dyn Fn(Range<usize>) -> Place) -> Node {
    let item = match value {
        DeValue::String(text) => Item::Text(text.to_string()),
        DeValue::Integer(i) => match i128::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Item::Integer(i),
            Err(_) => Item::Float(f64::INFINITY),
        },
        DeValue::Float(x) => Item::Float(x.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Item::Bool(*b),
        DeValue::Datetime(date) => Item::Date(date.to_string()),
        DeValue::Array(list) => {
            Item::Array(list.iter().map(|x| convert(x.get_ref(), place(x.span()), place)).collect())
        }
        DeValue::Table(table) => Item::Table(convert_table(table, place)),
    };
    Node { item, place: at }
}

/// Lays one `KEY=VALUE` over the tree.
///
/// KEY is the dotted path of the key; everything after `parameters.` is the parameter's name, so it needs no quotes
/// (`parameters.tbabs.nH=0.2`), though TOML's quoted form is understood too. VALUE is a TOML value; what is not one is
/// taken as text, so that `inference.autoencoder.target=twin` works without quotes inside quotes.
pub(super) fn overlay(tree: &mut Table, option: &str) -> Result<(), RunFileError> {
    let at = Place::Option(option.to_string());
    let wrong = |message: &str| RunFileError::Syntax { place: at.clone(), message: message.into() };
    let (key, value) =
        split_assignment(option).ok_or_else(|| wrong("expected KEY=VALUE, for example inference.rounds=3"))?;
    let mut path = split_key(key).ok_or_else(|| wrong("the quotes of the key are not closed"))?;
    if path.iter().any(|part| part.is_empty()) {
        return Err(wrong("the key has an empty part"));
    }
    if path[0] == "parameters" && path.len() > 2 {
        path = vec![path[0].clone(), path[1..].join(".")];
    }
    let node = match DeValue::parse(value) {
        Ok(parsed) => convert(parsed.get_ref(), at.clone(), &|_| at.clone()),
        // Text that begins like a TOML list, table or string was meant as one: its mistake is worth naming.
        Err(error) if value.starts_with(['[', '{', '"', '\'']) => {
            return Err(wrong(&format!("the value is not TOML: {}", error.message())));
        }
        Err(_) => Node { item: Item::Text(value.to_string()), place: at.clone() },
    };
    let Some(last) = path.pop() else { return Err(wrong("the key is empty")) };
    let in_parameters = path.first().is_some_and(|first| first == "parameters");
    path.reverse();
    lay_over(tree, path, &last, &node, in_parameters, &at)
        .map_err(|part| wrong(&format!("{part:?} is not a section of the run file")))
}

/// Puts `node` at `last` below the sections of `path` (the next one last), of a list of sections in each. The error is the part that is no section.
fn lay_over(
    table: &mut Table,
    mut path: Vec<String>,
    last: &str,
    node: &Node,
    in_parameters: bool,
    at: &Place,
) -> Result<(), String> {
    if let Some(part) = path.pop() {
        let index = match table.iter().position(|(name, ..)| *name == part) {
            Some(index) => index,
            None => {
                let empty = Node { item: Item::Table(Vec::new()), place: at.clone() };
                table.push((part.clone(), at.clone(), empty));
                table.len() - 1
            }
        };
        return match &mut table[index].2.item {
            Item::Table(inner) => lay_over(inner, path, last, node, in_parameters, at),
            Item::Array(list) if !list.is_empty() => {
                for one in list {
                    let Item::Table(inner) = &mut one.item else { return Err(part) };
                    lay_over(inner, path.clone(), last, node, in_parameters, at)?;
                }
                Ok(())
            }
            _ => Err(part),
        };
    }
    if in_parameters {
        // XSPEC's names do not depend on case, so the override must replace the entry however it is spelt there.
        table.retain(|(name, ..)| !name.eq_ignore_ascii_case(last));
        if let Some((component, parameter)) = last.split_once('.') {
            for (name, _, node) in table.iter_mut() {
                if let (true, Item::Table(inner)) = (name.eq_ignore_ascii_case(component), &mut node.item) {
                    inner.retain(|(inner_name, ..)| !inner_name.eq_ignore_ascii_case(parameter));
                }
            }
        }
    } else {
        table.retain(|(name, ..)| *name != last);
    }
    table.push((last.to_owned(), at.clone(), node.clone()));
    Ok(())
}

/// Splits at the first `=` outside quotes.
fn split_assignment(option: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (i, c) in option.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '=' if !quoted => return Some((option[..i].trim(), option[i + 1..].trim())),
            _ => {}
        }
    }
    None
}

/// Splits a dotted key; a part in double quotes may hold dots.
fn split_key(key: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in key.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => parts.last_mut()?.push(c),
        }
    }
    (!quoted).then(|| parts.iter().map(|p| p.trim().to_string()).collect())
}
