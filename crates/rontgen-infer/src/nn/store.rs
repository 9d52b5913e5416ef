//! All parameters of one network in one flat vector, with gradient, Adam's moments and snapshots, all on the device.
//!
//! Layers refer to their weights by offset, so that the optimiser, the clipping norm and a snapshot are single launches.

use super::Record;
use crate::device::{Device, DeviceError, Tensor};
use crate::kernels::adam::{self, AdamSettings, AdamTensors, PARTIALS, STATE};
use crate::kernels::rescale::{self, Block, Scales, Side};
use crate::{InferError, Result};

/// Snapshots that a store can hold; the training loop needs three (best, awaited, newest).
pub const SNAPSHOTS: usize = 3;

/// This holds the parameters of one network, n numbers in one flat vector, with gradient, optimiser and snapshots on the device.
#[derive(Debug)]
pub struct ParameterStore {
    /// Values, 1 x n; open to layers.
    pub value: Tensor<f32>,
    /// Gradient of the loss, 1 x n; open to layers.
    pub gradient: Tensor<f32>,
    first: Tensor<f32>,
    second: Tensor<f32>,
    partial: Tensor<f32>,
    state: Tensor<f32>,
    snapshots: [Option<Tensor<f32>>; SNAPSHOTS],
    step: u64,
    device: Device,
}

/// A checkpoint keeps this of a store: with it, training goes on bit for bit as if it had never stopped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoreState {
    /// Values, n.
    pub value: Vec<f32>,
    /// Adam's first moments, n.
    pub first: Vec<f32>,
    /// Adam's second moments, n.
    pub second: Vec<f32>,
    /// Optimiser steps so far.
    pub step: u64,
}

impl StoreState {
    /// Adds the state to a record, under names that begin with `name`.
    pub fn put(self, record: Record<'static>, name: &str) -> Record<'static> {
        record
            .put_f32(&format!("{name}.value"), self.value)
            .put_f32(&format!("{name}.first"), self.first)
            .put_f32(&format!("{name}.second"), self.second)
            .put_u64(&format!("{name}.step"), vec![self.step])
    }

    /// Takes the state out of a record that holds it under names that begin with `name`.
    ///
    /// # Errors
    /// [`crate::nn::RecordError`] where there is none.
    pub fn take(record: &mut Record<'static>, name: &str) -> Result<StoreState> {
        Ok(StoreState {
            value: record.take_f32(&format!("{name}.value"))?,
            first: record.take_f32(&format!("{name}.first"))?,
            second: record.take_f32(&format!("{name}.second"))?,
            step: record
                .u64(&format!("{name}.step"))?
                .first()
                .copied()
                .ok_or_else(|| InferError::Unfit(format!("{name:?} in the checkpoint does not fit this run")))?,
        })
    }
}

/// See [`ParameterStore::parts`].
#[derive(Debug)]
pub(crate) struct StoreParts<'a> {
    pub value: &'a mut Tensor<f32>,
    pub gradient: &'a mut Tensor<f32>,
    pub first: &'a mut Tensor<f32>,
    pub second: &'a mut Tensor<f32>,
    pub state: &'a mut Tensor<f32>,
    /// Steps before those to come.
    pub before: u64,
}

impl ParameterStore {
    /// Makes a store with these initial values, no gradient and a fresh optimiser.
    pub fn new(device: &Device, initial: &[f32]) -> Self {
        let n = initial.len();
        Self {
            value: Tensor::from_slice(device, 1, n, initial),
            gradient: Tensor::zeros(device, 1, n),
            first: Tensor::zeros(device, 1, n),
            second: Tensor::zeros(device, 1, n),
            partial: Tensor::zeros(device, 1, PARTIALS),
            state: Tensor::zeros(device, 1, STATE),
            snapshots: [const { None }; SNAPSHOTS],
            step: 0,
            device: device.clone(),
        }
    }

    /// Makes a store as a checkpoint left it. Returns `None` when the vectors' lengths differ.
    pub fn from_state(device: &Device, state: &StoreState) -> Option<Self> {
        let n = state.value.len();
        if state.first.len() != n || state.second.len() != n {
            return None;
        }
        let mut store = Self::new(device, &state.value);
        store.first.upload(&state.first);
        store.second.upload(&state.second);
        store.step = state.step;
        Some(store)
    }

