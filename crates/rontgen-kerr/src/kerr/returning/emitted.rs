//! Where the light of a ring falls: a few thousand rays, what lies between them interpolated, and straight planes between that.

use super::{RINGS, SHIFTS};
use crate::kerr::{
    FINENESS, metric,
    ray::{self, Ray},
};
use std::f64::consts::PI;

/// Directions of a ring's rays: so many angles from the normal, without the normal itself, and azimuths, an even number.
const TILTS: usize = 48 * FINENESS;
const TURNS: usize = 96 * FINENESS;
/// Steps between neighbouring rays that what they tell is interpolated at.
const FINER: usize = 4;
/// Rays that an interpolation takes.
const TAPS: usize = 6;
/// Least cosine of a ray: along the disc it would never meet it.
const GRAZING: f64 = 1e-4;
/// Least shift over the largest one between two rings.
const FAINTEST: f64 = 0.01;
/// u at which [`place`] bends.
const BEND: f64 = 0.5;

/// A radius that emits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emitter {
    spin: f64,
    r: f64,
    /// Energy at infinity over that at emission of light across the motion, and what light along the motion has more.
    energy: [f64; 2],
    /// And so the angular momentum.
    momentum: [f64; 2],
}

impl Emitter {
    pub fn new(spin: f64, r: f64) -> Self {
        let a2 = spin * spin;
        let d = metric::delta(spin, r);
        let frame = (r * r + a2) * (r * r + a2) - a2 * d;
        // Against the observer without angular momentum: the orbit's velocity.
        let velocity = (r * r - 2.0 * spin * r.sqrt() + a2) / (d.sqrt() * (r * r.sqrt() + spin));
        let lorentz = 1.0 / (1.0 - velocity * velocity).sqrt();
        let momentum = [velocity, 1.0].map(|part| frame.sqrt() / r * lorentz * part);
        let lapse = r * (d / frame).sqrt() * lorentz;
        let drag = 2.0 * spin * r / frame;
        Self { spin, r, energy: [lapse + drag * momentum[0], lapse * velocity + drag * momentum[1]], momentum }
    }

    /// Energy at infinity and angular momentum of light whose direction has a part `along` the motion.
    fn constants(&self, along: f64) -> (f64, f64) {
        (self.energy[0] + self.energy[1] * along, self.momentum[0] + self.momentum[1] * along)
    }

    /// u = 1/r where light meets the plane again, a smooth function of its direction in the frame of the disc's matter (parts `out` and `along` the
    /// motion): negative where it has left to infinity, and beyond that of the horizon where it has fallen in.
    fn landing(&self, cosine: f64, out: f64, along: f64) -> f64 {
        self.ray(cosine, out, along).map_or(ray::DEEPEST, |ray| ray.through_infinity())
    }

    /// Light in a direction; `None` of what falls in without energy.
    pub fn ray(&self, cosine: f64, out: f64, along: f64) -> Option<Ray> {
        let (energy, momentum) = self.constants(along);
        if energy <= 0.0 {
            return None;
        }
        let (spin, r, a2) = (self.spin, self.r, self.spin * self.spin);
        let (l, q) = (momentum / energy, (r * cosine / energy).powi(2));
        let u = 1.0 / r;
        let away = spin - l;
        let potential = 1.0 + (a2 - l * l - q) * u * u + 2.0 * (away * away + q) * u.powi(3) - a2 * q * u.powi(4);
        let speed = -potential.max(0.0).sqrt().copysign(out);
        Some(Ray { spin, momentum: l, carter: q, state: [u, speed, 0.0, q.sqrt()] })
    }

    /// Energy of light on a disc at a radius over that at emission.
    pub fn shift(&self, radius: f64, along: f64) -> f64 {
        let (energy, momentum) = self.constants(along);
        metric::orbit_time(self.spin, radius) * (energy - metric::angular_velocity(self.spin, radius) * momentum)
    }
}

/// A place between -1 and 1 that grows with u, and does not run away in the hole.
fn place(u: f64) -> f64 {
    u / (BEND * BEND + u * u).sqrt()
}

/// The u of a place.
fn unplace(place: f64) -> f64 {
    BEND * place / (1.0 - place * place).sqrt()
}

/// Weights of [`TAPS`] neighbours, the middle ones of which lie on both sides, at a share of the way between these.
fn taps(share: f64) -> [f64; TAPS] {
    let at = |k: usize| k as f64 - (TAPS / 2 - 1) as f64;
    std::array::from_fn(|k| {
        let others = (0..TAPS).filter(|other| *other != k);
        others.map(|other| (share - at(other)) / (at(k) - at(other))).product()
    })
}

