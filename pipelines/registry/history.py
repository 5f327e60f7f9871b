"""The history of a line as people read it: what changed, who did it, why, and the evidence behind it."""

from __future__ import annotations

import math
from typing import Any

from pipelines.contracts.line import Line
from pipelines.contracts.records import Candidate, Outcome, Purpose, RecordedLook, Verdict
from pipelines.store import Warehouse, ledger

GATE = "gate"


def rows(warehouse: Warehouse, line: Line) -> list[dict[str, Any]]:
    """Promotions, rollbacks, verdicts that promoted nothing, and looks at live bars, the oldest first.

    Each row: ``when`` (wall clock) and ``effective`` (data time), UTC; ``action`` promote, rollback, reject or
    inconclusive, or waits (the gate says promote, nobody has agreed or it has not happened yet), or for a look
    ``shadow 2/4`` (a challenger against the champion) and ``watch 2/4`` (a predecessor against a fresh champion);
    ``version`` and the one it ``replaced``; ``who`` and ``why``; of the verdict: ``opponent``, ``effect`` in nats of
    log loss with ``low``, ``high`` and ``p``, ``log_loss``, ``auc`` and ``net_return`` of the candidate; the MLflow
    ``run``; and what its training cost: ``cpu_seconds`` and ``wall_seconds``, None where that was not measured.
    """
    with warehouse.begin() as connection:
        history = ledger.history(connection, line.name)
        said = ledger.verdicts(connection, line.name).drop_duplicates("version", keep="last")
        judged = {int(version): (ledger.candidate(connection, line.name, int(version)),
                                 ledger.last_word(connection, line.name, int(version)),
                                 ledger.latest_verdict(connection, line.name, int(version)), at.to_pydatetime())
                  for version, at in zip(said["version"], said["recorded_at"], strict=True)}
        others = {row.version: ledger.candidate(connection, line.name, row.version) for row in history
                  if row.version not in judged}
        looked = ledger.looks(connection, line.name)
        costs = ledger.costs_of_runs(connection, line.name)
    found = []
    for row in history:
        candidate, verdict, *_ = judged.get(row.version, (others.get(row.version), None))
        found.append(_row(row.recorded_at, row.action.value, row.version, row.previous, row.actor, row.reason,
                          row.effective_at, candidate, verdict))
    promoted = {row.version for row in history}
    went_on = {item.version for item in looked if item.purpose is Purpose.SHADOW}
    for version, (candidate, _, verdict, at) in judged.items():
        # A verdict that was followed by a promotion stands in its row, unless the shadow came in between.
        if verdict is not None and (version not in promoted or version in went_on):
            action = "waits" if verdict.outcome is Outcome.PROMOTE else verdict.outcome.value
            found.append(_row(at, action, version, None, GATE, " ".join(verdict.reasons), None, candidate, verdict))
    found += [_looked(item) for item in looked]
    for entry in found:
        cost = costs.get(entry["run"])
        entry["cpu_seconds"] = cost.cpu_seconds if cost else None
        entry["wall_seconds"] = cost.wall_seconds if cost else None
    return sorted(found, key=lambda row: row["when"])


def _looked(item: RecordedLook) -> dict[str, Any]:
    look = item.look
    word = "shadow" if item.purpose is Purpose.SHADOW else "watch"
    row = _row(item.recorded_at, f"{word} {look.number}/{look.of}", item.version, None, GATE, " ".join(look.reasons),
               item.as_of, None, None)
    numbers = {"effect": look.effect, "low": look.low, "high": look.high, "p": look.p_value}
    return row | {"opponent": "champion"} | {
        name: None if math.isnan(value) else float(value) for name, value in numbers.items()}


def _row(when: Any, action: str, version: int, replaced: int | None, who: str, why: str, effective: Any,
         candidate: Candidate | None, verdict: Verdict | None) -> dict[str, Any]:
    metrics = verdict.metrics.get("candidate", {}) if verdict else {}

    def number(value: float | None) -> float | None:
        return None if value is None or math.isnan(value) else float(value)

    return {"when": when, "action": action, "version": version, "replaced": replaced, "who": who, "why": why,
            "effective": effective, "opponent": verdict.opponent if verdict else None,
            "effect": number(verdict.effect) if verdict else None,
            "low": number(verdict.effect_low) if verdict else None,
            "high": number(verdict.effect_high) if verdict else None,
            "p": number(verdict.p_value) if verdict else None,
            "log_loss": number(metrics.get("log_loss")), "auc": number(metrics.get("auc")),
            "net_return": number(metrics.get("net_return")), "run": candidate.run_id if candidate else None}
