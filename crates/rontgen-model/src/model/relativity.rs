//! Rays near rotating holes that models need: traced once per box of spins, inclinations and heights, kept in memory and in the user's cache folder.
//!
//! A copy in the folder is used only when its version, the nodes it is for, its length and its checksum all agree; in any other case the rays are
//! traced again and the copy is replaced, under a temporary name first.

use crate::replacement::Replacement;
use rontgen_kerr::kerr::{
    returning::RETURNING,
    table::{Axis, Bounds, Nodes},
};
use sha2::{Digest, Sha256};
use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Changes whenever the layout or the numbers change.
const MAGIC: &[u8; 8] = b"RXKERR04";
const DIGEST: usize = 32;

/// A program keeps rays there, and hears of their tracing.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Folder of the copies; `None`: rays are traced in every process.
    pub cache: Option<PathBuf>,
    /// Is told how many of how many images have been traced; from several threads, in no order.
    pub progress: Option<fn(usize, usize)>,
}

static PLACES: OnceLock<Places> = OnceLock::new();

/// Tells where rays are kept; a program does so once, before the first model. Later calls change nothing.
pub fn look_in(places: Places) {
    let _ = PLACES.set(places);
}

/// The rays of a box.
#[derive(Debug, Clone)]
pub(crate) struct Rays {
    pub nodes: Nodes,
    pub images: Arc<Vec<f64>>,
    pub lamps: Arc<Vec<f64>>,
    /// Of the images' spins; empty where it was not asked for.
    pub returning: Arc<Vec<f64>>,
}

/// Images do not ask for lamps or for a disc's own light: they are traced and kept apart.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Images(Axis, Axis),
    Lamps(Axis, Axis),
    Returning(Axis),
}

/// What was traced or read so far.
type Known = Vec<(Kind, Arc<Vec<f64>>)>;
static KNOWN: Mutex<Known> = Mutex::new(Vec::new());

/// The rays of a box; `returning`: those between a disc's rings, too.
pub(crate) fn rays(bounds: &Bounds, returning: bool) -> Rays {
    let nodes = Nodes::new(bounds);
    let places = PLACES.get().cloned().unwrap_or_default();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut get = |kind: Kind| {
        if let Some((_, numbers)) = known.iter().find(|(other, _)| *other == kind) {
            return numbers.clone();
        }
        let numbers = Arc::new(kept_or_traced(&nodes, kind, places.cache.as_deref(), places.progress));
        known.push((kind, numbers.clone()));
        numbers
    };
    let images = get(Kind::Images(nodes.spin, nodes.inclination));
    let lamps = nodes.lamp.map(|[spin, height]| get(Kind::Lamps(spin, height))).unwrap_or_default();
    let returning = if returning { get(Kind::Returning(nodes.spin)) } else { Arc::default() };
    Rays { nodes, images, lamps, returning }
}

fn kept_or_traced(nodes: &Nodes, kind: Kind, cache: Option<&Path>, progress: Option<fn(usize, usize)>) -> Vec<f64> {
    let (images, lamps) = nodes.sizes();
    let size = match kind {
        Kind::Images(..) => images,
        Kind::Lamps(..) => lamps,
        Kind::Returning(spin) => spin.count * RETURNING,
    };
    if let Some(numbers) = cache.and_then(|folder| load(folder, kind, size)) {
        return numbers;
    }
    let trace = || match kind {
        Kind::Images(..) => nodes.images(&|done, all| {
            if let Some(progress) = progress {
                progress(done, all);
            }
        }),
        Kind::Lamps(..) => nodes.lamps(),
        Kind::Returning(..) => nodes.returning(),
    };
    // On threads of its own: one of the usual pool that waits here would take up other work meanwhile, and perhaps ask for these rays.
    let numbers = std::thread::scope(|scope| {
        let tracing = scope.spawn(|| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(rayon::current_num_threads()).build();
            match pool {
                Ok(pool) => pool.install(trace),
                Err(_) => trace(),
            }
        });
        tracing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if let Some(folder) = cache {
        store(folder, kind, &numbers);
    }
    numbers
}

/// The nodes, in bytes.
fn identity(kind: Kind) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    let (name, axes) = match kind {
        Kind::Images(spin, inclination) => (b"images", [spin, inclination]),
        Kind::Lamps(spin, height) => (b"lamps ", [spin, height]),
        Kind::Returning(spin) => (b"return", [spin, spin]),
    };
    hash.update(name);
    // Grids within the nodes.
    hash.update([rontgen_kerr::kerr::FINENESS as u8]);
    for axis in axes {
        hash.update(axis.first.to_le_bytes());
        hash.update(axis.step.to_le_bytes());
        hash.update((axis.count as u64).to_le_bytes());
    }
    hash.finalize().into()
}

