"""A posterior: draws, weights, evidence and verdict, and what is made of them."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _rontgen
from ._device import opened
from ._display import choose, tell
from ._errors import InputError, RefusedWarning

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from xarray import DataTree

    from ._run import Run


@dataclass(frozen=True)
class Light:
    """A light is a status with the reasons why it is not better."""

    status: str
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """A verdict says whether to believe a result: one light for the draws and one for the model.

    Attributes:
        status: Both in one word, the worse of the two: ``"trusted"``, ``"with care"`` or ``"refused"``.
        sampling: Whether the draws are those of the posterior: ``"trusted"``, ``"with care"`` or ``"refused"``.
        model: Whether the model can have made the data: ``"fits"``, ``"poor"`` or ``"does not describe"``.
        answer: What gave the draws, where it was not the refinement as it was asked for.
    """

    status: str
    sampling: Light
    model: Light
    answer: str | None = None

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the result."""
        return self.status == "trusted"

    @property
    def refused(self) -> bool:
        """Whether the result is not to be used."""
        return self.status == "refused"

    def __str__(self) -> str:
        lines = [f"sampling {self.sampling.status}; model {self.model.status}"]
        lines += [f"  {reason}" for light in (self.sampling, self.model) for reason in light.reasons]
        return "\n".join(lines)


def structured(table: NDArray[np.float64], names: Sequence[str]) -> NDArray[Any]:
    """The rows of a table (n, P) as a structured array (n,) whose fields have names; no copy is made."""
    table = np.ascontiguousarray(table)
    return table.view([(name, np.float64) for name in names]).reshape(len(table))


@dataclass(frozen=True)
class Derived:
    """What every draw of a posterior says of the source itself: fluxes, luminosities, equivalent widths.

    Attributes:
        samples: A row for each row of the posterior's `samples`, as a structured array (N,) named by quantity.
        quantities: Median, mean, std, quantiles (q05, q16, q84, q95), unit and, where there is one, limit, by name.
        warnings: What there is to say of them.
        document: Everything that ``derived.json`` of the command line holds.
    """

    samples: NDArray[Any]
    quantities: dict[str, dict[str, Any]]
    warnings: list[str]
    document: dict[str, Any]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{own['median']:.4g}</td><td>{own['q16']:.4g} to {own['q84']:.4g}</td>"
            f"<td>{html.escape(own['unit'])}</td></tr>"
            for name, own in self.quantities.items()
        )
        return f"<table><tr><th>quantity</th><th>median</th><th>68 %</th><th>unit</th></tr>{rows}</table>"


