//! What follows from a flow's shape alone: which hidden units are computed together, and what each block of them sees.

use super::panel::BLOCK;
use super::shape::{DenseAt, FlowShape};

/// Hidden units that are computed together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
    pub start: usize,
    pub len: usize,
    /// The first unit of the next layer that any of them reaches: masked products before it are not computed.
    pub reaches: usize,
    /// Units of the layer before that any of them sees.
    pub seen: usize,
    /// Parameters, by order, that any of them sees.
    pub parameters: usize,
}

/// Parameters whose shift and log-scale are computed together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outputs {
    /// Columns of the last layer: the shifts, then the log-scales.
    pub columns: Vec<usize>,
    /// Hidden units that any of them sees.
    pub seen: usize,
}

/// One transform's order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    /// The parameter of each order.
    pub parameter: Vec<usize>,
    pub outputs: Vec<Outputs>,
}

/// A [`FlowShape`] made ready for loops over panels.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub p: usize,
    pub c: usize,
    pub h: usize,
    pub layers: usize,
    /// Weights of one transform.
    pub len: usize,
    pub dense: Vec<DenseAt>,
    pub blocks: Vec<Block>,
    /// The blocks of each degree alone.
    pub of_degree: Vec<Vec<Block>>,
    /// Units that the output of a parameter of each order sees.
    pub ends: Vec<usize>,
    /// The first unit that unit `i` of the layer before reaches.
    pub reaches: Vec<usize>,
    pub orders: Vec<Order>,
}

impl Plan {
    pub fn new(shape: &FlowShape) -> Self {
        let (p, h) = (shape.parameters, shape.hidden);
        let degrees: Vec<usize> = (0..p).flat_map(|m| shape.group(m).map(move |_| m)).collect();
        let block = |start: usize, end: usize| {
            let (first, last) = (degrees[start], degrees[end - 1]);
            let len = end - start;
            Block { start, len, reaches: shape.group(first).start, seen: shape.group(last).end, parameters: last }
        };
        let cut = |start: usize, end: usize| {
            (start..end).step_by(BLOCK).map(|from| block(from, (from + BLOCK).min(end))).collect::<Vec<_>>()
        };
        let of_degree = (0..p).map(|m| shape.group(m)).map(|group| cut(group.start, group.end)).collect();
        let orders = shape.orders.iter().map(|order| {
            let parameter: Vec<usize> =
                (0..p).filter_map(|degree| order.iter().position(|&o| o as usize == degree)).collect();
            let outputs = (0..p).step_by(BLOCK / 2).map(|first| {
                let chosen = &parameter[first..(first + BLOCK / 2).min(p)];
                let columns = chosen.iter().copied().chain(chosen.iter().map(|i| p + i)).collect();
                Outputs { columns, seen: shape.group(first + chosen.len() - 1).end }
            });
            let outputs = outputs.collect();
            Order { parameter, outputs }
        });
        Self {
            p,
            c: shape.context,
            h,
            layers: shape.layers,
            len: shape.transform_len(),
            dense: shape.dense(),
            blocks: cut(0, h),
            of_degree,
            ends: (0..p).map(|m| shape.group(m).end).collect(),
            reaches: degrees.iter().map(|&degree| shape.group(degree).start).collect(),
            orders: orders.collect(),
        }
    }

    pub fn transforms(&self) -> usize {
        self.orders.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_weight_that_the_mask_allows() {
        for (p, h) in [(1, 5), (2, 100), (5, 64), (7, 16), (10, 12), (9, 7)] {
            let shape = FlowShape::new(p, 3, h, 2, 3, 1);
            let plan = Plan::new(&shape);
            let mask = shape.mask();
            let [at_x, square, out] = plan.dense[..] else { panic!("three layers") };
            for (k, order) in plan.orders.iter().enumerate() {
                let allowed = |offset: usize, row: usize, col: usize, cols: usize| {
                    mask[k * plan.len + offset + row * cols + col] != 0.0
                };
                for block in &plan.blocks {
                    for unit in block.start..block.start + block.len {
                        for other in 0..h {
                            assert!(other < block.seen || !allowed(square.offset, other, unit, h));
                            assert!(other >= block.reaches || !allowed(square.offset, unit, other, h));
                            assert!(other >= plan.reaches[unit] || !allowed(square.offset, unit, other, h));
                        }
                        for (at, &i) in order.parameter.iter().enumerate() {
                            assert!(at < block.parameters || !allowed(at_x.offset, i, unit, h));
                        }
                    }
                }
                let mut columns: Vec<usize> = order.outputs.iter().flat_map(|o| o.columns.clone()).collect();
                for outputs in &order.outputs {
                    for (&column, unit) in outputs.columns.iter().flat_map(|c| (0..h).map(move |unit| (c, unit))) {
                        assert!(unit < outputs.seen || !allowed(out.offset, unit, column, 2 * p));
                    }
                }
                columns.sort();
                assert_eq!(columns, (0..2 * p).collect::<Vec<_>>());
            }
            let units: Vec<usize> = plan.of_degree.iter().flatten().flat_map(|b| b.start..b.start + b.len).collect();
            assert_eq!(units, (0..h).collect::<Vec<_>>());
        }
    }
}
