"""Samplers of other people's find the same posterior and evidence through the likelihood."""

import numpy as np
import pytest
from conftest import needed


def test_ultranest_finds_the_evidence(likelihood, posterior):
    needed("ultranest")
    import ultranest

    np.random.seed(1)
    sampler = ultranest.ReactiveNestedSampler(likelihood.names, likelihood, likelihood.prior_transform, vectorized=True, log_dir=None)
    found = sampler.run(min_num_live_points=200, dlogz=0.5, viz_callback=False, show_status=False)
    assert abs(found["logz"] - posterior.log_evidence) < 4 * max(found["logzerr"], 0.1)
    draws = found["samples"]
    for k, name in enumerate(posterior.names):
        own = posterior.parameters[name]
        assert draws[:, k].mean() == pytest.approx(own["mean"], abs=0.35 * own["std"]), name


def test_emcee_walks(likelihood, posterior):
    needed("emcee")
    import emcee

    sampler = emcee.EnsembleSampler(32, likelihood.ndim, likelihood.log_posterior, vectorize=True)
    sampler.random_state = np.random.RandomState(2).get_state()
    sampler.run_mcmc(posterior.array[:32], 400)
    draws = sampler.get_chain(discard=100, flat=True)
    for k, name in enumerate(posterior.names):
        own = posterior.parameters[name]
        assert draws[:, k].mean() == pytest.approx(own["mean"], abs=0.5 * own["std"]), name


def test_dynesty_and_nautilus_take_it_as_it_is(likelihood):
    needed("dynesty", "nautilus")
    import dynesty
    import nautilus

    one = dynesty.NestedSampler(likelihood, likelihood.prior_transform, likelihood.ndim, nlive=50, rstate=np.random.default_rng(1))
    one.run_nested(maxiter=60, print_progress=False)
    assert np.isfinite(one.results["logl"]).all() and one.results["samples"].shape[1] == likelihood.ndim
    other = nautilus.Sampler(likelihood.prior_transform, likelihood, n_dim=likelihood.ndim, n_live=200, vectorized=True, pass_dict=False, seed=1)
    other.run(n_like_max=400, verbose=False)
    assert np.isfinite(other.points).all() if hasattr(other.points, "shape") else other.n_like >= 400
