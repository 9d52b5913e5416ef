//! Densities and samples at one context, of one flow or of an equal mixture.

use super::FlowTables;
use super::shape::FlowShape;
use super::tile::{self, Workspace};
use crate::device::{Device, DeviceError, Kernel, Tensor, grid_1d};
use crate::kernels::vector::{self, vectorised};
use rayon::prelude::*;

static CONTEXT: Kernel = Kernel::new("flow.context", include_str!("../../../../../shaders/flow_context.wgsl"));
static MIXTURE: Kernel = Kernel::new("flow.mixture", include_str!("../../../../../shaders/flow_mixture.wgsl"));

/// Rows that one thread carries at a time.
const TILE: usize = 128;

/// Kernels compiled for a shape.
#[derive(Debug)]
pub(super) struct Kernels {
    log_density: Kernel,
    sample: Kernel,
}

impl Kernels {
    pub fn new(shape: &FlowShape, flows: usize) -> Self {
        Self {
            log_density: specialised("flow.log_density", shape, flows),
            sample: specialised("flow.sample", shape, flows),
        }
    }
}

/// Every shader of densities and samples, those of a shape for one flow and for several.
pub(super) fn kernels(shape: &FlowShape) -> Vec<Kernel> {
    let of = |flows| {
        let Kernels { log_density, sample } = Kernels::new(shape, flows);
        [log_density, sample]
    };
    [vec![CONTEXT.clone(), MIXTURE.clone()], of(1).into(), of(4).into()].concat()
}

fn specialised(name: &str, shape: &FlowShape, flows: usize) -> Kernel {
    let source = match name {
        "flow.sample" => include_str!("../../../../../shaders/flow_sample.wgsl"),
        _ => include_str!("../../../../../shaders/flow_log_density.wgsl"),
    };
    let (suffix, mut defines) = defines(shape, flows);
    defines.push((if flows > 1 { "SEVERAL" } else { "ONE" }, String::new()));
    Kernel::variant(format!("{name}.{suffix}"), source, defines)
}

