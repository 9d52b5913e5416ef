//! The binary copy of the tables in the user's cache folder.
//!
//! A copy is used only when its version, the length and time of the original files, its length and its checksum all agree; in any
//! other case the originals are read again and the copy is replaced, under a temporary name first.

use super::{AtomDb, Curve, ELEMENTS, Files, Lines, Node};
use crate::atomic::bytes::Reader;
use crate::replacement::Replacement;
use sha2::{Digest, Sha256};
use std::{
    io::Write,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Changes whenever the layout or what is kept changes.
const MAGIC: &[u8; 8] = b"RXAPEC01";
const DIGEST: usize = 32;

/// Names, lengths and times of both files.
fn identity(files: &Files) -> Option<[u8; DIGEST]> {
    let mut hash = Sha256::new();
    for path in [&files.line, &files.coco] {
        let about = std::fs::metadata(path).ok()?;
        let time = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        hash.update(path.canonicalize().ok()?.as_os_str().as_encoded_bytes());
        hash.update(about.len().to_le_bytes());
        hash.update(time.as_nanos().to_le_bytes());
    }
    Some(hash.finalize().into())
}

/// One file per place of the originals, so that newer originals replace the copy of older ones.
pub(super) fn file(folder: &Path, files: &Files) -> Option<PathBuf> {
    let mut hash = Sha256::new();
    hash.update(files.line.canonicalize().ok()?.as_os_str().as_encoded_bytes());
    let name: String = hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
    Some(folder.join(format!("apec-{name}.bin")))
}

pub(super) fn load(folder: &Path, files: &Files) -> Option<AtomDb> {
    let bytes = std::fs::read(file(folder, files)?).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (known, rest) = rest.split_at_checked(DIGEST)?;
    let (digest, payload) = rest.split_at_checked(DIGEST)?;
    if known != identity(files)? || Sha256::digest(payload).as_slice() != digest {
        return None;
    }
    let mut reader = Reader(payload);
    let db = database(&mut reader)?;
    reader.0.is_empty().then_some(db)
}

/// Best effort: without a copy the next start takes seconds longer, nothing else.
pub(super) fn store(folder: &Path, files: &Files, db: &AtomDb) {
    let (Some(path), Some(identity)) = (file(folder, files), identity(files)) else { return };
    let mut payload = Vec::new();
    write_database(db, &mut payload);
    let written = || {
        std::fs::create_dir_all(folder)?;
        let new = Replacement::of(&path)?;
        let mut out = new.open()?;
        out.write_all(MAGIC)?;
        out.write_all(&identity)?;
        out.write_all(&Sha256::digest(&payload))?;
        out.write_all(&payload)?;
        new.finish()
    };
    let written: std::io::Result<()> = written();
    if let Err(error) = written {
        tracing::debug!("no copy of the AtomDB tables in {}: {error}", folder.display());
    }
}

/// SHA-256 of the numbers, in hexadecimal digits.
pub(super) fn sha256(db: &AtomDb) -> String {
    let mut payload = Vec::new();
    write_database(db, &mut payload);
    Sha256::digest(&payload).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_curve(curve: &Curve, out: &mut Vec<u8>) {
    out.extend((curve.energy.len() as u32).to_le_bytes());
    curve.energy.iter().chain(&curve.density).for_each(|x| out.extend(x.to_le_bytes()));
}

fn write_database(db: &AtomDb, out: &mut Vec<u8>) {
    out.extend((db.nodes.len() as u32).to_le_bytes());
    for node in &db.nodes {
        out.extend(node.kt.to_le_bytes());
        out.extend((node.lines.energy.len() as u32).to_le_bytes());
        node.lines.energy.iter().for_each(|x| out.extend(x.to_le_bytes()));
        node.lines.emissivity.iter().for_each(|x| out.extend(x.to_le_bytes()));
        out.extend(&node.lines.element);
        node.continuum.iter().chain(&node.pseudo).for_each(|c| write_curve(c, out));
    }
}

fn curves(reader: &mut Reader<'_>) -> Option<Vec<Curve>> {
    let curve = |reader: &mut Reader<'_>| {
        let n = reader.count()?;
        Some(Curve { energy: reader.singles(n)?, density: reader.singles(n)? })
    };
    (0..ELEMENTS).map(|_| curve(reader)).collect()
}

fn database(reader: &mut Reader<'_>) -> Option<AtomDb> {
    let nodes = reader.count()?;
    let node = |reader: &mut Reader<'_>| {
        let kt = *reader.doubles(1)?.first()?;
        let n = reader.count()?;
        let (energy, emissivity, element) = (reader.doubles(n)?, reader.singles(n)?, reader.take(n)?.to_vec());
        let lines = Lines { energy, emissivity, element };
        Some(Node { kt, lines, continuum: curves(reader)?, pseudo: curves(reader)? })
    };
    let nodes = (0..nodes).map(|_| node(reader)).collect::<Option<Vec<_>>>()?;
    Some(AtomDb { nodes })
}
