//! The training loop on a problem whose answer is known; the loss and gradient are made on the host, so that only the loop,
//! the store and the optimiser are on trial.

use crate::{devices, noise};
use rontgen::device::Device;
use rontgen::nn::training::Split;
use rontgen::nn::{BatchRows, Epoch, FitSettings, History, LossSlot, Objective, ParameterStore, Plateau, fit};
use rontgen::{InferError, Result};

const INPUTS: usize = 3;

/// y = w x with squared error; `poison` makes the loss of that training step NaN.
struct Line {
    store: ParameterStore,
    x: Vec<f32>,
    y: Vec<f32>,
    steps: usize,
    poison: Option<usize>,
    seen: Vec<u32>,
}

impl Line {
    fn new(device: &Device, rows: usize, noise_level: f32) -> Self {
        let x = noise(rows * INPUTS, 1);
        let scatter = noise(rows, 2);
        let y = (0..rows)
            .map(|r| 0.7 * x[r * 3] - 1.3 * x[r * 3 + 1] + 0.2 * x[r * 3 + 2] + noise_level * scatter[r])
            .collect();
        let store = ParameterStore::new(device, &[0.0; INPUTS]);
        Self { store, x, y, steps: 0, poison: None, seen: Vec::new() }
    }

    fn loss(&self, rows: &[u32]) -> (f32, [f32; INPUTS]) {
        let w = self.store.value.download().unwrap();
        let (mut loss, mut gradient) = (0.0, [0.0; INPUTS]);
        for &r in rows {
            let x = &self.x[r as usize * INPUTS..][..INPUTS];
            let error = x.iter().zip(&w).map(|(x, w)| x * w).sum::<f32>() - self.y[r as usize];
            loss += error * error;
            for (g, x) in gradient.iter_mut().zip(x) {
                *g += 2.0 * error * x / rows.len() as f32;
            }
        }
        (loss, gradient)
    }
}

fn put(LossSlot { losses, slot }: LossSlot<'_>, loss: f32) {
    let mut all = losses.download().unwrap();
    all[slot] = loss;
    losses.upload(&all);
}

impl Objective for Line {
    fn store(&mut self) -> &mut ParameterStore {
        &mut self.store
    }

    fn train_step(&mut self, _: &Device, rows: BatchRows<'_>, slot: LossSlot<'_>) {
        let BatchRows { index, start, n } = rows;
        let rows = index.download().unwrap()[start..start + n].to_vec();
        let (mut loss, gradient) = self.loss(&rows);
        if self.poison == Some(self.steps) {
            loss = f32::NAN;
        }
        self.steps += 1;
        self.seen.extend(rows);
        self.store.gradient.upload(&gradient);
        put(slot, loss);
    }

    fn validate(&mut self, _: &Device, rows: BatchRows<'_>, slot: LossSlot<'_>) {
        let BatchRows { index, start, n } = rows;
        let rows = index.download().unwrap()[start..start + n].to_vec();
        put(slot, self.loss(&rows).0);
    }
}

fn settings() -> FitSettings {
    FitSettings { batch: 64, max_epochs: 120, learning_rate: 0.05, clip: 10.0, seed: 3, ..Default::default() }
}

fn train(line: &mut Line, device: &Device, settings: &FitSettings) -> (History, Vec<Epoch>) {
    let mut epochs = Vec::new();
    let rows = line.y.len();
    let history = fit(device, line, rows, settings, &mut |epoch| {
        epochs.push(*epoch);
        Ok(())
    });
    (history.unwrap(), epochs)
}

#[test]
fn finds_a_known_map_and_repeats_itself() {
    for device in devices() {
        let mut line = Line::new(&device, 301, 0.0);
        let (history, epochs) = train(&mut line, &device, &settings());
        let w = line.store.value.download().unwrap();
        for (w, want) in w.iter().zip([0.7, -1.3, 0.2]) {
            assert!((w - want).abs() < 2e-3, "{w} for {want} on {}", device.name());
        }
        assert_eq!(epochs.len(), history.valid.len());
        assert!(history.best() < 1e-5 && history.best() == history.valid.iter().copied().fold(f64::INFINITY, f64::min));
        let mut again = Line::new(&device, 301, 0.0);
        assert_eq!(train(&mut again, &device, &settings()).0, history);
        assert_eq!(again.store.state().unwrap(), line.store.state().unwrap());
        let other = FitSettings { stream: 1, ..settings() };
        let mut third = Line::new(&device, 301, 0.0);
        assert_ne!(train(&mut third, &device, &other).0, history);
    }
}

