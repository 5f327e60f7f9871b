"""The 158 columns of qlib's ``Alpha158``: the shape of the bar, its prices by the close, and 29 statistics over 5, 10,
20, 30 and 60 bars.

Formulas: ``Alpha158DL.get_feature_config`` of Microsoft qlib 0.9.7 with the operators of ``qlib.data.ops``; each
column's ``source`` begins with qlib's name for it. On bars without gaps the values are qlib's, up to the float32 in
which qlib keeps its bars and results. What differs:

* Our bars have no VWAP: the typical price (h + l + c) / 3 stands in for qlib's ``$vwap`` in VWAP0.
* Where bars are missing, a window counts what is there and needs nine tenths of it (qlib: one bar), and an extreme is
  looked for among the bars that are there (qlib: the missing bar is the extreme). The window of a change from bar to
  bar, of which the first is not known, counts the changes that are (qlib: an unknown change is no rise and no fall).
* Fits and correlations in flat windows are undefined, as in qlib (a standard deviation of at most 2e-5, in the unit of
  the price); their neutral value is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial

import numpy as np

from pipelines.contracts.ports import FloatArray
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics import alpha, alpha_order
from pipelines.features.numerics.rolling import shift

WINDOWS = (5, 10, 20, 30, 60)

#: Columns of one bar: qlib's name, ours, inputs, unit, formula.
_BAR = (
    ("KMID", "kmid", "open close", "share of open", "(c - o) / o"),
    ("KLEN", "klen", "open high low", "share of open", "(h - l) / o"),
    ("KMID2", "kmid2", "open high low close", "share of range", "(c - o) / (h - l + 1e-12)"),
    ("KUP", "kup", "open high close", "share of open", "(h - max(o, c)) / o"),
    ("KUP2", "kup2", "open high low close", "share of range", "(h - max(o, c)) / (h - l + 1e-12)"),
    ("KLOW", "klow", "open low close", "share of open", "(min(o, c) - l) / o"),
    ("KLOW2", "klow2", "open high low close", "share of range", "(min(o, c) - l) / (h - l + 1e-12)"),
    ("KSFT", "ksft", "open high low close", "share of open", "(2 c - h - l) / o"),
    ("KSFT2", "ksft2", "high low close", "share of range", "(2 c - h - l) / (h - l + 1e-12)"),
    ("OPEN0", "open_0", "open close", "ratio to close", "o / c"),
    ("HIGH0", "high_0", "high close", "ratio to close", "h / c"),
    ("LOW0", "low_0", "low close", "ratio to close", "l / c"),
    ("VWAP0", "vwap_0", "high low close", "ratio to close", "(h + l + c) / 3 / c (the typical price for a VWAP)"),
)
#: Columns of a window of d bars (qlib's name: this and d), inputs, look-back beyond d - 1, unit, formula, neutral.
_ROLLING: tuple[tuple[str, str, int, str, str, float | None], ...] = (
    ("ROC", "close", 1, "ratio to close", "c[t-d] / c", None),
    ("MA", "close", 0, "ratio to close", "mean of c / c", None),
    ("STD", "close", 0, "share of close", "standard deviation (n - 1) of c / c", None),
    ("BETA", "close", 0, "share of close per bar", "slope of the least-squares line through c / c", None),
    ("RSQR", "close", 0, "share of variance", "R squared of the least-squares line through c", 0.0),
    ("RESI", "close", 0, "share of close", "(c - its least-squares line) / c", None),
    ("MAX", "high close", 0, "ratio to close", "max of h / c", None),
    ("MIN", "low close", 0, "ratio to close", "min of l / c", None),
    ("QTLU", "close", 0, "ratio to close", "quantile .8 of c / c", None),
    ("QTLD", "close", 0, "ratio to close", "quantile .2 of c / c", None),
    ("RANK", "close", 0, "share", "rank of c among the window's / d, ties in the middle", None),
    ("RSV", "high low close", 0, "share of range", "(c - min of l) / (max of h - min of l + 1e-12)", None),
    ("IMAX", "high", 0, "share of window", "place of the first highest h (1 to d) / d", None),
    ("IMIN", "low", 0, "share of window", "place of the first lowest l (1 to d) / d", None),
    ("IMXD", "high low", 0, "share of window", "(place of the highest h - place of the lowest l) / d", None),
    ("CORR", "close volume", 0, "correlation", "correlation of c and ln(v + 1)", 0.0),
    ("CORD", "close volume", 1, "correlation", "correlation of c / c[t-1] and ln(v / v[t-1] + 1)", 0.0),
    ("CNTP", "close", 1, "share of bars", "share of c > c[t-1]", None),
    ("CNTN", "close", 1, "share of bars", "share of c < c[t-1]", None),
    ("CNTD", "close", 1, "share of bars", "share of c > c[t-1] - share of c < c[t-1]", None),
    ("SUMP", "close", 1, "share of path", "sum of rises of c / (sum of |c - c[t-1]| + 1e-12)", None),
    ("SUMN", "close", 1, "share of path", "sum of falls of c / (sum of |c - c[t-1]| + 1e-12)", None),
    ("SUMD", "close", 1, "share of path", "(sum of rises - sum of falls of c) / (sum of |c - c[t-1]| + 1e-12)", None),
    ("VMA", "volume", 0, "ratio to volume", "mean of v / (v + 1e-12)", None),
    ("VSTD", "volume", 0, "ratio to volume", "standard deviation (n - 1) of v / (v + 1e-12)", None),
    ("WVMA", "close volume", 1, "ratio", "standard deviation (n - 1) of |c / c[t-1] - 1| v / (its mean + 1e-12)", None),
    ("VSUMP", "volume", 1, "share of path", "sum of rises of v / (sum of |v - v[t-1]| + 1e-12)", None),
    ("VSUMN", "volume", 1, "share of path", "sum of falls of v / (sum of |v - v[t-1]| + 1e-12)", None),
    ("VSUMD", "volume", 1, "share of path", "(sum of rises - sum of falls of v) / (sum of |v - v[t-1]| + 1e-12)", None),
)


@cache
def _name(qlib: str, width: int) -> str:
    return f"alpha_{qlib.lower()}_{width}"


#: Our name → qlib's, in qlib's order.
QLIB: Mapping[str, str] = {
    **{f"alpha_{ours}": theirs for theirs, ours, *_ in _BAR},
    **{_name(theirs, width): f"{theirs}{width}" for theirs, *_ in _ROLLING for width in WINDOWS}}


def _declared() -> Iterator[Feature]:
    for theirs, ours, inputs, unit, formula in _BAR:
        yield Feature(f"alpha_{ours}", tuple(inputs.split()), 0, unit, f"{theirs}: {formula} (qlib Alpha158)")
    for theirs, inputs, more, unit, formula, neutral in _ROLLING:
        for width in WINDOWS:
            yield Feature(_name(theirs, width), tuple(inputs.split()), width - 1 + more, unit,
                          f"{theirs}{width}: {formula}, d = {width} (qlib Alpha158)", neutral)


def _of_bar(bars: Bars) -> dict[str, Lazy]:
    o, h, low, c = bars.open, bars.high, bars.low, bars.close
    span = cache(lambda: h - low + alpha.TINY)
    return {
        "alpha_kmid": lambda: (c - o) / o,
        "alpha_klen": lambda: (h - low) / o,
        "alpha_kmid2": lambda: (c - o) / span(),
        "alpha_kup": lambda: (h - np.maximum(o, c)) / o,
        "alpha_kup2": lambda: (h - np.maximum(o, c)) / span(),
        "alpha_klow": lambda: (np.minimum(o, c) - low) / o,
        "alpha_klow2": lambda: (np.minimum(o, c) - low) / span(),
        "alpha_ksft": lambda: (2 * c - h - low) / o,
        "alpha_ksft2": lambda: (2 * c - h - low) / span(),
        "alpha_open_0": lambda: o / c,
        "alpha_high_0": lambda: h / c,
        "alpha_low_0": lambda: low / c,
        "alpha_vwap_0": lambda: (h + low + c) / 3 / c,
    }


#: What each kernel's statistics are called; None: not a column of the group.
_LINE = ("MA", "STD", "BETA", "RSQR", "RESI")
_EXTREMES = ("MAX", "MIN", "RSV", "IMAX", "IMIN", "IMXD")
_ORDER = ("QTLU", "QTLD", "RANK")
_PRICE_MOVES = ("CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD")
_VOLUME_MOVES = (None, None, None, "VSUMP", "VSUMN", "VSUMD")


def _of_windows(bars: Bars) -> Iterator[tuple[tuple[str | None, ...], Callable[[int], FloatArray]]]:
    """What is computed together, given the window: the names of the statistics and their kernel."""
    high, low, close, volume = (np.ascontiguousarray(values)
                                for values in (bars.high, bars.low, bars.close, bars.volume))
    steps = cache(lambda: alpha.steps(close, volume))
    yield ("ROC",), lambda d: (shift(close, d) / close)[None]
    yield _LINE, lambda d: alpha.line(close, d)
    yield _EXTREMES, lambda d: alpha.extremes(high, low, close, d)
    yield _ORDER, lambda d: alpha_order.order(close, d)
    yield ("CORR",), lambda d: alpha.correlation(close, steps()[0], d)
    yield ("CORD",), lambda d: alpha.correlation(steps()[1], steps()[2], d)
    yield _PRICE_MOVES, lambda d: alpha.moves(close, d)
    yield _VOLUME_MOVES, lambda d: alpha.moves(volume, d)
    yield ("VMA", "VSTD", None), lambda d: alpha.activity(volume, d)
    yield (None, None, "WVMA"), lambda d: alpha.activity(steps()[3], d)


def _compute(bars: Bars) -> Mapping[str, Lazy]:
    values, kernels = _of_bar(bars), list(_of_windows(bars))

    @cache  # one for all of them: on a live row making a cache takes as long as a kernel
    def found(number: int, width: int) -> FloatArray:
        return kernels[number][1](width)

    def statistic(number: int, width: int, place: int) -> FloatArray:
        values: FloatArray = found(number, width)[place]
        return values

    for number, (names, _) in enumerate(kernels):
        for width in WINDOWS:
            values |= {_name(theirs, width): partial(statistic, number, width, place)
                       for place, theirs in enumerate(names) if theirs is not None}
    return values


GROUP = Group("alpha158", tuple(_declared()), from_bars=_compute)
