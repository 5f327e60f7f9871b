"""What people look at when an alarm begins or when they ask: a page and its pictures, on the champion's MLflow run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.config import Settings
from pipelines.contracts.line import Line
from pipelines.contracts.records import DriftReport
from pipelines.features import catalog
from pipelines.monitoring import evidently_report, page, pictures
from pipelines.monitoring.live import Lived
from pipelines.monitoring.promise import Promise

#: A page of more bytes is drawn again without Evidently's single columns.
MOST_BYTES = 5_000_000


@dataclass(frozen=True)
class Shown:
    """``summary``: Evidently's answer as JSON; ``html``: the page; ``pictures``: name → PNG."""

    summary: Mapping[str, Any] | None
    html: str
    pictures: Mapping[str, bytes]


def make(line: Line, report: DriftReport, reference: pd.DataFrame, current: pd.DataFrame, promised: Promise,
         lived: Lived) -> Shown:
    """The page of a report, of at most ``MOST_BYTES``, and its pictures; seconds."""
    units = {feature.name: feature.unit for feature in catalog.features(catalog.select(line.features.groups))}
    with tempfile.TemporaryDirectory(prefix="tidemark-drift-") as directory:
        drawn = pictures.draw(Path(directory), report, reference, current, promised, lived, units)
        for plots in (evidently_report.MAX_PLOTS, 0):
            seen = evidently_report.run(reference, current, report, line.drift, html=True, plots=plots)
            html = page.compose(report, seen, drawn, line.drift.share)
            if len(html.encode()) <= MOST_BYTES:
                break
        return Shown(seen.summary if seen else None, html, {path.name: path.read_bytes() for path in drawn})


def log(settings: Settings, run_id: str, report: DriftReport, shown: Shown) -> str:
    """Put it on the run, under ``drift/``; the same check again overwrites it. Returns the page's place.

    Raises:
        TrackingUnavailable, RegistryError
    """
    from pipelines.registry.client import ModelRegistry

    registry, place = ModelRegistry(settings), f"drift/{report.as_of:%Y-%m-%dT%H%M}"
    registry.log_page(run_id, f"{place}.html", shown.html)
    registry.log_files(run_id, place, shown.pictures)
    return f"{place}.html"
