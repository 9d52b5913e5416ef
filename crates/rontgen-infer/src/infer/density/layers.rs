//! The weights of a composed density, layer by layer.

use super::Composed;
use crate::nn::Named;

impl Composed {
    /// The layers of every conditioner: `flows.0.transforms.K.layers.L`. Weights that masks forbid are 0.
    pub fn layers(&self, weights: &[f32]) -> Vec<Named> {
        let mut all = Vec::new();
        for (k, conditioner) in self.conditioners.iter().enumerate() {
            for (l, at) in conditioner.dense().iter().enumerate() {
                let bias = &weights[at.bias()..][..at.cols];
                let name = format!("flows.0.transforms.{k}.layers.{l}");
                all.extend(Named::dense(&name, &weights[at.offset..], at.cols, [at.cols, at.rows], Some(bias)));
            }
        }
        all
    }

    /// Place of every site in the order of each transform.
    pub fn site_orders(&self) -> Vec<Vec<u32>> {
        self.conditioners.iter().map(|conditioner| conditioner.order.clone()).collect()
    }

    /// Whether the first layer takes the parameters before the context; else it takes the context alone.
    pub fn sees_parameters(&self) -> bool {
        self.conditioners.first().is_some_and(|first| first.inputs > 0)
    }
}
