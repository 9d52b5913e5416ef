//! A model laid out on an energy grid: tables made once, then evaluated for any parameters.
//!
//! Three forms of the same plan: [`Program::evaluate`] in f64 (the oracle: additive components are integrated over
//! sub-divided bins), [`Program::evaluate_f32`] (vectorised, the CPU's product) and [`Program::stages`] (WGSL). A model with
//! convolutions has several stages, because a convolution reads whole spectra of what it acts on.

use super::{
    Kind, Model, ModelError, Origin, Settings, UserComponent,
    components::{
        Code, MOST_ROOMS, Prepared,
        convolution::{self, Convolution},
        plasma,
        reflection::{Asked, Evaluator},
        relativistic::Sight,
    },
    grid::{BIN_ROW, Grid, TILE, Tile, bin_row, check_edges},
    plan::{How, Leaf, Op, REGISTERS, Traits, Tree, compile, fuse, registers, stages_of},
    real::{Real, Single},
    table::TableModel,
    wgsl::{self, Stage},
};
use rayon::prelude::*;
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The oracle divides bins until ln(hi/lo) is below this.
const FINEST_BIN: f64 = 0.005;
const MOST_PARTS: usize = 64;
/// Spectra that code of the user's own is asked for at a time, where it takes many: enough to hide what a call costs, few enough for a cache.
const ROWS_AT_ONCE: usize = 512;

/// A component with its place in the parameter vector and the tables.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// `None` for convolutions.
    pub code: Option<Code>,
    /// `None` for the others.
    pub convolution: Option<Convolution>,
    pub additive: bool,
    pub first_parameter: usize,
    pub parameters: usize,
    /// Its numbers among the tables of the f32 forms, and of the oracle.
    pub table: std::ops::Range<usize>,
    /// What an atable, mtable or etable interpolates in.
    pub file: Option<Arc<TableModel>>,
    /// What a run leaves fixed of a plasma, where its table is small enough.
    pub frozen: Option<Arc<plasma::Frozen>>,
    /// The rays that a relativistic component needs.
    pub sight: Option<Arc<Sight>>,
    /// Reflection by the user's table, which fills whole spectra.
    pub reflection: Option<Arc<Evaluator>>,
    /// The user's own code, which fills whole spectra.
    pub user: Option<Arc<dyn UserComponent>>,
    pub oracle_table: std::ops::Range<usize>,
    /// Its numbers among those that only a device needs, behind all tables; empty where the host computes it for devices, too.
    pub device: std::ops::Range<usize>,
}

impl Instance {
    fn table_of<R: Real>(&self) -> std::ops::Range<usize> {
        if R::REFINE { self.oracle_table.clone() } else { self.table.clone() }
    }
}

/// The components by instance number; `None` for convolutions.
struct Codes(Vec<Option<Code>>);

impl Traits for Codes {
    fn fuses(&self, k: usize) -> bool {
        self.0.get(k).copied().flatten().is_some_and(Code::fuses)
    }
    fn sparse(&self, k: usize) -> bool {
        self.0.get(k).copied().flatten().is_some_and(Code::sparse)
    }
}

#[derive(Debug, Clone)]
struct Plan {
    ops: Vec<Op>,
    /// What they were made from.
    tree: Tree,
}

/// This is a model compiled on an energy grid.
#[derive(Debug, Clone)]
pub struct Program {
    instances: Vec<Instance>,
    plans: Vec<Plan>,
    stages: Vec<Stage>,
    parameters: usize,
    settings: Settings,
    bins: Vec<(f64, f64)>,
    grid: Grid<f32>,
    oracle: Grid<f64>,
    tables: Arc<Vec<f32>>,
    /// The same with what only a device needs, where there is such.
    device_tables: OnceLock<Arc<Vec<f32>>>,
    oracle_tables: Vec<f64>,
    /// What the user's own code last complained about.
    trouble: Arc<Mutex<Option<String>>>,
}

/// This is the working memory of [`Program::evaluate_f32`]; each thread has one.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    slots: Vec<Vec<f32>>,
    full: Vec<f64>,
}

