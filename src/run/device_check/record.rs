//! What is remembered of adapters: a line for each that was checked, with its driver and this program's version.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::device::Device;

/// The file, in a cache folder.
const FILE: &str = "devices.txt";

/// Where verdicts are kept.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
}

impl Record {
    /// The record in a cache folder.
    pub fn new(cache: &Path) -> Record {
        Record { path: cache.join(FILE) }
    }

    /// Whether the device passed when it was last checked, with this driver and version; `None`: it never was.
    pub fn passed(&self, device: &Device) -> Option<bool> {
        let key = key(device)?;
        let text = std::fs::read_to_string(&self.path).ok()?;
        let mut verdicts = text.lines().filter_map(|line| line.split_once(' ')).filter(|(_, own)| *own == key);
        verdicts.next_back().and_then(|(verdict, _)| match verdict {
            "passed" => Some(true),
            "failed" => Some(false),
            _ => None,
        })
    }

    /// Remembers a verdict.
    ///
    /// # Errors
    /// A file that cannot be written: then the next run checks again.
    pub fn note(&self, device: &Device, passed: bool) -> std::io::Result<()> {
        let Some(key) = key(device) else { return Ok(()) };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
        // One write, so that lines of several processes do not mix.
        file.write_all(format!("{} {key}\n", if passed { "passed" } else { "failed" }).as_bytes())
    }
}

/// Adapter, driver and version; `None` for the CPU.
fn key(device: &Device) -> Option<String> {
    let Device::Gpu(gpu) = device else { return None };
    let info = gpu.info();
    let words = [
        env!("CARGO_PKG_VERSION"),
        info.backend.to_str(),
        &info.name,
        &info.driver,
        &info.driver_info,
        &format!("{:04x}:{:04x}", info.vendor, info.device),
    ];
    Some(words.join(" | ").replace(['\n', '\r'], " "))
}
