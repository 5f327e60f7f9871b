"""Rows of the ledger and of monitoring as notices: pure functions, one for each table.

A row may say more than is known here, or less: other versions write other columns and keys. Saying the same row twice
gives the same keys, and a key is told once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipelines.contracts.line import Line
from pipelines.contracts.notices import Notice, Severity
from pipelines.contracts.records import Outcome, Purpose, Step, Verdict
from pipelines.contracts.retraining import Cost
from pipelines.notify.wording import House, finite, instant, number, several, version
from pipelines.registry.standing import enters_shadow

Row = Mapping[str, Any]
#: Column of a drift report (or key of its metrics) → the kind of its notices, how it is called, how bad it is while it
#: rings.
ALARMS = {"performance_drift": ("performance", "performance alarm", Severity.CRITICAL),
          "data_drift": ("drift", "data drift alarm", Severity.WARNING),
          "prediction_drift": ("drift", "prediction drift alarm", Severity.WARNING),
          "label_drift": ("drift", "label drift", Severity.INFO)}
MOST_COLUMNS = 5
#: Who acts when no person does (see ``registry.shadow``).
GATE = "gate"


def of_report(row: Row, house: House) -> list[Notice]:
    """The alarms that begin or end with a drift report. ``was_<alarm>``: what the report before it said (None: there
    was none)."""
    found = []
    for name, (kind, called, severity) in ALARMS.items():
        now, before = rings(row, name), bool(row.get(f"was_{name}"))
        if now == before:
            continue
        line, turn = row["line"], "begins" if now else "ends"
        watched = f"As of {instant(row['as_of'])}, champion {version(row.get('champion_version'))}."
        said = _performance(row) if name == "performance_drift" else _columns(row) if name == "data_drift" else []
        since = _since(row, name) if now else None
        found.append(Notice(
            kind, line, severity if now else Severity.INFO, f"{line}: {called}" + ("" if now else " is over"),
            (watched, *([f"Since {since}."] if since else []), *said),
            f"{name}:{line}:{turn}:{row['as_of'].isoformat()}", row["as_of"], house.dag(f"monitor_{line}")))
    return found


def rings(row: Row, alarm: str) -> bool:
    """Whether a report raises an alarm: it is a column of its own, or stands among the metrics."""
    return bool(row[alarm]) if row.get(alarm) is not None else bool((row.get("metrics") or {}).get(alarm))


def _since(row: Row, alarm: str) -> str | None:
    """The day of the change, where the check names one."""
    metrics = row.get("metrics") or {}
    if alarm == "data_drift":
        return str(metrics["since"])[:10] if metrics.get("since") else None
    days = finite(metrics.get(f"{alarm.removesuffix('_drift')}_days_ago"))
    return None if days is None else f"{row['as_of'] - timedelta(days=days):%Y-%m-%d}"


def _performance(row: Row) -> list[str]:
    metrics = row.get("metrics") or {}
    matured, promised = finite(metrics.get("matured")), finite(metrics.get("loss_reference"))
    loss = (f"Log loss {number(metrics.get('loss_current'), 4)} in the last days"
            + (f", its evidence promised {number(promised, 4)}" if promised is not None else "")
            + (f" ({several(int(matured), 'matured prediction')})." if matured else "."))
    return [loss, f"AUC {number(metrics.get('auc'))}, accuracy {number(metrics.get('accuracy'))}."]


def _columns(row: Row) -> list[str]:
    drifted, share = drifted_columns(row), finite(row.get("share"))
    impact = finite((row.get("metrics") or {}).get("impact"))
    return [*([f"{number(100 * share, 0)}% of the columns have drifted"
               + (f", {number(100 * impact, 0)}% of what the model looks at." if impact is not None else ".")]
              if share is not None else []),
            *(f"  {_column(item)}" for item in drifted[:MOST_COLUMNS]),
            *([f"  and {len(drifted) - MOST_COLUMNS} more"] if len(drifted) > MOST_COLUMNS else [])]


def _column(item: Row) -> str:
    effect = finite(item.get("effect"))
    moved = f", mean moved by {effect:+.2f} standard deviations" if effect is not None else ""
    return (f"{item.get('column')}: {item.get('method', 'distance')} {number(item.get('score'))}, limit "
            f"{number(item.get('threshold'))}{moved}")


def drifted_columns(row: Row) -> list[dict[str, Any]]:
    """The columns of a report that have drifted, those farthest beyond their limit first."""
    def beyond(item: Mapping[str, Any]) -> float:
        return (finite(item.get("score")) or 0.0) / max(finite(item.get("threshold")) or 0.0, 1e-12)

    return sorted((item for item in row.get("columns") or [] if item.get("drifted")), key=beyond, reverse=True)


def of_request(row: Row, house: House) -> list[Notice]:
    """A retrain request: that it was made, and what became of it. ``version``, ``family``: of its candidate."""
    line, key, evidence = row["line"], f"request:{row['id']}", row.get("evidence") or {}
    page, reason = house.dag(f"train_{line}"), str(row["reason"])
    because = [f"Also: {', '.join(evidence['triggers'][1:])}."] if len(evidence.get("triggers") or ()) > 1 else []
    if words := evidence.get("words"):
        because.append(f"“{words}”")
    if drifted := evidence.get("drifted"):
        because.append(f"Drifted most: {', '.join(map(str, drifted[:MOST_COLUMNS]))}.")
    found = [Notice("retrain", line, Severity.INFO, f"{line}: retraining requested ({reason})",
                    (f"Request {row['id']} by {row['requested_by']}, as of {instant(row['as_of'])}.", *because),
                    f"{key}:asked", row["as_of"], page)]
    if row["state"] == "served":
        trained = f"Trained {version(row.get('version'))} ({row.get('family')})." if row.get("version") else "Trained."
        found.append(Notice("retrain", line, Severity.INFO, f"{line}: retrained ({reason})",
                            (f"Request {row['id']} as of {instant(row['as_of'])} is served. {trained} The gate decides "
                             "what becomes of it.", *cost(row)), f"{key}:served", row["as_of"], page))
    elif row["state"] not in ("pending", "claimed"):
        became = "expired" if str(row.get("detail")).startswith("expired") else row["state"]
        found.append(Notice("retrain", line, Severity.WARNING, f"{line}: retraining {became} ({reason})",
                            (f"Request {row['id']} as of {instant(row['as_of'])} is closed as {row['state']}; the "
                             "champion stays.", *([f"Cause: {row['detail']}"] if row.get("detail") else []),
                             f"Ask again when it is mended: tidemark train {line} --as-of T."),
                            f"{key}:{row['state']}", row["as_of"], page))
    return found


def cost(row: Row) -> list[str]:
    """What a training has cost, as far as the row says: wall clock, CPU, trials."""
    spent: Cost | None = row.get("cost")
    began, ended = row.get("claimed_at"), row.get("finished_at")
    wall = (ended - began).total_seconds() if began is not None and ended is not None and ended > began else None
    trials = (spent.trials if spent is not None else 0) or row.get("trials")
    parts = [f"{wall / 60:.0f} min" if wall is not None and wall >= 90 else f"{wall:.0f} s" if wall is not None else "",
             f"{spent.cpu_seconds / 3600:.2f} CPU hours" if spent is not None else "",
             several(int(trials), "trial") if trials else ""]
    return [f"Cost: {', '.join(filter(None, parts))}."] if any(parts) else []


def of_verdict(row: Row, house: House) -> list[Notice]:
    """What the gate said about a candidate. A verdict that promotes at once is told by the promotion itself; one that
    waits for people asks them (``answered``: whether they have spoken)."""
    line, number_, champion = row["line"], row["version"], row.get("champion_version")
    page, key, reasons = house.dag(f"promote_{line}"), f"verdict:{row['id']}", tuple(row["reasons"])
    shadow = _goes_into_shadow(row, house.lines.get(line))
    if row["outcome"] == Outcome.REJECT:
        kept = f"champion v{champion} kept" if champion else "still no champion"
        title = f"{line}: v{number_} is not better, {kept}"
    elif shadow:
        title = f"{line}: v{number_} goes into shadow beside champion {version(champion)}"
    elif row["outcome"] == Outcome.INCONCLUSIVE:
        title = f"{line}: the evidence on v{number_} is inconclusive, the champion stays"
    elif house.asks_people(line) and row.get("answered") is None:
        return [_approval(line, number_, reasons, key, row["as_of"], page, "Answer in Airflow, under Required actions "
                          f"of promote_{line} (no answer in three days is a no), or:")]
    else:
        return []
    return [Notice("verdict", line, Severity.INFO, title, reasons, key, row["as_of"], page)]


def _goes_into_shadow(row: Row, line: Line | None) -> bool:
    if line is None or row.get("champion_version") is None:
        return False
    nan = math.nan
    return enters_shadow(Verdict(Outcome(row["outcome"]), (), "", nan, nan, nan, nan, nan, 0, 0,
                                 champion_version=row["champion_version"]), line)


def of_look(row: Row, house: House) -> list[Notice]:
    """The look that ended a shadow. No Airflow task asks people after it, so the notice has to."""
    line, number_ = row["line"], row["version"]
    if row["purpose"] != Purpose.SHADOW or row["decision"] not in (Step.PROMOTE, Step.REJECT):
        return []
    key, page, reasons = f"look:{row['id']}", house.dag(f"monitor_{line}"), tuple(row["reasons"])
    if row["decision"] == Step.REJECT:
        return [Notice("verdict", line, Severity.INFO, f"{line}: challenger v{number_} is given up, champion "
                       f"v{row['champion_version']} kept", reasons, key, row["as_of"], page)]
    if house.asks_people(line) and row.get("answered") is None:
        return [_approval(line, number_, reasons, key, row["as_of"], page,
                          "It has passed its shadow, and nothing in Airflow asks for this. Answer with:")]
    return []


def _approval(line: str, number_: int, reasons: tuple[str, ...], key: str, at: Any, page: str, how: str) -> Notice:
    return Notice("approval", line, Severity.WARNING, f"{line}: v{number_} waits for your approval",
                  (*reasons, "", how, f"  tidemark approve {line} {number_} --reason \"...\"",
                   f"  tidemark deny {line} {number_} --reason \"...\""), f"{key}:approval", at, page)


def of_approval(row: Row, house: House) -> list[Notice]:
    """What a person decided."""
    word = "approved" if row["approved"] else "denied"
    return [Notice("approval", row["line"], Severity.INFO, f"{row['line']}: v{row['version']} was {word}",
                   (f"By {row['actor']}: {row['reason']}",), f"approval:{row['id']}", row["decided_at"],
                   house.dag(f"promote_{row['line']}"))]


def of_promotion(row: Row, house: House) -> list[Notice]:
    """Another champion."""
    line, present, previous = row["line"], row["version"], row.get("previous")
    back = row["action"] == "rollback"
    title = f"{line}: rolled back to v{present}" if back else f"{line}: v{present} is champion"
    severity = Severity.INFO if not back else Severity.CRITICAL if row["actor"] == GATE else Severity.WARNING
    after = f", after v{previous}" if previous else ", the first one"
    return [Notice("champion", line, severity, f"{title}{after}",
                   (f"Scores from {instant(row['effective_at'])} on. By {row['actor']}.", str(row["reason"]),
                    *([f"Insist on the other one: tidemark rollback {line} --to {previous} --reason \"...\""]
                      if back else [])),
                   f"promotion:{row['id']}", row["effective_at"], house.dag(f"promote_{line}"))]
