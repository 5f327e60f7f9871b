"""From what `up` was given to the list of components: directories, secrets, ports, files, and who needs whom."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import airflow_ini, components, ports, secrets
from infra.local.components import Component, Context
from infra.local.databases import beside
from infra.local.paths import Home
from infra.local.postgres import EmbeddedPostgres
from infra.local.processes import COMPONENT, STACK
from pipelines import config
from pipelines.errors import ConfigError

#: The settings that say "I have a server of my own for this".
OUTSIDE = ("TIDEMARK_DATABASE_URL", "TIDEMARK_MLFLOW_URL", "TIDEMARK_AIRFLOW_URL")
_CONNECTIONS = (*OUTSIDE, "TIDEMARK_OPTUNA_URL", "TIDEMARK_MLFLOW_USERNAME", "TIDEMARK_MLFLOW_PASSWORD",
                "TIDEMARK_AIRFLOW_USERNAME", "TIDEMARK_AIRFLOW_PASSWORD", *components.replayed(""))
_PATHS = ("TIDEMARK_DATA_DIR", "TIDEMARK_MANIFEST", "TIDEMARK_LINES_DIR", "TIDEMARK_SNAPSHOTS")
MIGRATIONS = "infra/postgres/migrations"
_OWN = "# connections to the embedded servers, made by `tidemark up`"
_GIVEN = "# settings that `tidemark up` was given"


@dataclass(frozen=True)
class Stack:
    """A plan of what shall run. ``logins``: address, user and password of each server a person may visit."""

    components: tuple[Component, ...]
    logins: tuple[tuple[str, str, str, str], ...]
    server: EmbeddedPostgres | None


def given(environ: Mapping[str, str], home: Home) -> dict[str, str]:
    """The settings that the user means: exported ones, paths made absolute, checked.

    Connections that an earlier `up` wrote into stack.env and the user has only passed on (by sourcing that file, or by
    running inside one of our processes) are ours, not an outside server's.

    Raises:
        ConfigError: a setting is wrong; the message names it.
    """
    own, _ = _sections(home.stack_env)
    exported = {key: value for key, value in config.exported(environ).items()
                if key != "TIDEMARK_HOME" and not (key in _CONNECTIONS and own.get(key) == value)}
    for key in _PATHS:
        if key in exported and "://" not in exported[key]:
            exported[key] = str(Path(exported[key]).absolute())
    config.parse(exported)
    for key in ("TIDEMARK_MLFLOW_URL", "TIDEMARK_AIRFLOW_URL"):
        if key in exported and urlsplit(exported[key]).scheme not in ("http", "https"):
            raise ConfigError(f"{key} must be the http(s) address of your server, not {exported[key]!r}; leave it "
                              "unset to use the embedded one")
    return exported


def _sections(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Own and given variables of a stack.env."""
    variables = config.read_env_file(path)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    own_part = text.partition(_OWN)[2]
    own = {key: value for key, value in variables.items() if f"\n{key}=" in own_part}
    return own, {key: value for key, value in variables.items() if key not in own}


