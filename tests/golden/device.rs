//! Runs a model's stages on an adapter, in the simplest form a kernel's wrapper can have.

use rontgen::model::Program;
use std::borrow::Cow;
use wgpu::util::DeviceExt;

/// What a kernel's wrapper defines, for one spectrum, reading every array from one storage buffer each.
pub const WRAPPER: &str = "
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
    if id.x < arrayLength(&w_out) { w_out[id.x] = stage_value(id.x); }
}
";

pub fn device() -> Option<(wgpu::Device, wgpu::Queue)> {
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
pub fn run(device: &wgpu::Device, queue: &wgpu::Queue, program: &Program, full: &[f32]) -> Vec<f32> {
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
    let mut slots: Vec<f32> = Vec::new();
    let mut last = Vec::new();
    for stage in program.stages() {
        assert!(!stage.host);
        let numbers = stage.slots * program.energies() as u32;
        let size = 4 * u64::from(numbers);
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
            pass.dispatch_workgroups(numbers.div_ceil(64), 1, 1);
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
