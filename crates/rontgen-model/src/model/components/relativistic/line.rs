//! The line of a disc at one energy, normalised to one photon, as a function of y = g - 1, g = E_infinity/E_disc.
//!
//! A ring sends photons g^3 d(alpha, beta) (Cunningham 1975), which in g at fixed r is an area of the table over sin(theta), with
//! cos(theta) = 1 - 2 (g - g_min)/(g_max - g_min), infinite at both ends of the ring. Of an annulus between two of [`RINGS`] + 1 rings, cos(theta) at given g
//! is taken as linear between them; then the mean of 1/sin(theta) over the annulus, or over that part of it that reaches g, is a difference of two angles,
//! which is finite and smooth, so that the rings do not show.
//!
//! The line's own ends and corners are where the inner and the outer edge of the disc end, and where the bluest ring does; between two of them
//! it is a smooth function of u, y = a + (b - a) (1 - cos pi u)/2, of which [`POINTS`] equal steps hold all. What lies below a point between them
//! is a cubic in y that has the density at both points and the photons between them.

use super::{
    Disc, Light,
    layout::{HEADER, POINTS, law, ring_size},
};
use crate::model::real::Real;
use rontgen_kerr::kerr::{
    FINENESS, INCLINATIONS,
    image::ANGLES,
    lamp::{self, LAMP},
    radii::{RADII, Radii},
    returning::RINGS as RINGS_OF_LIGHT,
    table::{height_share, lamp_coordinate, spin_coordinate},
};
use std::f64::consts::{FRAC_PI_2, PI};

/// Annuli of a disc.
const RINGS: usize = 72 * FINENESS;
pub(in crate::model::components) const PIECES: usize = 4;
pub(in crate::model::components) const ALL: usize = PIECES * POINTS;
/// Pieces shorter than this are none.
const SHORTEST: f64 = 1e-6;

/// Adds numbers of a table times a weight.
#[inline(always)]
fn add<R: Real>(out: &mut [f64], numbers: &[R::Store], weight: f64) {
    for (out, x) in out.iter_mut().zip(numbers) {
        *out += weight * R::load(*x).to_f64();
    }
}

/// A component's table; see `layout.rs`.
pub(super) struct Reader<'t, R: Real> {
    table: &'t [R::Store],
    pub head: [f64; HEADER],
}

/// Four nodes around a place, or the only one.
pub(in crate::model::components) struct Cubic {
    pub first: usize,
    pub weights: [f64; 4],
    pub count: usize,
}

impl Cubic {
    pub fn new(place: f64, nodes: usize) -> Self {
        if nodes < 4 {
            return Self { first: 0, weights: [1.0, 0.0, 0.0, 0.0], count: 1 };
        }
        let place = place.clamp(0.0, (nodes - 1) as f64);
        let k = (place as usize).clamp(1, nodes - 3);
        let t = place - k as f64;
        let (a, b, c) = (t + 1.0, t - 1.0, t - 2.0);
        Self { first: k - 1, weights: [-t * b * c / 6.0, 0.5 * a * b * c, -0.5 * a * t * c, a * t * b / 6.0], count: 4 }
    }

    pub fn of(&self, values: &[f64]) -> f64 {
        self.weights.iter().zip(&values[self.first..]).map(|(w, x)| w * x).sum()
    }
}

/// Numbers of a radius that one law leaves: ends, areas.
const ROW: usize = 2 + ANGLES;

impl<'t, R: Real> Reader<'t, R> {
    pub fn new(table: &'t [R::Store]) -> Option<Self> {
        let head = table.first_chunk::<HEADER>()?.map(|x| R::load(x).to_f64());
        Some(Self { table, head })
    }

