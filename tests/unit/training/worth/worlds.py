"""A report's parts, made by hand: names that no page should trust, and figures of every kind."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from pipelines.sentiment.quality import Estimate, Row
from pipelines.training.ablation import Ablation
from pipelines.training.worth.study import Curve, Worth
from pipelines.validation.lead_lag import LAGS, POOLED, SPANS
from pipelines.validation.significance import MeanTest

AT = datetime(2022, 6, 1, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script> & $x^2$ \' "'


def row(low: float, high: float, *, name: str = "posts", half: str = "held out", measure: str = "accuracy") -> Row:
    middle = (low + high) / 2
    scorers = {"vader": Estimate(0.5, 0.4, 0.6), "tidemark": Estimate(0.5 + middle, 0.4, 0.7)}
    return Row(name, half, 1234, measure, scorers, Estimate(middle, low, high))


def curve(past: tuple[float, float], ahead: tuple[float, float], *, name: str = "symbols",
          title: str = "Texts") -> Curve:
    def rows(symbol: str, pairs: list[tuple[int, int]]) -> list[dict[str, object]]:
        found = []
        for first, last in pairs:
            low, high = ahead if first > 0 else past
            found.append({"symbol": symbol, "first": first, "last": last, "correlation": (low + high) / 2, "low": low,
                          "high": high, "n": 5000})
        return found
    symbols = [POOLED, "BTCUSDT", HOSTILE]
    lags = pd.DataFrame([item for symbol in symbols for item in rows(symbol, [(lag, lag) for lag in LAGS])])
    spans = pd.DataFrame([item for symbol in symbols for item in rows(symbol, list(SPANS))])
    spans.loc[spans["symbol"] == HOSTILE, ["correlation", "low", "high"]] = np.nan
    return Curve(name, title, lags.rename(columns={"first": "lag"}).drop(columns="last"), spans)


def ablation(effect: float, error: float, *, uses: bool = True, base: float = 0.69,
             line: str = "direction_1h") -> Ablation:
    test = MeanTest(effect, error, effect / error, 10, 0.01 if effect > 2 * error else 0.6, 0.02, effect - 2 * error,
                    effect + 2 * error, 2.7 * error, "10 cosines")
    return Ablation(line, "sentiment", uses, "lightgbm", 84, 10_000, 5, AT, AT, 0.68 - effect, 0.68, base, test)


def worth(**changes: object) -> Worth:
    parts: dict[str, object] = {
        "as_of": AT, "start": datetime(2021, 6, 1, tzinfo=UTC),
        "quality": (row(0.1, 0.2, name=HOSTILE), row(-0.2, 0.1, name=HOSTILE, half="seen"),
                    row(-0.01, -0.002, name="tweets", measure="correlation")),
        "curves": (curve((0.1, 0.2), (-0.01, 0.02)),
                   curve((0.1, 0.2), (0.01, 0.02), name="source a b<c", title=HOSTILE)),
        "lines": {"direction_1h": (ablation(0.003, 0.001),),
                  "volatility_24h": (ablation(-0.003, 0.001, uses=False, line="volatility_24h"),)},
        "adjusted": (0.02, 1.0)}
    return Worth(**(parts | changes))  # type: ignore[arg-type]
