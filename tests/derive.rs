//! `rontgen derive` and the library below it: against integrals that are known, cflux and clumin, and XSPEC's own routines.

use crate::common::{data, runs};
use rontgen::analysis::derive::{Band, Derivation, Draws, Integral, Request, derive};
use rontgen::device::Device;
use rontgen::model::{Model, Parameters, Prior, Program, Setting, Settings};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A model whose parameters are free where `set` says so (a range), else fixed.
fn problem(expression: &str, settings: &Settings, set: &[(&str, [f64; 2])]) -> (Model, Parameters) {
    let model = Model::parse(expression, settings).unwrap();
    let of = |&(name, [lo, hi]): &(&str, [f64; 2])| {
        let setting = if lo == hi { Setting::Frozen(lo) } else { Setting::Free(Prior::Uniform { lo, hi }) };
        (name.to_string(), setting)
    };
    let mut all: BTreeMap<String, Setting> = set.iter().map(of).collect();
    for info in model.parameters() {
        if !set.iter().any(|(name, _)| name.eq_ignore_ascii_case(&info.name)) {
            all.insert(info.name.clone(), Setting::Frozen(info.default));
        }
    }
    let parameters = Parameters::resolve(&model, &all).unwrap();
    (model, parameters)
}

/// Draws all over the priors, the same ones every time.
fn spread(parameters: &Parameters, n: usize) -> Vec<f64> {
    let p = parameters.free().len();
    let place = |draw: usize, k: usize| ((draw * (2 * k + 3)) as f64 * 0.618_033_988_75 + 0.1 * k as f64).fract();
    (0..n).flat_map(|draw| parameters.from_cube(&(0..p).map(|k| place(draw, k)).collect::<Vec<_>>())).collect()
}

fn bands(list: &[(Integral, f64, f64)]) -> Vec<Band> {
    list.iter().map(|&(integral, lo, hi)| Band { integral, lo, hi }).collect()
}

fn computed(model: &Model, parameters: &Parameters, draws: &[f64], request: &Request, device: &Device) -> Derivation {
    let response = Some((0.2, 12.0));
    let draws = Draws { model, parameters, values: draws, summaries: &[], effective: f64::NAN, response };
    derive(&draws, request, device, &()).unwrap()
}

fn refused(model: &Model, parameters: &Parameters, request: &Request) -> String {
    let values = spread(parameters, 10);
    let response = Some((0.2, 12.0));
    let draws = Draws { model, parameters, values: &values, summaries: &[], effective: f64::NAN, response };
    let error = derive(&draws, request, &Device::cpu(), &()).unwrap_err();
    assert_eq!(error.exit_status(), 2);
    error.to_string()
}

fn column(derivation: &Derivation, name: &str) -> Vec<f64> {
    let k = derivation.samples.position(name).unwrap_or_else(|| panic!("{name}: {:?}", derivation.samples.names));
    derivation.samples.column(k)
}

fn close(found: f64, want: f64, within: f64, what: &str) {
    assert!((found / want - 1.0).abs() < within, "{what}: {found:e} for {want:e} ({:e})", found / want - 1.0);
}

/// Integral of E^power times a power law of norm 1.
fn moment(index: f64, power: f64, lo: f64, hi: f64) -> f64 {
    let n = power + 1.0 - index;
    if n.abs() < 1e-12 { (hi / lo).ln() } else { (hi.powf(n) - lo.powf(n)) / n }
}

const ERG: f64 = 1.602_176_634e-9;

