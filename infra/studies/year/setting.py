"""Where a year is played: its line, and an MLflow of its own in a directory that goes with it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

from pipelines.contracts.line import Line, parse_line
from pipelines.training import produce, record

LINE = Path(__file__).with_name("line.toml")


def policy_line() -> Line:
    """The line that the policy keeps."""
    return parse_line(LINE.read_text(encoding="utf-8"), str(LINE))


def rival_line(line: Line) -> Line:
    """The same, under a name of its own, for whoever trains by the calendar alone."""
    return line.model_copy(update={"name": "year_rivals"})


@contextmanager
def tracking(directory: Path, lines: Sequence[Line]) -> Iterator[str]:
    """The URL of an MLflow store in SQLite below ``directory``, spoken to without a server.

    A model version is made by way of the process's own tracking address, so it is set as long as this is open.
    """
    url = f"sqlite:///{directory / 'mlflow.db'}"
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = url
    try:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=url, registry_uri=url)
        for line in lines:  # else its artifacts would go to the working directory
            client.create_experiment(line.experiment, artifact_location=(directory / "artifacts" / line.name).as_uri())
        yield url
    finally:
        if before is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before


def undrawn(pictures: bool) -> AbstractContextManager[object]:
    """While this is entered, trainings draw no pictures of themselves, which is more than half of a small one's work;
    everything else is done. With ``pictures`` they do."""
    if pictures:
        return nullcontext()

    def card(place: Path, **facts: object) -> None:
        (place / "model_card.md").write_text(str(facts["card"]), encoding="utf-8")

    return patch.object(produce.report, "write", card)


connect = record.connect
