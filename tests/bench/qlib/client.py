"""The other end of ``peer.py``: starts it in qlib's environment, asks, waits."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

PYTHON = Path(__file__).resolve().parents[3] / ".bench" / "qlib" / "bin" / "python"


def there(*names: str) -> bool:
    """Whether qlib's environment is there; says what to do if not."""
    if not PYTHON.exists():
        Console(stderr=True).print(f"{', '.join(names)}: left out, qlib is not here; run `make qlib-env` first")
    return PYTHON.exists()


class Qlib:
    """A running peer, one thread, with a directory of its own."""

    def __init__(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="tidemark-qlib-", ignore_cleanup_errors=True)
        self.home = Path(directory.name)
        self._process = subprocess.Popen(
            [str(PYTHON), str(Path(__file__).with_name("peer.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=(self.home / "log").open("w"), text=True, cwd=self.home,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_ALLOW_FILE_STORE": "true"})

        def close() -> None:
            if self._process.stdin:
                self._process.stdin.close()
            self._process.wait(30)
            directory.cleanup()

        atexit.register(close)

    def ask(self, do: str, **details: Any) -> Any:
        """One request, and its answer."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the peer has no pipes")
        self._process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"qlib has ended: {(self.home / 'log').read_text()[-2000:]}")
        return json.loads(answer)

    def values(self) -> tuple[np.ndarray, list[str]]:
        """What qlib found last: (rows, 158) float32, symbol by symbol, and the names of the columns."""
        self.ask("save", path=str(self.home / "values.npz"))
        found = np.load(self.home / "values.npz")
        return found["values"], found["names"].tolist()


@lru_cache(maxsize=1)
def running() -> Qlib:
    return Qlib()
