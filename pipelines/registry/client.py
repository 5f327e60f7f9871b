"""The registry's door to MLflow: versions, aliases, tags and artifacts of one line, with our errors.

Credentials and error translation are those of ``training.record``, so that one server is spoken to in one way.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow.exceptions import MlflowException

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.errors import RegistryError, TidemarkError, UnsafeArtifact
from pipelines.training.record import connect, vendor_errors

_LOGGED = re.compile(r"models:/m-[0-9a-zA-Z]+")
_MISSING = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class Version:
    """A model version as MLflow keeps it; ``source`` is ``models:/<id>`` of the logged model."""

    version: int
    run_id: str
    source: str
    created_at: datetime
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """A training run as MLflow keeps it: what it was given, what it measured."""

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class ModelRegistry:
    """What the registry reads and writes in MLflow.

    All methods raise TrackingUnavailable when the server cannot be reached, ConfigError when it refuses the login and
    RegistryError when it refuses the request.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = settings.require("mlflow_url").rstrip("/")
        self._client = connect(settings)

    def aliases(self, line: Line) -> dict[str, int] | None:
        """Alias → version; None when the line has no registered model yet."""
        with self._errors():
            try:
                found = self._client.get_registered_model(line.registered_model)
            except MlflowException as error:
                if error.error_code == _MISSING:
                    return None
                raise
            return {alias: int(version) for alias, version in found.aliases.items()}

    def versions(self, line: Line) -> dict[int, Version]:
        """Every version of the line's model."""
        with self._errors():
            found = self._client.search_model_versions(f"name = '{line.registered_model}'", max_results=10_000)
            return {int(item.version): Version(
                int(item.version), str(item.run_id), str(item.source),
                datetime.fromtimestamp(item.creation_timestamp / 1000, UTC), item.description or "",
                dict(item.tags)) for item in found}

    def version(self, line: Line, version: int) -> Version:
        """One version.

        Raises:
            RegistryError: MLflow does not have it.
        """
        with self._errors():
            item = self._client.get_model_version(line.registered_model, str(version))
            return Version(version, str(item.run_id), str(item.source),
                           datetime.fromtimestamp(item.creation_timestamp / 1000, UTC), item.description or "",
                           dict(item.tags))

    def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            RegistryError: MLflow does not have it.
        """
        with self._errors():
            found = self._client.get_run(run_id)
            return Run(str(found.info.run_id), str(found.info.run_name), str(found.info.status),
                       dict(found.data.params), dict(found.data.metrics), dict(found.data.tags))

    def set_alias(self, line: Line, alias: str, version: int) -> None:
        with self._errors():
            self._client.set_registered_model_alias(line.registered_model, alias, str(version))

    def delete_alias(self, line: Line, alias: str) -> None:
        with self._errors():
            self._client.delete_registered_model_alias(line.registered_model, alias)

    def tag_version(self, line: Line, version: int, tag: str, value: str) -> None:
        with self._errors():
            self._client.set_model_version_tag(line.registered_model, str(version), tag, value)

    def describe_version(self, line: Line, version: int, text: str) -> None:
        with self._errors():
            self._client.update_model_version(line.registered_model, str(version), text)

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        with self._errors():
            for tag, value in tags.items():
                self._client.set_tag(run_id, tag, value[:5000])

    def log_page(self, run_id: str, path: str, html: str) -> None:
        """Put a page among the artifacts of a run; the same path is overwritten."""
        with self._errors():
            self._client.log_text(run_id, html, path)

    def log_files(self, run_id: str, place: str, files: Mapping[str, bytes]) -> None:
        """Put files among the artifacts of a run, below ``place``; the same names are overwritten."""
        with tempfile.TemporaryDirectory(prefix="tidemark-files-") as directory:
            for name, content in files.items():
                Path(directory, name).write_bytes(content)
            if files:
                with self._errors():
                    self._client.log_artifacts(run_id, directory, place)

    def download(self, source: str, names: tuple[str, ...], directory: Path) -> list[Path]:
        """Fetch these files of a logged model, and no others.

        Args:
            source: ``models:/<id>``, the ``source`` of a version.

        Raises:
            UnsafeArtifact: the model does not have one of them: it was not stored in this native format. Or the source
                is no logged model, or a file is a link or lies elsewhere than it should.
        """
        import mlflow.artifacts

        if not _LOGGED.fullmatch(source):
            raise UnsafeArtifact(f"the version's source is {source[:200]!r}, not a logged model (models:/m-...); "
                                 "nothing is fetched from there. Train again")
        with self._errors():
            location = self._client.get_logged_model(source.removeprefix("models:/")).artifact_location
        with self._errors(UnsafeArtifact):
            files = [Path(mlflow.artifacts.download_artifacts(
                artifact_uri=f"{location.rstrip('/')}/{name}", dst_path=str(directory), tracking_uri=self.url))
                for name in names]
        for name, file in zip(names, files, strict=True):
            if file.is_symlink() or not file.is_file() or file.resolve() != directory.resolve() / name:
                raise UnsafeArtifact(f"{name} of {source} is no plain file in its place, it leads to {file.resolve()}; "
                                     "it is not opened. Restore the artifact, or train again")
        return files

    @contextmanager
    def _errors(self, otherwise: type[TidemarkError] = RegistryError) -> Iterator[None]:
        with vendor_errors(self.url, otherwise):
            yield
