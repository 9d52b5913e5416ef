//! Times of launches by the device's own clock.

use crate::own_devices;
use rontgen::device::{Device, Tensor};
use rontgen::kernels::random;
use std::time::Duration;

fn busy(device: &Device) -> (u64, Duration) {
    let kernels = device.profiler().kernels();
    (kernels.values().map(|used| used.launches).sum(), kernels.values().map(|used| used.busy).sum())
}

#[test]
fn launches_are_timed_while_asked_for_and_results_stay_the_same() {
    for device in own_devices() {
        let Device::Gpu(gpu) = &device else { continue };
        let draw = || {
            let mut numbers = Tensor::empty(&device, 300, 1000);
            // More launches than one set of queries holds.
            for stream in 0..1500 {
                let mut small = Tensor::empty(&device, 1, 8);
                random::fill_uniform(&device, 1, stream, 0, &mut small);
            }
            random::fill_uniform(&device, 1, 1, 0, &mut numbers);
            numbers.download().unwrap()
        };
        let plain = draw();
        assert_eq!(busy(&device).1, Duration::ZERO, "nobody asked");
        if !gpu.time_launches(true) {
            println!("{} has no timestamps", device.name());
            continue;
        }
        let (launched, _) = busy(&device);
        let timed = draw();
        device.synchronize().unwrap();
        let (launches, time) = busy(&device);
        assert_eq!(launches - launched, 1501);
        assert!(time > Duration::ZERO && time < Duration::from_secs(60), "{time:?}");
        assert!(gpu.time_launches(false));
        assert_eq!(draw(), timed);
        assert_eq!(busy(&device).1, time, "off again");
        assert_eq!(plain, timed);
        device.check().unwrap();
    }
}
