"""Where a training came from: the commit and the lock of the code that ran it, and what it ran on."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache

from pipelines.config import ROOT
from pipelines.contracts import tags

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


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
