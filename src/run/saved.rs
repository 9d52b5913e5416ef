//! What a checkpoint of the rounds holds, and how the rounds go on from it.
//!
//! Parameters and networks are saved to the bit; counts are drawn again. `progress` is [round, stage]; the histories and summaries
//! of finished rounds travel as JSON text.

use super::checkpoint::Checkpoint;
use super::scheduler::{Rounds, Stage};
use crate::device::{Device, Tensor};
use crate::infer::{Estimator, EstimatorState};
use crate::nn::StoreState;
use crate::report::tables::LossRow;
use crate::summarize::{AutoEncoder, Encoder, ProjectionState};
use crate::{Error, Result};

pub(super) fn save(rounds: &Rounds<'_>) -> Result<Checkpoint<'static>> {
    let (round, stage) = rounds.position.ok_or_else(|| Error::Input("nothing to save yet".into()))?;
    let mut checkpoint = Checkpoint::new().put_u64("progress", vec![round as u64, stage as u64]);
    let mut cubes = Vec::with_capacity(rounds.cubes.rows() * rounds.cubes.cols());
    for block in &rounds.cubes.blocks {
        cubes.extend(block.download()?);
    }
    checkpoint = checkpoint.put_f32("cubes", cubes).put_u32("selection", rounds.selection.download()?);
    checkpoint = checkpoint
        .put_text("done", &rounds.done.iter().map(json).collect::<Result<Vec<_>>>()?)
        .put_text("current", &[json(&rounds.current)?])
        .put_text("fallback", &rounds.steps.iter().map(json).collect::<Result<Vec<_>>>()?);
    let (names, numbers): (Vec<_>, Vec<_>) =
        rounds.losses.iter().map(|row| (row.network.clone(), [row.epoch as f64, row.train, row.validation])).unzip();
    checkpoint = checkpoint.put_text("losses.network", &names).put_f64("losses", numbers.concat());
    checkpoint = put_encoder(checkpoint, rounds)?;
    // The flow is saved from the first round's end on; before that it is what the seed says, and so it is where it is to start
    // afresh on new summaries.
    let fresh = stage == Stage::Summarized && !rounds.encoder.lasting();
    if (round > 0 || stage == Stage::Inferred) && !fresh {
        checkpoint = put_flow(checkpoint, rounds)?;
    }
    Ok(checkpoint)
}

/// The networks of a finished round alone, as `rounds/NN` keeps them.
pub(super) fn networks(rounds: &Rounds<'_>) -> Result<Checkpoint<'static>> {
    put_flow(put_encoder(Checkpoint::new(), rounds)?, rounds)
}

fn put_encoder(checkpoint: Checkpoint<'static>, rounds: &Rounds<'_>) -> Result<Checkpoint<'static>> {
    Ok(match &rounds.encoder {
        Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) if encoder.trained() => {
            let state = encoder.state()?;
            let mut checkpoint = put_store(checkpoint, "encoder", state.store)
                .put_u64("encoder.updates", vec![state.updates])
                .put_f32("encoder.scale", state.scale.unwrap_or_default());
            for (i, running) in state.running.into_iter().enumerate() {
                checkpoint = checkpoint.put_f32(&format!("encoder.running.{i}"), running);
            }
            checkpoint
        }
        Encoder::AutoEncoder(_) | Encoder::Embedding(_) => checkpoint,
        Encoder::Pca(encoder) => match encoder.state()? {
            Some(state) => checkpoint.put_f32("encoder.scale", state.scale).put_f32("encoder.basis", state.basis),
            None => checkpoint,
        },
        Encoder::Signal(encoder) => match encoder.state()? {
            Some((state, turned)) => checkpoint
                .put_f32("encoder.scale", state.scale)
                .put_f32("encoder.basis", state.basis)
                .put_u32("encoder.turned", vec![u32::from(turned)]),
            None => checkpoint,
        },
        Encoder::Spectral(encoder) => match encoder.state() {
            kept if kept.is_empty() => checkpoint,
            kept => checkpoint.put_u32("encoder.kept", kept),
        },
        Encoder::Raw(encoder) => match encoder.state()? {
            Some(scale) => checkpoint.put_f32("encoder.scale", scale),
            None => checkpoint,
        },
    })
}

fn take_encoder(device: &Device, encoder: &mut Encoder, checkpoint: &mut Checkpoint<'static>) -> Result<()> {
    let has = |name: &str| checkpoint.contains(name);
    match encoder {
        Encoder::AutoEncoder(encoder) | Encoder::Embedding(encoder) if has("encoder.value") => {
            let mut state = encoder.state()?;
            state.store = take_store(checkpoint, "encoder")?;
            state.updates = checkpoint.u64("encoder.updates")?.first().copied().unwrap_or(0);
            state.scale = Some(checkpoint.take_f32("encoder.scale")?);
            for (i, running) in state.running.iter_mut().enumerate() {
                *running = checkpoint.take_f32(&format!("encoder.running.{i}"))?;
            }
            **encoder = AutoEncoder::from_state(device, &state)?;
        }
        Encoder::Pca(encoder) if has("encoder.basis") => {
            let (scale, basis) = (checkpoint.take_f32("encoder.scale")?, checkpoint.take_f32("encoder.basis")?);
            encoder.restore(&ProjectionState { scale, basis })?;
        }
        Encoder::Signal(encoder) if has("encoder.basis") => {
            let (scale, basis) = (checkpoint.take_f32("encoder.scale")?, checkpoint.take_f32("encoder.basis")?);
            let turned = checkpoint.take_u32("encoder.turned")? == [1];
            encoder.restore(&(ProjectionState { scale, basis }, turned))?;
        }
        Encoder::Spectral(encoder) if has("encoder.kept") => encoder.restore(&checkpoint.take_u32("encoder.kept")?)?,
        Encoder::Raw(encoder) if has("encoder.scale") => encoder.restore(&checkpoint.take_f32("encoder.scale")?)?,
        _ => {}
    }
    Ok(())
}

