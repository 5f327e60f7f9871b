"""The data-quality report as one page that needs nothing else: the one door to Jinja2.

Everything in it may come from a hostile feed, so all of it is escaped, and the page holds no script, no link and no
address: a browser that opens it loads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5d6b7c;--line:#e1e6ec;--accent:#2563a8;
--good:#1f7a4d;--goodbg:#e3f4ea;--bad:#b3322c;--badbg:#fbe7e5;--warn:#8a5a00;--warnbg:#fdf1d7;--track:#e9edf2}
@media (prefers-color-scheme:dark){:root{--bg:#12171e;--card:#1a212b;--ink:#e5eaf1;--soft:#97a5b6;--line:#2b3542;
--accent:#7db4ee;--good:#74d3a0;--goodbg:#173527;--bad:#ff9a92;--badbg:#3d1f1f;--warn:#f0c267;--warnbg:#392d13;
--track:#2a3440}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1,h3,p,li,b{overflow-wrap:anywhere}
main{max-width:1080px;margin:0 auto;padding:32px 20px 64px}header{margin-bottom:20px}
h1{font-size:24px;margin:0 0 4px;letter-spacing:-.01em}h2{font-size:17px;margin:0 0 12px}
h3{font-size:13px;margin:18px 0 6px;color:var(--soft);font-weight:600}
.soft{color:var(--soft)}.sub{color:var(--soft);margin:0}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:16px 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin:20px 0 16px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile b{display:block;font-size:22px;line-height:1.3;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}.tile.bad b{color:var(--bad)}.tile.warn b{color:var(--warn)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;font-weight:600;color:var(--soft);font-size:12.5px;padding:4px 12px 6px 0;
border-bottom:1px solid var(--line);white-space:nowrap}
td{padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tr:last-child td{border-bottom:0}
th.n,td.n{padding-right:22px}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.n:last-child,th.n:last-child{padding-right:0}.t{white-space:nowrap;font-variant-numeric:tabular-nums}
.badge{display:inline-block;border-radius:99px;padding:1px 9px;font-size:12.5px;font-weight:600;white-space:nowrap}
.good{background:var(--goodbg);color:var(--good)}.bad2{background:var(--badbg);color:var(--bad)}
.warn2{background:var(--warnbg);color:var(--warn)}
.bar{height:6px;border-radius:3px;background:var(--track);min-width:90px;margin-top:8px;overflow:hidden}
.bar i{display:block;height:100%;background:var(--accent)}.bar i.over{background:var(--bad)}
ul.warnings{margin:0;padding-left:18px}ul.warnings li{margin:3px 0;overflow-wrap:anywhere}
footer{color:var(--soft);font-size:13px;margin-top:24px}
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Data quality: {{ r.source }}, {{ r.window.start|at }}</title><style>{{ style }}</style></head><body><main>
<header><h1>Data quality: {{ r.source }}</h1>
<p class="sub">What became available from {{ r.window.start|at }} to {{ r.window.end|at }} UTC
{%- if r.part %} · part: {{ r.part }}{% endif %}</p></header>
<div class="tiles">
{% macro tile(value, label, level="") %}
<div class="tile {{ level if value }}"><b>{{ value|count }}</b><span>{{ label }}</span></div>{% endmacro %}
{{ tile(r.kinds|sum(attribute="new"), "new facts") }}{{ tile(r.kinds|sum(attribute="revised"), "revisions") }}
{{ tile(r.kinds|sum(attribute="refused"), "rows refused", "warn") }}
{{ tile(r.missing_bars, "bars missing", "bad") }}
{{ tile(r.freshness|selectattr("stale")|list|length, "stale series", "bad") }}
{{ tile(r.warnings|length, "warnings", "warn") }}
</div>
{% if r.warnings %}<section><h2>Warnings</h2><ul class="warnings">
{% for text in r.warnings[:most] %}<li>{{ text }}</li>{% endfor %}</ul>
{% if r.warnings|length > most %}<p class="soft">and {{ r.warnings|length - most }} more</p>{% endif %}</section>
{% endif %}
<section><h2>Rows</h2>{% if r.kinds %}<div class="wide"><table>
<tr><th>Kind<th class="n">Clean<th class="n">New<th class="n">Revised<th class="n">Unchanged
<th class="n">Doubled<th class="n">Refused</tr>
{% for k in r.kinds %}<tr><td>{{ k.kind }}<td class="n">{{ k.rows|count }}<td class="n">{{ k.new|count }}
<td class="n">{{ k.revised|count }}<td class="n">{{ k.unchanged|count }}
<td class="n">{{ k.collapsed|count }}<td class="n">{{ k.refused|count }}</tr>{% endfor %}</table></div>
{% else %}<p class="soft">Nothing came in this window.</p>{% endif %}
{% for k in r.kinds if k.reasons %}<h3>Refused {{ k.kind }}, by rule</h3><div class="wide"><table>
<tr><th>Rule<th>For example<th class="n">Rows</tr>
{% for reason in k.reasons %}<tr><td>{{ reason.reason }}<td class="soft">{{ reason.example }}
<td class="n">{{ reason.count|count }}</tr>{% endfor %}</table></div>{% endfor %}</section>
<section><h2>Freshness</h2>{% if r.freshness %}<div class="wide"><table>
<tr><th>Kind<th>Series<th>Newest event<th>Available at<th class="n">Age at the end<th class="n">Deadline<th></tr>
{% for f in r.freshness[:most] %}<tr><td>{{ f.kind }}<td>{{ f.series }}<td class="t">{{ f.event_time|at }}
<td class="t">{{ f.available_at|at }}<td class="n">{{ f.age_hours|hours }}
{% if f.deadline_hours %}<div class="bar"><i {% if f.stale %}class="over" {% endif -%}
style="width:{{ [100 * f.age_hours / f.deadline_hours, 100]|min|round(1) }}%"></i></div>{% endif %}
<td class="n">{{ f.deadline_hours|hours }}<td>{% if f.stale %}<span class="badge bad2">stale</span>
{% elif f.deadline_hours %}<span class="badge good">fresh</span>{% endif %}</tr>{% endfor %}</table></div>
{% if r.freshness|length > most %}<p class="soft">and {{ r.freshness|length - most }} more</p>{% endif %}
{% else %}<p class="soft">No series had a row in the four weeks before.</p>{% endif %}</section>
<section><h2>Gaps</h2>{% if r.asked_again %}<p class="soft">{{ r.asked_again }}</p>{% endif %}
{% if r.gaps %}<div class="wide"><table><tr><th>Series<th>From<th>To<th class="n">Bars missing<th></tr>
{% for g in r.gaps[:most] %}<tr><td>{{ g.series }}<td class="t">{{ g.start|at }}<td class="t">{{ g.end|at }}
<td class="n">{{ g.missing|count }}<td>{% if g.open_ended %}<span class="badge warn2">open-ended</span>{% endif %}</tr>
{% endfor %}</table></div>
{% if r.gaps|length > most %}<p class="soft">and {{ r.gaps|length - most }} more</p>{% endif %}
{% else %}<p class="soft">No bar is missing.</p>{% endif %}</section>
<section><h2>Findings about the series</h2>{% if r.findings %}<div class="wide"><table>
<tr><th><th>Check<th>Series<th>From<th>To<th class="n">Rows<th>What</tr>
{% for f in r.findings[:most] %}<tr><td><span class="badge {{ "warn2" if f.severity == "warning" else "good" }}">
{{- f.severity }}</span><td class="t">{{ f.check }}<td>{{ f.kind }} {{ f.series }}<td class="t">{{ f.start|at }}
<td class="t">{{ f.end|at }}<td class="n">{{ f.count|count }}<td>{{ f.sentence }}</tr>{% endfor %}</table></div>
{% if r.findings|length > most %}<p class="soft">and {{ r.findings|length - most }} more</p>{% endif %}
{% else %}<p class="soft">Nothing odd.</p>{% endif %}</section>
{% if r.trades %}<section><h2>Trades</h2><div class="tiles" style="margin:0">
{{ tile(r.trades.closed, "closed") }}{{ tile(r.trades.wins, "won") }}
<div class="tile"><b>{{ r.trades.rate|percent }}</b><span>win rate</span></div>
<div class="tile"><b>{{ r.trades.low|percent }} to {{ r.trades.high|percent }}</b><span>95 % interval</span></div>
</div></section>{% endif %}
{% for k in r.kinds %}<section><h2>Columns of {{ k.kind }}</h2><div class="wide"><table>
<tr><th>Column<th>Type<th>Unit<th class="n">Missing<th class="n">Share<th>Lowest<th>Highest
<th class="n">Different</tr>
{% for c in k.columns %}<tr><td class="t">{{ c.name }}<td>{{ c.type }}<td class="soft">{{ c.unit or "–" }}
<td class="n">{{ c.missing|count }}<td class="n">{{ c.missing_share|percent }}
<td class="t">{{ c.low|value }}<td class="t">{{ c.high|value }}<td class="n">{{ c.distinct|count }}</tr>
{% endfor %}</table></div></section>{% endfor %}
<footer>Times are UTC. A finding refuses no row; refused rows lie in quarantine (<code>tidemark quarantine list</code>),
gaps in the warehouse (<code>tidemark gaps list</code>). Report format {{ r.version }}.</footer>
</main></body></html>
"""
#: Most rows of a table on the page; the JSON has them all.
MOST = 200


def render(document: Mapping[str, Any]) -> str:
    """The page of a report's JSON document (``Report.to_dict``)."""
    return str(_template().render(r=document, most=MOST))


@lru_cache(maxsize=1)
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(at=_at, count=_count, hours=_hours, percent=_percent, value=_value)
    environment.globals["style"] = Markup(_STYLE)
    return environment.from_string(_PAGE)


def _at(text: str) -> str:
    """An ISO time in UTC, to the minute where that is exact."""
    return text[:19].replace("T", " ").removesuffix(":00")


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}".replace(",", "\u202f")


def _hours(hours: float | None) -> str:
    if hours is None:
        return "–"
    return f"{hours * 60:.0f} min" if abs(hours) < 1 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _value(value: float | str | None) -> str:
    return "–" if value is None else _at(value) if isinstance(value, str) else f"{value:.6g}"
