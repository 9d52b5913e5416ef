//! What a posterior says of the source itself: fluxes, luminosities and equivalent widths of every draw.
//!
//! An integral over a band is a fold: the model, or an excerpt of it, is evaluated on energies of its own, and the rows of its "response" add
//! up the bins of a band. So all draws go through the simulator's kernels, on a GPU or on the CPU, and only sums come back. The energies
//! are not those of the instrument's response; models with convolutions, which see whole spectra, keep to the range of the
//! response (and the bands), which is what they were fitted on.

mod check;
mod distance;
mod grid;
mod limit;
mod refine;

pub use grid::STEP;

use super::Observer;
use crate::device::{Device, RowBlocks, Tensor};
use crate::model::{Cosmology, ERG_PER_KEV, Kind, Model, ModelError, Origin, Parameters, Program};
use crate::numerics::statistics::Description;
use crate::observation::FoldedResponse;
use crate::result::{DerivedQuantity, Distance, ParameterSummary, Samples};
use crate::simulate::{ArmSpec, Coordinates, Outputs, Simulator, Source, Statistic, no_tick};
use crate::{Error, Result};
use distance::Distances;
use grid::{Grid, Stretch};
use rayon::prelude::*;

/// Half of the range over which the continuum of an equivalent width is averaged, as a share of the line's energy: XSPEC's.
const RANGE: f64 = 0.05;
/// Sums that are held at a time.
const SUMS_AT_ONCE: usize = 1 << 23;
/// Lines that are highest at the energy that is their parameter.
const LINES: [&str; 6] = ["gaussian", "zgauss", "lorentz", "zlorentz", "voigt", "zvoigt"];

/// What is integrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integral {
    /// erg/cm2/s.
    Flux,
    /// photons/cm2/s.
    Photons,
    /// erg/s, in a band of the source's frame.
    Luminosity,
}

impl Integral {
    /// The option that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            Integral::Flux => "--flux",
            Integral::Photons => "--photons",
            Integral::Luminosity => "--luminosity",
        }
    }

    fn kind(self) -> &'static str {
        self.option().trim_start_matches('-')
    }

    fn unit(self) -> &'static str {
        match self {
            Integral::Flux => "erg/cm2/s",
            Integral::Photons => "photons/cm2/s",
            Integral::Luminosity => "erg/s",
        }
    }

    /// Name of a column, without what stands in brackets.
    fn name(self, without: bool) -> &'static str {
        match (self, without) {
            (Integral::Flux, false) => "flux",
            (Integral::Flux, true) => "unabsorbed",
            (Integral::Photons, false) => "photons",
            (Integral::Photons, true) => "unabsorbed_photons",
            (Integral::Luminosity, false) => "luminosity",
            (Integral::Luminosity, true) => "unabsorbed_luminosity",
        }
    }
}

/// An integral over energies from `lo` to `hi` (keV).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// What is integrated.
    pub integral: Integral,
    /// Lower energy \[keV\].
    pub lo: f64,
    /// Upper energy \[keV\].
    pub hi: f64,
}

/// What is to be derived.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Integrals over energies.
    pub bands: Vec<Band>,
    /// Multiplicative components; every band also without each of them, and without all of them where there are several.
    pub unabsorbed: Vec<String>,
    /// Additive components whose equivalent width is wanted.
    pub equivalent_widths: Vec<String>,
    /// Every band also for each additive component.
    pub by_component: bool,
    /// Of the source, for luminosities. `None`: that of the model.
    pub redshift: Option<f64>,
    /// Of luminosities: Hubble's constant and the densities.
    pub cosmology: Cosmology,
}

impl Request {
    /// Whether the range of the response's energies decides the result: equivalent widths are those of lines within it, and convolutions
    /// were fitted on it.
    pub fn needs_response(&self, model: &Model) -> bool {
        !self.equivalent_widths.is_empty() || model.expression.convolves()
    }
}