impl Program {
    /// Lays a model out on E+1 ascending energy edges (keV).
    ///
    /// Errors: edges that do not ascend or are not finite; an expression too deeply nested.
    pub fn new(model: &Model, edges: &[f64]) -> Result<Self, ModelError> {
        let edges = check_edges(edges)?;
        let user = |component: &super::ComponentInstance| match &component.origin {
            Origin::User(user) => Some(user.clone()),
            _ => None,
        };
        let file = |component: &super::ComponentInstance| match &component.origin {
            Origin::Table(file) => Some(file.clone()),
            _ => None,
        };
        // An excerpt of a model lists components that it does not hold: no table is made for them.
        let held: Vec<bool> = (0..model.components.len()).map(|k| model.expression.holds(k)).collect();
        let with_held = || model.components.iter().zip(&held);
        for file in with_held().filter(|(_, held)| **held).filter_map(|(component, _)| file(component)) {
            file.check_size(edges.len() - 1)?;
        }
        let asks = |component: &super::ComponentInstance| {
            component.asked.clone().or_else(|| component.asks(|_| None).map(Arc::new))
        };
        let band = (edges[0], edges[edges.len() - 1]);
        let open = |(component, held): (&super::ComponentInstance, &bool)| {
            asks(component).filter(|_| *held).map(|asked: Arc<Asked>| asked.open(&model.settings, band)).transpose()
        };
        let reflections: Vec<Option<Arc<Evaluator>>> = with_held().map(open).collect::<Result<_, _>>()?;
        let whole = |component: &super::ComponentInstance| user(component).is_some() || asks(component).is_some();
        let own = model.components.iter().enumerate().filter(|(k, c)| held[*k] && whole(c)).map(|(k, _)| k);
        // Those that a device has no stages for come first.
        let on_device = |k: &usize| {
            let reflection = reflections.get(*k).and_then(Option::as_ref);
            reflection.is_some_and(|reflection| reflection.device_numbers(edges.len() - 1).is_some())
        };
        let (own, hosted): (Vec<usize>, Vec<usize>) = own.partition(on_device);
        let mut trees: Vec<Tree> = hosted.into_iter().chain(own).map(|k| Tree::Leaf(Leaf::Host(k))).collect();
        if with_held().any(|(c, held)| *held && plasma::is_plasma(&c.component.name.to_lowercase())) {
            plasma::check(&model.settings)?;
        }
        let last = stages_of(&model.expression, &mut trees);
        trees.push(last);
        let code = |component: &super::ComponentInstance| match &component.origin {
            Origin::User(_) => None,
            _ => Code::of(&component.component.name.to_lowercase()),
        };
        let codes = Codes(model.components.iter().map(code).collect());
        let trees: Vec<Tree> = trees.into_iter().map(|tree| fuse(tree, &codes)).collect();
        if trees.iter().any(|tree| registers(tree) > REGISTERS) {
            return Err(ModelError::Parameter("the expression is nested too deeply to be evaluated".into()));
        }
        let has_room = |k: usize| {
            let name = model.components.get(k).map(|c| c.component.name.to_lowercase()).unwrap_or_default();
            Code::of(&name).is_some_and(|c| c.shader().room) || Convolution::of(&name).is_some_and(|c| c.shader().room)
        };
        if trees.iter().any(|tree| count(tree, &has_room) > MOST_ROOMS) {
            return Err(ModelError::Parameter(format!(
                "more than {MOST_ROOMS} components that are solved numerically (nthComp, compTT and the like) in one sum or product"
            )));
        }
        let bins: Vec<(f64, f64)> = edges.windows(2).map(|w| (w[0], w[1])).collect();
        let sight = |component: &super::ComponentInstance| match &component.origin {
            Origin::Catalogue => {
                component.sight.clone().or_else(|| Sight::whole(&component.component.name.to_lowercase()).map(Arc::new))
            }
            _ => None,
        };
        let mut reflections = reflections.into_iter();
        let mut frozen = plasma::Tables::new(&bins, &model.settings);
        let mut instance = |(component, held): (&super::ComponentInstance, &bool)| Instance {
            code: code(component).filter(|_| *held),
            frozen: component.frozen.clone().filter(|plasma| *held && frozen.take(plasma)),
            convolution: Convolution::of(&component.component.name.to_lowercase()).filter(|_| *held),
            additive: component.component.kind == Kind::Additive,
            first_parameter: component.first_parameter,
            parameters: component.component.parameters.len(),
            table: 0..0,
            file: file(component).filter(|_| *held),
            reflection: reflections.next().flatten(),
            sight: sight(component).filter(|_| *held && asks(component).is_none()),
            user: user(component),
            oracle_table: 0..0,
            device: 0..0,
        };
        let mut instances: Vec<Instance> = with_held().map(&mut instance).collect();
        for instance in instances.iter_mut().filter(|i| i.frozen.is_some()) {
            instance.code = Some(Code::PlasmaCells);
        }
        Ok(Self::lay_out(trees, instances, model.parameters().len(), model.settings.clone(), bins, (&[], &[])))
    }

