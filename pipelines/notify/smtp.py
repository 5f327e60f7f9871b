"""Mail by SMTP: submission with STARTTLS or TLS from the first byte, and a login (RFC 6409, RFC 8314)."""

from __future__ import annotations

import logging
import smtplib
import ssl
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256

from pipelines.config import Settings
from pipelines.config_notify import Smtp
from pipelines.config_sources import listed
from pipelines.contracts.notices import Notice, Severity, one_line
from pipelines.errors import ChannelError, ChannelUnavailable
from pipelines.notify import render

log = logging.getLogger(__name__)

_SHOWN = 200


class SmtpChannel:
    """One connection, made with the first notice and kept for the next ones.

    Args:
        at: wall clock of the caller (UTC), the date of the mails.
    """

    name = "smtp"

    def __init__(self, options: Smtp, *, at: datetime) -> None:
        self._options, self._at = options, at
        self._server: smtplib.SMTP | None = None

    @classmethod
    def from_settings(cls, settings: Settings, at: datetime) -> SmtpChannel | None:
        """The channel, if it is configured."""
        return cls(settings.smtp, at=at) if settings.smtp.configured else None

    def send(self, notice: Notice) -> None:
        """See ``contracts.notices.Channel``. Taken means that the server has said 250 for at least one recipient."""
        letter = message(notice, self._options, self._at)
        try:
            server = self._server = self._server or self._connect()
            refused = server.send_message(letter)
        except (smtplib.SMTPException, OSError, UnicodeError, ValueError) as error:
            self.close()
            raise self._ours(error) from None
        if refused:
            # The others have it; sending it again would tell them twice.
            log.warning("the mail server refused some recipients of %r: %s; check TIDEMARK_SMTP__RECIPIENTS",
                        notice.key, ", ".join(f"{address}: {code}" for address, (code, _) in refused.items()))

    def close(self) -> None:
        """Say goodbye, if anybody still listens."""
        server, self._server = self._server, None
        if server is not None:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            with suppress(OSError):
                server.close()

    def _connect(self) -> smtplib.SMTP:
        """Raises what ``smtplib`` raises, and ChannelError where the server is not safe enough."""
        options = self._options
        if options.security == "ssl":
            server: smtplib.SMTP = smtplib.SMTP_SSL(options.host, options.port, timeout=options.timeout,
                                                    context=self._tls())
        else:
            server = smtplib.SMTP(options.host, options.port, timeout=options.timeout)
        try:
            if options.security == "starttls":
                server.starttls(context=self._tls())
            if options.username and options.password:
                server.login(options.username, options.password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._options.ca_file) if self._options.ca_file else None)

    def _ours(self, error: Exception) -> ChannelError:
        """The error by what can be done about it. It shows the server's answer, but no secret."""
        where = f"the mail server {self._options.host}:{self._options.port}"
        match error:
            case smtplib.SMTPAuthenticationError():
                kind = ChannelUnavailable if 400 <= error.smtp_code < 500 else ChannelError
                return kind(f"{where} refused the login ({self._said(error)}); check TIDEMARK_SMTP__USERNAME and "
                            "_PASSWORD, or the Connection tidemark_smtp")
            case smtplib.SMTPNotSupportedError():
                return ChannelError(f"{where} offers less than is asked for ({self._clean(str(error))}); set "
                                    "TIDEMARK_SMTP__SECURITY to what it offers (ssl on port 465, starttls on 587), or "
                                    "take the login away")
            case ssl.SSLCertVerificationError():
                return ChannelError(f"{where} shows a certificate that is not trusted ({self._clean(str(error))}); "
                                    "name its authority with TIDEMARK_SMTP__CA_FILE, or correct the host")
            case smtplib.SMTPRecipientsRefused():
                codes = [code for code, _ in error.recipients.values()]
                said = ", ".join(f"{address}: {code} {answer.decode('utf-8', 'replace')}" if isinstance(answer, bytes)
                                 else f"{address}: {code}" for address, (code, answer) in error.recipients.items())
                kind = ChannelUnavailable if any(400 <= code < 500 for code in codes) else ChannelError
                return kind(f"{where} refused every recipient ({self._clean(said)}); check TIDEMARK_SMTP__RECIPIENTS")
            case smtplib.SMTPResponseException():
                if 500 <= error.smtp_code < 600:
                    return ChannelError(f"{where} refused the mail ({self._said(error)}); check "
                                        "TIDEMARK_SMTP__SENDER and what the server allows")
                return ChannelUnavailable(f"{where} cannot take mail right now ({self._said(error)})")
            case smtplib.SMTPException() | OSError():
                return ChannelUnavailable(f"{where} cannot be reached right now ({type(error).__name__}: "
                                          f"{self._clean(str(error))}); is TIDEMARK_SMTP__HOST right?")
        return ChannelError(f"the mail cannot be written ({type(error).__name__}); check TIDEMARK_SMTP__SENDER and "
                            "_RECIPIENTS")

    def _said(self, error: smtplib.SMTPResponseException) -> str:
        answer = error.smtp_error
        words = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
        return f"{error.smtp_code} {self._clean(words)}"

    def _clean(self, words: str) -> str:
        """Struck out before it is cut: half a secret would not be known again."""
        secret = self._options.password.get_secret_value() if self._options.password else ""
        return one_line(words.replace(secret, "***") if secret else words, _SHOWN)


def message(notice: Notice, options: Smtp, at: datetime) -> EmailMessage:
    """The notice as a mail, plain text and HTML.

    The message id follows from the notice's key: of two copies of it (sent, killed before that was written down, sent
    again) a mail program can show one.
    """
    letter = EmailMessage()
    letter["From"], letter["To"] = options.sender, ", ".join(listed(options.recipients))
    mark = {Severity.CRITICAL: "[tidemark!] ", Severity.WARNING: "[tidemark] ", Severity.INFO: "[tidemark] "}
    letter["Subject"] = mark[notice.severity] + notice.title
    letter["Date"] = format_datetime(at)
    domain = options.sender.rpartition("@")[2]
    letter["Message-ID"] = f"<{sha256(notice.key.encode()).hexdigest()[:32]}.tidemark@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    if notice.severity is Severity.CRITICAL:
        letter["Importance"] = "high"
    letter.set_content(render.text(notice))
    letter.add_alternative(render.html(notice), subtype="html")
    return letter