/// The draws to derive from.
#[derive(Debug, Clone, Copy)]
pub struct Draws<'a> {
    /// The model of the run.
    pub model: &'a Model,
    /// All free parameters, and the map from them to those of the model.
    pub parameters: &'a Parameters,
    /// Equal-weight draws of the free parameters, row-major.
    pub values: &'a [f64],
    /// What the run says of each free parameter: where a norm is at the edge of its prior, a flux is a limit.
    pub summaries: &'a [(String, ParameterSummary)],
    /// Independent draws that these are worth.
    pub effective: f64,
    /// Energies of the response (keV), where [`Request::needs_response`].
    pub response: Option<(f64, f64)>,
}

/// What was derived.
#[derive(Debug, Clone)]
pub struct Derivation {
    /// One row per draw, one column per quantity.
    pub samples: Samples,
    /// In the order of the columns.
    pub quantities: Vec<DerivedQuantity>,
    /// Of luminosities: redshift, and XSPEC's `cosmo`.
    pub distance: Option<Distance>,
    /// What there is to say.
    pub warnings: Vec<String>,
}

/// A part of the model, with what is to be added up of it.
#[derive(Debug)]
struct Excerpt {
    model: Model,
    /// Of an equivalent width, whose energies go by the draws: fluxes have energies of their own, which do not.
    width: bool,
    stretches: Vec<Stretch>,
    photons: bool,
    energy: bool,
}

/// How a column comes from the sums of an excerpt.
#[derive(Debug, Clone)]
enum Rule {
    Band { band: Band, excerpt: usize },
    Width { line: usize, continuum: usize, component: usize },
}

#[derive(Debug)]
struct Column {
    name: String,
    rule: Rule,
    component: Option<String>,
    without: Vec<String>,
}

/// Computes what `request` asks for.
///
/// # Errors
/// Bands, components and redshifts that make no sense, by the options that name them; those of the device; interruptions.
pub fn derive(draws: &Draws<'_>, request: &Request, device: &Device, observer: &dyn Observer) -> Result<Derivation> {
    let full: Vec<Vec<f64>> =
        draws.values.chunks_exact(draws.parameters.free().len().max(1)).map(|row| draws.parameters.full(row)).collect();
    if full.is_empty() {
        return Err(Error::Input("the posterior has no draws to derive anything from".into()));
    }
    check::request(request)?;
    let distance = Distances::find(draws.model, &full, request)?;
    let mut warnings = check::tables(draws.model, &full, request, distance.as_ref())?;
    let mut plan = Plan { draws, full: &full, distance: distance.as_ref(), excerpts: Vec::new(), columns: Vec::new() };
    plan.bands(request)?;
    plan.widths(request)?;
    let values = plan.evaluate(device, observer)?;
    let width = plan.columns.len();
    let quantities: Vec<DerivedQuantity> = plan
        .columns
        .par_iter()
        .enumerate()
        .map(|(k, column)| {
            let own: Vec<f64> = values.iter().skip(k).step_by(width).copied().collect();
            plan.quantity(column, &own)
        })
        .collect();
    let names = plan.columns.iter().map(|column| column.name.clone()).collect();
    warnings.extend(plan.warnings(&values));
    Ok(Derivation { samples: Samples { names, values }, quantities, distance: distance.map(Distances::told), warnings })
}

/// Least and largest of some numbers.
fn range_of(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], x| [least.min(x), most.max(x)])
}

/// Columns, and the parts of the model that they come from.
struct Plan<'a> {
    draws: &'a Draws<'a>,
    /// All parameters of the model, per draw.
    full: &'a [Vec<f64>],
    distance: Option<&'a Distances>,
    excerpts: Vec<Excerpt>,
    columns: Vec<Column>,
}

/// Adds the option to the message of a component that cannot be taken out.
fn of_option(option: &str) -> impl Fn(ModelError) -> Error {
    move |error| Error::Input(format!("{option}: {error}"))
}

