//! Closed forms of the Kerr metric (Bardeen, Press & Teukolsky 1972, ApJ 178, 347).

/// Computes the radius of the outer horizon.
pub fn horizon(spin: f64) -> f64 {
    1.0 + (1.0 - spin * spin).max(0.0).sqrt()
}

/// Computes the radius of the innermost stable circular orbit (equation 2.21 there), which is the marginally stable one.
pub fn isco(spin: f64) -> f64 {
    let z1 = 1.0 + (1.0 - spin * spin).cbrt() * ((1.0 + spin).cbrt() + (1.0 - spin).cbrt());
    let z2 = (3.0 * spin * spin + z1 * z1).sqrt();
    let root = ((3.0 - z1) * (3.0 + z1 + 2.0 * z2)).max(0.0).sqrt();
    3.0 + z2 - root.copysign(spin)
}

/// Computes r^2 - 2 r + a^2.
pub fn delta(spin: f64, r: f64) -> f64 {
    r * r - 2.0 * r + spin * spin
}

/// Computes the angular velocity of a circular orbit in the equatorial plane.
pub fn angular_velocity(spin: f64, r: f64) -> f64 {
    1.0 / (r * r.sqrt() + spin)
}

/// Computes dt/dtau of a circular orbit in the equatorial plane.
pub fn orbit_time(spin: f64, r: f64) -> f64 {
    let root = r.sqrt();
    (r * root + spin) / (root * (r * r - 3.0 * r + 2.0 * spin * root).max(1e-300).sqrt())
}

/// Computes dt/dtau of an observer at rest on the axis.
pub fn axis_time(spin: f64, height: f64) -> f64 {
    ((height * height + spin * spin) / delta(spin, height)).sqrt()
}

/// Computes energy at infinity over energy in the disc of light with angular momentum `momentum` per energy.
pub fn disc_shift(spin: f64, r: f64, momentum: f64) -> f64 {
    1.0 / (orbit_time(spin, r) * (1.0 - angular_velocity(spin, r) * momentum))
}

/// Computes the area of a ring in the frame of the disc's matter per unit of r, both sides of a ring counting once: proper area times the
/// Lorentz factor against locally non-rotating observers (Wilkins & Fabian 2012, MNRAS 424, 1284).
pub fn ring_area(spin: f64, r: f64) -> f64 {
    let (d, a2) = (delta(spin, r), spin * spin);
    let rho = r * r + a2;
    let proper = 2.0 * std::f64::consts::PI * ((rho * rho - a2 * d) / d).sqrt();
    let velocity = (r * r - 2.0 * spin * r.sqrt() + a2) / (d.sqrt() * (r * r.sqrt() + spin));
    proper / (1.0 - velocity * velocity).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn innermost_orbits_are_those_of_the_closed_form() {
        // Numbers of an independent program, and those of simple spins.
        for (spin, radius) in
            [(0.998, 1.2369706551751847), (-0.998, 8.99437445480357), (0.0, 6.0), (1.0, 1.0), (-1.0, 9.0)]
        {
            assert!((isco(spin) / radius - 1.0).abs() < 1e-12, "{spin}: {}", isco(spin));
        }
        // There the specific energy of an orbit is least: the shift of light without angular momentum is regular.
        assert!((orbit_time(0.0, 6.0) - 2f64.sqrt()).abs() < 1e-12);
        assert!((horizon(0.998) - 1.0632139225171164).abs() < 1e-12);
    }
}