#[test]
fn power_laws_have_the_fluxes_of_their_integrals() {
    let (model, parameters) = problem(
        "powerlaw",
        &Settings::default(),
        &[("powerlaw.PhoIndex", [0.5, 3.5]), ("powerlaw.norm", [1e-5, 1e-2])],
    );
    let draws = spread(&parameters, 3000);
    let all = [
        (Integral::Flux, 0.5, 10.0),
        (Integral::Photons, 0.5, 10.0),
        (Integral::Flux, 2.0, 7.3),
        (Integral::Flux, 15.0, 195.0),
    ];
    let request = Request { bands: bands(&all), ..Request::default() };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    let names = ["flux(0.5-10)", "photons(0.5-10)", "flux(2-7.3)", "flux(15-195)"];
    assert_eq!(found.samples.names, names);
    for ((name, (integral, lo, hi)), quantity) in names.iter().zip(all).zip(&found.quantities) {
        let (power, unit) = if integral == Integral::Flux { (1.0, ERG) } else { (0.0, 1.0) };
        for (theta, value) in draws.chunks_exact(2).zip(column(&found, name)) {
            // The parameters as single precision has them.
            let (index, norm) = (f64::from(theta[0] as f32), f64::from(theta[1] as f32));
            close(value, unit * norm * moment(index, power, lo, hi), 1e-6, name);
        }
        assert_eq!(quantity.band, Some([lo, hi]));
        assert!(quantity.q05 < quantity.q16 && quantity.q16 < quantity.median && quantity.q84 < quantity.q95);
    }
}

#[test]
fn cflux_and_clumin_say_the_same_of_the_same_draws() {
    let fixed = |value: f64| [value, value];
    let shape = [("tbabs.nH", [0.0, 0.5]), ("powerlaw.PhoIndex", [1.0, 3.0]), ("powerlaw.norm", fixed(1.0))];
    let of = |name: &str, own: &[(&'static str, [f64; 2])]| {
        let set: Vec<_> = own.iter().chain(&shape).copied().collect();
        problem(&format!("tbabs*{name}*powerlaw"), &Settings::default(), &set)
    };
    let (model, parameters) =
        of("cflux", &[("cflux.Emin", fixed(0.5)), ("cflux.Emax", fixed(10.0)), ("cflux.lg10Flux", [-13.0, -11.0])]);
    let draws = spread(&parameters, 200);
    let request = Request {
        bands: bands(&[(Integral::Flux, 0.5, 10.0)]),
        unabsorbed: vec!["tbabs".into()],
        ..Request::default()
    };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    let free: Vec<&str> = parameters.free().iter().map(|free| free.name.as_str()).collect();
    let lg = free.iter().position(|name| *name == "cflux.lg10Flux").unwrap();
    let absorbed = column(&found, "flux(0.5-10)");
    for ((theta, value), absorbed) in
        draws.chunks_exact(3).zip(column(&found, "unabsorbed(0.5-10;tbabs)")).zip(absorbed)
    {
        close(value, 10f64.powf(theta[lg]), 1e-4, "cflux");
        assert!(absorbed <= value * (1.0 + 1e-5));
    }

    let own = [
        ("clumin.Emin", fixed(2.0)),
        ("clumin.Emax", fixed(10.0)),
        ("clumin.Redshift", fixed(0.3)),
        ("clumin.lg10Lum", [42.0, 45.0]),
    ];
    let (model, parameters) = of("clumin", &own);
    let draws = spread(&parameters, 200);
    let request = Request {
        bands: bands(&[(Integral::Luminosity, 2.0, 10.0)]),
        unabsorbed: vec!["tbabs".into()],
        ..Request::default()
    };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    let lg = parameters.free().iter().position(|free| free.name == "clumin.lg10Lum").unwrap();
    for (theta, value) in draws.chunks_exact(3).zip(column(&found, "unabsorbed_luminosity(2-10;tbabs)")) {
        close(value, 10f64.powf(theta[lg]), 1e-4, "clumin");
    }
    let distance = found.distance.unwrap();
    assert_eq!((distance.parameter.as_deref(), distance.redshift), (Some("clumin.Redshift"), [0.3, 0.3]));
    assert_eq!([distance.h0, distance.q0, distance.lambda0], [70.0, 0.0, 0.73]);
}

/// tests/data/derive/xspec.json (made by make_xspec.py beside it).
fn xspecs(plasma: bool) {
    let text = include_str!("data/derive/xspec.json");
    let document: serde_json::Value = serde_json::from_str(text).unwrap();
    let (mut entries, mut values) = (0, 0);
    for entry in document["entries"].as_array().unwrap() {
        let expression = entry["expression"].as_str().unwrap();
        if expression.contains("apec") != plasma {
            continue;
        }
        let mut settings = Settings::new(entry["abund"].as_str().unwrap(), "vern").unwrap();
        if plasma {
            settings = settings.with_atomdb(Some(data("apec")));
        }
        let set: Vec<(&str, [f64; 2])> = entry["set"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), [value.as_f64().unwrap(); 2]))
            // What must be free for there to be draws: a norm, at its value.
            .map(|(name, [x, _])| {
                (name, if name == "powerlaw.norm" || name == "vapec.norm" { [0.5 * x, 2.0 * x] } else { [x, x] })
            })
            .collect();
        let (model, parameters) = problem(expression, &settings, &set);
        let norm = set.iter().find(|(_, [lo, hi])| lo < hi).unwrap().1[0] * 2.0;
        let mut request = Request { by_component: true, unabsorbed: vec!["tbabs".into()], ..Request::default() };
        let wanted = entry["values"].as_object().unwrap();
        for name in wanted.keys() {
            let (kind, inside) = name.trim_end_matches(')').split_once('(').unwrap();
            let integral = match kind {
                "eqw" => {
                    request.equivalent_widths.push(inside.into());
                    continue;
                }
                "photons" | "unabsorbed_photons" => Integral::Photons,
                "luminosity" => Integral::Luminosity,
                _ => Integral::Flux,
            };
            let (lo, hi) = inside.split(';').next().unwrap().split_once('-').unwrap();
            request.bands.push(Band { integral, lo: lo.parse().unwrap(), hi: hi.parse().unwrap() });
        }
        if !expression.contains("tbabs") || request.bands.is_empty() {
            (request.unabsorbed, request.by_component) = (Vec::new(), false);
        }
        let found = computed(&model, &parameters, &[norm], &request, &Device::cpu());
        let within = entry["within"].as_f64().unwrap();
        let off =
            |(name, value): (&String, &serde_json::Value)| column(&found, name)[0] / value.as_f64().unwrap() - 1.0;
        println!("{expression}: {:.1e} of {within:.1e}", wanted.iter().map(off).fold(0.0, |m: f64, x| m.max(x.abs())));
        for (name, value) in wanted {
            close(column(&found, name)[0], value.as_f64().unwrap(), within, &format!("{expression} {name}"));
            values += 1;
        }
        entries += 1;
    }
    assert!(entries >= 4 && values >= 20, "{entries} entries, {values} values");
}

