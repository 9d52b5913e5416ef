//! The user's table: which file of a folder it is, and what its axes stand for.

use super::{Kind, ROLES, Role};
use crate::model::{ModelError, table::Outline};
use std::path::{Path, PathBuf};

/// Where the tables can be had, for messages.
const SOURCE: &str = "the authors publish it with the relxill model (Remeis observatory, Erlangen: sternwarte.uni-erlangen.de/research/relxill, \
     \"table models\"); name its folder by xillver = \"DIR\" in [model] of the run file, by --xillver DIR (rontgen spectrum), or in the environment \
     variable XILLVER (or RELXILL_TABLE_PATH)";

/// Names that files of a kind begin with, and the one that is asked for.
fn names(comptonised: bool) -> (&'static [&'static str], &'static str) {
    match comptonised {
        false => (&["xillver-a-", "xillver-test"], "xillver-a-Ec5.fits"),
        true => (&["xillvercp", "xillver-comp"], "xillverCp_v3.6.fits"),
    }
}

/// The table of a kind of components in one of `folders`, in a folder directly below, or the file itself where one is named.
pub(super) fn find(folders: &[PathBuf], kind: Kind) -> Result<PathBuf, ModelError> {
    let (beginnings, usual) = names(kind.comptonised());
    let fits = |path: &Path| {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        (plain.ends_with(".fits") || plain.ends_with(".mod")) && beginnings.iter().any(|b| plain.starts_with(b))
    };
    let best = |folder: &Path| {
        let list = std::fs::read_dir(folder).ok()?;
        let found = list.flatten().map(|entry| entry.path()).filter(|path| path.is_file() && fits(path));
        // The newest version; of a file and its packed copy the plain one.
        found.max_by_key(|path| {
            let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
            (name.trim_end_matches(".gz").to_string(), !name.ends_with(".gz"))
        })
    };
    for folder in folders {
        if folder.is_file() {
            return Ok(folder.clone());
        }
        if let Some(path) = best(folder) {
            return Ok(path);
        }
        let below = std::fs::read_dir(folder).map(|list| list.flatten().map(|e| e.path()).collect::<Vec<_>>());
        let mut below: Vec<PathBuf> = below.unwrap_or_default().into_iter().filter(|path| path.is_dir()).collect();
        below.sort();
        if let Some(path) = below.iter().find_map(|folder| best(folder)) {
            return Ok(path);
        }
    }
    let shown: Vec<String> = folders.iter().map(|f| format!("{} (and the folders in it)", f.display())).collect();
    let looked = if shown.is_empty() { "any named folder (none is named)".into() } else { shown.join(", nor in ") };
    Err(ModelError::Table {
        path: PathBuf::from(usual),
        message: format!("{} needs this table, which is not found in {looked}; {SOURCE}", kind.written()),
    })
}

/// A table with its axes by role.
pub(super) struct Table {
    pub outline: Outline,
    /// For each role the place of its axis among the file's.
    pub roles: [Option<usize>; 6],
}

/// What an axis of that name stands for; of cut-offs also whether it is a temperature.
fn role(name: &str) -> Option<(Role, bool)> {
    let word: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match word.as_str() {
        "gamma" | "phoindex" | "index" => (Role::Index, false),
        "afe" | "abfe" | "feabun" | "iron" => (Role::Iron, false),
        "logxi" => (Role::Ionisation, false),
        "logn" | "dens" | "density" | "logdens" | "logne" => (Role::Density, false),
        "ecut" | "highecut" | "efold" => (Role::CutOff, false),
        "kte" => (Role::CutOff, true),
        "incl" | "inclination" | "theta" => (Role::Angle, false),
        _ => return None,
    })
}

impl Table {
    /// Errors name the file and what was found and expected.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, ModelError> {
        let outline = Outline::open(path)?;
        let mut roles = [None; 6];
        let list = outline.names.join(", ");
        let wanted = if kind.comptonised() { "kTe" } else { "Ecut" };
        for (k, name) in outline.names.iter().enumerate() {
            let Some((role, hot)) = role(name) else {
                return Err(outline.refuse(format!(
                    "it has the parameters {list}; expected those of xillver: gamma, A_Fe, logXi, {wanted}, Incl, and perhaps logN"
                )));
            };
            if role == Role::CutOff && hot != kind.comptonised() {
                return Err(outline.refuse(format!(
                    "it has the parameter {name}: a table for {}; {} needs one with {wanted}",
                    if hot { "xillverCp, relxillCp and relxilllpCp" } else { "xillver, relxill and relxilllp" },
                    kind.written()
                )));
            }
            let place = ROLES.iter().position(|r| *r == role).and_then(|at| roles.get_mut(at));
            if place.is_some_and(|place| place.replace(k).is_some()) {
                return Err(outline.refuse(format!("two of its parameters ({list}) stand for the same as {name}")));
            }
        }
        for (role, at) in ROLES.iter().zip(&roles) {
            if at.is_none() && *role != Role::Density {
                return Err(outline
                    .refuse(format!("it has the parameters {list}; expected gamma, A_Fe, logXi, {wanted} and Incl")));
            }
        }
        Ok(Self { outline, roles })
    }
}
