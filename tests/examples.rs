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

/// Outside of the priors neither kept energies nor fixed tables hold: no number comes from there.
#[test]
fn no_likelihood_comes_from_outside_of_the_priors() {
    use rontgen::analysis::{Likelihood, Problem};
    use rontgen::model::{Model, Parameters, Prior, Setting, Settings};
    let model = Model::parse("powerlaw", &Settings::default()).unwrap();
    let free = [
        ("powerlaw.PhoIndex", Setting::Free(Prior::Uniform { lo: 1.0, hi: 2.0 })),
        ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-4, hi: 1e-3 })),
    ];
    let free = free.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
    let parameters = Parameters::resolve(&model, &free).unwrap();
    let problem = Problem::new("a case", rontgen::observation::demo_instrument(), model, parameters).unwrap();
    let likelihood = Likelihood::new(&problem, &rontgen::device::Device::cpu()).unwrap();
    let theta = ndarray::arr2(&[[1.5, 5e-4], [2.5, 5e-4], [1.5, 2e-3], [f64::NAN, 5e-4], [1.2, 2e-4]]);
    let found = likelihood.ln_likelihood(theta.view()).unwrap();
    assert_eq!(found.mapv(f64::is_finite).to_vec(), [true, false, false, false, true], "{found}");
    assert!(found.iter().all(|l| l.is_finite() || *l == f64::NEG_INFINITY), "{found}");
    // No counts were observed: ln L is minus the sum of the expected ones.
    let expected = likelihood.expected(ndarray::aview2(&[[1.5, 5e-4]])).unwrap();
    assert!((f64::from(expected.sum()) + found[0]).abs() < 1e-4 * found[0].abs(), "{} {}", expected.sum(), found[0]);
    let error = likelihood.expected(theta.view()).unwrap_err().to_string();
    assert!(error.contains("point 1") && error.contains("priors"), "{error}");
    let error = likelihood.ln_likelihood(ndarray::aview2(&[[1.5, 5e-4, 1.0]])).unwrap_err().to_string();
    assert!(error.contains("3 columns") && error.contains("powerlaw.norm"), "{error}");
}

/// The run files of several spectra and of backgrounds find what they name, and have the counts that are known of them.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn run_files_with_backgrounds_open() {
    use rontgen::run::{run_file::RunFile, setup::Case};
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let data = crate::common::data("");
    let open = |name: &str| {
        let case = Case::open(RunFile::read(&folder.join(name), &[]).unwrap(), Some(&data)).unwrap();
        let sets = case.problem.observations.sets().iter().map(|set| {
            let beside = set.background.as_ref().map_or(0.0, |background| background.total());
            (set.name.clone(), set.bins.len(), set.total(), beside.round() as u64)
        });
        sets.collect::<Vec<_>>()
    };
    let names = |sets: &[(String, usize, u64, u64)]| sets.iter().map(|set| set.0.clone()).collect::<Vec<_>>();
    let pair = open("ngc7793-pn-mos.toml");
    assert_eq!(pair, [("pn".into(), 104, 10131, 855), ("mos1".into(), 100, 5851, 425)]);
    let sparse = open("chandra-sparse.toml");
    assert_eq!(names(&sparse), ["obs1", "obs2", "obs3", "obs4"]);
    assert!(sparse.iter().all(|set| set.1 == 444 && set.2 < 80 && set.3 > 0), "{sparse:?}");
    let burst = open("gbm-grb090217.toml");
    assert_eq!(
        burst,
        [("n6".into(), 112, 24843, 15263), ("n9".into(), 110, 28217, 17375), ("b1".into(), 114, 25922, 21908)]
    );
    let rows = open("hetg-3c120-rows.toml");
    assert_eq!(rows, [("meg-1".into(), 343, 30044, 1347), ("meg+1".into(), 343, 33600, 1422)]);
    let modelled = open("chandra-modelled-background.toml");
    assert_eq!(names(&modelled), ["src", "src background"]);
    assert!(modelled.iter().all(|set| set.1 == 343), "{modelled:?}");
}
