"""One finding as a small picture: its value and interval on an axis, beside what is allowed.

A row for each quantity, so that no label meets another: what was found with its interval, what the guarantee
allows, what the trials could have shown, what there is without the release. SVG inside HTML: its colours are
the page's, so that it follows light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from dpsynth.audit.finding import Finding
from dpsynth.report.wording import figure, span

__all__ = ["draw"]

_WIDTH, _LEFT, _RIGHT, _ROW, _FOOT = 720.0, 190.0, 150.0, 26.0, 30.0
_LOG_FROM = 1000.0  # a spread of so many times is drawn on a log scale
_LARGEST = 1e300  # what is beyond it, or below its inverse, is drawn at the edge
_TICKS = 4
_UNIT = 22  # letters of a unit that fit


@dataclass(frozen=True, slots=True)
class _Scale:
    """From a number to a place."""

    low: float
    high: float
    log: bool

    def __call__(self, value: float) -> float:
        f: Callable[[float], float] = math.log10 if self.log else float
        value = min(max(value, self.low), self.high)
        share = (f(value) - f(self.low)) / (f(self.high) - f(self.low))
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        """Return round numbers inside the axis."""
        if self.log:
            least, most = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            every = max(1, math.ceil((most - least) / _TICKS))
            return [10.0**e for e in range(least, most + 1, every)]
        rough = (self.high - self.low) / _TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def draw(finding: Finding) -> str:
    """Return the picture of a finding as an ``<svg>`` element; empty where it has no number to draw."""
    marks = [
        ("found", finding.value, "value"),
        ("allowed at most", finding.ceiling, "ceiling"),
        ("could have been shown", finding.limit, "limit"),
        ("without the release", finding.baseline, "baseline"),
    ]
    shown = [(name, value, kind) for name, value, kind in marks if value is not None and math.isfinite(value)]
    if finding.value is None or not math.isfinite(finding.value):
        return ""
    ends = [] if finding.interval is None else [end for end in finding.interval if math.isfinite(end)]
    scale = _scale([value for _, value, _ in shown] + ends)
    height = _ROW * len(shown) + _FOOT
    said = "; ".join(f"{name} {figure(value)}" for name, value, _ in shown)
    if finding.interval is not None:
        said += f"; interval {span(finding)}"
    label = escape(f"{finding.check}, in {finding.unit}: {said}")
    parts = [f'<svg class="axis" viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{label}">']
    parts += _frame(scale, height - _FOOT, finding.unit)
    for row, (name, value, kind) in enumerate(shown):
        parts += _mark(scale, row, height - _FOOT, (name, value, kind), finding)
    return "".join([*parts, "</svg>"])


def _scale(values: list[float]) -> _Scale:
    """Choose an axis that shows all values, and zero unless it is logarithmic."""
    tame = [math.copysign(min(abs(v), _LARGEST), v) if abs(v) >= 1 / _LARGEST else 0.0 for v in values]
    low, high = min(tame), max(tame)
    if low > 0 and high / low >= _LOG_FROM:
        return _Scale(10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high)), log=True)
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return _Scale(0.0, 1.0, log=False)
    room = 0.04 * (high - low)
    return _Scale(low - (room if low < 0 else 0), high + (room if high > 0 else 0), log=False)


def _frame(scale: _Scale, bottom: float, unit: str) -> list[str]:
    left, right = _LEFT, _WIDTH - _RIGHT
    parts = [f'<line class="frame" x1="{left:g}" y1="{bottom:g}" x2="{right:g}" y2="{bottom:g}"/>']
    for tick in scale.ticks():
        x = scale(tick)
        parts.append(f'<line class="tick" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{bottom:g}"/>')
        parts.append(f'<text class="number" x="{x:.1f}" y="{bottom + 17:g}">{figure(_rounded(tick))}</text>')
    label = f"{unit if len(unit) <= _UNIT else f'{unit[: _UNIT - 1]}…'}{', log scale' if scale.log else ''}"
    parts.append(f'<text class="name" x="{left - 12:g}" y="{bottom + 17:g}">{escape(label)}</text>')
    return parts


def _mark(
    scale: _Scale, row: int, bottom: float, mark: tuple[str, float, str], finding: Finding
) -> list[str]:
    name, value, kind = mark
    y, x = _ROW * (row + 0.5), scale(value)
    parts = [
        f'<text class="name" x="{_LEFT - 12:g}" y="{y + 4:g}">{name}</text>',
        f'<text class="said" x="{_WIDTH - _RIGHT + 12:g}" y="{y + 4:g}">{figure(value)}</text>',
    ]
    if kind == "value":
        return [
            *parts,
            *_interval(scale, y, finding),
            f'<circle class="value" cx="{x:.1f}" cy="{y:g}" r="5"/>',
        ]
    parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{bottom:g}"/>')
    parts.append(f'<rect class="{kind}" x="{x - 4:.1f}" y="{y - 4:g}" width="8" height="8"/>')
    return parts


def _interval(scale: _Scale, y: float, finding: Finding) -> list[str]:
    """Draw an interval: a bar, with an end that is closed, or an arrow where it has none."""
    if finding.interval is None:
        return []
    low, high = finding.interval
    edges = (_LEFT if math.isinf(low) else scale(low), _WIDTH - _RIGHT if math.isinf(high) else scale(high))
    parts = [
        f'<line class="interval" x1="{edges[0]:.1f}" y1="{y:g}" x2="{edges[1]:.1f}" y2="{y:g}"/>',
    ]
    for end, x, way in ((low, edges[0], -1), (high, edges[1], 1)):
        if math.isinf(end):
            points = f"{x:.1f},{y - 5:g} {x + 8 * way:.1f},{y:g} {x:.1f},{y + 5:g}"
            parts.append(f'<polygon class="interval" points="{points}"/>')
        else:
            parts.append(f'<line class="interval" x1="{x:.1f}" y1="{y - 6:g}" x2="{x:.1f}" y2="{y + 6:g}"/>')
    return parts


def _rounded(tick: float) -> float:
    return float(f"{tick:.10g}")
