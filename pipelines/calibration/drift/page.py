"""The tables of ``docs/drift-calibration.md``, made of what was measured. Pure: text in, text out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pipelines.calibration.drift.outcome import Figures, Rate
from pipelines.calibration.drift.rivals import RIVALS
from pipelines.calibration.scenario import Interval
from pipelines.errors import ContractError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TITLES = {"evidently": "Evidently's defaults", "psi_any": "PSI > 0.2, any column", "psi_half": "PSI > 0.2, half",
          "ks_any": "K-S p < 0.05, any column", "ks_half": "K-S p < 0.05, half", "weekly": "weekly looks",
          "prediction": "prediction drift", "label": "label drift", "daily_test": "a test of the window, p < 0.01"}


def insert(page: str, measured: str) -> str:
    """``page`` with ``measured`` between its two marks.

    Raises:
        ContractError: it has no marks.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ContractError(f"the page has no marks {BEGIN} and {END}; set them around the place of the tables")
    return f"{head}{BEGIN}\n{measured.strip()}\n{END}{tail}"


def render(rates: Sequence[Rate], told: str) -> str:
    """Markdown of all tables; ``told``: a paragraph on when, where and how."""
    data = [rate for rate in rates if "evidently" in rate.rules]
    losses = [rate for rate in rates if rate not in data]
    parts = [told]
    for title, chosen, columns in (
            ("False alarms of the data", [rate for rate in data if rate.kind == "null"], RIVALS),
            ("Changes of the data", [rate for rate in data if rate.kind == "alternative"], RIVALS),
            ("False alarms of the performance test", [rate for rate in losses if rate.kind == "null"], None),
            ("The edge dies, the inputs stay", [rate for rate in losses if rate.kind == "alternative"], None)):
        if chosen:
            parts.append(f"### {title}")
            names = list(columns or chosen[0].rules)
            parts.append("\n".join(_nulls(chosen, names) if chosen[0].kind == "null" else _changes(chosen, names)))
    return "\n\n".join(parts)


def _nulls(rates: Iterable[Rate], names: Sequence[str]) -> Iterable[str]:
    yield from _head("scenario", "lines", "alarms a year", "years with any %", "on %",
                     *(f"{TITLES[name]}: a year, on %" for name in names))
    for rate in rates:
        yield _row(f"`{rate.scenario}`", str(rate.reps), _yearly(rate.per_year), _share(rate), f"{100 * rate.on:.1f}",
                   *(f"{rate.rules[name].per_year.rate:.1f}, {100 * rate.rules[name].on:.0f}" for name in names))


def _changes(rates: Iterable[Rate], names: Sequence[str]) -> Iterable[str]:
    yield from _head("scenario", "lines", "found %", "median days", "on before %",
                     *(f"{TITLES[name]}: found %, days, on before %" for name in names))
    for rate in rates:
        yield _row(f"`{rate.scenario}`", str(rate.reps), _share(rate), _days(rate), f"{100 * rate.on:.0f}",
                   *(f"{100 * found.rate:.0f}, {_days(found)}, {100 * found.on:.0f}"
                     for found in (rate.rules[name] for name in names)))


def _head(*titles: str) -> Iterable[str]:
    return _row(*titles), _row(*["---"] * len(titles))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _yearly(found: Interval) -> str:
    return f"{found.rate:.2f} ({found.lower:.2f}-{found.upper:.2f})"


def _share(found: Rate) -> str:
    return f"{100 * found.rate:.0f} ({100 * found.lower:.0f}-{100 * found.upper:.0f})"


def _days(found: Rate | Figures) -> str:
    return "-" if math.isnan(found.delay_days) else f"{found.delay_days:.0f}"
