//! Luminosity distances as XSPEC's `cosmo` has them: for `clumin`, and for luminosities of whole models.

use super::ModelError;

/// log10 of the sphere of 1 Gpc, cm2.
pub const LOG_SPHERE: f64 = 56.077_909_4;
/// Speed of light, km/s.
const LIGHT: f64 = 299_792.458;

/// An expanding universe by XSPEC's three numbers. With a cosmological constant it is flat and `q0` is ignored; without one it holds matter
/// alone, 2 `q0` of the critical density.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosmology {
    /// Hubble's constant, km/s/Mpc.
    pub h0: f64,
    /// Deceleration parameter.
    pub q0: f64,
    /// Cosmological constant, in critical densities.
    pub lambda0: f64,
}

/// XSPEC's own.
impl Default for Cosmology {
    fn default() -> Self {
        Self { h0: 70.0, q0: 0.0, lambda0: 0.73 }
    }
}

impl Cosmology {
    /// Checks the three numbers.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] with the one that cannot be.
    pub fn new(h0: f64, q0: f64, lambda0: f64) -> Result<Self, ModelError> {
        let refuse = |text: String| Err(ModelError::Parameter(text));
        if !(h0 > 0.0 && h0.is_finite()) {
            return refuse(format!("H0 = {h0} km/s/Mpc; expected a number above 0"));
        }
        if !(0.0..=1.0).contains(&lambda0) {
            return refuse(format!("Lambda0 = {lambda0}; expected 0 to 1 (a flat universe, or none: 0)"));
        }
        if !(q0.is_finite() && (q0 >= 0.0 || lambda0 > 0.0)) {
            return refuse(format!("q0 = {q0}; expected at least 0 where Lambda0 is 0"));
        }
        Ok(Self { h0, q0, lambda0 })
    }

    /// Luminosity distance in Gpc; 0 for redshifts that are not above 0.
    ///
    /// Flat: c/H0 (1+z) times the integral of 1/sqrt((1-Lambda) (1+z)^3 + Lambda) over z. Without Lambda: Mattig's relation in the form of
    /// Terrell (1977), which has no difference of nearly equal numbers. XSPEC's own distances are approximate: its luminosities
    /// differ by 1.7e-3 at z = 0.02 and by 6e-3 at 2.3.
    pub fn luminosity_distance(&self, redshift: f64) -> f64 {
        let z = redshift.max(0.0);
        let hubble = LIGHT / self.h0 / 1000.0;
        if self.lambda0 == 0.0 {
            let root = (1.0 + 2.0 * self.q0 * z).sqrt();
            return hubble * z * (1.0 + z * (1.0 - self.q0) / (root + 1.0 + self.q0 * z));
        }
        // Gauss-Legendre with eight points in ln(1+z).
        const NODES: [(f64, f64); 4] = [
            (0.183_434_642_495_649_8, 0.362_683_783_378_362),
            (0.525_532_409_916_329, 0.313_706_645_877_887_3),
            (0.796_666_477_413_626_7, 0.222_381_034_453_374_47),
            (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
        ];
        let half = 0.5 * z.ln_1p();
        let sum: f64 = NODES
            .iter()
            .flat_map(|(n, w)| [(*n, *w), (-*n, *w)])
            .map(|(n, w)| {
                let s = (half * (1.0 + n)).exp();
                w * s / ((1.0 - self.lambda0) * s.powi(3) + self.lambda0).sqrt()
            })
            .sum();
        hubble * (1.0 + z) * half * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_direct_sums() {
        for (lambda0, h0) in [(0.73, 70.0), (0.7, 67.4), (0.01, 50.0), (1.0, 70.0)] {
            let cosmology = Cosmology::new(h0, 0.0, lambda0).unwrap();
            for z in [1e-3, 0.1, 1.0, 5.0] {
                let n = 200_000;
                let step = z / f64::from(n);
                let inverse = |z: f64| 1.0 / ((1.0 - lambda0) * (1.0 + z).powi(3) + lambda0).sqrt();
                let sum: f64 = (0..n).map(|k| inverse((f64::from(k) + 0.5) * step) * step).sum();
                let want = LIGHT / h0 / 1000.0 * (1.0 + z) * sum;
                let found = cosmology.luminosity_distance(z);
                assert!((found / want - 1.0).abs() < 1e-7, "{lambda0} {z}: {found} {want}");
            }
        }
    }

    #[test]
    fn without_lambda_distances_are_mattigs() {
        let hubble = LIGHT / 50.0 / 1000.0;
        let mattig = |q0: f64, z: f64| {
            let root = (1.0 + 2.0 * q0 * z).sqrt();
            hubble / (q0 * q0) * (q0 * z + (q0 - 1.0) * (root - 1.0))
        };
        for z in [0.01, 0.5, 3.0] {
            for q0 in [0.1, 0.5, 1.0] {
                let found = Cosmology::new(50.0, q0, 0.0).unwrap().luminosity_distance(z);
                assert!((found / mattig(q0, z) - 1.0).abs() < 1e-11, "{q0} {z}");
            }
            // Empty, and Einstein and de Sitter's.
            let empty = Cosmology::new(50.0, 0.0, 0.0).unwrap().luminosity_distance(z);
            assert!((empty / (hubble * z * (1.0 + 0.5 * z)) - 1.0).abs() < 1e-12);
            let flat = Cosmology::new(50.0, 0.5, 0.0).unwrap().luminosity_distance(z);
            let tiny = Cosmology::new(50.0, 0.0, 1e-12).unwrap().luminosity_distance(z);
            assert!((flat / tiny - 1.0).abs() < 1e-7, "{flat} {tiny}");
        }
    }

    #[test]
    fn numbers_that_no_universe_has_are_refused() {
        for (h0, q0, lambda0, part) in
            [(0.0, 0.0, 0.7, "H0"), (f64::NAN, 0.0, 0.7, "H0"), (70.0, 0.0, 1.5, "Lambda0"), (70.0, -0.1, 0.0, "q0")]
        {
            assert!(Cosmology::new(h0, q0, lambda0).unwrap_err().to_string().contains(part));
        }
        assert_eq!(Cosmology::default().luminosity_distance(-0.1), 0.0);
        assert_eq!(Cosmology::new(70.0, 0.0, 0.73), Ok(Cosmology::default()));
    }
}
