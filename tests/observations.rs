//! Several data sets, backgrounds and named models through the run file: what is read, the numbers that others print, and what is refused.

use crate::common::data;
use crate::simulate::devices;
use rontgen::analysis::{Problem, Settings, infer};
use rontgen::device::{Device, RowBlocks, Tensor};
use rontgen::result::Posterior;
use rontgen::run::run_file::{Provenance, RunFile};
use rontgen::run::setup::Case;
use rontgen::simulate::{Coordinates, Outputs, Source, no_tick};

const SHARED: &str = r#"
[model]
expression = "constant*tbabs*(bbodyrad+powerlaw)"
abundances = "wilm"
[parameters]
"constant.factor" = 1.0
"tbabs.nH" = { uniform = [0.0, 0.5] }
"bbodyrad.kT" = { uniform = [0.3, 3.0] }
"bbodyrad.norm" = { log_uniform = [0.01, 1.0] }
"powerlaw.PhoIndex" = { uniform = [0.0, 5.0] }
"powerlaw.norm" = { log_uniform = [1e-6, 1e-2] }
"#;

/// A data set of NGC 7793 ULX-4.
fn set(name: &str, statistic: &str) -> String {
    let (spectrum, response) = match name {
        "pn" => ("PN_spectrum_grp20.fits", "PN"),
        _ => ("MOS1_spectrum_grp.fits", "MOS1"),
    };
    let background =
        spectrum.replace("_spectrum_grp20", "background_spectrum").replace("_spectrum_grp", "background_spectrum");
    format!(
        "[[observation]]\nname = \"{name}\"\nspectrum = \"{spectrum}\"\nresponse = \"{response}.rmf\"\narf = \"{response}.arf\"\n\
         background = \"{background}\"\nenergies = [0.5, 10.0]\nstatistic = \"{statistic}\"\n"
    )
}

