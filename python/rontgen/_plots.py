"""The report's pictures with matplotlib: the same numbers, as drawn there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._posterior import Posterior

POSTERIOR, PRIOR, TRUTH, DATA, BACKGROUND = "#0b62a4", "#8a8f98", "#d1242f", "#1f2328", "#8a8f98"
COMPONENTS = ("#e36209", "#6f42c1", "#1a7f37", "#b08800", "#cf222e", "#0598bc")


def _figure(figure: Figure | None, size: tuple[float, float]) -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'rontgen[plots]'") from error
    return plt.figure(figsize=size) if figure is None else figure


def corner(posterior: Posterior, figure: Figure | None) -> Figure:
    """Draws the corner plot."""
    singles, pairs = posterior._found.corner()
    if not singles:
        raise InputError("the posterior has no draws to plot")
    n = len(singles)
    side = min(max(9.0 / n, 1.3), 2.4)
    fig = _figure(figure, (side * n + 1.0, side * n + 1.0))
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path
    from matplotlib.ticker import MaxNLocator

    axes = fig.subplots(n, n, squeeze=False, gridspec_kw={"hspace": 0.06, "wspace": 0.06})
    for row in range(n):
        for column in range(n):
            ax, x, y = axes[row, column], singles[column], singles[row]
            if column > row:
                ax.set_visible(False)
                continue
            ax.set_xlim(*x["range"])
            if x["log"]:
                ax.set_xscale("log")
                ax.set_xlim(*x["range"])
            if row == column:
                curve, prior = x["density"], x["prior"]
                ax.fill_between(curve[:, 0], curve[:, 1], color=POSTERIOR, alpha=0.22, lw=0)
                ax.plot(curve[:, 0], curve[:, 1], color=POSTERIOR, lw=1.6)
                if len(prior):
                    ax.plot(prior[:, 0], prior[:, 1], color=PRIOR, lw=1.0, ls="--")
                ax.set_ylim(0, 1.18 * curve[:, 1].max())
                ax.set_yticks([])
                ax.set_title(f"{x['name']}\n{x['value']}", fontsize=8, loc="left" if n > 3 else "center")
            else:
                if y["log"]:
                    ax.set_yscale("log")
                ax.set_ylim(*y["range"])
            if x["truth"] is not None:
                ax.axvline(x["truth"], color=TRUTH, lw=0.9, ls="--")
            if row != column and y["truth"] is not None:
                ax.axhline(y["truth"], color=TRUTH, lw=0.9, ls="--")
            for own, axis in ((x, ax.xaxis), (y, ax.yaxis)):
                if not own["log"] and not (row == column and axis is ax.yaxis):
                    axis.set_major_locator(MaxNLocator(4, prune="both"))
                    axis.set_major_formatter(_in_powers(_power(own)))
            ax.tick_params(labelsize=7, labelbottom=row == n - 1, labelleft=column == 0 and row > 0, which="both")
            if row == n - 1:
                ax.set_xlabel(_label(x), fontsize=8)
                ax.tick_params(axis="x", rotation=40)
            if column == 0 and row > 0:
                ax.set_ylabel(_label(y), fontsize=8)
    for pair in pairs:
        ax = axes[pair["y"], pair["x"]]
        for mass, outlines in pair["outlines"]:
            vertices, codes = [], []
            for outline in outlines:
                vertices += [*outline, outline[0]]
                codes += [Path.MOVETO] + [Path.LINETO] * (len(outline) - 1) + [Path.CLOSEPOLY]
            if vertices:
                path = Path(np.array(vertices), codes)
                ax.add_patch(PathPatch(path, facecolor=POSTERIOR, alpha=0.2 if mass > 0.9 else 0.38, lw=0))
                ax.add_patch(PathPatch(path, fill=False, edgecolor=POSTERIOR, lw=0.9))
    fig.align_labels()
    return fig


def _power(panel: dict[str, Any]) -> int:
    """The power of ten that the ticks of a parameter leave out, where its numbers are small or large."""
    largest = max(abs(end) for end in panel["range"])
    power = int(np.floor(np.log10(largest))) if largest > 0 and not panel["log"] else 0
    return power if power < -2 or power > 3 else 0


def _in_powers(power: int) -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value / 10.0**power:g}")


def _label(panel: dict[str, Any]) -> str:
    """A parameter's name, and in brackets the power that its ticks leave out and its unit."""
    power = _power(panel)
    unit = " ".join(part for part in (f"$10^{{{power}}}$" if power else "", panel["unit"]) if part)
    return f"{panel['name']}\n[{unit}]" if unit else panel["name"]


def spectrum(posterior: Posterior, data_set: str | None, unfolded: bool, figure: Figure | None) -> Figure:
    """Draws the folded fit, or the model before the instrument."""
    if unfolded:
        both = posterior._found.unfolded(data_set)
        if both is None:
            raise InputError("this data set has no model before the instrument")
        return _unfolded(both[0], both[1], _figure(figure, (7.0, 4.6)))
    return _folded(posterior._found.folded(data_set), _figure(figure, (7.0, 6.2)))


