//! Where the files of an observation are found.
//!
//! A name is looked for beside the run file, then in the data folder (`--data` or `RONTGEN_DATA`), then in each folder
//! directly below that; `NAME.gz` stands in for `NAME`. A `run.toml` that rontgen wrote also remembers the run file that it
//! came from and the data folder, both as they are reached from itself and absolute: so it means the same wherever the program
//! is started. Names in the run file stay as they were written.

use std::path::{Path, PathBuf};

use super::{RunFile, RunFileError};
use crate::atomic::atomdb;
use crate::model::reflection;
use crate::observation::{FileChoice, ObservationSpec, split_text};

/// The `spectrum` of a run that uses the built-in instrument and its mock spectrum.
pub const BUILT_IN_SPECTRUM: &str = "built-in";

impl RunFile {
    /// Whether the run uses the built-in instrument instead of files.
    pub fn is_built_in(&self) -> bool {
        self.observation.spectrum == BUILT_IN_SPECTRUM
    }

    /// Every data set with the files that it names found. `data` is `--data` or `RONTGEN_DATA`.
    pub fn observation_specs(&self, data: Option<&Path>) -> Result<Vec<ObservationSpec>, RunFileError> {
        (0..=self.further.len()).map(|k| self.of_set(k).observation_spec(data)).collect()
    }

    /// `[observation]`, of several the first, with every file that it names found. `data` is `--data` or `RONTGEN_DATA`.
    pub fn observation_spec(&self, data: Option<&Path>) -> Result<ObservationSpec, RunFileError> {
        let found = |key: &str, choice: &FileChoice| -> Result<FileChoice, RunFileError> {
            Ok(match choice {
                FileChoice::File(name) => FileChoice::File(self.find_file(key, &name.to_string_lossy(), data)?),
                choice => choice.clone(),
            })
        };
        let o = &self.observation;
        let mut spec = ObservationSpec {
            spectrum: self.find_file("spectrum", &o.spectrum, data)?,
            response: match found("response", &o.response)? {
                FileChoice::File(path) => Some(path),
                _ => None,
            },
            arf: found("arf", &o.arf)?,
            background: found("background", &o.background)?,
            energies: o.energies.clone(),
            grouping: o.grouping.clone(),
            min_background: o.min_background,
            mismatch: o.mismatch,
            notes: Vec::new(),
            redistribution: self.moves_responses(),
        };
        let path = |choice: &FileChoice| match choice {
            FileChoice::File(path) => Some(path.display().to_string()),
            _ => None,
        };
        for (key, name, found) in [
            ("spectrum", Some(o.spectrum.clone()), Some(spec.spectrum.display().to_string())),
            ("response", path(&o.response), spec.response.as_ref().map(|path| path.display().to_string())),
            ("arf", path(&o.arf), path(&spec.arf)),
            ("background", path(&o.background), path(&spec.background)),
        ] {
            if let (Some(name), Some(found)) = (name, found)
                && name.ends_with(".gz")
                && !found.ends_with(".gz")
            {
                spec.notes.push(format!("observation.{key} = {name:?}: found unpacked as {found}"));
            }
        }
        Ok(spec)
    }