class Posterior:
    """The posterior of a run: equal-weight draws, the weighted ones that they were chosen from, and what there is to say of them.

    Made by :func:`rontgen.infer` and :func:`rontgen.load`. Physical units: keV, 1e22 cm-2, XSPEC's norms; log-likelihoods are -1/2 of the statistic.
    """

    def __init__(self, found: _rontgen.Posterior, run: Run | None, device: str) -> None:
        self._found = found
        self._run = run
        self._device = device

    @property
    def names(self) -> list[str]:
        """Names of the P parameters."""
        return self._found.names

    @cached_property
    def array(self) -> NDArray[np.float64]:
        """Equal-weight draws (N, P), in the order of `names`."""
        return self._found.samples

    @cached_property
    def samples(self) -> NDArray[Any]:
        """Equal-weight draws as a structured array (N,): ``p.samples["tbabs.nH"]``. ``pandas.DataFrame(p.samples)`` has them as a table."""
        return structured(self.array, self.names)

    @cached_property
    def _weighted(self) -> dict[str, NDArray[np.float64]]:
        return self._found.weighted

    @cached_property
    def weighted_samples(self) -> NDArray[Any]:
        """All draws of the refinement as a structured array (M,), a weight in `weights` for each."""
        return structured(self._weighted["samples"], self.names)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights (M,) of `weighted_samples`, not of `samples`, whose weights are equal."""
        return self._weighted["weight"]

    @property
    def log_prior(self) -> NDArray[np.float64]:
        """ln of the prior's density (M,) at each of `weighted_samples`."""
        return self._weighted["log_prior"]

    @property
    def log_likelihood(self) -> NDArray[np.float64]:
        """ln L (M,) at each of `weighted_samples`: -1/2 of the statistic."""
        return self._weighted["log_likelihood"]

    @property
    def log_proposal(self) -> NDArray[np.float64]:
        """ln of the density (M,) that each of `weighted_samples` was drawn from."""
        return self._weighted["log_q"]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Everything that ``summary.json`` of the command line holds: parameters, evidence, diagnostics, seconds, device."""
        return json.loads(self._found.summary)

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Median, mean, std, quantiles (q05, q16, q84, q95), unit, prior and, where there is one, limit of each parameter."""
        return self.summary["parameters"]

    @property
    def log_evidence(self) -> float:
        """ln Z, likelihoods being -1/2 of the statistic; NaN where it is not known."""
        return _number(self.summary["refine"]["log_z"])

    @property
    def log_evidence_error(self) -> float:
        """Standard error of `log_evidence`."""
        return _number(self.summary["refine"]["log_z_err"])

    @property
    def ess(self) -> float:
        """Effective sample size."""
        return _number(self.summary["refine"]["ess"])

    @cached_property
    def verdict(self) -> Verdict:
        """Whether to believe the result, and why not."""
        own = self.summary["verdict"]
        lights = [Light(own[name]["status"], own[name]["reasons"]) for name in ("sampling", "model")]
        return Verdict(own["status"], lights[0], lights[1], own.get("answer"))

    @property
    def warnings(self) -> list[str]:
        """What there was to say during the run."""
        return self.summary["warnings"]

    @property
    def folder(self) -> str | None:
        """The run's folder; None for a posterior in memory."""
        folder = self._found.folder
        return None if folder is None else os.fspath(folder)

    @property
    def data_sets(self) -> list[str]:
        """Names of the data sets, as `plot_spectrum` takes them."""
        return self._found.sets

    @property
    def device(self) -> str:
        """Name of the device that computed."""
        return self.summary["device"]["name"]

    @property
    def run(self) -> Run:
        """What was analysed. Of a folder it is read from the files that its run.toml names.

        Raises:
            InputError: files that are not found or have changed.
        """
        if self._run is None:
            from ._run import Run, load

            self._run = Run._of(self._found.case(), (_run_of, (load, self.folder), {}))
        return self._run

    def to_arviz(self, *, draws: int | None = None, log_likelihood: bool = True, prior_draws: int = 2000) -> DataTree:
        """Returns an xarray DataTree for ArviZ 1.x: posterior, sample_stats, log_likelihood per bin, observed_data, constant_data and prior.

        Needs xarray, and the run's data where `log_likelihood` is wanted. ``tree.to_netcdf("run.nc")`` writes it (with netCDF4, or h5netcdf and h5py).

        Args:
            draws: Equal-weight draws that are taken, the first ones, which are as good as any; all by default, but no more than 25 million
                log-likelihoods hold, with a warning.
            log_likelihood: Whether the group of the log-likelihoods (draws, D) is made: -1/2 of the statistic of each bin.
            prior_draws: Draws from the prior.
        """
        from ._arviz import tree

        return tree(self, draws, log_likelihood, prior_draws)

    def derive(
        self,
        *,
        flux: Any = (),
        photons: Any = (),
        luminosity: Any = (),
        unabsorbed: str | Sequence[str] = (),
        eqw: str | Sequence[str] = (),
        by_component: bool = False,
        redshift: float | None = None,
        cosmo: tuple[float, float, float] | None = None,
        device: str | None = None,
        progress: Any = None,
    ) -> Derived:
        """Derives fluxes and the like of every draw, as ``rontgen derive`` does.

        Args:
            flux: ``(low, high)`` in keV, or a list of such bands: erg/cm2/s.
            photons: The same in photons/cm2/s.
            luminosity: The same in erg/s, in bands of the source's frame; needs a redshift, the model's or `redshift`.
            unabsorbed: Multiplicative components; every band also without each of them (and without all).
            eqw: Additive components whose equivalent width [keV] is wanted.
            by_component: Every band also for each additive component.
            redshift, cosmo: For luminosities; cosmo is XSPEC's (H0, q0, Lambda0).
            device: By default the posterior's.

        Raises:
            InputError: bands and components that make no sense, and nothing to derive.
        """
        asked = {
            "flux": _bands(flux, "flux"),
            "photons": _bands(photons, "photons"),
            "luminosity": _bands(luminosity, "luminosity"),
            "unabsorbed": _words(unabsorbed),
            "eqw": _words(eqw),
            "by_component": bool(by_component),
            "redshift": None if redshift is None else float(redshift),
            "cosmo": None if cosmo is None else tuple(float(x) for x in cosmo),
        }
        display = choose(progress)
        try:
            names, values, document = self._found.derive(asked, opened(device or self._device), display)
        finally:
            if display is not None:
                display.close()
        read = json.loads(document)
        tell(read["warnings"])
        return Derived(structured(values, names), read["quantities"], read["warnings"], read)

    def plot_corner(self, figure: Figure | None = None) -> Figure:
        """Draws marginals and pairs of the posterior with matplotlib: the curves and outlines (68 and 95 %) of the report's corner plot."""
        from ._plots import corner

        return corner(self, figure)

    def plot_spectrum(self, data_set: str | None = None, *, unfolded: bool = False, figure: Figure | None = None) -> Figure:
        """Draws the observed spectrum with the posterior of the expected one and residuals: the numbers of the report's plot.

        Args:
            data_set: Name of the data set; by default the first.
            unfolded: The model before the instrument, E^2 F(E), with the data taken back with it.
            figure: A matplotlib figure to draw into.
        """
        from ._plots import spectrum

        return spectrum(self, data_set, unfolded, figure)

    def _warn(self) -> None:
        if self.verdict.refused:
            reasons = "; ".join(self.verdict.sampling.reasons + self.verdict.model.reasons)
            tell([f"the posterior is refused by its own diagnostics: {reasons}"], RefusedWarning)

    def __repr__(self) -> str:
        rows = [f"  {name:<24} {value} {unit}".rstrip() for name, (value, unit) in zip(self.names, self._found.estimates)]
        evidence = f"ln Z = {self.log_evidence:.3f} +- {self.log_evidence_error:.3f}"
        return "\n".join([f"<rontgen.Posterior: {len(self.array)} draws; {evidence}; {self.verdict}", *rows, ">"])

    def _repr_html_(self) -> str:
        colours = {"trusted": "#1a7f37", "fits": "#1a7f37", "with care": "#9a6700", "poor": "#9a6700"}
        lights = "".join(
            f'<li>{name}: <b style="color:{colours.get(light.status, "#cf222e")}">{html.escape(light.status)}</b>'
            + "".join(f"<br>{html.escape(reason)}" for reason in light.reasons)
            + "</li>"
            for name, light in (("sampling", self.verdict.sampling), ("model", self.verdict.model))
        )
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(name)}</td><td>{html.escape(value)}</td>"
            f"<td style='text-align:left'>{html.escape(unit)}</td><td style='text-align:left'>{html.escape(self.parameters[name]['prior'])}</td></tr>"
            for name, (value, unit) in zip(self.names, self._found.estimates)
        )
        cstat = self.summary["cstat"]
        statistic = (
            f"<p>ln Z = {self.log_evidence:.2f} ± {self.log_evidence_error:.2f}; statistic {_number(cstat['best']):.1f}, expected "
            f"{_number(cstat['expected']):.1f} ± {_number(cstat['expected_std']):.1f}; {len(self.array)} draws worth {self.ess:.0f}</p>"
        )
        head = "<tr><th style='text-align:left'>parameter</th><th>median, 68 %</th><th>unit</th><th>prior</th></tr>"
        return f"<ul>{lights}</ul><table>{head}{rows}</table>{statistic}"

    def __reduce__(self) -> Any:
        if self.folder is not None:
            from ._run import load

            return (load, (self.folder,))
        raise TypeError(
            "a Posterior in memory is not pickled; infer(..., out=FOLDER) and rontgen.load(FOLDER) keep it whole, to_arviz().to_netcdf(FILE) its draws"
        )


def _run_of(load: Any, folder: str) -> Run:
    return load(folder).run


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _bands(given: Any, what: str) -> list[tuple[float, float]]:
    try:
        pairs = [given] if len(given) == 2 and all(np.isscalar(end) for end in given) else list(given)
        return [(float(low), float(high)) for low, high in pairs]
    except (TypeError, ValueError):
        raise InputError(f"{what} is {given!r}; expected (low, high) in keV, or a list of such bands") from None


def _words(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else [str(word) for word in given]
