//! A lamp at rest on the axis: which way of its light ends where (Dauser et al. 2013, MNRAS 430, 1694; 2014, MNRAS 444, L100).
//!
//! Angles count from the way down to the hole. Light of the angle delta falls onto the disc at a radius that grows with it, so that one ray for
//! each radius of the grid, found by secants, tells all.

use super::{
    metric,
    radii::{BEYOND, RADII, Radii, slope},
    ray::{Ray, root},
};

/// Numbers of a lamp: for each radius of the grid the cosine of the angle whose light ends there, then for each the logarithm of what
/// [`illumination`] gives.
pub const LAMP: usize = 2 * RADII;

/// Computes what -d cos(delta)/dr is without gravity: h r / (r^2 + h^2)^1.5.
pub fn flat(height: f64, r: f64) -> f64 {
    height * r / (r * r + height * height).powf(1.5)
}

/// Cosine of the angle whose light ends at each radius.
fn cosines(spin: f64, height: f64, radii: impl Iterator<Item = f64>) -> Vec<f64> {
    let (mut place, mut gradient) = (f64::NAN, 1.0);
    let mut out = Vec::new();
    for r in radii {
        let wanted = r.ln();
        if place.is_nan() {
            place = (0.5 * (r / height).atan()).tan().ln();
        }
        let mut tried = [(0.0, 0.0); 2];
        let radius = |place: f64| {
            let u = Ray::from_axis(spin, height, 2.0 * place.exp().atan()).to_plane();
            let f = -u.max(1e-9).ln() - wanted;
            tried = [tried[1], (place, f)];
            f
        };
        place = root(place, gradient, 1e-11, radius);
        let found = (tried[1].1 - tried[0].1) / (tried[1].0 - tried[0].0);
        if found.is_finite() && found > 0.05 && tried[0] != (0.0, 0.0) {
            gradient = found;
        }
        // cos(2 atan t) = (1 - t^2)/(1 + t^2), of both signs without cancellation.
        out.push(-place.tanh());
    }
    out
}

/// Traces a lamp's light: [`LAMP`] numbers.
pub fn lamp(spin: f64, height: f64) -> Vec<f64> {
    let grid = Radii::new(spin);
    let places = (0..RADII + 2 * BEYOND).map(|k| grid.radius(k as f64 - BEYOND as f64));
    let all = cosines(spin, height, places);
    let mut out: Vec<f64> = all[BEYOND..BEYOND + RADII].to_vec();
    for k in BEYOND..BEYOND + RADII {
        let r = grid.radius((k - BEYOND) as f64);
        let by_radius = -slope(&[all[k - 2], all[k - 1]], &[all[k + 1], all[k + 2]]) / grid.per_node(r);
        out.push((by_radius.max(1e-300) / flat(height, r)).ln());
    }
    out
}

/// Computes the emissivity of a disc from -d cos(delta)/dr at a radius: energy received per area and time in the disc's frame if the lamp's
/// spectrum is a power law of photon index `index` (sin(delta) ddelta/dr g^index over the ring's area; Dauser et al. 2013, equation 14). In
/// flat space and far away it is h / (2 pi (r^2 + h^2)^1.5).
pub fn emissivity(spin: f64, height: f64, r: f64, by_radius: f64, index: f64) -> f64 {
    let shift = metric::orbit_time(spin, r) / metric::axis_time(spin, height);
    by_radius / metric::ring_area(spin, r) * shift.powf(index)
}

/// Where the photons of a lamp go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fractions {
    /// Into the hole, or inside of the disc's inner edge.
    pub hole: f64,
    /// Onto the disc.
    pub disc: f64,
    /// To infinity, as an observer counts them.
    pub infinity: f64,
}

impl Fractions {
    /// Computes them for a disc between two radii.
    pub fn new(spin: f64, height: f64, inner: f64, outer: f64) -> Self {
        let [edge, end, far] = [outer, inner, super::INFINITY]
            .map(|r| cosines(spin, height, std::iter::once(r)).first().copied().unwrap_or(0.0));
        // Light that starts downwards does not count as that of infinity, wherever it ends.
        Self { hole: 0.5 * (1.0 - end), disc: 0.5 * (end - edge), infinity: 0.5 * (1.0 + far.min(0.0)) }
    }

