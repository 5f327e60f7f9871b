"""The pictures as SVG for a page that may be light or dark: matplotlib draws in stand-in colours, the page's own style
decides what they are."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipelines.sentiment.quality import Row
from pipelines.training.ablation import Ablation
from pipelines.training.worth.study import Curve
from pipelines.validation.lead_lag import POOLED

#: Stand-in colour → what the page's style calls it.
INK, MUTED, ACCENT, OTHER, GRID = "#010101", "#020202", "#030303", "#040404", "#050505"
_NAMES = {INK: "currentColor", MUTED: "var(--muted)", ACCENT: "var(--accent)", OTHER: "var(--other)",
          GRID: "var(--grid)"}
_ROW = 0.27  # height of a row in inches


def quality(rows: Sequence[Row]) -> str:
    """Each scorer on each set and half, with intervals; accuracy, or correlation where there are no classes."""
    shown = [row for row in rows if row.measure == "accuracy"]
    classes = {row.set for row in shown}
    shown += [row for row in rows if row.set not in classes]
    names = [f"{row.set}, {row.half} ({row.measure})" for row in shown]

    def draw(axes: Any) -> None:
        scorers = list(shown[0].scorers)
        for number, scorer in enumerate(scorers):
            colour = ACCENT if number == len(scorers) - 1 else (MUTED if number == 0 else OTHER)
            for place, row in enumerate(shown):
                estimate, y = row.scorers[scorer], place + 0.14 * (number - (len(scorers) - 1) / 2) * 2
                axes.plot([estimate.low, estimate.high], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
                axes.plot([estimate.value], [y], "o", ms=5, color=colour, label=scorer if not place else None)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x", color=GRID, lw=0.7)
        axes.set_xlabel("agreement with people, 95 % intervals")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(scorers), frameon=False, fontsize=9)
    return _svg("quality", draw, (7.6, 1.0 + 1.5 * _ROW * len(shown)), left=0.44, top_inches=0.35)


def lead_lag(curve: Curve, height: float = 2.9) -> str:
    """Correlation over lags with its band; right of the dashed line lies what had not happened yet."""
    rows = curve.lags[curve.lags["symbol"] == POOLED].sort_values("lag")

    def draw(axes: Any) -> None:
        axes.axvspan(0.5, rows["lag"].max() + 0.5, color=GRID, alpha=0.45, lw=0)
        axes.fill_between(rows["lag"], rows["low"], rows["high"], color=ACCENT, alpha=0.22, lw=0)
        axes.plot(rows["lag"], rows["correlation"], "o-", ms=3, lw=1.3, color=ACCENT)
        axes.axhline(0, color=INK, lw=0.8)
        axes.axvline(0.5, color=INK, lw=0.9, ls=(0, (4, 3)))
        axes.set_xlim(rows["lag"].min() - 0.5, rows["lag"].max() + 0.5)
        axes.set_xticks(range(-24, 25, 6), [f"{lag:+d} h" if lag else "0" for lag in range(-24, 25, 6)])
        axes.set_ylabel("correlation")
        axes.set_xlabel("hour of the return, from the moment the sentiment was known")
        # A little room above for the two captions.
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.14 * (high - low))
        for x, side, caption in ((0.2, "right", "price came first"), (0.8, "left", "not happened yet")):
            axes.text(x, 0.97, caption, transform=axes.get_xaxis_transform(), ha=side, va="top", fontsize=9,
                      color=MUTED)
        axes.grid(axis="y", color=GRID, lw=0.7)
    return _svg(curve.name, draw, (7.6, height), left=0.09, top_inches=0.08)


def ablations(found: Sequence[Ablation]) -> str:
    """What sentiment saves in each line, with intervals; right of zero it helps."""
    names = [f"{item.line} ({item.family})" for item in found]

    def draw(axes: Any) -> None:
        for place, item in enumerate(found):
            test = item.test
            colour = ACCENT if item.uses else MUTED
            axes.plot([1000 * test.low, 1000 * test.high], [place, place], color=colour, lw=1.8, solid_capstyle="butt")
            axes.plot([1000 * test.effect], [place], "o", ms=6, color=colour)
        axes.axvline(0, color=INK, lw=0.9)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x", color=GRID, lw=0.7)
        axes.set_xlabel("log loss saved by sentiment, thousandths of a nat a row (right of 0: it helps)")
    return _svg("ablations", draw, (7.6, 0.85 + 1.3 * _ROW * len(found)), left=0.34, top_inches=0.08)


def _svg(name: str, draw: Callable[[Any], None], size: tuple[float, float], left: float, top_inches: float) -> str:
    """One ``<svg>`` without a colour or a font of its own."""
    figure = Figure(figsize=size)
    axes = figure.subplots()
    figure.subplots_adjust(left=left, right=0.975, bottom=0.5 / size[1], top=1 - top_inches / size[1])
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.tick_params(labelsize=9, color=MUTED, labelcolor=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    draw(axes)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=MUTED, fontsize=9)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # names come from files: "$" is no formula
        if text.get_color() == "black":
            text.set_color(INK)
    target = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _tidy(target.getvalue(), re.sub(r"\W", "", name))


def _tidy(svg: str, prefix: str) -> str:
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true"', svg, count=1)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # what is turned has its font in parts
    svg = re.sub(r'<g id="[a-zA-Z0-9_.]+"', "<g", svg)  # groups are numbered alike in every picture
    svg = re.sub(r'id="([a-z0-9]+)"', rf'id="{prefix}\1"', svg)
    svg = re.sub(r"(url\(#|href=\"#)", rf"\1{prefix}", svg)
    for colour, meaning in _NAMES.items():
        svg = svg.replace(colour, meaning)
    return svg.strip()