/// The constants of a shape, and what tells its kernels from those of others.
pub(super) fn defines(shape: &FlowShape, flows: usize) -> (String, Vec<(&'static str, String)>) {
    let sizes = [
        ("P", shape.parameters),
        ("C", shape.context),
        ("H", shape.hidden),
        ("LAYERS", shape.layers),
        ("TRANSFORMS", shape.transforms()),
        ("FLOWS", flows),
        ("STRIDE", shape.transform_len()),
    ];
    let suffix: Vec<String> = sizes[..6].iter().map(|(_, size)| size.to_string()).collect();
    (suffix.join("."), sizes.map(|(name, size)| (name, size.to_string())).to_vec())
}

/// Turns of all loops of one invocation of the specialised kernels, roughly; mirrors `shaders/include/flow.wgsl`.
fn loop_turns(shape: &FlowShape) -> usize {
    let per_degree = |degree| {
        let group = shape.group(degree);
        let quads = group.len().div_ceil(4);
        quads * (shape.parameters + 5) + (shape.layers - 1) * quads * (group.end + 5) + group.end
    };
    shape.transforms() * (0..shape.parameters).map(per_degree).sum::<usize>()
}

/// Mesa's software rasteriser silently ends the loops of an invocation after 65535 turns.
pub(super) const SOFTWARE_LOOP_TURNS: usize = 60_000;

/// Refuses a flow that a software adapter would compute wrongly.
///
/// # Errors
/// [`DeviceError::TooLarge`].
pub fn check_size(device: &Device, shape: &FlowShape) -> Result<(), DeviceError> {
    match device {
        Device::Gpu(gpu) if gpu.is_software() && loop_turns(shape) > SOFTWARE_LOOP_TURNS => {
            Err(DeviceError::TooLarge {
                what: "the flow (loop turns per invocation, not bytes)".into(),
                requested: loop_turns(shape) as u64,
                available: SOFTWARE_LOOP_TURNS as u64,
                limit: "loop limit of software adapters; use fewer transforms or units, or --device cpu",
            })
        }
        _ => Ok(()),
    }
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ContextLaunch {
    p: u32,
    c: u32,
    h: u32,
    transforms: u32,
    stride: u32,
}

/// Folds one context (`1 x C`) into the first-layer biases (`transforms of all flows x H`) that [`log_density`] and [`sample`] take.
pub fn context_biases(
    device: &Device,
    tables: &FlowTables,
    weights: &Tensor<f32>,
    context: &Tensor<f32>,
    biases: &mut Tensor<f32>,
) {
    let shape = &tables.shape;
    let transforms = shape.transforms() * tables.flows();
    assert_eq!((context.len(), biases.len()), (shape.context, transforms * shape.hidden), "flow: shapes");
    match device {
        Device::Cpu(cpu) => cpu.run("flow.context", || {
            // Nothing here depends on the orders: one plan does for the transforms of all flows.
            biases.cpu_mut().copy_from_slice(&tile::shared_context(&tables.plans[0], weights.cpu(), context.cpu()));
        }),
        Device::Gpu(gpu) => {
            let parameters = ContextLaunch {
                p: shape.parameters as u32,
                c: shape.context as u32,
                h: shape.hidden as u32,
                transforms: transforms as u32,
                stride: shape.transform_len() as u32,
            };
            let grid = grid_1d(biases.len(), 64);
            gpu.dispatch(&CONTEXT, &parameters, &[weights.gpu(), context.gpu(), biases.gpu()], grid);
        }
    }
}

/// Tails heavier than a normal base space has come from Student's distribution: a share of the points is drawn from it.
///
/// A flow is trained to have its mass where the posterior has it, and knows next to nothing of what lies beyond three or four standard
/// deviations, where the weights of importance sampling grow without bound. With tails they are bounded by what Student's share has there,
/// at the cost of a part of that share of the draws (a defensive mixture, Hesterberg 1995, whose density costs no second pass).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tails {
    /// Share of Student's points, from 0 to below 1.
    pub share: f32,
}

/// Degrees of freedom of Student's part: few, since a posterior that ends at its prior's edge falls like exp(-|logit|), and an even
/// number, since then chi^2 is a product of uniform numbers.
pub const FREEDOM: f32 = 4.0;
/// Scale of Student's distribution in the tails: what a flow gets wrong first is the flanks.
pub const TAIL_SCALE: f32 = 1.3;

/// The logarithms of the normal part's share and of Student's (less normalisations), and p of -p ln(1 + h reach), which the latter has in
/// place of -h, half the squared distance.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Correction {
    near: f32,
    far: f32,
    power: f32,
    reach: f32,
}

/// Marks [`Correction::far`] where there are no tails.
const NO_TAILS: f32 = -1e30;

impl Tails {
    /// No tails: the flow as it was trained.
    pub const NONE: Self = Self { share: 0.0 };

    fn correction(self, parameters: usize) -> Correction {
        let (nu, p) = (f64::from(FREEDOM), parameters as f64);
        if self.share <= 0.0 {
            return Correction { near: 0.0, far: NO_TAILS, power: 0.0, reach: 0.0 };
        }
        // ln of Gamma((nu + P)/2) / Gamma(nu/2) / (nu s^2 / 2)^(P/2), with Gamma(2) = 1.
        let width = nu * f64::from(TAIL_SCALE).powi(2);
        let normalisation = ln_gamma_of_half(4 + parameters) - 0.5 * p * (0.5 * width).ln();
        Correction {
            near: (-self.share).ln_1p(),
            far: self.share.ln() + normalisation as f32,
            power: (0.5 * (nu + p)) as f32,
            reach: (2.0 / width) as f32,
        }
    }
}

