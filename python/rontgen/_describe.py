"""What is analysed: observations, models, priors and components of one's own."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _rontgen, _toml
from ._device import opened
from ._errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

def _choice(given: Any) -> Any:
    """The file that a key names; `False` does without."""
    return "none" if given is False else given


class Observation:
    """An observation says which files are analysed, at which energies, and how channels are joined. Nothing is read before it is needed.

    Args:
        spectrum: The spectrum (PHA), relative to the current folder, or found in `data` (RONTGEN_DATA); ``"file{3}"`` is row 3 of a
            PHA-II table.
        response: The response (RMF, RSP); by default what RESPFILE of the spectrum names.
        arf: The effective area; by default what ANCRFILE names. ``"none"`` (or False) does without.
        background: The background spectrum; by default what BACKFILE names. ``"none"`` (or False) does without.
        energies: ``(low, high)`` in keV, or a list of such ranges, ascending and disjoint; a bin counts when it lies wholly inside.
            By default every channel.
        grouping: ``"file"``, ``"none"``, ``"optimal"``, ``{"min_counts": 20}``, or a list of ``(low, high, channels per bin)``.
        name: What plots and tables call it; parameters of its own are called NAME@SET.
        statistic: ``"auto"``, ``"cstat"``, ``"marginal"``, ``"wstat"``, ``"pgstat"`` or ``"chi2"``.
        counts: Counts of the kept bins (D,) in place of the observed ones: a mock.
        more: Further keys of ``[observation]`` in a run file: ``rows``, ``systematic``, ``background_prior``, ``mismatch``.

    Mistakes are found when the observation is used, with the words of the program: :class:`rontgen.InputError`.
    """

    def __init__(
        self,
        spectrum: str | os.PathLike[str],
        *,
        response: str | os.PathLike[str] | None = None,
        arf: str | os.PathLike[str] | bool | None = None,
        background: str | os.PathLike[str] | bool | None = None,
        energies: Any = None,
        grouping: Any = None,
        name: str | None = None,
        statistic: str | None = None,
        counts: ArrayLike | None = None,
        **more: Any,
    ) -> None:
        if not isinstance(spectrum, (str, os.PathLike)):
            raise InputError(f"spectrum is {spectrum!r}; expected the name of a file")
        pair = isinstance(energies, (tuple, list)) and len(energies) == 2 and all(np.isscalar(e) for e in energies)
        if energies is not None and not pair:
            energies = [list(each) if isinstance(each, (tuple, list)) else each for each in energies]
        keys = {
            "name": name,
            "spectrum": os.fspath(spectrum),
            "response": response,
            "arf": _choice(arf),
            "background": _choice(background),
            "energies": energies,
            "grouping": grouping,
            "statistic": statistic,
        }
        self._prior = more.pop("background_prior", None)
        self._keys = {**keys, **more}
        self._counts: NDArray[np.float64] | None = None if counts is None else np.array(counts, dtype=float, ndmin=1)
        if self._counts is not None and self._counts.ndim != 1:
            raise InputError(f"counts has the shape {self._counts.shape}; expected (D,), one for each kept bin")

    def with_counts(self, counts: ArrayLike) -> Observation:
        """Returns the same observation with other counts (D,), those of the kept bins: a mock."""
        other = Observation.__new__(Observation)
        other.__dict__.update(self.__dict__)
        other._counts = np.array(counts, dtype=float, ndmin=1)
        if other._counts.ndim != 1:
            raise InputError(f"counts has the shape {other._counts.shape}; expected (D,), one for each kept bin")
        return other

    def _lines(self, several: bool) -> list[str]:
        head = "[[observation]]" if several else "[observation]"
        lines = _toml.section(head, self._keys, "observation")
        if self._prior is not None:
            lines += _toml.section("[observation.background_prior]", self._prior, "observation.background_prior")
        return lines

    def __repr__(self) -> str:
        said = ", ".join(f"{key}={given!r}" for key, given in self._keys.items() if given is not None and key != "spectrum")
        counts = "" if self._counts is None else f", counts=<{len(self._counts)}>"
        return f"Observation({self._keys['spectrum']!r}{', ' if said else ''}{said}{counts})"


class Component:
    """A spectral component that a Python function computes, for all rows of a batch at once.

    Args:
        function: ``function(parameters, edges)`` with parameters (n, P), in the order of `parameters` and without the norm, and edges (E+1,)
            in keV. It returns (n, E): photons/cm2/s in each bin for norm 1 (additive), or the factor (multiplicative).
        parameters: Of each parameter ``(default, least, largest)``, with a unit and a flag that freezes it by default behind them where
            wanted: ``{"fold": (2.0, 0.1, 100.0, "keV")}``, or a dictionary with ``default``, ``min``, ``max``, ``unit``, ``frozen``.
        name: What expressions call it; by default the function's name. It must be none of XSPEC's.
        kind: ``"additive"`` (it gets a ``norm`` as its last parameter) or ``"multiplicative"``.

    The function is called by one thread at a time, never once a spectrum in a simulation. What it raises becomes the cause of
    :class:`rontgen.InputError`.
    """

    def __init__(
        self,
        function: Callable[[NDArray[np.float64], NDArray[np.float64]], ArrayLike],
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        kind: str = "additive",
    ) -> None:
        if not callable(function):
            raise InputError(f"function is {function!r}; expected a function of parameters (n, P) and edges (E+1,)")
        self.function = function
        self.name = name if name is not None else getattr(function, "__name__", "")
        self.kind = kind
        self.parameters = [_parameter(self.name, key, given) for key, given in (parameters or {}).items()]

    def __call__(self, parameters: NDArray[np.float64], edges: NDArray[np.float64]) -> Any:
        return self.function(parameters, edges)

    def __reduce__(self) -> Any:
        # A decorated function is found where it was written, under the name that is now this object's.
        module, name = getattr(self.function, "__module__", None), getattr(self.function, "__qualname__", "")
        if module is not None and "<" not in name and _named(module, name) is self:
            return (_named, (module, name))
        return super().__reduce__()

    def __repr__(self) -> str:
        return f"Component({self.name!r}, {self.kind!r}, {[p[0] for p in self.parameters]})"


def _named(module: str, name: str) -> Any:
    """What a module calls `name`."""
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _parameter(component: str, name: str, given: Any) -> tuple[str, str, float, float, float, bool]:
    if isinstance(given, Mapping):
        unknown = set(given) - {"default", "min", "max", "unit", "frozen"}
        if unknown or not {"default", "min", "max"} <= set(given):
            raise InputError(f"{component}.{name} is {dict(given)!r}; expected default, min and max, and unit and frozen where wanted")
        given = (given["default"], given["min"], given["max"], given.get("unit", ""), given.get("frozen", False))
    try:
        default, least, largest, *rest = given
        unit, frozen = (list(rest) + ["", False][len(rest) :])[:2]
        numbers = float(default), float(least), float(largest)
    except (TypeError, ValueError):
        raise InputError(f"{component}.{name} is {given!r}; expected (default, least, largest), a unit behind it where wanted") from None
    if not numbers[1] <= numbers[0] <= numbers[2]:
        raise InputError(f"{component}.{name} is {given!r}; expected least <= default <= largest")
    return (name, str(unit), *numbers, bool(frozen))


def component(*, name: str | None = None, kind: str = "additive", **parameters: Any) -> Callable[[Callable], Component]:
    """Makes a :class:`Component` of the function below it: ``@rontgen.component(fold=(2.0, 0.1, 100.0, "keV"))``."""
    return lambda function: Component(function, parameters, name=name, kind=kind)


class Model:
    """A spectral model in XSPEC's notation.

    Args:
        expression: Such as ``"tbabs*(bbodyrad+powerlaw)"``: XSPEC's names without regard to case; repeated components get _2, _3.
        abundances: The table of abundances: ``"wilm"``, ``"angr"``, ...
        cross_sections: ``"vern"``, ``"bcmc"`` or ``"obcm"``.
        components: :class:`Component` objects that the expression may name.
        named: Further models with a response of their own, as ``[models.NAME]`` of a run file: ``{"nxb": {"expression": "powerlaw",
            "part": "background"}}``.
        more: Further keys of ``[model]``: ``exact_grid``, ``atomdb``, ``xillver``, ``renormalize``, ``external``.
    """

    def __init__(
        self,
        expression: str,
        *,
        abundances: str = "wilm",
        cross_sections: str = "vern",
        components: Iterable[Component] = (),
        named: Mapping[str, Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> None:
        if not isinstance(expression, str):
            raise InputError(f"expression is {expression!r}; expected a model in XSPEC's notation")
        if isinstance(components, Component):
            components = [components]
        self.expression = expression
        self.components = list(components)
        for own in self.components:
            if not isinstance(own, Component):
                raise InputError(f"components holds {own!r}; expected objects of rontgen.Component")
        self._keys = {"expression": expression, "abundances": abundances, "cross_sections": cross_sections, **more}
        self._named = dict(named or {})

    def _lines(self) -> list[str]:
        lines = _toml.section("[model]", self._keys, "model")
        for name, keys in self._named.items():
            lines += _toml.section(f"[models.{_toml.text(name)}]", keys, f"models.{name}")
        return lines

    def _words(self) -> tuple[str, str, str, str | None, str | None, bool]:
        def folder(key: str) -> str | None:
            given = self._keys.get(key)
            if given is not None and not isinstance(given, (str, os.PathLike)):
                raise InputError(f"model.{key} is {given!r}; expected the name of a folder")
            return None if given is None else os.fspath(given)

        renormalize = self._keys.get("renormalize")
        if not isinstance(renormalize, (bool, np.bool_, type(None))):
            raise InputError(f"model.renormalize is {renormalize!r}; expected True or False")
        tables = (self._keys["abundances"], self._keys["cross_sections"], folder("atomdb"), folder("xillver"))
        return (self.expression, *tables, bool(renormalize))

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """All parameters: dictionaries with name, unit, default, min, max and frozen (by default)."""
        keys = ("name", "unit", "default", "min", "max", "frozen")
        return [dict(zip(keys, own)) for own in _rontgen.parameters(self._words(), self.components)]

    def evaluate(self, params: Mapping[str, ArrayLike] | None, energies: ArrayLike, *, device: str = "f64") -> NDArray[np.float64]:
        """Returns photons/cm2/s in each energy bin, without an instrument.

        Args:
            params: Values by the parameters' names, numbers or arrays (n,); the others have XSPEC's defaults.
            energies: Edges of the bins (E+1,), ascending [keV].
            device: ``"f64"`` (double precision), or as a run computes ``"cpu"``, ``"gpu"`` or part of an adapter's name.

        Returns:
            (E,) where all values are numbers, else (n, E).

        Raises:
            InputError: unknown parameters, values outside the hard limits, edges that do not ascend, tables that are not there.
        """
        names = list(params or {})
        columns = []
        for name in names:
            values = (params or {})[name]
            # ascontiguousarray makes an array of a number.
            columns.append(numbers(values, name, "(n,), or a number").reshape(np.shape(values)))
        edges = _array(energies, "energies", 1)
        if len(edges) < 2:
            raise InputError(f"energies has {len(edges)} edges; expected at least two")
        try:
            shape = np.broadcast_shapes((1,), *[column.shape for column in columns])
        except ValueError:
            shapes = ", ".join(f"{name} {column.shape}" for name, column in zip(names, columns))
            raise InputError(f"the parameters have different shapes: {shapes}; expected numbers or arrays (n,)") from None
        if len(shape) != 1:
            raise InputError(f"the parameters have the shape {shape}; expected numbers or arrays (n,)")
        values = np.empty((shape[0], len(names)))
        for k, column in enumerate(columns):
            values[:, k] = column
        opened_device = None if device == "f64" else opened(device)
        found = _rontgen.evaluate(self._words(), self.components, names, values, edges, opened_device)
        return found[0] if all(column.ndim == 0 for column in columns) else found

    def __repr__(self) -> str:
        return f"Model({self.expression!r}, abundances={self._keys['abundances']!r})"


def numbers(given: Any, what: str, expected: str) -> NDArray[np.float64]:
    """An array of real numbers in memory's order.

    Raises:
        InputError: for what is none; `what` names it, `expected` says which shape it is to have.
    """
    try:
        found = np.asarray(given)
        # Text would be read as numbers, and complex numbers would lose a part.
        if found.dtype.kind not in "fiubO":
            raise TypeError(f"found {found.dtype}")
        return np.ascontiguousarray(found, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: expected an array of numbers {expected}: {error}") from None


def _array(given: Any, what: str, ndim: int) -> NDArray[np.float64]:
    """An array of numbers with so many dimensions."""
    expected = {1: "(n,)", 2: "(n, P)"}[ndim]
    found = numbers(given, what, expected)
    if found.ndim != ndim:
        raise InputError(f"{what} has the shape {found.shape}; expected {expected}")
    return found


def prior_lines(prior: Any) -> list[str]:
    """The section of the parameters."""
    if prior is None:
        prior = {}
    if not isinstance(prior, Mapping):
        raise InputError(
            f"prior is a {type(prior).__name__}; expected a dictionary: {{\"tbabs.nH\": rontgen.uniform(0, 0.5), ...}}"
        )
    return _toml.section("[parameters]", prior, "parameters")


def _kind(name: str, numbers: str, meaning: str) -> Callable[[float, float], dict[str, list[float]]]:
    def prior(a: float, b: float) -> dict[str, list[float]]:
        return {name: [float(a), float(b)]}

    prior.__name__ = prior.__qualname__ = name
    prior.__doc__ = f"Returns the prior ``{{\"{name}\": {numbers.split(' with')[0]}}}``. {meaning} {numbers}."
    return prior


#: The kinds of priors that the program has: the same words as in a run file.
KINDS = {name: _kind(name, numbers, meaning) for name, numbers, meaning in _rontgen.prior_kinds()}
uniform, log_uniform, normal, log_normal = (KINDS[kind] for kind in ("uniform", "log_uniform", "normal", "log_normal"))


def tie(to: str, scale: float = 1.0, offset: float = 0.0) -> dict[str, Any]:
    """Ties a parameter to another one: scale times that, plus offset."""
    return {"tie": to, "scale": float(scale), "offset": float(offset)}


def describe(
    observations: Any, model: Any, prior: Any, settings: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[Component], list[NDArray[np.float64] | None]]:
    """The text of a run file, components, and the counts that mocks have.

    Raises:
        InputError: for what is no observation or model.
    """
    if isinstance(observations, (Observation, str, os.PathLike)):
        observations = [observations]
    if not isinstance(observations, Sequence) or not observations:
        raise InputError(f"observations is {observations!r}; expected a rontgen.Observation or a list of them")
    made = [Observation(each) if isinstance(each, (str, os.PathLike)) else each for each in observations]
    for each in made:
        if not isinstance(each, Observation):
            raise InputError(f"observations holds {each!r}; expected objects of rontgen.Observation")
    if isinstance(model, str):
        model = Model(model)
    if not isinstance(model, Model):
        raise InputError(f"model is {model!r}; expected a rontgen.Model or an expression such as \"tbabs*powerlaw\"")
    lines: list[str] = []
    for each in made:
        lines += each._lines(len(made) > 1)
    lines += model._lines() + prior_lines(prior)
    for name, entries in settings.items():
        lines += _toml.section(f"[{name}]", entries, name)
    return "\n".join(lines) + "\n", model.components, [each._counts for each in made]
