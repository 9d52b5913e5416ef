"""The package itself: stubs that agree with the binary, docstrings, what an import costs and does."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import rontgen


def test_the_stubs_are_those_of_the_binary():
    tree = ast.parse((Path(rontgen.__file__).parent / "_rontgen.pyi").read_text())
    named = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    found = {name for name in dir(rontgen._rontgen) if not name.startswith("_")}
    assert named == found
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            own = getattr(rontgen._rontgen, node.name)
            wanted = {each.name for each in node.body if isinstance(each, ast.FunctionDef)} - {"__new__"}
            assert wanted == {name for name in vars(own) if not name.startswith("_")}, node.name
    assert (Path(rontgen.__file__).parent / "py.typed").is_file()


def test_everything_public_is_documented():
    for name in rontgen.__all__:
        own = getattr(rontgen, name)
        if name == "__version__":
            continue
        assert inspect.getdoc(own), name
        if inspect.isclass(own) and not issubclass(own, BaseException):
            for member, value in vars(own).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert inspect.getdoc(value), f"{name}.{member}"


def test_an_import_loads_no_more_than_numpy():
    code = "import sys, rontgen; print([name for name in ('matplotlib', 'xarray', 'pandas', 'scipy', 'IPython') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_devices_are_listed():
    for own in rontgen.devices():
        assert set(own) == {"name", "backend", "kind", "auto"} and own["name"]


def test_nothing_is_printed(tmp_path):
    """Neither by an import nor by a likelihood: what there is to say is a warning or an exception."""
    code = "import rontgen; own = rontgen.Likelihood(rontgen.demo()); own([0.15, 0.9, 1.0, 1.9, 1e-3])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "" and done.stderr == ""
