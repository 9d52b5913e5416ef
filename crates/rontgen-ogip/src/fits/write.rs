//! Writing FITS tables through cfitsio: into a temporary file beside the target, renamed when it is whole.

use std::ffi::{CString, c_char, c_int};
use std::path::Path;

use fitsio_sys as sys;

use super::{FitsError, check, lock};
use crate::replacement::Replacement;

const BINARY_TABLE: c_int = 2;
const READ_WRITE: c_int = 1;

fn c_string(text: &str) -> Result<CString, FitsError> {
    CString::new(text).map_err(|_| FitsError::Structure(format!("'{text}' holds a zero byte")))
}

/// Header text is ASCII by the standard; other characters become '?'.
fn ascii(text: &str) -> Result<CString, FitsError> {
    let clean: String = text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    c_string(&clean)
}

/// A FITS file that is being written. Dropped before [`FitsWriter::finish`], it leaves nothing behind.
pub struct FitsWriter {
    handle: *mut sys::fitsfile,
    new: Option<Replacement>,
}

impl FitsWriter {
    /// Begins a new file with an empty primary HDU.
    pub fn create(target: &Path) -> Result<Self, FitsError> {
        let new = Replacement::of(target)?;
        let name = c_string(&new.path().to_string_lossy())?;
        // cfitsio makes the file itself.
        std::fs::remove_file(new.path())?;
        let mut handle = std::ptr::null_mut();
        let mut status = 0;
        let _guard = lock();
        // SAFETY: the name is a C string; the handle is only used when the status is 0.
        unsafe { sys::ffdkinit(&mut handle, name.as_ptr(), &mut status) };
        check(status, || "creating".into())?;
        let writer = FitsWriter { handle, new: Some(new) };
        // SAFETY: the handle is open; no axes are read for NAXIS = 0.
        unsafe { sys::ffphps(writer.handle, 8, 0, std::ptr::null_mut(), &mut status) };
        let result = check(status, || "primary header".into());
        drop(_guard);
        result.map(|()| writer)
    }

    /// Begins a copy of a file image, to be changed and stored under `target`.
    pub fn copy(bytes: &[u8], target: &Path) -> Result<Self, FitsError> {
        let new = Replacement::of(target)?;
        let name = c_string(&new.path().to_string_lossy())?;
        std::fs::write(new.path(), bytes)?;
        let mut handle = std::ptr::null_mut();
        let mut status = 0;
        let opened = {
            let _guard = lock();
            // SAFETY: as in `create`.
            unsafe { sys::ffdkopn(&mut handle, name.as_ptr(), READ_WRITE, &mut status) };
            check(status, || "opening the copy".into())
        };
        opened?;
        Ok(FitsWriter { handle, new: Some(new) })
    }

    fn call(&mut self, what: &str, f: impl FnOnce(*mut sys::fitsfile, &mut c_int)) -> Result<(), FitsError> {
        let _guard = lock();
        let mut status = 0;
        f(self.handle, &mut status);
        check(status, || what.to_string())
    }

    /// Moves to an HDU, 0 for the primary.
    pub fn move_to(&mut self, index: usize) -> Result<(), FitsError> {
        // SAFETY: the handle is open; cfitsio checks the number.
        self.call("moving to the extension", |h, s| unsafe {
            sys::ffmahd(h, index as c_int + 1, std::ptr::null_mut(), s);
        })
    }

    /// Appends a binary table; columns are (name, format, unit).
    pub fn table(&mut self, name: &str, columns: &[(&str, &str, &str)], rows: usize) -> Result<(), FitsError> {
        let extension = ascii(name)?;
        let mut strings = Vec::new();
        for (n, f, u) in columns {
            strings.push([ascii(n)?, ascii(f)?, ascii(u)?]);
        }
        let pick = |k: usize| strings.iter().map(|s| s[k].as_ptr().cast_mut()).collect::<Vec<*mut c_char>>();
        let (mut names, mut forms, mut units) = (pick(0), pick(1), pick(2));
        // SAFETY: three arrays of `columns.len()` C strings that live until the call returns; cfitsio does not write to them.
        self.call("creating the table", |h, s| unsafe {
            sys::ffcrtb(
                h,
                BINARY_TABLE,
                rows as i64,
                columns.len() as c_int,
                names.as_mut_ptr(),
                forms.as_mut_ptr(),
                units.as_mut_ptr(),
                extension.as_ptr(),
                s,
            );
        })
    }

    /// Writes or replaces a text keyword.
    pub fn text(&mut self, key: &str, value: &str, comment: &str) -> Result<(), FitsError> {
        let (k, v, c) = (ascii(key)?, ascii(value)?, ascii(comment)?);
        // SAFETY: C strings that live through the call.
        self.call(key, |h, s| unsafe {
            sys::ffukys(h, k.as_ptr(), v.as_ptr(), c.as_ptr(), s);
        })
    }

