"""Our words on top of VADER's: what crypto and finance people mean by them.

Weights use VADER's scale, -4 (extremely negative) to 4. Each entry carries its reason. A weight of 0 silences a
word of VADER's lexicon that names a thing in finance ("share", "interest") instead of a feeling. Phrases are read
as one word (see ``vader.Analyzer``), so "not to the moon" is negated like any other word.

In a phrase ``#`` stands for any number ("up # %"). An emoji is a word of its own. A cashtag is a name: ``$LOVE``
loves nobody. The table was written from the usage of the field, looking at errors on one half of the labelled texts
(``sentiment.quality``, half "seen"); nothing here was fitted to prices or to the other half.

Versioned: raise ``VERSION`` with every change, it is part of the scorer's lineage.
"""

from __future__ import annotations

VERSION = 2

#: reason → words (several forms of one word share its weight)
_WORDS: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("keeps holding through a fall: loyalty", 1.9, ("hodl", "hodling", "hodler", "hodlers", "hodled")),
    ("hands that do not sell, buyers of falls", 1.5, ("diamondhands", "btfd", "btd")),
    ("price to the moon", 2.3, ("moon", "mooning", "mooned", "moonshot", "lambo")),
    ("sharp rise; in a scheme the dump follows, hence not higher", 1.6, ("pump", "pumping", "pumped", "pumps")),
    ("expects a rise", 2.2, ("bullish", "bullrun", "moonboy")),
    ("the optimist's animal", 1.6, ("bull", "bulls")),
    ("all-time high", 2.2, ("ath", "aths")),
    ("we are all going to make it", 2.0, ("wagmi", "gmi")),
    ("sharp rise", 2.0, ("soar", "soars", "soared", "soaring", "skyrocket", "skyrockets", "skyrocketed",
                         "skyrocketing", "rocket", "rocketing", "parabolic")),
    ("prices rise", 1.6, ("surge", "surges", "surged", "surging", "rally", "rallies", "rallied", "rallying", "rebound",
                   "rebounds", "rebounded", "uptrend", "breakout", "upside", "outperform", "outperforms",
                   "outperformed", "uptick")),
    ("moderate rise", 1.1, ("climb", "climbs", "climbed", "climbing", "rises", "rose", "rising", "higher",
                            "recovers", "recovered", "recovery", "jumped", "jumps")),
    ("demand for the asset", 1.0, ("buy", "buying", "accumulate", "accumulating", "accumulation", "inflow",
                                   "inflows", "undervalued", "oversold", "longs")),
    ("use and acceptance grow", 1.3, ("adoption", "adopts", "adopted", "mainstream", "partnership", "upgrade",
                                      "upgraded", "approved", "approves", "listing", "halving")),
    ("good results", 1.7, ("profitable", "profitability", "beats", "exceeds", "exceeded", "earns", "savings")),
    ("doing well among traders", 1.6, ("gem", "alpha", "gains", "tendies", "lfg", "moonbag", "flippening")),
    ("wrecked: position lost", -2.9, ("rekt", "wrecked")),
    ("the makers ran off with the money", -3.2, ("rug", "rugged", "rugpull", "rugpulls")),
    ("fear, uncertainty, doubt spread on purpose", -1.6, ("fud", "fudding", "fudster")),
    ("expects a fall", -2.2, ("bearish",)),
    ("the pessimist's animal", -1.6, ("bear", "bears")),
    ("not going to make it", -2.0, ("ngmi",)),
    ("sharp selling", -2.2, ("dump", "dumps", "dumped", "dumping", "selloff", "sell-off", "capitulation",
                             "capitulate", "capitulated")),
    ("sharp fall", -2.2, ("plunge", "plunges", "plunged", "plunging", "plummet", "plummets", "plummeted",
                          "plummeting", "tumble", "tumbles", "tumbled", "tumbling", "nosedive", "bloodbath",
                          "meltdown", "crash", "crashes", "crashed", "crashing", "collapses", "collapsed")),
    ("prices fall", -1.4, ("downtrend", "downside", "slump", "slumps", "slumped", "falls", "fell", "falling", "drops",
                    "dropped", "dropping", "declines", "declined", "declining", "slides", "slid", "sank", "sinks",
                    "tank", "tanks", "tanked", "tanking", "underperform", "downgrade", "downgraded")),
    ("moderate fall", -0.8, ("dip", "dips", "dipped", "lower", "correction", "pullback", "retreats", "retreated")),
    ("supply presses on the price", -0.9, ("sell", "selling", "outflow", "outflows", "overvalued", "overbought",
                                           "shorts", "shorting", "shorted")),
    ("forced closing of positions", -1.9, ("liquidated", "liquidation", "liquidations", "margincall")),
    ("insolvency", -2.8, ("insolvent", "insolvency", "bankruptcy", "default", "defaults", "defaulted", "depeg",
                          "depegged")),
    ("fraud and theft", -2.8, ("ponzi", "hack", "hacked", "hackers", "exploit", "exploited", "exploits", "phishing",
                               "laundering", "stolen", "drained", "scamcoin", "shitcoin", "shitcoins")),
    ("law against the asset", -1.7, ("lawsuit", "sued", "sues", "subpoena", "crackdown", "bans", "indicted",
                                     "sanctions", "sanctioned")),
    ("fear of missing out: bought too high", -0.7, ("fomo", "bagholder", "bagholders", "paperhands")),
    ("macro bad news", -1.5, ("recession", "stagflation", "contagion", "halted", "halts", "delisted", "delisting",
                              "layoffs")),
    ("figures in reports go up", 1.3, ("increased", "increase", "increases", "increasing", "grew", "grow", "grows",
                                       "grown", "growing", "rise", "risen", "expanded", "expands", "gained",
                                       "strengthened", "strengthens", "doubled", "tripled", "bottomed")),
    ("figures in reports go down", -1.4, ("decreased", "decrease", "decreases", "decreasing", "decline", "drop",
                                          "fall", "fallen", "slipped", "slips", "shrank", "shrunk", "shrinks",
                                          "weakened", "weakens", "weaker", "contracted", "halved", "slowdown",
                                          "downturn", "erased")),
    ("a loss that becomes smaller", 1.6, ("narrowed", "narrows", "narrower")),
    ("a loss that becomes larger", -1.0, ("widened", "widens")),
    ("wanted goods: good for who sells them", 0.6, ("demand",)),
    ("an item of the income statement: the verb beside it decides", 0.3, ("profit", "profits")),
    ("an item of the balance sheet: no verdict alone", -0.4, ("debt", "debts")),
    ("a contract signed, no harmony", 0.3, ("agreement", "agreements")),
    ("talking a coin up, or oneself into it", -1.1, ("shill", "shills", "shilled", "shilling", "copium", "hopium",
                                                    "cope")),
    ("a trap for buyers", -2.6, ("honeypot", "honeypots", "vaporware")),
    ("buying without much thought", 0.8, ("aped", "aping", "apeing")),
    # VADER's everyday sense is not meant in finance:
    ("a part of a company or a post, not generosity", 0.0, ("share", "shares", "shared", "sharing")),
    ("price of money", 0.0, ("interest",)),
    ("a data structure", 0.0, ("block", "blocks")),
    ("a price level, no help", 0.0, ("support", "supports")),
    ("before costs, not disgusting", 0.0, ("gross",)),
    ("a legal form", 0.0, ("trust", "security", "securities", "bond", "bonds")),
    ("a contract on a price", 0.0, ("option", "options", "future", "futures")),
    ("a coin's price pegged, no praise", 0.0, ("stable",)),
    ("an amount, no praise", 0.0, ("value", "values", "valued", "asset", "assets")),
    ("a product", 0.0, ("solution", "solutions")),
    ("a sector or a fuel", 0.0, ("energy", "crude")),
    ("lending", 0.0, ("credit", "credits")),
    ("a company's legal form", 0.0, ("limited",)),
    ("the index of the National Stock Exchange of India", 0.0, ("nifty",)),
    ("a pattern of chart readers, or a message", 0.0, ("harmonic", "harmonics", "alert", "alerts")),
)

