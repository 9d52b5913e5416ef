//! Reading inputs that may never end: devices, pipes, packed files that unpack to more than a machine holds.
//!
//! Every file that a user names is read through here, up to a stated size; what is longer is an error that says so, before memory runs out.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The longest text that is read whole \[bytes\]: run files, save files, lists, expressions.
pub const LARGEST_TEXT: u64 = 64 << 20;
/// The longest table of numbers as text (CSV) \[bytes\].
pub const LARGEST_TABLE: u64 = 1 << 30;
/// The longest FITS file, unpacked \[bytes\].
pub const LARGEST_FITS: u64 = 4 << 30;

/// A size in words: `64 MiB`.
pub fn in_words(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 => format!("{} GiB", b >> 30),
        b if b >= 1 << 20 => format!("{} MiB", b >> 20),
        b => format!("{b} bytes"),
    }
}

/// A reader that fails, instead of going on, once it has given `limit` bytes and there are more.
#[derive(Debug)]
pub struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    /// Wraps a reader of which at most `limit` bytes are wanted.
    pub fn new(inner: R, limit: u64) -> Self {
        Bounded { inner, left: limit, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return match self.inner.read(&mut buffer[..1])? {
                0 => Ok(0),
                _ => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "longer than {}, the most that is read of such a file: does it end at all?",
                        in_words(self.limit)
                    ),
                )),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Opens a file of which at most `limit` bytes are read. A regular file that is longer is refused at once.
///
/// # Errors
/// As opening a file; a file longer than `limit`; a folder.
pub fn open(path: &Path, limit: u64) -> io::Result<Bounded<File>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder, expected a file"));
    }
    if about.is_file() && about.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("holds {} bytes; at most {} are read of such a file", about.len(), in_words(limit)),
        ));
    }
    Ok(Bounded::new(file, limit))
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, limit)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole file of text in UTF-8, of at most `limit` bytes.
///
/// # Errors
/// As [`open`]; text that is not UTF-8.
pub fn read_to_string(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ten");
        std::fs::write(&path, b"0123456789").unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"0123456789");
        assert!(read(&path, 9).unwrap_err().to_string().contains("10 bytes"));
        assert!(read(folder.path(), 9).is_err());
        let mut out = Vec::new();
        let error = Bounded::new(io::repeat(7), 1000).read_to_end(&mut out).unwrap_err().to_string();
        assert!(error.contains("1000 bytes") && out.len() == 1000, "{error}");
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string().contains("1 MiB"));
    }
}