fn parse(text: &str) -> RunFile {
    RunFile::parse(text, "run.toml", &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(text: &str) -> String {
    let run = match RunFile::parse(text, "run.toml", &[]) {
        Ok(run) => run,
        Err(error) => return error.to_string(),
    };
    Case::open(run, Some(&data("xmm_pn_ngc7793_ulx4"))).unwrap_err().to_string()
}

fn problem(text: &str, folder: &str) -> Problem {
    Case::open(parse(text), Some(&data(folder))).unwrap_or_else(|error| panic!("{error}")).problem
}

/// -2 ln L in f64 and on each device, at one point.
fn statistic(problem: &Problem, theta: &[f64]) -> f64 {
    let points = [theta.to_vec()];
    let exact = -2.0 * problem.log_likelihood_of(&problem.expected_exactly(&points)[0]);
    for device in devices() {
        let simulator = problem.exact_simulator(&device).unwrap();
        let mut out = Tensor::empty(&device, 1, 1);
        let outputs = Outputs { log_likelihood: Some(&mut out), ..Outputs::default() };
        let theta = simulator.physical(&points).unwrap();
        simulator.run(Coordinates::Physical, &theta, Source { seed: 0, stream: 0 }, outputs, &mut no_tick).unwrap();
        let found = -2.0 * f64::from(out.download().unwrap()[0]);
        assert!((found - exact).abs() < 1e-5 * exact.abs() + 2e-3, "{found} on {}, {exact} in f64", device.name());
    }
    exact
}

/// Nested sampling in memory.
fn sampled(problem: &Problem, live: usize) -> Posterior {
    let mut settings = Settings::default();
    settings.inference.method = rontgen::analysis::settings::Method::Nested;
    settings.inference.seed = 3;
    settings.reference.live = live;
    settings.output.calibration = 0;
    infer(problem, &Device::cpu(), &settings, &()).unwrap()
}

#[test]
fn a_list_of_data_sets_is_read_and_written_again() {
    let text = format!(
        "{}{}\n[observation.background_prior]\nk = 3.0\n{SHARED}\"constant.factor@mos1\" = {{ log_normal = [0.0, 0.1] }}\n",
        set("pn", "auto"),
        set("mos1", "marginal").replace("energies", "grouping = { min_counts = 25, min_background = 3 }\nenergies")
    );
    let run = parse(&text);
    assert_eq!(run.set_names(), [Some("pn".into()), Some("mos1".into())]);
    let prior: Vec<f64> = run.observations().map(|one| one.statistic.shape).collect();
    assert_eq!(prior, [10.0, 3.0]);
    assert_eq!(run.further[0].min_background, 3);
    let provenance =
        Provenance { version: "0".into(), device: "cpu".into(), run_file: "run.toml".into(), ..Provenance::default() };
    let written = run.resolved_toml(&provenance);
    let again = parse(&written);
    assert_eq!(again.identity(), run.identity());
    assert_eq!((&again.observation, &again.further), (&run.observation, &run.further));
    // One data set more is another run, and so is a key of the second.
    let other = parse(&text.replace("k = 3.0", "k = 4.0"));
    let keys: Vec<String> = run.differences(&other).into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys, ["observation[2].background_prior.k"]);
    // --set reaches every data set.
    let narrower = RunFile::parse(&text, "run.toml", &["observation.energies=[1.0, 8.0]".into()]).unwrap();
    assert!(narrower.observations().all(|one| one.energies == [[1.0, 8.0]]));
    // A list of one is one.
    let one = parse(&format!("{}{SHARED}", set("pn", "auto")));
    assert_eq!(
        one.identity(),
        parse(&format!("{}{SHARED}", set("pn", "auto").replace("[[observation]]", "[observation]"))).identity()
    );
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn what_cannot_be_meant_is_refused() {
    let two = |first: &str, second: &str, more: &str| format!("{first}{second}{SHARED}{more}");
    let (pn, mos) = (set("pn", "auto"), set("mos1", "auto"));
    let cases = [
        (two(&pn, &pn, ""), "data sets are called \"pn\" and \"pn\""),
        (two(&pn, &mos, "\"tbabs.nH@mos2\" = 0.1\n"), "no data set is called 'mos2'"),
        (two(&pn, &mos, "\"nxb:powerlaw.norm\" = 0.1\n"), "no named model is called 'nxb'"),
        (two(&pn.replace("auto", "pgstat"), &mos, ""), "Poisson counts, without errors"),
        (
            two(&pn.replace("auto", "wstat").replace("PNbackground_spectrum.fits", "none"), &mos, ""),
            "there is no background spectrum",
        ),
        (two(&pn.replace("auto", "wstats"), &mos, ""), "observation.statistic"),
        (two(&pn.replace("energies", "grouping = { min_back = 3 }\nenergies"), &mos, ""), "min_background"),
        (two(&pn.replace("PNbackground", "PNbackgrund"), &mos, ""), "PNbackgrund"),
        (
            two(&pn, &mos, "[models.nxb]\nexpression = \"powerlaw\"\ndata = [\"mos3\"]\n"),
            "no data set is called 'mos3'",
        ),
        (two(&pn, &mos, "[models.nxb]\nexpresion = \"powerlaw\"\n"), "expression"),
        (two(&pn, &mos, "[models.\"a:b\"]\nexpression = \"powerlaw\"\n"), "a name without"),
        (
            two(
                &pn.replace("PNbackground_spectrum.fits", "none"),
                &mos,
                "\"nxb:powerlaw.norm\" = 1.0\n\"nxb:powerlaw.PhoIndex\" = 1.0\n[models.nxb]\nexpression = \"powerlaw\"\n",
            ),
            "has no background spectrum",
        ),
    ];
    let more = [
        (
            two(&pn, &mos.replace("\"mos1\"", "\"p n\"").replace("\"p n\"", "\"pn background\""), ""),
            "which would share a file",
        ),
        (two(&pn.replace("\"pn\"", "\"a/b\""), &mos.replace("\"mos1\"", "\"a_b\""), ""), "which would share a file"),
        (two(&pn, &mos, "[inference]\nrounds = 1\n[inference.amortised]\n"), "takes one data set"),
        (
            two(&pn, &mos, "\"nxb:powerlaw.norm\" = 1.0\n[models.nxb]\nexpression = \"powerlaw\"\n"),
            "\"nxb:powerlaw.PhoIndex\"",
        ),
        (
            two(
                &pn,
                &mos,
                "\"nxb:powerlaw.norm\" = 1.0\n\"nxb:powerlaw.PhoIndex\" = 1.0\n[models.nxb]\nexpression = \"powerlaw\"\ndata = [\"mos1\"]\nresponse = \"PN.rmf\"\n",
            ),
            "PN.rmf",
        ),
    ];
    for (text, expected) in cases.into_iter().chain(more) {
        let message = wrong(&text);
        assert!(message.contains(expected), "expected {expected:?} in {message:?}");
    }
    // A factor that is free in every data set is told.
    let free =
        two(&pn, &mos, "").replace("\"constant.factor\" = 1.0", "\"constant.factor\" = { uniform = [0.5, 2.0] }");
    let told = problem(&free, "xmm_pn_ngc7793_ulx4").warnings.join("\n");
    assert!(told.contains("only their product is known"), "{told}");
}

/// W and marginal of published fits, in f64 and on the devices; the numbers are those of an independent program (numpy and XSPEC's functions).
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn statistics_with_backgrounds_at_published_fits() {
    let pn = problem(&format!("{}{SHARED}", set("pn", "wstat")), "xmm_pn_ngc7793_ulx4");
    assert_eq!((pn.observations.bins(), pn.observations.total()), (104, 10131));
    let background = pn.observations.sets()[0].background.as_ref().unwrap();
    assert_eq!(background.total(), 855.0);
    assert!((background.scale[0] - 1.0 / 3.415_850).abs() < 1e-6);
    let found = statistic(&pn, &[0.15258, 0.78806, 0.18543, 2.36499, 2.91181e-4]);
    assert!((found - 114.916).abs() < 0.01, "{found}");
    let ignored = problem(
        &format!("{}{SHARED}", set("pn", "auto").replace("PNbackground_spectrum.fits", "none")),
        "xmm_pn_ngc7793_ulx4",
    );
    let found = statistic(&ignored, &[0.09546, 0.74267, 0.19676, 2.02821, 2.61483e-4]);
    assert!((found - 95.8525).abs() < 0.01, "{found}");
    // All statistics of two data sets add up.
    let factor = "\"constant.factor@mos1\" = 1.04734\n";
    let both =
        problem(&format!("{}{}{SHARED}{factor}", set("pn", "wstat"), set("mos1", "marginal")), "xmm_pn_ngc7793_ulx4");
    let theta = [0.14811, 0.79301, 0.17782, 2.30242, 2.88007e-4];
    let parts: f64 = [set("pn", "wstat"), set("mos1", "marginal")]
        .iter()
        .map(|set| {
            let factor =
                if set.contains("mos1") { "\"constant.factor\" = 1.04734" } else { "\"constant.factor\" = 1.0" };
            let text = format!("{set}{}", SHARED.replace("\"constant.factor\" = 1.0", factor));
            statistic(&problem(&text, "xmm_pn_ngc7793_ulx4"), &theta)
        })
        .sum();
    let found = statistic(&both, &theta);
    assert!((found - parts).abs() < 1e-9 * parts, "{found} {parts}");
}

/// Posteriors of published cases: medians within 0.15 standard deviations of published best fits, whose posteriors are a little skew.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn posteriors_with_backgrounds_are_those_published() {
    let near = |posterior: &Posterior, wanted: &[(&str, f64, f64)]| {
        for (name, value, sd) in wanted {
            let found = posterior.summary.parameter(name).unwrap_or_else(|| panic!("{name}")).median;
            assert!((found - value).abs() < 0.15 * sd, "{name}: {found}, published {value} +- {sd}");
        }
    };
    let text = format!(
        "{}{}{SHARED}\"constant.factor@mos1\" = {{ log_normal = [0.0, 0.1] }}\n",
        set("pn", "auto"),
        set("mos1", "auto")
    );
    let joint = sampled(&problem(&text, "xmm_pn_ngc7793_ulx4"), 500);
    near(
        &joint,
        &[
            ("tbabs.nH", 0.14811, 0.0247),
            ("bbodyrad.kT", 0.79301, 0.0248),
            ("bbodyrad.norm", 0.17782, 0.17782 * 0.108),
            ("powerlaw.PhoIndex", 2.30242, 0.108),
            ("powerlaw.norm", 2.88007e-4, 2.88007e-4 * 0.077),
            ("constant.factor@mos1", 1.04734, 1.04734 * 0.017),
        ],
    );
    let summary = &joint.summary;
    assert_eq!(summary.observations.len(), 2);
    assert_eq!(summary.statistic.as_ref().unwrap().name, "marginal");
    let tension = summary.tension.as_ref().unwrap();
    assert!(tension.p > 1e-3 && tension.sets.len() == 2, "{tension:?}");
    assert_eq!(joint.pictures.len(), 2);
    // A cross-calibration that is wrong by ten per cent is seen in the data sets' disagreement.
    let bad = text.replace("{ log_normal = [0.0, 0.1] }", "0.947");
    let bad = sampled(&problem(&bad, "xmm_pn_ngc7793_ulx4"), 300);
    let tension = bad.summary.tension.as_ref().unwrap();
    assert!(
        tension.p < 1e-3 && bad.summary.verdict.model.reasons.iter().any(|r| r.contains("disagree")),
        "{tension:?}"
    );
}

/// A background whose scale is wrong by a fifth in one of three detectors: it disagrees with the others, and the right one does not.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_wrong_scale_of_a_background_is_noticed() {
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gbm-grb090217.toml");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let truth = [
        "constant.factor@n9=1",
        "constant.factor@b1=1",
        "powerlaw.PhoIndex=0.8",
        "powerlaw.norm=0.7",
        "highecut.foldE=484",
    ];
    let mut command = crate::common::runs::rontgen();
    command.arg("fake").arg(&example).arg("--data").arg(data("gbm_grb090217")).arg("--at").args(truth);
    let output = command.args(["--exposure", "20", "--seed", "5", "--out"]).arg(at("m.pha")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut bytes = std::fs::read(at("m-n9_bkg.pha")).unwrap();
    let card = bytes.windows(9).position(|w| w == b"BACKSCAL=").unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes[card + 10..card + 30]).trim().parse::<f64>(), Ok(1.0));
    bytes[card..card + 30].copy_from_slice(b"BACKSCAL=                  1.2");
    std::fs::write(at("wrong.pha"), bytes).unwrap();
    let mut text = std::fs::read_to_string(example).unwrap();
    for detector in ["n6", "n9", "b1"] {
        let name = |suffix: &str| at(&format!("m-{detector}{suffix}.pha")).display().to_string();
        text = text.replace(&format!("bn090217206_{detector}_srcspectra.pha{{1}}"), &name(""));
        text = text.replace(&format!("bn090217206_{detector}_bkgspectra.bak{{1}}"), &name("_bkg"));
    }
    let wrong = text.replace("m-n9_bkg.pha", "wrong.pha");
    for (text, noticed) in [(text, false), (wrong, true)] {
        let summary = sampled(&problem(&text, "gbm_grb090217"), 200).summary;
        let tension = summary.tension.as_ref().unwrap();
        assert_eq!(tension.p < 1e-3, noticed, "{tension:?}");
        let told = summary.verdict.model.reasons.iter().any(|reason| reason.contains("disagree"));
        assert_eq!(told, noticed, "{:?}", summary.verdict);
    }
}

