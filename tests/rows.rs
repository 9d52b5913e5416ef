//! Components of the user's own that take many spectra at a time: the same numbers as one by one, in few calls.

use crate::common::table::power_law;
use rontgen::{
    device::{Device, RowBlocks},
    model::{
        Extensions, Kind, Model, ParameterInfo, Parameters, Prior, Program, Setting, Settings, UserComponent,
        catalogue::Component,
    },
    observation,
    simulate::{Coordinates, Simulator},
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A power law, or a factor without any parameter; in rows or not. Fails for an index above 4.
#[derive(Debug)]
struct Mine {
    component: Component,
    rows: bool,
    /// Spectra of each call in rows.
    called: Mutex<Vec<usize>>,
    singly: AtomicUsize,
}

impl Mine {
    fn new(kind: Kind, rows: bool) -> Arc<Self> {
        let index = ParameterInfo::new("index", "", 1.5, -3.0, 10.0);
        let component = match kind {
            Kind::Additive => Component::new("mypower", kind, vec![index]),
            _ => Component::new("myfactor", kind, Vec::new()),
        };
        Arc::new(Self { component, rows, called: Mutex::default(), singly: AtomicUsize::new(0) })
    }

    fn of_one(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        for (out, (lo, hi)) in out.iter_mut().zip(bins) {
            *out = match parameters {
                [index] if *index > 4.0 => return Err(format!("index {index} is too steep for me")),
                [index] => power_law(*index, *lo, *hi),
                _ => (0.5 * (lo + hi)).sqrt(),
            };
        }
        Ok(())
    }
}

impl UserComponent for Mine {
    fn component(&self) -> &Component {
        &self.component
    }
    fn in_rows(&self) -> bool {
        self.rows
    }
    fn evaluate(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        self.singly.fetch_add(1, Ordering::Relaxed);
        self.of_one(parameters, bins, out)
    }
    fn evaluate_rows(&self, parameters: &[f64], bins: &[(f64, f64)], out: &mut [f64]) -> Result<(), String> {
        let rows = out.len() / bins.len();
        self.called.lock().unwrap().push(rows);
        let width = parameters.len() / rows;
        for (row, out) in out.chunks_exact_mut(bins.len()).enumerate() {
            self.of_one(&parameters[row * width..][..width], bins, out)?;
        }
        Ok(())
    }
}

/// Expected counts of the built-in instrument at `points`.
fn expected(components: [Arc<Mine>; 2], device: &Device, points: &[Vec<f64>]) -> Result<Vec<f32>, String> {
    let components = components.map(|own| own as Arc<dyn UserComponent>).to_vec();
    let extensions = Extensions { components, ..Extensions::default() };
    let expression = "myfactor*(mypower+powerlaw)+mypower";
    let model = Model::parse_with(expression, &Settings::default(), &extensions).unwrap();
    let dataset = observation::demo_instrument();
    let settings = [
        ("mypower.index", Setting::Free(Prior::Uniform { lo: 1.0, hi: 9.0 })),
        ("mypower.norm", Setting::Free(Prior::LogUniform { lo: 1e-4, hi: 1e-2 })),
        ("powerlaw.PhoIndex", Setting::Free(Prior::Uniform { lo: 1.0, hi: 3.0 })),
        ("powerlaw.norm", Setting::Frozen(1e-3)),
        ("mypower_2.index", Setting::Frozen(2.0)),
        ("mypower_2.norm", Setting::Frozen(2e-3)),
    ];
    let settings = settings.into_iter().map(|(name, setting)| (name.to_string(), setting)).collect();
    let parameters = Parameters::resolve(&model, &settings).unwrap();
    let program = Program::new(&model, &dataset.folded.edges).unwrap();
    let none = vec![0; dataset.folded.bins()];
    let simulator = Simulator::new(device, &program, &parameters, &dataset.folded, &none).unwrap();
    let theta = simulator.physical(points).unwrap();
    let mut out = RowBlocks::empty(device, points.len(), simulator.bins(), usize::MAX);
    simulator.expected(Coordinates::Physical, &theta, &mut out).map_err(|error| error.to_string())?;
    Ok(out.download().unwrap())
}

fn points(rows: usize) -> Vec<Vec<f64>> {
    let at = |row: usize, k: usize| ((row * 7 + k * 3) % 101) as f64 / 101.0;
    (0..rows).map(|row| vec![1.0 + 2.0 * at(row, 0), 1e-3 * (1.0 + at(row, 1)), 1.0 + 2.0 * at(row, 2)]).collect()
}

#[test]
fn rows_together_are_rows_one_by_one() {
    let mut devices = vec![(Device::cpu(), 1300)];
    let gpu = Device::open("gpu").or_else(|_| Device::open("software")).ok();
    assert!(gpu.is_some() || std::env::var("RONTGEN_REQUIRE_GPU").as_deref() != Ok("1"));
    devices.extend(gpu.map(|gpu| (gpu, 600)));
    for (device, rows) in devices {
        let [power, factor] = [Kind::Additive, Kind::Multiplicative].map(|kind| Mine::new(kind, true));
        let together = expected([power.clone(), factor.clone()], &device, &points(rows)).unwrap();
        let calls = power.called.lock().unwrap().clone();
        // Twice in the expression, some hundred rows at a time.
        assert_eq!(calls.iter().sum::<usize>(), 2 * rows, "{}", device.name());
        assert!(calls.len() <= 2 * rows.div_ceil(512) + 2, "{}: {calls:?}", device.name());
        assert_eq!(factor.called.lock().unwrap().iter().sum::<usize>(), rows);
        assert_eq!(power.singly.load(Ordering::Relaxed) + factor.singly.load(Ordering::Relaxed), 0);
        let [power, factor] = [Kind::Additive, Kind::Multiplicative].map(|kind| Mine::new(kind, false));
        let singly = expected([power.clone(), factor], &device, &points(rows)).unwrap();
        assert_eq!(power.singly.load(Ordering::Relaxed), 2 * rows);
        assert!(power.called.lock().unwrap().is_empty());
        assert_eq!(together, singly, "{}", device.name());
        assert!(together.iter().all(|count| *count > 0.0));
    }
}

#[test]
fn what_is_refused_is_told_with_parameters() {
    let mut all = points(40);
    all[17][0] = 5.0;
    let [power, factor] = [Kind::Additive, Kind::Multiplicative].map(|kind| Mine::new(kind, true));
    let text = expected([power, factor], &Device::cpu(), &all).unwrap_err();
    assert!(text.contains("mypower.index = ") && text.contains("index 5 is too steep for me"), "{text}");
}
