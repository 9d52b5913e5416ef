"""Models without an instrument, and components that Python functions compute."""

import pickle
import subprocess

import numpy as np
import pytest
import rontgen
from conftest import needed

EDGES = np.geomspace(0.3, 10, 200)
CALLS = []


@rontgen.component(gamma=(2.0, -3.0, 10.0), kind="additive")
def ownlaw(parameters, edges):
    """A power law: photons of density norm E^-gamma."""
    CALLS.append(len(parameters))
    power = 1.0 - parameters[:, :1]
    power = np.where(np.abs(power) < 1e-9, 1e-9, power)
    return (edges[1:] ** power - edges[:-1] ** power) / power


@rontgen.component(tau=(0.5, 0.0, 10.0), name="owncut", kind="multiplicative")
def _cut(parameters, edges):
    return np.exp(-parameters[:, :1] / np.sqrt(edges[1:] * edges[:-1]))


def test_a_power_law_is_one():
    model = rontgen.Model("powerlaw")
    found = model.evaluate({"powerlaw.PhoIndex": 1.7, "powerlaw.norm": 3.0}, EDGES)
    wanted = 3.0 * (EDGES[1:] ** -0.7 - EDGES[:-1] ** -0.7) / -0.7
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    rows = model.evaluate({"powerlaw.PhoIndex": [1.7, 2.5], "powerlaw.norm": 3.0}, EDGES)
    assert rows.shape == (2, 199) and (rows[0] == found).all()
    np.testing.assert_allclose(model.evaluate({"powerlaw.PhoIndex": 1.7, "powerlaw.norm": 3.0}, EDGES, device="cpu"), wanted, rtol=1e-5)
    assert model.evaluate({}, [1.0, 2.0]).shape == (1,)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A table in xillver's form, made of two grid points of each parameter and a reflection that rises with the photon index."""
    needed("astropy")
    from astropy.io import fits

    folder = tmp_path_factory.mktemp("data") / "tables"
    folder.mkdir()
    axes = {"Gamma": [1.4, 2.6], "A_Fe": [0.5, 3.0], "logXi": [0.0, 4.0], "Ecut": [50.0, 1000.0], "Incl": [18.0, 45.0, 80.0]}
    edges = np.geomspace(0.07, 1000.0, 401)
    low, high = edges[:-1], edges[1:]
    grid = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1).reshape(-1, len(axes))
    spectra = [10.0 ** point[2] * np.sqrt(low * high) ** -point[0] * (high - low) for point in grid]
    most = max(map(len, axes.values()))
    number = lambda name, of: fits.Column(name, "E", array=np.array([of(own) for own in axes.values()], dtype="f4"))
    parameters = [
        fits.Column("NAME", "12A", array=list(axes)),
        fits.Column("METHOD", "J", array=np.zeros(len(axes), dtype="i4")),
        number("INITIAL", lambda own: own[0]),
        number("DELTA", lambda own: 0.01),
        *[number(name, lambda own: own[0]) for name in ("MINIMUM", "BOTTOM")],
        *[number(name, lambda own: own[-1]) for name in ("TOP", "MAXIMUM")],
        fits.Column("NUMBVALS", "J", array=np.array(list(map(len, axes.values())), dtype="i4")),
        fits.Column("VALUE", f"{most}E", array=np.array([own + [0.0] * (most - len(own)) for own in axes.values()], dtype="f4")),
    ]
    head = fits.PrimaryHDU()
    head.header.update({"MODLNAME": "xillver", "MODLUNIT": "photons/cm^2/s", "REDSHIFT": False, "ADDMODEL": True})
    head.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "XSPEC TABLE MODEL", "HDUVERS": "1.0.0"})
    hdus = [
        fits.BinTableHDU.from_columns(parameters, name="PARAMETERS"),
        fits.BinTableHDU.from_columns([fits.Column("ENERG_LO", "E", array=low), fits.Column("ENERG_HI", "E", array=high)], name="ENERGIES"),
        fits.BinTableHDU.from_columns(
            [fits.Column("PARAMVAL", f"{len(axes)}E", array=grid.astype("f4")), fits.Column("INTPSPEC", "400E", array=np.array(spectra, dtype="f4"))],
            name="SPECTRA",
        ),
    ]
    hdus[0].header["NINTPARM"], hdus[0].header["NADDPARM"] = len(axes), 0
    fits.HDUList([head, *hdus]).writeto(folder / "xillver-test.fits")
    return folder


