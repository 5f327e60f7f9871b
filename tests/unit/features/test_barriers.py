"""Triple barriers and meta-labels: tables small enough to check by hand, and a plain loop over all versions."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.contracts.line import Line, parse_line
from pipelines.errors import ConfigError
from pipelines.features import labels, view
from pipelines.training.measure import tradable
from pipelines.validation.splits import plan
from tests.unit.features.world import HOUR, START, clean, dirty, known, ordered

T = pd.Timestamp(START)
KINDS = ("triple_barrier", "meta_label")


def make_line(kind: str = "triple_barrier", horizon: int = 4, costs: bool = True, **target: object) -> Line:
    rules = {"volatility_bars": 4, "side_bars": 3, **target}
    return Line.model_validate({
        "name": "barriers", "title": "Barriers", "target": {"kind": kind, "horizon_bars": horizon, **rules},
        "features": {"groups": ["returns"]}, "costs": {"fee_bps": 2, "slippage_bps": 1} if costs else None,
        "walk_forward": {"train_days": 4, "test_days": 1, "search_folds": 2, "evidence_days": 2},
        "search": {"families": ["lightgbm"], "trials": 1}, "gate": {"shadow": {"when": "never"}}})


#: Up one per cent, down again: sigma is ln(1.01) an hour, and with a horizon of 4 the barriers are 2 ln(1.01) away.
LEAD = [100.0, 101.0, 100.0, 101.0, 100.0]
UPPER, LOWER = 100 * 1.01**2, 100 / 1.01**2


def bars(*path: tuple[float, float, float, float] | None) -> pd.DataFrame:
    """``LEAD``, then open, high, low and close of the bars that follow; None: the bar is missing."""
    rows = [(close, close, close, close) for close in LEAD] + list(path)
    opened = [T + number * HOUR for number in range(len(rows))]
    there = [(at, *row) for at, row in zip(opened, rows, strict=True) if row is not None]
    frame = pd.DataFrame(there, columns=["event_time", "open", "high", "low", "close"])
    frame["event_time"] = frame["event_time"].astype("datetime64[us, UTC]")
    return frame.assign(symbol="A", interval="1h", available_at=frame["event_time"] + HOUR, volume=1.0, source="t",
                        revision=0)


def row(frame: pd.DataFrame, line: Line, bar: int = 4) -> tuple[int, float, float] | None:
    """(y, hour of label_end, forward return) of a bar."""
    found = labels.label(frame, line)
    one = found[found["event_time"] == T + bar * HOUR]
    if one.empty:
        return None
    return int(one["y"].iloc[0]), float((one["label_end"].iloc[0] - T) / HOUR), float(one["forward_return"].iloc[0])


FLAT = (100.0, 100.5, 99.5, 100.0)


class TestTripleBarrier:
    @pytest.mark.parametrize(("path", "expected"), [
        ([FLAT, (100.5, 102.5, 100.0, 101.0)], (1, 7, UPPER / 100 - 1)),        # the second bar touches above
        ([(100.4, 102.5, 100.0, 101.0)], (1, 6, UPPER / 100.4 - 1)),            # bought at the next open
        ([FLAT, FLAT, (100.0, 100.0, 97.0, 99.0)], (0, 8, LOWER / 100 - 1)),    # stopped
        ([FLAT, (103.0, 104.0, 102.5, 103.0)], (1, 7, 0.03)),                   # a limit filled at a better open
        ([FLAT, (97.0, 98.0, 96.0, 97.0)], (0, 7, -0.03)),                      # a stop filled at a worse open
        ([FLAT, (100.0, 103.0, 97.0, 100.0)], (0, 7, LOWER / 100 - 1)),         # both in one bar: the loss first
        ([FLAT, FLAT, FLAT, (100.0, 101.0, 99.0, 100.7)], (1, 9, 0.007)),       # neither: the sign of the return
        ([FLAT, FLAT, FLAT, (100.0, 101.0, 99.0, 99.3)], (0, 9, -0.007)),
        ([FLAT, FLAT, FLAT, FLAT], (0, 9, 0.0)),                                # an unchanged price did not rise
        ([FLAT, FLAT, FLAT], None),                                             # not over yet
        ([FLAT, None, (100.0, 103.0, 100.0, 103.0), FLAT, FLAT], None),         # what did the missing bar touch?
        ([FLAT, (100.5, 102.5, 100.0, 101.0), None, FLAT], (1, 7, UPPER / 100 - 1)),  # after the touch it is nothing
    ])
    def test_what_is_touched_first(self, path: list[tuple[float, float, float, float] | None],
                                   expected: tuple[int, float, float] | None) -> None:
        assert row(bars(*path), make_line()) == (None if expected is None else pytest.approx(expected, abs=1e-12))

    def test_without_a_touch_there_may_be_no_label(self) -> None:
        line = make_line(timeout="absent")
        assert row(bars(FLAT, FLAT, FLAT, FLAT, FLAT), line) is None
        assert row(bars(FLAT, (100.0, 103.0, 100.0, 102.0)), line) == pytest.approx((1, 7, UPPER / 100 - 1))

    def test_barriers_of_unequal_height(self) -> None:
        path = [FLAT, (100.0, 103.5, 98.2, 103.0)]
        assert row(bars(*path), make_line(upper=1.5, lower=1.5)) == pytest.approx((1, 7, 1.01**3 - 1))
        assert row(bars(*path), make_line(upper=1.5, lower=0.8)) == pytest.approx((0, 7, 1.01**-1.6 - 1))

    def test_a_price_that_stood_still_has_no_barriers(self) -> None:
        assert row(bars(FLAT, FLAT).assign(close=100.0), make_line()) is None

    def test_a_late_touch_is_known_late(self) -> None:
        frame = bars(FLAT, (100.5, 102.5, 100.0, 101.0), FLAT)
        frame.loc[5, "available_at"] += pd.Timedelta(hours=1.5)  # 7:30, after the bar that touches
        assert row(frame, make_line()) == pytest.approx((1, 7.5, UPPER / 100 - 1))

    def test_a_row_whose_look_back_was_awaited_has_no_label(self) -> None:
        frame = bars((100.0, 103.0, 100.0, 102.0), FLAT)
        frame.loc[2, "available_at"] += pd.Timedelta(hours=2.5)  # 5:30, when the row had been decided (5:00)
        assert row(frame, make_line()) is None

    def test_corrections_count_until_the_touch_is_known(self) -> None:
        path = [FLAT, FLAT, (100.0, 102.5, 100.0, 102.0), FLAT]
        frame = bars(*path)
        low = frame.iloc[[5]].assign(low=97.0, revision=1)
        for hour, expected in ((7.5, (0, 8, LOWER / 100 - 1)), (8.5, (1, 8, UPPER / 100 - 1))):
            news = low.assign(available_at=T + pd.Timedelta(hours=hour))
            assert row(ordered(pd.concat([frame, news])), make_line()) == pytest.approx(expected)
        # A correction takes a touch away before anybody could tell of it: the bar that touches came late.
        quiet = frame.iloc[[7]].assign(high=100.5, low=99.5, revision=1)
        late = frame.assign(available_at=frame["available_at"].where(frame.index != 6, T + pd.Timedelta(hours=9)))
        news = quiet.assign(available_at=T + pd.Timedelta(hours=8.5))
        assert row(ordered(pd.concat([late, news])), make_line()) == pytest.approx((0, 9, 0.0))


class TestMetaLabel:
    #: The return of the last 3 bars of LEAD is 100 / 101 - 1: momentum is short, reversal is long.
    DOWN, UP = [FLAT, (100.0, 100.0, 97.0, 98.0)], [FLAT, (100.0, 103.0, 100.0, 102.0)]

    @pytest.mark.parametrize(("side", "path", "expected"), [
        ("momentum", DOWN, (1, 7, 1 - LOWER / 100)), ("momentum", UP, (0, 7, 1 - UPPER / 100)),
        ("reversal", DOWN, (0, 7, LOWER / 100 - 1)), ("reversal", UP, (1, 7, UPPER / 100 - 1)),
        ("momentum", [FLAT, (100.0, 103.0, 97.0, 100.0)], (0, 7, 1 - UPPER / 100)),  # both: a short loses above
        ("momentum", [FLAT, FLAT, FLAT, (100.0, 100.0, 99.0, 99.95)], (0, 9, 0.0005)),  # less than its costs
        ("momentum", [FLAT, FLAT, FLAT, (100.0, 100.0, 99.0, 99.93)], (1, 9, 0.0007)),  # 2 x 3 bp, and a bit
    ])
    def test_does_the_side_earn_more_than_its_costs(
            self, side: str, path: list[tuple[float, float, float, float] | None],
            expected: tuple[int, float, float]) -> None:
        assert row(bars(*path), make_line("meta_label", side=side)) == pytest.approx(expected, abs=1e-12)

    def test_gain_and_loss_are_those_of_the_side(self) -> None:
        line = make_line("meta_label", upper=0.5, lower=2)
        assert row(bars((100.0, 102.5, 98.5, 100.0)), line) == pytest.approx((1, 6, 1 - 1 / 1.01))

    def test_no_side_no_label(self) -> None:
        assert row(bars(FLAT, (100.0, 103.0, 97.0, 100.0)), make_line("meta_label", side_bars=2)) is None

    def test_it_needs_costs(self) -> None:
        with pytest.raises(ValueError, match=r"meta_label asks what is left after costs; add a \[costs\] table"):
            make_line("meta_label", costs=False)
        bare = make_line("meta_label").model_copy(update={"costs": None})
        with pytest.raises(ConfigError, match=r"barriers: a meta-label asks .* add a \[costs\] table"):
            labels.label(bars(FLAT, FLAT), bare)


def by_hand(frame: pd.DataFrame, line: Line) -> dict[tuple[str, int], tuple[int, pd.Timestamp, float]]:
    """(symbol, hour of the bar) → y, label_end, forward return: a loop over rows, bars and all their versions."""
    target, found = line.target, {}
    for symbol, mine in frame.groupby("symbol"):
        versions: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for version in mine.sort_values(["available_at", "revision"]).to_dict("records"):
            versions[int((version["event_time"] - T) / HOUR)].append(version)

        def seen(bar: int, at: pd.Timestamp, versions: Any = versions) -> dict[str, Any] | None:
            there = [version for version in versions.get(bar, []) if version["available_at"] <= at]
            return there[-1] if there else None

        def came(bar: int, versions: Any = versions) -> pd.Timestamp | None:
            return versions[bar][0]["available_at"] if bar in versions else None

        begin = int((frame["event_time"].min() - T) / HOUR)
        for bar in list(versions):
            at = came(bar)
            reach = max(target.volatility_bars, target.side_bars if target.kind == "meta_label" else 0)
            awaited = any(min(came(one) or pd.Timestamp.max.tz_localize("UTC"), T + (one + 1) * HOUR + view.GRACE) > at
                          for one in range(max(bar - reach, begin), bar))
            closes = {one: None if (was := seen(one, at)) is None else was["close"]
                      for one in range(bar - reach, bar + 1)}
            squares = [np.log(closes[one] / closes[one - 1])**2
                       for one in range(bar - target.volatility_bars + 1, bar + 1) if closes[one] and closes[one - 1]]
            if awaited or len(squares) < 0.9 * target.volatility_bars or not sum(squares):
                continue
            width = np.sqrt(np.mean(squares) * target.horizon_bars)
            side = 1.0
            if target.kind == "meta_label":
                before = closes[bar - target.side_bars]
                if not before or before == closes[bar]:
                    continue
                side = np.sign(closes[bar] - before) * (1 if target.side == "momentum" else -1)
            above, below = (target.upper, target.lower) if side > 0 else (target.lower, target.upper)
            upper, lower = closes[bar] * np.exp(above * width), closes[bar] * np.exp(-below * width)
            told = _walk(bar, seen, came, at, closes[bar], upper, lower, side, target.horizon_bars,
                         target.timeout == "sign")
            if told is not None:
                y, end, earned = told
                if target.kind == "meta_label":
                    assert line.costs is not None
                    y = int(earned > 2 * line.costs.one_way)
                found[str(symbol), bar] = y, end, earned
    return found


def _walk(bar, seen, came, at, close, upper, lower, side, horizon, sign):  # type: ignore[no-untyped-def]
    moment = at
    for step in range(1, horizon + 1):
        if came(bar + step) is None:
            return None
        moment = max(moment, came(bar + step))
        entry = seen(bar + 1, moment)["open"]
        for one in range(bar + 1, bar + step + 1):
            was = seen(one, moment)
            hits = was["high"] >= upper, was["low"] <= lower
            if any(hits):
                high = hits[0] if side < 0 else not hits[1]
                out = max(upper, was["open"]) if high else min(lower, was["open"])
                return int(high), moment, side * (out / entry - 1)
        if step == horizon and sign:
            out = seen(bar + step, moment)["close"]
            return int(out > close), moment, side * (out / entry - 1)
    return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timeout", ["sign", "absent"])
@pytest.mark.parametrize("seed", [1, 2])
def test_against_a_plain_loop_over_all_versions(kind: str, timeout: str, seed: int) -> None:
    frame = dirty(110, seed=seed, rate=0.08)
    line = make_line(kind, 6, volatility_bars=8, side_bars=5, timeout=timeout, upper=0.8, lower=0.6, side=(
        "reversal" if seed == 2 else "momentum"))
    found, want = labels.label(frame, line), by_hand(frame, line)
    got = {(one.symbol, int((one.event_time - T) / HOUR)): (one.y, one.label_end, one.forward_return)
           for one in found.itertuples()}
    assert set(got) == set(want)
    assert len(want) > 50
    for key, (y, end, earned) in want.items():
        assert (got[key][0], got[key][1]) == (y, end), key
        assert got[key][2] == pytest.approx(earned, abs=1e-12)


@given(st.integers(0, 1000), st.integers(20 * 60, 90 * 60), st.sampled_from(KINDS), st.sampled_from(["sign", "absent"]))
@settings(max_examples=20, deadline=None)
def test_the_future_changes_nothing(seed: int, minutes: int, kind: str, timeout: str) -> None:
    frame, cut = dirty(90, seed=seed, rate=0.1), T + timedelta(minutes=minutes)
    line = make_line(kind, 5, volatility_bars=6, timeout=timeout)
    whole = labels.label(frame, line)
    part = labels.label(known(frame, cut), line)
    pd.testing.assert_frame_equal(whole[whole["label_end"] <= cut].reset_index(drop=True), part, check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_computation_begins_changes_nothing(kind: str) -> None:
    frame, line = dirty(500, seed=3, rate=0.01), make_line(kind, 12, volatility_bars=24, side_bars=24)
    start = T + labels.history(line) + pd.Timedelta(hours=30)
    whole, part = (one[one["event_time"] >= start].reset_index(drop=True) for one in (
        labels.label(frame, line), labels.label(frame[frame["event_time"] >= start - labels.history(line)], line)))
    assert len(part) > 100
    pd.testing.assert_frame_equal(whole, part, check_exact=True)


def test_folds_are_purged_by_the_end_of_each_label() -> None:
    line = make_line(horizon=24, volatility_bars=24)
    found = labels.label(clean(24 * 9, seed=5), line)
    lasts = (found["label_end"] - found["event_time"]).to_numpy() / np.timedelta64(1, "h")
    assert lasts.min() <= 4
    assert lasts.max() == 25
    cut = plan(line, found)
    embargo = line.bar * line.walk_forward.embargo_bars
    for fold in (*cut.search, *cut.evidence):
        before = found[(found["event_time"] < fold.test_start)
                       & (found["event_time"] >= fold.test_start - pd.Timedelta(days=4))]
        kept = before["label_end"] < fold.test_start - embargo
        assert found.index[fold.train].tolist() == before.index[kept].tolist()
        # Rows of one time: those whose barrier was touched early stay, those that took long are gone.
        late = before[before["event_time"] >= fold.test_start - pd.Timedelta(hours=24)]
        assert 0 < kept[late.index].sum() < len(late)
    searched = np.concatenate([np.concatenate([fold.train, fold.test]) for fold in cut.search])
    assert (found["label_end"].iloc[searched] < cut.evidence_start - embargo).all()


def test_there_is_no_book_of_positions_that_barriers_end() -> None:
    line = make_line()
    with pytest.raises(ValueError, match=r"gate\.require_net_return asks for a book .* barriers end them early"):
        Line.model_validate(line.model_dump() | {"gate": {"require_net_return": True}})
    rows = pd.DataFrame({"forward_return": [0.1]})
    assert not tradable(line, rows)
    assert tradable(line.model_copy(update={"target": line.target.model_copy(update={"kind": "direction"})}), rows)


def test_a_line_is_parsed_with_its_barriers() -> None:
    line = parse_line("""
        name = "barriers"
        title = "Barriers"
        target = { kind = "meta_label", horizon_bars = 24, upper = 2, lower = 1.5, side = "reversal", side_bars = 12 }
        features = { groups = ["returns"] }
        walk_forward = { train_days = 4, test_days = 1, search_folds = 2, evidence_days = 2 }
        search = { families = ["lightgbm"], trials = 1 }
        costs = { fee_bps = 2.0 }
    """)
    assert (line.on_bars, line.target.least_bars, line.target.volatility_bars) == (True, 1, 24)
