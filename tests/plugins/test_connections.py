"""Airflow Connections fill the settings of the sources; without one the environment counts; no value is ever shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.config import Settings
from pipelines.errors import ConfigError, SourceError
from pipelines.ingest import providers
from tidemark_airflow import connections, history
from tidemark_airflow.context import work

SECRET = "s3cr3t-0123456789"


def conn(**said: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"host": None, "schema": None, "port": None, "login": None, "password": None,
                              "extra": None, **said})


def test_every_source_with_settings_is_known() -> None:
    networked = [name for name in providers.PROVIDERS if name in Settings.model_fields and name != "simulator"]
    assert sorted(connections.SOURCES) == sorted(networked)
    for name, setting in (*connections.LOGINS.items(), *connections.PASSWORDS.items()):
        assert setting in type(getattr(Settings(), name)).model_fields


@pytest.mark.parametrize(("name", "said", "expected"), [
    ("x", {"password": SECRET}, {"token": SECRET}),
    ("newsapi", {"password": SECRET, "extra": '{"query": "gold", "page": 50}'},
     {"key": SECRET, "query": "gold", "page": 50}),
    ("reddit", {"login": "reader", "password": SECRET, "host": "oauth.example", "extra":
                '{"login": "https://www.example"}'},
     {"client_id": "reader", "client_secret": SECRET, "url": "https://oauth.example", "login": "https://www.example"}),
    ("exchange", {"host": "http://127.0.0.1", "port": 8099}, {"url": "http://127.0.0.1:8099"}),
    ("cboe", {"host": "mirror.example", "schema": "http", "port": 81}, {"url": "http://mirror.example:81"}),
    ("rss", {"extra": '{"feeds": "https://a.example/x"}'}, {"feeds": "https://a.example/x"}),
    ("equities", {}, {}),
])
def test_what_a_connection_says(name: str, said: dict[str, Any], expected: dict[str, Any]) -> None:
    assert connections.fields(name, conn(**said)) == expected
    made = connections.applied(name, Settings(), {connections.PREFIX + name: conn(**said)}.get)
    for field, value in expected.items():
        found = getattr(getattr(made, name), field)
        assert (found.get_secret_value() if hasattr(found, "get_secret_value") else found) == value


def test_it_wins_field_by_field_and_touches_no_other_source() -> None:
    settings = Settings(x={"token": "old", "query": "mine"}, newsapi={"key": "other"})
    made = connections.applied("simulator, x,newsapi", settings, {"tidemark_x": conn(password=SECRET)}.get)
    assert (made.x.token.get_secret_value(), made.x.query) == (SECRET, "mine")
    assert made.newsapi == settings.newsapi
    assert settings.x.token.get_secret_value() == "old"


def test_only_the_sources_that_are_asked_are_looked_up() -> None:
    asked: list[str] = []
    connections.applied("files,x", Settings(), lambda conn_id: asked.append(conn_id))
    assert asked == ["tidemark_x"]


@pytest.mark.parametrize(("name", "said", "match"), [
    ("cboe", {"password": SECRET}, "tidemark_cboe has a password, but the source cboe knows none"),
    ("x", {"login": "me"}, "tidemark_x has a login"),
    ("rss", {"host": "a.example"}, "tidemark_rss says url, which the source rss has no setting for; it has feeds"),
    ("x", {"extra": SECRET}, "extra of the Connection tidemark_x is no JSON object"),
    ("x", {"extra": json.dumps([SECRET])}, "extra of the Connection tidemark_x is no JSON object"),
    ("x", {"extra": json.dumps({"page": SECRET})}, "tidemark_x is refused: page: Input should be a valid integer"),
    ("x", {"host": f"https://u:{SECRET}@a.example"}, "tidemark_x is refused: url: .*credentials"),
])
def test_what_makes_no_sense_is_named_and_not_shown(name: str, said: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as info:
        connections.applied(name, Settings(), lambda conn_id: conn(**said))
    assert SECRET not in str(info.getrepr(chain=True, style="native"))


def test_a_real_connection_reaches_the_provider_of_a_task(offline: Settings, in_task: Callable[..., Any],
                                                          monkeypatch: pytest.MonkeyPatch,
                                                          caplog: pytest.LogCaptureFixture) -> None:
    """Through Airflow's own secrets backends, as it is set for a worker."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AIRFLOW_CONN_TIDEMARK_X", json.dumps({
        "conn_type": "http", "host": "http://127.0.0.1", "port": 9, "password": SECRET, "extra": {"page": 20}}))
    in_task("bootstrap", params={"source": "x"})
    with work() as w:
        provider = history.source(w)
    assert provider.name == "x"
    assert provider._token.get_secret_value() == SECRET
    assert (provider._settings.url, provider._settings.page) == ("http://127.0.0.1:9", 20)
    assert SECRET not in f"{provider._settings!r} {caplog.text}"
    from pipelines.contracts.columns import Kind
    from pipelines.contracts.window import Window

    provider._options = provider._options.model_copy(update={"attempts": 1})
    with pytest.raises(SourceError) as info:
        provider.fetch(Window.day("2024-01-01"), [Kind.DOCUMENTS])
    assert SECRET not in f"{info.getrepr(style='native')} {caplog.text}"


def test_without_a_connection_the_environment_counts(offline: Settings, in_task: Callable[..., Any],
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_TIDEMARK_X", raising=False)
    in_task("bootstrap", params={"source": "x"})
    with work() as w, pytest.raises(ConfigError, match="TIDEMARK_X__TOKEN"):
        history.source(w)
