// Shape and scratch layout of the fused training kernels; mirrors kernels::flow::fused. The scratch has, flow by flow, these regions
// of features, each for all rows of the batch:
//   inputs of the transforms and the base-space point, (K + 1) P | hidden activations, K L H | their gradients (before tanh), K L H
//   | e^-log-scale and raw log-scale, K 2P | gradients of the outputs, K 2P | context, C | ones, 1
const P = {{P}}u;
const H = {{H}}u;
const C = {{C}}u;
const LAYERS = {{LAYERS}}u;
const TRANSFORMS = {{TRANSFORMS}}u;
const FLOWS = {{FLOWS}}u;
const STRIDE = {{STRIDE}}u;
const IN = P + C;
const LOG_SCALE_LIMIT = 7.0;
const HALF_LN_TWO_PI = 0.9189385332046727;

const POINTS = 0u;
const HIDDEN = (TRANSFORMS + 1u) * P;
const D_HIDDEN = HIDDEN + TRANSFORMS * LAYERS * H;
const OUT = D_HIDDEN + TRANSFORMS * LAYERS * H;
const D_OUT = OUT + TRANSFORMS * 2u * P;
const CONTEXT = D_OUT + TRANSFORMS * 2u * P;
const ONES = CONTEXT + C;
const FEATURES = ONES + 1u;

// Offset of dense layer `layer` (0 .. LAYERS) within a transform, and its size.
fn dense(layer: u32) -> u32 {
    if layer == 0u { return 0u; }
    return (IN + 1u) * H + (layer - 1u) * (H + 1u) * H;
}
fn dense_rows(layer: u32) -> u32 { return select(H, IN, layer == 0u); }
fn dense_cols(layer: u32) -> u32 { return select(H, 2u * P, layer == LAYERS); }

// Hidden units are sorted by degree: those of degree m are group_start(m) .. group_start(m + 1).
fn group_start(degree: u32) -> u32 {
    return (degree * H + P - 1u) / P;
}
fn degree_of(unit: u32) -> u32 {
    return unit * P / H;
}
// Units of the layer before that unit `j` sees, and the first unit of the next layer that it reaches.
fn seen(j: u32) -> u32 { return group_start(degree_of(min(j, H - 1u)) + 1u); }
fn reaches(j: u32) -> u32 { return group_start(degree_of(min(j, H - 1u))); }
