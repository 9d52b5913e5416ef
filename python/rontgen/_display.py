"""Progress for people: a bar on a terminal, or one in a notebook that is drawn again and again."""

from __future__ import annotations

import html
import shutil
import sys
import warnings
from types import FrameType
from typing import Any, Protocol

from ._errors import InputError, RontgenWarning


class Display(Protocol):
    """Anything that shows progress."""

    def show(self, share: float, text: str) -> None:
        """How far the whole is (0 to 1), and what is done now."""

    def message(self, text: str) -> None:
        """A line that is worth keeping."""

    def close(self) -> None:
        """All is done, or has failed."""


class Terminal:
    """A bar on standard error."""

    def __init__(self) -> None:
        self._drawn = False

    def show(self, share: float, text: str) -> None:
        width = shutil.get_terminal_size().columns
        filled = round(20 * share)
        line = f"[{'━' * filled}{'─' * (20 - filled)}] {100 * share:3.0f} % {text}"
        sys.stderr.write("\r\x1b[2K" + line[: max(width - 1, 10)])
        sys.stderr.flush()
        self._drawn = True

    def message(self, text: str) -> None:
        self.close()
        sys.stderr.write(text + "\n")

    def close(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = False


class Notebook:
    """A bar below the cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def _draw(self, content: str) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(content), display_id=True)
        else:
            self._handle.update(HTML(content))

    def show(self, share: float, text: str) -> None:
        self._draw(f'<progress value="{share:.3f}" max="1" style="width:16em"></progress> {100 * share:.0f} % {html.escape(text)}')

    def message(self, text: str) -> None:
        pass

    def close(self) -> None:
        if self._handle is not None:
            self._draw("")


class Messages:
    """Tells a function of the caller's: ``function(share, text)``."""

    def __init__(self, function: Any) -> None:
        self.show = function

    def message(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def choose(progress: Any) -> Display | None:
    """The display for `progress`: True, False, None (where somebody looks), or a function of a share and a text."""
    if progress is False:
        return None
    if callable(progress):
        return Messages(progress)
    if progress not in (None, True):
        raise InputError(f"progress is {progress!r}; expected True, False, None or a function of (share, text)")
    if _in_notebook():
        return Notebook()
    return Terminal() if progress or sys.stderr.isatty() else None


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    kernel = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return kernel is not None and hasattr(kernel, "kernel")


def tell(texts: list[str], category: type[Warning] = RontgenWarning) -> None:
    """Says what there is to say, as warnings at the line that called this package."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    for text in texts:
        warnings.warn(text, category, stacklevel=level)
