"""One provider against mutated payloads: what it has to do with each, and what became of it."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pandas as pd

from infra.fuzz import account
from infra.fuzz.mutate import mutated
from infra.fuzz.wire import URL, Wire, connected
from infra.replay.world import World
from pipelines.config import Settings, Simulator
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import Batch, Provider
from pipelines.contracts.window import Window
from pipelines.errors import TidemarkError
from pipelines.ingest import providers
from pipelines.ingest.checks import Checked, examine
from pipelines.ingest.simulator import SimulatorProvider

NAMES = tuple(account.READERS)
START = datetime(2024, 1, 1, tzinfo=UTC)
#: Everything of the small world lies in it, to the last bar's close.
WINDOW = Window(START, START.replace(day=20))
#: No readable time lies outside, so every record has to be a row or a refusal.
WIDE = Window(datetime(1980, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
FORM = {"cboe": "csv", "equities": "csv", "rss": "xml"}
PATIENCE = 20.0  # seconds for one fetch
CLEAN_EVERY = 20
MANY_PAGES = 0.15  # of the fetches go through several pages


class TooLong(BaseException):
    """Nothing in a provider may catch it."""


@dataclass
class Tally:
    """What became of the payloads of one provider.

    Attributes:
        payloads: mutated answers that were served.
        read, errors: fetches that ended in rows and refusals, and in an error of ours.
        rows, refused, collapsed: of the fetches that were read.
        slowest: seconds of the longest fetch.
        faults: what should not have happened, each with the number that repeats it (``only=``).
    """

    provider: str
    payloads: int = 0
    fetches: int = 0
    read: int = 0
    errors: int = 0
    rows: int = 0
    refused: int = 0
    collapsed: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def world(name: str, size: int) -> World:
    """A few facts of each kind: ``size`` hours, texts of a sort, or (at most ten) days."""
    simulator = SimulatorProvider(Simulator(days=12, symbols=1, dirt=0))
    frames = dict(simulator.fetch(WINDOW, simulator.kinds()).frames)
    bars, documents = frames[Kind.BARS], frames[Kind.DOCUMENTS].drop_duplicates("event_time")
    frames[Kind.BARS] = bars.iloc[:size]
    if name == "equities":
        frames[Kind.BARS] = bars.iloc[::24].iloc[:10].assign(
            symbol="AAPL", interval="1d", available_at=lambda rows: rows["event_time"] + pd.Timedelta(days=1))
    frames[Kind.DOCUMENTS] = pd.concat([documents[documents["kind"] == kind].iloc[:size] for kind in ("news", "post")])
    indicators = frames[Kind.INDICATORS]
    frames[Kind.INDICATORS] = indicators[indicators["event_time"] < pd.Timestamp(START) + pd.Timedelta(days=10)]
    return World(frames)


def settings(home: Path, url: str = URL, *, page: int = 100) -> Settings:
    """Every source at one address, without waiting."""
    return Settings(
        home=home, http={"attempts": 2, "backoff": 0, "rate": 1000, "burst": 1000, "overlap_hours": 0, "timeout": 5},
        exchange={"url": url, "symbols": "BTC/USDT", "page": page}, fear_greed={"url": url}, cboe={"url": url},
        rss={"feeds": f"{url}/feed.xml"}, newsapi={"url": url, "key": "fuzz-key-0123", "page": page},
        reddit={"url": url, "login": url, "client_id": "c", "client_secret": "fuzz-secret-0123",
                "subreddits": "CryptoCurrency", "page": page},
        x={"url": url, "token": "fuzz-token-0123", "page": page}, stocktwits={"url": url, "symbols": "BTC.X"},
        equities={"url": url, "symbols": "aapl.us"})


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises TooLong after so long, in the main thread."""
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Player:
    """One provider, one small world, one wire. ``play(number)`` is one case; the same number is the same case."""

    def __init__(self, name: str, home: Path, seed: int, *, paged: bool = False) -> None:
        self.name, self._seed, self._paged = name, seed, paged
        self.wire = Wire(world(name, 25 if paged else 8))
        self._settings = settings(home, page=10 if paged else 100)
        self.provider: Provider = providers.create(name, self._settings)
        (self.kind,) = self.provider.kinds()
        self.changed = 0
        #: An exchange is walked through to the window's end, so its window ends with its bars.
        size = 25 if paged else 8
        self.window = Window(START, START + timedelta(hours=size, minutes=1)) if name == "exchange" else WINDOW
        with connected(self.wire):
            checked, _ = self._fetch(self.window)
            self.clean = rows_of(self.kind, checked.clean)
        self._known = {text: (name_, found.frame) for (path, _), body in self.wire.served.items()
                       if account.is_page(path) for found in [account.page(self.name, path, body)] if found is not None
                       for text, name_ in found.records}
        #: What untouched records have to become; of each, the row of the clean reading that bears its name.
        self._rows = {named(self.kind, row): row for row in self.clean}
        if len(self._known) < len(self._rows) or set(self._rows) - {one for one, _ in self._known.values()}:
            raise RuntimeError(f"{name}: the account does not know its own records")

    def _fetch(self, window: Window) -> tuple[Checked, Batch]:
        batch = self.provider.fetch(window, [self.kind])
        return examine(self.kind, batch.frames[self.kind], self.name), batch

    def spoil(self, number: int) -> Window:
        """Set the wire up for a case; the window to ask for."""
        rng = random.Random(f"{self._seed} {self.name} {self._paged} {number}")
        pages = [0]
        chosen = rng.randrange(2) if self.name == "cboe" else 0

        def change(path: str, body: bytes, type_: str) -> bytes:
            if not account.is_page(path):
                # The list of an exchange's markets is read by a fresh provider only, a login by every fetch.
                if rng.random() > (0.5 if self.name == "exchange" else 0.02):
                    return body
            elif self._paged:
                if rng.random() < 0.5:
                    return body
            else:
                pages[0] += 1
                if pages[0] == 1 + (1 - chosen) and self.name == "cboe" and rng.random() < 0.9:
                    return body
            for _ in range(10):
                spoiled = mutated(rng, body, FORM.get(self.name, "json"))
                if spoiled != body:
                    self.changed += 1
                    return spoiled
            return body

        self.wire.change = change
        self.forget()
        if number % CLEAN_EVERY == 0:
            self.provider = providers.create(self.name, self._settings)  # it logs in, or asks for its markets, anew
        return WIDE if self.name != "exchange" and rng.random() < 0.7 else self.window

    def forget(self) -> None:
        """What was served before, also what a fetch that was cut short has kept on disk: an account is of one case."""
        self.wire.clear()
        for kept in self._settings.home.glob("spool/*"):
            kept.unlink()

    def play(self, number: int, tally: Tally) -> None:
        """One fetch of mutated payloads; now and then a clean one after it."""
        window = self.spoil(number)
        before, begun = self.changed, time.monotonic()
        try:
            with connected(self.wire), bounded(PATIENCE):
                checked, batch = self._fetch(window)
        except TidemarkError as error:
            tally.errors += 1
            faults = self._wrong_error(error)
        except TooLong:
            faults = [f"took longer than {PATIENCE} s"]
        except Exception as error:  # a crash is what this looks for
            faults = [f"crashed: {type(error).__name__}: {error}"[:300]]
        else:
            tally.read += 1
            tally.rows += len(checked.clean)
            tally.refused += len(batch.refused) + len(checked.refused)
            tally.collapsed += checked.collapsed
            faults = self._wrong_rows(checked, batch, window)
        tally.slowest = max(tally.slowest, time.monotonic() - begun)
        tally.fetches += 1
        tally.payloads += self.changed - before
        if number % CLEAN_EVERY == 0:
            faults += self._wrong_afterwards()
        tally.faults += [f"case {number}{' (pages)' if self._paged else ''}: {fault}" for fault in faults]

    def _wrong_error(self, error: TidemarkError) -> list[str]:
        said = str(error)
        found = []
        if self.name not in said and not (self.name == "exchange" and "binance" in said):
            found.append(f"the error does not name its provider: {said[:200]!r}")
        if not said.isprintable() or len(said) > 700:
            found.append(f"the error cannot be shown ({len(said)} characters): {said[:200]!r}")
        return found

    def _wrong_rows(self, checked: Checked, batch: Batch, window: Window) -> list[str]:
        frame, found = batch.frames[self.kind], []
        pages = [account.page(self.name, path, body) for (path, _), body in self.wire.served.items()
                 if account.is_page(path)]
        if None in pages:
            return ["rows from a page that is none"]
        told = [page for page in pages if page is not None]
        held, out = sum(page.count for page in told), len(frame) + len(batch.refused)
        most = sum(max(page.count, page.most) for page in told)
        if window is WIDE and out < held:
            found.append(f"the payload holds {held} records, {len(frame)} rows and {len(batch.refused)} refusals came "
                         "out")
        if most < out:
            found.append(f"doubled: {out} out of {most}")
        if len(frame) != len(checked.clean) + len(checked.refused) + checked.collapsed:
            found.append("the checks lost or doubled a row")
        key = [*SCHEMAS[self.kind].key, "available_at"]
        if checked.clean.duplicated(key).any():
            found.append("the same fact twice at the same time")
        found += self._touched(told, checked)
        try:
            json.dumps([one.payload for one in (*batch.refused, *checked.refused)], allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            found.append(f"quarantine cannot keep it: {error}")
        return found

    def _touched(self, pages: list[account.Page], checked: Checked) -> list[str]:
        """Records that nobody touched have to come out as they would have, or be refused by name."""
        have = set(rows_of(self.kind, checked.clean))
        names = list(SCHEMAS[self.kind].columns)
        refused = {tuple(str(one.payload.get(name)) for name in SCHEMAS[self.kind].key) for one in checked.refused}
        lost = []
        for page in pages:
            for text, _ in page.records:
                name, around = self._known.get(text, (None, None))
                if name is None or around != page.frame:
                    continue
                row = self._rows.get(name)
                key = () if row is None else tuple(
                    row[names.index(part)].strip("'") for part in SCHEMAS[self.kind].key)
                if row is not None and row not in have and key not in refused:
                    lost.append(name)
        return [f"untouched, but lost or changed: {lost[:3]} ({len(lost)})"] if lost else []

    def _wrong_afterwards(self) -> list[str]:
        self.wire.change = None
        self.forget()
        try:
            with connected(self.wire), bounded(PATIENCE):
                checked, batch = self._fetch(self.window)
        except (Exception, TooLong) as error:
            return [f"a clean reading afterwards failed: {type(error).__name__}: {error}"[:300]]
        if rows_of(self.kind, checked.clean) != self.clean or batch.refused:
            return ["a clean reading afterwards differs"]
        return []


def rows_of(kind: Kind, frame: pd.DataFrame, *, ordered: bool = True) -> list[tuple[str, ...]]:
    """Each row as texts, sorted unless told not to; what stands beside an indicator included."""
    parts = {name: frame[name] if name in frame else pd.Series([None] * len(frame), dtype=object)
             for name in SCHEMAS[kind].columns}
    texts = [[_text(value) for value in column.tolist()] for column in parts.values()]
    rows = zip(*texts, strict=True)
    return sorted(rows) if ordered else list(rows)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, default=str)
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return "" if value is None or value != value else repr(value)


