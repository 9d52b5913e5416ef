//! Products on cooperative matrices, where an adapter was opened with them; nowhere else may they be used.

use crate::devices;
use rontgen::device::Device;
use rontgen::kernels::gemm_half;

#[test]
fn adapters_pass_their_own_test_or_are_refused() {
    for device in devices() {
        let found = gemm_half::accepted(&device).unwrap();
        match &device {
            Device::Gpu(gpu) if gpu.cooperative() => assert_eq!(found, None, "{}", device.name()),
            _ => assert!(found.is_some_and(|why| why.contains("cooperative")), "{}", device.name()),
        }
        // Off unless allowed by name.
        if std::env::var("RONTGEN_COOPERATIVE_MATRIX").is_err() {
            assert!(!matches!(&device, Device::Gpu(gpu) if gpu.cooperative()));
        }
    }
}
