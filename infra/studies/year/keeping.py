"""A played year on MLflow: an experiment of its own, a run a world, its figures as metrics and its picture."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mlflow.entities import Metric, Param

from infra.studies.year import scoring
from infra.studies.year.drawing import SMOOTH, draw
from infra.studies.year.study import Result
from pipelines.config import Settings
from pipelines.training.record import connect, vendor_errors

EXPERIMENT = "tidemark/year"


def keep(settings: Settings, result: Result) -> str:
    """Log a year; the run's id.

    Raises:
        TrackingUnavailable, ConfigError, TrainingError
    """
    client, url = connect(settings), settings.require("mlflow_url")
    with vendor_errors(url):
        found = client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found is not None else client.create_experiment(
            EXPERIMENT, artifact_location=_beside(url))
        made = client.create_run(experiment, run_name=f"year of seed {result.seed}", tags={
            "tidemark.kind": "study", "mlflow.source.name": "python -m infra.studies.year"})
        run, started = made.info.run_id, int(made.info.start_time)
        calendar, line = result.calendar, result.line
        params = {"seed": result.seed, "days": calendar.days, "turn": calendar.turn, "back": calendar.back,
                  "death": calendar.death, "retrain": line.retrain.model_dump_json(),
                  "drift": line.drift.model_dump_json(), "gate.alpha": line.gate.alpha}
        measures = {f"{_slug(str(arm))}.{name}": float(value) for arm, row in result.table().iterrows()
                    for name, value in row.dropna().items()}
        client.log_batch(run, params=[Param(key, str(value)) for key, value in params.items()],
                         metrics=[Metric(name, value, started, 0) for name, value in measures.items()])
        live = (1000 * scoring.daily(result.frame)).rolling(SMOOTH, min_periods=5).mean().dropna()
        for arm, values in live.items():
            name = f"live.{_slug(str(arm))}"
            client.log_batch(run, metrics=[Metric(name, value, started, (at - live.index[0]).days)
                                           for at, value in values.items()])
        with tempfile.TemporaryDirectory() as directory:
            draw(result, Path(directory, "year.svg"))
            draw(result, Path(directory, "year.png"))
            Path(directory, "year.json").write_text(json.dumps(result.to_json(), indent=2), encoding="utf-8")
            client.log_artifacts(run, directory)
        client.set_terminated(run, "FINISHED")
    return str(run)


def _beside(url: str) -> str | None:
    """Where the artifacts of a store in a file lie: beside it, not in the working directory. A server knows itself."""
    file = url.removeprefix("sqlite:///")
    return None if file == url else Path(file).absolute().with_suffix(".artifacts").as_uri()


def _slug(arm: str) -> str:
    return arm.replace(",", "").replace(" ", "_")
