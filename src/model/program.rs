//! A model laid out on an energy grid: tables made once, then evaluated for any parameters.
//!
//! Three forms of the same plan: [`Program::evaluate`] in f64 (the oracle: additive components are integrated over
//! sub-divided bins), [`Program::evaluate_f32`] (vectorised, the CPU's product) and [`Program::stages`] (WGSL). A model with
//! convolutions has several stages, because a convolution reads whole spectra of what it acts on.

use super::{
    Expr, Kind, Model, ModelError,
    components::{Code, Prepared, shift},
    grid::{BIN_ROW, Grid, TILE, Tile, bin_row, check_edges},
    real::{Real, Single},
    wgsl::{self, Stage},
};

/// Registers of the tile machine. Sub-trees are evaluated larger first, so that n components need about log2(n).
const REGISTERS: usize = 9;
/// The oracle divides bins until ln(hi/lo) is below this.
const FINEST: f64 = 0.005;
const MOST_PARTS: usize = 64;

/// What fills a tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Leaf {
    /// Instance number.
    Component(usize),
    /// Convolution: instance number and the stage it reads.
    Shift(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Set,
    Add,
    Multiply,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Op {
    /// Evaluate a leaf and combine it with a register.
    Leaf(Leaf, How, usize),
    /// Combine register `1` into register `2`.
    Register(How, usize, usize),
}

/// A component with its place in the parameter vector and the tables.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// `None` for convolutions.
    pub code: Option<Code>,
    pub additive: bool,
    pub first_parameter: usize,
    pub parameters: usize,
    pub table: std::ops::Range<usize>,
}

#[derive(Debug, Clone)]
struct Plan {
    ops: Vec<Op>,
}

/// A model compiled on an energy grid.
#[derive(Debug, Clone)]
pub struct Program {
    instances: Vec<Instance>,
    plans: Vec<Plan>,
    stages: Vec<Stage>,
    parameters: usize,
    energies: usize,
    edges: Vec<f64>,
    grid: Grid<f32>,
    oracle: Grid<f64>,
    tables: Vec<f32>,
    oracle_tables: Vec<f64>,
}

/// Working memory of [`Program::evaluate_f32`]; one per thread.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    slots: Vec<Vec<f32>>,
    full: Vec<f64>,
}

/// A stage's expression with its convolutions replaced by reads of earlier stages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Leaf(Leaf),
    Sum(Box<Tree>, Box<Tree>),
    Product(Box<Tree>, Box<Tree>),
}

/// Splits an expression into stages; the last one is the model.
fn stages_of(expr: &Expr, stages: &mut Vec<Tree>) -> Tree {
    match expr {
        Expr::Component(k) => Tree::Leaf(Leaf::Component(*k)),
        Expr::Sum(a, b) => Tree::Sum(Box::new(stages_of(a, stages)), Box::new(stages_of(b, stages))),
        Expr::Product(a, b) => Tree::Product(Box::new(stages_of(a, stages)), Box::new(stages_of(b, stages))),
        Expr::Convolve(k, inner) => {
            let source = stages_of(inner, stages);
            stages.push(source);
            Tree::Leaf(Leaf::Shift(*k, stages.len() - 1))
        }
    }
}

/// Registers a tree needs (Sethi & Ullman): a leaf on the right is combined in place.
fn registers(tree: &Tree) -> usize {
    match tree {
        Tree::Leaf(_) => 1,
        Tree::Sum(a, b) | Tree::Product(a, b) => match (&**a, &**b) {
            (_, Tree::Leaf(_)) => registers(a),
            (Tree::Leaf(_), _) => registers(b),
            _ => {
                let (a, b) = (registers(a), registers(b));
                if a == b { a + 1 } else { a.max(b) }
            }
        },
    }
}

