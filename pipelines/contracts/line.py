"""A line: one prediction problem kept alive over time, as declared in ``mlflow/lines/<line>.toml``."""

from __future__ import annotations

import math
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.errors import ConfigError

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

#: Blocks of ``Line.block_days`` that a look of the sequential test needs to say anything.
SEQUENTIAL_BLOCKS = 4


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Strict):
    """What is predicted.

    ``direction``: is the next ``horizon_bars`` return positive? ``volatility``: will realised volatility over
    the next ``horizon_bars`` exceed its trailing median over ``median_bars``? ``triple_barrier``: is the price
    ``upper`` times the volatility of the last ``volatility_bars`` (scaled to the horizon) higher before it is ``lower``
    times lower? After ``horizon_bars`` without either, ``timeout`` says what the label is: the sign of the return, or
    none at all.
    ``meta_label``: does a trade on the side that ``side`` names (with or against the return of the last ``side_bars``)
    earn more than its costs between these barriers? (``pipelines.features.barriers``)

    ``polarity``: do people find a text positive? Its rows are labelled texts of ``sources`` (empty: all) whose label
    is at least ``neutral`` away from 0. ``trade_win``: will a trade have earned something after its fees when it
    is closed? Its rows are the trades of ``sources`` (logs; empty: all).
    """

    kind: Literal["direction", "volatility", "triple_barrier", "meta_label", "polarity", "trade_win"]
    horizon_bars: int = Field(ge=1)
    median_bars: int = Field(default=720, ge=24)
    upper: float = Field(default=1.0, gt=0, le=100)
    lower: float = Field(default=1.0, gt=0, le=100)
    volatility_bars: int = Field(default=24, ge=2, le=720)
    timeout: Literal["sign", "absent"] = "sign"
    side: Literal["momentum", "reversal"] = "momentum"
    side_bars: int = Field(default=24, ge=1, le=720)
    sources: tuple[str, ...] = ()
    neutral: float = Field(default=0.1, gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _only_bars_have_horizons(cls, values: Any) -> Any:
        # A text or a trade says itself when its outcome is known: what a horizon of one bar says, too.
        if isinstance(values, dict) and values.get("kind") in ("polarity", "trade_win"):
            return {"horizon_bars": 1, **values}
        return values

    @property
    def least_bars(self) -> int:
        """After how many bars an outcome may be known at the earliest: a barrier can be touched at once."""
        return 1 if self.on_barriers else self.horizon_bars

    @property
    def on_barriers(self) -> bool:
        """Whether a touch ends the label, before its horizon. The book of the back-test holds positions for a fixed
        time, so there is none of such a line."""
        return self.kind in ("triple_barrier", "meta_label")

    @property
    def rows(self) -> Literal["bars", "texts", "trades"]:
        """What its rows are."""
        match self.kind:
            case "polarity":
                return "texts"
            case "trade_win":
                return "trades"
            case _:
                return "bars"


class Features(_Strict):
    """Which feature groups (see ``pipelines.features.catalog``) make up the matrix, as a versioned list. Features that
    look back over more than ``longest_bars`` are left out: for logs that are short."""

    version: int = Field(default=1, ge=1)
    groups: tuple[str, ...] = Field(min_length=1)
    longest_bars: int | None = Field(default=None, ge=1)


class WalkForward(_Strict):
    """Folds in days of ``event_time``. Training rows whose label interval reaches into ``[test start -
    embargo, …)`` are purged. The last ``evidence_days`` are cut off from the search: only the gate sees them.
    """

    scheme: Literal["expanding", "rolling"] = "rolling"
    train_days: int = Field(ge=2)
    test_days: int = Field(ge=1)
    search_folds: int = Field(ge=2)
    evidence_days: int = Field(ge=2)
    evidence_fold_days: int = Field(default=1, ge=1)
    embargo_bars: int = Field(default=1, ge=0)

    @property
    def history_days(self) -> int:
        """Days of rows a training reads."""
        return self.train_days + self.test_days * self.search_folds + self.evidence_days


class Search(_Strict):
    """The Optuna budget, in trials over all families and workers.

    ``ahead``: how many trials may run at once; each learns from those further back, so it decides the winner, which the
    number of workers does not. ``warm_start``: the first trial is the configuration that the last training has chosen.
    ``halving``: stop the worse half of the trials after 1, 2, 4, ... folds (``folds``), and before that by one fit on
    the newest quarter of the newest fold's history (``history``); every trial counts in the gate, also a stopped one.
    ``selection``: how columns are chosen, on the training rows of each fold: one way for all trials, or several among
    which each trial chooses.
    """

    families: tuple[str, ...] = Field(min_length=1)
    trials: int = Field(ge=1)
    workers: int = Field(default=2, ge=1, le=64)
    nested_runs: int = Field(default=5, ge=1)
    seed: int = 7
    metric: Literal["log_loss"] = "log_loss"
    ahead: int = Field(default=4, ge=1, le=64)
    warm_start: bool = True
    halving: Literal["none", "folds", "history"] = "none"
    selection: tuple[Literal["none", "importance", "rfecv", "stability"], ...] = Field(default=("none",), min_length=1)

    @field_validator("selection", mode="before")
    @classmethod
    def _one_way(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Costs(_Strict):
    """Trading costs in basis points of notional, and the probability band without a position.

    ``fee_bps`` and ``slippage_bps`` are paid on each side of a trade; ``spread_bps`` is the full distance between bid
    and ask, of which each side pays half. Its default is 0: a line that does not state its spread has it in its
    slippage.
    """

    fee_bps: float = Field(default=2.0, ge=0)
    slippage_bps: float = Field(default=1.0, ge=0)
    spread_bps: float = Field(default=0.0, ge=0)
    band: float = Field(default=0.02, ge=0, lt=0.5)

    @property
    def one_way(self) -> float:
        """Cost of trading 1 unit of notional, as a fraction."""
        return (self.fee_bps + self.slippage_bps + self.spread_bps / 2) / 10_000


class Shadow(_Strict):
    """The gate's second stage: challenger and champion score the same live bars, and a bounded number of looks at
    their losses decides.

    ``when``: ``inconclusive`` lets a candidate run in shadow that the offline verdict could not tell from the
    champion; ``always`` also one that the offline verdict would promote, if there is a champion; ``never`` nobody.
    The looks come every ``every_days`` days of data time, and together promote a challenger that is no better with
    probability ``alpha``. ``futility`` gives up early on one that has little hope left. A look at fewer than
    ``min_rows`` rows does not decide.
    """

    when: Literal["inconclusive", "always", "never"] = "inconclusive"
    looks: int = Field(default=4, ge=1, le=26)
    every_days: int = Field(default=7, ge=1, le=90)
    alpha: float = Field(default=0.05, gt=0, le=0.2)
    futility: bool = True
    min_rows: int = Field(default=200, ge=30)


class Rollback(_Strict):
    """Automatic rollback: for ``watch_days`` after a promotion (0: off) the predecessor goes on scoring, and ``looks``
    looks put it back if it is significantly better. ``alpha``: probability of doing so although it is not."""

    watch_days: int = Field(default=28, ge=0, le=365)
    looks: int = Field(default=4, ge=1, le=26)
    alpha: float = Field(default=0.01, gt=0, le=0.2)


class Gate(_Strict):
    """When a candidate may replace what is there."""

    alpha: float = Field(default=0.05, gt=0, le=0.2)
    require_audit: bool = True
    min_rows: int = Field(default=200, ge=30)
    min_effect: float = Field(default=0.0, ge=0)
    min_auc: Share = 0.5
    require_net_return: bool = False
    approval: Literal["auto", "human"] = "auto"
    shadow: Shadow = Shadow()
    rollback: Rollback = Rollback()


DriftMethod = Literal["moments", "wasserstein", "ks", "psi", "jensenshannon", "chi2"]


class Drift(_Strict):
    """When monitoring raises an alarm.

    A check compares the last ``window_days`` days with the champion's training rows. The data have drifted when a
    column, the columns together, or the correlations between them lie beyond their limits in ``persistence`` checks in
    a row. The limits are set so that daily checks of rows that behave as the training rows do raise at most
    ``false_alarms_per_year`` alarms.

    ``method``: how a column is compared. ``moments`` asks for its mean (of normal scores) and its spread within days;
    the others are distances between distributions. ``methods`` names exceptions by column.
    ``share``: of drifted columns from which on Evidently's side of the page says drift; the verdict is not made of it.
    ``performance_alpha``: how many false alarms a year the sequential tests of performance, of predictions and of
    labels may each raise, at most.
    """

    window_days: int = Field(default=7, ge=1)
    method: DriftMethod = "moments"
    methods: dict[str, DriftMethod] = {}
    false_alarms_per_year: float = Field(default=0.5, gt=0, le=12)
    persistence: int = Field(default=3, ge=1)
    share: float = Field(default=0.3, gt=0, le=1)
    performance_alpha: float = Field(default=0.2, gt=0, le=1)

    def method_of(self, column: str) -> DriftMethod:
        return self.methods.get(column, self.method)


class Retrain(_Strict):
    """What may ask for a training, and how often."""

    on: tuple[Literal["data_drift", "prediction_drift", "performance", "schedule"], ...] = (
        "data_drift", "performance")
    every_days: int | None = Field(default=None, ge=1)
    cooldown_days: int = Field(default=3, ge=0)
    min_new_days: int = Field(default=3, ge=0)
    claim_hours: int = Field(default=6, ge=1)

    @model_validator(mode="after")
    def _schedule_has_interval(self) -> Retrain:
        if "schedule" in self.on and self.every_days is None:
            raise ValueError("retrain.on lists 'schedule' but every_days is missing; set it to a number of days")
        return self


class Line(_Strict):
    """One prediction problem: everything that decides how it is trained, judged, watched and retrained."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")
    title: str
    owner: str = "ml"
    interval: Literal["1h"] = "1h"
    symbols: tuple[str, ...] = ()  # empty: every symbol the warehouse has bars for
    target: Target
    features: Features
    walk_forward: WalkForward
    search: Search
    costs: Costs | None = None
    gate: Gate = Gate()
    drift: Drift = Drift()
    retrain: Retrain = Retrain()

    @property
    def bar(self) -> timedelta:
        return timedelta(hours=1)

    @property
    def horizon(self) -> timedelta:
        return self.bar * self.target.horizon_bars

    @property
    def on_bars(self) -> bool:
        """Whether its rows are bars, which come every hour and are predicted and watched, or texts that people have
        judged or closed trades, which are only learned from."""
        return self.target.rows == "bars"

    def require_bars(self, what: str) -> None:
        """Refuse work that only makes sense bar by bar.

        Raises:
            ConfigError: the rows of this line are texts or trades.
        """
        if self.target.rows == "texts":
            raise ConfigError(f"{self.name} learns from labelled texts, and there are no bars to {what}; score texts "
                              f"with `tidemark score --line {self.name}`")
        if self.target.rows == "trades":
            raise ConfigError(f"{self.name} learns from closed trades, and there are no bars to {what}; train and "
                              f"judge it with `tidemark train {self.name}` and `tidemark gate {self.name}`")

    @property
    def block_days(self) -> int:
        """Shortest block, in days, whose mean loss difference counts as one observation: a day, or two horizons."""
        return max(1, math.ceil(2 * self.horizon / timedelta(days=1)))

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return f"tidemark/{self.name}"

    @property
    def registered_model(self) -> str:
        """Name of the MLflow registered model."""
        return f"tidemark.{self.name}"

    @model_validator(mode="after")
    def _tradable_has_costs(self) -> Line:
        if self.gate.require_net_return and self.costs is None:
            raise ValueError("gate.require_net_return needs a [costs] table; add fee_bps and slippage_bps")
        return self

    @model_validator(mode="after")
    def _barriers_have_no_book(self) -> Line:
        if self.target.on_barriers and self.gate.require_net_return:
            raise ValueError("gate.require_net_return asks for a book of positions held for a fixed time, and barriers "
                             "end them early; set it to false, or take target.kind meta_label, whose y is after costs")
        if self.target.kind == "meta_label" and self.costs is None:
            raise ValueError("target.kind meta_label asks what is left after costs; add a [costs] table with fee_bps "
                             "and slippage_bps")
        return self

    @model_validator(mode="after")
    def _only_bars_are_watched(self) -> Line:
        if self.on_bars:
            return self
        one, texts = self.target.rows.removesuffix("s"), self.target.rows == "texts"
        for wrong, remedy in (
                (self.target.horizon_bars != 1, f"leave target.horizon_bars out: a {one} has no horizon"),
                (texts and self.symbols, "leave symbols out, and name target.sources"),
                (self.costs is not None, "leave [costs] out: "
                 + ("nobody trades a label" if texts else "the outcomes of a log are after its fees")),
                (self.gate.require_net_return, "set gate.require_net_return = false: the gate has no book of trades"),
                (self.gate.shadow.when != "never", "set gate.shadow.when = \"never\": no bars come to look at"),
                (self.gate.rollback.watch_days, "set gate.rollback.watch_days = 0: no bars come to look at"),
                (self.retrain.on, "set retrain.on = []: nothing watches it; ask for a training by hand")):
            if wrong:
                raise ValueError(f"a line of kind {self.target.kind} learns from {self.target.rows}; {remedy}")
        return self

    @model_validator(mode="after")
    def _looks_can_see(self) -> Line:
        shadow, watch, least = self.gate.shadow, self.gate.rollback, SEQUENTIAL_BLOCKS * self.block_days
        if shadow.when != "never" and (days := shadow.looks * shadow.every_days) < least:
            raise ValueError(f"gate.shadow ends after {days} days (looks x every_days), and with a horizon of "
                             f"{self.target.horizon_bars} bars its test needs {least}; raise looks or every_days, or "
                             'set when = "never"')
        if 0 < watch.watch_days < max(least, watch.looks):
            raise ValueError(f"gate.rollback.watch_days is {watch.watch_days}; {watch.looks} looks with a horizon of "
                             f"{self.target.horizon_bars} bars need {max(least, watch.looks)}; raise it, or set it "
                             "to 0 for no automatic rollback")
        return self


def parse_line(text: str, origin: str = "<string>") -> Line:
    """Read one line's TOML.

    Raises:
        ConfigError: not TOML, an unknown key, or a value out of range; the message names each key.
    """
    try:
        return Line.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'line'}: {item['msg']} (got {str(item['input'])[:80]!r})"
            for item in error.errors())
        raise ConfigError(f"{origin} is refused: {problems}") from error


def load_lines(directory: Path) -> dict[str, Line]:
    """Every ``*.toml`` of ``directory`` by line name, in name order.

    Raises:
        ConfigError: a file is refused, two files share a name, or the directory holds none.
    """
    lines: dict[str, Line] = {}
    for path in sorted(directory.glob("*.toml")):
        line = parse_line(path.read_text(encoding="utf-8"), str(path))
        if line.name != path.stem:
            raise ConfigError(f"{path} declares the line {line.name!r}; name the file {line.name}.toml")
        lines[line.name] = line
    if not lines:
        raise ConfigError(f"no line in {directory}; add a <line>.toml (see mlflow/README.md) or set TIDEMARK_LINES_DIR")
    return lines
