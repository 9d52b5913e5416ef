/// What a device can fail with. Launches are infallible to write: a failure is kept by the device and returned, once, by the next
/// download, [`super::Device::synchronize`] or [`super::Device::check`]; a lost device returns it for ever.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeviceError {
    #[error("no adapter named {asked:?}; found: {found}")]
    NoSuchAdapter { asked: String, found: String },
    #[error("no GPU adapter was found (drivers for Vulkan, Metal or DX12 are needed); --device cpu runs everywhere")]
    NoGpu,
    #[error("the adapter {adapter:?} gave no device: {message}")]
    Refused { adapter: String, message: String },
    #[error("{what} needs {requested} bytes, more than the {available} this device allows ({limit})")]
    TooLarge { what: String, requested: u64, available: u64, limit: &'static str },
    #[error("out of device memory: {0}")]
    OutOfMemory(String),
    #[error("the device was lost: {0}")]
    Lost(String),
    #[error("the device rejected a command: {0}")]
    Rejected(String),
    #[error("shader {name}: {message}")]
    Shader { name: String, message: String },
    /// A kernel raised the status word.
    #[error("{stage}: {what} (first at row {row})")]
    Fault { stage: &'static str, what: &'static str, row: u32 },
}
