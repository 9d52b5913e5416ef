//! Several data sets, factors and added models in one simulator: against the whole they are parts of, and against f64.

use crate::simulate::devices;
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::kernels::random;
use rontgen::model::{JointParameters, Model, Parameters, Prior, Program, Setting, Settings};
use rontgen::observation::{Bin, Dataset, FoldedResponse, Observations, demo_instrument};
use rontgen::simulate::{
    ArmSpec, Compression, Coordinates, Outputs, Simulator, Source, Statistic, compress, no_tick, oracle,
};
use std::ops::Range;

/// The bins `range` of a data set, with the same energies.
fn part(whole: &Dataset, name: &str, range: Range<usize>) -> Dataset {
    let FoldedResponse { edges, row_start, column, value } = &whole.folded;
    let elements = row_start[range.start] as usize..row_start[range.end] as usize;
    let folded = FoldedResponse {
        edges: edges.clone(),
        row_start: row_start[range.start..=range.end].iter().map(|at| at - row_start[range.start]).collect(),
        column: column[elements.clone()].to_vec(),
        value: value[elements].to_vec(),
    };
    let bins: Vec<Bin> = whole.bins[range.clone()].to_vec();
    Dataset { name: name.into(), bins, counts: whole.counts[range].to_vec(), folded, ..whole.clone() }
}

fn free(lo: f64, hi: f64) -> Setting {
    Setting::Free(Prior::LogUniform { lo, hi })
}

fn resolved(expression: &str, settings: &[(&str, Setting)]) -> (Model, Parameters) {
    let model = Model::parse(expression, &Settings::default()).unwrap();
    let settings = settings.iter().map(|(name, setting)| (name.to_string(), setting.clone())).collect();
    let parameters = Parameters::resolve(&model, &settings).unwrap();
    (model, parameters)
}

fn source() -> (Model, Parameters) {
    resolved(
        "tbabs*(powerlaw+gaussian)",
        &[
            ("tbabs.nH", Setting::Free(Prior::Uniform { lo: 0.0, hi: 1.0 })),
            ("powerlaw.PhoIndex", Setting::Free(Prior::Uniform { lo: 1.0, hi: 3.0 })),
            ("powerlaw.norm", free(1e-4, 1e-2)),
            ("gaussian.LineE", Setting::Frozen(6.4)),
            ("gaussian.Sigma", Setting::Frozen(0.1)),
            ("gaussian.norm", free(1e-6, 1e-3)),
        ],
    )
}

/// Some counts in every bin, more of them at low energies.
fn observed() -> Dataset {
    let whole = demo_instrument();
    let counts = (0..whole.bins.len()).map(|bin| 3 + (200 / (1 + bin)) as u32).collect();
    whole.with_counts(counts).unwrap()
}

/// Counts, twin, expected counts and log-likelihoods of `rows` draws from the prior.
fn pass(simulator: &Simulator, rows: usize) -> [Vec<f32>; 4] {
    let device = simulator.device();
    let mut cube = Tensor::zeros(device, rows, simulator.names().len());
    random::fill_uniform(device, 5, 1, 0, &mut cube);
    let blocks = |size| RowBlocks::empty(device, rows, simulator.bins(), size);
    let (mut counts, mut twin, mut expected) = (blocks(30), blocks(1000), blocks(64));
    let mut log_likelihood = Tensor::zeros(device, rows, 1);
    let outputs = Outputs {
        counts: Some(&mut counts),
        twin: Some(&mut twin),
        expected: Some(&mut expected),
        log_likelihood: Some(&mut log_likelihood),
        background: false,
    };
    simulator.run(Coordinates::Cube, &cube, Source { seed: 9, stream: 4 }, outputs, &mut no_tick).unwrap();
    let likelihood = log_likelihood.download().unwrap();
    // Without room for the expected counts, the same.
    assert_eq!(simulator.log_likelihood(&cube, &mut no_tick).unwrap().download().unwrap(), likelihood);
    [counts.download().unwrap(), twin.download().unwrap(), expected.download().unwrap(), likelihood]
}

fn physical(simulator: &Simulator, points: &[Vec<f64>]) -> Vec<f32> {
    let theta = simulator.physical(points).unwrap();
    let mut expected = RowBlocks::empty(simulator.device(), points.len(), simulator.bins(), usize::MAX);
    simulator.expected(Coordinates::Physical, &theta, &mut expected).unwrap();
    expected.download().unwrap()
}

/// Points of the unit cube of `parameters`, made physical.
fn points(parameters: &Parameters, n: u32) -> Vec<Vec<f64>> {
    let coordinate = |s: u32, k: u32| f64::from(random::unit(random::block([9, 9], 1, s, k, 0)[0]));
    (0..n)
        .map(|s| {
            parameters.from_cube(&(0..parameters.free().len() as u32).map(|k| coordinate(s, k)).collect::<Vec<_>>())
        })
        .collect()
}

