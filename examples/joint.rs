//! Two spectra of one source analysed together, with a free factor between the calibrations of their instruments.
//!
//! cargo run --release --example joint

use rontgen::{
    device::{Device, RowBlocks},
    model::{JointParameters, Model, Parameters, Prior, Program, Setting, Settings},
    numerics::statistics::Description,
    observation::{Dataset, Observations, demo_instrument},
    reference::{NestedSettings, nested},
    simulate::{ArmSpec, Coordinates, Outputs, Simulator, Source, no_tick},
};

/// Name, truth and posterior of each parameter.
type Found = Vec<(String, f64, Description)>;

/// Analyses a mock observation: the truth of each parameter and what the posterior says of it.
pub fn analyse(device: &Device) -> Result<Found, Box<dyn std::error::Error>> {
    // Two data sets on one axis of bins: the built-in instrument twice. observation::load reads files.
    let sets = ["a", "b"].map(|name| Dataset { name: name.into(), ..demo_instrument() });
    let observations = Observations::new(sets.into())?;

    // One model for both, and a parameter of the instruments: what b measures over what its response says.
    let model = Model::parse("tbabs*powerlaw", &Settings::default())?;
    let priors = [("tbabs.nH", 0.01, 1.0), ("powerlaw.PhoIndex", 1.0, 3.0), ("powerlaw.norm", 1e-4, 1e-2)];
    let settings = priors.map(|(name, lo, hi)| (name.to_string(), Setting::Free(Prior::LogUniform { lo, hi })));
    let mut joint = JointParameters::new();
    let source = joint.add_model(&Parameters::resolve(&model, &settings.into())?, &str::to_owned)?;
    let factor = joint.add_instrument("factor@b", "", Prior::LogNormal { mean_ln: 0.0, sd_ln: 0.1 })?;
    let parameters = joint.of(source).ok_or("no such model")?;

    // An arm for each data set: the model through its response into its columns; that of b times the factor.
    let program = Program::new(&model, &observations.sets()[0].folded.edges)?;
    let mut arms: Vec<ArmSpec<'_>> =
        observations.iter().map(|(set, columns)| ArmSpec::new(&program, &parameters, &set.folded, columns)).collect();
    arms[1] = arms[1].clone().times(factor);
    // Counts of both for a truth, and what compares parameters with them.
    let truth = vec![0.3, 1.7, 1e-3, 1.15];
    let maker = Simulator::poisson(device, &arms, &observations)?;
    let mut counts = RowBlocks::empty(device, 1, maker.bins(), 1);
    let outputs = Outputs { counts: Some(&mut counts), ..Outputs::default() };
    let at = maker.physical(std::slice::from_ref(&truth))?;
    maker.run(Coordinates::Physical, &at, Source { seed: 1, stream: 0 }, outputs, &mut no_tick)?;
    let counts: Vec<u32> = counts.download()?.iter().map(|&count| count as u32).collect();
    let simulator = Simulator::poisson(device, &arms, &observations.clone().with_counts(&counts)?)?;
    // Nested sampling gives weighted points of the prior's unit cube.
    let found = nested::sample(&mut &simulator, &NestedSettings::default(), None, &mut |_| Ok(()))?;
    let points: Vec<Vec<f64>> =
        found.points.cube.chunks_exact(truth.len()).map(|cube| parameters.from_cube(cube)).collect();
    let describe = |k: usize| {
        let column: Vec<f64> = points.iter().map(|point| point[k]).collect();
        (joint.free()[k].name.clone(), truth[k], Description::weighted(&column, &found.evidence.weights))
    };
    Ok((0..truth.len()).map(describe).collect())
}

pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, truth, found) in analyse(&Device::open("auto")?)? {
        println!("{name}: {:.5} +- {:.5} (truth {truth})", found.median, found.std);
    }
    Ok(())
}
