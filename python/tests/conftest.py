"""`pip install . -r python/tests/requirements.txt`, then `pytest`. The tests run against the installed package, with the built-in instrument; those on observed spectra look in RONTGEN_DATA, else ../shared/data
beside the checkout, and are reported as skipped where it is missing (as failed with CI=true)."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IN_CI = os.environ.get("CI") == "true"
#: Settings that make a demonstration short.
SHORT = {"rounds": 2, "simulations": 2000, "refine": {"samples": 20000}, "output": {"posterior_samples": 4000}}


def missing(what: str) -> None:
    """Skips a test for want of something; with CI=true nothing may be missing."""
    if IN_CI:
        pytest.fail(f"{what} is missing, and with CI=true no test may be left out")
    pytest.skip(f"{what} is missing")


def needed(*modules: str) -> None:
    """Skips a test for want of other software."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            missing(f"the package {module}")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of observed spectra."""
    folder = Path(os.environ.get("RONTGEN_DATA") or ROOT / "../shared/data")
    if not folder.is_dir():
        missing(f"the folder of observed spectra, {folder},")
    return folder


@pytest.fixture(scope="session")
def program() -> str:
    """The command line's program."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    found = shutil.which(os.environ.get("RONTGEN_PROGRAM") or str(target / "release/rontgen"))
    if found is None:
        missing("the program rontgen (cargo build --release)")
    return found


@pytest.fixture(scope="session")
def run():
    """The demonstration."""
    import rontgen

    return rontgen.demo(seed=3, **SHORT)


@pytest.fixture(scope="session")
def posterior(run):
    """Its posterior, in memory."""
    return run.infer(device="cpu", progress=False)


@pytest.fixture(scope="session")
def folder(run, tmp_path_factory):
    """The folder of the same run."""
    out = tmp_path_factory.mktemp("demo") / "out"
    run.infer(device="cpu", progress=False, out=out)
    return out


@pytest.fixture(scope="session")
def likelihood(run):
    """Its likelihood."""
    import rontgen

    return rontgen.Likelihood(run, device="cpu")
