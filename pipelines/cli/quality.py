"""``tidemark schema``, ``tidemark quality``, ``tidemark gaps``: what the facts should be, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from pipelines import clock, config
from pipelines.cli.context import open_warehouse, window_of
from pipelines.cli.output import JsonOption, show
from pipelines.cli.stages import EndOption, StartOption
from pipelines.contracts.columns import SCHEMAS, Kind

gaps_app = typer.Typer(help="Bars that never came.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    for command in (schema, quality):
        app.command()(command)
    app.add_typer(gaps_app, name="gaps")


def schema(
    kind: Annotated[list[Kind] | None, typer.Option(help="Only these kinds of facts.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Every kind of facts with its columns: type, unit, bounds, meaning."""
    rows = [{"kind": name.value, "column": column, "type": declared.type, "unit": declared.unit or None,
             "key": column in SCHEMAS[name].key,
             "required": column in (*SCHEMAS[name].key, "available_at", *SCHEMAS[name].required),
             "outcome": column in SCHEMAS[name].outcomes, "above": declared.above, "at_least": declared.at_least,
             "allowed": list(declared.allowed) or None,
             "longest": declared.longest if declared.type == "str" else None, "meaning": declared.meaning}
            for name in (kind or list(Kind)) for column, declared in SCHEMAS[name].declared.items()]
    if json_output:
        show(rows, as_json=True)
        return
    for name in kind or list(Kind):
        show([{"column": row["column"], "type": row["type"], "unit": row["unit"], "rule": _rule(row),
               "meaning": row["meaning"]} for row in rows if row["kind"] == name.value],
             as_json=False, title=name.value)


def _rule(row: Mapping[str, Any]) -> str | None:
    said = ["key" if row["key"] else "required" if row["required"] else ""]
    said += ["outcome"] if row["outcome"] else []
    said += [f"> {row['above']:g}"] if row["above"] is not None else []
    said += [f">= {row['at_least']:g}"] if row["at_least"] is not None else []
    said += [" or ".join(row["allowed"])] if row["allowed"] else []
    return ", ".join(part for part in said if part) or None


def quality(
    start: StartOption,
    end: EndOption,
    source: Annotated[str | None, typer.Option(help="Name of the source; default: TIDEMARK_SOURCE.")] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only these kinds of facts.")] = None,
    json_output: JsonOption = False,
) -> None:
    """The data-quality report of a stretch, from what is stored; also written as JSON and a page. Exit 0 whatever it
    says."""
    from pipelines.ingest import quality as ingest_quality
    from pipelines.ingest import quality_files

    settings, kinds = config.settings(), kind or list(Kind)
    with open_warehouse() as warehouse:
        made = ingest_quality.from_warehouse(warehouse, source or settings.source, window_of(start, end),
                                             quality=settings.quality, kinds=kinds, at=clock.now())
    page = quality_files.write(settings.quality_root / quality_files.BY_HAND, made)
    document = {**made.to_dict(), "page": str(page)}
    if json_output:
        show(document, as_json=True)
        return
    show([{key: row[key] for key in ("kind", "rows", "new", "revised", "refused")} for row in document["kinds"]],
         as_json=False, title=f"{made.source}, {made.window.key}")
    show([{key: row[key] for key in ("kind", "series", "available_at", "age_hours", "deadline_hours", "stale")}
          for row in document["freshness"]], as_json=False, title="freshness")
    show([{"warning": text} for text in document["warnings"]], as_json=False, title="warnings")
    show(f"page: {page}", as_json=False)


@gaps_app.command("list")
def list_gaps(
    waiting: Annotated[bool, typer.Option(help="Only gaps that are open.")] = False,
    series: Annotated[list[str] | None, typer.Option(help="Only these series, such as 'BTCUSDT 1h'.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json_output: JsonOption = False,
) -> None:
    """The latest gaps: bars that were asked for twice and did not come, until they do."""
    from pipelines.store import gaps

    with open_warehouse() as warehouse:
        frame = gaps.list_rows(warehouse, series=series or None, waiting=waiting, limit=limit)
    show(frame.to_dict("records"), as_json=json_output, title="gaps")
