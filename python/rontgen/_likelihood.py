"""The exact likelihood, and simulations, in batches: for samplers and networks of one's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _rontgen
from ._describe import Model, Observation, numbers
from ._device import opened
from ._errors import InputError
from ._run import Run, as_run

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class _Engine:
    """A run laid out on a device, and its points as arrays."""

    def __init__(self, observations: Any, model: Any, prior: Any, device: str, data: Any) -> None:
        self.run = as_run(observations, model, prior, data)
        self.run._tell()
        self._asked = device
        self._engine = _rontgen.Engine(self.run._case, opened(device))
        self.names = self.run.names
        self.ndim = len(self.names)

    @property
    def device(self) -> str:
        """Name of the device that computes."""
        return self._engine.device

    @property
    def bins(self) -> int:
        """Kept bins of all data sets, D."""
        return self._engine.bins

    def _points(self, given: Any, what: str) -> tuple[NDArray[np.float64], bool]:
        """Points (n, P), and whether a single one (P,) was given."""
        names = self.names
        if isinstance(given, Mapping):
            known = {name.lower(): value for name, value in given.items()}
            unknown = [name for name in given if name.lower() not in [own.lower() for own in names]]
            missing = [name for name in names if name.lower() not in known]
            if unknown or missing:
                raise InputError(f"{what} names {', '.join(given)}; expected the free parameters {', '.join(names)}")
            columns = [np.asarray(known[name.lower()]) for name in names]
            try:
                given = np.stack(np.broadcast_arrays(*columns), axis=-1)
            except ValueError as error:
                raise InputError(f"{what}: expected numbers or arrays (n,): {error}") from None
        fields = getattr(getattr(given, "dtype", None), "names", None)
        if fields is not None:
            missing = [name for name in names if name not in fields]
            if missing:
                raise InputError(f"{what} lacks the columns {', '.join(missing)}")
            given = np.stack([given[name] for name in names], axis=-1)
        found = numbers(given, what, f"({self.ndim},) or (n, {self.ndim})").reshape(np.shape(given))
        if found.ndim not in (1, 2) or found.shape[-1] != self.ndim:
            raise InputError(
                f"{what} has the shape {np.shape(given)}; expected ({self.ndim},) or (n, {self.ndim}), a column for each of {', '.join(names)}"
            )
        return np.atleast_2d(found), found.ndim == 1

    def prior_transform(self, cube: ArrayLike) -> NDArray[np.float64]:
        """Returns physical parameters at points of the unit cube, (P,) or (n, P): the prior's quantile function."""
        points, single = self._points(cube, "cube")
        found = self._engine.physical(points)
        return found[0] if single else found

    def to_cube(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Returns points of the unit cube at physical parameters, (P,) or (n, P): the prior's distribution function."""
        points, single = self._points(theta, "theta")
        found = self._engine.to_cube(points)
        return found[0] if single else found

    def sample_prior(self, n: int, seed: int = 0) -> NDArray[np.float64]:
        """Returns n draws from the prior (n, P), physical."""
        return self._engine.prior(_whole(n, "n"), _whole(seed, "seed"), 0)

    def expected(self, theta: ArrayLike) -> NDArray[np.float32]:
        """Returns expected source counts, (D,) or (n, D), at physical parameters (P,) or (n, P).

        Raises:
            InputError: a point outside of the priors (the text names its row), where neither tables nor kept energies hold.
        """
        points, single = self._points(theta, "theta")
        found = self._engine.expected(points)
        return found[0] if single else found

    def __reduce__(self) -> Any:
        kept = {name: value for name, value in self.__dict__.items() if name in ("seed", "_row")}
        return (_rebuilt, (type(self), self.run, self._asked, kept))

    def __repr__(self) -> str:
        return f"<rontgen.{type(self).__name__} of {self.run.expression} on {self.device}: {self.ndim} parameters, {self.bins} bins>"


def _rebuilt(kind: Any, run: Run, device: str, kept: dict[str, Any]) -> Any:
    run._told = True
    made = kind(run, device=device)
    made.__dict__.update(kept)
    return made


def _whole(given: Any, what: str) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 0:
        raise InputError(f"{what} is {given!r}; expected a whole number, at least 0")
    return int(given)


class Likelihood(_Engine):
    """The exact likelihood of an observation: ln L = -1/2 of the statistic (-C-STAT/2, as XSPEC and BXA have it), in batches on any device.

    ``loglike(theta)`` takes physical parameters (P,) and returns a number, or (n, P) and returns (n,). Thousands of points in one call take little
    longer than one. Outside of the priors, and where the model cannot have made the data, ln L is minus infinity. The interpreter is free for
    other threads meanwhile.

    Args:
        observations, model, prior: As for :func:`rontgen.infer`; or a :class:`Run`; or the name of a run file alone.
        device: ``"auto"``, ``"gpu"``, ``"cpu"`` or part of an adapter's name.
        data: Folder in which files are looked for after the current one.

    With samplers::

        ultranest.ReactiveNestedSampler(loglike.names, loglike, loglike.prior_transform, vectorized=True)
        nautilus.Sampler(loglike.prior_transform, loglike, n_dim=loglike.ndim, vectorized=True, pass_dict=False)
        dynesty.NestedSampler(loglike, loglike.prior_transform, loglike.ndim)
        emcee.EnsembleSampler(64, loglike.ndim, loglike.log_posterior, vectorize=True)

    It is pickled as its description, and laid out again where it is read.
    """

    def __init__(
        self,
        observations: Run | Observation | list[Observation] | str | os.PathLike[str],
        model: Model | str | None = None,
        prior: Mapping[str, Any] | None = None,
        *,
        device: str = "auto",
        data: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(observations, model, prior, device, data)

    def __call__(self, theta: ArrayLike) -> Any:
        """Returns ln L at physical parameters: a number for (P,), (n,) for (n, P)."""
        points, single = self._points(theta, "theta")
        found = self._engine.ln_likelihood(points)
        return float(found[0]) if single else found

    def cube(self, cube: ArrayLike) -> Any:
        """Returns ln L at points of the unit cube: a number for (P,), (n,) for (n, P); minus infinity outside of it."""
        points, single = self._points(cube, "cube")
        found = self._engine.ln_likelihood_in_cube(points)
        return float(found[0]) if single else found

    def log_prior(self, theta: ArrayLike) -> Any:
        """Returns ln of the prior's density at physical parameters: a number for (P,), (n,) for (n, P)."""
        points, single = self._points(theta, "theta")
        found = self._engine.ln_prior(points)
        return float(found[0]) if single else found

    def log_posterior(self, theta: ArrayLike) -> Any:
        """Returns ln L plus ln of the prior's density: what samplers of unnormalised posteriors take."""
        points, single = self._points(theta, "theta")
        found = self._engine.ln_likelihood(points) + self._engine.ln_prior(points)
        return float(found[0]) if single else found

    def of_bins(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Returns the part of ln L that each of the D bins has, (D,) or (n, D); the parts of a row add up to ln L.

        Raises:
            InputError: a point outside of the priors.
        """
        points, single = self._points(theta, "theta")
        found = self._engine.ln_likelihood_of_bins(points)
        return found[0] if single else found


class Simulator(_Engine):
    """Expected counts and drawn spectra of a model seen by the instruments of its observations, as arrays.

    ``simulator(theta)`` takes physical parameters (P,) or (n, P) and returns drawn counts, (D,) or (n, D); every call draws other numbers, and a
    simulator of the same seed draws the same again. Where a statistic integrates over a background, spectra are drawn with one.

    Args:
        observations, model, prior, device, data: As for :class:`Likelihood`.
        seed: Seed of the draws.
    """

    def __init__(
        self,
        observations: Run | Observation | list[Observation] | str | os.PathLike[str],
        model: Model | str | None = None,
        prior: Mapping[str, Any] | None = None,
        *,
        device: str = "auto",
        data: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(observations, model, prior, device, data)
        self.seed = _whole(seed, "seed")
        self._row = 0

    def __call__(self, theta: ArrayLike, *, seed: int | None = None) -> NDArray[np.float64]:
        """Returns drawn counts, (D,) or (n, D), at physical parameters; with a `seed` always the same.

        Raises:
            InputError: a point outside of the priors, or one that expects more counts in a bin than can be drawn.
        """
        points, single = self._points(theta, "theta")
        if seed is None:
            drawn, _ = self._engine.draw(points, self.seed, self._row)
            self._row += len(points)
        else:
            drawn, _ = self._engine.draw(points, _whole(seed, "seed"), 0)
        return drawn[0] if single else drawn

    def simulate(self, n: int, *, seed: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Returns n parameters from the prior (n, P) and a spectrum for each (n, D): a training set.

        Every call draws others, as the simulator's own seed has them; with a `seed` always the same.
        """
        if seed is None:
            theta = self._engine.prior(_whole(n, "n"), self.seed, self._row)
            return theta, self(theta)
        theta = self.sample_prior(n, seed)
        return theta, self(theta, seed=seed)

    @property
    def observed(self) -> NDArray[np.float64]:
        """The observed counts (D,)."""
        return self.run.counts