#[test]
fn fluxes_and_equivalent_widths_are_xspecs() {
    xspecs(false);
}

#[test]
#[cfg_attr(not(reference_data), ignore = "needs the reference data (RONTGEN_DATA)")]
fn plasmas_have_xspecs_fluxes_and_luminosities() {
    xspecs(true);
}

#[test]
fn a_line_has_the_width_of_its_photons_over_the_continuum() {
    let set = [
        ("powerlaw.PhoIndex", [1.0, 3.0]),
        ("powerlaw.norm", [1e-4, 1e-3]),
        ("gaussian.LineE", [5.5, 7.5]),
        ("gaussian.Sigma", [0.0, 0.05]),
        ("gaussian.norm", [1e-6, 1e-4]),
    ];
    let (model, parameters) = problem("powerlaw+gaussian", &Settings::default(), &set);
    let draws = spread(&parameters, 2000);
    let request = Request { equivalent_widths: vec!["gaussian".into()], ..Request::default() };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    assert_eq!(
        (found.samples.names.as_slice(), found.quantities[0].unit.as_str()),
        (&["eqw(gaussian)".to_string()][..], "keV")
    );
    let place = |name: &str| parameters.free().iter().position(|free| free.name == name).unwrap();
    let [index, norm, energy, line] =
        ["powerlaw.PhoIndex", "powerlaw.norm", "gaussian.LineE", "gaussian.norm"].map(place);
    for (theta, width) in draws.chunks_exact(5).zip(column(&found, "eqw(gaussian)")) {
        let e = theta[energy];
        let continuum = theta[norm] * moment(theta[index], 0.0, 0.95 * e, 1.05 * e) / (0.1 * e);
        close(width, theta[line] / continuum, 1e-5, "eqw");
    }
    // Of the power law, whose peak is looked for: at the lowest energy of the response, where no line is.
    let other = Request { equivalent_widths: vec!["powerlaw".into()], ..Request::default() };
    let found = computed(&model, &parameters, &draws, &other, &Device::cpu());
    assert!(column(&found, "eqw(powerlaw)").iter().all(|width| *width == f64::INFINITY));
    assert!(found.warnings[0].contains("2000 draws have no continuum"), "{:?}", found.warnings);
}

