//! The language of model expressions, parameters, ties and priors, as a user meets them.

use proptest::prelude::*;
use rontgen::model::{Expr, Model, ModelError, Parameters, Prior, Setting, Settings};
use std::collections::BTreeMap;

fn parse(text: &str) -> Result<Model, ModelError> {
    Model::parse(text, &Settings::default())
}

fn message(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn products_sums_and_arguments_give_the_expected_trees() {
    let canonical = [
        ("powerlaw", "powerlaw"),
        ("TBabs * (BBodyRad + PowerLaw)", "tbabs*(bbodyrad+powerlaw)"),
        ("tbabs(powerlaw)", "tbabs*powerlaw"),
        ("tbabs(powerlaw+gauss)", "tbabs*(powerlaw+gaussian)"),
        ("powerlaw*tbabs", "powerlaw*tbabs"),
        ("(powerlaw+bbody)*edge*constant", "(powerlaw+bbody)*edge*constant"),
        ("(tbabs*edge)*powerlaw", "(tbabs*edge)*powerlaw"),
        ("tbabs*zashift*(powerlaw+bbody)", "tbabs*zashift(powerlaw+bbody)"),
        ("tbabs*zashift(powerlaw)*edge", "tbabs*zashift(powerlaw)*edge"),
        ("powerlaw+(bbody+diskbb)", "powerlaw+(bbody+diskbb)"),
        ("((((powerlaw))))", "powerlaw"),
    ];
    for (text, want) in canonical {
        let model = parse(text).unwrap();
        assert_eq!(model.canonical(), want);
        assert_eq!(parse(&model.canonical()).unwrap().expression, model.expression, "{text}");
    }
    let model = parse("zashift*tbabs*powerlaw").unwrap();
    let inner = Expr::Product(Box::new(Expr::Component(1)), Box::new(Expr::Component(2)));
    assert_eq!(model.expression, Expr::Convolve(0, Box::new(inner)));
}

#[test]
fn repeated_components_are_numbered_in_order() {
    let model = parse("tbabs*(powerlaw+bbody+powerlaw)+tbabs*powerlaw").unwrap();
    let names: Vec<&str> = model.components.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["tbabs", "powerlaw", "bbody", "powerlaw_2", "tbabs_2", "powerlaw_3"]);
    let parameters: Vec<&str> = model.parameters().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        parameters,
        [
            "tbabs.nH",
            "powerlaw.PhoIndex",
            "powerlaw.norm",
            "bbody.kT",
            "bbody.norm",
            "powerlaw_2.PhoIndex",
            "powerlaw_2.norm",
            "tbabs_2.nH",
            "powerlaw_3.PhoIndex",
            "powerlaw_3.norm"
        ]
    );
    assert_eq!(model.find("POWERLAW_2.phoindex").unwrap(), 5);
}

#[test]
fn errors_say_what_and_point_where() {
    let cases = [
        ("", "empty", "^"),
        ("powerlaw*bbody", "cannot be multiplied", "         ^^^^^"),
        ("tbabs*(powerlaw*bbody)", "cannot be multiplied", "                ^^^^^"),
        ("tbabs*edge", "nothing here emits photons", "^^^^^^^^^^"),
        ("tbabs+powerlaw", "the term 'tbabs' is multiplicative", "     ^"),
        ("tbabs*()", "empty parentheses", "      ^^"),
        ("tbabs*(powerlaw", "never closed", "      ^"),
        ("tbabs*powerlaw)", "closes nothing", "              ^"),
        ("tbabs*(foo+powerlaw)", "no component 'foo'", "       ^^^"),
        ("tbbs*powerlaw", "did you mean 'TBabs'?", "^^^^"),
        ("powerlaw(bbody)", "takes no argument", "^^^^^^^^"),
        ("powerlaw*zashift", "needs something to act on", "         ^^^^^^^"),
        ("zashift*tbabs", "acts on photons", "^^^^^^^"),
        ("bb*tbabs", "could be bbody", "^^"),
        ("kerrbb", "cannot be distributed with this program", "^^^^^^"),
        ("2*powerlaw", "constant", "^"),
        // Factors may stand side by side, so this is a product.
        ("powerlaw bbody", "cannot be multiplied", "         ^^^^^"),
        ("tbabs*", "found the end", "      ^"),
        ("tbabs**powerlaw", "found '*'", "      ^"),
        ("päwerlaw", "no component 'p'", "^"),
    ];
    for (text, says, marker) in cases {
        let error = message(text);
        assert!(error.contains(says), "{text}: {error}");
        let last = error.lines().last().unwrap();
        assert_eq!(last.strip_prefix("  "), Some(marker), "{text}: {error}");
    }
    assert!(message(&"(".repeat(5000)).contains("nested"));
    assert!(message(&vec!["powerlaw"; 500].join("+")).contains("more than"));
    assert!(Settings::new("solar", "vern").unwrap_err().to_string().contains("wilm"));
    assert!(Settings::new("WILM", "vern").is_ok());
}

