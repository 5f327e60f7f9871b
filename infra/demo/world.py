"""Which stretch of time the demo plays, and the settings that make the stack see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.contracts.window import Window

#: Planted strongly enough that a fortnight after the turn is evidence: with four other seeds every verdict of the
#: story came out the same, at p values below .015.
EDGE = 1.4


@dataclass(frozen=True)
class World:
    """A history to load in one go, and the days that then pass one by one.

    Attributes:
        quiet: days that pass before anything is expected to happen.
        live: the days after them, played until a new champion is there or they run out.
        note: what is known to happen in ``live``.
        environment: ``TIDEMARK_*`` variables for the stack.
        served: a server plays the sources' part, and its clock has to be turned.
    """

    name: str
    history: Window
    quiet: Window
    live: Window
    note: str
    environment: dict[str, str]
    served: bool = False


#: Faults that careful clients overcome: what arrives in the end is the same, so is all that follows from it.
OVERCOME = "429,500,stall,cut,truncate,duplicate,reordered"


def simulated(faults: str = "") -> World:
    """A seeded market with a planted edge that turns round on a known day.

    Its facts come over the network, from a server that speaks like the exchange, the news, the posts and the
    indicators: the demo's path is the path of production. ``faults``: see ``infra.replay.faults``.
    """
    start, history, quiet, live = datetime(2024, 1, 1, tzinfo=UTC), 140, 3, 20
    history_end = start + timedelta(days=history)
    shift = history + quiet
    turn = start + timedelta(days=shift)
    return World(
        name="simulator",
        history=Window(start, history_end),
        quiet=Window(history_end, turn),
        live=Window(turn, turn + timedelta(days=live)),
        note=f"regime shift planted on {turn.date()}: the edge turns round, volatility rises",
        environment={
            "TIDEMARK_SOURCE": "exchange,newsapi,x,fear_greed,cboe",
            "TIDEMARK_REPLAY__SERVE": "true",
            "TIDEMARK_REPLAY__FAULTS": faults,
            "TIDEMARK_REPLAY__EVERY": "8",
            # Simulated bars come up to 30 hours late.
            "TIDEMARK_HTTP__OVERLAP_HOURS": "48",
            "TIDEMARK_SIMULATOR__START": start.isoformat(),
            "TIDEMARK_SIMULATOR__EDGE": str(EDGE),
            "TIDEMARK_SIMULATOR__DAYS": str(shift + live + 2),
            "TIDEMARK_SIMULATOR__SHIFT_DAY": str(shift),
            "TIDEMARK_SCHEDULE_END": start.isoformat(),
        },
        served=True,
    )


def files(data: Path, manifest: Path) -> World:
    """Real hourly coins, posts, news and indicators around the crash of May 2022 (Terra/Luna, 9 to 12 May)."""
    history_end = datetime(2022, 4, 28, tzinfo=UTC)
    return World(
        name=str(data),
        history=Window(datetime(2021, 11, 15, tzinfo=UTC), history_end),
        quiet=Window(history_end, datetime(2022, 5, 1, tzinfo=UTC)),
        live=Window(datetime(2022, 5, 1, tzinfo=UTC), datetime(2022, 5, 28, tzinfo=UTC)),
        note="the Terra/Luna crash of 9 to 12 May 2022",
        environment={
            "TIDEMARK_SOURCE": "files",
            "TIDEMARK_DATA_DIR": str(data.resolve()),
            "TIDEMARK_MANIFEST": str(manifest.resolve()),
            "TIDEMARK_SCHEDULE_END": "2020-01-01T00:00:00+00:00",
        },
    )