    pub fn numbers(&self, from: usize, count: usize) -> Option<&'t [R::Store]> {
        self.table.get(from..from + count)
    }

    /// The place along the axis whose numbers begin at `k`.
    fn cubic(&self, k: usize, coordinate: f64) -> Cubic {
        Cubic::new((coordinate - self.head[k + 1]) * self.head[k + 2], self.head[k] as usize)
    }

    /// Adds up blocks of the nodes around two places.
    #[inline(always)]
    fn blend(
        &self,
        (outer, inner): (&Cubic, &Cubic),
        inner_nodes: usize,
        (start, size): (usize, usize),
        mut add: impl FnMut(f64, &[R::Store]),
    ) -> Option<()> {
        for (p, wp) in outer.weights.iter().enumerate().take(outer.count) {
            for (q, wq) in inner.weights.iter().enumerate().take(inner.count) {
                let node = (outer.first + p) * inner_nodes + inner.first + q;
                add(wp * wq, self.numbers(start + node * size, size)?);
            }
        }
        Some(())
    }

    /// `None` outside of what the table was made for.
    pub fn line(&self, disc: &Disc) -> Option<Line> {
        #[cfg(target_arch = "x86_64")]
        if R::FUSED {
            // SAFETY: `Real::FUSED` is true only in code that runs where AVX2 and fused multiply-add were found.
            return unsafe { self.line_avx2(disc) };
        }
        self.line_plain(disc)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn line_avx2(&self, disc: &Disc) -> Option<Line> {
        self.line_plain(disc)
    }

    #[inline(always)]
    fn line_plain(&self, disc: &Disc) -> Option<Line> {
        let head = &self.head;
        let inside = |value: f64, k: usize| value >= head[k] && value <= head[k + 1];
        let (first_law, laws) = (head[7] as usize, head[6] as usize);
        let law = law(disc.limb).checked_sub(first_law).filter(|law| *law < laws)?;
        if !(inside(disc.spin, 16) && inside(disc.tilt, 18)) {
            return None;
        }
        let spin = self.cubic(0, spin_coordinate(disc.spin));
        let tilt = disc.tilt.clamp(INCLINATIONS.0, INCLINATIONS.1);
        let row = ring_size(laws);
        let mut rings = vec![[0.0; ROW]; RADII];
        let start = head[8] as usize;
        self.blend((&spin, &self.cubic(3, tilt)), head[3] as usize, (start, RADII * row), |weight, numbers| {
            for (out, numbers) in rings.iter_mut().zip(numbers.chunks_exact(row)) {
                let (ends, areas) = out.split_at_mut(2);
                add::<R>(ends, &numbers[..2], weight);
                add::<R>(areas, &numbers[2 + law * ANGLES..][..ANGLES], weight);
            }
        })?;
        let lamp = match disc.height() {
            None => None,
            Some(height) => {
                let share = height_share(disc.spin, height);
                if !inside(share, 20) || head[10] == 0.0 {
                    return None;
                }
                let mut lamp = vec![0.0; LAMP];
                let cubics = (&self.cubic(10, lamp_coordinate(disc.spin)), &self.cubic(13, share));
                self.blend(cubics, head[13] as usize, (head[9] as usize, LAMP), |weight, numbers| {
                    add::<R>(&mut lamp, numbers, weight);
                })?;
                Some(lamp)
            }
        };
        let boosts = match disc.light {
            Light::Lamp { index, .. } if disc.returning => Some(self.boosts(&spin, index)?),
            _ => None,
        };
        let shares = self.numbers(HEADER, POINTS)?;
        let shares = std::array::from_fn(|k| shares.get(k).map_or(0.0, |x| R::load(*x).to_f64()));
        Image {
            disc,
            sine: tilt.to_radians().sin(),
            grid: Radii::new(disc.spin),
            rings,
            lamp,
            shares,
            back: [0.0; RINGS_OF_LIGHT],
        }
        .line(boosts.as_deref())
    }
}

/// What a disc looks like, and what lights it up.
pub(super) struct Image<'a> {
    pub disc: &'a Disc,
    sine: f64,
    pub grid: Radii,
    rings: Vec<[f64; ROW]>,
    lamp: Option<Vec<f64>>,
    shares: [f64; POINTS],
    /// By ring of the disc what returns to it over what the lamp sends.
    pub back: [f64; RINGS_OF_LIGHT],
}

