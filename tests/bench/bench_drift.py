"""A calibrated verdict on 50 columns, beside Evidently's ``DataDriftPreset`` on the same rows.

100,000 rows of training against 10,000 current ones. ``drift_vs_evidently`` is what a check costs once the champion's
norm is kept (`compare`), ``drift_learnt_vs_evidently`` what it costs with learning the norm (`learn` and `compare`);
the preset does all its work at each call. Before anything is timed, the distances of each method are held to SciPy's
and Evidently's own values. Both sides may use one thread.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from scipy import stats
from scipy.signal import lfilter
from scipy.spatial.distance import jensenshannon

from pipelines.contracts.line import Drift
from pipelines.monitoring import compare, learn
from pipelines.monitoring.distances import DISTANCES, Bins, Method
from tests.bench.harness import Case, measure

COLUMNS, SYMBOLS = 50, 40
REFERENCE, CURRENT = 100_000, 10_000
AS_OF = datetime(2024, 5, 1, tzinfo=UTC)
NAMES = [f"f{number}" for number in range(COLUMNS)]
#: How far a distance that is counted in bins may lie from the one of the raw values.
NEAR = {"wasserstein": 0.001, "ks": 0.002, "psi": 1e-9, "jensenshannon": 1e-9, "chi2": 1e-9}


def cases() -> list[Case]:
    reference, current = frames()
    rules = Drift(method="wasserstein")
    norm = learn(reference, rules)
    one = COLUMNS * CURRENT / 1000
    return [
        Case("drift_vs_evidently", lambda: compare(norm, current, as_of=AS_OF), lambda: preset(reference, current),
             one, "k values", same, runs=3),
        Case("drift_learnt_vs_evidently", lambda: compare(learn(reference, rules), current, as_of=AS_OF),
             lambda: preset(reference, current), one, "k values", same, runs=3),
    ]


def printed() -> dict[str, Any]:
    return {"drift_by_method": _by_method}


@cache
def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hourly AR(0.9) columns of 40 symbols; two columns of the current rows have moved."""
    rng = np.random.default_rng(1)
    hours = (REFERENCE + CURRENT) // SYMBOLS
    values = lfilter([1.0], [1.0, -0.9], rng.standard_t(5, size=(hours + 200, SYMBOLS, COLUMNS)), axis=0)[200:]
    frame = pd.DataFrame(values.reshape(-1, COLUMNS), columns=NAMES)
    frame.insert(0, "event_time", np.repeat(
        pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC").as_unit("us"), SYMBOLS))
    frame.insert(1, "symbol", np.tile([f"S{number:02}" for number in range(SYMBOLS)], hours))
    current = frame.iloc[REFERENCE:].reset_index(drop=True)
    current["f3"] += 4.0
    current["f7"] *= 2.0
    return frame.iloc[:REFERENCE], current


def preset(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    """Column to Wasserstein distance in standard deviations of the reference, from Evidently's JSON."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=NAMES)
    sides = [Dataset.from_pandas(frame[NAMES], data_definition=definition) for frame in (current, reference)]
    told = Report([DataDriftPreset(method="wasserstein")]).run(*sides).dict()
    return {metric["config"]["column"]: float(metric["value"]) for metric in told["metrics"]
            if "column" in metric["config"]}


def same(ours: Any, peer: dict[str, float]) -> bool:
    """The same distances, and every method's like SciPy's."""
    scores = {column.column: column.score for column in ours.columns}
    near = {name for name, score in scores.items() if abs(score - peer[name]) <= NEAR["wasserstein"] * (1 + peer[name])}
    return near == set(NAMES) and all(_gap(method) <= NEAR[method] for method in DISTANCES)


def _gap(method: Method) -> float:
    """The largest difference between our distance and SciPy's over all columns."""
    reference, current = (frame[NAMES].to_numpy() for frame in frames())
    gaps = []
    for at in range(0, COLUMNS, 7):
        then, now = reference[:, at], current[:, at]
        bins = Bins.of(then, method)
        if bins is None:
            return float("inf")
        p, q = (bins.counts(side) / side.size for side in (now, then))
        ours = float(bins.distance(bins.counts(now), bins.counts(then))) + bins.beyond(now)
        theirs = {
            "wasserstein": lambda then=then, now=now: stats.wasserstein_distance(now, then) / then.std(),
            "ks": lambda then=then, now=now: stats.ks_2samp(now, then).statistic,
            "psi": lambda p=p, q=q: stats.entropy(p, q) + stats.entropy(q, p),
            "jensenshannon": lambda p=p, q=q: jensenshannon(p, q),
            "chi2": lambda p=p, q=q, now=now: stats.chisquare(p * now.size, q * now.size).statistic / now.size,
        }[method]()
        gaps.append(abs(ours - float(theirs)) / (1 + float(theirs)))
    return max(gaps)


def _by_method() -> Table:
    """Seconds of learning and comparing by method, and where the preset is faster."""
    reference, current = frames()
    table = Table(title=f"Drift: {REFERENCE:,} x {COLUMNS} against {CURRENT:,} x {COLUMNS}, seconds",
                  title_justify="left")
    for column in ("method", "learn", "compare", "preset (wasserstein)", "learn + compare is"):
        table.add_column(column)
    for method in ("moments", *DISTANCES):
        rules = Drift(method=method)
        norm = learn(reference, rules)
        learnt = measure(Case("", lambda rules=rules: learn(reference, rules), lambda: preset(reference, current), 1,
                              "", lambda *_: True, runs=1))
        compared = measure(Case("", lambda norm=norm: compare(norm, current, as_of=AS_OF), lambda: None, 1, "",
                                lambda *_: True, runs=3))
        both = 1 / learnt.ours + 1 / compared.ours
        table.add_row(method, f"{1 / learnt.ours:.2f}", f"{1 / compared.ours:.3f}", f"{1 / learnt.peer:.2f}",
                      f"{1 / learnt.peer / both:.2f} times as fast" if both < 1 / learnt.peer else
                      f"{both * learnt.peer:.2f} times as slow")
    return table
