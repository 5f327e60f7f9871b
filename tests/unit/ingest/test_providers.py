"""The list of providers."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from pipelines import config
from pipelines.config import ROOT, Settings
from pipelines.contracts.columns import Kind
from pipelines.contracts.ports import Provider
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest import providers
from pipelines.ingest.files import FilesProvider
from pipelines.ingest.simulator import SimulatorProvider


def test_both_are_there(tmp_path):
    (tmp_path / "x.csv").write_text("t,value\n2021-06-10,1\n")
    (tmp_path / "source.toml").write_text(
        'name = "mine"\n[[file]]\npath = "x.csv"\nkind = "indicators"\nconstants = { name = "x" }\ntime = "t"\n'
        'available = "next_day"\n')
    assert isinstance(providers.create("simulator", Settings()), SimulatorProvider)
    files = providers.create("files", Settings(data_dir=tmp_path))
    assert isinstance(files, FilesProvider)
    assert files.kinds() == {Kind.INDICATORS}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="no source 'bloomberg'; there are: simulator, files"):
        providers.create("bloomberg", Settings())


def test_the_list_itself_loads_no_provider():
    code = ("import sys, pipelines.ingest.providers; "
            "assert not {'scipy', 'pyarrow.parquet', 'pipelines.ingest.simulator', 'pipelines.ingest.files', 'ccxt', "
            "'feedparser', 'httpx', 'pipelines.ingest.composite'} "
            "& set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_line_of_the_list_leads_to_its_provider():
    for name, place in providers.PROVIDERS.items():
        module, _, provider = place.partition(":")
        made = getattr(import_module(f"pipelines.ingest.{module}"), provider)
        assert made.name == name
        assert callable(made.from_settings)


NETWORK = ("exchange", "fear_greed", "cboe", "rss", "newsapi", "reddit", "x", "stocktwits", "equities")


@pytest.mark.parametrize("name", NETWORK)
def test_every_network_source_is_a_provider_that_asks_nothing_when_it_is_made(name):
    settings = Settings(rss={"feeds": "https://example.org/feed"}, newsapi={"key": "k"}, x={"token": "t"})
    provider = providers.create(name, settings)
    assert isinstance(provider, Provider)
    assert provider.name == name
    assert len(provider.kinds()) == 1
    assert provider.span() is None
    other = next(kind for kind in Kind if kind not in provider.kinds())
    assert provider.fetch(Window.day("2024-01-01"), [other]).frames == {}


@pytest.mark.parametrize("url", ["ftp://example.org", "https://user:password@example.org", "example.org"])
def test_addresses_are_of_the_web_and_hold_no_credentials(url):
    with pytest.raises(ConfigError, match="TIDEMARK_X__URL") as info:
        config.parse({"TIDEMARK_X__URL": url})
    assert "password@" not in str(info.value)


def test_secrets_do_not_show():
    settings = config.parse({"TIDEMARK_X__TOKEN": "s3cr3t", "TIDEMARK_NEWSAPI__KEY": "s3cr3t",
                             "TIDEMARK_REDDIT__CLIENT_SECRET": "s3cr3t"})
    assert "s3cr3t" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
