"""Any directory of files, described by a ``source.toml``, as a provider of facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.columns import SCHEMAS, Kind
from pipelines.contracts.ports import Batch
from pipelines.contracts.records import Refused
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest.files import manifest as manifests
from pipelines.ingest.files import reader
from pipelines.ingest.files.manifest import Entry, Manifest
from pipelines.ingest.slices import between

PER_SYMBOL = (Kind.BARS, Kind.TRADES)


class FilesProvider:
    """Serves files by availability. Only the entries that were asked for are read, each once per process."""

    name = "files"

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory = directory
        self._manifest = manifest
        self.name = manifest.name
        self._files = [(entry, path) for entry in manifest.entries for path in self._paths(entry)]

    @classmethod
    def from_settings(cls, settings: Settings) -> FilesProvider:
        """``TIDEMARK_DATA_DIR`` with ``TIDEMARK_MANIFEST``, or the ``source.toml`` inside it.

        Raises:
            ConfigError: the directory or the manifest is not there, or the manifest is refused.
        """
        if settings.data_dir is None:
            raise ConfigError("TIDEMARK_DATA_DIR is not set; the files source needs the directory that holds them")
        if not settings.data_dir.is_dir():
            raise ConfigError(f"TIDEMARK_DATA_DIR {settings.data_dir} is not a directory; correct it")
        return cls(settings.data_dir, manifests.load(settings.manifest or settings.data_dir / "source.toml"))

    def kinds(self) -> frozenset[Kind]:
        return frozenset(entry.kind for entry, _ in self._files)

    def symbols(self) -> tuple[str, ...]:
        """Symbols of bars. Files that hold several are read for it."""
        found: set[str] = set()
        for entry, path in self._files:
            if entry.kind is Kind.BARS:
                symbol = reader.symbol_of(path, entry)
                found |= {symbol} if symbol else set(self._read(entry, path).frame["symbol"].dropna().astype(str))
        return tuple(sorted(found))

    def span(self) -> Window | None:
        """From the first bar (without bars: from anything) to the last of anything; None if all files are empty.

        An index that began decades before the market does not stretch it. Reads everything.
        """
        known = [(entry.kind, facts.frame["available_at"]) for entry, facts in (
            (entry, self._read(entry, path)) for entry, path in self._files) if len(facts.frame)]
        if not known:
            return None
        starts = [times.iloc[0] for kind, times in known if kind is Kind.BARS] or [times.iloc[0] for _, times in known]
        end = max(times.iloc[-1] for _, times in known) + pd.Timedelta(microseconds=1)
        return Window(min(starts).to_pydatetime(), end.to_pydatetime())

    def fetch(self, window: Window, kinds: Iterable[Kind], symbols: Sequence[str] | None = None) -> Batch:
        """Rows of the manifest's files that became available in ``window``, in the order of availability."""
        asked = set(kinds)
        frames: dict[Kind, pd.DataFrame] = {}
        refused: list[Refused] = []
        for kind in (kind for kind in Kind if kind in asked and kind in self.kinds()):
            parts: list[pd.DataFrame] = []
            for entry, path in self._of(kind, symbols):
                facts = self._read(entry, path)
                part, lost = between(facts.frame, window), between(facts.refused, window)
                if symbols is not None and kind in PER_SYMBOL:
                    part = part[part["symbol"].isin(symbols)]
                parts.append(part)
                refused.extend(lost["row"])
            frames[kind] = _together(kind, parts)
        return Batch(frames, refused)

    def _paths(self, entry: Entry) -> list[Path]:
        paths = sorted(path for path in self._directory.glob(entry.path) if path.is_file())
        if not paths:
            raise ConfigError(f"no file matches {entry.path!r} in {self._directory}; correct the path in the manifest, "
                              "or set enabled = false")
        return paths

    def _of(self, kind: Kind, symbols: Sequence[str] | None) -> Iterator[tuple[Entry, Path]]:
        for entry, path in self._files:
            if entry.kind is not kind:
                continue
            if symbols is not None and kind in PER_SYMBOL:
                stated = reader.symbol_of(path, entry)
                if stated is not None and stated not in symbols:
                    continue
            yield entry, path

    def _read(self, entry: Entry, path: Path) -> reader.Facts:
        return reader.read(path, entry, self._manifest.name)


def _together(kind: Kind, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """One frame of all parts; optional columns that none of them has stay out."""
    present = [name for name in SCHEMAS[kind].columns if any(name in part for part in parts)]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in SCHEMAS[kind].columns})
    filled = [part.reindex(columns=present) for part in parts]
    useful = [part for part in filled if len(part)] or filled[:1]
    return pd.concat(useful, ignore_index=True).sort_values("available_at", kind="stable", ignore_index=True)
