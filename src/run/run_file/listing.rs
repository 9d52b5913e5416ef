//! The table of keys for people: `rontgen infer --keys`, and the page `docs/keys.md`.

use super::keys::{SectionKeys, TABLE};

/// A key as it is told to people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Section of the run file.
    pub section: &'static str,
    /// Name of the key.
    pub key: &'static str,
    /// Default, as it is written; in words where it follows from other keys.
    pub default: String,
    /// What is allowed, in words.
    pub allowed: String,
    /// What it is for, in one sentence.
    pub help: &'static str,
}

/// Every key of a run file, in the order of `run.toml`.
pub fn listing() -> Vec<Listed> {
    TABLE.iter().flat_map(of).collect()
}

fn of(section: &SectionKeys) -> impl Iterator<Item = Listed> {
    section.keys.iter().map(|key| Listed {
        section: section.name,
        key: key.name,
        default: key.default_words(),
        allowed: key.allowed(),
        help: key.help,
    })
}

/// The table as text.
pub fn plain() -> String {
    let mut out = String::new();
    for section in TABLE {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!("{gap}[{}]   {}\n", section.name, section.help));
        for Listed { key, default, allowed, help, .. } in of(section) {
            out.push_str(&format!("  {key}\n      {help}\n      default: {default}\n      allowed: {allowed}\n"));
        }
    }
    out
}

/// The head of the page, which says how it is made again.
const HEAD: &str = "# The keys of a run file

<!-- Made from the table of keys (src/run/run_file): change its entry, then `rontgen infer --keys --markdown > docs/keys.md`; a test holds both equal. -->

A run file is TOML. A key that is not here is refused, with the nearest one that is. `--set SECTION.KEY=VALUE` changes a key without editing, `run.toml` of the output
folder has every key as it was used, and `rontgen infer --keys` prints this page. Keys whose default follows from others say from which.
";

/// The page `docs/keys.md`.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    // What would end a cell of the table, or begin a tag.
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    for section in TABLE {
        out.push_str(&format!("\n## `[{}]`\n\n{}\n\n", section.name, cell(section.help)));
        out.push_str("| key | default | allowed | what |\n|---|---|---|---|\n");
        for Listed { key, default, allowed, help, .. } in of(section) {
            out.push_str(&format!("| `{key}` | {} | {} | {} |\n", cell(&default), cell(&allowed), cell(help)));
        }
    }
    out
}