def test_reflection_has_its_tables_and_its_norm(tables, program, tmp_path, monkeypatch):
    values = {"xillver.gamma": 1.9, "xillver.norm": 2.0, "xillver.refl_frac": 1.0}
    model = rontgen.Model("xillver", xillver=tables)
    values = {name: value for name, value in values.items() if name in {own["name"] for own in model.parameters}}
    assert "xillver.norm" in values and len(values) > 1
    edges = np.geomspace(0.5, 10.0, 101)
    for renormalize in (False, True):
        own = rontgen.Model("xillver", xillver=tables, renormalize=renormalize)
        found = own.evaluate(values, edges)
        # The command line's numbers.
        out = tmp_path / "s.csv"
        sets = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        flags = ["--xillver", tables, "--energies", "0.5", "10", "100", "--out", out] + ["--renormalize"] * renormalize
        subprocess.run([program, "spectrum", "xillver", *sets, *flags], check=True)
        wanted = np.loadtxt(out, delimiter=",", skiprows=1)[:, 2]
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
        if renormalize:
            # norm photons/keV/cm2/s at 3 keV.
            at = own.evaluate(values, [2.999, 3.001])[0] / 0.002
            assert at == pytest.approx(2.0, rel=2e-3)
        else:
            plain = found
    assert abs(found / plain - 1).min() > 0.1
    # By a name in the folder of data, as a run finds it; by none at all the program looks there by itself.
    monkeypatch.setenv("RONTGEN_DATA", str(tables.parent))
    monkeypatch.chdir(tmp_path)
    assert (rontgen.Model("xillver", xillver="tables").evaluate(values, edges) == plain).all()


def test_keys_of_the_model_that_make_no_sense_are_refused():
    for more, says in [
        ({"xillver": "nowhere"}, "nowhere"),
        ({"xillver": 3}, "model.xillver is 3; expected the name of a folder"),
        ({"renormalize": "yes"}, "model.renormalize is 'yes'; expected True or False"),
    ]:
        with pytest.raises(rontgen.InputError, match=says):
            rontgen.Model("xillver", **more).evaluate({}, EDGES)
    with pytest.raises(rontgen.InputError, match="expected the name of a folder"):
        rontgen.Model("xillver", xillver=3).parameters


def test_parameters_are_listed():
    own = {each["name"]: each for each in rontgen.Model("tbabs*(powerlaw+powerlaw)").parameters}
    assert list(own) == ["tbabs.nH", "powerlaw.PhoIndex", "powerlaw.norm", "powerlaw_2.PhoIndex", "powerlaw_2.norm"]
    assert own["powerlaw.PhoIndex"]["min"] == -3 and own["tbabs.nH"]["unit"].startswith("1e22") or own["tbabs.nH"]["unit"]


def test_a_function_stands_anywhere_in_an_expression():
    own = rontgen.Model("owncut*(ownlaw+bbodyrad)", components=[ownlaw, _cut])
    values = {"ownlaw.gamma": [1.2, 2.2], "ownlaw.norm": [1.0, 2.0], "owncut.tau": 0.3, "bbodyrad.norm": 0.5}
    found = own.evaluate(values, EDGES)
    power = rontgen.Model("powerlaw+bbodyrad").evaluate(
        {"powerlaw.PhoIndex": [1.2, 2.2], "powerlaw.norm": [1.0, 2.0], "bbodyrad.norm": 0.5}, EDGES
    )
    np.testing.assert_allclose(found, power * np.exp(-0.3 / np.sqrt(EDGES[1:] * EDGES[:-1])), rtol=1e-10)


def test_a_simulation_asks_a_function_for_rows():
    prior = {"tbabs.nH": rontgen.uniform(0, 1)}
    ours = {**prior, "ownlaw.gamma": rontgen.uniform(1, 3), "ownlaw.norm": rontgen.log_uniform(1e-5, 1e-2)}
    theirs = {**prior, "powerlaw.PhoIndex": rontgen.uniform(1, 3), "powerlaw.norm": rontgen.log_uniform(1e-5, 1e-2)}
    counts = rontgen.demo(seed=3).counts
    obs = rontgen.Observation("built-in", counts=counts)
    own = rontgen.Likelihood(obs, rontgen.Model("tbabs*ownlaw", components=[ownlaw]), ours, device="cpu")
    known = rontgen.Likelihood(obs, rontgen.Model("tbabs*powerlaw", exact_grid=True), theirs, device="cpu")
    theta = own.sample_prior(1200, seed=1)
    CALLS.clear()
    np.testing.assert_allclose(own(theta), known(theta), rtol=1e-5)
    assert CALLS == [512, 512, 176]
    np.testing.assert_allclose(own.expected(theta), known.expected(theta), rtol=1e-5)
    again = pickle.loads(pickle.dumps(own))
    assert (again(theta) == own(theta)).all()


