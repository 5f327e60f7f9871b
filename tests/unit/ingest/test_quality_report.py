"""The report: literal counts, an independent interval, and hostile text that stays text."""

from __future__ import annotations

import html
import json
import shutil
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipelines.config import ROOT
from pipelines.contracts.columns import Kind
from pipelines.contracts.records import Gap, Refused, WriteCounts
from pipelines.contracts.window import Window
from pipelines.ingest import quality_page
from pipelines.ingest.freshness import Freshness
from pipelines.ingest.quality_report import MOST, Evidence, Report, build, columns, reasons, wilson, win_rate
from pipelines.ingest.series import Finding

T = datetime(2024, 3, 4, tzinfo=UTC)
WINDOW = Window(T, T + timedelta(days=1))


def refused(*texts: str) -> list[Refused]:
    return [Refused("test", "bars", text, {}) for text in texts]


def test_refusals_are_counted_by_rule():
    found = reasons(refused("close 12.5 lies outside low 9.0 to high 12.0", "close -3 lies outside low 1e5 to high 12",
                            "close is missing", "event_time '2024-13-32T25:61' is not a time",
                            "event_time 2024-03-01T10:17:00+00:00 is not on the grid of 1h bars"))
    assert [(row.reason, row.count) for row in found] == [
        ("close # lies outside low # to high #", 2), ("close is missing", 1), ("event_time # is not a time", 1),
        ("event_time # is not on the grid of # bars", 1)]
    assert found[0].example == "close 12.5 lies outside low 9.0 to high 12.0"


def test_endless_rules_are_summed_up():
    found = reasons(refused(*(f"kind {chr(97 + n % 26) * (1 + n // 26)} is neither news nor post" for n in range(80))))
    assert (len(found), found[-1].reason, found[-1].count) == (MOST + 1, "other reasons", 80 - MOST)
    assert reasons([]) == []


def test_columns_say_what_is_missing_and_how_far_values_reach():
    times = pd.to_datetime([T, T + timedelta(hours=1)], utc=True)
    frame = pd.DataFrame({"name": ["vix", "vix"], "event_time": times, "available_at": times, "value": [17.5, np.nan],
                          "source": ["a", "b"], "components": [None, {"x": 1}]})
    found = {item.name: item for item in columns(Kind.INDICATORS, frame)}
    assert (found["value"].missing, found["value"].missing_share, found["value"].low, found["value"].high) == (
        1, 0.5, 17.5, 17.5)
    assert (found["event_time"].low, found["event_time"].high) == (
        "2024-03-04T00:00:00+00:00", "2024-03-04T01:00:00+00:00")
    assert (found["name"].distinct, found["source"].distinct, found["components"].missing) == (1, 2, 1)
    assert [item.missing_share for item in columns(Kind.INDICATORS, frame[:0])] == [0.0] * 6


@pytest.mark.parametrize(("wins", "n"), [(0, 1), (1, 1), (24, 40), (373, 779), (0, 500), (500, 500)])
def test_the_interval_is_wilson_s(wins, n):
    oracle = binomtest(wins, n).proportion_ci(method="wilson")
    assert wilson(wins, n) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def trades(**changes: Any) -> dict[str, Any]:
    return {"source": "log", "trade_id": "1", "event_time": pd.Timestamp(T), "available_at": pd.Timestamp(T),
            "symbol": "ADA", "side": "long", "entry_price": 2.0, "size": 1.0, "closed_at": pd.Timestamp(T),
            "exit_price": 2.1, "profit_ratio": 0.05, "exit_reason": "target", **changes}


def test_the_win_rate_of_closed_trades():
    frame = pd.DataFrame([
        trades(), trades(trade_id="2", profit_ratio=-0.1), trades(trade_id="3", profit_ratio=0.0),
        trades(trade_id="4", profit_ratio=np.nan), trades(trade_id="5", profit_ratio=np.nan, side="short"),
        trades(trade_id="6", closed_at=pd.NaT, profit_ratio=np.nan, exit_price=np.nan),
        trades(trade_id="7", profit_ratio=np.nan, exit_price=np.nan),
        trades(trade_id="2", profit_ratio=0.2, available_at=pd.Timestamp(T) + pd.Timedelta(hours=1))])
    found = win_rate(frame)
    assert (found.closed, found.wins, found.rate) == (5, 3, 0.6)
    assert win_rate(frame[5:6]).rate is None
    assert wilson(0, 0) == (None, None)


