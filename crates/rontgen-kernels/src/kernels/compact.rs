//! Stream compaction: kept rows move together, in order, and a running total stays on the device.

use crate::device::{Device, Element, Kernel, Tensor, grid_1d};

static SCAN: Kernel = Kernel::new("compact.scan", include_str!("../../../../shaders/compact_scan.wgsl"));
static SCATTER: Kernel = Kernel::new("compact.scatter", include_str!("../../../../shaders/compact_scatter.wgsl"));

/// Every variant, for the shader checks.
pub fn kernels() -> Vec<Kernel> {
    vec![SCAN.clone(), SCATTER.clone()]
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    rows: u32,
    cols: u32,
    capacity: u32,
}

/// Rank of a row that is dropped.
pub const DROPPED: u32 = u32::MAX;

/// `rank[r]` = place of row `r` among those with `keep[r] != 0`, counted on from `total[0]`; [`DROPPED`] for the others.
/// `total[0]` grows by the number kept.
pub fn scan(device: &Device, keep: &Tensor<u32>, rank: &mut Tensor<u32>, total: &mut Tensor<u32>) {
    assert_eq!(keep.len(), rank.len(), "compact: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("compact.scan", || {
            let next = &mut total.cpu_mut()[0];
            for (rank, keep) in rank.cpu_mut().iter_mut().zip(keep.cpu()) {
                if *keep == 0 {
                    *rank = DROPPED;
                } else {
                    *rank = *next;
                    *next += 1;
                }
            }
        }),
        Device::Gpu(gpu) => {
            let launch = Launch { rows: keep.len() as u32, cols: 1, capacity: 0 };
            gpu.dispatch(&SCAN, &launch, &[keep.gpu(), rank.gpu(), total.gpu()], [1, 1, 1]);
        }
    }
}

/// Copies every row of `source` with a rank below `out.rows()` to the row of that rank in `out`.
pub fn scatter<T: Element>(device: &Device, rank: &Tensor<u32>, source: &Tensor<T>, out: &mut Tensor<T>) {
    assert_eq!((rank.len(), source.cols()), (source.rows(), out.cols()), "compact: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("compact.scatter", || {
            let (cols, capacity) = (source.cols(), out.rows());
            for (row, &rank) in source.cpu().chunks_exact(cols).zip(rank.cpu()) {
                if (rank as usize) < capacity {
                    out.cpu_mut()[rank as usize * cols..][..cols].copy_from_slice(row);
                }
            }
        }),
        Device::Gpu(gpu) => {
            let (rows, cols) = (source.rows() as u32, source.cols() as u32);
            let launch = Launch { rows, cols, capacity: out.rows() as u32 };
            gpu.dispatch(&SCATTER, &launch, &[rank.gpu(), source.gpu(), out.gpu()], grid_1d(source.len(), 256));
        }
    }
}
