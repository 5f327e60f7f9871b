"""A version is rebuilt from bars that lie in a real warehouse, through real trainings on a real MLflow server."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, Reason, RetrainRequest
from pipelines.errors import RegistryError
from pipelines.features import catalog
from pipelines.registry import lineage as registry_lineage
from pipelines.registry import reproduce as registry_reproduce
from pipelines.registry.client import ModelRegistry
from pipelines.registry.reproduce import Reproduction, first_difference
from pipelines.store import Warehouse, facts, frames, ledger, snapshots
from pipelines.training import families, produce, stage
from pipelines.training.families.files import MODEL_FILES
from pipelines.training.record import connect
from tests.fixtures.mlflow_server import MlflowServer

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 32
AS_OF = START + timedelta(days=DAYS)
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
SYMBOLS = ("BTC", "ETH", "SOL")
HOUR = timedelta(hours=1)


def make_line(name: str, **changes: object) -> Line:
    values: dict[str, object] = {
        "name": name, "title": "A line to make again", "target": {"kind": "direction", "horizon_bars": 1},
        "features": {"groups": ["returns", "time"]}, "symbols": list(SYMBOLS),
        "walk_forward": {"train_days": 10, "test_days": 2, "search_folds": 2, "evidence_days": 7,
                         "evidence_fold_days": 7},
        "search": {"families": ["logistic_regression"], "trials": 1, "nested_runs": 1}}
    return Line.model_validate(values | changes)


def bars() -> pd.DataFrame:
    """Hourly bars of a random walk, each available at its close."""
    rng = np.random.default_rng(4)
    times = pd.date_range(START, periods=DAYS * 24, freq="h", unit="us")
    parts = []
    for symbol in SYMBOLS:
        close = 100 * np.exp(np.cumsum(0.004 * rng.standard_normal(len(times))))
        opened = np.concatenate([[100.0], close[:-1]])
        parts.append(pd.DataFrame({
            "symbol": symbol, "interval": "1h", "event_time": times, "available_at": times + HOUR, "open": opened,
            "high": np.maximum(opened, close) * 1.001, "low": np.minimum(opened, close) * 0.999, "close": close,
            "volume": 1.0 + rng.random(len(times)), "source": "walk"}))
    return pd.concat(parts, ignore_index=True)


class Shop:
    """A warehouse with bars, a study database, an MLflow server, and trainings of lines made here."""

    def __init__(self, warehouse: Warehouse, settings: Settings, name: str) -> None:
        self.warehouse, self.settings, self.name = warehouse, settings, name
        facts.write(warehouse, Kind.BARS, bars())

    def line(self, family: str = "logistic_regression", **changes: object) -> Line:
        return make_line(f"{self.name}_{family.replace('+', '_')}"[:40],
                         search={"families": [family], "trials": 1, "nested_runs": 1}, **changes)

    def train(self, line: Line, as_of: datetime = AS_OF) -> Candidate:
        with self.warehouse.begin() as connection:
            ledger.request_retrain(connection, RetrainRequest(line.name, Reason.MANUAL, as_of, "ann"), at=AT)
            request = ledger.claim_request(connection, line.name, claimed_by="test", at=AT, expires_at=AT + 6 * HOUR)
        assert request is not None
        session = stage.open_training(self.warehouse, self.settings, line, request, at=AT)
        stage.run_trials(self.warehouse, self.settings, line, session, 0)
        return stage.conclude(self.warehouse, self.settings, line, session, at=AT)

    def reproduce(self, line: Line, version: int = 1) -> Reproduction:
        return registry_reproduce.reproduce(self.warehouse, self.settings, line, version)

    def tag(self, line: Line, name: str, value: str) -> None:
        connect(self.settings).set_model_version_tag(line.registered_model, "1", name, value)


@pytest.fixture
def shop(warehouse: Warehouse, mlflow_server: MlflowServer, new_database: Callable[..., str],
         monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Shop:
    # Drawing would take longer than everything else here and show nothing new.
    monkeypatch.setattr(produce.report, "write", lambda place, **_: (place / "model_card.md").write_text("#"))
    settings = Settings(optuna_url=new_database(migrated=False), **mlflow_server.settings)
    return Shop(warehouse, settings, f"r{zlib.crc32(request.node.name.encode())}")


def stored(shop: Shop) -> list[tuple[str, int]]:
    with shop.warehouse.begin() as connection:
        return [(name, frames.run(connection, f"SELECT count(*) FROM ai_trading.{name}").scalar_one())
                for name in ("snapshots", "candidates", "bars", "system_events")]


def test_a_family_of_every_format_is_rebuilt_bit_for_bit(shop: Shop) -> None:
    """That each family gives the same bytes for the same seed is shown, without a server, in training's tests."""
    named = {families.get(name).flavor: name for name in (*families.names(), "logistic_regression+platt")}
    assert set(named) == set(MODEL_FILES)
    for family in ("logistic_regression", "random_forest", *named.values()):
        line = shop.line(family)
        candidate = shop.train(line)
        before = stored(shop)
        found = shop.reproduce(line, candidate.version)
        assert found.identical, found
        assert stored(shop) == before  # looking writes nothing
        assert (found.differences, found.notes) == ((), ())
        assert [check.what for check in found.checks] == ["snapshot", "model content", "model file", "stored file"]
        assert all(check.same for check in found.checks)