impl Image<'_> {
    /// y of the red and the blue end of a ring.
    fn ends(&self, r: f64, cubic: &Cubic) -> [f64; 2] {
        let spin = self.disc.spin;
        let drag = spin / (r * r.sqrt());
        let still = 0.5 * (2.0 * drag - 3.0 / r).ln_1p() - drag.ln_1p();
        // Omega r sin i.
        let reach = self.sine / (r.sqrt() * (1.0 + drag));
        std::array::from_fn(|k| {
            let share: f64 =
                cubic.weights.iter().zip(&self.rings[cubic.first..]).map(|(weight, ring)| weight * ring[k]).sum();
            (still - (-reach * share).ln_1p()).exp_m1()
        })
    }

    /// Emissivity times r^2 (1 - inside/r), which is dr by the grid's logarithm; `largest`: logarithm of what is divided out.
    pub fn emission(&self, r: f64, cubic: &Cubic, largest: f64) -> f64 {
        let disc = self.disc;
        let radial = r * (r - self.grid.inside);
        match disc.light {
            Light::Broken { .. } => (self.ln_emissivity(r) - largest).exp() * radial,
            Light::Lamp { velocity, index, .. } => {
                let Some((lamp, height)) = self.lamp.as_deref().zip(disc.height()) else { return f64::NAN };
                let by_radius = cubic.of(&lamp[RADII..]).exp() * lamp::flat(height, r);
                let mut emissivity = lamp::emissivity(disc.spin, height, r, by_radius, index);
                if velocity > 0.0 {
                    // Against the angle from the way down; solid angles shrink by the square.
                    let cosine = cubic.of(&lamp[..RADII]);
                    let doppler = (1.0 - velocity * velocity).sqrt() / (1.0 + velocity * cosine);
                    emissivity *= doppler.powf(2.0 + index);
                }
                emissivity * radial * (1.0 + self.back_at(r))
            }
        }
    }

    fn ln_emissivity(&self, r: f64) -> f64 {
        match self.disc.light {
            Light::Broken { index, beyond, radius } => {
                let ln = (r / radius).ln();
                -ln * if ln < 0.0 { index } else { beyond }
            }
            Light::Lamp { .. } => 0.0,
        }
    }

    #[inline(always)]
    fn line(mut self, boosts: Option<&[f64]>) -> Option<Line> {
        let (inner, outer) = self.disc.edges();
        if let Some(boosts) = boosts {
            self.back = self.returning(boosts, inner, outer);
        }
        let (first, last) = ((inner - self.grid.inside).ln(), (outer - self.grid.inside).ln());
        let step = (last - first) / RINGS as f64;
        let at = |place: f64| {
            let r = if place == 0.0 { inner } else { self.grid.inside + (first + step * place).exp() };
            (r, Cubic::new((first + step * place - self.grid.first) / self.grid.step, RADII))
        };
        let ends: Vec<[f64; 2]> = (0..=RINGS).map(|k| at(k as f64)).map(|(r, cubic)| self.ends(r, &cubic)).collect();
        let mut largest = self.ln_emissivity(inner).max(self.ln_emissivity(outer));
        if let Light::Broken { radius, .. } = self.disc.light
            && radius > inner
            && radius < outer
        {
            largest = largest.max(0.0);
        }
        let bluest = ends.iter().fold(f64::NEG_INFINITY, |most, ends| most.max(ends[1]));
        let reddest = ends.iter().fold(f64::INFINITY, |least, ends| least.min(ends[0]));
        let (a, b) = (ends[0], ends[RINGS]);
        let mut corners = [reddest, a[0].max(b[0]), a[1].min(b[1]), a[1].max(b[1]), bluest];
        corners.sort_by(f64::total_cmp);
        let mut line = Line { y: [0.0; ALL], density: [0.0; ALL], before: [0.0; ALL], cubics: [[0.0; 5]; ALL] };
        for (piece, y) in line.y.chunks_exact_mut(POINTS).enumerate() {
            let (from, to) = (corners[piece], corners[piece + 1]);
            y.iter_mut().zip(self.shares).for_each(|(y, share)| *y = from + (to - from) * share);
        }
        let mut emitted = {
            let (r, cubic) = at(0.0);
            self.emission(r, &cubic, largest)
        };
        for k in 0..RINGS {
            let (r, cubic) = at(k as f64 + 0.5);
            let middle = self.emission(r, &cubic, largest);
            let (r_end, cubic_end) = at((k + 1) as f64);
            let end = self.emission(r_end, &cubic_end, largest);
            let weight = step / 6.0 * (emitted + 4.0 * middle + end);
            emitted = end;
            // One beyond both ends, where the function is even.
            let mut areas = [0.0; ANGLES + 2];
            for (weight, ring) in cubic.weights.iter().zip(&self.rings[cubic.first..]) {
                areas[1..=ANGLES].iter_mut().zip(&ring[2..]).for_each(|(out, x)| *out += weight * x);
            }
            areas[0] = areas[2];
            areas[ANGLES + 1] = areas[ANGLES - 1];
            annulus(&line.y, &mut line.density, &ends[k], &ends[k + 1], weight, &areas);
        }
        line.finish(&corners);
        Some(line)
    }
}