fn put_flow(checkpoint: Checkpoint<'static>, rounds: &Rounds<'_>) -> Result<Checkpoint<'static>> {
    let state = rounds.estimator.state()?;
    Ok(put_store(checkpoint, "flow", state.store)
        .put_f32("flow.theta_moments", state.theta_moments)
        .put_f32("flow.summary_moments", state.summary_moments))
}

pub(super) fn restore(rounds: &mut Rounds<'_>, checkpoint: &mut Checkpoint<'static>) -> Result<()> {
    let [round, stage] = checkpoint.u64("progress")?[..] else {
        return Err(foreign("progress"));
    };
    let stage = [Stage::Simulated, Stage::Summarized, Stage::Inferred]
        .into_iter()
        .find(|known| *known as u64 == stage)
        .ok_or_else(|| foreign("progress"))?;
    let round = round as usize;
    rounds.done = checkpoint.text("done")?.iter().map(|text| parse(text)).collect::<Result<Vec<_>>>()?;
    let current = checkpoint.text("current")?.first().ok_or_else(|| foreign("current"))?.clone();
    rounds.current = parse(&current)?;
    rounds.steps = checkpoint.text("fallback")?.iter().map(|text| parse(text)).collect::<Result<Vec<_>>>()?;
    let networks = checkpoint.text("losses.network")?.to_vec();
    let numbers = checkpoint.take_f64("losses")?;
    rounds.losses = networks
        .into_iter()
        .zip(numbers.chunks_exact(3))
        .map(|(network, row)| LossRow { network, epoch: row[0] as usize, train: row[1], validation: row[2] })
        .collect();

    let cubes = checkpoint.take_f32("cubes")?;
    let selection = checkpoint.take_u32("selection")?;
    let p = rounds.cubes.cols();
    let inference = &rounds.problem.run.inference;
    let simulated: Vec<usize> = (0..=round).map(|k| inference.simulations_of_round(k)).collect();
    if cubes.len() != p * simulated.iter().sum::<usize>()
        || selection.iter().any(|&row| row as usize * p >= cubes.len())
    {
        return Err(foreign("cubes"));
    }
    rounds.selection = Tensor::from_slice(&rounds.device, selection.len(), 1, &selection);
    let mut rest = &cubes[..];
    for &n in &simulated {
        let (now, later) = rest.split_at(n * p);
        rest = later;
        let cube = Tensor::from_slice(&rounds.device, n, p, now);
        rounds.append_cube(&cube);
        rounds.simulate(&cube)?;
    }

    take_encoder(&rounds.device, &mut rounds.encoder, checkpoint)?;
    // Summaries that were found again have numbers of their own.
    rounds.renew_estimator()?;
    if checkpoint.contains("flow.value") {
        take_flow(&mut rounds.estimator, checkpoint)?;
    }
    rounds.position = Some((round, stage));
    Ok(())
}

/// The networks of an earlier round from its file, into an untrained `encoder` and the flow that `estimator` makes for so many
/// summaries.
pub(super) fn restore_networks(
    device: &Device,
    mut checkpoint: Checkpoint<'static>,
    mut encoder: Encoder,
    estimator: impl FnOnce(usize) -> Result<Estimator>,
) -> Result<(Encoder, Estimator)> {
    take_encoder(device, &mut encoder, &mut checkpoint)?;
    let mut estimator = estimator(encoder.size())?;
    take_flow(&mut estimator, &mut checkpoint)?;
    Ok((encoder, estimator))
}

fn take_flow(estimator: &mut Estimator, checkpoint: &mut Checkpoint<'static>) -> Result<()> {
    estimator.restore(&EstimatorState {
        store: take_store(checkpoint, "flow")?,
        theta_moments: checkpoint.take_f32("flow.theta_moments")?,
        summary_moments: checkpoint.take_f32("flow.summary_moments")?,
    })
}

fn put_store(checkpoint: Checkpoint<'static>, name: &str, state: StoreState) -> Checkpoint<'static> {
    checkpoint
        .put_f32(&format!("{name}.value"), state.value)
        .put_f32(&format!("{name}.first"), state.first)
        .put_f32(&format!("{name}.second"), state.second)
        .put_u64(&format!("{name}.step"), vec![state.step])
}

fn take_store(checkpoint: &mut Checkpoint<'static>, name: &str) -> Result<StoreState> {
    Ok(StoreState {
        value: checkpoint.take_f32(&format!("{name}.value"))?,
        first: checkpoint.take_f32(&format!("{name}.first"))?,
        second: checkpoint.take_f32(&format!("{name}.second"))?,
        step: checkpoint.u64(&format!("{name}.step"))?.first().copied().ok_or_else(|| foreign(name))?,
    })
}

fn json(summary: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(summary).map_err(|error| Error::Input(format!("a round's summary: {error}")))
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Input(format!("a round's summary in a checkpoint: {error}")))
}

fn foreign(what: &str) -> Error {
    Error::Input(format!("{what:?} in the checkpoint does not fit this run"))
}
