use super::*;
use crate::model::{Expr, Settings};

fn edges() -> Vec<f64> {
    (0..=333).map(|k| 0.3 * 1.01f64.powi(k)).collect()
}

#[test]
fn code_for_plain_machines_gives_the_same_photons() {
    let text = "tbabs*ztbabs*zashift(bbodyrad+diskbb+bremss+cutoffpl+bknpower+zgauss)*edge*highecut";
    let model = Model::parse(text, &Settings::default()).unwrap();
    let program = Program::new(&model, &edges()).unwrap();
    let full: Vec<f64> = model.parameters().iter().map(|p| f64::from(p.default as f32)).collect();
    let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
    let mut plain = vec![0.0f32; program.energies()];
    let mut fast = plain.clone();
    program.run_plain(&full, &mut Vec::new(), &[], &mut plain);
    program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
    assert!(plain.iter().all(|x| *x > 0.0));
    for (a, b) in plain.iter().zip(&fast) {
        assert!((a / b - 1.0).abs() < 2e-5, "{a} {b}");
    }
}

/// The expression evaluated naively, node by node, from programs of single components.
fn naive(model: &Model, expr: &Expr, full: &[f64]) -> Vec<f64> {
    match expr {
        Expr::Component(k) => {
            let c = &model.components[*k];
            let own = &full[c.first_parameter..c.first_parameter + c.component.parameters.len()];
            if c.component.kind == Kind::Multiplicative {
                return vec![own[0]; edges().len() - 1]; // constant is the only one used here
            }
            let alone = Model::parse(&c.component.name, &Settings::default()).unwrap();
            let mut flux = vec![0.0; edges().len() - 1];
            Program::new(&alone, &edges()).unwrap().evaluate(own, &mut flux);
            flux
        }
        Expr::Sum(a, b) | Expr::Product(a, b) => {
            let (x, y) = (naive(model, a, full), naive(model, b, full));
            let add = matches!(expr, Expr::Sum(..));
            x.iter().zip(&y).map(|(x, y)| if add { x + y } else { x * y }).collect()
        }
        Expr::Convolve(..) => unreachable!("not used here"),
    }
}

/// Products as one exponential, and sums multiplied out, against the oracle, which multiplies factor by factor.
#[test]
fn fused_products_keep_their_value() {
    for (text, fused) in [
        ("tbabs*powerlaw", 1),
        ("constant*tbabs*ztbabs*phabs*zcutoffpl", 1),
        ("tbabs*(powerlaw+cutoffpl+zpowerlw)", 3),
        ("tbabs*constant*(powerlaw+gaussian)", 2),
        ("tbabs*constant*edge*(bbodyrad+constant*powerlaw)", 2),
        ("constant*(gaussian+zgauss)", 0),
    ] {
        let model = Model::parse(text, &Settings::default()).unwrap();
        let program = Program::new(&model, &edges()).unwrap();
        let found = program.plans[0].ops.iter().filter(|op| matches!(op, Op::Leaf(Leaf::Fused(_), ..))).count();
        assert_eq!(found, fused, "{text}: {:?}", program.plans[0].ops);
        let full: Vec<f64> = model.parameters().iter().map(|p| f64::from(p.default as f32)).collect();
        let single: Vec<f32> = full.iter().map(|x| *x as f32).collect();
        let (mut exact, mut fast) = (vec![0.0; program.energies()], vec![0.0f32; program.energies()]);
        program.evaluate(&full, &mut exact);
        program.evaluate_f32(&single, &mut fast, &mut Scratch::default());
        let peak = exact.iter().copied().fold(0.0, f64::max);
        for ((a, b), edge) in exact.iter().zip(&fast).zip(edges()) {
            // A single line falls off by powers of ten from bin to bin; the oracle divides these bins.
            let bound = if text.contains("gauss") { 1e-3 } else { 3e-5 };
            assert!((a - f64::from(*b)).abs() < bound * a + 1e-7 * peak, "{text} at {edge}: {a} {b}");
        }
    }
}

#[test]
fn nested_sums_and_products_keep_their_meaning() {
    let mut deep = "powerlaw".to_string();
    for k in 0..40 {
        deep = if k % 2 == 0 { format!("bbody+({deep})") } else { format!("constant*({deep})") };
    }
    let mut balanced = "(constant*powerlaw+bbody)".to_string();
    for _ in 0..5 {
        balanced = format!("constant*({balanced}+{balanced})");
    }
    let texts = [
        "(powerlaw+bbody)*(constant*constant)",
        "constant*(powerlaw+constant*(bbody+powerlaw)+bbody)",
        &deep,
        &balanced,
    ];
    for text in texts {
        let model = Model::parse(text, &Settings::default()).unwrap();
        let program = Program::new(&model, &edges()).unwrap();
        let full: Vec<f64> = (0..program.parameters()).map(|k| 0.5 + 0.01 * (k % 70) as f64).collect();
        let mut flux = vec![0.0; program.energies()];
        program.evaluate(&full, &mut flux);
        for (a, b) in flux.iter().zip(naive(&model, &model.expression, &full)) {
            assert!((a / b - 1.0).abs() < 1e-12, "{text}: {a} {b}");
        }
    }
}

#[test]
fn convolutions_nest_and_read_the_right_stage() {
    let text = "zashift(powerlaw)+zashift(constant*zashift(powerlaw))";
    let model = Model::parse(text, &Settings::default()).unwrap();
    let program = Program::new(&model, &edges()).unwrap();
    assert_eq!(program.stages().len(), 4);
    let mut full: Vec<f64> = model.parameters().iter().map(|p| p.default).collect();
    for (name, value) in [
        ("zashift.Redshift", 0.1),
        ("powerlaw.PhoIndex", 2.0),
        ("zashift_2.Redshift", 0.2),
        ("constant.factor", 3.0),
        ("zashift_3.Redshift", 0.05),
        ("powerlaw_2.PhoIndex", 1.5),
    ] {
        full[model.find(name).unwrap()] = value;
    }
    let mut flux = vec![0.0; program.energies()];
    program.evaluate(&full, &mut flux);
    for (e, photons) in edges().windows(2).zip(&flux).take(200) {
        let power = |g: f64, z: f64| (1.0 + z).powf(-g) * (e[1].powf(1.0 - g) - e[0].powf(1.0 - g)) / (1.0 - g);
        let want = power(2.0, 0.1) + 3.0 * power(1.5, 1.2 * 1.05 - 1.0);
        // Rebinning treats the source as flat inside its bins.
        assert!((photons / want - 1.0).abs() < 2e-4, "{e:?} {photons} {want}");
    }
}
