//! `rontgen survey`: lists that are refused, rows that do not depend on who computes them, and what survives a kill.

#[cfg(feature = "mpi")]
mod ranks;

use crate::amortised_backgrounds::spectrum;
use crate::common::runs::{rontgen, stderr, stdout};
use crate::common::toy;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

const RUN: &str = "
[observation]
spectrum = \"list\"
[model]
expression = \"constant*powerlaw\"
[parameters]
\"constant.factor\" = 1.0
\"powerlaw.PhoIndex\" = { uniform = [1.0, 2.5] }
\"powerlaw.norm\" = { log_uniform = [2e-3, 0.1] }
[inference]
method = \"nested\"
summary = \"pca\"
[inference.flow]
epochs = 40
transforms = 3
hidden = 24
[reference]
live = 100
[output]
posterior_samples = 1000
calibration = 0
";

/// Rows that share a network, and those that do not: another area, another value of a parameter, a damaged spectrum.
const SHARED: usize = 9;

/// The toy instrument, spectra of mixed exposures and backgrounds, a list and a run file.
pub fn observations(at: &Path) {
    fs::write(at.join("toy.rmf"), toy::Rmf::default().file()).unwrap();
    fs::write(at.join("toy.arf"), toy::arf()).unwrap();
    let area: Vec<f64> = toy::area().iter().map(|a| 0.8 * a).collect();
    fs::write(at.join("other.arf"), toy::arf_with(&[], &toy::grid(toy::ENERGIES), &area, 1.0)).unwrap();
    fs::write(at.join("r.toml"), RUN).unwrap();
    let mut list = String::from("spectrum,background,area,name,constant.factor\n");
    for k in 0..SHARED {
        let exposure = 500.0 * 1.15f64.powi(k as i32);
        spectrum(at, &format!("s{k}"), exposure, 20.0 + 5.0 * k as f64, 2.0 + 0.05 * k as f64);
        list += &format!("s{k}.pha,s{k}.bak,,,\n");
    }
    list += "s1.pha,s1.bak,other.arf,\"other area, 1\",\n";
    list += "s2.pha,s2.bak,,fainter,0.9\n";
    list += "damaged.pha,none,,damaged,\n";
    fs::write(at.join("damaged.pha"), "no spectrum").unwrap();
    fs::write(at.join("list.csv"), list).unwrap();
}

/// Options of every survey here.
const OPTIONS: [&str; 12] =
    ["--device", "cpu", "--share", "5", "--simulations", "2000", "--flux", "1", "5", "--draws", "1024", "--quiet"];

pub fn survey(at: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = rontgen();
    command.current_dir(at).args(["survey", "list.csv", "r.toml", "--out", out]).args(OPTIONS).args(more);
    command
}

fn run(at: &Path, out: &str, more: &[&str]) -> Output {
    survey(at, out, more).output().unwrap()
}

/// The merged table, and the rows of the growing ones, sorted.
pub fn table(at: &Path, out: &str) -> (String, Vec<String>) {
    // Where the files lie is part of what is said of those that cannot be read.
    let here = at.display().to_string();
    let csv = fs::read_to_string(at.join(out).join("survey.csv")).unwrap().replace(&here, "HERE");
    let mut lines = Vec::new();
    for entry in fs::read_dir(at.join(out)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            let text = fs::read_to_string(path).unwrap().replace(&here, "HERE");
            // Checksums are of texts that name the folder.
            let bare = |line: &str| line.split(",\"check\":").next().unwrap_or(line).to_string();
            lines.extend(text.lines().filter(|line| !line.contains("\"survey\":2")).map(bare));
        }
    }
    lines.sort();
    (csv, lines)
}

/// The tables agree to the last digit; of one that does not the first line and column are told.
pub fn assert_same(at: &Path, out: &str, what: &str) {
    let (found, expected) = (table(at, out), undisturbed());
    for (a, b) in
        found.0.lines().zip(expected.0.lines()).chain(found.1.iter().zip(&expected.1).map(|(a, b)| (&a[..], &b[..])))
    {
        let apart = a.split(',').zip(b.split(',')).position(|(a, b)| a != b);
        let shown = |text: &str| text.split(',').skip(apart.unwrap_or(0)).take(3).collect::<Vec<_>>().join(",");
        let name = a.split(',').next().unwrap_or("");
        assert_eq!(apart, None, "{what}: {name}: {} for {}", shown(a), shown(b));
    }
    assert_eq!((found.0.len(), found.1.len()), (expected.0.len(), expected.1.len()), "{what}");
}

