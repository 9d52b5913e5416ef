//! A density estimator as named arrays: all that its density takes, for other programs.

use super::estimator::{Density, Estimator};
use crate::Result;
use crate::nn::Named;

/// The arrays of an estimator, with what their names do not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// `theta.mean`, `theta.sd` (P): of the logits of the unit cube. `context.mean`, `context.sd` (C): of the summaries. Then
    /// `flows.F.transforms.K.layers.L.weight` and `.bias`, with tanh between layers. The last layer gives a block of numbers for each parameter: of a flow
    /// shift, raw log-scale and the numbers of the spline, of a mixture its numbers.
    pub arrays: Vec<Named>,
    /// Place of every parameter in the order of each transform, flow after flow; what draws need.
    pub orders: Vec<Vec<u32>>,
    /// Whether the first layers take the parameters before the context; else they take the context alone.
    pub sees_parameters: bool,
}

impl Estimator {
    /// Downloads the estimator as named arrays.
    ///
    /// # Errors
    /// A device that failed.
    pub fn layers(&self) -> Result<Layers> {
        let mut arrays = Vec::new();
        for (name, moments) in [("theta", &self.theta_moments), ("context", &self.summary_moments)] {
            let moments = moments.download()?;
            let (mean, sd) = moments.split_at(moments.len() / 2);
            arrays.extend([Named::vector(format!("{name}.mean"), mean), Named::vector(format!("{name}.sd"), sd)]);
        }
        let weights = self.store.value.download()?;
        let (orders, sees_parameters) = match &self.density {
            Density::Composed(composed) => {
                arrays.extend(composed.layers(&weights));
                (composed.site_orders(), composed.sees_parameters())
            }
            Density::Maf(tables) => {
                let shape = &tables.shape;
                let (p, dense) = (shape.parameters, shape.dense());
                let transforms = weights.chunks_exact(shape.transform_len().max(1)).enumerate();
                for (k, own) in transforms {
                    let (flow, k) = (k / shape.transforms(), k % shape.transforms());
                    for (l, at) in dense.iter().enumerate() {
                        let name = format!("flows.{flow}.transforms.{k}.layers.{l}");
                        let (weights, bias) = (&own[at.weights()], &own[at.bias()]);
                        let mut layer = Named::dense(&name, weights, at.cols, [at.cols, at.rows], Some(bias));
                        if l == shape.layers {
                            // All shifts, then all log-scales here; parameter by parameter everywhere else.
                            layer.iter_mut().for_each(|array| by_parameter(array, p));
                        }
                        arrays.extend(layer);
                    }
                }
                (tables.orders(), true)
            }
        };
        Ok(Layers { arrays, orders, sees_parameters })
    }
}

/// Rows `[shifts, log-scales]` become `[shift, log-scale]` of each parameter.
fn by_parameter(array: &mut Named, parameters: usize) {
    let row = array.values.len() / (2 * parameters).max(1);
    let rows = (0..parameters).flat_map(|i| [i, parameters + i]);
    array.values = rows.flat_map(|from| array.values[from * row..][..row].to_vec()).collect();
}
