"""Several observations with backgrounds, and devices other than the CPU."""

import numpy as np
import pytest
import rontgen
from conftest import missing, needed

PRIOR = {
    "constant.factor": 1.0,
    "constant.factor@mos1": rontgen.log_normal(0.0, 0.1),
    "tbabs.nH": rontgen.uniform(0, 0.5),
    "bbodyrad.kT": rontgen.uniform(0.3, 3),
    "bbodyrad.norm": rontgen.log_uniform(0.01, 1),
    "powerlaw.PhoIndex": rontgen.uniform(0, 5),
    "powerlaw.norm": rontgen.log_uniform(1e-6, 1e-2),
}


@pytest.fixture(scope="module")
def pair(data):
    files = {"pn": "PN_spectrum_grp20.fits", "mos1": "MOS1_spectrum_grp.fits"}
    obs = [
        rontgen.Observation(file, name=name, response=f"{name.upper()}.rmf", arf=f"{name.upper()}.arf", background=f"{name.upper()}background_spectrum.fits", energies=(0.5, 10))
        for name, file in files.items()
    ]
    model = rontgen.Model("constant*tbabs*(bbodyrad+powerlaw)", abundances="wilm")
    return rontgen.Run(obs, model, PRIOR, data=data, seed=5, rounds=2, simulations=3000, refine={"samples": 20000}, output={"posterior_samples": 2000})


@pytest.mark.filterwarnings("ignore::rontgen.RontgenWarning")
def test_observations_are_analysed_together(pair, tmp_path):
    assert [own["name"] for own in pair.observations] == ["pn", "mos1"]
    assert all(own["statistic"] == "marginal" and own["background"] is not None for own in pair.observations)
    assert pair.names[0] == "constant.factor@mos1" or "constant.factor@mos1" in pair.names
    loglike = rontgen.Likelihood(pair, device="cpu")
    theta = loglike.sample_prior(200, seed=1)
    values, parts = loglike(theta), loglike.of_bins(theta)
    assert parts.shape == (200, len(pair.counts))
    finite = np.isfinite(values)
    np.testing.assert_allclose(parts.sum(axis=1)[finite], values[finite], rtol=1e-5, atol=0.05)
    p = pair.infer(device="cpu", progress=False)
    assert p.data_sets == ["pn", "mos1"] and p.verdict.sampling.status != "refused"
    assert 0.8 < p.parameters["constant.factor@mos1"]["median"] < 1.2
    needed("matplotlib", "xarray")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = [text.get_text() for text in p.plot_spectrum("mos1").axes[0].get_legend().get_texts()]
    assert "background" in labels and "powerlaw" in labels and "data" in labels
    plt.close("all")
    tree = p.to_arviz(draws=100)
    assert set(tree["log_likelihood"].data_vars) == {"pn", "mos1"}
    assert tree["constant_data"]["mos1 background"].shape == tree["observed_data"]["mos1"].shape
    # Drawn spectra come with a background, which expected source counts lack.
    simulator = rontgen.Simulator(pair, device="cpu")
    drawn = simulator(np.tile(p.array[0], (300, 1)))
    assert drawn.sum(axis=1).mean() > simulator.expected(p.array[0]).sum() * 1.01


def test_an_adapter_agrees_with_the_cpu(run, likelihood):
    """Software Vulkan, too: the shaders are the same."""
    found = rontgen.devices()
    if not found:
        missing("an adapter with compute shaders")
    own = rontgen.Likelihood(run, device=found[0]["name"])
    assert own.device == found[0]["name"]
    theta = own.sample_prior(64, seed=3)
    np.testing.assert_allclose(own.expected(theta), likelihood.expected(theta), rtol=2e-5)
    good = likelihood(theta) > -1e5
    np.testing.assert_allclose(own(theta)[good], likelihood(theta)[good], rtol=1e-4, atol=0.05)
    simulator, other = rontgen.Simulator(run, device=own.device), rontgen.Simulator(run, device="cpu")
    same = (simulator(theta, seed=1) == other(theta, seed=1)).mean()
    assert same > 0.99, same

    @rontgen.component(gamma=(2.0, -3.0, 10.0))
    def ownlaw(parameters, edges):
        power = 1.0 - parameters[:, :1]
        return (edges[1:] ** power - edges[:-1] ** power) / power

    prior = {"ownlaw.gamma": rontgen.uniform(1.1, 3), "ownlaw.norm": rontgen.log_uniform(1e-4, 1e-2)}
    model = rontgen.Model("ownlaw", components=[ownlaw])
    here, there = (rontgen.Likelihood("built-in", model, prior, device=device) for device in ("cpu", own.device))
    theta = here.sample_prior(600, seed=2)
    np.testing.assert_allclose(there.expected(theta), here.expected(theta), rtol=2e-5)
