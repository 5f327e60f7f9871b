"""The page of a check: our verdict with its limits first, Evidently's report of the same columns behind it. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pipelines.contracts.records import ColumnDrift, DriftReport
from pipelines.monitoring import words
from pipelines.monitoring.evidently_report import EvidentlyResult

THEIRS = ("It was given our methods and limits, in its terms. A column watched by its moments (ours: how many standard "
          "errors its mean or spread has moved) is shown with Wasserstein's distance, in standard deviations of the "
          "reference; its limit is the shift that just reaches ours.")
#: Columns in the table; the rest is in the warehouse.
ROWS = 30
STYLE = """<style>
.tidemark {font: 14px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 24px auto; padding: 0 16px; color: #222}
.tidemark table {border-collapse: collapse; margin: 8px 0 20px; width: 100%}
.tidemark th, .tidemark td {border-bottom: 1px solid #ddd; padding: 3px 10px; text-align: right; white-space: nowrap}
.tidemark th:first-child, .tidemark td:first-child {text-align: left}
.tidemark .kinds td, .tidemark .kinds th {text-align: left}
.tidemark .on {color: #b3402a; font-weight: 600} .tidemark .off {color: #3f7d4f}
.tidemark img {max-width: 100%; margin: 6px 0} .tidemark .lead {font-size: 16px}
</style>"""


def compose(report: DriftReport, seen: EvidentlyResult | None, pictures: Sequence[Path], share: float) -> str:
    """One self-contained HTML page.

    Args:
        seen: Evidently's answer with its page; None when it had no column to look at.
        pictures: PNG files, shown between both parts.
        share: of columns that it takes, as Evidently was told.
    """
    ours = (f"{STYLE}<div class='tidemark'><h1>Drift of {escape(report.line)}</h1>"
            f"<p class='lead'>{escape(words.verdict(report))}</p><p>{escape(words.meaning(report))}</p>"
            f"{_kinds(report)}{_classifier(report)}{_columns(report, seen, share)}{_rows(report)}"
            + "".join(f"<p>{escape(told)}</p>" for told in words.performance(report))
            + "".join(_picture(path) for path in pictures)
            + (f"<h2>The same columns in Evidently's report</h2><p>{THEIRS}</p></div>" if seen else "</div>"))
    if seen is None or seen.html is None:
        return f"<!DOCTYPE html><html lang='en'><head><meta charset='UTF-8'></head><body>{ours}</body></html>"
    head, body, tail = seen.html.partition("<body>")
    return f"{head}{body}{ours}{tail}" if body else ours + seen.html


def compared(report: DriftReport, summary: Mapping[str, Any] | None) -> dict[str, tuple[float, float, bool]]:
    """What Evidently says of single columns: its value, the limit in its terms, and whether it calls it drift."""
    found = {}
    by_name = {column.column: column for column in report.columns}
    for metric in (summary or {}).get("metrics", []):
        config = metric.get("config", {})
        if "column" in config and isinstance(metric.get("value"), float) and config["column"] in by_name:
            value, limit = float(metric["value"]), float(config["threshold"])
            found[config["column"]] = value, limit, value <= limit if config["method"] == "ks" else value >= limit
    return found


def _kinds(report: DriftReport) -> str:
    on = words.alarms(report)
    drifted = sum(column.drifted for column in report.columns)
    rows = [("data drift", f"{drifted} of {len(report.columns)} columns ({report.share:.0%}), {report.streak} checks "
             "in a row", report.since[:10] if report.since else "")]
    for kind, current in (("performance", "loss_current"), ("prediction", "prediction_level"), ("label", "label_rate")):
        begun, told = words.since(report, kind), words.strength(report, kind)
        before = {"performance": "loss_reference"}.get(kind, f"{current}_reference")
        evidence = "too little" if math.isnan(told) else f"{told:.0%} of the limit"
        rows.append((words.NAMES[kind], f"{words.number(report, current)} (was {words.number(report, before)}); "
                     f"evidence {evidence}", f"{begun:%Y-%m-%d}" if begun and words.NAMES[kind] in on else ""))
    cells = "".join(f"<tr><td>{name}</td><td>{_state(name in on, 'ALARM', 'quiet')}</td><td>{escape(what)}</td>"
                    f"<td>{begun}</td></tr>" for name, what, begun in rows)
    return ("<h2>Verdict</h2><table class='kinds'><tr><th>kind</th><th>verdict</th><th>found</th>"
            f"<th>most likely since</th></tr>{cells}</table>")


def _classifier(report: DriftReport) -> str:
    told = words.classifier(report)
    return f"<h2>All columns at once</h2><p>{escape(told)}</p>" if told else ""


def _columns(report: DriftReport, seen: EvidentlyResult | None, share: float) -> str:
    if not report.columns:
        return ""
    theirs = compared(report, seen.summary if seen else None)
    rows = "".join(_column(column, theirs.get(column.column)) for column in words.worst(report, ROWS))
    total = _total(seen.summary if seen else None, share)
    return ("<h2>Columns: our verdict beside Evidently's</h2>" + total + "<table><tr><th>column</th><th>method</th>"
            "<th>ours</th><th>our limit</th><th>verdict</th><th>Evidently</th><th>its limit</th><th>it says</th>"
            "<th>mean moved (sd)</th><th>since</th><th>importance</th></tr>" + rows + "</table>")


def _total(summary: Mapping[str, Any] | None, share: float) -> str:
    for metric in (summary or {}).get("metrics", []):
        if isinstance(metric.get("value"), dict) and "count" in metric["value"]:
            count, part = metric["value"]["count"], metric["value"]["share"]
            return (f"<p>Of the {len(metric['config']['columns'])} columns furthest out, Evidently calls {count:.0f} "
                    f"drifted ({part:.0%}; the line's share is {share:.0%}).</p>")
    return ""


def _column(column: ColumnDrift, theirs: tuple[float, float, bool] | None) -> str:
    other = (f"<td>{theirs[0]:.3g}</td><td>{theirs[1]:.3g}</td><td>{_state(theirs[2], 'drift', 'none')}</td>"
             if theirs else "<td></td><td></td><td></td>")
    return (f"<tr><td>{escape(column.column)}</td><td>{column.method}</td><td>{column.score:.3g}</td>"
            f"<td>{column.threshold:.3g}</td><td>{_state(column.drifted, 'drift', 'none')}</td>{other}"
            f"<td>{'' if column.effect is None else f'{column.effect:+.2f}'}</td>"
            f"<td>{column.since[:10] if column.since else ''}</td>"
            f"<td>{'' if column.importance is None else f'{column.importance:.1%}'}</td></tr>")


def _rows(report: DriftReport) -> str:
    if not report.unusual:
        return ""
    lines = "".join(
        f"<tr><td>{escape(row.event_time[:16].replace('T', ' '))}</td><td>{escape(row.symbol)}</td><td>"
        + escape(", ".join(f"{name} {size:+.1f} sd" for name, size in row.columns.items())) + "</td></tr>"
        for row in report.unusual)
    return f"<h2>Rows to look at</h2><table><tr><th>time (UTC)</th><th>symbol</th><th>columns</th></tr>{lines}</table>"


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<img alt='{escape(path.stem)}' src='data:image/png;base64,{data}'>"


def _state(on: bool, yes: str, no: str) -> str:
    return f"<span class='on'>{yes}</span>" if on else f"<span class='off'>{no}</span>"
