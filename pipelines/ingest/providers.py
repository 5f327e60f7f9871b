"""The providers there are. A new one is one file (or package) and one line here."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.config import Settings
from pipelines.contracts.ports import Provider
from pipelines.errors import ConfigError


def _simulator(settings: Settings) -> Provider:
    from pipelines.ingest.simulator import SimulatorProvider

    return SimulatorProvider(settings.simulator)


def _files(settings: Settings) -> Provider:
    from pipelines.ingest.files import FilesProvider

    return FilesProvider.from_settings(settings)


def _exchange(settings: Settings) -> Provider:
    from pipelines.ingest.exchange import ExchangeProvider

    return ExchangeProvider.from_settings(settings)


def _fear_greed(settings: Settings) -> Provider:
    from pipelines.ingest.fear_greed import FearGreedProvider

    return FearGreedProvider.from_settings(settings)


def _cboe(settings: Settings) -> Provider:
    from pipelines.ingest.cboe import CboeProvider

    return CboeProvider.from_settings(settings)


def _rss(settings: Settings) -> Provider:
    from pipelines.ingest.rss import RssProvider

    return RssProvider.from_settings(settings)


def _newsapi(settings: Settings) -> Provider:
    from pipelines.ingest.newsapi import NewsApiProvider

    return NewsApiProvider.from_settings(settings)


def _reddit(settings: Settings) -> Provider:
    from pipelines.ingest.reddit import RedditProvider

    return RedditProvider.from_settings(settings)


def _x(settings: Settings) -> Provider:
    from pipelines.ingest.x import XProvider

    return XProvider.from_settings(settings)


def _stocktwits(settings: Settings) -> Provider:
    from pipelines.ingest.stocktwits import StockTwitsProvider

    return StockTwitsProvider.from_settings(settings)


def _equities(settings: Settings) -> Provider:
    from pipelines.ingest.equities import EquitiesProvider

    return EquitiesProvider.from_settings(settings)


#: Name → how to make it. Imports happen inside, so that a provider's libraries load only when it is used.
PROVIDERS: dict[str, Callable[[Settings], Provider]] = {
    "simulator": _simulator,
    "files": _files,
    "exchange": _exchange,
    "fear_greed": _fear_greed,
    "cboe": _cboe,
    "rss": _rss,
    "newsapi": _newsapi,
    "reddit": _reddit,
    "x": _x,
    "stocktwits": _stocktwits,
    "equities": _equities,
}


def create(name: str, settings: Settings) -> Provider:
    """The provider called ``name``, or several as one: ``exchange,rss,fear_greed``.

    Raises:
        ConfigError: there is none, or its settings are wrong.
    """
    if "," in name:
        from pipelines.ingest.composite import CompositeProvider

        names = [part.strip() for part in name.split(",") if part.strip()]
        if len(set(names)) < len(names):
            raise ConfigError(f"the source {name!r} names a provider twice; name each once")
        return CompositeProvider([create(part, settings) for part in names])
    if name not in PROVIDERS:
        raise ConfigError(f"no source {name!r}; there are: {', '.join(PROVIDERS)} (TIDEMARK_SOURCE or --source)")
    return PROVIDERS[name](settings)
