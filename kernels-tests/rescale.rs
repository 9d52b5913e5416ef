use crate::{devices, noise};
use rontgen::device::Tensor;
use rontgen::kernels::rescale::{Block, Scales, Side};
use rontgen::nn::{ParameterStore, StoreState};

/// Against f64, on a block within a larger store: weights, both moments, and nothing outside the block.
#[test]
fn rescaled_weights_belong_to_the_new_statistics() {
    for device in devices() {
        for (side, rows, cols, stride) in
            [(Side::Input, 7, 12, 12), (Side::Output, 300, 5, 8), (Side::Bias, 1, 5, 5), (Side::Input, 1, 1, 1)]
        {
            let bins = if side == Side::Input { rows } else { cols };
            let (offset, n) = (11, 11 + rows * stride + 3);
            let state = StoreState {
                value: noise(n, 1),
                first: noise(n, 2),
                second: noise(n, 3).iter().map(|x| x * x).collect(),
                step: 5,
            };
            let statistics = |seed| -> Vec<f32> {
                let sds = noise(bins, seed + 1).into_iter().map(|x| 0.01 + x * x);
                noise(bins, seed).into_iter().chain(sds).collect()
            };
            let (before, after) = (statistics(10), statistics(20));
            let mut store = ParameterStore::from_state(&device, &state).unwrap();
            let scales = [&before, &after].map(|scale| Tensor::from_slice(&device, 1, 2 * bins, scale));
            let scales = Scales { before: &scales[0], after: &scales[1] };
            store.rescale(scales, side, Block { offset, rows, cols, stride });
            let got = store.state().unwrap();
            assert_eq!(got.step, 5, "the step is not touched");
            for i in 0..n {
                let place = i.checked_sub(offset).map(|k| (k / stride, k % stride));
                let (factor, shift) = match place.filter(|&(row, column)| row < rows && column < cols) {
                    None => (1.0, 0.0),
                    Some((row, column)) => {
                        let j = if side == Side::Input { row } else { column };
                        let of = |scale: &[f32], at: usize| f64::from(scale[at]);
                        let ratio = of(&after, bins + j) / of(&before, bins + j);
                        let shift = (of(&before, j) - of(&after, j)) / of(&after, bins + j);
                        match side {
                            Side::Input => (ratio, 0.0),
                            Side::Output => (1.0 / ratio, 0.0),
                            Side::Bias => (1.0 / ratio, shift),
                        }
                    }
                };
                let wanted = [
                    (got.value[i], f64::from(state.value[i]) * factor + shift, shift.abs()),
                    (got.first[i], f64::from(state.first[i]) / factor, 0.0),
                    (got.second[i], f64::from(state.second[i]) / (factor * factor), 0.0),
                ];
                for (got, want, cancelled) in wanted {
                    // A few roundings of f32 (2.5 units in the last place for a GPU's division), before the shift cancels digits.
                    let allowed = 1e-6 * (want.abs() + 2.0 * cancelled);
                    assert!(
                        (f64::from(got) - want).abs() <= allowed,
                        "{side:?} {i} on {}: {got}, {want}",
                        device.name()
                    );
                }
            }
        }
    }
}
