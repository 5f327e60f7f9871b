"""Shows components coming up: one moving line each in a terminal, one plain line per change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

STYLES = {"healthy": "green", "done": "green", "stopped": "dim", "waiting": "dim", "starting": "yellow",
          "stopping": "yellow", "backoff": "red", "unhealthy": "red"}


class Progress:
    """Use as a context manager; ``show`` is called as often as one likes."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console, self._quiet = console, quiet
        self._began = time.monotonic()
        self._last: dict[str, str] = {}
        self._spinners: dict[str, Spinner] = {}
        self._live = Live(console=console, transient=True, refresh_per_second=8) if self._moves else None

    @property
    def _moves(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, *text: str | tuple[str, str]) -> None:
        """One line with the seconds so far; a part may be (text, style)."""
        if not self._quiet:
            self._console.print(Text.assemble((f"{self.seconds:5.1f} s", "dim"), "  ", *text), soft_wrap=True)

    def show(self, components: Sequence[Mapping[str, Any]]) -> None:
        """Show the present states (``state.json``'s components)."""
        if self._live:
            self._live.start()
            self._live.update(self._table(components))
            return
        for part in components:
            before = self._last.get(part["name"])
            if before != part["state"]:
                self._last[part["name"]] = part["state"]
                if part["state"] != "waiting" and not (before is None and part["state"] in ("healthy", "done")):
                    why = f"  {part['detail']}" if part["state"] in ("backoff", "unhealthy") else ""
                    self.say(f"{part['name']:<14} ", (part["state"], STYLES.get(part["state"], "")), why)

    def _table(self, components: Sequence[Mapping[str, Any]]) -> Table:
        table = Table.grid(padding=(0, 2))
        for part in components:
            state = part["state"]
            style = STYLES.get(state, "")
            moving = state in ("starting", "stopping")
            mark: Any = Text("✓" if style == "green" else "·", style=style)
            if moving:
                mark = self._spinners.setdefault(part["name"], Spinner("dots", style="yellow"))
            table.add_row(mark, part["name"], Text(state, style=style), Text(part["detail"], style="dim"))
        table.add_row("", Text(f"{self.seconds:.0f} s", style="dim"), "", "")
        return table
