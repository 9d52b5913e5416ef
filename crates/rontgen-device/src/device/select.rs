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

/// Whether an adapter is what part of a name stands for: "software" is whatever software adapter there is, so that scripts need not know its name.
fn is_called(name: &str, kind: &str, asked: &str) -> bool {
    let asked = asked.to_lowercase();
    name.to_lowercase().contains(&asked) || kind == asked
}

/// The word by which process `rank` of those of a machine (from 0) opens its adapter: those that `asked` may stand for, in turn.
///
/// `auto` and `gpu` stand for all of the kind that they take, part of a name or `software` for all that are called so, each adapter by one backend alone; `cpu` and
/// `gpu:N` say what they mean, and what stands for one adapter or none is left as it is.
pub fn of_rank(asked: &str, all: &[AdapterSummary], rank: usize) -> String {
    let any = asked.eq_ignore_ascii_case("auto") || asked.eq_ignore_ascii_case("gpu");
    if asked.eq_ignore_ascii_case("cpu") || numbered(asked).is_some() {
        return asked.into();
    }
    let taken =
        |adapter: &AdapterSummary| if any { adapter.auto } else { is_called(&adapter.name, &adapter.kind, asked) };
    let Some(first) = all.iter().find(|adapter| taken(adapter)) else { return asked.into() };
    let alike = |adapter: &AdapterSummary| {
        adapter.backend == first.backend && if any { adapter.kind == first.kind } else { taken(adapter) }
    };
    let own: Vec<usize> = (0..all.len()).filter(|&i| alike(&all[i])).collect();
    match own.len() {
        1 => asked.into(),
        n => format!("gpu:{}", own[rank % n]),
    }
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
        let matches = |adapter: &wgpu::Adapter| {
            let info = adapter.get_info();
            is_called(&info.name, kind(info.device_type), name)
        };
        all.iter().position(matches).ok_or_else(|| {
            let names: Vec<_> = all.iter().map(|adapter| adapter.get_info().name).collect();
            let found = if names.is_empty() { "no adapter at all".into() } else { names.join(", ") };
            DeviceError::NoSuchAdapter { asked: name.into(), found }
        })?
    };
    Gpu::new(all.swap_remove(index)).map(|gpu| Device::Gpu(std::sync::Arc::new(gpu)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(adapters: &[(&str, &str, &str)]) -> Vec<AdapterSummary> {
        let best =
            ["discrete", "integrated", "virtual"].iter().find_map(|kind| adapters.iter().position(|a| a.1 == *kind));
        let all = adapters.iter().enumerate().map(|(i, (name, kind, backend))| AdapterSummary {
            name: (*name).into(),
            backend: (*backend).into(),
            kind: (*kind).into(),
            driver: String::new(),
            features: Vec::new(),
            max_buffer_bytes: 0,
            max_binding_bytes: 0,
            max_workgroup_invocations: 0,
            workgroup_memory_bytes: 0,
            cooperative_matrix: String::new(),
            auto: best == Some(i),
        });
        all.collect()
    }

    fn of_ranks(asked: &str, all: &[AdapterSummary]) -> Vec<String> {
        (0..4).map(|rank| of_rank(asked, all, rank)).collect()
    }

    #[test]
    fn ranks_take_the_adapters_of_a_machine_in_turn() {
        let node = machine(&[
            ("Onboard", "integrated", "vulkan"),
            ("NVIDIA A100", "discrete", "vulkan"),
            ("llvmpipe", "software", "vulkan"),
            ("NVIDIA A100", "discrete", "vulkan"),
            ("NVIDIA T4", "discrete", "vulkan"),
        ]);
        for asked in ["auto", "gpu", "GPU"] {
            assert_eq!(of_ranks(asked, &node), ["gpu:1", "gpu:3", "gpu:4", "gpu:1"]);
        }
        assert_eq!(of_ranks("a100", &node), ["gpu:1", "gpu:3", "gpu:1", "gpu:3"]);
        for asked in ["t4", "gpu:3", "cpu", "software", "what is not there"] {
            assert_eq!(of_ranks(asked, &node), [asked; 4]);
        }
    }

    #[test]
    fn an_adapter_of_two_backends_is_taken_once() {
        let node = machine(&[
            ("RTX", "discrete", "vulkan"),
            ("RTX", "discrete", "dx12"),
            ("RTX", "discrete", "vulkan"),
            ("WARP", "software", "dx12"),
        ]);
        assert_eq!(of_ranks("auto", &node), ["gpu:0", "gpu:2", "gpu:0", "gpu:2"]);
        assert_eq!(of_ranks("rtx", &node), ["gpu:0", "gpu:2", "gpu:0", "gpu:2"]);
    }

    #[test]
    fn without_gpus_software_is_taken_by_name_alone() {
        let node = machine(&[("SwiftShader", "software", "vulkan"), ("llvmpipe", "software", "vulkan")]);
        assert_eq!(of_ranks("auto", &node), ["auto"; 4]);
        assert_eq!(of_ranks("software", &node), ["gpu:0", "gpu:1", "gpu:0", "gpu:1"]);
        assert_eq!(of_ranks("llvm", &node), ["llvm"; 4]);
    }
}
