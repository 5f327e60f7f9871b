from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.training.worth import series

START = pd.Timestamp("2022-01-01", tz="UTC")


def hour(number: int, window: str, documents: int, bullish: int, bearish: int, mean: float = 0.1) -> dict[str, object]:
    return {"symbol": "A", "window": window, "at": START + pd.Timedelta(hours=number), "documents": documents,
            "bullish": bullish, "bearish": bearish, "mean": mean if documents else np.nan}


def test_the_surprise_is_what_the_week_before_did_not_say() -> None:
    """The week has 30 documents, 20 of them before this hour with 15 - 5 = 10 net: 10 documents would have 5 net."""
    rows = pd.DataFrame([hour(0, "1h", 10, 8, 1), hour(0, "1w", 30, 23, 6), hour(0, "4h", 12, 9, 1),
                         hour(1, "1h", 0, 0, 0), hour(1, "1w", 30, 23, 6),
                         hour(2, "1h", 3, 3, 0), hour(2, "1w", 3, 3, 0)])  # nothing to compare it with
    found = series.surprise(rows)
    assert found.to_dict("records") == [{"symbol": "A", "at": START, "value": 7 - 5}]


def test_the_mean_stands_at_hours_that_had_documents() -> None:
    rows = pd.DataFrame([hour(0, "1h", 2, 1, 0, 0.4), hour(1, "1h", 0, 0, 0), hour(1, "4h", 2, 1, 0, 0.2)])
    assert series.mean(rows)[["at", "value"]].to_numpy().tolist() == [[START, 0.4]]
    assert series.mean(rows, "4h")["value"].tolist() == [0.2]


def test_all_documents_together_by_the_hour_they_were_known() -> None:
    scores = pd.DataFrame({"available_at": START + pd.to_timedelta([0, 59, 60, 61, 200], unit="min"),
                           "compound": [0.5, 0.5, -0.5, 0.0, 0.9]})
    found = series.of_market(scores)
    hourly = found[found["window"] == "1h"].set_index("at")
    assert hourly.index.tolist() == [START + pd.Timedelta(hours=number) for number in range(5)]
    assert hourly["documents"].tolist() == [1, 2, 1, 0, 1]
    assert (hourly["bullish"] - hourly["bearish"]).tolist() == [1, 0, 0, 0, 1]
    assert found.loc[found["window"] == "1w", "documents"].max() == len(scores)


@pytest.mark.parametrize("name", ["surprise", "mean"])
def test_cutting_off_the_future_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"available_at": START + pd.to_timedelta(np.sort(rng.integers(0, 60 * 24 * 12, 900)), "min"),
                           "compound": rng.uniform(-1, 1, 900).round(4)})
    cut = START + pd.Timedelta(days=9)
    make = getattr(series, name)
    whole, past = (make(series.of_market(part)) for part in (scores, scores[scores["available_at"] <= cut]))
    pd.testing.assert_frame_equal(whole[whole["at"] <= cut].reset_index(drop=True), past[past["at"] <= cut])
