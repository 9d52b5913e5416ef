"""A posterior as ArviZ takes it: a tree of xarray's data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _rontgen
from ._display import tell
from ._errors import InputError

if TYPE_CHECKING:
    from xarray import DataTree

    from ._posterior import Posterior

#: Log-likelihoods that are held: 200 MB.
MOST = 25_000_000


def tree(posterior: Posterior, draws: int | None, log_likelihood: bool, prior_draws: int) -> DataTree:
    """Makes the tree; see :meth:`Posterior.to_arviz`."""
    try:
        import xarray as xr

        xr.DataTree
    except (ImportError, AttributeError) as error:
        raise ImportError("to_arviz needs xarray 2024.10 or newer: pip install 'rontgen[arviz]'") from error

    names, values = posterior.names, posterior.array
    n = len(values) if draws is None else draws
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= len(values):
        raise InputError(f"draws is {draws!r}; expected a whole number from 1 to {len(values)}, the draws that there are")
    refine = posterior.summary["refine"]
    attributes = {
        "inference_library": "rontgen",
        "inference_library_version": _rontgen.__version__,
        "verdict": posterior.verdict.status,
        "log_evidence": posterior.log_evidence,
        "log_evidence_error": posterior.log_evidence_error,
        "effective_sample_size": posterior.ess,
        "method": refine["method"],
        "seed": posterior.summary["seed"],
    }
    if reasons := "; ".join(posterior.verdict.sampling.reasons + posterior.verdict.model.reasons):
        attributes["verdict_reasons"] = reasons
    groups: dict[str, Any] = {}
    if log_likelihood:
        from ._likelihood import Likelihood

        posterior.run._told = True
        likelihood = Likelihood(posterior.run, device=posterior._device)
        if draws is None and n * likelihood.bins > MOST:
            n = max(MOST // likelihood.bins, 1)
            text = f"the log-likelihoods of all {len(values)} draws are too many: to_arviz takes the first {n}; draws=N takes as many as you say"
            tell([text])
        values = values[:n]
        sets, parts = posterior.run.observations, likelihood.of_bins(values)
        observed: dict[str, Any] = {}
        bins: dict[str, Any] = {}
        known: dict[str, Any] = {}
        coordinates: dict[str, Any] = {}
        start = 0
        for own, name in zip(sets, _variables([own["name"] for own in sets])):
            # ArviZ goes by one variable for each data set; names of dimensions are the file's.
            dimension = f"bin {own['name']}"
            width = len(own["counts"])
            bins[name] = (("chain", "draw", dimension), parts[None, :, start : start + width])
            observed[name] = ((dimension,), own["counts"])
            known[f"{name} e_min"] = ((dimension,), own["e_min"], {"units": "keV"})
            known[f"{name} e_max"] = ((dimension,), own["e_max"], {"units": "keV"})
            known[f"{name} exposure"] = ((), own["exposure"], {"units": "s"})
            if own["background"] is not None:
                known[f"{name} background"] = ((dimension,), own["background"])
            coordinates[dimension] = np.arange(width)
            start += width
        words = {
            "convention": "-1/2 of the fit statistic of each bin (-C-STAT/2 for Poisson counts)",
            "log_saturated": posterior.run._case.ln_saturated,
        }
        groups["log_likelihood"] = xr.Dataset(bins, coords={**_counted(n), **coordinates}, attrs=words)
        groups["observed_data"] = xr.Dataset(observed, coords=coordinates)
        groups["constant_data"] = xr.Dataset(known, coords=coordinates)
        drawn = likelihood.sample_prior(prior_draws, posterior.summary["seed"])
        groups["prior"] = _table(xr, names, drawn, posterior)
        lp = parts.sum(axis=1)
        prior = np.asarray(likelihood.log_prior(values))
        stats = {"log_likelihood": lp, "log_prior": prior, "lp": lp + prior}
        groups["sample_stats"] = xr.Dataset({k: (("chain", "draw"), v[None, :]) for k, v in stats.items()}, coords=_counted(n))
    groups["posterior"] = _table(xr, names, values[:n], posterior)
    order = ("posterior", "sample_stats", "log_likelihood", "prior", "observed_data", "constant_data")
    made = xr.DataTree.from_dict({name: groups[name] for name in order if name in groups})
    made.attrs.update(attributes)
    made["posterior"].attrs.update(attributes)
    return made


def _variables(sets: list[str]) -> list[str]:
    """Names of the data sets' variables: their own, with lines behind those that are a dimension's or another variable's."""
    taken = {"chain", "draw"} | {f"bin {name}" for name in sets}
    made = []
    for name in sets:
        while taken & (own := {name + end for end in ("", " e_min", " e_max", " exposure", " background")}):
            name += "_"
        taken |= own
        made.append(name)
    return made


def _counted(n: int) -> dict[str, Any]:
    return {"chain": [0], "draw": np.arange(n)}


def _table(xr: Any, names: list[str], values: np.ndarray, posterior: Posterior) -> Any:
    """Draws with a variable for each parameter."""
    units = [posterior.parameters[name]["unit"] for name in names]
    columns = {
        name: (("chain", "draw"), values[None, :, k], {"units": unit} if unit else {})
        for k, (name, unit) in enumerate(zip(names, units))
    }
    return xr.Dataset(columns, coords=_counted(len(values)))
