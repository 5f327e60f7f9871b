"""Pages of a walk that was interrupted, kept until it is finished, so that nothing is asked for twice.

One walk is one file of JSON lines, named by a digest of what was asked. A page is written only when it is whole and of
the right shape, and the files go when their fetch is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import SourceError

MOST_PAGES = 20_000


class Spool:
    """Walks of one provider. ``directory`` None: pages are kept in memory only, and a broken walk starts again."""

    def __init__(self, provider: str, directory: Path | None) -> None:
        self._provider = provider
        self._directory = directory
        self._walked: set[Path] = set()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Keep the walks of this fetch if it is cut short; forget them when it has succeeded, and when it was refused
        for good: a cursor can expire, and the next try has to begin anew."""
        self._walked.clear()
        keep = True
        try:
            yield
            keep = False
        except SourceError as error:
            keep = error.retryable
            raise
        finally:
            if not keep:
                for path in self._walked:
                    path.unlink(missing_ok=True)

    def walk(self, asked: object, fetch: Callable[[Any], tuple[Any, Any]], first: Any) -> list[Any]:
        """All pages, those of an interrupted walk from disk.

        Args:
            asked: names the walk (JSON): provider, address, query, window.
            fetch: cursor → (page, next cursor); both JSON; None ends the walk.
            first: the first cursor.

        Raises:
            SourceError: the cursors go round in circles, or never end.
        """
        path = self._path(asked)
        pages, cursor = _read(path, first)
        seen = {json.dumps(cursor)}
        while cursor is not None:
            page, after = fetch(cursor)
            mark = json.dumps(after)
            if after is not None and (mark in seen or len(pages) >= MOST_PAGES):
                raise SourceError(f"{self._provider}: its pages do not come to an end (next page {mark[:80]} after "
                                  f"{len(pages) + 1} pages); its paging has changed")
            seen.add(mark)
            if path is not None:
                _append(path, page, after)
            pages.append(page)
            cursor = after
        return pages

    def _path(self, asked: object) -> Path | None:
        if self._directory is None:
            return None
        name = hashlib.sha256(json.dumps([self._provider, asked], sort_keys=True, default=str).encode()).hexdigest()
        path = self._directory / f"{name[:32]}.jsonl"
        self._walked.add(path)
        return path


def _append(path: Path, page: Any, after: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(json.dumps([page, after]).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path | None, first: Any) -> tuple[list[Any], Any]:
    """The pages on disk and the cursor after them; a line that was being written when the power went is cut off."""
    pages: list[Any] = []
    cursor = first
    if path is None or not path.exists():
        return pages, cursor
    whole = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n"):
                break
            page, cursor = json.loads(line)
        except ValueError:
            break
        pages.append(page)
        whole += len(line)
    with path.open("r+b") as file:
        file.truncate(whole)
    return pages, cursor
