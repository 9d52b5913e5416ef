//! Training on the CPU: whole epochs, the steps of each flow in the hands of one team of threads.
//!
//! Flows of an ensemble do not depend on each other, so teams take flows first; what threads there are beyond that share the
//! batch. A step is three phases of a team: tiles forward and back, the sum of their gradients with its norm, Adam. The shares of
//! a batch, and so every sum and its bits, follow from the size of the batch alone, never from the threads or their timing.

use super::FlowTables;
use super::plan::Plan;
use super::team::{Team, with_team};
use super::tile::{self, Workspace};
use crate::kernels::adam::{AdamSettings, Step};
use crate::kernels::vector::vectorised;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Samples that one thread carries at a time.
pub(super) const TILE: usize = 128;
/// Most shares of a batch, each with a gradient of its own: the least are of one tile.
const MOST_SHARES: usize = 16;

/// One share's scratch.
#[derive(Debug)]
pub(super) struct Tile {
    workspace: Workspace,
    gradient: Vec<f32>,
    /// Whether `gradient` is of the present batch.
    used: bool,
    /// Sum of `-log q`.
    loss: f32,
}

impl Tile {
    fn new(plan: &Plan) -> Self {
        let gradient = vec![0.0; plan.len * plan.transforms()];
        Self { workspace: Workspace::new(plan, TILE, true), gradient, used: false, loss: 0.0 }
    }
}

/// Training pairs: rows of `P` and of `C` numbers, the latter in one or more realisations.
#[derive(Debug, Clone)]
pub(super) struct Pairs<'a> {
    pub x: &'a [f32],
    pub contexts: Vec<&'a [f32]>,
}

/// What an epoch goes through.
#[derive(Debug, Clone)]
pub(super) struct Work<'a> {
    pub pairs: Pairs<'a>,
    /// Rows of the batches, one after the other.
    pub index: &'a [u32],
    pub batch: usize,
    /// Rows to validate on, with the first realisation.
    pub valid: &'a [u32],
    pub adam: AdamSettings,
    /// Steps of the optimiser before this epoch, and batches of this fit (which take the realisations in turn).
    pub steps_before: u64,
    pub turns_before: usize,
}

/// One flow's numbers, and what an epoch tells of it.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub plan: &'a Plan,
    pub mask: &'a [f32],
    pub value: &'a mut [f32],
    pub gradient: &'a mut [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
    /// Sums of `-log q` of the batches, and over the validation rows.
    pub losses: Vec<f32>,
    pub valid: f32,
    /// Norm of the last gradient, the factor it was clipped by, and the last step that was refused, with their number.
    pub norm: f32,
    pub factor: f32,
    pub refused: Option<(u64, usize)>,
}

impl<'a> Member<'a> {
    pub fn new(
        plan: &'a Plan,
        mask: &'a [f32],
        value: &'a mut [f32],
        gradient: &'a mut [f32],
        first: &'a mut [f32],
        second: &'a mut [f32],
    ) -> Self {
        let (losses, valid, norm, factor, refused) = (Vec::new(), 0.0, 0.0, 1.0, None);
        Self { plan, mask, value, gradient, first, second, losses, valid, norm, factor, refused }
    }
}

/// How the work is shared out: teams, the threads of each, and the shares of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teams {
    teams: usize,
    threads: usize,
    pub shares: usize,
}

pub(super) fn teams(threads: usize, flows: usize, batch: usize) -> Teams {
    let shares = batch.div_ceil(TILE).clamp(1, MOST_SHARES);
    let teams = threads.min(flows).max(1);
    Teams { teams, threads: (threads / teams).clamp(1, shares), shares }
}

/// Makes what [`epoch`] and [`loss`] need.
pub(super) fn scratch(plan: &Plan, teams: Teams, tiles: &mut Vec<RwLock<Tile>>) {
    while tiles.len() < teams.teams * teams.shares {
        tiles.push(RwLock::new(Tile::new(plan)));
    }
}

