//! Checkpoints: named arrays in one checksummed file, and a folder that keeps the last two of them.
//!
//! The layout, all numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `RNTGCKPT` |
//! | 4 | version of the layout, u32, now 1 |
//! | 4 | number of arrays, u32 |
//! | per array | name length u32, name (UTF-8); type u8; number of elements u64; the elements |
//! | 32 | SHA-256 of everything before |
//!
//! Types: 1 f32, 2 f64, 3 u32, 4 u64, 5 text (each element: length u32, UTF-8). Arrays are streamed in both directions,
//! so a checkpoint of gigabytes needs no second copy in memory. The checksum is what tells a file cut short by a full
//! disk or a killed process from a good one: nothing of a file is used before it has been read to the end and agrees.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::nn::{Array, Record};
use crate::replacement::Replacement;

const MAGIC: &[u8; 8] = b"RNTGCKPT";
/// Raised with every change of the layout; an older file is refused, not guessed at.
pub const FORMAT_VERSION: u32 = 1;
/// Elements are converted in pieces of this many bytes; a count that a damaged file claims is never allocated at once.
const CHUNK: usize = 1 << 20;

/// A checkpoint cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is damaged or no checkpoint.
    #[error("{path}: not a usable checkpoint: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file has another layout.
    #[error("{path}: checkpoint layout version {found}; this rontgen reads version {FORMAT_VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file belongs to another run.
    #[error("{path}: not a checkpoint of this run: {differences}; --force starts the run anew")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Keys that differ.
        differences: String,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said of it.
        source: io::Error,
    },
    /// None of the checkpoints of a folder can be used; each with its reason.
    #[error("no usable checkpoint is left (--force starts the run anew):\n  {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))]
    NoneLeft(Vec<CheckpointError>),
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Error {
        match error {
            CheckpointError::Io { path, source } => Error::Io { path, source },
            other => Error::Input(other.to_string()),
        }
    }
}

/// Writes the file under a temporary name, flushes it to the disk and renames it: under `path` there is either the
/// old file or the whole new one, also after a crash.
///
/// # Errors
/// [`CheckpointError::Io`].
pub fn save(record: &Record<'_>, path: &Path) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_path_buf(), source };
    let written = || {
        let new = Replacement::of(path)?;
        let mut out = Hashing { inner: BufWriter::with_capacity(CHUNK, new.open()?), hash: Sha256::new() };
        write(record, &mut out)?;
        let digest = out.hash.finalize();
        out.inner.write_all(&digest)?;
        out.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        new.finish()
    };
    written().map_err(io)
}

fn write(record: &Record<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&FORMAT_VERSION.to_le_bytes())?;
    out.write_all(&length(record.entries().len())?.to_le_bytes())?;
    for (name, array) in record.entries() {
        write_text(out, name)?;
        out.write_all(&[array.tag()])?;
        match array {
            Array::F32(v) => write_numbers(out, v),
            Array::F64(v) => write_numbers(out, v),
            Array::U32(v) => write_numbers(out, v),
            Array::U64(v) => write_numbers(out, v),
            Array::Text(v) => {
                out.write_all(&(v.len() as u64).to_le_bytes())?;
                v.iter().try_for_each(|text| write_text(out, text))
            }
        }?;
    }
    Ok(())
}

/// Reads and verifies a file. A file that is damaged or cut short is an error that names it.
///
/// # Errors
/// [`CheckpointError::Damaged`], [`CheckpointError::Version`] or [`CheckpointError::Io`].
pub fn load(path: &Path) -> Result<Record<'static>, CheckpointError> {
    let io = |source| CheckpointError::Io { path: path.to_path_buf(), source };
    let damaged = |what: &str| CheckpointError::Damaged { path: path.to_path_buf(), what: what.into() };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut input = Hashing { inner: BufReader::with_capacity(CHUNK, file), hash: Sha256::new() };
    let mut reader = Reader { input: &mut input, left: size.saturating_sub(32) };
    let parsed = (|| -> io::Result<Result<Record<'static>, u32>> {
        if reader.bytes(8)? != MAGIC {
            return Err(invalid("it does not begin as one"));
        }
        let version = reader.u32()?;
        if version != FORMAT_VERSION {
            return Ok(Err(version));
        }
        let count = reader.u32()?;
        let mut record = Record::new();
        for _ in 0..count {
            let (name, array) = reader.array()?;
            record = record.put(&name, array);
        }
        if reader.left != 0 {
            return Err(invalid("bytes are left after the last array"));
        }
        Ok(Ok(record))
    })();
    let checkpoint = match parsed {
        Ok(Ok(checkpoint)) => checkpoint,
        Ok(Err(found)) => return Err(CheckpointError::Version { path: path.to_path_buf(), found }),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            return Err(damaged(&error.to_string()));
        }
        Err(error) => return Err(io(error)),
    };
    let mut stored = [0; 32];
    input.inner.read_exact(&mut stored).map_err(io)?;
    if input.hash.finalize().as_slice() != stored {
        return Err(damaged("the checksum does not agree"));
    }
    Ok(checkpoint)
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn length(n: usize) -> io::Result<u32> {
    u32::try_from(n).map_err(|_| invalid("a name, text or list is too long"))
}

fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(&length(text.len())?.to_le_bytes())?;
    out.write_all(text.as_bytes())
}

/// Reverses each element's bytes where the host is big-endian.
fn to_file_order(bytes: &mut [u8], element: usize) {
    if cfg!(target_endian = "big") {
        bytes.chunks_exact_mut(element).for_each(<[u8]>::reverse);
    }
}

fn write_numbers<T: bytemuck::Pod>(out: &mut impl Write, values: &[T]) -> io::Result<()> {
    out.write_all(&(values.len() as u64).to_le_bytes())?;
    for chunk in bytemuck::cast_slice::<T, u8>(values).chunks(CHUNK) {
        if cfg!(target_endian = "big") {
            let mut chunk = chunk.to_vec();
            to_file_order(&mut chunk, size_of::<T>());
            out.write_all(&chunk)?;
        } else {
            out.write_all(chunk)?;
        }
    }
    Ok(())
}

/// Hashes what passes through.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads within the bytes that lie before the checksum; whatever a damaged file claims, no more is asked for.
struct Reader<'r, T> {
    input: &'r mut Hashing<T>,
    left: u64,
}

impl<T: Read> Reader<'_, T> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(buffer.len() as u64).ok_or_else(|| invalid("it ends too early"))?;
        self.input.inner.read_exact(buffer)?;
        self.input.hash.update(&*buffer);
        Ok(())
    }

    fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        if n as u64 > self.left {
            return Err(invalid("it ends too early"));
        }
        let mut bytes = vec![0; n];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> io::Result<String> {
        let n = self.u32()?;
        String::from_utf8(self.bytes(n as usize)?).map_err(|_| invalid("a name or text is not UTF-8"))
    }

    fn numbers<N: bytemuck::Pod>(&mut self) -> io::Result<Vec<N>> {
        let count = self.u64()?;
        let bytes = count.checked_mul(size_of::<N>() as u64).filter(|&bytes| bytes <= self.left);
        let bytes = bytes.ok_or_else(|| invalid("an array is longer than the file"))?;
        // Bounded by the size of the file, which is on the disk already.
        let mut values = vec![N::zeroed(); (bytes as usize) / size_of::<N>()];
        for chunk in bytemuck::cast_slice_mut::<N, u8>(&mut values).chunks_mut(CHUNK) {
            self.fill(chunk)?;
            to_file_order(chunk, size_of::<N>());
        }
        Ok(values)
    }

    fn array(&mut self) -> io::Result<(String, Array<'static>)> {
        let name = self.text()?;
        let mut tag = [0];
        self.fill(&mut tag)?;
        let array = match tag[0] {
            1 => Array::F32(self.numbers()?.into()),
            2 => Array::F64(self.numbers()?.into()),
            3 => Array::U32(self.numbers()?.into()),
            4 => Array::U64(self.numbers()?.into()),
            5 => {
                let count = self.u64()?;
                Array::Text((0..count).map(|_| self.text()).collect::<io::Result<_>>()?)
            }
            other => return Err(invalid(format!("the array {name:?} has the unknown type {other}"))),
        };
        Ok((name, array))
    }
}

/// Names of the arrays that tell whose a checkpoint is.
const OWNER_RUN: &str = "owner.run";
const OWNER_DATA: &str = "owner.data_sha256";
const OWNER_TABLES: &str = "owner.tables_sha256";
/// Differing keys that a message lists.
const SHOWN_DIFFERENCES: usize = 3;

/// Whose a checkpoint is: everything that decides the run (its seed among it), key by key, and the digest of the data.
///
/// Checkpoints of runs of one shape fit each other's networks number by number, so that only this tells them apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// `(section.key, value)` as [`super::run_file::RunFile::identity`] lists them.
    pub run: Vec<(String, String)>,
    /// Digest of the observed counts and the folded response.
    pub data_sha256: String,
    /// Digest of the tables of its models; empty where they have none.
    pub tables_sha256: String,
}