    /// Returns the reflection fraction: photons on the disc per photon at infinity.
    pub fn reflection(&self) -> f64 {
        self.disc / self.infinity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_those_of_other_programs() {
        // f_bh, f_ad, f_inf, R_f of 40 000 rays; Rin = ISCO, Rout = 400.
        let known = [
            (3.0, 0.0, [0.688215, 0.142230, 0.168551, 0.843840]),
            (3.0, 0.5, [0.592918, 0.228364, 0.177660, 1.285403]),
            (3.0, 0.9, [0.342119, 0.460333, 0.196378, 2.344114]),
            (3.0, 0.998, [0.139329, 0.657336, 0.202131, 3.252027]),
            (5.0, 0.0, [0.373109, 0.321435, 0.302742, 1.061746]),
            (5.0, 0.998, [0.051341, 0.635403, 0.310472, 2.046571]),
            (6.0, 0.5, [0.193334, 0.465543, 0.337591, 1.379014]),
            (6.0, 0.9, [0.084302, 0.572007, 0.340132, 1.681723]),
            (6.0, 0.998, [0.035774, 0.619700, 0.340958, 1.817524]),
            (10.0, 0.0, [0.119352, 0.469234, 0.404773, 1.159253]),
            (10.0, 0.998, [0.012916, 0.574657, 0.405771, 1.416211]),
            (20.0, 0.9, [0.007100, 0.518969, 0.459682, 1.128974]),
            (20.0, 0.998, [0.003224, 0.522820, 0.459705, 1.137295]),
        ];
        for (height, spin, want) in known {
            let f = Fractions::new(spin, height, metric::isco(spin), 400.0);
            for (found, want) in [f.hole, f.disc, f.infinity, f.reflection()].iter().zip(want) {
                println!("{height} {spin}: {found:.6} {want}");
                assert!((found - want).abs() < 1e-4 * want.max(0.1), "{height} {spin}: {found} for {want}");
            }
        }
        // relxill's own table, where its interpolation in height is good enough.
        for (height, spin, want) in [(30.0, 0.998, 1.029728), (36.7426, 0.975368, 0.980522)] {
            let found = Fractions::new(spin, height, metric::isco(spin), 400.0).reflection();
            assert!((found / want - 1.0).abs() < 1e-4, "{height} {spin}: {found} for {want}");
        }
    }

    #[test]
    fn emissivities_are_those_of_other_rays() {
        // a = 0.998, h = 6, photon index 2: numbers of an independent program.
        let known = [
            (1.3, 5.28442e-2),
            (1.5, 3.08720e-2),
            (2.0, 1.54574e-2),
            (3.0, 7.72901e-3),
            (4.0, 4.79873e-3),
            (6.0, 2.15154e-3),
            (8.0, 1.07414e-3),
            (10.0, 5.88735e-4),
            (15.0, 1.80375e-4),
            (20.0, 7.51188e-5),
            (30.0, 2.15040e-5),
            (50.0, 4.44860e-6),
            (100.0, 5.33598e-7),
            (200.0, 6.51585e-8),
            (400.0, 8.04490e-9),
        ];
        let (spin, height) = (0.998, 6.0);
        let (grid, lamp) = (Radii::new(spin), lamp(spin, height));
        for (r, want) in known {
            let place = grid.place(r);
            let k = (place as usize).clamp(1, RADII - 3);
            let t = place - k as f64;
            let f: [f64; 4] = std::array::from_fn(|i| lamp[RADII + k - 1 + i]);
            let cubic = f[1]
                + 0.5
                    * t
                    * (f[2] - f[0]
                        + t * (2.0 * f[0] - 5.0 * f[1] + 4.0 * f[2] - f[3] + t * (3.0 * (f[1] - f[2]) + f[3] - f[0])));
            let found = emissivity(spin, height, r, cubic.exp() * flat(height, r), 2.0);
            println!("{r}: {found:.6e} {want:.6e} {:.1e}", found / want - 1.0);
            assert!((found / want - 1.0).abs() < 1e-3, "{r}: {found:e} for {want:e}");
        }
    }
}
