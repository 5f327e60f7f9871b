"""Mutated payloads all the way into PostgreSQL: a clean reading of the same window afterwards has to set it right."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from infra.fuzz.play import PATIENCE, START, Player, Tally, TooLong, bounded, rows_of
from infra.fuzz.wire import connected
from pipelines.contracts.columns import SCHEMAS
from pipelines.errors import TidemarkError
from pipelines.ingest import run
from pipelines.store import Warehouse
from pipelines.store.tables import FACTS

_LEFT_BEHIND = ("loads", "quarantine")


def fuzz(name: str, count: int, seed: int, home: Path, warehouse: Warehouse, *,
         tick: Callable[[int], None] | None = None) -> Tally:
    """At least ``count`` mutated payloads of one provider through ``ingest.run``, each followed by a clean run. The
    warehouse is emptied for each."""
    tally, begun = Tally(name), time.monotonic()
    players = {paged: Player(name, home / f"{name}-{paged}", seed, paged=paged) for paged in (False, True)}
    number = 0
    while tally.payloads < count:
        player = players[random.Random(f"{seed} {name} {number}").random() < 0.1]
        tally.faults += [f"stored case {number}: {fault}" for fault in _case(player, number, tally, warehouse)]
        number += 1
        if tick is not None:
            tick(tally.payloads)
    tally.seconds = time.monotonic() - begun
    return tally


def _case(player: Player, number: int, tally: Tally, warehouse: Warehouse) -> list[str]:
    table = FACTS[player.kind]
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"TRUNCATE {', '.join(f'{table.schema}.{one}' for one in (table.name, *_LEFT_BEHIND))}")
    player.spoil(number)
    before = player.changed
    tally.fetches += 1
    begun = time.monotonic()
    try:
        with connected(player.wire), bounded(PATIENCE):
            report = run.run(warehouse, player.provider, player.window, at=START)
        tally.read += 1
        tally.rows += report.written
        tally.refused += report.refused
        if report.newly_refused > report.refused:
            return ["more rows in quarantine than were refused"]
    except TidemarkError:
        tally.errors += 1
    except (Exception, TooLong) as error:
        return [f"crashed: {type(error).__name__}: {error}"[:300]]
    finally:
        tally.payloads += player.changed - before
        tally.slowest = max(tally.slowest, time.monotonic() - begun)
    player.wire.change = None
    player.forget()
    try:
        with connected(player.wire), bounded(PATIENCE):
            counts = run.run(warehouse, player.provider, player.window, at=START).counts[player.kind]
            again = run.run(warehouse, player.provider, player.window, at=START).counts[player.kind]
    except (Exception, TooLong) as error:
        return [f"the clean run failed: {type(error).__name__}: {error}"[:300]]
    found = []
    if counts.inserted + counts.revised + counts.unchanged != len(player.clean):
        found.append(f"the clean run wrote {counts} of {len(player.clean)} rows")
    if again.inserted or again.revised:
        found.append(f"the clean run again wrote {again}")
    if lost := wrong(player, warehouse):
        found.append(f"after the clean run {len(lost)} facts are not what they are: {lost[0]}")
    return found


def wrong(player: Player, warehouse: Warehouse) -> list[tuple[str, ...]]:
    """Clean rows that are not what is believed in the end, or were known before their time; by plain reading of the
    table. What the clean run has put right is news of its own time: the spoiled one had read the window before."""
    kind, schema, table = player.kind, SCHEMAS[player.kind], FACTS[player.kind]
    with warehouse.begin() as connection:
        rows = pd.read_sql_query(
            f"SELECT {', '.join(schema.columns)}, revision FROM {table.schema}.{table.name}", connection)
    history: dict[tuple[str, ...], list[tuple[str, int, tuple[str, ...]]]] = {}
    width, known = len(schema.key), len(schema.key)
    for name in ("event_time", "available_at"):
        rows[name] = pd.to_datetime(rows[name], utc=True)
    texts = rows_of(kind, rows.drop(columns="revision"), ordered=False)
    for row, revision in zip(texts, rows["revision"], strict=True):
        history.setdefault(row[:width], []).append((row[known], int(revision), row[known + 1:]))
    found = []
    for row in player.clean:
        versions = history.get(row[:width], [])
        if not versions or max(versions)[2] != row[known + 1:] or min(versions)[0] < row[known]:
            found.append(row)
    return found
