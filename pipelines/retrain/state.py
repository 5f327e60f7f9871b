"""What the policy needs to know of a line, read from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, case, or_, select

from pipelines.contracts.columns import Kind
from pipelines.contracts.line import Line
from pipelines.contracts.records import Action, Candidate, Outcome, Purpose, Reason, RequestState, RetrainRequest, Step
from pipelines.contracts.retraining import MONTH
from pipelines.retrain.memory import Check, PolicyState, Run, Training, loudness
from pipelines.store import asof, ledger, tables

OPEN = (RequestState.PENDING, RequestState.CLAIMED)
#: So many trainings are remembered: doubling a cool-down so often is beyond every limit.
REMEMBERED = 12
ALARMS = {Reason.DATA_DRIFT: "data_drift", Reason.PREDICTION_DRIFT: "prediction_drift",
          Reason.PERFORMANCE: "performance_drift"}


def read(connection: Connection, line: Line, as_of: datetime) -> PolicyState:
    """What the ledger knows about a line, for a decision as of ``as_of`` (data time, UTC)."""
    asked = ledger.requests(connection, line.name)
    known = ledger.candidates(connection, line.name)
    waiting = [request for request in asked if request.state in OPEN]
    last = known[-1].as_of if known else None
    recent = known[-REMEMBERED:]
    asks = {request.id: request for request in asked}
    better = outcomes(connection, line.name, recent)
    return PolicyState(
        line=line.name, last_training=last, last_request=max((request.as_of for request in asked), default=None),
        open_request=waiting[-1] if waiting else None,
        trainings=tuple(sorted((Training(item.as_of, item.version, better[item.version],
                                         triggers(asks.get(item.request_id))) for item in recent),
                               key=lambda training: (training.as_of, training.version))),
        checks=_checks(connection, line.name, min((item.as_of for item in recent), default=as_of), as_of),
        runs=_runs(connection, line.name, asked, as_of),
        new=new_data(connection, line, last, as_of) if line.retrain.counts_rows and last is not None else None,
        changed=_changed(connection, line) if "code_change" in line.retrain.on else ())


def triggers(request: RetrainRequest | None) -> tuple[Reason, ...]:
    """Everything that a request was made for, joined wishes included."""
    if request is None:
        return ()
    joined = [entry["reason"] for entry in request.evidence.get("joined", ())]
    return tuple(dict.fromkeys(map(Reason, [request.reason, *request.evidence.get("triggers", ()), *joined])))


def outcomes(connection: Connection, line: str, versions: Sequence[Candidate]) -> dict[int, bool | None]:
    """Version → whether it is or was champion; False also where the gate, the shadow or people said no. None while
    nobody has said anything, or a promotion waits for people."""
    if not versions:
        return {}
    last = _last(connection, tables.verdicts, "outcome", line)
    shadow = {item.version: item.look.decision for item in ledger.looks(connection, line, purpose=Purpose.SHADOW)
              if item.look.final}
    agreed = _last(connection, tables.approvals, "approved", line)
    promoted = {row.version for row in ledger.history(connection, line) if row.action is Action.PROMOTE}

    def one(version: int) -> bool | None:
        if version in promoted:
            return True
        word = last.get(version)
        if version in shadow:
            word = Outcome.PROMOTE.value if shadow[version] is Step.PROMOTE else Outcome.REJECT.value
        if word is None or (word == Outcome.PROMOTE.value and agreed.get(version, True)):
            return None
        return False

    return {item.version: one(item.version) for item in versions}


def new_data(connection: Connection, line: Line, after: datetime, until: datetime) -> tuple[int, int]:
    """Facts of the kind a line learns from that became known in ``(after, until]``, and the UTC days they are of."""
    kind = _kind(line)
    return asof.volume(connection, kind, after=after, until=until,
                       symbols=(line.symbols or None) if kind is not Kind.LABELS else None,
                       names=(line.target.sources or None) if kind is not Kind.BARS else None)


def newest_fact(connection: Connection, line: Line, at: datetime) -> datetime | None:
    """When the newest fact of the kind a line learns from became available (UTC), no later than ``at``."""
    return asof.last_available(connection, _kind(line), as_of=at)


def _kind(line: Line) -> Kind:
    return {"texts": Kind.LABELS, "trades": Kind.TRADES}.get(line.target.rows, Kind.BARS)


def _last(connection: Connection, table: Table, column: str, line: str) -> dict[int, Any]:
    """Version → what was said of it last."""
    query = select(table.c.version, table.c[column]).where(table.c.line == line).order_by(table.c.id)
    return {int(version): value for version, value in connection.execute(query)}


def _checks(connection: Connection, line: str, first: datetime, as_of: datetime) -> tuple[Check, ...]:
    """The checks before ``as_of``, from the last one that the oldest remembered training could have answered."""
    table = tables.drift_reports
    alarms = [table.c[name] for name in ALARMS.values()]
    loud = case((or_(*alarms), table.c.metrics), else_=None)  # a quiet check has nothing to say
    query = select(table.c.as_of, table.c.champion_version, table.c.share, loud.label("metrics"), *alarms).where(
        table.c.line == line).order_by(table.c.as_of.desc())
    before = connection.execute(query.where(table.c.as_of < first).limit(1)).mappings().all()
    since = connection.execute(query.where(table.c.as_of >= first, table.c.as_of < as_of)).mappings().all()
    return tuple(check(row) for row in reversed([*since, *before]))


def check(row: Mapping[Any, Any]) -> Check:
    """A row of ``ai_trading.drift_reports``."""
    return Check(row["as_of"], row["champion_version"], loudness(
        {reason: row[name] for reason, name in ALARMS.items()}, row["share"], row["metrics"] or {}))


def _runs(connection: Connection, line: str, asked: Iterable[RetrainRequest], as_of: datetime) -> tuple[Run, ...]:
    """Requests of the last month and later that were, or will be, worked on: one that nobody took cost nothing."""
    costs = ledger.costs_of_requests(connection, line)
    return tuple(Run(item.as_of, costs[item.id].cpu_seconds if item.id in costs else 0.0) for item in asked
                 if item.as_of > as_of - MONTH and item.id is not None
                 and (item.id in costs or item.state is not RequestState.FAILED))


def _changed(connection: Connection, line: Line) -> tuple[str, ...]:
    """In what the champion differs from what a training would be made by now; nothing where a later training was made
    by it already, or the champion's recipe is not known."""
    present = ledger.champion(connection, line.name)
    known = ledger.recipes(connection, line.name) if present is not None else {}
    if present is None or present.version not in known:
        return ()
    from pipelines.training import lineage  # its import takes a second

    now = lineage.recipe(line)
    if known[max(known)] == now:
        return ()
    was = known[present.version]
    return tuple(part for part in now if was.get(part) != now[part])
