"""VWAP against pandas, profiles against a plain histogram and by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.declare import Bars
from pipelines.features.groups import confluence
from pipelines.features.groups.confluence import anchored_vwap, volume_profile
from pipelines.features.view import FIELDS
from pipelines.sentiment.hours import HOUR_US, instant
from tests.unit.features.world import START, clean

FIRST = instant(START) // HOUR_US
HOURS = 500
FRAME = clean(HOURS, ("AUSDT", "BUSDT"))


def bars(frame: pd.DataFrame = FRAME, first: int = FIRST) -> Bars:
    return Bars(*(np.ascontiguousarray(frame.pivot(index="event_time", columns="symbol", values=field).to_numpy())
                  for field in FIELDS), first=first)


def of(**columns: list[float]) -> Bars:
    """One symbol; what is not given is flat at 100 with a volume of 1."""
    length = len(next(iter(columns.values())))
    close = columns.get("close", [100.0] * length)
    values = {"open": close, "high": close, "low": close, "close": close, "volume": [1.0] * length, **columns}
    return Bars(*(np.array(values[field], dtype=np.float64)[:, None] for field in FIELDS), first=0)


def computed(given: Bars) -> dict[str, np.ndarray]:
    with np.errstate(all="ignore"):
        return confluence.GROUP.on_bars(given)


@pytest.mark.parametrize("span", ["day", "week"])
def test_vwap_is_pandas_from_its_anchor(span: str) -> None:
    one = FRAME[FRAME["symbol"] == "AUSDT"].set_index("event_time")
    typical = one[["high", "low", "close"]].mean(axis=1)
    period = one.index.floor("D") if span == "day" else one.index.floor("D") - pd.to_timedelta(
        one.index.dayofweek, unit="D")
    weight, moment, square = (values.groupby(period).cumsum() for values in (
        one["volume"], one["volume"] * typical, one["volume"] * typical**2))
    mean = moment / weight
    spread = np.sqrt((square / weight - mean**2).clip(lower=0))
    ours = computed(bars())
    whole = slice(200, None)
    np.testing.assert_allclose(ours[f"vwap_distance_{span}"][whole, 0], np.log(one["close"] / mean)[whole], atol=1e-12)
    settled = (np.arange(HOURS) > 200) & (spread > 1e-3 * mean).to_numpy()
    np.testing.assert_allclose(ours[f"vwap_position_{span}"][settled, 0], ((one["close"] - mean) / spread)[settled],
                               rtol=1e-6)


def test_days_begin_at_midnight_and_weeks_on_monday() -> None:
    close = np.arange(1.0, 401.0)[:, None]
    flat = np.ones_like(close)
    monday = int(datetime(2024, 3, 4, tzinfo=UTC).timestamp()) // 3600
    for period, phase in ((24, 0), (168, 72)):
        mean, spread = anchored_vwap(close, close, close, flat, monday - 24, period, phase)
        begins = [row for row in range(24, 400) if mean[row, 0] == close[row, 0]]
        assert begins == list(range(24, 400, period))
        assert (spread[begins] == 0).all()


@pytest.mark.parametrize(("close", "band"), [
    ([100, 102, 101.0], 0), ([100, 100, 100, 104.0], 1), ([100.0] * 5 + [110], 2), ([100.0] * 5 + [90], -2),
    ([100, 100.0], 0)])
def test_bands_are_whole_standard_deviations(close: list[float], band: float) -> None:
    assert computed(of(close=close))["vwap_band_day"][-1, 0] == band


class TestProfile:
    @staticmethod
    def made(given: Bars, width: int, bins: int = 10) -> tuple[np.ndarray, float, float]:
        profile = np.empty(bins)
        bottom, step = volume_profile(given.high, given.low, given.volume, len(given.close) - 1, 0, width, profile)
        return profile, bottom, step

    def test_a_bar_lies_evenly_between_its_low_and_its_high(self) -> None:
        profile, bottom, step = self.made(of(low=[100, 105.0], high=[110, 105.0], close=[105, 105.0],
                                             volume=[10, 7.0]), 2)
        assert (bottom, step) == (100.0, 1.0)
        np.testing.assert_allclose(profile, [1, 1, 1, 1, 1, 8, 1, 1, 1, 1])

    def test_a_bar_at_the_top_belongs_to_the_last_step(self) -> None:
        profile, *_ = self.made(of(low=[100, 110.0], high=[110, 110.0], close=[105, 110.0], volume=[10, 5.0]), 2)
        np.testing.assert_allclose(profile, [1] * 9 + [6])

    @given(st.integers(0, 10_000), st.integers(2, 60))
    @settings(max_examples=40, deadline=None)
    def test_no_volume_is_lost_and_none_made(self, seed: int, width: int) -> None:
        one = bars(clean(60, ("A",), seed=seed))
        profile, bottom, step = self.made(one, width, bins=24)
        assert profile.sum() == pytest.approx(np.nansum(one.volume[-width:]))
        assert bottom == one.low[-width:].min()
        assert bottom + 24 * step == pytest.approx(one.high[-width:].max())

    def test_nodes(self) -> None:
        """Much at 100, nothing between, some at 110, and the price is at 109."""
        low, high = [100.0] * 20 + [109.0] * 4, [101.0] * 20 + [112.0] * 4
        found = computed(of(low=low, high=high, close=[100.5] * 20 + [109.5] * 4, volume=[1.0] * 24))
        last = {name: value[-1, 0] for name, value in found.items()}
        step = 12 / confluence.BINS
        assert last["poc_distance_day"] == pytest.approx(np.log(109.5 / (100 + 0.5 * step)))
        # Two steps are equally full: the lower is the point of control, the upper is the nearer node.
        assert last["high_node_distance_day"] == pytest.approx(np.log(109.5 / (100 + 1.5 * step)))
        # The nearest thin step lies just below 109.
        assert last["low_node_distance_day"] == pytest.approx(np.log(109.5 / (109 - 0.5 * step)))
        assert last["volume_at_price_day"] == pytest.approx((4 / 6) / 10)

    @pytest.mark.parametrize(("name", "columns"), [
        ("too few bars", {"close": [100.0] * 10}), ("one price", {"close": [100.0] * 30}),
        ("no volume", {"close": [100.0 + i for i in range(30)], "volume": [0.0] * 30})])
    def test_without_a_profile_there_is_nothing_to_say(self, name: str, columns: dict[str, list[float]]) -> None:
        assert np.isnan(computed(of(**columns))["poc_distance_day"][-1, 0])


def test_a_missing_bar_has_no_values_and_does_not_blind_the_others() -> None:
    frame = FRAME[FRAME["event_time"] != FRAME["event_time"].unique()[300]]
    both = pd.concat([frame, FRAME[(FRAME["event_time"] == FRAME["event_time"].unique()[300])
                                   & (FRAME["symbol"] == "BUSDT")]])
    found = computed(bars(both))
    for name, value in found.items():
        assert np.isnan(value[300, 0]), name
    assert np.isfinite(found["vwap_distance_week"][301:, 0]).all()
    assert np.isfinite(found["poc_distance_week"][301:, 0]).all()


def test_many_levels_at_the_price_score_high() -> None:
    """After a quiet week everything was traded at one price; half a day later the price has left it."""
    quiet = [100 + 0.05 * (hour % 3) for hour in range(192)]
    gone = [100 + 3.0 * hour for hour in range(1, 13)]
    found = computed(of(close=quiet + gone, low=[price - 0.5 for price in quiet + gone],
                        high=[price + 0.5 for price in quiet + gone]))
    assert found["confluence_score"][191, 0] == 1.0
    assert found["confluence_score"][-1, 0] < 0.3
    assert found["confluence_direction"][-1, 0] == 1.0
