//! The commands of a script, one by one: lines joined where they go on, comments away, and Tcl's own words apart.

/// A command with the line it begins in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub number: usize,
    pub text: String,
}

/// What a script consists of.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub commands: Vec<Line>,
    /// Lines that are Tcl and not XSPEC: variables, loops, procedures with all that stands in their braces.
    pub tcl: Vec<Line>,
}

/// Words of Tcl and of talk that no analysis depends on unless a command uses what they make.
const TCL: &[&str] = &[
    "set",
    "proc",
    "if",
    "else",
    "elseif",
    "for",
    "foreach",
    "while",
    "switch",
    "puts",
    "return",
    "global",
    "lappend",
    "incr",
    "expr",
    "catch",
    "source",
    "exec",
    "close",
    "open",
    "unset",
    "array",
    "append",
    "format",
    "scan",
    "gets",
    "break",
    "continue",
    "namespace",
    "package",
    "variable",
    "upvar",
    "after",
    "file",
    "glob",
    "lassign",
    "dict",
    "string",
    "list",
    "regexp",
    "regsub",
    "eval",
    "rename",
    "tcloutr",
    "}",
    "{",
];

/// Splits a script. Nothing is run.
pub(super) fn split(text: &str) -> Lines {
    let mut out = Lines::default();
    let mut held: Option<Line> = None;
    // Depth of braces left open by a word of Tcl.
    let mut depth = 0i64;
    for (k, raw) in text.lines().enumerate() {
        let mut line = raw.trim();
        if held.is_none() && line.starts_with('#') {
            continue;
        }
        let goes_on = line.ends_with('\\');
        line = line.trim_end_matches('\\').trim();
        let joined = match held.take() {
            Some(before) => Line { number: before.number, text: format!("{} {line}", before.text) },
            None => Line { number: k + 1, text: line.to_string() },
        };
        if goes_on {
            held = Some(joined);
            continue;
        }
        add(&mut out, &mut depth, joined);
    }
    if let Some(last) = held {
        add(&mut out, &mut depth, last);
    }
    out
}

fn add(out: &mut Lines, depth: &mut i64, line: Line) {
    for part in pieces(&line.text) {
        let part = part.trim();
        if part.is_empty() || part.starts_with('#') {
            continue;
        }
        let command = Line { number: line.number, text: part.to_string() };
        let word = part.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("").to_lowercase();
        let is_tcl = *depth > 0 || TCL.contains(&word.as_str()) || part.starts_with(['}', '$', '[']);
        if is_tcl {
            let braces = |c: char| part.chars().filter(|x| *x == c).count() as i64;
            *depth = (*depth + braces('{') - braces('}')).max(0);
            out.tcl.push(command);
        } else {
            out.commands.push(command);
        }
    }
}

/// Parts between `;` outside braces and quotes; a `#` that begins a word ends the line.
fn pieces(text: &str) -> Vec<&str> {
    let (mut out, mut from, mut depth, mut quoted) = (Vec::new(), 0, 0i32, false);
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '{' => depth += 1,
            '}' => depth -= 1,
            '#' if before.is_whitespace() && !quoted && depth <= 0 => {
                out.extend(text.get(from..i));
                return out;
            }
            ';' if depth <= 0 && !quoted => {
                out.extend(text.get(from..i));
                from = i + 1;
            }
            _ => {}
        }
        before = c;
    }
    out.extend(text.get(from..));
    out
}

/// Words of a command: between blanks and commas, with quotes and the braces around a whole word taken away.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut out, mut word, mut depth, mut quoted) = (Vec::new(), String::new(), 0i32, false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            c if (c.is_whitespace() || c == ',') && depth <= 0 && !quoted => {
                if !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        out.push(word);
    }
    for word in &mut out {
        if let Some(inner) = word.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            *word = inner.trim().to_string();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_on_and_tcl_is_set_apart() {
        let lines = split(
            "# head\nmodel phabs( \\\n  powerlaw)\nfreeze 1; thaw 2 # why\nproc f {x} {\n  newpar 1 2.0\n}\nset n 3\nif {$n > 2} {\n ignore bad\n} else {\n}\nputs \"a; b\"\nfit",
        );
        let texts: Vec<&str> = lines.commands.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(texts, ["model phabs( powerlaw)", "freeze 1", "thaw 2", "fit"]);
        assert_eq!(lines.commands[1].number, 4);
        assert_eq!(lines.tcl.first().map(|l| l.number), Some(5));
        assert_eq!(lines.tcl.last().map(|l| l.number), Some(13));
    }

    #[test]
    fn words_keep_selectors_and_quoted_names() {
        assert_eq!(
            words("1:1 a.pha{1-3} 2:2  \"b c.pha\", {d e.pha}"),
            ["1:1", "a.pha{1-3}", "2:2", "b c.pha", "d e.pha"]
        );
    }
}