def test_the_recorded_configuration_counts_and_not_todays(shop: Shop) -> None:
    line = shop.line(symbols=[])  # every symbol there is
    shop.train(line)
    today = line.model_copy(update={"walk_forward": line.walk_forward.model_copy(update={"train_days": 12}),
                                    "search": line.search.model_copy(update={"seed": 99}), "symbols": ("BTC",)})
    assert shop.reproduce(today).identical


def test_lineage_leads_from_the_version_to_the_sources(shop: Shop) -> None:
    line = shop.line(features={"groups": ["returns", "indicators", "sentiment"]})
    late = bars().iloc[[300]].assign(close=100.5, low=1.0, high=900.0, available_at=lambda f: f["available_at"] + HOUR)
    facts.write(shop.warehouse, Kind.BARS, late)
    days = pd.to_datetime([START, START + timedelta(days=9), START + timedelta(days=9)])
    facts.write(shop.warehouse, Kind.INDICATORS, pd.DataFrame({
        "name": ["vix", "vix", "gold"], "event_time": days, "available_at": days + HOUR, "value": [20.0, 21.0, 1.0],
        "source": "cboe", "components": None}))
    candidate = shop.train(line)
    found = registry_lineage.lineage(shop.warehouse, shop.settings, line, 1)
    assert (found.run_id, found.family, found.seed, found.as_of) == (
        candidate.run_id, "logistic_regression", line.search.seed, AS_OF)
    assert found.snapshot_digest == candidate.snapshot_digest
    assert found.params == {"C": 0.01}
    assert found.features == catalog.stamp(line)
    assert (found.window_start, found.window_end) == (AS_OF - timedelta(days=21) - HOUR, AS_OF)
    assert found.rows == len(snapshots.get(shop.warehouse, candidate.snapshot_digest))
    assert set(map(len, (found.git_commit.removesuffix("+dirty"), found.lock_digest))) == {40, 64}
    assert found.contradictions == ()
    walk, cboe = found.sources
    # 21 days of rows, 7 days and 2 hours of look-back for labels; what becomes available at as_of is not known yet.
    expected = bars()
    first = AS_OF - timedelta(days=21) - HOUR - timedelta(days=7) - 2 * HOUR
    read = expected[(expected["event_time"] >= first) & (expected["available_at"] < AS_OF)]
    assert (walk.kind, walk.source, walk.facts, walk.revisions) == ("bars", "walk", len(read), len(read) + 1)
    assert (walk.first_event, walk.last_event) == (first, AS_OF - 2 * HOUR)
    assert (walk.first_available, walk.last_available) == (first + HOUR, AS_OF - HOUR)
    assert (cboe.kind, cboe.source, cboe.facts) == ("indicators", "cboe", 1)  # gold is no feature, the other too old


