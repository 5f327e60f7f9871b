"""TAKE or SKIP: thresholds against trying every one, figures by hand, intervals by what they have to cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ContractError, InsufficientData
from pipelines.validation.backtest import choose, take_or_skip
from pipelines.validation.backtest.decisions import FIGURES, figures, measures

T = pd.Timestamp("2024-01-01", tz="UTC")


def trades(*rows: tuple[float, float, float]) -> pd.DataFrame:
    """(hour of opening, hour of closing, profit)"""
    opened, closed, profit = zip(*rows, strict=True)
    return pd.DataFrame({"event_time": T + pd.to_timedelta(opened, unit="h"),
                         "label_end": T + pd.to_timedelta(closed, unit="h"), "forward_return": profit})


def many(days: int, seed: int, edge: float = 0.0) -> tuple[pd.DataFrame, np.ndarray]:
    """Eight trades a day, and a rule that takes half of them: its trades earn ``edge`` more."""
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.uniform(0, 24 * days, 8 * days))
    taken = rng.random(len(hours)) < 0.5
    profit = rng.normal(0, 0.02, len(hours)) + edge * taken
    return trades(*zip(hours, hours + rng.uniform(1, 12, len(hours)), profit, strict=True)), taken


class TestChoose:
    @given(st.lists(st.tuples(st.integers(0, 8), st.integers(-5, 5)), min_size=1, max_size=40), st.integers(1, 6),
           st.sampled_from([0.0, 0.25, 0.6]))
    @settings(max_examples=150)
    def test_no_other_threshold_earns_more_with_enough_trades(self, rows: list[tuple[int, int]], least: int,
                                                              share: float) -> None:
        p, profit = np.array([row[0] / 10 for row in rows]), np.array([float(row[1]) for row in rows])
        needed = max(least, int(np.ceil(share * len(rows))))
        if len(rows) < needed:
            with pytest.raises(InsufficientData, match=rf"{len(rows)} predicted trades are too few .* {needed} are "
                                                       "needed: lengthen train_days or load a longer log"):
                choose(p, profit, share=share, least=least)
            return
        found = choose(p, profit, share=share, least=least)
        taken = p >= found.threshold
        possible = {cut: profit[p >= cut].mean() for cut in p if (p >= cut).sum() >= needed}
        assert found.rows == len(rows)
        assert needed <= taken.sum()
        assert profit[taken].mean() == pytest.approx(max(possible.values()))
        assert (found.taken, found.mean_profit) == (taken.sum(), pytest.approx(profit[taken].mean()))

    def test_of_equal_means_the_rule_that_takes_most(self) -> None:
        found = choose(np.array([0.9, 0.8, 0.7, 0.6]), np.ones(4), least=1, share=0)
        assert (found.threshold, found.taken, found.mean_profit) == (0.0, 4, 1.0)

    def test_the_threshold_is_the_last_prediction_that_is_taken(self) -> None:
        found = choose(np.array([0.2, 0.8, 0.6, 0.4]), np.array([-1.0, 3.0, 2.0, -5.0]), least=2, share=0)
        assert (found.threshold, found.taken, found.mean_profit) == (0.6, 2, 2.5)

    def test_neighbouring_floats(self) -> None:
        p = np.array([0.5, np.nextafter(0.5, 1), 0.1])
        found = choose(p, np.array([-1.0, 1.0, -1.0]), least=1, share=0)
        assert (p >= found.threshold).sum() == found.taken == 1

    def test_refusals(self) -> None:
        with pytest.raises(ContractError, match="one finite value of each a trade"):
            choose(np.array([0.1, np.nan]), np.ones(2))
        with pytest.raises(ContractError, match="one finite value of each a trade"):
            choose(np.ones(2), np.ones(3))


class TestFigures:
    def test_by_hand(self) -> None:
        rows = trades((0, 9, 0.1), (1, 3, -0.2), (2, 5, 0.3), (3, 30, -0.1), (4, 31, 0.0))
        # In the order of closing: -0.2, 0.3, 0.1, -0.1, 0.0.
        assert figures(rows, np.ones(5, dtype=bool)) == pytest.approx({
            "taken": 5, "win_rate": 0.4, "mean_profit": 0.02, "total_profit": 0.1, "profit_factor": 0.4 / 0.3,
            "max_drawdown": 0.2})
        assert figures(rows, np.array([True, False, True, True, False])) == pytest.approx({
            "taken": 3, "win_rate": 2 / 3, "mean_profit": 0.1, "total_profit": 0.3, "profit_factor": 4.0,
            "max_drawdown": 0.1})

    def test_nothing_taken_and_nothing_lost(self) -> None:
        rows = trades((0, 9, 0.1))
        none, won = figures(rows, np.zeros(1, dtype=bool)), figures(rows, np.ones(1, dtype=bool))
        assert (none["taken"], none["total_profit"], none["max_drawdown"]) == (0, 0, 0)
        assert np.isnan([none["win_rate"], none["mean_profit"], none["profit_factor"], won["profit_factor"]]).all()


class TestTakeOrSkip:
    def test_the_table(self) -> None:
        rows, taken = many(20, 1)
        table = take_or_skip(rows, taken, seed=5, draws=300)
        assert list(table.index) == [*(("take", name) for name in FIGURES), *(("all", name) for name in FIGURES),
                                     ("difference", "win_rate"), ("difference", "mean_profit")]
        own = figures(rows, taken)
        assert {name: table.loc[("take", name), "estimate"] for name in FIGURES} == pytest.approx(own)
        assert (table["low"] <= table["high"]).all()
        assert table.loc[("difference", "mean_profit"), "estimate"] == pytest.approx(
            own["mean_profit"] - rows["forward_return"].mean())
        pd.testing.assert_frame_equal(table, take_or_skip(rows, taken, seed=5, draws=300))
        shuffled = np.random.default_rng(0).permutation(len(rows))
        pd.testing.assert_frame_equal(table, take_or_skip(rows.iloc[shuffled], taken[shuffled], seed=5, draws=300))
        assert measures(table)["decision.take.taken"] == taken.sum()

    def test_an_edge_is_seen_and_none_is_not(self) -> None:
        """Of 30 rules without an edge about one in twenty has an interval that excludes 0."""
        sure = take_or_skip(*many(30, 2, edge=0.02), seed=1, draws=300).loc[("difference", "mean_profit")]
        assert 0 < sure["low"] < 0.01 < sure["high"]
        wrong = 0
        for seed in range(30):
            row = take_or_skip(*many(25, seed), seed=seed, draws=200).loc[("difference", "mean_profit")]
            wrong += not row["low"] <= 0 <= row["high"]
        assert wrong <= 5

    def test_days_without_trades_and_rules_that_take_nothing(self) -> None:
        rows = trades((0, 1, 0.1), (1, 2, -0.1), (200, 201, 0.1))
        table = take_or_skip(rows, np.zeros(3, dtype=bool), seed=1, draws=50)
        assert table.loc[("take", "taken"), ["estimate", "low", "high"]].tolist() == [0, 0, 0]
        assert table.loc[("take", "win_rate")].isna().all()
        assert "decision.take.win_rate" not in measures(table)
        with pytest.raises(InsufficientData, match=r"trades of 1 days have no interval; .* raise evidence_days"):
            take_or_skip(rows.iloc[:2], np.ones(2, dtype=bool), seed=1)
