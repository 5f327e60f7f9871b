"""`tidemark notify` and `tidemark digest` against real servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import cli, config
from pipelines.errors import ConfigError
from pipelines.store import Warehouse, events
from tests.fixtures.mailbox import HookServer, MailServer
from tests.unit.notify.conftest import AS_OF, AT

Run = Callable[..., Any]


@pytest.fixture
def run(shared_warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", shared_warehouse.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))

    def invoke(*arguments: str, code: int = 0, **environment: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(f"TIDEMARK_{name}", value)
        config.settings.cache_clear()
        result = CliRunner().invoke(cli.app, list(arguments))
        if isinstance(result.exception, ConfigError):
            raise result.exception
        assert result.exit_code == code, result.output
        return str(result.stdout)

    yield invoke
    config.settings.cache_clear()


def test_a_test_message_goes_through_every_channel(run: Run, hook: HookServer,
                                                   mail_server: Callable[..., MailServer]) -> None:
    server = mail_server()
    mail = {"SMTP__HOST": "127.0.0.1", "SMTP__PORT": str(server.port), "SMTP__SECURITY": "none",
            "SMTP__SENDER": "t@example.org", "SMTP__RECIPIENTS": "ann@example.org"}
    out = run("notify", "test", WEBHOOK__URL=hook.url, **mail)
    assert out == "smtp: sent\nwebhook: sent\n"
    assert server.mails[0]["Subject"] == "[tidemark] Notifications work"
    assert hook.taken[0]["text"] == "Notifications work"
    server.faults.append(("MAIL", "550 5.7.1 not you"))
    hook.faults.append(404)
    out = json.loads(run("notify", "test", "--json", code=1))
    assert [(item["channel"], item["ok"]) for item in out] == [("smtp", False), ("webhook", False)]
    assert HookServer.SECRET not in json.dumps(out)
    assert run("notify", "test", "--channel", "webhook") == "webhook: sent\n"


def test_without_a_channel_the_remedy_is_named(run: Run) -> None:
    with pytest.raises(ConfigError, match="TIDEMARK_SMTP__HOST or TIDEMARK_WEBHOOK__URL"):
        run("notify", "test")


def test_the_digest_is_shown_and_sent(run: Run, hook: HookServer) -> None:
    shown = run("digest", "--as-of", "2026-03-01")
    assert shown.startswith("The day to 2026-03-01 00:00 UTC\n")
    assert "direction_1h:" in shown
    made = json.loads(run("digest", "--as-of", "2026-03-01", "--json"))
    assert made["as_of"] == AS_OF.isoformat()
    assert {line["line"] for line in made["lines"]} >= {"direction_1h", "volatility_24h"}
    assert "webhook: sent" in run("digest", "--send", WEBHOOK__URL=hook.url)
    assert hook.taken[0]["text"].startswith("The day to ")


def test_a_round_by_hand_and_what_was_told(run: Run, hook: HookServer, shared_warehouse: Warehouse) -> None:
    run("notify", "run", WEBHOOK__URL=hook.url, NOTIFY__DIGEST="false")
    with shared_warehouse.begin() as connection:
        events.record(connection, at=AT, kind="stale", detail={"kind": "bars", "series": "S1", "age_hours": 9.0})
    done = json.loads(run("notify", "run", "--json"))
    assert (len(done["found"]), done["delivered"][0]["messages"]) == (1, 1)
    assert hook.taken[0]["text"] == "bars of S1 went silent"
    (row,) = json.loads(run("notify", "list", "--json"))
    assert row["deliveries"] == {"webhook": "sent"}
    assert json.loads(run("notify", "list", "--waiting", "--json")) == []
    with shared_warehouse.begin() as connection:
        events.record(connection, at=AT, kind="stale", detail={"kind": "bars", "series": "S2", "age_hours": 9.0})
    hook.faults.append(404)
    shown = run("notify", "run", code=1)
    assert shown.startswith("1 new notice\nwebhook: 0 messages about 0 notices; the webhook at 127.0.0.1 refused: HTTP")
