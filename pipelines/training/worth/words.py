"""The figures in plain sentences. What an interval does not settle is said to be unsettled."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pipelines.sentiment.quality import HELD_OUT, Row
from pipelines.training.ablation import Ablation
from pipelines.training.worth.study import Absent, Curve, Worth
from pipelines.validation.lead_lag import POOLED

#: The measure that stands for a set in a sentence: the first of these that it has.
_FIRST = ("accuracy", "correlation")
ALPHA = 0.05


def quality(rows: Sequence[Row]) -> list[str]:
    """One sentence per set, on its held-out half where there is one."""
    found = []
    for name in dict.fromkeys(row.set for row in rows):
        own = [row for row in rows if row.set == name]
        half = HELD_OUT if any(row.half == HELD_OUT for row in own) else own[0].half
        row = min((row for row in own if row.half == half),
                  key=lambda row: _FIRST.index(row.measure) if row.measure in _FIRST else len(_FIRST))
        names = list(row.scorers)
        values = " and ".join(f"{scorer} {estimate.value:.3f}" for scorer, estimate in row.scorers.items())
        found.append(f"{name}, {half} ({row.texts:,} texts): {row.measure} {values}. "
                     f"{_better(names[-1], names[0], row)}")
    return found


def _better(last: str, first: str, row: Row) -> str:
    gap = row.difference
    if first == last:
        return "There is nothing to compare it with."
    interval = f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    if gap.low > 0:
        return f"{last} is better than {first}: {interval}."
    if gap.high < 0:
        return f"{last} is worse than {first}: {interval}."
    return f"The two cannot be told apart: {interval}."


def span(curve: Curve, first: int, last: int, symbol: str = POOLED) -> pd.Series:
    """The row of ``curve.spans`` from lag ``first`` to ``last``.

    Raises:
        KeyError: the curve has no such span.
    """
    rows = curve.spans.set_index(["symbol", "first", "last"])
    return rows.loc[(symbol, first, last)]


def lead_lag(curve: Curve) -> str:
    """Does this series follow prices, and does it lead them?"""
    past, ahead = span(curve, -23, 0), span(curve, 1, 24)
    shares = f"{100 * past.correlation ** 2:.1f} % of the variance"
    if past.low > 0:
        before = f"follows prices: {_figure(past)} with the return of the day before ({shares})"
    elif past.high < 0:
        before = f"runs against the day before: {_figure(past)}"
    else:
        before = f"does not visibly follow prices: {_figure(past)} with the return of the day before"
    if ahead.low > 0:
        after = f"and goes with the return of the day after: {_figure(ahead)}. Look for a leak before you believe it"
    elif ahead.high < 0:
        after = f"and the day after tends to go the other way: {_figure(ahead)}"
    else:
        after = f"and says nothing that can be told from chance about the day after: {_figure(ahead)}"
    return f"{curve.title}: it {before}, {after}."


def slip(curve: Curve) -> str:
    """What a time stamp that is an hour early would look like here, in figures."""
    rows = curve.lags[curve.lags["symbol"] == POOLED].set_index("lag")
    before, just, following = rows.loc[-1], rows.loc[0], rows.loc[1]
    return (f"At lag 0, the hour that had just ended, the correlation is {_figure(just)}; at lag 1, the first hour "
            f"ahead, {_figure(following)}. Texts stamped one hour too early would move the whole curve by one hour: "
            f"lag 1 would show {just.correlation:+.3f}, and {before.correlation:+.3f} with two hours.")


def ablation(found: Ablation, adjusted: float) -> str:
    """What the group adds to one line."""
    test, milli = found.test, 1000.0
    size = (f"{abs(test.effect) * milli:.2f} thousandths of a nat a row "
            f"[{test.low * milli:+.2f}, {test.high * milli:+.2f}]")
    what = found.group if found.uses else f"adding {found.group} (the line does not use it)"
    if adjusted < ALPHA:
        verdict = f"{what} helps: it saves {size}, p {_p(adjusted)} after Holm"
    elif test.high < 0:
        verdict = f"{what} hurts: it costs {size}"
    else:
        way = "saves" if test.effect > 0 else "costs"
        verdict = (f"{what} makes no difference that can be told from chance: it {way} {size}, p {_p(test.p_value)}; "
                   f"a gain of {test.minimum_detectable * milli:.2f} would have been seen with 80 % power")
    naive = ""
    if found.loss_with >= found.loss_base_rate:
        either = found.loss_without >= found.loss_base_rate
        naive = f" {'Either way' if either else 'With it'} the model is no better than always saying the base rate."
    return f"{found.line} ({found.family}, {found.days} days): {verdict}.{naive}"


def summary(worth: Worth) -> list[str]:
    """The page in at most three sentences."""
    found = []
    rows = () if isinstance(worth.quality, Absent) else worth.quality
    curves = () if isinstance(worth.curves, Absent) else worth.curves
    ablations = worth.ablations
    if rows:
        held = [row for row in rows if row.half == HELD_OUT and row.measure in _FIRST] or list(rows)
        better = sum(row.difference.low > 0 for row in held)
        worse = sum(row.difference.high < 0 for row in held)
        first, *_, last = held[0].scorers
        found.append(f"Reading: against people's labels, {last} is better than {first} on {better} and worse on "
                     f"{worse} of {len(held)} held-out comparisons.")
    if curves:
        past, ahead = span(curves[0], -23, 0), span(curves[0], 1, 24)
        found.append(
            "Timing: " + ("texts follow prices" if past.low > 0 else "texts do not visibly follow prices")
            + f" ({_figure(past)} with the day before) and "
            + ("lead them" if ahead.low > 0 else "do not lead them") + f" ({_figure(ahead)} with the day after).")
    if ablations:
        several = len({item.family for item in ablations}) > 1
        names = [f"{item.line} ({item.family})" if several else item.line for item in ablations]
        helped = [name for name, p in zip(names, worth.adjusted, strict=True) if p < ALPHA]
        hurt = [name for name, item in zip(names, ablations, strict=True) if item.test.high < 0]
        found.append("Forecasts: " + (f"sentiment improves {', '.join(helped)}" if helped else
                                      "sentiment improves no line beyond chance")
                     + (f" and makes {', '.join(hurt)} worse." if hurt else "."))
    return found


def _figure(row: pd.Series) -> str:
    return f"{row.correlation:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
