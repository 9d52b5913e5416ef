//! Counts of what a device did: dispatches per kernel and their times, bytes moved, bytes held by tensors.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bytes between host and device so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From host to device.
    pub to_device_bytes: u64,
    /// From device to host.
    pub to_host_bytes: u64,
}

impl std::ops::Sub for Traffic {
    type Output = Traffic;
    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            to_device_bytes: self.to_device_bytes - earlier.to_device_bytes,
            to_host_bytes: self.to_host_bytes - earlier.to_host_bytes,
        }
    }
}

/// Launches of one kernel. A GPU dispatch returns before it runs: there `busy` grows only while device timestamps are asked for
/// ([`super::Gpu::time_launches`]).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KernelUse {
    /// Launches so far.
    pub launches: u64,
    /// Time that they took.
    pub busy: Duration,
}

/// Shared by all clones of a device.
#[derive(Debug, Default)]
pub struct Profiler {
    up: AtomicU64,
    down: AtomicU64,
    held: AtomicU64,
    most_held: AtomicU64,
    kernels: Mutex<BTreeMap<String, KernelUse>>,
}

impl Profiler {
    /// Adds bytes that went to the device.
    pub fn count_upload(&self, bytes: u64) {
        self.up.fetch_add(bytes, Relaxed);
    }

    /// Adds bytes that came back.
    pub fn count_download(&self, bytes: u64) {
        self.down.fetch_add(bytes, Relaxed);
    }

    /// Adds one launch of a kernel, and the time it took where that is known (else 0).
    pub fn count_launch(&self, kernel: &str, busy: Duration) {
        let mut kernels = self.kernels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(entry) = kernels.get_mut(kernel) {
            entry.launches += 1;
            entry.busy += busy;
        } else {
            kernels.insert(kernel.to_owned(), KernelUse { launches: 1, busy });
        }
    }

    pub(super) fn hold(&self, bytes: u64) {
        let now = self.held.fetch_add(bytes, Relaxed) + bytes;
        self.most_held.fetch_max(now, Relaxed);
    }

    pub(super) fn release(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// Most bytes that tensors have held at one time since the last call of [`Profiler::forget_most_held`].
    pub fn most_held_bytes(&self) -> u64 {
        self.most_held.load(Relaxed)
    }

    /// Starts [`Profiler::most_held_bytes`] again from what is held now.
    pub fn forget_most_held(&self) {
        self.most_held.store(self.held.load(Relaxed), Relaxed);
    }

    /// Time that a launch took on the device, counted already.
    pub(super) fn add_busy(&self, kernel: &str, busy: Duration) {
        let mut kernels = self.kernels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(entry) = kernels.get_mut(kernel) {
            entry.busy += busy;
        }
    }

    /// Gives the bytes moved so far.
    pub fn traffic(&self) -> Traffic {
        Traffic { to_device_bytes: self.up.load(Relaxed), to_host_bytes: self.down.load(Relaxed) }
    }

    /// Launches so far, by kernel name.
    pub fn kernels(&self) -> BTreeMap<String, KernelUse> {
        self.kernels.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
