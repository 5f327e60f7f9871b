"""What a report says, in sentences: the same for the command line, the page and a task's log. Pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from pipelines.contracts.records import ColumnDrift, DriftReport

#: Columns named in a sentence.
NAMED = 3
#: From this share of the model's importance on a drift of columns is told as one that concerns it.
CONCERNS = 0.2
#: What the columns do together: words, the figure, its limit (empty: 1).
TOGETHER = (("their levels moved together", "levels", "levels_limit"),
            ("their spreads changed together", "spreads", "spreads_limit"),
            ("the correlation of a pair changed", "pair", ""), ("many correlations changed", "pairs", "pairs_limit"))
NAMES = {"data": "data drift", "prediction": "prediction drift", "performance": "performance drift",
         "label": "label drift"}


def alarms(report: DriftReport) -> list[str]:
    """The kinds that alarm, the gravest first; label drift is told with them, though it asks for nothing by itself."""
    on = {"performance": report.performance_drift, "data": report.data_drift, "prediction": report.prediction_drift,
          "label": bool(report.metrics.get("label_drift"))}
    return [NAMES[kind] for kind, alarm in on.items() if alarm]


def verdict(report: DriftReport) -> str:
    """What moved and since when, in one sentence."""
    head = f"{report.line}, as of {moment(report.as_of)}"
    if report.champion_version is None:
        return f"{head}: there is no champion to watch."
    head = f"{head}, champion v{report.champion_version}"
    found = alarms(report)
    if not found:
        return f"{head}: no alarm. {_quiet(report)}"
    facts = [text for name, text in (
        (NAMES["performance"], _performance(report)), (NAMES["data"], _data(report)),
        (NAMES["prediction"], _predictions(report)), (NAMES["label"], _labels(report))) if name in found]
    return f"{head}: {' and '.join(found).upper()}. {' '.join(facts)}"


def meaning(report: DriftReport) -> str:
    """What it may mean for the model, and what to look at."""
    data, performance = report.data_drift or report.over, report.performance_drift
    promised, fell = value(report, "loss_reference"), value(report, "loss_current") - value(report, "loss_reference")
    if performance and not data:
        return ("The features look as they did in training, so what follows from them has changed: the edge may be "
                "gone. Look at the losses by symbol and hour, and at what the market did since then.")
    if performance:
        return ("The features lie elsewhere and the losses have risen: the champion sees what it was not trained on. "
                "A training on newer days is the remedy to try first.")
    if report.data_drift:
        weight = "" if report.impact is None else f" {report.impact:.0%} of what the model looks at has moved;"
        seen = ("the losses do not show it (yet)" if math.isfinite(fell) and promised else
                "no outcome has shown yet whether it harms")
        grave = "" if report.impact is None or report.impact >= CONCERNS else " Little of it concerns this model."
        return f"The features lie elsewhere than in training:{weight} {seen}.{grave}"
    if report.prediction_drift:
        return ("The model says other things than on its evidence, though few columns moved by themselves: look at "
                "how columns move together, and wait for the outcomes.")
    if report.metrics.get("label_drift"):
        return "Outcomes come up at another rate than in training; thresholds on P may no longer mean what they did."
    if report.over:
        return (f"This check is beyond a limit, {report.streak} in a row so far; an alarm needs the line's "
                "drift.persistence.")
    return "Nothing has to be done."


def performance(report: DriftReport) -> list[str]:
    """Realised and estimated scores, a sentence each."""
    told = []
    if report.metrics.get("matured"):
        told.append(f"Realised over {value(report, 'matured'):,.0f} rows: log loss {number(report, 'log_loss')} nats "
                    f"(promised {number(report, 'promised_log_loss')}), accuracy {percent(report, 'accuracy')}, "
                    f"AUC {number(report, 'auc', 3)}.")
        off, error = value(report, "estimate_off_log_loss"), value(report, "estimate_error")
        if math.isfinite(off):
            told.append(f"Its own probabilities expected {number(report, 'log_loss', minus=off)} on these rows: the "
                        f"estimate was off by {off:+.4f}, {_size(off, error)} (out of sample, before it took over, by "
                        f"{value(report, 'promised_off_log_loss'):+.4f}).")
    if math.isfinite(value(report, "estimated_log_loss")):
        told.append(f"Estimated without labels, with {value(report, 'pending'):,.0f} rows still open: log loss "
                    f"{number(report, 'estimated_log_loss')}, accuracy {percent(report, 'estimated_accuracy')}, AUC "
                    f"{number(report, 'estimated_auc', 3)}. It cannot see an edge that dies while inputs stay.")
    return told


def classifier(report: DriftReport) -> str:
    """What a classifier tells the window by, in one or two sentences; empty where it was not asked."""
    windows = value(report, "classifier_windows")
    if math.isnan(windows):
        return ""
    if not windows:
        return "No classifier could be asked: the reference, or the window, holds too few days."
    told = (f"A classifier tells the last {value(report, 'classifier_days'):.0f} days from the reference with an AUC "
            f"of {number(report, 'classifier_auc', 2)}; windows of the reference itself with at most "
            f"{number(report, 'classifier_highest', 2)} ({windows:.0f} windows; limit "
            f"{number(report, 'classifier_limit', 2)}).")
    return f"{told} Most by: {', '.join(report.telling)}." if report.telling else f"{told} That is not unusual."


def worst(report: DriftReport, most: int) -> list[ColumnDrift]:
    """The columns furthest beyond their limits, or nearest to them."""
    return sorted(report.columns, key=excess, reverse=True)[:most]


def excess(column: ColumnDrift) -> float:
    """Distance in units of its limit: above 1 it has drifted."""
    return column.score / max(column.threshold, 1e-12)


def strength(report: DriftReport, kind: str) -> float:
    """The sequential test's evidence as a share of what raises the alarm; NaN while there is none."""
    evidence, limit = value(report, f"{kind}_evidence"), value(report, f"{kind}_limit")
    return max(0.0, evidence / limit) if math.isfinite(evidence) and limit > 0 else math.nan


