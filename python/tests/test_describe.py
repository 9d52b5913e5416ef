"""Descriptions become run files, and mistakes end in the program's words."""

import pickle

import numpy as np
import pytest
import rontgen
from rontgen import InputError, _toml
from rontgen._describe import KINDS

BUILT_IN = "built-in"
PRIOR = {"powerlaw.PhoIndex": rontgen.uniform(1, 3), "powerlaw.norm": rontgen.log_uniform(1e-5, 1e-2)}


def test_values_are_written_as_toml_reads_them():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    given = {
        "text": 'a "quoted" \\ line\n\x7f ü',
        "numbers": [1, 2.5, 1e-300, -0.1, 1e22],
        "flags": (True, False),
        "array": np.array([[0.5, 2.0], [3.0, 10.0]]),
        "scalar": np.float64(0.1),
        "whole": np.int64(7),
        "table": {"a.b": {"uniform": [0, 1]}, "nothing": None},
        "nothing": None,
    }
    read = tomllib.loads("\n".join(_toml.section("[part]", given, "part")))["part"]
    assert read == {
        "text": given["text"],
        "numbers": given["numbers"],
        "flags": [True, False],
        "array": [[0.5, 2.0], [3.0, 10.0]],
        "scalar": 0.1,
        "whole": 7,
        "table": {"a.b": {"uniform": [0, 1]}},
    }
    with pytest.raises(InputError, match="part.x is .*object.*expected a number"):
        _toml.section("[part]", {"x": object()}, "part")


def test_a_description_is_the_run_file_that_says_the_same(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        '[observation]\nspectrum = "built-in"\n[model]\nexpression = "powerlaw"\nabundances = "angr"\n[parameters]\n'
        '"powerlaw.PhoIndex" = { uniform = [1.0, 3.0] }\n"powerlaw.norm" = { log_uniform = [1e-5, 1e-2] }\n'
        "[inference]\nrounds = 3\n[inference.flow]\nlayers = 7\n[refine]\nsamples = 12345\n"
    )
    model = rontgen.Model("powerlaw", abundances="angr")
    described = rontgen.Run(BUILT_IN, model, PRIOR, rounds=3, flow={"layers": 7}, refine={"samples": 12345})
    read = rontgen.Run.read(file)
    words = lambda run: run.toml().split("[written_by]")[0]  # noqa: E731
    assert words(described) == words(read)
    assert "rounds = 3" in words(described) and "samples = 12345" in words(described) and "layers = 7" in words(described)
    changed = rontgen.Run.read(file, {"inference.rounds": 4, "parameters.powerlaw.PhoIndex": {"normal": [2.0, 0.1]}})
    assert "rounds = 4" in changed.toml() and changed.priors["powerlaw.PhoIndex"] .startswith("normal(2, 0.1)")


def test_the_kinds_of_priors_are_those_of_the_program():
    assert set(KINDS) == {name for name, _, _ in rontgen._rontgen.prior_kinds()}
    assert all(getattr(rontgen, kind)(1, 2) == {kind: [1.0, 2.0]} for kind in KINDS)
    assert all(kind in KINDS[kind].__doc__ for kind in KINDS)


def test_what_a_run_says_of_itself(run):
    assert run.names == ["tbabs.nH", "bbodyrad.kT", "bbodyrad.norm", "powerlaw.PhoIndex", "powerlaw.norm"]
    assert run.priors["bbodyrad.norm"] == "log_uniform(0.01, 100)"
    (own,) = run.observations
    assert own["statistic"] == "cstat" and own["exposure"] == 8000.0 and own["background"] is None
    assert len(own["e_min"]) == len(own["e_max"]) == len(own["counts"]) == len(run.counts)
    assert (own["e_min"] < own["e_max"]).all() and run.counts.sum() > 1000
    assert run.truth == dict(zip(run.names, [0.15, 0.9, 1.0, 1.9, 1e-3]))


