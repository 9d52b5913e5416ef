//! A typed, shaped handle to memory on a device: row-major, two dimensions, a vector being one row.

use super::gpu::{GpuBuffer, PendingRead};
use super::{Device, DeviceError};
use ndarray::{Array2, ArrayView2};
use std::sync::Arc;

/// What a tensor may hold: four bytes that a shader can address.
pub trait Element: bytemuck::Pod + Default + Send + Sync + 'static {}
impl Element for f32 {}
impl Element for u32 {}

#[derive(Debug)]
enum Storage<T> {
    Cpu(Vec<T>),
    Gpu(Arc<GpuBuffer>),
}

/// `rows x cols` numbers on a device. Launches take `&Tensor` for what they read and `&mut Tensor` for what they write, so that
/// the borrow checker sees the same hazards on both devices. Not `Clone`: copies are explicit (a kernel makes them).
#[derive(Debug)]
pub struct Tensor<T: Element> {
    rows: usize,
    cols: usize,
    storage: Storage<T>,
    device: Device,
}

impl<T: Element> Drop for Tensor<T> {
    fn drop(&mut self) {
        self.device.profiler().release(self.len() as u64 * 4);
    }
}

impl<T: Element> Tensor<T> {
    /// `rows x cols` zeros.
    pub fn zeros(device: &Device, rows: usize, cols: usize) -> Self {
        let storage = match device {
            Device::Cpu(_) => Storage::Cpu(vec![T::default(); rows * cols]),
            Device::Gpu(gpu) => {
                let buffer = gpu.allocate(rows * cols * 4);
                gpu.clear(&buffer);
                Storage::Gpu(buffer)
            }
        };
        Self::hold(device, rows, cols, storage)
    }

    fn hold(device: &Device, rows: usize, cols: usize, storage: Storage<T>) -> Self {
        device.profiler().hold((rows * cols * 4) as u64);
        Self { rows, cols, storage, device: device.clone() }
    }

    /// `rows x cols` numbers to be overwritten: contents are arbitrary (but initialised) until a kernel has written them.
    pub fn empty(device: &Device, rows: usize, cols: usize) -> Self {
        match device {
            Device::Cpu(_) => Self::zeros(device, rows, cols),
            Device::Gpu(gpu) => Self::hold(device, rows, cols, Storage::Gpu(gpu.allocate(rows * cols * 4))),
        }
    }