    /// Downloads everything that a checkpoint needs.
    pub fn state(&self) -> Result<StoreState, DeviceError> {
        let (value, first) = (self.value.download_later(), self.first.download_later());
        let second = self.second.download_later();
        Ok(StoreState { value: value.wait()?, first: first.wait()?, second: second.wait()?, step: self.step })
    }

    /// Returns the number of parameters, n.
    pub fn len(&self) -> usize {
        self.value.len()
    }

    /// Returns whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.value.is_empty()
    }

    /// Returns the number of optimiser steps so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Returns the device that holds it.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Forgets moments and step: the optimiser starts afresh from the present values.
    pub fn reset_optimiser(&mut self) {
        adam::clear(&self.device, &mut self.first);
        adam::clear(&self.device, &mut self.second);
        self.step = 0;
    }

    /// Sets the gradient to zero.
    pub fn zero_gradient(&mut self) {
        adam::clear(&self.device, &mut self.gradient);
    }

    /// Makes one Adam step along the present gradient. A gradient that is not finite raises the device's status word and changes nothing;
    /// [`ParameterStore::norm_and_faults`] counts how often.
    pub fn adam_step(&mut self, settings: &AdamSettings) {
        self.step += 1;
        let tensors = AdamTensors {
            gradient: &self.gradient,
            value: &mut self.value,
            first: &mut self.first,
            second: &mut self.second,
            partial: &mut self.partial,
            state: &mut self.state,
        };
        adam::adam(&self.device, settings, self.step, tensors);
    }

    /// Carries the weights of a layer next to standardised numbers over to new statistics, and the optimiser's moments with them.
    pub fn rescale(&mut self, scales: Scales<'_>, side: Side, block: Block) {
        let Self { value, first, second, device, .. } = self;
        rescale::rescale(device, scales, side, block, value, first, second);
    }

    /// What a launch that makes steps by itself works on; [`ParameterStore::advance`] is to be told how many it made.
    pub(crate) fn parts(&mut self) -> StoreParts<'_> {
        let before = self.step;
        StoreParts {
            value: &mut self.value,
            gradient: &mut self.gradient,
            first: &mut self.first,
            second: &mut self.second,
            state: &mut self.state,
            before,
        }
    }

    /// Counts steps that were made with [`ParameterStore::parts`].
    pub(crate) fn advance(&mut self, steps: u64) {
        self.step += steps;
    }

    /// Returns `[gradient norm of the last step, clipping factor, steps refused so far, -]`, on the device.
    pub fn norm_and_faults(&self) -> &Tensor<f32> {
        &self.state
    }

    /// Copies the values aside, on the device.
    ///
    /// # Panics
    /// When `slot` is not below [`SNAPSHOTS`].
    pub fn snapshot(&mut self, slot: usize) {
        let device = &self.device;
        let kept = self.snapshots[slot].get_or_insert_with(|| Tensor::empty(device, 1, self.value.len()));
        copy(&self.device, &self.value, kept);
    }

    /// Copies a snapshot back into the values; an empty slot changes nothing. Moments and step stay those of the last step.
    ///
    /// # Panics
    /// When `slot` is not below [`SNAPSHOTS`].
    pub fn restore(&mut self, slot: usize) {
        if let Some(kept) = &self.snapshots[slot] {
            copy(&self.device, kept, &mut self.value);
        }
    }

    /// Gives the snapshots' memory back.
    pub fn drop_snapshots(&mut self) {
        self.snapshots = [const { None }; SNAPSHOTS];
    }
}

/// Copies a whole tensor onto another of the same length, on the device.
pub(crate) fn copy(device: &Device, from: &Tensor<f32>, to: &mut Tensor<f32>) {
    assert_eq!(from.len(), to.len(), "copy between tensors of different lengths");
    match device {
        Device::Cpu(_) => to.cpu_mut().copy_from_slice(from.cpu()),
        Device::Gpu(gpu) => gpu.copy(from.gpu(), to.gpu()),
    }
}
