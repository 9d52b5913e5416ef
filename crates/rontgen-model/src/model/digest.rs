//! What models are computed with that stands in files: tables, and the programs of external components. By its digest a run knows whether it goes on
//! with what it began with.

use super::components::{plasma, reflection};
use super::table::{TableModel, hexadecimal};
use super::{Model, Origin};
use crate::atomic::atomdb;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Pieces of a large file that are read, from the first to the last.
const PIECES: u64 = 64;
/// Bytes of a piece.
const PIECE: u64 = 1 << 16;

/// Digest of a file by its length and pieces that are spread over it; of one that is no longer than these by all of it. Another version of a table
/// differs in nearly every piece, and gigabytes need not be read. `None` where it cannot be read.
pub(crate) fn of_file(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    let mut hash = Sha256::new().chain_update(length.to_le_bytes());
    let mut read = |start: u64, n: u64| -> std::io::Result<()> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.by_ref().take(n).read_to_end(&mut bytes)?;
        hash.update(&bytes);
        Ok(())
    };
    if length <= PIECES * PIECE {
        read(0, length).ok()?;
    } else {
        for k in 0..PIECES {
            // 64 bits are not enough for the product of a large length.
            let start = (u128::from(length - PIECE) * u128::from(k) / u128::from(PIECES - 1)) as u64;
            read(start, PIECE).ok()?;
        }
    }
    Some(hexadecimal(hash))
}

/// SHA-256 of what some models are computed with, in whatever order: their tables and those of reflection by their files' names without folders, AtomDB's
/// by their numbers, and what components of the user's own say of themselves. `None` where there is nothing of the kind. Files that changed
/// under the same name change it, those that moved do not.
pub fn digest_of<'a>(models: impl IntoIterator<Item = &'a Model>) -> Option<String> {
    let words: BTreeSet<String> = models.into_iter().flat_map(words).collect();
    let all = words.into_iter().collect::<Vec<_>>().join("\n");
    (!all.is_empty()).then(|| hexadecimal(Sha256::new().chain_update(all)))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(".gz").unwrap_or(&name).to_string()
}

fn of_table(table: &TableModel) -> String {
    format!("{} {}", name_of(&table.path), table.sha256)
}

/// What there is to say of a model's components, one by one. What cannot be read is told when it is needed.
fn words(model: &Model) -> Vec<String> {
    let settings = &model.settings;
    let of = |instance: &super::ComponentInstance| -> Option<String> {
        let name = instance.component.name.to_lowercase();
        match &instance.origin {
            Origin::Table(table) => Some(of_table(table)),
            Origin::User(own) => own.digest().map(|digest| format!("{name} {digest}")),
            Origin::Catalogue if plasma::is_plasma(&name) => {
                atomdb::sha256(settings.atomdb.as_deref()).ok().map(|digest| format!("atomdb {digest}"))
            }
            Origin::Catalogue => {
                let path = reflection::table_of(&name, settings)?.ok()?;
                of_file(&path).map(|digest| format!("{} {digest}", name_of(&path)))
            }
        }
    };
    model.components.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Settings;

    #[test]
    fn a_large_file_is_known_by_its_length_and_its_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.fits");
        let digest = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            of_file(&path).unwrap()
        };
        let mut bytes = vec![7u8; (PIECES * PIECE + 12345) as usize];
        let first = digest(&bytes);
        assert_eq!(digest(&bytes), first);
        assert_ne!(digest(&bytes[..bytes.len() - 1]), first);
        let last = bytes.len() - 1;
        for at in [0, PIECE as usize - 1, last] {
            bytes[at] = 8;
            assert_ne!(digest(&bytes), first, "{at}");
            bytes[at] = 7;
        }
        let small = digest(&[1, 2, 3]);
        assert_ne!(digest(&[1, 2, 4]), small);
        assert_eq!(of_file(folder.path()), None);
        assert_eq!(of_file(&folder.path().join("none")), None);
    }

    #[test]
    fn a_plasma_is_known_by_the_numbers_of_its_tables() {
        let excerpt = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/apec");
        let model = |text: &str, folder: &Path| {
            let settings = Settings::default().with_atomdb(Some(folder.to_path_buf()));
            Model::parse(text, &settings).unwrap()
        };
        let digest = |text: &str, folder: &Path| digest_of([&model(text, folder)]);
        assert_eq!(digest("powerlaw", &excerpt), None);
        let first = digest("tbabs*(apec+powerlaw)", &excerpt).unwrap();
        assert_eq!(digest("bvapec+vapec", &excerpt).as_ref(), Some(&first));
        // Moved, they are the same.
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(&excerpt).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
        }
        assert_eq!(digest("apec", folder.path()), Some(first));
    }
}
