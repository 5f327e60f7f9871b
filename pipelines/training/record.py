"""Training's door to MLflow: one experiment per line, one run per training, the best trials nested, one model.

MLflow keeps what people compare; the truth about who is champion lies in the ledger. Nothing here uses MLflow's
"active run" or its global tracking address, so two trackers in one process do not disturb each other. Credentials
are the exception: MLflow's client reads them from the environment, and :func:`connect` puts ours there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import requests
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException, RestException
from mlflow.models import Model, infer_signature

from pipelines.config import Settings
from pipelines.contracts import tags
from pipelines.contracts.line import Line
from pipelines.contracts.ports import FloatArray
from pipelines.contracts.records import SnapshotRef
from pipelines.errors import ConfigError, TidemarkError, TrackingUnavailable, TrainingError
from pipelines.training.families import container
from pipelines.training.families.base import Family, Fitted, requirements
from pipelines.training.families.files import LOADERS, MODEL_FILES
from pipelines.training.measure import Measure
from pipelines.training.search import TrialRecord

MODEL_NAME = "model"
#: Rows of the input example; enough to show the columns and their magnitudes.
EXAMPLE_ROWS = 5
_BATCH = 100
_UNREACHED = re.compile(r"^API request to .* failed with (exception|error code (429|5\d\d))")
_DOWN = ("TEMPORARILY_UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL_ERROR", "DEADLINE_EXCEEDED")


def connect(settings: Settings) -> MlflowClient:
    """A client for the configured server.

    Raises:
        ConfigError: TIDEMARK_MLFLOW_URL is not set.
    """
    url = settings.require("mlflow_url")
    if settings.mlflow_password is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = settings.mlflow_username
        os.environ["MLFLOW_TRACKING_PASSWORD"] = settings.mlflow_password.get_secret_value()
    # MLflow's own default retries a dead server for four minutes; the scheduler retries better than we do.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    return MlflowClient(tracking_uri=url, registry_uri=url)


def warm() -> None:
    """Import what storing a model needs and let MLflow list the installed packages, both once per process: seconds
    that a forked task need not spend again."""
    for name in ("mlflow.xgboost", "mlflow.lightgbm", "mlflow.sklearn", "mlflow.pyfunc", "skops.io"):
        import_module(name)
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches([f"numpy=={np.__version__}"])


@contextmanager
def vendor_errors(url: str, otherwise: type[TidemarkError] = TrainingError) -> Iterator[None]:
    """Translate MLflow's errors: unreachable or failing servers may be retried, the rest is ``otherwise``."""
    try:
        yield
    except requests.exceptions.RequestException as error:
        raise TrackingUnavailable(_down(url, error)) from error
    except MlflowException as error:
        text = str(error)
        down = isinstance(error, RestException) and error.error_code in _DOWN  # from the server, not from its client
        if down or _UNREACHED.search(text):
            raise TrackingUnavailable(_down(url, error)) from error
        if error.error_code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "401" in text[:200]:
            raise ConfigError(f"MLflow at {url} refuses our login; check TIDEMARK_MLFLOW_USERNAME and "
                              "TIDEMARK_MLFLOW_PASSWORD") from error
        raise otherwise(f"MLflow refused ({error.error_code}): {text[:300]}") from error


def _down(url: str, error: Exception) -> str:
    return (f"MLflow at {url} does not answer ({type(error).__name__}: {error!s:.200}); is it running? "
            "See `tidemark status`, or check TIDEMARK_MLFLOW_URL")


@dataclass(frozen=True)
class Registered:
    """A model version as MLflow keeps it."""

    version: int
    source: str
    tags: Mapping[str, str]


