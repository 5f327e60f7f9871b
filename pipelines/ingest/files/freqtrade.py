"""Trades out of freqtrade's backtest exports and trade dumps, whichever of its years they are from.

Shapes: ``{"strategy": {name: {"trades": [...]}}}`` (2020 and later), ``{"trades": [...]}``, a bare list of trades. All
times are UTC, written with an offset, without one, or as milliseconds beside.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

#: What a trade becomes: the columns of the table, all there, None where the export does not say.
COLUMNS = ("trade_id", "symbol", "side", "open_date", "entry_price", "size", "close_date", "exit_price",
           "profit_ratio", "exit_reason")
#: Contract column → column here; what a manifest entry of this format says unless it says otherwise.
MAPPING = {"trade_id": "trade_id", "symbol": "symbol", "side": "side", "entry_price": "entry_price", "size": "size",
           "closed_at": "close_date", "exit_price": "exit_price", "profit_ratio": "profit_ratio",
           "exit_reason": "exit_reason"}


def rows(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Every trade as a row of ``COLUMNS``, and what stands among the trades but is none, as text.

    Raises:
        ValueError: it is not JSON, or holds no list of trades.
    """
    found: list[tuple[str, Mapping[str, Any]]] = []
    broken: list[str] = []
    for strategy, trade in _trades(json.loads(text)):
        if isinstance(trade, Mapping):
            found.append((strategy, trade))
        else:
            broken.append(json.dumps(trade, default=str))
    scale = _percent_scale([trade for _, trade in found])
    return [_row(strategy, trade, scale) for strategy, trade in found], broken


def _trades(export: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(export, Mapping) and isinstance(export.get("strategy"), Mapping):
        for name, result in export["strategy"].items():
            for trade in _listed(result.get("trades") if isinstance(result, Mapping) else None):
                yield str(name), trade
    else:
        for trade in _listed(export.get("trades") if isinstance(export, Mapping) else export):
            yield "", trade


def _listed(trades: Any) -> list[Any]:
    if not isinstance(trades, list):
        raise ValueError("it holds no list of trades (strategy.<name>.trades, trades, or a list)")
    return trades


def _row(strategy: str, trade: Mapping[str, Any], scale: float) -> dict[str, Any]:
    def first(*names: str) -> Any:
        return next((trade[name] for name in names if trade.get(name) is not None), None)

    opened, pair = first("open_timestamp", "open_date", "open_date_utc"), first("pair")
    closed = first("close_timestamp", "close_date", "close_date_utc")
    identity = first("trade_id", "id")
    parts = [strategy, *([pair, opened] if identity is None else [identity])]
    # Profits of an open trade are as of the dump. One that a backtest closed at its end calls itself open still, with
    # a closing time.
    outcome = {} if closed is None else {
        "close_date": closed, "exit_price": first("close_rate"),
        "profit_ratio": _profit(first, scale), "exit_reason": first("exit_reason", "sell_reason")}
    return {**dict.fromkeys(COLUMNS), "trade_id": ":".join(str(part) for part in parts if part not in (None, "")),
            # A perpetual is written BTC/USDT:USDT.
            "symbol": pair.split(":")[0].replace("/", "") if isinstance(pair, str) else pair,
            "side": "short" if trade.get("is_short") is True or trade.get("direction") == "short" else "long",
            "open_date": opened, "entry_price": first("open_rate"), "size": first("amount"), **outcome}


def _profit(first: Any, scale: float) -> Any:
    """The ratio under whichever name it has; from the absolute profit and the stake where there is none."""
    ratio = first("profit_ratio", "close_profit")
    if ratio is not None:
        return ratio
    percent = first("profit_percent")
    if _number(percent):
        return percent * scale
    percent = first("profit_pct", "close_profit_pct")
    if _number(percent):
        return percent / 100
    earned, stake = first("profit_abs", "close_profit_abs"), first("stake_amount")
    return earned / stake if _number(earned) and _number(stake) and stake else None


def _percent_scale(trades: list[Mapping[str, Any]]) -> float:
    """What ``profit_percent`` has to be multiplied with to be a ratio: the exports of 2020 wrote a ratio under that
    name, later dumps percent. The prices tell which: one of the two lies near what they moved, fees aside."""
    misses: dict[float, list[float]] = {1.0: [], 0.01: []}
    for trade in trades:
        entry, left, said = (trade.get(name) for name in ("open_rate", "close_rate", "profit_percent"))
        if _number(entry) and _number(left) and _number(said) and entry:
            moved = (left / entry - 1) * (-1 if trade.get("is_short") is True else 1)
            for scale, miss in misses.items():
                miss.append(abs(said * scale - moved))
    if not misses[1.0] or statistics.median(misses[1.0]) <= statistics.median(misses[0.01]):
        return 1.0
    return 0.01


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
