"""The mood of the market as it was known at a time."""

from __future__ import annotations

import typer

from pipelines.cli.context import AsOfOption, as_of_time, open_warehouse
from pipelines.cli.output import JsonOption, out, show


def register(app: typer.Typer) -> None:
    app.command()(mood)


def mood(as_of: AsOfOption = None, json_output: JsonOption = False) -> None:
    """Fear & greed, VIX and put/call with their ages, and an index of our own from components."""
    from pipelines.sentiment import mood as market

    with open_warehouse() as warehouse:
        found = market.known(warehouse, as_of_time(as_of))
    if json_output:
        show(found, as_json=True)
        return
    show(found.readings, as_json=False, title=f"published, known at {found.as_of:%Y-%m-%d %H:%M} UTC")
    show(found.components, as_json=False, title=f"ours, percentile ranks of {market.DAYS} days, 0 fear to 100 greed")
    out.print("index: too few components" if found.index is None else f"index: {found.index:.1f} of 100")
