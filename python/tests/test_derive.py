"""Fluxes of draws against sums of the model over its energies, and the command line's table."""

import subprocess

import numpy as np
import pytest
import rontgen

ERG_PER_KEV = 1.602176634e-9


def test_fluxes_are_integrals_of_the_model(posterior):
    found = posterior.derive(flux=(2, 10), photons=[(0.5, 2.0)], unabsorbed="tbabs", by_component=True, progress=False)
    assert len(found.samples) == len(posterior.samples)
    model, edges = rontgen.Model("tbabs*(bbodyrad+powerlaw)"), np.geomspace(2, 10, 4000)
    few = {name: posterior.samples[name][:20] for name in posterior.names}
    photons = model.evaluate(few, edges)
    energy = (photons * np.sqrt(edges[1:] * edges[:-1])).sum(axis=1) * ERG_PER_KEV
    np.testing.assert_allclose(found.samples["flux(2-10)"][:20], energy, rtol=2e-4)
    low = np.geomspace(0.5, 2, 4000)
    np.testing.assert_allclose(found.samples["photons(0.5-2)"][:20], model.evaluate(few, low).sum(axis=1), rtol=2e-4)
    parts = found.samples["flux(2-10;bbodyrad)"] + found.samples["flux(2-10;powerlaw)"]
    np.testing.assert_allclose(parts, found.samples["flux(2-10)"], rtol=1e-5)
    assert (found.samples["unabsorbed(2-10;tbabs)"] > found.samples["flux(2-10)"]).all()
    own = found.quantities["flux(2-10)"]
    assert own["unit"] == "erg/cm2/s" and own["median"] == pytest.approx(np.median(found.samples["flux(2-10)"]), rel=1e-3)
    assert "erg/cm2/s" in found._repr_html_()


def test_the_command_line_derives_the_same(program, folder):
    subprocess.run([program, "derive", folder, "--flux", "0.5", "10", "--device", "cpu", "--quiet"], check=True)
    table = np.loadtxt(folder / "derived.csv", delimiter=",", skiprows=1, ndmin=2)
    found = rontgen.load(folder, device="cpu").derive(flux=(0.5, 10), progress=False)
    assert (table[:, 0] == found.samples["flux(0.5-10)"]).all()


BAD = [
    (lambda p: p.derive(flux=5), r"flux is 5; expected \(low, high\) in keV"),
    (lambda p: p.derive(flux=("a", "b")), "expected .low, high. in keV"),
    (lambda p: p.derive(flux=(10, 2)), "10"),
    (lambda p: p.derive(), "nothing|expected"),
    (lambda p: p.derive(flux=(2, 10), unabsorbed="powerlaw"), "expected a multiplicative component"),
    (lambda p: p.derive(flux=(2, 10), unabsorbed="zphabs"), "zphabs"),
    (lambda p: p.derive(flux=(2, 10), redshift=0.1), "for luminosity"),
    (lambda p: p.derive(luminosity=(2, 10)), "redshift"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_what_cannot_be_derived_is_refused_in_words(posterior, call, words):
    with pytest.raises(rontgen.InputError, match=words):
        call(posterior)
