//! What a checkpoint of the rounds holds, and how the rounds go on from it.
//!
//! Parameters and networks are saved to the bit; counts are drawn again. `progress` is [round, stage]; the histories and summaries
//! of finished rounds travel as JSON text.

use super::rounds::{Rounds, Stage};
use crate::device::Tensor;
use crate::nn::Record;
use crate::result::LossRow;
use crate::{Error, Result};

pub(super) fn save(rounds: &Rounds<'_>) -> Result<Record<'static>> {
    let (round, stage) = rounds.position.ok_or_else(|| Error::Input("nothing to save yet".into()))?;
    let mut record = Record::new().put_u64("progress", vec![round as u64, stage as u64]);
    record = record.put_f32("cubes", rounds.cubes.download()?).put_u32("selection", rounds.selection.download()?);
    record = record
        .put_text("done", &rounds.done.iter().map(json).collect::<Result<Vec<_>>>()?)
        .put_text("current", &[json(&rounds.current)?])
        .put_text("fallback", &rounds.steps.iter().map(json).collect::<Result<Vec<_>>>()?);
    let (names, numbers): (Vec<_>, Vec<_>) =
        rounds.losses.iter().map(|row| (row.network.clone(), [row.epoch as f64, row.train, row.validation])).unzip();
    record = record.put_text("losses.network", &names).put_f64("losses", numbers.concat());
    record = rounds.encoder.put(record)?;
    // The flow is saved from the first round's end on; before that it is what the seed says, and so it is where it is to start
    // afresh on new summaries.
    let fresh = stage == Stage::Summarized && !rounds.encoder.lasting();
    if (round > 0 || stage == Stage::Inferred) && !fresh {
        record = rounds.estimator.put(record)?;
    }
    Ok(record)
}

pub(super) fn restore(rounds: &mut Rounds<'_>, record: &mut Record<'static>) -> Result<()> {
    let [round, stage] = record.u64("progress")?[..] else {
        return Err(foreign("progress"));
    };
    let stage = [Stage::Simulated, Stage::Summarized, Stage::Inferred]
        .into_iter()
        .find(|known| *known as u64 == stage)
        .ok_or_else(|| foreign("progress"))?;
    let round = round as usize;
    rounds.done = record.text("done")?.iter().map(|text| parse(text)).collect::<Result<Vec<_>>>()?;
    let current = record.text("current")?.first().ok_or_else(|| foreign("current"))?.clone();
    rounds.current = parse(&current)?;
    rounds.steps = record.text("fallback")?.iter().map(|text| parse(text)).collect::<Result<Vec<_>>>()?;
    let networks = record.text("losses.network")?.to_vec();
    let numbers = record.take_f64("losses")?;
    rounds.losses = networks
        .into_iter()
        .zip(numbers.chunks_exact(3))
        .map(|(network, row)| LossRow { network, epoch: row[0] as usize, train: row[1], validation: row[2] })
        .collect();

    let cubes = record.take_f32("cubes")?;
    let selection = record.take_u32("selection")?;
    let p = rounds.cubes.cols();
    let inference = &rounds.settings.inference;
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

    rounds.encoder.take(&rounds.device, record)?;
    // Summaries that were found again have numbers of their own.
    rounds.renew_estimator()?;
    if record.contains("flow.value") {
        rounds.estimator.take(record)?;
    }
    rounds.position = Some((round, stage));
    Ok(())
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
