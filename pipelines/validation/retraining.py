"""Which retraining interval would have been best, against never retraining?

One configuration is walked over the same days once per interval: fitted at the start and then every so often, each time
on the rows whose labels were known by then, and judged on the rows until its next fit. All intervals start from the
same first fit and are scored on the same rows, so their differences are paired; ``never`` keeps that first fit.

The best of several intervals looks good by being the best of several: whether it beats ``never`` is judged with each
p-value multiplied by the number of intervals tried (Bonferroni). Where nothing is significant the report says so, and
what would have been large enough to see.

References:
    R. Ibragimov and U. K. Müller, *Journal of Business & Economic Statistics* 28(4), 2010, 453-468 (the block t-test).
    O. J. Dunn, "Multiple Comparisons Among Means", *Journal of the American Statistical Association* 56, 1961, 52-64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from pipelines.contracts.line import Costs
from pipelines.contracts.ports import FloatArray
from pipelines.errors import ContractError, InsufficientData
from pipelines.validation import metrics
from pipelines.validation.backtest import net_returns
from pipelines.validation.significance import TTest, block_t_test
from pipelines.validation.splits import AnchoredHoldout

NEVER = "never"
INTERVALS = tuple(timedelta(days=days) for days in (28, 14, 7, 3, 1))

#: Rows with a label → P(y = 1) of other rows, shape (rows,).
Model = Callable[[pd.DataFrame], Any]
Fit = Callable[[pd.DataFrame], Model]


@dataclass(frozen=True)
class Walk:
    """The forecasts of each interval on the same rows.

    Attributes:
        rows: the judged rows of the frame, in time order, all its columns.
        chances: (rows, intervals) P(y = 1); columns ``never`` first, then ``28d`` and so on.
        fits: interval → how many models it took.
        ages: interval → mean age (hours) of the model over the rows.
    """

    rows: pd.DataFrame
    chances: pd.DataFrame
    fits: Mapping[str, int]
    ages: Mapping[str, float]


@dataclass(frozen=True)
class IntervalResult:
    """One interval beside never retraining.

    Attributes:
        interval: ``never`` or a number of days as ``7d``.
        fits: models trained.
        loss, net: mean log loss (nats) and mean net simple return per period with two-sided 95 % intervals of the block
            t-test; ``net`` is None where nothing can be traded.
        loss_saved: paired, the loss of ``never`` less this one's (positive: retraining helped); None for ``never``. Its
            ``minimum_detectable`` is stated at the level divided by the number of intervals.
        net_gained: paired, this net return less that of ``never``; None for ``never`` or where nothing can be traded.
    """

    interval: str
    fits: int
    loss: TTest
    net: TTest | None
    loss_saved: TTest | None
    net_gained: TTest | None


@dataclass(frozen=True)
class Report:
    """Attributes:
        results: one per interval, ``never`` first.
        best: the interval with the lowest mean loss.
        best_net: the interval with the highest mean net return; None where nothing can be traded.
        significant: the best interval's loss is lower than that of ``never`` beyond what the choice among the
            intervals and chance explain, at level ``alpha``.
        note: the answer in plain sentences.
    """

    results: tuple[IntervalResult, ...]
    best: str
    best_net: str | None
    significant: bool
    note: str

    def to_frame(self) -> pd.DataFrame:
        """One row per interval: effects with their intervals and one-sided p-values (not yet multiplied)."""
        rows = {}
        for result in self.results:
            row: dict[str, float] = {"fits": result.fits}
            for name in ("loss", "net", "loss_saved", "net_gained"):
                test: TTest | None = getattr(result, name)
                if test is not None:
                    row |= {name: test.effect, f"{name}_low": test.low, f"{name}_high": test.high}
                    if name in ("loss_saved", "net_gained"):
                        row[f"{name}_p"] = test.p_value
            rows[result.interval] = row
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("interval")


def walk(frame: pd.DataFrame, fit: Fit, start: pd.Timestamp, *, intervals: Sequence[timedelta] = INTERVALS,
         train: timedelta | None = None, embargo: timedelta = timedelta(0)) -> Walk:
    """Forecast every row from ``start`` on, once per interval and once without retraining.

    A model fitted at T learns from the rows with ``label_end < T - embargo`` (and, with ``train``, from ``event_time >=
    T - train``) and forecasts from T until the next fit. Fits that several intervals share are made once.

    Args:
        frame: columns ``event_time``, ``label_end`` (UTC), ``y`` and whatever ``fit`` reads.
        fit: trains on rows of the frame and returns a function from rows to P(y = 1).
        start: first fit and first judged ``event_time`` (UTC).
        intervals: times between fits.
        train: length of the training window; everything there is if left out.
        embargo: time kept free between the last training label and the fit.

    Raises:
        InsufficientData: no row from ``start`` on, or nothing to learn from before a fit.
        ContractError: an interval that is not positive or given twice, or a model that does not answer every row.
    """
    if not intervals or len(set(intervals)) != len(intervals) or min(intervals) <= timedelta(0):
        raise ContractError(f"intervals are {[str(each) for each in intervals]}; pass different positive times")
    ordered = frame.sort_values("event_time", kind="stable").reset_index(drop=True)
    at, known = ordered["event_time"], ordered["label_end"]
    rows = ordered[at >= start].reset_index(drop=True)
    if rows.empty:
        raise InsufficientData(f"no row from {start} on; begin earlier, or load the newer days")
    models: dict[pd.Timestamp, Model] = {}

    def model(when: pd.Timestamp) -> Model:
        if when not in models:
            fold = next(AnchoredHoldout(start=when, embargo=embargo).split(at, known))
            seen = ordered.iloc[fold.train]
            seen = seen if train is None else seen[seen["event_time"] >= when - train]
            if seen.empty:
                raise InsufficientData(f"nothing to learn from before {when}; begin later or lengthen train")
            models[when] = fit(seen)
        return models[when]

    elapsed = rows["event_time"] - start
    chances, fits, ages = {}, {}, {}
    for name, interval in {NEVER: None, **{label(each): each for each in intervals}}.items():
        step = np.zeros(len(rows), dtype=np.int64) if interval is None else (elapsed // interval).to_numpy()
        turns = np.unique(step)
        times = [start + int(turn) * interval if interval is not None else start for turn in turns]
        answers = [_answer(model(when), rows[step == turn]) for turn, when in zip(turns, times, strict=True)]
        chances[name], fits[name] = np.concatenate(answers), len(turns)
        since = elapsed if interval is None else elapsed % interval
        ages[name] = float((since / timedelta(hours=1)).mean())
    return Walk(rows, pd.DataFrame(chances), fits, ages)


def report(done: Walk, *, blocks: int = 7, alpha: float = 0.05, costs: Costs | None = None,
           horizon_bars: int = 1) -> Report:
    """Judge a walk: which interval was best, and could that be chance?

    Args:
        done: of :func:`walk`; with ``costs`` its rows need the columns of the backtest, too.
        blocks, alpha: of the block t-test; ``alpha`` is one-sided.
        costs: what trading costs; None leaves the net returns out.
        horizon_bars: bars a position is held.

    Raises:
        InsufficientData: fewer than two timestamps per block.
    """
    at, y = done.rows["event_time"], done.rows["y"]
    losses = pd.DataFrame({name: metrics.losses(y, p) for name, p in done.chances.items()}).groupby(at).mean()
    traded = None if costs is None else pd.DataFrame(
        {name: net_returns(done.rows, p, costs, horizon_bars) for name, p in done.chances.items()})
    # An interval longer than the walk never came to its second fit: it is `never` under another name.
    tried = sum(fits > 1 for fits in done.fits.values())
    level = alpha / max(tried, 1)
    results = tuple(_result(name, done.fits[name], losses, traded, blocks, level) for name in losses)
    best = min(results, key=lambda result: result.loss.effect)
    net = [(result.net.effect, result.interval) for result in results if result.net is not None]
    saved = best.loss_saved
    significant = saved is not None and saved.p_value <= level
    return Report(results, best.interval, max(net)[1] if net else None, significant,
                  _note(results, best, tried, significant, alpha))


def label(interval: timedelta) -> str:
    """``7d`` for seven days, ``12h`` for half a day."""
    days = interval / timedelta(days=1)
    return f"{days:g}d" if days >= 1 else f"{interval / timedelta(hours=1):g}h"


def _answer(model: Model, rows: pd.DataFrame) -> FloatArray:
    found: FloatArray = np.asarray(model(rows), dtype=np.float64)
    if found.shape != (len(rows),):
        raise ContractError(f"the model answers with shape {found.shape} for {len(rows)} rows; return P(y = 1) of each")
    return found


def _result(name: str, fits: int, losses: pd.DataFrame, traded: pd.DataFrame | None, blocks: int,
            alpha: float) -> IntervalResult:
    def test(values: pd.Series) -> TTest:
        return block_t_test(values, blocks, alpha)

    other = name != NEVER
    return IntervalResult(
        name, fits, test(losses[name]), None if traded is None else test(traded[name]),
        test(losses[NEVER] - losses[name]) if other else None,
        test(traded[name] - traded[NEVER]) if other and traded is not None else None)


def _note(results: tuple[IntervalResult, ...], best: IntervalResult, tried: int, significant: bool,
          alpha: float) -> str:
    saved = best.loss_saved
    if saved is not None and significant:
        return (f"Retraining every {best.interval} ({best.fits} fits) had the lowest loss: {saved.effect:.5f} nats per "
                f"prediction below never retraining (95 % interval {saved.low:.5f} to {saved.high:.5f}; "
                f"p = {min(saved.p_value * tried, 1.0):.4f} after choosing among {tried} intervals).")
    if not tried:
        return ("No difference could be seen: every interval is longer than the days that were walked, so nothing was "
                "ever retrained. Begin earlier, or try shorter intervals.")
    compared = [(result.interval, result.loss_saved) for result in results
                if result.loss_saved is not None and result.fits > 1]
    unseen = max(test.minimum_detectable for _, test in compared)
    better = [name for name, test in compared if test.p_value <= alpha / tried]
    worse = [name for name, test in compared if test.effect < 0 and 1 - test.p_value <= alpha / tried]
    seen = "; ".join(f"{', '.join(names)} significantly {word} than never retraining"
                     for word, names in (("better", better), ("worse", worse)) if names)
    lowest = ("Never retraining had the lowest loss" if saved is None else
              f"Retraining every {best.interval} had the lowest loss, {saved.effect:.5f} nats below never retraining")
    opening = (f"{lowest}, but not significantly so. Of {tried} intervals: {seen}" if seen else
               f"No difference could be seen between {tried} intervals and never retraining. {lowest}, which chance "
               f"may explain")
    return (f"{opening} (level {alpha:g}). Any true difference of {unseen:.5f} nats would have been found with 80 % "
            f"power; to see a smaller one, walk more days.")
