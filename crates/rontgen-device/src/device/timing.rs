//! Times of single launches by the device's own clock: two timestamps around each, for benchmarks.
//!
//! While it is on, every dispatch is a compute pass of its own and every submission is waited for, so the wall clock means nothing
//! then.

use std::sync::mpsc::channel;
use std::time::Duration;

/// Launches between two resolutions; WebGPU allows 4096 queries in a set.
const LAUNCHES: usize = 1024;

/// Queries of the launches since the last submission.
#[derive(Debug)]
pub(super) struct Timing {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    names: Vec<String>,
}

impl Timing {
    /// `None` where the adapter has no timestamps.
    pub(super) fn new(device: &wgpu::Device) -> Option<Self> {
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let size = (LAUNCHES * 16) as u64;
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        Some(Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("launches"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * LAUNCHES as u32,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
            names: Vec::new(),
        })
    }

    /// No room for one more launch: submit first.
    pub(super) fn full(&self) -> bool {
        self.names.len() >= LAUNCHES
    }

    /// A compute pass for one launch.
    pub(super) fn begin(&mut self, encoder: &mut wgpu::CommandEncoder, kernel: &str) -> wgpu::ComputePass<'static> {
        let at = 2 * self.names.len() as u32;
        self.names.push(kernel.to_owned());
        let pass = wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(at),
                end_of_pass_write_index: Some(at + 1),
            }),
        };
        encoder.begin_compute_pass(&pass).forget_lifetime()
    }

    /// To be called before the encoder is finished.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        if !self.names.is_empty() {
            let n = 2 * self.names.len() as u32;
            encoder.resolve_query_set(&self.queries, 0..n, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, 8 * u64::from(n));
        }
    }

    /// To be called after the submission: waits for it and returns the launches' times in their order.
    pub(super) fn collect(&mut self, device: &wgpu::Device, queue: &wgpu::Queue) -> Vec<(String, Duration)> {
        let names = std::mem::take(&mut self.names);
        if names.is_empty() {
            return Vec::new();
        }
        let (sender, mapped) = channel();
        self.staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = sender.send(result.is_ok());
        });
        let waited = device.poll(wgpu::PollType::Wait { submission_index: None, timeout: None });
        let ready = waited.is_ok() && mapped.recv_timeout(Duration::from_secs(60)).unwrap_or(false);
        let Some(view) = ready.then(|| self.staging.get_mapped_range(..).ok()).flatten() else { return Vec::new() };
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..16 * names.len()]);
        drop(view);
        self.staging.unmap();
        let period = f64::from(queue.get_timestamp_period());
        let spans = ticks.chunks_exact(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period);
        names.into_iter().zip(spans.map(|nanoseconds| Duration::from_nanos(nanoseconds as u64))).collect()
    }
}
