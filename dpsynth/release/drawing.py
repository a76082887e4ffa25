"""An explanation as a picture: who can be detected at which price, and delta over epsilon.

Needs matplotlib, which only this module imports. Colours are told apart by the colour-blind (Okabe and Ito),
and lines by their dashes as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpsynth.errors import InputError
from dpsynth.privacy.tradeoff import detection
from dpsynth.release.bounds import ALARMS, Bounds
from dpsynth.release.numerals import percent, plain

if TYPE_CHECKING:
    from dpsynth.release.explanation import Explanation

__all__ = ["draw", "roc"]

_ENDINGS = (".png", ".svg")
_COLOURS = ("#0072B2", "#D55E00")
_DASHES = ("-", "--")
_GREY, _INK = "#777777", "#222222"
_SMALLEST = 1e-4
_LABEL = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
_POINTS = 18  # spaced in logarithm, and as many spaced evenly


def draw(explanation: Explanation, path: str | os.PathLike[str]) -> None:
    """Draw an explanation into a ``.png`` or ``.svg`` file.

    Raises:
        InputError: another ending, matplotlib is not installed, or the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in _ENDINGS:
        raise InputError(f"{target}: a plot is a .png or .svg file; end the name so")
    try:
        from matplotlib import rc_context  # noqa: PLC0415  -- optional, and slow to import
        from matplotlib.figure import Figure  # noqa: PLC0415  -- as above
    except ImportError:
        raise InputError("a plot needs matplotlib: pip install 'dpsynth[plot]'") from None
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "dpsynth", "font.size": 9.5}):
        figure = Figure(figsize=(12.6, 4.9), layout="constrained")
        figure.suptitle(f"What it bounds: {explanation.guarantee}", fontsize=11.5, color=_INK)
        whole, corner, curve = figure.subplots(1, 3)
        named = [("promised", explanation.promised)]
        if explanation.spent is not None:
            named.append(("really spent", explanation.spent))
        curves = [(name, bounds, roc(bounds)) for name, bounds in named]
        _whole(whole, curves)
        _corner(corner, curves)
        _profile(curve, named, explanation)
        try:
            date = {"Date": None} if target.suffix.lower() == ".svg" else {}
            figure.savefig(target, dpi=160, metadata=date)
        except OSError as error:
            raise InputError(
                f"{target}: cannot be written: {error.strerror or 'input/output error'}"
            ) from None


def roc(bounds: Bounds) -> tuple[list[float], list[float]]:
    """Return false alarms, increasing from 0 to 1, and the most that is detected at each.

    Computed from the lower left to the antidiagonal, and mirrored there: the curve is symmetric.
    """
    top = max(2 * _SMALLEST, (1 - bounds.advantage) / 2)  # where the curve meets the antidiagonal
    steps = range(_POINTS + 1)
    places = {_SMALLEST * (top / _SMALLEST) ** (i / _POINTS) for i in steps} | {
        top * i / _POINTS for i in steps[1:]
    }
    low = [(a, detection(bounds.amount, bounds.calculus, a, beside=bounds.beside)) for a in sorted(places)]
    high = [(1 - detected, 1 - alarms) for alarms, detected in reversed(low)]
    points = sorted([(0.0, float(bounds.beside)), *low, *high, (1.0, 1.0)])
    return [x for x, _ in points], [y for _, y in points]


def _whole(axes: Any, curves: list[tuple[str, Bounds, tuple[list[float], list[float]]]]) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label="guessing by luck")
    for (name, _, (x, y)), colour, dash in zip(curves, _COLOURS, _DASHES, strict=False):
        axes.plot(x, y, color=colour, linestyle=dash, linewidth=2, label=f"best attacker, {name}")
    _, bounds, (x, y) = curves[0]
    axes.fill_between(x, x, y, color=_COLOURS[0], alpha=0.12, linewidth=0)
    alarms = (1 - bounds.advantage) / 2
    axes.plot([alarms, alarms], [alarms, 1 - alarms], color=_INK, linewidth=1)
    axes.annotate(
        f"advantage\nat most {percent(bounds.advantage)}",
        (alarms, 0.5),
        xytext=(0.62, 0.3),
        color=_INK,
        arrowprops={"arrowstyle": "-", "color": _GREY},
    )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="false alarms",
        ylabel="detected, at most",
        title="Is this person in the table?",
        aspect="equal",
    )
    axes.legend(loc="upper left", frameon=False, fontsize=8.5)
    _tidy(axes)


def _corner(axes: Any, curves: list[tuple[str, Bounds, tuple[list[float], list[float]]]]) -> None:
    axes.plot([_SMALLEST, 1], [_SMALLEST, 1], color=_GREY, linewidth=1, linestyle=":")
    for (_, bounds, (x, y)), colour, dash, mark in zip(curves, _COLOURS, _DASHES, "os", strict=False):
        axes.plot(x[1:], y[1:], color=colour, linestyle=dash, linewidth=2)
        axes.plot(ALARMS, bounds.detections, mark, color=colour, markersize=6)
    for alarms, detected in zip(ALARMS, curves[0][1].detections, strict=True):
        axes.annotate(
            f"{percent(detected)} detected\nat {percent(alarms)} false alarms",
            (alarms, detected),
            xytext=(12, -26),
            textcoords="offset points",
            color=_INK,
            fontsize=8.5,
            bbox=_LABEL,
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(_SMALLEST, 1),
        ylim=(_SMALLEST, 1),
        aspect="equal",
        xlabel="false alarms (log scale)",
        ylabel="detected, at most (log scale)",
        title="... with few false alarms",
    )
    _tidy(axes)


def _profile(axes: Any, named: list[tuple[str, Bounds]], explanation: Explanation) -> None:
    guarantee = explanation.guarantee
    top = 1.25 * guarantee.epsilon
    grid = [top * i / 100 for i in range(101)]
    floor = guarantee.delta / 100 if guarantee.delta else 1e-12
    for (name, bounds), colour, dash in zip(named, _COLOURS, _DASHES, strict=False):
        deltas = [bounds.delta(epsilon) for epsilon in grid]
        shown = [(e, d) for e, d in zip(grid, deltas, strict=True) if d > 0]
        axes.plot(*zip(*shown, strict=True), color=colour, linestyle=dash, linewidth=2, label=name)
    if guarantee.delta:
        axes.plot([guarantee.epsilon], [guarantee.delta], "o", color=_COLOURS[0], markersize=6)
        axes.annotate(
            f"stated: ({plain(guarantee.epsilon)}, {plain(guarantee.delta)})",
            (guarantee.epsilon, guarantee.delta),
            xytext=(-10, -16),
            textcoords="offset points",
            ha="right",
            color=_INK,
            fontsize=8.5,
            bbox=_LABEL,
        )
    axes.set(
        yscale="log",
        xlim=(0, top),
        ylim=(floor, 2),
        xlabel="epsilon",
        ylabel="delta (log scale)",
        title="The same promise at every epsilon",
        box_aspect=1,
    )
    axes.legend(loc="upper right", frameon=False, fontsize=8.5)
    _tidy(axes)


def _tidy(axes: Any) -> None:
    axes.title.set(fontsize=10.5, color=_INK)
    axes.grid(visible=True, color="#e3e3e3", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
