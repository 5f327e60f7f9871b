"""Which assets a text speaks about, and how.

Evidence, from strong to weak: a cashtag (``$SOL``, any case), a hashtag, a pair (``SOLUSDT``, ``SOL/USD``), a name
("Solana"), a ticker. Tickers and names that are also everyday words count only when they are written as tickers and
names are (``SOL``, ``Ripple``), and, where even that is not enough (``LINK``, or any text in capitals), only when
the text speaks about markets elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from pipelines.contracts.ports import FloatArray

#: Compound at or beyond which a text is bullish or bearish: the thresholds of Hutto & Gilbert (2014).
THRESHOLD = 0.05
BULLISH, BEARISH, NEUTRAL = "bullish", "bearish", "neutral"

_QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USD", "EUR", "GBP", "BTC", "ETH", "BNB")

#: Base ticker → names that mean it in any writing ("bitcoin"), lower case.
_NAMES: dict[str, tuple[str, ...]] = {
    "BTC": ("bitcoin", "bitcoins", "xbt", "satoshis", "sats"), "ETH": ("ethereum", "ether"),
    "SOL": ("solana",), "ADA": ("cardano",), "XRP": ("ripplenet", "xrp ledger"),
    "BNB": ("binance coin", "bnb chain", "binance smart chain"), "DOGE": ("dogecoin", "dogecoins"),
    "DOT": ("polkadot",), "LTC": ("litecoin",), "AVAX": (), "LINK": ("chainlink",), "MATIC": ("polygon matic",),
    "TRX": ("tronix",), "UNI": ("uniswap",), "ATOM": ("cosmos hub",), "XLM": ("stellar lumens",),
    "ETC": ("ethereum classic",), "XMR": ("monero",), "BCH": ("bitcoin cash",), "BSV": ("bitcoin sv",),
    "ALGO": ("algorand",), "VET": ("vechain",), "FIL": ("filecoin",), "ICP": ("internet computer",),
    "HBAR": ("hedera",), "NEAR": ("near protocol",), "SHIB": ("shiba inu",), "AXS": ("axie infinity",),
    "MANA": ("decentraland",), "XTZ": ("tezos",), "AAVE": (), "WBTC": ("wrapped bitcoin",), "ZEC": ("zcash",),
    "STETH": ("lido staked ether", "staked ether"),
}
#: Names that are everyday words in lower case: they count with a capital letter.
_CAPITAL_NAMES: dict[str, tuple[str, ...]] = {
    "XRP": ("Ripple",), "AVAX": ("Avalanche",), "MATIC": ("Polygon",), "TRX": ("Tron",), "XLM": ("Stellar",),
    "ATOM": ("Cosmos",),
}
#: Phrases in which such a word is no asset (in lower case).
_NOT_NAMES = re.compile(r"\bripples?\s+(?:effects?|through)\b|\bavalanche\s+of\b|\blinks?\s*:")
#: Tickers that no one writes for anything else: any case counts.
_PLAIN = frozenset({"BTC", "XRP", "BNB", "DOGE", "LTC", "XMR", "MATIC", "AVAX", "XLM", "TRX", "BCH", "HBAR", "SHIB",
                    "XTZ", "AAVE", "ETH", "BSV", "WBTC"})
#: Tickers that are words or abbreviations even in capitals (as all of one or two letters are): these need a text
#: about markets.
_WORDS = frozenset({"LINK", "ONE", "NEAR", "SAND", "MANA", "ATOM", "DOT", "FIL", "UNI", "ICP", "VET", "GRT", "ENJ",
                    "BAT", "COMP", "CRV", "CHZ", "DASH", "NEO", "OMG", "ETC", "MKR", "THETA", "ALGO", "ALL", "CAT",
                    "NOW", "KEY", "LOW", "COST", "WELL", "FAST"})
#: Tickers that are rare words: lower case counts, too, in a text about crypto.
_RARE_WORDS = frozenset({"SOL", "ADA"})
_CRYPTO_WORDS = (
    r"crypto\w*|bitcoin|btc|ethereum|eth|altcoins?|coins?|tokens?|blockchains?|defi|nfts?|stak(?:e|ed|ing)|"
    r"hodl\w*|binance|coinbase|kraken|usdt|usdc|stablecoins?|airdrop\w*|mainnet|dapps?|satoshi|halving")
_MARKET_WORDS = (
    r"bull(?:ish|run|s)?|bear(?:ish|s)?|long|short|pump\w*|dump\w*|moon\w*|market\s?cap|trad(?:e|er|ers|ing)|ath|"
    r"prices?|charts?|breakouts?|resistance|support|wallets?")
_CRYPTO = re.compile(rf"\b(?:{_CRYPTO_WORDS})\b|\$[A-Za-z]{{2,6}}\b", re.IGNORECASE)
_MARKET = re.compile(rf"\b(?:{_CRYPTO_WORDS}|{_MARKET_WORDS})\b|\$[A-Za-z]{{2,6}}\b", re.IGNORECASE)


def base_of(symbol: str) -> str:
    """The asset of a symbol: ``BTC`` of ``BTCUSDT``, ``BTC/USD``, ``BTC-PERP``; a share's ticker stays as it is."""
    head, *rest = re.split(r"[/\-_:]", symbol.upper())
    if rest:
        return head
    return next((head[:-len(quote)] for quote in _QUOTES if head.endswith(quote) and len(head) > len(quote) + 1), head)


