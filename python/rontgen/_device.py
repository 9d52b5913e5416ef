"""Devices, opened by their names."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from . import _rontgen
from ._errors import InputError


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Mesa's device-selection layer asks the desktop, and complains on standard error where there is none: a folder that cannot exist keeps it
    silent while adapters are looked for."""
    name = "XDG_RUNTIME_DIR"
    if not sys.platform.startswith("linux") or os.environ.get(name):
        yield
        return
    os.environ[name] = "/nonexistent"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def opened(name: str) -> _rontgen.Device:
    """Opens a device.

    Raises:
        DeviceError: one that is not there; the text names those that are.
    """
    if not isinstance(name, str):
        raise InputError(f'device is {name!r}; expected "auto", "gpu", "cpu" or part of an adapter\'s name')
    with _silent():
        return _rontgen.Device(name)


def devices() -> list[dict[str, object]]:
    """Returns the adapters with compute shaders: dictionaries with name, backend, kind and auto (whether ``device="auto"`` takes it)."""
    with _silent():
        return [dict(zip(("name", "backend", "kind", "auto"), own)) for own in _rontgen.devices()]