/// The learning rate is far too large: the loss jumps about, and the weights must be those of the best epoch all the same.
#[test]
fn stops_early_with_the_best_weights() {
    for device in devices() {
        let mut line = Line::new(&device, 200, 1.0);
        let wild = FitSettings { learning_rate: 0.5, patience: 6, plateau: None, ..settings() };
        let (history, epochs) = train(&mut line, &device, &wild);
        assert_eq!(history.valid.len(), history.best_epoch + 1 + 6, "stopped at once when patience was used up");
        assert!(epochs.iter().all(|epoch| epoch.learning_rate == 0.5));
        let split = Split::new(200, 64, 0.1).unwrap();
        let seen: std::collections::BTreeSet<u32> = line.seen.iter().copied().collect();
        let held_out: Vec<u32> = (0..200).filter(|row| !seen.contains(row)).collect();
        assert_eq!(held_out.len(), split.valid_rows, "validation rows are never trained on, all others are");
        let loss = f64::from(line.loss(&held_out).0) / split.valid_rows as f64;
        assert!((loss / history.best() - 1.0).abs() < 1e-5, "{loss} against {}", history.best());
    }
}

#[test]
fn the_learning_rate_falls_on_a_plateau_to_its_floor() {
    let device = Device::cpu();
    let mut line = Line::new(&device, 200, 1.0);
    let plateau = Plateau { factor: 0.5, patience: 2, min_learning_rate: 0.01 };
    let (_, epochs) = train(
        &mut line,
        &device,
        &FitSettings { patience: 60, plateau: Some(plateau), learning_rate: 0.3, ..settings() },
    );
    assert!(epochs.windows(2).all(|pair| pair[1].learning_rate <= pair[0].learning_rate));
    assert_eq!(epochs.last().unwrap().learning_rate, 0.01);
}

/// A checkpoint between two fits: going on from the state is the same as going on from the store.
#[test]
fn resumes_bit_for_bit() {
    for device in devices() {
        let short = FitSettings { max_epochs: 7, ..settings() };
        let mut line = Line::new(&device, 120, 0.3);
        train(&mut line, &device, &short);
        let state = line.store.state().unwrap();
        let next = FitSettings { stream: 9, ..short };
        let mut resumed = Line::new(&device, 120, 0.3);
        resumed.store = ParameterStore::from_state(&device, &state).unwrap();
        let histories = (train(&mut line, &device, &next).0, train(&mut resumed, &device, &next).0);
        assert_eq!(histories.0, histories.1);
        assert_eq!(line.store.state().unwrap(), resumed.store.state().unwrap());
    }
}

#[test]
fn nan_and_interruption_end_the_fit() {
    for device in devices() {
        let mut line = Line::new(&device, 100, 0.1);
        line.poison = Some(3);
        let result = fit(&device, &mut line, 100, &settings(), &mut |_| Ok(()));
        assert!(matches!(result, Err(InferError::Device(_))), "{result:?}");

        let mut line = Line::new(&device, 100, 0.1);
        let result = fit(&device, &mut line, 100, &settings(), &mut |epoch| -> Result<(), InferError> {
            if epoch.epoch == 3 { Err(InferError::Interrupted) } else { Ok(()) }
        });
        assert!(matches!(result, Err(InferError::Interrupted)), "{result:?}");
    }
}

#[test]
fn splits_have_equal_batches_and_refuse_nonsense() {
    for rows in 4..400 {
        for batch in [2, 3, 32, 1024] {
            let split = Split::new(rows, batch, 0.1).unwrap();
            assert_eq!(split.train_rows + split.valid_rows, rows);
            assert!(split.train_batch <= batch && split.valid_batch <= batch && split.train_batch >= 1);
            assert!(split.train_rows - split.train_batch * split.train_batches < split.train_batches);
            assert_eq!(split.valid_rows, split.valid_batch * split.valid_batches);
        }
    }
    for (rows, batch, fraction) in [(3, 10, 0.1), (100, 1, 0.1), (100, 10, 0.0), (100, 10, 1.0), (100, 10, f64::NAN)] {
        assert!(matches!(Split::new(rows, batch, fraction), Err(InferError::Unfit(_))));
    }
}