_PHRASES: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("price leaves for the moon", 2.7, ("to the moon", "to the moon and back", "going to moon")),
    ("buy while it is cheap: confidence", 1.4, ("buy the dip", "buying the dip", "bought the dip",
                                                 "buy the fear")),
    ("hands that do not sell", 1.7, ("diamond hands", "diamond hand")),
    ("hands that sell at once", -1.2, ("paper hands", "weak hands")),
    ("record price", 2.2, ("all time high", "all time highs", "all-time high", "all-time highs", "record high",
                           "record highs", "new high", "new highs")),
    ("record low price", -2.2, ("all time low", "all time lows", "all-time low", "all-time lows", "record low",
                                "record lows", "new low", "new lows")),
    ("rise then fall by design", -2.6, ("pump and dump", "pump & dump", "pumps and dumps")),
    ("makers ran off with the money", -3.3, ("rug pull", "rug pulled", "rug pulls", "exit scam")),
    ("long rise", 2.2, ("bull run", "bull market", "bull flag", "golden cross", "green candle", "green candles")),
    ("long fall", -2.2, ("bear market", "bear flag", "death cross", "red candle", "red candles", "dead cat bounce",
                         "bull trap", "crypto winter", "falling knife")),
    ("a rise that punishes the pessimists", 1.4, ("short squeeze", "bear trap")),
    ("going up", 1.6, ("up only", "number go up", "lets go", "let's go", "price target raised")),
    ("deep loss", -2.3, ("bag holder", "holding the bag", "holding bags", "margin call", "margin called",
                         "going to zero", "blood in the streets", "lost everything", "bank run")),
    ("a quote above", 1.2, ("up #", "up by #", "up almost #", "up nearly #", "up over #", "up from", "went up",
                              "going up", "goes up", "moves up", "up on the year")),
    ("a quote below", -1.3, ("down #", "down by #", "down almost #", "down nearly #", "down over #", "down from",
                               "went down", "going down", "goes down", "moves down", "slow down", "slows down")),
    ("a steep fall, no diver or tank", -2.0, ("going to 0", "down bad", "down only")),
    ("a profit after a loss", 1.5, ("compared to a loss", "compared with a loss", "from a loss", "loss narrowed",
                                    "against a loss", "swung to a profit", "turned a profit", "back to profit")),
    ("a loss after a profit", -1.7, ("compared to a profit", "compared with a profit", "from a profit",
                                     "swung to a loss", "profit warning", "loss widened")),
    ("better than expected", 1.8, ("earnings beat", "beats estimates", "beat estimates", "beats expectations",
                                   "beat expectations", "raises guidance", "raised guidance", "target raised",
                                   "strong buy", "buy rating")),
    ("worse than expected", -1.8, ("earnings miss", "misses estimates", "missed estimates", "misses expectations",
                                   "missed expectations", "cuts guidance", "cut guidance", "lowers guidance",
                                   "target cut", "strong sell", "sell rating", "less than expected")),
    ("a chart reader expects a rise", 1.4, ("higher highs", "higher high", "higher lows", "higher low", "double bottom",
                                            "cup and handle", "buy signal", "go long", "going long", "went long")),
    ("a chart reader expects a fall", -1.4, ("lower highs", "lower high", "lower lows", "lower low", "double top",
                                             "head and shoulders", "sell signal", "go short", "going short",
                                             "went short", "blow off top", "blow-off top", "topped out")),
    ("collecting small parts of a bitcoin: confidence", 1.3, ("stack sats", "stacking sats", "stacked sats")),
    ("the buyer whom the seller waits for", -2.2, ("exit liquidity",)),
    ("the market is not honest", -1.9, ("wash trading", "market manipulation", "51% attack", "insider trading",
                                        "buy high sell low")),
    ("a firm at its end", -2.6, ("going concern", "chapter 11", "accounting irregularities", "dead coin")),
    ("open law case", -1.5, ("class action", "wells notice")),
    ("a thing with a charged word in its name", 0.0, ("support level", "resistance level",
                                                       "smart contract", "smart contracts", "smart chain",
                                                       "natural gas", "interest rate", "interest rates",
                                                       "fear and greed", "fear & greed", "fear and greed index",
                                                       "proof of stake", "proof of work", "as well as", "as well",
                                                       "responsible for", "number of", "fair value", "free cash flow",
                                                       "shares outstanding", "short interest", "falling wedge",
                                                       "home depot", "best buy", "risk free",
                                                       "wells fargo", "rising wedge", "profit and loss")),
)


