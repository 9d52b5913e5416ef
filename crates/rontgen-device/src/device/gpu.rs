//! A wgpu device: recorded dispatches, pooled buffers, cached pipelines and bind groups, late errors.
//!
//! Two orderings matter. `Queue::write_buffer` runs before everything of the next submission, so an upload first submits what
//! is recorded. A pooled buffer may be handed out again while commands that use it are still pending: commands run in order,
//! so the new owner's commands come after.

use super::status::{CLEAR, WORDS};
use super::tensor::Binding;
use super::timing::Timing;
use super::{DeviceError, Kernel, Profiler};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// Bytes of launch parameters in one submission; a launch takes one slot of 256 (the strictest alignment WebGPU allows).
const PARAMETER_BYTES: usize = 1 << 18;
const PARAMETER_SLOT: usize = 256;
/// A submission is closed after this many dispatches, so that a watchdog never sees an epoch-long one.
const MAX_RECORDED: usize = 512;
/// Bytes of unused buffers kept for the next allocation.
const POOL_BYTES: u64 = 256 << 20;
/// Bind groups kept; reaching this clears the cache.
const MAX_BIND_GROUPS: usize = 4096;

/// A buffer that returns to its device's pool when the last tensor lets go.
#[derive(Debug)]
pub struct GpuBuffer {
    id: u64,
    buffer: wgpu::Buffer,
    home: Weak<Memory>,
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        if let Some(memory) = self.home.upgrade() {
            memory.take_back(self.id, &self.buffer);
        }
    }
}

#[derive(Debug, Default)]
struct Pool {
    free: HashMap<u64, Vec<(u64, wgpu::Buffer)>>,
    bytes: u64,
    next_id: u64,
}

/// A pipeline's id, then id and bytes of each buffer bound to it.
type BindGroupKey = (u32, Vec<(u64, u64)>);

/// What outlives a tensor: unused buffers, and the bind groups, each of which keeps its buffers alive.
#[derive(Debug, Default)]
struct Memory {
    pool: Mutex<Pool>,
    bind_groups: Mutex<HashMap<BindGroupKey, wgpu::BindGroup>>,
    allocated: AtomicU64,
}

impl Memory {
    /// Keeps a buffer for the next allocation, or lets go of it and of every bind group that holds it.
    fn take_back(&self, id: u64, buffer: &wgpu::Buffer) {
        let bytes = buffer.size();
        let mut pool = lock(&self.pool);
        if pool.bytes + bytes <= POOL_BYTES {
            pool.bytes += bytes;
            pool.free.entry(bytes).or_default().push((id, buffer.clone()));
            return;
        }
        drop(pool);
        self.allocated.fetch_sub(bytes, Relaxed);
        lock(&self.bind_groups).retain(|(_, bound), _| bound.iter().all(|(bound, _)| *bound != id));
    }
}