def test_a_revision_that_came_later_with_an_earlier_time_is_named(shop: Shop) -> None:
    line = shop.line()
    shop.train(line)
    at = AS_OF - timedelta(days=3)
    changed = bars()
    changed = changed[(changed["symbol"] == "ETH") & (changed["event_time"] == at)]
    facts.write(shop.warehouse, Kind.BARS, changed.assign(
        close=changed["close"] * 1.5, high=changed["high"] * 2, available_at=changed["available_at"] + HOUR / 2))
    found = shop.reproduce(line)
    assert not found.identical
    assert [check.what for check in found.checks if not check.same] == ["snapshot"]
    cells, past = found.differences
    assert "The snapshot rebuilt from the warehouse as of 2024-02-02 00:00 UTC is another one" in cells
    assert "differs in" in cells
    assert "ETH at 2024-01-30 " in cells
    assert "1 rows of bars from walk were written after the snapshot was frozen" in past
    assert "the past was changed later" in past


def test_the_next_partition_changes_nothing(shop: Shop) -> None:
    """A training at the end of a partition runs before the bars that close at that moment are in."""
    line = shop.line()
    with shop.warehouse.begin() as connection:
        frames.run(connection, "DELETE FROM ai_trading.bars WHERE available_at >= :at", at=AS_OF)
    shop.train(line)
    facts.write(shop.warehouse, Kind.BARS, bars())
    found = shop.reproduce(line)
    assert found.identical, found
    assert found.notes == ()


def test_a_late_row_that_changes_nothing_is_only_a_note(shop: Shop) -> None:
    line = shop.line()
    shop.train(line)
    changed = bars()
    changed = changed[(changed["symbol"] == "ETH") & (changed["event_time"] == AS_OF - timedelta(days=5))]
    facts.write(shop.warehouse, Kind.BARS, changed.assign(  # no feature of this line reads the volume
        volume=9.0, available_at=AS_OF - timedelta(days=1)))
    found = shop.reproduce(line)
    assert found.identical
    assert len(found.notes) == 1
    assert "It changed no cell of the snapshot." in found.notes[0]


def test_another_seed_gives_another_model_and_is_named(shop: Shop) -> None:
    family = "xgboost"
    line = shop.line(family)
    shop.train(line)
    shop.tag(line, tags.SEED, "8")
    found = shop.reproduce(line)
    assert not found.identical
    assert "tidemark.seed: the version says 8, the run says 7" in found.differences
    assert any(f"refitted as {family} with seed 8 has learned something else" in words for words in found.differences)
    assert [check.what for check in found.checks if not check.same] == ["model content", "model file"]


def test_a_damaged_model_file_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    line = shop.line("lightgbm")
    shop.train(line)
    download = ModelRegistry.download

    def damaged(self: ModelRegistry, source: str, names: tuple[str, ...], directory: Path) -> list[Path]:
        files = download(self, source, names, directory)
        files[0].write_bytes(files[0].read_bytes()[:-1])
        return files

    monkeypatch.setattr(ModelRegistry, "download", damaged)
    found = shop.reproduce(line)
    assert [check.what for check in found.checks if not check.same] == ["stored file"]
    assert len(found.differences) == 1
    assert found.differences[0].startswith("The stored model.lgb is damaged or was replaced")


def test_another_lock_is_noted_and_blamed_only_for_a_difference(shop: Shop) -> None:
    line = shop.line("random_forest")
    shop.train(line)
    shop.tag(line, tags.LOCK, "ab" * 32)
    found = shop.reproduce(line)
    assert found.identical
    assert [note.startswith("The requirements.lock is another one: ababab") for note in found.notes] == [True]
    shop.tag(line, tags.MODEL_CONTENT, "0" * 64)
    found = shop.reproduce(line)
    assert not found.identical
    assert "this is the likely cause" in found.notes[0]


def test_a_feature_that_is_declared_in_another_way_is_noted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    line = shop.line(features={"groups": ["returns.return_1h"]})
    shop.train(line)
    assert shop.reproduce(line).notes == ()
    group = catalog.GROUPS["returns"]
    changed = tuple(replace(feature, source="another formula") for feature in group.features)
    monkeypatch.setitem(catalog.GROUPS, "returns", replace(group, features=changed))
    found = shop.reproduce(line)
    assert found.identical
    assert found.notes[0].startswith(f"What its features declare is another thing: {found_stamp(shop, line)} then, 1-")


def found_stamp(shop: Shop, line: Line) -> str:
    return registry_lineage.lineage(shop.warehouse, shop.settings, line, 1).features


