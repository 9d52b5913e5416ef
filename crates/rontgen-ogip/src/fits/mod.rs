//! Safe access to FITS files: the file is read (and gunzipped) into memory, its structure is checked in Rust, then
//! cfitsio decodes the table columns.
//!
//! cfitsio keeps global tables and an error stack, so every call is made under one lock. Columns are asked for only within the
//! bounds that [`header::walk`] has verified; heap descriptors are verified before each variable-length read.

pub mod header;
pub mod write;

pub use header::{Column, Hdu, HduKind, Header};

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use fitsio_sys as sys;

use crate::bounded::{self, LARGEST_FITS};

/// What is wrong with a FITS file, without its path (the caller knows it).
#[derive(Debug, thiserror::Error)]
pub enum FitsError {
    /// Neither the path nor the same with `.gz` appended or removed is there.
    #[error("no such file (nor with .gz appended or removed)")]
    Missing,
    /// The system could not read or write.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is compressed and cannot be decompressed.
    #[error("the gzip stream is damaged or truncated: {0}")]
    Gzip(std::io::Error),
    /// The first bytes are those of something else.
    #[error("not a FITS file (it does not begin with 'SIMPLE  =')")]
    NotFits,
    /// Header or data break the standard: keyword, HDU, what was found and what was expected.
    #[error("{0}")]
    Structure(String),
    /// The library that reads and writes columns failed.
    #[error("{what}: cfitsio: {message}")]
    Cfitsio {
        /// What was being done.
        what: String,
        /// What the library says.
        message: String,
    },
}

static CFITSIO: Mutex<()> = Mutex::new(());

/// The lock guards no data of ours, so a panic elsewhere while it was held leaves nothing inconsistent.
pub(crate) fn lock() -> MutexGuard<'static, ()> {
    CFITSIO.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Turns a cfitsio status into an error; call it while holding the lock (it empties the global error stack).
pub(crate) fn check(status: c_int, what: impl FnOnce() -> String) -> Result<(), FitsError> {
    if status <= 0 {
        return Ok(());
    }
    let mut text = [0 as c_char; 128];
    // SAFETY: cfitsio writes at most FLEN_STATUS = 31 bytes including the terminating zero.
    let message = unsafe {
        sys::ffgerr(status, text.as_mut_ptr());
        sys::ffcmsg();
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    };
    Err(FitsError::Cfitsio { what: what(), message: format!("{message} (status {status})") })
}

/// A file opened for reading.
pub struct FitsFile {
    path: PathBuf,
    hdus: Vec<Hdu>,
    notes: Vec<String>,
    // cfitsio keeps the addresses of both boxed values until the handle is closed; `bytes` owns what `memory.0` points to.
    memory: Box<(*mut c_void, usize)>,
    handle: *mut sys::fitsfile,
    bytes: Vec<u8>,
}

/// Resolves a file name: the name itself, else the name with `.gz` appended (keywords often name the unpacked file), else the name without
/// its `.gz` (some name a packed file that has been unpacked since).
pub fn existing(path: &Path) -> Option<PathBuf> {
    // Not is_file: a pipe may stand for a file.
    let there = |path: &Path| std::fs::metadata(path).is_ok_and(|about| !about.is_dir());
    if there(path) {
        return Some(path.to_path_buf());
    }
    let mut packed = path.as_os_str().to_os_string();
    packed.push(".gz");
    let packed = PathBuf::from(packed);
    if there(&packed) {
        return Some(packed);
    }
    let plain = path.extension().filter(|e| e.eq_ignore_ascii_case("gz")).map(|_| path.with_extension(""))?;
    there(&plain).then_some(plain)
}

/// Reads a whole FITS file, gunzipping it where it begins with the gzip mark (whatever its name).
///
/// What is no FITS file is refused after its first block, and no more is read than the headers ask for: a file that never ends costs no
/// memory. At most [`LARGEST_FITS`] bytes are read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FitsError> {
    let path = existing(path).ok_or(FitsError::Missing)?;
    let mut file = BufReader::with_capacity(1 << 18, bounded::open(&path, LARGEST_FITS)?);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return read_hdus(flate2::bufread::MultiGzDecoder::new(file), FitsError::Gzip);
    }
    read_hdus(file, FitsError::Io)
}

