"""A run: what is analysed and how, checked; and the ways to its posterior."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _describe, _rontgen, _toml
from ._describe import Model, Observation, describe
from ._device import opened
from ._display import choose, tell
from ._errors import InputError
from ._posterior import Posterior

#: Sections of a run file beside those that observation, model and prior say; any other setting is a key of [inference].
SECTIONS = ("inference", "refine", "reference", "verdict", "output")


def _settings(seed: int | None, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by their sections."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in given.items():
        if key in SECTIONS:
            if not isinstance(value, Mapping):
                raise InputError(f"{key} is {value!r}; expected a dictionary with keys of [{key}]")
            sections.setdefault(key, {}).update(value)
    for key, value in given.items():
        if key not in SECTIONS:
            sections.setdefault("inference", {})[key] = value
    if seed is not None:
        sections.setdefault("inference", {})["seed"] = int(seed)
    return sections


def data_folder(data: str | os.PathLike[str] | None) -> str | None:
    """The folder of data files: the one that is named, else RONTGEN_DATA."""
    origin, folder = ("data", os.fspath(data)) if data is not None else ("RONTGEN_DATA", os.environ.get("RONTGEN_DATA", ""))
    if not folder:
        return None
    if not os.path.isdir(folder):
        raise InputError(f"{origin} = {folder}: there is no such folder")
    return folder


class Run:
    """A run is what is analysed and how, read and checked: files, model, priors and settings, every default filled in.

    Args:
        observations: An :class:`Observation`, or a list of them that are analysed together.
        model: A :class:`Model`, or an expression.
        prior: What is said of each parameter, by its name: ``rontgen.uniform(lo, hi)``, ``log_uniform``, ``normal``, ``log_normal``,
            a number (frozen) or ``rontgen.tie(name)``. Names are XSPEC's, without regard to case.
        seed: Seed of all random numbers.
        data: Folder in which files are looked for after the current one; by default RONTGEN_DATA.
        settings: Keys of ``[inference]`` (``rounds=3``, ``method="nested"``, ``flow={"layers": 8}``), and dictionaries for the sections
            ``refine``, ``reference``, ``verdict`` and ``output``. docs/keys.md lists them.

    Raises:
        InputError: with the program's words, which name the line of the run file that the description became.
    """

    def __init__(
        self,
        observations: Observation | list[Observation] | str | os.PathLike[str],
        model: Model | str,
        prior: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        data: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        text, components, counts = describe(observations, model, prior, _settings(seed, settings))
        folder = data_folder(data)
        # Relative names start from the current folder, also once the run has a folder of its own.
        name = os.path.join(os.getcwd(), "<python>")
        case = _rontgen.Case.parse(text, name, folder, components)
        if any(own is not None for own in counts):
            case = case.with_counts(_together(case, counts))
        self._set(case, (Run, (observations, model, prior), {"seed": seed, "data": data, **settings}))

    def _set(self, case: _rontgen.Case, origin: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> None:
        self._case = case
        self._origin = origin
        self._told = False

    @classmethod
    def _of(cls, case: _rontgen.Case, origin: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> Run:
        run = cls.__new__(cls)
        run._set(case, origin)
        return run

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        settings: Mapping[str, Any] | None = None,
        *,
        data: str | os.PathLike[str] | None = None,
    ) -> Run:
        """Reads a run file (TOML); `settings` changes keys of it, as ``--set`` does: ``{"inference.rounds": 3}``."""
        sets = [f"{key}={_toml.value(value, key)}" for key, value in (settings or {}).items()]
        case = _rontgen.Case.read(os.fspath(path), sets, data_folder(data))
        return cls._of(case, (Run.read, (path, settings), {"data": data}))

    def _tell(self) -> None:
        """Says once what there is to say."""
        if not self._told:
            self._told = True
            tell(self._case.warnings)

    def __reduce__(self) -> Any:
        make, arguments, keywords = self._origin
        return (_again, (make, arguments, keywords))

    @property
    def names(self) -> list[str]:
        """Names of the P free parameters, in the order of every array's columns."""
        return self._case.names

    @property
    def priors(self) -> dict[str, str]:
        """The prior of each free parameter, in words."""
        return dict(zip(self._case.names, self._case.priors))

    @property
    def fixed(self) -> dict[str, str]:
        """Parameters that are not free, and how they are fixed."""
        return dict(self._case.fixed)

    @property
    def observations(self) -> list[dict[str, Any]]:
        """The data sets: dictionaries with name, e_min and e_max of the kept bins [keV], counts, exposure [s], statistic, and the counts of
        the background spectrum in the bins (None without one)."""
        return self._case.sets

    @property
    def counts(self) -> np.ndarray:
        """Observed counts of all kept bins (D,), data set after data set."""
        return np.concatenate([own["counts"] for own in self._case.sets])

    @property
    def warnings(self) -> list[str]:
        """What files and parameters gave occasion to say."""
        return self._case.warnings

    @property
    def expression(self) -> str:
        """The model's expression."""
        return self._case.expression

    @property
    def truth(self) -> dict[str, float] | None:
        """The parameters that a mock was made with, where it is one."""
        return None if self._case.truth is None else dict(zip(self._case.names, self._case.truth))

    def toml(self, device: str = "auto") -> str:
        """Returns the run file with every default written out: ``rontgen infer`` gives the same run."""
        return self._case.toml(device)

    def with_counts(self, counts: Any, truth: Mapping[str, float] | None = None) -> Run:
        """Returns the same run for other counts (D,): a mock, whose parameters `truth` the plots then mark."""
        values = _describe._array(counts, "counts", 1)
        known = None
        if truth is not None:
            given = {name.lower(): value for name, value in truth.items()}
            missing = [name for name in self.names if name.lower() not in given]
            if missing:
                raise InputError(f"truth lacks {', '.join(missing)}")
            known = [float(given[name.lower()]) for name in self.names]
        return Run._of(self._case.with_counts(values, known), (Run.with_counts, (self, values, truth), {}))

    def infer(
        self,
        *,
        device: str = "auto",
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        replace: bool = False,
        progress: Any = None,
    ) -> Posterior:
        """Infers the posterior; see :func:`rontgen.infer`."""
        if resume and replace:
            raise InputError("resume and replace are both True; expected one of them")
        if (resume or replace) and out is None:
            raise InputError(f"{'resume' if resume else 'replace'} is for a run in a folder; expected out")
        self._tell()
        display = choose(progress)
        existing = "resume" if resume else "replace" if replace else "refuse"
        try:
            found = _rontgen.Posterior.infer(self._case, opened(device), display, None if out is None else os.fspath(out), existing)
        except KeyboardInterrupt as interrupt:
            if out is not None and hasattr(interrupt, "add_note"):
                interrupt.add_note(f"the same call with resume=True goes on with the run in {os.fspath(out)}")
            raise
        finally:
            if display is not None:
                display.close()
        posterior = Posterior(found, self if out is None else None, device)
        posterior._warn()
        return posterior

    def __repr__(self) -> str:
        sets = ", ".join(f"{own['name']} ({len(own['counts'])} bins)" for own in self._case.sets)
        return f"<rontgen.Run of {self.expression} for {sets}; free: {', '.join(self.names)}>"


