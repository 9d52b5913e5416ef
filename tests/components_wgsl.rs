//! Every component's WGSL executed on an adapter and compared with the f64 oracle.
//!
//! Any adapter will do, a software one too. Without one the test says that it skips; with RONTGEN_REQUIRE_GPU=1 it fails.

use rontgen::model::{Kind, Model, Program, Settings, catalogue};
use std::borrow::Cow;
use wgpu::util::DeviceExt;

/// What a kernel's wrapper defines, for one spectrum, reading every array from one storage buffer each.
const WRAPPER: &str = "
@group(0) @binding(0) var<storage, read> w_par: array<f32>;
@group(0) @binding(1) var<storage, read> w_bins: array<f32>;
@group(0) @binding(2) var<storage, read> w_table: array<f32>;
@group(0) @binding(3) var<storage, read> w_source: array<f32>;
@group(0) @binding(4) var<storage, read_write> w_out: array<f32>;
fn par(k: u32) -> f32 { return w_par[k]; }
fn edge_lo(i: u32) -> f32 { return w_bins[8u * i]; }
fn width(i: u32) -> f32 { return w_bins[8u * i + 1u]; }
fn mid_hi(i: u32) -> f32 { return w_bins[8u * i + 2u]; }
fn mid_lo(i: u32) -> f32 { return w_bins[8u * i + 3u]; }
fn ln_mid(i: u32) -> f32 { return w_bins[8u * i + 4u]; }
fn edge_hi(i: u32) -> f32 { return w_bins[8u * i + 7u]; }
fn table(k: u32) -> f32 { return w_table[k]; }
fn energies() -> u32 { return arrayLength(&w_bins) / 8u; }
fn source(slot: u32, i: u32) -> f32 { return w_source[slot * energies() + i]; }
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < energies() { w_out[id.x] = stage_value(id.x); }
}
";

fn device() -> Option<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
    let Ok(adapter) = adapter else {
        assert!(std::env::var("RONTGEN_REQUIRE_GPU").as_deref() != Ok("1"), "no adapter found");
        println!("skipped: no GPU adapter");
        return None;
    };
    println!("adapter: {}", adapter.get_info().name);
    Some(pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap())
}

/// Runs all stages of a program for one parameter vector.
fn run(device: &wgpu::Device, queue: &wgpu::Queue, program: &Program, full: &[f32]) -> Vec<f32> {
    let storage = |data: &[f32]| {
        let data = if data.is_empty() { &[0.0][..] } else { data };
        device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::cast_slice(data),
            usage: wgpu::BufferUsages::STORAGE,
        })
    };
    let bins = storage(program.bin_table().as_flattened());
    let (table, parameters) = (storage(program.tables()), storage(full));
    let size = 4 * program.energies() as u64;
    let mut slots: Vec<f32> = Vec::new();
    let mut last = Vec::new();
    for stage in program.stages() {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(Cow::Owned(format!("{}\n{WRAPPER}", stage.wgsl))),
        });
        // An explicit layout: a stage that does not use a binding must still accept it.
        let entries: Vec<_> = (0..5)
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: binding < 4 },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let out = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let read = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let source = storage(&slots);
        let buffers = [&parameters, &bins, &table, &source, &out];
        let bindings: Vec<_> = (0u32..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let group =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &bindings });
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups((program.energies() as u32).div_ceil(64), 1, 1);
        }
        encoder.copy_buffer_to_buffer(&out, 0, &read, 0, size);
        queue.submit([encoder.finish()]);
        read.slice(..).map_async(wgpu::MapMode::Read, |result| result.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        last = bytemuck::cast_slice(&read.slice(..).get_mapped_range().unwrap()).to_vec();
        slots.extend_from_slice(&last);
    }
    last
}

