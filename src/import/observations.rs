//! The data sets of a save file: `[observation]`, or `[[observation]]` for each spectrum where there are several.

use super::{
    named, ranges,
    write::{Place, Said, quoted, selector, shown},
    xcm::Save,
};
use crate::{
    fits::existing,
    observation::{self, FileChoice, Mismatch, ObservationSpec, read_spectrum, split_text},
};
use std::path::{Path, PathBuf};

type Found<'a> = &'a dyn Fn(&str) -> Option<PathBuf>;

/// Every data set, in XSPEC's order and with its numbers for names.
pub(super) fn text(save: &Save, found: Found<'_>, place: &Place<'_>, said: &mut Said) -> String {
    if save.data.is_empty() {
        if save.loaded_after.is_empty() {
            said.remark("there is no data command: name the spectrum and its response".into());
        } else {
            said.lose_unmarked("no data set is left ('data none'): name the spectrum and its response".into());
        }
        return "[observation]\nspectrum = \"SPECTRUM.pha\"   # not in the save file\n".into();
    }
    numbers(save, said);
    let several = save.data.len() > 1;
    let mut out = String::new();
    for (&number, spectrum) in &save.data {
        if several {
            let group = save.groups.get(&number).copied().unwrap_or(1);
            let blank = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{blank}[[observation]]   # data group {group}\nname       = \"{number}\"\n"));
        } else {
            out.push_str("[observation]\n");
        }
        let one = One { save, number, spectrum, found, place };
        one.text(&mut out, said);
    }
    out
}

/// Whether the numbers of spectra and data groups have none missing between them.
fn numbers(save: &Save, said: &mut Said) {
    let line = |set: &usize| save.lines.data.get(set).copied().unwrap_or(0);
    let gap = |mut numbers: Vec<usize>| {
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().zip(1..).find(|(number, expected)| number != expected)
    };
    if let Some((number, missing)) = gap(save.data.keys().copied().collect()) {
        said.lose_unmarked(format!(
            "line {}: spectrum {number} is loaded, but there is no spectrum {missing}: XSPEC numbers spectra without gaps",
            line(&number)
        ));
    } else if let Some((group, missing)) = gap(save.groups.values().copied().collect()) {
        let set = save.groups.iter().find(|(_, own)| **own == group).map_or(0, |(set, _)| line(set));
        said.lose_unmarked(format!(
            "line {set}: there is a data group {group}, but no data group {missing}: XSPEC numbers them without gaps"
        ));
    }
    for ((command, set), line) in &save.lines.files {
        let map = match *command {
            "response" => &save.response,
            "arf" => &save.arf,
            _ => &save.background,
        };
        let none = map.get(set).is_none_or(|file| file.eq_ignore_ascii_case("none"));
        if !save.data.contains_key(set) && !none {
            said.lose_unmarked(format!("line {line}: {command} of spectrum {set}, which is not there"));
        }
    }
}

/// One spectrum.
struct One<'a> {
    save: &'a Save,
    number: usize,
    spectrum: &'a str,
    found: Found<'a>,
    place: &'a Place<'a>,
}

/// What a background's counts are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Poisson,
    Gaussian,
}