/// Relative to the peak of its row where it is small, as in the tests of single models.
fn near(found: &[f32], wanted: &[Vec<f64>], device: &Device) {
    for (row, wanted) in found.chunks(wanted[0].len()).zip(wanted) {
        let peak = wanted.iter().copied().fold(0.0, f64::max);
        for (bin, (&found, &wanted)) in row.iter().zip(wanted).enumerate() {
            let error = (f64::from(found) - wanted).abs();
            assert!(error < 2e-5 * wanted + 2e-7 * peak, "bin {bin}: {found} for {wanted} on {}", device.name());
        }
    }
}

/// The two halves of a data set are the whole: the same counts, twins, expected counts and likelihoods, bit for bit, whether the second
/// evaluates the model itself or takes the flux of the first. (Strips of eight bins are summed alike where they are cut alike.)
#[test]
fn two_halves_are_the_whole() {
    let (model, parameters) = source();
    let whole = observed();
    let half = whole.bins.len() / 16 * 8;
    let halves =
        Observations::new(vec![part(&whole, "low", 0..half), part(&whole, "high", half..whole.bins.len())]).unwrap();
    assert_eq!(halves.counts(), whole.counts);
    let program = Program::new(&model, &whole.folded.edges).unwrap();
    let other = program.clone();
    for device in devices() {
        let one = Simulator::new(&device, &program, &parameters, &whole.folded, &whole.counts).unwrap();
        let wanted = pass(&one, 150);
        assert!(wanted[0].iter().sum::<f32>() > 1e5);
        for second in [&program, &other] {
            let [low, high] = [0, 1].map(|k| {
                let program = if k == 0 { &program } else { second };
                ArmSpec::new(program, &parameters, &halves.sets()[k].folded, halves.columns()[k].clone())
            });
            let mut joint = Simulator::poisson(&device, &[low.clone(), high.clone()], &halves).unwrap();
            assert_eq!(joint.bins(), whole.bins.len());
            let shared = std::ptr::eq(second, &program);
            assert_eq!(joint.energies(), if shared { 1 } else { 2 } * one.energies());
            assert!(pass(&joint, 150) == wanted, "on {}", device.name());
            // A statistic for each data set: the same sum.
            let statistics = halves.columns().iter().map(|columns| (columns.clone(), Statistic::Poisson));
            let statistics: Vec<_> = statistics.collect();
            let each = Simulator::joint(&device, &[low, high], &whole.counts, &statistics).unwrap();
            assert!(pass(&each, 150) == wanted);
            // Model and fold in one kernel, where that can be: the same but for the order of sums.
            if joint.fold_while_evaluating(true) && device.is_gpu() {
                for (found, wanted) in pass(&joint, 150)[2].iter().zip(&wanted[2]) {
                    assert!((found - wanted).abs() <= 2e-6 * wanted.abs(), "{found} in one kernel, {wanted} in two");
                }
            }
        }
    }
}

/// A factor multiplies what its data set expects, rounded once, and nothing of the other; a fixed one as well as a free one.
#[test]
fn a_factor_multiplies_its_data_set() {
    let (model, own) = source();
    let sets = ["a", "b"].map(|name| Dataset { name: name.into(), ..observed() });
    let both = Observations::new(sets.into()).unwrap();
    let bins = both.sets()[0].bins.len();
    let mut joint = JointParameters::new();
    let number = joint.add_model(&own, &str::to_owned).unwrap();
    let factor = joint.add_instrument("factor@b", "", Prior::LogNormal { mean_ln: 0.0, sd_ln: 0.2 }).unwrap();
    let parameters = joint.of(number).unwrap();
    let program = Program::new(&model, &both.sets()[0].folded.edges).unwrap();
    let points = points(&parameters, 40);
    for device in devices() {
        let arms: Vec<ArmSpec<'_>> =
            both.iter().map(|(set, columns)| ArmSpec::new(&program, &parameters, &set.folded, columns)).collect();
        let plain = physical(&Simulator::poisson(&device, &arms, &both).unwrap(), &points);
        let fixed = rontgen::model::MapEntry { free: -1, scale: 0.0, offset: 0.75 };
        for (entry, name) in [(factor, "free"), (fixed, "fixed")] {
            let arms = [arms[0].clone(), arms[1].clone().times(entry)];
            let mut simulator = Simulator::poisson(&device, &arms, &both).unwrap();
            assert_eq!(simulator.names()[4], "factor@b");
            let found = physical(&simulator, &points);
            for ((found, plain), point) in found.chunks(2 * bins).zip(plain.chunks(2 * bins)).zip(&points) {
                let weight = if name == "free" { point[4] as f32 } else { 0.75 };
                assert_eq!(found[..bins], plain[..bins], "{name} on {}", device.name());
                let wanted: Vec<f32> = plain[bins..].iter().map(|mean| mean * weight).collect();
                assert_eq!(found[bins..], wanted, "{name} on {}", device.name());
            }
            if simulator.fold_while_evaluating(true) && device.is_gpu() {
                near(&physical(&simulator, &points), &oracle::joint_counts(&arms, 2 * bins, &points), &device);
            }
        }
    }
}