    /// Returns the model on some of its bins only, which then need not touch: `kept` are their numbers, ascending. In each of them the
    /// photons are those of the whole program. `None` for a model with convolutions or code of the user's own, which take all bins, and
    /// when a number is out of range or order.
    pub fn thinned(&self, kept: &[u32]) -> Option<Self> {
        let ascend = kept.windows(2).all(|w| w[0] < w[1]);
        // Reflection by a table is integrated over any bins.
        let whole = |plan: &Plan| match plan.tree {
            Tree::Leaf(Leaf::Host(k)) => self.instances.get(k).is_none_or(|instance| instance.reflection.is_none()),
            _ => true,
        };
        if self.plans.iter().rev().skip(1).any(whole) || kept.is_empty() || !ascend {
            return None;
        }
        let bins = kept.iter().map(|&k| self.bins.get(k as usize).copied()).collect::<Option<Vec<_>>>()?;
        let trees = self.plans.iter().map(|plan| plan.tree.clone()).collect();
        let known = (self.tables.as_slice(), self.oracle_tables.as_slice());
        Some(Self::lay_out(trees, self.instances.clone(), self.parameters, self.settings.clone(), bins, known))
    }

    /// `known`: the tables of a program with these instances, of the f32 forms and of the oracle, where there is one. What does
    /// not depend on single bins is taken from there.
    fn lay_out(
        trees: Vec<Tree>,
        mut instances: Vec<Instance>,
        parameters: usize,
        settings: Settings,
        bins: Vec<(f64, f64)>,
        (known, known_oracle): (&[f32], &[f64]),
    ) -> Self {
        let (mut tables, mut oracle_tables): (Vec<f32>, Vec<f64>) = (Vec::new(), Vec::new());
        type Key = (
            Option<Code>,
            Option<Convolution>,
            Option<Arc<TableModel>>,
            Option<Arc<plasma::Frozen>>,
            Option<Arc<Sight>>,
        );
        let mut made: Vec<(Key, Instance)> = Vec::new();
        for instance in &mut instances {
            if instance.code.is_none() && instance.convolution.is_none() {
                continue;
            }
            let mut key = (
                instance.code,
                instance.convolution,
                instance.file.clone(),
                instance.frozen.clone(),
                instance.sight.clone(),
            );
            // Rays do not ask what looks along them.
            if key.4.is_some() {
                (key.0, key.1) = (None, None);
            }
            if let Some((_, same)) = made.iter().find(|(k, _)| *k == key) {
                (instance.table, instance.oracle_table) = (same.table.clone(), same.oracle_table.clone());
                continue;
            }
            let (start, oracle_start) = (tables.len(), oracle_tables.len());
            let single = instance.code.is_some_and(Code::single_table);
            match (known.get(instance.table.clone()), &instance.frozen) {
                (known, Some(frozen)) => tables.extend(frozen.table(&bins, &settings, known.unwrap_or(&[]))),
                (Some(known), None) if single && !known.is_empty() => {
                    tables.extend(known);
                    oracle_tables.extend(known_oracle.get(instance.oracle_table.clone()).unwrap_or(&[]));
                }
                _ => {
                    let table = match &key {
                        (.., Some(sight)) => sight.table(),
                        (_, _, Some(file), ..) => file.lay_out(&bins),
                        (Some(code), ..) => code.table()(&bins, &settings),
                        (_, Some(convolution), ..) => convolution.table()(&bins, &settings),
                        _ => Vec::new(),
                    };
                    tables.extend(table.iter().map(|x| *x as f32));
                    let shared = match instance.code.filter(|_| single) {
                        Some(code) => code.header().min(table.len()),
                        None => table.len(),
                    };
                    oracle_tables.extend(&table[..shared]);
                }
            }
            (instance.table, instance.oracle_table) = (start..tables.len(), oracle_start..oracle_tables.len());
            made.push((key, instance.clone()));
        }
        // Behind all that, each reflection once.
        let mut end = tables.len();
        for k in 0..instances.len() {
            let (before, from) = instances.split_at_mut(k);
            let Some(instance) = from.first_mut() else { continue };
            let Some(reflection) = instance.reflection.clone() else { continue };
            let known = before.iter().find(|i| i.reflection.as_ref().is_some_and(|r| Arc::ptr_eq(r, &reflection)));
            instance.device = match (known, reflection.device_numbers(bins.len())) {
                (Some(known), _) => known.device.clone(),
                (None, Some(numbers)) => end..end + numbers,
                (None, None) => 0..0,
            };
            end = end.max(instance.device.end);
        }
        let stages = wgsl::stages(&trees, &instances, &bins);
        let plan = |tree: Tree| {
            let mut ops = Vec::new();
            compile(&tree, 0, &mut ops);
            Plan { ops, tree }
        };
        Self {
            instances,
            plans: trees.into_iter().map(plan).collect(),
            stages,
            parameters,
            settings,
            grid: Grid::new::<Single<false>>(&bins),
            oracle: Grid::new::<f64>(&bins),
            bins,
            tables: Arc::new(tables),
            device_tables: OnceLock::new(),
            oracle_tables,
            trouble: Arc::default(),
        }
    }

