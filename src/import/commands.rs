//! The commands of XSPEC, one at a time, in the order of the file.

use super::{
    data, edits, gain,
    lines::{Line, words},
    selection,
    xcm::{Parameter, Save, SourceModel},
};

/// What a line without a command word belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Commands,
    /// Parameters of the model command above: the place of that model.
    Parameters(usize),
    /// Slope (0) or offset (1) of the gain of a spectrum.
    Gain(usize, usize),
    /// Parameters of something that is not carried over.
    Passing,
}

/// Commands about plots, fits and talk, which decide nothing here.
const SILENT: &[&str] = &[
    "method",
    "query",
    "chatter",
    "cpd",
    "plot",
    "iplot",
    "fit",
    "renorm",
    "error",
    "rerror",
    "uncertain",
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
    "echo",
    "script",
    "flux",
    "lumin",
    "eqwidth",
    "steppar",
    "goodness",
    "chain",
    "margin",
    "identify",
    "setcom",
    "history",
    "help",
    "ftest",
    "writefits",
    "tcloutr",
    "wdata",
];

/// XSPEC takes any unambiguous abbreviation; these are what people write. The number is the least of letters.
const COMMANDS: &[(&str, usize)] = &[
    ("model", 2),
    ("data", 2),
    ("response", 4),
    ("arf", 3),
    ("backgrnd", 4),
    ("background", 5),
    ("corfile", 4),
    ("cornorm", 4),
    ("diagrsp", 4),
    ("dummyrsp", 3),
    ("ignore", 2),
    ("notice", 3),
    ("statistic", 4),
    ("abund", 4),
    ("xsect", 3),
    ("cosmo", 3),
    ("newpar", 2),
    ("freeze", 2),
    ("thaw", 2),
    ("untie", 3),
    ("systematic", 3),
    ("bayes", 3),
    ("query", 3),
    ("method", 3),
    ("weight", 3),
    ("energies", 3),
    ("setplot", 4),
    ("addcomp", 4),
    ("delcomp", 4),
    ("editmod", 4),
    ("mdefine", 3),
    ("gain", 2),
    ("rnewpar", 4),
    ("rfreeze", 3),
    ("rthaw", 3),
    ("runtie", 4),
    ("renorm", 3),
    ("chatter", 4),
];

fn command(word: &str) -> String {
    let word = word.to_lowercase();
    match COMMANDS.iter().find(|(name, least)| word.len() >= *least && name.starts_with(word.as_str())) {
        Some(("background", _)) => "backgrnd".into(),
        Some((name, _)) => (*name).into(),
        None => word,
    }
}

/// The beginning of a line, for messages.
pub(super) fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if out.len() < text.len() {
        out.push_str("...");
    }
    out
}

pub(super) fn number(word: &str) -> Option<f64> {
    word.replace(['D', 'd'], "e").parse::<f64>().ok().filter(|x| x.is_finite())
}

/// Whether a line goes on with the parameters of the model command above it.
fn is_parameter(line: &str) -> bool {
    line.starts_with(['=', '/', '+', '-', '.', ',']) || line.starts_with(|c: char| c.is_ascii_digit())
}

/// Numbers between blanks or commas; an empty place between commas, or all behind a `/`, stays as it is (NaN).
fn numbers(text: &str) -> Option<Vec<f64>> {
    let text = text.split('/').next().unwrap_or("").trim();
    let mut out = Vec::new();
    for (k, place) in text.split(',').enumerate() {
        let words: Vec<&str> = place.split_whitespace().collect();
        // A comma at the end leaves nothing out.
        if words.is_empty() && (k > 0 || text.contains(',')) {
            out.push(f64::NAN);
        }
        for word in words {
            out.push(number(word)?);
        }
    }
    while out.last().is_some_and(|x| x.is_nan()) {
        out.pop();
    }
    Some(out)
}

pub(super) fn parameter(text: &str) -> Option<Parameter> {
    let text = text.trim();
    if let Some(tie) = text.strip_prefix('=') {
        return Some(Parameter::Tied(tie.trim().to_string()));
    }
    let read = numbers(text)?;
    Some(if read.is_empty() { Parameter::Default } else { Parameter::Numbers(read) })
}