def test_a_lost_snapshot_is_named_and_the_rebuilt_one_stands_in(shop: Shop) -> None:
    line = shop.line()
    candidate = shop.train(line)
    for path in Path(shop.warehouse.snapshot_root).rglob(f"{candidate.snapshot_digest}*"):
        path.write_bytes(b"PAR1")
    found = shop.reproduce(line)
    assert [words.startswith("The stored snapshot cannot be used") for words in found.differences] == [True]
    assert all(check.same for check in found.checks)
    assert not found.identical


def test_bars_that_are_gone_are_named(shop: Shop) -> None:
    line = shop.line()
    shop.train(line)
    with shop.warehouse.begin() as connection:
        frames.run(connection, "TRUNCATE ai_trading.bars")
    found = shop.reproduce(line)
    assert found.checks[0].rebuilt is None
    assert "no longer gives a snapshot" in found.differences[0]


def test_a_version_without_lineage_is_refused(shop: Shop) -> None:
    line = shop.line()
    candidate = shop.train(line)
    client = connect(shop.settings)
    client.delete_model_version_tag(line.registered_model, "1", tags.SEED)
    client.delete_tag(candidate.run_id, tags.SEED)
    with pytest.raises(RegistryError, match="has no lineage"):
        shop.reproduce(line)
    with pytest.raises(RegistryError, match="has no version 4"):
        shop.reproduce(line, 4)


FRAME = pd.DataFrame({"symbol": ["A", "B", "A"], "event_time": pd.to_datetime(
    ["2024-01-01", "2024-01-01", "2024-01-02"], utc=True), "x": [1.0, np.nan, 3.0], "y": [0, 1, 0]})


@pytest.mark.parametrize(("rebuilt", "words"), [
    (FRAME.assign(x=[1.0, np.nan, 3.5]), "differs in 1 of 3 rows, columns x (first: x of A at 2024-01-02 00:00 UTC, "
                                         "stored 3.0, rebuilt 3.5)"),
    (FRAME.assign(x=[1.0, 2.0, 3.0], y=[0, 0, 0]), "differs in 1 of 3 rows, columns x, y (first: x of B at 2024-01-01 "
                                                   "00:00 UTC, stored nan, rebuilt 2.0)"),
    (FRAME.drop(columns="x"), "lacks the columns x"),
    (FRAME.assign(z=1.0), "has the new columns z"),
    (FRAME.iloc[:2], "lacks 1 rows (first: A at 2024-01-02 00:00 UTC)"),
    (FRAME.iloc[[1, 0, 2]], "the order or the types of its columns or rows differ"),
])
def test_the_first_difference_of_two_frames(rebuilt: pd.DataFrame, words: str) -> None:
    assert first_difference(FRAME, rebuilt) == words


def test_a_row_too_many_is_named() -> None:
    assert first_difference(FRAME.iloc[:2], FRAME) == "adds 1 rows (first: A at 2024-01-02 00:00 UTC)"


@pytest.mark.parametrize(("text", "value"), [
    ("60", 60), ("0.05", 0.05), ("1e-05", 1e-05), ("True", True), ("None", None), ("gini", "gini")])
def test_parameters_come_back_as_numbers(text: str, value: object) -> None:
    found = registry_lineage.number(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("params", "reason"), [
    ({"walk_forward.gap_days": "3"}, r"walk_forward.gap_days: Extra inputs.*check out the commit"),
    ({"features.groups": "returns, moon"}, r"'moon'.*check out the commit")])
def test_a_configuration_of_another_code_is_refused(params: dict[str, str], reason: str) -> None:
    with pytest.raises(RegistryError, match=reason):
        registry_lineage.recorded_line(make_line("some_line"), params)


def test_a_recorded_configuration_comes_back_whole() -> None:
    line = make_line("some_line", target={"kind": "volatility", "horizon_bars": 3, "median_bars": 48})
    recorded = stage._flat(line.model_dump(mode="json", exclude={"name", "title", "owner"}))
    today = make_line("some_line", features={"groups": ["trend"]}, symbols=[])
    assert registry_lineage.recorded_line(today, {key: str(value) for key, value in recorded.items()}) == line