/// A rest-frame band at a redshift that varies has other ends for every draw.
#[test]
fn bands_move_with_a_free_redshift() {
    let set = [("zpowerlw.PhoIndex", [1.5, 2.5]), ("zpowerlw.Redshift", [0.05, 1.5]), ("zpowerlw.norm", [1e-4, 1e-3])];
    let (model, parameters) = problem("zpowerlw", &Settings::default(), &set);
    let draws = spread(&parameters, 1000);
    let request = Request { bands: bands(&[(Integral::Luminosity, 2.0, 10.0)]), ..Request::default() };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    for (theta, value) in draws.chunks_exact(3).zip(column(&found, "luminosity(2-10)")) {
        let (index, z, norm) = (theta[0], theta[1], theta[2]);
        // zpowerlw is norm [E (1+z)]^-index photons/keV/cm2/s.
        let flux = ERG * norm * (1.0 + z).powf(-index) * moment(index, 1.0, 2.0 / (1.0 + z), 10.0 / (1.0 + z));
        let distance = request.cosmology.luminosity_distance(z) * 3.085_677_581_491_367e27;
        close(value, 4.0 * std::f64::consts::PI * distance * distance * flux, 1e-5, "luminosity");
    }
}

#[test]
fn devices_agree_and_other_draws_change_nothing() {
    let set = [
        ("tbabs.nH", [0.0, 1.0]),
        ("powerlaw.PhoIndex", [1.0, 3.0]),
        ("powerlaw.norm", [1e-4, 1e-2]),
        ("gaussian.LineE", [5.5, 7.0]),
        ("gaussian.norm", [1e-6, 1e-4]),
        ("gaussian.Sigma", [0.05, 0.05]),
    ];
    let (model, parameters) = problem("tbabs*(powerlaw+gaussian)", &Settings::default(), &set);
    let draws = spread(&parameters, 500);
    let request = Request {
        bands: bands(&[(Integral::Flux, 0.5, 10.0), (Integral::Photons, 2.0, 10.0), (Integral::Luminosity, 2.0, 10.0)]),
        unabsorbed: vec!["tbabs".into()],
        equivalent_widths: vec!["gaussian".into()],
        by_component: true,
        redshift: Some(0.1),
        ..Request::default()
    };
    let cpu = computed(&model, &parameters, &draws, &request, &Device::cpu());
    assert_eq!(cpu.samples.names.len(), 3 * 2 * 3 + 1);
    // Which bins are divided goes by the draws, and nothing else.
    let few = computed(&model, &parameters, &draws[..5 * 33], &request, &Device::cpu());
    for (few, all) in few.samples.values.iter().zip(&cpu.samples.values) {
        close(*few, *all, 1e-5, "few");
    }
    let gpu = ["gpu", "software"].into_iter().find_map(|name| Device::open(name).ok());
    let Some(gpu) = gpu else {
        assert!(std::env::var("RONTGEN_REQUIRE_GPU").as_deref() != Ok("1"), "no adapter found");
        return println!("skipped: there is no adapter");
    };
    let gpu = computed(&model, &parameters, &draws, &request, &gpu);
    for (k, name) in cpu.samples.names.iter().enumerate() {
        for (a, b) in cpu.samples.column(k).into_iter().zip(gpu.samples.column(k)) {
            close(b, a, 2e-5, name);
        }
    }
}

