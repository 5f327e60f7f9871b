"""What is kept is what would be computed, and nothing else is computed."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.features import catalog, columns, fingerprint, matrix, run, snapshot
from pipelines.features.declare import Bars, Feature, Group, Lazy
from pipelines.features.numerics.rolling import shift, window_mean
from pipelines.store import Warehouse, asof, facts, snapshots
from tests.unit.features.world import DAY, HOUR, START, dirty, line

SYMBOLS = ("AUSDT", "BUSDT", "CUSDT")
DAYS = 40
BARS = dirty(DAYS * 24, SYMBOLS, seed=4, rate=0.01).drop(columns="revision")
LINE = line(groups=("counted", "cross_asset", "time"))
#: A day on which no bar of an earlier one comes in.
WINDOW = Window(START + 26 * DAY, START + 27 * DAY)
LOOKBACKS = {"short": 3, "middle": 30, "long": 100}
computed: Counter[str] = Counter()


def counted(bars: Bars) -> dict[str, Lazy]:
    def mean(name: str, width: int) -> np.ndarray:
        computed[name] += 1
        return np.log(bars.close / window_mean(shift(bars.close, 1), width))

    return {name: lambda name=name, width=width: mean(name, width) for name, width in LOOKBACKS.items()}


GROUP = Group("counted", tuple(Feature(name, ("close",), width, "log ratio", "ln(c / mean)", neutral=0.0)
                               for name, width in LOOKBACKS.items()), from_bars=counted)


@pytest.fixture(autouse=True)
def _catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalog.GROUPS, "counted", GROUP)
    computed.clear()


@pytest.fixture(scope="module")
def loaded(shared_warehouse: Warehouse) -> Warehouse:
    facts.write(shared_warehouse, Kind.BARS, BARS)
    return shared_warehouse


@pytest.fixture
def changing(warehouse: Warehouse) -> Warehouse:
    facts.write(warehouse, Kind.BARS, BARS)
    return warehouse


def assert_as_if_fresh(warehouse: Warehouse, as_of: datetime | None = None, window: Window = WINDOW,
                       **others: int) -> None:
    """The kept matrix is the fresh one; only the kept one's computations stay counted."""
    at = as_of or asof.just_before(window.end)
    ours = columns.build(warehouse, LINE, window=window, as_of=at, **others)
    before = computed.copy()
    pd.testing.assert_frame_equal(ours, matrix.build(warehouse, LINE, window=window, as_of=at), check_exact=True)
    computed.clear()
    computed.update(before)
    assert len(ours) > 30


