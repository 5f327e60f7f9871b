"""The only place that may ask what time it is, and only the edges (CLI, DAG shells) may call it."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.errors import ConfigError


def now() -> datetime:
    """The current instant, timezone-aware UTC."""
    return datetime.now(UTC)


def parse(text: str) -> datetime:
    """Read an ISO 8601 instant; a value without a zone is UTC.

    Raises:
        ConfigError: the text is not a date or a date-time.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is not a time; write an ISO 8601 date such as 2024-05-01 or 2024-05-01T06:00Z"
        ) from error
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
