"""As whom the embedded PostgreSQL runs.

The server refuses to run as root. An ordinary user needs nothing; for root there are four ways, tried in this order
by really starting the binary, because what a container allows cannot be read off anywhere:

``drop``     give up root for uid 65534 - needs binaries and data below directories that uid may pass through;
``unshare``  a user namespace in which root is uid 1000 - files stay root's, 0700 parents do not matter;
``copy``     like ``drop``, with the binaries (38 MB) copied next to the data;
``setpriv``  like ``drop``, keeping only the capability to pass through directories - for containers that forbid
             namespaces and keep the data below a closed directory. The binaries have to be reachable all the same:
             initdb asks access(2) for its sibling, which counts no capability of an ordinary user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import ConfigError

NOBODY = 65534
_DROPPED: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
ROOT_WAYS = ("drop", "unshare", "copy", "setpriv")


@dataclass(frozen=True)
class RunAs:
    """How to start a PostgreSQL binary: argv prefix, ``Popen`` keywords, and the uid/gid that must own its files."""

    way: str
    binaries: Path
    owner: int
    group: int
    prefix: tuple[str, ...] = ()
    popen: dict[str, Any] = field(default_factory=dict)

    def argv(self, binary: str, *arguments: str) -> list[str]:
        return [*self.prefix, str(self.binaries / binary), *arguments]


def _way(name: str, binaries: Path, data_parent: Path) -> RunAs:
    match name:
        case "self":
            return RunAs("self", binaries, os.geteuid(), os.getegid())
        case "drop":
            return RunAs("drop", binaries, NOBODY, NOBODY, popen=dict(_DROPPED))
        case "unshare":
            return RunAs("unshare", binaries, os.geteuid(), os.getegid(),
                         prefix=("unshare", "-U", "--map-user=1000"))
        case "copy":
            return RunAs("copy", _copied(binaries, data_parent), NOBODY, NOBODY, popen=dict(_DROPPED))
        case "setpriv":
            capability = "+dac_override"
            return RunAs("setpriv", binaries, NOBODY, NOBODY, prefix=(
                "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                f"--inh-caps={capability}", f"--ambient-caps={capability}"))
    raise ConfigError(f"{name!r} is not a way to run PostgreSQL; choose one of self, {', '.join(ROOT_WAYS)}")


def _copied(binaries: Path, data_parent: Path) -> Path:
    """A copy of the install tree next to the data, whole or not at all.

    The wheel's shared libraries lie beside the package and are found by relative paths, so that shape is kept.
    """
    install, site = binaries.parent, binaries.parents[2]
    target = data_parent / "postgres-install"
    copied = target / install.relative_to(site) / binaries.name
    if not (copied / "postgres").exists():
        partial = data_parent / f"postgres-install.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        for tree in (install, site / f"{install.parent.name}.libs"):
            if tree.exists():
                shutil.copytree(tree, partial / tree.relative_to(site), symlinks=True)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    return copied


def _complaint(candidate: RunAs, data_parent: Path) -> str | None:
    """Why this way does not work here, found out by starting the binaries: the server for its version, initdb for its
    settings, for which it has to find the server beside it as it will in earnest."""
    script = 'cd "$1" && "$2/postgres" --version && exec "$2/initdb" --show -D "$1/none"'
    argv = [*candidate.prefix, "/bin/sh", "-c", script, "sh", str(data_parent), str(candidate.binaries)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd="/", **candidate.popen)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def choose(binaries: Path, data_parent: Path, ways: Sequence[str] = ()) -> RunAs:
    """The first way that works for this process, these binaries and this place for the data.

    Raises:
        ConfigError: none works; the message lists what each one said.
    """
    complaints: list[str] = []
    for name in ways or (ROOT_WAYS if os.geteuid() == 0 else ("self",)):
        try:
            candidate = _way(name, binaries, data_parent)
        except OSError as error:
            complaints.append(f"{name}: {error}")
            continue
        complaint = _complaint(candidate, data_parent)
        if complaint is None:
            return candidate
        complaints.append(f"{name}: {complaint}")
    raise ConfigError(
        f"PostgreSQL cannot run for uid {os.geteuid()} with data in {data_parent} ({'; '.join(complaints)}); run as "
        f"an ordinary user, or set TIDEMARK_HOME to a directory that uid {NOBODY} can reach, such as /var/lib/tidemark")


def own(path: Path, run_as: RunAs) -> None:
    """Give a tree to the run user (only root may, and only when it is not theirs already)."""
    if os.geteuid() != 0 or (path.stat().st_uid, path.stat().st_gid) == (run_as.owner, run_as.group):
        return
    for directory, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(directory) / name, run_as.owner, run_as.group, follow_symlinks=False)
    os.chown(path, run_as.owner, run_as.group)  # last: a chown cut short is seen and repeated