class TestOnlyWhatIsNewIsComputed:
    def test_one_feature_more_is_one_computation(self, changing: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
        fewer = replace(GROUP, features=GROUP.features[::2])
        monkeypatch.setitem(catalog.GROUPS, "counted", fewer)
        ref = run.materialise(changing, LINE, WINDOW)
        assert set(computed) == {"short", "long"}
        computed.clear()
        monkeypatch.setitem(catalog.GROUPS, "counted", GROUP)
        more = run.materialise(changing, LINE, WINDOW)
        assert set(computed) == {"middle"}
        one, other = (snapshots.get(changing, name.digest) for name in (ref, more))
        pd.testing.assert_frame_equal(one, other.drop(columns="middle"), check_exact=True)
        assert_as_if_fresh(changing)
        computed.clear()
        assert run.materialise(changing, LINE, WINDOW) == more
        assert not computed

    @pytest.mark.parametrize(("hours", "again"), [
        (10, {"short", "middle", "long"}), (-20, {"middle", "long"}), (-60, {"long"}), (-180, set())])
    def test_a_bar_that_comes_later_touches_who_looks_back_on_it(self, changing: Warehouse, hours: int,
                                                                 again: set[str]) -> None:
        """Loaded only now, it claims to have been known in time, as after a backfill."""
        run.materialise(changing, LINE, WINDOW)
        computed.clear()
        opened = pd.Timestamp(WINDOW.start + hours * HOUR)
        found = BARS[(BARS["symbol"] == "BUSDT") & (BARS["event_time"] == opened)].iloc[:1]
        late = found.assign(close=found["close"] * 1.001, high=found["high"] * 1.01,
                            available_at=found["available_at"] + pd.Timedelta(minutes=1))
        assert facts.write(changing, Kind.BARS, late).revised == 1
        assert_as_if_fresh(changing)
        assert set(computed) == again

    def test_news_after_the_window_touches_nothing(self, changing: Warehouse) -> None:
        ref = run.materialise(changing, LINE, WINDOW)
        computed.clear()
        late = BARS.drop_duplicates(["symbol", "event_time"]).copy()
        late["close"] *= 1.001
        late["high"] *= 1.01
        late["available_at"] = pd.Timestamp(WINDOW.end) + (late["available_at"] - late["available_at"].min())
        assert facts.write(changing, Kind.BARS, late).revised > 1000
        assert run.materialise(changing, LINE, WINDOW) == ref
        assert not computed

    def test_lines_share_what_they_have_in_common(self, changing: Warehouse) -> None:
        run.materialise(changing, LINE, WINDOW)
        computed.clear()
        other = line(groups=("returns", "counted")).model_copy(update={"name": "another_line"})
        run.materialise(changing, other, WINDOW)
        assert not computed

    def test_a_training_reads_the_months_before_it(self, changing: Warehouse) -> None:
        for days in (36, 38):
            as_of = START + days * DAY
            rules = LINE.model_copy(update={"walk_forward": LINE.walk_forward.model_copy(update={
                "train_days": days - 8})})
            computed.clear()
            _, frame = snapshot.training(changing, rules, as_of)
            assert computed["long"] >= 1
            pd.testing.assert_frame_equal(frame, snapshot.matrix(changing, rules, as_of)[1], check_exact=True)
        window = Window(START, START + 38 * DAY)  # March and a week of April
        assert_as_if_fresh(changing, window=window)
        computed.clear()
        assert_as_if_fresh(changing, window=window)
        fresh = computed["long"]
        computed.clear()
        matrix.build(changing, LINE, window=window, as_of=window.end)
        assert 0 < fresh < computed["long"]  # April's days only, and fewer revisions in them


def test_a_window_that_is_not_over_is_not_kept(changing: Warehouse) -> None:
    for _ in range(2):
        computed.clear()
        assert_as_if_fresh(changing, as_of=WINDOW.end - 2 * HOUR)
        assert computed["short"] >= 1


def test_damage_is_noticed_and_mended(changing: Warehouse) -> None:
    ref = run.materialise(changing, LINE, WINDOW)
    kept = sorted(Path(changing.snapshot_root).glob("columns/*/*/*.parquet"))
    assert len(kept) == 1
    content = bytearray(kept[0].read_bytes())
    for place in (len(content) // 3, None):
        kept[0].write_bytes(bytes(content[:place]) if place else bytes(255 - byte if 50 < number < 2000 else byte
                                                                        for number, byte in enumerate(content)))
        computed.clear()
        assert run.materialise(changing, LINE, WINDOW) == ref
        assert set(computed) == set(LOOKBACKS)


class TestManySymbols:
    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(columns, "CHUNK", 2)

    @pytest.mark.parametrize("named", [True, False])
    def test_parts_in_processes_give_the_same(self, loaded: Warehouse, named: bool,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
        rules = LINE.model_copy(update={"symbols": SYMBOLS if named else ()})
        monkeypatch.setattr(f"{__name__}.LINE", rules)
        window = Window(START + (22 + named) * DAY, START + (23 + named) * DAY)
        assert_as_if_fresh(loaded, window=window, workers=2)
        assert not computed  # here: the processes have done it

    def test_prepared_parts_are_found(self, loaded: Warehouse) -> None:
        rules, window = LINE.model_copy(update={"symbols": SYMBOLS}), Window(START + 25 * DAY, START + 26 * DAY)
        parts = columns.parts(rules, SYMBOLS)
        assert parts == [("AUSDT", "BUSDT"), ("CUSDT",), columns.ACROSS]
        assert all(run.prepare(loaded, rules, window, list(part)) > 50 for part in parts)
        computed.clear()
        frame = snapshots.get(loaded, run.materialise(loaded, rules, window).digest)
        assert not computed
        pd.testing.assert_frame_equal(
            frame, matrix.build(loaded, rules, window=window, as_of=window.end), check_exact=True)

    def test_without_a_look_across_there_is_no_such_part(self) -> None:
        assert columns.parts(line(groups=("returns",)), SYMBOLS) == [("AUSDT", "BUSDT"), ("CUSDT",)]
        assert columns.parts(LINE, SYMBOLS[:2]) == []


class TestFingerprints:
    def test_another_declaration_or_other_code_is_another_feature(self, monkeypatch: pytest.MonkeyPatch) -> None:
        feature = GROUP.features[0]
        ours = fingerprint.of_feature(GROUP, feature)
        assert fingerprint.of_feature(GROUP, replace(feature, neutral=1.0)) != ours
        assert fingerprint.of_feature(GROUP, feature) == ours
        monkeypatch.setattr(fingerprint, "code", lambda module: hashlib.sha256(module.encode()).hexdigest())
        assert fingerprint.of_feature(GROUP, feature) != ours

    def test_the_code_of_a_group_is_its_file_and_what_it_imports_from_the_room(self) -> None:
        found: dict[str, str] = {}
        fingerprint._collect("pipelines.features.groups.volatility", found)
        assert set(found) == {f"pipelines.features.{name}" for name in (
            "groups.volatility", "declare", "numerics.rolling", "numerics.kernels", "numerics.jit")}
        assert fingerprint.code("pipelines.features.groups.volatility") != fingerprint.code(__name__)
        of_alpha: dict[str, str] = {}
        fingerprint._collect("pipelines.features.groups.alpha158", of_alpha)  # imports modules of a package
        assert {f"pipelines.features.numerics.{name}" for name in ("alpha", "alpha_order")} <= set(of_alpha)