/// A background model of its own, with a response of its own, adds to the columns of a data set: the sum of both, in f64.
#[test]
fn an_added_model_adds() {
    let (model, own) = source();
    let (nxb, background) =
        resolved("powerlaw", &[("powerlaw.PhoIndex", Setting::Frozen(0.3)), ("powerlaw.norm", free(1e-4, 1e-2))]);
    let set = observed();
    let bins = set.bins.len();
    let mut joint = JointParameters::new();
    let first = joint.add_model(&own, &str::to_owned).unwrap();
    let second = joint.add_model(&background, &|name| format!("nxb:{name}")).unwrap();
    let scale = joint.add_instrument("scale", "", Prior::Uniform { lo: 0.5, hi: 2.0 }).unwrap();
    let [first, second] = [first, second].map(|k| joint.of(k).unwrap());
    // A diagonal response on energies of its own: a bin of the spectrum each.
    let mut edges: Vec<f64> = set.bins.iter().map(|bin| bin.e_min).collect();
    edges.push(set.bins[bins - 1].e_max);
    let diagonal = FoldedResponse {
        edges,
        row_start: (0..=bins as u32).collect(),
        column: (0..bins as u32).collect(),
        value: vec![20_000.0; bins],
    };
    let program = Program::new(&model, &set.folded.edges).unwrap();
    let other = Program::new(&nxb, &diagonal.edges).unwrap();
    let points = points(&first, 60);
    for device in devices() {
        let arms = [
            ArmSpec::new(&program, &first, &set.folded, 0..bins),
            ArmSpec::new(&other, &second, &diagonal, 0..bins).times(scale).added(),
        ];
        let statistics = [(0..bins, Statistic::Poisson)];
        let mut simulator = Simulator::joint(&device, &arms, &set.counts, &statistics).unwrap();
        assert_eq!(simulator.names()[4..], ["nxb:powerlaw.norm", "scale"]);
        let wanted = oracle::joint_counts(&arms, bins, &points);
        // The background is a third and more of some spectra, and next to nothing of others.
        let source = oracle::expected_counts(&program, &first, &set.folded, &points);
        let share = |(sum, source): (&Vec<f64>, &Vec<f64>)| 1.0 - source.iter().sum::<f64>() / sum.iter().sum::<f64>();
        let shares: Vec<f64> = wanted.iter().zip(&source).map(share).collect();
        assert!(shares.iter().all(|share| *share > 0.0) && shares.iter().any(|share| *share > 0.3), "{shares:?}");
        near(&physical(&simulator, &points), &wanted, &device);
        let theta = simulator.physical(&points).unwrap();
        let mut out = Tensor::zeros(&device, points.len(), 1);
        let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
        simulator.run(Coordinates::Physical, &theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick).unwrap();
        for (found, wanted) in out.download().unwrap().iter().zip(&wanted) {
            let exact = -0.5 * oracle::cstat(&set.counts, wanted);
            assert!((f64::from(*found) - exact).abs() < 0.005f64.max(2e-6 * exact.abs()), "{found} for {exact}");
        }
        if simulator.fold_while_evaluating(true) && device.is_gpu() {
            near(&physical(&simulator, &points), &wanted, &device);
        }
    }
}