fn settings(entries: &[(&str, Setting)]) -> BTreeMap<String, Setting> {
    entries.iter().map(|(n, s)| (n.to_string(), s.clone())).collect()
}

fn uniform(lo: f64, hi: f64) -> Setting {
    Setting::Free(Prior::Uniform { lo, hi })
}

fn tied(to: &str, scale: f64, offset: f64) -> Setting {
    Setting::Tied { to: to.into(), scale, offset }
}

#[test]
fn free_frozen_and_tied_parameters_become_one_vector() {
    let model = parse("tbabs*(powerlaw+zgauss+zgauss)").unwrap();
    let parameters = Parameters::resolve(
        &model,
        &settings(&[
            ("TBABS.NH", Setting::Frozen(0.2)),
            ("powerlaw.phoindex", uniform(1.0, 3.0)),
            ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-3, hi: 1.0 })),
            ("zgauss.LineE", Setting::Frozen(6.4)),
            ("zgauss.Sigma", uniform(0.0, 0.1)),
            ("zgauss.Redshift", uniform(0.0, 0.5)),
            ("zgauss.norm", Setting::Free(Prior::LogUniform { lo: 1e-6, hi: 1e-2 })),
            ("zgauss_2.LineE", tied("zgauss.LineE", 1.0, 0.3)),
            ("zgauss_2.Sigma", tied("zgauss.Sigma", 2.0, 0.0)),
            ("zgauss_2.Redshift", tied("zgauss.Redshift", 1.0, 0.0)),
            ("zgauss_2.norm", tied("zgauss.norm", 0.5, 0.0)),
        ]),
    )
    .unwrap();
    let names: Vec<&str> = parameters.free().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["powerlaw.PhoIndex", "powerlaw.norm", "zgauss.Sigma", "zgauss.Redshift", "zgauss.norm"]);
    let theta = [1.5, 0.1, 0.01, 0.25, 1e-4];
    let full = parameters.full(&theta);
    assert_eq!(full, [0.2, 1.5, 0.1, 6.4, 0.01, 0.25, 1e-4, 6.7, 0.02, 0.25, 5e-5]);
    for (entry, value) in parameters.map().iter().zip(&full) {
        let got = if entry.free < 0 { entry.offset } else { entry.scale * theta[entry.free as usize] + entry.offset };
        assert_eq!(got, *value);
    }
    let cube = parameters.to_cube(&theta);
    for (a, b) in parameters.from_cube(&cube).iter().zip(&theta) {
        assert!((a / b - 1.0).abs() < 1e-12);
    }
    let volume: f64 = (2.0f64).ln() + (0.1f64).ln() + (0.5f64).ln();
    let logs = -(0.1f64).ln() - (1e3f64).ln().ln() - (1e-4f64).ln() - (1e4f64).ln().ln();
    assert!((parameters.ln_prior(&theta) - (logs - volume)).abs() < 1e-12);
    assert_eq!(parameters.ln_prior(&[0.5, 0.1, 0.01, 0.25, 1e-4]), f64::NEG_INFINITY);
}

