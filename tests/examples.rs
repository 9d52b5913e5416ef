//! The programs of `examples/` as they stand there.

#[path = "../examples/amortise.rs"]
mod amortise;
#[path = "../examples/joint.rs"]
mod joint;
#[path = "../examples/likelihood.rs"]
mod likelihood;
#[path = "../examples/own_component.rs"]
mod own_component;
#[path = "../examples/own_simulator.rs"]
mod own_simulator;
#[path = "../examples/posterior.rs"]
mod posterior;

#[test]
fn a_posterior_in_memory() {
    posterior::main().unwrap();
    let posterior = posterior::posterior().unwrap();
    let index = posterior.summary.parameter("powerlaw.PhoIndex").unwrap();
    assert!((index.median - 1.8).abs() < 3.0 * index.std && index.std < 0.1, "{index:?}");
    assert_eq!(posterior.samples.array().dim(), (posterior.chosen.len(), 2));
    assert_eq!(posterior.cstat().len(), posterior.chosen.len());
    assert!(!posterior.verdict().refused(), "{:?}", posterior.verdict());
}

/// None of the four medians lies further than four standard deviations from its truth (one seed in 4000 has that).
#[test]
fn two_data_sets_together() {
    joint::main().unwrap();
    let found = joint::analyse(&rontgen::device::Device::cpu()).unwrap();
    assert_eq!(found.len(), 4);
    for (name, truth, found) in found {
        let off = (found.median - truth).abs();
        assert!(off < 4.0 * found.std && found.std < 0.2 * truth, "{name}: {found:?} for {truth}");
    }
}

/// The evidence of draws from the prior is that of their likelihoods' mean; so many draws know it to a few per cent.
#[test]
fn likelihoods_in_batches() {
    likelihood::main().unwrap();
    let (_, index) = likelihood::weighed().unwrap();
    assert!((index - 1.9).abs() < 0.1, "{index}");
}

/// The counts that were made with the middle of the prior: the truth lies within a few standard deviations, which are those that so many
/// counts allow (26 x 16 counts: 5 % of the amplitude) and not those of the prior.
#[test]
fn a_simulator_of_ones_own() {
    own_simulator::main().unwrap();
    let [[amplitude, a], [decay, d]] = own_simulator::posterior().unwrap();
    assert!((amplitude - 26.0).abs() < 4.0 * a && a < 5.0, "{amplitude} {a}");
    assert!((decay - 16.5).abs() < 4.0 * d && d < 4.0, "{decay} {d}");
}

#[test]
fn a_component_of_ones_own() {
    own_component::main().unwrap();
}

#[test]
fn networks_for_any_spectrum() {
    amortise::main().unwrap();
    let found = amortise::indices().unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().zip([1.5, 1.9, 2.3]).all(|(found, truth)| (found - truth).abs() < 0.05), "{found:?}");
}
