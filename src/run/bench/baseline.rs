//! Today's rates beside those of an earlier run, as ratios to what the machine could do each time.
//!
//! A rate alone says little on another machine or under load. So each is divided by the peak of products that the same run
//! measured, and only these ratios are compared.

use super::Report;
use crate::{Error, Result};
use std::path::Path;

/// An earlier run's document of `rontgen bench --json`.
#[derive(Debug)]
pub struct Baseline {
    devices: Vec<Recorded>,
}

#[derive(Debug, serde::Deserialize)]
struct Document {
    devices: Vec<Recorded>,
}

#[derive(Debug, serde::Deserialize)]
struct Recorded {
    kind: String,
    peaks: RecordedPeaks,
    rows: Vec<RecordedRow>,
}

#[derive(Debug, serde::Deserialize)]
struct RecordedPeaks {
    gflops: f64,
}

#[derive(Debug, serde::Deserialize)]
struct RecordedRow {
    stage: String,
    case: String,
    what: String,
    per_second: f64,
}

/// One row beside its baseline.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Comparison {
    /// Stage, case and what was done.
    pub row: String,
    /// Rate per peak of now, over that of the baseline: 1 is as before, 0.5 half as fast.
    pub ratio: f64,
}

impl Baseline {
    /// # Errors
    /// A file that cannot be read or is no document of `rontgen bench --json`.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| Error::Input(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let document: Document = serde_json::from_str(&text)
            .map_err(|error| wrong(&format!("not a document of `rontgen bench --json`: {error}")))?;
        Ok(Self { devices: document.devices })
    }

    /// Rows that both runs have, on a device of the same kind.
    pub fn compare(&self, report: &Report) -> Vec<Comparison> {
        let Some(before) = self.devices.iter().find(|recorded| recorded.kind == report.kind) else { return Vec::new() };
        let rows = report.rows.iter().filter(|row| row.case != "peak").filter_map(|row| {
            let same = |old: &&RecordedRow| old.stage == row.stage && old.case == row.case && old.what == row.what;
            let old = before.rows.iter().find(same)?;
            let ratio = (row.per_second / report.peaks.gflops) / (old.per_second / before.peaks.gflops);
            Some(Comparison { row: format!("{} {} {}", row.stage, row.case, row.what), ratio })
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::bench::{Peaks, Row};

    fn report(gflops: f64, per_second: f64) -> Report {
        let row = Row {
            stage: "infer",
            case: "flow",
            what: "training",
            unit: "pairs",
            per_second,
            seconds: 1.0,
            fastest_seconds: 1.0,
            repetitions: 3,
            launches_per_step: 6.0,
            gflops: None,
            gbytes: None,
            share_of_peak: None,
            device_seconds: None,
            held_bytes: 0,
            kernels: Vec::new(),
        };
        let peaks = Peaks { gflops, gbytes: 20.0 };
        Report { device: "d".into(), backend: "native".into(), kind: "cpu".into(), peaks, rows: vec![row] }
    }

    fn recorded(report: &Report) -> Baseline {
        let text = serde_json::to_string(&serde_json::json!({ "devices": [report] })).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        std::fs::write(&path, text).unwrap();
        Baseline::read(&path).unwrap()
    }

    #[test]
    fn a_slower_machine_is_no_regression_but_a_slower_stage_is() {
        let baseline = recorded(&report(100.0, 1000.0));
        let ratio = |now: &Report| baseline.compare(now)[0].ratio;
        assert!((ratio(&report(50.0, 500.0)) - 1.0).abs() < 1e-12);
        assert!((ratio(&report(100.0, 400.0)) - 0.4).abs() < 1e-12);
        let other = Report { kind: "software".into(), ..report(100.0, 1000.0) };
        assert!(baseline.compare(&other).is_empty());
    }

    #[test]
    fn what_is_no_baseline_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.json");
        assert!(Baseline::read(&path).unwrap_err().to_string().contains("notes.json"));
        std::fs::write(&path, "{}").unwrap();
        assert!(Baseline::read(&path).unwrap_err().to_string().contains("rontgen bench --json"));
    }
}