#[test]
fn shaders_agree_with_the_oracle() {
    let Some((device, queue)) = device() else { return };
    // 1 % bins, then 0.5 eV bins around 6.4 keV, then 1 % again.
    let mut edges: Vec<f64> = (0..=410).map(|k| 0.1 * 1.01f64.powi(k)).take_while(|e| *e < 6.3).collect();
    edges.extend((0..=400).map(|k| 6.3 + 0.0005 * f64::from(k)));
    edges.extend((1..=60).map(|k| 6.5 * 1.01f64.powi(k)));
    let mut failures = Vec::new();
    println!("{:44} {:>10} {:>10}", "model", "GPU-f64", "at keV");
    let mut check = |expression: &str, set: &[(&str, f64)], limit: f64| {
        let model = Model::parse(expression, &Settings::default()).unwrap();
        let mut full: Vec<f32> = model.parameters().iter().map(|p| p.default as f32).collect();
        for (name, value) in set {
            full[model.find(name).unwrap()] = *value as f32;
        }
        let program = Program::new(&model, &edges).unwrap();
        let wide: Vec<f64> = full.iter().map(|x| f64::from(*x)).collect();
        let mut oracle = vec![0.0; program.energies()];
        program.evaluate(&wide, &mut oracle);
        let got = run(&device, &queue, &program, &full);
        let peak = oracle.iter().fold(0.0f64, |m, x| m.max(*x));
        let mut worst = (0.0, 0.0);
        for ((g, o), edge) in got.iter().zip(&oracle).zip(&edges) {
            let d = (f64::from(*g) / o - 1.0).abs();
            if *o > 1e-6 * peak && (d > worst.0 || d.is_nan()) {
                worst = (d, *edge);
            }
        }
        println!("{:44} {:10.2e} {:10.4}", format!("{expression} {set:?}"), worst.0, worst.1);
        if worst.0 > limit || worst.0.is_nan() {
            failures.push(format!("{expression} {set:?}: {:.2e} at {}", worst.0, worst.1));
        }
    };
    for component in catalogue::components().iter().filter(|c| c.available()) {
        let name = component.name.to_lowercase();
        let expression = match component.kind {
            Kind::Additive => name.clone(),
            _ => format!("{name}*powerlaw"),
        };
        // Pieces of the Gaunt factor jump (one point per bin against many in the oracle).
        let limit = if name.contains("bremss") { 2e-3 } else { 2e-5 };
        check(&expression, &[], limit);
        if component.parameters.iter().any(|p| p.name == "Redshift") {
            // The flanks of the oxygen resonances turn 1e-8 in ln E into 1e-4.
            let limit = if name == "ztbabs" { 5e-4 } else { limit };
            check(&expression, &[(&format!("{name}.Redshift"), 0.27)], limit);
        }
    }
    for kt in [0.0, 0.05, 0.3, 2.0, 30.0] {
        check("bbodyrad+powerlaw", &[("bbodyrad.kT", kt), ("powerlaw.norm", 1e-6)], 2e-5);
        check("diskbb+powerlaw", &[("diskbb.Tin", kt), ("powerlaw.norm", 1e-6)], 2e-5);
        check("bremss+powerlaw", &[("bremss.kT", kt), ("powerlaw.norm", 1e-6)], 2e-3);
    }
    for sigma in [1e-5, 0.0003, 0.002, 0.009, 0.3] {
        check("gaussian", &[("gaussian.LineE", 6.4), ("gaussian.Sigma", sigma)], 2e-5);
        check("zgauss", &[("zgauss.LineE", 8.1), ("zgauss.Sigma", sigma), ("zgauss.Redshift", 0.27)], 2e-5);
    }
    check("bknpower", &[("bknpower.BreakE", 6.4001)], 2e-5);
    check("edge*powerlaw", &[("edge.edgeE", 6.4001)], 2e-4);
    // Products that share one exponential, and a sum multiplied out.
    check("tbabs*ztbabs*constant*cutoffpl", &[("ztbabs.Redshift", 0.1), ("cutoffpl.HighECut", 3.0)], 5e-4);
    check("tbabs*phabs*(powerlaw+zpowerlw)*edge", &[("edge.edgeE", 7.1)], 2e-4);
    check("tbabs*(powerlaw+gaussian)", &[("gaussian.LineE", 6.4), ("gaussian.Sigma", 0.002)], 2e-5);
    check("tbabs*(bbodyrad+powerlaw)", &[("bbodyrad.kT", 0.6), ("tbabs.nH", 0.15)], 2e-5);
    check("tbabs*zashift*(powerlaw+zashift*(bbody+gaussian))", &[("zashift.Redshift", 0.3)], 2e-4);
    assert!(failures.is_empty(), "{failures:#?}");
}
