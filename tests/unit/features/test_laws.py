"""Every group of the catalog keeps the law of trailing windows, and the checks of that law can fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features import catalog
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.rolling import shift, window_mean
from tests.unit.features import laws
from tests.unit.features.laws import MONDAY, ROWS, SYMBOLS, Case, Edit

GROUPS = [group for group in catalog.GROUPS.values() if group.from_bars is not None]
#: Look-backs from which on examples cost seconds; such a group sees fewer.
LONG = 300

EDITS = st.builds(Edit, st.sampled_from(["gap", "no volume", "frozen", "spike", "crash"]),
                  st.integers(0, SYMBOLS - 1), st.integers(0, 200), st.integers(1, 40))
CASES = st.builds(Case, st.lists(EDITS, max_size=6).map(tuple), st.integers(MONDAY, MONDAY + 24 * 7),
                  st.integers(1, ROWS - 1), st.integers(0, SYMBOLS - 1), st.sampled_from([0, 1]))
#: Dirt of each kind that crosses the cuts; the example that no draw has to find.
HARD = Case((Edit("gap", 0, 30, 1), Edit("gap", 1, 50, 9), Edit("no volume", 0, 60, 3), Edit("frozen", 2, 20, 30),
             Edit("spike", 1, 5, 2), Edit("crash", 0, 90, 4)), first=MONDAY + 31, place=41, symbol=1)


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_the_law_holds_for_every_feature(group: Group) -> None:
    @given(CASES)
    @settings(max_examples=8 if catalog.lookback([group]) < LONG else 1, derandomize=True, database=None)
    def holds(case: Case) -> None:
        assert laws.broken(group, case) == {}

    assert laws.broken(group, Case()) == {}
    assert laws.broken(group, HARD) == {}
    holds()


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_every_feature_hears_its_whole_look_back(group: Group) -> None:
    """An exaggerated look-back would make rows wait for bars that do not matter, and cost every live row."""
    assert list(laws.deaf(group)) == []


class TestTheLawsHaveTeeth:
    """Each wrong group differs from a right one by one mistake that people make, and is caught for it."""

    @staticmethod
    def group(compute: Callable[[Bars], Mapping[str, Lazy]], *, lookback: int = 24, neutral: float | None = None,
              **others: bool) -> Group:
        return Group("wrong", (Feature("f", ("close",), lookback, "1", "a wrong one", neutral),
                               Feature("g", ("close",), 0, "1", "a right one")), from_bars=lambda bars: {
            "g": np.log(bars.close), **compute(bars)}, **others)

    @staticmethod
    def caught(group: Group) -> set[str]:
        found: dict[str, list[str]] = {}
        for case in (Case(), HARD):
            found |= laws.broken(group, case)
        assert all(names == ["f"] for law, names in found.items() if law != "inputs"), found
        return set(found)

    def test_a_right_one_is_not(self) -> None:
        right = self.group(lambda bars: {"f": window_mean(bars.close, 25)})
        assert self.caught(right) == set()
        assert list(laws.deaf(right)) == []

    def test_a_running_sum(self) -> None:
        def compute(bars: Bars) -> Mapping[str, Lazy]:
            total = np.cumsum(np.nan_to_num(bars.close), axis=0)
            return {"f": (total - np.nan_to_num(shift(total, 25))) / 25}

        assert {"begin", "past", "one_row"} <= self.caught(self.group(compute))

    def test_a_centred_window(self) -> None:
        found = self.caught(self.group(lambda bars: {"f": shift(window_mean(bars.close[::-1], 3)[::-1], 1)
                                                     + np.roll(bars.close, -1, axis=0)}))
        assert "future" in found

    def test_a_value_of_the_whole_array(self) -> None:
        found = self.caught(self.group(lambda bars: {"f": bars.close / np.nanmax(bars.close, axis=0)}))
        assert {"begin", "one_row", "future", "past"} <= found

    def test_a_look_back_that_is_declared_too_short(self) -> None:
        found = self.caught(self.group(lambda bars: {"f": window_mean(bars.close, 30)}))
        assert {"begin", "one_row", "past"} <= found

    def test_a_look_back_that_is_declared_far_too_long(self) -> None:
        group = self.group(lambda bars: {"f": window_mean(bars.close, 5)})
        assert self.caught(group) == set()
        assert list(laws.deaf(group)) == [("f", "older half")]

    def test_a_constant(self) -> None:
        group = self.group(lambda bars: {"f": np.zeros_like(bars.close)})
        assert list(laws.deaf(group)) == [("f", "look-back"), ("f", "older half")]

    def test_an_average_without_an_anchor(self) -> None:
        """With a warm-up of 500 bars its start still shows in the last bits."""
        def ema(bars: Bars) -> Mapping[str, Lazy]:
            return {"f": pd.DataFrame(bars.close).ewm(span=24, adjust=False).mean().to_numpy()}

        assert {"begin", "past"} <= self.caught(self.group(ema))

    def test_an_average_anchored_to_the_array_and_not_to_the_calendar(self) -> None:
        def since_an_anchor(first: Callable[[Bars], int]) -> Callable[[Bars], Mapping[str, Lazy]]:
            def compute(bars: Bars) -> Mapping[str, Lazy]:
                row = np.arange(len(bars.close))
                begins = row - (first(bars) + row) % 24
                return {"f": np.where(begins[:, None] < 0, np.nan, bars.close / bars.open[np.maximum(begins, 0)])}
            return compute

        assert self.caught(self.group(since_an_anchor(lambda bars: bars.first), lookback=23)) == set()
        assert {"begin", "one_row"} <= self.caught(self.group(since_an_anchor(lambda _: 0), lookback=23))

    def test_a_look_at_other_symbols(self) -> None:
        def compute(bars: Bars) -> Mapping[str, Lazy]:
            market = np.nansum(window_mean(bars.log_return, 24), axis=1, keepdims=True)
            return {"f": bars.close + market}

        assert self.caught(self.group(compute)) == {"others"}
        assert self.caught(self.group(compute, across_symbols=True)) == set()

    def test_an_infinity_and_a_silent_gap(self) -> None:
        no_trades = self.group(lambda bars: {"f": bars.close / bars.volume}, lookback=0)
        assert self.caught(no_trades) == {"finite"}
        undefined = self.group(lambda bars: {"f": np.where(bars.volume == 0, np.nan, bars.close)}, lookback=0)
        assert self.caught(undefined) == {"finite"}
        declared = self.group(lambda bars: {"f": np.where(bars.volume == 0, np.nan, bars.close)}, lookback=0,
                              neutral=0.0)
        assert self.caught(declared) == set()

    @pytest.mark.parametrize("compute", [
        lambda bars: {"f": bars.close.astype(np.float32)}, lambda bars: {"f": bars.close[1:]}, lambda _: {}])
    def test_another_shape(self, compute: Callable[[Bars], Mapping[str, Lazy]]) -> None:
        assert self.caught(self.group(compute)) == {"shape"}

    def test_writing_into_what_was_given(self) -> None:
        def compute(bars: Bars) -> Mapping[str, Lazy]:
            bars.volume[bars.volume == 0] = 1.0
            return {"f": bars.volume}

        assert "inputs" in self.caught(self.group(compute, lookback=0))

    def test_a_feature_that_needs_another_to_be_computed_before(self) -> None:
        def compute(bars: Bars) -> Mapping[str, Lazy]:
            shared: list[np.ndarray] = []

            def first() -> np.ndarray:
                shared.append(bars.close)
                return np.log(bars.close)

            return {"g": first, "f": lambda: shared[-1] if shared else bars.close + 1.0}

        found: dict[str, list[str]] = {}
        for place in (40, 41):
            found |= laws.broken(self.group(compute, lookback=0), Case(place=place))
        assert found["alone"] == ["f"]
