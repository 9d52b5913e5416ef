/// What a device can fail with. Launches are infallible to write: a failure is kept by the device and returned, once, by the next
/// download, [`super::Device::synchronize`] or [`super::Device::check`]; a lost device returns it for ever.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeviceError {
    /// No adapter has what was asked for in its name.
    #[error("no adapter named {asked:?}; found: {found}")]
    NoSuchAdapter {
        /// What was asked for.
        asked: String,
        /// Names of all adapters.
        found: String,
    },
    /// A GPU was asked for and there is none.
    #[error("no GPU adapter was found (drivers for Vulkan, Metal or DX12 are needed); --device cpu runs everywhere")]
    NoGpu,
    /// The adapter is there but cannot be opened.
    #[error("the adapter {adapter:?} gave no device: {message}")]
    Refused {
        /// Name of the adapter.
        adapter: String,
        /// What the driver says.
        message: String,
    },
    /// Something does not fit a limit, whatever memory is free.
    #[error("{what} needs {requested} bytes, more than the {available} this device allows ({limit})")]
    TooLarge {
        /// What it is.
        what: String,
        /// Bytes that it needs.
        requested: u64,
        /// Bytes that it may have.
        available: u64,
        /// Name of the limit, and what can be done.
        limit: &'static str,
    },
    /// An allocation failed.
    #[error("out of device memory: {0}")]
    OutOfMemory(String),
    /// The device is gone, with all tensors on it.
    #[error("the device was lost: {0}")]
    Lost(String),
    /// A command was not valid: a fault of this program.
    #[error("the device rejected a command: {0}")]
    Rejected(String),
    /// A shader could not be assembled or compiled: a fault of this program or of the driver.
    #[error("shader {name}: {message}")]
    Shader {
        /// The kernel's name.
        name: String,
        /// What the compiler says.
        message: String,
    },
    /// A kernel raised the status word.
    #[error("{stage}: {what} (first at row {row})")]
    Fault {
        /// The stage of the pipeline.
        stage: &'static str,
        /// What was found.
        what: &'static str,
        /// The first row in which it was.
        row: u32,
    },
}
