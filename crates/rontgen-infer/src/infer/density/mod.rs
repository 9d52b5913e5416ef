//! The densities q(x | S) that a run can choose from, and those of them that are put together from dense layers and a head.
//!
//! | name | what it is |
//! |---|---|
//! | `maf` | masked autoregressive flow (Papamakarios et al. 2017), affine; its kernels are [`crate::kernels::flow`] |
//! | `nsf` | neural spline flow (Durkan et al. 2019): coupling transforms, an affine map and a rational-quadratic spline each |
//! | `maf_rqs` | the same with autoregressive transforms |
//! | `mdn` | mixture density network (Bishop 1994): full-covariance Gaussians |
//! | `made` | masked autoencoder (Germain et al. 2015): a mixture of Gaussians per parameter, autoregressive |
//!
//! A coupling transform here leaves no parameter as it is: those of the first half depend on the context alone, those of the second
//! on the first half, too. It is the autoregressive transform with two levels.

mod conditioner;
mod layers;

use crate::device::{Device, Tensor};
use crate::kernels::flow::{AtContext, Inputs};
use crate::kernels::gemm::{Matrix, MatrixMut};
use crate::kernels::mixture::{self, MixtureShape};
use crate::kernels::random::{self, RandomRows};
use crate::kernels::reduce::{self, LossSlot};
use crate::kernels::spline::{self, Level, LogDet, SplineShape};
use crate::kernels::truncate::Candidates;
use crate::kernels::{adam, gather, truncate};
use conditioner::{Back, Conditioner, InputGradients, Seen};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Rows that are evaluated or drawn at a time.
const CHUNK: usize = 16_384;
/// Streams of the numbers that choose a mixture's components, apart from the caller's.
pub const CHOICE_STREAM: u32 = 0x0400_0000;

/// A density estimator is one of these kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DensityKind {
    /// Masked autoregressive flow, affine (Papamakarios et al. 2017).
    #[default]
    Maf,
    /// Neural spline flow: coupling transforms with rational-quadratic splines (Durkan et al. 2019).
    Nsf,
    /// Masked autoregressive flow with rational-quadratic splines.
    MafRqs,
    /// Mixture density network: full-covariance Gaussians (Bishop 1994).
    Mdn,
    /// Masked autoencoder: a mixture of Gaussians per parameter, autoregressive (Germain et al. 2015).
    Made,
}

impl DensityKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [DensityKind; 5] =
        [DensityKind::Maf, DensityKind::Nsf, DensityKind::MafRqs, DensityKind::Mdn, DensityKind::Made];

    /// Returns the name as the run file writes it.
    pub fn name(self) -> &'static str {
        match self {
            DensityKind::Maf => "maf",
            DensityKind::Nsf => "nsf",
            DensityKind::MafRqs => "maf_rqs",
            DensityKind::Mdn => "mdn",
            DensityKind::Made => "made",
        }
    }

    /// Returns the kind of a name; `None` for no such name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns whether it has splines, whose bins can be set.
    pub fn has_splines(self) -> bool {
        matches!(self, DensityKind::Nsf | DensityKind::MafRqs)
    }

    /// Returns whether it is a mixture, whose components can be set.
    pub fn is_mixture(self) -> bool {
        matches!(self, DensityKind::Mdn | DensityKind::Made)
    }
}

/// These settings choose a density and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DensitySettings {
    /// Kind of density.
    pub kind: DensityKind,
    /// Transforms of a flow; a mixture has none.
    pub transforms: usize,
    /// Units per hidden layer, of every network in it.
    pub hidden: usize,
    /// Hidden layers of every network in it.
    pub layers: usize,
    /// Bins of a spline.
    pub bins: usize,
    /// Components of a mixture.
    pub components: usize,
}

impl Default for DensitySettings {
    fn default() -> Self {
        Self { kind: DensityKind::Maf, transforms: 10, hidden: 100, layers: 2, bins: 8, components: 8 }
    }
}

#[derive(Debug, Clone, Copy)]
enum Head {
    Flow(SplineShape),
    Mixture(MixtureShape),
}

/// A density put together from masked dense layers and a head: any of [`DensityKind`], the affine flow included (slower than its own
/// kernels, but it tells the gradient at the context).
#[derive(Debug)]
pub(super) struct Composed {
    parameters: usize,
    head: Head,
    /// One per transform; a mixture has one.
    conditioners: Vec<Conditioner>,
    /// Orders of the sites in every transform.
    orders: Vec<Tensor<u32>>,
    mask: Tensor<f32>,
}

