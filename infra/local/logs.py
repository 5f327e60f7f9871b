"""Logs of the components: appended by the processes themselves, bounded in size, read from their end."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import IO

LIMIT = 20 * 2**20
#: Our own question every few seconds says nothing about why a process died.
_NOISE = '"GET /health HTTP'
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def open_for(path: Path) -> IO[bytes]:
    """The log for a process to append to, 0600."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)


def rotate(path: Path, limit: int = LIMIT) -> bool:
    """Move what is in ``path`` to ``path.1`` when it is longer than ``limit`` bytes.

    Copy and truncate, not rename: the process keeps its descriptor, and as that appends, it goes on at the new end.
    Lines written during the copy can be lost; the alternative is a log that fills the disk.
    """
    try:
        if path.stat().st_size <= limit:
            return False
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    path.with_name(f"{path.name}.1").chmod(0o600)
    return True


def tail(path: Path, lines: int = 12, width: int = 400) -> list[str]:
    """The last non-empty lines, without colour codes, each at most ``width`` characters; no file is no lines."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    clean = (_ESCAPES.sub("", raw).rstrip() for raw in text.splitlines())
    return [line[:width] for line in clean if line and _NOISE not in line][-lines:]
