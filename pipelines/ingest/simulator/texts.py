"""News and posts written from templates of ours, in which a sentiment lexicon can read the tone.

Templates of tone 1 and -1 carry words of the general VADER lexicon (and some of the trade's slang); templates of
tone 0 carry none. ``{coin}`` is filled with the cashtag or the name of a coin; texts about the whole market name no
coin. Sentences are short: one opinion each, so that the mean over a few documents follows the mood.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pipelines.ingest.simulator.streams import Coin, Floats, Ints, Objects

POSTS: dict[int, tuple[str, ...]] = {
    1: (
        "I love how {coin} looks today, great strength",
        "{coin} is winning. So happy I kept my bag!",
        "really optimistic about {coin}, best chart I have seen this month",
        "{coin} to the moon, amazing week and a great team",
        "feeling confident in {coin}, bullish and happy",
        "huge profit on {coin} this morning, wonderful",
        "what a beautiful breakout on {coin}! congrats holders",
        "{coin} gains keep coming, this is awesome",
        "excited for {coin}, excellent progress from the builders",
        "strong hands win. {coin} looks fantastic here",
        "good morning, {coin} is strong and I am thrilled",
        "bought more {coin}, super optimistic and very bullish",
    ),
    0: (
        "anyone else watching {coin} this afternoon?",
        "which wallet do you use for {coin}?",
        "{coin} sits where it was an hour ago",
        "reading the {coin} docs, page twelve",
        "moved my {coin} to another address today",
        "how many confirmations does {coin} take on your exchange?",
        "{coin} volume by hour, chart in the thread",
        "what time is the {coin} call on Thursday?",
        "looking at the {coin} order book again",
        "my {coin} node runs version 18 right now",
    ),
    -1: (
        "{coin} is terrible today, I lost a lot and I am angry",
        "panic everywhere in {coin}, this looks like a disaster",
        "I am worried about {coin}, very weak and ugly chart",
        "{coin} holders got rekt, awful week",
        "sad to say it: {coin} is a bad bet, losing hope",
        "fear in {coin} is real, bearish and scared",
        "horrible dump on {coin}, worst hour of the month",
        "{coin} crash again, painful loss for me",
        "I hate this {coin} chart, failure after failure",
        "another scam rumor about {coin}, terrible news",
        "{coin} bleeding, capitulation and panic",
        "selling my {coin}, bearish, the risk is awful",
    ),
}
NEWS: dict[int, tuple[tuple[str, str], ...]] = {
    1: (
        ("{coin} wins strong support from a large fund", "Analysts call the outlook for {coin} excellent and praise "
         "its impressive growth."),
        ("Optimism returns as {coin} gains", "Traders are confident and happy about {coin} after a great session."),
        ("{coin} upgrade a success", "The launch of the {coin} upgrade was a big success, and users welcome better "
         "and safer transfers."),
        ("Record profit for firms that hold {coin}", "Strong results boost confidence in {coin}, a positive surprise "
         "for investors."),
        ("{coin} adoption grows, users thrilled", "Merchants are excited about {coin}, and partners trust its "
         "brilliant engineering."),
        ("Bullish week for {coin}", "A strong rally rewards patient holders of {coin}; the best may come."),
    ),
    0: (
        ("{coin} developers publish the agenda of their meeting", "The call about {coin} takes place on Wednesday."),
        ("What the {coin} calendar holds", "Dates of the coming {coin} releases and meetings."),
        ("{coin} trades near its weekly average", "The price of {coin} moved by a few basis points over the day."),
        ("How {coin} transactions are ordered", "An explainer on how {coin} processes transactions."),
        ("Exchange lists a new {coin} pair", "Trading of the {coin} pair begins on Monday at noon."),
    ),
    -1: (
        ("{coin} hit by panic selling", "Fear grips holders of {coin} after a terrible session with heavy losses."),
        ("Lawsuit threatens {coin}", "Regulators accuse a {coin} firm of fraud, and investors are worried."),
        ("{coin} outage angers users", "A critical failure stopped {coin} transfers, a disaster for trust."),
        ("Weak demand hurts {coin}", "Analysts warn of bad days for {coin}: demand is poor and losses are painful."),
        ("Hackers steal {coin} from an exchange", "The theft is the worst of the year, and victims of the attack on "
         "{coin} wallets fear for their savings."),
        ("Bearish mood around {coin}", "Traders are scared of a crash in {coin} and doubt any recovery."),
    ),
}
MARKET = "the crypto market"
#: Neutral endings that make texts differ.
TAILS = ("", ".", " (UTC)", " today", " fwiw", " imo", " tbh", " again", " right now", " - thread", " since noon",
         " this hour", " as of now", " on the hourly", " in Asia hours", " at the open")
_KEYS = (1, 0, -1)


@lru_cache(maxsize=4)
def _phrases(coins: tuple[Coin, ...]) -> tuple[Objects, Objects, Objects]:
    """Every template filled for every subject and both ways of naming it.

    Posts, titles and bodies of news, each of shape (tone, subject, form, template); shorter template lists repeat.
    """
    forms = [(f"${coin.code}", coin.name or f"${coin.code}") for coin in coins] + [(MARKET, MARKET)]

    def fill(templates: dict[int, tuple[str, ...]]) -> Objects:
        width = int(np.lcm.reduce([len(templates[tone]) for tone in _KEYS]))
        return np.array([[[[templates[tone][i % len(templates[tone])].format(coin=name) for i in range(width)]
                           for name in pair] for pair in forms] for tone in _KEYS], dtype=object)

    return (fill(POSTS), fill({tone: tuple(title for title, _ in NEWS[tone]) for tone in _KEYS}),
            fill({tone: tuple(body for _, body in NEWS[tone]) for tone in _KEYS}))


def write(coins: tuple[Coin, ...], subject: Ints, tone: Ints, news: Ints, draw: Floats) -> tuple[Objects, Objects]:
    """Titles (None for posts) and texts.

    Args:
        subject, tone, news: shape (documents,); see ``mood.Documents``.
        draw: uniform numbers, shape (documents, 3): form, template, tail.
    """
    posts, titles, bodies = _phrases(coins)
    row = 1 - tone
    # Cashtags are the habit of posts; half of the rest is by name.
    form = (draw[:, 0] > 0.6).astype(np.int64)

    def pick(table: Objects) -> Objects:
        return np.asarray(table[row, subject, form, (draw[:, 1] * table.shape[-1]).astype(np.int64)])

    tails = np.array(TAILS, dtype=object)[(draw[:, 2] * len(TAILS)).astype(np.int64)]
    is_news = news == 1
    text = np.where(is_news, pick(bodies), pick(posts) + tails)
    title = pick(titles)
    title[~is_news] = None
    return title, text
