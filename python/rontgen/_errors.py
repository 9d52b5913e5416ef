"""What goes wrong: exceptions with the program's own words, and warnings."""

from __future__ import annotations


class Error(Exception):
    """Something went wrong; the text says what, where, and what was expected."""


class InputError(Error, ValueError):
    """An observation, model, prior, setting or array that makes no sense (exit status 2 of the command line)."""


class FileError(Error, OSError):
    """A file or folder that cannot be read or written."""


class DeviceError(Error, RuntimeError):
    """A device that is not there, was lost or ran out of memory (exit status 3)."""


class InferenceError(Error, RuntimeError):
    """An analysis that found nothing that could be trusted (exit status 4)."""


class ForkError(Error, RuntimeError):
    """A process that was forked from one whose threads it lacks."""


class RontgenWarning(UserWarning):
    """Something that files, parameters or a run gave occasion to say."""


class RefusedWarning(RontgenWarning):
    """A posterior whose own diagnostics say not to use it."""
