//! XSPEC model expressions: text to a type-checked tree.
//!
//! A product reads from right to left, as XSPEC does: a convolution acts on everything to its right in its product, so
//! `tbabs*zashift*(a+b)` absorbs in the observer's frame and `zashift*tbabs*(a+b)` in the source's. Factors side by side are
//! multiplied, as there: `constant tbabs(powerlaw)`, `(powerlaw)etable{file}`.

use super::{
    ModelError, Origin,
    catalogue::{self, Component, Kind, Lookup},
    components::convolution::Convolution,
    extension::Extensions,
    table,
};
use std::sync::Arc;

/// This is a model expression; numbers are positions in [`super::Model::components`].
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A component alone.
    Component(usize),
    /// Photons of two additive expressions.
    Sum(Box<Expr>, Box<Expr>),
    /// A factor and what it multiplies, or two factors.
    Product(Box<Expr>, Box<Expr>),
    /// A convolution component and what it acts on.
    Convolve(usize, Box<Expr>),
}

impl Expr {
    /// Writes the expression with the given component names. Parsing the result gives the same tree.
    pub fn print(&self, names: &[String]) -> String {
        let name = |k: &usize| names.get(*k).map_or("?", String::as_str);
        match self {
            Expr::Component(k) => name(k).to_string(),
            Expr::Convolve(k, inner) => format!("{}({})", name(k), inner.print(names)),
            Expr::Sum(a, b) => match **b {
                Expr::Sum(..) => format!("{}+({})", a.print(names), b.print(names)),
                _ => format!("{}+{}", a.print(names), b.print(names)),
            },
            Expr::Product(a, b) => {
                let bracket = |e: &Expr, needed: bool| {
                    if needed { format!("({})", e.print(names)) } else { e.print(names) }
                };
                let left = bracket(a, matches!(**a, Expr::Sum(..) | Expr::Product(..)));
                format!("{left}*{}", bracket(b, matches!(**b, Expr::Sum(..))))
            }
        }
    }
}

/// Deeper nesting or more components than this is refused: recursion over the tree stays bounded.
const DEEPEST_NESTING: usize = 50;
const MOST_COMPONENTS: usize = 200;

/// A component as it appears in the text.
pub(crate) struct Written {
    pub component: Arc<Component>,
    pub origin: Origin,
    pub text: String,
}

/// Parses and checks; the result is always additive. The components are in order of appearance.
pub(crate) fn parse(text: &str, extensions: &Extensions<'_>) -> Result<(Expr, Vec<Written>), ModelError> {
    let mut parser = Parser { text, at: 0, depth: 0, components: Vec::new(), extensions };
    let whole = parser.sum()?;
    if let Some(c) = parser.peek() {
        let message = match c {
            ')' => "this ')' closes nothing".to_string(),
            _ => format!("expected '*', '+' or the end, found '{c}'"),
        };
        return Err(parser.error(parser.at, c.len_utf8(), message));
    }
    if whole.kind != Kind::Additive {
        return Err(parser.error(
            whole.start,
            whole.end - whole.start,
            "nothing here emits photons: a model needs an additive component (such as powerlaw)".into(),
        ));
    }
    Ok((whole.expr, parser.components))
}

/// A sub-expression with what it is and where it stands (byte offsets).
struct Part {
    expr: Expr,
    kind: Kind,
    start: usize,
    end: usize,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    components: Vec<Written>,
    extensions: &'a Extensions<'a>,
}