#[derive(Debug)]
struct Pipeline {
    id: u32,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

#[derive(Debug, Default)]
struct Recorder {
    encoder: Option<wgpu::CommandEncoder>,
    pass: Option<wgpu::ComputePass<'static>>,
    parameters: Vec<u8>,
    recorded: usize,
    timing: Option<Timing>,
}

/// One open wgpu device. Shared; all methods take `&self`.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    cooperative: bool,
    parameter_buffer: wgpu::Buffer,
    status: Arc<GpuBuffer>,
    recorder: Mutex<Recorder>,
    memory: Arc<Memory>,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
    failure: Arc<Mutex<Option<DeviceError>>>,
    next_pipeline: AtomicU32,
    profiler: Profiler,
    /// What [`Gpu::spoil`] replaces.
    spoilt: Mutex<Vec<[String; 3]>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Workgroups for `n` invocations in groups of `workgroup`, folded into two dimensions where one is too short.
pub fn grid_1d(n: usize, workgroup: usize) -> [u32; 3] {
    let groups = n.div_ceil(workgroup);
    let rows = groups.div_ceil(65_535).max(1);
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}

impl Gpu {
    /// Opens an adapter with all the limits and none but well-tried features of it.
    pub fn new(adapter: wgpu::Adapter) -> Result<Self, DeviceError> {
        let info = adapter.get_info();
        let wanted = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16 | wgpu::Features::TIMESTAMP_QUERY;
        let limits = adapter.limits();
        let ((device, queue), cooperative) =
            super::cooperative::open(&adapter, adapter.features() & wanted, &limits)
                .map_err(|error| DeviceError::Refused { adapter: info.name.clone(), message: error.to_string() })?;

        let failure = Arc::new(Mutex::new(None));
        let keep = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let error = match error {
                wgpu::Error::OutOfMemory { source } => DeviceError::OutOfMemory(source.to_string()),
                other => DeviceError::Rejected(other.to_string()),
            };
            lock(&keep).get_or_insert(error);
        }));
        let keep = failure.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                lock(&keep).get_or_insert(DeviceError::Lost(message));
            }
        });

        let parameter_buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("launch parameters"),
            size: PARAMETER_BYTES as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let memory = Arc::new(Memory::default());
        // 0 is the status word's.
        lock(&memory.pool).next_id = 1;
        let status = Arc::new(GpuBuffer {
            id: 0,
            buffer: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("status word"),
                size: (WORDS * 4) as u64,
                usage: storage_usage(),
                mapped_at_creation: false,
            }),
            home: Weak::new(),
        });
        queue.write_buffer(&status.buffer, 0, bytemuck::cast_slice(&CLEAR));
        Ok(Self {
            device,
            queue,
            info,
            limits,
            cooperative,
            parameter_buffer,
            status,
            recorder: Mutex::default(),
            memory,
            pipelines: Mutex::default(),
            failure,
            next_pipeline: AtomicU32::new(0),
            profiler: Profiler::default(),
            spoilt: Mutex::default(),
        })
    }

    /// Describes the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// Gives the limits that the device was opened with.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// A software adapter runs on the CPU: barriers are dear there and lanes are few.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Opened with cooperative matrices: allowed by the user, and the adapter has those that products of f16 take.
    pub fn cooperative(&self) -> bool {
        self.cooperative
    }

    /// Gives the largest number of bytes that one binding may show to a kernel.
    pub fn binding_limit(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// Gives what the device has counted so far.
    pub fn profiler(&self) -> &Profiler {
        &self.profiler
    }

    /// Bytes of device memory that are taken now (pooled buffers included).
    pub fn allocated_bytes(&self) -> u64 {
        self.memory.allocated.load(Relaxed)
    }

    /// Bytes that the driver's allocations hold for this device, by wgpu's own count; `None` where it keeps none.
    pub fn driver_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// The binding of the status word, for kernels that include `status`: always the last one.
    pub fn status(&self) -> Binding<'_> {
        Binding { buffer: &self.status, bytes: (WORDS * 4) as u64 }
    }

    pub(super) fn allocate(&self, bytes: usize) -> Arc<GpuBuffer> {
        // Size classes keep the pool useful when the last block of an array is shorter than the others.
        let size = match bytes.max(256) as u64 {
            small if small <= 1 << 20 => small.next_power_of_two(),
            large => large.next_multiple_of(1 << 20),
        };
        let home = Arc::downgrade(&self.memory);
        let mut pool = lock(&self.memory.pool);
        if let Some((id, buffer)) = pool.free.get_mut(&size).and_then(Vec::pop) {
            pool.bytes -= size;
            return Arc::new(GpuBuffer { id, buffer, home });
        }
        let id = pool.next_id;
        pool.next_id += 1;
        drop(pool);
        let size = if size > self.limits.max_buffer_size {
            self.fail(DeviceError::TooLarge {
                what: "a tensor".into(),
                requested: bytes as u64,
                available: self.limits.max_buffer_size,
                limit: "max_buffer_size",
            });
            256
        } else {
            size
        };
        self.memory.allocated.fetch_add(size, Relaxed);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: storage_usage(),
            mapped_at_creation: false,
        });
        Arc::new(GpuBuffer { id, buffer, home })
    }

    pub(super) fn clear(&self, buffer: &GpuBuffer) {
        let mut recorder = lock(&self.recorder);
        recorder.pass = None;
        self.encoder(&mut recorder).clear_buffer(&buffer.buffer, 0, None);
    }

    pub(super) fn write(&self, buffer: &GpuBuffer, bytes: &[u8]) {
        self.flush();
        self.queue.write_buffer(&buffer.buffer, 0, bytes);
    }

    fn encoder<'a>(&self, recorder: &'a mut Recorder) -> &'a mut wgpu::CommandEncoder {
        recorder.encoder.get_or_insert_with(|| self.device.create_command_encoder(&Default::default()))
    }

    /// Records one dispatch: `parameters` becomes the uniform block at binding 0, `bindings` follow from binding 1.
    /// An empty grid is skipped.
    pub fn dispatch<P: bytemuck::Pod>(
        &self,
        kernel: &Kernel,
        parameters: &P,
        bindings: &[Binding<'_>],
        grid: [u32; 3],
    ) {
        const { assert!(size_of::<P>() <= PARAMETER_SLOT, "launch parameters longer than their slot") }
        if grid.contains(&0) {
            return;
        }
        self.profiler.count_launch(&kernel.name, Duration::ZERO);
        let Some(pipeline) = self.pipeline(kernel) else { return };
        let group = self.bind_group(&pipeline, kernel, bindings);
        let mut recorder = lock(&self.recorder);
        let full = recorder.recorded >= MAX_RECORDED || recorder.timing.as_ref().is_some_and(Timing::full);
        if full || recorder.parameters.len() + PARAMETER_SLOT > PARAMETER_BYTES {
            self.submit(&mut recorder);
        }
        let offset = recorder.parameters.len();
        recorder.parameters.extend_from_slice(bytemuck::bytes_of(parameters));
        recorder.parameters.resize(offset + PARAMETER_SLOT, 0);
        if let Some(mut timing) = recorder.timing.take() {
            recorder.pass = None;
            recorder.pass = Some(timing.begin(self.encoder(&mut recorder), &kernel.name));
            recorder.timing = Some(timing);
        } else if recorder.pass.is_none() {
            let pass = self.encoder(&mut recorder).begin_compute_pass(&Default::default()).forget_lifetime();
            recorder.pass = Some(pass);
        }
        if let Some(pass) = &mut recorder.pass {
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[offset as u32]);
            pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
        }
        recorder.recorded += 1;
    }

    /// Records a copy of `bytes` from the start of one buffer to the start of another.
    pub fn copy(&self, from: Binding<'_>, to: Binding<'_>) {
        let mut recorder = lock(&self.recorder);
        recorder.pass = None;
        let bytes = from.bytes.min(to.bytes);
        self.encoder(&mut recorder).copy_buffer_to_buffer(&from.buffer.buffer, 0, &to.buffer.buffer, 0, bytes);
    }

    /// Submits what is recorded.
    pub fn flush(&self) {
        self.submit(&mut lock(&self.recorder));
    }

    /// From now on (or no more) the profiler's `busy` is filled from the device's own clock, at the price of a wait per submission.
    /// `false` where the adapter has no timestamps.
    pub fn time_launches(&self, on: bool) -> bool {
        let mut recorder = lock(&self.recorder);
        self.submit(&mut recorder);
        recorder.timing = if on { Timing::new(&self.device) } else { None };
        recorder.timing.is_some() == on
    }

    fn submit(&self, recorder: &mut Recorder) -> Option<wgpu::SubmissionIndex> {
        recorder.pass = None;
        let mut encoder = recorder.encoder.take()?;
        if let Some(timing) = &recorder.timing {
            timing.resolve(&mut encoder);
        }
        if !recorder.parameters.is_empty() {
            self.queue.write_buffer(&self.parameter_buffer, 0, &recorder.parameters);
            recorder.parameters.clear();
        }
        recorder.recorded = 0;
        let index = self.queue.submit([encoder.finish()]);
        if let Some(timing) = &mut recorder.timing {
            for (kernel, busy) in timing.collect(&self.device, &self.queue) {
                self.profiler.add_busy(&kernel, busy);
            }
        }
        Some(index)
    }

    /// Submits what is recorded and waits for it.
    ///
    /// # Errors
    /// The first failure since the last was returned; [`DeviceError::Lost`] for ever.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        self.flush();
        self.wait(None)
    }

    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<(), DeviceError> {
        let polled = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        let failure = {
            let mut failure = lock(&self.failure);
            // What was too large, rejected or out of memory ends what asked for it; a lost device stays lost.
            if matches!(*failure, Some(DeviceError::Lost(_))) { failure.clone() } else { failure.take() }
        };
        if let Some(error) = failure {
            // Commands recorded after the failure belong to what ends here.
            let mut recorder = lock(&self.recorder);
            recorder.pass = None;
            recorder.encoder = None;
            recorder.parameters.clear();
            recorder.recorded = 0;
            return Err(error);
        }
        polled.map(|_| ()).map_err(|error| DeviceError::Lost(error.to_string()))
    }

    fn fail(&self, error: DeviceError) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(super) fn read_later(&self, buffer: &GpuBuffer, bytes: usize) -> PendingRead {
        let bytes = bytes.max(4) as u64;
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("download"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut recorder = lock(&self.recorder);
        recorder.pass = None;
        self.encoder(&mut recorder).copy_buffer_to_buffer(&buffer.buffer, 0, &staging, 0, bytes);
        let submission = self.submit(&mut recorder);
        let (sender, mapped) = channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver may be gone when a download was dropped; nothing is lost then.
            let _ = sender.send(result.map_err(|error| error.to_string()));
        });
        PendingRead { staging, submission, mapped }
    }

    pub(super) fn finish_read(&self, pending: PendingRead) -> Result<Vec<u8>, DeviceError> {
        self.wait(pending.submission)?;
        match pending.mapped.recv_timeout(Duration::from_secs(60)) {
            Ok(Ok(())) => {}
            Ok(Err(message)) => return Err(DeviceError::Rejected(message)),
            Err(_) => return Err(DeviceError::Lost("a download was never mapped".into())),
        }
        let view = pending
            .staging
            .get_mapped_range(..)
            .map_err(|error| DeviceError::Rejected(format!("mapping a download: {error}")))?;
        Ok(view.to_vec())
    }

    pub(super) fn take_status(&self) -> Result<[u32; WORDS], DeviceError> {
        self.profiler.count_download((WORDS * 4) as u64);
        let bytes = self.finish_read(self.read_later(&self.status, WORDS * 4))?;
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
        let words: [u32; WORDS] = words.try_into().unwrap_or(CLEAR);
        if words != CLEAR {
            self.write(&self.status, bytemuck::cast_slice(&CLEAR));
        }
        Ok(words)
    }

    fn pipeline(&self, kernel: &Kernel) -> Option<Arc<Pipeline>> {
        if let Some(pipeline) = lock(&self.pipelines).get(kernel.name.as_ref()) {
            return Some(pipeline.clone());
        }
        match self.compile(kernel) {
            Ok(pipeline) => {
                let pipeline = Arc::new(pipeline);
                lock(&self.pipelines).insert(kernel.name.clone().into_owned(), pipeline.clone());
                Some(pipeline)
            }
            Err(message) => {
                self.fail(DeviceError::Shader { name: kernel.name.clone().into_owned(), message });
                None
            }
        }
    }

    /// Replaces text in the shaders of a family that are compiled from now on: a driver that computes wrong numbers, for tests of what notices it.
    #[doc(hidden)]
    pub fn spoil(&self, family: &str, from: &str, to: &str) {
        lock(&self.spoilt).push([family, from, to].map(String::from));
    }

    /// The layout comes from the shader itself, by reflection, so that binding numbers are written once.
    fn compile(&self, kernel: &Kernel) -> Result<Pipeline, String> {
        let mut source = kernel.assemble()?;
        for [_, from, to] in lock(&self.spoilt).iter().filter(|[family, ..]| kernel.name.starts_with(family)) {
            source = source.replace(from, to);
        }
        let module = naga::front::wgsl::parse_str(&source).map_err(|error| error.emit_to_string(&source))?;
        let entries: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let binding = variable.binding.as_ref()?.binding;
                let ty = match variable.space {
                    naga::AddressSpace::Uniform => wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Uniform,
                        has_dynamic_offset: true,
                        min_binding_size: None,
                    },
                    naga::AddressSpace::Storage { access } => wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Storage {
                            read_only: !access.contains(naga::StorageAccess::STORE),
                        },
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                    _ => return None,
                };
                let visibility = wgpu::ShaderStages::COMPUTE;
                Some(wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None })
            })
            .collect();
        let layout =
            self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&kernel.name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&kernel.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&kernel.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel that reads workgroup memory writes it first.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        let id = self.next_pipeline.fetch_add(1, Relaxed);
        Ok(Pipeline { id, pipeline, layout })
    }

    fn bind_group(&self, pipeline: &Pipeline, kernel: &Kernel, bindings: &[Binding<'_>]) -> wgpu::BindGroup {
        let key = (pipeline.id, bindings.iter().map(|binding| (binding.buffer.id, binding.bytes)).collect::<Vec<_>>());
        let mut groups = lock(&self.memory.bind_groups);
        if let Some(group) = groups.get(&key) {
            return group.clone();
        }
        if let Some(large) = bindings.iter().find(|binding| binding.bytes > self.binding_limit()) {
            self.fail(DeviceError::TooLarge {
                what: format!("a binding of {}", kernel.name),
                requested: large.bytes,
                available: self.binding_limit(),
                limit: "max_storage_buffer_binding_size",
            });
        }
        let parameters = wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &self.parameter_buffer,
                offset: 0,
                size: std::num::NonZeroU64::new(PARAMETER_SLOT as u64),
            }),
        };
        let storage = bindings.iter().enumerate().map(|(i, binding)| wgpu::BindGroupEntry {
            binding: i as u32 + 1,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &binding.buffer.buffer,
                offset: 0,
                size: std::num::NonZeroU64::new(binding.bytes),
            }),
        });
        let entries: Vec<_> = std::iter::once(parameters).chain(storage).collect();
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&kernel.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        if groups.len() >= MAX_BIND_GROUPS {
            groups.clear();
        }
        groups.insert(key, group.clone());
        group
    }
}

/// A copy to the host under way.
#[derive(Debug)]
pub struct PendingRead {
    staging: wgpu::Buffer,
    submission: Option<wgpu::SubmissionIndex>,
    mapped: Receiver<Result<(), String>>,
}

fn storage_usage() -> wgpu::BufferUsages {
    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST
}
