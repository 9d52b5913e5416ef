"""The likelihood against one that is written here, in both coordinates, from threads and processes."""

import multiprocessing
import pickle
import threading

import numpy as np
import pytest
import rontgen
from rontgen import InputError


def cstat(counts, expected):
    """Cash's statistic with Castor's constant, by bin."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(counts > 0, counts * np.log(counts / expected), 0.0)
    return 2 * (expected - counts + logs)


@pytest.fixture(scope="module")
def points(likelihood):
    return likelihood.prior_transform(np.random.default_rng(4).random((500, likelihood.ndim)))


def test_ln_l_is_minus_half_of_cstat(likelihood, run, points):
    expected = likelihood.expected(points).astype(float)
    assert expected.shape == (500, likelihood.bins)
    parts = -0.5 * cstat(run.counts, expected)
    found, of_bins = likelihood(points), likelihood.of_bins(points)
    assert found.shape == (500,) and found.dtype == np.float64 and of_bins.shape == expected.shape
    # Both take the same expected counts in single precision; ln L itself is handed on in single precision.
    np.testing.assert_allclose(of_bins, parts, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found, parts.sum(axis=1), rtol=2e-7, atol=2e-3)


def test_both_coordinates_and_single_points_agree(likelihood, points):
    cube = likelihood.to_cube(points)
    np.testing.assert_allclose(likelihood.prior_transform(cube), points, rtol=1e-9)
    # A step of single precision in the cube is one in ln L where that is steep.
    good = likelihood(points) > -4000
    assert good.sum() > 10
    np.testing.assert_allclose(likelihood.cube(cube)[good], likelihood(points)[good], rtol=1e-4)
    one = likelihood(points[0])
    assert isinstance(one, float) and one == likelihood(points)[0]
    assert likelihood.prior_transform(cube[0]).shape == (likelihood.ndim,)
    assert likelihood(dict(zip(likelihood.names, points.T)))[5] == likelihood(points)[5]
    assert likelihood(dict(zip(likelihood.names, points[5]))) == likelihood(points)[5]


def test_the_prior_is_the_one_that_was_asked_for(likelihood, points):
    low, high = 0.01, 100.0
    theta = likelihood.prior_transform(np.full(5, 0.25))
    assert theta[0] == pytest.approx(0.25) and theta[2] == pytest.approx(low * (high / low) ** 0.25)
    widths = -np.log([1.0, 2.9, 3.5]).sum() - np.log(np.log(high / low)) - np.log(np.log(1e3)) - np.log(points[:, [2, 4]]).sum(axis=1)
    np.testing.assert_allclose(likelihood.log_prior(points), widths, rtol=1e-9)
    np.testing.assert_allclose(likelihood.log_posterior(points), likelihood(points) + widths, rtol=1e-12)
    outside = points.copy()
    outside[3, 0] = 1.5
    assert likelihood(outside)[3] == -np.inf and likelihood.log_posterior(outside)[3] == -np.inf
    assert np.isfinite(likelihood(outside)).sum() == len(points) - 1
    assert likelihood.cube(np.full(5, 1.0001)) == -np.inf and likelihood([np.nan] * 5) == -np.inf
    draws = likelihood.sample_prior(20000, seed=1)
    assert abs(draws[:, 0].mean() - 0.5) < 0.01 and (draws == likelihood.sample_prior(20000, seed=1)).all()


def test_no_points_give_no_numbers(likelihood):
    assert likelihood(np.empty((0, 5))).shape == (0,) and likelihood.expected(np.empty((0, 5))).shape == (0, likelihood.bins)


BAD = [
    (lambda own: own(np.zeros((3, 4))), r"theta has the shape \(3, 4\); expected \(5,\) or \(n, 5\), a column for each of tbabs.nH"),
    (lambda own: own(np.zeros((2, 3, 5))), r"theta has the shape \(2, 3, 5\)"),
    (lambda own: own(0.5), r"theta has the shape \(\)"),
    (lambda own: own("abc"), "expected an array of numbers"),
    (lambda own: own([[1, 2], [3]]), "expected an array of numbers|shape"),
    (lambda own: own(np.zeros((1, 5), dtype=complex)), "expected an array of numbers"),
    (lambda own: own({"tbabs.nH": 0.1}), "expected the free parameters"),
    (lambda own: own({**dict.fromkeys(own.names, 0.1), "x.y": 1}), "expected the free parameters"),
    (lambda own: own.cube([0.1]), "cube has the shape"),
    (lambda own: own.expected([[0.1, 1, 1, 2, 1e-3], [5, 1, 1, 2, 1e-3]]), r"point 1 \(from 0\).*lies outside of the priors"),
    (lambda own: own.sample_prior(-1), "n is -1"),
    (lambda own: own.sample_prior(2.5), "n is 2.5"),
]


@pytest.mark.parametrize(("call", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_arrays_are_refused_in_words(likelihood, call, words):
    with pytest.raises(InputError, match=words):
        call(likelihood)


def test_a_pickled_likelihood_is_the_same(likelihood, points):
    again = pickle.loads(pickle.dumps(likelihood))
    assert again.names == likelihood.names and again.device == likelihood.device
    assert (again(points) == likelihood(points)).all()


def _of_child(likelihood, points):
    return likelihood(points)


def test_spawned_processes_work(likelihood, points):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert (pool.apply(_of_child, (likelihood, points[:5])) == likelihood(points[:5])).all()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_says_why_it_cannot(likelihood, points):
    likelihood(points[:1])
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child():
        try:
            theirs.send(("worked", likelihood(points[:1])))
        except Exception as error:
            theirs.send((type(error).__name__, str(error)))

    process = context.Process(target=child)
    process.start()
    assert ours.poll(60), "the forked process hangs"
    name, words = ours.recv()
    process.join()
    assert name == "ForkError" and "spawn" in words, words


def test_other_threads_run_meanwhile_and_may_ask_too(likelihood, points):
    many = np.tile(points, (100, 1))
    expected, counted, results = likelihood(points), [0], []
    done = threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1

    def ask():
        results.append(likelihood(many))

    others = [threading.Thread(target=ask) for _ in range(3)]
    counter = threading.Thread(target=count)
    [thread.start() for thread in [counter, *others]]
    [thread.join() for thread in others]
    done.set()
    counter.join()
    assert counted[0] > 1000 and len(results) == 3
    assert all((found.reshape(100, -1) == expected).all() for found in results)


def test_threads_do_not_change_a_result():
    """As the command line: the same numbers for any number of threads."""
    import os
    import subprocess
    import sys

    code = (
        "import rontgen, numpy as np; own = rontgen.Likelihood(rontgen.demo(), device='cpu');"
        "print(own(own.sample_prior(64, seed=2)).tobytes().hex())"
    )
    found = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "RAYON_NUM_THREADS": n}, capture_output=True, text=True, check=True).stdout
        for n in ("1", "3")
    }
    assert len(found) == 1 and len(found.pop()) > 1000