fn compile(tree: &Tree, register: usize, ops: &mut Vec<Op>) {
    let (how, a, b) = match tree {
        Tree::Leaf(leaf) => return ops.push(Op::Leaf(*leaf, How::Set, register)),
        Tree::Sum(a, b) => (How::Add, a, b),
        Tree::Product(a, b) => (How::Multiply, a, b),
    };
    match (&**a, &**b) {
        (_, Tree::Leaf(leaf)) => {
            compile(a, register, ops);
            ops.push(Op::Leaf(*leaf, how, register));
        }
        (Tree::Leaf(leaf), _) => {
            compile(b, register, ops);
            ops.push(Op::Leaf(*leaf, how, register));
        }
        _ => {
            let (first, second) = if registers(a) >= registers(b) { (a, b) } else { (b, a) };
            compile(first, register, ops);
            compile(second, register + 1, ops);
            ops.push(Op::Register(how, register + 1, register));
        }
    }
}

impl Program {
    /// Lays a model out on E+1 ascending energy edges (keV).
    ///
    /// Errors: edges that do not ascend or are not finite; an expression too deeply nested.
    pub fn new(model: &Model, edges: &[f64]) -> Result<Self, ModelError> {
        let edges = check_edges(edges)?;
        let mut oracle_tables: Vec<f64> = Vec::new();
        let mut made: Vec<(Code, std::ops::Range<usize>)> = Vec::new();
        let mut instances = Vec::with_capacity(model.components.len());
        for component in &model.components {
            let code = Code::of(&component.component.name.to_lowercase());
            let known = made.iter().find(|(c, _)| Some(*c) == code).map(|(_, range)| range.clone());
            let table = match (code, known) {
                (_, Some(range)) => range,
                (None, None) => 0..0,
                (Some(code), None) => {
                    let start = oracle_tables.len();
                    oracle_tables.extend(code.table()(&edges, &model.settings));
                    made.push((code, start..oracle_tables.len()));
                    start..oracle_tables.len()
                }
            };
            instances.push(Instance {
                code,
                additive: component.component.kind == Kind::Additive,
                first_parameter: component.first_parameter,
                parameters: component.component.parameters.len(),
                table,
            });
        }
        let mut trees = Vec::new();
        let whole = stages_of(&model.expression, &mut trees);
        trees.push(whole);
        if trees.iter().any(|tree| registers(tree) > REGISTERS) {
            return Err(ModelError::Parameter("the expression is nested too deeply to be evaluated".into()));
        }
        let plans = trees
            .iter()
            .map(|tree| {
                let mut ops = Vec::new();
                compile(tree, 0, &mut ops);
                Plan { ops }
            })
            .collect();
        let stages = wgsl::stages(&trees, &instances);
        Ok(Self {
            instances,
            plans,
            stages,
            parameters: model.parameters().len(),
            energies: edges.len() - 1,
            grid: Grid::new::<Single<false>>(&edges),
            oracle: Grid::new::<f64>(&edges),
            edges,
            tables: oracle_tables.iter().map(|x| *x as f32).collect(),
            oracle_tables,
        })
    }

    /// Energy bins E.
    pub fn energies(&self) -> usize {
        self.energies
    }

    /// Model parameters M (free, frozen and tied).
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The E+1 edges in use (keV); a first edge at 0 has been replaced.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Per energy bin: lower edge, width, middle (high part), middle (low part), ln of the geometric middle, ln(hi/lo),
    /// geometric middle, upper edge. keV; E rows.
    pub fn bin_table(&self) -> Vec<[f32; BIN_ROW]> {
        self.edges.windows(2).map(|w| bin_row(w[0], w[1])).collect()
    }

    /// The flat table that the stages' `table(k)` reads.
    pub fn tables(&self) -> &[f32] {
        &self.tables
    }

    /// The GPU form: stages in the order they must run; see [`Stage`].
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The oracle: photons/cm2/s in each of the E bins for all M parameters. Fills `flux` with NaN when lengths differ.
    pub fn evaluate(&self, full: &[f64], flux: &mut [f64]) {
        let mut slots = Vec::new();
        self.run::<f64>(full, &self.oracle, &self.oracle_tables, &mut slots, flux);
    }

