//! The image of a thin disc in the equatorial plane, ring by ring: transfer functions (Cunningham 1975, ApJ 202, 788; Speith, Riffert &
//! Ruder 1995, Comp. Phys. Comm. 88, 109), from rays found by their radius.
//!
//! Around the image of a ring points are found by secants along lines through the image that it would have without rotation. What lies between is their
//! Fourier series, and the image's area per radius is the determinant of the derivatives of the points' places along the rings
//! and across. A ring's shift g = E_infinity / E_disc has one minimum and one maximum; with g* = (g - g_min)/(g_max - g_min) = (1 - cos theta)/2 the
//! image's area per radius and angle theta is free of the transfer function's infinite ends:
//! d(alpha, beta) = r w(theta) dr dtheta on each of the two branches, and w = pi f / (g) in terms of Cunningham's f.

use super::{
    metric,
    radii::{BEYOND, RADII, Radii, slope},
    ray::{Ray, root},
};
use std::f64::consts::PI;

/// Angles theta in 0 ..= pi, at equal steps.
pub const ANGLES: usize = 32 * super::FINENESS + 1;
/// Points around the image of a ring.
const POINTS: usize = 96 * super::FINENESS;
/// Gauss-Legendre nodes and weights on -1 .. 1.
const GAUSS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    (-0.339_981_043_584_856_26, 0.652_145_154_862_546_2),
    (0.339_981_043_584_856_26, 0.652_145_154_862_546_2),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
];
/// Numbers for each radius: ends of L/(r sin i), then at each angle for both branches w and the cosine of the angle between light and
/// the disc's normal in the frame of its matter; both are means over the angles nearer to this one than to the next, so that an image's
/// area is kept however narrow its bright parts are.
pub const RING: usize = 2 + 4 * ANGLES;
/// Numbers of an image.
pub const IMAGE: usize = RADII * RING;

/// The image of one ring.
#[derive(Debug, Clone, Copy)]
pub struct Ring<'a>(pub &'a [f64]);

impl Ring<'_> {
    /// Returns L/(r sin i) of the reddest and of the bluest light.
    pub fn ends(&self) -> [f64; 2] {
        [self.0[0], self.0[1]]
    }

    /// Returns the image's area over r per radius and theta, at an angle of the grid on branch 0 or 1.
    pub fn area(&self, angle: usize, branch: usize) -> f64 {
        self.0[2 + 4 * angle + 2 * branch]
    }

    /// Returns the cosine of the emission angle there.
    pub fn cosine(&self, angle: usize, branch: usize) -> f64 {
        self.0[3 + 4 * angle + 2 * branch]
    }
}

/// The approximate image of a ring, which the true one is found along: bending of light without rotation (Beloborodov 2002, ApJ 566, L85).
struct Frame {
    centre: [f64; 2],
    around: [[f64; 2]; POINTS],
}

impl Frame {
    /// `azimuths`: cosines and sines of the disc's azimuth, from the far side.
    fn new(spin: f64, (sine, cosine): (f64, f64), r: f64, azimuths: &[[f64; 2]; POINTS]) -> Self {
        // Close to the hole the image hardly shrinks.
        let r = (r * r + 9.0).sqrt();
        let lapse = 1.0 - 2.0 / r;
        let impact = |cosine: f64| {
            let bent = 1.0 - (1.0 - cosine) * lapse;
            r * ((1.0 - bent * bent).max(0.0) / lapse).sqrt()
        };
        let drag = 2.0 * spin * sine;
        let around = azimuths.map(|[c, s]| {
            let (x, y) = (s, c * cosine);
            let scale = impact(-sine * c) / x.hypot(y);
            [drag + scale * x, scale * y]
        });
        // Seen nearly edge-on, an image is a long ellipse with a bump: it is a star from here, and not from higher up.
        Self { centre: [drag, 0.0], around }
    }

    fn place(&self, point: usize, size: f64) -> [f64; 2] {
        std::array::from_fn(|axis| self.centre[axis] + size * (self.around[point][axis] - self.centre[axis]))
    }
}