/// Points that are worked on together.
const TOGETHER: usize = 8;

/// Adds the photons per y of an annulus between rings with these ends.
#[inline(always)]
pub(in crate::model::components) fn annulus(
    y: &[f64; ALL],
    density: &mut [f64; ALL],
    inner: &[f64; 2],
    outer: &[f64; 2],
    weight: f64,
    areas: &[f64; ANGLES + 2],
) {
    let (from, to) = (inner[0].min(outer[0]), inner[1].max(outer[1]));
    let range = y.partition_point(|y| *y < from)..y.partition_point(|y| *y <= to);
    let weight = weight * 4.0 / ((inner[1] - inner[0]) + (outer[1] - outer[0])).max(1e-12);
    let inner_scale = 2.0 / (inner[1] - inner[0]).max(1e-12);
    let outer_scale = 2.0 / (outer[1] - outer[0]).max(1e-12);
    let (mut means, mut places, mut some) = ([0.0; TOGETHER], [0.0; TOGETHER], [0.0; TOGETHER]);
    for (y, out) in y[range.clone()].chunks(TOGETHER).zip(density[range].chunks_mut(TOGETHER)) {
        some[..y.len()].copy_from_slice(y);
        // Straight-line code, so that it is vectorised.
        for k in 0..TOGETHER {
            let y = some[k];
            let c0 = 1.0 - inner_scale * (y - inner[0]);
            let c1 = 1.0 - outer_scale * (y - outer[0]);
            let (h0, h1) = (c0.clamp(-1.0, 1.0), c1.clamp(-1.0, 1.0));
            let sines = ((1.0 - h0) * (1.0 + h0)).sqrt() + ((1.0 - h1) * (1.0 + h1)).sqrt();
            let (reached, whole) = ((h1 - h0).abs(), (c1 - c0).abs());
            let tangent = reached / sines.max(1e-12);
            // The mean of 1/sin(theta): the angle it goes through, twice that of the tangent, over the way of the cosine.
            let z = tangent * tangent;
            let series = 1.0
                - z * (1.0 / 3.0 - z * (1.0 / 5.0 - z * (1.0 / 7.0 - z * (1.0 / 9.0 - z * (1.0 / 11.0 - z / 13.0)))));
            let share = if whole > 1e-9 { reached / whole.max(1e-9) } else { 1.0 };
            let short = 2.0 * share * series / sines.max(1e-12);
            let long = 2.0 * arctan(tangent) / whole.max(1e-9);
            let mean = if tangent < 0.3 { short } else { long };
            means[k] = if reached > 0.0 || sines > 0.0 { mean } else { 0.0 };
            let cosine = (0.5 * (h0 + h1) * (1.0 + z.min(1e12)).sqrt()).clamp(-1.0, 1.0);
            places[k] = arccos(cosine) * ((ANGLES - 1) as f64 / PI);
        }
        for (k, out) in out.iter_mut().enumerate() {
            let n = (places[k] as usize).min(ANGLES - 2);
            let Some(four) = areas.get(n..).and_then(|areas| areas.first_chunk::<4>()) else { continue };
            let area = super::super::four_point(*four, places[k] - n as f64)[0];
            let g = 1.0 + some[k];
            *out += weight * means[k] * area.max(0.0) * g * g * g;
        }
    }
}

/// arctan of a number that is not negative, to 2e-8 (Abramowitz & Stegun 4.4.49).
#[inline(always)]
fn arctan(x: f64) -> f64 {
    let t = if x > 1.0 { 1.0 / x } else { x };
    let s = t * t;
    let p = ((((((0.002_866_225_7 * s - 0.016_165_736_7) * s + 0.042_909_613_8) * s - 0.075_289_640_0) * s
        + 0.106_562_639_3)
        * s
        - 0.142_088_994_4)
        * s
        + 0.199_935_508_5)
        * s
        - 0.333_331_452_8;
    let angle = t + t * s * p;
    if x > 1.0 { FRAC_PI_2 - angle } else { angle }
}

