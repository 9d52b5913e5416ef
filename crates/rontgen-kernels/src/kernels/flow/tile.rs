//! The flow on the CPU: one thread carries a tile of samples, in panels, through all transforms and back.
//!
//! Activations of a tile stay in the thread's cache, weights are read where they are, and what the masks forbid is left out block
//! by block (see [`super::plan`]). The pointers below stay inside: [`Workspace::new`] sizes every array for the plan and the
//! number of panels, which the entry points check along with the number of weights.

use super::lanes::{Lanes, for_lanes};
use super::panel::{self, PANEL, Panels, accumulate, accumulate_rows, biases, with_count, zeros};
use super::plan::{Block, Plan};
use super::shape::LOG_SCALE_LIMIT;
use crate::kernels::vector;

/// Everything one thread needs for a tile.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Samples of the tile at hand.
    rows: usize,
    capacity: usize,
    keeps: bool,
    /// `[P, C, H, L, K]` of the plan.
    sizes: [usize; 5],
    /// Inputs of each transform and the final output: `(K + 1) x panels x P`.
    x: Vec<f32>,
    /// `panels x C`.
    context: Vec<f32>,
    /// Hidden activations: `K x L x panels x (H + 1)` when gradients are wanted, else one transform's. The feature too many puts
    /// neighbouring panels into different sets of the cache.
    hidden: Vec<f32>,
    /// `e^-log-scale` and the raw log-scale: `K x panels x 2P`, or one.
    out: Vec<f32>,
    /// Gradients flowing back: two of `panels x (H + 1)`, `panels x 2P`, `panels x P`.
    back: [Vec<f32>; 2],
    d_out: Vec<f32>,
    d_x: Vec<f32>,
    log_det: Vec<f32>,
}

impl Workspace {
    /// For tiles of up to `rows` samples.
    pub fn new(plan: &Plan, rows: usize, gradients: bool) -> Self {
        let capacity = rows.div_ceil(PANEL);
        let kept = if gradients { plan.transforms() } else { 1 };
        let size = |features: usize| features * capacity * PANEL;
        let only_back = |features: usize| vec![0.0; if gradients { size(features) } else { 0 }];
        Self {
            rows: 0,
            capacity,
            keeps: gradients,
            sizes: sizes(plan),
            x: vec![0.0; (plan.transforms() + 1) * size(plan.p)],
            context: only_back(plan.c),
            hidden: vec![0.0; kept * plan.layers * size(plan.h + 1)],
            out: vec![0.0; kept * size(2 * plan.p)],
            back: [only_back(plan.h + 1), only_back(plan.h + 1)],
            d_out: only_back(2 * plan.p),
            d_x: only_back(plan.p),
            log_det: vec![0.0; size(1)],
        }
    }

    /// Panics when the workspace was made for a plan of other sizes, or when these are not its weights.
    fn check(&self, plan: &Plan, weights: &[f32]) {
        assert_eq!(weights.len(), plan.len * plan.transforms(), "flow: weights");
        assert!(self.sizes == sizes(plan) && self.rows > 0, "flow: workspace of another shape");
    }

    pub fn capacity(&self) -> usize {
        self.capacity * PANEL
    }

    fn panels(&self) -> usize {
        self.rows.div_ceil(PANEL)
    }

