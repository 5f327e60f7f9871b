"""Settings: where each value comes from, and that a wrong one is refused by name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines import config
from pipelines.config import ROOT, Settings
from pipelines.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"TIDEMARK_HOME": str(tmp_path)}


def test_nothing_set_gives_the_defaults(home: dict[str, str]) -> None:
    settings = config.load(home)
    assert (settings.source, settings.pool_size, settings.simulator.days) == ("simulator", 5, 150)
    assert settings.snapshot_root == f"{home['TIDEMARK_HOME']}/snapshots"


def test_groups_are_reached_with_two_underscores(home: dict[str, str]) -> None:
    settings = config.load(home | {"TIDEMARK_SIMULATOR__SHIFT_DAY": "87", "TIDEMARK_SIMULATOR__EDGE_INPUT": "momentum"})
    assert (settings.simulator.shift_day, settings.simulator.edge_input) == (87, "momentum")
    assert settings.simulator.seed == 20240101


@pytest.mark.parametrize(("written", "start"), [
    ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
    ("2024-05-01T06:00:00", datetime(2024, 5, 1, 6, tzinfo=UTC)),
    ("2024-05-01T06:00:00+02:00", datetime(2024, 5, 1, 4, tzinfo=UTC)),
])
def test_times_are_utc(home: dict[str, str], written: str, start: datetime) -> None:
    settings = config.load(home | {"TIDEMARK_SIMULATOR__START": written})
    assert settings.simulator.start == start
    assert settings.simulator.start.utcoffset() is not None


def test_the_environment_wins_over_the_stack_file_and_that_over_the_default(home: dict[str, str]) -> None:
    Path(home["TIDEMARK_HOME"], "stack.env").write_text(
        "# made by up\nTIDEMARK_MLFLOW_URL=http://127.0.0.1:5000\nTIDEMARK_SOURCE=files\n"
        "TIDEMARK_SCHEDULE_INGEST='5 0 * * *'\nTIDEMARK_SIMULATOR__SEED=7\n\n")
    settings = config.load(home | {"TIDEMARK_SOURCE": "other", "TIDEMARK_SIMULATOR__DAYS": "20"})
    assert settings.mlflow_url == "http://127.0.0.1:5000"
    assert settings.schedule_ingest == "5 0 * * *"
    assert settings.source == "other"
    assert (settings.simulator.seed, settings.simulator.days) == (7, 20)


def test_an_empty_value_is_not_set(home: dict[str, str]) -> None:
    assert config.load(home | {"TIDEMARK_DATABASE_URL": "", "TIDEMARK_SOURCE": ""}).source == "simulator"


def test_only_the_given_mapping_counts(home: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_SOURCE", "from-the-process")
    assert config.load(home).source == "simulator"
    assert Settings().source == "simulator"
    monkeypatch.setenv("TIDEMARK_HOME", home["TIDEMARK_HOME"])
    assert config.load().source == "from-the-process"


def test_the_marks_of_the_supervisor_are_no_settings(home: dict[str, str]) -> None:
    assert config.load(home | {"TIDEMARK_STACK": "/x", "TIDEMARK_COMPONENT": "scheduler"}).source == "simulator"


@pytest.mark.parametrize(("name", "value", "says"), [
    ("TIDEMARK_SOURCES", "x", "TIDEMARK_SOURCES"),
    ("TIDEMARK_SIMULATOR__SEDE", "1", "TIDEMARK_SIMULATOR__SEDE"),
    ("TIDEMARK_SOURCE__NAME", "x", "TIDEMARK_SOURCE__NAME"),
    ("TIDEMARK_POOL_SIZE", "many", "TIDEMARK_POOL_SIZE: Input should be a valid integer"),
    ("TIDEMARK_POOL_SIZE", "0", "greater than or equal to 1"),
    ("TIDEMARK_SIMULATOR__DAYS", "2", "TIDEMARK_SIMULATOR__DAYS"),
    ("TIDEMARK_SIMULATOR__EDGE_INPUT", "luck", "'sentiment' or 'momentum'"),
    ("TIDEMARK_SIMULATOR", "not json", "simulator"),
    ("TIDEMARK_SCHEDULE_END", "soon", "TIDEMARK_SCHEDULE_END"),
    ("TIDEMARK_DATABASE_URL", "mysql://root:hunter2@h/db", "one SQL dialect"),
])
def test_a_wrong_setting_is_named_with_its_remedy(home: dict[str, str], name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as refusal:
        config.load(home | {name: value})
    assert ".env.example" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_passwords_do_not_show(home: dict[str, str]) -> None:
    settings = config.load(home | {"TIDEMARK_DATABASE_URL": "postgresql://u:hunter2@h/db",
                                   "TIDEMARK_MLFLOW_PASSWORD": "hunter3"})
    assert "hunter" not in repr(settings)
    assert settings.require("database_url") == "postgresql://u:hunter2@h/db"


def test_a_missing_setting_says_how_to_get_it(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="TIDEMARK_DATABASE_URL is not set; run `tidemark up`"):
        config.load(home).require("database_url")


@pytest.mark.parametrize(("text", "value"), [
    ("A=1", "1"), ("A='1 2'", "1 2"), ('A="x=y"', "x=y"), ("A=it's", "it's"), ("A='broken", "'broken"), ("A=", ""),
    (" A = 1 ", "1"), ("A='it'\"'\"'s'", "it's"),
])
def test_values_of_an_env_file(tmp_path: Path, text: str, value: str) -> None:
    (tmp_path / "x.env").write_text(f"# A=comment\nno assignment\n{text}\n")
    assert config.read_env_file(tmp_path / "x.env") == {"A": value}


def test_a_missing_env_file_is_empty(tmp_path: Path) -> None:
    assert config.read_env_file(tmp_path / "none.env") == {}


def documented() -> dict[str, str]:
    """Every setting of .env.example with its shown value, comments taken off."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line[1:].split("=", 1) for line in lines if line.startswith("#TIDEMARK_"))


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    names = set()
    for name, item in Settings.model_fields.items():
        group = getattr(item.annotation, "model_fields", None)
        names |= {f"TIDEMARK_{name}__{inner}".upper() for inner in group} if group else {f"TIDEMARK_{name}".upper()}
    assert set(documented()) == names


def test_the_documented_values_are_allowed() -> None:
    values = {key: config._unquoted(value) for key, value in documented().items()}
    assert config.parse(values).schedule_ingest == "0 0 * * *"


def test_settings_is_read_once_from_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    config.settings.cache_clear()
    try:
        assert config.settings() is config.settings()
        assert config.settings().home == tmp_path
    finally:
        config.settings.cache_clear()
