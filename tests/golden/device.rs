//! Runs a model's stages on an adapter, in the simplest form a kernel's wrapper can have.

use rontgen::model::Program;
use std::borrow::Cow;
use wgpu::util::DeviceExt;

/// What a kernel's wrapper defines, for one spectrum, reading every array from one storage buffer each; `W_RUN`, numbers per invocation, stands before it.
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
    let first = id.x * W_RUN;
    let last = min(first + W_RUN, arrayLength(&w_out));
    if first >= last { return; }
    stage_setup();
    for (var i = first; i < last; i++) { w_out[i] = stage_bin(i); }
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

/// A program's stages, compiled, with what they read.
pub struct Prepared<'d> {
    device: &'d wgpu::Device,
    queue: &'d wgpu::Queue,
    layout: wgpu::BindGroupLayout,
    /// With the numbers that they fill, and how many of them an invocation works out.
    stages: Vec<(wgpu::ComputePipeline, u32, u32)>,
    bins: wgpu::Buffer,
    table: wgpu::Buffer,
}

impl<'d> Prepared<'d> {
    pub fn new(device: &'d wgpu::Device, queue: &'d wgpu::Queue, program: &Program) -> Self {
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
        let compile = |text: &str, run: u32| {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: None,
                source: wgpu::ShaderSource::Wgsl(Cow::Owned(format!("{text}\nconst W_RUN = {run}u;\n{WRAPPER}"))),
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: Default::default(),
                cache: None,
            })
        };
        let stages = program
            .stages()
            .iter()
            .map(|stage| {
                assert!(!stage.host);
                let run = stage.run.unwrap_or(1);
                (compile(&stage.wgsl, run), stage.slots * program.energies() as u32, run)
            })
            .collect();
        let bins = storage(device, program.bin_table().as_flattened());
        Self { device, queue, layout, stages, bins, table: storage(device, program.tables()) }
    }

    /// Runs all stages for one parameter vector; returns the outputs of all of them, one behind the other.
    pub fn outputs(&self, full: &[f32]) -> Vec<Vec<f32>> {
        let device = self.device;
        let parameters = storage(device, full);
        let mut outputs: Vec<Vec<f32>> = Vec::new();
        for (pipeline, numbers, run) in &self.stages {
            let size = 4 * u64::from(*numbers);
            let buffer = |usage| {
                device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
            };
            let out = buffer(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
            let read = buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ);
            let source = storage(device, &outputs.concat());
            let buffers = [&parameters, &self.bins, &self.table, &source, &out];
            let bindings: Vec<_> = (0u32..)
                .zip(buffers)
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
                .collect();
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &self.layout,
                entries: &bindings,
            });
            let mut encoder = device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(numbers.div_ceil(run * 64), 1, 1);
            }
            encoder.copy_buffer_to_buffer(&out, 0, &read, 0, size);
            self.queue.submit([encoder.finish()]);
            read.slice(..).map_async(wgpu::MapMode::Read, |result| result.unwrap());
            device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            outputs.push(bytemuck::cast_slice(&read.slice(..).get_mapped_range().unwrap()).to_vec());
        }
        outputs
    }

    /// Runs all stages for one parameter vector; returns the spectrum.
    pub fn run(&self, full: &[f32]) -> Vec<f32> {
        self.outputs(full).pop().unwrap_or_default()
    }
}

fn storage(device: &wgpu::Device, data: &[f32]) -> wgpu::Buffer {
    let data = if data.is_empty() { &[0.0][..] } else { data };
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: None,
        contents: bytemuck::cast_slice(data),
        usage: wgpu::BufferUsages::STORAGE,
    })
}

/// Runs all stages of a program for one parameter vector.
pub fn run(device: &wgpu::Device, queue: &wgpu::Queue, program: &Program, full: &[f32]) -> Vec<f32> {
    Prepared::new(device, queue, program).run(full)
}
