"""Mentions against labelled real texts: ids and labels only are kept here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from infra.studies import mention_quality

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def test_labels_are_many_and_name_known_assets_only() -> None:
    labels = mention_quality.read_labels()
    assert list(labels.columns) == ["source", "id", "mentions"]
    assert len(labels) >= 300
    assert not labels.duplicated(["source", "id"]).any()
    assert set(labels["source"]) == {"reddit", "news", "stocknet"}
    assert {asset for row in labels["mentions"] for asset in row.split()} <= {*mention_quality.COINS,
                                                                               *mention_quality.SHARES}


def test_counts_pairs_of_text_and_asset() -> None:
    labels = pd.DataFrame({"source": "reddit", "id": ["1", "2", "3"], "mentions": ["BTC ETH", "SOL", ""]})
    known = pd.DataFrame({"source": "reddit", "id": ["1", "2", "3", "4"],
                          "text": ["bitcoin and $SOL", "Solana", "nothing", "bitcoin"]})
    result = mention_quality.evaluate(labels, known)
    assert (result.texts, result.right, result.wrong, result.missed) == (3, 2, 1, 1)
    assert (result.precision, result.recall) == (2 / 3, 2 / 3)
    assert result.errors == (("reddit", "1", "ETH", "SOL"),)


@pytest.mark.realdata
def test_precision_and_recall_on_labelled_texts() -> None:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here: the real texts are development data")
    result = mention_quality.evaluate(mention_quality.read_labels(), mention_quality.texts(DATA))
    assert result.texts >= 300
    assert result.precision > 0.95
    assert result.recall > 0.94