impl Parser<'_> {
    fn error(&self, start: usize, length: usize, message: String) -> ModelError {
        // Control characters would break the line that the caret points into.
        let shown: String = self.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let column = self.text.get(..start).unwrap_or(self.text).chars().count();
        let width = self.text.get(start..start + length).map_or(1, |s| s.chars().count()).max(1);
        ModelError::Expression { message, text: shown, marker: format!("{}{}", " ".repeat(column), "^".repeat(width)) }
    }

    fn peek(&mut self) -> Option<char> {
        let rest = self.text.get(self.at..).unwrap_or("");
        let skipped = rest.len() - rest.trim_start().len();
        self.at += skipped;
        rest.trim_start().chars().next()
    }

    fn sum(&mut self) -> Result<Part, ModelError> {
        let mut left = self.product()?;
        while self.peek() == Some('+') {
            let plus = self.at;
            self.at += 1;
            let right = self.product()?;
            for side in [&left, &right] {
                if side.kind != Kind::Additive {
                    return Err(self.error(
                        plus,
                        1,
                        format!(
                            "'+' adds photons, but the term '{}' is {}; multiply it by an additive component",
                            self.text.get(side.start..side.end).unwrap_or("").trim(),
                            side.kind.word()
                        ),
                    ));
                }
            }
            let (start, end) = (left.start, right.end);
            let expr = Expr::Sum(Box::new(left.expr), Box::new(right.expr));
            left = Part { expr, kind: Kind::Additive, start, end };
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Part, ModelError> {
        let mut factors = vec![self.factor()?];
        loop {
            match self.peek() {
                Some('*') => self.at += 1,
                Some(c) if c == '(' || c.is_ascii_alphabetic() => {}
                _ => break,
            }
            factors.push(self.factor()?);
        }
        let Some(mut right) = factors.pop() else {
            return Err(self.error(self.at, 1, "expected a component".into()));
        };
        if right.kind == Kind::Convolution {
            return Err(self.error(
                right.start,
                right.end - right.start,
                "a convolution needs something to act on: write it before an additive component, or as component(...)"
                    .into(),
            ));
        }
        while let Some(left) = factors.pop() {
            right = self.combine(left, right)?;
        }
        Ok(right)
    }

    /// `left` acting on `right`, the rest of its product.
    fn combine(&self, left: Part, right: Part) -> Result<Part, ModelError> {
        let (start, end) = (left.start, right.end);
        if left.kind == Kind::Convolution {
            let Expr::Component(k) = left.expr else {
                return Err(self.error(left.start, 1, "expected a convolution component".into()));
            };
            let name = self.components.get(k).map_or(String::new(), |c| c.component.name.to_lowercase());
            let wanted = if Convolution::of(&name).is_some_and(Convolution::acts_on_factors) {
                Kind::Multiplicative
            } else {
                Kind::Additive
            };
            if right.kind != wanted {
                let message = if wanted == Kind::Additive {
                    "a convolution acts on photons, but what follows it here is only multiplicative".to_string()
                } else {
                    format!("{name} acts on factors, not on photons: write ({name}*absorption)*emission")
                };
                return Err(self.error(left.start, left.end - left.start, message));
            }
            return Ok(Part { expr: Expr::Convolve(k, Box::new(right.expr)), kind: wanted, start, end });
        }
        if left.kind == Kind::Additive && right.kind == Kind::Additive {
            return Err(self.error(
                right.start,
                right.end - right.start,
                "two additive terms cannot be multiplied; use '+'".into(),
            ));
        }
        let additive = left.kind == Kind::Additive || right.kind == Kind::Additive;
        let kind = if additive { Kind::Additive } else { Kind::Multiplicative };
        Ok(Part { expr: Expr::Product(Box::new(left.expr), Box::new(right.expr)), kind, start, end })
    }

    /// The part inside a pair of parentheses; the text position is on '('.
    fn bracket(&mut self) -> Result<Part, ModelError> {
        let open = self.at;
        self.depth += 1;
        if self.depth > DEEPEST_NESTING {
            return Err(self.error(open, 1, format!("more than {DEEPEST_NESTING} nested parentheses")));
        }
        self.at += 1;
        if self.peek() == Some(')') {
            return Err(self.error(open, self.at + 1 - open, "empty parentheses".into()));
        }
        let mut inner = self.sum()?;
        match self.peek() {
            Some(')') => self.at += 1,
            Some(c) => {
                return Err(self.error(self.at, c.len_utf8(), format!("expected '*', '+' or ')', found '{c}'")));
            }
            None => return Err(self.error(open, 1, "this '(' is never closed".into())),
        }
        self.depth -= 1;
        inner.start = open;
        inner.end = self.at;
        Ok(inner)
    }

    fn factor(&mut self) -> Result<Part, ModelError> {
        match self.peek() {
            Some('(') => self.bracket(),
            Some(c) if c.is_ascii_alphabetic() => self.component(),
            Some(c) => {
                let what = if c.is_ascii_digit() {
                    "numbers cannot stand in an expression; use the component 'constant'".to_string()
                } else {
                    format!("expected a component or '(', found '{c}'")
                };
                Err(self.error(self.at, c.len_utf8(), what))
            }
            None => {
                let message = if self.text.trim().is_empty() {
                    "the expression is empty"
                } else {
                    "expected a component or '(', found the end"
                };
                Err(self.error(self.at, 1, message.into()))
            }
        }
    }

    fn component(&mut self) -> Result<Part, ModelError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or("");
        let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let written = rest.get(..length).unwrap_or("");
        self.at += length;
        if let Some(user) = self.extensions.components.iter().find(|c| c.component().name.eq_ignore_ascii_case(written))
        {
            let component = Arc::new(user.component().clone());
            return self.placed(start, component, Origin::User(user.clone()), written.to_string());
        }
        if table::Kind::Channels.name().eq_ignore_ascii_case(written) {
            return self.table(start, table::Kind::Channels);
        }
        let component = match catalogue::find(written) {
            Lookup::Found(component) => component,
            Lookup::Ambiguous(names) => {
                let message = format!("'{written}' could be {}", names.join(", "));
                return Err(self.error(start, length, message));
            }
            Lookup::Elsewhere(near) => {
                let hint = catalogue::elsewhere_hint(near);
                return Err(self.error(start, length, format!("no component '{written}': {hint}")));
            }
            Lookup::Unknown(near) => {
                let hint = near.map_or(String::new(), |n| format!("; did you mean '{n}'?"));
                return Err(self.error(start, length, format!("no component '{written}'{hint}")));
            }
        };
        if let Some(kind) = table::Kind::of(&component.name) {
            return self.table(start, kind);
        }
        if let Some(missing) = component.missing() {
            return Err(self.error(start, length, format!("'{}' is known to XSPEC but {missing}", component.name)));
        }
        self.placed(start, Arc::new(component.clone()), Origin::Catalogue, written.to_string())
    }

    /// `atable{FILE}`; the text position is behind the name.
    fn table(&mut self, start: usize, kind: table::Kind) -> Result<Part, ModelError> {
        let name = kind.name();
        let example = format!("'{name}' needs a file: {name}{{FILE}}");
        if self.peek() != Some('{') {
            return Err(self.error(start, self.at - start, example));
        }
        let open = self.at;
        let rest = self.text.get(open + 1..).unwrap_or("");
        let Some(length) = rest.find('}') else {
            return Err(self.error(open, 1, "this '{' is never closed".into()));
        };
        let file = rest.get(..length).unwrap_or("").trim();
        self.at = open + length + 2;
        if file.is_empty() || file.contains('{') {
            return Err(self.error(open, self.at - open, example));
        }
        let path = self.extensions.find(file).map_err(|message| ModelError::Table { path: file.into(), message })?;
        let table = Arc::new(table::read(&path, kind)?);
        self.placed(start, table.component.clone(), Origin::Table(table), format!("{name}{{{file}}}"))
    }

    /// Takes a component that stands from `start` to the text position, with its argument in parentheses if it has one.
    fn placed(
        &mut self,
        start: usize,
        component: Arc<Component>,
        origin: Origin,
        text: String,
    ) -> Result<Part, ModelError> {
        let length = self.at - start;
        if self.components.len() >= MOST_COMPONENTS {
            return Err(self.error(start, length, format!("more than {MOST_COMPONENTS} components")));
        }
        let index = self.components.len();
        let this = Part { expr: Expr::Component(index), kind: component.kind, start, end: start + length };
        self.components.push(Written { component: component.clone(), origin, text });
        if self.peek() != Some('(') {
            return Ok(this);
        }
        if component.kind == Kind::Additive {
            return Err(self.error(
                start,
                length,
                format!("'{}' is additive and takes no argument in parentheses", component.name),
            ));
        }
        let inner = self.bracket()?;
        let end = inner.end;
        Ok(Part { end, ..self.combine(this, inner)? })
    }
}
