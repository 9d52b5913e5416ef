//! The same over the ranks of an MPI job.

use super::{assert_same, lines, observations, reach, survey};
use crate::common::runs::stderr;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Arguments of `mpiexec -n N rontgen survey ...` as whoever runs the tests may start it, on however few cores.
fn ranks(at: &Path, n: usize, out: &str, more: &[&str]) -> Command {
    let alone = survey(at, out, more);
    let mut command = Command::new("mpiexec");
    command.args(["-n", &n.to_string()]).arg(alone.get_program()).args(alone.get_args()).current_dir(at);
    command.env_remove("RONTGEN_DATA").env_remove("RONTGEN_PROGRESS").env_remove("RUST_LOG");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1").env("OMPI_MCA_btl_base_warn_component_unused", "0");
    command
}

#[test]
fn four_ranks_make_the_table_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    let output = ranks(at, 4, "out", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_same(at, "out", "four ranks");
    let times = fs::read_to_string(at.join("out/times.csv")).unwrap();
    let done: Vec<&str> = times.lines().filter(|line| line.starts_with("done,")).collect();
    assert_eq!(done.len(), super::SHARED + 3);
    let rank = |line: &&str| line.rsplit(',').nth(2).unwrap().to_string();
    let workers: std::collections::BTreeSet<String> = done.iter().map(rank).collect();
    assert!(workers.len() > 1, "{times}");
    // A mistake is told once, by rank 0, and everybody goes home.
    fs::write(at.join("list.csv"), "spectrum\ngone.pha\n").unwrap();
    let output = ranks(at, 4, "again", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("line 2, column spectrum").count(), 1, "{}", stderr(&output));
}

/// Processes that this one has started, directly or not, whose command line names `out`.
fn workers(out: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        let named = words.contains(&out.as_os_str().as_encoded_bytes());
        if named && words.first().is_some_and(|program| program.ends_with(b"rontgen")) {
            found.push(id);
        }
    }
    found.sort_unstable();
    found
}

/// A rank is killed at five moments, now rank 0, now another one: MPI ends the job, and the next one goes on.
#[test]
fn a_killed_rank_costs_the_rows_at_work_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    let out = at.join("out");
    let path = out.join("survey.jsonl");
    let mut before: Vec<u8> = Vec::new();
    for (k, least) in [0, 2, 5, 8, 11].into_iter().enumerate() {
        let mut job =
            ranks(at, 2, &out.display().to_string(), &[]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let network = out.join("networks/01/run.toml");
        reach(&mut job, &|| if least == 0 { network.exists() } else { lines(&path) >= least });
        let all = workers(&out);
        let killed = if k % 2 == 0 { all.last() } else { all.first() };
        if let Some(id) = killed {
            Command::new("kill").args(["-9", &id.to_string()]).stderr(Stdio::null()).status().unwrap();
        }
        job.wait().unwrap();
        let now = fs::read(&path).unwrap_or_default();
        let whole = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        assert!(now.starts_with(&before[..whole]), "kill {k}: what stood has changed");
        before = now;
    }
    let output = ranks(at, 2, &out.display().to_string(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_same(at, "out", "after five kills");
}