/// Appends at most `n` bytes; fewer where the source ends.
fn append(
    from: &mut impl Read,
    n: usize,
    to: &mut Vec<u8>,
    failed: fn(std::io::Error) -> FitsError,
) -> Result<usize, FitsError> {
    from.take(n as u64).read_to_end(to).map_err(failed)
}

/// Reads HDU after HDU, as long as the headers say that there are more.
fn read_hdus(mut from: impl Read, failed: fn(std::io::Error) -> FitsError) -> Result<Vec<u8>, FitsError> {
    let mut bytes = Vec::new();
    for index in 0.. {
        let start = bytes.len();
        // A short last block is left to the walk, which tells where the file breaks off.
        if append(&mut from, header::BLOCK, &mut bytes, failed)? < header::BLOCK {
            break;
        }
        if !bytes[start..].starts_with(if index == 0 { b"SIMPLE  =" } else { b"XTENSION" }) {
            if index == 0 {
                return Err(FitsError::NotFits);
            }
            break;
        }
        let size = loop {
            match header::data_of(&bytes, start, index)? {
                Some(size) => break size,
                None if append(&mut from, header::BLOCK, &mut bytes, failed)? == 0 => return Ok(bytes),
                None => {}
            }
        };
        let padded = size.div_ceil(header::BLOCK).saturating_mul(header::BLOCK);
        if bytes.len().saturating_add(padded) as u64 > LARGEST_FITS {
            return Err(FitsError::Structure(format!(
                "HDU {index} asks for {size} bytes; of a FITS file at most {} are read, unpacked: a wrong header or a file that never ends",
                bounded::in_words(LARGEST_FITS)
            )));
        }
        if append(&mut from, padded, &mut bytes, failed)? < padded {
            break;
        }
    }
    Ok(bytes)
}

impl FitsFile {
    /// Opens `path` or `path.gz`.
    pub fn open(path: &Path) -> Result<Self, FitsError> {
        let actual = existing(path).ok_or(FitsError::Missing)?;
        Self::from_bytes(read_bytes(&actual)?, actual)
    }

    /// Opens a file image held in memory; `path` is for messages.
    pub fn from_bytes(mut bytes: Vec<u8>, path: PathBuf) -> Result<Self, FitsError> {
        let (hdus, notes) = header::walk(&bytes)?;
        // cfitsio reads whole blocks, so a last block without padding must be completed.
        bytes.resize(bytes.len().div_ceil(header::BLOCK) * header::BLOCK, 0);
        let mut memory = Box::new((bytes.as_mut_ptr().cast::<c_void>(), bytes.len()));
        let mut handle = std::ptr::null_mut();
        let mut status = 0;
        let _guard = lock();
        // SAFETY: name is a constant C string; the boxed pointer and length outlive the handle (closed in Drop, before the
        // fields go); read-only mode never reallocates.
        unsafe {
            sys::ffomem(&mut handle, c"memory".as_ptr(), 0, &mut memory.0, &mut memory.1, 0, None, &mut status);
        }
        check(status, || "opening".into())?;
        Ok(FitsFile { path, hdus, notes, memory, handle, bytes })
    }

    /// The file that was opened (with `.gz` where that was needed).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lists the HDUs in the order of the file.
    pub fn hdus(&self) -> &[Hdu] {
        &self.hdus
    }

    /// Harmless oddities of the file's structure.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Size of the unpacked file \[bytes\].
    pub fn bytes(&self) -> usize {
        self.memory.1
    }

    fn move_to(&self, hdu: &Hdu) -> Result<(), FitsError> {
        let number = c_int::try_from(hdu.index + 1)
            .map_err(|_| FitsError::Structure(format!("{}: too many HDUs", hdu.label())))?;
        let mut status = 0;
        // SAFETY: the handle is open; cfitsio checks the number.
        unsafe { sys::ffmahd(self.handle, number, std::ptr::null_mut(), &mut status) };
        check(status, || hdu.label())
    }