/// Four exposures with hardly more counts than background: the marginal statistic finds the source, and W, which does not, is refused.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn few_counts_over_a_background() {
    let sets = |statistic: &str| -> String {
        let one = |k: usize| {
            format!(
                "[[observation]]\nname = \"obs{k}\"\nspectrum = \"obs{k}.pi\"\nenergies = [0.5, 7.0]\ngrouping = \"none\"\nstatistic = \"{statistic}\"\n"
            )
        };
        let model = "[model]\nexpression = \"powerlaw\"\n[parameters]\n\"powerlaw.PhoIndex\" = { uniform = [0.0, 6.0] }\n\
                     \"powerlaw.norm\" = { log_uniform = [1e-8, 1e-4] }\n";
        (1..=4).map(one).collect::<String>() + model
    };
    let posterior = sampled(&problem(&sets("auto"), "background"), 300);
    let best = |name: &str| posterior.summary.parameter(name).unwrap().best;
    assert!((best("powerlaw.PhoIndex") - 2.04).abs() < 0.06, "{}", best("powerlaw.PhoIndex"));
    assert!((best("powerlaw.norm") / 6.41e-7 - 1.0).abs() < 0.05, "{}", best("powerlaw.norm"));
    assert!(!posterior.verdict().refused());
    let w = sampled(&problem(&sets("wstat"), "background"), 100);
    assert!(w.verdict().refused() && w.verdict().sampling.reasons.iter().any(|r| r.contains("where W is biased")));
}