TRADES = ROOT.parent / "shared" / "data" / "trade_log_bbrsi_2021" / "trades.parquet"


@pytest.mark.realdata
@pytest.mark.skipif(not TRADES.is_file(), reason=f"no development data in {TRADES}")
def test_the_win_rate_of_a_real_log():
    """779 closed trades of which 47.9 % won, as its own summary says."""
    raw = pd.read_parquet(TRADES)
    opened, closed = (pd.to_datetime(raw[name], utc=True) for name in ("open_date", "close_date"))
    found = win_rate(pd.DataFrame({
        "source": "log", "trade_id": [str(number) for number in range(len(raw))], "event_time": opened,
        "available_at": closed, "symbol": raw["pair"], "side": "long", "entry_price": raw["open_rate"],
        "closed_at": closed, "exit_price": raw["close_rate"], "profit_ratio": raw["profit_ratio"]}))
    assert (found.closed, round(100 * (found.rate or 0), 1)) == (779, 47.9)


class Tags(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def report(text: str) -> Report:
    """A report that has this text wherever a feed could put one."""
    times = pd.to_datetime([T], utc=True)
    rows = pd.DataFrame({"source": [text], "doc_id": [text], "event_time": times, "available_at": times,
                         "kind": ["post"], "title": [text], "text": [text], "url": [text], "engagement": [1.0]},
                        dtype=object)
    return build(
        text, WINDOW, {Kind.DOCUMENTS: Evidence(rows, refused(text, text), WriteCounts(1, 2, 3), 4)},
        gaps=[Gap("bars", text, T, WINDOW.end, 3, True)],
        findings=[Finding("flat", Kind.BARS, text, T, WINDOW.end, 3, "warning", text)],
        freshness=[Freshness(Kind.DOCUMENTS, text, T, T, 30.0, 24.0), Freshness(Kind.TRADES, text, T, T, 0.5, None)],
        asked_again=text, part=text)


PLAIN = Tags(quality_page.render(report("plain").to_dict()))


@given(st.one_of(st.text(max_size=60), st.sampled_from([
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'><svg/onload=alert(1)>", "{{ 7 * 7 }}",
    "{% raw %}", "]]>--><!--", "</style><b>", "&lt;b&gt;", "\ud800", "a\x00b", "{{ r.__class__ }}"])))
@settings(max_examples=80)
def test_hostile_text_stays_text(text):
    page = quality_page.render(report(text).to_dict())
    found = Tags(page)
    assert found.tags == PLAIN.tags
    assert found.attributes == PLAIN.attributes
    assert "script" not in found.tags
    assert not any(name.startswith("on") or name in ("src", "href") for name in found.attributes)
    if text.strip() and text.isprintable() and text.isascii():
        assert page.count(html.escape(text, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")) >= 5


def test_the_document_is_json_and_says_what_to_worry_about():
    made = report("BTCUSDT 1h")
    document = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert document["window"] == {"start": "2024-03-04T00:00:00+00:00", "end": "2024-03-05T00:00:00+00:00"}
    assert [row["stale"] for row in document["freshness"]] == [True, False]
    assert document["missing_bars"] == 3
    assert document["warnings"] == [
        "BTCUSDT 1h: 3 bars from 2024-03-04 00:00 UTC are missing", "BTCUSDT 1h: BTCUSDT 1h",
        "documents of BTCUSDT 1h are stale: the newest came 30.0 h before the end of what was loaded, 24 h are allowed"]
    assert made == report("BTCUSDT 1h")


def test_an_empty_window_has_a_page():
    page = quality_page.render(build("test", WINDOW, {}).to_dict())
    for sentence in ("Nothing came in this window.", "No bar is missing.", "Nothing odd."):
        assert sentence in Tags(page).text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium; install Debian's package to run browser tests")
def test_a_browser_shows_it_in_both_schemes_and_runs_nothing(tmp_path):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    path.write_text(quality_page.render(report("<img src=x onerror=document.title='owned'>").to_dict()), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"])
        colours = []
        for scheme, width in (("light", 1200), ("dark", 1200), ("light", 400)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri())
            assert asked == [path.as_uri()]
            assert page.title().startswith("Data quality: <img")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert colours[0] == colours[2] != colours[1]