/// One file per box, so that another version replaces it.
fn file(folder: &Path, kind: Kind) -> PathBuf {
    let name: String = identity(kind).iter().take(8).map(|b| format!("{b:02x}")).collect();
    folder.join(format!("kerr-{name}.bin"))
}

fn load(folder: &Path, kind: Kind, size: usize) -> Option<Vec<f64>> {
    let bytes = std::fs::read(file(folder, kind)).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (known, rest) = rest.split_at_checked(DIGEST)?;
    let (digest, payload) = rest.split_at_checked(DIGEST)?;
    if known != identity(kind) || payload.len() != 8 * size || Sha256::digest(payload).as_slice() != digest {
        return None;
    }
    let (numbers, _) = payload.as_chunks::<8>();
    Some(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

/// Best effort: without a copy the next start takes longer, nothing else.
fn store(folder: &Path, kind: Kind, numbers: &[f64]) {
    let payload: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let path = file(folder, kind);
    let written = || {
        std::fs::create_dir_all(folder)?;
        let new = Replacement::of(&path)?;
        let mut out = new.open()?;
        out.write_all(MAGIC)?;
        out.write_all(&identity(kind))?;
        out.write_all(&Sha256::digest(&payload))?;
        out.write_all(&payload)?;
        new.finish()
    };
    let written: std::io::Result<()> = written();
    if let Err(error) = written {
        tracing::debug!("no copy of the rays in {}: {error}", folder.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_used_and_a_damaged_or_old_one_replaced() {
        let home = tempfile::tempdir().unwrap();
        let bounds = Bounds { spin: (0.5, 0.5), inclination: (30.0, 30.0), height: Some((0.3, 0.3)) };
        let nodes = Nodes::new(&bounds);
        let [spin, height] = nodes.lamp.unwrap();
        let kinds = [
            (Kind::Images(nodes.spin, nodes.inclination), nodes.sizes().0),
            (Kind::Lamps(spin, height), nodes.sizes().1),
            (Kind::Returning(spin), RETURNING),
        ];
        for (k, (kind, size)) in kinds.into_iter().enumerate() {
            let rays = kept_or_traced(&nodes, kind, Some(home.path()), None);
            let kept = file(home.path(), kind);
            let good = std::fs::read(&kept).unwrap();
            assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), k + 1, "nothing temporary stays");
            assert_eq!(load(home.path(), kind, size).as_ref(), Some(&rays));
            // A flipped bit, a missing end, another version.
            let damage: [fn(&mut Vec<u8>); 3] =
                [|b| *b.last_mut().unwrap() ^= 1, |b| b.truncate(b.len() - 5), |b| b[7] = b'0'];
            for spoil in damage {
                let mut bytes = good.clone();
                spoil(&mut bytes);
                std::fs::write(&kept, &bytes).unwrap();
                assert!(load(home.path(), kind, size).is_none());
                assert_eq!(kept_or_traced(&nodes, kind, Some(home.path()), None), rays);
                assert_eq!(std::fs::read(&kept).unwrap(), good, "traced again, to the same numbers");
            }
            // A folder that cannot be written changes nothing.
            assert_eq!(kept_or_traced(&nodes, kind, Some(&kept), None), rays);
        }
        assert_ne!(file(home.path(), kinds[0].0), file(home.path(), kinds[1].0));
    }
}