    /// Takes in the points of a tile: `rows` of them, row `r` being `row(r)` (`P` numbers).
    pub fn set_points<'a>(&mut self, plan: &Plan, rows: usize, row: impl Fn(usize) -> &'a [f32]) {
        assert!(rows > 0 && rows <= self.capacity(), "flow: rows of a tile");
        self.rows = rows;
        to_panels(&mut self.x, plan.p, rows, row);
    }

    /// The same for what they are conditioned on.
    pub fn set_contexts<'a>(&mut self, plan: &Plan, row: impl Fn(usize) -> &'a [f32]) {
        to_panels(&mut self.context, plan.c, self.rows, row);
    }

    /// `log q` in the flow's input space of each sample of the tile last carried forward.
    pub fn log_density(&self, plan: &Plan, out: &mut [f32]) {
        self.log_normal(plan, plan.transforms(), out);
    }

    /// The log-density of the points in base space that lie at one end of the flow, with the log-determinants.
    fn log_normal(&self, plan: &Plan, end: usize, out: &mut [f32]) {
        let p = plan.p;
        let constant = -0.5 * (2.0 * std::f32::consts::PI).ln() * p as f32;
        let base = &self.x[end * self.capacity * PANEL * p..];
        let panels = base.chunks_exact(p * PANEL).zip(self.log_det.chunks_exact(PANEL));
        for ((base, log_det), out) in panels.zip(out.chunks_mut(PANEL)) {
            for (t, (out, log_det)) in out.iter_mut().zip(log_det).enumerate() {
                let square: f32 = (0..p).map(|i| base[i * PANEL + t] * base[i * PANEL + t]).sum();
                *out = constant + log_det - 0.5 * square;
            }
        }
    }

    /// Half the squared distance from the origin of base space of each sample of the tile last carried forward.
    pub fn half_squares(&self, plan: &Plan, out: &mut [f32]) {
        let base = &self.x[plan.transforms() * self.capacity * PANEL * plan.p..];
        for (base, out) in base.chunks_exact(plan.p * PANEL).zip(out.chunks_mut(PANEL)) {
            for (t, out) in out.iter_mut().enumerate() {
                *out = 0.5 * (0..plan.p).map(|i| base[i * PANEL + t] * base[i * PANEL + t]).sum::<f32>();
            }
        }
    }

    /// The samples that [`inverse`] made, with `log q` there; `put(r, point)` takes them one by one.
    pub fn samples(&self, plan: &Plan, log_q: &mut [f32], mut put: impl FnMut(usize, &mut dyn Iterator<Item = f32>)) {
        self.log_normal(plan, plan.transforms(), log_q);
        for r in 0..self.rows {
            let panel = &self.x[r / PANEL * PANEL * plan.p..];
            put(r, &mut (0..plan.p).map(|i| panel[i * PANEL + r % PANEL]));
        }
    }
}

fn sizes(plan: &Plan) -> [usize; 5] {
    [plan.p, plan.c, plan.h, plan.layers, plan.transforms()]
}

/// Rows side by side; the last one again where a panel is not full.
fn to_panels<'a>(panels: &mut [f32], cols: usize, rows: usize, row: impl Fn(usize) -> &'a [f32]) {
    if cols == 0 {
        return;
    }
    for (k, panel) in panels.chunks_exact_mut(cols * PANEL).take(rows.div_ceil(PANEL)).enumerate() {
        let source: [&[f32]; PANEL] = std::array::from_fn(|t| &row((k * PANEL + t).min(rows - 1))[..cols]);
        for (c, feature) in panel.chunks_exact_mut(PANEL).enumerate() {
            for (value, row) in feature.iter_mut().zip(source) {
                *value = row[c];
            }
        }
    }
}

/// Bounded log-scale and its derivative.
#[inline(always)]
fn bounded(raw: f32) -> (f32, f32) {
    let shrink = 1.0 / (1.0 + raw.abs() * (1.0 / LOG_SCALE_LIMIT));
    (raw * shrink, shrink * shrink)
}

/// A block of the first hidden layer of one panel: `context` features beside the parameters that the block sees.
///
/// # Safety
/// The pointers are those of a panel of `x`, of the context and of the layer, and of the layer's weights and biases.
#[inline(always)]
unsafe fn first_layer<V: Lanes, const M: usize>(
    (plan, block, parameters): (&Plan, &Block, &[usize]),
    (w, bias): (*const f32, *const f32),
    (x, context, features): (*const f32, *const f32, usize),
    out: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = biases::<V, M>(bias.add(block.start));
        let column = w.add(block.start);
        accumulate(&mut sums, (column.wrapping_add(plan.p * plan.h), 1, plan.h), context, features);
        for &i in parameters {
            accumulate(&mut sums, (column.add(i * plan.h), 1, plan.h), x.add(i * PANEL), 1);
        }
        panel::put_tanh(sums, out.add(block.start * PANEL));
    }
}

/// A block of a later hidden layer of one panel.
///
/// # Safety
/// The pointers are those of the layer's weights and biases, of a panel of the layer before, and of the layer.
#[inline(always)]
unsafe fn later_layer<V: Lanes, const M: usize>(
    (plan, block): (&Plan, &Block),
    (w, bias): (*const f32, *const f32),
    before: *const f32,
    out: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = biases::<V, M>(bias.add(block.start));
        accumulate(&mut sums, (w.add(block.start), 1, plan.h), before, block.seen);
        panel::put_tanh(sums, out.add(block.start * PANEL));
    }
}

