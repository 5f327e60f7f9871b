"""What is audited: builds that can be done again as of another time, a training frame, folds and fitters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, ROW_KEY, SCHEMAS, Kind
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError
from pipelines.features import NAIVE, feature_names
from pipelines.validation.splits import Fold

Facts = Mapping[str, pd.DataFrame]
#: ``rebuild(as_of, since)``: the rows known at ``as_of``, at least those known at or after ``since`` (None: all).
Rebuild = Callable[[pd.Timestamp, pd.Timestamp | None], pd.DataFrame]
#: ``fitter(frame, fold, probe)``: fit on ``fold`` of ``frame`` and say something of each ``probe`` row; shape (rows,)
#: or (rows, outputs), the probability first.
Fitter = Callable[[pd.DataFrame, Fold, pd.DataFrame], FloatArray]
BAR = pd.Timedelta(hours=1)
US = pd.Timedelta(microseconds=1)
#: A fact this many times later than usual is news: a look-ahead shows best just before it comes.
_LATE = 2.0


@dataclass(frozen=True, eq=False)
class Build:
    """Something made of facts (features, labels, aggregates) that can be made again as of any time.

    Attributes:
        rebuild: how; a row it gives may not change once ``known`` has passed.
        moments: (n,) the times at which facts came, ascending: between two of them nothing changes.
        news: the moments of revisions, late facts and ends of gaps.
        known, event: the columns of the row's availability and of what it is about; both UTC.
        key: names a row.
        reach: how far before a cut rows are compared at most cuts (None: all rows at every cut).
        opens: a row may not be known before ``event`` plus this; None: not checked.
        facts: what it is made of, for their stamps.
        function: how, where it is a pure function of ``facts``. Then they can be disturbed, too.
        executed: columns of ``function`` that are earned by acting on the row: they may not depend on anything known
            at the decision, ``event`` + ``BAR``.
    """

    name: str
    rebuild: Rebuild
    moments: pd.DatetimeIndex
    news: pd.DatetimeIndex
    known: str = "available_at"
    event: str = "event_time"
    key: tuple[str, ...] = ROW_KEY
    reach: pd.Timedelta | None = None
    opens: pd.Timedelta | None = BAR
    facts: Facts | None = None
    function: Callable[[Facts], pd.DataFrame] | None = None
    executed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """How hard the audit looks, and what is too good to be true.

    Attributes:
        cuts: random cuts a build, and as many before revisions.
        ceiling: no honest single feature has an AUC above this (below its complement). An honest one can be very
            good where the target is persistent: see ``run.CEILING``.
        step: no honest feature gains this much AUC by being one bar fresher.
        alpha: level of each statistical probe over all its columns or fitters (Bonferroni); a leak is far beyond it,
            and a false alarm costs a training.
        rungs: bars that the shift ladder goes down.
        folds, probes, shuffles: folds that are fitted again, rows asked there, shuffles of the labels a fold.
    """

    cuts: int = 24
    ceiling: float = 0.80
    step: float = 0.08
    alpha: float = 0.001
    rungs: int = 6
    folds: int = 2
    probes: int = 64
    shuffles: int = 2


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything an audit may look at; what is left out is skipped, and the report says so.

    Attributes:
        frame: training rows: ``FEATURE_META``, features, ``LABEL_COLUMNS`` (a frame without labels is fine).
        folds: as used for the search and the evidence.
        unseen: when the evidence begins, which folds before it may not see.
        fitters: by name.
        sources: feature → what it is made of (``kind:field``, field or table).
        horizon: bars from a row's decision to its outcome, at most.
        bar: how long after its ``event_time`` a row of ``frame`` is decided; 0 where rows are no bars.
        least: bars from a row's decision to its outcome, at least; ``horizon`` if left out.
    """

    name: str
    as_of: pd.Timestamp
    seed: int
    builds: tuple[Build, ...] = ()
    frame: pd.DataFrame | None = None
    folds: tuple[Fold, ...] = ()
    unseen: pd.Timestamp | None = None
    fitters: Mapping[str, Fitter] = field(default_factory=dict)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    horizon: int = 1
    limits: Limits = field(default_factory=Limits)
    bar: pd.Timedelta = BAR
    least: int | None = None
    _whole: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    def whole(self, build: Build) -> pd.DataFrame:
        """The build with everything known at ``as_of``, made once."""
        if build.name not in self._whole:
            self._whole[build.name] = rows_of(build, build.rebuild(self.as_of, None))
        return self._whole[build.name]

    def rng(self, check: str, what: str = "") -> np.random.Generator:
        """A stream of its own for each check and what it looks at: adding a check changes no other one's draws."""
        return np.random.default_rng([self.seed, *f"{check}/{what}".encode()])

    @property
    def features(self) -> tuple[str, ...]:
        """The feature columns of ``frame``."""
        return () if self.frame is None else tuple(
            name for name in feature_names(self.frame) if pd.api.types.is_numeric_dtype(self.frame[name]))

    @property
    def labelled(self) -> bool:
        return self.frame is not None and {"y", *FEATURE_META[:2]} <= set(self.frame.columns) and len(self.frame) > 0


