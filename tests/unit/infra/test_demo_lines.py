"""The demo plays the lines that its source has facts for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.demo.__main__ import playable
from pipelines.config import Settings

BARS = """
name = "mine"
[[file]]
path = "x.csv"
kind = "bars"
constants = { symbol = "X", interval = "1h" }
time = "t"
available = "at_close"
"""
LABELS = """
[[file]]
path = "x.csv"
kind = "labels"
time = "t"
available = { delay = "1h" }
"""
TRADES = """
[[file]]
path = "log.csv"
kind = "trades"
constants = { side = "long", source = "mine" }
columns = { symbol = "symbol", entry_price = "entry_price", closed_at = "closed_at", profit_ratio = "profit_ratio" }
identity = ["number"]
time = "t"
available = "at_open_and_close"
"""
AT = datetime(2024, 2, 1, tzinfo=UTC)


def test_a_line_on_texts_is_played_where_there_are_labels(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t,open,high,low,close,volume,text,label\n")
    on_bars = set(playable(Settings(source="exchange,newsapi,x,fear_greed,cboe"), AT))
    assert {"calendar_1h", "direction_1h", "volatility_24h"} <= on_bars
    for text, added in ((BARS, set()), (BARS + LABELS, {"text_polarity"})):
        (tmp_path / "source.toml").write_text(text)
        assert set(playable(Settings(source="files", data_dir=tmp_path), AT)) - on_bars == added


@pytest.mark.parametrize(("count", "year", "played"), [(200, 2024, True), (199, 2024, False), (200, 2023, False)])
def test_a_line_on_trades_is_played_where_enough_of_them_were_closed(
        tmp_path: Path, count: int, year: int, played: bool) -> None:
    (tmp_path / "x.csv").write_text("t,open,high,low,close,volume\n")
    rows = [f"{number},X,{year}-01-{1 + number // 24:02d}T{number % 24:02d}:00:00Z,{year}-01-20T00:00:00Z,1.0,0.1"
            for number in range(count)]
    (tmp_path / "log.csv").write_text("\n".join(["number,symbol,t,closed_at,entry_price,profit_ratio", *rows]))
    (tmp_path / "source.toml").write_text(BARS + TRADES)
    found = playable(Settings(source="files", data_dir=tmp_path), AT)
    assert ("trade_win" in found) is played
    assert "direction_1h" in found