#[test]
fn ties_follow_chains_and_refuse_circles() {
    let model = parse("powerlaw+powerlaw+powerlaw").unwrap();
    let base = [
        ("powerlaw.norm", Setting::Frozen(1.0)),
        ("powerlaw_2.norm", Setting::Frozen(1.0)),
        ("powerlaw_3.norm", Setting::Frozen(1.0)),
        ("powerlaw.PhoIndex", tied("powerlaw_2.PhoIndex", 2.0, 0.1)),
        ("powerlaw_2.PhoIndex", tied("powerlaw_3.PhoIndex", 0.5, 0.2)),
    ];
    let mut chain = settings(&base);
    chain.insert("powerlaw_3.PhoIndex".into(), uniform(1.0, 2.0));
    let parameters = Parameters::resolve(&model, &chain).unwrap();
    let full = parameters.full(&[1.4]);
    assert!((full[2] - (0.5 * 1.4 + 0.2)).abs() < 1e-15);
    assert!((full[0] - (2.0 * full[2] + 0.1)).abs() < 1e-15);

    chain.insert("powerlaw_3.PhoIndex".into(), tied("powerlaw.PhoIndex", 1.0, 0.0));
    assert!(Parameters::resolve(&model, &chain).unwrap_err().to_string().contains("circle"));
    // A parameter that hangs on a circle without being part of it.
    chain.insert("powerlaw_3.PhoIndex".into(), tied("powerlaw_2.PhoIndex", 1.0, 0.0));
    assert!(Parameters::resolve(&model, &chain).unwrap_err().to_string().contains("circle"));
    chain.insert("powerlaw_3.PhoIndex".into(), tied("powerlaw_3.PhoIndex", 1.0, 0.0));
    assert!(Parameters::resolve(&model, &chain).unwrap_err().to_string().contains("circle"));
    chain.insert("powerlaw_3.PhoIndex".into(), tied("powerlaw_3.Index", 1.0, 0.0));
    let error = Parameters::resolve(&model, &chain).unwrap_err().to_string();
    assert!(error.contains("powerlaw_3.PhoIndex is tied to 'powerlaw_3.Index'"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let model = parse("tbabs*powerlaw").unwrap();
    let good = settings(&[
        ("tbabs.nH", uniform(0.0, 1.0)),
        ("powerlaw.PhoIndex", uniform(0.0, 5.0)),
        ("powerlaw.norm", Setting::Free(Prior::LogUniform { lo: 1e-5, hi: 1e-2 })),
    ]);
    assert!(Parameters::resolve(&model, &good).is_ok());
    let cases: &[(&str, Option<Setting>, &[&str])] = &[
        ("powerlaw.PhoIndex", None, &["no prior or value for powerlaw.PhoIndex"]),
        ("tbabs.nh", Some(Setting::Frozen(0.1)), &["tbabs.nH", "tbabs.nh", "same parameter"]),
        ("powerlaw.Phoindx", Some(uniform(0.0, 1.0)), &["did you mean 'powerlaw.PhoIndex'"]),
        ("tbabs.nH", Some(uniform(-1.0, 1.0)), &["tbabs.nH", "-1", "hard limits 0"]),
        ("tbabs.nH", Some(uniform(2.0, 1.0)), &["tbabs.nH", "not below"]),
        ("tbabs.nH", Some(Setting::Free(Prior::LogUniform { lo: 0.0, hi: 1.0 })), &["tbabs.nH", "above 0"]),
        ("tbabs.nH", Some(Setting::Frozen(-0.1)), &["tbabs.nH", "-0.1", "hard limits"]),
        ("tbabs.nH", Some(Setting::Frozen(f64::NAN)), &["tbabs.nH", "not finite"]),
        ("tbabs.nH", Some(tied("powerlaw.PhoIndex", -1.0, 0.0)), &["tbabs.nH", "-5", "hard limits"]),
        ("tbabs.nH", Some(tied("powerlaw.PhoIndex", f64::NAN, 0.0)), &["tbabs.nH", "finite"]),
    ];
    for (name, setting, says) in cases {
        let mut settings = good.clone();
        match setting {
            Some(s) => settings.insert(name.to_string(), s.clone()),
            None => settings.remove(*name),
        };
        let error = Parameters::resolve(&model, &settings).expect_err(name).to_string();
        for word in *says {
            assert!(error.contains(word), "{name}: '{error}' lacks '{word}'");
        }
    }
    let pivot = parse("logpar").unwrap();
    let free = settings(&[
        ("logpar.alpha", Setting::Frozen(1.0)),
        ("logpar.beta", Setting::Frozen(0.1)),
        ("logpar.pivotE", uniform(1.0, 2.0)),
        ("logpar.norm", Setting::Frozen(1.0)),
    ]);
    assert!(Parameters::resolve(&pivot, &free).unwrap_err().to_string().contains("cannot be free"));
}

#[test]
fn priors_may_start_at_zero_and_normal_ones_are_cut_to_the_limits() {
    let model = parse("bbodyrad").unwrap();
    let parameters = Parameters::resolve(
        &model,
        &settings(&[
            ("bbodyrad.kT", uniform(0.0, 2.0)),
            ("bbodyrad.norm", Setting::Free(Prior::Normal { mean: 0.1, sd: 1.0 })),
        ]),
    )
    .unwrap();
    assert_eq!(parameters.warnings().len(), 1);
    assert!(parameters.warnings()[0].contains("bbodyrad.kT"));
    for u in [0.0, 1e-9, 0.5, 1.0] {
        let theta = parameters.from_cube(&[u, u]);
        assert!(theta[1] >= 0.0 && parameters.ln_prior(&theta).is_finite());
    }
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["powerlaw", "BBODYRAD", "diskbb", "gauss", "zgauss"]).prop_map(str::to_string);
    let factor = prop::sample::select(vec!["tbabs", "Edge", "constant", "zashift", "highecut"]);
    leaf.prop_recursive(5, 40, 3, move |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} + {b}")),
            (factor.clone(), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (factor.clone(), inner.clone()).prop_map(|(f, a)| format!("{f}*({a})")),
            inner.prop_map(|a| format!("(({a}))*tbabs")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn almost_expressions_are_parsed_or_refused(text in "[a-z()*+ ]{0,40}|((tbabs|powerlaw|zashift|ga)[()*+]{0,3}){0,8}") {
        if let Ok(model) = parse(&text) {
            prop_assert!(!model.parameters().is_empty());
        }
    }

    #[test]
    fn printing_and_parsing_give_the_same_tree(text in expression()) {
        let model = parse(&text).unwrap();
        let again = parse(&model.canonical()).unwrap();
        prop_assert_eq!(&again.expression, &model.expression);
        prop_assert_eq!(again.canonical(), model.canonical());
    }
}