/// ln Gamma(n/2), n at least 1.
fn ln_gamma_of_half(n: usize) -> f64 {
    let mut sum = if n.is_multiple_of(2) { 0.0 } else { 0.5 * std::f64::consts::PI.ln() };
    let mut x = if n.is_multiple_of(2) { 1.0 } else { 0.5 };
    while x < 0.5 * n as f64 - 0.25 {
        sum += f64::ln(x);
        x += 1.0;
    }
    sum
}

impl Correction {
    /// Adds to log-densities of the normal base space what the tails change, by half the squared distances.
    fn apply(self, densities: &mut [f32], half_squares: &[f32]) {
        if self.far == NO_TAILS {
            return;
        }
        for (density, half_square) in densities.iter_mut().zip(half_squares) {
            let far = self.far + half_square - self.power * (half_square * self.reach).ln_1p();
            let top = self.near.max(far);
            *density += top + ((self.near - top).exp() + (far - top).exp()).ln();
        }
    }
}

/// This is a density at one context.
#[derive(Debug, Clone, Copy)]
pub struct AtContext<'a> {
    /// Weights of everything: `1 x weights`.
    pub weights: &'a Tensor<f32>,
    /// What the context has been folded into: of flows the biases of their first layers ([`context_biases`]).
    pub folded: &'a Tensor<f32>,
}

/// These are points in base space.
#[derive(Debug, Clone, Copy)]
pub struct BaseRows<'a> {
    /// `N x P`.
    pub base: &'a Tensor<f32>,
    /// The number of the first of them among all: it tells which flow of an ensemble each goes through.
    pub first_row: usize,
}

/// Log-densities go here.
#[derive(Debug)]
pub struct Densities<'a> {
    /// Log-density of the flow's distribution, `N x 1`.
    pub log_q: &'a mut Tensor<f32>,
    /// Log-density of points which are uniform in a ball of base space, where it is wanted.
    pub ball: Option<Ball<'a>>,
}

