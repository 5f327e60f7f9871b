"""How much of a model's AUC is leakage? The same model and rows under four ways of splitting, from careless to purged.

    python -m infra.studies.ladder --data ../shared/data --manifest tests/data/shared.toml

Labels of 24 hours scored every hour share most of their outcome with their neighbours: whoever shuffles rows into folds
tests a model on answers it has seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from infra.studies import scratch
from pipelines import config
from pipelines.contracts.line import Line, load_lines
from pipelines.contracts.window import Window
from pipelines.features import catalog, snapshot
from pipelines.ingest import providers
from pipelines.training import families, fit
from pipelines.validation import PurgedKFold, WalkForward, metrics

FOLDS = 5
#: A model with room for remembering rows.
EAGER = {"rounds": 300, "num_leaves": 63, "min_data_in_leaf": 20, "learning_rate": 0.1, "lambda_l2": 0.1}
Split = Iterator[tuple[Any, Any]]


def splits(data: fit.Matrix, line: Line) -> dict[str, Split]:
    """Name of a way → (train, test) row positions of its folds."""
    at, known = data.frame["event_time"], data.frame["label_end"]
    embargo = line.bar * line.walk_forward.embargo_bars
    rows = np.arange(len(at))
    shuffled = np.array_split(np.random.default_rng(7).permutation(rows), FOLDS)
    blocks = np.array_split(np.argsort(at.to_numpy(), kind="stable"), FOLDS)
    span = at.max() - at.min()
    return {
        f"{FOLDS}-fold, shuffled rows": ((np.setdiff1d(rows, test), test) for test in shuffled),
        f"{FOLDS}-fold, blocks of time, not purged": ((np.setdiff1d(rows, test), test) for test in blocks),
        f"{FOLDS}-fold, purged and embargoed": ((fold.train, fold.test) for fold in PurgedKFold(
            FOLDS, embargo=embargo).split(at, known)),
        "walk-forward, purged and embargoed": ((fold.train, fold.test) for fold in WalkForward(
            train=span / 3, test=span / 9, folds=6, embargo=embargo).split(at, known)),
    }


def main(
    data: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()] = Path("tests/data/shared.toml"),
    line: Annotated[str, typer.Option()] = "volatility_24h",
) -> None:
    """AUC of LightGBM, timid (the family's defaults) and eager, under each way of splitting."""
    console = Console()
    problem = load_lines(config.load().lines_dir)[line]
    # Only the days matter that are asked for: one long snapshot instead of a training's short one.
    end, days = datetime(2022, 6, 1, tzinfo=UTC), 365
    problem = problem.model_copy(update={"walk_forward": problem.walk_forward.model_copy(update={
        "evidence_days": days, "train_days": 2, "search_folds": 0})})
    settings = config.load().model_copy(update={"source": "files", "data_dir": data, "manifest": manifest})
    with scratch.warehouse() as store, console.status("loading bars"):
        window = Window(end - timedelta(days=days + 40), end)
        scratch.load(store, providers.create("files", settings), window, at=end,
                     texts="sentiment_aggregates" in catalog.inputs(catalog.of(problem)))
        _, frame = snapshot.training(store, problem, end)
    matrix, model = fit.matrix(frame), families.get("lightgbm")
    table = Table(title=f"{line}: {len(frame):,} rows of {frame['symbol'].nunique()} symbols, "
                        f"{frame['event_time'].min():%Y-%m-%d} to {frame['event_time'].max():%Y-%m-%d}")
    for column in ("split", "AUC, timid", "AUC, eager", "rows tested"):
        table.add_column(column)
    for name, folds in splits(matrix, problem).items():
        cut = list(folds)
        y = np.concatenate([matrix.labels[test] for _, test in cut])
        scores = []
        for params in (model.defaults, {**model.defaults, **EAGER}):
            said = [model.fit(matrix.features[train], matrix.labels[train], matrix.names, params, 7).predict(
                matrix.features[test]) for train, test in cut]
            scores.append(metrics.classification(y, np.concatenate(said))["auc"])
        table.add_row(name, *(f"{score:.4f}" for score in scores), f"{len(y):,}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