    /// The folder with AtomDB's tables: what `model.atomdb` names (from the run file's folder on, or in the data folder), else
    /// the data folder if it or a folder in it has them. `None`: the environment decides.
    pub fn atomdb_folder(&self, data: Option<&Path>) -> Option<PathBuf> {
        let data = self.data_folders(data);
        let Some(name) = &self.model.atomdb else {
            let found = data.iter().find(|folder| atomdb::find(&[folder.to_path_buf()]).is_ok()).cloned();
            let noted = self.written_by.as_ref().and_then(|p| p.atomdb.as_ref()).map(PathBuf::from);
            let noted = noted.filter(|folder| folder.is_dir());
            // Named but without them: the message will name it, unless the environment knows another.
            let only = data.first().filter(|_| atomdb::open(None).is_err());
            return found.or(noted).or(only.cloned());
        };
        let mut folders = self.folders();
        folders.extend(data);
        let beside = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_dir());
        Some(beside.unwrap_or_else(|| PathBuf::from(name)))
    }

    /// The folder with xillver's tables, or one of them: as [`RunFile::atomdb_folder`], by `model.xillver`.
    pub fn xillver_folder(&self, data: Option<&Path>) -> Option<PathBuf> {
        let data = self.data_folders(data);
        let Some(name) = &self.model.xillver else {
            let found = data.iter().find(|folder| reflection::is_there(folder)).cloned();
            let noted = self.written_by.as_ref().and_then(|p| p.xillver.as_ref()).map(PathBuf::from);
            let noted = noted.filter(|folder| folder.is_dir());
            // Named but without them: the message will name it, unless the environment knows another.
            let only = data.first().filter(|_| reflection::default_folder().is_none());
            return found.or(noted).or(only.cloned());
        };
        let mut folders = self.folders();
        folders.extend(data);
        let beside = folders.iter().map(|folder| folder.join(name)).find(|path| path.exists());
        Some(beside.unwrap_or_else(|| PathBuf::from(name)))
    }

    /// Whether a model needs xillver's tables.
    pub fn needs_xillver(&self) -> bool {
        let named = self.models.iter().map(|model| &model.expression);
        named.chain([&self.model.expression]).any(|expression| expression.to_lowercase().contains("xill"))
    }

    /// Finds the file `name` that `observation.KEY` names; a selector such as `{3}` or `[MATRIX]` at its end is kept.
    pub fn find_file(&self, key: &str, name: &str, data: Option<&Path>) -> Result<PathBuf, RunFileError> {
        self.find_named(&format!("observation.{key} = {name:?}"), name, data)
    }

    /// Whether the model needs AtomDB's tables.
    pub fn needs_atomdb(&self) -> bool {
        self.model.expression.to_lowercase().contains("apec")
    }

    /// Folder that relative names start from: that of the run file, of the original one for a `run.toml`.
    pub fn folder(&self) -> PathBuf {
        let origins = self.written_by.as_ref().map(|before| before.origins(&self.path)).unwrap_or_default();
        let there = origins.iter().find(|path| path.is_file()).or(origins.last());
        there.map_or_else(|| folder_of(&self.path), |path| path.parent().unwrap_or(Path::new("")).to_path_buf())
    }

    /// The folder `name`, which the run file names: from its own folder on, else as the program was started.
    pub fn found_folder(&self, name: &str) -> PathBuf {
        let found = self.folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_dir());
        found.unwrap_or_else(|| PathBuf::from(name))
    }

    /// Folders that relative names may start from, in the order of the search.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![folder_of(&self.path)];
        let origins = self.written_by.iter().flat_map(|before| before.origins(&self.path));
        folders.extend(origins.map(|path| path.parent().unwrap_or(Path::new("")).to_path_buf()));
        folders.dedup();
        folders
    }

    /// Folders of data: `data` (`--data` or `RONTGEN_DATA`), then what a `run.toml` remembers, where it is there.
    pub fn data_folders(&self, data: Option<&Path>) -> Vec<PathBuf> {
        let before = self.written_by.iter().flat_map(|before| before.data_folders(&self.path));
        let mut folders: Vec<PathBuf> = data.map(Path::to_path_buf).into_iter().collect();
        for folder in before {
            if folder.is_dir() && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// The same for a file that is named elsewhere; `what` begins the messages.
    pub fn find_named(&self, what: &str, name: &str, data: Option<&Path>) -> Result<PathBuf, RunFileError> {
        // A file may be called as if it had a selector: the whole name goes first.
        match split_text(name, |_| false) {
            (_, "") => self.find_split(what, (name, ""), data),
            split => self.find_split(what, (name, ""), data).or_else(|_| self.find_split(what, split, data)),
        }
    }

    fn find_split(
        &self,
        what: &str,
        (file, selector): (&str, &str),
        data: Option<&Path>,
    ) -> Result<PathBuf, RunFileError> {
        let with_selector = |path: PathBuf| match selector {
            "" => path,
            selector => PathBuf::from(format!("{}{selector}", path.display())),
        };
        let folders = self.folders();
        for folder in &folders {
            if let Some(path) = existing(folder, file) {
                return Ok(with_selector(path));
            }
        }
        let mut looked: Vec<String> = folders.iter().map(|f| shown(f)).collect();
        for data in &self.data_folders(data) {
            if let Some(path) = existing(data, file) {
                return Ok(with_selector(path));
            }
            let mut below: Vec<PathBuf> = subfolders(data).iter().filter_map(|f| existing(f, file)).collect();
            match below.len() {
                0 => looked.push(format!("{} and the folders in it", data.display())),
                1 => return Ok(with_selector(below.swap_remove(0))),
                _ => {
                    let list: Vec<_> = below.iter().map(|p| p.display().to_string()).collect();
                    return Err(RunFileError::File {
                        path: self.path.clone(),
                        message: format!("{what} is found more than once ({}); write the folder too", list.join(", ")),
                    });
                }
            }
        }
        let hint = if data.is_none() { "; --data DIR or RONTGEN_DATA names another folder" } else { "" };
        Err(RunFileError::File {
            path: self.path.clone(),
            message: format!("{what} is not found in {}{hint}", looked.join(", nor in ")),
        })
    }
}

fn folder_of(file: &str) -> PathBuf {
    Path::new(file).parent().unwrap_or(Path::new("")).to_path_buf()
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "the current folder".into() } else { folder.display().to_string() }
}

fn existing(folder: &Path, name: &str) -> Option<PathBuf> {
    crate::fits::existing(&folder.join(name))
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut folders: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}
