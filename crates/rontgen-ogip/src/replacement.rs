//! Files appear whole or not at all: written under a temporary name in the same folder, flushed to the disk, then renamed.
//!
//! The temporary name must be in the same folder: a rename across file systems is a copy, and a copy can be cut short.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that takes the place of another once it is whole. Dropped before [`Replacement::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct Replacement {
    temporary: tempfile::TempPath,
    target: PathBuf,
}

/// Whether a device or a pipe is there: it is written into, as a rename would put a file in its place (of /dev/null, for whoever may). So is what a
/// process has open already, whatever it is.
fn is_special(target: &Path) -> bool {
    descriptor(target).is_some() || fs::metadata(target).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Number of the open file that a name such as /proc/self/fd/1 stands for: a link whose text is no name of a file that could be made.
fn descriptor(path: &Path) -> Option<u32> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let open = folder.ends_with("fd") && (folder.starts_with("/proc") || folder.starts_with("/dev"));
    open.then(|| name.parse().ok())?
}

/// Links that follow each other, at most, as systems have it.
const MOST_LINKS: usize = 40;

/// Returns the file that a name stands for: where it is a link, that which the link leads to, whether that is there or not. A file is written through
/// a link, which stays.
///
/// # Errors
/// Links that lead to no end.
pub fn through_links(path: &Path) -> io::Result<PathBuf> {
    let mut found = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        if descriptor(&found).is_some() || !fs::symlink_metadata(&found).is_ok_and(|own| own.is_symlink()) {
            return Ok(found);
        }
        let to = fs::read_link(&found)?;
        // From the folder of the link.
        found = found.parent().map_or(to.clone(), |folder| folder.join(&to));
    }
    Err(io::Error::other("a link that leads to no file: too many links follow each other"))
}

impl Replacement {
    /// Begins a file that is to become `target`, in a folder that is there; of a link what it leads to.
    ///
    /// # Errors
    /// What the file system refuses, and a target that is not the name of a file.
    pub fn of(target: &Path) -> io::Result<Replacement> {
        let target = &through_links(target)?;
        let name =
            target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part");
        // What a temporary file is made with, nobody else may read: this one becomes an ordinary file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = if is_special(target) { builder.tempfile() } else { builder.tempfile_in(folder) };
        Ok(Replacement { temporary: file?.into_temp_path(), target: target.to_path_buf() })
    }

    /// The temporary file, which exists and is empty: for libraries that must open it themselves.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Opens the temporary file for writing.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn open(&self) -> io::Result<File> {
        File::options().write(true).truncate(true).open(&self.temporary)
    }

    /// Flushes what was written to the disk and puts it in the place of the target, or writes it into the device or pipe there.
    ///
    /// # Errors
    /// What the file system refuses; the target is then what it was.
    pub fn finish(self) -> io::Result<()> {
        if is_special(&self.target) {
            let mut whole = File::open(&self.temporary)?;
            let open = descriptor(&self.target);
            if open == Some(1) {
                // As what is printed, so that each comes behind the other.
                let mut target = io::stdout().lock();
                return io::copy(&mut whole, &mut target).and_then(|_| target.flush());
            }
            let mut target = File::options().append(open.is_some()).write(open.is_none()).open(&self.target)?;
            return io::copy(&mut whole, &mut target).map(drop);
        }
        // Windows flushes only what may be written.
        File::options().write(true).open(&self.temporary)?.sync_all()?;
        self.temporary.persist(&self.target).map_err(|error| error.error)?;
        sync_folder_of(&self.target)
    }
}

/// Makes a rename in the folder of `path` durable; on systems without folder handles there is nothing to do.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.csv");
        let names = || fs::read_dir(target.parent().unwrap()).unwrap().count();
        let first = Replacement::of(&target).unwrap();
        first.open().unwrap().write_all(b"one").unwrap();
        assert!(!target.exists());
        first.finish().unwrap();
        assert_eq!((fs::read(&target).unwrap().as_slice(), names()), (b"one".as_slice(), 1));
        let second = Replacement::of(&target).unwrap();
        second.open().unwrap().write_all(b"two").unwrap();
        drop(second);
        assert_eq!((fs::read(&target).unwrap().as_slice(), names()), (b"one".as_slice(), 1), "what is dropped is gone");
        assert!(Replacement::of(Path::new("/")).is_err());
        assert!(Replacement::of(&folder.path().join("no folder").join("a.csv")).is_err());
    }

    /// As readable as any file that this user makes: not for its owner alone, as temporary files are.
    #[cfg(unix)]
    #[test]
    fn a_replacement_has_the_permissions_of_a_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (plain, replaced) = (folder.path().join("plain"), folder.path().join("replaced"));
        fs::write(&plain, b"").unwrap();
        Replacement::of(&replaced).unwrap().finish().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&plain), mode(&replaced));
    }

    /// The link stays a link, in whatever folder the file is that it leads to, and whether that is there or not.
    #[cfg(unix)]
    #[test]
    fn a_link_is_written_through() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        fs::write(at("real/a.csv"), "old").unwrap();
        symlink("real/a.csv", at("first")).unwrap();
        symlink(at("first"), at("second")).unwrap();
        symlink("real/new.csv", at("dangling")).unwrap();
        for (link, file) in [("second", "real/a.csv"), ("dangling", "real/new.csv")] {
            let new = Replacement::of(&at(link)).unwrap();
            new.open().unwrap().write_all(link.as_bytes()).unwrap();
            new.finish().unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
            assert!(!fs::symlink_metadata(at(file)).unwrap().is_symlink(), "{link}");
            assert_eq!(fs::read_to_string(at(file)).unwrap(), link);
        }
        assert_eq!(fs::read_dir(at("real")).unwrap().count(), 2, "nothing else is left there");
        symlink("circle", at("circle")).unwrap();
        assert!(Replacement::of(&at("circle")).unwrap_err().to_string().contains("link"));
        symlink("/dev/null", at("device")).unwrap();
        Replacement::of(&at("device")).unwrap().finish().unwrap();
        assert!(fs::symlink_metadata(at("device")).unwrap().is_symlink());
    }

    /// Of what is open already, as /dev/stdout is, neither the link nor the file is replaced.
    #[cfg(target_os = "linux")]
    #[test]
    fn an_open_file_is_written_into() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let mut open = File::create(folder.path().join("open")).unwrap();
        open.write_all(b"first ").unwrap();
        std::os::unix::fs::symlink(format!("/proc/self/fd/{}", open.as_raw_fd()), folder.path().join("name")).unwrap();
        let into = Replacement::of(&folder.path().join("name")).unwrap();
        into.open().unwrap().write_all(b"second").unwrap();
        into.finish().unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("open")).unwrap(), "first second");
        let (mut reader, writer) = io::pipe().unwrap();
        let into = Replacement::of(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd()))).unwrap();
        into.open().unwrap().write_all(b"through").unwrap();
        into.finish().unwrap();
        drop(writer);
        let mut read = String::new();
        io::Read::read_to_string(&mut reader, &mut read).unwrap();
        assert_eq!(read, "through");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_into() {
        use std::os::unix::fs::FileTypeExt;
        let device = Path::new("/dev/null");
        let file = Replacement::of(device).unwrap();
        file.open().unwrap().write_all(b"gone").unwrap();
        file.finish().unwrap();
        assert!(fs::metadata(device).unwrap().file_type().is_char_device());
    }
}
