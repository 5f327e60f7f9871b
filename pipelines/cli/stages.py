"""Each stage of the way by hand, with the functions that the DAGs call."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer
from rich.progress import track

from pipelines import clock, config
from pipelines.cli.context import AsOfOption, LineArgument, as_of_time, line_of, open_warehouse, window_of
from pipelines.cli.output import JsonOption, err, show
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window

StartOption = Annotated[str, typer.Option(help="First instant of the window (UTC, ISO 8601), included.")]
EndOption = Annotated[str, typer.Option(help="End of the window (UTC, ISO 8601), not included.")]


def register(app: typer.Typer) -> None:
    for command in (ingest, sentiment, train, audit, gate, predict, intervals):
        app.command()(command)


def daily(window: Window, title: str) -> Any:
    """The days of a window, with a progress bar."""
    return track(list(window.days()), description=title, console=err, transient=True)


def ingest(
    start: StartOption,
    end: EndOption,
    source: Annotated[str | None, typer.Option(help="Provider; default: TIDEMARK_SOURCE.")] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only these kinds of facts.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only these symbols.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Fetch, check and store what became available in a window. Doing it twice changes nothing."""
    from pipelines.ingest import providers
    from pipelines.ingest import run as ingest_run

    settings = config.settings()
    provider = providers.create(source or settings.source, settings)
    with open_warehouse() as warehouse:
        reports = [
            ingest_run.run(warehouse, provider, part, kinds=kind or None, symbols=symbol or None, at=clock.now(),
                           reports=settings.quality_root, deadlines=settings.quality)
            for part in track(list(window_of(start, end).months()), description="ingest", console=err, transient=True)]
    show(reports, as_json=json_output, title="ingested")


def sentiment(start: StartOption, end: EndOption, json_output: JsonOption = False) -> None:
    """Score the documents of a window and rebuild its aggregates."""
    from pipelines.sentiment import run as sentiment_run

    with open_warehouse() as warehouse:
        reports = [sentiment_run.run(warehouse, part, config.settings().credibility)
                   for part in window_of(start, end).months()]
    show(reports, as_json=json_output, title="scored")


def train(
    line: LineArgument,
    as_of: AsOfOption = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "by hand",
    json_output: JsonOption = False,
) -> None:
    """Train a candidate now, in this process: search, evidence, final fit, registration."""
    from pipelines.contracts.records import Reason, RetrainRequest
    from pipelines.store import ledger
    from pipelines.training import stage

    problem, settings, at = line_of(line), config.settings(), clock.now()
    person = getpass.getuser()
    with open_warehouse() as warehouse:
        with warehouse.begin() as connection:
            ledger.request_retrain(connection, RetrainRequest(
                problem.name, Reason.MANUAL, as_of_time(as_of), person, {"reason": reason}), at=at)
            request = ledger.claim_request(
                connection, problem.name, claimed_by=f"cli:{person}", at=at,
                expires_at=at + stage.claim_duration(problem))
        if request is None:
            err.print(f"a training of {problem.name} is under way; see `tidemark history {problem.name}`")
            raise typer.Exit(1)
        try:
            session = stage.open_training(warehouse, settings, problem, request, at=at)
        except BaseException as error:  # nobody waits here for another try: the claim must not outlive this process
            if request.id is not None:
                stage.give_back(warehouse, request.id, f"{type(error).__name__}: {error}", clock.now())
            raise
        try:
            with err.status("leak audit"):
                stage.inspect(warehouse, settings, problem, session)
            with err.status(f"searching {problem.search.trials} trials"):
                stage.run_trials(warehouse, settings, problem, session, 0)
            with err.status("evidence, final fit and report"):
                candidate = stage.conclude(warehouse, settings, problem, session, at=clock.now())
        except BaseException as error:
            stage.abort(warehouse, settings, session, f"{type(error).__name__}: {error}", at=clock.now())
            raise
    show(candidate, as_json=json_output, title="candidate")


def audit(
    line: LineArgument,
    as_of: AsOfOption = None,
    seed: Annotated[int | None, typer.Option(help="Of the random cuts and probes. Default: the line's search seed.",
                                             min=0)] = None,
    json_output: JsonOption = False,
) -> None:
    """Look for leaks: does anything a model is given know more than it could? Exit 1 when there is a finding."""
    from pipelines.training import audit as training_audit

    problem = line_of(line)
    with open_warehouse() as warehouse, err.status(f"auditing {problem.name}"):
        report = training_audit.run(warehouse, config.settings(), problem, as_of_time(as_of), seed=seed)
    if json_output:
        show(report.to_dict(), as_json=True)
    else:
        show([{key: check[key] for key in ("check", "state", "cuts", "columns", "rows", "note")}
              for check in report.to_dict()["checks"]], as_json=False, title=f"leak audit of {problem.name}")
        show(list(report.findings), as_json=False, title="findings")
    if not report.passed:
        raise typer.Exit(1)


def intervals(
    line: LineArgument,
    as_of: AsOfOption = None,
    days: Annotated[int, typer.Option(help="Days to forecast, before that time.", min=7)] = 56,
    family: Annotated[str | None, typer.Option(help="Model family; default: the line's first.")] = None,
    json_output: JsonOption = False,
) -> None:
    """How often should the line be retrained? Its own past walked once per interval, against never retraining."""
    from pipelines.training import intervals as training_intervals

    problem = line_of(line)
    with open_warehouse() as warehouse, err.status(f"walking {days} days of {problem.name}"):
        report = training_intervals.run(warehouse, problem, as_of_time(as_of), days=days, family=family)
    table = report.to_frame().reset_index().to_dict("records")
    if json_output:
        show({"best": report.best, "best_net": report.best_net, "significant": report.significant, "note": report.note,
              "intervals": table}, as_json=True)
    else:
        show(table, as_json=False, title=f"retraining intervals of {problem.name}")
        show(report.note, as_json=False)


def gate(
    line: LineArgument,
    version: Annotated[int | None, typer.Argument(help="Version; default: every unjudged candidate.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Judge candidates against the champion or the naive baselines, and act on the verdict."""
    from pipelines.contracts.records import Outcome
    from pipelines.gate import decide
    from pipelines.registry import evidence, promotion
    from pipelines.store import ledger

    problem, settings = line_of(line), config.settings()
    verdicts: list[dict[str, Any]] = []
    with open_warehouse() as warehouse:
        with warehouse.begin() as connection:
            waiting = ([ledger.candidate(connection, problem.name, version)] if version is not None
                       else ledger.unjudged(connection, problem.name))
        for candidate in waiting:
            verdict = decide(evidence.assemble(warehouse, settings, problem, candidate), problem.gate)
            promotion.record(warehouse, problem, candidate, verdict, at=clock.now())
            if problem.gate.approval == "auto":
                promotion.apply(warehouse, settings, problem, candidate, verdict,
                                actor=f"cli:{getpass.getuser()}", at=clock.now())
            verdicts.append({"line": problem.name, "version": candidate.version, "verdict": verdict})
    show(verdicts, as_json=json_output, title="verdicts")
    if any(item["verdict"].outcome is not Outcome.PROMOTE for item in verdicts):
        raise typer.Exit(1)


def predict(line: LineArgument, start: StartOption, end: EndOption, json_output: JsonOption = False) -> None:
    """Score the bars of a window with the champion of that time and its challenger."""
    from pipelines.serving import batch

    problem, settings = line_of(line), config.settings()
    with open_warehouse() as warehouse:
        reports = [batch.predict(warehouse, settings, problem, day) for day in daily(window_of(start, end), "predict")]
    show(reports, as_json=json_output, title="predictions")
