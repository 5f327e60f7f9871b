"""Credentials and addresses of the sources out of Airflow Connections: ``tidemark_<provider>`` (``tidemark_x``,
``tidemark_reddit``, ...) wins over the environment, field by field, inside tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.config import Settings

PREFIX = "tidemark_"
#: Provider → the setting that a Connection's login and its password stand for.
LOGINS: dict[str, str] = {"reddit": "client_id"}
PASSWORDS: dict[str, str] = {"newsapi": "key", "reddit": "client_secret", "x": "token"}
#: Sources that have settings to fill.
SOURCES = ("exchange", "fear_greed", "cboe", "rss", "newsapi", "reddit", "x", "stocktwits", "equities")


def applied(source: str, settings: Settings, find: Callable[[str], Any] | None = None) -> Settings:
    """The settings with what the Connections of these sources (``x``, or several: ``exchange,x``) say.

    Args:
        find: conn_id → Connection or None; default: Airflow's, through all its secrets backends.

    Raises:
        ConfigError: a Connection says what its source has no setting for, or a wrong value; names the Connection and
            the field, never the value.
    """
    find = find or connection
    for name in (part.strip() for part in source.split(",")):
        found = find(PREFIX + name) if name in SOURCES else None
        if found is not None:
            settings = settings.model_copy(update={name: filled(name, getattr(settings, name), fields(name, found))})
    return settings


def connection(conn_id: str) -> Any:
    """The Connection, or None. Airflow strikes its password out of the task's logs from then on."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        return None


def fields(name: str, found: Any) -> dict[str, Any]:
    """What a Connection says, as settings of a source: host, port and schema → ``url``, login and password → the
    source's credentials, each key of ``extra`` (JSON) → the setting of its name.

    Raises:
        ConfigError: there is no setting for it.
    """
    from pipelines.errors import ConfigError

    said: dict[str, Any] = {}
    if found.host:
        said["url"] = url(found.host, found.schema, found.port)
    for value, names, part in ((found.login, LOGINS, "login"), (found.password, PASSWORDS, "password")):
        if not value:
            continue
        if name not in names:
            raise ConfigError(f"the Connection {PREFIX}{name} has a {part}, but the source {name} knows none; empty it")
        said[names[name]] = value
    return {**said, **extra(name, found)}


def extra(name: str, found: Any) -> Mapping[str, Any]:
    """The ``extra`` of a Connection: settings by their names.

    Raises:
        ConfigError: it is no JSON object.
    """
    from pipelines.errors import ConfigError

    try:
        said = json.loads(found.extra or "{}")
    except ValueError:
        said = None
    if not isinstance(said, Mapping):
        raise ConfigError(f"the extra of the Connection {PREFIX}{name} is no JSON object; write "
                          '{"query": "..."} or leave it empty') from None
    return said


def url(host: str, schema: str | None, port: int | None) -> str:
    """The address that host, schema (default: https) and port of a Connection mean."""
    base = host if "://" in host else f"{schema or 'https'}://{host}"
    return f"{base}:{port}" if port else base


def filled(name: str, group: Any, said: Mapping[str, Any], what: str = "source") -> Any:
    """The settings of a source (or ``what`` it is) with these fields replaced, checked as those of the environment are.

    Raises:
        ConfigError
    """
    from pydantic import ValidationError

    from pipelines.errors import ConfigError

    known = type(group).model_fields
    if strange := sorted(set(said) - set(known)):
        raise ConfigError(f"the Connection {PREFIX}{name} says {', '.join(strange)}, which the {what} {name} has no "
                          f"setting for; it has {', '.join(known)}")
    try:
        return type(group).model_validate({**{field: getattr(group, field) for field in known}, **said})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(
            include_input=False, include_context=False, include_url=False))
        raise ConfigError(f"the Connection {PREFIX}{name} is refused: {wrong}") from None
