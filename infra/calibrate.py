"""``python -m infra.calibrate gate ...``: `tidemark calibrate` with a PostgreSQL of its own, gone when it is done."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from infra.local.postgres import EmbeddedPostgres


def main() -> None:
    """Start a server in a temporary directory, point the command at it, and stop it whatever happened."""
    with tempfile.TemporaryDirectory(prefix="tidemark-calibrate-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        server = EmbeddedPostgres(home / "pgdata", None, home / "password")
        with (home / "log").open("ab") as log:
            process = server.start(log.fileno())
        try:
            server.wait_ready(60, process)
            os.environ["TIDEMARK_DATABASE_URL"] = server.url("postgres")
            from pipelines import cli

            sys.argv = ["tidemark", "calibrate", *sys.argv[1:]]
            cli.main()
        finally:
            server.stop(20)


if __name__ == "__main__":
    main()
