use crate::{devices, noise};
use rontgen::device::{Device, DeviceError, Tensor};
use rontgen::kernels::adam::AdamSettings;
use rontgen::nn::{ParameterStore, StoreState};

/// The textbook in f64.
fn oracle(values: &[f32], gradients: &[Vec<f32>], settings: &AdamSettings) -> Vec<f64> {
    let mut w: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
    let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
    for (t, gradient) in gradients.iter().enumerate() {
        let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let factor = if settings.clip > 0.0 && norm > settings.clip { settings.clip / norm } else { 1.0 };
        for i in 0..w.len() {
            let g = f64::from(gradient[i]) * factor;
            m[i] = settings.beta1 * m[i] + (1.0 - settings.beta1) * g;
            v[i] = settings.beta2 * v[i] + (1.0 - settings.beta2) * g * g;
            let m_hat = m[i] / (1.0 - settings.beta1.powi(t as i32 + 1));
            let v_hat = v[i] / (1.0 - settings.beta2.powi(t as i32 + 1));
            w[i] -= settings.learning_rate * m_hat / (v_hat.sqrt() + settings.epsilon);
        }
    }
    w
}

/// Five steps, clipped and not, sizes around the chunks of both reductions.
#[test]
fn adam_follows_the_textbook() {
    for device in devices() {
        for (n, clip) in [(1, 0.0), (255, 0.5), (1000, 0.0), (70_001, 3.0)] {
            let settings = AdamSettings { learning_rate: 0.01, clip, ..Default::default() };
            let start = noise(n, 1);
            let gradients: Vec<Vec<f32>> = (0..5).map(|t| noise(n, 10 + t)).collect();
            let mut store = ParameterStore::new(&device, &start);
            for gradient in &gradients {
                store.gradient.upload(gradient);
                store.adam_step(&settings);
            }
            let norm = gradients[4].iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            let state = store.norm_and_faults().download().unwrap();
            assert!((f64::from(state[0]) / norm - 1.0).abs() < 1e-6, "norm {} against {norm}", state[0]);
            let got = store.value.download().unwrap();
            let pairs = got.iter().zip(oracle(&start, &gradients, &settings));
            let worst = pairs.map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-6, "{n} parameters, clip {clip}: {worst:e} on {}", device.name());
            device.check().unwrap();
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_refused_and_named() {
    // Devices of its own: the status word of a shared one would blame other tests.
    for shared in devices() {
        let device = if shared.is_gpu() { Device::open(&shared.name()).unwrap() } else { Device::cpu() };
        for bad in [f32::NAN, f32::INFINITY] {
            let start = noise(300, 1);
            let mut store = ParameterStore::new(&device, &start);
            let mut gradient = noise(300, 2);
            gradient[137] = bad;
            store.gradient.upload(&gradient);
            store.adam_step(&AdamSettings::default());
            assert_eq!(store.value.download().unwrap(), start);
            assert_eq!(store.norm_and_faults().download().unwrap()[2], 1.0);
            assert!(matches!(device.check(), Err(DeviceError::Fault { stage: "training", .. })));
            store.zero_gradient();
            assert_eq!(store.gradient.download().unwrap(), vec![0.0; 300]);
        }
    }
}

/// Two steps, a checkpoint, two more: the same bits as four steps; and a snapshot brings values back.
#[test]
fn state_resumes_bit_for_bit() {
    for device in devices() {
        let settings = AdamSettings { clip: 1.0, ..Default::default() };
        let advance = |store: &mut ParameterStore, steps: std::ops::Range<u32>| {
            for t in steps {
                store.gradient.upload(&noise(5000, 50 + t));
                store.adam_step(&settings);
            }
        };
        let mut straight = ParameterStore::new(&device, &noise(5000, 3));
        advance(&mut straight, 0..2);
        let state = straight.state().unwrap();
        straight.snapshot(1);
        advance(&mut straight, 2..4);
        let mut resumed = ParameterStore::from_state(&device, &state).unwrap();
        advance(&mut resumed, 2..4);
        assert_eq!(straight.state().unwrap(), resumed.state().unwrap());
        assert_eq!(resumed.step(), 4);
        straight.restore(1);
        assert_eq!(straight.value.download().unwrap(), state.value);
        straight.restore(0);
        assert_eq!(straight.value.download().unwrap(), state.value, "an empty slot changes nothing");
        let odd = StoreState { first: vec![0.0; 3], ..state };
        assert!(ParameterStore::from_state(&device, &odd).is_none());
    }
}

/// The tensors that only scratch is in must not be mistaken for parameters.
#[test]
fn clear_touches_one_tensor() {
    for device in devices() {
        let mut store = ParameterStore::new(&device, &[1.0, 2.0]);
        let other = Tensor::from_slice(&device, 1, 2, &[3.0f32, 4.0]);
        store.gradient.upload(&[5.0, 6.0]);
        store.zero_gradient();
        store.reset_optimiser();
        assert_eq!(store.value.download().unwrap(), [1.0, 2.0]);
        assert_eq!(store.gradient.download().unwrap(), [0.0, 0.0]);
        assert_eq!(other.download().unwrap(), [3.0, 4.0]);
    }
}
