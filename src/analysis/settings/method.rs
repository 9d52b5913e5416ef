//! Which way leads to the posterior.

named! {
    /// Which way leads from the spectrum to the posterior.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Method {
        /// Rounds of simulations and networks, then importance weights (neural posterior estimation).
        #[default]
        Npe = "npe",
        /// Nested sampling on the exact likelihood, without networks.
        Nested = "nested",
        /// Whichever of the two is expected to take less time on the device of the run.
        Auto = "auto",
    }
}

impl Method {
    /// What it does, for people.
    pub fn words(self) -> &'static str {
        match self {
            Method::Npe => "training",
            Method::Nested => "nested sampling",
            Method::Auto => "the quicker way",
        }
    }
}

/// Seconds that both ways were expected to take when "auto" chose one of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Networks, training included.
    pub npe: f64,
    /// Nested sampling.
    pub nested: f64,
}

impl Expected {
    /// The quicker way.
    pub fn quicker(self) -> Method {
        if self.nested < self.npe { Method::Nested } else { Method::Npe }
    }
}
