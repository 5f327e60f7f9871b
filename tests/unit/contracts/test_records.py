"""Records: frozen, JSON-friendly, and in step with the columns they travel in."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from datetime import UTC, datetime

import pytest

from pipelines import errors
from pipelines.contracts import records
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.records import ColumnDrift, DriftReport, Outcome, Reason, Verdict, WriteCounts

AT = datetime(2024, 5, 1, tzinfo=UTC)


def test_counts_add_up() -> None:
    assert sum([WriteCounts(1, 2, 3), WriteCounts(10, 20, 30)], WriteCounts()) == WriteCounts(11, 22, 33)


@pytest.mark.parametrize("flags", [(False, False, False), (True, False, False), (False, True, False),
                                   (False, False, True)])
def test_any_drift_is_an_alarm(flags: tuple[bool, bool, bool]) -> None:
    column = ColumnDrift("x", "ks", 0.2, 0.1, True)
    report = DriftReport("direction_1h", AT, (column,), 1.0, *flags, metrics={}, champion_version=1,
                         reference_digest=None, rows=10)
    assert report.alarm is any(flags)


def test_records_are_frozen_and_become_json() -> None:
    verdict = Verdict(Outcome.PROMOTE, ("better",), "base_rate", 0.1, 0.05, 0.2, 0.01, 0.04, 7, 700)
    with pytest.raises(FrozenInstanceError):
        verdict.rows = 0  # type: ignore[misc]
    assert json.loads(json.dumps(asdict(verdict)))["outcome"] == "promote"
    assert Reason("data_drift") is Reason.DATA_DRIFT


def test_every_record_is_a_frozen_dataclass() -> None:
    found = [item for item in vars(records).values() if isinstance(item, type) and is_dataclass(item)]
    assert len(found) >= 9
    assert [item.__name__ for item in found if not item.__dataclass_params__.frozen] == []
    assert {field.name for field in fields(records.Candidate)} >= {"line", "version", "snapshot_digest"}


@pytest.mark.parametrize("kind", list(Kind))
def test_schemas_name_the_fact_and_require_their_own_columns(kind: Kind) -> None:
    schema = SCHEMAS[kind]
    assert schema.key[-1] == "event_time"
    assert set(schema.required) <= set(schema.values)
    assert set(schema.values.values()) <= {"float", "str", "json", "time"}
    assert len(set(schema.columns)) == len(schema.columns)
    assert set(schema.columns) == {*schema.key, "available_at", *schema.values}
    assert set(schema.outcomes) <= set(schema.values)
    for name, column in schema.declared.items():
        assert column.meaning, name
        assert bool(column.unit) == (column.type in ("float", "time")), name
        assert not (column.allowed and column.type != "str"), name
        assert column.type == "float" or (column.above, column.at_least) == (None, None), name
    assert "available_at" in schema.columns


def test_one_error_tree_that_says_whether_to_try_again() -> None:
    ours = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert all(issubclass(item, errors.TidemarkError) for item in ours)
    assert {item.__name__ for item in ours if item.retryable} == {
        "SourceUnavailable", "NotReady", "StoreUnavailable", "Conflict", "TrackingUnavailable", "ChannelUnavailable"}
    assert all(item.__doc__ for item in ours)