/// Where the light of a radius lands, by its direction: [`place`]s at [`TILTS`] + 1 angles from the normal times [`TURNS`] azimuths, made finer.
fn landings(emitter: &Emitter) -> Vec<f64> {
    let mut rays = Vec::with_capacity((TILTS + 1) * TURNS);
    for tilt in 0..=TILTS {
        let (slant, cosine) = (0.5 * PI * tilt as f64 / TILTS as f64).sin_cos();
        if tilt == 0 {
            rays.extend([place(emitter.landing(1.0, 0.0, 0.0)); TURNS]);
            continue;
        }
        rays.extend((0..TURNS).map(|turn| {
            let (along, out) = (2.0 * PI * turn as f64 / TURNS as f64).sin_cos();
            place(emitter.landing(cosine.max(GRAZING), slant * out, slant * along))
        }));
    }
    // Beyond the normal the azimuth is the opposite one; beyond the plane directions are those before it, seen from below.
    let ray = |tilt: isize, turn: usize| {
        let (tilt, turn) = if tilt < 0 { (-tilt, turn + TURNS / 2) } else { (tilt, turn) };
        let tilt = if tilt as usize > TILTS { 2 * TILTS - tilt as usize } else { tilt as usize };
        rays[tilt * TURNS + turn % TURNS]
    };
    let weights: [[f64; TAPS]; FINER] = std::array::from_fn(|k| taps(k as f64 / FINER as f64));
    let half = TAPS / 2 - 1;
    let mut out = Vec::with_capacity((TILTS * FINER + 1) * TURNS * FINER);
    for fine in 0..=TILTS * FINER {
        let (tilt, weights_here) = (fine / FINER, &weights[fine % FINER]);
        let row: Vec<f64> = (0..TURNS)
            .map(|turn| {
                let of = |(k, weight): (usize, &f64)| weight * ray((tilt + k) as isize - half as isize, turn);
                weights_here.iter().enumerate().map(of).sum()
            })
            .collect();
        for turn in 0..TURNS {
            out.extend(weights.iter().map(|weights| {
                let of = |(k, weight): (usize, &f64)| weight * row[(turn + TURNS + k - half) % TURNS];
                weights.iter().enumerate().map(of).sum::<f64>()
            }));
        }
    }
    out
}

/// Light of one ring.
pub(super) struct Emitted {
    /// For each ring that receives the range of the cells, and the shares of all photons in them.
    pub ranges: Vec<[f64; 2]>,
    pub caught: Vec<[f64; SHIFTS]>,
    pub fates: [f64; 3],
}

/// The share of a triangle's area where a number is below a limit, which is a straight line between its `corners` (ascending).
fn below(corners: [f64; 3], limit: f64) -> f64 {
    let [low, middle, high] = corners;
    if limit <= low {
        0.0
    } else if limit >= high {
        1.0
    } else if limit < middle {
        (limit - low) * (limit - low) / ((middle - low) * (high - low))
    } else {
        1.0 - (high - limit) * (high - limit) / ((high - low) * (high - middle))
    }
}

/// A direction: [`place`] where its light lands, and its parts outwards and along the motion.
type Direction = (f64, [f64; 2]);