def digest(*rooms: str, root: Path = config.ROOT) -> str:
    """Digest of names, sizes and times of the code in these directories."""
    seen = []
    for room in rooms:
        for directory, folders, files in os.walk(root / room):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                with suppress(FileNotFoundError):  # an editor's temporary file
                    status = (Path(directory) / name).stat()
                    seen.append((directory, name, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def code_digest() -> str:
    """Digest of the code that Airflow's processes import once and keep."""
    return digest("pipelines", "plugins", "infra/local/airflow_config")


def prepare(home: Home, settings: Mapping[str, str], held: Collection[int] = ()) -> Stack:
    """Make everything that components read at their start, and the components. Repeating it changes nothing.

    Args:
        settings: what ``given`` returned when the user said `up`.
        held: ports that components of this stack are listening on now.

    Raises:
        ConfigError: see its message.
    """
    home.make()
    secret = secrets.load_or_create(home.secrets)
    replay = config.parse(settings).replay
    own_mlflow, own_airflow = "TIDEMARK_MLFLOW_URL" not in settings, "TIDEMARK_AIRFLOW_URL" not in settings
    embedded = [name for name, wanted in (("postgres", "TIDEMARK_DATABASE_URL" not in settings),
                                          ("mlflow", own_mlflow), ("airflow", own_airflow),
                                          ("replay", replay.serve)) if wanted]
    chosen = _ports(home, embedded, held)
    server = None
    if "postgres" in embedded:
        server = EmbeddedPostgres(home.postgres / "data", chosen["postgres"], home.path / "postgres.password")
        urls = {name: server.url(name) for name in ("warehouse", *components.DATABASES)}
    else:
        urls = {"warehouse": settings["TIDEMARK_DATABASE_URL"]}
        urls.update({name: beside(urls["warehouse"], name) for name in components.DATABASES})
    own = {"TIDEMARK_DATABASE_URL": urls["warehouse"], "TIDEMARK_OPTUNA_URL": urls["optuna"]}
    if replay.serve:
        own |= components.replayed(f"http://{ports.HOST}:{chosen['replay']}")
    if own_mlflow:
        own |= {"TIDEMARK_MLFLOW_URL": f"http://{ports.HOST}:{chosen['mlflow']}",
                "TIDEMARK_MLFLOW_USERNAME": components.MLFLOW_USERNAME,
                "TIDEMARK_MLFLOW_PASSWORD": secret.mlflow_password}
    if own_airflow:
        own |= {"TIDEMARK_AIRFLOW_URL": f"http://{ports.HOST}:{chosen['airflow']}",
                "TIDEMARK_AIRFLOW_USERNAME": airflow_ini.USERNAME,
                "TIDEMARK_AIRFLOW_PASSWORD": secret.airflow_password}
    own = {key: value for key, value in own.items() if key not in settings}
    context = Context(home=home, secrets=secret, ports=chosen, urls=urls, server=server,
                      code=code_digest(), migrations=digest(MIGRATIONS),
                      variables={**own, **settings, "TIDEMARK_HOME": str(home.path)})
    parts = [*components.postgres(context), *components.warehouse(context)]
    if replay.serve:
        parts += components.replay(context, replay)
    if own_mlflow:
        secrets.write_private(home.mlflow / "basic_auth.ini", _mlflow_ini(urls["mlflow_auth"], secret.mlflow_password))
        parts += components.mlflow(context)
    if own_airflow:
        ini = airflow_ini.render(airflow_ini.options(home, secret, chosen["airflow"], urls["airflow"]))
        secrets.write_private(airflow_ini.path(home), ini)
        secrets.write_private(home.airflow / "passwords.json",
                              json.dumps({airflow_ini.USERNAME: secret.airflow_password}) + "\n")
        parts += components.airflow(context, ini)
    secrets.write_private(home.stack_env, _stack_env(own, settings))
    return Stack(tuple(_marked(part, home) for part in parts), _logins(context, settings), server)


def _marked(part: Component, home: Home) -> Component:
    path = str(home.path)
    return replace(part, env={**part.env, "TIDEMARK_HOME": path, STACK: path, COMPONENT: part.name})


def _ports(home: Home, names: Collection[str], held: Collection[int]) -> dict[str, int]:
    try:
        remembered = {str(name): int(port) for name, port in json.loads(home.ports.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        remembered = {}
    chosen = ports.choose(names, remembered, held)
    if {**remembered, **chosen} != remembered:
        secrets.write_private(home.ports, json.dumps({**remembered, **chosen}) + "\n")
    return chosen


def _stack_env(own: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """Readable by ``pipelines.config`` and by a shell."""
    lines = ["# Written by `tidemark up`; do not edit. Order: environment first, then this file.", _GIVEN,
             *(f"{key}={shlex.quote(value)}" for key, value in sorted(settings.items())), _OWN,
             *(f"{key}={shlex.quote(value)}" for key, value in own.items())]
    return "\n".join(lines) + "\n"


def _mlflow_ini(database_url: str, password: str) -> str:
    """MLflow's basic-auth settings. The cache spares a PBKDF2 hash per request; one worker, so it cannot be stale."""
    url = database_url.replace("%", "%%")
    return ("[mlflow]\ndefault_permission = READ\n"
            f"database_uri = {url}\nadmin_username = {components.MLFLOW_USERNAME}\nadmin_password = {password}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 300\n")


def _logins(context: Context, settings: Mapping[str, str]) -> tuple[tuple[str, str, str, str], ...]:
    shown = []
    for title, name in (("Airflow", "AIRFLOW"), ("MLflow", "MLFLOW")):
        address = context.variables[f"TIDEMARK_{name}_URL"]
        shown.append((title, address, context.variables.get(f"TIDEMARK_{name}_USERNAME", ""),
                      context.variables.get(f"TIDEMARK_{name}_PASSWORD", "")))
    parts = urlsplit(context.urls["warehouse"])
    where = f"{parts.hostname}:{parts.port or 5432}{parts.path}"
    return (*shown, ("PostgreSQL", where, parts.username or "", parts.password or ""))
