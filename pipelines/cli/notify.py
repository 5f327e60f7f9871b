"""What people are told: the digest, and the channels by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines import clock, config
from pipelines.cli.context import as_of_time, open_warehouse
from pipelines.cli.output import JsonOption, out, show
from pipelines.contracts.line import load_lines

app = typer.Typer(help="Notifications: test the channels, see what was told, send what waits.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.command()(digest)
    parent.add_typer(app, name="notify")


def digest(
    as_of: Annotated[str | None, typer.Option("--as-of", help=(
        "The day before this UTC time (ISO 8601). Default: the last whole day of data."))] = None,
    send: Annotated[bool, typer.Option("--send", help="Send it through every configured channel.")] = False,
    json_output: JsonOption = False,
) -> None:
    """A day in short: predictions, accuracy, drift, retraining, verdicts of every line."""
    from pipelines.notify import channels, digest_text, tell
    from pipelines.notify import digest as day

    settings, at = config.settings(), clock.now()
    with open_warehouse() as warehouse:
        until = day.data_time(warehouse, at=at) if as_of is None else as_of_time(as_of)
        made = day.collect(warehouse, load_lines(settings.lines_dir).values(), until)
    notice = digest_text.notice(made, f"digest:by hand:{at.isoformat()}")
    if json_output:
        show(made, as_json=True)
    else:
        out.print(notice.title, style="bold")
        for sentence in notice.body:
            out.print(sentence, markup=False, soft_wrap=True)
    if send:
        _report(tell.send_at_once(channels.configured(settings, at=at), notice), quiet=json_output)


@app.command("test")
def send_test(
    channel: Annotated[str | None, typer.Option(help="Only this one: smtp or webhook.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Send a test message through every configured channel, now; exit 1 when one fails."""
    from pipelines.notify import channels, tell

    at = clock.now()
    ready = {name: made for name, made in channels.configured(config.settings(), at=at).items()
             if channel in (None, name)}
    results = tell.send_at_once(ready, tell.hello(at))
    if json_output:
        show([{"channel": name, "ok": error is None, "error": error} for name, error in results.items()], as_json=True)
    _report(results, quiet=json_output)


@app.command("list")
def list_rows(
    waiting: Annotated[bool, typer.Option(help="Only what a channel has not told yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json_output: JsonOption = False,
) -> None:
    """The newest notices, and through which channels they went."""
    from pipelines.store import notices

    with open_warehouse() as warehouse, warehouse.begin() as connection:
        rows = notices.list_rows(connection, waiting=waiting, limit=limit)
    show(rows, as_json=json_output, title="notices")


@app.command()
def run(json_output: JsonOption = False) -> None:
    """Note what is new and send what waits, as the DAG `notify` does; exit 1 when a channel is down."""
    from pipelines.notify import tell
    from pipelines.notify.wording import several

    settings = config.settings()
    with open_warehouse() as warehouse:
        done = tell.tell(warehouse, settings, load_lines(settings.lines_dir), at=clock.now())
    if json_output:
        show(done, as_json=True)
    else:
        out.print(several(len(done.found), "new notice"))
        for item in done.delivered:
            out.print(f"{item.channel}: {several(item.messages, 'message')} about {several(item.notices, 'notice')}"
                      f"{f', {item.held} held back' if item.held else ''}{f'; {item.error}' if item.error else ''}",
                      markup=False, soft_wrap=True)
    if any(item.error for item in done.delivered):
        raise typer.Exit(1)


def _report(results: dict[str, str | None], *, quiet: bool) -> None:
    for name, error in results.items():
        if not quiet:
            out.print(f"{name}: {'sent' if error is None else error}", markup=False, soft_wrap=True)
    if any(results.values()):
        raise typer.Exit(1)
