"""Files of any shape, described by a manifest."""

from __future__ import annotations

from pipelines.ingest.files.manifest import Entry, Manifest, TimeSpec, load, parse
from pipelines.ingest.files.provider import FilesProvider

__all__ = ["Entry", "FilesProvider", "Manifest", "TimeSpec", "load", "parse"]
