"""What was found as one HTML page (pictures inside, nothing loaded from elsewhere, texts escaped) and as JSON types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from pipelines.sentiment.quality import Estimate, Row
from pipelines.training.ablation import Ablation
from pipelines.training.worth import pictures, words
from pipelines.training.worth.study import Absent, Curve, Worth
from pipelines.validation.lead_lag import LAGS, POOLED

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --paper: #fbfbf9; --card: #ffffff; --muted: #5d6b7a; --line: #dde1e5;
  --grid: #e7eaed; --accent: #1f5fa8; --other: #b3541e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181d; --card: #1b2127; --muted: #98a5b3;
  --line: #313a44; --grid: #2a323b; --accent: #6fb1f5; --other: #f0a36b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.2rem 1.2rem 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; } p { margin: .5rem 0; max-width: 48rem; }
.sub, figcaption, .note { color: var(--muted); font-size: .9rem; }
.summary { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--accent);
  border-radius: 6px; padding: .7rem 1.1rem; margin: 1.2rem 0; }
.absent { border: 1px dashed var(--muted); border-radius: 6px; padding: .6rem 1rem; color: var(--muted); }
figure { margin: 1rem 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem .9rem; } svg { display: block; width: 100%; height: auto; overflow: visible; }
.wide { overflow-x: auto; } ul { padding-left: 1.2rem; max-width: 50rem; } li { margin: .3rem 0; }
table { border-collapse: collapse; font-size: .84rem; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding: .3rem 0; }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--muted); font-weight: 600; } .text { text-align: left; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--accent); }
nav a { color: var(--accent); margin-right: 1.1rem; } code { font-size: .9em; }
@media print { details > * { display: block; } main { max-width: none; } }
"""


def html(worth: Worth) -> str:
    """The whole page."""
    summary = words.summary(worth)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>What sentiment is worth</title><style>{_STYLE}</style></head><body><main>
<h1>What sentiment is worth</h1>
<p class="sub">As of {worth.as_of:%Y-%m-%d %H:%M} UTC; texts and prices since {worth.start:%Y-%m-%d}. Square brackets
are 95 % intervals.</p>
<nav><a href="#quality">Against labels</a><a href="#timing">Against prices</a><a href="#lines">In the lines</a></nav>
<div class="summary">{_list(summary) if summary else "<p>There was no data for any part; each says what it needs.</p>"}
</div>
<section id="quality"><h2>Does it read as people do?</h2>{_quality(worth.quality)}</section>
<section id="timing"><h2>Does it lead prices, or follow them?</h2>{_timing(worth.curves)}</section>
<section id="lines"><h2>Does it improve the forecasts?</h2>{_lines(worth)}</section>
</main></body></html>
"""


def to_dict(worth: Worth) -> dict[str, Any]:
    """The same as JSON types (times as datetimes, missing figures as NaN): figures and sentences."""
    adjusted = dict(zip(map(id, worth.ablations), worth.adjusted, strict=True))
    return {
        "as_of": worth.as_of, "start": worth.start,
        "summary": words.summary(worth),
        "quality": _reason(worth.quality) if isinstance(worth.quality, Absent) else {
            "sentences": words.quality(worth.quality), "rows": [asdict(row) for row in worth.quality]},
        "lead_lag": _reason(worth.curves) if isinstance(worth.curves, Absent) else [
            {"name": curve.name, "title": curve.title, "sentence": words.lead_lag(curve),
             "lags": curve.lags.to_dict("records"), "spans": curve.spans.to_dict("records")} for curve in worth.curves],
        "lines": {name: _reason(found) if isinstance(found, Absent) else [
            {**asdict(item), "p_adjusted": adjusted[id(item)], "sentence": words.ablation(item, adjusted[id(item)])}
            for item in found] for name, found in worth.lines.items()}}


def _reason(part: Absent) -> dict[str, str]:
    return {"absent": part.why}


def _quality(found: Sequence[Row] | Absent) -> str:
    if isinstance(found, Absent):
        return _absent(found)
    scorers = list(found[0].scorers)
    head = ["set", "half", "texts", "measure", *scorers, f"{scorers[-1]} − {scorers[0]}"]
    body = [[row.set, row.half, f"{row.texts:,}", row.measure, *(_estimate(value) for value in row.scorers.values()),
             _estimate(row.difference, "+")] for row in found]
    return (_list(words.quality(found))
            + _figure(pictures.quality(found), "Agreement of each scorer with people, by set")
            + _table(head, body, texts=(0, 1, 3))
            + '<p class="note">Texts fall into halves by a hash of themselves; only the seen half was looked at when '
              "the lexicon was written. Intervals: bootstrap over texts, the difference on the same resamples.</p>")


def _timing(found: Sequence[Curve] | Absent) -> str:
    if isinstance(found, Absent):
        return _absent(found)
    method = ("<p>Each point is the correlation of sentiment known at a full hour with the return of one hour around "
              "it. Lag 0 is the hour that had just ended, lag +1 the first that had not begun. What stands right of "
              "the dashed line could be traded on; what stands left of it came after the price. The band holds 95 % "
              "for each hour alone, so of 24 hours ahead one may leave it by chance.</p>")
    parts = [method, _list([words.lead_lag(curve) for curve in found])]
    for number, curve in enumerate(found):
        picture = _figure(pictures.lead_lag(curve), curve.title, shown=False)  # it is the heading, too
        after = f"<p>{escape(words.slip(curve))}</p>" if number < 2 else ""
        parts.append(f"<h3>{escape(curve.title)}</h3>{picture}{after}{_spans(curve)}{_lags(curve)}")
    return "".join(parts) + (
        '<p class="note">Sentiment is the bullish less the bearish documents of an hour, less what the share of the '
        "week before says of so many documents (for the features: the mean score). Pooled: in standard deviations of "
        "each symbol. Bands: stationary bootstrap of whole days, all symbols together.</p>")


def _spans(curve: Curve) -> str:
    names = {(-23, 0): "day before", (-5, 0): "6 h before", (1, 6): "6 h after", (1, 24): "day after"}
    pairs = list(dict.fromkeys(zip(curve.spans["first"], curve.spans["last"], strict=True)))
    symbols = _symbols(curve)
    body = [[_name(symbol, symbols), *(_row(words.span(curve, first, last, symbol)) for first, last in pairs),
             f"{int(words.span(curve, *pairs[0], symbol).n):,}"] for symbol in symbols]
    return _table(["symbol", *(names.get(pair, f"{pair[0]:+d} to {pair[1]:+d} h") for pair in pairs), "hours"], body,
                  "Correlation with the return over longer spans")


def _lags(curve: Curve) -> str:
    rows = {symbol: part.set_index("lag") for symbol, part in curve.lags.groupby("symbol")}
    symbols = _symbols(curve)
    body = [[f"{lag:+d}" if lag else "0", *(_row(rows[symbol].loc[lag]) for symbol in symbols)]
            for lag in LAGS if lag in rows[POOLED].index]
    table = _table(["lag, h", *(_name(symbol, symbols) for symbol in symbols)], body, texts=())
    return f"<details><summary>All lags</summary>{table}</details>"


def _symbols(curve: Curve) -> list[str]:
    """Pooled first; a curve of one symbol is that symbol's."""
    names = [str(name) for name in curve.spans["symbol"].unique()]
    return names if len(names) > 2 else names[:1]


