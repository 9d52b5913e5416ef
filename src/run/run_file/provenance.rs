//! `[written_by]`: where a `run.toml` came from.

use std::path::{Component, Path, PathBuf};

use super::{
    Expected, RunFile, RunFileError,
    key::{Field, Grammar, Key, Unsaid, own, string},
    section::Section,
};

/// Who wrote a `run.toml`, on what, from which file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Provenance {
    /// Version of rontgen.
    pub version: String,
    /// Name of the device that the run was computed on.
    pub device: String,
    /// The run file that the run came from, absolute: what it names relative to itself is looked for there again.
    pub run_file: String,
    /// `--data` or `RONTGEN_DATA`, absolute.
    pub data: Option<String>,
    /// AtomDB's folder where neither the run file nor `data` but the environment named it, absolute.
    pub atomdb: Option<String>,
    /// The folder of xillver's tables, in the same way.
    pub xillver: Option<String>,
    /// `run_file` and `data` as they are reached from the folder of the `run.toml`: these come first, so that a folder that is moved
    /// together with its data still finds them.
    pub run_file_from_here: Option<String>,
    /// `data` as it is reached from the folder of the `run.toml`.
    pub data_from_here: Option<String>,
    /// Digest of the observed counts and the folded response, to notice data that changed under the same name.
    pub data_sha256: Option<String>,
    /// Digest of what the tables of its models hold (`atable{FILE}`, `pca{FILE}`, ...), likewise; `None` where they have none, or nobody said.
    pub tables_sha256: Option<String>,
    /// Where `method = "auto"` was asked for, what both ways were expected to take: then `inference.method` is what was chosen.
    pub expected: Option<Expected>,
}

impl Provenance {
    /// The provenance of a run started now by this version.
    pub fn new(run: &RunFile, device: &str, data: Option<&Path>, data_sha256: Option<String>) -> Provenance {
        let shown = |path: PathBuf| path.display().to_string();
        // A run.toml that is run again goes on naming the file that its relative paths start from.
        let before = run.written_by.as_ref();
        let run_file = before.and_then(|before| before.origins(&run.path).into_iter().find(|path| path.is_file()));
        let data = data.map(absolute).or_else(|| run.data_folders(None).into_iter().find(|folder| folder.is_dir()));
        // The environment is not the same everywhere: what it names is written down.
        let atomdb = match run.needs_atomdb() && run.atomdb_folder(data.as_deref()).is_none() {
            true => crate::atomic::atomdb::default_folder().map(|folder| shown(absolute(&folder))),
            false => before.and_then(|before| before.atomdb.clone()),
        };
        let xillver = match run.needs_xillver() && run.xillver_folder(data.as_deref()).is_none() {
            true => crate::model::reflection::default_folder().map(|folder| shown(absolute(&folder))),
            false => before.and_then(|before| before.xillver.clone()),
        };
        Provenance {
            version: env!("CARGO_PKG_VERSION").to_string(),
            device: device.to_string(),
            run_file: match (run_file, before) {
                (Some(path), _) => shown(absolute(&path)),
                (None, Some(before)) => before.run_file.clone(),
                // Built-in run files have a name, but are no files.
                (None, None) if Path::new(&run.path).is_file() => shown(absolute(Path::new(&run.path))),
                (None, None) => run.path.clone(),
            },
            data: data.map(shown),
            atomdb,
            xillver,
            run_file_from_here: None,
            data_from_here: None,
            data_sha256,
            tables_sha256: None,
            expected: run.expected,
        }
    }

    /// The same with paths as they are reached from `folder`, which will hold the `run.toml`.
    pub fn seen_from(self, folder: &Path) -> Provenance {
        let reached = |path: &str| relative(&absolute(folder), Path::new(path)).map(|path| path.display().to_string());
        Provenance {
            run_file_from_here: reached(&self.run_file),
            data_from_here: self.data.as_deref().and_then(reached),
            ..self
        }
    }

