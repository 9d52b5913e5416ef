//! `inference.method`: which way leads to the posterior.

use super::{RunFileError, section::Section};

/// Which way leads from the spectrum to the posterior.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// Rounds of simulations and networks, then importance weights (neural posterior estimation).
    #[default]
    Npe,
    /// Nested sampling on the exact likelihood, without networks.
    Nested,
    /// Whichever of the two is expected to take less time on the device of the run.
    Auto,
}

impl Method {
    pub const NAMES: &'static [&'static str] = &["npe", "nested", "auto"];

    pub fn name(self) -> &'static str {
        match self {
            Method::Npe => "npe",
            Method::Nested => "nested",
            Method::Auto => "auto",
        }
    }

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
    pub npe: f64,
    pub nested: f64,
}

impl Expected {
    /// The quicker way.
    pub fn quicker(self) -> Method {
        if self.nested < self.npe { Method::Nested } else { Method::Npe }
    }
}

/// Reads `method` of `[inference]`; networks that are to serve other spectra have to be trained.
pub(super) fn read(section: &Section<'_>, amortised: bool) -> Result<Method, RunFileError> {
    let method = match section.choice("method", Method::Npe.name(), Method::NAMES)?.as_str() {
        "nested" => Method::Nested,
        "auto" => Method::Auto,
        _ => Method::Npe,
    };
    match section.get("method") {
        Some(node) if amortised && method != Method::Npe => Err(section.wrong(
            "method",
            node,
            "\"npe\" together with inference.amortised (--amortised): its networks serve other spectra, and have to be trained",
        )),
        _ => Ok(method),
    }
}