impl One<'_> {
    /// Says that a file is not there, and where it is named.
    fn missing(&self, command: &'static str, file: &str, path: &Option<PathBuf>, said: &mut Said) {
        let lines = &self.save.lines;
        let line = match command {
            "data" => lines.data.get(&self.number),
            command => lines.files.get(&(command, self.number)),
        };
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        if path.is_none() {
            said.lose(format!("{line}{file} is not found: --data or RONTGEN_DATA must name its folder"));
        }
    }

    fn text(&self, out: &mut String, said: &mut Said) {
        let One { save, number, spectrum, found, place } = *self;
        let of = if save.data.len() > 1 { format!("spectrum {number}: ") } else { String::new() };
        let path = found(spectrum);
        self.missing("data", spectrum, &path, said);
        let folder = path.as_ref().and_then(|p| p.parent()).map(Path::to_path_buf).unwrap_or_default();
        let relative = |name: &str| shown(name, found(name).as_ref(), place.target);
        out.push_str(&format!("spectrum   = {}\n", quoted(&relative(spectrum))));
        let is_none = |file: &String| file.eq_ignore_ascii_case("none");
        // Where the first source is not seen, a further one's files say what channels there are.
        let elsewhere = if save.sees(1, number) { None } else { named::first(save, number) };
        let (mut own_response, mut own_arf) = (save.response.get(&number).cloned(), save.arf.get(&number).cloned());
        if let Some((response, arf)) = elsewhere {
            own_response = Some(response.into());
            own_arf = Some(arf.unwrap_or("none").into());
        }
        for (key, file) in [("response", &own_response), ("arf", &own_arf)] {
            if let Some(file) = file {
                if !is_none(file) {
                    self.missing(key, file, &found(file), said);
                }
                let text = if is_none(file) { "none".into() } else { relative(file) };
                out.push_str(&format!("{key:10} = {}\n", quoted(&text)));
            }
        }
        if own_response.as_ref().is_some_and(is_none) {
            said.lose_unmarked(format!("response {number} none: there is no analysis without a response"));
        }
        let selected = path.as_ref().map(|p| PathBuf::from(format!("{}{}", p.display(), selector(spectrum))));
        let header = selected.as_ref().and_then(|p| match read_spectrum(p) {
            Ok(header) => Some(header),
            Err(error) => {
                said.lose_unmarked(format!("{of}the spectrum cannot be read: {error}"));
                None
            }
        });
        let beside = |name: &str| {
            let (file, selector) = split_text(name, |_| false);
            let path = existing(&folder.join(file)).or_else(|| found(name))?;
            Some(PathBuf::from(format!("{}{selector}", path.display())))
        };
        let response = own_response.or_else(|| header.as_ref().and_then(|s| s.respfile.clone()));
        let response = response.and_then(|name| beside(&name));
        let readable = selected.as_deref().filter(|_| header.is_some());
        // What the save file says goes before the header; a spectrum that is not there leaves the background to its header.
        let (background, choice) = match save.background.get(&number) {
            Some(file) if is_none(file) => (Some("none".into()), FileChoice::None),
            Some(file) => {
                let path = found(file);
                self.missing("backgrnd", file, &path, said);
                let choice = path.map(|p| PathBuf::from(format!("{}{}", p.display(), selector(file))));
                (Some(relative(file)), FileChoice::File(choice.unwrap_or_else(|| file.into())))
            }
            None => match &header {
                None => (None, FileChoice::Keyword),
                Some(header) => match &header.backfile {
                    Some(file) => {
                        let path = beside(file);
                        self.missing("data", file, &path, said);
                        (None, FileChoice::Keyword)
                    }
                    None if header.has_background => (None, FileChoice::Keyword),
                    None => (Some("none".into()), FileChoice::None),
                },
            },
        };
        if let Some(background) = background {
            out.push_str(&format!("background = {}\n", quoted(&background)));
        }
        let kind = readable.and_then(|spectrum| self.kind(spectrum, response.as_deref(), &choice));
        let counts = readable.and_then(|spectrum| observation::read_spectrum(spectrum).ok());
        match counts.is_none_or(|spectrum| spectrum.is_poisson()) {
            true => self.statistic(&choice, kind, header.is_some(), out, said),
            false => self.chi_square(out, said),
        }
        match ranges::energies(save, number, readable, response.as_deref()) {
            Ok(kept) => {
                kept.remarks.into_iter().for_each(|remark| said.remark(format!("{of}{remark}")));
                let list: Vec<String> = kept.ranges.iter().map(|[lo, hi]| format!("[{lo:?}, {hi:?}]")).collect();
                match list.as_slice() {
                    [] => {}
                    [one] => out.push_str(&format!("energies   = {one}   # keV\n")),
                    list => out.push_str(&format!("energies   = [{}]   # keV\n", list.join(", "))),
                }
            }
            Err(why) => {
                out.push_str(&format!("energies   = {}\n", quoted(&format!("SET THIS, in keV: {why}"))));
                said.lose(format!("{of}{why}; set observation.energies"));
            }
        }
    }

    /// Whether the background holds Poisson counts, where it can be read.
    fn kind(&self, spectrum: &Path, response: Option<&Path>, background: &FileChoice) -> Option<Kind> {
        if *background == FileChoice::None {
            return None;
        }
        let arf = match self.save.arf.get(&self.number) {
            None => FileChoice::Keyword,
            Some(file) if file.eq_ignore_ascii_case("none") => FileChoice::None,
            Some(file) => FileChoice::File((self.found)(file)?),
        };
        let spec = ObservationSpec {
            spectrum: spectrum.to_path_buf(),
            response: response.map(Path::to_path_buf),
            arf,
            background: background.clone(),
            mismatch: Mismatch::Warn,
            ..ObservationSpec::default()
        };
        let errors = observation::load(&spec).ok()?.background?.errors;
        Some(if errors.is_some() { Kind::Gaussian } else { Kind::Poisson })
    }

    /// The statistic of a spectrum whose numbers are no counts.
    fn chi_square(&self, out: &mut String, said: &mut Said) {
        let save = self.save;
        if let Some(name) = save.statistics.get(&self.number).or(save.statistic.as_ref())
            && !"chi".starts_with(name.as_str())
        {
            said.remark(format!(
                "statistic {name}: the spectrum holds no counts but numbers with errors; chi2, which is made for them"
            ));
        }
        out.push_str("statistic  = \"chi2\"\n");
        self.systematic(out);
    }

    /// The systematic error beside chi-square.
    fn systematic(&self, out: &mut String) {
        let part = self.save.systematic;
        if part > 0.0 {
            out.push_str(&format!("systematic = {part:?}   # of the data; XSPEC takes it of the model\n"));
        }
    }

    /// The statistic in the words of a run file. C of XSPEC is W as soon as there is a background.
    fn statistic(&self, background: &FileChoice, kind: Option<Kind>, known: bool, out: &mut String, said: &mut Said) {
        let save = self.save;
        let Some(name) = save.statistics.get(&self.number).or(save.statistic.as_ref()) else { return };
        let is = |whole: &str, least: usize| name.len() >= least && whole.starts_with(name.as_str());
        // Of a spectrum that is not there nobody knows whether it names a background.
        let has_background = *background != FileChoice::None && (known || *background != FileChoice::Keyword);
        // Where errors were made larger by hand, they are meant.
        if save.systematic > 0.0 && is("chi", 3) {
            out.push_str("statistic  = \"chi2\"\n");
            self.systematic(out);
            return;
        }
        // A background that could not be read is taken for counts.
        let gaussian = kind == Some(Kind::Gaussian);
        let (word, remark) = match (is("cstat", 3), is("pgstat", 3)) {
            (true, _) if !has_background => (None, None),
            (true, _) if gaussian => (
                Some("pgstat"),
                Some(
                    "statistic cstat with a background that has Gaussian errors: pgstat, which is made for them".into(),
                ),
            ),
            (true, _) => (Some("wstat"), None),
            (_, true) if !has_background => (None, Some(format!("statistic {name} without a background is C-STAT"))),
            (_, true) if gaussian => (Some("pgstat"), None),
            (_, true) => (
                Some("wstat"),
                Some(format!("statistic {name} with a background of Poisson counts: W, which is made for them")),
            ),
            _ if has_background => (
                None,
                Some(format!(
                    "statistic {name}: counts are compared by their likelihood with the background integrated out (statistic = \"chi2\" is there)"
                )),
            ),
            _ => (
                None,
                Some(format!("statistic {name}: spectra are compared by C-STAT (statistic = \"chi2\" is there)")),
            ),
        };
        if let Some(word) = word {
            out.push_str(&format!("statistic  = \"{word}\"\n"));
        }
        if let Some(remark) = remark {
            said.remark(remark);
        }
    }
}
