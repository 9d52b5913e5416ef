//! Every kernel family on each device, against its CPU twin and an f64 oracle.

mod activation;
mod adam;
mod autoencoder;
mod background_draw;
mod background_stat;
mod batchnorm;
mod cstat;
mod cstat_each;
mod flow;
mod fold;
mod gain;
mod gather;
mod gemm;
mod gemm_fused;
mod gemm_half;
mod loss;
mod memory;
mod mixture;
mod mlp;
mod model;
mod model_fold;
mod parameters;
mod poisson;
mod portability;
mod random;
mod range;
mod reduce;
mod rescale;
mod rows;
mod shuffle;
mod spectral;
mod spline;
mod stabilize;
mod standardize;
mod timing;
mod training;

#[path = "../tests/common/fits.rs"]
mod fits;
#[path = "../tests/common/table.rs"]
mod table;
#[path = "../tests/common/xillver.rs"]
mod xillver;

use rontgen::device::Device;
use std::sync::OnceLock;

/// The CPU, and the GPU where there is one: a discrete or integrated adapter, else a software one. With
/// RONTGEN_REQUIRE_GPU=1 a missing adapter is a failure.
pub fn devices() -> Vec<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    std::iter::once(Device::cpu()).chain(GPU.get_or_init(open_gpu).clone()).collect()
}

/// As [`devices`], but nobody else's: tests that raise the status word must not raise it for the others.
pub fn own_devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(open_gpu()).collect()
}

fn open_gpu() -> Option<Device> {
    let found = Device::open("gpu").or_else(|_| Device::open("software"));
    match &found {
        Ok(device) => println!("GPU tests run on {} ({})", device.name(), device.backend()),
        Err(error) if std::env::var("RONTGEN_REQUIRE_GPU").is_ok_and(|value| value == "1") => {
            panic!("RONTGEN_REQUIRE_GPU=1, but no adapter: {error}")
        }
        Err(error) => println!("GPU tests are skipped: {error}"),
    }
    found.ok()
}

/// Reproducible numbers in [-1, 1) without a generator to set up.
pub fn noise(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| {
            let mut h = i.wrapping_mul(747_796_405).wrapping_add(seed.wrapping_mul(2_891_336_453)).wrapping_add(1);
            h = ((h >> ((h >> 28) + 4)) ^ h).wrapping_mul(277_803_737);
            ((h >> 22) ^ h) as f32 / 2_147_483_648.0 - 1.0
        })
        .collect()
}
