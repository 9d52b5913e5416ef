//! The same over the ranks of an MPI job.

use super::{assert_same, lines, observations, reach, survey};
use crate::common::runs::{rontgen, stderr};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Arguments of `mpiexec -n N rontgen survey ...` as whoever runs the tests may start it, on however few cores.
fn ranks(at: &Path, n: usize, out: &str, more: &[&str]) -> Command {
    under_mpi(at, n, &survey(at, out, more))
}

fn under_mpi(at: &Path, n: usize, alone: &Command) -> Command {
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

/// Two software drivers of Vulkan stand for two GPUs: local rank 0 has the one, local rank 1 the other, local rank 2 the first again.
#[test]
#[cfg_attr(not(two_drivers), ignore = "needs Mesa's and Chromium's software drivers of Vulkan")]
fn ranks_of_a_machine_take_its_adapters_in_turn() {
    let drivers = ["/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "/usr/lib/chromium/vk_swiftshader_icd.json"];
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    // Rows that fail at once: what is asked is who opened what.
    let damaged: String = (0..6).map(|k| format!("damaged.pha,none,{k}\n")).collect();
    fs::write(at.join("list.csv"), format!("spectrum,background,name\n{damaged}")).unwrap();
    let drivers = drivers.join(":");
    let devices = |asked: &str| {
        let mut alone = rontgen();
        alone.args(["survey", "list.csv", "r.toml", "--out", asked, "--device", asked]);
        let mut job = under_mpi(at, 3, &alone);
        let output = job.env("VK_DRIVER_FILES", &drivers).env("VK_ICD_FILENAMES", &drivers).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let times = fs::read_to_string(at.join(asked).join("times.csv")).unwrap();
        let mut ready: Vec<(String, String)> = Vec::new();
        for line in times.lines().filter_map(|line| line.strip_prefix("ready,")) {
            let (device, rank) = line.trim_end_matches(',').rsplit_once(',').unwrap();
            ready.push((rank.into(), device.into()));
        }
        ready.sort();
        assert_eq!(ready.iter().map(|(rank, _)| &rank[..]).collect::<Vec<_>>(), ["0", "1", "2"], "{times}");
        ready.into_iter().map(|(_, device)| device).collect::<Vec<String>>()
    };
    let turns = devices("software");
    assert!(turns[0] != turns[1] && turns[0] == turns[2], "{turns:?}");
    assert!(
        ["SwiftShader", "llvmpipe"].iter().all(|name| turns[..2].iter().any(|own| own.contains(name))),
        "{turns:?}"
    );
    // A name of one of them is that one for all, and nobody takes software that was not asked for.
    assert!(devices("llvmpipe").iter().all(|own| own.contains("llvmpipe")));
    assert!(devices("auto").iter().all(|own| own.contains("native CPU")));
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