_EMOJI: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("leaves for the moon", 2.2, ("🚀", "🌕", "🌝")),
    ("the optimist's animal", 1.6, ("🐂",)),
    ("the pessimist's animal", -1.6, ("🐻",)),
    ("hot, meant as praise; VADER reads a house on fire", 1.2, ("🔥",)),
    ("a stone that does not yield, hands that do not sell", 1.5, ("💎",)),
    ("arrows and charts up", 1.3, ("⬆", "🔼", "🟢", "📈")),
    ("arrows and charts down", -1.3, ("⬇", "🔽", "🔻", "📉")),
    ("blood in the streets, a bag that hurts", -1.8, ("🩸", "🧻")),
    ("wealth that is hoped for", 1.2, ("🤑", "💰", "💸")),
)


def words() -> dict[str, float]:
    """Lower-case word → valence."""
    return {word: weight for _, weight, group in _WORDS for word in group} | emoji()


def emoji() -> dict[str, float]:
    """Emoji (one character) → valence; part of ``words``."""
    return {character: weight for _, weight, group in _EMOJI for character in group}


def phrases() -> dict[tuple[str, ...], float]:
    """Words of a phrase, lower case → valence; at least two words each."""
    return {tuple(phrase.split()): weight for _, weight, group in _PHRASES for phrase in group}


def reasons() -> dict[str, str]:
    """Word or phrase → why it has its weight (for reports and docs)."""
    return {entry: reason for reason, _, group in (*_WORDS, *_EMOJI, *_PHRASES) for entry in group}