def test_a_posterior_with_a_function_is_that_of_the_same_component():
    short = {"rounds": 1, "simulations": 1000, "refine": {"samples": 10000}, "output": {"posterior_samples": 1000}}
    obs = rontgen.Observation("built-in", counts=rontgen.demo(seed=3).counts)
    model = rontgen.Model("tbabs*(bbodyrad+ownlaw)", components=ownlaw)
    prior = {"tbabs.nH": 0.15, "bbodyrad.kT": 0.9, "bbodyrad.norm": 1.0, "ownlaw.gamma": rontgen.uniform(1, 3), "ownlaw.norm": rontgen.log_uniform(1e-5, 1e-2)}
    found = rontgen.infer(obs, model, prior, device="cpu", progress=False, **short)
    assert abs(found.parameters["ownlaw.gamma"]["median"] - 1.9) < 4 * found.parameters["ownlaw.gamma"]["std"]
    with pytest.raises(rontgen.InputError, match="'ownlaw' is a Python function, which a folder cannot hold"):
        rontgen.infer(obs, model, prior, device="cpu", progress=False, out="never-made", **short)
    derived = found.derive(photons=(2, 10), by_component=True, progress=False)
    assert len(derived.samples) == len(found.samples) and len(derived.quantities) == 3


def test_what_a_function_raises_is_the_cause():
    @rontgen.component()
    def broken(parameters, edges):
        raise KeyError("table")

    @rontgen.component()
    def narrow(parameters, edges):
        return np.zeros(3)

    @rontgen.component()
    def words(parameters, edges):
        return "photons"

    @rontgen.component()
    def stopped(parameters, edges):
        raise KeyboardInterrupt

    def evaluate(own):
        return rontgen.Model(own.name, components=[own]).evaluate({}, EDGES)

    with pytest.raises(rontgen.InputError, match="broken: KeyError: 'table'") as caught:
        evaluate(broken)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(rontgen.InputError, match=r"shape \[3\]; expected \[1, 199\]"):
        evaluate(narrow)
    with pytest.raises(rontgen.InputError, match="words: .*ValueError|could not convert"):
        evaluate(words)
    with pytest.raises(KeyboardInterrupt):
        evaluate(stopped)
    prior = {"broken.norm": rontgen.log_uniform(1e-5, 1e-2)}
    model = rontgen.Model("broken", components=[broken])
    with pytest.raises(rontgen.InputError, match="KeyError: 'table'") as caught:
        rontgen.Likelihood("built-in", model, prior, device="cpu")([1e-3])
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_number_that_is_none_is_found():
    @rontgen.component()
    def undefined(parameters, edges):
        return np.full((len(parameters), len(edges) - 1), np.nan)

    model = rontgen.Model("undefined", components=[undefined])
    own = rontgen.Likelihood("built-in", model, {"undefined.norm": rontgen.log_uniform(1e-5, 1e-2)}, device="cpu")
    with pytest.raises(rontgen.InputError, match="not finite|not a number|undefined.norm"):
        own([1e-3])


BAD = [
    (lambda: rontgen.Model(5), "expression is 5"),
    (lambda: rontgen.Model("powerlaw", components=[5]), "components holds 5"),
    (lambda: rontgen.Model("powerlaw").evaluate({"powerlaw.gama": 2}, EDGES), "no parameter 'powerlaw.gama'"),
    (lambda: rontgen.Model("powerlaw").evaluate({"powerlaw.PhoIndex": 50}, EDGES), "outside its hard limits"),
    (lambda: rontgen.Model("powerlaw").evaluate({"powerlaw.PhoIndex": "soft"}, EDGES), "PhoIndex: expected an array of numbers"),
    (lambda: rontgen.Model("powerlaw").evaluate({"powerlaw.PhoIndex": [1, 2], "powerlaw.norm": [1, 2, 3]}, EDGES), "different shapes"),
    (lambda: rontgen.Model("powerlaw").evaluate({"powerlaw.PhoIndex": [[1]]}, EDGES), "have the shape"),
    (lambda: rontgen.Model("powerlaw").evaluate({}, [3, 2, 1]), "edges must ascend"),
    (lambda: rontgen.Model("powerlaw").evaluate({}, [3]), "expected at least two"),
    (lambda: rontgen.Model("powerlaw").evaluate({}, [[1, 2]]), "energies has the shape"),
    (lambda: rontgen.Component(5), "function is 5"),
    (lambda: rontgen.Component(print, {"a": (3.0, 0.0, 1.0)}), "expected least <= default <= largest"),
    (lambda: rontgen.Component(print, {"a": 5}), r"expected \(default, least, largest\)"),
    (lambda: rontgen.Component(print, {"a": {"default": 1}}), "expected default, min and max"),
    (lambda: rontgen.Model("own", components=[rontgen.Component(print, name="own", kind="convolution")]).parameters, "additive"),
    (lambda: rontgen.Model("powerlaw", components=[rontgen.Component(print, name="powerlaw")]).parameters, "XSPEC has a component of this name"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_models_are_refused_in_words(call, words):
    with pytest.raises(rontgen.InputError, match=words):
        call()
