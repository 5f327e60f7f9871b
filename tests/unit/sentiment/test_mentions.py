"""Who is meant: cashtags, pairs, names and tickers, and everyday words that only look like them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.sentiment.mentions import Finder, base_of, labels, mentions

CODES = ["BTC", "ETH", "SOL", "ADA", "XRP", "BNB", "DOGE", "LINK", "AVAX", "NEAR", "DOT", "LTC", "ETC", "ONE"]
FINDER = Finder([f"{code}USDT" for code in CODES])


def found(text: str) -> list[str]:
    return [symbol.removesuffix("USDT") for symbol in FINDER.find(text)]


@pytest.mark.parametrize(("text", "expected"), [
    # cashtags and hashtags, any case
    ("$BTC to 100k", "BTC"), ("$btc to 100k", "BTC"), ("long $sol", "SOL"), ("$ada, $link and $dot", "ADA DOT LINK"),
    ("#doge army", "DOGE"), ("#SOL summer", "SOL"), ("$BTC/$ETH ratio", "BTC ETH"),
    # pairs
    ("BTCUSDT perp funding", "BTC"), ("ETH/BTC at a low", "ETH"), ("SOL-USD chart", "SOL"), ("linkusdt listed", "LINK"),
    # names, any case
    ("Bitcoin is king", "BTC"), ("i like bitcoin", "BTC"), ("BITCOIN!", "BTC"), ("ethereum merge", "ETH"),
    ("Solana outage", "SOL"), ("cardano (ada) roadmap", "ADA"), ("dogecoin, litecoin", "DOGE LTC"),
    ("Chainlink oracles", "LINK"), ("polkadot parachains", "DOT"), ("binance coin burn", "BNB"),
    ("ethereum classic hash rate", "ETC"), ("NEAR Protocol raises", "NEAR"),
    # names that are words: with a capital
    ("Ripple wins in court", "XRP"), ("Avalanche launches a subnet", "AVAX"),
    # plain tickers, any case
    ("btc and eth", "BTC ETH"), ("xrp holders", "XRP"), ("my bnb", "BNB"), ("BTC-related news", "BTC"),
    # ambiguous tickers: written as tickers, or in a text about crypto
    ("SOL is flying", "SOL"), ("ADA to 5 soon", "ADA"), ("staking my sol on coinbase", "SOL"),
    ("moved coins: btc, ada", "ADA BTC"), ("LINK price breaks resistance", "LINK"),
    ("I am long NEAR and DOT", "DOT NEAR"), ("THE SOL PRICE IS HOT", "SOL"),
])
def test_mentioned(text: str, expected: str) -> None:
    assert found(text) == expected.split()


@pytest.mark.parametrize("text", [
    "sol y sombra", "the sol of Peru fell", "Ada Lovelace wrote the first program", "my aunt ada",
    "click the link to claim tokens", "CLICK THE LINK", "LINK: https://example.org", "near the top of the range",
    "one more time", "ONE MORE TIME", "connect the dots", "etc.", "bitcoin cash forks again", "Bitcoin SV",
    "ripple effects of the ban", "the Ripple effect", "an avalanche of news", "together with a method",
    "www.sol.com", "follow @sol and @btc", "solar and soldier", "weth wrapped", "ethernet cable", "adage",
    "THE SOL IS HOT", "dogeared book", "linked in", "",
])
def test_not_mentioned(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(("symbol", "base"), [
    ("BTCUSDT", "BTC"), ("ETHBTC", "ETH"), ("BTC/USD", "BTC"), ("BTC-PERP", "BTC"), ("SOL_EUR", "SOL"),
    ("solusdc", "SOL"), ("AAPL", "AAPL"), ("USDT", "USDT"), ("BTC", "BTC"), ("GE", "GE"), ("AXSUSDT", "AXS")])
def test_base_of(symbol: str, base: str) -> None:
    assert base_of(symbol) == base


def test_all_symbols_of_a_base_are_meant() -> None:
    assert Finder(["BTCUSDT", "BTCEUR", "ETHUSDT"]).find("bitcoin") == ("BTCEUR", "BTCUSDT")


def test_only_symbols_that_are_there() -> None:
    assert Finder(["ETHUSDT"]).find("bitcoin and ethereum") == ("ETHUSDT",)
    assert Finder([]).find("$BTC") == ()


def test_shares_by_cashtag_or_capitals() -> None:
    finder = Finder(["AAPL", "T", "CAT"])
    assert finder.find("$AAPL beats, $T falls") == ("AAPL", "T")
    assert finder.find("my cat, not a stock") == ()
    assert finder.find("bought AAPL today") == ("AAPL",)


@pytest.mark.parametrize(("compound", "label"), [
    (1.0, "bullish"), (0.05, "bullish"), (0.0499, "neutral"), (0.0, "neutral"), (-0.0499, "neutral"),
    (-0.05, "bearish"), (-1.0, "bearish")])
def test_label_thresholds(compound: float, label: str) -> None:
    assert labels(np.array([compound])).tolist() == [label]


def test_mentions_frame() -> None:
    frame = mentions(["bitcoin and eth", "nothing", "$SOL"], np.array([0.9, 0.0, -0.9]),
                     ["BTCUSDT", "ETHUSDT", "SOLUSDT"])
    pd.testing.assert_frame_equal(frame, pd.DataFrame({
        "row": [0, 0, 2], "symbol": ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "label": ["bullish", "bullish", "bearish"]},
    ).astype({"symbol": object, "label": object}))
    assert mentions([], np.array([]), ["BTCUSDT"]).empty


def test_hostile_text_is_bounded() -> None:
    assert FINDER.find("$" * 100_000 + " btc " + "a b " * 50_000) == ("BTCUSDT",)
