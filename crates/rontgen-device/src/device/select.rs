//! Which adapter a name stands for.

use super::{Device, DeviceError, Gpu};

/// What `rontgen devices` shows of an adapter.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AdapterSummary {
    /// The driver's name for the adapter.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `software`, `virtual` or `other`.
    pub kind: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Features that the adapter has, by their names in wgpu.
    pub features: Vec<String>,
    /// Largest buffer \[bytes\].
    pub max_buffer_bytes: u64,
    /// Largest part of a buffer that a kernel may see \[bytes\].
    pub max_binding_bytes: u64,
    /// Most invocations of a workgroup.
    pub max_workgroup_invocations: u32,
    /// Memory that the invocations of a workgroup share \[bytes\].
    pub workgroup_memory_bytes: u32,
    /// Cooperative matrices, and whether they may be used.
    pub cooperative_matrix: String,
    /// Would `--device auto` take it?
    pub auto: bool,
}

pub(super) fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

/// Order of preference; `None` for adapters that are only taken by name.
fn preference(device_type: wgpu::DeviceType) -> Option<u8> {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => Some(0),
        wgpu::DeviceType::IntegratedGpu => Some(1),
        wgpu::DeviceType::VirtualGpu => Some(2),
        _ => None,
    }
}

fn found() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let backends = descriptor.backends;
    let mut adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    adapters
        .retain(|adapter| adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    adapters
}

/// Every adapter with compute shaders, in the order of discovery.
pub fn adapters() -> Vec<AdapterSummary> {
    let all = found();
    let chosen = automatic(&all);
    all.iter()
        .enumerate()
        .map(|(i, adapter)| {
            let (info, limits) = (adapter.get_info(), adapter.limits());
            AdapterSummary {
                name: info.name,
                backend: info.backend.to_str().into(),
                kind: kind(info.device_type).into(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
                features: adapter.features().iter_names().map(|(name, _)| name.to_owned()).collect(),
                max_buffer_bytes: limits.max_buffer_size,
                max_binding_bytes: limits.max_storage_buffer_binding_size,
                max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
                workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
                cooperative_matrix: super::cooperative::describe(adapter),
                auto: chosen == Some(i),
            }
        })
        .collect()
}

fn automatic(all: &[wgpu::Adapter]) -> Option<usize> {
    (0..all.len())
        .filter_map(|i| preference(all[i].get_info().device_type).map(|order| (order, i)))
        .min()
        .map(|(_, i)| i)
}

/// The number of `gpu:1`.
fn numbered(name: &str) -> Option<usize> {
    let (word, number) = name.split_once(':')?;
    if word.eq_ignore_ascii_case("gpu") { number.parse().ok() } else { None }
}

pub(super) fn open(name: &str) -> Result<Device, DeviceError> {
    if name.eq_ignore_ascii_case("cpu") {
        return Ok(Device::cpu());
    }
    let mut all = found();
    let index = if name.eq_ignore_ascii_case("auto") || name.eq_ignore_ascii_case("gpu") {
        match automatic(&all) {
            Some(index) => index,
            None if name.eq_ignore_ascii_case("auto") => return Ok(Device::cpu()),
            None => return Err(DeviceError::NoGpu),
        }
    } else if let Some(number) = numbered(name) {
        // The number that `adapters` gives it: ranks of a job take one each.
        if number >= all.len() {
            let names: Vec<_> = all.iter().map(|adapter| adapter.get_info().name).collect();
            let found = if names.is_empty() { "no adapter at all".into() } else { names.join(", ") };
            return Err(DeviceError::NoSuchAdapter { asked: name.into(), found });
        }
        number
    } else {
        let wanted = name.to_lowercase();
        // "software" stands for whatever software adapter there is, so that scripts need not know its name.
        let matches = |adapter: &wgpu::Adapter| {
            let info = adapter.get_info();
            info.name.to_lowercase().contains(&wanted) || kind(info.device_type) == wanted
        };
        all.iter().position(matches).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|adapter| adapter.get_info().name).collect();
            let found = if names.is_empty() { "no adapter at all".into() } else { names.join(", ") };
            DeviceError::NoSuchAdapter { asked: name.into(), found }
        })?
    };
    Gpu::new(all.swap_remove(index)).map(|gpu| Device::Gpu(std::sync::Arc::new(gpu)))
}
