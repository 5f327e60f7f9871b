"""What the year brought: the ledger's marks, daily losses, and figures with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
from scipy import stats

from infra.studies.year.world import Calendar, Year
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.window import Window
from pipelines.features import labels
from pipelines.serving.batch import CHAMPION
from pipelines.store import Warehouse, derived, ledger, tables
from pipelines.validation import backtest, metrics
from pipelines.validation.significance.bootstrap import bootstrap_means

BASE, ORACLE = "base rate", "oracle"
POLICY, NEVER, NEWEST, BETTER = "policy and gate", "never", "weekly, the newest", "weekly, if better"
ARMS = (POLICY, NEVER, NEWEST, BETTER)
KINDS = ("data_drift", "prediction_drift", "performance_drift")
#: Days whose labels the base rate is the mean of.
USUAL = timedelta(days=28)
#: Mean block of the bootstrap, in days; and how often is drawn.
BLOCK, DRAWS = 7.0, 2000
SEED = 7


@dataclass(frozen=True)
class Marks:
    """What the ledger holds of a year, one row each, in data time (UTC).

    Attributes:
        alarms: ``as_of``, ``kind``: a row for each check and alarm it raised.
        requests: ``as_of``, ``reason``, ``state``.
        verdicts: ``as_of`` of the training, ``version``, ``outcome`` (the first one on each).
        changes: ``effective_at``, ``action``, ``version``.
    """

    alarms: pd.DataFrame
    requests: pd.DataFrame
    verdicts: pd.DataFrame
    changes: pd.DataFrame


def marks(warehouse: Warehouse, line: Line) -> Marks:
    """The marks of a line."""
    with warehouse.begin() as connection:
        reports = derived.read(connection, tables.drift_reports, columns=["as_of", *KINDS], where={"line": line.name},
                               order=["as_of"])
        asked = ledger.requests(connection, line.name)
        said = ledger.verdicts(connection, line.name)
        changed = ledger.history(connection, line.name)
    alarms = pd.DataFrame([(row["as_of"], kind) for _, row in reports.iterrows() for kind in KINDS if row[kind]],
                          columns=["as_of", "kind"])
    first = said.drop_duplicates("version")
    return Marks(
        alarms, pd.DataFrame([(item.as_of, str(item.reason), str(item.state)) for item in asked],
                             columns=["as_of", "reason", "state"]),
        first[["as_of", "version", "outcome"]].reset_index(drop=True),
        pd.DataFrame([(row.effective_at, str(row.action), row.version) for row in changed],
                     columns=["effective_at", "action", "version"]))


def judged(warehouse: Warehouse, line: Line, year: Year) -> pd.DataFrame:
    """Every row of the year with its outcome, and P(y = 1) by the base rate, the oracle and the policy's champions.

    The base rate is the share of rises among the labels of the 28 days before the row's day. Where nobody served, the
    policy's forecast is the base rate: nothing was claimed.
    """
    span = year.calendar.year
    found = labels.read(warehouse, line, start=span.start - USUAL, end=span.end, as_of=span.end)
    day = (found["event_time"] + line.bar).dt.floor("D")
    ups = found.groupby(day)["y"].agg(["sum", "count"]).rolling(USUAL.days, min_periods=1).sum().shift()
    found = found.assign(day=day, available_at=found["event_time"] + line.bar,
                         **{BASE: day.map(ups["sum"] / ups["count"])})
    found = found[(found["day"] >= span.start) & (found["day"] < span.end)]
    found = found.merge(year.oracle.rename(columns={"probability": ORACLE}), on=["symbol", "event_time"])
    served = derived.read(warehouse, tables.predictions, columns=["symbol", "event_time", "probability"],
                          where={"line": line.name, "role": CHAMPION})
    found = found.merge(served.rename(columns={"probability": POLICY}), on=["symbol", "event_time"], how="left")
    found[POLICY] = found[POLICY].fillna(found[BASE])
    return found.sort_values(["event_time", "symbol"], ignore_index=True)


def with_rival(frame: pd.DataFrame, rows: pd.DataFrame, name: str, said: pd.Series) -> pd.DataFrame:
    """``frame`` with a rival's probabilities for the same rows."""
    own = rows.loc[said.index, ["symbol", "event_time"]].assign(**{name: said})
    frame = frame.merge(own, on=["symbol", "event_time"], how="left")
    return frame.assign(**{name: frame[name].fillna(frame[BASE])})


