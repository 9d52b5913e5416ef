//! The science of a run, from a problem to its posterior in memory. No file, no printing, no run file, no environment: what is to be kept goes
//! into a [`Store`], what is to be said to an [`Observer`].
//!
//! | file | what |
//! |---|---|
//! | `problem`, `settings` | what is analysed, and how |
//! | `statistic` | what compares counts with the model, and what it takes of a background |
//! | `observer`, `store` | who watches, and where states and networks are kept |
//! | `context`, `likelihood` | what every step needs; likelihoods at points, for steps and for samplers of the caller's own |
//! | `infer` | the ways to a posterior, each to its end |
//! | `rounds`, `networks`, `saved` | the rounds on the device, their networks, and what is kept of them |
//! | `streams` | the random streams of every stage |
//! | `exposure`, `extension`, `range` | exposures that vary; bounds of norms that are moved apart; draws that cannot be simulated |
//! | `refine`, `refined`, `emulate` | draws, likelihoods (exact, or learnt from exact ones) and weights after the rounds, and what they say |
//! | `fallback` | what follows on weights that are not to be trusted |
//! | `reference` | nested sampling and ensembles of walkers |
//! | `method` | what each way would take on this device |
//! | `tension` | whether data sets that are analysed together agree |
//! | `mocks`, `calibration`, `latent`, `residual` | known truths, ranks, and whether the model can have made the data |
//! | `amortised`, `adapt` | the networks on other spectra, and proposals that adapt to each of them |
//! | `spectra` | folded and unfolded spectrum with their bands and components |
//! | `evaluate` | likelihoods and simulations at points, on a device or in f64 |
//! | `derive` | fluxes, luminosities and equivalent widths of a posterior's draws |

pub(crate) mod adapt;
pub mod amortised;
pub(crate) mod calibration;
pub(crate) mod context;
pub mod derive;
pub(crate) mod emulate;
pub mod evaluate;
pub(crate) mod exposure;
mod extension;
pub(crate) mod fallback;
pub mod infer;
mod latent;
pub mod likelihood;
pub(crate) mod method;
pub(crate) mod mocks;
pub mod networks;
pub mod numbers;
pub mod observer;
pub(crate) mod pairing;
pub mod problem;
pub(crate) mod range;
pub(crate) mod reference;
pub(crate) mod refine;
pub(crate) mod refined;
mod residual;
pub mod response;
pub mod rounds;
mod saved;
pub mod settings;
pub(crate) mod spectra;
pub mod statistic;
pub mod store;
pub(crate) mod streams;
mod tension;

pub use context::Context;
pub use infer::infer;
pub use likelihood::Likelihood;
pub use observer::Observer;
pub use problem::Problem;
pub use settings::Settings;
pub use statistic::{StatisticChoice, StatisticSettings};
pub use store::{InMemory, RoundRecord, Store};
