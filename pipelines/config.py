"""Every setting, read once. Documented in ``.env.example``; a wrong one fails here with its name and remedy.

Order: process environment, then ``$TIDEMARK_HOME/stack.env`` (written 0600 by ``tidemark up``), then defaults.
Passwords and URLs with credentials are ``SecretStr`` so that they cannot land in a log by accident.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


class Simulator(BaseModel):
    """The simulated market (``TIDEMARK_SIMULATOR__SEED`` and so on). Times are UTC."""

    seed: int = 20240101
    start: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    days: int = Field(default=150, ge=10, le=3660)
    symbols: int = Field(default=5, ge=1, le=50)
    edge: float = Field(default=1.0, ge=0, le=5)
    edge_input: Literal["sentiment", "momentum"] = "sentiment"
    shift_day: int | None = Field(default=None, ge=1)
    dirt: float = Field(default=0.01, ge=0, le=0.5)

    @field_validator("start")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Settings(BaseSettings):
    """Settings of one process; see ``.env.example`` for each with its meaning."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", env_nested_delimiter="__", extra="ignore", frozen=True)

    home: Path = ROOT / ".tidemark"
    lines_dir: Path = ROOT / "mlflow" / "lines"

    database_url: SecretStr | None = None
    optuna_url: SecretStr | None = None
    snapshots: str | None = None

    mlflow_url: str | None = None
    mlflow_username: str = "admin"
    mlflow_password: SecretStr | None = None

    airflow_url: str | None = None
    airflow_username: str = "admin"
    airflow_password: SecretStr | None = None

    source: str = "simulator"
    data_dir: Path | None = None
    manifest: Path | None = None
    simulator: Simulator = Simulator()

    # Airflow schedules: cron for live work; "end" stops scheduling for replays of history.
    schedule_ingest: str = "0 0 * * *"
    schedule_end: datetime | None = None

    pool_size: int = Field(default=5, ge=1, le=100)

    @property
    def snapshot_root(self) -> str:
        return self.snapshots or str(self.home / "snapshots")

    def require(self, name: str) -> str:
        """The value of an optional setting that this call cannot do without.

        Raises:
            ConfigError: it is not set.
        """
        value = getattr(self, name)
        if value is None:
            raise ConfigError(
                f"TIDEMARK_{name.upper()} is not set; run `tidemark up` to start the embedded stack, "
                "or point it at your own server (see .env.example)")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def read_env_file(path: Path) -> dict[str, str]:
    """``KEY=value`` lines of a file; comments and blank lines are skipped; a missing file is empty."""
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines()
             if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read the settings from ``environ`` (the process environment if left out) and the stack's file.

    Raises:
        ConfigError: a value is refused; the message names the variable and what is allowed.
    """
    env = dict(os.environ if environ is None else environ)
    home = Path(env.get("TIDEMARK_HOME") or ROOT / ".tidemark")
    merged = {**read_env_file(home / "stack.env"), **env}
    known = {key: value for key, value in merged.items() if key.startswith("TIDEMARK_") and value != ""}
    unknown = sorted(key for key in known
                     if key.removeprefix("TIDEMARK_").split("__")[0].lower() not in Settings.model_fields)
    if unknown:
        raise ConfigError(f"unknown setting {', '.join(unknown)}; the known ones are in .env.example")
    previous = {key: value for key, value in os.environ.items() if key.startswith("TIDEMARK_")}
    for key in previous:
        del os.environ[key]
    os.environ.update(known)
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"TIDEMARK_{'__'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"wrong setting: {problems}. See .env.example for what is allowed") from error
    finally:
        for key in known:
            os.environ.pop(key, None)
        os.environ.update(previous)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return load()
