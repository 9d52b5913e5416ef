//! The commands that load spectra and what belongs to them: `data`, `response`, `arf`, `backgrnd`, `statistic`.

use super::{
    commands::Says,
    lines::words,
    xcm::{Further, Save},
};

/// What a word before a file name says.
enum Place {
    /// `2:1` -> (Some(2), 1); `1` -> (None, 1).
    At(Option<usize>, usize),
    /// Digits about a colon that are no two numbers from 1.
    Wrong,
    File,
}

fn place(word: &str) -> Place {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let number = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=MOST_SPECTRA).contains(n));
    match word.split_once(':') {
        Some((a, b)) if digits(a) && digits(b) => match (number(a), number(b)) {
            (Some(a), Some(b)) => Place::At(Some(a), b),
            _ => Place::Wrong,
        },
        None if !word.is_empty() && digits(word) => number(word).map_or(Place::Wrong, |n| Place::At(None, n)),
        _ => Place::File,
    }
}

/// More spectra than this are no analysis.
const MOST_SPECTRA: usize = 100_000;

/// `data`.
pub(super) fn data(save: &mut Save, rest: &str, line: usize, at: Says<'_>) {
    let (mut next, mut group) = (1, 1);
    let list = words(rest);
    for word in &list {
        match place(word) {
            Place::At(Some(g), set) => (group, next) = (g, set),
            Place::At(None, set) => next = set,
            Place::Wrong => {
                save.lose(at(&format!(
                    "{word:?} is no data group and spectrum; expected two numbers from 1, as in 1:1"
                )));
                return;
            }
            Place::File if word.eq_ignore_ascii_case("none") => {
                // `data none` is all of them, `data 2 none` that one.
                let alone = rest.trim().eq_ignore_ascii_case("none");
                let gone: Vec<usize> = save.data.keys().copied().filter(|set| alone || *set == next).collect();
                for set in gone {
                    forget_files(save, set);
                    save.data.remove(&set);
                    save.groups.remove(&set);
                }
                next += 1;
            }
            Place::File if word == "/" => {
                if save.data.last_key_value().is_some_and(|(last, _)| *last >= next) {
                    save.lose(at("a '/' among spectra that are there already is not followed"));
                }
            }
            Place::File => {
                for file in rows(word) {
                    // Another file under the number brings its own companions, and all its channels.
                    forget_files(save, next);
                    save.data.insert(next, file);
                    save.groups.insert(next, group);
                    save.loaded_after.insert(next, save.selections.len());
                    save.lines.data.insert(next, line);
                    next += 1;
                }
            }
        }
    }
    if list.is_empty() {
        save.remark(at("names no file"));
    }
}

fn forget_files(save: &mut Save, set: usize) {
    let maps = [&mut save.response, &mut save.arf, &mut save.background];
    maps.into_iter().for_each(|map| drop(map.remove(&set)));
    save.further.retain(|(_, own), _| *own != set);
}

/// `file{1-3,5}` names four spectra, one data set each.
fn rows(word: &str) -> Vec<String> {
    let one = || vec![word.to_string()];
    let Some((file, list)) = word.strip_suffix('}').and_then(|w| w.split_once('{')) else { return one() };
    if !list.contains(['-', ',']) {
        return one();
    }
    let mut out = Vec::new();
    for part in list.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        match (from.trim().parse::<usize>(), to.trim().parse::<usize>()) {
            (Ok(from), Ok(to)) if from <= to && to - from < 10_000 => {
                out.extend((from..=to).map(|row| format!("{file}{{{row}}}")));
            }
            _ => return one(),
        }
    }
    out
}

/// `response`, `arf`, `backgrnd`.
pub(super) fn companion(save: &mut Save, kind: &str, rest: &str, line: usize, at: Says<'_>) {
    let (mut source, mut set) = (1, 1);
    for word in words(rest) {
        match place(&word) {
            Place::At(s, n) => {
                (source, set) = (s.unwrap_or(1), n);
                continue;
            }
            Place::Wrong => {
                save.lose(at(&format!("{word:?} is no source and spectrum; expected numbers from 1")));
                return;
            }
            Place::File if word == "/" => {}
            Place::File if source > 1 && kind != "backgrnd" => {
                let files = save.further.entry((source, set)).or_default();
                let named = Some(word).filter(|word| !word.eq_ignore_ascii_case("none"));
                match kind {
                    // A new response has no area yet, and one that is taken away takes it along.
                    "response" => {
                        *files = Further { response: named, arf: None };
                        save.lines.further.insert((source, set), line);
                    }
                    _ => files.arf = named,
                }
            }
            Place::File => {
                let (map, key) = match kind {
                    "response" => (&mut save.response, "response"),
                    "arf" => (&mut save.arf, "arf"),
                    _ => (&mut save.background, "backgrnd"),
                };
                map.insert(set, word);
                save.lines.files.insert((key, set), line);
                if key == "response" {
                    // A new response has its nominal gain.
                    save.gains.remove(&set);
                }
            }
        }
        set += 1;
    }
}

/// `statistic NAME`, for every spectrum, or `statistic NAME 1 3-5`.
pub(super) fn statistic(save: &mut Save, rest: &str, at: Says<'_>) {
    let rest = rest.to_lowercase();
    let mut words = rest.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    let Some(name) = words.next().filter(|name| *name != "test") else { return };
    let of: Vec<&str> = words.filter(|word| !matches!(*word, "all" | "**")).collect();
    if of.is_empty() {
        save.statistics.clear();
        save.statistic = Some(name.into());
    }
    for word in of {
        let (from, to) = word.split_once('-').unwrap_or((word, word));
        let end = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=MOST_SPECTRA).contains(n));
        match (end(from), end(to)) {
            (Some(from), Some(to)) => save.statistics.extend((from..=to).map(|set| (set, name.to_string()))),
            _ => save.lose(at(&format!("{word:?} names no spectra"))),
        }
    }
}