/// arccos to 2e-8 (Abramowitz & Stegun 4.4.46).
#[inline(always)]
fn arccos(x: f64) -> f64 {
    let a = x.abs();
    let p = 1.570_796_305_0
        + a * (-0.214_598_801_6
            + a * (0.088_978_987_4
                + a * (-0.050_174_304_6
                    + a * (0.030_891_881_0 + a * (-0.017_088_125_6 + a * (0.006_670_090_1 - a * 0.001_262_491_1))))));
    let angle = p * (1.0 - a).sqrt();
    if x < 0.0 { PI - angle } else { angle }
}

/// One photon in y = g - 1.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model::components) struct Line {
    /// Points, ascending, those of a piece's end twice.
    pub y: [f64; ALL],
    pub density: [f64; ALL],
    /// Photons below each point.
    pub before: [f64; ALL],
    /// Behind each point: 1 over the way to the next, and photons below as a cubic of the share of it.
    pub cubics: [[f64; 5]; ALL],
}

impl Line {
    /// Densities at the corners, photons below the points, and the norm; returns the photons that there were.
    pub fn finish(&mut self, corners: &[f64; PIECES + 1]) -> f64 {
        let mut total = 0.0;
        let sines: [f64; POINTS] = std::array::from_fn(|k| (PI * k as f64 / (POINTS - 1) as f64).sin());
        for piece in 0..PIECES {
            let extent = corners[piece + 1] - corners[piece];
            let d = &mut self.density[piece * POINTS..(piece + 1) * POINTS];
            if extent < SHORTEST {
                d.fill(0.0);
            }
            let beyond = |a: f64, b: f64, c: f64| (3.0 * (a - b) + c).max(0.0);
            d[0] = beyond(d[1], d[2], d[3]);
            d[POINTS - 1] = beyond(d[POINTS - 2], d[POINTS - 3], d[POINTS - 4]);
            // Photons per step, odd around both ends.
            let rate = |k: isize| {
                let last = POINTS as isize - 1;
                let at = if k > last { 2 * last - k } else { k.abs() } as usize;
                let sign = if k < 0 || k > last { -1.0 } else { 1.0 };
                sign * extent * sines[at] * d[at]
            };
            let before = &mut self.before[piece * POINTS..(piece + 1) * POINTS];
            before[0] = total;
            for k in 0..POINTS - 1 {
                let i = k as isize;
                let inner = 13.0 * (rate(i) + rate(i + 1)) - rate(i - 1) - rate(i + 2);
                total += inner.max(0.0) * (FRAC_PI_2 / (POINTS - 1) as f64 / 24.0);
                before[k + 1] = total;
            }
        }
        let inverse = 1.0 / total.max(1e-300);
        self.density.iter_mut().chain(&mut self.before).for_each(|x| *x *= inverse);
        self.cubics[ALL - 1] = [0.0, 1.0, 0.0, 0.0, 0.0];
        for k in 0..ALL - 1 {
            let step = self.y[k + 1] - self.y[k];
            let all = self.before[k + 1] - self.before[k];
            // Held so that the cubic never falls.
            let [a, b] = [self.density[k], self.density[k + 1]].map(|d| (d * step).min(3.0 * all));
            let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
            self.cubics[k] = [inverse, self.before[k], a, 3.0 * all - 2.0 * a - b, a + b - 2.0 * all];
        }
        total
    }

    /// Least and largest y.
    pub fn ends(&self) -> [f64; 2] {
        [self.y[0], self.y[ALL - 1]]
    }

    /// y where its pieces begin and where the last one ends.
    pub fn corners(&self) -> [f64; PIECES + 1] {
        std::array::from_fn(|k| self.y[(k * POINTS).min(ALL - 1)])
    }

    /// Photons below a y; `place`: where to begin to look, and then the point below.
    #[inline(always)]
    pub fn below(&self, y: f64, place: &mut usize) -> f64 {
        let mut k = *place;
        while k > 0 && y < self.y[k] {
            k -= 1;
        }
        while k + 1 < ALL && y >= self.y[k + 1] {
            k += 1;
        }
        *place = k;
        let [inverse, below, a, b, c] = self.cubics[k];
        let t = ((y - self.y[k]) * inverse).max(0.0);
        below + t * (a + t * (b + t * c))
    }
}