    /// Uploads `data` (row-major, `rows * cols` long).
    ///
    /// # Panics
    /// When the length is not `rows * cols`: a caller's mistake, never a property of a user's file.
    pub fn from_slice(device: &Device, rows: usize, cols: usize, data: &[T]) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows} x {cols} tensor from {} numbers", data.len());
        let mut tensor = Self::empty(device, rows, cols);
        tensor.upload(data);
        tensor
    }

    /// Uploads a host array, row by row whatever its layout.
    pub fn from_array(device: &Device, array: ArrayView2<'_, T>) -> Self {
        let (rows, cols) = array.dim();
        Self::from_slice(device, rows, cols, array.as_standard_layout().as_slice().unwrap_or_default())
    }

    /// Waits for the device and copies everything to a host array.
    ///
    /// # Errors
    /// A device that failed.
    pub fn to_array(&self) -> Result<Array2<T>, DeviceError> {
        Ok(array(self.rows, self.cols, self.download()?))
    }

    /// Overwrites the whole tensor.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn upload(&mut self, data: &[T]) {
        assert_eq!(data.len(), self.len(), "upload into a {} x {} tensor", self.rows, self.cols);
        self.device.profiler().count_upload(size_of_val(data) as u64);
        match (&mut self.storage, &self.device) {
            (Storage::Cpu(values), _) => values.copy_from_slice(data),
            (Storage::Gpu(buffer), Device::Gpu(gpu)) => gpu.write(buffer, bytemuck::cast_slice(data)),
            _ => unreachable!("storage and device agree by construction"),
        }
    }

    /// Overwrites the first `data.len()` elements.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn upload_first(&mut self, data: &[T]) {
        assert!(data.len() <= self.len(), "upload into a {} x {} tensor", self.rows, self.cols);
        self.device.profiler().count_upload(size_of_val(data) as u64);
        match (&mut self.storage, &self.device) {
            (Storage::Cpu(values), _) => values[..data.len()].copy_from_slice(data),
            (Storage::Gpu(buffer), Device::Gpu(gpu)) => gpu.write(buffer, bytemuck::cast_slice(data)),
            _ => unreachable!("storage and device agree by construction"),
        }
    }

    /// Waits for the device and copies everything to the host. Counted in the device's traffic.
    pub fn download(&self) -> Result<Vec<T>, DeviceError> {
        self.download_later().wait()
    }

    /// Starts a copy to the host that [`Download::wait`] picks up, so that the device goes on meanwhile.
    pub fn download_later(&self) -> Download<T> {
        self.device.profiler().count_download(self.len() as u64 * 4);
        match (&self.storage, &self.device) {
            (Storage::Cpu(values), _) => Download::Ready(values.clone()),
            (Storage::Gpu(buffer), Device::Gpu(gpu)) => {
                Download::Pending(gpu.clone(), gpu.read_later(buffer, self.len() * 4))
            }
            _ => unreachable!("storage and device agree by construction"),
        }
    }

    /// A copy of the first `rows` rows, on the device.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn first_rows(&self, rows: usize) -> Self {
        assert!(rows <= self.rows, "the first {rows} of {} rows", self.rows);
        let mut copy = Self::empty(&self.device, rows, self.cols);
        match &self.device {
            Device::Cpu(_) => copy.cpu_mut().copy_from_slice(&self.cpu()[..rows * self.cols]),
            Device::Gpu(gpu) if !copy.is_empty() => gpu.copy(self.gpu(), copy.gpu()),
            Device::Gpu(_) => {}
        }
        copy
    }

    /// Gives the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Gives the number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Gives the number of elements.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Tells whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives the device that holds it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the numbers under another shape of the same size.
    ///
    /// # Panics
    /// When `rows * cols` differs.
    pub fn reshaped(mut self, rows: usize, cols: usize) -> Self {
        assert_eq!(rows * cols, self.len(), "{} x {} seen as {rows} x {cols}", self.rows, self.cols);
        (self.rows, self.cols) = (rows, cols);
        self
    }

    /// The numbers of a tensor on the CPU device, for a CPU twin.
    ///
    /// # Panics
    /// On a GPU tensor: a launch that mixes devices is a bug in the launch.
    pub fn cpu(&self) -> &[T] {
        match &self.storage {
            Storage::Cpu(values) => values,
            Storage::Gpu(_) => panic!("a GPU tensor was given to a CPU twin"),
        }
    }

    /// As [`Tensor::cpu`], to write.
    pub fn cpu_mut(&mut self) -> &mut [T] {
        match &mut self.storage {
            Storage::Cpu(values) => values,
            Storage::Gpu(_) => panic!("a GPU tensor was given to a CPU twin"),
        }
    }

    /// The binding of a tensor on the GPU, for a dispatch.
    ///
    /// # Panics
    /// On a CPU tensor.
    pub fn gpu(&self) -> Binding<'_> {
        match &self.storage {
            Storage::Gpu(buffer) => Binding { buffer, bytes: (self.len() * 4).max(4) as u64 },
            Storage::Cpu(_) => panic!("a CPU tensor was given to a GPU dispatch"),
        }
    }
}

/// A buffer and how much of it a dispatch sees.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    pub(super) buffer: &'a Arc<GpuBuffer>,
    pub(super) bytes: u64,
}

/// A download under way.
#[derive(Debug)]
#[must_use = "a download that nobody waits for costs bandwidth for nothing"]
pub enum Download<T> {
    /// The elements are there, in row-major order.
    Ready(Vec<T>),
    /// The elements are on their way from a GPU.
    Pending(Arc<super::gpu::Gpu>, PendingRead),
}

impl<T: Element> Download<T> {
    /// Waits for the elements, in row-major order.
    ///
    /// # Errors
    /// What the device failed with since the last failure was returned.
    pub fn wait(self) -> Result<Vec<T>, DeviceError> {
        match self {
            Download::Ready(values) => Ok(values),
            Download::Pending(gpu, pending) => {
                let bytes = gpu.finish_read(pending)?;
                // The bytes come from a mapped range without alignment guarantees.
                Ok(bytemuck::pod_collect_to_vec(&bytes))
            }
        }
    }
}

