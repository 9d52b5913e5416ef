//! Rays in Mino time, as second-order equations in u = 1/r and mu = cos(theta) (Carter 1968, Phys. Rev. 174, 1559; Mino 2003):
//! u'' = U'(u)/2, mu'' = M'(mu)/2 with U = 1 + (a2 - L2 - Q) u2 + 2 ((a - L)2 + Q) u3 - a2 Q u4 and M = Q + (a2 - Q - L2) mu2 - a2 mu4.
//!
//! Written so, a ray runs through its turning points without anyone watching for them, and through the horizon: u where a
//! ray meets the equatorial plane is a smooth function of where it came from.

/// Energy is 1; a ray is these constants and its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ray {
    /// Spin of the hole.
    pub spin: f64,
    /// Angular momentum along the axis per energy, L.
    pub momentum: f64,
    /// Carter's constant per energy squared, Q.
    pub carter: f64,
    /// u, du, mu, dmu by Mino time.
    pub state: [f64; 4],
}

/// Steps are so long, in units of the shortest time scale of the equations: the plane is met to about 1e-6 of r.
const STEP: f64 = 0.08;
const MOST_STEPS: usize = 4000;
/// Far inside the horizon.
pub(super) const DEEPEST: f64 = 8.0;

impl Ray {
    /// Makes the ray that arrives at an observer at infinity, backwards: image coordinates `alpha` (to the right, where the disc recedes
    /// for positive spin) and `beta` (up), inclination by cosine and sine.
    pub fn from_image(spin: f64, cosine: f64, sine: f64, alpha: f64, beta: f64) -> Self {
        Self {
            spin,
            momentum: -alpha * sine,
            carter: beta * beta + (alpha * alpha - spin * spin) * cosine * cosine,
            state: [0.0, 1.0, cosine, sine * beta],
        }
    }

    /// Makes a ray from rest on the axis, at an angle from the way down.
    pub fn from_axis(spin: f64, height: f64, angle: f64) -> Self {
        let a2 = spin * spin;
        let sine = angle.sin();
        let rho = height * height + a2;
        let carter = sine * sine * rho * rho / super::metric::delta(spin, height) - a2;
        let u = 1.0 / height;
        let potential = 1.0 + (a2 - carter) * u * u + 2.0 * (a2 + carter) * u.powi(3) - a2 * carter * u.powi(4);
        let speed = potential.max(0.0).sqrt().copysign(angle.cos());
        Self { spin, momentum: 0.0, carter, state: [u, speed, 1.0, 0.0] }
    }

    /// Behind infinity, where u is negative, there is no gravity: light goes straight on, and meets the plane before it comes back.
    #[inline(always)]
    fn accelerations(&self, u: f64, mu: f64) -> (f64, f64) {
        let (a2, l, q) = (self.spin * self.spin, self.momentum, self.carter);
        let away = self.spin - l;
        let du = u * ((a2 - l * l - q) + u.max(0.0) * (3.0 * (away * away + q) - 2.0 * a2 * q * u));
        let dmu = mu * ((a2 - q - l * l) - 2.0 * a2 * mu * mu);
        (du, dmu)
    }

    /// One Runge-Kutta step of fourth order.
    #[inline(always)]
    fn step(&self, y: [f64; 4], h: f64) -> [f64; 4] {
        let rate = |y: [f64; 4]| {
            let (du, dmu) = self.accelerations(y[0], y[2]);
            [y[1], du, y[3], dmu]
        };
        let ahead = |k: [f64; 4], h: f64| [y[0] + h * k[0], y[1] + h * k[1], y[2] + h * k[2], y[3] + h * k[3]];
        let k1 = rate(y);
        let k2 = rate(ahead(k1, 0.5 * h));
        let k3 = rate(ahead(k2, 0.5 * h));
        let k4 = rate(ahead(k3, h));
        std::array::from_fn(|i| y[i] + h / 6.0 * (k1[i] + 2.0 * (k2[i] + k3[i]) + k4[i]))
    }

    /// Traces a ray that begins above the equatorial plane to it, through the horizon where that lies in between.
    /// Returns u where it gets there; 0 where it leaves to infinity.
    pub fn to_plane(&self) -> f64 {
        self.meet(0.0)
    }

    /// Traces a ray as [`Ray::to_plane`]; it may begin in the plane, on the way up. One that leaves to infinity goes on behind it, where u is negative:
    /// so u is a smooth function of where the ray came from there, too.
    pub fn through_infinity(&self) -> f64 {
        self.meet(f64::NEG_INFINITY)
    }

    /// Traces a ray to the plane, and no further out than `least`.
    fn meet(&self, least: f64) -> f64 {
        let (a2, l, q) = (self.spin * self.spin, self.momentum, self.carter);
        let still = (q + l * l).abs() + a2 + (a2 - l * l - q).abs() + 1.0;
        let growing = 6.0 * ((self.spin - l).powi(2) + q.abs());
        let mut y = self.state;
        for _ in 0..MOST_STEPS {
            let h = STEP / (still + growing * y[0].abs()).sqrt();
            let next = self.step(y, h);
            if next[2] <= 0.0 && y[2] > 0.0 {
                // Newton's method on the length of the step; mu is nearly straight within one.
                let mut t = h * y[2] / (y[2] - next[2]);
                let mut there = self.step(y, t);
                for _ in 0..6 {
                    if there[2].abs() < 1e-15 || there[3] >= 0.0 {
                        break;
                    }
                    t = (t - there[2] / there[3]).clamp(0.0, h);
                    there = self.step(y, t);
                }
                return there[0].max(least);
            }
            y = next;
            if y[0] >= DEEPEST {
                return DEEPEST;
            }
            if y[0] <= least && y[1] < 0.0 {
                return least;
            }
        }
        least.max(-1.0)
    }
}

/// Tolerances that a last step of [`root`] may be long.
const LONGEST: f64 = 20.0;

/// Finds where an increasing function passes 0 by secants, kept inside of what is known of it. `slope`: a first guess of its derivative.
pub(super) fn root(mut x: f64, slope: f64, tolerance: f64, mut value: impl FnMut(f64) -> f64) -> f64 {
    let (mut lo, mut hi) = (f64::NEG_INFINITY, f64::INFINITY);
    let mut slope = slope.max(1e-3);
    let (mut last_x, mut last) = (x, f64::NAN);
    for k in 0..100 {
        let f = value(x);
        if f.abs() < tolerance {
            // One more step costs nothing. It is a short one, whatever the slope: that of two near points may be the noise of their rays.
            return x - if last.is_nan() { 0.0 } else { (f / slope).clamp(-LONGEST * tolerance, LONGEST * tolerance) };
        }
        if f > 0.0 {
            hi = hi.min(x);
        } else {
            lo = lo.max(x);
        }
        if !last.is_nan() && x != last_x {
            let found = (f - last) / (x - last_x);
            if found.is_finite() && found > 0.0 {
                slope = found;
            }
        }
        (last_x, last) = (x, f);
        let step = (f / slope).clamp(-0.7, 0.7);
        x -= step;
        // Secants that do not arrive are halved.
        if k > 20 && k % 2 == 1 && lo.is_finite() && hi.is_finite() {
            x = 0.5 * (lo + hi);
        }
        if !(x > lo && x < hi) {
            x = if lo.is_finite() && hi.is_finite() { 0.5 * (lo + hi) } else { last_x - 0.7f64.copysign(f) };
        }
        if hi - lo < 1e-13 {
            break;
        }
    }
    x
}
