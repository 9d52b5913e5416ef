//! Only Vulkan can be run on most machines that test this: every shader is validated, translated for all three drivers, and held
//! to WebGPU's default limits.

use naga::back::{hlsl, msl, spv};
use rontgen::device::{Device, Kernel};
use rontgen::kernels::{
    activation, adam, batchnorm, compact, cstat, flow, fold, gather, gemm, loss, mlp, model::ModelPlan, moments,
    parameters, poisson, random, reduce, shuffle, standardize, truncate, unbounded,
};
use rontgen::model::{Kind, Model, Program, Settings, catalogue};

fn all() -> Vec<Kernel> {
    let shape = |parameters: usize, context, hidden, layers, transforms: usize| flow::FlowShape {
        parameters,
        context,
        hidden,
        layers,
        orders: vec![(0..parameters as u32).collect(); transforms],
    };
    [
        flow::kernels(&shape(5, 64, 100, 2, 10)),
        activation::kernels(),
        adam::kernels(),
        batchnorm::kernels(),
        compact::kernels(),
        cstat::kernels(),
        fold::kernels(),
        gather::kernels(),
        gemm::kernels(),
        loss::kernels(),
        mlp::kernels(),
        models(),
        moments::kernels(),
        parameters::kernels(),
        poisson::kernels(),
        random::kernels(),
        reduce::kernels(),
        shuffle::kernels(),
        standardize::kernels(),
        truncate::kernels(),
        unbounded::kernels(),
    ]
    .concat()
}

/// The generated shaders: every component that is implemented, alone or on a power law, and models of several stages.
fn models() -> Vec<Kernel> {
    let mut expressions: Vec<String> = catalogue::components()
        .iter()
        .filter(|component| component.available())
        .map(|component| match component.kind {
            Kind::Additive => component.name.to_lowercase(),
            // These two act on factors.
            _ if ["partcov", "zmshift"].contains(&component.name.as_str()) => {
                format!("{}(tbabs)*powerlaw", component.name)
            }
            _ => format!("{}(powerlaw)", component.name.to_lowercase()),
        })
        .collect();
    assert!(expressions.len() >= 15, "{expressions:?}");
    expressions.push("tbabs*(bbodyrad+powerlaw+gaussian)".into());
    expressions.push("tbabs*zashift(diskbb+zashift(powerlaw))".into());
    // As many tables per spectrum as one stage may have.
    expressions.push("tbabs*(nthcomp+pexmon+reflect(powerlaw))".into());
    let edges: Vec<f64> = (0..=100).map(|i| 0.3 + 0.1 * f64::from(i)).collect();
    let mut kernels: Vec<Kernel> = Vec::new();
    for expression in expressions {
        let model = Model::parse(&expression, &Settings::default()).expect("a model");
        let program = Program::new(&model, &edges).expect("a program");
        let stages: Vec<&str> = program.stages().iter().map(|stage| stage.wgsl.as_str()).collect();
        let bins = program.bin_table();
        let plan = ModelPlan::new(&Device::cpu(), &stages, bins.as_flattened(), bins[0].len(), program.tables());
        // Models share stages (a power law that is shifted by several): one kernel each.
        let new = plan.kernels().iter().filter(|kernel| kernels.iter().all(|known| known.name != kernel.name));
        kernels.extend(new.cloned().collect::<Vec<_>>());
    }
    kernels
}

fn check(kernel: &Kernel) -> Result<(), String> {
    let source = kernel.assemble()?;
    let module = naga::front::wgsl::parse_str(&source).map_err(|error| error.emit_to_string(&source))?;
    let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty())
        .validate(&module)
        .map_err(|error| error.emit_to_string(&source))?;

    let entry = module.entry_points.first().ok_or("no entry point")?;
    let invocations: u32 = entry.workgroup_size.iter().product();
    let storage = module
        .global_variables
        .iter()
        .filter(|(_, variable)| matches!(variable.space, naga::AddressSpace::Storage { .. }))
        .count();
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
        .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
        .sum();
    let private: u32 = module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == naga::AddressSpace::Private)
        .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
        .sum();
    if invocations > 256 || storage > 8 || shared > 16_384 || private > 8192 {
        return Err(format!(
            "{invocations} invocations, {storage} storage buffers, {shared} bytes of workgroup memory, {private} of private"
        ));
    }

    spv::write_vec(&module, &info, &spv::Options::default(), None).map_err(|error| format!("SPIR-V: {error}"))?;
    msl::write_string(&module, &info, &msl::Options::default(), &msl::PipelineOptions::default())
        .map_err(|error| format!("MSL: {error}"))?;
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &hlsl::Options::default(), &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    Ok(())
}

#[test]
fn every_shader_translates_within_the_default_limits() {
    let kernels = all();
    let failures: Vec<String> = kernels
        .iter()
        .filter_map(|kernel| check(kernel).err().map(|error| format!("{}: {error}", kernel.name)))
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), kernels.len(), failures.join("\n"));
    let names: std::collections::BTreeSet<_> = kernels.iter().map(|kernel| &kernel.name).collect();
    assert_eq!(names.len(), kernels.len(), "pipelines are cached by name: a name means one kernel");
}

/// The check itself must be able to fail.
#[test]
fn limits_are_noticed() {
    let wide = Kernel::new("wide", "@compute @workgroup_size(512) fn main() {}");
    assert!(check(&wide).is_err());
    let big = "var<workgroup> x: array<f32, 5000>; @compute @workgroup_size(1) fn main() { x[0] = 1.0; }";
    assert!(check(&Kernel::new("big", big)).is_err());
    assert!(check(&Kernel::new("wrong", "fn main( {}")).is_err());
    assert!(check(&Kernel::new("fine", "@compute @workgroup_size(64) fn main() {}")).is_ok());
}
