//! Only Vulkan can be run on most machines that test this: every shader is validated, translated to SPIR-V, held to WebGPU's default
//! limits, and written to `tmp/shaders` of the target folder. `cargo run --release -p rontgen-translate` translates what lies there
//! for Metal and DirectX 12: nobody who builds the program has to compile naga's writers for other systems.

use naga::back::spv;
use rontgen::device::{Device, Kernel};
use rontgen::kernels::{
    self, flow, gemm, gemm_half,
    model::{ModelPlan, StageText},
    model_fold,
};
use rontgen::model::{Kind, Model, Parameters, Program, Setting, Settings, catalogue, reflection};

use super::xillver;

fn all() -> Vec<Kernel> {
    let shape = |parameters: usize, context, hidden, layers, transforms: usize| flow::FlowShape {
        parameters,
        context,
        hidden,
        layers,
        orders: vec![(0..parameters as u32).collect(); transforms],
    };
    [flow::kernels(&shape(5, 64, 100, 2, 10)), models(), kernels::every_kernel()].concat()
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
    let tables = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/apec");
    let folder = tempfile::tempdir().expect("a folder");
    for comptonised in [false, true] {
        xillver::write(folder.path(), comptonised, 1.0).expect("a table of reflection");
    }
    let settings = Settings::default().with_atomdb(Some(tables)).with_xillver(Some(folder.path().to_path_buf()), true);
    expressions.push("tbabs*(bbodyrad+powerlaw+gaussian)".into());
    expressions.push("tbabs*zashift(diskbb+zashift(powerlaw))".into());
    // As many tables per spectrum as one stage may have.
    expressions.push("tbabs*(nthcomp+pexmon+reflect(powerlaw))".into());
    let edges: Vec<f64> = (0..=100).map(|i| 0.3 + 0.1 * f64::from(i)).collect();
    let mut kernels: Vec<Kernel> = Vec::new();
    for expression in expressions {
        let mut model = Model::parse(&expression, &settings).expect("a model");
        if reflection::needs_table(&expression) {
            // One disc: texts are the same for all, but for their numbers.
            let fixed = model.parameters().iter().map(|p| (p.name.clone(), Setting::Frozen(p.default))).collect();
            model.fix_tables(&Parameters::resolve(&model, &fixed).expect("parameters"));
        }
        let program = Program::new(&model, &edges).expect("a program");
        let stages: Vec<StageText> = program
            .stages()
            .iter()
            .map(|stage| StageText { wgsl: &stage.wgsl, slots: stage.slots as usize, run: stage.run })
            .collect();
        let bins = program.bin_table();
        let plan = ModelPlan::new(&Device::cpu(), &stages, bins.as_flattened(), bins[0].len(), program.tables());
        // Models share stages (a power law that is shifted by several): one kernel each.
        let all = plan.kernels().iter().cloned().chain(model_fold::kernel(&plan));
        let new = all.filter(|kernel| kernels.iter().all(|known| known.name != kernel.name));
        kernels.extend(new.collect::<Vec<_>>());
    }
    kernels
}

/// Invocations, and bytes of workgroup memory.
const DEFAULT: [u32; 2] = [256, 16_384];
/// What a shader that is chosen by the adapter's limits may ask for: 48 KiB is what desktop adapters have.
const LARGE: [u32; 2] = [1024, 49_152];

fn check(kernel: &Kernel, [most_invocations, most_shared]: [u32; 2]) -> Result<(), String> {
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
    let bytes = |space: naga::AddressSpace| -> u32 {
        let variables = module.global_variables.iter().filter(|(_, variable)| variable.space == space);
        variables.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum()
    };
    let (shared, private) = (bytes(naga::AddressSpace::WorkGroup), bytes(naga::AddressSpace::Private));
    if invocations > most_invocations || storage > 8 || shared > most_shared || private > 8192 {
        return Err(format!(
            "{invocations} invocations, {storage} storage buffers, {shared} bytes of workgroup memory, {private} of private"
        ));
    }

    spv::write_vec(&module, &info, &spv::Options::default(), None).map_err(|error| format!("SPIR-V: {error}"))?;
    Ok(())
}

/// Leaves the shaders' whole text for `rontgen-translate`.
fn write<'a>(kernels: impl Iterator<Item = &'a Kernel>) {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("shaders");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (k, kernel) in kernels.enumerate() {
        let source = kernel.assemble().unwrap();
        std::fs::write(folder.join(format!("{k:03}.wgsl")), format!("// {}\n{source}", kernel.name)).unwrap();
    }
}

#[test]
fn every_shader_translates_within_the_default_limits() {
    let kernels = all();
    let failures: Vec<String> = kernels
        .iter()
        .filter_map(|kernel| check(kernel, DEFAULT).err().map(|error| format!("{}: {error}", kernel.name)))
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), kernels.len(), failures.join("\n"));
    write(kernels.iter().chain(&gemm::large_kernels()));
    let names: std::collections::BTreeSet<_> = kernels.iter().map(|kernel| &kernel.name).collect();
    assert_eq!(names.len(), kernels.len(), "pipelines are cached by name: a name means one kernel");
}

/// Variants that an adapter's larger limits allow translate too; each does more than the default limits hold, or it would be portable.
#[test]
fn larger_variants_translate_within_larger_limits() {
    let kernels: Vec<_> = gemm::large_kernels().into_iter().filter(|kernel| kernel.name.contains("tiles")).collect();
    assert!(!kernels.is_empty());
    for kernel in &kernels {
        check(kernel, LARGE).unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
        assert!(check(kernel, DEFAULT).is_err(), "{} is portable", kernel.name);
    }
}

/// Cooperative matrices exist in SPIR-V only, and in no default: their shaders validate with the two capabilities they name and not without,
/// translate, and keep the default limits. Nothing here can run them.
#[test]
fn cooperative_matrices_validate_and_translate() {
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let kernels = gemm_half::kernels();
    assert_eq!(kernels.len(), 4);
    for kernel in &kernels {
        let source = kernel.assemble().unwrap();
        let module = naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)));
        let needed = Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16;
        let info = Validator::new(ValidationFlags::all(), needed)
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&source)));
        for missing in [Capabilities::COOPERATIVE_MATRIX, Capabilities::SHADER_FLOAT16] {
            assert!(Validator::new(ValidationFlags::all(), needed - missing).validate(&module).is_err());
        }
        let shared: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        assert!(shared <= DEFAULT[1] && module.entry_points[0].workgroup_size == [128, 1, 1], "{shared} bytes");
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap();
        // OpCooperativeMatrixMulAddKHR: four products, in each of two steps of a loop.
        assert_eq!(words.iter().filter(|word| **word & 0xffff == 4459).count(), 4, "{}", kernel.name);
    }
}

/// The check itself must be able to fail.
#[test]
fn limits_are_noticed() {
    let wide = Kernel::new("wide", "@compute @workgroup_size(512) fn main() {}");
    assert!(check(&wide, DEFAULT).is_err());
    let big = "var<workgroup> x: array<f32, 5000>; @compute @workgroup_size(1) fn main() { x[0] = 1.0; }";
    assert!(check(&Kernel::new("big", big), DEFAULT).is_err());
    assert!(check(&Kernel::new("wrong", "fn main( {}"), DEFAULT).is_err());
    assert!(check(&Kernel::new("fine", "@compute @workgroup_size(64) fn main() {}"), DEFAULT).is_ok());
}