def from_facts(name: str, function: Callable[[Facts], pd.DataFrame], facts: Facts, *, known: str = "available_at",
               event: str = "event_time", key: tuple[str, ...] = ROW_KEY, opens: pd.Timedelta | None = BAR,
               executed: tuple[str, ...] = ()) -> Build:
    """A build that is a pure function of fact frames, each with ``available_at`` (UTC).

    Raises:
        ContractError: a frame without an aware ``available_at``.
    """
    for kind, frame in facts.items():
        stamps = frame.get("available_at")
        if stamps is None or not isinstance(stamps.dtype, pd.DatetimeTZDtype):
            raise ContractError(f"facts {kind!r} have no aware available_at; without it nobody can say what was known "
                                "when: add the UTC time each row became public")

    def rebuild(as_of: pd.Timestamp, since: pd.Timestamp | None) -> pd.DataFrame:
        return function({kind: frame[frame["available_at"] <= as_of].reset_index(drop=True)
                         for kind, frame in facts.items()})

    return Build(name, rebuild, moments(facts), news(facts), known, event, key, None, opens, facts, function, executed)


def moments(facts: Facts) -> pd.DatetimeIndex:
    """When facts came: ascending, unique."""
    return _times([frame["available_at"] for frame in facts.values()])


def news(facts: Facts) -> pd.DatetimeIndex:
    """When a revision of something known came, a fact much later than facts of its kind do, or the first one after a
    gap in a regular series (whatever fills the gap backwards shows just before)."""
    parts = []
    for kind, given in facts.items():
        frame = given.reset_index(drop=True)
        late = np.zeros(len(frame), dtype=bool)
        if "revision" in frame.columns:
            late |= (frame["revision"] > 0).to_numpy()
        schema = SCHEMAS[Kind(kind)] if kind in set(Kind) else None
        if schema is not None and set(schema.key) <= set(frame.columns):
            ordered = frame.sort_values("available_at", kind="stable")
            late[ordered.index[ordered.duplicated(list(schema.key))]] = True
        if "event_time" in frame.columns and len(frame):
            lag = frame["available_at"] - frame["event_time"]
            late |= (lag > _LATE * lag.quantile(0.9) + US).to_numpy() | _after_gap(frame)
        parts.append(frame.loc[late, "available_at"])
    return _times(parts)


def _after_gap(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows that follow a hole in a regular series: missing rows, or missing values in the row before."""
    names = [name for name in ("symbol", "interval", "name") if name in frame.columns]
    ordered = frame.sort_values([*names, "event_time", "available_at"], kind="stable")
    same = np.ones(len(frame), dtype=bool)
    same[:1] = False
    for name in names:
        same &= (ordered[name] == ordered[name].shift(1)).to_numpy()
    step = ordered["event_time"].diff().where(same)
    usual = step[step > pd.Timedelta(0)]
    result = np.zeros(len(frame), dtype=bool)
    if len(usual) and usual.quantile(0.25) == usual.quantile(0.75):
        empty = ordered.select_dtypes("float").isna()
        filled = (empty.shift(1, fill_value=False) & ~empty).any(axis=1).to_numpy() & same
        place = frame.index.get_indexer(ordered.index)
        result[place] = (step > usual.median()).to_numpy() | filled
    return result


def rows_of(build: Build, frame: pd.DataFrame) -> pd.DataFrame:
    """``frame``, if it is what ``build`` promises.

    Raises:
        ContractError: key or time columns are missing, or two rows have one key.
    """
    missing = [name for name in (*build.key, build.known, build.event) if name not in frame.columns]
    if missing:
        raise ContractError(f"{build.name} lack {', '.join(missing)}; the audit needs to know what each row is about "
                            "and when it was known")
    if frame.duplicated(list(build.key)).any():
        raise ContractError(f"{build.name} have two rows of one {build.key}; keep one")
    return frame.reset_index(drop=True)


def columns_of(build: Build, frame: pd.DataFrame) -> list[str]:
    """The columns that are compared: all but the key."""
    return [name for name in frame.columns if name not in build.key]


def outcomes() -> frozenset[str]:
    """Columns of a training frame that no feature may be."""
    return frozenset({*LABEL_COLUMNS, *NAIVE})


def _times(parts: Sequence[pd.Series]) -> pd.DatetimeIndex:
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DatetimeIndex([], dtype="datetime64[us, UTC]")
    return pd.DatetimeIndex(pd.concat(parts).drop_duplicates().sort_values()).as_unit("us")