def _again(make: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Run:
    return make(*arguments, **keywords)


def _together(case: _rontgen.Case, counts: list[np.ndarray | None]) -> np.ndarray:
    """The counts of all data sets, those of mocks in the place of the observed ones."""
    sets = case.sets
    if len(sets) != len(counts):
        raise InputError(f"counts are given for {len(counts)} observations, which are {len(sets)} data sets; use Run.with_counts")
    for own, mock in zip(sets, counts):
        if mock is not None and len(mock) != len(own["counts"]):
            raise InputError(f"counts has {len(mock)} numbers for '{own['name']}'; expected {len(own['counts'])}, one for each kept bin")
    return np.concatenate([own["counts"] if mock is None else mock for own, mock in zip(sets, counts)])


def as_run(observations: Any, model: Any, prior: Any, data: Any = None, seed: int | None = None, **settings: Any) -> Run:
    """What `observations` is: a run, the name of a run file, or observations that make one with model and prior."""
    if isinstance(observations, Run):
        if model is not None or prior is not None or settings or seed is not None:
            raise InputError("a rontgen.Run says model, prior and settings itself; expected it alone")
        return observations
    if model is None:
        if isinstance(observations, (str, os.PathLike)) and os.fspath(observations).lower().endswith(".toml"):
            if prior is not None:
                raise InputError("a run file says the priors itself; change them with Run.read(path, {\"parameters.tbabs.nH\": ...})")
            sets = {f"{name}.{key}": value for name, keys in _settings(seed, settings).items() for key, value in keys.items()}
            return Run.read(observations, sets, data=data)
        raise InputError("model is missing; expected a rontgen.Model or an expression (or the name of a run file, ending in .toml, alone)")
    return Run(observations, model, prior, seed=seed, data=data, **settings)


def infer(
    observations: Run | Observation | list[Observation] | str | os.PathLike[str],
    model: Model | str | None = None,
    prior: Mapping[str, Any] | None = None,
    *,
    device: str = "auto",
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    replace: bool = False,
    progress: Any = None,
    data: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Posterior:
    """Infers the posterior of a model's parameters for spectra, as ``rontgen infer`` does: the same numbers for the same run and seed.

    Args:
        observations: An :class:`Observation` or a list of them; a :class:`Run`; or the name of a run file (``"my.toml"``) alone.
        model: A :class:`Model` or an expression.
        prior: What is said of each parameter (see :class:`Run`).
        device: ``"auto"`` (a GPU, else the CPU), ``"gpu"``, ``"cpu"``, or part of an adapter's name.
        seed: Seed of all random numbers.
        out: Output folder with report, tables and chain; None keeps everything in memory and writes nothing.
        resume: Go on with the run that `out` holds.
        replace: Remove whatever run `out` holds.
        progress: True, False, None (a bar where somebody looks), or a function of (share, text).
        data: Folder in which files are looked for after the current one; by default RONTGEN_DATA.
        settings: As for :class:`Run`: ``rounds=3``, ``method="nested"``, ``refine={"samples": 100000}``.

    Returns:
        The posterior. One whose diagnostics say not to use it comes with :class:`rontgen.RefusedWarning`.

    Raises:
        InputError, FileError: what makes no sense or cannot be read.
        DeviceError: a device that failed.
        InferenceError: nothing was found that could be trusted.
        KeyboardInterrupt: Ctrl-C, or the interrupted cell of a notebook; with `out` the run can be resumed.
    """
    run = as_run(observations, model, prior, data, seed, **settings)
    return run.infer(device=device, out=out, resume=resume, replace=replace, progress=progress)


def load(
    folder: str | os.PathLike[str], *, device: str = "auto", data: str | os.PathLike[str] | None = None
) -> Posterior:
    """Reads the posterior of a finished run's folder. The data that it names are looked for when they are first needed; `device` then computes.

    Raises:
        InputError, FileError: a folder that is no finished run's.
    """
    posterior = Posterior(_rontgen.Posterior.load(os.fspath(folder), data_folder(data)), None, device)
    posterior._warn()
    return posterior


def demo(seed: int | None = None, **settings: Any) -> Run:
    """Returns the demonstration: a built-in instrument with a mock spectrum of an absorbed power law and black body. ``rontgen demo`` gives the
    same numbers."""
    sections = _settings(seed, settings)
    sets = [f"{name}.{key}={_toml.value(value, key)}" for name, keys in sections.items() for key, value in keys.items()]
    return Run._of(_rontgen.Case.demo(sets), (demo, (seed,), settings))