impl Owner {
    /// Marks a checkpoint as belonging to this run.
    pub fn mark<'a>(&self, checkpoint: Record<'a>) -> Record<'a> {
        let lines: Vec<String> = self.run.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let marked = checkpoint.put_text(OWNER_RUN, &lines).put_text(OWNER_DATA, &[&self.data_sha256]);
        if self.tables_sha256.is_empty() { marked } else { marked.put_text(OWNER_TABLES, &[&self.tables_sha256]) }
    }

    /// What differs between this run and the one that `checkpoint` belongs to, in words; `None` where nothing does. A checkpoint that
    /// does not say whose it is differs.
    pub fn differences(&self, checkpoint: &Record<'_>) -> Option<String> {
        self.differences_but(checkpoint, |_| false)
    }

    /// As [`Owner::differences`], leaving out the keys for which `ignored` holds.
    pub fn differences_but(&self, checkpoint: &Record<'_>, ignored: impl Fn(&str) -> bool) -> Option<String> {
        let (Ok(run), Ok([data])) = (checkpoint.text(OWNER_RUN), checkpoint.text(OWNER_DATA)) else {
            return Some("it does not say which run it belongs to (another version wrote it)".into());
        };
        let theirs: Vec<(&str, &str)> = run.iter().filter_map(|line| line.split_once(" = ")).collect();
        let find = |key: &str| theirs.iter().find(|(k, _)| *k == key).map_or("absent", |(_, value)| *value);
        let mut found: Vec<String> = self
            .run
            .iter()
            .filter(|(key, value)| !ignored(key) && find(key) != value.as_str())
            .map(|(key, value)| format!("{key} is {} there and {value} here", find(key)))
            .collect();
        let absent = theirs.iter().filter(|(key, _)| !ignored(key) && self.run.iter().all(|(k, _)| k != key));
        found.extend(absent.map(|(key, value)| format!("{key} is {value} there and absent here")));
        if *data != self.data_sha256 {
            found.insert(0, "it was made with other data (counts, bins or response)".into());
        }
        // One that does not say is of an earlier version, or of a model without tables, whose expression is another one.
        if checkpoint.text(OWNER_TABLES).is_ok_and(|theirs| *theirs != [self.tables_sha256.as_str()]) {
            found.insert(0, "it was made with other tables of its model (atable{FILE}, pca{FILE})".into());
        }
        if found.len() > SHOWN_DIFFERENCES {
            let more = found.len() - SHOWN_DIFFERENCES;
            found.truncate(SHOWN_DIFFERENCES);
            found.push(format!("and {more} more"));
        }
        (!found.is_empty()).then(|| found.join("; "))
    }
}

/// A folder of checkpoints, the last two of them kept: a crash while one is written, or a bad block under it, still
/// leaves one to go on from.
#[derive(Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
    next: u64,
    owner: Option<Owner>,
}

/// The newest checkpoint that could be used.
#[derive(Debug)]
pub struct Loaded {
    /// Its arrays.
    pub checkpoint: Record<'static>,
    /// Its file.
    pub path: PathBuf,
    /// Newer ones that could not.
    pub warnings: Vec<String>,
}

const KEPT: usize = 2;

impl CheckpointStore {
    /// Opens `folder`, creating it if need be.
    pub fn open(folder: impl Into<PathBuf>) -> Result<CheckpointStore, CheckpointError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| CheckpointError::Io { path: folder.clone(), source })?;
        let mut store = CheckpointStore { folder, next: 1, owner: None };
        store.next = store.files()?.last().map_or(1, |(number, _)| number + 1);
        Ok(store)
    }

    /// Marks every checkpoint that is saved as one of `owner`, and takes no other one.
    pub fn owned_by(self, owner: Owner) -> CheckpointStore {
        CheckpointStore { owner: Some(owner), ..self }
    }

    /// Saves `checkpoint` as the newest and forgets all but the last two.
    pub fn save(&mut self, checkpoint: Record<'_>) -> Result<PathBuf, CheckpointError> {
        let path = self.folder.join(format!("{:06}.checkpoint", self.next));
        match &self.owner {
            Some(owner) => save(&owner.mark(checkpoint), &path)?,
            None => save(&checkpoint, &path)?,
        }
        self.next += 1;
        let files = self.files()?;
        for (_, old) in files.iter().rev().skip(KEPT) {
            fs::remove_file(old).map_err(|source| CheckpointError::Io { path: old.clone(), source })?;
        }
        Ok(path)
    }

    /// The newest usable checkpoint; `None` if none was ever saved; an error if there are some and none can be used, or if one is
    /// that of another run: whoever put it there meant something else.
    pub fn load(&self) -> Result<Option<Loaded>, CheckpointError> {
        let mut errors = Vec::new();
        for (_, path) in self.files()?.into_iter().rev() {
            match load(&path) {
                Ok(checkpoint) => {
                    let differences = self.owner.as_ref().and_then(|owner| owner.differences(&checkpoint));
                    if let Some(differences) = differences {
                        return Err(CheckpointError::Foreign { path, differences });
                    }
                    let warnings = errors.iter().map(|e| format!("{e}; going on from the one before")).collect();
                    return Ok(Some(Loaded { checkpoint, path, warnings }));
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(None) } else { Err(CheckpointError::NoneLeft(errors)) }
    }

    /// Removes every checkpoint and the empty folder: the run is finished.
    pub fn clear(&self) -> Result<(), CheckpointError> {
        for (_, path) in self.files()? {
            fs::remove_file(&path).map_err(|source| CheckpointError::Io { path, source })?;
        }
        // Not ours to insist on: somebody may keep a file in it.
        let _ = fs::remove_dir(&self.folder);
        Ok(())
    }

    /// Checkpoints by number, oldest first.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let io = |source| CheckpointError::Io { path: self.folder.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let number = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".checkpoint"));
            if let Some(number) = number.and_then(|n| n.parse().ok()) {
                files.push((number, path));
            }
        }
        files.sort();
        Ok(files)
    }
}