/// Simulated counts are those that the likelihood integrates over: Poisson counts of the source and a background that is known up to a Gamma
/// density, whose variance exceeds Poisson's. Five standard deviations over 104 bins: a false alarm once in ten thousand seeds.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn counts_are_drawn_with_the_background_of_the_likelihood() {
    let problem = problem(&format!("{}{SHARED}", set("pn", "marginal")), "xmm_pn_ngc7793_ulx4");
    let theta = vec![0.15258, 0.78806, 0.18543, 2.36499, 2.91181e-4];
    let n = 20_000;
    let expected = &problem.expected_exactly(std::slice::from_ref(&theta))[0];
    let background = problem.observations.sets()[0].background.as_ref().unwrap();
    let prior = background.smoothed(20.0);
    for device in devices() {
        let simulator = problem.exact_simulator(&device).unwrap();
        let theta = simulator.physical(&vec![theta.clone(); n]).unwrap();
        let mut counts = RowBlocks::empty(&device, n, simulator.bins(), n);
        let outputs = Outputs { counts: Some(&mut counts), ..Outputs::default() };
        simulator.run(Coordinates::Physical, &theta, Source { seed: 11, stream: 5 }, outputs, &mut no_tick).unwrap();
        let counts = counts.download().unwrap();
        for bin in 0..simulator.bins() {
            let column: Vec<f64> = counts.iter().skip(bin).step_by(simulator.bins()).map(|&x| f64::from(x)).collect();
            let mean = column.iter().sum::<f64>() / n as f64;
            let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let (shape, rate) = (10.0 + background.counts[bin], 1.0 + 10.0 / prior[bin]);
            let scale = background.scale[bin];
            let want = expected[bin] + scale * shape / rate;
            let spread = want + scale * scale * shape / (rate * rate);
            assert!(
                (mean - want).abs() < 5.0 * (spread / n as f64).sqrt(),
                "bin {bin}: {mean}, want {want} on {}",
                device.name()
            );
            let error = spread * ((2.0 + 1.0 / spread) / n as f64).sqrt();
            assert!(
                (variance - spread).abs() < 5.5 * error,
                "bin {bin}: {variance}, want {spread} on {}",
                device.name()
            );
        }
    }
}