/// The disc's azimuths (cosine, sine) at which points are looked for: at equal steps of the mean of the azimuth and the angle under which it would be
/// seen on a plate, for behind the hole, and before it, the image passes from one side to the other within cos i of azimuth.
fn azimuths(cosine: f64) -> [[f64; 2]; POINTS] {
    let share = |azimuth: f64| {
        // The angle on the plate, on the same branch as the azimuth.
        let (s, c) = azimuth.sin_cos();
        let seen = s.atan2(c * cosine);
        let seen = seen + 2.0 * PI * ((azimuth - seen) / (2.0 * PI)).round();
        0.5 * (azimuth + seen)
    };
    std::array::from_fn(|j| {
        let wanted = 2.0 * PI * j as f64 / POINTS as f64;
        let (mut lo, mut hi) = (0.0, 2.0 * PI);
        for _ in 0..60 {
            let middle = 0.5 * (lo + hi);
            if share(middle) < wanted { lo = middle } else { hi = middle }
        }
        let azimuth = 0.5 * (lo + hi);
        [azimuth.cos(), azimuth.sin()]
    })
}

/// Periodic functions by their Fourier series.
struct Series<const N: usize> {
    cosines: [[f64; N]; POINTS / 2 + 1],
    sines: [[f64; N]; POINTS / 2 + 1],
}

impl<const N: usize> Series<N> {
    fn new(values: [&[f64; POINTS]; N], turns: &[[f64; 2]; POINTS]) -> Self {
        let mut series = Self { cosines: [[0.0; N]; POINTS / 2 + 1], sines: [[0.0; N]; POINTS / 2 + 1] };
        for n in 0..=POINTS / 2 {
            let weight = if n == 0 || n == POINTS / 2 { 1.0 } else { 2.0 } / POINTS as f64;
            for j in 0..POINTS {
                let [c, s] = turns[(n * j) % POINTS].map(|x| x * weight);
                for (i, values) in values.iter().enumerate() {
                    series.cosines[n][i] += values[j] * c;
                    series.sines[n][i] += values[j] * s;
                }
            }
        }
        series
    }

    /// Values and derivatives at an angle.
    fn at(&self, angle: f64) -> [[f64; N]; 2] {
        let (s1, c1) = angle.sin_cos();
        let (mut c, mut s) = (1.0, 0.0);
        let mut out = [[0.0; N]; 2];
        for (n, (a, b)) in self.cosines.iter().zip(&self.sines).enumerate() {
            let n = n as f64;
            for i in 0..N {
                out[0][i] += a[i] * c + b[i] * s;
                out[1][i] += n * (b[i] * c - a[i] * s);
            }
            (c, s) = (c * c1 - s * s1, s * c1 + c * s1);
        }
        out
    }
}

impl Series<1> {
    /// Angle of the largest (sign 1) or smallest (-1) value.
    fn extreme(&self, values: &[f64; POINTS], sign: f64) -> f64 {
        let best = (0..POINTS).max_by(|a, b| (sign * values[*a]).total_cmp(&(sign * values[*b]))).unwrap_or(0);
        let step = 2.0 * PI / POINTS as f64;
        let (mut lo, mut hi) = ((best as f64 - 1.0) * step, (best as f64 + 1.0) * step);
        let slope = |x: f64| sign * self.at(x)[1][0];
        let (mut at_lo, mut at_hi) = (slope(lo), slope(hi));
        // Regula falsi, by halves where it is slow.
        for k in 0..60 {
            let x = if k % 3 == 2 { 0.5 * (lo + hi) } else { lo + (hi - lo) * at_lo / (at_lo - at_hi) };
            let found = slope(x);
            if found > 0.0 {
                (lo, at_lo) = (x, found)
            } else {
                (hi, at_hi) = (x, found)
            }
            if hi - lo < 1e-13 || found.abs() < 1e-12 {
                return x;
            }
        }
        0.5 * (lo + hi)
    }

