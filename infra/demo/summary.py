"""What the demo ends with: a table and the same as JSON. Every figure is read back from the ledger and MLflow."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.config import Settings
from pipelines.contracts.records import Verdict
from pipelines.store import Warehouse, ledger

COUNTED = ("bars", "documents", "indicators", "sentiment_scores", "predictions", "outcomes", "quarantine",
           "drift_reports", "retrain_requests", "verdicts", "promotions")


def collect(warehouse: Warehouse, settings: Settings, lines: list[str]) -> dict[str, Any]:
    """The summary as plain data: verdicts with their runs, champions, promotions, alarms and row counts."""
    with warehouse.begin() as connection:
        candidates = [row._mapping for row in connection.exec_driver_sql(
            "SELECT line, version, run_id, family, as_of, trials, request_id FROM ai_trading.candidates "
            "ORDER BY as_of, line, version")]
        verdicts = {(row["line"], row["version"]): ledger.latest_verdict(connection, row["line"], row["version"])
                    for row in candidates}
        requests = {item.id: item for item in ledger.requests(connection)}
        champions = {name: ledger.champion(connection, name) for name in lines}
        history = {name: ledger.history(connection, name) for name in lines}
        counts = {table: connection.exec_driver_sql(f"SELECT count(*) FROM ai_trading.{table}").scalar_one()
                  for table in COUNTED}
        alarms = [dict(row._mapping) for row in connection.exec_driver_sql(
            "SELECT line, as_of, share, data_drift, prediction_drift, performance_drift FROM ai_trading.drift_reports "
            "WHERE data_drift OR prediction_drift OR performance_drift ORDER BY as_of, line")]
    runs = _runs(settings, [row["run_id"] for row in candidates])
    return {
        "models": [{
            "what": f"{row['line']} v{row['version']}", "line": row["line"], "version": row["version"],
            "as_of": row["as_of"].isoformat(), "family": row["family"], "trials": row["trials"],
            "asked_for_by": requests[row["request_id"]].reason.value if row["request_id"] in requests else None,
            **_judgement(verdicts[row["line"], row["version"]]),
            **runs.get(row["run_id"], {}),
        } for row in candidates],
        "champions": {name: row.version if row else None for name, row in champions.items()},
        "promotions": [{
            "line": item.line, "action": item.action.value, "version": item.version, "previous": item.previous,
            "effective_at": item.effective_at.isoformat(), "actor": item.actor, "reason": item.reason,
        } for name in lines for item in history[name]],
        "alarms": [{**row, "as_of": row["as_of"].isoformat()} for row in alarms],
        "rows": counts,
    }


def _judgement(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {"verdict": None, "why": ["not judged yet"], "effect": None}
    metrics = verdict.metrics.get("candidate", {})
    return {
        "verdict": verdict.outcome.value, "why": list(verdict.reasons), "opponent": verdict.opponent,
        "effect": {"unit": "nats of log loss saved per prediction", "value": _finite(verdict.effect),
                   "low": _finite(verdict.effect_low), "high": _finite(verdict.effect_high),
                   "p_value": _finite(verdict.p_value)},
        "auc": _finite(metrics.get("auc", math.nan)), "rows": verdict.rows,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _runs(settings: Settings, run_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Status and page of each MLflow run, asked over its REST API."""
    url = settings.require("mlflow_url")
    found = {}
    with httpx.Client(base_url=url, auth=(settings.mlflow_username, settings.require("mlflow_password"))) as http:
        for run_id in run_ids:
            answer = http.get("/api/2.0/mlflow/runs/get", params={"run_id": run_id}).raise_for_status()
            info = answer.json()["run"]["info"]
            found[run_id] = {"run_id": run_id, "run_status": info["status"],
                             "run": f"{url}/#/experiments/{info['experiment_id']}/runs/{run_id}"}
    return found


def write(summary: dict[str, Any], path: Path) -> None:
    """Write the JSON beside its final place and rename it, so that a reader never sees half a file."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(summary, indent=2, ensure_ascii=False), encoding="utf-8")
    os.replace(partial, path)


def interval(row: dict[str, Any]) -> str:
    """The effect of one verdict with its interval; a dash where there was too little evidence to compute one."""
    effect = row["effect"]
    if effect is None or None in (effect["value"], effect["low"], effect["high"]):
        return "-"
    return f"{effect['value']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}]"


def render(summary: dict[str, Any], console: Console) -> None:
    """The table that the demo ends with, and below it the reasons and pages, which no terminal is wide enough for."""
    table = Table(title="What happened", title_justify="left", header_style="bold", box=box.SIMPLE)
    for column in ("what", "verdict", "nats saved [95 %]", "p", "AUC"):
        table.add_column(column, no_wrap=True)
    for row in summary["models"]:
        effect = row["effect"] or {}
        table.add_row(row["what"], row["verdict"] or "-", interval(row), _figure(effect.get("p_value"), 4),
                      _figure(row.get("auc"), 3))
    console.print(table)
    for row in summary["models"]:
        _print(console, f"{row['what']}: {row['verdict'] or 'not judged'} (asked for by {row['asked_for_by']} as of "
                        f"{row['as_of'][:10]}; {row['family']}, the best of {row['trials']} trials)")
        for reason in row["why"]:
            _print(console, f"  {reason}")
        if "run" in row:
            _print(console, f"  {row['run']}\n")
    console.print("champions", style="bold")
    for item in summary["promotions"]:
        _print(console, f"  {item['effective_at'][:10]}  {item['line']}: {item['action']} v{item['version']} by "
                        f"{_who(item['actor'])}")
    rows = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in summary["rows"].items())
    _print(console, f"\nin the warehouse: {rows}")


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _who(actor: str) -> str:
    """An Airflow run by its DAG alone: its full name is in the JSON and in `tidemark history`."""
    return actor.split("/")[0]
