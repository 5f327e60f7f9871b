"""Where a training came from: the commit and the lock of the code that ran it, and what it ran on."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache
from typing import Any

from pipelines.config import ROOT
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.features import catalog, fingerprint

UNKNOWN = "unknown"


@lru_cache(maxsize=1)
def git_commit() -> str:
    """The commit of the running code, with ``+dirty`` when tracked files differ from it; ``unknown`` outside a
    repository (an image, a wheel)."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return UNKNOWN
    return f"{commit}+dirty" if _git("status", "--porcelain", "--untracked-files=no") else commit


@lru_cache(maxsize=1)
def lock_digest() -> str:
    """SHA-256 of ``requirements.lock``; ``unknown`` where it was not shipped."""
    lock = ROOT / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else UNKNOWN


def environment() -> dict[str, str]:
    """Everything outside of data and configuration that the bytes of a model may depend on, under the names of its
    tags: commit, lock, Python, operating system with architecture."""
    return {tags.GIT_COMMIT: git_commit(), tags.LOCK: lock_digest(), tags.PYTHON: platform.python_version(),
            tags.PLATFORM: f"{platform.system()} {platform.machine()}"}


#: What of a line decides who is champion, or when somebody looks, and not what a training makes.
_NOT_OF_THE_MODEL: dict[str, Any] = {
    **dict.fromkeys(("name", "title", "owner", "gate", "drift", "retrain"), True),
    "search": {"workers": True, "nested_runs": True}}


def recipe(line: Line) -> dict[str, str]:
    """What a training of this line would be made by now, as digests: ``configuration`` (what of its file shapes a
    model, as far as it differs from the defaults), ``features`` (the stamp of the list), ``code`` (the source of the
    feature groups and of what they import from that room, with the versions of what computes them).

    Two trainings with different recipes would differ on the same data.
    """
    declared = line.model_dump(mode="json", exclude=_NOT_OF_THE_MODEL, exclude_defaults=True)
    makers = [group.from_bars or group.from_rows or group.from_texts for group in catalog.of(line)]
    modules = sorted({str(getattr(maker, "__module__", "")) for maker in makers})
    return {"configuration": fingerprint.digest(declared), "features": catalog.stamp(line),
            "code": fingerprint.digest(*map(fingerprint.code, modules))}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
