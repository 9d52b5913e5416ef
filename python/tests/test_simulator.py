"""Drawn spectra: Poisson's, the same for any batches, other ones with every call."""

import pickle

import numpy as np
import pytest
import rontgen

THETA = [0.15, 0.9, 1.0, 1.9, 1e-3]


@pytest.fixture(scope="module")
def simulator(run):
    return rontgen.Simulator(run, device="cpu", seed=11)


def test_counts_are_poissons_about_the_expected_ones(simulator):
    n = 4000
    drawn, expected = simulator(np.tile(THETA, (n, 1)), seed=5), simulator.expected(THETA).astype(float)
    assert drawn.shape == (n, simulator.bins) and expected.shape == (simulator.bins,)
    assert (drawn == np.floor(drawn)).all() and drawn.min() >= 0
    pulls = (drawn.mean(axis=0) - expected) / np.sqrt(expected / n)
    # Of 132 normal numbers none lies beyond 5 in all but 1e-4 of all seeds; the seed is fixed.
    assert np.abs(pulls).max() < 5 and abs((pulls**2).mean() - 1) < 0.5
    ratio = drawn.var(axis=0) / expected
    assert abs(ratio.mean() - 1) < 0.02
    neighbours = np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]
    assert abs(neighbours) < 0.07


def test_a_seed_decides_the_draws_and_batches_do_not(simulator, run):
    theta = simulator.sample_prior(50, seed=9)
    whole = simulator(theta, seed=5)
    assert (whole == simulator(theta, seed=5)).all() and not (whole == simulator(theta, seed=6)).all()
    fresh, other = rontgen.Simulator(run, device="cpu", seed=11), rontgen.Simulator(run, device="cpu", seed=11)
    together = fresh(theta)
    apart = np.concatenate([other(theta[:20]), other(theta[20:])])
    assert (together == apart).all()
    assert not (fresh(theta) == together).all()
    moved = pickle.loads(pickle.dumps(other))
    assert moved.seed == 11 and (moved(theta) == other(theta)).all()


def test_training_sets(simulator):
    theta, spectra = simulator.simulate(30, seed=1)
    assert theta.shape == (30, 5) and spectra.shape == (30, simulator.bins)
    assert (theta == simulator.sample_prior(30, seed=1)).all()
    assert (simulator.observed == simulator.run.counts).all()
    assert simulator(THETA).shape == (simulator.bins,)


def test_training_sets_without_a_seed_go_on(run):
    one, other = rontgen.Simulator(run, seed=7), rontgen.Simulator(run, seed=7)
    first, second = one.simulate(20), one.simulate(20)
    assert not (first[0] == second[0]).any(axis=1).any()
    for found, wanted in zip(other.simulate(20) + other.simulate(20), first + second, strict=True):
        assert (found == wanted).all()
    assert (rontgen.Simulator(run, seed=8).simulate(20)[0] != first[0]).any()


def test_bad_seeds_and_points(simulator, run):
    for call, words in [
        (lambda: rontgen.Simulator(run, seed=-1), "seed is -1"),
        (lambda: simulator(THETA, seed=0.5), "seed is 0.5"),
        (lambda: simulator([5, 1, 1, 2, 1e-3]), "lies outside of the priors"),
        (lambda: simulator([1, 2]), r"theta has the shape \(2,\)"),
    ]:
        with pytest.raises(rontgen.InputError, match=words):
            call()