def since(report: DriftReport, kind: str) -> datetime | None:
    """When a change most likely began (UTC), whether it alarms or not; None while nothing is compared."""
    days = value(report, f"{kind}_days_ago")
    return report.as_of - timedelta(days=days) if math.isfinite(days) else None


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def value(report: DriftReport, name: str) -> float:
    """A metric; NaN where there is none."""
    found = report.metrics.get(name)
    return math.nan if found is None else float(found)


def number(report: DriftReport, name: str, digits: int = 4, minus: float = 0.0) -> str:
    found = value(report, name) - minus
    return f"{found:.{digits}f}" if math.isfinite(found) else "unknown"


def percent(report: DriftReport, name: str) -> str:
    found = value(report, name)
    return f"{found:.1%}" if math.isfinite(found) else "unknown"


def _begin(report: DriftReport, kind: str) -> str:
    at = since(report, kind)
    return f"since about {at:%Y-%m-%d}" if at else "since it is in place"


def _performance(report: DriftReport) -> str:
    return (f"The champion loses {number(report, 'loss_current')} nats a prediction over the window instead of the "
            f"promised {number(report, 'loss_reference')}, worse {_begin(report, 'performance')}.")


def _data(report: DriftReport) -> str:
    told = []
    count = sum(column.drifted for column in report.columns)
    if count:
        named = ", ".join(column.column for column in worst(report, NAMED) if column.drifted)
        begin = f" since {report.since[:10]}" if report.since else ""
        told.append(f"{count} of {len(report.columns)} columns lie beyond their limits{begin}, {named} the furthest")
    told += [what for what, now, limit in TOGETHER if value(report, now) > (value(report, limit) if limit else 1.0)]
    if report.pair is not None:
        most = f" ({report.pair[0]} and {report.pair[1]} the most)"
        told[-1:] = [(told[-1] if told else "correlations changed") + most]
    text = "; ".join(told) or "the data lie beyond a limit"
    return f"{text[0].upper()}{text[1:]}, in {max(report.streak, 1)} checks in a row."


def _predictions(report: DriftReport) -> str:
    return (f"P(y = 1) is {number(report, 'prediction_level', 3)} on average (was "
            f"{number(report, 'prediction_level_reference', 3)}), {number(report, 'prediction_confidence', 3)} away "
            f"from one half (was {number(report, 'prediction_confidence_reference', 3)}), "
            f"{_begin(report, 'prediction')}.")


def _labels(report: DriftReport) -> str:
    return (f"y = 1 in {percent(report, 'label_rate')} of the matured rows, in training in "
            f"{percent(report, 'label_rate_reference')}, {_begin(report, 'label')}.")


def _quiet(report: DriftReport) -> str:
    drifted = sum(column.drifted for column in report.columns)
    told = (f"{drifted} of {len(report.columns)} columns are beyond their limits" if report.columns
            else "No column could be compared (too short a reference, or no current rows)")
    loss = value(report, "loss_current")
    return f"{told}; the loss is {loss:.4f}, promised were {number(report, 'loss_reference')}." if math.isfinite(
        loss) else f"{told}; no outcome is known yet."


def _size(off: float, error: float) -> str:
    return "as exact as it can be" if not error > 0 else f"{abs(off) / error:.1f} standard errors"