/// Computes `log_q` (`N x 1`) of the rows of `x` (`N x P`) in the flow's input space.
pub fn log_density(device: &Device, tables: &FlowTables, at: AtContext<'_>, x: &Tensor<f32>, log_q: &mut Tensor<f32>) {
    density(device, tables, at, x, Tails::NONE, Densities { log_q, ball: None });
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct MixtureLaunch {
    rows: u32,
    flows: u32,
    /// Half the squared radius, negative where no ball is asked for.
    half_square: f32,
    correction: Correction,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct DensityLaunch {
    rows: u32,
    correction: Correction,
}

/// A ball in base space is what [`density`] and [`sample`] may compare with.
#[derive(Debug)]
pub struct Ball<'a> {
    /// Radius in base space.
    pub radius: f32,
    /// `N x 1`, written: the logarithm of the density that rows would have if their points in base space were uniform in the ball
    /// instead of normal, up to a constant.
    pub log_density: &'a mut Tensor<f32>,
}

/// Log-density of a point outside the balls of all flows.
const NOWHERE_LOG_DENSITY: f32 = -1e30;
/// A point that came from a ball's edge is back inside in spite of rounding.
const EDGE_SLACK: f32 = 1.0 + 1e-4;

/// Computes log-densities as [`log_density`] does, with [`Tails`], and that of the samples of a [`Ball`] beside it.
pub fn density(
    device: &Device,
    tables: &FlowTables,
    at: AtContext<'_>,
    x: &Tensor<f32>,
    tails: Tails,
    densities: Densities<'_>,
) {
    let (AtContext { weights, folded: biases }, Densities { log_q, ball }) = (at, densities);
    let (shape, flows, rows) = (&tables.shape, tables.flows(), x.rows());
    assert_eq!((x.cols(), log_q.len(), weights.len()), (shape.parameters, rows, tables.weights()), "flow: shapes");
    assert!(ball.as_ref().is_none_or(|ball| ball.log_density.len() == rows), "flow: shapes");
    let half_square = ball.as_ref().map_or(-1.0, |ball| 0.5 * (ball.radius * EDGE_SLACK).powi(2));
    let correction = tails.correction(shape.parameters);
    // Something to write where nothing was asked for.
    let mut unused = Tensor::empty(device, if ball.is_some() { 0 } else { rows }, 1);
    let log_ball = ball.map_or(&mut unused, |ball| ball.log_density);
    match device {
        Device::Cpu(cpu) => cpu.run("flow.log_density", || {
            let tiles = x.cpu().par_chunks(TILE * shape.parameters).zip(log_q.cpu_mut().par_chunks_mut(TILE));
            let (weights, biases) = (weights.cpu(), biases.cpu());
            tiles.zip(log_ball.cpu_mut().par_chunks_mut(TILE)).for_each_init(
                || (Workspace::new(&tables.plans[0], TILE, false), vec![0.0; TILE * flows], vec![0.0; TILE * flows]),
                |(workspace, densities, squares), ((x, log_q), log_ball)| {
                    let (n, p) = (log_q.len(), shape.parameters);
                    workspace.set_points(&tables.plans[0], n, |r| &x[r * p..][..p]);
                    let flow_by_flow = densities.chunks_exact_mut(TILE).zip(squares.chunks_exact_mut(TILE));
                    for (k, (densities, squares)) in flow_by_flow.enumerate() {
                        let plan = &tables.plans[k];
                        tile::forward(plan, of(weights, flows, k), Some(of(biases, flows, k)), workspace);
                        workspace.log_density(plan, &mut densities[..n]);
                        workspace.half_squares(plan, &mut squares[..n]);
                    }
                    if half_square >= 0.0 {
                        let balls: Vec<f32> = densities
                            .iter()
                            .zip(&*squares)
                            .map(
                                |(density, &square)| {
                                    if square <= half_square { density + square } else { NOWHERE_LOG_DENSITY }
                                },
                            )
                            .collect();
                        mix(&balls, log_ball);
                    }
                    correction.apply(densities, squares);
                    mix(densities, log_q);
                },
            );
        }),
        Device::Gpu(gpu) => {
            let kernel = &tables.kernels.log_density;
            let operands = [weights.gpu(), biases.gpu(), tables.orders.gpu(), x.gpu()];
            if flows == 1 {
                assert!(half_square < 0.0, "flow: of one flow the base-space points tell the density in the ball");
                let bindings = [&operands[..], &[log_q.gpu(), gpu.status()]].concat();
                let parameters = DensityLaunch { rows: rows as u32, correction };
                return gpu.dispatch(kernel, &parameters, &bindings, grid_1d(rows, 64));
            }
            let parts = Tensor::<f32>::empty(device, flows * rows, 2);
            let bindings = [&operands[..], &[parts.gpu(), gpu.status()]].concat();
            let parameters = DensityLaunch { rows: rows as u32, correction };
            gpu.dispatch(kernel, &parameters, &bindings, grid_1d(flows * rows, 64));
            let parameters = MixtureLaunch { rows: rows as u32, flows: flows as u32, half_square, correction };
            let bindings = [parts.gpu(), log_q.gpu(), log_ball.gpu()];
            gpu.dispatch(&MIXTURE, &parameters, &bindings, grid_1d(rows, 64));
        }
    }
}

/// Flow `k`'s part of what all have in one vector.
fn of(all: &[f32], flows: usize, k: usize) -> &[f32] {
    let each = all.len() / flows;
    &all[k * each..][..each]
}

vectorised! {
/// The logarithm of the equal mixture of `parts / TILE` log-densities.
fn mix(parts: &[f32], out: &mut [f32]) {
    let flows = parts.len() / TILE;
    let n = out.len();
    out.copy_from_slice(&parts[..n]);
    if flows == 1 {
        return;
    }
    for part in parts[TILE..].chunks_exact(TILE) {
        for (largest, part) in out.iter_mut().zip(part) {
            *largest = if *part > *largest { *part } else { *largest };
        }
    }
    let mut sums = [0.0; TILE];
    for part in parts.chunks_exact(TILE) {
        for ((sum, part), largest) in sums.iter_mut().zip(part).zip(&*out) {
            *sum += vector::exp(*part - *largest);
        }
    }
    let share = 1.0 / flows as f32;
    for (out, sum) in out.iter_mut().zip(sums) {
        *out += vector::ln(sum * share);
    }
}
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct SampleLaunch {
    rows: u32,
    /// The flow that row 0 comes from.
    first: u32,
    correction: Correction,
}

/// Carries base-space samples (`N x P`, drawn with these `tails`) to the flow's input space `x`, with `log_q` (`N x 1`) there. Of an ensemble, row `r` comes from flow
/// `(first_row + r) mod flows`, and `log_q` is that of the mixture; a [`Ball`] is as in [`density`].
pub fn sample(
    device: &Device,
    tables: &FlowTables,
    at: AtContext<'_>,
    rows: BaseRows<'_>,
    tails: Tails,
    x: &mut Tensor<f32>,
    densities: Densities<'_>,
) {
    let (AtContext { weights, folded: biases }, BaseRows { base, first_row }) = (at, rows);
    let Densities { log_q, ball } = densities;
    let (shape, flows) = (&tables.shape, tables.flows());
    assert_eq!((base.cols(), base.rows()), (x.cols(), x.rows()), "flow: shapes");
    assert_eq!((base.cols(), base.rows()), (shape.parameters, log_q.len()), "flow: shapes");
    let correction = tails.correction(shape.parameters);
    match device {
        Device::Cpu(cpu) => cpu.run("flow.sample", || {
            let p = shape.parameters;
            let (weights, biases) = (weights.cpu(), biases.cpu());
            let rows = TILE * flows;
            let tiles = base.cpu().par_chunks(rows * p).zip(x.cpu_mut().par_chunks_mut(rows * p));
            tiles.zip(log_q.cpu_mut().par_chunks_mut(rows)).enumerate().for_each_init(
                || (Workspace::new(&tables.plans[0], TILE, false), vec![0.0; TILE], vec![0.0; TILE]),
                |(workspace, densities, squares), (tile, ((base, x), log_q))| {
                    for (k, plan) in tables.plans.iter().enumerate() {
                        // Rows of this tile that are this flow's: every `flows`-th.
                        let first = (k + flows - (first_row + tile * rows) % flows) % flows;
                        let n = log_q.len().saturating_sub(first).div_ceil(flows);
                        if n == 0 {
                            continue;
                        }
                        workspace.set_points(plan, n, |r| &base[(first + r * flows) * p..][..p]);
                        for (r, square) in squares[..n].iter_mut().enumerate() {
                            *square = 0.5 * base[(first + r * flows) * p..][..p].iter().map(|b| b * b).sum::<f32>();
                        }
                        tile::inverse(plan, of(weights, flows, k), of(biases, flows, k), workspace);
                        workspace.samples(plan, &mut densities[..n], |r, point| {
                            let at = first + r * flows;
                            x[at * p..][..p].iter_mut().zip(point).for_each(|(x, value)| *x = value);
                        });
                        correction.apply(&mut densities[..n], squares);
                        for (r, density) in densities[..n].iter().enumerate() {
                            log_q[first + r * flows] = *density;
                        }
                    }
                },
            );
        }),
        Device::Gpu(gpu) => {
            let first = (first_row % flows) as u32;
            let parameters = SampleLaunch { rows: x.rows() as u32, first, correction };
            let bindings =
                [weights.gpu(), biases.gpu(), tables.orders.gpu(), base.gpu(), x.gpu(), log_q.gpu(), gpu.status()];
            let invocations = x.rows().div_ceil(flows) * flows;
            gpu.dispatch(&tables.kernels.sample, &parameters, &bindings, grid_1d(invocations, 64));
        }
    }
    if flows > 1 {
        density(device, tables, at, x, tails, Densities { log_q, ball });
    } else {
        assert!(ball.is_none(), "flow: of one flow the base-space points tell the density in the ball");
    }
}