class Tracker:
    """Everything that training writes to MLflow.

    All methods raise TrackingUnavailable when the server cannot be reached (worth a retry), ConfigError when it
    refuses the login, and TrainingError when it refuses the request.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = settings.require("mlflow_url").rstrip("/")
        self._client = connect(settings)
        self._experiments: dict[str, str] = {}

    def experiment(self, line: Line) -> str:
        """Id of the line's experiment, made when it is not there yet; two callers at once get the same one."""
        if line.experiment not in self._experiments:
            self._experiments[line.experiment] = self._find_or_make(line)
        return self._experiments[line.experiment]

    def _find_or_make(self, line: Line) -> str:
        with vendor_errors(self.url):
            found = self._client.get_experiment_by_name(line.experiment)
            if found is None:
                note = {"mlflow.note.content": line.title, tags.LINE: line.name}
                try:
                    return str(self._client.create_experiment(line.experiment, tags=note))
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":
                        raise
                    found = self._client.get_experiment_by_name(line.experiment)
            if found is None or found.lifecycle_stage != "active":
                raise TrainingError(f"experiment {line.experiment} is deleted in MLflow; restore it "
                                    f"(mlflow experiments restore) and try again")
            return str(found.experiment_id)

    def start(self, line: Line, name: str, run_tags: Mapping[str, str], params: Mapping[str, Any],
              snapshot: SnapshotRef, columns: Mapping[str, str]) -> str:
        """Open the parent run of a training, with its dataset; returns the run's id. On an error half-way the run is
        marked FAILED."""
        experiment = self.experiment(line)
        with vendor_errors(self.url):
            run = self._client.create_run(experiment, run_name=name, tags={
                "mlflow.source.name": "tidemark train", "mlflow.source.type": "JOB", **run_tags})
            run_id = str(run.info.run_id)
        try:
            self.params(run_id, params)
            self._dataset(run_id, snapshot, columns)
        except BaseException as error:
            self.fail(run_id, f"could not be opened: {error}")
            raise
        return run_id

    def params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Log parameters; the same again is fine, a different value is refused by MLflow."""
        entries = [Param(key, str(value)[:6000]) for key, value in params.items()]
        with vendor_errors(self.url):
            for at in range(0, len(entries), _BATCH):
                self._client.log_batch(run_id, params=entries[at:at + _BATCH])

    def measures(self, run_id: str, measures: Sequence[Measure], run_tags: Mapping[str, str] | None = None) -> None:
        """Log metrics and tags. The time of a metric is the run's start: logging twice leaves one point."""
        with vendor_errors(self.url):
            at = int(self._client.get_run(run_id).info.start_time)
            entries = [Metric(item.name, item.value, at, item.step) for item in measures]
            self._client.log_batch(run_id, metrics=entries[:1000],
                                   tags=[RunTag(key, value) for key, value in (run_tags or {}).items()])
            for rest in range(1000, len(entries), 1000):
                self._client.log_batch(run_id, metrics=entries[rest:rest + 1000])

    def trials(self, line: Line, run_id: str, best: Sequence[TrialRecord]) -> None:
        """Nest one finished run per trial below ``run_id``; trials that are there already are left alone."""
        experiment = self.experiment(line)
        with vendor_errors(self.url):
            children = self._client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
            there = {child.data.tags.get("tidemark.trial") for child in children if child.info.status == "FINISHED"}
            for rank, trial in enumerate(best, start=1):
                if str(trial.number) in there:
                    continue
                name = f"#{rank} {trial.family} trial {trial.number}"
                child = self._client.create_run(experiment, run_name=name, tags={
                    "mlflow.parentRunId": run_id, tags.KIND: "trial", tags.LINE: line.name,
                    tags.FAMILY: str(trial.family), "tidemark.trial": str(trial.number), "tidemark.rank": str(rank)})
                at = int(child.info.start_time)
                losses = [Metric("fold.log_loss", value, at, step) for step, value in enumerate(trial.fold_losses)]
                self._client.log_batch(
                    child.info.run_id, metrics=[*losses, Metric("oos.log_loss", float(trial.value or 0.0), at, 0)],
                    params=[Param("family", str(trial.family)),
                            *(Param(key, str(value)) for key, value in trial.params.items())])
                self._client.set_terminated(child.info.run_id, "FINISHED")

    def artifacts(self, run_id: str, directory: Path) -> None:
        """Upload everything below ``directory``."""
        with vendor_errors(self.url):
            self._client.log_artifacts(run_id, str(directory))

    def model(self, line: Line, run_id: str, model: Fitted, family: Family, example: FloatArray) -> tuple[str, str]:
        """Store the model in its native format, with signature, input example and pinned requirements.

        Returns:
            (address ``models:/<id>``, SHA-256 of the model file). A model that cannot be stored leaves nothing
            behind that looks usable.
        """
        frame = pd.DataFrame(example[:EXAMPLE_ROWS], columns=list(model.feature_names))
        experiment = self.experiment(line)
        with vendor_errors(self.url), tempfile.TemporaryDirectory(prefix="tidemark-model-") as directory:
            logged = self._client.create_logged_model(experiment, MODEL_NAME, run_id, model_type=family.name,
                                                      tags={tags.LINE: line.name, tags.FAMILY: family.name})
            try:
                path = Path(directory) / "model"
                _save(path, model, family, frame, Model(artifact_path=logged.artifact_location, run_id=run_id,
                                                        model_uuid=logged.model_id, model_id=logged.model_id))
                container.settle(path / MODEL_FILES[family.flavor])  # the same model is the same file
                digest = hashlib.sha256((path / MODEL_FILES[family.flavor]).read_bytes()).hexdigest()
                self._client.log_model_artifacts(logged.model_id, str(path))
                self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
                self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
            except BaseException:
                self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
                self._client.delete_logged_model(logged.model_id)
                raise
        return f"models:/{logged.model_id}", digest

    def register(self, line: Line, run_id: str, source: str, version_tags: Mapping[str, str],
                 description: str) -> Registered:
        """Make a version of the line's registered model; its tags are part of the same request."""
        with vendor_errors(self.url):
            try:
                self._client.create_registered_model(line.registered_model, {tags.LINE: line.name}, line.title)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self._client.create_model_version(line.registered_model, source, run_id, tags=dict(version_tags),
                                                     description=description, await_creation_for=0,
                                                     model_id=source.removeprefix("models:/"))
            return Registered(int(made.version), str(made.source), dict(version_tags))

    def registered(self, line: Line, run_id: str) -> Registered | None:
        """The version that this run has registered already, if it has."""
        with vendor_errors(self.url):
            query = f"name = '{line.registered_model}' and run_id = '{run_id}'"
            found = sorted(self._client.search_model_versions(query), key=lambda item: int(item.version))
            return Registered(int(found[0].version), str(found[0].source), dict(found[0].tags)) if found else None

    def finish(self, run_id: str) -> None:
        """Mark the run FINISHED."""
        with vendor_errors(self.url):
            self._client.set_terminated(run_id, "FINISHED")

    def fail(self, run_id: str, reason: str) -> bool:
        """Mark the run FAILED with its reason; False when it had ended already (its result stands)."""
        with vendor_errors(self.url):
            if self._client.get_run(run_id).info.status != "RUNNING":
                return False
            self._client.set_tag(run_id, tags.FAILURE, reason[:5000])
            self._client.set_tag(run_id, "mlflow.note.content", f"**Failed:** {reason[:4000]}")
            self._client.set_terminated(run_id, "FAILED")
            return True

    def status(self, run_id: str) -> str:
        """RUNNING, FINISHED, FAILED or KILLED."""
        with vendor_errors(self.url):
            return str(self._client.get_run(run_id).info.status)

    def tags(self, run_id: str) -> dict[str, str]:
        """The run's tags."""
        with vendor_errors(self.url):
            return dict(self._client.get_run(run_id).data.tags)

    def running(self, line: Line) -> list[tuple[str, datetime, dict[str, str]]]:
        """(run id, start in UTC, tags) of the line's trainings that MLflow shows as RUNNING."""
        query = f"attributes.status = 'RUNNING' and tags.`{tags.KIND}` = 'training'"
        with vendor_errors(self.url):
            found = self._client.get_experiment_by_name(line.experiment)
            if found is None:  # never trained: looking makes no experiment
                return []
            return [(str(run.info.run_id), datetime.fromtimestamp(run.info.start_time / 1000, UTC), dict(run.data.tags))
                    for run in self._client.search_runs([found.experiment_id], query)]

    def link(self, line: Line, run_id: str) -> str:
        """Address of the run's page."""
        return f"{self.url}/#/experiments/{self.experiment(line)}/runs/{run_id}"

    def _dataset(self, run_id: str, snapshot: SnapshotRef, columns: Mapping[str, str]) -> None:
        scheme = urlsplit(snapshot.uri).scheme
        # MLflow cuts digests at 36 characters; the whole one is in the profile and in the run's tags.
        dataset = Dataset(
            name=f"{snapshot.line}.{snapshot.kind}", digest=snapshot.digest[:32],
            source_type=scheme if scheme in ("s3", "gs", "http", "https") else "local",
            source=json.dumps({"uri": snapshot.uri}),
            profile=json.dumps({"num_rows": snapshot.rows, "digest": snapshot.digest,
                                "start": snapshot.start.isoformat(), "end": snapshot.end.isoformat()}),
            schema=json.dumps({"mlflow_colspec": [{"type": kind, "name": name, "required": True}
                                                  for name, kind in columns.items()]}))
        with vendor_errors(self.url):
            self._client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _save(path: Path, model: Fitted, family: Family, example: pd.DataFrame, card: Model) -> None:
    """Write the model as MLflow lays it out."""
    native, values = model.native(), example.to_numpy(dtype=np.float64)
    common: dict[str, Any] = {"mlflow_model": card, "pip_requirements": requirements(family), "input_example": example}
    if family.flavor == "xgboost":
        import mlflow.xgboost

        mlflow.xgboost.save_model(native, str(path), model_format="ubj", signature=infer_signature(
            example, model.predict(values)), **common)
    elif family.flavor == "lightgbm":
        import mlflow.lightgbm

        mlflow.lightgbm.save_model(native, str(path), signature=infer_signature(example, model.predict(values)),
                                   **common)
    elif family.flavor == "sklearn":
        import mlflow.sklearn

        mlflow.sklearn.save_model(
            native, str(path), serialization_format="skops", skops_trusted_types=list(family.trusted_types),
            pyfunc_predict_fn="predict_proba", signature=infer_signature(example, native.predict_proba(values)),
            **common)
    elif family.flavor in LOADERS:
        import mlflow.pyfunc

        file = path.parent / MODEL_FILES[family.flavor]
        native.save_model(str(file))
        mlflow.pyfunc.save_model(str(path), loader_module=LOADERS[family.flavor], data_path=str(file),
                                 signature=infer_signature(example, model.predict(values)), **common)
        # MLflow puts it one level down; where every other flavour's file lies, ours lies too.
        (path / "data" / file.name).rename(path / file.name)
        (path / "data").rmdir()
        card.flavors["python_function"]["data"] = file.name
        card.save(str(path / "MLmodel"))
    else:
        raise TrainingError(f"family {family.name} names the flavor {family.flavor!r}, which has no native format "
                            f"here; use one of {', '.join(MODEL_FILES)}")
