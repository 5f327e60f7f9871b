"""Leaderboards as one HTML page: nothing is loaded from elsewhere, names are escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pipelines.training.leaderboard import Board, Entry

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --paper: #fbfbf9; --card: #ffffff; --muted: #5d6b7a; --line: #dde1e5;
  --accent: #1f5fa8; --bar: #c9d9ec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181d; --card: #1b2127; --muted: #98a5b3;
  --line: #313a44; --accent: #6fb1f5; --bar: #2b4766; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.2rem 3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .8rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
.summary { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--accent);
  border-radius: 6px; padding: .6rem 1rem; margin: .6rem 0 1rem; }
.wide { overflow-x: auto; } .note { color: var(--muted); font-size: .88rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--muted); font-weight: 600; } .text { text-align: left; } .detail { color: var(--muted);
  white-space: normal; font-size: .82rem; text-align: left; } .out { color: var(--muted); }
.bar { display: inline-block; height: .7rem; background: var(--bar); border-radius: 2px; vertical-align: middle; }
"""
_NOTE = ("<p class='note'>In the set: cannot be told from the best (model confidence set, 95 %, Hansen, Lunde and "
         "Nason 2011). Log loss in nats, averaged over symbols at each time; spread: standard deviation over "
         "folds.</p>")


def html(title: str, boards: Sequence[Board]) -> str:
    """The whole page."""
    body = "".join(_board(board) for board in boards)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}{_NOTE}
</main></body></html>
"""


def _board(board: Board) -> str:
    most = max((abs(entry.gain) for entry in board.entries), default=0.0) or 1.0
    rows = "".join(_row(place, entry, most) for place, entry in enumerate(board.entries, start=1))
    return (f"<section><h2>{escape(board.title)}</h2><div class='summary'>{escape(board.recommendation)}</div>"
            "<div class='wide'><table><thead><tr><th>#</th><th class='text'>contender</th><th>in the set</th>"
            "<th>p</th><th>log loss</th><th class='text'>saved against the base rate</th><th>spread</th>"
            f"<th>seconds</th></tr></thead><tbody>{rows}</tbody></table></div></section>")


def _row(place: int, entry: Entry, most: float) -> str:
    width = 9 * max(entry.gain, 0.0) / most
    inside = "?" if math.isnan(entry.p_value) else "yes" if entry.included else "no"
    return (f"<tr{'' if entry.included else ' class=out'}><td>{place}</td><td class='text'><b>{escape(entry.name)}</b>"
            f"<div class='detail'>{escape(entry.detail)}</div></td><td>{inside}</td>"
            f"<td>{_number(entry.p_value, 3)}</td><td>{entry.loss:.5f}</td><td class='text'>"
            f"<span class='bar' style='width:{width:.2f}rem'></span> {entry.gain:+.5f}</td>"
            f"<td>{_number(entry.spread, 5)}</td><td>{_number(entry.seconds, 1)}</td></tr>")


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
