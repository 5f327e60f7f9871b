"""The year as one picture: what was saved, what rang, what was trained and who served; matplotlib without pyplot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.dates as mdates
import pandas as pd
from matplotlib.figure import Figure

from infra.studies.year import scoring
from infra.studies.year.scoring import BETTER, NEVER, NEWEST, ORACLE, POLICY
from infra.studies.year.study import Result
from pipelines.contracts.window import Window

#: The live metric is the mean of so many days.
SMOOTH = 14
STYLE: Mapping[str, Mapping[str, Any]] = {
    ORACLE: {"color": "#9a9a9a", "lw": 1.0, "ls": (0, (4, 2))},
    NEVER: {"color": "#b5483a", "lw": 1.3},
    NEWEST: {"color": "#c98a1b", "lw": 1.3},
    BETTER: {"color": "#3f9b6c", "lw": 1.3},
    POLICY: {"color": "#1f5fa8", "lw": 2.2}}
#: Regime → its shade; None: none.
SHADES = {"calm": None, "turned": "#f6e3c5", "calm again": None, "edge dead": "#e4e4e8"}
CAPTIONS = {"calm": "calm", "turned": "the market turns:\nedge reversed, volatility doubled",
            "calm again": "calm again", "edge dead": "the edge is dead,\ninputs as before"}
#: Row of the strip → table of the marks, its column of times, which of its rows, and how they are drawn.
ROWS: tuple[tuple[str, str, str, tuple[str, str] | None, Mapping[str, Any]], ...] = (
    ("data drift", "alarms", "as_of", ("kind", "data_drift"), {"marker": "|", "c": "#b06a00", "s": 60}),
    ("prediction drift", "alarms", "as_of", ("kind", "prediction_drift"), {"marker": "|", "c": "#7a4fa3", "s": 60}),
    ("performance drift", "alarms", "as_of", ("kind", "performance_drift"), {"marker": "|", "c": "#b5483a", "s": 60}),
    ("trained by schedule", "requests", "as_of", ("reason", "schedule"), {"marker": "o", "c": "#9bb4d1", "s": 16}),
    ("trained on an alarm", "requests", "as_of", ("reason", "!schedule bootstrap"),
     {"marker": "o", "c": "#1f5fa8", "s": 22}),
    ("promoted", "changes", "effective_at", ("action", "promote"), {"marker": "^", "c": "#2c7a4b", "s": 34}),
    ("rolled back", "changes", "effective_at", ("action", "rollback"), {"marker": "v", "c": "#b5483a", "s": 34}))


def draw(result: Result, path: Path) -> Path:
    """Write the picture of a year; the ending of ``path`` says in which format (SVG keeps its text as text)."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tidemark", "font.size": 9,
                         "font.family": ["DejaVu Sans", "sans-serif"], "axes.spines.top": False,
                         "axes.spines.right": False}):
        figure = Figure(figsize=(10.4, 8.6))
        live, strip, total = figure.subplots(3, 1, sharex=True, height_ratios=(3.0, 1.9, 2.4))
        figure.subplots_adjust(left=0.155, right=0.985, top=0.89, bottom=0.12, hspace=0.14)
        for axes in (live, strip, total):
            _shade(axes, result)
        _live(live, result)
        _strip(strip, result)
        _total(total, result)
        span = result.calendar.year
        total.set_xlim(span.start - timedelta(days=2), span.end + timedelta(days=1))
        total.xaxis.set_major_locator(mdates.MonthLocator())
        total.xaxis.set_major_formatter(mdates.DateFormatter("%b"))
        figure.text(0.012, 0.971, "A year of one line: kept by Tidemark, and by three simpler rules",
                    fontsize=14, fontweight="bold")
        figure.text(0.012, 0.946, "Simulated market, daily checks, weekly schedule; two regime shifts, and an edge "
                    f"that dies without a sign in the inputs (seed {result.seed})", fontsize=9, color="#555555")
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def marks_of(result: Result, row: str) -> pd.Series:
    """The times (UTC) that a row of the strip shows: those of its rows in the ledger, inside the year."""
    for name, table, column, only, _ in ROWS:
        if name == row:
            found: pd.DataFrame = getattr(result.marks, table)
            if only is not None:
                wanted = found[only[0]].isin(only[1].removeprefix("!").split())
                found = found[~wanted if only[1].startswith("!") else wanted]
            at = pd.to_datetime(found[column], utc=True)
            return at[(at >= result.calendar.year.start) & (at <= result.calendar.year.end)]
    raise KeyError(row)


def _shade(axes: Any, result: Result) -> None:
    for regime, span in result.calendar.spans.items():
        if SHADES[regime]:
            axes.axvspan(span.start, span.end, color=SHADES[regime], lw=0, zorder=0)
    axes.grid(axis="y", color="#dddddd", lw=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(length=2)


def _live(axes: Any, result: Result) -> None:
    saved = 1000 * scoring.daily(result.frame).rolling(SMOOTH, min_periods=min(SMOOTH, 5)).mean()
    for name, style in STYLE.items():
        axes.plot(saved.index + timedelta(days=1), saved[name], label=_named(name), **style)
    axes.axhline(0, color="black", lw=0.8)
    axes.set_ylabel(f"log loss saved\nagainst the base rate\n(millinats, mean of {SMOOTH} days)")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.16 * (high - low))
    for regime, span in result.calendar.spans.items():
        axes.text(_middle(span), 0.985, CAPTIONS[regime], transform=axes.get_xaxis_transform(), ha="center", va="top",
                  fontsize=8.5, color="#444444", style="italic")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.19, 1.0), fontsize=8.5, ncols=5, frameon=False, columnspacing=1.4,
                handlelength=1.8)


def _strip(axes: Any, result: Result) -> None:
    for place, (name, _, _, _, style) in enumerate(ROWS):
        at = marks_of(result, name)
        axes.scatter(at, [place] * len(at), linewidths=1.2 if style["marker"] == "|" else 0, **style)
    axes.set_yticks(range(len(ROWS)), [f"{name} ({len(marks_of(result, name))})" for name, *_ in ROWS], fontsize=8)
    axes.set_ylim(len(ROWS) - 0.4, -0.6)
    axes.grid(visible=False)


def _total(axes: Any, result: Result) -> None:
    saved, table = scoring.daily(result.frame), result.table()
    summed = (24 * saved).cumsum()  # nats an hourly forecast of one coin: per day, times 24
    for name, style in STYLE.items():
        label = "oracle: 100%" if name == ORACLE else (
            f"{_named(name)}: {table['of_oracle'][name]:.0%}, {_counted(int(table['trainings'][name]))}")
        axes.plot(summed.index + timedelta(days=1), summed[name], label=label, **style)
    axes.axhline(0, color="black", lw=0.8)
    axes.set_ylabel("saved since January\n(nats per coin)")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.19, -0.1), fontsize=8.5, ncols=3, frameon=False,
                columnspacing=1.6, handlelength=1.8, title_fontsize=8.5, alignment="left",
                title="Share of what the oracle saves, and trainings that it took:")


def _counted(trainings: int) -> str:
    return "1 training" if trainings == 1 else f"{trainings} trainings"


def _named(name: str) -> str:
    return {ORACLE: "oracle (knows the edge)", POLICY: "policy and gate", NEVER: "never retrained",
            NEWEST: "weekly, the newest", BETTER: "weekly, if the metric is better"}[name]


def _middle(span: Window) -> Any:
    return span.start + (span.end - span.start) / 2
