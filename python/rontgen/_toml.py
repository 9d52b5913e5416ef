"""Descriptions as the text of a run file, which the program reads with its own checks, defaults and messages."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ._errors import InputError


def text(value: str) -> str:
    """Returns a TOML basic string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """Returns a TOML key, in quotes where it needs them."""
    plain = name and all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name)
    return name if plain else text(name)


def value(given: Any, what: str) -> str:
    """Returns a value as TOML; `what` names it in messages.

    Raises:
        InputError: for what TOML has no form of.
    """
    if hasattr(given, "tolist"):  # numpy's arrays and numbers
        given = given.tolist()
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int):
        return str(given)
    if isinstance(given, float):
        return repr(given)
    if isinstance(given, (str, os.PathLike)):
        return text(os.fspath(given) if isinstance(given, os.PathLike) else given)
    if isinstance(given, Mapping):
        entries = [f"{key(str(k))} = {value(v, f'{what}.{k}')}" for k, v in given.items() if v is not None]
        return "{ " + ", ".join(entries) + " }" if entries else "{}"
    if isinstance(given, (list, tuple)):
        return "[" + ", ".join(value(v, what) for v in given) + "]"
    raise InputError(f"{what} is {given!r}, a {type(given).__name__}; expected a number, text, list or dictionary")


def section(head: str, entries: Mapping[str, Any], what: str) -> list[str]:
    """Returns the lines of a section; entries that are None are left out."""
    lines = [head]
    for name, given in entries.items():
        if given is not None:
            lines.append(f"{key(str(name))} = {value(given, f'{what}.{name}')}")
    return lines
