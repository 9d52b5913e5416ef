//! Reading the commands of a save file. Tcl is not run: a line that needs it is reported as not understood.

use std::collections::BTreeMap;

/// One parameter as the file gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// Value, step (negative: frozen), hard minimum, soft minimum, soft maximum, hard maximum; as many as are written.
    Numbers(Vec<f64>),
    /// `= 2 * p3 + 1` without the `=`.
    Tied(String),
    /// `/` or `/*`: the component's defaults.
    Default,
}

/// A prior of `bayes N KIND ...`.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesPrior {
    pub parameter: usize,
    pub kind: String,
    pub numbers: Vec<f64>,
}

/// What `ignore` and `notice` leave out, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Data set (from 1); `None`: all.
    pub spectrum: Option<usize>,
    pub notice: bool,
    /// Lower and upper end as written: `**` is `None`; a number with a point is an energy, one without a channel.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// The commands of a save file, sorted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Save {
    /// `cd`.
    pub folder: Option<String>,
    /// Data set number -> file.
    pub data: BTreeMap<usize, String>,
    /// Data set number -> data group.
    pub groups: BTreeMap<usize, usize>,
    pub response: BTreeMap<usize, String>,
    pub arf: BTreeMap<usize, String>,
    pub background: BTreeMap<usize, String>,
    pub selections: Vec<Selection>,
    pub ignore_bad: bool,
    pub statistic: Option<String>,
    pub abund: Option<String>,
    pub xsect: Option<String>,
    pub cosmo: Vec<f64>,
    pub xset: Vec<(String, String)>,
    pub systematic: f64,
    pub expression: Option<String>,
    /// Of all data groups, one after the other.
    pub parameters: Vec<Parameter>,
    pub priors: Vec<BayesPrior>,
    /// What was read but has no place here, with its line.
    pub remarks: Vec<String>,
}

/// Commands about plots, fits and talk, which decide nothing here.
const SILENT: &[&str] = &[
    "method",
    "query",
    "chatter",
    "setplot",
    "cpd",
    "plot",
    "iplot",
    "fit",
    "renorm",
    "error",
    "show",
    "log",
    "parallel",
    "save",
    "exit",
    "quit",
    "time",
    "version",
    "autosave",
    "undo",
    "hardcopy",
    "tclout",
    "parameter",
    "puts",
    "echo",
];

fn number(word: &str) -> Option<f64> {
    word.replace(['D', 'd'], "e").parse::<f64>().ok().filter(|x| x.is_finite())
}

/// `2:1` -> (Some(2), 1); `1` -> (None, 1).
fn pair(word: &str) -> Option<(Option<usize>, usize)> {
    match word.split_once(':') {
        Some((a, b)) => Some((Some(a.parse().ok()?), b.parse().ok()?)),
        None => Some((None, word.parse().ok()?)),
    }
}

/// XSPEC takes any unambiguous abbreviation; these are what people write.
fn command(word: &str) -> String {
    let word = word.to_lowercase();
    let full = [
        ("model", 2),
        ("data", 2),
        ("response", 4),
        ("arf", 3),
        ("backgrnd", 4),
        ("background", 5),
        ("ignore", 2),
        ("notice", 3),
        ("statistic", 4),
        ("abund", 4),
        ("xsect", 3),
        ("cosmo", 3),
        ("newpar", 3),
        ("freeze", 3),
        ("thaw", 3),
        ("untie", 3),
        ("systematic", 3),
        ("bayes", 3),
        ("query", 3),
        ("method", 3),
        ("weight", 3),
        ("energies", 3),
    ];
    let found = full.iter().find(|(name, least)| word.len() >= *least && name.starts_with(word.as_str()));
    match found {
        Some(("background", _)) => "backgrnd".into(),
        Some((name, _)) => (*name).into(),
        None => word,
    }
}

/// Whether a line goes on with the parameters of the model command above it.
fn is_parameter(line: &str) -> bool {
    line.starts_with(['=', '/', '+', '-', '.']) || line.starts_with(|c: char| c.is_ascii_digit())
}

fn parameter(text: &str) -> Option<Parameter> {
    let text = text.trim();
    if let Some(tie) = text.strip_prefix('=') {
        return Some(Parameter::Tied(tie.trim().to_string()));
    }
    if text.is_empty() || text.starts_with('/') {
        return Some(Parameter::Default);
    }
    // A `/` behind the numbers keeps the rest as it is.
    let words = text.split([' ', '\t', ',']).filter(|w| !w.is_empty()).take_while(|w| !w.starts_with('/'));
    words.map(number).collect::<Option<Vec<f64>>>().map(Parameter::Numbers)
}