/// Some shifts and log-scales of one panel, without their biases.
///
/// # Safety
/// The pointers are those of the last layer's weights, of a panel of the last hidden layer, and of `2P` features.
#[inline(always)]
unsafe fn last_layer<V: Lanes, const M: usize>(
    (columns, seen, p): (&[usize], usize, usize),
    w: *const f32,
    before: *const f32,
    out: *mut f32,
) {
    let mut sums = zeros::<V, M>();
    // SAFETY: the caller's promise.
    unsafe {
        accumulate_rows(&mut sums, (w, columns, 2 * p), before, seen);
        for (sum, column) in sums.into_iter().zip(columns) {
            panel::put([sum], out.add(column * PANEL));
        }
    }
}

for_lanes! {
/// # Safety
/// [`forward`]'s checks.
unsafe fn forward_on<V>(plan: &Plan, weights: &[f32], shared: Option<&[f32]>, ws: &mut Workspace) {
    let Plan { p, h, layers, dense, .. } = plan;
    let (p, h, layers, panels) = (*p, *h, *layers, ws.panels());
    let features = if shared.is_some() { 0 } else { plan.c };
    let (layer_len, out_len, x_len) =
        (ws.capacity * (h + 1) * PANEL, ws.capacity * 2 * p * PANEL, ws.capacity * p * PANEL);
    ws.log_det.fill(0.0);
    for (k, order) in plan.orders.iter().enumerate() {
        let slot = if ws.keeps { k } else { 0 };
        let transform = weights[k * plan.len..].as_ptr();
        let (x, y) = ws.x[k * x_len..].split_at_mut(x_len);
        let hidden = ws.hidden[slot * layers * layer_len..].as_mut_ptr();
        // SAFETY: see the module.
        unsafe {
            let bias = match shared {
                Some(biases) => biases[k * h..].as_ptr(),
                None => transform.add(dense[0].bias().start),
            };
            for n in 0..panels {
                let x = x.as_ptr().add(n * p * PANEL);
                let context = ws.context.as_ptr().wrapping_add(n * features * PANEL);
                let out = hidden.add(n * (h + 1) * PANEL);
                for block in &plan.blocks {
                    let seen = (plan, block, &order.parameter[..block.parameters]);
                    with_count!(block.len, M => first_layer::<V, M>(seen, (transform, bias), (x, context, features), out));
                }
            }
            for (layer, at) in dense.iter().enumerate().take(layers).skip(1) {
                let w = transform.add(at.offset);
                let bias = transform.add(at.bias().start);
                for n in 0..panels {
                    let before = hidden.add((layer - 1) * layer_len + n * (h + 1) * PANEL);
                    let out = hidden.add(layer * layer_len + n * (h + 1) * PANEL);
                    for block in &plan.blocks {
                        with_count!(block.len, M => later_layer::<V, M>((plan, block), (w, bias), before, out));
                    }
                }
            }
        }
        let at = dense[layers];
        let (shift_bias, scale_bias) = weights[k * plan.len..][at.bias()].split_at(p);
        for n in 0..panels {
            let out = &mut ws.out[slot * out_len + n * 2 * p * PANEL..][..2 * p * PANEL];
            for outputs in &order.outputs {
                // SAFETY: see the module.
                unsafe {
                    let before = hidden.add((layers - 1) * layer_len + n * (h + 1) * PANEL);
                    let (w, columns) = (transform.add(at.offset), (&outputs.columns[..], outputs.seen, p));
                    with_count!(columns.0.len(), M => last_layer::<V, M>(columns, w, before, out.as_mut_ptr()));
                }
            }
            let (shift, raw) = out.split_at_mut(p * PANEL);
            let features = shift.as_chunks_mut::<PANEL>().0.iter_mut().zip(raw.as_chunks_mut::<PANEL>().0);
            let points = x[n * p * PANEL..].as_chunks::<PANEL>().0.iter().zip(y[n * p * PANEL..].as_chunks_mut::<PANEL>().0);
            let log_det = &mut ws.log_det.as_chunks_mut::<PANEL>().0[n];
            for (((shift, raw), (x, y)), (shift_bias, scale_bias)) in
                features.zip(points).zip(shift_bias.iter().zip(scale_bias))
            {
                // On copies: the compiler does not see that the five rows are apart, and would go through them one by one.
                let (mut scale, mut inverses, mut determinants, mut carried) = (*raw, *shift, *log_det, *x);
                for t in 0..PANEL {
                    scale[t] += scale_bias;
                    let (log_scale, _) = bounded(scale[t]);
                    let inverse = vector::exp(-log_scale);
                    carried[t] = (carried[t] - (inverses[t] + shift_bias)) * inverse;
                    inverses[t] = inverse;
                    determinants[t] -= log_scale;
                }
                (*raw, *shift, *log_det, *y) = (scale, inverses, determinants, carried);
            }
        }
    }
}
}