    /// Where the function has a value, between two angles (ascending or not) at which it lies on either side of it.
    fn reaches(&self, value: f64, from: f64, to: f64, guess: f64) -> f64 {
        let rising = self.at(to)[0][0] > self.at(from)[0][0];
        let (mut lo, mut hi) = (from, to);
        let (mut x, mut before) = (guess, (to - from).abs());
        for _ in 0..200 {
            let [[found], [first]] = self.at(x);
            if (found < value) == rising {
                lo = x
            } else {
                hi = x
            }
            let newton = x - (found - value) / first;
            // Newton's steps can go to and fro between two places: those that are not half as long as the one before are halves of what is left.
            let inside = (newton - lo) * (newton - hi) < 0.0 && 2.0 * (newton - x).abs() < before;
            let next = if inside { newton } else { 0.5 * (lo + hi) };
            before = (next - x).abs();
            if before < 1e-10 {
                return next;
            }
            x = next;
        }
        x
    }
}

/// Makes the image of a disc: [`IMAGE`] numbers, [`RING`] for each radius of the grid ([`Radii`]). Inclination in degrees.
pub fn image(spin: f64, inclination: f64) -> Vec<f64> {
    let (sine, cosine) = inclination.to_radians().sin_cos();
    let grid = Radii::new(spin);
    let rows = RADII + 2 * BEYOND;
    let angle = |j: usize| 2.0 * PI * j as f64 / POINTS as f64;
    let turns: [[f64; 2]; POINTS] = std::array::from_fn(|j| [angle(j).cos(), angle(j).sin()]);
    let radii: Vec<f64> = (0..rows).map(|k| grid.radius(k as f64 - BEYOND as f64)).collect();
    let azimuths = azimuths(cosine);
    let frames: Vec<Frame> = radii.iter().map(|r| Frame::new(spin, (sine, cosine), *r, &azimuths)).collect();
    let mut places = vec![[[0.0; POINTS]; 2]; rows];
    #[allow(clippy::needless_range_loop)] // a point's number on every ring, not a ring's
    for j in 0..POINTS {
        // From far away, where a ring's image is that of flat space, inwards.
        let (mut ln_size, mut before, mut gradient) = (0.0, 0.0, 1.0);
        for k in (0..rows).rev() {
            let wanted = radii[k].ln();
            let mut tried = [(0.0, 0.0); 2];
            let radius = |ln_size: f64| {
                let [alpha, beta] = frames[k].place(j, ln_size.exp());
                let u = Ray::from_image(spin, cosine, sine, alpha, beta).to_plane();
                let f = -u.max(1e-9).ln() - wanted;
                tried = [tried[1], (ln_size, f)];
                f
            };
            let found = root(2.0 * ln_size - before, gradient, 3e-6, radius);
            (before, ln_size) = (ln_size, found);
            let found = (tried[1].1 - tried[0].1) / (tried[1].0 - tried[0].0);
            if found.is_finite() && found > 0.05 && tried[0] != (0.0, 0.0) {
                gradient = found;
            }
            let [alpha, beta] = frames[k].place(j, ln_size.exp());
            places[k][0][j] = alpha;
            places[k][1][j] = beta;
        }
    }
    let mut out = Vec::with_capacity(IMAGE);
    for k in BEYOND..rows - BEYOND {
        let across = |axis: usize| -> [f64; POINTS] {
            std::array::from_fn(|j| {
                let at = |k: usize| places[k][axis][j];
                slope(&[at(k - 2), at(k - 1)], &[at(k + 1), at(k + 2)])
            })
        };
        ring(spin, (sine, cosine), &grid, radii[k], &places[k], &[across(0), across(1)], &turns, &mut out);
    }
    out
}

