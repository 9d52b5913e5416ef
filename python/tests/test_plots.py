"""Figures of matplotlib show the numbers of the report's."""

import csv

import numpy as np
import pytest
import rontgen
from conftest import needed


@pytest.fixture(autouse=True)
def plt():
    needed("matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def table(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def drawn(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line.get_xydata()


def test_the_folded_figure_is_the_reports(posterior, folder):
    own = table(folder / "plots/spectrum.csv")
    figure = posterior.plot_spectrum()
    top, delta, ratio = figure.axes
    line = drawn(top, "model: median, 95 %")
    steps = line[np.isfinite(line[:, 1])]
    np.testing.assert_allclose(steps[0::2, 1], own["model_median [counts/s/keV]"], rtol=1e-12)
    np.testing.assert_allclose(steps[0::2, 0], own["e_min [keV]"], rtol=1e-12)
    np.testing.assert_allclose(steps[1::2, 0], own["e_max [keV]"], rtol=1e-12)
    for name in ("bbodyrad", "powerlaw"):
        part = drawn(top, name)
        np.testing.assert_allclose(part[np.isfinite(part[:, 1])][0::2, 1], own[f"component_{name} [counts/s/keV]"], rtol=1e-12)
    crosses = delta.containers[0][2][1].get_segments()
    np.testing.assert_allclose([np.mean(cross[:, 1]) for cross in crosses], own["delta [sigma]"], atol=1e-9)
    assert top.get_ylabel().startswith("counts") and ratio.get_xlabel() == "energy [keV]"
    assert top.get_yscale() == "log" and top.get_xscale() == "log"


def test_the_unfolded_figure_is_the_reports(posterior, folder):
    own, model = table(folder / "plots/unfolded.csv"), table(folder / "unfolded.csv")
    figure = posterior.plot_spectrum(unfolded=True)
    (ax,) = figure.axes
    line = drawn(ax, "model: median, 95 %")
    np.testing.assert_allclose(line[np.isfinite(line[:, 1])][0::2, 1], model["eemodel_median"], rtol=1e-12)
    crosses = ax.containers[0][2][0].get_segments()
    np.testing.assert_allclose([cross[0, 1] for cross in crosses], own["eedata [keV2 photons/cm2/s/keV]"], rtol=1e-12)


def test_the_corner_figure_has_the_posteriors_curves(posterior):
    figure = posterior.plot_corner()
    axes = np.array(figure.axes).reshape(5, 5)
    for k, name in enumerate(posterior.names):
        ax, values = axes[k, k], posterior.array[:, k]
        x, y = ax.lines[0].get_xydata().T
        assert posterior._found.estimates[k][0] in ax.get_title(loc="left")
        width = np.diff(ax.get_xlim())[0]
        # A density per unit of the axis: of (nearly) all draws.
        assert np.trapezoid(y, x) / width == pytest.approx(1, abs=0.03)
        assert np.average(x, weights=y) == pytest.approx(values.mean(), abs=0.2 * values.std())
        assert ax.get_xlim()[0] <= np.quantile(values, 0.005) and ax.get_xlim()[1] >= np.quantile(values, 0.995)
    for row in range(5):
        for column in range(row):
            # Two regions, each filled and drawn round; the larger one holds 95 % of the draws.
            patches = axes[row, column].patches
            assert len(patches) == 4
            pair = posterior.array[:, [column, row]]
            for patch, mass in ((patches[0], 0.95), (patches[2], 0.68)):
                assert patch.get_path().contains_points(pair).mean() == pytest.approx(mass, abs=0.08), (row, column, mass)
    assert not axes[0, 4].get_visible()


def test_a_figure_may_be_given(posterior, plt):
    figure = plt.figure()
    assert posterior.plot_spectrum(figure=figure) is figure
    with pytest.raises(rontgen.InputError, match='no data set is called "mos9"'):
        posterior.plot_spectrum("mos9")
