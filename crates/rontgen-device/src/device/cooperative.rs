//! Cooperative matrices (tensor cores) of an adapter: experimental in wgpu, and off unless asked for.

/// Set to 1, adapters that fit are opened with cooperative matrices. The kernels that use them ran on no hardware yet.
pub(super) const VARIABLE: &str = "RONTGEN_COOPERATIVE_MATRIX";

fn wanted() -> bool {
    std::env::var(VARIABLE).is_ok_and(|value| value == "1")
}

/// Products of f16 with sums in f32 of 16 x 16 x 16 by subgroups that always have 32 invocations.
fn fits(adapter: &wgpu::Adapter) -> bool {
    let info = adapter.get_info();
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
    let product = |one: &wgpu::CooperativeMatrixProperties| {
        [one.m_size, one.n_size, one.k_size] == [16; 3]
            && one.ab_type == wgpu::CooperativeScalarType::F16
            && one.cr_type == wgpu::CooperativeScalarType::F32
    };
    adapter.features().contains(needed)
        && (info.subgroup_min_size, info.subgroup_max_size) == (32, 32)
        && adapter.cooperative_matrix_properties().iter().any(product)
}

/// For people: what the adapter has, and whether it would be used.
pub(super) fn describe(adapter: &wgpu::Adapter) -> String {
    let all = adapter.cooperative_matrix_properties();
    if all.is_empty() {
        return "none".into();
    }
    let one = |p: &wgpu::CooperativeMatrixProperties| {
        format!("{}x{}x{} {:?} to {:?}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type).to_lowercase()
    };
    let state = match (fits(adapter), wanted()) {
        (false, _) => "no use for them".to_owned(),
        (true, false) => format!("off; {VARIABLE}=1 allows them"),
        (true, true) => "allowed".to_owned(),
    };
    format!("{} ({state})", all.iter().map(one).collect::<Vec<_>>().join(", "))
}

type Opened = (wgpu::Device, wgpu::Queue);

/// Opens an adapter; the flag says whether with cooperative matrices. An adapter that refuses them is opened without.
pub(super) fn open(
    adapter: &wgpu::Adapter,
    features: wgpu::Features,
    limits: &wgpu::Limits,
) -> Result<(Opened, bool), wgpu::RequestDeviceError> {
    let request = |cooperative: bool| {
        let (extra, experimental_features) = if cooperative {
            // SAFETY: the user allowed an experimental feature by name.
            (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, unsafe { wgpu::ExperimentalFeatures::enabled() })
        } else {
            (wgpu::Features::empty(), wgpu::ExperimentalFeatures::disabled())
        };
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("rontgen"),
            required_features: features | extra,
            required_limits: limits.clone(),
            experimental_features,
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        }))
    };
    if wanted()
        && fits(adapter)
        && let Ok(opened) = request(true)
    {
        return Ok((opened, true));
    }
    request(false).map(|opened| (opened, false))
}
