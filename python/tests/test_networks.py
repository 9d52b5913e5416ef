"""The networks of a run, written by the program, evaluated by what docs/networks.md says: against the densities of the run's own draws."""

import subprocess
import warnings

import numpy as np
import pytest
import rontgen
from conftest import ROOT, needed

SHORT = {
    "rounds": 2,
    "simulations": 1500,
    "max_rounds": 2,
    "refine": {"samples": 3000, "fallback": "none", "polish": False},
    "output": {"posterior_samples": 500},
}
SMALL = {"transforms": 3, "hidden": 24, "layers": 2, "bins": 6, "components": 3}


@pytest.fixture(scope="module")
def read():
    needed("safetensors")
    code = (ROOT / "docs/networks.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code, names)
    return names["Networks"]


def cube(posterior):
    """The weighted draws in the prior's unit cube."""
    likelihood = rontgen.Likelihood(posterior.run, device="cpu")
    return likelihood.to_cube(np.stack([posterior.weighted_samples[name] for name in posterior.names], axis=1))


def exported(read, program, tmp_path, settings):
    """Networks, ln of the density that they give the run's draws, and what the run itself says of it."""
    folder, file = tmp_path / "out", tmp_path / "n.safetensors"
    with warnings.catch_warnings():
        # A short training need not be one to trust.
        warnings.simplefilter("ignore", rontgen.RontgenWarning)
        posterior = rontgen.demo(seed=4, **{**SHORT, **settings}).infer(device="cpu", progress=False, out=folder)
        networks = written(read, program, folder, file)
        found = networks.log_density(cube(posterior), networks.arrays["context.observed"])
    return networks, found, posterior.log_proposal - posterior.log_prior


def written(read, program, folder, file):
    done = subprocess.run([program, "export", folder, "--networks", file, "--device", "cpu"], capture_output=True, text=True)
    # Of a posterior that is refused exports say so, and are written all the same.
    assert done.returncode == (4 if "IS REFUSED" in done.stderr else 0), done.stderr
    return read(file)


@pytest.mark.parametrize(
    "settings",
    [
        {"density": "maf", "flow": SMALL},
        {"density": "maf", "flow": {**SMALL, "ensemble": 3}},
        {"density": "nsf", "flow": SMALL},
        {"density": "maf_rqs", "flow": SMALL},
        {"density": "mdn", "flow": SMALL},
        {"density": "made", "flow": SMALL},
        {"density": "maf", "flow": SMALL, "summary": "embedding"},
    ],
    ids=lambda settings: " ".join([settings["density"], settings.get("summary", ""), str(settings["flow"].get("ensemble", ""))]).strip(),
)
def test_the_file_is_the_density_that_draws_came_from(settings, read, program, tmp_path):
    networks, found, wanted = exported(read, program, tmp_path, settings)
    assert networks.about["density"] == settings["density"] and networks.about["flows"] == settings["flow"].get("ensemble", 1)
    assert [own["name"] for own in networks.about["parameters"]][0] == "tbabs.nH"
    assert len(wanted) == 3000 and np.ptp(wanted) > 5
    # The run computes in single precision.
    assert np.quantile(np.abs(found - wanted), 0.99) < 2e-3 and np.abs(found - wanted).max() < 0.05


@pytest.mark.parametrize("summary", ["signal", "autoencoder", "embedding", "pca", "none", "spectral"])
def test_the_file_makes_the_context(summary, read, program, tmp_path):
    networks, _, _ = exported(read, program, tmp_path, {"summary": summary, "flow": SMALL, "autoencoder": {"latent": 6, "hidden": [30, 18], "epochs": 5}})
    about, arrays = networks.about["summary"], networks.arrays
    assert about["kind"] == summary and not about["exposure"] and not about["background"]
    assert len(arrays["context.observed"]) == len(arrays["context.mean"])
    if summary == "spectral":
        assert not [name for name in arrays if name.startswith("summary.")]
        return
    made = networks.summary(arrays["observed"][None])[0]
    np.testing.assert_allclose(made, arrays["context.observed"], rtol=2e-4, atol=2e-4 * np.abs(made).max())


def test_amortised_networks_know_of_other_exposures(read, program, tmp_path):
    settings = {"amortised": {"enabled": True, "exposure": [1000.0, 50000.0]}, "rounds": 1, "flow": SMALL}
    networks, found, wanted = exported(read, program, tmp_path, settings)
    arrays = networks.arrays
    made = networks.summary(arrays["observed"][None])[0]
    assert networks.about["summary"]["exposure"] and len(arrays["context.observed"]) == len(made) + 1
    assert arrays["context.observed"][-1] == 0.0
    assert np.quantile(np.abs(found - wanted), 0.99) < 2e-3
    # Another exposure is another density.
    other = networks.log_density(np.full((1, 5), 0.5), np.append(made, np.log(0.2)))
    assert abs(other - networks.log_density(np.full((1, 5), 0.5), arrays["context.observed"]))[0] > 1e-3


def test_a_run_without_networks_has_none_to_write(program, tmp_path):
    folder = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rontgen.RontgenWarning)
        rontgen.demo(seed=4, method="nested", reference={"live": 60}, output={"posterior_samples": 200}).infer(device="cpu", progress=False, out=folder)
    done = subprocess.run([program, "export", folder, "--networks", tmp_path / "n.safetensors", "--latex", tmp_path / "t.tex"], capture_output=True, text=True)
    assert done.returncode == 2 and "trained no networks" in done.stderr
    assert not (tmp_path / "n.safetensors").exists() and not (tmp_path / "t.tex").exists()
