//! The GPU or the CPU that everything runs on, tensors on it, and the recording of work.
//!
//! A launch is infallible to write: work is recorded and submitted in batches, and what goes wrong is kept by the device and
//! returned by the next download, [`Device::synchronize`] or [`Device::check`].

mod cooperative;
mod error;
mod gpu;
mod profile;
mod select;
mod shader;
pub mod status;
mod tensor;
mod timing;

pub use error::DeviceError;
pub use gpu::{Gpu, grid_1d};
pub use profile::{KernelUse, Profiler, Traffic};
pub use select::{AdapterSummary, adapters, of_rank};
pub use shader::{INCLUDES, Kernel};
pub use status::Fault;
pub use tensor::{Binding, Download, Element, RowBlocks, Tensor};

use std::sync::Arc;
use std::time::Instant;

/// The native CPU device: all cores through rayon.
#[derive(Debug, Default)]
pub struct Cpu {
    /// What its kernels report to, as those of a GPU do.
    pub status: status::StatusWord,
    profiler: Profiler,
}

/// Where a run happens. Clones share the same device.
#[derive(Debug, Clone)]
pub enum Device {
    /// The native CPU, always there.
    Cpu(Arc<Cpu>),
    /// An adapter of wgpu, which may be a software one.
    Gpu(Arc<Gpu>),
}

impl Device {
    /// The native CPU.
    pub fn cpu() -> Self {
        Device::Cpu(Arc::default())
    }

    /// `auto`, `cpu`, `gpu` or part of an adapter's name (case-insensitive). `auto` takes the discrete, then the integrated
    /// GPU, then the native CPU; a software adapter only when asked for by name.
    ///
    /// # Errors
    /// [`DeviceError::NoGpu`], [`DeviceError::NoSuchAdapter`] (lists what there is), [`DeviceError::Refused`].
    pub fn open(name: &str) -> Result<Self, DeviceError> {
        select::open(name)
    }

    /// Name for people: the adapter's, or that of the CPU device.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu(_) => format!("native CPU, {} threads", rayon::current_num_threads()),
            Device::Gpu(gpu) => gpu.info().name.clone(),
        }
    }

    /// `native`, `vulkan`, `metal` or `dx12`.
    pub fn backend(&self) -> String {
        match self {
            Device::Cpu(_) => "native".into(),
            Device::Gpu(gpu) => gpu.info().backend.to_str().into(),
        }
    }

    /// `cpu`, `discrete`, `integrated`, `software`, ...
    pub fn kind(&self) -> &'static str {
        match self {
            Device::Cpu(_) => "cpu",
            Device::Gpu(gpu) => select::kind(gpu.info().device_type),
        }
    }

    /// Name and version of the driver; empty for the processor itself.
    pub fn driver(&self) -> String {
        match self {
            Device::Cpu(_) => String::new(),
            Device::Gpu(gpu) => format!("{} {}", gpu.info().driver, gpu.info().driver_info).trim().to_owned(),
        }
    }

    /// Tells whether kernels run as shaders.
    pub fn is_gpu(&self) -> bool {
        matches!(self, Device::Gpu(_))
    }

    /// Largest number of bytes one binding may show to a kernel.
    pub fn binding_limit(&self) -> u64 {
        match self {
            Device::Cpu(_) => u64::MAX,
            Device::Gpu(gpu) => gpu.binding_limit(),
        }
    }

    /// Gives what the device has counted so far.
    pub fn profiler(&self) -> &Profiler {
        match self {
            Device::Cpu(cpu) => &cpu.profiler,
            Device::Gpu(gpu) => gpu.profiler(),
        }
    }

    /// Submits what is recorded, without waiting.
    pub fn flush(&self) {
        if let Device::Gpu(gpu) = self {
            gpu.flush();
        }
    }

    /// Submits what is recorded and waits for it.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        match self {
            Device::Cpu(_) => Ok(()),
            Device::Gpu(gpu) => gpu.synchronize(),
        }
    }

    /// Waits, reads and clears the status word; the first fault that a kernel raised is the error.
    pub fn check(&self) -> Result<(), DeviceError> {
        match self {
            Device::Cpu(cpu) => status::decode(&cpu.status.take()),
            Device::Gpu(gpu) => status::decode(&gpu.take_status()?),
        }
    }
}

impl Cpu {
    /// Runs a CPU twin under its kernel's name.
    pub fn run<R>(&self, kernel: &str, twin: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = twin();
        self.profiler.count_launch(kernel, start.elapsed());
        result
    }
}