#[test]
fn parts_add_up_to_the_whole() {
    let set = [("tbabs.nH", [0.1, 0.4]), ("powerlaw.norm", [1e-4, 1e-3]), ("bbody.norm", [1e-6, 1e-5])];
    let (model, parameters) = problem("tbabs*gsmooth(powerlaw+bbody)", &Settings::default(), &set);
    let draws = spread(&parameters, 40);
    let request = Request { bands: bands(&[(Integral::Flux, 0.5, 10.0)]), by_component: true, ..Request::default() };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    let parts = column(&found, "flux(0.5-10;powerlaw)").into_iter().zip(column(&found, "flux(0.5-10;bbody)"));
    for (whole, (a, b)) in column(&found, "flux(0.5-10)").into_iter().zip(parts) {
        close(a + b, whole, 1e-5, "parts");
    }
    // The whole by its own program on the energies of this test.
    let edges: Vec<f64> = (0..=4000).map(|k| 0.2 * 60f64.powf(f64::from(k) / 4000.0)).collect();
    let program = Program::new(&model, &edges).unwrap();
    let mut flux = vec![0.0; 4000];
    program.evaluate(&parameters.full(&draws[..3]), &mut flux);
    let inside = edges.windows(2).zip(&flux).map(|(e, photons)| {
        let share = ((e[1].min(10.0) - e[0].max(0.5)) / (e[1] - e[0])).clamp(0.0, 1.0);
        ERG * 0.5 * (e[0] + e[1]) * photons * share
    });
    close(column(&found, "flux(0.5-10)")[0], inside.sum(), 1e-4, "whole");
}

#[test]
fn what_makes_no_sense_is_refused_by_its_option() {
    let settings = Settings::default();
    let set = [("tbabs.nH", [0.0, 1.0]), ("powerlaw.norm", [1e-4, 1e-2]), ("gaussian.norm", [1e-6, 1e-4])];
    let (model, parameters) = problem("tbabs*(powerlaw+gaussian)", &settings, &set);
    let flux = |lo: f64, hi: f64| Request { bands: bands(&[(Integral::Flux, lo, hi)]), ..Request::default() };
    let ask = |request: Request| refused(&model, &parameters, &request);
    for (request, says) in [
        (Request::default(), "nothing to derive"),
        (flux(10.0, 0.5), "--flux 10 0.5: the band is empty"),
        (flux(2.0, 2.0), "the band is empty"),
        (flux(-1.0, 2.0), "--flux -1 2: expected energies above 0"),
        (flux(0.0, 2.0), "above 0"),
        (flux(1.0, f64::NAN), "above 0"),
        (flux(1.0, 1e7), "up to 1e6 keV"),
        (Request { unabsorbed: vec!["tbab".into()], ..flux(0.5, 10.0) }, "did you mean 'tbabs'"),
        (
            Request { unabsorbed: vec!["powerlaw".into()], ..flux(0.5, 10.0) },
            "--unabsorbed powerlaw: expected a multiplicative",
        ),
        (Request { unabsorbed: vec!["tbabs".into()], ..Request::default() }, "nothing to derive"),
        (
            Request { equivalent_widths: vec!["tbabs".into()], ..Request::default() },
            "--eqw tbabs: expected an additive",
        ),
        (Request { equivalent_widths: vec!["gausian".into()], ..Request::default() }, "did you mean 'gaussian'"),
        (
            Request { by_component: true, equivalent_widths: vec!["gaussian".into()], ..Request::default() },
            "--by-component needs a band",
        ),
        (Request { bands: bands(&[(Integral::Luminosity, 2.0, 10.0)]), ..Request::default() }, "--redshift"),
        (
            Request { bands: bands(&[(Integral::Luminosity, 2.0, 10.0)]), redshift: Some(0.0), ..Request::default() },
            "--redshift 0: expected a number above 0",
        ),
    ] {
        let error = ask(request);
        assert!(error.contains(says), "{error}");
    }
    let (alone, parameters) = problem("tbabs*powerlaw", &settings, &set[..2]);
    let request = Request { equivalent_widths: vec!["powerlaw".into()], ..Request::default() };
    assert!(refused(&alone, &parameters, &request).contains("nothing else"));
    // Taken out of what cflux acts on, it would change nothing.
    let set = [("tbabs.nH", [0.0, 1.0]), ("cflux.lg10Flux", [-13.0, -11.0])];
    let (inside, parameters) = problem("cflux*tbabs*powerlaw", &settings, &set);
    let request = Request { unabsorbed: vec!["tbabs".into()], ..flux(0.5, 10.0) };
    let error = refused(&inside, &parameters, &request);
    assert!(error.contains("--unabsorbed: cflux") && error.contains("tbabs"), "{error}");
    // Two redshifts are none.
    let set = [("zpowerlw.Redshift", [0.1, 0.2]), ("zgauss.Redshift", [0.3, 0.3]), ("zpowerlw.norm", [1e-4, 1e-2])];
    let (two, parameters) = problem("zpowerlw+zgauss", &settings, &set);
    let request = Request { bands: bands(&[(Integral::Luminosity, 2.0, 10.0)]), ..Request::default() };
    let error = refused(&two, &parameters, &request);
    assert!(error.contains("zpowerlw.Redshift and zgauss.Redshift differ") && error.contains("--redshift"), "{error}");
}