    /// Returns the number of energy bins, E.
    pub fn energies(&self) -> usize {
        self.bins.len()
    }

    /// Returns the number of model parameters, M (free, frozen and tied).
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Returns the E bins in use (keV, lower and upper edge); a first edge at 0 has been replaced.
    pub fn bins(&self) -> &[(f64, f64)] {
        &self.bins
    }

    /// Returns for each of the E bins (keV): lower edge, width, middle (high part), middle (low part), ln of the geometric middle,
    /// ln(hi/lo), geometric middle, upper edge.
    pub fn bin_table(&self) -> Vec<[f32; BIN_ROW]> {
        self.bins.iter().map(|&(lo, hi)| bin_row(lo, hi)).collect()
    }

    /// Returns the flat table that the stages' `table(k)` reads.
    pub fn tables(&self) -> &[f32] {
        if self.instances.iter().all(|instance| instance.device.is_empty()) {
            return &self.tables;
        }
        self.device_tables.get_or_init(|| {
            let mut tables = self.tables.to_vec();
            for instance in &self.instances {
                if let Some(reflection) = instance.reflection.as_ref().filter(|_| instance.device.start == tables.len())
                    && !instance.device.is_empty()
                {
                    reflection.device_table(&self.bins, &mut tables);
                }
            }
            Arc::new(tables)
        })
    }