    /// Where the run file may be that the `run.toml` at `path` came from, likeliest first.
    pub(super) fn origins(&self, path: &str) -> Vec<PathBuf> {
        candidates(path, self.run_file_from_here.as_deref(), Some(&self.run_file))
    }

    /// The same for the folder of data.
    pub(super) fn data_folders(&self, path: &str) -> Vec<PathBuf> {
        candidates(path, self.data_from_here.as_deref(), self.data.as_deref())
    }
}

/// As reached from the folder of the `run.toml` at `path`, then the absolute one. Relative ones of older versions started from the
/// folder that the program was started in.
fn candidates(path: &str, from_here: Option<&str>, absolute: Option<&str>) -> Vec<PathBuf> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut all: Vec<PathBuf> = from_here.map(|name| folder.join(name)).into_iter().collect();
    all.extend(absolute.filter(|name| !name.is_empty()).map(PathBuf::from));
    all
}

/// The path from the root on, without links where it exists.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

/// How `path` is reached from `folder`, both absolute; `None` where there is no way (another drive).
fn relative(folder: &Path, path: &Path) -> Option<PathBuf> {
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), path.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    if !path.is_absolute() || shared == 0 {
        return None;
    }
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - shared);
    let way: PathBuf = up.chain(to[shared..].iter().copied()).collect();
    Some(if way.as_os_str().is_empty() { PathBuf::from(".") } else { way })
}

/// A text of the provenance, where there is one.
macro_rules! noted {
    ($name:literal, $at:ident, $help:literal) => {
        string(
            $name,
            Field {
                get: |run| run.written_by.as_ref().and_then(|p| Option::<String>::from(p.$at.clone())),
                set: |run, text| {
                    if let (Some(p), Some(text)) = (&mut run.written_by, text) {
                        p.$at = text.into();
                    }
                },
            },
            Unsaid::Nothing("none"),
            $help,
        )
    };
}

pub(super) const KEYS: &[Key] = &[
    noted!("version", version, "The version of rontgen that wrote the file."),
    noted!("device", device, "The device that the run was computed on."),
    noted!("run_file", run_file, "The run file that the run came from: its relative names are looked for there again."),
    noted!("run_file_from_here", run_file_from_here, "The run file as it is reached from this file's folder."),
    noted!("data", data, "The folder of data files (--data or RONTGEN_DATA)."),
    noted!("data_from_here", data_from_here, "The folder of data files as it is reached from this file's folder."),
    noted!("atomdb", atomdb, "The folder of AtomDB's tables where the environment named it."),
    noted!("xillver", xillver, "The folder of xillver's tables where the environment named it."),
    noted!("data_sha256", data_sha256, "A digest of the observed counts and the folded response."),
    noted!(
        "tables_sha256",
        tables_sha256,
        "A digest of the tables of the models (atable{FILE}, pca{FILE}, AtomDB's, xillver's) and the programs of [model.external]."
    ),
    own(
        "expected",
        Grammar {
            default: || "none".into(),
            allowed: || EXPECTED.into(),
            read: read_expected,
            write: |run| {
                let Expected { npe, nested } = run.written_by.as_ref()?.expected?;
                Some(format!("[{npe:?}, {nested:?}]"))
            },
        },
        "What training and nested sampling were expected to take where method = \"auto\" chose between them [s].",
    )
    .remark("s by training and by nested sampling: method = \"auto\" chose between them"),
];

const EXPECTED: &str = "[seconds by training, seconds by nested sampling]";

fn read_expected(section: &Section<'_>, run: &mut RunFile) -> Result<(), RunFileError> {
    let pair = section.pair("expected", EXPECTED, |_, _| true)?;
    if let Some(provenance) = &mut run.written_by {
        provenance.expected = pair.map(|[npe, nested]| Expected { npe, nested });
    }
    Ok(())
}