impl Plan<'_> {
    /// The position of a component of a kind that an option names.
    fn component(&self, option: &str, name: &str, kind: Kind) -> Result<usize> {
        let k = self.draws.model.component(name).map_err(of_option(option))?;
        let found = self.draws.model.components[k].component.kind;
        match found == kind {
            true => Ok(k),
            false => Err(Error::Input(format!(
                "{option} {name}: expected {} component, found {}",
                article(kind),
                article(found)
            ))),
        }
    }

    /// The number of the excerpt that `model` is.
    fn excerpt(&mut self, model: Model, width: bool) -> usize {
        let same = |known: &Excerpt| known.width == width && known.model.expression == model.expression;
        if let Some(k) = self.excerpts.iter().position(same) {
            return k;
        }
        self.excerpts.push(Excerpt { model, width, stretches: Vec::new(), photons: false, energy: false });
        self.excerpts.len() - 1
    }

    fn bands(&mut self, request: &Request) -> Result<()> {
        let model = self.draws.model;
        let mut factors = Vec::new();
        for name in &request.unabsorbed {
            let k = self.component("--unabsorbed", name, Kind::Multiplicative)?;
            if !factors.contains(&k) {
                factors.push(k);
            }
        }
        let emit = model.of_kind(Kind::Additive);
        let mut without: Vec<Vec<usize>> = vec![Vec::new()];
        without.extend(factors.iter().map(|k| vec![*k]));
        if factors.len() > 1 {
            without.push(factors);
        }
        let mut bands: Vec<Band> = Vec::new();
        request.bands.iter().for_each(|band| {
            if !bands.contains(band) {
                bands.push(*band)
            }
        });
        for band in bands {
            for out in &without {
                let whole = std::iter::once(None);
                for component in whole.chain(emit.iter().copied().map(Some).filter(|_| request.by_component)) {
                    let others =
                        component.into_iter().flat_map(|k| emit.iter().copied().filter(move |other| *other != k));
                    let option = if component.is_some() { "--by-component" } else { "--unabsorbed" };
                    let all: Vec<usize> = out.iter().copied().chain(others).collect();
                    let Some(part) = model.without(&all).map_err(of_option(option))? else { continue };
                    let excerpt = self.excerpt(part, false);
                    self.band(band, excerpt, out, component);
                }
            }
        }
        Ok(())
    }

    fn band(&mut self, band: Band, excerpt: usize, out: &[usize], component: Option<usize>) {
        let Band { integral, lo, hi } = band;
        let own = &mut self.excerpts[excerpt];
        own.photons |= integral == Integral::Photons;
        own.energy |= integral != Integral::Photons;
        own.stretches.push(match (integral, self.distance) {
            (Integral::Luminosity, Some(distance)) => {
                let seen = |e: f64| [e / (1.0 + distance.range[1]), e / (1.0 + distance.range[0])];
                Stretch { from: seen(lo), to: seen(hi) }
            }
            _ => Stretch::fixed(lo, hi),
        });
        let name = |k: &usize| self.draws.model.components[*k].name.clone();
        let (without, component): (Vec<String>, _) = (out.iter().map(name).collect(), component.as_ref().map(name));
        let mut inside = vec![format!("{lo}-{hi}")];
        inside.extend((!without.is_empty()).then(|| without.join("*")));
        inside.extend(component.clone());
        let name = format!("{}({})", integral.name(!without.is_empty()), inside.join(";"));
        self.columns.push(Column { name, rule: Rule::Band { band, excerpt }, component, without });
    }

    fn widths(&mut self, request: &Request) -> Result<()> {
        let (model, option) = (self.draws.model, "--eqw");
        let emit = model.of_kind(Kind::Additive);
        let mut done = Vec::new();
        for name in &request.equivalent_widths {
            let k = self.component(option, name, Kind::Additive)?;
            if done.contains(&k) {
                continue;
            }
            done.push(k);
            let others: Vec<usize> = emit.iter().copied().filter(|other| *other != k).collect();
            let continuum = model.without(&[k]).map_err(of_option(option))?;
            let line = model.without(&others).map_err(of_option(option))?;
            let (Some(line), Some(continuum)) = (line, continuum) else {
                let text = format!("{option} {name}: nothing else of {} is a continuum", model.canonical());
                return Err(Error::Input(text));
            };
            let Some((least, most)) = self.draws.response else {
                return Err(Error::Input(format!("{option} {name}: the energies of the response are not known")));
            };
            let known = self.line_energies(&line, k);
            let (line, continuum) = (self.excerpt(line, true), self.excerpt(continuum, true));
            // Where the peak is looked for it may be anywhere.
            let [from, to] = known.unwrap_or([least, most]);
            let own = &mut self.excerpts[line];
            own.photons = true;
            own.stretches.push(Stretch::fixed(least, most));
            if known.is_none() {
                own.stretches.push(Stretch::every_bin(least, most));
            }
            let own = &mut self.excerpts[continuum];
            own.photons = true;
            own.stretches.push(Stretch {
                from: [from * (1.0 - RANGE), to * (1.0 - RANGE)],
                to: [from * (1.0 + RANGE), to * (1.0 + RANGE)],
            });
            let component = model.components[k].name.clone();
            self.columns.push(Column {
                name: format!("eqw({component})"),
                rule: Rule::Width { line, continuum, component: k },
                component: Some(component),
                without: Vec::new(),
            });
        }
        Ok(())
    }

    /// Least and largest energy of a line among the draws, where it is highest at the energy that is its parameter.
    fn line_energies(&self, line: &Model, component: usize) -> Option<[f64; 2]> {
        if line.expression.convolves() {
            return None;
        }
        let energies = self.full.iter().map(|full| line_energy(line, component, full));
        let range = range_of(energies.collect::<Option<Vec<f64>>>()?.into_iter());
        (range[0] > 0.0).then_some(range)
    }

    /// The columns of every draw, row-major.
    fn evaluate(&self, device: &Device, observer: &dyn Observer) -> Result<Vec<f64>> {
        let mut laid: Vec<(Grid, Program, FoldedResponse)> = Vec::with_capacity(self.excerpts.len());
        for excerpt in &self.excerpts {
            // What a convolution sees is that of the fit, and what is asked for.
            let whole = match (excerpt.model.expression.convolves(), self.draws.response) {
                (true, None) => return Err(Error::Input("the energies of the response are not known".into())),
                (convolves, response) => response.filter(|_| convolves),
            };
            let grid = refine::refined(Grid::new(&excerpt.stretches, whole), &excerpt.model, self.full)?;
            let program = Program::new(&excerpt.model, &grid.edges)?;
            let sums = grid.sums(excerpt.photons, excerpt.energy);
            laid.push((grid, program, sums));
        }
        let mut arms = Vec::with_capacity(laid.len());
        let mut sums = 0;
        let mut places = Vec::with_capacity(laid.len());
        for (_, program, folded) in &laid {
            arms.push(ArmSpec::new(program, self.draws.parameters, folded, sums..sums + folded.bins()));
            places.push(sums);
            sums += folded.bins();
        }
        let simulator = Simulator::joint(device, &arms, &vec![0; sums], &[(0..sums, Statistic::Poisson)])?;
        let (p, width) = (self.draws.parameters.free().len(), self.columns.len());
        let rows_at_once = (SUMS_AT_ONCE / sums.max(1)).clamp(64, 1 << 14);
        let mut values = vec![0.0; self.full.len() * width];
        observer.stage("derive", self.full.len() as u64);
        for (batch, out) in values.chunks_mut(rows_at_once * width).enumerate() {
            observer.check()?;
            let (first, rows) = (batch * rows_at_once, out.len() / width);
            let theta: Vec<f32> = self.draws.values[first * p..][..rows * p].iter().map(|x| *x as f32).collect();
            let theta = Tensor::from_slice(device, rows, p, &theta);
            let mut expected = RowBlocks::empty(device, rows, sums, rows);
            let outputs = Outputs { expected: Some(&mut expected), ..Outputs::default() };
            // Nothing is random in a flux.
            let source = Source { seed: 0, stream: 0 };
            simulator.run_from(first, Coordinates::Physical, &theta, source, outputs, &mut no_tick)?;
            let expected = expected.download()?;
            out.par_chunks_mut(width).zip(expected.par_chunks(sums)).enumerate().for_each(|(row, (out, sums))| {
                for (out, column) in out.iter_mut().zip(&self.columns) {
                    let excerpt = |k: usize| Sums { grid: &laid[k].0, of: &self.excerpts[k], sums: &sums[places[k]..] };
                    *out = self.value(column, first + row, &excerpt);
                }
            });
            observer.advance(rows as u64);
        }
        Ok(values)
    }

    /// One column of one draw.
    fn value<'s>(&self, column: &Column, draw: usize, excerpt: &dyn Fn(usize) -> Sums<'s>) -> f64 {
        match column.rule {
            Rule::Band { band: Band { integral, lo, hi }, excerpt: k } => match (integral, self.distance) {
                (Integral::Photons, _) => excerpt(k).photons(lo, hi),
                (Integral::Luminosity, Some(distance)) => {
                    let z = distance.redshift(draw);
                    let flux = ERG_PER_KEV * excerpt(k).energy(lo / (1.0 + z), hi / (1.0 + z));
                    distance.luminosity(flux, draw)
                }
                _ => ERG_PER_KEV * excerpt(k).energy(lo, hi),
            },
            Rule::Width { line, continuum, component } => {
                let own = excerpt(line);
                let energy = match self.line_energy_of(line, component, draw) {
                    Some(energy) => energy,
                    None => own.grid.peak(own.all_photons()),
                };
                let (lo, hi) = (energy * (1.0 - RANGE), energy * (1.0 + RANGE));
                let (least, most) = self.draws.response.unwrap_or((lo, hi));
                let photons = own.photons(least, most);
                let density = excerpt(continuum).photons(lo, hi) / (hi - lo);
                if photons == 0.0 { 0.0 } else { photons / density }
            }
        }
    }

    fn line_energy_of(&self, excerpt: usize, component: usize, draw: usize) -> Option<f64> {
        let model = &self.excerpts[excerpt].model;
        if model.expression.convolves() { None } else { line_energy(model, component, &self.full[draw]) }
    }

    /// What is said of a column.
    fn quantity(&self, column: &Column, values: &[f64]) -> DerivedQuantity {
        let d = Description::of(values);
        let (kind, unit, band, excerpt) = match column.rule {
            Rule::Band { band: Band { integral, lo, hi }, excerpt } => {
                (integral.kind(), integral.unit(), Some([lo, hi]), excerpt)
            }
            Rule::Width { line, .. } => ("eqw", "keV", None, line),
        };
        DerivedQuantity {
            median: d.median,
            mean: d.mean,
            std: d.std,
            q05: d.q05,
            q16: d.q16,
            q84: d.q84,
            q95: d.q95,
            unit: unit.into(),
            kind: kind.into(),
            band,
            component: column.component.clone(),
            set: None,
            without: column.without.clone(),
            limit: limit::upper(values, &self.excerpts[excerpt].model, self.draws),
        }
    }

    fn warnings(&self, values: &[f64]) -> Vec<String> {
        let width = self.columns.len();
        let endless = |(k, column): (usize, &Column)| {
            let draws = values.iter().skip(k).step_by(width).filter(|x| !x.is_finite()).count();
            (draws > 0).then(|| format!("{}: {draws} draws have no continuum at the line", column.name))
        };
        self.columns.iter().enumerate().filter_map(endless).collect()
    }
}

