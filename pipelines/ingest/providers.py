"""The providers there are. A new one is one file (or package) and one line here."""

from __future__ import annotations

from importlib import import_module

from pipelines.config import Settings
from pipelines.contracts.ports import Provider
from pipelines.errors import ConfigError

#: Name → its class, with ``from_settings``. Imported when it is asked for: a provider's libraries load only then.
PROVIDERS: dict[str, str] = {
    "simulator": "simulator:SimulatorProvider",
    "files": "files:FilesProvider",
    "exchange": "exchange:ExchangeProvider",
    "fear_greed": "fear_greed:FearGreedProvider",
    "cboe": "cboe:CboeProvider",
    "rss": "rss:RssProvider",
    "newsapi": "newsapi:NewsApiProvider",
    "reddit": "reddit:RedditProvider",
    "x": "x:XProvider",
    "stocktwits": "stocktwits:StockTwitsProvider",
    "equities": "equities:EquitiesProvider",
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
    module, _, provider = PROVIDERS[name].partition(":")
    made: Provider = getattr(import_module(f"pipelines.ingest.{module}"), provider).from_settings(settings)
    return made
