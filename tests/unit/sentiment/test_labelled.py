from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipelines.errors import ConfigError, ContractError
from pipelines.sentiment import labelled


def test_files_with_the_usual_columns_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "tweets.csv").write_text('text,label\n"up, up",positive\ndown,Negative\nflat,0\nNA,neutral\n')
    frame = pd.DataFrame({"text": ["good", None, "bad"], "mean_rating": [2.5, 1.0, -1.5]})
    frame.to_parquet(tmp_path / "graded.parquet")
    (tmp_path / "prices.csv").write_text("time,close\n1,2\n")
    (tmp_path / "notes.txt").write_text("text,label\n")
    graded, tweets = labelled.read(tmp_path)
    assert (graded.name, graded.texts, graded.truth.tolist(), graded.graded) == (
        "graded", ("good", "bad"), [2.5, -1.5], True)
    assert (tweets.name, tweets.texts, tweets.truth.tolist(), tweets.graded) == (
        "tweets", ("up, up", "down", "flat", "NA"), [1, -1, 0, 0], False)


def test_a_manifest_maps_other_columns_and_classes_and_nothing_else_is_read(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("body,verdict\nmoon,bullish\ndump,bearish\nmeh,none\n")
    (tmp_path / "tweets.csv").write_text("text,label\nup,positive\n")
    (tmp_path / "labelled.toml").write_text("""
[[set]]
name = "our posts"
path = "posts.csv"
text = "body"
label = "verdict"
classes = { bullish = "positive", bearish = "negative", none = "neutral" }
""")
    (found,) = labelled.read(tmp_path)
    assert (found.name, found.texts, found.truth.tolist()) == ("our posts", ("moon", "dump", "meh"), [1, -1, 0])


@pytest.mark.parametrize(("manifest", "reason"), [
    ("[[set]\n", "not TOML"),
    ('[[set]]\nname = "a"\npath = "a.csv"\n', "not both"),
    ('[[set]]\nname = "a"\npath = "a.csv"\nlabel = "l"\nrating = "r"\n', "not both"),
    ('[[set]]\nname = "a"\npath = "a.csv"\nlabel = "l"\nclasses = { up = "great" }\n', "great"),
    ('[[set]]\nname = "a"\npath = "a.csv"\nlabel = "l"\ncolour = "red"\n', "colour")])
def test_a_wrong_manifest_is_refused(tmp_path: Path, manifest: str, reason: str) -> None:
    (tmp_path / "labelled.toml").write_text(manifest)
    with pytest.raises(ConfigError, match=reason):
        labelled.read(tmp_path)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a directory"):
        labelled.read(tmp_path / "none")
    (tmp_path / "a.csv").write_text("text,label\nup,great\n")
    with pytest.raises(ContractError, match="great"):
        labelled.read(tmp_path)
    (tmp_path / "a.csv").unlink()
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ContractError, match="cannot be read"):
        labelled.read(tmp_path)
    (tmp_path / "labelled.toml").write_text('[[set]]\nname = "a"\npath = "gone.csv"\nlabel = "l"\n')
    with pytest.raises(ContractError, match="cannot be read"):
        labelled.read(tmp_path)
    (tmp_path / "gone.csv").write_text("text,other\nup,1\n")
    with pytest.raises(ContractError, match="no column l"):
        labelled.read(tmp_path)