fn article(kind: Kind) -> String {
    match kind {
        Kind::Additive => "an additive".into(),
        other => format!("a {}", other.word()),
    }
}

/// The energy at which a component is highest, by its parameters; `None` for one that is none of [`LINES`].
fn line_energy(model: &Model, component: usize, full: &[f64]) -> Option<f64> {
    let instance = &model.components[component];
    let name = instance.component.name.to_lowercase();
    if !matches!(instance.origin, Origin::Catalogue) || !LINES.contains(&name.as_str()) {
        return None;
    }
    let value = |wanted: &str| {
        let k = instance.component.parameters.iter().position(|p| p.name.eq_ignore_ascii_case(wanted))?;
        full.get(instance.first_parameter + k).copied()
    };
    Some(value("LineE")? / (1.0 + value("Redshift").unwrap_or(0.0)))
}

/// What the cells of an excerpt hold for one draw.
struct Sums<'a> {
    grid: &'a Grid,
    of: &'a Excerpt,
    sums: &'a [f32],
}

impl Sums<'_> {
    fn all_photons(&self) -> &[f32] {
        &self.sums[..self.grid.cells.len()]
    }

    fn photons(&self, lo: f64, hi: f64) -> f64 {
        self.grid.integral(self.all_photons(), lo, hi)
    }

    /// keV/cm2/s.
    fn energy(&self, lo: f64, hi: f64) -> f64 {
        let cells = self.grid.cells.len();
        let first = if self.of.photons { cells } else { 0 };
        self.grid.integral(&self.sums[first..][..cells], lo, hi)
    }
}
