"""The statistical probes: what they catch in a frame alone, and how often they cry wolf."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.validation.audit import AuditReport, Limits, audit_frame, audit_function
from pipelines.validation.audit.auc import blocks, null_variance, placements, standard_error
from tests.unit.validation.audit.test_fitted_leaks import folds, honest
from tests.unit.validation.audit.worlds import HOUR, training

AS_OF = pd.Timestamp("2024-06-01", tz="UTC").to_pydatetime()
START = pd.Timestamp("2024-01-01", tz="UTC")


def run(frame: pd.DataFrame, **options: object) -> AuditReport:
    return audit_frame(frame, as_of=AS_OF, seed=2, **options)  # type: ignore[arg-type]


def by_symbol(frame: pd.DataFrame, column: str, bars: int) -> pd.Series:
    return frame.groupby("symbol")[column].shift(bars)


def noisy_next_return(frame: pd.DataFrame) -> pd.Series:
    noise = np.random.default_rng(1).standard_normal(len(frame))
    return by_symbol(frame, "return_1", -1) + 0.5 * noise


def three_bars_early(frame: pd.DataFrame) -> pd.Series:
    """A feed whose clock is three hours off, in both its stamps: no cut can see it."""
    return by_symbol(frame, "return_1", -3)


def missing_when_it_falls(frame: pd.DataFrame) -> pd.Series:
    return frame["noise"].where(frame["y"] == 1)


LEAKS: list[tuple[Callable[[pd.DataFrame], pd.Series], str, pd.Timestamp]] = [
    (lambda frame: frame["y"], "separation", START),
    (lambda frame: 1 - frame["y"], "separation", START),
    (lambda frame: 7 * frame["forward_return"] + 1, "separation", START),
    (lambda frame: by_symbol(frame, "return_1", -1), "separation", START),
    (noisy_next_return, "separation", START),
    (three_bars_early, "ladder", START),
]


@pytest.mark.parametrize(("make", "check", "first"), LEAKS, ids=[
    "label", "label_turned", "outcome", "next_return", "noisy_next_return", "three_bars_early"])
def test_a_column_that_knows_the_outcome(make: Callable[[pd.DataFrame], pd.Series], check: str,
                                         first: pd.Timestamp) -> None:
    frame = training()
    frame.insert(3, "leak", make(frame))
    found = [(item.check, item.column, item.first_offending_time) for item in run(frame).findings]
    assert (check, "leak", first) in found
    assert {column for _, column, _ in found} == {"leak"}


def test_being_missing_can_tell() -> None:
    frame = training()
    frame.insert(3, "leak", missing_when_it_falls(frame))
    (finding,) = run(frame).findings
    assert (finding.check, finding.column) == ("separation", "leak")
    assert finding.first_offending_time == frame.loc[frame["y"] == 1, "event_time"].min()
    assert "being missing" in finding.sentence


def test_a_leak_in_a_persistent_label_steps_up_where_honest_features_are_good_already() -> None:
    """The last label persists, so yesterday's says a lot; a feature that knows today's stands out by its step."""
    frame = training(hours=24 * 60, persistent=True)
    rng = np.random.default_rng(3)
    before = by_symbol(frame, "y", 2)
    frame.insert(3, "usual", before.fillna(0.5) + 0.1 * rng.standard_normal(len(frame)))
    limits = Limits(ceiling=0.99)
    assert run(frame, limits=limits).passed
    frame.insert(3, "leak", frame["y"] + 0.3 * rng.standard_normal(len(frame)))
    found = {item.column: item for item in run(frame, limits=limits).findings}
    assert set(found) == {"leak"}
    assert found["leak"].check == "ladder"


def test_a_real_edge_is_no_leak() -> None:
    """An AUC of 0.57 from a feature that lives for one bar: more than anyone has, and believed."""
    frame = training()
    rng = np.random.default_rng(4)
    frame.insert(3, "edge", 0.25 * (2 * frame["y"] - 1) + rng.standard_normal(len(frame)))
    assert roc_auc_score(frame["y"], frame["edge"]) > 0.56
    assert run(frame).passed


def test_stamps_of_a_frame() -> None:
    frame = training()
    late, early = frame.copy(), frame.copy()
    late.loc[100:, "label_end"] -= HOUR
    early.loc[50:, "available_at"] -= HOUR / 2
    found = {(item.check, item.column): item.first_offending_time for item in run(late).findings}
    assert found == {("availability", "label_end"): frame["event_time"].iloc[100]}
    found = {(item.check, item.column): item.first_offending_time for item in run(early).findings}
    assert found == {("availability", "available_at"): frame["event_time"].iloc[50]}


def test_a_column_by_a_forbidden_name() -> None:
    frame = training()
    frame.insert(3, "profit_ratio", frame["noise"])
    frame.insert(3, "num_comments", frame["noise"])
    found = {(item.check, item.column, item.first_offending_time) for item in run(frame).findings}
    assert found == {("sources", "profit_ratio", START), ("sources", "num_comments", START)}


def test_what_earlier_trades_brought_is_no_outcome_of_this_one_and_a_label_may_be_made_of_it() -> None:
    frame = training()
    for source, wrong in (("closed_trades.profit_ratio", False), ("trades.profit_ratio", True), ("profit_ratio", True),
                          ("closed_trades.num_comments", True)):
        found = run(frame, sources={"noise": (source,)}).findings
        assert [(item.check, item.column) for item in found] == ([("sources", "noise")] if wrong else [])

    def of_trades(facts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        log = facts["trades"]
        return log[["symbol", "event_time"]].assign(
            available_at=log["available_at"], label_end=log["available_at"],
            y=(log["profit_ratio"] > 0).astype("int64"))

    log = pd.DataFrame({"symbol": "A", "event_time": START + HOUR * np.arange(50)})
    log = log.assign(available_at=log["event_time"] + 5 * HOUR, profit_ratio=np.sin(np.arange(50)))
    for known, wrong in (("label_end", False), ("available_at", True)):
        report = audit_function(of_trades, {"trades": log}, as_of=AS_OF, seed=1, known=known)
        assert {item.column for item in report.findings if item.check == "sources"} == ({"y"} if wrong else set())


@pytest.mark.no_cover
@pytest.mark.parametrize(("horizon", "persistent"), [(1, False), (24, False), (24, True)])
def test_false_alarms_of_the_probes(horizon: int, persistent: bool) -> None:
    """60 edge-free markets in all: at most 5 % of the audits may have a finding; 0 of 60 leaves an upper 95 % bound
    of 4.9 % (rule of three)."""
    alarms = 0
    for seed in range(20):
        frame = training(seed, hours=24 * 30, horizon=horizon, persistent=persistent)
        alarms += not audit_frame(frame, as_of=AS_OF, seed=seed, horizon=horizon, folds=folds(frame, 2),
                                  fitters={"model": honest}).passed
    assert alarms == 0


def test_the_error_of_an_auc_is_as_wide_as_time_series_need() -> None:
    """With labels and features that hang together over days the naive error is far too small; the blocks' is not."""
    scores, naive = [], []
    for seed in range(40):
        frame = training(seed, hours=24 * 60, symbols=1, horizon=24)
        labels, values = frame["y"].to_numpy(), frame["slow"].to_numpy()
        area, influence = placements(values, labels)
        error, freedom = standard_error(influence, blocks(frame["event_time"], 24 * HOUR))
        assert freedom >= 8
        scores.append((area - 0.5) / error)
        naive.append((area - 0.5) / np.sqrt(null_variance(values, labels)))
    assert np.std(naive) > 3
    assert np.std(scores) < 2


def test_auc_and_its_null_variance_against_others() -> None:
    rng = np.random.default_rng(8)
    labels = (rng.random(300) < 0.4).astype(float)
    values = np.round(rng.standard_normal(300), 1)  # with ties
    area, influence = placements(values, labels)
    assert area == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    drawn = [placements(values, rng.permutation(labels))[0] for _ in range(1500)]
    assert null_variance(values, labels) == pytest.approx(np.var(drawn), rel=0.12)
    assert np.isnan(placements(values, np.ones(300))[0])