/// A model of the background is fitted to its spectrum, and the same adds to the source's counts, scaled.
#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn a_named_model_is_fitted_to_the_background_and_adds_to_the_source() {
    let text = format!(
        "{}{SHARED}\"nxb:powerlaw.PhoIndex\" = 0.2\n\"nxb:powerlaw.norm\" = {{ log_uniform = [1e-4, 1.0] }}\n\
         [models.nxb]\nexpression = \"powerlaw\"\n",
        set("pn", "auto")
    );
    let both = problem(&text, "xmm_pn_ngc7793_ulx4");
    let names: Vec<&str> = both.observations.sets().iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["pn", "pn background"]);
    assert_eq!(both.observations.sets()[1].total(), 855);
    assert_eq!(both.names().last().unwrap(), "nxb:powerlaw.norm");
    let theta = |norm: f64| vec![0.15, 0.79, 0.18, 2.3, 2.9e-4, norm];
    let found = both.expected_exactly(&[theta(1e-2), theta(2e-2)]);
    let plain = problem(
        &format!("{}{SHARED}", set("pn", "auto").replace("PNbackground_spectrum.fits", "none")),
        "xmm_pn_ngc7793_ulx4",
    );
    let source = &plain.expected_exactly(&[theta(0.0)[..5].to_vec()])[0];
    let scale = 1.0 / 3.415_850;
    for bin in 0..104 {
        let background = found[0][104 + bin];
        assert!(background > 0.0 && (found[1][104 + bin] / background - 2.0).abs() < 1e-6);
        let want = source[bin] + scale * background;
        assert!((found[0][bin] / want - 1.0).abs() < 1e-5, "bin {bin}: {}, want {want}", found[0][bin]);
    }
    // On devices as in f64.
    statistic(&both, &theta(1e-2));
    // A model that does not describe the background spectrum is named by it.
    let steep = text.replace("\"nxb:powerlaw.PhoIndex\" = 0.2", "\"nxb:powerlaw.PhoIndex\" = 4.0");
    let verdict = sampled(&problem(&steep, "xmm_pn_ngc7793_ulx4"), 100).summary.verdict;
    let named = |reason: &String| reason.contains("data set 'pn background' alone");
    assert!(verdict.model.reasons.iter().any(named), "{:?}", verdict.model.reasons);
}