    fn numeric<'h>(&self, hdu: &'h Hdu, name: &str) -> Result<&'h Column, FitsError> {
        let column = hdu
            .column(name)
            .ok_or_else(|| FitsError::Structure(format!("{}: column {name} is missing", hdu.label())))?;
        if !column.is_numeric() {
            return Err(FitsError::Structure(format!(
                "{}: column {name} has format {}, expected numbers",
                hdu.label(),
                column.form
            )));
        }
        Ok(column)
    }

    /// All elements of a fixed-width numeric column, row by row (`rows * repeat` values). TSCAL and TZERO are applied; TNULL and NaN
    /// become NaN.
    pub fn fixed(&self, hdu: &Hdu, name: &str) -> Result<Vec<f64>, FitsError> {
        let column = self.numeric(hdu, name)?;
        if column.variable {
            return Err(FitsError::Structure(format!(
                "{}: column {name} has variable length ({}), expected a fixed one",
                hdu.label(),
                column.form
            )));
        }
        // The product is bounded by the file: the walk has checked the widths against NAXIS1 and NAXIS1 * NAXIS2 against the file.
        let total = hdu.rows * column.repeat;
        let mut out = vec![0.0f64; total];
        if total > 0 {
            let _guard = lock();
            self.move_to(hdu)?;
            self.decode(hdu, column, 1, &mut out)?;
        }
        Ok(out)
    }

    /// All elements of one row (from 0) of a fixed-width numeric column, as [`FitsFile::fixed`]: for tables of which few rows are wanted.
    pub fn row(&self, hdu: &Hdu, name: &str, row: usize) -> Result<Vec<f64>, FitsError> {
        let column = self.numeric(hdu, name)?;
        if column.variable || row >= hdu.rows {
            return Err(FitsError::Structure(format!(
                "{}: column {name} has format {} and {} rows, expected more than {row} of fixed length",
                hdu.label(),
                column.form,
                hdu.rows
            )));
        }
        let mut out = vec![0.0f64; column.repeat];
        if !out.is_empty() {
            let _guard = lock();
            self.move_to(hdu)?;
            self.decode(hdu, column, row + 1, &mut out)?;
        }
        Ok(out)
    }

    /// One value a row; a vector column is refused.
    pub fn scalars(&self, hdu: &Hdu, name: &str) -> Result<Vec<f64>, FitsError> {
        let column = self.numeric(hdu, name)?;
        if column.variable || column.repeat != 1 {
            return Err(FitsError::Structure(format!(
                "{}: column {name} has format {}, expected one number a row",
                hdu.label(),
                column.form
            )));
        }
        self.fixed(hdu, name)
    }

    /// One text a row of a fixed-width text column, without surrounding blanks and zero bytes.
    pub fn texts(&self, hdu: &Hdu, name: &str) -> Result<Vec<String>, FitsError> {
        let column = hdu
            .column(name)
            .ok_or_else(|| FitsError::Structure(format!("{}: column {name} is missing", hdu.label())))?;
        if column.code != 'A' || column.variable {
            return Err(FitsError::Structure(format!(
                "{}: column {name} has format {}, expected text of fixed length",
                hdu.label(),
                column.form
            )));
        }
        let text = |row: usize| {
            // The walk has checked the table against the file.
            let start = hdu.data + row * hdu.row_bytes + column.offset;
            let bytes = self.bytes.get(start..start + column.repeat).unwrap_or(&[]);
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).trim().to_string()
        };
        Ok((0..hdu.rows).map(text).collect())
    }

    /// One truth value a row of a logical column; `None` where it is undefined.
    pub fn logicals(&self, hdu: &Hdu, name: &str) -> Result<Vec<Option<bool>>, FitsError> {
        let column = hdu
            .column(name)
            .filter(|c| c.code == 'L' && !c.variable && c.repeat >= 1)
            .ok_or_else(|| FitsError::Structure(format!("{}: no logical column {name}", hdu.label())))?;
        let at = |row: usize| self.bytes.get(hdu.data + row * hdu.row_bytes + column.offset);
        Ok((0..hdu.rows)
            .map(|row| match at(row) {
                Some(b'T') => Some(true),
                Some(b'F') => Some(false),
                _ => None,
            })
            .collect())
    }

    /// A numeric column of any layout as flat values with row offsets (`rows + 1`): scalar, fixed vector or heap array.
    pub fn ragged(&self, hdu: &Hdu, name: &str) -> Result<(Vec<f64>, Vec<usize>), FitsError> {
        let column = self.numeric(hdu, name)?;
        if !column.variable {
            let offsets = (0..=hdu.rows).map(|r| r * column.repeat).collect();
            return Ok((self.fixed(hdu, name)?, offsets));
        }
        let _guard = lock();
        self.move_to(hdu)?;
        let mut length = vec![0i64; hdu.rows];
        let mut place = vec![0i64; hdu.rows];
        let mut status = 0;
        if hdu.rows > 0 {
            // SAFETY: both arrays hold `rows` elements.
            unsafe {
                sys::ffgdessll(
                    self.handle,
                    column.number as c_int,
                    1,
                    hdu.rows as i64,
                    length.as_mut_ptr(),
                    place.as_mut_ptr(),
                    &mut status,
                );
            }
            check(status, || format!("{}: column {name}: descriptors", hdu.label()))?;
        }
        let heap = hdu.heap_bytes - hdu.heap_gap;
        let width = column.element_bytes();
        let mut offsets = Vec::with_capacity(hdu.rows + 1);
        offsets.push(0usize);
        let mut total = 0usize;
        for (row, (&n, &at)) in length.iter().zip(&place).enumerate() {
            let inside = usize::try_from(n)
                .ok()
                .zip(usize::try_from(at).ok())
                .filter(|(n, at)| n.checked_mul(width).and_then(|b| b.checked_add(*at)).is_some_and(|end| end <= heap));
            let Some((n, _)) = inside else {
                return Err(FitsError::Structure(format!(
                    "{}: column {name}, row {}: {n} elements at heap byte {at} lie outside the heap of {heap} bytes",
                    hdu.label(),
                    row + 1
                )));
            };
            total += n;
            offsets.push(total);
        }
        // Rows may share heap entries, but a few bytes must not unfold into a memory's worth.
        if total > 64 * (heap / width) + 1024 {
            return Err(FitsError::Structure(format!(
                "{}: column {name}: {total} elements from a heap of {heap} bytes: the descriptors are damaged",
                hdu.label()
            )));
        }
        let mut out = vec![0.0f64; total];
        for row in 0..hdu.rows {
            let slot = &mut out[offsets[row]..offsets[row + 1]];
            if !slot.is_empty() {
                self.decode(hdu, column, row + 1, slot)?;
            }
        }
        Ok((out, offsets))
    }

    /// Decodes `out.len()` elements from row `row` (1-based) on. The caller holds the lock, has moved to the HDU and has checked the bounds.
    fn decode(&self, hdu: &Hdu, column: &Column, row: usize, out: &mut [f64]) -> Result<(), FitsError> {
        let mut status = 0;
        let mut any_null = 0;
        // SAFETY: `out` holds the number of elements asked for.
        unsafe {
            sys::ffgcvd(
                self.handle,
                column.number as c_int,
                row as i64,
                1,
                out.len() as i64,
                f64::NAN,
                out.as_mut_ptr(),
                &mut any_null,
                &mut status,
            );
        }
        check(status, || format!("{}: column {}, row {row}", hdu.label(), column.name))
    }
}

impl Drop for FitsFile {
    fn drop(&mut self) {
        let _guard = lock();
        let mut status = 0;
        // SAFETY: the handle was opened by `from_bytes` and is closed once; the memory it refers to is dropped afterwards.
        unsafe {
            sys::ffclos(self.handle, &mut status);
            sys::ffcmsg();
        }
    }
}
