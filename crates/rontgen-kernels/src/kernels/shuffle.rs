//! A pseudo-random order, made where it is used: no permutation travels from the host, epoch by epoch.
//!
//! A Feistel network is a bijection of 0 .. 4^k whatever its round function. Indices that land beyond the last row are sent
//! through it again until they land inside (at most four times on average), which leaves a bijection of the rows.

use super::random;
use crate::device::{Device, Kernel, Tensor, grid_1d};
use rayon::prelude::*;

static SHUFFLE: Kernel = Kernel::new("shuffle", include_str!("../../../../shaders/shuffle.wgsl"));

/// Every shader of this family, for the tests of portability.
pub fn kernels() -> Vec<Kernel> {
    vec![SHUFFLE.clone()]
}

#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Launch {
    keys: [u32; 8],
    rows: u32,
    half: u32,
    unused: [u32; 2],
}

/// Words of the draw counter that no fill and no Poisson draw uses.
const DRAW_SHUFFLE: u32 = 0xc000_0000;

impl Launch {
    fn new(rows: usize, seed: u64, turn: u32) -> Self {
        let [first, second] = [0, 1].map(|column| random::block(random::key(seed), 0, turn, column, DRAW_SHUFFLE));
        let mut keys = [0; 8];
        keys[..4].copy_from_slice(&first);
        keys[4..].copy_from_slice(&second);
        // 4^half >= rows.
        let bits = usize::BITS - rows.saturating_sub(1).leading_zeros();
        Self { keys, rows: rows as u32, half: bits.div_ceil(2).max(1), unused: [0; 2] }
    }

    fn permute(&self, index: u32) -> u32 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (index >> self.half, index & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half) | right
    }
}

/// Finaliser with good avalanche (Wellons' lowbias32).
fn mix(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// `out` = the numbers of `source` in an order that (`seed`, `turn`) fix, the same on every device.
///
/// # Panics
/// When lengths differ or there are 2^31 numbers or more.
pub fn shuffle(device: &Device, source: &Tensor<u32>, seed: u64, turn: u32, out: &mut Tensor<u32>) {
    let rows = source.len();
    assert!(rows == out.len() && rows < 1 << 31, "shuffle: {rows} numbers into {}", out.len());
    let launch = Launch::new(rows, seed, turn);
    match device {
        Device::Cpu(cpu) => cpu.run("shuffle", || {
            let source = source.cpu();
            out.cpu_mut().par_iter_mut().with_min_len(2048).enumerate().for_each(|(i, slot)| {
                let mut at = launch.permute(i as u32);
                while at >= launch.rows {
                    at = launch.permute(at);
                }
                *slot = source[at as usize];
            });
        }),
        Device::Gpu(gpu) => gpu.dispatch(&SHUFFLE, &launch, &[source.gpu(), out.gpu()], grid_1d(rows, 64)),
    }
}
