"""The parts of the stack as data: what to start, what it needs first, how to see that it is well, how to end it."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from infra.local import airflow_ini, databases, health, warm
from infra.local.paths import Home
from infra.local.ports import HOST
from infra.local.postgres import STOP_SIGNAL, EmbeddedPostgres
from infra.local.secrets import Secrets
from pipelines.config import ROOT
from pipelines.config_sources import Replay

MLFLOW_USERNAME = "admin"
#: The databases beside the warehouse, by what they are for.
DATABASES = ("airflow", "mlflow", "mlflow_auth", "optuna")
#: One thread per process: with several, OpenMP on shared cores makes a fit slower, not faster.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
#: Seconds: longer than its clients wait.
REPLAY_STALL = 3.0
LAUNCH = (sys.executable, "-m", "infra.local.launch")


@dataclass(frozen=True)
class Component:
    """One process to keep running, or (``probe`` None) one job to run once to its end.

    Attributes:
        env: variables on top of the inherited ones (``inherit``), or all there are.
        needs: components that must be healthy (jobs: done) before this one starts.
        before: called before each start; after: called when it has answered, before it counts as healthy;
            skip: says that a job has nothing to do.
        stop: signals to end it with the seconds to wait after each; the last resort is SIGKILL to all of it.
        group: the signal goes to all its processes, not to the leader only.
        rank: the order of stopping: all of one rank have ended before the next is asked to.
        extra: what else makes it a different component: digests of the files and code it reads at its start.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    needs: tuple[str, ...] = ()
    probe: health.Probe | None = None
    port: int | None = None
    url: str | None = None
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    skip: Callable[[], bool] | None = None
    inherit: bool = True
    popen: Mapping[str, Any] = field(default_factory=dict)
    stop: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 12.0),)
    group: bool = False
    rank: int = 1
    extra: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes when, and only when, the running process would have to be another one."""
        parts = [self.argv, sorted(self.env.items()), sorted(self.popen.items()), self.port, self.extra]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Context:
    """All that the parts are made from.

    Attributes:
        variables: the TIDEMARK_* settings that tasks see: given ones, and the URLs and logins of embedded servers.
        urls: SQLAlchemy URL of each database in ``DATABASES``, and of "warehouse".
        server: the embedded PostgreSQL, or None with a server of the user's own.
        code: digest of the code that long-living processes have imported; migrations: of the warehouse's migrations.
    """

    home: Home
    secrets: Secrets
    ports: Mapping[str, int]
    variables: Mapping[str, str]
    urls: Mapping[str, str]
    server: EmbeddedPostgres | None
    code: str
    migrations: str

    @property
    def needs_database(self) -> tuple[str, ...]:
        return ("postgres",) if self.server else ()

    def ensure(self, *names: str) -> Callable[[], None] | None:
        """Make databases on a server of the user's own; the embedded one has made them when it counts as healthy."""
        if self.server:
            return None
        return lambda: databases.ensure(self.urls[name] for name in names)


def postgres(context: Context) -> list[Component]:
    server = context.server
    if server is None:
        return []
    argv, keywords = server.command()
    environment = keywords.pop("env")
    return [Component(
        "postgres", tuple(argv), environment, probe=health.postgres(server.url("postgres")), port=server.port,
        before=server.prepare, after=lambda: server.create_databases(("warehouse", *DATABASES)),
        inherit=False, popen=keywords, rank=2, stop=((STOP_SIGNAL, 20.0), (signal.SIGQUIT, 5.0)))]


def warehouse(context: Context) -> list[Component]:
    environment = {**THREADS, **context.variables, "PYTHONPATH": str(ROOT)}
    migrated = databases.Migrated(context.urls["warehouse"], context.home.run / "migrated.json", context.migrations,
                                  "ai_trading.alembic_version")
    return [Component("warehouse", (sys.executable, "-m", "infra.local.migrate"), environment,
                      needs=context.needs_database, before=context.ensure("optuna"), skip=migrated.is_current,
                      after=migrated.remember, extra=context.migrations)]