/// A tall array split by rows into tensors that each fit a binding: block `k` holds rows `k * block_rows ..`.
#[derive(Debug)]
pub struct RowBlocks<T: Element> {
    /// The blocks, none of them empty.
    pub blocks: Vec<Tensor<T>>,
    block_rows: usize,
    rows: usize,
    cols: usize,
}

impl<T: Element> RowBlocks<T> {
    /// Blocks of at most `max_block_rows` rows, fewer where the device's binding limit asks for it.
    pub fn empty(device: &Device, rows: usize, cols: usize, max_block_rows: usize) -> Self {
        let fits = (device.binding_limit() / (4 * cols.max(1) as u64)).max(1) as usize;
        let block_rows = fits.min(max_block_rows).min(rows).max(1);
        let blocks = (0..rows)
            .step_by(block_rows)
            .map(|start| Tensor::empty(device, block_rows.min(rows - start), cols))
            .collect();
        Self { blocks, block_rows, rows, cols }
    }

    /// Takes blocks of `block_rows` rows each, the last of them perhaps of fewer.
    ///
    /// # Panics
    /// When there are none, or when they have other rows or different columns.
    pub fn from_blocks(blocks: Vec<Tensor<T>>, block_rows: usize) -> Self {
        let (last, full) = blocks.split_last().expect("at least one block");
        let cols = last.cols();
        assert!(full.iter().all(|block| (block.rows(), block.cols()) == (block_rows, cols)), "blocks of other shapes");
        assert!(last.rows() <= block_rows, "a last block of more rows than the others");
        let rows = full.len() * block_rows + last.rows();
        Self { blocks, block_rows, rows, cols }
    }

    /// Uploads a host array in as many blocks as the device's binding limit asks for.
    pub fn from_array(device: &Device, array: ArrayView2<'_, T>) -> Self {
        let mut rows = Self::empty(device, array.nrows(), array.ncols(), usize::MAX);
        let mut first = 0;
        for block in &mut rows.blocks {
            let last = first + block.rows();
            let part = array.slice(ndarray::s![first..last, ..]);
            block.upload(part.as_standard_layout().as_slice().unwrap_or_default());
            first = last;
        }
        rows
    }

    /// Copies all rows to a host array.
    ///
    /// # Errors
    /// A device that failed.
    pub fn to_array(&self) -> Result<Array2<T>, DeviceError> {
        Ok(array(self.rows, self.cols, self.download()?))
    }

    /// All rows on the host, row-major.
    ///
    /// # Errors
    /// A device that failed.
    pub fn download(&self) -> Result<Vec<T>, DeviceError> {
        let mut all = Vec::with_capacity(self.rows * self.cols);
        for block in &self.blocks {
            all.extend(block.download()?);
        }
        Ok(all)
    }

    /// No rows yet; blocks of exactly `block_rows` rows are to be appended.
    pub fn growing(cols: usize, block_rows: usize) -> Self {
        Self { blocks: Vec::new(), block_rows, rows: 0, cols }
    }

    /// Appends the rows of another array after the present ones.
    ///
    /// # Panics
    /// When columns or block sizes differ, or when the present last block is not full: row indices would be off.
    pub fn append(&mut self, more: Self) {
        assert_eq!((self.cols, self.block_rows), (more.cols, more.block_rows), "appended blocks of another shape");
        assert_eq!(self.rows % self.block_rows, 0, "rows appended after a block that is not full");
        self.rows += more.rows;
        self.blocks.extend(more.blocks);
    }

    /// Gives the number of rows of all blocks.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Gives the number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Rows of every block but perhaps the last.
    pub fn block_rows(&self) -> usize {
        self.block_rows
    }
}

/// Row-major values as an array of their shape.
fn array<T: Element>(rows: usize, cols: usize, values: Vec<T>) -> Array2<T> {
    // As many values as rows x columns, by construction of both.
    Array2::from_shape_vec((rows, cols), values).unwrap_or_default()
}
