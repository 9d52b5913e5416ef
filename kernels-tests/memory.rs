//! Memory of a device and its failures: what is let go is free, and one failure ends what asked for it, nothing else.

use crate::own_devices;
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::gather::gather_block;

/// The first two numbers of the first row of `numbers`, by a kernel that binds all of it.
fn first(device: &Device, numbers: &Tensor<f32>) -> Tensor<f32> {
    let index = Tensor::from_slice(device, 1, 1, &[0u32]);
    let mut out = Tensor::zeros(device, 1, numbers.cols());
    gather_block(device, numbers, 0, &index, 0, &mut out);
    out
}

/// A cached bind group holds its buffers: it must go with the first of them, or tensors of ever new sizes fill the device.
#[test]
fn what_tensors_let_go_is_given_back_though_kernels_had_bound_it() {
    const MIB: usize = 1 << 20;
    for device in own_devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let mut most = 0;
        for round in 0..10 {
            // Twice as much as the pool keeps, of a size that was not there before.
            let size = (64 + round) * MIB / 4;
            let tensors: Vec<_> = (0..8).map(|_| Tensor::<f32>::empty(&device, size / 4, 4)).collect();
            for tensor in &tensors {
                first(&device, tensor);
            }
            drop(tensors);
            device.synchronize().unwrap();
            most = most.max(gpu.allocated_bytes());
            let Some(driver) = gpu.driver_bytes() else { continue };
            assert!(driver < 800 * MIB as u64, "round {round}: {} MiB held on {}", driver >> 20, device.name());
        }
        assert!(most < 300 * MIB as u64, "{} MiB taken when nothing is in use", most >> 20);
    }
}

#[test]
fn a_device_goes_on_after_what_was_too_large() {
    for device in own_devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let limit = gpu.limits().max_buffer_size;
        let Some(rows) = usize::try_from(limit / 16 + 1).ok().filter(|_| limit < 1 << 60) else { continue };
        for _ in 0..2 {
            let large = Tensor::<f32>::empty(&device, rows, 4);
            let out = first(&device, &large);
            match out.download() {
                Err(DeviceError::TooLarge { requested, available, .. }) => assert!(requested > available),
                other => panic!("{other:?} on {}", device.name()),
            }
            drop(large);
            let small = Tensor::from_slice(&device, 2, 4, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
            assert_eq!(first(&device, &small).download().unwrap(), [1.0, 2.0, 3.0, 4.0]);
            device.check().unwrap();
        }
    }
}
