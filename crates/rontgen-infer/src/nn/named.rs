//! Arrays of networks for other programs: the layout of their names and shapes is that of `torch.nn.Linear`.

/// An array of a network has a name and a shape; the last index runs fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Name, words with dots between them.
    pub name: String,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
    /// Numbers, as many as the product of the sizes.
    pub values: Vec<f32>,
}

impl Named {
    /// Names a vector.
    pub fn vector(name: impl Into<String>, values: &[f32]) -> Self {
        Self { name: name.into(), shape: vec![values.len()], values: values.to_vec() }
    }

    /// Names a dense layer `y = x W^T + b`: `NAME.weight` of `outputs` rows and `inputs` columns, and `NAME.bias`. The weights come as `inputs`
    /// rows of at least `outputs` columns, `stride` of them.
    pub fn dense(name: &str, weights: &[f32], stride: usize, shape: [usize; 2], bias: Option<&[f32]>) -> Vec<Self> {
        let [outputs, inputs] = shape;
        let of = |output: usize| (0..inputs).map(move |input| weights[input * stride + output]);
        let values: Vec<f32> = (0..outputs).flat_map(of).collect();
        let weight = Self { name: format!("{name}.weight"), shape: shape.to_vec(), values };
        let bias = bias.map(|bias| Self::vector(format!("{name}.bias"), &bias[..outputs]));
        std::iter::once(weight).chain(bias).collect()
    }
}
