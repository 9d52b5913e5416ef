"""Posteriors: the same numbers in memory, in a folder and from the command line; verdicts; interruptions."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import rontgen
from conftest import SHORT


def test_a_posterior_has_draws_weights_evidence_and_verdict(run, posterior):
    n = len(posterior.array)
    assert n == 4000 and posterior.array.shape == (n, 5)
    assert posterior.samples.dtype.names == tuple(run.names) and posterior.samples.shape == (n,)
    assert (posterior.samples["bbodyrad.kT"] == posterior.array[:, 1]).all()
    # At least: where the first draws are too few, more are drawn.
    assert len(posterior.weights) == len(posterior.weighted_samples) == len(posterior.log_likelihood) >= 20000
    assert posterior.weights.min() >= 0 and posterior.weights.sum() == pytest.approx(1)
    # The weights are prior times likelihood over proposal.
    used = posterior.weights > 0
    wanted = (posterior.log_prior + posterior.log_likelihood - posterior.log_proposal)[used]
    steps = np.log(posterior.weights[used]) - wanted
    assert np.quantile(np.abs(steps - np.median(steps)), 0.9) < 1e-6
    assert np.isfinite(posterior.log_evidence) and 0 < posterior.log_evidence_error < 0.1
    assert posterior.verdict.status in ("trusted", "with care") and posterior.verdict.model.status == "fits"
    assert posterior.device.startswith("native CPU") and posterior.folder is None


def test_the_truth_of_a_mock_is_found(run, posterior):
    for name, truth in run.truth.items():
        own = posterior.parameters[name]
        assert abs(own["median"] - truth) < 4 * own["std"], name
        assert own["median"] == pytest.approx(np.median(posterior.samples[name]), rel=1e-3)
        assert own["truth"] == truth


def test_the_same_seed_gives_the_same_numbers(run, posterior):
    again = rontgen.demo(seed=3, **SHORT).infer(device="cpu", progress=False)
    assert (again.array == posterior.array).all() and again.log_evidence == posterior.log_evidence
    other = rontgen.Run._of(rontgen.demo(seed=4, **SHORT)._case.with_counts(run.counts, None), (None, (), {}))
    found = other.infer(device="cpu", progress=False)
    assert not (found.array == posterior.array).all()
    assert found.log_evidence == pytest.approx(posterior.log_evidence, abs=0.2)


def test_a_folder_holds_the_same_numbers(run, posterior, folder):
    loaded = rontgen.load(folder, device="cpu")
    assert (loaded.array == posterior.array).all() and (loaded.weights == posterior.weights).all()
    assert loaded.log_evidence == posterior.log_evidence and loaded.verdict == posterior.verdict
    assert loaded.folder == os.fspath(folder) and (folder / "report.html").is_file()
    assert (loaded.run.counts == run.counts).all()
    assert (pickle.loads(pickle.dumps(loaded)).array == posterior.array).all()
    with pytest.raises(rontgen.InputError, match="resume|force|finished|holds"):
        rontgen.demo(seed=4, **SHORT).infer(device="cpu", out=folder, progress=False)
    resumed = rontgen.demo(seed=3, **SHORT).infer(device="cpu", out=folder, resume=True, progress=False)
    assert (resumed.array == posterior.array).all()


def test_the_command_line_gives_the_same_numbers(program, posterior, tmp_path):
    sets = ["inference.rounds=2", "inference.simulations=2000", "refine.samples=20000", "output.posterior_samples=4000"]
    out = tmp_path / "out"
    command = [program, "demo", "--out", out, "--device", "cpu", "--seed", "3", "--quiet", *[f"--set={each}" for each in sets]]
    subprocess.run(command, check=True)
    found = np.loadtxt(out / "posterior.csv", delimiter=",", skiprows=1)
    assert (found == posterior.array).all()
    summary = json.loads((out / "summary.json").read_text())
    ours = posterior.summary
    for key in ("parameters", "cstat", "verdict", "refine", "residual", "observation"):
        assert summary[key] == ours[key], key


def test_epic_pn_in_ten_lines_is_the_command_lines(program, data, tmp_path):
    obs = rontgen.Observation("PN_spectrum_grp20.fits", response="PN.rmf", arf="PN.arf", background=False, energies=[(0.5, 10)])
    model = rontgen.Model("tbabs*(bbodyrad+powerlaw)", abundances="angr")
    prior = {
        "tbabs.nH": rontgen.uniform(0, 0.5),
        "bbodyrad.kT": rontgen.uniform(0, 2),
        "bbodyrad.norm": rontgen.log_uniform(0.01, 1),
        "powerlaw.PhoIndex": rontgen.uniform(0, 5),
        "powerlaw.norm": rontgen.log_uniform(1e-5, 1e-2),
    }
    with pytest.warns(rontgen.RontgenWarning, match="bbodyrad.kT: the prior starts at 0"):
        p = rontgen.infer(obs, model, prior, device="cpu", seed=1, data=data, rounds=5, simulations=5000, refine={"samples": 200000})
    from conftest import ROOT

    command = [program, "infer", ROOT / "examples/epic-pn.toml", "--data", data, "--seed", "1", "--device", "cpu", "--out", tmp_path, "--quiet"]
    subprocess.run(command, check=True)
    assert (np.loadtxt(tmp_path / "posterior.csv", delimiter=",", skiprows=1) == p.array).all()


def test_run_files_are_run(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(rontgen.demo(**SHORT).toml().split("[written_by]")[0])
    # The built-in spectrum has no counts of its own.
    run = rontgen.Run.read(file, {"inference.seed": 3}).with_counts(rontgen.demo(seed=3).counts)
    assert run.infer(device="cpu", progress=False).names == run.names


def test_nested_sampling_agrees(run, posterior):
    counts = rontgen.Run._of(rontgen.demo(seed=3, method="nested", **SHORT)._case, (None, (), {}))
    found = counts.infer(device="cpu", progress=False)
    assert abs(found.log_evidence - posterior.log_evidence) < 4 * np.hypot(found.log_evidence_error, posterior.log_evidence_error)
    assert found.summary["refine"]["method"] == "nested"


def test_a_refused_posterior_says_so():
    counts = np.zeros(132)
    counts[::2] = 400.0
    run = rontgen.demo(**{**SHORT, "refine": {"samples": 5000, "fallback": "none"}}).with_counts(counts)
    with pytest.warns(rontgen.RefusedWarning, match="the posterior is refused by its own diagnostics"):
        found = run.infer(device="cpu", progress=False)
    assert found.verdict.refused and found.verdict.model.status == "does not describe"
    assert "does not describe" in str(found.verdict) and "does not describe" in found._repr_html_()


def test_the_notebook_sees_verdict_and_table(posterior):
    page = posterior._repr_html_()
    assert all(name in page for name in posterior.names)
    assert posterior.verdict.sampling.status in page and "log_uniform(0.01, 100)" in page and "ln Z" in page
    assert "powerlaw.norm" in repr(posterior)


def test_progress_never_goes_back_and_ends():
    told = []
    rontgen.demo(seed=3, **SHORT).infer(device="cpu", progress=lambda share, text: told.append((share, text)))
    shares = [share for share, _ in told]
    assert len(told) > 3 and shares == sorted(shares) and 0 <= shares[0] and 0.5 < shares[-1] <= 1
    assert any("round 1/2: flow" in text for _, text in told)


def test_a_display_that_fails_stops_the_run():
    def broken(share, text):
        raise ZeroDivisionError("no display")

    with pytest.raises(ZeroDivisionError, match="no display"):
        rontgen.demo(seed=3, **SHORT).infer(device="cpu", progress=broken)


def test_a_posterior_in_memory_says_how_it_is_kept(posterior):
    with pytest.raises(TypeError, match=r"rontgen.load\(FOLDER\)"):
        pickle.dumps(posterior)


INTERRUPTED = """
import signal, sys, time, rontgen
# What a shell starts in the background ignores Ctrl-C, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
run = rontgen.demo(seed=3, rounds=2, simulations=8000)
print("ready", flush=True)
started = time.time()
try:
    run.infer(device="cpu", progress=lambda share, text: print("at", text, flush=True), **{more})