/// A block of the gradient of a hidden layer of one panel: from the gradient of the layer above (`n` features from `above`), with
/// the slope of tanh.
///
/// # Safety
/// The pointers are those of the weights from the block's first row and the first feature on, of the features, and of the
/// layer's activations and gradients.
#[inline(always)]
unsafe fn layer_back<V: Lanes, const M: usize>(
    (w, row_len): (*const f32, usize),
    (above, n): (*const f32, usize),
    active: *const f32,
    out: *mut f32,
) {
    let mut sums = zeros::<V, M>();
    // SAFETY: the caller's promise.
    unsafe {
        accumulate(&mut sums, (w, row_len, 1), above, n);
        panel::put_sloped(sums, active, out);
    }
}

/// Adds to the gradient of some parameters of one panel what comes through the first layer.
///
/// # Safety
/// The pointers are those of the weights of the first of these parameters, of the layer's gradients, and of the features to add to.
#[inline(always)]
unsafe fn parameters_back<V: Lanes, const M: usize>(w: *const f32, h: usize, above: *const f32, out: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = zeros::<V, M>();
        for (r, sum) in sums.iter_mut().enumerate() {
            *sum = [V::load(out.add(r * PANEL)), V::load(out.add(r * PANEL + PANEL / 2))];
        }
        // Masked weights are zero, so that every parameter gets what is its due.
        accumulate(&mut sums, (w, h, 1), above, h);
        panel::put(sums, out);
    }
}

