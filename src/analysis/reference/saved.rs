//! Nested sampling's state in a record.

use crate::nn::Record;
use crate::reference::NestedSettings;
use crate::reference::nested::{NestedState, Points};
use crate::{Error, Result};

/// The state of nested sampling as a record.
pub(super) fn save(state: &NestedState, seconds: f64) -> Record<'static> {
    let points = |record: Record<'static>, name: &str, points: &Points| {
        record
            .put_f64(&format!("{name}.cube"), points.cube.clone())
            .put_f64(&format!("{name}.log_l"), points.log_l.clone())
    };
    let mut record = Record::new()
        .put_u64("nested", vec![state.iteration, state.evaluations, state.sliced, state.region_from])
        .put_f64("numbers", vec![state.log_volume, state.ranks[0], state.ranks[1], state.acceptance, seconds])
        .put_u32("counts", state.counts.clone());
    for (name, set) in [("live", &state.live), ("dead", &state.dead), ("spare", &state.spare)] {
        record = points(record, name, set);
    }
    record
}

/// The state and the seconds spent on it.
pub(super) fn restore(record: &Record<'_>, p: usize, settings: &NestedSettings) -> Result<(NestedState, f64)> {
    let foreign = |what: &str| Error::Input(format!("{what:?} in the checkpoint does not fit this run"));
    let points = |name: &str| -> Result<Points> {
        let cube = record.f64(&format!("{name}.cube"))?.to_vec();
        let log_l = record.f64(&format!("{name}.log_l"))?.to_vec();
        if cube.len() == p * log_l.len() { Ok(Points { cube, log_l }) } else { Err(foreign(name)) }
    };
    let [iteration, evaluations, sliced, region_from] = *record.u64("nested")? else {
        return Err(foreign("nested"));
    };
    let [log_volume, rank_sum, rank_variance, acceptance, seconds] = *record.f64("numbers")? else {
        return Err(foreign("numbers"));
    };
    let state = NestedState {
        iteration,
        live: points("live")?,
        dead: points("dead")?,
        counts: record.u32("counts")?.to_vec(),
        spare: points("spare")?,
        evaluations,
        sliced,
        region_from,
        log_volume,
        ranks: [rank_sum, rank_variance],
        acceptance,
    };
    if state.live.len() != settings.live || state.counts.len() != state.dead.len() {
        return Err(foreign("live"));
    }
    Ok((state, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Function, nested};

    #[test]
    fn a_record_keeps_the_whole_state() {
        let settings = NestedSettings { live: 50, ..NestedSettings::default() };
        let mut seen = None;
        let mut target = Function(2, |x: &[f64]| -50.0 * ((x[0] - 0.3).powi(2) + (x[1] - 0.6).powi(2)));
        nested::sample(&mut target, &settings, None, &mut |now| {
            if now.state.iteration == 5 {
                seen = Some(now.state.clone());
            }
            Ok(())
        })
        .unwrap();
        let state = seen.unwrap();
        let loaded = save(&state, 1.5);
        assert_eq!(restore(&loaded, 2, &settings).unwrap(), (state, 1.5));
        assert!(restore(&loaded, 3, &settings).is_err());
        assert!(restore(&loaded, 2, &NestedSettings { live: 60, ..settings }).is_err());
    }
}