def named(kind: Kind, row: tuple[str, ...]) -> str:
    """The name of a row as the account calls it."""
    at = dict(zip(SCHEMAS[kind].columns, row, strict=True))
    if kind is Kind.DOCUMENTS:
        return at["doc_id"].strip("'")
    if kind is Kind.INDICATORS and at["source"] == "'cboe'":
        day = pd.Timestamp(at["event_time"]).tz_convert("America/New_York")
        return f"{at['name'].strip(chr(39))}{day:%Y-%m-%d}"
    if at.get("interval") == "'1d'":
        return at["event_time"][:10]
    return at["event_time"]


def fuzz(name: str, count: int, seed: int, home: Path, *, only: int | None = None, tick: Any = None) -> Tally:
    """At least ``count`` mutated payloads for one provider.

    Args:
        only: just the case of this number.
        tick: called with the number of payloads so far.
    """
    tally, begun = Tally(name), time.monotonic()
    players = {paged: Player(name, home / f"{name}-{paged}", seed, paged=paged) for paged in (False, True)}
    number = 0 if only is None else only
    while tally.payloads < count or only is not None:
        paged = random.Random(f"{seed} {name} {number}").random() < MANY_PAGES
        players[paged].play(number, tally)
        if only is not None:
            break
        number += 1
        if tick is not None and number % 50 == 0:
            tick(tally.payloads)
    tally.seconds = time.monotonic() - begun
    return tally
