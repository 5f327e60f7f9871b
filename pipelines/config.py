"""Every setting, read once. Documented in ``.env.example``; a wrong one fails here with its name and remedy.

Order: process environment, then ``$TIDEMARK_HOME/stack.env`` (written 0600 by ``tidemark up``), then defaults.
Passwords and URLs with credentials are ``SecretStr`` so that they cannot land in a log by accident.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from pipelines import config_notify
from pipelines import config_sources as sources
from pipelines.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "TIDEMARK_"
#: Marks the supervisor puts on its processes to find them again; they steer nothing.
MARKS = frozenset({"TIDEMARK_STACK", "TIDEMARK_COMPONENT"})


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


class Quality(BaseModel):
    """How old the newest fact of a series may be (``TIDEMARK_QUALITY__FRESH_BARS_HOURS`` and so on), counted from when
    it became available to the end of what was loaded. 0: no deadline. Bars may also be as old as four of their
    intervals. ``fresh_series``: exceptions by symbol, index or source, such as ``"vix=120 BTCUSDT=3"``.
    """

    fresh_bars_hours: float = Field(default=6.0, ge=0)
    fresh_documents_hours: float = Field(default=24.0, ge=0)
    fresh_indicators_hours: float = Field(default=96.0, ge=0)
    fresh_trades_hours: float = Field(default=0.0, ge=0)
    fresh_series: str = ""

    @field_validator("fresh_series")
    @classmethod
    def _pairs(cls, value: str) -> str:
        for pair in sources.listed(value):
            hours = pair.rpartition("=")[2]
            if "=" not in pair[1:] or not hours.replace(".", "", 1).isdigit():
                raise ValueError("write name=hours pairs, such as vix=120 BTCUSDT=3")
        return value

    @property
    def exceptions(self) -> dict[str, float]:
        """Name → hours."""
        return {name: float(hours) for name, _, hours in (
            pair.rpartition("=") for pair in sources.listed(self.fresh_series))}


class Settings(BaseSettings):
    """Settings of one process; see ``.env.example`` for each with its meaning."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", env_nested_delimiter="__", extra="ignore", frozen=True,
                                      hide_input_in_errors=True)

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
    http: sources.Http = sources.Http()
    exchange: sources.Exchange = sources.Exchange()
    fear_greed: sources.FearGreed = sources.FearGreed()
    cboe: sources.Cboe = sources.Cboe()
    rss: sources.Rss = sources.Rss()
    newsapi: sources.NewsApi = sources.NewsApi()
    reddit: sources.Reddit = sources.Reddit()
    x: sources.X = sources.X()
    stocktwits: sources.StockTwits = sources.StockTwits()
    equities: sources.Equities = sources.Equities()
    replay: sources.Replay = sources.Replay()

    quality: Quality = Quality()

    notify: config_notify.Notify = config_notify.Notify()
    smtp: config_notify.Smtp = config_notify.Smtp()
    webhook: config_notify.Webhook = config_notify.Webhook()

    # Weights of sources in the sentiment aggregates before anything is learned about them, by name or kind.
    credibility: dict[str, Annotated[float, Field(ge=0.25, le=2)]] = Field(default_factory=dict)

    # Airflow schedules: cron for live work; "end" stops scheduling for replays of history.
    schedule_ingest: str = "0 0 * * *"
    schedule_collect: str = "*/10 * * * *"
    schedule_end: datetime | None = None

    pool_size: int = Field(default=5, ge=1, le=100)

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgresql+psycopg2://")):
            raise ValueError("there is one SQL dialect: give a URL like postgresql://user:password@host:5432/database")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the caller passes counts: ``load`` is the one door to the environment."""
        return (init_settings,)

    @property
    def snapshot_root(self) -> str:
        return self.snapshots or str(self.home / "snapshots")

    @property
    def quality_root(self) -> Path:
        """Where the data-quality reports lie."""
        return self.home / "quality"

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


class _Variables(EnvSettingsSource):
    """pydantic's reading of ``TIDEMARK_*`` names and nesting, from a mapping instead of the process environment."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}


def read_env_file(path: Path) -> dict[str, str]:
    """``KEY=value`` lines of a file; comments and blank lines are skipped, shell quotes removed; missing is empty."""
    if not path.exists():
        return {}
    pairs = (line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines()
             if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): _unquoted(value.strip()) for key, value in pairs}


def _unquoted(value: str) -> str:
    if not value.startswith(("'", '"')):
        return value
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value


def exported(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings among ``environ`` (the process environment if left out), without the stack's file; "" is unset."""
    env = os.environ if environ is None else environ
    return {key: value for key, value in env.items() if key.startswith(PREFIX) and key not in MARKS and value != ""}


def _unknown(names: Mapping[str, str]) -> list[str]:
    """Names that no field answers to, at the top or inside a group."""
    wrong = []
    for name in names:
        head, *inner = name.removeprefix(PREFIX).lower().split("__")
        field = Settings.model_fields.get(head)
        group = field.annotation if field else None
        fields = group.model_fields if isinstance(group, type) and issubclass(group, BaseModel) else {}
        if field is None or (inner and (len(inner) > 1 or inner[0] not in fields)):
            wrong.append(name)
    return sorted(wrong)


def parse(variables: Mapping[str, str]) -> Settings:
    """The settings that these ``TIDEMARK_*`` variables mean, by themselves: no environment, no file.

    Raises:
        ConfigError: a value is refused; the message names the variable and what is allowed.
    """
    if unknown := _unknown(variables):
        raise ConfigError(f"unknown setting {', '.join(unknown)}; the known ones are in .env.example")
    try:
        return Settings(**_Variables(variables)())
    except ValidationError as error:
        # Values stay out of the message: one of them may be a URL with a password in it.
        problems = "; ".join(f"{PREFIX}{'__'.join(map(str, item['loc'])).upper()}: {item['msg']}"
                             for item in error.errors(include_input=False))
        raise ConfigError(f"wrong setting: {problems}. See .env.example for what is allowed") from error
    except SettingsError as error:
        raise ConfigError(f"wrong setting: {error}; set its parts one by one, as in .env.example") from error


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environ`` (the process environment if left out) and the stack's file.

    Raises:
        ConfigError: a value is refused; the message names the variable and what is allowed.
    """
    given = exported(environ)
    home = Path(given.get("TIDEMARK_HOME") or ROOT / ".tidemark")
    return parse({**exported(read_env_file(home / "stack.env")), **given})


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return load()