/// Each arm on the energies that its compression kept: C-STAT of all data sets together changes by less than the bound.
#[test]
fn arms_are_compressed_one_by_one() {
    let (model, own) = source();
    let sets = ["a", "b"].map(|name| Dataset { name: name.into(), ..observed() });
    let both = Observations::new(sets.into()).unwrap();
    let mut joint = JointParameters::new();
    let number = joint.add_model(&own, &str::to_owned).unwrap();
    let factor = joint.add_instrument("factor@b", "", Prior::LogNormal { mean_ln: 0.0, sd_ln: 0.2 }).unwrap();
    let parameters = joint.of(number).unwrap();
    let program = Program::new(&model, &both.sets()[0].folded.edges).unwrap();
    let bound = compress::share(compress::MOST_CHANGE, 2);
    assert!(bound < compress::MOST_CHANGE && (compress::share(0.01, 1) - 0.01).abs() < 1e-12);
    let kept: Vec<Compression> = both
        .sets()
        .iter()
        .map(|set| Compression::find(&program, &parameters, &set.folded, set.total(), bound).unwrap())
        .collect();
    let factors = [None, Some(factor)];
    let columns = both.columns();
    let exact: Vec<ArmSpec<'_>> = (0..2)
        .map(|k| ArmSpec::new(&program, &parameters, &both.sets()[k].folded, columns[k].clone()))
        .zip(factors)
        .map(|(arm, factor)| factor.into_iter().fold(arm, ArmSpec::times))
        .collect();
    let compressed: Vec<ArmSpec<'_>> = (0..2)
        .map(|k| ArmSpec::compressed(&kept[k], &parameters, columns[k].clone()))
        .zip(factors)
        .map(|(arm, factor)| factor.into_iter().fold(arm, ArmSpec::times))
        .collect();
    let points = points(&parameters, 200);
    let (m, c) =
        (oracle::joint_counts(&exact, both.bins(), &points), oracle::joint_counts(&compressed, both.bins(), &points));
    let mut largest = 0f64;
    for (m, c) in m.iter().zip(&c) {
        let scale = both.total() as f64 / m.iter().sum::<f64>();
        let q: f64 = m.iter().zip(c).map(|(m, c)| scale * (c - m) * (c - m) / m.max(1e-9)).sum();
        largest = largest.max(compress::change(q));
    }
    println!("kept {} of {} energies; bound on the change {largest:.1e}", kept[0].report.kept, program.energies());
    assert!(largest > 0.0 && largest < compress::MOST_CHANGE, "{largest}");
    for device in devices() {
        let simulator = Simulator::poisson(&device, &compressed, &both).unwrap();
        assert_eq!(simulator.energies(), kept.iter().map(|kept| kept.report.kept).sum::<usize>());
        near(&physical(&simulator, &points), &c, &device);
    }
}

/// Arms that do not fill the axis are refused with what is wrong with them; faults name the parameters of all models.
#[test]
fn arms_that_do_not_fit_are_refused() {
    let (model, own) = source();
    let set = observed();
    let bins = set.bins.len();
    let program = Program::new(&model, &set.folded.edges).unwrap();
    let arm = || ArmSpec::new(&program, &own, &set.folded, 0..bins);
    let device = Device::cpu();
    let statistics = [(0..bins, Statistic::Poisson)];
    let refused = |arms: &[ArmSpec<'_>], statistics: &[(Range<usize>, Statistic)], part: &str| {
        let error = Simulator::joint(&device, arms, &set.counts, statistics).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&[], &statistics, "no arm");
    refused(&[arm(), arm()], &statistics, "arm 2: it sets column 0, which an arm before it sets");
    refused(&[arm().added()], &statistics, "arm 1: it adds to column 0, which no arm before it sets");
    refused(&[ArmSpec::new(&program, &own, &set.folded, 1..bins)], &statistics, "for the");
    let low = part(&set, "low", 0..8);
    refused(&[ArmSpec::new(&program, &own, &low.folded, 0..8)], &statistics, "no arm sets column 8");
    let mut other = own.clone();
    other.set_prior(0, Prior::Uniform { lo: 0.0, hi: 2.0 });
    refused(
        &[arm(), ArmSpec::new(&program, &other, &set.folded, 0..bins).added()],
        &statistics,
        "arm 2: its free parameters",
    );
    let factor = rontgen::model::MapEntry { free: 7, scale: 1.0, offset: 0.0 };
    refused(&[arm().times(factor)], &statistics, "a factor of");
    refused(&[arm()], &[(0..8, Statistic::Poisson)], "columns 8 to");
    refused(&[arm()], &[(0..8, Statistic::Poisson), (9..bins, Statistic::Poisson)], "expected them to start at 8");

    let mut joint = JointParameters::new();
    let number = joint.add_model(&own, &str::to_owned).unwrap();
    let factor = joint.add_instrument("factor", "", Prior::Uniform { lo: 0.5, hi: 2.0 }).unwrap();
    let parameters = joint.of(number).unwrap();
    for device in devices() {
        let arms = [ArmSpec::new(&program, &parameters, &set.folded, 0..bins).times(factor)];
        let simulator = Simulator::joint(&device, &arms, &set.counts, &statistics).unwrap();
        let mut rows = vec![vec![0.1, 2.0, 1e-3, 1e-5, 1.0]; 40];
        rows[33][4] = f64::INFINITY;
        let theta = simulator.physical(&rows).unwrap();
        let mut out = RowBlocks::empty(&device, 40, bins, 1000);
        let error = simulator.expected(Coordinates::Physical, &theta, &mut out).unwrap_err().to_string();
        assert!(error.contains("spectrum 33") && error.contains("factor = inf"), "{error} on {}", device.name());
    }
}
