"""The page: complete in itself, safe against any name, readable by machine and in a browser, light and dark."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipelines.cli.output import plain
from pipelines.training.worth import page, pictures
from pipelines.training.worth.study import Absent
from tests.unit.training.worth.worlds import HOSTILE, worth

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_VOID = {"meta", "br", "link", "img"}


class _Reader(HTMLParser):
    """Checks that tags are closed in order, and collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.ids.update(value for name, value in attrs if name == "id" and value)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.ids.update(value for name, value in attrs if name == "id" and value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def made() -> str:
    return page.html(worth())


def test_the_page_is_whole_and_every_name_is_text(made: str) -> None:
    reader = read(made)
    assert reader.tags["script"] == 0
    assert reader.tags["svg"] == 4  # quality, two curves, ablations
    assert "".join(reader.text).count(HOSTILE) >= 8  # sets, symbols, titles, as they are written
    assert [name for name, count in reader.ids.items() if count > 1] == []


def test_nothing_is_loaded_from_elsewhere(made: str) -> None:
    assert "default-src 'none'" in made
    addresses = set(re.findall(r"https?://[^\"' )]+", made))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)  # names of SVG, never fetched
    references = re.findall(r'(?:href|src)="([^"]*)"', made)
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert {reference[1:] for reference in references} <= set(read(made).ids)


def test_pictures_have_the_page_s_colours_only(made: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", made, flags=re.DOTALL):
        ElementTree.fromstring(svg)
        assert re.findall(r"#[0-9a-fA-F]{6}\b", svg) == []
        assert "var(--accent)" in svg
        assert "DejaVu" not in svg


def test_pictures_are_the_same_each_time() -> None:
    curve = worth().curves[0]  # type: ignore[index]
    assert pictures.lead_lag(curve) == pictures.lead_lag(curve)


def test_parts_without_data_say_why_and_the_others_are_there() -> None:
    gone = Absent("no <labels> here; pass --labelled")
    text = page.html(worth(quality=gone, lines={"direction_1h": gone}, adjusted=()))
    assert text.count("Not here: no &lt;labels&gt; here; pass --labelled") == 2
    assert read(text).tags["svg"] == 2
    empty = page.html(worth(quality=gone, curves=gone, lines={}, adjusted=()))
    assert "There was no data for any part" in empty
    assert "no line was asked for" in empty
    assert read(empty).tags["svg"] == 0


def test_missing_figures_are_called_undefined_and_are_null_in_json(made: str) -> None:
    assert "undefined" in made
    assert "nan" not in "".join(read(made).text).lower()
    record = json.loads(json.dumps(plain(page.to_dict(worth())), allow_nan=False))
    assert [row["correlation"] for row in record["lead_lag"][0]["spans"] if row["symbol"] == HOSTILE] == [None] * 4
    assert record["quality"]["rows"][0]["difference"] == {"value": pytest.approx(0.15), "low": 0.1, "high": 0.2}
    assert record["lines"]["volatility_24h"][0]["p_adjusted"] == 1.0
    assert record["lines"]["direction_1h"][0]["test"]["effect"] == 0.003
    assert page.to_dict(worth(quality=Absent("why")))["quality"] == {"absent": "why"}


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium; install Debian's package to run browser tests")
def test_a_browser_shows_it_light_and_dark_and_on_a_telephone(made: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(made, encoding="utf-8")
    colours = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme, width in (("light", 1100), ("dark", 1100), ("light", 390)):
            tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            complaints: list[str] = []
            tab.on("console", lambda message, said=complaints: said.append(message.text))
            tab.on("pageerror", lambda error, said=complaints: said.append(str(error)))
            tab.goto(path.as_uri())
            assert complaints == []
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.locator("svg").count() == 4
            assert all(item.bounding_box()["height"] > 40 for item in tab.locator("svg").all())
            colours.append(tab.evaluate("""() => [document.body, document.querySelector('svg text')].map(item =>
                getComputedStyle(item)[item === document.body ? 'backgroundColor' : 'fill'])"""))
        browser.close()
    light, dark, _ = colours
    assert light[0] != dark[0]
    assert light[1] != dark[1]
