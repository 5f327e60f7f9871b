"""Where the embedded stack keeps what: one directory, $TIDEMARK_HOME, and everything below it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """$TIDEMARK_HOME of one stack (absolute)."""

    path: Path

    @property
    def secrets(self) -> Path:
        return self.path / "secrets.json"

    @property
    def stack_env(self) -> Path:
        """What ``pipelines.config`` reads."""
        return self.path / "stack.env"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    @property
    def replay_clock(self) -> Path:
        """The time on the clock of the server that plays the sources' part; absent: the end of its world."""
        return self.path / "replay.now"

    # --- run/: who is running, and what it was asked to run
    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def supervisor_lock(self) -> Path:
        """Held (flock) as long as the supervisor lives: the kernel lets go of it whatever kills the process."""
        return self.run / "supervisor.lock"

    @property
    def control_lock(self) -> Path:
        """Held while an `up` decides and a `down` acts, so that two of them do not cross."""
        return self.run / "control.lock"

    @property
    def pid(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def request(self) -> Path:
        """What the last `up` asked for: the settings it was given and a number."""
        return self.run / "request.json"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    # --- the components' own
    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def mlflow(self) -> Path:
        return self.path / "mlflow"

    @property
    def airflow(self) -> Path:
        return self.path / "airflow"

    @property
    def cache(self) -> Path:
        """Caches of libraries (matplotlib's fonts), so that tasks neither write to ~ nor build them each time."""
        return self.path / "cache"

    def make(self) -> None:
        """Create the directories, closed to others.

        As root PostgreSQL runs under another uid, which must pass through (not list) the home and ``postgres/``;
        everything in them that is secret is 0600 or inside a 0700 directory.
        """
        passable = 0o711 if os.geteuid() == 0 else 0o700
        for path, mode in ((self.path, passable), (self.postgres, passable), (self.run, 0o700), (self.logs, 0o700),
                           (self.mlflow, 0o700), (self.airflow, 0o700), (self.cache, 0o700)):
            path.mkdir(parents=True, exist_ok=True)
            if path.stat().st_uid == os.geteuid() and (path.stat().st_mode & 0o777) != mode:
                path.chmod(mode)
