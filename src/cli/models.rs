//! `rontgen models`: the components, and one component's parameters, units, limits and formula.

use crate::{
    Error, Result,
    model::{
        Model, Settings,
        catalogue::{self, Component, Lookup},
        table,
    },
};

/// List the spectral components, or describe one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Component to describe (any case; unambiguous abbreviations work), or a table model with its file: "atable{FILE}".
    pub name: Option<String>,
    /// Every component with its formula, parameters and reference, as Markdown (docs/catalogue.md).
    #[arg(long, conflicts_with = "name")]
    pub markdown: bool,
}

/// Prints the list or the description; exit status 0.
pub fn run(args: Args) -> Result<u8> {
    let text = match &args.name {
        None if args.markdown => markdown(),
        None => list(),
        Some(name) if name.contains('{') => {
            // A factor alone is no model: it acts on something here.
            let whole =
                if name.trim_start().get(..1).is_some_and(|c| c.eq_ignore_ascii_case("a")) { "" } else { "*powerlaw" };
            let model = Model::parse(&format!("{name}{whole}"), &Settings::default())?;
            model.components.first().map_or(String::new(), |c| describe(&c.component))
        }
        Some(name) => match catalogue::find(name.trim()) {
            Lookup::Found(component) => describe(component),
            Lookup::Ambiguous(names) => {
                return Err(Error::Input(format!("'{name}' could be {}", names.join(", "))));
            }
            Lookup::Elsewhere(near) => {
                let hint = catalogue::elsewhere_hint(near);
                return Err(Error::Input(format!(
                    "no component '{name}': {hint}; 'rontgen models' lists what is here"
                )));
            }
            Lookup::Unknown(near) => {
                let hint = near.map_or(String::new(), |n| format!("; did you mean '{n}'?"));
                return Err(Error::Input(format!("no component '{name}'{hint}")));
            }
        },
    };
    say_as_is!("{text}");
    Ok(0)
}

/// Parameters named in the list.
const MOST_SHOWN: usize = 9;

fn list() -> String {
    let mut out = String::new();
    let rank = |c: &&Component| match table::Kind::of(&c.name) {
        Some(_) => 1,
        None if c.available() => 0,
        None => 2,
    };
    let headings = ["available", "tables from a file, as in atable{FILE}", "known to XSPEC, not available"];
    for (group, heading) in headings.iter().enumerate() {
        out.push_str(&format!("{heading}:\n"));
        for c in catalogue::components().iter().filter(|c| rank(c) == group) {
            let names: Vec<&str> = c.parameters.iter().map(|p| p.name.as_str()).collect();
            // Some absorbers have 42 parameters: `models NAME` lists them.
            let shown = names.iter().take(MOST_SHOWN).copied().collect::<Vec<_>>().join(" ");
            let more = if names.len() > MOST_SHOWN { format!(" ... ({} in all)", names.len()) } else { String::new() };
            let names = c.missing().unwrap_or(format!("{shown}{more}"));
            let line = format!("  {:10} {:14}  {names}", c.name.to_lowercase(), c.kind.word());
            out.push_str(line.trim_end());
            out.push('\n');
        }
        // No component of XSPEC's: counts of channels, without norm or energies.
        if group == 1 {
            out.push_str(&format!(
                "  {:10} {:14}  alone in a named model: pca{{FILE}} (docs/backgrounds.md)\n",
                "pca", "background"
            ));
        }
    }
    out
}

fn describe(c: &Component) -> String {
    let missing = c.missing().map_or(String::new(), |why| format!(" ({why})"));
    let mut out = format!("{}: {}{missing}\n\n{}\n", c.name.to_lowercase(), c.kind.word(), c.formula);
    for (label, text) in [("note", &c.note), ("reference", &c.reference)] {
        if !text.is_empty() && text != "-" {
            out.push_str(&format!("{label}: {text}\n"));
        }
    }
    out.push_str(&format!(
        "\n{:12} {:10} {:>10} {:>11} {:>11} {:>11} {:>11}\n",
        "parameter", "unit", "default", "hard min", "soft min", "soft max", "hard max"
    ));
    for p in &c.parameters {
        let state = match (p.never_free, p.frozen_by_default) {
            (true, _) => "  never free",
            (_, true) => "  frozen",
            _ => "",
        };
        out.push_str(&format!(
            "{:12} {:10} {:>10} {:>11} {:>11} {:>11} {:>11}{state}\n",
            p.name,
            p.unit,
            short(p.default),
            short(p.hard_min),
            short(p.soft_min),
            short(p.soft_max),
            short(p.hard_max)
        ));
    }
    out
}

/// docs/catalogue.md.
fn markdown() -> String {
    let mut out = String::from(
        "# The components\n\nWritten by `rontgen models --markdown`. Parameters in XSPEC's order with unit, default and hard limits; \
         `*`: frozen by default. Additive components give photons/cm2/s per bin; what norm 1 means stands in the formula. \
         How well each agrees with XSPEC: [components.md](components.md).\n",
    );
    for c in catalogue::components() {
        out.push_str(&format!("\n## {}\n\n{}. {}\n", c.name, c.kind.word(), c.formula));
        for (label, text) in [("Note", &c.note), ("Reference", &c.reference)] {
            if !text.is_empty() && text != "-" {
                out.push_str(&format!("{label}: {text}\n"));
            }
        }
        if !c.parameters.is_empty() {
            out.push_str("\n| parameter | unit | default | limits |\n|---|---|---|---|\n");
        }
        for p in &c.parameters {
            let frozen = if p.frozen_by_default || p.never_free { "*" } else { "" };
            out.push_str(&format!(
                "| {}{frozen} | {} | {} | {} .. {} |\n",
                p.name,
                p.unit,
                short(p.default),
                short(p.hard_min),
                short(p.hard_max)
            ));
        }
    }
    out
}

fn short(x: f64) -> String {
    if x.is_infinite() {
        "-".into()
    } else if x != 0.0 && (x.abs() >= 1e5 || x.abs() < 1e-3) {
        format!("{x:e}")
    } else {
        x.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_listed_and_described() {
        let list = list();
        for c in catalogue::components() {
            assert!(list.contains(&c.name.to_lowercase()), "{}", c.name);
            let text = describe(c);
            assert!(c.parameters.iter().all(|p| text.contains(&p.name)), "{text}");
        }
        let text = describe(catalogue::components().iter().find(|c| c.name == "TBabs").unwrap());
        assert!(text.contains("nH           1e22 cm-2           1"), "{text}");
        let run = |name: &str| run(Args { name: Some(name.into()), markdown: false });
        assert!(run("atable{nowhere.mod}").unwrap_err().to_string().contains("nowhere.mod"));
        assert!(run("powerlwa").unwrap_err().to_string().contains("powerlaw"));
        assert!(run("bb").unwrap_err().to_string().contains("bbody"));
    }

    #[test]
    fn the_document_is_that_of_the_catalogue() {
        let written = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/catalogue.md")).unwrap();
        assert!(written == markdown(), "docs/catalogue.md is not what `rontgen models --markdown` prints");
    }
}
