"""Several files in one: a ZIP without times, owners or compression, so that the same members are the same bytes."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

from pipelines.errors import UnsafeArtifact

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MOST_BYTES = 256_000_000


def write(path: Path, members: Mapping[str, bytes]) -> None:
    """Write the members in the order of their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = 3, 0o600 << 16
            target.writestr(info, members[name])
    path.write_bytes(buffer.getvalue())


def read(source: Path, names: Collection[str]) -> dict[str, bytes]:
    """The content of a ZIP that holds these members, stored as they are, and nothing else.

    Raises:
        UnsafeArtifact: it is too large, no ZIP, or holds something else.
    """
    found = _read(source)
    if sorted(found) != sorted(names):
        raise UnsafeArtifact(f"{source} is not a zip of {' and '.join(sorted(names))}: it holds "
                             f"{', '.join(sorted(found))[:200]}; restore it or train again")
    return found


def member(source: Path, name: str) -> bytes:
    """One member, whatever else there is.

    Raises:
        UnsafeArtifact: as ``read``, or there is no such member.
    """
    found = _read(source)
    if name not in found:
        raise UnsafeArtifact(f"{source} is not a zip with {name} in it; restore it or train again")
    return found[name]


def _read(source: Path) -> dict[str, bytes]:
    if source.stat().st_size > _MOST_BYTES:
        raise UnsafeArtifact(f"{source} has {source.stat().st_size} bytes; a model here has at most {_MOST_BYTES}")
    try:
        with zipfile.ZipFile(source) as archive:
            listed = archive.infolist()
            if len({item.filename for item in listed}) < len(listed) or any(
                    item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size
                    for item in listed):
                raise ValueError("members that are packed or stand there twice")
            return {item.filename: archive.read(item) for item in listed}
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, OSError) as error:
        raise UnsafeArtifact(f"{source} is not a zip that was written here ({type(error).__name__}: {error!s:.150}); "
                             "restore it or train again") from error
