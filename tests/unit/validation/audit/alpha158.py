"""The 158 features of qlib's Alpha158 (158 = 9 candle + 4 price + 29 rolling families x 5 windows), from the published
formulas, as trailing-window pandas code on one symbol's bars.

Source: Microsoft qlib, ``Alpha158DL.get_feature_config`` with its default configuration (kbar; price OPEN, HIGH, LOW,
VWAP at window 0; rolling over 5, 10, 20, 30, 60). A VWAP is not among our bars: (high + low + close) / 3 stands for it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

WINDOWS = (5, 10, 20, 30, 60)
_EPS = 1e-12


def alpha158(bars: pd.DataFrame) -> pd.DataFrame:
    """``symbol``, ``event_time``, ``available_at`` and the 158 columns for bars sorted in any way."""
    parts = []
    for _, own in bars.sort_values(["symbol", "event_time"]).groupby("symbol", sort=True):
        own = own.reset_index(drop=True)
        meta = own[["symbol", "event_time", "available_at"]]
        parts.append(pd.concat([meta, pd.DataFrame({**_candle(own), **_rolling(own)})], axis=1))
    return pd.concat(parts, ignore_index=True)


def _candle(b: pd.DataFrame) -> dict[str, pd.Series]:
    o, h, low, c = b["open"], b["high"], b["low"], b["close"]
    span, top, bottom = h - low + _EPS, np.maximum(o, c), np.minimum(o, c)
    return {
        "KMID": (c - o) / o, "KLEN": (h - low) / o, "KMID2": (c - o) / span, "KUP": (h - top) / o,
        "KUP2": (h - top) / span, "KLOW": (bottom - low) / o, "KLOW2": (bottom - low) / span,
        "KSFT": (2 * c - h - low) / o, "KSFT2": (2 * c - h - low) / span,
        "OPEN0": o / c, "HIGH0": h / c, "LOW0": low / c, "VWAP0": (h + low + c) / 3 / c}


def _rolling(b: pd.DataFrame) -> dict[str, pd.Series]:
    h, low, c, v = b["high"], b["low"], b["close"], b["volume"]
    move, flow = c - c.shift(1), v - v.shift(1)
    step, growth = c / c.shift(1), np.log(v / v.shift(1) + 1)
    weighted, log_volume = (step - 1).abs() * v, np.log(v + 1)
    found: dict[str, pd.Series] = {}
    for d in WINDOWS:
        def mean(x: pd.Series, d: int = d) -> pd.Series:
            return x.rolling(d, min_periods=1).mean()

        def total(x: pd.Series, d: int = d) -> pd.Series:
            return x.rolling(d, min_periods=1).sum()

        slope, fit, residual = _line(c, d)
        high, lowest = h.rolling(d, min_periods=1).max(), low.rolling(d, min_periods=1).min()
        imax, imin = _since(h, d, np.argmax), _since(low, d, np.argmin)
        up, down, swing = total(move.clip(lower=0)), total((-move).clip(lower=0)), total(move.abs()) + _EPS
        more, less, churn = total(flow.clip(lower=0)), total((-flow).clip(lower=0)), total(flow.abs()) + _EPS
        rose, fell = mean((move > 0).astype(float)), mean((move < 0).astype(float))
        found |= {f"{name}{d}": value for name, value in {
            "ROC": c.shift(d) / c, "MA": mean(c) / c, "STD": c.rolling(d, min_periods=1).std() / c, "BETA": slope / c,
            "RSQR": fit, "RESI": residual / c, "MAX": high / c, "MIN": lowest / c,
            "QTLU": c.rolling(d, min_periods=1).quantile(0.8) / c,
            "QTLD": c.rolling(d, min_periods=1).quantile(0.2) / c, "RANK": c.rolling(d, min_periods=1).rank(pct=True),
            "RSV": (c - lowest) / (high - lowest + _EPS), "IMAX": imax / d, "IMIN": imin / d,
            "IMXD": (imax - imin) / d, "CORR": c.rolling(d).corr(log_volume), "CORD": step.rolling(d).corr(growth),
            "CNTP": rose, "CNTN": fell, "CNTD": rose - fell, "SUMP": up / swing, "SUMN": down / swing,
            "SUMD": (up - down) / swing, "VMA": mean(v) / (v + _EPS),
            "VSTD": v.rolling(d, min_periods=1).std() / (v + _EPS),
            "WVMA": weighted.rolling(d, min_periods=1).std() / (mean(weighted) + _EPS), "VSUMP": more / churn,
            "VSUMN": less / churn, "VSUMD": (more - less) / churn}.items()}
    return found


def _windows(values: pd.Series, d: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(
        np.concatenate([np.full(d - 1, np.nan), values.to_numpy()]), d)


def _since(values: pd.Series, d: int, choose: object) -> pd.Series:
    """Position (1 to d) of the extreme of the last ``d`` bars; NaN before there are d."""
    windows = _windows(values, d)
    whole = ~np.isnan(windows).any(axis=1)
    result = np.full(len(windows), np.nan)
    result[whole] = choose(windows[whole], axis=1) + 1  # type: ignore[operator]
    return pd.Series(result)


def _line(values: pd.Series, d: int) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Slope, R squared and last residual of a straight line through the last ``d`` closes. Each window by itself, term
    by term: matrix products may round a row differently by its place in the array."""
    windows = _windows(values, d)
    x = np.arange(d) - (d - 1) / 2
    mean = np.zeros(len(windows))
    for term in range(d):
        mean += windows[:, term]
    mean /= d
    slope, variance = np.zeros(len(windows)), np.zeros(len(windows))
    for term in range(d):
        gap = windows[:, term] - mean
        slope += x[term] * gap
        variance += gap * gap
    sxx = float((x * x).sum())
    slope /= sxx
    explained = slope * slope * sxx
    return (pd.Series(slope), pd.Series(explained / np.where(variance == 0, np.nan, variance)),
            pd.Series(windows[:, -1] - mean - slope * x[-1]))