    /// The same in vectorised f32 for one spectrum; uses AVX2 and FMA where the machine has them.
    pub fn evaluate_f32(&self, full: &[f32], flux: &mut [f32], scratch: &mut Scratch) {
        let mut parameters = std::mem::take(&mut scratch.full);
        parameters.clear();
        parameters.extend(full.iter().map(|x| f64::from(*x)));
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: both instruction sets were just found on this machine.
            unsafe { self.run_avx2(&parameters, &mut scratch.slots, flux) };
            scratch.full = parameters;
            return;
        }
        self.run_plain(&parameters, &mut scratch.slots, flux);
        scratch.full = parameters;
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(&self, full: &[f64], slots: &mut Vec<Vec<f32>>, flux: &mut [f32]) {
        self.run::<Single<true>>(full, &self.grid, &self.tables, slots, flux);
    }

    fn run_plain(&self, full: &[f64], slots: &mut Vec<Vec<f32>>, flux: &mut [f32]) {
        self.run::<Single<false>>(full, &self.grid, &self.tables, slots, flux);
    }

    #[inline(always)]
    fn run<R: Real>(
        &self,
        full: &[f64],
        grid: &Grid<R::Store>,
        tables: &[R::Store],
        slots: &mut Vec<Vec<R::Store>>,
        flux: &mut [R::Store],
    ) {
        if full.len() != self.parameters || flux.len() != self.energies {
            debug_assert!(false, "{} parameters and {} bins", full.len(), flux.len());
            flux.fill(R::of(f64::NAN).store());
            return;
        }
        let prepared: Vec<Option<Prepared<R>>> = self
            .instances
            .iter()
            .map(|i| {
                let par = full.get(i.first_parameter..i.first_parameter + i.parameters).unwrap_or(&[]);
                i.code.map(|code| code.prepare::<R>(par))
            })
            .collect();
        let last = self.plans.len() - 1;
        slots.resize_with(last, Vec::new);
        for (k, plan) in self.plans.iter().enumerate() {
            let (before, from) = slots.split_at_mut(k.min(last));
            let out: &mut [R::Store] = match from.first_mut() {
                Some(slot) if k < last => {
                    slot.resize(self.energies, R::Store::default());
                    slot
                }
                _ => flux,
            };
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
        let mut registers = [[R::Store::default(); TILE]; REGISTERS];
        let mut value = [R::Store::default(); TILE];
        for tile in &grid.tiles {
            for op in &plan.ops {
                let (how, target) = match op {
                    Op::Register(how, from, to) => {
                        value = registers[*from];
                        (*how, *to)
                    }
                    Op::Leaf(Leaf::Component(k), how, to) => {
                        let instance = &self.instances[*k];
                        if let Some(component) = &prepared[*k] {
                            let table = tables.get(instance.table.clone()).unwrap_or(&[]);
                            if R::REFINE && instance.additive {
                                refined(component, tile, table, &mut value);
                            } else {
                                component.fill(tile, table, &mut value);
                            }
                        }
                        (*how, *to)
                    }
                    Op::Leaf(Leaf::Shift(k, slot), how, to) => {
                        let par = full.get(self.instances[*k].first_parameter..).unwrap_or(&[]);
                        let source = slots.get(*slot).map_or(&[][..], Vec::as_slice);
                        shift::fill::<R>(shift::zashift(par), grid, source, tile, &mut value);
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

/// The oracle's integral: every bin of the tile divided into equal logarithmic parts, summed.
fn refined<R: Real>(component: &Prepared<R>, tile: &Tile<R::Store>, table: &[R::Store], out: &mut [R::Store; TILE]) {
    // REFINE is only true for f64, where the tile holds the edges exactly.
    let to_f64 = |s: R::Store| R::load(s).to_f64();
    let widest = tile.log_width.iter().map(|w| to_f64(*w)).fold(0.0, f64::max);
    let parts = ((widest / FINEST).ceil() as usize).clamp(1, MOST_PARTS);
    if parts == 1 {
        return component.fill(tile, table, out);
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
        component.fill(&Tile::build::<R>(tile.start, &bins), table, out);
        for (sum, value) in sum.iter_mut().zip(out.iter()) {
            *sum += to_f64(*value);
        }
    }
    for (out, sum) in out.iter_mut().zip(sum) {
        *out = R::of(sum).store();
    }
}