/// A norm that piles up at zero gives an upper limit of the flux, one that does not a value.
#[test]
fn fluxes_that_pile_up_at_zero_are_limits() {
    let set = [("powerlaw.norm", [0.0, 1e-2]), ("gaussian.norm", [0.0, 1e-3])];
    let (model, parameters) = problem("powerlaw+gaussian", &Settings::default(), &set);
    let draws: Vec<f64> = (0..4000)
        .flat_map(|k| {
            let u = (f64::from(k) + 0.5) / 4000.0;
            [1e-3 * (1.0 + 0.1 * (f64::from(k) * 0.618).fract()), -1e-5 * u.ln()]
        })
        .collect();
    let request = Request {
        bands: bands(&[(Integral::Flux, 2.0, 10.0)]),
        equivalent_widths: vec!["gaussian".into()],
        by_component: true,
        ..Request::default()
    };
    let found = computed(&model, &parameters, &draws, &request, &Device::cpu());
    let limits: Vec<bool> = found.quantities.iter().map(|quantity| quantity.limit.is_some()).collect();
    assert_eq!(found.samples.names, ["flux(2-10)", "flux(2-10;powerlaw)", "flux(2-10;gaussian)", "eqw(gaussian)"]);
    assert_eq!(limits, [false, false, true, true]);
    // 90 % of an exponential distribution, at 6.5 keV.
    let limit = found.quantities[2].limit.unwrap();
    close(limit.value, 1e-5 * 10f64.ln() * 6.5 * ERG, 1e-2, "limit");
}

fn command(folder: &Path, arguments: &[&str]) -> std::process::Output {
    runs::rontgen_in(folder, arguments).output().unwrap()
}