    /// Writes or replaces an integer keyword.
    pub fn integer(&mut self, key: &str, value: i64, comment: &str) -> Result<(), FitsError> {
        let (k, c) = (ascii(key)?, ascii(comment)?);
        // SAFETY: C strings that live through the call.
        self.call(key, |h, s| unsafe {
            sys::ffukyj(h, k.as_ptr(), value, c.as_ptr(), s);
        })
    }

    /// Writes a real keyword (15 digits).
    pub fn real(&mut self, key: &str, value: f64, comment: &str) -> Result<(), FitsError> {
        let (k, c) = (ascii(key)?, ascii(comment)?);
        // SAFETY: C strings that live through the call.
        self.call(key, |h, s| unsafe {
            sys::ffpkyd(h, k.as_ptr(), value, -15, c.as_ptr(), s);
        })
    }

    /// Writes a logical keyword.
    pub fn logical(&mut self, key: &str, value: bool, comment: &str) -> Result<(), FitsError> {
        let (k, c) = (ascii(key)?, ascii(comment)?);
        // SAFETY: C strings that live through the call.
        self.call(key, |h, s| unsafe {
            sys::ffpkyl(h, k.as_ptr(), c_int::from(value), c.as_ptr(), s);
        })
    }

    /// Removes a keyword, as often as it is there.
    pub fn remove_key(&mut self, key: &str) -> Result<(), FitsError> {
        /// cfitsio's KEY_NO_EXIST.
        const ABSENT: c_int = 202;
        let k = ascii(key)?;
        // SAFETY: a C string that lives through the call; each call removes one card, so the loop ends.
        self.call(key, |h, s| unsafe {
            while *s == 0 {
                sys::ffdkey(h, k.as_ptr(), s);
            }
            if *s == ABSENT {
                *s = 0;
                sys::ffcmsg();
            }
        })
    }

    /// Appends a HISTORY line.
    pub fn history(&mut self, line: &str) -> Result<(), FitsError> {
        let line = ascii(line)?;
        // SAFETY: a C string that lives through the call.
        self.call("HISTORY", |h, s| unsafe {
            sys::ffphis(h, line.as_ptr(), s);
        })
    }

    /// Writes integers into column `number` (1-based) from the first row on; cfitsio checks that they fit the column's format.
    pub fn column(&mut self, number: usize, values: &[i64]) -> Result<(), FitsError> {
        let mut copy = values.to_vec();
        // SAFETY: the array holds `values.len()` elements.
        self.call("writing a column", |h, s| unsafe {
            sys::ffpcljj(h, number as c_int, 1, 1, copy.len() as i64, copy.as_mut_ptr(), s);
        })
    }

    /// Writes reals into column `number` (1-based) from the first row on.
    pub fn real_column(&mut self, number: usize, values: &[f64]) -> Result<(), FitsError> {
        let mut copy = values.to_vec();
        // SAFETY: the array holds `values.len()` elements.
        self.call("writing a column", |h, s| unsafe {
            sys::ffpcld(h, number as c_int, 1, 1, copy.len() as i64, copy.as_mut_ptr(), s);
        })
    }

    /// Writes integers into column `number` from row `first` (1-based) on, whole rows of a vector column; rows are added as needed.
    pub fn rows(&mut self, number: usize, first: usize, values: &[u32]) -> Result<(), FitsError> {
        let mut copy: Vec<i64> = values.iter().map(|&v| i64::from(v)).collect();
        // SAFETY: the array holds `values.len()` elements.
        self.call("writing rows", |h, s| unsafe {
            sys::ffpcljj(h, number as c_int, first as i64, 1, copy.len() as i64, copy.as_mut_ptr(), s);
        })
    }

    /// Writes reals into column `number` from row `first` (1-based) on, whole rows of a vector column; rows are added as needed.
    pub fn real_rows(&mut self, number: usize, first: usize, values: &[f64]) -> Result<(), FitsError> {
        let mut copy = values.to_vec();
        // SAFETY: the array holds `values.len()` elements.
        self.call("writing rows", |h, s| unsafe {
            sys::ffpcld(h, number as c_int, first as i64, 1, copy.len() as i64, copy.as_mut_ptr(), s);
        })
    }

    /// Inserts an empty column at position `number` (1-based).
    pub fn insert_column(&mut self, number: usize, name: &str, form: &str) -> Result<(), FitsError> {
        let (n, f) = (ascii(name)?, ascii(form)?);
        // SAFETY: C strings that live through the call and are not written to.
        self.call(name, |h, s| unsafe {
            sys::fficol(h, number as c_int, n.as_ptr().cast_mut(), f.as_ptr().cast_mut(), s);
        })
    }

    /// Closes the file and puts it under its final name.
    pub fn finish(mut self) -> Result<(), FitsError> {
        self.close()?;
        if let Some(new) = self.new.take() {
            new.finish()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), FitsError> {
        if self.handle.is_null() {
            return Ok(());
        }
        let handle = std::mem::replace(&mut self.handle, std::ptr::null_mut());
        let _guard = lock();
        let mut status = 0;
        // SAFETY: the handle was open and is closed once.
        unsafe { sys::ffclos(handle, &mut status) };
        check(status, || "closing".into())
    }
}

impl Drop for FitsWriter {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