/// Adds a ring's numbers; `places`: alpha and beta around it, `across`: their derivatives by nodes of the radial grid.
#[allow(clippy::too_many_arguments)] // private, one call; a struct would only rename the same things
fn ring(
    spin: f64,
    (sine, cosine): (f64, f64),
    grid: &Radii,
    r: f64,
    places: &[[f64; POINTS]; 2],
    across: &[[f64; POINTS]; 2],
    turns: &[[f64; 2]; POINTS],
    out: &mut Vec<f64>,
) {
    let alpha = Series::new([&places[0]], turns);
    let all = Series::new([&places[0], &places[1], &across[0], &across[1]], turns);
    let shift = |alpha: f64| metric::disc_shift(spin, r, -alpha * sine);
    let (reddest, bluest) = (alpha.extreme(&places[0], 1.0), alpha.extreme(&places[0], -1.0));
    let (most, least) = (alpha.at(reddest)[0][0], alpha.at(bluest)[0][0]);
    let (lowest, highest) = (shift(most), shift(least));
    out.extend([-most / r, -least / r]);
    let (orbit, time) = (metric::angular_velocity(spin, r), metric::orbit_time(spin, r));
    let per_radius = grid.per_node(r) * r;
    // From the bluest point to the reddest: ahead and behind.
    let full = 2.0 * PI;
    let ahead = bluest + (reddest - bluest).rem_euclid(full);
    let behind = ahead - full;
    // Area (over r and per radius) and mean cosine of each cell of theta, from half-way to half-way between the grid's angles.
    let cells = [ahead, behind].map(|end| {
        let mut from = end;
        std::array::from_fn::<[f64; 2], ANGLES, _>(|n| {
            let theta = PI * (n as f64 + 0.5) / (ANGLES - 1) as f64;
            let to = if n + 1 < ANGLES {
                let g = lowest + (highest - lowest) * 0.5 * (1.0 - theta.cos());
                let wanted = (1.0 - 1.0 / (g * time)) / orbit / -sine;
                alpha.reaches(wanted, bluest, end, bluest + (end - bluest) * (1.0 - theta / PI))
            } else {
                bluest
            };
            let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
            let (mut area, mut slanted) = (0.0, 0.0);
            for (node, weight) in GAUSS {
                let [[a, b, a_across, b_across], [a_around, b_around, ..]] = all.at(middle + half * node);
                let piece = weight * (a_across * b_around - b_across * a_around).abs();
                let carter = b * b + (a * a - spin * spin) * cosine * cosine;
                area += piece;
                slanted += piece * (shift(a) * carter.max(0.0).sqrt() / r).min(1.0);
            }
            from = to;
            // The first and the last cell are halves.
            let width = PI / (ANGLES - 1) as f64 * if n == 0 || n + 1 == ANGLES { 0.5 } else { 1.0 };
            [area * half.abs() / (per_radius * width), slanted / area.max(1e-300)]
        })
    });
    for (first, second) in cells[0].iter().zip(&cells[1]) {
        out.extend(first.iter().chain(second));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far away a ring's image is an ellipse: w = cos i / 2 per branch and angle theta, of 2 pi in all, and light leaves at the inclination.
    #[test]
    fn distant_rings_are_ellipses() {
        for inclination in [5.0f64, 45.0, 80.0] {
            let image = image(0.5, inclination);
            let last = Ring(&image[(RADII - 1) * RING..]);
            let (sine, cosine) = inclination.to_radians().sin_cos();
            for n in 0..ANGLES {
                for branch in 0..2 {
                    // First order in v/c = 0.03 and in 1/r.
                    let found = last.area(n, branch) / cosine;
                    assert!((found - 1.0).abs() < 0.08, "{inclination} {n} {branch}: {found}");
                    assert!((last.cosine(n, branch) - cosine).abs() < 0.04 * sine.max(0.2), "{inclination} {n}");
                }
            }
            assert!((last.ends()[1] - 1.0).abs() < 0.01 && (last.ends()[0] + 1.0).abs() < 0.01);
        }
    }

    /// A ray that was found wrong is an image that its neighbours do not have: at these nodes of spin and inclination there were such.
    #[test]
    fn images_change_smoothly() {
        for (spin, tilt) in [(0.952_507, 59.666_7), (0.980_820, 59.666_7), (0.5, 30.0)] {
            let [before, here, after] = [-1e-4, 0.0, 1e-4].map(|step| image(spin + step, tilt));
            let area = |image: &[f64], k: usize| -> f64 {
                let ring = Ring(&image[k * RING..(k + 1) * RING]);
                (0..ANGLES).map(|angle| ring.area(angle, 0) + ring.area(angle, 1)).sum()
            };
            let bends = (0..RADII).map(|k| {
                let [before, here, after] = [&before, &here, &after].map(|image| area(image, k));
                (here / (0.5 * (before + after)) - 1.0).abs()
            });
            let worst = bends.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            println!("{spin} {tilt}: {:.1e} at ring {}", worst.1, worst.0);
            assert!(worst.1 < 1e-3, "{spin} {tilt}: {worst:?}");
        }
    }
}