    /// Returns the program as a device takes it whose largest array has so many bytes: where the tables of reflection make it longer, the host computes
    /// reflection for it. A device of the host's own has none: 0 bytes.
    pub fn fitting(&self, bytes: u64) -> Cow<'_, Self> {
        let end = self.instances.iter().map(|instance| instance.device.end).max().unwrap_or(0);
        if end <= self.tables.len() || 4 * end as u64 <= bytes {
            return Cow::Borrowed(self);
        }
        let mut hosted = self.clone();
        hosted.device_tables = OnceLock::new();
        hosted.instances.iter_mut().for_each(|instance| instance.device = 0..0);
        let trees: Vec<Tree> = hosted.plans.iter().map(|plan| plan.tree.clone()).collect();
        hosted.stages = wgsl::stages(&trees, &hosted.instances, &hosted.bins);
        Cow::Owned(hosted)
    }

    /// Returns the GPU form: stages in the order they must run; see [`Stage`].
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Returns the largest table of a file, in words, with its size on this grid; `None` without table models.
    pub fn largest_file(&self) -> Option<(String, usize)> {
        let files =
            self.instances.iter().filter_map(|i| Some((i.file.as_ref()?.path.display().to_string(), i.table.len())));
        files.max_by_key(|(_, numbers)| *numbers)
    }

    /// Returns what the user's own code complained about, if anything, since this was last asked.
    pub fn take_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the number of stages that the CPU computes as whole spectra: code of the user's own, and reflection by tables. They come before all others,
    /// and first those that a device leaves to the host.
    pub fn host_stages(&self) -> usize {
        self.plans.iter().filter(|plan| matches!(plan.tree, Tree::Leaf(Leaf::Host(_)))).count()
    }

    /// Returns whether a host stage is computed for many spectra at a time at less cost ([`super::UserComponent::in_rows`]).
    pub fn hosts_rows(&self) -> bool {
        self.instances.iter().any(|instance| instance.user.as_ref().is_some_and(|user| user.in_rows()))
    }

    /// Computes the output of host stage `stage` for n spectra: `full` holds all M parameters of each (n x M), `out` takes E numbers each (n x E),
    /// both row-major. NaN where the user's code fails.
    pub fn host_rows(&self, stage: usize, full: &[f64], out: &mut [f64]) {
        let Some(Tree::Leaf(Leaf::Host(k))) = self.plans.get(stage).map(|plan| &plan.tree) else {
            return out.fill(f64::NAN);
        };
        let (m, e) = (self.parameters.max(1), self.bins.len().max(1));
        // Of our own code (reflection) and of what takes one spectrum at a time each by itself.
        let in_rows = self.instances.get(*k).and_then(|i| Some((i, i.user.as_ref().filter(|user| user.in_rows())?)));
        let Some((instance, user)) = in_rows else {
            let rows = out.par_chunks_mut(e).zip(full.par_chunks(m));
            return rows.for_each(|(out, full)| self.host(*k, full, out, false));
        };
        for (out, full) in out.chunks_mut(ROWS_AT_ONCE * e).zip(full.chunks(ROWS_AT_ONCE * m)) {
            let own = |full: &[f64]| full[instance.first_parameter..][..instance.parameters].to_vec();
            let mut rows: Vec<Vec<f64>> = full.chunks_exact(m).map(own).collect();
            let norms: Vec<f64> = match instance.additive {
                true => rows.iter_mut().map(|row| row.pop().unwrap_or(f64::NAN)).collect(),
                false => vec![1.0; rows.len()],
            };
            match user.evaluate_rows(&rows.concat(), &self.bins, out) {
                Ok(()) => out
                    .chunks_exact_mut(e)
                    .zip(norms)
                    .for_each(|(out, norm)| out.iter_mut().for_each(|photons| *photons *= norm)),
                Err(text) => {
                    out.fill(f64::NAN);
                    self.complain(user.component(), text);
                }
            }
        }
    }

    fn complain(&self, component: &super::catalogue::Component, text: String) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| format!("{}: {text}", component.name));
    }

    /// `exact`: in f64 throughout, where the code is ours.
    fn host(&self, k: usize, full: &[f64], out: &mut [f64], exact: bool) {
        let reflection = self.instances.get(k).and_then(|i| Some((i, i.reflection.as_ref()?)));
        if let Some((instance, reflection)) = reflection {
            let par = full.get(instance.first_parameter..instance.first_parameter + instance.parameters);
            return reflection.photons(par.unwrap_or(&[]), &self.oracle, exact, out);
        }
        let Some((instance, user)) = self.instances.get(k).and_then(|i| Some((i, i.user.as_ref()?))) else {
            return out.fill(f64::NAN);
        };
        let par = full.get(instance.first_parameter..instance.first_parameter + instance.parameters).unwrap_or(&[]);
        let (norm, par) = match par.split_last() {
            Some((norm, par)) if instance.additive => (*norm, par),
            _ => (1.0, par),
        };
        match user.evaluate(par, &self.bins, out) {
            Ok(()) => out.iter_mut().for_each(|out| *out *= norm),
            Err(text) => {
                out.fill(f64::NAN);
                self.complain(user.component(), text);
            }
        }
    }

    /// Evaluates the oracle: photons/cm2/s in each of the E bins for all M parameters. Fills `flux` with NaN when lengths differ.
    pub fn evaluate(&self, full: &[f64], flux: &mut [f64]) {
        let mut slots = Vec::new();
        self.run::<f64>(full, &self.oracle, &self.oracle_tables, &mut slots, &[], flux);
    }

    /// Evaluates in vectorised f32 for one spectrum, photons/cm2/s in each of the E bins; uses AVX2 and FMA where the machine has them.
    pub fn evaluate_f32(&self, full: &[f32], flux: &mut [f32], scratch: &mut Scratch) {
        self.evaluate_f32_given(full, flux, scratch, &[]);
    }

    /// Evaluates the same where the outputs of the first host stages are known already (E numbers each, see [`Program::host_rows`]).
    pub fn evaluate_f32_given(&self, full: &[f32], flux: &mut [f32], scratch: &mut Scratch, given: &[&[f32]]) {
        let mut parameters = std::mem::take(&mut scratch.full);
        parameters.clear();
        parameters.extend(full.iter().map(|x| f64::from(*x)));
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: both instruction sets were just found on this machine.
            unsafe { self.run_avx2(&parameters, &mut scratch.slots, given, flux) };
            scratch.full = parameters;
            return;
        }
        self.run_plain(&parameters, &mut scratch.slots, given, flux);
        scratch.full = parameters;
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(&self, full: &[f64], slots: &mut Vec<Vec<f32>>, given: &[&[f32]], flux: &mut [f32]) {
        self.run::<Single<true>>(full, &self.grid, &self.tables, slots, given, flux);
    }

    fn run_plain(&self, full: &[f64], slots: &mut Vec<Vec<f32>>, given: &[&[f32]], flux: &mut [f32]) {
        self.run::<Single<false>>(full, &self.grid, &self.tables, slots, given, flux);
    }

    #[inline(always)]
    fn run<R: Real>(
        &self,
        full: &[f64],
        grid: &Grid<R::Store>,
        tables: &[R::Store],
        slots: &mut Vec<Vec<R::Store>>,
        given: &[&[f32]],
        flux: &mut [R::Store],
    ) {
        if full.len() != self.parameters || flux.len() != self.bins.len() {
            debug_assert!(false, "{} parameters and {} bins", full.len(), flux.len());
            flux.fill(R::of(f64::NAN).store());
            return;
        }
        let prepared: Vec<Option<Prepared<R>>> = self
            .instances
            .iter()
            .map(|i| {
                let par = full.get(i.first_parameter..i.first_parameter + i.parameters).unwrap_or(&[]);
                i.code.map(|code| {
                    let mut prepared = code.prepare::<R>(par);
                    prepared.ready(tables.get(i.table_of::<R>()).unwrap_or(&[]));
                    prepared
                })
            })
            .collect();
        let last = self.plans.len() - 1;
        slots.resize_with(last, Vec::new);
        for (k, plan) in self.plans.iter().enumerate() {
            let (before, from) = slots.split_at_mut(k.min(last));
            let out: &mut [R::Store] = match from.first_mut() {
                Some(slot) if k < last => {
                    slot.resize(self.bins.len(), R::Store::default());
                    slot
                }
                _ => flux,
            };
            if let (Some(given), Tree::Leaf(Leaf::Host(_))) = (given.get(k), &plan.tree) {
                out.iter_mut().zip(*given).for_each(|(out, photons)| *out = R::of(f64::from(*photons)).store());
                continue;
            }
            if let Tree::Leaf(Leaf::Host(k)) = plan.tree {
                let mut photons = vec![0.0; out.len()];
                self.host(k, full, &mut photons, R::REFINE);
                for (out, photons) in out.iter_mut().zip(photons) {
                    *out = R::of(photons).store();
                }
                continue;
            }
            self.run_plan::<R>(plan, full, &prepared, grid, tables, before, out);
        }
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // private, one call; a struct would only rename the same things
    fn run_plan<R: Real>(
        &self,
        plan: &Plan,
        full: &[f64],
        prepared: &[Option<Prepared<R>>],
        grid: &Grid<R::Store>,
        tables: &[R::Store],
        slots: &[Vec<R::Store>],
        out: &mut [R::Store],
    ) {
        let source = |slot: usize| slots.get(slot).map_or(&[][..], Vec::as_slice);
        let mut convolutions: Vec<(usize, convolution::Prepared<R>)> = Vec::new();
        for op in &plan.ops {
            if let Op::Leaf(Leaf::Shift(k, slot), ..) = op
                && let Some(convolution) = self.instances[*k].convolution
            {
                let instance = &self.instances[*k];
                let par = full.get(instance.first_parameter..instance.first_parameter + instance.parameters);
                let table = tables.get(instance.table_of::<R>()).unwrap_or(&[]);
                convolutions.push((*k, convolution.prepare::<R>(par.unwrap_or(&[]), grid, source(*slot), table)));
            }
        }
        let mut registers = [[R::Store::default(); TILE]; REGISTERS];
        let mut value = [R::Store::default(); TILE];
        let zero = |register: &[R::Store; TILE]| {
            register.iter().fold(true, |zero, x| zero & !R::load(*x).lt(R::of(0.0)) & !R::of(0.0).lt(R::load(*x)))
        };
        for tile in &grid.tiles {
            for op in &plan.ops {
                if let Op::Leaf(_, How::Multiply, to) = op
                    && zero(&registers[*to])
                {
                    continue; // a line that is not here
                }
                let (how, target) = match op {
                    Op::Register(how, from, to) => {
                        value = registers[*from];
                        (*how, *to)
                    }
                    Op::Leaf(Leaf::Component(k), how, to) => {
                        self.component::<R>(*k, prepared, tile, tables, &mut value);
                        (*how, *to)
                    }
                    Op::Leaf(Leaf::Fused(list), how, to) => {
                        self.fused::<R>(list, prepared, tile, tables, &mut value);
                        (*how, *to)
                    }
                    Op::Leaf(Leaf::Given(slot), how, to) => {
                        value = [R::Store::default(); TILE];
                        if let Some(given) = source(*slot).get(tile.start..tile.start + tile.len) {
                            value[..tile.len].copy_from_slice(given);
                        }
                        (*how, *to)
                    }
                    Op::Leaf(Leaf::Host(_), how, to) => (*how, *to), // a stage of its own
                    Op::Leaf(Leaf::Shift(k, slot), how, to) => {
                        if let Some((_, convolution)) = convolutions.iter().find(|(c, _)| c == k) {
                            convolution.fill(grid, source(*slot), tile, &mut value);
                        }
                        (*how, *to)
                    }
                };
                let register = &mut registers[target];
                match how {
                    How::Set => *register = value,
                    How::Add => {
                        for (r, v) in register.iter_mut().zip(&value) {
                            *r = (R::load(*r) + R::load(*v)).store();
                        }
                    }
                    How::Multiply => {
                        for (r, v) in register.iter_mut().zip(&value) {
                            *r = (R::load(*r) * R::load(*v)).store();
                        }
                    }
                }
            }
            if let Some(out) = out.get_mut(tile.start..tile.start + tile.len) {
                out.copy_from_slice(&registers[0][..tile.len]);
            }
        }
    }
}