for_lanes! {
/// # Safety
/// [`backward`]'s checks.
unsafe fn backward_on<V>(plan: &Plan, weights: &[f32], ws: &mut Workspace, gradient: &mut [f32], add: bool) {
    let Plan { p, c, h, layers, dense, .. } = plan;
    let (p, c, h, layers, panels) = (*p, *c, *h, *layers, ws.panels());
    let (layer_len, out_len, x_len) =
        (ws.capacity * (h + 1) * PANEL, ws.capacity * 2 * p * PANEL, ws.capacity * p * PANEL);
    let layer_stride = (h + 1) * PANEL;
    // What a panel holds beyond the last sample must not count.
    let mut counts = [0.0f32; PANEL];
    counts[..ws.rows - (panels - 1) * PANEL].fill(1.0);
    ws.d_x.copy_from_slice(&ws.x[plan.transforms() * x_len..]);
    for feature in ws.d_x[(panels - 1) * p * PANEL..][..p * PANEL].chunks_exact_mut(PANEL) {
        for (d, counts) in feature.iter_mut().zip(counts) {
            *d *= counts;
        }
    }
    for k in (0..plan.transforms()).rev() {
        for n in 0..panels {
            let counts = if n + 1 < panels { [1.0; PANEL] } else { counts };
            let (inverse, raw) = ws.out[k * out_len + n * 2 * p * PANEL..][..2 * p * PANEL].split_at(p * PANEL);
            let y = &ws.x[(k + 1) * x_len + n * p * PANEL..][..p * PANEL];
            let (d_shift, d_raw) = ws.d_out[n * 2 * p * PANEL..][..2 * p * PANEL].split_at_mut(p * PANEL);
            let d_x = &mut ws.d_x[n * p * PANEL..][..p * PANEL];
            for i in 0..p {
                let feature = i * PANEL..(i + 1) * PANEL;
                let (inverse, raw, y) = (&inverse[feature.clone()], &raw[feature.clone()], &y[feature.clone()]);
                let (d_shift, d_raw) = (&mut d_shift[feature.clone()], &mut d_raw[feature.clone()]);
                let d_x = &mut d_x[feature];
                for t in 0..PANEL {
                    let (_, slope) = bounded(raw[t]);
                    let direct = d_x[t] * inverse[t];
                    d_shift[t] = -direct;
                    d_raw[t] = (counts[t] - d_x[t] * y[t]) * slope;
                    d_x[t] = direct;
                }
            }
        }
        let transform = weights[k * plan.len..].as_ptr();
        let gradient = &mut gradient[k * plan.len..][..plan.len];
        let hidden = ws.hidden[k * layers * layer_len..].as_ptr();
        let layer_at = |layer: usize| Panels { start: hidden.wrapping_add(layer * layer_len), stride: layer_stride };
        let d_out = Panels { start: ws.d_out.as_ptr(), stride: 2 * p * PANEL };
        let [front, spare] = &mut ws.back;
        let (mut front, mut spare) = (front.as_mut_ptr(), spare.as_mut_ptr());
        // SAFETY: see the module.
        unsafe {
            let at = dense[layers];
            panel::feature_sums(d_out, panels, &mut gradient[at.bias()], add);
            let target = (gradient[at.offset..].as_mut_ptr(), 2 * p);
            panel::outer((layer_at(layers - 1), h), (d_out, 2 * p), panels, &[], target, add);
            let w = transform.add(at.offset);
            for n in 0..panels {
                let above = d_out.start.add(n * d_out.stride);
                let active = layer_at(layers - 1).start.add(n * layer_stride);
                for block in &plan.blocks {
                    let (w, out) = (w.add(block.start * 2 * p), front.add(n * layer_stride + block.start * PANEL));
                    let active = active.add(block.start * PANEL);
                    with_count!(block.len, M => layer_back::<V, M>((w, 2 * p), (above, 2 * p), active, out));
                }
            }
            for layer in (0..layers).rev() {
                let at = dense[layer];
                let d = Panels { start: front, stride: layer_stride };
                panel::feature_sums(d, panels, &mut gradient[at.bias()], add);
                let w = transform.add(at.offset);
                let target = gradient[at.offset..].as_mut_ptr();
                if layer > 0 {
                    let below = layer_at(layer - 1);
                    panel::outer((below, h), (d, h), panels, &plan.reaches, (target, h), add);
                    for n in 0..panels {
                        for block in &plan.blocks {
                            let (start, from) = (block.start, block.reaches);
                            let above = d.start.add(n * layer_stride + from * PANEL);
                            let active = below.start.add(n * layer_stride + start * PANEL);
                            let (w, out) = (w.add(start * h + from), spare.add(n * layer_stride + start * PANEL));
                            with_count!(block.len, M => layer_back::<V, M>((w, h), (above, h - from), active, out));
                        }
                    }
                    std::mem::swap(&mut front, &mut spare);
                } else {
                    let x = Panels { start: ws.x[k * x_len..].as_ptr(), stride: p * PANEL };
                    panel::outer((x, p), (d, h), panels, &[], (target, h), add);
                    let context = Panels { start: ws.context.as_ptr(), stride: c * PANEL };
                    panel::outer((context, c), (d, h), panels, &[], (target.add(p * h), h), add);
                    for n in 0..panels {
                        let above = d.start.add(n * layer_stride);
                        for first in (0..p).step_by(panel::BLOCK) {
                            let out = ws.d_x.as_mut_ptr().add((n * p + first) * PANEL);
                            let w = w.add(first * h);
                            with_count!((p - first).min(panel::BLOCK), M => parameters_back::<V, M>(w, h, above, out));
                        }
                    }
                }
            }
        }
    }
}
}