except KeyboardInterrupt as interrupt:
    print("stopped", getattr(interrupt, "__notes__", ""), flush=True)
    # The interpreter and the library go on.
    print("works", rontgen.Likelihood(run, device="cpu")([0.15, 0.9, 1.0, 1.9, 1e-3]), flush=True)
"""


def _interrupt(more: dict) -> str:
    process = subprocess.Popen([sys.executable, "-u", "-c", INTERRUPTED.replace("{more}", repr(more))], stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "flow" in line:
            break
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    took = time.monotonic() - sent
    assert process.returncode == 0, lines
    # Generous: the machine may be busy; an uninterrupted run takes longer than that by far more.
    assert took < 60, took
    return rest


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_ctrl_c_interrupts_and_leaves_the_interpreter_whole():
    rest = _interrupt({})
    assert "stopped" in rest and "works -" in rest


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interrupted_run_in_a_folder_goes_on_to_the_same_numbers(tmp_path):
    rest = _interrupt({"out": os.fspath(tmp_path / "out")})
    assert "stopped" in rest
    if sys.version_info >= (3, 11):
        assert "resume=True goes on" in rest
    assert not (tmp_path / "out/summary.json").exists()
    run = rontgen.demo(seed=3, rounds=2, simulations=8000)
    resumed = run.infer(device="cpu", progress=False, out=tmp_path / "out", resume=True)
    assert (resumed.array == run.infer(device="cpu", progress=False).array).all()


def test_warnings_of_a_run_are_told_once(run):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        prior = {"tbabs.nH": rontgen.uniform(0, 1), "bbodyrad.kT": rontgen.uniform(0, 2), "bbodyrad.norm": 1.0}
        own = rontgen.Run("built-in", "tbabs*bbodyrad", prior)
        rontgen.Likelihood(own, device="cpu")
        rontgen.Simulator(own, device="cpu")
    assert len([each for each in told if "bbodyrad.kT: the prior starts at 0" in str(each.message)]) == 1