def daily(frame: pd.DataFrame) -> pd.DataFrame:
    """Nats of log loss saved against the base rate, mean over the rows of a day: a column for the oracle and each arm
    in ``frame``, by day (UTC, ascending)."""
    base = metrics.losses(frame["y"], frame[BASE])
    saved = {name: base - metrics.losses(frame["y"], frame[name]) for name in (ORACLE, *ARMS) if name in frame}
    return pd.DataFrame(saved).groupby(frame["day"]).mean()


@dataclass(frozen=True)
class Figure:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def mean(series: pd.Series, scale: float = 1.0) -> Figure:
    """The mean of a daily series, times ``scale``; the interval by the stationary bootstrap over blocks of a week."""
    values = series.to_numpy(dtype=np.float64) * scale
    drawn = bootstrap_means(values[:, None], min(BLOCK, float(len(values))), DRAWS, SEED)[:, 0]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high))


def across(values: FloatArray) -> Figure:
    """The mean over worlds, with Student's interval; NaN where there is one world only."""
    centre = float(np.mean(values))
    if len(values) < 2:
        return Figure(centre, math.nan, math.nan)
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return Figure(centre, centre - half, centre + half)


def net(frame: pd.DataFrame, line: Line, name: str) -> pd.Series:
    """Net simple return after costs, summed by day (UTC)."""
    assert line.costs is not None
    earned = backtest.net_returns(frame, frame[name], line.costs, line.target.horizon_bars)
    return earned.groupby(earned.index.floor("D")).sum()


def by_regime(frame: pd.DataFrame, calendar: Calendar) -> pd.DataFrame:
    """Millinats saved and AUC of oracle and arms in each regime, one row each."""
    table, saved = [], daily(frame)
    for regime, span in calendar.spans.items():
        inside = frame[(frame["day"] >= span.start) & (frame["day"] < span.end)]
        days = saved[(saved.index >= span.start) & (saved.index < span.end)]
        table += [{"regime": regime, "arm": name, "millinats": 1000 * float(days[name].mean()),
                   "auc": metrics.classification(inside["y"], inside[name])["auc"]} for name in saved]
    return pd.DataFrame(table)


def reactions(found: Marks, calendar: Calendar) -> pd.DataFrame:
    """For each regime: days from its beginning to the first alarm (and its kind), request and promotion in it (NaN:
    none), and how many checks rang and how many trainings, promotions and rollbacks there were."""
    table = []
    for regime, span in calendar.spans.items():
        alarms = within(found.alarms, "as_of", span)
        changed = within(found.changes, "effective_at", span)
        promoted = changed[changed["action"] == "promote"]
        harmful = alarms[alarms["kind"] == "performance_drift"]
        table.append({
            "regime": regime, "first_alarm": _days(alarms, "as_of", span),
            "kind": alarms["kind"].iloc[0] if len(alarms) else "",
            "first_performance_alarm": _days(harmful, "as_of", span),
            "first_promotion": _days(promoted, "effective_at", span),
            "alarm_days": alarms["as_of"].nunique(), "requests": len(within(found.requests, "as_of", span)),
            "promotions": len(promoted), "rollbacks": int((changed["action"] == "rollback").sum())})
    return pd.DataFrame(table)


def within(table: pd.DataFrame, column: str, span: Window) -> pd.DataFrame:
    """Rows whose time lies in a span; what happens at its very beginning was decided on the days before it."""
    at = pd.to_datetime(table[column], utc=True)
    return table[(at > span.start) & (at <= span.end)]


def _days(table: pd.DataFrame, column: str, span: Window) -> float:
    if table.empty:
        return math.nan
    return float((pd.to_datetime(table[column], utc=True).min() - pd.Timestamp(span.start)) / timedelta(days=1))
