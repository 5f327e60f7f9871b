"""Rows of judged texts: each of its own text alone, each as it was first judged, none twice."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from pipelines.contracts.columns import FEATURE_META, LABEL_COLUMNS, Kind
from pipelines.contracts.line import Line
from pipelines.errors import ConfigError
from pipelines.features import NAIVE, catalog, feature_names, snapshot, texts
from pipelines.features.groups import words
from pipelines.sentiment import score
from pipelines.store import Warehouse, facts

T = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)


def make_line(groups: tuple[str, ...] = ("lexicon", "words"), **target: object) -> Line:
    return Line.model_validate({
        "name": "texts", "title": "Texts", "target": {"kind": "polarity", **target}, "features": {"groups": groups},
        "walk_forward": {"train_days": 10, "test_days": 2, "search_folds": 2, "evidence_days": 4},
        "search": {"families": ["tfidf_linear"], "trials": 1},
        "gate": {"shadow": {"when": "never"}, "rollback": {"watch_days": 0}}, "retrain": {"on": []}})


def judged(*rows: tuple[str, float], source: str = "a", every: pd.Timedelta = HOUR,
           after: pd.Timedelta = HOUR) -> pd.DataFrame:
    """(text, label) one ``every`` hour, judged ``after`` it was written."""
    written = pd.Series([T + number * every for number in range(len(rows))]).astype("datetime64[us, UTC]")
    return pd.DataFrame({
        "source": source, "doc_id": [f"{number}" for number in range(len(rows))], "event_time": written,
        "available_at": written + after, "text": [text for text, _ in rows], "label": [label for _, label in rows],
        "raters": np.nan})


@pytest.mark.parametrize("text", ["The price, the PRICE; up 5% $BTC", "", "a", "naïve Café über", "🚀🚀 to the moon"])
def test_words_are_counted_by_their_hash(text: str) -> None:
    counts = words.GROUP.from_texts([text])  # type: ignore[misc]
    expected = np.zeros(words.WIDTH)
    for word, count in Counter(re.findall(r"\b\w\w+\b", text.lower())).items():
        expected[abs(murmurhash3_32(word)) % words.WIDTH] += count
    assert counts.tolist() == [expected.tolist()]


@settings(max_examples=25)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_a_text_alone_has_the_features_it_has_among_others(found: list[str]) -> None:
    line = make_line()
    together = texts.features(line, found)
    assert list(together.columns) == [feature.name for feature in catalog.features(catalog.of(line))]
    alone = pd.concat([texts.features(line, [text]) for text in found], ignore_index=True)
    pd.testing.assert_frame_equal(alone, together, check_exact=True)


def test_no_texts_no_features() -> None:
    assert texts.features(make_line(), []).shape == (0, 1 + words.WIDTH)


def test_neutral_texts_are_no_rows_and_a_row_is_decided_when_it_was_written() -> None:
    line = make_line(("lexicon",), neutral=0.2)
    frame = texts.frame_of(judged(("great news", 0.9), ("so so", 0.19), ("ugly", -0.2), ("fine", 0.0)), line)
    assert list(frame.columns) == [*FEATURE_META, "lexicon_compound", *LABEL_COLUMNS, texts.COMPOUND]
    assert feature_names(frame) == ("lexicon_compound",)
    assert frame["symbol"].tolist() == ["a/0", "a/2"]
    assert frame["y"].tolist() == [1, 0]
    assert frame["available_at"].tolist() == [T, T + 2 * HOUR]
    assert frame["label_end"].tolist() == [T + HOUR, T + 3 * HOUR]
    assert frame[NAIVE[1]].tolist() == score(["great news", "ugly"])["compound"].tolist()
    assert frame["forward_return"].isna().all()


def test_of_texts_that_say_the_same_the_first_one_counts() -> None:
    said = judged(("Profit is UP https://t.co/abc", 1), ("RT @me: profit is up", -1), ("profit  is\nup", 1),
                  ("profit is not up", -1))
    frame = texts.frame_of(said, make_line(("lexicon",)))
    assert frame["symbol"].tolist() == ["a/0", "a/3"]
    late = said.assign(available_at=said["available_at"].where(said["doc_id"] != "0", T + 9 * HOUR))
    assert texts.frame_of(late, make_line(("lexicon",)))["symbol"].tolist() == ["a/1", "a/3"]  # judged first


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["up", "Up", "down", "flat", "RT @a: up"]), st.sampled_from([-1, 0, 1]),
                          st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=12), st.integers(1, 60))
def test_what_is_judged_later_changes_no_label_known_before(rows: list[tuple[str, int, int, int]], cut: int) -> None:
    frame = judged(*((text, float(label)) for text, label, _, _ in rows))
    frame["event_time"] = [T + hour * HOUR for _, _, hour, _ in rows]
    frame["available_at"] = [T + (hour + delay) * HOUR for _, _, hour, delay in rows]
    line, then = make_line(("lexicon",)), T + cut * HOUR
    whole = texts.labels(frame, line)
    known = texts.labels(frame[frame["available_at"] <= then], line)
    pd.testing.assert_frame_equal(known, whole[whole["label_end"] <= then].reset_index(drop=True))


def test_a_training_sees_first_judgements_of_its_sources_known_before(warehouse: Warehouse) -> None:
    first = judged(("good", 1), ("bad", -1), ("later", 1), every=24 * HOUR)
    facts.write(warehouse, Kind.LABELS, first)
    facts.write(warehouse, Kind.LABELS, first.iloc[:1].assign(label=-1.0, available_at=T + 5 * HOUR))  # revised
    facts.write(warehouse, Kind.LABELS, judged(("other", 1), source="b"))
    as_of = (T + 49 * HOUR).to_pydatetime()  # the instant at which "later" is judged
    _, frame = snapshot.training(warehouse, make_line(("lexicon",), sources=["a"]), as_of)
    assert frame[["symbol", "y"]].to_numpy().tolist() == [["a/0", 1], ["a/1", 0]]
    _, both = snapshot.training(warehouse, make_line(("lexicon",)), as_of)
    assert sorted(both["symbol"]) == ["a/0", "a/1", "b/0"]


def test_groups_have_to_be_made_of_what_the_rows_are() -> None:
    with pytest.raises(ConfigError, match="names returns; its rows are texts: choose from lexicon, words"):
        catalog.of(make_line(("lexicon", "returns")))
    bars = make_line(("words",)).model_copy(update={"target": make_line().target.model_copy(
        update={"kind": "direction"})})
    with pytest.raises(ConfigError, match="names words; its rows are bars: choose from returns, trend"):
        catalog.of(bars)
