"""Passwords and keys of the embedded stack: made once, kept 0600, never on a command line."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pipelines.errors import ConfigError


@dataclass(frozen=True)
class Secrets:
    """What the components need to know and nobody else may."""

    mlflow_password: str
    mlflow_secret_key: str
    airflow_password: str
    airflow_fernet_key: str
    airflow_jwt_secret: str
    airflow_secret_key: str


#: Airflow signs with HS512, which wants at least 64 bytes; Fernet wants exactly 32, urlsafe base64.
_MAKERS: dict[str, Callable[[], str]] = {
    "mlflow_password": lambda: secrets.token_urlsafe(18),
    "mlflow_secret_key": lambda: secrets.token_urlsafe(48),
    "airflow_password": lambda: secrets.token_urlsafe(18),
    "airflow_fernet_key": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "airflow_jwt_secret": lambda: secrets.token_urlsafe(72),
    "airflow_secret_key": lambda: secrets.token_urlsafe(48),
}


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` at once, readable by the owner only from its first byte."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def load_or_create(path: Path) -> Secrets:
    """The secrets in ``path``; those that are missing are made and added, those that exist are never changed.

    Raises:
        ConfigError: the file cannot be read as what we wrote.
    """
    known: dict[str, str] = {}
    if path.exists():
        try:
            known = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path} is damaged ({error}); restore it from a copy, or run `tidemark down` and remove "
                              "the whole directory to start with an empty stack") from error
    names = [item.name for item in fields(Secrets)]
    complete = Secrets(**{name: known.get(name) or _MAKERS[name]() for name in names})
    if asdict(complete) != known:
        write_private(path, json.dumps(asdict(complete), indent=1) + "\n")
    return complete