/// Reads a save file. Never fails: what is not understood becomes a remark with its line.
pub fn parse(text: &str) -> Save {
    let mut save = Save::default();
    let mut in_model = false;
    // A foreign model's parameters (`model 2:back ...`) are passed over with it.
    let mut skipping = false;
    for (k, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim().trim_end_matches('\\').trim();
        if line.is_empty() {
            continue;
        }
        let mut remark = |what: &str| save.remarks.push(format!("line {}: {what}: {line}", k + 1));
        if (in_model || skipping) && is_parameter(line) {
            if skipping {
                continue;
            }
            match parameter(line) {
                Some(parameter) => save.parameters.push(parameter),
                None => {
                    remark("not understood as a parameter");
                    save.parameters.push(Parameter::Default);
                }
            }
            continue;
        }
        (in_model, skipping) = (false, false);
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match command(word).as_str() {
            "model" => {
                let mut parts = rest.split('&');
                let head = parts.next().unwrap_or("").trim();
                let (first, behind) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
                let named = first.split_once(':').filter(|(source, _)| source.parse::<usize>().is_ok());
                if named.is_some_and(|(source, _)| source != "1") || save.expression.is_some() {
                    remark("only the first model is carried over");
                    skipping = true;
                    continue;
                }
                save.expression = Some(if named.is_some() { behind.trim() } else { head }.to_string());
                save.parameters = parts.filter_map(parameter).collect();
                in_model = true;
            }
            "data" => {
                let (mut next, mut group) = (1, 1);
                for word in rest.split_whitespace() {
                    match pair(word) {
                        Some((Some(g), spectrum)) => (group, next) = (g, spectrum),
                        Some((None, spectrum)) => next = spectrum,
                        None => {
                            save.data.insert(next, word.to_string());
                            save.groups.insert(next, group);
                            next += 1;
                        }
                    }
                }
            }
            kind @ ("response" | "arf" | "backgrnd") => {
                let mut words = rest.split_whitespace().peekable();
                let (source, spectrum) = match words.peek().and_then(|word| pair(word)) {
                    Some(at) => {
                        words.next();
                        (at.0.unwrap_or(1), at.1)
                    }
                    None => (1, 1),
                };
                let Some(file) = words.next() else { continue };
                if source > 1 {
                    remark("only the first source is carried over");
                    continue;
                }
                let map = match kind {
                    "response" => &mut save.response,
                    "arf" => &mut save.arf,
                    _ => &mut save.background,
                };
                map.insert(spectrum, file.to_string());
            }
            kind @ ("ignore" | "notice") => {
                let notice = kind == "notice";
                let (mut spectrum, mut understood) = (None, true);
                for word in rest.split([' ', ',', '\t']).filter(|w| !w.is_empty()) {
                    if word.eq_ignore_ascii_case("bad") && !notice {
                        save.ignore_bad = true;
                        continue;
                    }
                    let range = match word.split_once(':') {
                        Some((sets, range)) => {
                            match sets {
                                "**" => spectrum = None,
                                sets => match sets.parse() {
                                    Ok(set) => spectrum = Some(set),
                                    Err(_) => understood = false,
                                },
                            }
                            range
                        }
                        None => word,
                    };
                    let all = range.eq_ignore_ascii_case("all") || range == "**";
                    let (from, to) = if all { ("**", "**") } else { range.split_once('-').unwrap_or((range, range)) };
                    let end = |text: &str| match text.trim() {
                        "**" | "" => Some(None),
                        text => number(text).map(|_| Some(text.to_string())),
                    };
                    match (end(from), end(to)) {
                        (Some(from), Some(to)) if understood => {
                            save.selections.push(Selection { spectrum, notice, from, to });
                        }
                        _ => understood = false,
                    }
                }
                if !understood {
                    remark("not understood");
                }
            }
            "statistic" => {
                if !rest.to_lowercase().starts_with("test") {
                    save.statistic = rest.split_whitespace().next().map(str::to_lowercase);
                }
            }
            "abund" => save.abund = Some(rest.to_lowercase()),
            "xsect" => save.xsect = Some(rest.to_lowercase()),
            "cosmo" => save.cosmo = rest.split([' ', ',']).filter_map(number).collect(),
            "xset" => {
                let (key, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                save.xset.push((key.to_string(), value.trim().to_string()));
            }
            "systematic" => save.systematic = number(rest).unwrap_or(0.0),
            "cd" => save.folder = Some(rest.to_string()),
            "newpar" => {
                let (place, value) = rest.split_once([' ', '\t', '=', ',']).unwrap_or((rest, ""));
                let tied = rest.get(place.len()..).is_some_and(|r| r.trim_start().starts_with('='));
                let value =
                    if tied { format!("={}", value.trim_start().trim_start_matches('=')) } else { value.into() };
                let index = place.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                match (index.and_then(|k| save.parameters.get_mut(k)), parameter(&value)) {
                    (Some(slot), Some(Parameter::Numbers(new))) => match slot {
                        Parameter::Numbers(old) => {
                            for (k, x) in new.into_iter().enumerate() {
                                if k < old.len() { old[k] = x } else { old.push(x) }
                            }
                        }
                        slot => *slot = Parameter::Numbers(new),
                    },
                    (Some(slot), Some(new)) => *slot = new,
                    _ => remark("not understood"),
                }
            }
            kind @ ("freeze" | "thaw") => {
                let mut understood = true;
                for word in rest.split([' ', ',']).filter(|w| !w.is_empty()) {
                    let (from, to) = word.split_once('-').unwrap_or((word, word));
                    let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else {
                        understood = false;
                        continue;
                    };
                    for n in from.max(1)..=to.min(save.parameters.len()) {
                        if let Some(Parameter::Numbers(numbers)) = save.parameters.get_mut(n - 1) {
                            if numbers.len() < 2 {
                                numbers.push(0.01);
                            }
                            let step = numbers[1].abs().max(1e-12);
                            numbers[1] = if kind == "freeze" { -step } else { step };
                        }
                    }
                }
                if !understood {
                    remark("not understood");
                }
            }
            "bayes" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                match words.as_slice() {
                    ["off" | "on" | "cons"] | [] => {}
                    [place, kind, numbers @ ..] if place.parse::<usize>().is_ok() => save.priors.push(BayesPrior {
                        parameter: place.parse().unwrap_or(0),
                        kind: kind.to_lowercase(),
                        numbers: numbers.iter().filter_map(|w| number(w)).collect(),
                    }),
                    _ => remark("not understood"),
                }
            }
            silent if SILENT.contains(&silent) => {}
            _ => remark("has no counterpart"),
        }
    }
    save
}