def _column(table: dict[str, Any], name: str) -> Any:
    """A column by its name without the unit; None where it is not there."""
    for key, values in table.items():
        if key == name or key.startswith(f"{name} ["):
            return values
    return None


def _bins(table: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    low, high = _column(table, "e_min"), _column(table, "e_max")
    middle = np.sqrt(np.maximum(low, 1e-9) * high)
    return low, high, middle, np.array([middle - low, high - middle])


def _steps(ax: Any, low: Any, high: Any, values: Any, **how: Any) -> None:
    """A line of steps, broken where bins do not touch."""
    x = np.ravel(np.column_stack([low, high, np.full(len(low), np.nan)]))
    y = np.ravel(np.column_stack([values, values, np.full(len(low), np.nan)]))
    touching = np.append(np.isclose(low[1:], high[:-1], rtol=1e-6), False)
    keep = np.ones(len(x), dtype=bool)
    keep[2::3] = ~touching
    ax.plot(x[keep], y[keep], **how)


def _band(ax: Any, low: Any, high: Any, bottom: Any, top: Any, **how: Any) -> None:
    x = np.ravel(np.column_stack([low, high]))
    ax.fill_between(x, np.repeat(bottom, 2), np.repeat(top, 2), lw=0, **how)


def _components(ax: Any, table: dict[str, Any], low: Any, high: Any) -> None:
    parts = [(key, values) for key, values in table.items() if key.startswith("component_")]
    for k, (key, values) in enumerate(parts):
        name = key.removeprefix("component_").split(" [")[0]
        _steps(ax, low, high, values, color=COMPONENTS[k % len(COMPONENTS)], lw=1.1, ls="--", label=name)


def _folded(table: dict[str, Any], fig: Any) -> Figure:
    top, delta, ratio = fig.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1, 1], "hspace": 0.07})
    low, high, middle, width = _bins(table)
    errors = np.array([_column(table, "rate_error_down"), _column(table, "rate_error_up")])
    points = {"fmt": "none", "ecolor": DATA, "elinewidth": 0.8}
    rate = _column(table, "rate")
    _band(top, low, high, _column(table, "model_q025"), _column(table, "model_q975"), color=POSTERIOR, alpha=0.3)
    _steps(top, low, high, _column(table, "model_median"), color=POSTERIOR, lw=1.4, label="model: median, 95 %")
    top.errorbar(middle, rate, xerr=width, yerr=errors, label="data", **points)
    background = _column(table, "background")
    if background is not None:
        own = np.array([_column(table, "background_error_down"), _column(table, "background_error_up")])
        top.errorbar(middle, background, xerr=width, yerr=own, fmt="none", ecolor=BACKGROUND, elinewidth=0.7, label="background")
    _components(top, table, low, high)
    top.set_yscale("log")
    top.set_xscale("log")
    positive = rate[rate > 0]
    if len(positive):
        top.set_ylim(0.3 * positive.min(), 3 * positive.max())
    top.set_ylabel("counts s$^{-1}$ keV$^{-1}$")
    top.legend(fontsize=8, frameon=False)
    delta.errorbar(middle, _column(table, "delta"), xerr=width, yerr=1.0, **points)
    delta.axhline(0, color=POSTERIOR, lw=1.0)
    delta.set_ylabel("delta [σ]")
    own = np.array([_column(table, "ratio_error_down"), _column(table, "ratio_error_up")])
    ratio.errorbar(middle, _column(table, "ratio"), xerr=width, yerr=own, **points)
    ratio.axhline(1, color=POSTERIOR, lw=1.0)
    ratio.set_ylabel("ratio")
    _energies(ratio, low.min(), high.max())
    fig.align_ylabels()
    return fig


def _unfolded(data: dict[str, Any], model: dict[str, Any], fig: Any) -> Figure:
    ax = fig.subplots()
    low, high = model["e_min"], model["e_max"]
    _band(ax, low, high, model["q025"], model["q975"], color=POSTERIOR, alpha=0.3)
    _steps(ax, low, high, model["median"], color=POSTERIOR, lw=1.4, label="model: median, 95 %")
    _components(ax, model, low, high)
    _, _, middle, width = _bins(data)
    errors = np.array([_column(data, "eedata_error_down"), _column(data, "eedata_error_up")])
    value = _column(data, "eedata")
    ax.errorbar(middle, value, xerr=width, yerr=errors, fmt="none", ecolor=DATA, elinewidth=0.8, label="data, taken back with the model")
    ax.set_xscale("log")
    ax.set_yscale("log")
    shown = np.concatenate([value[value > 0], model["median"][model["median"] > 0]])
    if len(shown):
        ax.set_ylim(max(0.3 * shown.min(), 1e-4 * shown.max()), 3 * shown.max())
    ax.set_ylabel("E² F(E) [keV² photons cm$^{-2}$ s$^{-1}$ keV$^{-1}$]")
    ax.legend(fontsize=8, frameon=False)
    _energies(ax, low.min(), high.max())
    return fig


def _energies(ax: Any, low: float, high: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xlim(low, high)
    ax.set_xlabel("energy [keV]")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