#[test]
fn the_command_writes_a_table_a_document_and_the_reports_section() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    runs::ten_channels(here);
    let infer = [
        &["infer", "case.toml", "--data", "data", "--out", "run", "--device", "cpu", "--quiet"][..],
        &runs::small(&[]),
    ]
    .concat();
    let status = command(here, &infer).status.code();
    assert!(matches!(status, Some(0 | 4)), "{status:?}");
    let before = runs::files(here);
    let asked = [
        "derive",
        "run",
        "--flux",
        "2",
        "10",
        "--photons",
        "2",
        "10",
        "--by-component",
        "--unabsorbed",
        "mtable",
        "--device",
        "cpu",
    ];
    let output = command(
        here,
        &[&asked[..], &["--luminosity", "3", "10", "--redshift", "0.1", "--cosmo", "50", "0.5", "0"]].concat(),
    );
    assert_eq!(output.status.code(), status, "{}", runs::stderr(&output));
    let text = runs::stdout(&output);
    for part in
        ["flux(2-10)", "unabsorbed(2-10;mtable)", "luminosity(3-10)", "erg/cm2/s", "H0 50 km/s/Mpc, q0 0.5, Lambda0 0"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let new: Vec<_> = runs::files(here).into_iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(new, ["run/derived.csv", "run/derived.json"].map(std::path::PathBuf::from));
    let lines = |name: &str| fs::read_to_string(here.join(name)).unwrap().lines().count();
    assert_eq!(lines("run/derived.csv"), lines("run/posterior.csv"));
    let document: serde_json::Value =
        serde_json::from_slice(&fs::read(here.join("run/derived.json")).unwrap()).unwrap();
    let quantity = &document["quantities"]["unabsorbed(2-10;mtable)"];
    // The table is 3/4 everywhere.
    let ratio = quantity["median"].as_f64().unwrap() / document["quantities"]["flux(2-10)"]["median"].as_f64().unwrap();
    close(ratio, 4.0 / 3.0, 1e-5, "factor");
    assert_eq!((quantity["unit"].as_str(), quantity["without"][0].as_str()), (Some("erg/cm2/s"), Some("mtable")));
    let report = fs::read_to_string(here.join("run/report.html")).unwrap();
    assert!(report.contains("Derived quantities") && report.contains("unabsorbed(2-10;mtable;powerlaw)"));
    // It is still there when the report is made again, and the same request gives the same bytes.
    let table = fs::read(here.join("run/derived.csv")).unwrap();
    fs::remove_file(here.join("run/report.html")).unwrap();
    assert!(command(here, &["report", "run"]).status.success());
    assert!(fs::read_to_string(here.join("run/report.html")).unwrap().contains("Derived quantities"));
    let again = command(
        here,
        &[&asked[..], &["--luminosity", "3", "10", "--redshift", "0.1", "--cosmo", "50", "0.5", "0", "--json"]]
            .concat(),
    );
    let printed: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(printed["quantities"], document["quantities"]);
    assert_eq!(fs::read(here.join("run/derived.csv")).unwrap(), table);
    assert_eq!(printed["distance"]["h0"].as_f64(), Some(50.0));

    let refused = |arguments: &[&str], says: &str| {
        let output = command(here, &[&["derive"][..], arguments].concat());
        let text = runs::stderr(&output);
        assert!(output.status.code() == Some(2) && text.contains(says), "{:?} {says}: {text}", output.status.code());
        assert_eq!(fs::read(here.join("run/derived.csv")).unwrap(), table, "{says}");
    };
    refused(&["run", "--flux", "10", "2"], "the band is empty");
    refused(&["run", "--flux", "-1", "2"], "above 0");
    refused(&["run", "--flux", "2"], "2 values required");
    refused(&["run"], "nothing to derive");
    refused(&["run", "--luminosity", "2", "10"], "--redshift");
    refused(&["run", "--flux", "2", "10", "--redshift", "1"], "--redshift is for --luminosity");
    refused(&["run", "--luminosity", "2", "10", "--redshift", "1", "--cosmo", "0", "0", "0.7"], "--cosmo: H0 = 0");
    refused(&["run", "--flux", "2", "10", "--unabsorbed", "mtabel"], "did you mean 'mtable'");
    refused(&["nowhere", "--flux", "2", "10"], "no summary.json");
    refused(&["data", "--flux", "2", "10"], "expected the output folder of a finished run");
    let posterior = here.join("run/posterior.csv");
    let good = fs::read_to_string(&posterior).unwrap();
    fs::write(&posterior, good.replacen("powerlaw.PhoIndex", "powerlaw.index", 1)).unwrap();
    refused(&["run", "--flux", "2", "10"], "the columns are powerlaw.index");
    let mut rows: Vec<&str> = good.lines().collect();
    rows[3] = "77.0,0.001";
    fs::write(&posterior, rows.join("\n")).unwrap();
    refused(&["run", "--flux", "2", "10"], "line 4: powerlaw.PhoIndex is 77; expected a value of its prior, 0 to 4");
    fs::write(&posterior, rows[0]).unwrap();
    refused(&["run", "--flux", "2", "10"], "posterior.csv, line 2: no samples");
    fs::write(&posterior, &good).unwrap();
    // Whoever replaces the run removes what was derived from it.
    let replaced = command(here, &[&infer[..], &["--force"]].concat()).status.code();
    assert_eq!(replaced, status);
    assert!(!here.join("run/derived.csv").exists() && !here.join("run/derived.json").exists());
}