class Finder:
    """Finds mentions of ``symbols`` (as the bars name them); a base that several symbols share yields all of them."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self._symbols: dict[str, tuple[str, ...]] = {}
        for symbol in sorted(set(symbols)):
            base = base_of(symbol)
            self._symbols[base] = (*self._symbols.get(base, ()), symbol)
        # All known names take part, also of assets without bars: "bitcoin cash" must not count for BTC.
        self._names = {name: base for base, names in _NAMES.items() for name in names}
        self._capitals = {name.lower(): base for base, names in _CAPITAL_NAMES.items() for name in names}
        self._name = re.compile(rf"(?<![\w$])(?:{_any_of(self._names)})(?!\w)")
        self._capital = re.compile(rf"(?<![\w$])(?:{_any_of(self._capitals)})(?!\w)")
        bases = (base.lower() for base in {*self._symbols, *_NAMES})
        self._ticker = re.compile(
            rf"(?<![\w.@])(?P<mark>[$#]?)(?P<base>{_any_of(bases)})"
            rf"(?P<quote>[/\-]?(?:{_any_of(quote.lower() for quote in _QUOTES)}))?(?![\w@])")

    def find(self, text: str) -> tuple[str, ...]:
        """The symbols that ``text`` mentions, sorted, each once."""
        # Matching in lower case is several times quicker than matching in any case. Places in both texts stay the
        # same: the one letter whose lower case is longer is taken out, and what is used up is blanked.
        text = text.replace("\u0130", "I")
        lower = _NOT_NAMES.sub(_blank, text.lower())
        found: set[str] = set()

        def take_name(match: re.Match[str]) -> str:
            found.add(self._names[" ".join(match.group().split())])
            return _blank(match)

        lower = self._name.sub(take_name, lower)
        # Capitals tell nothing in a text that has only them.
        shouting = text.isupper()
        if not shouting:
            found.update(self._capitals[match.group()] for match in self._capital.finditer(lower)
                         if text[match.start()].isupper())
        for match in self._ticker.finditer(lower):
            base, written = match["base"].upper(), text[match.start("base"):match.end("base")]
            if base not in found and self._is_meant(match, base, written, text, shouting):
                found.add(base)
        return tuple(sorted(symbol for base in found for symbol in self._symbols.get(base, ())))

    @staticmethod
    def _is_meant(match: re.Match[str], base: str, written: str, text: str, shouting: bool) -> bool:
        tagged = match["mark"] == "$" or (match["mark"] == "#" and base not in _WORDS)
        if tagged or match["quote"] or base in _PLAIN:
            return True
        if written.isupper():
            obvious = base not in _WORDS and len(base) > 2 and not shouting
            return obvious or _MARKET.search(text) is not None
        return base in _RARE_WORDS and written.islower() and _CRYPTO.search(text) is not None


def _any_of(names: Iterable[str]) -> str:
    """A pattern for any of these, the longest first; any white space between words."""
    return "|".join(r"\s+".join(map(re.escape, name.split())) for name in sorted(names, key=len, reverse=True))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


@lru_cache(maxsize=16)
def finder(symbols: tuple[str, ...]) -> Finder:
    """A cached finder for these symbols."""
    return Finder(symbols)


def labels(compound: FloatArray) -> np.ndarray:  # type: ignore[type-arg]
    """``bullish``, ``bearish`` or ``neutral`` per compound score, shape (rows,), dtype object."""
    return np.where(compound >= THRESHOLD, BULLISH, np.where(compound <= -THRESHOLD, BEARISH, NEUTRAL)).astype(object)


def mentions(texts: Sequence[str], compound: FloatArray, symbols: Iterable[str]) -> pd.DataFrame:
    """Mentions of ``symbols`` in ``texts``.

    Args:
        compound: (texts,) the texts' compound scores; each mention is labelled by its text's.

    Returns:
        Columns ``row`` (position of the text), ``symbol``, ``label``, ordered by (row, symbol).
    """
    find = finder(tuple(sorted(set(symbols)))).find
    label = labels(np.asarray(compound, dtype=np.float64))
    rows = [(at, symbol, label[at]) for at, text in enumerate(texts) for symbol in find(text)]
    return pd.DataFrame(rows, columns=["row", "symbol", "label"]).astype({"row": "int64", "symbol": object,
                                                                          "label": object})