/// What one undisturbed process makes of it.
pub fn undisturbed() -> &'static (String, Vec<String>) {
    static TABLE: OnceLock<(String, Vec<String>)> = OnceLock::new();
    TABLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        observations(folder.path());
        let output = run(folder.path(), "out", &["--threads", "1"]);
        // A row has failed, and says so.
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        table(folder.path(), "out")
    })
}

fn csv(text: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn a_list_is_refused_with_every_mistake_before_anything_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    spectrum(at, "lonely", 1000.0, 20.0, 2.0);
    fs::remove_file(at.join("lonely.bak")).unwrap();
    for (list, parts) in [
        ("name,background\na,b\n", &["list.csv, line 1", "no column \"spectrum\""][..]),
        ("spectrum,colour\ns0.pha,red\n", &["line 1", "unknown column \"colour\"", "powerlaw.PhoIndex"]),
        ("spectrum,powerlaw.PhoIndx\ns0.pha,1\n", &["did you mean \"powerlaw.PhoIndex\""]),
        ("spectrum,area,arf\ns0.pha,,\n", &["\"arf\" says the same as column \"area\""]),
        ("spectrum\n", &["no line after the header"]),
        ("spectrum,name\ns0.pha,a\ns1.pha,b\ns2.pha,A\n", &["line 4, column name", "\"A\"", "line 2"]),
        (
            "spectrum,name\ns0.pha,α 1\ns1.pha,β 1\ns2.pha,Α-1\ns3.pha,α_1\n",
            &["list.csv, line 5, column name", "\"α 1\""],
        ),
        ("spectrum,name\ns0.pha,a\ngone.pha,b\n", &["line 3, column spectrum", "gone.pha"]),
        ("spectrum,area\ns0.pha,gone.arf\n", &["line 2, column area", "gone.arf"]),
        ("spectrum,response\ns0.pha,none\n", &["line 2, column response", "none"]),
        ("spectrum\nlonely.pha\n", &["line 2", "BACKFILE of lonely.pha names 'lonely.bak'"]),
        ("spectrum,constant.factor\ns0.pha,much\n", &["line 2, column constant.factor", "found \"much\""]),
        ("spectrum,powerlaw.PhoIndex\ns0.pha,99\n", &["line 2, column powerlaw.PhoIndex", "99", "limits"]),
        ("spectrum,name\ns0.pha\n", &["list.csv, line 2: 1 cell; expected 2, as the header has (spectrum, name)"]),
        (
            "spectrum,name,background\n# a comment\ns0.pha,a,none\ns1.pha,b,c,none,\ns2.pha\n",
            &[
                "2 mistakes",
                "line 4: 5 cells; expected 3",
                "line 5: 1 cell; expected 3, as the header has (spectrum, name, background)",
            ],
        ),
        ("spectrum,constant.factor\n,1\ngone.pha,2\ns1.pha,x\n", &["3 mistakes", "line 2", "line 3", "line 4"]),
    ] {
        fs::write(at.join("list.csv"), list).unwrap();
        let output = run(at, "out", &[]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{list:?}: {text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{list:?}: {text}"));
        assert!(!at.join("out").exists(), "{list:?}");
    }
    observations(at);
    for (more, part) in [
        (&["--flux", "5", "1"][..], "flux"),
        (&["--unabsorbed", "tbabs"], "tbabs"),
        (&["--shard", "3/2"], "I from 1 to N"),
        (&["--threads", "0"], "--threads"),
    ] {
        let output = run(at, "out", more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{more:?}: {}", stderr(&output));
    }
    // An adapter by its number: there are not so many.
    let flags = ["survey", "list.csv", "r.toml", "--out", "out", "--device", "gpu:99"];
    let output = rontgen().current_dir(at).args(flags).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("gpu:99"), "{}", stderr(&output));
    fs::create_dir(at.join("full")).unwrap();
    fs::write(at.join("full/thesis.tex"), "").unwrap();
    assert!(stderr(&run(at, "full", &[])).contains("holds files but no survey"));
}

#[test]
fn every_row_has_a_verdict_and_what_it_says() {
    let (text, _) = undisturbed();
    let rows = csv(text);
    assert_eq!(rows.len(), SHARED + 3);
    for (k, row) in rows.iter().enumerate() {
        let way = match k {
            0..SHARED => "network 1",
            _ if k < SHARED + 2 => "nested",
            _ => "none",
        };
        assert_eq!((row["row"].as_str(), row["way"].as_str()), ((k + 1).to_string().as_str(), way), "{row:?}");
        if way == "none" {
            assert!(row["verdict"] == "failed" && row["remarks"].contains("damaged.pha"), "{row:?}");
            assert_eq!(row["powerlaw.norm median"], "NaN");
            continue;
        }
        assert!(row["verdict"] == "trusted" || row["verdict"] == "with care", "{row:?}");
        // Counts are those of an index of 1.7 and a norm of 0.02, give or take their noise.
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        let off = (number("powerlaw.PhoIndex median") - 1.7) / number("powerlaw.PhoIndex std");
        assert!(off.abs() < 4.0, "{row:?}");
        let factor = if row["constant.factor"] == "0.9" { 0.9 } else { 1.0 };
        let area = if row["name"].starts_with("other") { 0.8 } else { 1.0 };
        let off = (number("powerlaw.norm median") * factor * area / 0.02).ln() / number("powerlaw.norm std") * 0.02;
        assert!(off.abs() < 5.0, "{row:?}");
        // The flux is the integral of that power law.
        let index = number("powerlaw.PhoIndex median");
        let flux = number("powerlaw.norm median") * factor * (5f64.powf(2.0 - index) - 1.0) / (2.0 - index) * 1.602e-9;
        assert!((number("flux(1-5) median") / flux - 1.0).abs() < 0.02, "{flux}: {row:?}");
    }
    assert_eq!(rows[SHARED]["name"], "other area, 1");
}

/// `apply` of the same networks says the same of a spectrum, to the last digit; what is asked twice is computed once; FITS and page hold every row.
#[test]
fn a_row_is_what_apply_says_and_the_folder_holds_it_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    assert_eq!(run(at, "out", &["--threads", "2", "--batch", "4"]).status.code(), Some(4));
    assert_same(at, "out", "two threads, four rows at a time");
    let names = ["s0.pha", "s7.pha"];
    let flags = ["--out", "applied", "--device", "cpu", "--draws", "1024", "--quiet"];
    let output = rontgen().current_dir(at).args(["apply", "out/networks/01"]).args(names).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = csv(&undisturbed().0);
    let applied = csv(&fs::read_to_string(at.join("applied/apply.csv")).unwrap());
    for (own, name) in applied.iter().zip(["s0", "s7"]) {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        for column in ["log_z", "ess", "cstat", "powerlaw.norm q95", "powerlaw.PhoIndex median"] {
            assert_eq!(own[column], row[column], "{name}, {column}");
        }
    }
    let file = rontgen::fits::FitsFile::open(&at.join("out/survey.fits")).unwrap();
    let hdu = &file.hdus()[1];
    assert_eq!(file.texts(hdu, "name").unwrap().len(), SHARED + 3);
    let medians = file.scalars(hdu, "powerlaw_norm_median").unwrap();
    let written: Vec<f64> = rows.iter().map(|row| row["powerlaw.norm median"].parse().unwrap()).collect();
    assert!(medians.iter().zip(&written).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())));
    let page = fs::read_to_string(at.join("out/survey.html")).unwrap();
    assert_eq!(page.matches("<tr class=").count(), SHARED + 3);
    assert_eq!(page.matches("<svg").count(), SHARED + 2);
    assert!(page.contains("other area, 1") && page.contains(", native CPU</footer>") && !page.contains("<script"));
    // Again: nothing is computed, and nothing changes.
    let before = fs::read(at.join("out/survey.jsonl")).unwrap();
    let output = run(at, "out", &["--json"]);
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (Some(SHARED as u64 + 3), Some(1)));
    assert_eq!(fs::read(at.join("out/survey.jsonl")).unwrap(), before);
    // A row that failed is tried again when asked to, once its spectrum is there.
    fs::copy(at.join("s3.pha"), at.join("damaged.pha")).unwrap();
    let output = run(at, "out", &["--retry"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = fs::read(at.join("out/survey.jsonl")).unwrap();
    assert!(lines.starts_with(&before) && lines.len() > before.len(), "the table grows");
    // The network was trained on the row with the most counts: with other ones it serves nobody, and what to do is told.
    fs::copy(at.join("s3.pha"), at.join(format!("s{}.pha", SHARED - 1))).unwrap();
    let output = run(at, "out", &["--retry"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("this is network 1 of the survey") && told.contains("give another --out"), "{told}");
}

#[test]
fn parts_without_mpi_make_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    let begin = |shard: &str| survey(at, "out", &["--shard", shard]).stderr(Stdio::piped()).spawn().unwrap();
    let parts: Vec<Child> = ["1/3", "2/3", "3/3"].map(begin).into();
    let ends: Vec<Output> = parts.into_iter().map(|part| part.wait_with_output().unwrap()).collect();
    assert!(ends.iter().all(|end| matches!(end.status.code(), Some(0 | 4))), "{ends:?}");
    assert_same(at, "out", "three parts");
    let lines = fs::read_to_string(at.join("out/survey.2-of-3.jsonl")).unwrap().lines().count();
    assert_eq!(lines, 1 + (SHARED + 3) / 3);
}

/// Rows are of the files that they were computed from: others under the same name are noticed, and a line that was altered is no row.
#[test]
fn files_and_lines_that_have_changed_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    fs::write(
        at.join("list.csv"),
        "spectrum,background,name\ns0.pha,s0.bak,=1+1\ns1.pha,s1.bak,@b\nbroken.pha,s4.bak,-c\n",
    )
    .unwrap();
    fs::write(at.join("broken.pha"), "no spectrum").unwrap();
    let flags = ["survey", "list.csv", "r.toml", "--out", "out", "--share", "0", "--device", "cpu", "--samples", "20"];
    let again = |more: &[&str]| rontgen().current_dir(at).args(flags).args(more).output().unwrap();
    let first = again(&[]);
    assert_eq!(first.status.code(), Some(4), "{}", stderr(&first));
    // Spreadsheets compute nothing of it; numbers below 0 are numbers.
    let table = fs::read_to_string(at.join("out/survey.csv")).unwrap();
    let rows = csv(&table);
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["'=1+1", "'@b", "'-c"]);
    assert!(rows[0]["log_z"].starts_with('-'), "{table}");
    let whole = fs::read(at.join("out/survey.jsonl")).unwrap();
    let line: serde_json::Value =
        serde_json::from_str(fs::read_to_string(at.join("out/survey.jsonl")).unwrap().lines().nth(1).unwrap()).unwrap();
    let files: Vec<&String> = line["files"].as_object().unwrap().keys().collect();
    assert_eq!(files.len(), 4, "{files:?}");

    // So are samples that are lost or altered: told where tables are merged, and else made again, to the same draws.
    let samples = ["_1_1.csv", "_b.csv"].map(|name| at.join("out/samples").join(name));
    let drawn = samples.each_ref().map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(drawn[0].lines().count(), 21);
    fs::write(&samples[0], drawn[0].replacen('1', "2", 1)).unwrap();
    fs::remove_file(&samples[1]).unwrap();
    let merged = stderr(&again(&["--merge"]));
    let lost = "missing or not what was written: 2 (out/samples/_1_1.csv is the first)";
    assert!(merged.contains(lost) && merged.contains("without --merge"), "{merged}");
    let made = again(&[]);
    assert!(stderr(&made).contains(lost) && stdout(&made).contains("2 of them now"), "{}", stderr(&made));
    assert_eq!(samples.each_ref().map(|path| fs::read_to_string(path).unwrap()), drawn);
    assert_eq!(fs::read_to_string(at.join("out/survey.csv")).unwrap(), table);
    let still = again(&[]);
    assert!(!stderr(&still).contains("samples") && stdout(&still).contains("0 of them now"), "{}", stderr(&still));
    fs::write(at.join("out/survey.jsonl"), &whole).unwrap();

    // A damaged line is told once, and its row computed again to the same numbers.
    let text = String::from_utf8(whole.clone()).unwrap().replace("\"row\":", "\"row\":1");
    assert_eq!(text.len(), whole.len() + 3);
    fs::write(at.join("out/survey.jsonl"), text).unwrap();
    let output = again(&[]);
    let told = stderr(&output);
    assert_eq!(told.matches("3 lines are damaged (the first is line 2)").count(), 1, "{told}");
    assert_eq!(fs::read_to_string(at.join("out/survey.csv")).unwrap(), table);

    // Other counts under the same name, and another area beside them: the first row says so, and is computed again when asked.
    let counts = fs::read(at.join("s3.pha")).unwrap();
    fs::write(at.join("s0.pha"), counts).unwrap();
    let output = again(&[]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("line 2: the spectrum of row \"=1+1\" is not what it was") && told.contains("--retry"),
        "{told}"
    );
    // What can be merged is what holds.
    let output = again(&["--merge"]);
    assert!(stderr(&output).contains("since are left out: 1 (\"=1+1\""), "{}", stderr(&output));
    assert_eq!(csv(&fs::read_to_string(at.join("out/survey.csv")).unwrap()).len(), 2);
    let before = fs::read(at.join("out/survey.jsonl")).unwrap();
    let output = again(&["--retry"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let now = fs::read_to_string(at.join("out/survey.csv")).unwrap();
    assert!(fs::read(at.join("out/survey.jsonl")).unwrap().starts_with(&before));
    let (then, now) = (csv(&table), csv(&now));
    assert!(now.len() == 3 && now[0]["counts"] != then[0]["counts"] && now[1] == then[1], "{now:?}");
    // A row that failed is tried again by itself once its file is another one.
    fs::copy(at.join("s4.pha"), at.join("broken.pha")).unwrap();
    let output = again(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let area = fs::read(at.join("other.arf")).unwrap();
    fs::write(at.join("toy.arf"), area).unwrap();
    let told = stderr(&again(&[]));
    assert!(told.contains("the area of row \"=1+1\"") && told.contains("2 more rows"), "{told}");
}

#[test]
fn a_survey_goes_on_with_the_same_list_and_run_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    // One part of many is enough of a survey.
    let mine: &[&str] = &["--shard", "12/12"];
    assert!(matches!(run(at, "out", mine).status.code(), Some(0 | 4)));
    let list = fs::read_to_string(at.join("list.csv")).unwrap();
    for (changed, part) in [
        (list.replace("fainter,0.9", "fainter,0.8"), "row \"fainter\" is not what it was"),
        (list.replace("s4.pha,s4.bak,,,\n", ""), "row \"s4\" is no longer there"),
        (format!("{list}s4.pha,s4.bak,,one more,\n"), "row \"one more\" was not there"),
        (list.replace("s4.pha,s4.bak,,,\ns5.pha,s5.bak,,,\n", "s5.pha,s5.bak,,,\ns4.pha,s4.bak,,,\n"), "stands where"),
    ] {
        fs::write(at.join("list.csv"), changed).unwrap();
        let output = run(at, "out", mine);
        assert_eq!(output.status.code(), Some(2), "{part}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{part}: {}", stderr(&output));
    }
    fs::write(at.join("list.csv"), &list).unwrap();
    fs::write(at.join("r.toml"), RUN.replace("[1.0, 2.5]", "[1.0, 2.6]")).unwrap();
    let output = run(at, "out", mine);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("another run file") && text.contains("powerlaw.phoindex"), "{text}");
    fs::write(at.join("r.toml"), RUN).unwrap();
    let plan = fs::read_to_string(at.join("out/plan.json")).unwrap();
    fs::write(at.join("out/plan.json"), &plan[..plan.len() / 2]).unwrap();
    let output = run(at, "out", mine);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("out/plan.json is damaged") && text.contains("bring it back, or give another --out"),
        "{text}"
    );
    fs::write(at.join("out/plan.json"), &plan).unwrap();
    let text = stderr(&run(at, "out", &["--shard", "12/12", "--samples", "10"]));
    assert!(text.contains("--samples 0"), "{text}");
    // Two at a time do not get into each other's way.
    let output = run(at, "out", &["--shard", "12/12", "--merge"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(matches!(run(at, "out", &["--merge"]).status.code(), Some(0 | 4)));
    assert_eq!(csv(&fs::read_to_string(at.join("out/survey.csv")).unwrap()).len(), 1);
}

/// What networks do not know goes its own way, and why is told: W, of which no spectra are drawn.
#[test]
fn rows_that_no_network_serves_go_their_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    fs::write(at.join("list.csv"), "spectrum,background\ns0.pha,s0.bak\ns1.pha,s1.bak\n").unwrap();
    fs::write(at.join("r.toml"), RUN.replace("\"list\"", "\"list\"\nstatistic = \"wstat\"")).unwrap();
    let flags = ["survey", "list.csv", "r.toml", "--out", "out", "--share", "2", "--device", "cpu"];
    let output = rontgen().current_dir(at).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("2 rows like \"s0\" (line 2) share no network") && text.contains("wstat"), "{text}");
    let rows = csv(&fs::read_to_string(at.join("out/survey.csv")).unwrap());
    assert!(rows.iter().all(|row| row["way"] == "nested" && row["verdict"] == "trusted"), "{rows:?}");
}

