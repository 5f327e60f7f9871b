"""Mail, spoken with a real SMTP server: TLS, logins, refusals, hang-ups, and no secret in anything that is said."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines import config
from pipelines.config_notify import Smtp
from pipelines.contracts.notices import Notice, Severity
from pipelines.errors import ChannelError, ChannelUnavailable, ConfigError
from pipelines.notify.smtp import SmtpChannel
from tests.fixtures.mailbox import MailServer

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "mail-secret-0123456789"
Servers = Callable[..., MailServer]
Certificate = tuple[ssl.SSLContext, Path]


def notice(key: str = "k1", title: str = "tide_1h: v3 is champion", severity: Severity = Severity.INFO) -> Notice:
    return Notice("champion", "tide_1h", severity, title, ("It is better: <b>0.01</b> & more.", "", "Änderung"), key,
                  AT, link="http://127.0.0.1:8080/dags/promote_tide_1h")


def channel(server: MailServer, **options: Any) -> SmtpChannel:
    base = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": "tidemark@example.org",
            "recipients": "ann@example.org, ben@example.org", "timeout": 2}
    return SmtpChannel(Smtp.model_validate(base | options), at=AT)


def secure(server: MailServer, certificate: Certificate, **options: Any) -> SmtpChannel:
    return channel(server, **{"security": "starttls", "ca_file": certificate[1], "username": "ann",
                              "password": SECRET} | options)


def test_a_mail_arrives_whole(mail_server: Servers) -> None:
    server = mail_server()
    post = channel(server)
    post.send(notice(severity=Severity.CRITICAL))
    post.send(notice("k2", "another"))
    post.close()
    first, second = server.mails
    assert server.connections == 1
    assert server.envelopes[0][1] == ["ann@example.org", "ben@example.org"]
    assert first["Subject"] == "[tidemark!] tide_1h: v3 is champion"
    assert (first["From"], first["To"]) == ("tidemark@example.org", "ann@example.org, ben@example.org")
    assert first["Date"].datetime == AT
    assert first["Importance"] == "high"
    assert second["Importance"] is None
    assert first["Auto-Submitted"] == "auto-generated"
    plain = first.get_body(("plain",)).get_content()
    assert "It is better: <b>0.01</b> & more." in plain
    assert "http://127.0.0.1:8080/dags/promote_tide_1h" in plain
    page = first.get_body(("html",)).get_content()
    assert "&lt;b&gt;0.01&lt;/b&gt; &amp; more." in page
    assert "Änderung" in page
    assert server.heard[-1].upper() == "QUIT"


def test_copies_of_a_notice_have_one_message_id(mail_server: Servers) -> None:
    server = mail_server()
    for key in ("same", "same", "other"):
        post = channel(server)
        post.send(notice(key))
        post.close()
    one, again, other = (mail["Message-ID"] for mail in server.mails)
    assert one == again != other


def test_starttls_and_a_login(mail_server: Servers, certificate: Certificate) -> None:
    server = mail_server(certificate[0], users={"ann": SECRET})
    secure(server, certificate).send(notice())
    assert len(server.mails) == 1
    assert server.heard.index("STARTTLS") < next(
        number for number, line in enumerate(server.heard) if line.startswith("AUTH"))


def test_tls_from_the_first_byte(mail_server: Servers, certificate: Certificate) -> None:
    server = mail_server(certificate[0], implicit=True, users={"ann": SECRET})
    secure(server, certificate, security="ssl").send(notice())
    assert len(server.mails) == 1


def test_a_server_without_starttls_gets_neither_password_nor_mail(mail_server: Servers,
                                                                  certificate: Certificate) -> None:
    server = mail_server(users={"ann": SECRET})
    with pytest.raises(ChannelError, match="TIDEMARK_SMTP__SECURITY"):
        secure(server, certificate).send(notice())
    assert server.mails == []
    assert not [line for line in server.heard if line.startswith("AUTH")]


def test_a_certificate_that_nobody_trusts_is_refused(mail_server: Servers, certificate: Certificate) -> None:
    server = mail_server(certificate[0], users={"ann": SECRET})
    with pytest.raises(ChannelError, match="TIDEMARK_SMTP__CA_FILE") as info:
        secure(server, certificate, ca_file=None).send(notice())
    assert not info.value.retryable


def test_a_wrong_password_is_named_and_not_shown(mail_server: Servers, certificate: Certificate,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = mail_server(certificate[0], users={"ann": "another"})
    with pytest.raises(ChannelError, match=r"refused the login \(535.*check TIDEMARK_SMTP__USERNAME") as info:
        secure(server, certificate).send(notice())
    assert "***" in str(info.value)  # this server repeats the password
    assert SECRET not in f"{info.getrepr(chain=True, style='native')} {caplog.text}"


@pytest.mark.parametrize(("verb", "reply", "kind", "says"), [
    ("CONNECT", "421 4.3.2 too busy", ChannelUnavailable, "421"),
    ("EHLO", "cut", ChannelUnavailable, "cannot be reached right now"),
    ("MAIL", "451 4.3.0 later", ChannelUnavailable, "451 4.3.0 later"),
    ("MAIL", "550 5.7.1 not you", ChannelError, "TIDEMARK_SMTP__SENDER"),
    ("RCPT", "450 4.2.1 greylisted", None, ""),
    ("DATA", "452 4.3.1 disk full", ChannelUnavailable, "452"),
    ("BODY", "554 5.6.0 spam", ChannelError, "554 5.6.0 spam"),
    ("BODY", "cut", ChannelUnavailable, "cannot be reached right now"),
    ("DATA", "stall", ChannelUnavailable, "cannot be reached right now"),
])
def test_every_reply_says_whether_to_try_again(mail_server: Servers, verb: str, reply: str,
                                               kind: type[ChannelError] | None, says: str) -> None:
    """An address that is put off while the other is taken is a warning: a second mail would tell the other twice."""
    server = mail_server()
    server.faults.append((verb, reply))
    post = channel(server, timeout=0.3)
    if kind is None:
        post.send(notice())
        assert server.envelopes[0][1] == ["ben@example.org"]
        return
    with pytest.raises(ChannelError, match=says) as info:
        post.send(notice())
    assert type(info.value) is kind
    post.send(notice())  # the next one makes a new connection
    assert len(server.mails) == 1 + (reply == "cut" and verb == "BODY")


def test_when_nobody_of_the_recipients_exists(mail_server: Servers, caplog: pytest.LogCaptureFixture) -> None:
    server = mail_server()
    with pytest.raises(ChannelError, match=r"550 5.1.1 nobody.*TIDEMARK_SMTP__RECIPIENTS"):
        channel(server, recipients="nobody@example.org").send(notice())
    channel(server, recipients="nobody@example.org ann@example.org").send(notice())
    assert [to for _, to in server.envelopes] == [["ann@example.org"]]
    assert "nobody@example.org: 550" in caplog.text


def test_nobody_listens() -> None:
    post = SmtpChannel(Smtp(host="127.0.0.1", port=1, security="none", sender="a@b.c", recipients="a@b.c"), at=AT)
    with pytest.raises(ChannelUnavailable, match="is TIDEMARK_SMTP__HOST right"):
        post.send(notice())


def test_no_title_can_add_a_header(mail_server: Servers) -> None:
    server = mail_server()
    channel(server).send(notice(title="innocent\r\nBcc: eve@example.org\r\n\r\nbody"))
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[tidemark] innocent Bcc: eve@example.org body"


@pytest.mark.parametrize(("options", "says"), [
    ({"host": "mail.example.org", "security": "none"}, "starttls or ssl, or set allow_plain"),
    ({"host": "mail.example.org", "recipients": ""}, "at least one of recipients"),
    ({"host": "mail.example.org", "username": "ann"}, "set both or neither"),
    ({"host": "mail.example.org", "recipients": "ann"}, "plain addresses"),
    ({"host": "mail.example.org", "sender": "<a@b.c>"}, "plain addresses"),
])
def test_settings_that_are_not_safe_or_not_whole_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Smtp.model_validate({"sender": "a@b.c", "recipients": "a@b.c"} | options)


def test_a_refused_setting_shows_no_secret(tmp_path: Path) -> None:
    variables = {"TIDEMARK_SMTP__HOST": "mail.example.org", "TIDEMARK_SMTP__PASSWORD": SECRET,
                 "TIDEMARK_WEBHOOK__URL": f"http://hooks.example.org/{SECRET}"}
    with pytest.raises(ConfigError, match=r"TIDEMARK_SMTP.*TIDEMARK_WEBHOOK") as info:
        config.parse(variables)
    assert SECRET not in str(info.getrepr(chain=True, style="native"))


def test_without_a_host_there_is_no_channel() -> None:
    assert SmtpChannel.from_settings(config.Settings(), AT) is None