impl Emitted {
    /// Traces the light of a ring's middle radius. Seen along the normal, light of equal intensity is spread evenly over the unit disc of directions; between rays at the corners
    /// of triangles on it go straight planes, so that what a ring receives changes smoothly with the spin, and few rays are enough for rings that
    /// are narrow and far away.
    /// `rings`: the radii, ascending, that light is caught between.
    pub fn new(spin: f64, rings: &[[f64; 2]], r: f64) -> Self {
        let emitter = Emitter::new(spin, r);
        // The first and the last cell's middles are at the least and the largest shift that there can be.
        let ranges: Vec<[f64; 2]> = rings
            .iter()
            .map(|ends| {
                let shifts = [0, 1, 2, 3].map(|k| emitter.shift(ends[k / 2], [-1.0, 1.0][k % 2]));
                let (least, most) = shifts.iter().fold((f64::INFINITY, 0.0f64), |(lo, hi), x| (lo.min(*x), hi.max(*x)));
                // Of light without energy there, which falls in, there are no shifts.
                let least = least.max(FAINTEST * most);
                let step = (most - least) / (SHIFTS - 1) as f64;
                [least - 0.5 * step, most + 0.5 * step]
            })
            .collect();
        let mut out = Self { ranges, caught: vec![[0.0; SHIFTS]; RINGS], fates: [0.0; 3] };
        // The outermost ring first; the last one is the disc's edge.
        let bounds: Vec<f64> = rings.iter().rev().flat_map(|[a, b]| [*b, *a]).chain([metric::isco(spin)]).collect();
        let bounds: Vec<f64> = bounds.into_iter().map(|r| place(1.0 / r)).collect();
        let landings = landings(&emitter);
        let (tilts, turns) = (TILTS * FINER, TURNS * FINER);
        let azimuths: Vec<(f64, f64)> =
            (0..turns).map(|turn| (2.0 * PI * turn as f64 / turns as f64).sin_cos()).collect();
        let slants: Vec<f64> = (0..=tilts).map(|tilt| (0.5 * PI * tilt as f64 / tilts as f64).sin()).collect();
        let at = |tilt: usize, turn: usize| -> Direction {
            let turn = turn % turns;
            let (along, outwards) = azimuths[turn];
            (landings[tilt * turns + turn], [slants[tilt] * outwards, slants[tilt] * along])
        };
        for tilt in 0..tilts {
            for turn in 0..turns {
                let far = [at(tilt + 1, turn), at(tilt + 1, turn + 1)];
                out.deposit(&emitter, &bounds, [at(tilt, turn), far[0], far[1]]);
                if tilt > 0 {
                    out.deposit(&emitter, &bounds, [at(tilt, turn), far[1], at(tilt, turn + 1)]);
                }
            }
        }
        let all: f64 = out.fates.iter().sum();
        out.fates.iter_mut().for_each(|x| *x /= all);
        out.caught.iter_mut().flatten().for_each(|light| *light /= all);
        out
    }

    /// Shares the light between three directions out to the rings.
    fn deposit(&mut self, emitter: &Emitter, bounds: &[f64], mut corners: [Direction; 3]) {
        let [a, b, c] = corners.map(|(_, at)| at);
        let light = ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])).abs();
        corners.sort_by(|a, b| a.0.total_cmp(&b.0));
        let places = corners.map(|(place, _)| place);
        let [low, middle, high] = places;
        let along = corners.map(|(_, at)| at[1]);
        let last = bounds.len() - 1;
        let (far, reached) = (below(places, 0.0), below(places, bounds[last]));
        self.fates[2] += light * far;
        self.fates[1] += light * (1.0 - reached);
        self.fates[0] += light * (reached - far);
        if low >= bounds[last] || high <= bounds[0] {
            return;
        }
        // The mean part along the motion on the line that lands at a place.
        let between = |from: usize, to: usize, x: f64| {
            let share = ((x - places[from]) / (places[to] - places[from]).max(1e-15)).clamp(0.0, 1.0);
            along[from] + (along[to] - along[from]) * share
        };
        let first = bounds.partition_point(|bound| *bound <= low).saturating_sub(1);
        let mut from = below(places, bounds[first]);
        for k in first..last {
            let to = below(places, bounds[k + 1]);
            // Between two rings nobody asks.
            if to > from && k % 2 == 0 && k / 2 < RINGS {
                let x = 0.5 * (bounds[k].max(low) + bounds[k + 1].min(high));
                let side = if x < middle { between(0, 1, x) } else { between(1, 2, x) };
                let shift = emitter.shift(1.0 / unplace(x), 0.5 * (side + between(0, 2, x)));
                self.catch(RINGS - 1 - k / 2, light * (to - from), shift);
            }
            from = to;
            if bounds[k + 1] >= high {
                break;
            }
        }
    }

    /// Adds light to the cells of a ring, three of them by their middles, so that sum, mean and variance of the shifts are kept.
    fn catch(&mut self, ring: usize, light: f64, shift: f64) {
        let [least, most] = self.ranges[ring];
        let cell = SHIFTS as f64 * (shift - least) / (most - least) - 0.5;
        let middle = (cell.round() as usize).clamp(1, SHIFTS - 2);
        let t = cell - middle as f64;
        let own = &mut self.caught[ring][middle - 1..=middle + 1];
        for (own, weight) in own.iter_mut().zip([0.5 * t * (t - 1.0), 1.0 - t * t, 0.5 * t * (t + 1.0)]) {
            *own += light * weight;
        }
    }
}