/// A data set whose model has parameters of its own has fluxes of its own.
#[test]
fn data_sets_with_other_parameters_have_columns_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    runs::ten_channels(here);
    let set = |name: &str| {
        format!(
            "[[observation]]\nname = \"{name}\"\nspectrum = \"s.pha\"\nbackground = \"none\"\ngrouping = \"none\"\n"
        )
    };
    let text = [
        &set("a"),
        &set("b"),
        &set("c"),
        "[model]\nexpression = \"constant*powerlaw\"\n[parameters]\n\"constant.factor\" = 1.0\n",
        "\"constant.factor@c\" = { uniform = [0.5, 1.5] }\n\"powerlaw.PhoIndex\" = { uniform = [0.0, 4.0] }\n",
        "\"powerlaw.norm\" = { log_uniform = [1e-4, 1e0] }\n",
    ];
    fs::write(here.join("case.toml"), text.concat()).unwrap();
    let infer = ["infer", "case.toml", "--data", "data", "--out", "run", "--device", "cpu", "--quiet"];
    let output = command(here, &[&infer[..], &runs::small(&[])].concat());
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", runs::stderr(&output));
    let derived = command(here, &["derive", "run", "--flux", "2", "10", "--photons", "2", "10", "--device", "cpu"]);
    assert_eq!(derived.status.code(), output.status.code(), "{}", runs::stderr(&derived));
    let read = |name: &str| rontgen::report::tables::read_samples(&here.join("run").join(name)).unwrap();
    let (found, posterior) = (read("derived.csv"), read("posterior.csv"));
    assert_eq!(found.names, ["flux(2-10)", "photons(2-10)", "flux(2-10)@c", "photons(2-10)@c"]);
    let factors = posterior.column(posterior.position("constant.factor@c").unwrap());
    for (row, factor) in found.values.chunks_exact(4).zip(factors) {
        close(row[2] / row[0], factor, 1e-5, "factor");
        close(row[3] / row[1], factor, 1e-5, "factor");
    }
    let document = fs::read_to_string(here.join("run/derived.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["quantities"]["flux(2-10)@c"]["set"].as_str(), Some("c"));
}

/// Tables of spectra end: bands that go beyond are refused, not cut.
#[test]
fn bands_beyond_a_table_are_refused() {
    use crate::common::table::{Axis, Model as Table};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emission.mod");
    let edges: Vec<f32> = (0..=90).map(|k| 1.0 + 0.1 * k as f32).collect();
    let table = Table::new(true, vec![Axis("x", 0, vec![0.0, 1.0])], vec![], edges, |_, _| vec![1e-3; 90]);
    fs::write(&path, table.bytes()).unwrap();
    let expression = format!("atable{{{}}}", path.display());
    let set = [("atable.x", [0.0, 1.0]), ("atable.norm", [1.0, 2.0])];
    let (model, parameters) = problem(&expression, &Settings::default(), &set);
    let of = |lo: f64, hi: f64| Request { bands: bands(&[(Integral::Photons, lo, hi)]), ..Request::default() };
    let found = computed(&model, &parameters, &spread(&parameters, 5), &of(1.0, 10.0), &Device::cpu());
    for (theta, photons) in spread(&parameters, 5).chunks_exact(2).zip(column(&found, "photons(1-10)")) {
        close(photons, 0.09 * theta[1], 1e-5, "table");
    }
    for (lo, hi) in [(0.5, 5.0), (2.0, 12.0)] {
        let error = refused(&model, &parameters, &of(lo, hi));
        assert!(error.contains("atable is tabulated from 1 to 10 keV only"), "{error}");
    }
}
