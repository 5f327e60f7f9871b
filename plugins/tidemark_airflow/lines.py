"""What a DAG file has to know while it is parsed: which lines there are, and the few settings of schedules.

A DAG file is parsed before every task and every minute, so this reads TOML and the environment and nothing else. The
full, checked line and settings come from ``pipelines`` when a task runs (see ``context.py``).
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from airflow.sdk import get_parsing_context

ROOT = Path(__file__).resolve().parents[2]
#: Symbols of one task, as in ``pipelines.features.columns``.
CHUNK = 64


@dataclass(frozen=True)
class LineInfo:
    """The part of a line's TOML that shapes its DAGs. ``on_bars``: its rows are bars, which come every hour and are
    predicted and watched; else labelled texts or closed trades, of which it is only trained and judged."""

    name: str
    title: str
    owner: str
    approval: str
    workers: int
    symbols: tuple[str, ...]
    on_bars: bool = True

    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Symbols whose features are computed by a task of their own, and, last, what looks across all (``()``).
        Nothing for up to ``CHUNK`` symbols, or if the line takes whatever symbols there are: one task does them."""
        ordered = sorted(self.symbols)
        if len(ordered) <= CHUNK:
            return ()
        return (*(tuple(ordered[begin:begin + CHUNK]) for begin in range(0, len(ordered), CHUNK)), ())


@lru_cache(maxsize=1)
def _stack_file() -> dict[str, str]:
    """``$TIDEMARK_HOME/stack.env``, which `tidemark up` writes; empty when there is no stack here."""
    path = Path(os.environ.get("TIDEMARK_HOME") or ROOT / ".tidemark") / "stack.env"
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines()
             if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def setting(name: str, default: str = "") -> str:
    """A ``TIDEMARK_*`` setting as text, looked up as ``pipelines.config`` does: environment, stack file, default."""
    return os.environ.get(name) or _stack_file().get(name) or default


def schedule_ingest() -> str:
    """Cron (UTC) of the ingest DAGs."""
    return setting("TIDEMARK_SCHEDULE_INGEST", "0 0 * * *")


#: Sources that deliver history: nothing new appears in them while we wait.
HISTORY = frozenset({"simulator", "files"})


def schedule_collect() -> str | None:
    """Cron (UTC) of collecting between the daily partitions; None: never, as for a source of history and a replay."""
    text = setting("TIDEMARK_SCHEDULE_COLLECT", "*/10 * * * *")
    replay = schedule_end() is not None or setting("TIDEMARK_SOURCE", "simulator") in HISTORY
    return None if replay or text == "never" else text


def schedule_end() -> datetime | None:
    """No scheduled run after this instant; a replay of history sets it so that today's partition stays out."""
    text = setting("TIDEMARK_SCHEDULE_END")
    if not text:
        return None
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def bar_lines() -> tuple[LineInfo, ...]:
    """The lines whose rows are bars: the ones with features, predictions and monitoring day by day."""
    return tuple(line for line in lines() if line.on_bars)


def asked_for(lines: tuple[LineInfo, ...]) -> tuple[LineInfo, ...]:
    """Of ``lines``, those whose DAGs Airflow wants from a file that makes one for each: before a task the one of that
    task's DAG, else all. A task's start costs the same however many lines there are."""
    wanted = get_parsing_context().dag_id
    return lines if wanted is None else tuple(line for line in lines if wanted.endswith(f"_{line.name}"))


def wide_lines() -> tuple[LineInfo, ...]:
    """The lines on bars with so many symbols that their features are computed by several tasks."""
    return tuple(line for line in bar_lines() if line.parts())


def lines() -> tuple[LineInfo, ...]:
    """Every line declared in ``TIDEMARK_LINES_DIR`` (default ``mlflow/lines``), in name order.

    Raises:
        ValueError: a file is not a line; Airflow shows it as an import error of the DAG file.
    """
    directory = Path(setting("TIDEMARK_LINES_DIR", str(ROOT / "mlflow" / "lines")))
    found = []
    for path in sorted(directory.glob("*.toml")):
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            found.append(LineInfo(
                name=str(table["name"]), title=str(table["title"]), owner=str(table.get("owner", "ml")),
                approval=str(table.get("gate", {}).get("approval", "auto")),
                workers=int(table["search"].get("workers", 2)), symbols=tuple(table.get("symbols", ())),
                on_bars=str(table["target"]["kind"]) not in ("polarity", "trade_win")))
        except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a line ({error!r}); `tidemark lines` names what is wrong") from error
    return tuple(found)
