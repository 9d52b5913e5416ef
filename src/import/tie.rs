//! The links of a save file (`= 2*(p4+1)`): read as expressions, reduced to scale and offset where that is what they are.
//!
//! A run file ties a parameter to ONE other as scale * p + offset. What is not linear in exactly one parameter is refused with
//! the reason; nothing is guessed.

use std::collections::BTreeMap;

/// A parameter by its number, `p4`, or that of a named model, `bkg:p4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Name of the model, where it is said.
    pub model: Option<String>,
    /// Number, from 1.
    pub number: usize,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.model {
            Some(model) => write!(f, "{model}:p{}", self.number),
            None => write!(f, "p{}", self.number),
        }
    }
}

/// What a link comes to: `scale` times another parameter plus `offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tie {
    /// The other parameter.
    pub parameter: Id,
    /// Factor on the other parameter.
    pub scale: f64,
    /// Number that is added.
    pub offset: f64,
}

/// What a link is.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// A number, whatever the parameters are: `7.1`, `0*p4`.
    Constant(f64),
    /// It follows one parameter.
    Tie(Tie),
}

/// An arithmetic expression of numbers and parameters.
#[derive(Debug, Clone)]
enum Expression {
    Number(f64),
    /// `p4`, `bkg:p4`.
    Parameter(Id),
    Negative(Box<Expression>),
    /// One of `+ - * / ^`.
    Binary(char, Box<Expression>, Box<Expression>),
    Call(Function, Box<Expression>),
}

/// A function of XSPEC's expressions, by its name there.
#[derive(Debug, Clone, Copy)]
struct Function {
    name: &'static str,
    of: fn(f64) -> f64,
}

/// XSPEC's functions of one number; LOG is that of base 10 there, LN the natural one, and the angles of SIND and its kin are degrees.
const FUNCTIONS: &[Function] = &[
    Function { name: "exp", of: f64::exp },
    Function { name: "ln", of: f64::ln },
    Function { name: "log", of: f64::log10 },
    Function { name: "log10", of: f64::log10 },
    Function { name: "sqrt", of: f64::sqrt },
    Function { name: "abs", of: f64::abs },
    Function { name: "int", of: f64::trunc },
    Function { name: "sin", of: f64::sin },
    Function { name: "cos", of: f64::cos },
    Function { name: "tan", of: f64::tan },
    Function { name: "sind", of: |x| x.to_radians().sin() },
    Function { name: "cosd", of: |x| x.to_radians().cos() },
    Function { name: "tand", of: |x| x.to_radians().tan() },
    Function { name: "asin", of: f64::asin },
    Function { name: "acos", of: f64::acos },
    Function { name: "atan", of: f64::atan },
    Function { name: "sinh", of: f64::sinh },
    Function { name: "cosh", of: f64::cosh },
    Function { name: "tanh", of: f64::tanh },
];

/// Brackets and signs deeper than this are refused: recursion stays bounded.
const DEEPEST: usize = 100;

/// Reads what stands behind the `=` and reduces it.
///
/// A whole number alone is the number of a parameter, as in files of XSPEC 11 (`= 4`) and of named models (`= bkg:4`). The error says why it is no tie.
pub fn read(text: &str) -> Result<Link, String> {
    let text = text.trim();
    if let Some(parameter) = alone(text) {
        return Ok(Link::Tie(Tie { parameter, scale: 1.0, offset: 0.0 }));
    }
    let mut parser = Parser { text, at: 0, depth: 0, parameters: false, whole: None };
    let expression = parser.whole_text()?;
    if !parser.parameters
        && let Some(whole) = &parser.whole
    {
        // XSPEC 11 reads the first whole number as a parameter's, XSPEC 12 as a number.
        let value = evaluate(&expression, &|_| None).filter(|x| x.is_finite());
        let value = value.map_or(String::new(), |value| format!(", and {value:?} for what it comes to as numbers"));
        return Err(format!(
            "it names no parameter, and its {whole} is parameter {whole} in XSPEC 11 and a number in XSPEC 12; write p{whole} for the parameter{value}"
        ));
    }
    let linear = reduce(&expression)?;
    let Linear { offset, of } = linear;
    let mut of = of.into_iter();
    let link = match (of.next(), of.next()) {
        (None, _) => Link::Constant(offset),
        (Some((parameter, scale)), None) => Link::Tie(Tie { parameter, scale, offset }),
        (Some((a, _)), Some((b, _))) => return Err(format!("it depends on several parameters ({a}, {b})")),
    };
    match &link {
        Link::Tie(tie) if !tie.scale.is_finite() => Err("its value is not finite".into()),
        _ if !offset.is_finite() => Err("its value is not finite".into()),
        _ => Ok(link),
    }
}