/// An epoch of every flow: all its training steps, then its validation.
pub(super) fn epoch(
    members: &mut [Member<'_>],
    work: &Work<'_>,
    Teams { teams, threads, shares }: Teams,
    tiles: &[RwLock<Tile>],
) {
    let members: Vec<Mutex<&mut Member<'_>>> = members.iter_mut().map(Mutex::new).collect();
    with_team(teams, teams, |all| {
        all.run(&|team| {
            with_team(threads, shares, |crew| {
                for member in members.iter().skip(team).step_by(teams) {
                    epoch_of(crew, &mut lock(member), work, &tiles[team * shares..][..shares]);
                }
            });
        });
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn epoch_of(crew: &Team<'_>, member: &mut Member<'_>, work: &Work<'_>, tiles: &[RwLock<Tile>]) {
    for (batch, rows) in work.index.chunks_exact(work.batch).enumerate() {
        let turn = (work.turns_before + batch) % work.pairs.contexts.len();
        let batch_loss = differentiate(crew, member, &work.pairs, turn, rows, tiles);
        member.losses.push(batch_loss);
        let step = Step::new(&work.adam, work.steps_before + batch as u64 + 1);
        descend(crew, member, &step, 1.0 / rows.len() as f32, tiles);
    }
    member.valid = density(crew, member, &work.pairs, work.valid, tiles);
}

/// The part of `n` things that falls to one of `size` shares, in multiples of `unit`.
fn share(n: usize, size: usize, unit: usize, one: usize) -> std::ops::Range<usize> {
    let each = n.div_ceil(size).next_multiple_of(unit);
    (one * each).min(n)..((one + 1) * each).min(n)
}

/// Carries a share of the rows forward, tile by tile; `each` sees every tile, with the sum of its `-log q`. Returns the whole sum.
fn carry(
    plan: &Plan,
    value: &[f32],
    pairs: &Pairs<'_>,
    turn: usize,
    rows: &[u32],
    workspace: &mut Workspace,
    mut each: impl FnMut(&mut Workspace),
) -> f32 {
    let (p, c) = (plan.p, plan.c);
    let context = pairs.contexts.get(turn).copied().unwrap_or_default();
    let mut log_q = [0.0; TILE];
    let mut sum = 0.0;
    for rows in rows.chunks(TILE) {
        workspace.set_points(plan, rows.len(), |r| &pairs.x[rows[r] as usize * p..][..p]);
        workspace.set_contexts(plan, |r| &context[rows[r] as usize * c..][..c]);
        tile::forward(plan, value, None, workspace);
        let log_q = &mut log_q[..rows.len()];
        workspace.log_density(plan, log_q);
        sum -= log_q.iter().sum::<f32>();
        each(workspace);
    }
    sum
}

fn total(tiles: &[RwLock<Tile>]) -> f32 {
    tiles.iter().map(|tile| tile.read().unwrap_or_else(PoisonError::into_inner).loss).sum()
}

/// Forward and back: leaves the gradient of the SUM of `-log q` in the tiles, and returns the sum.
fn differentiate(
    crew: &Team<'_>,
    member: &Member<'_>,
    pairs: &Pairs<'_>,
    turn: usize,
    rows: &[u32],
    tiles: &[RwLock<Tile>],
) -> f32 {
    let (plan, value) = (member.plan, &*member.value);
    crew.run(&|one| {
        let mut tile = tiles[one].write().unwrap_or_else(PoisonError::into_inner);
        let Tile { workspace, gradient, used, loss, .. } = &mut *tile;
        *used = false;
        let rows = &rows[share(rows.len(), crew.shares(), super::panel::PANEL, one)];
        *loss = carry(plan, value, pairs, turn, rows, workspace, |workspace| {
            tile::backward(plan, value, workspace, gradient, *used);
            *used = true;
        });
    });
    total(tiles)
}

/// The sum of `-log q` alone.
fn density(crew: &Team<'_>, member: &Member<'_>, pairs: &Pairs<'_>, rows: &[u32], tiles: &[RwLock<Tile>]) -> f32 {
    let (plan, value) = (member.plan, &*member.value);
    crew.run(&|one| {
        let mut tile = tiles[one].write().unwrap_or_else(PoisonError::into_inner);
        let rows = &rows[share(rows.len(), crew.shares(), super::panel::PANEL, one)];
        tile.loss = carry(plan, value, pairs, 0, rows, &mut tile.workspace, |_| ());
    });
    total(tiles)
}

/// Sums the tiles' gradients, masked, times `scale`, and takes a step along the result, clipped by its norm.
fn descend(crew: &Team<'_>, member: &mut Member<'_>, step: &Step, scale: f32, tiles: &[RwLock<Tile>]) {
    let norm = reduce(crew, member, scale, tiles).sqrt() as f32;
    member.norm = norm;
    let Some(factor) = step.factor(norm) else {
        member.factor = -1.0;
        member.refused = Some((step.number(), member.refused.map_or(1, |(_, times)| times + 1)));
        return;
    };
    member.factor = factor;
    let each = slice_len(member.mask.len(), crew.shares());
    let slices = member.value.chunks_mut(each).zip(member.first.chunks_mut(each)).zip(member.second.chunks_mut(each));
    let slices: Vec<_> = slices.zip(member.gradient.chunks(each)).map(Mutex::new).collect();
    crew.run(&|one| {
        if let Some(slice) = slices.get(one) {
            let (((value, first), second), gradient) = &mut *lock(slice);
            step.update(factor, gradient, value, first, second);
        }
    });
}

/// Weights that one share sums and updates.
fn slice_len(weights: usize, size: usize) -> usize {
    weights.div_ceil(size).next_multiple_of(64)
}

/// `gradient = scale * mask * sum of the tiles' gradients`; returns the square of its norm.
fn reduce(crew: &Team<'_>, member: &mut Member<'_>, scale: f32, tiles: &[RwLock<Tile>]) -> f64 {
    let each = slice_len(member.mask.len(), crew.shares());
    let mask = member.mask;
    let slices: Vec<_> = member.gradient.chunks_mut(each).map(|slice| Mutex::new((slice, 0.0f64))).collect();
    crew.run(&|one| {
        let Some(slice) = slices.get(one) else { return };
        let (out, squares) = &mut *lock(slice);
        let tiles: Vec<_> = tiles.iter().map(|tile| tile.read().unwrap_or_else(PoisonError::into_inner)).collect();
        let range = one * each..one * each + out.len();
        let parts: Vec<&[f32]> =
            tiles.iter().filter(|tile| tile.used).map(|tile| &tile.gradient[range.clone()]).collect();
        *squares = sum_masked(out, &parts, &mask[range], scale);
    });
    slices.iter().map(|slice| lock(slice).1).sum()
}

vectorised! {
/// `out = scale * mask * sum of parts`, parts in order; returns the sum of its squares.
fn sum_masked(out: &mut [f32], parts: &[&[f32]], mask: &[f32], scale: f32) -> f64 {
    const LANES: usize = 16;
    let mut squares = [0.0f64; LANES];
    for (strip, (out, mask)) in out.chunks_mut(LANES).zip(mask.chunks(LANES)).enumerate() {
        let mut sums = [0.0f32; LANES];
        for part in parts {
            if let Some(whole) = part.get(strip * LANES..(strip + 1) * LANES) {
                for (sum, value) in sums.iter_mut().zip(whole) {
                    *sum += value;
                }
            } else {
                for (sum, value) in sums.iter_mut().zip(&part[strip * LANES..]) {
                    *sum += value;
                }
            }
        }
        for (((out, mask), sum), square) in out.iter_mut().zip(mask).zip(&sums).zip(&mut squares) {
            *out = scale * mask * sum;
            *square += f64::from(*out) * f64::from(*out);
        }
    }
    squares.iter().sum()
}
}

/// The sum of `-log q` over rows of the pairs (the mean over the flows), and the masked gradient of every flow's MEAN over them in
/// `gradient`, unless that is empty.
pub(super) fn loss(
    tables: &FlowTables,
    weights: &[f32],
    pairs: &Pairs<'_>,
    rows: &[u32],
    gradient: &mut [f32],
    teams: Teams,
    tiles: &[RwLock<Tile>],
) -> f32 {
    let len = tables.shape.len();
    let mut value = weights.to_vec();
    let tiles = &tiles[..teams.shares];
    let sums = with_team(teams.threads, teams.shares, |crew| {
        let flows = tables.plans.iter().zip(tables.mask.cpu().chunks_exact(len)).zip(value.chunks_exact_mut(len));
        let sums = flows.enumerate().map(|(k, ((plan, mask), value))| {
            let wanted = gradient.get_mut(k * len..(k + 1) * len);
            let backward = wanted.is_some();
            let mut member = Member::new(plan, mask, value, wanted.unwrap_or_default(), &mut [], &mut []);
            if !backward {
                return density(crew, &member, pairs, rows, tiles);
            }
            let sum = differentiate(crew, &member, pairs, 0, rows, tiles);
            reduce(crew, &mut member, 1.0 / rows.len() as f32, tiles);
            sum
        });
        sums.sum::<f32>()
    });
    sums / tables.flows() as f32
}