impl Program {
    #[inline(always)]
    fn component<R: Real>(
        &self,
        k: usize,
        prepared: &[Option<Prepared<R>>],
        tile: &Tile<R::Store>,
        tables: &[R::Store],
        out: &mut [R::Store; TILE],
    ) {
        let instance = &self.instances[k];
        let Some(component) = &prepared[k] else { return };
        let table = tables.get(instance.table_of::<R>()).unwrap_or(&[]);
        if R::REFINE && component.exact(tile, &self.settings, out) {
            return;
        }
        // A table is exact on the bins it was laid out for.
        if R::REFINE && instance.additive && instance.file.is_none() && instance.code.is_some_and(Code::refines) {
            refined(component, tile, table, out);
        } else if R::REFINE {
            apart(component, tile, table, out);
        } else {
            component.fill(tile, table, out);
        }
    }

    /// A product of exponentials as one; the oracle multiplies them one by one, each integrated for itself.
    #[inline(always)]
    fn fused<R: Real>(
        &self,
        list: &[usize],
        prepared: &[Option<Prepared<R>>],
        tile: &Tile<R::Store>,
        tables: &[R::Store],
        out: &mut [R::Store; TILE],
    ) {
        let one = R::of(1.0).store();
        if R::REFINE {
            let mut value = [one; TILE];
            *out = [one; TILE];
            for &k in list {
                self.component::<R>(k, prepared, tile, tables, &mut value);
                for (out, value) in out.iter_mut().zip(&value) {
                    *out = (R::load(*out) * R::load(*value)).store();
                }
            }
            return;
        }
        let mut exponent = [R::of(0.0).store(); TILE];
        *out = [one; TILE];
        for &k in list {
            let table = tables.get(self.instances[k].table_of::<R>()).unwrap_or(&[]);
            if let Some(component) = &prepared[k] {
                component.fuse(tile, table, &mut exponent, out);
            }
        }
        for (out, exponent) in out.iter_mut().zip(&exponent) {
            // Finite, for the exponential may be zero; written so that NaN stays.
            let scale = R::of(1e37).min(R::load(*out));
            *out = (scale * R::load(*exponent).exp()).store();
        }
    }
}

