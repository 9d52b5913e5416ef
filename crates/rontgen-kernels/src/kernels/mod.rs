//! One file per kernel family: the typed launch and its CPU twin. The shader of the same name is in `shaders/`, the tests in
//! `kernels-tests/`.
//!
//! A launch takes tensors and returns nothing; what fails is kept by the device (see [`crate::device`]). A CPU twin is a plain
//! function on slices, so that stages may run it on a tile that stays in cache.

pub mod activation;
pub mod adam;
pub mod background_draw;
pub mod background_stat;
pub mod batchnorm;
pub mod compact;
pub mod cstat;
pub mod cstat_each;
pub mod flow;
pub mod fold;
pub mod gain;
pub mod gather;
pub mod gemm;
pub mod gemm_half;
pub mod loss;
pub mod matrix;
pub mod mixture;
pub mod mlp;
pub mod model;
pub mod model_fold;
pub mod moments;
pub mod parameters;
pub mod poisson;
mod product;
pub mod random;
pub mod range;
pub mod reduce;
pub mod rescale;
pub mod rows;
pub mod shuffle;
pub mod spectral;
pub mod spline;
pub mod stabilize;
pub mod standardize;
pub mod tile;
pub mod truncate;
pub mod unbounded;
pub mod vector;

use crate::device::Kernel;

/// Every kernel that is the same for all models and flows and stays within WebGPU's default limits, for the checks of portability.
pub fn every_kernel() -> Vec<Kernel> {
    [
        activation::kernels(),
        adam::kernels(),
        background_draw::kernels(),
        background_stat::kernels(),
        batchnorm::kernels(),
        compact::kernels(),
        cstat::kernels(),
        cstat_each::kernels(),
        fold::kernels(),
        gain::kernels(),
        gather::kernels(),
        gemm::kernels(),
        loss::kernels(),
        mixture::kernels(),
        mlp::kernels(),
        moments::kernels(),
        parameters::kernels(),
        poisson::kernels(),
        random::kernels(),
        range::kernels(),
        reduce::kernels(),
        rescale::kernels(),
        rows::kernels(),
        shuffle::kernels(),
        spectral::kernels(),
        spline::kernels(),
        stabilize::kernels(),
        standardize::kernels(),
        truncate::kernels(),
        unbounded::kernels(),
    ]
    .concat()
}