/// The parameter of a link that is nothing else: `4`, `bkg:4`.
fn alone(text: &str) -> Option<Id> {
    let (model, number) = text.rsplit_once(':').map_or((None, text), |(model, number)| (Some(model), number));
    let number = number.parse::<usize>().ok()?;
    let plain = |name: &str| !name.is_empty() && name.chars().all(is_of_name);
    match model {
        Some(name) if plain(name) => Some(Id { model: Some(name.into()), number }),
        Some(_) => None,
        None => Some(Id { model: None, number }),
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The value of a link where `parameter` gives the values of the parameters; `None` when one of them has none.
pub fn value(text: &str, parameter: &dyn Fn(&Id) -> Option<f64>) -> Option<f64> {
    if let Some(id) = alone(text.trim()) {
        return parameter(&id);
    }
    let mut parser = Parser { text: text.trim(), at: 0, depth: 0, parameters: false, whole: None };
    evaluate(&parser.whole_text().ok()?, parameter).filter(|x| x.is_finite())
}

fn evaluate(expression: &Expression, parameter: &dyn Fn(&Id) -> Option<f64>) -> Option<f64> {
    Some(match expression {
        Expression::Number(x) => *x,
        Expression::Parameter(id) => parameter(id)?,
        Expression::Negative(inner) => -evaluate(inner, parameter)?,
        Expression::Call(function, inner) => (function.of)(evaluate(inner, parameter)?),
        Expression::Binary(sign, a, b) => binary(*sign, evaluate(a, parameter)?, evaluate(b, parameter)?),
    })
}

fn binary(sign: char, a: f64, b: f64) -> f64 {
    match sign {
        '+' => a + b,
        '-' => a - b,
        '*' => a * b,
        '/' => a / b,
        _ => a.powf(b),
    }
}

/// offset + sum of scale * parameter.
struct Linear {
    offset: f64,
    of: BTreeMap<Id, f64>,
}

impl Linear {
    fn number(offset: f64) -> Linear {
        Linear { offset, of: BTreeMap::new() }
    }

    fn constant(&self) -> Option<f64> {
        self.of.is_empty().then_some(self.offset)
    }

    fn scaled(mut self, by: impl Fn(f64) -> f64) -> Linear {
        self.offset = by(self.offset);
        self.of.values_mut().for_each(|scale| *scale = by(*scale));
        self.of.retain(|_, scale| *scale != 0.0);
        self
    }

    /// `p4`, or `p4, p5`.
    fn names(&self) -> String {
        self.of.keys().map(Id::to_string).collect::<Vec<_>>().join(", ")
    }
}

fn reduce(expression: &Expression) -> Result<Linear, String> {
    Ok(match expression {
        Expression::Number(x) => Linear::number(*x),
        Expression::Parameter(id) => Linear { offset: 0.0, of: BTreeMap::from([(id.clone(), 1.0)]) },
        Expression::Negative(inner) => reduce(inner)?.scaled(|x| -x),
        Expression::Call(function, inner) => {
            let inner = reduce(inner)?;
            match inner.constant() {
                Some(x) => Linear::number((function.of)(x)),
                None => return Err(format!("{}({}) is not linear", function.name, inner.names())),
            }
        }
        Expression::Binary(sign, a, b) => {
            let (a, b) = (reduce(a), reduce(b));
            let is = |side: &Result<Linear, String>, number: f64| {
                side.as_ref().is_ok_and(|side| side.constant() == Some(number))
            };
            match sign {
                // What stands beside need not be linear: 0*log(p4), log(p4)^0.
                '*' if (is(&a, 0.0) && b.is_err()) || (is(&b, 0.0) && a.is_err()) => return Ok(Linear::number(0.0)),
                '^' if is(&b, 0.0) => return Ok(Linear::number(1.0)),
                _ => {}
            }
            let (a, b) = (a?, b?);
            match (sign, a.constant(), b.constant()) {
                (_, Some(x), Some(y)) => Linear::number(binary(*sign, x, y)),
                ('+' | '-', ..) => {
                    let mut sum = a;
                    sum.offset = binary(*sign, sum.offset, b.offset);
                    for (n, scale) in b.of {
                        let own = sum.of.entry(n).or_insert(0.0);
                        *own = binary(*sign, *own, scale);
                    }
                    sum.of.retain(|_, scale| *scale != 0.0);
                    sum
                }
                ('*', Some(x), None) => b.scaled(|y| x * y),
                ('*', None, Some(y)) | ('^', None, Some(y)) if *sign == '*' || y == 1.0 => a.scaled(|x| x * y),
                ('/', None, Some(y)) => a.scaled(|x| x / y),
                ('*', ..) => {
                    return Err(format!("a product of parameters ({} and {}) is not linear", a.names(), b.names()));
                }
                ('/', ..) => return Err(format!("a division by {} is not linear", b.names())),
                _ => {
                    let names = if a.of.is_empty() { b.names() } else { a.names() };
                    return Err(format!("a power with {names} is not linear"));
                }
            }
        }
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// A parameter was named.
    parameters: bool,
    /// The first number without point or exponent.
    whole: Option<String>,
}

impl Parser<'_> {
    fn whole_text(&mut self) -> Result<Expression, String> {
        let expression = self.sum()?;
        match self.peek() {
            None => Ok(expression),
            Some(c) => Err(format!("{c:?} is not expected there")),
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn sum(&mut self) -> Result<Expression, String> {
        let mut left = self.product()?;
        while let Some(sign @ ('+' | '-')) = self.peek() {
            self.at += 1;
            left = Expression::Binary(sign, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.signed()?;
        loop {
            match self.peek() {
                // `**` is a power.
                Some('*') if self.rest().starts_with("**") => return Ok(left),
                Some(sign @ ('*' | '/')) => {
                    self.at += 1;
                    left = Expression::Binary(sign, Box::new(left), Box::new(self.signed()?));
                }
                _ => return Ok(left),
            }
        }
    }

    fn signed(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".into());
        }
        let expression = match self.peek() {
            Some('-') => {
                self.at += 1;
                Expression::Negative(Box::new(self.signed()?))
            }
            Some('+') => {
                self.at += 1;
                self.signed()?
            }
            _ => self.power()?,
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn power(&mut self) -> Result<Expression, String> {
        let base = self.atom()?;
        let length = match self.peek() {
            Some('^') => 1,
            Some('*') if self.rest().starts_with("**") => 2,
            _ => return Ok(base),
        };
        self.at += length;
        Ok(Expression::Binary('^', Box::new(base), Box::new(self.signed()?)))
    }

    fn atom(&mut self) -> Result<Expression, String> {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.close()?;
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            Some(c) => Err(format!("{c:?} is not expected there")),
            None => Err("it ends too early".into()),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(')') => {
                self.at += 1;
                Ok(())
            }
            Some(',') => Err("functions of several arguments have no counterpart".into()),
            _ => Err("a bracket is never closed".into()),
        }
    }

    /// `1`, `1.5`, `.5`, `1e-3`, `1.5D0`.
    fn number(&mut self) -> Result<Expression, String> {
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        let mut end = digits(0);
        let mut whole = true;
        if bytes.get(end) == Some(&b'.') {
            end += 1;
            end += digits(end);
            whole = false;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E' | b'd' | b'D')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
                whole = false;
            }
        }
        let text = self.rest().get(..end).unwrap_or("").to_lowercase().replace('d', "e");
        let value = text.parse::<f64>().map_err(|_| format!("{text:?} is no number"))?;
        self.at += end;
        if whole && self.whole.is_none() {
            self.whole = Some(text);
        }
        Ok(Expression::Number(value))
    }

    /// Letters, digits and underscores.
    fn word(&mut self) -> String {
        let rest = self.rest();
        let length = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or("").to_string();
        self.at += length;
        word
    }

    fn name(&mut self) -> Result<Expression, String> {
        let word = self.word();
        if self.peek() == Some(':') {
            self.at += 1;
            let own = self.word().to_lowercase();
            let number = own.strip_prefix('p').unwrap_or(&own).parse::<usize>();
            let Ok(number) = number else { return Err(format!("{word}:{own} names no parameter of a model")) };
            self.parameters = true;
            return Ok(Expression::Parameter(Id { model: Some(word), number }));
        }
        let name = word.to_lowercase();
        if let Some(number) = name.strip_prefix('p').and_then(|n| n.parse::<usize>().ok()) {
            self.parameters = true;
            return Ok(Expression::Parameter(Id { model: None, number }));
        }
        let function = FUNCTIONS.iter().find(|f| f.name == name);
        let Some(function) = function.filter(|_| self.peek() == Some('(')) else {
            return Err(format!("{name:?} is neither a parameter (p1, p2, ...) nor a function known here"));
        };
        self.at += 1;
        let inner = self.sum()?;
        self.close()?;
        Ok(Expression::Call(*function, Box::new(inner)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tie(text: &str) -> Tie {
        match read(text) {
            Ok(Link::Tie(tie)) => tie,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn everything_linear_in_one_parameter_is_reduced() {
        for (text, scale, offset) in [
            ("2*(p4+1)", 2.0, 2.0),
            ("p4/(1+0.0175)", 1.0 / 1.0175, 0.0),
            ("10-(p4-1)", -1.0, 11.0),
            ("((P4)*2)/(4)", 0.5, 0.0),
            ("p4*1.0e0+1e-1", 1.0, 0.1),
            ("-p4+10", -1.0, 10.0),
            ("--p4", 1.0, 0.0),
            ("p4*2^3**1", 8.0, 0.0),
            ("p4 + p1 - p1", 1.0, 0.0),
            ("3*p4^1 - sqrt(4)", 3.0, -2.0),
            ("p4*1.5D+1", 15.0, 0.0),
            ("2e0*-p4", -2.0, 0.0),
            ("4", 1.0, 0.0),
        ] {
            let Tie { parameter, scale: s, offset: o } = tie(text);
            assert_eq!(parameter.to_string(), "p4", "{text}");
            assert!((s - scale).abs() < 1e-15 && (o - offset).abs() < 1e-15, "{text}: {s} {o}");
        }
    }

    #[test]
    fn what_no_parameter_changes_is_a_number() {
        for (text, number) in [
            ("7.1", 7.1),
            ("0*p2", 0.0),
            ("p2*0 + 1.5", 1.5),
            ("0/4*p2 - (3)", -3.0),
            ("p4-p4+2", 2.0),
            ("2*(p1+p4)-p1-2*p4-p1", 0.0),
            ("0*log(p4)", 0.0),
            ("p4*p1*0", 0.0),
            ("p4^0", 1.0),
            ("sqrt(0*p4+4)", 2.0),
            ("0*p4*p1 + 0*nxb:p3", 0.0),
        ] {
            assert_eq!(read(text), Ok(Link::Constant(number)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (text, says) in [
            ("1/p4", "division by p4"),
            ("p4^2", "power with p4"),
            ("p4*p1", "product of parameters"),
            ("p4*p4", "product of parameters"),
            ("p4+p1", "several parameters (p1, p4)"),
            ("log10(p4)", "log10(p4)"),
            ("max(p4,2)", "neither a parameter"),
            ("4*2", "its 4 is parameter 4 in XSPEC 11"),
            ("0.5*3+1", "write p3 for the parameter, and 2.5 for what it comes to"),
            ("p4/0", "not finite"),
            ("0*p4/0", "not finite"),
            ("ln(0.0)", "not finite"),
            ("p4+", "ends too early"),
            ("(p4", "never closed"),
            ("p4)", "not expected"),
            ("2 p4", "not expected"),
            ("bkg:p4+bkg:p1", "several parameters (bkg:p1, bkg:p4)"),
            ("p4+bkg:p4", "several parameters (p4, bkg:p4)"),
            ("bkg:x", "names no parameter"),
            (":4", "not expected"),
            ("$x", "not expected"),
            ("", "ends too early"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(read(&"(".repeat(100_000)).is_err() && read(&"-".repeat(100_000)).is_err());
    }

    #[test]
    fn parameters_of_other_models_have_its_name() {
        let id = |model: &str, number| Id { model: Some(model.into()), number };
        for (text, wanted, scale, offset) in [
            ("bkg:p4", id("bkg", 4), 1.0, 0.0),
            ("bkg:4", id("bkg", 4), 1.0, 0.0),
            ("2*Nxb_1:p3 - 0.5", id("Nxb_1", 3), 2.0, -0.5),
            ("(p5:p2)/4", id("p5", 2), 0.25, 0.0),
        ] {
            assert_eq!(tie(text), Tie { parameter: wanted, scale, offset }, "{text}");
        }
        let of = |wanted: &Id| (*wanted == id("bkg", 2)).then_some(5.0);
        assert_eq!(
            (value("bkg:2", &of), value("exp(0)*bkg:p2^2", &of), value("p2", &of)),
            (Some(5.0), Some(25.0), None)
        );
    }

    #[test]
    fn the_value_needs_no_linearity() {
        let of = |id: &Id| [3.0, 0.5].get(id.number.wrapping_sub(1)).copied();
        assert_eq!(value("p1^2/p2", &of), Some(18.0));
        assert_eq!(value("p3", &of), None);
        assert_eq!(value("1", &of), Some(3.0));
        assert_eq!(value("1/(p1-3)", &of), None);
    }
}