/// Takes one line; gives what the next one may belong to.
pub(super) fn take(save: &mut Save, line: &Line, mode: Mode) -> Mode {
    let text = line.text.as_str();
    let at = |what: &str| format!("line {}: {what}: {}", line.number, short(text));
    if is_parameter(text) {
        match mode {
            Mode::Passing => return mode,
            Mode::Parameters(at_model) if text.starts_with("/*") => {
                save.models[at_model].rest_default = true;
                return Mode::Commands;
            }
            Mode::Parameters(at_model) => {
                let read = parameter(text);
                if read.is_none() {
                    save.lose(at("not understood as a parameter"));
                }
                let lost = || Parameter::Tied(text.trim_start_matches('=').to_string());
                let model = &mut save.models[at_model];
                model.parameters.push(read.unwrap_or_else(lost));
                model.lines.insert(model.parameters.len(), line.number);
                model.read_with_model = model.parameters.len();
                return mode;
            }
            Mode::Gain(set, place) => {
                gain::line_of(save, set, place, text, &at);
                return if place == 0 { Mode::Gain(set, 1) } else { Mode::Commands };
            }
            Mode::Commands => {
                if !text.starts_with('/') {
                    save.remark(at("numbers that belong to no command"));
                }
                return mode;
            }
        }
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (word, rest) = (command(word), rest.trim());
    let known = COMMANDS.iter().any(|(name, _)| *name == word);
    // A variable, or a command whose result would stand there; `file.rmf[MATRIX]` and `phabs[1]` are neither.
    let made = rest.contains('$') || rest.starts_with('[') || rest.contains(" [");
    if known && made {
        save.lose(at("it needs Tcl, which is not run"));
        return Mode::Passing;
    }
    match word.as_str() {
        "model" => return model(save, rest, line.number, &at),
        "data" => {
            let before = save.data.clone();
            data::data(save, rest, line.number, &at);
            let data = &save.data;
            // The responses of new data have their nominal gain.
            save.gains.retain(|set, _| before.get(set) == data.get(set));
        }
        "response" | "arf" | "backgrnd" => data::companion(save, &word, rest, line.number, &at),
        "corfile" => {
            if words(rest).iter().any(|word| word.parse::<usize>().is_err() && !word.eq_ignore_ascii_case("none")) {
                save.lose(at("a correction file has no counterpart, and what it takes away would stay in the counts"));
            }
        }
        "cornorm" => {}
        "diagrsp" | "dummyrsp" => save.lose(at("a response that is no file has no counterpart")),
        "ignore" | "notice" => {
            let mut sets = save.sets;
            match selection::read(rest, word == "notice", &save.unit, &mut sets) {
                Ok((ranges, bad)) => {
                    save.selections.extend(ranges);
                    save.ignore_bad |= bad && word == "ignore";
                    save.sets = sets;
                }
                Err(why) => save.lose(at(&why)),
            }
        }
        "setplot" => {
            save.unit = std::mem::take(&mut save.unit).after_setplot(&words(&rest.to_lowercase()));
        }
        "statistic" => data::statistic(save, rest, &at),
        "abund" => save.abund = Some(rest.to_lowercase()),
        "xsect" => save.xsect = Some(rest.to_lowercase()),
        "cosmo" => save.cosmo = rest.split([' ', ',']).filter_map(number).collect(),
        "xset" => {
            let (key, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            save.xset.push((key.to_string(), value.trim().to_string()));
        }
        "systematic" => save.systematic = number(rest).unwrap_or(0.0),
        "cd" => save.folder = words(rest).into_iter().next(),
        "newpar" => edits::newpar(save, rest, line.number, &at),
        "freeze" | "thaw" | "untie" => edits::change(save, &word, rest, &at),
        "bayes" => edits::bayes(save, rest, &at),
        "addcomp" | "delcomp" | "editmod" => {
            save.lose(at(
                "a model that is edited after its model command is not carried over; save it from XSPEC once more",
            ));
            return Mode::Passing;
        }
        "mdefine" => {
            let name = rest.split_whitespace().next().unwrap_or("").to_lowercase();
            save.defined.push(name);
            save.remark(at("has no counterpart"));
        }
        "gain" => return gain::gain(save, rest, line.number, &at),
        "rnewpar" | "rfreeze" | "rthaw" | "runtie" => gain::change(save, &word, rest, &at),
        "energies" => match rest.split_whitespace().next().map(str::to_lowercase).as_deref() {
            Some("extend") => save.lose(at(
                "the model cannot be evaluated beyond the energies of the response, which convolutions would notice",
            )),
            Some("reset") | None => {}
            _ => save.remark(at("the model is evaluated at the energies of the response")),
        },
        "weight" => {
            if !rest.eq_ignore_ascii_case("standard") {
                save.remark(at("C-STAT has no weights"));
            }
        }
        silent if SILENT.contains(&silent) => {}
        _ if text.starts_with('@') => save.lose(at("another file is not followed; give that one to import")),
        _ => {
            save.remark(at("has no counterpart"));
            return Mode::Passing;
        }
    }
    Mode::Commands
}

pub(super) type Says<'a> = &'a dyn Fn(&str) -> String;

fn model(save: &mut Save, rest: &str, number: usize, at: Says<'_>) -> Mode {
    let mut parts = rest.split('&');
    let head = parts.next().unwrap_or("").trim();
    let (first, behind) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
    let numbered = first.split_once(':').and_then(|(source, name)| Some((source.parse::<usize>().ok()?, name)));
    if matches!(head.to_lowercase().as_str(), "?" | "list" | "active" | "inactive") {
        return Mode::Commands;
    }
    if numbered.is_some_and(|(source, _)| source == 0) {
        save.lose(at("sources are numbered from 1"));
        return Mode::Passing;
    }
    // `model NAME none` takes a model away.
    if matches!(behind.trim().to_lowercase().as_str(), "none" | "clear")
        && let Some(place) = save.models.iter().position(|model| model.name.as_deref() == Some(first))
    {
        match place {
            0 => save.models[0] = SourceModel::new(1),
            place => drop(save.models.remove(place)),
        }
        return Mode::Commands;
    }
    let source = numbered.map_or(1, |(source, _)| source);
    let expression = if numbered.is_some() { behind.trim() } else { head };
    let expression = Some(numbers_away(expression)).filter(|text| !matches!(text.as_str(), "none" | "clear" | ""));
    let mut model = SourceModel {
        name: numbered.map(|(_, name)| name.to_string()).filter(|name| !name.is_empty()),
        expression,
        groups_of_model: save.groups_of(source).len().max(1),
        line: number,
        ..SourceModel::new(source)
    };
    let mut mode = Mode::Commands;
    let twin =
        save.models.iter().find(|other| other.source != source && other.name.is_some() && other.name == model.name);
    if let Some(twin) = twin {
        let text = format!(
            "source {} has a model of that name already, so that nobody knows whose parameters are meant",
            twin.source
        );
        save.lose(at(&text));
    }
    // XSPEC replaces the model of a source.
    let place = save.model_of(source).unwrap_or_else(|| {
        let place = save.models.iter().position(|other| other.source > source).unwrap_or(save.models.len());
        save.models.insert(place, SourceModel::new(source));
        place
    });
    if model.expression.is_some() {
        mode = Mode::Parameters(place);
    }
    for part in parts {
        if part.trim().starts_with("/*") {
            (mode, model.rest_default) = (Mode::Commands, true);
            break;
        }
        match parameter(part) {
            Some(parameter) => model.parameters.push(parameter),
            None => {
                save.lose(at(&format!("{:?} is not understood as a parameter", part.trim())));
                model.parameters.push(Parameter::Tied(part.trim().to_string()));
            }
        }
        model.lines.insert(model.parameters.len(), number);
    }
    model.read_with_model = model.parameters.len();
    match (model.expression.is_none(), place) {
        (true, 1..) => drop(save.models.remove(place)),
        _ => save.models[place] = model,
    }
    mode
}

/// Takes away the numbers of the components that `show` prints: `phabs<1>*powerlaw<2>`, `phabs[1]`.
fn numbers_away(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(open) = rest.find(['<', '[']) {
        let (before, behind) = rest.split_at(open);
        let close = if behind.starts_with('<') { '>' } else { ']' };
        out.push_str(before);
        match behind.find(close) {
            Some(end) if end > 1 && behind.get(1..end).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())) => {
                rest = behind.get(end + 1..).unwrap_or("");
            }
            _ => {
                // No number: the expression's own mistake, shown by who reads it.
                out.push_str(behind);
                rest = "";
            }
        }
    }
    out.push_str(rest);
    out.trim().to_string()
}
