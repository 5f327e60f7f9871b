"""Pictures that say why: how features move predictions, what moved single ones, whether folds agree, where it errs.

Like ``plots``: from plain data to one PNG each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipelines.contracts.ports import FloatArray
from pipelines.training.explain import Explanation, Force, agreement, top
from pipelines.training.plots import COLOURS, DPI, LABELS, TOP, picture

UP, DOWN = "#b3402a", "#1f5fa8"
_PANELS = 4
_BARS = 9


def distribution(path: Path, y: FloatArray, p: FloatArray) -> Path:
    """How often each probability was said, before what happened."""
    def draw(axes: Any) -> None:
        edges = np.linspace(min(0.5, float(p.min())), max(0.5, float(p.max())) + 1e-9, 41)
        for outcome, colour in ((0, DOWN), (1, UP)):
            axes.hist(p[y == outcome], bins=edges, histtype="stepfilled", alpha=0.45, color=colour,
                      label=f"y = {outcome} ({int((y == outcome).sum()):,} rows)")
        axes.axvline(0.5, color="black", lw=0.6, ls=":")
        axes.set(xlabel="forecast probability", ylabel="rows")
        axes.legend(fontsize=8)
    return picture(path, "What was said, by what happened (evidence folds)", draw)


def dependence(path: Path, explanation: Explanation) -> Path:
    """SHAP value over feature value for the features that move the prediction most."""
    chosen = top(explanation.names, explanation.shap, _PANELS)
    figure = Figure(figsize=(8.4, 5.6))
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.09, top=0.91, hspace=0.42, wspace=0.24)
    for place, column in enumerate(chosen):
        axes = figure.add_subplot(2, 2, place + 1)
        values, moved = explanation.sample[:, column], explanation.shap[:, column]
        known = np.isfinite(values)
        axes.scatter(values[known], moved[known], s=6, alpha=0.5, color=COLOURS["candidate"], linewidths=0)
        _trend(axes, values[known], moved[known])
        axes.axhline(0, color="black", lw=0.5)
        axes.set_title(explanation.names[column], fontsize=9)
        axes.tick_params(labelsize=7)
        if place % 2 == 0:
            axes.set_ylabel(f"SHAP ({explanation.shap_unit})", fontsize=8)
    figure.suptitle("How the strongest features move the prediction (line: medians of ten equal parts)", fontsize=10)
    figure.savefig(path, dpi=DPI)
    return path


def _trend(axes: Any, values: FloatArray, moved: FloatArray) -> None:
    parts = [part for part in np.array_split(np.argsort(values, kind="stable"), 10) if len(part)]
    if len(parts) > 1:
        axes.plot([np.median(values[part]) for part in parts], [np.median(moved[part]) for part in parts], "o-",
                  color="black", ms=3, lw=1)


def force(path: Path, told: Sequence[Force], unit: str) -> Path:
    """What moved single predictions, feature by feature; the rest is one bar."""
    figure = Figure(figsize=(8.6, 0.7 + 2.7 * max(len(told), 1)))
    figure.subplots_adjust(left=0.36, right=0.97, bottom=0.08, top=0.92, hspace=0.55)
    for place, one in enumerate(told):
        axes = figure.add_subplot(len(told), 1, place + 1)
        chosen = top(one.names, one.contributions, _BARS)
        rest = float(one.contributions.sum() - one.contributions[chosen].sum())
        names = [f"{one.names[column]} = {one.values[column]:.4g}" for column in chosen]
        bars = [float(one.contributions[column]) for column in chosen]
        if len(one.names) > len(chosen):
            names.append(f"{len(one.names) - len(chosen)} others")
            bars.append(rest)
        axes.barh(names[::-1], bars[::-1], color=[UP if bar > 0 else DOWN for bar in bars[::-1]])
        axes.axvline(0, color="black", lw=0.6)
        axes.set_title(f"{one.why}: {one.symbol} {one.at:%Y-%m-%d %H:%M} UTC, said {one.probability:.3f}, "
                       f"was {one.outcome:.0f}", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_xlabel(unit, fontsize=7)
    figure.savefig(path, dpi=DPI)
    return path


def importance_by_fold(path: Path, shares: pd.DataFrame) -> Path:
    """Each fold's importance of the features that weigh most: a feature that matters matters again."""
    def draw(axes: Any) -> None:
        order = shares.mean(axis=1).sort_values(ascending=False).index[:TOP][::-1]
        for place, name in enumerate(order):
            values = shares.loc[name].to_numpy()
            axes.plot([values.min(), values.max()], [place, place], color="#b9c7d6", lw=3, solid_capstyle="round")
            axes.scatter(values, np.full(len(values), place), c=np.arange(len(values)), cmap="viridis", s=16, zorder=3)
        axes.set_yticks(range(len(order)), list(order))
        axes.set_xlabel(f"share of importance, a dot per fold (dark: early); folds agree by {agreement(shares):.2f} "
                        "(mean rank correlation)")
    return picture(path, "Importance from fold to fold", draw, (7.2, 4.8), LABELS)


def errors(path: Path, table: pd.DataFrame) -> Path:
    """Gain over the base rate by slice, with intervals."""
    shown = table.reset_index(drop=True)

    def draw(axes: Any) -> None:
        place = np.arange(len(shown))[::-1]
        known = shown["low"].notna()
        axes.hlines(place[known], shown["low"][known], shown["high"][known], color="#9fb9d6", lw=2.5)
        axes.plot(shown["gain"], place, "o", ms=4, color=COLOURS["candidate"])
        axes.axvline(0, color="black", lw=0.7)
        begins = shown["kind"].ne(shown["kind"].shift()).to_numpy().nonzero()[0]
        for begin in begins[1:]:
            axes.axhline(len(shown) - begin - 0.5, color="#cccccc", lw=0.6)
        axes.set_yticks(place, [f"{'regime ' if row.kind == 'regime' else ''}{row.slice}  ({row.rows:,})"
                               for row in shown.itertuples()])
        axes.set_xlabel("log loss saved against the base rate (nats), 95 % over the slices of a kind")
    return picture(path, "Where it is right (rows)", draw, (7.4, 1.4 + 0.22 * len(shown)), LABELS)
