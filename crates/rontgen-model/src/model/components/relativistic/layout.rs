//! How the rays of a box lie in the flat table of a program, for both the CPU and the shader.
//!
//! ```text
//! 0      spins, coordinate of the first, steps per unit (0: one spin)
//! 3      inclinations, the first (degrees), per degree
//! 6      laws of limb darkening, number of the first; where images begin; where lamps begin
//! 10     spins of lamps, coordinate of the first, steps per unit; 0 spins: no lamps
//! 13     heights, share of the first, steps per share
//! 16     least and largest spin, inclination (degrees), share of heights that the table is for
//! 22     where returning light begins, 0: there is none; numbers of a radius behind those of the images (of reflection)
//! HEADER sin^2 of 0 to 90 degrees at [`POINTS`] equal steps
//!        images: by spin (the largest first), inclination and radius L/(r sin i) of the reddest and bluest light, then for each law at each
//!        angle theta the image's area over r, both branches together, times the law
//!        lamps: by spin (the largest first) and height cosines of angles at each radius, then logarithms of the illumination
//!        returning light: how many photon indices, the least, the largest, then all of them; by spin and index for each ring that receives and each that
//!        emits the photons received over those emitted
//! ```

use super::sight::Sight;
use crate::model::relativity::Rays;
use rayon::prelude::*;
use rontgen_kerr::kerr::{
    FINENESS,
    image::{ANGLES, RING, Ring},
    lamp::LAMP,
    radii::RADII,
    returning::{PAIRS, RETURNING, boosts},
    table::{Axis, Bounds, Nodes},
};
use std::f64::consts::FRAC_PI_2;

pub(in crate::model::components) const HEADER: usize = 24;
/// Points of a piece of the line.
pub(in crate::model::components) const POINTS: usize = 59 * FINENESS + 1;
/// Photon indices that returning light is laid out for, at most; the shader has room for so many.
pub(super) const MOST_INDICES: usize = 18;
/// Laws of limb darkening.
pub(super) const LAWS: usize = 3;
/// Rounding that the bounds of a table allow for.
const SLACK: f64 = 1e-5;

/// The number of a law of limb darkening from a component's parameter.
pub(super) fn law(limb: f64) -> usize {
    limb.round().clamp(0.0, (LAWS - 1) as f64) as usize
}

/// Intensity over that along the normal... up to a factor: isotropic; Laor 1991, ApJ 376, 90; Haardt 1993, ApJ 413, 680.
fn intensity(law: usize, cosine: f64) -> f64 {
    match law {
        0 => 1.0,
        1 => 1.0 + 2.06 * cosine,
        _ => (1.0 / cosine.max(1e-6)).ln_1p(),
    }
}

/// Numbers of a radius for so many laws.
pub(super) fn ring_size(laws: usize) -> usize {
    2 + laws * ANGLES
}

/// Photon indices between which a polynomial goes: Chebyshev's nodes, or one.
fn indices(lo: f64, hi: f64) -> Vec<f64> {
    if hi - lo < 1e-9 {
        return vec![lo];
    }
    // Light of g = 2 changes by half with one index.
    let count = ((0.75 * (hi - lo)).ceil() as usize + 3).min(MOST_INDICES);
    let node = |k: usize| (std::f64::consts::PI * (k as f64 + 0.5) / count as f64).cos();
    (0..count).map(|k| 0.5 * (lo + hi) - 0.5 * (hi - lo) * node(k)).collect()
}

/// The numbers before the images; `places`: laws, the first of them, where images and where lamps begin.
pub(in crate::model::components) fn header(nodes: &Nodes, bounds: &Bounds, places: [f64; 4], more: usize) -> Vec<f64> {
    let axis = |axis: Axis| [axis.count as f64, axis.first, if axis.count > 1 { 1.0 / axis.step } else { 0.0 }];
    let mut out = Vec::with_capacity(HEADER + POINTS);
    out.extend(axis(nodes.spin));
    out.extend(axis(nodes.inclination));
    out.extend(places);
    out.extend(nodes.lamp.map_or([0.0; 6], |[spin, height]| {
        let ([a, b, c], [d, e, f]) = (axis(spin), axis(height));
        [a, b, c, d, e, f]
    }));
    for (lo, hi) in [bounds.spin, bounds.inclination, bounds.height.unwrap_or((0.0, 1.0))] {
        out.extend([lo - SLACK * lo.abs().max(1.0), hi + SLACK * hi.abs().max(1.0)]);
    }
    out.resize(HEADER - 1, 0.0);
    out.push(more as f64);
    out.extend((0..POINTS).map(|k| (FRAC_PI_2 * k as f64 / (POINTS - 1) as f64).sin().powi(2)));
    out
}

pub(super) fn lay_out(rays: &Rays, sight: &Sight) -> Vec<f64> {
    let (first, laws) = sight.laws;
    let images = HEADER + POINTS;
    let lamps = images + rays.images.len() / RING * ring_size(laws);
    let mut out = Vec::with_capacity(lamps + rays.lamps.len());
    out.extend(header(&rays.nodes, &sight.bounds, [laws, first, images, lamps].map(|x| x as f64), 0));
    for ring in rays.images.chunks_exact(RING).map(Ring) {
        out.extend(ring.ends());
        for law in first..first + laws {
            out.extend((0..ANGLES).map(|n| {
                (0..2).map(|branch| ring.area(n, branch) * intensity(law, ring.cosine(n, branch))).sum::<f64>()
            }));
        }
    }
    out.extend(rays.lamps.iter());
    let returning = out.len();
    debug_assert_eq!(returning, lamps + rays.lamps.len() / LAMP * LAMP);
    if let Some((lo, hi)) = sight.returning {
        out[22] = returning as f64;
        let indices = indices(lo, hi);
        out.extend([indices.len() as f64, lo - SLACK * lo.abs().max(1.0), hi + SLACK * hi.abs().max(1.0)]);
        out.extend(&indices);
        let all: Vec<Vec<f64>> = rays
            .returning
            .par_chunks_exact(RETURNING)
            .flat_map_iter(|numbers| indices.iter().map(|index| boosts(numbers, *index)))
            .collect();
        out.extend(all.iter().flatten());
        debug_assert_eq!(out.len(), returning + 3 + indices.len() + rays.nodes.spin.count * indices.len() * PAIRS);
    }
    debug_assert_eq!(rays.images.len() % (RADII * RING), 0);
    out
}