/// Components and convolutions of a stage that are `counted`.
fn count(tree: &Tree, counted: &impl Fn(usize) -> bool) -> usize {
    match tree {
        Tree::Leaf(Leaf::Component(k) | Leaf::Shift(k, _)) => usize::from(counted(*k)),
        Tree::Leaf(Leaf::Fused(list)) => list.iter().filter(|k| counted(**k)).count(),
        Tree::Leaf(Leaf::Host(_) | Leaf::Given(_)) => 0,
        Tree::Sum(a, b) | Tree::Product(a, b) => count(a, counted) + count(b, counted),
    }
}

/// Fills a tile for the oracle, which needs no instructions beyond the base set: its loops are compiled here and nowhere else.
#[inline(never)]
fn apart<R: Real>(component: &Prepared<R>, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
    component.fill(tile, table, out);
}

/// The oracle's integral: every bin of the tile divided into equal logarithmic parts, summed.
fn refined<R: Real>(component: &Prepared<R>, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
    // REFINE is only true for f64, where the tile holds the edges exactly.
    let to_f64 = |s: R::Store| R::load(s).to_f64();
    let widest = tile.log_width.iter().map(|w| to_f64(*w)).fold(0.0, f64::max);
    let parts = ((widest / FINEST_BIN).ceil() as usize).clamp(1, MOST_PARTS);
    if parts == 1 {
        return apart(component, tile, table, out);
    }
    let mut sum = [0.0; TILE];
    let mut bins = [(1.0, 1.0); TILE];
    for part in 0..parts {
        for (j, bin) in bins.iter_mut().enumerate() {
            let (lo, hi) = (to_f64(tile.lo[j]), to_f64(tile.hi[j]));
            let at = |k: usize| match k {
                0 => lo,
                _ if k == parts => hi,
                _ => lo * (hi / lo).powf(k as f64 / parts as f64),
            };
            *bin = (at(part), at(part + 1));
        }
        apart(component, &Tile::build::<R>(tile.start, &bins), table, out);
        for (sum, value) in sum.iter_mut().zip(out.iter()) {
            *sum += to_f64(*value);
        }
    }
    for (out, sum) in out.iter_mut().zip(sum) {
        *out = R::of(sum).store();
    }
}

#[cfg(test)]
mod tests;