for_lanes! {
/// # Safety
/// [`inverse`]'s checks.
unsafe fn inverse_on<V>(plan: &Plan, weights: &[f32], biases: &[f32], ws: &mut Workspace) {
    let Plan { p, h, layers, dense, .. } = plan;
    let (p, h, layers, panels) = (*p, *h, *layers, ws.panels());
    let (layer_len, x_len) = (ws.capacity * (h + 1) * PANEL, ws.capacity * p * PANEL);
    ws.log_det.fill(0.0);
    // The base-space points, kept where the forward map would have put them.
    let (start, end) = ws.x.split_at_mut(plan.transforms() * x_len);
    end.copy_from_slice(&start[..x_len]);
    let hidden = ws.hidden.as_mut_ptr();
    for (k, order) in plan.orders.iter().enumerate().rev() {
        let transform = weights[k * plan.len..].as_ptr();
        let at = dense[layers];
        let bias_out = &weights[k * plan.len..][at.bias()];
        for n in 0..panels {
            let x = &mut ws.x[n * p * PANEL..][..p * PANEL];
            let log_det = &mut ws.log_det[n * PANEL..][..PANEL];
            let panel_of = |layer: usize| hidden.wrapping_add(layer * layer_len + n * (h + 1) * PANEL);
            for (degree, &i) in order.parameter.iter().enumerate() {
                let mut out = [0.0f32; 2 * PANEL];
                // SAFETY: see the module; `out` holds two features.
                unsafe {
                    for block in &plan.of_degree[degree] {
                        let seen = (plan, block, &order.parameter[..degree]);
                        let weights = (transform, biases[k * h..].as_ptr());
                        let input = (x.as_ptr(), x.as_ptr(), 0);
                        with_count!(block.len, M => first_layer::<V, M>(seen, weights, input, panel_of(0)));
                    }
                    for (layer, at) in dense.iter().enumerate().take(layers).skip(1) {
                        let w = transform.add(at.offset);
                        let bias = transform.add(at.bias().start);
                        for block in &plan.of_degree[degree] {
                            let (before, out) = (panel_of(layer - 1), panel_of(layer));
                            with_count!(block.len, M => later_layer::<V, M>((plan, block), (w, bias), before, out));
                        }
                    }
                    let seen = plan.ends[degree];
                    let mut sums = zeros::<V, 2>();
                    let w = transform.add(at.offset);
                    accumulate_rows(&mut sums, (w, &[i, p + i], 2 * p), panel_of(layers - 1), seen);
                    panel::put(sums, out.as_mut_ptr());
                }
                let (shift, raw) = out.split_at(PANEL);
                let x = &mut x[i * PANEL..][..PANEL];
                for t in 0..PANEL {
                    let (log_scale, _) = bounded(raw[t] + bias_out[p + i]);
                    x[t] = x[t] * vector::exp(log_scale) + (shift[t] + bias_out[i]);
                    log_det[t] -= log_scale;
                }
            }
        }
    }
}
}

/// Carries the tile's points forward to base space. With `shared`, the first biases (`K x H`) contain the one context of all
/// samples, else every sample has its own. Keeps what [`backward`] needs when the workspace was made for it.
pub(super) fn forward(plan: &Plan, weights: &[f32], shared: Option<&[f32]>, ws: &mut Workspace) {
    ws.check(plan, weights);
    assert!(shared.is_none_or(|biases| biases.len() == plan.transforms() * plan.h), "flow: biases");
    assert!(shared.is_some() || ws.keeps, "flow: a workspace without room for contexts");
    // SAFETY: what the pointers rely on was checked.
    unsafe { forward_on(plan, weights, shared, ws) };
}

/// Carries the gradient of `-sum of log q` back through the tile last carried forward, every sample having its own context, and
/// writes or adds it to `gradient`. Weights that the mask forbids keep what stands there or get numbers without meaning.
pub(super) fn backward(plan: &Plan, weights: &[f32], ws: &mut Workspace, gradient: &mut [f32], add: bool) {
    ws.check(plan, weights);
    assert!(ws.keeps && gradient.len() == weights.len(), "flow: a workspace without gradients");
    // SAFETY: what the pointers rely on was checked.
    unsafe { backward_on(plan, weights, ws, gradient, add) };
}

/// Carries base-space points (set as the tile's points) to the flow's input space, one context being in the first biases; the
/// log-determinants are those of the FORWARD map there. One sweep per transform: hidden units are computed degree by degree as
/// parameters become known.
pub(super) fn inverse(plan: &Plan, weights: &[f32], biases: &[f32], ws: &mut Workspace) {
    ws.check(plan, weights);
    assert_eq!(biases.len(), plan.transforms() * plan.h, "flow: biases");
    // SAFETY: what the pointers rely on was checked.
    unsafe { inverse_on(plan, weights, biases, ws) };
}

/// First-layer biases with one context folded in: `transforms x H`.
pub(super) fn shared_context(plan: &Plan, weights: &[f32], context: &[f32]) -> Vec<f32> {
    let first = plan.dense[0];
    let h = plan.h;
    let mut biases = Vec::with_capacity(plan.transforms() * h);
    for transform in weights.chunks_exact(plan.len) {
        let w = &transform[first.weights()];
        let mut bias = transform[first.bias()].to_vec();
        for (c, value) in context.iter().enumerate() {
            for (b, weight) in bias.iter_mut().zip(&w[(plan.p + c) * h..][..h]) {
                *b += value * weight;
            }
        }
        biases.extend(bias);
    }
    biases
}