/// Buffers for so many rows.
#[derive(Debug)]
struct Work {
    /// Per transform: the layers' activations, what the conditioner says, and what the transform gives.
    hidden: Vec<Vec<Tensor<f32>>>,
    out: Vec<Tensor<f32>>,
    y: Vec<Tensor<f32>>,
    log_det: Tensor<f32>,
}

/// Buffers of training.
#[derive(Debug)]
pub(super) struct Scratch {
    work: Work,
    loss: Tensor<f32>,
    d: Tensor<f32>,
    back: Back,
}

/// Where gradients of the mean loss are written.
#[derive(Debug)]
pub(super) struct Gradients<'a> {
    /// By the weights (`1 x weights`; forbidden ones get none).
    pub weights: &'a mut Tensor<f32>,
    /// By the context: `n x C`.
    pub context: Option<&'a mut Tensor<f32>>,
}

/// Points with their log-density.
pub(super) struct Points {
    pub x: Tensor<f32>,
    pub log_q: Tensor<f32>,
}

impl Composed {
    /// The density for so many parameters and context numbers, and its starting weights.
    pub fn new(
        device: &Device,
        parameters: usize,
        context: usize,
        settings: &DensitySettings,
        seed: u64,
    ) -> (Self, Vec<f32>) {
        let DensitySettings { kind, transforms, hidden, layers, bins, components } = *settings;
        let (head, transforms, levels) = match kind {
            DensityKind::Maf => (Head::Flow(SplineShape { parameters, bins: 0 }), transforms, parameters),
            DensityKind::Nsf => (Head::Flow(SplineShape { parameters, bins }), transforms, parameters.min(2)),
            DensityKind::MafRqs => (Head::Flow(SplineShape { parameters, bins }), transforms, parameters),
            DensityKind::Mdn => (Head::Mixture(MixtureShape { sites: 1, dims: parameters, components }), 1, 1),
            DensityKind::Made => {
                (Head::Mixture(MixtureShape { sites: parameters, dims: 1, components }), 1, parameters)
            }
        };
        let per = match head {
            Head::Flow(shape) => shape.per(),
            Head::Mixture(shape) => shape.per(),
        };
        let mut generator = Pcg64::seed_from_u64(seed ^ 0x6465_6e73);
        let (mut conditioners, mut initial) = (Vec::<Conditioner>::new(), Vec::new());
        for k in 0..transforms.max(1) {
            let order = match (kind, conditioners.last()) {
                (DensityKind::Mdn, _) => vec![0],
                // Every other transform has the reverse of the order before it.
                (_, Some(before)) if k % 2 == 1 => before.order.iter().map(|o| levels as u32 - 1 - o).collect(),
                _ => {
                    let mut order: Vec<u32> = (0..parameters).map(|i| (i * levels / parameters) as u32).collect();
                    order.shuffle(&mut generator);
                    order
                }
            };
            let conditioner = Conditioner {
                offset: initial.len(),
                inputs: if kind == DensityKind::Mdn { 0 } else { parameters },
                context,
                hidden,
                layers: layers.max(1),
                per,
                levels,
                order,
            };
            let mut weights = conditioner.initial(seed.wrapping_add((k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            if let Head::Mixture(shape) = head {
                // Components that begin alike would stay alike.
                let means: Vec<usize> = shape.means().collect();
                for site in weights[conditioner.last_biases()].chunks_exact_mut(per) {
                    means.iter().for_each(|&mean| site[mean] = generator.random_range(-1.5f32..1.5));
                }
            }
            initial.extend(weights);
            conditioners.push(conditioner);
        }
        let mask: Vec<f32> = conditioners.iter().flat_map(Conditioner::mask).collect();
        let orders = conditioners.iter().map(|c| Tensor::from_slice(device, 1, c.order.len(), &c.order)).collect();
        let mask = Tensor::from_slice(device, 1, mask.len(), &mask);
        (Self { parameters, head, conditioners, orders, mask }, initial)
    }

    /// Buffers for so many rows and, of the conditioners, for so many at a time.
    fn work(&self, device: &Device, rows: usize, conditioners: usize) -> Work {
        let empty = |cols: usize| Tensor::empty(device, rows, cols);
        let flow = matches!(self.head, Head::Flow(_));
        let some = &self.conditioners[..conditioners];
        Work {
            hidden: some.iter().map(|c| (0..c.layers).map(|_| empty(c.hidden)).collect()).collect(),
            out: some.iter().map(|c| empty(c.outputs())).collect(),
            y: self.conditioners.iter().filter(|_| flow).map(|_| empty(self.parameters)).collect(),
            log_det: empty(1),
        }
    }

    /// The sum of `-log q` of a batch into the slot. With `gradient`, that of the mean is written there.
    pub fn loss(
        &self,
        device: &Device,
        weights: &Tensor<f32>,
        gradient: Option<Gradients<'_>>,
        inputs: Inputs<'_>,
        scratch: &mut Option<Scratch>,
        sum: LossSlot<'_>,
    ) {
        let Inputs { x, context } = inputs;
        let rows = x.rows();
        if scratch.as_ref().is_none_or(|scratch| scratch.loss.rows() != rows) {
            *scratch = Some(Scratch {
                work: self.work(device, rows, self.conditioners.len()),
                loss: Tensor::empty(device, rows, 1),
                d: Tensor::empty(device, rows, self.parameters),
                back: Back::new(device, &self.conditioners[0], rows),
            });
        }
        let Some(Scratch { work, loss, d, back }) = scratch else { return };
        let (scale, flow) = (1.0 / rows as f32, matches!(self.head, Head::Flow(_)));
        for (k, conditioner) in self.conditioners.iter().enumerate() {
            // A mixture has no transforms.
            let (before, after) = work.y.split_at_mut(if flow { k } else { 0 });
            let inputs = Inputs { x: before.last().unwrap_or(x), context };
            conditioner.forward(device, weights, inputs, &mut work.hidden[k], &mut work.out[k]);
            if let Head::Flow(shape) = self.head {
                let log_det = LogDet { sum: &mut work.log_det, add: k > 0 };
                spline::forward(device, shape, &work.out[k], inputs.x, &mut after[0], log_det);
            }
        }
        match (self.head, work.y.last()) {
            (Head::Mixture(shape), _) => mixture::loss(device, shape, &mut work.out[0], x, loss, scale),
            (_, Some(z)) => spline::base(device, z, &work.log_det, loss, d, scale),
            _ => {}
        }
        reduce::total(device, loss, 0, rows, sum.losses, sum.slot);
        let Some(Gradients { weights: gradient, context: mut d_context }) = gradient else { return };
        if let Some(d_context) = &mut d_context {
            adam::clear(device, d_context);
        }
        for (k, conditioner) in self.conditioners.iter().enumerate().rev() {
            let inputs = Inputs { x: if k == 0 { x } else { work.y.get(k - 1).unwrap_or(x) }, context };
            if let Head::Flow(shape) = self.head {
                spline::backward(device, shape, &mut work.out[k], inputs.x, d, scale);
            }
            let d_x = (k > 0).then_some(&mut *d);
            let d_inputs = InputGradients { x: d_x, context: d_context.as_deref_mut() };
            conditioner.backward(device, weights, inputs, &work.hidden[k], &work.out[k], gradient, d_inputs, back);
        }
        spline::mask(device, &self.mask, gradient);
    }

    /// What the other functions need of one context (`1 x C`): the first layers' biases, or of a density that sees nothing else all
    /// numbers of its head.
    pub fn fold(&self, device: &Device, weights: &Tensor<f32>, context: &Tensor<f32>) -> Tensor<f32> {
        let first = &self.conditioners[0];
        if first.inputs == 0 {
            let mut work = self.work(device, 1, 1);
            let inputs = Inputs { x: context, context };
            first.forward(device, weights, inputs, &mut work.hidden[0], &mut work.out[0]);
            return work.out.swap_remove(0);
        }
        let mut folded = Tensor::empty(device, self.conditioners.len(), first.hidden);
        for (k, conditioner) in self.conditioners.iter().enumerate() {
            let mut bias = MatrixMut::at(&mut folded, k * first.hidden, 1, first.hidden);
            conditioner.fold(device, weights, context, &mut bias);
        }
        folded
    }

    fn bias<'a>(&self, folded: &'a Tensor<f32>, k: usize) -> Matrix<'a> {
        Matrix::at(folded, k * folded.cols(), 1, folded.cols())
    }

    /// `log_q` (`n x 1`) at the rows of `x` (`n x P`).
    pub fn log_density(&self, device: &Device, at: AtContext<'_>, x: &Tensor<f32>, log_q: &mut Tensor<f32>) {
        let AtContext { weights, folded } = at;
        in_chunks(device, &[x], &mut [log_q], &mut |inputs, outputs| {
            let (&[x], [log_q]) = (inputs, outputs) else { return };
            let first = &self.conditioners[0];
            match self.head {
                Head::Mixture(shape) if first.inputs == 0 => mixture::log_density(device, shape, folded, x, log_q),
                Head::Mixture(shape) => {
                    let mut work = self.work(device, x.rows(), 1);
                    let seen = Seen { x, bias: self.bias(folded, 0) };
                    first.forward_folded(device, weights, seen, &mut work.hidden[0], &mut work.out[0]);
                    mixture::log_density(device, shape, &work.out[0], x, log_q);
                }
                Head::Flow(shape) => {
                    let mut work = self.work(device, x.rows(), 1);
                    for (k, conditioner) in self.conditioners.iter().enumerate() {
                        let (before, after) = work.y.split_at_mut(k);
                        let input = before.last().unwrap_or(x);
                        let seen = Seen { x: input, bias: self.bias(folded, k) };
                        let (hidden, out) = (&mut work.hidden[0], &mut work.out[0]);
                        conditioner.forward_folded(device, weights, seen, hidden, out);
                        let log_det = LogDet { sum: &mut work.log_det, add: k > 0 };
                        spline::forward(device, shape, out, input, &mut after[0], log_det);
                    }
                    let Some(z) = work.y.last() else { return };
                    spline::log_density(device, z, &work.log_det, log_q);
                }
            }
        });
    }

    /// Draws, one per row.
    pub fn sample(&self, device: &Device, at: AtContext<'_>, rows: RandomRows) -> Points {
        let RandomRows { seed, stream, first_row, n } = rows;
        let mut base = Tensor::empty(device, n, self.parameters);
        random::fill_normal(device, seed, stream, first_row, &mut base);
        match self.head {
            Head::Flow(_) => self.carry(device, at, &base),
            Head::Mixture(shape) => {
                let choice = self.choices(device, shape, rows);
                self.draw(device, shape, at, (&choice, &base), None).0
            }
        }
    }

    /// Draws from something flatter that covers what the density covers, and how they are to be weighed: a flow carries points that are
    /// uniform in a ball of base space, a mixture draws uniformly from balls of its components. `radius` is that of a ball in so many
    /// dimensions.
    pub fn candidates(
        &self,
        device: &Device,
        at: AtContext<'_>,
        rows: RandomRows,
        radius: fn(usize) -> f32,
    ) -> (Candidates, Points) {
        let RandomRows { seed, stream, first_row, n } = rows;
        let (sites, dims) = match self.head {
            Head::Flow(_) => (1, self.parameters),
            Head::Mixture(shape) => (shape.sites, shape.dims),
        };
        let radius = radius(dims);
        let mut base = Tensor::empty(device, n * sites, dims);
        random::fill_normal(device, seed, stream, first_row * sites, &mut base);
        let mut uniform = Tensor::empty(device, n * sites, 1);
        random::fill_uniform(device, seed, stream, first_row * sites, &mut uniform);
        truncate::ball(device, radius, &uniform, &mut base);
        let base = base.reshaped(n, self.parameters);
        match self.head {
            Head::Flow(_) => {
                let points = self.carry(device, at, &base);
                (Candidates::Base(base), points)
            }
            Head::Mixture(shape) => {
                let choice = self.choices(device, shape, rows);
                let (points, log_ball) = self.draw(device, shape, at, (&choice, &base), Some(radius));
                (Candidates::LogDensity(log_ball), points)
            }
        }
    }

    fn choices(&self, device: &Device, shape: MixtureShape, rows: RandomRows) -> Tensor<f32> {
        let RandomRows { seed, stream, first_row, n } = rows;
        let mut choice = Tensor::empty(device, n, shape.sites);
        random::fill_uniform(device, seed, stream ^ CHOICE_STREAM, first_row, &mut choice);
        choice
    }

    /// From base space through the inverse of all transforms.
    fn carry(&self, device: &Device, at: AtContext<'_>, base: &Tensor<f32>) -> Points {
        let AtContext { weights, folded } = at;
        let n = base.rows();
        let mut points = Points { x: Tensor::empty(device, n, self.parameters), log_q: Tensor::empty(device, n, 1) };
        let Head::Flow(shape) = self.head else { return points };
        in_chunks(device, &[base], &mut [&mut points.x, &mut points.log_q], &mut |inputs, outputs| {
            let (&[base], [x, log_q]) = (inputs, outputs) else { return };
            let mut work = self.work(device, base.rows(), 1);
            for (k, conditioner) in self.conditioners.iter().enumerate().rev() {
                // Downwards from the last transform: y[k] holds what transform k takes.
                let (now, after) = work.y.split_at_mut(k + 1);
                let (to, from) = (&mut now[k], after.first().unwrap_or(base));
                adam::clear(device, to);
                for level in 0..conditioner.levels {
                    let (hidden, out) = (&mut work.hidden[0], &mut work.out[0]);
                    let seen = Seen { x: to, bias: self.bias(folded, k) };
                    conditioner.forward_level(device, weights, level, seen, hidden, out);
                    let add = k + 1 < self.conditioners.len() || level > 0;
                    let level = Level { order: &self.orders[k], level };
                    let log_det = LogDet { sum: &mut work.log_det, add };
                    spline::inverse(device, shape, out, level, from, to, log_det);
                }
            }
            spline::log_density(device, base, &work.log_det, log_q);
            crate::nn::store::copy(device, &work.y[0], x);
        });
        points
    }

    /// A mixture's draws; with a radius the log-density of such draws, too.
    fn draw(
        &self,
        device: &Device,
        shape: MixtureShape,
        AtContext { weights, folded }: AtContext<'_>,
        (choice, base): (&Tensor<f32>, &Tensor<f32>),
        radius: Option<f32>,
    ) -> (Points, Tensor<f32>) {
        let n = base.rows();
        let mut points = Points { x: Tensor::empty(device, n, self.parameters), log_q: Tensor::empty(device, n, 1) };
        let mut log_ball = Tensor::empty(device, n, 1);
        let mut results = [&mut points.x, &mut points.log_q, &mut log_ball];
        in_chunks(device, &[choice, base], &mut results, &mut |inputs, outputs| {
            let (&[choice, base], [x, log_q, log_ball]) = (inputs, outputs) else { return };
            let draws = mixture::Draws { choice, base };
            let first = &self.conditioners[0];
            let mut work = self.work(device, if first.inputs == 0 { 0 } else { x.rows() }, 1);
            adam::clear(device, x);
            for level in 0..first.levels {
                let out = if first.inputs == 0 {
                    folded
                } else {
                    let seen = Seen { x, bias: self.bias(folded, 0) };
                    first.forward_level(device, weights, level, seen, &mut work.hidden[0], &mut work.out[0]);
                    &work.out[0]
                };
                let ball = radius.map(|radius| (radius, &mut **log_ball));
                let densities = mixture::Densities { log_q, ball };
                let level = Level { order: &self.orders[0], level };
                mixture::draw(device, shape, out, level, draws, x, densities);
            }
        });
        (points, log_ball)
    }
}

/// What is done to some rows: inputs and outputs.
type RowWork<'a> = dyn FnMut(&[&Tensor<f32>], &mut [&mut Tensor<f32>]) + 'a;

/// Runs `work` on at most [`CHUNK`] rows at a time of tensors that have equally many rows.
fn in_chunks(device: &Device, inputs: &[&Tensor<f32>], outputs: &mut [&mut Tensor<f32>], work: &mut RowWork<'_>) {
    let rows = inputs.first().map_or(0, |input| input.rows());
    if rows <= CHUNK {
        return work(inputs, outputs);
    }
    let index: Vec<u32> = (0..rows as u32).collect();
    let index = Tensor::from_slice(device, 1, rows, &index);
    for first in (0..rows).step_by(CHUNK) {
        let n = CHUNK.min(rows - first);
        let part = |input: &&Tensor<f32>| {
            let mut part = Tensor::empty(device, n, input.cols());
            gather::gather_block(device, input, 0, &index, first, &mut part);
            part
        };
        let parts: Vec<Tensor<f32>> = inputs.iter().map(part).collect();
        let mut results: Vec<Tensor<f32>> = outputs.iter().map(|out| Tensor::empty(device, n, out.cols())).collect();
        work(&parts.iter().collect::<Vec<_>>(), &mut results.iter_mut().collect::<Vec<_>>());
        for (result, out) in results.iter().zip(outputs.iter_mut()) {
            gather::gather_block(device, result, first, &index, 0, out);
        }
    }
}

#[cfg(test)]
mod tests;
