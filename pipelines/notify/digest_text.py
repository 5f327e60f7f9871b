"""The digest in words: plain text and HTML for mail, a few lines for chats."""

from __future__ import annotations

from html import escape

from pipelines.contracts.notices import Notice, Severity
from pipelines.notify.digest import Change, Digest, Judgement, LineDigest, Retraining, Scores
from pipelines.notify.wording import instant, number, several, version

#: So many troubles are named.
MOST_TROUBLES = 10
_CELL = 'style="padding:4px 12px 4px 0;border-bottom:1px solid #e1e6ec;text-align:left;vertical-align:top"'


def notice(digest: Digest, key: str) -> Notice:
    """The digest as a notice: the whole in mail, the short form where there is little room."""
    return Notice("digest", None, Severity.INFO, f"The day to {instant(digest.as_of)}", tuple(text(digest)), key,
                  digest.as_of, brief=tuple(brief(digest)), html=html(digest))


def text(digest: Digest) -> list[str]:
    """Everything, as lines of plain text."""
    found: list[str] = []
    for line in digest.lines:
        found += [f"{line.line}: {line.title}", *(f"  {words}" for words in _said(line)), ""]
    return [*found, *_troubles(digest)]


def brief(digest: Digest) -> list[str]:
    """One line for each line that predicted something, and what happened on it."""
    found = []
    for line in digest.lines:
        if not (line.predictions or line.day.n or line.eventful):
            continue
        found += [f"{line.line} ({version(line.champion)}): {several(line.predictions, 'prediction')}, day "
                  f"{_scores(line.day)}; week {_scores(line.week)}",
                  *(f"  • {words}" for words in _happened(line)), ""]
    quiet = len(digest.lines) - sum(bool(line.predictions or line.day.n or line.eventful) for line in digest.lines)
    return [*found, *([f"{several(quiet, 'line')} had a day without predictions or events.", ""] if quiet else []),
            *_troubles(digest)]


def html(digest: Digest) -> str:
    """A table of figures, and below it what happened. Only text of ours and escaped text of others."""
    rows = [_row("th", ["line", "champion", "challenger", "predictions", "day", "week", "drift"])]
    rows += [_row("td", [line.line, _champion(line).removeprefix("champion "),
                         version(line.challenger) if line.challenger else "-", f"{line.predictions:,}",
                         _scores(line.day), _scores(line.week), _drift(line)]) for line in digest.lines]
    happened = [f"{line.line}: {words}" for line in digest.lines for words in _happened(line)]
    return "".join([
        '<table style="border-collapse:collapse;font-size:14px">', *rows, "</table>",
        *(_list("Happened", happened) if happened else ["<p>Nothing else happened.</p>"]),
        *(_list("Troubles", [words.strip() for words in _troubles(digest)[1:]]) if digest.troubles else [])])


def _row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag} {_CELL}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _list(title: str, items: list[str]) -> list[str]:
    return [f"<h2 style=\"font-size:15px;margin:18px 0 6px\">{title}</h2><ul>",
            *(f"<li>{escape(item)}</li>" for item in items), "</ul>"]


def _said(line: LineDigest) -> list[str]:
    challenger = f", challenger {version(line.challenger)}" if line.challenger else ""
    return [f"{_champion(line)}{challenger}", f"{several(line.predictions, 'prediction')} made",
            f"last day: {_scores(line.day)}", f"7 days:   {_scores(line.week)}", f"drift: {_drift(line)}",
            *_happened(line)]


def _champion(line: LineDigest) -> str:
    return "no champion" if line.champion is None else (
        f"champion v{line.champion}" + (f" since {line.since:%Y-%m-%d}" if line.since else ""))


def _scores(scores: Scores) -> str:
    if not scores.n:
        return "nothing matured"
    return (f"accuracy {number(scores.accuracy)}, AUC {number(scores.auc)}, log loss {number(scores.log_loss, 4)} "
            f"(n {scores.n:,})")


def _drift(line: LineDigest) -> str:
    checked = line.checked
    if checked is None:
        return "not checked"
    share = f"{number(100 * checked.share, 0)}% of columns" if checked.share is not None else "no columns"
    named = f" ({', '.join(checked.drifted)})" if checked.drifted else ""
    week = f"; {several(line.alarm_days, 'check')} of the week rang" if line.alarm_days else ""
    return f"{share}{named}{', ' + ' and '.join(checked.alarms) if checked.alarms else ''}{week}"


def _happened(line: LineDigest) -> list[str]:
    """What people would want to hear of beside the figures."""
    waits = [f"v{item} waits for your approval: tidemark approve {line.line} {item} (or deny)"
             for item in line.awaiting]
    rings = [f"{called} as of {instant(line.checked.as_of)}" for called in line.checked.alarms] if line.checked else []
    return [*waits, *rings, *map(_retrained, line.retraining), *map(_judged, line.verdicts),
            *map(_changed, line.changes)]


def _retrained(item: Retraining) -> str:
    became = {"pending": "waits to be served", "claimed": "is being served",
              "served": f"gave {version(item.version)}" if item.version else "is served"}.get(item.state, item.state)
    cause = f": {item.detail}" if item.detail and item.state not in ("served", "claimed") else ""
    return f"retraining {item.id} ({item.reason}) {became}{cause}" + (f". {item.cost}" if item.cost else "")


def _judged(item: Judgement) -> str:
    against = f" against champion v{item.against}" if item.against else ""
    size = (f" ({number(item.effect, 5)} nats, {number(item.low, 5)} to {number(item.high, 5)})"
            if item.effect is not None else "")
    said = {"promote": "better", "reject": "not better"}.get(item.outcome, item.outcome)
    return f"{item.stage}: v{item.version} {said}{against}{size}"


def _changed(item: Change) -> str:
    word = "rolled back to" if item.action == "rollback" else "new champion"
    return f"{word} v{item.version}{f' after v{item.previous}' if item.previous else ''}, by {item.actor}"


def _troubles(digest: Digest) -> list[str]:
    named = list(digest.troubles[:MOST_TROUBLES])
    left = len(digest.troubles) - len(named)
    return ["Troubles:", *(f"  {words}" for words in named), *([f"  and {left} more"] if left else [])] if named else []