/// Lines of a table that are whole.
pub fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Waits until the survey has come to a moment, or has ended.
pub fn reach(child: &mut Child, there: &dyn Fn() -> bool) {
    let started = Instant::now();
    while !there() && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(180), "the moment never comes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Killed while it trains and after one, four, eight and eleven lines: what stood stays as it stood, and the rest is what it would have been.
#[test]
fn kills_cost_the_rows_at_work_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    let path = at.join("out/survey.jsonl");
    let training = at.join("out/networks/01/run.toml");
    let moments = [
        ("training", 0),
        ("after the head and a row", 2),
        ("after four rows", 5),
        ("after eight rows", 9),
        ("before the end", 12),
    ];
    let mut before: Vec<u8> = Vec::new();
    for (moment, least) in moments {
        let mut child = survey(at, "out", &[]).stderr(Stdio::null()).spawn().unwrap();
        reach(&mut child, &|| if least == 0 { training.exists() } else { lines(&path) >= least });
        child.kill().unwrap();
        child.wait().unwrap();
        let now = fs::read(&path).unwrap_or_default();
        let whole = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        assert!(now.starts_with(&before[..whole]), "{moment}: what stood has changed");
        before = now;
    }
    // And a table that was cut in the middle of its last line.
    let cut = before.len() - before.len().min(37);
    fs::write(&path, &before[..cut]).unwrap();
    let mut last = survey(at, "out", &[]);
    let output = last.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_same(at, "out", "after five kills");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_launcher_without_mpi_is_told() {
    let folder = tempfile::tempdir().unwrap();
    observations(folder.path());
    let output = survey(folder.path(), "out", &[]).env("OMPI_COMM_WORLD_SIZE", "4").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--features mpi"), "{}", stderr(&output));
}

/// The list of the examples, made small: mocks of two kinds, their truths beside them.
#[test]
fn mocks_for_a_survey() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    observations(at);
    let text = RUN.replace("\"list\"", "\"s4.pha\"").replace("method = \"nested\"", "");
    fs::write(at.join("mocks.toml"), text).unwrap();
    let out: PathBuf = at.join("mocks");
    for (prefix, seed) in [("a", 1), ("b", 2)] {
        let run = at.join("mocks.toml");
        let wanted = mocks::Wanted { run: &run, out: &out, prefix, n: 5, exposures: [500.0, 2000.0], seed };
        mocks::mocks(&wanted, None).unwrap();
    }
    let truths = csv(&fs::read_to_string(out.join("truth.csv")).unwrap());
    assert_eq!(truths.len(), 10);
    assert!(truths.iter().all(|row| (1.0..=2.5).contains(&row["powerlaw.PhoIndex"].parse::<f64>().unwrap())));
    let mut command = rontgen();
    command
        .current_dir(at)
        .args(["survey", "mocks/list.csv", "r.toml", "--out", "out", "--share", "0"])
        .args(["--device", "cpu"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("10 of 10 rows done"), "{}", stdout(&output));
    for (row, truth) in csv(&fs::read_to_string(at.join("out/survey.csv")).unwrap()).iter().zip(&truths) {
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        let off = (number("powerlaw.PhoIndex mean") - truth["powerlaw.PhoIndex"].parse::<f64>().unwrap())
            / number("powerlaw.PhoIndex std");
        assert!(row["name"] == truth["name"] && off.abs() < 4.5, "{row:?} {truth:?}");
    }
}

#[test]
fn the_run_files_of_the_example_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/survey");
    for name in ["mocks-pn.toml", "mocks-chandra.toml", "survey.toml"] {
        let run = rontgen::run::run_file::RunFile::read(&folder.join(name), &[]).unwrap();
        assert_eq!(run.model.expression, "tbabs*powerlaw", "{name}");
    }
}

#[path = "../examples/survey_mocks.rs"]
#[allow(dead_code)]
mod mocks;