def test_counts_of_a_mock_take_the_place_of_the_observed_ones(run):
    counts = np.arange(len(run.counts), dtype=float)
    assert (run.with_counts(counts).counts == counts).all()
    described = rontgen.Run(rontgen.Observation(BUILT_IN, counts=counts), "powerlaw", PRIOR)
    assert (described.counts == counts).all()
    assert (pickle.loads(pickle.dumps(described)).counts == counts).all()
    with pytest.raises(InputError, match="truth lacks tbabs.nH, bbodyrad.kT"):
        run.with_counts(counts, {"bbodyrad.norm": 1.0, "powerlaw.PhoIndex": 2.0, "powerlaw.norm": 1.0})


BAD = [
    (lambda: rontgen.Observation(5), "spectrum is 5; expected the name of a file"),
    (lambda: rontgen.Observation("x.pha", counts=[[1, 2]]), r"counts has the shape \(1, 2\); expected \(D,\)"),
    (lambda: rontgen.Run("missing.pha", "powerlaw", PRIOR), 'observation.spectrum = "missing.pha" is not found'),
    (lambda: rontgen.Run([], "powerlaw", PRIOR), "expected a rontgen.Observation or a list"),
    (lambda: rontgen.Run([5], "powerlaw", PRIOR), "observations holds 5"),
    (lambda: rontgen.Run(BUILT_IN, 7, PRIOR), "model is 7; expected a rontgen.Model"),
    (lambda: rontgen.Run(BUILT_IN, "powrlaw", PRIOR), "no component 'powrlaw'; did you mean 'powerlaw'"),
    (lambda: rontgen.Run(BUILT_IN, "tbabs*(powerlaw", PRIOR), "model expression"),
    (lambda: rontgen.Run(BUILT_IN, rontgen.Model("powerlaw", abundances="wlm"), PRIOR), "abundances"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", {}), "no prior or value for powerlaw.PhoIndex, powerlaw.norm"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", [1, 2]), "prior is a list; expected a dictionary"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", {**PRIOR, "powerlaw.gamma": 2}), "gamma"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", {**PRIOR, "powerlaw.norm": rontgen.uniform(2, 1)}), r"expected \[lo, hi\] with lo < hi"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", {"powerlaw.PhoIndex": 2, "powerlaw.norm": 1}), "there is nothing to infer"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", PRIOR, rouns=2), 'unknown key "rouns" in .inference.; the nearest known key is "rounds"'),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", PRIOR, rounds=0), "rounds is 0; expected a whole number from 1"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", PRIOR, refine=5), "refine is 5; expected a dictionary"),
    (lambda: rontgen.Run(rontgen.Observation(BUILT_IN, grouping="optimall"), "powerlaw", PRIOR), "optimall"),
    (lambda: rontgen.Run(rontgen.Observation(BUILT_IN, energies=[(5, 1)]), "powerlaw", PRIOR), r"energies is .*expected \[low, high\] in keV"),
    (lambda: rontgen.Run(rontgen.Observation(BUILT_IN, counts=[1.0]), "powerlaw", PRIOR), "expected 132"),
    (lambda: rontgen.Run(rontgen.Observation(BUILT_IN, counts=np.full(132, 0.5)), "powerlaw", PRIOR), r"counts\[0\] is 0.5; expected a whole number"),
    (lambda: rontgen.Run(BUILT_IN, "powerlaw", PRIOR, data="/no/such/folder"), "there is no such folder"),
    (lambda: rontgen.Run.read("/no/such/run.toml"), "the run file cannot be read"),
    (lambda: rontgen.infer(BUILT_IN), "model is missing"),
    (lambda: rontgen.infer(rontgen.demo(), "powerlaw"), "a rontgen.Run says model"),
    (lambda: rontgen.infer(rontgen.demo(), resume=True), "resume is for a run in a folder"),
    (lambda: rontgen.infer(rontgen.demo(), progress="bar"), "progress is 'bar'"),
    (lambda: rontgen.infer(rontgen.demo(), device=5), "device is 5"),
    (lambda: rontgen.load("/no/such/folder"), "there is no such folder"),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_refused_in_words(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_kinds_of_exceptions():
    with pytest.raises(rontgen.DeviceError, match='no adapter named "nonsense"'):
        rontgen.infer(rontgen.demo(), device="nonsense")
    assert issubclass(InputError, (rontgen.Error, ValueError)) and issubclass(rontgen.FileError, OSError)
    assert issubclass(rontgen.DeviceError, rontgen.Error) and issubclass(rontgen.RefusedWarning, rontgen.RontgenWarning)