def mlflow(context: Context) -> list[Component]:
    port, home = context.ports["mlflow"], context.home
    url = f"http://{HOST}:{port}"
    environment = {
        **THREADS,
        # In the environment, not on the command line: that is readable by everybody on the machine.
        "MLFLOW_BACKEND_STORE_URI": context.urls["mlflow"],
        "MLFLOW_AUTH_CONFIG_PATH": str(home.mlflow / "basic_auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": context.secrets.mlflow_secret_key,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else six more processes wait for jobs that we have none of
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MPLCONFIGDIR": str(home.cache), "PYTHONPATH": str(ROOT),
    }
    argv = (*LAUNCH, "mlflow", "server", "--app-name", "basic-auth", "--host", HOST, "--port", str(port),
            "--workers", "1", "--serve-artifacts", "--artifacts-destination", (home.mlflow / "artifacts").as_uri())
    return [Component("mlflow", argv, environment, needs=context.needs_database, probe=health.http(f"{url}/health"),
                      port=port, url=url, before=context.ensure("mlflow", "mlflow_auth"), group=True,
                      stop=((signal.SIGTERM, 6.0),))]


def replay(context: Context, options: Replay) -> list[Component]:
    """The server that plays the sources' part."""
    url = f"http://{HOST}:{context.ports['replay']}"
    argv = (sys.executable, "-m", "infra.replay", "--port", str(context.ports["replay"]), "--stall", str(REPLAY_STALL),
            "--clock", str(context.home.replay_clock), "--faults", options.faults, "--every", str(options.every))
    return [Component("replay", argv, {**THREADS, **context.variables, "PYTHONPATH": str(ROOT)},
                      probe=health.http(f"{url}/health"), port=context.ports["replay"], url=url, extra=context.code)]


def replayed(url: str) -> dict[str, str]:
    """The settings that lead the sources to the server at ``url``: no rate to respect, and quick to call it stalled."""
    return {**{f"TIDEMARK_{name}__URL": url for name in ("EXCHANGE", "NEWSAPI", "X", "FEAR_GREED", "CBOE")},
            "TIDEMARK_NEWSAPI__KEY": "replay", "TIDEMARK_X__TOKEN": "replay", "TIDEMARK_HTTP__RATE": "500",
            "TIDEMARK_HTTP__BURST": "50", "TIDEMARK_HTTP__BACKOFF": "0.05", "TIDEMARK_HTTP__TIMEOUT": "1"}


def airflow(context: Context, ini: str) -> list[Component]:
    """The metadata database's migrations and the four processes; ``ini`` is the text of airflow.cfg."""
    home, port = context.home, context.ports["airflow"]
    url = f"http://{HOST}:{port}"
    environment = {
        **THREADS, **context.variables,
        "AIRFLOW_HOME": str(home.airflow),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'infra' / 'local' / 'airflow_config'}",
        "SPT_NOENV": "1",  # process titles must not overwrite the mark in the environment
        "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(home.cache),
        "MLFLOW_DISABLE_TELEMETRY": "true", "SCARF_ANALYTICS": "false", "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet", "NO_COLOR": "1",
    }
    digest = hashlib.sha256(f"{ini}{context.code}".encode()).hexdigest()
    database = context.urls["airflow"]
    monitor = health.Monitor(url)
    migrated = databases.Migrated(database, home.airflow / "migrated.json", version("apache-airflow"))

    def part(name: str, monitored: str, *arguments: str, job: str | None = None, **more: Any) -> Component:
        return Component(
            name, (*LAUNCH, "airflow", name, *arguments), environment, probe=monitor.probe(monitored),
            before=(lambda: databases.bury(database, job)) if job else None, extra=digest, **more)

    after_database = (*context.needs_database, "airflow-db")
    return [
        Component("airflow-db", (*LAUNCH, "airflow", "db", "migrate"), environment,
                  needs=context.needs_database, before=context.ensure("airflow"), skip=migrated.is_current,
                  after=migrated.remember),
        part("api-server", "metadatabase", needs=after_database, port=port, url=url, stop=((signal.SIGTERM, 5.0),),
             after=lambda: warm.api_server(url, airflow_ini.USERNAME, context.secrets.airflow_password)),
        part("dag-processor", "dag_processor", job="DagProcessorJob", needs=after_database),
        # The second signal tells both not to wait: the triggerer for its child, which often takes its full 10 s, the
        # scheduler for running tasks. Triggers and tasks that were cut off are run again after the next start.
        part("triggerer", "triggerer", "--skip-serve-logs", job="TriggererJob", needs=after_database,
             stop=((signal.SIGTERM, 2.0), (signal.SIGTERM, 4.0))),
        part("scheduler", "scheduler", "--skip-serve-logs", job="SchedulerJob", needs=(*after_database, "warehouse"),
             rank=0, stop=((signal.SIGTERM, 8.0), (signal.SIGTERM, 3.0))),
    ]