/// A named model is evaluated on the energies of each response of it, also where two have as many of them.
#[test]
fn a_named_model_keeps_to_the_energies_of_each_response() {
    use rontgen::analysis::StatisticSettings;
    use rontgen::analysis::problem::{Addition, SetSpec};
    use rontgen::model::{Model, ModelGroup, Prior, Program, Setting, Settings, resolve_models};
    use rontgen::observation::{Dataset, Observations, demo_instrument};
    let (source, other) = (
        Model::parse("powerlaw", &Settings::default()).unwrap(),
        Model::parse("powerlaw", &Settings::default()).unwrap(),
    );
    let groups = [
        ModelGroup { name: "", model: &source, sets: vec![0] },
        ModelGroup { name: "n", model: &other, sets: vec![0] },
    ];
    let settings = [
        ("powerlaw.PhoIndex", Setting::Frozen(1.5)),
        ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-6, hi: 1.0 })),
        ("n:powerlaw.PhoIndex", Setting::Frozen(2.5)),
        ("n:powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-6, hi: 1.0 })),
    ]
    .map(|(name, setting)| (name.to_owned(), setting));
    let mut all = resolve_models(&groups, &["a".to_owned()], &settings).unwrap();
    let (of_n, of_source) = (all.pop().unwrap().remove(0), all.pop().unwrap().remove(0));
    let set = Dataset { name: "a".into(), ..demo_instrument() };
    let mut beside = Dataset { name: "a background".into(), ..demo_instrument() };
    beside.folded.edges.iter_mut().for_each(|edge| *edge *= 1.25);
    let spec = |model: &Model, parameters: &rontgen::model::Parameters, named: Option<&str>| SetSpec {
        model: model.clone(),
        parameters: parameters.clone(),
        statistic: StatisticSettings::default(),
        named: named.map(str::to_owned),
        response: None,
        shifted: None,
    };
    let addition = Addition {
        name: "n".into(),
        set: 0,
        background: true,
        model: other.clone(),
        parameters: of_n.clone(),
        files: (std::path::PathBuf::new(), None),
        folded: set.folded.clone(),
        shifted: None,
    };
    let sets = vec![spec(&source, &of_source, None), spec(&other, &of_n, Some("n"))];
    let observations = Observations::new(vec![set.clone(), beside.clone()]).unwrap();
    let problem = Problem::joint("test", observations, source.clone(), sets, vec![addition]).unwrap();
    let theta = vec![1e-3, 2e-3];
    let found = &problem.expected_exactly(std::slice::from_ref(&theta))[0];
    let folded = |model: &Model, parameters: &rontgen::model::Parameters, data: &Dataset| {
        let program = Program::new(model, &data.folded.edges).unwrap();
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(&parameters.full(&theta), &mut flux);
        data.folded.fold(&flux)
    };
    let (own, added, alone) =
        (folded(&source, &of_source, &set), folded(&other, &of_n, &set), folded(&other, &of_n, &beside));
    let bins = set.bins.len();
    for bin in 0..bins {
        let want = own[bin] + added[bin];
        assert!((found[bin] - want).abs() < 1e-9 * want, "bin {bin}: {}, want {want}", found[bin]);
        assert!((found[bins + bin] - alone[bin]).abs() <= 1e-9 * alone[bin]);
        assert!((alone[bin] / added[bin] - 1.0).abs() > 0.1, "the energies matter in bin {bin}");
    }
}
