"""The demo plays the lines that its source has facts for."""

from __future__ import annotations

from pathlib import Path

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


def test_a_line_on_texts_is_played_where_there_are_labels(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t,open,high,low,close,volume,text,label\n")
    on_bars = set(playable(Settings(source="exchange,newsapi,x,fear_greed,cboe")))
    assert {"calendar_1h", "direction_1h", "volatility_24h"} <= on_bars
    for text, added in ((BARS, set()), (BARS + LABELS, {"text_polarity"})):
        (tmp_path / "source.toml").write_text(text)
        assert set(playable(Settings(source="files", data_dir=tmp_path))) - on_bars == added