def _name(symbol: str, symbols: Sequence[str]) -> str:
    return symbol if len(symbols) > 1 else "all texts"


def _lines(worth: Worth) -> str:
    found = worth.ablations
    parts = ["<p>Each line walks forward through its past twice, with the sentiment features and without them: same "
             "family, parameters and days, never seeing a label before its time. The loss saved each day is tested "
             "with the gate's own test.</p>"]
    if found:
        parts += [_list([words.ablation(item, p) for item, p in zip(found, worth.adjusted, strict=True)]),
                  _figure(pictures.ablations(found), "Log loss that sentiment saves in each line"),
                  _table(["line", "family", "uses it", "days", "loss with", "without", "base rate", "saved ×1000",
                          "p", "p, Holm", "visible ×1000"],
                         [_ablation(item, p) for item, p in zip(found, worth.adjusted, strict=True)], texts=(0, 1, 2))]
    parts += [f"<h3>{escape(name)}</h3>{_absent(part)}" for name, part in worth.lines.items()
              if isinstance(part, Absent)]
    if not worth.lines:
        parts.append(_absent(Absent("no line was asked for")))
    note = ('<p class="note">Loss in nats a row. p is one-sided, of "sentiment does not help"; Holm corrects it for '
            "asking several times at once; intervals are each row's own. Visible: the gain that the test finds with "
            "80 % power.</p>")
    return "".join(parts) + (note if found else "")


def _ablation(item: Ablation, adjusted: float) -> list[str]:
    test = item.test
    return [item.line, item.family, "yes" if item.uses else "no", str(item.days), f"{item.loss_with:.5f}",
            f"{item.loss_without:.5f}", f"{item.loss_base_rate:.5f}",
            f"{1000 * test.effect:+.2f} [{1000 * test.low:+.2f}, {1000 * test.high:+.2f}]", f"{test.p_value:.3f}",
            f"{adjusted:.3f}", f"{1000 * test.minimum_detectable:.2f}"]


def _estimate(value: Estimate, sign: str = "") -> str:
    if not math.isfinite(value.value):
        return "undefined"
    return f"{value.value:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _row(row: Any) -> str:
    return _estimate(Estimate(float(row.correlation), float(row.low), float(row.high)), "+")


def _absent(part: Absent) -> str:
    return f'<p class="absent">Not here: {escape(part.why)}</p>'


def _figure(svg: str, caption: str, *, shown: bool = True) -> str:
    below = f"<figcaption>{escape(caption)}</figcaption>" if shown else ""
    label = escape(f"{caption}; the figures are in the table below")
    return f'<figure role="img" aria-label="{label}">{svg}{below}</figure>'


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(head: Sequence[str], body: Sequence[Sequence[str]], caption: str = "", texts: Sequence[int] = (0,)) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "<tr>" + "".join(f'<{tag}{" class=text" if place in texts else ""}>{escape(value)}</{tag}>'
                                for place, value in enumerate(row)) + "</tr>"
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (f'<div class="wide"><table>{title}<thead>{cells("th", head)}</thead><tbody>'
            f'{"".join(cells("td", row) for row in body)}</tbody></table></div>')
