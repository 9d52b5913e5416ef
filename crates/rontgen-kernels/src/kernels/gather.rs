//! Gather: rows of a tall, blocked array picked by an index (minibatches, shuffles, reused rounds).

use crate::device::{Device, Element, Kernel, RowBlocks, Tensor, grid_1d};
use rayon::prelude::*;

static GATHER: Kernel = Kernel::new("gather", include_str!("../../../../shaders/gather.wgsl"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    vec![GATHER.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    first: u32,
    block_rows: u32,
    cols: u32,
    out_rows: u32,
    index_start: u32,
}

/// `out[r] = source[index[index_start + r]]` for every row of `out` (any 4-byte element, same columns).
///
/// Indices beyond the source leave their row of `out` as it was.
pub fn gather<T: Element>(
    device: &Device,
    source: &RowBlocks<T>,
    index: &Tensor<u32>,
    index_start: usize,
    out: &mut Tensor<T>,
) {
    for (k, block) in source.blocks.iter().enumerate() {
        gather_block(device, block, k * source.block_rows(), index, index_start, out);
    }
}

/// Gathers as [`gather`] does, from one tensor that holds the rows `first ..` of the whole.
pub fn gather_block<T: Element>(
    device: &Device,
    block: &Tensor<T>,
    first: usize,
    index: &Tensor<u32>,
    index_start: usize,
    out: &mut Tensor<T>,
) {
    assert_eq!(block.cols(), out.cols(), "gather: columns of source and result");
    assert!(index_start + out.rows() <= index.len(), "gather: more rows than indices");
    match device {
        Device::Cpu(cpu) => cpu.run("gather", || {
            let cols = out.cols();
            twin(block.cpu(), first, cols, &index.cpu()[index_start..], out.cpu_mut());
        }),
        Device::Gpu(gpu) => {
            let launch = Launch {
                first: first as u32,
                block_rows: block.rows() as u32,
                cols: out.cols() as u32,
                out_rows: out.rows() as u32,
                index_start: index_start as u32,
            };
            gpu.dispatch(&GATHER, &launch, &[block.gpu(), index.gpu(), out.gpu()], grid_1d(out.len(), 256));
        }
    }
}

/// CPU twin on slices.
pub fn twin<T: Element>(block: &[T], first: usize, cols: usize, index: &[u32], out: &mut [T]) {
    if cols == 0 {
        return;
    }
    let rows = block.len() / cols;
    // A copy of a few tens of kilobytes is done before a second thread has woken.
    out.par_chunks_mut(cols).with_min_len((1 << 15) / cols + 1).zip(index).for_each(|(target, &row)| {
        let local = (row as usize).wrapping_sub(first);
        if local < rows {
            target.copy_from_slice(&block[local * cols..][..cols]);
        }
    });
}
