"""``tidemark monitor``: what a champion sees and does now, against what it was trained on and promised."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipelines import config
from pipelines.cli.context import AsOfOption, LineArgument, as_of_time, line_of, open_warehouse
from pipelines.cli.output import JsonOption, err, out, plain, show
from pipelines.contracts.records import DriftReport

#: Columns shown; all of them are in the JSON and in the warehouse.
WORST = 8


def register(app: typer.Typer) -> None:
    app.command()(monitor)


def monitor(
    line: LineArgument,
    as_of: AsOfOption = None,
    page: Annotated[bool, typer.Option("--page", help="Put the page with its pictures on the champion's MLflow run "
                                                      "although no alarm begins.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Mature outcomes and check data, prediction and performance drift. Exit 1 when there is an alarm."""
    from pipelines.monitoring import check, outcomes
    from pipelines.retrain import run as retrain

    problem, settings, at = line_of(line), config.settings(), as_of_time(as_of)
    with open_warehouse() as warehouse, err.status(f"watching {problem.name}"):
        outcomes.mature(warehouse, problem, at)
        report = check.check(warehouse, settings, problem, at, page=page)
        policy = retrain.preview(warehouse, problem, report, as_of=at).reason_text
    if json_output:
        show(document(report, policy), as_json=True)
    else:
        tell(report, policy, page)
    if report.alarm:
        raise typer.Exit(1)


def document(report: DriftReport, policy: str) -> dict[str, Any]:
    """The report and its sentences as one document."""
    from pipelines.monitoring import words

    found: dict[str, Any] = plain(report)
    return {"verdict": words.verdict(report), "meaning": words.meaning(report), "policy": policy,
            "performance": words.performance(report), "classifier": words.classifier(report),
            "alarm": report.alarm, **found}


def tell(report: DriftReport, policy: str, page: bool = False) -> None:
    """The verdict first, then the worst columns, then how the champion does."""
    from pipelines.monitoring import words

    out.print(words.verdict(report), style="bold red" if report.alarm else "bold green", soft_wrap=True, markup=False)
    if report.champion_version is None:
        return
    out.print(words.meaning(report), soft_wrap=True, markup=False)
    out.print(f"Policy: {policy}", soft_wrap=True, markup=False)
    show(kinds(report), as_json=False, title="what is watched over the champion's time")
    show([_column(column) for column in words.worst(report, WORST)], as_json=False,
         title=f"columns furthest out, of {len(report.columns)}")
    if report.unusual:
        show([{"event_time": row.event_time, "symbol": row.symbol,
               "sd from the reference": {name: round(value, 1) for name, value in row.columns.items()}}
              for row in report.unusual], as_json=False, title="rows to look at")
    for sentence in words.performance(report):
        out.print(sentence, soft_wrap=True, markup=False)
    if told := words.classifier(report):
        out.print(told, soft_wrap=True, markup=False)
    if page:
        out.print(f"The page is on the champion's MLflow run: drift/{report.as_of:%Y-%m-%dT%H%M}.html", soft_wrap=True)


def kinds(report: DriftReport) -> list[dict[str, Any]]:
    """One row per sequential test: its figures, and its evidence as a share of what raises the alarm."""
    from pipelines.monitoring import words

    on = words.alarms(report)
    figures = {"performance": ("log loss, nats", "loss_current", "loss_reference"),
               "prediction": ("mean P(y = 1)", "prediction_level", "prediction_level_reference"),
               "label": ("share of y = 1", "label_rate", "label_rate_reference")}
    found = []
    for kind, (what, now, then) in figures.items():
        strength, since = words.strength(report, kind), words.since(report, kind)
        alarm = words.NAMES[kind] in on
        found.append({"kind": words.NAMES[kind], "verdict": "ALARM" if alarm else "quiet",
                      "of": what, "now": words.number(report, now), "promised": words.number(report, then),
                      "evidence": f"{strength:.0%} of the limit" if strength == strength else "too little",
                      "since about": f"{since:%Y-%m-%d}" if since and alarm else None})
    return found


def _column(column: Any) -> dict[str, Any]:
    return {"column": column.column, "verdict": "DRIFTED" if column.drifted else "within", "method": column.method,
            "distance": column.score, "limit": column.threshold,
            "mean moved by": None if column.effect is None else f"{column.effect:+.2f} sd",
            "since": column.since[:10] if column.since else None,
            "importance": None if column.importance is None else f"{column.importance:.1%}"}
